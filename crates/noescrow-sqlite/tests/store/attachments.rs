// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are sent and received across crashes: each is sealed once and its message saved once.

mod sent_once;

use super::party::{NOW, rng};
use noescrow::attachment::AttachmentKey;
use noescrow::durable::{CommitError, InboxMessage, MessageId};
use noescrow::messenger::exchange::ExchangeFailed;
use noescrow::messenger::{Advice, PeerError, PeerId, SealError, Stored};
use noescrow::{Bundle, Device, UnixSeconds};
use noescrow_sqlite::{
    ATTACHMENT_KEPT, Attachment, Error, Folder, MAX_RECEIVED_ATTACHMENTS, Options, SqliteStore, advice,
};
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
        Self::new_with(1)
    }

    fn new_with(seed: u64) -> Self {
        let (temporary, mut rng) = (tempfile::tempdir().unwrap(), rng(seed));
        let folder = Folder::new(temporary.path().join("home"), None);
        assert!(folder.create(b"alice", Device::generate(NOW, &mut rng), &mut rng).unwrap());
        let mut stored = folder.open(Options::new().clock(|| NOW), &mut rng).unwrap();
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

    /// A message of the inbox of this peer.
    fn message(&mut self, peer: &PeerId) -> InboxMessage {
        let subjects = self.stored.store().subjects().unwrap();
        let subject = subjects.iter().find(|subject| PeerId::from_subject(subject) == Some(*peer));
        let mut message = InboxMessage::new([0; 16], subjects[0], Vec::new().into());
        message.peer = subject.copied();
        message
    }

    /// A message of this peer names a file.
    fn names(&mut self, peer: &PeerId, id: [u8; 16], key: u8, now: UnixSeconds) -> bool {
        let message = self.message(peer);
        self.keeps(&message, id, key, now)
    }

    fn keeps(&mut self, message: &InboxMessage, id: [u8; 16], key: u8, now: UnixSeconds) -> bool {
        let key = AttachmentKey::from_bytes([key; 32]);
        let keep = |sql: &_| Attachment::keep(sql, message, &id, &key, 9, now);
        self.stored.store().transact(|sql| keep(sql)).unwrap()
    }

    /// The first byte of the key of a file that was received.
    fn key(&mut self, peer: &PeerId, id: [u8; 16]) -> Option<u8> {
        let attachment = self.folder.attachment(self.stored.store(), peer, &id).unwrap();
        attachment.map(|attachment| key_of(&attachment)[0])
    }

    /// Number of files.
    fn files(&self) -> usize {
        fs::read_dir(self.temporary.path().join("home/files")).unwrap().count()
    }

    /// Number of values that are kept of peers.
    fn data(&mut self) -> i64 {
        let count = "SELECT count(*) FROM noescrow_peer_data";
        self.stored.store().transact(|sql| sql.query_row(count, [], |row| row.get(0))).unwrap()
    }

    /// Opens the folder again, at this time.
    fn open_again(&mut self, now: UnixSeconds) {
        self.stored = self.folder.open(Options::new().clock(move || now), &mut self.rng).unwrap();
    }

    fn add(&mut self, name: &[u8]) -> PeerId {
        self.stored.find_or_add_peer(name, NOW, &mut self.rng).unwrap()
    }

    fn bundle(&mut self) -> Bundle {
        let published = self.stored.maintain(&[], NOW, &mut self.rng).unwrap().publication;
        Bundle::new(published.identity, published.signed_prekey, None).unwrap()
    }

    fn seal(&mut self) {
        self.stored.seal(&self.peer, b"a file", None, NOW, &mut self.rng).unwrap();
    }

    /// The ids of the outbox.
    fn waiting(&mut self) -> Vec<MessageId> {
        self.stored.store().outbox(9).unwrap().iter().map(|message| message.message_id).collect()
    }

    /// The server takes the outbox.
    fn deliver(&mut self) {
        for message_id in self.waiting() {
            assert!(self.stored.store().acknowledge(&message_id).unwrap());
        }
    }
}

