// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one room in which primitives are named: what the protocol asks of them, and the default.
//!
//! [`Primitives`] is instance-based, so that an implementation may carry state; the default,
//! [`RustCrypto`], is of size zero. Protocol code calls nothing but this trait.
//!
//! Not the concern of this module: which keys, in which order, with which labels.

pub(crate) mod declassified;
pub(crate) mod dh;
mod rustcrypto;

pub use declassified::Declassified;
pub use dh::{DhKeyPair, DhPublicKey};
pub use rustcrypto::RustCrypto;

use crate::secret::Secret;

/// Bytes of an X25519 or Ed25519 public key.
pub const PUBLIC_KEY_LEN: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// Bytes of an ML-KEM-1024 encapsulation key (FIPS 203, table 3).
pub const KEM_PUBLIC_LEN: usize = 1568;
/// Bytes of an ML-KEM-1024 ciphertext (FIPS 203, table 3).
pub const KEM_CIPHERTEXT_LEN: usize = 1568;
/// Bytes of an ML-KEM key pair's seed, `d || z`: the only form in which a private KEM key is kept (attack B31).
pub const KEM_SEED_LEN: usize = 64;
/// Bytes of the first part of an ML-KEM-768 encapsulation key, `rho || H(ek)`: what ct1 is made for.
pub const EK_HEADER_LEN: usize = 32 + 32;
/// Bytes of the second part, ByteEncode12(t) for k = 3: what only ct2 needs.
pub const EK_VECTOR_LEN: usize = 1152;
/// Bytes of the first part of an ML-KEM-768 ciphertext, the compressed u.
pub const CT1_LEN: usize = 960;
/// Bytes of the second part, the compressed v.
pub const CT2_LEN: usize = 128;
/// Bytes of an AES-256-GCM tag, never truncated.
pub const TAG_LEN: usize = 16;
/// Bytes of an AES-256-GCM nonce.
pub const NONCE_LEN: usize = 12;

/// An operation's inputs do not belong together: a tag or signature that does not verify, an all-zero shared
/// secret, a malformed key. Says nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("primitive refused its input")
    }
}

impl core::error::Error for Failed {}

/// Every operation a device performs on secrets.
///
/// # Security
/// All implementations give the same output for the same input (DESIGN invariant 7). Randomness is always an
/// argument, drawn by the caller from its generator, so that none of these functions is a source of its own.
pub trait Primitives: Clone + core::fmt::Debug {
    /// Told at each numbered step of spec/protocol.md, e.g. `"HS-I4"`. The default does nothing and costs nothing.
    #[inline(always)]
    fn step(&self, label: &'static str) {
        let _ = label;
    }

    /// Told of each value that was drawn from a generator, private keys and salts alike. The default does nothing and
    /// costs nothing; a recorder learns where values come from.
    #[inline(always)]
    fn fresh(&self, value: &[u8]) {
        let _ = value;
    }

    /// Told of each value that was computed from a secret and that time or memory access may depend on from here on, before
    /// anything does. The default does nothing and costs nothing; a checker for constant time marks the value as public.
    #[inline(always)]
    fn declassify(&self, place: Declassified, value: &mut [u8]) {
        let _ = (place, value);
    }

    /// The X25519 public key of `secret` (RFC 7748 §6.1; clamping included).
    fn dh_public(&self, secret: &Secret<32>) -> [u8; PUBLIC_KEY_LEN];

    /// X25519 (RFC 7748 §5).
    ///
    /// # Errors
    /// [`Failed`] if the result is all zero, found in constant time (attacks A1, A2).
    fn dh(&self, secret: &Secret<32>, public: &[u8; PUBLIC_KEY_LEN]) -> Result<Secret<32>, Failed>;

    /// Whether the curve point is on the curve itself (not its twist) and in the prime-order subgroup (attack A4).
    fn dh_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool;

    /// The Ed25519 public key of a 32-byte seed (RFC 8032 §5.1.5).
    fn signing_public(&self, seed: &Secret<32>) -> [u8; PUBLIC_KEY_LEN];

