// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may know a value: what its place in an operation tells, and what a KDF's output is made of.

use super::operation::{Kind, Operation, Role};
use super::restored;
use crate::identity::Identity;
use crate::labels;
use crate::padding::unpad;
use crate::primitives::RustCrypto;
use crate::primitives::dh::LOW_ORDER;
use crate::ratchet::braid::message::Payload;
use crate::ratchet::triple::Header;
use crate::snapshot::HEAD_LEN;
use crate::wire::{ChunkSize, DOUBLE_HEADER_LEN, IDENTITY_LEN};
use std::vec::Vec;

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

/// The u-coordinate of X25519's base point (RFC 7748 §4.1).
const BASE_POINT: [u8; 32] = {
    let mut nine = [0; 32];
    nine[0] = 9;
    nine
};

/// Zeros, or 0xFF: separators and empty salts that everybody knows. And the points that stand in every book on X25519.
pub(super) fn is_well_known(bytes: &[u8]) -> bool {
    let is_point = || LOW_ORDER.iter().chain([&BASE_POINT]).any(|point| point == bytes);
    bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xFF) || is_point()
}

/// What a KDF's output is made of: name, bytes, class.
pub(super) type Layout = &'static [(&'static str, usize, Class)];

/// The layout of the sparse ratchet's root step.
const SPARSE_ROOT: Layout = &[
    ("post-quantum root key", 32, Class::Secret),
    ("post-quantum chain key", 32, Class::Secret),
    ("post-quantum chain key", 32, Class::Secret),
    ("post-quantum header secret", 32, Class::Secret),
];

/// The layout of a KDF's output by its label and, of the Braid's, by what stands behind it.
pub(super) fn fields_of(label: &[u8], behind: &[u8]) -> Layout {
    use Class::{Neutral, Public, Secret};
    const LAYOUTS: [(&[u8], Layout); 15] = [
        (labels::PQXDH, &[("SK of the handshake", 32, Secret)]),
        (labels::HIDDEN_IDENTITY, &[("key of the hidden identity", 32, Secret), ("nonce", 12, Neutral)]),
        (labels::SK_ROOT, &[("root key", 32, Secret)]),
        (labels::SK_HKA, &[("initiator's header key", 32, Secret)]),
        (labels::SK_NHKB, &[("responder's header key", 32, Secret)]),
        (labels::SK_SPARSE, &[("sparse ratchet's secret", 32, Secret)]),
        (labels::SK_BRAID, &[("Braid's secret", 32, Secret)]),
        (labels::CHAIN_START, SPARSE_ROOT),
        (labels::CHAIN_ADD_EPOCH, SPARSE_ROOT),
        (labels::CHAIN_NEXT, &[("post-quantum chain key", 32, Secret), ("post-quantum message key", 32, Secret)]),
        (labels::NEXT_HEADER_KEY, &[("header key", 32, Secret)]),
        (labels::ROOT, &[("root key", 32, Secret), ("chain key", 32, Secret), ("header key", 32, Secret)]),
        (labels::MESSAGE, &[("AEAD key of a message", 32, Secret), ("nonce", 12, Neutral)]),
        (labels::HEADER, &[("AEAD key of a header", 32, Secret), ("nonce", 12, Neutral), ("commitment", 16, Public)]),
        (labels::SNAPSHOT_SEAL, &[("AEAD key of a snapshot", 32, Secret), ("nonce", 12, Neutral)]),
    ];
    match (label, behind) {
        (labels::BRAID, b":SCKA Key") => &[("key of an epoch", 32, Secret)],
        (labels::BRAID, b":Authenticator Update") => {
            &[("authenticator's root", 32, Secret), ("authenticator's MAC key", 32, Secret)]
        }
        (labels::BRAID, _) => &[("MAC of the Braid", 32, Neutral)],
        _ => LAYOUTS.iter().find(|(known, _)| *known == label).map_or(&[], |(_, fields)| fields),
    }
}

pub(super) const fn is_hash(kind: Kind) -> bool {
    matches!(kind, Kind::Sha256 | Kind::Sha512)
}

pub(super) fn is_message(step: &str) -> bool {
    matches!(step, "DR-E4" | "DR-D8")
}

/// Whether an operation on a state is what a snapshot does (SN-1, SN-2): its label alone is a claim of the device.
pub(super) fn is_snapshot(operation: &Operation<'_>) -> bool {
    if !operation.step.starts_with("SN-") {
        return false;
    }
    let contexts: Vec<&[u8]> = operation.inputs(Role::Context).collect();
    match (operation.kind, contexts.as_slice()) {
        (Kind::HkdfExpand, [labels::SNAPSHOT_SALT] | [labels::SNAPSHOT_SEAL, _]) => true,
        (Kind::Hmac, [kind, generation, state]) => {
            kind.len() == 2 && generation.len() == 8 && restored::secrets(kind, state).is_some()
        }
        (Kind::Seal | Kind::Open, _) => {
            let head = operation.input(Role::AssociatedData).filter(|head| head.len() == HEAD_LEN);
            let state = operation.fields.iter().find(|field| field.role == Role::Plaintext);
            head.zip(state).is_some_and(|(head, state)| restored::secrets(head, state.bytes).is_some())
        }
        _ => false,
    }
}

