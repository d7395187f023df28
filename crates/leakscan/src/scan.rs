// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scanner: searches the blocks of a source, and level by level what is decoded from them. It implements the sinks
//! of all decoders, and so is the only module that recurses.
//!
//! ```text
//! source ── Layer ── block ──┬── the index
//!                            ├── text: runs of symbols, decoded ── the same, one level deeper
//!                            └── compressed streams ── Layer, one level deeper
//! ```
//!
//! A block is searched together with the last bytes of the block before it (`blocks.rs`). Text is decoded within a
//! block; compressed streams are followed across blocks.

use super::blocks::{Blocks, SMALL_BLOCK};
use super::chain::{Chain, MAX_DEPTH};
use super::containers::formats::{self, Format};
use super::containers::stream::Stream;
use super::coverage::Coverage;
use super::encoding::{Encoding, Encodings};
use super::findings::{Findings, Hits, Report, Statistics};
use super::index::needles::{FRAGMENT, Index};
use super::index::probe;
use super::index::windows::is_distinctive;
use super::pool::Pool;
use super::prefilter::Prefilter;
use super::sink::{Decoded, Sink, StreamSink};
use super::text;

/// Streams that are decompressed at once in one layer. Real streams do not overlap, and random matches soon fail.
const MAX_STREAMS: usize = 8;

/// Limits of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchLimits {
    /// The number of bytes that one compressed stream of a source, with all that is nested in it, may decompress to. By
    /// default 4 GiB: more than a database dump of a test has, and half a minute's work.
    pub stream: u64,
    /// The number of bytes that all compressed streams of a source may decompress to. By default 64 GiB.
    pub source: u64,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self { stream: 1 << 32, source: 1 << 36 }
    }
}

/// Gets bytes of sources as they are read.
type Sample<'i> = &'i mut dyn FnMut(&[u8]);

/// The origin of the bytes that are searched.
struct Frame<'a> {
    chain: Chain,
    /// The offset in the source of the byte at an index.
    place: &'a dyn Fn(usize) -> u64,
    /// Whether the range of this index and length is encoded as itself in its parent, where it has been searched.
    is_literal: &'a dyn Fn(usize, usize) -> bool,
}

/// A search in progress.
pub(crate) struct Search<'i> {
    index: &'i Index,
    encodings: Encodings,
    limits: SearchLimits,
    pub(crate) statistics: Statistics,
    hits: Hits<'i>,
    /// Gets the bytes of all sources as they are read.
    sample: Option<Sample<'i>>,
    /// Bytes that may still be decompressed in this source.
    source_budget: u64,
    /// Bytes that the outermost open stream may still decompress to.
    stream_budget: u64,
    in_stream: bool,
    pool: Pool,
    prefilters: Vec<Prefilter>,
}

impl<'i> Search<'i> {
    pub(crate) fn new(index: &'i Index, encodings: Encodings, limits: SearchLimits, report: Report<'i>) -> Self {
        let statistics = Statistics { encodings, ..Statistics::default() };
        Self {
            index,
            encodings,
            limits,
            statistics,
            hits: Hits::new(report),
            sample: None,
            source_budget: 0,
            stream_budget: 0,
            in_stream: false,
            pool: Pool::default(),
            prefilters: Vec::new(),
        }
    }

    /// Begins a new source, from which all following bytes are; returns its number.
    pub(crate) fn begin(&mut self, source: String) -> u32 {
        self.source_budget = self.limits.source;
        self.hits.begin(source)
    }

    /// Ends a source that is a name, which is dropped if nothing was found in it.
    pub(crate) fn end_name(&mut self, source: u32) {
        self.hits.end_name(source);
    }

    /// Returns to a source that began before.
    pub(crate) const fn resume(&mut self, source: u32) {
        self.hits.resume(source);
    }

    /// Has all bytes that are read passed on.
    pub(crate) fn with_sample(mut self, sample: Sample<'i>) -> Self {
        self.sample = Some(sample);
        self
    }

    /// Passes on bytes that have been read.
    pub(crate) fn pass_on(&mut self, bytes: &[u8]) {
        if let Some(sample) = &mut self.sample {
            sample(bytes);
        }
    }

    pub(crate) fn finish(self) -> Findings {
        self.hits.finish(self.index, self.statistics)
    }

    pub(crate) fn into_coverage(self) -> (Coverage, Statistics) {
        let (coverage, sources) = self.hits.into_coverage();
        (coverage, Statistics { sources, ..self.statistics })
    }

