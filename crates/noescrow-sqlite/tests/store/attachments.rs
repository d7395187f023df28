// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are sent and received across crashes: each is sealed once and its message saved once.

use super::party::{NOW, rng};
use noescrow::Device;
use noescrow::durable::CommitError;
use noescrow::messenger::exchange::ExchangeFailed;
use noescrow::messenger::{Advice, PeerError, PeerId, SealError, Stored};
use noescrow_sqlite::{Attachment, Error, Folder, Options, SqliteStore, advice};
use rand_chacha::ChaCha20Rng;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A device with a peer who has a session, and a file.
struct User {
    temporary: TempDir,
    folder: Folder,
    stored: Stored<SqliteStore>,
    peer: PeerId,
    photo: PathBuf,
    rng: ChaCha20Rng,
}

const MAX_LEN: u64 = 1 << 20;
const PHOTO: &[u8] = b"a photograph";

impl User {
    fn new() -> Self {
        let (temporary, mut rng) = (tempfile::tempdir().unwrap(), rng(1));
        let folder = Folder::new(temporary.path().join("home"), None);
        assert!(folder.create(b"alice", Device::generate(NOW, &mut rng), &mut rng).unwrap());
        let mut stored = folder.open(Options::new(), &mut rng).unwrap();
        let peer = stored.find_or_add_peer(b"bob", NOW, &mut rng).unwrap();
        let mut bob = Device::generate(NOW, &mut rng);
        let published = bob.replenish(NOW, &[], &mut rng);
        let bundle = noescrow::Bundle::new(published.identity, published.signed_prekey, None).unwrap();
        stored.seal(&peer, b"hello", Some(bundle), NOW, &mut rng).unwrap();
        let photo = temporary.path().join("photo");
        fs::write(&photo, PHOTO).unwrap();
        Self { temporary, folder, stored, peer, photo, rng }
    }

    fn attach(&mut self) -> Attachment {
        self.folder.attach(self.stored.store(), &self.peer, &self.photo, MAX_LEN, &mut self.rng).unwrap()
    }

    fn seal(&mut self) {
        self.stored.seal(&self.peer, b"a file", None, NOW, &mut self.rng).unwrap();
    }
}

#[test]
fn a_file_that_was_begun_is_continued_until_its_message_is_saved() {
    let mut alice = User::new();
    let begun = alice.attach();
    let (id, key) = (begun.id, begun.key.to_bytes());
    let bytes = begun.upload().unwrap().part_after(0, 1 << 20).unwrap().unwrap();
    drop(begun);
    // After a crash: the same id, key and bytes.
    let again = alice.attach();
    assert_eq!((again.id, again.key.to_bytes(), again.content_len), (id, key, PHOTO.len() as u64));
    assert_eq!(again.upload().unwrap().part_after(0, 1 << 20).unwrap().unwrap(), bytes);
    drop(again);
    // Control: a message that is sealed without the part does not end it.
    alice.seal();
    let again = alice.attach();
    assert_eq!(again.id, id);
    again.sent_with_next(alice.stored.store());
    alice.seal();
    // The message is saved: the next attachment is another one.
    again.remove().unwrap();
    let another = alice.attach();
    assert!(another.id != id && another.key.to_bytes() != key);
}

#[test]
fn a_message_to_another_peer_does_not_forget_the_file() {
    let mut alice = User::new();
    let begun = alice.attach();
    let id = begun.id;
    begun.sent_with_next(alice.stored.store());
    drop(begun);
    // Its own message was not sealed.
    let carol = alice.stored.find_or_add_peer(b"carol", NOW, &mut alice.rng).unwrap();
    let mut device = Device::generate(NOW, &mut alice.rng);
    let published = device.replenish(NOW, &[], &mut alice.rng);
    let bundle = noescrow::Bundle::new(published.identity, published.signed_prekey, None).unwrap();
    alice.stored.seal(&carol, b"a text", Some(bundle), NOW, &mut alice.rng).unwrap();
    assert_eq!(alice.attach().id, id);
    // Control: one to the peer does.
    alice.attach().sent_with_next(alice.stored.store());
    alice.seal();
    assert_ne!(alice.attach().id, id);
}

