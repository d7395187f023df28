// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hexadecimal, Base64 and escapes that continue over lines with other bytes between them: the quotes and operators of a
//! program, comment marks, line numbers, time stamps.
//!
//! Of each line, its last word of symbols is read: what is before it may be anything, and a few marks may follow it.
//! The words of a value have one length, except the first and the last. Lines of escapes are read between their quotes.

use super::super::collected::Collected;
use super::super::decode::symbols::Symbol;
use super::super::decode::{base64, escapes, hex};
use super::super::encoding::Encoding;
use super::super::index::needles::FRAGMENT;
use super::super::prefilter::{LANE, Prefilter};
use super::super::simd::level;
use super::super::sink::{Decoded, Sink};
use core::ops::Range;
use fearless_simd::prelude::*;
use fearless_simd::{dispatch, u8x64};

/// The longest line: what is before a word may be the prefix of a log.
const MAX_LINE: usize = 1024;
/// The most marks after the last word of a line.
const MAX_SUFFIX: usize = 12;
/// The fewest symbols of a line, except the last one.
const MIN_WORD: usize = 8;
/// Symbols of a word by which it is known as data.
const SAMPLE: usize = 64;

/// The words of some lines, one after the other, with the place of each symbol.
#[derive(Default)]
struct Joined {
    text: Vec<u8>,
    places: Vec<usize>,
    lines: usize,
}

impl Joined {
    fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
        self.lines = 0;
    }

    fn add(&mut self, bytes: &[u8], word: Range<usize>) {
        self.text.extend_from_slice(bytes.get(word.clone()).unwrap_or_default());
        self.places.extend(word);
        self.lines = self.lines.saturating_add(1);
    }

    fn place(&self, at: usize) -> usize {
        self.places.get(at).copied().unwrap_or_default()
    }
}

/// Finds and decodes the values in several lines of `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    if prefilter.text.is_empty() {
        return;
    }
    if sink.wants(Encoding::Hex) || sink.wants(Encoding::Base64) {
        let mut breaks = Vec::new();
        dispatch!(level(), simd => simd.vectorize(#[inline(always)] || scan(simd, bytes, prefilter, &mut breaks)));
        decode_words(sink, bytes, &breaks);
    }
    if !prefilter.escapes.is_empty() && sink.wants(Encoding::Escapes) {
        decode_escapes(sink, bytes, prefilter);
    }
}

/// The line breaks in the lanes with text that may end a word of data.
#[inline(always)]
fn scan<S: Simd>(simd: S, bytes: &[u8], prefilter: &Prefilter, breaks: &mut Vec<usize>) {
    for &(at, _) in &prefilter.text {
        let at = at as usize;
        // The last lane may be shorter: it has no line after it.
        let Some(lane) = bytes.get(at..).and_then(|rest| rest.first_chunk::<LANE>()) else { break };
        let mut places = u8x64::load_array_ref(simd, lane).simd_eq(b'\n').to_bitmask();
        while places != 0 {
            let end = at.wrapping_add(places.trailing_zeros() as usize);
            places &= places.wrapping_sub(1);
            if may_end_word(bytes, end) {
                breaks.push(end);
            }
        }
    }
    let rest = prefilter.text.last().map_or(0, |&(at, _)| at as usize);
    if bytes.len().saturating_sub(rest) < LANE {
        let all = bytes.get(rest..).unwrap_or_default().iter().enumerate();
        let ends = all.filter(|(_, byte)| **byte == b'\n').map(|(at, _)| rest.saturating_add(at));
        breaks.extend(ends.filter(|&end| may_end_word(bytes, end)));
    }
}

const fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_mark(byte)
}

