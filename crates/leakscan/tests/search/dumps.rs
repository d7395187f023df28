// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dumps of memory, as tools print them.
//!
//! `dumps.txt` has the output of each command (Debian 12: xxd 2022-01-14, util-linux 2.38, coreutils 9.1, binutils 2.40,
//! gdb 13.1) for 80 bytes, [`KEY`] from byte 11 on. The layouts of the tools that Debian does not have are written after
//! their manuals.

use super::arrays::{KEY, failure};
use super::{index_of, search};
use leakscan::{Encoding, FRAGMENT};

const DUMPS: &str = include_str!("dumps.txt");

/// The commands and their outputs.
fn dumps() -> Vec<(&'static str, &'static str)> {
    DUMPS.split("$ ").filter_map(|dump| dump.split_once('\n')).collect()
}

#[test]
fn values_across_the_lines_of_dumps_are_found() {
    let index = index_of(&[&KEY]);
    let mut failures = Vec::new();
    for (command, output) in dumps() {
        let log = format!("2026-11-30 19:44:20 memory of process 4711:\n{output}\n2026-11-30 19:44:21 done in 3 ms\n");
        for evidence in [output.to_owned(), log, output.replace('\n', "\r\n")] {
            failures
                .extend(failure(evidence.as_bytes(), &index, 0..32, Encoding::Dump).map(|failure| (command, failure)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(dumps().len() > 80);
}

#[test]
fn each_fragment_in_a_dump_is_found() {
    let mut failures = Vec::new();
    for (command, output) in dumps() {
        for from in 0..=KEY.len() - FRAGMENT {
            let index = index_of(&[&KEY[from..from + FRAGMENT]]);
            if !search(output.as_bytes(), &index).hits.iter().any(|hit| hit.whole) {
                failures.push((command, from));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The control: lines whose addresses do not count up by their bytes are no dump.
#[test]
fn lines_with_other_addresses_are_no_dump() {
    let index = index_of(&[&KEY]);
    let line = |address: usize, line: &[u8]| {
        format!("{address:08x}: {}\n", super::arrays::list(line, " ", |byte| format!("{byte:02x}")))
    };
    for step in [4, 7, 8, 9, 24] {
        let dump: String = KEY.chunks(8).enumerate().map(|(number, bytes)| line(number * step, bytes)).collect();
        let hits = search(dump.as_bytes(), &index).hits;
        assert_eq!(hits.iter().any(|hit| hit.encoding[0] == Encoding::Dump), step == 8, "{step}: {hits:?}");
    }
}
