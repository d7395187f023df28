// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numerals in some text: words that begin with a digit, consist of hexadecimal digits, or are a prefix (`x`, `h`,
//! `S` of Motorola) with such digits after it. They are found by the vector units, a lane at a time; most lanes of most text have none.

use super::super::super::index::needles::FRAGMENT;
use super::super::super::prefilter::{LANE, Prefilter};
use super::super::super::simd::level;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x64};

/// Bytes between two numerals of one list: a line break and a deep indentation, or the tags around an element.
pub(super) const MAX_GAP: usize = 80;
/// The length of the longest numeral: a record of Intel HEX with 112 bytes.
pub(super) const MAX_LEN: usize = 236;
/// Short hexadecimal words in a lane without decimal digits that are no list: `a` and `be` are words of English.
const MAX_WORDS: u32 = 2;

/// A word that may be a numeral.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Token {
    /// The index of its first byte.
    pub(super) at: u32,
    /// Its length; more than [`MAX_LEN`] for a longer one.
    pub(super) len: u8,
    /// How many decimal digits it begins with.
    pub(super) digits: u8,
    /// How many hexadecimal digits it begins with.
    pub(super) hex: u8,
    /// Whether it is the first in its line.
    pub(super) is_first: bool,
}

impl Token {
    pub(super) const fn start(&self) -> usize {
        self.at as usize
    }

    pub(super) const fn end(&self) -> usize {
        (self.at as usize).saturating_add(self.len as usize)
    }

    pub(super) const fn is_decimal(&self) -> bool {
        self.digits == self.len
    }

    pub(super) const fn is_hex(&self) -> bool {
        self.hex == self.len
    }
}

/// One bit for each byte of a lane.
#[derive(Clone, Copy, Debug, Default)]
struct Masks {
    /// Letters and digits.
    word: u64,
    digit: u64,
    hex: u64,
    /// The letters before the digits of a numeral: `x`, `h` and `S`.
    prefix: u64,
    newline: u64,
}

#[inline(always)]
#[allow(clippy::arithmetic_side_effects, reason = "vectors wrap")]
fn masks<S: Simd>(simd: S, lane: &[u8; LANE]) -> Masks {
    let bytes = u8x64::load_array_ref(simd, lane);
    let lower = (bytes | 0x20) - b'a';
    let digit = (bytes - b'0').simd_lt(10);
    let word = digit | lower.simd_lt(26);
    let hex = digit | lower.simd_lt(6);
    let prefix = lower.simd_eq(b'x' - b'a') | lower.simd_eq(b'h' - b'a') | bytes.simd_eq(b'S');
    let newline = bytes.simd_eq(b'\n');
    // Otherwise LLVM turns what is computed from these numbers back into operations on vectors of single bits, which the
    // processor does not have, and takes ten times as many instructions.
    let [word, digit, hex, prefix, newline] =
        [word, digit, hex, prefix, newline].map(|mask| core::hint::black_box(mask.to_bitmask()));
    Masks { word, digit, hex, prefix, newline }
}

