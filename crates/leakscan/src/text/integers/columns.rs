// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numerals that are at one place of each line, counted from its end: in a log, a date, a time and other numbers may
//! be before them.

use super::words::Token;

/// Places from the end of a line.
const PLACES: usize = 4;
/// Digits of numerals of bytes and of 16, 32 and 64 bits, and the number of lines with those of a fragment.
const ROWS: [(core::ops::RangeInclusive<u8>, usize); 3] = [(1..=5, 8), (6..=10, 4), (11..=20, 2)];

/// The last numerals of some lines.
#[derive(Default)]
pub(super) struct Columns {
    columns: [Vec<Token>; PLACES],
}

impl Columns {
    /// The columns of a sequence of tokens that may hold a fragment.
    pub(super) fn of(&mut self, tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
        self.columns.iter_mut().for_each(Vec::clear);
        let (mut line, mut lines) = (tokens, 0usize);
        while !line.is_empty() {
            let len = line.iter().skip(1).take_while(|token| !token.is_first).count().saturating_add(1);
            let (this, rest) = line.split_at_checked(len).unwrap_or((line, &[]));
            let mut ends = this.iter().rev();
            for column in &mut self.columns {
                column.push(ends.next().copied().unwrap_or_default());
            }
            (line, lines) = (rest, lines.saturating_add(1));
        }
        // Of lines with one numeral each, these are a list.
        let has_prefix = tokens.len() >= lines.saturating_mul(2);
        self.columns.iter().map(Vec::as_slice).filter(move |column| has_prefix && may_be_value(column))
    }
}

/// Whether a column has enough numerals of one width in a row.
fn may_be_value(column: &[Token]) -> bool {
    let mut rows = [0usize; ROWS.len()];
    column.iter().any(|token| {
        let is_numeral = token.digits > 0 || token.is_hex();
        let mut is_enough = false;
        for (row, (lens, enough)) in rows.iter_mut().zip(&ROWS) {
            *row = if is_numeral && lens.contains(&token.len) { row.saturating_add(1) } else { 0 };
            is_enough |= *row >= *enough;
        }
        is_enough
    })
}
