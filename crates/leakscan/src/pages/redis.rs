// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots of Redis (`dump.rdb`): strings that are compressed by LZF (`rdbSaveLzfStringObject` in `rdb.c`).
//!
//! A compressed string is the byte 0xC3, the length of the block, the length of its content, and the block. Everything
//! else in a snapshot lies there as it is, except integers. Strings are looked for at every byte, whatever the types of
//! the values around them: a block that does not decode to exactly its length is none.

use super::super::encoding::Encoding;
use super::super::sink::PageSink;
use super::lz::{self, Decoded, Ending, Method};

const COMPRESSED: u8 = 0xC3;
/// The most bytes of a string that are not compressed, whatever they are.
const SHORT: usize = 20;
/// Bytes of a block that are kept until all of it has been read, and of its content.
const MAX_BLOCK: usize = 1 << 26;
const MAX_CONTENT: usize = 1 << 28;
/// Bytes that are decoded in vain for each byte that is read; a crafted file could have a block at each of its bytes.
const MAX_EFFORT: usize = 16;

pub(super) struct Redis {
    /// The offset of the first byte in `buffer`.
    at: u64,
    buffer: Vec<u8>,
    /// Bytes that the buffer must have before it is looked at again.
    needed: usize,
    effort: usize,
}

/// A length, and the number of its bytes.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.first()?;
    match first >> 6 {
        0 => Some((usize::from(first), 1)),
        1 => Some((usize::from(first & 0x3F) << 8 | usize::from(*bytes.get(1)?), 2)),
        _ if first == 0x80 => Some((u32::from_be_bytes(*bytes.get(1..)?.first_chunk()?) as usize, 5)),
        _ => None,
    }
}

impl Redis {
    pub(super) fn begins(bytes: &[u8], at: u64) -> Option<Self> {
        let version = bytes.strip_prefix(b"REDIS")?.first_chunk::<4>()?;
        let is_one = version.iter().all(u8::is_ascii_digit);
        is_one.then(|| Self { at, buffer: Vec::new(), needed: 0, effort: 0 })
    }

    /// Reads more. Returns false after its end.
    pub(super) fn feed(&mut self, sink: &mut impl PageSink, bytes: &[u8]) -> bool {
        self.buffer.extend_from_slice(bytes);
        self.effort = self.effort.saturating_add(bytes.len().saturating_mul(MAX_EFFORT));
        self.buffer.len() < self.needed || self.decode(sink, false)
    }

    pub(super) fn finish(mut self, sink: &mut impl PageSink) {
        self.decode(sink, true);
    }

    fn decode(&mut self, sink: &mut impl PageSink, is_last: bool) -> bool {
        let mut from = 0usize;
        self.needed = 0;
        while let Some(rest) = self.buffer.get(from..) {
            let Some(next) = rest.iter().position(|&byte| byte == COMPRESSED) else {
                from = self.buffer.len();
                break;
            };
            let rest = rest.get(next..).unwrap_or_default();
            from = from.saturating_add(next);
            // Both lengths have at most ten bytes.
            if rest.len() < 11 && !is_last {
                break;
            }
            let header = || {
                let (block, first) = length(rest.get(1..)?)?;
                let (content, second) = length(rest.get(first.saturating_add(1)..)?)?;
                let is_one = content > SHORT && block < content && content <= MAX_CONTENT && block <= MAX_BLOCK;
                is_one.then_some((block, content, first.saturating_add(second).saturating_add(1)))
            };
            let Some((block, content, header)) = header() else {
                from = from.saturating_add(1);
                continue;
            };
            let input = rest.get(header..).unwrap_or_default();
            let input = input.get(..block).unwrap_or(input);
            let mut out = sink.pool().take_buffer();
            let decoded = lz::decode(Method::Lzf, input, content, &mut out);
            let at = self.at.saturating_add(from as u64);
            let mut step = 1;
            if decoded == (Decoded { read: block, ending: Ending::Complete }) {
                sink.value(&[Encoding::Lzf], at, &out);
                step = header.saturating_add(block);
            } else if decoded.ending == Ending::Cut && input.len() < block && !is_last {
                self.needed = header.saturating_add(block);
                sink.pool().return_buffer(out);
                break;
            } else {
                self.effort = self.effort.saturating_sub(decoded.read);
            }
            sink.pool().return_buffer(out);
            from = from.saturating_add(step);
            if self.effort == 0 {
                sink.omit(at, "more beginnings of compressed strings of Redis than are decoded");
                return false;
            }
        }
        self.buffer.drain(..from.min(self.buffer.len()));
        self.at = self.at.saturating_add(from as u64);
        true
    }
}
