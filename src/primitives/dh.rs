// SPDX-License-Identifier: MIT OR Apache-2.0
//! Curve25519 keys, each with one valid encoding.

use super::{PUBLIC_KEY_LEN, Primitives, random_secret};
use crate::error::DecodeError;
use crate::secret::Secret;
use rand_core::CryptoRng;

/// p - 1 = 2^255 - 20, little-endian: the largest canonical u-coordinate.
const P_MINUS_1: [u8; 32] = {
    let mut bytes = [0xFF; 32];
    bytes[0] = 0xEC;
    bytes[31] = 0x7F;
    bytes
};

/// The canonical u-coordinates that give an all-zero X25519 output for every scalar: 0, 1, two of order 8, and p - 1.
/// The other encodings of these points (p, p + 1, and all with bit 255 set) are not canonical.
pub(crate) const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    P_MINUS_1,
];

/// A Curve25519 public key: a canonical u-coordinate (u < p, bit 255 clear) that is not of low order. 32 bytes.
///
/// The handshake uses keys that have not been authenticated yet and checks them for torsion with
/// [`Primitives::dh_is_torsion_free`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DhPublicKey([u8; PUBLIC_KEY_LEN]);

impl DhPublicKey {
    /// Parses a key. Each key has one valid encoding (attacks A1, A2, A3).
    ///
    /// # Errors
    /// [`DecodeError::Refused`] if u ≥ p, bit 255 is set, or the point has low order.
    ///
    /// # Leaks
    /// Everything: the key is public.
    pub fn from_bytes(bytes: [u8; PUBLIC_KEY_LEN]) -> Result<Self, DecodeError> {
        let canonical = bytes.iter().rev().le(P_MINUS_1.iter().rev());
        if canonical && !LOW_ORDER.contains(&bytes) { Ok(Self(bytes)) } else { Err(DecodeError::Refused) }
    }

    /// No key: zeros, which have low order and are no key's encoding. They initialize the place of a key.
    pub(crate) const NONE: Self = Self([0; PUBLIC_KEY_LEN]);

    /// Computes the public key of a secret scalar, which is clamped when used.
    pub(crate) fn of<P: Primitives>(primitives: &P, secret: &Secret<32>) -> Self {
        // A clamped scalar is a multiple of 8 below 8q and not 0, so its public point has prime order. It is canonical
        // by construction and needs no check.
        Self(primitives.dh_public(secret))
    }

    /// Returns the key's only encoding, 32 bytes, little-endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0
    }
}

/// A Curve25519 key pair. It stores the public key, because computing it costs half as much as a Diffie-Hellman
/// operation.
#[derive(Debug)]
pub struct DhKeyPair {
    pub(crate) secret: Secret<32>,
    pub(crate) public: DhPublicKey,
}

impl DhKeyPair {
    /// Generates a pair from 32 bytes drawn from `rng`.
    pub(crate) fn generate<P: Primitives>(primitives: &P, rng: &mut impl CryptoRng) -> Self {
        Self::from_secret(primitives, random_secret(primitives, rng))
    }

    /// Returns zeros, to initialize unused space.
    pub(crate) const fn zeroed() -> Self {
        Self { secret: Secret::zero(), public: DhPublicKey::NONE }
    }

    /// Returns the pair of a secret scalar, which is clamped when used.
    pub(crate) fn from_secret<P: Primitives>(primitives: &P, secret: Secret<32>) -> Self {
        let public = DhPublicKey::of(primitives, &secret);
        Self { secret, public }
    }

    /// Makes a second copy of the pair: the signed prekey that becomes the responder's first ratchet key pair (DR-I2).
    pub(crate) fn duplicate(&self) -> Self {
        Self { secret: self.secret.duplicate(), public: self.public }
    }
}