    /// Ed25519 (RFC 8032 §5.1.6). Takes no public key: there is no second key to mismatch (attack A7).
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; SIGNATURE_LEN];

    /// Whether `public` is a canonical encoding of an Ed25519 point of prime order (attack A6).
    fn signing_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool;

    /// Ed25519, strict: s < q, no small-order A or R (attacks A5, A6).
    ///
    /// # Errors
    /// [`Failed`] if the signature does not verify.
    fn verify(
        &self,
        public: &[u8; PUBLIC_KEY_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), Failed>;

    /// The ML-KEM-1024 encapsulation key of the pair grown from `seed` (FIPS 203, ML-KEM.KeyGen_internal).
    fn kem_public(&self, seed: &Secret<KEM_SEED_LEN>) -> [u8; KEM_PUBLIC_LEN];

    /// The modulus check of FIPS 203 §7.2.
    fn kem_public_is_valid(&self, public: &[u8; KEM_PUBLIC_LEN]) -> bool;

    /// ML-KEM.Encaps_internal with the 32 bytes `coins` as m.
    fn encapsulate(&self, public: &[u8; KEM_PUBLIC_LEN], coins: &Secret<32>) -> ([u8; KEM_CIPHERTEXT_LEN], Secret<32>);

    /// ML-KEM.Decaps_internal. Never fails: a wrong ciphertext gives another secret (implicit rejection).
    fn decapsulate(&self, seed: &Secret<KEM_SEED_LEN>, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Secret<32>;

    /// The two parts of the ML-KEM-768 encapsulation key of the pair grown from `seed`: `rho || H(ek)`, where H is over
    /// FIPS 203's order `ek_vector || rho` (attack E4), and ek_vector.
    fn incremental_public(&self, seed: &Secret<KEM_SEED_LEN>) -> ([u8; EK_HEADER_LEN], [u8; EK_VECTOR_LEN]);

    /// The first step of ML-KEM-768's encapsulation with `coins` as m: ct1 and K. All that the second step needs is
    /// given to it again: what is kept in between is `coins`, 32 bytes, and no implementation's own state (attack E10).
    fn encaps1(&self, header: &[u8; EK_HEADER_LEN], coins: &Secret<32>) -> ([u8; CT1_LEN], Secret<32>);

    /// The second step, with the header and coins of the first: ct2. `ct1 || ct2` and K are those of ML-KEM-768.
    ///
    /// # Errors
    /// [`Failed`] if `ek_vector` is not the one that the header names, or fails the modulus check of FIPS 203 §7.2.
    fn encaps2(
        &self,
        header: &[u8; EK_HEADER_LEN],
        ek_vector: &[u8; EK_VECTOR_LEN],
        coins: &Secret<32>,
    ) -> Result<[u8; CT2_LEN], Failed>;

    /// ML-KEM-768's ML-KEM.Decaps_internal of `ct1 || ct2`. Never fails: a wrong ciphertext gives another secret.
    fn incremental_decapsulate(
        &self,
        seed: &Secret<KEM_SEED_LEN>,
        ct1: &[u8; CT1_LEN],
        ct2: &[u8; CT2_LEN],
    ) -> Secret<32>;

    /// HMAC-SHA-256 of the concatenation of `parts`.
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32>;

    /// Two HMACs under one key, of the single bytes `first` and `second`: a chain step, with the key scheduled once.
    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        (self.hmac(key.expose(), &[&[first]]), self.hmac(key.expose(), &[&[second]]))
    }

    /// HKDF-SHA-256, extract then expand (RFC 5869); `info` is the concatenation of its parts. `out` is at most
    /// 255 · 32 bytes; all callers here ask for at most 128.
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]);

    /// HKDF-Expand alone, for a key that is already pseudorandom. `out` as in [`hkdf`](Self::hkdf).
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]);

    /// SHA-256 of the concatenation of `parts`.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];

    /// SHA-512 of the concatenation of `parts`.
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64];

    /// AES-256-GCM in place; returns the tag. `key` and `nonce` together are used once. `ad` and `buffer` are
    /// within the bounds of [`open`](Self::open).
    ///
    /// # Errors
    /// [`Failed`] if `buffer` is longer than GCM permits (2^36 - 32 bytes).
    fn seal(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Failed>;

    /// AES-256-GCM in place; the tag is checked, in constant time, before a byte is written.
    ///
    /// # Errors
    /// [`Failed`] if the tag does not verify; `buffer` is then as it was.
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed>;
}
