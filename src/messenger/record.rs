// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`PeerRecord`] and [`SessionRecord`]: what is known of a peer and of each session with it, without loading the session.

use super::core::Corrected;
use super::error::NewSession;
use super::log::{Log, Tag};
use super::policy;
use super::rank::{Rank, ShortId, short};
use super::trust::Trust;
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::ratchet::header::HeaderKey;
use crate::session::Session;
use crate::snapshot::{PEER_ID_LEN, Subject};
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::time::Duration;

/// A peer.
pub(super) struct PeerRecord<P> {
    pub(super) primitives: P,
    pub(super) subject: Subject,
    /// The application's name for it, or nothing.
    pub(super) name: Vec<u8>,
    /// The pinned identity, or `None` before the first bundle.
    pub(super) identity: Option<Identity>,
    /// Another identity that claims to be this peer. Nothing is sent before it is accepted.
    pub(super) claimed: Option<Identity>,
    pub(super) trust: Trust,
    /// Of the identities that were rejected for this peer, the SHA-256 of both keys; oldest first, at most
    /// [`REJECTED_IDENTITIES`](policy::REJECTED_IDENTITIES).
    pub(super) rejected: Vec<[u8; 32]>,
    /// Opening ids of first messages whose refusal has demanded a new session; oldest first, at most
    /// [`REFUSED_OPENINGS`](policy::REFUSED_OPENINGS).
    pub(super) refused_openings: Vec<[u8; 32]>,
    /// At most [`SESSIONS_OF_A_PEER`](policy::SESSIONS_OF_A_PEER).
    pub(super) sessions: Vec<SessionRecord>,
    /// Opening ids of ended sessions, and when each ended; oldest first.
    pub(super) ended_openings: Vec<([u8; 32], UnixSeconds)>,
    /// The highest epoch of any session with this identity, even if it has ended.
    pub(super) highest_epoch: u32,
    /// The highest rank of a session on which anything was opened while it was live, or that has failed then.
    pub(super) heard: Rank,
    /// When the peer's last first messages were opened, oldest first.
    pub(super) handshakes: Recent<{ policy::HANDSHAKES_AN_HOUR }>,
    /// Why the next message has to begin a new session, if something authentic has shown that.
    pub(super) recovery: Option<NewSession>,
    /// When this side last began a session after the first one.
    pub(super) recoveries: Recent<{ policy::RECOVERIES_A_DAY }>,
    /// Since when a message waits for anything from the peer.
    pub(super) awaiting_since: Option<UnixSeconds>,
    /// When the last answer or receipt was sealed for the peer, which no user has asked for.
    pub(super) answered_at: Option<UnixSeconds>,
    /// When the peer was last heard or written to.
    pub(super) active_at: UnixSeconds,
    pub(super) log: Log,
}

/// A session with a peer.
pub(super) struct SessionRecord {
    pub(super) id: [u8; 32],
    /// The generation of its rows: older ones are refused.
    pub(super) generation: u64,
    pub(super) epoch: u32,
    pub(super) was_initiated: bool,
    pub(super) state: State,
    /// Number of messages that were opened on it.
    pub(super) opened: u32,
    pub(super) opening_id: Option<[u8; 32]>,
    /// Since when another session is sent on.
    pub(super) succeeded_at: Option<UnixSeconds>,
    /// Number of messages that were opened on higher sessions since then.
    pub(super) opened_after: u32,
    /// What this side has proposed on it, while it is on probation.
    pub(super) probe: Option<Probe>,
    /// Of an unanswered session: number of the peer's messages that were sent without knowing it.
    pub(super) unheard: u8,
    pub(super) heard_at: UnixSeconds,
    /// Routing tags of the messages that may come next.
    pub(super) tags: Vec<Tag>,
    pub(super) header_keys: Vec<HeaderKey>,
}

