// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots: a session or device as bytes that can be stored in any database, sealed under the caller's storage key.
//!
//! ```text
//! version (1) || kind (1) || generation (8) || salt (32) || ciphertext || tag (16)
//! salt       = HMAC(HKDF-Expand(storage key, "snapshot salt"), version || kind || generation || state)
//! key, nonce = HKDF-Expand(storage key, "snapshot seal" || salt, 44)
//! ```
//!
//! The salt is a function of the state. Therefore sealing needs no randomness, two states never share an AEAD key, and
//! equal states of equal generation give equal bytes. The salt is checked again after opening, which makes the seal
//! commit to its key.
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
//! If a message is sent before its session is saved, then after a crash another message may follow under the same key,
//! and AES-GCM does not tolerate key reuse. If a message is acknowledged before the session is saved, a crash loses the
//! message. With `durable::Durable` the type system enforces the order.
//!
//! The caller chooses the generation: a number that grows with every save, stored where restoring an old backup does
//! not reset it. Restoring refuses a snapshot that is older than the newest generation that the caller knows of.
//!
//! In a release build, a thread needs 172 KiB of stack to restore a device and 104 KiB to restore a session;
//! [`Device`](crate::device::Device) lists these and the other operations.
//!
//! # Security
//! Deletion on real media is out of scope: whoever can read an older snapshot *and* the storage key has the keys of
//! that time.
//!
//! A snapshot does not contain the name under which it is stored. Whoever can write to the database can replace one
//! session's snapshot by another's whose generation is high enough. Before sending, compare
//! [`Session::id`](crate::session::Session::id) or [`remote_identity`](crate::session::Session::remote_identity) with
//! the expected session.

use crate::error::{DecodeError, RestoreError};
use crate::labels;
use crate::primitives::{Declassified, NONCE_LEN, Primitives, TAG_LEN, declassify_choice};
use crate::secret::Secret;
use crate::wire::{Full, Reader, Writer};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// First byte of a snapshot.
const VERSION: u8 = 1;
/// Length in bytes of the part before the ciphertext.
pub(crate) const HEAD_LEN: usize = 1 + 1 + 8 + SALT_LEN;
const SALT_LEN: usize = 32;
/// Number of bytes that sealing adds to a state.
pub const SNAPSHOT_OVERHEAD: usize = HEAD_LEN + TAG_LEN;

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

    /// Copies the key for the sessions of a durable device, which are sealed under the device's key.
    #[cfg(feature = "alloc")]
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

/// A state that can be stored. Each kind has its own byte, so that one cannot be restored as another.
pub(crate) trait Stored<P: Primitives>: Sized {
    const KIND: u8;
    /// Number of bytes that [`store`](Self::store) writes.
    fn stored_len(&self) -> usize;
    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full>;
    /// Loads a state from all bytes of `reader` and checks every invariant: only a state that could have been stored
    /// loads. The error type is that of the caller, so that the result, thousands of bytes, is passed on without
    /// another copy.
    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError>;
}

/// Length in bytes of the snapshot of `value`.
pub(crate) fn sealed_len<P: Primitives, T: Stored<P>>(value: &T) -> usize {
    value.stored_len().saturating_add(SNAPSHOT_OVERHEAD)
}

/// SN-1: seals `value` into `out` and returns the number of bytes, [`sealed_len`], or `None` if `out` is shorter.
pub(crate) fn seal<P: Primitives, T: Stored<P>>(
    primitives: &P,
    value: &T,
    key: &StorageKey,
    generation: u64,
    out: &mut [u8],
) -> Option<usize> {
    primitives.step("SN-1");
    let len = sealed_len(value);
    let (head, rest) = out.get_mut(..len)?.split_at_mut_checked(HEAD_LEN)?;
    let (state, end) = rest.split_at_mut_checked(value.stored_len())?;
    value.store(&mut Writer::new(state)).ok()?;

    let context = [&[VERSION, T::KIND], &generation.to_be_bytes()[..]];
    let salt = salt(primitives, key, &context, state);
    let mut writer = Writer::new(head);
    for part in context.into_iter().chain([&salt.expose()[..]]) {
        writer.put(part).ok()?;
    }
    let (aead_key, nonce) = aead_key(primitives, key, salt.expose());
    match primitives.seal(&aead_key, &nonce, head, state) {
        Ok(tag) => end.copy_from_slice(&tag),
        Err(_) => {
            state.zeroize();
            return None;
        }
    }
    Some(len)
}

/// SN-2: opens and checks a snapshot of at least generation `newest`. [`generation`] then returns its own. `snapshot`
/// is opened in place and wiped.
pub(crate) fn open<P: Primitives, T: Stored<P>>(
    primitives: P,
    snapshot: &mut [u8],
    key: &StorageKey,
    newest: u64,
) -> Result<T, RestoreError> {
    primitives.step("SN-2");
    let (head, rest) = snapshot.split_at_mut_checked(HEAD_LEN).ok_or(RestoreError::Refused)?;
    let state_len = rest.len().checked_sub(TAG_LEN).ok_or(RestoreError::Refused)?;
    let (state, tag) = rest.split_at_mut_checked(state_len).ok_or(RestoreError::Refused)?;
    if let Err(refused) = open_state(&primitives, head, state, tag, key, T::KIND, newest) {
        state.zeroize();
        return Err(refused);
    }
    primitives.declassify(Declassified::Stored, state);
    let state = WipedOnDrop(state);
    T::load(primitives, &mut Reader::new(state.0))
}

/// Bytes that are wiped on drop. In an unoptimized build, the value that [`open`] returns would be copied once more if
/// the bytes were wiped after it was loaded.
struct WipedOnDrop<'a>(&'a mut [u8]);

