// SPDX-License-Identifier: MIT OR Apache-2.0
//! LZ4 frames (frame format 1.6.4), and the legacy format of kernels and early archives: headers and checksums are read
//! here, blocks are decompressed by `lz4_flex`.

use super::checksums::Xxh32;
use super::unpack::{Output, Progress, Unpack};
use lz4_flex::block::{decompress_into, decompress_into_with_dict};

/// Bytes of the longest header of a frame: magic, flags, content size, dictionary, checksum.
const MAX_HEADER: usize = 19;
/// Bytes before a block that it may refer to.
const WINDOW: usize = 1 << 16;
/// Bytes that a block of the legacy format decompresses to at most.
const LEGACY_BLOCK: usize = 1 << 23;
/// Bytes of such a block: a byte in 255 more, if nothing in it can be compressed.
const LEGACY_BOUND: usize = LEGACY_BLOCK + LEGACY_BLOCK / 255 + 16;
/// The magic numbers of frames that may follow a stream of the legacy format, which has no end.
const MAGICS: [u32; 2] = [0x184D_2204, 0x184C_2102];

/// The header of a frame.
struct Header {
    len: usize,
    /// Whether blocks refer to those before them.
    is_linked: bool,
    has_block_sums: bool,
    has_sum: bool,
    has_dictionary: bool,
    block: usize,
}

/// The header of a frame; `None` if it is incomplete or none.
fn header(bytes: &[u8]) -> Option<Header> {
    let (&flags, &size) = (bytes.get(4)?, bytes.get(5)?);
    let len =
        6usize.saturating_add(if flags & 8 != 0 { 8 } else { 0 }).saturating_add(if flags & 1 != 0 { 4 } else { 0 });
    let sum = Xxh32::of(bytes.get(4..len)?) >> 8 & 0xFF;
    (u32::from(*bytes.get(len)?) == sum).then(|| Header {
        len: len.saturating_add(1),
        is_linked: flags & 0x20 == 0,
        has_block_sums: flags & 0x10 != 0,
        has_sum: flags & 4 != 0,
        has_dictionary: flags & 1 != 0,
        block: 1 << (u32::from(size >> 4 & 7) << 1).saturating_add(8),
    })
}

/// Whether these bytes begin a frame: version 1, no reserved bit set, a block size of 64 KiB to 4 MiB, and the checksum
/// of the header. A beginning that is cut may be one.
pub(super) fn is_frame(bytes: &[u8]) -> bool {
    let is_usual = |flags: u8, size: u8| flags & 0xC2 == 0x40 && size & 0x8F == 0 && size >= 0x40;
    match bytes.get(4..6) {
        Some(&[flags, size]) => is_usual(flags, size) && (bytes.len() < MAX_HEADER || header(bytes).is_some()),
        _ => false,
    }
}

/// Whether these bytes begin a stream of the legacy format: its first block has a possible length, and begins with
/// literals.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    let len = bytes.get(4..).and_then(|rest| rest.first_chunk()).map(|len| u32::from_le_bytes(*len) as usize);
    len.is_some_and(|len| (2..=LEGACY_BOUND).contains(&len)) && bytes.get(8).is_some_and(|token| token >> 4 != 0)
}

enum State {
    Header,
    Block,
    /// After the last block: the checksum.
    Sum,
}

/// The decoder of a frame, or of a stream of the legacy format.
pub(super) struct Lz4 {
    state: State,
    header: Header,
    is_legacy: bool,
    /// What has been read of the next header, block or checksum.
    pending: Vec<u8>,
    /// The last bytes of the output, to which the next block may refer.
    window: Vec<u8>,
    out: Vec<u8>,
    sum: Xxh32,
    written: u64,
}

impl Lz4 {
    pub(super) const fn frame() -> Self {
        Self::new(false)
    }

    pub(super) const fn legacy() -> Self {
        Self::new(true)
    }

    const fn new(is_legacy: bool) -> Self {
        let header = Header {
            len: 4,
            is_linked: false,
            has_block_sums: false,
            has_sum: false,
            has_dictionary: false,
            block: LEGACY_BLOCK,
        };
        Self {
            state: State::Header,
            header,
            is_legacy,
            pending: Vec::new(),
            window: Vec::new(),
            out: Vec::new(),
            sum: Xxh32::new(),
            written: 0,
        }
    }

