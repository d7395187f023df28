// SPDX-License-Identifier: MIT OR Apache-2.0
//! Code that must not compile does not, for the expected reason: next to each case are the compiler's errors, one line
//! each.
//!
//! The cases are compiled against the library as built for this test. No crate is built a second time, as `trybuild`
//! would do with all dependencies of the other tests.
//!
//! After a change of the public surface: `COMPILE_FAIL=overwrite cargo test --test compile_fail`, and read the diff.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test states its expectations")]

#[path = "compile_fail/copies.rs"]
mod copies;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The folders of cases, one claim each. In each, the file of this name compiles: otherwise perhaps nothing there
/// would.
const CLAIMS: &[(&str, &str)] = &[
    // No secret goes into the relay.
    ("relay", "public_things"),
    // No secret can be copied: [`copies`] asserts it, and here such an assertion about a public type fails.
    ("copies", "public_things"),
    // No secret is a key of a map or goes into a format: of a public type, such an assertion fails.
    ("encoded", "public_things"),
    // No outcome of a step is available before it is saved, and no further step is taken before. Storage keys have names.
    ("durable", "saved"),
    // A messenger sends only after it has logged in.
    ("exchange", "logged_in"),
    // Other crates cannot declare values public; nothing is signed under a key that is not the signer's (attack A7).
    ("sealed", "open_traits"),
    // No private key can be reached or compared.
    ("private", "public_halves"),
];

/// Crates that cases use.
const CRATES: &[&str] = &["noescrow", "rand_chacha", "serde", "static_assertions"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the library and the other crates, from cargo, which built them for this test and so has nothing to do.
fn libraries() -> Vec<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["test", "--no-run", "--test", "compile_fail", "--message-format=json"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages: Vec<serde_json::Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let file = |name: &&str| {
        let library = messages.iter().rfind(|message| {
            message["target"]["name"] == **name && message["target"]["kind"].to_string().contains("lib")
        });
        let files = library.unwrap_or_else(|| panic!("cargo built no {name}"))["filenames"].as_array().unwrap();
        files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".rlib")).unwrap().into()
    };
    CRATES.iter().map(file).collect()
}

/// The errors of a case, one line each: line and column in the file, and the compiler's message.
fn errors(case: &Path, libraries: &[PathBuf]) -> String {
    let (folder, file) = (case.parent().unwrap(), case.file_name().unwrap());
    let name = format!("{}-{}.rmeta", folder.file_name().unwrap().display(), file.display());
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(folder).arg(file).args(["--edition=2024", "--error-format=short", "--emit=metadata", "-o"]);
    rustc.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    for (name, library) in CRATES.iter().zip(libraries) {
        rustc.arg("--extern").arg(format!("{name}={}", library.display()));
        rustc.arg("-L").arg(format!("dependency={}", library.parent().unwrap().display()));
    }
    let output = rustc.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().filter(|line| line.contains(": error"));
    let errors: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert_eq!(output.status.success(), errors.is_empty(), "{}: {text}", case.display());
    errors
}

/// How a case differs from its expectation.
fn verdict(case: &Path, expected: Option<&str>, found: &str) -> Result<(), String> {
    match expected {
        None if found.is_empty() => Ok(()),
        None => Err(format!("{} must compile:\n{found}", case.display())),
        Some(_) if found.is_empty() => Err(format!("{} compiles", case.display())),
        Some(expected) if expected == found => Ok(()),
        Some(expected) => Err(format!("{} fails otherwise:\n{found}instead of\n{expected}", case.display())),
    }
}

fn cases() -> Vec<(PathBuf, bool)> {
    let mut cases = Vec::new();
    for (claim, control) in CLAIMS {
        let folder = root().join("tests/compile_fail").join(claim);
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        cases.extend(files.filter(|file| file.extension().is_some_and(|end| end == "rs")).map(|file| {
            let compiles = file.file_stem().is_some_and(|stem| stem == *control);
            (file, compiles)
        }));
    }
    cases.sort();
    assert_eq!(cases.iter().filter(|(_, compiles)| *compiles).count(), CLAIMS.len(), "each claim has a control");
    cases
}

#[test]
fn forbidden_code_does_not_compile_for_the_expected_reason() {
    let libraries = libraries();
    let overwrite = std::env::var_os("COMPILE_FAIL").is_some_and(|value| value == "overwrite");
    let (cases, wrong) = (Mutex::new(cases()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some((case, compiles)) = cases.lock().unwrap().pop() else { break };
            let (beside, found) = (case.with_extension("stderr"), errors(&case, &libraries));
            if overwrite && !compiles {
                std::fs::write(&beside, &found).unwrap();
            }
            let expected = (!compiles).then(|| std::fs::read_to_string(beside).unwrap_or_default());
            wrong.lock().unwrap().extend(verdict(&case, expected.as_deref(), &found).err());
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Control: a case that compiles, one that fails for another reason, and a control that does not compile.
#[test]
fn control_a_case_with_another_outcome_is_noticed() {
    let libraries = libraries();
    let case = |name| root().join("tests/compile_fail/relay").join(name);
    let (compiles, fails) = (case("public_things.rs"), case("secret.rs"));
    let (none, some) = (errors(&compiles, &libraries), errors(&fails, &libraries));
    assert!(verdict(&fails, Some(&some), &some).is_ok());
    assert!(verdict(&compiles, None, &none).is_ok());
    assert!(verdict(&compiles, Some(&some), &none).is_err());
    assert!(verdict(&fails, Some("secret.rs:5:18: error[E0425]: cannot find value `secret`\n"), &some).is_err());
    assert!(verdict(&fails, None, &some).is_err());
}
