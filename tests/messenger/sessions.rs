// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which session a message belongs to, how many there are, and that each step is a transaction.

use super::disk::Fault;
use super::user::{DAY, HOUR, User, friends, strangers, subject_of};
use noescrow::messenger::policy::{HANDSHAKES_AN_HOUR, SESSIONS_OF_A_PEER, SUCCEEDED_MESSAGES};
use noescrow::messenger::{Messenger, OpenError, PeerError, Refusal, SealError, Trust};

#[test]
fn a_first_message_makes_a_stranger_and_the_answer_a_peer() {
    let [mut alice, mut bob] = [User::new(1), User::new(2)];
    let peer = alice.add("bob");
    assert!(matches!(alice.seal(&peer, b"hello"), Err(SealError::NeedsBundle(_))));
    let hello = alice.seal_with(&peer, b"hello", bob.bundle()).unwrap();
    let opened = bob.open(&hello.message).unwrap();
    assert_eq!((&opened.payload[..], opened.session), (&b"hello"[..], hello.session));
    assert!(opened.is_new_session && opened.is_new_identity && !opened.is_on_probation);
    let stranger = bob.messenger.peer(&opened.peer).unwrap();
    assert_eq!((stranger.trust, stranger.name, stranger.identity), (Trust::Unknown, &b""[..], Some(&alice.identity())));
    let reply = bob.seal(&opened.peer, b"hi").unwrap();
    assert_eq!(bob.messenger.peer(&opened.peer).unwrap().trust, Trust::FirstUse);
    let opened = alice.open(&reply.message).unwrap();
    assert_eq!((opened.peer, &opened.payload[..]), (peer, &b"hi"[..]));
    // Control: the second time neither session nor identity is new.
    assert!(!opened.is_new_session && !opened.is_new_identity);
    assert_eq!(alice.messenger.peer(&peer).unwrap().identity, Some(&bob.identity()));
}

#[test]
fn each_message_loads_one_session_among_many() {
    let mut bob = User::new(1);
    let mut others: Vec<User> = (2..22).map(User::new).collect();
    let mut messages = Vec::new();
    for (other, name) in others.iter_mut().zip(0u8..) {
        let peer = other.add("bob");
        let hello = other.seal_with(&peer, &[name], bob.bundle()).unwrap();
        let opened = bob.open(&hello.message).unwrap();
        let reply = bob.seal(&opened.peer, b"").unwrap();
        other.open(&reply.message).unwrap();
        messages.push((opened.peer, other.seal(&peer, &[name, name]).unwrap()));
    }
    bob.restart();
    for ((peer, message), name) in messages.iter().zip(0u8..20).rev() {
        let route = bob.messenger.route(&message.message, bob.now).unwrap();
        assert_eq!(route.subject().unwrap().session_id(), Some(&message.session));
        assert_eq!(route.peer(), Some(*peer));
        let opened = bob.open(&message.message).unwrap();
        assert_eq!((opened.peer, &opened.payload[..]), (*peer, &[name, name][..]));
    }
    // Control: what belongs to none of them is refused without loading anything.
    let [mut alice, mut carol] = friends();
    let message = alice.send(&mut carol, b"not for bob");
    assert_eq!(bob.refusal(&message.message), Refusal::NoSuchSession);
}

#[test]
fn a_first_message_is_tried_on_no_other_session() {
    let [mut alice, mut bob] = strangers();
    let first = alice.send(&mut bob, b"1");
    let copy = alice.send(&mut bob, b"2");
    assert_eq!(first.session, copy.session);
    bob.open(&first.message).unwrap();
    let route = bob.messenger.route(&copy.message, bob.now).unwrap();
    assert_eq!(route.subject().unwrap().session_id(), Some(&first.session));
    // A first message with another handshake begins a session, and loads none.
    let peer = alice.peer(&bob);
    let other = alice.seal_with(&peer, b"3", bob.bundle()).unwrap();
    assert_eq!(bob.messenger.route(&other.message, bob.now).unwrap().subject(), None);
    assert_eq!(bob.open(&other.message).unwrap().session, other.session);
    // Control: the copy opens on its session.
    assert_eq!(bob.open(&copy.message).unwrap().payload, b"2");
}

