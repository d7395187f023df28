// SPDX-License-Identifier: MIT OR Apache-2.0
//! Another protocol needs no change of this crate: a profile and a recorder of its own are enough.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test states what it expects"
)]

mod toy;

use noescrow_audit::engine::{Class, Ledger, recompute};
use noescrow_audit::{
    Audit, Cell, Evidence, FindingKind, Operation, Outcome, Profile, Tape, Thief, TraceReader, Verdict,
};
use toy::{Run, TEXTS, profile, restore, run};

fn audit(run: &Run, held: &[u8]) -> Verdict {
    Audit::of(profile(), &run.tape)
        .unwrap()
        .server_saw("wire", &run.wire)
        .server_saw("disk", held)
        .known(Evidence::new())
        .verdict()
}

fn findings(verdict: &Verdict) -> Vec<(FindingKind, &str)> {
    let name = |what: &str| what.find(',').map_or(0, |at| at);
    verdict.findings.iter().map(|finding| (finding.kind, &finding.what[..name(&finding.what)])).collect()
}

#[test]
fn honest_run_of_a_toy_protocol_holds() {
    let run = run(Tape::in_memory());
    let verdict = audit(&run, &run.snapshot);
    assert!(verdict.holds(), "{verdict}");
    assert!(verdict.examined.public_values_seen >= 3);
    // Control: the evidence of another run.
    let other = Audit::of(profile(), &run.tape).unwrap().server_saw("wire", b"elsewhere").verdict();
    assert_eq!(other.outcome, Outcome::CouldNotExamine);
}

#[test]
fn leaks_of_a_toy_protocol_are_found_under_its_names() {
    let run = run(Tape::in_memory());
    let [first, second, last] = [0, 1, 2].map(|at| run.chain_keys[at].as_slice());
    let verdict = audit(&run, &second[4..24]);
    assert_eq!(findings(&verdict), [(FindingKind::FragmentInEvidence, "toy chain key")], "{verdict}");
    let verdict = audit(&run, last);
    assert_eq!(findings(&verdict), [(FindingKind::SecretInEvidence, "toy chain key")], "{verdict}");
    // What follows from the first chain key: three keys and two chain keys of three, and both texts.
    let verdict = audit(&run, first);
    let derived = |name| findings(&verdict).into_iter().filter(|one| *one == (FindingKind::Derivable, name)).count();
    assert_eq!(["toy chain key", "toy message key", "plaintext"].map(derived), [2, 2, 2], "{verdict}");
    let verdict = audit(&run, TEXTS[1]);
    assert_eq!(findings(&verdict), [(FindingKind::PlaintextInEvidence, "plaintext")], "{verdict}");
}

#[test]
fn theft_of_a_toy_state_exposes_only_later_messages() {
    let run = run(Tape::in_memory());
    let examination = Audit::of(profile(), &run.tape).unwrap().server_saw("wire", &run.wire).examine();
    let thefts = examination.thefts();
    let matrix = examination.secrecy_matrix(&thefts, &Thief::default());
    assert_eq!(matrix.cells, [[Cell::Secret], [Cell::Exposed]]);
    assert_eq!(matrix.to_text().lines().count(), 2);
}

#[test]
fn secrets_of_a_restored_toy_state_are_found_in_parts() {
    let first = run(Tape::in_memory());
    let tape = Tape::in_memory();
    restore(&tape, &first.snapshot);
    let verdict = |profile, held: &[u8]| Audit::of(profile, &tape).unwrap().server_saw("disk", held).verdict();
    let part = &first.chain_keys[1][16..];
    assert_eq!(findings(&verdict(profile(), part)), [(FindingKind::FragmentInEvidence, "toy chain key")]);
    // Control: a profile whose layout is one byte off does not know the chain key.
    let edited =
        toy::PROFILE.replace(r#""repeat": "u8", "of": [{ "skip": 2 }]"#, r#""repeat": "u8", "of": [{ "skip": 3 }]"#);
    let edited = Profile::from_json(edited.as_bytes()).unwrap();
    assert!(findings(&verdict(edited, part)).iter().all(|(_, name)| *name != "toy chain key"));
}

/// The secrets of a run, with their bytes.
fn secrets(profile: Profile, tape: &Tape) -> Vec<Vec<u8>> {
    let mut ledger = Ledger::new(profile);
    ledger.add_participant("Alice", false);
    let ingest = |operation: &Operation<'_>| ledger.ingest_recomputed(operation, &recompute(operation));
    TraceReader::new(&*tape.bytes()).unwrap().for_each(ingest).unwrap();
    ledger.finish();
    let is_secret = |class| matches!(class, Class::Secret | Class::State);
    let ids = ledger.values().filter(|(_, value)| is_secret(value.class)).map(|(id, _)| id);
    ids.filter_map(|id| ledger.bytes(id).map(<[u8]>::to_vec)).collect()
}

/// Only a profile makes a value public: without one, every secret is still a secret or lies within one.
#[test]
fn class_comes_from_the_profile_and_never_from_the_trace() {
    let run = run(Tape::in_memory());
    let within =
        |all: &[Vec<u8>], part: &[u8]| all.iter().any(|one| one.windows(part.len()).any(|bytes| bytes == part));
    let [with, without] = [profile(), Profile::empty()].map(|profile| secrets(profile, &run.tape));
    assert!(with.len() > 10);
    assert!(with.iter().all(|secret| within(&without, secret)));
    // The session id is public by the profile alone: without it, its bytes count as a part of a secret.
    assert!(!with.contains(&run.session_id) && within(&without, &run.session_id));
    let verdict = Audit::of(Profile::empty(), &run.tape).unwrap().server_saw("wire", &run.wire).verdict();
    assert!(findings(&verdict).contains(&(FindingKind::FragmentInEvidence, "derived key")), "{verdict}");
}
