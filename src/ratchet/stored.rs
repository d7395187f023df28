// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ratchets' state as bytes, inside a sealed snapshot (spec/protocol.md §11). Only a state that could have been
//! stored loads: every public key is canonical; a chain has at least one message; skipped keys are in order and within
//! their bounds, and each has its header key; the kept epochs are those that the Braid's epoch requires.
//!
//! The core of the state comes first and then the skipped keys, in parts. A store that holds fewer keys than were
//! stored keeps the newest.

use super::braid::{Braid, Epoch};
use super::chain::{ChainKey, MessageKey};
use super::double::{DoubleRatchet, ReceivingChain, SendingChain, SendingState};
use super::header::HeaderKey;
use super::key_pair::RatchetKeyPair;
use super::root::RootKey;
use super::skipped::{
    MAX_SKIPPED_KEYS, SkippedChain, SkippedKeyStore, SkippedKeys, SkippedMessageKey, SkippedMessageKeys, is_too_old,
};
use super::sparse::{Direction, EpochChains, SparseChain, SparseRatchet};
use super::triple::TripleRatchet;
use crate::error::DecodeError;
use crate::secret::Secret;
use crate::snapshot::{Part, RowName, pages_of, read_numbers};
use crate::wipe;
use crate::wire::{ChunkSize, Full, Reader, Writer};
use arrayvec::ArrayVec;

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
                writer.put(key_pair.secret().expose())?;
            }
            SendingState::Due { remote_ratchet_key, previous_chain_length } => {
                writer.u8(1)?;
                writer.put(remote_ratchet_key.as_bytes())?;
                writer.u32(*previous_chain_length)?;
            }
            SendingState::Sending(chain) => {
                writer.u8(2)?;
                writer.put(chain.key_pair.secret().expose())?;
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

    #[inline(never)]
    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let root_key = RootKey(secret(reader)?);
        let sending = match reader.u8()? {
            0 => SendingState::Waiting { key_pair: RatchetKeyPair::resume(secret(reader)?) },
            1 => SendingState::Due { remote_ratchet_key: reader.dh_public()?, previous_chain_length: reader.u32()? },
            2 => SendingState::Sending(SendingChain {
                key_pair: RatchetKeyPair::resume(secret(reader)?),
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
        let skipped = SkippedMessageKeys::load_chains(reader, step)?;
        Ok(Self { root_key, sending, receiving, next_sending_header_key, next_receiving_header_key, step, skipped })
    }

    /// Loads the skipped keys, which come after the core of the state.
    fn load_skipped(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let number = self.receiving.as_ref().map_or(0, |chain| chain.number);
        self.skipped.load_keys(reader, self.step, number)
    }
}

impl<S: SkippedKeyStore> SkippedMessageKeys<S> {
    /// Number of bytes of the header keys, which are in the core.
    fn stored_len(&self) -> usize {
        self.chains().count().saturating_mul(SKIPPED_CHAIN_LEN).saturating_add(4)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(u32::try_from(self.chains.len()).map_err(|_| Full)?)?;
        for chain in &self.chains {
            writer.u32(chain.step)?;
            writer.put(chain.header_key.0.expose())?;
        }
        Ok(())
    }

    /// Loads the header keys. `step` is that of the current receiving chain.
    fn load_chains(reader: &mut Reader<'_>, step: u32) -> Result<Self, DecodeError> {
        let mut loaded = Self::default();
        let mut last_step = None;
        for _ in 0..reader.u32()? {
            let chain = SkippedChain { step: reader.u32()?, header_key: HeaderKey(secret(reader)?) };
            let in_order = last_step.unwrap_or(0) < chain.step && chain.step < step;
            last_step = Some(chain.step);
            if !in_order || is_too_old(chain.step, step) {
                return Err(DecodeError::Refused);
            }
            loaded.chains.try_push(chain).map_err(|_| DecodeError::Refused)?;
        }
        Ok(loaded)
    }

    /// Loads the skipped keys. `step` and `number` are those of the current receiving chain. Each header key must have
    /// a key among those that were stored; one that needs none of those that are kept is dropped.
    fn load_keys(&mut self, reader: &mut Reader<'_>, step: u32, number: u32) -> Result<(), DecodeError> {
        let mut needed = 0u32;
        let chains = &self.chains;
        self.keys.load(RowName::DOUBLE, reader, |chain, skipped| {
            if chain == step {
                return skipped < number.saturating_sub(1);
            }
            let at = chains.iter().position(|retired| retired.step == chain);
            needed |= at.and_then(|at| 1u32.checked_shl(u32::try_from(at).ok()?)).unwrap_or(0);
            at.is_some()
        })?;
        if usize::try_from(needed.count_ones()) != Ok(self.chains.len()) {
            return Err(DecodeError::Refused);
        }
        self.forget_unneeded_chains();
        Ok(())
    }
}

impl<S: SkippedKeyStore> SkippedKeys<S> {
    /// Loads the skipped keys of ratchet `part` into an empty store. `has_place` returns whether a chain, the first
    /// argument, has skipped the number.
    fn load(
        &mut self,
        part: u8,
        reader: &mut Reader<'_>,
        mut has_place: impl FnMut(u32, u32) -> bool,
    ) -> Result<(), DecodeError> {
        let mut last = None;
        let mut count = 0usize;
        while let Some(name) = RowName::next_of(part, reader)? {
            if last.is_some_and(|last| name <= last) {
                return Err(DecodeError::Refused);
            }
            last = Some(name);
            for number in read_numbers(name, reader)? {
                count = count.saturating_add(1);
                if !has_place(name.id(), number) || count > MAX_SKIPPED_KEYS {
                    return Err(DecodeError::Refused);
                }
                if self.len() >= S::CAPACITY {
                    self.evict(1);
                }
                // A store without any space keeps none.
                if self.len() < S::CAPACITY {
                    self.push(SkippedMessageKey { chain: name.id(), number, key: MessageKey(secret(reader)?) });
                } else {
                    let _: Secret<32> = secret(reader)?;
                }
            }
        }
        Ok(())
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

    /// Returns the skipped keys, which are stored after the core.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let double = pages_of(RowName::DOUBLE, self.double.skipped.keys.entries());
        double.chain(pages_of(RowName::SPARSE, self.sparse.skipped.entries()))
    }

    /// Loads the core and then the skipped keys.
    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let chunk_size = ChunkSize::from_code(reader.u8()?)?;
        // The sparse ratchet is built on a part of the stack that the Double Ratchet did not use.
        let mut double = wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| DoubleRatchet::load(reader))?;
        let mut sparse = SparseRatchet::load(chunk_size, reader)?;
        double.load_skipped(reader)?;
        sparse.load_skipped(reader)?;
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
        let live = if self.is_dead() { 1 } else { live };
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
        Ok(())
    }

    #[inline(never)]
    fn load(chunk_size: ChunkSize, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let braid = Braid::load(chunk_size, reader)?;
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
        Ok(Self { direction, root_key, epochs, skipped: SkippedKeys::default(), braid })
    }

    /// Loads the skipped keys, which come after the core of the state.
    fn load_skipped(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let epochs = &self.epochs;
        self.skipped.load(RowName::SPARSE, reader, |epoch, number| {
            let chains = epochs.iter().find(|chains| chains.epoch == epoch);
            number > 0 && chains.is_some_and(|chains| number < chains.receive.number)
        })
    }
}
