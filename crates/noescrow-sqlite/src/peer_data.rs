// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`PeerData`]: what an application keeps of a messenger's peers.

use crate::blocking::SqliteStore;
use crate::database::subject_of;
use crate::error::Error;
use crate::kept;
use noescrow::durable::Subject;
use noescrow::messenger::PeerId;
use rusqlite::{Connection, OptionalExtension, Transaction};
use zeroize::Zeroizing;

/// A value that is kept of a peer. It is wiped when it is dropped.
pub type PeerValue = Zeroizing<Vec<u8>>;

/// What an application keeps of a messenger's peers: values of any length, each with a name, as a peer's access key or
/// settings of a conversation.
///
/// They follow the messenger, in the transactions of its steps: what is kept of a peer is deleted with the peer and, when
/// two peers turn out to be one, becomes the other one's, whose own value of the same name is replaced. So the
/// application has nothing to do when it forgets a peer, deletes the account, or a stranger is evicted.
///
/// These are methods of the transactions that [`SqliteStore::transact`], [`SqliteStore::take_into`] and
/// [`SqliteStore::with_next`] pass, and of the same of the asynchronous store. [`SqliteStore`] has them for one value.
///
/// Names that begin with `noescrow-` are this crate's, for [attachments](crate::Attachment).
///
/// # Security
/// Values are not encrypted, like the inbox. What a peer sends does not choose a name: it could be that of another value, and
/// there would be no bound.
pub trait PeerData {
    /// Returns the value of this name of a peer.
    ///
    /// # Errors
    /// Those of SQLite.
    fn peer_data(&self, peer: &PeerId, name: &str) -> rusqlite::Result<Option<PeerValue>>;

    /// Returns the values of this name of all peers, the oldest first.
    ///
    /// # Security
    /// If a peer or a server has chosen what is looked for, as an id, use [`peer_data`](Self::peer_data): another peer may have
    /// sent the same.
    ///
    /// # Errors
    /// Those of SQLite.
    fn data_of_peers(&self, name: &str) -> rusqlite::Result<Vec<(PeerId, PeerValue)>>;

    /// Sets the value of this name of a peer. Returns whether there is such a peer; of none, nothing is kept.
    ///
    /// # Errors
    /// Those of SQLite.
    fn set_peer_data(&self, peer: &PeerId, name: &str, value: &[u8]) -> rusqlite::Result<bool>;

    /// Deletes the value of this name of a peer. Returns whether there was one.
    ///
    /// # Errors
    /// Those of SQLite.
    fn remove_peer_data(&self, peer: &PeerId, name: &str) -> rusqlite::Result<bool>;
}

/// The id of a peer within its subject. SQLite counts from 1.
pub(crate) const HAS_ID: &str = "substr(peer, 66, 16)";

impl PeerData for Connection {
    fn peer_data(&self, peer: &PeerId, name: &str) -> rusqlite::Result<Option<PeerValue>> {
        let sql = format!("SELECT value FROM noescrow_peer_data WHERE name = ?1 AND {HAS_ID} = ?2");
        let value = self.prepare_cached(&sql)?.query_row((name, peer.as_bytes()), |row| row.get(0)).optional()?;
        Ok(value.map(Zeroizing::new))
    }

    fn data_of_peers(&self, name: &str) -> rusqlite::Result<Vec<(PeerId, PeerValue)>> {
        let sql = format!("SELECT {HAS_ID}, value FROM noescrow_peer_data WHERE name = ?1 ORDER BY position");
        let mut query = self.prepare_cached(&sql)?;
        let rows = query.query_map([name], |row| Ok((PeerId::from_bytes(row.get(0)?), Zeroizing::new(row.get(1)?))))?;
        rows.collect()
    }

    fn set_peer_data(&self, peer: &PeerId, name: &str, value: &[u8]) -> rusqlite::Result<bool> {
        let Some(subject) = subject_of_peer(self, peer)? else { return Ok(false) };
        let mut insert = self.prepare_cached(
            "INSERT INTO noescrow_peer_data (peer, name, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (name, peer) DO UPDATE SET value = excluded.value",
        )?;
        insert.execute((subject.to_bytes(), name, value))?;
        Ok(true)
    }

    fn remove_peer_data(&self, peer: &PeerId, name: &str) -> rusqlite::Result<bool> {
        let sql = format!("DELETE FROM noescrow_peer_data WHERE name = ?1 AND {HAS_ID} = ?2");
        Ok(self.prepare_cached(&sql)?.execute((name, peer.as_bytes()))? > 0)
    }
}

/// Returns the subject of a peer that has rows.
fn subject_of_peer(connection: &Connection, peer: &PeerId) -> rusqlite::Result<Option<Subject>> {
    let mut query =
        connection.prepare_cached("SELECT DISTINCT subject FROM noescrow_row WHERE substr(subject, 66, 16) = ?1")?;
    let mut rows = query.query([peer.as_bytes()])?;
    while let Some(row) = rows.next()? {
        // An id of a session may begin like this.
        let subject = subject_of(row.get_ref(0)?.as_blob()?).ok();
        if let Some(subject) = subject.filter(|subject| PeerId::from_subject(subject) == Some(*peer)) {
            return Ok(Some(subject));
        }
    }
    Ok(None)
}

/// Makes what is kept of one peer another's.
pub(crate) fn merge(transaction: &Transaction<'_>, former: &Subject, present: &Subject) -> Result<(), Error> {
    kept::merge(transaction, former, present)?;
    let mut update =
        transaction.prepare_cached("UPDATE OR REPLACE noescrow_peer_data SET peer = ?2 WHERE peer = ?1")?;
    update.execute([former.to_bytes(), present.to_bytes()])?;
    Ok(())
}

/// Deletes what is kept of a peer.
pub(crate) fn forget(transaction: &Transaction<'_>, peer: &Subject) -> Result<(), Error> {
    let mut delete = transaction.prepare_cached("DELETE FROM noescrow_peer_data WHERE peer = ?1")?;
    delete.execute([peer.to_bytes()])?;
    Ok(())
}

/// Data of peers, one value a call: see [`PeerData`], whose methods are the same within a transaction.
impl SqliteStore {
    /// Returns [`PeerData::peer_data`].
    ///
    /// # Errors
    /// [`Error`].
    pub fn peer_data(&self, peer: &PeerId, name: &str) -> Result<Option<PeerValue>, Error> {
        Ok(self.connection.peer_data(peer, name)?)
    }

    /// Returns [`PeerData::data_of_peers`].
    ///
    /// # Errors
    /// [`Error`].
    pub fn data_of_peers(&self, name: &str) -> Result<Vec<(PeerId, PeerValue)>, Error> {
        Ok(self.connection.data_of_peers(name)?)
    }

    /// Calls [`PeerData::set_peer_data`], in a transaction.
    ///
    /// # Errors
    /// [`Error`].
    pub fn set_peer_data(&mut self, peer: &PeerId, name: &str, value: &[u8]) -> Result<bool, Error> {
        self.transact(|transaction| transaction.set_peer_data(peer, name, value))
    }

    /// Calls [`PeerData::remove_peer_data`].
    ///
    /// # Errors
    /// [`Error`].
    pub fn remove_peer_data(&mut self, peer: &PeerId, name: &str) -> Result<bool, Error> {
        Ok(self.connection.remove_peer_data(peer, name)?)
    }
}
