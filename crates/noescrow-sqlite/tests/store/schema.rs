// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fixtures are databases of each schema version, as text. They stay when the schema changes. Version 1: a device,
//! a session with skipped keys, and a message in each box. Version 2: a messenger with a peer and a session, and
//! messages in both boxes. Version 3: the same, a control message in each box, a message that was acknowledged,
//! and data of the peer.

use super::backend::{Backend, Blocking, run};
use super::party::{NOW, database, key, load, rng, save, texts};
use super::steps::{Party, greet, party_on};
use noescrow::durable::OpenedFlags;
use noescrow::messenger::{Control, Messenger, PeerId};
use noescrow::{Device, Session, StorageKey};
use noescrow_sqlite::rusqlite::{Connection, Transaction};
use noescrow_sqlite::{Error, Options, PeerData, SCHEMA_VERSION};
use std::path::Path;

both!(
    a_database_of_version_1_opens_and_is_used,
    a_messenger_of_version_2_opens_and_is_used,
    a_messenger_of_version_3_keeps_what_messages_are,
    a_database_of_a_later_version_is_refused_unchanged,
);

const VERSION_1: &str = include_str!("version_1.sql");
const VERSION_2: &str = include_str!("version_2.sql");
const VERSION_3: &str = include_str!("version_3.sql");

fn fixture(sql: &str, folder: &Path) -> std::path::PathBuf {
    let path = database(folder);
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    path
}

async fn a_database_of_version_1_opens_and_is_used<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture(VERSION_1, folder.path());
    // It comes without its witness.
    let refused = S::open(&path, Options::new()).await.map(drop);
    assert!(matches!(refused, Err(Error::WitnessMissing)), "{refused:?}");
    let mut store = S::open(&path, Options::new().accept_restored_backup()).await.unwrap();
    let version: u32 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT schema_version FROM noescrow_store", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, SCHEMA_VERSION);
    assert_eq!(texts(&mut store).await, [&b"hello"[..], b"text"]);
    assert_eq!(store.outbox().await.unwrap().len(), 1);
    let mut rng = rng(2);
    let mut bob = load(&mut store, &mut rng).await;
    assert!(bob.device.one_time_prekeys_left() > 0);
    save(bob.session.encrypt(b"text", &mut rng).unwrap(), &mut store).await;
    let _ = save(bob.device.rotate(NOW, &mut rng).unwrap(), &mut store).await;
    assert_eq!(store.outbox().await.unwrap().len(), 2);
    // Control: under another key nothing of it opens.
    let subject = bob.session.subject();
    let other = StorageKey::new([1; 32]);
    let loaded = noescrow::durable::Durable::<Session>::load_async(&mut store, &other, &subject, 0, &mut rng);
    assert!(loaded.await.is_err());
}

async fn a_messenger_of_version_2_opens_and_is_used<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture(VERSION_2, folder.path());
    let mut store = S::open(&path, Options::new().accept_restored_backup()).await.unwrap();
    let subjects = store.subjects().await.unwrap();
    let subject = subjects.iter().find(|subject| subject.is_messenger()).unwrap();
    // Messenger, device, peer and session; a message in each box, with its peer.
    assert_eq!(subjects.len(), 4);
    let peer = subjects.iter().find_map(PeerId::from_subject).unwrap();
    let (inbox, outbox) = (store.inbox().await.unwrap(), store.outbox().await.unwrap());
    assert_eq!((inbox.len(), outbox.len(), &inbox[0].plaintext[..]), (1, 2, &b"answer"[..]));
    // Of what that version did not keep, nothing is said.
    assert_eq!((inbox[0].flags, inbox[0].control), (OpenedFlags::default(), None));
    assert!(outbox.iter().all(|sent| !sent.is_control));
    assert!([inbox[0].peer, outbox[0].peer, outbox[1].peer].iter().all(|of| *of == Some(subject_of(&subjects, peer))));
    let rng = &mut rng(6);
    let mut alice = Messenger::load_async(&mut store, &key(), subject, 0, rng).await.unwrap();
    let loaded = alice.route_to(&peer).unwrap().load_async(&mut store).await.unwrap();
    let step = alice.seal(&peer, b"from version 2", loaded, NOW, rng).unwrap();
    save(step, &mut store).await;
    let outbox = store.outbox().await.unwrap();
    assert!(outbox.len() == 3 && outbox[2].position > outbox[1].position);
    assert!(store.acknowledge(&outbox[1].message_id).await && store.was_sealed(&outbox[1].message_id).await);
    // As after any backup.
    let published = save(alice.restore_backup(NOW, rng).unwrap(), &mut store).await;
    assert_eq!(published.identity, *alice.identity());
    // Control: under another key nothing of it opens.
    let other = StorageKey::new([1; 32]);
    assert!(Messenger::load_async(&mut store, &other, subject, 0, rng).await.is_err());
}

