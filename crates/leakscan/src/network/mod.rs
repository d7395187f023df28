// SPDX-License-Identifier: MIT OR Apache-2.0
//! Protocols that hide in the open: what a connection carries is neither encrypted nor in the evidence as it is.
//!
//! ```text
//! connection.rs  one connection: the header of a message of HTTP/1.1, and what follows it
//! body.rs        bodies of HTTP/1.1 (coding.rs: their codings)
//! http2.rs       the frames of HTTP/2 (hpack.rs: their header fields)
//! websocket.rs   the frames of WebSocket
//! deflate.rs     inflates what protocols deflate without a header of its own
//! ```
//!
//! A connection is recognised by the first line of a message of HTTP/1.1, wherever it lies. Frames of WebSocket are also
//! read without the handshake where they may begin: at the beginning of a file, of a segment of a flow, of decoded text.

mod body;
mod coding;
mod connection;
mod deflate;
mod hpack;
mod hpack_tables;
mod http2;
mod websocket;

use super::sink::ConnectionSink;
use connection::Connection;

/// Connections that are read at once in one layer. Those of a file follow one another.
const MAX_CONNECTIONS: usize = 16;
/// Bytes by which a beginning is recognised: the header of a frame, `P/1.1 200 `, or the preface of HTTP/2.
const BEGINNING: usize = 15;

/// A block of a layer.
pub(crate) struct Block<'a> {
    /// The offset of its first byte.
    pub(crate) base: u64,
    pub(crate) bytes: &'a [u8],
    /// There are no more bytes.
    pub(crate) is_last: bool,
    /// The places at which some format may begin.
    pub(crate) places: &'a [u32],
}

/// The connections of a layer.
pub(crate) struct Connections<V> {
    open: Vec<Connection<V>>,
    /// The offset after the last byte that was read.
    fed: u64,
    /// The offset from which on beginnings have not been looked for.
    unread: u64,
    /// Offsets at which frames may begin.
    marks: Vec<u64>,
    is_begun: bool,
    /// The end of the last header, and whether it was read.
    header_end: u64,
    is_header_read: bool,
    chunks_end: u64,
}

impl<V> Connections<V> {
    pub(crate) const fn new() -> Self {
        Self {
            open: Vec::new(),
            fed: 0,
            unread: 0,
            marks: Vec::new(),
            is_begun: false,
            header_end: 0,
            chunks_end: 0,
            is_header_read: false,
        }
    }

    /// The offset after the last byte of a body in chunks: a stream that they cut is whole in the body.
    pub(crate) const fn chunks_end(&self) -> u64 {
        self.chunks_end
    }

    /// Marks an offset that has not been examined as one at which frames may begin.
    pub(crate) fn mark(&mut self, at: u64) {
        self.marks.push(at);
    }

