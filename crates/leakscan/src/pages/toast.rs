// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of PostgreSQL that are stored in chunks: in TOAST tables, those that are too long for a row; in
//! `pg_largeobject`, large objects.
//!
//! A chunk is a row of three columns: the number of the value, the number of the chunk, the bytes. Such a row is
//! recognised wherever it lies, from the fields of its header that are the same in pages and in the log
//! (`HeapTupleHeaderData` in `src/include/access/htup_details.h`; `xl_heap_header` has the last of them):
//!
//! ```text
//! -12  infomask2   three columns, and flags
//! -10  infomask    has columns of variable length; none is null, none is stored elsewhere
//!  -8  hoff        24, and one byte of padding
//!  -6  the number of the value, not 0
//!  -2  the number of the chunk, below 65,536: the prefilter finds its upper half, which is two zero bytes
//!   2  the bytes, after a header of one byte or of four
//! ```
//!
//! # Random matches
//! The header alone has 46 fixed bits. What is put together by chance is searched, as everything is; it cannot be an
//! omission. One is reported only of a value that decodes to more than itself for 128 bytes and then fails, and of one of
//! which a chunk is found after its others had to be given up.

use super::super::blocks::OVERLAP;
use super::super::encoding::Encoding;
use super::super::prefilter::Prefilter;
use super::super::sink::PageSink;
use super::Block;
use super::lz::{self, Decoded, Ending};
use super::varlena;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a row before the upper half of the number of its chunk, from its count of columns on.
const BEFORE: usize = 12;
/// The most bytes of a chunk. A row with them lies whole in a block or in its overlap.
const MAX_CHUNK: usize = OVERLAP - 2 * BEFORE;
/// Bytes of every chunk except a value's last, by the size of a page: `TOAST_MAX_CHUNK_SIZE` and `LOBLKSIZE`.
pub(super) const FULL: [usize; 5] = [1996, 2048, 972, 1024, 4044];
/// Bytes of incomplete values that are kept. The chunks of a value lie close to each other unless its table was full of
/// gaps; what vacuuming left of others is the most of these bytes.
const MAX_BYTES: usize = 1 << 26;
/// Bytes that a chunk takes besides its own.
const CHUNK_COST: usize = 96;
/// Bytes of a block that do not decode to more than themselves by chance.
const PLAUSIBLE: usize = 128;
/// Bytes of the content of one value.
const MAX_CONTENT: usize = 1 << 28;
/// Values that were given up and are remembered.
const MAX_GIVEN_UP: usize = 1 << 16;

struct Value {
    /// The offset of the first of its chunks.
    at: u64,
    chunks: BTreeMap<u32, Vec<u8>>,
    len: usize,
}

/// Values of which chunks were found.
pub(super) struct Toast {
    /// The offset from which on chunks have not been looked for.
    unread: u64,
    values: BTreeMap<u32, Value>,
    /// Bytes of all chunks.
    len: usize,
    given_up: BTreeSet<u32>,
}

/// A chunk: the numbers of its value and its own, and its bytes with their header.
struct Chunk<'a> {
    value: u32,
    number: u32,
    data: &'a [u8],
}

/// The chunk whose number has its upper half at `at`.
fn chunk(bytes: &[u8], at: usize) -> Option<Chunk<'_>> {
    let row = bytes.get(at.checked_sub(BEFORE)?..)?;
    let &[columns, flags, mask, _, 24, 0, a, b, c, d, low, high, 0, 0] = row.first_chunk()? else { return None };
    // HEAP_HASVARWIDTH without HEAP_HASNULL and HEAP_HASEXTERNAL.
    let is_row = columns == 3 && flags & 0x18 == 0 && mask & 7 == 2;
    let value = u32::from_le_bytes([a, b, c, d]);
    let data = row.get(BEFORE.saturating_add(2)..)?;
    (is_row && value != 0).then_some(Chunk { value, number: u32::from(u16::from_le_bytes([low, high])), data })
}

