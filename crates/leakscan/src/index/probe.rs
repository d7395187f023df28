// SPDX-License-Identifier: MIT OR Apache-2.0
//! The look-up of bytes in the index: every eleventh window is looked up, and a match is compared to both ends.

use super::super::simd::level;
use super::filter::{BATCH, Fetched, first_windows};
use super::needles::{FRAGMENT, Index, MAX_SHARED};
use super::pages::fetch;
use super::prefetch::Pipeline;
use super::windows::{SPAN, WINDOW, hash, is_distinctive, is_repetitive, is_uniform, reversed, window};
use core::ops::Range;
use fearless_simd::{Simd as _, dispatch};

/// Bytes of evidence that are prefetched.
const AHEAD: usize = 4096;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Matches whose extent is remembered, so that a long value is not compared again at each of its windows.
const RECENT: usize = 64;

/// How far before and after a window the other windows begin that share a fragment with it.
const REACH: usize = SPAN - 1;

/// A part of a value in some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// The number of the value.
    pub(crate) value: u32,
    /// The part of the value.
    pub(crate) range: Range<usize>,
    /// The index of its first byte in the bytes that were searched.
    pub(crate) at: usize,
    /// Whether it is there in reverse order.
    pub(crate) reversed: bool,
}

impl Match {
    /// The parts of a match between the borders in the examined bytes that are matches themselves: bytes on both sides
    /// of a border are not adjacent in the evidence.
    pub(crate) fn split(self, borders: &[usize], bytes: &[u8], mut add: impl FnMut(Self)) {
        let end = self.at.saturating_add(self.range.len());
        let first = borders.partition_point(|&border| border < self.at);
        if borders.get(first).is_none_or(|&border| border >= end) {
            return add(self);
        }
        let mut from = self.at;
        for &border in borders.get(first..).unwrap_or_default().iter().chain([&end]) {
            let to = border.min(end);
            let part = bytes.get(from..to).unwrap_or_default();
            if part.windows(FRAGMENT).any(is_distinctive) {
                let skipped = from.saturating_sub(self.at);
                let start = match self.reversed {
                    false => self.range.start.saturating_add(skipped),
                    true => self.range.end.saturating_sub(skipped).saturating_sub(part.len()),
                };
                add(Self { range: start..start.saturating_add(part.len()), at: from, ..self.clone() });
            }
            if border >= end {
                break;
            }
            from = border.saturating_add(1);
        }
    }
}

struct Probe<'a> {
    index: &'a Index,
    bytes: &'a [u8],
    /// Value, direction, diagonal, and the range of `bytes` that was found to be part of it.
    recent: Vec<(u32, bool, usize, Range<usize>)>,
    oldest: usize,
    found: &'a mut dyn FnMut(Match),
}

/// Calls `found` with every match of at least [`FRAGMENT`] bytes, except those with too few distinct values.
pub(crate) fn matches(index: &Index, bytes: &[u8], mut found: impl FnMut(Match)) {
    matches_every::<SPAN>(index, bytes, &mut found);
}

