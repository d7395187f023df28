// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters that a hostile peer chooses: the work that they cause, and the ends of 32 bits.

use crate::support::stored::{Places, SESSION, opened, sealed, storage_key};
use crate::support::{MockSession, Talk, state};
use crate::{cost, cost_of_both, refuses};
use noescrow::error::{DecryptError, EncryptError};
use noescrow::{MAX_JUMP, MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS, MESSAGE_OVERHEAD};
use rand_chacha::rand_core::Rng;

/// Alice sends false PN and N in her next header; in her current chain, or in a new one.
fn forge(talk: &mut Talk, previous: u32, number: u32, new_chain: bool) -> Vec<u8> {
    if new_chain {
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
    }
    talk.alice_mock.rewrite_headers(move |header| {
        header[32..36].copy_from_slice(&previous.to_be_bytes());
        header[36..40].copy_from_slice(&number.to_be_bytes());
    });
    let message = talk.from_alice(b"lies");
    talk.alice_mock.stop_rewriting();
    message
}

const OPENED: Option<DecryptError> = None;
const REFUSED: Option<DecryptError> = Some(DecryptError::Refused);
const TOO_MANY: Option<DecryptError> = Some(DecryptError::TooManySkipped);

/// Chain HMACs and Diffie-Hellmans that the false header caused, and its outcome. The post-quantum number is right.
fn work_of_forged_counters(previous: u32, number: u32, new_chain: bool) -> (usize, usize, Option<DecryptError>) {
    let mut talk = Talk::after(40, 1);
    let message = forge(&mut talk, previous, number, new_chain);
    let before = state(&talk.bob);
    talk.bob_mock.reset();
    let error = talk.bob.decrypt(&message).err();
    let work = (talk.bob_mock.count("chain step"), talk.bob_mock.count("dh"), error);
    assert_eq!(error.is_some(), before == state(&talk.bob));
    let next = talk.from_alice(b"next");
    assert_eq!(talk.bob.decrypt(&next).unwrap().plaintext, b"next");
    work
}

/// Sharpens `invariant_2_received_bytes_cause_bounded_work_and_memory`.
/// DR-D5, DR-D6.
#[test]
fn c2_a_huge_number_is_refused_before_any_key_is_derived() {
    // Bob has received one message of this chain.
    for number in [MAX_JUMP + 2, 1 << 31, u32::MAX - 1] {
        assert_eq!(work_of_forged_counters(0, number, false), (0, 0, TOO_MANY), "{number}");
    }
    for number in [MAX_JUMP + 1, 1 << 31, u32::MAX - 1] {
        assert_eq!(work_of_forged_counters(0, number, true), (0, 0, TOO_MANY), "{number}");
    }
    // Control: a number one less causes work, of the bounded amount, so that the counter would notice more.
    let bound = MAX_JUMP as usize + 1;
    assert_eq!(work_of_forged_counters(0, MAX_JUMP + 1, false), (bound, 0, REFUSED));
    assert_eq!(work_of_forged_counters(0, MAX_JUMP, true), (bound, 1, REFUSED));
    assert_eq!(work_of_forged_counters(0, MAX_JUMP / 2, true), (bound / 2 + 1, 1, REFUSED));
}

/// DR-D6, DR-D7: where more than a jump is missing of the old chain, nothing of it is derived; the old chain is walked
/// only for keys that are kept.
#[test]
fn c3_the_work_of_both_jumps_is_bounded() {
    for previous in [MAX_JUMP, u32::MAX] {
        assert_eq!(work_of_forged_counters(previous, MAX_JUMP + 1, true), (0, 0, TOO_MANY), "{previous}");
    }
    for previous in [MAX_JUMP + 2, u32::MAX] {
        assert_eq!(work_of_forged_counters(previous, 0, true), (1, 1, OPENED), "{previous}: given up");
    }
    let (jump, kept) = (MAX_JUMP as usize, MAX_SKIPPED_KEYS as u32);
    // Controls: one less is walked; so is the old chain's whole jump for one key that the new one leaves room for, which
    // is the most work that can be requested.
    assert_eq!(work_of_forged_counters(MAX_JUMP + 1, 0, true), (jump + 1, 1, OPENED));
    let most = work_of_forged_counters(MAX_JUMP + 1, kept - 1, true);
    assert_eq!(most, (jump + kept as usize, 1, REFUSED));
    assert_eq!(work_of_forged_counters(MAX_JUMP + 1, kept, true), (kept as usize + 1, 1, REFUSED));
    // A PN below the number received stores nothing.
    assert_eq!(work_of_forged_counters(0, 0, true), (1, 1, OPENED));
}

