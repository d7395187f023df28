// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be read from a durable device. It does not dereference to the device: a public prekey of a step that is not
//! saved must not leave, and [`Device::initiate`], which takes a shared reference, would begin a session that no store
//! has.

use super::{Durable, StepError};
use crate::device::{Capacities, Device, LOGIN_CHALLENGE_LEN};
use crate::identity::{Identity, SafetyNumber};
use crate::prekeys::Prekey;
use crate::primitives::{Primitives, SIGNATURE_LEN};
use crate::snapshot::StorageKey;
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::convert::Infallible;

/// Reads that are permitted while the last step is not saved.
impl<P: Primitives, C: Capacities> Durable<Device<P, C>> {
    /// Returns [`Device::identity`].
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        self.inner.identity()
    }

    /// Calls [`Device::safety_number`].
    #[must_use]
    pub fn safety_number(&self, remote: &Identity) -> SafetyNumber {
        self.inner.safety_number(remote)
    }

    /// Calls [`Device::sign_login`].
    ///
    /// # Security
    /// As there.
    #[must_use]
    pub fn sign_login(&self, challenge: &[u8; LOGIN_CHALLENGE_LEN]) -> [u8; SIGNATURE_LEN] {
        self.inner.sign_login(challenge)
    }

    /// Calls [`Device::is_rotation_due`].
    #[must_use]
    pub fn is_rotation_due(&self, now: UnixSeconds) -> bool {
        self.inner.is_rotation_due(now)
    }

    /// Returns [`Device::one_time_prekeys_left`], with a step that is not saved.
    #[must_use]
    pub fn one_time_prekeys_left(&self) -> usize {
        self.inner.one_time_prekeys_left()
    }

    /// Calls [`Device::unknown_one_time_prekeys`].
    pub fn unknown_one_time_prekeys<'a>(&'a self, server_has: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        self.inner.unknown_one_time_prekeys(server_has)
    }

    /// Returns [`Device::snapshot_len`].
    #[must_use]
    pub fn snapshot_len(&self) -> usize {
        self.inner.snapshot_len()
    }
}

/// Reads that are refused while the last step is not saved.
impl<P: Primitives, C: Capacities> Durable<Device<P, C>> {
    fn saved(&self) -> Result<&Device<P, C>, StepError<Infallible>> {
        if self.is_saved() { Ok(&self.inner) } else { Err(StepError::NotSaved) }
    }

    /// Calls [`Device::signed_prekey`].
    ///
    /// # Errors
    /// [`StepError::NotSaved`]: the store may not have its private keys.
    pub fn signed_prekey(&self) -> Result<Prekey, StepError<Infallible>> {
        self.saved().map(Device::signed_prekey)
    }

    /// Calls [`Device::unlisted_one_time_prekeys`].
    ///
    /// # Errors
    /// [`StepError::NotSaved`]: the store may not have their private keys.
    pub fn unlisted_one_time_prekeys(&self) -> Result<impl Iterator<Item = Prekey>, StepError<Infallible>> {
        self.saved().map(Device::unlisted_one_time_prekeys)
    }

    /// Calls [`Device::snapshot`].
    ///
    /// # Errors
    /// [`StepError::NotSaved`].
    pub fn snapshot(&self, key: &StorageKey, generation: u64) -> Result<Vec<u8>, StepError<Infallible>> {
        self.saved().map(|device| device.snapshot(key, generation))
    }
}
