// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step and its message are one transaction; the log of ids answers duplicates.

use super::backend::Backend;
use super::party::{self, NOW, key, pair, save, texts};
use noescrow::durable::{CommitError, Durable, RowName};
use noescrow::messenger::{Messenger, PeerId};
use noescrow::{Bundle, Device, UnixSeconds};
use noescrow_sqlite::rusqlite::Transaction;
use noescrow_sqlite::{Error, MESSAGE_ID_KEPT, Options, PeerData, message_id, rusqlite};
use rand_chacha::ChaCha20Rng;
use tempfile::TempDir;

both!(
    what_a_messenger_forgets_leaves_no_row_and_no_message,
    the_store_forgets_no_peer_and_no_messenger_by_itself,
    the_mail_and_the_data_of_a_merged_peer_are_kept,
    a_step_and_its_message_survive_a_restart_together,
    the_outbox_has_the_same_bytes_until_they_are_acknowledged,
    a_duplicate_is_answered_for_thirty_days,
    a_message_that_the_log_has_is_not_saved_again,
    only_rows_that_changed_are_written,
    debug_output_shows_no_plaintext_and_no_id,
);

async fn a_step_and_its_message_survive_a_restart_together<S: Backend>() {
    let mut pair = pair::<S>().await;
    let message = pair.seal_as_alice(b"one");
    assert_eq!(pair.receive(&message).await, b"one");
    let (generation, author) = (pair.bob.session.generation(), *pair.alice_device.identity());
    let mut pair = pair.closed().await.open::<S>().await;
    assert_eq!(pair.bob.session.generation(), generation);
    let inbox = pair.store.inbox().await.unwrap();
    assert_eq!(inbox.len(), 2);
    let last = &inbox[1];
    assert_eq!((&last.plaintext[..], last.message_id), (&b"one"[..], message_id(&message)));
    assert_eq!((last.session, last.author, last.is_control), (pair.bob.session.subject(), Some(author), false));
    assert!(pair.bob.session.decrypt(&message).is_err(), "the state is past it");
    assert!(pair.store.remove(&last.message_id).await && !pair.store.remove(&last.message_id).await);
    assert_eq!(pair.inbox().await, [b"hello"]);
    // Control: a step that is not saved leaves neither.
    let message = pair.seal_as_alice(b"two");
    drop(pair.bob.session.decrypt(&message).unwrap());
    let mut pair = pair.closed().await.open::<S>().await;
    assert_eq!(pair.inbox().await, [b"hello"]);
    assert_eq!(pair.receive(&message).await, b"two");
}

async fn the_outbox_has_the_same_bytes_until_they_are_acknowledged<S: Backend>() {
    let mut pair = pair::<S>().await;
    let messages = [pair.send(b"one").await, pair.send(b"two").await];
    let mut pair = pair.closed().await.open::<S>().await;
    let outbox = pair.store.outbox().await.unwrap();
    // The first is the answer to the first message.
    assert_eq!(outbox[1..].iter().map(|sent| &sent.message).collect::<Vec<_>>(), messages.iter().collect::<Vec<_>>());
    assert!(pair.store.acknowledge(&message_id(&messages[0])).await);
    assert!(!pair.store.acknowledge(&message_id(&messages[0])).await);
    let mut pair = pair.closed().await.open::<S>().await;
    let outbox = pair.store.outbox().await.unwrap();
    assert_eq!((outbox.len(), &outbox[1].message), (2, &messages[1]));
    // Control: the peer opens each once.
    assert_eq!(pair.alice.decrypt(&outbox[1].message).unwrap().plaintext, b"two");
    assert!(pair.alice.decrypt(&messages[1]).is_err());
}

const fn at_first() -> UnixSeconds {
    NOW
}

const fn on_the_last_day() -> UnixSeconds {
    UnixSeconds(NOW.0 + MESSAGE_ID_KEPT.as_secs())
}

const fn after_it() -> UnixSeconds {
    UnixSeconds(on_the_last_day().0 + 1)
}

