// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of 16 bits each, whatever they are: what was taken for Latin-1 and written as UTF-16, an array of small numbers.
//! Runs of text are [`utf16`](super::utf16)'s.

use super::super::encoding::Encoding;
use super::super::text::{TEXT, class};
use core::ops::Range;

/// Characters that are a fragment.
const MIN_CHARACTERS: usize = 16;
/// Zeros in a row that a run may hold as characters: of sixteen random bytes hardly two in a row are.
const MAX_ZEROS: usize = 3;
const EVEN_BYTES: u64 = 0x00FF_00FF_00FF_00FF;

/// Whether a word of eight bytes may lie within a run, and whether its first byte is then a character.
pub fn seed(word: u64) -> Option<bool> {
    let (even, odd) = (word & EVEN_BYTES, word & !EVEN_BYTES);
    match (even, odd) {
        (0, 0) => None,
        (characters, 0) => Some((characters, true)),
        (0, characters) => Some((characters, false)),
        _ => None,
    }
    // One character of four may be an integer of 64 bits.
    .filter(|(characters, _)| !characters.is_power_of_two() && more_than_one(*characters))
    .map(|(_, is_first)| is_first)
}

/// Whether more than one byte of a word is not zero.
fn more_than_one(word: u64) -> bool {
    word >> (word.trailing_zeros() & !7) > 0xFF
}

/// The run of characters two bytes apart, with a zero between them, around the one at `character`, no further back than
/// `floor`: its bytes from the first character to the last, and which byte of each comes first, as far as the neighbours
/// tell: none if the run is short, or text alone. The range tells how far not to look again, of those as well.
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

    /// From any character of a run the whole of it is told, also of one that is not decoded: otherwise a megabyte of text
    /// would be walked through once for each of its words.
    #[test]
    fn a_run_is_told_to_its_end_whether_it_is_decoded_or_not() {
        for (bytes, encoding) in [
            (wide(core::iter::repeat_n(b'a', 5_000)), None),
            (wide([b'a'; 7]), None),
            // Control: bytes that are no text are decoded.
            (wide((0..5_000u16).map(|number| 0x80 | number as u8)), Some(Encoding::Utf16Le)),
        ] {
            for character in [0, 4, bytes.len() - 2] {
                assert_eq!(run(&bytes, character, 0), (0..bytes.len() - 1, encoding), "{character}");
            }
        }
    }
}
