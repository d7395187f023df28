// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stored form of a peer's record (spec/messenger.md §11). Its core has everything except the log, which is in pages.

use super::error::NewSession;
use super::log::Log;
use super::policy;
use super::rank::Rank;
use super::record::{PeerRecord, Probe, Recent, SessionRecord, State};
use super::trust::Trust;
use crate::durable::{Durably, Restored};
use crate::error::{DecodeError, RestoreError};
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::ratchet::header::HeaderKey;
use crate::secret::Secret;
use crate::snapshot::{PEER_ROW, Part, Stored, Subject, refused};
use crate::time::UnixSeconds;
use crate::wire::{Full, IDENTITY_LEN, Reader, Writer};
use alloc::vec::Vec;

/// Length in bytes of a session's record without opening id, tags and header keys.
const SESSION_LEN: usize = 32 + 8 + 4 + 1 + 1 + 4 + 1 + 9 + 4 + 1 + 8 + 17 + 1 + 1;

impl State {
    const fn code(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Probation => 1,
            Self::ReceiveOnly => 2,
        }
    }

    const fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::Live),
            1 => Ok(Self::Probation),
            2 => Ok(Self::ReceiveOnly),
            _ => Err(DecodeError::Refused),
        }
    }
}

impl NewSession {
    /// 0 if there is no reason.
    const fn code(reason: Option<Self>) -> u8 {
        match reason {
            None => 0,
            Some(Self::None) => 1,
            Some(Self::Unheard) => 2,
            Some(Self::Silence) => 3,
            Some(Self::TooManySkipped) => 4,
            Some(Self::Abandoned) => 5,
            Some(Self::ForkSuspected) => 6,
            Some(Self::Restored) => 7,
            Some(Self::AccessRefused) => 8,
        }
    }

    const fn from_code(code: u8) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match code {
            0 => return Ok(None),
            1 => Self::None,
            2 => Self::Unheard,
            3 => Self::Silence,
            4 => Self::TooManySkipped,
            5 => Self::Abandoned,
            6 => Self::ForkSuspected,
            7 => Self::Restored,
            8 => Self::AccessRefused,
            _ => return Err(DecodeError::Refused),
        }))
    }
}

pub(super) fn len_u8(len: usize) -> Result<u8, Full> {
    u8::try_from(len).map_err(|_| Full)
}

pub(super) fn len_u32(len: usize) -> Result<u32, Full> {
    u32::try_from(len).map_err(|_| Full)
}

pub(super) fn store_time(time: Option<UnixSeconds>, writer: &mut Writer<'_>) -> Result<(), Full> {
    writer.u8(u8::from(time.is_some()))?;
    writer.u64(time.unwrap_or_default().0)
}

pub(super) fn load_time(reader: &mut Reader<'_>) -> Result<Option<UnixSeconds>, DecodeError> {
    let (is_there, time) = (reader.flag()?, UnixSeconds(reader.u64()?));
    if !is_there && time.0 != 0 { Err(DecodeError::Refused) } else { Ok(is_there.then_some(time)) }
}

fn store_hashes(hashes: &[[u8; 32]], writer: &mut Writer<'_>) -> Result<(), Full> {
    writer.u8(len_u8(hashes.len())?)?;
    hashes.iter().try_for_each(|hash| writer.put(hash))
}

fn load_hashes(limit: usize, reader: &mut Reader<'_>) -> Result<Vec<[u8; 32]>, DecodeError> {
    let len = usize::from(reader.u8()?);
    if len > limit { Err(DecodeError::Refused) } else { (0..len).map(|_| reader.array().copied()).collect() }
}

impl<const N: usize> Recent<N> {
    pub(super) const LEN: usize = 1 + 8 * N;

    pub(super) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(u8::from(self.0.is_some()))?;
        self.0.unwrap_or([UnixSeconds(0); N]).iter().try_for_each(|time| writer.u64(time.0))
    }

    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (is_there, mut times) = (reader.flag()?, [UnixSeconds(0); N]);
        for time in &mut times {
            *time = UnixSeconds(reader.u64()?);
        }
        Ok(Self(is_there.then_some(times)))
    }
}

