// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the steps of a [`Stored`](super::Stored) messenger wait. They are written once, as futures over these traits.
//! [`Futures`] is a store and a server whose operations are futures. Those of [`Blocking`] are done when they are
//! called, so that [`completed`] returns a step when it polls it for the first time.
//!
//! Every future in here holds rows as the store has them, which are sealed, and no key: the memory of a task is not
//! wiped.

use super::core::Core;
use super::exchange::{AsyncEvents, AsyncServer, Delivery, Event, Server};
use super::kept::Stored;
use super::peers::Peer;
use super::restored::LOGIN_NONCE_LEN;
use super::{Messenger, PeerId};
use crate::durable::{
    AsyncMailboxes, AsyncStore, Batch, CommitError, Durable, Exclusive, InboxMessage, LoadError, Mailboxes, MessageId,
    OutboxMessage, Revision, Row, Store,
};
use crate::identity::Identity;
use crate::prekeys::{Bundle, PrekeyId, Publication};
use crate::primitives::Primitives;
use crate::snapshot::{StorageKey, Subject};
use alloc::vec::Vec;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// How often rows are loaded again because another process has saved a step meanwhile, so that they may be of two states.
/// If they are after this, restoring or the next step refuses them.
const READ_AGAIN: usize = 64;

/// Stores and servers whose operations block.
pub(super) struct Blocking;

/// Stores and servers whose operations are futures.
pub(super) struct Futures;

/// The rows of a messenger, sealed, as the store has them.
pub(super) struct Rows {
    pub(super) core: Vec<Row>,
    pub(super) device: Vec<Row>,
    pub(super) peers: Vec<(PeerId, Vec<Row>)>,
}

/// Completes a future whose operations block. It never waits, so the first poll completes it.
pub(super) fn completed<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// The operations of a [`Store`].
pub(super) trait StoreIo<S> {
    type Error;

    async fn load(store: &mut S, subject: &Subject) -> Result<Vec<Row>, Self::Error>;

    async fn revision(store: &mut S, subject: &Subject) -> Result<Option<Revision>, Self::Error>;

    async fn commit(store: &mut S, batch: Batch) -> Result<(), CommitError<Self::Error>>;

    /// Loads the rows of a messenger as of one moment: in one transaction, or else again if the core has changed meanwhile,
    /// which every step changes.
    async fn rows<P: Primitives>(
        primitives: &P,
        store: &mut S,
        key: &StorageKey,
        subject: &Subject,
    ) -> Result<Rows, LoadError<Self::Error>>;
}

/// The operations of [`Mailboxes`].
pub(super) trait MailboxIo<S>: StoreIo<S> {
    async fn inbox(store: &mut S, limit: usize) -> Result<Vec<InboxMessage>, Self::Error>;

    async fn take(store: &mut S, id: &MessageId) -> Result<bool, Self::Error>;

    async fn outbox_after(store: &mut S, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Self::Error>;

    async fn acknowledge(store: &mut S, id: &MessageId) -> Result<bool, Self::Error>;

    async fn was_sealed(store: &mut S, id: &MessageId) -> Result<bool, Self::Error>;

    async fn exclusively(store: &mut S, name: &str) -> Result<Exclusive, Self::Error>;
}

/// The operations of a [`Server`].
pub(super) trait ServerIo<V, S, P: Primitives> {
    type ServerError;

    async fn log_in(
        server: &mut V,
        messenger: &Messenger<P>,
    ) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, Self::ServerError>;

    async fn set_nonce(server: &mut V, nonce: &[u8; LOGIN_NONCE_LEN]) -> Result<(), Self::ServerError>;

    async fn prekeys(server: &mut V) -> Result<Vec<PrekeyId>, Self::ServerError>;

    async fn withdraw(server: &mut V, ids: &[PrekeyId]) -> Result<(), Self::ServerError>;

    async fn publish(server: &mut V, publication: &Publication) -> Result<(), Self::ServerError>;

    async fn bundle(server: &mut V, name: &[u8]) -> Result<Option<Bundle>, Self::ServerError>;

    async fn identity(server: &mut V, name: &[u8]) -> Result<Option<Identity>, Self::ServerError>;

    async fn deliver(
        server: &mut V,
        store: &mut S,
        to: &Peer<'_>,
        message: &OutboxMessage,
    ) -> Result<Delivery, Self::ServerError>;

