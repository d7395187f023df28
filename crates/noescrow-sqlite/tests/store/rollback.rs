// SPDX-License-Identifier: MIT OR Apache-2.0
//! A database that is put back is refused, as far as its witness is elsewhere.

use super::backend::Backend;
use super::party::{copy, database, load, pair, save};
use noescrow::durable::CommitError;
use noescrow_sqlite::{Error, Mark, Options, SideFile, Witness, rusqlite};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

both!(
    a_database_file_that_was_put_back_is_refused,
    a_restored_backup_opens_once_it_is_accepted,
    a_copy_that_was_used_elsewhere_is_refused,
    a_database_of_another_witness_is_refused,
    a_database_ahead_of_its_witness_opens,
    a_database_put_back_under_an_open_store_takes_no_commit,
    a_witness_that_fails_releases_nothing,
    a_backup_from_before_forgetting_is_refused,
);

fn witness(folder: &Path) -> PathBuf {
    folder.join("bob.db-witness")
}

async fn a_database_file_that_was_put_back_is_refused<S: Backend>() {
    let closed = pair::<S>().await.closed().await;
    let backup = tempfile::tempdir().unwrap();
    copy(closed.folder.path(), backup.path());
    let mut pair = closed.open::<S>().await;
    let first = pair.send(b"one").await;
    let newest = pair.store.generation().await;
    let closed = pair.closed().await;
    fs::copy(database(backup.path()), closed.path()).unwrap();
    let refused = S::open(&closed.path(), Options::new()).await.map(drop);
    assert!(
        matches!(refused, Err(Error::Rollback { database, witness }) if (database, witness) == (newest - 1, newest)),
        "{refused:?}"
    );
    // A database that is deleted is rolled back, too.
    fs::remove_file(closed.path()).unwrap();
    assert!(matches!(S::open(&closed.path(), Options::new()).await.map(drop), Err(Error::OtherDatabase)));
    // Control, and the limit of a side file: an image of the whole disk puts back both. The second message from one
    // state is refused by the peer.
    copy(backup.path(), closed.folder.path());
    let mut pair = closed.open::<S>().await;
    let second = pair.send(b"two").await;
    assert_eq!(pair.alice.decrypt(&first).unwrap().plaintext, b"one");
    assert!(pair.alice.decrypt(&second).is_err());
}

async fn a_restored_backup_opens_once_it_is_accepted<S: Backend>() {
    let closed = pair::<S>().await.closed().await;
    let backup = tempfile::tempdir().unwrap();
    copy(closed.folder.path(), backup.path());
    let mut pair = closed.open::<S>().await;
    for _ in 0..3 {
        pair.send(b"text").await;
    }
    let newest = pair.store.generation().await;
    let closed = pair.closed().await;
    for lost in [None, Some(witness(closed.folder.path()))] {
        match &lost {
            // Without its witness a database that has commits is as suspicious.
            Some(path) => fs::remove_file(path).unwrap(),
            None => _ = fs::copy(database(backup.path()), closed.path()).unwrap(),
        }
        let refused = S::open(&closed.path(), Options::new()).await.map(drop);
        let is_missing = matches!(refused, Err(Error::WitnessMissing));
        assert!(is_missing == lost.is_some() && (is_missing || matches!(refused, Err(Error::Rollback { .. }))));
        let mut store = S::open(&closed.path(), Options::new().accept_restored_backup()).await.unwrap();
        assert!(store.generation().await > newest, "above all that were");
        store.close().await;
        // Control: from then on it opens as any other.
        S::open(&closed.path(), Options::new()).await.unwrap().close().await;
    }
}

