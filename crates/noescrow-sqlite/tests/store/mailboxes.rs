// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mailboxes keep what a message is, and which messages were sent; readings see one moment; locks exclude.

use super::backend::{Backend, Blocking, run};
use super::kill::{given, report, start};
use super::party::{self, NOW, database, pair, rng, save};
use super::steps::{greet, greet_again, party};
use noescrow::UnixSeconds;
use noescrow::durable::{CommitError, Mailboxes, RowName, SENT_ID_KEPT, Store};
use noescrow::messenger::{Control, OpenError, PeerId, Refusal};
use noescrow_sqlite::rusqlite::Connection;
use noescrow_sqlite::{Error, Options, SqliteStore, message_id};
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

both!(
    a_lock_excludes_others_until_it_is_dropped,
    the_id_of_a_sent_message_is_kept_thirty_days,
    a_position_in_the_outbox_is_given_once,
    the_revision_is_that_of_the_core_row,
    what_a_message_is_survives_a_restart,
    a_receipt_is_in_the_inbox_until_it_is_taken,
    a_messengers_session_is_not_forgotten_alone,
    merging_keeps_the_ids_of_the_peers_own_ended_sessions,
);

async fn the_id_of_a_sent_message_is_kept_thirty_days<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let time = Arc::new(AtomicU64::new(NOW.0));
    let clock = Arc::clone(&time);
    let options = Options::new().clock(move || UnixSeconds(clock.load(Ordering::Relaxed)));
    let store = S::open(&database(folder.path()), options).await.unwrap();
    let mut pair = party::pair_on(store, folder).await;
    let [one, two, three] = [pair.send(b"one").await, pair.send(b"two").await, pair.send(b"three").await]
        .map(|message| message_id(&message));
    // Before it is acknowledged, the outbox has it.
    assert!(pair.store.was_sealed(&one).await);
    assert!(pair.store.acknowledge(&one).await && !pair.store.acknowledge(&one).await);
    for (later, is_known) in [(SENT_ID_KEPT.as_secs(), true), (1, false)] {
        time.fetch_add(later, Ordering::Relaxed);
        // Ids that have expired are removed when another one is entered.
        let next = if is_known { &two } else { &three };
        assert!(pair.store.acknowledge(next).await);
        assert_eq!(pair.store.was_sealed(&one).await, is_known);
        // Control: the newest is known in either case.
        assert!(pair.store.was_sealed(next).await);
    }
    // Control: a message that nobody has sealed.
    assert!(!pair.store.was_sealed(&message_id(b"none")).await);
}

async fn a_position_in_the_outbox_is_given_once<S: Backend>() {
    let mut pair = pair::<S>().await;
    pair.send(b"one").await;
    let outbox = pair.store.outbox().await.unwrap();
    let last = outbox.last().unwrap();
    assert!(pair.store.outbox_after(last.position).await.is_empty());
    assert!(pair.store.acknowledge(&last.message_id).await);
    // What SQLite would give next is what was given.
    let connection = Connection::open(pair.path()).unwrap();
    let sql = "SELECT max(position) FROM noescrow_outbox";
    let newest: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let two = pair.send(b"two").await;
    let after = pair.store.outbox_after(last.position).await;
    assert_eq!(after.iter().map(|sent| &sent.message).collect::<Vec<_>>(), [&two]);
    // Control: a place after the newest that is there would not be after the one that was acknowledged.
    assert!(newest < i64::try_from(last.position).unwrap() && after[0].position > last.position);
}

async fn the_revision_is_that_of_the_core_row<S: Backend>() {
    let mut pair = pair::<S>().await;
    let subject = pair.bob.session.subject();
    let rows = pair.store.load(&subject).await.unwrap();
    let core = rows.iter().find(|row| row.name == RowName::CORE).unwrap();
    let revision = pair.store.revision(&subject).await.unwrap();
    assert!(revision.is_some());
    assert_eq!(revision, core.revision());
    assert_eq!(revision.unwrap().generation, pair.bob.session.generation());
    // Controls: a step changes it, and a subject that is not there has none.
    pair.send(b"one").await;
    assert_ne!(pair.store.revision(&subject).await.unwrap(), revision);
    let other = super::party::pair::<S>().await.bob.session.subject();
    assert!(pair.store.forget(&subject).await.unwrap());
    assert_eq!(pair.store.revision(&subject).await.unwrap(), None);
    assert_ne!(pair.bob.device.subject(), other);
}

