// SPDX-License-Identifier: MIT OR Apache-2.0
//! Horn clauses over values: which value follows from which others.

use super::value::{Id, index};

/// Why a clause holds, with the number of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Whoever knows the inputs of the operation can compute its output.
    Operation(u32),
    /// The value is a part of another one.
    Field(u32),
    /// The value is an expanded form of a private key.
    Expanded(u32),
    /// The value is a text with its padding, which is not secret.
    Padding(u32),
    /// The value is the concatenation of others.
    Whole(u32),
    /// The value is a shared secret, computed by the other side.
    OtherSide(u32),
    /// Two plaintexts were sealed under one key and nonce: each gives the other.
    TwoTimePad(u32),
    /// A quantum computer computes the private key.
    Quantum,
}

/// `premises → conclusion`, many times.
#[derive(Clone, Debug, Default)]
pub struct Clauses {
    premises: Vec<Id>,
    /// Where each clause's premises end.
    ends: Vec<u32>,
    pub(super) conclusions: Vec<Id>,
    rules: Vec<Rule>,
}

impl Clauses {
    pub(crate) fn push(&mut self, premises: &[Id], conclusion: Id, rule: Rule) {
        self.premises.extend_from_slice(premises);
        self.ends.push(u32::try_from(self.premises.len()).unwrap_or(u32::MAX));
        self.conclusions.push(conclusion);
        self.rules.push(rule);
    }

    pub(crate) fn len(&self) -> usize {
        self.conclusions.len()
    }

    pub(crate) fn premises(&self, clause: u32) -> &[Id] {
        let at = index(clause);
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| index(*end));
        let end = self.ends.get(at).map_or(start, |end| index(*end));
        self.premises.get(start..end).unwrap_or_default()
    }

    pub(crate) fn rule(&self, clause: u32) -> Option<Rule> {
        self.rules.get(index(clause)).copied()
    }

    /// For each value, the clauses that have it as a premise.
    #[must_use]
    pub fn watches(&self, values: usize) -> Watches {
        let mut starts = std::vec![0u32; values.saturating_add(1)];
        for premise in &self.premises {
            if let Some(count) = starts.get_mut(index(*premise).saturating_add(1)) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0u32;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let mut next = starts.clone();
        let mut clauses = std::vec![0; self.premises.len()];
        for clause in 0..u32::try_from(self.len()).unwrap_or(u32::MAX) {
            for premise in self.premises(clause) {
                if let Some(at) = next.get_mut(index(*premise)) {
                    if let Some(slot) = clauses.get_mut(index(*at)) {
                        *slot = clause;
                    }
                    *at = at.saturating_add(1);
                }
            }
        }
        Watches { starts, clauses }
    }
}

/// Clauses by their premises.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    starts: Vec<u32>,
    clauses: Vec<u32>,
}

impl Watches {
    pub(super) fn of(&self, value: Id) -> &[u32] {
        let at = index(value);
        let bound = |at: usize| self.starts.get(at).map_or(0, |start| index(*start));
        self.clauses.get(bound(at)..bound(at.saturating_add(1))).unwrap_or_default()
    }
}
