// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed streams anywhere in the evidence: gzip members, zlib streams, Zstandard frames, deflated entries of ZIP
//! archives; and HTTP's chunks, in which such a stream may lie.
//!
//! Streams are recognised by their first bytes, of zlib those with the usual window of 32 KiB and no dictionary, unless the
//! first sixteen bytes that come out refer to others before them (`chance.rs`). What comes out before a stream ends, fails or
//! is cut is searched, so that half an archive counts for what it holds; the other half is an omission. So is what is
//! recognised and has no decoder here.

use super::formats::{
    BEGINNING, Format, MAX_ZIP_NAME, chunk_len, gzip_header_len, is_usual_gzip, may_be_deflate, may_be_zstd_block,
    zip_header_len, zstd_block_len,
};
use super::scan::{Layer, Search};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

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
/// Bytes of an entry's header with name and extra fields.
const MAX_ZIP_HEADER: usize = BEGINNING + 2 * MAX_ZIP_NAME as usize;
/// Bytes of the header of an HTTP message, behind the field that announces chunks, and of the line that begins a chunk:
/// servers' usual bound.
const MAX_HTTP_HEADER: usize = 1 << 14;
/// Bytes of a gzip member behind its stream: CRC-32 and length (RFC 1952, 2.3).
const GZIP_TRAILER: usize = 8;
/// Bytes that must come out before a stream counts as one.
const PLAUSIBLE: u64 = 64;
/// Bytes that must go in without a failure before the lack of an end is worth a word. What begins by chance like a zlib
/// stream goes on as a block of fixed codes at best: of 100 bytes about 18 symbols are matches, of whose distances one in
/// sixteen has no code, so that one such stream in e^22 comes so far. Of 512 bytes, one did in 200 MB.
const PLAUSIBLE_INPUT: u64 = 2048;

enum State {
    /// The beginning has not been read whole.
    Header(Format, Vec<u8>),
    Deflate(Decompress),
    /// What stands behind a gzip member's stream.
    Trailer(Vec<u8>),
    /// What has been read of an HTTP message's header or of a line between chunks, and whether chunks have begun.
    Line(Vec<u8>, bool),
    /// Bytes of a chunk that are still to come.
    Chunk(u64),
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
    format: Format,
    /// Of gzip: what came out.
    crc: Crc,
    fate: Fate,
    /// Its header is one that is not there by chance.
    is_certain: bool,
    /// What becomes of it is told elsewhere.
    is_silent: bool,
    /// Bytes of the parent that were HTTP's chunks, with the header before them.
    chunks_len: usize,
}

/// What came of a stream so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Whole,
    Broken,
    /// It went beyond a bound, which has been told.
    Told,
}

impl Stream {
    pub(super) fn new(format: Format, layer: Layer, search: &mut Search<'_>) -> Self {
        let state = match format {
            Format::Zlib => State::Deflate(search.take_inflater(true)),
            Format::Chunked => State::Line(Vec::new(), false),
            Format::Gzip | Format::Zstd | Format::Zip | Format::Closed(_) => State::Header(format, Vec::new()),
        };
        let (crc, fate) = (Crc::new(), Fate::Open);
        let layer = Box::new(layer);
        let (is_certain, is_silent) = (false, false);
        Self { state, layer, fed: 0, read: 0, out: 0, format, crc, fate, is_certain, is_silent, chunks_len: 0 }
    }

    /// Its failure is no omission.
    pub(super) const fn silence(&mut self) {
        self.is_silent = true;
    }

