// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values in the pages of databases: compressed without a frame, or spread over several pages.
//!
//! ```text
//! files.rs     files of databases, by their first bytes
//! undecoded.rs files of databases that compress and are not decoded here
//! redis.rs     compressed strings in snapshots of Redis
//! wal.rs       the log of PostgreSQL without the headers of its pages
//! sqlite/      values of SQLite on overflow pages, put together
//! lz.rs        decoders of blocks without a frame: pglz, LZ4, LZF, Snappy
//! varlena.rs   compressed values of PostgreSQL, at any place
//! toast.rs     values of PostgreSQL in chunks, put together
//! encode.rs    writes values as databases store them, for controls of a search
//! ```

pub(crate) mod encode;
mod files;
mod lz;
mod redis;
mod sqlite;
mod toast;
mod undecoded;
mod varlena;
mod wal;

use super::encoding::Encoding;
use super::prefilter::Prefilter;
use super::sink::PageSink;
use files::Files;
use toast::Toast;
use varlena::Varlenas;

/// A part of a stream of bytes.
pub(crate) struct Block<'a> {
    /// The offset of its first byte.
    pub(crate) base: u64,
    /// It begins with the last bytes of the block before, `blocks::OVERLAP` of them.
    pub(crate) bytes: &'a [u8],
    /// Whether the stream ends with it.
    pub(crate) is_last: bool,
    pub(crate) prefilter: &'a Prefilter,
}

/// The values of databases in a stream of bytes.
pub(crate) struct Pages<V> {
    files: Files<V>,
    varlenas: Varlenas,
    toast: Toast,
}

impl<V> Pages<V> {
    /// Nothing has been read yet.
    pub(crate) const fn new() -> Self {
        Self { files: Files::new(), varlenas: Varlenas::new(), toast: Toast::new() }
    }

    /// Decodes the values that end in a block.
    pub(crate) fn examine(&mut self, sink: &mut impl PageSink<Value = V>, block: &Block<'_>) {
        self.files.examine(sink, block);
        if sink.wants(Encoding::Varlena) {
            self.varlenas.examine(sink, block);
        }
        if sink.wants(Encoding::Toast) {
            self.toast.examine(sink, block);
        }
    }

    /// The stream has ended.
    pub(crate) fn finish(&mut self, sink: &mut impl PageSink<Value = V>) {
        self.files.finish(sink);
        self.toast.finish(sink);
    }
}

/// Whether what begins at `at` is in a part of a value that is put together: what the end of the part breaks there is
/// whole in the value.
pub(crate) fn joins(bytes: &[u8], at: usize, prefilter: &Prefilter) -> bool {
    toast::joins(bytes, at, prefilter)
}
