// SPDX-License-Identifier: MIT OR Apache-2.0
//! spec/INDEX.md lists each step of spec/protocol.md with its line of code, tests, model line and vectors, and each
//! attack with its tests. It is rendered from the sources: `cargo test --test spec_index -- --ignored`. A step without
//! code, test or vector is an error, and so is an attack without a test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a test says what it expects"
)]

#[path = "spec_labels/areas.rs"]
mod areas;
#[allow(dead_code, reason = "shared with `status`")]
#[path = "status/tree.rs"]
mod tree;

use areas::{is_label, labels};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tree::Tree;

const PAGE: &str = "spec/INDEX.md";
const HEAD: &str = "\
# Index

Generated from the sources by `cargo test --test spec_index -- --ignored`; `cargo test --test spec_index` fails if the
page is out of date.

## Steps

The labels of [protocol.md](protocol.md), in its order.

- *Code*: the function that performs the step, and the line.
- *Tests*: the functions that name the label, in their name, a comment or an assertion. The tests of the transcripts
  and of the audit are left out.
- *Model*: the first line of the step in each symbolic model. A dash: [no model has it, for the reason
  given](models/README.md#steps-that-no-model-has).
- *Vectors*: the [files](vectors/README.md) with events whose reason is a rule of the step, and the number of these
  events; if there are none, the files that name the step. A dash: no transcript has a login or an
  access key.

Labels of rules (areas NT, KY, KS, BM, PD, AV, RT, CX, FL and PP) are not listed: a rule holds at many places.

| step | code | tests | model | vectors |
|---|---|---|---|---|
";
const ATTACKS: &str = "
## Attacks

The numbers with which the names of tests begin, from [security.md](security.md), §9; those of G are attacks on the
service, those of I became known in 2026.

| attack | | tests |
|---|---|---|
";
/// Tests in these files are about labels or about the audit, or replay the transcripts. They check no single step.
const NOT_OF_A_STEP: [&str; 7] = [
    "crates/noescrow-audit/",
    "crates/noescrow-sim/tests/audit",
    "crates/noescrow-sim/tests/model_conformance/",
    "crates/noescrow-sim/tests/transcripts/",
    "crates/noescrow-sim/tests/vectors/",
    "crates/recorders/",
    "tests/spec_",
];
/// Steps without a line `primitives.step("HS-I4")`, and the file in which the comment of a function names them first.
const COMMENTED: [(&str, &str); 3] =
    [("DR-I1", "src/ratchet/double.rs"), ("DR-I2", "src/ratchet/double.rs"), ("HS-R8", "src/session/decrypting.rs")];
/// A step that no reason names, and the event that performs it.
const PERFORMED_BY: (&str, &str) = ("HS-R9", r#""do":"refuse","#);
/// Steps that no transcript has: a login and a mailbox's admission touch no key.
const IN_NO_TRANSCRIPT: [&str; 2] = ["LG-1", "LG-2"];

/// The labels with which the reasons of a file's events begin, before the colon, and the number of these events.
fn reasons(file: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for reason in file.split("\"why\":\"").skip(1) {
        let (rules, _) = reason.split_once(['"', ':']).unwrap();
        labels(rules).into_iter().for_each(|label| *counts.entry(label).or_default() += 1);
    }
    counts
}

/// A test function, with the labels in its name, comments and body.
struct Test {
    name: String,
    labels: BTreeSet<String>,
}

impl Test {
    fn new(name: &str, text: &str) -> Self {
        let words: Vec<&str> = name.split('_').collect();
        let named = words.windows(2).map(|two| two.join("-").to_uppercase()).filter(|word| is_label(word));
        Self { name: name.to_owned(), labels: labels(text).into_iter().chain(named).collect() }
    }

    /// The attacks with whose numbers the name begins.
    fn attacks(&self) -> impl Iterator<Item = (char, u32)> {
        self.name.trim_start_matches("control_").split('_').map_while(attack)
    }
}

/// The letter and number of an attack, such as `c19`.
fn attack(word: &str) -> Option<(char, u32)> {
    let letter = word.chars().next().filter(|letter| ('a'..='g').contains(letter) || *letter == 'i')?;
    Some((letter, word.get(1..)?.parse().ok()?))
}

/// The test functions of a file that is formatted as rustfmt does: a function ends at the indentation of its head.
fn tests_in(text: &str) -> Vec<Test> {
    let (mut found, mut above, mut is_test) = (Vec::new(), String::new(), false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        is_test |= trimmed == "#[test]";
        match trimmed.strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
            Some((name, _)) if is_test => {
                let end = format!("{}}}", " ".repeat(line.len() - trimmed.len()));
                let body = lines.by_ref().take_while(|line| *line != end && !trimmed.ends_with('}'));
                found.push(Test::new(name, &body.fold(above, |text, line| text + line + "\n")));
                (above, is_test) = (String::new(), false);
            }
            _ if trimmed.starts_with("///") => above = above + trimmed + "\n",
            _ if trimmed.starts_with("#[") => {}
            _ => (above, is_test) = (String::new(), false),
        }
    }
    found
}

/// Each line that performs a step, with the function around it; or the comment that names the step, with the function
/// below it.
fn performed_in(path: &str, text: &str, label: &str) -> Vec<String> {
    let head = |line: &str| {
        let (before, rest) = line.trim_start().split_once("fn ")?;
        let is_head = before.split_whitespace().all(|word| word.starts_with("pub") || word == "const");
        is_head.then(|| rest.split(['(', '<']).next().unwrap().to_owned())
    };
    let lines: Vec<&str> = text.lines().take_while(|line| *line != "mod tests {").collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let function = if line.contains(&format!("step(\"{label}\")")) {
            lines[..at].iter().rev().find_map(|line| head(line))
        } else if COMMENTED.contains(&(label, path)) && found.is_empty() && labels(line).contains(label) {
            lines[at..].iter().find_map(|line| head(line))
        } else {
            continue;
        };
        let number = at + 1;
        found.push(format!("`{}`, [{path}:{number}](../{path}#L{number})", function.unwrap()));
    }
    found
}

