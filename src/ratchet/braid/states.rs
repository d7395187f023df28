// SPDX-License-Identifier: MIT OR Apache-2.0
//! The eleven states of ML-KEM Braid rev 1, and [`Braid`], which is in one of them or dead.
//!
//! ```text
//!   initiator, epoch 1                                    responder, epoch 1
//!          |                                                     |
//!          v        decapsulator                                 v        encapsulator
//! +-> KeysUnsampled <----------------- BR-13 ----+  +----> NoHeaderReceived <------------ BR-5 ----+
//! |        | BR-1 send: key pair, Hdr            |  |            | BR-6 header complete, MacHdr    |
//! |        v                                     |  |            v                                 |
//! |   KeysSampled           sends Hdr            |  |      HeaderReceived                          |
//! |        | BR-2 first chunk of ct1             |  |            | BR-7 send: encaps1, key out     |
//! |        v                                     |  |            v                                 |
//! |   HeaderSent            sends Ek             |  |      Ct1Sampled            sends Ct1         |
//! |        | BR-3 ct1 complete                   |  |            |        \         \              |
//! |        v                                     |  |       BR-8 | ack     | BR-10   | BR-9         |
//! |   Ct1Received           sends EkCt1Ack       |  |            |         | ek      | ek, ack      |
//! |        | BR-4 first chunk of ct2             |  |            v         v         |              |
//! |        v                                     |  |  Ct1Acknowledged   EkReceived- |              |
//! |   EkSentCt1Received                          |  |            |       Ct1Sampled  |              |
//! |        | BR-5 ct2 complete: decapsulate,     |  |      BR-11 | ek      | BR-12   |              |
//! |        |      MacCt, key out, epoch + 1      |  |            v         v ack     v              |
//! |        |                                     |  |      Ct2Sampled (encaps2)  sends Ct2         |
//! |        +------> NoHeaderReceived             |  |            | BR-13 a message of epoch + 1    |
//! +----------------------------------------------+--+------------+                                 |
//! ```
//!
//! Each state is a struct with only the values known in it. A transition consumes a copy of the state, and its result
//! replaces the original. If the original were moved out, its secrets would stay in its old place unwiped. Receiving
//! has two halves, as in the Double Ratchet: [`Braid::receive`] takes `&self` and finds out what a message would
//! change; [`Braid::commit`] makes the change after the message has been authenticated. By construction, a forged chunk
//! therefore changes nothing (attack E1), and neither does a forged failure.

use super::authenticator::Authenticator;
use super::decapsulator::{Ct1Received, EkSentCt1Received, HeaderSent, KeysSampled, KeysUnsampled};
use super::encapsulator::{
    Ct1Acknowledged, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled, HeaderReceived, NoHeaderReceived,
};
use super::epoch::{Abandoned, Epoch, EpochKey};
use super::erasure::Codeword;
use super::message::{Message, Payload};
use super::values::CT2_MAC_LEN;
use crate::primitives::{EK_HEADER_LEN, Primitives, random_secret};
use crate::secret::Secret;
use crate::wire::ChunkSize;
use core::fmt;
use rand_core::CryptoRng;

/// One party's side of the Braid.
pub(crate) struct Braid {
    pub(super) chunk_size: ChunkSize,
    pub(super) state: State,
}

/// Shows no byte of a key or ciphertext: sealed headers hide these values in transit, and a log must not show them
/// (attack F8).
impl fmt::Debug for Braid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Braid").field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

/// The states, for storage and dispatch.
#[derive(Debug)]
pub(super) enum State {
    KeysUnsampled(KeysUnsampled),
    KeysSampled(KeysSampled),
    HeaderSent(HeaderSent),
    Ct1Received(Ct1Received),
    EkSentCt1Received(EkSentCt1Received),
    NoHeaderReceived(NoHeaderReceived),
    HeaderReceived(HeaderReceived),
    Ct1Sampled(Ct1Sampled),
    EkReceivedCt1Sampled(EkReceivedCt1Sampled),
    Ct1Acknowledged(Ct1Acknowledged),
    Ct2Sampled(Ct2Sampled),
    /// The Braid has failed permanently, and the state holds nothing.
    Dead,
}