    /// Decodes the next part of what is pending from `from` on: its length, and how far the frame is. `None` if it is
    /// incomplete.
    fn step(&mut self, from: usize, last: bool, output: Output<'_>) -> Option<(usize, Progress)> {
        let bytes = self.pending.get(from..)?;
        match self.state {
            State::Header => {
                if !self.is_legacy {
                    match header(bytes) {
                        Some(header) => self.header = header,
                        None => return (last || bytes.len() >= MAX_HEADER).then_some((0, Progress::Broken)),
                    }
                }
                // What a dictionary holds is not in the frame.
                self.state = State::Block;
                let is_readable = !self.header.has_dictionary;
                Some((self.header.len, if is_readable { Progress::More } else { Progress::Broken }))
            }
            State::Block => {
                let word = u32::from_le_bytes(*bytes.first_chunk()?);
                if self.is_legacy && self.is_end_of_legacy(word) {
                    return Some((0, Progress::End(0)));
                }
                if word == 0 {
                    self.state = State::Sum;
                    return Some((4, Progress::More));
                }
                // The top bit marks a block that is stored.
                let is_stored = !self.is_legacy && word >> 31 == 1;
                let len = (word & if self.is_legacy { u32::MAX } else { u32::MAX >> 1 }) as usize;
                if len > if self.is_legacy { LEGACY_BOUND } else { self.header.block } {
                    return Some((0, Progress::Broken));
                }
                let block = bytes.get(4..)?.get(..len)?;
                let end = len.saturating_add(4);
                let (sum, end) = match self.header.has_block_sums {
                    true => (Some(bytes.get(end..)?.first_chunk()?), end.saturating_add(4)),
                    false => (None, end),
                };
                if sum.is_some_and(|sum| u32::from_le_bytes(*sum) != Xxh32::of(block)) {
                    return Some((0, Progress::Broken));
                }
                self.out.resize(self.header.block, 0);
                let written = if is_stored {
                    self.out.get_mut(..len)?.copy_from_slice(block);
                    Some(len)
                } else if self.header.is_linked {
                    decompress_into_with_dict(block, &mut self.out, &self.window).ok()
                } else {
                    decompress_into(block, &mut self.out).ok()
                };
                let Some(content) = written.and_then(|written| self.out.get(..written)) else {
                    return Some((0, Progress::Broken));
                };
                self.written = self.written.saturating_add(content.len() as u64);
                if self.header.has_sum {
                    self.sum.update(content);
                }
                if self.header.is_linked {
                    self.window.extend_from_slice(content);
                    let old = self.window.len().saturating_sub(WINDOW);
                    self.window.drain(..old);
                }
                Some((end, if output(content) { Progress::More } else { Progress::Stopped }))
            }
            State::Sum if self.header.has_sum => {
                let is_whole = u32::from_le_bytes(*bytes.first_chunk()?) == self.sum.sum();
                Some((4, if is_whole { Progress::End(0) } else { Progress::Broken }))
            }
            State::Sum => Some((0, Progress::End(0))),
        }
    }

    /// Whether a stream of the legacy format, which has no end of its own, ends before this word: zeros, another stream,
    /// or the length of its content, as in images of kernels.
    fn is_end_of_legacy(&self, word: u32) -> bool {
        word == 0 || MAGICS.contains(&word) || (self.written > 0 && u64::from(word) == self.written & 0xFFFF_FFFF)
    }
}

impl Unpack for Lz4 {
    fn feed(&mut self, bytes: &[u8], last: bool, _buffer: &mut [u8], output: Output<'_>) -> Progress {
        self.pending.extend_from_slice(bytes);
        let mut from = 0usize;
        while let Some((len, progress)) = self.step(from, last, &mut *output) {
            from = from.saturating_add(len);
            match progress {
                Progress::More => {}
                Progress::End(_) => return Progress::End(self.pending.len().saturating_sub(from)),
                progress => return progress,
            }
        }
        self.pending.drain(..from);
        let is_end = last && self.is_legacy && self.pending.is_empty() && self.written > 0;
        if is_end { Progress::End(0) } else { Progress::More }
    }
}
