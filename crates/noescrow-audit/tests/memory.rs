// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that a search takes does not grow with the evidence.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states what it expects"
)]

use noescrow_audit::{Audit, Evidence, Profile, Tape};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// Bytes by which an audit of [`EVIDENCE`] with [`SECRETS`] secrets may raise the peak of the process's memory: the
/// index of digests and the blocks of the search.
const GROWTH: u64 = 32 << 20;
const EVIDENCE: u64 = 200 << 20;
const SECRETS: u32 = 1_000;

/// The peak of this process's memory so far.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// A file with zeros and random bytes in turn.
struct Generated(PathBuf);

impl Generated {
    fn new(len: u64) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("memory {len}"));
        let mut file = File::create(&path).unwrap();
        let (mut rng, mut piece) = (ChaCha8Rng::seed_from_u64(5), vec![0; 1 << 20]);
        for number in 0..len >> 20 {
            match number % 2 {
                0 => piece.fill(0),
                _ => rng.fill_bytes(&mut piece),
            }
            file.write_all(&piece).unwrap();
        }
        Self(path)
    }
}

impl Drop for Generated {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The growth of the peak by an audit of so much evidence with so many secrets.
fn growth(evidence: u64, secrets: u32) -> u64 {
    let tape = Tape::in_memory();
    let device = tape.device("Alice").unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..secrets {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        device.given("", &secret);
    }
    let file = Generated::new(evidence);
    let before = peak();
    let audit = Audit::of(Profile::empty(), &tape).unwrap().server_files(&file.0).known(Evidence::new());
    let verdict = audit.verdict();
    assert_eq!((verdict.examined.bytes, verdict.findings.len()), (evidence, 0), "{verdict}");
    assert_eq!(verdict.examined.secrets, usize::try_from(secrets).unwrap());
    peak() - before
}

#[test]
fn an_audit_takes_less_memory_than_its_evidence() {
    let grown = growth(EVIDENCE, SECRETS);
    assert!(grown < GROWTH, "{grown}");
    // Control: the peak shows what is held in memory.
    let before = peak();
    let held = vec![1u8; usize::try_from(2 * GROWTH).unwrap()];
    assert!(held.iter().step_by(4096).all(|byte| *byte == 1) && peak() - before >= GROWTH / 2);
}

/// The figure of the README. To be run alone: the peak is that of the whole process.
#[test]
#[ignore = "measures a gigabyte of evidence"]
fn measure_a_gigabyte() {
    println!("{} MiB", growth(1 << 30, 10_000) >> 20);
}
