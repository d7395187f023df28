// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds secrets within longer values: in a device's state, in a plaintext.

use super::class::Class;
use super::ledger::Ledger;
use super::value::Id;

/// The secrets of a ledger, indexed by their first eight bytes.
#[derive(Debug)]
pub struct Substrings {
    /// Sorted.
    starts: Vec<(u64, Id)>,
    /// A bit for each value of the leading bits, set if a secret begins with it. Most windows begin with no secret's
    /// bits.
    filter: Vec<u64>,
    /// The number of leading bits.
    leading: u32,
}

impl Substrings {
    /// Bits of the filter per secret: about one window in 64 passes the filter without being a secret.
    const FILTER_BITS: usize = 64;
    /// The smallest and the largest size of the filter in bits; the latter is 2 MiB.
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

    /// The word of the filter and the bit in it.
    fn place(start: u64, leading: u32) -> (usize, u64) {
        let leading = start >> 64u32.saturating_sub(leading);
        (usize::try_from(leading >> 6).unwrap_or_default(), 1 << (leading & 63))
    }

    /// The secrets within `bytes`.
    pub fn within<'a>(&'a self, ledger: &'a Ledger, bytes: &'a [u8]) -> impl Iterator<Item = Id> + 'a {
        let candidates = bytes.windows(32).enumerate().filter_map(move |(at, window)| {
            let start = u64::from_be_bytes(*window.first_chunk()?);
            let (word, bit) = Self::place(start, self.leading);
            let may_begin = self.filter.get(word).is_some_and(|word| word & bit != 0);
            may_begin.then_some((at, start))
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
    fn secrets_are_found_at_every_offset_with_any_filter() {
        for others in [0u32, 10, 5_000] {
            let mut ledger = Ledger::default();
            let secret: Vec<u8> = Sha256::digest(b"within").to_vec();
            let id = ledger.intern(&secret, Class::Secret, "root key");
            for n in 0..others {
                ledger.intern(&Sha256::digest(n.to_be_bytes()), Class::Secret, "chain key");
            }
            let substrings = Substrings::of(&ledger);
            for at in [0, 1, 77, 968] {
                let mut value = std::vec![0x5A; 1000];
                value[at..at + 32].copy_from_slice(&secret);
                assert_eq!(substrings.within(&ledger, &value).collect::<Vec<_>>(), [id]);
                value[at + 31] ^= 1;
                assert_eq!(substrings.within(&ledger, &value).count(), 0);
            }
        }
    }
}
