// SPDX-License-Identifier: MIT OR Apache-2.0
//! Probation: a session that the peer has begun, and that is not newer than everything that was opened. It may be a copy
//! of an old first message, or the peer was restored from a backup. Nothing is sent on it except a probe. Only an answer
//! to our key shows that the peer has the session now.

use super::error::SealError;
use super::index::SessionAt;
use super::policy::{ANSWER_INTERVAL, PROBE_INTERVAL};
use super::prefix::{Kind, Prefix};
use super::record::{PeerRecord, Probe, SessionRecord, State};
use super::routing::{Loaded, Route, Target};
use super::sealing::{Outgoing, Sending};
use super::trust::Trust;
use super::{Messenger, PeerId};
use crate::durable::Unsaved;
use crate::payload::Payload;
use crate::primitives::Primitives;
use crate::session::Session;
use crate::time::UnixSeconds;
use rand_core::CryptoRng;

impl<P: Primitives> Messenger<P> {
    /// Returns which session is needed to probe a peer that has a session on probation.
    ///
    /// # Errors
    /// [`SealError::UnknownPeer`], or [`SealError::NoProbation`] if there is none.
    pub fn route_to_probe(&self, peer: &PeerId) -> Result<Route, SealError> {
        let record = &self.peers.get(peer).ok_or(SealError::UnknownPeer)?.inner;
        let session = record.on_probation().ok_or(SealError::NoProbation)?;
        let at = SessionAt { peer: *peer, session: session.id };
        Ok(self.route_to_session(Target::SealOn(at), at))
    }