impl SessionRecord {
    fn stored_len(&self) -> usize {
        let opening = if self.opening_id.is_some() { 32 } else { 0 };
        let (tags, keys) = (self.tags.len().saturating_mul(8), self.header_keys.len().saturating_mul(32));
        [SESSION_LEN, opening, tags, keys].into_iter().fold(0, usize::saturating_add)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(&self.id)?;
        writer.u64(self.generation)?;
        writer.u32(self.epoch)?;
        writer.u8(u8::from(self.was_initiated))?;
        writer.u8(self.state.code())?;
        writer.u32(self.opened)?;
        writer.u8(self.unheard)?;
        store_time(self.succeeded_at, writer)?;
        writer.u32(self.opened_after)?;
        writer.u8(u8::from(self.opening_id.is_some()))?;
        if let Some(id) = &self.opening_id {
            writer.put(id)?;
        }
        writer.u64(self.heard_at.0)?;
        let Probe { epoch, step, at } = self.probe.unwrap_or(Probe { epoch: 0, step: 0, at: UnixSeconds(0) });
        writer.u8(u8::from(self.probe.is_some()))?;
        writer.u32(epoch)?;
        writer.u32(step)?;
        writer.u64(at.0)?;
        writer.u8(len_u8(self.tags.len())?)?;
        self.tags.iter().try_for_each(|tag| writer.put(tag))?;
        writer.u8(len_u8(self.header_keys.len())?)?;
        self.header_keys.iter().try_for_each(|key| writer.put(key.0.expose()))
    }

    fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut session = Self {
            id: *reader.array()?,
            generation: reader.u64()?,
            epoch: reader.u32()?,
            was_initiated: reader.flag()?,
            state: State::from_code(reader.u8()?)?,
            opened: reader.u32()?,
            unheard: reader.u8()?,
            succeeded_at: load_time(reader)?,
            opened_after: reader.u32()?,
            opening_id: if reader.flag()? { Some(*reader.array()?) } else { None },
            heard_at: UnixSeconds(reader.u64()?),
            probe: {
                let is_there = reader.flag()?;
                let probe = Probe { epoch: reader.u32()?, step: reader.u32()?, at: UnixSeconds(reader.u64()?) };
                is_there.then_some(probe)
            },
            tags: Vec::new(),
            header_keys: Vec::new(),
        };
        for _ in 0..reader.u8()? {
            session.tags.push(*reader.array()?);
        }
        // Allocated once: a vector that grows leaves a copy.
        let keys = usize::from(reader.u8()?);
        session.header_keys.reserve_exact(keys);
        for _ in 0..keys {
            session.header_keys.push(HeaderKey(Secret::new(*reader.array()?)));
        }
        Ok(session)
    }
}

