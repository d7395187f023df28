// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base64 in both alphabets at once, broken by lines or not: as plain text, within JSON strings, indented.

use std::vec::Vec;

/// Symbols that hold 16 bytes.
pub const MIN_SYMBOLS: usize = 22;
/// Where groups of four may begin.
pub const ALIGNMENTS: usize = 4;

/// Symbols that are read together: a vector.
const CHUNK: usize = 16;
/// By comparisons, not from a table, so that the vector units do many at once.
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
    // What is in no range becomes 255.
    (letters | others).wrapping_sub(1)
}

/// Appends the symbols, as numbers below 64, of the run that `text` begins with; its length.
pub fn symbols(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let start = out.len();
        for chunk in rest.as_chunks::<CHUNK>().0 {
            let mut values = [0; CHUNK];
            values.iter_mut().zip(chunk).for_each(|(value, &byte)| *value = self::value(byte));
            if values.iter().fold(0, |all, value| all | value) >= 64 {
                break;
            }
            out.extend_from_slice(&values);
        }
        at = at.saturating_add(out.len().saturating_sub(start));
        let rest = text.get(at..).unwrap_or_default();
        let start = out.len();
        out.extend(rest.iter().map(|&byte| value(byte)).take_while(|&value| value < 64));
        at = at.saturating_add(out.len().saturating_sub(start));
        match separator(text.get(at..).unwrap_or_default()) {
            0 => return at,
            len => at = at.saturating_add(len),
        }
    }
}

/// A line break with an indentation behind it; the same as escaped in JSON strings, where a slash may be escaped too.
fn separator(text: &[u8]) -> usize {
    match text {
        [b'\n' | b'\r', rest @ ..] => {
            rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t')).count().saturating_add(1)
        }
        [b'\\', b'n' | b'r', ..] => 2,
        [b'\\', b'/', ..] => 1,
        _ => 0,
    }
}

/// Where in a run of `count` symbols the one with this number is, from where an earlier one is.
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

/// Whether all symbols are hexadecimal digits of one case. Sixteen random bytes are so with a chance of 2^-40: such text is
/// left to [`hex`](super::hex), since decoding it four times over would take most of the time.
pub fn is_hex(symbols: &[u8]) -> bool {
    let all = |case: u8| {
        // Without a branch within a chunk, for the vector units.
        let is_other = |&symbol: &u8| (symbol.wrapping_sub(52) >= 10) & (symbol.wrapping_sub(case) >= 6);
        symbols.chunks(64).all(|chunk| chunk.iter().fold(0, |others, symbol| others | u8::from(is_other(symbol))) == 0)
    };
    all(0) || all(26)
}

/// The symbol in which a decoded byte begins.
pub const fn symbol_of(byte: usize) -> usize {
    byte.saturating_mul(4) / 3
}

/// Replaces `out` by the bits of the symbols, one behind the other; zeros fill the last byte.
pub fn pack(symbols: &[u8], out: &mut Vec<u8>) {
    let (chunks, rest) = symbols.as_chunks::<8>();
    // A chunk becomes six bytes; the two zeros behind them are overwritten by the next.
    out.resize(chunks.len().saturating_mul(6).saturating_add(8), 0);
    let mut at = 0usize;
    for chunk in chunks.iter().copied().chain([padded(rest)]) {
        let symbols = u64::from_be_bytes(chunk);
        let pairs = symbols & 0x003F_003F_003F_003F | (symbols & 0x3F00_3F00_3F00_3F00) >> 2;
        let groups = pairs & 0x0000_0FFF_0000_0FFF | (pairs & 0x0FFF_0000_0FFF_0000) >> 4;
        let bits = (groups & 0x00FF_FFFF) << 16 | (groups >> 32) << 40;
        if let Some(place) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = bits.to_be_bytes();
        }
        at = at.wrapping_add(6);
    }
}

fn padded(rest: &[u8]) -> [u8; 8] {
    let mut chunk = [0; 8];
    chunk.iter_mut().zip(rest).for_each(|(place, symbol)| *place = *symbol);
    chunk
}

/// Appends what the symbols from the one at `alignment` on stand for, of `count` that were [packed](pack); two or three at
/// the end by one or two bytes.
pub fn decode(packed: &[u8], count: usize, alignment: usize, out: &mut Vec<u8>) {
    // Six bits are dropped for each symbol before the first.
    let shift = (alignment.wrapping_mul(6) % 8) as u32;
    let len = count.saturating_sub(alignment).saturating_mul(3) / 4;
    shifted(packed.get(alignment.saturating_mul(6) / 8..).unwrap_or_default(), shift, len, out);
}

/// Appends `len` bytes that begin `shift` bits behind the first of `packed`.
pub(super) fn shifted(packed: &[u8], shift: u32, len: usize, out: &mut Vec<u8>) {
    // Two slices, for the vector units.
    let (ones, nexts) = (packed.get(..len).unwrap_or(packed), packed.get(1..).unwrap_or_default());
    let pairs = ones.iter().zip(nexts);
    match shift {
        0 => out.extend_from_slice(ones),
        2 => out.extend(pairs.map(|(one, next)| one << 2 | next >> 6)),
        4 => out.extend(pairs.map(|(one, next)| one << 4 | next >> 4)),
        _ => out.extend(pairs.map(|(one, next)| one << 6 | next >> 2)),
    }
}
