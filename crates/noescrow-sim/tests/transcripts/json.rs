// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files: JSON with one event a line, bytes in lower-case hex.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// One event: its inputs and outputs, by name.
pub type Event = Map<String, Value>;

/// One file of spec/vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    pub name: String,
    pub comment: String,
    pub events: Vec<Event>,
}

/// The beginning of every file, except its comment.
const HEAD: [(&str, &str); 2] = [("protocol", "noescrow 1"), ("document", "spec/protocol.md")];
/// The revision of spec/protocol.md, as its second paragraph states it.
pub const DOCUMENT_VERSION: u64 = 3;
/// That revision, and the version of the form that spec/vectors/README.md describes.
const VERSIONS: [(&str, u64); 2] = [("document_version", DOCUMENT_VERSION), ("format", 1)];

impl Transcript {
    pub fn to_text(&self) -> String {
        let mut text = String::from("{\n");
        for (key, value) in HEAD {
            let _ = writeln!(text, "\"{key}\": {},", json!(value));
        }
        for (key, value) in VERSIONS {
            let _ = writeln!(text, "\"{key}\": {value},");
        }
        let _ = writeln!(text, "\"comment\": {},", json!(self.comment));
        let _ = writeln!(text, "\"event_count\": {},\n\"events\": [", self.events.len());
        let lines: Vec<String> = self.events.iter().map(|event| json!(event).to_string()).collect();
        text + &lines.join(",\n") + "\n]\n}\n"
    }

    pub fn from_text(name: &str, text: &str) -> Result<Self, String> {
        let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let head = HEAD.iter().all(|(key, value)| whole[key] == *value);
        let versions = VERSIONS.iter().all(|(key, value)| whole[key] == *value);
        if !(head && versions) {
            return Err("of another protocol, document or form".into());
        }
        let comment = whole["comment"].as_str().ok_or("no comment")?.to_owned();
        let events = whole["events"].as_array().ok_or("no events")?;
        let events: Option<Vec<Event>> = events.iter().map(|event| event.as_object().cloned()).collect();
        let transcript = Self { name: name.to_owned(), comment, events: events.ok_or("an event is no object")? };
        match whole["event_count"] == transcript.events.len() {
            true => Ok(transcript),
            false => Err("another number of events than it says".into()),
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    HEXLOWER.decode(text.as_bytes()).map_err(|error| format!("not lower-case hex: {text}: {error}"))
}

pub fn hex_of(value: &Value) -> Result<Vec<u8>, String> {
    unhex(value.as_str().ok_or("no hex where hex is due")?)
}
