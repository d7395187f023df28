// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Talk`]: two messengers that record, and everything that their server sees.

use noescrow::durable::{Batch, CommitAction, CommitError, Row, RowName, Store, Subject};
use noescrow::messenger::{Messenger, PeerId};
use noescrow::{Bundle, Device, InitiateOptions, MAX_JUMP, Prekey, StorageKey, UnixSeconds};
use noescrow_audit::Tape;
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::convert::Infallible;

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// A store in memory.
#[derive(Clone, Default)]
pub struct Rows(BTreeMap<(Subject, RowName), Vec<u8>>);

impl Store for Rows {
    type Error = Infallible;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Infallible> {
        let rows = self.0.iter().filter(|((of, _), _)| of == subject);
        Ok(rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Infallible>> {
        let action = batch.commit_action(|subject| self.0.get(&(*subject, RowName::CORE)));
        assert_eq!(action, CommitAction::Write);
        for ended in &batch.ended {
            self.0.retain(|(of, _), _| of != ended);
        }
        for change in &batch.changes {
            for name in &change.deleted {
                self.0.remove(&(change.subject, *name)).unwrap();
            }
            for row in &change.rows {
                self.0.insert((change.subject, row.name), row.sealed.clone());
            }
        }
        Ok(())
    }
}

pub struct User {
    pub messenger: Messenger<Recorder>,
    pub rows: Rows,
    recorder: Recorder,
    pub rng: ChaCha20Rng,
    signed_prekey: Prekey,
    one_time_prekeys: Vec<Prekey>,
    pub peer: PeerId,
}

/// With distinct bytes: a key without them is not searched for.
fn key() -> StorageKey {
    StorageKey::new(*b"a storage key of 32 bytes, talk.")
}

impl User {
    fn new(tape: &Tape, name: &str, seed: u64) -> Self {
        let recorder = Recorder::device(tape, name).unwrap();
        let (mut rng, mut rows) = (ChaCha20Rng::seed_from_u64(seed), Rows::default());
        let device = Device::<Recorder>::generate_with(recorder.clone(), NOW, &mut rng);
        let mut messenger = Messenger::new(device, &key(), &mut rng).save(&mut rows).unwrap();
        let published = messenger.maintain(NOW, &[], &mut rng).unwrap().save(&mut rows).unwrap();
        let (signed_prekey, one_time_prekeys) = (published.signed_prekey, published.one_time_prekeys);
        let peer = PeerId::from_bytes([0; 16]);
        Self { messenger, rows, recorder, rng, signed_prekey, one_time_prekeys, peer }
    }

    /// What the server hands out to somebody who wants to write.
    fn bundle(&mut self) -> Bundle {
        let (signed_prekey, one_time_prekey) = (self.signed_prekey.clone(), self.one_time_prekeys.pop());
        Bundle::new(*self.messenger.identity(), signed_prekey, one_time_prekey).unwrap()
    }

    /// Ends the process and starts it again from `rows`.
    pub fn restart(&mut self, rows: Rows) {
        let subject = self.messenger.subject();
        self.rows = rows;
        let recorder = self.recorder.clone();
        self.messenger = Messenger::load_with(recorder, &mut self.rows, &key(), &subject, 0, &mut self.rng).unwrap();
    }

    /// Has the store put back to `rows`, which the witness shows.
    pub fn restore(&mut self, rows: Rows) {
        let witness = self.messenger.generation();
        self.restart(rows);
        assert!(self.messenger.check_witness(witness).is_some());
        let published = self.messenger.restore_backup(NOW, &mut self.rng).unwrap().save(&mut self.rows).unwrap();
        (self.signed_prekey, self.one_time_prekeys) = (published.signed_prekey, published.one_time_prekeys);
    }

    /// Has the messenger store whatever it can store: nonces, a wrong reading of the clock, sessions that have ended, an
    /// identity that was rejected, one that claims to be the peer, and a first message that was refused.
    pub fn store_all(&mut self, other: &mut Self) {
        let nonce = self.messenger.login(None, NOW, &mut self.rng).unwrap().save(&mut self.rows).unwrap();
        self.messenger.login(Some(&nonce), NOW, &mut self.rng).unwrap().save(&mut self.rows).unwrap();
        self.messenger.maintain(UnixSeconds(1 << 40), &[], &mut self.rng).unwrap().save(&mut self.rows).unwrap();
        for _ in 0..6 {
            let (bundle, peer) = (other.bundle(), self.peer);
            let step = self.messenger.seal_with_bundle(&peer, b"text", bundle, NOW, &mut self.rng).unwrap();
            step.save(&mut self.rows).unwrap();
        }
        for is_rejected in [true, false] {
            let other = Device::<Recorder>::generate_with(self.recorder.clone(), NOW, &mut self.rng);
            let step = self.messenger.claim_identity(&self.peer, other.identity(), NOW).unwrap();
            step.save(&mut self.rows).unwrap();
            if is_rejected {
                let step = self.messenger.reject_identity(&self.peer, other.identity(), NOW).unwrap();
                step.save(&mut self.rows).unwrap();
            }
        }
        self.refuse_a_first_message();
    }

    /// Refuses a first message of somebody who is known, because too many messages are missing before it.
    fn refuse_a_first_message(&mut self) {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let device = Device::generate(NOW, &mut rng);
        for missing in [0, MAX_JUMP] {
            // A payload of the layer: its kind, the session's epoch, what was heard (12 bytes), and the text.
            let inner = [&[1][..], &(1 + missing.min(1)).to_be_bytes(), &[0; 4], &[0xFF; 8], b"hi"].concat();
            let options = InitiateOptions::unverified(NOW);
            let (mut session, mut message) = device.initiate(self.bundle(), &inner, options, &mut rng).unwrap();
            for _ in 0..=missing {
                message = session.encrypt(&inner, &mut rng).unwrap();
            }
            let loaded = self.messenger.route(&message, NOW).unwrap().load(&mut self.rows).unwrap();
            match self.messenger.open(&message, loaded, NOW) {
                Ok(step) => drop(step.save(&mut self.rows).unwrap()),
                Err(_) => assert_eq!(missing, MAX_JUMP),
            }
        }
        assert!(self.messenger.has_notes());
        self.messenger.save_notes(NOW).unwrap().save(&mut self.rows).unwrap();
    }
}

pub struct Talk {
    pub tape: Tape,
    pub users: [User; 2],
    /// Every bundle and message.
    pub wire: Vec<u8>,
}

impl Talk {
    pub fn new() -> Self {
        let tape = Tape::in_memory();
        let mut users = [("Alice", 1), ("Bob", 2)].map(|(name, seed)| User::new(&tape, name, seed));
        let identities = [*users[0].messenger.identity(), *users[1].messenger.identity()];
        for (at, user) in users.iter_mut().enumerate() {
            let step = user.messenger.add_peer(b"my dear pen friend", Some(&identities[1 - at]), NOW, &mut user.rng);
            user.peer = step.unwrap().save(&mut user.rows).unwrap();
        }
        Self { tape, users, wire: Vec::new() }
    }

    /// Seals a message of this user, and begins a session if one is needed.
    pub fn seal(&mut self, from: usize, text: &str) -> Vec<u8> {
        let needs_bundle = self.users[from].messenger.needs_bundle(&self.users[from].peer, NOW).unwrap().is_some();
        let bundle = needs_bundle.then(|| self.users[1 - from].bundle());
        self.wire.extend(bundle.iter().flat_map(Bundle::to_bytes));
        let User { messenger, peer, rng, rows, .. } = &mut self.users[from];
        let step = match bundle {
            Some(bundle) => messenger.seal_with_bundle(peer, text.as_bytes(), bundle, NOW, rng).unwrap(),
            None => {
                let loaded = messenger.route_to(peer).unwrap().load(rows).unwrap();
                messenger.seal(peer, text.as_bytes(), loaded, NOW, rng).unwrap()
            }
        };
        let message = step.save(rows).unwrap().message;
        self.wire.extend(&message);
        message
    }

    /// Opens a message at this user.
    pub fn open(&mut self, to: usize, message: &[u8]) -> Vec<u8> {
        let User { messenger, rows, .. } = &mut self.users[to];
        let loaded = messenger.route(message, NOW).unwrap().load(rows).unwrap();
        messenger.open(message, loaded, NOW).unwrap().save(rows).unwrap().payload
    }

    pub fn send(&mut self, from: usize, text: &str) {
        let message = self.seal(from, text);
        assert_eq!(self.open(1 - from, &message), text.as_bytes());
    }

    /// A conversation, after which Bob's store has had everything that it can have.
    pub fn at_length() -> Self {
        let mut talk = Self::new();
        talk.converse();
        let [alice, bob] = &mut talk.users;
        bob.store_all(alice);
        talk
    }

    /// Both begin a session at once; Alice's process ends and starts again; Bob's store is put back to a backup.
    pub fn converse(&mut self) {
        let first = [0, 1].map(|from| self.seal(from, "is anybody there, at the same time?"));
        self.open(0, &first[1]);
        self.open(1, &first[0]);
        for from in [0, 1, 0] {
            self.send(from, "one session is left of the two");
        }
        let rows = self.users[0].rows.clone();
        self.users[0].restart(rows);
        self.send(1, "your process has started again");
        let backup = self.users[1].rows.clone();
        for from in [0, 1] {
            self.send(from, "what the backup does not know of");
        }
        self.users[1].restore(backup);
        for from in [1, 0, 1] {
            self.send(from, "a new session after the backup");
        }
    }
}
