// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's methods that return a `Vec`. They call the methods with buffers.

use super::capacity::Slots;
use super::{Capacities, Device, InitiateFailed, InitiateOptions};
use crate::error::{InitiateError, PrekeyError, RestoreError};
use crate::payload::Payload;
use crate::prekeys::{Bundle, PrekeyId, Publication};
use crate::primitives::{Primitives, RustCrypto};
use crate::ratchet::skipped::Heap;
use crate::session::Session;
use crate::snapshot::{StorageKey, Subject};
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use rand_core::CryptoRng;

impl Device {
    /// Calls [`restore_with`](Self::restore_with) with the default primitives and capacity.
    ///
    /// # Errors
    /// [`RestoreError`], as in [`restore_in_place`](Self::restore_in_place).
    pub fn restore(snapshot: &[u8], key: &StorageKey, subject: &Subject, newest: u64) -> Result<Self, RestoreError> {
        Self::restore_with(RustCrypto, snapshot, key, subject, newest)
    }
}

impl<P: Primitives, C: Capacities> Device<P, C> {
    /// Rotates, deletes and makes what is due, and returns what to upload: the identity, the signed prekey, and the
    /// one-time prekeys that the server lacks. `now` is the caller's time, and `server_has` are the ids of the one-time
    /// prekeys that the server lists. Save the device before uploading.
    ///
    /// Fetch the list from the server after the last upload has ended. Pass an empty list only before the first upload:
    /// later it says that the server has handed out every prekey. The device makes others in their place, and in time
    /// deletes prekeys that the server still serves; first messages with these cannot be opened. A list from before the
    /// last upload says the same of the prekeys of that upload.
    ///
    /// Call it when the device connects to the server, at least once a day. If an upload was lost, for example by a
    /// crash after saving, the next call returns its prekeys again. Call [`upload_succeeded`](Self::upload_succeeded) after
    /// each upload that succeeded.
    ///
    /// A prekey that is not on the list was handed out. It is kept for [two days](super::policy::HANDED_OUT_KEPT) in any
    /// case, and after that until the space is needed. One that is on the list is kept until [two weeks after its
    /// expiry](super::policy::EXPIRED_KEPT).
    pub fn replenish(&mut self, now: UnixSeconds, server_has: &[PrekeyId], rng: &mut impl CryptoRng) -> Publication {
        let due = self.maintain(now, server_has);
        if self.is_rotation_due(now) {
            self.rotate(now, rng);
        }
        let mut one_time_prekeys: Vec<_> = self.unlisted_one_time_prekeys().collect();
        // `maintain` has limited `due` to the space.
        one_time_prekeys.extend((0..due).map_while(|_| self.generate_one_time_prekey(now, rng).ok()));
        Publication { identity: *self.identity(), signed_prekey: self.signed_prekey(), one_time_prekeys }
    }

    /// Makes `count` one-time prekeys, whether they are needed or not, and returns them with the identity and the signed
    /// prekey. Save the device before uploading. [`replenish`](Self::replenish) makes what is needed.
    ///
    /// # Errors
    /// [`PrekeyError::StoreFull`] if there is no space for so many; no prekey was made.
    pub fn publish(
        &mut self,
        count: usize,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Publication, PrekeyError> {
        if count > self.one_time_prekeys.remaining_capacity() {
            return Err(PrekeyError::StoreFull);
        }
        let made: Result<Vec<_>, _> = (0..count).map(|_| self.generate_one_time_prekey(now, rng)).collect();
        Ok(Publication { identity: *self.identity(), signed_prekey: self.signed_prekey(), one_time_prekeys: made? })
    }

    /// Calls [`initiate_into`](Self::initiate_into) with a new `Vec`.
    ///
    /// # Errors
    /// [`InitiateFailed`]; no session was created, and the bundle comes back.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is larger than the bundle")]
    pub fn initiate<'p>(
        &self,
        bundle: Bundle,
        payload: impl Into<Payload<'p>>,
        options: InitiateOptions,
        rng: &mut impl CryptoRng,
    ) -> Result<(Session<P, Heap>, Vec<u8>), InitiateFailed> {
        let payload = payload.into();
        let len = match options.check_identity(&bundle) {
            Ok(()) => options.first_message_len(payload).ok_or(InitiateError::TooLong),
            Err(error) => Err(error),
        };
        let len = match len {
            Ok(len) => len,
            Err(error) => return Err(InitiateFailed { error, bundle }),
        };
        let mut message = alloc::vec![0; len];
        let (session, _) = self.initiate_into(bundle, payload, options, &mut message, rng)?;
        Ok((session, message))
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
    /// [`RestoreError`], as in [`restore_in_place`](Self::restore_in_place).
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