/// What a plaintext is. An identity is hidden from the server in its handshake, and is published by its owner: no secret. A
/// padded plaintext holds one that is. What has not the shape that its step gives it is a secret.
pub(super) fn plaintext_of(operation: &Operation<'_>, bytes: &[u8]) -> (Class, &'static str) {
    let is_identity =
        || bytes.try_into().is_ok_and(|bytes: &[u8; IDENTITY_LEN]| Identity::from_bytes(&RustCrypto, bytes).is_ok());
    match operation.step {
        "HS-I6" | "HS-R4" if is_identity() => (Class::Neutral, "identity"),
        "DR-E4" | "DR-D8" if unpad(&RustCrypto, bytes).is_some() => (Class::Neutral, "padded plaintext"),
        "DR-E3" | "DR-D2" => (Class::Secret, "header"),
        _ if is_snapshot(operation) => (Class::State, "state of a device"),
        _ => (Class::Secret, "plaintext"),
    }
}

/// What a header that was sealed or opened carries for the Braid: a part of a key or a ciphertext.
pub(super) fn chunk_of_header<'a>(step: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    if !matches!(step, "DR-E3" | "DR-D2") {
        return None;
    }
    let chunk_size = ChunkSize::ALL.into_iter().find(|size| size.header_len() == bytes.len())?;
    let header = Header::parse(chunk_size, bytes).ok()?;
    (header.sparse.message.payload != Payload::None).then_some(())?;
    bytes.get(CHUNK_AT..)?.get(..chunk_size.bytes())
}

/// Where a header's chunk begins: behind ratchet key, PN, N, type, epoch and index.
const CHUNK_AT: usize = DOUBLE_HEADER_LEN + 1 + 4 + 2;

#[cfg(test)]
mod tests {
    use super::super::{Audit, FindingKind, Recorder, Role, Tape, TraceReader, Verdict};
    use super::*;
    use crate::primitives::Primitives;
    use crate::secret::Secret;
    use std::vec::Vec;

    /// A device that agrees on a key with these bytes as its private one, and a server that sees the other public key.
    fn agreed(private: [u8; 32]) -> Verdict {
        let tape = Tape::in_memory();
        let [alice, bob]: [Recorder; 2] = ["Alice", "Bob"].map(|name| tape.device(name).unwrap());
        let other = Secret::new([0xB0; 32]);
        bob.fresh(other.expose());
        let public = bob.dh_public(&other);
        let _ = alice.dh(&Secret::new(private), &public).unwrap();
        Audit::of(&tape).unwrap().server_saw("wire", &public).verdict()
    }

    #[test]
    fn a_secret_that_is_a_well_known_point_is_known_from_the_start() {
        let derived = |verdict: &Verdict| -> Vec<bool> {
            let follows = verdict.of_kind(FindingKind::Derivable);
            follows.map(|finding| finding.what.starts_with("X25519 shared secret")).collect()
        };
        for point in LOW_ORDER.into_iter().chain([BASE_POINT]) {
            let verdict = agreed(point);
            assert_eq!(derived(&verdict), [true], "{point:?}: {verdict}");
            assert_eq!(verdict.of_kind(FindingKind::UnknownOrigin).count(), 0);
            // Control: a bit away from it nothing follows.
            for at in [3, 17, 30] {
                let mut private = point;
                private[at] ^= 4;
                let verdict = agreed(private);
                assert!(derived(&verdict).is_empty(), "{point:?}, {at}: {verdict}");
                assert_eq!(verdict.of_kind(FindingKind::UnknownOrigin).count(), 1);
            }
            assert!(!is_well_known(&[&point[..], &[1]].concat()));
        }
    }

    #[test]
    fn a_shared_secret_of_zeros_is_refused_and_nobody_has_one() {
        let outcome = |public: &[u8; 32]| {
            let tape = Tape::in_memory();
            let alice: Recorder = tape.device("Alice").unwrap();
            let is_refused = alice.dh(&Secret::new([0x41; 32]), public).is_err();
            let mut kinds = Vec::new();
            let note = |operation: &super::super::Operation<'_>| {
                kinds.push((operation.kind, operation.fields.iter().any(|field| field.role == Role::DhShared)));
            };
            TraceReader::new(&tape.bytes()[..]).unwrap().for_each(note).unwrap();
            (is_refused, kinds)
        };
        for point in &LOW_ORDER {
            assert_eq!(outcome(point), (true, std::vec![(Kind::Refused, false)]), "{point:?}");
        }
        // Control.
        assert_eq!(outcome(&BASE_POINT), (false, std::vec![(Kind::Dh, true)]));
    }
}
