// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that were taken for Latin-1 and written as UTF-8: those from 0x80 on as two (RFC 3629, 3).

use super::symbols;

const TOP_BITS: u64 = 0x8080_8080_8080_8080;

/// Bytes that are a fragment.
pub const MIN_BYTES: usize = 16;

/// The byte of the pair that `text` begins with.
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

/// Whether a run that holds the pair at `first` may be a fragment: that has fifteen bytes more, eight of them on one side. In
/// random bytes one pair in thirty has.
pub fn may_be_fragment(bytes: &[u8], first: usize) -> bool {
    let word = |from: Option<usize>| Some(u64::from_le_bytes(*bytes.get(from?..)?.first_chunk()?));
    let (before, behind) = (word(first.checked_sub(8)), word(first.checked_add(2)));
    // Each byte that may be the first of a pair, in its top bit, and each that may be the second.
    let halves = |word: u64| (word & word << 1 & TOP_BITS, word & !(word << 1) & TOP_BITS);
    let ends_whole = |(firsts, seconds): (u64, u64)| firsts == seconds >> 8;
    let begins_whole = |(firsts, seconds): (u64, u64)| firsts << 8 == seconds;
    before.is_none_or(|word| ends_whole(halves(word))) | behind.is_none_or(|word| begins_whole(halves(word)))
}
