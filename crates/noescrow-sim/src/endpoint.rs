// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Endpoint`]: what a simulation needs of a session. Sessions implement it; so do faulty variants, which show that
//! each check can fail.

use noescrow::error::{DecryptError, EncryptError, RestoreError};
use noescrow::hazmat;
use noescrow::primitives::Primitives;
use noescrow::session::Session;
use noescrow::skipped::SkippedKeyStore;
use noescrow::snapshot::StorageKey;
use noescrow::{Payload, Sealed};
use rand_core::CryptoRng;

/// One end of a conversation.
pub trait Endpoint: Sized {
    /// The primitives that its device computes with.
    type Primitives: Primitives;

    /// Seals a message.
    ///
    /// # Errors
    /// As [`Session::encrypt`].
    fn encrypt<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError>;

    /// Opens a message.
    ///
    /// # Errors
    /// As [`Session::decrypt`].
    fn decrypt<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<Vec<u8>, DecryptError>;

    /// Keys kept for messages that have not arrived.
    fn skipped_message_keys(&self) -> usize;

    /// The post-quantum epoch of the next message.
    fn sending_epoch(&self) -> u32;

    /// The whole state as bytes, under a storage key of the endpoint's own. Equal states of equal generation give equal
    /// bytes.
    fn save(&self, generation: u64) -> Vec<u8>;

    /// Restores what [`save`](Self::save) wrote to an endpoint with the primitives of this one.
    ///
    /// # Errors
    /// As [`Session::restore_in_place`].
    fn reload(&self, snapshot: &[u8], newest: u64) -> Result<Self, RestoreError>;
}

/// Constant, because these sessions are for tests.
pub(crate) const fn storage_key() -> StorageKey {
    StorageKey::new([0x5A; 32])
}

impl<P: Primitives, S: SkippedKeyStore> Endpoint for Session<P, S> {
    type Primitives = P;

    fn encrypt<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        Self::encrypt(self, payload, rng)
    }

    fn decrypt<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<Vec<u8>, DecryptError> {
        Self::decrypt(self, message).map(|opened| opened.plaintext)
    }

    fn skipped_message_keys(&self) -> usize {
        Self::skipped_message_keys(self)
    }

    fn sending_epoch(&self) -> u32 {
        hazmat::session_epoch(self)
    }

    fn save(&self, generation: u64) -> Vec<u8> {
        self.snapshot(&storage_key(), generation)
    }

    fn reload(&self, snapshot: &[u8], newest: u64) -> Result<Self, RestoreError> {
        let primitives = hazmat::session_primitives(self).clone();
        Self::restore_in_place(primitives, &mut snapshot.to_vec(), &storage_key(), &self.subject(), newest)
    }
}
