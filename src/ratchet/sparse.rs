// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Sparse Post-Quantum Ratchet (Double Ratchet rev 4 §5) over the ML-KEM Braid. Every epoch's output key is mixed
//! into a root key, and each epoch has one chain per direction.
//!
//! ```text
//!            epoch 0               epoch 1                    epoch 2
//!   SK --> RK ------- Add Epoch --> RK ------- Add Epoch -----> RK  ...
//!            |-- CK A2B: mk 1, 2, ... |-- CK A2B: mk 1, 2, ...    |
//!            |-- CK B2A: mk 1, 2, ... |-- CK B2A: mk 1, 2, ...    |
//!            `-- header secret        `-- header secret           `
//! ```
//!
//! A message is sent on the chain of the newest epoch whose key its receiver is sure to have. Steps are numbered `SP-*`
//! as in spec/protocol.md §8. Receiving has two halves, as in the Double Ratchet: [`SparseRatchet::receive`] changes
//! nothing, and [`SparseRatchet::commit`] stores the changes after the message has been authenticated.
//!
//! This module is not concerned with how an epoch's key is agreed on (`braid`) and what a message key is used for
//! (`triple`).

use super::braid::message::Message;
use super::braid::{self, Braid, EpochKey};
use super::chain::MessageKey;
use super::skipped::{MAX_JUMP, SkippedKeyStore, SkippedKeys, SkippedMessageKey};
use crate::error::{DecryptError, EncryptError};
use crate::labels;
use crate::primitives::Primitives;
use crate::secret::Secret;
use crate::wipe;
use crate::wire::ChunkSize;
use arrayvec::ArrayVec;
use rand_core::CryptoRng;

/// Maximum number of epochs whose chains are kept (Double Ratchet rev 4 §5, `ClearOldEpochs`): the sending epoch, the
/// one before it, from which messages may still arrive, and the next, whose key may already be known.
const MAX_EPOCHS: usize = 3;
/// Maximum number of messages that one message may skip in a chain, 50,000: those of two chains of the Double Ratchet. A
/// chain here continues over the Double Ratchet's steps, and the gap between two messages that arrive spans at most the
/// ends of two of its chains (see [`MAX_JUMP`]).
const MAX_SPARSE_JUMP: u32 = 2 * MAX_JUMP;

/// The direction of a chain. A2B is the one on which the session's initiator sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    A2B,
    B2A,
}

/// CK and N of one direction. N is the number of the last message, and the first message has number 1 (Double Ratchet
/// rev 4 §5; the Double Ratchet itself counts from 0).
#[derive(Debug)]
pub(crate) struct SparseChain {
    pub(crate) chain_key: Secret<32>,
    pub(crate) number: u32,
}

/// `kdfchains[epoch]`.
#[derive(Debug)]
pub(crate) struct EpochChains {
    pub(crate) epoch: u32,
    /// `None` after a later epoch has become the sending epoch.
    pub(crate) send: Option<SparseChain>,
    pub(crate) receive: SparseChain,
    /// The root's share for the Double Ratchet's header keys.
    pub(crate) header_secret: Secret<32>,
}

impl EpochChains {
    fn zeroed() -> Self {
        let chain = || SparseChain { chain_key: Secret::zero(), number: 0 };
        Self { epoch: 0, send: Some(chain()), receive: chain(), header_secret: Secret::zero() }
    }

    /// Returns an empty array of epochs whose space is initialized.
    pub(super) fn empty_array() -> ArrayVec<Self, MAX_EPOCHS> {
        wipe::empty_initialized(Self::zeroed)
    }
}

/// The state of Double Ratchet rev 4 §5.2. When the Braid is dead, the rest is empty.
#[derive(Debug)]
pub(crate) struct SparseRatchet<S> {
    pub(crate) direction: Direction,
    pub(crate) root_key: Secret<32>,
    /// Consecutive epochs, ascending. The last is the newest whose key was mixed into the root.
    pub(crate) epochs: ArrayVec<EpochChains, MAX_EPOCHS>,
    pub(crate) skipped: SkippedKeys<S>,
    pub(crate) braid: Braid,
}