/// The Braid's part of one message to send.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) message: Message,
    /// The newest epoch whose key the receiver is sure to have after this message; 0 before the first.
    pub(crate) sending_epoch: u32,
    /// The key of an epoch, which is output once.
    pub(crate) key: Option<EpochKey>,
}

/// The effects of a received message.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The sender's sending epoch, which is always the message's epoch - 1, so that both sides name the same chain. The
    /// source differs at BR-13 (spec/protocol.md §7).
    pub(crate) receiving_epoch: u32,
    pub(crate) key: Option<EpochKey>,
    change: Change,
}

/// The change of the state, named for its transition. Each variant holds only the data that the message adds.
#[derive(Debug)]
pub(super) enum Change {
    /// The message is not of this epoch, not expected in this state, or contains nothing new.
    Nothing,
    /// One more chunk of the value that the state collects.
    Collect(Codeword),
    /// BR-2.
    BeginCt1(Codeword),
    /// BR-3: the codeword that was missing.
    Ct1Complete(Codeword),
    /// BR-4.
    BeginCt2(Codeword),
    /// BR-5: the next epoch and its authenticator.
    Agreed(Epoch, Authenticator),
    /// BR-6.
    HeaderComplete([u8; EK_HEADER_LEN]),
    /// BR-8.
    Ct1Acknowledged(Codeword),
    /// BR-10: the codeword that was missing.
    EkComplete(Codeword),
    /// BR-9, BR-11, BR-12: ct2 and its MAC.
    Ct2Encapsulated([u8; CT2_MAC_LEN]),
    /// BR-13.
    NextEpoch(Epoch),
    /// The completed value is not genuine, or there is no next epoch.
    Fail,
}

impl Incoming {
    /// Returns whether the sending epoch advances: at BR-5 and BR-13.
    pub(crate) const fn advances(&self) -> bool {
        matches!(self.change, Change::Agreed(..) | Change::NextEpoch(_))
    }
}

impl Braid {
    /// Creates the party that generates the first key pair. Only the two parties know `secret`, and it has no other
    /// use.
    pub(crate) fn initiator<P: Primitives>(primitives: &P, secret: &Secret<32>, chunk_size: ChunkSize) -> Self {
        let authenticator = Authenticator::init(primitives, secret);
        let state = State::KeysUnsampled(KeysUnsampled { epoch: Epoch::FIRST, authenticator });
        Self { chunk_size, state }
    }

    /// Creates the party that encapsulates first.
    pub(crate) fn responder<P: Primitives>(primitives: &P, secret: &Secret<32>, chunk_size: ChunkSize) -> Self {
        let authenticator = Authenticator::init(primitives, secret);
        let state = State::NoHeaderReceived(NoHeaderReceived::new(Epoch::FIRST, authenticator, chunk_size));
        Self { chunk_size, state }
    }

