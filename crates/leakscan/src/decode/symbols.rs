// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text in which one symbol of one or more characters encodes each byte: escapes, percent-encoding, Latin-1 in UTF-8.

use super::characters::TextSymbol;
use core::cell::{Cell, RefCell};

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

/// Numbers between two places that are remembered: as many symbols are walked through at most twice for each look-up.
const STRIDE: usize = 16;

/// Places that were located in a text: numbers, and their indices, in ascending order. Look-ups walk from the nearest one,
/// and not from the beginning of the text.
#[derive(Debug, Default)]
struct Known {
    /// At least [`STRIDE`] numbers apart.
    places: RefCell<Vec<(usize, usize)>>,
    last: Cell<(usize, usize)>,
}

impl Known {
    /// The last known place that is not after `number`.
    fn before(&self, number: usize) -> (usize, usize) {
        let last = self.last.get();
        if last.0 <= number && number.saturating_sub(last.0) < STRIDE {
            return last;
        }
        let known = self.places.borrow();
        let after = known.partition_point(|place| place.0 <= number);
        after.checked_sub(1).and_then(|before| known.get(before)).copied().unwrap_or((0, 0))
    }

    /// Remembers a place: the last one, and others that are far from each other.
    fn add(&self, place: (usize, usize)) {
        self.last.set(place);
        let mut known = self.places.borrow_mut();
        let after = known.partition_point(|other| other.0 <= place.0);
        let before = after.checked_sub(1).and_then(|before| known.get(before)).map_or(0, |before| before.0);
        let next = known.get(after).map_or(usize::MAX, |next| next.0);
        if place.0.saturating_sub(before) >= STRIDE && next.saturating_sub(place.0) >= STRIDE {
            known.insert(after, place);
        }
    }
}

/// The indices of numbered symbols in a text.
#[derive(Debug, Default)]
pub struct Cursor(Known);

impl Cursor {
    /// The index in the text of number `index`. `walk` finds it from an earlier number and its index, or from 0 and 0.
    pub fn of(&self, index: usize, walk: impl FnOnce((usize, usize), usize) -> usize) -> usize {
        let at = walk(self.0.before(index), index);
        self.0.add((index, at));
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
    /// Of symbols: the index of the first byte, and their own.
    known: Known,
}

impl<'a> Places<'a> {
    /// The places of a run of symbols of one byte each.
    pub fn new(symbol: Symbol, run: &'a [u8]) -> Self {
        Self::any(AnySymbol::Byte(symbol), run)
    }

    /// The places of a run of these symbols.
    pub fn any(symbol: AnySymbol, run: &'a [u8]) -> Self {
        Self { symbol, run, known: Known::default() }
    }

    /// The index of the symbol of the byte at `index`; the end of the run for an index after the last byte.
    pub fn of(&self, index: usize) -> usize {
        let (mut first, mut at) = self.known.before(index);
        let mut start = first;
        while let Some((bytes, len)) = self.symbol.lens(self.run.get(at..).unwrap_or_default()) {
            let next = first.saturating_add(bytes);
            if next > index {
                break;
            }
            (first, at) = (next, at.saturating_add(len));
            if first.saturating_sub(start) >= STRIDE {
                self.known.add((first, at));
                start = first;
            }
        }
        self.known.last.set((first, at));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static READ: Cell<usize> = const { Cell::new(0) };
    }

    /// Two characters for each byte, which are counted.
    fn pair(text: &[u8]) -> Option<(u8, usize)> {
        READ.set(READ.get() + 1);
        Some((*text.get(1)?, 2))
    }

    #[test]
    fn places_in_any_order_are_right_and_few_symbols_are_read_for_each() {
        let text = vec![0; 20_000];
        let places = Places::new(pair, &text);
        let bytes = text.len() / 2;
        // Ranges in ascending order, both ends of the text in turn, and strides over it.
        let ascending = (0..bytes).flat_map(|at| [at, at + 16, at + 1]);
        let ends = (0..bytes).map(|at| if at % 2 == 0 { at } else { bytes - at });
        let strides = (0..bytes).map(|at| at * 7919 % bytes);
        let orders: Vec<usize> = ascending.chain(ends).chain(strides).collect();
        READ.set(0);
        for &index in &orders {
            assert_eq!(places.of(index), 2 * index.min(bytes));
        }
        let read = READ.get();
        assert!(read <= orders.len() * (2 * STRIDE + 1) + bytes, "{read} symbols for {} look-ups", orders.len());
        // The same with a cursor, whose caller walks.
        let (cursor, mut walked) = (Cursor::default(), 0);
        for &index in &orders {
            let at = cursor.of(index, |(known, at), index| {
                assert!(known <= index && at == 2 * known);
                walked += index - known;
                2 * index
            });
            assert_eq!(at, 2 * index);
        }
        assert!(walked <= orders.len() * 2 * STRIDE + 2 * bytes, "{walked} symbols for {} look-ups", orders.len());
    }
}
