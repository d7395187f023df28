// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom a name means: the server is the directory, and a name that a message claims is none.

use super::error::PeerError;
use super::exchange::{Connected, ExchangeError, ExchangeFailed, Server};
use super::failed::Failed;
use super::peers::PeerId;
use crate::durable::Mailboxes;
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use rand_core::CryptoRng;

impl<V: Server<S>, S: Mailboxes, P: Primitives> Connected<'_, V, S, P> {
    /// Returns the peer of this name, to write to. If there is none, the server says which identity the account of this
    /// name has: a stranger who has written gets the name then, or else a peer with this identity is added. So a stranger
    /// who claims the name does not get it, and no prekey is used up.
    ///
    /// # Errors
    /// [`ExchangeFailed`]: [`PeerError::UnknownPeer`] if the server has no such account, and [`PeerError::Taken`] if the
    /// account's identity is that of a peer with another name.
    ///
    /// # Security
    /// A server that lies names another identity. Compare [safety numbers](super::Messenger::safety_number).
    pub fn peer_of_account(
        &mut self,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerId, ExchangeFailed<V::Error, S::Error>> {
        self.stored().refresh(rng).map_err(Failed::Load)?;
        if let Some(peer) = self.stored().messenger().peer_named(name) {
            return Ok(peer.id);
        }
        let identity = self.server().identity(name).map_err(|error| Failed::Step(ExchangeError::Server(error)))?;
        let identity = identity.ok_or(Failed::Step(ExchangeError::Peer(PeerError::UnknownPeer)))?;
        let stored = self.stored();
        let stranger = stored.messenger().peer_of(&identity).filter(|peer| peer.name.is_empty()).map(|peer| peer.id);
        let found = match stranger {
            Some(stranger) => stored.name_peer(&stranger, name, now, rng).map(|()| stranger),
            None => {
                stored.step(now, rng, |messenger, _, rng| Ok(messenger.add_peer(name, Some(&identity), now, rng)?))
            }
        };
        match (found, self.stored().messenger().peer_named(name)) {
            // Another process has added it meanwhile.
            (Err(Failed::Step(PeerError::Taken)), Some(peer)) => Ok(peer.id),
            (found, _) => found.map_err(|error| error.map(ExchangeError::Peer)),
        }
    }
}
