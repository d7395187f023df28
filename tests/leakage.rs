// SPDX-License-Identifier: MIT OR Apache-2.0
//! The leakage contract names every declassification in the code, and no other; and every field that a relay holds,
//! with the field in which it is disclosed.
#![allow(clippy::unwrap_used, reason = "a test states its expectations")]

use noescrow::primitives::Declassified;
use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A section of the contract.
fn section(document: &str, number: u8) -> &str {
    let (_, rest) = document.split_once(&format!("\n## {number}. ")).unwrap();
    rest.split("\n## ").next().unwrap()
}

/// First cells of table rows of §2 that are a name in code.
fn names_of_tables(document: &str) -> BTreeSet<String> {
    let cells = section(document, 2).lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
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
        (Declassified::HeaderVerdict, 2),
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
    let more = contract.replace("| `TagVerdict` |", "| `Another` | one bit | why not |\n| `TagVerdict` |");
    assert_ne!(names_of_tables(&less), names_in_code());
    assert_ne!(names_of_tables(&more), names_in_code());
}

/// Types of the relay's modules that are answers to callers. All others hold.
const ANSWERS: [&str; 6] = ["Contact", "DisclosedPrekey", "Disclosure", "Order", "Queued", "Received"];

/// The named fields of all structs in a source file, as `Struct::field`.
fn fields(source: &str) -> Vec<(String, String)> {
    let (mut fields, mut inside) = (Vec::new(), None);
    for line in source.lines() {
        if let Some((_, head)) = line.split_once("struct ").filter(|_| line.ends_with('{')) {
            let name: String = head.chars().take_while(|c| c.is_alphanumeric()).collect();
            inside = Some(name);
        } else if line == "}" {
            inside = None;
        } else if let (Some(name), Some((field, _))) = (&inside, line.trim().split_once(": ")) {
            let field = field.rsplit(' ').next().unwrap();
            if !line.trim().starts_with("//") {
                fields.push((name.clone(), field.to_owned()));
            }
        }
    }
    fields
}

fn fields_of_relay() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/relay");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.is_file() && !path.ends_with("tests.rs"));
    paths.flat_map(|path| fields(&std::fs::read_to_string(path).unwrap())).collect()
}

/// The fields that hold something, and those of a disclosure, apart from the order and the reasons.
fn held_and_disclosed(fields: &[(String, String)]) -> [BTreeSet<String>; 2] {
    let of = |wanted: &str| {
        let wanted = wanted.to_owned();
        fields.iter().filter(move |(name, _)| *name == wanted).map(|(_, field)| field.clone())
    };
    let held = fields.iter().filter(|(name, _)| !ANSWERS.contains(&name.as_str()));
    let disclosed = of("Disclosure").filter(|field| !["order", "not_held"].contains(&field.as_str()));
    let disclosed = disclosed.flat_map(|field| match field.as_str() {
        "contacts" => of("Contact").map(|part| format!("contacts.{part}")).collect::<Vec<_>>(),
        "queued" => of("Queued").map(|part| format!("queued.{part}")).collect(),
        _ => vec![field],
    });
    [held.map(|(name, field)| format!("{name}::{field}")).collect(), disclosed.collect()]
}

/// The names in the first and in the last cells of §5's table.
fn table_of_relay(document: &str) -> [BTreeSet<String>; 2] {
    let rows = section(document, 5).lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.trim_matches('|').split('|').collect()).collect();
    assert!(rows.iter().all(|cells| cells.len() == 3));
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    [0, 2].map(|column: usize| rows.iter().flat_map(|cells| names(cells.get(column).unwrap())).collect())
}

#[test]
fn the_contract_lists_every_field_the_relay_holds_as_disclosed() {
    let [held, disclosed] = held_and_disclosed(&fields_of_relay());
    assert_eq!(table_of_relay(&read("spec/leakage.md")), [held.clone(), disclosed.clone()]);
    assert_eq!((held.len(), disclosed.len()), (17, 14));
}

#[test]
fn control_a_field_without_its_row_is_noticed() {
    let contract = read("spec/leakage.md");
    let code = held_and_disclosed(&fields_of_relay());
    let source = "struct Account {\n    /// A note: more.\n    pub(super) last_seen: Held<Day>,\n}\n";
    let more = held_and_disclosed(&[fields_of_relay(), fields(source)].concat());
    let [held, _] = &more;
    assert!(held.contains("Account::last_seen") && held.len() == 18);
    assert_ne!(table_of_relay(&contract), more);
    // Not disclosed, and disclosed but not listed.
    let silent = contract.replace("| `requests_limited_until` |", "| |");
    assert_ne!(silent, contract);
    assert_ne!(table_of_relay(&silent), code);
    let unlisted = contract.replace("| `HeldContact::day` |", "| day |");
    assert_ne!(table_of_relay(&unlisted), code);
}
