// SPDX-License-Identifier: MIT OR Apache-2.0
//! The session's methods that return a `Vec`. They call the methods with buffers.

use super::{Session, split_body};
use crate::error::{DecryptError, EncryptError, RestoreError};
use crate::payload::{Opened, Payload, Sealed};
use crate::primitives::{Primitives, RustCrypto};
use crate::ratchet::skipped::SkippedKeyStore;
use crate::snapshot::{StorageKey, Subject};
use alloc::vec::Vec;
use rand_core::CryptoRng;

impl Session {
    /// Calls [`restore_with`](Self::restore_with) with the default primitives and store.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(snapshot: &[u8], key: &StorageKey, subject: &Subject, newest: u64) -> Result<Self, RestoreError> {
        Self::restore_with(RustCrypto, snapshot, key, subject, newest)
    }
}

impl<P: Primitives, S: SkippedKeyStore> Session<P, S> {
    /// Calls [`encrypt_into`](Self::encrypt_into) with a new `Vec`.
    ///
    /// # Errors
    /// [`EncryptError`]; the session is unchanged.
    pub fn encrypt<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        self.encrypt_payload(payload.into(), false, rng)
    }

    /// Encrypts a control message; see [`encrypt_control_into`](Self::encrypt_control_into).
    ///
    /// # Errors
    /// [`EncryptError`]; the session is unchanged.
    pub fn encrypt_control<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        self.encrypt_payload(payload.into(), true, rng)
    }

    fn encrypt_payload(
        &mut self,
        payload: Payload<'_>,
        is_control: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        let len = self.message_len(payload).ok_or(EncryptError::TooLong)?;
        let mut message = alloc::vec![0; len];
        self.encrypt_payload_into(payload, is_control, &mut message, rng)?;
        Ok(message)
    }

    /// Decrypts as [`decrypt_in_place`](Self::decrypt_in_place) does, into a new `Vec`. The header is opened before the
    /// body is copied.
    ///
    /// # Errors
    /// [`DecryptError`]; the session is unchanged.
    pub fn decrypt<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<Opened<Vec<u8>>, DecryptError> {
        let Sealed { message, associated_data } = message.into();
        let head = self.open_head(message)?;
        let (tag, body) = split_body(message, head.body_at).ok_or(DecryptError::Refused)?;
        let mut plaintext = body.to_vec();
        let len = self.open_body(&head, tag, &mut plaintext, associated_data)?;
        self.exporter.erase();
        plaintext.truncate(len);
        Ok(Opened { plaintext, number: head.number(), is_control: head.is_control() })
    }

    /// Returns the session as bytes for any database, sealed under `key`. `generation` must grow with every save.
    #[must_use]
    pub fn snapshot(&self, key: &StorageKey, generation: u64) -> Vec<u8> {
        let mut out = alloc::vec![0; self.snapshot_len()];
        let len = self.snapshot_into(key, generation, &mut out).unwrap_or_default();
        out.truncate(len);
        out
    }

    /// Calls [`restore_in_place`](Self::restore_in_place) on a copy.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore_with(
        primitives: P,
        snapshot: &[u8],
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
    ) -> Result<Self, RestoreError> {
        Self::restore_in_place(primitives, &mut snapshot.to_vec(), key, subject, newest)
    }
}
