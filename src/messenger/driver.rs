// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Driver`]: makes the steps of a [`Stored`] messenger and saves them, over a store that blocks or over futures.

mod exchange;
mod steps;

pub(super) use exchange::{Exchange, Exchanged};

use super::Messenger;
use super::failed::Failed;
use super::io::{MailboxIo, StoreIo};
use super::kept::Stored;
use super::routing::{Loaded, Route};
use crate::durable::{CommitError, LoadError, Row, SaveFailed, Unsaved};
use crate::prekeys::Bundle;
use crate::primitives::Primitives;
use crate::snapshot::Subject;
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::marker::PhantomData;
use rand_core::CryptoRng;

/// How often a step is saved again whose commit has failed, or may have failed.
const SAVED_AGAIN: usize = 3;
/// How often a step is made again because another process has saved one. Of several processes that save at the same time
/// one succeeds, so that 64 are more than any device runs.
const MADE_AGAIN: usize = 64;

/// A stored messenger, and how its store is waited for.
pub(super) struct Driver<'a, M, S, P: Primitives> {
    pub(super) stored: &'a mut Stored<S, P>,
    io: PhantomData<M>,
}

/// On what a message is sealed.
pub(super) enum On<'b, L> {
    Session(L),
    Bundle(&'b Bundle),
}

/// What a step needs from the store before it is made: nothing, or the rows of one session.
pub(super) trait Need {
    type Found;

    /// Whose rows.
    fn subject(&self) -> Option<Subject>;

    fn found(self, rows: Vec<Row>) -> Self::Found;
}

impl Need for () {
    type Found = ();

    fn subject(&self) -> Option<Subject> {
        None
    }

    fn found(self, _: Vec<Row>) {}
}

impl Need for Route {
    type Found = Loaded;

    fn subject(&self) -> Option<Subject> {
        self.subject().copied()
    }

    fn found(self, rows: Vec<Row>) -> Loaded {
        self.loaded(rows)
    }
}

impl<'b> Need for On<'b, Route> {
    type Found = On<'b, Loaded>;

    fn subject(&self) -> Option<Subject> {
        match self {
            Self::Session(route) => Need::subject(route),
            Self::Bundle(_) => None,
        }
    }

    fn found(self, rows: Vec<Row>) -> On<'b, Loaded> {
        match self {
            Self::Session(route) => On::Session(route.loaded(rows)),
            Self::Bundle(bundle) => On::Bundle(bundle),
        }
    }
}

impl<'a, M, S, P: Primitives> Driver<'a, M, S, P> {
    pub(super) const fn of(stored: &'a mut Stored<S, P>) -> Self {
        Self { stored, io: PhantomData }
    }
}

