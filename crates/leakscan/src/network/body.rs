// SPDX-License-Identifier: MIT OR Apache-2.0
//! The body of a message of HTTP/1.1 (RFC 9112, 6) in a coding that is not recognised by its first bytes, or in chunks
//! that are announced in an unusual spelling.

use super::super::containers::formats::chunk_len;
use super::super::encoding::Encoding;
use super::super::sink::ConnectionSink;
use super::coding::{Coding, Decoder};
use super::connection::{fields, tokens};
use super::deflate::Inflated;

/// The longest line that begins a chunk, with its extensions.
const MAX_LINE: usize = 4096;
/// Bytes of a body that is no text: the beginning of the next message, or of a log, after a header without a body.
const TEXT: usize = 16;

/// A body that is read.
pub(super) struct Body<V> {
    at: u64,
    value: Option<V>,
    decoder: Option<Decoder>,
    /// The line before a chunk, if the body is in chunks, and the bytes of the chunk that are still to come.
    line: Option<Vec<u8>>,
    left: u64,
    /// Bytes that were read, with the lines between chunks.
    read: u64,
    /// The first bytes.
    beginning: Vec<u8>,
}

/// How the body after a header is written, if that hides its content.
pub(super) fn hidden(header: &[u8]) -> Option<(Coding, bool)> {
    // A response to which none belongs (RFC 9110, 6.4.1).
    let status = header.get(6..9).unwrap_or_default();
    if header.get(5) == Some(&b' ') && (status.starts_with(b"1") || matches!(status, b"204" | b"304")) {
        return None;
    }
    let values = |wanted: &'static str| {
        let of_field = fields(header).filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        of_field.flat_map(|(_, value)| tokens(value))
    };
    let coding = Coding::of(values("content-encoding").chain(values("transfer-encoding")));
    let is_chunked = values("transfer-encoding").any(|token| token.eq_ignore_ascii_case(b"chunked"));
    // The usual spelling is recognised by its last letters.
    let is_usual = header.windows(6).any(|window| window == b"nked\r\n");
    (coding != Coding::Plain || is_chunked && !is_usual).then_some((coding, is_chunked))
}

impl<V> Body<V> {
    /// A body that begins at an offset.
    pub(super) fn new(coding: Coding, is_chunked: bool, at: u64) -> Self {
        let line = is_chunked.then(|| b"\r\n".to_vec());
        Self { at, value: None, decoder: coding.decoder(), line, left: 0, read: 0, beginning: Vec::new() }
    }

    /// The offset after the last byte of chunks: a stream that they cut is whole in the body.
    pub(super) fn chunks_end(&self) -> u64 {
        if self.line.is_some() { self.at.saturating_add(self.read) } else { 0 }
    }

    /// Takes bytes. Returns whether it takes more.
    pub(super) fn feed<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(line) = self.line.as_mut().filter(|_| self.left == 0) else {
                let most = if self.line.is_some() { self.left } else { u64::MAX };
                let now = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
                let (content, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
                self.left = self.left.saturating_sub(now as u64);
                self.read = self.read.saturating_add(now as u64);
                bytes = rest;
                if !self.content(sink, content) {
                    return false;
                }
                continue;
            };
            let Some((&byte, rest)) = bytes.split_first() else { return true };
            bytes = rest;
            self.read = self.read.saturating_add(1);
            line.push(byte);
            if line.len() > 2 && line.ends_with(b"\r\n") {
                let Some(len) = chunk_len(line) else {
                    self.report_cut(sink);
                    return false;
                };
                self.left = len;
                *line = Vec::new();
            } else if line.len() > MAX_LINE {
                return false;
            }
        }
        true
    }

    fn content<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, content: &[u8]) -> bool {
        let missing = TEXT.saturating_sub(self.beginning.len());
        self.beginning.extend(content.iter().take(missing));
        let Some(decoder) = &mut self.decoder else {
            // Of text, there is nothing to be decoded.
            if self.beginning.len() < TEXT {
                return true;
            }
            if !self.is_text() {
                sink.omit(self.at, "the body of an HTTP message in a coding that is not decoded");
            }
            return false;
        };
        if self.value.is_none() {
            self.value = sink.open(Encoding::HttpBody, self.at, true);
        }
        let Some(value) = &mut self.value else { return false };
        match decoder.decode(sink, value, content) {
            Inflated::Open => true,
            Inflated::Broken if !self.is_text() => {
                sink.omit(self.at, "the body of an HTTP message that cannot be decompressed");
                false
            }
            Inflated::Broken | Inflated::Limited => false,
            Inflated::Ended => {
                self.decoder = None;
                false
            }
        }
    }

    /// Whether it begins like text, or like the end of a string in a program.
    fn is_text(&self) -> bool {
        self.beginning.iter().all(|byte| matches!(byte, 0 | b'\t' | b'\r' | b'\n' | 0x20..=0x7E))
    }

    /// Reports that the content ends before its coding does.
    fn report_cut<S: ConnectionSink<Value = V>>(&self, sink: &mut S) {
        let is_coded = self.decoder.as_ref().is_some_and(|decoder| !matches!(decoder, Decoder::Plain));
        if is_coded && !self.beginning.is_empty() && !self.is_text() {
            sink.omit(self.at, "the body of an HTTP message that ends too early");
        }
    }

    /// There is no more of it.
    pub(super) fn finish<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, is_cut: bool) {
        if let Some(value) = self.value.take() {
            sink.close(value, true);
        }
        if is_cut {
            self.report_cut(sink);
        }
        if let Some(decoder) = self.decoder.take() {
            decoder.end(sink);
        }
    }
}
