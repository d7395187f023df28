// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Kept`]: what the database has of an attachment. It is [data](crate::PeerData) of its peer, found by the peer and by
//! what is in the value, never by an id alone: ids are chosen by peers, and known to the server.

use crate::attachments::ATTACHMENT_ID_LEN;
use crate::peer_data::{HAS_ID, PeerData};
use noescrow::UnixSeconds;
use noescrow::attachment::{ATTACHMENT_KEY_LEN, AttachmentKey};
use noescrow::durable::{MessageId, Subject};
use noescrow::messenger::PeerId;
use noescrow::primitives::{Primitives, RustCrypto};
use rusqlite::{Connection, OptionalExtension};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an attachment is kept that is not finished: a day longer than servers keep what waits.
/// One whose message was sealed is kept for longer, while the message waits or its id is in the log of sent ids.
pub const ATTACHMENT_KEPT: Duration = Duration::from_secs(31 * 86_400);
/// Number of received attachments that are kept of a peer, some 200 kB. Of more, the oldest are deleted.
pub const MAX_RECEIVED_ATTACHMENTS: usize = 1_000;

/// A value begins with the id, which SQLite compares.
const _: () = assert!(ATTACHMENT_ID_LEN == 16);
/// Where the time and the last field begin in a value. SQLite counts from 1.
const TIME: &str = "substr(value, 57, 8)";
const ID: &str = "substr(value, 1, 16)";
const SOURCE: &str = "substr(value, 65, 32)";
/// Where the id of the message begins that has been sealed, if one has.
const MESSAGE_ID: &str = "substr(value, 97)";

/// Whether an attachment is sent or received. Each has names of its own, so that one is not taken for the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Sent,
    Received,
}

impl Direction {
    /// With this begin the names of its data and of its files.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Sent => "noescrow-sent-",
            Self::Received => "noescrow-received-",
        }
    }

    fn pattern(self) -> String {
        format!("{}*", self.prefix())
    }
}

/// What is kept of an attachment.
pub(crate) struct Kept {
    pub(crate) id: [u8; ATTACHMENT_ID_LEN],
    pub(crate) key: AttachmentKey,
    pub(crate) content_len: u64,
    /// When it was begun, or its message was received.
    pub(crate) time: UnixSeconds,
    pub(crate) of: Of,
}

/// What else is kept.
pub(crate) enum Of {
    /// A file that is sent: a hash of its path, length and times, and the message that was sealed, which has the key.
    Source { source: [u8; 32], message_id: Option<MessageId> },
    /// A file that was received: whether from an identity that the peer had before.
    Message { is_former_identity: bool },
}

impl Kept {
    /// The value: id (16), key (32), length (8), time (8), and one byte, or source (32) and the message's id (16) if there is
    /// one. Then the key is zeros. Numbers are big-endian.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let key = Zeroizing::new(self.key.to_bytes());
        let (len, time) = (self.content_len.to_be_bytes(), self.time.0.to_be_bytes());
        let (last, message_id) = match &self.of {
            Of::Source { source, message_id } => (&source[..], message_id.as_ref().map_or(&[][..], |id| &id[..])),
            Of::Message { is_former_identity } => (&[u8::from(*is_former_identity)][..], &[][..]),
        };
        Zeroizing::new([&self.id[..], &key[..], &len, &time, last, message_id].concat())
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (id, rest) = value.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk::<ATTACHMENT_KEY_LEN>()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (time, last) = rest.split_first_chunk()?;
        let of = match last {
            [is_former @ (0 | 1)] => Of::Message { is_former_identity: *is_former == 1 },
            _ => {
                let (source, message_id) = last.split_first_chunk()?;
                let message_id = if message_id.is_empty() { None } else { Some(message_id.try_into().ok()?) };
                Of::Source { source: *source, message_id }
            }
        };
        Some(Self {
            id: *id,
            key: AttachmentKey::from_bytes(*key),
            content_len: u64::from_be_bytes(*len),
            time: UnixSeconds(u64::from_be_bytes(*time)),
            of,
        })
    }

    /// The message that has the key.
    pub(crate) const fn message_id(&self) -> Option<MessageId> {
        match self.of {
            Of::Source { message_id, .. } => message_id,
            Of::Message { .. } => None,
        }
    }
}

/// The name of the data and of the file of one that is sent. It is used once, so that a sealed file is never taken for one
/// under another key.
pub(crate) fn name_of_sent(id: &[u8; ATTACHMENT_ID_LEN]) -> String {
    Direction::Sent.prefix().to_owned() + &hexadecimal(id)
}

/// The name of the data and of the file of one that was received.
pub(crate) fn name_of_received(peer: &PeerId, id: &[u8; ATTACHMENT_ID_LEN]) -> String {
    Direction::Received.prefix().to_owned() + &hexadecimal(&RustCrypto.sha256(&[peer.as_bytes(), id]))
}

/// An attachment with its name, and whether the value is one that this crate writes.
pub(crate) type Found = Option<(String, Option<Kept>)>;

/// Returns what was received from this peer under this id.
pub(crate) fn received(sql: &Connection, peer: &PeerId, id: &[u8; ATTACHMENT_ID_LEN]) -> rusqlite::Result<Found> {
    find(sql, peer, Direction::Received, ID, id)
}

/// Returns what was begun to send to this peer of this source.
pub(crate) fn begun(sql: &Connection, peer: &PeerId, source: &[u8; 32]) -> rusqlite::Result<Found> {
    find(sql, peer, Direction::Sent, SOURCE, source)
}

