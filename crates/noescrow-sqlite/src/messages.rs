// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inbox, outbox, and the logs of the ids of opened and of sent messages.

use crate::database::subject_of;
use crate::error::Error;
use noescrow::durable::{InboxMessage, MessageId, OpenedFlags, OutboxMessage, Received, SENT_ID_KEPT, Sent, Subject};
use noescrow::messenger::Control;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Identity, UnixSeconds};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the id of a message is kept after the message was opened: as long as a server may keep a message that was
/// not acknowledged.
pub const MESSAGE_ID_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Returns the id of a message: the first 16 bytes of its SHA-256.
#[must_use]
pub fn message_id(message: &[u8]) -> MessageId {
    RustCrypto.sha256(&[message]).first_chunk().copied().unwrap_or_default()
}

/// Returns the place in the boxes of a message of the commit after `generation`. It is never given twice: each commit
/// has a generation of its own, and at most one message a box. Only the commits of a restored backup that is not
/// accepted have none, whose messages are one after the other.
pub(crate) fn next_position(transaction: &Transaction<'_>, generation: u64) -> Result<u64, Error> {
    let mut query = transaction.prepare_cached(
        "SELECT max(?1, coalesce((SELECT max(position) FROM noescrow_inbox), 0),
                        coalesce((SELECT max(position) FROM noescrow_outbox), 0))",
    )?;
    let highest: i64 = query.query_row([integer(generation)], |row| row.get(0))?;
    Ok(u64::try_from(highest).unwrap_or_default().saturating_add(1))
}

/// Enters a message that was opened, at `position`, and removes expired ids.
pub(crate) fn received(
    transaction: &Transaction<'_>,
    received: &Received,
    position: u64,
    now: UnixSeconds,
) -> Result<(), Error> {
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
        "INSERT INTO noescrow_inbox
             (position, message_id, session, author, number, is_control, plaintext, peer, flags, control)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let author = received.author.map(|author| author.to_bytes());
    let Received { message_id, number, is_control, plaintext, .. } = received;
    let control = received.control.map(|control| control.to_bytes().ok_or(Error::Damaged("a receipt"))).transpose()?;
    let (position, flags) = (integer(position), received.flags.to_bits());
    insert.execute((
        position,
        message_id,
        session,
        author,
        number,
        is_control,
        &plaintext[..],
        peer,
        flags,
        control,
    ))?;
    Ok(())
}

/// Enters a message that was sealed, at `position`.
pub(crate) fn sent(transaction: &Transaction<'_>, sent: &Sent, position: u64) -> Result<(), Error> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO noescrow_outbox (position, message_id, session, message, peer, is_control)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (session, peer) = (sent.session.to_bytes(), sent.peer.map(|peer| peer.to_bytes()));
    insert.execute((integer(position), sent.message_id, session, &sent.message[..], peer, sent.is_control))?;
    Ok(())
}

/// Makes the messages of one peer those of another.
pub(crate) fn merge_peers(transaction: &Transaction<'_>, former: &Subject, present: &Subject) -> Result<(), Error> {
    for table in ["noescrow_inbox", "noescrow_outbox", "noescrow_message_id", "noescrow_sent_id"] {
        let sql = format!("UPDATE {table} SET peer = ?2 WHERE peer = ?1");
        transaction.prepare_cached(&sql)?.execute([former.to_bytes(), present.to_bytes()])?;
    }
    Ok(())
}

/// Deletes the messages of a peer, and their ids. Those of sessions that have ended are the peer's, too.
pub(crate) fn forget_peer(transaction: &Transaction<'_>, peer: &Subject) -> Result<(), Error> {
    for table in ["noescrow_inbox", "noescrow_outbox", "noescrow_message_id", "noescrow_sent_id"] {
        let sql = format!("DELETE FROM {table} WHERE peer = ?1");
        transaction.prepare_cached(&sql)?.execute([peer.to_bytes()])?;
    }
    Ok(())
}

fn peer_of(bytes: Option<Vec<u8>>) -> Result<Option<Subject>, Error> {
    bytes.map(|bytes| subject_of(&bytes)).transpose()
}

/// The columns of the inbox that [`inbox_row`] reads.
const INBOX: &str =
    "SELECT message_id, session, author, number, is_control, plaintext, peer, flags, control FROM noescrow_inbox";

fn inbox_row(row: &Row<'_>) -> Result<InboxMessage, Error> {
    let session = subject_of(row.get_ref(1)?.as_blob().map_err(|_| Error::Damaged("a subject"))?)?;
    let author: Option<[u8; noescrow::IDENTITY_LEN]> = row.get(2)?;
    let author = author.map(|bytes| Identity::from_bytes(&RustCrypto, &bytes)).transpose();
    let control: Option<Vec<u8>> = row.get(8)?;
    let control = control.map(|bytes| Control::from_bytes(&bytes)).transpose();
    let mut message = InboxMessage::new(row.get(0)?, session, Zeroizing::new(row.get(5)?));
    message.author = author.map_err(|_| Error::Damaged("an author"))?;
    message.number = row.get(3)?;
    message.is_control = row.get(4)?;
    message.peer = peer_of(row.get(6)?)?;
    message.flags = OpenedFlags::from_bits(row.get(7)?).map_err(|_| Error::Damaged("flags"))?;
    message.control = control.map_err(|_| Error::Damaged("a control message"))?;
    Ok(message)
}

