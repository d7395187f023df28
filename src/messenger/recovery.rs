// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recovery: when the next message has to begin a new session, and how often that may be. A new session is a full
//! handshake from a fresh bundle. The old session alone never authenticates it.

use super::core::{Core, Corrected};
use super::error::{NewSession, Refusal, SealError};
use super::index::SessionAt;
use super::record::{PeerRecord, Recent, State};
use super::{Messenger, PeerId, policy};
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use core::mem;
use core::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What the next message to a peer is sealed on.
pub(super) enum SealTarget {
    /// The session on which messages are sent.
    Session,
    NewSession(NewSession),
}

impl<P: Primitives> Messenger<P> {
    /// Returns whether the next message to this peer has to begin a new session, and why: then fetch a bundle for
    /// [`seal_with_bundle`](Self::seal_with_bundle).
    ///
    /// # Errors
    /// [`SealError`], as [`seal`](Self::seal) would return.
    pub fn needs_bundle(&self, peer: &PeerId, now: UnixSeconds) -> Result<Option<NewSession>, SealError> {
        let record = self.check_peer(peer)?;
        Ok(match self.next(record, now)? {
            SealTarget::Session => None,
            SealTarget::NewSession(reason) => Some(reason),
        })
    }

    /// Decides what the next message is sealed on. `reading` is the caller's.
    pub(super) fn next(&self, record: &PeerRecord<P>, reading: UnixSeconds) -> Result<SealTarget, SealError> {
        let (now, corrected) = (self.time(reading), self.core.inner.correction(reading));
        let Some(reason) = record.reason(now, corrected) else { return Ok(SealTarget::Session) };
        let until = record.next_recovery(now, corrected).max(self.core.inner.next_recovery(now, corrected));
        match () {
            // The first session with a peer recovers nothing.
            () if until <= now || record.highest_epoch == 0 || !reason.is_counted() => {
                Ok(SealTarget::NewSession(reason))
            }
            () if record.sending().is_some() => Ok(SealTarget::Session),
            () => {
                let until = reading.saturating_add(until.saturating_since(now));
                Err(SealError::TooManySessions { until })
            }
        }
    }

    /// Records that a message of a session was refused for an authentic reason that only a new session remedies. The next
    /// step saves it.
    ///
    /// If it is not the session that is sent on, the remedy is there already: a message that is delivered again and again
    /// demands one session.
    pub(super) fn note_refusal(&mut self, reason: Refusal, at: &SessionAt) {
        let Some((reason, peer)) = remedied(reason).zip(self.peers.get_mut(&at.peer)) else { return };
        if peer.inner.is_sent_on(&at.session) && peer.inner.note_reason(reason) {
            self.changed.insert(at.peer);
        }
    }

    /// Notes that the server of the peer's mailbox has refused a message that is no first one, for want of its access key.
    /// The next message to the peer demands a new session, whose messages are first ones until the peer answers.
    /// [`save_notes`](Self::save_notes) then.
    ///
    /// Not if the account has another device: [`claim_identity`](Self::claim_identity).
    pub fn note_access_refused(&mut self, peer: &PeerId) {
        let Some(record) = self.peers.get_mut(peer) else { return };
        if record.inner.note_reason(NewSession::AccessRefused) {
            self.changed.insert(*peer);
        }
    }

    /// Does the same for a first message. It has no session, so that each opening is a reason once.
    pub(super) fn note_refused_opening(&mut self, reason: Refusal, author: PeerId, opening: Option<[u8; 32]>) {
        let Some((reason, peer)) = remedied(reason).zip(self.peers.get_mut(&author)) else { return };
        let record = &mut peer.inner;
        let Some(opening) = opening.filter(|opening| !record.refused_openings.contains(opening)) else { return };
        record.refused_openings.push(opening);
        let excess = record.refused_openings.len().saturating_sub(policy::REFUSED_OPENINGS);
        record.refused_openings.drain(..excess);
        record.note_reason(reason);
        self.changed.insert(author);
    }
}

/// Returns why a new session is needed after this refusal, if it is.
const fn remedied(reason: Refusal) -> Option<NewSession> {
    match reason {
        Refusal::TooManySkipped => Some(NewSession::TooManySkipped),
        Refusal::ForkSuspected => Some(NewSession::ForkSuspected),
        _ => None,
    }
}

impl NewSession {
    /// Whether a new session for this reason counts against the limits. After a restoring, no peer has a session on which
    /// anything is sent, so a limit would leave peers unreachable; and there is one such session with each peer.
    pub(super) fn is_counted(self) -> bool {
        self != Self::Restored
    }

    /// The order of spec/messenger.md §7: of two reasons, the stronger one is kept.
    const fn strength(self) -> u8 {
        match self {
            Self::Silence => 0,
            Self::Unheard => 1,
            Self::AccessRefused => 2,
            Self::None => 3,
            Self::Abandoned => 4,
            Self::TooManySkipped => 5,
            Self::ForkSuspected => 6,
            Self::Restored => 7,
        }
    }
}

fn at(corrected: Option<Corrected>, mut time: UnixSeconds) -> UnixSeconds {
    corrected.iter().for_each(|corrected| corrected.apply(&mut time));
    time
}

