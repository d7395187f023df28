// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crash contract (attacks C9, C10): the store fails at its k-th commit, for every k, during a scripted
//! conversation, and the device restarts. Nothing is released before its state is on disk; nothing that is on disk is
//! lost; every text arrives once.

use super::disk::{Disk, Fault};
use super::{Device, NOW, Session, accept, device, key, rng};
use noescrow::durable::{Begun, Durable, SaveFailed, Subject, Unsaved};
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, InitiateOptions};
use rand_chacha::ChaCha20Rng;

#[derive(Debug, PartialEq, Eq)]
enum Violation {
    /// A message left the device, and the state on disk is not past it.
    StateBehind,
    /// A plaintext was shown, and the state on disk would show it again.
    ShownTwice,
    /// A public key was given out, and the disk lacks its private half.
    PrivateHalfLost,
    /// A session was released that is not on disk.
    SessionLost,
    /// A text was sent and never shown.
    TextLost,
}

/// What happens when the store has failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Retry,
    Restart,
}

/// One device, its one session, and its disk.
struct Party {
    device: Durable<Device>,
    session: Option<Durable<Session>>,
    disk: Disk,
}

/// The commits of both parties are counted together, and the k-th fails.
struct Script {
    parties: [Party; 2],
    rng: ChaCha20Rng,
    commits: usize,
    at: usize,
    fault: Fault,
    after: After,
}

const ALICE: usize = 0;
const BOB: usize = 1;
type Outcome<T> = Result<T, Violation>;

impl Party {
    fn new(rng: &mut ChaCha20Rng) -> Self {
        let mut disk = Disk::default();
        Self { device: device(&mut disk, rng), session: None, disk }
    }

    fn stored_device(&self) -> Durable<Device> {
        Durable::<Device>::load(&mut self.disk.clone(), &key(), &self.device.subject(), 0, &mut rng(1)).unwrap()
    }

    fn stored_session(&self) -> Option<Durable<Session>> {
        let subject: Subject = self.disk.subjects().into_iter().find(|subject| !subject.is_device())?;
        Some(Durable::<Session>::load(&mut self.disk.clone(), &key(), &subject, 0, &mut rng(1)).unwrap())
    }

    /// Everything that is not on disk is lost.
    fn restart(&mut self) {
        self.device = self.stored_device();
        self.session = self.stored_session();
    }

    /// The state on disk must be the one from which the device continues.
    fn check_state(&self) -> Outcome<()> {
        let stored = self.stored_session().ok_or(Violation::SessionLost)?;
        let ours = self.session.as_ref().ok_or(Violation::SessionLost)?;
        if stored.snapshot(&key(), 0) == ours.snapshot(&key(), 0) { Ok(()) } else { Err(Violation::StateBehind) }
    }
}

/// Saves a step. `None` after a restart.
fn save<T>(unsaved: Unsaved<'_, T>, disk: &mut Disk, after: After) -> Option<T> {
    match unsaved.save(disk) {
        Ok(outcome) => Some(outcome),
        Err(SaveFailed { unsaved, .. }) if after == After::Retry => Some(unsaved.save(disk).unwrap()),
        Err(_) => None,
    }
}

impl Script {
    fn new((fault, after): (Fault, After), at: usize) -> Self {
        let mut rng = rng(9);
        let parties = [Party::new(&mut rng), Party::new(&mut rng)];
        Self { parties, rng, commits: 0, at, fault, after }
    }

    /// Arms the fault if this is its commit.
    fn commit(&mut self, who: usize) {
        self.commits += 1;
        if self.commits == self.at {
            self.parties[who].disk.faults = vec![self.fault];
        }
    }

    fn publish(&mut self) -> Outcome<Bundle> {
        loop {
            self.commit(BOB);
            let Party { device, disk, .. } = &mut self.parties[BOB];
            let unsaved = device.publish(1, NOW, &mut self.rng).unwrap();
            let Some(mut published) = save(unsaved, disk, self.after) else {
                self.parties[BOB].restart();
                continue;
            };
            let bob = &self.parties[BOB];
            if bob.stored_device().one_time_prekeys_left() != bob.device.one_time_prekeys_left() {
                return Err(Violation::PrivateHalfLost);
            }
            let one_time = published.one_time_prekeys.pop();
            return Ok(Bundle::new(published.identity, published.signed_prekey, one_time).unwrap());
        }
    }

    fn rotate(&mut self) -> Outcome<()> {
        self.commit(BOB);
        let Party { device, disk, .. } = &mut self.parties[BOB];
        match save(device.rotate(NOW, &mut self.rng).unwrap(), disk, self.after) {
            Some(prekey) if self.parties[BOB].stored_device().signed_prekey().is_ok_and(|stored| stored == prekey) => {
                Ok(())
            }
            Some(_) => Err(Violation::PrivateHalfLost),
            None => {
                self.parties[BOB].restart();
                Ok(())
            }
        }
    }

