// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text in which each byte is one symbol of some characters: escapes, percent-encoding, Latin-1 in UTF-8.

use core::cell::Cell;
use std::vec::Vec;

/// The byte of the symbol that some text begins with, and its length; `None` where a run ends.
pub type Symbol = fn(&[u8]) -> Option<(u8, usize)>;

/// Appends the bytes of the run that `text` begins with; its length.
pub fn decode(symbol: Symbol, text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    while let Some((byte, len)) = symbol(text.get(at..).unwrap_or_default()) {
        out.push(byte);
        at = at.saturating_add(len);
    }
    at
}

/// Where in a run its bytes are. Asked in ascending order it walks through the run once.
#[derive(Debug)]
pub struct Places<'a> {
    symbol: Symbol,
    run: &'a [u8],
    /// The byte that was asked for last, and where it is.
    last: Cell<(usize, usize)>,
}

impl<'a> Places<'a> {
    /// Of a run of these symbols.
    pub const fn new(symbol: Symbol, run: &'a [u8]) -> Self {
        Self { symbol, run, last: Cell::new((0, 0)) }
    }

    /// Where the byte at this index is; the run's end behind the last.
    pub fn of(&self, index: usize) -> usize {
        let (known, at) = self.last.get();
        let (known, mut at) = if known <= index { (known, at) } else { (0, 0) };
        for _ in known..index {
            let Some((_, len)) = (self.symbol)(self.run.get(at..).unwrap_or_default()) else { return at };
            at = at.saturating_add(len);
        }
        self.last.set((index, at));
        at
    }
}
