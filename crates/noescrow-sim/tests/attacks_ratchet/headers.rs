// SPDX-License-Identifier: MIT OR Apache-2.0
//! Header encryption: attacks on a header, and what a header reveals.

use crate::ghash::{Gcm, collide};
use crate::support::stored::{Places, opened};
use crate::support::{HEADER_LEN, Mock, MockSession, Talk, rng, state};
use crate::{HEAD_LEN, HEADER_PARTS, copy, copy_with, cost, key_is_gone, refuses};
use noescrow::error::DecryptError;
use noescrow::primitives::{DhPublicKey, Primitives, RustCrypto};
use noescrow::skipped::SkippedKeyStore;
use noescrow::{
    FIRST_MESSAGE_OVERHEAD, MAX_JUMP, MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS, MESSAGE_OVERHEAD, skipped::Heap,
};
use rand_chacha::rand_core::Rng;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// One header's AEAD key, and its commitment.
pub fn header_keys(header_key: &[u8; 32], salt: &[u8; 16], body_len: u64) -> (Gcm, [u8; 16]) {
    let mac = |parts: &[&[u8]]| RustCrypto.hmac(header_key, parts);
    let key = mac(&[b"noescrow-v1 header", salt, &[0x12], &body_len.to_be_bytes()]);
    let commitment = mac(&[b"noescrow-v1 commitment", salt]);
    (Gcm::new(key, crate::NONCE), *commitment.expose().first_chunk().unwrap())
}

/// A ratchet key, a message of the Braid with a chunk, and flags.
fn decodes(header: &[u8]) -> bool {
    let ratchet_key = DhPublicKey::from_bytes(header[..32].try_into().unwrap());
    ratchet_key.is_ok() && (1..=5).contains(&header[40]) && header[83] < 4
}

/// The peer knows HKr and NHKr, since it made both. It searches for a salt under which one ciphertext is a valid header
/// under either key, and solves for the tag.
#[test]
fn d2_the_commitment_refuses_a_ciphertext_for_two_header_keys() {
    let mut talk = Talk::after(80, 2);
    let stored = opened(state(&talk.bob));
    let places = Places::of(&stored);
    let key_at = |at: usize| -> [u8; 32] { *stored[at..].first_chunk().unwrap() };
    let header_keys_of_bob = [key_at(places.receiving_header_key.unwrap()), key_at(places.next_receiving_header_key)];
    // The body's tag and ciphertext, which the header's AEAD covers.
    let body = [7; 16 + 8];

    let mut rng = rng(80);
    let mut salt = [0; 16];
    let mut ciphertext = [0; HEADER_LEN];
    let (tag, commitments) = loop {
        rng.fill_bytes(&mut salt);
        let [(one, first), (other, second)] = header_keys_of_bob.map(|key| header_keys(&key, &salt, 8));
        let streams: [[u8; HEADER_LEN]; 2] = [one.keystream(), other.keystream()];
        // Under the second key: PN = N = 0, a chunk of epoch 1, the next n, and the root of epoch 0. Under the first
        // key, the header's form is left to chance. The ratchet key is what the equation gives.
        let mut header = [0; HEADER_LEN];
        (header[40], header[44], header[82]) = (1, 1, 4);
        ciphertext.copy_from_slice(&xor(&header, &streams[1]));
        let under_first = xor(&ciphertext, &streams[0]);
        if !(1..=5).contains(&under_first[40]) || under_first[83] > 3 {
            continue;
        }
        let tag = collide([&one, &other], &body, &mut ciphertext);
        // Control: plain AES-GCM opens the ciphertext under either key, to two different headers.
        let headers = [&one, &other].map(|gcm| gcm.open(&body, &ciphertext, &tag).expect("opens under both"));
        assert_ne!(headers[0], headers[1]);
        if headers.iter().all(|header| decodes(header)) {
            break (tag, [first, second]);
        }
    };

    let message = |commitment: &[u8; 16]| [&[0x12][..], &salt, commitment, &ciphertext, &tag, &body].concat();
    let mut neither = commitments[0];
    neither[0] ^= 1;
    for (commitment, opens) in [(commitments[0], 1), (commitments[1], 1), (neither, 0)] {
        let Talk { bob, bob_mock, .. } = &mut talk;
        let forged = message(&commitment);
        let [_, _, _, openings] = cost(bob_mock, || {
            let _ = bob.decrypt(&forged);
        });
        // One key fits the commitment. The other is not even tried, so that this is one header and not two.
        assert!(openings == opens || (openings == 2 && bob_mock.steps().contains(&"DR-D8")), "{openings}");
        assert_eq!(bob_mock.steps().contains(&"DR-D6"), commitment == commitments[1]);
        refuses(bob, &forged);
    }
    let genuine = talk.from_alice(b"genuine");
    assert_eq!(talk.bob.decrypt(&genuine).unwrap().plaintext, b"genuine");
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// One message of each session, from the generators with these seeds, and their headers in the clear.
fn messages_with<const N: usize>(
    mock: &Mock,
    sealed: [(&mut MockSession, u64, &[u8]); N],
) -> ([Vec<u8>; N], Vec<Vec<u8>>) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = seen.clone();
    mock.rewrite_headers(move |header| note.borrow_mut().push(header.to_vec()));
    let messages = sealed.map(|(end, seed, text)| end.encrypt(text, &mut rng(seed)).unwrap());
    mock.stop_rewriting();
    // Each header is seen twice: in the body's associated data, and when it is sealed.
    let headers = seen.borrow().iter().step_by(2).cloned().collect();
    (messages, headers)
}

