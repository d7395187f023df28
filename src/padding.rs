// SPDX-License-Identifier: MIT OR Apache-2.0
//! Padding: one marker byte, then zeros up to a Padmé length, so that a message's size reveals little to the server.
//!
//! Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (PoPETs 2019),
//! algorithm 1. A length L keeps only its leading bits, which leaves O(log log L) bits of information at a cost of at
//! most 12 %. The marker is that of ISO/IEC 7816-4: 0x80, then zeros.

use crate::primitives::{Declassified, Primitives, declassify_choice};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

const MARKER: u8 = 0x80;
/// Length in bytes of the longest padded text in which the marker is searched in one pass over all bytes.
const SCANNED_WHOLE_LEN: usize = 4_096;
/// Length in bytes of a block of the search: a compiler handles its words in vector registers.
const BLOCK_LEN: usize = 64;

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

/// [`padme`] for files, whose lengths may exceed `usize`.
///
/// # Leaks
/// `len`, as `padme` does.
pub(crate) const fn padme_u64(len: u64) -> Option<u64> {
    let mask = class_mask_u64(len);
    match len.checked_add(mask) {
        Some(sum) => Some(sum & !mask),
        None => None,
    }
}

/// The low bits that Padmé clears in lengths like `len`: 2^(E - S) - 1 with E = ⌊log2 len⌋, S = ⌊log2 E⌋ + 1.
const fn class_mask(len: usize) -> usize {
    // Lossless: `usize` has at most 64 bits, and a mask is below its length.
    class_mask_u64(len as u64) as usize
}

const fn class_mask_u64(len: u64) -> u64 {
    let Some(exponent) = len.checked_ilog2() else { return 0 };
    let Some(log) = exponent.checked_ilog2() else { return 0 };
    let kept = log.saturating_add(1);
    match 1u64.checked_shl(exponent.saturating_sub(kept)) {
        Some(size) => size.saturating_sub(1),
        None => 0,
    }
}

/// Length in bytes of a plaintext of `plaintext_len` bytes after padding. Returns `None` on overflow.
#[cfg(test)]
const fn padded_len(plaintext_len: usize) -> Option<usize> {
    padded_len_at_least(plaintext_len, 0)
}

