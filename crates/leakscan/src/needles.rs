// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Needles`]: the values that are searched for, and the index that meets them.
//!
//! Every window of six bytes of a secret is in the index; a search looks at every eleventh window of the evidence. Sixteen
//! bytes hold eleven windows in a row, so that each fragment of sixteen is met once, whatever its place. A window and its
//! mirror image share one entry, which is how reversed secrets cost nothing.
//!
//! ```text
//! sieve     two bits of one 64-bit word for each window: whether the filter is worth its cache miss
//! filter    four bits of one 64-bit word for each window: whether a table lookup is worth its own. Both also for the
//!           windows that are too plain for an entry: what has their look is met through its neighbours
//! starts    where each bucket begins in entries: one for sixteen entries
//! entries   tag || offset into the arena, 32 bits in all
//! arena     the values, one behind the other
//! ```

use super::filter::{Filter, reduce};
use super::pages::{Pages, fetch};
use super::windows::{SPAN, WINDOW, canonical, hash, is_ascii, is_strong, is_weak, window};
use core::fmt;

/// Bytes of a fragment that is found wherever it is.
pub const FRAGMENT: usize = 16;
/// Bytes at the beginning of a secret in which every fragment of [`FRAGMENT`] bytes is found: more than the longest key,
/// so that only plaintexts are ever sampled.
pub const DENSE: usize = 4096;
/// Bytes of a fragment that is found behind the first [`DENSE`] bytes of a secret: there, the first sixteen bytes that are
/// not too plain are indexed in each stretch of `STRETCH`, and a fragment of this length holds one of those whole.
pub const LONG_FRAGMENT: usize = 512;
/// Two stretches hold the widest gap between samples; sixteen bytes more hold the sample.
const STRETCH: usize = (LONG_FRAGMENT - FRAGMENT) / 2;
/// Entries of one window. A window that more values share (a common prefix of plaintexts) is met through its neighbours
/// as well, and a fragment that nothing sets apart is reported for this many values.
pub(super) const CROWD: usize = 32;
/// Entries for a bucket, on average: what a cache line holds.
const BUCKET: usize = 16;

/// The index cannot hold so many bytes: offsets into the values have 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNeedles;

impl fmt::Display for TooManyNeedles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the values to be found are more than 4 GiB")
    }
}

impl core::error::Error for TooManyNeedles {}

#[derive(Clone, Copy)]
pub(super) struct Value {
    pub(super) id: u32,
    pub(super) start: u32,
    /// A public value: it counts from its first byte on, or not at all.
    pub(super) whole: bool,
}

/// The values to be found, one by one.
#[derive(Default)]
pub struct Needles {
    arena: Vec<u8>,
    values: Vec<Value>,
    too_short: u64,
    overflow: bool,
}

impl fmt::Debug for Needles {
    /// Without the values: most are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Needles {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A secret, of which every fragment of [`FRAGMENT`] bytes is to be found; behind the first [`DENSE`] bytes, every
    /// fragment of [`LONG_FRAGMENT`] bytes. Values shorter than a fragment are counted ([`Index::too_short`]), and not
    /// searched.
    pub fn add_secret(&mut self, id: u32, bytes: &[u8]) {
        self.add(id, bytes, false);
    }

    /// A public value, found by its first [`FRAGMENT`] bytes; the hit says how much of it is there.
    pub fn add_whole(&mut self, id: u32, bytes: &[u8]) {
        self.add(id, bytes, true);
    }

    fn add(&mut self, id: u32, bytes: &[u8], whole: bool) {
        if bytes.len() < FRAGMENT {
            self.too_short = self.too_short.saturating_add(1);
            return;
        }
        let end = self.arena.len().saturating_add(bytes.len());
        match (u32::try_from(self.arena.len()), u32::try_from(end)) {
            (Ok(start), Ok(_)) => {
                self.values.push(Value { id, start, whole });
                self.arena.extend_from_slice(bytes);
            }
            _ => self.overflow = true,
        }
    }

    /// The index, in a time that grows with the windows.
    ///
    /// # Errors
    /// [`TooManyNeedles`] beyond 4 GiB.
    pub fn build(mut self) -> Result<Index, TooManyNeedles> {
        if self.overflow {
            return Err(TooManyNeedles);
        }
        self.arena.shrink_to_fit();
        self.values.shrink_to_fit();
        let (mut windows, mut ascii, mut weak) = (0u64, 0u64, 0u64);
        self.for_each_window(|_, window| match is_weak(window) {
            true => weak = weak.saturating_add(1),
            false => {
                windows = windows.saturating_add(1);
                ascii = ascii.saturating_add(u64::from(is_ascii(window)));
            }
        });
        let entries = usize::try_from(windows).map_err(|_| TooManyNeedles)?;
        let _ = u32::try_from(entries).map_err(|_| TooManyNeedles)?;
        let filter = Filter::of(ascii, windows.saturating_sub(ascii)).ok_or(TooManyNeedles)?;
        let mut index = Index {
            arena: Vec::new(),
            values: Vec::new(),
            filter,
            starts: Pages::new((entries / BUCKET).saturating_add(3).saturating_mul(4)),
            entries: Pages::new(entries.saturating_mul(4)),
            offset_mask: u32::try_from(self.arena.len())
                .unwrap_or(u32::MAX)
                .checked_next_power_of_two()
                .unwrap_or(0)
                .wrapping_sub(1),
            too_short: self.too_short,
            weak_windows: weak,
        };
        index.fill(&self);
        (index.arena, index.values) = (self.arena, self.values);
        index.thin_crowds();
        Ok(index)
    }

