// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all sources share: bytes that have been read are searched, counted and reported.

use super::super::layers::Layer;
use super::super::scan::Search;

/// Reports how far a search is.
pub(super) struct Progress<'p> {
    report: &'p mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
}

impl<'p> Progress<'p> {
    /// `report` gets the number of bytes that have been searched, and of all that are known, `total` at first.
    pub(super) fn new(report: &'p mut dyn FnMut(u64, u64), total: u64) -> Self {
        Self { report, done: 0, total }
    }

    /// Adds bytes that were not known before to the total.
    pub(super) const fn expect(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
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
    layer.push(search, bytes);
    progress.advance(bytes.len());
}
