// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compromise: which messages are exposed if a thief also has a device's memory.
//!
//! A device's memory at a moment is its state as it sealed it, in a snapshot or in rows, which the trace has in the
//! clear.

use super::clauses::{Clauses, Rule, Watches};
use super::closure::Closure;
use super::examination::Examination;
use super::ledger::{Ledger, Message};
use super::secrecy_matrix::{Cell, MatrixRow, SecrecyMatrix, Theft};
use super::substring::Substrings;
use super::value::{Id, ParticipantId};

/// What a thief has in addition to one device's memory, and what the thief can do.
#[derive(Clone, Debug, Default)]
pub struct Thief {
    /// Further stolen bytes: a prekey's private half, another device's state.
    pub also_stolen: Vec<Vec<u8>>,
    /// Whether the thief has a quantum computer: X25519 private keys follow from public ones.
    pub quantum: bool,
}

impl Examination {
    /// The moments at which a device's memory can be stolen: whenever it sealed a snapshot.
    #[must_use]
    pub fn thefts(&self) -> Vec<Theft> {
        let ledger = self.ledger();
        let thefts = ledger.memories.iter().enumerate().map(|(memory, sealed)| Theft {
            device: ledger.participant_name(sealed.participant),
            at: sealed.at,
            memory,
        });
        thefts.collect()
    }

    /// The messages that each of these thefts alone exposes to a thief who also knows everything that the server knows.
    #[must_use]
    pub fn secrecy_matrix(&self, thefts: &[Theft], thief: &Thief) -> SecrecyMatrix {
        let ledger = self.ledger();
        let attack = Attack::new(ledger, thief);
        let columns: Vec<Closure> =
            thefts.iter().map(|theft| attack.closure(self.facts(), theft.memory_of(ledger))).collect();
        self.matrix(thefts, &columns)
    }

    /// As [`secrecy_matrix`](Self::secrecy_matrix), for a thief who commits all of these thefts.
    #[must_use]
    pub fn joint_secrecy_matrix(&self, thefts: &[Theft], thief: &Thief) -> SecrecyMatrix {
        let ledger = self.ledger();
        let attack = Attack::new(ledger, thief);
        let closure = attack.closure(self.facts(), thefts.iter().flat_map(|theft| theft.memory_of(ledger)));
        self.matrix(thefts, &std::vec![closure; thefts.len()])
    }

    fn matrix(&self, thefts: &[Theft], columns: &[Closure]) -> SecrecyMatrix {
        let ledger = self.ledger();
        let cell = |message: &Message, theft: &Theft, closure: &Closure| {
            let participant = theft.participant(ledger);
            let done = |by: ParticipantId, at: u32| Some(by) == participant && at < theft.at;
            let is_past =
                done(message.sender, message.sealed_at) || message.opened.is_some_and(|(by, at)| done(by, at));
            // The key decides, not the text: everyone may know the text, or another message may have the same.
            match (closure.knows(message.key), is_past) {
                (false, _) => Cell::Secret,
                (true, false) => Cell::Exposed,
                (true, true) => Cell::ExposedRetroactively,
            }
        };
        let row = |message: &Message| {
            thefts.iter().zip(columns).map(|(theft, closure)| cell(message, theft, closure)).collect()
        };
        SecrecyMatrix {
            messages: ledger.messages.iter().map(|message| describe(ledger, message)).collect(),
            thefts: thefts.to_vec(),
            cells: ledger.messages.iter().map(row).collect(),
            traces: ledger.traces.clone(),
        }
    }
}

fn describe(ledger: &Ledger, message: &Message) -> MatrixRow {
    MatrixRow {
        sender: ledger.participant_name(message.sender),
        sealed_at: message.sealed_at,
        opened_at: message.opened.map(|(_, at)| at),
    }
}

impl Theft {
    fn memory_of(&self, ledger: &Ledger) -> impl Iterator<Item = Id> {
        ledger.memories.get(self.memory).into_iter().flat_map(|memory| memory.states.iter().copied())
    }

    fn participant(&self, ledger: &Ledger) -> Option<ParticipantId> {
        ledger.memories.get(self.memory).map(|memory| memory.participant)
    }
}

/// The clauses and facts that are the same for all thefts.
struct Attack<'a> {
    ledger: &'a Ledger,
    clauses: Clauses,
    watches: Watches,
    also_stolen: Vec<Id>,
}

impl<'a> Attack<'a> {
    fn new(ledger: &'a Ledger, thief: &Thief) -> Self {
        let mut clauses = ledger.clauses.clone();
        if thief.quantum {
            ledger.quantum().for_each(|(public, private)| clauses.push(&[public], private, Rule::Quantum));
        }
        let watches = clauses.watches(ledger.values().count());
        let substrings = Substrings::of(ledger);
        let also_stolen = thief.also_stolen.iter().flat_map(|bytes| substrings.within(ledger, bytes)).collect();
        Self { ledger, clauses, watches, also_stolen }
    }

    /// The closure of the facts and the stolen states. The ledger has clauses from a state to everything within it.
    fn closure(&self, facts: &[Id], states: impl Iterator<Item = Id>) -> Closure {
        let all = facts.iter().copied().chain(self.also_stolen.iter().copied()).chain(states);
        Closure::of(&self.clauses, &self.watches, self.ledger.values().count(), all)
    }
}
