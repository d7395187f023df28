// SPDX-License-Identifier: MIT OR Apache-2.0
//! The omissions of compressed streams, kept back until it is known whether they are any.
//!
//! A stream may be read more than once: where it lies; in a copy of the bytes around an escape, which is shorter; and
//! again in the next block. It was searched if one of these was read to its end, and it is listed once if none was. A
//! stream that another one stores as it is, in pieces, is broken where it lies and whole in the content of the other. And
//! what was not searched within a stream is an omission only if that stream is one: random bytes that begin like a zlib
//! stream inflate to repetitive bytes, in which much looks like a stream.

use super::containers::formats::Format;
use super::findings::Statistics;
use core::ops::Range;
use std::collections::{BTreeMap, VecDeque};

/// Omissions that are kept back; with more, all are reported. An archive of a system may store as many images.
const MAX_PENDING: usize = 1 << 16;
/// Streams that were read to their end and are remembered. The copies of a stream are in the same block as its
/// beginning, or in the next one.
const MAX_WHOLE: usize = 1024;

/// Ranges of bytes that are remembered as parts of values; those that touch are one.
const MAX_JOINED: usize = 1 << 18;

/// Parts of layers that are remembered as copied: segments of a database's log.
const MAX_COPIED: usize = 1024;

/// What was not searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stream of a format.
    Stream(Format),
    /// An encoding within the deepest encodings that are decoded.
    Depth,
    /// The rest of a stream beyond a limit.
    Limit,
    /// A part of a connection.
    Connection,
    /// A stream that began while too many others were open.
    TooMany,
    /// A value in the pages of a database.
    Value,
}

/// Offsets by which two readings of one text may differ: `\x1f` is an escape from its first byte on, and hexadecimal from
/// its third. Streams are longer.
const NEAR: u64 = 3;

/// A place at which something was not searched: the byte at an offset of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    /// The number of the layer; no two layers of a search have the same.
    pub(crate) layer: u64,
    pub(crate) at: u64,
    pub(crate) kind: Kind,
}

struct Pending {
    kind: Kind,
    /// The layer of the innermost stream around it that may be a random match; 0 if there is none.
    holder: u64,
    what: String,
}

/// The omissions that are kept back.
#[derive(Default)]
pub(crate) struct Omissions {
    /// By layer and offset, and in the order in which they were added.
    pending: BTreeMap<(u64, u64, u64), Pending>,
    added: u64,
    /// Those of them that have a holder.
    held: usize,
    /// Streams that were read to their end, and the offsets after them.
    whole: VecDeque<(Spot, u64)>,
    /// Bytes that are part of a value that is put together elsewhere: by their layer and first byte, their end.
    joined: BTreeMap<(u64, u64), u64>,
    /// Parts of layers of which a copy without the headers between their pages is searched, at most [`MAX_COPIED`].
    copied: Vec<(u64, Range<u64>)>,
}

impl Omissions {
    /// Something was not searched.
    pub(crate) fn add(&mut self, statistics: &mut Statistics, spot: Spot, holder: u64, what: impl FnOnce() -> String) {
        let Spot { layer, at, kind } = spot;
        let near = (layer, at.saturating_sub(NEAR), 0)..=(layer, at.saturating_add(NEAR), u64::MAX);
        let is_known = self.pending.range(near).any(|(_, pending)| pending.kind == kind);
        let was_read = |(whole, end): &(Spot, u64)| {
            let is_same = whole.kind == kind && whole.at.abs_diff(at) <= NEAR;
            whole.layer == layer && (is_same || within(whole, *end).contains(&at))
        };
        if is_known || self.whole.iter().any(was_read) || self.is_joined(&spot) {
            return;
        }
        if self.pending.len() >= MAX_PENDING {
            self.report(statistics);
        }
        // Those that are counted only need no name.
        let what = if statistics.is_naming() { what() } else { String::new() };
        self.added = self.added.saturating_add(1);
        self.held = self.held.saturating_add(usize::from(holder != 0));
        self.pending.insert((layer, at, self.added), Pending { kind, holder, what });
    }

