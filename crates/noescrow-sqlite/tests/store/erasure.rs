// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is forgotten is in no file of the database: the bytes of all files are searched for every value that was in it.
//! The controls leave out one measure each, and the same search finds something.

use super::backend::{Backend, Blocking, run};
use super::party::{self, NOW, Pair, database, pair, save};
use noescrow::durable::Subject;
use noescrow::{Device, InitiateOptions, Session};
use noescrow_sqlite::rusqlite::Connection;
use noescrow_sqlite::{Error, Options, SqliteStore, message_id};
use rand_chacha::rand_core::Rng;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

both!(
    forget_leaves_nothing_of_a_session_in_any_file,
    forgetting_a_device_forgets_its_identity_and_no_other,
    erasing_leaves_no_earlier_state_in_any_file,
    a_reader_that_keeps_the_log_is_reported,
);

/// Length in bytes of what is searched for: too long to be there by chance.
const NEEDLE: usize = 16;

/// Returns how many of the values are in the files, by any of their fragments of 16 bytes.
fn found(folder: &Path, values: &[Vec<u8>]) -> usize {
    let mut fragments: HashMap<[u8; NEEDLE], Vec<usize>> = HashMap::new();
    for (number, value) in values.iter().enumerate() {
        for fragment in value.as_chunks().0 {
            fragments.entry(*fragment).or_default().push(number);
        }
    }
    let mut present = HashSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            for window in fs::read(path).unwrap().windows(NEEDLE) {
                present.extend(fragments.get(window).into_iter().flatten().copied());
            }
        }
    }
    present.len()
}

/// Every value of a session that the database has had: rows of each step, plaintexts, messages, ids, its subject.
struct Values(Vec<Vec<u8>>);

impl Values {
    async fn note<S: Backend>(&mut self, store: &mut S, subject: &Subject) {
        self.0.extend(store.load(subject).await.unwrap().into_iter().map(|row| row.sealed));
    }

    fn message(&mut self, text: &[u8], message: &[u8]) {
        self.0.extend([text.to_vec(), message.to_vec(), message_id(message).to_vec()]);
    }
}

fn text(number: usize) -> Vec<u8> {
    format!("the text of message number {number:04}, of {}", "some length ".repeat(number % 40)).into_bytes()
}

/// Talks: messages in both directions, out of order, so that rows come and go.
async fn talk<S: Backend>(pair: &mut Pair<S>, rounds: usize) -> Values {
    let subject = pair.bob.session.subject();
    let mut values = Values(vec![subject.to_bytes()[65..].to_vec()]);
    for round in 0..rounds {
        let sealed: Vec<_> = (0..12).map(|number| (text(100 * round + number), number)).collect();
        let mut sealed: Vec<_> = sealed.into_iter().map(|(text, _)| (pair.seal_as_alice(&text), text)).collect();
        sealed.swap(0, 11);
        sealed.swap(3, 7);
        for (message, text) in &sealed {
            assert_eq!(&pair.receive(message).await, text);
            // What Alice sent is in no table: only its plaintext and id are.
            values.0.extend([text.clone(), message_id(message).to_vec()]);
            values.note(&mut pair.store, &subject).await;
        }
        let reply = text(9_000 + round);
        let message = pair.send(&reply).await;
        values.message(&message, &message);
        // The log has its id, when the outbox has it no more.
        if round % 2 == 0 {
            assert!(pair.store.acknowledge(&message_id(&message)).await);
        }
        values.note(&mut pair.store, &subject).await;
        pair.alice.decrypt(&message).unwrap();
    }
    values
}

/// A second session of Bob's, which stays.
async fn second_session<S: Backend>(pair: &mut Pair<S>) -> (Session, Subject, Vec<u8>) {
    let bundle = party::bundle(&mut pair.bob.device, &mut pair.store, &mut pair.rng).await;
    let options = InitiateOptions::unverified(NOW);
    let text = b"a text of the session that stays".to_vec();
    let peer = Device::generate(NOW, &mut pair.rng);
    let (peers, hello) = peer.initiate(bundle, &text, options, &mut pair.rng).unwrap();
    let accepted = pair.bob.device.open(&hello).unwrap().accept(b"").unwrap();
    let (session, _) = save(accepted, &mut pair.store).await;
    (peers, session.subject(), text)
}

