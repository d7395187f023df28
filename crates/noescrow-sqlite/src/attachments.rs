// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Attachment`]: a file that is being sent to a peer, or was received from one, across crashes and cuts.

use crate::blocking::SqliteStore;
use crate::error::Error;
use crate::folder::{Folder, remove_if_there};
use crate::kept::{self, Direction, Found, Kept, Of};
use crate::messages;
use crate::peer_data::PeerData;
use noescrow::UnixSeconds;
use noescrow::attachment::{AttachmentKey, Download, Upload, sealed_len};
use noescrow::durable::{Exclusive, InboxMessage, Mailboxes, MessageId};
use noescrow::messenger::PeerId;
use noescrow::primitives::{Primitives, RustCrypto};
use rand_core::CryptoRng;
use rusqlite::Connection;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Length in bytes of an attachment's id.
pub const ATTACHMENT_ID_LEN: usize = 16;
/// The lock under which a file is sent.
pub(crate) const SENDING: &str = "files";
/// The lock under which a file is fetched.
pub(crate) const FETCHING: &str = "fetch";

/// A file that is being sent to a peer, or was received from one. Its key is [data](PeerData) of the peer, and its sealed
/// bytes are a [file](Folder::file) of the same name, so that both end with the peer. If they are not finished, they end
/// after [`ATTACHMENT_KEPT`](crate::ATTACHMENT_KEPT): when a folder is opened, and when another file is sent or received.
///
/// To send one: [`Folder::attach`], [`upload`](Self::upload) what the server lacks, [`sent_with_next`](Self::sent_with_next),
/// seal the message that has id, key and length, send it, and [`remove`](Self::remove). Hold the attachment until the message is
/// sealed; drop it if that fails. A process that was cut calls the same
/// again: the file is sealed once, and so is the message. If [`message_id`](Self::message_id) is there, it was sealed: then
/// only send what is in the outbox, and `remove`.
///
/// To receive one: [`keep`](Self::keep) it in the transaction that takes the message out of the inbox, later
/// [`Folder::attachment`], [`download`](Self::download) the rest, and [`finish`](Self::finish). Of a peer's messages at most
/// [`MAX_RECEIVED_ATTACHMENTS`](crate::MAX_RECEIVED_ATTACHMENTS) are kept, the newest ones.
///
/// # Security
/// A file is looked up by its peer and its id. Any peer can name the id of another one's file, which the server knows as
/// well: show from whom a file is, and pass that peer.
pub struct Attachment {
    /// Its random id, by which the server knows it.
    pub id: [u8; ATTACHMENT_ID_LEN],
    /// What opens it. It is not there any more when the message is sealed that has it.
    pub key: Option<AttachmentKey>,
    /// The message that was sealed and has the key, if [`attach`](Folder::attach) has found one.
    pub message_id: Option<MessageId>,
    /// Length in bytes of the content.
    pub content_len: u64,
    peer: PeerId,
    /// Of the data and of the sealed file.
    name: String,
    sealed: PathBuf,
    /// What waits for the message of this attachment ends with it.
    held: Arc<()>,
    _lock: Exclusive,
}