async fn a_messenger_of_version_3_keeps_what_messages_are<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture(VERSION_3, folder.path());
    let mut store = S::open(&path, Options::new().accept_restored_backup()).await.unwrap();
    let subjects = store.subjects().await.unwrap();
    let subject = subjects.iter().find(|subject| subject.is_messenger()).unwrap();
    let (inbox, outbox) = (store.inbox().await.unwrap(), store.outbox().await.unwrap());
    let [text, answer] = &inbox[..] else { panic!("{inbox:?}") };
    assert_eq!((&text.plaintext[..], text.control), (&b"answer"[..], None));
    assert_eq!((answer.plaintext.len(), answer.control), (0, Some(Control::Answer)));
    assert_eq!(outbox.iter().map(|sent| sent.is_control).collect::<Vec<_>>(), [false, true]);
    let rng = &mut rng(6);
    let mut alice = Messenger::load_async(&mut store, &key(), subject, 0, rng).await.unwrap();
    let peer = subjects.iter().find_map(PeerId::from_subject).unwrap();
    let kept = move |transaction: &Transaction<'_>| transaction.peer_data(&peer, "access");
    assert!(store.transact(kept).await.unwrap().is_some_and(|value| value[..] == b"a key"[..]));
    let loaded = alice.route_to(&peer).unwrap().load_async(&mut store).await.unwrap();
    save(alice.seal(&peer, b"from version 3", loaded, NOW, rng).unwrap(), &mut store).await;
    // One message is acknowledged: its id is in the log.
    let sent = Connection::open(&path).unwrap();
    let id: [u8; 16] = sent.query_row("SELECT message_id FROM noescrow_sent_id", [], |row| row.get(0)).unwrap();
    assert!(store.was_sealed(&id).await && outbox.iter().all(|message| message.message_id != id));
    // Controls: another id was not; without the columns there would be two texts.
    assert!(!store.was_sealed(&[0; 16]).await);
    sent.execute("UPDATE noescrow_inbox SET control = NULL", []).unwrap();
    assert!(store.inbox().await.unwrap().iter().all(|message| message.control.is_none()));
}

fn subject_of(subjects: &[noescrow::durable::Subject], peer: PeerId) -> noescrow::durable::Subject {
    *subjects.iter().find(|subject| PeerId::from_subject(subject) == Some(peer)).unwrap()
}

async fn a_database_of_a_later_version_is_refused_unchanged<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture(VERSION_1, folder.path());
    // First it becomes one of this release's version.
    S::open(&path, Options::new().accept_restored_backup()).await.unwrap().close().await;
    let connection = Connection::open(&path).unwrap();
    let set = |version| connection.execute("UPDATE noescrow_store SET schema_version = ?1", [version]).unwrap();
    set(SCHEMA_VERSION + 1);
    let refused = S::open(&path, Options::new().accept_restored_backup()).await.map(drop);
    assert!(matches!(refused, Err(Error::NewerSchema(version)) if version == SCHEMA_VERSION + 1), "{refused:?}");
    // While it is open, too: another process may be of a newer release.
    set(SCHEMA_VERSION);
    let mut store = S::open(&path, Options::new().accept_restored_backup()).await.unwrap();
    let mut bob = load(&mut store, &mut rng(2)).await;
    set(SCHEMA_VERSION + 1);
    let failed = bob.session.encrypt(b"text", &mut rng(3)).unwrap().save_async(&mut store).await.unwrap_err();
    assert!(matches!(failed.error, noescrow::durable::CommitError::NotCommitted(Error::NewerSchema(_))));
    // Control: of this release's version, it takes the step.
    set(SCHEMA_VERSION);
    save(failed.unsaved, &mut store).await;
}

/// Makes a database of the present version one of version 2.
const TO_VERSION_2: &str = "
    DROP TABLE noescrow_peer_data;
    DROP TABLE noescrow_sent_id;
    ALTER TABLE noescrow_outbox DROP COLUMN is_control;
    ALTER TABLE noescrow_inbox DROP COLUMN control;
    ALTER TABLE noescrow_inbox DROP COLUMN flags;
    UPDATE noescrow_store SET schema_version = 2;
