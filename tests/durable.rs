// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crash contract (attacks C9, C10): a store fails at its k-th save, for every k, during a scripted conversation.
//! Nothing is released before its state is on disk; after a crash anywhere the conversation continues; no message key
//! seals two messages that left the device.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a test states its expectations"
)]

#[path = "durable/recorder.rs"]
mod recorder;

use noescrow::durable::{Durable, Record, Store, Subject};
use noescrow::error::{AcceptError, DecryptError, RestoreError};
use noescrow::hazmat::duplicate_bundle;
use noescrow::{Bundle, Capacity, InitiateOptions, StorageKey, UnixSeconds, device, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use recorder::{BodyKey, Recorder, last_body_key};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 30 * 86_400);

type Device = device::Device<Recorder, Capacity<8, 8>>;
type Session = session::Session<Recorder>;

fn key() -> StorageKey {
    StorageKey::new([0x44; 32])
}

/// The behaviour of the store at the k-th save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// An error, nothing written; then a crash.
    Refuses,
    /// An error, nothing written; the save is repeated immediately.
    RefusesOnce,
    /// Written, then an error or a crash before the result arrived.
    WritesAndFails,
    /// Control: reports success without saving; a crash follows later.
    FalseSuccess,
}

#[derive(Debug, PartialEq, Eq)]
enum Violation {
    /// One key sealed two messages of which one has left the device, or would after continuing from the disk.
    KeyTwice,
    /// A message left the device, and the state on disk would continue in another chain.
    ChainLost,
    /// A plaintext was shown, and the state on disk would show it again.
    ShownTwice,
    /// A public key was given out, and the disk lacks its private half.
    PrivateHalfLost,
    /// A session was released that is not on disk.
    SessionLost,
}

#[derive(Debug)]
struct Refused;

/// Counts the saves of both parties, because they share one script.
struct Fuse {
    saves: Cell<usize>,
    at: usize,
    fault: Fault,
}

struct Disk {
    records: Vec<(Subject, u64, Vec<u8>)>,
    fuse: Rc<Fuse>,
}

impl Disk {
    fn newest(&self, subject: Subject) -> Option<&(Subject, u64, Vec<u8>)> {
        self.records.iter().find(|(of, ..)| *of == subject)
    }

    fn write(&mut self, records: &[Record<'_>]) {
        for record in records {
            assert!(self.newest(record.subject).is_none_or(|(_, old, _)| *old < record.generation), "grows");
            self.records.retain(|(of, ..)| *of != record.subject);
            self.records.push((record.subject, record.generation, record.snapshot.to_vec()));
        }
    }
}

impl Store for Disk {
    type Error = Refused;

    fn save(&mut self, records: &[Record<'_>]) -> Result<(), Refused> {
        self.fuse.saves.set(self.fuse.saves.get() + 1);
        let fault = if self.fuse.saves.get() == self.fuse.at { self.fuse.fault } else { Fault::None };
        match fault {
            Fault::None => self.write(records),
            Fault::Refuses | Fault::RefusesOnce => return Err(Refused),
            Fault::WritesAndFails => {
                self.write(records);
                return Err(Refused);
            }
            Fault::FalseSuccess => {}
        }
        Ok(())
    }
}

/// One device, its one session, and its disk.
struct Party {
    device: Durable<Device>,
    session: Option<Durable<Session>>,
    disk: Disk,
}

impl Party {
    fn new(fuse: &Rc<Fuse>, rng: &mut ChaCha20Rng) -> Self {
        let device = Device::generate_with(Default::default(), LATER, rng);
        // A device's owner saves it the first time.
        let records = vec![(Subject::Device, 1, device.snapshot(&key(), 1))];
        let disk = Disk { records, fuse: fuse.clone() };
        Self { device: Durable::new(device, key(), 1), session: None, disk }
    }

    fn stored_device(&self) -> Durable<Device> {
        let (_, generation, bytes) = self.disk.newest(Subject::Device).unwrap();
        Durable::<Device>::restore(bytes, key(), *generation).unwrap()
    }

    fn stored_session(&self, id: [u8; 32]) -> Option<Durable<Session>> {
        let (_, generation, bytes) = self.disk.newest(Subject::Session(id))?;
        Some(Durable::<Session>::restore(bytes, key(), *generation).unwrap())
    }