    /// Visits the windows that are looked for: their offsets in the arena, and their canonical values.
    fn for_each_window(&self, mut visit: impl FnMut(u32, u64)) {
        for (at, value) in self.values.iter().enumerate() {
            let start = value.start as usize;
            let end = self.values.get(at.saturating_add(1)).map_or(self.arena.len(), |next| next.start as usize);
            let bytes = self.arena.get(start..end).unwrap_or_default();
            let dense = if value.whole { FRAGMENT } else { DENSE.min(bytes.len()) };
            let mut visit_at = |at: usize, bytes: u64| visit(value.start.wrapping_add(at as u32), canonical(bytes));
            for (at, bytes) in bytes.get(..dense).unwrap_or_default().windows(WINDOW).enumerate() {
                visit_at(at, window(bytes, 0).unwrap_or_default());
            }
            // The dense part holds every fragment up to its end; a sample may begin in its last fifteen bytes.
            let mut from = dense.saturating_sub(FRAGMENT).saturating_add(1);
            while from.saturating_add(FRAGMENT) <= bytes.len() {
                let stretch =
                    from..from.saturating_add(STRETCH).min(bytes.len().saturating_sub(FRAGMENT).saturating_add(1));
                let sample = stretch.clone().find(|&at| is_strong(bytes.get(at..).unwrap_or_default()));
                if let Some(sample) = sample {
                    for at in sample..sample.saturating_add(SPAN) {
                        visit_at(at, window(bytes, at).unwrap_or_default());
                    }
                }
                from = stretch.end;
            }
        }
    }
}

/// The index over [`Needles`]: 199 bytes for a secret of 32: 108 of entries, 41 of sieve and filter, 32 of
/// its own, 12 of what it is, 7 of starts.
pub struct Index {
    pub(super) arena: Vec<u8>,
    pub(super) values: Vec<Value>,
    pub(super) filter: Filter,
    starts: Pages,
    entries: Pages,
    /// The low bits of an entry: an offset into the arena. What is left above is a tag.
    offset_mask: u32,
    too_short: u64,
    weak_windows: u64,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Index {
    /// Values that are searched for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is searched for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Values of fewer than [`FRAGMENT`] bytes, which are not searched for.
    #[must_use]
    pub const fn too_short(&self) -> u64 {
        self.too_short
    }

    /// Windows of six bytes with one or two distinct values, which are not in the index. A fragment of sixteen that
    /// holds no other has fewer than five distinct values.
    #[must_use]
    pub const fn weak_windows(&self) -> u64 {
        self.weak_windows
    }

    /// Bytes of memory that the index takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let Self { arena, values, filter, starts, entries, offset_mask: _, too_short: _, weak_windows: _ } = self;
        let tables = filter.memory().saturating_add(starts.len()).saturating_add(entries.len());
        tables.saturating_add(arena.capacity()).saturating_add(values.capacity().saturating_mul(size_of::<Value>()))
    }

