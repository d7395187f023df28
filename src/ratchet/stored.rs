// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ratchets' state as bytes, inside a sealed snapshot (spec/protocol.md §11). Only a state that could have been
//! stored loads: every public key is canonical; a chain has at least one message; skipped keys are in order and within
//! their bounds, and each has its header key; the kept epochs are those that the Braid's epoch requires.

use super::braid::{Braid, Epoch};
use super::chain::{ChainKey, MessageKey};
use super::double::{DoubleRatchet, ReceivingChain, SendingChain, SendingState};
use super::header::HeaderKey;
use super::root::RootKey;
use super::skipped::{SkippedChain, SkippedKeyStore, SkippedKeys, SkippedMessageKey, SkippedMessageKeys, is_too_old};
use super::sparse::{Direction, EpochChains, SparseChain, SparseRatchet};
use super::triple::TripleRatchet;
use crate::error::DecodeError;
use crate::primitives::{DhKeyPair, Primitives};
use crate::secret::Secret;
use crate::wipe;
use crate::wire::{ChunkSize, Full, Reader, Writer};
use arrayvec::ArrayVec;

/// Length in bytes of a skipped key: step, number, key.
const SKIPPED_KEY_LEN: usize = 4 + 4 + 32;
/// Length in bytes of a retired chain: step, header key.
const SKIPPED_CHAIN_LEN: usize = 4 + 32;
/// Length in bytes of a chain of the sparse ratchet: chain key, number.
const SPARSE_CHAIN_LEN: usize = 32 + 4;

fn secret(reader: &mut Reader<'_>) -> Result<Secret<32>, DecodeError> {
    reader.array().map(|bytes| Secret::new(*bytes))
}

impl<S: SkippedKeyStore> DoubleRatchet<S> {
    pub(crate) fn stored_len(&self) -> usize {
        let sending = match self.sending {
            SendingState::Waiting { .. } => 32,
            SendingState::Due { .. } => 32 + 4,
            SendingState::Sending(_) => 32 + 32 + 32 + 4 + 4 + 4,
        };
        let receiving = self.receiving.as_ref().map_or(0, |_| 32 + 32 + 32 + 4);
        [32, 1, sending, 1, receiving, 32, 32, 4, self.skipped.stored_len()].into_iter().fold(0, usize::saturating_add)
    }

    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(self.root_key.0.expose())?;
        match &self.sending {
            SendingState::Waiting { key_pair } => {
                writer.u8(0)?;
                writer.put(key_pair.secret.expose())?;
            }
            SendingState::Due { remote_ratchet_key, previous_chain_length } => {
                writer.u8(1)?;
                writer.put(remote_ratchet_key.as_bytes())?;
                writer.u32(*previous_chain_length)?;
            }
            SendingState::Sending(chain) => {
                writer.u8(2)?;
                writer.put(chain.key_pair.secret.expose())?;
                writer.put(chain.chain_key.0.expose())?;
                writer.put(chain.header_key.0.expose())?;
                writer.u32(chain.number)?;
                writer.u32(chain.previous_chain_length)?;
                writer.u32(chain.mixed_epoch)?;
            }
        }
        writer.u8(u8::from(self.receiving.is_some()))?;
        if let Some(chain) = &self.receiving {
            writer.put(chain.remote_ratchet_key.as_bytes())?;
            writer.put(chain.chain_key.0.expose())?;
            writer.put(chain.header_key.0.expose())?;
            writer.u32(chain.number)?;
        }
        writer.put(self.next_sending_header_key.0.expose())?;
        writer.put(self.next_receiving_header_key.0.expose())?;
        writer.u32(self.step)?;
        self.skipped.store(writer)
    }

    pub(crate) fn load<P: Primitives>(primitives: &P, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let root_key = RootKey(secret(reader)?);
        let sending = match reader.u8()? {
            0 => SendingState::Waiting { key_pair: DhKeyPair::from_secret(primitives, secret(reader)?) },
            1 => SendingState::Due { remote_ratchet_key: reader.dh_public()?, previous_chain_length: reader.u32()? },
            2 => SendingState::Sending(SendingChain {
                key_pair: DhKeyPair::from_secret(primitives, secret(reader)?),
                chain_key: ChainKey(secret(reader)?),
                header_key: HeaderKey(secret(reader)?),
                number: reader.u32()?,
                previous_chain_length: reader.u32()?,
                mixed_epoch: reader.u32()?,
            }),
            _ => return Err(DecodeError::Refused),
        };
        let receiving = match reader.flag()? {
            true => Some(ReceivingChain {
                remote_ratchet_key: reader.dh_public()?,
                chain_key: ChainKey(secret(reader)?),
                header_key: HeaderKey(secret(reader)?),
                number: reader.u32()?,
            }),
            false => None,
        };
        let next_sending_header_key = HeaderKey(secret(reader)?);
        let next_receiving_header_key = HeaderKey(secret(reader)?);
        let step = reader.u32()?;
        // Only the responder's first step creates its first receiving chain.
        let fresh_matches = receiving.is_some() == (step > 0);
        let sending_matches = match &sending {
            SendingState::Waiting { .. } => step == 0,
            // Before the first message was received, there was no earlier chain.
            SendingState::Due { previous_chain_length, .. } => step > 0 || *previous_chain_length == 0,
            SendingState::Sending(chain) => chain.number > 0 && (step > 0 || chain.previous_chain_length == 0),
        };
        let receiving_matches = receiving.as_ref().is_none_or(|chain| chain.number > 0);
        if !(fresh_matches && sending_matches && receiving_matches) {
            return Err(DecodeError::Refused);
        }
        let number = receiving.as_ref().map_or(0, |chain| chain.number);
        let skipped = SkippedMessageKeys::load(reader, step, number)?;
        Ok(Self { root_key, sending, receiving, next_sending_header_key, next_receiving_header_key, step, skipped })
    }
}

