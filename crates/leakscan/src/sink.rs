// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where decoders report what they decoded. Decoders of text and of streams know these traits alone: only the scanner
//! implements them, so that it alone owns the recursion.

use super::encoding::Encoding;
use super::pool::Pool;
use core::ops::Range;

/// Bytes that a decoder of text decoded: one run, or several with one byte of no text at each border between them.
pub(crate) struct Decoded<'a> {
    pub(crate) bytes: &'a [u8],
    /// The indices of the bytes between two runs.
    pub(crate) borders: &'a [usize],
    pub(crate) encoding: Encoding,
    /// The index, in the bytes that were decoded, of the first byte that encodes the byte at an index.
    pub(crate) position: &'a dyn Fn(usize) -> usize,
    /// Whether the range of this index and length is encoded as itself. A value there is found without decoding.
    pub(crate) is_literal: &'a dyn Fn(usize, usize) -> bool,
}

impl<'a> Decoded<'a> {
    /// One run, of which nothing is encoded as itself.
    pub(crate) fn run(bytes: &'a [u8], encoding: Encoding, position: &'a dyn Fn(usize) -> usize) -> Self {
        Self { bytes, borders: &[], encoding, position, is_literal: &|_, _| false }
    }
}

/// The sink of the decoders of text.
pub(crate) trait Sink {
    /// Whether the search looks for this encoding.
    fn wants(&self, encoding: Encoding) -> bool;

    fn pool(&mut self) -> &mut Pool;

    /// Searches decoded bytes for values, and for nothing that is encoded in them.
    fn search(&mut self, decoded: &Decoded<'_>);

    /// Searches decoded bytes for values, and descends into what is encoded in them.
    fn descend(&mut self, decoded: &Decoded<'_>);
}

/// The sink of one compressed stream.
pub(crate) trait StreamSink {
    fn pool(&mut self) -> &mut Pool;

    /// Descends into the next bytes of the stream's content. Returns false if a limit ends the stream here.
    fn descend(&mut self, content: &[u8]) -> bool;
}

/// The sink of the decoders of network protocols, which put the messages of a connection together.
pub(crate) trait ConnectionSink {
    /// A message that is being searched.
    type Value;

    /// Whether the search looks for frames of WebSocket.
    fn wants_frames(&self) -> bool;

    fn pool(&mut self) -> &mut Pool;

    /// Begins a message that begins at an offset in what is decoded, and lies there in this encoding. `None` if the
    /// search does not look for that, or if the encodings are nested too deep; of a protocol that is no random match,
    /// the latter is reported.
    fn open(&mut self, encoding: Encoding, at: u64, is_certain: bool) -> Option<Self::Value>;

    /// Descends into the next bytes of a message. Returns false if a limit ends it here.
    fn push(&mut self, value: &mut Self::Value, content: &[u8]) -> bool;

    /// Ends a message. What could not be searched in it is reported unless the protocol may be a random match.
    fn close(&mut self, value: Self::Value, is_certain: bool);

    /// Reports that something at an offset could not be searched.
    fn omit(&mut self, at: u64, what: &str);
}

/// The sink of the decoders of pages, which put values together.
pub(crate) trait PageSink {
    /// A value that is being searched.
    type Value;

    /// Whether the search looks for this encoding.
    fn wants(&self, encoding: Encoding) -> bool;

    fn pool(&mut self) -> &mut Pool;

    /// Begins a value that begins at an offset in what is decoded, and lies there in these encodings. `None` if they
    /// are nested too deep.
    fn open(&mut self, steps: &[Encoding], at: u64) -> Option<Self::Value>;

    /// Descends into the next bytes of a value. Returns false if a limit ends it here.
    fn push(&mut self, value: &mut Self::Value, content: &[u8]) -> bool;

    /// Ends a value.
    fn close(&mut self, value: Self::Value);

    /// Records that something at an offset could not be searched.
    fn omit(&mut self, at: u64, what: &str);

    /// These bytes are part of a value that is put together: a stream that begins in them and is broken where they end
    /// is no omission.
    fn joined(&mut self, part: Range<u64>);

    /// These bytes are searched once more without the headers of the pages in them: what is broken here by a header is
    /// whole there.
    fn copied(&mut self, part: Range<u64>);

    /// Descends into content that may be such a part.
    fn part(&mut self, steps: &[Encoding], at: u64, content: &[u8]);

    /// Descends into a value that is put together already.
    fn value(&mut self, steps: &[Encoding], at: u64, content: &[u8]) {
        if let Some(mut value) = self.open(steps, at) {
            self.push(&mut value, content);
            self.close(value);
        }
    }
}
