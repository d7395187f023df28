// SPDX-License-Identifier: MIT OR Apache-2.0
//! A state is rows: a step writes those that changed, and all of them are needed.

use super::disk::Disk;
use super::generators::Ids;
use super::{Device, NOW, Pair, Session, key, pair, rng};
use noescrow::durable::{Durable, LoadError, RowName, Subject};
use noescrow::error::RestoreError;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::skipped::Inline;
use noescrow::snapshot::{SNAPSHOT_OVERHEAD, SUBJECT_LEN};
use noescrow::{Bundle, Capacity, FixedSession, Prekey, Secret, UnixSeconds, device, hazmat, session};
use rand_chacha::rand_core::Rng;

/// Bob has skipped `missing` messages of Alice in two jumps, and has their keys. Returns the messages.
fn with_skipped(missing: usize) -> (Pair, Vec<Vec<u8>>) {
    let mut pair = pair();
    // Bob's reply ends the first chain, so that the messages do not repeat the handshake.
    let reply = pair.send(false, b"reply");
    pair.receive(true, &reply);
    let mut skipped = Vec::new();
    for half in [missing / 2, missing - missing / 2] {
        skipped.extend((0..half).map(|_| pair.send(true, b"late")));
        let arrives = pair.send(true, b"text");
        pair.receive(false, &arrives);
    }
    (pair, skipped)
}

/// Measured with 1,998 skipped keys in each ratchet: a message in order writes one row of about 1 kB; one
/// that was skipped three, of 3 kB, because a page of each ratchet shrinks; a jump over three messages three, of
/// 2.5 kB. The whole state has 139 kB.
#[test]
fn a_step_writes_only_the_rows_that_changed() {
    let (mut pair, skipped) = with_skipped(1_998);
    let snapshot = pair.bob.snapshot(&key(), 1).len();
    let whole: usize = pair.disks[1].rows_of(&pair.bob.subject()).iter().map(|row| row.sealed.len()).sum();
    assert!(snapshot > 125_000 && whole > snapshot, "control: {snapshot} and {whole} bytes would be written");
    let written = |disk: &Disk| (disk.written.len(), disk.written.iter().map(|(_, len)| len).sum::<usize>());

    let next = pair.send(true, b"in order");
    pair.receive(false, &next);
    let (rows, bytes) = written(&pair.disks[1]);
    assert!(rows == 1 && bytes < 2_500, "{rows} {bytes}");
    pair.send(false, b"sent");
    let (rows, bytes) = written(&pair.disks[1]);
    assert!(rows == 1 && bytes < 2_500, "{rows} {bytes}");
    pair.receive(false, &skipped[1_000]);
    let (rows, bytes) = written(&pair.disks[1]);
    assert!(rows == 3 && bytes < 5_000, "{rows} {bytes}");
    // Another jump of three.
    let _lost = [(); 3].map(|()| pair.send(true, b"lost"));
    let arrives = pair.send(true, b"text");
    pair.receive(false, &arrives);
    let (rows, bytes) = written(&pair.disks[1]);
    assert!(rows <= 5 && bytes < 5_000, "{rows} {bytes}");
}

/// What is written row by row is what a snapshot has.
#[test]
fn rows_and_snapshot_restore_the_same_state() {
    let (mut pair, skipped) = with_skipped(100);
    for at in [0, 31, 32, 33, 63, 99] {
        pair.receive(false, &skipped[at]);
    }
    let subject = pair.bob.subject();
    let restored = Durable::<Session>::load(&mut pair.disks[1], &key(), &subject, 0, &mut pair.rng).unwrap();
    assert_eq!(restored.snapshot(&key(), 1), pair.bob.snapshot(&key(), 1));
    let device = Durable::<Device>::load(&mut pair.disks[1], &key(), &pair.devices[1].subject(), 0, &mut pair.rng);
    let (stored, ours) = (device.unwrap().snapshot(&key(), 1), pair.devices[1].snapshot(&key(), 1));
    assert!(stored.is_ok() && stored == ours);
    // Control: after one more message they differ.
    pair.receive(false, &skipped[1]);
    assert_ne!(restored.snapshot(&key(), 1), pair.bob.snapshot(&key(), 1));
}

