// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of SQLite: databases, write-ahead logs, rollback journals (`fileformat2.html`). Values that continue on
//! overflow pages are put together.
//!
//! ```text
//! btree.rs    the cells of a page that continue on other pages
//! chains.rs   keeps cells and overflow pages until they can be put together
//! fulltext.rs recognises full-text indexes without their texts
//! ```
//!
//! All that is read has been searched where it lies. A page that is damaged, or none, breaks the values on it and is no
//! omission: what it holds has been searched as far as it is whole.

mod btree;
mod chains;
mod fulltext;

use super::super::sink::PageSink;
use chains::Chains;

const DATABASE: &[u8; 16] = b"SQLite format 3\0";
const JOURNAL: [u8; 8] = [0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7];
/// The version of the format, in the header of a write-ahead log.
const LOG_VERSION: u32 = 3_007_000;
/// Bytes of the header of a write-ahead log, and of each of its frames.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Bytes around each page of a journal: its number, a checksum.
const RECORD_OVERHEAD: usize = 8;

/// The bytes of a journal's header that are fields or zeros, at least: by those it is recognised.
const JOURNAL_ZEROS: usize = 128;

/// Times that a log may have begun anew over frames that were longer than all that came later.
const MAX_GENERATIONS: u32 = 1 << 10;

/// What comes next in a file.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// A page of a database, of which there are so many.
    Page {
        number: u32,
        count: u32,
    },
    LogHeader,
    Frame,
    /// The header of a part of a journal, up to the end of its sector.
    JournalHeader,
    /// A page in a journal, of which so many are left in this part.
    Record {
        left: u32,
    },
    /// Bytes up to the next sector.
    Padding(usize),
}

pub(super) struct Sqlite {
    next: Next,
    page: usize,
    sector: usize,
    /// The first salt of a write-ahead log.
    salt: u32,
    /// What has been read of the next part.
    buffer: Vec<u8>,
    /// The offset of the next part in the stream, and in the file.
    at: u64,
    read: u64,
    chains: Chains,
    /// A full-text index has been reported.
    is_reported: bool,
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A size of pages or sectors, if it is one.
fn size(size: u32, min: u32) -> Option<usize> {
    (size.is_power_of_two() && (min..=1 << 16).contains(&size)).then_some(size as usize)
}

/// The sizes of the pages of a database and of the part of each that is used, from its header.
fn page_sizes(header: &[u8]) -> Option<(usize, usize)> {
    let &[high, low, write @ 1..=2, read @ 1..=2, reserved, 64, 32, 32] = header.get(16..)?.first_chunk()? else {
        return None;
    };
    _ = (write, read);
    let page = match u16::from_be_bytes([high, low]) {
        1 => 1 << 16,
        page => size(u32::from(page), 512)?,
    };
    let used = page.checked_sub(usize::from(reserved)).filter(|used| *used >= 480)?;
    (header.starts_with(DATABASE)).then_some((page, used))
}

/// The sizes of sectors and pages, from the header of a part of a journal. Its magic bytes and its count are zeros until
/// the part is complete; the header then has at least a number drawn at random, and zeros up to its sector's end.
fn journal_sizes(header: &[u8]) -> Option<(usize, usize)> {
    let sizes = (size(number(header, 20)?, 32)?, size(number(header, 24)?, 512)?);
    let is_unfinished = header.starts_with(&[0; 12])
        && number(header, 12)? != 0
        && header.get(28..JOURNAL_ZEROS)?.iter().all(|&byte| byte == 0);
    (is_unfinished || header.starts_with(&JOURNAL)).then_some(sizes)
}

impl Sqlite {
    /// The file that these bytes begin with.
    pub(super) fn begins(bytes: &[u8], at: u64) -> Option<Self> {
        let (next, page, used, sector) = if bytes.starts_with(DATABASE) {
            let (page, used) = page_sizes(bytes)?;
            // The count is valid if it was written with the last change.
            let is_valid = number(bytes, 24)? == number(bytes, 92)?;
            let count = number(bytes, 28).filter(|count| is_valid && *count > 0);
            (Next::Page { number: 1, count: count.unwrap_or(u32::MAX) }, page, used, 0)
        } else if let Some((sector, page)) = journal_sizes(bytes) {
            (Next::JournalHeader, page, page, sector)
        } else {
            let is_log = matches!(number(bytes, 0)?, 0x377F_0682 | 0x377F_0683) && number(bytes, 4)? == LOG_VERSION;
            let page = size(number(bytes, 8)?, 512).filter(|_| is_log)?;
            (Next::LogHeader, page, page, 0)
        };
        Some(Self {
            next,
            page,
            sector,
            salt: 0,
            buffer: Vec::new(),
            at,
            read: 0,
            chains: Chains::new(used),
            is_reported: false,
        })
    }

