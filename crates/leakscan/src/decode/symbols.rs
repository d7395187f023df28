// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text in which one symbol of one or more characters encodes each byte: escapes, percent-encoding, Latin-1 in UTF-8.

use super::characters::TextSymbol;
use core::cell::Cell;

/// The byte that the symbol at the beginning of some text encodes, and the symbol's length; `None` at the end of a run.
pub type Symbol = fn(&[u8]) -> Option<(u8, usize)>;

/// Appends the bytes of the run that `text` begins with. Returns the length of the run.
pub fn decode(symbol: Symbol, text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    while let Some((byte, len)) = symbol(text.get(at..).unwrap_or_default()) {
        out.push(byte);
        at = at.saturating_add(len);
    }
    at
}

/// Bytes that are compared together: two vectors.
const LANE: usize = 32;

/// The index of the first byte from `from` on that forms such a pair with the byte after it. By comparisons, for the
/// vector units.
#[inline(always)]
pub(super) fn next_pair(bytes: &[u8], from: usize, is_such: impl Fn(u8, u8) -> bool) -> Option<usize> {
    let (firsts, seconds) = (bytes.get(from..)?, bytes.get(from.saturating_add(1)..)?);
    let is_such = |(&first, &second): (&u8, &u8)| is_such(first, second);
    let (lanes, next_lanes) = (firsts.as_chunks::<LANE>().0, seconds.as_chunks::<LANE>().0);
    let any = |(firsts, seconds): (&[u8; LANE], &[u8; LANE])| {
        firsts.iter().zip(seconds).fold(0, |any, pair| any | u8::from(is_such(pair))) != 0
    };
    // If no whole lane has one, it may be in the rest.
    let whole = lanes.len().min(next_lanes.len());
    let skipped = lanes.iter().zip(next_lanes).position(any).unwrap_or(whole).saturating_mul(LANE);
    let at = firsts.get(skipped..)?.iter().zip(seconds.get(skipped..)?).position(is_such)?;
    Some(from.saturating_add(skipped).saturating_add(at))
}

/// The last number that was located in a text, and its index. Look-ups in ascending order walk through the text once,
/// and not from its beginning for each.
#[derive(Debug, Default)]
pub struct Cursor(Cell<(usize, usize)>);

impl Cursor {
    /// The index in the text of number `index`. `walk` finds it from an earlier number and its index, or from 0 and 0.
    pub fn of(&self, index: usize, walk: impl FnOnce((usize, usize), usize) -> usize) -> usize {
        let last = self.0.get();
        let at = walk(if last.0 <= index { last } else { (0, 0) }, index);
        self.0.set((index, at));
        at
    }
}

/// Symbols of one byte each, or of a character each.
#[derive(Clone, Copy, Debug)]
pub enum AnySymbol {
    /// Of one byte each.
    Byte(Symbol),
    /// Of one byte or one character each.
    Text(TextSymbol),
}

impl AnySymbol {
    /// The number of bytes that the symbol at the beginning of a text encodes, and its own length.
    fn lens(self, text: &[u8]) -> Option<(usize, usize)> {
        match self {
            Self::Byte(symbol) => symbol(text).map(|(_, len)| (1, len)),
            Self::Text(symbol) => symbol(text).map(|(utf8, len)| (utf8.bytes().len(), len)),
        }
    }
}

/// The indices in a run of the symbols of its bytes.
#[derive(Debug)]
pub struct Places<'a> {
    symbol: AnySymbol,
    run: &'a [u8],
    /// Of the last symbol that was located: the index of its first byte, and its own.
    last: Cell<(usize, usize)>,
}

impl<'a> Places<'a> {
    /// The places of a run of symbols of one byte each.
    pub fn new(symbol: Symbol, run: &'a [u8]) -> Self {
        Self::any(AnySymbol::Byte(symbol), run)
    }

    /// The places of a run of these symbols.
    pub const fn any(symbol: AnySymbol, run: &'a [u8]) -> Self {
        Self { symbol, run, last: Cell::new((0, 0)) }
    }

    /// The index of the symbol of the byte at `index`; the end of the run for an index after the last byte. Look-ups in
    /// ascending order walk through the run once.
    pub fn of(&self, index: usize) -> usize {
        let last = self.last.get();
        let (mut first, mut at) = if last.0 <= index { last } else { (0, 0) };
        while let Some((bytes, len)) = self.symbol.lens(self.run.get(at..).unwrap_or_default()) {
            let next = first.saturating_add(bytes);
            if next > index {
                break;
            }
            (first, at) = (next, at.saturating_add(len));
        }
        self.last.set((first, at));
        at
    }
}