/// Two hundred prekeys whose uploads were lost expire during a long absence, and in the step that deletes them a hundred
/// new ones get the same ids.
#[test]
fn a_new_prekey_with_an_old_id_is_stored() {
    let (mut disk, mut rng) = (Disk::default(), Ids::new(1_000.., rng(5)));
    let bob = device::Device::<RustCrypto>::generate_with(RustCrypto, NOW, &mut rng);
    let mut bob = Durable::<device::Device>::new(bob, &key(), &mut rng).save(&mut disk).unwrap();
    rng.continue_with(1..);
    let old = bob.publish(200, NOW, &mut rng).unwrap().save(&mut disk).unwrap();
    rng.continue_with(2_000..);
    let day = |day: u64| UnixSeconds(NOW.0 + day * 86_400);
    bob.replenish(day(100), &[], &mut rng).unwrap().save(&mut disk).unwrap();
    rng.continue_with(1..);
    let new = bob.replenish(day(101), &[], &mut rng).unwrap().save(&mut disk).unwrap();
    let of_an_old_id = |new: &&Prekey| old.one_time_prekeys.iter().any(|old| old.id() == new.id() && old != *new);
    let count = new.one_time_prekeys.iter().filter(of_an_old_id).count();
    assert_eq!((count, bob.one_time_prekeys_left()), (100, 100), "control: the ids are those of other keys");
    let restored = Durable::<device::Device>::load(&mut disk, &key(), &bob.subject(), 0, &mut rng).unwrap();
    assert!(restored.snapshot(&key(), 1) == bob.snapshot(&key(), 1), "the rows are those of the deleted prekeys");
}

#[test]
fn a_missing_or_older_row_is_refused() {
    let (mut pair, skipped) = with_skipped(100);
    let (subject, before) = (pair.bob.subject(), pair.disks[1].clone());
    // The key of this message is used up. An old page would open it again.
    pair.receive(false, &skipped[40]);
    let load = |disk: &mut Disk| Durable::<Session>::load(disk, &key(), &subject, 0, &mut rng(3)).map(|_| ());
    let refused = Err(LoadError::Refused(RestoreError::Refused));
    let parts: Vec<_> = pair.disks[1].rows_of(&subject).into_iter().filter(|row| row.name != RowName::CORE).collect();
    assert!(parts.len() > 6);
    let mut old = 0;
    for row in &parts {
        let place = (subject, row.name);
        let mut disk = pair.disks[1].clone();
        disk.rows.remove(&place);
        assert_eq!(load(&mut disk), refused);
        let before = before.rows[&place].clone();
        if before != row.sealed {
            disk.rows.insert(place, before);
            assert_eq!(load(&mut disk), refused);
            old += 1;
        }
        // A page in another page's place.
        for other in &parts {
            disk.rows.insert(place, other.sealed.clone());
            assert_eq!(load(&mut disk).is_ok(), other.name == row.name);
        }
    }
    assert_eq!(old, 2, "the message's page of each ratchet");
    // Control: the rows of one save.
    assert_eq!((load(&mut pair.disks[1]), load(&mut before.clone())), (Ok(()), Ok(())));
}

#[test]
fn a_step_without_change_writes_no_row() {
    let mut pair = pair();
    let (bob, disk) = (&mut pair.devices[1], &mut pair.disks[1]);
    let (commits, generation) = (disk.commits, bob.generation());
    assert!(!bob.delete_one_time_prekey(77).unwrap().save(disk).unwrap());
    assert!(!bob.delete_previous_signed_prekeys().unwrap().save(disk).unwrap());
    assert_eq!(bob.delete_expired(NOW).unwrap().save(disk).unwrap(), 0);
    bob.upload_succeeded().unwrap().save(disk).unwrap();
    assert_eq!((disk.commits, bob.generation(), bob.is_saved()), (commits, generation, true));
    // Control: each of them with something to do. A prekey is one row, and so is its deletion.
    let published = bob.publish(2, NOW, &mut pair.rng).unwrap().save(disk).unwrap();
    assert_eq!(disk.written.len(), 3);
    assert!(bob.delete_one_time_prekey(published.one_time_prekeys[0].id()).unwrap().save(disk).unwrap());
    assert_eq!(disk.written.len(), 1);
    bob.upload_succeeded().unwrap().save(disk).unwrap();
    assert_eq!(disk.written.len(), 2, "the other prekey and the core");
    bob.rotate(NOW, &mut pair.rng).unwrap().save(disk).unwrap();
    assert!(bob.delete_previous_signed_prekeys().unwrap().save(disk).unwrap());
    assert_eq!((disk.commits, bob.generation()), (commits + 5, generation + 5));
}

