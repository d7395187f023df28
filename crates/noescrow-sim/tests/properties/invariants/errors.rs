// SPDX-License-Identifier: MIT OR Apache-2.0
//! Invariants 1 and 8: an error changes nothing, and a failure from the network is one opaque error.

use crate::schedules::{self, config, hostile};
use crate::support::{self, NOW, Talk, bundle, device_state, mock_device, rng};
use noescrow::error::{AcceptError, DecodeError, DecryptError, EncryptError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, InitiateOptions, MAX_JUMP, Payload, Sealed, Session, session};
use noescrow_sim::{Opening, Simulation};
use proptest::prelude::*;
use std::collections::HashSet;

proptest! {
    #![proptest_config(config(40))]

    /// `run` compares the state before and after every error; here nearly all events are errors. Control: the faulty
    /// sessions `ChangesStateOnError` and `LosesKeysToForgeries`.
    #[test]
    fn invariant_1_an_error_leaves_the_session_unchanged(
        before in schedules::schedule(20),
        attacks in proptest::collection::vec(hostile(), 40),
    ) {
        let mut simulation = Simulation::<Session, _>::new(RustCrypto, RustCrypto, RustCrypto, Opening::PLAIN, rng(1)).unwrap();
        for event in before.into_iter().chain(attacks) {
            simulation.step(event).map_err(|violation| TestCaseError::fail(violation.to_string()))?;
        }
    }
}

/// Errors of the caller and refusals by a device change nothing either.
#[test]
fn invariant_1_an_error_of_the_caller_leaves_session_and_device_unchanged() {
    let mut talk = Talk::after(3, 2);
    let before = support::state(&talk.alice);
    let enough = talk.alice.message_len(b"hello").unwrap();
    let mut short = vec![0; enough - 1];
    let error = talk.alice.encrypt_into(b"hello", &mut short, &mut talk.rng).unwrap_err();
    assert_eq!(error, EncryptError::BufferTooShort);
    assert!(!short.windows(5).any(|window| window == b"hello"));
    // Zeros that are never touched take no memory.
    let huge = vec![0; session::MAX_PLAINTEXT_LEN + 1];
    assert_eq!(talk.alice.encrypt(&huge, &mut talk.rng).unwrap_err(), EncryptError::TooLong);
    assert_eq!(before, support::state(&talk.alice));

    let mut rng = rng(3);
    let (mut bob, _) = mock_device(&mut rng);
    let (alice, _) = mock_device(&mut rng);
    let bundle = bundle(&mut bob, true, &mut rng);
    let (_, hello) = alice
        .initiate(
            bundle,
            Payload { plaintext: b"hello", associated_data: b"ad", ..Payload::default() },
            InitiateOptions::unverified(NOW),
            &mut rng,
        )
        .unwrap();
    let before = device_state(&bob);
    for at in (0..hello.len()).step_by(13) {
        let mut forged = hello.clone();
        forged[at] ^= 0x20;
        assert_eq!(
            bob.accept(Sealed { message: &forged, associated_data: b"ad" }).unwrap_err(),
            AcceptError::Refused,
            "{at}"
        );
        assert_eq!(before, device_state(&bob), "{at}");
    }
    assert_eq!(bob.accept(Sealed { message: &hello, associated_data: b"other" }).unwrap_err(), AcceptError::Refused);
    assert!(bob.publish(100, NOW, &mut rng).is_err());
    assert_eq!(before, device_state(&bob));
    // Control: the right message is accepted and changes the state.
    assert_eq!(bob.accept(Sealed { message: &hello, associated_data: b"ad" }).unwrap().1, b"hello");
    assert_ne!(before, device_state(&bob));
}

#[test]
fn invariant_8_network_failures_are_one_opaque_error() {
    let mut talk = Talk::after(13, 2);
    let old = talk.from_alice(b"old");
    let next = talk.from_alice(b"next");
    let own = talk.from_bob(b"own");
    let stranger = Talk::after(14, 2).from_alice(b"stranger");
    let mut failures = vec![Vec::new(), vec![0x12], vec![0x11; 1900], own, stranger, vec![0x12; 300]];
    for at in 0..next.len() {
        let mut forged = next.clone();
        forged[at] ^= 1;
        failures.extend([forged, next[..at].to_vec()]);
    }
    let mut texts = HashSet::new();
    for failure in failures {
        let error = talk.bob.decrypt(&failure).unwrap_err();
        texts.insert((format!("{error}"), format!("{error:?}")));
    }
    let error = talk.bob.decrypt(Sealed { message: &next, associated_data: b"other" }).unwrap_err();
    texts.insert((format!("{error}"), format!("{error:?}")));
    assert_eq!(texts.len(), 1);
    // Control: two errors are distinguishable. Their headers are authentic: only the peer causes them, or a copy of what
    // the peer sent.
    assert_eq!(talk.bob.decrypt(&next).unwrap().plaintext, b"next");
    let far = (0..=MAX_JUMP + 1).map(|_| talk.from_alice(b"far")).last().unwrap();
    let authentic = [next, far].map(|message| talk.bob.decrypt(&message).unwrap_err());
    assert_eq!(authentic, [DecryptError::KeyGone, DecryptError::TooManySkipped]);
    for error in authentic {
        assert!(!texts.contains(&(format!("{error}"), format!("{error:?}"))));
    }
    assert_eq!(talk.bob.decrypt(&old).unwrap().plaintext, b"old");

    let mut rng = rng(13);
    let (mut bob, _) = mock_device(&mut rng);
    let bytes = bundle(&mut bob, true, &mut rng).to_bytes();
    assert!(Bundle::from_bytes(&RustCrypto, &bytes).is_ok());
    for at in (0..bytes.len()).step_by(5) {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        assert_eq!(Bundle::from_bytes(&RustCrypto, &forged).unwrap_err(), DecodeError::Refused, "{at}");
    }
}
