// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hexadecimal digits in either case or mixed, with or without separators and prefixes.

use super::super::simd::level;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x32};

/// The number of digits that encode 16 bytes.
pub const MIN_SYMBOLS: usize = 32;
/// The number of digits after which a pair may begin.
pub const ALIGNMENTS: usize = 2;
/// Consecutive white space that a run may contain: a line break and a deep indentation.
const MAX_GAP: usize = 64;

/// Digits that are read together: a vector.
const CHUNK: usize = 32;

/// The value of a digit; 16 or more for other bytes. By comparisons, not from a table, so that the vector units convert
/// many at once.
#[inline(always)]
pub(crate) fn value(byte: u8) -> u8 {
    // One more than the value of a digit in a range, and zero for other bytes.
    let range = |number: u8, len: u8, value: u8| {
        let is_within = u8::from(number < len).wrapping_neg();
        is_within & number.wrapping_add(value).wrapping_add(1)
    };
    let (digit, letter) = (byte.wrapping_sub(b'0'), (byte | 0x20).wrapping_sub(b'a'));
    (range(digit, 10, 0) | range(letter, 6, 10)).wrapping_sub(1)
}

/// Appends the digits of the run that `text` begins with, as numbers below 16. Returns the length of the run.
pub fn symbols(text: &[u8], out: &mut Vec<u8>) -> usize {
    dispatch!(level(), simd => simd.vectorize(#[inline(always)] || read(simd, text, out)))
}

#[inline(always)]
fn read<S: Simd>(simd: S, text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    loop {
        let start = out.len();
        at = at.saturating_add(digits(simd, text.get(at..).unwrap_or_default(), out));
        // The zero of a prefix is not a digit.
        if out.len() > start && at.checked_sub(1).is_some_and(|before| begins_prefix(text, before)) {
            out.pop();
            at = at.saturating_sub(1);
        }
        match separator(text.get(at..).unwrap_or_default()) {
            0 => return at,
            len => at = at.saturating_add(len),
        }
    }
}

/// Appends the digits that `text` begins with, as numbers below 16. Returns how many there are.
#[inline(always)]
fn digits<S: Simd>(simd: S, text: &[u8], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let (chunks, rest) = text.as_chunks::<CHUNK>();
    for chunk in chunks {
        let mut values = [0; CHUNK];
        values.iter_mut().zip(chunk).for_each(|(value, &byte)| *value = self::value(byte));
        let count = u8x32::load_array(simd, values).simd_lt(16).to_bitmask().trailing_ones() as usize;
        out.extend_from_slice(values.get(..count).unwrap_or(&values));
        if count < CHUNK {
            return out.len().saturating_sub(start);
        }
    }
    out.extend(rest.iter().map(|&byte| value(byte)).take_while(|&value| value < 16));
    out.len().saturating_sub(start)
}

/// Whether a zero at an index belongs to a prefix.
fn begins_prefix(text: &[u8], at: usize) -> bool {
    matches!(text.get(at..), Some([b'0', b'x' | b'X', digit, ..]) if value(*digit) < 16)
}

/// Whether some bytes are what may separate two digits.
pub(crate) fn is_separator(mut gap: &[u8]) -> bool {
    while !gap.is_empty() {
        let len = separator(gap);
        if len == 0 {
            return false;
        }
        gap = gap.get(len..).unwrap_or_default();
    }
    true
}

/// The length of what may separate two digits: one of ` :-,`, white space, a prefix.
fn separator(text: &[u8]) -> usize {
    match *text {
        [b'0', b'x' | b'X', digit, ..] | [b'\\', b'x', digit, ..] if value(digit) < 16 => 2,
        [b' ' | b'\n' | b'\r' | b'\t', ref rest @ ..] => {
            // Only as many as matter: in a megabyte of blanks, each would be counted again from every other one.
            let blanks = rest.iter().take(MAX_GAP).take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
            let blank = blanks.count();
            if blank < MAX_GAP { blank.saturating_add(1) } else { 0 }
        }
        [b':' | b'-' | b',', ..] => 1,
        _ => 0,
    }
}

/// The index in a run of `count` digits of the one with this number; `known` is an earlier digit, and `at` its index.
pub fn position(run: &[u8], count: usize, (known, mut at): (usize, usize), symbol: usize) -> usize {
    if count == run.len() {
        return symbol;
    }
    let mut left = symbol.saturating_sub(known);
    while let Some(&byte) = run.get(at) {
        let separator = separator(run.get(at..).unwrap_or_default());
        if separator > 0 {
            at = at.saturating_add(separator);
            continue;
        }
        if value(byte) < 16 {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(1);
        }
        at = at.saturating_add(1);
    }
    at
}

/// Appends the bytes that the digits from the one at `alignment` on encode; an odd digit at the end is ignored.
pub fn decode(symbols: &[u8], alignment: usize, out: &mut Vec<u8>) {
    let symbols = symbols.get(alignment..).unwrap_or_default();
    dispatch!(level(), simd => simd.vectorize(#[inline(always)] || join(symbols, out)));
}

#[inline(always)]
fn join(symbols: &[u8], out: &mut Vec<u8>) {
    let (pairs, _) = symbols.as_chunks::<2>();
    let start = out.len();
    out.resize(start.saturating_add(pairs.len()), 0);
    // As numbers of sixteen bits, for the vector units.
    for (byte, &pair) in out.get_mut(start..).unwrap_or_default().iter_mut().zip(pairs) {
        let pair = u16::from_le_bytes(pair);
        *byte = (pair << 4 | pair >> 8) as u8;
    }
}
