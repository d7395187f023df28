// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows of eight bytes, by which values and evidence meet.

/// Bytes of a window: one machine word.
pub(super) const WINDOW: usize = 8;
/// Windows in a fragment of sixteen bytes: a search looks at one in so many.
pub(super) const SPAN: usize = 9;
/// Distinct values that a fragment needs. Zero padding, bit patterns and the like are in every server's memory and in
/// many values: they say nothing.
pub(super) const DISTINCT: u32 = 5;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// The window at `at`.
#[inline(always)]
pub(super) fn window(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// One value for a window and its mirror image.
#[inline(always)]
pub(super) const fn canonical(window: u64) -> u64 {
    let mirrored = window.swap_bytes();
    if window < mirrored { window } else { mirrored }
}

/// Whether a window has one or two distinct values. Of sixteen bytes with five, one half has three.
pub(super) const fn is_weak(window: u64) -> bool {
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
pub(in crate::audit) fn is_strong(bytes: &[u8]) -> bool {
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
            let bytes: [u8; 8] =
                core::array::from_fn(|i| ((state >> (8 * i)) as u8 % alphabet as u8).wrapping_mul(0x80));
            let bytes = if round % 2 == 0 { bytes } else { bytes.map(|byte| byte.wrapping_sub(3)) };
            let window = u64::from_le_bytes(bytes);
            let distinct = bytes.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(is_weak(window), distinct <= 2, "{bytes:x?}");
            assert_eq!(is_weak(window), is_weak(window.swap_bytes()));
            assert_eq!(canonical(window), canonical(window.swap_bytes()));
        }
        assert!(is_strong(b"0000000000001234") && !is_strong(b"0000000000000123") && !is_strong(b"01234567"));
    }
}
