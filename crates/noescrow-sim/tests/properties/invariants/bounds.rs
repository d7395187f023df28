// SPDX-License-Identifier: MIT OR Apache-2.0
//! Invariant 2: nothing received causes a panic, or work and memory without a bound.

use crate::schedules::config;
use crate::support::stored::{Places, SESSION, claimed, opened, sealed, storage_key};
use crate::support::{self, MockDevice, MockSession, Talk, mock_device, rng};
use noescrow::error::{DecryptError, EncryptError, RestoreError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Identity, MAX_JUMP, MAX_SKIPPED_KEYS, MESSAGE_OVERHEAD, Session};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn invariant_2_nothing_received_causes_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000), kind: u8) {
        let mut talk = Talk::new(2);
        let mut rng = rng(2);
        let (mut device, _) = mock_device(&mut rng);
        let mut message = bytes.clone();
        if let Some(first) = message.first_mut() {
            *first = 0x10 | kind & 3;
        }
        for bytes in [&bytes, &message] {
            prop_assert_eq!(talk.bob.decrypt(bytes), Err(DecryptError::Refused));
            prop_assert_eq!(talk.alice.decrypt(bytes), Err(DecryptError::Refused));
            prop_assert!(device.accept(bytes).is_err());
            prop_assert!(Bundle::from_bytes(&RustCrypto, bytes).is_err());
            let is_newer = |error| matches!(error, RestoreError::Refused | RestoreError::NewerVersion);
            let session = Session::restore(bytes, &storage_key(), &talk.bob.subject(), 0);
            prop_assert!(session.is_err_and(is_newer));
            let restored = MockDevice::restore_with(Default::default(), bytes, &storage_key(), &device.subject(), 0);
            prop_assert!(restored.is_err_and(is_newer));
            if let Some(identity) = bytes.first_chunk() {
                prop_assert!(Identity::from_bytes(&RustCrypto, identity).is_err());
            }
        }
    }

    /// An attacker with the storage key gains nothing either: a forged state that loads is one that could have been
    /// stored, byte for byte, and the session continues without a panic.
    #[test]
    fn invariant_2_a_forged_state_is_refused_or_stored_again_as_its_bytes(
        at in any::<prop::sample::Index>(), from_end in prop::option::of(0usize..100), byte: u8, seed in 0u64..3,
    ) {
        let mut talk = Talk::after(seed, seed as usize);
        let lost = talk.from_alice(b"lost");
        let next = talk.from_alice(b"next");
        talk.bob.decrypt(&next).unwrap();
        let state = opened(talk.bob.snapshot(&storage_key(), 0));
        let mut forged = state.clone();
        let at = from_end.map_or(at.index(state.len()), |back| state.len() - 1 - back);
        forged[at] ^= byte;
        match restore(&sealed(SESSION, forged.clone())) {
            Ok(mut bob) => {
                prop_assert_eq!(opened(bob.snapshot(&storage_key(), 0)), forged);
                let _ = bob.decrypt(&lost);
                let _ = bob.encrypt(b"on", &mut talk.rng);
            }
            Err(error) => prop_assert_eq!(error, RestoreError::Refused),
        }
        // The right bytes load.
        let mut bob = restore(&sealed(SESSION, state)).unwrap();
        prop_assert_eq!(bob.decrypt(&lost).unwrap().plaintext, b"lost");
    }
}

/// A peer may claim any counters. `MAX_JUMP` bounds the work, `MAX_SKIPPED_KEYS` the state. Every field on the wire has a
/// fixed width, so that a peer cannot claim a length.
#[test]
fn invariant_2_received_bytes_cause_bounded_work_and_memory() {
    let kept = MAX_SKIPPED_KEYS as u32;
    let edges = [0, 1, kept - 1, kept, MAX_JUMP - 1, MAX_JUMP, MAX_JUMP + 1, 1 << 31, u32::MAX - 1, u32::MAX];
    let mut most = 0;
    for new_chain in [false, true] {
        for (previous, number) in edges.into_iter().flat_map(|a| edges.map(|b| (a, b))) {
            let mut talk = Talk::after(4, 1);
            if new_chain {
                let ping = talk.from_bob(b"ping");
                talk.alice.decrypt(&ping).unwrap();
            }
            talk.alice_mock.rewrite_headers(move |header| {
                header[32..36].copy_from_slice(&previous.to_be_bytes());
                header[36..40].copy_from_slice(&number.to_be_bytes());
            });
            let message = talk.from_alice(b"lies");
            let before = support::state(&talk.bob);
            talk.bob_mock.reset();
            let outcome = talk.bob.decrypt(&message);
            most = most.max(talk.bob_mock.work());
            // The message opens under its own number. Under any other it must not, because the key differs. A false end
            // of the old chain harms nobody: its author could as well have sent the messages.
            let honest = number == u32::from(!new_chain);
            assert_eq!(outcome.is_ok(), honest, "{new_chain} {previous} {number}");
            assert!(talk.bob.skipped_message_keys() <= MAX_SKIPPED_KEYS);
            if outcome.is_err() {
                assert_eq!(before, support::state(&talk.bob));
            }
        }
    }
    // The old chain is walked only if the new one leaves room for one of its keys.
    let bound = MAX_JUMP as usize + MAX_SKIPPED_KEYS + 20;
    assert!(most <= bound, "{most} operations");
    // Control: the bound is nearly reached, so that it is meaningful.
    assert!(most >= bound - 20, "{most} operations");
}

