// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hits of one value: merged where they continue one another, and limited in number.

use super::chain::Chain;
use super::encoding::Encoding;
use super::findings::HITS_PER_VALUE;
use super::forms::{Form, Map};
use super::index::needles::{FRAGMENT, Index};
use core::ops::Range;
use std::collections::HashMap;

/// The number of maps of forms that are kept: with 24 bytes for each character of a text, some megabytes.
const KEPT_MAPS: usize = 256;

/// A hit.
pub(crate) struct Record {
    pub(crate) rank: u64,
    pub(crate) source: u32,
    pub(crate) chain: Chain,
    pub(crate) reversed: bool,
    pub(crate) form: Form,
    pub(crate) bytes: Range<u64>,
    pub(crate) range: Range<usize>,
}

impl Record {
    /// Whether both are of one source, in one encoding and one direction.
    fn is_beside(&self, other: &Self) -> bool {
        self.source == other.source && self.reversed == other.reversed && self.chain == other.chain
    }

    /// Whether both are in one form, and touch in the source and in the value.
    fn continues(&self, other: &Self) -> bool {
        self.is_beside(other)
            && self.form == other.form
            && self.bytes.start <= other.bytes.end
            && other.bytes.start <= self.bytes.end
            && self.range.start <= other.range.end
            && other.range.start <= self.range.end
    }

    /// Whether this one shows all that the other shows: two forms of a text are alike where it is ASCII.
    fn contains(&self, other: &Self) -> bool {
        self.is_beside(other)
            && self.bytes.start <= other.bytes.start
            && other.bytes.end <= self.bytes.end
            && self.range.start <= other.range.start
            && other.range.end <= self.range.end
    }
}

/// The hits of one value.
#[derive(Default)]
pub(crate) struct HitsOfValue {
    pub(crate) listed: Vec<Record>,
    /// The source and the end of the last hit that is not listed, so that it is counted once.
    unlisted_end: Option<(u32, u64)>,
}

impl HitsOfValue {
    /// Adds a hit. Returns whether a hit more is not listed.
    pub(crate) fn add(&mut self, mut new: Record) -> bool {
        let listed = &mut self.listed;
        let continued = listed.iter().rposition(|record| record.continues(&new));
        if let Some(record) = continued.map(|at| listed.remove(at)) {
            new.bytes = record.bytes.start.min(new.bytes.start)..record.bytes.end.max(new.bytes.end);
            new.range = record.range.start.min(new.range.start)..record.range.end.max(new.range.end);
            new.rank = new.rank.max(record.rank);
        } else if listed.iter().any(|record| record.contains(&new)) {
            return false;
        }
        listed.retain(|record| !new.contains(record));
        if listed.len() < HITS_PER_VALUE {
            listed.insert(continued.unwrap_or(listed.len()).min(listed.len()), new);
            return false;
        }
        let (source, start, end) = (new.source, new.bytes.start, new.bytes.end);
        if let Some(least) = listed.iter_mut().min_by_key(|record| record.rank).filter(|of| of.rank < new.rank) {
            *least = new;
        }
        let is_more = !self.unlisted_end.is_some_and(|(last, end)| last == source && start <= end);
        self.unlisted_end = Some((source, end));
        is_more
    }
}

/// The maps of forms that were found.
#[derive(Default)]
pub(crate) struct Maps(HashMap<u32, Option<Map>>);

impl Maps {
    /// The bytes of a text that a range of one of its forms stands for; `None` if they are no fragment, or if the text
    /// itself was found there.
    pub(crate) fn original(
        &mut self,
        index: &Index,
        found: (u32, &Range<usize>),
        chain: Chain,
    ) -> Option<Range<usize>> {
        if self.0.len() >= KEPT_MAPS {
            self.0.clear();
        }
        let map = self.0.entry(found.0).or_insert_with(|| index.map_of(found.0));
        let original = map.as_ref()?.original(found.1, FRAGMENT)?;
        (!is_text_itself(index, chain, found, &original)).then_some(original)
    }
}

/// Whether a form that was found in bytes of 8 or 16 bits, decoded from a text, is in that text the value itself, or its
/// form in UTF-16: a text in Latin-1 is its own characters, one byte each. It was found there without decoding.
fn is_text_itself(index: &Index, chain: Chain, (number, range): (u32, &Range<usize>), original: &Range<usize>) -> bool {
    let decoders = [Encoding::Latin1, Encoding::Utf16Le, Encoding::Utf16Be];
    if !decoders.iter().any(|decoder| chain.ends_in(|step| step == *decoder, 1)) {
        return false;
    }
    let text = index.bytes(index.text_of(number)).and_then(|text| text.get(original.clone())).unwrap_or_default();
    let form = index.bytes(number).and_then(|form| form.get(range.clone())).unwrap_or_default();
    core::str::from_utf8(text).is_ok_and(|text| text.chars().map(u32::from).eq(form.iter().copied().map(u32::from)))
}
