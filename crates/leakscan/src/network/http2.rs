// SPDX-License-Identifier: MIT OR Apache-2.0
//! HTTP/2 (RFC 9113): the frames of one direction of a connection. Header fields are decompressed; the frames with the
//! content of a stream are joined, and decoded by its header.

use super::super::encoding::Encoding;
use super::super::sink::ConnectionSink;
use super::coding::{Coding, Decoder};
use super::deflate::Inflated;
use super::hpack::{Block, Hpack};
use std::collections::BTreeMap;

/// What a client sends first, from the last letter of `HTTP` on.
pub(super) const PREFACE: &[u8] = b"P/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's header (RFC 9113, 4.1).
const HEADER: usize = 9;
/// The longest block of header fields that is put together: more than servers accept.
const MAX_BLOCK: usize = 1 << 20;
/// Streams that are open at once; servers usually permit a hundred.
const MAX_STREAMS: usize = 128;
/// Frames that follow one another, from which on it is not by chance: one of 2^12 places looks like a header.
const CERTAIN_FRAMES: u32 = 4;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
/// The last type that is registered (ORIGIN and PRIORITY_UPDATE).
const LAST_TYPE: u8 = 0x10;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// One direction of a connection.
pub(super) struct Http2<V> {
    at: u64,
    /// It begins with the preface, or with settings.
    from_start: bool,
    /// Bytes of the preface that are still to come.
    preface: usize,
    header: Vec<u8>,
    frame: Option<Frame>,
    frames: u32,
    /// What has been read of a frame that is read whole, and of a block of header fields.
    payload: Vec<u8>,
    block: Vec<u8>,
    hpack: Hpack,
    streams: BTreeMap<u32, Stream<V>>,
    is_unknown: bool,
    is_reported: bool,
    end: u64,
}

#[derive(Clone, Copy)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    left: usize,
    /// The offset of its first byte.
    at: u64,
    /// Of content: bytes of padding at the end; `None` until it is known.
    padding: Option<usize>,
}

struct Stream<V> {
    value: Option<V>,
    decoder: Option<Decoder>,
}

/// Whether these bytes may be the first of a server, or the beginning of a frame of a stream.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    is_settings(bytes)
        || matches!(bytes, [0, 0..=0x40, _, DATA | HEADERS, flags, 0, 0, high, low, ..]
        if flags & !(END_STREAM | END_HEADERS | PADDED | PRIORITY) == 0 && (*high, *low) != (0, 0))
}

/// Settings that are no answer: what a server sends first.
fn is_settings(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, len @ 6..=60, SETTINGS, 0, 0, 0, 0, 0, 0, 1..=9, ..] if len % 6 == 0)
}

impl<V> Http2<V> {
    /// From the preface of a client on.
    pub(super) fn with_preface(at: u64) -> Self {
        Self { from_start: true, preface: PREFACE.len(), ..Self::new(at) }
    }

    /// From a frame on.
    pub(super) fn from_frame(at: u64, bytes: &[u8]) -> Self {
        Self { from_start: is_settings(bytes), ..Self::new(at) }
    }

    fn new(at: u64) -> Self {
        Self {
            at,
            from_start: false,
            preface: 0,
            header: Vec::new(),
            frame: None,
            frames: 0,
            payload: Vec::new(),
            block: Vec::new(),
            hpack: Hpack::new(),
            streams: BTreeMap::new(),
            is_unknown: false,
            is_reported: false,
            end: at,
        }
    }

    /// The offset after the last byte that was read: a compressed stream that frames cut is whole in the content.
    pub(super) const fn end(&self) -> u64 {
        if self.is_certain() || self.from_start { self.end } else { 0 }
    }

    pub(super) const fn is_certain(&self) -> bool {
        self.frames >= CERTAIN_FRAMES
    }

