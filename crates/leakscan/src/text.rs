// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text: where in some bytes runs of symbols are that a decoder may read, found by their words of eight.
//!
//! Every run long enough to hold a fragment covers a word that begins at a multiple of eight. A word that is wholly of one
//! class seeds a run, which is then followed to both ends.

use super::decode::symbols::{self, Cursor, Places};
use super::decode::{base64, hex, integers, percent, utf16};
use super::encoding::Encoding;
use super::runs::Runs;
use super::scan::{Frame, Search};
use super::signs::{LANE, Signs};
use core::ops::Range;

pub(super) const TEXT: u8 = 1;
pub(super) const BASE64: u8 = 2;
/// Digits of hexadecimal and decimal numbers, and what separates them.
pub(super) const NUMBERS: u8 = 4;
pub(super) const PERCENT: u8 = 8;
/// What does not separate the numbers of a list.
const SOLID: u8 = 16;

/// The classes of each byte.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let mut class = 0;
        if matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r') {
            class |= TEXT;
        }
        if matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' | b'\r' | b'\n' | b'\\') {
            class |= BASE64;
        }
        if matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'x' | b'X' | b'\\' | b' ' | b':' | b'-' | b',') {
            class |= NUMBERS;
        }
        if matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'*' | b'\'' | b'(' | b')')
        {
            class |= PERCENT;
        }
        class |= if matches!(byte, b' ' | b',' | b'\t' | b'\n' | b'\r') { NUMBERS } else { SOLID };
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            classes[byte as usize] = class;
        }
        byte = byte.wrapping_add(1);
    }
    classes
}

#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "there are as many as bytes")]
pub(super) const fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

/// Where the bytes of a class that end before `seed` begin, no further back than `floor`.
pub(super) fn beginning(bytes: &[u8], seed: usize, floor: usize, of: u8) -> usize {
    let before = bytes.get(floor..seed).unwrap_or_default();
    seed.saturating_sub(before.iter().rev().take_while(|&&byte| class(byte) & of != 0).count())
}

const WORD: usize = 8;
/// Of the words of a lane, every other one, not the first.
const ODD_WORDS: u8 = 0b1010_1010;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;
const EVEN_BYTES: u64 = 0x00FF_00FF_00FF_00FF;

/// How far each decoder has read, and what waits to be examined.
struct Read {
    base64_runs: Runs,
    hex_runs: Runs,
    base64: usize,
    hex: usize,
    integers: usize,
    hex_integers: usize,
    percent: usize,
    utf16: usize,
}

impl Read {
    fn new() -> Self {
        let (base64_runs, hex_runs) = (Runs::new(Encoding::Base64), Runs::new(Encoding::Hex));
        Self { base64_runs, hex_runs, base64: 0, hex: 0, integers: 0, hex_integers: 0, percent: 0, utf16: 0 }
    }
}