#[test]
fn a_reading_sees_one_moment_whatever_others_commit() {
    let mut pair = run(pair::<Blocking>());
    let mut reader = SqliteStore::open(pair.path()).unwrap();
    let subjects = [pair.bob.device.subject(), pair.bob.session.subject()];
    let read = |reader: &mut SqliteStore| subjects.map(|subject| reader.revision(&subject).unwrap());
    let before = read(&mut reader);
    let mut send = || run(pair.send(b"meanwhile"));
    let seen = reader.reading(|reader| {
        let first = reader.revision(&subjects[0]).unwrap();
        send();
        // A reading within a reading is the same one.
        [first, reader.reading(|reader| reader.revision(&subjects[1]).unwrap()).unwrap()]
    });
    assert_eq!(seen.unwrap(), before);
    // Control: without it, the second read sees the other store's commit.
    let after = read(&mut reader);
    assert!(after[0] == before[0] && after[1] != before[1]);
    // A commit within it writes nothing; afterwards the store commits as before.
    let mut bob = run(party::load(&mut Blocking(SqliteStore::open(pair.path()).unwrap()), &mut pair.rng));
    let mut step = Some(bob.session.encrypt(b"late", &mut pair.rng).unwrap());
    let failed = reader.reading(|reader| step.take().unwrap().save(reader).unwrap_err()).unwrap();
    assert!(matches!(failed.error, CommitError::NotCommitted(Error::Sqlite(_))), "{failed:?}");
    failed.unsaved.save(&mut reader).unwrap();
}

async fn what_a_message_is_survives_a_restart<S: Backend>() {
    let rng = &mut rng(3);
    let (mut alice, mut bob) = (party::<S>(rng).await, party::<S>(rng).await);
    let of_alice = greet(&mut alice, &mut bob, b"hello", rng).await;
    let of_bob = alice.messenger.peers().next().unwrap().id;
    let loaded = alice.messenger.route_to(&of_bob).unwrap().load_async(&mut alice.store).await.unwrap();
    let second = save(alice.messenger.seal(&of_bob, b"2", loaded, NOW, rng).unwrap(), &mut alice.store).await.message;
    let loaded = bob.messenger.route(&second, NOW).unwrap().load_async(&mut bob.store).await.unwrap();
    save(bob.messenger.open(&second, loaded, NOW).unwrap(), &mut bob.store).await;
    // The process ends before anything is shown.
    let (store, folder) = (bob.store, bob.folder);
    store.close().await;
    let mut store = S::open(&database(folder.path()), Options::new()).await.unwrap();
    let inbox = store.inbox().await.unwrap();
    assert_eq!(inbox[0].peer.as_ref().and_then(PeerId::from_subject), Some(of_alice));
    assert!(inbox[0].flags.is_new_session && inbox[0].flags.is_new_identity);
    // Controls: the second message is none of both; and what the column does not have, the inbox does not say.
    assert!(!inbox[1].flags.is_new_session && !inbox[1].flags.is_new_identity);
    let connection = Connection::open(database(folder.path())).unwrap();
    connection.execute("UPDATE noescrow_inbox SET flags = 0", []).unwrap();
    assert!(!store.inbox().await.unwrap()[0].flags.is_new_session);
    // What no release writes is an error.
    connection.execute("UPDATE noescrow_inbox SET flags = 1 << 30", []).unwrap();
    assert!(matches!(store.inbox().await, Err(Error::Damaged("flags"))));
}