async fn forget_leaves_nothing_of_a_session_in_any_file<S: Backend>() {
    let mut pair = pair::<S>().await;
    let (_, other, kept) = second_session(&mut pair).await;
    let Values(values) = talk(&mut pair, 6).await;
    let folder = pair.folder.path().to_owned();
    let subject = pair.bob.session.subject();
    // Control: before, the files have most of it.
    let before = found(&folder, &values);
    assert!(before * 2 > values.len(), "{before} of {}", values.len());
    assert!(pair.store.forget(&subject).await.unwrap());
    assert_eq!(found(&folder, &values), 0, "of {}", values.len());
    // Its step is no longer accepted, the other session is whole, and there is nothing more to forget.
    assert!(pair.bob.session.encrypt(b"late", &mut pair.rng).unwrap().save_async(&mut pair.store).await.is_err());
    assert_eq!(found(&folder, &[kept]), 1);
    assert_eq!(pair.store.subjects().await.unwrap(), [other, pair.bob.device.subject()]);
    assert!(!pair.store.forget(&subject).await.unwrap());
    let generation = pair.store.generation().await;
    assert_eq!(Blocking::open(&database(&folder), Options::new()).await.unwrap().generation().await, generation);
}

/// What remains if some measure of `forget` is left out.
fn left_without(configure: &str, afterwards: &str) -> (usize, usize) {
    let mut pair = run(pair::<Blocking>());
    let Values(values) = run(talk(&mut pair, 6));
    let subject = pair.bob.session.subject();
    let folder = pair.folder.path().to_owned();
    let Pair { store, folder: _kept, .. } = pair;
    let connection = store.0.into_connection();
    connection.execute_batch(configure).unwrap();
    for table in ["row", "inbox", "outbox", "message_id", "sent_id"] {
        let column = if table == "row" { "subject" } else { "session" };
        connection.execute(&format!("DELETE FROM noescrow_{table} WHERE {column} = ?1"), [subject.to_bytes()]).unwrap();
    }
    connection.execute_batch(afterwards).unwrap();
    (found(&folder, &values), values.len())
}

#[test]
fn control_without_a_measure_the_search_finds_what_was_deleted() {
    let (found, of) = left_without("", "VACUUM");
    assert!(found * 2 > of, "without a checkpoint the log has it: {found} of {of}");
    let (found, of) = left_without("PRAGMA secure_delete = OFF", "PRAGMA wal_checkpoint(TRUNCATE)");
    assert!(found * 10 > of, "without overwriting, free pages have it: {found} of {of}");
    // With it, few copies remain between two erasures.
    let (found, of) = left_without("", "PRAGMA wal_checkpoint(TRUNCATE)");
    assert!(found * 20 < of, "{found} of {of}");
    // With all of them, the same deletion leaves nothing.
    assert_eq!(left_without("", "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").0, 0);
}

/// Many steps of two sessions, whose rows come, grow, shrink and go in the same pages. Returns every value of the
/// second, which is then deleted.
fn churn(connection: &Connection, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = party::rng(seed);
    let mut values = Vec::new();
    let mut names: [Vec<[u8; 9]>; 2] = Default::default();
    let mut random = |below: usize| rng.next_u64() as usize % below;
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    for step in 0..1_200_i64 {
        let session = random(2);
        let subject = [session as u8 + 1; 97];
        let sealed: Vec<u8> = (0..[40, 200, 600, 1_200, 5_000][random(5)]).map(|_| random(256) as u8).collect();
        let id: [u8; 16] = std::array::from_fn(|_| random(256) as u8);
        let names = &mut names[session];
        let choice = random(10);
        if choice < 4 || names.is_empty() {
            let name = std::array::from_fn(|_| random(256) as u8);
            names.push(name);
            let sql = "INSERT INTO noescrow_row (subject, name, sealed) VALUES (?1, ?2, ?3)";
            connection.execute(sql, (subject, name, &sealed[..])).unwrap();
        } else if choice < 8 {
            let sql = "UPDATE noescrow_row SET sealed = ?3 WHERE subject = ?1 AND name = ?2";
            connection.execute(sql, (subject, names[random(names.len())], &sealed[..])).unwrap();
        } else {
            let name = names.swap_remove(random(names.len()));
            let sql = "DELETE FROM noescrow_row WHERE subject = ?1 AND name = ?2";
            connection.execute(sql, (subject, name)).unwrap();
        }
        let sql = "INSERT INTO noescrow_message_id (message_id, session, opened_at) VALUES (?1, ?2, ?3)";
        connection.execute(sql, (id, subject, step)).unwrap();
        if session == 1 {
            values.extend([sealed, id.to_vec()]);
        }
    }
    values.push(vec![2; NEEDLE]);
    connection.execute("DELETE FROM noescrow_row WHERE subject = ?1", [[2_u8; 97]]).unwrap();
    connection.execute("DELETE FROM noescrow_message_id WHERE session = ?1", [[2_u8; 97]]).unwrap();
    values
}

