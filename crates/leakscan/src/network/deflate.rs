// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inflates what protocols deflate without a header of its own.

use super::super::pool::Pool;
use super::super::sink::ConnectionSink;
use flate2::{Decompress, FlushDecompress, Status};

/// Bytes that are inflated before they are handed on.
const OUTPUT: usize = 1 << 15;
/// The longest distance that a message may refer back (RFC 1951, 2).
const WINDOW: u16 = 1 << 15;

/// An inflater that takes a stream piece by piece.
pub(super) struct Inflater {
    inflater: Decompress,
    /// A stream may follow the end of another.
    restarts: bool,
    /// Bytes of the output that are filled with what is not known, as far as they are in the window.
    filled: u16,
    is_unknown: bool,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    Open,
    Ended,
    Broken,
    /// A limit ended it, which the sink has reported.
    Limited,
}

impl Inflater {
    /// Of one stream, with the header of zlib or without.
    pub(super) fn new(pool: &mut Pool, zlib: bool) -> Self {
        Self { inflater: pool.take_inflater(zlib), restarts: false, filled: 0, is_unknown: false }
    }

    /// Of messages in one stream without header. The last block of one may end the stream, and the next begin another.
    /// Before the first are zeros, unless the stream `is_known` from its beginning on.
    pub(super) fn of_messages(pool: &mut Pool, is_known: bool) -> Self {
        let mut inflater = pool.take_inflater(false);
        let filled = if is_known { 0 } else { fill(&mut inflater, pool) };
        Self { inflater, restarts: true, filled, is_unknown: false }
    }

    /// Whether the output may contain what is not known: a zero, while there are some in the window.
    pub(super) const fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    pub(super) fn end(self, pool: &mut Pool) {
        pool.return_inflater(self.inflater);
    }

    /// Inflates more of the stream into a value.
    pub(super) fn inflate<S: ConnectionSink>(
        &mut self,
        sink: &mut S,
        value: &mut S::Value,
        mut bytes: &[u8],
    ) -> Inflated {
        let mut output = sink.pool().take_output();
        output.resize(OUTPUT, 0);
        let result = loop {
            let (read, written) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self.inflater.decompress(bytes, &mut output, FlushDecompress::None);
            let read = usize::try_from(self.inflater.total_in().saturating_sub(read)).unwrap_or_default();
            let written = usize::try_from(self.inflater.total_out().saturating_sub(written)).unwrap_or_default();
            bytes = bytes.get(read..).unwrap_or_default();
            if self.filled > 0 {
                let new = output.get(..written).unwrap_or_default();
                self.is_unknown |= new.contains(&0);
                // What was copied from the window is in it again: only bytes without a zero push the last one out.
                self.filled = match new.iter().rposition(|&byte| byte == 0) {
                    Some(_) => WINDOW,
                    None => self.filled.saturating_sub(u16::try_from(written).unwrap_or(u16::MAX)),
                };
            }
            if !sink.push(value, output.get(..written).unwrap_or_default()) {
                break Inflated::Limited;
            }
            match status {
                Ok(Status::Ok | Status::BufError) if read > 0 || written > 0 => {}
                Ok(Status::Ok | Status::BufError) => break Inflated::Open,
                Ok(Status::StreamEnd) if self.restarts => {
                    self.inflater.reset(false);
                    if bytes.is_empty() {
                        break Inflated::Open;
                    }
                }
                Ok(Status::StreamEnd) => break Inflated::Ended,
                Err(_) => break Inflated::Broken,
            }
        };
        sink.pool().return_output(output);
        result
    }
}

/// A window of zeros.
static ZEROS: [u8; WINDOW as usize] = [0; WINDOW as usize];

/// Fills the window with zeros: a block of them that is stored (RFC 1951, 3.2.4). Returns how many.
fn fill(inflater: &mut Decompress, pool: &mut Pool) -> u16 {
    let ([low, high], mut output) = (WINDOW.to_le_bytes(), pool.take_output());
    output.resize(OUTPUT, 0);
    for part in [&[0, low, high, !low, !high][..], &ZEROS] {
        let result = inflater.decompress(part, &mut output, FlushDecompress::None);
        debug_assert!(result.is_ok(), "a stored block");
    }
    pool.return_output(output);
    WINDOW
}
