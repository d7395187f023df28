// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recording through the public API: it changes no byte of what is sent, and happens only where a type asks for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test says what it expects"
)]

use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, ChunkSize, Heap, StorageKey, device, session};
use noescrow_audit::{Role, Tape, TraceReader, fuzz};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::any::TypeId;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

const NOW: u64 = 1_800_000_000;
const LATER: u64 = NOW + 30 * 86_400;

type Device<P> = device::Device<P, 100, 256>;

/// A conversation on given primitives: everything that left a device or was stored by it.
fn conversation<P: Primitives>(alice: P, bob: P, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let alice: Device<P> = Device::generate_with(alice, LATER, &mut rng);
    let mut bob: Device<P> = Device::generate_with(bob, LATER, &mut rng);
    let mut published = bob.publish(2, LATER, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let mut sent = vec![bundle.to_bytes().to_vec()];
    let (mut ours, hello) = alice.initiate_with(ChunkSize::Bytes256, &bundle, b"hi Bob", b"", NOW, &mut rng).unwrap();
    let (mut theirs, text): (session::Session<P, Heap>, _) = bob.accept(&hello, b"").unwrap();
    assert_eq!(text, b"hi Bob");
    sent.push(hello);
    for round in 0..8usize {
        let text = vec![7; round * 100];
        let lost = theirs.encrypt(&text, b"ad", &mut rng).unwrap();
        let message = theirs.encrypt(&text, b"ad", &mut rng).unwrap();
        assert_eq!(ours.decrypt(&message, b"ad").unwrap(), text);
        assert!(ours.decrypt(&message, b"ad").is_err());
        let mut bent = lost.clone();
        *bent.last_mut().unwrap() ^= 1;
        assert!(ours.decrypt(&bent, b"ad").is_err());
        let reply = ours.encrypt(&text, b"ad", &mut rng).unwrap();
        assert_eq!(theirs.decrypt(&reply, b"ad").unwrap(), text);
        sent.extend([lost, message, reply]);
    }
    assert_eq!(ours.safety_number(), theirs.safety_number());
    let key = StorageKey::new([9; 32]);
    sent.extend([ours.snapshot(&key, 1), bob.snapshot(&key, 2)]);
    sent
}

fn recorded(seed: u64) -> (Tape, Vec<Vec<u8>>) {
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let sent = conversation(alice, bob, seed);
    (tape, sent)
}

#[test]
fn a_recorded_conversation_is_byte_for_byte_the_one_that_nobody_recorded() {
    for seed in 0..3 {
        let (tape, sent) = recorded(seed);
        assert_eq!(sent, conversation(RustCrypto, RustCrypto, seed));
        assert!(tape.operations() > 300);
        // Control: another seed, another conversation.
        assert_ne!(sent, conversation(RustCrypto, RustCrypto, seed + 10));
    }
}

#[test]
fn two_records_of_one_conversation_are_the_same_bytes_in_memory_and_in_a_file() {
    let (tape, _) = recorded(1);
    assert_eq!(tape.bytes(), recorded(1).0.bytes());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("audit_record.trace");
    let file = Tape::to_writer(std::fs::File::create(&path).unwrap());
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&file, name).unwrap());
    conversation(alice, bob, 1);
    file.flush().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), tape.bytes());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_trace_of_a_conversation_has_every_kind_of_operation_and_one_spelling() {
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    bob.given(&[9; 32]);
    conversation(alice, bob, 2);
    let bytes = tape.bytes();
    assert_eq!(fuzz::trace_reader(&bytes).unwrap(), tape.operations());
    let (mut kinds, mut steps, mut sealed) = (BTreeSet::new(), BTreeSet::new(), 0);
    let participants = TraceReader::new(&bytes[..])
        .unwrap()
        .for_each(|operation| {
            kinds.insert(operation.kind);
            steps.insert(operation.step.to_owned());
            sealed += usize::from(operation.input(Role::Plaintext).is_some_and(|text| text.starts_with(b"hi Bob")));
        })
        .unwrap();
    assert_eq!((participants.len(), sealed), (2, 1));
    // Every one that there is: with the largest chunks a post-quantum epoch comes to its end.
    assert_eq!(kinds.into_iter().map(|kind| kind as u8).collect::<Vec<_>>(), (1..=22).collect::<Vec<_>>());
    assert!(["HS-I4", "HS-R4", "DR-E4", "DR-D8"].iter().all(|step| steps.contains(*step)), "{steps:?}");
}

