// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's state as bytes, inside a sealed snapshot (spec/protocol.md §11). Only a state that could have been
//! stored loads: every id was issued, and no two keys share an id.

use super::{Device, FIRST_ID, SignedPrekey};
use crate::error::DecodeError;
use crate::identity::IdentityKeyPair;
use crate::prekeys::{PrekeyKind, PrekeyPair};
use crate::primitives::Primitives;
use crate::secret::Secret;
use crate::snapshot::Stored;
use crate::wipe;
use crate::wire::{Full, Reader, Writer};
use arrayvec::ArrayVec;

impl<const REPLAY: usize> SignedPrekey<REPLAY> {
    fn stored_len(&self) -> usize {
        PrekeyPair::STORED_LEN.saturating_add(4).saturating_add(self.replay_record.len().saturating_mul(32))
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.pair.store(writer)?;
        writer.u32(u32::try_from(self.replay_record.len()).map_err(|_| Full)?)?;
        self.replay_record.iter().try_for_each(|key| writer.put(key))
    }

    pub(super) fn zeroed() -> Self {
        Self { pair: PrekeyPair::zeroed(), replay_record: wipe::empty_initialized(|| [0; 32]) }
    }

    fn load<P: Primitives>(primitives: &P, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let pair = PrekeyPair::load(primitives, PrekeyKind::Signed, reader)?;
        let mut replay_record = wipe::empty_initialized(|| [0; 32]);
        for _ in 0..reader.u32()? {
            replay_record.try_push(*reader.array()?).map_err(|_| DecodeError::Refused)?;
        }
        Ok(Self { pair, replay_record })
    }
}

impl<P: Primitives, const ONE_TIME: usize, const REPLAY: usize> Stored<P> for Device<P, ONE_TIME, REPLAY> {
    const KIND: u8 = 2;

    fn stored_len(&self) -> usize {
        let previous = self.previous_signed_prekey.as_ref().map_or(0, SignedPrekey::stored_len);
        let one_time = self.one_time_prekeys.len().saturating_mul(PrekeyPair::STORED_LEN);
        [32, 32, 4, self.signed_prekey.stored_len(), 1, previous, 4, one_time]
            .into_iter()
            .fold(0, usize::saturating_add)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(self.identity.signing_seed().expose())?;
        writer.put(self.identity.dh_secret().expose())?;
        writer.u32(self.next_id)?;
        self.signed_prekey.store(writer)?;
        writer.u8(u8::from(self.previous_signed_prekey.is_some()))?;
        if let Some(previous) = &self.previous_signed_prekey {
            previous.store(writer)?;
        }
        writer.u32(u32::try_from(self.one_time_prekeys.len()).map_err(|_| Full)?)?;
        self.one_time_prekeys.iter().try_for_each(|pair| pair.store(writer))
    }

    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let signing_seed = Secret::new(*reader.array()?);
        let dh_secret = Secret::new(*reader.array()?);
        let identity = IdentityKeyPair::from_secrets(&primitives, signing_seed, dh_secret);
        let next_id = reader.u32()?;
        let signed_prekey = SignedPrekey::load(&primitives, reader)?;
        let previous_signed_prekey = match reader.flag()? {
            true => Some(SignedPrekey::load(&primitives, reader)?),
            false => wipe::none_initialized(SignedPrekey::zeroed),
        };
        let mut one_time_prekeys: ArrayVec<PrekeyPair, ONE_TIME> = wipe::empty_device_array(PrekeyPair::zeroed);
        for _ in 0..reader.u32()? {
            let pair = PrekeyPair::load(&primitives, PrekeyKind::OneTime, reader)?;
            one_time_prekeys.try_push(pair).map_err(|_| DecodeError::Refused)?;
        }
        let device = Self { primitives, identity, signed_prekey, previous_signed_prekey, one_time_prekeys, next_id };
        device.check_ids().map(|()| device)
    }
}

impl<P: Primitives, const ONE_TIME: usize, const REPLAY: usize> Device<P, ONE_TIME, REPLAY> {
    /// Checks that every id was issued and that no two keys share an id.
    fn check_ids(&self) -> Result<(), DecodeError> {
        let ids = || {
            let previous = self.previous_signed_prekey.iter().map(|signed| signed.pair.id);
            let one_time = self.one_time_prekeys.iter().map(|pair| pair.id);
            core::iter::once(self.signed_prekey.pair.id).chain(previous).chain(one_time)
        };
        let issued = ids().all(|id| (FIRST_ID..self.next_id).contains(&id));
        let unique = ids().enumerate().all(|(i, a)| ids().skip(i.saturating_add(1)).all(|b| a != b));
        if issued && unique { Ok(()) } else { Err(DecodeError::Refused) }
    }
}