    async fn mail(server: &mut V, after: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Self::ServerError>;

    async fn acknowledge(server: &mut V, numbers: &[u64]) -> Result<(), Self::ServerError>;
}

/// Loads the rows of a messenger, one subject after the other.
async fn rows_of<M: StoreIo<S>, S, P: Primitives>(
    primitives: &P,
    store: &mut S,
    key: &StorageKey,
    subject: &Subject,
) -> Result<Rows, LoadError<M::Error>> {
    let core = M::load(store, subject).await.map_err(LoadError::Store)?;
    if core.is_empty() {
        return Err(LoadError::Missing);
    }
    let device = M::load(store, &subject.of_device()).await.map_err(LoadError::Store)?;
    let mut peers = Vec::new();
    for peer in peers_of(primitives, &core, key, subject)? {
        peers.push((peer, M::load(store, &subject.of_peer(&peer.0)).await.map_err(LoadError::Store)?));
    }
    Ok(Rows { core, device, peers })
}

/// What shows events.
pub(super) trait EventIo<S, P: Primitives, E> {
    async fn show(&mut self, stored: &mut Stored<S, P>, event: Event<'_>) -> Result<(), E>;
}

/// A function that shows events.
pub(super) struct Called<F>(pub(super) F);

/// What shows events when its future is complete.
pub(super) struct Awaited<'a, A>(pub(super) &'a mut A);

impl<S, P: Primitives, E, F> EventIo<S, P, E> for Called<F>
where
    F: FnMut(&mut Stored<S, P>, Event<'_>) -> Result<(), E>,
{
    async fn show(&mut self, stored: &mut Stored<S, P>, event: Event<'_>) -> Result<(), E> {
        (self.0)(stored, event)
    }
}

impl<S, P: Primitives, E, A: AsyncEvents<S, E, P>> EventIo<S, P, E> for Awaited<'_, A> {
    async fn show(&mut self, stored: &mut Stored<S, P>, event: Event<'_>) -> Result<(), E> {
        self.0.show(stored, event).await
    }
}

/// The peers whose rows belong to a messenger with this core.
fn peers_of<P: Primitives, E>(
    primitives: &P,
    core: &[Row],
    key: &StorageKey,
    subject: &Subject,
) -> Result<Vec<PeerId>, LoadError<E>> {
    // Nothing is saved with this writer.
    let core = Durable::<Core<P>>::restore_as(primitives.clone(), [0; 16], core.to_vec(), key, subject, 0);
    Ok(core.map_err(LoadError::Refused)?.inner.peers().collect())
}

impl<S: Store> StoreIo<S> for Blocking {
    type Error = S::Error;

    async fn load(store: &mut S, subject: &Subject) -> Result<Vec<Row>, Self::Error> {
        store.load(subject)
    }

    async fn revision(store: &mut S, subject: &Subject) -> Result<Option<Revision>, Self::Error> {
        store.revision(subject)
    }

    async fn commit(store: &mut S, batch: Batch) -> Result<(), CommitError<Self::Error>> {
        store.commit(batch)
    }

    async fn rows<P: Primitives>(
        primitives: &P,
        store: &mut S,
        key: &StorageKey,
        subject: &Subject,
    ) -> Result<Rows, LoadError<S::Error>> {
        let read = |store: &mut S| completed(rows_of::<Self, S, P>(primitives, store, key, subject));
        store.reading(read).map_err(LoadError::Store)?
    }
}

impl<S: Mailboxes> MailboxIo<S> for Blocking {
    async fn inbox(store: &mut S, limit: usize) -> Result<Vec<InboxMessage>, Self::Error> {
        store.inbox(limit)
    }

    async fn take(store: &mut S, id: &MessageId) -> Result<bool, Self::Error> {
        store.take(id)
    }

    async fn outbox_after(store: &mut S, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Self::Error> {
        store.outbox_after(after, limit)
    }

    async fn acknowledge(store: &mut S, id: &MessageId) -> Result<bool, Self::Error> {
        store.acknowledge(id)
    }

    async fn was_sealed(store: &mut S, id: &MessageId) -> Result<bool, Self::Error> {
        store.was_sealed(id)
    }

    async fn exclusively(store: &mut S, name: &str) -> Result<Exclusive, Self::Error> {
        store.exclusively(name)
    }
}

impl<V: Server<S>, S, P: Primitives> ServerIo<V, S, P> for Blocking {
    type ServerError = V::Error;

    async fn log_in(server: &mut V, messenger: &Messenger<P>) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, V::Error> {
        server.log_in(&mut |challenge| messenger.sign_login(challenge))
    }

    async fn set_nonce(server: &mut V, nonce: &[u8; LOGIN_NONCE_LEN]) -> Result<(), Self::ServerError> {
        server.set_nonce(nonce)
    }

    async fn prekeys(server: &mut V) -> Result<Vec<PrekeyId>, Self::ServerError> {
        server.prekeys()
    }

    async fn withdraw(server: &mut V, ids: &[PrekeyId]) -> Result<(), Self::ServerError> {
        server.withdraw(ids)
    }

