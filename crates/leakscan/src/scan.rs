// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scanner: searches the blocks of a source, and level by level what is decoded from them. It implements the sinks
//! of decoders of text, and `layers.rs` those of streams, so that only these two recurse.
//!
//! ```text
//! source ── Layer ── block ──┬── the index
//!                            ├── text: runs of symbols, decoded ── the same, one level deeper
//!                            └── compressed streams ── Layer, one level deeper
//! ```
//!
//! A block is searched together with the last bytes of the block before it (`blocks.rs`). Text is decoded within a
//! block; compressed streams are followed across blocks.

use super::blocks::{MAX_BLOCK, OVERLAP};
use super::chain::{Chain, MAX_DEPTH};
use super::containers::formats::{self, Format};
use super::containers::stream::Stream;
use super::coverage::Coverage;
use super::encoding::{Encoding, Encodings};
use super::findings::{Findings, Hits, Report, Statistics};
use super::index::needles::{FRAGMENT, Index};
use super::index::probe;
use super::index::windows::is_distinctive;
pub(crate) use super::layers::Layer;
use super::layers::OpenStream;
use super::messages::ConnectionLevel;
use super::network;
use super::omissions::{Kind, Omissions, Spot};
use super::pages::{self, Block, Pages};
use super::pool::Pool;
use super::prefilter::Prefilter;
use super::sink::{Decoded, Sink};
use super::text;
use super::tokens::TokenSearch;
use super::values::PageLevel;

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
/// Says when a search is to stop.
pub(crate) type Stop<'i> = Box<dyn Fn() -> bool + 'i>;

/// The origin of the bytes that are searched.
pub(crate) struct Frame<'a> {
    pub(crate) chain: Chain,
    pub(crate) within: Within,
    /// The offset in the layer of the byte at an index.
    pub(crate) place: &'a dyn Fn(usize) -> u64,
    /// Whether the range of this index and length is encoded as itself in its parent, where it has been searched.
    pub(crate) is_literal: &'a dyn Fn(usize, usize) -> bool,
    /// The offset in the layer of the end of its block, unless that is the end of the layer.
    pub(crate) block_end: Option<u64>,
    /// The offset in the layer of the beginning of its block, unless that is the beginning of the layer.
    pub(crate) block_start: Option<u64>,
}

impl Frame<'_> {
    /// The offset in the source of the byte at an index.
    pub(crate) fn offset(&self, at: usize) -> u64 {
        self.within.origin.unwrap_or_else(|| (self.place)(at))
    }
}

/// The layer of some bytes: the bytes of a source, or the content of a compressed stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    /// Its number.
    pub(crate) layer: u64,
    /// The layer of the innermost stream around these bytes that may be a random match; 0 if there is none.
    pub(crate) holder: u64,
    /// Within a compressed stream: where in the source the outermost one begins.
    pub(crate) origin: Option<u64>,
}

