// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may know a value: what its place in an operation tells, and what a KDF's output is made of.

use super::operation::Kind;
use crate::labels;

/// Who may know a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Neither secret nor known from the start: digests, nonces, what is hidden from the server without being a key.
    Neutral,
    /// Sealed, and on its device: known where the evidence has it.
    Stored,
    /// Everybody.
    Public,
    /// Its devices alone. Fragments of it are searched for.
    Secret,
    /// Its devices alone; a concatenation of values that are searched for themselves.
    State,
}

/// Zeros, or 0xFF: separators and empty salts that everybody knows.
pub(super) fn is_well_known(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xFF)
}

/// What a KDF's output is made of: name, bytes, class.
pub(super) type Layout = &'static [(&'static str, usize, Class)];

/// The layout of a KDF's output by its label.
pub(super) fn fields_of(label: &[u8]) -> Layout {
    use Class::{Neutral, Public, Secret};
    const LAYOUTS: [(&[u8], Layout); 9] = [
        (labels::PQXDH, &[("SK of the handshake", 32, Secret)]),
        (labels::HIDDEN_IDENTITY, &[("key of the hidden identity", 32, Secret), ("nonce", 12, Neutral)]),
        (labels::SK_ROOT, &[("root key", 32, Secret)]),
        (labels::SK_HKA, &[("initiator's header key", 32, Secret)]),
        (labels::SK_NHKB, &[("responder's header key", 32, Secret)]),
        (labels::ROOT, &[("root key", 32, Secret), ("chain key", 32, Secret), ("header key", 32, Secret)]),
        (labels::MESSAGE, &[("AEAD key of a message", 32, Secret), ("nonce", 12, Neutral)]),
        (labels::HEADER, &[("AEAD key of a header", 32, Secret), ("nonce", 12, Neutral), ("commitment", 16, Public)]),
        (labels::SNAPSHOT_SEAL, &[("AEAD key of a snapshot", 32, Secret), ("nonce", 12, Neutral)]),
    ];
    LAYOUTS.iter().find(|(known, _)| *known == label).map_or(&[], |(_, fields)| fields)
}

pub(super) const fn is_hash(kind: Kind) -> bool {
    matches!(kind, Kind::Sha256 | Kind::Sha512)
}

pub(super) fn is_message(step: &str) -> bool {
    matches!(step, "DR-E4" | "DR-D8")
}

/// An identity is hidden from the server in its handshake, and is published by its owner: no secret. A padded plaintext
/// holds one that is.
pub(super) fn plaintext_class(step: &str) -> Class {
    match step {
        "HS-I6" | "HS-R4" | "DR-E4" | "DR-D8" => Class::Neutral,
        _ if step.starts_with("SN-") => Class::State,
        _ => Class::Secret,
    }
}

pub(super) fn plaintext_name(step: &str) -> &'static str {
    match step {
        "HS-I6" | "HS-R4" => "identity",
        "DR-E4" | "DR-D8" => "padded plaintext",
        "DR-E3" | "DR-D2" => "header",
        _ if step.starts_with("SN-") => "state of a device",
        _ => "plaintext",
    }
}
