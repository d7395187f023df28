// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots: a session or device as bytes that can be stored in any database, sealed under the caller's storage key.
//!
//! ```text
//! version (1) || kind (1) || generation (8) || writer (16) || salt (32) || ciphertext || tag (16)
//! scope      = subject (96) || name (9)
//! salt       = HMAC(HKDF-Expand(storage key, "snapshot salt"),
//!                   version || kind || generation || writer || scope || state)
//! key, nonce = HKDF-Expand(storage key, "snapshot seal" || salt, 44)
//! ```
//!
//! The salt is a function of the state. Therefore sealing needs no randomness, two states never share an AEAD key, and
//! equal states of equal generation give equal bytes. The salt is checked again after opening, which makes the seal
//! commit to its key.
//!
//! The seal covers the [`Subject`], which is not part of the bytes: whoever restores says whose state is expected. A
//! snapshot that somebody has moved to another place of the database does not open there.
//!
//! This module seals a state as one snapshot, which suits a state that is small or seldom saved. `durable::Durable`
//! seals it in rows, of which a step writes those that changed.
//!
//! # The crash contract
//!
//! | after | save | then |
//! |---|---|---|
//! | `encrypt` | the session, under a higher generation | send the message |
//! | `decrypt` | the session, under a higher generation | show the plaintext, acknowledge to the server |
//! | `initiate` | the new session | send the first message |
//! | `accept` | the device **and** the new session, in one transaction | show the plaintext, acknowledge |
//! | `publish`, `replenish`, `rotate` | the device | upload |
//!
//! If a message is sent before its session is saved, then after a crash another message may follow from the same state,
//! and the peer opens only one of the two. If a message is acknowledged before the session is saved, a crash loses the
//! message. With `durable::Durable` the type system enforces the order.
//!
//! The caller chooses the generation: a number that grows with every save, stored where restoring an old backup does
//! not reset it. Restoring refuses a snapshot that is older than the newest generation that the caller knows of.
//!
//! # Versions
//!
//! The first byte is the version of the format. A state of an older version is read, and the next save writes the
//! newest version. A state of a newer version is refused with an error of its own, [`RestoreError::NewerVersion`]: the
//! user has gone back to an older release. So far there is one version.
//!
//! # Stack
//!
//! In a release build, a thread needs 172 KiB of stack to restore a device and 104 KiB to restore a session;
//! [`Device`](crate::device::Device) lists these and the other operations.
//!
//! # Security
//! A stored state is authenticated by its seal and by nothing else. Whoever has the storage key can read every secret of
//! a state, forge one, and restore a session whose [`remote_identity`](crate::Session::remote_identity) never signed
//! anything: restoring parses the identities of a session and does not verify them again. The checks of a loaded state
//! find mistakes of implementations, and no attacker with that key.
//!
//! Deletion on real media is out of scope: whoever can read an older snapshot *and* the storage key has the keys of
//! that time.

mod part;
mod subject;

pub use part::RowName;
pub(crate) use part::{Content, PAGE, Part, pages_of, read_numbers};
#[cfg(feature = "alloc")]
pub(crate) use subject::PEER_ID_LEN;
pub use subject::{SUBJECT_LEN, Subject};

use crate::error::{DecodeError, RestoreError};
use crate::labels;
#[cfg(feature = "alloc")]
use crate::primitives::RustCrypto;
use crate::primitives::{Declassified, NONCE_LEN, Primitives, TAG_LEN, declassify_choice};
use crate::secret::Secret;
use crate::wire::{Full, Reader, Writer};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// First byte of what is sealed now.
pub(crate) const VERSION: u8 = 1;
const SALT_LEN: usize = 32;
const WRITER_LEN: usize = 16;
/// Length in bytes of the part before the salt.
const BEFORE_SALT_LEN: usize = 1 + 1 + 8 + WRITER_LEN;
/// Length in bytes of the part before the ciphertext.
pub(crate) const HEAD_LEN: usize = BEFORE_SALT_LEN + SALT_LEN;
/// Number of bytes that sealing adds to a state.
pub const SNAPSHOT_OVERHEAD: usize = HEAD_LEN + TAG_LEN;
/// Length in bytes of what the seal covers besides the bytes themselves.
const SCOPE_LEN: usize = subject::SCOPE_LEN + part::NAME_LEN;

/// The key under which snapshots are sealed: 32 bytes, which the caller stores where the platform stores keys.
///
/// There is no default and no constant: without a key there is no snapshot (attack F19).
#[derive(Debug)]
pub struct StorageKey(Secret<32>);

