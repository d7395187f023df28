// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Texts`]: whether a text, or a part of one, that the evidence contains is a leak, or what other software contains
//! as well.
//!
//! Sixteen bytes of a key are in the evidence because it leaked. Sixteen bytes of a text may be there because people
//! write what others wrote: " as soon as possible" is in the libraries of every system. A hit of a text is therefore
//! judged by three things: how much of the text is there, in one place; how surprising it is, by a model of ordinary
//! language (`rarity.rs`); and which of its fragments the *baseline* contains, software and files that were there before
//! the run.
//!
//! `examples/text_rates` measures how often the rule is wrong, in ten languages; `spec/audit.md`, section 8, has the
//! tables. False findings: none of 30,000 quotations in seven languages; 0.1 % of sentences of other programs than those
//! that wrote the evidence, 2 % of sentences of the same. Missed when they leak whole: 0.1 % of quotations, 20 % of
//! sentences of the same programs. Missed parts of quotations: 92 % of 24 bytes, 60 % of 32, at most 9 % of 48, and at most
//! 2 % of 64; in Russian, whose letters have two bytes, 92 % of 48 and 54 % of 64.

use super::idioms::{IDIOMS, formed};
use super::ledger::Ledger;
use super::rarity::{Model, PARTS};
use super::value::{Id, PLAINTEXT, Value};
use core::cell::{OnceCell, RefCell};
use core::ops::Range;
use leakscan::{Coverage, Evidence, FRAGMENT, Needles};
use std::collections::HashMap;

/// A message leaked as a whole if this share of it is in one place, in percent: loggers cut off ends, trim, and quote.
const WHOLE_PERCENT: usize = 90;
/// Bits of surprise that a whole message needs. A greeting has fewer.
const WHOLE_BITS: u64 = 45;
/// Successive fragments that the baseline does not have, and their bits of surprise, from which on a part is a leak.
const PART: (usize, u64) = (4, 100);
/// Bits from which on one unknown fragment is a leak, if it is no text: nearly as many as random bytes have.
const BINARY_BITS: u64 = 110;

/// What the audit knows of texts that are there in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Basis {
    /// Nothing: no baseline was given.
    #[default]
    None,
    /// There is no other software: whatever is found has leaked.
    Nothing,
    /// A baseline.
    Baseline,
}

/// What a part of a text in the evidence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The baseline has it, or it is too ordinary.
    Ordinary,
    /// A leaked part, with its bits of surprise.
    Part(u64),
    /// The whole text, or nearly.
    Whole(u64),
}

/// Judges hits of texts.
pub(super) struct Texts<'l> {
    ledger: &'l Ledger,
    pub(super) basis: Basis,
    known: Coverage,
    sample: Vec<u8>,
    /// Built only if a text is found.
    model: OnceCell<Model>,
    /// For each text that was found, the sums of surprise up to each byte.
    sums: RefCell<HashMap<Id, Vec<u64>>>,
}

/// Whether a value is a text that a user wrote.
pub(super) fn is_text(ledger: &Ledger, value: &Value) -> bool {
    value.what == PLAINTEXT || ledger.is_plaintext(value.what)
}

impl<'l> Texts<'l> {
    /// `known` has the fragments that a baseline contains, and `sample` is a part of its bytes.
    pub(super) fn new(ledger: &'l Ledger, basis: Basis, known: Coverage, sample: Vec<u8>) -> Self {
        let (model, sums) = (OnceCell::new(), RefCell::default());
        let mut texts = Self { ledger, basis, known, sample, model, sums };
        if basis != Basis::Nothing {
            texts.add_idioms();
        }
        texts
    }

    /// Whether the baseline has this short text as a whole token.
    pub(super) fn baseline_has_token(&self, id: Id) -> bool {
        self.known.has_token(id)
    }

