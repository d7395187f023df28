// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoded runs of Base64 or hexadecimal, handed to the sink together: most have a few dozen bytes, and look-ups are
//! fast in a long sequence.

use super::super::blocks::SMALL_BLOCK;
use super::super::decode::symbols::Cursor;
use super::super::decode::{base64, hex};
use super::super::encoding::Encoding;
use super::super::sink::{Decoded, Sink};
use core::ops::Range;

/// Bytes that are searched together, unless one run alone has more: what a cache holds beside the filter.
pub(crate) const BATCH_LEN: usize = SMALL_BLOCK;
/// The byte between two runs: it is in no text, so that no text continues in the next run.
pub(crate) const BORDER: u8 = 0xFE;

/// The origin of a decoded run.
struct Run {
    /// Its text.
    text: Range<usize>,
    /// The number of its symbols, and how many of them were left out at the beginning.
    count: usize,
    alignment: usize,
    /// The last symbol of it that was located.
    cursor: Cursor,
}

/// Decoded runs of one encoding.
pub(super) struct Batch {
    encoding: Encoding,
    bytes: Vec<u8>,
    runs: Vec<Run>,
    borders: Vec<usize>,
}

impl Batch {
    pub(super) const fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), runs: Vec::new(), borders: Vec::new() }
    }

    /// Decodes the symbols of a run, once for each alignment at which they may begin. `text` is the run's range in
    /// `bytes`.
    pub(super) fn add(&mut self, sink: &mut impl Sink, symbols: &[u8], text: Range<usize>, bytes: &[u8]) {
        let alignments = match self.encoding {
            Encoding::Hex => hex::ALIGNMENTS,
            _ => base64::ALIGNMENTS,
        };
        for alignment in 0..alignments {
            if !self.runs.is_empty() {
                self.borders.push(self.bytes.len());
                self.bytes.push(BORDER);
            }
            match self.encoding {
                Encoding::Hex => hex::decode(symbols, alignment, &mut self.bytes),
                _ => base64::decode(symbols, alignment, &mut self.bytes),
            }
            let cursor = Cursor::default();
            self.runs.push(Run { text: text.clone(), count: symbols.len(), alignment, cursor });
            if self.bytes.len() >= BATCH_LEN {
                self.flush(sink, bytes);
            }
        }
    }

    /// Hands the runs to the sink; then the batch is empty.
    pub(super) fn flush(&mut self, sink: &mut impl Sink, bytes: &[u8]) {
        if self.runs.is_empty() {
            return;
        }
        let position = |at: usize| {
            let (number, from) = run_at(&self.borders, at);
            let Some(Run { text, count, alignment, cursor }) = self.runs.get(number) else { return 0 };
            let (run, at) = (bytes.get(text.clone()).unwrap_or_default(), at.saturating_sub(from));
            let position = match self.encoding {
                Encoding::Hex => {
                    let digit = at.saturating_mul(2).saturating_add(*alignment);
                    cursor.of(digit, |known, digit| hex::position(run, *count, known, digit))
                }
                _ => {
                    let symbol = base64::symbol_of(at).saturating_add(*alignment);
                    cursor.of(symbol, |known, symbol| base64::position(run, *count, known, symbol))
                }
            };
            text.start.saturating_add(position)
        };
        let borders = &self.borders;
        sink.descend(&Decoded { borders, ..Decoded::run(&self.bytes, self.encoding, &position) });
        self.bytes.clear();
        self.runs.clear();
        self.borders.clear();
    }
}

/// The number of the run that holds the byte at an index, and where that run begins.
pub(super) fn run_at(borders: &[usize], at: usize) -> (usize, usize) {
    let number = borders.partition_point(|&border| border < at);
    let before = number.checked_sub(1).and_then(|before| borders.get(before));
    (number, before.map_or(0, |border| border.saturating_add(1)))
}
