// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sealing: on the session of the highest rank, or on a new one.

use super::error::{NewSession, SealError, SealFailed};
use super::index::SessionAt;
use super::prefix::{Kind, Prefix};
use super::record::{PeerRecord, Probe, SessionRecord, State};
use super::recovery::SealTarget;
use super::routing::{Loaded, Target};
use super::trust::Trust;
use super::{Messenger, PeerId, Step};
use crate::device::{InitiateFailed, InitiateOptions};
use crate::durable::{Durable, Ledger, MessageId, Progress, Sent, Unsaved, message_id};
use crate::payload::Payload;
use crate::prekeys::Bundle;
use crate::primitives::Primitives;
use crate::session::Session;
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::fmt;
use rand_core::CryptoRng;

/// A sealed message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// For whom it is.
    pub peer: PeerId,
    /// The id of the session on which it goes; see [`Session::id`](crate::Session::id).
    pub session: [u8; 32],
    /// The message's id.
    pub message_id: MessageId,
    /// The message. Send exactly these bytes, and send them again until the server acknowledges them.
    pub message: Vec<u8>,
    /// Whether the message begins a session.
    pub is_new_session: bool,
    /// Why the session was needed, if it is not the first one with the peer and the messenger has asked for it.
    pub recovers_from: Option<NewSession>,
}

impl<P: Primitives> Messenger<P> {
    /// Returns whether a bundle is neither expired by the messenger's clock nor that of a rejected identity.
    pub(super) fn is_usable(&self, peer: &PeerId, bundle: &Bundle, reading: UnixSeconds) -> bool {
        let is_rejected = self.peers.get(peer).is_some_and(|peer| peer.inner.has_rejected(bundle.identity()));
        !is_rejected && bundle.signed_prekey().expiry() >= reading.max(self.time(reading))
    }

    /// Seals a payload for a peer. The message is released when it and the session are saved.
    ///
    /// `loaded` is what [`route_to`](Self::route_to) has loaded. To a stranger this is the first answer: its identity is
    /// then [trusted on first use](Trust::FirstUse).
    ///
    /// # Errors
    /// [`SealError`]; nothing that is stored has changed. To [`SealError::NeedsBundle`] fetch the peer's bundle and call
    /// [`seal_with_bundle`](Self::seal_with_bundle).
    pub fn seal<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        loaded: Loaded,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealError> {
        self.check_step()?;
        self.read_clock(now);
        let record = self.check_peer(peer)?;
        if let SealTarget::NewSession(reason) = self.next(record, now)? {
            return Err(SealError::NeedsBundle(reason));
        }
        self.seal_on_session(peer, payload, loaded, now, rng)
    }

    /// Seals as [`seal`](Self::seal) does, on the session that there is, even if a new one would be better: for when the
    /// server has no bundle of the peer that is valid. To answer with a payload, use this: an answer needs no new session.
    ///
    /// # Errors
    /// [`SealError`]; nothing that is stored has changed.
    pub fn seal_on_session<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        loaded: Loaded,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealError> {
        let sending = self.sending_to(peer, Kind::Payload)?;
        self.seal_on(sending, payload.into(), loaded, now, rng)
    }

