// SPDX-License-Identifier: MIT OR Apache-2.0
//! noescrow's profile agrees with its code and its specification.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

mod classes;
mod kdf;
mod layout;
mod leaks;
#[path = "../messenger/talk.rs"]
mod messengers;
mod states;

use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, Capacity, ChunkSize, InitiateOptions, StorageKey, UnixSeconds, device, session};
use noescrow_audit::engine::{Class, Id, Ledger, recompute};
use noescrow_audit::{Kind, Operation, Profile, Role, Tape, TraceReader};
use noescrow_recorder::{PROFILE, Recorder, profile};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(PROFILE).unwrap()
}

fn compiled(document: &Value) -> Profile {
    Profile::from_json(document.to_string().as_bytes()).unwrap()
}

/// The names of all secret fields of stored states.
fn fields(layouts: &Value, names: &mut BTreeSet<String>) {
    match layouts {
        Value::Object(members) => {
            if members.get("class").is_some_and(|class| class == "secret") {
                names.insert(members["field"].as_str().unwrap().to_owned());
            }
            members.values().for_each(|member| fields(member, names));
        }
        Value::Array(members) => members.iter().for_each(|member| fields(member, names)),
        _ => {}
    }
}

/// Every place of a number under one of these keys, as JSON pointers.
fn numbers(value: &Value, keys: &[&str], pointer: &str) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match keys.contains(&key.as_str()) && value.is_u64() {
                true => vec![format!("{pointer}/{key}")],
                false => numbers(value, keys, &format!("{pointer}/{key}")),
            })
            .collect(),
        Value::Array(values) => {
            values.iter().enumerate().flat_map(|(at, value)| numbers(value, keys, &format!("{pointer}/{at}"))).collect()
        }
        _ => Vec::new(),
    }
}

/// The document with the number at this place greater by one.
fn one_more(document: &Value, pointer: &str) -> Value {
    let mut edited = document.clone();
    let number = edited.pointer_mut(pointer).unwrap();
    *number = (number.as_u64().unwrap() + 1).into();
    edited
}

type Device = device::Device<Recorder, Capacity<4, 4>>;
type Session = session::Session<Recorder>;

/// Two devices, and a session of each with the other; the first message has arrived.
struct Talk {
    tape: Tape,
    rng: ChaCha20Rng,
    alice: Device,
    bob: Device,
    ours: Session,
    theirs: Session,
}

impl Talk {
    /// With a one-time prekey, or without.
    fn begin(chunk_size: ChunkSize, one_time: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let tape = Tape::in_memory();
        let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
        let alice: Device = device::Device::generate_with(alice, UnixSeconds(1), &mut rng);
        let mut bob: Device = device::Device::generate_with(bob, UnixSeconds(1), &mut rng);
        let mut published = bob.publish(one_time, UnixSeconds(1), &mut rng).unwrap();
        let one_time = published.one_time_prekeys.pop();
        let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap();
        let options = InitiateOptions::unverified(UnixSeconds(0)).chunk_size(chunk_size);
        let (ours, hello) = alice.initiate(bundle, b"hi Bob", options, &mut rng).unwrap();
        let (theirs, _) = bob.accept(&hello).unwrap();
        Self { tape, rng, alice, bob, ours, theirs }
    }

    /// A message each way.
    fn exchange(&mut self) {
        let message = self.theirs.encrypt(b"a message that nobody else reads", &mut self.rng).unwrap();
        self.ours.decrypt(&message).unwrap();
        let message = self.ours.encrypt(b"an answer that nobody else reads", &mut self.rng).unwrap();
        self.theirs.decrypt(&message).unwrap();
    }
}

/// A trace of a conversation with every kind of message and both kinds of snapshot.
fn conversation(chunk_size: ChunkSize, rounds: usize) -> Vec<u8> {
    let mut talk = Talk::begin(chunk_size, 1);
    (0..rounds).for_each(|_| talk.exchange());
    let key = StorageKey::new([9; 32]);
    assert!(!talk.ours.snapshot(&key, 1).is_empty() && !talk.bob.snapshot(&key, 2).is_empty());
    talk.tape.bytes()
}

fn ledger(profile: Profile, trace: &[u8]) -> Ledger {
    let mut ledger = Ledger::new(profile);
    ledger.add_participant("Alice", false);
    ledger.add_participant("Bob", false);
    let ingest = |operation: &Operation<'_>| ledger.ingest_recomputed(operation, &recompute(operation));
    TraceReader::new(trace).unwrap().for_each(ingest).unwrap();
    ledger
}

/// Class and name of a value, if the ledger has it.
fn described<'a>(ledger: &'a Ledger, bytes: &[u8]) -> Option<(Class, &'a str)> {
    let id: Id = ledger.find(bytes)?;
    ledger.value(id).map(|value| (value.class, ledger.describe(value.what)))
}

/// A header's chunk by the wire format (spec/protocol.md §4): after DHs, PN, N, type, epoch and index.
fn chunk(header: &[u8], size: usize) -> Option<&[u8]> {
    (header[40] != 0).then(|| &header[47..47 + size])
}

