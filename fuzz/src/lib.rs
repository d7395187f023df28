// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bodies of the fuzz targets. `tests/corpora.rs` of the main crate runs them too, on the committed corpora.
//!
//! Each takes bytes that somebody hostile chose and panics where a property does not hold: nothing panics, what decodes
//! encodes to the same bytes, and an error leaves the state as it was, byte for byte. With a planted [`Bug`] the property
//! does not hold, and the body must notice.
//!
//! The bytes are mostly an edit of something genuine, so that it gets past the parsers; and a hostile peer, who has
//! the keys, edits before it seals, so that it gets past the tags.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "a fuzz target says what it expects"
)]

mod audit;
mod edit;
mod network;
mod stored;
#[path = "../../tests/support/mod.rs"]
mod support;

pub use audit::{
    audit_schedule, audit_trace, evidence_base64, evidence_capture, evidence_chunked, evidence_escapes, evidence_gzip,
    evidence_hex, evidence_hex_integers, evidence_integers, evidence_latin1, evidence_percent, evidence_utf16_be,
    evidence_utf16_le, evidence_zip, evidence_zlib, evidence_zstd,
};
pub use network::{accept, bundle, decrypt, identity_and_prekey};
pub use stored::snapshot;

use noescrow::Inline;
use noescrow_sim::run_bytes;
use support::{Puppet, rng};

/// What is wrong with the subject, to see that the body notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Nothing.
    None,
    /// A state changes when something was refused, an encoding differs from what was decoded, an operation does not do
    /// what it should: what the target is there to find.
    Planted,
}

impl Bug {
    const fn is_planted(self) -> bool {
        matches!(self, Self::Planted)
    }
}

/// Any schedule does what the oracle says. The planted bug: the responder's primitives are wrong.
pub fn schedule(bytes: &[u8], bug: Bug) {
    let bob = Puppet::default();
    bob.broken.set(bug.is_planted());
    if let Err(violation) = run_bytes::<_, Inline<40>, _>(Puppet::default(), bob, Puppet::default(), bytes, rng(7)) {
        panic!("{violation}");
    }
}

/// [`decrypt`] behind four bytes that must be right, and with a bug: the fuzzer must find it within its time, or it finds
/// nothing at all. Chance would take 2^32 inputs, a fuzzer that sees how far it got some hundred thousand.
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