/// The fields of a message's header that belong to this ratchet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SparseHeader {
    pub(crate) message: Message,
    /// n, the message's number in its chain.
    pub(crate) number: u32,
}

/// The key that opens one message, and the changes to the state if the message opens.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    pub(crate) message_key: MessageKey,
    /// The epoch of the message's chain.
    epoch: u32,
    chain: Change<S>,
    /// The root key and chains of a new epoch.
    new_epoch: Option<(Secret<32>, EpochChains)>,
    braid: braid::Incoming,
}

#[derive(Debug)]
enum Change<S> {
    /// A skipped key is used up.
    UseSkipped { at: usize },
    /// The chain advances.
    Advance { chain: SparseChain, skipped: SkippedKeys<S> },
}

impl<S> Incoming<S> {
    /// Returns whether the sending epoch advances with this message.
    pub(crate) const fn advances(&self) -> bool {
        self.braid.advances()
    }
}

impl<S: SkippedKeyStore> SparseRatchet<S> {
    /// `RatchetInitAliceSCKA`, `RatchetInitBobSCKA` (SP-I1). Both secrets are labelled expansions of SK.
    pub(crate) fn new<P: Primitives>(
        primitives: &P,
        direction: Direction,
        secret: &Secret<32>,
        braid_secret: &Secret<32>,
        chunk_size: ChunkSize,
    ) -> Self {
        primitives.step("SP-I1");
        let braid = match direction {
            Direction::A2B => Braid::initiator(primitives, braid_secret, chunk_size),
            Direction::B2A => Braid::responder(primitives, braid_secret, chunk_size),
        };
        // Derived after the Braid, which is larger, so that no stale byte of this derivation is where the Braid was
        // built.
        let (root_key, mut chains) = wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| {
            kdf_scka(primitives, &[0; 32], secret, labels::CHAIN_START, 0, direction)
        });
        let mut epochs = EpochChains::empty_array();
        // Moved out, and its old place is wiped.
        epochs.push(core::mem::replace(&mut chains, EpochChains::zeroed()));
        Self { direction, root_key, epochs, skipped: SkippedKeys::default(), braid }
    }

    /// Returns whether the Braid, and with it the session, has failed (attack E6).
    pub(crate) const fn is_dead(&self) -> bool {
        self.braid.epoch().is_none()
    }

    /// Returns the newest epoch whose key was mixed into the root: 0 before the first, and when dead.
    pub(crate) fn epoch(&self) -> u32 {
        self.epochs.last().map_or(0, |chains| chains.epoch)
    }

    /// Returns the newest epoch whose key the peer is sure to have, which is that of the next message's chain. Returns
    /// `None` when dead.
    pub(crate) fn sending_epoch(&self) -> Option<u32> {
        self.braid.epoch().map(braid::Epoch::before)
    }

    /// Returns the sending epoch with its share for header keys.
    pub(crate) fn sending_header_secret(&self) -> Option<(u32, &Secret<32>)> {
        let epoch = self.sending_epoch()?;
        Some((epoch, self.header_secret(epoch)?))
    }

    /// Returns the share of epoch `epoch` for header keys, while its chains are kept.
    pub(crate) fn header_secret(&self, epoch: u32) -> Option<&Secret<32>> {
        self.epochs.iter().find(|chains| chains.epoch == epoch).map(|chains| &chains.header_secret)
    }

    /// Checks that a message can be sent now.
    pub(crate) fn check_sending(&self) -> Result<(), EncryptError> {
        let epoch = self.sending_epoch().ok_or(EncryptError::Abandoned)?;
        let chains = self.epochs.iter().find(|chains| chains.epoch == epoch);
        match chains.and_then(|chains| chains.send.as_ref()) {
            Some(SparseChain { number: u32::MAX, .. }) => Err(EncryptError::ChainExhausted),
            Some(_) => Ok(()),
            None => Err(EncryptError::Abandoned),
        }
    }

    /// `SCKASend` and the sending chain's step. It cannot fail after [`check_sending`](Self::check_sending).
    pub(crate) fn send<P: Primitives>(
        &mut self,
        primitives: &P,
        rng: &mut impl CryptoRng,
    ) -> Result<(SparseHeader, MessageKey), EncryptError> {
        primitives.step("SP-S1");
        let outgoing = self.braid.send(primitives, rng).map_err(|_| EncryptError::Abandoned)?;
        if let Some(key) = outgoing.key {
            let (root_key, chains) = self.derive_next_epoch(primitives, &key).ok_or(EncryptError::Abandoned)?;
            self.store_epoch(root_key, chains);
        }
        self.retire(outgoing.sending_epoch);

        primitives.step("SP-S2");
        let chains = self.epochs.iter_mut().find(|chains| chains.epoch == outgoing.sending_epoch);
        let chain = chains.and_then(|chains| chains.send.as_mut()).ok_or(EncryptError::Abandoned)?;
        let number = chain.number.checked_add(1).ok_or(EncryptError::ChainExhausted)?;
        let (chain_key, message_key) = kdf_scka_ck(primitives, &chain.chain_key, number);
        *chain = SparseChain { chain_key, number };
        Ok((SparseHeader { message: outgoing.message, number }, message_key))
    }

    /// SP-R1: checks, before any work, whether there can be a key for a message. `is_new` states whether the Double
    /// Ratchet has received no message that was sent after this one. A new message must be on the newest chain on which
    /// any message arrived, or on a newer one, and beyond all messages that arrived on it. Otherwise a thief of an old
    /// epoch's chain could continue to send on it.
    ///
    /// # Errors
    /// [`DecryptError::KeyGone`] if the message is not new and its epoch is retired or its key is not kept;
    /// [`DecryptError::Refused`] if that holds for a new message; `TooManySkipped`; `Abandoned` when dead.
    pub(crate) fn check_receiving(&self, header: &SparseHeader, is_new: bool) -> Result<(), DecryptError> {
        if self.is_dead() {
            return Err(DecryptError::Abandoned);
        }
        let epoch = header.message.epoch.before();
        let unavailable = if is_new { DecryptError::Refused } else { DecryptError::KeyGone };
        let chain = self.epochs.iter().find(|chains| chains.epoch == epoch).ok_or(unavailable)?;
        let missing = missing(header, chain);
        let newest_used =
            self.epochs.iter().rev().find(|chains| chains.receive.number > 0).map_or(0, |chains| chains.epoch);
        match missing {
            Some(missing) if missing > MAX_SPARSE_JUMP => Err(DecryptError::TooManySkipped),
            Some(_) if !is_new || epoch >= newest_used => Ok(()),
            None if !is_new && self.skipped.find(epoch, header.number).is_some() => Ok(()),
            _ => Err(unavailable),
        }
    }

    /// Returns how many messages a message with this header skips.
    pub(crate) fn skips(&self, header: &SparseHeader) -> u32 {
        let epoch = header.message.epoch.before();
        let chain = self.epochs.iter().find(|chains| chains.epoch == epoch);
        chain.and_then(|chain| missing(header, chain)).unwrap_or(0)
    }

    /// `SCKAReceive` and the receiving chain's steps up to the message key, after
    /// [`check_receiving`](Self::check_receiving). It changes nothing. At most the newest `keep` skipped keys are kept:
    /// without a key of the Double Ratchet a key of this one opens nothing.
    ///
    /// # Errors
    /// Those of [`check_receiving`](Self::check_receiving).
    pub(crate) fn receive<P: Primitives>(
        &self,
        primitives: &P,
        header: &SparseHeader,
        keep: usize,
    ) -> Result<Incoming<S>, DecryptError> {
        let epoch = header.message.epoch.before();
        let chain = self.epochs.iter().find(|chains| chains.epoch == epoch).ok_or(DecryptError::Refused)?;
        let found = self.skipped.find(epoch, header.number);

        primitives.step("SP-R1");
        let mut braid = self.braid.receive(primitives, &header.message).map_err(|_| DecryptError::Abandoned)?;
        let new_epoch = match &braid.key {
            Some(key) => Some(self.derive_next_epoch(primitives, key).ok_or(DecryptError::Abandoned)?),
            None => None,
        };
        // Wiped in its place.
        braid.key = None;

        primitives.step("SP-R2");
        let (message_key, chain) = match found.and_then(|at| Some((at, self.skipped.get(at)?))) {
            Some((at, key)) => (MessageKey(key.0.duplicate()), Change::UseSkipped { at }),
            None if header.number <= chain.receive.number => return Err(DecryptError::Refused),
            None => advance(primitives, &chain.receive, epoch, header.number, keep.min(S::CAPACITY)),
        };
        Ok(Incoming { message_key, epoch: braid.receiving_epoch, chain, new_epoch, braid })
    }

    /// SP-R3: stores the changes of a message that has been authenticated. If the message made the Braid fail, the
    /// ratchet is dead from then on, and everything that it held is wiped.
    pub(crate) fn commit<P: Primitives>(&mut self, primitives: &P, incoming: Incoming<S>) {
        primitives.step("SP-R3");
        match incoming.chain {
            Change::UseSkipped { at } => {
                self.skipped.remove(at);
            }
            Change::Advance { chain, skipped } => {
                if let Some(chains) = self.epochs.iter_mut().find(|chains| chains.epoch == incoming.epoch) {
                    chains.receive = chain;
                }
                self.skipped.absorb(skipped);
            }
        }
        if let Some((root_key, chains)) = incoming.new_epoch {
            self.store_epoch(root_key, chains);
        }
        match self.braid.commit(incoming.braid) {
            Ok(()) => self.retire(self.sending_epoch().unwrap_or(0)),
            Err(braid::Abandoned) => {
                self.root_key = Secret::zero();
                self.epochs.clear();
                self.skipped = SkippedKeys::default();
            }
        }
    }

    /// KDF_SCKA_RK: derives the root key and chains of the next epoch. Returns `None` if the key belongs to another
    /// epoch.
    fn derive_next_epoch<P: Primitives>(&self, primitives: &P, key: &EpochKey) -> Option<(Secret<32>, EpochChains)> {
        let epoch = key.epoch.number();
        if key.epoch.before() != self.epoch() {
            return None;
        }
        let label = labels::CHAIN_ADD_EPOCH;
        Some(kdf_scka(primitives, self.root_key.expose(), &key.key, label, epoch, self.direction))
    }

    fn store_epoch(&mut self, root_key: Secret<32>, chains: EpochChains) {
        self.root_key = root_key;
        // There is space: before the Braid outputs a key, there are chains of at most two epochs.
        let _ = self.epochs.try_push(chains);
    }

    /// `ClearOldEpochs`, and the deletion of old epochs' sending chains.
    fn retire(&mut self, sending_epoch: u32) {
        let oldest = sending_epoch.saturating_sub(1);
        // Wiped in their places. `retain` would leave copies after the end of the array.
        let dead = self.epochs.iter().take_while(|chains| chains.epoch < oldest).count();
        self.epochs.rotate_left(dead);
        self.epochs.truncate(self.epochs.len().saturating_sub(dead));
        for chains in self.epochs.iter_mut().filter(|chains| chains.epoch < sending_epoch) {
            chains.send = None;
        }
        self.skipped.retire_below(oldest);
    }
}

