// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sessions that have ended, or were replaced: what stays of them, and that nothing is sent on them again.

use super::disk::Disk;
use super::restored::put_back;
use super::user::{HOUR, User, friends};
use noescrow::UnixSeconds;
use noescrow::error::RestoreError;
use noescrow::messenger::{NewSession, OpenError, PeerError, PeerId, Refusal, SealError};

/// Ends the session on which messages are sent.
pub fn end_session(user: &mut User, peer: &PeerId) {
    let session = user.messenger.route_to(peer).unwrap().session().unwrap();
    user.messenger.end_session(peer, &session, user.now).unwrap().save(&mut user.disk).unwrap();
}

#[test]
fn a_damaged_session_row_blocks_one_session_only() {
    let [mut alice, mut bob] = friends();
    let (of_alice, message) = (bob.peer(&alice), alice.send(&mut bob, b"lost"));
    let damage = |disk: &mut Disk| {
        let rows = disk.rows.iter_mut().filter(|((subject, _), _)| subject.session_id().is_some());
        rows.for_each(|(_, sealed)| *sealed.last_mut().unwrap() ^= 1);
    };
    damage(&mut bob.disk);
    bob.restart();
    // It stays so.
    for _ in 0..2 {
        assert!(matches!(bob.seal(&of_alice, b""), Err(SealError::Stored(RestoreError::Refused))));
        assert!(matches!(bob.open(&message.message), Err(OpenError::Stored(RestoreError::Refused))));
    }
    let route = bob.messenger.route(&message.message, bob.now).unwrap();
    let (peer, session) = (route.peer().unwrap(), route.session().unwrap());
    let other = bob.messenger.end_session(&peer, &[7; 32], bob.now).map(|_| ());
    assert_eq!(other, Err(PeerError::UnknownSession));
    let subjects = bob.disk.subjects().len();
    bob.messenger.end_session(&peer, &session, bob.now).unwrap().save(&mut bob.disk).unwrap();
    assert_eq!(bob.disk.subjects().len(), subjects - 1);
    bob.restart();
    assert_eq!(bob.refusal(&message.message), Refusal::NoSuchSession);
    let new = bob.send(&mut alice, b"new");
    assert_eq!(new.recovers_from, Some(NewSession::Abandoned));
    assert_eq!(alice.open(&new.message).unwrap().payload, b"new");
    let reply = alice.send(&mut bob, b"reply");
    assert_eq!(bob.open(&reply.message).unwrap().payload, b"reply");
    // Control: with another session to send on, ending one demands none.
    let session = bob.messenger.route_to(&peer).unwrap().session().unwrap();
    let newest = bob.seal_with(&peer, b"newest", alice.bundle()).unwrap();
    bob.messenger.end_session(&peer, &session, bob.now).unwrap().save(&mut bob.disk).unwrap();
    // Not because of the limits.
    bob.now.0 += 2 * HOUR;
    assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(None));
    assert_eq!(bob.seal(&peer, b"").unwrap().session, newest.session);
}

#[test]
fn ending_the_newest_session_sends_on_no_replaced_one() {
    let [mut alice, mut bob] = friends();
    let peer = bob.peer(&alice);
    let replaced = bob.seal(&peer, b"1").unwrap().session;
    let newest = bob.seal_with(&peer, b"2", alice.bundle()).unwrap().session;
    end_session(&mut bob, &peer);
    assert_eq!(bob.messenger.needs_bundle(&peer, UnixSeconds(bob.now.0 + 2 * HOUR)), Ok(Some(NewSession::Abandoned)));
    let third = bob.seal_with(&peer, b"3", alice.bundle()).unwrap().session;
    assert!(third != replaced && third != newest);
    // Control: if the replaced one ends, the newest is sent on.
    let [mut alice, mut bob] = friends();
    let peer = bob.peer(&alice);
    let replaced = bob.seal(&peer, b"1").unwrap().session;
    let newest = bob.seal_with(&peer, b"2", alice.bundle()).unwrap().session;
    bob.messenger.end_session(&peer, &replaced, bob.now).unwrap().save(&mut bob.disk).unwrap();
    assert_eq!(bob.seal(&peer, b"3").unwrap().session, newest);
}

#[test]
fn after_a_fork_nothing_is_sent_on_the_forked_session_again() {
    for is_answered in [true, false] {
        let [mut alice, mut bob] = friends();
        let (peer, copy) = (bob.peer(&alice), alice.disk.clone());
        let forked = alice.send(&mut bob, b"1");
        bob.open(&forked.message).unwrap();
        put_back(&mut alice, &copy);
        let fork = alice.send(&mut bob, b"2");
        bob.open(&fork.message).unwrap_err();
        let new = bob.send(&mut alice, b"new");
        assert_eq!(new.recovers_from, Some(NewSession::ForkSuspected));
        alice.open(&new.message).unwrap();
        let reply = alice.send(&mut bob, b"reply");
        if is_answered {
            bob.open(&reply.message).unwrap();
        }
        // Control: until the new session ends, it is sent on.
        assert_eq!(bob.seal(&peer, b"on").unwrap().session, new.session);
        end_session(&mut bob, &peer);
        bob.restart();
        let loaded = bob.messenger.route_to(&peer).unwrap().load(&mut bob.disk).unwrap();
        let sealed = bob.messenger.seal_on_session(&peer, b"3", loaded, bob.now, &mut bob.rng);
        let sealed = sealed.map(|step| step.save(&mut bob.disk).unwrap().session);
        assert_eq!(sealed, Err(SealError::NeedsBundle(NewSession::None)));
    }
}

#[test]
fn the_first_message_of_an_ended_session_opens_no_other() {
    let [mut alice, mut bob] = friends();
    let (of_alice, of_bob) = (bob.peer(&alice), alice.peer(&bob));
    let first = alice.seal_with(&of_bob, b"new", bob.bundle()).unwrap();
    let repeated = alice.seal(&of_bob, b"again").unwrap();
    assert_eq!(bob.open(&first.message).unwrap().peer, of_alice);
    end_session(&mut bob, &of_alice);
    for _ in 0..2 {
        assert_eq!(bob.refusal(&repeated.message), Refusal::SessionEnded);
        bob.restart();
    }
    // Control: the one of another session does.
    let other = alice.seal_with(&of_bob, b"other", bob.bundle()).unwrap();
    assert_eq!(bob.open(&other.message).unwrap().payload, b"other");
}
