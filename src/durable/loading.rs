// SPDX-License-Identifier: MIT OR Apache-2.0
//! Restoring a durable session or device.

use super::ledger::{OpenedRows, draw_writer};
use super::store::{AsyncStore, Row, Store};
use super::{Durable, LoadError};
use crate::device::{Capacities, Device};
use crate::error::RestoreError;
use crate::primitives::Primitives;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::session::Session;
use crate::snapshot::{SESSION_ROW, StorageKey, Stored, Subject};
use crate::wipe;
use alloc::vec::Vec;
use rand_core::CryptoRng;

/// The trait of [`Session`] and [`Device`], which [`Durable`] restores from rows. It is sealed.
#[expect(private_bounds, reason = "the trait is sealed")]
pub trait Durably: Restored {}

/// A state with the primitives that it is restored with.
pub(crate) trait Restored: Stored<Self::Primitives> {
    type Primitives: Primitives;
}

impl<P: Primitives, S: SkippedKeyStore> Durably for Session<P, S> {}

impl<P: Primitives, S: SkippedKeyStore> Restored for Session<P, S> {
    type Primitives = P;
}

impl<P: Primitives, C: Capacities> Durably for Device<P, C> {}

impl<P: Primitives, C: Capacities> Restored for Device<P, C> {
    type Primitives = P;
}

impl<T: Durably> Durable<T> {
    /// Restores the state with these primitives, and a writer that was drawn before.
    pub(crate) fn restore_as(
        primitives: T::Primitives,
        writer: [u8; 16],
        rows: Vec<Row>,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
    ) -> Result<Self, RestoreError> {
        let restore = || {
            let opened = OpenedRows::open(&primitives, rows, key, (subject, T::ROW_KIND, T::OLDEST_VERSION))?;
            if opened.revision.generation < newest {
                return Err(RestoreError::Rollback);
            }
            let (inner, ledger) = opened.load(primitives, key, subject, writer)?;
            Ok(Self { inner, ledger })
        };
        // A session with its skipped keys inside needs more copies than HANDSHAKE has space for.
        if T::ROW_KIND == SESSION_ROW && size_of::<T>() <= size_of::<Session>() {
            wipe::wipe_stack_around::<{ wipe::HANDSHAKE }, _>(restore)
        } else {
            wipe::wipe_stack_around::<{ wipe::DEVICE }, _>(restore)
        }
    }
}

#[expect(private_bounds, reason = "the trait is sealed")]
impl<T: Durably> Durable<T>
where
    T::Primitives: Default,
{
    /// Restores the state `subject` from its rows. `newest` is the newest generation that the caller knows to have been
    /// saved. Draws 16 bytes from `rng`.
    ///
    /// # Errors
    /// [`RestoreError`]. A device with more prekeys or replay entries than its capacity has space for is
    /// [`Refused`](RestoreError::Refused).
    pub fn restore(
        rows: Vec<Row>,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, RestoreError> {
        Self::restore_as(T::Primitives::default(), draw_writer(rng), rows, key, subject, newest)
    }

    /// Loads the state `subject` from a store and restores it, as [`restore`](Self::restore) does.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load<D: Store>(
        store: &mut D,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<D::Error>> {
        Self::loaded(store.load(subject), key, subject, newest, rng)
    }

    /// Does the same as [`load`](Self::load) with a store whose operations are futures.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load_async<D: AsyncStore>(
        store: &mut D,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<D::Error>> {
        Self::loaded(store.load(subject).await, key, subject, newest, rng)
    }

    /// Restores what a store has loaded.
    fn loaded<E>(
        rows: Result<Vec<Row>, E>,
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError<E>> {
        let rows = rows.map_err(LoadError::Store)?;
        if rows.is_empty() {
            return Err(LoadError::Missing);
        }
        Self::restore(rows, key, subject, newest, rng).map_err(LoadError::Refused)
    }
}
