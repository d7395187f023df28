// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Backend`]: what both stores can do, so that one body tests both.

use noescrow::UnixSeconds;
use noescrow::durable::{
    AsyncMailboxes, AsyncStore, Batch, CommitError, Exclusive, Mailboxes, Revision, Row, Store, Subject,
};
use noescrow_sqlite::rusqlite::Transaction;
use noescrow_sqlite::{AsyncSqliteStore, Error, InboxMessage, Options, OutboxMessage, SqliteStore};
use std::path::Path;

type Result<T, E = noescrow_sqlite::rusqlite::Error> = std::result::Result<T, E>;

/// More messages than a test has.
const ALL: usize = 1_000_000;

pub type Id = [u8; 16];

pub trait Backend: AsyncStore<Error = Error> + Sized {
    async fn open(path: &Path, options: Options) -> Result<Self, Error>;
    /// A store whose connection the test has set up.
    fn of(store: SqliteStore) -> Self;
    async fn generation(&mut self) -> u64;
    async fn subjects(&mut self) -> Result<Vec<Subject>, Error>;
    async fn inbox(&mut self) -> Result<Vec<InboxMessage>, Error>;
    async fn remove(&mut self, id: &Id) -> bool;
    async fn outbox(&mut self) -> Result<Vec<OutboxMessage>, Error>;
    async fn acknowledge(&mut self, id: &Id) -> bool;
    async fn was_sealed(&mut self, id: &Id) -> bool;
    async fn outbox_after(&mut self, after: u64) -> Vec<OutboxMessage>;
    async fn opened_at(&mut self, message: &[u8]) -> Option<UnixSeconds>;
    async fn with_next(&mut self, part: impl FnMut(&Transaction<'_>, &Batch) -> Result<bool> + Send + 'static);
    async fn cancel_next(&mut self);
    async fn take_into(
        &mut self,
        id: &Id,
        keep: impl FnOnce(&Transaction<'_>, &InboxMessage) -> Result<()> + Send + 'static,
    ) -> Result<bool, Error>;
    async fn transact<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T, Error>;
    async fn exclusively(&mut self, name: &str) -> Result<Exclusive, Error>;
    async fn accept(&mut self) -> Result<(), Error>;
    async fn forget(&mut self, subject: &Subject) -> Result<bool, Error>;
    async fn erase(&mut self) -> Result<(), Error>;
    async fn close(self);
}

/// The blocking store, whose futures are ready at once.
pub struct Blocking(pub SqliteStore);

impl AsyncStore for Blocking {
    type Error = Error;

    async fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Error> {
        self.0.load(subject)
    }

    async fn revision(&mut self, subject: &Subject) -> Result<Option<Revision>, Error> {
        self.0.revision(subject)
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Error>> {
        self.0.commit(batch)
    }
}

impl Backend for Blocking {
    async fn open(path: &Path, options: Options) -> Result<Self, Error> {
        options.open(path).map(Self)
    }
    fn of(store: SqliteStore) -> Self {
        Self(store)
    }
    async fn generation(&mut self) -> u64 {
        self.0.generation().unwrap()
    }
    async fn subjects(&mut self) -> Result<Vec<Subject>, Error> {
        self.0.subjects()
    }
    async fn inbox(&mut self) -> Result<Vec<InboxMessage>, Error> {
        self.0.inbox(ALL)
    }
    async fn remove(&mut self, id: &Id) -> bool {
        self.0.take(id).unwrap()
    }
    async fn outbox(&mut self) -> Result<Vec<OutboxMessage>, Error> {
        self.0.outbox(ALL)
    }
    async fn acknowledge(&mut self, id: &Id) -> bool {
        self.0.acknowledge(id).unwrap()
    }
    async fn was_sealed(&mut self, id: &Id) -> bool {
        self.0.was_sealed(id).unwrap()
    }
    async fn outbox_after(&mut self, after: u64) -> Vec<OutboxMessage> {
        self.0.outbox_after(Some(after), ALL).unwrap()
    }
    async fn opened_at(&mut self, message: &[u8]) -> Option<UnixSeconds> {
        self.0.opened_at(message).unwrap()
    }
    async fn with_next(&mut self, part: impl FnMut(&Transaction<'_>, &Batch) -> Result<bool> + Send + 'static) {
        self.0.with_next(part);
    }
    async fn cancel_next(&mut self) {
        self.0.cancel_next();
    }
    async fn take_into(
        &mut self,
        id: &Id,
        keep: impl FnOnce(&Transaction<'_>, &InboxMessage) -> Result<()> + Send + 'static,
    ) -> Result<bool, Error> {
        self.0.take_into(id, keep)
    }
    async fn transact<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.transact(work)
    }
    async fn exclusively(&mut self, name: &str) -> Result<Exclusive, Error> {
        self.0.exclusively(name)
    }
    async fn accept(&mut self) -> Result<(), Error> {
        self.0.accept_restored_backup()
    }
    async fn forget(&mut self, subject: &Subject) -> Result<bool, Error> {
        self.0.forget(subject)
    }
    async fn erase(&mut self) -> Result<(), Error> {
        self.0.erase_deleted()
    }
    async fn close(self) {
        drop(self);
    }
}

impl Backend for AsyncSqliteStore {
    async fn open(path: &Path, options: Options) -> Result<Self, Error> {
        AsyncSqliteStore::open(path, options).await
    }
    fn of(store: SqliteStore) -> Self {
        store.into()
    }
    async fn generation(&mut self) -> u64 {
        AsyncSqliteStore::generation(self).await.unwrap()
    }
    async fn subjects(&mut self) -> Result<Vec<Subject>, Error> {
        AsyncSqliteStore::subjects(self).await
    }
    async fn inbox(&mut self) -> Result<Vec<InboxMessage>, Error> {
        AsyncSqliteStore::inbox(self, ALL).await
    }
    async fn remove(&mut self, id: &Id) -> bool {
        self.take(id).await.unwrap()
    }
    async fn outbox(&mut self) -> Result<Vec<OutboxMessage>, Error> {
        AsyncSqliteStore::outbox(self, ALL).await
    }
    async fn acknowledge(&mut self, id: &Id) -> bool {
        AsyncSqliteStore::acknowledge(self, id).await.unwrap()
    }
    async fn was_sealed(&mut self, id: &Id) -> bool {
        AsyncMailboxes::was_sealed(self, id).await.unwrap()
    }
    async fn outbox_after(&mut self, after: u64) -> Vec<OutboxMessage> {
        AsyncMailboxes::outbox_after(self, Some(after), ALL).await.unwrap()
    }
    async fn opened_at(&mut self, message: &[u8]) -> Option<UnixSeconds> {
        AsyncSqliteStore::opened_at(self, message).await.unwrap()
    }
    async fn with_next(&mut self, part: impl FnMut(&Transaction<'_>, &Batch) -> Result<bool> + Send + 'static) {
        AsyncSqliteStore::with_next(self, part).await.unwrap();
    }
    async fn cancel_next(&mut self) {
        AsyncSqliteStore::cancel_next(self).await.unwrap();
    }
    async fn take_into(
        &mut self,
        id: &Id,
        keep: impl FnOnce(&Transaction<'_>, &InboxMessage) -> Result<()> + Send + 'static,
    ) -> Result<bool, Error> {
        AsyncSqliteStore::take_into(self, id, keep).await
    }
    async fn transact<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        AsyncSqliteStore::transact(self, work).await
    }
    async fn exclusively(&mut self, name: &str) -> Result<Exclusive, Error> {
        AsyncMailboxes::exclusively(self, name).await
    }
    async fn accept(&mut self) -> Result<(), Error> {
        AsyncSqliteStore::accept_restored_backup(self).await
    }
    async fn forget(&mut self, subject: &Subject) -> Result<bool, Error> {
        AsyncSqliteStore::forget(self, subject).await
    }
    async fn erase(&mut self) -> Result<(), Error> {
        self.erase_deleted().await
    }
    async fn close(self) {
        AsyncSqliteStore::close(self).await.unwrap();
    }
}

/// Runs a future to its end.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Tests of these names, on the blocking store and on the asynchronous one.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod blocking {
            $(#[test]
            fn $name() {
                crate::backend::run(super::$name::<crate::backend::Blocking>());
            })*
        }
        mod asynchronous {
            $(#[test]
            fn $name() {
                crate::backend::run(super::$name::<noescrow_sqlite::AsyncSqliteStore>());
            })*
        }
    };
}
