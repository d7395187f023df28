// SPDX-License-Identifier: MIT OR Apache-2.0
//! spec/vectors: every file is what its maker makes today, and plays again from what is in it alone.
#![cfg(feature = "audit")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test says what it expects"
)]

mod transcripts;

use std::collections::BTreeMap;
use std::fs;
use transcripts::json::Transcript;
use transcripts::stage::replay;

/// The files as they lie there, by name.
fn committed() -> BTreeMap<String, String> {
    let files = fs::read_dir(transcripts::folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn the_committed_files_are_what_is_made_today() {
    let made: BTreeMap<String, String> =
        transcripts::transcripts().into_iter().map(|made| (made.name.clone(), made.to_text())).collect();
    let committed = committed();
    assert_eq!(made.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, text) in &made {
        assert!(committed[name] == *text, "{name} is another one: cargo run --release --example vectors, and look");
    }
}

#[test]
fn every_file_plays_again_from_what_is_in_it_alone() {
    for (name, text) in committed() {
        let transcript = Transcript::from_text(&name, &text).unwrap();
        assert!(!transcript.events.is_empty());
        assert_eq!(replay(&transcript), Ok(()));
    }
}
