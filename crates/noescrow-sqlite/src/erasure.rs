// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deletion that leaves no copy in the files.
//!
//! SQLite's `secure_delete`, which every connection of this crate sets, overwrites what is deleted. Copies remain in
//! two places: in the write-ahead log, which has older versions of pages until it is reset, and in the unused parts of
//! pages whose content was moved to another page. `VACUUM` writes the database anew from what it contains, and a
//! checkpoint that truncates empties the log.

use crate::database::{Database, subject_of};
use crate::error::Error;
use noescrow::durable::Subject;
use noescrow::messenger::PeerId;
use rusqlite::{Connection, Transaction};

/// Where a table names the subject of a row.
const TABLES: [(&str, &str); 6] = [
    ("noescrow_row", "subject"),
    ("noescrow_inbox", "session"),
    ("noescrow_outbox", "session"),
    ("noescrow_message_id", "session"),
    ("noescrow_sent_id", "session"),
    ("noescrow_peer_data", "peer"),
];

/// Deletes everything of the local identity of a subject. Returns the number of rows.
pub(crate) fn delete_identity(transaction: &Transaction<'_>, subject: &Subject) -> Result<usize, Error> {
    // The local identity is in bytes 1 to 64; SQLite counts from 1.
    delete(transaction, subject, |column| format!("substr({column}, 2, 64) = substr(?1, 2, 64)"))
}

fn delete(
    transaction: &Transaction<'_>,
    subject: &Subject,
    condition: impl Fn(&str) -> String,
) -> Result<usize, Error> {
    let mut count = 0_usize;
    for (table, column) in TABLES {
        let sql = format!("DELETE FROM {table} WHERE {}", condition(column));
        count = count.saturating_add(transaction.prepare_cached(&sql)?.execute([subject.to_bytes()])?);
    }
    Ok(count)
}

impl Database {
    /// Whether the identity of a subject has a messenger.
    fn has_messenger(connection: &Connection, subject: &Subject) -> Result<bool, Error> {
        let sql = "SELECT DISTINCT subject FROM noescrow_row WHERE substr(subject, 2, 64) = substr(?1, 2, 64)";
        let mut query = connection.prepare_cached(sql)?;
        let mut rows = query.query([subject.to_bytes()])?;
        while let Some(row) = rows.next()? {
            if subject_of(&row.get::<_, Vec<u8>>(0)?)?.is_messenger() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes everything of a session, or of a device and all sessions of its identity, and erases it from the files.
    pub(crate) fn forget(&mut self, connection: &mut Connection, subject: &Subject) -> Result<bool, Error> {
        if subject.is_messenger() || PeerId::from_subject(subject).is_some() {
            return Err(Error::OfMessenger);
        }
        let bytes = subject.to_bytes();
        let transaction = self.begin(connection)?;
        let mark = self.check(&transaction)?;
        // A peer's record names its sessions, and a messenger without one of them would not seal to the peer.
        if !subject.is_device() && Self::has_messenger(&transaction, subject)? {
            return Err(Error::OfMessenger);
        }
        let count = match subject.is_device() {
            true => delete_identity(&transaction, subject)?,
            false => delete(&transaction, subject, |column| format!("{column} = ?1"))?,
        };
        // A backup from before is older now.
        let mark = self.next(&transaction, mark, &[b"forget", &bytes])?;
        transaction.commit()?;
        self.advance(&mark)?;
        Self::erase(connection)?;
        Ok(count > 0)
    }

    /// Erases what was deleted or replaced before.
    pub(crate) fn erase(connection: &Connection) -> Result<(), Error> {
        connection.execute_batch("VACUUM")?;
        let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_busy { Err(Error::LogInUse) } else { Ok(()) }
    }
}
