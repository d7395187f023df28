// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Stored`]: a messenger together with its store. Every step is saved before it returns.

use super::Messenger;
use super::failed::Failed;
use crate::device::Device;
use crate::durable::{CommitError, LoadError, Mailboxes, SaveFailed, Store, Unsaved};
use crate::primitives::{Primitives, RustCrypto};
use crate::snapshot::{StorageKey, Subject};
use crate::time::UnixSeconds;
use core::convert::Infallible;
use core::fmt;
use rand_core::CryptoRng;

/// How often a step is saved again whose commit has failed, or may have failed.
const SAVED_AGAIN: usize = 3;
/// How often a step is made again because another process has saved one. Of several processes that save at the same time
/// one succeeds, so that 64 are more than any device runs.
const MADE_AGAIN: usize = 64;

/// A messenger together with the store that has it.
///
/// A method that makes a step returns when the step is saved. If the store does not know whether a commit has succeeded,
/// the step is saved again. If another process has saved a step meanwhile, the messenger is loaded again and the step is
/// repeated. What an error has shown, such as another identity of a peer, is saved before the error is returned.
///
/// After an error of the store, the next step loads the messenger first. A message whose sealing ended with such an error
/// may be in the outbox.
#[must_use = "the messenger is in the store"]
pub struct Stored<S, P: Primitives = RustCrypto> {
    pub(super) messenger: Messenger<P>,
    pub(super) store: S,
    /// The newest generation that is known to be in the store. A step that is not saved does not count: a
    /// [witness](Self::check_witness) may have raised its generation by any number.
    saved: u64,
}

impl<S: Mailboxes> Stored<S> {
    /// Loads the messenger `subject`: calls [`load_with`](Self::load_with) with the default primitives.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(
        store: S,
        key: &StorageKey,
        subject: &Subject,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        Self::load_with(RustCrypto, store, key, subject, rng)
    }
}

impl<S: Mailboxes, P: Primitives> Stored<S, P> {
    /// Makes a messenger of a new device, and saves both under `key`. Draws 16 bytes from `rng`.
    ///
    /// # Errors
    /// The store's error. Whether something was saved is then not known; delete the store.
    pub fn create(
        device: Device<P>,
        mut store: S,
        key: &StorageKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CommitError<S::Error>> {
        let messenger = save(Messenger::new(device, key, rng), &mut store)?;
        Ok(Self { saved: messenger.generation(), messenger, store })
    }

    /// Loads the messenger `subject`, in one transaction. Draws 16 bytes from `rng`.
    ///
    /// If the store has no witness of its own, call [`check_witness`](Self::check_witness) then.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load_with(
        primitives: P,
        mut store: S,
        key: &StorageKey,
        subject: &Subject,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        let messenger = store
            .reading(|store| Messenger::load_with(primitives, store, key, subject, 0, rng))
            .map_err(LoadError::Store)??;
        Ok(Self { saved: messenger.generation(), messenger, store })
    }

    /// Returns the messenger, to read from.
    pub const fn messenger(&self) -> &Messenger<P> {
        &self.messenger
    }

    /// Returns the store.
    pub const fn store(&mut self) -> &mut S {
        &mut self.store
    }

    /// Returns messenger and store.
    pub fn into_parts(self) -> (Messenger<P>, S) {
        let Self { messenger, store, saved: _ } = self;
        (messenger, store)
    }

