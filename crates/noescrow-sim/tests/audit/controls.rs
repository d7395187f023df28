// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controls: runs with one fault each, which the audit must find, name and derive in every run.

use crate::faults::FAULTS;
use crate::faults::steps::sends_twice_from_one_state;
use crate::generators::{Source, draw};
use crate::leaks::LEAKS;
use crate::run::{Run, Setup, runs};
use noescrow::Secret;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow_audit::{Audit, Finding, FindingKind, Kind, Tape, TraceReader, Verdict};
use noescrow_recorder::{Recorder, profile};

/// A finding that the verdict must contain.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub kind: FindingKind,
    /// The beginning of the value's name.
    pub what: &'static str,
    /// The beginning of the name of the value in the evidence from which it follows; the value itself if empty.
    pub from: &'static str,
    /// The encoding of a value in the evidence.
    pub encoding: &'static str,
}

pub const fn found(kind: FindingKind, what: &'static str) -> Expected {
    Expected { kind, what, from: "", encoding: "" }
}

pub const fn encoded(what: &'static str, encoding: &'static str) -> Expected {
    Expected { kind: FindingKind::SecretInEvidence, what, from: "", encoding }
}

pub const fn follows(what: &'static str, from: &'static str) -> Expected {
    Expected { kind: FindingKind::Derivable, what, from, encoding: "" }
}

/// A run with one fault.
pub struct Control {
    pub name: &'static str,
    pub setup: fn(u64) -> Setup,
    /// What happens after the run; returns what the server has in addition to what it should have.
    pub leak: fn(&mut Run) -> Vec<u8>,
    pub expected: &'static [Expected],
    /// Findings that the verdict must not contain.
    pub never: &'static [(FindingKind, &'static str)],
}

impl Expected {
    fn is(&self, finding: &Finding) -> bool {
        let Self { kind, what, from, encoding } = self;
        let known = |step: &noescrow_audit::DerivationStep| {
            step.from.is_empty() && step.because.starts_with("in the evidence: leak") && step.value.starts_with(from)
        };
        let derived = from.is_empty()
            || (finding.derivation.iter().any(known)
                && finding.derivation.last().is_some_and(|last| last.value == finding.what && !last.from.is_empty()));
        let placed = encoding.is_empty()
            || finding.places.iter().any(|place| place.source == "leak" && place.encoding.contains(encoding));
        finding.kind == *kind && finding.what.starts_with(what) && derived && placed
    }
}

impl Control {
    /// What is missing from a verdict, or must not be in it.
    fn complaint(&self, verdict: &Verdict) -> Option<String> {
        let missing = self.expected.iter().find(|expected| !verdict.findings.iter().any(|found| expected.is(found)));
        if let Some(missing) = missing {
            return Some(format!("not found: {missing:?}"));
        }
        let is_wrong = |found: &&Finding| {
            self.never.iter().any(|(kind, what)| found.kind == *kind && found.what.starts_with(what))
        };
        verdict.findings.iter().find(is_wrong).map(|wrong| format!("found: {wrong:?}"))
    }

    pub fn verdict(&self, seed: u64) -> Verdict {
        let mut run = Run::new(seed, &(self.setup)(seed));
        let leak = (self.leak)(&mut run);
        run.record_relay();
        run.audit(&leak).verdict()
    }
}

fn all() -> impl Iterator<Item = &'static Control> {
    LEAKS.iter().chain(FAULTS)
}

fn check(share: usize) {
    let of_share = all().enumerate().filter(|(number, _)| number % 2 == share);
    for (number, control) in of_share {
        let mut findings = 0;
        for seed in 0..runs() {
            let verdict = control.verdict(seed.wrapping_mul(1_000_003) + number as u64);
            let complaint = control.complaint(&verdict);
            assert!(complaint.is_none(), "{}, seed {seed}: {}\n{verdict}", control.name, complaint.unwrap_or_default());
            findings += verdict.findings.len() + verdict.findings_not_listed;
        }
        let expected: Vec<_> = control.expected.iter().map(|expected| (expected.kind, expected.what)).collect();
        println!(
            "{:2}. {}: {} of {} runs, {findings} findings, {expected:?}",
            number + 1,
            control.name,
            runs(),
            runs()
        );
    }
}

/// Two tests, to use two cores.
#[test]
fn every_control_of_even_number_is_found_in_every_run() {
    assert!(all().count() >= 50);
    check(0);
}

#[test]
fn every_control_of_odd_number_is_found_in_every_run() {
    check(1);
}