impl<S: SkippedKeyStore> SkippedMessageKeys<S> {
    fn stored_len(&self) -> usize {
        let chains = self.chains().count().saturating_mul(SKIPPED_CHAIN_LEN);
        chains.saturating_add(self.keys.stored_len()).saturating_add(4)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(u32::try_from(self.chains.len()).map_err(|_| Full)?)?;
        for chain in &self.chains {
            writer.u32(chain.step)?;
            writer.put(chain.header_key.0.expose())?;
        }
        self.keys.store(writer)
    }

    /// Loads skipped keys. `step` and `number` are those of the current receiving chain.
    fn load(reader: &mut Reader<'_>, step: u32, number: u32) -> Result<Self, DecodeError> {
        let mut chains = SkippedChain::empty_array();
        let mut last_step = None;
        for _ in 0..reader.u32()? {
            let chain = SkippedChain { step: reader.u32()?, header_key: HeaderKey(secret(reader)?) };
            let in_order = last_step.unwrap_or(0) < chain.step && chain.step < step;
            last_step = Some(chain.step);
            if !in_order || is_too_old(chain.step, step) {
                return Err(DecodeError::Refused);
            }
            chains.try_push(chain).map_err(|_| DecodeError::Refused)?;
        }
        let keys = SkippedKeys::load(reader, |entry| {
            if entry.chain == step {
                entry.number < number.saturating_sub(1)
            } else {
                chains.iter().any(|chain| chain.step == entry.chain)
            }
        })?;
        if chains.iter().all(|chain| keys.has_chain(chain.step)) {
            Ok(Self { keys, chains })
        } else {
            Err(DecodeError::Refused)
        }
    }
}

impl<S: SkippedKeyStore> SkippedKeys<S> {
    fn stored_len(&self) -> usize {
        self.len().saturating_mul(SKIPPED_KEY_LEN).saturating_add(4)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(u32::try_from(self.len()).map_err(|_| Full)?)?;
        for entry in self.entries() {
            writer.u32(entry.chain)?;
            writer.u32(entry.number)?;
            writer.put(entry.key.0.expose())?;
        }
        Ok(())
    }

    /// Loads skipped keys. `has_place` returns whether a chain has skipped the entry.
    fn load(reader: &mut Reader<'_>, has_place: impl Fn(&SkippedMessageKey) -> bool) -> Result<Self, DecodeError> {
        let mut loaded = Self::default();
        let mut last = None;
        for _ in 0..reader.u32()? {
            let entry =
                SkippedMessageKey { chain: reader.u32()?, number: reader.u32()?, key: MessageKey(secret(reader)?) };
            let place = (entry.chain, entry.number);
            let in_order = last.is_none_or(|last| last < place);
            last = Some(place);
            if !in_order || !has_place(&entry) || loaded.len() >= S::CAPACITY {
                return Err(DecodeError::Refused);
            }
            loaded.push(entry);
        }
        Ok(loaded)
    }
}

