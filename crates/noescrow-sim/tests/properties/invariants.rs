// SPDX-License-Identifier: MIT OR Apache-2.0
//! One test for each invariant of the design. Each has a control that shows that the test can fail.
//!
//! `Mock` counts operations and rewrites plaintexts before they are sealed; `Logged` records keys. Neither sees memory,
//! cycles or the allocator: other tests check wiping and constant time.

use crate::key_log::{Key, Logged};
use crate::schedules::{self, config, hostile, jump, ping_pong};
use crate::support::stored::{Places, SESSION, claimed, opened, sealed, storage_key};
use crate::support::{self, Mock, MockDevice, MockSession, NOW, Talk, bundle, device_state, mock_device, rng};
use noescrow::error::{AcceptError, DecodeError, DecryptError, EncryptError, RestoreError};
use noescrow::hazmat::{AcceptFromAnyone, duplicate_bundle};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{
    Bundle, Capacity, FIRST_MESSAGE_OVERHEAD, Identity, InitiateOptions, MAX_JUMP, MAX_SKIPPED_KEYS, MESSAGE_OVERHEAD,
    Payload, Sealed, Session, device, session,
    skipped::{Heap, Inline},
};
use noescrow_sim::{Endpoint, Event, Opening, Side, Simulation};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::collections::{BTreeMap, HashSet};

type LoggedSimulation = Simulation<session::Session<Logged>, ChaCha20Rng>;

fn logged(opening: Opening) -> (LoggedSimulation, [Logged; 2]) {
    let logs = [Logged::default(), Logged::default()];
    let simulation = Simulation::new(logs[0].clone(), logs[1].clone(), Logged::default(), opening, rng(11)).unwrap();
    (simulation, logs)
}

fn secrets_in(state: &[u8], secrets: &HashSet<Key>) -> usize {
    let found: HashSet<&[u8]> = state.windows(32).filter(|window| secrets.contains(*window)).collect();
    found.len()
}

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

    /// No AEAD key seals twice or opens twice, whatever the network does and wherever a device crashes; this holds for
    /// headers and bodies. A message after a crash has the number and the ratchets' keys of the one that the crash lost,
    /// but another salt.
    #[test]
    fn invariant_3_a_message_key_is_used_once_and_a_message_opens_once(
        events in schedules::schedule(20), opening in schedules::opening(),
    ) {
        let (mut simulation, logs) = logged(opening);
        for event in events {
            simulation.step(event).map_err(|violation| TestCaseError::fail(violation.to_string()))?;
        }
        prop_assert_eq!(used_twice(&logs), 0);
    }

    #[test]
    fn invariant_5_a_state_holds_no_secret_of_the_past(
        events in schedules::schedule(20), opening in schedules::opening(),
    ) {
        let (mut simulation, logs) = logged(opening);
        for event in events {
            simulation.step(event).map_err(|violation| TestCaseError::fail(violation.to_string()))?;
            // This includes crashes and restored sessions: they have the same state.
            for (end, keys) in [&simulation.ends().alice, &simulation.ends().bob].into_iter().zip(&logs) {
                holds_only_what_is_to_come(end, keys)?;
            }
        }
    }

    #[test]
    fn invariant_7_bytes_do_not_depend_on_primitives_or_store(
        events in schedules::schedule(7), opening in schedules::opening(), seed: u64,
    ) {
        let plain = transcript::<_, Heap>(RustCrypto, opening, &events, seed);
        prop_assert_eq!(&plain, &transcript::<_, Heap>(Mock::default(), opening, &events, seed));
        // A session without a heap is large, and several are on the stack at a time.
        let inline = std::thread::scope(|scope| {
            let run = || transcript::<_, Inline<512>>(RustCrypto, opening, &events, seed);
            std::thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, run).unwrap().join().unwrap()
        });
        prop_assert_eq!(&plain, &inline);
        // Control: other randomness gives other bytes.
        prop_assert_ne!(&plain, &transcript::<_, Heap>(RustCrypto, opening, &events, seed.wrapping_add(1)));
    }
}