impl StorageKey {
    /// Takes ownership of 32 uniformly random bytes. The caller must wipe its own copy.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    /// Copies the key for a durable state, which seals each of its steps.
    #[cfg(feature = "alloc")]
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

/// What states are sealed under: the storage key, and the key of salts, which is derived from it once for all rows of a
/// save or load.
pub(crate) struct SealingKeys<'a> {
    storage_key: &'a StorageKey,
    salt_key: Secret<32>,
}

impl<'a> SealingKeys<'a> {
    /// SN-1: derives them to seal states.
    pub(crate) fn to_seal<P: Primitives>(primitives: &P, storage_key: &'a StorageKey) -> Self {
        primitives.step("SN-1");
        Self::derive(primitives, storage_key)
    }

    /// SN-2: derives them to open states.
    pub(crate) fn to_open<P: Primitives>(primitives: &P, storage_key: &'a StorageKey) -> Self {
        primitives.step("SN-2");
        Self::derive(primitives, storage_key)
    }

    fn derive<P: Primitives>(primitives: &P, storage_key: &'a StorageKey) -> Self {
        let mut salt_key = Secret::zero();
        primitives.hkdf_expand(&storage_key.0, &[labels::SNAPSHOT_SALT], salt_key.expose_mut());
        Self { storage_key, salt_key }
    }
}

/// Which save of a state: the number that grows with every save, and the process that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The generation, which grows with every save.
    pub generation: u64,
    /// 16 random bytes that the process drew when it made or restored the state or, in a step with a message, 16 bytes
    /// that are computed from these and the message under the storage key. Two processes that restored one snapshot have
    /// different ones, and so have two images of one process. Zeros in a snapshot that no `Durable` made.
    pub writer: [u8; WRITER_LEN],
}

/// A state that can be stored: a core, and parts that most steps leave as they are.
pub(crate) trait Stored<P: Primitives>: Sized {
    /// The kind of the snapshot. Each type has its own byte, so that one cannot be restored as another.
    const KIND: u8;
    /// The kind of a row.
    #[cfg(feature = "alloc")]
    const ROW_KIND: u8 = Self::KIND.saturating_add(2);
    /// The oldest version of the format that [`load_version`](Self::load_version) reads.
    const OLDEST_VERSION: u8 = VERSION;
    #[cfg(feature = "alloc")]
    fn primitives(&self) -> &P;
    fn subject(&self) -> Subject;
    /// The parts, those of one number in sequence and in ascending order of that number.
    fn parts(&self) -> impl Iterator<Item = Part<'_>>;
    /// Number of bytes that [`store_core`](Self::store_core) writes.
    fn core_len(&self) -> usize;
    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full>;
    /// Loads a state from all bytes of `reader`, core and parts as [`store`](Self::store) writes them, and checks every
    /// invariant: only a state that could have been stored loads. The error type is that of the caller, so that the
    /// result, thousands of bytes, is passed on without another copy.
    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError>;

    /// Loads a state that was stored in an older version of the format, or in this one.
    fn load_version(version: u8, primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        match version {
            VERSION => Self::load(primitives, reader),
            _ => Err(RestoreError::Refused),
        }
    }

    /// Number of bytes that [`store`](Self::store) writes.
    fn stored_len(&self) -> usize {
        self.parts().map(|part| part.stored_len()).fold(self.core_len(), usize::saturating_add)
    }

    /// Writes the whole state: the core and then each part, after its name.
    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.store_core(writer)?;
        self.parts().try_for_each(|part| part.store(writer))
    }
}

/// Kind of a row of a session.
#[cfg(feature = "alloc")]
pub(crate) const SESSION_ROW: u8 = 3;
/// Kind of a row of a device.
#[cfg(feature = "alloc")]
pub(crate) const DEVICE_ROW: u8 = 4;
/// Kind of a row of a messenger's peer.
#[cfg(feature = "alloc")]
pub(crate) const PEER_ROW: u8 = 5;
/// Kind of a row of a messenger.
#[cfg(feature = "alloc")]
pub(crate) const MESSENGER_ROW: u8 = 6;

/// What a seal covers, and in what form the state is in it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) kind: u8,
    pub(crate) subject: &'a Subject,
    pub(crate) name: RowName,
}

