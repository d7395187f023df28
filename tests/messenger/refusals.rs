// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each reason for which a message does not open, with its remedy; and what is not refused but left at the server.

use super::user::{DAY, NOW, User, friends, strangers};
use noescrow::messenger::policy::{EPOCH_JUMP, SWEEPS_A_MINUTE};
use noescrow::messenger::{OpenError, Refusal, Remedy};
use noescrow::{Device, InitiateOptions};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// An ordinary message that belongs to nobody.
fn junk(number: usize) -> Vec<u8> {
    let mut junk = vec![0x12; 300];
    junk[1..9].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    junk
}

#[test]
fn a_message_after_a_long_loss_is_found_by_its_header_key() {
    let [mut alice, mut bob] = friends();
    let lost: Vec<_> = (0..500).map(|_| alice.send(&mut bob, b"lost")).collect();
    let message = alice.send(&mut bob, b"after");
    let route = bob.messenger.route(&message.message, bob.now).unwrap();
    assert_eq!(route.subject().unwrap().session_id(), Some(&message.session));
    assert_eq!(bob.open(&message.message).unwrap().payload, b"after");
    // Those that were only late are found, too, with a new session's and after a restart.
    bob.restart();
    for late in [&lost[0], &lost[250], &lost[499]] {
        assert_eq!(bob.open(&late.message).unwrap().payload, b"lost");
    }
    // Control: without its commitment, such a message belongs to nobody.
    let mut message = alice.send(&mut bob, b"next").message;
    message[1] ^= 1;
    assert_eq!(bob.refusal(&message), Refusal::NoSuchSession);
}

#[test]
fn junk_uses_up_ten_sweeps_and_then_mail_without_a_tag_waits() {
    let [mut alice, mut bob] = friends();
    (0..20).for_each(|_| _ = alice.send(&mut bob, b"lost"));
    let message = alice.send(&mut bob, b"after");
    let expected = bob.send(&mut alice, b"");
    for number in 0..SWEEPS_A_MINUTE {
        assert_eq!(bob.refusal(&junk(number)), Refusal::NoSuchSession);
        assert_eq!(alice.refusal(&junk(number)), Refusal::NoSuchSession);
    }
    let until = noescrow::UnixSeconds(bob.now.0 + 60);
    assert_eq!(bob.open(&message.message), Err(OpenError::Deferred { until }));
    assert_eq!(bob.open(&junk(99)), Err(OpenError::Deferred { until }));
    // A message with a tag needs no sweep.
    alice.open(&expected.message).unwrap();
    // Control: a minute later the message opens.
    bob.now = until;
    assert_eq!(bob.open(&message.message).unwrap().payload, b"after");
}

#[test]
fn a_duplicate_is_ignored_and_a_late_message_is_asked_for() {
    let [mut alice, mut bob] = friends();
    let first = alice.send(&mut bob, b"1");
    bob.open(&first.message).unwrap();
    assert_eq!(bob.refusal(&first.message), Refusal::AlreadyOpened);
    // More are lost than keys are kept: the first of them comes too late.
    let late = alice.send(&mut bob, b"late");
    (0..noescrow::MAX_SKIPPED_KEYS).for_each(|_| _ = alice.send(&mut bob, b"lost"));
    let after = alice.send(&mut bob, b"after");
    bob.open(&after.message).unwrap();
    let Err(OpenError::Refused(refused)) = bob.open(&late.message) else { panic!("opened") };
    assert_eq!((refused.reason, refused.author), (Refusal::TooLate, Some(bob.peer(&alice))));
    assert_eq!(refused.reason.remedy(), Remedy::AskAgain);
    assert_eq!(Refusal::AlreadyOpened.remedy(), Remedy::Ignore);
    // Control: the next one opens.
    let next = alice.send(&mut bob, b"next");
    assert_eq!(bob.open(&next.message).unwrap().payload, b"next");
}

#[test]
fn another_message_of_a_used_number_shows_a_fork() {
    let [mut alice, mut bob] = friends();
    let copy = alice.disk.clone();
    let message = alice.send(&mut bob, b"1");
    bob.open(&message.message).unwrap();
    // Alice's state was copied before, and seals once more.
    alice.disk = copy;
    alice.crash();
    let other = alice.send(&mut bob, b"2");
    let Err(OpenError::Refused(refused)) = bob.open(&other.message) else { panic!("opened") };
    assert_eq!((refused.reason, refused.author), (Refusal::ForkSuspected, Some(bob.peer(&alice))));
    assert_eq!(refused.reason.remedy(), Remedy::NewSession);
    // Control: the same message again is a duplicate.
    assert_eq!(bob.refusal(&message.message), Refusal::AlreadyOpened);
}

