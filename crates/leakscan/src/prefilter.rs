// SPDX-License-Identifier: MIT OR Apache-2.0
//! The places in some bytes that decoders have to look at, for all decoders in one pass by the vector units.
//!
//! Most bytes of most evidence begin nothing that can be decoded: of random ones, one in two hundred does. A place may
//! be a false positive; the decoders check it.

use super::arrays;
use super::byte_class::{NUMBERS as NUMBER_CLASS, class};
use super::containers::formats::{PAIRS, is_pair};
use super::simd::level;
use core::ops::Range;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x64};

/// Bytes that are filtered together: a word of 64 bits has one bit for each.
pub(crate) const LANE: usize = 64;

/// Lanes whose pairs are sorted together.
const QUEUE: usize = 64;

/// Bytes of the shortest text: no encoding of a fragment in text has fewer. In random bytes, one lane in 2,000 has part
/// of such a row.
const MIN_TEXT: u32 = 16;

/// Bytes of a number after which a lane has text, whatever is between the numbers of a list (`│`, `，`, `•`): in random
/// bytes, a row of so many has probability 2^-24.
const MIN_NUMBER: u32 = 8;

/// Places, in ascending order: of bytes, or of the first bytes of lanes.
#[derive(Debug, Default)]
pub(crate) struct Prefilter {
    /// Lanes with part of a row of [`MIN_TEXT`] bytes without the top bit, or with a row of [`MIN_NUMBER`] bytes of numbers,
    /// except lanes that are all zero; with each, which of its words of eight bytes may consist of numbers and their separators, one bit each, the first word's the lowest.
    pub(crate) text: Vec<(u32, u8)>,
    /// Lanes with a word in which every other byte is zero, except lanes that are all zero.
    pub(crate) wide: Vec<u32>,
    /// Lanes with several bytes that precede the integers of an array in a binary format.
    pub(crate) arrays: Vec<u32>,
    /// Lanes in which many bytes are the same as those eight bytes after them, except lanes that are all zero.
    pub(crate) strided: Vec<u32>,
    /// Each backslash before a byte without the top bit.
    pub(crate) escapes: Vec<u32>,
    /// Each first byte of the UTF-8 encoding of a character from 0x80 to 0xFF.
    pub(crate) latin1: Vec<u32>,
    /// Each ampersand before a number sign or a letter.
    pub(crate) entities: Vec<u32>,
    /// Each first byte of the two bytes that begin a compressed stream.
    pub(crate) streams: Vec<u32>,
    /// Each first byte of what may be the header of a compressed value of PostgreSQL, the lower two bits of which are
    /// 10 and its upper half zero, before a length below 2^24 and a method (`pages/varlena.rs`).
    pub(crate) varlenas: Vec<u32>,
    /// Each first byte of two zero bytes that may be the upper half of the number of a chunk, eight bytes after a header
    /// of 24 bytes (`pages/toast.rs`).
    pub(crate) chunks: Vec<u32>,
}

/// The largest distance of the words of an array in memory.
const STRIDE: usize = 8;
/// Bytes of a lane that are the same as those [`STRIDE`] bytes after them, if half of it is in an array of words of 32
/// bits: three of four. In random bytes, one in 2^80 lanes has so many.
const MIN_STRIDED: u32 = 20;
/// Bytes of a lane that are the same as the next one, if half of it is in an array of signed words of 32 bits.
const MIN_REPEATED: u32 = 14;
/// Bytes of a lane that precede integers, and are two or three bytes before another one, if half of a fragment is in
/// it. Of random lanes, one in forty has so many.
const MIN_MARKERS: u32 = 2;

/// Sets of pairs of bytes, one bit for each set: a pair is in a set if both halves of both bytes are. The pairs that
/// share a set are chosen so that few others are in it.
struct Sets {
    first: Halves,
    second: Halves,
}

/// For each value of the lower and of the upper four bits of a byte, the sets that contain it.
struct Halves {
    low: [u8; 16],
    high: [u8; 16],
}

