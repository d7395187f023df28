// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changing the storage key.

use super::disk::{Disk, Fault};
use super::{Device, Pair, Session, key, pair, rng};
use noescrow::durable::{
    CommitError, Durable, KeyChange, LoadError, RotateError, Rotated, Subject, rotate_storage_key,
};
use noescrow::error::RestoreError;
use noescrow::{InitiateOptions, StorageKey};

fn new_key() -> StorageKey {
    StorageKey::new([0x55; 32])
}

const fn change<'k>(old: &'k StorageKey, new: &'k StorageKey) -> KeyChange<'k> {
    KeyChange { old, new }
}

/// Bob's device and session, with a one-time prekey, an entry in the replay record, and skipped keys.
fn full_disk() -> Pair {
    let mut pair = pair();
    let bundle = super::bundle(&mut pair.devices[1], &mut pair.disks[1], false, &mut pair.rng);
    let (_, hello) = super::initiate(&mut pair.devices[0], &mut pair.disks[0], bundle, b"hi", &mut pair.rng);
    let _ = super::accept(&mut pair.devices[1], &hello).unwrap().save(&mut pair.disks[1]).unwrap();
    let _ = super::bundle(&mut pair.devices[1], &mut pair.disks[1], true, &mut pair.rng);
    let mut last = Vec::new();
    for _ in 0..70 {
        last = pair.send(true, b"text");
    }
    pair.receive(false, &last);
    pair
}

/// Returns how many subjects of the disk load under this key.
fn loadable(disk: &mut Disk, key: &StorageKey) -> usize {
    let subjects = disk.subjects();
    let mut loads = |subject: &Subject| match subject.is_device() {
        true => Durable::<Device>::load(disk, key, subject, 0, &mut rng(1)).map(|_| ()),
        false => Durable::<Session>::load(disk, key, subject, 0, &mut rng(1)).map(|_| ()),
    };
    subjects.iter().filter(|subject| loads(subject).is_ok()).count()
}

fn rotate_all(disk: &mut Disk) -> Vec<Result<Rotated, RotateError<super::disk::Broken>>> {
    let mut rng = rng(8);
    let subjects = disk.subjects();
    subjects.iter().map(|subject| rotate_storage_key(disk, subject, change(&key(), &new_key()), 0, &mut rng)).collect()
}

#[test]
fn a_rotation_of_the_storage_key_resumes_wherever_it_was_interrupted() {
    let full = full_disk();
    let subjects = full.disks[1].subjects().len();
    assert_eq!(subjects, 3);
    for at in 0..subjects {
        for fault in [Fault::Refuses, Fault::LosesTheBatch, Fault::CommitsAndFails] {
            let mut disk = full.disks[1].clone();
            disk.faults = [vec![Fault::None; at], vec![fault]].concat();
            let done = rotate_all(&mut disk);
            assert_eq!(done.iter().filter(|result| result.is_err()).count(), 1);
            let mut again = rotate_all(&mut disk);
            let repeated = again.remove(at).unwrap();
            assert_eq!(matches!(repeated, Rotated::Already { .. }), fault == Fault::CommitsAndFails);
            assert!(again.iter().all(|result| matches!(result, Ok(Rotated::Already { .. }))));
            assert_eq!((loadable(&mut disk, &new_key()), loadable(&mut disk, &key())), (subjects, 0));
        }
    }
    // Control: before, and under a key that is neither.
    let mut disk = full.disks[1].clone();
    assert_eq!((loadable(&mut disk, &new_key()), loadable(&mut disk, &key())), (0, subjects));
    let subject = *disk.subjects().first().unwrap();
    let wrong = rotate_storage_key(&mut disk, &subject, change(&StorageKey::new([9; 32]), &new_key()), 0, &mut rng(8));
    assert_eq!(wrong, Err(RotateError::Load(LoadError::Refused(RestoreError::Refused))));
}