/// A message to this peer is sealed: the key of what was begun under this name is replaced by the message's id. Returns
/// whether there was one.
pub(crate) fn seal(sql: &Connection, peer: &PeerId, name: &str, message_id: MessageId) -> rusqlite::Result<bool> {
    let kept = sql.peer_data(peer, name)?.and_then(|value| Kept::decode(&value));
    let Some(Kept { id, content_len, time, of: Of::Source { source, message_id: None }, .. }) = kept else {
        return Ok(false);
    };
    let (key, of) = (AttachmentKey::from_bytes([0; _]), Of::Source { source, message_id: Some(message_id) });
    sql.set_peer_data(peer, name, &Kept { id, key, content_len, time, of }.encode())
}

/// Whether the sealed file of this name is still to be sent or received.
pub(crate) fn needs_file(sql: &Connection, name: &str) -> rusqlite::Result<bool> {
    let query = format!("SELECT EXISTS (SELECT 1 FROM noescrow_peer_data WHERE name = ?1 AND {MESSAGE_ID} = x'')");
    sql.prepare_cached(&query)?.query_row([name], |row| row.get(0))
}

/// Deletes what has this name, whoever's it is now, unless its message waits in the outbox.
pub(crate) fn end(sql: &Connection, name: &str) -> rusqlite::Result<()> {
    let delete = format!(
        "DELETE FROM noescrow_peer_data
         WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM noescrow_outbox WHERE message_id = {MESSAGE_ID})"
    );
    sql.prepare_cached(&delete)?.execute([name])?;
    Ok(())
}

/// Deletes what was sent to this peer and has a message that does not wait in the outbox.
pub(crate) fn end_sealed(sql: &Connection, peer: &PeerId) -> rusqlite::Result<()> {
    let delete = format!(
        "DELETE FROM noescrow_peer_data WHERE {HAS_ID} = ?1 AND name GLOB ?2 AND {MESSAGE_ID} <> x''
         AND NOT EXISTS (SELECT 1 FROM noescrow_outbox WHERE message_id = {MESSAGE_ID})"
    );
    sql.prepare_cached(&delete)?.execute((peer.as_bytes(), Direction::Sent.pattern()))?;
    Ok(())
}

/// The newest of a peer whose field is this one.
fn find(sql: &Connection, peer: &PeerId, of: Direction, field: &str, is: &[u8]) -> rusqlite::Result<Found> {
    let query = format!(
        "SELECT name, value FROM noescrow_peer_data
         WHERE {HAS_ID} = ?1 AND name GLOB ?2 AND {field} = ?3 ORDER BY position DESC LIMIT 1"
    );
    let key = (peer.as_bytes(), of.pattern(), is);
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Zeroizing::new(row.get::<_, Vec<u8>>(1)?)));
    let found = sql.prepare_cached(&query)?.query_row(key, read).optional()?;
    Ok(found.map(|(name, value)| (name, Kept::decode(&value))))
}

/// Deletes what has expired. What has a message that waits or was sent is kept while that is known: otherwise a command that
/// is repeated would send a second one.
pub(crate) fn expire(sql: &Connection, of: Direction, now: UnixSeconds) -> rusqlite::Result<()> {
    let oldest = now.0.saturating_sub(ATTACHMENT_KEPT.as_secs()).to_be_bytes();
    let condition = format!(
        "name GLOB ?1 AND {TIME} < ?2
         AND NOT EXISTS (SELECT 1 FROM noescrow_outbox WHERE message_id = {MESSAGE_ID})
         AND NOT EXISTS (SELECT 1 FROM noescrow_sent_id WHERE message_id = {MESSAGE_ID})"
    );
    // Nothing is written when there is nothing.
    let exists = format!("SELECT EXISTS (SELECT 1 FROM noescrow_peer_data WHERE {condition})");
    if sql.prepare_cached(&exists)?.query_row((of.pattern(), oldest), |row| row.get(0))? {
        let delete = format!("DELETE FROM noescrow_peer_data WHERE {condition}");
        sql.prepare_cached(&delete)?.execute((of.pattern(), oldest))?;
    }
    Ok(())
}

/// Deletes the oldest that were received of this peer, beyond the number that is kept.
pub(crate) fn limit(sql: &Connection, peer: &PeerId) -> rusqlite::Result<()> {
    let delete = format!(
        "DELETE FROM noescrow_peer_data WHERE position IN (
             SELECT position FROM noescrow_peer_data WHERE {HAS_ID} = ?1 AND name GLOB ?2
             ORDER BY position DESC LIMIT -1 OFFSET {MAX_RECEIVED_ATTACHMENTS})"
    );
    sql.prepare_cached(&delete)?.execute((peer.as_bytes(), Direction::Received.pattern()))?;
    Ok(())
}

/// Before what is kept of one peer becomes another's: of two files of one id, the former one's stays, as of other data.
pub(crate) fn merge(sql: &Connection, former: &Subject, present: &Subject) -> rusqlite::Result<()> {
    let delete = format!(
        "DELETE FROM noescrow_peer_data WHERE peer = ?2 AND name GLOB ?3 AND {ID} IN (
             SELECT {ID} FROM noescrow_peer_data WHERE peer = ?1 AND name GLOB ?3)"
    );
    sql.prepare_cached(&delete)?.execute((former.to_bytes(), present.to_bytes(), Direction::Received.pattern()))?;
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
