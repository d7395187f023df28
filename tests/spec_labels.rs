// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document and the code name the same steps.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::collections::BTreeSet;
use std::path::Path;

/// Labels such as `HS-I4` or `PK-1`: two capitals, a hyphen, an optional capital, digits.
fn labels(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| is_label(word)).map(str::to_owned).collect()
}

fn is_label(word: &str) -> bool {
    let Some((room, step)) = word.split_once('-') else { return false };
    let digits = step.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(step);
    ["ID", "PK", "HS", "DR", "SN"].contains(&room) && !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

fn of_sources(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            of_sources(&path, found);
        } else {
            found.extend(labels(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_step_of_the_document_is_in_the_code_and_the_reverse() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = labels(&std::fs::read_to_string(root.join("spec/protocol.md")).unwrap());
    let mut code = BTreeSet::new();
    of_sources(&root.join("src"), &mut code);
    assert_eq!(document.difference(&code).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the code");
    assert_eq!(code.difference(&document).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the document");
    assert!(document.len() > 30);
}

#[test]
fn a_label_missing_on_one_side_would_be_seen() {
    assert_eq!(labels("**HS-I4** and (DR-D9), not X-1, SHA-256 or HS-"), labels("`DR-D9` HS-I4"));
    assert_ne!(labels("HS-I4 DR-D9"), labels("HS-I4"));
}
