// SPDX-License-Identifier: MIT OR Apache-2.0
//! A search under way: blocks of a source, and layer by layer what is decoded from them.
//!
//! ```text
//! source ── Layer ── block ──┬── the index
//!                            ├── text: runs of symbols, decoded ── the same again, one deeper
//!                            └── compressed streams ── Layer, one deeper
//! ```
//!
//! A block is examined together with the last [`OVERLAP`] bytes of the one before. Text is decoded within a block;
//! compressed streams live as long as they last.

use super::compressed::Stream;
use super::encoding::{Encoding, Encodings};
use super::formats;
use super::hits::{Chain, Findings, Hits, MAX_DEPTH, Statistics};
use super::needles::{FRAGMENT, Index};
use super::runs::within_borders;
use super::signs::Signs;
use super::windows::is_strong;
use flate2::Decompress;

/// Bytes of a source that are examined at once: what a core's own cache holds, since they are gone through several times.
/// Compressed streams within text are followed to the end of a block.
pub(super) const BLOCK: usize = 1 << 18;
/// The same for what is decompressed and for the flows of a capture, of which there may be many.
pub(super) const SMALL_BLOCK: usize = 1 << 16;
/// Bytes that are examined with both blocks: what a fragment of 16 bytes may take at its longest, a list of integers
/// with a line and a deep indentation for each, in UTF-16, is under 2 KiB.
pub(super) const OVERLAP: usize = 4096;
/// Streams that are decompressed at once in one layer. Streams do not overlap; what seems one by chance soon fails.
const MAX_STREAMS: usize = 8;

/// Bounds of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that one compressed stream of a source, with all that is in it, may become. 4 GiB by default: more than a
    /// database dump of a test has, and half a minute's work.
    pub stream: u64,
    /// Bytes that all compressed streams of a source may become. 64 GiB by default.
    pub source: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stream: 1 << 32, source: 1 << 36 }
    }
}

/// Where some bytes come from.
pub(super) struct Frame<'a> {
    pub(super) chain: Chain,
    /// The offset in the source of the byte at an index.
    pub(super) place: &'a dyn Fn(usize) -> u64,
    /// Whether so many bytes from an index on stand for themselves where they come from, and have been met there.
    pub(super) is_literal: &'a dyn Fn(usize, usize) -> bool,
}

pub(super) struct Search<'i> {
    index: &'i Index,
    pub(super) encodings: Encodings,
    limits: Limits,
    pub(super) statistics: Statistics,
    hits: Hits,
    /// Bytes that may still be decompressed, in this source and in this stream.
    source_budget: u64,
    stream_budget: u64,
    in_stream: bool,
    /// Buffers that are not in use.
    pool: Vec<Vec<u8>>,
    signs: Vec<Signs>,
    /// The same for what inflaters write, which keep their length: to fill them anew would take longer than most streams.
    outputs: Vec<Vec<u8>>,
    /// And for inflaters, of 43 KiB each.
    inflaters: Vec<Decompress>,
}

impl<'i> Search<'i> {
    pub(super) fn new(index: &'i Index, encodings: Encodings, limits: Limits) -> Self {
        let statistics = Statistics { encodings, ..Statistics::default() };
        Self {
            index,
            encodings,
            limits,
            statistics,
            hits: Hits::default(),
            source_budget: 0,
            stream_budget: 0,
            in_stream: false,
            pool: Vec::new(),
            signs: Vec::new(),
            outputs: Vec::new(),
            inflaters: Vec::new(),
        }
    }

    /// What comes now is of this new source; its number.
    pub(super) fn begin(&mut self, source: String) -> u32 {
        self.source_budget = self.limits.source;
        self.hits.begin(source)
    }

    /// What comes now is of a source that has begun before.
    pub(super) const fn resume(&mut self, source: u32) {
        self.hits.resume(source);
    }

    pub(super) fn source(&self) -> &str {
        self.hits.source()
    }

