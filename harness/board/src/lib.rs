// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conversation that a microcontroller, a desktop and a browser's engine have with each other, identical byte for
//! byte.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

#[forbid(unsafe_code)]
mod conversation;
#[forbid(unsafe_code)]
pub mod network;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod wasm;

pub use conversation::{Board, Failed, Role, SEED, Script, hold, named};