/// The smallest Padmé length that holds a plaintext of `plaintext_len` bytes with its marker and is not below
/// `min_padded_len`, so that a sender can hide a short plaintext in a larger class. Returns `None` on overflow.
///
/// # Leaks
/// Both arguments.
pub(crate) const fn padded_len_at_least(plaintext_len: usize, min_padded_len: usize) -> Option<usize> {
    match plaintext_len.checked_add(1) {
        Some(with_marker) if with_marker < min_padded_len => padme(min_padded_len),
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

/// Returns the plaintext's length within `padded`, or `None` if `padded` does not have a Padmé length or does not end
/// with a marker and zeros. The length may be above the smallest one for the plaintext: that is the sender's choice.
///
/// # Leaks
/// `padded.len()`. Of a padded text of more than [`SCANNED_WHOLE_LEN`] bytes also one bit: whether its marker is in the
/// last bytes, where the smallest class for the plaintext places it, or the sender chose a larger class. Within each of
/// the two parts the search takes the same time wherever the marker is. The caller is about to use the returned length,
/// of which that bit is a function, and is responsible for it.
pub(crate) fn unpad<P: Primitives>(primitives: &P, padded: &[u8]) -> Option<usize> {
    let len = padded.len();
    if padme(len) != Some(len) || len == 0 {
        return None;
    }
    // The shortest plaintext for which this is the smallest padded length has, with its marker, len - mask bytes.
    let searched_first = if len <= SCANNED_WHOLE_LEN { len } else { class_mask(len).saturating_add(1) };
    let (before, tail) = padded.split_at_checked(len.checked_sub(searched_first)?)?;
    let mut found = last_nonzero(tail);
    if !before.is_empty() {
        let in_tail = !found.byte.ct_eq(&0);
        if !declassify_choice(primitives, Declassified::PlaintextLength, in_tail) {
            found = last_nonzero(before);
            found.zeros_after = found.zeros_after.wrapping_add(u64::try_from(tail.len()).ok()?);
        }
    }
    let mut zeros_after = found.zeros_after.to_be_bytes();
    primitives.declassify(Declassified::PlaintextLength, &mut zeros_after);
    if !declassify_choice(primitives, Declassified::PlaintextLength, found.byte.ct_eq(&MARKER)) {
        return None;
    }
    let zeros_after = usize::try_from(u64::from_be_bytes(zeros_after)).ok()?;
    len.checked_sub(zeros_after)?.checked_sub(1)
}

/// The last byte that is not zero, and the number of zeros after it. Both values are secret.
struct LastNonzero {
    /// Zero if all bytes are.
    byte: u8,
    /// Without meaning if all bytes are zero.
    zeros_after: u64,
}

/// Searches `bytes` without a branch or an address that depends on them. Three levels: the last block that is not zero,
/// the last word of it, the last byte of that.
fn last_nonzero(bytes: &[u8]) -> LastNonzero {
    let (start, blocks) = bytes.as_rchunks::<BLOCK_LEN>();
    let mut first = [0; BLOCK_LEN];
    if let Some((_, end)) = first.split_at_mut_checked(BLOCK_LEN.saturating_sub(start.len())) {
        end.copy_from_slice(start);
    }
    let mut last = words(&first);
    let mut zero_blocks = 0u64;
    for block in blocks {
        let block = words(block);
        let is_zero = block.iter().fold(0, |or, word| or | word).ct_eq(&0);
        // All ones if the block is zero. A mask, because `conditional_assign` has a barrier for each word.
        let keep = u64::from(is_zero.unwrap_u8()).wrapping_neg();
        // A block that is zero adds nothing to the one that is kept.
        last.iter_mut().zip(block).for_each(|(last, word)| *last = (*last & keep) | word);
        zero_blocks = zero_blocks.wrapping_add(1) & keep;
    }
    let (mut word, mut zero_words) = (0u64, 0u64);
    let mut searching = Choice::from(1);
    for from in last.iter().rev() {
        word.conditional_assign(from, searching);
        searching &= from.ct_eq(&0);
        zero_words = zero_words.wrapping_add(u64::from(searching.unwrap_u8()));
    }
    let (mut byte, mut zero_bytes) = (0u8, 0u64);
    let mut searching = Choice::from(1);
    for from in word.to_ne_bytes().iter().rev() {
        byte.conditional_assign(from, searching);
        searching &= from.ct_eq(&0);
        zero_bytes = zero_bytes.wrapping_add(u64::from(searching.unwrap_u8()));
    }
    // No overflow: `bytes` has less than 2^63 bytes, of which the last one that is not zero and those before it do not
    // count. If all are zero the sum means nothing.
    let zeros_after = zero_blocks.wrapping_mul(8).wrapping_add(zero_words).wrapping_mul(8).wrapping_add(zero_bytes);
    LastNonzero { byte, zeros_after }
}

/// A block as words, whose bytes are in the order of memory.
fn words(block: &[u8; BLOCK_LEN]) -> [u64; BLOCK_LEN / 8] {
    let (words, _) = block.as_chunks();
    let mut out = [0; BLOCK_LEN / 8];
    out.iter_mut().zip(words).for_each(|(out, word)| *out = u64::from_ne_bytes(*word));
    out
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
            assert_eq!(padme_u64(len as u64), Some(padded as u64), "{len}");
        }
        assert_eq!((padme(usize::MAX), padme_u64(u64::MAX)), (None, None));
        // 50,000,000: E = 25, S = 5, twenty bits cleared.
        assert_eq!(padme_u64(50_000_000), Some(48 << 20));
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

    /// All Padmé lengths up to 20,000, and some around a mebibyte.
    fn classes() -> impl Iterator<Item = usize> {
        (1..20_000).chain((1 << 20) - 40_000..(1 << 20) + 40_000).filter(|len| padme(*len) == Some(*len))
    }

    /// Positions at the edges of words, blocks, and of the part that is searched first.
    fn edges(len: usize) -> impl Iterator<Item = usize> {
        let tail = class_mask(len) + 1;
        let around = [0, 1, 8, 63, 64, 65, 127, 128, 4_095, 4_096, 4_097, tail, len / 2, len];
        let from_both_ends = around.into_iter().flat_map(move |at| [Some(at), len.checked_sub(at)]).flatten();
        from_both_ends.flat_map(|at| [at.saturating_sub(1), at, at + 1]).filter(move |at| *at < len)
    }

    /// What unpadding means, in variable time.
    fn reference(padded: &[u8]) -> Option<usize> {
        let marker = padded.iter().rposition(|byte| *byte != 0)?;
        (padme(padded.len()) == Some(padded.len()) && padded[marker] == MARKER).then_some(marker)
    }

    /// A sender may hide a text in any class that holds it.
    #[test]
    fn every_padme_length_is_accepted_with_the_marker_anywhere() {
        let mut checked = 0;
        for len in classes() {
            let mut bytes = vec![0x80; len];
            for at in edges(len) {
                bytes.fill(0x80);
                pad(&mut bytes[at..]);
                assert_eq!(unpad(&RustCrypto, &bytes), Some(at), "{len} {at}");
                assert_eq!(reference(&bytes), Some(at), "{len} {at}");
                checked += 1;
            }
        }
        // Control: the smallest class alone, which was the rule before, refuses most of them.
        let smallest = classes().flat_map(|len| edges(len).filter(move |at| padded_len(*at) == Some(len))).count();
        assert!(checked > 5_000 && smallest * 2 < checked, "{smallest} of {checked}");
    }

    #[test]
    fn every_marker_position_of_short_and_long_texts_is_found() {
        for len in [1, 2, 36, 64, 72, 128, 1_024, 4_096, 4_352, 5_120] {
            assert_eq!(padme(len), Some(len));
            for at in 0..len {
                let mut bytes = vec![7; len];
                pad(&mut bytes[at..]);
                assert_eq!(unpad(&RustCrypto, &bytes), Some(at), "{len} {at}");
            }
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        let mut refused = 0;
        for len in (1..10_000).chain((1 << 20) - 70_000..(1 << 20) - 65_000) {
            let mut bytes = vec![7; len];
            pad(&mut bytes[len / 2..]);
            assert_eq!(unpad(&RustCrypto, &bytes), reference(&bytes), "{len}");
            refused += usize::from(padme(len) != Some(len));
            assert_eq!(unpad(&RustCrypto, &bytes).is_none(), padme(len) != Some(len), "{len}");
        }
        assert_eq!(unpad(&RustCrypto, &[]), None);
        assert!(refused > 10_000, "{refused}");
    }

    #[test]
    fn padding_without_its_marker_is_refused() {
        for len in [1, 2, 36, 64, 1_024, 4_096, 4_352, 65_536, 1 << 20] {
            for at in edges(len) {
                let mut bytes = vec![7; len];
                pad(&mut bytes[at..]);
                assert_eq!(unpad(&RustCrypto, &bytes), Some(at), "control: {len} {at}");
                for instead in [1, 0x7F, 0x81, 0xFF] {
                    bytes[at] = instead;
                    assert_eq!(unpad(&RustCrypto, &bytes), None, "{len} {at} {instead}");
                }
                // A text that ends in a marker of its own is taken for a shorter one; any other has none left.
                bytes[at] = 0;
                assert_eq!(unpad(&RustCrypto, &bytes), None, "{len} {at}");
            }
            assert_eq!(unpad(&RustCrypto, &vec![0; len]), None, "{len}");
            assert_eq!(unpad(&RustCrypto, &vec![7; len]), None, "{len}");
        }
    }

    #[test]
    fn changed_padding_is_refused_or_belongs_to_a_longer_text() {
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
    }

    #[test]
    fn padded_len_at_least_is_the_smallest_class_above_both() {
        for plaintext_len in 0..300 {
            for min in 0..600 {
                let expected = (1..).find(|len| padme(*len) == Some(*len) && *len > plaintext_len && *len >= min);
                assert_eq!(padded_len_at_least(plaintext_len, min), expected, "{plaintext_len} {min}");
            }
            assert_eq!(padded_len_at_least(plaintext_len, 0), padded_len(plaintext_len));
        }
        // Control: a minimum that is no Padmé length would give one that receivers refuse.
        assert_eq!((padded_len_at_least(1, 33), padme(33)), (Some(36), Some(36)));
        assert_eq!(padded_len_at_least(usize::MAX, 0), None);
        assert_eq!(padded_len_at_least(0, usize::MAX), None);
    }
}
