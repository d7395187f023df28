// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recovery: when the next message has to begin a new session, and how often that may be. A new session is a full
//! handshake from a fresh bundle. The old session alone never authenticates it.

use super::core::Core;
use super::error::{NewSession, Refusal, SealError};
use super::record::PeerRecord;
use super::{Messenger, PeerId, policy};
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use core::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What the next message to a peer is sealed on.
pub(super) enum Next {
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
            Next::Session => None,
            Next::NewSession(reason) => Some(reason),
        })
    }

    /// Decides what the next message is sealed on. `reading` is the caller's.
    pub(super) fn next(&self, record: &PeerRecord<P>, reading: UnixSeconds) -> Result<Next, SealError> {
        let now = self.time(reading);
        let Some(reason) = record.reason(now) else { return Ok(Next::Session) };
        let until = record.next_recovery(now).max(self.core.inner.next_recovery(now));
        match () {
            // The first session with a peer recovers nothing.
            () if until <= now || record.highest_epoch == 0 || !reason.is_counted() => Ok(Next::NewSession(reason)),
            () if record.sending().is_some() => Ok(Next::Session),
            () => {
                let until = reading.saturating_add(until.saturating_since(now));
                Err(SealError::TooManySessions { until })
            }
        }
    }

    /// Takes note that a message was refused for an authentic reason that only a new session remedies. The next step saves
    /// it.
    pub(super) fn note_refusal(&mut self, reason: Refusal, author: PeerId) {
        let reason = match reason {
            Refusal::TooManySkipped => NewSession::TooManySkipped,
            Refusal::ForkSuspected => NewSession::ForkSuspected,
            _ => return,
        };
        if let Some(peer) = self.peers.get_mut(&author)
            && peer.inner.recovery.replace(reason) != Some(reason)
        {
            self.changed.insert(author);
        }
    }
}

impl NewSession {
    /// Whether a new session for this reason counts against the limits. After a restoring, no peer has a session on which
    /// anything is sent, so a limit would leave peers unreachable; and there is one such session with each peer.
    pub(super) fn is_counted(self) -> bool {
        self != Self::Restored
    }
}

impl<P> PeerRecord<P> {
    /// Returns why a new session is needed.
    fn reason(&self, now: UnixSeconds) -> Option<NewSession> {
        let Some(session) = self.sending() else { return Some(self.recovery.unwrap_or(NewSession::None)) };
        if self.recovery.is_some() {
            return self.recovery;
        }
        if session.is_unanswered() && session.unheard >= policy::UNHEARD_MESSAGES {
            return Some(NewSession::Unheard);
        }
        let silence = self.awaiting_since.map(|since| now.saturating_since(since));
        silence.filter(|silence| *silence >= policy::SILENCE).map(|_| NewSession::Silence)
    }

    fn next_recovery(&self, now: UnixSeconds) -> UnixSeconds {
        let last = self.recoveries.last().filter(|last| *last <= now && last.0 > 0);
        let after_last = last.map_or(now, |last| last.saturating_add(policy::RECOVERY_INTERVAL));
        self.recoveries.next(DAY, now).max(after_last)
    }
}

impl<P> Core<P> {
    fn next_recovery(&self, now: UnixSeconds) -> UnixSeconds {
        let (since, count) = self.recoveries;
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
            assert_eq!(core.next_recovery(NOW), NOW, "{count}");
            core.count_recovery(NOW);
        }
        let tomorrow = NOW.saturating_add(DAY);
        assert_eq!(core.next_recovery(UnixSeconds(tomorrow.0 - 1)), tomorrow);
        // Control: on the next day they are permitted again.
        assert_eq!(core.next_recovery(tomorrow), tomorrow);
        core.count_recovery(tomorrow);
        assert_eq!(core.recoveries, (tomorrow, 1));
    }

    #[test]
    fn a_peer_without_a_session_needs_one_for_the_reason_that_is_known() {
        let mut peer = PeerRecord::new(RustCrypto, Subject::foreign_session([0; 32]), None, Trust::FirstUse, NOW);
        // Control: of a peer that is new, none is known.
        assert_eq!(peer.reason(NOW), Some(NewSession::None));
        peer.recovery = Some(NewSession::Restored);
        assert_eq!(peer.reason(NOW), Some(NewSession::Restored));
    }
}
