// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stored states in all forms: the profile finds every secret in them.

use super::layout::{Secrets, secrets};
use super::{Device, Session, Talk, compiled, described, document, messengers, numbers, one_more};
use noescrow::durable::{CommitError, Durable, Unsaved};
use noescrow::primitives::Primitives;
use noescrow::{ChunkSize, Secret, StorageKey, UnixSeconds, hazmat};
use noescrow_audit::engine::{Class, Ledger, recompute};
use noescrow_audit::{Field, Kind, Operation, Profile, Role, Tape, TraceReader};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::convert::Infallible;

/// What a device sealed at SN-1.
pub(super) struct Stored {
    head: Vec<u8>,
    state: Vec<u8>,
    key: Vec<u8>,
    nonce: Vec<u8>,
    tag: Vec<u8>,
}

impl Stored {
    fn kind(&self) -> u8 {
        self.head[1]
    }

    /// The first byte of a row's name, which stands at the end of the associated data.
    fn part(&self) -> u8 {
        self.head[self.head.len() - 9]
    }

    fn secrets(&self) -> Secrets<'_> {
        secrets(self.kind(), self.part(), &self.state)
    }

    /// The fields of the operation that opens the state.
    pub(super) fn fields(&self) -> [Field<'_>; 5] {
        let input = |role, bytes| Field { role, is_output: false, bytes };
        [
            input(Role::AeadKey, &self.key[..]),
            input(Role::Nonce, &self.nonce),
            input(Role::AssociatedData, &self.head),
            input(Role::Tag, &self.tag),
            Field { role: Role::Plaintext, is_output: true, bytes: &self.state },
        ]
    }

    /// A ledger of a device that opens the state and does nothing else.
    fn opened(&self, profile: Profile) -> Ledger {
        let fields = self.fields();
        let operation = Operation { participant: 0, step: "SN-2", kind: Kind::Open, fields: &fields };
        let mut ledger = Ledger::new(profile);
        ledger.add_participant("Alice", false);
        ledger.ingest_recomputed(&operation, &recompute(&operation));
        assert_eq!(ledger.flaws().len(), 0);
        ledger
    }

    /// The secrets, without the zeros of an abandoned session, and the state itself.
    fn expected(&self) -> Vec<(Class, &'static str, &[u8])> {
        let secrets = self.secrets().all.into_iter().filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
        let secrets = secrets.map(|(name, bytes)| (Class::Secret, name, bytes));
        secrets.chain([(Class::State, "state of a device", &self.state[..])]).collect()
    }

    /// The names of the expected values that the profile does not give.
    fn missed(&self, profile: Profile) -> Vec<&'static str> {
        let ledger = self.opened(profile);
        let is_missed = |&(class, name, bytes): &(Class, &str, &[u8])| described(&ledger, bytes) != Some((class, name));
        self.expected().into_iter().filter(is_missed).map(|(_, name, _)| name).collect()
    }
}

/// Everything that was sealed at SN-1, and what was drawn.
fn stored_on(tape: &Tape) -> (Vec<Stored>, Vec<Vec<u8>>) {
    let (mut stored, mut drawn) = (Vec::new(), Vec::new());
    let visit = |operation: &Operation<'_>| match (operation.kind, operation.step) {
        (Kind::Seal, "SN-1") => {
            let input = |role| operation.input(role).unwrap().to_vec();
            let [key, nonce, head, state] =
                [Role::AeadKey, Role::Nonce, Role::AssociatedData, Role::Plaintext].map(input);
            stored.push(Stored { head, state, key, nonce, tag: operation.output(Role::Tag).unwrap().to_vec() });
        }
        (Kind::Fresh, _) => drawn.push(operation.output(Role::Value).unwrap().to_vec()),
        _ => {}
    };
    TraceReader::new(&*tape.bytes()).unwrap().for_each(visit).unwrap();
    (stored, drawn)
}

