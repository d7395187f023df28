// SPDX-License-Identifier: MIT OR Apache-2.0
//! The post-quantum ratchet in a session: what it reveals, what a forger and a hostile peer can do to it, and what each
//! of the two ratchets protects without the other. Unit tests cover the Braid by itself.

use crate::headers::header_keys;
use crate::support::stored::{Places, opened};
use crate::support::{MessageKeys, MixedHeaderKey, Mock, MockSession, Talk, rng, state};
use crate::{concat_ad, copy, copy_with, cost_of_both, key_is_gone, keys_of, open_with, refuses, unchecked};
use noescrow::error::{DecryptError, EncryptError};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{ChunkSize, MAX_JUMP, Payload};
use noescrow_sim::Endpoint;
use rand_chacha::rand_core::Rng;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

/// Offsets of the Braid's parts in a header.
const KIND: usize = 40;
const CHUNK: usize = 47;
/// Offset of n, after a chunk of 32 bytes.
const NUMBER: std::ops::Range<usize> = 79..83;

/// Kinds of the Braid's messages.
const NONE: u8 = 0;
const HDR: u8 = 1;
const EK: u8 = 2;
const EK_CT1_ACK: u8 = 3;
const CT1: u8 = 4;
const CT2: u8 = 5;

/// Corrupts the chunk of every message of these kinds.
fn corrupt(mock: &Mock, kinds: &'static [u8]) {
    mock.rewrite_headers(move |header| header[CHUNK] ^= u8::from(kinds.contains(&header[KIND])));
}

#[test]
fn d7_all_messages_have_one_length_whatever_the_braid_sends() {
    for chunk_size in ChunkSize::ALL {
        let mut talk = Talk::with(200, chunk_size);
        let kinds = Rc::new(RefCell::new(BTreeSet::new()));
        let header_len = 52 + chunk_size.bytes();
        for mock in [&talk.alice_mock, &talk.bob_mock] {
            let note = kinds.clone();
            mock.rewrite(move |plaintext| {
                if plaintext.len() == header_len {
                    note.borrow_mut().insert(plaintext[KIND]);
                }
            });
        }
        let mut lengths = HashSet::new();
        while talk.alice.post_quantum_epoch() < 3 {
            let ping = talk.from_bob(&[1; 8]);
            talk.alice.decrypt(&ping).unwrap();
            let pong = talk.from_alice(&[1; 8]);
            talk.bob.decrypt(&pong).unwrap();
            lengths.extend([ping.len(), pong.len()]);
        }
        assert_eq!(lengths, HashSet::from([chunk_size.message_overhead() + 10]), "8 bytes and a marker, padded");
        let kinds = kinds.borrow();
        assert_eq!(*kinds, BTreeSet::from([NONE, HDR, EK, EK_CT1_ACK, CT1, CT2]));
        // Control: if messages without a chunk were sent without its room, there would be two lengths.
        let bare = |kind: &u8| if *kind == NONE { header_len - chunk_size.bytes() } else { header_len };
        assert_eq!(kinds.iter().map(bare).collect::<HashSet<_>>().len(), 2);
    }
}

