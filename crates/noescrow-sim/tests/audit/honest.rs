// SPDX-License-Identifier: MIT OR Apache-2.0
//! Honest runs: the audit finds nothing in any of them although it examined something.

use crate::run::{Run, Setup, number};
use noescrow_audit::Verdict;

fn setup(seed: u64) -> Setup {
    Setup { one_time_prekeys: seed as usize % 3, steps: 10 + seed as usize % 30, ..Setup::default() }
}

/// To use two cores.
const THREADS: u64 = 2;

#[test]
fn honest_runs_have_no_finding() {
    let runs = number("NOESCROW_AUDIT_HONEST_RUNS", 200);
    let work = |from: u64| {
        let (mut operations, mut secrets, mut bytes, mut sent) = (0, 0, 0, 0);
        for seed in (from..runs).step_by(THREADS as usize) {
            let run = Run::new(seed, &setup(seed));
            let verdict: Verdict = run.audit(b"").verdict();
            assert!(verdict.holds(), "seed {seed}: {verdict}");
            assert!(!run.texts.is_empty() && verdict.examined.secrets > 20, "seed {seed}: {verdict}");
            operations += verdict.examined.operations;
            secrets += verdict.examined.secrets;
            bytes += verdict.examined.bytes;
            sent += run.texts.len();
        }
        (operations, secrets, bytes, sent)
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| work(1));
        (work(0), other.join().unwrap())
    });
    println!(
        "{runs} honest runs, no finding: {} messages, {} operations, {} secrets searched for in {} bytes",
        one.3 + other.3,
        one.0 + other.0,
        one.1 + other.1,
        one.2 + other.2
    );
}

#[test]
fn two_honest_runs_in_one_audit_have_no_finding() {
    for seed in 0..10 {
        let (one, other) = (Run::new(seed, &setup(seed)), Run::new(seed + 100, &setup(seed)));
        let verdict = one.audit(&other.wire).and_trace(&other.tape.bytes()[..]).unwrap().verdict();
        assert!(verdict.holds(), "seed {seed}: {verdict}");
    }
}

#[test]
fn evidence_of_another_run_could_not_be_examined() {
    let (one, other) = (Run::new(1, &setup(1)), Run::new(2, &setup(2)));
    let verdict = one.audit_of(&other.tape.bytes(), b"").verdict();
    assert_eq!(verdict.outcome, noescrow_audit::Outcome::CouldNotExamine, "{verdict}");
}
