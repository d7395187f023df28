// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conversation of a [`Stored`] messenger with a server: logging in, prekeys, sending and receiving, in the one order
//! in which nothing is lost. The application implements [`Server`], which moves bytes, and shows [`Event`]s.
//!
//! There is no clock, no task and no connection in here: every method returns when the server's methods that it calls
//! have returned, and calls them a bounded number of times. To receive at once what a server announces, call
//! [`Connected::receive`] again.

mod answers;
mod error;
mod reception;
mod server;

pub use answers::Answers;
pub(super) use answers::is_to;
pub use error::{ExchangeError, ExchangeFailed, Exchanged};
pub use reception::{Fetched, RECEIVED_AT_ONCE};
pub use server::{Delivery, Server};

use super::error::{PeerError, Refusal, Refused};
use super::failed::Failed;
use super::kept::Stored;
use super::peers::PeerId;
use super::sealing::Outgoing;
use super::steps::{Mail, Sealed, Upkeep};
use crate::durable::{InboxMessage, Mailboxes, OutboxMessage};
use crate::payload::Payload;
use crate::primitives::{Primitives, RustCrypto};
use crate::snapshot::Subject;
use crate::time::UnixSeconds;
use crate::wire::is_first_message;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use error::{converted, failed, waiting};
use rand_core::CryptoRng;
use reception::Reception;

/// The [lock](Mailboxes::exclusively) under which a process logs in. An application that opens an account takes it, too,
/// from [`Stored::maintain`] to the end of the upload.
pub const LOGIN: &str = "login";
/// The lock under which a process sends.
pub(super) const OUTBOX: &str = "outbox";
/// The lock under which a process shows what is in the inbox, and takes it.
const INBOX: &str = "inbox";
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
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message was opened. It is in the inbox, and is taken from it after this. An application that keeps it in tables
    /// of the same database does both in one transaction here. A [control](InboxMessage::control) is not shown as a
    /// message.
    Received(&'a InboxMessage),
    /// A [stranger](super::Opened::evicted) was evicted, with everything that the store has of it.
    Evicted(PeerId),
    /// A message does not open. It is removed from the server.
    Refused(&'a Refused),
    /// A message stays at the server until this time.
    Deferred(UnixSeconds),
    /// A message stays at the server because the stored rows of its session are [damaged](Mail::Damaged).
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
    /// After which number the next mail is fetched, if the last call has left some.
    after: Option<u64>,
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
        // The server learns of nonces and prekeys in the order in which they are saved.
        let _lock = self.store.exclusively(LOGIN).map_err(Failed::unread)?;
        let nonce = server.log_in(&mut |challenge| self.messenger.sign_login(challenge)).map_err(failed)?;
        let offered = self.login(nonce.as_ref(), now, rng).map_err(converted)?;
        server.set_nonce(&offered).map_err(failed)?;
        let listed = server.prekeys().map_err(failed)?;
        let Upkeep { withdraw, publication } = self.maintain(&listed, now, rng).map_err(converted)?;
        if !withdraw.is_empty() {
            server.withdraw(&withdraw).map_err(failed)?;
        }
        server.publish(&publication).map_err(failed)?;
        self.published(&publication, now, rng).map_err(converted)?;
        Ok(Connected { stored: self, server, after: None })
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
        // Another process may be uploading prekeys, which are old ones from then on.
        let _lock = self.store.exclusively(LOGIN).map_err(Failed::unread)?;
        // Only the session at the server is needed: a suspect messenger does not exchange its nonce.
        let _ = server.log_in(&mut |challenge| self.messenger.sign_login(challenge)).map_err(failed)?;
        let listed = server.prekeys().map_err(failed)?;
        server.withdraw(&listed).map_err(failed)?;
        self.renew(now, rng).map_err(converted)?;
        Ok(())
    }
}

