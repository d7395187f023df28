// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps the beginnings of values, and the overflow pages that they continue on, until they can be put together.
//!
//! An overflow page is the number of the next one and content. Every page that is no page of a b-tree may be one. Those
//! that no value continues on, of rows that were deleted, are put together as far as they refer to each other.

use super::super::super::encoding::Encoding;
use super::super::super::sink::PageSink;
use super::btree::{Cell, cells};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of pages and of beginnings of values that are kept. The pages of a value are near its beginning unless the
/// file was full of gaps.
const MAX_KEPT: usize = 1 << 26;
/// Values that continue on the same page: rows that were moved or deleted leave copies of their beginnings. Crafted
/// ones could make a page part of thousands.
const MAX_USES: u8 = 4;
/// Bytes that a page or a beginning takes besides its own.
const COST: usize = 96;

struct Page {
    at: u64,
    bytes: Vec<u8>,
    uses: u8,
}

impl Page {
    /// The number of the next page; 0 after the last.
    fn next(&self) -> u32 {
        self.bytes.first_chunk().map_or(0, |next| u32::from_be_bytes(*next))
    }

    fn content(&self) -> &[u8] {
        self.bytes.get(4..).unwrap_or_default()
    }
}

struct Beginning {
    at: u64,
    local: Vec<u8>,
    first: u32,
    left: u64,
}

pub(super) struct Chains {
    /// Bytes of each page that are used.
    pub(super) used: usize,
    pages: BTreeMap<u32, Page>,
    beginnings: Vec<Beginning>,
    kept: usize,
    /// Pages were given up.
    has_dropped: bool,
}

impl Chains {
    pub(super) const fn new(used: usize) -> Self {
        Self { used, pages: BTreeMap::new(), beginnings: Vec::new(), kept: 0, has_dropped: false }
    }

    /// Takes a page, which begins at an offset.
    pub(super) fn page(&mut self, sink: &mut impl PageSink, number: u32, at: u64, bytes: &[u8]) {
        if let Some(cells) = cells(bytes, self.used, number == 1) {
            for Cell { local, first, left } in cells {
                let place = |index: usize| at.saturating_add(index as u64);
                sink.joined(place(local.start)..place(local.end));
                let (at, local) = (place(local.start), bytes.get(local).unwrap_or_default().to_vec());
                self.kept = self.kept.saturating_add(local.len()).saturating_add(COST);
                self.beginnings.push(Beginning { at, local, first, left });
            }
        } else {
            let used = bytes.get(..self.used).unwrap_or(bytes);
            if used.iter().all(|&byte| byte == 0) {
                return;
            }
            sink.joined(at..at.saturating_add(bytes.len() as u64));
            self.kept = self.kept.saturating_add(used.len()).saturating_add(COST);
            let page = Page { at, bytes: used.to_vec(), uses: 0 };
            if let Some(old) = self.pages.insert(number, page) {
                // Another version of the page, in a log.
                self.kept = self.kept.saturating_sub(old.bytes.len().saturating_add(COST));
                if old.uses == 0 {
                    sink.value(&[Encoding::SqliteOverflow], old.at, old.content());
                }
            }
        }
        if self.kept > MAX_KEPT {
            self.shrink(sink);
        }
    }

    /// Puts together what is complete, in a log: what is not continues in the database, if it is still there.
    pub(super) fn commit(&mut self, sink: &mut impl PageSink) {
        let complete = self.take_complete();
        self.beginnings.clear();
        self.kept = self.pages.values().map(|page| page.bytes.len().saturating_add(COST)).sum();
        for beginning in &complete {
            self.search(sink, beginning);
        }
    }