async fn a_copy_that_was_used_elsewhere_is_refused<S: Backend>() {
    let mut original = pair::<S>().await.closed().await;
    let copied = tempfile::tempdir().unwrap();
    copy(original.folder.path(), copied.path());
    let mut elsewhere = S::open(&database(copied.path()), Options::new()).await.unwrap();
    let mut bob = load(&mut elsewhere, &mut original.rng).await;
    let mut pair = original.open::<S>().await;
    pair.send(b"here").await;
    save(bob.session.encrypt(b"there", &mut pair.rng).unwrap(), &mut elsewhere).await;
    let generation = elsewhere.generation().await;
    assert_eq!(generation, pair.store.generation().await);
    elsewhere.close().await;
    let closed = pair.closed().await;
    let own = fs::read(closed.path()).unwrap();
    fs::copy(database(copied.path()), closed.path()).unwrap();
    let refused = S::open(&closed.path(), Options::new()).await.map(drop);
    assert!(matches!(refused, Err(Error::Diverged { generation: of }) if of == generation), "{refused:?}");
    // Control: its own file opens.
    fs::write(closed.path(), own).unwrap();
    assert_eq!(closed.open::<S>().await.store.generation().await, generation);
}

async fn a_database_of_another_witness_is_refused<S: Backend>() {
    let (one, two) = (pair::<S>().await.closed().await, pair::<S>().await.closed().await);
    fs::copy(witness(one.folder.path()), witness(two.folder.path())).unwrap();
    let refused = S::open(&two.path(), Options::new()).await.map(drop);
    assert!(matches!(refused, Err(Error::OtherDatabase)), "{refused:?}");
    // Control: with its own.
    S::open(&one.path(), Options::new()).await.unwrap().close().await;
}

/// The process was stopped after the commit, before the witness was written.
async fn a_database_ahead_of_its_witness_opens<S: Backend>() {
    let mut pair = pair::<S>().await;
    let before = fs::read(witness(pair.folder.path())).unwrap();
    pair.send(b"one").await;
    let closed = pair.closed().await;
    fs::write(witness(closed.folder.path()), before).unwrap();
    let mut pair = closed.open::<S>().await;
    // The next commit takes the witness along.
    pair.send(b"two").await;
    let newest = SideFile::new(witness(pair.folder.path())).read().unwrap().unwrap();
    assert_eq!(newest.generation, pair.store.generation().await);
    // Control: an unreadable witness is an error.
    let closed = pair.closed().await;
    fs::write(witness(closed.folder.path()), [7; 128]).unwrap();
    assert!(matches!(S::open(&closed.path(), Options::new()).await.map(drop), Err(Error::Witness(_))));
}

/// SQLite's backup interface writes into the file that others have open.
async fn a_database_put_back_under_an_open_store_takes_no_commit<S: Backend>() {
    let mut pair = pair::<S>().await;
    let other = rusqlite::Connection::open(pair.path()).unwrap();
    let turn_back = |by| other.execute("UPDATE noescrow_store SET generation = generation - ?1", [by]).unwrap();
    turn_back(1);
    let unsaved = pair.bob.session.encrypt(b"text", &mut pair.rng).unwrap();
    let failed = unsaved.save_async(&mut pair.store).await.unwrap_err();
    assert!(matches!(failed.error, CommitError::NotCommitted(Error::Rollback { .. })), "{failed:?}");
    // Control: at its place again, the store takes it.
    turn_back(-1);
    save(failed.unsaved, &mut pair.store).await;
}

/// A key store that fails: at reading, at advancing, or not.
#[derive(Clone, Default)]
struct KeyStore {
    mark: Arc<Mutex<Option<Mark>>>,
    fails: Arc<Mutex<(bool, bool)>>,
}

impl Witness for KeyStore {
    fn read(&mut self) -> io::Result<Option<Mark>> {
        if self.fails.lock().unwrap().0 { Err(io::Error::other("locked")) } else { Ok(*self.mark.lock().unwrap()) }
    }

    fn advance(&mut self, mark: &Mark) -> io::Result<()> {
        if self.fails.lock().unwrap().1 {
            return Err(io::Error::other("locked"));
        }
        *self.mark.lock().unwrap() = Some(*mark);
        Ok(())
    }
}

