// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Bundle`]: what a server gives to an initiator.

use super::{PREKEY_LEN, Prekey, PrekeyKind};
use crate::error::{DecodeError, InitiateError};
use crate::identity::Identity;
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use crate::wire::{IDENTITY_LEN, Reader, Writer};

/// Length in bytes of the longest encoded bundle, 3,485: identity, signed prekey, a flag, one-time prekey.
pub const BUNDLE_LEN: usize = IDENTITY_LEN + PREKEY_LEN + 1 + PREKEY_LEN;

/// The keys that a server gives to somebody who wants to write to a device: the device's identity, its signed prekey,
/// and a one-time prekey if any is left. Every value is verified. At most [`BUNDLE_LEN`] bytes encoded.
///
/// There is no `Clone`: a bundle begins one session. Of two sessions from one bundle with a one-time prekey, the peer
/// can open one only.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    identity: Identity,
    signed_prekey: Prekey,
    one_time_prekey: Option<Prekey>,
}

impl Bundle {
    /// Builds a bundle from verified parts.
    ///
    /// # Errors
    /// [`DecodeError::Refused`] if a prekey is of the other kind (attack B5) or was verified under another identity
    /// (attack B1).
    pub fn new(
        identity: Identity,
        signed_prekey: Prekey,
        one_time_prekey: Option<Prekey>,
    ) -> Result<Self, DecodeError> {
        let fit = signed_prekey.fits(&identity, PrekeyKind::Signed)
            && one_time_prekey.as_ref().is_none_or(|prekey| prekey.fits(&identity, PrekeyKind::OneTime));
        if fit { Ok(Self { identity, signed_prekey, one_time_prekey }) } else { Err(DecodeError::Refused) }
    }

    /// Parses a bundle and verifies every signature in it (HS-I1).
    ///
    /// # Errors
    /// [`DecodeError::Refused`] if any part of it is invalid.
    pub fn from_bytes<P: Primitives>(primitives: &P, bytes: &[u8]) -> Result<Self, DecodeError> {
        primitives.step("HS-I1");
        let mut reader = Reader::new(bytes);
        let identity = Identity::from_bytes(primitives, reader.array()?)?;
        let signed_prekey = Prekey::from_bytes(primitives, &identity, reader.array()?)?;
        let one_time_prekey = match reader.flag()? {
            true => Some(Prekey::from_bytes(primitives, &identity, reader.array()?)?),
            false => None,
        };
        reader.finish()?;
        Self::new(identity, signed_prekey, one_time_prekey)
    }

    /// Writes identity (128), signed prekey (1,678), a flag (1) and, if the flag is 1, the one-time prekey (1,678).
    /// Returns the number of bytes, or `None` if `out` is shorter; [`BUNDLE_LEN`] bytes always suffice.
    #[must_use]
    pub fn write_to(&self, out: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(out);
        writer.put(&self.identity.to_bytes()).ok()?;
        writer.put(&self.signed_prekey.to_bytes()).ok()?;
        writer.u8(u8::from(self.one_time_prekey.is_some())).ok()?;
        if let Some(prekey) = &self.one_time_prekey {
            writer.put(&prekey.to_bytes()).ok()?;
        }
        Some(writer.written())
    }

    /// Returns the encoding that [`write_to`](Self::write_to) writes.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_bytes(&self) -> alloc::vec::Vec<u8> {
        let mut bytes = alloc::vec![0; BUNDLE_LEN];
        let len = self.write_to(&mut bytes).unwrap_or_default();
        bytes.truncate(len);
        bytes
    }

    /// Returns the same bundle once more.
    #[cfg(any(feature = "alloc", feature = "hazmat"))]
    pub(crate) fn duplicate(&self) -> Self {
        let Self { identity, signed_prekey, one_time_prekey } = self;
        Self { identity: *identity, signed_prekey: signed_prekey.clone(), one_time_prekey: one_time_prekey.clone() }
    }

    /// Returns the identity that this bundle claims to belong to. Compare it, or the safety number, with what the user
    /// knows: a server can insert its own identity here (attack B22).
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the signed prekey.
    #[must_use]
    pub const fn signed_prekey(&self) -> &Prekey {
        &self.signed_prekey
    }

    /// Returns the one-time prekey. Without one, the first messages have no forward secrecy until the owner deletes the
    /// signed prekey's last-resort key, [a week](crate::device::policy::LAST_RESORT_KEPT) after replacing it (attack
    /// B10).
    #[must_use]
    pub const fn one_time_prekey(&self) -> Option<&Prekey> {
        self.one_time_prekey.as_ref()
    }

    /// Returns the same bundle without its one-time prekey.
    ///
    /// Use it if the server says that the one-time prekey is used or withdrawn, or to begin a session again with a bundle
    /// whose one-time prekey an earlier attempt may have used up: the peer opens one first message with it, and any number
    /// without it. A fresh bundle from the server is better.
    ///
    /// # Security
    /// Without a one-time prekey the first messages have less forward secrecy: see
    /// [`one_time_prekey`](Self::one_time_prekey).
    #[must_use]
    pub fn without_one_time(self) -> Self {
        Self { one_time_prekey: None, ..self }
    }

    /// Checks that the signed prekey has not expired at the caller's time (HS-I2; attack B12).
    pub(crate) fn check_expiry(&self, now: UnixSeconds) -> Result<(), InitiateError> {
        let expiry = self.signed_prekey.expiry();
        match expiry < now {
            true => Err(InitiateError::Expired { id: self.signed_prekey.id(), expiry }),
            false => Ok(()),
        }
    }

    /// HS-I2: leaves out a one-time prekey that has expired at the caller's time. Its owner may have deleted it, and
    /// then the message would be lost. Without it the message opens, with the secrecy that it has when the server
    /// serves no one-time prekey, which the server can cause in any case.
    pub(crate) fn leave_out_expired(&mut self, now: UnixSeconds) {
        if self.one_time_prekey.as_ref().is_some_and(|prekey| prekey.expiry() < now) {
            self.one_time_prekey = None;
        }
    }
}
