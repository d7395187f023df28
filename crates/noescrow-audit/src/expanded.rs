// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forms into which libraries expand private keys. Each is as good as the seed: whoever has it can sign or
//! decapsulate.

use super::operation::{Kind, Role};
#[allow(deprecated, reason = "the audit looks for the form that should not be stored")]
use ml_kem::ExpandedKeyEncoding;
use ml_kem::{DecapsulationKey, MlKem768, MlKem1024, Seed};
use sha2::{Digest, Sha512};

/// Bytes of ŝ, the beginning of a decapsulation key of FIPS 203 (§7.1: `dkPKE || ek || H(ek) || z`): 12 bits for each
/// of 256 coefficients of `k` polynomials.
const fn secret_vector_len(k: usize) -> usize {
    k.saturating_mul(256 * 12 / 8)
}

/// The kind of an expanded form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    /// The scalar of an Ed25519 key, clamped as in RFC 8032 §5.1.5, so that only its first and last byte differ from
    /// the hash.
    Scalar,
    /// The other half of the hash, from which nonces are derived.
    Prefix,
    /// ŝ of ML-KEM-1024.
    SecretVector1024,
    /// ŝ of ML-KEM-768.
    SecretVector768,
}

impl Expanded {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "Ed25519 scalar",
            Self::Prefix => "Ed25519 prefix",
            Self::SecretVector1024 => "ML-KEM-1024 secret vector",
            Self::SecretVector768 => "ML-KEM-768 secret vector",
        }
    }
}

/// The expanded forms of an operation's private key.
pub(super) fn of(kind: Kind, role: Role, bytes: &[u8]) -> Vec<(Expanded, Vec<u8>)> {
    match role {
        Role::SigningSeed => of_signing_seed(bytes),
        Role::KemSeed if matches!(kind, Kind::IncrementalPublic | Kind::IncrementalDecapsulate) => {
            secret_vector_768(bytes).into_iter().collect()
        }
        Role::KemSeed => secret_vector_1024(bytes).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn of_signing_seed(seed: &[u8]) -> Vec<(Expanded, Vec<u8>)> {
    let hash: [u8; 64] = Sha512::digest(seed).into();
    let (scalar, prefix) = hash.split_at(32);
    let mut scalar = scalar.to_vec();
    if let Some(first) = scalar.first_mut() {
        *first &= 0xF8;
    }
    if let Some(last) = scalar.last_mut() {
        *last = *last & 0x7F | 0x40;
    }
    std::vec![(Expanded::Scalar, scalar), (Expanded::Prefix, prefix.to_vec())]
}

fn secret_vector_1024(seed: &[u8]) -> Option<(Expanded, Vec<u8>)> {
    let seed = Seed::try_from(seed).ok()?;
    #[allow(deprecated, reason = "the audit looks for the form that should not be stored")]
    let expanded = DecapsulationKey::<MlKem1024>::from_seed(seed).to_expanded_bytes();
    Some((Expanded::SecretVector1024, expanded.get(..secret_vector_len(4))?.to_vec()))
}

fn secret_vector_768(seed: &[u8]) -> Option<(Expanded, Vec<u8>)> {
    let seed = Seed::try_from(seed).ok()?;
    #[allow(deprecated, reason = "as above")]
    let expanded = DecapsulationKey::<MlKem768>::from_seed(seed).to_expanded_bytes();
    Some((Expanded::SecretVector768, expanded.get(..secret_vector_len(3))?.to_vec()))
}
