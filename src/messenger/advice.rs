// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Advice`]: what to do about an error, for programs as a variant and for people as a sentence.

use super::error::{OpenError, PeerError, Remedy, SealError, Suspicion};
use crate::durable::{CommitError, LoadError, StepError};
use crate::error::{EncryptError, InitiateError, RestoreError};
use crate::time::UnixSeconds;
use core::convert::Infallible;
use core::fmt;

/// An error of a messenger's step. [`Failed`](super::Failed) asks it for advice.
pub trait Advised {
    /// Returns what to do, or `None` if an error of the store, of the server or of the application says so.
    fn advice(&self) -> Option<Advice>;
}

/// What to do about an error. It is displayed as one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Do nothing: there is nothing to do.
    Nothing,
    /// Route, load and make the same step again.
    Again,
    /// Make the same step again at this time. A message stays at the server until then.
    Later(UnixSeconds),
    /// Fetch the peer's bundle, and begin a new session from it.
    FetchBundle,
    /// Fetch another bundle when the peer's device has been online: it replaces its prekeys then. Until then the message
    /// can go on the session that there is, if there is one.
    PeerOffline,
    /// Send on the session that there is, if there is one, and tell the user that the server has given out a wrong bundle.
    WrongBundle,
    /// Ask the user whether the peer has a new identity, and accept or reject that.
    AskUser,
    /// Ask the user to compare the safety number again: the one that was passed is that of no identity in question.
    CompareAgain,
    /// Acknowledge the message to the server, and follow the remedy.
    Acknowledge(Remedy),
    /// Pass another peer, another name or a shorter payload.
    Correct,
    /// The message is in the outbox, or was delivered. Do not seal it again: [connect](super::Stored::connect), and
    /// [send](super::exchange::Connected::flush) what is in the outbox.
    Flush,
    /// Save the last step, or load the messenger again.
    Reload,
    /// Load the messenger again. If the error stays, the session's rows are damaged: [end the
    /// session](super::Messenger::end_session).
    Damaged,
    /// Load it again. If the error stays, the storage key is the wrong one, or the rows of the messenger itself are damaged:
    /// restore a backup of the store, or make a new device.
    Unreadable,
    /// Ask the user to install the newer release that has written the rows.
    Update,
    /// Tell the user, and [restore](super::Messenger::restore_backup).
    RestoreBackup,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "there is nothing to do",
            Self::Again => "try again",
            Self::Later(time) => return write!(f, "try again at Unix time {time}"),
            Self::FetchBundle => "fetch the peer's bundle, and begin a new session from it",
            Self::PeerOffline => "try again when the peer's device has been online",
            Self::WrongBundle => "the server offers a wrong bundle: compare the safety number with the peer",
            Self::AskUser => "compare the safety number with the peer, and accept or reject its new identity",
            Self::CompareAgain => "this is not the safety number: compare it with the peer again",
            Self::Acknowledge(Remedy::Ignore) => "acknowledge the message; there is nothing else to do",
            Self::Acknowledge(Remedy::AskAgain) => "acknowledge the message, and ask its author to send it again",
            Self::Acknowledge(Remedy::NewSession) => {
                "acknowledge the message, and answer its author: the answer begins a new session if one is needed"
            }
            Self::Correct => "choose another peer or another name, or send less",
            Self::Flush => "the message waits here: do not send it again, but log in and send what waits",
            Self::Reload => "save the last step, or load the messenger again",
            Self::Damaged => "load the messenger again; if the error stays, end the session",
            Self::Unreadable => {
                "load it again; if the error stays, the storage key is wrong or the data is damaged: restore a backup of the \
                 data, or set up a new device"
            }
            Self::Update => "a newer release has written this data: install it",
            Self::RestoreBackup => "this device or the server was put back to an earlier state: restore the backup",
        })
    }
}

impl OpenError {
    /// Returns what to do.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::NotSaved => Advice::Reload,
            Self::Suspect(suspicion) => suspicion.advice(),
            Self::Deferred { until } => Advice::Later(*until),
            Self::RouteAgain => Advice::Again,
            Self::Refused(refused) => Advice::Acknowledge(refused.reason.remedy()),
            Self::Stored(error) => of_session(*error),
        }
    }
}

impl SealError {
    /// Returns what to do.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::NotSaved => Advice::Reload,
            Self::Suspect(suspicion) => suspicion.advice(),
            Self::UnknownPeer | Self::IdentityTaken => Advice::Correct,
            Self::NeedsBundle(_) => Advice::FetchBundle,
            Self::TooManySessions { until } | Self::TooSoon { until } => Advice::Later(*until),
            Self::IdentityChanged => Advice::AskUser,
            Self::IdentityRejected => Advice::WrongBundle,
            Self::NoProbation | Self::NoReceipt => Advice::Nothing,
            Self::Bundle(error) => of_bundle(*error),
            Self::Encrypt(error) => of_encrypting(*error),
            Self::Stored(error) => of_session(*error),
        }
    }
}

impl PeerError {
    /// Returns what to do.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::NotSaved => Advice::Reload,
            Self::UnknownPeer | Self::UnknownSession | Self::Taken | Self::Name => Advice::Correct,
            Self::OtherIdentity => Advice::CompareAgain,
            // The user has decided.
            Self::Rejected => Advice::Nothing,
        }
    }
}

