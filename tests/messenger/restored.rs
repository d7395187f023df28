// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stores that were put back to an earlier state: what shows it, what does not, and that one call puts it right.

use super::disk::Fault;
use super::user::{DAY, HOUR, NOW, User, friends, is_stale, key, subject_of};
use noescrow::durable::{RowName, Subject};
use noescrow::messenger::{Messenger, NewSession, OpenError, PeerId, Refusal, SealError, Suspicion};
use noescrow::{Prekey, Publication};
use std::collections::BTreeSet;

/// Puts the user's store back to `backup`. The server keeps what it has.
pub fn put_back(user: &mut User, backup: &super::disk::Disk) {
    user.disk = backup.clone();
    user.crash();
}

pub fn restore(user: &mut User) {
    let step = user.messenger.restore_backup(user.now, &mut user.rng).unwrap();
    let published = step.save(&mut user.disk).unwrap();
    user.signed_prekey = published.signed_prekey;
    user.one_time_prekeys = published.one_time_prekeys;
}

/// A round trip.
pub fn talk(alice: &mut User, bob: &mut User) {
    for text in [b"1", b"2"] {
        let message = alice.send(bob, text);
        assert_eq!(bob.open(&message.message).unwrap().payload, text);
        let message = bob.send(alice, text);
        assert_eq!(alice.open(&message.message).unwrap().payload, text);
    }
}

#[test]
fn a_store_behind_its_witness_is_suspect_until_restored() {
    let [mut alice, mut bob] = friends();
    let backup = bob.disk.clone();
    talk(&mut alice, &mut bob);
    let witness = bob.messenger.generation();
    put_back(&mut bob, &backup);
    // Control: against its own generation nothing is wrong.
    let own = bob.messenger.generation();
    assert_eq!(bob.messenger.check_witness(own), None);
    assert_eq!(bob.messenger.check_witness(witness), Some(Suspicion::Witness));
    let peer = bob.peer(&alice);
    let message = alice.send(&mut bob, b"3");
    assert_eq!(bob.open(&message.message), Err(OpenError::Suspect(Suspicion::Witness)));
    assert_eq!(bob.seal(&peer, b""), Err(SealError::Suspect(Suspicion::Witness)));
    assert!(bob.messenger.maintain(bob.now, &[], &mut bob.rng).is_err());
    restore(&mut bob);
    assert_eq!((bob.messenger.suspicion(), bob.messenger.is_saved()), (None, true));
    assert_eq!(bob.seal(&peer, b""), Err(SealError::NeedsBundle(NewSession::Restored)));
}

#[test]
fn a_crash_before_the_witness_is_written_is_harmless() {
    let [mut alice, mut bob] = friends();
    let witness = bob.messenger.generation();
    talk(&mut alice, &mut bob);
    bob.crash();
    assert!(bob.messenger.generation() > witness);
    assert_eq!(bob.messenger.check_witness(witness), None);
    // Control: one step behind is a rollback.
    let next = bob.messenger.generation() + 1;
    assert_eq!(bob.messenger.check_witness(next), Some(Suspicion::Witness));
}

#[test]
fn a_store_older_than_asked_for_does_not_load() {
    let [mut alice, mut bob] = friends();
    let published = bob.messenger.maintain(bob.now, &[], &mut bob.rng).unwrap().save(&mut bob.disk).unwrap();
    let backup = bob.disk.clone();
    talk(&mut alice, &mut bob);
    bob.messenger.mark_published(&published, bob.now).unwrap().save(&mut bob.disk).unwrap();
    let (subject, newest) = (bob.messenger.subject(), bob.messenger.generation());
    let mut load = |disk: &super::disk::Disk| {
        Messenger::load(&mut disk.clone(), &key(), &subject, newest, &mut bob.rng).map(|_| ())
    };
    let rollback = noescrow::error::RestoreError::Rollback;
    assert_eq!(load(&backup), Err(noescrow::durable::LoadError::Refused(rollback)));
    // Nor if the device alone is older, whose prekeys would open first messages again.
    let mut mixed = bob.disk.clone();
    for ((of, name), sealed) in backup.rows.iter().filter(|((of, _), _)| of.is_device()) {
        mixed.rows.insert((*of, *name), sealed.clone());
    }
    assert_ne!(mixed.rows, bob.disk.rows);
    assert_eq!(load(&mixed), Err(noescrow::durable::LoadError::Refused(rollback)));
    // Control.
    assert_eq!(load(&bob.disk), Ok(()));
}