/// Errors of the caller and refusals by a device change nothing either.
#[test]
fn invariant_1_an_error_of_the_caller_leaves_session_and_device_unchanged() {
    let mut talk = Talk::after(3, 2);
    let before = support::state(&talk.alice);
    let enough = talk.alice.message_len(5).unwrap();
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

/// Counts AEAD keys of messages and headers that sealed twice, or opened twice at one side. Snapshots do not count:
/// their key is a function of the plaintext.
fn used_twice(logs: &[Logged; 2]) -> usize {
    let mut twice = 0;
    let mut sealed = HashSet::new();
    for keys in logs {
        let log = keys.log.borrow();
        twice += log.seals.iter().filter(|used| used.step != "SN-1" && !sealed.insert((*used).clone())).count();
        let mut opened = HashSet::new();
        let messages = log.opens.iter().filter(|used| used.step == "DR-D8");
        twice += messages.filter(|used| !opened.insert((*used).clone())).count();
    }
    twice
}

#[test]
fn invariant_3_control_a_key_used_twice_is_seen() {
    let (mut simulation, logs) = logged(Opening::PLAIN);
    let send = Event::Send { from: Side::Alice, length: 5, associated_data: 0 };
    for event in [send, Event::Restore { side: Side::Alice }, send, Event::DeliverAll { to: Side::Bob }] {
        simulation.step(event).unwrap();
    }
    assert_eq!(used_twice(&logs), 0);
    for event in [Event::Crash { side: Side::Alice }, send] {
        simulation.step(event).unwrap();
    }
    assert_eq!(used_twice(&logs), 0, "a crash: one state is used twice, with different random bytes");
    // One state is used twice with the same random bytes: both keys of a message seal twice.
    let alice = &simulation.ends().alice;
    for text in [b"one", b"two"] {
        let mut again = alice.reload(&alice.save(0), 0).unwrap();
        again.encrypt(text, &mut rng(1)).unwrap();
    }
    assert_eq!(used_twice(&logs), 2);
}

/// A message can cause three changes: it uses up a skipped key, jumps in the chain, or takes a ratchet step with a jump
/// in both chains. If its body, its tag or its associated data is forged, it causes none.
#[test]
fn invariant_4_no_step_is_taken_for_a_message_that_has_not_been_authenticated() {
    for kind in ["skipped", "jump", "step"] {
        let mut talk = Talk::after(7, 2);
        // Longer than what the header's AEAD covers.
        let text = &[3; 4_200];
        let message = match kind {
            "skipped" => {
                let late = talk.from_alice(text);
                let next = talk.from_alice(b"next");
                talk.bob.decrypt(&next).unwrap();
                late
            }
            "jump" => (0..9).map(|_| talk.from_alice(text)).last().unwrap(),
            _ => {
                let ping = talk.from_bob(b"ping");
                let _ = (talk.from_alice(b"lost"), talk.alice.decrypt(&ping).unwrap().plaintext);
                (0..9).map(|_| talk.from_alice(text)).last().unwrap()
            }
        };
        let (before, kept) = (support::state(&talk.bob), talk.bob.skipped_message_keys());
        let covered = MESSAGE_OVERHEAD + 4_096;
        for at in (0..200).chain((200..covered - 16).step_by(7)).chain(covered - 16..message.len()) {
            let mut forged = message.clone();
            forged[at] ^= 4;
            talk.bob_mock.reset();
            assert_eq!(talk.bob.decrypt(&forged).unwrap_err(), DecryptError::Refused);
            let steps = talk.bob_mock.steps();
            assert!(!steps.contains(&"DR-D9"), "{kind} {at}");
            // Nothing is derived and the body is not opened unless the header is genuine and belongs to it.
            assert_eq!(steps.contains(&"DR-D8"), at >= covered, "{kind} {at}");
            assert_eq!(steps.contains(&"TR-1"), at >= covered, "{kind} {at}");
            assert_eq!((&before, kept), (&support::state(&talk.bob), talk.bob.skipped_message_keys()), "{kind} {at}");
        }
        assert_eq!(
            talk.bob.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap_err(),
            DecryptError::Refused
        );
        assert_eq!(before, support::state(&talk.bob));
        // Control: the genuine message takes the step and changes the state.
        talk.bob_mock.reset();
        assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, text);
        assert!(talk.bob_mock.steps().contains(&"DR-D9"));
        assert_ne!(before, support::state(&talk.bob));
    }

    let mut rng = rng(7);
    let (mut bob, mock) = mock_device(&mut rng);
    let (alice, _) = mock_device(&mut rng);
    for one_time in [true, false] {
        let bundle = bundle(&mut bob, one_time, &mut rng);
        let (_, hello) = alice.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap();
        let before = device_state(&bob);
        for at in FIRST_MESSAGE_OVERHEAD - 16 - 132..hello.len() {
            let mut forged = hello.clone();
            forged[at] ^= 4;
            mock.reset();
            assert_eq!(bob.accept(&forged).unwrap_err(), AcceptError::Refused);
            assert!(!mock.steps().contains(&"HS-R7"), "{at}");
            assert_eq!(before, device_state(&bob), "{at}");
        }
        mock.reset();
        assert_eq!(bob.accept(&hello).unwrap().1, b"hello");
        assert!(mock.steps().contains(&"HS-R7"));
    }
}