/// SQLite moves content between pages, and `secure_delete` does not overwrite where it was.
#[test]
fn control_secure_delete_alone_leaves_copies_in_moved_pages() {
    let (mut without, mut with) = (0, 0);
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(database(folder.path())).unwrap().into_connection();
        let values = churn(&store, seed);
        store.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        without += found(folder.path(), &values);
        let mut store = Options::new().open_connection(store).unwrap();
        store.erase_deleted().unwrap();
        with += found(folder.path(), &values);
    }
    assert!(without > 0 && with == 0, "{without} {with}");
}

async fn forgetting_a_device_forgets_its_identity_and_no_other<S: Backend>() {
    let mut pair = pair::<S>().await;
    let Values(mut values) = talk(&mut pair, 1).await;
    values.extend(pair.store.load(&pair.bob.device.subject()).await.unwrap().into_iter().map(|row| row.sealed));
    values.push(pair.bob.device.subject().to_bytes()[1..65].to_vec());
    // Another account in the same database.
    let other = Device::generate(NOW, &mut pair.rng);
    let other =
        save(noescrow::durable::Durable::<Device>::new(other, &party::key(), &mut pair.rng), &mut pair.store).await;
    assert_eq!(pair.store.subjects().await.unwrap().len(), 3);
    assert!(pair.store.forget(&pair.bob.device.subject()).await.unwrap());
    assert_eq!(found(pair.folder.path(), &values), 0);
    assert_eq!(pair.store.subjects().await.unwrap(), [other.subject()]);
    assert!(pair.store.inbox().await.unwrap().is_empty() && pair.store.outbox().await.unwrap().is_empty());
    // Control: the other account is found.
    assert_eq!(found(pair.folder.path(), &[other.subject().to_bytes()[1..65].to_vec()]), 1);
}

async fn erasing_leaves_no_earlier_state_in_any_file<S: Backend>() {
    let mut pair = pair::<S>().await;
    let Values(values) = talk(&mut pair, 3).await;
    for message in pair.store.inbox().await.unwrap() {
        assert!(pair.store.remove(&message.message_id).await);
    }
    let subject = pair.bob.session.subject();
    let now: Vec<_> = pair.store.load(&subject).await.unwrap().into_iter().map(|row| row.sealed).collect();
    // Rows that are sealed before a step and after it have no fragment in common.
    let earlier: Vec<_> = values.into_iter().filter(|value| value.len() > 200 && !now.contains(value)).collect();
    // Control: before, the log has earlier states.
    assert!(found(pair.folder.path(), &earlier) > 20);
    pair.store.erase().await.unwrap();
    let outbox: Vec<_> = pair.store.outbox().await.unwrap().into_iter().map(|sent| sent.message).collect();
    let erased: Vec<_> = earlier.into_iter().filter(|value| !outbox.contains(value)).collect();
    assert_eq!(found(pair.folder.path(), &erased), 0);
    assert_eq!(found(pair.folder.path(), &now), now.len());
}

async fn a_reader_that_keeps_the_log_is_reported<S: Backend>() {
    let mut pair = pair::<S>().await;
    let Values(values) = talk(&mut pair, 1).await;
    let reader = Connection::open(pair.path()).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM noescrow_row", [], |row| row.get(0)).unwrap();
    let mut store =
        S::open(&pair.path(), Options::new().busy_timeout(std::time::Duration::from_millis(20))).await.unwrap();
    let subject = pair.bob.session.subject();
    assert!(matches!(store.forget(&subject).await, Err(Error::LogInUse)));
    assert!(found(pair.folder.path(), &values) > 0);
    // Control: after the reader, calling again erases it, although the rows are deleted already.
    reader.execute_batch("COMMIT").unwrap();
    assert!(!store.forget(&subject).await.unwrap());
    assert_eq!(found(pair.folder.path(), &values), 0);
}