    /// `Send`: returns one message, in every state.
    ///
    /// # Errors
    /// [`Abandoned`] always, after the Braid has failed.
    pub(crate) fn send<P: Primitives>(
        &mut self,
        primitives: &P,
        rng: &mut impl CryptoRng,
    ) -> Result<Outgoing, Abandoned> {
        let epoch = self.epoch().ok_or(Abandoned)?;
        let mut key = None;
        // Drawn before the state is replaced: if the generator panics, the state stays in its place (attack C26).
        match &self.state {
            State::KeysUnsampled(state) => {
                primitives.step("BR-1");
                let seed = random_secret(primitives, rng);
                self.state = State::KeysSampled(state.duplicate().generate(self.chunk_size, seed));
            }
            State::HeaderReceived(state) => {
                primitives.step("BR-7");
                let coins = random_secret(primitives, rng);
                let (state, output) = state.duplicate().encapsulate(primitives, self.chunk_size, coins);
                key = Some(output);
                self.state = State::Ct1Sampled(state);
            }
            _ => {}
        }
        // An encoder with no codewords left gives a message without a chunk (attack E12).
        let payload = match &mut self.state {
            State::KeysSampled(state) => state.next_codeword(primitives).map(Payload::Hdr),
            State::HeaderSent(state) => state.next_codeword(primitives).map(Payload::Ek),
            State::Ct1Received(state) => state.next_codeword(primitives).map(Payload::EkCt1Ack),
            State::Ct1Sampled(state) => state.next_codeword(primitives).map(Payload::Ct1),
            State::EkReceivedCt1Sampled(state) => state.next_codeword(primitives).map(Payload::Ct1),
            State::Ct2Sampled(state) => state.ct2.next_codeword().map(Payload::Ct2),
            State::KeysUnsampled(_)
            | State::EkSentCt1Received(_)
            | State::NoHeaderReceived(_)
            | State::HeaderReceived(_)
            | State::Ct1Acknowledged(_)
            | State::Dead => None,
        };
        let message = Message { epoch, payload: payload.unwrap_or(Payload::None) };
        Ok(Outgoing { message, sending_epoch: epoch.before(), key })
    }

    /// `Receive`, up to the resulting change. It changes nothing. A message that the state does not expect is ignored
    /// without an error.
    ///
    /// # Errors
    /// [`Abandoned`] always, after the Braid has failed. A message that would make it fail is no error here, because it
    /// may be forged.
    ///
    /// # Leaks
    /// The state, and whether a value is complete.
    pub(crate) fn receive<P: Primitives>(&self, primitives: &P, message: &Message) -> Result<Incoming, Abandoned> {
        let epoch = self.epoch().ok_or(Abandoned)?;
        let mut key = None;
        let change = match &self.state {
            State::Ct2Sampled(state) => state.receive(primitives, message),
            _ if message.epoch != epoch => Change::Nothing,
            State::KeysSampled(state) => state.receive(primitives, &message.payload),
            State::HeaderSent(state) => state.receive(primitives, &message.payload),
            State::Ct1Received(state) => state.receive(primitives, &message.payload, &mut key),
            State::EkSentCt1Received(state) => state.receive(primitives, &message.payload, &mut key),
            State::NoHeaderReceived(state) => state.receive(primitives, &message.payload),
            State::Ct1Sampled(state) => state.receive(primitives, &message.payload),
            State::EkReceivedCt1Sampled(state) => state.receive(primitives, &message.payload),
            State::Ct1Acknowledged(state) => state.receive(primitives, &message.payload),
            State::KeysUnsampled(_) | State::HeaderReceived(_) | State::Dead => Change::Nothing,
        };
        Ok(Incoming { receiving_epoch: message.epoch.before(), key, change })
    }

