// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documents of this crate.

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

#[doc = include_str!("../docs/profile.md")]
pub mod profile {}

#[doc = include_str!("../spec/audit.md")]
pub mod audit {}
