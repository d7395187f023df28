// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection: the header of a message of HTTP/1.1 (RFC 9112), and what follows it.

use super::super::sink::ConnectionSink;
use super::body::{self, Body};
use super::http2::{self, Http2};
use super::websocket::WebSocket;

/// Bytes of the header of an HTTP message: servers' usual limit.
pub(super) const MAX_HEADER: usize = 1 << 14;

/// A connection that is read.
pub(super) struct Connection<V> {
    state: State<V>,
}

enum State<V> {
    /// What has been read of the header of a message.
    Header(Vec<u8>),
    Frames(WebSocket<V>),
    Body(Body<V>),
    Http2(Box<Http2<V>>),
}

/// Whether these bytes are the end of the first line of a request, or the beginning of that of a response, from the last
/// letter of `HTTP` on.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    match bytes {
        [b'P', b'/', b'1', b'.', b'0' | b'1', rest @ ..] => {
            rest.starts_with(b"\r\n") || matches!(rest, [b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', ..])
        }
        _ => is_preface(bytes),
    }
}

/// Whether these bytes begin a connection of HTTP/2, from the same letter on.
pub(super) fn is_preface(bytes: &[u8]) -> bool {
    bytes.starts_with(http2::PREFACE)
}

impl<V> Connection<V> {
    /// From a message of HTTP/1.1.
    pub(super) const fn http() -> Self {
        Self { state: State::Header(Vec::new()) }
    }

    /// From the preface of HTTP/2.
    pub(super) fn http2(at: u64) -> Self {
        Self { state: State::Http2(Box::new(Http2::with_preface(at))) }
    }

    /// From a frame of HTTP/2, the first of these bytes.
    pub(super) fn http2_frames(at: u64, bytes: &[u8]) -> Self {
        Self { state: State::Http2(Box::new(Http2::from_frame(at, bytes))) }
    }

    /// From a frame of WebSocket.
    pub(super) fn frames(at: u64) -> Self {
        Self { state: State::Frames(WebSocket::new(at, false)) }
    }

    /// Whether it is no random match.
    pub(super) const fn is_certain(&self) -> bool {
        match &self.state {
            State::Header(_) | State::Body(_) => false,
            State::Frames(frames) => frames.is_certain(),
            State::Http2(frames) => frames.is_certain(),
        }
    }

    /// The offset after the last byte of chunks or frames that were read, which cut their content in pieces.
    pub(super) fn chunks_end(&self) -> u64 {
        match &self.state {
            State::Body(body) => body.chunks_end(),
            State::Http2(frames) => frames.end(),
            State::Header(_) | State::Frames(_) => 0,
        }
    }

    /// Takes bytes from the offset `at` on. Returns whether it takes more; if not, it is finished.
    pub(super) fn feed<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, bytes: &[u8], at: u64) -> bool {
        let more = match &mut self.state {
            State::Frames(frames) => frames.feed(sink, bytes, at),
            State::Body(body) => body.feed(sink, bytes),
            State::Http2(frames) => frames.feed(sink, bytes, at),
            State::Header(header) => {
                let known = header.len();
                header.extend_from_slice(bytes.get(..MAX_HEADER).unwrap_or(bytes));
                let from = known.saturating_sub(3);
                let end = header.get(from..).and_then(|new| new.windows(4).position(|window| window == b"\r\n\r\n"));
                let Some(end) = end else { return header.len() < MAX_HEADER };
                let len = from.saturating_add(end).saturating_add(4);
                let body = len.saturating_sub(known);
                let body_at = at.saturating_add(body as u64);
                let Some(next) = follows(header.get(..len).unwrap_or_default(), body_at) else { return false };
                self.state = next;
                return self.feed(sink, bytes.get(body..).unwrap_or_default(), body_at);
            }
        };
        if !more {
            self.end(sink, false);
        }
        more
    }

    /// There are no more bytes.
    pub(super) fn finish<S: ConnectionSink<Value = V>>(mut self, sink: &mut S) {
        self.end(sink, true);
    }

    fn end<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, is_cut: bool) {
        match &mut self.state {
            State::Header(_) => {}
            State::Frames(frames) => frames.finish(sink),
            State::Body(body) => body.finish(sink, is_cut),
            State::Http2(frames) => frames.finish(sink),
        }
    }
}

/// What follows the header of a message, if it hides its content.
fn follows<V>(header: &[u8], at: u64) -> Option<State<V>> {
    let is_upgrade = fields(header).any(|(name, value)| {
        name.eq_ignore_ascii_case(b"upgrade") && tokens(value).any(|token| token.eq_ignore_ascii_case(b"websocket"))
    });
    if is_upgrade {
        return Some(State::Frames(WebSocket::new(at, true)));
    }
    let (coding, is_chunked) = body::hidden(header)?;
    Some(State::Body(Body::new(coding, is_chunked, at)))
}

/// The fields of a header after its first line: names, and values without the white space around them.
pub(super) fn fields(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|&byte| byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

/// The elements of a list, without parameters.
pub(super) fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let elements = list.split(|&byte| byte == b',');
    let without = |element: &[u8]| element.iter().position(|&byte| byte == b';').unwrap_or(element.len());
    elements.map(move |element| element.get(..without(element)).unwrap_or_default().trim_ascii())
}