/// Both ends of a chain of which 2^32 - 4 messages were sent and received.
fn worn_out(seed: u64) -> Talk {
    let mut talk = Talk::after(seed, 1);
    let number = u32::MAX - 3;
    let wind = |end: &MockSession, mock: &crate::support::Mock, place: fn(Places) -> Option<usize>| {
        let mut bytes = opened(state(end));
        let at = place(Places::of(&bytes)).unwrap();
        assert_eq!(bytes[at..at + 4], 1u32.to_be_bytes());
        bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        MockSession::restore_in_place(mock.clone(), &mut sealed(SESSION, bytes), &storage_key(), &end.subject(), 0)
            .unwrap()
    };
    talk.alice = wind(&talk.alice, &talk.alice_mock, |places| places.sending_number);
    talk.bob = wind(&talk.bob, &talk.bob_mock, |places| places.receiving_number);
    talk
}

/// DR-E0.
#[test]
fn c4_counters_at_their_end_do_not_wrap_or_panic() {
    // How many of the last three messages arrive before the chain ends.
    for arrive in 0..=3 {
        let mut talk = worn_out(41);
        let last: Vec<_> = (0..3).map(|_| talk.from_alice(b"last")).collect();
        let before = state(&talk.alice);
        assert_eq!(talk.alice.encrypt(b"", &mut talk.rng).unwrap_err(), EncryptError::ChainExhausted);
        assert_eq!(before, state(&talk.alice));
        for message in last.iter().take(arrive) {
            assert_eq!(talk.bob.decrypt(message).unwrap().plaintext, b"last");
        }
        // The ended chain has PN = 2^32 - 1; keys of its missing messages are kept.
        let ping = talk.from_bob(b"ping");
        assert_eq!(talk.alice.decrypt(&ping).unwrap().plaintext, b"ping");
        let fresh = talk.from_alice(b"fresh");
        assert_eq!(talk.bob.decrypt(&fresh).unwrap().plaintext, b"fresh");
        assert_eq!(talk.bob.skipped_message_keys(), 3 - arrive);
        for message in last.iter().skip(arrive) {
            assert_eq!(talk.bob.decrypt(message).unwrap().plaintext, b"last");
        }
        refuses(&mut talk.bob, &last[0]);
    }
    // Control: the specification's check in wrapping 32-bit arithmetic refuses the honest message that was just opened.
    let (received, honest) = (u32::MAX - 3, u32::MAX - 2);
    assert!(received.wrapping_add(MAX_JUMP) < honest);
    assert!(received.checked_add(MAX_JUMP).is_none(), "and checked, it panics or fails");
}

/// DR-D5, DR-D6.
#[test]
fn c4_forged_counters_at_their_end_are_refused() {
    for (new_chain, previous, number) in
        [(false, 0, u32::MAX), (true, u32::MAX, u32::MAX), (true, 0, u32::MAX), (true, u32::MAX, u32::MAX - 1)]
    {
        let mut talk = worn_out(43);
        let message = forge(&mut talk, previous, number, new_chain);
        let before = state(&talk.bob);
        assert!(talk.bob.decrypt(&message).is_err(), "{new_chain} {previous} {number}");
        assert_eq!(before, state(&talk.bob));
        let genuine = talk.from_alice(b"genuine");
        assert_eq!(talk.bob.decrypt(&genuine).unwrap().plaintext, b"genuine");
    }
}

