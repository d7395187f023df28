// SPDX-License-Identifier: MIT OR Apache-2.0
//! The peers: their names, their identities, and how far these are trusted.

use super::error::PeerError;
use super::record::PeerRecord;
use super::trust::Trust;
use super::{Messenger, Step, policy};
use crate::durable::{Durable, Ledger, Progress, Unsaved};
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::snapshot::{PEER_ID_LEN, Subject};
use crate::time::UnixSeconds;
use core::fmt;
use rand_core::CryptoRng;

/// A peer's id within one messenger, 16 bytes. It says nothing about the peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) [u8; PEER_ID_LEN]);

/// What the messenger knows of a peer.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Peer<'a> {
    /// The id.
    pub id: PeerId,
    /// The application's name for it. A stranger has none.
    pub name: &'a [u8],
    /// The pinned identity, or `None` before the first bundle.
    pub identity: Option<&'a Identity>,
    /// Another identity that claims to be this peer. Nothing is sent to the peer before it is accepted.
    pub claimed: Option<&'a Identity>,
    /// How far the identity is trusted.
    pub trust: Trust,
    /// The number of sessions with it.
    pub sessions: usize,
    /// Whether there is a session on which to send.
    pub can_send: bool,
}

impl PeerId {
    /// Returns the id of the peer whose rows or messages have this subject.
    #[must_use]
    pub fn from_subject(subject: &Subject) -> Option<Self> {
        subject.peer_id().copied().map(Self)
    }

    /// Returns the 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PEER_ID_LEN] {
        &self.0
    }

    /// Returns the 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; PEER_ID_LEN] {
        self.0
    }

    /// Returns the id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; PEER_ID_LEN]) -> Self {
        Self(bytes)
    }
}

/// Shows no byte of it.
impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerId(..)")
    }
}

impl<P: Primitives> Messenger<P> {
    /// Adds a peer under the application's name for it, 1 to [`NAME_LEN`](policy::NAME_LEN) bytes. With an `identity`,
    /// one that the application knows, a bundle of another one is refused. Without one, that of the first bundle is
    /// pinned. Draws 16 bytes from `rng`.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed. [`Taken`](PeerError::Taken) if another peer has this name or identity; name a
    /// stranger with [`name_peer`](Self::name_peer).
    pub fn add_peer(
        &mut self,
        name: &[u8],
        identity: Option<&Identity>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, PeerId>, PeerError> {
        self.check_name(name)?;
        if identity.is_some_and(|identity| self.index.by_identity(identity).is_some()) {
            return Err(PeerError::Taken);
        }
        let mut id = PeerId([0; PEER_ID_LEN]);
        rng.fill_bytes(&mut id.0);
        if self.peers.contains_key(&id) {
            return Err(PeerError::Taken);
        }
        self.progress = Progress::Stepping;
        self.add_peer_record(id, name, identity.copied(), Trust::FirstUse, self.time(now));
        Ok(self.hand_out(id, Step { peers: [id].into(), ..Step::default() }, now))
    }

    /// Names a peer: a stranger, or one that has another name. A stranger that is named is no longer evicted for another.
    /// Its [trust](Trust) stays as it is: a name says nothing about the identity.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed.
    pub fn name_peer(&mut self, peer: &PeerId, name: &[u8], now: UnixSeconds) -> Result<Unsaved<'_, ()>, PeerError> {
        self.check_name(name)?;
        let record = &mut self.peers.get_mut(peer).ok_or(PeerError::UnknownPeer)?.inner;
        self.progress = Progress::Stepping;
        self.index.rename(&record.name, name, *peer);
        record.name = name.to_vec();
        Ok(self.hand_out((), Step { peers: [*peer].into(), ..Step::default() }, now))
    }