async fn a_receipt_is_in_the_inbox_until_it_is_taken<S: Backend>() {
    let rng = &mut rng(3);
    let (mut alice, mut bob) = (party::<S>(rng).await, party::<S>(rng).await);
    let of_alice = greet(&mut alice, &mut bob, b"hello", rng).await;
    let of_bob = alice.messenger.peers().next().unwrap().id;
    // Bob answers, so that Alice has a session with a chain, and does not open her next text.
    let loaded = bob.messenger.route_to(&of_alice).unwrap().load_async(&mut bob.store).await.unwrap();
    let reply = save(bob.messenger.seal(&of_alice, b"hi", loaded, NOW, rng).unwrap(), &mut bob.store).await.message;
    let loaded = alice.messenger.route(&reply, NOW).unwrap().load_async(&mut alice.store).await.unwrap();
    save(alice.messenger.open(&reply, loaded, NOW).unwrap(), &mut alice.store).await;
    let loaded = alice.messenger.route_to(&of_bob).unwrap().load_async(&mut alice.store).await.unwrap();
    let payload = noescrow::Payload { plaintext: b"text", associated_data: b"other", ..Default::default() };
    let text = save(alice.messenger.seal(&of_bob, payload, loaded, NOW, rng).unwrap(), &mut alice.store).await;
    let loaded = bob.messenger.route(&text.message, NOW).unwrap().load_async(&mut bob.store).await.unwrap();
    let Err(OpenError::Refused(refused)) = bob.messenger.open(&text.message, loaded, NOW) else { panic!("opened") };
    let loaded = bob.messenger.route_to(&of_alice).unwrap().load_async(&mut bob.store).await.unwrap();
    let step = bob.messenger.seal_receipt(&refused, loaded, NOW, rng).unwrap();
    let receipt = save(step, &mut bob.store).await.message;
    let controls: Vec<_> = bob.store.outbox().await.unwrap().iter().map(|sent| sent.is_control).collect();
    assert_eq!(controls, [false, true]);
    let loaded = alice.messenger.route(&receipt, NOW).unwrap().load_async(&mut alice.store).await.unwrap();
    save(alice.messenger.open(&receipt, loaded, NOW).unwrap(), &mut alice.store).await;
    let (store, folder) = (alice.store, alice.folder);
    store.close().await;
    let mut store = S::open(&database(folder.path()), Options::new()).await.unwrap();
    let inbox = store.inbox().await.unwrap();
    let Some(Control::Receipt(of)) = inbox[1].control else { panic!("{inbox:?}") };
    assert_eq!((of.reason, of.message_id), (Refusal::Body, text.message_id));
    assert!(inbox[1].is_control && inbox[1].plaintext.is_empty());
    assert!(store.remove(&inbox[1].message_id).await);
    // Control: the text before it is none, and stays.
    let inbox = store.inbox().await.unwrap();
    assert_eq!((inbox.len(), inbox[0].control, &inbox[0].plaintext[..]), (1, None, &b"hi"[..]));
}

async fn a_messengers_session_is_not_forgotten_alone<S: Backend>() {
    let rng = &mut rng(5);
    let (mut alice, mut bob) = (party::<S>(rng).await, party::<S>(rng).await);
    let peer = greet(&mut alice, &mut bob, b"hello", rng).await;
    let subjects = bob.store.subjects().await.unwrap();
    let session = *subjects.iter().find(|subject| subject.session_id().is_some()).unwrap();
    let refused = bob.store.forget(&session).await.unwrap_err();
    assert!(matches!(refused, Error::OfMessenger), "{refused:?}");
    let loaded = bob.messenger.route_to(&peer).unwrap().load_async(&mut bob.store).await.unwrap();
    save(bob.messenger.seal(&peer, b"whole", loaded, NOW, rng).unwrap(), &mut bob.store).await;
    // Controls: a session without a messenger is forgotten; without its row, the messenger's peer cannot be written to.
    let mut pair = pair::<S>().await;
    assert!(pair.store.forget(&pair.bob.session.subject()).await.unwrap());
    let connection = Connection::open(database(bob.folder.path())).unwrap();
    connection.execute("DELETE FROM noescrow_row WHERE subject = ?1", [session.to_bytes()]).unwrap();
    let loaded = bob.messenger.route_to(&peer).unwrap().load_async(&mut bob.store).await.unwrap();
    assert!(bob.messenger.seal(&peer, b"wedged", loaded, NOW, rng).is_err());
}

