// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers and inflaters that are reused, so that decoding a short run allocates nothing.

use flate2::Decompress;

/// Buffers that are kept: as many as are used at once. Each source returns one, and there may be millions of sources.
const MAX_KEPT: usize = 64;

#[derive(Default)]
pub(crate) struct Pool {
    buffers: Vec<Vec<u8>>,
    /// Output buffers of inflaters. They keep their length: filling them anew would take longer than most streams.
    outputs: Vec<Vec<u8>>,
    /// Inflaters, of 43 KiB each.
    inflaters: Vec<Decompress>,
}

impl Pool {
    /// An empty buffer.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    pub(crate) fn return_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < MAX_KEPT {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// A buffer with the length and the content that it had when it was returned.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        self.outputs.pop().unwrap_or_default()
    }

    pub(crate) fn return_output(&mut self, output: Vec<u8>) {
        self.outputs.push(output);
    }

    /// An inflater of a zlib stream, or of a raw deflate stream.
    pub(crate) fn take_inflater(&mut self, zlib: bool) -> Decompress {
        let Some(mut inflater) = self.inflaters.pop() else { return Decompress::new(zlib) };
        inflater.reset(zlib);
        inflater
    }

    pub(crate) fn return_inflater(&mut self, inflater: Decompress) {
        self.inflaters.push(inflater);
    }
}
