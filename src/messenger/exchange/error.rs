// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an exchange has ended.

use super::super::advice::{Advice, Advised};
use super::super::error::{OpenError, PeerError, SealError, Suspicion};
use super::super::failed::Failed;
use super::{AsyncServer, Server};
use crate::durable::{AsyncStore, StepError, Store};
use core::convert::Infallible;
use core::fmt;

/// Why an exchange has ended, besides errors of the store.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExchangeError<V> {
    /// An error of the server, or of the application's event function.
    Server(V),
    /// Such an error after [`send`](super::Connected::send) has sealed the message: it waits in the outbox, or was delivered
    /// already. If it were sealed again, the peer would get it twice.
    Waiting(V),
    /// The store seems to have been put back: [`restore_backup`](super::super::Stored::restore_backup).
    Suspect(Suspicion),
    /// A message was not sealed.
    Seal(SealError),
    /// A message was not opened, and not refused either.
    Open(OpenError),
    /// The messenger's records were not changed.
    Peer(PeerError),
}

/// The outcome of an exchange with the server `V` and the store `S`.
pub type Exchanged<T, V, S> = Result<T, ExchangeFailed<<V as Server<S>>::Error, <S as Store>::Error>>;

/// The outcome of an exchange with the server `V` and the store `S`, whose operations are futures.
pub type AsyncExchanged<T, V, S> = Result<T, ExchangeFailed<<V as AsyncServer<S>>::Error, <S as AsyncStore>::Error>>;

/// The error of an exchange: with the server's error `V` and the store's error `S`.
pub type ExchangeFailed<V, S> = Failed<ExchangeError<V>, S>;

impl<V> ExchangeError<V> {
    /// Returns what to do, or `None` if the server's error or the application's says so.
    #[must_use]
    pub const fn advice(&self) -> Option<Advice> {
        match self {
            Self::Server(_) => None,
            Self::Waiting(_) => Some(Advice::Flush),
            Self::Suspect(suspicion) => Some(suspicion.advice()),
            Self::Seal(error) => Some(error.advice()),
            Self::Open(error) => Some(error.advice()),
            Self::Peer(error) => Some(error.advice()),
        }
    }
}

impl<V> Advised for ExchangeError<V> {
    fn advice(&self) -> Option<Advice> {
        self.advice()
    }
}

/// An error of the server, or of the application.
pub(in crate::messenger) const fn failed<V, S>(error: V) -> ExchangeFailed<V, S> {
    Failed::Step(ExchangeError::Server(error))
}

/// The same error after the message was sealed.
pub(in crate::messenger) fn waiting<V, S>(error: ExchangeFailed<V, S>) -> ExchangeFailed<V, S> {
    error.map(|error| match error {
        ExchangeError::Server(error) => ExchangeError::Waiting(error),
        error => error,
    })
}

/// An error of a step.
pub(in crate::messenger) fn converted<V, E: Into<ExchangeError<V>>, S>(error: Failed<E, S>) -> ExchangeFailed<V, S> {
    error.map(E::into)
}

impl<V> From<StepError<Suspicion>> for ExchangeError<V> {
    fn from(error: StepError<Suspicion>) -> Self {
        match error {
            StepError::Failed(suspicion) => Self::Suspect(suspicion),
            StepError::NotSaved => Self::Seal(SealError::NotSaved),
        }
    }
}

impl<V> From<StepError<Infallible>> for ExchangeError<V> {
    fn from(error: StepError<Infallible>) -> Self {
        match error {
            StepError::Failed(never) => match never {},
            StepError::NotSaved => Self::Seal(SealError::NotSaved),
        }
    }
}

impl<V> From<PeerError> for ExchangeError<V> {
    fn from(error: PeerError) -> Self {
        Self::Peer(error)
    }
}

impl<V> From<SealError> for ExchangeError<V> {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Suspect(suspicion) => Self::Suspect(suspicion),
            error => Self::Seal(error),
        }
    }
}

impl<V> From<OpenError> for ExchangeError<V> {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Suspect(suspicion) => Self::Suspect(suspicion),
            error => Self::Open(error),
        }
    }
}

impl<V: fmt::Display> fmt::Display for ExchangeError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.fmt(f),
            Self::Waiting(error) => write!(f, "the message is sealed, and waits: {error}"),
            Self::Suspect(suspicion) => suspicion.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Peer(error) => error.fmt(f),
        }
    }
}

impl<V: fmt::Debug + fmt::Display> core::error::Error for ExchangeError<V> {}