impl Search<'_> {
    /// Finds, decodes and examines what text there is.
    pub(super) fn examine_text(&mut self, bytes: &[u8], signs: &Signs, frame: &Frame<'_>) {
        let mut read = Read::new();
        // Whether the word before is such that a percent-encoded run may end in the next, wherever that is.
        let mut after_bare = false;
        let mut next = 0usize;
        for &(at, numbers) in &signs.text {
            let lane = at as usize / LANE;
            // No percent sign is in a run of base64, and what else begins in one has at least 31 bytes, and covers two words.
            if (at as usize).saturating_add(LANE) <= read.base64 && numbers & ODD_WORDS == 0 {
                (after_bare, next) = (true, lane.wrapping_add(1));
                continue;
            }
            if lane != next {
                if after_bare {
                    self.lane_of_text(bytes, next, true, &mut read, frame);
                }
                after_bare = false;
            }
            after_bare = self.lane_of_text(bytes, lane, after_bare, &mut read, frame);
            next = lane.wrapping_add(1);
        }
        if after_bare {
            self.lane_of_text(bytes, next, true, &mut read, frame);
        }
        // The last bytes are no whole word.
        let (_, rest) = bytes.as_chunks::<WORD>();
        if rest.contains(&b'%') {
            self.percent(bytes, bytes.len().saturating_sub(rest.len()), &mut read, frame);
        }
        read.base64_runs.examine(self, bytes, frame);
        read.hex_runs.examine(self, bytes, frame);
        self.examine_escaped(bytes, signs, frame);
    }

    /// Looks at the words of a lane; whether the last one may be of a percent-encoded run, as the one before the first.
    #[inline(always)]
    fn lane_of_text(
        &mut self,
        bytes: &[u8],
        lane: usize,
        mut after_bare: bool,
        read: &mut Read,
        frame: &Frame<'_>,
    ) -> bool {
        let (words, _) = bytes.as_chunks::<WORD>();
        let first = lane.wrapping_mul(LANE / WORD);
        let mut last =
            first.checked_sub(1).and_then(|before| words.get(before)).map_or(0, |word| u64::from_le_bytes(*word));
        for (number, word) in words.get(first..).unwrap_or_default().iter().take(LANE / WORD).enumerate() {
            let at = first.wrapping_add(number).wrapping_mul(WORD);
            let value = u64::from_le_bytes(*word);
            let before = core::mem::replace(&mut last, value);
            if value & TOP_BITS != 0 {
                if after_bare && has_percent(value) {
                    self.percent(bytes, at.saturating_sub(1), read, frame);
                }
                after_bare = false;
                continue;
            }
            if value == 0 {
                after_bare = false;
                continue;
            }
            // What else begins within a run of base64 has at least 31 bytes, and covers two words.
            if number % 2 == 0 && at.saturating_add(WORD) <= read.base64 {
                after_bare = true;
                continue;
            }
            let classes = word.iter().fold(u8::MAX, |all, &byte| all & class(byte));
            if classes & TEXT == 0 && (value & EVEN_BYTES == 0 || value & !EVEN_BYTES == 0) && at >= read.utf16 {
                self.utf16(bytes, at, read, frame);
            }
            // What a run decides comes before what each word does, which is mispredicted.
            if at >= read.base64 && classes & BASE64 != 0 {
                self.base64(bytes, at, read, frame);
            }
            if classes & NUMBERS != 0 {
                self.numbers(bytes, at, classes & SOLID == 0, read, frame);
            }
            let bare = classes & PERCENT != 0;
            if has_percent(value) || (has_percent(before) && bare && !after_bare) {
                self.percent(bytes, at, read, frame);
            }
            after_bare = bare;
        }
        after_bare
    }

    fn base64(&mut self, bytes: &[u8], seed: usize, read: &mut Read, frame: &Frame<'_>) {
        if !self.encodings.contains(Encoding::Base64) {
            return;
        }
        let mut from = beginning(bytes, seed, read.base64, BASE64);
        let mut symbols = self.take_buffer();
        // What precedes a run in its class (a lone backslash) may end another.
        while from <= seed {
            symbols.clear();
            let run = bytes.get(from..).unwrap_or_default();
            let len = base64::symbols(run, &mut symbols);
            if symbols.len() >= base64::MIN_SYMBOLS && !base64::is_hex(&symbols) {
                read.base64_runs.add(self, &symbols, from..from.saturating_add(len), bytes, frame);
            }
            from = from.saturating_add(len).saturating_add(1);
        }
        read.base64 = from.saturating_sub(1);
        self.give_back(symbols);
    }

    fn numbers(&mut self, bytes: &[u8], at: usize, separated: bool, read: &mut Read, frame: &Frame<'_>) {
        if at >= read.hex {
            self.hex(bytes, at, read, frame);
        }
        // Numbers of a list have four characters at the most, so that each word holds a separator.
        if (at >= read.integers || at >= read.hex_integers) && separated {
            for (encoding, radix) in
                [(Encoding::Integers, integers::Radix::Decimal), (Encoding::HexIntegers, integers::Radix::Hex)]
            {
                self.integers(bytes, at, (encoding, radix), read, frame);
            }
        }
    }

    fn hex(&mut self, bytes: &[u8], seed: usize, read: &mut Read, frame: &Frame<'_>) {
        if !self.encodings.contains(Encoding::Hex) {
            read.hex = usize::MAX;
            return;
        }
        let mut from = beginning(bytes, seed, read.hex, NUMBERS);
        let mut symbols = self.take_buffer();
        while from <= seed {
            symbols.clear();
            let run = bytes.get(from..).unwrap_or_default();
            let len = hex::symbols(run, &mut symbols);
            if symbols.len() >= hex::MIN_SYMBOLS {
                read.hex_runs.add(self, &symbols, from..from.saturating_add(len), bytes, frame);
            }
            from = from.saturating_add(len).saturating_add(1);
        }
        read.hex = from.saturating_sub(1);
        self.give_back(symbols);
    }

    fn integers(
        &mut self,
        bytes: &[u8],
        seed: usize,
        (encoding, radix): (Encoding, integers::Radix),
        read: &mut Read,
        frame: &Frame<'_>,
    ) {
        let done = match radix {
            integers::Radix::Decimal => &mut read.integers,
            integers::Radix::Hex => &mut read.hex_integers,
        };
        if seed < *done {
            return;
        }
        if !self.encodings.contains(encoding) {
            *done = usize::MAX;
            return;
        }
        let mut from = beginning(bytes, seed, *done, NUMBERS);
        let mut decoded = self.take_buffer();
        while from <= seed {
            decoded.clear();
            let run = bytes.get(from..).unwrap_or_default();
            let len = integers::decode(run, radix, &mut decoded);
            if decoded.len() >= integers::MIN_NUMBERS {
                let run = run.get(..len).unwrap_or_default();
                let cursor = Cursor::default();
                let position = |at| cursor.of(at, |known, at| integers::position(run, radix, known, at));
                let place = |at: usize| (frame.place)(from.saturating_add(position(at)));
                self.meet_decoded(&decoded, &[], encoding, frame, &place);
            }
            from = from.saturating_add(len.max(1));
        }
        *done = from;
        self.give_back(decoded);
    }

    fn percent(&mut self, bytes: &[u8], seed: usize, read: &mut Read, frame: &Frame<'_>) {
        if !self.encodings.contains(Encoding::Percent) {
            return;
        }
        let end_of_seed = seed.saturating_add(WORD).min(bytes.len());
        let mut from = beginning(bytes, seed.max(read.percent), read.percent, PERCENT);
        let mut decoded = self.take_buffer();
        while from < end_of_seed {
            decoded.clear();
            let run = bytes.get(from..).unwrap_or_default();
            let len = symbols::decode(percent::symbol, run, &mut decoded);
            if decoded.len() >= percent::MIN_BYTES && decoded.len() < len {
                let run = run.get(..len).unwrap_or_default();
                let places = Places::new(percent::symbol, run);
                let place = |at: usize| (frame.place)(from.saturating_add(places.of(at)));
                self.meet_decoded(&decoded, &[], Encoding::Percent, frame, &place);
            }
            from = from.saturating_add(len.max(1));
        }
        read.percent = from;
        self.give_back(decoded);
    }

    fn utf16(&mut self, bytes: &[u8], seed: usize, read: &mut Read, frame: &Frame<'_>) {
        let Some(utf16::Run { range, encoding }) = utf16::run(bytes, seed, read.utf16) else { return };
        read.utf16 = range.end;
        if !self.encodings.contains(encoding) {
            return;
        }
        let Range { start, end } = range;
        let mut decoded: Vec<u8> = self.take_buffer();
        utf16::decode(bytes.get(start..end).unwrap_or_default(), encoding, &mut decoded);
        let place = |at: usize| (frame.place)(start.saturating_add(at.saturating_mul(2)));
        self.meet_decoded(&decoded, &[], encoding, frame, &place);
        self.give_back(decoded);
    }
}

const fn has_percent(word: u64) -> bool {
    let other = word ^ 0x2525_2525_2525_2525;
    // Zero bytes, and sometimes the one above a zero byte.
    other.wrapping_sub(0x0101_0101_0101_0101) & !other & TOP_BITS != 0
}