#[test]
fn a_message_opens_once() {
    let [mut alice, mut bob] = strangers();
    let hello = alice.send(&mut bob, b"hello");
    // Control: the first time it opens.
    bob.open(&hello.message).unwrap();
    assert_eq!(bob.refusal(&hello.message), Refusal::AlreadyOpened);
    let reply = bob.send(&mut alice, b"hi");
    alice.open(&reply.message).unwrap();
    alice.restart();
    assert_eq!(alice.refusal(&reply.message), Refusal::AlreadyOpened);
    assert_eq!(alice.disk.inbox.len(), 1);
}

#[test]
fn at_most_five_sessions_are_kept_with_a_peer() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let late = alice.send(&mut bob, b"of the first session");
    for more in 1..=SESSIONS_OF_A_PEER {
        let message = alice.seal_with(&peer, b"new", bob.bundle()).unwrap();
        bob.open(&message.message).unwrap();
        let kept = SESSIONS_OF_A_PEER.min(more + 1);
        assert_eq!((alice.stored_sessions(), bob.stored_sessions()), (kept, kept));
        assert_eq!(bob.messenger.peers().next().unwrap().sessions, kept);
        if more + 1 < SESSIONS_OF_A_PEER {
            bob.now.0 += HOUR;
        }
    }
    assert_eq!(bob.refusal(&late.message), Refusal::NoSuchSession);
}

#[test]
fn a_succeeded_session_ends_after_thirty_days() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let late = [b"1", b"2"].map(|text| alice.send(&mut bob, text));
    let second = alice.seal_with(&peer, b"second", bob.bundle()).unwrap();
    bob.open(&second.message).unwrap();
    bob.wait(29 * DAY);
    // Control: on the day before, it is there.
    assert_eq!(bob.open(&late[0].message).unwrap().payload, b"1");
    assert_eq!(bob.stored_sessions(), 2);
    bob.wait(DAY);
    assert_eq!(bob.stored_sessions(), 1);
    assert_eq!(bob.refusal(&late[1].message), Refusal::NoSuchSession);
    // Its first message is recognized, and uses no prekey up.
    bob.restart();
    assert_eq!(bob.messenger.peers().next().unwrap().sessions, 1);
}

#[test]
fn a_succeeded_session_ends_after_two_thousand_messages() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let second = alice.seal_with(&peer, b"second", bob.bundle()).unwrap();
    bob.open(&second.message).unwrap();
    for message in 1..SUCCEEDED_MESSAGES {
        assert_eq!(bob.stored_sessions(), 2, "{message}");
        let message = alice.seal(&peer, b"").unwrap();
        bob.open(&message.message).unwrap();
    }
    // Control: the first message of the second session came when the first was not succeeded yet.
    assert_eq!(bob.stored_sessions(), 2);
    let message = alice.seal(&peer, b"").unwrap();
    bob.open(&message.message).unwrap();
    assert_eq!(bob.stored_sessions(), 1);
}

#[test]
fn first_messages_of_an_ended_session_are_recognized() {
    let [mut alice, mut bob] = strangers();
    let first = [b"1", b"2"].map(|text| alice.send(&mut bob, text));
    bob.open(&first[0].message).unwrap();
    let peer = alice.peer(&bob);
    for _ in 0..SESSIONS_OF_A_PEER {
        bob.now.0 += HOUR;
        let message = alice.seal_with(&peer, b"new", bob.bundle()).unwrap();
        // Control: while its session is kept, the second copy has a route.
        assert!(bob.messenger.route(&first[1].message, bob.now).is_ok());
        bob.open(&message.message).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(bob.refusal(&first[1].message), Refusal::SessionEnded);
        bob.restart();
    }
}

#[test]
fn a_fifth_handshake_in_an_hour_waits_and_keeps_its_prekey() {
    let [mut alice, mut bob] = strangers();
    let peer = alice.peer(&bob);
    for _ in 0..HANDSHAKES_AN_HOUR {
        let message = alice.seal_with(&peer, b"new", bob.bundle()).unwrap();
        bob.open(&message.message).unwrap();
        bob.now.0 += 60;
    }
    let fifth = alice.seal_with(&peer, b"fifth", bob.bundle()).unwrap();
    let Err(OpenError::Deferred { until }) = bob.open(&fifth.message) else { panic!("not deferred") };
    assert_eq!(until.0, bob.now.0 + HOUR - 60 * u64::try_from(HANDSHAKES_AN_HOUR).unwrap());
    bob.now.0 = until.0 - 1;
    assert!(bob.open(&fifth.message).is_err());
    // Control: at that time it opens, with the same prekey.
    bob.now = until;
    assert_eq!(bob.open(&fifth.message).unwrap().payload, b"fifth");
}

