// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where bytes meet the index: every ninth window is looked up, and what is met is compared to its ends.

use super::needles::{CROWD, FRAGMENT, Index, hash};
use super::windows::{SPAN, WINDOW, canonical, is_strong, is_weak, may_be_weak, window};
use core::ops::Range;
use std::vec::Vec;

/// Windows whose filter words are fetched together, so that one cache miss hides the others.
const BATCH: usize = 16;
/// Windows that passed the filter and wait to be looked up.
const QUEUE: usize = 32;
/// Matches of which is remembered how far they reach, so that a long value is not compared anew at each of its windows.
const RECENT: usize = 64;

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
        if self.is_empty() || bytes.len() < FRAGMENT {
            return;
        }
        let mut probe = Probe { index: self, bytes, recent: Vec::new(), oldest: 0, found };
        let (windows, rest) = bytes.as_chunks::<SPAN>();
        let mut waiting = Waiting { places: [(0, 0); QUEUE], len: 0 };
        let mut base = 0usize;
        for batch in windows.chunks(BATCH) {
            // Loads in a row, with nothing between them that waits for one.
            let (mut hashes, mut weak, mut passed) = ([0u64; BATCH], 0u32, 0u32);
            let mut bit = 1u32;
            for (place, &[a, b, c, d, e, f, g, h, _]) in hashes.iter_mut().zip(batch) {
                let window = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                *place = hash(canonical(window));
                weak |= bit & u32::from(may_be_weak(window)).wrapping_neg();
                bit <<= 1;
            }
            let mut bit = 1u32;
            for &hash in &hashes {
                passed |= bit & u32::from(self.may_hold(hash)).wrapping_neg();
                bit <<= 1;
            }
            // Those beyond the end of a short batch.
            passed = (passed | weak)
                & u32::MAX.checked_shr(u32::BITS.saturating_sub(batch.len() as u32)).unwrap_or_default();
            if weak.count_ones() as usize == BATCH && is_uniform(batch.as_flattened()) {
                // What the windows within stand for is all the same; those at the ends stand for what is around as well.
                passed = 1 | 1 << (BATCH - 1);
            }
            while passed != 0 {
                let number = passed.trailing_zeros();
                passed &= passed.wrapping_sub(1);
                let at = base.saturating_add(SPAN.saturating_mul(number as usize));
                if weak >> number & 1 != 0 {
                    probe.visit(at);
                } else if waiting.push(at, hashes.get(number as usize).copied().unwrap_or_default()) {
                    waiting.visit(&mut probe);
                }
            }
            base = base.saturating_add(SPAN.saturating_mul(batch.len()));
        }
        waiting.visit(&mut probe);
        if rest.len() >= WINDOW {
            probe.visit(base);
        }
    }
}

/// Windows that passed the filter. They are looked up together, so that their cache misses overlap too.
struct Waiting {
    places: [(usize, u64); QUEUE],
    len: usize,
}

impl Waiting {
    /// Whether there is no more room.
    fn push(&mut self, at: usize, hash: u64) -> bool {
        if let Some(place) = self.places.get_mut(self.len) {
            *place = (at, hash);
            self.len = self.len.saturating_add(1);
        }
        self.len >= QUEUE
    }

    fn visit(&mut self, probe: &mut Probe<'_, impl FnMut(Match)>) {
        let places = self.places.get(..self.len).unwrap_or_default();
        let mut buckets = [[0u32; 2]; QUEUE];
        for (bucket, &(_, hash)) in buckets.iter_mut().zip(places) {
            *bucket = probe.index.bucket_of(hash);
        }
        let mut may_be = [false; QUEUE];
        for ((may_be, &bucket), &(_, hash)) in may_be.iter_mut().zip(&buckets).zip(places) {
            *may_be = probe.index.tagged(bucket, hash).next().is_some();
        }
        for (&(at, _), _) in places.iter().zip(may_be).filter(|&(_, may_be)| may_be) {
            probe.visit(at);
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
            let last = at.saturating_add(SPAN);
            for near in at.saturating_sub(WINDOW)..last {
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
        bytes == bytes.rotate_left(8)
            && at >= WINDOW
            && same(at.saturating_sub(WINDOW))
            && same(at.saturating_add(WINDOW))
    }

    /// Compares what the index has for this window; whether that is a crowd.
    fn look_up(&mut self, at: usize, bytes: u64) -> bool {
        let hash = hash(canonical(bytes));
        if !self.index.may_hold(hash) {
            return false;
        }
        let index = self.index;
        let mut same = 0usize;
        for offset in index.candidates(hash) {
            let Some(there) = window(&index.arena, offset) else { continue };
            let (forwards, backwards) = (there == bytes, there == bytes.swap_bytes());
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

/// Whether all bytes are the same, without a branch for each.
fn is_uniform(bytes: &[u8]) -> bool {
    let first = bytes.first().copied().unwrap_or_default();
    bytes.iter().fold(0, |any, byte| any | (byte ^ first)) == 0
}

fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}
