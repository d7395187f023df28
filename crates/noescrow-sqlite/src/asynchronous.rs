// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`AsyncSqliteStore`]: the same store on a thread of its own.

use crate::blocking::SqliteStore;
use crate::database::Database;
use crate::error::Error;
use crate::mailboxes::lock_file;
use crate::messages;
use crate::options::Options;
use crate::part::NextPart;
use crate::schema;
use noescrow::UnixSeconds;
use noescrow::durable::{
    AsyncMailboxes, AsyncStore, Batch, CommitError, Exclusive, InboxMessage, MessageId, OutboxMessage, Revision, Row,
    Subject,
};
use rusqlite::{Connection, Transaction};
use std::fmt;
use std::fs::TryLockError;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// [`SqliteStore`] for asynchronous programs: its connection has a thread of its own, which does one thing after the
/// other. It needs no runtime. A clone uses the same connection.
///
/// A future that is dropped does not stop what it began: the commit may happen or not. Saving the step again finds out.
#[derive(Clone)]
pub struct AsyncSqliteStore {
    connection: tokio_rusqlite::Connection,
    database: Arc<Mutex<Database>>,
}

impl AsyncSqliteStore {
    /// Opens the database at `path`, or makes it, as [`Options::open`] does.
    ///
    /// # Errors
    /// [`Error`], as [`Options::open`].
    pub async fn open(path: impl AsRef<Path> + Send, options: Options) -> Result<Self, Error> {
        let (options, path) = options.at(path.as_ref())?;
        let connection = tokio_rusqlite::Connection::open(path).await?;
        match connection.call(move |connection| options.prepare(connection)).await.map_err(flat) {
            Ok(database) => Ok(Self { connection, database: Arc::new(Mutex::new(database)) }),
            Err(error) => {
                // The error that counts is the first.
                let _ = connection.close().await;
                Err(error)
            }
        }
    }

    /// Uses the connection on its thread.
    async fn call<T: Send + 'static>(
        &self,
        function: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.connection.call(function).await.map_err(flat)
    }

    /// Returns [`SqliteStore::generation`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn generation(&mut self) -> Result<u64, Error> {
        self.call(schema::generation).await
    }

    /// Returns [`SqliteStore::subjects`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn subjects(&mut self) -> Result<Vec<Subject>, Error> {
        self.call(|connection| Database::subjects(connection)).await
    }

    /// Returns [`SqliteStore::inbox`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Error> {
        self.call(move |connection| messages::inbox(connection, limit)).await
    }

    /// Calls [`SqliteStore::take`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn take(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        let message_id = *message_id;
        self.call(move |connection| messages::take(connection, &message_id)).await
    }

    /// Returns [`SqliteStore::outbox`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn outbox(&mut self, limit: usize) -> Result<Vec<OutboxMessage>, Error> {
        self.call(move |connection| messages::outbox(connection, None, limit)).await
    }

    /// Calls [`SqliteStore::acknowledge`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn acknowledge(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        let (message_id, database) = (*message_id, Arc::clone(&self.database));
        self.call(move |connection| lock(&database, |database| database.acknowledge(connection, &message_id))).await
    }

    /// Returns [`SqliteStore::opened_at`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn opened_at(&mut self, message: &[u8]) -> Result<Option<UnixSeconds>, Error> {
        let message_id = messages::message_id(message);
        self.call(move |connection| messages::opened_at(connection, &message_id)).await
    }

    /// Calls [`SqliteStore::with_next`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn with_next(
        &mut self,
        part: impl FnMut(&Transaction<'_>, &Batch) -> rusqlite::Result<bool> + Send + 'static,
    ) -> Result<(), Error> {
        self.set_next(NextPart::new(part)).await
    }

    /// Calls [`SqliteStore::cancel_next`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_next(&mut self) -> Result<(), Error> {
        self.set_next(NextPart::default()).await
    }

    /// On the connection's thread, after the commits that were begun.
    async fn set_next(&self, next: NextPart) -> Result<(), Error> {
        let database = Arc::clone(&self.database);
        self.call(move |_| {
            lock(&database, |database| database.next = next);
            Ok(())
        })
        .await
    }

    /// Calls [`SqliteStore::take_into`].
    ///
    /// # Errors
    /// As there.
    pub async fn take_into(
        &mut self,
        message_id: &MessageId,
        keep: impl FnOnce(&Transaction<'_>, &InboxMessage) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<bool, Error> {
        let message_id = *message_id;
        self.call(move |connection| messages::take_into(connection, &message_id, keep)).await
    }

    /// Calls [`SqliteStore::transact`].
    ///
    /// # Errors
    /// As there.
    pub async fn transact<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.call(move |connection| messages::transact(connection, work)).await
    }

    /// Calls [`SqliteStore::accept_restored_backup`].
    ///
    /// # Errors
    /// As there.
    pub async fn accept_restored_backup(&mut self) -> Result<(), Error> {
        let database = Arc::clone(&self.database);
        self.call(move |connection| lock(&database, |database| database.accept_restored_backup(connection))).await
    }

    /// Calls [`SqliteStore::forget`].
    ///
    /// # Errors
    /// As there.
    pub async fn forget(&mut self, subject: &Subject) -> Result<bool, Error> {
        let (subject, database) = (*subject, Arc::clone(&self.database));
        self.call(move |connection| lock(&database, |database| database.forget(connection, &subject))).await
    }

    /// Calls [`SqliteStore::erase_deleted`].
    ///
    /// # Errors
    /// As there.
    pub async fn erase_deleted(&mut self) -> Result<(), Error> {
        self.call(|connection| Database::erase(connection)).await
    }

    /// Closes the connection, after everything that was begun. When its last connection is closed, the database is one
    /// file. A store that is dropped is closed at some later time.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn close(self) -> Result<(), Error> {
        self.connection.close().await.map_err(|error| match error {
            tokio_rusqlite::Error::Close((_, error)) | tokio_rusqlite::Error::Error(error) => error.into(),
            _ => Error::Closed,
        })
    }
}

