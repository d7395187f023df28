// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoders of the streams that may begin anywhere in the evidence: gzip members, zlib streams, Zstandard frames,
//! deflated entries of ZIP archives, the formats of `unpack.rs`; and HTTP chunks, in which such a stream may lie.
//!
//! Streams are recognised by their first bytes. A zlib stream must have the usual window of 32 KiB and no dictionary,
//! and the first sixteen bytes of its output must not refer to bytes before them (`false_positives.rs`). The output of
//! a stream is searched up to the point where it ends, fails or is cut, so that half an archive counts for what it
//! holds. The other half is an omission, and so is a format that is recognised and has no decoder here.

use super::super::false_positives::{SAMPLE, may_be_compressed};
use super::super::index::needles::FRAGMENT;
use super::super::pool::Pool;
use super::super::sink::StreamSink;
use super::formats::{
    Format, chunk_len, gzip_header_len, is_usual_gzip, may_be_deflate, may_be_zstd_block, zstd_block_len,
    zstd_header_len,
};
use super::unpack::{self, Progress, Unpack};
use super::zip::{self, Expected};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Bytes that are decompressed before they are handed on.
const OUTPUT: usize = 1 << 15;
/// Bytes of a Zstandard window: the limit above which the reference implementation refuses a frame by default.
const MAX_WINDOW: u64 = 1 << 27;
/// The longest header of a Zstandard frame.
const FRAME_HEADER: usize = 18;
/// A last block without content, and a checksum.
const END_OF_FRAME: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
/// Bytes of a gzip header's name, comment or extra field; programs write no longer ones.
const MAX_GZIP_HEADER: usize = 1 << 17;
/// Bytes of a ZIP entry's header with name and extra fields.
const MAX_ZIP_HEADER: usize = zip::HEADER + 2 * zip::MAX_NAME as usize;
/// Bytes of the header of an HTTP message after the field that announces chunks, and of the line that begins a chunk:
/// servers' usual limit.
const MAX_HTTP_HEADER: usize = 1 << 14;
/// Bytes of a gzip member after its deflate stream: CRC-32 and length (RFC 1952, 2.3).
const GZIP_TRAILER: usize = 8;
/// Bytes of output from which on a stream counts as one.
const PLAUSIBLE: u64 = 64;
/// Bytes of input that a stream must take without a failure before its missing end is reported. A random match of a
/// zlib header continues at best as a block of fixed codes: in 100 bytes, about 18 symbols are matches, and one in
/// sixteen of their distances has no code, so that one such stream in e^22 gets this far. One in 200 MB took 512 bytes.
const PLAUSIBLE_INPUT: u64 = 2048;

/// Bytes of a PNG image before its pixels (signature, header, head of a chunk), and the fewest that may hold a fragment.
const PNG_DATA: u64 = 8 + 25 + 8 + FRAGMENT as u64;

enum State {
    /// The header is incomplete.
    Header(Format, Vec<u8>),
    Deflate(Decompress),
    /// What has been read of the trailer of a gzip member or a ZIP entry.
    Trailer(Vec<u8>),
    /// What has been read of an HTTP message's header or of a line between chunks, and whether chunks have begun.
    Line(Vec<u8>, bool),
    /// Bytes of a chunk that are still to come.
    Chunk(u64),
    /// A frame, and what has been read of its next block.
    Frame(Box<FrameDecoder>, Vec<u8>),
    /// Any other format.
    Other(Box<dyn Unpack>),
    Done,
}

/// The decoder of one stream.
pub(crate) struct Stream {
    state: State,
    read: u64,
    out: u64,
    format: Format,
    /// The checksum of the output, for gzip and ZIP.
    crc: Crc,
    /// What a ZIP entry decompresses to.
    expected: Option<Expected>,
    fate: Fate,
    /// The beginning of a zlib stream that did not fail in it.
    sample: Vec<u8>,
    /// It begins with the first byte of its layer.
    is_first: bool,
    /// Its header is too long to occur by chance.
    is_certain: bool,
    /// Bytes of the input that were HTTP chunks, with the header before them.
    chunks_len: usize,
}

/// The state of a stream's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Complete,
    Broken,
    /// Its decoder would need too much memory.
    TooLarge,
    /// It refers to a dictionary.
    Foreign,
    /// A limit ended it, which the sink has reported.
    Limited,
}