impl Place<'_> {
    fn scope(&self) -> [u8; SCOPE_LEN] {
        let mut scope = [0; SCOPE_LEN];
        let (subject, name) = scope.split_at_mut(subject::SCOPE_LEN);
        subject.copy_from_slice(&self.subject.scope());
        name.copy_from_slice(self.name.as_bytes());
        scope
    }
}

/// A row or snapshot that was opened. The plaintext is where the ciphertext was.
pub(crate) struct OpenedState<'a> {
    pub(crate) version: u8,
    pub(crate) revision: Revision,
    pub(crate) state: &'a mut [u8],
}

/// Length in bytes of the snapshot of `value`.
pub(crate) fn sealed_len<P: Primitives, T: Stored<P>>(value: &T) -> usize {
    value.stored_len().saturating_add(SNAPSHOT_OVERHEAD)
}

/// Seals `value` into `out` and returns the number of bytes, [`sealed_len`], or `None` if `out` is shorter.
pub(crate) fn seal<P: Primitives, T: Stored<P>>(
    primitives: &P,
    value: &T,
    key: &StorageKey,
    generation: u64,
    out: &mut [u8],
) -> Option<usize> {
    let len = sealed_len(value);
    let out = out.get_mut(..len)?;
    let place = Place { kind: T::KIND, subject: &value.subject(), name: RowName::CORE };
    let revision = Revision { generation, writer: [0; WRITER_LEN] };
    let keys = SealingKeys::to_seal(primitives, key);
    seal_state(primitives, &keys, &place, VERSION, revision, out, |writer| value.store(writer))?;
    Some(len)
}

/// SN-1: seals the state that `store` writes into `out`, which is [`SNAPSHOT_OVERHEAD`] bytes longer.
pub(crate) fn seal_state<P: Primitives>(
    primitives: &P,
    keys: &SealingKeys<'_>,
    place: &Place<'_>,
    version: u8,
    revision: Revision,
    out: &mut [u8],
    store: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Option<()> {
    let (head, rest) = out.split_at_mut_checked(HEAD_LEN)?;
    let state_len = rest.len().checked_sub(TAG_LEN)?;
    let (state, end) = rest.split_at_mut_checked(state_len)?;
    store(&mut Writer::new(state)).ok()?;

    let before_salt = before_salt(version, place.kind, revision);
    let scope = place.scope();
    let salt = salt(primitives, keys, &before_salt, &scope, state);
    let mut writer = Writer::new(head);
    writer.put(&before_salt).and_then(|()| writer.put(salt.expose())).ok()?;
    let (aead_key, nonce) = aead_key(primitives, keys, salt.expose());
    match primitives.seal(&aead_key, &nonce, &covered(head, &scope), state) {
        Ok(tag) => end.copy_from_slice(&tag),
        Err(_) => {
            state.zeroize();
            return None;
        }
    }
    Some(())
}

/// Opens and checks a snapshot of at least generation `newest`. `snapshot` is opened in place and wiped. With another
/// storage key or subject it stays as it was.
pub(crate) fn open<P: Primitives, T: Stored<P>>(
    primitives: P,
    snapshot: &mut [u8],
    key: &StorageKey,
    subject: &Subject,
    newest: u64,
) -> Result<T, RestoreError> {
    if subject.kind() != T::KIND {
        return Err(RestoreError::Refused);
    }
    let place = Place { kind: T::KIND, subject, name: RowName::CORE };
    let keys = SealingKeys::to_open(&primitives, key);
    let OpenedState { version, revision, state } = open_state(&primitives, snapshot, &keys, &place, T::OLDEST_VERSION)?;
    let state = WipedOnDrop(state);
    if revision.generation < newest {
        return Err(RestoreError::Rollback);
    }
    T::load_version(version, primitives, &mut Reader::new(state.0))
}

/// Bytes that are wiped on drop. In an unoptimized build, the value that [`open`] returns would be copied once more if
/// the bytes were wiped after it was loaded.
pub(crate) struct WipedOnDrop<'a>(pub(crate) &'a mut [u8]);

impl Drop for WipedOnDrop<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The error of a snapshot whose content does not decode.
pub(crate) fn refused(_: DecodeError) -> RestoreError {
    RestoreError::Refused
}

/// Returns the revision in the head of a row, which is authentic if the row was [opened](open_state).
#[cfg(feature = "alloc")]
pub(crate) fn revision(sealed: &[u8]) -> Option<Revision> {
    let mut reader = Reader::new(sealed);
    let _version_and_kind = reader.bytes(2).ok()?;
    Some(Revision { generation: reader.u64().ok()?, writer: *reader.array().ok()? })
}