    /// Everything that is not on disk is lost. A session that was begun but not returned is found there.
    fn crash(&mut self) {
        self.device = self.stored_device();
        let known = self.session.as_ref().map(|session| session.id());
        let begun = self.disk.records.iter().rev().find_map(|(subject, ..)| match subject {
            Subject::Session(id) => Some(*id),
            _ => None,
        });
        self.session = known.or(begun).and_then(|id| self.stored_session(id));
    }
}

/// The outcome of a step, saved; `None` after a crash.
macro_rules! saved {
    ($unsaved:expr, $disk:expr) => {
        match $unsaved.save(&mut $disk) {
            Ok(outcome) => Some(outcome),
            Err(failed) if $disk.fuse.fault == Fault::RefusesOnce => Some(failed.unsaved.save(&mut $disk).unwrap()),
            Err(_) => None,
        }
    };
}

struct Script {
    alice: Party,
    bob: Party,
    rng: ChaCha20Rng,
    /// Every message that left a device, by the key of its body.
    released: HashMap<BodyKey, Vec<u8>>,
    /// Plaintexts that were shown to their readers.
    shown: usize,
    /// Plaintexts whose reader crashed between the save and the release.
    lost: usize,
    attempts: u8,
}

type Outcome<T> = Result<T, Violation>;

impl Script {
    fn new(fault: Fault, at: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let fuse = Rc::new(Fuse { saves: Cell::new(0), at, fault });
        let (alice, bob) = (Party::new(&fuse, &mut rng), Party::new(&fuse, &mut rng));
        Self { alice, bob, rng, released: HashMap::new(), shown: 0, lost: 0, attempts: 0 }
    }

    /// The text differs between attempts, as a user's would: a key used twice is then used for two texts.
    fn text(&mut self) -> Vec<u8> {
        self.attempts += 1;
        vec![self.attempts; 40]
    }

    /// `message` leaves a device. The state on disk must have advanced past its key.
    fn release(&mut self, from_alice: bool, body_key: BodyKey, message: &[u8], id: [u8; 32]) -> Outcome<()> {
        if self.released.insert(body_key, message.to_vec()).is_some_and(|other| other != message) {
            return Err(Violation::KeyTwice);
        }
        let party = if from_alice { &mut self.alice } else { &mut self.bob };
        let mut stored = party.stored_session(id).ok_or(Violation::SessionLost)?;
        let _ = stored.encrypt(b"after a crash", &mut self.rng).unwrap();
        if self.released.contains_key(&last_body_key()) {
            return Err(Violation::KeyTwice);
        }
        // If a step is due, the key would be another one, in a chain that the peer never learns of.
        let stored = party.stored_session(id).ok_or(Violation::SessionLost)?;
        let same = match party.session.take() {
            Some(session) => {
                let generation = session.generation();
                let inner = session.into_inner();
                let same = inner.snapshot(&key(), 0) == stored.into_inner().snapshot(&key(), 0);
                party.session = Some(Durable::new(inner, key(), generation));
                same
            }
            None => false,
        };
        if same { Ok(()) } else { Err(Violation::ChainLost) }
    }

    fn publish(&mut self) -> Outcome<Bundle> {
        loop {
            let unsaved = self.bob.device.publish(1, LATER, &mut self.rng).unwrap();
            let Some(mut published) = saved!(unsaved, self.bob.disk) else {
                self.bob.crash();
                continue;
            };
            let left = self.bob.stored_device().one_time_prekeys_left();
            if left != self.bob.device.one_time_prekeys_left() {
                return Err(Violation::PrivateHalfLost);
            }
            let one_time = published.one_time_prekeys.pop();
            return Ok(Bundle::new(published.identity, published.signed_prekey, one_time).unwrap());
        }
    }

    fn rotate(&mut self) -> Outcome<()> {
        loop {
            let unsaved = self.bob.device.rotate(LATER, &mut self.rng).unwrap();
            match saved!(unsaved, self.bob.disk) {
                Some(prekey) if self.bob.stored_device().signed_prekey() == prekey => return Ok(()),
                Some(_) => return Err(Violation::PrivateHalfLost),
                None => self.bob.crash(),
            }
        }
    }

    fn initiate(&mut self, bundle: &Bundle) -> Outcome<Vec<u8>> {
        loop {
            let text = self.text();
            let unsaved = self
                .alice
                .device
                .initiate(duplicate_bundle(bundle), &text, InitiateOptions::unverified(NOW), &mut self.rng)
                .unwrap();
            let body_key = last_body_key();
            if let Some((session, message)) = saved!(unsaved, self.alice.disk) {
                let id = session.id();
                self.alice.session = Some(session);
                self.release(true, body_key, &message, id)?;
                return Ok(message);
            }
            self.alice.crash();
            self.alice.session = None;
        }
    }

