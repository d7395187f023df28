// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Mailboxes`] of [`SqliteStore`], and the application's own tables in the same transactions.

use crate::blocking::SqliteStore;
use crate::database::Database;
use crate::error::Error;
use crate::messages;
use crate::part::NextPart;
use crate::witness::open_private;
use noescrow::durable::{Batch, Exclusive, InboxMessage, Mailboxes, MessageId, OutboxMessage};
use rusqlite::{Connection, Transaction};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The application's own tables. Their names do not begin with `noescrow_`.
impl SqliteStore {
    /// Sets the application's part of the next commit: it runs in the transaction that writes a step, with the step's
    /// batch, and is committed with it or not at all. So an attachment's key is stored if and only if the message that
    /// names it is, and what the application keeps of a peer is deleted with the peer.
    ///
    /// `part` returns whether this commit is the one to which it belongs; then it is dropped when the commit is done.
    /// If not, it waits for the next one: between `with_next` and the intended step, others may be saved, as a probe
    /// that goes before a message. What the batch has tells them apart. What `part` writes is committed in either case.
    /// If a commit fails, or another process was faster, the part runs again with the step that is saved then. An error
    /// of `part` rolls the step back, which can be saved again.
    ///
    /// A part that was set before is replaced. If the step is given up, [`cancel_next`](Self::cancel_next).
    pub fn with_next(&mut self, part: impl FnMut(&Transaction<'_>, &Batch) -> rusqlite::Result<bool> + Send + 'static) {
        self.database.next = NextPart::new(part);
    }

    /// Drops the part that was set [`with_next`](Self::with_next), if its commit is not done.
    pub fn cancel_next(&mut self) {
        self.database.next = NextPart::default();
    }

    /// Takes a message out of the inbox and into the application's tables, in one transaction: exactly once, whatever
    /// crashes. Returns whether the message was there; otherwise `keep` is not called.
    ///
    /// # Errors
    /// [`Error`], also that of `keep`. The message is in the inbox then, unless the transaction's result is not known.
    pub fn take_into(
        &mut self,
        message_id: &MessageId,
        keep: impl FnOnce(&Transaction<'_>, &InboxMessage) -> rusqlite::Result<()>,
    ) -> Result<bool, Error> {
        messages::take_into(&mut self.connection, message_id, keep)
    }

    /// Makes the application's tables: `setup` is SQL, as `CREATE TABLE IF NOT EXISTS …`.
    ///
    /// # Errors
    /// [`Error`]; nothing is changed.
    pub fn tables(&mut self, setup: &str) -> Result<(), Error> {
        self.transact(|transaction| transaction.execute_batch(setup))
    }

    /// Reads or changes the application's tables in one transaction, without a second connection.
    ///
    /// # Errors
    /// [`Error`], also that of `work`; nothing is changed, unless the transaction's result is not known.
    pub fn transact<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Error> {
        messages::transact(&mut self.connection, work)
    }
}

impl Mailboxes for SqliteStore {
    fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Error> {
        messages::inbox(&self.connection, limit)
    }

    fn take(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        messages::take(&self.connection, message_id)
    }

    fn outbox_after(&mut self, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Error> {
        messages::outbox(&self.connection, after, limit)
    }

    fn acknowledge(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        self.database.acknowledge(&mut self.connection, message_id)
    }

    fn was_sealed(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        messages::was_sealed(&self.connection, message_id)
    }

    /// Locks the file `DATABASE-NAME.lock` beside the database; in memory, nothing. Two stores of one thread that want
    /// one lock wait for each other forever.
    fn exclusively(&mut self, name: &str) -> Result<Exclusive, Error> {
        let Some(file) = lock_file(&self.connection, &self.database, name)? else { return Ok(Exclusive::nothing()) };
        file.lock().map_err(Error::Lock)?;
        // Closing the file releases it, however the process ends.
        Ok(Exclusive::holding(file))
    }
}

/// The file of a connection that the application has opened.
fn path_of(connection: &Connection) -> Option<&Path> {
    connection.path().filter(|path| !path.is_empty()).map(Path::new)
}

impl SqliteStore {
    /// Takes the same lock, unless another process has it.
    pub(crate) fn try_exclusively(&self, name: &str) -> Result<Option<Exclusive>, Error> {
        let Some(file) = lock_file(&self.connection, &self.database, name)? else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(Exclusive::holding(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::Lock(error)),
        }
    }
}

/// The file that is locked, or `None` for a database in memory.
pub(crate) fn lock_file(connection: &Connection, database: &Database, name: &str) -> Result<Option<File>, Error> {
    let path = database.path.as_deref().or_else(|| path_of(connection));
    path.map(|path| open_lock(path, name).map_err(Error::Lock)).transpose()
}

fn open_lock(database: &Path, name: &str) -> io::Result<File> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of a lock is letters and digits"));
    }
    let mut path = database.as_os_str().to_owned();
    path.push(format!("-{name}.lock"));
    open_private(&PathBuf::from(path))
}
