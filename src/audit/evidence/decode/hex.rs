// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hexadecimal digits in either case, mixed, with separators and prefixes or without.

use super::base64;
use std::vec::Vec;

/// Digits that hold 16 bytes.
pub const MIN_SYMBOLS: usize = 32;
/// Where pairs may begin.
pub const ALIGNMENTS: usize = 2;
/// White space in a row that a run may hold: a line break and a deep indentation.
const MAX_GAP: usize = 64;

const NONE: u8 = 0xFF;
static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let value = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
            b'A'..=b'F' => byte.wrapping_sub(b'A').wrapping_add(10),
            _ => NONE,
        };
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            values[byte as usize] = value;
        }
        byte = byte.wrapping_add(1);
    }
    values
}

#[inline(always)]
pub(super) fn value(byte: u8) -> u8 {
    VALUES.get(usize::from(byte)).copied().unwrap_or(NONE)
}

/// Appends the digits, as numbers below 16, of the run that `text` begins with; its length.
pub fn symbols(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let start = out.len();
        for chunk in rest.chunks_exact(8) {
            let values: [u8; 8] = core::array::from_fn(|i| chunk.get(i).map_or(NONE, |&byte| value(byte)));
            if values.iter().fold(0, |all, value| all | value) >= 16 {
                break;
            }
            out.extend_from_slice(&values);
        }
        at = at.saturating_add(out.len().saturating_sub(start));
        // Up to the next separator; the zero of a prefix is no digit.
        while let Some(&byte) = text.get(at) {
            let value = value(byte);
            let next = text.get(at.saturating_add(1)).copied().unwrap_or_default();
            if value >= 16 || next | 0x20 == b'x' {
                break;
            }
            out.push(value);
            at = at.saturating_add(1);
        }
        if out.last() == Some(&0) && text.get(at).is_some_and(|byte| byte | 0x20 == b'x') {
            // The chunk of eight ended between a prefix's two characters.
            out.pop();
            at = at.saturating_sub(1);
        }
        match separator(text.get(at..).unwrap_or_default()) {
            0 => return at,
            len => at = at.saturating_add(len),
        }
    }
}

/// What may stand between two digits: one of ` :-,`, white space, a prefix.
fn separator(text: &[u8]) -> usize {
    match *text {
        [b'0', b'x' | b'X', digit, ..] | [b'\\', b'x', digit, ..] if value(digit) < 16 => 2,
        [b' ' | b'\n' | b'\r' | b'\t', ref rest @ ..] => {
            let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
            if blank < MAX_GAP { blank.saturating_add(1) } else { 0 }
        }
        [b':' | b'-' | b',', ..] => 1,
        _ => 0,
    }
}

/// Where in a run of `count` digits the one with this number is.
pub fn position(run: &[u8], count: usize, symbol: usize) -> usize {
    if count == run.len() {
        return symbol;
    }
    let (mut at, mut left) = (0usize, symbol);
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

/// Replaces `out` by the bits of the digits, one behind the other; zeros fill the last byte.
pub fn pack(symbols: &[u8], out: &mut Vec<u8>) {
    let (pairs, rest) = symbols.as_chunks::<2>();
    out.clear();
    out.extend(pairs.iter().map(|[high, low]| high << 4 | low));
    out.extend(rest.iter().map(|high| high << 4));
}

/// Appends what the digits from the one at `alignment` on stand for, of `count` that were [packed](pack); an odd one at the
/// end falls away.
pub fn decode(packed: &[u8], count: usize, alignment: usize, out: &mut Vec<u8>) {
    let shift = if alignment == 0 { 0 } else { 4 };
    base64::shifted(packed, shift, count.saturating_sub(alignment) / 2, out);
}