    pub(super) fn finish(self) -> Findings {
        self.hits.finish(self.index, self.statistics)
    }

    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.pool.pop().unwrap_or_default()
    }

    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.pool.push(buffer);
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        self.outputs.pop().unwrap_or_default()
    }

    pub(super) fn give_back_output(&mut self, output: Vec<u8>) {
        self.outputs.push(output);
    }

    /// An inflater of a zlib stream, or of a deflated one.
    pub(super) fn take_inflater(&mut self, zlib: bool) -> Decompress {
        let Some(mut inflater) = self.inflaters.pop() else { return Decompress::new(zlib) };
        inflater.reset(zlib);
        inflater
    }

    pub(super) fn give_back_inflater(&mut self, inflater: Decompress) {
        self.inflaters.push(inflater);
    }

    /// Looks at bytes as they are; nothing lies across a border.
    fn meet(&mut self, bytes: &[u8], borders: &[usize], frame: &Frame<'_>) {
        let (forwards, backwards) =
            (self.encodings.contains(Encoding::Raw), self.encodings.contains(Encoding::Reversed));
        let hits = &mut self.hits;
        self.index.examine(bytes, |found| {
            if if found.reversed { backwards } else { forwards } {
                within_borders(found, borders, bytes, |found| {
                    let last = found.at.saturating_add(found.range.len()).saturating_sub(1);
                    let place = (frame.place)(found.at)..(frame.place)(last).saturating_add(1);
                    if !(frame.is_literal)(found.at, found.range.len()) {
                        hits.add(found, frame.chain, place);
                    }
                });
            }
        });
    }

    /// Looks at bytes that a text decoder gave, and at what is within them. They may be of several runs, with one byte that
    /// is in no text at each border.
    pub(super) fn meet_decoded(
        &mut self,
        bytes: &[u8],
        borders: &[usize],
        step: Encoding,
        parent: &Frame<'_>,
        place: &dyn Fn(usize) -> u64,
    ) {
        self.meet_partly_decoded(bytes, borders, step, parent, place, &|_, _| false);
    }

    /// As [`meet_decoded`](Self::meet_decoded), of which some stand for themselves.
    pub(super) fn meet_partly_decoded(
        &mut self,
        bytes: &[u8],
        borders: &[usize],
        step: Encoding,
        parent: &Frame<'_>,
        place: &dyn Fn(usize) -> u64,
        is_literal: &dyn Fn(usize, usize) -> bool,
    ) {
        let Some(frame) = self.meet_as(bytes, borders, step, parent, place, is_literal) else { return };
        let signs = self.read_signs(bytes);
        self.examine_text(bytes, &signs, &frame);
        let mut chunks_end = 0usize;
        for (at, format) in formats::beginnings(bytes, &signs.streams) {
            let Some(mut stream) = self.open(format, frame.chain, place(at)) else { continue };
            let next = borders.partition_point(|&border| border < at);
            let end = borders.get(next).copied().unwrap_or(bytes.len());
            let rest = bytes.get(at..end).unwrap_or_default();
            self.within_budget(&mut self.limits.stream.clone(), |search| {
                if at < chunks_end {
                    stream.silence();
                }
                stream.feed(search, rest);
                stream.finish(search, true);
            });
            chunks_end = chunks_end.max(at.saturating_add(stream.chunks_len()));
        }
        self.signs.push(signs);
    }

    /// Looks at decoded bytes as they are; the frame for what is within them, if that is not too deep.
    pub(super) fn meet_as<'a>(
        &mut self,
        bytes: &[u8],
        borders: &[usize],
        step: Encoding,
        parent: &Frame<'_>,
        place: &'a dyn Fn(usize) -> u64,
        is_literal: &'a dyn Fn(usize, usize) -> bool,
    ) -> Option<Frame<'a>> {
        let Some(chain) = parent.chain.then(step) else {
            // A row of backslashes can be unescaped for ever; nobody escapes so often, and it holds no fragment.
            let repeats = parent.chain.ends_in(step, MAX_DEPTH / 2);
            let starts = [0].into_iter().chain(borders.iter().map(|border| border.saturating_add(1)));
            let ends = borders.iter().copied().chain([bytes.len()]);
            let mut runs = starts.zip(ends).filter_map(|(start, end)| bytes.get(start..end));
            if !repeats && runs.any(|run| run.windows(FRAGMENT).any(is_strong)) {
                self.omit_depth(parent.chain);
            }
            return None;
        };
        let decoded = bytes.len().saturating_sub(borders.len());
        self.statistics.decoded = self.statistics.decoded.saturating_add(decoded as u64);
        let frame = Frame { chain, place, is_literal };
        self.meet(bytes, borders, &frame);
        Some(frame)
    }

    fn read_signs(&mut self, bytes: &[u8]) -> Signs {
        let mut signs = self.signs.pop().unwrap_or_default();
        signs.read(bytes);
        signs
    }

    /// Something lies deeper than is looked. Within what begins like a zlib stream nobody can tell: two bytes do so by chance,
    /// and what comes out of those repeats itself, and nests.
    fn omit_depth(&mut self, chain: Chain) {
        if !chain.has(Encoding::Zlib) {
            self.statistics.omit(|| String::from("encodings nested too deep"));
        }
    }

    /// A stream that begins at `origin`, if it is looked for.
    fn open(&mut self, format: formats::Format, chain: Chain, origin: u64) -> Option<Stream> {
        let Some(encoding) = format.encoding() else {
            let (source, name) = (String::from(self.source()), format.name());
            self.statistics.omit(|| format!("{source}, byte {origin}: could not look into {name}"));
            return None;
        };
        if !self.encodings.contains(encoding) {
            return None;
        }
        let Some(deeper) = chain.then(encoding) else {
            if format != formats::Format::Zlib {
                self.omit_depth(chain);
            }
            return None;
        };
        let chain = deeper;
        let layer = Layer::inner(chain, origin, self.take_buffer());
        Some(Stream::new(format, layer, self))
    }

    /// A step of a stream, which may become no more than `budget`; a stream within another shares that one's.
    fn within_budget<T>(&mut self, budget: &mut u64, step: impl FnOnce(&mut Self) -> T) -> T {
        if self.in_stream {
            return step(self);
        }
        (self.in_stream, self.stream_budget) = (true, *budget);
        let result = step(self);
        (self.in_stream, *budget) = (false, self.stream_budget);
        result
    }

    /// Whether `bytes` more may be decompressed.
    pub(super) fn spend(&mut self, bytes: u64) -> bool {
        self.statistics.decoded = self.statistics.decoded.saturating_add(bytes);
        let left = (self.source_budget.checked_sub(bytes), self.stream_budget.checked_sub(bytes));
        self.source_budget = left.0.unwrap_or(0);
        self.stream_budget = left.1.unwrap_or(0);
        left.0.is_some() && left.1.is_some()
    }
}

