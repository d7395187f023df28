// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exchange with an [`AsyncServer`].

use super::super::driver::Exchange;
use super::super::io::{Awaited, Futures};
use super::super::kept::Stored;
use super::super::peers::PeerId;
use super::super::steps::Sealed;
use super::{Answers, AsyncExchanged, AsyncServer, Connected, Event, Fetched};
use crate::durable::AsyncMailboxes;
use crate::payload::Payload;
use crate::primitives::{Primitives, RustCrypto};
use crate::time::UnixSeconds;
use core::future::{self, Future};
use rand_core::CryptoRng;

/// What shows the [`Event`]s of an exchange whose operations are futures, as the function does that
/// [`Connected::receive`] takes. `E` is the error of the [server](AsyncServer::Error). `()` shows nothing.
pub trait AsyncEvents<S, E, P: Primitives = RustCrypto> {
    /// Shows an event, or keeps it.
    fn show(&mut self, stored: &mut Stored<S, P>, event: Event<'_>) -> impl Future<Output = Result<(), E>> + Send;
}

impl<S, E: Send, P: Primitives> AsyncEvents<S, E, P> for () {
    fn show(&mut self, _: &mut Stored<S, P>, _: Event<'_>) -> impl Future<Output = Result<(), E>> + Send {
        future::ready(Ok(()))
    }
}

impl<S: AsyncMailboxes, P: Primitives + Sync> Stored<S, P> {
    /// Does what [`connect`](Self::connect) does.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_async<'a, V: AsyncServer<S>>(
        &'a mut self,
        server: &'a mut V,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> AsyncExchanged<Connected<'a, V, S, P>, V, S> {
        Exchange::<Futures, V, S, P>::of(self, server).connect(now, rng).await?;
        Ok(Connected { stored: self, server })
    }

    /// Does what [`restore_backup`](Self::restore_backup) does.
    ///
    /// # Errors
    /// As there.
    pub async fn restore_backup_async<V: AsyncServer<S>>(
        &mut self,
        server: &mut V,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> AsyncExchanged<(), V, S> {
        Exchange::<Futures, V, S, P>::of(self, server).restore_backup(now, rng).await
    }
}

impl<V: AsyncServer<S>, S: AsyncMailboxes, P: Primitives + Sync> Connected<'_, V, S, P> {
    /// Does what [`flush`](Self::flush) does.
    ///
    /// # Errors
    /// As there.
    pub async fn flush_async(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl AsyncEvents<S, V::Error, P>,
    ) -> AsyncExchanged<(), V, S> {
        self.exchange::<Futures>().flush(now, rng, &mut Awaited(events)).await
    }

    /// Does what [`send`](Self::send) does.
    ///
    /// # Errors
    /// As there.
    pub async fn send_async<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl AsyncEvents<S, V::Error, P>,
    ) -> AsyncExchanged<Sealed, V, S> {
        self.exchange::<Futures>().send(peer, payload.into(), now, rng, &mut Awaited(events)).await
    }

    /// Does what [`receive`](Self::receive) does.
    ///
    /// # Errors
    /// As there.
    pub async fn receive_async(
        &mut self,
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl AsyncEvents<S, V::Error, P>,
    ) -> AsyncExchanged<Fetched, V, S> {
        let Self { stored, server } = self;
        Exchange::<Futures, V, S, P>::of(stored, server).receive(answers, now, rng, &mut Awaited(events)).await
    }
}
