// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of 16 bits each, with any value: bytes that were read as Latin-1 and written as UTF-16, an array of small
//! numbers. [`utf16`](super::utf16) decodes runs of text.

use super::super::byte_class::{TEXT, class};
use super::super::encoding::Encoding;
use core::ops::Range;

/// The length of a fragment in characters.
const MIN_CHARACTERS: usize = 16;
/// Consecutive zeros that a run may contain as characters: among sixteen random bytes, two in a row are rare.
const MAX_ZEROS: usize = 3;
const EVEN_BYTES: u64 = 0x00FF_00FF_00FF_00FF;

/// For a word of eight bytes that may lie within a run, whether its first byte is a character.
pub fn seed(word: u64) -> Option<bool> {
    let (even, odd) = (word & EVEN_BYTES, word & !EVEN_BYTES);
    match (even, odd) {
        (0, 0) => None,
        (characters, 0) => Some((characters, true)),
        (0, characters) => Some((characters, false)),
        _ => None,
    }
    // A word with one character of four may be an integer of 64 bits.
    .filter(|(characters, _)| !characters.is_power_of_two() && more_than_one(*characters))
    .map(|(_, is_first)| is_first)
}

/// Whether more than one byte of a word is not zero.
fn more_than_one(word: u64) -> bool {
    word >> (word.trailing_zeros() & !7) > 0xFF
}

/// The run around the character at `character`, not before `floor`: characters two bytes apart, with a zero between
/// them. Returns the range from the first character to the last, which need not be read again, and the byte order, as
/// far as the bytes around show it; `None` for a run that is too short or only text.
pub fn run(bytes: &[u8], character: usize, floor: usize) -> (Range<usize>, Option<Encoding>) {
    let is_zero = |at: usize| bytes.get(at) == Some(&0);
    let (mut first, mut zeros) = (character, 0usize);
    while first >= floor.saturating_add(2) && is_zero(first.saturating_sub(1)) && zeros < MAX_ZEROS {
        first = first.saturating_sub(2);
        zeros = if is_zero(first) { zeros.saturating_add(1) } else { 0 };
    }
    let (mut last, mut zeros) = (character, 0usize);
    while is_zero(last.saturating_add(1)) && last.saturating_add(2) < bytes.len() && zeros < MAX_ZEROS {
        last = last.saturating_add(2);
        zeros = if is_zero(last) { zeros.saturating_add(1) } else { 0 };
    }
    let range = first..last.saturating_add(1);
    let characters = || bytes.get(range.clone()).unwrap_or_default().iter().step_by(2);
    let is_text = || characters().all(|&byte| class(byte) & TEXT != 0);
    if characters().len() < MIN_CHARACTERS || is_text() {
        return (range, None);
    }
    let big = first > 0 && is_zero(first.saturating_sub(1));
    (range, Some(if big { Encoding::Utf16Be } else { Encoding::Utf16Le }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(characters: impl IntoIterator<Item = u8>) -> Vec<u8> {
        characters.into_iter().flat_map(|byte| [byte, 0]).collect()
    }

    /// From any character the whole run is returned, even if it is not decoded: otherwise a megabyte of text would be
    /// read once for each of its words.
    #[test]
    fn the_whole_run_is_returned_even_if_it_is_not_decoded() {
        for (bytes, encoding) in [
            (wide(core::iter::repeat_n(b'a', 5_000)), None),
            (wide([b'a'; 7]), None),
            // Control: bytes other than text are decoded.
            (wide((0..5_000u16).map(|number| 0x80 | number as u8)), Some(Encoding::Utf16Le)),
        ] {
            for character in [0, 4, bytes.len() - 2] {
                assert_eq!(run(&bytes, character, 0), (0..bytes.len() - 1, encoding), "{character}");
            }
        }
    }
}