/// Returns how many messages are missing in a chain before a message, or `None` if the chain has passed it. Before the
/// first message, with number 1, no message is missing.
fn missing(header: &SparseHeader, chain: &EpochChains) -> Option<u32> {
    header.number.checked_sub(1).and_then(|last| last.checked_sub(chain.receive.number))
}

/// Skips to `number` - 1, keeping the newest `keep` keys, and steps once. The source's §5.6 skips to `number` and then
/// steps, which is an erratum (spec/protocol.md §8).
fn advance<P: Primitives, S: SkippedKeyStore>(
    primitives: &P,
    chain: &SparseChain,
    epoch: u32,
    number: u32,
    keep: usize,
) -> (MessageKey, Change<S>) {
    let mut skipped = SkippedKeys::default();
    let mut chain_key = chain.chain_key.duplicate();
    let first = chain.number.saturating_add(1);
    let first_kept = number.saturating_sub(u32::try_from(keep).unwrap_or(u32::MAX)).max(first);
    for number in first..first_kept {
        chain_key = kdf_scka_ck_next(primitives, &chain_key, number);
    }
    for number in first_kept..number {
        let (next, key) = kdf_scka_ck(primitives, &chain_key, number);
        skipped.push(SkippedMessageKey { chain: epoch, number, key });
        chain_key = next;
    }
    let (chain_key, message_key) = kdf_scka_ck(primitives, &chain_key, number);
    (message_key, Change::Advance { chain: SparseChain { chain_key, number }, skipped })
}

