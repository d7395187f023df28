// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where bytes meet the index: every eleventh window is looked up, and what is met is compared to its ends.

use super::needles::{CROWD, FRAGMENT, FilterBits, FilterView, Index};
use super::windows::{SPAN, WINDOW, first_window, hash, is_plain, is_strong, is_weak, mirrored, window};
use core::ops::Range;
use std::vec::Vec;

/// Windows whose filter words are fetched before they are tested: as long as memory takes, a hundred nanoseconds, at three
/// or four for a window.
const BATCH: usize = 32;
const _: () = assert!(BATCH == u32::BITS as usize);
/// Windows that wait to be looked up; there is room for a batch more.
const QUEUE: usize = 32;
/// Windows that are looked up together, so that one cache miss hides the others.
const LOOK_UPS: usize = 32;
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

struct Probe<'a, F> {
    index: &'a Index,
    bytes: &'a [u8],
    /// Value, direction, and the range of `bytes` that was found to be part of it.
    recent: Vec<(u32, bool, usize, Range<usize>)>,
    oldest: usize,
    found: F,
}

impl Index {
    /// Calls `found` with every match of [`FRAGMENT`] bytes and more; those with too few distinct values are left out.
    pub(super) fn examine(&self, bytes: &[u8], found: impl FnMut(Match)) {
        self.examine_every::<SPAN>(bytes, found);
    }

    /// One window in `STRIDE` is looked up: with more than [`SPAN`], fragments lie between them.
    #[inline(always)]
    fn examine_every<const STRIDE: usize>(&self, bytes: &[u8], found: impl FnMut(Match)) {
        if self.is_empty() || bytes.len() < FRAGMENT {
            return;
        }
        let mut probe = Probe { index: self, bytes, recent: Vec::new(), oldest: 0, found };
        let (windows, rest) = bytes.as_chunks::<STRIDE>();
        let filter = self.filter.view();
        let mut waiting = Waiting { places: [0; QUEUE + BATCH], len: 0 };
        // What is tested are the windows of the batch before: in the meantime their words have come.
        let (mut one, mut other) = ([Fetched::default(); BATCH], [Fetched::default(); BATCH]);
        let (mut fetched, mut fetching) = (&mut one, &mut other);
        let mut base = 0usize;
        let (batches, others) = windows.as_chunks::<BATCH>();
        let mut before: &[[u8; STRIDE]] = &[];
        for batch in batches {
            filter.fetch_all(batch, fetching);
            waiting.test(filter, fetched, before, base);
            (fetched, fetching) = (fetching, fetched);
            base = base.wrapping_add(STRIDE.wrapping_mul(before.len()));
            before = batch;
            if waiting.len > QUEUE {
                waiting.visit(&mut probe);
            }
        }
        filter.fetch_all(others, fetching);
        for (fetched, batch) in [(fetched, before), (fetching, others)] {
            waiting.test(filter, fetched, batch, base);
            base = base.wrapping_add(STRIDE.wrapping_mul(batch.len()));
            if waiting.len > QUEUE {
                waiting.visit(&mut probe);
            }
        }
        waiting.visit(&mut probe);
        if rest.len() >= WINDOW {
            probe.visit(base);
        }
    }
}

/// Of a window whose word is being fetched: where that is, and what tells its bits.
#[derive(Clone, Copy, Default)]
struct Fetched {
    place: u32,
    bits: FilterBits,
}

impl FilterView<'_> {
    #[inline(always)]
    fn fetch_all<const STRIDE: usize>(self, batch: &[[u8; STRIDE]], fetched: &mut [Fetched; BATCH]) {
        for (fetched, bytes) in fetched.iter_mut().zip(batch) {
            let window = bytes.first_chunk().copied().map_or(0, first_window);
            let hash = hash(window);
            let place = self.place(window, hash);
            self.fetch(place);
            // There are fewer words than windows, whose offsets have 32 bits.
            *fetched = Fetched { place: place as u32, bits: FilterBits::of(hash) };
        }
    }
}

/// Windows that passed the filter. They are looked up together, so that their cache misses overlap too.
struct Waiting {
    places: [usize; QUEUE + BATCH],
    len: usize,
}

impl Waiting {
    /// Queues what passes the filter. Which windows of a batch do is asked once for all: a branch for each, which chance
    /// decides, would be mispredicted every few windows.
    #[inline(always)]
    fn test<const STRIDE: usize>(
        &mut self,
        filter: FilterView<'_>,
        fetched: &[Fetched; BATCH],
        batch: &[[u8; STRIDE]],
        base: usize,
    ) {
        let fetched = fetched.get(..batch.len()).unwrap_or(fetched);
        // The first window's bit is the highest.
        let mut passed = fetched.iter().fold(0u32, |passed, &Fetched { place, bits }| {
            passed << 1 | u32::from(bits.are_in(filter.word(place as usize)))
        });
        if passed == 0 {
            return;
        }
        let before = self.len;
        passed <<= BATCH.saturating_sub(fetched.len());
        while passed != 0 {
            let number = passed.leading_zeros();
            if let Some(place) = self.places.get_mut(self.len) {
                *place = base.wrapping_add(STRIDE.wrapping_mul(number as usize));
            }
            self.len = self.len.wrapping_add(1);
            passed &= !(1u32 << 31 >> number);
        }
        if self.len.wrapping_sub(before) == batch.len() {
            self.thin_plain(batch, before);
        }
    }

    /// Of a batch that is all the same byte, as most of a process's memory is, the first and the last window speak for those
    /// between them: [`Probe::is_plain`].
    #[inline(never)]
    fn thin_plain<const STRIDE: usize>(&mut self, batch: &[[u8; STRIDE]], before: usize) {
        let bytes = batch.as_flattened();
        let first = bytes.first().copied().unwrap_or_default();
        let is_plain = bytes.iter().fold(0, |different, &byte| different | (byte ^ first)) == 0;
        if is_plain && batch.len() > 2 {
            self.places.swap(before.saturating_add(1), self.len.saturating_sub(1));
            self.len = before.saturating_add(2);
        }
    }

    fn visit(&mut self, probe: &mut Probe<'_, impl FnMut(Match)>) {
        let index = probe.index;
        for places in self.places.get(..self.len).unwrap_or_default().chunks(LOOK_UPS) {
            let (mut looked_up, mut bounds) = ([(0u64, 0usize); LOOK_UPS], [[0u32; 2]; LOOK_UPS]);
            for (looked_up, &at) in looked_up.iter_mut().zip(places) {
                let hash = hash(window(probe.bytes, at).unwrap_or_default());
                *looked_up = (hash, index.bucket(hash));
            }
            for (bounds, &(_, bucket)) in bounds.iter_mut().zip(&looked_up).take(places.len()) {
                *bounds = index.bounds(bucket);
            }
            for ((&at, &bounds), &(hash, _)) in places.iter().zip(&bounds).zip(&looked_up) {
                if index.has_tag(bounds, hash) | window(probe.bytes, at).is_some_and(is_weak) {
                    probe.visit(at);
                }
            }
        }
        self.len = 0;
    }
}

impl<F: FnMut(Match)> Probe<'_, F> {
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
        if !self.index.filter.view().may_hold(bytes, hash) {
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
    use std::vec;

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
            index.examine_every::<STRIDE>(&bytes, |one| found.push((one.range, one.at)));
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
