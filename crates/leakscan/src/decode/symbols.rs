// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text in which one symbol of one or more characters encodes each byte: escapes, percent-encoding, Latin-1 in UTF-8.

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

/// The indices in a run of the symbols of its bytes.
#[derive(Debug)]
pub struct Places<'a> {
    symbol: Symbol,
    run: &'a [u8],
    cursor: Cursor,
}

impl<'a> Places<'a> {
    /// The places of a run of these symbols.
    pub fn new(symbol: Symbol, run: &'a [u8]) -> Self {
        Self { symbol, run, cursor: Cursor::default() }
    }

    /// The index of the symbol of the byte at `index`; the end of the run for an index after the last byte.
    pub fn of(&self, index: usize) -> usize {
        self.cursor.of(index, |(known, mut at), index| {
            for _ in known..index {
                let Some((_, len)) = (self.symbol)(self.run.get(at..).unwrap_or_default()) else { break };
                at = at.saturating_add(len);
            }
            at
        })
    }
}