impl<M: MailboxIo<S>, S, P: Primitives> Driver<'_, M, S, P> {
    /// See [`Stored::refresh`].
    pub(super) async fn refresh(&mut self, rng: &mut impl CryptoRng) -> Result<bool, LoadError<M::Error>> {
        let Stored { messenger, store, .. } = &mut *self.stored;
        let known = messenger.core.ledger.require().map(|change| change.revision);
        if messenger.is_saved() && M::revision(store, &messenger.subject()).await.map_err(LoadError::Store)? == known {
            return Ok(false);
        }
        self.reload(rng).await?;
        Ok(true)
    }

    /// See [`Stored::step`].
    pub(super) async fn step<T, E, R: CryptoRng>(
        &mut self,
        now: UnixSeconds,
        rng: &mut R,
        mut make: impl for<'m> FnMut(&'m mut Messenger<P>, &mut R) -> Result<Unsaved<'m, T>, E>,
    ) -> Result<T, Failed<E, M::Error>> {
        self.step_on(now, rng, |_| Ok(()), |messenger, (), rng| make(messenger, rng)).await
    }

    /// See [`Stored::step_on`].
    pub(super) async fn step_on<N: Need, T, E, R: CryptoRng>(
        &mut self,
        now: UnixSeconds,
        rng: &mut R,
        mut route: impl FnMut(&mut Messenger<P>) -> Result<N, E>,
        mut make: impl for<'m> FnMut(&'m mut Messenger<P>, N::Found, &mut R) -> Result<Unsaved<'m, T>, E>,
    ) -> Result<T, Failed<E, M::Error>> {
        for _ in 0..MADE_AGAIN {
            let Stored { messenger, store, saved, .. } = &mut *self.stored;
            let found = match route(messenger) {
                Ok(need) => load::<M, S, N>(need, store).await.map_err(Failed::unread),
                Err(error) => Err(Failed::Step(error)),
            };
            let unsaved = match found.and_then(|found| make(messenger, found, rng).map_err(Failed::Step)) {
                Ok(step) => match save_again::<M, S, T>(step, store).await {
                    Ok(outcome) => {
                        *saved = messenger.generation();
                        return Ok(outcome);
                    }
                    Err(SaveFailed { unsaved, error: CommitError::Stale }) => unsaved,
                    Err(failed) => return Err(Failed::Save(failed.error)),
                },
                // Also if the last step is not saved.
                Err(error) => {
                    if self.refresh(rng).await.map_err(Failed::Load)? || !self.save_notes(now).await? {
                        continue;
                    }
                    return Err(error);
                }
            };
            // An earlier commit, whose result did not arrive, may have written the step before the other process has
            // saved its own. Then the message is sent once only if it is not sealed again.
            let sent = unsaved.batch().and_then(|batch| batch.sent.as_ref().map(|sent| sent.message_id));
            let is_sent = match sent {
                Some(id) => M::was_sealed(store, &id).await.map_err(Failed::unread)?,
                None => false,
            };
            if is_sent && let Ok(outcome) = unsaved.settle(Ok::<(), CommitError<Infallible>>(())) {
                *saved = messenger.generation();
                // If this fails, the next step is stale and loads it.
                let _ = self.reload(rng).await;
                return Ok(outcome);
            }
            self.reload(rng).await.map_err(Failed::Load)?;
        }
        Err(Failed::Save(CommitError::Stale))
    }

    /// Loads the messenger, which must not be older than what is known to be saved.
    async fn reload(&mut self, rng: &mut impl CryptoRng) -> Result<(), LoadError<M::Error>> {
        let Stored { messenger, store, saved, .. } = &mut *self.stored;
        let (primitives, subject) = (messenger.primitives().clone(), messenger.subject());
        let rows = M::rows(&primitives, store, &messenger.key, &subject).await?;
        let restored = Messenger::restore(primitives, rows, &messenger.key, &subject, *saved, rng);
        *messenger = restored.map_err(LoadError::Refused)?;
        *saved = messenger.generation();
        Ok(())
    }

    /// Saves what a step that has failed has noted in memory, if there is anything. Returns `false` if another process has
    /// saved a step, so that the step is to be made again.
    pub(super) async fn save_notes<E>(&mut self, now: UnixSeconds) -> Result<bool, Failed<E, M::Error>> {
        let Stored { messenger, store, saved, .. } = &mut *self.stored;
        if !messenger.has_notes() {
            return Ok(true);
        }
        let Ok(notes) = messenger.save_notes(now) else { return Ok(false) };
        match save_again::<M, S, _>(notes, store).await {
            Ok(_) => {
                *saved = messenger.generation();
                Ok(true)
            }
            Err(SaveFailed { error: CommitError::Stale, .. }) => Ok(false),
            Err(failed) => Err(Failed::Save(failed.error)),
        }
    }
}

/// Loads the rows that a step needs.
async fn load<M: StoreIo<S>, S, N: Need>(need: N, store: &mut S) -> Result<N::Found, M::Error> {
    let rows = match need.subject() {
        Some(subject) => M::load(store, &subject).await?,
        None => Vec::new(),
    };
    Ok(need.found(rows))
}

/// Saves a step, again if it is not known whether it is saved. The store recognizes what it has saved before.
pub(super) async fn save_again<'m, M: StoreIo<S>, S, T>(
    step: Unsaved<'m, T>,
    store: &mut S,
) -> Result<T, SaveFailed<'m, T, M::Error>> {
    let mut saved = save::<M, S, T>(step, store).await;
    for _ in 0..SAVED_AGAIN {
        saved = match saved {
            Err(SaveFailed { unsaved, error: CommitError::NotCommitted(_) | CommitError::Unknown(_) }) => {
                save::<M, S, T>(unsaved, store).await
            }
            saved => return saved,
        };
    }
    saved
}

async fn save<'m, M: StoreIo<S>, S, T>(step: Unsaved<'m, T>, store: &mut S) -> Result<T, SaveFailed<'m, T, M::Error>> {
    let result = match step.batch() {
        Some(batch) => M::commit(store, batch).await,
        None => Ok(()),
    };
    step.settle(result)
}
