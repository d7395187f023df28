// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a command of a row can be run: its program, its script, and whatever it names are in the tree.

use crate::tree::Tree;
use std::collections::BTreeSet;

/// What is wrong with a command, if anything is.
pub fn complaint(command: &str, tree: &Tree) -> Option<String> {
    let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
    let (program, arguments) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
    match (program, &arguments[..]) {
        ("cargo", ["test", rest @ ..]) => of_test(rest, tree),
        ("cargo", ["run", rest @ ..]) => of_run(rest, tree),
        ("cargo", ["bench", ..]) => (!tree.has("benches/Cargo.toml")).then(|| "there are no benches".to_owned()),
        (script, _) if !script.contains('/') => Some(format!("{script} is not understood here")),
        (script, _) if !tree.has(script) => Some(format!("there is no {script}")),
        (script, _) if !tree.is_executable(script) => Some(format!("{script} cannot be executed")),
        ("tests/campaign", names) => {
            let known = campaigns(tree);
            names.iter().find(|name| !known.contains(**name)).map(|name| format!("{name} is no campaign"))
        }
        _ => None,
    }
}

/// `cargo test`: programs and features exist, and a filter has a test.
fn of_test(arguments: &[&str], tree: &Tree) -> Option<String> {
    let (mut programs, mut filters, mut is_library) = (Vec::new(), Vec::new(), false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--test" => programs.push(*words.next()?),
            "--lib" => is_library = true,
            "--features" => {
                if let Some(complaint) = of_features(words.next()?, tree) {
                    return Some(complaint);
                }
            }
            option if option.starts_with('-') => {}
            filter => filters.push(filter),
        }
    }
    let missing = programs.iter().find(|name| root_of(name, tree).is_none());
    if let Some(name) = missing {
        return Some(format!("there is no test program {name}"));
    }
    for filter in filters {
        let of_programs = programs.iter().find(|name| !tests_of(name, tree).iter().any(|test| test.contains(filter)));
        if let Some(name) = of_programs {
            return Some(format!("no test of {name} has {filter:?} in its name"));
        }
        if is_library && !tests_of_library(tree).iter().any(|test| test.contains(filter)) {
            return Some(format!("no test of the library has {filter:?} in its name"));
        }
        if programs.is_empty() && !is_library {
            return Some(format!("{filter:?} filters all programs, and may be of none"));
        }
    }
    None
}

fn of_run(arguments: &[&str], tree: &Tree) -> Option<String> {
    let after = |option: &str| arguments.iter().skip_while(move |word| **word != option).nth(1);
    let of_features = after("--features").and_then(|features| of_features(features, tree));
    let of_example = after("--example").is_none_or(|name| {
        ![format!("examples/{name}.rs"), format!("examples/{name}/main.rs")].iter().any(|path| tree.has(path))
    });
    let name = after("--example").unwrap_or(&"without a name");
    of_features.or_else(|| of_example.then(|| format!("there is no example {name}")))
}

fn of_features(features: &str, tree: &Tree) -> Option<String> {
    let known = |name: &&str| !tree.text("Cargo.toml").contains(&format!("\n{name} = ["));
    features.split(',').find(known).map(|name| format!("there is no feature {name}"))
}

/// The names that `tests/campaign` knows.
pub fn campaigns(tree: &Tree) -> BTreeSet<&str> {
    let arms = tree.text("tests/campaign").lines().filter_map(|line| line.trim().split_once(") campaign "));
    arms.map(|(name, _)| name).collect()
}

/// The target that a file is, if it is one.
pub fn fuzz_target(path: &str) -> Option<&str> {
    path.strip_prefix("fuzz/fuzz_targets/")?.strip_suffix(".rs")
}

/// The targets that `fuzz/run` runs: those of its list, with the lengths of their inputs, and the control.
pub fn fuzz_targets_run(tree: &Tree) -> BTreeSet<&str> {
    tree.text("fuzz/run").lines().filter_map(name_before_length).collect()
}

fn name_before_length(line: &str) -> Option<&str> {
    let (name, length) = line.trim_start_matches("if fuzz ").split_once(' ')?;
    length.trim_end_matches("; then").parse::<u32>().ok().map(|_| name)
}

/// The first file of a test program.
fn root_of(program: &str, tree: &Tree) -> Option<String> {
    [format!("tests/{program}.rs"), format!("tests/{program}/main.rs")].into_iter().find(|path| tree.has(path))
}

/// The tests of a program, with their modules, as `cargo test` prints them. Those that a macro makes have no name here.
fn tests_of(program: &str, tree: &Tree) -> Vec<String> {
    let Some(root) = root_of(program, tree) else { return Vec::new() };
    let folder = root.strip_suffix("main.rs").unwrap_or("tests/");
    let mut found = tests_in(tree.text(&root));
    let mut path = None;
    for line in tree.text(&root).lines() {
        if let Some(named) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            path = Some(format!("{folder}{named}"));
        } else if let Some(module) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            let usual = [format!("{folder}{module}.rs"), format!("{folder}{module}/mod.rs")];
            let path = path.take().or_else(|| usual.into_iter().find(|path| tree.has(path))).unwrap_or_default();
            found.extend(tests_in(tree.text(&path)).iter().map(|test| format!("{module}::{test}")));
        }
    }
    found
}

/// The same of the library, of which a module is where its name says, or `mod tests` at the end of a file.
fn tests_of_library(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for path in tree.paths().filter(|path| path.starts_with("src/")) {
        let module =
            path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        let text = tree.text(path);
        let inner = if text.contains("\nmod tests {") { "::tests" } else { "" };
        found.extend(tests_in(text).iter().map(|test| format!("{module}{inner}::{test}")));
    }
    found
}

/// The names of the tests in a file, without its modules.
pub fn tests_in(text: &str) -> Vec<String> {
    let after = text.split("#[test]").skip(1);
    let name = |rest: &str| rest.split_once("fn ")?.1.split_once('(').map(|(name, _)| name.to_owned());
    after.filter_map(name).filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).collect()
}
