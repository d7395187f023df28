// SPDX-License-Identifier: MIT OR Apache-2.0
//! spec/STATUS.md, README and the tree agree: what a row names exists, what README claims is a row, and nothing that shows
//! something is in no row. No command is run here: whether it can be is what is looked at.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a test says what it expects")]

#[path = "status/claims.rs"]
mod claims;
#[path = "status/command.rs"]
mod command;
#[path = "status/table.rs"]
mod table;
#[path = "status/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use table::{Claimed, Row, Step};
use tree::Tree;

/// All that is wrong, a sentence each.
fn complaints(tree: &Tree) -> Vec<String> {
    let status = tree.text("spec/STATUS.md");
    let rows = table::rows(status);
    let mut found = of_rows(&rows, tree);
    found.extend(of_tools(status, &rows, tree));
    found.extend(of_readme(&table::claimed(tree.text("README.md")), &rows));
    found.extend(of_steps(&table::steps(status), &rows, tree));
    found.extend(unlisted(&rows, tree));
    found.extend(claims::complaints(tree.text("spec/security.md"), &rows, tree));
    found
}

/// A row has an id of its own, every cell, files that exist and commands that can be run.
fn of_rows(rows: &[Row], tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let id = &row.id;
        if *id != format!("S{}", at.saturating_add(1)) {
            found.push(format!("{id}: ids are S1, S2, S3 and so on"));
        }
        let cells = [&row.claim, &row.tools, &row.bounds, &row.time, &row.leaves_out];
        if cells.iter().any(|cell| cell.is_empty()) || row.files.is_empty() || row.commands.is_empty() {
            found.push(format!("{id}: a cell is empty"));
        }
        let missing = row.files.iter().filter(|file| !tree.has(file));
        found.extend(missing.map(|file| format!("{id}: there is no {file}")));
        let wrong = row.commands.iter().filter_map(|command| command::complaint(command, tree));
        found.extend(wrong.map(|complaint| format!("{id}: {complaint}")));
        // What is not fuzzed is not shown by fuzzing.
        let targets = row.files.iter().filter_map(|file| command::fuzz_target(file));
        let unknown = targets.filter(|target| !command::fuzz_targets_run(tree).contains(*target));
        found.extend(unknown.map(|target| format!("{id}: fuzz/run runs no {target}")));
    }
    found
}

/// A row's tools are in the table of tools, with the version that the tree pins.
fn of_tools(status: &str, rows: &[Row], tree: &Tree) -> Vec<String> {
    let tools = table::tools(status);
    let mut found = Vec::new();
    for row in rows {
        let unknown = row.tools.split(", ").filter(|name| !tools.iter().any(|tool| tool.name == *name));
        found.extend(unknown.map(|name| format!("{}: {name} is not in the table of tools", row.id)));
    }
    for tool in tools {
        if !tool.pins(tree) {
            found.push(format!("{} {}: {} has another version", tool.name, tool.version, tool.pinned_in));
        }
    }
    found
}

/// Each claim of README's is a row: the same words, one of its commands, and no number that the row has not.
fn of_readme(claimed: &[Claimed], rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for Claimed { id, claim, by, command } in claimed {
        let Some(row) = rows.iter().find(|row| row.id == *id) else {
            found.push(format!("README, {claim:?}: {id:?} is no row"));
            continue;
        };
        if row.claim != *claim {
            found.push(format!("README, {id}: claims {claim:?}, the row {:?}", row.claim));
        }
        if !row.commands.contains(command) {
            found.push(format!("README, {id}: {command:?} is no command of the row"));
        }
        let has = table::numbers(&format!("{} {}", row.bounds, row.leaves_out));
        let other = table::numbers(by).into_iter().filter(|number| !has.contains(number));
        found.extend(other.map(|number| format!("README, {id}: the row has no {number}")));
    }
    let ids: BTreeSet<&str> = claimed.iter().map(|claimed| &*claimed.id).collect();
    if ids.len() != claimed.len() {
        found.push("README: an id stands twice".to_owned());
    }
    found
}

