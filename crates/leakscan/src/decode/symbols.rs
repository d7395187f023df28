// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text in which each byte is one symbol of some characters: escapes, percent-encoding, Latin-1 in UTF-8.

use core::cell::Cell;

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

/// Bytes that are looked at together: two vectors.
const LANE: usize = 32;

/// The first place from `from` on where a byte and the one behind it are such: by comparisons, for the vector units.
#[inline(always)]
pub(super) fn next_pair(bytes: &[u8], from: usize, is_such: impl Fn(u8, u8) -> bool) -> Option<usize> {
    let (firsts, seconds) = (bytes.get(from..)?, bytes.get(from.saturating_add(1)..)?);
    let is_such = |(&first, &second): (&u8, &u8)| is_such(first, second);
    let (lanes, next_lanes) = (firsts.as_chunks::<LANE>().0, seconds.as_chunks::<LANE>().0);
    let any = |(firsts, seconds): (&[u8; LANE], &[u8; LANE])| {
        firsts.iter().zip(seconds).fold(0, |any, pair| any | u8::from(is_such(pair))) != 0
    };
    // Where there is none in a lane, it is in what is no whole lane.
    let whole = lanes.len().min(next_lanes.len());
    let skipped = lanes.iter().zip(next_lanes).position(any).unwrap_or(whole).saturating_mul(LANE);
    let at = firsts.get(skipped..)?.iter().zip(seconds.get(skipped..)?).position(is_such)?;
    Some(from.saturating_add(skipped).saturating_add(at))
}

/// Where in a text something with a number was found last: whoever asks in ascending order walks through the text once, and
/// not from its beginning for each.
#[derive(Debug, Default)]
pub struct Cursor(Cell<(usize, usize)>);

impl Cursor {
    /// Where number `index` is: `walk` goes there from a number and its place, which are 0 and 0 at the beginning.
    pub fn of(&self, index: usize, walk: impl FnOnce((usize, usize), usize) -> usize) -> usize {
        let last = self.0.get();
        let at = walk(if last.0 <= index { last } else { (0, 0) }, index);
        self.0.set((index, at));
        at
    }
}

/// Where in a run its bytes are.
#[derive(Debug)]
pub struct Places<'a> {
    symbol: Symbol,
    run: &'a [u8],
    cursor: Cursor,
}

impl<'a> Places<'a> {
    /// Of a run of these symbols.
    pub fn new(symbol: Symbol, run: &'a [u8]) -> Self {
        Self { symbol, run, cursor: Cursor::default() }
    }

    /// Where the byte at this index is; the run's end behind the last.
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
