// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed values of PostgreSQL, as they lie in rows of tables and indexes, in images of pages in the log, and in
//! the memory of its processes: wherever a header is followed by a block that decodes exactly.
//!
//! A value that is compressed within its row is a header of four bytes, low byte first, whose lower two bits are 10 and
//! whose others are the length with the header; the length of the content, whose upper two bits are the method; and the
//! block (`varattrib_4b` in `src/include/varatt.h`).
//!
//! # Random matches
//! A header that is plausible occurs once in 2^32 random places, and its block has to end exactly where the header says
//! with exactly the output that it says. In ordinary files of small integers a header is more frequent, and the block
//! fails within a few bytes. What does not decode is no omission: it would be one in every program.

use super::super::blocks::OVERLAP;
use super::super::encoding::Encoding;
use super::super::sink::PageSink;
use super::Block;
use super::lz::{self, Decoded, Ending, Method};
use super::toast::FULL;

/// Bytes of both headers.
const HEADER: usize = 8;
/// Bytes of a block by which the output of either method may grow for each: 273 of 3 for pglz, 255 for LZ4.
const MAX_RATIO: usize = 256;
/// The fewest bytes that are compressed (`PGLZ_strategy_default`, and the longer literals at the end of LZ4).
const MIN_RAW: usize = 32;
/// The longest value: in rows they are shorter than a page, and only memory has longer ones. A header of ASCII alone says
/// 128 MiB or more: all text would be full of them.
const MAX_LEN: usize = 1 << 26;
/// Values that begin in one block and end in a later one; of those that are no value, few decode for so long.
const MAX_CARRIED: usize = 16;
/// Bytes that are decoded in vain for each byte of a block: crafted evidence could have a header every four bytes,
/// each followed by 16 KiB that decode to the last.
const MAX_EFFORT: usize = 8;

/// The compressed value that these bytes begin with: its length, and the decoder's arguments.
#[derive(Clone, Copy)]
struct Header {
    len: usize,
    raw: usize,
    method: Method,
}

/// The method and the length of the content from the second header, for a value of `len` bytes in all.
pub(super) fn content(info: [u8; 4], len: usize) -> Option<(Method, usize)> {
    let info = u32::from_le_bytes(info);
    let method = match info >> 30 {
        0 => Method::Pglz,
        1 => Method::Lz4,
        _ => return None,
    };
    let raw = (info & 0x3FFF_FFFF) as usize;
    (raw >= MIN_RAW && raw > len && raw / MAX_RATIO <= len).then_some((method, raw))
}

fn header(bytes: &[u8]) -> Option<Header> {
    let (header, rest) = bytes.split_first_chunk::<4>()?;
    let header = u32::from_le_bytes(*header);
    let len = (header >> 2) as usize;
    if header & 3 != 2 || !(HEADER + 1..=MAX_LEN).contains(&len) {
        return None;
    }
    let (method, raw) = content(*rest.first_chunk()?, len)?;
    Some(Header { len, raw, method })
}

/// The content of a compressed value, `None` if it is none. For values that are stored as a whole.
pub(super) fn decode(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let Header { len, raw, method } = header(value)?;
    let block = value.get(HEADER..len)?;
    out.clear();
    let decoded = lz::decode(method, block, raw, out);
    (decoded == Decoded { read: block.len(), ending: Ending::Complete }).then_some(())
}

pub(super) struct Varlenas {
    /// The offset from which on headers have not been looked for.
    unread: u64,
    /// The offset and the bytes of values that the last block has the beginning of.
    carried: Vec<(u64, Vec<u8>, Header)>,
    /// The offset after the last value that was decoded.
    end: u64,
}

impl Varlenas {
    pub(super) const fn new() -> Self {
        Self { unread: 0, carried: Vec::new(), end: 0 }
    }

    pub(super) fn examine(&mut self, sink: &mut impl PageSink, block: &Block<'_>) {
        if !self.carried.is_empty() {
            self.continue_carried(sink, block);
        }
        let block_end = block.base.saturating_add(block.bytes.len() as u64);
        // A header in the last bytes is looked at in the next block, which begins with them.
        let until = if block.is_last { block_end } else { block_end.saturating_sub(OVERLAP as u64) };
        let mut effort = block.bytes.len().saturating_mul(MAX_EFFORT);
        let mut out = sink.pool().take_buffer();
        for &at in &block.prefilter.varlenas {
            let start = block.base.saturating_add(u64::from(at));
            if start < self.unread || start >= until || start < self.end {
                continue;
            }
            let rest = block.bytes.get(at as usize..).unwrap_or_default();
            let Some(found) = header(rest) else { continue };
            let is_whole = rest.len() >= found.len;
            // The rest of it is nowhere.
            if block.is_last && !is_whole {
                continue;
            }
            let input = rest.get(HEADER..found.len.min(rest.len())).unwrap_or_default();
            out.clear();
            let decoded = lz::decode(found.method, input, found.raw, &mut out);
            if is_whole && decoded == (Decoded { read: input.len(), ending: Ending::Complete }) {
                // Pages of large objects are compressed one by one.
                if FULL.contains(&out.len()) {
                    sink.part(&[Encoding::Varlena], start, &out);
                } else {
                    sink.value(&[Encoding::Varlena], start, &out);
                }
                self.end = start.saturating_add(found.len as u64);
            } else if !is_whole && decoded.ending == Ending::Cut {
                if self.carried.len() < MAX_CARRIED {
                    self.carried.push((start, rest.to_vec(), found));
                }
            } else {
                effort = effort.saturating_sub(decoded.read);
                if effort == 0 {
                    sink.omit(start, "more beginnings of compressed values of PostgreSQL than are decoded");
                    break;
                }
            }
        }
        sink.pool().return_buffer(out);
        self.unread = self.unread.max(until);
    }

    fn continue_carried(&mut self, sink: &mut impl PageSink, block: &Block<'_>) {
        for (start, mut bytes, header) in core::mem::take(&mut self.carried) {
            let seen = start.saturating_add(bytes.len() as u64).saturating_sub(block.base);
            let new = block.bytes.get(usize::try_from(seen).unwrap_or(usize::MAX)..).unwrap_or_default();
            let missing = header.len.saturating_sub(bytes.len());
            bytes.extend_from_slice(new.get(..missing).unwrap_or(new));
            let mut out = sink.pool().take_buffer();
            if decode(&bytes, &mut out).is_some() {
                sink.value(&[Encoding::Varlena], start, &out);
                self.end = self.end.max(start.saturating_add(header.len as u64));
            } else if bytes.len() < header.len && !block.is_last {
                self.carried.push((start, bytes, header));
            }
            sink.pool().return_buffer(out);
        }
    }
}
