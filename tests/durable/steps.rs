// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every pair of steps of a device and of a session, of which the first is not saved or not known to be.

use super::disk::{Broken, Check, Disk, Fault};
use super::{Device, NOW, Pair, Session, bundle, initiate, key, pair, rng};
use noescrow::durable::{
    CommitError, Durable, LoadError, RotateError, RowName, SaveFailed, StepError, Subject, Unsaved,
};
use noescrow::error::{PrekeyError, RestoreError};
use noescrow::{Bundle, InitiateOptions, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Saved,
    /// The step before it is not saved.
    Blocked,
    NotCommitted(CommitError<Broken>),
}

fn outcome<T, E: std::fmt::Debug + PartialEq>(step: Result<Unsaved<'_, T>, StepError<E>>, disk: &mut Disk) -> Outcome {
    match step {
        Ok(unsaved) => match unsaved.save(disk) {
            Ok(_) => Outcome::Saved,
            Err(SaveFailed { error, .. }) => Outcome::NotCommitted(error),
        },
        Err(error) => {
            assert_eq!(error, StepError::NotSaved);
            Outcome::Blocked
        }
    }
}

/// A device with its disk, first messages to it, with and without a one-time prekey, and a bundle for it.
struct Owner {
    device: Durable<Device>,
    disk: Disk,
    messages: [Vec<u8>; 2],
    bundle: Vec<u8>,
    rng: ChaCha20Rng,
}

/// All messages are of one pair; the owner's state is loaded anew each time.
fn owner(pair: &mut Pair) -> Owner {
    let [alice, bob] = &mut pair.devices;
    let [alices, bobs] = &mut pair.disks;
    // Something to delete.
    bob.rotate(NOW, &mut pair.rng).unwrap().save(bobs).unwrap();
    let messages = [true, false].map(|one_time| {
        let bundle = bundle(bob, bobs, one_time, &mut pair.rng);
        initiate(alice, alices, bundle, b"hi", &mut pair.rng).1
    });
    let bundle = bundle(alice, alices, true, &mut pair.rng).to_bytes();
    let mut disk = bobs.clone();
    let device = Durable::<Device>::load(&mut disk, &key(), &bob.subject(), 0, &mut rng(3)).unwrap();
    Owner { device, disk, messages, bundle, rng: rng(4) }
}

type Step<T> = (&'static str, fn(&mut T) -> Outcome);

const OF_A_DEVICE: [Step<Owner>; 7] = [
    ("publish", |it| outcome(it.device.publish(1, NOW, &mut it.rng), &mut it.disk)),
    ("generate", |it| outcome(it.device.generate_one_time_prekey(NOW, &mut it.rng), &mut it.disk)),
    ("rotate", |it| outcome(it.device.rotate(NOW, &mut it.rng), &mut it.disk)),
    ("delete", |it| outcome(it.device.delete_previous_signed_prekeys(), &mut it.disk)),
    ("accept", |it| {
        let accepted = super::accept(&mut it.device, &it.messages[0]);
        outcome(accepted, &mut it.disk)
    }),
    ("refuse", |it| {
        let refused = it.device.open(&it.messages[1]).map(|pending| pending.refuse());
        outcome(refused, &mut it.disk)
    }),
    ("initiate", |it| {
        let bundle = Bundle::from_bytes(&noescrow::primitives::RustCrypto, &it.bundle).unwrap();
        let begun = it.device.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), &mut it.rng);
        outcome(begun.map_err(|failed| failed.error), &mut it.disk)
    }),
];

/// A session with its disk, and two messages for it.
struct Talker {
    session: Durable<Session>,
    disk: Disk,
    messages: [Vec<u8>; 2],
    rng: ChaCha20Rng,
}

fn talker(pair: &mut Pair) -> Talker {
    let messages = [(); 2].map(|()| pair.send(false, b"text"));
    let (mut disk, subject) = (pair.disks[0].clone(), pair.alice.subject());
    let session = Durable::<Session>::load(&mut disk, &key(), &subject, 0, &mut rng(3)).unwrap();
    Talker { session, disk, messages, rng: rng(4) }
}

const OF_A_SESSION: [Step<Talker>; 4] = [
    ("encrypt", |it| outcome(it.session.encrypt(b"text", &mut it.rng), &mut it.disk)),
    ("encrypt_control", |it| outcome(it.session.encrypt_control(b"text", &mut it.rng), &mut it.disk)),
    ("decrypt", |it| outcome(it.session.decrypt(&it.messages[0]), &mut it.disk)),
    ("decrypt out of order", |it| outcome(it.session.decrypt(&it.messages[1]), &mut it.disk)),
];

