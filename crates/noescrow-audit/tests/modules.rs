// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crate's modules import one another without a circle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states what it expects")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The top-level modules that a source file imports, outside its tests.
fn imports(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let paths = code.split("crate::").skip(1).chain(code.split("super::").skip(1));
    paths.map(|path| path.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap().to_owned()).collect()
}

/// For each top-level module, those that it imports.
fn graph(sources: &[(String, String)]) -> Graph {
    let modules: BTreeSet<&str> = sources.iter().map(|(module, _)| module.as_str()).collect();
    let mut graph = Graph::new();
    for (module, source) in sources {
        let others = imports(source).into_iter().filter(|other| other != module && modules.contains(other.as_str()));
        graph.entry(module.clone()).or_default().extend(others);
    }
    graph
}

/// The modules that are left after removing, again and again, those that import none that is left.
fn circular(mut graph: Graph) -> Vec<String> {
    loop {
        let left: BTreeSet<String> = graph.keys().cloned().collect();
        let before = graph.len();
        graph.retain(|_, imported| !imported.is_disjoint(&left));
        if graph.len() == before {
            return graph.into_keys().collect();
        }
    }
}

fn sources(folder: &Path, of: Option<&str>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = of.unwrap_or(&stem).to_owned();
        if path.is_dir() {
            all.extend(sources(&path, Some(&module)));
        } else if !["lib", "tests"].contains(&stem.as_str()) && module != "bin" {
            all.push((module, std::fs::read_to_string(&path).unwrap()));
        }
    }
    all
}

#[test]
fn modules_import_one_another_without_a_circle() {
    let mut sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), None);
    let graph = graph(&sources);
    assert!(graph.len() > 20 && graph.values().map(BTreeSet::len).sum::<usize>() > 50, "{graph:#?}");
    assert_eq!(circular(graph), [""; 0]);
    // Control: one import more closes a circle.
    let value = sources.iter_mut().find(|(module, _)| module == "value").unwrap();
    value.1.insert_str(0, "use super::ledger::Ledger;\n");
    let circular = circular(self::graph(&sources));
    assert!(["clauses", "ledger", "value"].iter().all(|module| circular.iter().any(|one| one == module)));
}

#[test]
fn every_module_is_on_the_map() {
    let source = include_str!("../src/lib.rs");
    let map: String = source.lines().filter(|line| line.starts_with("//! |")).collect();
    let modules = source.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let modules: Vec<&str> = modules.collect();
    assert!(modules.len() > 20);
    for module in modules {
        assert!(map.contains(&format!("`{module}`")), "{module}");
    }
}