/// SN-1 and SN-2 of rows, by their formulas in spec/protocol.md §11: each row opens, and the core names the others.
#[test]
fn rows_are_sealed_as_the_document_says() {
    let (mut pair, _) = with_skipped(40);
    let subject = pair.bob.subject();
    let rows = pair.disks[1].rows_of(&subject);
    assert_eq!((subject.to_bytes().len(), rows.len() > 4), (SUBJECT_LEN, true));
    let expand = |info: &[&[u8]]| {
        let mut material = [0; 44];
        RustCrypto.hkdf_expand(&Secret::new([0x44; 32]), info, &mut material);
        material
    };
    let open = |name: &RowName, sealed: &[u8]| {
        let (head, rest) = sealed.split_at(SNAPSHOT_OVERHEAD - 16);
        let (ciphertext, tag) = rest.split_last_chunk().unwrap();
        let mut state = ciphertext.to_vec();
        let scope = [&subject.to_bytes()[1..], name.as_bytes()].concat();
        let material = expand(&[b"noescrow-v1 snapshot seal", &head[26..]]);
        let (key, nonce) = (Secret::new(*material.first_chunk().unwrap()), *material.last_chunk().unwrap());
        RustCrypto.open(&key, &nonce, &[head, &scope].concat(), &mut state, tag).ok()?;
        let salt = RustCrypto.hmac(&expand(&[b"noescrow-v1 snapshot salt"])[..32], &[&head[..26], &scope, &state]);
        assert_eq!((&head[..2], salt.expose().as_slice()), (&[1, 3][..], &head[26..]));
        Some(state)
    };
    let mut digested = Vec::new();
    for row in &rows[1..] {
        let content = open(&row.name, &row.sealed).unwrap();
        let mask = u32::from_be_bytes(*content.first_chunk().unwrap());
        assert_eq!(content.len(), 4 + 32 * mask.count_ones() as usize);
        digested.extend([row.name.as_bytes(), &row.sealed[2..26]].concat());
    }
    let core = open(&rows[0].name, &rows[0].sealed).unwrap();
    assert_eq!((rows[0].name, &core[..32]), (RowName::CORE, &RustCrypto.sha256(&[&digested])[..]));
    // Control: a row under another name, and one of another process, which differs in generation or writer.
    assert_eq!(open(&rows[1].name, &rows[2].sealed), None);
    let mut again = Durable::<Session>::load(&mut pair.disks[1], &key(), &subject, 0, &mut rng(8)).unwrap();
    again.encrypt(b"next", &mut pair.rng).unwrap().save(&mut pair.disks[1]).unwrap();
    let later = pair.disks[1].rows_of(&subject);
    assert!(rows[0].sealed[2..26] != later[0].sealed[2..26] && rows[1..] == later[1..]);
}

/// SN-1.5, by its formula in spec/protocol.md §11.
#[test]
fn a_steps_writer_depends_on_its_message_under_the_storage_key() {
    let mut pair = pair();
    let (subject, disk) = (pair.alice.subject(), &mut pair.disks[0]);
    let mut drawn = [0; 16];
    rng(8).fill_bytes(&mut drawn);
    let writer = |message: &[u8], generation: u64| {
        let mut salt_key = [0; 32];
        RustCrypto.hkdf_expand(&Secret::new([0x44; 32]), &[b"noescrow-v1 snapshot salt"], &mut salt_key);
        let head = [&[1, 3][..], &generation.to_be_bytes(), &drawn].concat();
        let scope = [&subject.to_bytes()[1..], &[0; 9]].concat();
        let digest = RustCrypto.sha256(&[message]);
        RustCrypto.hmac(&salt_key, &[&head, &scope, &digest[..16]]).expose()[..16].to_vec()
    };
    let mut written = |text: &[u8]| {
        let mut disk = disk.clone();
        let mut image = Durable::<Session>::load(&mut disk, &key(), &subject, 0, &mut rng(8)).unwrap();
        let message = image.encrypt(text, &mut pair.rng).unwrap().save(&mut disk).unwrap();
        let core = disk.rows[&(subject, RowName::CORE)].clone();
        (core[10..26].to_vec(), writer(&message, image.generation()))
    };
    let (one, two) = (written(b"one"), written(b"two"));
    assert_eq!((&one.0, &two.0), (&one.1, &two.1));
    // Controls: it is not one writer for both, and a step without a message has the drawn one.
    assert_ne!(one.0, two.0);
    let device = Device::generate_with(RustCrypto, NOW, &mut rng(9));
    let unsaved = Durable::<Device>::new(device, &key(), &mut rng(8));
    assert_eq!(unsaved.batch().unwrap().changes[0].revision.writer, drawn);
}

/// A session of another handshake has no local identity. Its id is its subject.
#[test]
fn a_session_of_a_foreign_handshake_is_stored_in_rows() {
    let mut disk = Disk::default();
    let session: session::Session<RustCrypto> =
        hazmat::responder(RustCrypto, &Secret::new([1; 32]), Secret::new([2; 32]), b"context");
    let subject = session.subject();
    assert_eq!(subject, Subject::foreign_session(session.id()));
    let stored = Durable::<Session>::new(session, &key(), &mut rng(1)).save(&mut disk).unwrap();
    let mut load =
        |subject| Durable::<Session>::load(&mut disk, &key(), &subject, 1, &mut rng(2)).map(|session| session.id());
    assert_eq!(load(subject), Ok(stored.id()));
    // Control: of another id there is none.
    assert_eq!(load(Subject::foreign_session([7; 32])), Err(LoadError::Missing));
}

