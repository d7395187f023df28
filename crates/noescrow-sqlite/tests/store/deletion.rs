// SPDX-License-Identifier: MIT OR Apache-2.0
//! A peer that is forgotten and an account that is deleted are in no file of the folder: leakscan searches the
//! database, its log and the witness for every value of theirs. Before, it finds them.

use super::backend::Backend;
use super::party::{NOW, database, key, rng, save};
use leakscan::{Evidence, Needles};
use noescrow::durable::CommitError;
use noescrow::messenger::{Messenger, OpenError, PeerId};
use noescrow::{Bundle, Device, Identity, Payload, StorageKey};
use noescrow_sqlite::rusqlite::{Connection, Transaction};
use noescrow_sqlite::{Options, PeerData, message_id};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

both!(
    a_forgotten_peer_is_in_no_file,
    a_deleted_account_is_in_no_file,
    only_the_log_has_the_ids_of_acknowledged_messages,
);

struct User<S> {
    messenger: Messenger,
    store: S,
    rng: ChaCha20Rng,
    folder: TempDir,
}

/// Everything of one peer or account that the files have had.
type Values = BTreeSet<Vec<u8>>;

impl<S: Backend> User<S> {
    async fn new(seed: u64) -> Self {
        let (mut rng, folder) = (rng(seed), tempfile::tempdir().unwrap());
        let mut store = S::open(&database(folder.path()), Options::new()).await.unwrap();
        let device = Device::generate(NOW, &mut rng);
        let messenger =
            save(Messenger::new(device, &StorageKey::new([seed as u8 + 1; 32]), &mut rng), &mut store).await;
        Self { messenger, store, rng, folder }
    }

    async fn bundle(&mut self) -> Bundle {
        let published = save(self.messenger.maintain(NOW, &[], &mut self.rng).unwrap(), &mut self.store).await;
        let one_time_prekey = published.one_time_prekeys.first().cloned();
        Bundle::new(published.identity, published.signed_prekey, one_time_prekey).unwrap()
    }

    async fn add(&mut self, name: &[u8], identity: &Identity) -> PeerId {
        let step = self.messenger.add_peer(name, Some(identity), NOW, &mut self.rng).unwrap();
        save(step, &mut self.store).await
    }

    /// Begins a session, and returns its first message.
    async fn begin(&mut self, peer: &PeerId, bundle: Bundle, text: &[u8]) -> Vec<u8> {
        let step = self.messenger.seal_with_bundle(peer, text, bundle, NOW, &mut self.rng).unwrap();
        save(step, &mut self.store).await.message
    }

    async fn seal(&mut self, peer: &PeerId, text: &[u8]) -> Vec<u8> {
        let loaded = self.messenger.route_to(peer).unwrap().load_async(&mut self.store).await.unwrap();
        let step = self.messenger.seal(peer, text, loaded, NOW, &mut self.rng).unwrap();
        save(step, &mut self.store).await.message
    }

    async fn open(&mut self, message: &[u8]) -> PeerId {
        let loaded = self.messenger.route(message, NOW).unwrap().load_async(&mut self.store).await.unwrap();
        let step = self.messenger.open(message, loaded, NOW).unwrap();
        save(step, &mut self.store).await.peer
    }

    /// Reports to `to` that a message of its did not open. Returns that message's id, which `to` now has in its inbox.
    async fn report(&mut self, to: &PeerId, theirs: &mut User<S>, me: &PeerId) -> [u8; 16] {
        let loaded = theirs.messenger.route_to(me).unwrap().load_async(&mut theirs.store).await.unwrap();
        let payload = Payload { plaintext: b"1", associated_data: b"other", ..Payload::default() };
        let step = theirs.messenger.seal(me, payload, loaded, NOW, &mut theirs.rng).unwrap();
        let unreadable = save(step, &mut theirs.store).await;
        assert!(theirs.store.acknowledge(&unreadable.message_id).await);
        let loaded = self.messenger.route(&unreadable.message, NOW).unwrap().load_async(&mut self.store).await.unwrap();
        let refused = self.messenger.open(&unreadable.message, loaded, NOW).map(drop).unwrap_err();
        let OpenError::Refused(refused) = refused else { panic!("{refused:?}") };
        let loaded = self.messenger.route_to(to).unwrap().load_async(&mut self.store).await.unwrap();
        let step = self.messenger.seal_receipt(&refused, loaded, NOW, &mut self.rng).unwrap();
        let receipt = save(step, &mut self.store).await.message;
        theirs.open(&receipt).await;
        unreadable.message_id
    }