    fn accept(&mut self, message: &[u8]) -> Outcome<()> {
        loop {
            match self.bob.device.accept(message) {
                Ok(unsaved) => match saved!(unsaved, self.bob.disk) {
                    Some((session, _)) => {
                        let id = session.id();
                        self.bob.session = Some(session);
                        self.shown += 1;
                        if self.bob.stored_session(id).is_none() {
                            return Err(Violation::SessionLost);
                        }
                        let again = self.bob.stored_device().accept(message).map(|_| ());
                        return if again.is_err() { Ok(()) } else { Err(Violation::ShownTwice) };
                    }
                    None => self.bob.crash(),
                },
                // The session was saved and the crash came before it was returned: it is on disk.
                Err(error) => {
                    assert_eq!(error, AcceptError::PrekeyGone);
                    assert!(self.bob.session.is_some());
                    self.lost += 1;
                    return Ok(());
                }
            }
        }
    }

    fn send(&mut self, from_alice: bool) -> Outcome<Vec<u8>> {
        loop {
            let text = self.text();
            let party = if from_alice { &mut self.alice } else { &mut self.bob };
            let session = party.session.as_mut().unwrap();
            let id = session.id();
            let unsaved = session.encrypt(&text, &mut self.rng).unwrap();
            let body_key = last_body_key();
            if let Some(message) = saved!(unsaved, party.disk) {
                self.release(from_alice, body_key, &message, id)?;
                return Ok(message);
            }
            party.crash();
        }
    }

    fn receive(&mut self, at_alice: bool, message: &[u8]) -> Outcome<()> {
        loop {
            let party = if at_alice { &mut self.alice } else { &mut self.bob };
            let session = party.session.as_mut().unwrap();
            let id = session.id();
            match session.decrypt(message) {
                Ok(unsaved) => match saved!(unsaved, party.disk) {
                    Some(_) => {
                        self.shown += 1;
                        let mut stored = party.stored_session(id).ok_or(Violation::SessionLost)?;
                        let again = stored.decrypt(message).map(|_| ());
                        return if again.is_err() { Ok(()) } else { Err(Violation::ShownTwice) };
                    }
                    None => party.crash(),
                },
                Err(error) => {
                    assert_eq!(error, DecryptError::Refused);
                    self.lost += 1;
                    return Ok(());
                }
            }
        }
    }

