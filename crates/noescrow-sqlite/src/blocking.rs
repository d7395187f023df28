// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`SqliteStore`]: the store of [`noescrow::durable`] in SQLite.

use crate::database::Database;
use crate::error::Error;
use crate::messages;
use crate::options::Options;
use crate::schema;
use noescrow::UnixSeconds;
use noescrow::durable::{Batch, CommitError, InboxMessage, MessageId, OutboxMessage, Revision, Row, Store, Subject};
use rusqlite::Connection;
use std::fmt;
use std::path::Path;

/// Devices, sessions, inbox and outbox in one SQLite database.
///
/// Several processes may have a store of one file. Of two that save a step from one state, the second gets
/// [`CommitError::Stale`], loads the state again and repeats its step.
///
/// The witness keeps the generation of the whole store, so that
/// [`Durable::load`](noescrow::durable::Durable::load) needs none of its own: pass 0 for `newest`.
///
/// # Security
/// SQLite's memory has copies of rows and plaintexts, which are not wiped when they are freed.
pub struct SqliteStore {
    pub(crate) connection: Connection,
    pub(crate) database: Database,
}

impl SqliteStore {
    /// Opens the database at `path` with the default [`Options`], or makes it.
    ///
    /// # Errors
    /// [`Error`], as [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Options::new().open(path)
    }

    /// Returns the number of commits that changed a device or a session.
    ///
    /// # Errors
    /// [`Error`].
    pub fn generation(&mut self) -> Result<u64, Error> {
        schema::generation(&mut self.connection)
    }

    /// Returns the devices and sessions of which there are rows, in the order of their encodings.
    ///
    /// # Errors
    /// [`Error`].
    pub fn subjects(&mut self) -> Result<Vec<Subject>, Error> {
        Database::subjects(&self.connection)
    }

    /// Returns the first `limit` messages that were opened and not yet [taken](Self::take), in the order in which they
    /// were opened. The application shows them and then takes them; after a crash between the two it meets them again,
    /// with their ids. [`take_into`](Self::take_into) enters them into tables of its own in one transaction.
    ///
    /// Messages of a messenger that have no text are among them: see [`InboxMessage::control`].
    ///
    /// # Errors
    /// [`Error`].
    pub fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Error> {
        messages::inbox(&self.connection, limit)
    }

    /// Takes a message out of the inbox. Returns whether it was there. Its id stays in the log.
    ///
    /// # Errors
    /// [`Error`].
    pub fn take(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        messages::take(&self.connection, message_id)
    }

    /// Returns the first `limit` messages that were sealed and not yet [acknowledged](Self::acknowledge), in the order
    /// in which they were sealed. Send exactly these bytes, and send them again after a restart.
    ///
    /// # Errors
    /// [`Error`].
    pub fn outbox(&mut self, limit: usize) -> Result<Vec<OutboxMessage>, Error> {
        messages::outbox(&self.connection, None, limit)
    }

    /// Moves a message that the server has acknowledged from the outbox to the log of sent ids, which keeps it for
    /// [30 days](noescrow::durable::SENT_ID_KEPT). Returns whether it was there.
    ///
    /// # Errors
    /// [`Error`].
    pub fn acknowledge(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        self.database.acknowledge(&mut self.connection, message_id)
    }

    /// Returns when this very message was opened, if that was in the last 30 days. A session refuses a message that it
    /// has opened as it refuses any other: if the log has it, it is a duplicate, to be acknowledged to the server.
    ///
    /// # Errors
    /// [`Error`].
    pub fn opened_at(&mut self, message: &[u8]) -> Result<Option<UnixSeconds>, Error> {
        messages::opened_at(&self.connection, &messages::message_id(message))
    }

    /// Deletes a session with its inbox, its outbox and its message ids; or a device with all sessions of its identity,
    /// its messenger and the messenger's peers. Then [erases](Self::erase_deleted) them from the files. Returns whether
    /// there was anything to delete.
    ///
    /// A messenger's peer is forgotten, and its sessions with it, by
    /// [`Messenger::forget`](noescrow::messenger::Messenger::forget), and then [erased](Self::erase_deleted): the
    /// messenger's own state names them, and without their rows it would not load.
    ///
    /// # Errors
    /// [`Error`]: [`Error::OfMessenger`] for a messenger, its peers and its sessions, of which nothing is deleted.
    /// After [`Error::LogInUse`], or an error of SQLite in erasing, the rows are deleted, and copies may be in the
    /// files: call again.
    pub fn forget(&mut self, subject: &Subject) -> Result<bool, Error> {
        self.database.forget(&mut self.connection, subject)
    }

    /// Erases from the files what was deleted or replaced before: keys of states that have moved on, and plaintexts
    /// that were removed. It writes the database anew: its time grows with the size, and it needs as much memory,
    /// because nothing is written to temporary files.
    ///
    /// Without it they stay in the write-ahead log until that is reused, which is usual after some 4 MB of commits or
    /// when the last store of the file is closed.
    ///
    /// # Errors
    /// [`Error::LogInUse`] while another connection reads.
    ///
    /// # Security
    /// It erases the contents of files. Copies that the file system or the disk has made are out of reach.
    pub fn erase_deleted(&mut self) -> Result<(), Error> {
        Database::erase(&self.connection)
    }

    /// Makes a database that was opened as a [restored backup](Options::restored_backup) the newest, and moves the
    /// witness. Call it after [`Messenger::restore_backup`](noescrow::messenger::Messenger::restore_backup) is saved.
    /// Any other store is left as it is.
    ///
    /// # Errors
    /// [`Error`]. The store is a restored backup still: call again.
    pub fn accept_restored_backup(&mut self) -> Result<(), Error> {
        self.database.accept_restored_backup(&mut self.connection)
    }

    /// Ends the store and returns its connection. Tables whose names begin with `noescrow_` belong to this crate;
    /// others in the same file are the application's.
    #[must_use]
    pub fn into_connection(self) -> Connection {
        self.connection
    }
}

impl Store for SqliteStore {
    type Error = Error;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Error> {
        Database::load(&self.connection, subject)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Error>> {
        self.database.commit(&mut self.connection, &batch)
    }

    /// A transaction of SQLite that only reads. A commit within it is [`CommitError::NotCommitted`].
    fn reading<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        if !self.connection.is_autocommit() {
            return Ok(read(self));
        }
        self.connection.execute_batch("BEGIN DEFERRED")?;
        let result = read(self);
        // After some errors SQLite has ended it.
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("COMMIT")?;
        }
        Ok(result)
    }

    fn revision(&mut self, subject: &Subject) -> Result<Option<Revision>, Error> {
        Database::revision(&self.connection, subject)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore(..)")
    }
}
