// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bodies of the fuzz targets. `tests/corpora.rs` of the main crate runs them, too, on the committed corpora.
//!
//! Each takes bytes that an attacker chose and panics if a property does not hold: nothing panics, decoded values
//! encode to the same bytes, and an error leaves the state unchanged, byte for byte. With a planted [`Bug`] the
//! property does not hold, and the body must notice.
//!
//! The bytes are mostly an edit of genuine ones, so that they pass the parsers. A hostile peer, who has the keys, edits
//! before sealing, so that its messages pass the tags.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "a fuzz target states what it expects"
)]

mod audit;
mod edit;
mod network;
mod stored;
#[path = "../../tests/support/mod.rs"]
mod support;

pub use audit::{
    audit_schedule, audit_trace, evidence, evidence_base64, evidence_capture, evidence_chunked, evidence_escapes,
    evidence_gzip, evidence_hex, evidence_hex_integers, evidence_integers, evidence_latin1, evidence_percent,
    evidence_utf16_be, evidence_utf16_le, evidence_zip, evidence_zlib, evidence_zstd,
};
pub use network::{accept, bundle, decrypt, identity_and_prekey, publication};
pub use stored::snapshot;

use noescrow::skipped::Inline;
use noescrow_sim::run_bytes;
use support::{Mock, rng};

/// A fault of the subject, to show that the body notices it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// No fault.
    None,
    /// A refusal changes a state, an encoding differs from the decoded bytes, or an operation does not do what it
    /// should: what the target is made to find.
    Planted,
}

impl Bug {
    const fn is_planted(self) -> bool {
        matches!(self, Self::Planted)
    }
}

/// Any schedule gives what the oracle predicts. The planted bug: the responder's primitives are wrong.
pub fn schedule(bytes: &[u8], bug: Bug) {
    let bob = Mock::default();
    bob.faulty.set(bug.is_planted());
    if let Err(violation) = run_bytes::<_, Inline<40>, _>(Mock::default(), bob, Mock::default(), bytes, rng(7)) {
        panic!("{violation}");
    }
}

/// [`decrypt`] after four bytes that must be right, and with a bug: the fuzzer must find it within its time, or it
/// would find nothing at all. By chance this takes 2^32 inputs; a fuzzer that sees its progress takes some hundred
/// thousand.
pub fn control(bytes: &[u8]) {
    let mut right = 0;
    for (byte, due) in bytes.iter().zip(b"\x04bug") {
        if std::hint::black_box(*byte) != *due {
            return;
        }
        right += 1;
    }
    if right == 4 {
        decrypt(bytes, Bug::Planted);
    }
}
