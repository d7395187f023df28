// SPDX-License-Identifier: MIT OR Apache-2.0
//! spec/status.toml and the tree agree: what a row names exists, and whatever shows something is in a row.
//! spec/STATUS.md is rendered from that file: `cargo test --test status -- --ignored`. No command is run here; the test
//! checks that each can be run.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test says what it expects")]

#[path = "status/claims.rs"]
mod claims;
#[path = "status/data.rs"]
mod data;
#[path = "status/tree.rs"]
mod tree;
#[path = "status/workspace.rs"]
mod workspace;

use data::{Status, Step};
use std::collections::BTreeSet;
use tree::Tree;
use workspace::{Workspace, campaigns, fuzz_target, fuzz_targets_run};

const DATA: &str = "spec/status.toml";
const PAGE: &str = "spec/STATUS.md";

/// All that is wrong, a sentence each.
fn complaints(tree: &Tree) -> Vec<String> {
    let (status, workspace) = match (Status::parse(tree.text(DATA)), Workspace::of(tree)) {
        (Ok(status), Ok(workspace)) => (status, workspace),
        (Err(error), _) | (_, Err(error)) => return vec![error],
    };
    let mut found = of_rows(&status, &workspace, tree);
    found.extend(of_tools(&status, tree));
    found.extend(of_steps(&status, tree));
    found.extend(unlisted(&status, &workspace, tree));
    found.extend(claims::complaints(tree.text("spec/security.md"), &status, tree));
    if tree.text(PAGE) != status.render() {
        found.push(format!("{PAGE} is not what {DATA} renders to: cargo test --test status -- --ignored"));
    }
    found
}

/// A row has an id of its own, every cell, files that exist and commands that can be run.
fn of_rows(status: &Status, workspace: &Workspace<'_>, tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (number, row) in (1..).zip(status.rows()) {
        let id = &row.id;
        if *id != format!("S{number}") {
            found.push(format!("{id}: ids are S1, S2, S3 and so on"));
        }
        let cells = [&row.claim, &row.bounds, &row.time, &row.leaves_out];
        let lists = [&row.files, &row.commands, &row.tools];
        if cells.iter().any(|cell| cell.trim().is_empty()) || lists.iter().any(|list| list.is_empty()) {
            found.push(format!("{id}: a cell is empty"));
        }
        let missing = row.files.iter().filter(|file| !tree.has(file));
        found.extend(missing.map(|file| format!("{id}: there is no {file}")));
        let wrong = row.commands.iter().filter_map(|command| workspace.complaint(command));
        found.extend(wrong.map(|complaint| format!("{id}: {complaint}")));
        // A target that is not run shows nothing.
        let targets = row.files.iter().filter_map(|file| fuzz_target(file));
        let unknown = targets.filter(|target| !fuzz_targets_run(tree).contains(*target));
        found.extend(unknown.map(|target| format!("{id}: fuzz/run runs no {target}")));
        let unknown = row.tools.iter().filter(|name| !status.tools.iter().any(|tool| tool.name == **name));
        found.extend(unknown.map(|name| format!("{id}: {name} is not in the table of tools")));
    }
    found
}

/// Tools have the version that the tree pins.
fn of_tools(status: &Status, tree: &Tree) -> Vec<String> {
    let wrong = status.tools.iter().filter(|tool| !tool.is_pinned(tree));
    let file = |tool: &data::Tool| tool.pinned_in.clone().unwrap_or_default();
    wrong.map(|tool| format!("{} {}: {} has another version", tool.name, tool.version, file(tool))).collect()
}