/// A conversation on a signed prekey that is replaced, over two epochs, with both sessions and Bob's device after every
/// message; some messages are late.
fn conversation() -> Tape {
    let key = StorageKey::new([9; 32]);
    let mut talk = Talk::begin(ChunkSize::Bytes128, 0);
    let Talk { alice, bob, rng, .. } = &mut talk;
    bob.rotate(UnixSeconds(1), rng);
    bob.publish(3, UnixSeconds(1), rng).unwrap();
    assert!(!alice.snapshot(&key, 1).is_empty() && !bob.snapshot(&key, 2).is_empty());
    // A reading of the clock that another must confirm.
    bob.delete_expired(UnixSeconds(1 << 40));
    assert!(!bob.snapshot(&key, 3).is_empty());
    assert!(!talk.ours.snapshot(&key, 1).is_empty());
    // Alice has sent all of her key before Bob's ciphertext is complete.
    talk.exchange();
    for _ in 0..12 {
        let message = talk.ours.encrypt(b"text", &mut talk.rng).unwrap();
        talk.theirs.decrypt(&message).unwrap();
        assert!(!talk.theirs.snapshot(&key, 1).is_empty());
    }
    for generation in (3..).take(50) {
        for session in [&talk.ours, &talk.theirs] {
            assert!(!session.snapshot(&key, generation).is_empty());
        }
        let (from, to) = match generation % 2 {
            0 => (&mut talk.ours, &mut talk.theirs),
            _ => (&mut talk.theirs, &mut talk.ours),
        };
        let sent: Vec<Vec<u8>> = (0..2).map(|_| from.encrypt(b"text", &mut talk.rng).unwrap()).collect();
        to.decrypt(&sent[usize::from(generation % 5 != 0)]).unwrap();
    }
    talk.tape
}

/// A responder that has received nothing, sessions with skipped messages of several steps, and one whose Braid has
/// failed: its key for MACs was another than the peer's.
fn rarer_states() -> Tape {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    // Of many distinct bytes: a key of one repeated byte is not searched for.
    let [shared, prekey] = [1, 2].map(|seed| core::array::from_fn(|at| (151 * at + seed) as u8));
    let public = bob.dh_public(&Secret::new(prekey));
    let mut alice: Session = hazmat::initiator(alice, &Secret::new(shared), &public, b"").unwrap();
    let mut bob: Session = hazmat::responder(bob, &Secret::new(shared), Secret::new(prekey), b"");
    let key = StorageKey::new([9; 32]);
    assert!(!bob.snapshot(&key, 1).is_empty());
    for _ in 0..3 {
        let sent: Vec<Vec<u8>> = (0..3).map(|_| alice.encrypt(b"text", &mut rng).unwrap()).collect();
        bob.decrypt(&sent[2]).unwrap();
        let answer = bob.encrypt(b"text", &mut rng).unwrap();
        alice.decrypt(&answer).unwrap();
    }
    assert!(!bob.snapshot(&key, 2).is_empty());

    let mut state = hazmat::session_state(&bob);
    let mac_key = secrets(1, 0, &state).all.into_iter().find(|(name, _)| *name == "authenticator's MAC key").unwrap().1;
    let at = mac_key.as_ptr().addr() - state.as_ptr().addr();
    state[at] ^= 1;
    let mut bob: Session = hazmat::session_from_state(hazmat::session_primitives(&bob).clone(), &state).unwrap();
    let mut turn = 0;
    loop {
        let (from, to) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let message = from.encrypt(b"text", &mut rng).unwrap();
        to.decrypt(&message).unwrap();
        if to.is_abandoned() {
            assert!(!to.snapshot(&key, 3).is_empty());
            return tape;
        }
        turn += 1;
    }
}

fn saved<T>(unsaved: Unsaved<'_, T>) -> T {
    unsaved.settle(Ok::<(), CommitError<Infallible>>(())).unwrap()
}