/// A probe that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// The epoch that the session has when the peer has answered.
    pub(super) epoch: u32,
    /// The number of the session's receiving steps before the probe. Only a message that answers our key takes another.
    pub(super) step: u32,
    /// When it was sealed.
    pub(super) at: UnixSeconds,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For both directions. Messages are sent on the highest live session.
    Live,
    /// Receive only, until the peer shows that it has the session now: it answers a probe.
    Probation,
    /// Receive only, for good.
    ReceiveOnly,
}

/// The last `N` times of something, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent<const N: usize>(pub(super) Option<[UnixSeconds; N]>);

impl<const N: usize> Recent<N> {
    /// Returns when the next one is permitted, at `now` at the earliest, if `N` are permitted in each `period`.
    pub(super) fn next(&self, period: Duration, now: UnixSeconds) -> UnixSeconds {
        let oldest = self.0.and_then(|times| times.first().copied());
        // A time after `now` is one that a wrong clock has left.
        let oldest = oldest.filter(|time| *time <= now);
        oldest.map_or(now, |time| time.saturating_add(period).max(now))
    }

    /// Returns when the last one was.
    pub(super) fn last(&self) -> Option<UnixSeconds> {
        self.0.and_then(|times| times.last().copied())
    }

    pub(super) fn enter(&mut self, now: UnixSeconds) {
        let times = self.0.get_or_insert([UnixSeconds(0); N]);
        times.rotate_left(1);
        if let Some(last) = times.last_mut() {
            *last = now;
        }
    }
}

impl SessionRecord {
    /// A session that is new to the record. [`observe`](Self::observe) fills in what it expects.
    pub(super) fn new<P: Primitives>(
        session: &Session<P>,
        epoch: u32,
        was_initiated: bool,
        state: State,
        now: UnixSeconds,
    ) -> Self {
        Self {
            id: session.id(),
            generation: 0,
            epoch,
            was_initiated,
            state,
            opened: 0,
            opening_id: None,
            succeeded_at: None,
            opened_after: 0,
            probe: None,
            unheard: 0,
            heard_at: now,
            tags: Vec::new(),
            header_keys: Vec::new(),
        }
    }

    pub(super) fn rank(&self) -> Rank {
        Rank::new(self.epoch, &self.id)
    }

    pub(super) fn short(&self) -> ShortId {
        short(&self.id)
    }

    /// Whether this side began it and nothing was opened on it.
    pub(super) const fn is_unanswered(&self) -> bool {
        self.was_initiated && self.opened == 0
    }

    /// Whether another session has succeeded it long ago.
    fn is_old(&self, now: UnixSeconds) -> bool {
        let age = self.succeeded_at.map(|since| now.saturating_since(since)).unwrap_or_default();
        age >= policy::SUCCEEDED_KEPT || self.opened_after >= policy::SUCCEEDED_MESSAGES
    }

    /// Whether a message that is opened `now`, and whose author has `heard`, shows that the peer may not have this
    /// unanswered session. Messages that were on their way when it was begun show nothing.
    fn is_unheard_of(&self, heard: Rank, now: UnixSeconds) -> bool {
        // Nothing was opened on it, so it was begun then.
        let age = now.saturating_since(self.heard_at);
        self.is_unanswered() && heard < self.rank() && age >= policy::UNHEARD_AFTER
    }

    /// Enters what the session expects next. Of one whose ratchet has failed the header keys stay as they were: they tell
    /// its later messages, which nothing opens, from junk.
    pub(super) fn observe<P: Primitives>(&mut self, session: &Session<P>, generation: u64) {
        self.generation = generation;
        self.opening_id = session.opening_id();
        self.tags.clear();
        // First the messages to come, then late ones.
        session.routing_tags(|tag| {
            if self.tags.len() < policy::TAGS_OF_A_SESSION {
                self.tags.push(tag);
            }
        });
        if !session.is_abandoned() {
            let duplicate = |key: &HeaderKey| HeaderKey(key.0.duplicate());
            self.header_keys = session.ratchet.double.receiving_header_keys().map(duplicate).collect();
        }
    }
}

