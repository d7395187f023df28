// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's methods that return a `Vec`. They call the methods with buffers.

use super::Device;
use crate::error::{AcceptError, InitiateError, PrekeyError, RestoreError};
use crate::prekeys::{Bundle, Publication};
use crate::primitives::Primitives;
use crate::ratchet::skipped::Heap;
use crate::session::Session;
use crate::snapshot::StorageKey;
use crate::wire::ChunkSize;
use alloc::vec::Vec;
use rand_core::CryptoRng;

impl<P: Primitives, const ONE_TIME: usize, const REPLAY: usize> Device<P, ONE_TIME, REPLAY> {
    /// Calls [`generate_with`](Self::generate_with) with the default instance of the primitives.
    pub fn generate(expiry: u64, rng: &mut impl CryptoRng) -> Self
    where
        P: Default,
    {
        Self::generate_with(P::default(), expiry, rng)
    }

    /// Makes `count` one-time prekeys and returns everything that a server needs: the identity, the signed prekey, and
    /// the new one-time prekeys. Save the device before uploading.
    ///
    /// # Errors
    /// [`PrekeyError`]; no prekey was made.
    pub fn publish(&mut self, count: usize, expiry: u64, rng: &mut impl CryptoRng) -> Result<Publication, PrekeyError> {
        if count > self.one_time_prekeys.remaining_capacity() {
            return Err(PrekeyError::StoreFull);
        }
        let ids = u32::try_from(count).map_err(|_| PrekeyError::StoreFull)?;
        self.next_id.checked_add(ids).ok_or(PrekeyError::IdsExhausted)?;
        let made: Result<Vec<_>, _> = (0..count).map(|_| self.generate_one_time_prekey(expiry, rng)).collect();
        Ok(Publication { identity: *self.identity(), signed_prekey: self.signed_prekey(), one_time_prekeys: made? })
    }

    /// Makes one-time prekeys until the device holds `target`; otherwise it behaves as [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`PrekeyError`]; no prekey was made.
    pub fn replenish(
        &mut self,
        target: usize,
        expiry: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Publication, PrekeyError> {
        self.publish(target.saturating_sub(self.one_time_prekeys.len()), expiry, rng)
    }

    /// Calls [`initiate_into`](Self::initiate_into) with a new `Vec`.
    ///
    /// # Errors
    /// [`InitiateError`]; no session was created.
    pub fn initiate(
        &self,
        bundle: &Bundle,
        plaintext: &[u8],
        associated_data: &[u8],
        now: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Session<P, Heap>, Vec<u8>), InitiateError> {
        self.initiate_with(ChunkSize::default(), bundle, plaintext, associated_data, now, rng)
    }

    /// Calls [`initiate`](Self::initiate) with a chunk size other than the default.
    ///
    /// # Errors
    /// [`InitiateError`]; no session was created.
    pub fn initiate_with(
        &self,
        chunk_size: ChunkSize,
        bundle: &Bundle,
        plaintext: &[u8],
        associated_data: &[u8],
        now: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Session<P, Heap>, Vec<u8>), InitiateError> {
        let len = Self::first_message_len_with(chunk_size, plaintext.len()).ok_or(InitiateError::TooLong)?;
        let mut message = alloc::vec![0; len];
        let (session, _) =
            self.initiate_into_with(chunk_size, bundle, plaintext, associated_data, now, &mut message, rng)?;
        Ok((session, message))
    }

    /// Calls [`accept_in_place`](Self::accept_in_place) on a copy and returns the new session and the plaintext.
    ///
    /// # Errors
    /// [`AcceptError`]; the device is unchanged.
    pub fn accept(
        &mut self,
        message: &[u8],
        associated_data: &[u8],
    ) -> Result<(Session<P, Heap>, Vec<u8>), AcceptError> {
        let mut buffer = message.to_vec();
        let (session, plaintext) = self.accept_in_place(&mut buffer, associated_data)?;
        let plaintext = plaintext.to_vec();
        zeroize::Zeroize::zeroize(&mut buffer);
        Ok((session, plaintext))
    }

    /// Returns the device as bytes for any database, sealed under `key`. `generation` must grow with every save.
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
    /// [`RestoreError`] if the key is wrong, the snapshot is damaged, or its generation is older than `newest`.
    pub fn restore(snapshot: &[u8], key: &StorageKey, newest: u64) -> Result<Self, RestoreError>
    where
        P: Default,
    {
        Self::restore_in_place(P::default(), &mut snapshot.to_vec(), key, newest)
    }
}
