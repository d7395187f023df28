// SPDX-License-Identifier: MIT OR Apache-2.0
//! spec/vectors: every file equals what the generator makes today, and replays from its own data alone; every change to
//! a file is noticed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

#[path = "../transcripts/mod.rs"]
mod transcripts;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use transcripts::json::{DOCUMENT_VERSION, Event, Transcript};
use transcripts::stage::replay;

/// Bytes of all files together: the repository contains them.
const MOST_BYTES: usize = 5_400_000;
/// Events of a file that is altered repeatedly. A transcript may end after any event.
const ALTERED_EVENTS: usize = 160;

/// The committed files, by name.
fn committed() -> BTreeMap<String, String> {
    let files = fs::read_dir(transcripts::folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let named = |path: std::path::PathBuf| {
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
    };
    files.map(named).collect()
}

fn read() -> Vec<Transcript> {
    committed().iter().map(|(name, text)| Transcript::from_text(name, text).unwrap()).collect()
}

/// The inputs of the scenes are another author's. Their outputs are this crate's, which
/// [`every_file_replays_from_its_own_data_alone`] checks; here only their form is compared.
#[test]
fn committed_files_equal_what_the_generator_makes() {
    let mut made: BTreeMap<String, String> =
        transcripts::transcripts().into_iter().map(|made| (made.name.clone(), made.to_text())).collect();
    let committed = committed();
    for name in transcripts::SCENES {
        let read = Transcript::from_text(name, &committed[name]).unwrap();
        assert!(made.insert(name.to_owned(), read.to_text()).is_none(), "{name}");
    }
    assert_eq!(made.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, text) in &made {
        assert!(committed[name] == *text, "{name} differs: run the example vectors and review the diff");
    }
    assert!(made.values().map(String::len).sum::<usize>() < MOST_BYTES);
}

/// The revision that a document's text states for itself.
fn revision(document: &str) -> Option<u64> {
    let (_, rest) = document.split_once("Document revision ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn document_version_is_the_revision_of_the_document() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/protocol.md");
    let document = fs::read_to_string(path).unwrap();
    assert_eq!(revision(&document), Some(DOCUMENT_VERSION));
    for (name, text) in committed() {
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["document_version"], DOCUMENT_VERSION, "{name}");
        // Control: the same file for another revision is refused.
        let other = text.replace(
            &format!("\"document_version\": {DOCUMENT_VERSION}"),
            &format!("\"document_version\": {}", DOCUMENT_VERSION - 1),
        );
        assert!(Transcript::from_text(&name, &text).is_ok());
        assert!(Transcript::from_text(&name, &other).is_err(), "{name}");
    }
    // Control: a later revision of the document is noticed.
    let later = document.replace("Document revision 3", "Document revision 4");
    assert_eq!(revision(&later), Some(DOCUMENT_VERSION + 1));
}

#[test]
fn every_file_replays_from_its_own_data_alone() {
    for transcript in read() {
        assert!(!transcript.events.is_empty());
        assert_eq!(replay(&transcript), Ok(()));
    }
}

/// The events of a file that are refused and yet change a state.
fn changed_by_a_refusal(transcript: &Transcript) -> Vec<usize> {
    let mut states: BTreeMap<(&str, String), &Value> = BTreeMap::new();
    let mut changed = vec![];
    for (at, event) in transcript.events.iter().enumerate() {
        for (owner, digest) in [("session", "session_sha256"), ("device", "device_sha256")] {
            let Some(now) = event.get(digest) else { continue };
            let name = event.get(owner).or_else(|| event.get("name")).unwrap();
            let owner = (owner, name.to_string());
            let before = states.insert(owner, now);
            if event.contains_key("refused") && before != Some(now) {
                changed.push(at);
            }
        }
    }
    changed
}

#[test]
fn refusals_change_no_state() {
    let mut refusals = 0;
    for mut transcript in read() {
        assert!(changed_by_a_refusal(&transcript).is_empty());
        let of_sessions = |event: &&mut Event| event.contains_key("refused") && event.contains_key("session_sha256");
        refusals += transcript.events.iter_mut().filter(|event| of_sessions(event)).count();
        // Control: a refusal that did.
        let Some(event) = transcript.events.iter_mut().find(of_sessions) else { continue };
        alter(&mut event["session_sha256"]);
        assert!(!changed_by_a_refusal(&transcript).is_empty());
    }
    assert!(refusals > 100);
}