/// The part of the invariant that is visible from outside: which of all secrets that were ever used are still in the
/// state. Whether the memory of an erased secret is wiped is not visible here.
fn holds_only_what_is_to_come(end: &session::Session<Logged>, keys: &Logged) -> Result<(), TestCaseError> {
    let state = opened(end.snapshot(&storage_key(), 0));
    let log = keys.log.borrow();
    let secrets: HashSet<Key> = log.dh_secrets.iter().copied().collect();
    prop_assert_eq!(secrets_in(&state, &log.message_keys), end.skipped_message_keys(), "message keys");
    prop_assert_eq!(secrets_in(&state, &log.used_message_keys), 0, "used message keys");
    prop_assert_eq!(secrets_in(&state, &log.root_keys), 1, "root keys");
    prop_assert!(secrets_in(&state, &log.chain_keys) <= 2, "chain keys");
    // Chains of two epochs and of the next one; the sending chain of the oldest is gone.
    prop_assert_eq!(secrets_in(&state, &log.sparse_root_keys), 1, "post-quantum root keys");
    prop_assert!(secrets_in(&state, &log.sparse_chain_keys) <= 5, "post-quantum chain keys");
    let kept = Places::of(&state).kept(&state, 2);
    prop_assert_eq!(secrets_in(&state, &log.sparse_message_keys), kept, "post-quantum message keys");
    prop_assert!(secrets_in(&state, &secrets) <= 1, "ratchet secrets");
    Ok(())
}

#[test]
fn invariant_5_a_state_has_kept_message_keys_and_no_others() {
    let half = MAX_SKIPPED_KEYS as u16 / 2;
    let (mut simulation, [_, bob]) = logged(Opening::PLAIN);
    let kept = |simulation: &LoggedSimulation, keys: &HashSet<Key>| {
        secrets_in(&opened(simulation.ends().bob.snapshot(&storage_key(), 0)), keys)
    };
    let play = |simulation: &mut LoggedSimulation, events: Vec<Event>| {
        events.into_iter().for_each(|event| simulation.step(event).unwrap());
        bob.log.borrow().message_keys.clone()
    };
    // Two jumps fill the store; the third evicts the first jump's keys.
    let first = play(&mut simulation, jump(Side::Alice, 0, half));
    assert_eq!(kept(&simulation, &first), MAX_SKIPPED_KEYS / 2, "control: kept keys are found");
    let second = play(&mut simulation, jump(Side::Alice, 0, half));
    assert_eq!(kept(&simulation, &second), MAX_SKIPPED_KEYS);
    play(&mut simulation, jump(Side::Alice, 0, half));
    assert_eq!(kept(&simulation, &first), 0, "evicted");
    assert_eq!(simulation.ends().bob.skipped_message_keys(), MAX_SKIPPED_KEYS);
    // A message uses up its key.
    play(&mut simulation, vec![Event::Deliver { to: Side::Bob, at: noescrow_sim::FROM_BACK }]);
    let used = bob.log.borrow().used_message_keys.clone();
    assert_eq!(kept(&simulation, &used), 0, "used");
    // All other keys expire.
    let all = play(&mut simulation, ping_pong(34, 0));
    assert_eq!((kept(&simulation, &all), simulation.ends().bob.skipped_message_keys()), (0, 0), "old");
}

