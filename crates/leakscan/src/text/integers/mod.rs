// SPDX-License-Identifier: MIT OR Apache-2.0
//! Integers in text: finds the words that may be numerals, and hands them to the readers of lists and of dumps.
//!
//! ```text
//! words.rs      words that may be numerals, in sequences
//! lists.rs      lists of integers (columns.rs: those at one place of each line)
//! printed.rs    whole numbers in groups of digits, numbers with an exponent, lists of gdb, UUIDs of Windows, `od -c`
//! dumps.rs      dumps of memory (records.rs: in the records of Intel HEX and S-records)
//! ```

mod columns;
mod dumps;
mod lists;
mod printed;
mod records;
mod words;

use super::super::encoding::Encoding;
use super::super::prefilter::Prefilter;
use super::super::sink::Sink;
use dumps::Dumps;
use lists::Lists;
use printed::Printed;

/// The encodings that are decoded here.
const ENCODINGS: [Encoding; 5] =
    [Encoding::Integers, Encoding::HexIntegers, Encoding::WideIntegers, Encoding::Dump, Encoding::Decimal];

/// Finds and decodes the integers in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    if prefilter.text.is_empty() || !ENCODINGS.iter().any(|&encoding| sink.wants(encoding)) {
        return;
    }
    let (mut lists, mut dumps, mut printed) = (Lists::new(), Dumps::new(), Printed::new());
    let mut tokens = Vec::new();
    words::sequences(bytes, prefilter, &mut tokens, |tokens| {
        lists.add(sink, bytes, tokens);
        dumps.add(sink, bytes, tokens);
        printed.add(sink, bytes, tokens, &mut lists);
    });
    lists.flush(sink);
    dumps.flush(sink);
    printed.flush(sink);
}
