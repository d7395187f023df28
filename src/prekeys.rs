// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prekeys: the keys that a device publishes so that others can write to it while it is offline.
//!
//! A prekey is a pair, an X25519 key and an ML-KEM-1024 key, under one signature that also covers the suite, the kind,
//! the highest version, the id and the expiry (differences D3, D4 in spec/protocol.md). The signed prekey (SPK)
//! includes the last-resort KEM key (PQSPK); a one-time prekey (OPK) includes a one-time KEM key (PQOPK).
//!
//! This module is not concerned with which prekey a handshake uses and when a prekey is deleted.

mod bundle;
#[cfg(feature = "alloc")]
mod publication;

pub use bundle::{BUNDLE_LEN, Bundle};
#[cfg(feature = "alloc")]
pub use publication::{MAX_PUBLISHED_PREKEYS, PUBLICATION_LEN, Publication};

use crate::error::DecodeError;
use crate::identity::{Identity, IdentityKeyPair};
use crate::labels;
use crate::primitives::{
    DhKeyPair, DhPublicKey, KEM_PUBLIC_LEN, KEM_SEED_LEN, PUBLIC_KEY_LEN, Primitives, SIGNATURE_LEN, random_secret,
};
use crate::secret::Secret;
use crate::time::UnixSeconds;
use crate::wipe;
use crate::wire::{Full, Reader, Writer};
use core::fmt;
use rand_core::CryptoRng;

/// Length in bytes of a prekey's signed description: kind, highest version, id, expiry, X25519 key, ML-KEM key.
const DESCRIPTION_LEN: usize = 1 + 1 + 4 + 8 + PUBLIC_KEY_LEN + KEM_PUBLIC_LEN;
/// Length in bytes of the signed message: label, suite, description.
const SIGNED_LEN: usize = labels::PREKEY.len() + labels::PQXDH.len() + DESCRIPTION_LEN;
/// Length in bytes of an encoded prekey, 1,678: description and signature.
pub const PREKEY_LEN: usize = DESCRIPTION_LEN + SIGNATURE_LEN;

/// The highest version of the protocol that this crate speaks. Every prekey states it under its signature, because an
/// identity has no expiry: a server could serve an old statement for ever.
pub(crate) const MAX_VERSION: u8 = 1;

/// The device's id for one of its prekeys, 4 bytes: random, not 0, and distinct from those of all keys that the device
/// holds. It shows neither how many prekeys were made nor how fast. A server stores and lists ids as numbers.
pub type PrekeyId = u32;

/// The purpose of a prekey. The signature covers the kind, so that one kind cannot be passed off as the other (attack
/// B5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PrekeyKind {
    /// SPK with the last-resort PQSPK. Many handshakes use it; rotation replaces it.
    Signed,
    /// OPK with PQOPK. One handshake uses it and then it is deleted.
    OneTime,
}

impl PrekeyKind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Signed => 1,
            Self::OneTime => 2,
        }
    }

    const fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            1 => Ok(Self::Signed),
            2 => Ok(Self::OneTime),
            _ => Err(DecodeError::Refused),
        }
    }
}

impl fmt::Display for PrekeyKind {
    /// Writes `signed` or `one-time`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "signed",
            Self::OneTime => "one-time",
        })
    }
}

/// A prekey without its signature. AD covers a digest of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Description {
    kind: PrekeyKind,
    max_version: u8,
    id: PrekeyId,
    expiry: UnixSeconds,
    dh_key: DhPublicKey,
    kem_key: [u8; KEM_PUBLIC_LEN],
}

impl Description {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(self.kind.to_byte())?;
        writer.u8(self.max_version)?;
        writer.u32(self.id)?;
        writer.u64(self.expiry.0)?;
        writer.put(self.dh_key.as_bytes())?;
        writer.put(&self.kem_key)
    }

    fn to_bytes(&self) -> [u8; DESCRIPTION_LEN] {
        let mut bytes = [0; DESCRIPTION_LEN];
        // The lengths add up to DESCRIPTION_LEN.
        let _ = self.write(&mut Writer::new(&mut bytes));
        bytes
    }

    /// Returns the digest that represents the prekey in AD.
    pub(crate) fn digest<P: Primitives>(&self, primitives: &P) -> [u8; 32] {
        primitives.sha256(&[&self.to_bytes()])
    }

    /// Returns the bytes that the identity signs: `label || suite || kind || highest
    /// version || id || expiry || X25519 key || ML-KEM key`.
    fn signed(&self) -> [u8; SIGNED_LEN] {
        let mut bytes = [0; SIGNED_LEN];
        let mut writer = Writer::new(&mut bytes);
        // The lengths add up to SIGNED_LEN.
        let _ =
            writer.put(labels::PREKEY).and_then(|()| writer.put(labels::PQXDH)).and_then(|()| self.write(&mut writer));
        bytes
    }

    /// Signs the description (PK-1).
    pub(crate) fn sign<P: Primitives>(self, primitives: &P, identity: &IdentityKeyPair) -> Prekey {
        primitives.step("PK-1");
        let signature = primitives.sign(identity.signing_seed(), &self.signed());
        Prekey { description: self, signature, signer: *identity.public().signing_key() }
    }
}

