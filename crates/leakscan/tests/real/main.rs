// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that databases store are found in their files. A database that is not installed is named in the output, and
//! its tests pass without it; `NOESCROW_REAL=1` makes them fail instead.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod honest;
mod postgres;
mod redis;
mod sqlite;

use leakscan::{Encoding, Encodings, Evidence, Findings, Index, Needles};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Words that repeat, of changing letters, so that each part is compressed by a code of its own.
pub(crate) fn words(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = Vec::new();
    while text.len() < len {
        let letters = (text.len() / 10_000 % 5) as u8;
        let vocabulary: Vec<Vec<u8>> = (0..40)
            .map(|_| (0..rng.next_u32() % 6 + 4).map(|_| b'a' + letters * 5 + (rng.next_u32() % 5) as u8).collect())
            .collect();
        for _ in 0..300 {
            text.extend(&vocabulary[rng.next_u32() as usize % vocabulary.len()]);
            text.push(b' ');
        }
    }
    text.truncate(len);
    text
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn index_of(secrets: &[Vec<u8>]) -> Index {
    let mut needles = Needles::new();
    for (id, secret) in (0..).zip(secrets) {
        needles.add_secret(id, secret);
    }
    needles.build().unwrap()
}

/// What a search of a directory finds, without some encodings.
pub(crate) fn search(path: &Path, index: &Index, without: &[Encoding]) -> Findings {
    let encodings = without.iter().fold(Encodings::ALL, |all, &encoding| all.without(encoding));
    Evidence::new().with_encodings(encodings).directory("server", path).search(index, |_, _| {}).unwrap()
}

/// The numbers of the secrets that were found whole.
pub(crate) fn whole(findings: &Findings) -> Vec<u32> {
    let mut found: Vec<u32> = findings.hits.iter().filter(|hit| hit.whole).map(|hit| hit.id).collect();
    found.dedup();
    found
}

/// A directory of a test's own, deleted when it is dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leakscan-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Names a program that is not installed, past the capture of a test's output. Returns false.
pub(crate) fn is_absent(program: &str) -> bool {
    assert!(std::env::var_os("NOESCROW_REAL").is_none(), "{program} is not installed");
    _ = writeln!(std::io::stderr(), "NOT TESTED: {program} is not installed");
    true
}

/// Runs a command to its end, and returns its output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
