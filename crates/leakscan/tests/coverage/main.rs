// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the search finds of what real software writes: section 9 of the audit's document is this program's output.
//!
//! Each program of another author writes a key and a text in many ways; the search for them then decides each cell of
//! the table. A way in which nothing is found and nothing is reported must be in `missed.rs`, with its reason.
//!
//! `cargo test -p leakscan --test coverage` compares the document with what is measured. It runs the software that it
//! finds, and names what is absent; with `NOESCROW_REAL=1` absent software is a failure.
//! `cargo test -p leakscan --test coverage -- --ignored` writes the document.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod cell;
mod missed;
mod software;
mod table;

use cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use table::Table;

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../noescrow-audit/spec/audit.md")
}

#[test]
fn the_document_says_what_is_found_of_what_real_software_writes() {
    let text = fs::read_to_string(document()).unwrap();
    let all = std::env::var_os("NOESCROW_REAL").is_some();
    for software in software::ALL {
        let Some(table) = software.measure() else {
            assert!(!all, "{} is absent", software.name);
            println!("not run: {} is absent", software.name);
            continue;
        };
        let written = Table::written_in(&text, software.title).unwrap_or_default();
        for (row, cells) in &table.rows {
            assert_eq!(written.rows.get(row), Some(cells), "{}: {row} differs from the document", software.title);
        }
        assert_eq!(written, table, "{}: the document has other rows", software.title);
        check_missed(&table);
    }
}

/// Every way that is missed has its reason, and no other way has one.
fn check_missed(table: &Table) {
    for (way, cells) in &table.rows {
        let is_missed = [cells.key, cells.text].contains(&Cell::Missed);
        assert_eq!(is_missed, missed::reason(way).is_some(), "{way}: {cells:?}; see missed.rs");
    }
}

/// Control: with one encoding less, what was written in it is missed.
#[test]
fn without_a_decoder_its_cell_is_missed() {
    let value = software::KEY;
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(cell::of(hex.as_bytes(), &value, leakscan::Encodings::ALL), Cell::Found);
    let without = leakscan::Encodings::ALL.without(leakscan::Encoding::Hex);
    assert_eq!(cell::of(hex.as_bytes(), &value, without), Cell::Missed);
    let damaged = [&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0x63, 0xFF, 0xFF, 0xFF]].concat();
    assert_ne!(cell::of(&damaged, &value, leakscan::Encodings::ALL), Cell::Found);
}

#[test]
#[ignore = "writes the document"]
fn write_the_document() {
    let mut text = fs::read_to_string(document()).unwrap();
    for software in software::ALL {
        let table = software.measure().unwrap_or_else(|| panic!("{} is absent", software.name));
        text = table.write_in(&text, software.title);
    }
    fs::write(document(), text).unwrap();
}