    /// Begins a new session from the peer's bundle, and seals a payload on it. The bundle is used up.
    ///
    /// The identity of the first bundle is [trusted on first use](Trust::FirstUse). If a later one has another identity,
    /// nothing is sent to the peer from then on, until the application has accepted or rejected it.
    ///
    /// # Errors
    /// [`SealFailed`] with the bundle. Nothing that is stored has changed. Another identity is remembered, and the next step
    /// stores it. The bundle's expiry is checked at `reading`, or at the messenger's own time if that is later.
    ///
    /// # Security
    /// The server that handed out the first bundle may have inserted its own identity (attack B22): compare
    /// [safety numbers](Self::safety_number).
    #[expect(clippy::result_large_err, reason = "the bundle comes back")]
    pub fn seal_with_bundle<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        bundle: Bundle,
        reading: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealFailed> {
        if self.is_saved() {
            self.read_clock(reading);
        }
        let record = match self.check_peer(peer) {
            Ok(record) => record,
            Err(error) => return Err(SealFailed { error, bundle }),
        };
        let identity = *bundle.identity();
        // A phone whose battery was empty says 1970, and then every old bundle would be valid. A reading that is ahead refuses.
        let checked_at = reading.max(self.time(reading));
        let options = match &record.identity {
            _ if record.has_rejected(&identity) => {
                return Err(SealFailed { error: SealError::IdentityRejected, bundle });
            }
            Some(pinned) if pinned.keys() != identity.keys() => {
                self.claim(*peer, identity);
                return Err(SealFailed { error: SealError::IdentityChanged, bundle });
            }
            Some(pinned) => InitiateOptions::expecting(pinned, checked_at),
            None if self.index.by_identity(&identity).is_some() => {
                return Err(SealFailed { error: SealError::IdentityTaken, bundle });
            }
            None => InitiateOptions::unverified(checked_at),
        };
        let is_first = record.highest_epoch == 0;
        let recovers_from = match self.next(record, reading) {
            Ok(SealTarget::NewSession(reason)) if !is_first => Some(reason),
            _ => None,
        };
        let prefix = Prefix { kind: Kind::Payload, epoch: record.next_epoch(), heard: record.heard };
        let payload: Payload<'_> = payload.into();
        let plaintext = prefix.join(payload.plaintext);
        let joined = Payload { plaintext: &plaintext, ..payload };
        let begun = self.device.inner.initiate(bundle, joined, options, rng);
        let (session, message) = begun.map_err(|InitiateFailed { error, bundle }| {
            let error = SealError::Bundle(error);
            SealFailed { error, bundle }
        })?;
        self.progress = Progress::Stepping;
        let now = self.time(reading);
        let ledger = Ledger::new(session.subject(), &self.key, self.writer);
        let at = SessionAt { peer: *peer, session: session.id() };
        if let Some(record) = self.peers.get_mut(peer).map(|peer| &mut peer.inner) {
            if record.identity.is_none() {
                record.identity = Some(identity);
                self.index.enter_identity(&identity, *peer);
            }
            record.highest_epoch = prefix.epoch;
            (record.recovery, record.awaiting_since) = (None, None);
            if recovers_from.is_some_and(NewSession::is_counted) {
                record.recoveries.enter(now);
                self.core.inner.count_recovery(now);
            }
            record.sessions.push(SessionRecord::new(&session, prefix.epoch, true, State::Live, now));
        }
        let sealed = Sealed { message, is_new_session: true, recovers_from };
        let sending = Sending { at, prefix, is_answer: false };
        Ok(self.sealed(sending, Durable { inner: session, ledger }, sealed, reading))
    }

    /// Checks that a message can be sent to this peer.
    pub(super) fn check_peer(&self, peer: &PeerId) -> Result<&PeerRecord<P>, SealError> {
        self.check_step()?;
        let record = &self.peers.get(peer).ok_or(SealError::UnknownPeer)?.inner;
        if record.claimed.is_some() { Err(SealError::IdentityChanged) } else { Ok(record) }
    }

    /// Returns on which session a message goes to this peer, and its prefix.
    pub(super) fn sending_to(&self, peer: &PeerId, kind: Kind) -> Result<Sending, SealError> {
        let record = self.check_peer(peer)?;
        let session = record.sending().ok_or(SealError::NeedsBundle(NewSession::None))?;
        let at = SessionAt { peer: *peer, session: session.id };
        let prefix = Prefix { kind, epoch: session.epoch, heard: record.heard };
        Ok(Sending { at, prefix, is_answer: false })
    }

