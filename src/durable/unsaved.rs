// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Unsaved`]: the outcome of a step before it is saved.

use super::store::{AsyncStore, Batch, CommitError, Store};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

/// Whether the last step of a state is saved.
pub(crate) enum Progress {
    Saved,
    /// A step has begun. If it ends in a panic, the state stays unusable.
    Stepping,
    /// A step is done and not saved. No other is possible, whatever became of the [`Unsaved`].
    Unsaved(Box<Batch>),
}

/// Where the batch of an [`Unsaved`] is.
enum Slot<'a> {
    /// Nothing has changed, so nothing is written.
    Nothing,
    /// In a state that exists only after it is saved.
    Owned(Box<Batch>),
    /// In the state, which is unusable until the batch is committed.
    Borrowed(&'a mut Progress),
}

/// The outcome of a step that has not been saved yet: a message, a plaintext, or a session. Only saving releases it:
/// [`save`](Self::save), [`save_async`](Self::save_async), or [`batch`](Self::batch) and [`settle`](Self::settle).
///
/// Until then the batch has the only copy of a plaintext, and wipes it on drop.
///
/// Dropping or forgetting it does not undo the step. The state then refuses every further step, until
/// [`Durable::unsaved`](super::Durable::unsaved) is saved or the state is loaded again.
#[must_use = "nothing comes of a step that is not saved"]
pub struct Unsaved<'a, T> {
    outcome: T,
    /// Puts the plaintext into the outcome. Before that the batch alone has it, which wipes it on drop.
    put_plaintext: fn(&mut T, Vec<u8>),
    slot: Slot<'a>,
}

/// The step is not saved, or it is not known whether it is. It can be saved again, unless the error is
/// [`Stale`](CommitError::Stale).
pub struct SaveFailed<'a, T, E> {
    /// The step to save again.
    pub unsaved: Unsaved<'a, T>,
    /// The store's error.
    pub error: CommitError<E>,
}

impl Progress {
    /// Hands out the outcome of a step that has changed what is in `batch`.
    pub(crate) fn hand_out<T>(&mut self, outcome: T, batch: Batch) -> Unsaved<'_, T> {
        if batch.is_empty() {
            *self = Self::Saved;
            return Unsaved::of(outcome, Slot::Nothing);
        }
        // Before there is anything to forget.
        *self = Self::Unsaved(Box::new(batch));
        Unsaved::of(outcome, Slot::Borrowed(self))
    }

    /// Hands out the last step once more, without its outcome, if it is not saved.
    pub(crate) fn hand_out_again(&mut self) -> Option<Unsaved<'_, ()>> {
        match self {
            Self::Unsaved(_) => Some(Unsaved::of((), Slot::Borrowed(self))),
            Self::Saved | Self::Stepping => None,
        }
    }
}

impl<'a, T> Unsaved<'a, T> {
    /// Wraps a new state, which is released when it is saved.
    pub(crate) fn owning(outcome: T, batch: Batch) -> Self {
        Self::of(outcome, Slot::Owned(Box::new(batch)))
    }

    const fn of(outcome: T, slot: Slot<'a>) -> Self {
        Self { outcome, put_plaintext: |_, _| (), slot }
    }

    /// An outcome that takes the batch's plaintext when it is released.
    pub(crate) fn with_plaintext(self, put_plaintext: fn(&mut T, Vec<u8>)) -> Self {
        Self { put_plaintext, ..self }
    }

    /// The outcome as it is kept.
    #[cfg(test)]
    pub(crate) const fn kept(&self) -> &T {
        &self.outcome
    }

    /// Returns a copy of what to commit, or `None` if nothing has changed.
    #[must_use]
    pub fn batch(&self) -> Option<Batch> {
        match &self.slot {
            Slot::Owned(batch) | Slot::Borrowed(Progress::Unsaved(batch)) => Some(Batch::clone(batch)),
            Slot::Nothing | Slot::Borrowed(Progress::Saved | Progress::Stepping) => None,
        }
    }

    /// Takes the result of committing the [`batch`](Self::batch), and releases the outcome if it is committed.
    ///
    /// # Errors
    /// [`SaveFailed`] with the store's error.
    pub fn settle<E>(self, result: Result<(), CommitError<E>>) -> Result<T, SaveFailed<'a, T, E>> {
        if let Err(error) = result {
            return Err(SaveFailed { unsaved: self, error });
        }
        let Self { mut outcome, put_plaintext, slot } = self;
        if let Slot::Borrowed(progress) = slot
            && let Progress::Unsaved(mut batch) = mem::replace(progress, Progress::Saved)
            && let Some(received) = &mut batch.received
        {
            put_plaintext(&mut outcome, mem::take(&mut received.plaintext));
        }
        Ok(outcome)
    }

    /// Saves the step in one transaction and releases the outcome. If nothing has changed, the store is not called.
    ///
    /// # Errors
    /// [`SaveFailed`] with the store's error.
    pub fn save<S: Store>(self, store: &mut S) -> Result<T, SaveFailed<'a, T, S::Error>> {
        let result = self.batch().map_or(Ok(()), |batch| store.commit(batch));
        self.settle(result)
    }

    /// Saves the step in one transaction and releases the outcome, as [`save`](Self::save) does.
    ///
    /// If the future is dropped before it is complete, the step may be saved or not. The state then refuses every
    /// further step until [`Durable::unsaved`](super::Durable::unsaved) is saved.
    ///
    /// # Errors
    /// [`SaveFailed`] with the store's error.
    pub async fn save_async<S: AsyncStore>(self, store: &mut S) -> Result<T, SaveFailed<'a, T, S::Error>> {
        let result = match self.batch() {
            Some(batch) => store.commit(batch).await,
            None => Ok(()),
        };
        self.settle(result)
    }
}

/// The error without the step, so that it may outlive the state.
impl<T, E> From<SaveFailed<'_, T, E>> for CommitError<E> {
    fn from(failed: SaveFailed<'_, T, E>) -> Self {
        failed.error
    }
}

impl<T> fmt::Debug for Unsaved<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unsaved(..)")
    }
}

impl<T, E: fmt::Debug> fmt::Debug for SaveFailed<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unsaved: _, error } = self;
        f.debug_tuple("SaveFailed").field(error).finish()
    }
}

impl<T, E> fmt::Display for SaveFailed<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T, E: core::error::Error + 'static> core::error::Error for SaveFailed<'_, T, E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}
