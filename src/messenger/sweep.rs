// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Sweeps`]: finding the session of a message whose routing tag nobody expects, by trying its commitment under the
//! header keys of all sessions. That happens after a loss of more messages than tags are computed ahead. It costs an HMAC a
//! key, and anybody can cause it with junk, so it is bounded.

use super::index::SessionAt;
use super::policy;
use super::record::SessionRecord;
use super::{Messenger, PeerId};
use crate::primitives::Primitives;
use crate::ratchet::header::SealedHeader;
use crate::time::UnixSeconds;
use crate::wire::{ChunkSize, TYPE_MESSAGE};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// How many sweeps are left in this minute. In memory only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sweeps {
    since: UnixSeconds,
    made: usize,
}

/// What a sweep has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SweepResult {
    Session(SessionAt),
    /// No session that is known is committed to the message.
    None,
    /// Not all header keys were tried.
    Unknown {
        until: UnixSeconds,
    },
}

impl Sweeps {
    /// Takes one of this minute's sweeps. Otherwise returns when the next one is permitted. `now` is the caller's reading;
    /// one that is before the minute begins a new one, because the clock was set back.
    fn take(&mut self, now: UnixSeconds) -> Result<(), UnixSeconds> {
        let end = self.since.saturating_add(MINUTE);
        if now < self.since || now >= end {
            *self = Self { since: now, made: 0 };
        }
        if self.made >= policy::SWEEPS_A_MINUTE {
            return Err(self.since.saturating_add(MINUTE));
        }
        self.made = self.made.saturating_add(1);
        Ok(())
    }
}

impl<P: Primitives> Messenger<P> {
    /// Tries the header keys of all sessions, those most recently heard first, in sweeps of
    /// [`HEADER_KEYS_OF_A_SWEEP`](policy::HEADER_KEYS_OF_A_SWEEP).
    ///
    /// # Leaks
    /// The number of sessions, and how recently the session was heard to which the message belongs.
    pub(super) fn sweep(&mut self, message: &[u8], now: UnixSeconds) -> SweepResult {
        // Salt and commitment have one place, whatever the session's chunk size is.
        let after_type = message.split_first().filter(|(outer, _)| **outer == TYPE_MESSAGE).map(|(_, rest)| rest);
        let sealed = after_type.and_then(|rest| SealedHeader::parse(ChunkSize::Bytes32, TYPE_MESSAGE, rest));
        let Some(sealed) = sealed else { return SweepResult::None };
        // Before any work: to put the sessions in order costs more than to try few keys.
        if let Err(until) = self.sweeps.take(now) {
            return SweepResult::Unknown { until };
        }
        let mut candidates: Vec<(PeerId, &SessionRecord)> = Vec::new();
        for (id, peer) in &self.peers {
            candidates.extend(peer.inner.sessions.iter().map(|session| (*id, session)));
        }
        candidates.sort_unstable_by_key(|(_, session)| Reverse(session.heard_at));
        let mut left = policy::HEADER_KEYS_OF_A_SWEEP;
        for (peer, session) in candidates {
            for key in &session.header_keys {
                if left == 0 {
                    if let Err(until) = self.sweeps.take(now) {
                        return SweepResult::Unknown { until };
                    }
                    left = policy::HEADER_KEYS_OF_A_SWEEP;
                }
                left = left.saturating_sub(1);
                if key.is_committed(self.primitives(), &sealed) {
                    return SweepResult::Session(SessionAt { peer, session: session.id });
                }
            }
        }
        SweepResult::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_sweeps_a_minute_are_permitted() {
        let mut sweeps = Sweeps::default();
        let now = UnixSeconds(1_800_000_000);
        for _ in 0..10 {
            assert_eq!(sweeps.take(now), Ok(()));
        }
        assert_eq!(sweeps.take(UnixSeconds(now.0 + 59)), Err(UnixSeconds(now.0 + 60)));
        // Controls: a minute later they are permitted again, and after the clock was set back.
        assert_eq!(sweeps.take(UnixSeconds(now.0 + 60)), Ok(()));
        assert_eq!(sweeps.take(UnixSeconds(9)), Ok(()));
    }
}