/// A peer with as many sessions as are kept, and a stranger of another identity: the merge ends sessions of the peer's.
async fn merging_keeps_the_ids_of_the_peers_own_ended_sessions<S: Backend>() {
    let rng = &mut rng(4);
    let mut bob = party::<S>(rng).await;
    let (mut old, mut new) = (party::<S>(rng).await, party::<S>(rng).await);
    let mut of_old = Vec::new();
    // A peer begins few sessions an hour.
    let hour = |number: u64| UnixSeconds(NOW.0 + number * 3_600);
    for number in 0..5 {
        of_old.push(greet_again(&mut old, &mut bob, hour(number), rng).await);
    }
    let peer = of_old[0].0;
    let mut stranger = None;
    for number in 5..8 {
        stranger = Some(greet_again(&mut new, &mut bob, hour(number), rng).await.0);
    }
    assert_ne!(stranger, Some(peer));
    let sessions =
        |subjects: &[noescrow::durable::Subject]| subjects.iter().filter(|of| of.session_id().is_some()).count();
    let before = sessions(&bob.store.subjects().await.unwrap());
    let identity = *new.messenger.identity();
    save(bob.messenger.name_peer(&peer, b"friend", hour(8)).unwrap(), &mut bob.store).await;
    save(bob.messenger.claim_identity(&peer, &identity, hour(8)).unwrap(), &mut bob.store).await;
    save(bob.messenger.accept_identity(&peer, &identity, hour(8)).unwrap(), &mut bob.store).await;
    // Sessions have ended in this step.
    assert!(sessions(&bob.store.subjects().await.unwrap()) < before);
    for (_, message) in &of_old {
        assert!(bob.store.opened_at(message).await.is_some());
    }
    // Control: what a peer that is forgotten has sent is not known.
    save(bob.messenger.forget(&peer, hour(8)).unwrap(), &mut bob.store).await;
    for (_, message) in &of_old {
        assert!(bob.store.opened_at(message).await.is_none());
    }
}

/// Whether the lock is free, asked by somebody else.
fn is_free(folder: &std::path::Path, name: &str) -> bool {
    let file = File::open(folder.join(format!("bob.db-{name}.lock"))).unwrap();
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn a_lock_excludes_others_until_it_is_dropped<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = S::open(&database(folder.path()), Options::new()).await.unwrap();
    let held = store.exclusively("login").await.unwrap();
    assert!(!is_free(folder.path(), "login"));
    // Control: another name is another lock.
    drop(store.exclusively("other").await.unwrap());
    assert!(is_free(folder.path(), "other"));
    drop(held);
    assert!(is_free(folder.path(), "login"));
    // A name that is a path is refused; a database in memory has one process.
    for name in ["", "../login", "a b"] {
        assert!(matches!(store.exclusively(name).await, Err(Error::Lock(_))));
    }
    let mut memory = S::of(Options::new().open_connection(Connection::open_in_memory().unwrap()).unwrap());
    assert!(format!("{:?}", memory.exclusively("login").await.unwrap()).contains("false"));
    // A connection that the application has opened has the same lock.
    let given = Connection::open(database(folder.path())).unwrap();
    let mut given = S::of(Options::new().open_connection(given).unwrap());
    let _held = given.exclusively("login").await.unwrap();
    assert!(!is_free(folder.path(), "login"));
}

#[test]
#[ignore = "a process of another test"]
fn child_locks() {
    let mut store = SqliteStore::open(database(&given().0)).unwrap();
    let _held = store.exclusively("login").unwrap();
    report("locked");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn a_process_that_is_killed_releases_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(database(folder.path())).unwrap();
    let mut child = start("mailboxes::child_locks", folder.path(), "");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "locked");
    // Control: it had it.
    assert!(!is_free(folder.path(), "login"));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(store.exclusively("login").unwrap());
}
