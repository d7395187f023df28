// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Examination`]: an audit whose evidence has been searched. Computes the closure and gives the verdict.

use super::class::Class;
use super::clauses::Rule;
use super::closure::{Closure, Known};
use super::derivation::Derivations;
use super::finding::{Finding, FindingKind};
use super::guessable::Guesses;
use super::ledger::Ledger;
use super::manifest::Manifest;
use super::search::Searched;
use super::value::{Id, PLAINTEXT};
use super::verdict::{MAX_FINDINGS, NOT_SHOWN, Outcome, Verdict};
use super::well_known::is_well_known;
use core::fmt;
use std::collections::BTreeSet;

/// An audit whose evidence has been searched.
pub struct Examination {
    ledger: Ledger,
    searched: Searched,
    manifest: Manifest,
}

impl fmt::Debug for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examination").field("examined", &self.searched.examined).finish_non_exhaustive()
    }
}

impl Examination {
    pub(super) const fn new(ledger: Ledger, searched: Searched, manifest: Manifest) -> Self {
        Self { ledger, searched, manifest }
    }

    pub(super) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the server knows from the start.
    pub(super) fn facts(&self) -> &[Id] {
        &self.searched.facts
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        let (ledger, searched) = (&self.ledger, &self.searched);
        let values = ledger.values().count();
        let watches = ledger.clauses.watches(values);
        let closure = Closure::of(&ledger.clauses, &watches, values, searched.facts.iter().copied());
        let guessed = BTreeSet::new();
        let derivations = Derivations { ledger, closure: &closure, places: &searched.whole, guessed: &guessed };

        let mut findings: Vec<Finding> = Vec::new();
        for (id, value) in ledger.values() {
            let is_secret = matches!(value.class, Class::Secret | Class::State) && value.of_device;
            let is_constant = ledger.bytes(id).is_some_and(is_well_known);
            // A user may write what everyone knows.
            let is_public_text = value.what == PLAINTEXT
                && (searched.public_texts.contains(&id)
                    || value.is_public && closure.how(id) == Known::Fact && !searched.whole.contains_key(&id));
            // If the seed is known, its expanded form is not another finding.
            let is_expansion = match closure.how(id) {
                Known::By(clause) => matches!(ledger.clauses.rule(clause), Some(Rule::Expanded(_))),
                Known::Not | Known::Fact => false,
            };
            if is_secret && !is_constant && !is_public_text && !is_expansion && closure.knows(id) {
                findings.push(self.known_secret(id, &derivations));
            }
        }
        for (id, places) in &searched.fragments {
            if ledger.value(*id).is_some_and(|value| value.class == Class::Secret) && !closure.knows(*id) {
                findings.push(Finding {
                    kind: FindingKind::FragmentInEvidence,
                    what: derivations.name(*id),
                    why: "the evidence contains a part of it".into(),
                    places: places.clone(),
                    derivation: Vec::new(),
                });
            }
        }
        for (id, places) in &searched.public_leaks {
            if !closure.knows(*id) {
                findings.push(Finding {
                    kind: FindingKind::SecretMadePublic,
                    what: derivations.name(*id),
                    why: "a public value contains a part of it".into(),
                    places: places.clone(),
                    derivation: Vec::new(),
                });
            }
        }
        for ((id, digest), places) in searched.digests.iter().filter(|((id, _), _)| !closure.knows(*id)) {
            findings.push(Finding {
                kind: FindingKind::DigestInEvidence,
                what: derivations.name(*id),
                why: format!("the evidence contains its {digest}: who guesses it can confirm the guess"),
                places: places.clone(),
                derivation: Vec::new(),
            });
        }
        findings.extend(self.guesses(&Guesses::of(ledger, &watches, &searched.facts, &closure)));
        findings.extend(ledger.flaws.iter().map(|flaw| derivations.flaw(*flaw)));
        findings.sort_by_key(|finding| finding.kind);
        let outcome = match &searched.examined {
            _ if !findings.is_empty() => Outcome::Finding,
            examined if !examined.not_examined.is_empty() => Outcome::CouldNotExamine,
            examined if examined.secrets_not_searched > 0 => Outcome::HoldsInPart,
            _ => Outcome::Holds,
        };
        let unjudged = searched.unjudged.iter().filter(|(id, _)| !closure.knows(**id)).take(MAX_FINDINGS);
        let unjudged = unjudged.map(|(id, places)| Finding {
            kind: FindingKind::TextMayHaveLeaked,
            what: derivations.name(*id),
            why: "the evidence contains it, or a part of it that is not ordinary language".into(),
            places: places.clone(),
            derivation: Vec::new(),
        });
        let unjudged = unjudged.collect();
        let findings_not_listed = findings.len().saturating_sub(MAX_FINDINGS);
        findings.truncate(MAX_FINDINGS);
        Verdict {
            outcome,
            findings,
            findings_not_listed,
            unjudged,
            examined: searched.examined.clone(),
            not_shown: NOT_SHOWN.to_vec(),
            manifest: self.manifest.clone(),
        }
    }

    /// A finding for all values that can be guessed and from which together a secret follows.
    fn guesses(&self, guesses: &Guesses) -> Vec<Finding> {
        let Guesses { guessed, closure, opened } = guesses;
        let derivations = Derivations { ledger: &self.ledger, closure, places: &self.searched.whole, guessed };
        let finding = |(guesses, &(secret, count)): (&BTreeSet<Id>, &(Id, usize))| {
            let more = match count.saturating_sub(1) {
                0 => String::new(),
                1 => String::from("; so does one more secret"),
                more => format!("; so do {more} more secrets"),
            };
            let names: Vec<String> = guesses.iter().map(|guess| derivations.name(*guess)).collect();
            Finding {
                kind: FindingKind::GuessableSecret,
                what: names.join(" and "),
                why: format!(
                    "it is short enough that all its values can be tried, or a common password: {} (by {}) follows from \
                     it and from what the server has{more}",
                    derivations.name(secret),
                    derivations.operation_of(secret),
                ),
                places: Vec::new(),
                derivation: derivations.derivation(secret),
            }
        };
        opened.iter().map(finding).collect()
    }

    fn known_secret(&self, id: Id, derivations: &Derivations<'_>) -> Finding {
        let places = derivations.places(id);
        let value = self.ledger.value(id);
        let is_plaintext = value.is_some_and(|value| value.what == PLAINTEXT || self.ledger.is_plaintext(value.what));
        let is_public = value.is_some_and(|value| value.is_public);
        let (kind, why) = match (derivations.closure.how(id), places.is_empty(), is_public) {
            (Known::By(_), ..) => (FindingKind::Derivable, "follows from what the server has"),
            (_, true, true) => (FindingKind::SecretMadePublic, "used as a secret, and where everyone sees it"),
            (_, true, false) => (FindingKind::Derivable, "the server's own operations have it"),
            (_, false, _) if is_plaintext => (FindingKind::PlaintextInEvidence, "the evidence contains it"),
            (_, false, _) => (FindingKind::SecretInEvidence, "the evidence contains it"),
        };
        Finding { kind, what: derivations.name(id), why: why.into(), places, derivation: derivations.derivation(id) }
    }
}