struct Probe<T>(PhantomData<T>);

/// What a type without a default falls back on.
trait WithoutDefault {
    const HAS_DEFAULT: bool = false;
}

impl<T> WithoutDefault for Probe<T> {}

impl<T: Default> Probe<T> {
    const HAS_DEFAULT: bool = true;
}

/// Attack F9: the plain names are the default primitives, whatever features are on, and no conversion leads from them to a
/// recording session: both have no parameter left, and the recorder has no default to be made from.
#[test]
fn f9_the_plain_names_record_nothing() {
    assert_eq!(TypeId::of::<noescrow::Session>(), TypeId::of::<session::Session<RustCrypto, Heap>>());
    assert_eq!(TypeId::of::<noescrow::Device>(), TypeId::of::<device::Device<RustCrypto, 100, 256>>());
    assert_eq!(size_of::<RustCrypto>(), 0, "no room for a tape");
    // A recorder comes from a tape that somebody holds.
    const { assert!(!Probe::<Recorder>::HAS_DEFAULT) };
    // Control: a recording session is another type, and a default is seen where there is one.
    const { assert!(Probe::<RustCrypto>::HAS_DEFAULT) };
    assert_ne!(TypeId::of::<noescrow::Session>(), TypeId::of::<session::Session<Recorder, Heap>>());
    assert_ne!(TypeId::of::<noescrow::Device>(), TypeId::of::<device::Device<Recorder, 100, 256>>());
}

fn sources(under: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(under).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Whether a source file depends on the feature or names what records.
fn speaks_of_recording(source: &str) -> bool {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
    let squeezed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    ["feature=\"audit\"", "audit::", "Recorder", "Tape"].iter().any(|word| squeezed.contains(word))
}

/// Attack F9: protocol code neither asks for the feature nor names the recorder, so that it is the same code with and
/// without. What opens the room is src/lib.rs.
#[test]
fn f9_no_source_outside_the_audit_depends_on_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (inside, outside): (Vec<_>, Vec<_>) =
        sources(&src).into_iter().partition(|path| path.starts_with(src.join("audit")));
    assert!(outside.len() > 30 && inside.len() > 5);
    for path in outside {
        let source = std::fs::read_to_string(&path).unwrap();
        if path == src.join("lib.rs") {
            let lines: Vec<_> = source.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
            let after = |line: &&str| lines.iter().position(|other| other == line).map(|at| lines[at + 1]);
            assert_eq!(lines.iter().filter(|line| line.contains("audit")).count(), 3);
            assert_eq!(source.matches("feature = \"audit\"").count(), 2);
            let gates = ["extern crate std;", "pub mod audit;"];
            assert!(gates.iter().all(|gate| lines.contains(gate)));
            assert_eq!(after(&"#[cfg(feature = \"audit\")]"), Some("extern crate std;"));
            continue;
        }
        assert!(!speaks_of_recording(&source), "{}", path.display());
    }
    // Control: what the test looks for.
    assert!(speaks_of_recording("#[cfg(all(test, feature  =\n \"audit\"))]"));
    assert!(speaks_of_recording("use crate::audit::Recorder;"));
    assert!(inside.iter().any(|path| speaks_of_recording(&std::fs::read_to_string(path).unwrap())));
    assert!(!speaks_of_recording("/// A recorder learns where values come from: audit::Recorder."));
}
