// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules for key derivations: each label of the code has one, and it fits the outputs that devices derive.

use super::{conversation, document, numbers, one_more};
use data_encoding::HEXLOWER_PERMISSIVE;
use noescrow::attachment::AttachmentSealer;
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::skipped::Inline;
use noescrow::{ChunkSize, Secret, hazmat};
use noescrow_audit::{Kind, Operation, Role, Tape, TraceReader};
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Labels that are hashed or signed, or derive a generator's output: never the label of a device's key derivation.
const NOT_DERIVED: [&str; 11] = [
    "noescrow-v1 transcript",
    "noescrow-v1 foreign handshake",
    "noescrow-v1 identity certificate",
    "noescrow-v1 prekey",
    "noescrow-v1 server login",
    "noescrow-v1 login challenge",
    "noescrow-v1 access key",
    "noescrow-v1 device list",
    "noescrow-v1 identity succession",
    "noescrow-v1 hedged secret",
    "noescrow-v1 hedged output",
];
/// Values that are not secret: those that a message shows, and those that need not be kept from anybody.
const SHOWN: [&str; 3] = ["commitment", "routing tag", "attachment's commitment"];
const NEUTRAL: [&str; 2] = ["nonce", "MAC of the Braid"];

/// All labels of the code's table.
fn labels() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../src/labels.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let table = source.split("#[cfg(test)]").next().unwrap();
    let labels: Vec<String> =
        table.split("= b\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert_eq!(labels.len(), table.matches("pub(crate) const").count());
    labels
}

/// A key derivation of a trace: operation, parts of the info, length of the output.
pub type Derivation = (Kind, Vec<Vec<u8>>, usize);

/// A trace in which so many messages are lost that their keys are not derived: only the chains advance.
fn lossy_conversation() -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let tape = Tape::in_memory();
    let [alice, bob] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name).unwrap());
    let public = bob.dh_public(&Secret::new([2; 32]));
    let mut alice: Session<Recorder, Inline<4>> =
        hazmat::initiator(alice, &Secret::new([1; 32]), &public, b"").unwrap();
    let mut bob: Session<Recorder, Inline<4>> =
        hazmat::responder(bob, &Secret::new([1; 32]), Secret::new([2; 32]), b"");
    let sent: Vec<Vec<u8>> = (0..10).map(|_| alice.encrypt(b"text", &mut rng).unwrap()).collect();
    bob.decrypt(&sent[9]).unwrap();
    bob.decrypt(&sent[0]).unwrap_err();
    bob.decrypt(&sent[8]).unwrap();
    tape.bytes()
}

/// A trace of an attachment.
fn attachment() -> Vec<u8> {
    let tape = Tape::in_memory();
    let alice = Recorder::device(&tape, "Alice").unwrap();
    drop(AttachmentSealer::new_with(alice, 9, &mut ChaCha20Rng::seed_from_u64(6)).unwrap());
    tape.bytes()
}

/// Traces of a conversation in which a post-quantum epoch completes, of a lossy one, and of an attachment.
pub fn traces() -> [Vec<u8>; 3] {
    [conversation(ChunkSize::Bytes256, 12), lossy_conversation(), attachment()]
}

/// Every key derivation of an attachment, of a conversation in which a post-quantum epoch completes, and of a lossy one, each once.
fn derivations() -> BTreeSet<Derivation> {
    let mut all = BTreeSet::new();
    let mut visit = |operation: &Operation<'_>| {
        if matches!(operation.kind, Kind::Hmac | Kind::Hkdf | Kind::HkdfExpand) {
            let info = operation.inputs(Role::Context).map(<[u8]>::to_vec).collect();
            all.insert((operation.kind, info, operation.output(Role::KdfOutput).unwrap().len()));
        }
    };
    for trace in traces() {
        TraceReader::new(&*trace).unwrap().for_each(&mut visit).unwrap();
    }
    all
}

fn bytes(value: &Value) -> Vec<u8> {
    match value.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => HEXLOWER_PERMISSIVE.decode(value["hex"].as_str().unwrap().as_bytes()).unwrap(),
    }
}

/// The first rule for a derivation, by the document alone.
pub fn rule<'a>(document: &'a Value, (kind, info, len): &Derivation) -> Option<&'a Value> {
    let output_len = |rule: &Value| {
        let fields = rule["output"].as_array().unwrap().iter();
        fields.map(|field| field["len"].as_u64().unwrap()).sum::<u64>()
    };
    let fits = |rule: &&Value| {
        output_len(rule) == *len as u64
            && info.first().is_some_and(|label| *label == bytes(&rule["label"]))
            && (rule["then"].is_null() || info.get(1).is_some_and(|then| *then == bytes(&rule["then"])))
            && (rule["operation"].is_null() || rule["operation"] == kind.name())
            && (rule["whole"] != true || info.concat().len() == bytes(&rule["label"]).len())
    };
    document["kdf"].as_array().unwrap().iter().find(fits)
}

