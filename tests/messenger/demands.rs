// SPDX-License-Identifier: MIT OR Apache-2.0
//! What demands no further session: messages of a session that another one has succeeded already, and the same message
//! again. And what a session is good for after its post-quantum ratchet has failed.

use super::recovery::{Foreign, another_session, inner};
use super::user::{HOUR, User, friends};
use noescrow::hazmat::{Call, Intercept, Intercepted, session_from_state, session_state, session_with_primitives};
use noescrow::messenger::{NewSession, OpenError, PeerId, Refusal, SealError};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, ChunkSize, Device, InitiateOptions, MAX_JUMP, Session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A peer that writes its own inner payloads, and an answered session that it has begun.
fn foreign(bob: &mut User, seed: u64) -> (Foreign, Session, PeerId) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (mut session, first) = peer.begin(bob, 1);
    let id = bob.open(&first).unwrap().peer;
    let answer = bob.seal(&id, b"hi").unwrap();
    session.decrypt(&answer.message).unwrap();
    (peer, session, id)
}

fn bundle_of(peer: &mut Foreign, at: noescrow::UnixSeconds) -> Bundle {
    let published = peer.device.replenish(at, &[], &mut peer.rng);
    Bundle::new(published.identity, published.signed_prekey, None).unwrap()
}

/// The message number `number` of a session of this epoch; those before it are lost.
fn message_after(session: &mut Session, epoch: u32, number: u32, rng: &mut ChaCha20Rng) -> Vec<u8> {
    (0..=number).map(|_| session.encrypt(&inner(epoch), rng).unwrap()).last().unwrap()
}

#[test]
fn a_fork_of_a_succeeded_session_demands_no_new_one() {
    for is_succeeded in [true, false] {
        let [mut alice, mut bob] = friends();
        let peer = bob.peer(&alice);
        let copy = alice.disk.clone();
        let message = alice.send(&mut bob, b"1");
        bob.open(&message.message).unwrap();
        if is_succeeded {
            another_session(&mut bob, &mut alice);
        }
        alice.disk = copy;
        alice.crash();
        let other = alice.send(&mut bob, b"2");
        assert_eq!(bob.refusal(&other.message), Refusal::ForkSuspected);
        // Control: that of the session that is sent on does.
        let expected = (!is_succeeded).then_some(NewSession::ForkSuspected);
        assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(expected));
    }
}

#[test]
fn a_message_after_too_many_is_a_reason_once() {
    let mut bob = User::new(1);
    let (mut peer, mut session, id) = foreign(&mut bob, 9);
    let message = message_after(&mut session, 1, MAX_JUMP + 1, &mut peer.rng);
    assert_eq!(bob.refusal(&message), Refusal::TooManySkipped);
    // Control: the first time it is.
    assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(Some(NewSession::TooManySkipped)));
    let bundle = bundle_of(&mut peer, bob.now);
    let new = bob.seal_with(&id, b"new", bundle).unwrap();
    assert_eq!(new.recovers_from, Some(NewSession::TooManySkipped));
    bob.now.0 += 2 * HOUR;
    assert_eq!(bob.refusal(&message), Refusal::TooManySkipped);
    assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(None));
}

#[test]
fn a_refused_first_message_demands_one_session_only() {
    let mut bob = User::new(1);
    let (mut peer, _, id) = foreign(&mut bob, 13);
    for epoch in [2, 3] {
        let (mut session, _) = peer.begin(&mut bob, epoch);
        let message = message_after(&mut session, epoch, MAX_JUMP, &mut peer.rng);
        let Err(OpenError::Refused(refused)) = bob.open(&message) else { panic!("opened") };
        assert_eq!((refused.reason, refused.author), (Refusal::TooManySkipped, Some(id)));
        // Control: each session's first time does.
        assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(Some(NewSession::TooManySkipped)));
        let bundle = bundle_of(&mut peer, bob.now);
        bob.seal_with(&id, b"new", bundle).unwrap();
        for _ in 0..2 {
            bob.now.0 += 2 * HOUR;
            assert_eq!(bob.refusal(&message), Refusal::TooManySkipped);
            assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(None));
            bob.restart();
        }
    }
}