#[test]
fn another_message_with_the_same_salt_shows_a_fork() {
    let [mut alice, mut bob] = friends();
    // A clone of the machine, with its generator: both seal from one state, with one salt.
    let (copy, rng) = (alice.disk.clone(), alice.rng.clone());
    let message = alice.send(&mut bob, b"1");
    bob.open(&message.message).unwrap();
    alice.disk = copy;
    alice.crash();
    alice.rng = rng;
    let other = alice.send(&mut bob, b"2");
    assert_eq!(message.message[..40], other.message[..40]);
    assert_eq!(bob.refusal(&other.message), Refusal::ForkSuspected);
    // Control: the same message again is a duplicate.
    assert_eq!(bob.refusal(&message.message), Refusal::AlreadyOpened);
}

#[test]
fn a_damaged_copy_of_an_opened_message_shows_no_fork() {
    let [mut alice, mut bob] = friends();
    let peer = bob.peer(&alice);
    let message = alice.send(&mut bob, &[7; 6_000]);
    bob.open(&message.message).unwrap();
    for is_restarted in [false, true] {
        let mut damaged = message.message.clone();
        // After the bytes that the header covers.
        let last = damaged.len() - 1 - usize::from(is_restarted);
        damaged[last] ^= 1;
        let Err(OpenError::Refused(refused)) = bob.open(&damaged) else { panic!("opened") };
        assert_eq!((refused.reason, refused.author), (Refusal::AlreadyOpened, Some(peer)));
        assert!(!refused.is_reportable());
        assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(None));
        bob.maintain();
        bob.restart();
    }
    // Control: one that was not opened is refused for its body, and opens after that.
    let next = alice.send(&mut bob, &[8; 6_000]);
    let mut damaged = next.message.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(bob.refusal(&damaged), Refusal::Body);
    assert_eq!(bob.open(&next.message).unwrap().payload, [8; 6_000]);
}

#[test]
fn many_kept_keys_leave_room_for_the_next_chains_tags() {
    let [mut alice, mut bob] = friends();
    let late: Vec<_> = (0..200).map(|_| alice.send(&mut bob, b"late")).collect();
    let after = alice.send(&mut bob, b"after");
    bob.open(&after.message).unwrap();
    let reply = bob.send(&mut alice, b"reply");
    alice.open(&reply.message).unwrap();
    let chain: Vec<_> = (0..8).map(|_| alice.send(&mut bob, b"next chain")).collect();
    (0..SWEEPS_A_MINUTE).for_each(|number| _ = bob.open(&junk(number)));
    assert!(matches!(bob.open(&junk(99)), Err(OpenError::Deferred { .. })), "no sweep is left");
    for message in chain.iter().rev() {
        assert_eq!(bob.open(&message.message).unwrap().payload, b"next chain");
    }
    // Control: of the late ones, not all tags are kept, and the others wait for a sweep.
    assert!(matches!(bob.open(&late[199].message), Err(OpenError::Deferred { .. })));
    assert_eq!(bob.open(&late[0].message).unwrap().payload, b"late");
}

#[test]
fn a_body_that_does_not_open_names_its_author() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let loaded = alice.messenger.route_to(&peer).unwrap().load(&mut alice.disk).unwrap();
    let payload = noescrow::Payload { plaintext: b"1", associated_data: b"alice to bob", ..Default::default() };
    let step = alice.messenger.seal(&peer, payload, loaded, alice.now, &mut alice.rng).unwrap();
    let message = step.save(&mut alice.disk).unwrap().message;
    let Err(OpenError::Refused(refused)) = bob.open(&message) else { panic!("opened") };
    assert_eq!((refused.reason, refused.author), (Refusal::Body, Some(bob.peer(&alice))));
    // Control: with the author's associated data it opens.
    let loaded = bob.messenger.route(&message, bob.now).unwrap().load(&mut bob.disk).unwrap();
    let opened = bob.messenger.open_with(&message, loaded, bob.now, |author| [author.name, b" to bob"].concat());
    assert_eq!(opened.unwrap().save(&mut bob.disk).unwrap().payload, b"1");
}

