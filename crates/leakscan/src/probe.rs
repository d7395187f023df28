// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where bytes meet the index: every eleventh window is looked up, and what is met is compared to its ends.

use super::filter::{BATCH, Fetched, first_windows};
use super::needles::{CROWD, FRAGMENT, Index};
use super::pages::fetch;
use super::vectors::level;
use super::waiting::Waiting;
use super::windows::{SPAN, WINDOW, hash, is_plain, is_strong, is_weak, mirrored, window};
use core::ops::Range;
use fearless_simd::{Simd as _, dispatch};

/// Bytes of evidence that are on their way from memory.
const AHEAD: usize = 4096;
/// Bytes of a line of a cache.
const LINE: usize = 64;
/// Matches of which is remembered how far they reach, so that a long value is not compared anew at each of its windows.
const RECENT: usize = 64;

/// How far before and behind a window the others begin that share a fragment with it.
const REACH: usize = SPAN - 1;

/// A part of a value in some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// The number of the value.
    pub(super) value: u32,
    /// The part of the value.
    pub(super) range: Range<usize>,
    /// Its first byte in the bytes that were examined.
    pub(super) at: usize,
    /// It is there from its last byte to its first.
    pub(super) reversed: bool,
}

struct Probe<'a> {
    index: &'a Index,
    bytes: &'a [u8],
    /// Value, direction, and the range of `bytes` that was found to be part of it.
    recent: Vec<(u32, bool, usize, Range<usize>)>,
    oldest: usize,
    found: &'a mut dyn FnMut(Match),
}

impl Index {
    /// Calls `found` with every match of [`FRAGMENT`] bytes and more; those with too few distinct values are left out.
    pub(super) fn examine(&self, bytes: &[u8], mut found: impl FnMut(Match)) {
        self.examine_every::<SPAN>(bytes, &mut found);
    }