#[test]
fn invariant_5_prekeys_and_handshake_secrets_are_gone_when_the_session_is_there() {
    type LoggedDevice = device::Device<Logged, Capacity<4, 4>>;
    let mut rng = rng(9);
    let keys = Logged::default();
    let alice_keys = Logged::default();
    let alice = LoggedDevice::generate_with(alice_keys.clone(), NOW, &mut rng);
    let mut bob = LoggedDevice::generate_with(keys.clone(), NOW, &mut rng);
    let state = |device: &LoggedDevice| opened(device.snapshot(&storage_key(), 0));
    let has = |state: &[u8], secret: &[u8]| state.windows(secret.len()).any(|window| window == secret);

    let (curve_before, kem_before) = {
        let log = keys.log.borrow();
        (log.dh_secrets.len(), log.kem_seeds.len())
    };
    let mut published = bob.publish(1, NOW, &mut rng).unwrap();
    let (one_time, seed) = {
        let log = keys.log.borrow();
        (log.dh_secrets[curve_before], log.kem_seeds[kem_before])
    };
    assert!(has(&state(&bob), &one_time) && has(&state(&bob), &seed), "control: found before they are used");
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let long_term: HashSet<Key> = alice_keys.log.borrow().dh_secrets.iter().copied().collect();
    let (first, hello) = alice.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let ephemeral: HashSet<Key> =
        alice_keys.log.borrow().dh_secrets.iter().copied().filter(|secret| !long_term.contains(secret)).collect();
    assert_eq!(ephemeral.len(), 2, "EK and the first ratchet key");
    assert_eq!(secrets_in(&opened(first.snapshot(&storage_key(), 0)), &ephemeral), 1, "the ratchet key alone");
    assert_eq!(secrets_in(&state(&alice), &ephemeral), 0);

    let (session, _) = bob.accept(&hello).unwrap();
    let after = state(&bob);
    assert!(!has(&after, &one_time) && !has(&after, &seed));
    let secrets: HashSet<Key> = keys.log.borrow().dh_secrets.iter().copied().collect();
    assert_eq!(secrets_in(&opened(session.snapshot(&storage_key(), 0)), &secrets), 0, "the ratchet step consumed DHs");

    let signed = keys.log.borrow().dh_secrets[1];
    assert!(has(&state(&bob), &signed), "control: the signed prekey in force");
    bob.rotate(NOW, &mut rng);
    assert!(has(&state(&bob), &signed));
    assert!(bob.delete_previous_signed_prekeys());
    assert!(!has(&state(&bob), &signed));
}

