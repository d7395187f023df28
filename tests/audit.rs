// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit on random runs: honest ones, in which it must find nothing, and runs with one thing wrong each, in every one
//! of which it must find that and name it. Then what falls to thieves, and to servers that do more than listen.
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

#[path = "audit/broken.rs"]
mod broken;
#[path = "audit/compulsion.rs"]
mod compulsion;
#[path = "audit/controls.rs"]
mod controls;
#[path = "audit/encodings.rs"]
mod encodings;
#[path = "audit/faults.rs"]
mod faults;
#[path = "audit/generators.rs"]
mod generators;
#[path = "audit/honest.rs"]
mod honest;
#[path = "audit/hostile.rs"]
mod hostile;
#[path = "audit/implementation.rs"]
mod implementation;
#[path = "audit/leaks.rs"]
mod leaks;
#[path = "audit/matrix.rs"]
mod matrix;
#[path = "audit/run.rs"]
mod run;