#[test]
fn a_file_that_is_too_long_or_nobodys_is_not_begun() {
    let mut alice = User::new();
    let too_long = alice.folder.attach(alice.stored.store(), &alice.peer, &alice.photo, 20, &mut alice.rng);
    assert!(matches!(too_long, Err(Error::Attachment(_))), "{too_long:?}");
    let nobody = PeerId::from_bytes([7; 16]);
    let refused = alice.folder.attach(alice.stored.store(), &nobody, &alice.photo, MAX_LEN, &mut alice.rng);
    assert!(matches!(refused, Err(Error::NoPeer)), "{refused:?}");
    let files = alice.temporary.path().join("home/files");
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
    // Control: another one is.
    drop(alice.attach());
    assert_eq!(fs::read_dir(&files).unwrap().count(), 1);
}

#[test]
fn a_file_that_was_received_is_fetched_once() {
    let mut alice = User::new();
    let sent = alice.attach();
    let sealed = sent.upload().unwrap().part_after(0, 1 << 20).unwrap().unwrap();
    let (id, key, len, peer) = (sent.id, sent.key.to_bytes(), sent.content_len, alice.peer);
    drop(sent);
    let key = noescrow::attachment::AttachmentKey::from_bytes(key);
    // What is being sent was not received.
    assert!(alice.folder.attachment(alice.stored.store(), &id).unwrap().is_none());
    let keep = |peer| alice.stored.store().transact(|sql| Attachment::keep(sql, &peer, &id, &key, len)).unwrap();
    let mut keep = keep;
    assert!(keep(peer) && !keep(PeerId::from_bytes([7; 16])));
    let received = alice.folder.attachment(alice.stored.store(), &id).unwrap().unwrap();
    let mut download = received.download().unwrap();
    let (first, rest) = sealed.split_at(9);
    download.put(first).unwrap();
    drop((download, received));
    // A crash: the rest is fetched.
    let received = alice.folder.attachment(alice.stored.store(), &id).unwrap().unwrap();
    let mut download = received.download().unwrap();
    assert_eq!(download.next_offset(), Some(9));
    download.put(rest).unwrap();
    let copy = alice.temporary.path().join("copy");
    assert_eq!(received.finish(alice.stored.store(), download, &copy).unwrap(), PHOTO.len() as u64);
    assert_eq!(fs::read(copy).unwrap(), PHOTO);
    // Control: a second time its key is gone.
    assert!(alice.folder.attachment(alice.stored.store(), &id).unwrap().is_none());
}

#[test]
fn an_attachment_ends_with_its_peer() {
    let mut alice = User::new();
    let id = alice.attach().id;
    let files = alice.temporary.path().join("home/files");
    alice.folder.erase_deleted(alice.stored.store()).unwrap();
    // Control: while the peer is there, so is the file.
    assert_eq!(fs::read_dir(&files).unwrap().count(), 1);
    assert_eq!(alice.attach().id, id);
    let peer = alice.peer;
    alice.stored.forget(&peer, NOW, &mut alice.rng).unwrap();
    alice.folder.erase_deleted(alice.stored.store()).unwrap();
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
}

#[test]
fn an_error_that_was_boxed_is_advised() {
    let advised = |error: Box<dyn std::error::Error>| advice::<String>(&*error);
    let exchange: ExchangeFailed<String, Error> = noescrow::messenger::Failed::Step(SealError::IdentityChanged.into());
    assert_eq!(advised(exchange.into()), Some(Advice::AskUser));
    assert_eq!(advised(SealError::IdentityChanged.into()), Some(Advice::AskUser));
    assert_eq!(advised(PeerError::UnknownPeer.into()), Some(Advice::Correct));
    assert_eq!(advised(Error::WitnessMissing.into()), Some(Advice::RestoreBackup));
    let load = noescrow::durable::LoadError::Store(Error::Rollback { database: 1, witness: 2 });
    assert_eq!(advised(load.into()), Some(Advice::RestoreBackup));
    // The store's own advice, also through an exchange.
    let save = CommitError::NotCommitted(Error::WitnessMissing);
    let exchange: ExchangeFailed<String, Error> = noescrow::messenger::Failed::Save(save);
    assert_eq!(advised(exchange.into()), Some(Advice::RestoreBackup));
    // Control: of other errors nothing is known.
    assert_eq!(advised(Error::NoWriteAheadLog.into()), None);
    assert_eq!(advised("another error".into()), None);
}
