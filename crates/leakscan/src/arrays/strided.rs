// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays in memory: an integer for each byte of a value, with constant filler, at a fixed distance.
//!
//! The elements are words of 32 or 64 bits, beside each other or with another constant word between them. What varies
//! in them are at most eight bits in a row: a byte, or an integer that a tag shifts (V8, OCaml, Ruby, Emacs), in either
//! byte order. Otherwise they are signed integers, floating-point numbers, or pointers to the small integers of Python.
//! Words of 16 bits are UTF-16 (`decode/wide.rs`).

use super::super::collected::Collected;
use super::super::encoding::Encoding;
use super::super::prefilter::{LANE, Prefilter};
use super::super::sink::Sink;
use core::ops::Range;

/// Elements of a fragment.
const FRAGMENT: usize = 16;
/// Bits that vary in an element.
const BITS: u32 = 8;
/// Bits that vary in a value with five distinct bytes.
const MIN_BITS: u32 = 3;
/// Pointers to small integers: their objects have 16, 32 or 64 bytes.
const OBJECTS: core::ops::RangeInclusive<u32> = 4..=6;
/// The first small integers to which a pointer may refer, if the array has not both 0 and 255. Sixteen random bytes
/// have a range of fewer than 192 with probability 1 %.
const MAX_BASES: u64 = 64;

/// No program has objects in the first 64 KiB of its memory.
const LOWEST_ADDRESS: u64 = 1 << 16;

/// Words at a fixed distance.
#[derive(Clone, Copy)]
struct Layout {
    width: usize,
    stride: usize,
    is_big: bool,
}

impl Layout {
    /// The number of its distance: 4, 8 or 16.
    const fn kind(self) -> usize {
        self.stride / 8
    }

    /// The number of words of an array.
    fn count(self, run: &Range<usize>) -> usize {
        run.len().checked_div(self.stride).unwrap_or_default()
    }

    /// The word at `at`, low byte first or high byte first.
    fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        let rest = bytes.get(at..)?;
        Some(match (self.width, self.is_big) {
            (4, false) => u32::from_le_bytes(*rest.first_chunk()?).into(),
            (4, true) => u32::from_be_bytes(*rest.first_chunk()?).into(),
            (_, false) => u64::from_le_bytes(*rest.first_chunk()?),
            (_, true) => u64::from_be_bytes(*rest.first_chunk()?),
        })
    }

    /// The indices around `seed`, not before `floor`, between which each word fits.
    fn run(self, bytes: &[u8], seed: usize, floor: usize, mut fits: impl FnMut(u64) -> bool) -> Range<usize> {
        let mut fits = |at| self.word(bytes, at).is_some_and(&mut fits);
        let (mut start, mut end) = (seed, seed);
        while fits(end) {
            end = end.saturating_add(self.stride);
        }
        while let Some(before) = start.checked_sub(self.stride).filter(|&before| before >= floor && fits(before)) {
            start = before;
        }
        start..end
    }

    /// The signed integer that a word is.
    const fn signed(self, word: u64) -> i64 {
        if self.width == 4 { word as u32 as i32 as i64 } else { word as i64 }
    }

    /// The byte that a word is as a floating-point number.
    fn float(self, word: u64) -> Option<u8> {
        let number = if self.width == 4 { f32::from_bits(word as u32).into() } else { f64::from_bits(word) };
        let integer = number as i16;
        (f64::from(integer) == number && (-128..256).contains(&integer)).then_some(integer as u8)
    }
}

/// The distance between the lowest and the highest bit that is set, both included.
const fn span(bits: u64) -> u32 {
    64u32.saturating_sub(bits.leading_zeros()).saturating_sub(bits.trailing_zeros())
}

/// Finds and decodes the arrays in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut collected = Collected::shallow(Encoding::Strided);
    let mut done = [[0; VIEWS]; 4];
    for lane in prefilter.strided.iter().map(|&at| at as usize) {
        let Some(words) = bytes.get(lane..).and_then(|rest| rest.first_chunk::<LANE>()) else { continue };
        let mut words = words.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let words = core::array::from_fn(|_| words.next().unwrap_or_default());
        Array { sink, bytes, collected: &mut collected, lane, done: &mut done }.add(&words);
    }
    collected.flush(sink);
}

