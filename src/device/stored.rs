// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's state as bytes, inside a sealed snapshot (spec/protocol.md §11). Only a state that could have been
//! stored loads: every id was issued, and no two keys share an id.
//!
//! The core has the identity and the signed prekeys. One-time prekeys and replay records come after it, in parts.

use super::capacity::Slots;
use super::{Capacities, Device, FIRST_ID, SignedPrekey};
use crate::error::{DecodeError, RestoreError};
use crate::identity::IdentityKeyPair;
use crate::prekeys::{PrekeyKind, PrekeyPair};
use crate::primitives::Primitives;
use crate::secret::Secret;
use crate::snapshot::{Content, PAGE, Part, RowName, Stored, Subject, refused};
use crate::wipe;
use crate::wire::{Full, Reader, Writer};

impl<C: Capacities> SignedPrekey<C> {
    /// Number of bytes in the core. The replay record is stored in parts.
    fn stored_len(&self) -> usize {
        PrekeyPair::STORED_LEN
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.pair.store(writer)
    }

    /// Returns the replay record, in parts.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let id = self.pair.id;
        (0..).zip(self.replay_record.chunks(PAGE)).map(move |(page, entries)| Part {
            name: RowName::new(RowName::REPLAY_RECORD, id, page),
            content: Content::ReplayRecord(entries),
        })
    }

    pub(super) fn zeroed() -> Self {
        Self { pair: PrekeyPair::zeroed(), replay_record: Slots::empty_initialized(|| [0; 32]) }
    }

    /// Loads into `self`, which is [`zeroed`](Self::zeroed): a returned value of 8 KiB would be copied.
    fn load<P: Primitives>(&mut self, primitives: &P, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.pair = PrekeyPair::load(primitives, PrekeyKind::Signed, reader)?;
        Ok(())
    }

    /// Loads the replay record's page `page`. The pages before it were full.
    fn load_page(&mut self, page: u32, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = reader.u8()?;
        let before = usize::try_from(page).ok().and_then(|page| page.checked_mul(PAGE));
        if before != Some(self.replay_record.len()) || !(1..=PAGE).contains(&usize::from(count)) {
            return Err(DecodeError::Refused);
        }
        for _ in 0..count {
            if !self.replay_record.push(*reader.array()?) {
                return Err(DecodeError::Refused);
            }
        }
        Ok(())
    }
}

impl<P: Primitives, C: Capacities> Stored<P> for Device<P, C> {
    const KIND: u8 = 2;

    #[cfg(feature = "alloc")]
    fn primitives(&self) -> &P {
        &self.primitives
    }

    fn subject(&self) -> Subject {
        self.subject()
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let one_time = self.one_time_prekeys.iter().map(|pair| Part {
            name: RowName::new(RowName::ONE_TIME_PREKEY, pair.id, 0),
            content: Content::OneTimePrekey(pair),
        });
        one_time.chain(self.signed_prekeys().flat_map(SignedPrekey::parts))
    }

    fn core_len(&self) -> usize {
        let previous = self.previous_signed_prekey.as_ref().map_or(0, SignedPrekey::stored_len);
        [32, 32, 4, self.signed_prekey.stored_len(), 1, previous].into_iter().fold(0, usize::saturating_add)
    }

    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(self.identity.signing_seed().expose())?;
        writer.put(self.identity.dh_secret().expose())?;
        writer.u32(self.next_id)?;
        self.signed_prekey.store(writer)?;
        writer.u8(u8::from(self.previous_signed_prekey.is_some()))?;
        match &self.previous_signed_prekey {
            Some(previous) => previous.store(writer),
            None => Ok(()),
        }
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
        self.load_parts(reader)?;
        self.check_ids()
    }

    /// Loads what comes after the core: one-time prekeys and replay records.
    fn load_parts(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        while let Some(name) = RowName::next_of(RowName::ONE_TIME_PREKEY, reader)? {
            let pair = PrekeyPair::load(&self.primitives, PrekeyKind::OneTime, reader)?;
            if (name.a(), name.b()) != (pair.id, 0) || !self.one_time_prekeys.push(pair) {
                return Err(DecodeError::Refused);
            }
        }
        while let Some(name) = RowName::next_of(RowName::REPLAY_RECORD, reader)? {
            let signed = core::iter::once(&mut self.signed_prekey).chain(&mut self.previous_signed_prekey);
            let of_id = signed.into_iter().find(|signed| signed.pair.id == name.a());
            of_id.ok_or(DecodeError::Refused)?.load_page(name.b(), reader)?;
        }
        Ok(())
    }

    fn signed_prekeys(&self) -> impl Iterator<Item = &SignedPrekey<C>> {
        core::iter::once(&self.signed_prekey).chain(&self.previous_signed_prekey)
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