async fn a_duplicate_is_answered_for_thirty_days<S: Backend>() {
    let folder = tempfile::tempdir().unwrap();
    let path = party::database(folder.path());
    let store = S::open(&path, Options::new().clock(at_first)).await.unwrap();
    let mut pair = party::pair_on(store, folder).await;
    let message = pair.seal_as_alice(b"one");
    assert_eq!(pair.store.opened_at(&message).await, None);
    pair.receive(&message).await;
    assert!(pair.bob.session.decrypt(&message).is_err());
    assert_eq!(pair.store.opened_at(&message).await, Some(NOW));
    // Its place in the inbox does not matter.
    assert!(pair.store.remove(&message_id(&message)).await);
    for (clock, answer) in [(on_the_last_day as fn() -> UnixSeconds, Some(NOW)), (after_it, None)] {
        let mut store = S::open(&path, Options::new().clock(clock)).await.unwrap();
        let next = pair.seal_as_alice(b"next");
        let mut bob = party::load(&mut store, &mut pair.rng).await;
        save(bob.session.decrypt(&next).unwrap(), &mut store).await;
        assert_eq!(store.opened_at(&message).await, answer);
        // Control: the newest is there in either case.
        assert_eq!(store.opened_at(&next).await, Some(clock()));
    }
}

async fn a_message_that_the_log_has_is_not_saved_again<S: Backend>() {
    let mut pair = pair::<S>().await;
    let subject = pair.bob.session.subject();
    let before = pair.store.load(&subject).await.unwrap();
    let message = pair.seal_as_alice(b"one");
    pair.receive(&message).await;
    // Somebody puts back the rows of one session.
    let other = rusqlite::Connection::open(pair.path()).unwrap();
    other.execute("DELETE FROM noescrow_row WHERE subject = ?1", [subject.to_bytes()]).unwrap();
    for row in &before {
        let values = (subject.to_bytes(), row.name.as_bytes(), &row.sealed[..]);
        other.execute("INSERT INTO noescrow_row (subject, name, sealed) VALUES (?1, ?2, ?3)", values).unwrap();
    }
    let mut session =
        Durable::<noescrow::Session>::load_async(&mut pair.store, &key(), &subject, 0, &mut pair.rng).await.unwrap();
    let failed = session.decrypt(&message).unwrap().save_async(&mut pair.store).await.unwrap_err();
    assert!(matches!(failed.error, CommitError::NotCommitted(Error::OpenedBefore)), "{failed:?}");
    assert_eq!(texts(&mut pair.store).await, [&b"hello"[..], b"one"]);
    // Control: without the log it would be in the inbox for a second time.
    other.execute("DELETE FROM noescrow_message_id", []).unwrap();
    other.execute("DELETE FROM noescrow_inbox", []).unwrap();
    save(failed.unsaved, &mut pair.store).await;
    assert_eq!(texts(&mut pair.store).await, [b"one"]);
}

async fn only_rows_that_changed_are_written<S: Backend>() {
    let mut pair = pair::<S>().await;
    let messages: Vec<_> = (0..70).map(|_| pair.seal_as_alice(b"text")).collect();
    // Two rows of skipped keys besides the core.
    pair.receive(&messages[69]).await;
    let subject = pair.bob.session.subject();
    let before = pair.store.load(&subject).await.unwrap();
    assert!(before.len() > 3);
    pair.receive(&messages[0]).await;
    let after = pair.store.load(&subject).await.unwrap();
    let changed: Vec<_> = before.iter().filter(|row| !after.contains(row)).map(|row| row.name).collect();
    assert!(changed.contains(&RowName::CORE) && changed.len() < before.len(), "{changed:?}");
    // Control: when the last key of a row is used, its row is deleted.
    for message in &messages[1..69] {
        pair.receive(message).await;
    }
    assert!(pair.store.load(&subject).await.unwrap().len() < before.len());
    let mut pair = pair.closed().await.open::<S>().await;
    assert_eq!(pair.send(b"text").await.len(), pair.send(b"text").await.len());
}

