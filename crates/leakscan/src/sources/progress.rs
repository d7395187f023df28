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
    /// The source that is being read, and how many of its bytes have been. Once the search has stopped, the first that
    /// was not read to its end.
    current: (String, u64),
    /// Whether `current` is that first source.
    is_cut: bool,
    /// What was read, if it is to be listed.
    pub(super) pieces: Option<Pieces>,
}

impl<'p> Progress<'p> {
    /// `report` gets the number of bytes that have been searched, and of all that are known, `total` at first.
    pub(super) fn new(report: &'p mut dyn FnMut(u64, u64), total: u64) -> Self {
        Self { report, done: 0, total, current: Default::default(), is_cut: false, pieces: None }
    }

    /// Adds bytes that were not known before to the total.
    pub(super) const fn expect(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
    }

    /// Begins a source whose bytes are the same when it is read again (`stable`), or the memory of a process. Returns
    /// false if the search has stopped: then the source is not read.
    #[must_use]
    pub(super) fn begin(&mut self, search: &mut Search<'_>, name: &str, stable: bool) -> bool {
        if self.is_cut {
            return false;
        }
        self.current = (String::from(name), 0);
        if self.stops(search) {
            return false;
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.begin(name, stable);
        }
        true
    }

    /// Whether the search stops before the next bytes of the source that is being read, or has stopped.
    pub(super) fn stops(&mut self, search: &mut Search<'_>) -> bool {
        self.is_cut = self.is_cut || search.must_stop();
        self.is_cut
    }

    /// Reports what was not read because the search has stopped. After the last bytes of a source, it stops within the
    /// compressed streams in them.
    pub(super) fn report_stop(&self, search: &mut Search<'_>) {
        let ((name, read), done) = (&self.current, self.done);
        if self.is_cut {
            search.statistics.omit(|| {
                format!(
                    "{name} from its byte {read} on, and what follows it: the search was stopped after {done} bytes"
                )
            });
        } else if search.is_stopped() {
            search.statistics.omit(|| {
                format!("{name}, the rest of the compressed streams in it: the search was stopped after {done} bytes")
            });
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.done = self.done.saturating_add(bytes as u64);
        self.current.1 = self.current.1.saturating_add(bytes as u64);
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
