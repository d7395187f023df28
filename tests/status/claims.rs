// SPDX-License-Identifier: MIT OR Apache-2.0
//! The claims of spec/security.md: each names the rows and tests that show it, and those exist.

use crate::data::Status;
use crate::tree::Tree;
use crate::workspace::tests_in;
use std::collections::BTreeSet;

/// Properties, each under a heading of its own.
const PROPERTIES: usize = 13;
/// The parts that each must have.
const PARTS: [&str; 3] = ["ssumes ", "**Shown**", "**Not shown**"];
/// A name with at least as many underscores is a test's; names in the public interface have fewer.
const UNDERSCORES_OF_A_TEST: usize = 4;

pub fn complaints(security: &str, status: &Status, tree: &Tree) -> Vec<String> {
    let tests = tests(tree);
    let mut found = Vec::new();
    for number in 1..=PROPERTIES {
        let name = format!("P{number}");
        let Some((_, rest)) = security.split_once(&format!("\n### {name}. ")) else {
            found.push(format!("there is no {name}"));
            continue;
        };
        let section = rest.split("\n##").next().unwrap_or_default();
        let missing = PARTS.iter().filter(|part| !section.contains(**part));
        found.extend(missing.map(|part| format!("{name} has no {part}")));
        found.extend(of_names(&name, section, status, &tests));
    }
    let (_, rest) = security.split_once("\n## 5. ").unwrap_or_default();
    found.extend(of_names("a limit", rest, status, &tests));
    let listed = listed(rest.split_once("\n## 9. ").unwrap_or_default().1);
    let attacks: BTreeSet<&str> = tests.iter().filter_map(|test| attack(test)).collect();
    let unlisted = attacks.into_iter().filter(|attack| !listed.contains(*attack));
    found.extend(unlisted.map(|attack| format!("the attack {attack} of a test is not in the list")));
    found
}

/// Rows and tests that a text names exist.
fn of_names(who: &str, text: &str, status: &Status, tests: &BTreeSet<String>) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_row = |word: &&str| word.strip_prefix('S').is_some_and(is_number);
    let unknown = words.clone().filter(is_row).filter(|id| !status.has(id));
    let mut found: Vec<String> = unknown.map(|id| format!("{who} names {id}, which is no row")).collect();
    let is_test = |word: &&str| word.matches('_').count() >= UNDERSCORES_OF_A_TEST;
    let gone = words.filter(is_test).filter(|name| !tests.contains(*name));
    found.extend(gone.map(|name| format!("{who} names the test {name}, which does not exist")));
    found
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// The names of all tests, without their modules, and of the symbolic models' variants.
fn tests(tree: &Tree) -> BTreeSet<String> {
    let sources =
        tree.paths().filter(|path| ["crates/", "src/", "tests/"].iter().any(|folder| path.starts_with(folder)));
    let variants = tree
        .text("spec/models/controls.toml")
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    sources.flat_map(|path| tests_in(tree.text(path))).chain(variants.map(str::to_owned)).collect()
}

/// The attack's number with which a test's name begins. Attacks on the service (g) are in the audit's document.
fn attack(test: &str) -> Option<&str> {
    let (number, _) = test.trim_start_matches("control_").split_once('_')?;
    let is_attack = number.strip_prefix(|c: char| ('a'..='f').contains(&c) || c == 'i').is_some_and(is_number);
    is_attack.then_some(number)
}

/// The numbers of the list: `c5, c6` is two, `c13 to c16` is four.
fn listed(list: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in list.lines().filter(|line| line.starts_with("| ")) {
        for part in line.split('|').nth(1).unwrap_or_default().split(", ") {
            let (first, last) = part.trim().split_once(" to ").unwrap_or((part.trim(), part.trim()));
            let number = |name: &str| name.get(1..).and_then(|number| number.parse::<u32>().ok());
            if let (Some(letter), Some(from), Some(to)) = (first.get(..1), number(first), number(last)) {
                found.extend((from..=to).map(|number| format!("{letter}{number}")));
            }
        }
    }
    found
}