    /// A stream of `len` bytes was read to its end: whatever failed there is no omission, and what fails there later.
    pub(crate) fn read_whole(&mut self, spot: Spot, len: u64) {
        let end = spot.at.saturating_add(len);
        let near = spot.at.saturating_sub(NEAR)..=spot.at.saturating_add(NEAR);
        let last = end.max(*near.end());
        self.forget((spot.layer, *near.start()), last, |at, kind| {
            kind == spot.kind && near.contains(&at) || within(&spot, end).contains(&at)
        });
        if self.whole.len() >= MAX_WHOLE {
            self.whole.pop_front();
        }
        self.whole.push_back((spot, end));
    }

    /// Drops such omissions from an offset of a layer to another.
    fn forget(&mut self, (layer, from): (u64, u64), to: u64, is_such: impl Fn(u64, Kind) -> bool) {
        let range = self.pending.range((layer, from, 0)..=(layer, to, u64::MAX));
        let such: Vec<_> =
            range.filter(|((_, at, _), pending)| is_such(*at, pending.kind)).map(|(key, _)| *key).collect();
        for key in such {
            let pending = self.pending.remove(&key);
            self.held = self.held.saturating_sub(usize::from(pending.is_some_and(|pending| pending.holder != 0)));
        }
    }

    /// Bytes of a layer are part of a value that is put together: a stream that begins in them and fails was read there,
    /// or failed there too.
    pub(crate) fn joined(&mut self, layer: u64, part: Range<u64>) {
        let has_room = self.joined.len() < MAX_JOINED;
        let last = self.joined.range_mut(..=(layer, part.start)).next_back();
        if let Some((_, end)) = last.filter(|((other, _), end)| *other == layer && **end >= part.start) {
            *end = part.end.max(*end);
        } else if has_room {
            self.joined.insert((layer, part.start), part.end);
        }
        self.forget((layer, part.start), part.end.saturating_sub(1), |_, kind| matches!(kind, Kind::Stream(_)));
    }

    /// A copy of a part of a layer is searched, without what lies between its pages: what is broken here may be whole
    /// there, and is reported there if it is not.
    pub(crate) fn copied(&mut self, layer: u64, part: Range<u64>) {
        if self.copied.len() >= MAX_COPIED {
            return;
        }
        let last = part.end.saturating_sub(1);
        self.forget((layer, part.start), last, |_, kind| matches!(kind, Kind::Stream(_) | Kind::Value));
        self.copied.push((layer, part));
    }

    /// Whether a byte of a layer is in a part of which a copy is searched.
    pub(crate) fn is_copied(&self, layer: u64, at: u64) -> bool {
        self.copied.iter().any(|(other, part)| *other == layer && part.contains(&at))
    }

    /// A layer has ended: its parts of values are forgotten.
    pub(crate) fn end_layer(&mut self, layer: u64) {
        self.copied.retain(|(other, _)| *other != layer);
        while let Some((&key, _)) = self.joined.range((layer, 0)..=(layer, u64::MAX)).next() {
            self.joined.remove(&key);
        }
    }

    fn is_joined(&self, spot: &Spot) -> bool {
        if matches!(spot.kind, Kind::Stream(_) | Kind::Value) && self.is_copied(spot.layer, spot.at) {
            return true;
        }
        let last = self.joined.range(..=(spot.layer, spot.at)).next_back();
        matches!(spot.kind, Kind::Stream(_))
            && last.is_some_and(|((layer, _), end)| *layer == spot.layer && spot.at < *end)
    }

    /// The stream whose content is the layer `holder` has ended. What was not searched in it is an omission if the
    /// stream `is_one`, and the next stream around it that may be a random match, `outer`, is one as well.
    pub(crate) fn settle(&mut self, holder: u64, is_one: bool, outer: u64) {
        if self.held == 0 {
            return;
        }
        if is_one {
            let held = self.pending.values_mut().filter(|pending| pending.holder == holder);
            held.for_each(|pending| pending.holder = outer);
        } else {
            self.pending.retain(|_, pending| pending.holder != holder);
        }
        self.held = self.pending.values().filter(|pending| pending.holder != 0).count();
    }