/// Somebody who takes steps and saves them.
trait Owned {
    fn disk(&mut self) -> &mut Disk;
    /// Saves the step before.
    fn retry(&mut self) -> Result<(), CommitError<Broken>>;
    /// Whether the disk has the state in memory.
    fn is_on_disk(&mut self) -> bool;
}

impl Owned for Owner {
    fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    fn retry(&mut self) -> Result<(), CommitError<Broken>> {
        self.device.unsaved().unwrap().save(&mut self.disk).map_err(|failed| failed.error)
    }

    fn is_on_disk(&mut self) -> bool {
        if self.device.signed_prekey().is_err() {
            return false;
        }
        let stored = Durable::<Device>::load(&mut self.disk, &key(), &self.device.subject(), 0, &mut rng(1)).unwrap();
        // In rows, prekeys are in the order of their ids.
        let content = |device: &Durable<Device>| {
            let unlisted = device.unlisted_one_time_prekeys().unwrap().map(|prekey| prekey.id());
            let unlisted: BTreeSet<u32> = unlisted.collect();
            let prekeys = (device.signed_prekey().unwrap(), device.one_time_prekeys_left(), unlisted);
            (device.generation(), device.snapshot_len(), prekeys)
        };
        content(&stored) == content(&self.device)
    }
}

impl Owned for Talker {
    fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    fn retry(&mut self) -> Result<(), CommitError<Broken>> {
        self.session.unsaved().unwrap().save(&mut self.disk).map_err(|failed| failed.error)
    }

    fn is_on_disk(&mut self) -> bool {
        let stored = Durable::<Session>::load(&mut self.disk, &key(), &self.session.subject(), 0, &mut rng(1)).unwrap();
        stored.snapshot(&key(), 1) == self.session.snapshot(&key(), 1)
    }
}

fn no_step_passes_another<T: Owned>(new: impl Fn() -> T, steps: &[Step<T>]) {
    for (first, step) in steps {
        for (second, other) in steps {
            let mut it = new();
            let before = it.disk().clone();
            it.disk().faults = vec![Fault::Refuses];
            assert_eq!(step(&mut it), Outcome::NotCommitted(CommitError::NotCommitted(Broken)), "{first}");
            assert_eq!(other(&mut it), Outcome::Blocked, "{second} after {first}");
            assert!(
                it.disk().rows == before.rows && it.disk().outbox == before.outbox && it.disk().inbox == before.inbox
            );
            assert_eq!(it.retry(), Ok(()));
            assert!(it.is_on_disk(), "{first}");
            // Control: now, and whenever the first is saved, the second is not blocked.
            if first != second {
                assert_eq!(other(&mut it), Outcome::Saved, "{second} after {first}");
            }
        }
    }
}

#[test]
fn no_step_of_a_device_passes_one_that_is_not_saved() {
    no_step_passes_another(|| owner(&mut pair()), &OF_A_DEVICE);
}

#[test]
fn no_step_of_a_session_passes_one_that_is_not_saved() {
    no_step_passes_another(|| talker(&mut pair()), &OF_A_SESSION);
}

/// For each step: a store that has committed, or not, and does not know.
fn each_step_is_retried<T: Owned>(new: impl Fn() -> T, steps: &[Step<T>], check: Check) -> usize {
    let mut retried = 0;
    for (name, step) in steps {
        let mut commits = Vec::new();
        for fault in [Fault::CommitsAndFails, Fault::LosesTheBatch, Fault::None] {
            let mut it = new();
            it.disk().check = check;
            it.disk().faults = vec![fault];
            let expected = match fault {
                Fault::None => Outcome::Saved,
                _ => Outcome::NotCommitted(CommitError::Unknown(Broken)),
            };
            assert_eq!(step(&mut it), expected, "{name}");
            if fault != Fault::None && it.retry().is_ok() {
                retried += 1;
            }
            let is_committed = it.is_on_disk();
            let disk = it.disk().clone();
            commits.push((is_committed, disk.rows, disk.inbox, disk.outbox));
        }
        if check == Check::Judge {
            assert!(commits[0].0 && commits.windows(2).all(|pair| pair[0] == pair[1]), "{name}: once");
        }
    }
    retried
}

#[test]
fn each_step_is_retried_after_a_commit_of_unknown_end() {
    let devices = |check| each_step_is_retried(|| owner(&mut pair()), &OF_A_DEVICE, check);
    let sessions = |check| each_step_is_retried(|| talker(&mut pair()), &OF_A_SESSION, check);
    assert_eq!((devices(Check::Judge), sessions(Check::Judge)), (2 * OF_A_DEVICE.len(), 2 * OF_A_SESSION.len()));
    // Control: a store that knows of generations alone refuses what it has committed.
    let half = (OF_A_DEVICE.len(), OF_A_SESSION.len());
    assert_eq!((devices(Check::HigherGeneration), sessions(Check::HigherGeneration)), half);
}