impl Halves {
    const NONE: Self = Self { low: [0; 16], high: [0; 16] };

    /// Adds a byte to a set.
    #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, or four bits")]
    const fn add(&mut self, byte: u8, set: u8) {
        self.low[(byte & 15) as usize] |= set;
        self.high[(byte >> 4) as usize] |= set;
    }
}

static SETS: Sets = sets();

/// Digits of hexadecimal and decimal numbers, and their separators: there is one set for each upper half of a byte,
/// with the lower halves that occur with it.
static NUMBERS: Halves = numbers();

/// The sets of those bytes below that are in no text.
const CONTROL_MARKERS: u8 = 0b11;

/// Bytes that precede the integers of an array in a binary format: src/arrays/elements.rs.
static MARKERS: Halves = markers();

const fn markers() -> Halves {
    let mut halves = Halves::NONE;
    let mut at = 0;
    while at < arrays::MARKERS.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        let byte = arrays::MARKERS[at];
        // There is one set for each upper half that occurs.
        let set = match byte >> 4 {
            0x0 => 1,
            0x1 => 1 << 1,
            0x3 => 1 << 2,
            0x4 => 1 << 3,
            0x6 => 1 << 4,
            0xC => 1 << 5,
            _ => 1 << 6,
        };
        halves.add(byte, set);
        at = at.wrapping_add(1);
    }
    halves
}

const fn numbers() -> Halves {
    let mut halves = Halves::NONE;
    let mut byte = 0u8;
    while byte < 0x80 {
        if class(byte) & NUMBER_CLASS != 0 {
            halves.add(byte, 1 << (byte >> 4));
        }
        byte = byte.wrapping_add(1);
    }
    halves
}

const fn sets() -> Sets {
    let mut sets = Sets { first: Halves::NONE, second: Halves::NONE };
    sets.first.add(b'\\', 1);
    let mut byte = 0;
    while byte < 0x80 {
        sets.second.add(byte, 1);
        byte = byte.wrapping_add(1);
    }
    sets.first.add(0xC2, 2);
    sets.first.add(0xC3, 2);
    while byte < 0xC0 {
        sets.second.add(byte, 2);
        byte = byte.wrapping_add(1);
    }
    let mut at = 0;
    while at < PAIRS.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        let [first, second] = PAIRS[at];
        let set = match first {
            0x1F | 0x28 => 1 << 3,
            b'P' | b'n' => 1 << 4,
            b'B' | b'L' => 1 << 5,
            b'7' | b'R' => 1 << 6,
            0x5D | 2 | 0x89 => 1 << 2,
            _ => 1 << 7,
        };
        sets.first.add(first, set);
        sets.second.add(second, set);
        at = at.wrapping_add(1);
    }
    sets
}

/// The tables of all sets, in registers.
struct Tables<S: Simd> {
    pairs: [u8x64<S>; 4],
    numbers: [u8x64<S>; 2],
    markers: [u8x64<S>; 2],
    zlib: [u8x64<S>; 2],
}

/// Whether as many bits as this power of two, at least eight, are set in a row.
#[inline(always)]
#[allow(clippy::arithmetic_side_effects, reason = "shifts by less than 64")]
const fn has_row(bits: u64, len: u32) -> bool {
    let twos = bits & bits >> 1;
    let fours = twos & twos >> 2;
    let eights = fours & fours >> 4;
    let rows = if len > 8 { eights & eights >> 8 } else { eights };
    rows != 0
}

/// A lane of which it is not known whether it has text, since that depends on the next one.
#[derive(Clone, Copy, Default)]
struct Pending {
    at: u32,
    /// Which of its bytes have no top bit; none of a lane that is all zero.
    ascii: u64,
    /// Which of its words may consist of numbers.
    numbers: u8,
    /// Bytes without the top bit before its first byte.
    before: u32,
    /// Whether it has a row of [`MIN_NUMBER`] bytes of numbers.
    has_number: bool,
}

