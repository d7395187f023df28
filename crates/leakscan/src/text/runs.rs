// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text that is encoded as a whole: finds the runs of symbols that a decoder may read by their words of eight bytes.
//!
//! Every run that is long enough to encode a fragment covers a word at a multiple of eight bytes. A word whose bytes
//! are all of one class seeds a run, which is then followed to both ends.

use super::super::byte_class::{BASE64, NUMBERS, PERCENT, TEXT, class, run_start};
use super::super::decode::symbols::{self, Places};
use super::super::decode::{base64, hex, percent, utf16};
use super::super::encoding::Encoding;
use super::super::prefilter::{LANE, Prefilter};
use super::super::sink::{Decoded, Sink};
use super::batch::Batch;
use super::characters::decode_percent as decode_units;
use super::crypt::Crypt;
use super::tokens::{self, Tokens};
use core::ops::Range;

const WORD: usize = 8;
/// Every other word of a lane, from the second on.
const ODD_WORDS: u8 = 0b1010_1010;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;
const EVEN_BYTES: u64 = 0x00FF_00FF_00FF_00FF;

/// How far each decoder has read, and the decoded runs that have not been handed on.
struct Progress {
    base64_batch: Batch,
    hex_batch: Batch,
    tokens: Tokens,
    crypt: Crypt,
    base64: usize,
    hex: usize,
    percent: usize,
    /// The end of what was decoded as percent-encoded units of UTF-16.
    percent_units: usize,
    utf16: usize,
}

impl Progress {
    fn new() -> Self {
        let (base64_batch, hex_batch) = (Batch::new(Encoding::Base64), Batch::new(Encoding::Hex));
        let (tokens, crypt) = (Tokens::new(), Crypt::new());
        Self { base64_batch, hex_batch, tokens, crypt, base64: 0, hex: 0, percent: 0, percent_units: 0, utf16: 0 }
    }
}

/// Finds and decodes the runs in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut read = Progress::new();
    // Whether the last word may belong to a percent-encoded run that ends in the next word, whatever class that has.
    let mut after_bare = false;
    let mut next = 0usize;
    for &(at, numbers) in &prefilter.text {
        let lane = at as usize / LANE;
        // A run of Base64 contains no percent sign. Any other run that begins in it has at least 31 bytes, and so
        // covers two words.
        if (at as usize).saturating_add(LANE) <= read.base64 && numbers & ODD_WORDS == 0 {
            (after_bare, next) = (true, lane.wrapping_add(1));
            continue;
        }
        if lane != next {
            if after_bare {
                decode_lane(sink, bytes, next, true, &mut read);
            }
            after_bare = false;
        }
        after_bare = decode_lane(sink, bytes, lane, after_bare, &mut read);
        next = lane.wrapping_add(1);
    }
    if after_bare {
        decode_lane(sink, bytes, next, true, &mut read);
    }
    // The last bytes are not a whole word.
    let (_, rest) = bytes.as_chunks::<WORD>();
    if rest.contains(&b'%') {
        decode_percent(sink, bytes, bytes.len().saturating_sub(rest.len()), &mut read);
    }
    read.base64_batch.flush(sink, bytes);
    read.hex_batch.flush(sink, bytes);
    read.tokens.flush(sink, bytes);
    read.crypt.flush(sink);
}

/// Reads the words of a lane. `after_bare` is whether the word before the first may belong to a percent-encoded run;
/// the result is the same for the last one.
#[inline(always)]
fn decode_lane(sink: &mut impl Sink, bytes: &[u8], lane: usize, mut after_bare: bool, read: &mut Progress) -> bool {
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
                decode_percent(sink, bytes, at.saturating_sub(1), read);
            }
            after_bare = false;
            continue;
        }
        if value == 0 {
            after_bare = false;
            continue;
        }
        // Any other run that begins within a run of Base64 has at least 31 bytes, and so covers two words.
        if number % 2 == 0 && at.saturating_add(WORD) <= read.base64 {
            after_bare = true;
            continue;
        }
        let classes = word.iter().fold(u8::MAX, |all, &byte| all & class(byte));
        if classes & TEXT == 0 && (value & EVEN_BYTES == 0 || value & !EVEN_BYTES == 0) && at >= read.utf16 {
            decode_utf16(sink, bytes, at, read);
        }
        // The decisions for a whole run come before those for each word, which are mispredicted.
        if at >= read.base64 && classes & BASE64 != 0 {
            decode_base64(sink, bytes, at, read);
        }
        if at >= read.hex && classes & NUMBERS != 0 {
            decode_hex(sink, bytes, at, read);
        }
        let bare = classes & PERCENT != 0;
        if has_percent(value) || (has_percent(before) && bare && !after_bare) {
            decode_percent(sink, bytes, at, read);
        }
        after_bare = bare;
    }
    after_bare
}

