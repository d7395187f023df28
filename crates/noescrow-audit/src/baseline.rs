// SPDX-License-Identifier: MIT OR Apache-2.0
//! The baseline: software and files that were there before the run. One pass over it, with the decoders of the search,
//! records which fragments of the run's texts it contains, and keeps a sample of it for the model of ordinary language.
//!
//! A baseline cannot contain a secret of the run, nor a public value that the run computed: if it does, it was not taken
//! before the run, and it explains nothing.

use super::class::Class;
use super::digests::Digests;
use super::examined::Examined;
use super::ledger::Ledger;
use super::short_texts::ShortTexts;
use super::texts::{Basis, Texts, is_text};
use super::value::Id;
use super::well_known::is_well_known;
use core::cell::Cell;
use leakscan::{Coverage, Evidence, FRAGMENT, Needles};

/// Bytes of the sample: a model learns little from more, and is trained in two seconds.
const SAMPLE: usize = 1 << 24;
/// Bytes that are taken at once from a source.
const PIECE: usize = 1 << 12;

/// Reads the baselines, if there are any, unless `stop` says that the audit is to stop.
pub(super) fn read<'l>(
    ledger: &'l Ledger,
    known: Option<Vec<Evidence<'_>>>,
    short: &ShortTexts,
    stop: &dyn Fn() -> bool,
    examined: &mut Examined,
    progress: &mut dyn FnMut(u64, u64),
) -> Texts<'l> {
    let none = |basis| Texts::new(ledger, basis, Coverage::default(), Vec::new());
    let Some(known) = known else { return none(Basis::None) };
    examined.has_baseline = true;
    let mut needles = Needles::new();
    for (id, value) in ledger.values() {
        let Some(bytes) = ledger.beginning(id).filter(|bytes| bytes.len() >= FRAGMENT) else { continue };
        match value.class {
            _ if is_text(ledger, value) => needles.add_secret(id, bytes),
            Class::Secret if !is_well_known(bytes) => needles.add_secret(id, bytes),
            Class::Public if value.is_computed => needles.add_anchored(id, bytes),
            _ => {}
        }
    }
    let _ = Digests::add(ledger, &mut needles);
    let Ok(index) = needles.build() else { return none(Basis::None) };
    let (mut coverage, mut sample) = (Coverage::default(), Sample::default());
    let is_stopped = Cell::new(false);
    for known in known {
        let known = known.with_tokens(short.tokens()).stopping(|| {
            is_stopped.set(is_stopped.get() || stop());
            is_stopped.get()
        });
        let (found, statistics, failed) = known.cover(&index, &mut |bytes| sample.take(bytes), &mut *progress);
        examined.baseline_bytes = examined.baseline_bytes.saturating_add(statistics.bytes);
        examined.baseline_sources = examined.baseline_sources.saturating_add(statistics.sources);
        examined.not_examined.extend(failed.iter().map(|error| format!("baseline: {error}")));
        coverage.merge(found);
    }
    if is_stopped.get() {
        // A part of a baseline says nothing of what is not in it.
        examined.not_examined.push(format!("baseline: it was stopped after {} bytes", examined.baseline_bytes));
        return none(Basis::None);
    }
    if let Some((id, name)) = impossible(ledger, &coverage) {
        examined.not_examined.push(format!(
            "the baseline contains a value of this run ({name}, number {id}), so that it was not taken before the run: it \
             explains no text"
        ));
        return none(Basis::None);
    }
    let basis = if examined.baseline_sources == 0 { Basis::Nothing } else { Basis::Baseline };
    Texts::new(ledger, basis, coverage, sample.pieces)
}

/// A value that cannot have been there before the run, and its name.
fn impossible<'l>(ledger: &'l Ledger, coverage: &Coverage) -> Option<(Id, &'l str)> {
    let found = coverage.ids().filter_map(|id| Some((id, ledger.value(id)?)));
    let new = found.filter(|(id, value)| match value.class {
        _ if is_text(ledger, value) => false,
        Class::Public => coverage.contains(*id, 0),
        _ => value.of_device,
    });
    new.min_by_key(|(id, _)| *id).map(|(id, value)| (id, ledger.describe(value.what)))
}

/// A sample of bytes from all over the sources.
#[derive(Default)]
struct Sample {
    pieces: Vec<u8>,
    /// Of so many pieces, two to this power, one is taken.
    spread: u32,
    seen: u64,
}

impl Sample {
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let is_taken = self.seen.trailing_zeros() >= self.spread;
            // Of machine code and pictures, a model of language learns nothing.
            if is_mostly_text(piece) {
                self.seen = self.seen.saturating_add(1);
                if is_taken {
                    self.add(piece);
                }
            }
        }
    }

    fn add(&mut self, piece: &[u8]) {
        if self.pieces.len().saturating_add(PIECE) > SAMPLE {
            // Keeps every other piece, and takes half as many from here on.
            let kept = self.pieces.chunks(PIECE).step_by(2).collect::<Vec<_>>().concat();
            self.pieces = kept;
            self.spread = self.spread.saturating_add(1);
        }
        self.pieces.extend_from_slice(piece);
        // The beginnings of pieces stay multiples of their length.
        self.pieces.resize(self.pieces.len().next_multiple_of(PIECE), b'\n');
    }
}

/// Whether at most an eighth of the bytes are control characters.
fn is_mostly_text(piece: &[u8]) -> bool {
    let is_control = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    piece.iter().filter(is_control).count() <= piece.len() / 8
}
