// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of which some stand for themselves and others are written as several: escapes, Latin-1 in UTF-8, bytes of 16 bits.
//!
//! What stands for itself is searched where it lies; only around what does not is anything decoded.

use super::chance::{NEAR, ends_text};
use super::decode::symbols::{Places, Symbol};
use super::decode::{escapes, latin1, wide};
use super::encoding::Encoding;
use super::formats::PAIRS;
use super::needles::FRAGMENT;
use super::runs::{BORDER, TOGETHER, run_at};
use super::scan::{Frame, Search};
use super::signs::{LANE, Signs};

/// Bytes before the first and behind the last escape that are decoded with them: a fragment of sixteen, each an escape one
/// deeper (`\u00e9` within a string whose backslashes are doubled).
const CONTEXT: usize = escapes::MIN_BYTES * (escapes::MAX_LEN + 1);
/// Bytes that are a fragment, of each of these encodings.
const MIN_BYTES: usize = escapes::MIN_BYTES;
const _: () = assert!(latin1::MIN_BYTES == MIN_BYTES);
const WORD: usize = 8;

impl Search<'_> {
    /// Finds, decodes and examines what is escaped.
    pub(super) fn examine_escaped(&mut self, bytes: &[u8], signs: &Signs, frame: &Frame<'_>) {
        if self.encodings.contains(Encoding::Escapes) {
            self.escapes(bytes, signs, frame);
        }
        if self.encodings.contains(Encoding::Latin1) {
            self.latin1(bytes, signs, frame);
        }
        self.wide(bytes, signs, frame);
    }

    fn escapes(&mut self, bytes: &[u8], signs: &Signs, frame: &Frame<'_>) {
        let mut runs = Runs::new(self, Encoding::Escapes, escapes::symbol, escapes::byte_of);
        let mut lone = Runs { is_lone: true, ..Runs::new(self, Encoding::Escapes, escapes::symbol, escapes::byte_of) };
        let places = signs.escapes.iter().map(|&at| at as usize);
        let mut all =
            places.filter_map(|at| Some((at, at.saturating_add(escapes::escape(bytes.get(at..)?)?.1)))).peekable();
        while let Some((first, mut last)) = all.next() {
            // What stands between two runs may be decoded with both: a fragment of the second may begin in the first.
            let from = first.saturating_sub(CONTEXT);
            let alone = last;
            while let Some((at, behind)) = all.next_if(|(at, _)| *at < last.saturating_add(CONTEXT)) {
                if at >= last {
                    last = behind;
                }
            }
            let run = from..last.saturating_add(CONTEXT).min(bytes.len());
            if last == alone && !signs.has_stream(&run) && is_lone(bytes, first) {
                // What holds the byte and is a fragment has fifteen more.
                let from = first.saturating_sub(FRAGMENT - 1);
                let end = last.saturating_add(FRAGMENT - 1).min(bytes.len());
                lone.add(self, bytes.get(from..end).unwrap_or_default(), from, frame, escapes::decode);
            } else {
                runs.add(self, bytes.get(run).unwrap_or_default(), from, frame, escapes::decode);
            }
        }
        lone.finish(self, frame);
        runs.finish(self, frame);
    }

    fn latin1(&mut self, bytes: &[u8], signs: &Signs, frame: &Frame<'_>) {
        let mut runs = Runs::new(self, Encoding::Latin1, latin1::symbol, |_, at| at);
        let mut done = 0usize;
        for first in signs.latin1.iter().map(|&at| at as usize) {
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
                runs.add(self, run, from, frame, latin1::decode);
            }
        }
        runs.finish(self, frame);
    }

    fn wide(&mut self, bytes: &[u8], signs: &Signs, frame: &Frame<'_>) {
        let mut done = 0usize;
        for lane in signs.wide.iter().map(|&at| at as usize) {
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
                let Some(encoding) = encoding.filter(|encoding| self.encodings.contains(*encoding)) else { continue };
                let mut decoded = self.take_buffer();
                decoded.extend(bytes.get(run.clone()).unwrap_or_default().iter().step_by(2));
                let place = |at: usize| (frame.place)(run.start.saturating_add(at.saturating_mul(2)));
                self.meet_decoded(&decoded, &[], encoding, frame, &place);
                self.give_back(decoded);
            }
        }
    }
}