/// The lines of a table's cell, or a dash.
fn cell(lines: Vec<String>) -> String {
    if lines.is_empty() { "–".to_owned() } else { lines.join("<br>") }
}

/// Test functions that `wanted` selects, by file.
fn cell_of_tests(tests: &BTreeMap<&str, Vec<Test>>, wanted: impl Fn(&str, &Test) -> bool) -> String {
    let of_file = |(path, tests): (&&str, &Vec<Test>)| {
        let names = tests.iter().filter(|test| wanted(path, test)).map(|test| format!("`{}`", test.name));
        let names = names.collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| format!("[{path}](../{path}): {names}"))
    };
    cell(tests.iter().filter_map(of_file).collect())
}

/// The attacks that spec/security.md §9 lists, each with its description and whether it is tested. `c5, c6` is two
/// attacks, `c13 to c16` is four.
fn listed(security: &str) -> BTreeMap<(char, u32), [&str; 2]> {
    let (_, section) = security.split_once("\n## 9. ").unwrap();
    let mut found = BTreeMap::new();
    for cells in section.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>()) {
        let [_, numbers, what, tested, _] = cells[..] else { continue };
        for part in numbers.split(", ") {
            let (first, last) = part.split_once(" to ").unwrap_or((part, part));
            let (Some((letter, from)), Some((_, to))) = (attack(first), attack(last)) else { continue };
            found.extend((from..=to).map(|number| ((letter, number), [what, tested])));
        }
    }
    found
}

