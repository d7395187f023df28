// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every label, of a step, a rule or a part of one, that code, models, tests, transcripts, the second implementation or
//! another document carries is in spec/protocol.md.

use crate::areas::{RULES, STEPS, is_number, split};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders that carry labels.
const PLACES: [&str; 4] = ["src", "tests", "crates", "spec"];
const TEXT: [&str; 6] = ["rs", "vp", "py", "json", "md", "toml"];
/// Tests of the labels themselves, which also have wrong ones.
const ABOUT_LABELS: &str = "tests/spec_";

/// Labels of steps and rules in a text, and their parts: `DR-D6.2` is both.
fn carried(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    let mut found = BTreeSet::new();
    for word in words {
        let (label, part) = word.split_once('.').unwrap_or((word, ""));
        if !split(label).is_some_and(|area| STEPS.contains(&area) || RULES.contains(&area)) {
            continue;
        }
        found.insert(label.to_owned());
        let number = part.split('.').next().unwrap_or_default();
        if is_number(number) {
            found.insert(format!("{label}.{number}"));
        }
    }
    found
}

fn read(folder: &Path, root: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            read(&path, root, files);
        } else if path.extension().is_some_and(|end| TEXT.contains(&end.to_str().unwrap())) {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn files() -> BTreeMap<PathBuf, String> {
    let (mut files, root) = (BTreeMap::new(), super::root());
    for place in PLACES {
        read(&root.join(place), root, &mut files);
    }
    files.retain(|path, _| !path.to_str().unwrap().starts_with(ABOUT_LABELS));
    files
}

/// Labels that the document does not have, each with the file that carries it.
fn unknown(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let document = carried(&files[Path::new("spec/protocol.md")]);
    let all = files.iter().flat_map(|(path, text)| carried(text).into_iter().map(move |label| (path, label)));
    let unknown = all.filter(|(_, label)| !document.contains(label));
    unknown.map(|(path, label)| format!("{}: {label}", path.display())).collect()
}

/// Areas of labels that the document defines (in bold) and that neither list has.
fn unlisted_areas(document: &str) -> BTreeSet<&str> {
    let bold = document.split("**").skip(1).step_by(2);
    let areas = bold.filter_map(|label| split(label.split('.').next().unwrap_or_default()));
    areas.filter(|area| !STEPS.contains(area) && !RULES.contains(area)).collect()
}

#[test]
fn every_label_anywhere_is_in_the_document() {
    let files = files();
    assert_eq!(unknown(&files), Vec::<String>::new());
    assert_eq!(unlisted_areas(&files[Path::new("spec/protocol.md")]), BTreeSet::new());
    assert!(files.len() > 100, "{} files", files.len());
}

#[test]
fn control_an_unknown_label_is_noticed() {
    for (path, label) in [
        ("src/new.rs", "PP-99"),
        ("spec/models/new.vp", "HS-I99"),
        ("spec/python/new.py", "DR-D6.99"),
        ("tests/new.rs", "KY-Z1"),
    ] {
        let mut files = files();
        files.insert(path.into(), format!("// ({label}): see there."));
        assert_eq!(unknown(&files), [format!("{path}: {label}")]);
    }
    assert_eq!(
        carried("DR-D6.2. RT-1, SHA-256, X-1, A-10 and FL-1."),
        ["DR-D6", "DR-D6.2", "FL-1", "RT-1"].map(str::to_owned).into()
    );
    assert_eq!(unlisted_areas("**DR-D6** and **XX-I1.2**, not **S-1** or XY-1"), ["XX"].into());
}