const fn is_mark(byte: u8) -> bool {
    matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Whether the line that ends here may end in a word of data.
#[inline]
fn may_end_word(bytes: &[u8], end: usize) -> bool {
    let to = word_end(bytes, end);
    let start = to.saturating_sub(MIN_WORD);
    bytes.get(start..to).is_some_and(|word| word.len() == MIN_WORD && word.iter().all(|&byte| is_symbol(byte)))
}

/// The end of the last word of the line that ends here: after its last letter or digit, and the marks of Base64 that
/// adjoin it. A line break of a string (`\n"`) and a tag are no part of it. The end of the line if it has none.
fn word_end(bytes: &[u8], end: usize) -> usize {
    let mut to = end;
    for _ in 0..MAX_SUFFIX {
        let before = |distance: usize| to.checked_sub(distance).and_then(|at| bytes.get(at)).copied();
        match (before(1), before(2)) {
            (Some(b'n' | b'r'), Some(b'\\')) => to = to.saturating_sub(2),
            (Some(b'>'), _) => {
                let tag = bytes.get(to.saturating_sub(MAX_SUFFIX)..to).unwrap_or_default();
                let open = tag.iter().rev().position(|&byte| byte == b'<').unwrap_or_default();
                to = to.saturating_sub(open.saturating_add(1));
            }
            (Some(b'\n') | None, _) => return end,
            (Some(byte), _) if byte.is_ascii_alphanumeric() => {
                let marks = bytes.get(to..end).unwrap_or_default().iter().take_while(|&&byte| is_mark(byte)).count();
                return to.saturating_add(marks);
            }
            _ => to = to.saturating_sub(1),
        }
    }
    end
}

/// The last word of the line that ends here, without a prefix of hexadecimal digits.
fn word(bytes: &[u8], end: usize) -> Range<usize> {
    let to = word_end(bytes, end);
    let before = bytes.get(..to).unwrap_or_default().iter().rev();
    let word = to.saturating_sub(before.take_while(|&&byte| is_symbol(byte)).count())..to;
    match bytes.get(word.clone()) {
        Some([b'0', b'x' | b'X', rest @ ..]) if rest.iter().all(u8::is_ascii_hexdigit) => {
            word.start.saturating_add(2)..to
        }
        _ => word,
    }
}

/// Whether a word may be data: its symbols are of several kinds.
fn is_data(word: &[u8]) -> bool {
    let sample = word.get(..SAMPLE).unwrap_or(word);
    let has = |is_such: fn(&u8) -> bool| usize::from(sample.iter().any(is_such));
    let kinds =
        has(u8::is_ascii_digit).saturating_add(has(u8::is_ascii_uppercase)).saturating_add(has(u8::is_ascii_lowercase));
    word.len() >= MIN_WORD && kinds > 1
}

/// The end of the line that begins here: its line break, or the end of the text.
fn line_end(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
    let len = rest.iter().take(MAX_LINE).position(|&byte| byte == b'\n' || !byte.is_ascii() || byte == 0);
    match len {
        Some(len) => Some(start.saturating_add(len)),
        None => (rest.len() <= MAX_LINE).then_some(bytes.len()),
    }
}

/// Decodes the words at the ends of lines that follow each other.
fn decode_words(sink: &mut impl Sink, bytes: &[u8], breaks: &[usize]) {
    let (mut digits, mut symbols) = (Collected::new(Encoding::Hex), Collected::new(Encoding::Base64));
    let mut joined = Joined::default();
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut done = 0usize;
    for &first in breaks {
        if first < done {
            continue;
        }
        let mut last = word(bytes, first);
        if !bytes.get(last.clone()).is_some_and(is_data) {
            continue;
        }
        words.clear();
        words.push(last.clone());
        let (mut end, mut next) = (first, first);
        while let Some(line) = line_end(bytes, end.saturating_add(1)).filter(|_| bytes.get(end) == Some(&b'\n')) {
            let word = word(bytes, line);
            // Only white space between two words ends no run of symbols: those were read together.
            let between = bytes.get(last.end..word.start).unwrap_or_default();
            let is_read = words.len() == 1 && between.iter().all(u8::is_ascii_whitespace);
            let is_next = word.start > end && !word.is_empty() && !is_read;
            let is_same = word.len() == last.len();
            let may_differ = words.len() == 1 && bytes.get(word.clone()).is_some_and(is_data);
            let is_end = word.len() < last.len();
            if !is_next || !(is_same || may_differ || is_end) {
                break;
            }
            words.push(word.clone());
            // The last line may be the first of others.
            (next, end, last) = (end.saturating_add(1), line, word);
            if is_end && words.len() > 2 {
                break;
            }
        }
        done = next;
        if words.len() > 1 {
            let marks = common_marks(bytes, &words);
            joined.clear();
            for word in &words {
                joined.add(bytes, word.start.saturating_add(marks)..word.end);
            }
            add_digits(sink, &joined, &mut digits);
            add_symbols(sink, &joined, &mut symbols);
        }
    }
    digits.flush(sink);
    symbols.flush(sink);
}

/// Marks that each word begins with, as comments do, if nothing but blanks is before them in their lines.
fn common_marks(bytes: &[u8], words: &[Range<usize>]) -> usize {
    let begins = |word: &Range<usize>, mark: &[u8]| {
        let before = bytes.get(..word.start).unwrap_or_default();
        let before = before.iter().rev().find(|&&byte| !matches!(byte, b' ' | b'\t'));
        matches!(before, None | Some(b'\n')) && bytes.get(word.clone()).is_some_and(|word| word.starts_with(mark))
    };
    let marks: [&[u8]; 5] = [b"//", b"--", b"+", b"-", b"/"];
    let common = marks.iter().find(|mark| words.iter().all(|word| begins(word, mark)));
    common.map_or(0, |mark| mark.len())
}

/// Decodes the hexadecimal digits of some words.
fn add_digits(sink: &mut impl Sink, joined: &Joined, collected: &mut Collected) {
    let (mut values, mut decoded) = (Vec::new(), Vec::new());
    let mut at = 0usize;
    for part in joined.text.split(|byte| !byte.is_ascii_hexdigit()) {
        if part.len() >= hex::MIN_SYMBOLS {
            values.clear();
            values.extend(part.iter().map(|&digit| hex::value(digit)));
            for alignment in 0..hex::ALIGNMENTS {
                decoded.clear();
                hex::decode(&values, alignment, &mut decoded);
                collected.begin(sink);
                for (number, &byte) in decoded.iter().enumerate() {
                    let digit = at.saturating_add(alignment).saturating_add(number.saturating_mul(2));
                    collected.push(byte, joined.place(digit));
                }
            }
        }
        at = at.saturating_add(part.len()).saturating_add(1);
    }
}

/// Decodes the symbols of some words, if they are no hexadecimal digits.
fn add_symbols(sink: &mut impl Sink, joined: &Joined, collected: &mut Collected) {
    let (mut symbols, mut decoded) = (Vec::new(), Vec::new());
    base64::symbols(&joined.text, &mut symbols);
    if symbols.len() < base64::MIN_SYMBOLS || base64::is_hex(&symbols) {
        return;
    }
    for alignment in 0..base64::ALIGNMENTS {
        decoded.clear();
        base64::decode(&symbols, alignment, &mut decoded);
        collected.begin(sink);
        for (number, &byte) in decoded.iter().enumerate() {
            collected.push(byte, joined.place(base64::symbol_of(number).saturating_add(alignment)));
        }
    }
}

/// Decodes the lines with escapes that follow each other, and of which each has one with digits.
fn decode_escapes(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let has_digits = |at: usize| {
        matches!(bytes.get(at.saturating_add(1)), Some(b'x' | b'u' | b'U' | b'0'..=b'9'))
            && escapes::len(bytes.get(at..).unwrap_or_default()).is_some()
    };
    let mut all = prefilter.escapes.iter().map(|&at| at as usize).filter(|&at| has_digits(at)).peekable();
    let mut joined = Joined::default();
    let mut end = None;
    while let Some(first) = all.next() {
        let Some(to) = line_end(bytes, first) else { continue };
        let before = bytes.get(first.saturating_sub(MAX_LINE)..first).unwrap_or_default();
        let from = first.saturating_sub(before.iter().rev().take_while(|&&byte| byte != b'\n').count());
        let mut last = first;
        while let Some(at) = all.next_if(|&at| at < to) {
            last = at;
        }
        if end.is_none_or(|end: usize| end.saturating_add(1) != from) {
            add_escaped(sink, &joined, bytes);
            joined.clear();
        }
        joined.add(bytes, content(bytes, from..to, first..last));
        end = Some(to);
    }
    add_escaped(sink, &joined, bytes);
}

/// The content of a line whose first and last escapes with digits are these: between quotes, or the word.
fn content(bytes: &[u8], line: Range<usize>, escapes: Range<usize>) -> Range<usize> {
    let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'`');
    let last_len = bytes.get(escapes.end..).and_then(escapes::len).unwrap_or_default();
    let last = escapes.end.saturating_add(last_len);
    let head = bytes.get(line.start..escapes.start).unwrap_or_default();
    let tail = bytes.get(last..line.end).unwrap_or_default();
    let after_last = |is_such: &dyn Fn(u8) -> bool| {
        let len = head.iter().rev().position(|&byte| is_such(byte)).unwrap_or(head.len());
        escapes.start.saturating_sub(len)
    };
    // The closing quote, and after it the operators that join two strings.
    let is_operator = |byte: &u8| !byte.is_ascii_alphanumeric() && !is_quote(*byte);
    let marks = tail.iter().rev().take(MAX_SUFFIX).take_while(|byte| is_operator(byte)).count();
    let closing = tail.len().checked_sub(marks.saturating_add(1));
    let closing = closing.and_then(|at| Some((at, tail.get(at).copied().filter(|&byte| is_quote(byte))?)));
    if let Some((at, quote)) = closing.filter(|&(_, quote)| head.contains(&quote)) {
        return after_last(&|byte| byte == quote)..last.saturating_add(at);
    }
    let is_end = |byte: u8| is_quote(byte) || matches!(byte, b' ' | b'\t' | b'\r' | b'\\' | b'<' | b'>');
    let len = tail.iter().take_while(|&&byte| !is_end(byte)).count();
    after_last(&|byte| is_end(byte) && byte != b'\\')..last.saturating_add(len)
}

