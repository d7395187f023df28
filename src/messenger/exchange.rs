// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conversation of a [`Stored`] messenger with a server: logging in, prekeys, sending and receiving, in the one order
//! in which nothing is lost. The application implements [`Server`], which moves bytes, and shows [`Event`]s.
//!
//! There is no clock, no task and no connection in here: every method returns when the server's methods that it calls
//! have returned, and calls them a bounded number of times. To receive at once what a server announces, call
//! [`Connected::receive`] again.
//!
//! The methods with the suffix `_async` do the same over an [`AsyncServer`] and an
//! [`AsyncMailboxes`](crate::durable::AsyncMailboxes), and return when their futures are complete.

mod answers;
mod asynchronous;
mod error;
mod reception;
mod server;

pub use answers::Answers;
pub(super) use answers::is_to;
pub use asynchronous::AsyncEvents;
pub use error::{AsyncExchanged, ExchangeError, ExchangeFailed, Exchanged};
pub(super) use error::{converted, failed, waiting};
pub(super) use reception::Reception;
pub use reception::{Fetched, LEFT_AT_ONCE, RECEIVED_AT_ONCE};
pub use server::{AsyncServer, Delivery, Server};

use super::driver::Exchange;
use super::error::Refused;
use super::io::{self, Blocking, Called};
use super::kept::Stored;
use super::peers::PeerId;
use super::sealing::Outgoing;
use super::steps::Sealed;
use crate::durable::{InboxMessage, Mailboxes, OutboxMessage};
use crate::payload::Payload;
use crate::primitives::{Primitives, RustCrypto};
use crate::snapshot::Subject;
use crate::time::UnixSeconds;
use core::fmt;
use rand_core::CryptoRng;

/// The [lock](Mailboxes::exclusively) under which a process logs in. An application that opens an account takes it, too,
/// from [`Stored::maintain`] to the end of the upload.
pub const LOGIN: &str = "login";
/// The lock under which a process sends.
pub(super) const OUTBOX: &str = "outbox";
/// The lock under which a process shows what is in the inbox, and takes it.
pub(super) const INBOX: &str = "inbox";
/// Number of messages of the outbox in memory.
pub(super) const AT_ONCE: usize = 64;

/// Why a message was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// The user sends it.
    Payload,
    /// It asks the peer for an answer, before the message of the user.
    Probe,
    /// It answers the peer's message.
    Answer,
    /// It says that the peer's message did not open.
    Receipt,
}

