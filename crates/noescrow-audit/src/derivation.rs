// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptions of values, and derivations: how a value follows from what the server has.

use super::class::Class;
use super::clauses::Rule;
use super::closure::{Closure, Known};
use super::finding::{DerivationStep, EvidencePlace, Finding, FindingKind};
use super::ledger::{Flaw, Ledger};
use super::value::{Id, index};
use leakscan::printable;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Places in the evidence that a finding lists.
const MAX_PLACES: usize = 16;

/// Describes values, and derives how they came to be known.
pub(super) struct Derivations<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) closure: &'a Closure,
    /// The places of values in the evidence.
    pub(super) places: &'a BTreeMap<Id, Vec<EvidencePlace>>,
    /// Values that are guessed.
    pub(super) guessed: &'a BTreeSet<Id>,
}

impl Derivations<'_> {
    /// Name, owner, step and operation of a value: "chain key, Alice at DR-E2 (operation 7)".
    pub(super) fn name(&self, id: Id) -> String {
        let Some(value) = self.ledger.value(id) else { return String::new() };
        format!("{}, {}", self.ledger.describe(value.what), self.operation(value.operation))
    }

    fn operation(&self, operation: u32) -> String {
        let Some(performed) = self.ledger.operations.get(index(operation)) else { return String::new() };
        let step = printable(self.ledger.steps.get(usize::from(performed.step)).map_or("", String::as_str));
        format!("{} at {step} (operation {operation})", self.ledger.participant_name(performed.participant))
    }

    fn because(&self, id: Id) -> String {
        let kind =
            |operation: u32| self.ledger.operations.get(index(operation)).map_or("", |performed| performed.kind.name());
        match self.closure.how(id) {
            Known::Not => "not known".into(),
            Known::Fact if self.guessed.contains(&id) => "guessed".into(),
            Known::Fact => match (self.places.get(&id).and_then(|places| places.first()), self.ledger.value(id)) {
                (Some(place), _) => format!("in the evidence: {place}"),
                (None, Some(value)) if value.is_public => "public".into(),
                (None, Some(value)) if value.made_by_server => "the server made it".into(),
                (None, Some(value)) if value.has_origin && value.len == 0 => "empty".into(),
                _ => "known to the server, or well known".into(),
            },
            Known::By(clause) => match self.ledger.clauses.rule(clause) {
                Some(Rule::Operation(at)) => format!("by {}, as in operation {at}", kind(at)),
                Some(Rule::Field(at)) => format!("by extracting a part, as in operation {at}"),
                Some(Rule::Expanded(at)) => format!("by expanding the key of operation {at}"),
                Some(Rule::Padding(at)) => format!("by padding, as in operation {at}"),
                Some(Rule::Whole(at)) => format!("by joining its parts, as in operation {at}"),
                Some(Rule::OtherSide(at)) => format!("by the other side of {} in operation {at}", kind(at)),
                Some(Rule::TwoTimePad(at)) => format!("by the repeated key and nonce of operation {at}"),
                Some(Rule::Quantum) => "by a quantum computer".into(),
                None => String::new(),
            },
        }
    }

    /// The derivation of a value, each step after its premises.
    pub(super) fn derivation(&self, id: Id) -> Vec<DerivationStep> {
        let order = self.closure.derivation(&self.ledger.clauses, id);
        let at: HashMap<Id, usize> = order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let step = |id: &Id| {
            let from = match self.closure.how(*id) {
                Known::By(clause) => {
                    let premises = self.ledger.clauses.premises(clause).iter();
                    premises.filter_map(|premise| at.get(premise).copied()).collect()
                }
                _ => Vec::new(),
            };
            let value = self.ledger.value(*id);
            let is_secret = value.is_some_and(|value| matches!(value.class, Class::Secret | Class::State));
            let is_cause = self.closure.how(*id) == Known::Fact
                && (self.guessed.contains(id)
                    || is_secret && self.places.contains_key(id)
                    || value.is_some_and(|value| value.made_by_server));
            DerivationStep { value: self.name(*id), because: self.because(*id), from, is_cause }
        };
        order.iter().map(step).collect()
    }

    /// The operation by which a value follows, or that had it first.
    pub(super) fn operation_of(&self, id: Id) -> String {
        let rule = match self.closure.how(id) {
            Known::By(clause) => self.ledger.clauses.rule(clause),
            Known::Not | Known::Fact => None,
        };
        let first = self.ledger.value(id).map_or(0, |value| value.operation);
        let at = match rule {
            Some(Rule::Operation(at) | Rule::Field(at) | Rule::OtherSide(at)) => at,
            _ => first,
        };
        let kind = self.ledger.operations.get(index(at)).map_or("", |performed| performed.kind.name());
        format!("{kind}, {}", self.operation(at))
    }

    /// A flaw of the run itself, as a finding.
    pub(super) fn flaw(&self, flaw: Flaw) -> Finding {
        let (kind, what, why) = match flaw {
            Flaw::RepeatedFresh { value, first, again } => (
                FindingKind::RepeatedFresh,
                self.name(value),
                format!("drawn by {} and again by {}", self.operation(first), self.operation(again)),
            ),
            Flaw::TwoTimePad { key, first, again } => (
                FindingKind::TwoTimePad,
                self.name(key),
                format!(
                    "used to seal by {}, and to seal something else by {}",
                    self.operation(first),
                    self.operation(again)
                ),
            ),
            Flaw::LeakingDraw { value, operation } => (
                FindingKind::SecretMadePublic,
                self.name(value),
                format!("a part of it was drawn, as if anew, by {}", self.operation(operation)),
            ),
            Flaw::DoesNotRecompute { operation } => (
                FindingKind::DoesNotRecompute,
                self.operation(operation),
                "an independent implementation computes another output from these inputs".into(),
            ),
            Flaw::UnknownOrigin { value, operation } => (
                FindingKind::UnknownOrigin,
                self.name(value),
                format!(
                    "used by {}, although it was neither drawn, derived, given nor restored",
                    self.operation(operation)
                ),
            ),
            Flaw::ServerInKey { value, operation } => (
                FindingKind::ServerInKey,
                self.name(value),
                format!("made by a server and used by {}", self.operation(operation)),
            ),
        };
        Finding { kind, what, why, places: Vec::new(), derivation: Vec::new() }
    }

    /// The places of a value, at most [`MAX_PLACES`] of them.
    pub(super) fn places(&self, id: Id) -> Vec<EvidencePlace> {
        self.places.get(&id).map_or_else(Vec::new, |places| places.iter().take(MAX_PLACES).cloned().collect())
    }
}