/// Whether of an escape that no other is near, nothing can come but its byte among the bytes around, by chance as in any
/// binary data: no run of text that holds it is long enough to be decoded again, no escape, no beginning of a stream.
fn is_lone(bytes: &[u8], first: usize) -> bool {
    let Some((byte, len)) = bytes.get(first..).and_then(escapes::escape) else { return false };
    let last = first.saturating_add(len);
    let before = |count: usize| bytes.get(first.saturating_sub(count)..first).unwrap_or_default();
    let behind = bytes.get(last..last.saturating_add(NEAR)).unwrap_or_default();
    let begins_stream = [(before(1).first(), Some(&byte)), (Some(&byte), behind.first())];
    let begins_stream = begins_stream.iter().any(|pair| match *pair {
        (Some(first), Some(second)) => PAIRS.contains(&[*first, *second]),
        _ => false,
    });
    let is_escape = byte == b'\\' || before(escapes::MAX_LEN).contains(&b'\\');
    !is_escape && !begins_stream && ends_text(before(NEAR)) && ends_text(behind)
}

/// Where in the symbol at a place of a run its byte stands.
type ByteOf = fn(&[u8], usize) -> usize;

/// Runs of one encoding, decoded one behind the other and examined together: most have a few dozen bytes.
struct Runs<'a> {
    encoding: Encoding,
    symbol: Symbol,
    byte_of: ByteOf,
    decoded: Vec<u8>,
    /// Where each is from.
    runs: Vec<(usize, &'a [u8], Places<'a>)>,
    borders: Vec<usize>,
    /// Nothing is encoded in what is decoded.
    is_lone: bool,
}

impl<'a> Runs<'a> {
    fn new(search: &mut Search<'_>, encoding: Encoding, symbol: Symbol, byte_of: ByteOf) -> Self {
        Self {
            encoding,
            symbol,
            byte_of,
            decoded: search.take_buffer(),
            runs: Vec::new(),
            borders: Vec::new(),
            is_lone: false,
        }
    }

    /// Adds what a run that begins at `from` stands for, if that is a fragment.
    fn add(
        &mut self,
        search: &mut Search<'_>,
        run: &'a [u8],
        from: usize,
        frame: &Frame<'_>,
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
        self.runs.push((from, run, Places::new(self.symbol, run)));
        if self.decoded.len() >= TOGETHER {
            self.examine(search, frame);
        }
    }

    /// Examines what has been added; then there is nothing.
    fn examine(&mut self, search: &mut Search<'_>, frame: &Frame<'_>) {
        if self.runs.is_empty() {
            return;
        }
        let Self { decoded, runs, borders, byte_of, .. } = &*self;
        // The run that holds a byte, and where in that it stands.
        let find = |at: usize| {
            let (number, start) = run_at(borders, at);
            let (from, run, places) = runs.get(number)?;
            Some((*from, *run, byte_of(run, places.of(at.saturating_sub(start)))))
        };
        let place = |at: usize| (frame.place)(find(at).map_or(0, |(from, _, position)| from.saturating_add(position)));
        let is_literal = |at: usize, len: usize| {
            let here = find(at).and_then(|(_, run, position)| run.get(position..)?.get(..len));
            here.is_some() && here == decoded.get(at..at.saturating_add(len))
        };
        if self.is_lone {
            _ = search.meet_as(decoded, borders, self.encoding, frame, &place, &is_literal);
        } else {
            search.meet_partly_decoded(decoded, borders, self.encoding, frame, &place, &is_literal);
        }
        self.decoded.clear();
        self.runs.clear();
        self.borders.clear();
    }

    fn finish(mut self, search: &mut Search<'_>, frame: &Frame<'_>) {
        self.examine(search, frame);
        search.give_back(self.decoded);
    }
}
