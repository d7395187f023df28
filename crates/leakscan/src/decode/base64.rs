// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base64 in both alphabets at once, with or without line breaks: as plain text, within JSON strings, indented.

use super::super::simd::level;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x32, u16x16, u32x8};

/// The fewest symbols that encode 16 bytes.
pub const MIN_SYMBOLS: usize = 22;
/// The number of symbols after which a group of four may begin.
pub const ALIGNMENTS: usize = 4;

/// Symbols that are read together: a vector.
const CHUNK: usize = 32;

/// The value of a symbol; 255 for other bytes. By comparisons, not from a table, so that the vector units convert many
/// at once.
#[inline(always)]
fn value(byte: u8) -> u8 {
    // The values of a range of symbols, and zero for other bytes.
    let range = |first: u8, len: u8, value: u8| {
        let number = byte.wrapping_sub(first);
        let is_within = u8::from(number < len).wrapping_neg();
        is_within & number.wrapping_add(value).wrapping_add(1)
    };
    let letters = range(b'A', 26, 0) | range(b'a', 26, 26);
    let others =
        range(b'0', 10, 52) | range(b'+', 1, 62) | range(b'-', 1, 62) | range(b'/', 1, 63) | range(b'_', 1, 63);
    // A byte in no range becomes 255.
    (letters | others).wrapping_sub(1)
}