impl Pending {
    /// Whether it has part of a text, if so many bytes after it have no top bit.
    #[inline(always)]
    const fn is_text(&self, after: u32) -> bool {
        let (first, last) = (self.ascii.trailing_ones(), self.ascii.leading_ones());
        self.has_number
            || has_row(self.ascii, MIN_TEXT)
            || first > 0 && first.saturating_add(self.before) >= MIN_TEXT
            || last > 0 && last.saturating_add(after) >= MIN_TEXT
    }
}

impl Prefilter {
    /// Replaces the places by those in `bytes`, of which there are fewer than 2^32: a search goes block by block.
    pub(crate) fn scan(&mut self, bytes: &[u8]) {
        self.text.clear();
        let Self { text: _, wide, arrays, strided, escapes, latin1, entities, streams, varlenas, chunks } = self;
        for places in [wide, arrays, strided, escapes, latin1, entities, streams, varlenas, chunks] {
            places.clear();
        }
        dispatch!(level(), simd => simd.vectorize(#[inline(always)] || self.scan_lanes(simd, bytes)));
    }

    /// Whether a stream may begin in a range.
    pub(crate) fn has_stream(&self, range: &Range<usize>) -> bool {
        let next = self.streams.partition_point(|&at| (at as usize) < range.start);
        self.streams.get(next).is_some_and(|&at| (at as usize) < range.end)
    }

    #[inline(always)]
    fn scan_lanes<S: Simd>(&mut self, simd: S, bytes: &[u8]) {
        let sets = [&SETS.first.low, &SETS.first.high, &SETS.second.low, &SETS.second.high];
        let vector = |set: &[u8; 16]| u8x64::from_fn(simd, |at| set.get(at % 16).copied().unwrap_or_default());
        let sets = Tables {
            pairs: sets.map(vector),
            numbers: [&NUMBERS.low, &NUMBERS.high].map(vector),
            markers: [&MARKERS.low, &MARKERS.high].map(vector),
            zlib: [&ZLIB_SUMS, &MORE_ZLIB_SUMS].map(vector),
        };
        let (mut at, mut pending) = (0usize, Pending::default());
        // Lanes with pairs are queued: one in four has some, so that a branch for each would be mispredicted.
        let (mut queue, mut len) = ([(0u32, 0u64); QUEUE], 0usize);
        // With each lane, the bytes after it are read: the last lanes may have fewer.
        while let Some(lane) = bytes.get(at..).and_then(|rest| rest.first_chunk::<{ LANE + STRIDE }>()) {
            let pairs = self.scan_lane(simd, &sets, lane, at, &mut pending);
            if let Some(place) = queue.get_mut(len) {
                *place = (at as u32, pairs);
            }
            len = len.wrapping_add(usize::from(pairs != 0));
            if len == QUEUE {
                self.sort(&queue, bytes);
                len = 0;
            }
            at = at.wrapping_add(LANE);
        }
        self.sort(queue.get(..len).unwrap_or_default(), bytes);
        while let Some(rest @ [_, ..]) = bytes.get(at..) {
            let mut lane = [0; LANE + STRIDE];
            lane.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let pairs = self.scan_lane(simd, &sets, &lane, at, &mut pending);
            self.sort(&[(at as u32, pairs)], bytes);
            at = at.wrapping_add(LANE);
        }
        self.end_lane(&mut pending, Pending::default());
    }

    /// Adds the pending lane if it has text; `next` is the lane after it, and now pending.
    #[inline(always)]
    fn end_lane(&mut self, pending: &mut Pending, next: Pending) {
        if pending.is_text(next.ascii.trailing_ones()) {
            self.text.push((pending.at, pending.numbers));
        }
        let last = pending.ascii.leading_ones();
        let before = if last == u64::BITS { last.saturating_add(pending.before) } else { last };
        *pending = Pending { before: before.min(MIN_TEXT), ..next };
    }

    /// Adds each pair of some lanes to the places of its kind.
    fn sort(&mut self, lanes: &[(u32, u64)], bytes: &[u8]) {
        for &(at, mut pairs) in lanes {
            while pairs != 0 {
                let place = at.wrapping_add(pairs.trailing_zeros());
                pairs &= pairs.wrapping_sub(1);
                match bytes.get(place as usize) {
                    Some(b'\\') => self.escapes.push(place),
                    Some(0xC2 | 0xC3) => self.latin1.push(place),
                    Some(b'&') => {
                        let next = bytes.get((place as usize).wrapping_add(1));
                        if next.is_some_and(|&next| next == b'#' || next.is_ascii_alphabetic()) {
                            self.entities.push(place);
                        }
                    }
                    Some(&first)
                        if bytes.get((place as usize).wrapping_add(1)).is_some_and(|&next| is_pair(first, next)) =>
                    {
                        self.streams.push(place);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Adds the places of a lane, except the pairs; returns a bit for each byte that begins a pair.
    #[inline(always)]
    #[allow(clippy::arithmetic_side_effects, reason = "shifts of vectors by less than their lanes' widths")]
    fn scan_lane<S: Simd>(
        &mut self,
        simd: S,
        tables: &Tables<S>,
        lane: &[u8; LANE + STRIDE],
        at: usize,
        pending: &mut Pending,
    ) -> u64 {
        let Tables { pairs: [first_low, first_high, second_low, second_high], numbers, markers, zlib } = tables;
        let [zlib_sums, more_zlib_sums] = zlib;
        let after = |distance: usize| lane.get(distance..).and_then(|rest| rest.first_chunk::<LANE>());
        let (Some(ones), Some(nexts), Some(strided)) = (after(0), after(1), after(STRIDE)) else { return 0 };
        let (one, next) = (u8x64::load_array_ref(simd, ones), u8x64::load_array_ref(simd, nexts));
        let first = first_low.swizzle_dyn_within_blocks(one & 15) & first_high.swizzle_dyn_within_blocks(one >> 4);
        // The ampersand is alone in its half of set 1: with a backslash in one set, four other bytes would be as well.
        let first = first | one.simd_eq(b'&').select(u8x64::splat(simd, 1), u8x64::splat(simd, 0));
        let second = second_low.swizzle_dyn_within_blocks(next & 15) & second_high.swizzle_dyn_within_blocks(next >> 4);
        // A zlib stream without a dictionary: `is_zlib`.
        let (sums, high) = ((next & 31) + (next >> 5), one >> 4);
        let is_right = sums.simd_eq(zlib_sums.swizzle_dyn_within_blocks(high))
            | sums.simd_eq(more_zlib_sums.swizzle_dyn_within_blocks(high));
        let zlib = is_right & ((one & 15) | (next & 0x20)).simd_eq(8);
        let pairs = !(first & second).simd_eq(0).to_bitmask() | zlib.to_bitmask();
        let (tops, zeros) = (one.simd_ge(0x80).to_bitmask(), one.simd_eq(0).to_bitmask());
        if zeros == u64::MAX {
            self.end_lane(pending, Pending::default());
            return 0;
        }
        let same = one.simd_eq(u8x64::load_array_ref(simd, strided)).to_bitmask();
        let repeated = one.simd_eq(next).to_bitmask();
        let is_strided = same.count_ones() >= MIN_STRIDED || repeated.count_ones() >= MIN_REPEATED;
        if is_strided && (tops | zeros) != 0 {
            self.strided.push(at as u32);
        }
        let [low, high] = markers;
        let markers = low.swizzle_dyn_within_blocks(one & 15) & high.swizzle_dyn_within_blocks(one >> 4);
        // In text, those that are letters or digits precede nothing.
        let markers = if tops == 0 { markers & CONTROL_MARKERS } else { markers };
        let markers = !markers.simd_eq(0).to_bitmask();
        if (markers & (markers >> 2 | markers >> 3)).count_ones() >= MIN_MARKERS {
            self.arrays.push(at as u32);
        }
        let [low, high] = numbers;
        let numbers = low.swizzle_dyn_within_blocks(one & 15) & high.swizzle_dyn_within_blocks(one >> 4);
        let others = numbers.simd_eq(0).to_bitmask();
        let words = others.to_le_bytes().iter().rev().fold(0u8, |words, &others| words << 1 | u8::from(others == 0));
        let numbers = if tops == 0 { words } else { u8::MAX };
        let has_number = has_row(!others, MIN_NUMBER);
        self.end_lane(pending, Pending { at: at as u32, ascii: !tops, numbers, before: 0, has_number });
        if zeros.count_ones() >= 4 && (has_byte(zeros & EVEN, EVEN as u8) || has_byte(zeros & !EVEN, !EVEN as u8)) {
            self.wide.push(at as u32);
        }
        // Two zero bytes; of the second, the lane may not have it.
        let zero_pairs = zeros & (zeros >> 1 | 1 << 63);
        if zero_pairs != 0 {
            self.scan_zero_pairs(one, zeros, zero_pairs, at as u32);
        }
        pairs
    }

    /// Adds the places of a lane that have two zero bytes. What lies before and after the lane may be anything.
    #[inline(always)]
    #[allow(clippy::arithmetic_side_effects, reason = "shifts by less than 64")]
    fn scan_zero_pairs<S: Simd>(&mut self, lane: u8x64<S>, zeros: u64, zero_pairs: u64, at: u32) {
        let compressed = (lane & 3).simd_eq(2).to_bitmask();
        let methods = (lane & 0xBF).simd_eq(0).to_bitmask();
        let mut varlenas = zero_pairs & (compressed << 2 | 0b11) & (methods >> 5 | 0b11111 << 59);
        while varlenas != 0 {
            let place = at.wrapping_add(varlenas.trailing_zeros());
            varlenas &= varlenas.wrapping_sub(1);
            self.varlenas.extend(place.checked_sub(2));
        }
        let header_lens = lane.simd_eq(24).to_bitmask();
        let mut chunks = zero_pairs & (header_lens << 8 | 0xFF) & (zeros << 7 | 0x7F);
        while chunks != 0 {
            self.chunks.push(at.wrapping_add(chunks.trailing_zeros()));
            chunks &= chunks.wrapping_sub(1);
        }
    }
}

/// For the upper four bits of the first byte of a zlib stream, what the upper three and the lower five bits of the second
/// add up to, modulo 31: 32 is one modulo 31. 0xFF if that cannot be a first byte.
static ZLIB_SUMS: [u8; 16] = zlib_sums(0);
/// The same, and 31 more; no sum exceeds 38.
static MORE_ZLIB_SUMS: [u8; 16] = zlib_sums(31);

const fn zlib_sums(more: u8) -> [u8; 16] {
    let (mut sums, mut high) = ([0xFF; 16], 0u8);
    while high < 8 {
        let mut flags = 0u8;
        while flags < 31 {
            // The first byte has the method 8; the bit of the dictionary does not matter here.
            if u16::from_be_bytes([high << 4 | 8, flags]).is_multiple_of(31) && flags.wrapping_add(more) <= 38 {
                #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
                {
                    sums[high as usize] = flags.wrapping_add(more);
                }
            }
            flags = flags.wrapping_add(1);
        }
        high = high.wrapping_add(1);
    }
    sums
}

/// The bits of every other byte, the first included.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// Whether one of the eight bytes of a word is `byte`.
#[inline(always)]
const fn has_byte(word: u64, byte: u8) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let other = word ^ ONES.wrapping_mul(byte as u64);
    other.wrapping_sub(ONES) & !other & (ONES << 7) != 0
}

#[cfg(test)]
mod tests;