/// The page, and what is wrong with the sources that it lists.
fn render(tree: &Tree) -> (String, Vec<String>) {
    let (mut page, mut wrong) = (HEAD.to_owned(), Vec::new());
    let sources = |path: &&str| path.ends_with(".rs") && !path.starts_with("tests/compile_fail/");
    let sources: Vec<(&str, &str)> = tree.paths().filter(sources).map(|path| (path, tree.text(path))).collect();
    let tests: BTreeMap<&str, Vec<Test>> = sources.iter().map(|(path, text)| (*path, tests_in(text))).collect();
    let of_step = |path: &str| {
        let is_place = path.starts_with("src/") || path.starts_with("tests/") || path.contains("/tests/");
        is_place && !path.contains("/src/") && !NOT_OF_A_STEP.iter().any(|other| path.starts_with(other))
    };
    let below = |folder: &str, end: &str| {
        let paths =
            tree.paths().filter(move |path| path.starts_with(folder) && path.ends_with(end)).collect::<Vec<_>>();
        paths.into_iter().map(|path| (path.trim_start_matches("spec/").to_owned(), tree.text(path))).collect::<Vec<_>>()
    };
    let (models, vectors) = (below("spec/models/", ".vp"), below("spec/vectors/", ".json"));
    let named: Vec<BTreeSet<String>> = vectors.iter().map(|(_, text)| labels(text)).collect();
    let reasons: Vec<BTreeMap<String, usize>> = vectors.iter().map(|(_, text)| reasons(text)).collect();
    let document = tree.text("spec/protocol.md");
    let mut steps: Vec<String> = labels(document).into_iter().collect();
    steps.sort_by_key(|label| document.find(&format!("**{label}**")));
    for label in steps {
        let in_src = sources.iter().filter(|(path, _)| path.starts_with("src/"));
        let code = cell(in_src.flat_map(|(path, text)| performed_in(path, text, &label)).collect());
        let tests = cell_of_tests(&tests, |path, test| of_step(path) && test.labels.contains(&label));
        let line = |(path, text): &(String, &str)| {
            let (number, _) = (1..).zip(text.lines()).find(|(_, line)| labels(line).contains(&label))?;
            Some(format!("[{path}:{number}]({path}#L{number})"))
        };
        let model = cell(models.iter().filter_map(line).collect());
        let link = |path: &str| format!("[{}]({path})", path.trim_start_matches("vectors/"));
        let reasoned = vectors
            .iter()
            .zip(&reasons)
            .filter_map(|((path, _), counts)| counts.get(&label).map(|count| format!("{}: {count}", link(path))));
        let mut files: Vec<String> = reasoned.collect();
        if files.is_empty() {
            let all = vectors.iter().zip(&named).filter(|((_, text), named)| {
                named.contains(&label) || (label == PERFORMED_BY.0 && text.contains(PERFORMED_BY.1))
            });
            files = all.map(|((path, _), _)| link(path)).collect();
        }
        let vector = cell(files);
        for (what, cell) in [("code", &code), ("test", &tests), ("vector", &vector)] {
            let is_excused = what == "vector" && IN_NO_TRANSCRIPT.contains(&&*label);
            if cell == "–" && !is_excused {
                wrong.push(format!("{label} has no {what}"));
            }
        }
        writeln!(page, "| {label} | {code} | {tests} | {model} | {vector} |").unwrap();
    }
    page += ATTACKS;
    let listed = listed(tree.text("spec/security.md"));
    let attacks = tests.values().flatten().flat_map(Test::attacks);
    for (letter, number) in listed.keys().copied().chain(attacks).collect::<BTreeSet<_>>() {
        let name = format!("{letter}{number}");
        let tests = cell_of_tests(&tests, |_, test| test.attacks().any(|attack| attack == (letter, number)));
        let [what, tested] = listed.get(&(letter, number)).copied().unwrap_or_default();
        let tests = match (&*tests, tested) {
            ("–", "yes") => {
                wrong.push(format!("the attack {name} has no test"));
                tests
            }
            ("–", _) => tested.to_owned(),
            _ => tests,
        };
        writeln!(page, "| {name} | {what} | {tests} |").unwrap();
    }
    (page, wrong)
}

/// All that is wrong.
fn complaints(tree: &Tree) -> Vec<String> {
    let (page, mut found) = render(tree);
    if tree.text(PAGE) != page {
        found.push(format!("{PAGE} is out of date: cargo test --test spec_index -- --ignored"));
    }
    found
}

#[test]
fn every_step_is_listed_with_code_tests_and_vectors() {
    assert_eq!(complaints(&Tree::of_repository()), Vec::<String>::new());
}

#[test]
#[ignore = "writes spec/INDEX.md"]
fn write() {
    let (page, _) = render(&Tree::of_repository());
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/spec/INDEX.md"), page).unwrap();
}

/// One thing is missing at a time. The same check must report it, besides a page that is out of date.
#[test]
fn control_a_step_or_attack_without_evidence_is_noticed() {
    let tree = Tree::of_repository();
    let without = |paths: &[&str], part: &str| {
        let change = |tree: Tree, path: &&str| tree.with(path, |text| text.replace(part, ""));
        complaints(&paths.iter().fold(tree.clone(), change))
    };
    let transitions = "src/ratchet/braid/tests/transitions.rs";
    let safety_numbers = &["spec/vectors/numbers.json", "spec/vectors/safety_numbers.json"];
    let out_of_date = format!("{PAGE} is out of date: cargo test --test spec_index -- --ignored");
    for (paths, part, missing) in [
        (&["src/ratchet/double/receiving.rs"][..], "step(\"DR-D6\")", vec!["DR-D6 has no code"]),
        (&["src/ratchet/double.rs"], "(DR-I1)", vec!["DR-I1 has no code"]),
        (&["src/session/decrypting.rs"], "HS-R8", vec!["HS-R8 has no code"]),
        (&["tests/conversation.rs"], "HS-I8", vec!["HS-I8 has no test"]),
        (&["src/ratchet/double/tests.rs"], "#[test]", vec!["DR-I1 has no test"]),
        (&[transitions], "br_13_", vec!["BR-13 has no test"]),
        (safety_numbers, "ID-2", vec!["ID-2 has no vector"]),
        (&["crates/noescrow-sim/tests/attacks_ratchet/forgeries.rs"], "fn c17_", vec!["the attack c17 has no test"]),
    ] {
        assert_eq!(without(paths, part), [&missing[..], &[&out_of_date]].concat());
    }
    // A line that moves, and a row that is gone.
    assert_eq!(complaints(&tree.with("src/session/decrypting.rs", |text| format!("\n{text}"))), [&*out_of_date]);
    assert_eq!(without(&[PAGE], "| BR-3 "), [out_of_date]);
}
