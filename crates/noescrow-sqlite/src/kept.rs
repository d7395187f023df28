// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Kept`]: what the database has of an attachment. It is [data](crate::PeerData) of its peer, found by the peer and by
//! what is in the value, never by an id alone: ids are chosen by peers, and known to the server.

use crate::attachments::ATTACHMENT_ID_LEN;
use crate::peer_data::HAS_ID;
use noescrow::UnixSeconds;
use noescrow::attachment::{ATTACHMENT_KEY_LEN, AttachmentKey};
use noescrow::durable::Subject;
use noescrow::messenger::PeerId;
use noescrow::primitives::{Primitives, RustCrypto};
use rusqlite::{Connection, OptionalExtension};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an attachment is kept that is not finished: a day longer than servers keep what waits.
pub const ATTACHMENT_KEPT: Duration = Duration::from_secs(31 * 86_400);
/// Number of received attachments that are kept of a peer, some 200 kB. Of more, the oldest are deleted.
pub const MAX_RECEIVED_ATTACHMENTS: usize = 1_000;

/// A value begins with the id, which SQLite compares.
const _: () = assert!(ATTACHMENT_ID_LEN == 16);
/// Where the time and the last field begin in a value. SQLite counts from 1.
const TIME: &str = "substr(value, 57, 8)";
const ID: &str = "substr(value, 1, 16)";
const SOURCE: &str = "substr(value, 65)";

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
    /// A file that is sent: a hash of its path, length and times.
    Source([u8; 32]),
    /// A file that was received: whether from an identity that the peer had before.
    Message { is_former_identity: bool },
}

impl Kept {
    /// The value: id (16), key (32), length (8), time (8), and source (32) or one byte. Numbers are big-endian.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (key, len, time) = (self.key.to_bytes(), self.content_len.to_be_bytes(), self.time.0.to_be_bytes());
        let last = match &self.of {
            Of::Source(source) => &source[..],
            Of::Message { is_former_identity } => &[u8::from(*is_former_identity)],
        };
        Zeroizing::new([&self.id[..], &key[..], &len, &time, last].concat())
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (id, rest) = value.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk::<ATTACHMENT_KEY_LEN>()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (time, last) = rest.split_first_chunk()?;
        let of = match last {
            [is_former @ (0 | 1)] => Of::Message { is_former_identity: *is_former == 1 },
            source => Of::Source(source.try_into().ok()?),
        };
        Some(Self {
            id: *id,
            key: AttachmentKey::from_bytes(*key),
            content_len: u64::from_be_bytes(*len),
            time: UnixSeconds(u64::from_be_bytes(*time)),
            of,
        })
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

/// Deletes what has expired.
pub(crate) fn expire(sql: &Connection, of: Direction, now: UnixSeconds) -> rusqlite::Result<()> {
    let oldest = now.0.saturating_sub(ATTACHMENT_KEPT.as_secs()).to_be_bytes();
    let condition = format!("name GLOB ?1 AND {TIME} < ?2");
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
