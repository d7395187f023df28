// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attacks on curve keys, signatures and the handshake, replayed on the shipped code through its public API. The name of
//! a test begins with the attack's number in the catalogue of attacks.
//!
//! Each shows the attack failing, the state untouched, the right input passing, and, as its control, the attack
//! succeeding where the defence is taken out: on a device whose primitives are bent ([`spy`]), or by an oracle that
//! computes what would have been gained. What a device cannot be bent to do, a hostile peer does by hand ([`forger`]).
//!
//! The primitives alone are attacked in `primitives.rs` and `wycheproof.rs`.
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

#[path = "attacks_handshake/bundles.rs"]
mod bundles;
#[path = "attacks_handshake/curve.rs"]
mod curve;
#[path = "attacks_handshake/first_messages.rs"]
mod first_messages;
#[path = "attacks_handshake/forger.rs"]
mod forger;
#[path = "attacks_handshake/impersonation.rs"]
mod impersonation;
#[path = "attacks_handshake/kem.rs"]
mod kem;
#[path = "attacks_handshake/relay_in_the_middle.rs"]
mod relay_in_the_middle;
#[path = "attacks_handshake/replays.rs"]
mod replays;
#[path = "attacks_handshake/signatures.rs"]
mod signatures;
#[path = "attacks_handshake/spy.rs"]
mod spy;
mod support;