/// The layer's clock follows a reading that is far away a day later. Until then its seconds count.
#[test]
fn after_a_long_absence_an_hour_is_an_hour() {
    let [mut alice, mut bob] = strangers();
    let peer = alice.peer(&bob);
    bob.now.0 += 20 * DAY;
    for round in 1..=3 {
        for _ in 0..HANDSHAKES_AN_HOUR {
            let message = alice.seal_with(&peer, b"new", bob.bundle()).unwrap();
            assert_eq!(bob.open(&message.message).unwrap().payload, b"new", "{round}");
        }
        // Control: within the hour, another one waits.
        let more = alice.seal_with(&peer, b"more", bob.bundle()).unwrap();
        let until = noescrow::UnixSeconds(bob.now.0 + HOUR);
        assert_eq!(bob.open(&more.message), Err(OpenError::Deferred { until }));
        bob.now.0 += HOUR - 1;
        assert!(bob.open(&more.message).is_err());
        bob.now = until;
        bob.restart();
    }
}

#[test]
fn a_clock_that_alternates_lifts_no_limit_twice() {
    let [mut alice, mut bob] = strangers();
    let peer = alice.peer(&bob);
    let (mut opened, claim) = (0, bob.now.0 + 20 * DAY);
    let mut message = alice.seal_with(&peer, b"", bob.bundle()).unwrap();
    for round in 0..40 {
        // Readings within the day after the first one. None of them is a claim.
        bob.now.0 = if round % 2 == 0 { claim } else { claim + 23 * HOUR };
        for _ in 0..HANDSHAKES_AN_HOUR {
            if bob.open(&message.message).is_ok() {
                opened += 1;
                message = alice.seal_with(&peer, b"", bob.bundle()).unwrap();
            }
        }
    }
    // Once at the first reading, and once at the second.
    assert_eq!(opened, 2 * HANDSHAKES_AN_HOUR);
    // Control: a day later the clock has followed.
    bob.now.0 = claim + 25 * HOUR;
    assert!(bob.open(&message.message).is_ok());
}

#[test]
fn a_corrected_clock_corrects_the_log_and_ended_openings() {
    let [mut alice, mut bob] = strangers();
    let peer = alice.peer(&bob);
    let first = [b"1", b"2"].map(|text| alice.send(&mut bob, text));
    bob.open(&first[0].message).unwrap();
    let damaged = |message: &[u8]| {
        let mut damaged = message.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        damaged
    };
    for user in [&mut alice, &mut bob] {
        user.now.0 += 60 * DAY;
        user.maintain();
    }
    // What is opened now has the time of the clock, which is 59 days behind.
    for _ in 0..SESSIONS_OF_A_PEER {
        bob.now.0 += HOUR;
        let message = alice.seal_with(&peer, b"new", bob.bundle()).unwrap();
        bob.open(&message.message).unwrap();
    }
    let logged = alice.seal(&peer, &[7; 6_000]).unwrap();
    bob.open(&logged.message).unwrap();
    bob.wait(2 * DAY);
    bob.restart();
    bob.maintain();
    assert_eq!(bob.refusal(&logged.message), Refusal::AlreadyOpened);
    assert_eq!(bob.refusal(&damaged(&logged.message)), Refusal::AlreadyOpened);
    assert_eq!(bob.refusal(&first[1].message), Refusal::SessionEnded);
    // Control: their times end. The ids of ended sessions leave the index, too, without a restart.
    bob.wait(29 * DAY);
    assert_eq!(bob.refusal(&damaged(&logged.message)), Refusal::TooLate);
    bob.wait(16 * DAY);
    assert_eq!(bob.refusal(&first[1].message), Refusal::SessionEnded);
    bob.wait(4 * DAY);
    for _ in 0..2 {
        assert_eq!(bob.refusal(&first[1].message), Refusal::PrekeyGone);
        bob.restart();
    }
}