impl Folder {
    /// Begins to send a file to a peer, or continues: seals it, and keeps its key, unless that was done. The sealed file has
    /// at most `max_len` bytes. Another process that sends a file waits while this attachment is used.
    ///
    /// A file counts as the same while its absolute path, its length and the time of its last change are; on Unix also its
    /// number and the time when its metadata changed last. If the sealed file is gone or not whole, the file is sealed anew,
    /// with another id and key.
    ///
    /// If its message is sealed, and waits in the outbox or is in the log of sent ids, and the attachment was not
    /// [removed](Attachment::remove), this one has the message's id and no key. The store cannot know whether the command is
    /// repeated or the file is to be sent a second time, nor whether the message was delivered or given up: show the user that
    /// it was sealed before, and `remove` the attachment. The next call begins another one. After
    /// [`accept`](noescrow::messenger::Stored::accept), [`Attachment::forget_sealed`] does that for every file of the peer.
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
        self.remove_unfinished(store, Direction::Sent)?;
        let content = fs::canonicalize(content).map_err(Error::Folder)?;
        let metadata = fs::metadata(&content).map_err(Error::Folder)?;
        let source = source_of(&content, &metadata).map_err(Error::Folder)?;
        let begun = kept::begun(&store.connection, peer, &source)?;
        let former = begun.as_ref().map(|(name, _)| name.clone());
        if let Some((name, kept)) = readable(begun)? {
            let sealed = self.file(&name)?;
            let len = fs::metadata(&sealed).ok().map(|metadata| metadata.len());
            // A message that is no longer known is sealed anew, and the file with it.
            let continues = match kept.message_id() {
                Some(message_id) => messages::was_sealed(&store.connection, &message_id)?,
                None => len.is_some() && len == sealed_len(kept.content_len),
            };
            if continues {
                return Ok(Attachment::new(kept, *peer, name, sealed, lock));
            }
        }
        let mut id = [0; ATTACHMENT_ID_LEN];
        rng.fill_bytes(&mut id);
        let name = kept::name_of_sent(&id);
        let sealed = self.file(&name)?;
        let key = Upload::prepare(&content, &sealed, max_len, rng).map_err(Error::Attachment)?;
        let (time, of) = ((store.database.clock)(), Of::Source { source, message_id: None });
        let kept = Kept { id, key, content_len: metadata.len(), time, of };
        let is_kept = store.transact(|transaction| {
            former.as_ref().map_or(Ok(false), |former| transaction.remove_peer_data(peer, former))?;
            transaction.set_peer_data(peer, &name, &kept.encode())
        })?;
        // The sealed file of what is replaced; if there is no such peer, this one.
        self.remove_unfinished(store, Direction::Sent)?;
        if is_kept { Ok(Attachment::new(kept, *peer, name, sealed, lock)) } else { Err(Error::NoPeer) }
    }

    /// Returns a file of this id that was [received](Attachment::keep) from this peer and not yet
    /// [finished](Attachment::finish). Another process that fetches a file waits while this attachment is used.
    ///
    /// # Errors
    /// [`Error`].
    pub fn attachment(
        &self,
        store: &mut SqliteStore,
        peer: &PeerId,
        id: &[u8; ATTACHMENT_ID_LEN],
    ) -> Result<Option<Attachment>, Error> {
        let lock = store.exclusively(FETCHING)?;
        self.remove_unfinished(store, Direction::Received)?;
        let Some((name, kept)) = readable(kept::received(&store.connection, peer, id)?)? else { return Ok(None) };
        let sealed = self.file(&name)?;
        Ok(Some(Attachment::new(kept, *peer, name, sealed, lock)))
    }
}

fn readable(found: Found) -> Result<Option<(String, Kept)>, Error> {
    let Some((name, kept)) = found else { return Ok(None) };
    Ok(Some((name, kept.ok_or(Error::Damaged("an attachment"))?)))
}

/// Tells a file from others, and from what it was before a change.
fn source_of(content: &Path, metadata: &fs::Metadata) -> io::Result<[u8; 32]> {
    let changed = format!("{:?}", metadata.modified()?);
    #[cfg(unix)]
    let number = {
        use std::os::unix::fs::MetadataExt;
        [
            metadata.dev().to_be_bytes(),
            metadata.ino().to_be_bytes(),
            metadata.ctime().to_be_bytes(),
            metadata.ctime_nsec().to_be_bytes(),
        ]
        .concat()
    };
    #[cfg(not(unix))]
    let number = [];
    let len = metadata.len().to_be_bytes();
    let parts = [&len[..], &number, changed.as_bytes(), content.as_os_str().as_encoded_bytes()];
    let hashes = parts.map(|part| RustCrypto.sha256(&[part]));
    Ok(RustCrypto.sha256(&hashes.each_ref().map(|hash| &hash[..])))
}

