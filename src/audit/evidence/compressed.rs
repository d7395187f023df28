// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed streams anywhere in the evidence: gzip members, zlib streams, Zstandard frames.
//!
//! Streams are recognised by their first bytes, of zlib those with the usual window of 32 KiB and no dictionary. What
//! comes out before a stream ends, fails or is cut is searched, so that half an archive counts for what it holds.

use super::encoding::Encoding;
use super::scan::{Layer, Search};
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Bytes that are decompressed before they are handed on.
const OUTPUT: usize = 1 << 15;
/// Bytes of a Zstandard window: the bound of its reference implementation, which frames beyond must be told.
const MAX_WINDOW: u64 = 1 << 27;
/// The longest header of a Zstandard frame.
const FRAME_HEADER: usize = 18;
/// A last block without content, and a checksum.
const END_OF_FRAME: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
/// Bytes of a gzip header's name, comment or extra field; longer ones are not made by programs.
const MAX_GZIP_HEADER: usize = 1 << 17;
/// Bytes that must come out before a stream counts as one.
const PLAUSIBLE: u64 = 64;
/// Bytes that must go in without a failure before the lack of an end is worth a word: of what begins by chance like a zlib
/// stream, hardly any comes so far.
const PLAUSIBLE_INPUT: u64 = 512;

/// A format of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zlib,
    Zstd,
}

