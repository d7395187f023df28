// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of another process: the binary of this test, started again.
#![cfg(target_os = "linux")]

use super::{index_of, random};
use leakscan::{Evidence, EvidenceError};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

const SEED: &str = "LEAKSCAN_TEST_HOLDS";

/// The other process: holds the bytes of a seed until its input ends. Run as a test, it does nothing.
#[test]
fn holder() {
    let Ok(seed) = std::env::var(SEED) else { return };
    let held = random(seed.parse().unwrap(), 64);
    println!("holding {}", held.len());
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(held.len(), std::hint::black_box(&held).len());
}

fn spawn(seed: u64) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::holder", "--nocapture", "--test-threads=1"])
        .env(SEED, seed.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("holding")));
    child
}

/// The tool that shows attack F7: a secret that a process still holds is found in its memory, and one that it never
/// held is not. This test does not claim that a library leaves no copy in memory.
#[test]
fn f7_a_secret_is_found_only_in_the_process_that_holds_it() {
    let index = index_of(&[&random(4711, 64)]);
    for (seed, holds) in [(4711, true), (4712, false)] {
        let mut child = spawn(seed);
        let mut last = (0, 0);
        let findings =
            Evidence::new().process("server", child.id()).search(&index, |done, total| last = (done, total)).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(findings.hits.iter().any(|hit| hit.whole), holds, "{:?}", findings.hits);
        assert!(findings.hits.iter().all(|hit| hit.source.starts_with("server, ") && hit.offset > 0xFFFF));
        assert!(findings.statistics.bytes > 1 << 20 && last.0 == findings.statistics.bytes && last.1 >= last.0);
    }
}

#[test]
fn a_process_that_has_ended_is_an_error() {
    let mut child = spawn(1);
    let pid = child.id();
    child.kill().unwrap();
    // It has ended, but nobody has waited for it.
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z") {
        std::thread::yield_now();
    }
    let index = index_of(&[&random(1, 64)]);
    let before = Evidence::new().process("server", pid).search(&index, |_, _| {});
    child.wait().unwrap();
    let after = Evidence::new().process("server", pid).search(&index, |_, _| {});
    for result in [before, after] {
        assert!(matches!(result, Err(EvidenceError::ProcessEnded { .. })), "{result:?}");
    }
}
