// SPDX-License-Identifier: MIT OR Apache-2.0
//! The write-ahead log of PostgreSQL. Its records continue over its pages, each of which begins with a header
//! (`src/include/access/xlog_internal.h`): what is between the headers is put together.

use super::super::encoding::Encoding;
use super::super::sink::PageSink;

/// Bytes of the header of a page, and of a segment's first page.
const HEADER: usize = 24;
const LONG_HEADER: usize = 40;
/// The flag of a long header, and the bits of all flags.
const IS_LONG: u16 = 2;
const FLAGS: u16 = 15;

pub(super) struct Wal<V> {
    at: u64,
    magic: [u8; 2],
    page: usize,
    /// Bytes of the segment that are still to come.
    left: u64,
    buffer: Vec<u8>,
    value: Option<V>,
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

impl<V> Wal<V> {
    pub(super) fn begins(bytes: &[u8], at: u64) -> Option<Self> {
        let &[version, high, flags, zero] = bytes.first_chunk()?;
        let flags = u16::from_le_bytes([flags, zero]);
        let (segment, page) = (number(bytes, 32)?, number(bytes, 36)?);
        let (low, timeline) = (number(bytes, 8)?, number(bytes, 4)?);
        let is_one = matches!(high, 0xD0 | 0xD1)
            && flags & IS_LONG != 0
            && flags <= FLAGS
            && segment.is_power_of_two()
            && (1 << 20..=1 << 30).contains(&segment)
            && page.is_power_of_two()
            && (1 << 10..=1 << 16).contains(&page)
            && low.checked_rem(segment) == Some(0)
            && timeline > 0;
        let (magic, page, left) = ([version, high], page as usize, u64::from(segment));
        is_one.then(|| Self { at, magic, page, left, buffer: Vec::new(), value: None })
    }

    /// Reads more. Returns false after its end.
    pub(super) fn feed(&mut self, sink: &mut impl PageSink<Value = V>, bytes: &[u8]) -> bool {
        if self.value.is_none() {
            self.value = sink.open(&[Encoding::PgLog], self.at);
            if self.value.is_some() {
                sink.copied(self.at..self.at.saturating_add(self.left));
            }
        }
        let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.left = self.left.saturating_sub(now as u64);
        let mut bytes = bytes.get(..now).unwrap_or_default();
        while !bytes.is_empty() {
            let missing = self.page.saturating_sub(self.buffer.len());
            let (part, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
            bytes = rest;
            self.buffer.extend_from_slice(part);
            if self.buffer.len() >= self.page && !self.page(sink) {
                return false;
            }
        }
        self.left > 0
    }

    /// Passes on the content of a page. A page without a header has not been written.
    fn page(&mut self, sink: &mut impl PageSink<Value = V>) -> bool {
        let flags =
            self.buffer.get(2..).and_then(|flags| flags.first_chunk()).map_or(0, |flags| u16::from_le_bytes(*flags));
        let header = match self.buffer.starts_with(&self.magic) {
            true if flags & IS_LONG != 0 => LONG_HEADER,
            true => HEADER,
            false => self.buffer.len(),
        };
        let content = self.buffer.get(header..).unwrap_or_default();
        let is_within = self.value.as_mut().is_none_or(|value| content.is_empty() || sink.push(value, content));
        self.buffer.clear();
        is_within
    }

    pub(super) fn finish(mut self, sink: &mut impl PageSink<Value = V>) {
        self.page(sink);
        if let Some(value) = self.value {
            sink.close(value);
        }
    }
}
