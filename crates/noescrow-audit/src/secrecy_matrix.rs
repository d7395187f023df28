// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`SecrecyMatrix`]: which messages of a run are exposed by which theft of a device's memory.
//!
//! Forward secrecy is the part of the matrix before the theft, healing the part after it.

/// The theft of a device's memory, at one of the moments at which the device sealed a snapshot.
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

/// Whether a theft exposes a message. The greater, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub enum Cell {
    /// The message is secret.
    Secret,
    /// The thief reads it: it was in transit to the device, or was sent before the conversation healed.
    Exposed,
    /// The thief reads it although the device had sent or received it before the theft: forward secrecy failed.
    ExposedRetroactively,
}

/// For each message and each theft, whether the theft exposes the message.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SecrecyMatrix {
    /// The messages, in the order in which they were sent; those of several traces in a possible order.
    pub messages: Vec<MatrixRow>,
    /// The thefts, in the order of time.
    pub thefts: Vec<Theft>,
    /// A row for each message, in it a cell for each theft.
    pub cells: Vec<Vec<Cell>>,
    /// The first operation of each trace: operation numbers of different traces are in no order of time.
    #[serde(skip)]
    pub(crate) traces: Vec<u32>,
}

/// For how long a theft exposes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Healing {
    /// Messages sent after the theft, up to the last one that is exposed, which is included.
    pub messages: usize,
    /// Changes of direction among them: two are a round trip.
    pub turns: usize,
    /// Whether a later message is secret: without one, nothing shows that the conversation healed.
    pub healed: bool,
}

impl SecrecyMatrix {
    /// For how long the theft of this number exposes messages.
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

    /// Whether a message was sealed after an operation. A message of another trace counts as later unless that device
    /// had opened it, or a later message of that trace, by then.
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
            let failed = row.iter().enumerate().filter(|(_, cell)| **cell == Cell::ExposedRetroactively);
            failed.map(move |(theft, _)| (message, theft))
        })
        .collect()
    }
}
