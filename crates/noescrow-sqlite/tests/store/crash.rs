// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process ends at any statement. The files are copied when SQLite begins and ends each statement of a step: what
//! the next process would find. Each copy must be the state before the step or the one after it.

use super::backend::Backend;
use super::party::{self, NOW, Pair, copy, database, save};
use noescrow::InitiateOptions;
use noescrow::durable::Batch;
use noescrow_sqlite::rusqlite::trace::{TraceEvent, TraceEventCodes};
use noescrow_sqlite::rusqlite::types::Value;
use noescrow_sqlite::{Options, SqliteStore, rusqlite};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

both!(a_crash_at_any_statement_leaves_the_step_done_or_not);

/// The folder to copy, and the copies with the statement at which each was made.
struct Recorder {
    folder: PathBuf,
    copies: Vec<(String, TempDir)>,
}

/// SQLite's callback has no other access. Only the connections of these tests are traced, and one test at a time.
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);
pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn recorder() -> MutexGuard<'static, Option<Recorder>> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at_statement(event: TraceEvent<'_>) {
    let statement = match event {
        TraceEvent::Stmt(statement, _) => format!("before {}", statement.sql()),
        TraceEvent::Profile(statement, _) => format!("after {}", statement.sql()),
        _ => return,
    };
    if let Some(Recorder { folder, copies }) = &mut *recorder() {
        let target = tempfile::tempdir().unwrap();
        copy(folder, target.path());
        // The index of the log is made anew after a crash.
        let _ = std::fs::remove_file(target.path().join("bob.db-shm"));
        copies.push((statement, target));
    }
}

/// A connection that is recorded.
pub fn traced(path: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_PROFILE, Some(at_statement));
    connection
}

const OWN_TABLE: &str = "SELECT * FROM own ORDER BY 1";

/// Everything that the database contains, except which database it is.
fn content(folder: &Path) -> Vec<Vec<Value>> {
    // The witness is checked.
    let connection = SqliteStore::open(database(folder)).unwrap().into_connection();
    // The copy is deleted at once.
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    let tables = [
        "SELECT generation, history FROM noescrow_store",
        "SELECT subject, name, sealed FROM noescrow_row ORDER BY subject, name",
        "SELECT * FROM noescrow_inbox ORDER BY position",
        "SELECT * FROM noescrow_outbox ORDER BY position",
        "SELECT message_id, session FROM noescrow_message_id ORDER BY message_id",
        "SELECT message_id, session FROM noescrow_sent_id ORDER BY message_id",
        OWN_TABLE,
    ];
    let mut rows = Vec::new();
    for sql in tables {
        // Not every test has tables of its own.
        let Ok(mut query) = connection.prepare(sql) else {
            assert_eq!(sql, OWN_TABLE);
            continue;
        };
        let columns = query.column_count();
        let table = query.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        rows.extend(table.map(Result::unwrap));
    }
    rows
}

/// What each copy is: the state before, the state after, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Before,
    After,
    Torn,
}

/// The copies that were made at every statement of a step.
pub fn copies_of(folder: &Path, step: impl FnOnce()) -> Vec<(String, TempDir)> {
    *recorder() = Some(Recorder { folder: folder.into(), copies: Vec::new() });
    step();
    recorder().take().unwrap().copies
}

/// Copies the files at every statement of a step.
pub async fn record<T>(folder: &Path, step: impl Future<Output = T>) -> (T, Vec<(String, Found)>) {
    let before = content_of_copy(folder);
    *recorder() = Some(Recorder { folder: folder.into(), copies: Vec::new() });
    let outcome = step.await;
    let copies = recorder().take().unwrap().copies;
    let after = content_of_copy(folder);
    assert_ne!(before, after);
    let found = copies.into_iter().map(|(statement, folder)| match content(folder.path()) {
        content if content == before => (statement, Found::Before),
        content if content == after => (statement, Found::After),
        _ => (statement, Found::Torn),
    });
    (outcome, found.collect())
}

/// Opening a copy changes nothing for the stores that are open.
fn content_of_copy(folder: &Path) -> Vec<Vec<Value>> {
    let target = tempfile::tempdir().unwrap();
    copy(folder, target.path());
    content(target.path())
}