    /// Handshake, both directions, messages overtaken within a chain and across a step, a rotation.
    fn play(&mut self) -> Outcome<()> {
        let bundle = self.publish()?;
        let hello = self.initiate(&bundle)?;
        let second = self.send(true)?;
        self.accept(&hello)?;
        let replies = [self.send(false)?, self.send(false)?, self.send(false)?];
        self.receive(true, &replies[2])?;
        self.receive(false, &second)?;
        let late = [self.send(true)?, self.send(true)?];
        self.receive(true, &replies[0])?;
        self.receive(false, &late[1])?;
        self.rotate()?;
        let reply = self.send(false)?;
        self.receive(true, &reply)?;
        let next = self.send(true)?;
        self.receive(false, &next)?;
        self.receive(false, &late[0])?;
        self.receive(true, &replies[1])?;
        Ok(())
    }
}

/// Plaintexts of the script.
const TEXTS: usize = 9;

fn saves_of_the_script() -> usize {
    let mut script = Script::new(Fault::None, 0);
    script.play().unwrap();
    assert_eq!((script.shown, script.lost, script.released.len()), (TEXTS, 0, TEXTS));
    script.alice.disk.fuse.saves.get()
}

#[test]
fn c10_a_crash_at_any_save_releases_nothing_unsaved() {
    let saves = saves_of_the_script();
    assert_eq!(saves, 2 * TEXTS + 2, "each text leaves and arrives; a publication, a rotation");
    for at in 1..=saves {
        for fault in [Fault::Refuses, Fault::RefusesOnce] {
            let mut script = Script::new(fault, at);
            assert_eq!(script.play(), Ok(()), "{fault:?} {at}");
            assert_eq!((script.shown, script.lost, script.released.len()), (TEXTS, 0, TEXTS), "{fault:?} {at}");
            assert_eq!(script.alice.disk.fuse.saves.get(), saves + 1, "{fault:?} {at}");
        }
    }
}

/// A plaintext that was saved and not yet shown is lost, one text of one reader: a crash after the save cannot be
/// distinguished from one before it. A caller that cannot accept this keeps the ciphertext, and an earlier snapshot,
/// until the plaintext is safe.
#[test]
fn c10_a_crash_after_a_save_costs_at_most_one_text() {
    let mut lost = 0;
    for at in 1..=saves_of_the_script() {
        let mut script = Script::new(Fault::WritesAndFails, at);
        assert_eq!(script.play(), Ok(()), "{at}");
        assert_eq!(script.shown + script.lost, TEXTS, "{at}");
        assert!(script.lost <= 1, "{at}");
        lost += script.lost;
    }
    assert_eq!(lost, TEXTS, "at each of the saves before a plaintext");
}

#[test]
fn c10_control_a_store_reporting_false_success_is_flagged_at_every_save() {
    let mut seen = Vec::new();
    for at in 1..=saves_of_the_script() {
        let violation = Script::new(Fault::FalseSuccess, at).play().unwrap_err();
        if !seen.contains(&violation) {
            seen.push(violation);
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

fn two_sessions() -> (Durable<Session>, Durable<Session>, ChaCha20Rng) {
    let mut script = Script::new(Fault::None, 0);
    let bundle = script.publish().unwrap();
    let hello = script.initiate(&bundle).unwrap();
    script.accept(&hello).unwrap();
    (script.alice.session.take().unwrap(), script.bob.session.take().unwrap(), script.rng)
}

/// Bytes before the body of a message, in a session that has been answered.
const HEAD_LEN: usize = noescrow::MESSAGE_OVERHEAD - 16;

#[test]
fn c9_an_older_state_is_refused_if_the_newest_generation_is_known() {
    let (_, mut bob, mut rng) = two_sessions();
    let mut disk = Disk { records: Vec::new(), fuse: Rc::new(Fuse { saves: Cell::new(0), at: 0, fault: Fault::None }) };
    // A step is due: the first reply makes the chain.
    bob.encrypt(b"reply", &mut rng).unwrap().save(&mut disk).unwrap();
    let backup = disk.records[0].clone();
    let one = bob.encrypt(&[b'1'; 40], &mut rng).unwrap().save(&mut disk).unwrap();
    let used = last_body_key();
    let newest = disk.records[0].1;
    let rollback = Durable::<Session>::restore(&backup.2, key(), newest).map(|_| ());
    assert_eq!(rollback, Err(RestoreError::Rollback));
    // Control: a caller that does not know the newest generation uses one key for two texts, and reveals their
    // difference.
    let mut old = Durable::<Session>::restore(&backup.2, key(), 0).unwrap();
    let two = old.encrypt(&[b'2'; 40], &mut rng).unwrap().save(&mut disk_of(Fault::None)).unwrap();
    assert_eq!(last_body_key(), used);
    let difference: Vec<u8> = (HEAD_LEN..HEAD_LEN + 40).map(|at| one[at] ^ two[at]).collect();
    assert_eq!(difference, [b'1' ^ b'2'; 40]);
}

fn disk_of(fault: Fault) -> Disk {
    Disk { records: Vec::new(), fuse: Rc::new(Fuse { saves: Cell::new(0), at: 1, fault }) }
}

/// The snapshot was saved as generation 2, and the crash came before that was recorded.
#[test]
fn c9_a_state_newer_than_the_recorded_generation_keeps_its_own() {
    let (_, mut bob, mut rng) = two_sessions();
    let mut disk = disk_of(Fault::None);
    let recorded = bob.generation();
    bob.encrypt(b"one", &mut rng).unwrap().save(&mut disk).unwrap();
    let (_, generation, snapshot) = disk.records[0].clone();
    assert!(generation > recorded);

    let mut restored = Durable::<Session>::restore(&snapshot, key(), recorded).unwrap();
    assert_eq!(restored.generation(), generation);
    // `Disk` asserts that generations grow.
    restored.encrypt(b"two", &mut rng).unwrap().save(&mut disk).unwrap();
    let newest = disk.records[0].1;
    assert_eq!(Durable::<Session>::restore(&snapshot, key(), newest).map(|_| ()), Err(RestoreError::Rollback));
    // Control: continuing from the recorded generation, as a caller may with `new`, gives one generation to two states,
    // and the older of them is not refused.
    let inner = Session::restore_with(Default::default(), &snapshot, &key(), recorded).unwrap();
    let mut wrong = Durable::new(inner, key(), recorded);
    let mut other = disk_of(Fault::None);
    wrong.encrypt(b"two", &mut rng).unwrap().save(&mut other).unwrap();
    assert!(Durable::<Session>::restore(&snapshot, key(), other.records[0].1).is_ok());

    let device = Device::generate_with(Default::default(), LATER, &mut rng);
    let stored = device.snapshot(&key(), 7);
    assert_eq!(Durable::<Device>::restore(&stored, key(), 3).unwrap().generation(), 7);
}
