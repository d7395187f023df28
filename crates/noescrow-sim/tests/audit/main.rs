// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit on random runs: honest ones, in which it must find nothing, and faulty ones with one fault each, which it
//! must find and name in every run. Then what is exposed to thieves of devices, and to servers that attack actively.
//!
//! ```text
//! NOESCROW_AUDIT_RUNS=1000 NOESCROW_AUDIT_HONEST_RUNS=100000 cargo test --release --test audit -- --nocapture
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test says what it expects"
)]

mod compulsion;
mod controls;
mod encodings;
mod faults;
mod faulty_device;
mod generators;
mod honest;
mod hostile;
mod implementation;
mod leaks;
mod matrix;
mod messenger_printing;
mod run;