    /// Returns a peer.
    #[must_use]
    pub fn peer(&self, id: &PeerId) -> Option<Peer<'_>> {
        self.peers.get(id).map(|peer| peer.inner.view(*id))
    }

    /// Returns the peer with this name.
    #[must_use]
    pub fn peer_named(&self, name: &[u8]) -> Option<Peer<'_>> {
        self.index.by_name(name).and_then(|id| self.peer(&id))
    }

    /// Returns the peer with this identity.
    #[must_use]
    pub fn peer_of(&self, identity: &Identity) -> Option<Peer<'_>> {
        self.index.by_identity(identity).and_then(|id| self.peer(&id))
    }

    /// Returns all peers, in no order.
    pub fn peers(&self) -> impl Iterator<Item = Peer<'_>> {
        self.peers.iter().map(|(id, peer)| peer.inner.view(*id))
    }

    /// Forgets a peer: its sessions, its identity, and which of its messages were opened. Whatever the store keeps of it is
    /// deleted with the step. A message of it that comes later is one of a stranger.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed.
    pub fn forget(&mut self, peer: &PeerId, now: UnixSeconds) -> Result<Unsaved<'_, ()>, PeerError> {
        if !self.is_saved() {
            return Err(PeerError::NotSaved);
        }
        if !self.peers.contains_key(peer) {
            return Err(PeerError::UnknownPeer);
        }
        self.progress = Progress::Stepping;
        let mut step = Step::default();
        self.remove_peer(*peer, &mut step);
        Ok(self.hand_out((), step, now))
    }

    fn check_name(&self, name: &[u8]) -> Result<(), PeerError> {
        if !self.is_saved() {
            return Err(PeerError::NotSaved);
        }
        if !(1..=policy::NAME_LEN).contains(&name.len()) {
            return Err(PeerError::Name);
        }
        if self.index.by_name(name).is_some() { Err(PeerError::Taken) } else { Ok(()) }
    }

    pub(super) fn add_peer_record(
        &mut self,
        id: PeerId,
        name: &[u8],
        identity: Option<Identity>,
        trust: Trust,
        now: UnixSeconds,
    ) {
        let subject = self.core.inner.subject.of_peer(&id.0);
        let mut record = PeerRecord::new(self.primitives().clone(), subject, identity, trust, now);
        record.name = name.to_vec();
        self.index.enter(&record);
        let ledger = Ledger::new(subject, &self.key, self.writer);
        self.peers.insert(id, Durable { inner: record, ledger });
        self.core.inner.add(id);
    }

    /// Removes a peer with its sessions.
    pub(super) fn remove_peer(&mut self, id: PeerId, step: &mut Step) {
        if let Some(record) = self.take_record(id, step) {
            step.ended.extend(record.sessions.iter().map(|session| record.subject.of_session(session.id)));
        }
    }

    /// Removes a peer, and returns its record. Its sessions stay.
    pub(super) fn take_record(&mut self, id: PeerId, step: &mut Step) -> Option<PeerRecord<P>> {
        let Durable { inner: record, ledger: _ } = self.peers.remove(&id)?;
        self.index.remove(&record);
        self.core.inner.remove(id);
        step.ended.push(record.subject);
        Some(record)
    }

    /// Records that another identity claims to be this peer. The next step saves it.
    pub(super) fn claim(&mut self, peer: PeerId, identity: Identity) {
        if let Some(record) = self.peers.get_mut(&peer).map(|peer| &mut peer.inner) {
            record.claimed = Some(identity);
            self.changed.insert(peer);
        }
    }
}

impl<P> PeerRecord<P> {
    fn view(&self, id: PeerId) -> Peer<'_> {
        Peer {
            id,
            name: &self.name,
            identity: self.identity.as_ref(),
            claimed: self.claimed.as_ref(),
            trust: self.trust,
            sessions: self.sessions.len(),
            can_send: self.claimed.is_none() && self.sending().is_some(),
        }
    }
}

/// Shows neither a name nor an identity.
impl fmt::Debug for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, name: _, identity: _, claimed, trust, sessions, can_send } = self;
        f.debug_struct("Peer")
            .field("trust", trust)
            .field("sessions", sessions)
            .field("can_send", can_send)
            .field("is_claimed", &claimed.is_some())
            .finish_non_exhaustive()
    }
}