    /// Searches bytes for values, as they are; no hit crosses a border.
    fn look_up(&mut self, bytes: &[u8], borders: &[usize], frame: &Frame<'_>) {
        let (forwards, backwards) =
            (self.encodings.contains(Encoding::Raw), self.encodings.contains(Encoding::Reversed));
        let (hits, index) = (&mut self.hits, self.index);
        probe::matches(index, bytes, |found| {
            if if found.reversed { backwards } else { forwards } {
                found.split(borders, bytes, |found| {
                    let last = found.at.saturating_add(found.range.len()).saturating_sub(1);
                    let place = (frame.place)(found.at)..(frame.place)(last).saturating_add(1);
                    if !(frame.is_literal)(found.at, found.range.len()) {
                        hits.add(index, found, frame.chain, place);
                    }
                });
            }
        });
    }

    /// Searches decoded bytes for values. Returns their frame, unless they are nested too deep to be searched.
    fn look_up_decoded<'a>(
        &mut self,
        decoded: &Decoded<'a>,
        parent: &Frame<'_>,
        place: &'a dyn Fn(usize) -> u64,
    ) -> Option<Frame<'a>> {
        let &Decoded { bytes, borders, encoding, position: _, is_literal } = decoded;
        let Some(chain) = parent.chain.then(encoding) else {
            // A row of backslashes can be unescaped without end. No program escapes so often, and it holds no fragment.
            let repeats = parent.chain.ends_in(encoding, MAX_DEPTH / 2);
            let starts = [0].into_iter().chain(borders.iter().map(|border| border.saturating_add(1)));
            let ends = borders.iter().copied().chain([bytes.len()]);
            let mut runs = starts.zip(ends).filter_map(|(start, end)| bytes.get(start..end));
            if !repeats && runs.any(|run| run.windows(FRAGMENT).any(is_distinctive)) {
                self.omit_depth(parent.chain);
            }
            return None;
        };
        let len = bytes.len().saturating_sub(borders.len());
        self.statistics.decoded = self.statistics.decoded.saturating_add(len as u64);
        let frame = Frame { chain, place, is_literal };
        self.look_up(bytes, borders, &frame);
        Some(frame)
    }

    /// Searches decoded bytes for values, and for what is encoded in them.
    fn descend(&mut self, decoded: &Decoded<'_>, parent: &Frame<'_>) {
        let place = |at: usize| (parent.place)((decoded.position)(at));
        let Some(frame) = self.look_up_decoded(decoded, parent, &place) else { return };
        let (bytes, borders) = (decoded.bytes, decoded.borders);
        let prefilter = self.prefilter(bytes);
        text::decode(&mut Level { search: self, frame: &frame }, bytes, &prefilter);
        let mut chunks_end = 0usize;
        for (at, format) in formats::beginnings(bytes, &prefilter.streams) {
            let Some(mut stream) = self.open(format, frame.chain, place(at)) else { continue };
            let next = borders.partition_point(|&border| border < at);
            let end = borders.get(next).copied().unwrap_or(bytes.len());
            let rest = bytes.get(at..end).unwrap_or_default();
            stream.is_silent = at < chunks_end;
            stream.within_budget(self, |stream, search| {
                stream.feed(search, rest);
                stream.finish(search, true);
            });
            chunks_end = chunks_end.max(at.saturating_add(stream.decoder.chunks_len()));
        }
        self.prefilters.push(prefilter);
    }

    fn prefilter(&mut self, bytes: &[u8]) -> Prefilter {
        let mut prefilter = self.prefilters.pop().unwrap_or_default();
        prefilter.scan(bytes);
        prefilter
    }

    /// Records that something is nested too deep to be searched; not within a zlib stream. Two bytes begin one by
    /// chance, and the output of such a stream is repetitive and nested itself.
    fn omit_depth(&mut self, chain: Chain) {
        if !chain.has(Encoding::Zlib) {
            self.statistics.omit(|| String::from("encodings nested too deep"));
        }
    }

    /// Opens a stream that begins at `origin`, if the search looks for its format.
    fn open(&mut self, format: Format, chain: Chain, origin: u64) -> Option<OpenStream> {
        let Some(encoding) = format.encoding() else {
            let (hits, name) = (&self.hits, format.name());
            self.statistics.omit(|| format!("{}, byte {origin}: no decoder for {name}", hits.source()));
            return None;
        };
        if !self.encodings.contains(encoding) {
            return None;
        }
        let Some(chain) = chain.then(encoding) else {
            if format != Format::Zlib {
                self.omit_depth(chain);
            }
            return None;
        };
        let layer = Layer::nested(chain, origin, self.pool.take_buffer());
        let decoder = Stream::new(format, &mut self.pool);
        Some(OpenStream { decoder, layer, origin, budget: self.limits.stream, fed: 0, is_silent: false })
    }

    /// Whether `bytes` more may be decompressed.
    fn spend(&mut self, bytes: u64) -> bool {
        self.statistics.decoded = self.statistics.decoded.saturating_add(bytes);
        let left = (self.source_budget.checked_sub(bytes), self.stream_budget.checked_sub(bytes));
        self.source_budget = left.0.unwrap_or(0);
        self.stream_budget = left.1.unwrap_or(0);
        left.0.is_some() && left.1.is_some()
    }
}