impl Attachment {
    /// Keeps the key of a file that a message of the inbox names, in a transaction of the store. Another one of this id that
    /// the same peer has named is replaced, except by a message of an identity that the peer had before. Returns whether it is
    /// kept: not if the message is no peer's. Deletes what has expired, and what is too much of this peer.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn keep(
        transaction: &Connection,
        message: &InboxMessage,
        id: &[u8; ATTACHMENT_ID_LEN],
        key: &AttachmentKey,
        content_len: u64,
        now: UnixSeconds,
    ) -> rusqlite::Result<bool> {
        let Some(peer) = message.peer.as_ref().and_then(PeerId::from_subject) else { return Ok(false) };
        let is_former_identity = message.flags.is_former_identity;
        kept::expire(transaction, Direction::Received, now)?;
        if let Some((name, earlier)) = kept::received(transaction, &peer, id)? {
            let is_of_present = earlier.is_some_and(|of| matches!(of.of, Of::Message { is_former_identity: false }));
            if is_former_identity && is_of_present {
                return Ok(false);
            }
            transaction.remove_peer_data(&peer, &name)?;
        }
        let (key, of) =
            (AttachmentKey::from_bytes(*Zeroizing::new(key.to_bytes())), Of::Message { is_former_identity });
        let value = Kept { id: *id, key, content_len, time: now, of }.encode();
        let is_kept = transaction.set_peer_data(&peer, &kept::name_of_received(&peer, id), &value)?;
        kept::limit(transaction, &peer)?;
        Ok(is_kept)
    }

    /// Opens the sealed file to upload it.
    ///
    /// # Errors
    /// [`Error::Attachment`]; also when its message was sealed.
    pub fn upload(&self) -> Result<Upload, Error> {
        Upload::open(&self.sealed).map_err(Error::Attachment)
    }

    /// Has the next message to this peer that is sealed replace the key by its id, in its own transaction: it is the message of
    /// which [`attach`](Folder::attach) tells then. Control messages do not. It is the store's [part](SqliteStore::with_next),
    /// and it ends with the attachment: if the message is not sealed, drop the attachment before another message to this peer
    /// is, or that one is taken for the file's.
    pub fn sent_with_next(&self, store: &mut SqliteStore) {
        let (peer, name, held) = (self.peer, self.name.clone(), Arc::downgrade(&self.held));
        store.with_next(move |transaction, batch| {
            let is_held = held.strong_count() > 0;
            let sent = batch.sent.as_ref().filter(|sent| is_held && !sent.is_control);
            let to = sent.and_then(|sent| PeerId::from_subject(sent.peer.as_ref()?));
            Ok(match sent {
                Some(sent) if to == Some(peer) => kept::seal(transaction, &peer, &name, sent.message_id)?,
                _ => false,
            })
        });
    }

    /// Removes the sealed file, and forgets the attachment: when its message was sent, or to give it up. While the message waits
    /// in the outbox it is not forgotten, so that [`attach`](Folder::attach) seals no other one.
    ///
    /// # Errors
    /// [`Error::Folder`], or another one of the store: call again.
    pub fn remove(&self, store: &mut SqliteStore) -> Result<(), Error> {
        remove_if_there(&self.sealed)?;
        Ok(kept::end(&store.connection, &self.name)?)
    }

    /// Forgets the files of messages to this peer that are not in the outbox, so that each can be sent again: after
    /// [`Stored::accept`](noescrow::messenger::Stored::accept), which gives up what has waited for another device.
    ///
    /// # Errors
    /// [`Error`].
    pub fn forget_sealed(store: &mut SqliteStore, peer: &PeerId) -> Result<(), Error> {
        Ok(kept::end_sealed(&store.connection, peer)?)
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
        let key = self.key.as_ref().ok_or(Error::Damaged("an attachment"))?;
        let len = download.finish(key, content, &suffix).map_err(Error::Attachment)?;
        store.remove_peer_data(&self.peer, &self.name)?;
        Ok(len)
    }

    fn new(kept: Kept, peer: PeerId, name: String, sealed: PathBuf, lock: Exclusive) -> Self {
        let message_id = kept.message_id();
        let Kept { id, key, content_len, .. } = kept;
        let key = message_id.is_none().then_some(key);
        Self { id, key, message_id, content_len, peer, name, sealed, held: Arc::new(()), _lock: lock }
    }
}

/// Shows the length only.
impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, key: _, message_id: _, content_len, peer: _, name: _, sealed: _, held: _, _lock: _ } = self;
        f.debug_struct("Attachment").field("content_len", content_len).finish_non_exhaustive()
    }
}
