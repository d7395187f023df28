// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that were read as Latin-1 and written as UTF-8, each byte from 0x80 on as two (RFC 3629, 3).

use super::symbols;

const TOP_BITS: u64 = 0x8080_8080_8080_8080;

/// The length of a fragment in bytes.
pub const MIN_BYTES: usize = 16;

/// The byte that the pair at the beginning of `text` encodes.
pub fn pair(text: &[u8]) -> Option<u8> {
    match *text {
        [first @ (0xC2 | 0xC3), second @ 0x80..=0xBF, ..] => Some(first << 6 | second & 0x3F),
        _ => None,
    }
}

/// See [`super::symbols::Symbol`].
pub fn symbol(text: &[u8]) -> Option<(u8, usize)> {
    match pair(text) {
        Some(byte) => Some((byte, 2)),
        None => text.first().filter(|byte| byte.is_ascii()).map(|byte| (*byte, 1)),
    }
}

/// Appends the bytes of the run that `text` begins with.
pub fn decode(text: &[u8], out: &mut Vec<u8>) {
    symbols::decode(symbol, text, out);
}

/// Whether a run that contains the pair at `first` may be a fragment: a fragment has fifteen more bytes, at least eight
/// of them on one side. In random bytes one pair in thirty passes.
pub fn may_be_fragment(bytes: &[u8], first: usize) -> bool {
    let word = |from: Option<usize>| Some(u64::from_le_bytes(*bytes.get(from?..)?.first_chunk()?));
    let (before, after) = (word(first.checked_sub(8)), word(first.checked_add(2)));
    // The bytes that may be the first of a pair, marked in their top bits, and those that may be the second.
    let halves = |word: u64| (word & word << 1 & TOP_BITS, word & !(word << 1) & TOP_BITS);
    let ends_whole = |(firsts, seconds): (u64, u64)| firsts == seconds >> 8;
    let begins_whole = |(firsts, seconds): (u64, u64)| firsts << 8 == seconds;
    before.is_none_or(|word| ends_whole(halves(word))) | after.is_none_or(|word| begins_whole(halves(word)))
}