/// A stream of bytes at some depth, examined block by block.
pub(super) struct Layer {
    buffer: Vec<u8>,
    /// The offset of the first byte of `buffer`.
    base: u64,
    block: usize,
    chain: Chain,
    /// Within a compressed stream: where the outermost one begins.
    origin: Option<u64>,
    /// From where in `buffer` on beginnings of streams have not been looked for.
    unread: usize,
    streams: Vec<(Stream, u64)>,
    /// Where HTTP's chunks end: a stream that they cut in pieces is broken in what they lie in, and whole within them.
    chunks_end: u64,
}

impl Layer {
    /// A source, or what a protocol carries.
    pub(super) fn source(base: u64, block: usize) -> Self {
        let (buffer, streams) = (Vec::new(), Vec::new());
        Self { buffer, base, block, chain: Chain::EMPTY, origin: None, unread: 0, streams, chunks_end: 0 }
    }

    fn inner(chain: Chain, origin: u64, buffer: Vec<u8>) -> Self {
        let (origin, streams) = (Some(origin), Vec::new());
        Self { buffer, base: 0, block: SMALL_BLOCK, chain, origin, unread: 0, streams, chunks_end: 0 }
    }

    /// Within a compressed stream: where the outermost one begins.
    pub(super) const fn origin(&self) -> Option<u64> {
        self.origin
    }

