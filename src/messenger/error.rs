// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why nothing was sealed, opened or loaded, and what to do about it.

use super::PeerId;
use crate::durable::{MessageId, StepError};
use crate::error::{EncryptError, InitiateError, RestoreError};
use crate::prekeys::Bundle;
use crate::time::UnixSeconds;
use core::fmt;

/// Why a message was not opened. Nothing that is stored has changed, and no key is used up.
///
/// In memory, a refusal is [counted](super::Counters), and it is noted if its [remedy](Refusal::remedy) is a new session,
/// as is the reading of the clock. The next step stores all of it. How many sweeps were made in this minute is in memory only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The last step is not saved: save [`Messenger::unsaved`](super::Messenger::unsaved), or load the messenger again.
    NotSaved,
    /// The store seems to have been put back to an earlier state.
    Suspect(Suspicion),
    /// Leave the message at the server and try again at this time. It is not refused.
    Deferred {
        /// When to try again.
        until: UnixSeconds,
    },
    /// Another step has been taken since the message was [routed](super::Messenger::route), or what was loaded is another
    /// message's. Route the message again. It is not refused.
    RouteAgain,
    /// The message does not open, and will not. Acknowledge it to the server.
    Refused(Refused),
    /// The stored state of the message's session was not restored. Load the messenger again. If the error stays, the
    /// session's rows are damaged or gone: [end the session](super::Messenger::end_session), whose id the
    /// [route](super::Route::session) has. Until then neither this message nor any other of the session is opened.
    Stored(RestoreError),
}

/// Why the store seems to have been put back to an earlier state. The remedy is
/// [`restore_backup`](super::Messenger::restore_backup).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// The store's generation is below the witness.
    Witness,
    /// The server has a login nonce that this device has not offered lately.
    LoginNonce,
}

/// A message that was refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reason: Refusal,
    /// The message's id.
    pub message_id: MessageId,
    /// The author, if that is authentic: the message's header has opened. `None` for junk, damage, and messages whose
    /// keys are gone, which anybody can have written.
    pub author: Option<PeerId>,
}

/// The reason why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// The same message was opened before, or this is a damaged copy of one that was: then its author is authentic, and
    /// whoever has delivered it has changed it.
    AlreadyOpened,
    /// The header is authentic, and the message's key is gone: it comes too late, after messages that replaced it. Or it
    /// was opened so long ago that the [log](super::policy::IDS_KEPT) has forgotten it.
    TooLate,
    /// The header is authentic, and its number was used by another message: the author has sealed twice from one state,
    /// because it was restored or copied.
    ForkSuspected,
    /// The header is authentic, and too many messages before this one have not arrived.
    TooManySkipped,
    /// The author is authentic, and the body did not open: damaged after its first bytes, or the author has passed other
    /// associated data.
    Body,
    /// The message is authentic, and is none of this layer: the author does not use it, or a later version of it.
    Malformed,
    /// The session's post-quantum ratchet has failed, and the message is a later one of it, or a message to which somebody
    /// has copied the beginning of one: the session opens no header any more. The new session is demanded already.
    Abandoned,
    /// A first message of a session that has ended.
    SessionEnded,
    /// A first message for a prekey that this device does not have, or has no more: it is late, or its author has used an
    /// old bundle. Anybody can have written it.
    PrekeyGone,
    /// No session expects the message, and it is not a first message. Anybody can have written it.
    NoSuchSession,
    /// The message is not one of this protocol, or was damaged on its way.
    Damaged,
}

/// What an application does about a message that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Nothing.
    Ignore,
    /// Show the user that a message is missing, so that he can ask for it again. A receipt tells the author's device.
    AskAgain,
    /// The same, and the next message to this peer begins a new session, unless one was begun since then.
    NewSession,
}

