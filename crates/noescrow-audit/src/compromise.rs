// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compromise: what falls when somebody also has a device's memory. The secrecy matrix of a run: message by time of theft.
//!
//! A device's memory at a time is its state as it sealed it in a snapshot (step SN-1): the trace has it in the clear.
//! Forward secrecy is the part of the matrix before the theft, healing the part behind it.

use super::Examination;
use super::clauses::{Closure, Rule, Watches};
use super::ledger::{Id, Ledger, Message, Who, index};
use super::substring::Substrings;

/// When a device's memory was read: one of the moments at which it sealed a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Theft {
    /// The device's name.
    pub device: String,
    /// The operation before which it happened.
    pub at: u32,
    /// Which of the run's snapshots it was.
    pub(crate) memory: usize,
}

/// A message of the run, as a row of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct MatrixRow {
    /// Its sender's name.
    pub sender: String,
    /// The operation that sealed it.
    pub sealed_at: u32,
    /// The operation that opened it, if any did.
    pub opened_at: Option<u32>,
}

/// Where a message stands to a theft; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub enum Cell {
    /// The thief does not get it.
    Secret,
    /// The thief gets it: it was under way to the device, or was sent before the conversation healed.
    Falls,
    /// The thief gets it although the device had sent it, or had received it, before the theft: forward secrecy failed.
    FallsAfterTheFact,
}

/// For each message and each theft, whether the message falls.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SecrecyMatrix {
    /// The messages, in the order of their sending; of several traces, in one that can have been.
    pub messages: Vec<MatrixRow>,
    /// The thefts, in the order of time.
    pub thefts: Vec<Theft>,
    /// A row for each message, in it a cell for each theft.
    pub cells: Vec<Vec<Cell>>,
    /// The first operation of each trace: numbers of different traces say nothing about time.
    #[serde(skip)]
    pub(crate) traces: Vec<u32>,
}

/// How long a theft hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Healing {
    /// Messages sent after the theft, up to and with the last that falls.
    pub messages: usize,
    /// Changes of direction among them: two are a round trip.
    pub turns: usize,
    /// Whether a message was sent behind them that does not fall: without one, nothing says that it healed.
    pub healed: bool,
}

impl SecrecyMatrix {
    /// How long the theft of this number hurts.
    #[must_use]
    pub fn healing(&self, theft: usize) -> Option<Healing> {
        let at = self.thefts.get(theft)?.at;
        let after: Vec<(&MatrixRow, Cell)> = self
            .messages
            .iter()
            .zip(&self.cells)
            .filter(|(message, _)| self.is_after(message, at))
            .filter_map(|(message, row)| Some((message, *row.get(theft)?)))
            .collect();
        let exposed =
            after.iter().rposition(|(_, cell)| *cell != Cell::Secret).map_or(0, |last| last.saturating_add(1));
        let senders = after.iter().take(exposed).map(|(message, _)| &message.sender);
        let turns = senders.clone().zip(senders.skip(1)).filter(|(one, next)| one != next).count();
        Some(Healing { messages: exposed, turns, healed: exposed < after.len() })
    }

    fn trace_of(&self, operation: u32) -> usize {
        self.traces.partition_point(|start| *start <= operation)
    }

    /// Whether a message was sealed after an operation. In another trace, what comes behind all of which that device had
    /// opened something by then: it may have been after.
    fn is_after(&self, message: &MatrixRow, at: u32) -> bool {
        let (here, there) = (self.trace_of(at), self.trace_of(message.sealed_at));
        if here == there {
            return message.sealed_at > at;
        }
        let came_before = |row: &&MatrixRow| {
            let opened = row.opened_at.filter(|opened| self.trace_of(*opened) == here && *opened < at);
            opened.is_some() && self.trace_of(row.sealed_at) == there
        };
        let last = self.messages.iter().filter(came_before).map(|row| row.sealed_at).max();
        last.is_none_or(|last| message.sealed_at > last)
    }

    /// Cells in which forward secrecy failed, as (message, theft).
    #[must_use]
    pub fn failures_of_forward_secrecy(&self) -> Vec<(usize, usize)> {
        let rows = self.cells.iter().enumerate();
        rows.flat_map(|(message, row)| {
            let failed = row.iter().enumerate().filter(|(_, cell)| **cell == Cell::FallsAfterTheFact);
            failed.map(move |(theft, _)| (message, theft))
        })
        .collect()
    }
}