#[test]
fn a_weaker_reason_does_not_replace_a_stronger_one() {
    let mut bob = User::new(1);
    let (mut peer, _, id) = foreign(&mut bob, 14);
    let restore = |bob: &mut User| {
        let published = bob.messenger.restore_backup(bob.now, &mut bob.rng).unwrap().save(&mut bob.disk).unwrap();
        (bob.signed_prekey, bob.one_time_prekeys) = (published.signed_prekey, published.one_time_prekeys);
    };
    for is_restored in [false, true] {
        if is_restored {
            restore(&mut bob);
        }
        let (mut session, _) = peer.begin(&mut bob, 2);
        let message = message_after(&mut session, 2, MAX_JUMP, &mut peer.rng);
        assert_eq!(bob.refusal(&message), Refusal::TooManySkipped);
        // Control: without a stronger one it is the reason.
        let expected = if is_restored { NewSession::Restored } else { NewSession::TooManySkipped };
        assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(Some(expected)));
    }
}

#[test]
fn a_long_chain_on_another_session_asks_for_no_answer() {
    for is_succeeded in [true, false] {
        let mut bob = User::new(1);
        let (mut peer, mut session, id) = foreign(&mut bob, 15);
        if is_succeeded {
            let bundle = bundle_of(&mut peer, bob.now);
            bob.seal_with(&id, b"new", bundle).unwrap();
        }
        let message = message_after(&mut session, 1, MAX_JUMP / 2, &mut peer.rng);
        // Control: on the session that is sent on, an answer begins a new chain.
        assert_eq!(bob.open(&message).unwrap().should_answer, !is_succeeded);
    }
}

/// Damages each chunk of the post-quantum ratchet, and authenticates what it has damaged.
#[derive(Clone, Default)]
struct FalseChunk;

/// A header with chunks of 128 bytes, and where in it the chunk is.
const LONG_HEADER: usize = 180;
const CHUNK_AT: usize = 32 + 4 + 4 + 1 + 4 + 2;

impl Intercept for FalseChunk {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        if let Call::Seal { key, nonce, ad, buffer, tag } = call {
            if ad.len() == 32 + 32 + 1 + 32 + LONG_HEADER {
                let mut ad = ad.to_vec();
                ad[97 + CHUNK_AT] ^= 1;
                **tag = primitives.seal(key, nonce, &ad, buffer);
                return;
            }
            if buffer.len() == LONG_HEADER {
                buffer[CHUNK_AT] ^= 1;
            }
        }
        call.perform(primitives);
    }
}

/// A session of a peer whose post-quantum ratchet is faulty.
type Faulty = Session<Intercepted<FalseChunk>>;

/// Begins a session of this epoch with large chunks.
fn begin(peer: &mut Foreign, bob: &mut User, epoch: u32) -> (Session, Vec<u8>) {
    let options = InitiateOptions::unverified(bob.now).chunk_size(ChunkSize::Bytes128);
    peer.device.initiate(bob.bundle(), &inner(epoch), options, &mut peer.rng).unwrap()
}

/// Ends a session of `epoch` that the peer has begun and Bob has answered. Returns the last message that opened.
fn abandon(session: Session, bob: &mut User, epoch: u32, rng: &mut ChaCha20Rng) -> (Faulty, Vec<u8>) {
    let mut session = session_with_primitives(session, Intercepted::<FalseChunk>::default());
    for _ in 0..100 {
        // Its end is not covered by the header.
        let message = session.encrypt(&[&inner(epoch)[..], &[7; 6_000]].concat(), rng).unwrap();
        let opened = bob.open(&message).unwrap();
        if opened.is_receive_only {
            return (session, message);
        }
        let answer = bob.seal(&opened.peer, b"").unwrap();
        session.decrypt(&answer.message).unwrap();
    }
    panic!("the ratchet has not failed");
}

