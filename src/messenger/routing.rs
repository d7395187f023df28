// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Route`] and [`Loaded`]: which session a step needs from the store, and its rows.

use super::error::{OpenError, Refusal, SealError};
use super::index::{OpeningOf, SessionAt};
use super::sweep::SweepResult;
use super::{Messenger, PeerId};
use crate::durable::{AsyncStore, MessageId, Row, Store, message_id};
use crate::primitives::Primitives;
use crate::session::opening_id;
use crate::snapshot::Subject;
use crate::time::UnixSeconds;
use crate::wire::{is_first_message, routing_tag};
use alloc::vec::Vec;
use core::fmt;

/// What a step needs from the store: the rows of one session, or nothing.
///
/// [`load`](Self::load) fetches them. An application that keeps rows elsewhere passes them to
/// [`loaded`](Self::loaded).
#[must_use = "load what the step needs"]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Route {
    target: Target,
    session: Option<Subject>,
}

/// What [`Route::load`] has fetched.
#[must_use = "pass it to the step that it was loaded for"]
pub struct Loaded {
    pub(super) target: Target,
    pub(super) rows: Vec<Row>,
}

/// For which step something was loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Opening this message on a session.
    OpenOn(MessageId, SessionAt),
    /// Opening this message as the first of a new session.
    Accept(MessageId),
    /// Sealing on a session.
    SealOn(SessionAt),
    /// Sealing for a peer with which there is no session.
    SealNew(PeerId),
}

impl Route {
    /// Returns the subject whose rows are needed, if any are.
    #[must_use]
    pub const fn subject(&self) -> Option<&Subject> {
        self.session.as_ref()
    }

    /// Returns the peer to whom the message seems to belong. It is a hint, and authenticates nothing.
    #[must_use]
    pub const fn peer(&self) -> Option<PeerId> {
        match &self.target {
            Target::OpenOn(_, at) | Target::SealOn(at) => Some(at.peer),
            Target::SealNew(peer) => Some(*peer),
            Target::Accept(_) => None,
        }
    }

    /// Returns the id of the session that is needed, if one is; see [`Session::id`](crate::Session::id).
    #[must_use]
    pub const fn session(&self) -> Option<[u8; 32]> {
        match &self.target {
            Target::OpenOn(_, at) | Target::SealOn(at) => Some(at.session),
            Target::SealNew(_) | Target::Accept(_) => None,
        }
    }

    /// Loads the rows.
    ///
    /// # Errors
    /// The store's own error.
    pub fn load<S: Store>(self, store: &mut S) -> Result<Loaded, S::Error> {
        let rows = self.session.as_ref().map(|subject| store.load(subject)).transpose()?;
        Ok(self.loaded(rows.unwrap_or_default()))
    }

    /// Does the same with a store whose operations are futures.
    ///
    /// # Errors
    /// The store's own error.
    pub async fn load_async<S: AsyncStore>(self, store: &mut S) -> Result<Loaded, S::Error> {
        let rows = match &self.session {
            Some(subject) => store.load(subject).await?,
            None => Vec::new(),
        };
        Ok(self.loaded(rows))
    }

    /// Takes the rows of [`subject`](Self::subject), which the caller has loaded. Without a subject, pass none.
    pub const fn loaded(self, rows: Vec<Row>) -> Loaded {
        Loaded { target: self.target, rows }
    }
}

impl<P: Primitives> Messenger<P> {
    /// Finds the session to which a message belongs. Nothing is opened, and nothing is loaded: it costs a hash of the
    /// message and a look-up. Only for a message whose tag nobody expects the header keys of all sessions are tried, within
    /// [bounds](super::policy::SWEEPS_A_MINUTE).
    ///
    /// # Errors
    /// [`OpenError`], for what can be said without the session: the message was opened before, or belongs to no session,
    /// or is deferred.
    ///
    /// # Leaks
    /// Whether the tag is known; if it is not, the number of sessions, and how recently the message's session was heard.
    pub fn route(&mut self, message: &[u8], now: UnixSeconds) -> Result<Route, OpenError> {
        self.check_step()?;
        let id = message_id(message);
        if self.index.is_opened(&id) {
            return Err(self.refuse(Refusal::AlreadyOpened, id, None));
        }
        let Ok(is_first) = is_first_message(message) else {
            return Err(self.refuse(Refusal::Damaged, id, None));
        };
        // A first message is for the session that it has begun, or begins one. It is never tried on another.
        let at = if is_first {
            match opening_id(message).map(|opening| self.index.by_opening(&opening)) {
                None => return Err(self.refuse(Refusal::Damaged, id, None)),
                Some(None) => return Ok(Route { target: Target::Accept(id), session: None }),
                Some(Some(OpeningOf::Ended)) => return Err(self.refuse(Refusal::SessionEnded, id, None)),
                Some(Some(OpeningOf::Session(at))) => Some(at),
            }
        } else {
            routing_tag(message).and_then(|tag| self.index.by_tag(&tag))
        };
        match at.map_or_else(|| self.sweep(message, now), SweepResult::Session) {
            SweepResult::Session(at) => Ok(self.route_to_session(Target::OpenOn(id, at), at)),
            SweepResult::None => Err(self.refuse(Refusal::NoSuchSession, id, None)),
            SweepResult::Unknown { until } => Err(OpenError::Deferred { until }),
        }
    }

    /// Returns which session is needed to send to a peer.
    ///
    /// # Errors
    /// [`SealError::UnknownPeer`].
    pub fn route_to(&self, peer: &PeerId) -> Result<Route, SealError> {
        let record = &self.peers.get(peer).ok_or(SealError::UnknownPeer)?.inner;
        Ok(match record.sending() {
            Some(session) => {
                let at = SessionAt { peer: *peer, session: session.id };
                self.route_to_session(Target::SealOn(at), at)
            }
            None => Route { target: Target::SealNew(*peer), session: None },
        })
    }

    pub(super) fn route_to_session(&self, target: Target, at: SessionAt) -> Route {
        Route { target, session: Some(self.subject().of_session(at.session)) }
    }
}

/// Shows neither a peer nor a session.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target: _, session } = self;
        f.debug_struct("Route").field("needs_session", &session.is_some()).finish_non_exhaustive()
    }
}

/// Shows the number of rows.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target: _, rows } = self;
        f.debug_struct("Loaded").field("rows", &rows.len()).finish_non_exhaustive()
    }
}
