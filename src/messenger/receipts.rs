// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Control`], and among it receipts of decryption failures: the application may tell an author that its message did
//! not open. Only of authentic facts, and rarely.

use super::Messenger;
use super::error::{Refusal, Refused, SealError};
use super::prefix::Kind;
use super::routing::Loaded;
use super::sealing::Outgoing;
use crate::durable::{MESSAGE_ID_LEN, MessageId, Unsaved};
use crate::error::DecodeError;
use crate::payload::Payload;
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use crate::wire::Reader;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use rand_core::CryptoRng;

/// Length in bytes of a receipt: reason (1), message id (16).
const RECEIPT_LEN: usize = 1 + MESSAGE_ID_LEN;

/// The kinds of [`Control`] as they are stored.
const PROBE: u8 = 1;
const ANSWER: u8 = 2;
const RECEIPT: u8 = 3;

/// A message of this layer. It has no payload, and is not shown as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// The peer asks for an answer, because the session may be an old one to it. Send it
    /// [one](Messenger::seal_answer), or any other message, when the user permits that the peer learns of this device's
    /// presence.
    Probe,
    /// An answer, or a message that only carries the ratchet on.
    Answer,
    /// One of our messages did not open.
    Receipt(Receipt),
}

/// A receipt of the peer: one of our messages did not open. It is an event for the user; nothing is reset or sent
/// again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Why: [`Body`](Refusal::Body), [`TooLate`](Refusal::TooLate) or [`TooManySkipped`](Refusal::TooManySkipped).
    pub reason: Refusal,
    /// Which message, by [`Outgoing::message_id`].
    pub message_id: MessageId,
}

impl Refused {
    /// Whether [`Messenger::seal_receipt`] can tell the author about this refusal: it is about a message whose header the
    /// author has written. The server can cause each of these refusals. It can damage a body after the first 4,096 bytes
    /// ([`Body`](Refusal::Body)). It can deliver a message late, or a damaged copy of one that the log has forgotten
    /// ([`TooLate`](Refusal::TooLate)). It can withhold the messages before this one
    /// ([`TooManySkipped`](Refusal::TooManySkipped)).
    #[must_use]
    pub const fn is_reportable(&self) -> bool {
        self.author.is_some() && code(self.reason).is_some()
    }
}

impl Receipt {
    fn to_bytes(self) -> Option<[u8; RECEIPT_LEN]> {
        let mut bytes = [code(self.reason)?; RECEIPT_LEN];
        let [_, id @ ..] = &mut bytes;
        *id = self.message_id;
        Some(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let reason = match reader.u8()? {
            1 => Refusal::Body,
            2 => Refusal::TooLate,
            3 => Refusal::TooManySkipped,
            _ => return Err(DecodeError::Refused),
        };
        let receipt = Self { reason, message_id: *reader.array()? };
        reader.finish()?;
        Ok(receipt)
    }
}

impl Control {
    /// Encodes what it is, for a store: kind (1), and of a receipt its reason (1) and the message's id (16). Returns
    /// `None` for a receipt of a reason of which there are none.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Probe => vec![PROBE],
            Self::Answer => vec![ANSWER],
            Self::Receipt(receipt) => [&[RECEIPT][..], &receipt.to_bytes()?].concat(),
        })
    }

    /// Reads what [`to_bytes`](Self::to_bytes) has written.
    ///
    /// # Errors
    /// [`DecodeError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [PROBE] => Ok(Self::Probe),
            [ANSWER] => Ok(Self::Answer),
            [RECEIPT, receipt @ ..] => Receipt::from_bytes(receipt).map(Self::Receipt),
            _ => Err(DecodeError::Refused),
        }
    }
}

const fn code(reason: Refusal) -> Option<u8> {
    match reason {
        Refusal::Body => Some(1),
        Refusal::TooLate => Some(2),
        Refusal::TooManySkipped => Some(3),
        _ => None,
    }
}

impl<P: Primitives> Messenger<P> {
    /// Seals a receipt about a message that was refused, on the session on which messages are sent to its author.
    /// `loaded` is what [`route_to`](Self::route_to) the author has loaded. One receipt or
    /// [answer](Self::seal_answer) [an hour](super::policy::ANSWER_INTERVAL) can be sealed for a peer.
    ///
    /// # Errors
    /// [`SealError::NoReceipt`] for a message that anybody can have written, [`SealError::TooSoon`], or as
    /// [`seal`](Self::seal); nothing that is stored has changed.
    pub fn seal_receipt(
        &mut self,
        refused: &Refused,
        loaded: Loaded,
        reading: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealError> {
        let receipt = Receipt { reason: refused.reason, message_id: refused.message_id };
        let (Some(peer), Some(bytes)) = (refused.author, receipt.to_bytes()) else { return Err(SealError::NoReceipt) };
        let sending = self.answering_to(&peer, Kind::Receipt, reading)?;
        self.seal_on(sending, Payload::from(&bytes), loaded, reading, rng)
    }
}

/// Shows the reason only.
impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, message_id: _ } = self;
        f.debug_struct("Receipt").field("reason", reason).finish_non_exhaustive()
    }
}