    /// Adds what files and protocols have in common to what is known.
    fn add_idioms(&mut self) {
        let mut needles = Needles::new();
        for (id, value) in self.ledger.values() {
            let Some(bytes) = self.ledger.beginning(id).filter(|_| is_text(self.ledger, value)) else { continue };
            needles.add_secret(id, bytes);
            formed(bytes).into_iter().for_each(|part| self.known.insert(id, part));
        }
        // An index that cannot be built is reported by the search of the evidence.
        let Ok(index) = needles.build() else { return };
        let idioms = IDIOMS.iter().fold(Evidence::new(), |idioms, idiom| idioms.bytes("", idiom));
        let (found, ..) = idioms.cover(&index, &mut |_| {}, |_, _| {});
        self.known.merge(found);
    }

    /// Whether the baseline contains the beginning of a value.
    pub(super) fn is_known(&self, id: Id) -> bool {
        self.known.contains(id, 0)
    }

    /// Judges a part of a text that is in one place.
    pub(super) fn judge(&self, id: Id, part: Range<usize>) -> Judgement {
        // Of a padded text, only the beginning may have been kept.
        let len = self.ledger.beginning(id).map_or(0, <[u8]>::len);
        let is_whole = part.len().saturating_mul(100) >= len.saturating_mul(WHOLE_PERCENT);
        if self.basis == Basis::Nothing {
            return if part.len() >= len { Judgement::Whole(u64::MAX) } else { Judgement::Part(u64::MAX) };
        }
        let mut unknown = self.known.missing(id, part.clone()).peekable();
        if unknown.peek().is_none() {
            return Judgement::Ordinary;
        }
        let all = self.bits(id, part.clone());
        if is_whole && all >= WHOLE_BITS {
            return Judgement::Whole(all);
        }
        let bytes = self.ledger.beginning(id).unwrap_or_default();
        let is_leak = |starts: &Range<usize>| {
            let fragments = starts.start..starts.end.saturating_add(FRAGMENT).saturating_sub(1);
            let bits = self.bits(id, fragments.clone());
            starts.len() >= PART.0 && bits >= PART.1
                || bits >= BINARY_BITS && !bytes.get(fragments).is_some_and(may_be_text)
        };
        if unknown.any(|starts| is_leak(&starts)) { Judgement::Part(all) } else { Judgement::Ordinary }
    }

    /// The rank of a hit: zero for what is ordinary, and higher for what is more surprising. A value that is no text has
    /// leaked in any case.
    pub(super) fn rank(&self, id: Id, part: Range<usize>) -> u64 {
        if !self.ledger.value(id).is_some_and(|value| is_text(self.ledger, value)) {
            return 1;
        }
        match self.judge(id, part) {
            Judgement::Ordinary => 0,
            Judgement::Part(bits) => bits.min(u64::MAX / 2).saturating_add(1),
            Judgement::Whole(bits) => bits.saturating_add(u64::MAX / 2),
        }
    }

    /// The surprise of a part of a text, in bits.
    fn bits(&self, id: Id, part: Range<usize>) -> u64 {
        let mut sums = self.sums.borrow_mut();
        let sums = sums.entry(id).or_insert_with(|| {
            let model = self.model.get_or_init(|| Model::of(&self.sample));
            let bytes = self.ledger.beginning(id).unwrap_or_default();
            let sum = |sum: &mut u64, parts: u32| {
                *sum = sum.saturating_add(u64::from(parts));
                Some(*sum)
            };
            [0].into_iter().chain(model.surprise(bytes).into_iter().scan(0, sum)).collect()
        });
        let at = |at: usize| sums.get(at).or(sums.last()).copied().unwrap_or(0);
        at(part.end).saturating_sub(at(part.start)) / PARTS
    }
}

/// Whether bytes may be a part of a text: valid UTF-8 but for a character that is cut off at either end, and no control
/// characters but white space.
fn may_be_text(bytes: &[u8]) -> bool {
    let is_continuation = |byte: &&u8| **byte & 0xC0 == 0x80;
    let cut = bytes.iter().take(3).take_while(is_continuation).count();
    let bytes = bytes.get(cut..).unwrap_or_default();
    let is_cut = |error: core::str::Utf8Error| error.error_len().is_none();
    let is_utf8 = core::str::from_utf8(bytes).map_or_else(is_cut, |_| true);
    is_utf8 && !bytes.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}
