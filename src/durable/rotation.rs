// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changing the storage key: every row is sealed again, one subject in one transaction.

use super::LoadError;
use super::ledger::{OpenedRows, draw_writer, seal_row};
use super::store::{AsyncStore, Batch, Change, CommitError, Row, Store};
use crate::error::RestoreError;
use crate::primitives::RustCrypto;
use crate::snapshot::{Place, Revision, RowName, SealingKeys, StorageKey, Subject, VERSION};
use alloc::vec::Vec;
use core::fmt;
use rand_core::CryptoRng;

/// The keys of [`rotate_storage_key`]. They have names because an exchange would go unnoticed: rows that are sealed under
/// the key that passes for the new one need no change, and the key that is then deleted as the old one is theirs.
#[derive(Clone, Copy, Debug)]
pub struct KeyChange<'k> {
    /// The key under which the rows are sealed until now.
    pub old: &'k StorageKey,
    /// The key under which they are sealed afterwards.
    pub new: &'k StorageKey,
}

/// What [`rotate_storage_key`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The rows are now sealed under the new key.
    Now {
        /// The state's generation, which is higher by one.
        generation: u64,
    },
    /// The rows were already sealed under [`KeyChange::new`], by an earlier call or because they are younger.
    Already {
        /// The state's generation.
        generation: u64,
    },
}

/// The reason why the rows of a subject were not sealed under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateError<E> {
    /// The rows were not loaded, or open under neither key.
    Load(LoadError<E>),
    /// The rows were not committed, or may not have been.
    Commit(CommitError<E>),
}

/// Seals all rows of `subject` under the new storage key instead of the old one, in one transaction.
///
/// Call it for every subject: the messenger and the device first, and then peers and sessions, listed after that, because a device that was
/// loaded before can begin sessions under the old key until its own rows are sealed anew. Keep both keys until it has
/// succeeded for all of them. After an error or a crash call it again for every subject: one that is done is recognized.
/// A state that was loaded before has to be loaded again, because its next save is [`Stale`](CommitError::Stale).
///
/// `newest` is the newest generation of this subject that the caller knows to have been saved, as in
/// [`Durable::load`](super::Durable::load). Store the generation of the result in its place.
///
/// # Errors
/// [`RotateError`], with [`RestoreError::Rollback`] if the rows are older than `newest`. The rows are as they were or,
/// after [`CommitError::Unknown`], may be sealed under the new key.
///
/// # Security
/// A thief of the old key has what copies of the old rows contain. Deletion on real media is out of scope.
pub fn rotate_storage_key<S: Store>(
    store: &mut S,
    subject: &Subject,
    keys: KeyChange<'_>,
    newest: u64,
    rng: &mut impl CryptoRng,
) -> Result<Rotated, RotateError<S::Error>> {
    let rows = store.load(subject).map_err(LoadError::Store).map_err(RotateError::Load)?;
    let (rotated, batch) = reseal(&rows, subject, keys, newest, rng).map_err(RotateError::refused)?;
    batch.map_or(Ok(()), |batch| store.commit(batch)).map(|()| rotated).map_err(RotateError::Commit)
}

/// Does the same as [`rotate_storage_key`] with a store whose operations are futures.
///
/// # Errors
/// [`RotateError`], as in [`rotate_storage_key`].
pub async fn rotate_storage_key_async<S: AsyncStore>(
    store: &mut S,
    subject: &Subject,
    keys: KeyChange<'_>,
    newest: u64,
    rng: &mut impl CryptoRng,
) -> Result<Rotated, RotateError<S::Error>> {
    let rows = store.load(subject).await.map_err(LoadError::Store).map_err(RotateError::Load)?;
    let (rotated, batch) = reseal(&rows, subject, keys, newest, rng).map_err(RotateError::refused)?;
    if let Some(batch) = batch {
        store.commit(batch).await.map_err(RotateError::Commit)?;
    }
    Ok(rotated)
}

/// Returns the batch that seals the rows of `subject` under the new key, or none if they already are.
fn reseal(
    rows: &[Row],
    subject: &Subject,
    keys: KeyChange<'_>,
    newest: u64,
    rng: &mut impl CryptoRng,
) -> Result<(Rotated, Option<Batch>), Option<RestoreError>> {
    if rows.is_empty() {
        return Err(None);
    }
    let KeyChange { old, new } = keys;
    let kind = subject.row_kind();
    let open = |key| OpenedRows::open(&RustCrypto, rows.to_vec(), key, (subject, kind, VERSION));
    // Whatever is sealed anew would pass for the newest.
    let check = |Revision { generation, .. }| if generation < newest { Err(RestoreError::Rollback) } else { Ok(()) };
    if let Ok(OpenedRows { revision, .. }) = open(new) {
        check(revision)?;
        return Ok((Rotated::Already { generation: revision.generation }, None));
    }
    let opened = open(old)?;
    let previous = opened.revision;
    check(previous)?;
    // A process that holds the old key must not save after this.
    let revision = Revision { generation: previous.generation.saturating_add(1), writer: draw_writer(rng) };
    let keys = SealingKeys::to_seal(&RustCrypto, new);
    let seal = |name, revision, content: &[u8]| {
        let place = Place { kind, subject, name };
        let sealed = seal_row(&RustCrypto, &keys, &place, revision, content.len(), |writer| writer.put(content));
        Row { name, sealed }
    };
    let parts = opened.rows.iter().map(|(name, (revision, content))| seal(*name, *revision, opened.content(content)));
    let mut rows: Vec<_> = parts.collect();
    rows.push(seal(RowName::CORE, revision, opened.core()));
    let change = Change { subject: *subject, previous: Some(previous), revision, rows, deleted: Vec::new() };
    let rotated = Rotated::Now { generation: revision.generation };
    Ok((rotated, Some(Batch { changes: alloc::vec![change], ..Batch::default() })))
}

impl<E> RotateError<E> {
    fn refused(error: Option<RestoreError>) -> Self {
        Self::Load(error.map_or(LoadError::Missing, LoadError::Refused))
    }
}

impl<E> fmt::Display for RotateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Commit(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for RotateError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Load(error) => error.source(),
            Self::Commit(error) => error.source(),
        }
    }
}
