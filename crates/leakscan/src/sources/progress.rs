// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all sources share: bytes that have been read are searched, counted and reported.

use super::super::layers::Layer;
use super::super::scan::Search;
use super::pieces::Pieces;

/// Reports how far a search is.
pub(super) struct Progress<'p> {
    report: &'p mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    /// What was read, if it is to be listed.
    pub(super) pieces: Option<Pieces>,
}

impl<'p> Progress<'p> {
    /// `report` gets the number of bytes that have been searched, and of all that are known, `total` at first.
    pub(super) fn new(report: &'p mut dyn FnMut(u64, u64), total: u64) -> Self {
        Self { report, done: 0, total, pieces: None }
    }

    /// Adds bytes that were not known before to the total.
    pub(super) const fn expect(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
    }

    /// Begins a source whose bytes are the same when it is read again (`stable`), or the memory of a process.
    pub(super) fn begin(&mut self, name: &str, stable: bool) {
        if let Some(pieces) = &mut self.pieces {
            pieces.begin(name, stable);
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.done = self.done.saturating_add(bytes as u64);
        (self.report)(self.done, self.total.max(self.done));
    }
}

/// Searches bytes of a source as they are read.
pub(super) fn examine(search: &mut Search<'_>, progress: &mut Progress<'_>, layer: &mut Layer, bytes: &[u8]) {
    search.statistics.bytes = search.statistics.bytes.saturating_add(bytes.len() as u64);
    search.pass_on(bytes);
    if let Some(pieces) = &mut progress.pieces {
        pieces.add(bytes);
    }
    layer.push(search, bytes);
    progress.advance(bytes.len());
}
