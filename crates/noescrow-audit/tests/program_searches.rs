// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `noescrow-audit`: what it searches for and for how long, and how it prints what it found.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test states what it expects"
)]

mod folder;
mod toy;

use folder::Folder;
use noescrow_audit::Tape;
use std::fs::File;

#[test]
fn short_texts_are_searched_for_if_asked() {
    let folder = Folder::new("short texts");
    let tape = Tape::to_writer(File::create(folder.path("pin.trace")).unwrap());
    tape.device("Bob").unwrap().given("", b"PIN 4711");
    tape.finish().unwrap();
    let common = ["--trace", "run.trace", "pin.trace", "--profile", "profile.json", "--known", "none"];
    for (log, option, code) in [
        (&b"the PIN 4711"[..], &["--short-texts"][..], 1),
        (b"the SPIN 4711", &["--short-texts"], 0),
        (b"the PIN 4711", &[], 3),
    ] {
        folder.write("server/log", log);
        let (exit, out, err) = folder.program(&[&common[..], option, &["--evidence", "server"]].concat());
        assert_eq!(exit, code, "{out}{err}");
        assert_eq!(out.contains("in server/log, byte 4"), code == 1, "{out}");
    }
}

/// A limit that is over at once, and one that is never.
#[test]
fn a_time_limit_stops_the_search_and_names_what_was_not_read() {
    let folder = Folder::new("time limit");
    folder.write("server/a log", b"nothing");
    let limit = |seconds, evidence: &[&str]| {
        folder.audit(&[&["--time-limit", seconds, "--known", "none", "--evidence"], evidence].concat())
    };
    let (code, out, _) = limit("0", &["server", "leak"]);
    assert!(code == 2 && out.starts_with("NOT SHOWN"), "{out}");
    assert!(
        out.contains("NOT examined: server/a log from its byte 0 on, and what follows it: the search was stopped"),
        "{out}"
    );
    // Controls.
    assert_eq!(limit("1000000", &["server"]).0, 0);
    assert_eq!(limit("1000000", &["server", "leak"]).0, 1);
    assert_eq!(folder.audit(&["--known", "none", "--evidence", "server"]).0, 0);
    folder.refused(&["--trace", "run.trace", "--evidence", "server", "--time-limit", "soon"], "--time-limit");
}

/// What was found before the limit is a finding, and what was not read is named beside it.
#[test]
fn findings_before_the_search_is_stopped_are_reported() {
    use core::cell::Cell;
    use noescrow_audit::{Audit, Evidence, Outcome};
    let run = toy::run(Tape::in_memory());
    let stopped_after = |asked: u32| {
        let count = Cell::new(0);
        let audit = Audit::of(toy::profile(), &run.tape).unwrap().server_saw("disk", &run.chain_keys[2]);
        let audit = audit.server_saw("wire", &run.wire).known(Evidence::new());
        audit
            .stopping(move || {
                count.set(count.get() + 1);
                count.get() > asked
            })
            .verdict()
    };
    let names = |verdict: &noescrow_audit::Verdict, source: &str| {
        verdict.examined.not_examined.iter().any(|one| one.starts_with(&format!("{source} from its byte 0 on")))
    };
    let at_once = stopped_after(0);
    assert!(at_once.outcome == Outcome::CouldNotExamine && names(&at_once, "disk"), "{at_once}");
    // Before a source, and before its bytes.
    let later = stopped_after(2);
    assert!(later.outcome == Outcome::Finding && names(&later, "wire"), "{later}");
    let never = stopped_after(u32::MAX);
    assert!(never.outcome == Outcome::Finding && never.examined.not_examined.is_empty(), "{never}");
}

/// All that follows from a chain key has one cause.
#[test]
fn findings_are_printed_by_their_causes() {
    let folder = Folder::new("causes");
    folder.write("text", toy::TEXTS[0]);
    let run = toy::run(Tape::in_memory());
    folder.write("first", &run.chain_keys[0]);
    let (code, out, _) = folder.audit(&["--known", "none", "--evidence", "server", "first", "text"]);
    let findings = out.lines().find(|line| line.starts_with("DOES NOT HOLD: ")).unwrap();
    assert!(code == 1 && findings.ends_with(" findings from 2 causes."), "{out}");
    assert!(out.contains("\n1. toy chain key, Alice at T-1") && out.contains(": 6 findings\n"), "{out}");
    // Of the cause, of the first finding that follows from it, and of the text.
    assert_eq!(out.matches("[0] ").count(), 3, "{out}");
    assert!(out.contains("\n2. plaintext in the evidence: plaintext, Alice at T-2"), "{out}");
    // Control: one finding has a line of its own, and no count.
    let (_, out, _) = folder.audit(&["--known", "none", "--evidence", "server", "text"]);
    assert!(out.starts_with("DOES NOT HOLD: 1 finding.\n\n1. plaintext in the evidence: plaintext,"), "{out}");
}
