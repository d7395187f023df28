// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long associated data stands once in a trace. Recomputing resolves each reference to it, and verifies the tag.

use super::{Owned, array, bytes};
use noescrow::Secret;
use noescrow::primitives::Primitives;
use noescrow_audit::engine::{Recomputed, Recomputer};
use noescrow_audit::{Audit, Field, FindingKind, Kind, Operation, Profile, Role, Tape, TraceReader};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const COVERED_LEN: usize = 4096;

fn recomputed(operations: &[Owned]) -> Vec<Recomputed> {
    let mut recomputer = Recomputer::new();
    let mut outcome = |(kind, fields): &Owned| {
        let fields: Vec<_> =
            fields.iter().map(|(role, is_output, bytes)| Field { role: *role, is_output: *is_output, bytes }).collect();
        recomputer.recompute(&Operation { participant: 0, step: "", kind: *kind, fields: &fields })
    };
    operations.iter().map(&mut outcome).collect()
}

/// The operations on a tape, with the references as they are written.
fn recorded(tape: &Tape) -> Vec<Owned> {
    let mut all = Vec::new();
    let own = |field: &Field<'_>| (field.role, field.is_output, field.bytes.to_vec());
    TraceReader::new(&*tape.bytes())
        .unwrap()
        .for_each_as_written(|operation| all.push((operation.kind, operation.fields.iter().map(own).collect())))
        .unwrap();
    all
}

fn agree(operations: &[Owned]) -> bool {
    recomputed(operations).iter().all(|outcome| matches!(outcome, Recomputed::Agrees(_)))
}

fn references(operations: &[Owned]) -> usize {
    let fields = operations.iter().flat_map(|(_, fields)| fields);
    fields.filter(|(role, ..)| *role == Role::AssociatedDataReference).count()
}

fn field(operation: &mut Owned, role: Role) -> &mut (Role, bool, Vec<u8>) {
    operation.1.iter_mut().find(|(known, ..)| *known == role).unwrap()
}

/// A body, and a header whose associated data is the body's tag and the beginning of its ciphertext.
struct Sent {
    keys: [Secret<32>; 2],
    body: (Vec<u8>, [u8; 16]),
    header: (Vec<u8>, [u8; 16]),
}

impl Sent {
    fn covered(&self) -> Vec<u8> {
        let (ciphertext, tag) = &self.body;
        [&tag[..], &ciphertext[..ciphertext.len().min(COVERED_LEN)]].concat()
    }
}

fn send(device: &Recorder, len: usize, rng: &mut ChaCha20Rng) -> Sent {
    let keys = [Secret::new(array(rng)), Secret::new(array(rng))];
    let (mut body, mut header) = (bytes(rng, len), bytes(rng, 84));
    let body_tag = device.seal(&keys[0], &[0; 12], &bytes(rng, 181), &mut body).unwrap();
    let mut sent = Sent { keys, body: (body, body_tag), header: (Vec::new(), [0; 16]) };
    let tag = device.seal(&sent.keys[1], &[0; 12], &sent.covered(), &mut header).unwrap();
    sent.header = (header, tag);
    sent
}

fn open_header(device: &Recorder, sent: &Sent) {
    let (mut header, tag) = sent.header.clone();
    device.open(&sent.keys[1], &[0; 12], &sent.covered(), &mut header, &tag).unwrap();
}

/// Sealing of a body and of its header, and the header's opening, on one tape.
fn exchange(len: usize, seed: u64) -> Vec<Owned> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    open_header(&bob, &send(&alice, len, &mut rng));
    recorded(&tape)
}

#[test]
fn reference_is_resolved_and_the_tag_is_verified() {
    for (len, expected) in [(0, 0), (496, 0), (497, 2), (1024, 2), (4096, 2), (70_000, 2)] {
        let operations = exchange(len, 10);
        assert_eq!((operations.len(), references(&operations)), (3, expected), "{len}");
        assert!(agree(&operations), "{len}");
        // Control: the recorded tag of a header differs in one bit.
        for at in [1, 2] {
            let mut changed = operations.clone();
            field(&mut changed[at], Role::Tag).2[3] ^= 1;
            assert_eq!(recomputed(&changed)[at], Recomputed::Differs, "{len}");
        }
    }
}

/// Whoever reads the trace sees the bytes that the tag covers.
#[test]
fn reader_of_a_trace_gets_whole_associated_data() {
    let mut rng = ChaCha20Rng::seed_from_u64(16);
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let sent = send(&alice, 5000, &mut rng);
    open_header(&bob, &sent);
    let whole = super::recorded(&tape);
    for at in [1, 2] {
        assert_eq!(field(&mut whole[at].clone(), Role::AssociatedData).2, sent.covered());
        assert!(super::agrees(&whole[at]));
        // Control: as it is written, the operation cannot be recomputed on its own.
        assert!(!super::agrees(&recorded(&tape)[at]));
    }
    // A reference to what the trace lacks stays a reference.
    let cut = tape_of(&recorded(&tape)[1..]);
    assert_eq!(super::recorded(&cut), recorded(&cut));
    assert_eq!(references(&super::recorded(&cut)), 2);
}

