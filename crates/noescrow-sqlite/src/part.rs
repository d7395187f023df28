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

    /// Another process has gone on. The transaction whose result is not known was committed if the message of its step
    /// is in the database.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, SqliteStore};
    use noescrow::durable::{Durable, Store};
    use noescrow::{Bundle, Device, InitiateOptions, StorageKey, UnixSeconds};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    /// A store with a device, and a step that seals a message.
    fn step() -> (SqliteStore, Batch) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let mut store = Options::new().open_connection(connection).unwrap();
        let (device, mut peer) = (Device::generate(NOW, &mut rng), Device::generate(NOW, &mut rng));
        let key = StorageKey::new([7; 32]);
        let mut device = Durable::<Device>::new(device, &key, &mut rng).save(&mut store).unwrap();
        let published = peer.replenish(NOW, &[], &mut rng);
        let bundle = Bundle::new(published.identity, published.signed_prekey, None).unwrap();
        let begun = device.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), &mut rng).unwrap();
        let batch = begun.batch().unwrap();
        (store, batch)
    }

    fn stale(store: &mut SqliteStore, next: &mut NextPart, batch: &Batch) {
        let transaction = store.connection.transaction().unwrap();
        next.stale(&transaction, batch).unwrap();
    }

    fn part() -> NextPart {
        NextPart::new(|_, _| Ok(true))
    }

    #[test]
    fn a_part_of_an_unknown_commit_that_was_written_is_done() {
        let (_, batch) = step();
        let mut next = part();
        next.unknown(&batch);
        next.already_committed(&batch);
        assert!(next.part.is_none());
        // Control: a part that was set after that commit is not, and runs with the next one.
        let mut next = part();
        next.already_committed(&batch);
        assert!(next.part.is_some());
    }

    #[test]
    fn a_part_of_an_unknown_commit_that_others_followed_is_done() {
        let (mut store, batch) = step();
        let mut next = part();
        next.unknown(&batch);
        // Control: nothing was written, so that the step is repeated, and the part with it.
        stale(&mut store, &mut next, &batch);
        assert!(next.part.is_some());
        store.commit(batch.clone()).unwrap();
        store.acknowledge(&batch.sent.as_ref().unwrap().message_id).unwrap();
        stale(&mut store, &mut next, &batch);
        assert!(next.part.is_none());
        // Control: of another part nothing is known.
        let mut next = part();
        stale(&mut store, &mut next, &batch);
        assert!(next.part.is_some());
    }
}