/// Decodes the content of lines.
fn add_escaped(sink: &mut impl Sink, joined: &Joined, bytes: &[u8]) {
    if joined.lines < 2 || joined.text.len() < FRAGMENT {
        return;
    }
    let symbols: [Symbol; 2] = [escapes::symbol, escapes::decimal_symbol];
    let is_decimal = (0..joined.text.len()).any(|at| escapes::is_decimal(joined.text.get(at..).unwrap_or_default()));
    let (mut decoded, mut places) = (sink.pool().take_buffer(), Vec::new());
    for symbol in symbols.into_iter().take(if is_decimal { 2 } else { 1 }) {
        decoded.clear();
        places.clear();
        let mut at = 0usize;
        while let Some((byte, len)) = symbol(joined.text.get(at..).unwrap_or_default()) {
            decoded.push(byte);
            places.push(joined.place(at));
            at = at.saturating_add(len);
        }
        if decoded.len() < FRAGMENT {
            continue;
        }
        let position = |at: usize| places.get(at).copied().unwrap_or_default();
        let is_literal = |at: usize, len: usize| {
            let start = position(at);
            bytes.get(start..start.saturating_add(len)) == decoded.get(at..at.saturating_add(len))
        };
        sink.descend(&Decoded { is_literal: &is_literal, ..Decoded::run(&decoded, Encoding::Escapes, &position) });
    }
    sink.pool().return_buffer(decoded);
}
