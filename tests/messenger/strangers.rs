// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strangers: identities that write first. Anybody can make as many as he likes.

use super::recovery::inner;
use super::user::{HOUR, MINUTE, User, friends};
use noescrow::messenger::policy::{NEW_IDENTITIES_AN_HOUR, STRANGERS};
use noescrow::messenger::{OpenError, PeerId, Trust};
use noescrow::{Device, InitiateOptions};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A first message of a new identity.
fn hello(seed: u64, to: &mut User) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let device = Device::generate(to.now, &mut rng);
    device.initiate(to.bundle(), &inner(1), InitiateOptions::unverified(to.now), &mut rng).unwrap().1
}

/// As many strangers write as can be kept, and one more.
fn fill(bob: &mut User) {
    for seed in 0..u64::try_from(STRANGERS).unwrap() {
        bob.now.0 += MINUTE;
        let message = hello(1_000 + seed, bob);
        bob.open(&message).unwrap();
    }
}

#[test]
fn a_stranger_takes_the_place_of_a_stranger_only() {
    let mut bob = User::new(1);
    let mut friend = User::new(2);
    let peer = friend.add("bob");
    let first = friend.seal_with(&peer, b"", bob.bundle()).unwrap();
    let friend_id = bob.open(&first.message).unwrap().peer;
    bob.seal(&friend_id, b"").unwrap();
    let mut first = None;
    for seed in 0..=u64::try_from(STRANGERS).unwrap() {
        bob.now.0 += MINUTE;
        let message = hello(1_000 + seed, &mut bob);
        let opened = bob.open(&message).unwrap();
        first.get_or_insert(opened.peer);
        // Control: as long as there is space, all of them stay.
        let evicted = seed == u64::try_from(STRANGERS).unwrap();
        assert_eq!(bob.messenger.peer(&first.unwrap()).is_none(), evicted, "{seed}");
        assert_eq!(opened.evicted, first.filter(|_| evicted), "the outcome names it");
    }
    assert!(bob.messenger.peer(&friend_id).is_some());
    assert_eq!((bob.messenger.peers().count(), bob.stored_peers()), (STRANGERS + 1, STRANGERS + 1));
    assert_eq!(bob.stored_sessions(), STRANGERS + 1);
    bob.restart();
    assert_eq!(bob.messenger.peers().count(), STRANGERS + 1);
}

#[test]
fn a_claimed_stranger_is_not_evicted() {
    let mut bob = User::new(1);
    let known = bob.add("alice");
    let strangers: Vec<PeerId> = [900, 901]
        .map(|seed| {
            let message = hello(seed, &mut bob);
            bob.open(&message).unwrap().peer
        })
        .into();
    let identity = *bob.messenger.peer(&strangers[0]).unwrap().identity.unwrap();
    bob.messenger.claim_identity(&known, &identity, bob.now).unwrap().save(&mut bob.disk).unwrap();
    fill(&mut bob);
    assert!(bob.messenger.peer(&strangers[0]).is_some());
    // Control: the other one, which nobody claims to know, is.
    assert!(bob.messenger.peer(&strangers[1]).is_none());
    bob.messenger.accept_identity(&known, &identity, bob.now).unwrap().save(&mut bob.disk).unwrap();
    assert_eq!(bob.messenger.peer(&known).unwrap().sessions, 1);
}

#[test]
fn a_named_stranger_is_not_evicted() {
    let mut bob = User::new(1);
    let strangers = [900, 901].map(|seed| {
        let message = hello(seed, &mut bob);
        bob.open(&message).unwrap().peer
    });
    bob.messenger.name_peer(&strangers[0], b"plumber", bob.now).unwrap().save(&mut bob.disk).unwrap();
    fill(&mut bob);
    assert!(bob.messenger.peer(&strangers[0]).is_some());
    // Control: the one without a name is.
    assert!(bob.messenger.peer(&strangers[1]).is_none());
}

#[test]
fn a_flood_of_strangers_is_deferred() {
    let mut bob = User::new(1);
    let honest = hello(900, &mut bob);
    let honest = bob.open(&honest).unwrap().peer;
    let start = bob.now;
    let messages: Vec<_> =
        (0..2 * u64::try_from(STRANGERS).unwrap()).map(|seed| hello(1_000 + seed, &mut bob)).collect();
    let mut opened = 1;
    for message in &messages {
        bob.now.0 += 1;
        match bob.open(message) {
            Ok(_) => opened += 1,
            Err(OpenError::Deferred { until }) => assert_eq!(until.0, start.0 + HOUR),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(opened, NEW_IDENTITIES_AN_HOUR);
    assert!(bob.messenger.peer(&honest).is_some());
    // It is in the store: another process opens none of them.
    bob.restart();
    let last = messages.last().unwrap();
    assert!(matches!(bob.open(last), Err(OpenError::Deferred { .. })));
    // Control: an hour after the first one, another identity is opened.
    bob.now.0 = start.0 + HOUR;
    assert!(bob.open(last).unwrap().is_new_identity);
}

#[test]
fn a_flood_of_strangers_defers_no_known_peer() {
    let [mut alice, mut bob] = friends();
    let messages: Vec<_> =
        (0..=u64::try_from(NEW_IDENTITIES_AN_HOUR).unwrap()).map(|seed| hello(1_000 + seed, &mut bob)).collect();
    let (last, others) = messages.split_last().unwrap();
    others.iter().for_each(|message| _ = bob.open(message).unwrap());
    // Control: another stranger waits.
    assert!(matches!(bob.open(last), Err(OpenError::Deferred { .. })));
    let peer = alice.peer(&bob);
    let first = alice.seal_with(&peer, b"new", bob.bundle()).unwrap();
    assert!(bob.open(&first.message).unwrap().is_new_session);
    // Nor is a stranger that the user has answered counted any more.
    let stranger = bob.messenger.peers().find(|peer| peer.trust == Trust::Unknown).unwrap().id;
    bob.seal(&stranger, b"hi").unwrap();
    assert!(bob.open(last).unwrap().is_new_identity);
}
