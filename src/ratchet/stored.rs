// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ratchet's state as bytes, inside a sealed snapshot (spec/protocol.md §11). What loads is a state that could
//! have been stored: every public key is canonical, a chain has at least one message, skipped keys are in order, within
//! their bounds, and each has its header key.

use super::chain::{ChainKey, MessageKey};
use super::double::{DoubleRatchet, ReceivingChain, SendingChain, SendingState};
use super::header::HeaderKey;
use super::root::RootKey;
use super::skipped::{SkippedChain, SkippedKeyStore, SkippedMessageKey, SkippedMessageKeys, is_too_old};
use crate::error::DecodeError;
use crate::primitives::{DhKeyPair, Primitives};
use crate::secret::Secret;
use crate::wire::{Full, Reader, Writer};

/// Bytes of a skipped key: step, number, key.
const SKIPPED_KEY_LEN: usize = 4 + 4 + 32;
/// Bytes of a retired chain: step, header key.
const SKIPPED_CHAIN_LEN: usize = 4 + 32;

fn secret(reader: &mut Reader<'_>) -> Result<Secret<32>, DecodeError> {
    reader.array().map(|bytes| Secret::new(*bytes))
}

impl<S: SkippedKeyStore> DoubleRatchet<S> {
    pub(crate) fn stored_len(&self) -> usize {
        let sending = match self.sending {
            SendingState::Waiting { .. } => 32,
            SendingState::Due { .. } => 32 + 4,
            SendingState::Sending(_) => 32 + 32 + 32 + 4 + 4,
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
        // The responder's first step makes its first receiving chain, and nothing else does.
        let fresh_matches = receiving.is_some() == (step > 0);
        let sending_matches = match &sending {
            SendingState::Waiting { .. } => step == 0,
            // Before anything was received there was no chain before this one.
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
        let keys = self.len().saturating_mul(SKIPPED_KEY_LEN);
        chains.saturating_add(keys).saturating_add(8)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(u32::try_from(self.chains.len()).map_err(|_| Full)?)?;
        for chain in &self.chains {
            writer.u32(chain.step)?;
            writer.put(chain.header_key.0.expose())?;
        }
        writer.u32(u32::try_from(self.len()).map_err(|_| Full)?)?;
        for entry in self.keys.entries() {
            writer.u32(entry.step)?;
            writer.u32(entry.number)?;
            writer.put(entry.key.0.expose())?;
        }
        Ok(())
    }

    /// `step` and `number` are those of the current receiving chain.
    fn load(reader: &mut Reader<'_>, step: u32, number: u32) -> Result<Self, DecodeError> {
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
        let mut last = None;
        for _ in 0..reader.u32()? {
            let entry =
                SkippedMessageKey { step: reader.u32()?, number: reader.u32()?, key: MessageKey(secret(reader)?) };
            let place = (entry.step, entry.number);
            let in_order = last.is_none_or(|last| last < place);
            let has_chain = if entry.step == step {
                entry.number < number
            } else {
                loaded.chains.iter().any(|chain| chain.step == entry.step)
            };
            last = Some(place);
            if !in_order || !has_chain || loaded.len() >= S::CAPACITY {
                return Err(DecodeError::Refused);
            }
            loaded.keys.push(entry);
        }
        let needed = |step| loaded.keys.entries().iter().any(|entry| entry.step == step);
        if loaded.chains.iter().all(|chain| needed(chain.step)) { Ok(loaded) } else { Err(DecodeError::Refused) }
    }
}