    /// Adds the sealed rows of every subject that is not in `others`, and the ids of sessions.
    async fn note(&mut self, values: &mut Values, others: &[noescrow::durable::Subject]) {
        for subject in self.store.subjects().await.unwrap() {
            if !others.contains(&subject) {
                values.extend(self.store.load(&subject).await.unwrap().into_iter().map(|row| row.sealed));
                values.extend(subject.session_id().map(|id| id.to_vec()));
            }
        }
    }
}

/// How many of the values are in the files of a folder, as a whole or by a fragment of 16 bytes.
fn found(folder: &Path, values: &Values) -> usize {
    let mut needles = Needles::new();
    for (number, value) in (0..).zip(values) {
        needles.add_secret(number, value);
    }
    let index = needles.build().unwrap();
    let findings = Evidence::new().directory("folder", folder).search(&index, |_, _| {}).unwrap();
    assert_eq!(findings.statistics.omitted, 0);
    findings.hits.iter().map(|hit| hit.id).collect::<BTreeSet<_>>().len()
}

/// A text of which no fragment is in another one.
fn text(from: &str, number: usize) -> Vec<u8> {
    ["first", "second"].map(|half| message_id(format!("{half} {number} of {from}").as_bytes())).concat()
}

/// Bob and a peer talk. More sessions are begun than are kept, so that some have ended. Returns Bob's id of the peer,
/// and what his files have of it.
async fn talk<S: Backend>(bob: &mut User<S>, name: &str, seed: u64) -> (PeerId, Values) {
    let mut peer = User::<S>::new(seed).await;
    let others = bob.store.subjects().await.unwrap();
    let id = bob.add(name.as_bytes(), peer.messenger.identity()).await;
    let bobs = peer.add(b"bob, as his peer calls him", bob.messenger.identity()).await;
    let mut values = Values::new();
    // What the application keeps of the peer, and nothing else has.
    let kept = message_id(format!("kept of {name}").as_bytes());
    let keep = move |transaction: &Transaction<'_>| transaction.set_peer_data(&id, "access", &kept);
    assert!(bob.store.transact(keep).await.unwrap());
    values.insert(kept.to_vec());
    values.extend([name.as_bytes().to_vec(), id.as_bytes().to_vec(), peer.messenger.identity().to_bytes().to_vec()]);
    for number in 0..7 {
        let bundle = if number % 2 == 0 { peer.bundle().await } else { bob.bundle().await };
        let (first, second) = (text(name, 2 * number), text(name, 2 * number + 1));
        let (opened, sent) = if number % 2 == 0 {
            let sent = bob.begin(&id, bundle, &first).await;
            peer.open(&sent).await;
            (peer.seal(&bobs, &second).await, sent)
        } else {
            let opened = peer.begin(&bobs, bundle, &first).await;
            bob.open(&opened).await;
            let sent = bob.seal(&id, &second).await;
            peer.open(&sent).await;
            (opened, sent)
        };
        if number % 2 == 0 {
            assert_eq!(bob.open(&opened).await, id);
        }
        // The server acknowledges most of what Bob sends: the log has its id.
        if number % 3 > 0 {
            assert!(bob.store.acknowledge(&message_id(&sent)).await);
        }
        // Of what Bob sends, only the message and its id are in a table; of what he opens, only the plaintext and its
        // id.
        values.extend([message_id(&opened).to_vec(), message_id(&sent).to_vec()]);
        values.extend([sent, if number % 2 == 0 { second } else { first }]);
        bob.note(&mut values, &others).await;
    }
    assert!(bob.messenger.peer(&id).unwrap().sessions <= 5);
    // A receipt names a message of Bob's.
    values.insert(peer.report(&bobs, bob, &id).await.to_vec());
    (id, values)
}

