// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strangers: peers of identities that wrote first. Anybody can make identities, so strangers are few, and so are the new
//! ones of an hour.

use super::policy::{NEW_IDENTITIES_AN_HOUR, STRANGERS};
use super::record::PeerRecord;
use super::trust::Trust;
use super::{Messenger, PeerId, Step};
use crate::durable::Durable;
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::session::Session;
use crate::snapshot::{self, PEER_ID_LEN, PEER_ROW, Place, Revision, RowName, SealingKeys};
use crate::time::UnixSeconds;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

impl<P: Primitives> Messenger<P> {
    /// Makes a peer of an identity that wrote first, and returns the one that was evicted for it.
    pub(super) fn add_stranger(
        &mut self,
        session: &Session<P>,
        identity: Identity,
        now: UnixSeconds,
        step: &mut Step,
    ) -> (PeerId, Option<PeerId>) {
        let claims = self.peers.values().filter_map(|peer| peer.inner.claimed.as_ref().map(Identity::keys));
        let claimed: BTreeSet<_> = claims.collect();
        // The user has named it, or is asked about it.
        let is_known = |peer: &PeerRecord<P>| {
            !peer.name.is_empty() || peer.identity.as_ref().is_some_and(|of| claimed.contains(&of.keys()))
        };
        let is_evictable = |peer: &PeerRecord<P>| peer.trust == Trust::Unknown && !is_known(peer);
        let strangers = self.peers.iter().filter(|(_, peer)| is_evictable(&peer.inner));
        let longest = strangers.clone().min_by_key(|(_, peer)| peer.inner.active_at).map(|(id, _)| *id);
        let evicted = longest.filter(|_| strangers.count() >= STRANGERS);
        evicted.iter().for_each(|evicted| self.remove_peer(*evicted, step));
        // A function of the session, so that opening draws nothing, under the storage key, so that it shows nothing.
        let place = Place { kind: PEER_ROW, subject: &self.core.inner.subject, name: RowName::CORE };
        let none = Revision { generation: 0, writer: [0; 16] };
        let keys = SealingKeys::to_seal(self.primitives(), &self.key);
        let keyed = snapshot::salt_now(&keys, &place, none, &session.id());
        let id = PeerId(keyed.first_chunk::<PEER_ID_LEN>().copied().unwrap_or_default());
        self.add_peer_record(id, &[], Some(identity), Trust::Unknown, now);
        step.peers.insert(id);
        (id, evicted)
    }
}

/// Returns when another new identity is permitted, at `now` at the earliest. Strangers that were deleted or accepted do not
/// count any more.
pub(super) fn next_identity<P>(peers: &BTreeMap<PeerId, Durable<PeerRecord<P>>>, now: UnixSeconds) -> UnixSeconds {
    let strangers = peers.values().filter(|peer| peer.inner.trust == Trust::Unknown);
    // A time after `now` is one that a wrong clock has left.
    let is_recent = |at: &UnixSeconds| *at <= now && now.saturating_since(*at) < HOUR;
    let mut times: Vec<_> = strangers.filter_map(|peer| peer.inner.handshakes.last()).filter(is_recent).collect();
    times.sort_unstable();
    let oldest = times.len().checked_sub(NEW_IDENTITIES_AN_HOUR).and_then(|at| times.get(at));
    oldest.map_or(now, |oldest| oldest.saturating_add(HOUR))
}