/// This counts operations, not cycles. Within one class of the leakage contract (length, kind, header genuine or not,
/// messages skipped) every forgery and every plaintext costs the same operations in the same order of steps.
#[test]
fn invariant_6_operations_depend_on_nothing_secret() {
    let mut talk = Talk::after(10, 3);
    // Longer than what the header's AEAD covers.
    let text = &[7; 4_200];
    let late = talk.from_alice(text);
    let message = talk.from_alice(text);
    talk.bob.decrypt(&message).unwrap();
    let next = talk.from_alice(text);
    let far = (0..4).map(|_| talk.from_alice(text)).last().unwrap();
    let cost = |talk: &mut Talk, message: &[u8]| {
        talk.bob_mock.reset();
        assert!(talk.bob.decrypt(message).is_err());
        let counts =
            ["hmac_pair", "hmac", "hkdf", "hkdf_expand", "sha256", "open", "dh"].map(|op| talk.bob_mock.count(op));
        (counts, talk.bob_mock.steps())
    };
    let covered = MESSAGE_OVERHEAD + 4_096;
    let mut bodies = Vec::new();
    for original in [&late, &next, &far] {
        let mut classes = [HashSet::new(), HashSet::new(), HashSet::new()];
        for at in (1..200).chain((200..original.len()).step_by(5)) {
            for bit in [0, 3, 7] {
                let mut forged = original.clone();
                forged[at] ^= 1 << bit;
                // Salt and commitment; then the header and what its AEAD covers of the body; then the rest of the body.
                let class = if at < 33 {
                    0
                } else if at < covered {
                    1
                } else {
                    2
                };
                classes[class].insert(cost(&mut talk, &forged));
            }
        }
        for _ in 0..50 {
            let mut noise = vec![0; original.len()];
            talk.rng.fill_bytes(&mut noise);
            noise[0] = 0x12;
            classes[0].insert(cost(&mut talk, &noise));
        }
        assert_eq!(classes.each_ref().map(HashSet::len), [1, 1, 1]);
        bodies.push(classes[2].clone());
    }
    // Control: what the contract lists is visible: a skipped key, the next key, and a key after three skipped ones.
    assert!(bodies[0] != bodies[1] && bodies[1] != bodies[2] && bodies[0] != bodies[2]);

    // The contract lists the post-quantum ratchet's states as visible: each step of the Braid is a class.
    let mut costs: BTreeMap<Option<&str>, HashSet<_>> = BTreeMap::new();
    for round in 0..50u8 {
        let mut text = vec![round; 100];
        talk.rng.fill_bytes(&mut text[..usize::from(round)]);
        talk.alice_mock.reset();
        let message = talk.from_alice(&text);
        talk.bob_mock.reset();
        if round == 0 {
            talk.bob.decrypt(&message).unwrap();
            continue;
        }
        assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, text);
        let steps = [talk.alice_mock.steps(), talk.bob_mock.steps()];
        let braid = steps.concat().into_iter().find(|step| step.starts_with("BR-"));
        costs.entry(braid).or_default().insert((talk.alice_mock.work(), talk.bob_mock.work(), steps));
    }
    // One message completes the peer's key; all others have equal cost.
    assert_eq!(costs.keys().collect::<Vec<_>>(), [&None, &Some("BR-10")]);
    assert!(costs.values().all(|costs| costs.len() == 1), "{costs:?}");
}

type Transcript = (Vec<u8>, Vec<Vec<u8>>, [Vec<u8>; 2]);

/// The bundle, every message and both final states.
fn transcript<P: Primitives, S: noescrow::skipped::SkippedKeyStore>(
    primitives: P,
    opening: Opening,
    events: &[Event],
    seed: u64,
) -> Transcript {
    let [alice, bob] = [primitives.clone(), primitives.clone()];
    let mut simulation =
        Simulation::<session::Session<P, S>, _>::new(alice, bob, primitives, opening, rng(seed)).unwrap();
    noescrow_sim::run(&mut simulation, events.iter().copied()).unwrap();
    let states = [&simulation.ends().alice, &simulation.ends().bob].map(|end| end.save(0));
    (simulation.bundle().to_vec(), simulation.sent().iter().map(|sent| sent.bytes.clone()).collect(), states)
}

