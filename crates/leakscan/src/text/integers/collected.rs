// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoded runs of one encoding, each byte with the place that encodes it, handed to the sink together.

use super::super::super::encoding::Encoding;
use super::super::super::sink::{Decoded, Sink};
use super::super::batch::{BATCH_LEN, BORDER};

/// Decoded runs that have not been handed on.
pub(super) struct Collected {
    encoding: Encoding,
    bytes: Vec<u8>,
    /// The place of each byte, those of borders included.
    places: Vec<u32>,
    borders: Vec<usize>,
}

impl Collected {
    pub(super) const fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), places: Vec::new(), borders: Vec::new() }
    }

    /// Begins a run: no hit crosses its border.
    pub(super) fn begin(&mut self, sink: &mut impl Sink) {
        if self.bytes.len() >= BATCH_LEN {
            self.flush(sink);
        }
        if !self.bytes.is_empty() {
            self.borders.push(self.bytes.len());
            self.push(BORDER, 0);
        }
    }

    /// Adds a byte to the run, with the index of what encodes it.
    pub(super) fn push(&mut self, byte: u8, place: usize) {
        self.bytes.push(byte);
        self.places.push(u32::try_from(place).unwrap_or(u32::MAX));
    }

    /// Hands the runs to the sink, if it wants them; then there are none.
    pub(super) fn flush(&mut self, sink: &mut impl Sink) {
        if !self.bytes.is_empty() && sink.wants(self.encoding) {
            let position = |at: usize| self.places.get(at).map_or(0, |&place| place as usize);
            let borders = &self.borders;
            sink.descend(&Decoded { borders, ..Decoded::run(&self.bytes, self.encoding, &position) });
        }
        self.bytes.clear();
        self.places.clear();
        self.borders.clear();
    }
}
