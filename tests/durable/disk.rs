// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Disk`]: a store in memory, with faults.

use noescrow::durable::{AsyncStore, Batch, CommitAction, CommitError, Received, Row, RowName, Sent, Store, Subject};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::task::Poll;

/// The behaviour of the store at one commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// An error, nothing written.
    Refuses,
    /// Nothing written, and the store does not know that.
    LosesTheBatch,
    /// Written, and the store does not know that.
    CommitsAndFails,
    /// Control: reports success without writing.
    FalseSuccess,
}

/// How the store finds out whether it may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    #[default]
    Judge,
    /// Control: a generation that is not above the stored one is refused, whatever is written.
    HigherGeneration,
    /// Control: a generation that is stored already counts as saved, whoever saved it.
    GenerationAlone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("disk full")
    }
}

impl std::error::Error for Broken {}

#[derive(Clone, Default)]
pub struct Disk {
    pub rows: BTreeMap<(Subject, RowName), Vec<u8>>,
    /// Plaintexts by their messages' ids.
    pub inbox: BTreeMap<[u8; 16], Vec<u8>>,
    /// Messages to send, in order.
    pub outbox: Vec<Vec<u8>>,
    /// The faults of the next commits; none after them.
    pub faults: Vec<Fault>,
    pub check: Check,
    /// Control: the inbox is not a part of the transaction.
    pub ignores_messages: bool,
    /// What the last batch has for inbox and outbox.
    pub last: (Option<Received>, Option<Sent>),
    /// Number of commits, with those that failed.
    pub commits: usize,
    /// Names and lengths of the rows that the last commit wrote.
    pub written: Vec<(RowName, usize)>,
    /// How often an asynchronous commit waits, before it writes and after.
    pub waits: (usize, usize),
}

impl Disk {
    pub fn subjects(&self) -> BTreeSet<Subject> {
        self.rows.keys().map(|(subject, _)| *subject).collect()
    }

    pub fn rows_of(&self, subject: &Subject) -> Vec<Row> {
        let rows = self.rows.iter().filter(|((of, _), _)| of == subject);
        rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect()
    }

    fn action(&self, batch: &Batch) -> CommitAction {
        let core = |subject: &Subject| self.rows.get(&(*subject, RowName::CORE));
        let generation = |row: &Vec<u8>| u64::from_be_bytes(row[2..10].try_into().unwrap());
        let stored = |subject| core(subject).map(generation);
        match self.check {
            Check::Judge => batch.commit_action(core),
            _ if batch
                .changes
                .iter()
                .all(|change| change.rows.is_empty() || stored(&change.subject) < Some(change.revision.generation)) =>
            {
                CommitAction::Write
            }
            Check::GenerationAlone => CommitAction::AlreadyCommitted,
            Check::HigherGeneration => CommitAction::Stale,
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<(), CommitError<Broken>> {
        match self.action(batch) {
            CommitAction::Write => {}
            CommitAction::AlreadyCommitted => return Ok(()),
            CommitAction::Stale => return Err(CommitError::Stale),
        }
        self.written.clear();
        for ended in &batch.ended {
            self.rows.retain(|(of, _), _| of != ended);
        }
        for change in &batch.changes {
            for name in &change.deleted {
                assert!(self.rows.remove(&(change.subject, *name)).is_some(), "only what is there is deleted");
            }
            for row in &change.rows {
                self.written.push((row.name, row.sealed.len()));
                self.rows.insert((change.subject, row.name), row.sealed.clone());
            }
        }
        if !self.ignores_messages {
            // A control message is in the inbox, and is no text.
            let text = batch.received.iter().filter(|received| received.control.is_none());
            self.inbox.extend(text.map(|received| (received.message_id, received.plaintext.clone())));
            self.outbox.extend(batch.sent.iter().map(|sent| sent.message.clone()));
        }
        Ok(())
    }

    pub fn commit(&mut self, batch: &Batch) -> Result<(), CommitError<Broken>> {
        self.commits += 1;
        self.last = (batch.received.clone(), batch.sent.clone());
        assert!(!batch.is_empty(), "what changes nothing writes nothing");
        match if self.faults.is_empty() { Fault::None } else { self.faults.remove(0) } {
            Fault::None => self.write(batch),
            Fault::Refuses => Err(CommitError::NotCommitted(Broken)),
            Fault::LosesTheBatch => Err(CommitError::Unknown(Broken)),
            Fault::CommitsAndFails => self.write(batch).and(Err(CommitError::Unknown(Broken))),
            Fault::FalseSuccess => Ok(()),
        }
    }
}

impl Store for Disk {
    type Error = Broken;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Broken> {
        Ok(self.rows_of(subject))
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Broken>> {
        Self::commit(self, &batch)
    }
}

async fn wait(times: usize) {
    let mut left = times;
    poll_fn(move |_| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            Poll::Pending
        }
    })
    .await;
}

impl AsyncStore for Disk {
    type Error = Broken;

    async fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Broken> {
        wait(self.waits.0).await;
        Ok(self.rows_of(subject))
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Broken>> {
        wait(self.waits.0).await;
        let result = Self::commit(self, &batch);
        wait(self.waits.1).await;
        result
    }
}
