// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Violation`]: which claim failed, and at which event.

use super::event::Event;
use core::fmt;

macro_rules! claims {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)+) => {
        /// A claim about every schedule. `Display` gives its negation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Claim { $($(#[$doc])* $name,)+ }

        impl fmt::Display for Claim {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)+ })
            }
        }
    };
}

claims! {
    /// A handshake between honest devices succeeds.
    HandshakeSucceeds => "an honest handshake failed",
    /// A device accepts a bundle if and only if every signature is valid.
    TakesSoundBundlesOnly => "a bundle that must be refused was accepted, or a sound one refused",
    /// A device begins a session while the prekeys are valid, and not later.
    InitiatesInTime => "a session was begun with an expired prekey, or refused with a valid one",
    /// A first message that is forged, or skips too much, is refused.
    ForgedFirstIsRefused => "a first message that must be refused was accepted, or refused with an unexpected error",
    /// A first message is accepted once.
    AcceptedOnce => "a first message was accepted twice, or refused with an unexpected error",
    /// An error leaves the device as it was.
    DeviceUnchanged => "an error changed the device",
    /// A party with a session can send.
    Sends => "an honest party could not send",
    /// A message has the required first byte and length.
    SendsTheRightKind => "a message has a wrong type or length",
    /// A message that must open opens.
    MustOpen => "a message that must open did not",
    /// It opens with the bytes that were sent.
    OpensToWhatWasSent => "a message opened to bytes other than those sent",
    /// A message that must be refused does not open.
    MustNotOpen => "a message that must be refused opened",
    /// A message opens once.
    OpensOnce => "a message opened twice",
    /// Errors distinguish refusals only as far as the specification says.
    TheRightError => "a message was refused with an unexpected error",
    /// An error leaves the session as it was, byte for byte.
    ErrorLeavesState => "an error changed the session",
    /// Opening a message changes the session: its key is gone.
    OpeningChangesState => "opening a message did not change the session",
    /// The number of skipped keys is the expected one.
    SkippedKeys => "the number of skipped keys is not the expected one",
    /// The newest snapshot restores to the state that was saved.
    Restores => "the newest snapshot did not restore to the state that was saved",
    /// A snapshot of an older generation is refused as a rollback.
    RefusesRollback => "a snapshot of an older generation was not refused as a rollback",
    /// A damaged snapshot is refused.
    RefusesDamage => "a damaged snapshot was not refused",
    /// Another session of the same devices stays usable and unchanged.
    OtherSessionContinues => "another session of the same devices did not open its own message",
}

/// A claim that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The event at which it failed, counted from 0, and the event itself; `None` if the setup failed.
    pub event: Option<(usize, Event)>,
    /// The claim.
    pub claim: Claim,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Some((index, event)) => write!(f, "event {index}, {event:?}: {}", self.claim),
            None => write!(f, "handshake: {}", self.claim),
        }
    }
}

impl core::error::Error for Violation {}