fn key_of(attachment: &Attachment) -> [u8; 32] {
    attachment.key.as_ref().unwrap().to_bytes()
}

#[test]
fn a_file_that_was_begun_is_continued_until_its_message_is_saved() {
    let mut alice = User::new();
    let begun = alice.attach();
    let (id, key) = (begun.id, key_of(&begun));
    let bytes = begun.upload().unwrap().part_after(0, 1 << 20).unwrap().unwrap();
    drop(begun);
    // After a crash: the same id, key and bytes.
    let again = alice.attach();
    assert_eq!((again.id, key_of(&again), again.content_len), (id, key, PHOTO.len() as u64));
    assert_eq!(again.upload().unwrap().part_after(0, 1 << 20).unwrap().unwrap(), bytes);
    drop(again);
    // Control: a message that is sealed without the part does not end it.
    alice.seal();
    let again = alice.attach();
    assert_eq!(again.id, id);
    again.sent_with_next(alice.stored.store());
    alice.seal();
    // The message is saved and sent: the next attachment is another one.
    alice.deliver();
    again.remove(alice.stored.store()).unwrap();
    drop(again);
    let another = alice.attach();
    assert!(another.id != id && key_of(&another) != key);
}

#[test]
fn a_message_to_another_peer_does_not_forget_the_file() {
    let mut alice = User::new();
    let begun = alice.attach();
    let id = begun.id;
    begun.sent_with_next(alice.stored.store());
    // Its own message was not sealed.
    let carol = alice.stored.find_or_add_peer(b"carol", NOW, &mut alice.rng).unwrap();
    let mut device = Device::generate(NOW, &mut alice.rng);
    let published = device.replenish(NOW, &[], &mut alice.rng);
    let bundle = noescrow::Bundle::new(published.identity, published.signed_prekey, None).unwrap();
    alice.stored.seal(&carol, b"a text", Some(bundle), NOW, &mut alice.rng).unwrap();
    drop(begun);
    let again = alice.attach();
    assert!(again.id == id && again.message_id.is_none());
    // Control: one to the peer does.
    again.sent_with_next(alice.stored.store());
    alice.seal();
    drop(again);
    let sealed = alice.attach();
    assert!(sealed.id == id && sealed.message_id == alice.waiting().pop());
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
    let (id, key, len, peer) = (sent.id, key_of(&sent), sent.content_len, alice.peer);
    drop(sent);
    let key = AttachmentKey::from_bytes(key);
    // What is being sent was not received.
    assert!(alice.folder.attachment(alice.stored.store(), &peer, &id).unwrap().is_none());
    let (message, nobodys) = (alice.message(&peer), alice.message(&PeerId::from_bytes([7; 16])));
    let mut keep = |of| alice.stored.store().transact(|sql| Attachment::keep(sql, of, &id, &key, len, NOW)).unwrap();
    assert!(keep(&message) && !keep(&nobodys));
    let received = alice.folder.attachment(alice.stored.store(), &peer, &id).unwrap().unwrap();
    let mut download = received.download().unwrap();
    let (first, rest) = sealed.split_at(9);
    download.put(first).unwrap();
    drop((download, received));
    // A crash: the rest is fetched.
    let received = alice.folder.attachment(alice.stored.store(), &peer, &id).unwrap().unwrap();
    let mut download = received.download().unwrap();
    assert_eq!(download.next_offset(), Some(9));
    download.put(rest).unwrap();
    let copy = alice.temporary.path().join("copy");
    assert_eq!(received.finish(alice.stored.store(), download, &copy).unwrap(), PHOTO.len() as u64);
    assert_eq!(fs::read(copy).unwrap(), PHOTO);
    // Control: a second time its key is gone.
    assert!(alice.folder.attachment(alice.stored.store(), &peer, &id).unwrap().is_none());
}

