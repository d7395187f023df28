// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attacks on curve keys, signatures and the handshake, mounted on the shipped code through its public API. The name of
//! a test begins with the attack's number in the catalogue of attacks.
//!
//! Each test shows that the attack fails, that the state is unchanged and that the right input passes. As its control
//! it shows the attack succeeding without the defence: on a device whose primitives are faulty ([`recording`]), or by
//! an oracle that computes what the attacker would gain. Where faulty primitives are not enough, a hostile peer is
//! written by hand ([`forger`]).
//!
//! `primitives.rs` and `wycheproof.rs` attack the primitives alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test states its expectations"
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
#[path = "attacks_handshake/recording.rs"]
mod recording;
#[path = "attacks_handshake/relay_in_the_middle.rs"]
mod relay_in_the_middle;
#[path = "attacks_handshake/replays.rs"]
mod replays;
#[path = "attacks_handshake/signatures.rs"]
mod signatures;
mod support;
