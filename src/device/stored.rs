// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's state as bytes, inside a sealed snapshot (spec/protocol.md §11). Only a state that could have been
//! stored loads: no two keys share an id, and what is deleted is zero.
//!
//! The core has the identity and the signed prekeys. One-time prekeys and replay records come after it, in parts.

use super::budget::Budget;
use super::capacity::Slots;
use super::clock::Clock;
use super::{Capacities, Device, OneTimePrekey, Seen, SignedPrekey};
use crate::error::{DecodeError, RestoreError};
use crate::identity::IdentityKeyPair;
use crate::prekeys::{PrekeyKind, PrekeyPair};
use crate::primitives::Primitives;
use crate::secret::Secret;
use crate::snapshot::{Content, PAGE, Part, RowName, Stored, Subject, refused};
use crate::time::UnixSeconds;
use crate::wire::{Full, Reader, Writer};

impl<C: Capacities> SignedPrekey<C> {
    /// Number of bytes in the core. The replay record is stored in parts.
    fn stored_len(&self) -> usize {
        PrekeyPair::STORED_LEN + 8 + 1
    }

    /// Writes the pair, its time (8), and whether it has its last-resort key (1).
    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let Self { pair, since, has_last_resort, replay_record: _ } = self;
        pair.store(writer)?;
        writer.u64(since.0)?;
        writer.u8(u8::from(*has_last_resort))
    }

    /// Returns the replay record, in parts.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let id = self.pair.id;
        (0..).zip(self.replay_record.chunks(PAGE)).map(move |(page, entries)| Part {
            name: RowName::new(RowName::REPLAY_RECORD, id, page),
            content: Content::ReplayRecord(entries),
        })
    }

    /// Loads into `self`, which is [`zeroed`](Self::zeroed): a returned value would be copied.
    fn load<P: Primitives>(&mut self, primitives: &P, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.pair = PrekeyPair::load(primitives, PrekeyKind::Signed, reader)?;
        self.since = UnixSeconds(reader.u64()?);
        self.has_last_resort = reader.flag()?;
        match self.has_last_resort {
            true => self.pair.check_digest(primitives),
            false if *self.pair.kem_seed.expose() == [0; _] => Ok(()),
            false => Err(DecodeError::Refused),
        }
    }

    /// Loads the replay record's page `page`. The pages before it were full.
    fn load_page(&mut self, page: u32, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = reader.u8()?;
        let before = usize::try_from(page).ok().and_then(|page| page.checked_mul(PAGE));
        let has_place = self.has_last_resort && before == Some(self.replay_record.len());
        if !has_place || !(1..=PAGE).contains(&usize::from(count)) {
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

impl OneTimePrekey {
    pub(crate) const STORED_LEN: usize = PrekeyPair::STORED_LEN + 1 + 8;

    /// Writes the pair, where its public half was seen (1: never, listed, missing), and since when it is missing (8,
    /// otherwise 0).
    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let Self { pair, seen } = self;
        pair.store(writer)?;
        let (code, since) = match *seen {
            Seen::Never => (0, UnixSeconds(0)),
            Seen::Listed => (1, UnixSeconds(0)),
            Seen::MissingSince(since) => (2, since),
        };
        writer.u8(code)?;
        writer.u64(since.0)
    }

    /// Returns a number that changes whenever the stored prekey does.
    #[cfg(feature = "alloc")]
    pub(crate) fn stamp(&self) -> u64 {
        match self.seen {
            Seen::Never => self.pair.stamp(0),
            Seen::Listed => self.pair.stamp(1),
            Seen::MissingSince(since) => self.pair.stamp(2) ^ since.0,
        }
    }

    fn load<P: Primitives>(primitives: &P, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let pair = PrekeyPair::load(primitives, PrekeyKind::OneTime, reader)?;
        pair.check_digest(primitives)?;
        let seen = match (reader.u8()?, UnixSeconds(reader.u64()?)) {
            (0, UnixSeconds(0)) => Seen::Never,
            (1, UnixSeconds(0)) => Seen::Listed,
            (2, since) => Seen::MissingSince(since),
            _ => return Err(DecodeError::Refused),
        };
        Ok(Self { pair, seen })
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
        let one_time = self.one_time_prekeys.iter().map(|prekey| Part {
            name: RowName::new(RowName::ONE_TIME_PREKEY, prekey.pair.id, 0),
            content: Content::OneTimePrekey(prekey),
        });
        one_time.chain(self.signed_prekeys().flat_map(SignedPrekey::parts))
    }

    fn core_len(&self) -> usize {
        let previous = self.previous_signed_prekeys.iter().map(SignedPrekey::stored_len);
        [32, 32, self.clock.stored_len(), 8, Budget::STORED_LEN, self.signed_prekey.stored_len(), 4]
            .into_iter()
            .chain(previous)
            .fold(0, usize::saturating_add)
    }

    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(self.identity.signing_seed().expose())?;
        writer.put(self.identity.dh_secret().expose())?;
        self.clock.store(writer)?;
        writer.u64(self.offered_at.0)?;
        self.budget.store(writer)?;
        self.signed_prekey.store(writer)?;
        writer.u32(u32::try_from(self.previous_signed_prekeys.len()).map_err(|_| Full)?)?;
        self.previous_signed_prekeys.iter().try_for_each(|previous| previous.store(writer))
    }

    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let identity = Self::load_identity(&primitives, reader).map_err(refused)?;
        let clock = Clock::load(reader).map_err(refused)?;
        let offered_at = UnixSeconds(reader.u64().map_err(refused)?);
        let mut device = Self {
            primitives,
            identity,
            clock,
            signed_prekey: SignedPrekey::zeroed(),
            previous_signed_prekeys: Slots::empty_device_array(SignedPrekey::zeroed),
            one_time_prekeys: Slots::empty_device_array(OneTimePrekey::zeroed),
            offered_at,
            budget: Budget::load(reader).map_err(refused)?,
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

    /// Loads the prekeys into the device that will be returned. Building it from loaded parts would copy each part
    /// several times.
    fn load_prekeys(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.signed_prekey.load(&self.primitives, reader)?;
        for _ in 0..reader.u32()? {
            let mut previous = SignedPrekey::zeroed();
            previous.load(&self.primitives, reader)?;
            if !self.previous_signed_prekeys.push(previous) {
                return Err(DecodeError::Refused);
            }
        }
        self.load_parts(reader)?;
        if self.signed_prekey.has_last_resort { self.check_ids() } else { Err(DecodeError::Refused) }
    }

    /// Loads what comes after the core: one-time prekeys and replay records.
    fn load_parts(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        while let Some(name) = RowName::next_of(RowName::ONE_TIME_PREKEY, reader)? {
            let prekey = OneTimePrekey::load(&self.primitives, reader)?;
            if (name.id(), name.page()) != (prekey.pair.id, 0) || !self.one_time_prekeys.push(prekey) {
                return Err(DecodeError::Refused);
            }
        }
        while let Some(name) = RowName::next_of(RowName::REPLAY_RECORD, reader)? {
            let signed = core::iter::once(&mut self.signed_prekey).chain(self.previous_signed_prekeys.iter_mut());
            let of_id = signed.into_iter().find(|signed| signed.pair.id == name.id());
            of_id.ok_or(DecodeError::Refused)?.load_page(name.page(), reader)?;
        }
        Ok(())
    }

    fn signed_prekeys(&self) -> impl Iterator<Item = &SignedPrekey<C>> {
        core::iter::once(&self.signed_prekey).chain(self.previous_signed_prekeys.iter())
    }

    /// Checks that every id was issued, so is not 0, and that no two keys share an id.
    fn check_ids(&self) -> Result<(), DecodeError> {
        let ids = || {
            let previous = self.previous_signed_prekeys.iter().map(|signed| signed.pair.id);
            let one_time = self.one_time_prekeys.iter().map(|prekey| prekey.pair.id);
            core::iter::once(self.signed_prekey.pair.id).chain(previous).chain(one_time)
        };
        let issued = ids().all(|id| id != 0);
        let unique = ids().enumerate().all(|(i, a)| ids().skip(i.saturating_add(1)).all(|b| a != b));
        if issued && unique { Ok(()) } else { Err(DecodeError::Refused) }
    }
}
