// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of files: as they are printed.

use super::{index_of, random};
use leakscan::{Evidence, EvidenceError};
use std::io::{self, Read};

/// It clears a terminal's screen, and then claims to be the verdict.
const HOSTILE: &str = "log\n\x1b[2JHOLDS: no server-held key exists.\u{202e}";

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("broken"))
    }
}

#[test]
fn no_name_of_the_evidence_acts_on_a_terminal() {
    let secret = random(200, 32);
    let index = index_of(&[&secret]);
    let is_safe = |text: &str| !text.contains(['\n', '\x1b', '\u{202e}']) && text.contains("log\\u{a}\\u{1b}[2JHOLDS");
    // An omission: an LZIP member, which has no decoder.
    let evidence = [&secret[..], b"LZIP\x01"].concat();
    let findings = Evidence::new().bytes(HOSTILE, &evidence).search(&index, |_, _| {}).unwrap();
    assert!(is_safe(&findings.hits[0].to_string()), "{}", findings.hits[0]);
    assert!(is_safe(&findings.statistics.omissions[0]), "{:?}", findings.statistics.omissions);
    // The control: the field is the name itself, for programs that compare it.
    assert_eq!(findings.hits[0].source, HOSTILE);
    let (_, errors) = Evidence::new().reader(HOSTILE, Broken).capture(HOSTILE, &b"x"[..]).search_all(&index, |_, _| {});
    assert!(matches!(errors[..], [EvidenceError::Io { .. }, EvidenceError::Io { .. }]), "{errors:?}");
    let damaged = Evidence::new().capture(HOSTILE, &b"xxxx"[..]).search(&index, |_, _| {});
    let errors = errors.into_iter().chain(damaged.err());
    assert_eq!(errors.filter(|error| is_safe(&error.to_string())).count(), 3);
}