#[test]
fn a_bundle_of_another_identity_blocks_sending() {
    let [mut alice, mut bob] = friends();
    let mut mallory = User::new(9);
    let peer = alice.peer(&bob);
    assert_eq!(alice.seal_with(&peer, b"secret", mallory.bundle()), Err(SealError::IdentityChanged));
    assert_eq!(alice.messenger.peer(&peer).unwrap().claimed, Some(&mallory.identity()));
    assert_eq!(alice.seal(&peer, b"secret"), Err(SealError::IdentityChanged));
    // The peer is still heard, and the block survives a restart.
    let message = bob.send(&mut alice, b"still here");
    alice.open(&message.message).unwrap();
    alice.restart();
    assert_eq!(alice.seal(&peer, b"secret"), Err(SealError::IdentityChanged));
    // Control: with the pinned identity a bundle is taken.
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    assert!(alice.seal_with(&peer, b"secret", bob.bundle()).is_ok());
}

#[test]
fn a_step_that_is_not_saved_stops_the_messenger() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let message = bob.send(&mut alice, b"1");
    let loaded = alice.messenger.route(&message.message, alice.now).unwrap().load(&mut alice.disk).unwrap();
    drop(alice.messenger.open(&message.message, loaded, alice.now).unwrap());
    assert_eq!(alice.open(&message.message), Err(OpenError::NotSaved));
    assert_eq!(alice.seal(&peer, b""), Err(SealError::NotSaved));
    assert_eq!(alice.messenger.name_peer(&peer, b"b", alice.now).map(|_| ()), Err(PeerError::NotSaved));
    assert!(alice.messenger.maintain(alice.now, &[], &mut alice.rng).is_err());
    // Saving it heals the messenger: the message is in the inbox.
    alice.messenger.unsaved().unwrap().save(&mut alice.disk).unwrap();
    assert_eq!(alice.refusal(&message.message), Refusal::AlreadyOpened);
    assert!(alice.disk.inbox.values().any(|text| text == b"1"));
    // Control: after a crash instead, it opens again.
    let second = bob.send(&mut alice, b"2");
    let loaded = alice.messenger.route(&second.message, alice.now).unwrap().load(&mut alice.disk).unwrap();
    drop(alice.messenger.open(&second.message, loaded, alice.now).unwrap());
    alice.crash();
    assert_eq!(alice.open(&second.message).unwrap().payload, b"2");
}

#[test]
fn of_two_processes_one_saves_and_the_other_reloads() {
    let [mut alice, mut bob] = friends();
    let subject = subject_of(&alice);
    let mut other = Messenger::load(&mut alice.disk, &super::user::key(), &subject, 0, &mut alice.rng).unwrap();
    let message = bob.send(&mut alice, b"1");
    let loaded = other.route(&message.message, alice.now).unwrap().load(&mut alice.disk).unwrap();
    alice.open(&message.message).unwrap();
    let opened = other.open(&message.message, loaded, alice.now).unwrap();
    let failed = opened.save(&mut alice.disk).unwrap_err();
    assert!(super::user::is_stale(&failed.error));
    drop(failed);
    // Control: loaded again, it knows the message.
    let mut other = Messenger::load(&mut alice.disk, &super::user::key(), &subject, 0, &mut alice.rng).unwrap();
    assert!(matches!(other.route(&message.message, alice.now), Err(OpenError::Refused(refused))
        if refused.reason == Refusal::AlreadyOpened));
}

#[test]
fn an_older_session_in_the_store_is_refused() {
    let [mut alice, mut bob] = friends();
    let message = bob.send(&mut alice, b"1");
    let before = alice.disk.clone();
    alice.open(&message.message).unwrap();
    let next = bob.send(&mut alice, b"2");
    let route = alice.messenger.route(&next.message, alice.now).unwrap();
    let old = before.rows_of(route.subject().unwrap());
    let result = alice.messenger.open(&next.message, route.loaded(old), alice.now).map(|_| ());
    assert_eq!(result, Err(OpenError::Stored(noescrow::error::RestoreError::Rollback)));
    // Control.
    assert_eq!(alice.open(&next.message).unwrap().payload, b"2");
}

#[test]
fn one_wrong_reading_of_the_clock_ends_no_session() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let second = alice.seal_with(&peer, b"second", bob.bundle()).unwrap();
    bob.open(&second.message).unwrap();
    let right = bob.now;
    bob.now.0 += 80 * 365 * DAY;
    bob.maintain();
    bob.now = right;
    bob.maintain();
    assert_eq!(bob.stored_sessions(), 2);
    // Control: a month of readings does.
    bob.wait(31 * DAY);
    assert_eq!(bob.stored_sessions(), 1);
}