pub fn login(user: &mut User, server: &mut Option<[u8; 16]>, server_saves: bool) -> Result<(), Suspicion> {
    let step = match user.messenger.login(server.as_ref(), user.now, &mut user.rng) {
        Ok(step) => step,
        Err(noescrow::durable::StepError::Failed(suspicion)) => return Err(suspicion),
        Err(error) => panic!("{error}"),
    };
    let offered = step.save(&mut user.disk).unwrap();
    if server_saves {
        *server = Some(offered);
    }
    Ok(())
}

#[test]
fn a_login_nonce_shows_a_store_that_was_put_back() {
    let (mut bob, mut server) = (User::new(1), None);
    for server_saves in [true, false, true, true, false, false, true] {
        // Control: an exchange that got lost on either side is no rollback.
        assert_eq!(login(&mut bob, &mut server, server_saves), Ok(()));
    }
    let backup = bob.disk.clone();
    assert_eq!(login(&mut bob, &mut server, true), Ok(()));
    put_back(&mut bob, &backup);
    // Control: so is a crash between the two.
    assert_eq!(login(&mut bob, &mut server, true), Err(Suspicion::LoginNonce));
    bob.crash();
    assert_eq!(login(&mut bob, &mut server, true), Err(Suspicion::LoginNonce));
    restore(&mut bob);
    assert_eq!(login(&mut bob, &mut server, true), Ok(()));
    assert_eq!(login(&mut bob, &mut server, true), Ok(()));
}

#[test]
fn a_suspicion_that_is_saved_survives_a_restart() {
    for is_saved in [true, false] {
        let (mut bob, mut server) = (User::new(1), None);
        assert_eq!(login(&mut bob, &mut server, true), Ok(()));
        let known = server;
        assert_eq!(login(&mut bob, &mut Some([9; 16]), false), Err(Suspicion::LoginNonce));
        if is_saved {
            let step = bob.messenger.save_notes(bob.now).unwrap();
            assert_eq!(step.save(&mut bob.disk).unwrap(), Some(Suspicion::LoginNonce));
        }
        bob.crash();
        // Control: one that is not saved is forgotten, and a server that shows the known nonce now is believed.
        let expected = is_saved.then_some(Suspicion::LoginNonce);
        assert_eq!(bob.messenger.suspicion(), expected);
        assert_eq!(login(&mut bob, &mut known.clone(), false).err(), expected);
        assert_eq!(bob.messenger.maintain(bob.now, &[], &mut bob.rng).is_err(), is_saved);
        bob.crash();
        restore(&mut bob);
        bob.crash();
        assert_eq!(bob.messenger.suspicion(), None);
    }
}

#[test]
fn a_corrected_clock_corrects_when_the_store_was_restored() {
    let mut bob = User::new(1);
    let old: Vec<u32> = bob.one_time_prekeys.iter().map(Prekey::id).collect();
    // The clock is 16 days behind, and follows a day later.
    bob.now.0 += 17 * DAY;
    restore(&mut bob);
    bob.wait(2 * DAY);
    bob.restart();
    assert_eq!(bob.messenger.unknown_one_time_prekeys(&old).count(), 0);
    // Control: two weeks after the restoring, they are deleted.
    bob.wait(11 * DAY);
    assert_eq!(bob.messenger.unknown_one_time_prekeys(&old).count(), 0);
    bob.wait(DAY);
    assert_eq!(bob.messenger.unknown_one_time_prekeys(&old).count(), old.len());
}

#[test]
fn after_restoring_old_sessions_are_receive_only() {
    let [mut alice, mut bob] = friends();
    let late = [b"1", b"2"].map(|text| alice.send(&mut bob, text));
    // Control: before, they are not.
    assert!(!bob.open(&late[0].message).unwrap().is_receive_only);
    restore(&mut bob);
    let opened = bob.open(&late[1].message).unwrap();
    assert!(opened.is_receive_only && !opened.is_former_identity && !opened.is_on_probation);
    let of_alice = opened.peer;
    assert_eq!(bob.messenger.needs_bundle(&of_alice, bob.now), Ok(Some(NewSession::Restored)));
}

