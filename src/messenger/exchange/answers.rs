// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Answers`]: what is sent to a peer because its message asks for it, without the user.

use super::super::peers::PeerId;
use crate::durable::OutboxMessage;
use crate::payload::Payload;
use core::fmt;

/// What [`Connected::receive`](super::Connected::receive) sends to a peer because its messages ask for it: answers to
/// probes and to long series of messages, and receipts of messages that do not open. Strangers get neither.
///
/// A peer gets one [an hour](super::super::policy::ANSWER_INTERVAL) at most, and none while a message to it waits in the
/// outbox.
///
/// # Leaks
/// An answer shows the peer, and whoever can watch the server, that this device is there (attack G11). Ask the user before
/// choosing anything but [`Never`](Self::Never).
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub enum Answers<'a> {
    /// Nothing. The user's next message to the peer answers as well. Until then a peer that was restored sends on an older
    /// session.
    #[default]
    Never,
    /// Messages without content, and receipts.
    AtOnce,
    /// The same, with this payload as the answer. The user of the peer sees it.
    With(Payload<'a>),
}

impl<'a> Answers<'a> {
    /// Whether answers and receipts are sent at all.
    pub(crate) const fn are_sent(&self) -> bool {
        !matches!(self, Self::Never)
    }

    /// The payload of an answer.
    pub(crate) const fn payload(&self) -> Option<Payload<'a>> {
        match self {
            Self::Never | Self::AtOnce => None,
            Self::With(payload) => Some(*payload),
        }
    }
}

/// Whether a message of the outbox is for this peer.
pub(crate) fn is_to(peer: &PeerId, message: &OutboxMessage) -> bool {
    message.peer.as_ref().and_then(PeerId::from_subject) == Some(*peer)
}

/// Does not show the payload.
impl fmt::Debug for Answers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::AtOnce => "AtOnce",
            Self::With(_) => "With(..)",
        })
    }
}