impl Refusal {
    /// Every reason, in the order of [`Counters`](super::Counters).
    pub const ALL: [Self; 11] = [
        Self::AlreadyOpened,
        Self::TooLate,
        Self::ForkSuspected,
        Self::TooManySkipped,
        Self::Body,
        Self::Malformed,
        Self::Abandoned,
        Self::SessionEnded,
        Self::PrekeyGone,
        Self::NoSuchSession,
        Self::Damaged,
    ];

    /// Returns what to do.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::TooLate | Self::Body | Self::SessionEnded => Remedy::AskAgain,
            Self::ForkSuspected | Self::TooManySkipped | Self::Abandoned => Remedy::NewSession,
            Self::AlreadyOpened | Self::Malformed | Self::PrekeyGone | Self::NoSuchSession | Self::Damaged => {
                Remedy::Ignore
            }
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::AlreadyOpened => "opened before",
            Self::TooLate => "too late",
            Self::ForkSuspected => "the author's state was used twice",
            Self::TooManySkipped => "too many messages before it are missing",
            Self::Body => "body refused",
            Self::Malformed => "not of this layer",
            Self::Abandoned => "session over",
            Self::SessionEnded => "session ended",
            Self::PrekeyGone => "prekey gone",
            Self::NoSuchSession => "no such session",
            Self::Damaged => "damaged",
        }
    }
}

/// Why nothing was sealed. Nothing that is stored has changed, and no key is used up.
///
/// In memory, the reading of the clock is noted, and [`seal_with_bundle`](super::Messenger::seal_with_bundle) remembers
/// another identity. The next step stores both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The last step is not saved: save [`Messenger::unsaved`](super::Messenger::unsaved), or load the messenger again.
    NotSaved,
    /// The store seems to have been put back to an earlier state.
    Suspect(Suspicion),
    /// There is no such peer.
    UnknownPeer,
    /// Fetch the peer's bundle, and call [`seal_with_bundle`](super::Messenger::seal_with_bundle).
    NeedsBundle(NewSession),
    /// There is no session on which to send, and there were [too many](super::policy::RECOVERIES_A_DAY) new ones. Try
    /// again at this time.
    TooManySessions {
        /// When a new session may be begun.
        until: UnixSeconds,
    },
    /// Another identity claims to be this peer. Nothing is sent until the application has accepted or rejected it.
    IdentityChanged,
    /// The identity of the bundle was [rejected](super::Messenger::reject_identity) for this peer: the server gives out the
    /// bundle of somebody else. A session that exists can still be [sent on](super::Messenger::seal_on_session).
    IdentityRejected,
    /// The identity of the bundle is that of another peer. If that is a stranger, it
    /// [claims](super::Messenger::claim_identity) to be this one.
    IdentityTaken,
    /// There is no session on probation.
    NoProbation,
    /// There is nothing authentic to report about this message.
    NoReceipt,
    /// The last answer or receipt to this peer, or the last probe on this session, is less than [an
    /// hour](super::policy::ANSWER_INTERVAL) old.
    TooSoon {
        /// When the next one is permitted.
        until: UnixSeconds,
    },
    /// No session was begun from the bundle.
    Bundle(InitiateError),
    /// The session did not seal.
    Encrypt(EncryptError),
    /// The stored state of the session was not restored; see [`OpenError::Stored`]. The id of the session is that of
    /// [`route_to`](super::Messenger::route_to), or [`route_to_probe`](super::Messenger::route_to_probe) for a probe.
    Stored(RestoreError),
}

/// Why a new session is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NewSession {
    /// There is none on which to send.
    None,
    /// The peer's messages show that it does not know the session.
    Unheard,
    /// Nothing has come from the peer for [a week](super::policy::SILENCE) since a message was sent to it.
    Silence,
    /// The server has refused a message on the session, because this device does not have the access key of the peer's
    /// mailbox, such as after it had forgotten the peer. A first message needs none.
    AccessRefused,
    /// Too many of the peer's messages have not arrived.
    TooManySkipped,
    /// The session's post-quantum ratchet has failed, or the application has [ended](super::Messenger::end_session) the
    /// session.
    Abandoned,
    /// The peer has sealed twice from one state.
    ForkSuspected,
    /// This device was restored from a backup.
    Restored,
}

