// SPDX-License-Identifier: MIT OR Apache-2.0
//! The result of a search: hits, merged and limited in number, and statistics.

use super::chain::Chain;
use super::coverage::Coverage;
use super::encoding::{Encoding, Encodings};
use super::forms::Form;
use super::index::needles::Index;
use super::index::probe::Match;
use super::printable::printable;
use super::records::{HitsOfValue, Maps, Record};
use super::sources::Piece;
use core::fmt;
use core::ops::Range;
use std::collections::HashMap;

/// The number of hits of one value that are listed; the rest is counted. A verdict needs one, a reader a handful.
pub const HITS_PER_VALUE: usize = 16;
/// The number of omissions that are named; the rest is counted.
pub const NAMED_OMISSIONS: usize = 1000;
/// A value, or a part of it, that was found in the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The value, by the number with which it was added.
    pub id: u32,
    /// The name of the source.
    pub source: String,
    /// The offset in the source of the first encoded byte: an address for the memory of a process, a byte of the
    /// payload for a flow of a capture. Within a compressed stream, the offset of the stream; one range of a value is
    /// reported once for each stream.
    pub offset: u64,
    /// The offset in the source after the last encoded byte; for text, after the first character that encodes that
    /// byte.
    pub end: u64,
    /// The encodings from the source inwards; the last is [`Encoding::Raw`] or [`Encoding::Reversed`].
    pub encoding: Vec<Encoding>,
    /// The form of the text that was found, if it is not the text itself.
    pub form: Option<Form>,
    /// The part of the value that was found, in bytes of the value itself.
    pub range: Range<usize>,
    /// Whether that part is the whole value.
    pub whole: bool,
}

impl fmt::Display for Hit {
    /// `value 7, bytes 0 to 32: database at 1234, gzip > base64 > raw`; of a text, `raw, as windows-1251`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, source, offset, end: _, encoding, form, range, whole: _ } = self;
        let (from, to, source) = (range.start, range.end, printable(source));
        write!(f, "value {id}, bytes {from} to {to}: {source} at {offset}, ")?;
        for (depth, step) in encoding.iter().enumerate() {
            if depth > 0 {
                f.write_str(" > ")?;
            }
            write!(f, "{step}")?;
        }
        form.map_or(Ok(()), |form| write!(f, ", as {form}"))
    }
}

/// What was searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// The number of sources: a directory counts once for each file, a process once for each contiguous range of
    /// memory, a capture once for its bytes and once for each direction of each flow. Names are not counted.
    pub sources: u64,
    /// The number of bytes of the sources.
    pub bytes: u64,
    /// The number of bytes that decoders output; a byte that is decoded repeatedly counts each time.
    pub decoded: u64,
    /// The number of compressed streams with at least 64 bytes of output; some are random matches.
    pub streams: u64,
    /// The number of hits that are listed.
    pub hits: u64,
    /// The number of hits beyond [`HITS_PER_VALUE`].
    pub unlisted_hits: u64,
    /// The number of hits of rank zero ([`Evidence::search_ranked`](crate::Evidence::search_ranked)), which are not
    /// listed.
    pub unranked_hits: u64,
    /// The encodings that were looked for.
    pub encodings: Encodings,
    /// What was not searched and why, such as an unreadable file or a limit; the first [`NAMED_OMISSIONS`]. Names in
    /// them are [printable].
    pub omissions: Vec<String>,
    /// The number of all omissions.
    pub omitted: u64,
    /// What a reader should know about the evidence and is no omission, such as a link that was not followed; the first
    /// [`NAMED_OMISSIONS`]. As in omissions, names are [printable].
    pub notes: Vec<String>,
    /// The number of all notes.
    pub noted: u64,
}

impl Statistics {
    /// Whether the next omission is named.
    pub(crate) const fn is_naming(&self) -> bool {
        self.omissions.len() < NAMED_OMISSIONS
    }

    /// Counts an omission, and names it up to [`NAMED_OMISSIONS`].
    pub(crate) fn omit(&mut self, what: impl FnOnce() -> String) {
        self.omitted = self.omitted.saturating_add(1);
        if self.omissions.len() < NAMED_OMISSIONS {
            self.omissions.push(printable(&what()).to_string());
        }
    }

    /// Counts a note, and keeps it up to [`NAMED_OMISSIONS`].
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.noted = self.noted.saturating_add(1);
        if self.notes.len() < NAMED_OMISSIONS {
            self.notes.push(printable(&what()).to_string());
        }
    }
}

/// Hits and statistics of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The hits, by value and then in the order in which they were found.
    pub hits: Vec<Hit>,
    /// What was searched.
    pub statistics: Statistics,
    /// What was read, if [`Evidence::with_pieces`](crate::Evidence::with_pieces) asked for it; the first
    /// [`LISTED_PIECES`](crate::LISTED_PIECES).
    pub pieces: Vec<Piece>,
    /// The number of pieces that are not listed.
    pub unlisted_pieces: u64,
    /// The hits of tokens ([`Evidence::with_tokens`](crate::Evidence::with_tokens)), by value; the first
    /// [`HITS_PER_VALUE`] of each.
    pub tokens: Vec<Hit>,
}

