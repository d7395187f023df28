// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step is committed whole or not at all, whatever the store or the caller does.

use super::disk::{Broken, Check, Disk, Fault};
use super::{Device, NOW, Session, accept, accept_plainly, bundle, device, initiate, key, pair, rng};
use noescrow::durable::{Batch, CommitError, Durable, LoadError, RowName, SaveFailed, StepError, Unsaved};
use noescrow::error::{InitiateError, RestoreError};
use noescrow::hazmat::{Intercept, Intercepted};
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Capacity, InitiateOptions};
use std::error::Error;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_failed_save_and_a_later_rotate_lose_no_message() {
    let mut rng = rng(2);
    let (mut alices, mut disk) = (Disk::default(), Disk::default());
    let (mut alice, mut bob) = (device(&mut alices, &mut rng), device(&mut disk, &mut rng));
    let bundle = bundle(&mut bob, &mut disk, true, &mut rng);
    let (_, hello) = initiate(&mut alice, &mut alices, bundle, b"once", &mut rng);
    let before = disk.clone();

    disk.faults = vec![Fault::Refuses];
    drop(accept(&mut bob, &hello).unwrap().save(&mut disk).unwrap_err());
    assert_eq!(bob.rotate(NOW, &mut rng).unwrap_err(), StepError::NotSaved);
    assert!(disk.rows == before.rows && disk.inbox.is_empty());
    // Healed by saving the step itself: device, session and plaintext.
    bob.unsaved().unwrap().save(&mut disk).unwrap();
    bob.rotate(NOW, &mut rng).unwrap().save(&mut disk).unwrap();
    assert_eq!(disk.inbox.values().collect::<Vec<_>>(), [b"once"]);
    assert_eq!(disk.subjects().len(), 2);
    // Or by a restart: the message opens from the state before the step.
    let mut restarted = before;
    let mut again = Durable::<Device>::load(&mut restarted, &key(), &bob.subject(), 0, &mut rng).unwrap();
    let _ = accept(&mut again, &hello).unwrap().save(&mut restarted).unwrap();
    assert_eq!(restarted.inbox, disk.inbox);

    // Control: without `Durable`, a device that is saved only after the rotation loses the message.
    let mut plain = Device::generate_with(RustCrypto, NOW, &mut rng);
    let mut published = plain.publish(1, NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let (_, hello) = initiate(&mut alice, &mut alices, bundle, b"once", &mut rng);
    drop(accept_plainly(&mut plain, &hello).unwrap());
    plain.rotate(NOW, &mut rng);
    let saved = plain.snapshot(&key(), 1);
    let mut plain = Device::restore_with(RustCrypto, &saved, &key(), &plain.subject(), 1).unwrap();
    assert!(accept_plainly(&mut plain, &hello).is_err());
}

#[test]
fn a_store_that_committed_and_then_failed_takes_the_retry() {
    let mut pair = pair();
    for fault in [Fault::CommitsAndFails, Fault::LosesTheBatch] {
        pair.disks[0].faults = vec![fault];
        let before = pair.disks[0].outbox.len();
        let failed = pair.alice.encrypt(b"text", &mut pair.rng).unwrap().save(&mut pair.disks[0]).unwrap_err();
        assert_eq!(failed.error, CommitError::Unknown(Broken));
        let message = failed.unsaved.save(&mut pair.disks[0]).unwrap();
        assert_eq!(pair.disks[0].outbox[before..], [&message[..]], "once");
        assert_eq!(pair.receive(false, &message), b"text");
    }
    // Control: a store that knows of generations alone refuses the retry.
    pair.disks[0].check = Check::HigherGeneration;
    pair.disks[0].faults = vec![Fault::CommitsAndFails];
    let failed = pair.alice.encrypt(b"text", &mut pair.rng).unwrap().save(&mut pair.disks[0]).unwrap_err();
    let failed = failed.unsaved.save(&mut pair.disks[0]).unwrap_err();
    assert_eq!(failed.error, CommitError::Stale);
}

#[test]
fn a_new_device_is_on_disk_before_anybody_has_it() {
    let mut rng = rng(3);
    let mut disk = Disk::default();
    let bob = Device::generate_with(RustCrypto, NOW, &mut rng);
    let subject = bob.subject();
    let unsaved = Durable::<Device>::new(bob, &key(), &mut rng);
    let missing = Durable::<Device>::load(&mut disk, &key(), &subject, 0, &mut rng).map(|_| ());
    assert_eq!(missing, Err(LoadError::Missing));
    let bob = unsaved.save(&mut disk).unwrap();
    let restored = Durable::<Device>::load(&mut disk, &key(), &subject, bob.generation(), &mut rng).unwrap();
    assert_eq!((restored.identity(), restored.generation()), (bob.identity(), 1));
    // Control: the second device of this subject, which would replace the first, is stale.
    let saved = bob.snapshot(&key(), 1).unwrap();
    let copy = Device::restore_with(RustCrypto, &saved, &key(), &subject, 1).unwrap();
    let failed = Durable::<Device>::new(copy, &key(), &mut rng).save(&mut disk).unwrap_err();
    assert_eq!(failed.error, CommitError::Stale);
}

#[test]
fn another_subjects_row_does_not_restore_in_its_place() {
    let mut pair = pair();
    let bundle = bundle(&mut pair.devices[1], &mut pair.disks[1], false, &mut pair.rng);
    // Alice's session with Mallory, say: both rows are genuine, under one key, in one database.
    let (other, _) = initiate(&mut pair.devices[0], &mut pair.disks[0], bundle, b"hi", &mut pair.rng);
    let (ours, other) = (pair.alice.subject(), other.subject());
    let disk = &mut pair.disks[0];
    let load = |disk: &mut Disk, subject| Durable::<Session>::load(disk, &key(), &subject, 0, &mut rng(4)).map(|_| ());
    assert_eq!((load(disk, ours), load(disk, other)), (Ok(()), Ok(())));
    let [a, b] = [ours, other].map(|subject| disk.rows.remove(&(subject, RowName::CORE)).unwrap());
    disk.rows.insert((ours, RowName::CORE), b);
    disk.rows.insert((other, RowName::CORE), a);
    let refused = Err(LoadError::Refused(RestoreError::Refused));
    assert_eq!((load(disk, ours), load(disk, other)), (refused, refused));

    // The same for single snapshots: two sessions, and the devices of two accounts.
    let snapshots = [pair.alice.snapshot(&key(), 1), pair.bob.snapshot(&key(), 1)];
    let subjects = [pair.alice.subject(), pair.bob.subject()];
    assert_eq!(pair.alice.id(), pair.bob.id(), "only the local identity differs");
    for (at, subject) in subjects.iter().enumerate() {
        let restored = Session::restore(&snapshots[1 - at], &key(), subject, 1).map(|_| ());
        assert_eq!(restored, Err(RestoreError::Refused));
        // Control: each opens as what it is.
        assert!(Session::restore(&snapshots[at], &key(), subject, 1).is_ok());
    }
    let [a, b] = &pair.devices;
    let of_b = b.snapshot(&key(), 1).unwrap();
    let swapped = Device::restore_with(RustCrypto, &of_b, &key(), &a.subject(), 1).map(|_| ());
    assert_eq!(swapped, Err(RestoreError::Refused));
    assert!(Device::restore_with(RustCrypto, &of_b, &key(), &b.subject(), 1).is_ok());
}

#[test]
fn a_crash_between_save_and_use_loses_nothing() {
    let mut pair = pair();
    // The plaintext was saved and never shown, the message saved and never sent.
    let hello = pair.send(true, b"text");
    drop(pair.bob.decrypt(&hello).unwrap().save(&mut pair.disks[1]).unwrap());
    drop(pair.bob.encrypt(b"reply", &mut pair.rng).unwrap().save(&mut pair.disks[1]).unwrap());
    let subject = pair.bob.subject();
    pair.bob = Durable::<Session>::load(&mut pair.disks[1], &key(), &subject, 0, &mut pair.rng).unwrap();
    assert!(pair.bob.decrypt(&hello).is_err(), "the key is deleted");
    assert!(pair.disks[1].inbox.values().any(|text| text == b"text"));
    let unsent = pair.disks[1].outbox.last().unwrap().clone();
    assert_eq!(pair.receive(true, &unsent), b"reply");

    // Control: a store that leaves the plaintext out of the transaction has lost it.
    let next = pair.send(true, b"next");
    pair.disks[1].ignores_messages = true;
    drop(pair.bob.decrypt(&next).unwrap().save(&mut pair.disks[1]).unwrap());
    assert!(!pair.disks[1].inbox.values().any(|text| text == b"next"));
}

/// A plaintext and a message of the batch name the session and, in a session of two identities, the author.
#[test]
fn a_batch_names_session_author_and_message() {
    let mut pair = pair();
    let unsaved = pair.alice.encrypt(b"text", &mut pair.rng).unwrap();
    let Batch { sent, .. } = unsaved.batch().unwrap();
    let message = unsaved.save(&mut pair.disks[0]).unwrap();
    let sent = sent.unwrap();
    assert_eq!((&sent.message, sent.session), (&message, pair.alice.subject()));
    let received = pair.bob.decrypt(&message).unwrap().batch().unwrap().received.unwrap();
    assert_eq!((received.message_id, &received.plaintext[..]), (sent.message_id, &b"text"[..]));
    assert_eq!((received.session, received.author.as_ref()), (pair.bob.subject(), Some(pair.devices[0].identity())));
    // Control: another message has another id.
    pair.bob.unsaved().unwrap().save(&mut pair.disks[1]).unwrap();
    let other = pair.send(true, b"text");
    let other = pair.bob.decrypt(&other).unwrap().batch().unwrap().received.unwrap();
    assert_ne!(other.message_id, received.message_id);
}

/// Restores two processes from one state, which seal two texts, and returns how many of the two are released. With one
/// seed they have one writer, as two images of one loaded state.
fn released_by_two(seeds: [u64; 2], texts: [&[u8]; 2], check: Check) -> (usize, usize) {
    let mut pair = pair();
    let (subject, mut disk) = (pair.alice.subject(), pair.disks[0].clone());
    disk.check = check;
    let mut released = Vec::new();
    for (seed, text) in seeds.into_iter().zip(texts) {
        // Both read the rows before either writes.
        let rows = pair.disks[0].rows_of(&subject);
        let mut process = Durable::<Session>::restore(rows, &key(), &subject, 0, &mut rng(seed)).unwrap();
        // The worst case: the two generators that seal are alike.
        released.extend(process.encrypt(text, &mut rng(7)).unwrap().save(&mut disk).ok());
    }
    let opened = released
        .iter()
        .filter(|message| pair.bob.decrypt(&message[..]).is_ok_and(|unsaved| unsaved.save(&mut pair.disks[1]).is_ok()));
    (opened.count(), released.len())
}

#[test]
fn two_processes_of_one_state_do_not_both_release() {
    assert_eq!(released_by_two([5, 6], [b"one", b"two"], Check::Judge), (1, 1));
    // Control: a store that takes the generation for the state releases both, and the peer opens one.
    assert_eq!(released_by_two([5, 6], [b"one", b"two"], Check::GenerationAlone), (1, 2));
}

/// SN-1.5: after a fork, or as clones of a machine, two images have one writer. The second must not take the first one's
/// save for its own: its message would not be in the outbox, and the peer would refuse it.
#[test]
fn two_images_of_one_loaded_state_do_not_both_release() {
    assert_eq!(released_by_two([5, 5], [b"one", b"two"], Check::Judge), (1, 1));
    // Control: a store that takes the generation for the state releases both. With one text and one generator it is one
    // message, and the second save finds it done.
    assert_eq!(released_by_two([5, 5], [b"one", b"two"], Check::GenerationAlone), (1, 2));
    assert_eq!(released_by_two([5, 5], [b"one", b"one"], Check::Judge), (1, 2));
}

/// The same of two first messages that are refused: their entries in the replay record are in rows of one name.
#[test]
fn two_images_that_refuse_different_messages_do_not_both_save() {
    let mut pair = pair();
    let [alice, bob] = &mut pair.devices;
    let hellos = [(); 2].map(|()| {
        let bundle = bundle(bob, &mut pair.disks[1], false, &mut pair.rng);
        initiate(alice, &mut pair.disks[0], bundle, b"hi", &mut pair.rng).1
    });
    let (subject, rows) = (bob.subject(), pair.disks[1].rows_of(&bob.subject()));
    let saves = |messages: [&Vec<u8>; 2]| {
        let mut disk = pair.disks[1].clone();
        messages.map(|message| {
            let mut image = Durable::<Device>::restore(rows.clone(), &key(), &subject, 0, &mut rng(5)).unwrap();
            image.open(message).unwrap().refuse().save(&mut disk).map_err(|failed| failed.error)
        })
    };
    assert_eq!(saves([&hellos[0], &hellos[1]]), [Ok(()), Err(CommitError::Stale)]);
    // Control: of one message it is one step.
    assert_eq!(saves([&hellos[0], &hellos[0]]), [Ok(()), Ok(())]);
}

/// The private half of a prekey that is on no disk is lost in a crash, and with it every first message to it.
#[test]
fn no_public_prekey_leaves_before_its_private_half_is_saved() {
    let mut pair = pair();
    let (bob, disk) = (&mut pair.devices[1], &mut pair.disks[1]);
    let stored = bob.signed_prekey().unwrap();
    disk.faults = vec![Fault::Refuses];
    drop(bob.rotate(NOW, &mut pair.rng).unwrap().save(disk).unwrap_err());
    assert_eq!(bob.signed_prekey(), Err(StepError::NotSaved));
    bob.unsaved().unwrap().save(disk).unwrap();
    assert!(bob.signed_prekey().is_ok_and(|rotated| rotated != stored));
    disk.faults = vec![Fault::Refuses];
    drop(bob.publish(2, NOW, &mut pair.rng).unwrap().save(disk).unwrap_err());
    assert_eq!(bob.unlisted_one_time_prekeys().map(|_| ()), Err(StepError::NotSaved));
    assert_eq!(bob.snapshot(&key(), 1), Err(StepError::NotSaved));
    bob.unsaved().unwrap().save(disk).unwrap();
    assert_eq!(bob.unlisted_one_time_prekeys().unwrap().count(), 2);

    // Control: a device that is not `Durable` gives a prekey out unsaved, and cannot answer after a crash.
    let mut plain = Device::generate_with(RustCrypto, NOW, &mut pair.rng);
    let saved = plain.snapshot(&key(), 1);
    plain.rotate(NOW, &mut pair.rng);
    let bundle = Bundle::new(*plain.identity(), plain.signed_prekey(), None).unwrap();
    let (_, hello) = initiate(&mut pair.devices[0], &mut pair.disks[0], bundle, b"lost", &mut pair.rng);
    let mut plain = Device::restore_with(RustCrypto, &saved, &key(), &plain.subject(), 1).unwrap();
    assert!(accept_plainly(&mut plain, &hello).is_err());
}

#[test]
fn a_bundle_comes_back_while_the_last_step_is_not_saved() {
    let mut pair = pair();
    let ([alice, bob], [disk, bobs]) = (&mut pair.devices, &mut pair.disks);
    let bundle = bundle(bob, bobs, true, &mut pair.rng);
    let bytes = bundle.to_bytes();
    forget(alice.rotate(NOW, &mut pair.rng).unwrap());
    let options = InitiateOptions::unverified(NOW);
    let failed = alice.initiate(bundle, b"hi", options, &mut pair.rng).unwrap_err();
    assert_eq!((failed.error, failed.bundle.to_bytes()), (StepError::NotSaved, bytes.clone()));
    alice.unsaved().unwrap().save(disk).unwrap();
    // Control: a step that fails gives it back, too, and the bundle serves afterwards.
    let expecting = InitiateOptions::expecting(&alice.identity().clone(), NOW);
    let failed = alice.initiate(failed.bundle, b"hi", expecting, &mut pair.rng).unwrap_err();
    assert_eq!(failed.error, StepError::Failed(InitiateError::UnexpectedIdentity));
    assert_eq!(failed.bundle.to_bytes(), bytes);
    let (_, hello) = initiate(alice, disk, failed.bundle, b"hi", &mut pair.rng);
    assert!(bob.open(&hello).unwrap().used_one_time_prekey());
}

/// Two processes hold one generation after the database went back to a backup: the other one's state is not the one
/// from which this step began.
#[test]
fn a_save_needs_the_very_state_from_which_its_step_began() {
    for check in [Check::Judge, Check::HigherGeneration] {
        let mut pair = pair();
        let (subject, mut disk) = (pair.alice.subject(), pair.disks[0].clone());
        pair.send(true, b"one");
        // The backup is put back, and another process sends from it.
        let mut other = Durable::<Session>::load(&mut disk, &key(), &subject, 0, &mut rng(5)).unwrap();
        let _ = other.encrypt(b"two", &mut pair.rng).unwrap().save(&mut disk).unwrap();
        assert_eq!(other.generation(), pair.alice.generation());
        disk.check = check;
        let saved = pair.alice.encrypt(b"three", &mut pair.rng).unwrap().save(&mut disk);
        // Control: a store that asks for a higher generation and no more saves a third state over the second.
        assert_eq!(saved.is_ok(), check == Check::HigherGeneration);
    }
}

#[test]
fn a_forgotten_step_blocks_the_next_until_it_is_saved() {
    let mut pair = pair();
    forget(pair.alice.encrypt(b"forgotten", &mut pair.rng).unwrap());
    assert!(!pair.alice.is_saved());
    assert_eq!(pair.alice.encrypt(b"next", &mut pair.rng).unwrap_err(), StepError::NotSaved);
    pair.alice.unsaved().unwrap().save(&mut pair.disks[0]).unwrap();
    assert!(pair.alice.is_saved() && pair.alice.unsaved().is_none());
    let next = pair.send(true, b"next");
    let forgotten = pair.disks[0].outbox[1].clone();
    assert_eq!(
        (pair.receive(false, &next), pair.receive(false, &forgotten)),
        (b"next".to_vec(), b"forgotten".to_vec())
    );
    // Control: a step that failed before it changed anything blocks nothing.
    assert!(matches!(pair.alice.decrypt(&next).unwrap_err(), StepError::Failed(_)));
    assert!(pair.alice.is_saved());
}

/// Of a durable device: the author is known before anything is decided, and each decision is one transaction.
#[test]
fn only_accepting_or_refusing_changes_the_disk() {
    let mut pair = pair();
    let bundle = bundle(&mut pair.devices[1], &mut pair.disks[1], true, &mut pair.rng);
    let (_, hello) = initiate(&mut pair.devices[0], &mut pair.disks[0], bundle, b"hi", &mut pair.rng);
    let ([alice, bob], disk) = (&mut pair.devices, &mut pair.disks[1]);
    let before = disk.clone();
    let pending = bob.open(&hello).unwrap();
    assert!(pending.remote_identity() == alice.identity() && pending.used_one_time_prekey());
    // Other associated data: the message comes back. Dropping it changes nothing, and the device continues.
    drop(pending.accept(b"other").unwrap_err().pending);
    assert!(bob.is_saved() && disk.rows == before.rows);
    bob.open(&hello).unwrap().refuse().save(disk).unwrap();
    assert!(bob.open(&hello).is_err());
    assert!(Durable::<Device>::load(disk, &key(), &bob.subject(), 0, &mut pair.rng).unwrap().open(&hello).is_err());
    assert!(disk.inbox == before.inbox && disk.subjects() == before.subjects());
    // Control: accepted instead, it is a session and a plaintext.
    let mut disk = before.clone();
    let mut bob = Durable::<Device>::load(&mut disk, &key(), &bob.subject(), 0, &mut pair.rng).unwrap();
    let pending = bob.open(&hello).unwrap().accept(b"other").unwrap_err().pending;
    let _ = pending.accept(b"").unwrap().save(&mut disk).unwrap();
    assert_eq!((disk.inbox.len(), disk.subjects().len()), (before.inbox.len() + 1, before.subjects().len() + 1));
}

/// Panics at HS-R9, where a first message is refused.
#[derive(Clone)]
struct Panics;

impl Intercept for Panics {
    fn step(&self, label: &'static str) {
        assert_ne!(label, "HS-R9");
    }
}

#[test]
fn a_panic_while_refusing_leaves_no_state_that_counts_as_saved() {
    type Owner = noescrow::device::Device<Intercepted<Panics>, Capacity<8, 8>>;
    let mut pair = pair();
    let bob = Owner::generate_with(Intercepted::new(Panics), NOW, &mut pair.rng);
    let mut bob = Durable::<Owner>::new(bob, &key(), &mut pair.rng).save(&mut pair.disks[1]).unwrap();
    let bundle = Bundle::new(*bob.identity(), bob.signed_prekey().unwrap(), None).unwrap();
    let (_, hello) = initiate(&mut pair.devices[0], &mut pair.disks[0], bundle, b"hi", &mut pair.rng);
    // Control: dropped undecided, it leaves the device as it was.
    drop(bob.open(&hello).unwrap());
    assert!(bob.is_saved());
    let refused = catch_unwind(AssertUnwindSafe(|| drop(bob.open(&hello).unwrap().refuse())));
    assert!(refused.is_err() && !bob.is_saved());
    assert_eq!(bob.open(&hello).map(|_| ()), Err(StepError::NotSaved));
}

#[test]
fn a_failed_save_is_an_error_with_its_source() {
    let mut pair = pair();
    pair.disks[0].faults = vec![Fault::Refuses];
    let failed = pair.alice.encrypt(b"text", &mut pair.rng).unwrap().save(&mut pair.disks[0]).unwrap_err();
    let error: &dyn Error = &failed;
    assert_eq!(error.to_string(), "not saved: the store failed");
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    // Control: the step is whole, and saving it again gives the message.
    let SaveFailed { unsaved, error: CommitError::NotCommitted(Broken) } = failed else { panic!() };
    let message = unsaved.save(&mut pair.disks[0]).unwrap();
    assert_eq!(pair.receive(false, &message), b"text");
}

/// An older state is refused if the newest generation is known.
#[test]
fn c9_rows_of_an_older_generation_are_refused() {
    let mut pair = pair();
    let backup = pair.disks[0].clone();
    let one = pair.send(true, b"one");
    let (subject, newest) = (pair.alice.subject(), pair.alice.generation());
    let restore = |newest| Durable::<Session>::restore(backup.rows_of(&subject), &key(), &subject, newest, &mut rng(9));
    assert_eq!(restore(newest).map(|_| ()), Err(RestoreError::Rollback));
    // A state that is newer than the recorded generation keeps its own.
    let newer = Durable::<Session>::load(&mut pair.disks[0], &key(), &subject, newest - 1, &mut pair.rng).unwrap();
    assert_eq!(newer.generation(), newest);
    // Its next save does not fit the store, which has a newer state.
    let mut old = restore(0).unwrap();
    let unsaved: Unsaved<'_, _> = old.encrypt(b"two", &mut pair.rng).unwrap();
    let stale = unsaved.save(&mut pair.disks[0]).unwrap_err();
    assert_eq!(stale.error, CommitError::Stale);
    // Control: with the store rolled back as well, a caller who does not know the newest generation sends a second
    // message from one state, and the peer opens only one of the two.
    let mut rolled_back = backup.clone();
    let two = stale.unsaved.save(&mut rolled_back).unwrap();
    assert_eq!(pair.receive(false, &one), b"one");
    assert!(pair.bob.decrypt(&two).is_err());
}