async fn debug_output_shows_no_plaintext_and_no_id<S: Backend>() {
    let mut pair = pair::<S>().await;
    let (received, sent) = (pair.store.inbox().await.unwrap(), pair.store.outbox().await.unwrap());
    let output = format!("{received:?} {sent:?} {:?}", Options::new());
    // Bytes in sequence, as a derived output has them.
    let shows = |output: &str, bytes: &[u8]| output.contains(format!("{bytes:?}").trim_matches(['[', ']']));
    for secret in [&received[0].plaintext[..], &received[0].message_id, &sent[0].message, &sent[0].message_id] {
        assert!(!shows(&output, secret), "{output}");
        // Control: the bytes' own output shows them.
        assert!(shows(&format!("{:?}", Some(secret)), secret));
    }
    assert!(output.contains("plaintext_len: 5"), "{output}");
}

/// A messenger in a database.
pub struct Party<S> {
    pub messenger: Messenger,
    pub store: S,
    pub folder: TempDir,
}

pub async fn party<S: Backend>(rng: &mut ChaCha20Rng) -> Party<S> {
    let folder = tempfile::tempdir().unwrap();
    let store = S::open(&party::database(folder.path()), Options::new()).await.unwrap();
    party_on(store, folder, Device::generate(NOW, rng), rng).await
}

pub async fn party_on<S: Backend>(mut store: S, folder: TempDir, device: Device, rng: &mut ChaCha20Rng) -> Party<S> {
    let messenger = save(Messenger::new(device, &key(), rng), &mut store).await;
    Party { messenger, store, folder }
}

/// Sends a first message, and opens it.
pub async fn greet<S: Backend>(from: &mut Party<S>, to: &mut Party<S>, text: &[u8], rng: &mut ChaCha20Rng) -> PeerId {
    let published = save(to.messenger.maintain(NOW, &[], rng).unwrap(), &mut to.store).await;
    let one_time = published.one_time_prekeys.first().cloned();
    let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
    let peer = save(from.messenger.add_peer(text, None, NOW, rng).unwrap(), &mut from.store).await;
    let sealed = from.messenger.seal_with_bundle(&peer, text, bundle, NOW, rng).unwrap();
    let message = save(sealed, &mut from.store).await.message;
    let loaded = to.messenger.route(&message, NOW).unwrap().load_async(&mut to.store).await.unwrap();
    let opened = to.messenger.open(&message, loaded, NOW).unwrap();
    save(opened, &mut to.store).await.peer
}

/// Begins another session with `to`, and has it opened. Returns who wrote, and the message.
pub async fn greet_again<S: Backend>(
    from: &mut Party<S>,
    to: &mut Party<S>,
    now: UnixSeconds,
    rng: &mut ChaCha20Rng,
) -> (PeerId, Vec<u8>) {
    let published = save(to.messenger.maintain(now, &[], rng).unwrap(), &mut to.store).await;
    let one_time = published.one_time_prekeys.first().cloned();
    let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
    let known = from.messenger.peers().next().map(|peer| peer.id);
    let peer = match known {
        Some(peer) => peer,
        None => save(from.messenger.add_peer(b"to", None, now, rng).unwrap(), &mut from.store).await,
    };
    let sealed = from.messenger.seal_with_bundle(&peer, b"again", bundle, now, rng).unwrap();
    let message = save(sealed, &mut from.store).await.message;
    let loaded = to.messenger.route(&message, now).unwrap().load_async(&mut to.store).await.unwrap();
    let opened = to.messenger.open(&message, loaded, now).unwrap();
    (save(opened, &mut to.store).await.peer, message)
}

async fn what_a_messenger_forgets_leaves_no_row_and_no_message<S: Backend>() {
    let rng = &mut party::rng(3);
    let (mut alice, mut bob) = (party::<S>(rng).await, party::<S>(rng).await);
    let peer = greet(&mut alice, &mut bob, b"hello", rng).await;
    let inbox = bob.store.inbox().await.unwrap();
    assert_eq!(inbox[0].peer.as_ref().and_then(PeerId::from_subject), Some(peer));
    let outbox = alice.store.outbox().await.unwrap();
    assert!(outbox[0].peer.is_some());
    // Control: before that, messenger, device, peer and session are there.
    assert_eq!(bob.store.subjects().await.unwrap().len(), 4);
    save(bob.messenger.forget(&peer, NOW).unwrap(), &mut bob.store).await;
    assert_eq!(bob.store.subjects().await.unwrap().len(), 2);
    assert!(bob.store.inbox().await.unwrap().is_empty());
    assert_eq!(bob.store.opened_at(&outbox[0].message).await, None);
}