    /// More bytes. Of many, blocks are examined where they lie.
    pub(super) fn push(&mut self, search: &mut Search<'_>, bytes: &[u8]) {
        // How many have been taken, into the buffer or in a block.
        let mut taken = 0usize;
        while taken < bytes.len() {
            // What is in the buffer is, of these bytes, the last that were taken.
            let start = taken.checked_sub(self.buffer.len()).filter(|_| self.buffer.len() <= OVERLAP);
            let in_place = start.and_then(|start| bytes.get(start..start.saturating_add(self.block)));
            if let Some(block) = in_place {
                self.examine(search, block, false);
                taken = taken.saturating_sub(self.buffer.len()).saturating_add(block.len());
                let done = block.len().saturating_sub(OVERLAP);
                self.buffer.clear();
                self.buffer.extend_from_slice(block.get(done..).unwrap_or_default());
                self.advance(done);
                continue;
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            let now = rest.get(..self.block.saturating_sub(self.buffer.len())).unwrap_or(rest);
            self.buffer.extend_from_slice(now);
            taken = taken.saturating_add(now.len());
            if self.buffer.len() >= self.block {
                let buffer = core::mem::take(&mut self.buffer);
                self.examine(search, &buffer, false);
                self.buffer = buffer;
                let done = self.buffer.len().saturating_sub(OVERLAP);
                self.buffer.drain(..done);
                self.advance(done);
            }
        }
    }

    /// So many bytes have been examined with all that may begin in them.
    fn advance(&mut self, bytes: usize) {
        self.base = self.base.saturating_add(bytes as u64);
        self.unread = self.unread.saturating_sub(bytes);
    }

    /// What follows lies so many bytes further on.
    pub(super) fn skip(&mut self, search: &mut Search<'_>, missing: u64) {
        self.finish(search);
        let end = self.base.saturating_add(self.unread as u64);
        (self.base, self.unread) = (end.saturating_add(missing), 0);
    }

    /// No more bytes.
    pub(super) fn finish(&mut self, search: &mut Search<'_>) {
        let buffer = core::mem::take(&mut self.buffer);
        self.examine(search, &buffer, true);
        search.give_back(buffer);
        for (mut stream, mut budget) in core::mem::take(&mut self.streams) {
            search.within_budget(&mut budget, |search| stream.finish(search, false));
        }
    }

    /// Examines a block that begins at `base`.
    fn examine(&mut self, search: &mut Search<'_>, buffer: &[u8], last: bool) {
        let (base, origin) = (self.base, self.origin);
        let place = move |at: usize| origin.unwrap_or_else(|| base.saturating_add(at as u64));
        let frame = Frame { chain: self.chain, place: &place, is_literal: &|_, _| false };
        search.meet(buffer, &[], &frame);
        let signs = search.read_signs(buffer);
        search.examine_text(buffer, &signs, &frame);
        // Streams that are open get what is new; then come those that begin in it.
        let fresh = self.unread;
        let end = buffer.len();
        let mut streams = core::mem::take(&mut self.streams);
        streams.retain_mut(|(stream, budget)| {
            let from = stream.fed_to(base);
            let new = buffer.get(from..).unwrap_or_default();
            let chunks_before = stream.chunks_len();
            let more = search.within_budget(budget, |search| stream.feed_at(search, new, base, end));
            let chunks = stream.chunks_len().saturating_sub(chunks_before);
            if chunks > 0 {
                self.chunks_end = base.saturating_add(from.saturating_add(chunks) as u64);
            }
            more
        });
        self.unread = if last { end } else { end.saturating_sub(formats::BEGINNING.saturating_sub(1)) }.max(fresh);
        let seen = signs.streams.partition_point(|&at| (at as usize) < fresh);
        for (at, format) in formats::beginnings(buffer, signs.streams.get(seen..).unwrap_or_default()) {
            if at >= self.unread || format.encoding().is_some_and(|encoding| !search.encodings.contains(encoding)) {
                continue;
            }
            if streams.len() >= MAX_STREAMS {
                search.statistics.omit(|| String::from("too many compressed streams at once"));
                continue;
            }
            let Some(mut stream) = search.open(format, self.chain, place(at)) else { continue };
            let new = buffer.get(at..).unwrap_or_default();
            let mut budget = search.limits.stream;
            let begins = base.saturating_add(at as u64);
            if begins < self.chunks_end {
                stream.silence();
            }
            let more = search.within_budget(&mut budget, |search| stream.feed_at(search, new, base, end));
            self.chunks_end = self.chunks_end.max(begins.saturating_add(stream.chunks_len() as u64));
            if more {
                streams.push((stream, budget));
            }
        }
        self.streams = streams;
        search.signs.push(signs);
    }
}