impl<P: Primitives> PeerRecord<P> {
    fn load_record(primitives: P, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let load_identity = |reader: &mut Reader<'_>| match reader.flag()? {
            true => Identity::from_bytes(&primitives, reader.array()?).map(Some),
            false => Ok(None),
        };
        let subject = Subject::from_bytes(reader.array::<{ crate::snapshot::SUBJECT_LEN }>()?)?;
        let name_len = usize::try_from(reader.u32()?).map_err(|_| DecodeError::Refused)?;
        let name = reader.bytes(name_len)?.to_vec();
        let (identity, claimed) = (load_identity(reader)?, load_identity(reader)?);
        let mut peer = Self {
            primitives,
            subject,
            name,
            identity,
            claimed,
            trust: Trust::from_code(reader.u8()?).ok_or(DecodeError::Refused)?,
            rejected: Vec::new(),
            refused_openings: Vec::new(),
            sessions: Vec::new(),
            ended_openings: Vec::new(),
            highest_epoch: reader.u32()?,
            heard: Rank::read(reader)?,
            handshakes: Recent::load(reader)?,
            recovery: NewSession::from_code(reader.u8()?)?,
            recoveries: Recent::load(reader)?,
            awaiting_since: load_time(reader)?,
            answered_at: load_time(reader)?,
            active_at: UnixSeconds(reader.u64()?),
            log: Log::default(),
        };
        let sessions = usize::from(reader.u8()?);
        if sessions > policy::SESSIONS_OF_A_PEER || peer.subject.peer_id().is_none() {
            return Err(DecodeError::Refused);
        }
        peer.sessions.reserve_exact(sessions);
        for _ in 0..sessions {
            peer.sessions.push(SessionRecord::load(reader)?);
        }
        for _ in 0..reader.u8()? {
            peer.ended_openings.push((*reader.array()?, UnixSeconds(reader.u64()?)));
        }
        peer.rejected = load_hashes(policy::REJECTED_IDENTITIES, reader)?;
        peer.refused_openings = load_hashes(policy::REFUSED_OPENINGS, reader)?;
        peer.log = Log::load(reader)?;
        reader.finish()?;
        Ok(peer)
    }
}

impl<P: Primitives> Stored<P> for PeerRecord<P> {
    const KIND: u8 = PEER_ROW;
    const ROW_KIND: u8 = PEER_ROW;

    fn primitives(&self) -> &P {
        &self.primitives
    }

    fn subject(&self) -> Subject {
        self.subject
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.log.parts()
    }

    fn core_len(&self) -> usize {
        let identity = |identity: &Option<Identity>| if identity.is_some() { 1 + IDENTITY_LEN } else { 1 };
        let fixed = crate::snapshot::SUBJECT_LEN + 4 + 1 + 4 + Rank::LEN + 1 + 9 + 9 + 8 + 1 + 1 + 1 + 1;
        let sessions = self.sessions.iter().map(SessionRecord::stored_len);
        let others = [
            self.name.len(),
            identity(&self.identity),
            identity(&self.claimed),
            Recent::<{ policy::HANDSHAKES_AN_HOUR }>::LEN,
            Recent::<{ policy::RECOVERIES_A_DAY }>::LEN,
            self.ended_openings.len().saturating_mul(40),
            self.rejected.len().saturating_mul(32),
            self.refused_openings.len().saturating_mul(32),
        ];
        sessions.chain(others).fold(fixed, usize::saturating_add)
    }

    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let store_identity = |identity: &Option<Identity>, writer: &mut Writer<'_>| {
            writer.u8(u8::from(identity.is_some()))?;
            identity.as_ref().map_or(Ok(()), |identity| writer.put(&identity.to_bytes()))
        };
        writer.put(&self.subject.to_bytes())?;
        writer.u32(len_u32(self.name.len())?)?;
        writer.put(&self.name)?;
        store_identity(&self.identity, writer)?;
        store_identity(&self.claimed, writer)?;
        writer.u8(self.trust.code())?;
        writer.u32(self.highest_epoch)?;
        self.heard.write(writer)?;
        self.handshakes.store(writer)?;
        writer.u8(NewSession::code(self.recovery))?;
        self.recoveries.store(writer)?;
        store_time(self.awaiting_since, writer)?;
        store_time(self.answered_at, writer)?;
        writer.u64(self.active_at.0)?;
        writer.u8(len_u8(self.sessions.len())?)?;
        self.sessions.iter().try_for_each(|session| session.store(writer))?;
        writer.u8(len_u8(self.ended_openings.len())?)?;
        self.ended_openings.iter().try_for_each(|(id, since)| writer.put(id).and_then(|()| writer.u64(since.0)))?;
        store_hashes(&self.rejected, writer)?;
        store_hashes(&self.refused_openings, writer)
    }

    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Self::load_record(primitives, reader).map_err(refused)
    }
}

impl<P: Primitives> Restored for PeerRecord<P> {
    type Primitives = P;
}

impl<P: Primitives> Durably for PeerRecord<P> {}
