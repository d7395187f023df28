// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every class of a field of a layout, and of a plaintext, decides whether a leak of that very value is a finding. The
//! cases are made from the profile. Each is an audit of a single operation, so that no other operation has the value.

use super::states::all_states;
use super::{compiled, conversation, document, ledger};
use leakscan::{FRAGMENT, is_distinctive};
use noescrow::ChunkSize;
use noescrow_audit::engine::Ledger;
use noescrow_audit::{Audit, Evidence, Field, FindingKind, Kind, Operation, Role, Tape, TraceReader};
use serde_json::Value;
use std::collections::BTreeSet;

/// A name that no profile has.
const PROBE: &str = "probe";

/// A genuine operation, alone on a trace.
struct Run {
    step: String,
    trace: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Run {
    fn new(step: &str, kind: Kind, fields: &[Field<'_>]) -> Self {
        let tape = Tape::in_memory();
        tape.device("Alice").unwrap().record(step, kind, fields.iter().copied());
        let plaintext = fields.iter().find(|field| field.role == Role::Plaintext).unwrap();
        Self { step: step.to_owned(), trace: tape.bytes(), plaintext: plaintext.bytes.to_vec() }
    }
}

/// Every stored state, as it is restored.
fn states() -> Vec<Run> {
    all_states().iter().map(|one| Run::new("SN-2", Kind::Open, &one.fields())).collect()
}

/// Everything that a message consists of, sealed and opened.
fn messages() -> Vec<Run> {
    let mut runs = Vec::new();
    for chunk_size in ChunkSize::ALL {
        let visit = |operation: &Operation<'_>| {
            if matches!(operation.kind, Kind::Seal | Kind::Open) && !operation.step.starts_with("SN") {
                runs.push(Run::new(operation.step, operation.kind, operation.fields));
            }
        };
        TraceReader::new(&*conversation(chunk_size, 3)).unwrap().for_each(visit).unwrap();
    }
    runs
}

/// The places of all classes below a value, as JSON pointers.
fn classes(value: &Value, pointer: &str) -> Vec<String> {
    let below = |(key, value): (String, &Value)| classes(value, &format!("{pointer}/{key}"));
    match value {
        Value::Object(members) if members.contains_key("class") => vec![pointer.to_owned()],
        Value::Object(members) => members.iter().flat_map(|(key, value)| below((key.clone(), value))).collect(),
        Value::Array(values) => {
            values.iter().enumerate().flat_map(|(at, value)| below((at.to_string(), value))).collect()
        }
        _ => Vec::new(),
    }
}

/// The document with another member of the object at a pointer.
fn edited(document: &Value, pointer: &str, member: &str, value: impl Into<Value>) -> Value {
    let mut edited = document.clone();
    edited.pointer_mut(pointer).unwrap()[member] = value.into();
    edited
}

/// What an audit reports of a leak of these bytes.
fn flagged(document: &Value, run: &Run, leak: &[u8]) -> Vec<String> {
    let audit = Audit::read(compiled(document), &*run.trace).unwrap().server_saw("disk", leak);
    let verdict = audit.known(Evidence::new()).without_digests().verdict();
    let kinds = [FindingKind::SecretInEvidence, FindingKind::PlaintextInEvidence, FindingKind::FragmentInEvidence];
    verdict.findings.into_iter().filter(|one| kinds.contains(&one.kind)).map(|one| one.what).collect()
}

fn names(flagged: &[String], name: &str) -> bool {
    flagged.iter().any(|what| what.starts_with(name))
}

/// The values of one field in a run: those that have its name if no other field has it.
fn values_of(document: &Value, pointer: &str, run: &Run) -> Vec<Vec<u8>> {
    let ledger: Ledger = ledger(compiled(&edited(document, pointer, "field", PROBE)), &run.trace);
    let probed = ledger.values().filter(|(_, value)| ledger.describe(value.what) == PROBE);
    let values = probed.filter_map(|(id, _)| ledger.bytes(id)).map(<[u8]>::to_vec);
    // A key of one repeated byte, which only a test has, is not searched for.
    values.filter(|value| value.windows(FRAGMENT).any(is_distinctive)).collect()
}

/// Layouts to which these refer, and they themselves.
fn reached(document: &Value, names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    fn references(value: &Value, all: &mut BTreeSet<String>, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(name) = members.get("layout").and_then(Value::as_str)
                    && all.insert(name.to_owned())
                {
                    references(&document["layouts"][name], all, document);
                }
                members.values().for_each(|value| references(value, all, document));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, all, document)),
            _ => {}
        }
    }
    let mut all = BTreeSet::new();
    for name in names {
        references(&document["layouts"][&name], &mut all, document);
        all.insert(name);
    }
    all
}

/// The layouts that a list in the rules for plaintexts names, with those to which they refer.
fn of_plaintexts(document: &Value, list: &str) -> BTreeSet<String> {
    let rules = document["plaintexts"].as_array().unwrap().iter();
    let names = rules.filter_map(|rule| rule[list].as_array()).flatten();
    reached(document, names.map(|name| name.as_str().unwrap().to_owned()))
}

fn layout_of(pointer: &str) -> &str {
    pointer.split('/').nth(2).unwrap()
}

/// The document with another class for the field or plaintext at a pointer.
fn with_class(document: &Value, pointer: &str, class: &str) -> Value {
    edited(document, pointer, "class", class)
}

/// Requires that this holds for a value of the field in a run.
fn require(document: &Value, pointer: &str, runs: &[Run], holds: impl Fn(&Run, &[u8]) -> bool) {
    let controlled = |run: &Run| values_of(document, pointer, run).iter().any(|value| holds(run, value));
    assert!(runs.iter().any(controlled), "{pointer} has no control");
}

