// SPDX-License-Identifier: MIT OR Apache-2.0
//! ASCII in UTF-16: every other byte is zero.

use super::super::byte_class::{TEXT, class};
use super::super::encoding::Encoding;
use core::ops::Range;

/// The fewest characters that encode a fragment: one for each of 16 bytes.
const MIN_CHARACTERS: usize = 16;

/// A run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The indices of its bytes.
    pub range: Range<usize>,
    /// The byte order. If there are zeros on both sides of a run, or on neither, both orders fit: then the low byte is
    /// first if the run begins at an even index.
    pub encoding: Encoding,
}

/// The run around the word at `seed`, not before `floor`.
pub fn run(bytes: &[u8], seed: usize, floor: usize) -> Option<Run> {
    let is_character = |at: usize| {
        let is_text = bytes.get(at).is_some_and(|&byte| class(byte) & TEXT != 0);
        is_text
            && (bytes.get(at.saturating_add(1)) == Some(&0) || at > 0 && bytes.get(at.saturating_sub(1)) == Some(&0))
    };
    let mut first = [seed, seed.saturating_add(1)].into_iter().find(|&at| is_character(at))?;
    let mut last = first;
    // Characters are two bytes apart, with a zero between them.
    let follows = |one: usize| {
        let (zero, next) = (one.saturating_add(1), one.saturating_add(2));
        bytes.get(zero) == Some(&0) && is_character(next)
    };
    while first >= floor.saturating_add(2) && is_character(first.saturating_sub(2)) && follows(first.saturating_sub(2))
    {
        first = first.saturating_sub(2);
    }
    while follows(last) {
        last = last.saturating_add(2);
    }
    let characters = (last.saturating_sub(first) / 2).saturating_add(1);
    if characters < MIN_CHARACTERS {
        return None;
    }
    let before = first > 0 && bytes.get(first.saturating_sub(1)) == Some(&0);
    let after = bytes.get(last.saturating_add(1)) == Some(&0);
    let is_big = if before == after { first % 2 == 1 } else { before };
    Some(if is_big {
        // Without a zero before it, the first character belongs to the bytes before the run.
        let start = if before { first.saturating_sub(1) } else { first.saturating_add(1) };
        Run { range: start..last.saturating_add(1), encoding: Encoding::Utf16Be }
    } else {
        Run { range: first..last.saturating_add(2).min(bytes.len()), encoding: Encoding::Utf16Le }
    })
}

/// Replaces `out` by the characters of a run.
pub fn decode(run: &[u8], encoding: Encoding, out: &mut Vec<u8>) {
    let skip = usize::from(encoding == Encoding::Utf16Be);
    out.clear();
    out.extend(run.iter().skip(skip).step_by(2));
}