/// DR-D4.
#[test]
fn c27_a_past_number_without_a_kept_key_costs_no_derivation() {
    let mut talk = Talk::after(44, 1);
    let seen = talk.from_alice(b"seen");
    talk.bob.decrypt(&seen).unwrap();
    let late = talk.from_alice(b"late");
    let next = talk.from_alice(b"next");
    talk.bob.decrypt(&next).unwrap();
    let last = talk.from_alice(b"last");
    let Talk { bob, bob_mock, .. } = &mut talk;
    // HKr opened the header; the body was not processed. No key was derived in either chain.
    let replayed = cost_of_both(bob_mock, || {
        bob.decrypt(&seen).unwrap_err();
    });
    assert_eq!(replayed, [0, 0, 1, 1, 0]);
    // Controls: a kept key is found without derivation, too, and opens; for a new message the next key is derived. The
    // specification's pseudocode would have derived keys for the replay as well.
    assert_eq!(cost_of_both(bob_mock, || assert_eq!(bob.decrypt(&late).unwrap().plaintext, b"late")), [0, 0, 1, 2, 0]);
    assert_eq!(cost_of_both(bob_mock, || assert_eq!(bob.decrypt(&last).unwrap().plaintext, b"last")), [1, 0, 1, 2, 1]);
}

#[test]
fn d6_the_header_keys_tried_are_bounded_by_the_steps_kept() {
    let mut talk = Talk::new(45);
    let mut tried = Vec::new();
    for _ in 0..2 * MAX_SKIPPED_STEPS {
        // Each chain has one missing message, so that its header key is kept.
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
        let _gap = talk.from_alice(b"gap");
        let pong = talk.from_alice(b"pong");
        talk.bob.decrypt(&pong).unwrap();
        let mut noise = vec![0; MESSAGE_OVERHEAD + 16];
        talk.rng.fill_bytes(&mut noise);
        noise[0] = 0x12;
        let Talk { bob, bob_mock, .. } = &mut talk;
        let [hmacs, dhs, headers, openings] = cost(bob_mock, || {
            bob.decrypt(&noise).unwrap_err();
        });
        assert_eq!([hmacs, dhs, openings], [0, 0, 0]);
        tried.push(headers);
    }
    let bound = MAX_SKIPPED_STEPS as usize + 2;
    assert_eq!(tried.last(), Some(&bound), "{tried:?}");
    assert!(tried.iter().all(|headers| *headers <= bound));
    // Control: below the bound, each gap does cost one more trial, besides HKr and NHKr.
    assert!(tried.iter().take(MAX_SKIPPED_STEPS as usize).enumerate().all(|(gaps, headers)| *headers == gaps + 2));
}

/// Discards `lost` messages of Alice's, within a chain or at its head, and returns the errors of the message after them and
/// of the one after Bob has answered.
fn after_losing(lost: u32, head: bool) -> [Option<DecryptError>; 2] {
    let mut talk = Talk::after(63, 3);
    if head {
        talk.turn(true);
    }
    // Without the mock, which records each of them.
    let (key, subject) = (storage_key(), talk.alice.subject());
    let mut alice = noescrow::Session::restore(&state(&talk.alice), &key, &subject, 0).unwrap();
    let mut discarded = vec![0; MESSAGE_OVERHEAD + 1];
    for _ in 0..lost {
        alice.encrypt_into(b"", &mut discarded, &mut talk.rng).unwrap();
    }
    let snapshot = alice.snapshot(&key, 0);
    talk.alice = MockSession::restore_with(talk.alice_mock.clone(), &snapshot, &key, &subject, 0).unwrap();
    let message = talk.from_alice(b"is anybody there?");
    let first = talk.bob.decrypt(&message).err();
    talk.turn(true);
    let message = talk.from_alice(b"and now?");
    [first, talk.bob.decrypt(&message).err()]
}

/// A limit, which `tests/loss.rs` approaches from below: a server that discards more than a jump closes a chain. Where a
/// message of the chain had arrived, Bob's answer brings Alice's next chain, which opens. Where none had, he cannot
/// answer it, and that direction needs a new session.
#[test]
fn w13_losing_more_than_a_jump_closes_a_chain() {
    assert_eq!(after_losing(MAX_JUMP + 1, false), [TOO_MANY, OPENED]);
    assert_eq!(after_losing(MAX_JUMP + 1, true), [TOO_MANY, TOO_MANY]);
    // Control: exactly the bound.
    assert_eq!(after_losing(MAX_JUMP, false), [OPENED, OPENED]);
    assert_eq!(after_losing(MAX_JUMP, true), [OPENED, OPENED]);
}
