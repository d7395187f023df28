// SPDX-License-Identifier: MIT OR Apache-2.0
//! The application's own tables in the store's transactions.

use super::backend::{Backend, Blocking, run};
use super::crash::{Found, ONE_AT_A_TIME, record, traced};
use super::kill::{KILLS, LIMIT, MESSAGES, given, killed, mail, message_path, report, start};
use super::party::{self, Pair, database, pair, save};
use noescrow::durable::{Batch, CommitError};
use noescrow_sqlite::rusqlite::{self, Transaction};
use noescrow_sqlite::{Error, InboxMessage, Options, SideFile, SqliteStore};
use rand_chacha::rand_core::Rng;
use std::fs;
use std::process;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

both!(
    a_crash_at_any_statement_takes_a_message_out_once,
    a_crash_at_any_statement_saves_both_parts_or_none,
    a_part_waits_for_the_commit_to_which_it_belongs,
    a_part_that_fails_rolls_back_the_step,
    a_part_runs_again_with_the_step_that_is_repeated,
    a_part_that_is_cancelled_does_not_run,
    a_message_that_is_not_taken_stays_in_the_inbox,
);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS own (id BLOB PRIMARY KEY, text BLOB) STRICT";

/// A pair whose store is recorded, with a table of the application's.
async fn recorded<S: Backend>() -> Pair<S> {
    let folder = tempfile::tempdir().unwrap();
    let witness = SideFile::new(folder.path().join("bob.db-witness"));
    let connection = traced(&database(folder.path()));
    let mut store = Options::new().witness(witness).open_connection(connection).unwrap();
    store.tables(TABLE).unwrap();
    party::pair_on(S::of(store), folder).await
}

async fn with_table<S: Backend>() -> Pair<S> {
    let mut pair = pair::<S>().await;
    pair.store.transact(|transaction| transaction.execute_batch(TABLE)).await.unwrap();
    pair
}

/// Ids and texts of the application's table.
async fn own<S: Backend>(store: &mut S) -> Vec<(Vec<u8>, Vec<u8>)> {
    let read = |transaction: &Transaction<'_>| {
        let mut query = transaction.prepare("SELECT id, text FROM own")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    store.transact(read).await.unwrap()
}

/// Keeps a text with the message that the step seals.
fn keep(text: &'static [u8]) -> impl FnMut(&Transaction<'_>, &Batch) -> rusqlite::Result<bool> + Send {
    move |transaction, batch| {
        let Some(sent) = batch.sent.as_ref().filter(|sent| !sent.is_control) else { return Ok(false) };
        transaction.execute("INSERT INTO own VALUES (?1, ?2)", (sent.message_id, text))?;
        Ok(true)
    }
}

/// Asserts that every copy is the state before or the state after, and returns whether there are both.
fn is_atomic(copies: &[(String, Found)]) -> bool {
    let found: Vec<_> = copies.iter().map(|(_, found)| *found).collect();
    assert!(!found.contains(&Found::Torn), "{copies:?}");
    found.first() == Some(&Found::Before) && found.last() == Some(&Found::After)
}

#[expect(clippy::await_holding_lock, reason = "each test has a runtime and a thread of its own")]
async fn a_crash_at_any_statement_takes_a_message_out_once<S: Backend>() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pair = recorded::<S>().await;
    let folder = pair.folder.path().to_owned();
    let id = pair.store.inbox().await.unwrap()[0].message_id;
    let take = pair.store.take_into(&id, |transaction, message| {
        let row = (message.message_id, &message.plaintext[..]);
        transaction.execute("INSERT INTO own VALUES (?1, ?2)", row).map(drop)
    });
    let (taken, copies) = record(&folder, take).await;
    assert!(taken.unwrap() && is_atomic(&copies));
    assert_eq!(own(&mut pair.store).await, [(id.to_vec(), b"hello".to_vec())]);
    assert!(pair.store.inbox().await.unwrap().is_empty());
    // A second time it is not there, and nothing is kept.
    assert!(!pair.store.take_into(&id, |_, _| panic!("nothing to keep")).await.unwrap());
    // What is acknowledged is in the outbox or in the log, and in one of them.
    let id = pair.store.outbox().await.unwrap()[0].message_id;
    let (_, copies) = record(&folder, pair.store.acknowledge(&id)).await;
    assert!(is_atomic(&copies));
    // Control: in two transactions, there is a copy with the message in both places.
    let text = pair.seal_as_alice(b"text");
    pair.receive(&text).await;
    let message = pair.store.inbox().await.unwrap().remove(0);
    let id = message.message_id;
    let ((), copies) = record(&folder, async {
        let row = (id, message.plaintext.to_vec());
        let keep = move |transaction: &Transaction<'_>| transaction.execute("INSERT INTO own VALUES (?1, ?2)", row);
        pair.store.transact(keep).await.unwrap();
        pair.store.remove(&id).await;
    })
    .await;
    assert!(copies.iter().any(|(_, found)| *found == Found::Torn));
}

