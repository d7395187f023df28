// SPDX-License-Identifier: MIT OR Apache-2.0
//! What restoring a session costs: no operation on the curve and none of ML-KEM. What the stored secrets determine is
//! computed when it is needed, once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

mod support;

use noescrow::ChunkSize;
use noescrow::error::RestoreError;
use support::stored::{SESSION, claimed, opened, sealed, storage_key};
use support::{Mock, MockSession, Talk, state};

/// The operations that take longer than 2 µs.
const EXPENSIVE: [&str; 15] = [
    "dh_public",
    "dh",
    "dh_is_torsion_free",
    "signing_public",
    "sign",
    "signing_is_torsion_free",
    "verify",
    "kem_public",
    "kem_public_is_valid",
    "encapsulate",
    "decapsulate",
    "incremental_public",
    "encaps1",
    "encaps2",
    "incremental_decapsulate",
];

/// The expensive operations since the last call, by name.
fn expensive(mock: &Mock) -> Vec<&'static str> {
    let performed = EXPENSIVE.into_iter().flat_map(|name| std::iter::repeat_n(name, mock.count(name))).collect();
    mock.reset();
    performed
}

fn restored(session: &MockSession, mock: &Mock) -> MockSession {
    let snapshot = session.snapshot(&storage_key(), 1);
    MockSession::restore_with(mock.clone(), &snapshot, &storage_key(), &session.subject(), 1).unwrap()
}

/// Control: the same conversation performs expensive operations of each kind that a session has.
#[test]
fn restoring_a_session_performs_no_expensive_operation() {
    let mut performed = Vec::new();
    for chunk_size in [ChunkSize::Bytes32, ChunkSize::Bytes256] {
        let mut talk = Talk::with(1, chunk_size);
        for turn in 0..200 {
            for (session, mock) in [(&mut talk.alice, &talk.alice_mock), (&mut talk.bob, &talk.bob_mock)] {
                performed.extend(expensive(mock));
                *session = restored(session, mock);
                assert_eq!(expensive(mock), [""; 0], "{turn}");
            }
            talk.turn(turn % 2 == 0);
        }
    }
    for name in ["dh", "dh_public", "incremental_public", "encaps1", "encaps2", "incremental_decapsulate"] {
        assert!(performed.contains(&name), "{name}");
    }
}

/// A message of the current chain needs no key pair. Control: a message of a new chain is received with one.
#[test]
fn a_restored_session_receives_in_a_chain_without_key_pairs() {
    let mut talk = Talk::after(2, 3);
    let first = talk.from_bob(b"a new chain");
    let messages = [0; 40].map(|_| talk.from_bob(b"and its next message"));
    talk.alice = restored(&talk.alice, &talk.alice_mock);
    expensive(&talk.alice_mock);
    talk.alice.decrypt(&first).unwrap();
    assert!(expensive(&talk.alice_mock).starts_with(&["dh_public", "dh"]));
    for message in &messages {
        talk.alice = restored(&talk.alice, &talk.alice_mock);
        talk.alice.decrypt(message).unwrap();
        assert_eq!(expensive(&talk.alice_mock), [""; 0]);
    }
}

/// After it was restored in the middle of a chain, a session that sends computes its ratchet key and the Braid's value
/// once. Control: restored again, it computes both again.
#[test]
fn a_restored_session_computes_each_public_key_once() {
    let mut talk = Talk::after(3, 3);
    let _ = talk.from_alice(b"of this chain");
    for _ in 0..2 {
        talk.alice = restored(&talk.alice, &talk.alice_mock);
        expensive(&talk.alice_mock);
        let _ = talk.from_alice(b"the first after restoring");
        assert_eq!(expensive(&talk.alice_mock), ["dh_public", "incremental_public"]);
        for _ in 0..40 {
            let _ = talk.from_alice(b"and later ones");
            assert_eq!(expensive(&talk.alice_mock), [""; 0]);
        }
    }
}

/// SN-2.12: the seal authenticates the identities. Control: a DH key that is none is refused.
#[test]
fn stored_identities_are_parsed_and_not_verified() {
    let talk = Talk::after(4, 1);
    let clear = opened(state(&talk.bob));
    let load = |forged: &[u8]| {
        let snapshot = sealed(SESSION, forged.to_vec());
        MockSession::restore_with(talk.bob_mock.clone(), &snapshot, &storage_key(), &claimed(&snapshot), 0)
    };
    // After the flag, each has a signing key (32), a DH key (32) and a certificate (64).
    for identity in [1, 1 + 128] {
        for at in [identity, identity + 64, identity + 127] {
            let mut forged = clear.clone();
            forged[at] ^= 1;
            assert_eq!(opened(state(&load(&forged).unwrap())), forged, "{at}");
        }
        for dh_key in [[0; 32], [0xFF; 32]] {
            let mut forged = clear.clone();
            forged[identity + 32..][..32].copy_from_slice(&dh_key);
            assert_eq!(load(&forged).unwrap_err(), RestoreError::Refused);
        }
    }
}