/// The steps of `.ci/run` are those of the table, and each shows what rows claim.
fn of_steps(status: &Status, tree: &Tree) -> Vec<String> {
    let run = tree.text(".ci/run");
    let names: Vec<&str> = run.split("step \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let unlisted = names.iter().filter(|name| !status.steps.iter().any(|step| step.name == **name));
    let mut found: Vec<String> = unlisted.map(|name| format!("the step {name:?} of .ci/run is not listed")).collect();
    for Step { name, rows } in &status.steps {
        if !names.contains(&&**name) {
            found.push(format!(".ci/run has no step {name:?}"));
        }
        let unknown = rows.iter().filter(|id| !status.has(id));
        found.extend(unknown.map(|id| format!("the step {name:?}: {id:?} is no row")));
    }
    found
}

/// Whatever shows something: test programs, fuzz targets, models, scripts, campaigns, examples, binaries.
fn unlisted(status: &Status, workspace: &Workspace<'_>, tree: &Tree) -> Vec<String> {
    let files: BTreeSet<&str> = status.rows().flat_map(|row| &row.files).map(String::as_str).collect();
    let commands: Vec<&String> = status.rows().flat_map(|row| &row.commands).collect();
    let words: Vec<&str> = commands.iter().flat_map(|command| command.split_whitespace()).collect();
    let follows = |option: &str, name: &str| words.windows(2).any(|two| two == [option, name]);
    let is_listed = |path: &str, name: &str, package: &str| match name.split('/').collect::<Vec<_>>()[..] {
        ["tests", file] if file.ends_with(".rs") => follows("--test", file.trim_end_matches(".rs")),
        ["tests", name, "main.rs"] => follows("--test", name),
        ["fuzz", "fuzz_targets", _] => files.contains(path),
        ["spec", "models", file] if file.ends_with(".vp") => files.contains(path),
        // An example that serves another row's check, such as the crate's end of a pipe, is among that row's files.
        ["examples", file] if file.ends_with(".rs") => {
            follows("--example", file.trim_end_matches(".rs")) || files.contains(path)
        }
        ["examples", name, "main.rs"] => follows("--example", name),
        ["src", "main.rs"] | ["src", "bin", _] => {
            let (run, package) = ("cargo run", format!("-p {package} "));
            commands.iter().any(|command| command.starts_with(run) && command.contains(&package))
        }
        [.., "run"] | ["tests", "campaign"] => tree.is_executable(path) && words.contains(&path),
        _ => true,
    };
    let mut found = BTreeSet::new();
    for package in &workspace.packages {
        let inside = tree.paths().filter_map(|path| Some((path, path.strip_prefix(&*package.folder)?)));
        let unlisted = inside.filter(|(path, name)| !is_listed(path, name, &package.name));
        found.extend(unlisted.map(|(path, _)| format!("{path} is in no row")));
    }
    let campaigns = campaigns(tree).into_iter().filter(|name| !words.contains(name));
    found.extend(campaigns.map(|name| format!("the campaign {name} is in no row")));
    found.into_iter().collect()
}

#[test]
fn every_row_can_be_followed_and_nothing_is_in_none() {
    let tree = Tree::of_repository();
    assert_eq!(complaints(&tree), Vec::<String>::new());
    // The data were read in full, so that nothing was overlooked.
    let status = Status::parse(tree.text(DATA)).unwrap();
    assert!(status.rows().count() > 30 && status.steps.len() > 15 && status.tools.len() > 4);
}

#[test]
#[ignore = "writes spec/STATUS.md"]
fn render() {
    let page = Status::parse(Tree::of_repository().text(DATA)).unwrap().render();
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/spec/STATUS.md"), page).unwrap();
}

/// One thing is wrong at a time; the same check must say which.
#[test]
fn control_each_false_entry_is_noticed() {
    let tree = Tree::of_repository();
    let (ci, security) = (".ci/run", "spec/security.md");
    for (path, old, new, complaint) in [
        // Rows: a file, a filter, a program, a package, a feature, a campaign, a script, an example, an id, a cell, a
        // tool, a version.
        (DATA, "\"tests/wycheproof.rs\"", "\"tests/wychproof.rs\"", "S1: there is no tests/wychproof.rs"),
        (DATA, " e15\"", " e99\"", " has \"e99\" in its name"),
        (DATA, "cargo test --lib ratchet::", "cargo test --lib ratchets::", "no test of the library has \"ratchets::"),
        (DATA, "--test wycheproof\"", "--test wychproof\"", "there is no test program wychproof"),
        (DATA, "-p leakscan ", "-p leakscam ", "there is no package leakscam"),
        (DATA, "test --test wycheproof", "test --features audits --test wycheproof", "there is no feature audits"),
        (DATA, "\"tests/campaign states\"", "\"tests/campaign stats\"", "stats is no campaign"),
        (DATA, "\"fuzz/run\"", "\"fuzz/ran\"", "there is no fuzz/ran"),
        (DATA, "--example healing", "--example heeling", "there is no example heeling"),
        (DATA, "id = \"S2\"", "id = \"S1\"", "S1: ids are S1, S2, S3 and so on"),
        (DATA, "time = \"less than 1 s\"", "time = \"\"", "a cell is empty"),
        (DATA, "time = \"less than 1 s\"\n", "", "missing field `time`"),
        (DATA, "\"cargo-fuzz\"", "\"cargo-fuz\"", "cargo-fuz is not in the table of tools"),
        (DATA, "\"proptest\"\nversion = \"1", "\"proptest\"\nversion = \"0", "Cargo.lock has another version"),
        (DATA, "\"rustc\"\nversion = \"1", "\"rustc\"\nversion = \"0", "Cargo.toml has another version"),
        (PAGE, "### S1\n", "### S1.\n", "is not what spec/status.toml renders to"),
        // Steps of .ci/run: one that is new, one that is gone, one that shows what is no row.
        (
            ci,
            "step \"paths\" ",
            "step \"a new step\" new_step\nstep \"paths\" ",
            "\"a new step\" of .ci/run is not listed",
        ),
        (ci, "step \"paths\" ", "", ".ci/run has no step \"paths\""),
        (DATA, "\"court order\"\nrows = [\"S", "\"court order\"\nrows = [\"S9", "the step \"court order\": \"S9"),
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
        let found = complaints(&wrong);
        assert!(found.iter().any(|found| found.contains(complaint)), "{new:?} for {old:?} in {path}: {found:?}");
    }
    // Files that no row lists, and files that are gone.
    for path in [
        "tests/new.rs",
        "tests/new/main.rs",
        "tests/new/run",
        "crates/leakscan/tests/new.rs",
        "crates/leakscan/tests/new/main.rs",
        "fuzz/fuzz_targets/new.rs",
        "spec/models/new.vp",
        "examples/new.rs",
        "examples/new/main.rs",
        "spec/new/run",
    ] {
        assert_eq!(complaints(&tree.with(path, |_| String::new())), [format!("{path} is in no row")]);
    }
    let new = tree.with("tests/campaign", |text| text.replacen("    states)", "    news) campaign ;;\n    states)", 1));
    assert_eq!(complaints(&new), ["the campaign news is in no row"]);
    let gone = tree.with("fuzz/run", |text| text.replacen("\nsnapshot ", "\nsnapshots ", 1));
    assert!(complaints(&gone).iter().any(|found| found.ends_with("fuzz/run runs no snapshot")));
    let gone = complaints(&tree.without("tests/durable.rs"));
    assert!(gone.iter().any(|found| found.ends_with("no test program durable")));
    let plain = tree.plain("tests/campaign");
    assert!(complaints(&plain).iter().any(|found| found.ends_with("tests/campaign cannot be executed")));
}