#[test]
fn a_later_message_of_an_abandoned_session_is_refused_as_such() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(16);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (mut session, first) = begin(&mut peer, &mut bob, 1);
    let id = bob.open(&first).unwrap().peer;
    session.decrypt(&bob.seal(&id, b"hi").unwrap().message).unwrap();
    let (mut session, last) = abandon(session, &mut bob, 1, &mut rng_of(&mut peer));
    assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(Some(NewSession::Abandoned)));
    for _ in 0..2 {
        let later = session.encrypt(&inner(1), &mut peer.rng).unwrap();
        assert_eq!(bob.refusal(&later), Refusal::Abandoned);
        // Controls: a damaged copy of a message that was opened, and a message of no session.
        let mut copy = last.clone();
        *copy.last_mut().unwrap() ^= 1;
        assert_eq!(bob.refusal(&copy), Refusal::AlreadyOpened);
        let mut other = later.clone();
        other[20] ^= 1;
        assert_eq!(bob.refusal(&other), Refusal::NoSuchSession);
        bob.restart();
    }
}

fn rng_of(peer: &mut Foreign) -> ChaCha20Rng {
    ChaCha20Rng::from_rng(&mut peer.rng)
}

#[test]
fn after_a_fork_nothing_is_sent_on_the_forked_session_again() {
    for is_abandoned in [true, false] {
        let mut bob = User::new(1);
        let (mut peer, mut session, id) = foreign(&mut bob, 17);
        // The peer's state is copied, and seals twice.
        let mut copy: Session = session_from_state(RustCrypto, &session_state(&session)).unwrap();
        bob.open(&session.encrypt(&inner(1), &mut peer.rng).unwrap()).unwrap();
        let other = copy.encrypt(&inner(1), &mut peer.rng).unwrap();
        assert_eq!(bob.refusal(&other), Refusal::ForkSuspected);
        // The session that succeeds it ends.
        let (next, first) = begin(&mut peer, &mut bob, 2);
        assert!(!bob.open(&first).unwrap().is_on_probation);
        let answer = bob.seal(&id, b"hi").unwrap();
        assert_ne!(answer.session, session.id());
        if is_abandoned {
            let mut next = next;
            next.decrypt(&answer.message).unwrap();
            let _ = abandon(next, &mut bob, 2, &mut rng_of(&mut peer));
        }
        // Even if there is no bundle.
        let loaded = bob.messenger.route_to(&id).unwrap().load(&mut bob.disk).unwrap();
        let sealed = bob.messenger.seal_on_session(&id, b"", loaded, bob.now, &mut bob.rng).map(|_| ());
        assert_eq!(bob.messenger.peer(&id).unwrap().can_send, !is_abandoned);
        // Control: without that, the newest one is sent on.
        assert_eq!(sealed, if is_abandoned { Err(SealError::NeedsBundle(NewSession::None)) } else { Ok(()) });
    }
}

/// Its first message is the only one that was opened on it.
#[test]
fn a_session_that_its_first_message_ends_gives_way_to_no_older_one() {
    let mut bob = User::new(1);
    let (now, mut rng) = (bob.now, ChaCha20Rng::seed_from_u64(18));
    let device = Device::generate(now, &mut rng);
    let options = |now| InitiateOptions::unverified(now).chunk_size(ChunkSize::Bytes128);
    let (_, first) = device.initiate(bob.bundle(), &inner(1), options(now), &mut rng).unwrap();
    let id = bob.open(&first).unwrap().peer;
    // Control: this session can be sent on.
    bob.seal(&id, b"hi").unwrap();
    let device = noescrow::hazmat::device_with_primitives(device, Intercepted::<FalseChunk>::default());
    let (_, second) = device.initiate(bob.bundle(), &inner(2), options(now), &mut rng).unwrap();
    assert!(bob.open(&second).unwrap().is_receive_only);
    assert!(!bob.messenger.peer(&id).unwrap().can_send);
    assert_eq!(bob.messenger.needs_bundle(&id, now), Ok(Some(NewSession::Abandoned)));
}
