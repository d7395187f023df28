// SPDX-License-Identifier: MIT OR Apache-2.0
//! ASCII in UTF-16: every other byte is zero.

use super::super::encoding::Encoding;
use super::super::text::{TEXT, class};
use core::ops::Range;

/// Characters that hold 16 bytes, if they stand for themselves.
const MIN_CHARACTERS: usize = 16;

/// A run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its bytes.
    pub range: Range<usize>,
    /// Which byte comes first. Where zeros surround a run, or text does, both readings fit: then it is the low one if the
    /// run begins at an even byte.
    pub encoding: Encoding,
}

/// The run around the word at `seed`, no further back than `floor`.
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
    let behind = bytes.get(last.saturating_add(1)) == Some(&0);
    let is_big = if before == behind { first % 2 == 1 } else { before };
    Some(if is_big {
        // Without a zero before it, the first character is of what precedes the run.
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
