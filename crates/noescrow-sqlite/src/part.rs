// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`NextPart`]: what the application does in the transaction of a commit.

use crate::error::Error;
use crate::messages;
use noescrow::durable::{Batch, Revision, Subject};
use rusqlite::Transaction;

/// Returns whether the commit is the one to which the part belongs.
type Part = Box<dyn FnMut(&Transaction<'_>, &Batch) -> rusqlite::Result<bool> + Send>;

/// The part that waits for its commit.
#[derive(Default)]
pub(crate) struct NextPart {
    part: Option<Part>,
    /// A commit that is possibly done, with the part.
    tried: Option<Step>,
}

/// Tells the batch of one step from those of others.
type Step = (Subject, Revision);

fn step_of(batch: &Batch) -> Option<Step> {
    batch.changes.last().map(|change| (change.subject, change.revision))
}

impl NextPart {
    pub(crate) fn new(part: impl FnMut(&Transaction<'_>, &Batch) -> rusqlite::Result<bool> + Send + 'static) -> Self {
        Self { part: Some(Box::new(part)), tried: None }
    }

    /// Runs the part in the transaction that writes `batch`. Returns whether it belongs to it.
    pub(crate) fn run(&mut self, transaction: &Transaction<'_>, batch: &Batch) -> Result<bool, Error> {
        match &mut self.part {
            Some(part) => Ok(part(transaction, batch)?),
            None => Ok(false),
        }
    }

    /// The transaction that wrote `batch`, to which the part belongs, is possibly committed.
    pub(crate) fn unknown(&mut self, batch: &Batch) {
        self.tried = step_of(batch);
    }

    /// An earlier transaction has written `batch`, and the part if it ran in that one.
    pub(crate) fn already_committed(&mut self, batch: &Batch) {
        if self.tried.is_some() && self.tried == step_of(batch) {
            *self = Self::default();
        }
    }

    /// Another process has gone on. The transaction whose result is not known was committed if the message of its step is
    /// in the database.
    pub(crate) fn stale(&mut self, transaction: &Transaction<'_>, batch: &Batch) -> Result<(), Error> {
        if self.tried.is_some() && self.tried == step_of(batch) {
            let was_sealed = match &batch.sent {
                Some(sent) => messages::was_sealed(transaction, &sent.message_id)?,
                None => false,
            };
            let was_opened = match &batch.received {
                Some(received) => messages::opened_at(transaction, &received.message_id)?.is_some(),
                None => false,
            };
            if was_sealed || was_opened {
                *self = Self::default();
            }
        }
        Ok(())
    }
}