    /// Reports all that are kept back.
    pub(crate) fn report(&mut self, statistics: &mut Statistics) {
        self.held = 0;
        core::mem::take(&mut self.pending).into_values().for_each(|pending| statistics.omit(|| pending.what));
    }
}

/// The offsets in the layer of a stream at which another stream may begin that the stream stores.
const fn within(spot: &Spot, end: u64) -> Range<u64> {
    spot.at.saturating_add(1)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot = Spot { layer: 1, at: 7, kind: Kind::Stream(Format::Gzip) };

    fn reported(steps: impl FnOnce(&mut Omissions, &mut Statistics)) -> u64 {
        let (mut omissions, mut statistics) = (Omissions::default(), Statistics::default());
        steps(&mut omissions, &mut statistics);
        omissions.report(&mut statistics);
        assert_eq!(
            statistics.omissions.len() as u64,
            statistics.omitted.min(super::super::findings::NAMED_OMISSIONS as u64)
        );
        statistics.omitted
    }

    fn add(omissions: &mut Omissions, statistics: &mut Statistics, spot: Spot, holder: u64) {
        omissions.add(statistics, spot, holder, || String::from("what"));
    }

    #[test]
    fn a_stream_that_was_read_whole_once_is_no_omission() {
        // A stream around it, and one that ends before it.
        let around = Spot { at: 5, kind: Kind::Stream(Format::Zip), ..SPOT };
        let others = [
            Spot { at: 1, ..around },
            Spot { layer: 2, ..SPOT },
            Spot { at: 11, ..SPOT },
            Spot { kind: Kind::Depth, ..SPOT },
        ];
        let same = [SPOT, Spot { at: 5, ..SPOT }, around];
        for (other, expected) in same.map(|same| (same, 0)).into_iter().chain(others.map(|other| (other, 1))) {
            let before = reported(|omissions, statistics| {
                omissions.read_whole(other, 4);
                add(omissions, statistics, SPOT, 0);
                add(omissions, statistics, SPOT, 0);
            });
            let after = reported(|omissions, statistics| {
                add(omissions, statistics, SPOT, 0);
                omissions.read_whole(other, 4);
            });
            assert_eq!((before, after), (expected, expected), "{other:?}");
        }
    }

    #[test]
    fn a_stream_in_a_part_of_a_value_is_no_omission() {
        for (layer, part, expected) in [(1, 0..8, 0), (1, 7..8, 0), (1, 0..7, 1), (1, 8..9, 1), (2, 0..8, 1)] {
            let before = reported(|omissions, statistics| {
                omissions.joined(layer, part.clone());
                add(omissions, statistics, SPOT, 0);
            });
            let after = reported(|omissions, statistics| {
                add(omissions, statistics, SPOT, 0);
                omissions.joined(layer, part.clone());
            });
            assert_eq!((before, after), (expected, expected), "{layer} {part:?}");
        }
        let mut omissions = Omissions::default();
        (0..10).for_each(|page| omissions.joined(3, page * 4096..(page + 1) * 4096));
        assert_eq!(omissions.joined.len(), 1);
    }

    #[test]
    fn what_a_random_match_contains_is_no_omission() {
        for (inner, outer, expected) in [(true, true, 1), (true, false, 0), (false, true, 0), (false, false, 0)] {
            let count = reported(|omissions, statistics| {
                add(omissions, statistics, SPOT, 5);
                omissions.settle(5, inner, 4);
                omissions.settle(4, outer, 0);
            });
            assert_eq!(count, expected, "{inner} {outer}");
        }
    }

    #[test]
    fn all_are_counted_and_few_are_kept() {
        let count = reported(|omissions, statistics| {
            for at in 0..70_000 {
                add(omissions, statistics, Spot { at: at * 10, ..SPOT }, 0);
                assert!(omissions.pending.len() <= MAX_PENDING);
            }
            (0..9000).for_each(|at| omissions.read_whole(Spot { layer: 2, at, ..SPOT }, 9));
            assert!(omissions.whole.len() <= MAX_WHOLE);
        });
        assert_eq!(count, 70_000);
    }
}
