// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoded runs of one encoding, each byte with the place that encodes it, handed to the sink together.

use super::encoding::Encoding;
use super::sink::{Decoded, Sink};
use super::text::{BATCH_LEN, BORDER};

/// Decoded runs that have not been handed on.
pub(crate) struct Collected {
    encoding: Encoding,
    bytes: Vec<u8>,
    /// The place of each byte, those of borders included.
    places: Vec<u32>,
    borders: Vec<usize>,
    /// Whether what is encoded in the bytes is searched, too.
    descends: bool,
}

impl Collected {
    pub(crate) const fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), places: Vec::new(), borders: Vec::new(), descends: true }
    }

    /// Runs in which nothing is encoded. In the binary data of any program, words that count or repeat are arrays of
    /// integers by chance; what they would be decoded to is no stream that was broken, and nothing that is nested.
    pub(crate) fn shallow(encoding: Encoding) -> Self {
        Self { descends: false, ..Self::new(encoding) }
    }

    /// Begins a run: no hit crosses its border.
    pub(crate) fn begin(&mut self, sink: &mut impl Sink) {
        if self.bytes.len() >= BATCH_LEN {
            self.flush(sink);
        }
        if !self.bytes.is_empty() {
            self.borders.push(self.bytes.len());
            self.push(BORDER, 0);
        }
    }

    /// Adds a byte to the run, with the index of what encodes it.
    pub(crate) fn push(&mut self, byte: u8, place: usize) {
        self.bytes.push(byte);
        self.places.push(u32::try_from(place).unwrap_or(u32::MAX));
    }

    /// Hands the runs to the sink, if it wants them; then there are none.
    pub(crate) fn flush(&mut self, sink: &mut impl Sink) {
        if !self.bytes.is_empty() && sink.wants(self.encoding) {
            let position = |at: usize| self.places.get(at).map_or(0, |&place| place as usize);
            let borders = &self.borders;
            let decoded = Decoded { borders, ..Decoded::run(&self.bytes, self.encoding, &position) };
            if self.descends {
                sink.descend(&decoded);
            } else {
                sink.search(&decoded);
            }
        }
        self.bytes.clear();
        self.places.clear();
        self.borders.clear();
    }
}