/// Pages of skipped keys of another session of the same two devices, under their names.
#[test]
fn pages_of_another_session_of_the_same_peer_are_refused() {
    let mut pair = pair();
    let [alice, bob] = &mut pair.devices;
    let [alices, bobs] = &mut pair.disks;
    let bundle = bundle(bob, bobs, true, &mut pair.rng);
    let (mut other, hello) = initiate(alice, alices, bundle, b"hi", &mut pair.rng);
    let (mut others, _) = super::accept(bob, &hello).unwrap().save(bobs).unwrap();
    for (from, to) in [(&mut pair.alice, &mut pair.bob), (&mut other, &mut others)] {
        let messages = [(); 40].map(|()| from.encrypt(b"text", &mut pair.rng).unwrap().save(alices).unwrap());
        let _ = to.decrypt(&messages[39]).unwrap().save(bobs).unwrap();
    }
    let (ours, theirs) = (pair.bob.subject(), others.subject());
    assert_eq!(pair.bob.remote_identity(), others.remote_identity());
    let load = |disk: &mut Disk, subject: Subject| {
        Durable::<Session>::load(disk, &key(), &subject, 0, &mut rng(2)).map(|_| ())
    };
    let pages: Vec<_> = bobs.rows_of(&ours).iter().map(|row| row.name).filter(|name| *name != RowName::CORE).collect();
    assert!(pages.len() >= 4, "{}", pages.len());
    for page in pages {
        let mut disk = bobs.clone();
        let row = disk.rows[&(theirs, page)].clone();
        assert!(disk.rows.insert((ours, page), row).is_some());
        assert_eq!(load(&mut disk, ours), Err(LoadError::Refused(RestoreError::Refused)));
        // Control: the session from which the page was copied.
        assert_eq!(load(&mut disk, theirs), Ok(()));
    }
    assert_eq!(load(bobs, ours), Ok(()));
}

/// FL-1: what an error changed without a row would be saved with the next step.
#[test]
fn a_full_store_leaves_a_durable_device_unchanged() {
    let Pair { mut rng, mut disks, devices: [mut alice, _], .. } = pair();
    let space = 8 - alice.one_time_prekeys_left();
    alice.publish(space, NOW, &mut rng).unwrap().save(&mut disks[0]).unwrap();
    alice.upload_succeeded().unwrap().save(&mut disks[0]).unwrap();
    let later = UnixSeconds(NOW.0 + 3_600);
    let full = Err(StepError::Failed(PrekeyError::StoreFull));
    assert_eq!(alice.generate_one_time_prekey(later, &mut rng).map(|_| ()), full);
    assert_eq!(alice.publish(1, later, &mut rng).map(|_| ()), full);
    // If the clock had moved, this step would write it.
    assert_eq!(alice.upload_succeeded().unwrap().batch(), None);
    // Control: a step that reads the clock writes it.
    assert!(alice.delete_expired(later).unwrap().batch().is_some());
}

/// Returns the texts of an error and of its causes, as error reporters print them.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}

/// A faulty error, whose text has its cause.
#[derive(Debug)]
struct Twice(Broken);

impl std::fmt::Display for Twice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not saved: {}", self.0)
    }
}

impl std::error::Error for Twice {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_error_chain_shows_each_cause_once() {
    let cause = Broken.to_string();
    let shows_once =
        |error: &dyn std::error::Error| chain(error).iter().filter(|text| text.contains(&cause)).count() == 1;
    let errors: [(&dyn std::error::Error, usize); 6] = [
        (&CommitError::NotCommitted(Broken), 2),
        (&CommitError::Unknown(Broken), 2),
        (&LoadError::Store(Broken), 2),
        (&RotateError::Load(LoadError::Store(Broken)), 2),
        (&RotateError::Commit(CommitError::NotCommitted(Broken)), 2),
        (&StepError::Failed(Broken), 1),
    ];
    for (error, length) in errors {
        assert_eq!(chain(error).len(), length, "{error}");
        assert!(shows_once(error), "{error}");
    }
    let Pair { mut rng, mut disks, devices: [mut alice, _], .. } = pair();
    disks[0].faults = vec![Fault::Refuses];
    let failed = alice.publish(1, NOW, &mut rng).unwrap().save(&mut disks[0]).unwrap_err();
    assert!(shows_once(&failed) && chain(&failed).len() == 2);
    // Control: an error that prints its cause and returns it shows it twice.
    assert!(!shows_once(&Twice(Broken)));
}