/// The result of a stream that has ended.
pub(crate) struct Ending {
    /// Whether it counts as a stream.
    pub(crate) is_counted: bool,
    /// Why a part of it could not be searched.
    pub(crate) failure: Option<&'static str>,
    /// Its length, if all of it was read.
    pub(crate) whole: Option<u64>,
    /// Whether this is no random match.
    pub(crate) is_one: bool,
}

impl Stream {
    /// `is_first`: whether it begins with the first byte of its layer.
    pub(crate) fn new(format: Format, is_first: bool, pool: &mut Pool) -> Self {
        let state = match format {
            Format::Zlib => State::Deflate(pool.take_inflater(true)),
            Format::Chunked => State::Line(Vec::new(), false),
            Format::Gzip | Format::Zstd | Format::Zip => State::Header(format, Vec::new()),
            _ => unpack::decoder(format).map_or(State::Done, State::Other),
        };
        // An LZ4 stream of the legacy format is one when a block has been decompressed; of LZMA, see `unpack`.
        let is_certain = matches!(state, State::Other(_)) && !matches!(format, Format::Lz4Legacy | Format::Lzma);
        let (crc, fate, expected) = (Crc::new(), Fate::Open, None);
        let sample = Vec::new();
        Self { state, read: 0, out: 0, format, crc, expected, fate, sample, is_first, is_certain, chunks_len: 0 }
    }

    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Bytes from its beginning that were HTTP chunks.
    pub(crate) const fn chunks_len(&self) -> usize {
        self.chunks_len
    }

    /// Takes more of the stream, and hands its content to the sink. Returns whether it takes still more.
    pub(crate) fn feed(&mut self, sink: &mut impl StreamSink, bytes: &[u8]) -> bool {
        self.read = self.read.saturating_add(bytes.len() as u64);
        match &mut self.state {
            State::Done => {}
            State::Deflate(_) => self.inflate(sink, bytes),
            State::Trailer(_) => self.check_trailer(bytes, false),
            State::Other(_) => self.unpack(sink, bytes, false),
            State::Line(..) | State::Chunk(_) => self.read_chunks(sink, bytes),
            State::Frame(_, pending) => {
                pending.extend_from_slice(bytes);
                self.decode_blocks(sink, false);
            }
            State::Header(format, header) => {
                header.extend_from_slice(bytes);
                let (format, header) = (*format, core::mem::take(header));
                self.read_header(sink, format, header, false);
            }
        }
        self.is_open()
    }

    /// Whether it takes more.
    pub(crate) const fn is_open(&self) -> bool {
        !matches!(self.state, State::Done)
    }

    /// Ends the stream. An incomplete stream is a failure.
    pub(crate) fn finish(&mut self, sink: &mut impl StreamSink) -> Ending {
        match &mut self.state {
            State::Header(format, header) => {
                let (format, header) = (*format, core::mem::take(header));
                self.read_header(sink, format, header, true);
            }
            State::Frame(..) => self.decode_blocks(sink, true),
            State::Trailer(_) => self.check_trailer(&[], true),
            State::Other(_) => self.unpack(sink, &[], true),
            State::Deflate(_) | State::Line(..) | State::Chunk(_) | State::Done => {}
        }
        let failure = match self.fate {
            // The magic bytes and the size of an image, as tables of formats and examples have them.
            Fate::Open if self.format == Format::Png && self.read < PNG_DATA => None,
            Fate::Open if self.format != Format::Chunked => Some("ends too early"),
            Fate::Broken => Some("cannot be decompressed"),
            Fate::TooLarge => Some("needs too much memory"),
            Fate::Foreign => Some("needs a dictionary"),
            Fate::Open | Fate::Complete | Fate::Limited => None,
        };
        // Any bytes are a whole LZMA stream of a short length: it has no checksum.
        let is_one = self.is_recognised();
        let is_whole = self.fate == Fate::Complete && (is_one || self.format != Format::Lzma);
        let whole = is_whole.then_some(self.read);
        let failure = failure.filter(|_| is_one);
        Ending { is_counted: self.out >= PLAUSIBLE, failure, whole, is_one: whole.is_some() || is_one }
    }

    /// Whether this is too unlikely to be a random match.
    fn is_recognised(&self) -> bool {
        // A decoder of LZMA makes plenty of any bytes.
        self.is_certain || self.is_plausible() && !matches!(self.format, Format::Lzma)
    }