async fn the_store_forgets_no_peer_and_no_messenger_by_itself<S: Backend>() {
    let rng = &mut party::rng(5);
    let (mut alice, mut bob) = (party::<S>(rng).await, party::<S>(rng).await);
    let peer = greet(&mut alice, &mut bob, b"hello", rng).await;
    let subjects = bob.store.subjects().await.unwrap();
    let of_peer = *subjects.iter().find(|subject| PeerId::from_subject(subject) == Some(peer)).unwrap();
    let generation = bob.store.generation().await;
    for subject in [of_peer, bob.messenger.subject()] {
        let refused = bob.store.forget(&subject).await.unwrap_err();
        assert!(matches!(refused, Error::OfMessenger), "{refused:?}");
        assert!(refused.to_string().contains("`Messenger::forget`"), "{refused}");
    }
    // Nothing has changed, and the messenger loads.
    assert_eq!((bob.store.subjects().await.unwrap(), bob.store.generation().await), (subjects, generation));
    let subject = bob.messenger.subject();
    drop(Messenger::load_async(&mut bob.store, &key(), &subject, 0, rng).await.unwrap());
    // Controls: the messenger forgets its peer, and the device's subject means everything of the account.
    save(bob.messenger.forget(&peer, NOW).unwrap(), &mut bob.store).await;
    let device = bob.store.subjects().await.unwrap().into_iter().find(|subject| subject.is_device()).unwrap();
    assert!(bob.store.forget(&device).await.unwrap());
    assert!(bob.store.subjects().await.unwrap().is_empty());
}

async fn the_mail_and_the_data_of_a_merged_peer_are_kept<S: Backend>() {
    let rng = &mut party::rng(4);
    let (mut alice, mut bob) = (party::<S>(rng).await, party::<S>(rng).await);
    let stranger = greet(&mut alice, &mut bob, b"hello", rng).await;
    let identity = *alice.messenger.identity();
    let peer = save(bob.messenger.add_peer(b"alice", None, NOW, rng).unwrap(), &mut bob.store).await;
    save(bob.messenger.claim_identity(&peer, &identity, NOW).unwrap(), &mut bob.store).await;
    // What the application keeps of either.
    let keep = move |transaction: &Transaction<'_>| {
        transaction.set_peer_data(&peer, "access", b"the peer's")?;
        transaction.set_peer_data(&peer, "colour", b"red")?;
        transaction.set_peer_data(&stranger, "access", b"the stranger's")
    };
    assert!(bob.store.transact(keep).await.unwrap());
    let access = |transaction: &Transaction<'_>| transaction.data_of_peers("access");
    assert_eq!(bob.store.transact(access).await.unwrap().len(), 2);
    // Control: until it is accepted, the mail is the stranger's.
    let of = |message: &noescrow_sqlite::InboxMessage| message.peer.as_ref().and_then(PeerId::from_subject);
    assert_eq!(of(&bob.store.inbox().await.unwrap()[0]), Some(stranger));
    save(bob.messenger.accept_identity(&peer, &identity, NOW).unwrap(), &mut bob.store).await;
    let inbox = bob.store.inbox().await.unwrap();
    assert_eq!((inbox.len(), of(&inbox[0])), (1, Some(peer)));
    // The newer value of one name replaces the other; another name's stays.
    let access = bob.store.transact(access).await.unwrap();
    assert!(matches!(&access[..], [(of, value)] if *of == peer && value[..] == b"the stranger's"[..]));
    let colour = move |transaction: &Transaction<'_>| transaction.peer_data(&peer, "colour");
    assert!(bob.store.transact(colour).await.unwrap().is_some());
    assert_eq!(bob.store.subjects().await.unwrap().len(), 4);
}
