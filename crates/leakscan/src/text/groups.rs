// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base85, base45 and uuencode: symbols that are no letters or digits only, so that they are in no run of Base64.
//!
//! Runs of symbols are found by the lanes with text. Programs and JSON have many of those: a run must look like random
//! symbols of its alphabet.

use super::super::decode::groups::{self, Alphabet};
use super::super::encoding::Encoding;
use super::super::prefilter::{LANE, Prefilter};
use super::super::simd::level;
use super::super::sink::Sink;
use super::batch::BATCH_LEN;
use super::tokens::{Collected, Origin};
use core::ops::Range;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x64};

/// The longest run that is read together: bounds the work for a run that is read in several alphabets.
const MAX_RUN: usize = 1 << 16;
/// The longest line of uuencode, with a checksum.
const MAX_LINE: usize = 62;
/// The longest run without a symbol that Base64 does not have: of random base85, one in 2^14 has none in so many.
const BASE64_ONLY: usize = 40;

/// Places where a run of symbols is, at least eight of them within a lane.
#[derive(Default)]
struct Seeds {
    /// Of printable characters without spaces.
    solid: Vec<usize>,
    /// Of base45.
    base45: Vec<usize>,
    /// Of uuencode.
    uuencode: Vec<usize>,
}

/// Finds and decodes groups in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let all = [Encoding::Base85, Encoding::Base45, Encoding::Uuencode];
    if prefilter.text.is_empty() || !all.iter().any(|&encoding| sink.wants(encoding)) {
        return;
    }
    let mut seeds = Seeds::default();
    dispatch!(level(), simd => simd.vectorize(#[inline(always)] || scan(simd, &mut seeds, bytes, prefilter)));
    if sink.wants(Encoding::Base85) {
        decode_base85(sink, bytes, &seeds.solid);
    }
    if sink.wants(Encoding::Base45) {
        decode_base45(sink, bytes, &seeds.base45);
    }
    if sink.wants(Encoding::Uuencode) {
        decode_uuencode(sink, bytes, &seeds.uuencode);
    }
}

#[inline(always)]
fn scan<S: Simd>(simd: S, seeds: &mut Seeds, bytes: &[u8], prefilter: &Prefilter) {
    for &(at, _) in &prefilter.text {
        let at = at as usize;
        let rest = bytes.get(at..).unwrap_or_default();
        let mut padded = [0; LANE];
        let lane = match rest.first_chunk::<LANE>() {
            Some(lane) => lane,
            None => {
                padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                &padded
            }
        };
        scan_lane(simd, seeds, at, lane);
    }
}

#[inline(always)]
#[allow(clippy::arithmetic_side_effects, reason = "vectors wrap")]
fn scan_lane<S: Simd>(simd: S, seeds: &mut Seeds, at: usize, lane: &[u8; LANE]) {
    let one = u8x64::load_array_ref(simd, lane);
    let upper = (one - b'A').simd_lt(26);
    let lower = (one - b'a').simd_lt(26);
    // `-`, `.`, `/` and the digits.
    let digits = (one - b'-').simd_lt(13);
    let letters = upper | lower;
    let plain = letters | digits | one.simd_eq(b'+') | one.simd_eq(b'_') | one.simd_eq(b'=');
    let plain = plain.to_bitmask();
    // Base64 and hexadecimal: no run of another alphabet has so many of its symbols in a row.
    if plain == u64::MAX {
        return;
    }
    let solid = (one - b'!').simd_lt(b'~' - b' ').to_bitmask();
    // Words of letters and digits.
    let solid = if solid & !plain == 0 && solid.count_ones() as usize > BASE64_ONLY { 0 } else { solid };
    add_runs(&mut seeds.solid, solid, at);
    // The other alphabets have no small letters.
    let lower = lower.to_bitmask();
    if !has_eight(!lower) {
        return;
    }
    let base45 = digits | upper | one.simd_eq(b':') | (one - b'*').simd_lt(2) | (one - b'$').simd_lt(2);
    let base45 = (base45 | one.simd_eq(b' ')).to_bitmask();
    add_runs(&mut seeds.base45, base45, at);
    add_runs(&mut seeds.uuencode, (one - b' ').simd_lt(b'`' - 0x1F).to_bitmask(), at);
}

/// The bits that begin a row of eight.
#[inline(always)]
const fn eights(places: u64) -> u64 {
    let twos = places & places >> 1;
    let fours = twos & twos >> 2;
    fours & fours >> 4
}

#[inline(always)]
const fn has_eight(places: u64) -> bool {
    eights(places) != 0
}

/// Adds the first of each row of at least eight places: a run of 16 has as many in one of two lanes.
#[inline(always)]
fn add_runs(seeds: &mut Vec<usize>, places: u64, at: usize) {
    let mut eights = eights(places);
    while eights != 0 {
        let first = eights.trailing_zeros();
        seeds.push(at.wrapping_add(first as usize));
        // The rest of the run is not another seed.
        let next = first.wrapping_add((!(places >> first)).trailing_zeros());
        eights = eights.checked_shr(next).unwrap_or(0).checked_shl(next).unwrap_or(0);
    }
}

/// The run around a seed, not before `floor`.
#[inline]
fn run(bytes: &[u8], seed: usize, floor: usize, is_in: impl Fn(u8) -> bool) -> Range<usize> {
    let before = bytes.get(floor..seed).unwrap_or_default().iter().rev().take(MAX_RUN).take_while(|&&byte| is_in(byte));
    let rest = bytes.get(seed..).unwrap_or_default();
    let rest = rest.get(..MAX_RUN).unwrap_or(rest);
    // Whole chunks first, for the vector units.
    let is_whole = |chunk: &&[u8; 32]| chunk.iter().fold(true, |all, &byte| all & is_in(byte));
    let whole = rest.as_chunks().0.iter().take_while(is_whole).count().saturating_mul(32);
    let after = rest.get(whole..).unwrap_or_default().iter().take_while(|&&byte| is_in(byte)).count();
    seed.saturating_sub(before.count())..seed.saturating_add(whole).saturating_add(after)
}

fn decode_base85(sink: &mut impl Sink, bytes: &[u8], seeds: &[usize]) {
    let mut collected = Collected::new(Encoding::Base85);
    let mut done = 0usize;
    for &seed in seeds.iter() {
        if seed < done {
            continue;
        }
        // A long run that is plain here is not followed to its ends.
        let near = bytes.get(seed.saturating_sub(LANE).max(done)..seed.saturating_add(LANE).min(bytes.len()));
        if near.is_some_and(|near| near.iter().all(u8::is_ascii_graphic) && is_plain(near)) {
            done = seed.saturating_add(LANE / 2);
            continue;
        }
        let solid = run(bytes, seed, done, |byte| byte.is_ascii_graphic());
        done = solid.end.max(seed.saturating_add(1));
        let all = bytes.get(solid.clone()).unwrap_or_default();
        if solid.len() < groups::MIN_BASE85 {
            continue;
        }
        let kinds = Kinds::of(all);
        if kinds.is_plain(all.len()) {
            continue;
        }
        let frame = if kinds.tildes > 0 { framed(bytes, &solid) } else { None };
        if let Some(framed) = frame {
            let text = bytes.get(framed.clone()).unwrap_or_default();
            let [ascii85, ..] = &groups::BASE85;
            let decode = |out: &mut Vec<u8>| _ = groups::base85(text, ascii85, true, out);
            collected.add(decode, |len| Origin::Number { token: framed.clone(), len, zeros: 0 });
            done = done.max(framed.end);
            continue;
        }
        if kinds.looks_random(all) {
            add_alphabets(&mut collected, all, solid.start);
        } else if kinds.marks > 0 {
            let mut at = solid.start;
            for part in all.split(|&byte| byte == b'"') {
                if looks_random(part) {
                    add_alphabets(&mut collected, part, at);
                }
                at = at.saturating_add(part.len()).saturating_add(1);
            }
        }
        if collected.len() >= BATCH_LEN {
            collected.flush(sink, bytes);
        }
    }
    collected.flush(sink, bytes);
}

/// The text between `<~` and `~>`, whatever white space is in it, if `<~` is in a run.
fn framed(bytes: &[u8], solid: &Range<usize>) -> Option<Range<usize>> {
    let start = bytes.get(solid.clone())?.windows(2).position(|pair| pair == b"<~")?;
    let start = solid.start.saturating_add(start).saturating_add(2);
    let rest = bytes.get(start..)?;
    let len = rest
        .iter()
        .take(MAX_RUN)
        .position(|byte| !(byte.is_ascii_whitespace() || matches!(byte, b'!'..=b'u' | b'z')))?;
    (rest.get(len..)?.starts_with(b"~>") && len >= groups::MIN_BASE85).then(|| start..start.saturating_add(len))
}

/// Decodes the parts of a text that are of one alphabet, in each.
fn add_alphabets(collected: &mut Collected, text: &[u8], start: usize) {
    for (number, alphabet) in groups::BASE85.iter().enumerate() {
        let is_ascii85 = number == 0;
        let is_end = |&byte: &u8| groups::value(alphabet, byte).is_none() && !(is_ascii85 && byte == b'z');
        let mut at = start;
        for part in text.split(is_end) {
            if looks_random(part) {
                add_base85(collected, part, at, alphabet, is_ascii85);
            }
            at = at.saturating_add(part.len()).saturating_add(1);
        }
    }
}

/// Decodes a run of one alphabet at each alignment.
fn add_base85(collected: &mut Collected, text: &[u8], start: usize, alphabet: &Alphabet, is_ascii85: bool) {
    for alignment in 0..5usize {
        let mut from = alignment;
        while from.saturating_add(groups::MIN_BASE85) <= text.len() {
            let rest = text.get(from..).unwrap_or_default();
            let mut read = 0usize;
            let place = start.saturating_add(from);
            collected.add(
                |out| read = groups::base85(rest, alphabet, is_ascii85, out),
                |_| Origin::Groups { start: place, bytes: 4, symbols: 5 },
            );
            from = from.saturating_add(read.max(1));
        }
    }
}

/// How many bytes of a text are of which kind.
#[derive(Clone, Copy, Default)]
struct Kinds {
    upper: usize,
    lower: usize,
    /// Digits, and marks of Base64, names and paths.
    names: usize,
    /// Quotes, commas and colons.
    marks: usize,
    backslashes: usize,
    tildes: usize,
}

/// One for the kind of each byte: ten bits a kind, in the order of [`Kinds`].
static KINDS: [u64; 256] = kinds();
const KIND_BITS: u32 = 10;

const fn kinds() -> [u64; 256] {
    let (mut kinds, mut byte) = ([0; 256], 0u8);
    while byte < 0x80 {
        let number = match byte {
            b'A'..=b'Z' => Some(0),
            b'a'..=b'z' => Some(1),
            b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' | b'=' | b'.' => Some(2),
            b'"' | b',' | b':' => Some(3),
            b'\\' => Some(4),
            b'~' => Some(5),
            _ => None,
        };
        if let Some(number) = number {
            #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
            {
                kinds[byte as usize] = 1 << KIND_BITS.saturating_mul(number);
            }
        }
        byte = byte.wrapping_add(1);
    }
    kinds
}

impl Kinds {
    #[allow(clippy::indexing_slicing, reason = "the table has an entry for each byte")]
    fn of(text: &[u8]) -> Self {
        let mut all = Self::default();
        for part in text.chunks((1 << KIND_BITS) - 1) {
            let sum = part.iter().fold(0u64, |sum, &byte| sum.wrapping_add(KINDS[usize::from(byte)]));
            let count = |number: u32| (sum >> KIND_BITS.saturating_mul(number) & ((1 << KIND_BITS) - 1)) as usize;
            all.upper = all.upper.saturating_add(count(0));
            all.lower = all.lower.saturating_add(count(1));
            all.names = all.names.saturating_add(count(2));
            all.marks = all.marks.saturating_add(count(3));
            all.backslashes = all.backslashes.saturating_add(count(4));
            all.tildes = all.tildes.saturating_add(count(5));
        }
        all
    }

    /// Whether a run of so many bytes is Base64, hexadecimal or a path: it has too few other symbols for base85.
    const fn is_plain(&self, len: usize) -> bool {
        let others = len.saturating_sub(self.upper).saturating_sub(self.lower).saturating_sub(self.names);
        if len < BASE64_ONLY { others == 0 && self.upper == 0 } else { others.saturating_mul(BASE64_ONLY) < len }
    }

    /// Whether a text of these kinds may be random symbols of base85: of random ones, one run of 20 symbols in 2^12 is
    /// rejected, and of 40 one in 2^20. Of programs and JSON, most symbols are small letters, and few are capital letters
    /// or rare marks.
    fn looks_random(&self, text: &[u8]) -> bool {
        let &Self { lower, names, marks, backslashes, .. } = self;
        let rare = text.len().saturating_sub(lower).saturating_sub(names).saturating_sub(marks);
        let is_words = lower.saturating_mul(20) > text.len().saturating_mul(13);
        if is_words || rare.saturating_mul(8) < text.len() || self.is_plain(text.len()) {
            return false;
        }
        // A row of backslashes, as in a text that was escaped again and again, is no random symbol.
        let is_doubled = |pair: &&[u8]| *pair == b"\\\\";
        let doubled = if backslashes > 1 { text.windows(2).filter(is_doubled).count() } else { 0 };
        rare.saturating_sub(doubled).saturating_mul(8) >= text.len()
    }
}

/// Whether a text is Base64, hexadecimal or a path.
fn is_plain(text: &[u8]) -> bool {
    Kinds::of(text).is_plain(text.len())
}

/// Whether a text may be random symbols of base85.
fn looks_random(text: &[u8]) -> bool {
    text.len() >= groups::MIN_BASE85 && Kinds::of(text).looks_random(text)
}

fn decode_base45(sink: &mut impl Sink, bytes: &[u8], seeds: &[usize]) {
    let mut collected = Collected::new(Encoding::Base45);
    let mut done = 0usize;
    for &seed in seeds.iter() {
        if seed < done {
            continue;
        }
        let run = run(bytes, seed, done, |byte| groups::value(&groups::BASE45, byte).is_some());
        done = run.end.max(seed.saturating_add(1));
        let text = bytes.get(run.clone()).unwrap_or_default();
        // Numbers, times and hexadecimal digits have none of these letters; of random symbols, four in nine are one.
        let letters = text.iter().filter(|byte| matches!(byte, b'G'..=b'Z')).count();
        if text.len() < groups::MIN_BASE45 || letters.saturating_mul(8) < text.len() {
            continue;
        }
        for alignment in 0..3usize {
            let mut from = alignment;
            while from.saturating_add(groups::MIN_BASE45) <= text.len() {
                let (rest, place) = (text.get(from..).unwrap_or_default(), run.start.saturating_add(from));
                let mut read = 0usize;
                collected.add(
                    |out| read = groups::base45(rest, out),
                    |_| Origin::Groups { start: place, bytes: 2, symbols: 3 },
                );
                from = from.saturating_add(read.max(1));
            }
        }
        if collected.len() >= BATCH_LEN {
            collected.flush(sink, bytes);
        }
    }
    collected.flush(sink, bytes);
}

/// Decodes lines of uuencode, one after the other.
fn decode_uuencode(sink: &mut impl Sink, bytes: &[u8], seeds: &[usize]) {
    let mut collected = Collected::new(Encoding::Uuencode);
    let mut done = 0usize;
    for &seed in seeds.iter() {
        if seed < done {
            continue;
        }
        let before = bytes.get(seed.saturating_sub(MAX_LINE).max(done)..seed).unwrap_or_default();
        let before = before.iter().rev().take_while(|&&byte| matches!(byte, b' '..=b'`')).count();
        let start = seed.saturating_sub(before);
        let is_line =
            start == 0 || bytes.get(start.saturating_sub(1)).is_some_and(|byte| matches!(byte, b'\r' | b'\n'));
        if !is_line {
            continue;
        }
        let mut end = start;
        let mut decode = |out: &mut Vec<u8>| {
            while let Some(line) = bytes.get(end..).map(line).filter(|line| groups::uuencoded(line).is_some()) {
                groups::uudecode(line, out);
                let after = bytes.get(end.saturating_add(line.len())..).unwrap_or_default();
                let gap = after.iter().take(2).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                end = end.saturating_add(line.len()).saturating_add(gap);
            }
        };
        let mut decoded = Vec::new();
        if bytes.get(start..).map(line).is_some_and(|line| groups::uuencoded(line).is_some()) {
            decode(&mut decoded);
        }
        done = end.max(seed.saturating_add(1));
        let token = start.saturating_add(1)..end.max(start.saturating_add(1));
        collected.add(|out| out.extend(&decoded), |len| Origin::Number { token, len, zeros: 0 });
        if collected.len() >= BATCH_LEN {
            collected.flush(sink, bytes);
        }
    }
    collected.flush(sink, bytes);
}

/// The line of uuencode's symbols that some bytes begin with.
fn line(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().take(MAX_LINE.saturating_add(1)).take_while(|&&byte| matches!(byte, b' '..=b'`')).count();
    bytes.get(..len).unwrap_or_default()
}