/// Calls `list` with each sequence of at least two tokens that no gap of more than [`MAX_GAP`] bytes divides, and that may
/// encode a fragment.
pub(super) fn sequences(bytes: &[u8], prefilter: &Prefilter, tokens: &mut Vec<Token>, mut list: impl FnMut(&[Token])) {
    dispatch!(level(), simd => simd.vectorize(#[inline(always)] || read(simd, bytes, prefilter, tokens, &mut list)));
}

#[inline(always)]
fn read<S: Simd>(
    simd: S,
    bytes: &[u8],
    prefilter: &Prefilter,
    tokens: &mut Vec<Token>,
    list: &mut impl FnMut(&[Token]),
) {
    let mut reader =
        Reader { bytes, tokens, end: 0, longest: 0, newline: 0, continues: false, is_list: false, before: None };
    let mut next = 0usize;
    for &(at, _) in &prefilter.text {
        let lane = at as usize / LANE;
        if lane != next {
            (reader.continues, reader.is_list, reader.before) = (false, false, None);
        }
        reader.lane(simd, lane, list);
        next = lane.saturating_add(1);
    }
    reader.finish(list);
}

struct Reader<'a> {
    bytes: &'a [u8],
    tokens: &'a mut Vec<Token>,
    /// Where the last token ends.
    end: usize,
    /// The length of the longest token.
    longest: u32,
    /// The index after the last line break.
    newline: usize,
    /// Whether the last lane ends within a word.
    continues: bool,
    /// Whether the last lane may be part of a list.
    is_list: bool,
    /// The last lane, if it is no list, but may be the beginning of one.
    before: Option<Candidates>,
}

/// The words of a lane that may be numerals.
#[derive(Clone, Copy)]
struct Candidates {
    /// The index of the lane.
    from: usize,
    /// The bits at which they begin.
    starts: u64,
    masks: Masks,
}

impl Reader<'_> {
    #[inline(always)]
    fn lane<S: Simd>(&mut self, simd: S, number: usize, list: &mut impl FnMut(&[Token])) {
        let from = number.saturating_mul(LANE);
        let Some(rest) = self.bytes.get(from..) else { return };
        let masks = match rest.first_chunk() {
            Some(lane) => masks(simd, lane),
            None => {
                let mut lane = [0; LANE];
                lane.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                masks(simd, &lane)
            }
        };
        let Masks { word, digit, hex, prefix, .. } = masks;
        let starts = word & !(word << 1 | u64::from(self.continues));
        self.continues = word >> 63 != 0;
        // Adding the first digit of a word to its digits carries to the byte after them.
        let first = starts & hex;
        let whole = hex.wrapping_add(first) & !hex & !word;
        let next = rest.get(LANE).is_some_and(u8::is_ascii_hexdigit);
        let prefixed = starts & prefix & (hex >> 1 | u64::from(next) << 63);
        let words = whole.count_ones();
        // Many words of English begin with `h` and a hexadecimal letter.
        let is_list =
            starts & digit != 0 || words > MAX_WORDS || prefixed & digit >> 1 != 0 || prefixed.count_ones() > MAX_WORDS;
        let letters = if words > 0 || first >> 48 != 0 { first } else { 0 };
        let lane = Candidates { from, starts: starts & digit | letters | prefixed, masks };
        // The first and the last lane of a list may hold less of it.
        if is_list || self.is_list {
            if let Some(before) = self.before.take() {
                self.add(before, list);
            }
            self.add(lane, list);
        } else if let Some(before) = self.before.replace(lane) {
            self.pass(before);
        }
        self.is_list = is_list;
    }

    /// Adds the tokens of a lane.
    #[inline(always)]
    fn add(&mut self, lane: Candidates, list: &mut impl FnMut(&[Token])) {
        let Candidates { from, mut starts, masks } = lane;
        let mut newline = self.newline;
        while starts != 0 {
            let bit = starts.trailing_zeros();
            starts &= starts.wrapping_sub(1);
            let at = from.saturating_add(bit as usize);
            let run = |mask: u64| (mask >> bit).trailing_ones();
            let (mut len, mut digits, mut hex) = (run(masks.word), run(masks.digit), run(masks.hex));
            if bit.saturating_add(len) >= 64 {
                (len, digits, hex) = measure(self.bytes.get(at..).unwrap_or_default());
            }
            let is_prefixed = masks.prefix >> bit & 1 != 0;
            if digits == 0 && hex != len && !is_prefixed {
                continue;
            }
            let before = masks.newline & (1u64 << bit).wrapping_sub(1);
            if before != 0 {
                newline = from.saturating_add(64).saturating_sub(before.leading_zeros() as usize);
            }
            if at.saturating_sub(self.end) > MAX_GAP {
                self.finish(list);
            }
            let is_first = newline > self.end || self.tokens.is_empty();
            self.tokens.push(Token {
                at: at as u32,
                len: len.min(255) as u8,
                digits: digits.min(255) as u8,
                hex: hex.min(255) as u8,
                is_first,
            });
            self.end = at.saturating_add(len as usize);
            self.longest = self.longest.max(len);
        }
        self.pass(lane);
    }

    /// Notes the last line break of a lane whose tokens were added or left out.
    #[inline(always)]
    fn pass(&mut self, Candidates { from, masks, .. }: Candidates) {
        if masks.newline != 0 {
            self.newline = from.saturating_add(LANE).saturating_sub(masks.newline.leading_zeros() as usize);
        }
    }

    fn finish(&mut self, list: &mut impl FnMut(&[Token])) {
        if self.tokens.len() > 1 && self.tokens.len().saturating_mul(width(self.longest)) >= FRAGMENT {
            list(self.tokens);
        }
        self.tokens.clear();
        self.longest = 0;
    }
}

/// The most bytes that each numeral of a list encodes if the longest has so many characters: those of an integer of 64
/// bits, of one of 32 bits or a character, or of a shorter character in UTF-8.
const fn width(longest: u32) -> usize {
    match longest {
        9.. => 8,
        5.. => 4,
        _ => 3,
    }
}

/// The length of a word, up to one more than [`MAX_LEN`], and of the decimal and hexadecimal digits that it begins with.
#[inline(never)]
fn measure(text: &[u8]) -> (u32, u32, u32) {
    let run = |is_such: fn(&u8) -> bool| {
        text.iter().take(MAX_LEN.saturating_add(1)).take_while(|&byte| is_such(byte)).count() as u32
    };
    (run(u8::is_ascii_alphanumeric), run(u8::is_ascii_digit), run(u8::is_ascii_hexdigit))
}