#[test]
fn a_server_that_lies_about_the_nonce_causes_one_renewal_a_day() {
    let mut bob = User::new(1);
    let mut renewals = 0;
    for hour in 0..72 {
        bob.now.0 += HOUR;
        if login(&mut bob, &mut Some([hour; 16]), false).is_err() {
            restore(&mut bob);
            renewals += 1;
        }
    }
    assert_eq!(renewals, 3);
    // Control: an honest one causes none.
    let mut server = None;
    for _ in 0..72 {
        bob.now.0 += HOUR;
        assert_eq!(login(&mut bob, &mut server, true), Ok(()));
    }
}

#[test]
fn after_restoring_both_ends_meet_in_a_new_session() {
    let [mut alice, mut bob] = friends();
    let backup = bob.disk.clone();
    talk(&mut alice, &mut bob);
    let late = alice.send(&mut bob, b"on the old session");
    put_back(&mut bob, &backup);
    let peer = bob.peer(&alice);
    let on_session = |bob: &mut User| {
        let loaded = bob.messenger.route_to(&peer).unwrap().load(&mut bob.disk).unwrap();
        bob.messenger.seal_on_session(&peer, b"", loaded, bob.now, &mut bob.rng).map(|_| ())
    };
    restore(&mut bob);
    // Not even when there is no bundle.
    assert_eq!(on_session(&mut bob), Err(SealError::NeedsBundle(NewSession::None)));
    assert_eq!(bob.refusal(&late.message), Refusal::NoSuchSession);
    let new = bob.send(&mut alice, b"I was restored");
    assert_eq!(new.recovers_from, Some(NewSession::Restored));
    assert_eq!(alice.open(&new.message).unwrap().payload, b"I was restored");
    talk(&mut alice, &mut bob);
    assert_eq!(alice.send(&mut bob, b"").session, new.session);
    // Control: without restoring, Bob would send what Alice cannot open.
    let [mut alice, mut bob] = friends();
    let backup = bob.disk.clone();
    talk(&mut alice, &mut bob);
    put_back(&mut bob, &backup);
    let message = bob.send(&mut alice, b"");
    assert!(alice.open(&message.message).is_err());
}

#[test]
fn a_copy_of_an_old_first_message_gets_no_content_after_restoring() {
    let mut bob = User::new(1);
    let mut alice = User::new(2);
    let peer = alice.add("bob");
    let hello = alice.seal_with(&peer, b"hello", bob.bundle()).unwrap();
    let backup = bob.disk.clone();
    let of_alice = bob.open(&hello.message).unwrap().peer;
    bob.seal(&of_alice, b"secret").unwrap();
    put_back(&mut bob, &backup);
    restore(&mut bob);
    let opened = bob.open(&hello.message).unwrap();
    assert!(opened.is_on_probation);
    assert!(matches!(bob.seal(&opened.peer, b"secret"), Err(SealError::NeedsBundle(_))));
    // Control: a first message with a new prekey is answered.
    let hello = alice.seal_with(&peer, b"hello", bob.bundle()).unwrap();
    assert!(!bob.open(&hello.message).unwrap().is_on_probation);
    assert!(bob.seal(&opened.peer, b"content").is_ok());
}

#[test]
fn restoring_issues_no_prekey_twice() {
    let mut bob = User::new(1);
    let ids = |bob: &User| -> BTreeSet<u32> { bob.one_time_prekeys.iter().map(Prekey::id).collect() };
    let backup = bob.disk.clone();
    let before = ids(&bob);
    let signed = bob.signed_prekey.id();
    put_back(&mut bob, &backup);
    // Control: without restoring, those that the server does not list are offered again, although they may be used.
    let offered = bob.messenger.maintain(bob.now, &[], &mut bob.rng).unwrap().save(&mut bob.disk).unwrap();
    assert!(offered.one_time_prekeys.iter().any(|prekey| before.contains(&prekey.id())));
    put_back(&mut bob, &backup);
    bob.wait(DAY);
    restore(&mut bob);
    assert!(!bob.one_time_prekeys.is_empty() && ids(&bob).is_disjoint(&before));
    assert_ne!(bob.signed_prekey.id(), signed);
    // The old ones are kept for mail on its way, and deleted after two weeks.
    let old: Vec<u32> = before.iter().copied().collect();
    assert_eq!(bob.messenger.unknown_one_time_prekeys(&old).count(), 0);
    bob.wait(14 * DAY);
    assert_eq!(bob.messenger.unknown_one_time_prekeys(&old).count(), old.len());
}