#[expect(clippy::await_holding_lock, reason = "each test has a runtime and a thread of its own")]
async fn a_crash_at_any_statement_saves_both_parts_or_none<S: Backend>() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pair = recorded::<S>().await;
    let folder = pair.folder.path().to_owned();
    pair.store.with_next(keep(b"a key")).await;
    let (_, copies) = record(&folder, pair.send(b"an attachment")).await;
    assert!(is_atomic(&copies));
    let id = pair.store.outbox().await.unwrap()[1].message_id;
    assert_eq!(own(&mut pair.store).await, [(id.to_vec(), b"a key".to_vec())]);
    // It has run once: the next step is the step alone.
    pair.send(b"text").await;
    assert_eq!(own(&mut pair.store).await.len(), 1);
    // Control: in two transactions, there is a copy with one part alone.
    let ((), copies) = record(&folder, async {
        let keep = |transaction: &Transaction<'_>| transaction.execute("INSERT INTO own VALUES (x'01', x'02')", []);
        pair.store.transact(keep).await.unwrap();
        pair.send(b"another").await;
    })
    .await;
    assert!(copies.iter().any(|(_, found)| *found == Found::Torn));
}

async fn a_part_waits_for_the_commit_to_which_it_belongs<S: Backend>() {
    let mut pair = with_table::<S>().await;
    pair.store.with_next(keep(b"a key")).await;
    // Neither a message that is opened nor a control message is the one.
    let text = pair.seal_as_alice(b"text");
    pair.receive(&text).await;
    save(pair.bob.session.encrypt_control(b"probe", &mut pair.rng).unwrap(), &mut pair.store).await;
    assert!(own(&mut pair.store).await.is_empty());
    // Control: the next text is.
    pair.send(b"an attachment").await;
    assert_eq!(own(&mut pair.store).await.len(), 1);
}

async fn a_part_that_fails_rolls_back_the_step<S: Backend>() {
    let mut pair = with_table::<S>().await;
    let outbox = pair.store.outbox().await.unwrap().len();
    let mut fails = true;
    let mut keep = keep(b"a key");
    let part = move |transaction: &Transaction<'_>, batch: &Batch| {
        keep(transaction, batch)?;
        if std::mem::take(&mut fails) { Err(rusqlite::Error::InvalidQuery) } else { Ok(true) }
    };
    pair.store.with_next(part).await;
    let failed =
        pair.bob.session.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.store).await.unwrap_err();
    assert!(matches!(failed.error, CommitError::NotCommitted(Error::Sqlite(_))), "{failed:?}");
    assert!(own(&mut pair.store).await.is_empty() && pair.store.outbox().await.unwrap().len() == outbox);
    // Control: saved again, it runs again, and both are there once.
    pair.bob.session.unsaved().unwrap().save_async(&mut pair.store).await.unwrap();
    assert_eq!((own(&mut pair.store).await.len(), pair.store.outbox().await.unwrap().len()), (1, outbox + 1));
}

async fn a_part_runs_again_with_the_step_that_is_repeated<S: Backend>() {
    let mut pair = with_table::<S>().await;
    pair.store.with_next(keep(b"a key")).await;
    // Another process is faster.
    let mut other = S::open(&pair.path(), Options::new()).await.unwrap();
    let mut theirs = party::load(&mut other, &mut pair.rng).await;
    save(theirs.session.encrypt(b"theirs", &mut pair.rng).unwrap(), &mut other).await;
    let failed =
        pair.bob.session.encrypt(b"ours", &mut pair.rng).unwrap().save_async(&mut pair.store).await.unwrap_err();
    assert_eq!(format!("{:?}", failed.error), "Stale");
    assert!(own(&mut pair.store).await.is_empty());
    pair.bob = party::load(&mut pair.store, &mut pair.rng).await;
    let sent = pair.send(b"ours").await;
    assert_eq!(own(&mut pair.store).await[0].0, noescrow_sqlite::message_id(&sent));
    // Control: once.
    pair.send(b"text").await;
    assert_eq!(own(&mut pair.store).await.len(), 1);
}

async fn a_part_that_is_cancelled_does_not_run<S: Backend>() {
    let mut pair = with_table::<S>().await;
    pair.store.with_next(keep(b"a key")).await;
    pair.store.cancel_next().await;
    pair.send(b"text").await;
    assert!(own(&mut pair.store).await.is_empty());
    // Control: another one, set in its place, runs.
    pair.store.with_next(keep(b"first")).await;
    pair.store.with_next(keep(b"second")).await;
    pair.send(b"text").await;
    assert_eq!(own(&mut pair.store).await.iter().map(|row| &row.1[..]).collect::<Vec<_>>(), [b"second"]);
}

