// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deleting the account: everything that the store keeps of the messenger ends in one step.

use super::index::Index;
use super::{Messenger, Sweeps};
use crate::durable::{Batch, Progress, StepError, Unsaved};
use crate::primitives::Primitives;
use ::core::convert::Infallible;

impl<P: Primitives> Messenger<P> {
    /// Deletes the account of this device from the store: the messenger, the device with its private keys, every peer and
    /// every session, in one step. What the application keeps of them, its inbox and outbox, ends with them, as
    /// [`Batch::ended`] requires. In memory the peers are gone at once. If the step is not saved, load the messenger again.
    ///
    /// It is permitted while the messenger is [suspect](Self::suspicion). After it is saved, drop the messenger: each
    /// further step is [`Stale`](crate::durable::CommitError::Stale).
    ///
    /// The rest is the application's:
    /// - Before it, have the server delete the account, with its prekeys and undelivered mail, while this device can still
    ///   [log in](Self::sign_login). Otherwise the server hands out bundles that nobody can answer.
    /// - After it, erase what a deletion leaves in files. A store of `noescrow-sqlite` does so in `erase_deleted`.
    /// - Delete the witness' entry, the storage key from the platform's key store, attachments, and backups. Without the
    ///   storage key no copy of a row that was overlooked can be opened.
    ///
    /// The peers keep what they have received. They are told nothing: tell them before, if they should know.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing has changed.
    pub fn delete(&mut self) -> Result<Unsaved<'_, ()>, StepError<Infallible>> {
        if !self.is_saved() {
            return Err(StepError::NotSaved);
        }
        self.progress = Progress::Stepping;
        let subject = self.subject();
        let mut batch = Batch::default();
        for peer in self.peers.values() {
            let record = &peer.inner;
            batch.ended.push(record.subject);
            batch.ended.extend(record.sessions.iter().map(|session| subject.of_session(session.id)));
        }
        batch.ended.extend([subject.of_device(), subject]);
        // A session that another process has begun meanwhile would stay.
        batch.changes.extend(self.core.ledger.require());
        self.peers.clear();
        self.changed.clear();
        (self.index, self.sweeps) = (Index::default(), Sweeps::default());
        Ok(self.progress.hand_out((), batch))
    }
}