#[test]
fn what_anybody_can_have_written_names_no_author() {
    let [mut alice, mut bob] = strangers();
    let hello = alice.send(&mut bob, b"hello").message;
    // The last prekey of the first message's bundle is gone.
    let mut gone = hello.clone();
    gone[9] ^= 1;
    let mut damaged = hello.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let message = {
        bob.open(&hello).unwrap();
        let reply = bob.send(&mut alice, b"hi");
        alice.open(&reply.message).unwrap();
        alice.send(&mut bob, b"1").message
    };
    let mut body = message.clone();
    *body.last_mut().unwrap() ^= 1;
    for (message, reason) in [
        (&gone, Refusal::PrekeyGone),
        (&damaged, Refusal::Damaged),
        (&body, Refusal::Damaged),
        (&message[..40].to_vec(), Refusal::Damaged),
        (&junk(1), Refusal::NoSuchSession),
        (&vec![], Refusal::Damaged),
        (&vec![0xFF; 200], Refusal::Damaged),
    ] {
        let Err(OpenError::Refused(refused)) = bob.open(message) else { panic!("opened") };
        assert_eq!((refused.reason, refused.author), (reason, None));
        assert_eq!(reason.remedy(), Remedy::Ignore);
    }
    // Control: the genuine one opens after all of them.
    assert_eq!(bob.open(&message).unwrap().payload, b"1");
}

#[test]
fn refusals_are_counted_by_reason_and_survive_a_restart() {
    let [mut alice, mut bob] = friends();
    assert_eq!(bob.messenger.counters().iter().map(|(_, count)| count).sum::<u64>(), 0);
    bob.refusal(&junk(1));
    bob.refusal(&junk(2));
    bob.refusal(&[]);
    let message = alice.send(&mut bob, b"1");
    bob.open(&message.message).unwrap();
    bob.refusal(&message.message);
    bob.wait(DAY);
    bob.restart();
    let counters = bob.messenger.counters();
    assert_eq!(counters.of(Refusal::NoSuchSession), 2);
    assert_eq!((counters.of(Refusal::Damaged), counters.of(Refusal::AlreadyOpened)), (1, 1));
    // Control: nothing else was counted.
    assert_eq!(counters.iter().map(|(_, count)| count).sum::<u64>(), 4);
}

#[test]
fn a_refused_message_writes_nothing() {
    let [mut alice, mut bob] = friends();
    let commits = bob.disk.commits;
    (0..5).for_each(|number| _ = bob.refusal(&junk(number)));
    assert_eq!(bob.disk.commits, commits);
    // Control.
    let message = alice.send(&mut bob, b"1");
    bob.open(&message.message).unwrap();
    assert_eq!(bob.disk.commits, commits + 1);
}

/// A first message of a device that writes its own inner payload.
fn foreign_first_message(bob: &mut User, payload: &[u8]) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let device = Device::generate(NOW, &mut rng);
    let (_, message) = device.initiate(bob.bundle(), payload, InitiateOptions::unverified(NOW), &mut rng).unwrap();
    message
}

/// An inner payload of this epoch.
fn inner(kind: u8, epoch: u32) -> Vec<u8> {
    [&[kind][..], &epoch.to_be_bytes(), &[0; 4], &[0xFF; 8], b"hi"].concat()
}

#[test]
fn a_first_message_that_is_not_of_this_layer_uses_no_prekey_up() {
    let mut bob = User::new(1);
    for payload in [b"hi".to_vec(), inner(2, 1), inner(3, 1), inner(9, 1), inner(1, 0)] {
        let message = foreign_first_message(&mut bob, &payload);
        let commits = bob.disk.commits;
        for _ in 0..2 {
            // The second time, too: the prekey is still there.
            assert_eq!(bob.refusal(&message), Refusal::Malformed);
        }
        assert_eq!((bob.messenger.peers().count(), bob.disk.commits), (0, commits));
    }
    // Control.
    let message = foreign_first_message(&mut bob, &inner(1, 1));
    assert_eq!(bob.open(&message).unwrap().payload, b"hi");
}

#[test]
fn an_epoch_beyond_the_bound_is_on_probation() {
    let mut bob = User::new(1);
    let message = foreign_first_message(&mut bob, &inner(1, EPOCH_JUMP + 1));
    let opened = bob.open(&message).unwrap();
    assert!(opened.is_on_probation);
    // Nothing is sent on it, and it does not count as known.
    assert!(!bob.messenger.peer(&opened.peer).unwrap().can_send);
    let message = foreign_first_message(&mut bob, &inner(1, 2 * EPOCH_JUMP));
    assert!(bob.open(&message).unwrap().is_on_probation);
    // Control: at the bound it is live.
    let message = foreign_first_message(&mut bob, &inner(1, EPOCH_JUMP));
    assert!(!bob.open(&message).unwrap().is_on_probation);
}
