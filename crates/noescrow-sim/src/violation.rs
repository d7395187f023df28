// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Violation`]: which claim broke, and when.

use super::event::Event;
use core::fmt;

macro_rules! claims {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)+) => {
        /// What is claimed of every schedule. `Display` is the claim's denial.
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
    /// A device takes a bundle whose every signature is right, and no other.
    TakesSoundBundlesOnly => "a bundle was taken that must be refused, or a sound one refused",
    /// A device begins a session while the prekeys are in force, and not later.
    InitiatesInTime => "a session was begun with an expired prekey, or not begun in time",
    /// A first message that is forged, or skips too much, is refused.
    ForgedFirstIsRefused => "a first message that must be refused was accepted, or refused with another error",
    /// A first message is accepted once.
    AcceptedOnce => "a first message was accepted twice, or refused with another error",
    /// An error leaves the device as it was.
    DeviceUnchanged => "an error changed the device",
    /// Who has a session can send.
    Sends => "an honest party could not send",
    /// A message's first byte and length are what they must be.
    SendsTheRightKind => "a message has another type or length than it must have",
    /// What must open opens.
    MustOpen => "a message that must open did not",
    /// It opens with the bytes that were sent.
    OpensToWhatWasSent => "a message opened to other bytes than were sent",
    /// What must not open does not.
    MustNotOpen => "a message that must be refused opened",
    /// A message opens once.
    OpensOnce => "a message opened twice",
    /// Refusals are told apart only as far as the specification says.
    TheRightError => "a message was refused with another error than is due",
    /// An error leaves the session as it was, byte for byte.
    ErrorLeavesState => "an error changed the session",
    /// An opened message changes the session: its key is gone.
    OpeningChangesState => "an opened message left the session as it was",
    /// As many skipped keys are kept as must be.
    SkippedKeys => "another number of skipped keys is kept than must be",
    /// The newest snapshot restores to the state that was saved.
    Restores => "the newest snapshot did not restore to the state that was saved",
    /// An older generation is refused as such.
    RefusesRollback => "a snapshot of an older generation was not refused as one",
    /// A damaged snapshot is refused.
    RefusesDamage => "a damaged snapshot was not refused",
    /// Another session of the same devices goes on untouched.
    OtherSessionContinues => "another session of the same devices did not open its own message",
}

/// A claim that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The event after which it was seen, counted from 0, and the event itself; `None` while the session was begun.
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