#[test]
fn invariant_2_a_message_of_a_gibibyte_costs_what_one_of_a_hundred_bytes_costs() {
    let mut talk = Talk::after(5, 1);
    let genuine = talk.from_alice(b"genuine");
    let mut work = |message: &mut [u8]| {
        talk.bob_mock.reset();
        assert_eq!(talk.bob.decrypt_in_place(message, b"").unwrap_err(), DecryptError::Refused);
        talk.bob_mock.work()
    };
    // Zeros that are never touched take no memory. If the body were read, this would take seconds and a gibibyte.
    let mut huge = vec![0; 1 << 30];
    huge[0] = 0x12;
    let mut small = huge[..MESSAGE_OVERHEAD + 100].to_vec();
    assert_eq!(work(&mut huge), work(&mut small));
    assert_eq!(talk.bob.decrypt(&genuine).unwrap().plaintext, b"genuine");
}

/// Restores what a snapshot claims to be.
fn restore(snapshot: &[u8]) -> Result<MockSession, RestoreError> {
    MockSession::restore_with(Default::default(), snapshot, &storage_key(), &claimed(snapshot), 0)
}

#[test]
fn invariant_2_counts_in_a_snapshot_are_not_believed() {
    let mut talk = Talk::after(6, 1);
    let state = opened(talk.bob.snapshot(&storage_key(), 0));
    let places = Places::of(&state);
    for count in [1u32, 33, 2_001, 1 << 30, u32::MAX] {
        let mut forged = state.clone();
        forged[places.chains..places.chains + 4].copy_from_slice(&count.to_be_bytes());
        // Skipped keys of the current chains, of which there are none, or more than there are bytes.
        let page = |ratchet: u8| [&state[..], &[ratchet], &[0, 0, 0, 1], &[0; 4], &count.to_be_bytes()].concat();
        let full = |ratchet: u8| [page(ratchet), vec![7; 32 * count.count_ones() as usize]].concat();
        for forged in [forged, page(1), page(2), full(1), full(2)] {
            assert_eq!(restore(&sealed(SESSION, forged)).unwrap_err(), RestoreError::Refused, "{count}");
        }
    }
    // Counters of either ratchet at their maximum: `encrypt` reports that the chain is exhausted.
    let pong = talk.from_alice(b"pong");
    talk.bob.decrypt(&pong).unwrap();
    let _ = talk.from_bob(b"a chain of its own");
    let state = opened(talk.bob.snapshot(&storage_key(), 0));
    let places = Places::of(&state);
    let sparse = places.epochs[0].1.unwrap() + 32;
    for (number, sent) in [(places.sending_number.unwrap(), 1u32), (sparse, 2)] {
        assert_eq!(state[number..number + 4], sent.to_be_bytes());
        let with_number = |number_is: u32| {
            let mut state = state.clone();
            state[number..number + 4].copy_from_slice(&number_is.to_be_bytes());
            restore(&sealed(SESSION, state)).unwrap()
        };
        let mut bob = with_number(u32::MAX);
        let before = support::state(&bob);
        assert_eq!(bob.encrypt(b"", &mut talk.rng).unwrap_err(), EncryptError::ChainExhausted);
        assert_eq!(before, support::state(&bob));
        // Control: one number is left.
        let mut bob = with_number(u32::MAX - 1);
        bob.encrypt(b"", &mut talk.rng).unwrap();
        assert_eq!(bob.encrypt(b"", &mut talk.rng).unwrap_err(), EncryptError::ChainExhausted);
    }
}