/// KDF_SCKA_INIT and KDF_SCKA_RK: HKDF(salt, ikm, info, 128) = RK || CK_A2B || CK_B2A || header secret. The first 96
/// bytes are the specification's, the last 32 those of difference D15.
fn kdf_scka<P: Primitives>(
    primitives: &P,
    salt: &[u8; 32],
    ikm: &Secret<32>,
    info: &[u8],
    epoch: u32,
    direction: Direction,
) -> (Secret<32>, EpochChains) {
    let mut material = Secret::<128>::zero();
    primitives.hkdf(salt, &[ikm.expose()], &[info], material.expose_mut());
    let mut parts = [const { Secret::<32>::zero() }; 4];
    for (part, bytes) in parts.iter_mut().zip(material.expose().as_chunks::<32>().0) {
        *part.expose_mut() = *bytes;
    }
    let [root_key, a2b, b2a, header_secret] = parts;
    let [a2b, b2a] = [a2b, b2a].map(|chain_key| SparseChain { chain_key, number: 0 });
    let (send, receive) = match direction {
        Direction::A2B => (a2b, b2a),
        Direction::B2A => (b2a, a2b),
    };
    (root_key, EpochChains { epoch, send: Some(send), receive, header_secret })
}

/// KDF_SCKA_CK: HKDF-Expand(ck, label || counter, 64) = CK || mk, keyed by the chain key as in the source's §5.2. The
/// parameters in the table of its §7.2 are an erratum (spec/protocol.md §8).
fn kdf_scka_ck<P: Primitives>(primitives: &P, chain_key: &Secret<32>, number: u32) -> (Secret<32>, MessageKey) {
    let mut material = Secret::<64>::zero();
    primitives.hkdf_expand(chain_key, &[labels::CHAIN_NEXT, &number.to_be_bytes()], material.expose_mut());
    let (mut next, mut message_key) = (Secret::zero(), Secret::zero());
    let (first, second) = material.expose().split_at(32);
    next.expose_mut().copy_from_slice(first);
    message_key.expose_mut().copy_from_slice(second);
    (next, MessageKey(message_key))
}

/// The chain key alone, for a message whose key is not kept: the first 32 bytes.
fn kdf_scka_ck_next<P: Primitives>(primitives: &P, chain_key: &Secret<32>, number: u32) -> Secret<32> {
    let mut next = Secret::zero();
    primitives.hkdf_expand(chain_key, &[labels::CHAIN_NEXT, &number.to_be_bytes()], next.expose_mut());
    next
}

#[cfg(test)]
mod tests;
