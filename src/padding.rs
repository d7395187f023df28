// SPDX-License-Identifier: MIT OR Apache-2.0
//! Padding: one marker byte, then zeros up to a Padmé length, so that a message's size reveals little to the server.
//!
//! Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (PoPETs 2019),
//! algorithm 1. A length L keeps only its leading bits, which leaves O(log log L) bits of information at a cost of at
//! most 12 %. The marker is that of ISO/IEC 7816-4: 0x80, then zeros.

use crate::primitives::{Declassified, Primitives, declassify_choice};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

const MARKER: u8 = 0x80;

/// Returns the Padmé length of `len` bytes, at most 12 % above `len`. Returns `None` on overflow.
///
/// # Leaks
/// `len`, which the result reveals anyway to within its class.
const fn padme(len: usize) -> Option<usize> {
    let mask = class_mask(len);
    match len.checked_add(mask) {
        Some(sum) => Some(sum & !mask),
        None => None,
    }
}

/// The low bits that Padmé clears in lengths like `len`: 2^(E - S) - 1 with E = ⌊log2 len⌋, S = ⌊log2 E⌋ + 1.
const fn class_mask(len: usize) -> usize {
    let Some(exponent) = len.checked_ilog2() else { return 0 };
    let Some(log) = exponent.checked_ilog2() else { return 0 };
    let kept = log.saturating_add(1);
    match 1usize.checked_shl(exponent.saturating_sub(kept)) {
        Some(size) => size.saturating_sub(1),
        None => 0,
    }
}

/// Length in bytes of a plaintext of `plaintext_len` bytes after padding. Returns `None` on overflow.
pub(crate) const fn padded_len(plaintext_len: usize) -> Option<usize> {
    match plaintext_len.checked_add(1) {
        Some(with_marker) => padme(with_marker),
        None => None,
    }
}

/// Writes the marker and zeros over all bytes after the plaintext.
pub(crate) fn pad(padding: &mut [u8]) {
    padding.fill(0);
    if let Some(first) = padding.first_mut() {
        *first = MARKER;
    }
}

/// Returns the plaintext's length within `padded`, or `None` if this is not the padding of [`pad`] at a Padmé length.
///
/// # Leaks
/// Only `padded.len()`: the loop covers every position at which the marker may be for that length, and the accumulators
/// are updated without a branch. The caller is about to use the returned length and is responsible for it.
pub(crate) fn unpad<P: Primitives>(primitives: &P, padded: &[u8]) -> Option<usize> {
    let len = padded.len();
    if padme(len) != Some(len) || len == 0 {
        return None;
    }
    // The shortest plaintext with this padded length has, with its marker, len - mask bytes. The marker is therefore
    // within the last mask + 1 bytes.
    let start = len.saturating_sub(class_mask(len).saturating_add(1));
    let tail = padded.get(start..)?;

    // The last nonzero word contains the marker as its last nonzero byte. The loop covers words and not bytes, because
    // a mebibyte has 32 KiB of candidate positions.
    let mut last = 0u64;
    let mut words_after = 0u64;
    let mut searching = Choice::from(1);
    for chunk in tail.rchunks(8) {
        let mut bytes = [0; 8];
        bytes.iter_mut().rev().zip(chunk.iter().rev()).for_each(|(byte, from)| *byte = *from);
        let word = u64::from_be_bytes(bytes);
        last.conditional_assign(&word, searching);
        searching &= word.ct_eq(&0);
        words_after = words_after.wrapping_add(u64::from(searching.unwrap_u8()));
    }
    let mut bytes_after = 0u64;
    let mut marker = 0u8;
    let mut searching = Choice::from(1);
    for byte in last.to_be_bytes().iter().rev() {
        marker.conditional_assign(byte, searching);
        searching &= byte.ct_eq(&0);
        bytes_after = bytes_after.wrapping_add(u64::from(searching.unwrap_u8()));
    }
    // At most 2^61 words: no overflow.
    let mut after = words_after.wrapping_mul(8).wrapping_add(bytes_after).to_be_bytes();
    primitives.declassify(Declassified::PlaintextLength, &mut after);
    if !declassify_choice(primitives, Declassified::PlaintextLength, marker.ct_eq(&MARKER)) {
        return None;
    }
    let after = usize::try_from(u64::from_be_bytes(after)).ok()?;
    let plaintext_len = len.checked_sub(after)?.checked_sub(1)?;
    // Each plaintext has one padding: at a power of two the last positions that were checked belong to a shorter class.
    (padded_len(plaintext_len) == Some(len)).then_some(plaintext_len)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::primitives::RustCrypto;
    use std::vec;

    #[test]
    fn lengths_are_those_of_the_paper() {
        // Figure 3's algorithm worked by hand: 9 = 0b1001, E = 3, S = 2, one bit cleared.
        for (len, padded) in [(1, 1), (2, 2), (8, 8), (9, 10), (33, 36), (100, 104), (1000, 1024), (1 << 20, 1 << 20)] {
            assert_eq!(padme(len), Some(padded), "{len}");
        }
        assert_eq!(padme(usize::MAX), None);
    }

    #[test]
    fn padding_costs_at_most_an_eighth_and_lengths_are_fixed_points() {
        for len in 1..20_000 {
            let padded = padme(len).unwrap();
            assert!(padded >= len && (padded - len) * 8 <= len, "{len}");
            assert_eq!(padme(padded), Some(padded), "{len}");
            assert_eq!(class_mask(len), class_mask(padded.min((len + 1).next_power_of_two() - 1).max(len)), "{len}");
        }
    }

    #[test]
    fn padded_plaintexts_are_recovered() {
        for len in 0..3_000 {
            let mut bytes = vec![0x80; padded_len(len).unwrap()];
            pad(&mut bytes[len..]);
            assert_eq!(unpad(&RustCrypto, &bytes), Some(len));
        }
    }

    #[test]
    fn other_padding_is_refused() {
        let mut bytes = vec![7; padded_len(1000).unwrap()];
        pad(&mut bytes[1000..]);
        assert_eq!(unpad(&RustCrypto, &bytes), Some(1000));
        for at in 1000..bytes.len() {
            for flip in [1, 0x80, 0xFF] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                // A second marker at a later position is the padding of a longer plaintext.
                let longer = flip == 0x80 && at > 1000;
                assert_eq!(unpad(&RustCrypto, &bad), longer.then_some(at), "{at} {flip}");
            }
        }
        assert_eq!(unpad(&RustCrypto, &bytes[..bytes.len() - 1]), None, "not a Padmé length");
        assert_eq!(unpad(&RustCrypto, &[]), None);
        assert_eq!(unpad(&RustCrypto, &vec![0; 1024]), None, "no marker");
        assert_eq!(unpad(&RustCrypto, &vec![7; 1024]), None, "no marker");
    }
}
