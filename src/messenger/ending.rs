// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ending one session, because its rows are damaged or the user asks for it. Others with the peer stay.

use super::error::PeerError;
use super::{Messenger, PeerId, Step};
use crate::durable::{Progress, Unsaved};
use crate::primitives::Primitives;
use crate::time::UnixSeconds;

impl<P: Primitives> Messenger<P> {
    /// Ends a session with a peer: the step deletes its rows. Its mail on the way is lost. If messages were sent on it, the
    /// next one to the peer demands a new session, for the reason [`Abandoned`](super::NewSession::Abandoned).
    ///
    /// It is the remedy if a session's rows are damaged or gone, so that opening and sealing return
    /// [`OpenError::Stored`](super::OpenError::Stored) and [`SealError::Stored`](super::SealError::Stored), and loading the
    /// messenger again does not help. Acknowledge the message that did not open when the step is saved.
    ///
    /// # Errors
    /// [`PeerError`]; nothing has changed. [`UnknownSession`](PeerError::UnknownSession) if the peer has no such session.
    pub fn end_session(
        &mut self,
        peer: &PeerId,
        session: &[u8; 32],
        reading: UnixSeconds,
    ) -> Result<Unsaved<'_, ()>, PeerError> {
        if !self.is_saved() {
            return Err(PeerError::NotSaved);
        }
        let record = &mut self.peers.get_mut(peer).ok_or(PeerError::UnknownPeer)?.inner;
        let at = record.sessions.iter().position(|of| of.id == *session).ok_or(PeerError::UnknownSession)?;
        self.progress = Progress::Stepping;
        // Nothing is sent on a session that this one has replaced.
        record.note_abandoned(session);
        let ended = record.sessions.swap_remove(at);
        let mut step = Step { ended: [record.subject.of_session(ended.id)].into(), ..Step::default() };
        self.index.remove_session(&ended);
        self.read_clock(reading);
        let now = self.time(reading);
        if let Some(opening) = ended.opening_id
            && let Some(record) = self.peers.get_mut(peer).map(|peer| &mut peer.inner)
        {
            record.ended_openings.push((opening, now));
            self.index.end_opening(opening);
        }
        self.end_sessions(*peer, None, now, &mut step);
        Ok(self.hand_out((), step, reading))
    }
}
