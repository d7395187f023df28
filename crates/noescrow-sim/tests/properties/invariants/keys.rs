// SPDX-License-Identifier: MIT OR Apache-2.0
//! Invariants 3, 4 and 5: a key is used once, for an authenticated message, and is then gone.

use crate::key_log::{Key, Logged};
use crate::schedules::{self, config, jump, ping_pong};
use crate::support::stored::{Places, opened, storage_key};
use crate::support::{self, NOW, Talk, bundle, device_state, mock_device, rng};
use noescrow::error::{AcceptError, DecryptError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{
    Bundle, Capacity, FIRST_MESSAGE_OVERHEAD, InitiateOptions, MAX_SKIPPED_KEYS, MESSAGE_OVERHEAD, Sealed, device,
    session,
};
use noescrow_sim::{Endpoint, Event, Opening, Side, Simulation};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use std::collections::HashSet;

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
