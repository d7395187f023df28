// SPDX-License-Identifier: MIT OR Apache-2.0
//! A leak of each secret field of each key derivation is a finding under the field's name, from the moment on at which
//! it is derived. Its control: with another class in the profile, the same leak is none.

use super::kdf::{Derivation, rule, traces};
use super::{compiled, document};
use noescrow_audit::{Audit, Evidence, FindingKind, Kind, Operation, Profile, Role, Tape, TraceReader, Track};
use serde_json::Value;
use std::collections::BTreeMap;

/// What one device did up to a derivation, and the output of that. Another device may derive the same by another rule.
struct Derived {
    trace: Vec<u8>,
    output: Vec<u8>,
}

/// The first derivation for each rule, by the rule.
fn derived(document: &Value) -> BTreeMap<String, Derived> {
    let mut all = BTreeMap::new();
    for trace in traces() {
        let mut devices: BTreeMap<u8, (Tape, Track)> = BTreeMap::new();
        let visit = |operation: &Operation<'_>| {
            let (tape, device) = devices.entry(operation.participant).or_insert_with(|| {
                let tape = Tape::in_memory();
                let device = tape.device("Alice").unwrap();
                (tape, device)
            });
            device.record(operation.step, operation.kind, operation.fields.iter().copied());
            if !matches!(operation.kind, Kind::Hmac | Kind::Hkdf | Kind::HkdfExpand) {
                return;
            }
            let output = operation.output(Role::KdfOutput).unwrap();
            let info = operation.inputs(Role::Context).map(<[u8]>::to_vec).collect();
            let derivation: Derivation = (operation.kind, info, output.len());
            if let Some(rule) = rule(document, &derivation) {
                let until_here = || Derived { trace: tape.bytes(), output: output.to_vec() };
                all.entry(rule.to_string()).or_insert_with(until_here);
            }
        };
        TraceReader::new(&*trace).unwrap().for_each(visit).unwrap();
    }
    all
}

/// Whether a leak of these bytes is found as a secret of this name.
fn is_flagged(profile: Profile, derived: &Derived, leak: &[u8], name: &str) -> bool {
    let audit = Audit::read(profile, &*derived.trace).unwrap().server_saw("disk", leak).known(Evidence::new());
    let verdict = audit.without_digests().verdict();
    let kinds = [FindingKind::SecretInEvidence, FindingKind::FragmentInEvidence];
    verdict.findings.iter().any(|finding| kinds.contains(&finding.kind) && finding.what.starts_with(name))
}

#[test]
fn a_leak_of_each_derived_secret_is_a_finding_and_of_another_class_is_none() {
    let document = document();
    let derived = derived(&document);
    let rules = document["kdf"].as_array().unwrap();
    let (mut leaks, mut others) = (0, 0);
    for (number, rule) in rules.iter().enumerate() {
        let derived = derived.get(&rule.to_string()).unwrap_or_else(|| panic!("{rule} has no derivation"));
        let mut from = 0;
        for (at, field) in rule["output"].as_array().unwrap().iter().enumerate() {
            let name = field["field"].as_str().unwrap();
            let to = from + field["len"].as_u64().unwrap() as usize;
            let leak = &derived.output[from..to];
            from = to;
            let flagged = is_flagged(compiled(&document), derived, leak, name);
            if field["class"] != "secret" {
                assert!(!flagged, "{name} of {rule}");
                others += 1;
                continue;
            }
            assert!(flagged, "a leaked {name} of {rule}");
            for class in ["neutral", "public"] {
                let mut edited = document.clone();
                edited["kdf"][number]["output"][at]["class"] = class.into();
                assert!(!is_flagged(compiled(&edited), derived, leak, name), "{name} of {rule} as {class}");
            }
            leaks += 1;
        }
    }
    assert!(leaks > 25 && others > 3, "{leaks} leaks, {others} others");
}
