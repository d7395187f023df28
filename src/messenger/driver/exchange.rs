// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exchange with a server, each of whose parts is documented at its method of [`Stored`](super::Stored) or
//! [`Connected`](crate::messenger::exchange::Connected).

use super::Driver;
use crate::durable::{Exclusive, OutboxMessage};
use crate::messenger::error::{PeerError, Refusal};
use crate::messenger::exchange::{
    AT_ONCE, Answers, Delivery, Event, ExchangeError, Fetched, INBOX, LOGIN, OUTBOX, Purpose, Reception, converted,
    failed, waiting,
};
use crate::messenger::failed::Failed;
use crate::messenger::io::{EventIo, MailboxIo, ServerIo, StoreIo};
use crate::messenger::kept::{OutboxLock, Stored};
use crate::messenger::peers::PeerId;
use crate::messenger::steps::{Mail, Sealed, Upkeep};
use crate::payload::Payload;
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use crate::wire::is_first_message;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use rand_core::CryptoRng;

/// A stored messenger and a server.
pub(in crate::messenger) struct Exchange<'a, M, V, S, P: Primitives> {
    pub(in crate::messenger) driver: Driver<'a, M, S, P>,
    pub(in crate::messenger) server: &'a mut V,
}

/// The outcome of an exchange.
pub(in crate::messenger) type Exchanged<T, M, V, S, P> =
    Result<T, Failed<ExchangeError<<M as ServerIo<V, S, P>>::ServerError>, <M as StoreIo<S>>::Error>>;

/// An exchange that delivers, and has the lock of the outbox. An event function may [accept](Stored::accept) an identity,
/// which wants the same lock: two locks of one store would wait for each other forever.
struct HoldsOutbox<'e, 'a, M, V, S, P: Primitives> {
    exchange: &'e mut Exchange<'a, M, V, S, P>,
    _lock: Exclusive,
}

impl<'e, 'a, M, V, S, P: Primitives> HoldsOutbox<'e, 'a, M, V, S, P> {
    const fn new(exchange: &'e mut Exchange<'a, M, V, S, P>, lock: Exclusive) -> Self {
        exchange.driver.stored.outbox = OutboxLock::Held;
        Self { exchange, _lock: lock }
    }
}

impl<'a, M, V, S, P: Primitives> Deref for HoldsOutbox<'_, 'a, M, V, S, P> {
    type Target = Exchange<'a, M, V, S, P>;

    fn deref(&self) -> &Self::Target {
        self.exchange
    }
}

impl<M, V, S, P: Primitives> DerefMut for HoldsOutbox<'_, '_, M, V, S, P> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.exchange
    }
}

impl<M, V, S, P: Primitives> Drop for HoldsOutbox<'_, '_, M, V, S, P> {
    fn drop(&mut self) {
        self.exchange.driver.stored.outbox = OutboxLock::Free;
    }
}

impl<'a, M, V, S, P: Primitives> Exchange<'a, M, V, S, P> {
    pub(in crate::messenger) const fn of(stored: &'a mut Stored<S, P>, server: &'a mut V) -> Self {
        Self { driver: Driver::of(stored), server }
    }
}