impl Format {
    pub(super) const fn encoding(self) -> Encoding {
        match self {
            Self::Gzip => Encoding::Gzip,
            Self::Zlib => Encoding::Zlib,
            Self::Zstd => Encoding::Zstd,
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1F, 0x8B, 8, flags, ..] if flags & 0xE0 == 0 => Some(Self::Gzip),
            [0x78, 0x01 | 0x5E | 0x9C | 0xDA, stream @ ..] if may_be_deflate(stream) => Some(Self::Zlib),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Whether a deflate stream may begin so (RFC 1951, 3.2): of two bytes of a zlib header that are there by chance, most are
/// told before an inflater is made for them. What is cut short may be one.
fn may_be_deflate(stream: &[u8]) -> bool {
    let Some(&first) = stream.first() else { return false };
    match first >> 1 & 3 {
        // A length, and its complement.
        0 => stream.get(1..5).is_none_or(|lens| match *lens {
            [low, high, not_low, not_high] => low == !not_low && high == !not_high,
            _ => true,
        }),
        1 => true,
        2 => stream.first_chunk().is_none_or(|start| is_complete_code(u128::from_le_bytes(*start))),
        _ => false,
    }
}

/// Whether the code of a dynamic block's code lengths is a complete prefix code, which inflaters ask for.
fn is_complete_code(block: u128) -> bool {
    let bits = |at: u32, count: u32| (block >> at) as u32 & (1u32 << count).wrapping_sub(1);
    let lens = bits(13, 4).saturating_add(4);
    let space: u32 = (0..lens).map(|i| 128u32 >> bits(i.saturating_mul(3).saturating_add(17), 3) & 127).sum();
    space == 128
}

/// Bytes that are looked at together: enough for the vector units, few enough to seldom hold a beginning by chance.
const LANE: usize = 64;

/// Where streams may begin.
pub(super) fn beginnings(bytes: &[u8]) -> impl Iterator<Item = (usize, Format)> {
    // Each byte and the one behind it, lane by lane; what is no whole lane is looked at byte by byte.
    let (ones, _) = bytes.as_chunks::<LANE>();
    let (others, _) = bytes.get(1..).unwrap_or_default().as_chunks::<LANE>();
    let whole = ones.len().min(others.len());
    let lanes = ones.iter().zip(others).enumerate().filter(|(_, (ones, others))| {
        ones.iter().zip(*others).fold(0, |any, (&one, &other)| any | pair(one, other)) != 0
    });
    let rest = whole.saturating_mul(LANE)..bytes.len();
    let (ones, others) = (bytes.get(rest.clone()), bytes.get(rest.start.saturating_add(1)..));
    let (ones, others) = (ones.unwrap_or_default(), others.unwrap_or_default());
    let any = ones.iter().zip(others).fold(0, |any, (&one, &other)| any | pair(one, other));
    let found = lanes.map(|(lane, _)| lane.saturating_mul(LANE)..lane.saturating_add(1).saturating_mul(LANE));
    let found = found.chain((any != 0).then_some(rest));
    let found = found.flatten().filter(|&at| match bytes.get(at..) {
        Some(&[one, other, ..]) => pair(one, other) != 0,
        _ => false,
    });
    found.filter_map(|at| Some((at, Format::of(bytes.get(at..)?)?)))
}

/// Not zero if a stream may begin with these two. The three flags of zlib beside 0x01 have bits in common, with thirteen
/// other values: one comparison for three.
#[inline(always)]
fn pair(one: u8, other: u8) -> u8 {
    let gzip = u8::from(one == 0x1F) & u8::from(other == 0x8B);
    let flags = u8::from(other == 0x01) | u8::from(other & 0x39 == 0x18);
    let zstd = u8::from(one == 0x28) & u8::from(other == 0xB5);
    gzip | (u8::from(one == 0x78) & flags) | zstd
}

enum State {
    /// The beginning has not been read whole.
    Header(Format, Vec<u8>),
    Deflate(Decompress),
    /// A frame, and what has been read of its next block.
    Frame(Box<FrameDecoder>, Vec<u8>),
    Done,
}

/// A stream that is being decompressed into a layer of its own.
pub(super) struct Stream {
    state: State,
    layer: Box<Layer>,
    /// The offset in the parent behind what has been fed.
    fed: u64,
    read: u64,
    out: u64,
}

impl Stream {
    pub(super) fn new(format: Format, layer: Layer) -> Self {
        let state = match format {
            Format::Zlib => State::Deflate(Decompress::new(true)),
            Format::Gzip | Format::Zstd => State::Header(format, Vec::new()),
        };
        Self { state, layer: Box::new(layer), fed: 0, read: 0, out: 0 }
    }

    /// Where in a buffer that begins at `base` the bytes are that it has not seen.
    pub(super) fn fed_to(&self, base: u64) -> usize {
        usize::try_from(self.fed.saturating_sub(base)).unwrap_or(usize::MAX)
    }

    /// [`Stream::feed`], up to the end of a buffer that begins at `base`.
    pub(super) fn feed_at(&mut self, search: &mut Search<'_>, bytes: &[u8], base: u64, end: usize) -> bool {
        self.fed = base.saturating_add(end as u64);
        let more = self.feed(search, bytes);
        if !more {
            self.finish(search);
        }
        more
    }

    /// More of the stream; whether it wants still more.
    pub(super) fn feed(&mut self, search: &mut Search<'_>, bytes: &[u8]) -> bool {
        self.read = self.read.saturating_add(bytes.len() as u64);
        match &mut self.state {
            State::Done => {}
            State::Deflate(_) => self.inflate(search, bytes),
            State::Frame(_, pending) => {
                pending.extend_from_slice(bytes);
                self.decode_blocks(search, false);
            }
            State::Header(format, header) => {
                header.extend_from_slice(bytes);
                let (format, header) = (*format, core::mem::take(header));
                self.open(search, format, header, false);
            }
        }
        !matches!(self.state, State::Done)
    }

    /// No more of it: what came out is searched to its end.
    pub(super) fn finish(&mut self, search: &mut Search<'_>) {
        match &mut self.state {
            State::Header(format, header) => {
                let (format, header) = (*format, core::mem::take(header));
                self.open(search, format, header, true);
            }
            State::Frame(..) => self.decode_blocks(search, true),
            State::Deflate(_) | State::Done => {}
        }
        if self.out >= PLAUSIBLE {
            search.statistics.streams = search.statistics.streams.saturating_add(1);
        }
        self.layer.finish(search);
    }

    /// Whether it is likely to be a stream.
    pub(super) const fn is_plausible(&self) -> bool {
        self.out >= PLAUSIBLE && self.read >= PLAUSIBLE_INPUT
    }

    fn open(&mut self, search: &mut Search<'_>, format: Format, header: Vec<u8>, last: bool) {
        self.state = State::Done;
        match format {
            Format::Zlib => {}
            Format::Gzip => match gzip_header_len(&header) {
                Some(len) => {
                    self.state = State::Deflate(Decompress::new(false));
                    self.inflate(search, header.get(len..).unwrap_or_default());
                }
                None if header.len() < MAX_GZIP_HEADER && !last => self.state = State::Header(format, header),
                None => {}
            },
            Format::Zstd if header.len() < FRAME_HEADER && !last => self.state = State::Header(format, header),
            Format::Zstd => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(MAX_WINDOW);
                let mut rest = header.as_slice();
                if decoder.reset(&mut rest).is_ok() {
                    self.state = State::Frame(Box::new(decoder), rest.to_vec());
                    self.decode_blocks(search, last);
                }
            }
        }
    }

    fn inflate(&mut self, search: &mut Search<'_>, mut bytes: &[u8]) {
        let State::Deflate(mut inflater) = core::mem::replace(&mut self.state, State::Done) else { return };
        let mut output = search.take_output();
        output.resize(OUTPUT, 0);
        loop {
            let (read, written) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(bytes, &mut output, FlushDecompress::None);
            let read = usize::try_from(inflater.total_in().saturating_sub(read)).unwrap_or_default();
            let written = usize::try_from(inflater.total_out().saturating_sub(written)).unwrap_or_default();
            bytes = bytes.get(read..).unwrap_or_default();
            let within = self.hand_on(search, output.get(..written).unwrap_or_default());
            match status {
                Ok(Status::Ok | Status::BufError) if within => {
                    if read == 0 && written == 0 {
                        self.state = State::Deflate(inflater);
                        break;
                    }
                }
                _ => break,
            }
        }
        search.give_back_output(output);
    }

    /// Decodes the blocks that are there whole, one at a time: a block of four bytes may become 128 KiB.
    fn decode_blocks(&mut self, search: &mut Search<'_>, last: bool) {
        let State::Frame(mut decoder, mut pending) = core::mem::replace(&mut self.state, State::Done) else { return };
        let mut from = 0usize;
        let (mut alive, mut within) = (true, true);
        while alive {
            let rest = pending.get(from..).unwrap_or_default();
            let Some(len) = zstd_block_len(rest) else { break };
            if rest.len() < len && !(last && rest.len().saturating_add(4) >= len) {
                break;
            }
            let mut unread = rest;
            alive = matches!(decoder.decode_blocks(&mut unread, BlockDecodingStrategy::UptoBlocks(1)), Ok(false));
            from = pending.len().saturating_sub(unread.len());
            let output = decoder.collect().unwrap_or_default();
            within = self.hand_on(search, &output);
            alive &= within;
        }
        if !alive || last {
            // The decoder keeps a window back until the frame ends: an empty last block ends it.
            if within {
                _ = decoder.decode_blocks(&END_OF_FRAME[..], BlockDecodingStrategy::UptoBlocks(1));
                let output = decoder.collect().unwrap_or_default();
                self.hand_on(search, &output);
            }
            return;
        }
        pending.drain(..from);
        self.state = State::Frame(decoder, pending);
    }

    /// Output goes to the layer within, as long as the bounds allow.
    fn hand_on(&mut self, search: &mut Search<'_>, output: &[u8]) -> bool {
        self.out = self.out.saturating_add(output.len() as u64);
        if !search.spend(output.len() as u64) {
            let source = String::from(search.source());
            search.statistics.omit(|| format!("{source}: a compressed stream beyond the bound"));
            return false;
        }
        self.layer.push(search, output);
        true
    }
}

/// RFC 1952, 2.3: ten bytes, then what the flags say. `None` if it is not there whole.
fn gzip_header_len(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(3)?;
    let mut len = 10usize;
    if flags & 4 != 0 {
        let extra = bytes.get(len..)?.first_chunk::<2>()?;
        len = len.saturating_add(2).saturating_add(usize::from(u16::from_le_bytes(*extra)));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let text = bytes.get(len..)?.iter().position(|&byte| byte == 0)?;
            len = len.saturating_add(text).saturating_add(1);
        }
    }
    if flags & 2 != 0 {
        len = len.saturating_add(2);
    }
    (bytes.len() >= len).then_some(len)
}

/// RFC 8878, 3.1.1.2: the block at the beginning of `bytes` with its header and, behind the last one, a checksum.
fn zstd_block_len(bytes: &[u8]) -> Option<usize> {
    let &[low, middle, high] = bytes.first_chunk::<3>()?;
    let header = u32::from_le_bytes([low, middle, high, 0]);
    let content = if header >> 1 & 3 == 1 { 1 } else { (header >> 3) as usize };
    let checksum = if header & 1 == 1 { 4 } else { 0 };
    Some(content.saturating_add(3).saturating_add(checksum))
}