    fn initiate(&mut self, bundle: Bundle) -> Outcome<Vec<u8>> {
        let bytes = bundle.to_bytes();
        loop {
            self.commit(ALICE);
            let bundle = Bundle::from_bytes(&RustCrypto, &bytes).unwrap();
            let alice = &mut self.parties[ALICE];
            let options = InitiateOptions::unverified(super::NOW);
            let unsaved = alice.device.initiate(bundle, b"1", options, &mut self.rng).unwrap();
            let saved: Option<Begun<RustCrypto>> = save(unsaved, &mut alice.disk, self.after);
            match saved {
                Some((session, message)) => {
                    alice.session = Some(session);
                    alice.check_state()?;
                    return Ok(message);
                }
                None => alice.restart(),
            }
            // Committed before the restart: the message is in the outbox.
            if let Some(message) = alice.disk.outbox.last() {
                return Ok(message.clone());
            }
        }
    }

    fn accept(&mut self, message: &[u8]) -> Outcome<()> {
        loop {
            self.commit(BOB);
            let bob = &mut self.parties[BOB];
            let Ok(unsaved) = accept(&mut bob.device, message) else { break };
            match save(unsaved, &mut bob.disk, self.after) {
                Some((session, _)) => {
                    bob.session = Some(session);
                    bob.check_state()?;
                    break;
                }
                None => bob.restart(),
            }
        }
        match accept(&mut self.parties[BOB].stored_device(), message) {
            Ok(_) => Err(Violation::ShownTwice),
            Err(_) => Ok(()),
        }
    }

    fn send(&mut self, who: usize, text: &[u8]) -> Outcome<Vec<u8>> {
        loop {
            self.commit(who);
            let party = &mut self.parties[who];
            let before = party.disk.outbox.len();
            let unsaved = party.session.as_mut().ok_or(Violation::SessionLost)?.encrypt(text, &mut self.rng).unwrap();
            if let Some(message) = save(unsaved, &mut party.disk, self.after) {
                party.check_state()?;
                return Ok(message);
            }
            party.restart();
            if let Some(message) = party.disk.outbox.get(before) {
                return Ok(message.clone());
            }
        }
    }

    fn receive(&mut self, who: usize, message: &[u8]) -> Outcome<()> {
        loop {
            self.commit(who);
            let party = &mut self.parties[who];
            let Ok(unsaved) = party.session.as_mut().ok_or(Violation::SessionLost)?.decrypt(message) else { break };
            if save(unsaved, &mut party.disk, self.after).is_some() {
                break;
            }
            party.restart();
        }
        match self.parties[who].stored_session().ok_or(Violation::SessionLost)?.decrypt(message) {
            Ok(_) => Err(Violation::ShownTwice),
            Err(_) => Ok(()),
        }
    }

    /// Handshake, both directions, messages overtaken within a chain and across a step, a rotation.
    fn play(&mut self) -> Outcome<()> {
        let bundle = self.publish()?;
        let hello = self.initiate(bundle)?;
        let second = self.send(ALICE, b"2")?;
        self.accept(&hello)?;
        let replies = [self.send(BOB, b"3")?, self.send(BOB, b"4")?, self.send(BOB, b"5")?];
        self.receive(ALICE, &replies[2])?;
        self.receive(BOB, &second)?;
        let late = [self.send(ALICE, b"6")?, self.send(ALICE, b"7")?];
        self.receive(ALICE, &replies[0])?;
        self.receive(BOB, &late[1])?;
        self.rotate()?;
        let reply = self.send(BOB, b"8")?;
        self.receive(ALICE, &reply)?;
        let next = self.send(ALICE, b"9")?;
        self.receive(BOB, &next)?;
        self.receive(BOB, &late[0])?;
        self.receive(ALICE, &replies[1])?;
        let mut texts: Vec<_> = self.parties.iter().flat_map(|party| party.disk.inbox.values().cloned()).collect();
        texts.sort();
        if texts == (b'1'..=b'9').map(|text| vec![text]).collect::<Vec<_>>() {
            Ok(())
        } else {
            Err(Violation::TextLost)
        }
    }
}

fn commits_of_the_script() -> usize {
    let mut script = Script::new((Fault::None, After::Retry), 0);
    assert_eq!(script.play(), Ok(()));
    script.commits
}

#[test]
fn c10_a_fault_at_any_commit_shows_each_text_once() {
    let commits = commits_of_the_script();
    assert_eq!(commits, 2 * 9 + 2, "each text leaves and arrives; a publication, a rotation");
    for at in 1..=commits {
        for fault in [Fault::Refuses, Fault::LosesTheBatch, Fault::CommitsAndFails] {
            for (after, name) in [(After::Retry, "retry"), (After::Restart, "restart")] {
                assert_eq!(Script::new((fault, after), at).play(), Ok(()), "{fault:?} {at} {name}");
            }
        }
    }
}

#[test]
fn c10_control_a_store_reporting_false_success_is_flagged_at_every_commit() {
    let mut seen = Vec::new();
    for at in 1..=commits_of_the_script() {
        let violation = Script::new((Fault::FalseSuccess, After::Retry), at).play().unwrap_err();
        if !seen.contains(&violation) {
            seen.push(violation);
        }
    }
    assert!(seen.len() >= 4, "{seen:?}");
}

#[test]
fn c10_control_a_store_without_an_inbox_loses_a_text() {
    let mut script = Script::new((Fault::None, After::Restart), 0);
    script.parties[BOB].disk.ignores_messages = true;
    assert_eq!(script.play(), Err(Violation::TextLost));
}
