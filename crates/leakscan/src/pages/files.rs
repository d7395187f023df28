// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of databases: recognised by their first bytes, at each multiple of 512 bytes of a source, where a file begins
//! on its own, within an archive of tar, and in an image of a disk.

use super::super::encoding::Encoding;
use super::super::sink::PageSink;
use super::Block;
use super::redis::Redis;
use super::sqlite::Sqlite;
use super::undecoded;
use super::wal::Wal;

/// The distance of the places at which a file may begin: a block of tar, a sector of a disk.
const SECTOR: u64 = 512;
/// Bytes by which files are recognised.
const HEAD: u64 = 128;
/// Files that are read at once. A file ends where it says; one that is overwritten by another may not.
const MAX_OPEN: usize = 4;

/// A file, and the offset up to which it has been read.
struct Open<V> {
    fed: u64,
    file: File<V>,
}

enum File<V> {
    Sqlite(Box<Sqlite>),
    Redis(Redis),
    Wal(Wal<V>),
}

/// The files in a stream of bytes.
pub(super) struct Files<V> {
    /// The offset from which on files have not been looked for.
    unread: u64,
    open: Vec<Open<V>>,
}

impl<V> File<V> {
    /// The file that these bytes begin with, at an offset.
    fn begins(sink: &impl PageSink, bytes: &[u8], at: u64) -> Option<Self> {
        match bytes.first()? {
            b'S' | 0x37 | 0xD9 | 0 if sink.wants(Encoding::SqliteOverflow) => {
                Some(Self::Sqlite(Box::new(Sqlite::begins(bytes, at)?)))
            }
            b'R' if sink.wants(Encoding::Lzf) => Redis::begins(bytes, at).map(Self::Redis),
            _ if matches!(bytes.get(1), Some(0xD0 | 0xD1)) && sink.wants(Encoding::PgLog) => {
                Wal::begins(bytes, at).map(Self::Wal)
            }
            _ => None,
        }
    }

    /// Reads more. Returns false after its end.
    fn feed(&mut self, sink: &mut impl PageSink<Value = V>, bytes: &[u8]) -> bool {
        match self {
            Self::Sqlite(file) => file.feed(sink, bytes),
            Self::Redis(file) => file.feed(sink, bytes),
            Self::Wal(file) => file.feed(sink, bytes),
        }
    }

    /// Whether what comes next may look like the beginning of a file.
    fn claims_head(&self) -> bool {
        match self {
            Self::Sqlite(file) => file.claims_head(),
            Self::Redis(_) | Self::Wal(_) => false,
        }
    }

    fn finish(self, sink: &mut impl PageSink<Value = V>) {
        match self {
            Self::Sqlite(file) => file.finish(sink),
            Self::Redis(file) => file.finish(sink),
            Self::Wal(file) => file.finish(sink),
        }
    }
}

impl<V> Files<V> {
    pub(super) const fn new() -> Self {
        Self { unread: 0, open: Vec::new() }
    }

    /// Reads the files in a block.
    pub(super) fn examine(&mut self, sink: &mut impl PageSink<Value = V>, block: &Block<'_>) {
        let block_end = block.base.saturating_add(block.bytes.len() as u64);
        let until = if block.is_last { block_end } else { block_end.saturating_sub(HEAD) };
        let mut at = self.unread.max(block.base).checked_next_multiple_of(SECTOR).unwrap_or(u64::MAX);
        while at < until {
            let bytes = rest(block, at);
            if let Some(file) = File::begins(sink, bytes, at) {
                self.feed(sink, block, at);
                if !self.open.iter().any(|open| open.file.claims_head()) {
                    if self.open.len() >= MAX_OPEN {
                        self.open.remove(0).file.finish(sink);
                    }
                    self.open.push(Open { fed: at, file });
                }
            }
            if let Some(name) = undecoded::name(bytes) {
                sink.omit(at, &format!("no decoder for {name}"));
            }
            at = at.saturating_add(SECTOR);
        }
        self.unread = self.unread.max(until);
        if let Some(name) = undecoded::name_of_end(block.bytes).filter(|_| block.is_last) {
            sink.omit(block_end, &format!("no decoder for {name}"));
        }
        self.feed(sink, block, block_end);
    }

    /// Reads the open files up to an offset, and ends those that end before it.
    fn feed(&mut self, sink: &mut impl PageSink<Value = V>, block: &Block<'_>, until: u64) {
        for mut one in core::mem::take(&mut self.open) {
            let bytes = rest(block, one.fed);
            let len = usize::try_from(until.saturating_sub(one.fed)).unwrap_or(usize::MAX);
            one.fed = until;
            if one.file.feed(sink, bytes.get(..len).unwrap_or(bytes)) {
                self.open.push(one);
            } else {
                one.file.finish(sink);
            }
        }
    }

    /// The stream has ended.
    pub(super) fn finish(&mut self, sink: &mut impl PageSink<Value = V>) {
        core::mem::take(&mut self.open).into_iter().for_each(|open| open.file.finish(sink));
    }
}

/// The bytes of a block from an offset on.
fn rest<'a>(block: &Block<'a>, at: u64) -> &'a [u8] {
    let from = usize::try_from(at.saturating_sub(block.base)).unwrap_or(usize::MAX);
    block.bytes.get(from..).unwrap_or_default()
}