impl<P> PeerRecord<P> {
    pub(super) fn new(
        primitives: P,
        subject: Subject,
        identity: Option<Identity>,
        trust: Trust,
        now: UnixSeconds,
    ) -> Self {
        Self {
            primitives,
            subject,
            name: Vec::new(),
            identity,
            claimed: None,
            trust,
            rejected: Vec::new(),
            refused_openings: Vec::new(),
            sessions: Vec::new(),
            ended_openings: Vec::new(),
            highest_epoch: 0,
            heard: Rank::NONE,
            handshakes: Recent(None),
            recovery: None,
            recoveries: Recent(None),
            awaiting_since: None,
            answered_at: None,
            active_at: now,
            log: Log::default(),
        }
    }

    pub(super) fn id(&self) -> [u8; PEER_ID_LEN] {
        self.subject.peer_id().copied().unwrap_or_default()
    }

    /// Pins another identity, with which there was nothing so far. The sessions of the former one stay.
    pub(super) fn replace_identity(&mut self, identity: Identity)
    where
        P: Primitives,
    {
        (self.identity, self.claimed, self.trust) = (Some(identity), None, Trust::FirstUse);
        let accepted = self.primitives.sha256(&[&identity.keys()]);
        self.rejected.retain(|rejected| *rejected != accepted);
        (self.highest_epoch, self.heard) = (0, Rank::NONE);
        (self.handshakes, self.recoveries) = (Recent(None), Recent(None));
        (self.recovery, self.awaiting_since) = (None, None);
    }

    /// Returns the session on which messages are sent: the live one of the highest rank, and none below what was heard, so
    /// that a session that was replaced is not sent on again when its successor fails.
    pub(super) fn sending(&self) -> Option<&SessionRecord> {
        let is_sent_on = |session: &&SessionRecord| session.state == State::Live && session.rank() >= self.heard;
        self.sessions.iter().filter(is_sent_on).max_by_key(|session| session.rank())
    }

    /// Returns whether messages are sent on this session.
    pub(super) fn is_sent_on(&self, id: &[u8; 32]) -> bool {
        self.sending().is_some_and(|session| session.id == *id)
    }

    pub(super) fn session(&self, id: &[u8; 32]) -> Option<&SessionRecord> {
        self.sessions.iter().find(|session| session.id == *id)
    }

    pub(super) fn session_mut(&mut self, id: &[u8; 32]) -> Option<&mut SessionRecord> {
        self.sessions.iter_mut().find(|session| session.id == *id)
    }

    /// Returns the epoch of the next session that this side begins.
    pub(super) const fn next_epoch(&self) -> u32 {
        self.highest_epoch.saturating_add(1)
    }

    /// Returns what a session of `epoch` is for that the peer has begun.
    ///
    /// It is live if it is newer than everything that was opened, and within the bound. That includes a session that both
    /// sides have begun at once, as long as the peer has not answered ours.
    pub(super) fn state_of_accepted(&self, epoch: u32) -> State {
        let is_newer = epoch > self.heard.epoch && self.permits(epoch);
        if is_newer { State::Live } else { State::Probation }
    }

    /// Returns whether a session that the peer begins may have this epoch.
    fn permits(&self, epoch: u32) -> bool {
        epoch <= self.highest_epoch.saturating_add(policy::EPOCH_JUMP)
    }

    /// Records the epoch of a session that the peer has begun. One beyond the bound counts when the peer has
    /// answered a probe.
    pub(super) fn note_accepted(&mut self, epoch: u32) {
        if self.permits(epoch) {
            self.highest_epoch = self.highest_epoch.max(epoch);
        }
    }

    /// Corrects the times that were taken from the messenger's clock. Returns whether any has changed.
    pub(super) fn correct(&mut self, corrected: Corrected) -> bool {
        let is_log_changed = self.log.correct(corrected);
        let apply_to = |times: &mut dyn Iterator<Item = &mut UnixSeconds>| {
            times.fold(is_log_changed, |changed, time| {
                let was = *time;
                corrected.apply(time);
                changed | (*time != was)
            })
        };
        let sessions = self.sessions.iter_mut();
        let of_sessions = sessions.flat_map(|session| {
            let probe = session.probe.as_mut().map(|probe| &mut probe.at);
            session.succeeded_at.iter_mut().chain([&mut session.heard_at]).chain(probe)
        });
        let handshakes = self.handshakes.0.iter_mut().flatten().chain(self.recoveries.0.iter_mut().flatten());
        let handshakes = handshakes.chain(&mut self.awaiting_since).chain(&mut self.answered_at);
        let ended = self.ended_openings.iter_mut().map(|(_, since)| since);
        apply_to(&mut of_sessions.chain(handshakes).chain(ended).chain([&mut self.active_at]))
    }