impl Drop for WipedOnDrop<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The error of a snapshot whose content does not decode.
pub(crate) fn refused(_: DecodeError) -> RestoreError {
    RestoreError::Refused
}

/// Returns the generation in a snapshot's header. It is authentic if the snapshot was [opened](open).
#[cfg(feature = "alloc")]
pub(crate) fn generation(snapshot: &[u8]) -> Option<u64> {
    let [_version, _kind, rest @ ..] = snapshot else { return None };
    rest.first_chunk().copied().map(u64::from_be_bytes)
}

fn open_state<P: Primitives>(
    primitives: &P,
    head: &[u8],
    state: &mut [u8],
    tag: &[u8],
    key: &StorageKey,
    kind: u8,
    newest: u64,
) -> Result<(), RestoreError> {
    let mut reader = Reader::new(head);
    let clear = (reader.u8().map_err(refused)?, reader.u8().map_err(refused)?);
    let generation = reader.u64().map_err(refused)?;
    let claimed: &[u8; SALT_LEN] = reader.array().map_err(refused)?;
    let tag = Reader::new(tag).array().map_err(refused)?;
    if clear != (VERSION, kind) {
        return Err(RestoreError::Refused);
    }
    let (aead_key, nonce) = aead_key(primitives, key, claimed);
    primitives.open(&aead_key, &nonce, head, state, tag).map_err(|_| RestoreError::Refused)?;
    let salt = salt(primitives, key, &[&[VERSION, kind], &generation.to_be_bytes()], state);
    if !declassify_choice(primitives, Declassified::SnapshotVerdict, salt.expose().ct_eq(claimed)) {
        return Err(RestoreError::Refused);
    }
    if generation < newest { Err(RestoreError::Rollback) } else { Ok(()) }
}

fn salt<P: Primitives>(primitives: &P, key: &StorageKey, context: &[&[u8]; 2], state: &[u8]) -> Secret<SALT_LEN> {
    let mut salt_key = Secret::<32>::zero();
    primitives.hkdf_expand(&key.0, &[labels::SNAPSHOT_SALT], salt_key.expose_mut());
    let [kind, generation] = *context;
    primitives.hmac(salt_key.expose(), &[kind, generation, state])
}

fn aead_key<P: Primitives>(primitives: &P, key: &StorageKey, salt: &[u8; SALT_LEN]) -> (Secret<32>, [u8; NONCE_LEN]) {
    let mut material = Secret::<{ 32 + NONCE_LEN }>::zero();
    primitives.hkdf_expand(&key.0, &[labels::SNAPSHOT_SEAL, salt], material.expose_mut());
    material.split_key_nonce()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::primitives::RustCrypto;

    /// A state with any content of this length.
    #[derive(Debug, PartialEq)]
    struct Bytes([u8; 40]);

    impl Stored<RustCrypto> for Bytes {
        const KIND: u8 = 9;

        fn stored_len(&self) -> usize {
            self.0.len()
        }

        fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
            writer.put(&self.0)
        }

        fn load(_: RustCrypto, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
            let value = reader.array().copied().map(Self);
            reader.finish().and(value).map_err(refused)
        }
    }

    const STATE: Bytes = Bytes([5; 40]);

    fn key() -> StorageKey {
        StorageKey::new([7; 32])
    }

    fn opened(mut snapshot: std::vec::Vec<u8>) -> Result<Bytes, RestoreError> {
        open(RustCrypto, &mut snapshot, &key(), 3)
    }

    /// Seals the state as in SN-1, except for the salt: key, nonce and tag are those of `salt`.
    fn sealed_under(salt: &[u8; SALT_LEN]) -> std::vec::Vec<u8> {
        let head = [&[VERSION, Bytes::KIND][..], &3u64.to_be_bytes(), salt].concat();
        let mut state = STATE.0;
        let (aead_key, nonce) = aead_key(&RustCrypto, &key(), salt);
        let tag = RustCrypto.seal(&aead_key, &nonce, &head, &mut state).unwrap();
        [&head[..], &state, &tag].concat()
    }

    /// SN-1, SN-2: the salt is checked after the tag, so that the seal commits to its key.
    #[test]
    fn a_wrong_salt_is_refused_although_the_tag_is_valid() {
        let context = [&[VERSION, Bytes::KIND][..], &3u64.to_be_bytes()];
        let right = *salt(&RustCrypto, &key(), &context, &STATE.0).expose();
        for at in 0..SALT_LEN {
            for bit in [0, 7] {
                let mut wrong = right;
                wrong[at] ^= 1 << bit;
                assert_eq!(opened(sealed_under(&wrong)), Err(RestoreError::Refused), "{at} {bit}");
            }
        }
        for other in [[0; SALT_LEN], [0xFF; SALT_LEN]] {
            assert_eq!(opened(sealed_under(&other)), Err(RestoreError::Refused));
        }
        // The salts of another generation and of another state.
        let of = |generation: u64, state: &[u8]| {
            let context = [&[VERSION, Bytes::KIND][..], &generation.to_be_bytes()];
            *salt(&RustCrypto, &key(), &context, state).expose()
        };
        assert_eq!(opened(sealed_under(&of(4, &STATE.0))), Err(RestoreError::Refused));
        assert_eq!(opened(sealed_under(&of(3, &[6; 40]))), Err(RestoreError::Refused));

        // Control: the same helper under the right salt gives the result of `seal`, which opens.
        let mut genuine = [0; SNAPSHOT_OVERHEAD + 40];
        assert_eq!(seal(&RustCrypto, &STATE, &key(), 3, &mut genuine), Some(genuine.len()));
        assert_eq!(sealed_under(&right), genuine);
        assert_eq!(opened(genuine.to_vec()), Ok(STATE));
    }
}