/// What becomes of the matches of a search.
#[derive(Default)]
pub(crate) enum Report<'r> {
    /// The first hits of each value are listed.
    #[default]
    First,
    /// The hits of the highest rank are listed, those of rank zero are not.
    Ranked(&'r dyn Fn(u32, Range<usize>) -> u64),
    /// No hit is listed; the fragments of each value that occur are recorded.
    Cover(Coverage),
}

impl Findings {
    pub(crate) fn with_pieces(self, pieces: Vec<Piece>, unlisted_pieces: u64) -> Self {
        Self { pieces, unlisted_pieces, ..self }
    }
}

#[derive(Default)]
pub(crate) struct Hits<'r> {
    report: Report<'r>,
    by_value: HashMap<u32, HitsOfValue>,
    unlisted: u64,
    unranked: u64,
    sources: Vec<String>,
    /// The source that is being searched.
    current: u32,
    /// The source of the last hit.
    last_hit: Option<u32>,
    /// Sources that are names.
    names: u64,
    maps: Maps,
}

impl<'r> Hits<'r> {
    pub(crate) fn new(report: Report<'r>) -> Self {
        Self { report, ..Self::default() }
    }

    pub(crate) fn begin(&mut self, source: String) -> u32 {
        self.current = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(source);
        self.current
    }

    pub(crate) const fn resume(&mut self, source: u32) {
        self.current = source;
    }

    /// Ends a source that is a name. Millions of names without a hit would take memory for nothing.
    pub(crate) fn end_name(&mut self, source: u32) {
        if self.last_hit == Some(source) {
            self.names = self.names.saturating_add(1);
        } else {
            self.sources.truncate(source as usize);
        }
    }

    pub(crate) fn source(&self) -> &str {
        self.sources.get(self.current as usize).map_or("", String::as_str)
    }

    /// Adds a hit in the source that is being searched. It is merged with a hit of the same value that it touches, both
    /// in the source and in the value, since blocks overlap.
    ///
    /// A match is ranked before it is merged: what two blocks have in common is longer than any match that is not
    /// worth to be listed, and within a compressed stream all matches are at one place.
    pub(crate) fn add(&mut self, index: &Index, found: Match, chain: Chain, bytes: Range<u64>) {
        let Match { value: number, range, at: _, reversed } = found;
        let Some((value, _)) = index.describe(number) else { return };
        let (text, range) = match value.form {
            Form::ITSELF => (number, range),
            _ => match self.maps.original(index, (number, &range), chain) {
                Some(original) => (index.text_of(number), original),
                None => return,
            },
        };
        let rank = match &mut self.report {
            Report::First => 0,
            Report::Ranked(rank) => match rank(value.id, range.clone()) {
                0 => {
                    self.unranked = self.unranked.saturating_add(1);
                    return;
                }
                rank => rank,
            },
            Report::Cover(coverage) => {
                coverage.insert(value.id, range);
                return;
            }
        };
        let source = self.current;
        self.last_hit = Some(source);
        let record = Record { rank, source, chain, reversed, form: value.form, bytes, range };
        if self.by_value.entry(text).or_default().add(record) {
            self.unlisted = self.unlisted.saturating_add(1);
        }
    }

    /// Lists the hits. A hit of an anchored value that does not begin with the first byte is dropped: it was reported
    /// only in case it would be merged with the beginning.
    pub(crate) fn finish(self, index: &Index, mut statistics: Statistics) -> Findings {
        let mut hits = Vec::new();
        let mut by_value: Vec<_> = self.by_value.into_iter().collect();
        by_value.sort_unstable_by_key(|&(value, _)| value);
        for (number, of_value) in by_value {
            let Some((value, len)) = index.describe(number) else { continue };
            for Record { rank: _, source, chain, reversed, form, bytes, range } in of_value.listed {
                if value.anchored && range.start != 0 {
                    continue;
                }
                let last = if reversed { Encoding::Reversed } else { Encoding::Raw };
                hits.push(Hit {
                    id: value.id,
                    source: self.sources.get(source as usize).cloned().unwrap_or_default(),
                    offset: bytes.start,
                    end: bytes.end,
                    encoding: chain.steps().chain([last]).collect(),
                    form: (form != Form::ITSELF).then_some(form),
                    whole: range == (0..len),
                    range,
                });
            }
        }
        statistics.hits = hits.len() as u64;
        statistics.unlisted_hits = self.unlisted;
        statistics.unranked_hits = self.unranked;
        statistics.sources = (self.sources.len() as u64).saturating_sub(self.names);
        Findings { hits, statistics, pieces: Vec::new(), unlisted_pieces: 0, tokens: Vec::new() }
    }

    /// The fragments that were recorded, and the number of sources.
    pub(crate) fn into_coverage(self) -> (Coverage, u64) {
        let sources = self.sources.len() as u64;
        match self.report {
            Report::Cover(coverage) => (coverage, sources),
            Report::First | Report::Ranked(_) => (Coverage::default(), sources),
        }
    }
}
