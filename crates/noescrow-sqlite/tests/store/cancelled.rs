// SPDX-License-Identifier: MIT OR Apache-2.0
//! Futures that are dropped before they are complete.

use super::backend::{Backend, run};
use super::party::{pair, save};
use noescrow::durable::{AsyncStore, CommitError, StepError};
use noescrow_sqlite::rusqlite::Connection;
use noescrow_sqlite::{AsyncSqliteStore, Error};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls a future once, and drops it.
pub async fn poll_once(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_cancelled_commit_is_saved_once_by_saving_again() {
    run(async {
        let mut pair = pair::<AsyncSqliteStore>().await;
        let other = Connection::open(pair.path()).unwrap();
        for _ in 0..10 {
            let before = pair.store.outbox(usize::MAX).await.unwrap().len();
            // Another process holds the database, so that the commit has begun and is not done.
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            poll_once(pair.bob.session.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.store)).await;
            other.execute_batch("ROLLBACK").unwrap();
            assert_eq!(pair.bob.session.encrypt(b"next", &mut pair.rng).unwrap_err(), StepError::NotSaved);
            save(pair.bob.session.unsaved().unwrap(), &mut pair.store).await;
            let outbox = pair.store.outbox(usize::MAX).await.unwrap();
            assert_eq!(outbox.len(), before + 1, "once");
            assert_eq!(pair.alice.decrypt(&outbox.last().unwrap().message).unwrap().plaintext, b"text");
        }
        // Control: a future that was never polled has begun nothing.
        let generation = Backend::generation(&mut pair.store).await;
        drop(pair.bob.session.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.store));
        assert_eq!(Backend::generation(&mut pair.store).await, generation);
    });
}

#[test]
fn a_store_that_another_clone_closed_releases_nothing() {
    run(async {
        let mut pair = pair::<AsyncSqliteStore>().await;
        let subject = pair.bob.session.subject();
        // Control: a clone is the same store.
        assert!(pair.store.clone().load(&subject).await.is_ok());
        pair.store.clone().close().await.unwrap();
        assert!(matches!(pair.store.load(&subject).await, Err(Error::Closed)));
        let failed = pair.bob.session.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.store).await;
        assert!(matches!(failed.unwrap_err().error, CommitError::Unknown(Error::Closed)));
    });
}

#[test]
fn the_future_of_a_save_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    run(async {
        let mut pair = pair::<AsyncSqliteStore>().await;
        let unsaved = pair.bob.session.encrypt(b"text", &mut pair.rng).unwrap();
        let message = is_send(unsaved.save_async(&mut pair.store)).await.unwrap();
        let subject = pair.bob.session.subject();
        assert!(is_send(pair.store.load(&subject)).await.is_ok());
        // Control: it is the message that the peer opens.
        assert_eq!(pair.alice.decrypt(&message).unwrap().plaintext, b"text");
    });
}
