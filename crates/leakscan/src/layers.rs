// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layers of a search: the bytes of a source, and the content of each compressed stream in it, block by block. A
//! layer opens the streams that begin in it, and is the sink of their decoders.

use super::blocks::{Blocks, SMALL_BLOCK};
use super::chain::Chain;
use super::containers::formats;
use super::containers::stream::Stream;
use super::messages::{ConnectionLevel, Message};
use super::network::{self, Connections};
use super::omissions::{Kind, Spot};
use super::pages::{self, Block, Pages};
use super::pool::Pool;
use super::scan::{Frame, Level, Search, Within};
use super::sink::StreamSink;
use super::text;
use super::values::{OpenValue, PageLevel};

/// Streams that are decompressed at once in one layer. Real streams do not overlap, and random matches soon fail.
const MAX_STREAMS: usize = 8;

/// A compressed stream, and the layer that its content is searched in.
pub(crate) struct OpenStream {
    pub(crate) decoder: Stream,
    pub(crate) layer: Layer,
    /// Where it begins.
    pub(crate) spot: Spot,
    /// The layer of the innermost stream around it that may be a random match; 0 if there is none.
    pub(crate) outer: u64,
    /// Bytes that it may still decompress to.
    pub(crate) budget: u64,
    /// The offset in its parent after the last byte that it was fed.
    pub(crate) fed: u64,
    /// Its failure is no omission: it is reported elsewhere.
    pub(crate) is_silent: bool,
    /// It has ended, and is no random match.
    pub(crate) is_one: bool,
}

impl OpenStream {
    /// Reads a stream of which there are no more `bytes`. `is_cut` is whether a longer block may have more: then it is no
    /// omission that the stream is incomplete, and this returns true.
    pub(crate) fn read_at_once(&mut self, search: &mut Search<'_>, bytes: &[u8], is_cut: bool) -> bool {
        let mut budget = self.budget;
        search.within_budget(&mut budget, |search| {
            self.feed(search, bytes);
            let is_cut = is_cut && self.decoder.is_open();
            self.is_silent |= is_cut;
            self.finish(search);
            is_cut && self.is_one
        })
    }

    /// Feeds the stream what it has not seen of a block that ends at `block_end`. Returns whether it takes more; if
    /// not, it is finished.
    fn feed_block(&mut self, search: &mut Search<'_>, new: &[u8], block_end: u64) -> bool {
        self.fed = block_end;
        let mut budget = self.budget;
        let more = search.within_budget(&mut budget, |search| {
            let more = self.feed(search, new);
            if !more {
                self.finish(search);
            }
            more
        });
        self.budget = budget;
        more
    }

    fn feed(&mut self, search: &mut Search<'_>, bytes: &[u8]) -> bool {
        self.decoder.feed(&mut Content { search, layer: &mut self.layer }, bytes)
    }