pub(crate) fn inbox(connection: &Connection, limit: usize) -> Result<Vec<InboxMessage>, Error> {
    let mut query = connection.prepare_cached(&format!("{INBOX} ORDER BY position LIMIT ?1"))?;
    let mut rows = query.query([count(limit)])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        messages.push(inbox_row(row)?);
    }
    Ok(messages)
}

/// Returns one message of the inbox.
fn inbox_message(connection: &Connection, message_id: &MessageId) -> Result<Option<InboxMessage>, Error> {
    let mut query = connection.prepare_cached(&format!("{INBOX} WHERE message_id = ?1"))?;
    let mut rows = query.query([message_id])?;
    rows.next()?.map(inbox_row).transpose()
}

/// Returns the messages of the outbox whose position is greater than `after`.
pub(crate) fn outbox(connection: &Connection, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Error> {
    let mut query = connection.prepare_cached(
        "SELECT position, message_id, session, message, peer, is_control FROM noescrow_outbox
         WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let mut rows = query.query((after.map_or(-1, integer), count(limit)))?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        let position = u64::try_from(row.get::<_, i64>(0)?).map_err(|_| Error::Damaged("a position"))?;
        let session = subject_of(row.get_ref(2)?.as_blob().map_err(|_| Error::Damaged("a subject"))?)?;
        let mut message = OutboxMessage::new(position, row.get(1)?, session, row.get(3)?);
        message.peer = peer_of(row.get(4)?)?;
        message.is_control = row.get(5)?;
        messages.push(message);
    }
    Ok(messages)
}

/// Removes a message from the inbox. Returns whether it was there.
pub(crate) fn take(connection: &Connection, message_id: &MessageId) -> Result<bool, Error> {
    let mut delete = connection.prepare_cached("DELETE FROM noescrow_inbox WHERE message_id = ?1")?;
    Ok(delete.execute([message_id])? > 0)
}

/// Removes a message from the inbox in the transaction in which `keep` keeps it. Returns whether it was there.
pub(crate) fn take_into(
    connection: &mut Connection,
    message_id: &MessageId,
    keep: impl FnOnce(&Transaction<'_>, &InboxMessage) -> rusqlite::Result<()>,
) -> Result<bool, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Some(message) = inbox_message(&transaction, message_id)? else { return Ok(false) };
    keep(&transaction, &message)?;
    take(&transaction, message_id)?;
    transaction.commit()?;
    Ok(true)
}

/// Does the application's own work in one transaction.
pub(crate) fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Result<T, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// Moves a message from the outbox to the log of sent ids, and removes expired ones. Returns whether it was there.
pub(crate) fn acknowledge(
    transaction: &Transaction<'_>,
    message_id: &MessageId,
    now: UnixSeconds,
) -> Result<bool, Error> {
    let oldest = seconds(UnixSeconds(now.0.saturating_sub(SENT_ID_KEPT.as_secs())));
    transaction.prepare_cached("DELETE FROM noescrow_sent_id WHERE acknowledged_at < ?1")?.execute([oldest])?;
    let mut log = transaction.prepare_cached(
        "INSERT OR REPLACE INTO noescrow_sent_id (message_id, session, acknowledged_at, peer)
         SELECT message_id, session, ?2, peer FROM noescrow_outbox WHERE message_id = ?1",
    )?;
    log.execute((message_id, seconds(now)))?;
    let mut delete = transaction.prepare_cached("DELETE FROM noescrow_outbox WHERE message_id = ?1")?;
    Ok(delete.execute([message_id])? > 0)
}

/// Whether a message is in the outbox or in the log of sent ids.
pub(crate) fn was_sealed(connection: &Connection, message_id: &MessageId) -> Result<bool, Error> {
    let mut query = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM noescrow_outbox WHERE message_id = ?1)
             OR EXISTS (SELECT 1 FROM noescrow_sent_id WHERE message_id = ?1)",
    )?;
    Ok(query.query_row([message_id], |row| row.get(0))?)
}

pub(crate) fn opened_at(connection: &Connection, message_id: &MessageId) -> Result<Option<UnixSeconds>, Error> {
    let mut query = connection.prepare_cached("SELECT opened_at FROM noescrow_message_id WHERE message_id = ?1")?;
    let time: Option<i64> = query.query_row([message_id], |row| row.get(0)).optional()?;
    Ok(time.map(|time| UnixSeconds(u64::try_from(time).unwrap_or_default())))
}

/// A time as SQLite stores it. Times after the year 292,000,000,000 are all the same.
fn seconds(time: UnixSeconds) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// A position is at most the generation, which is stored as an integer of SQLite, too.
fn integer(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