/// The forger has the sender's header key and sends a wrong chunk; it cannot compute the body's tag, and seals the header
/// over a wrong one. At every message of two epochs, in both directions.
#[test]
fn e1_a_forged_message_with_a_chunk_changes_nothing() {
    let mut talk = Talk::new(201);
    let (mut poisoned, mut died) = (0, HashSet::new());
    for turn in 0.. {
        let from_bob = turn % 2 == 0;
        let Talk { alice, alice_mock, bob, bob_mock, rng } = &mut talk;
        let (sender, mock, receiver) = match from_bob {
            true => (bob, bob_mock, alice),
            false => (alice, alice_mock, bob),
        };
        let kind = Rc::new(RefCell::new(NONE));
        let note = kind.clone();
        let thief = copy_with(sender, mock.clone());
        mock.rewrite_headers(move |header| {
            *note.borrow_mut() = header[KIND];
            header[CHUNK] ^= u8::from(header[KIND] != NONE);
        });
        // The tag of a body with other associated data is a wrong tag.
        let body = Payload { plaintext: b"forged", associated_data: b"other", ..Payload::default() };
        let forged = { thief }.encrypt(body, rng).unwrap();
        mock.stop_rewriting();
        let genuine = sender.encrypt(b"genuine", rng).unwrap();
        let mut altered = genuine.clone();
        altered[genuine.len() - 17] ^= 1;

        let before = state(receiver);
        refuses(receiver, &forged);
        refuses(receiver, &altered);
        let mut noise = genuine.clone();
        rng.fill_bytes(&mut noise[1..]);
        refuses(receiver, &noise);
        // Control: a ratchet that takes the chunk before it has authenticated it fails immediately or later.
        let mut hasty = unchecked(receiver);
        assert_eq!(hasty.decrypt(&forged).unwrap().plaintext, b"forged");
        let mut honest = copy(receiver);
        honest.decrypt(&genuine).unwrap();
        if hasty.is_abandoned() {
            died.insert(*kind.borrow());
        } else if *kind.borrow() != NONE {
            let sparse = |end: &MockSession| {
                let stored = opened(state(end));
                stored[Places::of(&stored).braid..].to_vec()
            };
            poisoned += usize::from(sparse(&hasty) != sparse(&honest));
        }
        assert_eq!(before, state(receiver));
        assert_eq!(receiver.decrypt(&genuine).unwrap().plaintext, b"genuine");
        if talk.alice.post_quantum_epoch() == 3 {
            break;
        }
    }
    assert!(!talk.alice.is_abandoned() && !talk.bob.is_abandoned());
    // The header's MAC, the announced key, the ciphertext's MAC.
    assert!(died.contains(&HDR) && died.contains(&CT2) && (died.contains(&EK) || died.contains(&EK_CT1_ACK)));
    assert!(poisoned > 50, "{poisoned}");
}

/// An abandoned session fails every operation, for ever, and does not change.
fn is_over(end: &mut MockSession, mock: &Mock, messages: &[Vec<u8>]) {
    let before = state(end);
    mock.reset();
    for message in messages {
        assert_eq!(end.decrypt(message), Err(DecryptError::Abandoned));
        let mut buffer = message.clone();
        assert_eq!(end.decrypt_in_place(&mut buffer, b"").unwrap_err(), DecryptError::Abandoned);
        assert_eq!(&buffer, message);
    }
    for _ in 0..3 {
        assert_eq!(end.encrypt(b"never", &mut rng(0)).unwrap_err(), EncryptError::Abandoned);
        let mut out = vec![0; 300];
        assert_eq!(end.encrypt_into(b"never", &mut out, &mut rng(0)).unwrap_err(), EncryptError::Abandoned);
        assert!(!out.windows(5).any(|window| window == b"never"));
    }
    // Nothing was sealed or opened, under the classical keys or any other.
    assert_eq!(["seal", "open", "hkdf", "chain step"].map(|operation| mock.count(operation)), [0; 4]);
    assert!(end.is_abandoned());
    assert_eq!(before, state(end));
}