    /// Where in the arena the window of this hash may be; a few are of other windows.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> {
        self.tagged(self.bounds(self.bucket(hash)), hash)
    }

    /// The number of a hash's bucket, which is fetched.
    #[inline(always)]
    pub(super) fn bucket(&self, hash: u64) -> usize {
        let starts = self.starts.as_chunks::<4>();
        let bucket = reduce(hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32, starts.len().saturating_sub(2));
        fetch(starts, bucket);
        bucket
    }

    /// The bounds of a bucket, whose first and last entries are fetched.
    #[inline(always)]
    pub(super) fn bounds(&self, bucket: usize) -> [u32; 2] {
        let starts = self.starts.as_chunks().get(bucket..).and_then(|starts| starts.first_chunk());
        let bounds = starts.copied().unwrap_or_default().map(u32::from_le_bytes);
        for bound in bounds {
            fetch(self.entries.as_chunks::<4>(), bound as usize);
        }
        bounds
    }

    /// The offsets in a bucket that have the tag of this hash.
    #[inline(always)]
    pub(super) fn tagged(&self, [from, to]: [u32; 2], hash: u64) -> impl Iterator<Item = usize> {
        let entries = self.entries.as_chunks().get(from as usize..to as usize).unwrap_or_default();
        let (tag, mask) = (self.tag(hash), self.offset_mask);
        let entries = entries.iter().map(|&entry| u32::from_le_bytes(entry));
        entries.filter(move |entry| entry & !mask == tag).map(move |entry| (entry & mask) as usize)
    }

    /// Whether a bucket has an entry with the tag of this hash: all are looked at, since where to stop would be mispredicted.
    #[inline(always)]
    pub(super) fn has_tag(&self, [from, to]: [u32; 2], hash: u64) -> bool {
        let entries = self.entries.as_chunks().get(from as usize..to as usize).unwrap_or_default();
        let (tag, mask) = (self.tag(hash), !self.offset_mask);
        entries.iter().fold(false, |any, &entry| any | (u32::from_le_bytes(entry) & mask == tag))
    }

    /// The value that holds the byte at `offset` of the arena: its number, and where it lies.
    pub(super) fn value_at(&self, offset: usize) -> Option<(u32, core::ops::Range<usize>)> {
        let behind = self.values.partition_point(|value| value.start as usize <= offset);
        let number = behind.checked_sub(1)?;
        let start = self.values.get(number)?.start as usize;
        let end = self.values.get(behind).map_or(self.arena.len(), |next| next.start as usize);
        Some((u32::try_from(number).ok()?, start..end))
    }

    /// A value by its number, and its length.
    pub(super) fn describe(&self, number: u32) -> Option<(Value, usize)> {
        let value = *self.values.get(number as usize)?;
        let (_, span) = self.value_at(value.start as usize)?;
        Some((value, span.len()))
    }

    const fn tag(&self, hash: u64) -> u32 {
        (hash as u32).rotate_left(16) & !self.offset_mask
    }

    /// A counting sort: how many a bucket gets, where it begins, then each entry to its place.
    fn fill(&mut self, needles: &Needles) {
        needles.for_each_window(|_, window| {
            if is_weak(window) {
                return;
            }
            let bucket = self.bucket(hash(window));
            // Two behind: while the entries are placed, `starts[bucket + 1]` walks from the beginning of the bucket to its end.
            if let Some(count) = self.starts.as_chunks_mut().get_mut(bucket.saturating_add(2)) {
                *count = u32::from_le_bytes(*count).saturating_add(1).to_le_bytes();
            }
        });
        let mut sum = 0u32;
        for start in self.starts.as_chunks_mut() {
            sum = sum.saturating_add(u32::from_le_bytes(*start));
            *start = sum.to_le_bytes();
        }
        needles.for_each_window(|offset, window| {
            let (hash, is_weak) = (hash(window), is_weak(window));
            let (bucket, tag) = (self.bucket(hash), self.tag(hash));
            self.filter.insert(window, hash);
            if is_weak {
                return;
            }
            let Some(next) = self.starts.as_chunks_mut().get_mut(bucket.saturating_add(1)) else { return };
            let place = u32::from_le_bytes(*next);
            if let Some(entry) = self.entries.as_chunks_mut().get_mut(place as usize) {
                *entry = (tag | offset).to_le_bytes();
            }
            *next = place.saturating_add(1).to_le_bytes();
        });
    }

    /// Keeps [`CROWD`] entries of each window: a bucket is walked for every window that meets it.
    fn thin_crowds(&mut self) {
        let mut kept = 0u32;
        let mut bucket_start = 0;
        let (starts, entries) = (self.starts.as_chunks_mut(), self.entries.as_chunks_mut());
        for start in starts.iter_mut().skip(1) {
            let bucket_end = u32::from_le_bytes(*start);
            let mut run = (0u64, 0usize);
            let bucket = entries.get_mut(bucket_start as usize..bucket_end as usize).unwrap_or_default();
            let is_crowd = bucket.len() > CROWD;
            let (arena, mask) = (&self.arena, self.offset_mask);
            let offset_of = |entry: [u8; 4]| u32::from_le_bytes(entry) & mask;
            let window_of = |entry: [u8; 4]| canonical(window(arena, offset_of(entry) as usize).unwrap_or_default());
            if is_crowd {
                bucket.sort_unstable_by_key(|&entry| (window_of(entry), offset_of(entry)));
            }
            for at in bucket_start..bucket_end {
                let Some(&entry) = entries.get(at as usize) else { break };
                if is_crowd {
                    let of = window_of(entry);
                    run = if of == run.0 { (of, run.1.saturating_add(1)) } else { (of, 1) };
                    if run.1 > CROWD {
                        continue;
                    }
                }
                if let Some(place) = entries.get_mut(kept as usize) {
                    *place = entry;
                }
                kept = kept.saturating_add(1);
            }
            bucket_start = bucket_end;
            *start = kept.to_le_bytes();
        }
    }
}
