// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom a name means: the server is the directory, and a name that a message claims is none.

use super::driver::{self, Exchange};
use super::error::PeerError;
use super::exchange::{AsyncServer, Connected, ExchangeError, ExchangeFailed, Server, failed};
use super::failed::Failed;
use super::io::{self, Blocking, Futures, MailboxIo, ServerIo};
use super::peers::PeerId;
use crate::durable::{AsyncMailboxes, Mailboxes};
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use rand_core::CryptoRng;

impl<M: MailboxIo<S> + ServerIo<V, S, P>, V, S, P: Primitives> Exchange<'_, M, V, S, P> {
    async fn peer_of_account(
        &mut self,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> driver::Exchanged<PeerId, M, V, S, P> {
        let Self { driver, server } = self;
        driver.refresh(rng).await.map_err(Failed::Load)?;
        if let Some(peer) = driver.stored.messenger.peer_named(name) {
            return Ok(peer.id);
        }
        let identity = M::identity(server, name).await.map_err(failed)?;
        let identity = identity.ok_or(Failed::Step(ExchangeError::Peer(PeerError::UnknownPeer)))?;
        let same = driver.stored.messenger.peer_of(&identity);
        let stranger = same.filter(|peer| peer.name.is_empty()).map(|peer| peer.id);
        let found = match stranger {
            Some(stranger) => driver.name_peer(&stranger, name, now, rng).await.map(|()| stranger),
            None => driver.step(now, rng, |messenger, rng| messenger.add_peer(name, Some(&identity), now, rng)).await,
        };
        match (found, driver.stored.messenger.peer_named(name)) {
            // Another process has added it meanwhile.
            (Err(Failed::Step(PeerError::Taken)), Some(peer)) => Ok(peer.id),
            (found, _) => found.map_err(|error| error.map(ExchangeError::Peer)),
        }
    }
}

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
        io::completed(self.exchange::<Blocking>().peer_of_account(name, now, rng))
    }
}

impl<V: AsyncServer<S>, S: AsyncMailboxes, P: Primitives + Sync> Connected<'_, V, S, P> {
    /// Does what [`peer_of_account`](Self::peer_of_account) does.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Security
    /// As there.
    pub async fn peer_of_account_async(
        &mut self,
        name: &[u8],
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerId, ExchangeFailed<V::Error, S::Error>> {
        self.exchange::<Futures>().peer_of_account(name, now, rng).await
    }
}