/// A peer puts false data into authentic messages. The message that completes the data opens; then the session is
/// abandoned.
#[test]
fn e6_a_wrong_chunk_of_the_peer_ends_the_session_for_ever() {
    // Who is hostile, what it corrupts, and the result: Alice makes the first epoch's key.
    let by_alice: &[&'static [u8]] = &[&[HDR], &[EK, EK_CT1_ACK]];
    let by_bob: &[&'static [u8]] = &[&[CT1], &[CT2]];
    let cases = by_alice.iter().map(|kinds| (false, *kinds)).chain(by_bob.iter().map(|kinds| (true, *kinds)));
    for (bob_is_hostile, kinds) in cases.chain([(true, &[][..])]) {
        let mut talk = Talk::new(202);
        corrupt(if bob_is_hostile { &talk.bob_mock } else { &talk.alice_mock }, kinds);
        let mut turns = 0;
        let mut last = Vec::new();
        while turns < 400 && !talk.alice.is_abandoned() && !talk.bob.is_abandoned() {
            let from_bob = turns % 2 == 0;
            let Talk { alice, bob, rng, .. } = &mut talk;
            let (sender, receiver) = if from_bob { (bob, alice) } else { (alice, bob) };
            last = sender.encrypt(b"opens", rng).unwrap();
            assert_eq!(receiver.decrypt(&last).unwrap().plaintext, b"opens");
            turns += 1;
        }
        if kinds.is_empty() {
            // Control: with an honest peer, the session continues.
            assert!(turns == 400 && talk.alice.post_quantum_epoch() > 3);
            continue;
        }
        let Talk { alice, alice_mock, bob, bob_mock, rng } = &mut talk;
        let (victim, mock, hostile) = match bob_is_hostile {
            true => (alice, alice_mock, bob),
            false => (bob, bob_mock, alice),
        };
        assert!(victim.is_abandoned() && !hostile.is_abandoned(), "{kinds:?} {turns}");
        assert_eq!((victim.post_quantum_epoch(), hostile.sending_epoch()), (0, 0), "in the first epoch");
        let more = hostile.encrypt(b"more", rng).unwrap();
        let mut noise = more.clone();
        rng.fill_bytes(&mut noise[1..]);
        let messages = [last, more, noise];
        is_over(victim, mock, &messages);
        let mut restored = copy_with(victim, mock.clone());
        assert_eq!(state(victim), state(&restored));
        is_over(&mut restored, mock, &messages);
        // The post-quantum half holds no key any more: one byte for the Braid, and the direction.
        let stored = opened(state(victim));
        assert_eq!(Places::of(&stored).braid + 2, stored.len());
    }
}

/// Both halves of a message's keys, and where the state holds them.
#[test]
fn e8_a_late_message_opens_once_and_only_within_two_epochs() {
    let mut talk = Talk::with(203, ChunkSize::Bytes256);
    let late = talk.from_alice(b"late");
    let MessageKeys { classical, post_quantum } = *talk.alice_mock.message_keys().last().unwrap();
    let skips = talk.from_alice(b"next");
    talk.bob.decrypt(&skips).unwrap();
    let mut epochs_in_which_it_opens = BTreeSet::new();
    let mut in_its_chain = true;
    loop {
        let stored = opened(state(&talk.bob));
        let has = |key: [u8; 32]| stored.windows(32).any(|window| window == key);
        assert!(has(classical), "the classical half lives for {} steps", noescrow::MAX_SKIPPED_STEPS);
        let epoch = talk.bob.sending_epoch();
        assert_eq!(has(post_quantum), epoch < 2, "{epoch}");
        if epoch == 2 {
            break;
        }
        epochs_in_which_it_opens.insert(epoch);
        let mut here = copy(&talk.bob);
        assert_eq!(here.decrypt(&late).unwrap().plaintext, b"late");
        // The header opens until the message's chain is left; then its key was the last one kept of it.
        match in_its_chain {
            true => key_is_gone(&mut here, &late),
            false => refuses(&mut here, &late),
        }
        in_its_chain = false;
        talk.turn(true);
        talk.turn(false);
    }
    assert_eq!(epochs_in_which_it_opens, BTreeSet::from([0, 1]));
    key_is_gone(&mut talk.bob, &late);
    // Control: the error is due to the message's epoch. A message of the epoch before opens, and the conversation
    // continues.
    let mut other = Talk::with(203, ChunkSize::Bytes256);
    while other.bob.sending_epoch() < 1 {
        other.turn(true);
        other.turn(false);
    }
    let late = other.from_alice(b"late");
    while other.bob.sending_epoch() < 2 {
        other.turn(true);
        other.turn(false);
    }
    assert_eq!(other.bob.decrypt(&late).unwrap().plaintext, b"late");
    talk.turn(true);
    talk.turn(false);
}

/// A cryptanalyst has broken one ratchet completely, and has every message key of the other one except one.
#[test]
fn e15_keys_of_one_ratchet_alone_open_no_message() {
    let mut talk = Talk::new(204);
    let mut messages = Vec::new();
    for round in 0..12 {
        talk.turn(true);
        for _ in 0..1 + round % 3 {
            let message = talk.from_alice(b"secret");
            messages.push(message.clone());
            talk.bob.decrypt(&message).unwrap();
        }
    }
    let keys: Vec<MessageKeys> = messages.iter().map(|message| keys_of(&talk, message)).collect();
    let zero = MessageKeys { classical: [0; 32], post_quantum: [0; 32] };
    let opened_by = |message: &[u8], keys: MessageKeys| open_with(&keys, &[&concat_ad(&talk, message)], message);
    for (at, message) in messages.iter().enumerate() {
        let others = || keys.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, keys)| keys).chain([&zero]);
        for other in others() {
            let without_post_quantum = keys.iter().map(|keys| MessageKeys { classical: keys.classical, ..*other });
            let without_classical = keys.iter().map(|keys| MessageKeys { post_quantum: keys.post_quantum, ..*other });
            for ablated in without_post_quantum.chain(without_classical) {
                assert_eq!(opened_by(message, ablated), None);
            }
        }
        // One half in both places, and the halves exchanged.
        let MessageKeys { classical, post_quantum } = keys[at];
        for (classical, post_quantum) in
            [(classical, classical), (post_quantum, post_quantum), (post_quantum, classical)]
        {
            assert_eq!(opened_by(message, MessageKeys { classical, post_quantum }), None);
        }
        // Control: with both halves it opens.
        assert_eq!(opened_by(message, keys[at]).unwrap(), b"secret");
    }
    // Control: the same search finds a message key made of the classical half alone, KDF(salt = 0).
    let alone = MessageKeys { post_quantum: [0; 32], ..keys[0] };
    let key = crate::aead_key(&alone, &messages[0]);
    let (head, body) = messages[0].split_at(crate::HEAD_LEN);
    let mut text = vec![0; body.len() - 16];
    text[..7].copy_from_slice(b"secret\x80");
    let tag = RustCrypto.seal(&key, &crate::NONCE, &concat_ad(&talk, &messages[0]), &mut text).unwrap();
    let classical_only = [head, &tag, &text].concat();
    assert_eq!(opened_by(&classical_only, alone).unwrap(), b"secret");
}

