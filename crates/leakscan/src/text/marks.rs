// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of which some are written with a mark: `=C3`, `#303`, `^A`, `\^A`, and the plus of forms.
//!
//! All of them are ASCII, so that their marks are looked for in the lanes with text and beside those. In programs and
//! logs such marks occur by themselves (`id=10`, `#000`, `[^A-Z]`): there must be two of them near each other, since a
//! key has many.

use super::super::byte_class::{TEXT, class};
use super::super::decode::marks::{self, equals, soft_break};
use super::super::decode::symbols::{self, AnySymbol, Places, Symbol};
use super::super::encoding::Encoding;
use super::super::index::needles::FRAGMENT;
use super::super::prefilter::{LANE, Prefilter};
use super::super::simd::level;
use super::super::sink::{Decoded, Sink};
use super::escaped::{CONTEXT, EscapedRuns};
use core::ops::Range;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x64};

/// Bytes between two marks that are near each other. In quoted-printable, two bytes in three of a key have marks: that
/// no two in 16 bytes are so near has probability 2^-40, and in 32 bytes less.
const NEAR: usize = 6;
/// Bytes before a soft line break of which one must be a space: half of the longest line.
const LINE: usize = 38;
/// Bytes before and after a plus in which it is decided whether the text is a form.
const FORM: usize = 32;

/// The places of each kind.
#[derive(Default)]
struct Found {
    quoted_printable: Near,
    encoded_words: Near,
    hashes: Near,
    carets: Near,
    vis: Near,
    pluses: Vec<usize>,
}

/// Marks of one kind that have another near them, or that do not need one.
#[derive(Default)]
struct Near {
    marks: Vec<Range<usize>>,
    /// The last mark, if it has none near before it.
    alone: Option<Range<usize>>,
    /// The end of the last mark.
    end: Option<usize>,
}

impl Near {
    /// Adds a mark; `is_sure`: it needs no other.
    fn add(&mut self, mark: Range<usize>, is_sure: bool, bytes: &[u8]) {
        let is_sure = is_sure && is_in_text(bytes, &mark);
        let between = self.end.and_then(|end| bytes.get(end..mark.start));
        let is_near =
            between.is_some_and(|between| between.len() <= NEAR && between.iter().all(|byte| !ends_word(*byte)));
        self.end = Some(mark.end);
        if is_near || is_sure {
            self.marks.extend(self.alone.take().filter(|_| is_near));
            self.marks.push(mark);
        } else {
            self.alone = Some(mark);
        }
    }
}

/// Whether the bytes near a mark are text on both sides: of random ones, those of one mark in 2^16 are.
fn is_in_text(bytes: &[u8], mark: &Range<usize>) -> bool {
    let before = bytes.get(mark.start.saturating_sub(FRAGMENT / 2)..mark.start).unwrap_or_default();
    let after = bytes.get(mark.end..mark.end.saturating_add(FRAGMENT / 2).min(bytes.len())).unwrap_or_default();
    before.iter().chain(after).all(|&byte| class(byte) & TEXT != 0)
}

/// Whether a byte separates two settings (`a=10 b=20`, `a=10&b=20`).
const fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'&' | b';' | b',' | b'\t' | b'\n' | b'\r')
}