/// What the words of an array are.
#[derive(Clone, Copy)]
enum View {
    /// Bytes with constant filler, in words from the beginning of a lane.
    Bits,
    /// The same, in words that begin with the byte that varies.
    First,
    /// The same, in words that end with it.
    Last,
    Pointers,
    Signed,
    SignedBig,
    Float,
    FloatBig,
}

const VIEWS: usize = View::FloatBig as usize + 1;

struct Array<'a, S> {
    sink: &'a mut S,
    bytes: &'a [u8],
    collected: &'a mut Collected,
    lane: usize,
    /// The end of the last array of each distance (4, 8, and 16 from two places) and view.
    done: &'a mut [[usize; VIEWS]; 4],
}

/// The bits in which words differ.
fn varying(words: impl Iterator<Item = u64> + Clone) -> u64 {
    let mut rest = words.clone();
    let first = rest.next().unwrap_or_default();
    rest.fold(0, |bits, word| bits | (word ^ first))
}

impl<S: Sink> Array<'_, S> {
    /// Adds the arrays that a lane is part of.
    fn add(&mut self, words: &[u64; LANE / 8]) {
        let all = varying(words.iter().copied());
        if all == 0 {
            return;
        }
        // Words with a constant one after or before each.
        let (even, odd) = (words.iter().copied().step_by(2), words.iter().copied().skip(1).step_by(2));
        let wide = Layout { width: 8, stride: 8, is_big: false };
        let sparse = Layout { stride: 16, ..wide };
        let is_sparse = match (varying(even.clone()), varying(odd.clone())) {
            (bits @ 1.., 0) => self.add_words(sparse, 0, bits, even),
            (0, bits @ 1..) => self.add_words(sparse, 8, bits, odd),
            _ => false,
        };
        if is_sparse || self.add_words(wide, 0, all, words.iter().copied()) {
            return;
        }
        // Words of 32 bits: a fragment of them fills half a lane.
        let (first, last) = words.split_at(LANE / 16);
        for (at, half) in [(0, first), (LANE / 2, last)] {
            let halves = half.iter().flat_map(|&word| [word & 0xFFFF_FFFF, word >> 32]);
            let narrow = Layout { width: 4, stride: 4, is_big: false };
            let bits = varying(halves.clone());
            if bits != 0 && self.add_words(narrow, at, bits, halves) {
                return;
            }
        }
    }

    /// Adds the array that some words of the lane are part of, the first at `at`; `bits` vary in them. Returns whether
    /// there is one.
    fn add_words(&mut self, layout: Layout, at: usize, bits: u64, words: impl Iterator<Item = u64> + Clone) -> bool {
        let seed = self.lane.saturating_add(at);
        if span(bits) <= BITS {
            return self.add_bits(layout, seed, bits);
        }
        let first = words.clone().next().unwrap_or_default();
        let objects = bits.trailing_zeros();
        if layout.width == 8 && OBJECTS.contains(&objects) {
            let range = 0xFFu64 << objects;
            let ends = |(low, high): (u64, u64), word: u64| (low.min(word), high.max(word));
            let (mut low, mut high) = words.clone().fold((first, first), ends);
            if high.wrapping_sub(low) <= range {
                let Some(run) = self.run(layout, View::Pointers, seed, |word| {
                    let (least, most) = ends((low, high), word);
                    let fits = most.wrapping_sub(least) <= range && (word ^ first).trailing_zeros() >= objects;
                    if fits {
                        (low, high) = (least, most);
                    }
                    fits
                }) else {
                    return true;
                };
                self.add_pointers(layout, &run, bits);
                return layout.count(&run) >= FRAGMENT;
            }
        }
        for is_big in [false, true] {
            let layout = Layout { is_big, ..layout };
            let swapped = |word: u64| match layout.width {
                4 => (word as u32).swap_bytes().into(),
                _ => word.swap_bytes(),
            };
            let ordered = || words.clone().map(|word| if is_big { swapped(word) } else { word });
            let is_signed = |word| (-128..256).contains(&layout.signed(word));
            let is_float = |word| layout.float(word).is_some();
            let found = if ordered().all(is_signed) {
                let view = if is_big { View::SignedBig } else { View::Signed };
                self.run(layout, view, seed, is_signed).map(|run| self.push(layout, &run, |word| word as u8))
            } else if ordered().all(is_float) {
                let view = if is_big { View::FloatBig } else { View::Float };
                let byte = |word| layout.float(word).unwrap_or_default();
                self.run(layout, view, seed, is_float).map(|run| self.push(layout, &run, byte))
            } else {
                continue;
            };
            return found != Some(false);
        }
        false
    }

    /// Adds the array whose words vary in a few bits.
    fn add_bits(&mut self, layout: Layout, seed: usize, bits: u64) -> bool {
        let column = (bits.trailing_zeros() / 8) as usize;
        // If the value is in the middle of the words, these may begin within an element.
        let last = layout.width.saturating_sub(1);
        let moved = [
            (seed.saturating_add(column), View::First),
            (seed.saturating_add(column).saturating_sub(last), View::Last),
        ];
        let moved = moved.into_iter().filter(|_| column > 0 && column < last);
        let mut found = false;
        for (seed, view) in [(seed, View::Bits)].into_iter().chain(moved) {
            let Some(first) = layout.word(self.bytes, seed) else { continue };
            let mut bits = 0;
            let Some(run) = self.run(layout, view, seed, |word| {
                let all = bits | (word ^ first);
                let fits = span(all) <= BITS;
                bits = if fits { all } else { bits };
                fits
            }) else {
                found = true;
                continue;
            };
            found |= layout.count(&run) >= FRAGMENT;
            if bits.count_ones() >= MIN_BITS {
                // If the lowest bits of all values are the same, they may be of the value or of a tag.
                for shift in bits.trailing_zeros() & !7..=bits.trailing_zeros() {
                    if span(bits >> shift | 1) <= BITS {
                        self.push(layout, &run, |word| (word >> shift) as u8);
                    }
                }
                self.add_pointers(layout, &run, bits);
            }
        }
        found
    }

    /// The words around `seed` that fit; `None` if they have been read. Of an array that was read before, the end may
    /// belong to this one.
    fn run(&mut self, layout: Layout, view: View, seed: usize, fits: impl FnMut(u64) -> bool) -> Option<Range<usize>> {
        let phase = usize::from(layout.stride == 16 && seed % 16 >= 8);
        let done = self.done.get_mut(layout.kind().saturating_add(phase))?.get_mut(view as usize)?;
        if seed < *done {
            return None;
        }
        let floor = done.saturating_sub(layout.stride.saturating_mul(FRAGMENT - 1));
        let run = layout.run(self.bytes, seed, floor, fits);
        if layout.count(&run) >= FRAGMENT {
            *done = run.end;
        }
        Some(run)
    }

    /// Adds an array of pointers to the small integers of Python, which are an array of objects. The first object is
    /// not known: all are tried that the array may begin at.
    fn add_pointers(&mut self, layout: Layout, run: &Range<usize>, bits: u64) {
        let shift = bits.trailing_zeros();
        let words = || run.clone().step_by(layout.stride).filter_map(|at| layout.word(self.bytes, at));
        let (Some(low), Some(high)) = (words().min(), words().max()) else { return };
        let bases = 0xFFu64.checked_sub(high.saturating_sub(low) >> shift).unwrap_or(u64::MAX);
        if layout.width == 8 && OBJECTS.contains(&shift) && bases < MAX_BASES && low >= LOWEST_ADDRESS {
            for base in 0..=bases {
                self.push(layout, run, |word| (word.saturating_sub(low) >> shift).saturating_add(base) as u8);
            }
        }
    }

    /// Adds the bytes of an array, if it may hold a fragment; returns whether it may.
    fn push(&mut self, layout: Layout, run: &Range<usize>, byte: impl Fn(u64) -> u8) -> bool {
        if layout.count(run) < FRAGMENT {
            return false;
        }
        self.collected.begin(self.sink);
        for at in run.clone().step_by(layout.stride) {
            self.collected.push(byte(layout.word(self.bytes, at).unwrap_or_default()), at);
        }
        true
    }
}
