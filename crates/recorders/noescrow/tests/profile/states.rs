// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stored states of spec/vectors/snapshots.json: the profile finds every secret in them.

use super::layout::{Secrets, secrets};
use super::{compiled, described, document, numbers, one_more};
use data_encoding::HEXLOWER;
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::{Secret, StorageKey, hazmat};
use noescrow_audit::engine::{Class, Ledger, Recomputed, recompute};
use noescrow_audit::{Field, Kind, Operation, Profile, Role, Tape, TraceReader};
use noescrow_recorder::{Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A snapshot of the vectors, and the values of its sealing.
struct Stored {
    snapshot: Vec<u8>,
    state: Vec<u8>,
    key: Vec<u8>,
    nonce: Vec<u8>,
}

impl Stored {
    fn kind(&self) -> u8 {
        self.snapshot[1]
    }

    fn secrets(&self) -> Secrets<'_> {
        secrets(self.kind(), &self.state)
    }

    /// A ledger of a device that opens the snapshot and does nothing else.
    fn opened(&self, profile: Profile) -> Ledger {
        let (head, sealed) = self.snapshot.split_at(42);
        let input = |role, bytes| Field { role, is_output: false, bytes };
        let fields = [
            input(Role::AeadKey, &self.key[..]),
            input(Role::Nonce, &self.nonce),
            input(Role::AssociatedData, head),
            input(Role::Tag, &sealed[sealed.len() - 16..]),
            Field { role: Role::Plaintext, is_output: true, bytes: &self.state },
        ];
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

fn vectors() -> (Value, Vec<Stored>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../spec/vectors/snapshots.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let hex = |value: &Value| HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    let stored = |event: &Value| {
        let values = &event["values"]["SN-1"];
        let [state, key, nonce] = ["state", "key", "nonce"].map(|name| hex(&values[name]));
        Stored { snapshot: hex(&event["snapshot"]), state, key, nonce }
    };
    let events = vectors["events"].as_array().unwrap().iter();
    let all = events.filter(|event| event["do"] == "store").map(stored).collect();
    (vectors, all)
}

/// The states that the vectors do not have: a responder that has received nothing, and skipped messages of several
/// steps.
fn rarer_states() -> Vec<Stored> {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let [shared, prekey] = [[1; 32], [2; 32]];
    let public = bob.dh_public(&Secret::new(prekey));
    let mut alice: Session<Recorder> = hazmat::initiator(alice, &Secret::new(shared), &public, b"").unwrap();
    let mut bob: Session<Recorder> = hazmat::responder(bob, &Secret::new(shared), Secret::new(prekey), b"");
    let key = StorageKey::new([9; 32]);
    assert!(!bob.snapshot(&key, 1).is_empty());
    for _ in 0..3 {
        let sent: Vec<Vec<u8>> = (0..3).map(|_| alice.encrypt(b"text", &mut rng).unwrap()).collect();
        bob.decrypt(&sent[2]).unwrap();
        let answer = bob.encrypt(b"text", &mut rng).unwrap();
        alice.decrypt(&answer).unwrap();
    }
    assert!(!bob.snapshot(&key, 2).is_empty());
    let mut all = Vec::new();
    let visit = |operation: &Operation<'_>| {
        if operation.kind == Kind::Seal && operation.step == "SN-1" {
            let [key, nonce, head, state] = [Role::AeadKey, Role::Nonce, Role::AssociatedData, Role::Plaintext]
                .map(|role| operation.input(role).unwrap().to_vec());
            let Recomputed::Agrees(Some(sealed)) = recompute(operation) else { panic!("not recomputed") };
            let snapshot = [&head[..], &sealed, operation.output(Role::Tag).unwrap()].concat();
            all.push(Stored { snapshot, state, key, nonce });
        }
    };
    TraceReader::new(&*tape.bytes()).unwrap().for_each(visit).unwrap();
    assert_eq!(all.len(), 2);
    all
}

#[test]
fn secrets_of_rarer_states_are_found() {
    for one in rarer_states() {
        assert_eq!(one.missed(profile()), [""; 0]);
    }
}

#[test]
fn every_secret_of_every_stored_state_is_found() {
    let (_, stored) = vectors();
    let all: usize = stored.iter().map(|one| one.expected().len()).sum();
    assert!(all > 150, "{all}");
    let braid: BTreeSet<u8> = stored.iter().filter_map(|one| one.secrets().braid).collect();
    assert_eq!(braid, (0..12).collect(), "all states of the Braid");
    assert!(stored.iter().any(|one| one.kind() == 2));
    for one in &stored {
        assert_eq!(one.missed(profile()), [""; 0]);
        // Control: without a profile the state is one secret, and its parts are not known.
        assert_eq!(one.missed(Profile::empty()).len(), one.expected().len());
    }
}

/// Independent of any layout: a private key that was drawn and is in a state is found there.
#[test]
fn every_drawn_key_within_a_stored_state_is_found() {
    let (vectors, stored) = vectors();
    let draws = vectors["events"].as_array().unwrap().iter().filter_map(|event| event["draws"].as_array()).flatten();
    let drawn: Vec<Vec<u8>> = draws
        .map(|draw| HEXLOWER.decode(draw["bytes"].as_str().unwrap().as_bytes()).unwrap())
        .filter(|bytes| bytes.len() >= 32)
        .collect();
    let mut found = 0;
    for one in &stored {
        let ledger = one.opened(profile());
        for key in drawn.iter().filter(|key| one.state.windows(key.len()).any(|part| part == key.as_slice())) {
            assert_eq!(described(&ledger, key).map(|(class, _)| class), Some(Class::Secret));
            found += 1;
        }
    }
    assert!(found > 15, "{found}");
}

#[test]
fn every_length_that_is_one_off_is_noticed() {
    let stored: Vec<Stored> = vectors().1.into_iter().chain(rarer_states()).collect();
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