/// What erasing must reach of the log of sent ids: without its rows, nothing else has these ids.
async fn only_the_log_has_the_ids_of_acknowledged_messages<S: Backend>() {
    let mut bob = User::<S>::new(1).await;
    let (alice, _) = talk(&mut bob, "alice, a new acquaintance", 3).await;
    let path = bob.folder.path().to_owned();
    let connection = Connection::open(database(&path)).unwrap();
    let mut query = connection.prepare("SELECT message_id FROM noescrow_sent_id").unwrap();
    let ids: Values = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(query);
    bob.store.erase().await.unwrap();
    assert_eq!((ids.len(), found(&path, &ids)), (5, 5));
    // The faulty variant: a deletion that leaves out the log.
    let keep = "CREATE TABLE kept AS SELECT * FROM noescrow_sent_id";
    connection.execute_batch(keep).unwrap();
    save(bob.messenger.forget(&alice, NOW).unwrap(), &mut bob.store).await;
    bob.store.erase().await.unwrap();
    assert_eq!(found(&path, &ids), 5);
    // Control: as it is.
    connection.execute_batch("DROP TABLE kept").unwrap();
    bob.store.erase().await.unwrap();
    assert_eq!(found(&path, &ids), 0);
}

async fn a_forgotten_peer_is_in_no_file<S: Backend>() {
    let mut bob = User::<S>::new(1).await;
    let (_, kept) = talk(&mut bob, "carol, an old school friend", 2).await;
    let (alice, values) = talk(&mut bob, "alice, a new acquaintance", 3).await;
    let path = bob.folder.path().to_owned();
    // Control: before, the files have most of it.
    let before = found(&path, &values);
    assert!(before * 2 > values.len(), "{before} of {}", values.len());
    save(bob.messenger.forget(&alice, NOW).unwrap(), &mut bob.store).await;
    // Control: without erasing, the log has it.
    assert!(found(&path, &values) * 2 > values.len());
    bob.store.erase().await.unwrap();
    assert_eq!(found(&path, &values), 0, "of {}", values.len());
    // Control: the other peer stays.
    assert!(found(&path, &kept) > 20);
    assert_eq!(bob.messenger.peers().count(), 1);
}

async fn a_deleted_account_is_in_no_file<S: Backend>() {
    let mut bob = User::<S>::new(1).await;
    let mut values = Values::new();
    for (name, seed) in [("carol, an old school friend", 2), ("alice, a new acquaintance", 3)] {
        values.extend(talk(&mut bob, name, seed).await.1);
    }
    bob.note(&mut values, &[]).await;
    values.insert(bob.messenger.identity().to_bytes().to_vec());
    let path = bob.folder.path().to_owned();
    // Another account in the same database.
    let other = Device::generate(NOW, &mut bob.rng);
    let other = save(Messenger::new(other, &key(), &mut bob.rng), &mut bob.store).await;
    // Control: before, the files have most of it.
    let before = found(&path, &values);
    assert!(before * 2 > values.len(), "{before} of {}", values.len());
    save(bob.messenger.delete().unwrap(), &mut bob.store).await;
    assert!(found(&path, &values) * 2 > values.len());
    bob.store.erase().await.unwrap();
    assert_eq!(found(&path, &values), 0, "of {}", values.len());
    assert!(bob.store.inbox().await.unwrap().is_empty() && bob.store.outbox().await.unwrap().is_empty());
    // Nothing can be saved any more, and the other account is whole.
    let late = bob.messenger.add_peer(b"late", None, NOW, &mut bob.rng).unwrap().save_async(&mut bob.store).await;
    assert!(matches!(late.map_err(|failed| failed.error), Err(CommitError::Stale)));
    let subject = other.subject();
    assert!(Messenger::load_async(&mut bob.store, &key(), &subject, 1, &mut bob.rng).await.is_ok());
    assert_eq!(bob.store.subjects().await.unwrap().len(), 2);
}
