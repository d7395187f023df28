// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Attachment`]: a file that is being sent to a peer, or was received from one, across crashes and cuts.

use crate::blocking::SqliteStore;
use crate::error::Error;
use crate::folder::Folder;
use crate::peer_data::PeerData;
use noescrow::attachment::{ATTACHMENT_KEY_LEN, AttachmentKey, Download, Upload};
use noescrow::durable::{Exclusive, Mailboxes};
use noescrow::messenger::PeerId;
use noescrow::primitives::{Primitives, RustCrypto};
use rand_core::CryptoRng;
use rusqlite::Connection;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Length in bytes of an attachment's id.
pub const ATTACHMENT_ID_LEN: usize = 16;
/// The lock under which a file is sent.
pub(crate) const SENDING: &str = "files";
/// The lock under which a file is fetched.
const FETCHING: &str = "fetch";

/// A file that is being sent to a peer, or was received from one. Its key is [data](PeerData) of the peer, and its sealed
/// bytes are a [file](Folder::file) of the same name, so that both end with the peer.
///
/// To send one: [`Folder::attach`], [`upload`](Self::upload) what the server lacks, [`sent_with_next`](Self::sent_with_next),
/// seal the message that has id, key and length, and [`remove`](Self::remove). A process that was cut calls the same again:
/// the file is sealed once, and the message is saved once.
///
/// To receive one: [`keep`](Self::keep) it in the transaction that takes the message out of the inbox, later
/// [`Folder::attachment`], [`download`](Self::download) the rest, and [`finish`](Self::finish).
pub struct Attachment {
    /// Its random id, by which the server knows it.
    pub id: [u8; ATTACHMENT_ID_LEN],
    /// What opens it.
    pub key: AttachmentKey,
    /// Length in bytes of the content.
    pub content_len: u64,
    peer: PeerId,
    /// Of the data and of the sealed file.
    name: String,
    sealed: PathBuf,
    _lock: Exclusive,
}

impl Folder {
    /// Begins to send a file to a peer, or continues: seals it, and keeps its key, unless that was done. The sealed file has
    /// at most `max_len` bytes. Another process that sends a file waits while this attachment is used.
    ///
    /// A file counts as the same while path, length and time of the last change are.
    ///
    /// # Errors
    /// [`Error::Attachment`], [`Error::Folder`], or another one of the store. [`Error::NoPeer`].
    pub fn attach(
        &self,
        store: &mut SqliteStore,
        peer: &PeerId,
        content: &Path,
        max_len: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Attachment, Error> {
        let lock = store.exclusively(SENDING)?;
        let metadata = fs::metadata(content).map_err(Error::Folder)?;
        let changed = metadata.modified().map_err(Error::Folder)?;
        let source = format!("{content:?} {} {changed:?}", metadata.len());
        let source = RustCrypto.sha256(&[peer.as_bytes(), source.as_bytes()]);
        let name = format!("sent-{}", hexadecimal(&source));
        let sealed = self.file(&name)?;
        if let Some(begun) = store.peer_data(peer, &name)? {
            return Attachment::decode(&begun, *peer, name, sealed, lock);
        }
        let mut id = [0; ATTACHMENT_ID_LEN];
        rng.fill_bytes(&mut id);
        let key = Upload::prepare(content, &sealed, max_len, rng).map_err(Error::Attachment)?;
        if !store.set_peer_data(peer, &name, &encode(&id, &key, metadata.len()))? {
            fs::remove_file(sealed).map_err(Error::Folder)?;
            return Err(Error::NoPeer);
        }
        Ok(Attachment { id, key, content_len: metadata.len(), peer: *peer, name, sealed, _lock: lock })
    }

    /// Returns a file that was [received](Attachment::keep) and not yet [finished](Attachment::finish). If several peers
    /// have sent one of this id, it is the first one's. Another process that fetches a file waits while this attachment is
    /// used.
    ///
    /// # Errors
    /// [`Error`].
    pub fn attachment(
        &self,
        store: &mut SqliteStore,
        id: &[u8; ATTACHMENT_ID_LEN],
    ) -> Result<Option<Attachment>, Error> {
        let (lock, name) = (store.exclusively(FETCHING)?, hexadecimal(id));
        let received = store.data_of_peers(&name)?;
        let Some((peer, value)) = received.first() else { return Ok(None) };
        let sealed = self.file(&name)?;
        Attachment::decode(value, *peer, name, sealed, lock).map(Some)
    }
}

impl Attachment {
    /// Keeps the key of a file that a message of this peer names, in a transaction of the store. Returns whether there is
    /// such a peer.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn keep(
        transaction: &Connection,
        peer: &PeerId,
        id: &[u8; ATTACHMENT_ID_LEN],
        key: &AttachmentKey,
        content_len: u64,
    ) -> rusqlite::Result<bool> {
        transaction.set_peer_data(peer, &hexadecimal(id), &encode(id, key, content_len))
    }