/// An attacker who has broken every Diffie-Hellman since the handshake has each next header key as the classical
/// ratchet derives it, but not the post-quantum root's share that is mixed in. In the first epoch and in later ones.
#[test]
fn e15_the_classical_ratchet_s_header_keys_open_no_header() {
    let mut talk = Talk::with(208, ChunkSize::Bytes256);
    let mut messages = Vec::new();
    while talk.alice.post_quantum_epoch() < 4 {
        for from_bob in [true, false] {
            let Talk { alice, bob, rng, .. } = &mut talk;
            let (sender, receiver) = if from_bob { (bob, alice) } else { (alice, bob) };
            let message = sender.encrypt(b"hidden", rng).unwrap();
            receiver.decrypt(&message).unwrap();
            messages.push(message);
        }
    }
    let opens = |header_key: &[u8; 32], message: &[u8]| {
        // With the largest chunks, a header has 84 + 224 bytes.
        let [salt, commitment, ciphertext, tag] = [1..17, 17..33, 33..341, 341..357].map(|part| &message[part]);
        let body = &message[357..];
        let (gcm, committed) = header_keys(header_key, salt.try_into().unwrap(), body.len() as u64 - 16);
        commitment == committed && gcm.open(body, ciphertext, tag.try_into().unwrap()).is_some()
    };
    let keys: HashSet<_> =
        [&talk.alice_mock, &talk.bob_mock].map(|mock| mock.header_keys()).concat().into_iter().collect();
    let opened_by = |key: &dyn Fn(&MixedHeaderKey) -> [u8; 32]| {
        messages.iter().filter(|message| keys.iter().any(|keys| opens(&key(keys), message))).count()
    };
    let without_share = |keys: &MixedHeaderKey| {
        let mut mixed = [0; 32];
        RustCrypto.hkdf(&[0; 32], &[&keys.classical], &[b"noescrow-v1 next header key"], &mut mixed);
        mixed
    };
    assert_eq!((opened_by(&|keys| keys.classical), opened_by(&without_share)), (0, 0));
    // Control: the mixed keys open every header except Bob's first, whose key is the handshake's.
    assert_eq!(opened_by(&|keys| keys.mixed), messages.len() - 1);
}