/// Returns the salt in the head of a row.
#[cfg(feature = "alloc")]
pub(crate) fn salt_of(sealed: &[u8]) -> Option<[u8; SALT_LEN]> {
    sealed.get(BEFORE_SALT_LEN..)?.first_chunk().copied()
}

/// SN-2, except for the generation and the state itself: opens `sealed` in place, which stays as it was if the tag is
/// wrong.
pub(crate) fn open_state<'a, P: Primitives>(
    primitives: &P,
    sealed: &'a mut [u8],
    keys: &SealingKeys<'_>,
    place: &Place<'_>,
    oldest_version: u8,
) -> Result<OpenedState<'a>, RestoreError> {
    let (head, rest) = sealed.split_at_mut_checked(HEAD_LEN).ok_or(RestoreError::Refused)?;
    let (state, tag) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(RestoreError::Refused)?;
    let mut reader = Reader::new(head);
    let (version, kind) = (reader.u8().map_err(refused)?, reader.u8().map_err(refused)?);
    let generation = reader.u64().map_err(refused)?;
    let revision = Revision { generation, writer: *reader.array().map_err(refused)? };
    let claimed: &[u8; SALT_LEN] = reader.array().map_err(refused)?;
    if version > VERSION {
        return Err(RestoreError::NewerVersion);
    }
    if version < oldest_version || kind != place.kind {
        return Err(RestoreError::Refused);
    }
    let scope = place.scope();
    let (aead_key, nonce) = aead_key(primitives, keys, claimed);
    primitives.open(&aead_key, &nonce, &covered(head, &scope), state, tag).map_err(|_| RestoreError::Refused)?;
    let salt = salt(primitives, keys, &before_salt(version, kind, revision), &scope, state);
    if !declassify_choice(primitives, Declassified::SnapshotVerdict, salt.expose().ct_eq(claimed)) {
        state.zeroize();
        return Err(RestoreError::Refused);
    }
    primitives.declassify(Declassified::Stored, state);
    Ok(OpenedState { version, revision, state })
}

fn before_salt(version: u8, kind: u8, revision: Revision) -> [u8; BEFORE_SALT_LEN] {
    let mut bytes = [0; BEFORE_SALT_LEN];
    let mut writer = Writer::new(&mut bytes);
    // The lengths add up to BEFORE_SALT_LEN.
    let _ = writer
        .u8(version)
        .and_then(|()| writer.u8(kind))
        .and_then(|()| writer.u64(revision.generation))
        .and_then(|()| writer.put(&revision.writer));
    bytes
}

/// The associated data of the seal: head and scope.
fn covered(head: &[u8], scope: &[u8; SCOPE_LEN]) -> [u8; HEAD_LEN + SCOPE_LEN] {
    let mut bytes = [0; HEAD_LEN + SCOPE_LEN];
    let mut writer = Writer::new(&mut bytes);
    // The head has HEAD_LEN bytes.
    let _ = writer.put(head).and_then(|()| writer.put(scope));
    bytes
}

fn salt<P: Primitives>(
    primitives: &P,
    keys: &SealingKeys<'_>,
    before_salt: &[u8; BEFORE_SALT_LEN],
    scope: &[u8; SCOPE_LEN],
    state: &[u8],
) -> Secret<SALT_LEN> {
    primitives.hmac(keys.salt_key.expose(), &[before_salt, scope, state])
}

/// Returns the salt under which `state` would be sealed now: if a row has it, sealing would write the row again. Nothing
/// is sealed, so that this is no step of the protocol.
#[cfg(feature = "alloc")]
pub(crate) fn salt_now(keys: &SealingKeys<'_>, place: &Place<'_>, revision: Revision, state: &[u8]) -> [u8; SALT_LEN] {
    *salt(&RustCrypto, keys, &before_salt(VERSION, place.kind, revision), &place.scope(), state).expose()
}

fn aead_key<P: Primitives>(
    primitives: &P,
    keys: &SealingKeys<'_>,
    salt: &[u8; SALT_LEN],
) -> (Secret<32>, [u8; NONCE_LEN]) {
    let mut material = Secret::<{ 32 + NONCE_LEN }>::zero();
    primitives.hkdf_expand(&keys.storage_key.0, &[labels::SNAPSHOT_SEAL, salt], material.expose_mut());
    material.split_key_nonce()
}

#[cfg(test)]
mod tests;
