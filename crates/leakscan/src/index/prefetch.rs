// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows on their way from the coarse filter through the fine filter to the index: many at each stage, so that their
//! cache misses overlap.

use super::filter::{BATCH, Fetched, OneFilter};
use super::needles::Index;
use super::windows::{hash, is_repetitive, window};

/// Windows in a queue before it is emptied; it has room for a batch more.
const QUEUE: usize = BATCH;

/// The places of windows that are at one stage.
struct Queue {
    places: [usize; QUEUE + BATCH],
    len: usize,
}

impl Queue {
    const NEW: Self = Self { places: [0; QUEUE + BATCH], len: 0 };

    #[inline(always)]
    fn push(&mut self, at: usize) {
        if let Some(place) = self.places.get_mut(self.len) {
            *place = at;
        }
        self.len = self.len.wrapping_add(1);
    }

    /// Takes a batch from the front, or all if there are fewer. Returns how many.
    #[inline(always)]
    fn take(&mut self, batch: &mut [usize; BATCH]) -> usize {
        let len = self.len.min(BATCH);
        let (first, rest) = self.places.split_at_mut(QUEUE);
        batch.iter_mut().zip(first.iter()).for_each(|(to, from)| *to = *from);
        first.iter_mut().zip(rest.iter()).for_each(|(to, from)| *to = *from);
        self.len = self.len.wrapping_sub(len);
        len
    }
}

/// Calls `with` with the number of each set bit, from the highest on.
#[inline(always)]
fn for_each_bit(mut bits: u32, mut with: impl FnMut(usize)) {
    while bits != 0 {
        let number = bits.leading_zeros();
        with(number as usize);
        bits &= !(1u32 << 31 >> number);
    }
}

/// The windows at each stage.
pub(super) struct Pipeline {
    /// They passed the coarse filter.
    coarse_passed: Queue,
    /// Their words of the fine filter are being prefetched.
    fetching: [usize; BATCH],
    fetching_len: usize,
    fetched: Fetched,
    /// They passed both filters.
    passed: Queue,
}

impl Pipeline {
    pub(super) const NEW: Self = Self {
        coarse_passed: Queue::NEW,
        fetching: [0; BATCH],
        fetching_len: 0,
        fetched: Fetched::NONE,
        passed: Queue::NEW,
    };

    /// Queues the windows of a batch, `STRIDE` bytes apart, whose bit is set: a random branch for each would be
    /// mispredicted every few windows. Calls `visit` with the windows that pass all stages.
    #[inline(always)]
    pub(super) fn queue<const STRIDE: usize>(
        &mut self,
        index: &Index,
        bytes: &[u8],
        (batch, base): (&[[u8; STRIDE]], usize),
        passing: u32,
        visit: &mut impl FnMut(usize),
    ) {
        if passing == 0 {
            return;
        }
        if passing.count_ones() as usize == batch.len() && are_all_same(batch.as_flattened()) && batch.len() > 2 {
            // If all bytes are the same, as in most of a process's memory, the first and the last window stand for
            // those between them.
            self.coarse_passed.push(base);
            self.coarse_passed.push(base.wrapping_add(STRIDE.wrapping_mul(batch.len().wrapping_sub(1))));
        } else {
            for_each_bit(passing, |number| self.coarse_passed.push(base.wrapping_add(STRIDE.wrapping_mul(number))));
        }
        if self.coarse_passed.len >= QUEUE {
            self.test(index, bytes);
            if self.passed.len >= QUEUE {
                self.look_up(index, bytes, visit);
            }
        }
    }

    /// Takes all windows through the remaining stages.
    pub(super) fn finish(&mut self, index: &Index, bytes: &[u8], visit: &mut impl FnMut(usize)) {
        while self.coarse_passed.len > 0 || self.fetching_len > 0 {
            self.test(index, bytes);
            self.look_up(index, bytes, visit);
        }
    }

    /// Prefetches the words of the next batch, and tests the one before.
    #[inline(always)]
    fn test(&mut self, index: &Index, bytes: &[u8]) {
        let filter: OneFilter<'_> = index.filter.fine();
        let passed = filter.test_all(&self.fetched, self.fetching_len);
        for_each_bit(passed, |number| self.passed.push(self.fetching.get(number).copied().unwrap_or_default()));
        self.fetching_len = self.coarse_passed.take(&mut self.fetching);
        let mut windows = [0; BATCH];
        for (place, &at) in windows.iter_mut().zip(self.fetching.iter().take(self.fetching_len)) {
            *place = window(bytes, at).unwrap_or_default();
        }
        filter.fetch_all(&windows, &mut self.fetched);
    }

    /// Visits the windows for which the index has an entry with the same tag, and the repetitive ones, whose neighbours
    /// stand for them.
    fn look_up(&mut self, index: &Index, bytes: &[u8], visit: &mut impl FnMut(usize)) {
        let mut places = [0; BATCH];
        while self.passed.len > 0 {
            let len = self.passed.take(&mut places);
            let (mut looked_up, mut bounds) = ([(0u64, 0usize); BATCH], [[0u32; 2]; BATCH]);
            for (looked_up, &at) in looked_up.iter_mut().zip(&places).take(len) {
                let hash = hash(window(bytes, at).unwrap_or_default());
                *looked_up = (hash, index.bucket(hash));
            }
            for (bounds, &(_, bucket)) in bounds.iter_mut().zip(&looked_up).take(len) {
                *bounds = index.bounds(bucket);
            }
            for ((&at, &bounds), &(hash, _)) in places.iter().zip(&bounds).zip(&looked_up).take(len) {
                if index.has_tag(bounds, hash) | window(bytes, at).is_some_and(is_repetitive) {
                    visit(at);
                }
            }
        }
    }
}

#[inline(never)]
fn are_all_same(bytes: &[u8]) -> bool {
    let first = bytes.first().copied().unwrap_or_default();
    bytes.iter().fold(0, |different, &byte| different | (byte ^ first)) == 0
}
