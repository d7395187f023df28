// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shortcuts that skip a decision of the caller, for tests and simulations: who may begin a session, and that a bundle
//! is used once.

use crate::device::{Capacities, Device};
use crate::error::AcceptError;
#[cfg(feature = "alloc")]
use crate::payload::Sealed;
use crate::prekeys::Bundle;
use crate::primitives::Primitives;
#[cfg(feature = "alloc")]
use crate::ratchet::skipped::Heap;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::session::Session;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Accepting a first message in one call, whoever wrote it.
///
/// # Security
/// The associated data cannot depend on the author, so it does not bind who talks to whom; and a blocked author begins a
/// session like any other. For production use [`Device::open`].
pub trait AcceptFromAnyone<P> {
    /// Opens and accepts a first message and returns the new session and the plaintext.
    ///
    /// # Errors
    /// [`AcceptError`]; the device is unchanged.
    #[cfg(feature = "alloc")]
    fn accept<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<(Session<P, Heap>, Vec<u8>), AcceptError>;

    /// Does the same, in place. The plaintext is a part of the message.
    ///
    /// # Errors
    /// [`AcceptError`]; the device is unchanged, and the buffer contains no plaintext.
    fn accept_in_place<'m, S: SkippedKeyStore>(
        &mut self,
        message: &'m mut [u8],
        associated_data: &[u8],
    ) -> Result<(Session<P, S>, &'m mut [u8]), AcceptError>;
}

impl<P: Primitives, C: Capacities> AcceptFromAnyone<P> for Device<P, C> {
    #[cfg(feature = "alloc")]
    fn accept<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<(Session<P, Heap>, Vec<u8>), AcceptError> {
        let Sealed { message, associated_data } = message.into();
        let (session, opened) = self.open(message)?.accept(associated_data)?;
        Ok((session, opened.plaintext))
    }

    fn accept_in_place<'m, S: SkippedKeyStore>(
        &mut self,
        message: &'m mut [u8],
        associated_data: &[u8],
    ) -> Result<(Session<P, S>, &'m mut [u8]), AcceptError> {
        let (session, opened) = self.open_in_place(message)?.accept_in_place(associated_data)?;
        Ok((session, opened.plaintext))
    }
}

/// Returns a second copy of a bundle.
///
/// # Security
/// Of two sessions from one bundle with a one-time prekey, the peer can open one only.
#[must_use]
pub fn duplicate_bundle(bundle: &Bundle) -> Bundle {
    bundle.duplicate()
}
