// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes spec/vectors: transcripts of the protocol with all randomness, for other implementations. With `--check` it
//! compares instead, and fails if a file differs. With `--import` and a folder it performs the events of the files
//! there, which another implementation wrote, computes their outputs anew and writes them to spec/vectors; it fails if
//! an output is another one than the file lists.
//!
//! ```sh
//! cargo run --release -p noescrow-sim --example vectors -- --check
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
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use transcripts::json::Transcript;
use transcripts::stage::told_again;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut differ = 0;
    match &std::env::args().skip(1).collect::<Vec<_>>()[..] {
        [] => transcripts::transcripts().iter().try_for_each(write)?,
        [option] if option == "--check" => {
            for transcript in transcripts::transcripts() {
                let path = path(&transcript);
                if fs::read_to_string(&path).ok() != Some(transcript.to_text()) {
                    differ += 1;
                    eprintln!("{} differs", path.display());
                }
            }
        }
        [option, folder, names @ ..] if option == "--import" => {
            for name in transcripts::SCENES {
                if !names.is_empty() && !names.iter().any(|one| one == name) {
                    continue;
                }
                let text = fs::read_to_string(Path::new(folder).join(format!("{name}.json")))?;
                let (transcript, differences) = told_again(&Transcript::from_text(name, &text)?)?;
                differences.iter().for_each(|difference| eprintln!("{difference:.300}"));
                differ += differences.len();
                write(&transcript)?;
            }
        }
        _ => return Err("usage: vectors [--check | --import FOLDER [NAME ...]]".into()),
    }
    Ok(if differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn path(transcript: &Transcript) -> PathBuf {
    transcripts::folder().join(format!("{}.json", transcript.name))
}

fn write(transcript: &Transcript) -> Result<(), Box<dyn Error>> {
    let text = transcript.to_text();
    fs::write(path(transcript), &text)?;
    println!("{}: {} events, {} bytes", transcript.name, transcript.events.len(), text.len());
    Ok(())
}