    /// Records a message that was opened on the session `id`, in which the peer has `heard`.
    pub(super) fn note_opened(&mut self, id: &[u8; 32], heard: Rank, now: UnixSeconds) {
        let Some((rank, state)) = self.session(id).map(|session| (session.rank(), session.state)) else { return };
        self.active_at = now;
        // What is receive-only is of a former identity, or from before a restoring. It says nothing about the sessions that
        // are sent on.
        let is_authoritative = state != State::ReceiveOnly;
        if is_authoritative {
            self.awaiting_since = None;
        }
        let is_live = state == State::Live;
        if is_live {
            self.heard = self.heard.max(rank);
        }
        for session in &mut self.sessions {
            if session.id == *id {
                session.opened = session.opened.saturating_add(1);
                session.heard_at = now;
            } else if session.rank() < rank {
                session.opened_after = session.opened_after.saturating_add(u32::from(is_live));
            } else if is_authoritative && session.is_unheard_of(heard, now) {
                session.unheard = session.unheard.saturating_add(1);
            }
        }
    }

    /// Returns whether a session is past its time, or the opening id of one that has ended.
    pub(super) fn has_old_session(&self, now: UnixSeconds) -> bool {
        self.sessions.iter().any(|session| session.is_old(now))
            || self.ended_openings.iter().any(|(_, since)| is_forgotten(*since, now))
    }

    /// Ends the sessions that are past their bounds, `kept` not among them, and returns their records, and the opening ids
    /// of sessions that ended so long ago that they are forgotten.
    pub(super) fn end_sessions(
        &mut self,
        kept: Option<&[u8; 32]>,
        now: UnixSeconds,
    ) -> (Vec<SessionRecord>, Vec<[u8; 32]>) {
        let sending = self.sending().map(|session| session.id);
        for session in &mut self.sessions {
            match session.succeeded_at {
                _ if Some(session.id) == sending => session.succeeded_at = None,
                None => (session.succeeded_at, session.opened_after) = (Some(now), 0),
                Some(_) => {}
            }
        }
        let may_end = |session: &SessionRecord| Some(session.id) != sending && Some(&session.id) != kept;
        let is_due = |session: &mut SessionRecord| may_end(session) && session.is_old(now);
        let mut ended: Vec<SessionRecord> = self.sessions.extract_if(.., is_due).collect();
        while self.sessions.len() > policy::SESSIONS_OF_A_PEER {
            let candidates = self.sessions.iter().enumerate().filter(|(_, session)| may_end(session));
            let least = candidates.min_by_key(|(_, session)| (session.state == State::Live, session.rank()));
            match least.map(|(at, _)| at) {
                Some(at) => ended.push(self.sessions.swap_remove(at)),
                None => break,
            }
        }
        for session in &ended {
            self.ended_openings.extend(session.opening_id.map(|id| (id, now)));
        }
        let mut forgotten: Vec<_> =
            self.ended_openings.extract_if(.., |(_, since)| is_forgotten(*since, now)).collect();
        let excess = self.ended_openings.len().saturating_sub(policy::ENDED_OPENINGS);
        forgotten.extend(self.ended_openings.drain(..excess));
        (ended, forgotten.into_iter().map(|(opening, _)| opening).collect())
    }
}

/// Whether the opening id of a session is forgotten that ended at `since`.
fn is_forgotten(since: UnixSeconds, now: UnixSeconds) -> bool {
    now.saturating_since(since) >= policy::ENDED_OPENINGS_KEPT
}
