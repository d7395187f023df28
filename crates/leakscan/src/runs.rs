// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs of symbols, decoded one behind the other and examined together: most have a few dozen bytes, and look-ups are fast
//! in a long row.

use super::decode::symbols::Cursor;
use super::decode::{base64, hex};
use super::encoding::Encoding;
use super::needles::FRAGMENT;
use super::probe::Match;
use super::scan::{Frame, SMALL_BLOCK, Search};
use super::windows::is_strong;
use core::ops::Range;

/// Bytes that are examined together, if no run alone has more: what a cache holds beside the filter.
pub(super) const TOGETHER: usize = SMALL_BLOCK;
/// Stands between two runs: a byte that is in no text, so that none goes on in the next run.
pub(super) const BORDER: u8 = 0xFE;

/// Where in the examined bytes a decoded run is from.
struct Run {
    /// Its text.
    text: Range<usize>,
    /// Its symbols, and how many of them were left out at the beginning.
    count: usize,
    alignment: usize,
    /// Where a symbol of it was found last.
    cursor: Cursor,
}

/// Runs of one encoding.
pub(super) struct Runs {
    encoding: Encoding,
    bytes: Vec<u8>,
    runs: Vec<Run>,
    borders: Vec<usize>,
}

impl Runs {
    pub(super) const fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), runs: Vec::new(), borders: Vec::new() }
    }

    /// Adds what the symbols of a run stand for, for each place at which they may begin.
    pub(super) fn add(
        &mut self,
        search: &mut Search<'_>,
        symbols: &[u8],
        text: Range<usize>,
        bytes: &[u8],
        frame: &Frame<'_>,
    ) {
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
            if self.bytes.len() >= TOGETHER {
                self.examine(search, bytes, frame);
            }
        }
    }

    /// Examines what has been added; then there is nothing.
    pub(super) fn examine(&mut self, search: &mut Search<'_>, bytes: &[u8], frame: &Frame<'_>) {
        if self.runs.is_empty() {
            return;
        }
        let place = |at: usize| {
            let (number, from) = run_at(&self.borders, at);
            let Some(Run { text, count, alignment, cursor }) = self.runs.get(number) else { return (frame.place)(0) };
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
            (frame.place)(text.start.saturating_add(position))
        };
        search.meet_decoded(&self.bytes, &self.borders, self.encoding, frame, &place);
        self.bytes.clear();
        self.runs.clear();
        self.borders.clear();
    }
}

/// The number of the run that holds a byte, and where it begins.
pub(super) fn run_at(borders: &[usize], at: usize) -> (usize, usize) {
    let number = borders.partition_point(|&border| border < at);
    let before = number.checked_sub(1).and_then(|before| borders.get(before));
    (number, before.map_or(0, |border| border.saturating_add(1)))
}

/// The parts of a match between borders that are matches by themselves: what lies across a border is in no evidence.
pub(super) fn within_borders(found: Match, borders: &[usize], bytes: &[u8], mut add: impl FnMut(Match)) {
    let end = found.at.saturating_add(found.range.len());
    let first = borders.partition_point(|&border| border < found.at);
    if borders.get(first).is_none_or(|&border| border >= end) {
        return add(found);
    }
    let mut from = found.at;
    for &border in borders.get(first..).unwrap_or_default().iter().chain([&end]) {
        let to = border.min(end);
        let part = bytes.get(from..to).unwrap_or_default();
        if part.windows(FRAGMENT).any(is_strong) {
            let skipped = from.saturating_sub(found.at);
            let start = match found.reversed {
                false => found.range.start.saturating_add(skipped),
                true => found.range.end.saturating_sub(skipped).saturating_sub(part.len()),
            };
            add(Match { range: start..start.saturating_add(part.len()), at: from, ..found.clone() });
        }
        if border >= end {
            break;
        }
        from = border.saturating_add(1);
    }
}