    /// One window in `STRIDE` is looked up: with more than [`SPAN`], fragments lie between them.
    fn examine_every<const STRIDE: usize>(&self, bytes: &[u8], found: &mut dyn FnMut(Match)) {
        if !self.is_empty() && bytes.len() >= FRAGMENT {
            dispatch!(level(), simd => simd.vectorize(#[inline(always)] || self.probe::<STRIDE>(bytes, found)));
        }
    }

    #[inline(always)]
    fn probe<const STRIDE: usize>(&self, bytes: &[u8], found: &mut dyn FnMut(Match)) {
        let mut probe = Probe { index: self, bytes, recent: Vec::new(), oldest: 0, found };
        let (windows, rest) = bytes.as_chunks::<STRIDE>();
        let sieve = self.filter.sieve();
        let mut waiting = Waiting::NEW;
        // What is tested are the windows of the batch before: in the meantime their words have come.
        let (mut one, mut other) = (Fetched::NONE, Fetched::NONE);
        let (mut fetched, mut fetching) = (&mut one, &mut other);
        let mut base = 0usize;
        let (batches, others) = windows.as_chunks::<BATCH>();
        let mut before: &[[u8; STRIDE]] = &[];
        let mut visit = |at| probe.visit(at);
        for batch in batches {
            fetch_ahead(batch, bytes, base);
            sieve.fetch_all(&first_windows(batch), fetching);
            let sieved = sieve.test_all(fetched, before.len());
            waiting.queue(self, bytes, (before, base), sieved, &mut visit);
            (fetched, fetching) = (fetching, fetched);
            base = base.wrapping_add(STRIDE.wrapping_mul(before.len()));
            before = batch;
        }
        sieve.fetch_all(&first_windows(others), fetching);
        for (fetched, batch) in [(fetched, before), (fetching, others)] {
            let sieved = sieve.test_all(fetched, batch.len());
            waiting.queue(self, bytes, (batch, base), sieved, &mut visit);
            base = base.wrapping_add(STRIDE.wrapping_mul(batch.len()));
        }
        waiting.finish(self, bytes, &mut visit);
        if rest.len() >= WINDOW {
            probe.visit(base);
        }
    }
}

/// Fetches what will be read [`AHEAD`] bytes behind a batch: the processor's own fetching ends with each page of 4 KiB.
#[inline(always)]
fn fetch_ahead<const STRIDE: usize>(batch: &[[u8; STRIDE]; BATCH], bytes: &[u8], base: usize) {
    for line in (0..batch.as_flattened().len()).step_by(LINE) {
        fetch(bytes, base.wrapping_add(AHEAD).wrapping_add(line));
    }
}

impl Probe<'_> {
    /// Looks at the window at `at`, and at those around it if it cannot stand for them.
    fn visit(&mut self, at: usize) {
        let Some(bytes) = window(self.bytes, at) else { return };
        let crowded = if is_weak(bytes) { true } else { self.look_up(at, bytes) };
        if crowded && !self.is_plain(at, bytes) {
            for near in at.saturating_sub(REACH)..=at.saturating_add(REACH) {
                match window(self.bytes, near) {
                    Some(bytes) if near != at && !is_weak(bytes) => _ = self.look_up(near, bytes),
                    _ => {}
                }
            }
        }
    }

    /// Whether all the bytes around are the same: what most of a process's memory is.
    fn is_plain(&self, at: usize, bytes: u64) -> bool {
        let same = |at| window(self.bytes, at) == Some(bytes);
        is_plain(bytes)
            && at >= REACH
            && [WINDOW, REACH].iter().all(|&far| same(at.saturating_sub(far)) && same(at.saturating_add(far)))
    }

    /// Compares what the index has for this window; whether that is a crowd.
    fn look_up(&mut self, at: usize, bytes: u64) -> bool {
        let hash = hash(bytes);
        if !self.index.filter.may_hold(bytes, hash) {
            return false;
        }
        let index = self.index;
        let mut same = 0usize;
        for offset in index.candidates(hash) {
            let Some(there) = window(&index.arena, offset) else { continue };
            let (forwards, backwards) = (there == bytes, there == mirrored(bytes));
            if forwards || backwards {
                same = same.saturating_add(1);
            }
            if forwards {
                self.compare(at, offset, false);
            }
            if backwards {
                self.compare(at, offset, true);
            }
        }
        same >= CROWD
    }

    /// How far the value reaches around a window that is its own.
    fn compare(&mut self, at: usize, offset: usize, reversed: bool) {
        let Some((value, span)) = self.index.value_at(offset) else { return };
        // A window across the border of two values.
        if offset.saturating_add(WINDOW) > span.end {
            return;
        }
        let diagonal = if reversed { at.wrapping_add(offset) } else { at.wrapping_sub(offset) };
        let is_known = self.recent.iter().any(|(known, direction, along, range)| {
            *known == value && *direction == reversed && *along == diagonal && range.contains(&at)
        });
        if is_known {
            return;
        }
        let (before, behind) = (self.bytes.get(..at), self.bytes.get(at.saturating_add(WINDOW)..));
        let (before, behind) = (before.unwrap_or_default(), behind.unwrap_or_default());
        let lower = self.index.arena.get(span.start..offset).unwrap_or_default();
        let upper = self.index.arena.get(offset.saturating_add(WINDOW)..span.end).unwrap_or_default();
        let (left, right) = match reversed {
            false => (common(before.iter().rev(), lower.iter().rev()), common(behind.iter(), upper.iter())),
            true => (common(before.iter().rev(), upper.iter()), common(behind.iter(), lower.iter().rev())),
        };
        let from = at.saturating_sub(left);
        let to = at.saturating_add(WINDOW).saturating_add(right);
        let first = offset.saturating_sub(if reversed { right } else { left }).saturating_sub(span.start);
        let range = first..first.saturating_add(to.saturating_sub(from));
        let matched = self.bytes.get(from..to).unwrap_or_default();
        let slot = (value, reversed, diagonal, from..to);
        if self.recent.len() < RECENT {
            self.recent.push(slot);
        } else if let Some(place) = self.recent.get_mut(self.oldest) {
            *place = slot;
            self.oldest = self.oldest.wrapping_add(1) % RECENT;
        }
        if matched.windows(FRAGMENT).any(is_strong) {
            (self.found)(Match { value, range, at: from, reversed });
        }
    }
}

fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::super::needles::Needles;
    use super::*;
    use std::collections::BTreeSet;

    /// Where in so many bytes a fragment is lost.
    fn lost<const STRIDE: usize>(len: usize) -> BTreeSet<usize> {
        let secret: Vec<u8> = (100..132).collect();
        let mut needles = Needles::new();
        needles.add_secret(0, &secret);
        let Ok(index) = needles.build() else { return (0..len).collect() };
        let is_lost = |from: usize, at: usize| {
            let mut bytes = vec![0xFE; len];
            bytes.splice(at..at + FRAGMENT, secret[from..from + FRAGMENT].iter().copied());
            let mut found = Vec::new();
            index.examine_every::<STRIDE>(&bytes, &mut |one| found.push((one.range, one.at)));
            found != [(from..from + FRAGMENT, at)]
        };
        let last = len - FRAGMENT;
        (0..=secret.len() - FRAGMENT)
            .flat_map(|from| (0..=last).filter(move |&at| is_lost(from, at)).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn no_fragment_lies_between_the_windows_that_are_looked_up_and_with_one_more_some_do() {
        // Less than a window in eleven, a part of a batch, and several batches with a part.
        for len in [FRAGMENT, FRAGMENT + 1, 100, 3 * SPAN * BATCH + 17] {
            assert_eq!(lost::<SPAN>(len), BTreeSet::new(), "{len}");
        }
        let expected: BTreeSet<_> = (0..=100 - FRAGMENT).filter(|at| at % (SPAN + 1) == 1).collect();
        assert_eq!(lost::<{ SPAN + 1 }>(100), expected);
    }
}