/// Nothing was sealed. The bundle comes back, if no session was begun from it.
pub struct SealFailed {
    /// The reason.
    pub error: SealError,
    /// The bundle, unused. A one-time prekey that has expired may have been removed from it.
    pub bundle: Bundle,
}

/// Why the messenger's own records were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// The last step is not saved.
    NotSaved,
    /// There is no such peer.
    UnknownPeer,
    /// The peer has no such session.
    UnknownSession,
    /// Another peer has this name or this identity.
    Taken,
    /// The name is empty or longer than [`NAME_LEN`](super::policy::NAME_LEN).
    Name,
    /// The identity is not the one that the peer has, or that claims to be the peer.
    OtherIdentity,
    /// The identity was [rejected](super::Messenger::reject_identity) for this peer.
    Rejected,
}

impl From<SealFailed> for SealError {
    fn from(failed: SealFailed) -> Self {
        failed.error
    }
}

/// Shows the error and no part of the bundle.
impl fmt::Debug for SealFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, bundle: _ } = self;
        f.debug_struct("SealFailed").field("error", error).finish_non_exhaustive()
    }
}

/// Shows neither the author nor the message's id.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, message_id: _, author: _ } = self;
        f.debug_struct("Refused").field("reason", reason).finish_non_exhaustive()
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RouteAgain => f.write_str("a step was taken since the message was routed"),
            Self::NotSaved => f.write_str("the last step is not saved"),
            Self::Suspect(suspicion) => suspicion.fmt(f),
            Self::Deferred { until } => write!(f, "deferred until {until}"),
            Self::Refused(refused) => write!(f, "refused: {}", refused.reason),
            Self::Stored(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Witness => "the store is older than the witness: restore the backup",
            Self::LoginNonce => "the store or the server is older than the last login: restore the backup",
        })
    }
}

impl From<StepError<Suspicion>> for OpenError {
    fn from(error: StepError<Suspicion>) -> Self {
        match error {
            StepError::NotSaved => Self::NotSaved,
            StepError::Failed(suspicion) => Self::Suspect(suspicion),
        }
    }
}

impl From<StepError<Suspicion>> for SealError {
    fn from(error: StepError<Suspicion>) -> Self {
        match error {
            StepError::NotSaved => Self::NotSaved,
            StepError::Failed(suspicion) => Self::Suspect(suspicion),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSaved => f.write_str("the last step is not saved"),
            Self::Suspect(suspicion) => suspicion.fmt(f),
            Self::UnknownPeer => f.write_str("no such peer"),
            Self::NeedsBundle(_) => f.write_str("a new session is needed: fetch the peer's bundle"),
            Self::TooManySessions { until } => write!(f, "too many new sessions: no other before {until}"),
            Self::IdentityChanged => f.write_str("the peer's identity has changed"),
            Self::IdentityRejected => f.write_str("the bundle has an identity that was rejected for this peer"),
            Self::IdentityTaken => f.write_str("another peer has this identity"),
            Self::NoProbation => f.write_str("no session on probation"),
            Self::NoReceipt => f.write_str("no authentic fact to report"),
            Self::TooSoon { until } => write!(f, "no other message of this kind before {until}"),
            Self::Bundle(error) => error.fmt(f),
            Self::Encrypt(error) => error.fmt(f),
            Self::Stored(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SealFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSaved => "the last step is not saved",
            Self::UnknownPeer => "no such peer",
            Self::UnknownSession => "no such session",
            Self::Taken => "another peer has this name or identity",
            Self::Name => "name empty or too long",
            Self::OtherIdentity => "not the identity of this peer",
            Self::Rejected => "an identity that was rejected for this peer",
        })
    }
}

impl core::error::Error for Suspicion {}
impl core::error::Error for OpenError {}
impl core::error::Error for SealError {}
impl core::error::Error for SealFailed {}
impl core::error::Error for PeerError {}
