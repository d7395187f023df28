// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`User`]: a messenger with its store, and what the server has of it.

use super::disk::Disk;
use noescrow::durable::{CommitError, Received, Subject};
use noescrow::messenger::{Messenger, OpenError, Opened, Outgoing, PeerId, Refusal, SealError};
use noescrow::{Bundle, Device, Identity, Prekey, StorageKey, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
pub const MINUTE: u64 = 60;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

pub fn key() -> StorageKey {
    StorageKey::new([0x4D; 32])
}

pub struct User {
    pub messenger: Messenger,
    pub disk: Disk,
    pub rng: ChaCha20Rng,
    pub now: UnixSeconds,
    /// What the server has.
    pub signed_prekey: Prekey,
    pub one_time_prekeys: Vec<Prekey>,
}

impl User {
    pub fn new(seed: u64) -> Self {
        let (mut rng, mut disk) = (ChaCha20Rng::seed_from_u64(seed), Disk::default());
        let device = Device::generate(NOW, &mut rng);
        let mut messenger = Messenger::new(device, &key(), &mut rng).save(&mut disk).unwrap();
        let published = messenger.maintain(NOW, &[], &mut rng).unwrap().save(&mut disk).unwrap();
        let (signed_prekey, one_time_prekeys) = (published.signed_prekey, published.one_time_prekeys);
        Self { messenger, disk, rng, now: NOW, signed_prekey, one_time_prekeys }
    }

    pub fn identity(&self) -> Identity {
        *self.messenger.identity()
    }

    /// What the server gives to somebody who wants to write to this user.
    pub fn bundle(&mut self) -> Bundle {
        Bundle::new(self.identity(), self.signed_prekey.clone(), self.one_time_prekeys.pop()).unwrap()
    }

    /// Connects to the server.
    pub fn maintain(&mut self) {
        let ids: Vec<u32> = self.one_time_prekeys.iter().map(Prekey::id).collect();
        let step = self.messenger.maintain(self.now, &ids, &mut self.rng).unwrap();
        let published = step.save(&mut self.disk).unwrap();
        self.signed_prekey = published.signed_prekey;
        self.one_time_prekeys.extend(published.one_time_prekeys);
    }

    /// Lets time pass, and connects to the server every day.
    pub fn wait(&mut self, seconds: u64) {
        let end = self.now.0 + seconds;
        while self.now.0 < end {
            self.now.0 = end.min(self.now.0 + DAY);
            self.maintain();
        }
    }

    pub fn add(&mut self, name: &str) -> PeerId {
        let step = self.messenger.add_peer(name.as_bytes(), None, self.now, &mut self.rng).unwrap();
        step.save(&mut self.disk).unwrap()
    }

    pub fn peer(&self, of: &Self) -> PeerId {
        self.messenger.peer_of(&of.identity()).unwrap().id
    }

    pub fn seal(&mut self, peer: &PeerId, text: &[u8]) -> Result<Outgoing, SealError> {
        let loaded = self.messenger.route_to(peer)?.load(&mut self.disk).unwrap();
        let step = self.messenger.seal(peer, text, loaded, self.now, &mut self.rng)?;
        Ok(step.save(&mut self.disk).unwrap())
    }

    pub fn seal_with(&mut self, peer: &PeerId, text: &[u8], bundle: Bundle) -> Result<Outgoing, SealError> {
        let step = self.messenger.seal_with_bundle(peer, text, bundle, self.now, &mut self.rng)?;
        Ok(step.save(&mut self.disk).unwrap())
    }

    /// Seals for `to`, and begins a session if one is needed.
    pub fn send(&mut self, to: &mut Self, text: &[u8]) -> Outgoing {
        let peer = self.peer(to);
        match self.seal(&peer, text) {
            Err(SealError::NeedsBundle(_)) => {
                let bundle = to.bundle();
                self.seal_with(&peer, text, bundle).unwrap()
            }
            sealed => sealed.unwrap(),
        }
    }

    pub fn open(&mut self, message: &[u8]) -> Result<Opened, OpenError> {
        let loaded = self.messenger.route(message, self.now)?.load(&mut self.disk).unwrap();
        let opened = self.messenger.open(message, loaded, self.now)?;
        let opened = opened.save(&mut self.disk).unwrap();
        assert!(is_entry_of(self.disk.last.0.as_ref().unwrap(), &opened), "{opened:?}");
        Ok(opened)
    }

    /// Why a message is refused.
    pub fn refusal(&mut self, message: &[u8]) -> Refusal {
        match self.open(message) {
            Err(OpenError::Refused(refused)) => refused.reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Ends the process and starts it again.
    pub fn restart(&mut self) {
        let (subject, newest) = (self.messenger.subject(), self.messenger.generation());
        self.messenger = Messenger::load(&mut self.disk, &key(), &subject, newest, &mut self.rng).unwrap();
    }

    /// Starts from what is stored, with an older state in memory.
    pub fn crash(&mut self) {
        let subject = self.messenger.subject();
        self.messenger = Messenger::load(&mut self.disk, &key(), &subject, 0, &mut self.rng).unwrap();
    }

    /// Number of sessions that are stored.
    pub fn stored_sessions(&self) -> usize {
        self.disk.subjects().iter().filter(|subject| subject.session_id().is_some()).count()
    }

    pub fn stored_peers(&self) -> usize {
        self.disk.subjects().iter().filter(|subject| PeerId::from_subject(subject).is_some()).count()
    }
}

/// Whether an entry of the inbox says everything that the outcome says.
pub fn is_entry_of(entry: &Received, opened: &Opened) -> bool {
    let flags = entry.flags;
    entry.message_id == opened.message_id
        && entry.session.session_id() == Some(&opened.session)
        && entry.peer.as_ref().and_then(PeerId::from_subject) == Some(opened.peer)
        && (entry.control, entry.is_control) == (opened.control, opened.control.is_some())
        && entry.plaintext == opened.payload
        && [flags.is_new_session, flags.is_new_identity] == [opened.is_new_session, opened.is_new_identity]
        && [flags.is_on_probation, flags.ends_probation] == [opened.is_on_probation, opened.ends_probation]
        && [flags.is_former_identity, flags.is_receive_only] == [opened.is_former_identity, opened.is_receive_only]
        && flags.should_answer == opened.should_answer
}

/// Two users who know each other's names and have not written.
pub fn strangers() -> [User; 2] {
    let [mut alice, mut bob] = [User::new(1), User::new(2)];
    let (a, b) = (alice.identity(), bob.identity());
    let step = alice.messenger.add_peer(b"bob", Some(&b), NOW, &mut alice.rng).unwrap();
    step.save(&mut alice.disk).unwrap();
    let step = bob.messenger.add_peer(b"alice", Some(&a), NOW, &mut bob.rng).unwrap();
    step.save(&mut bob.disk).unwrap();
    [alice, bob]
}

/// Two users with a session that both have opened.
pub fn friends() -> [User; 2] {
    let [mut alice, mut bob] = strangers();
    let hello = alice.send(&mut bob, b"hello");
    bob.open(&hello.message).unwrap();
    let reply = bob.send(&mut alice, b"hi");
    alice.open(&reply.message).unwrap();
    [alice, bob]
}

pub fn is_stale<E>(error: &CommitError<E>) -> bool {
    matches!(error, CommitError::Stale)
}

pub fn subject_of(user: &User) -> Subject {
    user.messenger.subject()
}
