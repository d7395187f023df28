// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inbox, outbox, and the log of message ids.

use crate::database::subject_of;
use crate::error::Error;
use noescrow::durable::{MESSAGE_ID_LEN, Received, Sent, Subject};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Identity, UnixSeconds};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the id of a message is kept after the message was opened: as long as a server may keep a message that was
/// not acknowledged.
pub const MESSAGE_ID_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A message that was opened, from the inbox. The plaintext is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxMessage {
    /// The first 16 bytes of the message's SHA-256.
    pub message_id: [u8; MESSAGE_ID_LEN],
    /// The session that opened it.
    pub session: Subject,
    /// The messenger's peer that wrote it, or `None` without a messenger.
    pub peer: Option<Subject>,
    /// The author, or `None` in a session of a foreign handshake.
    pub author: Option<Identity>,
    /// [`Opened::number`](noescrow::Opened::number).
    pub number: u32,
    /// [`Opened::is_control`](noescrow::Opened::is_control).
    pub is_control: bool,
    /// The plaintext.
    pub plaintext: Zeroizing<Vec<u8>>,
}

/// A message that was sealed, from the outbox.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxMessage {
    /// The first 16 bytes of the message's SHA-256.
    pub message_id: [u8; MESSAGE_ID_LEN],
    /// The session that sealed it.
    pub session: Subject,
    /// The messenger's peer for whom it is, or `None` without a messenger.
    pub peer: Option<Subject>,
    /// The bytes to send, the same at each attempt.
    pub message: Vec<u8>,
}

/// Returns the id of a message: the first 16 bytes of its SHA-256.
#[must_use]
pub fn message_id(message: &[u8]) -> [u8; MESSAGE_ID_LEN] {
    RustCrypto.sha256(&[message]).first_chunk().copied().unwrap_or_default()
}

/// Enters a message that was opened, and removes expired ids.
pub(crate) fn received(transaction: &Transaction<'_>, received: &Received, now: UnixSeconds) -> Result<(), Error> {
    let oldest = seconds(UnixSeconds(now.0.saturating_sub(MESSAGE_ID_KEPT.as_secs())));
    transaction.prepare_cached("DELETE FROM noescrow_message_id WHERE opened_at < ?1")?.execute([oldest])?;
    let session = received.session.to_bytes();
    let mut log = transaction.prepare_cached(
        "INSERT INTO noescrow_message_id (message_id, session, opened_at, peer) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let peer = received.peer.map(|peer| peer.to_bytes());
    log.execute((received.message_id, session, seconds(now), peer)).map_err(|error| {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Error::OpenedBefore,
            _ => error.into(),
        }
    })?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO noescrow_inbox (message_id, session, author, number, is_control, plaintext, peer)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let author = received.author.map(|author| author.to_bytes());
    let Received { message_id, number, is_control, plaintext, .. } = received;
    insert.execute((message_id, session, author, number, is_control, &plaintext[..], peer))?;
    Ok(())
}

/// Enters a message that was sealed.
pub(crate) fn sent(transaction: &Transaction<'_>, sent: &Sent) -> Result<(), Error> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO noescrow_outbox (message_id, session, message, peer) VALUES (?1, ?2, ?3, ?4)")?;
    let peer = sent.peer.map(|peer| peer.to_bytes());
    insert.execute((sent.message_id, sent.session.to_bytes(), &sent.message[..], peer))?;
    Ok(())
}

/// Makes the messages of one peer those of another.
pub(crate) fn merge_peers(transaction: &Transaction<'_>, former: &Subject, present: &Subject) -> Result<(), Error> {
    for table in ["noescrow_inbox", "noescrow_outbox", "noescrow_message_id"] {
        let sql = format!("UPDATE {table} SET peer = ?2 WHERE peer = ?1");
        transaction.prepare_cached(&sql)?.execute([former.to_bytes(), present.to_bytes()])?;
    }
    Ok(())
}