/// Finds and decodes the marked bytes in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let all = [Encoding::QuotedPrintable, Encoding::HashEscapes, Encoding::CaretNotation, Encoding::Form];
    if prefilter.text.is_empty() || !all.iter().any(|&encoding| sink.wants(encoding)) {
        return;
    }
    let mut found = Found::default();
    dispatch!(level(), simd => simd.vectorize(#[inline(always)] || scan(simd, &mut found, bytes, prefilter)));
    let Found { quoted_printable, encoded_words, hashes, carets, vis, pluses } = found;
    let kinds: [(Near, Encoding, Symbol); 5] = [
        (quoted_printable, Encoding::QuotedPrintable, marks::quoted_printable),
        (encoded_words, Encoding::QuotedPrintable, marks::encoded_words),
        (hashes, Encoding::HashEscapes, marks::hash_escapes),
        (carets, Encoding::CaretNotation, marks::caret_notation),
        (vis, Encoding::CaretNotation, marks::vis_notation),
    ];
    for (Near { marks, .. }, encoding, symbol) in kinds {
        if !marks.is_empty() && sink.wants(encoding) {
            decode_marked(sink, bytes, &marks, encoding, symbol);
        }
    }
    if !pluses.is_empty() && sink.wants(Encoding::Form) {
        decode_forms(sink, bytes, &pluses);
    }
}

/// Looks for marks in the lanes with text, and in the lanes beside them: a run of text covers a word whole.
#[inline(always)]
fn scan<S: Simd>(simd: S, found: &mut Found, bytes: &[u8], prefilter: &Prefilter) {
    let mut done = 0usize;
    for &(at, _) in &prefilter.text {
        let at = at as usize;
        let mut lane = at.saturating_sub(LANE).max(done);
        done = at.saturating_add(LANE.saturating_mul(2)).min(bytes.len());
        while lane < done {
            let rest = bytes.get(lane..).unwrap_or_default();
            let mut padded = [0; LANE];
            let ones = match rest.first_chunk::<LANE>() {
                Some(ones) => ones,
                None => {
                    padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    &padded
                }
            };
            let one = u8x64::load_array_ref(simd, ones);
            let of = |byte: u8| one.simd_eq(byte);
            let caret = of(b'^');
            let marks = (of(b'=') | of(b'#') | caret | of(b'+')).to_bitmask();
            // `M-a` and `M^A`; the lane may not have the byte after the letter.
            let metas = of(b'M').to_bitmask() & ((of(b'-') | caret).to_bitmask() >> 1 | 1 << 63);
            let mut places = marks | metas;
            while places != 0 {
                add(found, bytes, lane.wrapping_add(places.trailing_zeros() as usize));
                places &= places.wrapping_sub(1);
            }
            lane = lane.saturating_add(LANE);
        }
    }
}

/// Adds the mark at an index, if there is one.
#[inline]
fn add(found: &mut Found, bytes: &[u8], at: usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let mark = |len: usize| at..at.saturating_add(len);
    match *rest {
        [b'+', ..] if may_be_form(bytes, at) => found.pluses.push(at),
        [b'=', b'\r' | b'\n', ..] => {
            let len = soft_break(rest);
            // The padding of Base64 ends many lines, too.
            let line = bytes.get(at.saturating_sub(LINE)..at).unwrap_or_default();
            found.quoted_printable.add(mark(len), len > 0 && line.contains(&b' '), bytes);
        }
        [b'=', b'?', ..] => {
            let len = marks::encoded_word(rest);
            if len > 0 {
                found.encoded_words.marks.push(mark(len));
            }
        }
        [b'=', ..] => {
            if let Some((byte, len)) = equals(rest) {
                // An equals sign itself has no reason to be a number elsewhere.
                found.quoted_printable.add(mark(len), byte == b'=', bytes);
            }
        }
        [b'#', ..] => {
            if let Some((byte, len)) = marks::hash(rest) {
                let is_digit = rest.get(len).is_some_and(u8::is_ascii_hexdigit);
                found.hashes.add(mark(len), matches!(byte, b'\t' | b'\n' | b'\r') && !is_digit, bytes);
            }
        }
        [b'M' | b'^', ..] => {
            let before = at.checked_sub(1).map(|before| (before, bytes.get(before..).unwrap_or_default()));
            if let Some((before, len)) = before.and_then(|(before, rest)| Some((before, marks::vis(rest)?.1))) {
                found.vis.add(before..before.saturating_add(len), false, bytes);
            }
            // The caret of `M-^A` has been read.
            let is_read = found.carets.end.is_some_and(|end| at < end);
            if let Some((byte, len)) = marks::caret(rest).filter(|_| !is_read) {
                found.carets.add(mark(len), matches!(byte, 0 | b'\t' | b'\r'), bytes);
            }
        }
        _ => {}
    }
}

/// Decodes the surroundings of marks, as those of escapes are.
fn decode_marked(sink: &mut impl Sink, bytes: &[u8], marks: &[Range<usize>], encoding: Encoding, symbol: Symbol) {
    let mut runs = EscapedRuns::new(sink, encoding, AnySymbol::Byte(symbol), |_, at| at);
    let mut all = marks.iter().peekable();
    while let Some(first) = all.next() {
        let from = first.start.saturating_sub(CONTEXT);
        let mut last = first.end;
        while let Some(mark) = all.next_if(|mark| mark.start < last.saturating_add(CONTEXT)) {
            last = last.max(mark.end);
        }
        let run = bytes.get(from..last.saturating_add(CONTEXT).min(bytes.len())).unwrap_or_default();
        runs.add(sink, run, from, |text, out| _ = symbols::decode(symbol, text, out));
    }
    runs.finish(sink);
}

fn decode_forms(sink: &mut impl Sink, bytes: &[u8], pluses: &[usize]) {
    let mut done = 0usize;
    let mut decoded = sink.pool().take_buffer();
    for &at in pluses {
        if at < done || !is_form(bytes, at) {
            continue;
        }
        let before = bytes.get(done..at).unwrap_or_default();
        let from = at.saturating_sub(before.iter().rev().take_while(|&&byte| marks::is_form(byte)).count());
        decoded.clear();
        let run = bytes.get(from..).unwrap_or_default();
        let len = symbols::decode(marks::form, run, &mut decoded);
        done = from.saturating_add(len).max(at.saturating_add(1));
        let run = run.get(..len).unwrap_or_default();
        if decoded.len() >= FRAGMENT {
            let places = Places::new(marks::form, run);
            let is_literal = |at: usize, len: usize| {
                run.get(places.of(at)..).and_then(|rest| rest.get(..len)) == decoded.get(at..at.saturating_add(len))
            };
            let position = |at: usize| from.saturating_add(places.of(at));
            sink.descend(&Decoded { is_literal: &is_literal, ..Decoded::run(&decoded, Encoding::Form, &position) });
        }
    }
    sink.pool().return_buffer(decoded);
}

/// Whether the eight bytes beside a plus are mostly letters of one case, or are ends of words: of random Base64, those
/// of one plus in five are.
#[inline]
fn may_be_form(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(4)..at).unwrap_or_default();
    let after = bytes.get(at.saturating_add(1)..at.saturating_add(5).min(bytes.len())).unwrap_or_default();
    let (mut lower, mut upper) = (0u8, 0u8);
    for &byte in before.iter().chain(after) {
        if matches!(byte, b'+' | b'%') {
            return true;
        }
        let is_end = !byte.is_ascii_alphanumeric() && byte != b'/';
        lower = lower.wrapping_add(u8::from(is_end || byte.is_ascii_lowercase()));
        upper = upper.wrapping_add(u8::from(is_end || byte.is_ascii_uppercase()));
    }
    lower.max(upper) >= 6 || before.len().saturating_add(after.len()) < 8
}

/// Whether the text around a plus is a form and no Base64, in which one symbol in 64 is a plus, and two in five are
/// letters of one case: it has many pluses, percent-encoding, or mostly letters of one case.
fn is_form(bytes: &[u8], at: usize) -> bool {
    let is_part = |byte: &&u8| marks::is_form(**byte);
    let before = bytes.get(at.saturating_sub(FORM)..at).unwrap_or_default().iter().rev().take_while(is_part);
    let after = bytes.get(at..).unwrap_or_default().iter().take(FORM).take_while(is_part);
    let (mut len, mut pluses, mut percents, mut lower, mut upper) = (0usize, 0usize, 0usize, 0usize, 0usize);
    for byte in before.chain(after) {
        len = len.saturating_add(1);
        match byte {
            b'+' => pluses = pluses.saturating_add(1),
            b'%' => percents = percents.saturating_add(1),
            b'a'..=b'z' => lower = lower.saturating_add(1),
            b'A'..=b'Z' => upper = upper.saturating_add(1),
            _ => {}
        }
    }
    let words = lower.max(upper).saturating_add(pluses);
    percents > 0 || (pluses >= 4 && pluses.saturating_mul(8) >= len) || words.saturating_mul(8) >= len.saturating_mul(7)
}
