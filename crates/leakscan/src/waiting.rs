// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows on their way from the sieve through the filter to the index: at each stage many at once, so that one cache miss
//! hides the others.

use super::filter::{Asked, BATCH, Fetched};
use super::needles::Index;
use super::windows::{hash, is_weak, window};

/// Windows that wait at one place; there is room for a batch more.
const QUEUE: usize = BATCH;

/// The places of some windows.
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

    /// Takes a batch from the beginning, or what is there; how many that are.
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

/// Calls `with` with the number of each bit that is set, from the highest on.
#[inline(always)]
fn for_each_bit(mut bits: u32, mut with: impl FnMut(usize)) {
    while bits != 0 {
        let number = bits.leading_zeros();
        with(number as usize);
        bits &= !(1u32 << 31 >> number);
    }
}

/// Windows that passed the sieve; those of them of which the filter's words are on their way; windows that passed both.
pub(super) struct Waiting {
    sieved: Queue,
    asked: [usize; BATCH],
    asked_len: usize,
    fetched: Fetched,
    passed: Queue,
}

impl Waiting {
    pub(super) const NEW: Self =
        Self { sieved: Queue::NEW, asked: [0; BATCH], asked_len: 0, fetched: Fetched::NONE, passed: Queue::NEW };

    /// Queues those of some windows, `STRIDE` bytes apart, whose bit is set: a branch for each, which chance decides, would
    /// be mispredicted every few windows. What passes all is for `visit`.
    #[inline(always)]
    pub(super) fn queue<const STRIDE: usize>(
        &mut self,
        index: &Index,
        bytes: &[u8],
        (batch, base): (&[[u8; STRIDE]], usize),
        sieved: u32,
        visit: &mut impl FnMut(usize),
    ) {
        if sieved == 0 {
            return;
        }
        if sieved.count_ones() as usize == batch.len() && are_all_same(batch.as_flattened()) && batch.len() > 2 {
            // Of bytes that are all the same, as most of a process's memory is, the first and the last window speak for
            // those between them.
            self.sieved.push(base);
            self.sieved.push(base.wrapping_add(STRIDE.wrapping_mul(batch.len().wrapping_sub(1))));
        } else {
            for_each_bit(sieved, |number| self.sieved.push(base.wrapping_add(STRIDE.wrapping_mul(number))));
        }
        if self.sieved.len >= QUEUE {
            self.ask(index, bytes);
            if self.passed.len >= QUEUE {
                self.look_up(index, bytes, visit);
            }
        }
    }

    /// All that waits goes through.
    pub(super) fn finish(&mut self, index: &Index, bytes: &[u8], visit: &mut impl FnMut(usize)) {
        while self.sieved.len > 0 || self.asked_len > 0 {
            self.ask(index, bytes);
            self.look_up(index, bytes, visit);
        }
    }

    /// A batch is asked for in the filter, and the one before is answered.
    #[inline(always)]
    fn ask(&mut self, index: &Index, bytes: &[u8]) {
        let filter: Asked<'_> = index.filter.filter();
        let passed = filter.test_all(&self.fetched, self.asked_len);
        for_each_bit(passed, |number| self.passed.push(self.asked.get(number).copied().unwrap_or_default()));
        self.asked_len = self.sieved.take(&mut self.asked);
        let mut windows = [0; BATCH];
        for (place, &at) in windows.iter_mut().zip(self.asked.iter().take(self.asked_len)) {
            *place = window(bytes, at).unwrap_or_default();
        }
        filter.fetch_all(&windows, &mut self.fetched);
    }

    /// Those are visited of which the index has a window with the same tag, or for which their neighbours are asked.
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
                if index.has_tag(bounds, hash) | window(bytes, at).is_some_and(is_weak) {
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
