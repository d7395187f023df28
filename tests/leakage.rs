// SPDX-License-Identifier: MIT OR Apache-2.0
//! The leakage contract names every declassification in the code, and no other.
#![allow(clippy::unwrap_used, reason = "a test states its expectations")]

use noescrow::primitives::Declassified;
use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// First cells of table rows that are a name in code.
fn names_of_tables(document: &str) -> BTreeSet<String> {
    let cells = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(name, _)| name.to_owned()).collect()
}

fn names_of_suppressions(file: &str) -> BTreeSet<String> {
    let lines = file.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && line.chars().all(|c| c.is_ascii_alphabetic())).map(str::to_owned).collect()
}

fn names_in_code() -> BTreeSet<String> {
    let suppressed = names_of_suppressions(&read("harness/constant_time/declassified.supp"));
    Declassified::ALL.iter().map(|place| format!("{place:?}")).chain(suppressed).collect()
}

#[test]
fn the_contract_names_exactly_the_declassifications() {
    let contract = names_of_tables(&read("spec/leakage.md"));
    assert_eq!(contract, names_in_code());
    assert_eq!(contract.len(), 10);
}

/// Each is declassified at as many places as the contract lists, which can be counted.
#[test]
fn each_name_occurs_at_its_places_in_the_code() {
    let count = |name: &str| sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), name);
    for (place, times) in [
        (Declassified::HeaderVerdict, 1),
        (Declassified::Header, 1),
        (Declassified::Identity, 1),
        (Declassified::PlaintextLength, 3),
        (Declassified::BraidVerdict, 1),
        (Declassified::SnapshotVerdict, 1),
        (Declassified::Stored, 1),
    ] {
        assert_eq!(count(&format!("Declassified::{place:?}")), times, "{place:?}");
    }
}

/// How often a name occurs in code below a folder, not as part of a longer name.
fn sources(folder: &Path, name: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => sources(&path, name),
            false => {
                let text = std::fs::read_to_string(&path).unwrap();
                let ends = |rest: &&str| rest.chars().next().is_none_or(|c| !c.is_alphanumeric());
                text.split(name).skip(1).filter(ends).count()
            }
        })
        .sum()
}

#[test]
fn control_a_name_missing_on_one_side_is_noticed() {
    let contract = read("spec/leakage.md");
    let less = contract.replace("| `TagVerdict` |", "| tag |");
    let more = format!("{contract}\n| `Another` | one bit | why not |\n");
    assert_ne!(names_of_tables(&less), names_in_code());
    assert_ne!(names_of_tables(&more), names_in_code());
}
