// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds secrets within longer values: in a device's state, in a plaintext.

use super::class::Class;
use super::ledger::Ledger;
use super::value::Id;

/// The secrets of a ledger, indexed by their first eight bytes.
#[derive(Debug)]
pub struct Substrings {
    /// First eight bytes, length and value; sorted by these and then by the secrets' bytes. Many secrets may begin alike:
    /// all headers of a chain begin with the same ratchet key.
    starts: Vec<(u64, usize, Id)>,
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
                starts.push((u64::from_be_bytes(*start), ledger.bytes(id).unwrap_or_default().len(), id));
            }
        }
        let bytes = |id: Id| ledger.bytes(id).unwrap_or_default();
        starts.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| bytes(a.2).cmp(bytes(b.2))));
        let (least, most) = Self::FILTER;
        let bits = starts.len().saturating_mul(Self::FILTER_BITS).clamp(least, most).next_power_of_two();
        let (mut filter, leading) = (std::vec![0u64; bits / 64], bits.trailing_zeros());
        for (start, ..) in &starts {
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
        candidates.flat_map(move |(at, start)| self.prefixes(ledger, start, bytes.get(at..).unwrap_or_default()))
    }

    /// The secrets that begin with `start` and with which `bytes` begin: for each length of such secrets one search.
    fn prefixes<'a>(&'a self, ledger: &'a Ledger, start: u64, bytes: &'a [u8]) -> impl Iterator<Item = Id> + 'a {
        let mut shortest = 0;
        let of_a_length = move || {
            let from = self.starts.partition_point(|(known, len, _)| (*known, *len) < (start, shortest));
            let (_, len, _) = self.starts.get(from).filter(|(known, ..)| *known == start)?;
            shortest = len.checked_add(1)?;
            let expected = bytes.get(..*len)?;
            let key = (start, *len, expected);
            let found = self
                .starts
                .binary_search_by(|(start, len, id)| (*start, *len, ledger.bytes(*id).unwrap_or_default()).cmp(&key));
            Some(found.ok().and_then(|at| self.starts.get(at)).map(|(.., id)| *id))
        };
        core::iter::from_fn(of_a_length).flatten()
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

    /// The headers of a chain begin with one key, and one may be a prefix of another.
    #[test]
    fn secrets_that_begin_alike_are_all_found() {
        let mut ledger = Ledger::default();
        let mut secret = std::vec![7; 84];
        let alike: Vec<Id> = (0..2_000u32)
            .map(|n| {
                secret[64..68].copy_from_slice(&n.to_be_bytes());
                ledger.intern(&secret, Class::Secret, "header")
            })
            .collect();
        let prefixes = [32, 40, 64].map(|len| ledger.intern(&secret[..len], Class::Secret, "key"));
        let substrings = Substrings::of(&ledger);
        for (n, id) in (0..2_000u32).zip(alike) {
            let mut value = std::vec![9; 200];
            secret[64..68].copy_from_slice(&n.to_be_bytes());
            value[100..184].copy_from_slice(&secret);
            let mut found: Vec<Id> = substrings.within(&ledger, &value).collect();
            found.retain(|id| !prefixes.contains(id));
            assert_eq!(found, [id]);
            value[183] ^= 1;
            assert!(substrings.within(&ledger, &value).all(|id| prefixes.contains(&id)));
        }
        // Every prefix at every place: the value's first 64 bytes are alike.
        let found = |len: usize| substrings.within(&ledger, &secret[..len]).collect::<Vec<_>>();
        assert_eq!(found(32), [prefixes[0]]);
        assert_eq!(found(64).iter().filter(|id| **id == prefixes[2]).count(), 1);
        assert_eq!(found(64).iter().filter(|id| **id == prefixes[0]).count(), 33);
        assert_eq!(found(64).iter().filter(|id| **id == prefixes[1]).count(), 25);
    }
}