    /// Ends the stream: its content is searched to the end.
    fn finish(&mut self, search: &mut Search<'_>) {
        let ending = self.decoder.finish(&mut Content { search, layer: &mut self.layer });
        if ending.is_counted {
            search.statistics.streams = search.statistics.streams.saturating_add(1);
        }
        // Its content is part of it: whether it is one is known when that has been searched.
        self.layer.finish(search);
        if let Some(how) = ending.failure.filter(|_| !self.is_silent) {
            let what = format!("{} that {how}", self.decoder.format().name());
            search.omit_at(self.spot, self.outer, self.layer.within().origin.unwrap_or_default(), &what);
        }
        self.is_one = ending.is_one;
        search.end_stream(self, ending.whole, ending.is_one);
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
        let is_stopped = self.search.must_stop();
        if is_stopped || !self.search.spend(content.len() as u64) {
            let Within { layer, holder, origin } = self.layer.within();
            let spot = Spot { layer, at: 0, kind: Kind::Limit };
            let why =
                if is_stopped { "the rest of a compressed stream" } else { "a compressed stream beyond the limit" };
            self.search.omit_at(spot, holder, origin.unwrap_or_default(), why);
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
    within: Within,
    /// The offset from which on beginnings of streams have not been looked for.
    unread: u64,
    open: Vec<OpenStream>,
    /// The end of the last HTTP chunks. A stream that chunks cut in pieces is broken in the bytes around them, and
    /// whole in their content.
    chunks_end: u64,
    connections: Connections<Message>,
    pages: Pages<OpenValue>,
}

impl Layer {
    /// The bytes of a source, or of a flow in it.
    pub(crate) const fn source(base: u64, block: usize) -> Self {
        let within = Within { layer: 0, holder: 0, origin: None };
        let streams = Streams::new(Chain::EMPTY, within);
        Self { blocks: Blocks::new(base, block, Vec::new()), streams }
    }

    /// The content of a compressed stream.
    pub(crate) const fn nested(chain: Chain, within: Within, buffer: Vec<u8>) -> Self {
        let streams = Streams::new(chain, within);
        Self { blocks: Blocks::new(0, SMALL_BLOCK, buffer), streams }
    }

    pub(crate) const fn within(&self) -> Within {
        self.streams.within
    }

    /// Takes more bytes.
    pub(crate) fn push(&mut self, search: &mut Search<'_>, bytes: &[u8]) {
        let Self { blocks, streams } = self;
        blocks.push(bytes, |base, block| streams.examine(search, base, block, false));
    }

    /// Marks the next byte as one at which frames of a connection may begin.
    pub(crate) fn mark(&mut self) {
        self.streams.connections.mark(self.blocks.end());
    }

    /// Continues `missing` bytes further on, after the bytes before the gap have been searched to their end.
    pub(crate) fn skip(&mut self, search: &mut Search<'_>, missing: u64) {
        self.finish(search);
        self.blocks.skip(missing);
    }

    /// Ends the stream of bytes.
    pub(crate) fn finish(&mut self, search: &mut Search<'_>) {
        let Self { blocks, streams } = self;
        let buffer = blocks.finish(|base, block| _ = streams.examine(search, base, block, true));
        search.pool.return_buffer(buffer);
        for mut stream in core::mem::take(&mut streams.open) {
            let mut budget = stream.budget;
            search.within_budget(&mut budget, |search| stream.finish(search));
        }
        search.omissions.end_layer(streams.within.layer);
    }
}

impl Streams {
    const fn new(chain: Chain, within: Within) -> Self {
        Self {
            chain,
            within,
            unread: 0,
            open: Vec::new(),
            chunks_end: 0,
            connections: Connections::new(),
            pages: Pages::new(),
        }
    }

    /// Searches a block that begins at `base`, feeds it to the open streams and opens those that begin in it. Returns
    /// the offset of the first stream within text that the end of the block cuts.
    fn examine(&mut self, search: &mut Search<'_>, base: u64, block: &[u8], last: bool) -> Option<u64> {
        if self.within.layer == 0 {
            self.within.layer = search.begin_layer();
        }
        let place = move |at: usize| base.saturating_add(at as u64);
        let block_end = base.saturating_add(block.len() as u64);
        let frame = Frame {
            chain: self.chain,
            within: self.within,
            place: &place,
            is_literal: &|_, _| false,
            block_end: (!last).then_some(block_end),
            block_start: (self.unread > 0).then_some(base),
        };
        let outer_cut = search.cut.take();
        search.look_up(block, &[], &frame);
        let prefilter = search.prefilter(block);
        text::decode(&mut Level { search, frame: &frame }, block, &prefilter);
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
        // Before the streams that chunks cut in pieces.
        let mut sink = ConnectionLevel { search, chain: self.chain, within: self.within, place: &|at| at };
        let whole = network::Block { base, bytes: block, is_last: last, places: &prefilter.streams };
        self.connections.examine(&mut sink, &whole);
        self.chunks_end = self.chunks_end.max(self.connections.chunks_end());
        // A beginning that the end of the block cuts is recognised in the next block.
        let cut = if last { 0 } else { formats::BEGINNING.saturating_sub(1) as u64 };
        let (fresh, unread) = (index_of(self.unread, base), block_end.saturating_sub(cut).max(self.unread));
        self.unread = unread;
        let seen = prefilter.streams.partition_point(|&at| (at as usize) < fresh);
        for (at, format) in formats::beginnings(block, prefilter.streams.get(seen..).unwrap_or_default()) {
            let start = base.saturating_add(at as u64);
            if start >= unread || !search.wants(format) {
                continue;
            }
            if open.len() >= MAX_STREAMS {
                search.omit(&frame, at, Kind::TooMany, "too many compressed streams at once");
                continue;
            }
            let Some(mut stream) = search.open(format, &frame, at) else { continue };
            stream.is_silent = start < self.chunks_end || pages::joins(block, at, &prefilter);
            let more = stream.feed_block(search, block.get(at..).unwrap_or_default(), block_end);
            self.chunks_end = self.chunks_end.max(start.saturating_add(stream.decoder.chunks_len() as u64));
            if more {
                open.push(stream);
            }
        }
        self.open = open;
        let (chain, within) = (self.chain, self.within);
        let place = move |at: u64| within.origin.unwrap_or(at);
        let mut sink = PageLevel { search, chain, within, place: &place };
        self.pages.examine(&mut sink, &Block { base, bytes: block, is_last: last, prefilter: &prefilter });
        if last {
            self.pages.finish(&mut sink);
        }
        search.prefilters.push(prefilter);
        core::mem::replace(&mut search.cut, outer_cut)
    }
}

/// The index in a block that begins at `base` of the byte at `offset`: the first one's if that lies before the block.
fn index_of(offset: u64, base: u64) -> usize {
    usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX)
}