    /// Takes bytes from the offset `at` on. Returns whether frames may follow.
    pub(super) fn feed<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, mut bytes: &[u8], mut at: u64) -> bool {
        self.end = at.saturating_add(bytes.len() as u64);
        let preface = self.preface.min(bytes.len());
        self.preface = self.preface.saturating_sub(preface);
        bytes = bytes.get(preface..).unwrap_or_default();
        at = at.saturating_add(preface as u64);
        loop {
            if let Some(frame) = self.frame {
                let now = frame.left.min(bytes.len());
                let (payload, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
                (bytes, at) = (rest, at.saturating_add(now as u64));
                self.payload(sink, frame, payload);
                if self.frame.is_some() {
                    return true;
                }
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return true };
            self.header.push(byte);
            (bytes, at) = (rest, at.saturating_add(1));
            if self.header.len() == HEADER {
                let Some(frame) = frame(&self.header, at.saturating_sub(HEADER as u64)) else {
                    self.end = at;
                    return false;
                };
                // A connection begins with settings (RFC 9113, 3.4): programs contain the preface as a string.
                if self.from_start && self.frames == 0 && frame.kind != SETTINGS {
                    self.end = at;
                    return false;
                }
                // The frames of a block follow one another.
                if (frame.kind == CONTINUATION) == self.block.is_empty() && frame.kind == CONTINUATION {
                    return false;
                }
                self.header.clear();
                self.payload.clear();
                self.frames = self.frames.saturating_add(1);
                self.frame = Some(frame);
            }
        }
    }

    /// Takes bytes of a frame's payload, and ends the frame after its last.
    fn payload<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, mut frame: Frame, mut payload: &[u8]) {
        frame.left = frame.left.saturating_sub(payload.len());
        match frame.kind {
            DATA => {
                if frame.padding.is_none()
                    && let Some((&padding, rest)) = payload.split_first()
                {
                    (frame.padding, payload) = (Some(usize::from(padding)), rest);
                }
                let padding = frame.padding.unwrap_or_default().saturating_sub(frame.left);
                let content = payload.get(..payload.len().saturating_sub(padding)).unwrap_or_default();
                self.content(sink, frame, content);
            }
            HEADERS | PUSH_PROMISE | CONTINUATION if self.payload.len() < MAX_BLOCK => {
                self.payload.extend_from_slice(payload);
            }
            _ => {}
        }
        self.frame = (frame.left > 0).then_some(frame);
        if frame.left > 0 {
            return;
        }
        if matches!(frame.kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
            self.fields(sink, frame);
        }
        if frame.kind == DATA && frame.flags & END_STREAM != 0 {
            self.end_stream(sink, frame.stream);
        }
    }

    /// Takes the fragment of a block of header fields; decodes the block if it is the last.
    fn fields<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, frame: Frame) {
        let has = |flag: u8| frame.kind != CONTINUATION && frame.flags & flag != 0;
        let padding = if has(PADDED) { self.payload.first().copied().map_or(0, usize::from) } else { 0 };
        let promised = if frame.kind == PUSH_PROMISE { 4usize } else { 0 };
        let priority = if frame.kind == HEADERS && has(PRIORITY) { 5usize } else { 0 };
        let from = usize::from(has(PADDED)).saturating_add(promised).saturating_add(priority);
        let to = self.payload.len().saturating_sub(padding);
        self.block.extend_from_slice(self.payload.get(from..to).unwrap_or_default());
        if frame.flags & END_HEADERS == 0 {
            if self.block.len() > MAX_BLOCK {
                self.report(sink, "header fields of HTTP/2 that are too long");
                self.block.clear();
            }
            return;
        }
        let block = core::mem::take(&mut self.block);
        let (mut text, mut coding, mut is_foreign) = (Vec::new(), Coding::Plain, false);
        let result = self.hpack.decode(&block, |name, value, is_literal| {
            if is_literal {
                text.extend([name, b": ", value, b"\n"].concat());
            }
            if name == b"content-encoding" {
                coding = Coding::of(value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
            }
            is_foreign |= name == b"grpc-encoding" && !matches!(value, b"gzip" | b"identity" | b"zstd");
        });
        if let Some(mut value) = sink.open(Encoding::Http2, frame.at, self.is_certain()) {
            sink.push(&mut value, &text);
            sink.close(value, self.is_certain());
        }
        match result {
            Block::Known => {}
            Block::Unknown => self.is_unknown = true,
            Block::Invalid => self.report(sink, "header fields of HTTP/2 that cannot be decoded"),
        }
        if is_foreign || coding == Coding::Unknown {
            self.report(sink, "content of HTTP/2 in a coding that is not decoded");
        }
        if frame.flags & END_STREAM != 0 && frame.kind == HEADERS {
            self.end_stream(sink, frame.stream);
        } else if !self.streams.contains_key(&frame.stream) {
            while self.streams.len() >= MAX_STREAMS {
                let Some(oldest) = self.streams.keys().next().copied() else { break };
                self.end_stream(sink, oldest);
            }
            self.streams.insert(frame.stream, Stream { value: None, decoder: coding.decoder() });
        }
    }

    /// Takes content of a stream.
    fn content<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, frame: Frame, content: &[u8]) {
        if content.is_empty() {
            return;
        }
        let is_certain = self.is_certain();
        if !self.streams.contains_key(&frame.stream) && self.streams.len() >= MAX_STREAMS {
            return;
        }
        let plain = || Stream { value: None, decoder: Some(Decoder::Plain) };
        let stream = self.streams.entry(frame.stream).or_insert_with(plain);
        let Some(decoder) = &mut stream.decoder else { return };
        if stream.value.is_none() {
            stream.value = sink.open(Encoding::Http2, frame.at, is_certain);
        }
        let Some(value) = &mut stream.value else { return };
        match decoder.decode(sink, value, content) {
            Inflated::Open => {}
            Inflated::Ended | Inflated::Limited => stream.decoder = None,
            Inflated::Broken => {
                stream.decoder = None;
                self.report(sink, "content of HTTP/2 that cannot be decompressed");
            }
        }
    }

    fn end_stream<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, stream: u32) {
        let Some(Stream { value, decoder }) = self.streams.remove(&stream) else { return };
        if let Some(value) = value {
            sink.close(value, self.is_certain());
        }
        if let Some(decoder) = decoder {
            decoder.end(sink);
        }
    }

    /// Reports what cannot be searched, once.
    fn report<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, what: &str) {
        if (self.is_certain() || self.from_start) && !core::mem::replace(&mut self.is_reported, true) {
            sink.omit(self.at, what);
        }
    }

    /// There are no more bytes.
    pub(super) fn finish<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S) {
        let open: Vec<u32> = self.streams.keys().copied().collect();
        open.into_iter().for_each(|stream| self.end_stream(sink, stream));
        if self.is_unknown {
            self.report(sink, "header fields of HTTP/2 that refer to others before the beginning of the flow");
        }
    }
}

/// The header of a frame, if it is plausible.
fn frame(header: &[u8], at: u64) -> Option<Frame> {
    let &[high, middle, low, kind, flags, first, second, third, fourth] = header else { return None };
    let left = u32::from_be_bytes([0, high, middle, low]) as usize;
    let stream = u32::from_be_bytes([first, second, third, fourth]) & 0x7FFF_FFFF;
    // Settings, pings and farewells are of the connection; content and header fields are of a stream.
    let is_plausible = match kind {
        DATA | HEADERS | 2 | 3 | PUSH_PROMISE | CONTINUATION => stream != 0,
        SETTINGS => stream == 0 && left.is_multiple_of(6),
        6 => stream == 0 && left == 8,
        7 => stream == 0,
        8 => left == 4,
        _ => kind <= LAST_TYPE,
    };
    let padding = if flags & PADDED != 0 { None } else { Some(0) };
    is_plausible.then_some(Frame { kind, flags, stream, left, at, padding })
}
