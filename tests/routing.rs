// SPDX-License-Identifier: MIT OR Apache-2.0
//! Routing tags: a receiver finds the session of a message by one look-up, and a server links nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use noescrow::hazmat::{self, Call, Intercept, Intercepted, session_from_state, session_state};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::skipped::Heap;
use noescrow::{ROUTING_TAG_LEN, Secret, routing_tag, session};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

type Session<P = RustCrypto> = session::Session<P, Heap>;
type Tag = [u8; ROUTING_TAG_LEN];

fn ends<P: Primitives>(primitives: P, secret: u8) -> [Session<P>; 2] {
    let (secret, ratchet) = (Secret::new([secret; 32]), [6; 32]);
    let ratchet_key = RustCrypto.dh_public(&Secret::new(ratchet));
    let initiator = hazmat::initiator(primitives.clone(), &secret, &ratchet_key, b"").unwrap();
    [initiator, hazmat::responder(primitives, &secret, Secret::new(ratchet), b"")]
}

fn tags<P: Primitives>(session: &Session<P>) -> BTreeSet<Tag> {
    let mut tags = BTreeSet::new();
    session.routing_tags(|tag| {
        tags.insert(tag);
    });
    tags
}

fn expects<P: Primitives>(session: &Session<P>, message: &[u8]) -> bool {
    tags(session).contains(&routing_tag(message).unwrap())
}

/// RT-1: of the current chain and of the next one the next eight numbers, and every late message whose key is kept.
#[test]
fn a_receiver_knows_the_tags_of_the_messages_to_come() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let [mut alice, mut bob] = ends(RustCrypto, 1);
    let first: Vec<_> = (0..9).map(|_| alice.encrypt(b"", &mut rng).unwrap()).collect();
    for (number, message) in first.iter().enumerate() {
        assert_eq!(expects(&bob, message), number < 8, "{number}");
        assert!(bob.recognizes(message), "by its commitment");
    }
    bob.decrypt(&first[5]).unwrap();
    let next: Vec<_> = (9..15).map(|_| alice.encrypt(b"", &mut rng).unwrap()).collect();
    for (number, message) in first.iter().chain(&next).enumerate() {
        assert_eq!(expects(&bob, message), number != 5 && number < 14, "{number}");
    }
    // A reply, and what is late of the chain before.
    let reply = bob.encrypt(b"", &mut rng).unwrap();
    assert!(expects(&alice, &reply) && !expects(&bob, &reply));
    alice.decrypt(&reply).unwrap();
    let new_chain = alice.encrypt(b"", &mut rng).unwrap();
    assert!(expects(&bob, &new_chain));
    bob.decrypt(&new_chain).unwrap();
    for (number, message) in first.iter().chain(&next).enumerate() {
        assert_eq!(expects(&bob, message), number != 5, "{number}");
    }
    // Control: another session knows none of them, and recognizes nothing.
    let [_, other] = ends(RustCrypto, 2);
    for message in first.iter().chain(&next).chain([&reply, &new_chain]) {
        assert!(!expects(&other, message) && !other.recognizes(message));
    }
}

#[test]
fn other_bytes_have_no_routing_tag() {
    for bytes in [&[][..], &[0x12; 8], &[0x13; 400], &[0x11; 1_760]] {
        assert_eq!(routing_tag(bytes), None, "{}", bytes.len());
    }
    let [alice, _] = ends(RustCrypto, 1);
    for bytes in [&[][..], &[0x12], &[0x11; 1_756], &[0x13; 400]] {
        assert!(!alice.recognizes(bytes));
    }
}

/// The tag does not depend on the header key: a fault that a server sees.
#[derive(Clone, Default)]
struct Unkeyed;

impl Intercept for Unkeyed {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Hmac { key, parts, .. } = call
            && parts[0] == b"noescrow-v1 tag"
        {
            *key = b"";
        }
        call.perform(primitives);
    }
}

/// The tag does not depend on the number.
#[derive(Clone, Default)]
struct Unnumbered;

impl Intercept for Unnumbered {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Hmac { parts, .. } = call
            && parts[0] == b"noescrow-v1 tag"
        {
            *parts = &parts[..1];
        }
        call.perform(primitives);
    }
}

/// Runs `sessions` conversations at once and returns how many pairs of messages a server can link: those that have eight
/// bytes in common, anywhere and at any distance.
fn linked<P: Primitives>(primitives: P, sessions: u8, schedule: &[u8]) -> usize {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut talks: Vec<_> = (0..sessions).map(|secret| ends(primitives.clone(), secret)).collect();
    let mut seen = BTreeMap::<Tag, usize>::new();
    let mut linked = BTreeSet::new();
    for (at, choice) in schedule.iter().enumerate() {
        let count = talks.len();
        let [alice, bob] = &mut talks[usize::from(*choice >> 2) % count];
        let (from, to) = if choice & 1 == 0 { (alice, bob) } else { (bob, alice) };
        let Ok(message) = from.encrypt(b"text", &mut rng) else { continue };
        for window in message[1..].windows(ROUTING_TAG_LEN) {
            let first = *seen.entry(window.try_into().unwrap()).or_insert(at);
            if first != at {
                linked.insert((first, at));
            }
        }
        if choice & 2 == 0 {
            to.decrypt(&message).unwrap();
        }
    }
    linked.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// RT-1: whatever the schedule of losses and turns, no two messages have a tag, or any other eight bytes, in common.
    #[test]
    fn a_server_links_no_two_messages(schedule in proptest::collection::vec(any::<u8>(), 40..120)) {
        prop_assert_eq!(linked(RustCrypto, 4, &schedule), 0);
    }
}

/// The same check finds each faulty tag.
#[test]
fn control_a_server_links_messages_with_faulty_tags() {
    let mut schedule = [0; 60];
    ChaCha20Rng::seed_from_u64(4).fill_bytes(&mut schedule);
    assert_eq!(linked(RustCrypto, 4, &schedule), 0);
    assert!(linked(Intercepted::<Unkeyed>::default(), 4, &schedule) > 0, "numbers in the clear");
    assert!(linked(Intercepted::<Unnumbered>::default(), 4, &schedule) > 0, "a pseudonym of the chain");
}

/// P11: of one state that is used twice, both messages have one number, and so one tag.
#[test]
fn one_state_used_twice_shows_equal_tags() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let [mut alice, _] = ends(RustCrypto, 1);
    alice.encrypt(b"", &mut rng).unwrap();
    let mut clone: Session = session_from_state(RustCrypto, &session_state(&alice)).unwrap();
    let [one, two] = [alice.encrypt(b"", &mut rng).unwrap(), clone.encrypt(b"", &mut rng).unwrap()];
    assert_eq!(routing_tag(&one), routing_tag(&two));
    assert_ne!(one[..17], two[..17], "control: the salts' other halves differ");
}
