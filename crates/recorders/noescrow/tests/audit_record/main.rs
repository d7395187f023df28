// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recording through the public API: it changes no byte that is sent, and happens only where a type asks for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test states what it expects"
)]

use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, ChunkSize, InitiateOptions, Payload, Sealed, StorageKey, UnixSeconds, device, session};
use noescrow_audit::{Role, Tape, TraceReader, fuzz};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::any::TypeId;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

type Device<P> = device::Device<P>;

/// A conversation on given primitives: everything that a device sent or stored.
fn conversation<P: Primitives>(alice: P, bob: P, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let alice: Device<P> = Device::generate_with(alice, NOW, &mut rng);
    let mut bob: Device<P> = Device::generate_with(bob, NOW, &mut rng);
    let mut published = bob.publish(2, NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let mut sent = vec![bundle.to_bytes().to_vec()];
    let (mut ours, hello) = alice
        .initiate(bundle, b"hi Bob", InitiateOptions::unverified(NOW).chunk_size(ChunkSize::Bytes256), &mut rng)
        .unwrap();
    let (mut theirs, text): (session::Session<P>, _) = bob.accept(&hello).unwrap();
    assert_eq!(text, b"hi Bob");
    sent.push(hello);
    for round in 0..8usize {
        let text = vec![7; round * 100];
        let lost = theirs
            .encrypt(Payload { plaintext: &text, associated_data: b"ad", ..Payload::default() }, &mut rng)
            .unwrap();
        let message = theirs
            .encrypt(Payload { plaintext: &text, associated_data: b"ad", ..Payload::default() }, &mut rng)
            .unwrap();
        assert_eq!(ours.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap().plaintext, text);
        assert!(ours.decrypt(Sealed { message: &message, associated_data: b"ad" }).is_err());
        let mut changed = lost.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(ours.decrypt(Sealed { message: &changed, associated_data: b"ad" }).is_err());
        let reply =
            ours.encrypt(Payload { plaintext: &text, associated_data: b"ad", ..Payload::default() }, &mut rng).unwrap();
        assert_eq!(theirs.decrypt(Sealed { message: &reply, associated_data: b"ad" }).unwrap().plaintext, text);
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
fn recording_changes_no_byte_of_a_conversation() {
    for seed in 0..3 {
        let (tape, sent) = recorded(seed);
        assert_eq!(sent, conversation(RustCrypto, RustCrypto, seed));
        assert!(tape.operations() > 300);
        // Control: another seed gives another conversation.
        assert_ne!(sent, conversation(RustCrypto, RustCrypto, seed + 10));
    }
}

#[test]
fn traces_of_one_conversation_are_equal_in_memory_and_file() {
    let (tape, _) = recorded(1);
    assert_eq!(tape.bytes(), recorded(1).0.bytes());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("audit_record.trace");
    let file = Tape::to_writer(std::fs::File::create(&path).unwrap());
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&file, name).unwrap());
    conversation(alice, bob, 1);
    file.finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), tape.bytes());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn trace_of_a_conversation_has_every_kind_of_operation() {
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
    // Every kind: with the largest chunks a post-quantum epoch completes.
    assert_eq!(kinds.into_iter().map(|kind| kind as u8).collect::<Vec<_>>(), (1..=22).collect::<Vec<_>>());
    assert!(["HS-I4", "HS-R4", "DR-E4", "DR-D8"].iter().all(|step| steps.contains(*step)), "{steps:?}");
}

struct Probe<T>(PhantomData<T>);

/// The fallback for types without a default.
trait WithoutDefault {
    const HAS_DEFAULT: bool = false;
}

impl<T> WithoutDefault for Probe<T> {}

impl<T: Default> Probe<T> {
    const HAS_DEFAULT: bool = true;
}

/// Attack F9: the plain names use the default primitives with any features, and no conversion leads from them to a
/// recording session: they have no type parameter left, and the recorder has no default from which to construct it.
#[test]
fn f9_plain_names_record_nothing() {
    assert_eq!(TypeId::of::<noescrow::Session>(), TypeId::of::<session::Session<RustCrypto>>());
    assert_eq!(TypeId::of::<noescrow::Device>(), TypeId::of::<device::Device<RustCrypto>>());
    assert_eq!(size_of::<RustCrypto>(), 0, "no room for a tape");
    // A recorder is made only from a tape.
    const { assert!(!Probe::<Recorder>::HAS_DEFAULT) };
    // Control: a recording session is another type, and the probe finds a default where there is one.
    const { assert!(Probe::<RustCrypto>::HAS_DEFAULT) };
    assert_ne!(TypeId::of::<noescrow::Session>(), TypeId::of::<session::Session<Recorder>>());
    assert_ne!(TypeId::of::<noescrow::Device>(), TypeId::of::<device::Device<Recorder>>());
}

fn sources(under: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(under).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Whether a source file names anything that records.
fn names_recording(source: &str) -> bool {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
    let squeezed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    ["feature=\"audit\"", "audit::", "noescrow_audit", "noescrow_recorder", "Recorder", "Tape"]
        .iter()
        .any(|word| squeezed.contains(word))
}

/// Attack F9: the protocol's code names no recorder and its package depends on none, so that it is the same code in
/// every build.
#[test]
fn f9_protocol_code_does_not_depend_on_recording() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../../..");
    let protocol = sources(&root.join("src"));
    assert!(protocol.len() > 30);
    for path in protocol {
        assert!(!names_recording(&std::fs::read_to_string(&path).unwrap()), "{}", path.display());
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let sections = manifest.split("\n[").filter(|section| {
        let name = section.split(']').next().unwrap();
        (name.ends_with("dependencies") && !name.starts_with("workspace")) || name == "features"
    });
    let sections: Vec<&str> = sections.collect();
    assert!(sections.len() > 2);
    assert!(sections.iter().all(|section| !section.contains("audit") && !section.contains("recorder")));
    // Control: what the test looks for.
    assert!(names_recording("#[cfg(all(test, feature  =\n \"audit\"))]"));
    assert!(names_recording("use noescrow_recorder::Recorder;"));
    assert!(sources(&here.join("src")).iter().any(|path| names_recording(&std::fs::read_to_string(path).unwrap())));
    assert!(!names_recording("/// A recorder learns where values come from: audit::Recorder."));
}
