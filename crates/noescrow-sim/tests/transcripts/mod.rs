// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transcripts of the protocol with all randomness: makes and replays the files of spec/vectors. spec/vectors/README.md
//! describes their form.
#![allow(dead_code, unreachable_pub, missing_debug_implementations, reason = "each user uses its own part")]

mod act;
mod conversation;
mod draws;
mod forge;
mod formulas;
mod handshake;
pub mod json;
mod keeping;
mod policy;
mod refusals;
mod safety;
mod snapshots;
pub mod stage;
#[path = "../../../../tests/support/stored.rs"]
mod stored;
mod values;
mod watched;

use json::{Event, Transcript, hex};
use serde_json::{Value, json};
use stage::Stage;
use std::path::PathBuf;

const NOW: u64 = 1_800_000_000;
/// The last second at which a prekey of these devices may be used.
const EXPIRY: u64 = NOW + 35 * 86_400;

type Making = Stage<draws::Seeded>;

/// Files whose hostile messages and impossible states another implementation made, `spec/python/vectors.py`: only their
/// inputs come from there, and the crate computes every output anew.
pub const SCENES: [&str; 20] = [
    "ages",
    "braid_codewords",
    "braid_encoders",
    "braid_failures",
    "braid_states",
    "device_states",
    "epochs",
    "formulas",
    "handshakes",
    "ids",
    "keys",
    "loss",
    "messages",
    "new_chains",
    "numbers",
    "policy",
    "replay_record",
    "sealing",
    "session_states",
    "versions",
];

/// Makes every file anew, except for the scenes.
pub fn transcripts() -> Vec<Transcript> {
    let others = vec![safety::safety_numbers(), snapshots::snapshots(), refusals::refusals()];
    [handshake::transcripts(), conversation::transcripts(), others].concat()
}

/// The folder of the files.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors")
}

fn transcript(name: &str, comment: &str, stage: Making) -> Transcript {
    Transcript { name: name.to_owned(), comment: comment.to_owned(), events: stage.finish() }
}

fn text_of(event: &Event, key: &str) -> String {
    event[key].as_str().unwrap_or_else(|| panic!("{key} of {event:?}")).to_owned()
}

/// Two devices, with their signed prekeys.
fn two_devices(stage: &mut Making) -> [Event; 2] {
    ["Alice", "Bob"].map(|name| stage.play(json!({"do": "device", "device": name, "now": NOW})))
}

/// `Identity || Prekey || flag || [Prekey]`, from what a device published.
fn bundle(identity: &str, signed_prekey: &str, one_time_prekey: Option<&str>) -> String {
    match one_time_prekey {
        Some(one_time) => format!("{identity}{signed_prekey}01{one_time}"),
        None => format!("{identity}{signed_prekey}00"),
    }
}

/// Alice writes to Bob with one of his one-time prekeys, and he accepts.
fn begin(stage: &mut Making, chunk_size: u64) {
    let [_, bob] = two_devices(stage);
    let published = stage.play(json!({"do": "publish", "device": "Bob", "count": 1, "now": NOW}));
    let one_time = published["one_time_prekeys"][0].as_str();
    let bundle = bundle(&text_of(&bob, "identity"), &text_of(&bob, "signed_prekey"), one_time);
    let first = initiate(stage, &bundle, chunk_size, b"hello Bob", b"");
    accept(stage, &first, b"");
}

fn initiate(stage: &mut Making, bundle: &str, chunk_size: u64, text: &[u8], associated: &[u8]) -> Event {
    stage.play(json!({
        "do": "initiate", "device": "Alice", "session": "Alice", "bundle": bundle, "now": NOW, "chunk_size": chunk_size,
        "plaintext": hex(text), "associated_data": hex(associated), "values": {},
    }))
}

fn accept(stage: &mut Making, first: &Event, associated: &[u8]) -> Event {
    stage.play(json!({
        "do": "accept", "device": "Bob", "session": "Bob", "of": first["at"], "associated_data": hex(associated),
        "values": {},
    }))
}

fn send(from: &str, text: &[u8], associated: &[u8]) -> Value {
    json!({"do": "send", "session": from, "plaintext": hex(text), "associated_data": hex(associated)})
}

fn deliver(to: &str, message: &Event, associated: &[u8]) -> Value {
    json!({"do": "deliver", "session": to, "of": message["at"], "associated_data": hex(associated)})
}
