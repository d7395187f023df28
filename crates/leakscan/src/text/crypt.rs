// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base64 in the alphabets of crypt(3) and bcrypt, which have a point. A run is read in them if it has one, or if a dollar
//! sign is before it: in any other run, they would be read in vain.

use super::super::collected::Collected;
use super::super::decode::base64;
use super::super::encoding::Encoding;
use super::super::sink::Sink;
use core::ops::Range;

/// The longest run: hashes have up to 86 symbols.
const MAX_RUN: usize = 512;
/// Symbols for each point: names of files and hosts have more points than random symbols.
const POINT_IN: usize = 8;

/// The runs that have not been handed on.
pub(super) struct Crypt {
    collected: Collected,
    symbols: Vec<u8>,
    decoded: Vec<u8>,
    /// The end of the last run that was looked at.
    end: usize,
}

const fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

/// The value in the alphabet of bcrypt: `./A-Za-z0-9`.
const fn bcrypt(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte.wrapping_sub(b'A').wrapping_add(2),
        b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(28),
        b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(54),
        _ => byte.wrapping_sub(b'.'),
    }
}

/// The value in the alphabet of crypt(3): `./0-9A-Za-z`.
const fn crypt(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte.wrapping_sub(b'A').wrapping_add(12),
        b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(38),
        _ => byte.wrapping_sub(b'.'),
    }
}

/// Appends the bytes of symbols of which the first has the lowest bits.
fn decode_little(symbols: &[u8], out: &mut Vec<u8>) {
    for group in symbols.chunks(4) {
        let bits = group.iter().rev().fold(0u32, |bits, &symbol| bits << 6 | u32::from(symbol));
        out.extend(bits.to_le_bytes().iter().take(group.len().saturating_sub(1)));
    }
}

impl Crypt {
    pub(super) const fn new() -> Self {
        Self { collected: Collected::new(Encoding::Base64), symbols: Vec::new(), decoded: Vec::new(), end: 0 }
    }

    pub(super) fn flush(&mut self, sink: &mut impl Sink) {
        self.collected.flush(sink);
    }

    /// Reads the run that contains a run of Base64, or a part of it.
    #[inline]
    pub(super) fn add(&mut self, sink: &mut impl Sink, bytes: &[u8], text: &Range<usize>) {
        let before = text.start.checked_sub(1).and_then(|at| bytes.get(at));
        let near = if bytes.get(text.end) == Some(&b'.') {
            text.end
        } else if matches!(before, Some(b'.' | b'$')) {
            text.start
        } else {
            return;
        };
        if near >= self.end {
            self.add_run(sink, bytes, near);
        }
    }

    fn add_run(&mut self, sink: &mut impl Sink, bytes: &[u8], near: usize) {
        let is_part = |byte: &&u8| is_symbol(**byte);
        let before = bytes.get(near.saturating_sub(MAX_RUN)..near).unwrap_or_default();
        let start = near.saturating_sub(before.iter().rev().take_while(is_part).count());
        let after = bytes.get(near..).unwrap_or_default().iter().take(MAX_RUN).take_while(is_part).count();
        self.end = near.saturating_add(after).saturating_add(1);
        let run = bytes.get(start..near.saturating_add(after)).unwrap_or_default();
        let has = |is_such: fn(&u8) -> bool| run.iter().any(is_such);
        let points = run.iter().filter(|byte| **byte == b'.').count();
        let is_marked = start.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'$');
        let is_data = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
        if run.len() < base64::MIN_SYMBOLS
            || !is_data
            || points == 0 && !is_marked
            || points.saturating_mul(POINT_IN) > run.len()
        {
            return;
        }
        for (value, is_little) in [(bcrypt as fn(u8) -> u8, false), (crypt, false), (crypt, true)] {
            self.symbols.clear();
            self.symbols.extend(run.iter().map(|&byte| value(byte)));
            for alignment in 0..base64::ALIGNMENTS {
                self.decoded.clear();
                if is_little {
                    decode_little(self.symbols.get(alignment..).unwrap_or_default(), &mut self.decoded);
                } else {
                    base64::decode(&self.symbols, alignment, &mut self.decoded);
                }
                self.collected.begin(sink);
                for (number, &byte) in self.decoded.iter().enumerate() {
                    let symbol = base64::symbol_of(number).saturating_add(alignment);
                    self.collected.push(byte, start.saturating_add(symbol));
                }
            }
        }
    }
}