#[test]
fn a_stranger_who_names_the_id_of_a_peers_file_does_not_replace_it() {
    const ID: [u8; 16] = [5; 16];
    for stranger_is_first in [true, false] {
        let mut alice = User::new();
        let (bob, stranger) = (alice.peer, alice.add(b"mallory"));
        let mut order = [(stranger, 1), (bob, 2)];
        if !stranger_is_first {
            order.reverse();
        }
        for (peer, key) in order {
            assert!(alice.names(&peer, ID, key, NOW));
        }
        assert_eq!((alice.key(&bob, ID), alice.key(&stranger, ID)), (Some(2), Some(1)));
        // Nor do their transfers share a file on the disk.
        for (peer, held) in [(stranger, 3), (bob, 4)] {
            let attachment = alice.folder.attachment(alice.stored.store(), &peer, &ID).unwrap().unwrap();
            let mut download = attachment.download().unwrap();
            assert_eq!(download.next_offset(), Some(0));
            download.put(&vec![0; held]).unwrap();
        }
        assert_eq!(alice.files(), 2);
        // Control: of the stranger alone, the peer has none.
        alice.stored.forget(&bob, NOW, &mut alice.rng).unwrap();
        assert_eq!((alice.key(&bob, ID), alice.key(&stranger, ID)), (None, Some(1)));
    }
}

#[test]
fn a_former_device_does_not_replace_a_file_of_the_present_one() {
    const ID: [u8; 16] = [5; 16];
    let mut alice = User::new();
    let bob = alice.peer;
    let mut former = alice.message(&bob);
    former.flags.is_former_identity = true;
    assert!(alice.keeps(&former, ID, 1, NOW) && alice.names(&bob, ID, 2, NOW));
    assert!(!alice.keeps(&former, ID, 3, NOW));
    assert_eq!(alice.key(&bob, ID), Some(2));
    // Control: its own file is kept, and the present device's message replaces an earlier one of its own.
    assert!(alice.keeps(&former, [6; 16], 4, NOW) && alice.names(&bob, ID, 5, NOW));
    assert_eq!((alice.key(&bob, [6; 16]), alice.key(&bob, ID)), (Some(4), Some(5)));
}

#[test]
fn a_file_of_a_stranger_is_that_of_the_peer_he_becomes() {
    const ID: [u8; 16] = [5; 16];
    let (mut alice, mut bob) = (User::new(), User::new_with(2));
    let to_alice = bob.add(b"alice");
    let bundle = alice.bundle();
    bob.stored.seal(&to_alice, b"hello", Some(bundle), NOW, &mut bob.rng).unwrap();
    let message = bob.stored.store().outbox(9).unwrap().pop().unwrap().message;
    alice.stored.open(&message, NOW, &mut alice.rng).unwrap();
    let message = alice.stored.store().inbox(9).unwrap().pop().unwrap();
    let stranger = message.peer.as_ref().and_then(PeerId::from_subject).unwrap();
    let peer = alice.peer;
    assert!(alice.keeps(&message, ID, 1, NOW) && alice.keeps(&message, [6; 16], 2, NOW));
    // A thief of the peer's former device has named the same, later.
    assert!(alice.names(&peer, ID, 3, NOW) && alice.names(&peer, [7; 16], 4, NOW));
    // The stranger's identity is the peer's new one, and she accepts it.
    let identity = *bob.stored.messenger().identity();
    alice.stored.claim_identity(&peer, &identity, NOW, &mut alice.rng).unwrap();
    assert_eq!(alice.key(&peer, ID), Some(3));
    let number = alice.stored.messenger().safety_number(&identity).to_string();
    alice.stored.accept(&peer, &number, NOW, &mut alice.rng, |_| {}).unwrap();
    assert_eq!([ID, [6; 16]].map(|id| alice.key(&peer, id)), [Some(1), Some(2)]);
    // Control: what only the former device has named is there, and nothing is the stranger's any more.
    assert_eq!((alice.key(&peer, [7; 16]), alice.key(&stranger, ID)), (Some(4), None));
}