    /// Takes the beginnings whose pages are all there.
    fn take_complete(&mut self) -> Vec<Beginning> {
        // Each page is visited by as many values as may have it.
        let mut visits = self.pages.len().saturating_mul(usize::from(MAX_USES));
        let (pages, per_page) = (&self.pages, self.used.saturating_sub(4).max(1) as u64);
        let is_complete = |beginning: &mut Beginning| {
            let (mut next, mut left) = (beginning.first, beginning.left);
            while left > 0 {
                let Some(page) = pages.get(&next).filter(|_| visits > 0) else { return false };
                visits = visits.saturating_sub(1);
                (next, left) = (page.next(), left.saturating_sub(per_page));
            }
            true
        };
        self.beginnings.extract_if(.., is_complete).collect()
    }

    /// Searches a value as far as its pages are there. Returns whether all are.
    fn search(&mut self, sink: &mut impl PageSink, beginning: &Beginning) -> bool {
        let &Beginning { at, ref local, first, mut left } = beginning;
        let Some(mut value) = sink.open(&[Encoding::SqliteOverflow], at) else { return true };
        let mut is_within = sink.push(&mut value, local);
        let mut next = first;
        while left > 0 && is_within {
            let Some(page) = self.pages.get_mut(&next).filter(|page| page.uses < MAX_USES) else { break };
            page.uses = page.uses.saturating_add(1);
            let content = page.content();
            let content = usize::try_from(left).ok().and_then(|left| content.get(..left)).unwrap_or(content);
            if content.is_empty() {
                break;
            }
            is_within = sink.push(&mut value, content);
            left = left.saturating_sub(content.len() as u64);
            next = page.next();
        }
        sink.close(value);
        left == 0 || !is_within
    }

    /// Searches the pages that no value continues on, from each first of them to the last that follows it.
    fn search_unused(&mut self, sink: &mut impl PageSink) {
        let unused = self.pages.iter().filter(|(_, page)| page.uses == 0);
        let followers: BTreeSet<u32> = unused.clone().map(|(_, page)| page.next()).collect();
        let (later, first): (Vec<u32>, Vec<u32>) =
            unused.map(|(&number, _)| number).partition(|number| followers.contains(number));
        // Those of a circle have no first.
        for number in first.into_iter().chain(later) {
            let Some(at) = self.pages.get(&number).filter(|page| page.uses == 0).map(|page| page.at) else { continue };
            let Some(mut value) = sink.open(&[Encoding::SqliteOverflow], at) else { return };
            let mut next = number;
            while let Some(page) = self.pages.get_mut(&next).filter(|page| page.uses == 0) {
                page.uses = 1;
                if !sink.push(&mut value, page.content()) {
                    break;
                }
                next = page.next();
            }
            sink.close(value);
        }
    }

    /// Makes room: searches what is complete, and gives up the pages of what is not.
    fn shrink(&mut self, sink: &mut impl PageSink) {
        for beginning in self.take_complete() {
            self.search(sink, &beginning);
        }
        self.pages.retain(|_, page| page.uses == 0);
        let pages = self.pages.values().map(|page| page.bytes.len());
        let beginnings = self.beginnings.iter().map(|beginning| beginning.local.len());
        self.kept = pages.chain(beginnings).map(|len| len.saturating_add(COST)).sum();
        if self.kept > MAX_KEPT / 2 {
            self.has_dropped = true;
            for beginning in core::mem::take(&mut self.beginnings) {
                if !self.search(sink, &beginning) {
                    sink.omit(beginning.at, "a value of SQLite whose pages lie too far from each other");
                }
            }
            self.search_unused(sink);
            self.pages.clear();
            self.kept = 0;
        }
    }

    /// There are no more pages.
    pub(super) fn finish(&mut self, sink: &mut impl PageSink, is_database: bool) {
        for beginning in core::mem::take(&mut self.beginnings) {
            if !self.search(sink, &beginning) && self.has_dropped && is_database {
                sink.omit(beginning.at, "a value of SQLite whose pages lie too far from each other");
            }
        }
        self.search_unused(sink);
        self.pages.clear();
    }
}