    /// Loads the messenger again if another process has saved a step, or if the last one of this process is not saved.
    /// Otherwise one row is read, and what is only in memory stays. Returns whether it was loaded.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn refresh(&mut self, rng: &mut impl CryptoRng) -> Result<bool, LoadError<S::Error>> {
        let subject = self.messenger.subject();
        let known = self.messenger.core.ledger.require().map(|change| change.revision);
        if self.messenger.is_saved() && self.store.revision(&subject).map_err(LoadError::Store)? == known {
            return Ok(false);
        }
        self.reload(rng)?;
        Ok(true)
    }

    /// Makes a step and saves it. `make` runs again if another process has saved a step, so it must not have an effect
    /// of its own. An error of `make` is returned if the messenger was not out of date, and after what the messenger
    /// has noted is saved.
    ///
    /// [`open`](Self::open), [`seal`](Self::seal) and the others call it.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn step<T, E, R: CryptoRng>(
        &mut self,
        now: UnixSeconds,
        rng: &mut R,
        mut make: impl for<'a> FnMut(&'a mut Messenger<P>, &mut S, &mut R) -> Result<Unsaved<'a, T>, Failed<E, S::Error>>,
    ) -> Result<T, Failed<E, S::Error>> {
        for _ in 0..MADE_AGAIN {
            let unsaved = match make(&mut self.messenger, &mut self.store, rng) {
                Ok(step) => match save_again(step, &mut self.store) {
                    Ok(outcome) => {
                        self.saved = self.messenger.generation();
                        return Ok(outcome);
                    }
                    Err(SaveFailed { unsaved, error: CommitError::Stale }) => unsaved,
                    Err(failed) => return Err(Failed::Save(failed.error)),
                },
                // Also if the last step is not saved.
                Err(error) => {
                    if self.refresh(rng).map_err(Failed::Load)? || !self.save_notes(now)? {
                        continue;
                    }
                    return Err(error);
                }
            };
            // An earlier commit, whose result did not arrive, may have written the step before the other process has
            // saved its own. Then the message is sent once only if it is not sealed again.
            let sent = unsaved.batch().and_then(|batch| batch.sent.as_ref().map(|sent| sent.message_id));
            let is_sent = match sent {
                Some(id) => self.store.was_sealed(&id).map_err(Failed::unread)?,
                None => false,
            };
            if is_sent && let Ok(outcome) = unsaved.settle(Ok::<(), CommitError<Infallible>>(())) {
                self.saved = self.messenger.generation();
                // If this fails, the next step is stale and loads it.
                let _ = self.reload(rng);
                return Ok(outcome);
            }
            self.reload(rng).map_err(Failed::Load)?;
        }
        Err(Failed::Save(CommitError::Stale))
    }

    /// Loads the messenger, which must not be older than what is known to be saved.
    fn reload(&mut self, rng: &mut impl CryptoRng) -> Result<(), LoadError<S::Error>> {
        let Self { messenger, store, saved } = self;
        let (primitives, subject) = (messenger.primitives().clone(), messenger.subject());
        let key = messenger.key.duplicate();
        *messenger = store
            .reading(|store| Messenger::load_with(primitives, store, &key, &subject, *saved, rng))
            .map_err(LoadError::Store)??;
        *saved = messenger.generation();
        Ok(())
    }

    /// Saves what a step that has failed has noted in memory, if there is anything. Returns `false` if another process has
    /// saved a step, so that the step is to be made again.
    pub(super) fn save_notes<E>(&mut self, now: UnixSeconds) -> Result<bool, Failed<E, S::Error>> {
        if !self.messenger.has_notes() {
            return Ok(true);
        }
        let Ok(notes) = self.messenger.save_notes(now) else { return Ok(false) };
        match save_again(notes, &mut self.store) {
            Ok(_) => {
                self.saved = self.messenger.generation();
                Ok(true)
            }
            Err(SaveFailed { error: CommitError::Stale, .. }) => Ok(false),
            Err(failed) => Err(Failed::Save(failed.error)),
        }
    }
}

/// Saves a step, again if it is not known whether it is saved. The store recognizes what it has saved before.
fn save_again<'a, T, S: Store>(step: Unsaved<'a, T>, store: &mut S) -> Result<T, SaveFailed<'a, T, S::Error>> {
    let mut saved = step.save(store);
    for _ in 0..SAVED_AGAIN {
        saved = match saved {
            Err(SaveFailed { unsaved, error: CommitError::NotCommitted(_) | CommitError::Unknown(_) }) => {
                unsaved.save(store)
            }
            saved => return saved,
        };
    }
    saved
}

fn save<T, S: Store>(step: Unsaved<'_, T>, store: &mut S) -> Result<T, CommitError<S::Error>> {
    save_again(step, store).map_err(CommitError::from)
}

/// Shows counts only.
impl<S, P: Primitives> fmt::Debug for Stored<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messenger, store: _, saved: _ } = self;
        f.debug_struct("Stored").field("messenger", messenger).finish_non_exhaustive()
    }
}
