// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that were taken for Latin-1 and written as UTF-8: those from 0x80 on as two (RFC 3629, 3).

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
