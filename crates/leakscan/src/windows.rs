// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows of six bytes, by which values and evidence meet.

/// Bytes of a window. Fewer would let a search look at fewer windows ([`SPAN`]), but with six, a fragment that has
/// [`DISTINCT`] values has a window with three: where a window ends in the first byte of a third value, the five before it
/// are the same, so that values after the second begin five bytes apart, the fifth in the seventeenth byte. With five, four
/// bytes apart, and `abbbbccccddddeee` holds none. A million secrets have 2.7e7 windows, of 2.8e14.
pub(super) const WINDOW: usize = 6;
/// Windows in a fragment of sixteen bytes: a search looks at one in so many.
pub(super) const SPAN: usize = 11;
/// Distinct values that a fragment needs. Zero padding, bit patterns and the like are in every server's memory and in
/// many values: they say nothing.
pub(super) const DISTINCT: u32 = 5;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
/// The lower half of a word.
pub(super) const HALF: u64 = 0xFFFF_FFFF;
/// The bytes of a word that are a window's.
const BYTES: u64 = (1 << (8 * WINDOW)) - 1;

/// The window at `at`.
#[inline(always)]
pub(super) fn window(bytes: &[u8], at: usize) -> Option<u64> {
    let &[a, b, c, d, e, f] = bytes.get(at..)?.first_chunk::<WINDOW>()?;
    Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
}

/// The window that eight bytes begin with.
#[inline(always)]
pub(super) const fn first_window(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes) & BYTES
}

/// The bytes of a window from the last to the first.
#[inline(always)]
pub(super) const fn mirrored(window: u64) -> u64 {
    window.swap_bytes() >> 16
}

/// One value for a window and its mirror image.
#[inline(always)]
pub(super) const fn canonical(window: u64) -> u64 {
    let mirrored = mirrored(window);
    if window < mirrored { window } else { mirrored }
}

/// The same for a window and its mirror image, and for few others: of 2^64 values, the product of the first four bytes and of
/// the last four from the last one on. Of factors of 32 bits, since vector units multiply those, several at once.
#[inline(always)]
pub(super) const fn hash(window: u64) -> u64 {
    const KEY: u64 = 0xA076_1D65;
    let (first, last) = ((window ^ KEY) & HALF, (mirrored(window) ^ KEY) & HALF);
    first.wrapping_mul(last)
}

/// Whether no byte of a window has its top bit, as in text.
#[inline(always)]
pub(super) const fn is_ascii(window: u64) -> bool {
    window & !LOW == 0
}

/// Whether all bytes of a window are the same.
pub(super) const fn is_plain(window: u64) -> bool {
    window == (window & 0xFF).wrapping_mul(ONES) & BYTES
}

/// Whether a window has one or two distinct values.
pub(super) const fn is_weak(window: u64) -> bool {
    // The two bytes that are none of the window's repeat its first.
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

/// Whether the first sixteen bytes are there and have [`DISTINCT`] values.
pub fn is_strong(bytes: &[u8]) -> bool {
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
    fn a_window_is_weak_with_one_or_two_values() {
        let mut state = 1u64;
        for round in 0..200_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let alphabet = round % 5 + 1;
            let bytes: [u8; WINDOW] =
                core::array::from_fn(|i| ((state >> (8 * i)) as u8 % alphabet as u8).wrapping_mul(0x80));
            let bytes = if round % 2 == 0 { bytes } else { bytes.map(|byte| byte.wrapping_sub(3)) };
            let window = window(&bytes, 0).unwrap_or_default();
            let distinct = bytes.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(is_weak(window), distinct <= 2, "{bytes:x?}");
            assert_eq!(is_plain(window), distinct == 1);
            assert_eq!(is_weak(window), is_weak(mirrored(window)));
            assert_eq!(canonical(window), canonical(mirrored(window)));
            assert_eq!(hash(window), hash(mirrored(window)));
            assert_eq!(is_ascii(window), bytes.is_ascii());
        }
        assert!(is_strong(b"0000000000001234") && !is_strong(b"0000000000000123") && !is_strong(b"01234567"));
    }
}