    /// Seals a probe for the session on probation: a message without content that demands an answer. When the answer
    /// comes, messages are sent on that session, by both sides.
    ///
    /// One probe [an hour](super::policy::PROBE_INTERVAL) can be sealed for a session, so that two applications do not go
    /// on probing and answering each other. It shows the peer that this device is there, so send it only if the user writes
    /// to this peer, or at a time that the peer's message did not choose (attack G11).
    ///
    /// # Errors
    /// [`SealError`]; nothing that is stored has changed.
    pub fn seal_probe(
        &mut self,
        peer: &PeerId,
        loaded: Loaded,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealError> {
        self.check_step()?;
        self.read_clock(now);
        let record = self.check_peer(peer)?;
        let session = record.on_probation().ok_or(SealError::NoProbation)?;
        let at = SessionAt { peer: *peer, session: session.id };
        let time = self.time(now);
        let next = session.probe.filter(|probe| probe.at <= time).map(|probe| probe.at.saturating_add(PROBE_INTERVAL));
        if let Some(next) = next.filter(|next| *next > time) {
            return Err(SealError::TooSoon { until: now.saturating_add(next.saturating_since(time)) });
        }
        // The answer to an earlier probe is one to this, too.
        // If the session's epoch is beyond the bound, the peer keeps it.
        let epoch = session.probe.map_or(record.next_epoch().max(session.epoch), |probe| probe.epoch);
        let prefix = Prefix { kind: Kind::Probe, epoch, heard: record.heard };
        self.seal_on(Sending { at, prefix, is_answer: false }, Payload::default(), loaded, now, rng)
    }

    /// Seals a message without content: the answer to a probe, and to so many messages that
    /// [`Session::should_answer`](crate::Session::should_answer) asks for one. Any other message answers as well.
    ///
    /// One answer or [receipt](Self::seal_receipt) [an hour](super::policy::ANSWER_INTERVAL) can be sealed for a peer, so
    /// that it cannot ask as often as it likes whether this device is there (attack G11). What the user sends is not
    /// counted.
    ///
    /// # Errors
    /// [`SealError`], with [`TooSoon`](SealError::TooSoon) within that time; nothing that is stored has changed.
    pub fn seal_answer(
        &mut self,
        peer: &PeerId,
        loaded: Loaded,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealError> {
        let sending = self.answering_to(peer, Kind::Answer, now)?;
        self.seal_on(sending, Payload::default(), loaded, now, rng)
    }

    /// Seals an answer as [`seal_answer`](Self::seal_answer) does, with a payload of the application.
    ///
    /// # Errors
    /// As there.
    pub fn seal_answer_with<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        loaded: Loaded,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealError> {
        let sending = self.answering_to(peer, Kind::Payload, now)?;
        self.seal_on(sending, payload.into(), loaded, now, rng)
    }

    /// Checks that an answer or a receipt to this peer is not too soon after the last one.
    pub(super) fn check_answer(&self, peer: &PeerId, reading: UnixSeconds) -> Result<(), SealError> {
        let (record, now) = (self.check_peer(peer)?, self.time(reading));
        // A time after `now` is one that a wrong clock has left.
        let next = record.answered_at.filter(|at| *at <= now).map(|at| at.saturating_add(ANSWER_INTERVAL));
        match next.filter(|next| *next > now) {
            Some(next) => Err(SealError::TooSoon { until: reading.saturating_add(next.saturating_since(now)) }),
            None => Ok(()),
        }
    }

    /// Returns whether an answer or a receipt may be sealed for this peer, as far as the messenger knows: the peer is no
    /// stranger, and the last one is not too recent.
    pub(super) fn may_answer(&self, peer: &PeerId, now: UnixSeconds) -> bool {
        let is_stranger = self.peer(peer).is_none_or(|peer| peer.trust == Trust::Unknown);
        !is_stranger && !matches!(self.check_answer(peer, now), Err(SealError::TooSoon { .. }))
    }

    /// Returns on which session an answer or a receipt goes to this peer, if that is not too soon after the last one.
    pub(super) fn answering_to(&mut self, peer: &PeerId, kind: Kind, now: UnixSeconds) -> Result<Sending, SealError> {
        self.check_step()?;
        self.read_clock(now);
        self.check_answer(peer, now)?;
        Ok(Sending { is_answer: true, ..self.sending_to(peer, kind)? })
    }
}

impl<P: Primitives> PeerRecord<P> {
    /// Returns the session on probation that was heard last.
    pub(super) fn on_probation(&self) -> Option<&SessionRecord> {
        let on_probation = self.sessions.iter().filter(|session| session.state == State::Probation);
        on_probation.max_by_key(|session| (session.heard_at, session.rank()))
    }

    /// Applies what a message that is opened on the session `id` proposes, if it is a probe. The epoch is adopted if
    /// this side has begun the session, nothing was opened on it, it is the one on which this side sends, and the epoch is
    /// within [`PROBE_JUMP`](super::policy::PROBE_JUMP). So a probe moves a sender to no other session than its own newest
    /// one, and a session's epoch is raised once. Later probes of the same prober propose the same.
    pub(super) fn note_probe(&mut self, id: &[u8; 32], prefix: &Prefix) {
        let limit = self.highest_epoch.saturating_add(super::policy::PROBE_JUMP);
        let is_adopted = prefix.kind == Kind::Probe
            && prefix.epoch <= limit
            && self.sending().is_some_and(|session| session.id == *id && session.is_unanswered());
        if let Some(session) = self.session_mut(id).filter(|_| is_adopted) {
            session.epoch = session.epoch.max(prefix.epoch);
            self.highest_epoch = self.highest_epoch.max(prefix.epoch);
        }
    }

    /// Promotes a session on probation if the message that was opened on it answers the probe: it steps from our key, and
    /// names the proposed epoch. Returns whether it does.
    pub(super) fn note_answer(&mut self, session: &Session<P>, epoch: u32) -> bool {
        let Some(record) = self.session_mut(&session.id()) else { return false };
        let is_answer = |probe: &Probe| session.ratchet.double.step > probe.step && epoch == probe.epoch;
        if record.state != State::Probation || !record.probe.as_ref().is_some_and(is_answer) {
            return false;
        }
        (record.state, record.epoch, record.probe) = (State::Live, epoch, None);
        self.highest_epoch = self.highest_epoch.max(epoch);
        self.recovery = None;
        true
    }
}