#[test]
fn a_file_whose_sealed_copy_is_gone_is_sealed_anew_under_another_key() {
    let mut alice = User::new();
    let damage: [fn(&std::path::Path); 2] =
        [|path| fs::remove_file(path).unwrap(), |path| fs::write(path, b"cut").unwrap()];
    for damage in damage {
        let begun = alice.attach();
        let (id, key) = (begun.id, key_of(&begun));
        drop(begun);
        let files = fs::read_dir(alice.temporary.path().join("home/files")).unwrap();
        files.for_each(|file| damage(&file.unwrap().path()));
        let anew = alice.attach();
        assert!(anew.id != id && key_of(&anew) != key);
        let sealed = anew.upload().unwrap().part_after(0, 1 << 20).unwrap().unwrap();
        let mut opened = Vec::new();
        noescrow::attachment::open_stream(anew.key.as_ref().unwrap(), &sealed[..], &mut opened).unwrap();
        assert_eq!(opened, PHOTO);
        // Control: one that is there is continued, and nothing else is left.
        let id = anew.id;
        drop(anew);
        assert_eq!((alice.attach().id, alice.files()), (id, 1));
    }
}

#[test]
fn a_sealed_file_of_another_key_is_not_sent() {
    let mut alice = User::new();
    drop(alice.attach());
    // Yesterday's database, and the files of today.
    let database = alice.temporary.path().join("home/messenger.db");
    let backup = fs::read_dir(alice.temporary.path().join("home")).unwrap().map(|entry| entry.unwrap().path());
    let is_database = |path: &PathBuf| path.to_str().unwrap().contains("messenger.db") && !path.ends_with("witness");
    let backup: Vec<_> = backup.filter(is_database).map(|path| (fs::read(&path).unwrap(), path)).collect();
    let cut = fs::read_dir(alice.temporary.path().join("home/files")).unwrap().next().unwrap().unwrap().path();
    fs::write(cut, b"cut").unwrap();
    let today = alice.attach();
    let key = key_of(&today);
    drop(today);
    drop(std::mem::replace(&mut alice.stored, alice.folder.open(Options::new(), &mut alice.rng).unwrap()));
    for (bytes, path) in backup {
        fs::write(path, bytes).unwrap();
    }
    assert!(database.exists());
    alice.stored = alice.folder.open(Options::new().without_witness(), &mut alice.rng).unwrap();
    let anew = alice.attach();
    let sealed = anew.upload().unwrap().part_after(0, 1 << 20).unwrap().unwrap();
    noescrow::attachment::open_stream(anew.key.as_ref().unwrap(), &sealed[..], &mut Vec::new()).unwrap();
    // Control: under the key of another sealing it does not open.
    let other = AttachmentKey::from_bytes(key);
    assert!(noescrow::attachment::open_stream(&other, &sealed[..], &mut Vec::new()).is_err());
}

/// Two files of one name, length and time, in two folders.
#[cfg(unix)]
#[test]
fn a_file_of_the_same_path_elsewhere_is_another_one() {
    let mut alice = User::new();
    let time = fs::metadata(&alice.photo).unwrap().modified().unwrap();
    let [home, work, here] = ["at home", "at work", "here"].map(|name| alice.temporary.path().join(name));
    for folder in [&home, &work] {
        fs::create_dir(folder).unwrap();
        fs::copy(&alice.photo, folder.join("photo")).unwrap();
        fs::File::options().write(true).open(folder.join("photo")).unwrap().set_modified(time).unwrap();
    }
    let mut attach = |folder: &PathBuf| {
        let _ = fs::remove_file(&here);
        std::os::unix::fs::symlink(folder, &here).unwrap();
        alice.photo = here.join("photo");
        alice.attach().id
    };
    let id = attach(&home);
    assert_ne!(attach(&work), id);
    // Control: the first one is the same as before, by its own path, too.
    assert_eq!(attach(&home), id);
    alice.photo = home.join("photo");
    assert_eq!(alice.attach().id, id);
}

/// As `cp -p` does it.
#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_by_one_of_its_time_is_another_one() {
    let mut alice = User::new();
    let time = fs::metadata(&alice.photo).unwrap().modified().unwrap();
    let id = alice.attach().id;
    // Control.
    assert_eq!(alice.attach().id, id);
    fs::write(&alice.photo, b"other pixels").unwrap();
    fs::File::options().write(true).open(&alice.photo).unwrap().set_modified(time).unwrap();
    assert_ne!(alice.attach().id, id);
}