/// Deletes the messages of a peer or session, and their ids.
pub(crate) fn forget(transaction: &Transaction<'_>, subject: &Subject) -> Result<(), Error> {
    for sql in [
        "DELETE FROM noescrow_inbox WHERE peer = ?1",
        "DELETE FROM noescrow_outbox WHERE peer = ?1",
        "DELETE FROM noescrow_message_id WHERE session = ?1",
        // Of sessions that had ended before.
        "DELETE FROM noescrow_message_id WHERE peer = ?1",
    ] {
        transaction.prepare_cached(sql)?.execute([subject.to_bytes()])?;
    }
    Ok(())
}

fn peer_of(bytes: Option<Vec<u8>>) -> Result<Option<Subject>, Error> {
    bytes.map(|bytes| subject_of(&bytes)).transpose()
}

pub(crate) fn inbox(connection: &Connection, limit: usize) -> Result<Vec<InboxMessage>, Error> {
    let mut query = connection.prepare_cached(
        "SELECT message_id, session, author, number, is_control, plaintext, peer FROM noescrow_inbox
         ORDER BY position LIMIT ?1",
    )?;
    let mut rows = query.query([count(limit)])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        let author: Option<[u8; noescrow::IDENTITY_LEN]> = row.get(2)?;
        let author = author.map(|bytes| Identity::from_bytes(&RustCrypto, &bytes)).transpose();
        messages.push(InboxMessage {
            message_id: row.get(0)?,
            session: subject_of(row.get_ref(1)?.as_blob().map_err(|_| Error::Damaged("a subject"))?)?,
            author: author.map_err(|_| Error::Damaged("an author"))?,
            number: row.get(3)?,
            is_control: row.get(4)?,
            plaintext: Zeroizing::new(row.get(5)?),
            peer: peer_of(row.get(6)?)?,
        });
    }
    Ok(messages)
}

pub(crate) fn outbox(connection: &Connection, limit: usize) -> Result<Vec<OutboxMessage>, Error> {
    let mut query = connection
        .prepare_cached("SELECT message_id, session, message, peer FROM noescrow_outbox ORDER BY position LIMIT ?1")?;
    let mut rows = query.query([count(limit)])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        let session = subject_of(row.get_ref(1)?.as_blob().map_err(|_| Error::Damaged("a subject"))?)?;
        let peer = peer_of(row.get(3)?)?;
        messages.push(OutboxMessage { message_id: row.get(0)?, session, peer, message: row.get(2)? });
    }
    Ok(messages)
}

/// Removes a message from the inbox. Returns whether it was there.
pub(crate) fn remove(connection: &Connection, message_id: &[u8; MESSAGE_ID_LEN]) -> Result<bool, Error> {
    let mut delete = connection.prepare_cached("DELETE FROM noescrow_inbox WHERE message_id = ?1")?;
    Ok(delete.execute([message_id])? > 0)
}

/// Removes a message from the outbox. Returns whether it was there.
pub(crate) fn acknowledge(connection: &Connection, message_id: &[u8; MESSAGE_ID_LEN]) -> Result<bool, Error> {
    let mut delete = connection.prepare_cached("DELETE FROM noescrow_outbox WHERE message_id = ?1")?;
    Ok(delete.execute([message_id])? > 0)
}

pub(crate) fn opened_at(
    connection: &Connection,
    message_id: &[u8; MESSAGE_ID_LEN],
) -> Result<Option<UnixSeconds>, Error> {
    let mut query = connection.prepare_cached("SELECT opened_at FROM noescrow_message_id WHERE message_id = ?1")?;
    let time: Option<i64> = query.query_row([message_id], |row| row.get(0)).optional()?;
    Ok(time.map(|time| UnixSeconds(u64::try_from(time).unwrap_or_default())))
}

/// A time as SQLite stores it. Times after the year 292,000,000,000 are all the same.
fn seconds(time: UnixSeconds) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Shows the length only.
impl fmt::Debug for InboxMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_id: _, session: _, peer: _, author: _, number: _, is_control: _, plaintext } = self;
        f.debug_struct("InboxMessage").field("plaintext_len", &plaintext.len()).finish_non_exhaustive()
    }
}

/// Shows the length only.
impl fmt::Debug for OutboxMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_id: _, session: _, peer: _, message } = self;
        f.debug_struct("OutboxMessage").field("message_len", &message.len()).finish_non_exhaustive()
    }
}