    /// Opens the sealed file to upload it.
    ///
    /// # Errors
    /// [`Error::Attachment`].
    pub fn upload(&self) -> Result<Upload, Error> {
        Upload::open(&self.sealed).map_err(Error::Attachment)
    }

    /// Has the next message to this peer that is sealed forget the file in its own transaction: [`attach`](Folder::attach)
    /// begins another one then. Control messages do not. It is the store's [part](SqliteStore::with_next).
    pub fn sent_with_next(&self, store: &mut SqliteStore) {
        let (peer, name) = (self.peer, self.name.clone());
        store.with_next(move |transaction, batch| {
            let sent = batch.sent.as_ref().filter(|sent| !sent.is_control);
            let to = sent.and_then(|sent| PeerId::from_subject(sent.peer.as_ref()?));
            Ok(to == Some(peer) && transaction.remove_peer_data(&peer, &name)?)
        });
    }

    /// Removes the sealed file, when it was sent.
    ///
    /// # Errors
    /// [`Error::Folder`].
    pub fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.sealed).map_err(Error::Folder)
    }

    /// Begins or continues the download.
    ///
    /// # Errors
    /// [`Error::Attachment`].
    pub fn download(&self) -> Result<Download, Error> {
        Download::open(&self.sealed, self.content_len).map_err(Error::Attachment)
    }

    /// Opens what has arrived to the file `content`, and forgets the attachment. Until `content` is whole, it has the
    /// attachment's id and `.part` appended. Returns its length in bytes.
    ///
    /// # Errors
    /// [`Error::Attachment`]; then the download begins again. Others of the store.
    pub fn finish(self, store: &mut SqliteStore, download: Download, content: &Path) -> Result<u64, Error> {
        let suffix = format!(".{}.part", self.name);
        let len = download.finish(&self.key, content, &suffix).map_err(Error::Attachment)?;
        store.remove_peer_data(&self.peer, &self.name)?;
        Ok(len)
    }

    fn decode(value: &[u8], peer: PeerId, name: String, sealed: PathBuf, lock: Exclusive) -> Result<Self, Error> {
        let fields = value.split_first_chunk().and_then(|(id, rest)| {
            let (key, len) = rest.split_first_chunk::<ATTACHMENT_KEY_LEN>()?;
            Some((*id, AttachmentKey::from_bytes(*key), u64::from_be_bytes(len.try_into().ok()?)))
        });
        let (id, key, content_len) = fields.ok_or(Error::Damaged("an attachment"))?;
        Ok(Self { id, key, content_len, peer, name, sealed, _lock: lock })
    }
}

/// Id, key and length, as they are kept.
fn encode(id: &[u8; ATTACHMENT_ID_LEN], key: &AttachmentKey, content_len: u64) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([&id[..], &key.to_bytes(), &content_len.to_be_bytes()].concat())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shows the length only.
impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, key: _, content_len, peer: _, name: _, sealed: _, _lock: _ } = self;
        f.debug_struct("Attachment").field("content_len", content_len).finish_non_exhaustive()
    }
}