/// What an application shows, or keeps. It is saved already.
///
/// It is shown while the exchange has a lock of the store: other processes wait. Show it and return; ask the user after the
/// exchange.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message was opened. It is in the inbox, and is taken from it after this. An application that keeps it in tables
    /// of the same database does both in one transaction here. A [control](InboxMessage::control) is not shown as a
    /// message.
    Received(&'a InboxMessage),
    /// A [stranger](super::Opened::evicted) was evicted, with everything that the store has of it. Not shown if the process
    /// ended, or the commit was unknown, after it was saved: the stranger is then missing among the peers.
    Evicted(PeerId),
    /// A message does not open. It is removed from the server.
    Refused(&'a Refused),
    /// A message stays at the server until this time.
    Deferred(UnixSeconds),
    /// A message stays at the server because the stored rows of its session are [damaged](super::Mail::Damaged).
    Damaged {
        /// With whom the session is.
        peer: PeerId,
        /// The session, by its name in the store.
        session: Subject,
    },
    /// A message is in the outbox.
    Sealed(Purpose, &'a Outgoing),
    /// The server has taken a message.
    Sent(&'a OutboxMessage),
    /// The server has not taken a message.
    Undelivered(&'a OutboxMessage, Delivery),
    /// Another identity has the account of this peer now, says the server. Nothing is sent to it, and what is in the outbox
    /// waits, before the user [accepts](Stored::accept) or [rejects](Stored::reject) that.
    Claimed(PeerId),
}

/// A messenger that has logged in: that the store was not put back is as certain as it can be. Only it can send and
/// receive.
#[must_use = "it sends and receives"]
pub struct Connected<'a, V, S, P: Primitives = RustCrypto> {
    stored: &'a mut Stored<S, P>,
    server: &'a mut V,
}

impl<S: Mailboxes, P: Primitives> Stored<S, P> {
    /// Logs in, and does what is due each day: exchanges the login nonce, has unknown prekeys withdrawn, and uploads
    /// those that are due.
    ///
    /// If several processes use the store, one at a time connects, by a [lock](Mailboxes::exclusively) of the store.
    ///
    /// # Errors
    /// [`ExchangeFailed`]. A suspicion is saved. What an error of the connection leaves undone, the next call does.
    pub fn connect<'a, V: Server<S>>(
        &'a mut self,
        server: &'a mut V,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Exchanged<Connected<'a, V, S, P>, V, S> {
        io::completed(Exchange::<Blocking, V, S, P>::of(self, server).connect(now, rng))?;
        Ok(Connected { stored: self, server })
    }

    /// Renews the messenger after its store was put back: has the server withdraw every one-time prekey, and replaces
    /// every session. [`connect`](Self::connect) then. One process at a time does either.
    ///
    /// # Errors
    /// [`ExchangeFailed`]. Repeat it then.
    pub fn restore_backup<V: Server<S>>(
        &mut self,
        server: &mut V,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Exchanged<(), V, S> {
        io::completed(Exchange::<Blocking, V, S, P>::of(self, server).restore_backup(now, rng))
    }
}

impl<V, S, P: Primitives> Connected<'_, V, S, P> {
    /// Returns the messenger with its store, for other steps.
    pub const fn stored(&mut self) -> &mut Stored<S, P> {
        self.stored
    }

    /// Returns the server.
    pub const fn server(&mut self) -> &mut V {
        self.server
    }

    pub(super) const fn exchange<M>(&mut self) -> Exchange<'_, M, V, S, P> {
        Exchange::of(self.stored, self.server)
    }
}

impl<V: Server<S>, S: Mailboxes, P: Primitives> Connected<'_, V, S, P> {
    /// Sends what is in the outbox, oldest first. What the server refuses concerns one peer only.
    ///
    /// # Errors
    /// [`ExchangeFailed`]: the connection has failed, or the store, or `event`.
    pub fn flush(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        event: impl FnMut(&mut Stored<S, P>, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<(), V, S> {
        io::completed(self.exchange::<Blocking>().flush(now, rng, &mut Called(event)))
    }

    /// Seals a payload for a peer, from a fetched bundle if a new session is needed, and sends the outbox.
    ///
    /// # Errors
    /// [`ExchangeFailed`]. If it is [`ExchangeError::Seal`] or [`ExchangeError::Server`], the message was not sealed, and the
    /// outbox was not sent. If it is [`ExchangeError::Waiting`], it is in the outbox: do not send it again. After an error of
    /// the store it may be there: [`Event::Sealed`] has said so, unless the commit had an unknown result.
    pub fn send<'p>(
        &mut self,
        peer: &PeerId,
        payload: impl Into<Payload<'p>>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        event: impl FnMut(&mut Stored<S, P>, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<Sealed, V, S> {
        io::completed(self.exchange::<Blocking>().send(peer, payload.into(), now, rng, &mut Called(event)))
    }

    /// Sends the outbox, fetches mail until nothing new comes, and sends the outbox again. Each message is opened and
    /// saved, then shown, then acknowledged to the server. What an earlier process has left in the inbox is shown first.
    /// After [`RECEIVED_AT_ONCE`] messages, or [`LEFT_AT_ONCE`] that stay at the server, it sends the outbox and returns
    /// [`Fetched::More`]. The next call of this `Stored` continues after those that stay. A call that has fetched all lets
    /// the next one begin with the oldest again.
    ///
    /// `answers` says what is sent to peers whose messages [ask for an answer](super::Opened::should_answer), and to the
    /// authors of messages that do not open.
    ///
    /// # Errors
    /// [`ExchangeFailed`].
    pub fn receive(
        &mut self,
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        event: impl FnMut(&mut Stored<S, P>, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<Fetched, V, S> {
        let Self { stored, server } = self;
        io::completed(Exchange::<Blocking, V, S, P>::of(stored, server).receive(answers, now, rng, &mut Called(event)))
    }
}

/// Shows counts only.
impl<V, S, P: Primitives> fmt::Debug for Connected<'_, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, server: _ } = self;
        f.debug_tuple("Connected").field(stored).finish()
    }
}
