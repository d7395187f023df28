// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Index`]: which session a message belongs to, by one look-up and without loading a session. It is in memory only, made
//! from the peers' records.

use super::PeerId;
use super::log::Tag;
use super::rank::ShortId;
use super::record::{PeerRecord, SessionRecord};
use crate::durable::MessageId;
use crate::identity::Identity;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionAt {
    pub(super) peer: PeerId,
    pub(super) session: [u8; 32],
}

/// To whom a first message belongs that names a known opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpeningOf {
    Session(SessionAt),
    /// A session that has ended.
    Ended,
}

#[derive(Default)]
pub(super) struct Index {
    sessions: BTreeMap<ShortId, SessionAt>,
    tags: BTreeMap<Tag, ShortId>,
    openings: BTreeMap<[u8; 32], ShortId>,
    ended_openings: BTreeSet<[u8; 32]>,
    identities: BTreeMap<[u8; 64], PeerId>,
    names: BTreeMap<Vec<u8>, PeerId>,
    opened: BTreeSet<MessageId>,
}

impl Index {
    pub(super) fn is_opened(&self, id: &MessageId) -> bool {
        self.opened.contains(id)
    }

    pub(super) fn by_tag(&self, tag: &Tag) -> Option<SessionAt> {
        self.sessions.get(self.tags.get(tag)?).copied()
    }

    pub(super) fn by_opening(&self, id: &[u8; 32]) -> Option<OpeningOf> {
        let session = self.openings.get(id).and_then(|short| self.sessions.get(short));
        let ended = || self.ended_openings.contains(id).then_some(OpeningOf::Ended);
        session.copied().map(OpeningOf::Session).or_else(ended)
    }

    pub(super) fn by_identity(&self, identity: &Identity) -> Option<PeerId> {
        self.identities.get(&identity.keys()).copied()
    }

    pub(super) fn by_name(&self, name: &[u8]) -> Option<PeerId> {
        self.names.get(name).copied()
    }

    /// Enters a peer with its sessions and its log.
    pub(super) fn enter<P>(&mut self, peer: &PeerRecord<P>) {
        let id = PeerId(peer.id());
        if let Some(identity) = &peer.identity {
            self.identities.insert(identity.keys(), id);
        }
        if !peer.name.is_empty() {
            self.names.insert(peer.name.clone(), id);
        }
        self.ended_openings.extend(peer.ended_openings.iter().map(|(opening, _)| *opening));
        self.opened.extend(peer.log.ids());
        peer.sessions.iter().for_each(|session| self.enter_session(id, session));
    }

    pub(super) fn enter_identity(&mut self, identity: &Identity, peer: PeerId) {
        self.identities.insert(identity.keys(), peer);
    }

    pub(super) fn remove_identity(&mut self, identity: &Identity) {
        self.identities.remove(&identity.keys());
    }

    pub(super) fn rename(&mut self, from: &[u8], to: &[u8], peer: PeerId) {
        self.names.remove(from);
        self.names.insert(to.to_vec(), peer);
    }

    /// Removes a peer. A message of it that comes after that is one of a stranger.
    pub(super) fn remove<P>(&mut self, peer: &PeerRecord<P>) {
        if let Some(identity) = &peer.identity {
            self.identities.remove(&identity.keys());
        }
        self.names.remove(&peer.name);
        peer.ended_openings.iter().for_each(|(opening, _)| _ = self.ended_openings.remove(opening));
        self.forget(peer.log.ids());
        peer.sessions.iter().for_each(|session| self.remove_session(session));
    }

    pub(super) fn enter_session(&mut self, peer: PeerId, session: &SessionRecord) {
        let short = session.short();
        self.sessions.insert(short, SessionAt { peer, session: session.id });
        self.tags.extend(session.tags.iter().map(|tag| (*tag, short)));
        self.openings.extend(session.opening_id.map(|id| (id, short)));
    }

    /// Removes what a session expects, before that changes or the session ends.
    pub(super) fn remove_session(&mut self, session: &SessionRecord) {
        session.tags.iter().for_each(|tag| _ = self.tags.remove(tag));
        session.opening_id.iter().for_each(|id| _ = self.openings.remove(id));
        self.sessions.remove(&session.short());
    }

    pub(super) fn end_opening(&mut self, id: [u8; 32]) {
        self.ended_openings.insert(id);
    }

    pub(super) fn forget_openings(&mut self, ids: impl IntoIterator<Item = [u8; 32]>) {
        ids.into_iter().for_each(|id| _ = self.ended_openings.remove(&id));
    }

    pub(super) fn enter_message(&mut self, id: MessageId) {
        self.opened.insert(id);
    }

    pub(super) fn forget(&mut self, ids: impl IntoIterator<Item = MessageId>) {
        ids.into_iter().for_each(|id| _ = self.opened.remove(&id));
    }
}