impl<P> PeerRecord<P> {
    /// Records why a new session is needed, unless a stronger reason is known. Returns whether that has changed anything.
    pub(super) fn note_reason(&mut self, reason: NewSession) -> bool {
        let is_stronger = self.recovery.is_none_or(|known| known.strength() < reason.strength());
        if is_stronger {
            self.recovery = Some(reason);
        }
        is_stronger
    }

    /// Records that the post-quantum ratchet of a session has failed. Messages are sent neither on it nor on a session below
    /// it again: those were replaced, and the thief whom a new session has locked out would read on.
    pub(super) fn note_abandoned(&mut self, id: &[u8; 32]) {
        if self.is_sent_on(id) {
            self.note_reason(NewSession::Abandoned);
        }
        let Some(session) = self.session_mut(id) else { return };
        let was_live = mem::replace(&mut session.state, State::ReceiveOnly) == State::Live;
        let rank = session.rank();
        if was_live {
            self.heard = self.heard.max(rank);
        }
    }

    /// Returns why a new session is needed.
    fn reason(&self, now: UnixSeconds, corrected: Option<Corrected>) -> Option<NewSession> {
        let Some(session) = self.sending() else { return Some(self.recovery.unwrap_or(NewSession::None)) };
        if self.recovery.is_some() {
            return self.recovery;
        }
        if session.is_unanswered() && session.unheard >= policy::UNHEARD_MESSAGES {
            return Some(NewSession::Unheard);
        }
        let silence = self.awaiting_since.map(|since| now.saturating_since(at(corrected, since)));
        silence.filter(|silence| *silence >= policy::SILENCE).map(|_| NewSession::Silence)
    }

    fn next_recovery(&self, now: UnixSeconds, corrected: Option<Corrected>) -> UnixSeconds {
        let recoveries = Recent(self.recoveries.0.map(|times| times.map(|time| at(corrected, time))));
        let last = recoveries.last().filter(|last| *last <= now && last.0 > 0);
        let after_last = last.map_or(now, |last| last.saturating_add(policy::RECOVERY_INTERVAL));
        recoveries.next(DAY, now).max(after_last)
    }
}

impl<P> Core<P> {
    fn next_recovery(&self, now: UnixSeconds, corrected: Option<Corrected>) -> UnixSeconds {
        let (since, count) = self.recoveries;
        let since = at(corrected, since);
        let is_today = since <= now && now.saturating_since(since) < DAY;
        if is_today && count >= policy::ALL_RECOVERIES_A_DAY { since.saturating_add(DAY) } else { now }
    }

    /// Counts a new session.
    pub(super) fn count_recovery(&mut self, now: UnixSeconds) {
        let (since, count) = self.recoveries;
        let is_today = since <= now && now.saturating_since(since) < DAY;
        self.recoveries = if is_today { (since, count.saturating_add(1)) } else { (now, 1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::clock::Clock;
    use crate::messenger::trust::Trust;
    use crate::primitives::RustCrypto;
    use crate::snapshot::Subject;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    #[test]
    fn a_hundred_new_sessions_a_day_are_demanded_of_all_peers() {
        let mut core = Core::new(RustCrypto, Subject::foreign_session([0; 32]), Clock::new(NOW));
        for count in 0..policy::ALL_RECOVERIES_A_DAY {
            assert_eq!(core.next_recovery(NOW, None), NOW, "{count}");
            core.count_recovery(NOW);
        }
        let tomorrow = NOW.saturating_add(DAY);
        assert_eq!(core.next_recovery(UnixSeconds(tomorrow.0 - 1), None), tomorrow);
        // Control: on the next day they are permitted again.
        assert_eq!(core.next_recovery(tomorrow, None), tomorrow);
        core.count_recovery(tomorrow);
        assert_eq!(core.recoveries, (tomorrow, 1));
    }

    #[test]
    fn the_count_of_a_day_is_corrected_before_it_is_compared() {
        let mut core = Core::new(RustCrypto, Subject::foreign_session([0; 32]), Clock::new(NOW));
        let claim = NOW.saturating_add(20 * DAY);
        assert!(core.read(claim).is_none());
        core.recoveries = (core.time(claim), policy::ALL_RECOVERIES_A_DAY);
        // The reading that confirms the claim.
        let reading = UnixSeconds(claim.saturating_add(DAY).0);
        let (now, corrected) = (core.time(reading), core.correction(reading));
        assert!(corrected.is_some());
        core.recoveries.0 = core.time(UnixSeconds(claim.0 + 3_600));
        assert_eq!(core.next_recovery(now, corrected), now.saturating_add(Duration::from_secs(3_600)));
        // Control: the time as it is stored is of another day.
        assert_eq!(core.next_recovery(now, None), now);
    }

    #[test]
    fn a_peer_without_a_session_needs_one_for_the_reason_that_is_known() {
        let mut peer = PeerRecord::new(RustCrypto, Subject::foreign_session([0; 32]), None, Trust::FirstUse, NOW);
        // Control: of a peer that is new, none is known.
        assert_eq!(peer.reason(NOW, None), Some(NewSession::None));
        peer.recovery = Some(NewSession::Restored);
        assert_eq!(peer.reason(NOW, None), Some(NewSession::Restored));
    }
}