impl<S: Mailboxes, P: Primitives> Stored<S, P> {
    /// Shows what is in the inbox, answers what asks for it, and takes it.
    fn show<V: Server<S>>(
        &mut self,
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        event: &mut impl FnMut(&mut Self, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<(), V, S> {
        // Another process would show the same message before it is taken.
        let _lock = self.store.exclusively(INBOX).map_err(Failed::unread)?;
        for message in self.store.inbox(usize::MAX).map_err(Failed::unread)? {
            event(self, Event::Received(&message)).map_err(failed)?;
            let author = message.peer.as_ref().and_then(PeerId::from_subject);
            if let Some(author) = author.filter(|_| message.flags.should_answer && answers.are_sent())
                && let Some(sealed) = self.answer(&author, answers.payload(), now, rng).map_err(converted)?
            {
                event(self, Event::Sealed(Purpose::Answer, &sealed)).map_err(failed)?;
            }
            self.store.take(&message.message_id).map_err(Failed::unread)?;
        }
        Ok(())
    }

    /// Opens a message, and shows it. Returns whether the server is to delete it.
    fn open_and_show<V: Server<S>>(
        &mut self,
        message: &[u8],
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        event: &mut impl FnMut(&mut Self, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<bool, V, S> {
        match self.open(message, now, rng).map_err(converted)? {
            Mail::Deferred { until } => {
                event(self, Event::Deferred(until)).map_err(failed)?;
                return Ok(false);
            }
            Mail::Damaged { peer, session } => {
                event(self, Event::Damaged { peer, session }).map_err(failed)?;
                return Ok(false);
            }
            Mail::Opened(opened) => {
                if let Some(evicted) = opened.evicted {
                    event(self, Event::Evicted(evicted)).map_err(failed)?;
                }
                self.show::<V>(answers, now, rng, event)?;
            }
            Mail::Refused(refused) => {
                // An earlier commit, whose result did not arrive, may have opened it, or another process.
                if refused.reason == Refusal::AlreadyOpened {
                    self.show::<V>(answers, now, rng, event)?;
                }
                event(self, Event::Refused(&refused)).map_err(failed)?;
                if answers.are_sent()
                    && let Some(sealed) = self.report(&refused, now, rng).map_err(converted)?
                {
                    event(self, Event::Sealed(Purpose::Receipt, &sealed)).map_err(failed)?;
                }
            }
        }
        Ok(true)
    }

    /// Removes a message from the outbox. Returns whether it was there.
    fn acknowledge<E>(&mut self, message: &OutboxMessage) -> Result<bool, Failed<E, S::Error>> {
        self.store.acknowledge(&message.message_id).map_err(Failed::unread)
    }
}

impl<V: Server<S>, S: Mailboxes, P: Primitives> Connected<'_, V, S, P> {
    /// Returns the messenger with its store, for other steps.
    pub const fn stored(&mut self) -> &mut Stored<S, P> {
        self.stored
    }

    /// Returns the server.
    pub const fn server(&mut self) -> &mut V {
        self.server
    }

    /// Sends what is in the outbox, oldest first. What the server refuses concerns one peer only.
    ///
    /// # Errors
    /// [`ExchangeFailed`]: the connection has failed, or the store, or `event`.
    pub fn flush(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        mut event: impl FnMut(&mut Stored<S, P>, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<(), V, S> {
        let Self { stored, server, .. } = self;
        // The peers whose messages wait, so that they arrive in their order.
        let mut waiting = BTreeMap::new();
        let _lock = stored.store.exclusively(OUTBOX).map_err(Failed::unread)?;
        stored.refresh(rng).map_err(Failed::Load)?;
        let mut after = None;
        loop {
            let messages = stored.store.outbox_after(after, AT_ONCE).map_err(Failed::unread)?;
            let Some(last) = messages.last() else { return Ok(()) };
            after = Some(last.position);
            for message in messages {
                let peer = message.peer.as_ref().and_then(PeerId::from_subject);
                let is_first = is_first_message(&message.message).unwrap_or_default();
                // A first message needs no access key.
                let waits =
                    |peer: &PeerId| waiting.get(peer).is_some_and(|at| *at != Delivery::KeyRefused || !is_first);
                let Some(peer) = peer.filter(|peer| !waits(peer)) else { continue };
                // What is sealed for a device that may be gone waits for the user's decision.
                let to = stored.messenger.peer(&peer).filter(|peer| peer.claimed.is_none());
                let Some(to) = to else { continue };
                let delivery = server.deliver(&mut stored.store, &to, &message).map_err(failed)?;
                match delivery {
                    // Another process may have sent it at the same time, and shown that.
                    Delivery::Taken if !stored.acknowledge(&message)? => {}
                    Delivery::Taken => event(stored, Event::Sent(&message)).map_err(failed)?,
                    Delivery::Never => {
                        event(stored, Event::Undelivered(&message, delivery)).map_err(failed)?;
                        stored.acknowledge(&message)?;
                    }
                    Delivery::Later | Delivery::KeyRefused | Delivery::OtherIdentity => {
                        let is_later = delivery == Delivery::Later;
                        let account = match is_later {
                            true => AccountOf::Peer,
                            false => Self::compare(stored, server, &peer, now, rng)?,
                        };
                        // A new access key is of no use then.
                        let is_other = account != AccountOf::Peer;
                        let delivery = if is_other { Delivery::OtherIdentity } else { delivery };
                        waiting.insert(peer, delivery);
                        if !is_later && !is_other && !is_first {
                            stored.messenger.note_access_refused(&peer);
                            // If another process has saved a step, the next time notes it.
                            if stored.save_notes(now)? && message.is_control {
                                // It is of use on its session only, and the next message begins another one.
                                stored.acknowledge(&message)?;
                                continue;
                            }
                        }
                        event(stored, Event::Undelivered(&message, delivery)).map_err(failed)?;
                        if account == AccountOf::Claimant {
                            event(stored, Event::Claimed(peer)).map_err(failed)?;
                        }
                    }
                }
            }
        }
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
        mut event: impl FnMut(&mut Stored<S, P>, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<Sealed, V, S> {
        let Self { stored, server, .. } = self;
        stored.refresh(rng).map_err(Failed::Load)?;
        let wanted = stored.messenger.needs_bundle(peer, now).map_err(|error| Failed::Step(error.into()))?;
        let bundle = match stored.messenger.peer(peer).filter(|_| wanted.is_some()) {
            Some(peer) => server.bundle(peer.name).map_err(failed)?,
            None => None,
        };
        let sealed = stored.seal(peer, payload, bundle, now, rng).map_err(converted)?;
        if let Some(probe) = &sealed.probe {
            event(stored, Event::Sealed(Purpose::Probe, probe)).map_err(failed).map_err(waiting)?;
        }
        event(stored, Event::Sealed(Purpose::Payload, &sealed.outgoing)).map_err(failed).map_err(waiting)?;
        self.flush(now, rng, event).map_err(waiting)?;
        Ok(sealed)
    }

    /// Sends the outbox, fetches mail until nothing new comes, and sends the outbox again. Each message is opened and
    /// saved, then shown, then acknowledged to the server. What an earlier process has left in the inbox is shown first.
    /// After [`RECEIVED_AT_ONCE`] messages it sends the outbox, and returns [`Fetched::More`].
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
        mut event: impl FnMut(&mut Stored<S, P>, Event<'_>) -> Result<(), V::Error>,
    ) -> Exchanged<Fetched, V, S> {
        self.stored.show::<V>(answers, now, rng, &mut event)?;
        self.flush(now, rng, &mut event)?;
        let mut reception = Reception::beginning(self.after.take());
        loop {
            let (mut done, before) = (Vec::new(), reception.len());
            for (number, message) in self.server.mail(reception.after()).map_err(failed)? {
                if !reception.admits(number) {
                    continue;
                }
                match self.stored.open_and_show::<V>(&message, answers, now, rng, &mut event)? {
                    true => done.push(number),
                    false => reception.leave(number),
                }
            }
            if !done.is_empty() {
                self.server.acknowledge(&done).map_err(failed)?;
            }
            if reception.is_full() || reception.len() == before {
                break;
            }
        }
        let fetched;
        (fetched, self.after) = reception.end();
        self.flush(now, rng, event)?;
        Ok(fetched)
    }

    /// Compares the identity that the server has for a peer with the pinned one. If it is another one, it claims to be the
    /// peer from now on.
    fn compare(
        stored: &mut Stored<S, P>,
        server: &mut V,
        peer: &PeerId,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Exchanged<AccountOf, V, S> {
        let Some(record) = stored.messenger.peer(peer) else { return Ok(AccountOf::Peer) };
        let Some(identity) = server.identity(record.name).map_err(failed)? else { return Ok(AccountOf::Peer) };
        if record.identity.is_none_or(|pinned| pinned.keys() == identity.keys()) {
            return Ok(AccountOf::Peer);
        }
        match stored.claim_identity(peer, &identity, now, rng) {
            Ok(()) => Ok(AccountOf::Claimant),
            // It is another peer's, or the user has rejected it.
            Err(Failed::Step(PeerError::Taken | PeerError::Rejected)) => Ok(AccountOf::Other),
            Err(Failed::Step(_)) => Ok(AccountOf::Peer),
            Err(Failed::Save(error)) => Err(Failed::Save(error)),
            Err(Failed::Load(error)) => Err(Failed::Load(error)),
        }
    }
}

/// Who has the account of a peer, says the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AccountOf {
    /// The peer, as far as is known.
    Peer,
    /// Another identity, about which the user decides.
    Claimant,
    /// Another identity, which does not claim to be the peer.
    Other,
}

/// Shows counts only.
impl<V, S, P: Primitives> fmt::Debug for Connected<'_, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, server: _, after: _ } = self;
        f.debug_tuple("Connected").field(stored).finish()
    }
}
