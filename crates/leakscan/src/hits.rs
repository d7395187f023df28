// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a search found, merged and bounded.

use super::encoding::{Encoding, Encodings};
use super::needles::Index;
use super::probe::Match;
use core::fmt;
use core::ops::Range;
use std::collections::HashMap;

/// Hits of one value that are listed; the rest is counted. A verdict needs one, a person a handful.
pub const HITS_PER_VALUE: usize = 16;
/// Things that could not be examined which are named; the rest is counted.
pub const NAMED_OMISSIONS: usize = 1000;
/// Encodings one within another: a log in JSON in a compressed archive in a compressed dump has five. Deeper ones would
/// multiply the time that crafted evidence takes.
pub const MAX_DEPTH: usize = 6;

/// The encodings from the source inwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    steps: [Encoding; MAX_DEPTH],
    len: usize,
}

impl Chain {
    pub(super) const EMPTY: Self = Self { steps: [Encoding::Raw; MAX_DEPTH], len: 0 };

    /// One deeper; `None` at the bound.
    pub(super) fn then(mut self, step: Encoding) -> Option<Self> {
        *self.steps.get_mut(self.len)? = step;
        self.len = self.len.saturating_add(1);
        Some(self)
    }

    pub(super) fn has(&self, step: Encoding) -> bool {
        self.steps().any(|other| other == step)
    }

    /// Whether the innermost `count` steps are `step`.
    pub(super) fn ends_in(&self, step: Encoding, count: usize) -> bool {
        let from = self.len.saturating_sub(count);
        self.len >= count && self.steps().skip(from).all(|other| other == step)
    }

    fn steps(&self) -> impl Iterator<Item = Encoding> {
        self.steps.into_iter().take(self.len)
    }
}

/// A part of a value in the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The value, by the number under which it was added.
    pub id: u32,
    /// The source.
    pub source: String,
    /// The first encoded byte in the source: an address for a process's memory, a byte of the payload for a capture.
    /// Within a compressed stream, where that stream begins; what it holds of one range of a value is one hit.
    pub offset: u64,
    /// The byte of the source behind the last encoded one; of text, behind the first character of what stands for that.
    pub end: u64,
    /// From the source inwards; the last is [`Encoding::Raw`] or [`Encoding::Reversed`].
    pub encoding: Vec<Encoding>,
    /// The part of the value.
    pub range: Range<usize>,
    /// Whether that is the value from its first byte to its last.
    pub whole: bool,
}

impl fmt::Display for Hit {
    /// `value 7, bytes 0 to 32: database at 1234, gzip > base64 > raw`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, source, offset, end: _, encoding, range, whole: _ } = self;
        write!(f, "value {id}, bytes {} to {}: {source} at {offset}, ", range.start, range.end)?;
        for (depth, step) in encoding.iter().enumerate() {
            if depth > 0 {
                f.write_str(" > ")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

/// What was examined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Sources: a directory counts once for each file, a process for each stretch of memory, a capture once for its bytes
    /// and once for each direction of each flow.
    pub sources: u64,
    /// Bytes of the sources.
    pub bytes: u64,
    /// Bytes that came out of decoders, each as often as it was decoded.
    pub decoded: u64,
    /// Compressed streams of which at least sixteen bytes came out; some of these are chance.
    pub streams: u64,
    /// Hits that are listed.
    pub hits: u64,
    /// Hits beyond [`HITS_PER_VALUE`].
    pub unlisted_hits: u64,
    /// What was looked for.
    pub encodings: Encodings,
    /// What was not examined and why: unreadable, beyond a bound. The first [`NAMED_OMISSIONS`].
    pub omissions: Vec<String>,
    /// All of them.
    pub omitted: u64,
}

impl Statistics {
    /// Names, or at least counts, what was not examined.
    pub(super) fn omit(&mut self, what: impl FnOnce() -> String) {
        self.omitted = self.omitted.saturating_add(1);
        if self.omissions.len() < NAMED_OMISSIONS {
            self.omissions.push(what());
        }
    }
}

/// Hits and statistics of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// By value, then in the order in which they were met.
    pub hits: Vec<Hit>,
    /// What was examined.
    pub statistics: Statistics,
}

struct Record {
    source: u32,
    chain: Chain,
    reversed: bool,
    bytes: Range<u64>,
    range: Range<usize>,
}

#[derive(Default)]
struct OfValue {
    listed: Vec<Record>,
    /// Where the last hit that is not listed ends, so that it is counted once.
    unlisted_end: Option<(u32, u64)>,
}

#[derive(Default)]
pub(super) struct Hits {
    by_value: HashMap<u32, OfValue>,
    unlisted: u64,
    sources: Vec<String>,
    /// The source that is being searched.
    current: u32,
}

impl Hits {
    pub(super) fn begin(&mut self, source: String) -> u32 {
        self.current = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(source);
        self.current
    }

    pub(super) const fn resume(&mut self, source: u32) {
        self.current = source;
    }

    pub(super) fn source(&self) -> &str {
        self.sources.get(self.current as usize).map_or("", String::as_str)
    }

    /// A hit in the source that is being searched. One that touches another of the same value, there and in the value, is the same:
    /// blocks overlap.
    pub(super) fn add(&mut self, found: Match, chain: Chain, bytes: Range<u64>) {
        let source = self.current;
        let of_value = self.by_value.entry(found.value).or_default();
        let same = of_value.listed.iter_mut().rev().find(|record| {
            record.source == source
                && record.reversed == found.reversed
                && record.chain == chain
                && record.bytes.start <= bytes.end
                && bytes.start <= record.bytes.end
                && record.range.start <= found.range.end
                && found.range.start <= record.range.end
        });
        if let Some(record) = same {
            record.bytes = record.bytes.start.min(bytes.start)..record.bytes.end.max(bytes.end);
            record.range = record.range.start.min(found.range.start)..record.range.end.max(found.range.end);
        } else if of_value.listed.len() < HITS_PER_VALUE {
            let (reversed, range) = (found.reversed, found.range);
            of_value.listed.push(Record { source, chain, reversed, bytes, range });
        } else {
            if !of_value.unlisted_end.is_some_and(|(last, end)| last == source && bytes.start <= end) {
                self.unlisted = self.unlisted.saturating_add(1);
            }
            of_value.unlisted_end = Some((source, bytes.end));
        }
    }

    /// The list. Of public values, what does not begin with the first byte falls away: it stood for the rest of a value
    /// that is not there.
    pub(super) fn finish(self, index: &Index, mut statistics: Statistics) -> Findings {
        let mut hits = Vec::new();
        let mut by_value: Vec<_> = self.by_value.into_iter().collect();
        by_value.sort_unstable_by_key(|&(value, _)| value);
        for (number, of_value) in by_value {
            let Some((value, len)) = index.describe(number) else { continue };
            for Record { source, chain, reversed, bytes, range } in of_value.listed {
                if value.whole && range.start != 0 {
                    continue;
                }
                let last = if reversed { Encoding::Reversed } else { Encoding::Raw };
                hits.push(Hit {
                    id: value.id,
                    source: self.sources.get(source as usize).cloned().unwrap_or_default(),
                    offset: bytes.start,
                    end: bytes.end,
                    encoding: chain.steps().chain([last]).collect(),
                    whole: range == (0..len),
                    range,
                });
            }
        }
        statistics.hits = hits.len() as u64;
        statistics.unlisted_hits = self.unlisted;
        statistics.sources = self.sources.len() as u64;
        Findings { hits, statistics }
    }
}