async fn a_witness_that_fails_releases_nothing<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let key_store = KeyStore::default();
    let options = Options::new().witness(key_store.clone());
    let store = S::open(&database(folder.path()), options).await.unwrap();
    let mut pair = super::party::pair_on(store, folder).await;
    assert!(!witness(pair.folder.path()).exists(), "the application's witness is the only one");
    // It cannot be read: nothing is written.
    let generation = pair.store.generation().await;
    *key_store.fails.lock().unwrap() = (true, false);
    let failed = pair.bob.session.encrypt(b"one", &mut pair.rng).unwrap().save_async(&mut pair.store).await;
    let failed = failed.unwrap_err();
    assert!(matches!(failed.error, CommitError::NotCommitted(Error::Witness(_))));
    assert_eq!(pair.store.generation().await, generation);
    // It cannot be written: the step is committed, and not released until it can.
    *key_store.fails.lock().unwrap() = (false, true);
    let failed = failed.unsaved.save_async(&mut pair.store).await.unwrap_err();
    assert!(matches!(failed.error, CommitError::Unknown(Error::Witness(_))));
    assert_eq!(pair.store.generation().await, generation + 1);
    let failed = failed.unsaved.save_async(&mut pair.store).await.unwrap_err();
    assert!(matches!(failed.error, CommitError::Unknown(Error::Witness(_))));
    // Control: a witness that works. The message is in the outbox once.
    *key_store.fails.lock().unwrap() = (false, false);
    let message = save(failed.unsaved, &mut pair.store).await;
    assert_eq!(pair.store.outbox().await.unwrap().iter().filter(|sent| sent.message == message).count(), 1);
    assert_eq!(key_store.mark.lock().unwrap().unwrap().generation, generation + 1);
}

async fn a_backup_from_before_forgetting_is_refused<S: Backend>() {
    let closed = pair::<S>().await.closed().await;
    let backup = fs::read(closed.path()).unwrap();
    let subject = closed.bob.session.subject();
    let mut pair = closed.open::<S>().await;
    assert!(pair.store.forget(&subject).await.unwrap());
    let closed = pair.closed().await;
    let forgotten = fs::read(closed.path()).unwrap();
    fs::write(closed.path(), backup).unwrap();
    let refused = S::open(&closed.path(), Options::new()).await.map(drop);
    assert!(matches!(refused, Err(Error::Rollback { .. })), "{refused:?}");
    // Control: the database without the session opens.
    fs::write(closed.path(), forgotten).unwrap();
    let mut store = S::open(&closed.path(), Options::new()).await.unwrap();
    assert_eq!(store.subjects().await.unwrap(), [closed.bob.device.subject()]);
}

fn mark(generation: u64) -> Mark {
    Mark { database: [1; 16], generation, history: [generation as u8; 16] }
}

#[test]
fn a_torn_record_of_the_side_file_leaves_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("witness");
    let mut side = SideFile::new(&path);
    assert_eq!(side.read().unwrap(), None);
    for generation in [1, 2, 3, 7, 8] {
        let (before, old) = (fs::read(&path).unwrap_or_default(), side.read().unwrap());
        side.advance(&mark(generation)).unwrap();
        let after = fs::read(&path).unwrap();
        assert_eq!(SideFile::new(&path).read().unwrap(), Some(mark(generation)));
        if before.is_empty() {
            continue;
        }
        // The write stopped after so many bytes.
        let changed: Vec<_> = (0..after.len()).filter(|at| before[*at] != after[*at]).collect();
        assert!(!changed.is_empty() && changed.iter().all(|at| at / 64 == changed[0] / 64), "one record");
        for end in &changed {
            let torn = [&after[..*end], &before[*end..]].concat();
            fs::write(&path, torn).unwrap();
            assert_eq!(SideFile::new(&path).read().unwrap(), old, "{generation} {end}");
        }
        fs::write(&path, after).unwrap();
    }
    // A mark that is not newer changes nothing, whichever store brings it.
    let before = fs::read(&path).unwrap();
    for generation in [5, 8] {
        SideFile::new(&path).advance(&mark(generation)).unwrap();
    }
    assert_eq!((fs::read(&path).unwrap(), side.read().unwrap()), (before, Some(mark(8))));
    // Control: with both records torn there is an error, not an old mark.
    fs::write(&path, [0x33; 128]).unwrap();
    assert_eq!(SideFile::new(&path).read().unwrap_err().kind(), io::ErrorKind::InvalidData);
}