/// A device's rows: an entry of the replay record rewrites its page, a prekey that is seen or missing its own row.
#[test]
fn a_devices_step_writes_only_the_rows_that_changed() {
    let mut rng = rng(5);
    let (mut alices, mut disk) = (Disk::default(), Disk::default());
    let mut alice = super::device(&mut alices, &mut rng);
    type Large = noescrow::device::Device<RustCrypto, Capacity<8, 64>>;
    let bob = Large::generate_with(RustCrypto, NOW, &mut rng);
    let mut bob = Durable::<Large>::new(bob, &key(), &mut rng).save(&mut disk).unwrap();
    let mut lens = Vec::new();
    for _ in 0..34 {
        let published = bob.publish(0, NOW, &mut rng).unwrap().save(&mut disk).unwrap();
        let bundle = Bundle::new(published.identity, published.signed_prekey, None).unwrap();
        let (_, hello) = super::initiate(&mut alice, &mut alices, bundle, b"hi", &mut rng);
        let _ = bob.open(&hello).unwrap().accept(b"").unwrap().save(&mut disk).unwrap();
        // A page of the device, its core, the session's core.
        assert_eq!(disk.written.len(), 3);
        lens.push(disk.written[0].1 - SNAPSHOT_OVERHEAD);
    }
    assert_eq!((lens[0], lens[31], lens[32], lens[33]), (1 + 16, 1 + 32 * 16, 1 + 16, 1 + 2 * 16));
    // The server lists two of three prekeys, then one.
    let made = bob.publish(3, NOW, &mut rng).unwrap().save(&mut disk).unwrap().one_time_prekeys;
    let ids: Vec<_> = made.iter().map(|prekey| prekey.id()).collect();
    let mut written = |server_has: &[u32]| {
        bob.maintain(NOW, server_has).unwrap().save(&mut disk).unwrap();
        disk.written.len()
    };
    let first = written(&ids);
    assert!((2..=4).contains(&first), "what was seen, and the core");
    assert_eq!(written(&ids[1..]), 2, "one is missing: its row and the core");
    // Control: all of it is many more rows, and loads as the same state.
    assert!(disk.rows_of(&bob.subject()).len() > 5);
    let again = Durable::<Large>::load(&mut disk, &key(), &bob.subject(), bob.generation(), &mut rng).unwrap();
    assert_eq!(again.snapshot_len(), bob.snapshot_len());
    assert_eq!(again.one_time_prekeys_left(), 3);
}

/// The oldest keys are dropped, with the header keys that only they needed; messages whose keys are kept open.
#[test]
fn restoring_into_a_smaller_store_drops_the_oldest_keys() {
    let (mut pair, mut skipped) = with_skipped(10);
    // Another chain.
    let reply = pair.send(false, b"reply");
    pair.receive(true, &reply);
    skipped.extend((0..10).map(|_| pair.send(true, b"late")));
    let arrives = pair.send(true, b"text");
    pair.receive(false, &arrives);
    let (snapshot, subject) = (pair.bob.snapshot(&key(), 1), pair.bob.subject());
    let restore = |snapshot: &[u8]| FixedSession::<8>::restore_with(RustCrypto, snapshot, &key(), &subject, 1).unwrap();
    // Stored again and restored once more, it is the same: no header key is left over.
    let small = restore(&snapshot).snapshot(&key(), 1);
    assert_eq!(restore(&small).snapshot(&key(), 1), small);
    let mut small = restore(&small);
    let opens: Vec<_> = skipped.iter().map(|message| small.decrypt(&message[..]).is_ok()).collect();
    assert_eq!(opens, [[false; 12].as_slice(), &[true; 8]].concat());
    // In rows, too: the next step deletes the rows that are gone, and what is restored then is the same.
    type Small = session::Session<RustCrypto, Inline<8>>;
    let disk = &mut pair.disks[1];
    let mut small = Durable::<Small>::load(disk, &key(), &subject, 0, &mut pair.rng).unwrap();
    assert_eq!(small.skipped_message_keys(), 8);
    small.encrypt(b"next", &mut pair.rng).unwrap().save(disk).unwrap();
    let again = Durable::<Small>::load(disk, &key(), &subject, 0, &mut pair.rng).unwrap();
    assert_eq!(again.snapshot(&key(), 1), small.snapshot(&key(), 1));
    // Control: a store that is large enough opens them all.
    let mut large = FixedSession::<20>::restore_with(RustCrypto, &snapshot, &key(), &subject, 1).unwrap();
    assert!(skipped.iter().all(|message| large.decrypt(&message[..]).is_ok()));
}
