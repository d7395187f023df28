// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document and the code name the same steps, and so do the symbolic models, except for steps with a reason not to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub, reason = "a test states its expectations")]

#[path = "spec_labels/areas.rs"]
mod areas;
#[path = "spec_labels/documents.rs"]
mod documents;
#[path = "spec_labels/known.rs"]
mod known;

use areas::labels;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Modules of `src` that name steps and perform none: a label there does not count as the step's code.
const ABOUT_STEPS: [&str; 1] = ["hazmat"];

/// Labels of all sources below `folder`, except those in the modules `without`.
fn of_sources(folder: &Path, without: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if without.iter().any(|room| path.file_stem().is_some_and(|name| name == *room)) {
            continue;
        }
        if path.is_dir() {
            found.extend(of_sources(&path, without));
        } else {
            found.extend(labels(&std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// Labels in the code that performs steps, except for the modules in `without`.
fn performed(without: &[&str]) -> BTreeSet<String> {
    of_sources(&root().join("src"), &[&ABOUT_STEPS, without].concat())
}

fn document() -> BTreeSet<String> {
    labels(&std::fs::read_to_string(root().join("spec/protocol.md")).unwrap())
}

/// Labels in the symbolic models.
fn modelled() -> BTreeSet<String> {
    let models = std::fs::read_dir(root().join("spec/models")).unwrap().map(|entry| entry.unwrap().path());
    let models = models.filter(|path| path.extension().is_some_and(|extension| extension == "vp"));
    models.flat_map(|path| labels(&std::fs::read_to_string(path).unwrap())).collect()
}

/// Steps that no model has, each with its reason: the rows of the last table of spec/models/README.md.
fn not_modelled(page: &str) -> BTreeMap<String, String> {
    let (_, section) = page.split_once("## Steps that no model has").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.flat_map(|(steps, reason)| labels(steps).into_iter().map(|label| (label, reason.to_owned()))).collect()
}

/// What is wrong with the models' steps: not in the document, in neither place, in both, without a reason.
fn astray(
    document: &BTreeSet<String>,
    modelled: &BTreeSet<String>,
    not_modelled: &BTreeMap<String, String>,
) -> Vec<String> {
    let excused: BTreeSet<String> = not_modelled.keys().cloned().collect();
    let named: BTreeSet<String> = modelled.union(&excused).cloned().collect();
    let both = modelled.intersection(&excused).cloned();
    let bare = not_modelled.iter().filter(|(_, reason)| reason.split(' ').count() < 3).map(|(label, _)| label.clone());
    [missing(&named, document), missing(document, &named), both.collect(), bare.collect()].concat()
}

fn models_page() -> String {
    std::fs::read_to_string(root().join("spec/models/README.md")).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The elements of `these` that are not in `those`.
fn missing(these: &BTreeSet<String>, those: &BTreeSet<String>) -> Vec<String> {
    these.difference(those).cloned().collect()
}

#[test]
fn the_document_and_the_code_have_the_same_steps() {
    let document = document();
    let named = of_sources(&root().join("src"), &[]);
    assert_eq!(missing(&document, &performed(&[])), Vec::<String>::new(), "not in the code");
    assert_eq!(missing(&named, &document), Vec::<String>::new(), "not in the document");
    assert!(document.len() > 30);
}

#[test]
fn control_a_label_missing_on_one_side_is_noticed() {
    assert_eq!(labels("**HS-I4** and (DR-D9), not X-1, SHA-256 or HS-"), labels("`DR-D9` HS-I4"));
    assert_ne!(labels("HS-I4 DR-D9"), labels("HS-I4"));
}

#[test]
fn control_a_step_named_only_in_the_audit_is_missing() {
    // The code without its handshake: the recorder's profile still names HS-I6 and HS-R4.
    let of_audit = labels(&std::fs::read_to_string(root().join("crates/recorders/noescrow/profile.json")).unwrap());
    let gone = missing(&document(), &performed(&["handshake"]));
    for step in ["HS-I6", "HS-R4"] {
        assert!(of_audit.contains(step) && gone.iter().any(|label| label == step), "{step}");
    }
}

#[test]
fn every_step_is_in_a_model_or_has_a_reason() {
    let modelled = modelled();
    assert_eq!(astray(&document(), &modelled, &not_modelled(&models_page())), Vec::<String>::new());
    assert!(modelled.len() > 25, "{modelled:?}");
}

#[test]
fn control_misplaced_and_unknown_steps_of_models_are_noticed() {
    let (document, modelled, page) = (document(), modelled(), models_page());
    let excused = not_modelled(&page);
    let without = |label: &str| modelled.iter().filter(|other| *other != label).cloned().collect::<BTreeSet<_>>();
    assert_eq!(astray(&document, &without("HS-I4"), &excused), ["HS-I4"]);
    let mut more = modelled.clone();
    more.insert("HS-I99".to_owned());
    assert_eq!(astray(&document, &more, &excused), ["HS-I99"]);
    let mut fewer = excused.clone();
    fewer.remove("SN-1");
    assert_eq!(astray(&document, &modelled, &fewer), ["SN-1"]);
    let mut both = excused.clone();
    both.insert("DR-E1".to_owned(), "it is in a model".to_owned());
    assert_eq!(astray(&document, &modelled, &both), ["DR-E1"]);
    assert_eq!(not_modelled("## Steps that no model has\n| SN-1, HS-R8 | why not |").len(), 2);
    let bare = not_modelled(&page.replace("| SN-1, SN-2 | ", "| SN-1, SN-2 | none |\n| nothing | "));
    assert_eq!(astray(&document, &modelled, &bare), ["SN-1", "SN-2"]);
}
