// SPDX-License-Identifier: MIT OR Apache-2.0
//! The classes of bytes by which text is recognised: one table, which the prefilter and the decoders share.

/// Printable ASCII, tabs and line breaks.
pub(crate) const TEXT: u8 = 1;
/// The symbols of both Base64 alphabets, line breaks, and the backslash that escapes a line break or a slash.
pub(crate) const BASE64: u8 = 2;
/// Digits of hexadecimal and decimal numbers, and their separators.
pub(crate) const NUMBERS: u8 = 4;
/// The characters of percent-encoded text.
pub(crate) const PERCENT: u8 = 8;

/// The classes of each byte.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let mut class = 0;
        if matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r') {
            class |= TEXT;
        }
        if matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' | b'\r' | b'\n' | b'\\') {
            class |= BASE64;
        }
        if matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'x' | b'X' | b'\\' | b' ' | b':' | b'-' | b',') {
            class |= NUMBERS;
        }
        if matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'*' | b'\'' | b'(' | b')')
        {
            class |= PERCENT;
        }
        if matches!(byte, b'\t' | b'\n' | b'\r') {
            class |= NUMBERS;
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            classes[byte as usize] = class;
        }
        byte = byte.wrapping_add(1);
    }
    classes
}

#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "the table has an entry for each byte")]
pub(crate) const fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

/// The start of the run of bytes of one class that ends before `seed`, not before `floor`.
pub(crate) fn run_start(bytes: &[u8], seed: usize, floor: usize, of: u8) -> usize {
    let before = bytes.get(floor..seed).unwrap_or_default();
    seed.saturating_sub(before.iter().rev().take_while(|&&byte| class(byte) & of != 0).count())
}