/// A public prekey, 1,678 bytes encoded. Every value is verified, under the identity with which it was parsed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prekey {
    description: Description,
    signature: [u8; SIGNATURE_LEN],
    /// The signing key under which the prekey was verified. A bundle of another identity refuses it (attack B1).
    signer: [u8; PUBLIC_KEY_LEN],
}

impl Prekey {
    /// Parses a prekey of `identity` and verifies it (PK-2).
    ///
    /// # Errors
    /// [`DecodeError::Refused`] if the prekey is malformed, if its id or its version is 0, if its keys are not
    /// canonical, have torsion or fail the modulus check, or if the signature is not `identity`'s (attacks B1, B2, B3,
    /// B5, B11).
    pub fn from_bytes<P: Primitives>(
        primitives: &P,
        identity: &Identity,
        bytes: &[u8; PREKEY_LEN],
    ) -> Result<Self, DecodeError> {
        primitives.step("PK-2");
        let mut reader = Reader::new(bytes);
        let description = Description {
            kind: PrekeyKind::from_byte(reader.u8()?)?,
            max_version: reader.u8()?,
            id: reader.u32()?,
            expiry: UnixSeconds(reader.u64()?),
            dh_key: reader.dh_public()?,
            kem_key: *reader.array()?,
        };
        let signature = *reader.array()?;
        reader.finish()?;
        let valid = description.max_version != 0
            && description.id != 0
            && primitives.dh_is_torsion_free(description.dh_key.as_bytes())
            && primitives.kem_public_is_valid(&description.kem_key)
            && primitives.verify(identity.signing_key(), &description.signed(), &signature).is_ok();
        let signer = *identity.signing_key();
        if valid { Ok(Self { description, signature, signer }) } else { Err(DecodeError::Refused) }
    }

    /// Returns the encoding, 1,678 bytes: kind (1), highest version (1), id (4), expiry (8), X25519 key (32),
    /// ML-KEM-1024 key (1,568), signature (64).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PREKEY_LEN] {
        let mut bytes = [0; PREKEY_LEN];
        let (description, signature) = bytes.split_at_mut(DESCRIPTION_LEN);
        description.copy_from_slice(&self.description.to_bytes());
        signature.copy_from_slice(&self.signature);
        bytes
    }

    pub(crate) const fn description(&self) -> &Description {
        &self.description
    }

    /// Returns whether this is a prekey of `kind` that was verified under `identity`.
    pub(crate) fn fits(&self, identity: &Identity, kind: PrekeyKind) -> bool {
        self.kind() == kind && self.signer == *identity.signing_key()
    }

    /// Returns the kind: signed or one-time.
    #[must_use]
    pub const fn kind(&self) -> PrekeyKind {
        self.description.kind
    }

    /// Returns the highest version of the protocol that the device speaks. It may be higher than this crate's.
    #[must_use]
    pub const fn max_version(&self) -> u8 {
        self.description.max_version
    }

    /// Returns the device's id for this key.
    #[must_use]
    pub const fn id(&self) -> PrekeyId {
        self.description.id
    }

    /// Returns the last second at which a session may be initiated with this key.
    #[must_use]
    pub const fn expiry(&self) -> UnixSeconds {
        self.description.expiry
    }

    /// Returns the X25519 key.
    #[must_use]
    pub const fn dh_key(&self) -> &DhPublicKey {
        &self.description.dh_key
    }

    /// Returns the ML-KEM-1024 key, 1,568 bytes.
    #[must_use]
    pub const fn kem_key(&self) -> &[u8; KEM_PUBLIC_LEN] {
        &self.description.kem_key
    }
}