/// Appends the symbols of the run that `text` begins with, as numbers below 64. Returns the length of the run.
pub fn symbols(text: &[u8], out: &mut Vec<u8>) -> usize {
    dispatch!(level(), simd => simd.vectorize(#[inline(always)] || read(simd, text, out)))
}

#[inline(always)]
fn read<S: Simd>(simd: S, text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    loop {
        at = at.saturating_add(run(simd, text.get(at..).unwrap_or_default(), out));
        match separator(text.get(at..).unwrap_or_default()) {
            0 => return at,
            len => at = at.saturating_add(len),
        }
    }
}

/// Appends the symbols that `text` begins with, as numbers below 64. Returns how many there are.
#[inline(always)]
fn run<S: Simd>(simd: S, text: &[u8], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let (chunks, rest) = text.as_chunks::<CHUNK>();
    for chunk in chunks {
        let mut values = [0; CHUNK];
        values.iter_mut().zip(chunk).for_each(|(to, &byte)| *to = value(byte));
        let count = u8x32::load_array(simd, values).simd_lt(64).to_bitmask().trailing_ones() as usize;
        out.extend_from_slice(values.get(..count).unwrap_or(&values));
        if count < CHUNK {
            return out.len().saturating_sub(start);
        }
    }
    out.extend(rest.iter().map(|&byte| value(byte)).take_while(|&value| value < 64));
    out.len().saturating_sub(start)
}

/// The length of a line break with the indentation after it, or of what precedes a symbol in a JSON string: an escaped
/// line break, or the backslash before a slash.
pub fn separator(text: &[u8]) -> usize {
    match text {
        [b'\n' | b'\r', rest @ ..] => {
            rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t')).count().saturating_add(1)
        }
        [b'\\', b'n' | b'r', ..] => 2,
        [b'\\', b'/', ..] => 1,
        _ => 0,
    }
}

/// The index in a run of `count` symbols of the one with this number; `known` is an earlier symbol, and `at` its index.
pub fn position(run: &[u8], count: usize, (known, mut at): (usize, usize), symbol: usize) -> usize {
    if count == run.len() {
        return symbol;
    }
    let mut left = symbol.saturating_sub(known);
    while let Some(&byte) = run.get(at) {
        if value(byte) < 64 {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(1);
            at = at.saturating_add(1);
        } else {
            at = at.saturating_add(separator(run.get(at..).unwrap_or_default()).max(1));
        }
    }
    at
}

/// Whether all symbols are hexadecimal digits of one case: such text is left to [`hex`](super::hex), since decoding it
/// four more times would take most of the time. The Base64 of sixteen random bytes is such text with probability 2^-40.
pub fn is_hex(symbols: &[u8]) -> bool {
    let all = |case: u8| {
        // No branch within a chunk, for the vector units.
        let is_other = |&symbol: &u8| (symbol.wrapping_sub(52) >= 10) & (symbol.wrapping_sub(case) >= 6);
        symbols.chunks(64).all(|chunk| chunk.iter().fold(0, |others, symbol| others | u8::from(is_other(symbol))) == 0)
    };
    all(0) || all(26)
}

/// The number of the symbol in which a decoded byte begins.
pub const fn symbol_of(byte: usize) -> usize {
    byte.saturating_mul(4) / 3
}

/// Appends the bytes that the symbols from the one at `alignment` on encode; two or three symbols at the end encode one
/// or two bytes.
pub fn decode(symbols: &[u8], alignment: usize, out: &mut Vec<u8>) {
    let symbols = symbols.get(alignment..).unwrap_or_default();
    dispatch!(level(), simd => simd.vectorize(#[inline(always)] || join(simd, symbols, out)));
}

#[inline(always)]
fn join<S: Simd>(simd: S, symbols: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let end = start.saturating_add(symbols.len().saturating_mul(3) / 4);
    // Each half of a chunk becomes twelve bytes; the four after them are overwritten by the next half.
    out.resize(end.saturating_add(CHUNK), 0);
    let mut places = out.get_mut(start..).unwrap_or_default();
    let (chunks, rest) = symbols.as_chunks::<CHUNK>();
    let mut last = [0; CHUNK];
    last.iter_mut().zip(rest).for_each(|(place, symbol)| *place = *symbol);
    for chunk in chunks.iter().chain([&last]) {
        let bytes = if cfg!(target_endian = "little") { joined(simd, chunk) } else { joined_portably(chunk) };
        for half in bytes.as_chunks::<16>().0 {
            if let Some(place) = places.first_chunk_mut() {
                *place = *half;
            }
            places = places.get_mut(12..).unwrap_or_default();
        }
    }
    out.truncate(end);
}

/// The bytes that sixteen symbols encode, in the first twelve bytes of each half; for little-endian processors.
#[inline(always)]
#[allow(clippy::arithmetic_side_effects, reason = "shifts of vectors by less than their lanes' widths")]
fn joined<S: Simd>(simd: S, chunk: &[u8; CHUNK]) -> [u8; CHUNK] {
    // The lower three bytes of each group of four, the highest first.
    let order = u8x32::from_fn(simd, |at| match at as u8 % 16 {
        place @ 0..12 => (place / 3).wrapping_mul(4).wrapping_add(2).wrapping_sub(place % 3),
        _ => 0,
    });
    let symbols: u16x16<S> = u8x32::load_array_ref(simd, chunk).bitcast();
    let pairs: u32x8<S> = ((symbols & 0x3F) << 6 | symbols >> 8).bitcast();
    let groups: u8x32<S> = ((pairs & 0xFFF) << 12 | pairs >> 16).bitcast();
    groups.swizzle_dyn_within_blocks(order).to_array()
}

/// The same for processors of either byte order.
fn joined_portably(chunk: &[u8; CHUNK]) -> [u8; CHUNK] {
    let mut bytes = [0; CHUNK];
    let (halves, _) = bytes.as_chunks_mut::<16>();
    for (half, symbols) in halves.iter_mut().zip(chunk.as_chunks::<16>().0) {
        for (place, group) in half.as_chunks_mut::<3>().0.iter_mut().zip(symbols.as_chunks::<4>().0) {
            let bits = group.iter().fold(0u32, |bits, &symbol| bits << 6 | u32::from(symbol));
            let [_, joined @ ..] = bits.to_be_bytes();
            *place = joined;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_join_symbols_as_the_portable_code_does() {
        for round in 0..64u8 {
            let chunk = core::array::from_fn(|at| (at as u8).wrapping_mul(round).wrapping_add(round) & 63);
            let (one, other) = (joined_portably(&chunk), dispatch!(level(), simd => joined(simd, &chunk)));
            // Big-endian processors do not use the vectors.
            for half in [0, 16].into_iter().filter(|_| cfg!(target_endian = "little")) {
                assert_eq!(one[half..half + 12], other[half..half + 12], "{chunk:?}");
            }
        }
    }
}
