// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that everyone knows: a private key or shared secret that equals one is not secret.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states what it expects")]

use hex_literal::hex;
use noescrow::Secret;
use noescrow::primitives::Primitives;
use noescrow_audit::{Audit, FindingKind, Kind, Operation, Role, Tape, TraceReader, Verdict};
use noescrow_recorder::{Recorder, profile};

/// The u-coordinate of X25519's base point (RFC 7748 §4.1).
const BASE_POINT: [u8; 32] = {
    let mut nine = [0; 32];
    nine[0] = 9;
    nine
};

/// The canonical u-coordinates of low order, in hex: 0, 1, two of order 8, and p - 1.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    hex!("0100000000000000000000000000000000000000000000000000000000000000"),
    hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/// A device agrees on a key with these bytes as its private key; the server sees the other public key.
fn agreed(private: [u8; 32]) -> Verdict {
    let tape = Tape::in_memory();
    let [alice, bob]: [Recorder; 2] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let other = Secret::new([0xB0; 32]);
    bob.fresh(other.expose());
    let public = bob.dh_public(&other);
    let _ = alice.dh(&Secret::new(private), &public).unwrap();
    Audit::of(profile(), &tape).unwrap().server_saw("wire", &public).verdict()
}

#[test]
fn secret_that_is_a_well_known_point_is_known() {
    let derived = |verdict: &Verdict| -> Vec<bool> {
        let follows = verdict.of_kind(FindingKind::Derivable);
        follows.map(|finding| finding.what.starts_with("X25519 shared secret")).collect()
    };
    for point in LOW_ORDER.into_iter().chain([BASE_POINT]) {
        let verdict = agreed(point);
        assert_eq!(derived(&verdict), [true], "{point:?}: {verdict}");
        assert_eq!(verdict.of_kind(FindingKind::UnknownOrigin).count(), 0);
        // Control: with one bit changed nothing follows.
        for at in [3, 17, 30] {
            let mut private = point;
            private[at] ^= 4;
            let verdict = agreed(private);
            assert!(derived(&verdict).is_empty(), "{point:?}, {at}: {verdict}");
            assert_eq!(verdict.of_kind(FindingKind::UnknownOrigin).count(), 1);
        }
    }
}

#[test]
fn shared_secret_of_zeros_is_refused_and_not_recorded() {
    let outcome = |public: &[u8; 32]| {
        let tape = Tape::in_memory();
        let alice: Recorder = Recorder::device(&tape, "Alice").unwrap();
        let is_refused = alice.dh(&Secret::new([0x41; 32]), public).is_err();
        let mut kinds = Vec::new();
        let visit = |operation: &Operation<'_>| {
            kinds.push((operation.kind, operation.fields.iter().any(|field| field.role == Role::DhShared)));
        };
        TraceReader::new(&tape.bytes()[..]).unwrap().for_each(visit).unwrap();
        (is_refused, kinds)
    };
    for point in &LOW_ORDER {
        assert_eq!(outcome(point), (true, std::vec![(Kind::Refused, false)]), "{point:?}");
    }
    // Control.
    assert_eq!(outcome(&BASE_POINT), (false, std::vec![(Kind::Dh, true)]));
}
