// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Operation`]: one call of a primitive, with all its inputs and outputs.

/// Which primitive was called. The number is its byte in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A value was drawn from the caller's generator.
    Fresh = 1,
    /// A secret came from outside the protocol: a storage key, another handshake.
    Given = 2,
    /// X25519 public key of a private one.
    DhPublic = 3,
    /// X25519.
    Dh = 4,
    /// Ed25519 public key of a seed.
    SigningPublic = 5,
    /// Ed25519 signature.
    Sign = 6,
    /// Ed25519 verification that succeeded.
    Verify = 7,
    /// ML-KEM-1024 encapsulation key of a seed.
    KemPublic = 8,
    /// ML-KEM-1024 encapsulation.
    Encapsulate = 9,
    /// ML-KEM-1024 decapsulation.
    Decapsulate = 10,
    /// HMAC-SHA-256.
    Hmac = 11,
    /// HKDF-SHA-256.
    Hkdf = 12,
    /// HKDF-Expand with SHA-256.
    HkdfExpand = 13,
    /// SHA-256.
    Sha256 = 14,
    /// SHA-512.
    Sha512 = 15,
    /// AES-256-GCM sealing. The ciphertext is not recorded: key, nonce and plaintext determine it.
    Seal = 16,
    /// AES-256-GCM opening that succeeded.
    Open = 17,
    /// Both parts of the ML-KEM-768 encapsulation key of a seed.
    IncrementalPublic = 19,
    /// The first step of ML-KEM-768's encapsulation. Its ct1 is recorded with the second step's ct2, because no other
    /// implementation computes it without the whole key.
    Encaps1 = 20,
    /// The second step, with the outputs of both.
    Encaps2 = 21,
    /// ML-KEM-768 decapsulation.
    IncrementalDecapsulate = 22,
    /// A primitive refused: an all-zero shared secret, a signature or tag that does not verify. It has no output.
    Refused = 18,
}

impl Kind {
    /// Every kind, in the order of their introduction.
    pub const ALL: [Self; 22] = [
        Self::Fresh,
        Self::Given,
        Self::DhPublic,
        Self::Dh,
        Self::SigningPublic,
        Self::Sign,
        Self::Verify,
        Self::KemPublic,
        Self::Encapsulate,
        Self::Decapsulate,
        Self::Hmac,
        Self::Hkdf,
        Self::HkdfExpand,
        Self::Sha256,
        Self::Sha512,
        Self::Seal,
        Self::Open,
        Self::Refused,
        Self::IncrementalPublic,
        Self::Encaps1,
        Self::Encaps2,
        Self::IncrementalDecapsulate,
    ];

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether it is a hash without a key.
    pub(crate) const fn is_hash(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha512)
    }

    /// The operation's name in derivations and profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Given => "given",
            Self::DhPublic => "X25519 public key",
            Self::Dh => "X25519",
            Self::SigningPublic => "Ed25519 public key",
            Self::Sign => "Ed25519 signature",
            Self::Verify => "Ed25519 verification",
            Self::KemPublic => "ML-KEM-1024 encapsulation key",
            Self::Encapsulate => "ML-KEM-1024 encapsulation",
            Self::Decapsulate => "ML-KEM-1024 decapsulation",
            Self::Hmac => "HMAC-SHA-256",
            Self::Hkdf => "HKDF-SHA-256",
            Self::HkdfExpand => "HKDF-Expand",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
            Self::Seal => "AES-256-GCM sealing",
            Self::Open => "AES-256-GCM opening",
            Self::Refused => "refusal",
            Self::IncrementalPublic => "ML-KEM-768 encapsulation key",
            Self::Encaps1 => "ML-KEM-768 encapsulation, first step",
            Self::Encaps2 => "ML-KEM-768 encapsulation, second step",
            Self::IncrementalDecapsulate => "ML-KEM-768 decapsulation",
        }
    }
}

