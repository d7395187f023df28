// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Failed`]: why a step of a messenger with a store has failed.

use super::advice::{Advice, Advised};
use crate::durable::{CommitError, LoadError};
use core::fmt;

/// Why a step was not made, or is not known to be saved.
#[derive(Debug)]
pub enum Failed<E, S> {
    /// The step itself failed.
    Step(E),
    /// The step is not saved, or it is not known whether it is. The next step loads the messenger first.
    Save(CommitError<S>),
    /// The store was not read.
    Load(LoadError<S>),
}

impl<E, S> Failed<E, S> {
    /// An error of reading from the store.
    pub const fn unread(error: S) -> Self {
        Self::Load(LoadError::Store(error))
    }

    /// Converts the error of the step.
    pub fn map<T>(self, convert: impl FnOnce(E) -> T) -> Failed<T, S> {
        match self {
            Self::Step(error) => Failed::Step(convert(error)),
            Self::Save(error) => Failed::Save(error),
            Self::Load(error) => Failed::Load(error),
        }
    }
}

impl<E, S> Failed<E, S> {
    /// Returns the store's own error, if that is the reason.
    #[must_use]
    pub const fn store_error(&self) -> Option<&S> {
        match self {
            Self::Save(CommitError::NotCommitted(error) | CommitError::Unknown(error))
            | Self::Load(LoadError::Store(error)) => Some(error),
            Self::Step(_) | Self::Save(CommitError::Stale) | Self::Load(LoadError::Missing | LoadError::Refused(_)) => {
                None
            }
        }
    }
}

impl<E: Advised, S> Failed<E, S> {
    /// Returns what to do, or `None` if the error of the [store](Self::store_error), of the server or of the application says
    /// so.
    #[must_use]
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Step(error) => error.advice(),
            Self::Save(error) => error.advice(),
            Self::Load(error) => error.advice(),
        }
    }
}

impl<E, S> From<E> for Failed<E, S> {
    fn from(error: E) -> Self {
        Self::Step(error)
    }
}

impl<E: fmt::Display, S: fmt::Display> fmt::Display for Failed<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(error) => error.fmt(f),
            Self::Save(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display, S: core::error::Error + 'static> core::error::Error for Failed<E, S> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Step(_) => None,
            Self::Save(error) => error.source(),
            Self::Load(error) => error.source(),
        }
    }
}