/// Bytes that are being searched, as the sink of the decoders that read them.
struct Level<'s, 'i, 'f> {
    search: &'s mut Search<'i>,
    frame: &'s Frame<'f>,
}

impl Sink for Level<'_, '_, '_> {
    #[inline]
    fn wants(&self, encoding: Encoding) -> bool {
        self.search.encodings.contains(encoding)
    }

    #[inline]
    fn pool(&mut self) -> &mut Pool {
        &mut self.search.pool
    }

    fn search(&mut self, decoded: &Decoded<'_>) {
        let place = |at: usize| (self.frame.place)((decoded.position)(at));
        _ = self.search.look_up_decoded(decoded, self.frame, &place);
    }

    fn descend(&mut self, decoded: &Decoded<'_>) {
        self.search.descend(decoded, self.frame);
    }
}

/// A compressed stream, and the layer that its content is searched in.
struct OpenStream {
    decoder: Stream,
    layer: Layer,
    /// The offset in the source of its first byte; of the outermost stream's, if it is nested in one.
    origin: u64,
    /// Bytes that it may still decompress to.
    budget: u64,
    /// The offset in its parent after the last byte that it was fed.
    fed: u64,
    /// Its failure is no omission: it is reported elsewhere.
    is_silent: bool,
}

impl OpenStream {
    /// Runs a step under the stream's budget; a nested stream shares the budget of the outermost one.
    fn within_budget<T>(&mut self, search: &mut Search<'_>, step: impl FnOnce(&mut Self, &mut Search<'_>) -> T) -> T {
        if search.in_stream {
            return step(self, search);
        }
        (search.in_stream, search.stream_budget) = (true, self.budget);
        let result = step(self, search);
        (search.in_stream, self.budget) = (false, search.stream_budget);
        result
    }

    /// Feeds the stream what it has not seen of a block that begins at `base`. Returns whether it takes more; if not,
    /// it is finished.
    fn feed_block(&mut self, search: &mut Search<'_>, new: &[u8], block_end: u64) -> bool {
        self.fed = block_end;
        self.within_budget(search, |stream, search| {
            let more = stream.feed(search, new);
            if !more {
                stream.finish(search, false);
            }
            more
        })
    }

    fn feed(&mut self, search: &mut Search<'_>, bytes: &[u8]) -> bool {
        self.decoder.feed(&mut Content { search, layer: &mut self.layer }, bytes)
    }

    /// Ends the stream: its content is searched to the end. See [`Stream::finish`] for `cut`.
    fn finish(&mut self, search: &mut Search<'_>, cut: bool) {
        let ending = self.decoder.finish(&mut Content { search, layer: &mut self.layer }, cut);
        if ending.is_counted {
            search.statistics.streams = search.statistics.streams.saturating_add(1);
        }
        if let Some(how) = ending.failure.filter(|_| !self.is_silent) {
            let (hits, at, name) = (&search.hits, self.origin, self.decoder.format().name());
            search.statistics.omit(|| format!("{}, byte {at}: {name} that {how}", hits.source()));
        }
        self.layer.finish(search);
    }
}

/// The layer of a stream's content, as the sink of the stream's decoder.
struct Content<'s, 'i> {
    search: &'s mut Search<'i>,
    layer: &'s mut Layer,
}

impl StreamSink for Content<'_, '_> {
    #[inline]
    fn pool(&mut self) -> &mut Pool {
        &mut self.search.pool
    }

    fn descend(&mut self, content: &[u8]) -> bool {
        if !self.search.spend(content.len() as u64) {
            let hits = &self.search.hits;
            self.search.statistics.omit(|| format!("{}: a compressed stream beyond the limit", hits.source()));
            return false;
        }
        self.layer.push(self.search, content);
        true
    }
}

/// A stream of bytes at some level, searched block by block.
pub(crate) struct Layer {
    blocks: Blocks,
    streams: Streams,
}

