// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seals [`Public`](super::Public): code outside the crate cannot name this trait and so cannot implement that one.

pub trait Sealed {}
