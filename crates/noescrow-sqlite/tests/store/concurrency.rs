// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several stores of one file.

use super::backend::{Backend, Blocking, run};
use super::party::{self, database, key, load, pair, rng, save};
use noescrow::durable::{CommitError, Durable};
use noescrow::{Device, Session};
use noescrow_sqlite::{Error, Options, SqliteStore, rusqlite};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

both!(
    of_two_stores_the_second_to_save_reloads,
    a_device_of_one_store_begins_nothing_after_another_saved,
    a_store_that_waits_too_long_commits_nothing,
);

async fn of_two_stores_the_second_to_save_reloads<S: Backend>() {
    let mut pair = pair::<S>().await;
    let mut other = S::open(&pair.path(), Options::new()).await.unwrap();
    let mut bob = load(&mut other, &mut pair.rng).await;
    let first = pair.send(b"one").await;
    let stale = bob.session.encrypt(b"two", &mut pair.rng).unwrap().save_async(&mut other).await.unwrap_err();
    assert!(matches!(stale.error, CommitError::Stale), "{stale:?}");
    let batch = stale.unsaved.batch().unwrap();
    bob = load(&mut other, &mut pair.rng).await;
    let second = save(bob.session.encrypt(b"two", &mut pair.rng).unwrap(), &mut other).await;
    assert_eq!(pair.alice.decrypt(&first).unwrap().plaintext, b"one");
    assert_eq!(pair.alice.decrypt(&second).unwrap().plaintext, b"two");
    // The first store is now the one that reloads.
    let stale = pair.bob.session.encrypt(b"three", &mut pair.rng).unwrap().save_async(&mut pair.store).await;
    assert!(matches!(stale.unwrap_err().error, CommitError::Stale));
    assert_eq!(pair.store.outbox().await.unwrap().len(), 3);
    // Control: a store that does not ask releases what the peer refuses.
    let lost = batch.sent.as_ref().unwrap().message.clone();
    assert!(pair.alice.decrypt(&lost).is_err());
}

/// The storage key may have been changed by the other.
async fn a_device_of_one_store_begins_nothing_after_another_saved<S: Backend>() {
    let mut pair = pair::<S>().await;
    let mut other = S::open(&pair.path(), Options::new()).await.unwrap();
    let mut bob = load(&mut other, &mut pair.rng).await;
    let mut peer = Device::generate(party::NOW, &mut pair.rng);
    let begin = |bob: &mut Durable<Device>, peer: &mut Device| {
        let published = peer.publish(0, party::NOW, &mut rng(3)).unwrap();
        let bundle = noescrow::Bundle::new(published.identity, published.signed_prekey, None).unwrap();
        let options = noescrow::InitiateOptions::unverified(party::NOW);
        bob.initiate(bundle, b"hi", options, &mut rng(4)).unwrap().batch().unwrap()
    };
    let _ = save(pair.bob.device.rotate(party::NOW, &mut pair.rng).unwrap(), &mut pair.store).await;
    let batch = begin(&mut bob.device, &mut peer);
    assert!(matches!(other.commit(batch).await, Err(CommitError::Stale)));
    assert_eq!(other.subjects().await.unwrap().len(), 2);
    // Control: loaded again, it begins a session, and another commit of it is recognised.
    let mut bob = load(&mut other, &mut pair.rng).await;
    let batch = begin(&mut bob.device, &mut peer);
    other.commit(batch.clone()).await.unwrap();
    let (generation, subjects) = (other.generation().await, other.subjects().await.unwrap().len());
    other.commit(batch).await.unwrap();
    assert_eq!((other.generation().await, subjects), (generation, 3));
}

async fn a_store_that_waits_too_long_commits_nothing<S: Backend>() {
    let mut pair = pair::<S>().await;
    let options = Options::new().busy_timeout(Duration::from_millis(10));
    let mut other = S::open(&pair.path(), options).await.unwrap();
    let mut bob = load(&mut other, &mut pair.rng).await;
    let writer = rusqlite::Connection::open(pair.path()).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failed = bob.session.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut other).await.unwrap_err();
    let CommitError::NotCommitted(Error::Sqlite(error)) = &failed.error else { panic!("{failed:?}") };
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
    // Control: the same step, when the writer has ended.
    writer.execute_batch("ROLLBACK").unwrap();
    let message = failed.unsaved.save_async(&mut other).await.unwrap();
    assert_eq!(pair.alice.decrypt(&message).unwrap().plaintext, b"text");
}

/// Loads, waits for the others, seals and saves until so many messages are saved. Returns how often the state had to be
/// loaded again: all but one must, at least once.
pub fn send_all(path: &std::path::Path, seed: u64, count: usize, wait: impl FnOnce()) -> usize {
    let (mut rng, mut reloads) = (rng(seed), 0);
    let mut store = Blocking(SqliteStore::open(path).unwrap());
    run(async {
        let mut bob = load(&mut store, &mut rng).await;
        wait();
        for number in 0..count {
            let text = format!("{seed} {number}");
            loop {
                let saved = bob.session.encrypt(text.as_bytes(), &mut rng).unwrap().save_async(&mut store).await;
                match saved.map(drop).map_err(CommitError::from) {
                    Ok(()) => break,
                    Err(CommitError::Stale) => {
                        reloads += 1;
                        bob = load(&mut store, &mut rng).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    reloads
}

/// Each thread opens the file as another process would. While they commit, others open it and find the witness right.
#[test]
fn stores_that_send_at_once_lose_no_message() {
    let mut pair = run(pair::<Blocking>());
    let path = &pair.path();
    let (threads, count) = (4, 15);
    let all_loaded = &Barrier::new(threads as usize);
    let reloads: usize = thread::scope(|scope| {
        let senders: Vec<_> = (0..threads)
            .map(|seed| scope.spawn(move || send_all(path, 10 + seed, count, || _ = all_loaded.wait())))
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            drop(SqliteStore::open(path).unwrap());
        }
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    let mut texts = Vec::new();
    for sent in &run(pair.store.outbox()).unwrap()[1..] {
        texts.push(pair.alice.decrypt(&sent.message).unwrap().plaintext);
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), threads as usize * count);
    // Control: they met. Otherwise nothing is shown.
    assert!(reloads >= threads as usize - 1);
}

#[test]
fn processes_that_make_a_database_at_once_agree_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path());
    let subjects: Vec<_> = thread::scope(|scope| {
        let makers = (0..6).map(|seed| {
            let path = &path;
            scope.spawn(move || {
                let mut rng = rng(seed);
                let mut store = SqliteStore::open(path).unwrap();
                let device = Device::generate(party::NOW, &mut rng);
                Durable::<Device>::new(device, &key(), &mut rng).save(&mut store).unwrap().subject()
            })
        });
        makers.collect::<Vec<_>>().into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    let mut store = SqliteStore::open(&path).unwrap();
    let mut stored = store.subjects().unwrap();
    stored.sort();
    let mut expected = subjects.clone();
    expected.sort();
    assert_eq!((stored, store.generation().unwrap()), (expected, 6));
    // Control: none of them is a session.
    assert!(Durable::<Session>::load(&mut store, &key(), &subjects[0], 0, &mut rng(9)).is_err());
}
