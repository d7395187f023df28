// SPDX-License-Identifier: MIT OR Apache-2.0
//! Percent-encoding (RFC 3986, 2.1), in which letters, digits and some marks may be as they are.

use super::super::byte_class::{PERCENT, class};
use super::hex;

/// The length of a fragment in bytes.
pub const MIN_BYTES: usize = 16;

/// See [`super::symbols::Symbol`].
pub fn symbol(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b'%', high, low, ..] if hex::value(high) < 16 && hex::value(low) < 16 => {
            Some((hex::value(high) << 4 | hex::value(low), 3))
        }
        [b'%', ..] => None,
        [byte, ..] if class(byte) & PERCENT != 0 => Some((byte, 1)),
        _ => None,
    }
}