/// For each kind of operation that has an output, a recorded output that does not match its inputs.
#[test]
fn a_wrong_recorded_output_is_found_in_every_run() {
    for seed in 0..runs() {
        let mut run = Run::new(seed, &Setup::default());
        let trace = run.tape.bytes();
        let mut outputs: Vec<(Kind, Vec<u8>)> = vec![];
        let note = |operation: &noescrow_audit::Operation<'_>| {
            let output = operation.fields.iter().find(|field| field.is_output && field.bytes.len() >= 16);
            if let (Some(output), false) = (output, matches!(operation.kind, Kind::Fresh | Kind::Given)) {
                outputs.push((operation.kind, output.bytes.to_vec()));
            }
        };
        TraceReader::new(&trace[..]).unwrap().for_each(note).unwrap();
        let kinds: std::collections::BTreeSet<_> = outputs.iter().map(|(kind, _)| *kind).collect();
        assert!(kinds.len() >= 11, "{kinds:?}");
        for kind in kinds {
            let of_kind: Vec<_> = outputs.iter().filter(|(other, _)| *other == kind).collect();
            let (_, output) = of_kind[draw(&mut run.rng, of_kind.len())];
            let at = trace.windows(output.len()).position(|window| window == output).unwrap();
            // Without its end, which would not match: a recorder that is wrong writes one that does.
            let mut altered = trace[..trace.len() - noescrow_audit::fuzz::END_LEN].to_vec();
            altered[at + draw(&mut run.rng, output.len())] ^= 1 << draw(&mut run.rng, 8);
            let verdict = run.audit_of(&altered, b"").verdict();
            let mut found = verdict.of_kind(FindingKind::DoesNotRecompute);
            assert!(found.any(|finding| finding.what.contains(" at ")), "seed {seed}, {kind:?}: {verdict}");
        }
    }
}

/// More devices in one audit than a trace has numbers for: a server among them still counts as one.
#[test]
fn participants_of_many_traces_stay_distinct() {
    let trace = |name: &str, is_server: bool| {
        let tape = Tape::in_memory();
        let devices: Vec<_> =
            (0..100).map(|number| Recorder::device(&tape, &format!("{name} {number}")).unwrap()).collect();
        let who = if is_server { Recorder::server(&tape, name).unwrap() } else { devices[99].clone() };
        let key = sha2_of(name);
        who.fresh(&key);
        who.dh_public(&Secret::new(key));
        tape.bytes()
    };
    let audit = |last_is_server: bool| {
        let traces = (0..3).map(|number| trace(&format!("device {number}"), false));
        let traces = traces.chain([trace("relay", last_is_server), trace("device 4", false)]);
        let none = Tape::in_memory().bytes();
        let key = sha2_of("relay");
        let audit = Audit::read(profile(), &none[..]).unwrap().server_saw("log", &key);
        traces.fold(audit, |audit, trace| audit.and_trace(&trace[..]).unwrap()).verdict().findings
    };
    assert_eq!(audit(true), [], "the server's own key is not a device secret");
    // Control: the same key as a device's, which keeps its name.
    let found = audit(false);
    assert_eq!(found.len(), 1);
    assert!(found[0].what.starts_with("X25519 private key, relay 99 at "), "{found:?}");
}

fn sha2_of(name: &str) -> [u8; 32] {
    RustCrypto.sha256(&[name.as_bytes()])
}

/// A machine that was copied together with its generator: each run on its own is flawless.
#[test]
fn a_repeated_generator_is_found_across_two_traces() {
    for seed in 0..runs() {
        let setup = Setup { source: Some(Source::good(seed)), ..Setup::default() };
        let (one, other) = (Run::new(seed, &setup), Run::new(seed + 1_000_000, &setup));
        assert!(one.audit(b"").verdict().holds() && other.audit(b"").verdict().holds());
        let both = |audit: Audit<'_>| audit.and_trace(&other.tape.bytes()[..]).unwrap().verdict();
        let verdict = both(one.audit(&other.wire));
        for what in ["Ed25519 private key", "X25519 private key", "ML-KEM private key", "ML-KEM coins", "fresh value"] {
            let mut found = verdict.of_kind(FindingKind::RepeatedFresh);
            assert!(found.any(|finding| finding.what.starts_with(what)), "seed {seed}, {what}: {verdict}");
        }
    }
}

/// Attack W7: a state that was rolled back gives a message another key, because its salt differs. The controls "two
/// plaintexts under one key and nonce" use the generator's state twice, too.
#[test]
fn w7_state_used_twice_uses_no_key_twice() {
    for seed in 0..runs() {
        let mut run = Run::new(seed, &Setup::default());
        sends_twice_from_one_state(&mut run);
        let verdict = run.audit(b"").verdict();
        assert!(verdict.holds(), "seed {seed}: {verdict}");
    }
}

/// The check of controls can fail: an honest run matches none of them.
#[test]
fn control_an_honest_run_matches_no_control() {
    let honest = Run::new(7, &Setup::default());
    let verdict = honest.audit(b"").verdict();
    for control in all() {
        assert!(control.complaint(&verdict).is_some(), "{}", control.name);
    }
    let names: std::collections::BTreeSet<_> = all().map(|control| control.name).collect();
    assert_eq!(names.len(), all().count());
}