impl fmt::Debug for Prekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { description, signature: _, signer: _ } = self;
        let Description { kind, max_version: _, id, expiry, dh_key: _, kem_key: _ } = description;
        f.debug_struct("Prekey").field("kind", kind).field("id", id).field("expiry", expiry).finish_non_exhaustive()
    }
}

/// A prekey with its private keys. The private KEM key is stored as its 64-byte seed.
#[derive(Debug)]
pub(crate) struct PrekeyPair {
    pub(crate) kind: PrekeyKind,
    /// The version that the published description states.
    pub(crate) max_version: u8,
    pub(crate) id: PrekeyId,
    pub(crate) expiry: UnixSeconds,
    pub(crate) dh: DhKeyPair,
    pub(crate) kem_seed: Secret<KEM_SEED_LEN>,
    /// SHA-256 of the description. It is stored because computing the KEM's public key takes a key generation.
    pub(crate) digest: [u8; 32],
}

impl PrekeyPair {
    /// Generates a pair and returns it with its description to sign: computing that again would cost a KEM key
    /// generation.
    pub(crate) fn generate<P: Primitives>(
        primitives: &P,
        kind: PrekeyKind,
        id: PrekeyId,
        expiry: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> (Self, Description) {
        let dh = DhKeyPair::generate(primitives, rng);
        let kem_seed = random_secret(primitives, rng);
        let mut pair = Self { kind, max_version: MAX_VERSION, id, expiry, dh, kem_seed, digest: [0; 32] };
        let description = pair.description(primitives);
        pair.digest = description.digest(primitives);
        (pair, description)
    }

    /// Returns zeros, to initialize unused space.
    pub(crate) fn zeroed() -> Self {
        let (dh, kem_seed) = (DhKeyPair::zeroed(), Secret::zero());
        let expiry = UnixSeconds(0);
        Self { kind: PrekeyKind::OneTime, max_version: 0, id: 0, expiry, dh, kem_seed, digest: [0; 32] }
    }

    /// Returns the description. It is computed on request, because that is cheaper than storing 1.6 kB per key.
    fn description<P: Primitives>(&self, primitives: &P) -> Description {
        let Self { kind, max_version, id, expiry, dh, kem_seed, digest: _ } = self;
        let kem_key = primitives.kem_public(kem_seed);
        let (kind, max_version, id, expiry) = (*kind, *max_version, *id, *expiry);
        Description { kind, max_version, id, expiry, dh_key: dh.public, kem_key }
    }

    /// Returns the signed public prekey.
    pub(crate) fn public<P: Primitives>(&self, primitives: &P, identity: &IdentityKeyPair) -> Prekey {
        self.description(primitives).sign(primitives, identity)
    }

    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(self.id)?;
        writer.u8(self.max_version)?;
        writer.u64(self.expiry.0)?;
        writer.put(self.dh.secret.expose())?;
        writer.put(self.kem_seed.expose())?;
        writer.put(&self.digest)
    }

    pub(crate) fn load<P: Primitives>(
        primitives: &P,
        kind: PrekeyKind,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let (id, max_version) = (reader.u32()?, reader.u8()?);
        if max_version == 0 {
            return Err(DecodeError::Refused);
        }
        Ok(Self {
            kind,
            max_version,
            id,
            expiry: UnixSeconds(reader.u64()?),
            dh: DhKeyPair::from_secret(primitives, Secret::new(*reader.array()?)),
            kem_seed: Secret::new(*reader.array()?),
            digest: *reader.array()?,
        })
    }

    /// Checks that the digest is that of what these keys describe (SN-2), which takes a KEM key generation.
    pub(crate) fn check_digest<P: Primitives>(&self, primitives: &P) -> Result<(), DecodeError> {
        let digest = || self.description(primitives).digest(primitives);
        match wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(digest) == self.digest {
            true => Ok(()),
            false => Err(DecodeError::Refused),
        }
    }

    /// Returns a number that is another for another pair, even with the same id, and for another `state` of it. Nothing
    /// stored of a pair ever changes.
    #[cfg(feature = "alloc")]
    pub(crate) fn stamp(&self, state: usize) -> u64 {
        let part = self.digest.as_chunks().0.get(state).copied();
        u64::from_be_bytes(part.unwrap_or_default())
    }

    /// Number of bytes that [`store`](Self::store) writes.
    pub(crate) const STORED_LEN: usize = 4 + 1 + 8 + 32 + KEM_SEED_LEN + 32;
}