#[test]
fn a_leaked_secret_field_of_each_layout_is_flagged_by_its_class() {
    let document = document();
    let stored = document["stored"]["states"].as_array().unwrap().iter();
    let stored = reached(&document, stored.map(|state| state["layout"].as_str().unwrap().to_owned()));
    let runs = states();
    let mut controlled = 0;
    for pointer in classes(&document["layouts"], "/layouts") {
        let element = document.pointer(&pointer).unwrap();
        if element["class"] != "secret" {
            continue;
        }
        assert!(stored.contains(layout_of(&pointer)), "{pointer} is read from no state");
        let name = element["field"].as_str().unwrap();
        require(&document, &pointer, &runs, |run, value| {
            assert!(names(&flagged(&document, run, value), name), "a leaked {name}: {pointer}");
            // Another field of the state may have the same value. There is a state in which none has.
            ["neutral", "public"]
                .iter()
                .all(|class| flagged(&with_class(&document, &pointer, class), run, value).is_empty())
        });
        controlled += 1;
    }
    assert!(controlled >= 27, "{controlled}");
}

#[test]
fn a_public_field_is_flagged_only_if_its_class_is_secret() {
    let document = document();
    let read = of_plaintexts(&document, "contains");
    let runs = messages();
    let mut controlled = 0;
    for pointer in classes(&document["layouts"], "/layouts") {
        let element = document.pointer(&pointer).unwrap();
        if element["class"] != "public" || !read.contains(layout_of(&pointer)) {
            continue;
        }
        let name = element["field"].as_str().unwrap();
        require(&document, &pointer, &runs, |run, value| {
            assert_eq!(flagged(&document, run, value), [""; 0], "{pointer}");
            let secret = flagged(&with_class(&document, &pointer, "secret"), run, value);
            // The header is a secret, too: what is not public in it is flagged as a part of it.
            let neutral = flagged(&with_class(&document, &pointer, "neutral"), run, value);
            names(&secret, name) && !names(&neutral, name) && names(&neutral, "header")
        });
        controlled += 1;
    }
    assert!(controlled >= ChunkSize::ALL.len(), "{controlled}");
}

/// Layouts that only decide whether a plaintext has a shape: the audit does not read their fields, so that their
/// classes have no effect.
#[test]
fn classes_of_a_shape_have_no_effect() {
    let document = document();
    let shapes = of_plaintexts(&document, "shape");
    let (mut fields, runs) = (Vec::new(), messages());
    for pointer in classes(&document["layouts"], "/layouts").into_iter().filter(|one| shapes.contains(layout_of(one))) {
        let (layout, at) = (layout_of(&pointer), pointer.rsplit('/').next().unwrap().parse::<usize>().unwrap());
        let elements = document["layouts"][layout].as_array().unwrap();
        let len = |element: &Value| element["len"].as_u64().or(element["skip"].as_u64()).unwrap() as usize;
        let from: usize = elements[..at].iter().map(len).sum();
        let run = runs.iter().find(|run| run.step == "HS-I6").unwrap();
        let key = &run.plaintext[from..from + len(&elements[at])];
        for class in ["public", "neutral", "secret"] {
            assert_eq!(flagged(&with_class(&document, &pointer, class), run, key), [""; 0], "{pointer} {class}");
        }
        fields.push(elements[at]["field"].as_str().unwrap().to_owned());
    }
    assert_eq!(fields, ["signing key", "DH key"]);
}

#[test]
fn each_class_of_a_layout_is_in_one_of_these_tests() {
    let document = document();
    let class = |pointer: &String| document.pointer(pointer).unwrap()["class"].as_str().unwrap().to_owned();
    let all = classes(&document["layouts"], "/layouts");
    let (secret, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|pointer| class(pointer) == "secret");
    let [read, shapes] = ["contains", "shape"].map(|list| of_plaintexts(&document, list));
    for pointer in &others {
        let layout = layout_of(pointer);
        assert!(class(pointer) == "public" && read.contains(layout) != shapes.contains(layout), "{pointer}");
    }
    assert!(secret.len() >= 27 && others.len() >= 6);
}

#[test]
fn a_leaked_plaintext_is_flagged_by_its_class() {
    let document = document();
    let runs = messages();
    for pointer in classes(&document["plaintexts"], "/plaintexts") {
        let rule = document.pointer(&pointer).unwrap();
        let name = rule["name"].as_str().unwrap();
        for step in rule["steps"].as_array().unwrap() {
            // The longest: a text of fewer than 16 bytes is not searched for.
            let run = runs.iter().filter(|run| run.step == *step).max_by_key(|run| run.plaintext.len());
            let run = run.unwrap_or_else(|| panic!("{step} has no control"));
            let of = |document: &Value| flagged(document, run, &run.plaintext);
            let secret = of(&with_class(&document, &pointer, "secret"));
            assert!(names(&secret, name), "{name} at {step}: {secret:?}");
            let neutral = with_class(&document, &pointer, "neutral");
            match rule["padding"].is_null() {
                true => assert_eq!(of(&neutral), [""; 0], "{name} at {step}"),
                false => {
                    // The user's text in it is a secret whatever the class: the rule's padding says that there is one.
                    let found = of(&neutral);
                    assert!(names(&found, "plaintext") && !names(&found, name), "{found:?}");
                    let bare = edited(&neutral, &pointer, "padding", Value::Null);
                    assert_eq!(of(&bare), [""; 0], "{name} at {step}");
                }
            }
        }
    }
    assert!(document["plaintexts"].as_array().unwrap().len() >= 3);
}