/// DR-E3. A salt's first half is a tag of the message's number.
#[test]
fn d3_a_stuck_generator_repeats_no_salt_and_reveals_no_header() {
    let mut talk = Talk::after(81, 1);
    let [salt, _, sealed, _] = HEADER_PARTS;
    let zeros = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == 0).count();
    let (mut copy, mock) = (copy_with(&talk.alice, talk.alice_mock.clone()), talk.alice_mock.clone());
    let alice = &mut talk.alice;
    let ([one], first) = messages_with(&mock, [(&mut *alice, 5, &[3; 64])]);
    let ([two], second) = messages_with(&mock, [(&mut *alice, 5, &[3; 64])]);
    assert_eq!(one[9..17], two[9..17], "the generator's half");
    assert_ne!(one[salt.clone()], two[salt.clone()]);
    // The headers differ in few bytes. Ciphertexts under one keystream would differ in as few; these do in most.
    assert!(zeros(&xor(&first[0], &second[0])) > 32 + 4);
    assert!(zeros(&xor(&one[sealed.clone()], &two[sealed.clone()])) < 10);
    assert!(zeros(&xor(&one[HEAD_LEN..], &two[HEAD_LEN..])) < 10);
    for message in [&one, &two] {
        assert_eq!(talk.bob.decrypt(message).unwrap().plaintext, [3; 64]);
    }

    // Control, and the documented consequence: if one state is used twice, with the same random bytes, the salt repeats.
    // The headers are equal, and the difference of the texts can be read.
    let ([again], third) = messages_with(&mock, [(&mut copy, 5, &[4; 64])]);
    assert_eq!((&again[salt.clone()], &third), (&one[salt.clone()], &first));
    assert_eq!(again[sealed.clone()], one[sealed]);
    assert_eq!(xor(&again[MESSAGE_OVERHEAD..], &one[MESSAGE_OVERHEAD..])[..64], [3 ^ 4; 64]);
    let salts: HashSet<Vec<u8>> = (0..1_000).map(|_| talk.from_alice(b"")[salt.clone()].to_vec()).collect();
    assert_eq!(salts.len(), 1_000);
}

/// DR-D2, DR-D4.
#[test]
fn d5_an_old_header_without_a_kept_key_is_refused_immediately() {
    let mut talk = Talk::after(82, 1);
    let kept = talk.from_alice(b"kept");
    let used = talk.from_alice(b"used");
    talk.bob.decrypt(&used).unwrap();
    // A backup of Alice's continues to seal in the chain that she leaves.
    let mut backup = copy_with(&talk.alice, talk.alice_mock.clone());
    for _ in 0..2 {
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
        let pong = talk.from_alice(b"pong");
        talk.bob.decrypt(&pong).unwrap();
    }
    let mut forged = |number: u32| {
        talk.alice_mock.rewrite_headers(move |header| header[36..40].copy_from_slice(&number.to_be_bytes()));
        let forged = backup.encrypt(b"forged", &mut talk.rng).unwrap();
        talk.alice_mock.stop_rewriting();
        forged
    };
    let mut unstored = vec![used];
    // Key 1 is kept; all others of that chain were used up or came after its end.
    unstored.extend([0, 2, 3, 4, 500, MAX_JUMP, u32::MAX - 1, u32::MAX].map(&mut forged));
    for message in &unstored {
        let Talk { bob, bob_mock, .. } = &mut talk;
        let [hmacs, dhs, headers, openings] = cost(bob_mock, || {
            assert_eq!(bob.decrypt(message).unwrap_err(), DecryptError::KeyGone);
        });
        // HKr and NHKr do not fit the commitment, the old key does; then processing ends.
        assert_eq!([hmacs, dhs, headers, openings], [0, 0, 3, 1]);
        key_is_gone(bob, message);
    }
    // Control: the message whose key is kept opens under that header key. Then the header key is deleted, and no key
    // fits.
    assert_eq!(talk.bob.decrypt(&kept).unwrap().plaintext, b"kept");
    let Talk { bob, bob_mock, .. } = &mut talk;
    let gone = cost(bob_mock, || {
        bob.decrypt(&unstored[0]).unwrap_err();
    });
    assert_eq!(gone, [0, 0, 2, 0]);
}