    /// Whether this is likely to be a stream, and one that hides its content: output no longer than the input was
    /// stored (one random match of 2^18 is followed by such a block), and lies in the evidence as it is.
    fn is_plausible(&self) -> bool {
        self.out >= PLAUSIBLE
            && self.read >= PLAUSIBLE_INPUT
            && self.out > self.read
            && (self.format != Format::Zlib || may_be_compressed(&self.sample))
    }

    fn read_header(&mut self, sink: &mut impl StreamSink, format: Format, header: Vec<u8>, last: bool) {
        self.state = State::Done;
        let (len, longest) = match format {
            Format::Gzip => (gzip_header_len(&header), MAX_GZIP_HEADER),
            Format::Zip => (zip::header_len(&header), MAX_ZIP_HEADER),
            Format::Zstd => ((last || header.len() >= FRAME_HEADER).then_some(0), FRAME_HEADER),
            _ => return,
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
                match decoder.reset(&mut rest) {
                    Ok(()) => {
                        self.is_certain = zstd_header_len(&header).is_some() && may_be_zstd_block(rest);
                        self.state = State::Frame(Box::new(decoder), rest.to_vec());
                        self.decode_blocks(sink, last);
                    }
                    Err(error) => {
                        self.is_certain =
                            zstd_header_len(&header).and_then(|len| header.get(len..)).is_some_and(may_be_zstd_block);
                        self.fate = match error {
                            FrameDecoderError::WindowSizeTooBig { .. } => Fate::TooLarge,
                            FrameDecoderError::DictNotProvided { .. } => Fate::Foreign,
                            _ => Fate::Broken,
                        };
                    }
                }
            }
            _ => {
                self.expected = zip::expected(&header).filter(|_| format == Format::Zip);
                self.is_certain =
                    format == Format::Zip || is_usual_gzip(&header) && (self.is_first || may_be_deflate(rest));
                self.state = State::Deflate(sink.pool().take_inflater(false));
                self.inflate(sink, rest);
            }
        }
    }

    fn inflate(&mut self, sink: &mut impl StreamSink, mut bytes: &[u8]) {
        let State::Deflate(mut inflater) = core::mem::replace(&mut self.state, State::Done) else { return };
        let beginning = bytes.get(..SAMPLE).unwrap_or(bytes);
        let mut output = sink.pool().take_output();
        output.resize(OUTPUT, 0);
        let goes_on = loop {
            let (read, written) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(bytes, &mut output, FlushDecompress::None);
            let read = usize::try_from(inflater.total_in().saturating_sub(read)).unwrap_or_default();
            let written = usize::try_from(inflater.total_out().saturating_sub(written)).unwrap_or_default();
            bytes = bytes.get(read..).unwrap_or_default();
            let output = output.get(..written).unwrap_or_default();
            if self.has_trailer() {
                self.crc.update(output);
            }
            let within = self.hand_on(sink, output);
            match status {
                Ok(Status::Ok | Status::BufError) if within => {
                    if read == 0 && written == 0 {
                        break true;
                    }
                }
                Ok(Status::StreamEnd) if within => {
                    self.read = self.read.saturating_sub(bytes.len() as u64);
                    self.fate = Fate::Complete;
                    if self.has_trailer() {
                        (self.state, self.fate) = (State::Trailer(Vec::new()), Fate::Open);
                        self.check_trailer(bytes, false);
                    }
                    break false;
                }
                Ok(_) => break false,
                Err(_) => {
                    // Not all bytes that were fed have been read.
                    (self.fate, self.read) = (Fate::Broken, inflater.total_in());
                    // The header alone is in programs that write it, with text after it.
                    let start = beginning.get(..FRAGMENT).unwrap_or(beginning);
                    self.is_certain &= self.format != Format::Gzip || self.is_first || !start.is_ascii();
                    break false;
                }
            }
        };
        if self.format == Format::Zlib && (goes_on || self.read >= PLAUSIBLE_INPUT) {
            self.sample.extend(beginning.iter().take(SAMPLE.saturating_sub(self.sample.len())));
        }
        if goes_on {
            self.state = State::Deflate(inflater);
        } else {
            sink.pool().return_inflater(inflater);
        }
        sink.pool().return_output(output);
    }

    const fn has_trailer(&self) -> bool {
        matches!(self.format, Format::Gzip | Format::Zip)
    }

    /// Checks the output of a gzip member or a ZIP entry against its checksum: a broken one may inflate to something
    /// else.
    fn check_trailer(&mut self, bytes: &[u8], last: bool) {
        let State::Trailer(trailer) = &mut self.state else { return };
        let len = if self.expected.is_some() { zip::DESCRIPTOR } else { GZIP_TRAILER };
        trailer.extend(bytes.iter().take(len.saturating_sub(trailer.len())));
        let content = zip::Content::new(self.crc.sum(), self.out);
        let is_whole = match self.expected {
            Some(expected) => expected.is_met(content, trailer, last),
            // Nothing is hidden in a stream without content.
            None => (trailer.len() >= len).then(|| self.out == 0 || trailer.starts_with(&self.crc.sum().to_le_bytes())),
        };
        if let Some(is_whole) = is_whole {
            self.fate = if is_whole { Fate::Complete } else { Fate::Broken };
            self.state = State::Done;
        }
    }

    /// Feeds the decoder of another format.
    fn unpack(&mut self, sink: &mut impl StreamSink, bytes: &[u8], last: bool) {
        let State::Other(mut decoder) = core::mem::replace(&mut self.state, State::Done) else { return };
        let mut buffer = sink.pool().take_output();
        buffer.resize(OUTPUT, 0);
        // Structures in memory have numbers like those of a header with a length, but none has eight bytes 0xFF.
        if self.format == Format::Lzma && self.read == bytes.len() as u64 {
            self.is_certain = self.is_first || bytes.get(5..13) == Some(&[0xFF; 8]);
        }
        let progress = decoder.feed(bytes, last, &mut buffer, &mut |output| self.hand_on(sink, output));
        sink.pool().return_output(buffer);
        self.is_certain |= self.out > 0 && self.format == Format::Lz4Legacy;
        match progress {
            Progress::More => self.state = State::Other(decoder),
            Progress::End(unread) => {
                self.fate = Fate::Complete;
                self.read = self.read.saturating_sub(unread as u64);
            }
            Progress::Broken => self.fate = Fate::Broken,
            Progress::TooLarge => self.fate = Fate::TooLarge,
            Progress::Stopped => {}
        }
    }

    /// RFC 9112, 7.1: lines that give a chunk's length in hexadecimal, each followed by the chunk. The rest of the
    /// message's header precedes the first.
    fn read_chunks(&mut self, sink: &mut impl StreamSink, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Chunk(left) => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (chunk, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
                    *left = left.saturating_sub(now as u64);
                    if *left == 0 {
                        self.state = State::Line(Vec::new(), true);
                    }
                    bytes = rest;
                    self.chunks_len = self.chunks_len.saturating_add(now);
                    if !self.hand_on(sink, chunk) {
                        self.state = State::Done;
                    }
                }
                State::Line(line, begun) => {
                    let Some((&byte, rest)) = bytes.split_first() else { return };
                    bytes = rest;
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

    /// Decodes the blocks that have been read completely, one at a time: a block of four bytes may become 128 KiB.
    fn decode_blocks(&mut self, sink: &mut impl StreamSink, last: bool) {
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
                Ok(true) => Fate::Complete,
                Err(_) => Fate::Broken,
            };
            from = pending.len().saturating_sub(unread.len());
            let output = decoder.collect().unwrap_or_default();
            // The decoder computes the checksum of the output, and leaves it to us to compare them.
            let sums = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
            if self.fate == Fate::Complete && matches!(sums, (Some(stored), Some(sum)) if stored != sum) {
                self.fate = Fate::Broken;
            }
            within = self.hand_on(sink, &output);
            alive &= within;
        }
        if !alive {
            self.read = self.read.saturating_sub(pending.len().saturating_sub(from) as u64);
        }
        if !alive || last {
            // The decoder withholds a window of output until the frame ends: an empty last block ends it.
            if within {
                _ = decoder.decode_blocks(&END_OF_FRAME[..], BlockDecodingStrategy::UptoBlocks(1));
                let output = decoder.collect().unwrap_or_default();
                self.hand_on(sink, &output);
            }
            return;
        }
        pending.drain(..from);
        self.state = State::Frame(decoder, pending);
    }

    /// Hands output to the sink. Returns false if a limit ends the stream.
    fn hand_on(&mut self, sink: &mut impl StreamSink, output: &[u8]) -> bool {
        self.out = self.out.saturating_add(output.len() as u64);
        let within = sink.descend(output);
        if !within {
            self.fate = Fate::Limited;
        }
        within
    }
}