async fn a_message_that_is_not_taken_stays_in_the_inbox<S: Backend>() {
    let mut pair = with_table::<S>().await;
    let id = pair.store.inbox().await.unwrap()[0].message_id;
    let failed = pair.store.take_into(&id, |transaction, message| {
        transaction.execute("INSERT INTO own VALUES (?1, x'')", [message.message_id])?;
        Err(rusqlite::Error::InvalidQuery)
    });
    assert!(matches!(failed.await, Err(Error::Sqlite(_))));
    assert!(own(&mut pair.store).await.is_empty());
    assert_eq!(pair.inbox().await, [b"hello"]);
    // Control: without the error it is taken.
    assert!(pair.store.take_into(&id, |_, _| Ok(())).await.unwrap());
    assert!(pair.inbox().await.is_empty());
}

/// Opens messages in order and takes each out of the inbox into the application's table: in one transaction or, as a
/// faulty application, in two.
#[test]
#[ignore = "a process of another test"]
fn child_takes() {
    let (folder, argument) = given();
    let (is_faulty, first) = match argument.strip_prefix("faulty ") {
        Some(first) => (true, first.parse::<usize>().unwrap()),
        None => (false, argument.parse().unwrap()),
    };
    let mut store = Blocking(SqliteStore::open(database(&folder)).unwrap());
    store.0.tables(TEXTS).unwrap();
    let mut bob = run(party::load(&mut store, &mut party::rng(first as u64)));
    let insert =
        |transaction: &Transaction<'_>, text: &[u8]| transaction.execute("INSERT INTO texts VALUES (?1)", [text]);
    for number in first..MESSAGES {
        let message = fs::read(message_path(&folder, number)).unwrap();
        if let Ok(unsaved) = bob.session.decrypt(&message) {
            unsaved.save(&mut store.0).unwrap();
        }
        for message in store.0.inbox(usize::MAX).unwrap() {
            if is_faulty {
                store.0.transact(|transaction| insert(transaction, &message.plaintext)).unwrap();
                if number > first {
                    process::abort();
                }
                store.0.take(&message.message_id).unwrap();
            } else {
                let keep = |transaction: &Transaction<'_>, message: &InboxMessage| {
                    insert(transaction, &message.plaintext).map(drop)
                };
                assert!(store.0.take_into(&message.message_id, keep).unwrap());
            }
        }
        report(&format!("saved {number}"));
    }
}

const TEXTS: &str = "CREATE TABLE IF NOT EXISTS texts (text BLOB) STRICT";
const TAKES: &str = "own_tables::child_takes";

/// The texts that the application has, and those that are in the inbox still.
fn all_texts(path: &std::path::Path) -> Vec<Vec<u8>> {
    let mut store = SqliteStore::open(path).unwrap();
    let read = |transaction: &Transaction<'_>| {
        let mut query = transaction.prepare("SELECT text FROM texts ORDER BY rowid")?;
        query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    let mut texts = store.transact(read).unwrap();
    texts.extend(store.inbox(usize::MAX).unwrap().iter().map(|message| message.plaintext.to_vec()));
    texts
}

#[test]
fn a_killed_process_has_taken_each_message_once() {
    let mut pair = run(pair::<Blocking>());
    mail(&mut pair);
    let closed = run(pair.closed());
    let (started, mut random, mut next, mut kills) = (Instant::now(), party::rng(8), 0, 0);
    while kills < KILLS && started.elapsed() < LIMIT && next + 10 < MESSAGES {
        let (reports, wait) = (random.next_u64() % 8, Duration::from_micros(random.next_u64() % 4_000));
        next = killed(TAKES, closed.folder.path(), &next.to_string(), next, reports as usize, wait);
        kills += 1;
    }
    let texts = all_texts(&closed.path());
    let expected: Vec<_> = (0..texts.len() - 1).map(|number: usize| number.to_be_bytes().to_vec()).collect();
    assert_eq!((&texts[0][..], &texts[1..]), (&b"hello"[..], &expected[..]));
    assert!((next..=next + 1).contains(&expected.len()) && next > 0 && kills >= 5, "{next} in {kills} kills");
    // Control: an application that takes it in two transactions has a text twice.
    let mut pair = run(super::party::pair::<Blocking>());
    mail(&mut pair);
    let closed = run(pair.closed());
    assert!(!start(TAKES, closed.folder.path(), "faulty 0").wait_with_output().unwrap().status.success());
    let texts = all_texts(&closed.path());
    assert!(texts.iter().any(|text| texts.iter().filter(|other| *other == text).count() == 2), "{texts:?}");
}

#[test]
fn tables_are_made_once_and_need_no_other_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(database(folder.path())).unwrap();
    store.tables(TABLE).unwrap();
    store.tables(TABLE).unwrap();
    let insert = |transaction: &Transaction<'_>| transaction.execute("INSERT INTO own VALUES (x'01', x'02')", []);
    assert_eq!(store.transact(insert).unwrap(), 1);
    // Control: SQL that fails in the middle changes nothing.
    assert!(store.tables("DELETE FROM own; CREATE TABLE own (id)").is_err());
    let count = |transaction: &Transaction<'_>| transaction.query_row("SELECT count(*) FROM own", [], |row| row.get(0));
    assert_eq!(store.transact::<i64>(count).unwrap(), 1);
}
