// SPDX-License-Identifier: MIT OR Apache-2.0
//! Invariants 6, 7 and 9: what an observer learns from operations and bytes.

use crate::schedules::{self, config};
use crate::support::{self, Mock, MockDevice, NOW, Talk, bundle, mock_device, rng};
use noescrow::hazmat::duplicate_bundle;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::skipped::{Heap, Inline};
use noescrow::{InitiateOptions, MESSAGE_OVERHEAD, session};
use noescrow_sim::{Endpoint, Event, Opening, Simulation};
use proptest::prelude::*;
use rand_chacha::rand_core::Rng;
use std::collections::{BTreeMap, HashSet};

proptest! {
    #![proptest_config(config(40))]

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
        let mut out = vec![0; other.alice.message_len(&text).unwrap()];
        let written = other.alice.encrypt_into(&text, &mut out, &mut other.rng).unwrap();
        assert_eq!((&out, written), (&message, message.len()));
        assert_eq!(one.bob.decrypt(&message).unwrap().plaintext, text);
        assert_eq!(other.bob.decrypt_in_place(&mut out, b"").unwrap().plaintext, text);
        assert_eq!(support::state(&one.bob), support::state(&other.bob));
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

    let text = [0; 3_000];
    for len in 0..text.len() {
        assert_eq!(talk.alice.message_len(&text[..len]).unwrap(), MESSAGE_OVERHEAD + padme(len + 1), "{len}");
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