    /// Feeds a block to the open connections, and opens those that begin in it.
    pub(crate) fn examine<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, block: &Block<'_>) {
        let block_end = block.base.saturating_add(block.bytes.len() as u64);
        if !core::mem::replace(&mut self.is_begun, true) {
            (self.fed, self.unread) = (block.base, block.base);
            self.marks.push(block.base);
        }
        if !self.open.is_empty() {
            let new = block.from(self.fed);
            let from = self.fed.max(block.base);
            self.open.retain_mut(|connection| {
                let more = connection.feed(sink, new, from);
                self.chunks_end = self.chunks_end.max(connection.chunks_end());
                more
            });
        }
        self.fed = block_end;
        let cut = if block.is_last { 0 } else { BEGINNING as u64 };
        let (fresh, until) = (self.unread, block_end.saturating_sub(cut).max(self.unread));
        self.unread = until;
        for &place in block.places {
            let at = block.base.saturating_add(u64::from(place));
            if (fresh..until).contains(&at) && connection::may_begin(block.from(at)) {
                self.begin_message(sink, block, at);
            }
        }
        if self.marks.first().is_some_and(|&at| at < until) {
            let later = self.marks.iter().position(|&at| at >= until).unwrap_or(self.marks.len());
            let marks: Vec<u64> = self.marks.drain(..later).collect();
            for at in marks {
                self.begin_frames(sink, block, at);
            }
        }
        if block.is_last {
            self.open.drain(..).for_each(|connection| connection.finish(sink));
            self.is_begun = false;
            self.marks.clear();
        }
    }

    /// Reads a message of HTTP/1.1, or a connection of HTTP/2, whose first line is at an offset.
    fn begin_message<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, block: &Block<'_>, at: u64) {
        if connection::is_preface(block.from(at)) {
            self.begin(sink, block, at, Connection::http2(at));
        } else if self.is_new_header(block, at) {
            self.begin(sink, block, at, Connection::http());
        }
    }

    /// Reads frames from an offset on, if they may begin there and no other connection has its own.
    pub(crate) fn begin_frames<S: ConnectionSink<Value = V>>(&mut self, sink: &mut S, block: &Block<'_>, at: u64) {
        let is_known = self.open.iter().any(Connection::is_certain);
        if is_known {
            return;
        }
        let bytes = block.from(at);
        if http2::may_begin(bytes) {
            self.begin(sink, block, at, Connection::http2_frames(at, bytes));
        } else if sink.wants_frames() && websocket::may_begin(bytes) {
            self.begin(sink, block, at, Connection::frames(at));
        }
    }

    /// Whether the header that begins at an offset is not the rest of one that was read, nor too long. Otherwise lines
    /// that look like the first of a header would each be read together with all that follow.
    fn is_new_header(&mut self, block: &Block<'_>, at: u64) -> bool {
        if self.header_end <= at {
            let end = block.from(at).windows(4).position(|window| window == b"\r\n\r\n");
            self.header_end = at.saturating_add(end.unwrap_or(block.from(at).len()) as u64).saturating_add(1);
            self.is_header_read = false;
        }
        let is_new = !self.is_header_read && self.header_end.saturating_sub(at) <= connection::MAX_HEADER as u64;
        self.is_header_read |= is_new;
        is_new
    }

    fn begin<S: ConnectionSink<Value = V>>(
        &mut self,
        sink: &mut S,
        block: &Block<'_>,
        at: u64,
        mut connection: Connection<V>,
    ) {
        let more = connection.feed(sink, block.from(at), at);
        self.chunks_end = self.chunks_end.max(connection.chunks_end());
        if !more {
            return;
        }
        if self.open.len() >= MAX_CONNECTIONS {
            // The longest open one is a random match, or one that the evidence does not continue.
            let oldest = self.open.remove(0);
            oldest.finish(sink);
        }
        self.open.push(connection);
    }
}

/// Looks for connections in runs of decoded bytes, between which is one byte each, at `borders`.
pub(crate) fn examine_runs<S: ConnectionSink>(sink: &mut S, bytes: &[u8], borders: &[usize], places: &[u32]) {
    let mut connections = Connections::new();
    let starts = [0].into_iter().chain(borders.iter().map(|border| border.saturating_add(1)));
    let ends = borders.iter().copied().chain([bytes.len()]);
    let mut places = places
        .iter()
        .copied()
        .filter(|&at| connection::may_begin(bytes.get(at as usize..).unwrap_or_default()))
        .peekable();
    for (start, end) in starts.zip(ends) {
        let run = bytes.get(..end).unwrap_or_default();
        let block = Block { base: 0, bytes: run, is_last: true, places: &[] };
        let content = run.get(start..).unwrap_or_default();
        if http2::may_begin(content) || websocket::is_first_of(content) {
            connections.begin_frames(sink, &block, start as u64);
        }
        while let Some(at) = places.next_if(|&at| (at as usize) < end) {
            connections.begin_message(sink, &block, u64::from(at));
        }
        connections.open.drain(..).for_each(|connection| connection.finish(sink));
    }
}

impl Block<'_> {
    /// The bytes from an offset on.
    fn from(&self, at: u64) -> &[u8] {
        let at = usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.bytes.get(at..).unwrap_or_default()
    }
}
