// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Coverage`]: which fragments of the values occur somewhere, such as in software that was installed before a run.

use super::index::needles::FRAGMENT;
use core::fmt;
use core::ops::Range;
use std::collections::{HashMap, HashSet};

/// Which fragments of [`FRAGMENT`] bytes of each value occur: a bit for each byte of a value with which one begins. It
/// takes at most an eighth of the memory of the values, however much is searched.
#[derive(Clone, Default)]
pub struct Coverage {
    starts: HashMap<u32, Vec<u64>>,
    /// Tokens that occur.
    tokens: HashSet<u32>,
}

impl fmt::Debug for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coverage").field("values", &self.starts.len()).finish_non_exhaustive()
    }
}

impl Coverage {
    /// Adds all fragments within this part of a value.
    pub fn insert(&mut self, id: u32, part: Range<usize>) {
        let starts = fragments(&part);
        if starts.is_empty() {
            return;
        }
        let words = self.starts.entry(id).or_default();
        let needed = starts.end.div_ceil(64);
        if words.len() < needed {
            words.resize(needed, 0);
        }
        let (first, last) = (starts.start / 64, starts.end.saturating_sub(1) / 64);
        for (number, word) in words.iter_mut().enumerate().take(needed).skip(first) {
            let low = if number == first { u64::MAX << (starts.start % 64) } else { u64::MAX };
            let unused = 63usize.saturating_sub(starts.end.saturating_sub(1) % 64);
            let high = if number == last { u64::MAX >> unused } else { u64::MAX };
            *word |= low & high;
        }
    }

    /// Adds a token.
    pub(crate) fn insert_token(&mut self, id: u32) {
        self.tokens.insert(id);
    }

    /// Whether this token occurs ([`Evidence::with_tokens`](crate::Evidence::with_tokens)).
    #[must_use]
    pub fn has_token(&self, id: u32) -> bool {
        self.tokens.contains(&id)
    }

    /// Adds all fragments of another coverage.
    pub fn merge(&mut self, other: Self) {
        self.tokens.extend(other.tokens);
        for (id, found) in other.starts {
            let words = self.starts.entry(id).or_default();
            words.resize(words.len().max(found.len()), 0);
            words.iter_mut().zip(found).for_each(|(word, found)| *word |= found);
        }
    }

    /// Whether a fragment that begins with this byte of a value occurs.
    #[must_use]
    pub fn contains(&self, id: u32, start: usize) -> bool {
        self.starts.get(&id).is_some_and(|words| is_set(words, start))
    }

    /// The values of which a fragment occurs, in any order.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.starts.keys().copied()
    }

    /// The fragments within this part of a value that do not occur: by their first bytes, successive ones together, in
    /// order.
    pub fn missing(&self, id: u32, part: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let words = self.starts.get(&id).map_or(&[][..], Vec::as_slice);
        let mut left = fragments(&part);
        core::iter::from_fn(move || {
            let first = left.clone().find(|&start| !is_set(words, start))?;
            let end = (first..left.end).find(|&start| is_set(words, start)).unwrap_or(left.end);
            left.start = end;
            Some(first..end)
        })
    }
}

/// The first bytes of the fragments that lie within a part of a value.
const fn fragments(part: &Range<usize>) -> Range<usize> {
    part.start..part.end.saturating_sub(FRAGMENT).saturating_add(if part.end >= FRAGMENT { 1 } else { 0 })
}

fn is_set(words: &[u64], at: usize) -> bool {
    words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_fragment_is_covered_only_if_one_part_has_all_of_it() {
        let mut state = 1u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..200 {
            let (mut coverage, mut expected) = (Coverage::default(), BTreeSet::new());
            for _ in 0..random(5) {
                let start = random(300);
                let part = start..start + random(200);
                expected.extend((part.start..part.end).filter(|at| at + FRAGMENT <= part.end));
                coverage.insert(7, part);
            }
            assert_eq!(BTreeSet::from_iter((0..600).filter(|&at| coverage.contains(7, at))), expected);
            assert!((0..600).all(|at| !coverage.contains(8, at)));
            let start = random(100);
            let part = start..start + random(300);
            let missing: Vec<_> = coverage.missing(7, part.clone()).collect();
            let inside = (part.start..part.end).filter(|at| at + FRAGMENT <= part.end && !expected.contains(at));
            assert_eq!(Vec::from_iter(missing.iter().cloned().flatten()), Vec::from_iter(inside));
            assert!(missing.windows(2).all(|two| two[0].end < two[1].start), "{missing:?}");
        }
    }
}