    async fn publish(server: &mut V, publication: &Publication) -> Result<(), Self::ServerError> {
        server.publish(publication)
    }

    async fn bundle(server: &mut V, name: &[u8]) -> Result<Option<Bundle>, Self::ServerError> {
        server.bundle(name)
    }

    async fn identity(server: &mut V, name: &[u8]) -> Result<Option<Identity>, Self::ServerError> {
        server.identity(name)
    }

    async fn deliver(
        server: &mut V,
        store: &mut S,
        to: &Peer<'_>,
        message: &OutboxMessage,
    ) -> Result<Delivery, Self::ServerError> {
        server.deliver(store, to, message)
    }

    async fn mail(server: &mut V, after: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Self::ServerError> {
        server.mail(after)
    }

    async fn acknowledge(server: &mut V, numbers: &[u64]) -> Result<(), Self::ServerError> {
        server.acknowledge(numbers)
    }
}

impl<S: AsyncStore> StoreIo<S> for Futures {
    type Error = S::Error;

    async fn load(store: &mut S, subject: &Subject) -> Result<Vec<Row>, Self::Error> {
        store.load(subject).await
    }

    async fn revision(store: &mut S, subject: &Subject) -> Result<Option<Revision>, Self::Error> {
        store.revision(subject).await
    }

    async fn commit(store: &mut S, batch: Batch) -> Result<(), CommitError<Self::Error>> {
        store.commit(batch).await
    }

    async fn rows<P: Primitives>(
        primitives: &P,
        store: &mut S,
        key: &StorageKey,
        subject: &Subject,
    ) -> Result<Rows, LoadError<S::Error>> {
        let mut rows = rows_of::<Self, S, P>(primitives, store, key, subject).await?;
        for _ in 0..READ_AGAIN {
            if store.revision(subject).await.map_err(LoadError::Store)? == Row::revision_of_core(&rows.core) {
                break;
            }
            rows = rows_of::<Self, S, P>(primitives, store, key, subject).await?;
        }
        Ok(rows)
    }
}

impl<S: AsyncMailboxes> MailboxIo<S> for Futures {
    async fn inbox(store: &mut S, limit: usize) -> Result<Vec<InboxMessage>, Self::Error> {
        store.inbox(limit).await
    }

    async fn take(store: &mut S, id: &MessageId) -> Result<bool, Self::Error> {
        store.take(id).await
    }

    async fn outbox_after(store: &mut S, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Self::Error> {
        store.outbox_after(after, limit).await
    }

    async fn acknowledge(store: &mut S, id: &MessageId) -> Result<bool, Self::Error> {
        store.acknowledge(id).await
    }

    async fn was_sealed(store: &mut S, id: &MessageId) -> Result<bool, Self::Error> {
        store.was_sealed(id).await
    }

    async fn exclusively(store: &mut S, name: &str) -> Result<Exclusive, Self::Error> {
        store.exclusively(name).await
    }
}

impl<V: AsyncServer<S>, S, P: Primitives + Sync> ServerIo<V, S, P> for Futures {
    type ServerError = V::Error;

    async fn log_in(server: &mut V, messenger: &Messenger<P>) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, V::Error> {
        server.log_in(&mut |challenge| messenger.sign_login(challenge)).await
    }

    async fn set_nonce(server: &mut V, nonce: &[u8; LOGIN_NONCE_LEN]) -> Result<(), Self::ServerError> {
        server.set_nonce(nonce).await
    }

    async fn prekeys(server: &mut V) -> Result<Vec<PrekeyId>, Self::ServerError> {
        server.prekeys().await
    }

    async fn withdraw(server: &mut V, ids: &[PrekeyId]) -> Result<(), Self::ServerError> {
        server.withdraw(ids).await
    }

    async fn publish(server: &mut V, publication: &Publication) -> Result<(), Self::ServerError> {
        server.publish(publication).await
    }

    async fn bundle(server: &mut V, name: &[u8]) -> Result<Option<Bundle>, Self::ServerError> {
        server.bundle(name).await
    }

    async fn identity(server: &mut V, name: &[u8]) -> Result<Option<Identity>, Self::ServerError> {
        server.identity(name).await
    }

    async fn deliver(
        server: &mut V,
        store: &mut S,
        to: &Peer<'_>,
        message: &OutboxMessage,
    ) -> Result<Delivery, Self::ServerError> {
        server.deliver(store, to, message).await
    }

    async fn mail(server: &mut V, after: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Self::ServerError> {
        server.mail(after).await
    }

    async fn acknowledge(server: &mut V, numbers: &[u64]) -> Result<(), Self::ServerError> {
        server.acknowledge(numbers).await
    }
}