";

/// Writes the fixtures with a messenger, of the present version and of version 2: `cargo test -p noescrow-sqlite --test
/// store -- --ignored fixture`. A messenger's rows have changed without a version of their own, because no release has
/// them. After the first release, the older fixtures stay.
#[test]
#[ignore = "writes a file of the repository"]
fn write_the_fixture() {
    let rng = &mut rng(5);
    let [alice, bob] = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        let store = Options::new().clock(|| NOW).open(database(folder.path())).unwrap();
        run(party_on(Blocking(store), folder, Device::generate(NOW, rng), rng))
    });
    let (mut alice, mut bob): (Party<Blocking>, Party<Blocking>) = (alice, bob);
    run(async {
        let of_alice = greet(&mut alice, &mut bob, b"hello", rng).await;
        let loaded = bob.messenger.route_to(&of_alice).unwrap().load_async(&mut bob.store).await.unwrap();
        let sealed = bob.messenger.seal(&of_alice, b"answer", loaded, NOW, rng).unwrap();
        let answer = save(sealed, &mut bob.store).await.message;
        let loaded = alice.messenger.route(&answer, NOW).unwrap().load_async(&mut alice.store).await.unwrap();
        let of_bob = save(alice.messenger.open(&answer, loaded, NOW).unwrap(), &mut alice.store).await.peer;
        let loaded = alice.messenger.route_to(&of_bob).unwrap().load_async(&mut alice.store).await.unwrap();
        save(alice.messenger.seal(&of_bob, b"text", loaded, NOW, rng).unwrap(), &mut alice.store).await;
        let copy = alice.folder.path().join("version 2");
        let connection = Connection::open(database(alice.folder.path())).unwrap();
        connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        let connection = Connection::open(copy).unwrap();
        connection.execute_batch(TO_VERSION_2).unwrap();
        write(2, &connection);
        let loaded = bob.messenger.route_to(&of_alice).unwrap().load_async(&mut bob.store).await.unwrap();
        let sealed = bob.messenger.seal_answer(&of_alice, loaded, NOW, rng).unwrap();
        let answer = save(sealed, &mut bob.store).await.message;
        let loaded = alice.messenger.route(&answer, NOW).unwrap().load_async(&mut alice.store).await.unwrap();
        save(alice.messenger.open(&answer, loaded, NOW).unwrap(), &mut alice.store).await;
        let loaded = alice.messenger.route_to(&of_bob).unwrap().load_async(&mut alice.store).await.unwrap();
        save(alice.messenger.seal_answer(&of_bob, loaded, NOW, rng).unwrap(), &mut alice.store).await;
        let first = alice.store.outbox().await.unwrap()[0].message_id;
        assert!(alice.store.acknowledge(&first).await);
        let keep = |transaction: &Transaction<'_>| transaction.set_peer_data(&of_bob, "access", b"a key");
        assert!(alice.store.0.transact(keep).unwrap());
    });
    write(SCHEMA_VERSION, &Connection::open(database(alice.folder.path())).unwrap());
}

fn write(version: u32, connection: &Connection) {
    let file = format!("{}/tests/store/version_{version}.sql", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(file, dump(version, connection)).unwrap();
}

/// The tables of a database and their rows as text.
fn dump(version: u32, connection: &Connection) -> String {
    use std::fmt::Write;
    let mut sql = format!("-- A database of schema version {version}. Written once; see schema.rs.\n");
    let mut tables = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
    let tables = tables.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    for (name, definition) in tables.map(Result::unwrap) {
        writeln!(sql, "{definition};").unwrap();
        if definition.starts_with("CREATE INDEX") {
            continue;
        }
        let mut rows = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = rows.column_count();
        let quoted: Vec<_> = rows.column_names().iter().map(|column| format!("quote({column})")).collect();
        rows = connection.prepare(&format!("SELECT {} FROM {name}", quoted.join(", "))).unwrap();
        let rows = rows.query_map([], |row| {
            (0..columns).map(|column| row.get::<_, String>(column)).collect::<Result<Vec<_>, _>>()
        });
        for row in rows.unwrap() {
            writeln!(sql, "INSERT INTO {name} VALUES ({});", row.unwrap().join(", ")).unwrap();
        }
    }
    sql
}