/// Steps that compute a value the document names.
const STEPS: [&str; 31] = [
    "BR-1", "BR-11", "BR-12", "BR-5", "BR-6", "BR-7", "BR-9", "SP-S2", "DR-D2", "DR-D5", "DR-D6", "DR-D7", "DR-D8",
    "DR-E1", "DR-E2", "DR-E3", "DR-E4", "HS-I3", "HS-I4", "HS-I6", "HS-I7", "HS-R3", "HS-R4", "HS-R5", "HS-R6", "SN-1",
    "SP-I1", "SP-R1", "SP-R2", "SP-S1", "TR-1",
];
/// The words for refusals.
const WORDS: [&str; 16] = [
    "abandoned",
    "chain exhausted",
    "expired",
    "handshake already accepted",
    "key gone",
    "malformed",
    "mismatch",
    "newer version",
    "nothing received yet",
    "older generation",
    "prekey gone",
    "refused",
    "replay record full",
    "too long",
    "too many skipped",
    "unexpected identity",
];

#[test]
fn the_files_have_every_value_every_refusal_and_three_epochs() {
    let (mut steps, mut words, mut sizes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for transcript in read() {
        for event in &transcript.events {
            steps
                .extend(event.get("values").into_iter().flat_map(|values| values.as_object().unwrap().keys().cloned()));
            words.extend(event.get("refused").map(|word| word.as_str().unwrap().to_owned()));
            sizes.extend(event.get("chunk_size").map(|size| size.as_u64().unwrap()));
        }
        if transcript.name.starts_with("conversation") {
            let epochs = ["Alice", "Bob"].map(|name| {
                let of = transcript.events.iter().filter(|event| event.get("session") == Some(&json!(name)));
                of.filter_map(|event| event["epoch"].as_u64()).max().unwrap()
            });
            assert!(epochs.iter().all(|epoch| *epoch >= 3), "{epochs:?}");
            assert!(transcript.events.iter().filter(|event| event["do"] == "send").count() >= 80);
        }
    }
    let missing: Vec<_> = STEPS.iter().filter(|step| !steps.contains(**step)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(words.iter().map(String::as_str).collect::<Vec<_>>(), WORDS);
    assert_eq!(sizes, BTreeSet::from([32, 64, 128, 256]));
}

/// A changed value: a number plus one, a hex digit with its low bit flipped, a longer text.
fn alter(value: &mut Value) {
    *value = match &*value {
        Value::Number(number) => json!(number.as_u64().unwrap() + 1),
        Value::Bool(truth) => json!(!truth),
        Value::String(text) => {
            let middle = text.len() / 2;
            let digit = text.get(middle..=middle).and_then(|digit| u8::from_str_radix(digit, 16).ok());
            let is_hex = text.len() % 2 == 0 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
            match digit {
                Some(digit) if is_hex => json!(format!("{}{:x}{}", &text[..middle], digit ^ 1, &text[middle + 1..])),
                _ => json!(format!("{text}00")),
            }
        }
        other => panic!("{other} has parts"),
    };
}

/// The paths of all values without parts below one, as JSON pointers.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| leaves(value, &format!("{at}/{key}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{at}/{index}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Values of an event that may decide nothing: a comment for readers; a time that is still before the expiry; which of the
/// lost messages was lost; the name of a state that was restored next to the stored one.
fn is_idle(event: &Event, leaf: &str) -> bool {
    let goes_in = [
        "/associated_data",
        "/base",
        "/bundle",
        "/bytes",
        "/chunk_size",
        "/context",
        "/expected_identity",
        "/of",
        "/plaintext",
        "/ratchet_key",
        "/scanned",
        "/secret",
        "/storage_key",
        "/subject",
    ];
    let refused = event.contains_key("refused");
    leaf == "/why"
        || leaf == "/now"
        // Every snapshot is newer than none.
        || (leaf == "/newest" && event["newest"] == 0)
        // A minimum within the same class of lengths.
        || leaf == "/min_padded_len"
        || (leaf == "/of" && event["do"] == "drop")
        || (leaf == "/name" && event["do"] == "restore")
        // DerivedRng before a refusal have no effect.
        || (refused && leaf.starts_with("/draws") && leaf.ends_with("/bytes"))
        // A refusal stays one with another flaw, for a device or session that does not exist yet, or under another
        // name.
        || (refused && leaf.starts_with("/edits"))
        || (refused && (goes_in.contains(&leaf) || ["/newest", "/name", "/session", "/identity", "/local_id"].contains(&leaf)))
}

/// What happens, whether it is refused, and the path of a value in it, without list indices.
type KindOfValue = (String, bool, String);

/// The first event with each kind of value, and the value's path there.
fn kinds_of_values(transcript: &Transcript) -> BTreeMap<KindOfValue, (usize, String)> {
    let mut kinds = BTreeMap::new();
    for (at, event) in transcript.events.iter().enumerate() {
        let mut found = vec![];
        leaves(&json!(event), "", &mut found);
        for leaf in found.into_iter().filter(|leaf| !is_idle(event, leaf)) {
            let place = leaf.split('/').filter(|part| part.parse::<usize>().is_err()).collect::<Vec<_>>().join("/");
            let kind = (event["do"].as_str().unwrap().to_owned(), event.contains_key("refused"), place);
            kinds.entry(kind).or_insert((at, leaf));
        }
    }
    kinds
}

#[test]
fn a_changed_value_of_any_kind_is_noticed() {
    let mut altered: BTreeSet<KindOfValue> = BTreeSet::new();
    for mut transcript in read() {
        transcript.events.truncate(ALTERED_EVENTS);
        assert_eq!(replay(&transcript), Ok(()), "as it is");
        for (kind, (at, leaf)) in kinds_of_values(&transcript) {
            if !altered.insert(kind.clone()) {
                continue;
            }
            let mut event = Value::Object(transcript.events[at].clone());
            alter(event.pointer_mut(&leaf).unwrap());
            let mut other = transcript.clone();
            other.events[at] = event.as_object().unwrap().clone();
            // Most changes are noticed at the event itself, some at a later one.
            let mut begun = other.clone();
            begun.events.truncate(at + 1);
            let noticed = replay(&begun).is_err() || replay(&other).is_err();
            assert!(noticed, "{}: {kind:?} of event {at}", transcript.name);
        }
    }
    assert!(altered.len() > 200, "{}", altered.len());
}

#[test]
fn a_missing_moved_or_added_event_is_noticed() {
    for mut transcript in read() {
        transcript.events.truncate(ALTERED_EVENTS);
        let last = transcript.events.len() - 1;
        for at in [0, 2, last / 2, last - 1] {
            let mut missing = transcript.clone();
            missing.events.remove(at);
            assert!(replay(&missing).is_err(), "{}: without event {at}", transcript.name);
            let mut moved = transcript.clone();
            moved.events.swap(at, at + 1);
            assert!(replay(&moved).is_err(), "{}: event {at} after the next", transcript.name);
            let mut twice = transcript.clone();
            twice.events.insert(at, transcript.events[at].clone());
            assert!(replay(&twice).is_err(), "{}: event {at} twice", transcript.name);
        }
        // If the last event is missing, only the number of events shows it.
        let text = transcript.to_text();
        let line = text.lines().find(|line| line.starts_with(&json!(transcript.events[last]).to_string())).unwrap();
        let shorter = text.replace(&format!(",\n{line}"), "");
        assert!(Transcript::from_text("", &text).is_ok());
        assert_eq!(Transcript::from_text("", &shorter), Err("another number of events than it says".into()));
    }
}

type Edit = fn(&mut Vec<Value>);

#[test]
fn missing_longer_and_unused_draws_are_noticed() {
    for mut transcript in read() {
        transcript.events.truncate(ALTERED_EVENTS);
        let at = transcript.events.iter().rposition(|event| event.contains_key("draws")).unwrap();
        let edits: [(&str, Edit); 3] = [
            ("beyond the list", |draws| drop(draws.pop())),
            ("were not drawn", |draws| draws.push(draws[0].clone())),
            ("are listed", |draws| draws[0]["bytes"] = json!("00".repeat(31))),
        ];
        for (what, edit) in edits {
            let mut other = transcript.clone();
            edit(other.events[at]["draws"].as_array_mut().unwrap());
            let error = replay(&other).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
