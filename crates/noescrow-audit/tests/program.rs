// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `noescrow-audit`: its exit codes, its outputs, and what it refuses.
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
use std::fs::{self, File};

#[test]
fn exit_code_reports_whether_the_claim_holds() {
    let folder = Folder::new("exit codes");
    folder.write("other", b"evidence of another server");
    for (evidence, code, beginning) in [
        (&["server"][..], 0, "HOLDS: "),
        (&["server", "leak"], 1, "DOES NOT HOLD: "),
        (&["leak"], 1, "DOES NOT HOLD: "),
        (&["other"], 2, "NOT SHOWN: "),
    ] {
        let (exit, out, err) = folder.audit(&[&["--evidence"], evidence].concat());
        assert_eq!((exit, err.as_str()), (code, ""), "{evidence:?}: {out}");
        assert!(out.starts_with(beginning), "{evidence:?}: {out}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_notes_and_special_files_are_refused() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    let folder = Folder::new("special files");
    symlink("wire", folder.path("server/latest")).unwrap();
    symlink("/", folder.path("server/root")).unwrap();
    let (code, out, _) = folder.audit(&["--evidence", "server"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("note: server/root: a link out of the evidence")
            && out.contains("searched there: 1, the first server/latest")
    );
    // The path of a socket has at most 108 bytes.
    let path = std::env::temp_dir().join(format!("noescrow-audit-{}", std::process::id()));
    let socket = UnixListener::bind(&path).unwrap();
    for special in [path.to_str().unwrap(), "/dev/zero"] {
        let (code, out, _) = folder.audit(&["--evidence", "server", special]);
        assert_eq!(code, 2, "{out}");
        assert!(out.contains("is no evidence: copy what it delivers to a file"), "{out}");
    }
    drop(socket);
    fs::remove_file(path).unwrap();
}

#[test]
fn secrets_that_were_not_searched_for_have_an_exit_code_of_their_own() {
    let folder = Folder::new("in part");
    let tape = Tape::to_writer(File::create(folder.path("pin.trace")).unwrap());
    tape.device("Bob").unwrap().given("", b"PIN 4711");
    tape.finish().unwrap();
    let arguments = ["--trace", "run.trace", "pin.trace", "--profile", "profile.json", "--evidence", "server"];
    let (code, out, _) = folder.program(&arguments);
    assert!(code == 3 && out.starts_with("HOLDS FOR WHAT WAS SEARCHED: 1 of "), "{code} {out}");
    let (code, out, _) = folder.program(&[&arguments[..], &["--json", "--html", "page.html"]].concat());
    assert!(code == 3 && out.contains("\"outcome\": \"holds-in-part\""), "{code} {out}");
    assert!(fs::read_to_string(folder.path("page.html")).unwrap().contains(">HOLDS FOR WHAT WAS SEARCHED: 1 of "));
    // A finding and what could not be examined count for more.
    assert_eq!(folder.program(&[&arguments[..], &["leak"]].concat()).0, 1);
    assert_eq!(folder.program(&[&arguments[..], &["--min-share", "100"]].concat()).0, 2);
}

/// The evidence has three of four.
#[test]
fn evidence_must_have_a_share_of_the_public_values() {
    let folder = Folder::new("share");
    for (share, code) in [("75", 0), ("76", 2), ("0", 0)] {
        let (exit, out, _) = folder.audit(&["--evidence", "server", "--min-share", share]);
        assert_eq!(exit, code, "{share}: {out}");
    }
    folder.refused(&["--trace", "run.trace", "--evidence", "server", "--min-share", "101"], "--min-share");
}

#[test]
fn without_a_profile_every_derived_value_is_secret() {
    let folder = Folder::new("no profile");
    let (code, out, _) = folder.program(&["--trace", "run.trace", "--no-profile", "--evidence", "server"]);
    assert!(code == 1 && out.contains("derived key"), "{out}");
    // It must be asked for.
    let (code, _, err) = folder.program(&["--trace", "run.trace", "--evidence", "server"]);
    assert!(code == 2 && err.contains("--profile"), "{err}");
}

/// Nothing is derived, so that nothing is found: what a restored state contained is unknown.
#[test]
fn without_a_profile_no_verdict_holds() {
    use noescrow_audit::{Audit, Profile, Tape};
    let tape = Tape::in_memory();
    tape.device("Alice").unwrap().given("", b"a key of thirty-two bytes, Alice");
    let outcome = |profile| Audit::of(profile, &tape).unwrap().server_saw("log", b"nothing").verdict().examined;
    let complains = |profile| outcome(profile).not_examined.iter().any(|what| what.contains("stored states"));
    assert!(complains(Profile::empty()));
    assert!(!complains(Profile::from_json(toy::PROFILE.as_bytes()).unwrap()));
    let json = r#"{"format": "noescrow-audit profile", "version": 1, "protocol": "", "kdf": [], "plaintexts": [],
        "messages": [], "layouts": {}"#;
    assert!(complains(Profile::from_json(format!("{json}}}").as_bytes()).unwrap()));
    assert!(!complains(Profile::from_json(format!("{json}, \"stored\": \"never\"}}").as_bytes()).unwrap()));
}

#[test]
fn json_has_the_outcome_and_the_same_exit_code() {
    let folder = Folder::new("json");
    for (evidence, code, outcome) in [("server", 0, "holds"), ("leak", 1, "finding")] {
        let (exit, out, _) = folder.audit(&["--json", "--evidence", evidence]);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((exit, json["outcome"].as_str()), (code, Some(outcome)));
        assert_eq!(json["findings"].as_array().unwrap().is_empty(), code == 0);
        assert_eq!(json["findings_not_listed"], 0);
    }
}

/// Digest and size of everything that was read, so that somebody else can tell whether they have the same.
#[test]
fn manifest_has_the_tool_the_time_and_the_digests() {
    use sha2::{Digest, Sha256};
    let folder = Folder::new("manifest");
    folder.write("server/log", b"abc");
    let manifest = |arguments: &[&str]| {
        let (_, out, err) = folder.audit(&[&["--json", "--evidence", "server"], arguments].concat());
        let json: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
        json["manifest"].clone()
    };
    let piece = |name: &str, shown: &str| {
        let bytes = fs::read(folder.path(name)).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({"name": shown, "bytes": bytes.len(), "sha256": digest})
    };
    let written = manifest(&[]);
    assert_eq!(written["tool"], concat!("noescrow-audit ", env!("CARGO_PKG_VERSION")));
    assert_eq!(written["traces"], serde_json::json!([piece("run.trace", "trace 1")]));
    let expected = [piece("server/log", "server/log"), piece("server/wire", "server/wire")];
    assert_eq!(written["evidence"], serde_json::json!(expected));
    // RFC 3339, in seconds and UTC.
    let time = written["time"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    assert!(!written["host"].as_str().unwrap().is_empty());
    assert!(written["options"].as_array().unwrap().contains(&"--evidence".into()));
    // Control: one changed byte.
    folder.write("server/log", b"abx");
    assert_ne!(manifest(&[])["evidence"], written["evidence"]);
}

#[test]
fn page_and_matrix_are_written_in_the_format_of_their_names() {
    let folder = Folder::new("files");
    let read = |name: &str| fs::read(folder.path(name)).unwrap();
    let (code, out, err) = folder.audit(&["--evidence", "server", "--html", "page.html", "--matrix", "matrix.svg"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("HOLDS"));
    let page = String::from_utf8(read("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("2 messages (rows) × 1 thefts (columns)"));
    assert!(
        page.contains("<figcaption>A thief of today") && page.contains("<figcaption>A thief with a quantum computer")
    );
    assert!(
        read("matrix.svg").starts_with(b"<svg ")
            && page.as_bytes().windows(200).any(|part| part == &read("matrix.svg")[..200])
    );
    assert_eq!(folder.audit(&["--evidence", "server", "--matrix", "matrix.PNG"]).0, 0);
    assert!(read("matrix.PNG").starts_with(b"\x89PNG"));
}

#[test]
fn matrix_is_refused_without_format_or_snapshot() {
    let folder = Folder::new("no matrix");
    let common = ["--trace", "run.trace", "--profile", "profile.json", "--evidence", "server", "--matrix"];
    for name in ["matrix.jpg", "matrix", "svg"] {
        folder.refused(&[&common[..], &[name]].concat(), "must be .svg or .png");
        assert!(!folder.path(name).exists());
    }
    let tape = Tape::to_writer(File::create(folder.path("short.trace")).unwrap());
    tape.device("Alice").unwrap().given("", &toy::SHARED);
    tape.finish().unwrap();
    // Without a theft there is no matrix; that hides no finding.
    let arguments = ["--trace", "short.trace", "--profile", "profile.json", "--matrix", "matrix.svg", "--evidence"];
    folder.write("shared", &toy::SHARED);
    for (evidence, code) in [("server", 2), ("shared", 1)] {
        let (exit, out, err) = folder.program(&[&arguments[..], &[evidence]].concat());
        assert!(exit == code && !out.is_empty() && err.contains("no device took a snapshot"), "{exit}: {out} {err}");
    }
    assert!(!folder.path("matrix.svg").exists());
}

/// The verdict is printed first, so that a full disk hides no finding.
#[test]
fn a_file_that_cannot_be_written_hides_no_finding() {
    let folder = Folder::new("unwritable");
    for (evidence, code) in [("server", 2), ("leak", 1)] {
        let (exit, out, err) = folder.audit(&["--evidence", evidence, "--html", "absent/page.html"]);
        assert!(exit == code && !out.is_empty() && err.contains("absent/page.html: "), "{exit}: {out} {err}");
    }
}

#[test]
fn trace_within_the_evidence_is_refused() {
    let folder = Folder::new("trace in evidence");
    let reason = "run.trace is part of the evidence";
    folder.refused(&["--trace", "run.trace", "--evidence", "."], reason);
    folder.refused(&["--trace", "run.trace", "--evidence", "server", "run.trace"], reason);
    folder.refused(&["--trace", "server/../run.trace", "--evidence", "run.trace"], reason);
}

#[test]
fn same_trace_twice_is_refused() {
    let folder = Folder::new("trace twice");
    for again in ["run.trace", "server/../run.trace"] {
        folder.refused(&["--trace", "run.trace", again, "--evidence", "server"], "given twice");
    }
    // Control: two traces of two runs are accepted.
    let tape = Tape::to_writer(File::create(folder.path("other.trace")).unwrap());
    tape.device("Bob").unwrap().given("", &core::array::from_fn::<u8, 32, _>(|at| (at as u8).wrapping_mul(91) ^ 0x17));
    tape.finish().unwrap();
    let (code, out, err) =
        folder.program(&["--trace", "run.trace", "other.trace", "--profile", "profile.json", "--evidence", "server"]);
    assert!(code == 0 && out.starts_with("HOLDS"), "{out}{err}");
}

/// The process ended before it wrote the rest, or the disk was full: whatever the rest was about may have leaked.
#[test]
fn no_verdict_on_a_trace_that_ends_early_holds() {
    let folder = Folder::new("cut trace");
    let trace = fs::read(folder.path("run.trace")).unwrap();
    let arguments = ["--trace", "cut.trace", "--profile", "profile.json", "--evidence", "server"];
    for missing in [1, 41, 42, 100] {
        folder.write("cut.trace", &trace[..trace.len() - missing]);
        let (code, out, err) = folder.program(&arguments);
        assert!(code == 2 && out.starts_with("NOT SHOWN"), "{missing}: {out}{err}");
        assert!(
            out.contains("NOT examined: what the devices of trace 1 did last: the trace ends early, after"),
            "{out}"
        );
        // What the trace does have is searched for.
        let (code, out, err) = folder.program(&[&arguments[..], &["leak"]].concat());
        assert!(code == 1 && out.starts_with("DOES NOT HOLD"), "{missing}: {out}{err}");
    }
    // Control: the whole trace.
    folder.write("cut.trace", &trace);
    assert_eq!(folder.program(&arguments).0, 0);
}

#[test]
fn bad_files_are_refused_with_their_name() {
    let folder = Folder::new("bad files");
    let trace = fs::read(folder.path("run.trace")).unwrap();
    folder.write("cut.trace", &trace[..10]);
    folder.write("two.trace", &[&trace[..], &trace].concat());
    folder.write("bad.json", b"{}");
    for (arguments, reason) in [
        (&["--trace", "absent", "--evidence", "server"][..], "absent: "),
        (&["--trace", "server/wire", "--evidence", "leak"], "server/wire: not a trace"),
        (&["--trace", "cut.trace", "--evidence", "server"], "cut.trace: the trace ends early, after 0 operations"),
        (&["--trace", "two.trace", "--evidence", "server"], "two.trace: not a trace, or damaged: bytes after the end"),
        (&["--trace", "run.trace", "--evidence", "absent"], "absent: "),
        (&["--trace", "run.trace", "--evidence", "server", "--profile", "absent"], "absent: "),
        (&["--trace", "run.trace", "--evidence", "server", "--profile", "bad.json"], "bad.json: not a profile"),
    ] {
        folder.refused(arguments, reason);
    }
}

#[test]
fn bad_options_are_refused_with_exit_code_two() {
    let folder = Folder::new("bad options");
    for (arguments, reason) in [
        (&[][..], "--trace"),
        (&["--trace", "run.trace"], "--evidence"),
        (&["--evidence", "server"], "--trace"),
        (&["--trace", "run.trace", "--evidence", "server", "--quiet"], "--quiet"),
        (&["--trace", "run.trace", "--pid", "one"], "--pid"),
        (&["run.trace", "--evidence", "server"], "run.trace"),
    ] {
        folder.refused(arguments, reason);
    }
    // Control: the two that need no trace.
    for (option, printed) in [("--help", "--evidence"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let (code, out, _) = folder.program(&[option]);
        assert!(code == 0 && out.contains(printed), "{out}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn process_that_does_not_exist_leaves_the_claim_unshown() {
    let folder = Folder::new("no process");
    let (code, out, _) = folder.audit(&["--evidence", "server", "--pid", "4294967294"]);
    assert!(code == 2 && out.starts_with("NOT SHOWN") && out.contains("process 4294967294"), "{out}");
}

#[test]
fn a_baseline_decides_whether_a_text_is_a_finding() {
    let folder = Folder::new("baseline");
    fs::create_dir_all(folder.path("image")).unwrap();
    folder.write("image/library", b"a library with other words in it");
    folder.write("text", toy::TEXTS[0]);
    for (known, code, beginning) in [
        (&[][..], 2, "NOT SHOWN: "),
        (&["--known", "none"], 1, "DOES NOT HOLD: "),
        (&["--known", "image"], 1, "DOES NOT HOLD: "),
        (&["--known", "image", "image/library"], 1, "DOES NOT HOLD: "),
    ] {
        let (exit, out, err) = folder.audit(&[known, &["--evidence", "server", "text"]].concat());
        assert_eq!((exit, err.as_str()), (code, ""), "{known:?}: {out}");
        assert!(out.starts_with(beginning) && out.contains("in text, byte 0"), "{known:?}: {out}");
        // Control: without the text.
        assert_eq!(folder.audit(&[known, &["--evidence", "server"]].concat()).0, 0);
    }
    folder.write("image/text", toy::TEXTS[0]);
    let (exit, out, _) = folder.audit(&["--known", "image", "--evidence", "server", "text"]);
    assert!(exit == 0 && out.contains("baseline of 67 bytes from 2 sources"), "{out}");
}

#[test]
fn a_baseline_that_is_evidence_is_refused() {
    let folder = Folder::new("baseline in evidence");
    fs::create_dir_all(folder.path("server/image")).unwrap();
    let common = ["--trace", "run.trace", "--evidence", "server"];
    for known in ["server", "server/wire", "server/image", ".", "image/../server/wire"] {
        fs::create_dir_all(folder.path("image")).unwrap();
        let reason = if known == "." { "contains every secret" } else { "lies in the evidence" };
        folder.refused(&[&common[..], &["--known", known]].concat(), reason);
    }
    folder.refused(&[&common[..], &["--known", "absent"]].concat(), "absent: ");
    folder.refused(&[&common[..], &["--known", "run.trace"]].concat(), "contains every secret");
}

/// What acts on a terminal or a page: control characters of both sets, and those that turn the direction of text.
fn acts(text: &str) -> bool {
    let is_harmful =
        |one: char| one.is_control() && one != '\n' || matches!(one, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().any(is_harmful) || text.lines().skip(1).any(|line| line.starts_with("HOLDS"))
}

#[cfg(unix)]
#[test]
fn names_do_not_act_on_the_terminal() {
    let hostile = "\x1b[2J\r\nHOLDS\u{9b}31m\u{202e}";
    let folder = Folder::new("hostile names");
    let tape = Tape::to_writer(File::create(folder.path("hostile.trace")).unwrap());
    let secret: [u8; 32] = core::array::from_fn(|at| (at as u8).wrapping_mul(91) ^ 0x17);
    let device = tape.device(&format!("Bob{hostile}")).unwrap();
    device.given(hostile, &secret);
    drop(device);
    tape.finish().unwrap();
    let name = format!("server/{hostile}");
    folder.write(&name, &secret);
    folder.write(&format!("server/text{hostile}"), toy::TEXTS[0]);
    folder.write(&format!("server/cut{hostile}"), b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x4B");
    std::os::unix::fs::symlink("/", folder.path(&format!("server/link{hostile}"))).unwrap();
    // The name of a field of the profile, and one that the profile does not have.
    let json_name = hostile.replace('\x1b', "\\u001b").replace('\r', "\\r").replace('\n', "\\n");
    folder.write("hostile.json", toy::PROFILE.replace("toy chain key", &format!("key{json_name}")).as_bytes());
    let common = ["--trace", "run.trace", "--profile", "hostile.json"];
    let both = [&common[..], &["--trace", "hostile.trace"]].concat();
    for arguments in [
        [&both[..], &["--evidence", "server", "leak", "--known", "none"]].concat(),
        [&both[..], &["--evidence", "server", "leak", "--json"]].concat(),
        [&both[..], &["--evidence", &name]].concat(),
        [&common[..], &["--evidence", "server", "--known", &name]].concat(),
        [&["--trace", hostile, "--no-profile"][..], &["--evidence", "server"]].concat(),
        [&common[..], &["--evidence", "server", "--html", &format!("no folder{hostile}/page")]].concat(),
    ] {
        let (code, out, err) = folder.program(&arguments);
        assert!(code > 0 && !acts(&out) && !acts(&err), "{arguments:?}: {out:?} {err:?}");
        assert!(format!("{out}{err}").contains("[2J"), "{arguments:?} does not show the name: {out}{err}");
    }
    folder.program(&[&both[..], &["--evidence", "server", "leak", "--html", "page.html"]].concat());
    let page = fs::read_to_string(folder.path("page.html")).unwrap();
    assert!(page.contains("[2J") && !acts(&page));
    // The control: the names as they are.
    assert!(acts(&name) && acts(hostile));
}