/// A recorder that claims that a header covers what the trace has, but not what the device gave to AES-GCM.
#[test]
fn reference_to_other_bytes_is_not_confirmed() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let tape = Tape::in_memory();
    let alice = Recorder::device(&tape, "Alice").unwrap();
    let _ = (send(&alice, 1024, &mut rng), send(&alice, 1024, &mut rng));
    let mut operations = recorded(&tape);
    assert!(agree(&operations));
    let first = field(&mut operations[1], Role::AssociatedDataReference).2.clone();
    field(&mut operations[3], Role::AssociatedDataReference).2 = first;
    assert_eq!(recomputed(&operations)[3], Recomputed::Differs);
}

#[test]
fn reference_to_what_the_trace_lacks_is_malformed() {
    let unknown = || Recomputed::Malformed("a reference to associated data that is unknown");
    let operations = exchange(1024, 12);
    // Without the body's sealing, or with one that does not agree.
    assert_eq!(recomputed(&operations[1..])[0], unknown());
    for role in [Role::Plaintext, Role::Tag, Role::AeadKey, Role::AssociatedData] {
        let mut changed = operations.clone();
        field(&mut changed[0], role).2[0] ^= 1;
        assert_eq!(recomputed(&changed), [Recomputed::Differs, unknown(), unknown()], "{role:?}");
    }
    // Every bit of a reference counts, and so does its length.
    for bit in 0..8 * 36 {
        let mut changed = operations.clone();
        field(&mut changed[1], Role::AssociatedDataReference).2[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(recomputed(&changed)[1], unknown(), "{bit}");
    }
    for len in [0, 35, 37] {
        let mut changed = operations.clone();
        field(&mut changed[1], Role::AssociatedDataReference).2.resize(len, 0);
        assert_eq!(recomputed(&changed)[1], unknown(), "{len}");
    }
    assert!(agree(&operations));
}

/// Its own trace does not have what a receiver has not opened yet: it stands there once, whole.
#[test]
fn receiver_on_its_own_tape_writes_covered_bytes_once() {
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let [ours, theirs] = [Tape::in_memory(), Tape::in_memory()];
    let sent = send(&Recorder::device(&ours, "Alice").unwrap(), 1024, &mut rng);
    let bob = Recorder::device(&theirs, "Bob").unwrap();
    (0..3).for_each(|_| open_header(&bob, &sent));
    let mut operations = recorded(&theirs);
    assert_eq!((operations.len(), references(&operations)), (3, 2));
    assert!(agree(&operations));
    // Control: the bytes are verified as well.
    field(&mut operations[0], Role::AssociatedData).2[500] ^= 1;
    assert_eq!(recomputed(&operations)[0], Recomputed::Differs);
}

/// After 8,192 operations the bytes are written out again, so that reader and writer keep no more.
#[test]
fn late_arrival_is_written_whole_and_confirmed() {
    for (between, expected) in [(8_190, 2), (8_191, 1)] {
        let mut rng = ChaCha20Rng::seed_from_u64(14);
        let tape = Tape::in_memory();
        let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
        let sent = send(&alice, 1024, &mut rng);
        (0..between).for_each(|_| alice.fresh(b"x"));
        open_header(&bob, &sent);
        let operations = recorded(&tape);
        assert_eq!(references(&operations), expected, "{between}");
        assert!(agree(&operations), "{between}");
    }
}

fn tape_of(operations: &[Owned]) -> Tape {
    let tape = Tape::in_memory();
    let track = tape.device("Alice").unwrap();
    for (kind, fields) in operations {
        let fields = fields.iter().map(|(role, is_output, bytes)| Field { role: *role, is_output: *is_output, bytes });
        track.record("", *kind, fields);
    }
    tape
}

/// Findings that an operation does not recompute, in the trace of these operations.
fn findings(operations: &[Owned]) -> usize {
    let verdict = Audit::of(Profile::empty(), &tape_of(operations)).unwrap().verdict();
    verdict.findings.iter().filter(|finding| finding.kind == FindingKind::DoesNotRecompute).count()
}

#[test]
fn audit_reports_a_reference_that_does_not_hold() {
    let operations = exchange(1024, 15);
    assert_eq!(findings(&operations), 0);
    assert_eq!(findings(&operations[1..]), 2);
    let mut changed = operations.clone();
    let (kind, fields) = &changed[2];
    assert_eq!(*kind, Kind::Open);
    assert_eq!(fields.len(), 5);
    field(&mut changed[2], Role::AssociatedDataReference).2[35] ^= 1;
    assert_eq!(findings(&changed), 1);
}