/// The limit: neither side can tell, and a week of silence is what ends it.
#[test]
fn one_round_trip_after_a_backup_no_message_shows_that_it_was_put_back() {
    let [mut alice, mut bob] = friends();
    let backup = bob.disk.clone();
    talk(&mut alice, &mut bob);
    put_back(&mut bob, &backup);
    let (of_alice, of_bob) = (bob.peer(&alice), alice.peer(&bob));
    for _ in 0..3 {
        let to_bob = alice.seal(&of_bob, b"to bob").unwrap();
        let to_alice = bob.seal(&of_alice, b"to alice").unwrap();
        assert_eq!(bob.refusal(&to_bob.message), Refusal::NoSuchSession);
        assert_eq!(alice.refusal(&to_alice.message), Refusal::NoSuchSession);
    }
    assert_eq!(alice.messenger.needs_bundle(&of_bob, alice.now), Ok(None));
    assert_eq!(bob.messenger.needs_bundle(&of_alice, bob.now), Ok(None));
    for user in [&mut alice, &mut bob] {
        user.wait(7 * DAY);
    }
    let message = alice.send(&mut bob, b"after a week");
    assert_eq!(message.recovers_from, Some(NewSession::Silence));
    bob.open(&message.message).unwrap();
    talk(&mut alice, &mut bob);
    // Control: before Alice has a newer chain of Bob's, the same number with another message shows it.
    let backup = bob.disk.clone();
    let message = bob.send(&mut alice, b"1");
    alice.open(&message.message).unwrap();
    put_back(&mut bob, &backup);
    let other = bob.send(&mut alice, b"2");
    assert_eq!(alice.refusal(&other.message), Refusal::ForkSuspected);
}

#[test]
fn prekeys_of_a_lost_upload_are_offered_until_they_are_published() {
    let mut bob = User::new(1);
    let first: BTreeSet<u32> = bob.one_time_prekeys.iter().map(Prekey::id).collect();
    let ids = |of: &Publication| -> BTreeSet<u32> { of.one_time_prekeys.iter().map(Prekey::id).collect() };
    let offered = |bob: &mut User, server_has: &[u32]| {
        let step = bob.messenger.maintain(bob.now, server_has, &mut bob.rng).unwrap();
        step.save(&mut bob.disk).unwrap()
    };
    assert_eq!(ids(&offered(&mut bob, &[])), first);
    bob.restart();
    let publication = offered(&mut bob, &[]);
    assert_eq!(ids(&publication), first);
    // Control: when they are published, and then handed out, new ones are made.
    bob.messenger.mark_published(&publication, bob.now).unwrap().save(&mut bob.disk).unwrap();
    bob.now.0 += DAY;
    let second = ids(&offered(&mut bob, &[]));
    assert!(!second.is_empty() && second.is_disjoint(&first));
}

#[test]
fn a_publication_from_before_a_restoring_is_not_marked_as_the_new_one() {
    let ids = |of: &Publication| -> BTreeSet<u32> { of.one_time_prekeys.iter().map(Prekey::id).collect() };
    // One process uploads the old prekeys while another one restores, and says so after it; then it uploads the new ones.
    for is_old in [true, false] {
        let mut bob = User::new(1);
        let old = bob.messenger.maintain(NOW, &[], &mut bob.rng).unwrap().save(&mut bob.disk).unwrap();
        let new = bob.messenger.restore_backup(NOW, &mut bob.rng).unwrap().save(&mut bob.disk).unwrap();
        let uploaded = if is_old { &old } else { &new };
        bob.messenger.mark_published(uploaded, NOW).unwrap().save(&mut bob.disk).unwrap();
        bob.restart();
        let offered = bob.messenger.maintain(NOW, &[], &mut bob.rng).unwrap();
        let offered = ids(&offered.save(&mut bob.disk).unwrap());
        // Control: the new ones, when they were uploaded and fetched, are not offered once more.
        assert_eq!(ids(&new).is_subset(&offered), is_old);
        assert_eq!(ids(&new).is_disjoint(&offered), !is_old);
    }
}

