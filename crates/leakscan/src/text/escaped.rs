// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of which some are encoded and the others are as they are: escapes, Latin-1 in UTF-8, bytes of 16 bits.
//!
//! Bytes that are as they are have been searched where they are; only the surroundings of encoded bytes are decoded.

use super::super::containers::formats::is_pair;
use super::super::decode::symbols::{self, AnySymbol, Places};
use super::super::decode::{escapes, latin1, wide};
use super::super::encoding::Encoding;
use super::super::false_positives::{NEAR, ends_text};
use super::super::index::needles::FRAGMENT;
use super::super::prefilter::{LANE, Prefilter};
use super::super::sink::{Decoded, Sink};
use super::batch::{BATCH_LEN, BORDER, run_at};

/// Bytes before the first and after the last escape that are decoded with them: a fragment of sixteen bytes, each an
/// escape that is escaped once more (`\u00e9` within a string whose backslashes are doubled).
pub(super) const CONTEXT: usize = escapes::MIN_BYTES * (escapes::MAX_LEN + 1);
/// The length of a fragment, the same in each of these encodings.
const MIN_BYTES: usize = escapes::MIN_BYTES;
const _: () = assert!(latin1::MIN_BYTES == MIN_BYTES);
const WORD: usize = 8;

/// Finds and decodes the escaped runs in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    if sink.wants(Encoding::Escapes) {
        decode_escapes(sink, bytes, prefilter);
    }
    if sink.wants(Encoding::Latin1) {
        decode_latin1(sink, bytes, prefilter);
    }
    decode_wide(sink, bytes, prefilter);
}

fn decode_escapes(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut runs = EscapedRuns::new(sink, Encoding::Escapes, AnySymbol::Byte(escapes::symbol), escapes::byte_of);
    let mut lone = EscapedRuns::new(sink, Encoding::Escapes, AnySymbol::Byte(escapes::symbol), escapes::byte_of).lone();
    let decimal = AnySymbol::Byte(escapes::decimal_symbol);
    let mut decimal = EscapedRuns::new(sink, Encoding::Escapes, decimal, |_, at| at);
    let css = AnySymbol::Byte(escapes::css_symbol);
    let mut css = EscapedRuns::new(sink, Encoding::Escapes, css, |_, at| at);
    let places = prefilter.escapes.iter().map(|&at| at as usize);
    let mut all = places.filter_map(|at| Some((at, at.saturating_add(escapes::len(bytes.get(at..)?)?)))).peekable();
    while let Some((first, mut last)) = all.next() {
        // The bytes between two runs may be decoded with both: a fragment of the second may begin in the first.
        let from = first.saturating_sub(CONTEXT);
        let alone = last;
        let mut is_decimal = escapes::is_decimal(bytes.get(first..).unwrap_or_default());
        let mut is_css = escapes::is_css(bytes.get(first..).unwrap_or_default());
        while let Some((at, end)) = all.next_if(|(at, _)| *at < last.saturating_add(CONTEXT)) {
            if at >= last {
                last = end;
            }
            is_decimal = is_decimal || escapes::is_decimal(bytes.get(at..).unwrap_or_default());
            is_css = is_css || escapes::is_css(bytes.get(at..).unwrap_or_default());
        }
        let run = from..last.saturating_add(CONTEXT).min(bytes.len());
        if last == alone && !prefilter.has_stream(&(from..last)) && is_lone(bytes, first) {
            // A fragment that contains the byte has fifteen others.
            let from = first.saturating_sub(FRAGMENT - 1);
            let end = last.saturating_add(FRAGMENT - 1).min(bytes.len());
            lone.add(sink, bytes.get(from..end).unwrap_or_default(), from, escapes::decode);
        } else {
            let run = bytes.get(run).unwrap_or_default();
            runs.add(sink, run, from, escapes::decode);
            if is_decimal {
                decimal.add(sink, run, from, |text, out| _ = symbols::decode(escapes::decimal_symbol, text, out));
            }
            if is_css {
                css.add(sink, run, from, |text, out| _ = symbols::decode(escapes::css_symbol, text, out));
            }
        }
    }
    css.finish(sink);
    lone.finish(sink);
    decimal.finish(sink);
    runs.finish(sink);
}

fn decode_latin1(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut runs = EscapedRuns::new(sink, Encoding::Latin1, AnySymbol::Byte(latin1::symbol), |_, at| at);
    let mut done = 0usize;
    for first in prefilter.latin1.iter().map(|&at| at as usize) {
        if first < done || !latin1::may_be_fragment(bytes, first) {
            continue;
        }
        let before = bytes.get(first.saturating_sub(CONTEXT)..first).unwrap_or_default();
        let from = first.saturating_sub(before.iter().rev().take_while(|byte| byte.is_ascii()).count());
        let (mut at, mut last) = (first, first);
        while at.saturating_sub(last) < CONTEXT {
            let rest = bytes.get(at..).unwrap_or_default();
            if latin1::pair(rest).is_some() {
                at = at.saturating_add(2);
                last = at;
            } else if rest.first().is_some_and(u8::is_ascii) {
                at = at.saturating_add(1);
            } else {
                break;
            }
        }
        done = at;
        let run = bytes.get(from..at).unwrap_or_default();
        if run.len() > MIN_BYTES {
            runs.add(sink, run, from, latin1::decode);
        }
    }
    runs.finish(sink);
}