/// A device and two sessions that are stored in rows, with late messages and a replay record.
fn rows() -> Tape {
    let key = StorageKey::new([9; 32]);
    let Talk { tape, mut rng, bob, ours, theirs, .. } = Talk::begin(ChunkSize::Bytes128, 0);
    let mut bob = saved(Durable::<Device>::new(bob, &key, &mut rng));
    saved(bob.rotate(UnixSeconds(1), &mut rng).unwrap());
    saved(bob.publish(2, UnixSeconds(1), &mut rng).unwrap());
    let mut sessions = [ours, theirs].map(|session| saved(Durable::<Session>::new(session, &key, &mut rng)));
    for turn in 1..20 {
        let sent: Vec<Vec<u8>> =
            (0..3).map(|_| saved(sessions[turn % 2].encrypt(b"text", &mut rng).unwrap())).collect();
        let to = &mut sessions[(turn + 1) % 2];
        for late in [2, turn % 2] {
            saved(to.decrypt(&sent[late]).unwrap());
        }
    }
    tape
}

pub(super) fn all_states() -> Vec<Stored> {
    [conversation(), rarer_states(), rows(), messengers::Talk::at_length().tape]
        .iter()
        .flat_map(|tape| stored_on(tape).0)
        .collect()
}

#[test]
fn every_secret_of_every_stored_state_is_found() {
    let stored = all_states();
    let all: usize = stored.iter().map(|one| one.expected().len()).sum();
    assert!(all > 1000, "{all}");
    let braid: BTreeSet<u8> = stored.iter().filter_map(|one| one.secrets().braid).collect();
    assert_eq!(braid, (0..12).collect(), "all states of the Braid");
    for one in &stored {
        assert_eq!(one.missed(profile()), [""; 0]);
        // Control: without a profile the state is one secret, and its parts are not known.
        assert_eq!(one.missed(Profile::empty()).len(), one.expected().len());
    }
}

/// Of a device, all parts that it can have; of a session, keys that were skipped in either ratchet.
#[test]
fn states_have_every_part_that_the_layout_names() {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let stored = all_states();
    stored.iter().for_each(|one| names.extend(one.secrets().all.iter().map(|(name, _)| *name)));
    let document = document();
    let mut of_layouts = BTreeSet::new();
    super::fields(&document["layouts"], &mut of_layouts);
    assert_eq!(names, of_layouts.iter().map(String::as_str).collect());
    assert_eq!(stored.iter().map(Stored::kind).collect::<BTreeSet<_>>(), [1, 2, 3, 4, 5, 6].into());
}

/// Independent of any layout: a private key that was drawn and is in a state is found there.
#[test]
fn every_drawn_key_within_a_stored_state_is_found() {
    let mut found = 0;
    for tape in [conversation(), rarer_states(), rows(), messengers::Talk::at_length().tape] {
        let (stored, drawn) = stored_on(&tape);
        for one in &stored {
            let ledger = one.opened(profile());
            let is_within = |key: &&Vec<u8>| one.state.windows(key.len()).any(|part| part == key.as_slice());
            for key in drawn.iter().filter(|key| key.len() >= 32).filter(is_within) {
                assert_eq!(described(&ledger, key).map(|(class, _)| class), Some(Class::Secret));
                found += 1;
            }
        }
    }
    assert!(found > 50, "{found}");
}

#[test]
fn every_length_that_is_one_off_is_noticed() {
    let stored = all_states();
    let document = document();
    let is_of_state = |pointer: &String| {
        let header = ["/layouts/header", "/layouts/chunk_", "/layouts/identity"];
        !header.iter().any(|layout| pointer.starts_with(layout))
    };
    let lengths = numbers(&document["layouts"], &["len", "skip"], "/layouts");
    let lengths: Vec<String> = lengths.into_iter().filter(is_of_state).collect();
    assert!(lengths.len() > 50);
    let unnoticed = |edited: &Value| {
        let profile = compiled(edited);
        stored.iter().all(|one| one.missed(profile.clone()).is_empty())
    };
    let silent: Vec<&String> = lengths.iter().filter(|pointer| unnoticed(&one_more(&document, pointer))).collect();
    assert_eq!(silent, [""; 0]);
    // Control: the unedited document.
    assert!(unnoticed(&document));
}