/// The steps of `.ci/run` are those of the table, and each shows what rows claim.
fn of_steps(listed: &[Step], rows: &[Row], tree: &Tree) -> Vec<String> {
    let run = tree.text(".ci/run");
    let names: Vec<&str> = run.split("step \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut found: Vec<String> = names
        .iter()
        .filter(|name| !listed.iter().any(|step| step.name == **name))
        .map(|name| format!("the step {name:?} of .ci/run is not listed"))
        .collect();
    for Step { name, rows: ids } in listed {
        if !names.contains(&&**name) {
            found.push(format!(".ci/run has no step {name:?}"));
        }
        // A step may wait for its script, and no longer.
        match ids.split_once("none yet: ").map(|(_, script)| script.trim_matches('`')) {
            Some(script) if tree.has(script) => found.push(format!("{name}: {script} is there, and in no row")),
            Some(_) => {}
            None => {
                let unknown = ids.split(", ").filter(|id| !rows.iter().any(|row| row.id == *id));
                found.extend(unknown.map(|id| format!("the step {name:?}: {id:?} is no row")));
            }
        }
    }
    found
}

/// Whatever shows something: test programs, fuzz targets, models, scripts, campaigns, examples.
fn unlisted(rows: &[Row], tree: &Tree) -> Vec<String> {
    let of_rows = |of: fn(&Row) -> &Vec<String>| rows.iter().flat_map(of).map(String::as_str);
    let files: BTreeSet<&str> = of_rows(|row| &row.files).collect();
    let words: Vec<&str> = of_rows(|row| &row.commands).flat_map(str::split_whitespace).collect();
    let after = |option: &str, name: &str| words.windows(2).any(|two| two == [option, name]);
    let mut found = Vec::new();
    for path in tree.paths() {
        let parts: Vec<&str> = path.split('/').collect();
        let listed = match parts[..] {
            ["tests", file] if file.ends_with(".rs") => after("--test", file.trim_end_matches(".rs")),
            ["tests", name, "main.rs"] => after("--test", name),
            ["fuzz", "fuzz_targets", _] => files.contains(path),
            ["spec", "models", file] if file.ends_with(".vp") => files.contains(path),
            // One that is another row's means, such as the crate behind a pipe, is among that row's files.
            ["examples", file] if file.ends_with(".rs") => {
                after("--example", file.trim_end_matches(".rs")) || files.contains(path)
            }
            ["examples", name, "main.rs"] => after("--example", name),
            [.., "run"] | ["tests", "campaign"] => tree.is_executable(path) && words.contains(&path),
            _ => true,
        };
        if !listed {
            found.push(format!("{path} is in no row"));
        }
    }
    let campaigns = command::campaigns(tree).into_iter().filter(|name| !words.contains(name));
    found.extend(campaigns.map(|name| format!("the campaign {name} is in no row")));
    found
}

#[test]
fn every_row_can_be_followed_every_claim_is_a_row_and_nothing_is_in_none() {
    let tree = Tree::of_repository();
    assert_eq!(complaints(&tree), Vec::<String>::new());
    // Nothing was overlooked for want of being read.
    let status = tree.text("spec/STATUS.md");
    let (rows, steps) = (table::rows(status), table::steps(status));
    assert!(rows.len() > 30 && steps.len() > 15 && table::tools(status).len() > 4);
    assert!(table::claimed(tree.text("README.md")).len() > 25);
    assert!(rows.iter().all(|row| row.id.starts_with('S')));
}

#[test]
fn rows_numbers_and_commands_are_read_as_they_stand() {
    let text =
        "| S7 | it holds | `a/{b,c}.rs` `d/` | `x y`; `z` | cargo | 2,784 states of four | about 1 s | nothing |";
    let [row] = &table::rows(text)[..] else { panic!("one row") };
    assert_eq!(row.files, ["a/b.rs", "a/c.rs", "d/"]);
    assert_eq!(row.commands, ["x y", "z"]);
    assert_eq!(table::numbers(&row.bounds), ["2,784", "four"].map(str::to_owned).into());
    assert_eq!(table::numbers("16 KiB, 12.7 MB; a 100.").len(), 3);
}

/// One thing is wrong at a time; the same check must say which.
#[test]
fn control_each_lie_is_noticed() {
    let tree = Tree::of_repository();
    let (status, security) = ("spec/STATUS.md", "spec/security.md");
    let (readme, ci) = ("README.md", ".ci/run");
    for (path, old, new, complaint) in [
        // Rows: a file, a filter, a program, a campaign, a script, an example, an id, a cell, a tool, a version.
        (status, "`tests/wycheproof.rs`", "`tests/wychproof.rs`", "S1: there is no tests/wychproof.rs"),
        (
            status,
            "`cargo test --test audit e15`",
            "`cargo test --test audit e99`",
            "no test of audit has \"e99\" in its name",
        ),
        (status, "`cargo test --lib ratchet::", "`cargo test --lib rachet::", "no test of the library has \"rachet::"),
        (
            status,
            "`cargo test --test wycheproof`",
            "`cargo test --test wychproof`",
            "there is no test program wychproof",
        ),
        (status, "`tests/campaign states`", "`tests/campaign stats`", "stats is no campaign"),
        (status, "`fuzz/run`", "`fuzz/ran`", "there is no fuzz/ran"),
        (status, "--example healing`", "--example heeling`", "there is no example heeling"),
        (
            status,
            "--features audit --example healing`",
            "--features audits --example healing`",
            "there is no feature audits",
        ),
        (status, "| S2 |", "| S1 |", "S1: ids are S1, S2, S3 and so on"),
        (status, "| below 1 s |", "| |", "a cell is empty"),
        (status, "| cargo-fuzz |", "| cargo-fuz |", "cargo-fuzz is not in the table of tools"),
        (status, "| proptest | 1", "| proptest | 0", "Cargo.lock has another version"),
        (status, "| rustc | 1", "| rustc | 0", "Cargo.toml has another version"),
        // README: a claim without an id, of an unknown one, in other words, by another command, with another number.
        (readme, "| S1 |", "|", "is no row"),
        (readme, "| S1 |", "| S99 |", "\"S99\" is no row"),
        (readme, "| S1 |", "| S2 |", "README: an id stands twice"),
        (readme, "primitives agree with Wycheproof", "primitives are Wycheproof's", "README, S1: claims"),
        (
            readme,
            "| `cargo test --test wycheproof` |",
            "| `cargo test -p leakscan --test search` |",
            "README, S1: \"cargo test -p leakscan --test search\"",
        ),
        (readme, "2,784 states", "2,785 states", "the row has no 2,785"),
        // Steps of .ci/run: one that is new, one that is gone, one that shows what is no row.
        (
            ci,
            "step \"paths\" paths",
            "step \"paths\" paths\nstep \"spelling\" spelling",
            "\"spelling\" of .ci/run is not listed",
        ),
        (ci, "step \"paths\" paths", "", ".ci/run has no step \"paths\""),
        (status, "| court order | S", "| court order | S9", "the step \"court order\": \"S9"),
        // Claims of security: a row, a test, a part, a property, an attack that is in the tests and not in the list.
        (security, "by S22 and S23", "by S22 and S99", "P1 names S99, which is no row"),
        (security, "`b4_a_re_encapsulated", "`b4_a_reencapsulated", "P6 names the test b4_a_reencapsulated"),
        (security, "**Not shown**: computational", "**Shown**: computational", "P1 has no **Not shown**"),
        (security, "### P7.", "### Of the ratchet.", "there is no P7"),
        (security, "| c1 |", "| c0 |", "the attack c1 of a test is not in the list"),
    ] {
        let wrong = tree.with(path, |text| {
            assert!(text.contains(old), "{path} has no {old:?}");
            text.replacen(old, new, 1)
        });
        let said = complaints(&wrong);
        assert!(said.iter().any(|said| said.contains(complaint)), "{new:?} for {old:?} in {path}: {said:?}");
    }
    // Files that nobody lists, and those that are gone.
    for path in [
        "tests/new.rs",
        "tests/new/main.rs",
        "tests/new/run",
        "fuzz/fuzz_targets/new.rs",
        "spec/models/new.vp",
        "examples/new.rs",
        "examples/new/main.rs",
        "spec/new/run",
    ] {
        let said = complaints(&tree.with(path, |_| String::new()));
        assert_eq!(said, [format!("{path} is in no row")]);
    }
    let new = tree.with("tests/campaign", |text| text.replacen("    states)", "    news) campaign ;;\n    states)", 1));
    assert_eq!(complaints(&new), ["the campaign news is in no row"]);
    let gone = tree.with("fuzz/run", |text| text.replacen("\nsnapshot ", "\nsnapshots ", 1));
    assert!(complaints(&gone).iter().any(|said| said.ends_with("fuzz/run runs no snapshot")));
    assert!(complaints(&tree.without("tests/durable.rs")).iter().any(|said| said.ends_with("no test program durable")));
    let plain = tree.plain("tests/campaign");
    assert!(complaints(&plain).iter().any(|said| said.ends_with("tests/campaign cannot be executed")));
}