/// What a field of an operation is. The number is its byte in a trace, where bit 7 marks an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// A value drawn from a generator, or given from outside.
    Value = 1,
    /// An X25519 private key, 32 bytes.
    DhPrivate = 2,
    /// An X25519 public key, 32 bytes.
    DhPublic = 3,
    /// An X25519 shared secret, 32 bytes.
    DhShared = 4,
    /// An Ed25519 seed, 32 bytes.
    SigningSeed = 5,
    /// An Ed25519 public key, 32 bytes.
    SigningPublic = 6,
    /// The signed message.
    Message = 7,
    /// An Ed25519 signature, 64 bytes.
    Signature = 8,
    /// An ML-KEM-1024 seed, 64 bytes.
    KemSeed = 9,
    /// An ML-KEM-1024 encapsulation key, 1568 bytes.
    KemPublic = 10,
    /// ML-KEM encapsulation randomness, 32 bytes.
    KemCoins = 11,
    /// An ML-KEM-1024 ciphertext, 1568 bytes.
    KemCiphertext = 12,
    /// An ML-KEM-1024 shared secret, 32 bytes.
    KemShared = 13,
    /// HMAC's key, HKDF's salt, HKDF-Expand's pseudorandom key.
    KdfKey = 14,
    /// HKDF's input keying material; each part is a field.
    KdfInput = 15,
    /// HKDF's info, or the message of HMAC or a hash; each part is a field.
    Context = 16,
    /// The output of HMAC or HKDF.
    KdfOutput = 17,
    /// The output of a hash.
    Digest = 18,
    /// An AES-256-GCM key, 32 bytes.
    AeadKey = 19,
    /// An AES-256-GCM nonce, 12 bytes.
    Nonce = 20,
    /// AES-256-GCM's associated data, whole.
    AssociatedData = 21,
    /// The plaintext that is sealed or was opened.
    Plaintext = 22,
    /// An AES-256-GCM tag, 16 bytes.
    Tag = 23,
    /// The first part of an ML-KEM-768 encapsulation key, 64 bytes.
    EkHeader = 24,
    /// Its second part, 1152 bytes.
    EkVector = 25,
    /// The first part of an ML-KEM-768 ciphertext, 960 bytes.
    Ct1 = 26,
    /// Its second part, 128 bytes.
    Ct2 = 27,
    /// AES-256-GCM's associated data by length (u32) and SHA-256, 36 bytes: the trace has the bytes at an earlier
    /// operation.
    AssociatedDataReference = 28,
}

impl Role {
    /// The bit of a role's byte that marks an output.
    pub(crate) const OUTPUT: u8 = 0x80;

    /// Every role, by its byte.
    pub const ALL: [Self; 28] = [
        Self::Value,
        Self::DhPrivate,
        Self::DhPublic,
        Self::DhShared,
        Self::SigningSeed,
        Self::SigningPublic,
        Self::Message,
        Self::Signature,
        Self::KemSeed,
        Self::KemPublic,
        Self::KemCoins,
        Self::KemCiphertext,
        Self::KemShared,
        Self::KdfKey,
        Self::KdfInput,
        Self::Context,
        Self::KdfOutput,
        Self::Digest,
        Self::AeadKey,
        Self::Nonce,
        Self::AssociatedData,
        Self::Plaintext,
        Self::Tag,
        Self::EkHeader,
        Self::EkVector,
        Self::Ct1,
        Self::Ct2,
        Self::AssociatedDataReference,
    ];

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == byte)
    }
}

/// An input or output of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// What it is.
    pub role: Role,
    /// Whether it is an output.
    pub is_output: bool,
    /// The value.
    pub bytes: &'a [u8],
}

/// One call of a primitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The participant that performed it: an index into the trace's participants.
    pub participant: u8,
    /// The label of the protocol's step to which it belongs, such as `HS-I4`; empty before the first.
    pub step: &'a str,
    /// Which primitive.
    pub kind: Kind,
    /// Inputs in the order of the primitive's arguments, then outputs.
    pub fields: &'a [Field<'a>],
}

impl<'a> Operation<'a> {
    /// The inputs with a role.
    pub fn inputs(&self, role: Role) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |field| field.role == role && !field.is_output).map(|field| field.bytes)
    }

    /// The first input with a role, if there is one.
    #[must_use]
    pub fn input(&self, role: Role) -> Option<&'a [u8]> {
        self.inputs(role).next()
    }

    /// The first output with a role, if there is one.
    #[must_use]
    pub fn output(&self, role: Role) -> Option<&'a [u8]> {
        self.fields.iter().find(|field| field.role == role && field.is_output).map(|field| field.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_roles_round_trip_through_their_bytes() {
        let kinds = (0..=255).filter_map(Kind::from_byte).collect::<std::vec::Vec<_>>();
        assert_eq!(kinds, Kind::ALL);
        let roles = (0..=255).filter_map(Role::from_byte).collect::<std::vec::Vec<_>>();
        assert_eq!(roles, Role::ALL);
        assert!(Role::ALL.iter().all(|role| (*role as u8) & Role::OUTPUT == 0));
    }
}