/// Looks up one window in `STRIDE`: if that is more than [`SPAN`], fragments between the windows are missed.
fn matches_every<const STRIDE: usize>(index: &Index, bytes: &[u8], found: &mut dyn FnMut(Match)) {
    if !index.is_empty() && bytes.len() >= FRAGMENT {
        dispatch!(level(), simd => simd.vectorize(#[inline(always)] || probe::<STRIDE>(index, bytes, found)));
    }
}

#[inline(always)]
fn probe<const STRIDE: usize>(index: &Index, bytes: &[u8], found: &mut dyn FnMut(Match)) {
    let mut probe = Probe { index, bytes, recent: Vec::new(), oldest: 0, found };
    let (windows, rest) = bytes.as_chunks::<STRIDE>();
    let filter = index.filter.coarse();
    let mut pipeline = Pipeline::NEW;
    // Each batch is tested one step after its words were prefetched.
    let (mut one, mut other) = (Fetched::NONE, Fetched::NONE);
    let (mut fetched, mut fetching) = (&mut one, &mut other);
    let mut base = 0usize;
    let (batches, others) = windows.as_chunks::<BATCH>();
    let mut before: &[[u8; STRIDE]] = &[];
    let mut visit = |at| probe.visit(at);
    for batch in batches {
        fetch_ahead(batch, bytes, base);
        filter.fetch_all(&first_windows(batch), fetching);
        let passing = filter.test_all(fetched, before.len());
        pipeline.queue(index, bytes, (before, base), passing, &mut visit);
        (fetched, fetching) = (fetching, fetched);
        base = base.wrapping_add(STRIDE.wrapping_mul(before.len()));
        before = batch;
    }
    filter.fetch_all(&first_windows(others), fetching);
    for (fetched, batch) in [(fetched, before), (fetching, others)] {
        let passing = filter.test_all(fetched, batch.len());
        pipeline.queue(index, bytes, (batch, base), passing, &mut visit);
        base = base.wrapping_add(STRIDE.wrapping_mul(batch.len()));
    }
    pipeline.finish(index, bytes, &mut visit);
    if rest.len() >= WINDOW {
        probe.visit(base);
    }
}

/// Prefetches bytes that follow a batch after [`AHEAD`] bytes: the processor's own prefetching ends at each page of 4
/// KiB.
#[inline(always)]
fn fetch_ahead<const STRIDE: usize>(batch: &[[u8; STRIDE]; BATCH], bytes: &[u8], base: usize) {
    for line in (0..batch.as_flattened().len()).step_by(LINE) {
        fetch(bytes, base.wrapping_add(AHEAD).wrapping_add(line));
    }
}

impl Probe<'_> {
    /// Looks up the window at `at`; and those around it if it is repetitive, or the index has too many entries for it.
    fn visit(&mut self, at: usize) {
        let Some(bytes) = window(self.bytes, at) else { return };
        let shared = if is_repetitive(bytes) { true } else { self.look_up(at, bytes) };
        if shared && !self.is_uniform(at, bytes) {
            for near in at.saturating_sub(REACH)..=at.saturating_add(REACH) {
                match window(self.bytes, near) {
                    Some(bytes) if near != at && !is_repetitive(bytes) => _ = self.look_up(near, bytes),
                    _ => {}
                }
            }
        }
    }

    /// Whether all bytes around are the same, as in most of a process's memory.
    fn is_uniform(&self, at: usize, bytes: u64) -> bool {
        let same = |at| window(self.bytes, at) == Some(bytes);
        is_uniform(bytes)
            && at >= REACH
            && [WINDOW, REACH].iter().all(|&far| same(at.saturating_sub(far)) && same(at.saturating_add(far)))
    }

    /// Compares the entries of this window. Returns whether there are so many that the index may have left out some.
    fn look_up(&mut self, at: usize, bytes: u64) -> bool {
        let hash = hash(bytes);
        if !self.index.filter.may_hold(bytes, hash) {
            return false;
        }
        let index = self.index;
        let mut same = 0usize;
        for offset in index.candidates(hash) {
            let Some(there) = window(&index.arena, offset) else { continue };
            let (forwards, backwards) = (there == bytes, there == reversed(bytes));
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
        same >= MAX_SHARED
    }

    /// Compares a value with the bytes around a window that both contain.
    fn compare(&mut self, at: usize, offset: usize, reversed: bool) {
        let Some((value, span)) = self.index.value_at(offset) else { return };
        // The window crosses the border of two values.
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
        let (before, after) = (self.bytes.get(..at), self.bytes.get(at.saturating_add(WINDOW)..));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let lower = self.index.arena.get(span.start..offset).unwrap_or_default();
        let upper = self.index.arena.get(offset.saturating_add(WINDOW)..span.end).unwrap_or_default();
        let (left, right) = match reversed {
            false => (common(before.iter().rev(), lower.iter().rev()), common(after.iter(), upper.iter())),
            true => (common(before.iter().rev(), upper.iter()), common(after.iter(), lower.iter().rev())),
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
        if matched.windows(FRAGMENT).any(is_distinctive) {
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

    /// The places in `len` bytes at which a fragment is missed.
    fn missed<const STRIDE: usize>(len: usize) -> BTreeSet<usize> {
        let secret: Vec<u8> = (100..132).collect();
        let mut needles = Needles::new();
        needles.add_secret(0, &secret);
        let Ok(index) = needles.build() else { return (0..len).collect() };
        let is_missed = |from: usize, at: usize| {
            let mut bytes = vec![0xFE; len];
            bytes.splice(at..at + FRAGMENT, secret[from..from + FRAGMENT].iter().copied());
            let mut found = Vec::new();
            matches_every::<STRIDE>(&index, &bytes, &mut |one| found.push((one.range, one.at)));
            found != [(from..from + FRAGMENT, at)]
        };
        let last = len - FRAGMENT;
        (0..=secret.len() - FRAGMENT)
            .flat_map(|from| (0..=last).filter(move |&at| is_missed(from, at)).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn every_fragment_is_found_and_with_a_longer_stride_some_are_missed() {
        // Less than two windows, part of a batch, and several batches with a part.
        for len in [FRAGMENT, FRAGMENT + 1, 100, 3 * SPAN * BATCH + 17] {
            assert_eq!(missed::<SPAN>(len), BTreeSet::new(), "{len}");
        }
        let expected: BTreeSet<_> = (0..=100 - FRAGMENT).filter(|at| at % (SPAN + 1) == 1).collect();
        assert_eq!(missed::<{ SPAN + 1 }>(100), expected);
    }
}