/// The bytes of a value of variable length, if it is neither compressed nor stored elsewhere.
fn plain(data: &[u8]) -> Option<&[u8]> {
    let first = usize::from(*data.first()?);
    if first & 1 == 1 {
        return data.get(1..first >> 1).filter(|bytes| !bytes.is_empty());
    }
    let len = (u32::from_le_bytes(*data.first_chunk()?) >> 2) as usize;
    (first & 3 == 0 && len <= MAX_CHUNK).then(|| data.get(4..len)).flatten().filter(|bytes| !bytes.is_empty())
}

/// Whether the byte at `at` is in a chunk that other chunks may follow or precede.
pub(super) fn joins(bytes: &[u8], at: usize, prefilter: &Prefilter) -> bool {
    let next = prefilter.chunks.partition_point(|&place| (place as usize) <= at);
    // Some zero bytes of the chunk itself may be taken for such places.
    let before = prefilter.chunks.get(..next).unwrap_or_default().iter().rev().map(|&place| place as usize);
    before.take_while(|place| at.saturating_sub(*place) < MAX_CHUNK).any(|place| {
        let Some(Chunk { number, data, .. }) = chunk(bytes, place) else { return false };
        let [first, rest @ ..] = data else { return false };
        let len = match first & 3 {
            0 => rest.first_chunk().map_or(0, |[a, b, _]| (u32::from_le_bytes([*first, *a, *b, 0]) >> 2) as usize),
            2 => 0,
            _ => usize::from(first >> 1),
        };
        let from = place.saturating_add(2);
        (number > 0 || FULL.contains(&len.saturating_sub(4))) && at < from.saturating_add(len)
    })
}

impl Toast {
    pub(super) const fn new() -> Self {
        Self { unread: 0, values: BTreeMap::new(), len: 0, given_up: BTreeSet::new() }
    }

    pub(super) fn examine(&mut self, sink: &mut impl PageSink, block: &Block<'_>) {
        let block_end = block.base.saturating_add(block.bytes.len() as u64);
        // A chunk in the last bytes is looked at in the next block, which begins with them.
        let until = if block.is_last { block_end } else { block_end.saturating_sub((OVERLAP - BEFORE) as u64) };
        for &at in &block.prefilter.chunks {
            let place = block.base.saturating_add(u64::from(at));
            if place < self.unread || place >= until {
                continue;
            }
            let Some(chunk) = chunk(block.bytes, at as usize) else { continue };
            if let Some(bytes) = plain(chunk.data) {
                if chunk.number > 0 || FULL.contains(&bytes.len()) {
                    // The bytes of the number, the header of the value, and its own.
                    sink.joined(place..place.saturating_add(bytes.len().saturating_add(6) as u64));
                }
                self.add(sink, place, &chunk, bytes);
            } else if sink.wants(Encoding::Varlena) {
                // Pages of large objects are compressed one by one.
                let mut bytes = sink.pool().take_buffer();
                if varlena::decode(chunk.data, &mut bytes).is_some() && bytes.len() <= MAX_CHUNK {
                    self.add(sink, place, &chunk, &bytes);
                }
                sink.pool().return_buffer(bytes);
            }
        }
        self.unread = self.unread.max(until);
    }