/// What a thief has beside one device's memory, and what the thief can do.
#[derive(Clone, Debug, Default)]
pub struct Thief {
    /// Bytes that are stolen too: a prekey's private half, another device's state.
    pub also: Vec<Vec<u8>>,
    /// Whether X25519 private keys follow from public ones.
    pub quantum: bool,
}

impl Examination {
    /// The moments at which a device's memory can be stolen: each time it sealed a snapshot.
    #[must_use]
    pub fn thefts(&self) -> Vec<Theft> {
        let ledger = self.ledger();
        let thefts = ledger.memories.iter().enumerate().map(|(memory, sealed)| Theft {
            device: name_of(ledger, sealed.participant),
            at: sealed.at,
            memory,
        });
        thefts.collect()
    }

    /// Who steals which device when, one by one, on top of all that the server knows: which messages fall?
    #[must_use]
    pub fn secrecy_matrix(&self, thefts: &[Theft], thief: &Thief) -> SecrecyMatrix {
        let ledger = self.ledger();
        let stage = Stage::new(ledger, thief);
        let columns: Vec<Closure> =
            thefts.iter().map(|theft| stage.closure(self.facts(), theft.memory_of(ledger).into_iter())).collect();
        self.matrix(thefts, &columns)
    }

    /// As [`secrecy_matrix`](Self::secrecy_matrix), with all of these thefts together as one.
    #[must_use]
    pub fn after_all(&self, thefts: &[Theft], thief: &Thief) -> SecrecyMatrix {
        let ledger = self.ledger();
        let stage = Stage::new(ledger, thief);
        let states: Vec<Id> = thefts.iter().filter_map(|theft| theft.memory_of(ledger)).collect();
        let closure = stage.closure(self.facts(), states.into_iter());
        self.matrix(thefts, &std::vec![closure; thefts.len()])
    }

    fn matrix(&self, thefts: &[Theft], columns: &[Closure]) -> SecrecyMatrix {
        let ledger = self.ledger();
        let cell = |message: &Message, theft: &Theft, closure: &Closure| {
            let participant = theft.participant(ledger);
            let done = |who: Who, at: u32| Some(who) == participant && at < theft.at;
            let is_past =
                done(message.sender, message.sealed_at) || message.opened.is_some_and(|(who, at)| done(who, at));
            // Its key, not its text: a text may be what everybody knows, or that of another message too.
            match (closure.knows(message.key), is_past) {
                (false, _) => Cell::Secret,
                (true, false) => Cell::Falls,
                (true, true) => Cell::FallsAfterTheFact,
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
        sender: name_of(ledger, message.sender),
        sealed_at: message.sealed_at,
        opened_at: message.opened.map(|(_, at)| at),
    }
}

pub(crate) fn name_of(ledger: &Ledger, participant: Who) -> String {
    ledger.participants.get(index(participant)).map_or_else(String::new, |who| who.name.clone())
}

impl Theft {
    fn memory_of(&self, ledger: &Ledger) -> Option<Id> {
        ledger.memories.get(self.memory).map(|memory| memory.state)
    }

    fn participant(&self, ledger: &Ledger) -> Option<Who> {
        ledger.memories.get(self.memory).map(|memory| memory.participant)
    }
}

/// What is the same for all thefts.
struct Stage<'a> {
    ledger: &'a Ledger,
    clauses: super::clauses::Clauses,
    watches: Watches,
    also: Vec<Id>,
}

impl<'a> Stage<'a> {
    fn new(ledger: &'a Ledger, thief: &Thief) -> Self {
        let mut clauses = ledger.clauses.clone();
        if thief.quantum {
            ledger.quantum().for_each(|(public, private)| clauses.push(&[public], private, Rule::Quantum));
        }
        let watches = clauses.watches(ledger.values().count());
        let inner = Substrings::of(ledger);
        let also = thief.also.iter().flat_map(|bytes| inner.within(ledger, bytes)).collect();
        Self { ledger, clauses, watches, also }
    }

    /// A state is known with all that lies within it: the ledger has clauses for that.
    fn closure(&self, facts: &[Id], states: impl Iterator<Item = Id>) -> Closure {
        let all = facts.iter().copied().chain(self.also.iter().copied()).chain(states);
        Closure::of(&self.clauses, &self.watches, self.ledger.values().count(), all)
    }
}