impl<S: SkippedKeyStore> TripleRatchet<S> {
    pub(crate) fn stored_len(&self) -> usize {
        [1, self.double.stored_len(), self.sparse.stored_len()].into_iter().fold(0, usize::saturating_add)
    }

    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(self.chunk_size.code())?;
        self.double.store(writer)?;
        self.sparse.store(writer)
    }

    pub(crate) fn load<P: Primitives>(primitives: &P, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let chunk_size = ChunkSize::from_code(reader.u8()?)?;
        // The sparse ratchet is built on a part of the stack that the Double Ratchet did not use.
        let double = wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| DoubleRatchet::load(primitives, reader))?;
        let sparse = SparseRatchet::load(primitives, chunk_size, reader)?;
        // A chain begins with the sending epoch's root, and its messages are of that epoch or the next.
        let mixed = match (&double.sending, sparse.sending_epoch()) {
            (SendingState::Sending(chain), Some(epoch)) => {
                epoch.saturating_sub(1) <= chain.mixed_epoch && chain.mixed_epoch <= epoch
            }
            _ => true,
        };
        // The state must agree on who sent first and who makes which key pair.
        let is_initiator = sparse.direction == Direction::A2B;
        let began = double.step > 0 || is_initiator != matches!(double.sending, SendingState::Waiting { .. });
        let fits = if sparse.is_dead() { double.is_wiped() } else { mixed && began };
        if fits { Ok(Self { chunk_size, double, sparse }) } else { Err(DecodeError::Refused) }
    }
}

impl<S: SkippedKeyStore> SparseRatchet<S> {
    fn stored_len(&self) -> usize {
        let chains = |chains: &EpochChains| {
            let send = chains.send.as_ref().map_or(0, |_| SPARSE_CHAIN_LEN);
            SPARSE_CHAIN_LEN.saturating_add(1 + 32).saturating_add(send)
        };
        let live = self.epochs.iter().map(chains).fold(1 + 32 + 4 + 1, usize::saturating_add);
        let live = if self.is_dead() { 1 } else { live.saturating_add(self.skipped.stored_len()) };
        live.saturating_add(self.braid.stored_len())
    }

    /// Stores the Braid first: when it is dead, nothing else is stored.
    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.braid.store(writer)?;
        writer.u8(match self.direction {
            Direction::A2B => 0,
            Direction::B2A => 1,
        })?;
        if self.is_dead() {
            return Ok(());
        }
        writer.put(self.root_key.expose())?;
        writer.u32(self.epoch())?;
        writer.u8(u8::try_from(self.epochs.len()).map_err(|_| Full)?)?;
        for chains in &self.epochs {
            writer.u8(u8::from(chains.send.is_some()))?;
            if let Some(chain) = &chains.send {
                writer.put(chain.chain_key.expose())?;
                writer.u32(chain.number)?;
            }
            writer.put(chains.receive.chain_key.expose())?;
            writer.u32(chains.receive.number)?;
            writer.put(chains.header_secret.expose())?;
        }
        self.skipped.store(writer)
    }

    fn load<P: Primitives>(
        primitives: &P,
        chunk_size: ChunkSize,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let braid = Braid::load(primitives, chunk_size, reader)?;
        let direction = match reader.u8()? {
            0 => Direction::A2B,
            1 => Direction::B2A,
            _ => return Err(DecodeError::Refused),
        };
        let Some(sending_epoch) = braid.epoch().map(Epoch::before) else {
            let (root_key, skipped) = (Secret::zero(), SkippedKeys::default());
            return Ok(Self { direction, root_key, epochs: ArrayVec::new(), skipped, braid });
        };
        let root_key = secret(reader)?;
        let newest = reader.u32()?;
        // From the newest key that the Braid has output down to the epoch before the sending epoch.
        let oldest = sending_epoch.saturating_sub(1);
        let count = newest.checked_sub(oldest).and_then(|epochs| epochs.checked_add(1)).ok_or(DecodeError::Refused)?;
        let is_odd = sending_epoch.is_multiple_of(2);
        if braid.is_decapsulator() != Some((direction == Direction::A2B) == is_odd) {
            return Err(DecodeError::Refused);
        }
        if braid.newest_key() != Some(newest) || u32::from(reader.u8()?) != count {
            return Err(DecodeError::Refused);
        }
        let chain = |reader: &mut Reader<'_>| -> Result<SparseChain, DecodeError> {
            Ok(SparseChain { chain_key: secret(reader)?, number: reader.u32()? })
        };
        let mut epochs = EpochChains::empty_array();
        for epoch in oldest..=newest {
            // Sending chains of epochs before the sending epoch are deleted.
            let send = match (reader.flag()?, epoch >= sending_epoch) {
                (true, true) => Some(chain(reader)?),
                (false, false) => None,
                _ => return Err(DecodeError::Refused),
            };
            let chains = EpochChains { epoch, send, receive: chain(reader)?, header_secret: secret(reader)? };
            epochs.try_push(chains).map_err(|_| DecodeError::Refused)?;
        }
        let skipped = SkippedKeys::load(reader, |entry| {
            let chains = epochs.iter().find(|chains: &&EpochChains| chains.epoch == entry.chain);
            entry.number > 0 && chains.is_some_and(|chains| entry.number < chains.receive.number)
        })?;
        Ok(Self { direction, root_key, epochs, skipped, braid })
    }
}