/// Whether a derivation is one of those by which a device stores its state.
fn is_of_storing(document: &Value, (kind, info, _): &Derivation) -> bool {
    let stored = &document["stored"];
    let part = |(known, part): (&Value, &Vec<u8>)| known.is_null() || bytes(known) == *part;
    let fits = |known: &Value| {
        let known = known.as_array().unwrap();
        known.len() == info.len() && known.iter().zip(info).all(part)
    };
    let head = stored["salt"]["head"].as_array().unwrap();
    match kind {
        Kind::HkdfExpand => stored["derivations"].as_array().unwrap().iter().any(fits),
        Kind::Hmac => info.len() == head.len() + 1 && head.iter().zip(info).all(|(len, part)| *len == part.len()),
        _ => false,
    }
}

/// Derivations without a rule for their output's length, and rules for no derivation.
fn problems(document: &Value, derivations: &BTreeSet<Derivation>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for one in derivations {
        match rule(document, one) {
            Some(rule) => drop(used.insert(rule.to_string())),
            // The key of a snapshot's salt needs no rule: one derived key is secret anyway.
            None if one.2 == 32 && is_of_storing(document, one) => {}
            None => problems.push(format!("no rule for {one:?}")),
        }
    }
    let rules = document["kdf"].as_array().unwrap().iter().map(Value::to_string);
    problems.extend(rules.filter(|rule| !used.contains(rule)).map(|rule| format!("{rule} is for no derivation")));
    problems
}

#[test]
fn every_derivation_of_a_conversation_has_a_fitting_rule() {
    let (document, derivations) = (document(), derivations());
    assert!(derivations.len() > 20);
    assert_eq!(problems(&document, &derivations), [""; 0]);
    // Control: one rule missing, or one length off.
    for at in 0..document["kdf"].as_array().unwrap().len() {
        let mut edited = document.clone();
        edited["kdf"].as_array_mut().unwrap().remove(at);
        assert_ne!(problems(&edited, &derivations), [""; 0], "rule {at}");
    }
    for pointer in numbers(&document["kdf"], &["len"], "/kdf") {
        assert_ne!(problems(&one_more(&document, &pointer), &derivations), [""; 0], "{pointer}");
    }
}

/// Everything that is derived is secret, except nonces, MACs, and what a message shows. The session id is no key, but no
/// server may learn it.
#[test]
fn every_derived_key_is_secret() {
    let document = document();
    let fields = document["kdf"].as_array().unwrap().iter().flat_map(|rule| rule["output"].as_array().unwrap());
    let mut names = BTreeSet::new();
    for field in fields {
        let name = field["field"].as_str().unwrap();
        let expected = match name {
            _ if NEUTRAL.contains(&name) => "neutral",
            _ if SHOWN.contains(&name) => "public",
            _ => "secret",
        };
        assert_eq!(field["class"], expected, "{name}");
        names.insert((name, field["len"].as_u64().unwrap()));
    }
    let short: Vec<_> = names.iter().filter(|(_, len)| *len != 32).copied().collect();
    let rests = [("rest of a commitment's MAC", 16), ("rest of a routing tag's MAC", 24)];
    assert_eq!(short, [&[("commitment", 16), ("nonce", 12)][..], &rests, &[("routing tag", 8)]].concat());
    for name in ["session id", "exporter"] {
        assert!(names.contains(&(name, 32)), "{name}");
    }
}

#[test]
fn every_label_of_the_code_is_derived_with_or_known_not_to_be() {
    let (document, derivations) = (document(), derivations());
    let first: BTreeSet<&[u8]> =
        derivations.iter().filter_map(|(_, info, _)| info.first().map(Vec::as_slice)).collect();
    for label in labels() {
        let is_derived = first.contains(label.as_bytes());
        assert_eq!(is_derived, !NOT_DERIVED.contains(&&*label), "{label}");
        let has_rule = document["kdf"].as_array().unwrap().iter().any(|rule| rule["label"] == *label);
        let is_stored = document["stored"]["derivations"].to_string().contains(&format!("{label:?}"));
        assert_eq!(has_rule || is_stored, is_derived, "{label}");
    }
}