    /// Bytes from its beginning that were HTTP's chunks.
    pub(super) const fn chunks_len(&self) -> usize {
        self.chunks_len
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
            self.finish(search, false);
        }
        more
    }

    /// More of the stream; whether it wants still more.
    pub(super) fn feed(&mut self, search: &mut Search<'_>, bytes: &[u8]) -> bool {
        self.read = self.read.saturating_add(bytes.len() as u64);
        match &mut self.state {
            State::Done => {}
            State::Deflate(_) => self.inflate(search, bytes),
            State::Trailer(_) => self.close(bytes),
            State::Line(..) | State::Chunk(_) => self.chunks(search, bytes),
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

    /// No more of it: what came out is searched to its end. What there is beyond that is an omission; not so of a small
    /// stream that is `cut` by the end of a block of text, of which the next block has the whole.
    pub(super) fn finish(&mut self, search: &mut Search<'_>, cut: bool) {
        match &mut self.state {
            State::Header(format, header) => {
                let (format, header) = (*format, core::mem::take(header));
                self.open(search, format, header, true);
            }
            State::Frame(..) => self.decode_blocks(search, true),
            State::Deflate(_) | State::Trailer(_) | State::Line(..) | State::Chunk(_) | State::Done => {}
        }
        if self.out >= PLAUSIBLE {
            search.statistics.streams = search.statistics.streams.saturating_add(1);
        }
        let is_one = if cut && self.fate == Fate::Open { self.is_plausible() } else { self.is_recognised() };
        let how = match self.fate {
            Fate::Open if self.format != Format::Chunked => Some("ends too early"),
            Fate::Broken => Some("cannot be decompressed"),
            Fate::Open | Fate::Whole | Fate::Told => None,
        };
        if let Some(how) = how.filter(|_| is_one && !self.is_silent) {
            let (source, name) = (String::from(search.source()), self.format.name());
            let at = self.layer.origin().unwrap_or_default();
            search.statistics.omit(|| format!("{source}, byte {at}: {name} that {how}"));
        }
        self.layer.finish(search);
    }

    /// Whether it is no chance that this seems to be a stream.
    const fn is_recognised(&self) -> bool {
        self.is_certain || self.is_plausible()
    }

    /// Whether it is likely to be a stream, and one that hides something: what comes out no longer than it went in was stored
    /// (one chance beginning of 2^18 is followed by such a block), and lies there as it is.
    const fn is_plausible(&self) -> bool {
        self.out >= PLAUSIBLE && self.read >= PLAUSIBLE_INPUT && self.out > self.read
    }

    fn open(&mut self, search: &mut Search<'_>, format: Format, header: Vec<u8>, last: bool) {
        self.state = State::Done;
        let (len, longest) = match format {
            Format::Gzip => (gzip_header_len(&header), MAX_GZIP_HEADER),
            Format::Zip => (zip_header_len(&header), MAX_ZIP_HEADER),
            Format::Zstd => ((last || header.len() >= FRAME_HEADER).then_some(0), FRAME_HEADER),
            Format::Zlib | Format::Chunked | Format::Closed(_) => return,
        };
        let Some(len) = len else {
            if header.len() <= longest && !last {
                self.state = State::Header(format, header);
            }
            return;
        };
        let mut rest = header.get(len..).unwrap_or_default();
        match format {
            Format::Zstd => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(MAX_WINDOW);
                if decoder.reset(&mut rest).is_ok() {
                    self.is_certain = may_be_zstd_block(rest);
                    self.state = State::Frame(Box::new(decoder), rest.to_vec());
                    self.decode_blocks(search, last);
                }
            }
            _ => {
                self.is_certain = format == Format::Zip || is_usual_gzip(&header) && may_be_deflate(rest);
                self.state = State::Deflate(search.take_inflater(false));
                self.inflate(search, rest);
            }
        }
    }

    fn inflate(&mut self, search: &mut Search<'_>, mut bytes: &[u8]) {
        let State::Deflate(mut inflater) = core::mem::replace(&mut self.state, State::Done) else { return };
        let mut output = search.take_output();
        output.resize(OUTPUT, 0);
        let goes_on = loop {
            let (read, written) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(bytes, &mut output, FlushDecompress::None);
            let read = usize::try_from(inflater.total_in().saturating_sub(read)).unwrap_or_default();
            let written = usize::try_from(inflater.total_out().saturating_sub(written)).unwrap_or_default();
            bytes = bytes.get(read..).unwrap_or_default();
            let output = output.get(..written).unwrap_or_default();
            if self.format == Format::Gzip {
                self.crc.update(output);
            }
            let within = self.hand_on(search, output);
            match status {
                Ok(Status::Ok | Status::BufError) if within => {
                    if read == 0 && written == 0 {
                        break true;
                    }
                }
                Ok(Status::StreamEnd) if within => {
                    self.fate = Fate::Whole;
                    if self.format == Format::Gzip {
                        (self.state, self.fate) = (State::Trailer(Vec::new()), Fate::Open);
                        self.close(bytes);
                    }
                    break false;
                }
                Ok(_) => break false,
                Err(_) => {
                    // What was fed is not what was read.
                    (self.fate, self.read) = (Fate::Broken, inflater.total_in());
                    break false;
                }
            }
        };
        if goes_on {
            self.state = State::Deflate(inflater);
        } else {
            search.give_back_inflater(inflater);
        }
        search.give_back_output(output);
    }

    /// Whether a gzip member is what was compressed: a broken one may inflate to something else.
    fn close(&mut self, bytes: &[u8]) {
        let State::Trailer(trailer) = &mut self.state else { return };
        trailer.extend(bytes.iter().take(GZIP_TRAILER.saturating_sub(trailer.len())));
        if trailer.len() < GZIP_TRAILER {
            return;
        }
        let is_whole = trailer.starts_with(&self.crc.sum().to_le_bytes());
        self.fate = if is_whole { Fate::Whole } else { Fate::Broken };
        self.state = State::Done;
    }

    /// RFC 9112, 7.1: lines with a chunk's length in hexadecimal, each with the chunk behind it. Before the first, the rest
    /// of the message's header.
    fn chunks(&mut self, search: &mut Search<'_>, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Chunk(left) => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (chunk, behind) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
                    *left = left.saturating_sub(now as u64);
                    if *left == 0 {
                        self.state = State::Line(Vec::new(), true);
                    }
                    bytes = behind;
                    self.chunks_len = self.chunks_len.saturating_add(now);
                    if !self.hand_on(search, chunk) {
                        self.state = State::Done;
                    }
                }
                State::Line(line, begun) => {
                    let Some((&byte, behind)) = bytes.split_first() else { return };
                    bytes = behind;
                    self.chunks_len = self.chunks_len.saturating_add(1);
                    line.push(byte);
                    let is_end =
                        if *begun { line.len() > 2 && line.ends_with(b"\r\n") } else { line.ends_with(b"\r\n\r\n") };
                    match (is_end, *begun) {
                        (true, false) => self.state = State::Line(b"\r\n".to_vec(), true),
                        (true, true) => {
                            let len = chunk_len(line);
                            self.state = len.map_or(State::Done, State::Chunk);
                        }
                        (false, _) if line.len() > MAX_HTTP_HEADER => self.state = State::Done,
                        (false, _) => {}
                    }
                }
                _ => return,
            }
        }
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
            let decoded = decoder.decode_blocks(&mut unread, BlockDecodingStrategy::UptoBlocks(1));
            alive = matches!(decoded, Ok(false));
            self.fate = match decoded {
                Ok(false) => Fate::Open,
                Ok(true) => Fate::Whole,
                Err(_) => Fate::Broken,
            };
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
            self.fate = Fate::Told;
            return false;
        }
        self.layer.push(search, output);
        true
    }
}