fn decode_wide(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut done = 0usize;
    for lane in prefilter.wide.iter().map(|&at| at as usize) {
        let words = bytes.get(lane..).unwrap_or_default().as_chunks::<WORD>().0;
        for (number, word) in words.iter().take(LANE / WORD).enumerate() {
            let at = lane.wrapping_add(number.wrapping_mul(WORD));
            let Some(is_first) = wide::seed(u64::from_le_bytes(*word)) else { continue };
            if at < done {
                continue;
            }
            let character = if is_first { at } else { at.saturating_add(1) };
            let (run, encoding) = wide::run(bytes, character, done);
            done = run.end;
            let Some(encoding) = encoding.filter(|encoding| sink.wants(*encoding)) else { continue };
            let mut decoded = sink.pool().take_buffer();
            decoded.extend(bytes.get(run.clone()).unwrap_or_default().iter().step_by(2));
            let position = |at: usize| run.start.saturating_add(at.saturating_mul(2));
            sink.descend(&Decoded::run(&decoded, encoding, &position));
            sink.pool().return_buffer(decoded);
        }
    }
}

/// Whether an escape with no other escape near it can only contribute its own byte to the bytes around it, as random
/// matches in binary data do: no run of text that contains the byte is long enough to be decoded again, and the byte
/// belongs to no escape and to no beginning of a stream.
fn is_lone(bytes: &[u8], first: usize) -> bool {
    let Some((byte, len)) = bytes.get(first..).and_then(escapes::escape) else { return false };
    let last = first.saturating_add(len);
    let before = |count: usize| bytes.get(first.saturating_sub(count)..first).unwrap_or_default();
    let after = bytes.get(last..last.saturating_add(NEAR)).unwrap_or_default();
    let begins_stream = [(before(1).first(), Some(&byte)), (Some(&byte), after.first())];
    let begins_stream = begins_stream.iter().any(|pair| match *pair {
        (Some(first), Some(second)) => is_pair(*first, *second),
        _ => false,
    });
    let is_escape = byte == b'\\' || before(escapes::MAX_LEN).contains(&b'\\');
    !is_escape && !begins_stream && ends_text(before(NEAR)) && ends_text(after)
}

/// The index in a run of the byte that the symbol at an index encodes, if that byte is in the symbol as it is.
pub(super) type ByteOf = fn(&[u8], usize) -> usize;

/// Runs of one encoding, decoded one after the other and searched together: most have a few dozen bytes.
pub(super) struct EscapedRuns<'a> {
    encoding: Encoding,
    symbol: AnySymbol,
    byte_of: ByteOf,
    decoded: Vec<u8>,
    /// For each run: where it begins, its bytes, and where its symbols are.
    runs: Vec<(usize, &'a [u8], Places<'a>)>,
    borders: Vec<usize>,
    /// Nothing is encoded in the decoded bytes.
    is_lone: bool,
}

impl<'a> EscapedRuns<'a> {
    pub(super) fn new(sink: &mut impl Sink, encoding: Encoding, symbol: AnySymbol, byte_of: ByteOf) -> Self {
        Self {
            encoding,
            symbol,
            byte_of,
            decoded: sink.pool().take_buffer(),
            runs: Vec::new(),
            borders: Vec::new(),
            is_lone: false,
        }
    }

    /// The same, but what is decoded is not decoded again.
    pub(super) fn lone(self) -> Self {
        Self { is_lone: true, ..self }
    }

    /// Decodes a run that begins at `from`, if the result may hold a fragment.
    pub(super) fn add(
        &mut self,
        sink: &mut impl Sink,
        run: &'a [u8],
        from: usize,
        decode: impl Fn(&[u8], &mut Vec<u8>),
    ) {
        let end = self.decoded.len();
        if !self.runs.is_empty() {
            self.decoded.push(BORDER);
        }
        let start = self.decoded.len();
        decode(run, &mut self.decoded);
        let len = self.decoded.len().saturating_sub(start);
        if len < MIN_BYTES || len >= run.len() {
            self.decoded.truncate(end);
            return;
        }
        if !self.runs.is_empty() {
            self.borders.push(end);
        }
        self.runs.push((from, run, Places::any(self.symbol, run)));
        if self.decoded.len() >= BATCH_LEN {
            self.flush(sink);
        }
    }

    /// Hands the decoded runs to the sink; then there are none.
    fn flush(&mut self, sink: &mut impl Sink) {
        if self.runs.is_empty() {
            return;
        }
        let Self { decoded, runs, borders, byte_of, .. } = &*self;
        // The run that contains a decoded byte, and the byte's index in that run.
        let find = |at: usize| {
            let (number, start) = run_at(borders, at);
            let (from, run, places) = runs.get(number)?;
            Some((*from, *run, byte_of(run, places.of(at.saturating_sub(start)))))
        };
        let position = |at: usize| find(at).map_or(0, |(from, _, position)| from.saturating_add(position));
        let is_literal = |at: usize, len: usize| {
            let here = find(at).and_then(|(_, run, position)| run.get(position..)?.get(..len));
            here.is_some() && here == decoded.get(at..at.saturating_add(len))
        };
        let encoding = self.encoding;
        let all = Decoded { bytes: decoded, borders, encoding, position: &position, is_literal: &is_literal };
        if self.is_lone {
            sink.search(&all);
        } else {
            sink.descend(&all);
        }
        self.decoded.clear();
        self.runs.clear();
        self.borders.clear();
    }

    pub(super) fn finish(mut self, sink: &mut impl Sink) {
        self.flush(sink);
        sink.pool().return_buffer(self.decoded);
    }
}