#[test]
fn what_a_peer_names_is_bounded_and_expires() {
    let mut alice = User::new();
    let (bob, carol) = (alice.peer, alice.add(b"carol"));
    let id = |number: usize| (number as u128).to_be_bytes();
    assert!(alice.names(&carol, id(0), 1, NOW));
    for number in 0..MAX_RECEIVED_ATTACHMENTS {
        assert!(alice.names(&bob, id(number), 2, NOW));
    }
    // Control: so many are kept.
    assert_eq!(alice.key(&bob, id(0)), Some(2));
    // One that is named again counts once, as the newest.
    assert!(alice.names(&bob, id(1), 3, NOW) && alice.names(&bob, id(MAX_RECEIVED_ATTACHMENTS), 4, NOW));
    let bobs = [0, 1, 2, MAX_RECEIVED_ATTACHMENTS].map(|number| alice.key(&bob, id(number)));
    assert_eq!(bobs, [None, Some(3), Some(2), Some(4)]);
    assert_eq!(alice.key(&carol, id(0)), Some(1));
    // What is kept is deleted when the folder is opened after the time, with what was begun.
    alice.open_again(NOW);
    let attachment = alice.folder.attachment(alice.stored.store(), &carol, &id(0)).unwrap().unwrap();
    attachment.download().unwrap().put(b"a part").unwrap();
    drop(attachment);
    let begun = alice.attach().id;
    let last = UnixSeconds(NOW.0 + ATTACHMENT_KEPT.as_secs());
    alice.open_again(last);
    assert_eq!((alice.attach().id, alice.key(&carol, id(0)), alice.files()), (begun, Some(1), 2));
    alice.open_again(UnixSeconds(last.0 + 1));
    assert_eq!((alice.files(), alice.key(&carol, id(0)), alice.key(&bob, id(1))), (0, None, None));
    assert_ne!(alice.attach().id, begun);
}

#[test]
fn a_message_that_names_a_file_ends_what_has_expired() {
    let mut alice = User::new();
    let (bob, carol) = (alice.peer, alice.add(b"carol"));
    let later = UnixSeconds(NOW.0 + ATTACHMENT_KEPT.as_secs());
    // What is the application's stays, whatever is in it.
    assert!(alice.stored.store().set_peer_data(&bob, "received-colour", b"").unwrap());
    assert!(alice.names(&carol, [1; 16], 1, NOW) && alice.names(&bob, [2; 16], 2, later));
    // Control: at that time it has not expired.
    assert_eq!(alice.data(), 3);
    assert!(alice.names(&bob, [3; 16], 3, UnixSeconds(later.0 + 1)));
    assert_eq!(alice.data(), 3);
    assert!(alice.stored.store().peer_data(&bob, "received-colour").unwrap().is_some());
}

#[test]
fn sealed_files_that_a_kill_has_left_are_removed() {
    let mut alice = User::new();
    let own = alice.folder.file("of the application").unwrap();
    fs::write(&own, b"not an attachment").unwrap();
    // The message is saved, and then the process ends.
    let sent = alice.attach();
    sent.sent_with_next(alice.stored.store());
    alice.seal();
    drop(sent);
    // So does one while it seals another file.
    let part = alice.folder.file("noescrow-sent-00.part").unwrap();
    fs::write(&part, b"a part").unwrap();
    let mut held = alice.folder.open(Options::new(), &mut alice.rng).unwrap();
    assert_eq!(alice.files(), 1);
    // Control: not while another process sends.
    fs::write(&alice.photo, b"another photograph").unwrap();
    let id = alice.attach().id;
    let lock = noescrow::durable::Mailboxes::exclusively(held.store(), "files").unwrap();
    fs::write(&part, b"a part").unwrap();
    alice.open_again(NOW);
    assert_eq!(alice.files(), 3);
    drop(lock);
    alice.open_again(NOW);
    assert_eq!((alice.files(), alice.attach().id), (2, id));
    assert!(own.exists());
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