impl Suspicion {
    /// Returns what to do.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::Witness | Self::LoginNonce => Advice::RestoreBackup,
        }
    }
}

impl StepError<Suspicion> {
    /// Returns what to do.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::NotSaved => Advice::Reload,
            Self::Failed(suspicion) => suspicion.advice(),
        }
    }
}

impl<E> LoadError<E> {
    /// Returns what to do, or `None` if the store's error says so, or if there is nothing to load.
    #[must_use]
    pub const fn advice(&self) -> Option<Advice> {
        match self {
            Self::Store(_) | Self::Missing => None,
            Self::Refused(RestoreError::Rollback) => Some(Advice::RestoreBackup),
            Self::Refused(RestoreError::NewerVersion) => Some(Advice::Update),
            // Without the messenger no session can be ended.
            Self::Refused(RestoreError::Refused) => Some(Advice::Unreadable),
        }
    }
}

impl<E> CommitError<E> {
    /// Returns what to do, or `None` if the store's error says so.
    #[must_use]
    pub const fn advice(&self) -> Option<Advice> {
        match self {
            Self::Stale => Some(Advice::Again),
            Self::NotCommitted(_) | Self::Unknown(_) => None,
        }
    }
}

impl Advised for OpenError {
    fn advice(&self) -> Option<Advice> {
        Some(self.advice())
    }
}

impl Advised for SealError {
    fn advice(&self) -> Option<Advice> {
        Some(self.advice())
    }
}

impl Advised for PeerError {
    fn advice(&self) -> Option<Advice> {
        Some(self.advice())
    }
}

impl Advised for Suspicion {
    fn advice(&self) -> Option<Advice> {
        Some(self.advice())
    }
}

impl Advised for Infallible {
    fn advice(&self) -> Option<Advice> {
        match *self {}
    }
}

impl<E: Advised> Advised for StepError<E> {
    fn advice(&self) -> Option<Advice> {
        match self {
            Self::NotSaved => Some(Advice::Reload),
            Self::Failed(error) => error.advice(),
        }
    }
}

/// The advice about a session whose rows were refused.
const fn of_session(error: RestoreError) -> Advice {
    match error {
        RestoreError::NewerVersion => Advice::Update,
        RestoreError::Refused | RestoreError::Rollback => Advice::Damaged,
    }
}

const fn of_bundle(error: InitiateError) -> Advice {
    match error {
        InitiateError::Expired { .. } => Advice::PeerOffline,
        InitiateError::Refused => Advice::WrongBundle,
        InitiateError::UnexpectedIdentity => Advice::AskUser,
        InitiateError::BufferTooShort | InitiateError::TooLong => Advice::Correct,
    }
}

const fn of_encrypting(error: EncryptError) -> Advice {
    match error {
        EncryptError::NotYetReceived | EncryptError::ChainExhausted | EncryptError::Abandoned => Advice::FetchBundle,
        EncryptError::BufferTooShort | EncryptError::TooLong => Advice::Correct,
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{Refusal, Refused};
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    #[test]
    fn a_refusal_is_advised_by_its_remedy() {
        for reason in Refusal::ALL {
            let error = OpenError::Refused(Refused { reason, message_id: [0; 16], author: None });
            assert_eq!(error.advice(), Advice::Acknowledge(reason.remedy()));
        }
        // Control: a message that is deferred is not acknowledged.
        let until = UnixSeconds(9);
        assert_eq!(OpenError::Deferred { until }.advice(), Advice::Later(until));
    }

    #[test]
    fn every_advice_is_another_sentence_on_one_line() {
        let remedies = [Remedy::Ignore, Remedy::AskAgain, Remedy::NewSession].map(Advice::Acknowledge);
        let others = [
            Advice::Nothing,
            Advice::Again,
            Advice::Later(UnixSeconds(9)),
            Advice::FetchBundle,
            Advice::PeerOffline,
            Advice::WrongBundle,
            Advice::AskUser,
            Advice::CompareAgain,
            Advice::Correct,
            Advice::Flush,
            Advice::Reload,
            Advice::Damaged,
            Advice::Unreadable,
            Advice::Update,
            Advice::RestoreBackup,
        ];
        let all: BTreeSet<_> = remedies.iter().chain(&others).map(Advice::to_string).collect();
        assert_eq!(all.len(), remedies.len() + others.len());
        assert!(all.iter().all(|sentence| !sentence.is_empty() && !sentence.contains('\n')));
    }

    #[test]
    fn rows_of_a_newer_release_are_not_called_damaged() {
        let newer = RestoreError::NewerVersion;
        assert_eq!(LoadError::<()>::Refused(newer).advice(), Some(Advice::Update));
        assert_eq!(OpenError::Stored(newer).advice(), Advice::Update);
        assert_eq!(SealError::Stored(newer).advice(), Advice::Update);
        // Control.
        assert_eq!(LoadError::<()>::Refused(RestoreError::Refused).advice(), Some(Advice::Unreadable));
        assert_eq!(SealError::Stored(RestoreError::Refused).advice(), Advice::Damaged);
    }

    #[test]
    fn an_error_that_a_new_session_remedies_asks_for_a_bundle() {
        assert_eq!(SealError::Encrypt(EncryptError::ChainExhausted).advice(), Advice::FetchBundle);
        // Control: no session makes a payload shorter.
        assert_eq!(SealError::Encrypt(EncryptError::TooLong).advice(), Advice::Correct);
    }
}
