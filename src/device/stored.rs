// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's state as bytes, inside a sealed snapshot (spec/protocol.md §11). Only a state that could have been
//! stored loads: every id was issued, and no two keys share an id.

use super::capacity::Slots;
use super::{Capacities, Device, FIRST_ID, SignedPrekey};
use crate::error::{DecodeError, RestoreError};
use crate::identity::IdentityKeyPair;
use crate::prekeys::{PrekeyKind, PrekeyPair};
use crate::primitives::Primitives;
use crate::secret::Secret;
use crate::snapshot::{Stored, refused};
use crate::wipe;
use crate::wire::{Full, Reader, Writer};

impl<C: Capacities> SignedPrekey<C> {
    fn stored_len(&self) -> usize {
        PrekeyPair::STORED_LEN.saturating_add(4).saturating_add(self.replay_record.len().saturating_mul(32))
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.pair.store(writer)?;
        writer.u32(u32::try_from(self.replay_record.len()).map_err(|_| Full)?)?;
        self.replay_record.iter().try_for_each(|key| writer.put(key))
    }

    pub(super) fn zeroed() -> Self {
        Self { pair: PrekeyPair::zeroed(), replay_record: Slots::empty_initialized(|| [0; 32]) }
    }

    /// Loads into `self`, which is [`zeroed`](Self::zeroed): a returned value of 8 KiB would be copied.
    fn load<P: Primitives>(&mut self, primitives: &P, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.pair = PrekeyPair::load(primitives, PrekeyKind::Signed, reader)?;
        for _ in 0..reader.u32()? {
            if !self.replay_record.push(*reader.array()?) {
                return Err(DecodeError::Refused);
            }
        }
        Ok(())
    }
}

impl<P: Primitives, C: Capacities> Stored<P> for Device<P, C> {
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

    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let identity = Self::load_identity(&primitives, reader).map_err(refused)?;
        let next_id = reader.u32().map_err(refused)?;
        let mut device = Self {
            primitives,
            identity,
            signed_prekey: SignedPrekey::zeroed(),
            previous_signed_prekey: wipe::none_initialized(SignedPrekey::zeroed),
            one_time_prekeys: Slots::empty_device_array(PrekeyPair::zeroed),
            next_id,
        };
        device.load_prekeys(reader).map_err(refused)?;
        reader.finish().map_err(refused)?;
        Ok(device)
    }
}

impl<P: Primitives, C: Capacities> Device<P, C> {
    fn load_identity(primitives: &P, reader: &mut Reader<'_>) -> Result<IdentityKeyPair, DecodeError> {
        let signing_seed = Secret::new(*reader.array()?);
        let dh_secret = Secret::new(*reader.array()?);
        Ok(IdentityKeyPair::from_secrets(primitives, signing_seed, dh_secret))
    }

    /// Loads the prekeys into the device that will be returned. A device has 34,592 bytes, and building it from loaded
    /// parts would copy each part several times.
    fn load_prekeys(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.signed_prekey.load(&self.primitives, reader)?;
        if reader.flag()? {
            self.previous_signed_prekey.insert(SignedPrekey::zeroed()).load(&self.primitives, reader)?;
        }
        for _ in 0..reader.u32()? {
            let pair = PrekeyPair::load(&self.primitives, PrekeyKind::OneTime, reader)?;
            if !self.one_time_prekeys.push(pair) {
                return Err(DecodeError::Refused);
            }
        }
        self.check_ids()
    }

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