#[expect(clippy::await_holding_lock, reason = "each test has a runtime and a thread of its own")]
async fn a_crash_at_any_statement_leaves_the_step_done_or_not<S: Backend>() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path());
    let witness = noescrow_sqlite::SideFile::new(folder.path().join("bob.db-witness"));
    let store = S::of(Options::new().witness(witness).open_connection(traced(&path)).unwrap());
    let mut pair: Pair<S> = party::pair_on(store, folder).await;
    let folder = pair.folder.path().to_owned();
    let (text, hello) = (pair.seal_as_alice(b"text"), first_message(&mut pair).await);
    let mut peer = noescrow::Device::generate(NOW, &mut pair.rng);

    let mut steps = Vec::new();
    steps.push(("decrypt", record(&folder, pair.receive(&text)).await.1));
    steps.push(("encrypt", record(&folder, pair.send(b"reply")).await.1));
    let Pair { bob, store, rng, .. } = &mut pair;
    let publish = save(bob.device.publish(2, NOW, rng).unwrap(), store);
    steps.push(("publish", record(&folder, publish).await.1));
    let accept = save(bob.device.open(&hello).unwrap().accept(b"").unwrap(), store);
    let ((session, _), copies) = record(&folder, accept).await;
    steps.push(("accept", copies));
    let published = peer.publish(0, NOW, rng).unwrap();
    let bundle = noescrow::Bundle::new(published.identity, published.signed_prekey, None).unwrap();
    let initiate = bob.device.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), rng).unwrap();
    steps.push(("initiate", record(&folder, save(initiate, store)).await.1));
    let subject = session.subject();
    steps.push(("forget", record(&folder, async { store.forget(&subject).await.unwrap() }).await.1));

    for (step, copies) in steps {
        let found: Vec<_> = copies.iter().map(|(_, found)| *found).collect();
        assert!(found.is_sorted_by_key(|found| *found as u8) && !found.contains(&Found::Torn), "{step}: {copies:?}");
        assert!(found.len() >= 10 && found.first() == Some(&Found::Before), "{step}: {copies:?}");
        // The last is the end of COMMIT, and precedes the witness.
        assert_eq!(found.last(), Some(&Found::After), "{step}: {copies:?}");
        let commit = copies.iter().position(|(_, found)| *found == Found::After).unwrap();
        assert_eq!(copies[commit].0, "after COMMIT", "{step}");
    }
}

/// A first message for Bob's device.
async fn first_message<S: Backend>(pair: &mut Pair<S>) -> Vec<u8> {
    let bundle = party::bundle(&mut pair.bob.device, &mut pair.store, &mut pair.rng).await;
    pair.alice_device.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), &mut pair.rng).unwrap().1
}

/// What a store without a transaction would do.
fn write_in_pieces(connection: &rusqlite::Connection, batch: &Batch) {
    for change in &batch.changes {
        for row in &change.rows {
            let sql = "INSERT OR REPLACE INTO noescrow_row (subject, name, sealed) VALUES (?1, ?2, ?3)";
            let values = (change.subject.to_bytes(), row.name.as_bytes(), &row.sealed[..]);
            connection.execute(sql, values).unwrap();
        }
    }
    let received = batch.received.as_ref().unwrap();
    let sql =
        "INSERT INTO noescrow_inbox (message_id, session, number, is_control, plaintext) VALUES (?1, ?2, 0, 0, ?3)";
    let values = (received.message_id, received.session.to_bytes(), &received.plaintext[..]);
    connection.execute(sql, values).unwrap();
}

#[test]
fn control_a_store_without_a_transaction_is_torn_by_a_crash() {
    use super::backend::{Blocking, run};
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pair = run(party::pair::<Blocking>());
    let text = pair.seal_as_alice(b"text");
    let batch = pair.bob.session.decrypt(&text).unwrap().batch().unwrap();
    let connection = traced(&pair.path());
    let folder = pair.folder.path().to_owned();
    let ((), copies) = run(record(&folder, async { write_in_pieces(&connection, &batch) }));
    assert!(copies.iter().any(|(_, found)| *found == Found::Torn), "{copies:?}");
}