/// A search in progress.
pub(crate) struct Search<'i> {
    index: &'i Index,
    pub(crate) encodings: Encodings,
    pub(crate) limits: SearchLimits,
    pub(crate) statistics: Statistics,
    hits: Hits<'i>,
    /// Gets the bytes of all sources as they are read.
    sample: Option<Sample<'i>>,
    /// Short texts that are searched for as whole tokens.
    tokens: Option<TokenSearch>,
    /// Asked between blocks; once it has returned true, the search has stopped.
    stop: Option<Stop<'i>>,
    is_stopped: bool,
    /// Bytes that may still be decompressed in this source.
    source_budget: u64,
    /// Bytes that the outermost open stream may still decompress to.
    stream_budget: u64,
    in_stream: bool,
    pub(crate) pool: Pool,
    pub(crate) prefilters: Vec<Prefilter>,
    pub(crate) omissions: Omissions,
    /// The offset in the layer that is being searched of the first stream that the end of its block cuts.
    pub(crate) cut: Option<u64>,
    /// The number of the last layer.
    layers: u64,
    /// What cannot be searched in the bytes that are being read is searched elsewhere.
    is_silent: bool,
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
            tokens: None,
            stop: None,
            is_stopped: false,
            source_budget: 0,
            stream_budget: 0,
            in_stream: false,
            pool: Pool::default(),
            prefilters: Vec::new(),
            omissions: Omissions::default(),
            cut: None,
            layers: 0,
            is_silent: false,
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

    /// Searches for these tokens as well.
    pub(crate) fn with_tokens(mut self, tokens: Vec<(u32, Vec<u8>)>) -> Self {
        self.tokens = (!tokens.is_empty()).then(|| TokenSearch::new(tokens));
        self
    }

    /// Stops when `stop` returns true.
    pub(crate) fn stopping(mut self, stop: Option<Stop<'i>>) -> Self {
        self.stop = stop;
        self
    }

    /// Whether the search is to stop, or has stopped: what has been read is searched to its end, and no more is read.
    pub(crate) fn must_stop(&mut self) -> bool {
        self.is_stopped = self.is_stopped || self.stop.as_ref().is_some_and(|stop| stop());
        self.is_stopped
    }

    /// Whether the search has stopped.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Passes on bytes that have been read.
    pub(crate) fn pass_on(&mut self, bytes: &[u8]) {
        if let Some(sample) = &mut self.sample {
            sample(bytes);
        }
    }

    pub(crate) fn finish(mut self) -> Findings {
        self.omissions.report(&mut self.statistics);
        let tokens = self.tokens.map(TokenSearch::into_hits).unwrap_or_default();
        Findings { tokens, ..self.hits.finish(self.index, self.statistics) }
    }

    pub(crate) fn into_coverage(mut self) -> (Coverage, Statistics) {
        self.omissions.report(&mut self.statistics);
        let (mut coverage, sources) = self.hits.into_coverage();
        let tokens = self.tokens.map(TokenSearch::into_hits).unwrap_or_default();
        tokens.iter().for_each(|hit| coverage.insert_token(hit.id));
        (coverage, Statistics { sources, ..self.statistics })
    }

    /// Searches bytes for values, as they are; no hit crosses a border.
    pub(crate) fn look_up(&mut self, bytes: &[u8], borders: &[usize], frame: &Frame<'_>) {
        let (forwards, backwards) =
            (self.encodings.contains(Encoding::Raw), self.encodings.contains(Encoding::Reversed));
        if let Some(tokens) = &mut self.tokens {
            tokens.look_up(bytes, borders, frame, self.hits.source());
        }
        let (hits, index) = (&mut self.hits, self.index);
        probe::matches(index, bytes, |found| {
            if if found.reversed { backwards } else { forwards } {
                found.split(borders, bytes, |found| {
                    let last = found.at.saturating_add(found.range.len()).saturating_sub(1);
                    let place = frame.offset(found.at)..frame.offset(last).saturating_add(1);
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
            self.omit_depth(decoded, parent);
            return None;
        };
        let len = bytes.len().saturating_sub(borders.len());
        self.statistics.decoded = self.statistics.decoded.saturating_add(len as u64);
        let &Frame { within, block_end, block_start, .. } = parent;
        let frame = Frame { chain, within, place, is_literal, block_end, block_start };
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
            let next = borders.partition_point(|&border| border < at);
            let end = borders.get(next).copied().unwrap_or(bytes.len());
            let rest = bytes.get(at..end).unwrap_or_default();
            // What is after the border has nothing to do with it.
            if !formats::begins(rest, format) {
                continue;
            }
            let Some(mut stream) = self.open(format, &frame, at) else { continue };
            stream.is_silent = at < chunks_end || pages::joins(bytes, at, &prefilter);
            // Text that reaches the end of the block may continue in the next one, which begins some bytes before the
            // stream: the symbol in which it begins may belong to a group.
            let (first, last) = (place(at), place(at.saturating_add(rest.len()).saturating_sub(1)));
            let first = first.saturating_sub(OVERLAP as u64);
            let is_cut = frame.block_end.is_some_and(|end| {
                end <= last.saturating_add(OVERLAP as u64) && end.saturating_sub(first) <= MAX_BLOCK as u64 / 2
            });
            if stream.read_at_once(self, rest, is_cut) {
                self.cut = Some(self.cut.map_or(first, |cut| cut.min(first)));
            }
            chunks_end = chunks_end.max(at.saturating_add(stream.decoder.chunks_len()));
        }
        let place = |at: u64| place(usize::try_from(at).unwrap_or(usize::MAX));
        let mut sink = ConnectionLevel { search: self, chain: frame.chain, within: frame.within, place: &place };
        network::examine_runs(&mut sink, bytes, borders, &prefilter.streams);
        let (chain, within) = (frame.chain, frame.within);
        let place = |at: u64| frame.offset(usize::try_from(at).unwrap_or(usize::MAX));
        let mut sink = PageLevel { search: self, chain, within, place: &place };
        let mut pages = Pages::new();
        pages.examine(&mut sink, &Block { base: 0, bytes, is_last: true, prefilter: &prefilter });
        pages.finish(&mut sink);
        self.prefilters.push(prefilter);
    }

    pub(crate) fn prefilter(&mut self, bytes: &[u8]) -> Prefilter {
        let mut prefilter = self.prefilters.pop().unwrap_or_default();
        prefilter.scan(bytes);
        prefilter
    }

    /// Records that decoded bytes are nested too deep to be searched, if they may hold a fragment that was not searched
    /// one level above.
    fn omit_depth(&mut self, decoded: &Decoded<'_>, parent: &Frame<'_>) {
        // A row of backslashes can be unescaped without end, also as `vis` escapes. No program escapes so often, and it
        // holds no fragment. What follows it may be decoded as something else at last.
        let unescapes = |step| matches!(step, Encoding::Escapes | Encoding::CaretNotation);
        if unescapes(decoded.encoding) && parent.chain.ends_in(unescapes, MAX_DEPTH / 2) {
            return;
        }
        // Tables of numbers are lists, arrays and 16-bit text, and all of them again when they are decoded.
        let count = |is_such: &dyn Fn(Encoding) -> bool| {
            parent.chain.steps().chain([decoded.encoding]).filter(|step| is_such(*step)).count()
        };
        let is_cheap = |step: Encoding| unescapes(step) || step.is_of_tables();
        if count(&is_cheap) > MAX_DEPTH / 2 || count(&|step| step.is_of_tables()) >= 2 {
            return;
        }
        // Every word with a digit is a number in some base: at this depth, such an omission would be false.
        if decoded.encoding.is_number() {
            return;
        }
        let starts = [0].into_iter().chain(decoded.borders.iter().map(|border| border.saturating_add(1)));
        let ends = decoded.borders.iter().copied().chain([decoded.bytes.len()]);
        // What is as it is in the bytes that it was decoded from was decoded from those.
        let is_literal = |start: usize, end: usize| {
            let (first, last) = ((decoded.position)(start), (decoded.position)(end.saturating_sub(1)));
            (parent.is_literal)(first, last.saturating_sub(first).saturating_add(1))
        };
        let is_unsearched = |&(start, end): &(usize, usize)| {
            let run = decoded.bytes.get(start..end).unwrap_or_default();
            let is_long = run.len() > OVERLAP;
            let mut windows = (start..).zip(run.windows(FRAGMENT)).filter(|(_, window)| is_distinctive(window));
            !is_literal(start, end) && windows.any(|(at, _)| is_long || !is_literal(at, at.saturating_add(FRAGMENT)))
        };
        if let Some((start, _)) = starts.zip(ends).find(is_unsearched) {
            self.omit(parent, (decoded.position)(start), Kind::Depth, "encodings nested too deep");
        }
    }

    /// Records that something that begins at an index of a frame was not searched.
    pub(crate) fn omit(&mut self, frame: &Frame<'_>, at: usize, kind: Kind, what: &str) {
        let spot = Spot { layer: frame.within.layer, at: (frame.place)(at), kind };
        self.omit_at(spot, frame.within.holder, frame.offset(at), what);
    }

    /// The same for something that begins in the source at `offset`.
    pub(crate) fn omit_at(&mut self, spot: Spot, holder: u64, offset: u64, what: &str) {
        if self.is_silent {
            return;
        }
        let hits = &self.hits;
        self.omissions.add(&mut self.statistics, spot, holder, || format!("{}, byte {offset}: {what}", hits.source()));
    }

    /// Reports no omissions in what follows, or again: what the packets of a capture cut in its own bytes is whole in the
    /// flows. Returns what was the case before.
    pub(crate) const fn silence(&mut self, is_silent: bool) -> bool {
        core::mem::replace(&mut self.is_silent, is_silent)
    }

    /// The number of a new layer.
    pub(crate) const fn begin_layer(&mut self) -> u64 {
        self.layers = self.layers.saturating_add(1);
        self.layers
    }

    /// Whether the search looks for a format.
    pub(crate) fn wants(&self, format: Format) -> bool {
        format.encoding().is_none_or(|encoding| self.encodings.contains(encoding))
    }

    /// Opens a stream that begins at an index of a frame, if the search looks for its format.
    pub(crate) fn open(&mut self, format: Format, frame: &Frame<'_>, at: usize) -> Option<OpenStream> {
        if !self.wants(format) {
            return None;
        }
        let kind = Kind::Stream(format);
        let Some(encoding) = format.encoding() else {
            self.omit(frame, at, kind, &format!("no decoder for {}", format.name()));
            return None;
        };
        let Some(chain) = frame.chain.then(encoding) else {
            // It is as it is one level above, or two bytes that begin one by chance.
            if !(frame.is_literal)(at, formats::MAGIC) && format != Format::Zlib {
                self.omit(frame, at, Kind::Depth, "encodings nested too deep");
            }
            return None;
        };
        let spot = Spot { layer: frame.within.layer, at: (frame.place)(at), kind };
        let (origin, layer) = (frame.offset(at), self.begin_layer());
        let holder = if format.is_often_random() { layer } else { frame.within.holder };
        let content = Within { layer, holder, origin: Some(origin) };
        let layer = Layer::nested(chain, content, self.pool.take_buffer());
        let decoder = Stream::new(format, spot.at == 0, &mut self.pool);
        let (budget, outer) = (self.limits.stream, frame.within.holder);
        Some(OpenStream { decoder, layer, spot, outer, budget, fed: 0, is_silent: false, is_one: false })
    }

    /// The content of something that may be a random match has ended, see [`Omissions::settle`].
    pub(crate) fn settle(&mut self, holder: u64, is_one: bool, outer: u64) {
        self.omissions.settle(holder, is_one, outer);
    }

    /// The most bytes that something outermost may decode to.
    pub(crate) const fn stream_limit(&self) -> u64 {
        self.limits.stream
    }

    /// A stream has ended, see [`Omissions::read_whole`] and [`Omissions::settle`].
    pub(crate) fn end_stream(&mut self, stream: &OpenStream, whole: Option<u64>, is_one: bool) {
        if let Some(len) = whole {
            // The length in text is longer than that of the stream.
            self.omissions.read_whole(stream.spot, len);
        }
        let content = stream.layer.within();
        if content.holder == content.layer {
            self.omissions.settle(content.holder, is_one, stream.outer);
        }
    }

    /// Runs a step under the budget of a stream; a nested stream shares the budget of the outermost one.
    pub(crate) fn within_budget<T>(&mut self, budget: &mut u64, step: impl FnOnce(&mut Self) -> T) -> T {
        if self.in_stream {
            return step(self);
        }
        (self.in_stream, self.stream_budget) = (true, *budget);
        let result = step(self);
        (self.in_stream, *budget) = (false, self.stream_budget);
        result
    }

    /// Whether `bytes` more may be decompressed.
    pub(crate) fn spend(&mut self, bytes: u64) -> bool {
        self.statistics.decoded = self.statistics.decoded.saturating_add(bytes);
        let left = (self.source_budget.checked_sub(bytes), self.stream_budget.checked_sub(bytes));
        self.source_budget = left.0.unwrap_or(0);
        self.stream_budget = left.1.unwrap_or(0);
        left.0.is_some() && left.1.is_some()
    }
}

/// Bytes that are being searched, as the sink of the decoders that read them.
pub(crate) struct Level<'s, 'i, 'f> {
    pub(crate) search: &'s mut Search<'i>,
    pub(crate) frame: &'s Frame<'f>,
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
