// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secrets that lie within longer values: in a device's state, in a plaintext.

use super::classes::Class;
use super::ledger::{Id, Ledger};

/// Secrets by their first eight bytes, to be found at any place of a longer value.
#[derive(Debug)]
pub struct Substrings {
    /// Sorted.
    starts: Vec<(u64, Id)>,
    /// A bit for each value of the leading bits that a secret begins with: most places are no beginning.
    filter: Vec<u64>,
    /// How many leading bits.
    leading: u32,
}

impl Substrings {
    /// Bits of the filter for a secret: one place of 64 is looked at in vain.
    const FILTER_BITS: usize = 64;
    /// The filter's size in bits: at the least, and at the most, which is 2 MiB.
    const FILTER: (usize, usize) = (1 << 10, 1 << 24);

    /// The secrets of a ledger.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        let mut starts = Vec::new();
        for (id, value) in ledger.values() {
            if value.class == Class::Secret
                && let Some((start, _)) =
                    ledger.bytes(id).filter(|bytes| bytes.len() >= 32).and_then(<[u8]>::split_first_chunk)
            {
                starts.push((u64::from_be_bytes(*start), id));
            }
        }
        starts.sort_unstable();
        let (least, most) = Self::FILTER;
        let bits = starts.len().saturating_mul(Self::FILTER_BITS).clamp(least, most).next_power_of_two();
        let (mut filter, leading) = (std::vec![0u64; bits / 64], bits.trailing_zeros());
        for (start, _) in &starts {
            let (word, bit) = Self::place(*start, leading);
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        Self { starts, filter, leading }
    }

    /// Word and bit of the filter.
    fn place(start: u64, leading: u32) -> (usize, u64) {
        let leading = start >> 64u32.saturating_sub(leading);
        (usize::try_from(leading >> 6).unwrap_or_default(), 1 << (leading & 63))
    }

    /// The secrets that lie in `bytes`.
    pub fn within<'a>(&'a self, ledger: &'a Ledger, bytes: &'a [u8]) -> impl Iterator<Item = Id> + 'a {
        let candidates = bytes.windows(32).enumerate().filter_map(move |(at, window)| {
            let start = u64::from_be_bytes(*window.first_chunk()?);
            let (word, bit) = Self::place(start, self.leading);
            let may = self.filter.get(word).is_some_and(|word| word & bit != 0);
            may.then_some((at, start))
        });
        candidates.flat_map(move |(at, start)| {
            let from = self.starts.partition_point(|(known, _)| *known < start);
            let same = self.starts.get(from..).unwrap_or_default().iter().take_while(move |(known, _)| *known == start);
            let rest = bytes.get(at..).unwrap_or_default();
            same.map(|(_, id)| *id).filter(move |id| ledger.bytes(*id).is_some_and(|value| rest.starts_with(value)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn what_lies_within_a_value_is_found_at_every_place_whatever_the_filter() {
        for others in [0u32, 10, 5_000] {
            let mut ledger = Ledger::default();
            let secret: Vec<u8> = Sha256::digest(b"within").to_vec();
            let id = ledger.intern(&secret, Class::Secret, "root key");
            for n in 0..others {
                ledger.intern(&Sha256::digest(n.to_be_bytes()), Class::Secret, "chain key");
            }
            let inner = Substrings::of(&ledger);
            for at in [0, 1, 77, 968] {
                let mut value = std::vec![0x5A; 1000];
                value[at..at + 32].copy_from_slice(&secret);
                assert_eq!(inner.within(&ledger, &value).collect::<Vec<_>>(), [id]);
                value[at + 31] ^= 1;
                assert_eq!(inner.within(&ledger, &value).count(), 0);
            }
        }
    }
}