    /// Seals on a session that the caller has loaded.
    pub(super) fn seal_on(
        &mut self,
        sending: Sending,
        payload: Payload<'_>,
        Loaded { target, rows }: Loaded,
        reading: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Outgoing>, SealError> {
        self.read_clock(reading);
        let Sending { at, prefix, .. } = &sending;
        let record = self.peers.get(&at.peer).and_then(|peer| peer.inner.session(&at.session));
        let generation = record.map_or(0, |record| record.generation);
        // Of another session there are other rows, which would be refused, or none.
        let rows = if target == Target::SealOn(*at) { rows } else { Vec::new() };
        let subject = self.subject().of_session(at.session);
        let mut loaded = self.restore_session(&subject, rows, generation).map_err(SealError::Stored)?;
        let plaintext = prefix.join(payload.plaintext);
        let joined = Payload { plaintext: &plaintext, ..payload };
        let sealed = match prefix.kind.is_control() {
            true => loaded.inner.encrypt_control(joined, rng),
            false => loaded.inner.encrypt(joined, rng),
        };
        let message = sealed.map_err(SealError::Encrypt)?;
        self.progress = Progress::Stepping;
        let sealed = Sealed { message, is_new_session: false, recovers_from: None };
        Ok(self.sealed(sending, loaded, sealed, reading))
    }

    /// Records a sealed message, and hands it out to be saved.
    fn sealed(
        &mut self,
        Sending { at, prefix: Prefix { kind, epoch, .. }, is_answer }: Sending,
        mut session: Durable<Session<P>>,
        Sealed { message, is_new_session, recovers_from }: Sealed,
        reading: UnixSeconds,
    ) -> Unsaved<'_, Outgoing> {
        let (now, message_id) = (self.time(reading), message_id(&message));
        let change = session.ledger.change(&session.inner, Some(&message_id));
        let mut step = Step { message_id: Some(message_id), session: change, ..Step::default() };
        let peer = self.peers.get_mut(&at.peer).map(|peer| &mut peer.inner);
        let peer_subject = peer.as_ref().map(|peer| peer.subject);
        if let Some(peer) = peer {
            // A probe, an answer or a receipt is no user's decision to talk to a stranger.
            if kind == Kind::Payload && peer.trust == Trust::Unknown {
                peer.trust = Trust::FirstUse;
            }
            peer.active_at = now;
            if kind == Kind::Payload {
                peer.awaiting_since.get_or_insert(now);
            }
            if is_answer {
                peer.answered_at = Some(now);
            }
            if let Some(record) = peer.session_mut(&at.session) {
                self.index.remove_session(record);
                record.observe(&session.inner, session.ledger.generation());
                if kind == Kind::Probe {
                    record.probe = Some(Probe { epoch, step: session.inner.ratchet.double.step, at: now });
                }
                self.index.enter_session(at.peer, record);
            }
        }
        self.end_sessions(at.peer, Some(&at.session), now, &mut step);
        let session = session.inner.subject();
        let is_control = kind.is_control();
        step.sent = Some(Sent { message_id, session, peer: peer_subject, is_control, message: message.clone() });
        let outcome =
            Outgoing { peer: at.peer, session: at.session, message_id, message, is_new_session, recovers_from };
        self.hand_out(outcome, step, reading)
    }
}

/// Where a message goes, and what it is.
pub(super) struct Sending {
    pub(super) at: SessionAt,
    pub(super) prefix: Prefix,
    /// Whether a message of the peer has caused it: it is an answer or a receipt.
    pub(super) is_answer: bool,
}

/// A message that was sealed.
struct Sealed {
    message: Vec<u8>,
    is_new_session: bool,
    recovers_from: Option<NewSession>,
}

/// Shows the message's length and whether it begins a session.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer: _, session: _, message_id: _, message, is_new_session, recovers_from } = self;
        f.debug_struct("Outgoing")
            .field("message_len", &message.len())
            .field("is_new_session", is_new_session)
            .field("recovers_from", recovers_from)
            .finish_non_exhaustive()
    }
}