#[test]
fn d7_the_length_of_a_header_reveals_nothing() {
    // In chains of any length, after chains of any length, with numbers of any size, in both directions.
    let mut talk = Talk::new(83);
    let mut sizes = HashSet::new();
    let mut numbers = HashSet::new();
    for burst in [1, 3, 130, 300] {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let note = seen.clone();
        talk.alice_mock.rewrite_headers(move |header| note.borrow_mut().push(header[32..40].to_vec()));
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
        let messages: Vec<_> = (0..burst).map(|_| talk.from_alice(&[1; 8])).collect();
        talk.alice_mock.stop_rewriting();
        talk.bob.decrypt(messages.last().unwrap()).unwrap();
        sizes.extend(messages.iter().map(Vec::len));
        sizes.insert(talk.from_bob(&[1; 8]).len());
        numbers.extend(seen.borrow().iter().cloned());
    }
    assert_eq!(sizes, HashSet::from([MESSAGE_OVERHEAD + 10]), "8 bytes and a marker, padded");
    // Messages of an unanswered initiator are longer by the handshake, and by nothing else.
    let unanswered = Talk::new(84).from_alice(&[1; 8]).len();
    assert_eq!(unanswered, FIRST_MESSAGE_OVERHEAD + 10);
    // Control: with counters of variable length, the numbers that were sealed would give three sizes.
    let varint = |bytes: &[u8]| (32 - u32::from_be_bytes(bytes.try_into().unwrap()).leading_zeros()).div_ceil(7).max(1);
    let lengths: HashSet<u32> = numbers.iter().map(|pair| varint(&pair[..4]) + varint(&pair[4..])).collect();
    assert!(lengths.len() > 1, "{lengths:?}");
}

/// How many keys are kept after each of a conversation's messages.
fn kept(seed: u64, text: &[u8], lost: u32) -> Vec<usize> {
    let mut talk = Talk::new(seed);
    (0..MAX_SKIPPED_STEPS + 5)
        .map(|round| {
            let ping = talk.from_bob(text);
            talk.alice.decrypt(&ping).unwrap();
            (0..if round == 0 { lost } else { round % 3 }).for_each(|_| drop(talk.from_alice(text)));
            let pong = talk.from_alice(text);
            talk.bob.decrypt(&pong).unwrap();
            talk.bob.skipped_message_keys()
        })
        .collect()
}

/// Bounds and deletion depend only on the order of messages: neither a clock nor a user's choice distinguishes devices.
#[test]
fn d8_kept_keys_depend_only_on_the_order_of_messages() {
    assert_eq!((MAX_JUMP, MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS), (25_000, 2_000, 32), "part of the protocol's version");
    assert_eq!(Heap::CAPACITY, MAX_SKIPPED_KEYS);
    let one = kept(85, b"short", 4);
    assert_eq!(one, kept(86, &[9; 500], 4), "other keys, other texts");
    assert!(one.windows(2).any(|pair| pair[1] < pair[0]), "something is deleted");
    // Control: one more lost message shows until its key is deleted, at the same step.
    let other = kept(85, b"short", 5);
    let steps = MAX_SKIPPED_STEPS as usize + 1;
    assert!(one[..steps].iter().zip(&other).all(|(a, b)| a + 1 == *b) && one[steps..] == other[steps..]);
}

/// A restored copy behaves as the original: what [`kept`] counts is in the state.
#[test]
fn d8_control_a_restored_session_keeps_the_same() {
    let mut talk = Talk::after(87, 2);
    let lost = talk.from_alice(b"lost");
    let next = talk.from_alice(b"next");
    talk.bob.decrypt(&next).unwrap();
    let mut restored: MockSession = copy(&talk.bob);
    assert_eq!(restored.skipped_message_keys(), 1);
    assert_eq!(restored.decrypt(&lost).unwrap().plaintext, b"lost");
}