    fn add(&mut self, sink: &mut impl PageSink, at: u64, chunk: &Chunk<'_>, bytes: &[u8]) {
        if chunk.number > 0 && self.given_up.remove(&chunk.value) {
            sink.omit(at, "a value of PostgreSQL whose chunks lie too far from each other");
        }
        let known = self.values.get(&chunk.value).and_then(|value| value.chunks.get(&chunk.number));
        if known.is_some_and(|known| known == bytes) {
            return;
        }
        if known.is_some() {
            // The number was used again, or is another table's.
            self.take(sink, chunk.value);
        }
        let empty = || Value { at, chunks: BTreeMap::new(), len: 0 };
        let value = self.values.entry(chunk.value).or_insert_with(empty);
        let cost = bytes.len().saturating_add(CHUNK_COST);
        value.len = value.len.saturating_add(cost);
        value.chunks.insert(chunk.number, bytes.to_vec());
        let is_complete = value.is_complete();
        self.len = self.len.saturating_add(cost);
        if is_complete {
            self.take(sink, chunk.value);
        }
        while self.len > MAX_BYTES {
            let longest = self.values.iter().max_by_key(|(_, value)| value.len).map(|(number, _)| *number);
            let Some(longest) = longest else { break };
            self.take(sink, longest);
            if self.given_up.len() < MAX_GIVEN_UP {
                self.given_up.insert(longest);
            }
        }
    }

    /// Searches a value, as far as its chunks are there, and forgets it.
    fn take(&mut self, sink: &mut impl PageSink, number: u32) {
        let Some(value) = self.values.remove(&number) else { return };
        self.len = self.len.saturating_sub(value.len);
        value.search(sink);
    }

    /// The stream has ended: searches the values that are not complete.
    pub(super) fn finish(&mut self, sink: &mut impl PageSink) {
        for (_, value) in core::mem::take(&mut self.values) {
            value.search(sink);
        }
        self.len = 0;
    }
}

impl Value {
    /// Whether all chunks are there: the last is shorter than those before it.
    fn is_complete(&self) -> bool {
        let (Some((_, first)), Some((last, end))) = (self.chunks.first_key_value(), self.chunks.last_key_value())
        else {
            return false;
        };
        let count = self.chunks.len();
        let ends = if count == 1 { !FULL.contains(&first.len()) } else { end.len() < first.len() };
        ends && (*last as usize).saturating_add(1) == count
    }

    fn search(&self, sink: &mut impl PageSink) {
        let mut chunks = self.chunks.iter().peekable();
        while let Some((&first, bytes)) = chunks.next() {
            let mut joined = sink.pool().take_buffer();
            joined.extend_from_slice(bytes);
            let mut next = first.saturating_add(1);
            while let Some((_, bytes)) = chunks.next_if(|(number, _)| **number == next) {
                joined.extend_from_slice(bytes);
                next = next.saturating_add(1);
            }
            let is_decoded = first == 0 && self.decode(sink, &joined);
            // A value of one chunk has been searched where it lies.
            let is_short = first == 0 && next == 1 && !FULL.contains(&bytes.len());
            if !is_decoded && !is_short {
                sink.value(&[Encoding::Toast], self.at, &joined);
            }
            sink.pool().return_buffer(joined);
        }
    }

    /// Searches the content of a compressed value, which begins with the second header of `varlena.rs`. Returns whether
    /// that is what it is.
    fn decode(&self, sink: &mut impl PageSink, joined: &[u8]) -> bool {
        let Some((info, block)) = joined.split_first_chunk::<4>() else { return false };
        let Some((method, raw)) = varlena::content(*info, block.len()) else { return false };
        if !sink.wants(Encoding::Varlena) {
            return false;
        }
        let mut out = sink.pool().take_buffer();
        let decoded = lz::decode(method, block, raw.min(MAX_CONTENT), &mut out);
        let is_whole = decoded == Decoded { read: block.len(), ending: Ending::Complete };
        let is_one = is_whole || decoded.read >= PLAUSIBLE && out.len() > decoded.read;
        if is_one {
            sink.value(&[Encoding::Toast, Encoding::Varlena], self.at, &out);
        }
        if is_one && decoded.ending == Ending::Broken {
            sink.omit(self.at, "a compressed value of PostgreSQL that cannot be decompressed");
        }
        if raw > MAX_CONTENT && decoded.ending == Ending::Complete {
            sink.omit(self.at, "a compressed value of PostgreSQL beyond the limit");
        }
        sink.pool().return_buffer(out);
        is_whole
    }
}
