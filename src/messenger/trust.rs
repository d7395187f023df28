// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Trust`]: how a peer came to its identity, and what happens when it has another one.

use super::error::PeerError;
use super::policy::REJECTED_IDENTITIES;
use super::record::{PeerRecord, State};
use super::{Messenger, PeerId, Step};
use crate::durable::{Progress, Unsaved};
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::time::UnixSeconds;

/// How far the identity of a peer is known to be the right one. A greater one is trusted further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// A stranger: it wrote first, and nothing was sent to it. Sending to it makes this [`FirstUse`](Self::FirstUse).
    Unknown,
    /// The identity is that of the first bundle or of the first message that was answered. Nobody has compared safety
    /// numbers.
    FirstUse,
    /// The application has said that the safety numbers were compared.
    Verified,
}

impl Trust {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::FirstUse => 1,
            Self::Verified => 2,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Unknown),
            1 => Some(Self::FirstUse),
            2 => Some(Self::Verified),
            _ => None,
        }
    }
}

impl<P: Primitives> Messenger<P> {
    /// Records that another identity claims to be this peer, such as one whose first message says so. Nothing is sent
    /// to the peer from then on, until the claim is [accepted](Self::accept_identity) or
    /// [rejected](Self::reject_identity). A bundle with another identity has the same effect.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed. [`Taken`](PeerError::Taken) if the identity is that of another peer who is no
    /// stranger. [`Rejected`](PeerError::Rejected) if it was rejected for this peer.
    pub fn claim_identity(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        now: UnixSeconds,
    ) -> Result<Unsaved<'_, ()>, PeerError> {
        let record = self.check(peer)?;
        if record.identity.is_some_and(|pinned| pinned.keys() == identity.keys()) {
            return Err(PeerError::Taken);
        }
        if record.has_rejected(identity) {
            return Err(PeerError::Rejected);
        }
        self.check_not_taken(peer, identity)?;
        self.progress = Progress::Stepping;
        self.claim(*peer, *identity);
        Ok(self.hand_out((), Step::default(), now))
    }

    /// Accepts the identity that [claims](Self::claim_identity) to be this peer: after the user has agreed, for example
    /// because the safety numbers were compared again. `identity` must be exactly that one, so that another claim in the
    /// meantime is not accepted by mistake. One that was [rejected](Self::reject_identity) can be accepted as well, in case
    /// the user was mistaken.
    ///
    /// The sessions of the former identity are receive-only from then on, and its first messages are those of a stranger.
    /// If a stranger has the new identity, its sessions and its mail become the peer's. Trust is
    /// [on first use](Trust::FirstUse) again. Nothing is sent again.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed. [`OtherIdentity`](PeerError::OtherIdentity) if this identity does not claim to
    /// be the peer.
    pub fn accept_identity(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        reading: UnixSeconds,
    ) -> Result<Unsaved<'_, ()>, PeerError> {
        let record = self.check(peer)?;
        let is_claimed = record.claimed.is_some_and(|claimed| claimed.keys() == identity.keys());
        if !is_claimed && !record.has_rejected(identity) {
            return Err(PeerError::OtherIdentity);
        }
        let stranger = self.check_not_taken(peer, identity)?;
        self.progress = Progress::Stepping;
        let mut step = Step::default();
        self.read_clock(reading);
        let now = self.time(reading);
        let stranger = stranger.and_then(|id| self.take_record(id, &mut step));
        if let Some(record) = self.peers.get_mut(peer).map(|peer| &mut peer.inner) {
            record.identity.iter().for_each(|former| self.index.remove_identity(former));
            record.sessions.iter_mut().for_each(|session| session.state = State::ReceiveOnly);
            record.replace_identity(*identity);
            if let Some(mut stranger) = stranger {
                step.merged.push((stranger.subject, record.subject));
                record.sessions.append(&mut stranger.sessions);
                record.ended_openings.append(&mut stranger.ended_openings);
                (record.highest_epoch, record.heard) = (stranger.highest_epoch, stranger.heard);
                (record.handshakes, record.recovery) = (stranger.handshakes, stranger.recovery);
                let forgotten = record.log.absorb(&stranger.log);
                self.index.forget(forgotten);
            }
            // Its sessions are those of this peer now.
            self.index.enter(record);
        }
        self.end_sessions(*peer, None, now, &mut step);
        Ok(self.hand_out((), step, reading))
    }

    /// Rejects the identity that claims to be this peer. Messages are sent to the pinned identity again. The identity is
    /// remembered, one of [16](super::policy::REJECTED_IDENTITIES): it cannot claim to be this peer again, and a bundle
    /// that has it is [refused](super::SealError::IdentityRejected) without a claim.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed.
    pub fn reject_identity(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        now: UnixSeconds,
    ) -> Result<Unsaved<'_, ()>, PeerError> {
        self.change_if(peer, identity, |record| record.claimed, PeerRecord::reject_claimed, now)
    }

    /// Records that the user has compared safety numbers with the peer of this identity. It holds until another identity
    /// is accepted.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed. [`OtherIdentity`](PeerError::OtherIdentity) if this is not the pinned identity.
    pub fn set_verified(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        now: UnixSeconds,
    ) -> Result<Unsaved<'_, ()>, PeerError> {
        self.change_if(peer, identity, |record| record.identity, |record| record.trust = Trust::Verified, now)
    }

    /// Returns the identity of this peer that has this safety number: the pinned one, or the one that claims to be the peer.
    /// Pass it to [`accept_identity`](Self::accept_identity), [`reject_identity`](Self::reject_identity) or
    /// [`set_verified`](Self::set_verified), so that these act on the identity whose number the user has compared, even if
    /// there was another claim in the meantime.
    ///
    /// `number` is the 60 digits of [`safety_number`](Self::safety_number). White space in it is ignored. It is compared in
    /// full.
    ///
    /// # Errors
    /// [`PeerError::UnknownPeer`], or [`PeerError::OtherIdentity`] if neither identity has this number.
    pub fn identity_numbered(&self, peer: &PeerId, number: &str) -> Result<Identity, PeerError> {
        let record = &self.peers.get(peer).ok_or(PeerError::UnknownPeer)?.inner;
        let is_numbered = |identity: &&Identity| {
            let given = number.chars().filter(|char| !char.is_whitespace());
            given.eq(self.safety_number(identity).digits().map(char::from))
        };
        let known = record.identity.iter().chain(&record.claimed);
        known.copied().find(|identity| is_numbered(&identity)).ok_or(PeerError::OtherIdentity)
    }

    /// Returns the identity that claims to be this peer, if it has this safety number and
    /// [`accept_identity`](Self::accept_identity) would accept it now.
    pub(super) fn identity_to_accept(&self, peer: &PeerId, number: &str) -> Result<Identity, PeerError> {
        let identity = self.identity_numbered(peer, number)?;
        if self.check(peer)?.claimed.is_none_or(|claimed| claimed.keys() != identity.keys()) {
            return Err(PeerError::OtherIdentity);
        }
        self.check_not_taken(peer, &identity).map(|_| identity)
    }

    /// Changes a peer's record if the identity that `of` returns is this one.
    fn change_if(
        &mut self,
        peer: &PeerId,
        identity: &Identity,
        of: fn(&PeerRecord<P>) -> Option<Identity>,
        change: fn(&mut PeerRecord<P>),
        now: UnixSeconds,
    ) -> Result<Unsaved<'_, ()>, PeerError> {
        if of(self.check(peer)?).is_none_or(|known| known.keys() != identity.keys()) {
            return Err(PeerError::OtherIdentity);
        }
        self.progress = Progress::Stepping;
        self.peers.get_mut(peer).into_iter().for_each(|peer| change(&mut peer.inner));
        Ok(self.hand_out((), Step { peers: [*peer].into(), ..Step::default() }, now))
    }

    fn check(&self, peer: &PeerId) -> Result<&PeerRecord<P>, PeerError> {
        if !self.is_saved() {
            return Err(PeerError::NotSaved);
        }
        self.peers.get(peer).map(|peer| &peer.inner).ok_or(PeerError::UnknownPeer)
    }

    /// Returns the stranger with this identity, if there is one, even if the application has named it.
    fn check_not_taken(&self, peer: &PeerId, identity: &Identity) -> Result<Option<PeerId>, PeerError> {
        let other = self.index.by_identity(identity).filter(|other| other != peer);
        let record = other.and_then(|other| self.peers.get(&other));
        match record.map(|record| record.inner.trust) {
            Some(Trust::FirstUse | Trust::Verified) => Err(PeerError::Taken),
            Some(Trust::Unknown) | None => Ok(other),
        }
    }
}

impl<P: Primitives> PeerRecord<P> {
    /// Returns whether this identity was rejected for the peer. The certificate does not matter.
    pub(super) fn has_rejected(&self, identity: &Identity) -> bool {
        self.rejected.contains(&self.primitives.sha256(&[&identity.keys()]))
    }

    fn reject_claimed(&mut self) {
        let Some(claimed) = self.claimed.take() else { return };
        self.rejected.push(self.primitives.sha256(&[&claimed.keys()]));
        let excess = self.rejected.len().saturating_sub(REJECTED_IDENTITIES);
        self.rejected.drain(..excess);
    }
}