/// The headers of a trace whose chunk the profile does not find, and the number of those with a chunk.
fn missed_chunks(profile: Profile, trace: &[u8], size: usize) -> (usize, usize) {
    let ledger = ledger(profile, trace);
    let (mut missed, mut all) = (0, 0);
    let visit = |operation: &Operation<'_>| {
        let header = operation.fields.iter().find(|field| field.role == Role::Plaintext);
        let is_header = operation.step == "DR-E3" || operation.step == "DR-D2";
        if let (Kind::Seal | Kind::Open, true, Some(header)) = (operation.kind, is_header, header) {
            assert_eq!(header.bytes.len(), 40 + 7 + size + 5);
            let Some(found) = chunk(header.bytes, size).map(|chunk| described(&ledger, chunk)) else { return };
            // A chunk may be a whole key header or ct2, which an operation made public under its own name.
            if found.is_none_or(|(class, name)| class != Class::Public || !name.starts_with("part of an ML-KEM")) {
                all += 1;
                missed += usize::from(found != Some((Class::Public, "chunk of the Braid")));
            }
        }
    };
    TraceReader::new(trace).unwrap().for_each(visit).unwrap();
    (missed, all)
}

#[test]
fn header_layouts_fit_genuine_headers_of_every_chunk_size() {
    for chunk_size in ChunkSize::ALL {
        let size = chunk_size.bytes();
        let trace = conversation(chunk_size, 20);
        let (missed, all) = missed_chunks(profile(), &trace, size);
        assert!(missed == 0 && all > 20, "{size}: {missed} of {all}");
        // Control: without the layout, or with one length off.
        let name = format!("header_{size}");
        let mut without = document();
        without["plaintexts"][2]["contains"].as_array_mut().unwrap().retain(|known| *known != name);
        assert_eq!(missed_chunks(compiled(&without), &trace, size), (all, all));
        for pointer in [format!("/layouts/chunk_{size}/0/skip"), format!("/layouts/chunk_{size}/1/len")] {
            let (missed, _) = missed_chunks(compiled(&one_more(&document(), &pointer)), &trace, size);
            assert_eq!(missed, all, "{pointer}");
        }
    }
}

/// Class and name of the plaintexts of a step.
fn plaintexts(document: &Value, trace: &[u8], step: &str) -> Vec<(Class, String)> {
    let ledger = ledger(compiled(document), trace);
    let mut all = Vec::new();
    let visit = |operation: &Operation<'_>| {
        if operation.step == step {
            let plaintext = operation.fields.iter().find(|field| field.role == Role::Plaintext);
            let described = plaintext.and_then(|field| described(&ledger, field.bytes));
            all.extend(described.map(|(class, name)| (class, name.to_owned())));
        }
    };
    TraceReader::new(trace).unwrap().for_each(visit).unwrap();
    all
}

#[test]
fn identities_and_padded_texts_are_recognised_by_their_shape() {
    let trace = conversation(ChunkSize::Bytes64, 2);
    for (steps, name) in [(["HS-I6", "HS-R4"], "identity"), (["DR-E4", "DR-D8"], "padded plaintext")] {
        for step in steps {
            let all = plaintexts(&document(), &trace, step);
            assert!(!all.is_empty() && all.iter().all(|one| *one == (Class::Neutral, name.to_owned())), "{step}");
        }
    }
    // Control: with another signed text, or another length, an identity is a plaintext like any other.
    for pointer in ["/layouts/identity/3/signature/of/0/text", "/layouts/identity/3/signature/of/1/text"] {
        let mut edited = document();
        *edited.pointer_mut(pointer).unwrap() = "another text".into();
        assert_eq!(plaintexts(&edited, &trace, "HS-I6"), [(Class::Secret, "plaintext".to_owned())]);
    }
    for pointer in numbers(&document()["layouts"]["identity"], &["len", "skip"], "/layouts/identity") {
        let edited = one_more(&document(), &pointer);
        assert_eq!(plaintexts(&edited, &trace, "HS-R4"), [(Class::Secret, "plaintext".to_owned())], "{pointer}");
    }
}

/// Only the profile makes a value public: without one, every secret is still a secret or lies within one.
#[test]
fn class_comes_from_the_profile_and_never_from_the_trace() {
    let trace = conversation(ChunkSize::Bytes64, 4);
    let secrets = |profile: Profile| {
        let ledger = ledger(profile, &trace);
        let is_secret = |class| matches!(class, Class::Secret | Class::State);
        let ids: Vec<Id> = ledger.values().filter(|(_, value)| is_secret(value.class)).map(|(id, _)| id).collect();
        ids.into_iter().filter_map(|id| ledger.bytes(id).map(<[u8]>::to_vec)).collect::<Vec<_>>()
    };
    let [with, without] = [profile(), Profile::empty()].map(secrets);
    assert!(with.len() > 100);
    for secret in &with {
        let is_secret = |one: &Vec<u8>| one.windows(secret.len()).any(|bytes| bytes == secret);
        assert!(secret.is_empty() || without.iter().any(is_secret), "{secret:x?}");
    }
}
