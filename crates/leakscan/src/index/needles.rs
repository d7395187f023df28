// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Needles`]: the values that are searched for; and [`Index`] over their windows.
//!
//! Every window of six bytes of a secret is in the index; a search looks up every eleventh window of the evidence.
//! Sixteen bytes hold eleven consecutive windows, so that one of them is looked up in each fragment of sixteen,
//! whatever its place. A window and its reverse share one entry, so that finding reversed secrets costs nothing.
//!
//! ```text
//! filter    coarse: two bits of one 64-bit word for each window; decides whether the fine filter is worth a cache miss
//!           fine: four bits of one 64-bit word for each window; decides whether a table look-up is worth a cache miss
//!           Both also hold the repetitive windows, which have no entry: a repetitive window of the evidence is found
//!           by its neighbours
//! starts    where each bucket begins in entries: one bucket for sixteen entries
//! entries   tag || offset into the arena, 32 bits in all
//! arena     the values, one after the other
//! ```

use super::super::forms::{Form, Map, forms_of, may_have_forms, texts_in};
use super::filter::{Filter, reduce};
use super::pages::{Pages, fetch};
use super::windows::{SPAN, WINDOW, canonical, hash, is_ascii, is_distinctive, is_repetitive, window};
use core::fmt;

/// The length in bytes of a fragment that is found wherever it is.
pub const FRAGMENT: usize = 16;
/// The number of bytes at the beginning of a secret in which every fragment of [`FRAGMENT`] bytes is found: more than
/// the longest key has, so that only plaintexts are ever sampled.
pub const DENSE: usize = 4096;
/// The length in bytes of a fragment that is found after the first [`DENSE`] bytes of a secret: there, the first
/// sixteen distinctive bytes in each stretch of `STRETCH` are indexed, and a fragment of this length contains one such
/// sample whole.
pub const LONG_FRAGMENT: usize = 512;
/// The widest gap between samples is two stretches; a sample has sixteen bytes more.
const STRETCH: usize = (LONG_FRAGMENT - FRAGMENT) / 2;
/// The number of entries of one window. If more values share a window (a common prefix of plaintexts), the windows
/// around it are looked up as well, and a fragment that they all share is reported for this many values.
pub(super) const MAX_SHARED: usize = 32;
/// The number of bytes that the forms of all texts may take; those beyond are counted, and not searched for. The index
/// takes six to seven times as much. A Russian text has about twenty forms, and those have 25 times its bytes: this is
/// enough for 40,000 messages of 250 bytes.
const FORMS: usize = 1 << 28;
/// Entries of a bucket, on average: as many as a cache line holds.
const BUCKET: usize = 16;

/// The values are too long for the index: offsets into them have 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNeedles;

impl fmt::Display for TooManyNeedles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the values to search for exceed 4 GiB")
    }
}

impl core::error::Error for TooManyNeedles {}

#[derive(Clone, Copy)]
pub(crate) struct Value {
    pub(crate) id: u32,
    pub(super) start: u32,
    /// Only a hit that begins with the value's first byte counts.
    pub(crate) anchored: bool,
    /// The form of a text in which this value is; the text itself is the last value before with
    /// [`Form::ITSELF`].
    pub(crate) form: Form,
}

/// The values that are searched for.
#[derive(Default)]
pub struct Needles {
    arena: Vec<u8>,
    values: Vec<Value>,
    too_short: u64,
    overflow: bool,
    ignoring_case: bool,
    /// Bytes of forms in the arena, and the number of texts whose forms found no room.
    forms: usize,
    without_forms: u64,
}

impl fmt::Debug for Needles {
    /// Does not print the values: most are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Needles {
    /// No values yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret, of which every fragment of [`FRAGMENT`] bytes is found; after the first [`DENSE`] bytes, every
    /// fragment of [`LONG_FRAGMENT`] bytes. A value shorter than a fragment is counted ([`Index::too_short`]), and not
    /// searched for. Hits carry `id`.
    pub fn add_secret(&mut self, id: u32, bytes: &[u8]) {
        self.add(id, bytes, false, Form::ITSELF);
    }

