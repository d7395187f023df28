// SPDX-License-Identifier: MIT OR Apache-2.0
//! A restored backup is suspect until its messenger has replaced its sessions, whenever the process ends.

use super::backend::{Backend, Blocking, run};
use super::crash::{ONE_AT_A_TIME, copies_of, traced};
use super::party::{NOW, database, key, load, pair, rng, save};
use super::steps::{Party, greet, party};
use noescrow::durable::Subject;
use noescrow::messenger::{Messenger, NewSession, PeerId};
use noescrow_sqlite::{Error, Options, SideFile, SqliteStore};
use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use tempfile::TempDir;

both!(a_restored_backup_is_suspect_until_it_is_accepted, messages_of_a_suspect_store_have_places_of_their_own,);

/// A folder whose database was put back, and is older than its witness.
struct PutBack {
    folder: TempDir,
    subject: Subject,
    peer: PeerId,
}

async fn put_back<S: Backend>() -> PutBack {
    let rng = &mut rng(7);
    let (mut alice, mut bob) = (party::<S>(rng).await, party::<S>(rng).await);
    let peer = greet(&mut alice, &mut bob, b"hello", rng).await;
    let Party { mut messenger, store, folder } = bob;
    store.close().await;
    let backup = tempfile::tempdir().unwrap();
    fs::copy(database(folder.path()), backup.path().join("backup")).unwrap();
    let mut store = S::open(&database(folder.path()), Options::new()).await.unwrap();
    let loaded = messenger.route_to(&peer).unwrap().load_async(&mut store).await.unwrap();
    save(messenger.seal(&peer, b"after the backup", loaded, NOW, rng).unwrap(), &mut store).await;
    store.close().await;
    fs::copy(backup.path().join("backup"), database(folder.path())).unwrap();
    PutBack { folder, subject: messenger.subject(), peer }
}

async fn restore<S: Backend>(store: &mut S, put_back: &PutBack) {
    let rng = &mut rng(8);
    let mut messenger = Messenger::load_async(store, &key(), &put_back.subject, 0, rng).await.unwrap();
    save(messenger.restore_backup(NOW, rng).unwrap(), store).await;
}

/// Whether the next process notices: the store is refused, or the messenger has replaced its sessions.
fn is_noticed(folder: &Path, put_back: &PutBack) -> bool {
    match SqliteStore::open(database(folder)) {
        Err(Error::Rollback { .. }) => true,
        Err(error) => panic!("{error:?}"),
        Ok(mut store) => {
            let messenger = Messenger::load(&mut store, &key(), &put_back.subject, 0, &mut rng(9)).unwrap();
            messenger.needs_bundle(&put_back.peer, NOW) == Ok(Some(NewSession::Restored))
        }
    }
}

async fn a_restored_backup_is_suspect_until_it_is_accepted<S: Backend>() {
    let put_back = put_back::<S>().await;
    let path = database(put_back.folder.path());
    for _ in 0..2 {
        let refused = S::open(&path, Options::new()).await.map(drop);
        assert!(matches!(refused, Err(Error::Rollback { .. })), "{refused:?}");
        let mut store = S::open(&path, Options::new().restored_backup()).await.unwrap();
        restore(&mut store, &put_back).await;
        store.close().await;
    }
    let mut store = S::open(&path, Options::new().restored_backup()).await.unwrap();
    let before = store.generation().await;
    store.accept().await.unwrap();
    assert!(store.generation().await > before);
    // A second time there is nothing to accept, and commits move the witness.
    let accepted = store.generation().await;
    store.accept().await.unwrap();
    assert_eq!(store.generation().await, accepted);
    restore(&mut store, &put_back).await;
    store.close().await;
    // A witness that is lost is not made anew before that, either.
    fs::remove_file(put_back.folder.path().join("bob.db-witness")).unwrap();
    let mut store = S::open(&path, Options::new().restored_backup()).await.unwrap();
    restore(&mut store, &put_back).await;
    assert!(matches!(S::open(&path, Options::new()).await.map(drop), Err(Error::WitnessMissing)));
    store.accept().await.unwrap();
    store.close().await;
    // Control: from then on it opens as any other, and a database that is the newest opens so, too.
    S::open(&path, Options::new()).await.unwrap().close().await;
    let mut store = S::open(&path, Options::new().restored_backup()).await.unwrap();
    restore(&mut store, &put_back).await;
    store.close().await;
    S::open(&path, Options::new()).await.unwrap().close().await;
}

async fn messages_of_a_suspect_store_have_places_of_their_own<S: Backend>() {
    let closed = pair::<S>().await.closed().await;
    let backup = tempfile::tempdir().unwrap();
    fs::copy(closed.path(), backup.path().join("backup")).unwrap();
    let mut pair = closed.open::<S>().await;
    pair.send(b"after the backup").await;
    let closed = pair.closed().await;
    fs::copy(backup.path().join("backup"), closed.path()).unwrap();
    let mut store = S::open(&closed.path(), Options::new().restored_backup()).await.unwrap();
    let mut rng = closed.rng;
    let mut bob = load(&mut store, &mut rng).await;
    let generation = store.generation().await;
    for _ in 0..20 {
        save(bob.session.encrypt(b"text", &mut rng).unwrap(), &mut store).await;
    }
    assert_eq!(store.generation().await, generation);
    let last = store.outbox().await.unwrap().pop().unwrap();
    assert!(store.acknowledge(&last.message_id).await);
    store.accept().await.unwrap();
    save(bob.session.encrypt(b"accepted", &mut rng).unwrap(), &mut store).await;
    let outbox = store.outbox().await.unwrap();
    assert!(outbox.iter().map(|sent| sent.position).is_sorted_by(|one, next| one < next) && outbox.len() == 21);
    // Control: generations alone would have given the new one a place among the others.
    assert!(outbox[20].position > last.position && generation + 1 < outbox[19].position);
}

/// Opens the database through a connection that is recorded.
fn opened(put_back: &PutBack, options: impl FnOnce(Options) -> Options) -> Blocking {
    let folder = put_back.folder.path();
    let options = options(Options::new()).witness(SideFile::new(folder.join("bob.db-witness")));
    Blocking(options.open_connection(traced(&database(folder))).unwrap())
}

#[test]
fn a_crash_between_accepting_and_restoring_stays_suspect() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let lost = |put_back: &PutBack, step: &dyn Fn()| {
        let copies = copies_of(put_back.folder.path(), step);
        assert!(copies.len() > 20);
        copies.iter().filter(|(_, copy)| !is_noticed(copy.path(), put_back)).count()
    };
    let in_order = run(put_back::<Blocking>());
    let steps = || {
        let mut store = opened(&in_order, Options::restored_backup);
        run(restore(&mut store, &in_order));
        run(store.accept()).unwrap();
    };
    assert_eq!(lost(&in_order, &steps), 0);
    assert!(is_noticed(in_order.folder.path(), &in_order));
    // Control: in the other order, there is a moment at which nobody notices.
    let in_the_other = run(put_back::<Blocking>());
    let steps = || {
        let mut store = opened(&in_the_other, Options::accept_restored_backup);
        run(restore(&mut store, &in_the_other));
    };
    assert!(lost(&in_the_other, &steps) > 0);
}