/// Uses what only the connection's thread uses: nobody waits.
fn lock<T>(database: &Mutex<Database>, function: impl FnOnce(&mut Database) -> T) -> T {
    function(&mut database.lock().unwrap_or_else(PoisonError::into_inner))
}

fn flat(error: tokio_rusqlite::Error<Error>) -> Error {
    match error {
        tokio_rusqlite::Error::Error(error) => error,
        _ => Error::Closed,
    }
}

impl From<SqliteStore> for AsyncSqliteStore {
    fn from(store: SqliteStore) -> Self {
        let SqliteStore { connection, database } = store;
        Self { connection: connection.into(), database: Arc::new(Mutex::new(database)) }
    }
}

impl AsyncStore for AsyncSqliteStore {
    type Error = Error;

    async fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Error> {
        let subject = *subject;
        self.call(move |connection| Database::load(connection, &subject)).await
    }

    async fn revision(&mut self, subject: &Subject) -> Result<Option<Revision>, Error> {
        let subject = *subject;
        self.call(move |connection| Database::revision(connection, &subject)).await
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Error>> {
        let database = Arc::clone(&self.database);
        let commit = move |connection: &mut Connection| lock(&database, |database| database.commit(connection, &batch));
        // If the thread ended, it is not known how far it came.
        self.connection.call_raw(commit).await.unwrap_or(Err(CommitError::Unknown(Error::Closed)))
    }
}

impl AsyncMailboxes for AsyncSqliteStore {
    async fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Error> {
        Self::inbox(self, limit).await
    }

    async fn take(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        Self::take(self, message_id).await
    }

    async fn outbox_after(&mut self, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Error> {
        self.call(move |connection| messages::outbox(connection, after, limit)).await
    }

    async fn acknowledge(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        Self::acknowledge(self, message_id).await
    }

    async fn was_sealed(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        let message_id = *message_id;
        self.call(move |connection| messages::was_sealed(connection, &message_id)).await
    }

    /// Locks the file that [`SqliteStore`] locks. Two tasks exclude each other as two processes do. Whoever has to wait
    /// does so on a thread of its own, and the store does other things meanwhile.
    async fn exclusively(&mut self, name: &str) -> Result<Exclusive, Error> {
        let (name, database) = (name.to_owned(), Arc::clone(&self.database));
        let open = move |connection: &mut Connection| lock(&database, |of| lock_file(connection, of, &name));
        let Some(file) = self.call(open).await? else { return Ok(Exclusive::nothing()) };
        match file.try_lock() {
            Ok(()) => return Ok(Exclusive::holding(file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Error::Lock(error)),
        }
        let (sender, receiver) = oneshot::channel();
        let wait = move || {
            // If nobody waits any more, the file comes back, and closing it releases the lock.
            let _ = sender.send(file.lock().map(|()| file));
        };
        thread::Builder::new().name("noescrow lock".to_owned()).spawn(wait).map_err(Error::Lock)?;
        let file = receiver.await.map_err(|_| Error::Closed)?.map_err(Error::Lock)?;
        Ok(Exclusive::holding(file))
    }
}

impl fmt::Debug for AsyncSqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsyncSqliteStore(..)")
    }
}