#[test]
fn names_parse_from_exactly_their_bytes() {
    let [alice, bob] = friends();
    let (peer, subject, row) = (alice.peer(&bob), alice.messenger.subject(), RowName::CORE);
    assert_eq!(PeerId::try_from(&peer.as_bytes()[..]), Ok(peer));
    assert_eq!(Subject::try_from(&subject.to_bytes()[..]), Ok(subject));
    assert_eq!(RowName::try_from(&row.as_bytes()[..]), Ok(row));
    // Control: a byte less or more is no name.
    assert!(PeerId::try_from(&peer.as_bytes()[1..]).is_err());
    assert!(Subject::try_from(&[&subject.to_bytes()[..], &[0]].concat()[..]).is_err());
    assert!(RowName::try_from(&[0; 10][..]).is_err());
}

#[test]
fn a_deleted_account_leaves_no_row_and_no_further_step() {
    let [mut alice, mut bob] = friends();
    // Control: before, messenger, device, peer and session are there.
    assert_eq!(alice.disk.subjects().len(), 4);
    // It is not known that the commit was made: it is recognized when it is tried again.
    alice.disk.faults = vec![Fault::CommitsAndFails];
    let failed = alice.messenger.delete().unwrap().save(&mut alice.disk).unwrap_err();
    failed.unsaved.save(&mut alice.disk).unwrap();
    assert!(alice.disk.rows.is_empty());
    let step = alice.messenger.add_peer(b"late", None, alice.now, &mut alice.rng).unwrap();
    assert!(is_stale(&step.save(&mut alice.disk).unwrap_err().error));
    assert!(alice.disk.rows.is_empty());
    // Control: what another process has saved meanwhile is not deleted.
    let subject = subject_of(&bob);
    let mut other = Messenger::load(&mut bob.disk, &key(), &subject, 0, &mut bob.rng).unwrap();
    bob.add("carol");
    let rows = bob.disk.rows.clone();
    assert!(is_stale(&other.delete().unwrap().save(&mut bob.disk).unwrap_err().error));
    assert!(bob.disk.rows == rows);
}

#[test]
fn a_forgotten_peer_leaves_no_row_and_no_index() {
    let [mut alice, mut bob] = friends();
    let (peer, subjects) = (alice.peer(&bob), alice.disk.subjects().len());
    let message = bob.send(&mut alice, b"1");
    let step = alice.messenger.forget(&peer, alice.now).unwrap();
    let ended = step.batch().unwrap().ended;
    assert_eq!(ended.len(), 2);
    step.save(&mut alice.disk).unwrap();
    for _ in 0..2 {
        assert_eq!((alice.disk.subjects().len(), alice.messenger.peers().count()), (subjects - 2, 0));
        assert!(alice.messenger.peer_named(b"bob").is_none() && alice.messenger.peer_of(&bob.identity()).is_none());
        assert_eq!(alice.refusal(&message.message), Refusal::NoSuchSession);
        alice.restart();
    }
    // Control: a new first message of the same identity is a stranger's.
    let of_alice = bob.peer(&alice);
    let hello = bob.seal_with(&of_alice, b"again", alice.bundle()).unwrap();
    assert!(alice.open(&hello.message).unwrap().is_new_identity);
}

#[test]
fn what_a_refusal_notes_survives_a_restart_if_saved() {
    for is_saved in [true, false] {
        let [mut alice, mut bob] = friends();
        let backup = bob.disk.clone();
        let message = bob.send(&mut alice, b"1");
        alice.open(&message.message).unwrap();
        put_back(&mut bob, &backup);
        let fork = bob.send(&mut alice, b"2");
        // Control: junk alone leaves no note.
        let junk: Vec<u8> = fork.message.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at > 0)).collect();
        assert_eq!(alice.refusal(&junk), Refusal::NoSuchSession);
        assert!(!alice.messenger.has_notes());
        assert_eq!(alice.refusal(&fork.message), Refusal::ForkSuspected);
        assert!(alice.messenger.has_notes());
        if is_saved {
            alice.messenger.save_notes(alice.now).unwrap().save(&mut alice.disk).unwrap();
            assert!(!alice.messenger.has_notes());
        }
        alice.crash();
        let expected = is_saved.then_some(NewSession::ForkSuspected);
        assert_eq!(alice.messenger.needs_bundle(&alice.peer(&bob), alice.now), Ok(expected));
    }
}
