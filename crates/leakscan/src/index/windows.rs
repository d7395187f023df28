// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows of six bytes: values and evidence are compared where they have one in common.

/// Bytes of a window. With fewer, a search would look up fewer windows ([`SPAN`]). But with six, every fragment that
/// has [`DISTINCT`] values has a window with three: without one, a window that ends in the first byte of a third value
/// has five equal bytes before it, so that new values after the second begin at least five bytes apart, and the fifth
/// in the seventeenth byte. With five, they may begin four bytes apart: `abbbbccccddddeee` has no such window. A
/// million secrets have 2.7e7 windows, of 2.8e14 possible ones.
pub(super) const WINDOW: usize = 6;
/// Windows in a fragment of sixteen bytes: a search looks up one window in this many.
pub(super) const SPAN: usize = 11;
/// The number of distinct byte values that a fragment needs. Zero padding, bit patterns and the like are in every
/// server's memory and in many values: finding them shows nothing.
pub(super) const DISTINCT: u32 = 5;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
/// The lower half of a word.
pub(super) const HALF: u64 = 0xFFFF_FFFF;
/// The bytes of a word that a window occupies.
const BYTES: u64 = (1 << (8 * WINDOW)) - 1;

/// The window at `at`.
#[inline(always)]
pub(super) fn window(bytes: &[u8], at: usize) -> Option<u64> {
    let &[a, b, c, d, e, f] = bytes.get(at..)?.first_chunk::<WINDOW>()?;
    Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
}

/// The first window of eight bytes.
#[inline(always)]
pub(super) const fn first_window(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes) & BYTES
}

/// A window with its bytes in reverse order.
#[inline(always)]
pub(super) const fn reversed(window: u64) -> u64 {
    window.swap_bytes() >> 16
}

/// The same value for a window and its reverse.
#[inline(always)]
pub(super) const fn canonical(window: u64) -> u64 {
    let reversed = reversed(window);
    if window < reversed { window } else { reversed }
}

/// The same value for a window and its reverse, and for few others, of 2^64: the product of the first four bytes and of
/// the last four in reverse order. Its factors have 32 bits, since vector units multiply several of those at once.
#[inline(always)]
pub(super) const fn hash(window: u64) -> u64 {
    const KEY: u64 = 0xA076_1D65;
    let (first, last) = ((window ^ KEY) & HALF, (reversed(window) ^ KEY) & HALF);
    first.wrapping_mul(last)
}

/// Whether no byte of a window has its top bit set, as in text.
#[inline(always)]
pub(super) const fn is_ascii(window: u64) -> bool {
    window & !LOW == 0
}

/// Whether all bytes of a window are the same.
pub(super) const fn is_uniform(window: u64) -> bool {
    window == (window & 0xFF).wrapping_mul(ONES) & BYTES
}

/// Whether a window has one or two distinct values.
pub(super) const fn is_repetitive(window: u64) -> bool {
    // The two bytes after the window are set to its first byte.
    let window = window | (window & 0xFF).wrapping_mul(ONES) & !BYTES;
    let from_first = window ^ (window & 0xFF).wrapping_mul(ONES);
    if from_first == 0 {
        return true;
    }
    let second = from_first >> (from_first.trailing_zeros() & !7) & 0xFF;
    let from_second = from_first ^ second.wrapping_mul(ONES);
    zero_bytes(from_first) | zero_bytes(from_second) == !LOW
}

/// The top bit of each byte that is zero.
const fn zero_bytes(word: u64) -> u64 {
    !((word & LOW).wrapping_add(LOW) | word) & !LOW
}

/// Whether the first sixteen bytes are distinctive enough to be searched for: whether there are sixteen, and they have
/// at least five distinct values. Zero padding and other patterns are in every server's memory, so that finding them
/// shows nothing.
pub fn is_distinctive(bytes: &[u8]) -> bool {
    let Some(bytes) = bytes.first_chunk::<16>() else { return false };
    let mut seen = [0u64; 4];
    for &byte in bytes {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    seen.iter().map(|word| word.count_ones()).sum::<u32>() >= DISTINCT
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_window_is_repetitive_with_one_or_two_values() {
        let mut state = 1u64;
        for round in 0..200_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let alphabet = round % 5 + 1;
            let bytes: [u8; WINDOW] =
                core::array::from_fn(|i| ((state >> (8 * i)) as u8 % alphabet as u8).wrapping_mul(0x80));
            let bytes = if round % 2 == 0 { bytes } else { bytes.map(|byte| byte.wrapping_sub(3)) };
            let window = window(&bytes, 0).unwrap_or_default();
            let distinct = bytes.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(is_repetitive(window), distinct <= 2, "{bytes:x?}");
            assert_eq!(is_uniform(window), distinct == 1);
            assert_eq!(is_repetitive(window), is_repetitive(reversed(window)));
            assert_eq!(canonical(window), canonical(reversed(window)));
            assert_eq!(hash(window), hash(reversed(window)));
            assert_eq!(is_ascii(window), bytes.is_ascii());
        }
        assert!(
            is_distinctive(b"0000000000001234") && !is_distinctive(b"0000000000000123") && !is_distinctive(b"01234567")
        );
    }
}
