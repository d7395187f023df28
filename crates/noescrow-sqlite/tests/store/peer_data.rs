// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an application keeps of a messenger's peers. That it is erased with them is in deletion.rs.

use super::backend::Backend;
use super::party::{NOW, database, key, rng, save};
use noescrow::Device;
use noescrow::messenger::{Messenger, PeerId, Stored};
use noescrow_sqlite::rusqlite::{self, Transaction};
use noescrow_sqlite::{Folder, Options, PeerData};

both!(
    what_is_kept_of_a_peer_ends_with_it,
    of_no_peer_nothing_is_kept,
    what_is_kept_in_a_transaction_is_kept_with_the_rest_or_not_at_all,
);

/// Everything of one name, without the peers.
async fn all<S: Backend>(store: &mut S, name: &'static str) -> Vec<Vec<u8>> {
    let read = |transaction: &Transaction<'_>| transaction.data_of_peers(name);
    store.transact(read).await.unwrap().into_iter().map(|(_, value)| value.to_vec()).collect()
}

async fn set<S: Backend>(store: &mut S, peer: PeerId, name: &'static str, value: &'static [u8]) -> bool {
    store.transact(move |transaction| transaction.set_peer_data(&peer, name, value)).await.unwrap()
}

async fn with_two_peers<S: Backend>(folder: &tempfile::TempDir) -> (Messenger, S, [PeerId; 2]) {
    let rng = &mut rng(1);
    let mut store = S::open(&database(folder.path()), Options::new()).await.unwrap();
    let mut messenger = save(Messenger::new(Device::generate(NOW, rng), &key(), rng), &mut store).await;
    let alice = save(messenger.add_peer(b"alice", None, NOW, rng).unwrap(), &mut store).await;
    let carol = save(messenger.add_peer(b"carol", None, NOW, rng).unwrap(), &mut store).await;
    (messenger, store, [alice, carol])
}

async fn what_is_kept_of_a_peer_ends_with_it<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let (mut messenger, mut store, [alice, carol]) = with_two_peers::<S>(&folder).await;
    for (peer, name, value) in [
        (alice, "access", &b"old"[..]),
        (carol, "access", b"carol's"),
        (alice, "access", b"alice's"),
        (alice, "colour", b"red"),
    ] {
        assert!(set(&mut store, peer, name, value).await);
    }
    // The oldest is first, and one that is set again stays where it is.
    assert_eq!(all(&mut store, "access").await, [&b"alice's"[..], b"carol's"]);
    let read = move |transaction: &Transaction<'_>| {
        Ok([transaction.peer_data(&alice, "colour")?, transaction.peer_data(&carol, "colour")?])
    };
    let [of_alice, of_carol] = store.transact(read).await.unwrap();
    assert!(of_alice.is_some_and(|value| value[..] == b"red"[..]) && of_carol.is_none());
    let remove = move |transaction: &Transaction<'_>| transaction.remove_peer_data(&alice, "colour");
    assert!(store.transact(remove).await.unwrap() && !store.transact(remove).await.unwrap());
    save(messenger.forget(&alice, NOW).unwrap(), &mut store).await;
    // Control: the other peer's stays. With the account, all of it ends.
    assert_eq!(all(&mut store, "access").await, [b"carol's"]);
    save(messenger.delete().unwrap(), &mut store).await;
    assert!(all(&mut store, "access").await.is_empty());
}

async fn of_no_peer_nothing_is_kept<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let (mut messenger, mut store, [alice, carol]) = with_two_peers::<S>(&folder).await;
    save(messenger.forget(&alice, NOW).unwrap(), &mut store).await;
    assert!(!set(&mut store, alice, "access", b"late").await);
    assert!(!set(&mut store, PeerId::from_bytes([0; 16]), "access", b"nobody's").await);
    assert!(all(&mut store, "access").await.is_empty());
    // Control: of one that is there, it is.
    assert!(set(&mut store, carol, "access", b"carol's").await);
    assert_eq!(all(&mut store, "access").await, [b"carol's"]);
}

async fn what_is_kept_in_a_transaction_is_kept_with_the_rest_or_not_at_all<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut store, [alice, _]) = with_two_peers::<S>(&folder).await;
    let fails = move |transaction: &Transaction<'_>| {
        assert!(transaction.set_peer_data(&alice, "access", b"alice's")?);
        Err::<(), _>(rusqlite::Error::InvalidQuery)
    };
    assert!(store.transact(fails).await.is_err());
    assert!(all(&mut store, "access").await.is_empty());
    // Control: without the error.
    assert!(set(&mut store, alice, "access", b"alice's").await);
    assert_eq!(all(&mut store, "access").await.len(), 1);
}

#[test]
fn files_of_a_forgotten_peer_are_removed() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, rng) = (Folder::new(temporary.path().join("home"), None), &mut rng(1));
    assert!(folder.create(b"bob", Device::generate(NOW, rng), rng).unwrap());
    let mut stored = folder.open(Options::new(), rng).unwrap();
    let peers = ["alice", "carol"].map(|name| {
        let peer = stored.find_or_add_peer(name.as_bytes(), NOW, rng).unwrap();
        assert!(stored.store().set_peer_data(&peer, name, b"a key").unwrap());
        let file = folder.file(name).unwrap();
        std::fs::write(&file, b"sealed").unwrap();
        (peer, file)
    });
    let [(alice, of_alice), (carol, of_carol)] = peers;
    assert!(stored.store().peer_data(&alice, "alice").unwrap().is_some());
    folder.erase_deleted(stored.store()).unwrap();
    assert!(of_alice.exists() && of_carol.exists());
    stored.forget(&alice, NOW, rng).unwrap();
    folder.erase_deleted(stored.store()).unwrap();
    assert!(!of_alice.exists());
    // Control: the other peer's stays, until its data end.
    assert!(of_carol.exists());
    assert!(stored.store().remove_peer_data(&carol, "carol").unwrap());
    folder.erase_deleted(stored.store()).unwrap();
    assert!(!of_carol.exists());
}

#[test]
fn a_store_around_this_one_is_loaded() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, rng) = (Folder::new(temporary.path().join("home"), None), &mut rng(1));
    assert!(folder.create(b"bob", Device::generate(NOW, rng), rng).unwrap());
    let stored: Stored<noescrow_sqlite::SqliteStore> = folder.open_as(Options::new(), rng).unwrap();
    let mut store = stored.delete(NOW, rng).unwrap();
    assert!(store.subjects().unwrap().is_empty());
    drop(store);
    // Control: what was deleted is missing, and the folder can be erased.
    let missing = folder.open(Options::new(), rng).map(drop);
    assert!(matches!(missing, Err(noescrow::durable::LoadError::Missing)), "{missing:?}");
    folder.erase().unwrap();
}
