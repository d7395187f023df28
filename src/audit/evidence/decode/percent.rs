// SPDX-License-Identifier: MIT OR Apache-2.0
//! Percent-encoding (RFC 3986, 2.1), in which letters, digits and some marks may stand for themselves.

use super::super::text::{PERCENT, class};
use super::hex;
use std::vec::Vec;

/// Bytes that are a fragment.
pub const MIN_BYTES: usize = 16;

fn symbol(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b'%', high, low, ..] if hex::value(high) < 16 && hex::value(low) < 16 => {
            Some((hex::value(high) << 4 | hex::value(low), 3))
        }
        [b'%', ..] => None,
        [byte, ..] if class(byte) & PERCENT != 0 => Some((byte, 1)),
        _ => None,
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