/// The compressed streams in a layer.
struct Streams {
    chain: Chain,
    /// Within a compressed stream: where the outermost one begins.
    origin: Option<u64>,
    /// The offset from which on beginnings of streams have not been looked for.
    unread: u64,
    open: Vec<OpenStream>,
    /// The end of the last HTTP chunks. A stream that chunks cut in pieces is broken in the bytes around them, and
    /// whole in their content.
    chunks_end: u64,
}

impl Layer {
    /// The bytes of a source, or of a flow in it.
    pub(crate) const fn source(base: u64, block: usize) -> Self {
        let streams = Streams { chain: Chain::EMPTY, origin: None, unread: 0, open: Vec::new(), chunks_end: 0 };
        Self { blocks: Blocks::new(base, block, Vec::new()), streams }
    }

    /// The content of a compressed stream.
    const fn nested(chain: Chain, origin: u64, buffer: Vec<u8>) -> Self {
        let streams = Streams { chain, origin: Some(origin), unread: 0, open: Vec::new(), chunks_end: 0 };
        Self { blocks: Blocks::new(0, SMALL_BLOCK, buffer), streams }
    }

    /// Takes more bytes.
    pub(crate) fn push(&mut self, search: &mut Search<'_>, bytes: &[u8]) {
        let Self { blocks, streams } = self;
        blocks.push(bytes, |base, block| streams.examine(search, base, block, false));
    }

    /// Continues `missing` bytes further on, after the bytes before the gap have been searched to their end.
    pub(crate) fn skip(&mut self, search: &mut Search<'_>, missing: u64) {
        self.finish(search);
        self.blocks.skip(missing);
    }

    /// Ends the stream of bytes.
    pub(crate) fn finish(&mut self, search: &mut Search<'_>) {
        let Self { blocks, streams } = self;
        let buffer = blocks.finish(|base, block| streams.examine(search, base, block, true));
        search.pool.return_buffer(buffer);
        for mut stream in core::mem::take(&mut streams.open) {
            stream.within_budget(search, |stream, search| stream.finish(search, false));
        }
    }
}

impl Streams {
    /// Searches a block that begins at `base`, feeds it to the open streams and opens those that begin in it.
    fn examine(&mut self, search: &mut Search<'_>, base: u64, block: &[u8], last: bool) {
        let origin = self.origin;
        let place = move |at: usize| origin.unwrap_or_else(|| base.saturating_add(at as u64));
        let frame = Frame { chain: self.chain, place: &place, is_literal: &|_, _| false };
        search.look_up(block, &[], &frame);
        let prefilter = search.prefilter(block);
        text::decode(&mut Level { search, frame: &frame }, block, &prefilter);
        let block_end = base.saturating_add(block.len() as u64);
        let mut open = core::mem::take(&mut self.open);
        open.retain_mut(|stream| {
            let from = index_of(stream.fed, base);
            let chunks_before = stream.decoder.chunks_len();
            let more = stream.feed_block(search, block.get(from..).unwrap_or_default(), block_end);
            let chunks = stream.decoder.chunks_len().saturating_sub(chunks_before);
            if chunks > 0 {
                self.chunks_end = base.saturating_add(from.saturating_add(chunks) as u64);
            }
            more
        });
        // A beginning that the end of the block cuts is recognised in the next block.
        let cut = if last { 0 } else { formats::BEGINNING.saturating_sub(1) as u64 };
        let (fresh, unread) = (index_of(self.unread, base), block_end.saturating_sub(cut).max(self.unread));
        self.unread = unread;
        let seen = prefilter.streams.partition_point(|&at| (at as usize) < fresh);
        for (at, format) in formats::beginnings(block, prefilter.streams.get(seen..).unwrap_or_default()) {
            let start = base.saturating_add(at as u64);
            if start >= unread || format.encoding().is_some_and(|encoding| !search.encodings.contains(encoding)) {
                continue;
            }
            if open.len() >= MAX_STREAMS {
                search.statistics.omit(|| String::from("too many compressed streams at once"));
                continue;
            }
            let Some(mut stream) = search.open(format, self.chain, place(at)) else { continue };
            stream.is_silent = start < self.chunks_end;
            let more = stream.feed_block(search, block.get(at..).unwrap_or_default(), block_end);
            self.chunks_end = self.chunks_end.max(start.saturating_add(stream.decoder.chunks_len() as u64));
            if more {
                open.push(stream);
            }
        }
        self.open = open;
        search.prefilters.push(prefilter);
    }
}

/// The index in a block that begins at `base` of the byte at `offset`: the first one's if that lies before the block.
fn index_of(offset: u64, base: u64) -> usize {
    usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX)
}