fn decode_base64(sink: &mut impl Sink, bytes: &[u8], seed: usize, read: &mut Progress) {
    let is_wanted = sink.wants(Encoding::Base64);
    let mut from = run_start(bytes, seed, read.base64, BASE64);
    let mut symbols = sink.pool().take_buffer();
    // Bytes of the class before a run (a lone backslash) may end another run.
    while from <= seed {
        symbols.clear();
        let run = bytes.get(from..).unwrap_or_default();
        let len = base64::symbols(run, &mut symbols);
        if is_wanted {
            read.crypt.add(sink, bytes, &(from..from.saturating_add(len)));
        }
        if symbols.len() >= tokens::MIN_SYMBOLS {
            let (is_hex, text) = (base64::is_hex(&symbols), from..from.saturating_add(len));
            read.tokens.add(sink, (&symbols, is_hex), text.clone(), bytes);
            if symbols.len() >= base64::MIN_SYMBOLS && is_wanted && !is_hex {
                read.base64_batch.add(sink, &symbols, text, bytes);
            }
        }
        from = from.saturating_add(len).saturating_add(1);
    }
    read.base64 = from.saturating_sub(1);
    sink.pool().return_buffer(symbols);
}

fn decode_hex(sink: &mut impl Sink, bytes: &[u8], seed: usize, read: &mut Progress) {
    if !sink.wants(Encoding::Hex) {
        read.hex = usize::MAX;
        return;
    }
    let mut from = run_start(bytes, seed, read.hex, NUMBERS);
    let mut symbols = sink.pool().take_buffer();
    while from <= seed {
        symbols.clear();
        let run = bytes.get(from..).unwrap_or_default();
        let len = hex::symbols(run, &mut symbols);
        if symbols.len() >= hex::MIN_SYMBOLS {
            read.hex_batch.add(sink, &symbols, from..from.saturating_add(len), bytes);
        }
        from = from.saturating_add(len).saturating_add(1);
    }
    read.hex = from.saturating_sub(1);
    sink.pool().return_buffer(symbols);
}

fn decode_percent(sink: &mut impl Sink, bytes: &[u8], seed: usize, read: &mut Progress) {
    if !sink.wants(Encoding::Percent) {
        return;
    }
    read.percent_units = decode_units(sink, bytes, seed, read.percent_units).unwrap_or(read.percent_units);
    let end_of_seed = seed.saturating_add(WORD).min(bytes.len());
    let mut from = run_start(bytes, seed.max(read.percent), read.percent, PERCENT);
    let mut decoded = sink.pool().take_buffer();
    while from < end_of_seed {
        decoded.clear();
        let run = bytes.get(from..).unwrap_or_default();
        let len = symbols::decode(percent::symbol, run, &mut decoded);
        if decoded.len() >= percent::MIN_BYTES && decoded.len() < len {
            let places = Places::new(percent::symbol, run.get(..len).unwrap_or_default());
            sink.descend(&Decoded::run(&decoded, Encoding::Percent, &|at| from.saturating_add(places.of(at))));
        }
        from = from.saturating_add(len.max(1));
    }
    read.percent = from;
    sink.pool().return_buffer(decoded);
}

fn decode_utf16(sink: &mut impl Sink, bytes: &[u8], seed: usize, read: &mut Progress) {
    let Some(utf16::Run { range, encoding }) = utf16::run(bytes, seed, read.utf16) else { return };
    read.utf16 = range.end;
    if !sink.wants(encoding) {
        return;
    }
    let Range { start, end } = range;
    let mut decoded: Vec<u8> = sink.pool().take_buffer();
    utf16::decode(bytes.get(start..end).unwrap_or_default(), encoding, &mut decoded);
    sink.descend(&Decoded::run(&decoded, encoding, &|at| start.saturating_add(at.saturating_mul(2))));
    sink.pool().return_buffer(decoded);
}

const fn has_percent(word: u64) -> bool {
    let other = word ^ 0x2525_2525_2525_2525;
    // The top bits of the zero bytes, and sometimes of the byte above a zero byte.
    other.wrapping_sub(0x0101_0101_0101_0101) & !other & TOP_BITS != 0
}