#[test]
fn invariant_7_the_verbs_with_and_without_an_allocator_give_the_same_bytes() {
    let [mut one, mut other] = [Talk::after(12, 1), Talk::after(12, 1)];
    for len in [0, 1, 31, 32, 1000] {
        let text = vec![9; len];
        let message = one.from_alice(&text);
        let mut out = vec![0; other.alice.message_len(len).unwrap()];
        let written = other.alice.encrypt_into(&text, &mut out, &mut other.rng).unwrap();
        assert_eq!((&out, written), (&message, message.len()));
        assert_eq!(one.bob.decrypt(&message).unwrap().plaintext, text);
        assert_eq!(other.bob.decrypt_in_place(&mut out, b"").unwrap().plaintext, text);
        assert_eq!(support::state(&one.bob), support::state(&other.bob));
    }
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

/// Positions of equally long messages at which the bytes do not look random: they take too few values, or a bit is
/// biased. With 512 messages, random bytes take about 221 values; a fair bit deviates from one half by 10 % once in
/// 10^5 times.
fn non_random_positions(messages: &[Vec<u8>]) -> Vec<usize> {
    assert_eq!(messages.len(), 512);
    let len = messages[0].len();
    assert!(messages.iter().all(|message| message.len() == len));
    let non_random = |at: &usize| {
        let values: HashSet<u8> = messages.iter().map(|message| message[*at]).collect();
        let bits = (0..8).map(|bit| messages.iter().filter(|message| message[*at] >> bit & 1 == 1).count());
        values.len() < 180 || bits.into_iter().any(|set| set.abs_diff(256) > 60)
    };
    (0..len).filter(non_random).collect()
}

/// Padmé, as its paper defines it.
fn padme(len: usize) -> usize {
    let exponent = (len as f64).log2().floor();
    let kept = if exponent < 1.0 { 0.0 } else { exponent.log2().floor() + 1.0 };
    let step = 2f64.powf((exponent - kept).max(0.0));
    ((len as f64 / step).ceil() * step) as usize
}

#[test]
fn invariant_9_the_server_learns_size_class_and_type_only() {
    let mut talk = Talk::after(15, 1);
    // One chain, equal texts, rising numbers: anything that a header revealed would be at the same position.
    let mut messages: Vec<_> = (0..512).map(|_| talk.from_alice(&[0; 64])).collect();
    assert_eq!(non_random_positions(&messages), [0], "in one chain");
    assert!(messages.iter().all(|message| message[0] == 0x12));
    // Many chains of both sides: nothing reveals the sender of a message.
    let mut talk = Talk::after(16, 1);
    let mut mixed = Vec::new();
    for _ in 0..256 {
        let ping = talk.from_bob(&[0; 64]);
        talk.alice.decrypt(&ping).unwrap();
        let pong = talk.from_alice(&[0; 64]);
        talk.bob.decrypt(&pong).unwrap();
        mixed.extend([ping, pong]);
    }
    assert_eq!(non_random_positions(&mixed), [0], "over many chains");
    // Control: a plaintext counter and one biased bit are detected.
    for (number, message) in messages.iter_mut().enumerate() {
        message[5] = (number >> 8) as u8;
        message[9] |= u8::from(number % 3 == 0) << 4;
    }
    assert_eq!(non_random_positions(&messages), [0, 5, 9]);

    for len in 0..3_000 {
        assert_eq!(talk.alice.message_len(len).unwrap(), MESSAGE_OVERHEAD + padme(len + 1), "{len}");
    }
    let message = talk.from_alice(&[0; 1000]);
    assert_eq!(message.len(), MESSAGE_OVERHEAD + 1024);
}

/// A first message shows the prekeys' ids, which the server itself handed out, and keys that are fresh for each
/// session. It does not show the initiator's identity, which is the same in all of these messages.
#[test]
fn invariant_9_first_messages_share_prekey_ids_only() {
    let mut rng = rng(17);
    let alice = MockDevice::generate_with(Mock::default(), NOW, &mut rng);
    let (mut bob, _) = mock_device(&mut rng);
    let bundle = bundle(&mut bob, true, &mut rng);
    let mut first =
        || alice.initiate(duplicate_bundle(&bundle), &[0; 64], InitiateOptions::unverified(NOW), &mut rng).unwrap().1;
    let messages: Vec<_> = (0..64).map(|_| first()).collect();
    let same = |at: &usize| messages.iter().all(|message| message[*at] == messages[0][*at]);
    let constant: Vec<_> = (0..messages[0].len()).filter(same).collect();
    let known: Vec<_> = (0..10).chain([10 + 32 + 1568]).collect();
    assert_eq!(constant, known, "type, signed prekey's id, flag, one-time prekey's id, chunk size");
    let shared = |a: &[u8], b: &[u8]| a.windows(8).any(|window| b.windows(8).any(|other| other == window));
    let identity = alice.identity().to_bytes();
    assert!(messages.iter().all(|message| !shared(&identity, message)));
    // Control: the bundle shows its owner.
    assert!(shared(&bob.identity().to_bytes(), &bundle.to_bytes()));
}
