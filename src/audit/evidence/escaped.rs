// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of which some stand for themselves and others are written as several: escapes, Latin-1 in UTF-8, bytes of 16 bits.
//!
//! What stands for itself is searched where it lies; only around what does not is anything decoded.

use super::decode::symbols::{self, Places, Symbol};
use super::decode::{escapes, latin1, wide};
use super::encoding::Encoding;
use super::scan::{Frame, Search};
use core::ops::Range;

/// Bytes before the first and behind the last escape that are decoded with them: a fragment of sixteen, each an escape one
/// deeper (`\u00e9` within a string whose backslashes are doubled).
const CONTEXT: usize = escapes::MIN_BYTES * (escapes::MAX_LEN + 1);
const WORD: usize = 8;

impl Search<'_> {
    /// Finds, decodes and examines what is escaped.
    pub(super) fn examine_escaped(&mut self, bytes: &[u8], frame: &Frame<'_>) {
        if self.encodings.contains(Encoding::Escapes) {
            self.escapes(bytes, frame);
        }
        if self.encodings.contains(Encoding::Latin1) {
            self.latin1(bytes, frame);
        }
        self.wide(bytes, frame);
    }

    fn escapes(&mut self, bytes: &[u8], frame: &Frame<'_>) {
        let mut done = 0usize;
        while let Some(first) =
            next(bytes, done, |rest| rest.first() == Some(&b'\\') && escapes::escape(rest).is_some())
        {
            let from = first.saturating_sub(CONTEXT).max(done);
            let (mut at, mut last) = (first, first);
            while at < bytes.len() && at.saturating_sub(last) < CONTEXT {
                match escapes::escape(bytes.get(at..).unwrap_or_default()) {
                    Some((_, len)) => {
                        at = at.saturating_add(len);
                        last = at;
                    }
                    None => at = at.saturating_add(1),
                }
            }
            done = at;
            self.decoded(bytes, from..at, (Encoding::Escapes, escapes::symbol, escapes::byte_of), frame);
        }
    }

    fn latin1(&mut self, bytes: &[u8], frame: &Frame<'_>) {
        let mut done = 0usize;
        while let Some(first) = next(bytes, done, |rest| latin1::pair(rest).is_some()) {
            let before = bytes.get(first.saturating_sub(CONTEXT).max(done)..first).unwrap_or_default();
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
            self.decoded(bytes, from..at, (Encoding::Latin1, latin1::symbol, |_, at| at), frame);
        }
    }

    fn wide(&mut self, bytes: &[u8], frame: &Frame<'_>) {
        let mut done = 0usize;
        let (words, _) = bytes.as_chunks::<WORD>();
        for (number, word) in words.iter().enumerate() {
            let at = number.wrapping_mul(WORD);
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

    /// Examines what a run stands for, if that is a fragment.
    fn decoded(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        (encoding, symbol, byte_of): (Encoding, Symbol, ByteOf),
        frame: &Frame<'_>,
    ) {
        let mut decoded = self.take_buffer();
        let run = bytes.get(range.clone()).unwrap_or_default();
        symbols::decode(symbol, run, &mut decoded);
        if decoded.len() >= escapes::MIN_BYTES && decoded.len() < run.len() {
            let places = Places::new(symbol, run);
            let position = |at: usize| byte_of(run, places.of(at));
            let place = |at: usize| (frame.place)(range.start.saturating_add(position(at)));
            let is_literal = |at: usize, len: usize| {
                let here = run.get(position(at)..).and_then(|rest| rest.get(..len));
                here.is_some() && here == decoded.get(at..at.saturating_add(len))
            };
            self.meet_partly_decoded(&decoded, &[], encoding, frame, &place, &is_literal);
        }
        self.give_back(decoded);
    }
}

/// Where in the symbol at a place of a run its byte stands.
type ByteOf = fn(&[u8], usize) -> usize;

/// Bytes that are looked at together.
const LANE: usize = 64;

/// The first place from `from` on at which something begins. Both kinds of beginning are a byte with few others around it:
/// whole lanes without one are passed over.
fn next(bytes: &[u8], from: usize, begins: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let rest = bytes.get(from..)?;
    for (lane, chunk) in rest.chunks(LANE).enumerate() {
        let may = chunk.iter().fold(0, |any, &byte| any | u8::from(byte == b'\\') | u8::from(byte & 0xFE == 0xC2));
        if may == 0 {
            continue;
        }
        let start = from.saturating_add(lane.saturating_mul(LANE));
        let found = (start..start.saturating_add(chunk.len())).find(|&at| bytes.get(at..).is_some_and(&begins));
        if found.is_some() {
            return found;
        }
    }
    None
}