    /// Adds a secret, as [`add_secret`](Self::add_secret) does, that is a text or contains one: of its valid UTF-8, the
    /// forms are added in which a server may write it: other charsets, the normal forms C and D, doubled quotes. The
    /// range of a hit refers to the bytes that are given here, and [`Hit::form`](crate::Hit::form) names the form. A
    /// fragment of [`FRAGMENT`] bytes in a form is found if it stands for as many bytes of UTF-8.
    pub fn add_text(&mut self, id: u32, bytes: &[u8]) {
        self.add(id, bytes, false, Form::ITSELF);
        if bytes.len() < FRAGMENT {
            return;
        }
        let ignoring_case = self.ignoring_case;
        let texts = texts_in(bytes).map(|(_, text)| text);
        for text in texts.filter(|text| text.len() >= FRAGMENT && may_have_forms(text, ignoring_case)) {
            let forms = forms_of(text, ignoring_case);
            let len = forms.iter().fold(self.forms, |sum, (_, written)| sum.saturating_add(written.len()));
            if len > FORMS {
                self.without_forms = self.without_forms.saturating_add(1);
                continue;
            }
            self.forms = len;
            for (form, written) in forms.iter().filter(|(_, written)| written.len() >= FRAGMENT) {
                self.add(id, written, false, *form);
            }
        }
    }

    /// Adds the texts that follow in upper and in lower case as well, character by character.
    #[must_use]
    pub const fn ignoring_case(mut self) -> Self {
        self.ignoring_case = true;
        self
    }

    /// Adds a value that is found only from its first byte on, by its first [`FRAGMENT`] bytes: a public value, of
    /// which a fragment shows nothing. The hit's range shows how much of it is there.
    pub fn add_anchored(&mut self, id: u32, bytes: &[u8]) {
        self.add(id, bytes, true, Form::ITSELF);
    }

    fn add(&mut self, id: u32, bytes: &[u8], anchored: bool, form: Form) {
        if bytes.len() < FRAGMENT {
            self.too_short = self.too_short.saturating_add(1);
            return;
        }
        let end = self.arena.len().saturating_add(bytes.len());
        match (u32::try_from(self.arena.len()), u32::try_from(end)) {
            (Ok(start), Ok(_)) => {
                self.values.push(Value { id, start, anchored, form });
                self.arena.extend_from_slice(bytes);
            }
            _ => self.overflow = true,
        }
    }