/// Polls a future that is always ready in the end.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

#[test]
fn an_asynchronous_store_serves_the_same_steps() {
    let [mut alice, mut bob] = friends();
    alice.disk.waits = (2, 2);
    let message = bob.send(&mut alice, b"1");
    let opened = wait_for(async {
        let subject = alice.messenger.subject();
        let mut messenger =
            Messenger::load_async(&mut alice.disk, &super::user::key(), &subject, 0, &mut alice.rng).await.unwrap();
        let route = messenger.route(&message.message, alice.now).unwrap();
        let loaded = route.load_async(&mut alice.disk).await.unwrap();
        messenger.open(&message.message, loaded, alice.now).unwrap().save_async(&mut alice.disk).await.unwrap()
    });
    assert_eq!(opened.payload, b"1");
    // Control: what is saved is there for the blocking one.
    alice.crash();
    assert_eq!(alice.refusal(&message.message), Refusal::AlreadyOpened);
}

/// A step that begins a session and ends another one, at a store that fails in each way.
#[test]
fn a_commit_of_unknown_result_is_saved_once_more_and_counts_once() {
    for fault in [Fault::Refuses, Fault::LosesTheBatch, Fault::CommitsAndFails] {
        let [mut alice, mut bob] = friends();
        let peer = alice.peer(&bob);
        for _ in 1..SESSIONS_OF_A_PEER {
            bob.now.0 += HOUR;
            let message = alice.seal_with(&peer, b"new", bob.bundle()).unwrap();
            bob.open(&message.message).unwrap();
        }
        bob.now.0 += HOUR;
        let message = alice.seal_with(&peer, b"last", bob.bundle()).unwrap();
        let loaded = bob.messenger.route(&message.message, bob.now).unwrap().load(&mut bob.disk).unwrap();
        bob.disk.faults = vec![fault];
        let step = bob.messenger.open(&message.message, loaded, bob.now).unwrap();
        let failed = step.save(&mut bob.disk).unwrap_err();
        assert_eq!(failed.unsaved.save(&mut bob.disk).unwrap().payload, b"last");
        assert_eq!(bob.stored_sessions(), SESSIONS_OF_A_PEER);
        assert_eq!(bob.refusal(&message.message), Refusal::AlreadyOpened);
        bob.restart();
        let reply = bob.send(&mut alice, b"hi");
        assert_eq!((alice.open(&reply.message).unwrap().payload, reply.session), (b"hi".to_vec(), message.session));
    }
    // Control: a store that only says that it has saved loses the step.
    let [mut alice, mut bob] = friends();
    let message = alice.send(&mut bob, b"1");
    bob.disk.faults = vec![Fault::FalseSuccess];
    bob.open(&message.message).unwrap();
    bob.crash();
    assert!(!bob.disk.inbox.values().any(|text| text == b"1"));
}

/// The server delivers two messages of one handshake at once, and both are routed before the first is opened.
#[test]
fn a_message_that_was_routed_before_another_step_is_routed_again() {
    let [mut alice, mut bob] = [User::new(1), User::new(2)];
    let peer = alice.add("bob");
    let first = alice.seal_with(&peer, b"1", bob.bundle()).unwrap();
    let second = alice.seal(&peer, b"2").unwrap();
    let routed = [&first, &second].map(|sent| bob.messenger.route(&sent.message, bob.now).unwrap());
    let [loaded, stale] = routed.map(|route| route.load(&mut bob.disk).unwrap());
    let opened = bob.messenger.open(&first.message, loaded, bob.now).unwrap().save(&mut bob.disk).unwrap();
    assert_eq!(opened.payload, b"1");
    assert_eq!(bob.messenger.open(&second.message, stale, bob.now).map(|_| ()), Err(OpenError::RouteAgain));
    // What was loaded for another message.
    let third = alice.seal(&peer, b"3").unwrap();
    let other = bob.messenger.route(&third.message, bob.now).unwrap().load(&mut bob.disk).unwrap();
    assert_eq!(bob.messenger.open(&second.message, other, bob.now).map(|_| ()), Err(OpenError::RouteAgain));
    // Control: routed again, both open.
    assert_eq!(bob.open(&second.message).unwrap().payload, b"2");
    assert_eq!(bob.open(&third.message).unwrap().payload, b"3");
}
