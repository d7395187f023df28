// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that were taken for Latin-1 and written as UTF-8: those from 0x80 on as two (RFC 3629, 3).

use std::vec::Vec;

/// Bytes that are a fragment.
pub const MIN_BYTES: usize = 16;

/// The byte of the pair that `text` begins with.
pub fn pair(text: &[u8]) -> Option<u8> {
    match *text {
        [first @ (0xC2 | 0xC3), second @ 0x80..=0xBF, ..] => Some(first << 6 | second & 0x3F),
        _ => None,
    }
}

fn symbol(text: &[u8]) -> Option<(u8, usize)> {
    match pair(text) {
        Some(byte) => Some((byte, 2)),
        None => text.first().filter(|byte| byte.is_ascii()).map(|byte| (*byte, 1)),
    }
}

/// Appends the bytes of the run that `text` begins with; its length.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    while let Some((byte, len)) = symbol(text.get(at..).unwrap_or_default()) {
        out.push(byte);
        at = at.saturating_add(len);
    }
    at
}

/// Where in a run the byte at this index is.
pub fn position(run: &[u8], index: usize) -> usize {
    let mut at = 0usize;
    for _ in 0..index {
        let Some((_, len)) = symbol(run.get(at..).unwrap_or_default()) else { break };
        at = at.saturating_add(len);
    }
    at
}