    /// Builds the index, in time proportional to the number of windows.
    ///
    /// # Errors
    /// [`TooManyNeedles`] beyond 4 GiB.
    pub fn build(mut self) -> Result<Index, TooManyNeedles> {
        if self.overflow {
            return Err(TooManyNeedles);
        }
        self.arena.shrink_to_fit();
        self.values.shrink_to_fit();
        let (mut windows, mut ascii, mut repetitive) = (0u64, 0u64, 0u64);
        self.for_each_window(|_, window| match is_repetitive(window) {
            true => repetitive = repetitive.saturating_add(1),
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
            without_forms: self.without_forms,
            repetitive_windows: repetitive,
        };
        index.fill(&self);
        (index.arena, index.values) = (self.arena, self.values);
        index.limit_shared();
        Ok(index)
    }

    /// Visits the windows that are indexed, with their offsets in the arena and their canonical values.
    fn for_each_window(&self, mut visit: impl FnMut(u32, u64)) {
        for (at, value) in self.values.iter().enumerate() {
            let start = value.start as usize;
            let end = self.values.get(at.saturating_add(1)).map_or(self.arena.len(), |next| next.start as usize);
            let bytes = self.arena.get(start..end).unwrap_or_default();
            let dense = if value.anchored { FRAGMENT } else { DENSE.min(bytes.len()) };
            let mut visit_at = |at: usize, bytes: u64| visit(value.start.wrapping_add(at as u32), canonical(bytes));
            for (at, bytes) in bytes.get(..dense).unwrap_or_default().windows(WINDOW).enumerate() {
                visit_at(at, window(bytes, 0).unwrap_or_default());
            }
            // In the dense part, every fragment is indexed up to the end; a sample may begin in its last fifteen bytes.
            let mut from = dense.saturating_sub(FRAGMENT).saturating_add(1);
            while from.saturating_add(FRAGMENT) <= bytes.len() {
                let stretch =
                    from..from.saturating_add(STRETCH).min(bytes.len().saturating_sub(FRAGMENT).saturating_add(1));
                let sample = stretch.clone().find(|&at| is_distinctive(bytes.get(at..).unwrap_or_default()));
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

/// The index over [`Needles`]. A secret of 32 bytes takes 199: 108 of entries, 41 of filters, 32 of its own, 12 of its
/// description, 7 of starts.
pub struct Index {
    pub(super) arena: Vec<u8>,
    pub(super) values: Vec<Value>,
    pub(super) filter: Filter,
    starts: Pages,
    entries: Pages,
    /// The low bits of an entry, an offset into the arena. The bits above are a tag.
    offset_mask: u32,
    too_short: u64,
    without_forms: u64,
    repetitive_windows: u64,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Index {
    /// The number of values that are searched for; a text counts once, whatever its forms.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.iter().filter(|value| value.form == Form::ITSELF).count()
    }

    /// Whether there are no values to search for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The number of values of fewer than [`FRAGMENT`] bytes, which are not searched for.
    #[must_use]
    pub const fn too_short(&self) -> u64 {
        self.too_short
    }

    /// The number of texts that are searched for only as they are, since the forms of all texts take too much memory.
    #[must_use]
    pub const fn without_forms(&self) -> u64 {
        self.without_forms
    }

    /// The number of windows of six bytes with one or two distinct values, which have no entry in the index. A fragment
    /// of sixteen bytes without any other window has fewer than five distinct values.
    #[must_use]
    pub const fn repetitive_windows(&self) -> u64 {
        self.repetitive_windows
    }

    /// The number of bytes of memory that the index takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let Self { arena, values, filter, starts, entries, .. } = self;
        let tables = filter.memory().saturating_add(starts.len()).saturating_add(entries.len());
        tables.saturating_add(arena.capacity()).saturating_add(values.capacity().saturating_mul(size_of::<Value>()))
    }

    /// The offsets in the arena of the windows with this hash, and of a few others.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> {
        self.tagged(self.bounds(self.bucket(hash)), hash)
    }

    /// The number of a hash's bucket, whose bounds are prefetched.
    #[inline(always)]
    pub(super) fn bucket(&self, hash: u64) -> usize {
        let starts = self.starts.as_chunks::<4>();
        let bucket = reduce(hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32, starts.len().saturating_sub(2));
        fetch(starts, bucket);
        bucket
    }

    /// The bounds of a bucket, whose first and last entries are prefetched.
    #[inline(always)]
    pub(super) fn bounds(&self, bucket: usize) -> [u32; 2] {
        let starts = self.starts.as_chunks().get(bucket..).and_then(|starts| starts.first_chunk());
        let bounds = starts.copied().unwrap_or_default().map(u32::from_le_bytes);
        for bound in bounds {
            fetch(self.entries.as_chunks::<4>(), bound as usize);
        }
        bounds
    }

    /// The offsets of the entries in a bucket that have the tag of this hash.
    #[inline(always)]
    pub(super) fn tagged(&self, [from, to]: [u32; 2], hash: u64) -> impl Iterator<Item = usize> {
        let entries = self.entries.as_chunks().get(from as usize..to as usize).unwrap_or_default();
        let (tag, mask) = (self.tag(hash), self.offset_mask);
        let entries = entries.iter().map(|&entry| u32::from_le_bytes(entry));
        entries.filter(move |entry| entry & !mask == tag).map(move |entry| (entry & mask) as usize)
    }

    /// Whether a bucket has an entry with the tag of this hash. Compares all of them, since the branch that stops early
    /// would be mispredicted.
    #[inline(always)]
    pub(super) fn has_tag(&self, [from, to]: [u32; 2], hash: u64) -> bool {
        let entries = self.entries.as_chunks().get(from as usize..to as usize).unwrap_or_default();
        let (tag, mask) = (self.tag(hash), !self.offset_mask);
        entries.iter().fold(false, |any, &entry| any | (u32::from_le_bytes(entry) & mask == tag))
    }

    /// The value that contains the byte at `offset` of the arena: its number, and its range.
    pub(super) fn value_at(&self, offset: usize) -> Option<(u32, core::ops::Range<usize>)> {
        let next = self.values.partition_point(|value| value.start as usize <= offset);
        let number = next.checked_sub(1)?;
        let start = self.values.get(number)?.start as usize;
        let end = self.values.get(next).map_or(self.arena.len(), |next| next.start as usize);
        Some((u32::try_from(number).ok()?, start..end))
    }

    /// The value with this number, and its length.
    pub(crate) fn describe(&self, number: u32) -> Option<(Value, usize)> {
        let value = *self.values.get(number as usize)?;
        let (_, span) = self.value_at(value.start as usize)?;
        Some((value, span.len()))
    }

    /// The number of the text of which this value is a form, or its own number.
    pub(crate) fn text_of(&self, number: u32) -> u32 {
        let is_text = |text: &u32| self.values.get(*text as usize).is_some_and(|value| value.form == Form::ITSELF);
        (0..=number).rev().find(is_text).unwrap_or(number)
    }

    /// The bytes of the value with this number.
    pub(crate) fn bytes(&self, number: u32) -> Option<&[u8]> {
        let start = self.values.get(number as usize)?.start as usize;
        self.arena.get(self.value_at(start)?.1)
    }

    /// Where the bytes of a form are in its text.
    pub(crate) fn map_of(&self, number: u32) -> Option<Map> {
        let form = self.values.get(number as usize)?.form;
        Map::of(form, self.bytes(self.text_of(number))?, self.bytes(number)?)
    }

    const fn tag(&self, hash: u64) -> u32 {
        (hash as u32).rotate_left(16) & !self.offset_mask
    }

    /// A counting sort: counts the entries of each bucket, sums up where each begins, then places each entry.
    fn fill(&mut self, needles: &Needles) {
        needles.for_each_window(|_, window| {
            if is_repetitive(window) {
                return;
            }
            let bucket = self.bucket(hash(window));
            // Two further on: while the entries are placed, `starts[bucket + 1]` moves from the beginning of the bucket
            // to its end.
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
            let (hash, is_repetitive) = (hash(window), is_repetitive(window));
            let (bucket, tag) = (self.bucket(hash), self.tag(hash));
            self.filter.insert(window, hash);
            if is_repetitive {
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

    /// Keeps [`MAX_SHARED`] entries of each window: every look-up reads the entries of a bucket.
    fn limit_shared(&mut self) {
        let mut kept = 0u32;
        let mut bucket_start = 0;
        let (starts, entries) = (self.starts.as_chunks_mut(), self.entries.as_chunks_mut());
        for start in starts.iter_mut().skip(1) {
            let bucket_end = u32::from_le_bytes(*start);
            let mut run = (0u64, 0usize);
            let bucket = entries.get_mut(bucket_start as usize..bucket_end as usize).unwrap_or_default();
            let is_large = bucket.len() > MAX_SHARED;
            let (arena, mask) = (&self.arena, self.offset_mask);
            let offset_of = |entry: [u8; 4]| u32::from_le_bytes(entry) & mask;
            let window_of = |entry: [u8; 4]| canonical(window(arena, offset_of(entry) as usize).unwrap_or_default());
            if is_large {
                bucket.sort_unstable_by_key(|&entry| (window_of(entry), offset_of(entry)));
            }
            for at in bucket_start..bucket_end {
                let Some(&entry) = entries.get(at as usize) else { break };
                if is_large {
                    let of = window_of(entry);
                    run = if of == run.0 { (of, run.1.saturating_add(1)) } else { (of, 1) };
                    if run.1 > MAX_SHARED {
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
