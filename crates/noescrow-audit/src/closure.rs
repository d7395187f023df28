// SPDX-License-Identifier: MIT OR Apache-2.0
//! The closure of some values: everything that follows from them by the clauses, each value with the clause that gives
//! it.
//!
//! Forward chaining with a counter for each clause (Dowling and Gallier 1984): every premise is visited once, so that
//! the time is linear in the size of the clauses.

use super::clauses::{Clauses, Rule, Watches};
use super::value::{Id, index};
use std::collections::VecDeque;

/// How a value came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is not known.
    Not,
    /// It is one of the facts.
    Fact,
    /// It follows by this clause.
    By(u32),
}

/// Everything that follows from some facts.
#[derive(Clone, Debug)]
pub struct Closure {
    known: Vec<Known>,
}

impl Closure {
    /// The closure of `facts`, computed breadth first, so that each derivation is among the shallowest.
    pub fn of(clauses: &Clauses, watches: &Watches, values: usize, facts: impl IntoIterator<Item = Id>) -> Self {
        let mut missing: Vec<u32> = (0..u32::try_from(clauses.len()).unwrap_or(u32::MAX))
            .map(|clause| u32::try_from(clauses.premises(clause).len()).unwrap_or(u32::MAX))
            .collect();
        let mut known = std::vec![Known::Not; values];
        let mut queue = VecDeque::new();
        let mut learn = |value: Id, how: Known, queue: &mut VecDeque<Id>| {
            if let Some(known @ Known::Not) = known.get_mut(index(value)) {
                *known = how;
                queue.push_back(value);
            }
        };
        facts.into_iter().for_each(|fact| learn(fact, Known::Fact, &mut queue));
        // Clauses without a premise: the hash of an empty input.
        for (clause, conclusion) in (0..).zip(&clauses.conclusions) {
            if clauses.premises(clause).is_empty() {
                learn(*conclusion, Known::By(clause), &mut queue);
            }
        }
        while let Some(value) = queue.pop_front() {
            for &clause in watches.of(value) {
                let Some(left) = missing.get_mut(index(clause)) else { continue };
                *left = left.saturating_sub(1);
                if *left == 0
                    && let Some(conclusion) = clauses.conclusions.get(index(clause))
                {
                    learn(*conclusion, Known::By(clause), &mut queue);
                }
            }
        }
        Self { known }
    }

    /// How a value came to be known.
    #[must_use]
    pub fn how(&self, value: Id) -> Known {
        self.known.get(index(value)).copied().unwrap_or(Known::Not)
    }

    /// Whether a value is known.
    #[must_use]
    pub fn knows(&self, value: Id) -> bool {
        self.how(value) != Known::Not
    }

    /// The values from which `value` follows, each after its own premises; `value` comes last.
    pub(crate) fn derivation(&self, clauses: &Clauses, value: Id) -> Vec<Id> {
        let (mut order, mut seen) = (Vec::new(), std::collections::HashSet::new());
        // Each entry is a value and whether its premises have been visited. No recursion: chains may be long.
        let mut stack = std::vec![(value, false)];
        while let Some((value, visited)) = stack.pop() {
            if visited {
                order.push(value);
            } else if seen.insert(value) {
                stack.push((value, true));
                if let Known::By(clause) = self.how(value) {
                    stack.extend(clauses.premises(clause).iter().map(|premise| (*premise, false)));
                }
            }
        }
        order
    }
}

/// For the benchmark: computes the closure of a symmetric ratchet of this many operations, all of which follow from the
/// first chain key. Returns how many operations' outputs are known.
#[must_use]
pub fn closure_of_chain(operations: u32) -> u32 {
    let mut clauses = Clauses::default();
    // Chain keys are even, message keys odd; a message key follows from its chain key and a label, as the next does.
    let label = operations.saturating_mul(2).saturating_add(2);
    for step in 0..operations / 2 {
        let chain = step.saturating_mul(2);
        clauses.push(&[chain, label], chain.saturating_add(1), Rule::Operation(step));
        clauses.push(&[chain, label], chain.saturating_add(2), Rule::Operation(step));
    }
    let values = index(label).saturating_add(1);
    let closure = Closure::of(&clauses, &clauses.watches(values), values, [0, label]);
    let known = (1..label).filter(|value| closure.knows(*value)).count();
    u32::try_from(known).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closure(clauses: &Clauses, facts: &[Id]) -> Closure {
        Closure::of(clauses, &clauses.watches(10), 10, facts.iter().copied())
    }

    #[test]
    fn closure_has_what_follows_and_nothing_else() {
        let mut clauses = Clauses::default();
        clauses.push(&[0, 1], 2, Rule::Operation(0));
        clauses.push(&[2, 2], 3, Rule::Operation(1));
        clauses.push(&[3, 4], 5, Rule::Operation(2));
        clauses.push(&[5], 3, Rule::Operation(3));
        let known = closure(&clauses, &[0, 1]);
        assert_eq!((0..10).filter(|value| known.knows(*value)).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(known.derivation(&clauses, 3), [1, 0, 2, 3]);
        assert_eq!(known.how(3), Known::By(1));
        let mut axioms = Clauses::default();
        axioms.push(&[], 4, Rule::Operation(0));
        assert!(closure(&axioms, &[]).knows(4) && !closure(&axioms, &[]).knows(3));
        // With one premise less nothing follows; with one more everything does, through cycles too.
        assert!(!closure(&clauses, &[0]).knows(2));
        assert!(closure(&clauses, &[0, 1, 4]).knows(5));
    }

    /// The reference applies all clauses again and again until nothing changes.
    #[test]
    fn closure_equals_the_naive_reference() {
        let mut seed = 1u64;
        let mut draw = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((seed >> 33) % bound).unwrap()
        };
        for _ in 0..500 {
            let mut clauses = Clauses::default();
            let mut plain = Vec::new();
            for _ in 0..draw(30) {
                let premises: Vec<Id> = (0..=draw(3)).map(|_| draw(10)).collect();
                let conclusion = draw(10);
                clauses.push(&premises, conclusion, Rule::Quantum);
                plain.push((premises, conclusion));
            }
            let facts: Vec<Id> = (0..draw(4)).map(|_| draw(10)).collect();
            let mut known: std::collections::BTreeSet<Id> = facts.iter().copied().collect();
            loop {
                let before = known.len();
                for (premises, conclusion) in &plain {
                    if premises.iter().all(|premise| known.contains(premise)) {
                        known.insert(*conclusion);
                    }
                }
                if known.len() == before {
                    break;
                }
            }
            let fast = closure(&clauses, &facts);
            assert_eq!((0..10).filter(|value| fast.knows(*value)).collect::<std::collections::BTreeSet<_>>(), known);
        }
    }
}