    /// Whether what comes next may look like the beginning of a file: the next part of a journal does, and the first
    /// page of a database in a log may.
    pub(super) const fn claims_head(&self) -> bool {
        matches!(self.next, Next::JournalHeader | Next::Frame)
    }

    /// Reads more. Returns false after its end.
    pub(super) fn feed(&mut self, sink: &mut impl PageSink, mut bytes: &[u8]) -> bool {
        loop {
            let len = match self.next {
                Next::Page { .. } => self.page,
                Next::LogHeader => LOG_HEADER,
                Next::Frame => self.page.saturating_add(FRAME_HEADER),
                Next::JournalHeader => self.sector,
                Next::Record { .. } => self.page.saturating_add(RECORD_OVERHEAD),
                Next::Padding(len) => len,
            };
            let is_alive = if self.buffer.is_empty() && bytes.len() >= len {
                let (part, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
                bytes = rest;
                self.part(sink, part)
            } else {
                let missing = len.saturating_sub(self.buffer.len());
                let (part, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
                self.buffer.extend_from_slice(part);
                if self.buffer.len() < len {
                    return true;
                }
                bytes = rest;
                let buffer = core::mem::take(&mut self.buffer);
                let is_alive = self.part(sink, &buffer);
                self.buffer = buffer;
                self.buffer.clear();
                is_alive
            };
            if !is_alive {
                return false;
            }
            (self.at, self.read) = (self.at.saturating_add(len as u64), self.read.saturating_add(len as u64));
        }
    }

    /// Reads the next part. Returns false if the file ends with it.
    fn part(&mut self, sink: &mut impl PageSink, part: &[u8]) -> bool {
        match self.next {
            Next::Page { number, count } => {
                self.page(sink, number, self.at, part);
                self.next = Next::Page { number: number.saturating_add(1), count };
                number < count
            }
            Next::LogHeader => {
                self.salt = number(part, 16).unwrap_or_default();
                self.next = Next::Frame;
                true
            }
            Next::Frame => {
                let (Some(page), Some(commits)) = (number(part, 0), number(part, 4)) else { return false };
                let content = part.get(FRAME_HEADER..).unwrap_or_default();
                // The first salt is one higher whenever the log begins anew over the frames of before.
                let distance = number(part, 8).unwrap_or_default().wrapping_sub(self.salt) as i32;
                if page == 0 || distance.unsigned_abs() > MAX_GENERATIONS {
                    return false;
                }
                if let Some((_, used)) = page_sizes(content).filter(|(page, _)| *page == self.page) {
                    self.chains.used = used;
                }
                self.page(sink, page, self.at.saturating_add(FRAME_HEADER as u64), content);
                if commits > 0 {
                    self.chains.commit(sink);
                }
                true
            }
            Next::JournalHeader => {
                let is_header = journal_sizes(part) == Some((self.sector, self.page));
                let Some(count) = number(part, 8).filter(|_| is_header) else { return false };
                // The number is written when the part is complete.
                self.next = Next::Record { left: if count == 0 { u32::MAX } else { count } };
                true
            }
            Next::Record { left } => {
                let Some(page) = number(part, 0).filter(|page| *page > 0) else { return false };
                let content = part.get(4..part.len().saturating_sub(4)).unwrap_or_default();
                self.page(sink, page, self.at.saturating_add(4), content);
                let end = self.read.saturating_add(part.len() as u64);
                let padding =
                    end.checked_next_multiple_of(self.sector as u64).map_or(0, |next| next.saturating_sub(end));
                self.next = match left.saturating_sub(1) {
                    0 if padding > 0 => Next::Padding(usize::try_from(padding).unwrap_or_default()),
                    0 => Next::JournalHeader,
                    left => Next::Record { left },
                };
                true
            }
            Next::Padding(_) => {
                self.next = Next::JournalHeader;
                true
            }
        }
    }

    /// Reads a page that begins at an offset.
    fn page(&mut self, sink: &mut impl PageSink, number: u32, at: u64, page: &[u8]) {
        if !self.is_reported && fulltext::is_declared(page) {
            self.is_reported = true;
            sink.omit(at, "a full-text index of SQLite without its texts, whose words are not put together");
        }
        self.chains.page(sink, number, at, page);
    }

    /// The file has ended.
    pub(super) fn finish(mut self, sink: &mut impl PageSink) {
        let is_database = matches!(self.next, Next::Page { .. });
        self.chains.finish(sink, is_database);
    }
}
