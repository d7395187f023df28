// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes spec/vectors: transcripts of the protocol with all randomness, for other implementations. With `--check` it
//! compares instead, and fails if a file differs.
//!
//! ```sh
//! cargo run --release --features audit --example vectors -- --check
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "an example may stop"
)]

#[path = "../tests/transcripts/mod.rs"]
mod transcripts;

use std::error::Error;
use std::fs;
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let check = match &std::env::args().skip(1).collect::<Vec<_>>()[..] {
        [] => false,
        [option] if option == "--check" => true,
        _ => return Err("usage: vectors [--check]".into()),
    };
    let mut differ = 0;
    for transcript in transcripts::transcripts() {
        let path = transcripts::folder().join(format!("{}.json", transcript.name));
        let text = transcript.to_text();
        if !check {
            fs::write(&path, &text)?;
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            differ += 1;
            eprintln!("{} differs", path.display());
        }
        println!("{}: {} events, {} bytes", transcript.name, transcript.events.len(), text.len());
    }
    Ok(if differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