impl<M: MailboxIo<S> + ServerIo<V, S, P>, V, S, P: Primitives> Exchange<'_, M, V, S, P> {
    pub(in crate::messenger) async fn connect(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Exchanged<(), M, V, S, P> {
        let Self { driver, server } = self;
        // The server learns of nonces and prekeys in the order in which they are saved.
        let _lock = M::exclusively(&mut driver.stored.store, LOGIN).await.map_err(Failed::unread)?;
        let nonce = M::log_in(server, &driver.stored.messenger).await.map_err(failed)?;
        let offered = driver.login(nonce.as_ref(), now, rng).await.map_err(converted)?;
        M::set_nonce(server, &offered).await.map_err(failed)?;
        let listed = M::prekeys(server).await.map_err(failed)?;
        let Upkeep { withdraw, publication } = driver.maintain(&listed, now, rng).await.map_err(converted)?;
        if !withdraw.is_empty() {
            M::withdraw(server, &withdraw).await.map_err(failed)?;
        }
        M::publish(server, &publication).await.map_err(failed)?;
        driver.published(&publication, now, rng).await.map_err(converted)
    }

    pub(in crate::messenger) async fn restore_backup(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Exchanged<(), M, V, S, P> {
        let Self { driver, server } = self;
        // Another process may be uploading prekeys, which are old ones from then on.
        let _lock = M::exclusively(&mut driver.stored.store, LOGIN).await.map_err(Failed::unread)?;
        // Only the session at the server is needed: a suspect messenger does not exchange its nonce.
        let _ = M::log_in(server, &driver.stored.messenger).await.map_err(failed)?;
        let listed = M::prekeys(server).await.map_err(failed)?;
        M::withdraw(server, &listed).await.map_err(failed)?;
        driver.renew(now, rng).await.map_err(converted)?;
        Ok(())
    }

    /// Shows what is in the inbox, answers what asks for it, and takes it.
    async fn show(
        &mut self,
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl EventIo<S, P, M::ServerError>,
    ) -> Exchanged<(), M, V, S, P> {
        let driver = &mut self.driver;
        // Another process would show the same message before it is taken.
        let _lock = M::exclusively(&mut driver.stored.store, INBOX).await.map_err(Failed::unread)?;
        for message in M::inbox(&mut driver.stored.store, usize::MAX).await.map_err(Failed::unread)? {
            events.show(driver.stored, Event::Received(&message)).await.map_err(failed)?;
            let author = message.peer.as_ref().and_then(PeerId::from_subject);
            if let Some(author) = author.filter(|_| message.flags.should_answer && answers.are_sent())
                && let Some(sealed) = driver.answer(&author, answers.payload(), now, rng).await.map_err(converted)?
            {
                events.show(driver.stored, Event::Sealed(Purpose::Answer, &sealed)).await.map_err(failed)?;
            }
            M::take(&mut driver.stored.store, &message.message_id).await.map_err(Failed::unread)?;
        }
        Ok(())
    }

    /// Opens a message, and shows it. Returns whether the server is to delete it.
    async fn open_and_show(
        &mut self,
        message: &[u8],
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl EventIo<S, P, M::ServerError>,
    ) -> Exchanged<bool, M, V, S, P> {
        match self.driver.open(message, now, rng, |_| Vec::new()).await.map_err(converted)? {
            Mail::Deferred { until } => {
                events.show(self.driver.stored, Event::Deferred(until)).await.map_err(failed)?;
                return Ok(false);
            }
            Mail::Damaged { peer, session } => {
                events.show(self.driver.stored, Event::Damaged { peer, session }).await.map_err(failed)?;
                return Ok(false);
            }
            Mail::Opened(opened) => {
                if let Some(evicted) = opened.evicted {
                    events.show(self.driver.stored, Event::Evicted(evicted)).await.map_err(failed)?;
                }
                self.show(answers, now, rng, events).await?;
            }
            Mail::Refused(refused) => {
                // An earlier commit, whose result did not arrive, may have opened it, or another process.
                if refused.reason == Refusal::AlreadyOpened {
                    self.show(answers, now, rng, events).await?;
                }
                events.show(self.driver.stored, Event::Refused(&refused)).await.map_err(failed)?;
                if answers.are_sent()
                    && let Some(sealed) = self.driver.report(&refused, now, rng).await.map_err(converted)?
                {
                    let sealed = Event::Sealed(Purpose::Receipt, &sealed);
                    events.show(self.driver.stored, sealed).await.map_err(failed)?;
                }
            }
        }
        Ok(true)
    }

    /// Removes a message from the outbox. Returns whether it was there.
    async fn acknowledge(&mut self, message: &OutboxMessage) -> Exchanged<bool, M, V, S, P> {
        let store = &mut self.driver.stored.store;
        <M as MailboxIo<S>>::acknowledge(store, &message.message_id).await.map_err(Failed::unread)
    }

    pub(in crate::messenger) async fn flush(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl EventIo<S, P, M::ServerError>,
    ) -> Exchanged<(), M, V, S, P> {
        // The peers whose messages wait, so that they arrive in their order.
        let mut held = BTreeMap::new();
        let lock = M::exclusively(&mut self.driver.stored.store, OUTBOX).await.map_err(Failed::unread)?;
        let mut this = HoldsOutbox::new(self, lock);
        let mut after = None;
        loop {
            let store = &mut this.driver.stored.store;
            let messages = M::outbox_after(store, after, AT_ONCE).await.map_err(Failed::unread)?;
            if messages.is_empty() {
                return Ok(());
            }
            for message in messages {
                if this.driver.stored.outbox == OutboxLock::Changed {
                    // What was read may be gone.
                    this.driver.stored.outbox = OutboxLock::Held;
                    break;
                }
                after = Some(message.position);
                // Another process may have forgotten the peer, or seen another identity of it.
                this.driver.refresh(rng).await.map_err(Failed::Load)?;
                let peer = message.peer.as_ref().and_then(PeerId::from_subject);
                let is_first = is_first_message(&message.message).unwrap_or_default();
                // A first message needs no access key.
                let waits = |peer: &PeerId| held.get(peer).is_some_and(|at| *at != Delivery::KeyRefused || !is_first);
                let Some(peer) = peer.filter(|peer| !waits(peer)) else { continue };
                // What is sealed for a device that may be gone waits for the user's decision.
                let Exchange { driver, server } = &mut *this;
                let Stored { messenger, store, .. } = &mut *driver.stored;
                let to = messenger.peer(&peer).filter(|peer| peer.claimed.is_none());
                let Some(to) = to else { continue };
                let delivery = M::deliver(server, store, &to, &message).await.map_err(failed)?;
                match delivery {
                    // Another process may have sent it at the same time, and shown that.
                    Delivery::Taken if !this.acknowledge(&message).await? => {}
                    Delivery::Taken => {
                        events.show(this.driver.stored, Event::Sent(&message)).await.map_err(failed)?;
                    }
                    Delivery::Never => {
                        events
                            .show(this.driver.stored, Event::Undelivered(&message, delivery))
                            .await
                            .map_err(failed)?;
                        this.acknowledge(&message).await?;
                    }
                    Delivery::Later | Delivery::KeyRefused | Delivery::OtherIdentity => {
                        let is_later = delivery == Delivery::Later;
                        let account = match is_later {
                            true => AccountOf::Peer,
                            false => this.compare(&peer, now, rng).await?,
                        };
                        // A new access key is of no use then.
                        let is_other = account != AccountOf::Peer;
                        let delivery = if is_other { Delivery::OtherIdentity } else { delivery };
                        held.insert(peer, delivery);
                        if !is_later && !is_other && !is_first {
                            this.driver.stored.messenger.note_access_refused(&peer);
                            // If another process has saved a step, the next time notes it.
                            if this.driver.save_notes(now).await? && message.is_control {
                                // It is of use on its session only, and the next message begins another one.
                                this.acknowledge(&message).await?;
                                continue;
                            }
                        }
                        events
                            .show(this.driver.stored, Event::Undelivered(&message, delivery))
                            .await
                            .map_err(failed)?;
                        if account == AccountOf::Claimant {
                            events.show(this.driver.stored, Event::Claimed(peer)).await.map_err(failed)?;
                        }
                    }
                }
            }
        }
    }

    pub(in crate::messenger) async fn send(
        &mut self,
        peer: &PeerId,
        payload: Payload<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl EventIo<S, P, M::ServerError>,
    ) -> Exchanged<Sealed, M, V, S, P> {
        let Self { driver, server } = self;
        driver.refresh(rng).await.map_err(Failed::Load)?;
        let messenger = &driver.stored.messenger;
        let wanted = messenger.needs_bundle(peer, now).map_err(|error| Failed::Step(error.into()))?;
        let bundle = match messenger.peer(peer).filter(|_| wanted.is_some()) {
            Some(peer) => M::bundle(server, peer.name).await.map_err(failed)?,
            None => None,
        };
        let sealed = driver.seal(peer, payload, bundle, now, rng).await.map_err(converted)?;
        if let Some(probe) = &sealed.probe {
            events.show(driver.stored, Event::Sealed(Purpose::Probe, probe)).await.map_err(failed).map_err(waiting)?;
        }
        events
            .show(driver.stored, Event::Sealed(Purpose::Payload, &sealed.outgoing))
            .await
            .map_err(failed)
            .map_err(waiting)?;
        self.flush(now, rng, events).await.map_err(waiting)?;
        Ok(sealed)
    }

    pub(in crate::messenger) async fn receive(
        &mut self,
        answers: Answers<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
        events: &mut impl EventIo<S, P, M::ServerError>,
    ) -> Exchanged<Fetched, M, V, S, P> {
        self.show(answers, now, rng, events).await?;
        self.flush(now, rng, events).await?;
        let mut reception = Reception::beginning(self.driver.stored.mail_after);
        loop {
            let (mut done, before) = (Vec::new(), reception.len());
            for (number, message) in M::mail(self.server, reception.after()).await.map_err(failed)? {
                if !reception.admits(number) {
                    continue;
                }
                match self.open_and_show(&message, answers, now, rng, events).await? {
                    true => done.push(number),
                    false => {
                        reception.leave(number);
                        // Also if this call does not come to its end.
                        self.driver.stored.mail_after = Some(number);
                    }
                }
            }
            if !done.is_empty() {
                <M as ServerIo<V, S, P>>::acknowledge(self.server, &done).await.map_err(failed)?;
            }
            if reception.is_full() || reception.len() == before {
                break;
            }
        }
        let is_full = reception.is_full();
        if !is_full {
            self.driver.stored.mail_after = None;
        }
        self.flush(now, rng, events).await?;
        Ok(if is_full { Fetched::More } else { Fetched::All })
    }

    /// Compares the identity that the server has for a peer with the pinned one. If it is another one, it claims to be the
    /// peer from now on.
    async fn compare(
        &mut self,
        peer: &PeerId,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Exchanged<AccountOf, M, V, S, P> {
        let Self { driver, server } = self;
        let Some(record) = driver.stored.messenger.peer(peer) else { return Ok(AccountOf::Peer) };
        let Some(identity) = M::identity(server, record.name).await.map_err(failed)? else {
            return Ok(AccountOf::Peer);
        };
        if record.identity.is_none_or(|pinned| pinned.keys() == identity.keys()) {
            return Ok(AccountOf::Peer);
        }
        match driver.claim_identity(peer, &identity, now, rng).await {
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