    /// Makes the changes of a message that has been authenticated. `incoming` is the result of
    /// [`receive`](Self::receive) for the current state; for another state the Braid fails.
    ///
    /// # Errors
    /// [`Abandoned`] if the message made the Braid fail. The Braid is then dead.
    pub(crate) fn commit(&mut self, incoming: Incoming) -> Result<(), Abandoned> {
        // Most messages have one of these two effects, which are made in place.
        let change = match incoming.change {
            Change::Nothing => return Ok(()),
            Change::Collect(codeword) => return self.collect(&codeword),
            change => change,
        };
        // Assigned in place, so that the old state is wiped there.
        self.state = match (&self.state, change) {
            (State::KeysSampled(state), Change::BeginCt1(codeword)) => {
                State::HeaderSent(state.duplicate().begin_ct1(&codeword))
            }
            (State::HeaderSent(state), Change::Ct1Complete(codeword)) => match state.ct1.completed_by(&codeword) {
                Some(ct1) => State::Ct1Received(state.duplicate().ct1_complete(ct1)),
                None => State::Dead,
            },
            (State::Ct1Received(state), Change::BeginCt2(codeword)) => {
                State::EkSentCt1Received(state.duplicate().begin_ct2(&codeword))
            }
            (State::EkSentCt1Received(_) | State::Ct1Received(_), Change::Agreed(epoch, authenticator)) => {
                State::NoHeaderReceived(NoHeaderReceived::new(epoch, authenticator, self.chunk_size))
            }
            (State::NoHeaderReceived(state), Change::HeaderComplete(header)) => {
                State::HeaderReceived(state.duplicate().header_complete(header))
            }
            (State::Ct1Sampled(state), Change::Ct1Acknowledged(codeword)) => {
                State::Ct1Acknowledged(state.duplicate().acknowledged(&codeword))
            }
            (State::Ct1Sampled(state), Change::EkComplete(codeword)) => match state.ek.completed_by(&codeword) {
                Some(ek_vector) => State::EkReceivedCt1Sampled(state.duplicate().ek_complete(ek_vector)),
                None => State::Dead,
            },
            (State::Ct1Sampled(state), Change::Ct2Encapsulated(ct2)) => {
                State::Ct2Sampled(state.duplicate().ct2_encapsulated(&ct2))
            }
            (State::Ct1Acknowledged(state), Change::Ct2Encapsulated(ct2)) => {
                State::Ct2Sampled(state.duplicate().ct2_encapsulated(&ct2))
            }
            (State::EkReceivedCt1Sampled(state), Change::Ct2Encapsulated(ct2)) => {
                State::Ct2Sampled(state.duplicate().ct2_encapsulated(&ct2))
            }
            (State::Ct2Sampled(state), Change::NextEpoch(epoch)) => {
                State::KeysUnsampled(state.duplicate().next_epoch(epoch))
            }
            _ => State::Dead,
        };
        if self.epoch().is_some() { Ok(()) } else { Err(Abandoned) }
    }

    fn collect(&mut self, codeword: &Codeword) -> Result<(), Abandoned> {
        match &mut self.state {
            State::HeaderSent(state) => state.ct1.add(codeword),
            State::EkSentCt1Received(state) => state.ct2.add(codeword),
            State::NoHeaderReceived(state) => state.header.add(codeword),
            State::Ct1Sampled(state) => state.ek.add(codeword),
            State::Ct1Acknowledged(state) => state.ek.add(codeword),
            state => {
                *state = State::Dead;
                return Err(Abandoned);
            }
        }
        Ok(())
    }

    /// Returns the newest epoch whose key this party has output. The encapsulator has it before the epoch ends. Returns
    /// `None` when dead.
    pub(crate) fn newest_key(&self) -> Option<u32> {
        let epoch = self.epoch()?;
        Some(match &self.state {
            State::Ct1Sampled(_)
            | State::EkReceivedCt1Sampled(_)
            | State::Ct1Acknowledged(_)
            | State::Ct2Sampled(_) => epoch.number(),
            _ => epoch.before(),
        })
    }

    /// Returns whether this party generates the epoch's key pair; `None` when dead.
    pub(crate) const fn is_decapsulator(&self) -> Option<bool> {
        match &self.state {
            State::KeysUnsampled(_)
            | State::KeysSampled(_)
            | State::HeaderSent(_)
            | State::Ct1Received(_)
            | State::EkSentCt1Received(_) => Some(true),
            State::Dead => None,
            _ => Some(false),
        }
    }

    /// Returns the epoch that the parties are agreeing on; `None` when dead.
    pub(crate) const fn epoch(&self) -> Option<Epoch> {
        Some(match &self.state {
            State::KeysUnsampled(state) => state.epoch,
            State::KeysSampled(state) => state.epoch,
            State::HeaderSent(state) => state.epoch,
            State::Ct1Received(state) => state.epoch,
            State::EkSentCt1Received(state) => state.epoch,
            State::NoHeaderReceived(state) => state.epoch,
            State::HeaderReceived(state) => state.epoch,
            State::Ct1Sampled(state) => state.begun.epoch,
            State::EkReceivedCt1Sampled(state) => state.begun.epoch,
            State::Ct1Acknowledged(state) => state.begun.epoch,
            State::Ct2Sampled(state) => state.epoch,
            State::Dead => return None,
        })
    }
}
