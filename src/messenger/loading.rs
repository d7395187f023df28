// SPDX-License-Identifier: MIT OR Apache-2.0
//! Restoring a messenger from a store.

use super::core::Core;
use super::io::{Blocking, Futures, Rows, StoreIo, completed};
use super::record::PeerRecord;
use super::{Messenger, PeerId};
use crate::device::Device;
use crate::durable::{AsyncStore, Durable, LoadError, Row, Store, draw_writer};
use crate::error::RestoreError;
use crate::primitives::{Primitives, RustCrypto};
use crate::snapshot::{StorageKey, Subject};
use alloc::vec::Vec;
use rand_core::CryptoRng;

impl Messenger {
    /// Restores the messenger `subject` from a store: calls [`load_with`](Self::load_with) with the default primitives.
    ///
    /// # Errors
    /// [`LoadError`], as in [`load_with`](Self::load_with).
    pub fn load<S: Store>(
        store: &mut S,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        Self::load_with(RustCrypto, store, key, subject, newest, rng)
    }

    /// Calls [`load_async_with`](Self::load_async_with) with the default primitives.
    ///
    /// # Errors
    /// [`LoadError`], as in [`load_with`](Self::load_with).
    pub async fn load_async<S: AsyncStore>(
        store: &mut S,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        Self::load_async_with(RustCrypto, store, key, subject, newest, rng).await
    }
}

impl<P: Primitives> Messenger<P> {
    /// Restores the messenger `subject` from a store. `newest` is the newest [`generation`](Self::generation) that the
    /// caller knows to have been saved. Draws 16 bytes from `rng`.
    ///
    /// Reads in one transaction, by [`Store::reading`].
    ///
    /// # Errors
    /// [`LoadError`], with [`RestoreError::Rollback`] if the store is older than `newest`.
    pub fn load_with<S: Store>(
        primitives: P,
        store: &mut S,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        let rows = completed(Blocking::rows(&primitives, store, key, subject))?;
        Self::restore(primitives, rows, key, subject, newest, rng).map_err(LoadError::Refused)
    }

    /// Does the same as [`load_with`](Self::load_with) with a store whose operations are futures. If another
    /// process saves a step meanwhile, it loads again.
    ///
    /// # Errors
    /// [`LoadError`], as in [`load_with`](Self::load_with).
    pub async fn load_async_with<S: AsyncStore>(
        primitives: P,
        store: &mut S,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<S::Error>> {
        let rows = Futures::rows(&primitives, store, key, subject).await?;
        Self::restore(primitives, rows, key, subject, newest, rng).map_err(LoadError::Refused)
    }

    /// Restores the messenger from its rows.
    pub(super) fn restore(
        primitives: P,
        rows: Rows,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, RestoreError> {
        let (Rows { core, device, peers }, writer) = (rows, draw_writer(rng));
        let core = Durable::<Core<P>>::restore_as(primitives.clone(), writer, core, key, subject, newest)?;
        let newest = core.inner.device_generation;
        let device = Durable::<Device<P>>::restore_as(primitives, writer, device, key, &subject.of_device(), newest)?;
        let mut messenger = Self::without_peers(key, writer, core, device);
        for (peer, rows) in peers {
            messenger.restore_peer(peer, rows)?;
        }
        Ok(messenger)
    }

    fn restore_peer(&mut self, id: PeerId, rows: Vec<Row>) -> Result<(), RestoreError> {
        let subject = self.core.inner.subject.of_peer(&id.0);
        let peer =
            Durable::<PeerRecord<P>>::restore_as(self.primitives().clone(), self.writer, rows, &self.key, &subject, 0)?;
        if peer.inner.subject != subject {
            return Err(RestoreError::Refused);
        }
        self.index.enter(&peer.inner);
        self.peers.insert(id, peer);
        Ok(())
    }
}