#[test]
fn e17_messages_in_order_leave_no_key_stored() {
    // The Braid's longest state holds coins, header and ek_vector.
    const BRAID: usize = 1 + 4 + 2 * 32 + 32 + 64 + 4 + 1152;
    let kept = |end: &MockSession| {
        let stored = opened(state(end));
        let places = Places::of(&stored);
        let sparse = places.kept(&stored, 2);
        let braid = places.direction - places.braid;
        assert!(braid <= BRAID, "{braid}");
        (end.skipped_message_keys(), sparse, stored.len() - braid)
    };
    let mut talk = Talk::with(205, ChunkSize::Bytes256);
    let mut longest = Vec::new();
    for epochs in 1..=6 {
        let mut most = 0;
        while talk.alice.post_quantum_epoch() < 2 * epochs {
            // Bursts of any length, alternately.
            for from_bob in [true, false] {
                for _ in 0..1 + talk.rng.next_u32() % 4 {
                    talk.turn(from_bob);
                    for end in [&talk.alice, &talk.bob] {
                        let (classical, sparse, len) = kept(end);
                        assert_eq!((classical, sparse), (0, 0));
                        most = most.max(len);
                    }
                }
            }
        }
        longest.push(most);
    }
    // Apart from the Braid, the state is as long in two epochs as in any two others, except the first, which have no
    // older one.
    assert!(longest[1..].iter().all(|most| *most == longest[1]) && longest[0] <= longest[1], "{longest:?}");
    // Control: a lost message leaves one key in each half.
    let before = kept(&talk.bob);
    let _lost = talk.from_alice(b"lost");
    talk.turn(false);
    let after = kept(&talk.bob);
    assert_eq!((after.0, after.1), (1, 1));
    assert!(after.2 > before.2, "{before:?} {after:?}");
}

/// Sharpens `c2_a_huge_number_is_refused_before_any_key_is_derived`: n of the post-quantum chain, with N right.
#[test]
fn c2_a_huge_post_quantum_number_is_refused_before_any_derivation() {
    // Bob has received three messages of this chain.
    let received = 3;
    let bound = 2 * MAX_JUMP;
    let lie = |number: u32| {
        let mut talk = Talk::after(206, 2);
        talk.alice_mock.rewrite_headers(move |header| header[NUMBER].copy_from_slice(&number.to_be_bytes()));
        let message = talk.from_alice(b"lies");
        talk.alice_mock.stop_rewriting();
        let before = state(&talk.bob);
        let Talk { bob, bob_mock, .. } = &mut talk;
        let mut error = None;
        let [.., steps] = cost_of_both(bob_mock, || error = bob.decrypt(&message).err());
        assert_eq!(error.is_some(), before == state(bob));
        talk.turn(false);
        (steps, error)
    };
    for number in [received + 1 + bound + 1, 1 << 31, u32::MAX - 1, u32::MAX] {
        assert_eq!(lie(number), (0, Some(DecryptError::TooManySkipped)), "{number}");
    }
    for number in [0, 1, received] {
        assert_eq!(lie(number), (0, Some(DecryptError::Refused)), "{number}");
    }
    // Control: a number one less causes work, of the bounded amount, so that the counter would notice more; the right
    // one opens.
    assert_eq!(lie(received + 1 + bound), (bound as usize + 1, Some(DecryptError::Refused)));
    assert_eq!(lie(received + 1), (1, None));
}

/// Every size, in both directions, with a fifth of the messages lost.
#[test]
fn e16_with_chunks_of_every_size_the_ratchet_runs_through_losses() {
    let mut epochs = Vec::new();
    for chunk_size in ChunkSize::ALL {
        let mut talk = Talk::with(207, chunk_size);
        assert_eq!((talk.alice.chunk_size(), talk.bob.chunk_size()), (chunk_size, chunk_size));
        for number in 0..300u32 {
            let text = number.to_be_bytes();
            let from_bob = talk.rng.next_u32().is_multiple_of(2);
            let message = if from_bob { talk.from_bob(&text) } else { talk.from_alice(&text) };
            if !talk.rng.next_u32().is_multiple_of(5) {
                let receiver = if from_bob { &mut talk.alice } else { &mut talk.bob };
                assert_eq!(receiver.decrypt(&message).unwrap().plaintext, text);
            }
            if number % 50 == 0 {
                talk.alice = copy_with(&talk.alice, talk.alice_mock.clone());
                talk.bob = copy_with(&talk.bob, talk.bob_mock.clone());
            }
        }
        assert!(!talk.alice.is_abandoned() && !talk.bob.is_abandoned());
        assert_eq!(talk.bob.chunk_size(), chunk_size, "stored");
        epochs.push(talk.alice.post_quantum_epoch());
    }
    // Control: the chunks determine when epochs end: larger chunks, sooner.
    assert!(epochs[0] > 0 && epochs.windows(2).all(|pair| pair[0] < pair[1]), "{epochs:?}");
}