#[test]
fn a_state_of_the_old_key_cannot_save_after_a_rotation() {
    let mut pair = full_disk();
    assert!(rotate_all(&mut pair.disks[1]).iter().all(Result::is_ok));
    let stale = pair.bob.encrypt(b"old key", &mut pair.rng).unwrap().save(&mut pair.disks[1]).unwrap_err();
    assert_eq!(stale.error, CommitError::Stale);
    // Control: loaded again, it continues, with every skipped key.
    let subject = pair.bob.subject();
    pair.bob = Durable::<Session>::load(&mut pair.disks[1], &new_key(), &subject, 0, &mut pair.rng).unwrap();
    let reply = pair.send(false, b"new key");
    assert_eq!(pair.receive(true, &reply), b"new key");
    let late = pair.disks[0].outbox[3].clone();
    assert_eq!(pair.receive(false, &late), b"text");
}

/// SN-1.6, SN-1.7: beginning a session writes no row of the device, but the session would be sealed under the old key.
#[test]
fn a_device_of_the_old_key_cannot_begin_a_session_after_a_rotation() {
    let mut pair = full_disk();
    let device = pair.devices[0].subject();
    assert!(rotate_all(&mut pair.disks[0]).iter().all(Result::is_ok));
    let bundle = super::bundle(&mut pair.devices[1], &mut pair.disks[1], false, &mut pair.rng);
    let begun =
        pair.devices[0].initiate(bundle, b"hi", InitiateOptions::unverified(super::NOW), &mut pair.rng).unwrap();
    assert_eq!(begun.save(&mut pair.disks[0]).unwrap_err().error, CommitError::Stale);
    assert_eq!(loadable(&mut pair.disks[0], &key()), 0);
    // Control: loaded again, it begins one, under the new key. Saving it once more recognizes it.
    pair.devices[0] = Durable::<Device>::load(&mut pair.disks[0], &new_key(), &device, 0, &mut pair.rng).unwrap();
    let before = loadable(&mut pair.disks[0], &new_key());
    let bundle = super::bundle(&mut pair.devices[1], &mut pair.disks[1], false, &mut pair.rng);
    let begun =
        pair.devices[0].initiate(bundle, b"hi", InitiateOptions::unverified(super::NOW), &mut pair.rng).unwrap();
    pair.disks[0].faults = vec![Fault::CommitsAndFails];
    let failed = begun.save(&mut pair.disks[0]).unwrap_err();
    assert_eq!(failed.error, CommitError::Unknown(super::disk::Broken));
    assert!(failed.unsaved.save(&mut pair.disks[0]).is_ok());
    assert_eq!(loadable(&mut pair.disks[0], &new_key()), before + 1);
}

/// SN-1.7, SN-2.5: rows that are sealed anew under a higher generation would pass for the newest.
#[test]
fn changing_the_storage_key_refuses_rows_that_were_rolled_back() {
    let mut pair = pair();
    let mut backup = pair.disks[0].clone();
    let sent = pair.send(true, b"one");
    let (subject, newest) = (pair.alice.subject(), pair.alice.generation());
    let rotate =
        |disk: &mut Disk, newest| rotate_storage_key(disk, &subject, change(&key(), &new_key()), newest, &mut rng(8));
    let rollback = Err(RotateError::Load(LoadError::Refused(RestoreError::Rollback)));
    let before = backup.rows.clone();
    assert_eq!(rotate(&mut backup, newest), rollback);
    assert!(backup.rows == before, "nothing is sealed anew");
    // The result names the generation, so that the caller's record follows.
    let disk = &mut pair.disks[0];
    assert_eq!(rotate(disk, newest), Ok(Rotated::Now { generation: newest + 1 }));
    assert_eq!(rotate(disk, newest + 1), Ok(Rotated::Already { generation: newest + 1 }));
    assert_eq!(rotate(disk, newest + 2), rollback, "under the new key, too");
    let load = |disk: &mut Disk| Durable::<Session>::load(disk, &new_key(), &subject, newest + 1, &mut rng(9));
    assert_eq!(load(disk).unwrap().generation(), newest + 1);
    // Control: without a record, the older rows come out as new ones. The last step is undone: a second message leaves
    // from one state, and the peer opens one of the two.
    assert_eq!(rotate(&mut backup, 0), Ok(Rotated::Now { generation: newest }));
    pair.alice = Durable::<Session>::load(&mut backup, &new_key(), &subject, newest, &mut rng(9)).unwrap();
    pair.disks[0] = backup;
    let again = pair.send(true, b"two");
    assert_eq!(pair.receive(false, &sent), b"one");
    assert!(pair.bob.decrypt(&again).is_err());
}
