// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inflates what protocols deflate without a header of its own.

use super::super::pool::Pool;
use super::super::sink::ConnectionSink;
use flate2::{Decompress, FlushDecompress, Status};

/// Bytes that are inflated before they are handed on.
const OUTPUT: usize = 1 << 15;

/// An inflater that takes a stream piece by piece.
pub(super) struct Inflater {
    inflater: Decompress,
    /// A stream may follow the end of another.
    restarts: bool,
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
        Self { inflater: pool.take_inflater(zlib), restarts: false }
    }

    /// Of messages in one stream without header. The last block of one may end the stream, and the next begin another.
    pub(super) fn of_messages(pool: &mut Pool) -> Self {
        Self { inflater: pool.take_inflater(false), restarts: true }
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
