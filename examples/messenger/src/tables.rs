// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client keeps beside its messenger, in the same database and in the same transactions: the access keys of the
//! peers' mailboxes, and the files that are being sent or were received.

use crate::FILE_ID_LEN;
use crate::content::Content;
use noescrow::ACCESS_KEY_LEN;
use noescrow::attachment::ATTACHMENT_KEY_LEN;
use noescrow::durable::{Batch, InboxMessage};
use noescrow::messenger::PeerId;
use noescrow_sqlite::rusqlite::{OptionalExtension as _, Result, Transaction};
use std::fmt;

/// The tables. A file that is being sent has a source; one that was received has none.
pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS access (peer BLOB PRIMARY KEY, key BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS files (id BLOB PRIMARY KEY, peer BLOB NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,
        source TEXT);";

/// A file whose key is known.
#[derive(Clone, Copy)]
pub struct File {
    /// Its id at the server.
    pub id: [u8; FILE_ID_LEN],
    /// The attachment's key.
    pub key: [u8; ATTACHMENT_KEY_LEN],
    /// Length in bytes of the content.
    pub size: u32,
}

/// Follows a step: what is kept of a peer ends with the peer, or becomes another one's.
///
/// # Errors
/// Those of the database.
pub fn follow(tables: &Transaction<'_>, batch: &Batch) -> Result<()> {
    let id = |subject| PeerId::from_subject(subject).map(PeerId::to_bytes);
    for (stranger, peer) in batch.merged.iter().filter_map(|(stranger, peer)| id(stranger).zip(id(peer))) {
        tables.execute("UPDATE OR REPLACE access SET peer = ?1 WHERE peer = ?2", [peer, stranger])?;
        tables.execute("UPDATE files SET peer = ?1 WHERE peer = ?2", [peer, stranger])?;
    }
    for peer in batch.ended.iter().filter_map(id) {
        tables.execute("DELETE FROM access WHERE peer = ?1", [peer])?;
        tables.execute("DELETE FROM files WHERE peer = ?1", [peer])?;
    }
    Ok(())
}

/// Keeps what a message says. A former device of the peer says nothing of its mailbox.
///
/// # Errors
/// Those of the database.
pub fn keep(tables: &Transaction<'_>, message: &InboxMessage, content: &Content) -> Result<()> {
    let Some(peer) = message.peer.as_ref().and_then(PeerId::from_subject) else { return Ok(()) };
    if !message.flags.is_former_identity {
        tables.execute("INSERT OR REPLACE INTO access VALUES (?1, ?2)", (peer.as_bytes(), content.access))?;
    }
    if let Some(file) = &content.file {
        // Nobody replaces the key of another one's file.
        let row = (file.id, peer.as_bytes(), file.key, file.size);
        tables.execute("INSERT OR IGNORE INTO files VALUES (?1, ?2, ?3, ?4, NULL)", row)?;
    }
    Ok(())
}

/// Returns the access key that a peer has sent last.
///
/// # Errors
/// Those of the database.
pub fn access_key(tables: &Transaction<'_>, peer: &PeerId) -> Result<Option<[u8; ACCESS_KEY_LEN]>> {
    let key = "SELECT key FROM access WHERE peer = ?1";
    tables.query_row(key, [peer.as_bytes()], |row| row.get(0)).optional()
}

/// Returns a file that is being sent from this source, or that was received.
///
/// # Errors
/// Those of the database.
pub fn file(tables: &Transaction<'_>, of: Of<'_>) -> Result<Option<File>> {
    let of_row =
        |row: &noescrow_sqlite::rusqlite::Row<'_>| Ok(File { id: row.get(0)?, key: row.get(1)?, size: row.get(2)? });
    match of {
        Of::Source(peer, source) => {
            let sent = "SELECT id, key, size FROM files WHERE peer = ?1 AND source = ?2";
            tables.query_row(sent, (peer.as_bytes(), source), of_row).optional()
        }
        Of::Received(id) => {
            let received = "SELECT id, key, size FROM files WHERE id = ?1 AND source IS NULL";
            tables.query_row(received, [id], of_row).optional()
        }
    }
}

/// Which file.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// The one that is being sent to this peer from this source.
    Source(&'a PeerId, &'a str),
    /// The one that was received with this id.
    Received(&'a [u8; FILE_ID_LEN]),
}

/// Keeps a file that is being sent.
///
/// # Errors
/// Those of the database.
pub fn begin(tables: &Transaction<'_>, file: &File, peer: &PeerId, source: &str) -> Result<()> {
    let row = (file.id, peer.as_bytes(), file.key, file.size, source);
    tables.execute("INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5)", row).map(drop)
}

/// Forgets a file. Returns whether it was known.
///
/// # Errors
/// Those of the database.
pub fn end(tables: &Transaction<'_>, id: &[u8; FILE_ID_LEN]) -> Result<bool> {
    Ok(tables.execute("DELETE FROM files WHERE id = ?1", [id])? > 0)
}

/// Whether a file is known, by its id in hexadecimal.
///
/// # Errors
/// Those of the database.
pub fn is_known(tables: &Transaction<'_>, id: &str) -> Result<bool> {
    let known = "SELECT EXISTS (SELECT 1 FROM files WHERE lower(hex(id)) = ?1)";
    tables.query_row(known, [id], |row| row.get(0))
}

/// Shows the length.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, key: _, size } = self;
        f.debug_struct("File").field("size", size).finish_non_exhaustive()
    }
}

/// Shows which kind.
impl fmt::Debug for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source(..) => "Source(..)",
            Self::Received(..) => "Received(..)",
        })
    }
}
