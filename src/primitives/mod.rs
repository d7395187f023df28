// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only module that calls primitive crates: the trait through which the protocol uses them, and its default
//! implementation.
//!
//! [`Primitives`] takes `&self`, so that an implementation may carry state. The default, [`RustCrypto`], has size zero.
//! Protocol code calls cryptographic primitives only through this trait.
//!
//! This module is not concerned with which keys are used, in which order, or under which labels.

mod declassified;
pub(crate) mod dh;
mod rustcrypto;

pub use declassified::Declassified;
pub use dh::{DhKeyPair, DhPublicKey};
pub use rustcrypto::RustCrypto;

use crate::secret::Secret;
use rand_core::CryptoRng;
use subtle::Choice;

/// Length in bytes of an X25519 or Ed25519 public key.
pub const PUBLIC_KEY_LEN: usize = 32;
/// Length in bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// Length in bytes of an ML-KEM-1024 encapsulation key (FIPS 203, table 3).
pub const KEM_PUBLIC_LEN: usize = 1568;
/// Length in bytes of an ML-KEM-1024 ciphertext (FIPS 203, table 3).
pub const KEM_CIPHERTEXT_LEN: usize = 1568;
/// Length in bytes of an ML-KEM key pair's seed, `d || z`. Private KEM keys are stored only in this form (attack B31).
pub const KEM_SEED_LEN: usize = 64;
/// Length in bytes of the first part of an ML-KEM-768 encapsulation key, `rho || H(ek)`. ct1 is computed from this
/// part.
pub const EK_HEADER_LEN: usize = 32 + 32;
/// Length in bytes of the second part, ByteEncode12(t) for k = 3. Only ct2 needs this part.
pub const EK_VECTOR_LEN: usize = 1152;
/// Length in bytes of the first part of an ML-KEM-768 ciphertext, the compressed u.
pub const CT1_LEN: usize = 960;
/// Length in bytes of the second part, the compressed v.
pub const CT2_LEN: usize = 128;
/// Length in bytes of an AES-256-GCM tag, which is never truncated.
pub const TAG_LEN: usize = 16;
/// Length in bytes of an AES-256-GCM nonce.
pub const NONCE_LEN: usize = 12;

/// An operation refused its inputs: a tag or signature does not verify, a shared secret is all zero, or a key is
/// malformed. The error reveals nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("primitive refused its input")
    }
}

impl core::error::Error for Failed {}

/// All operations that a device performs on secrets.
///
/// # Security
/// All implementations return the same output for the same input. Randomness is always an argument that the caller has
/// drawn from its own generator; none of these functions is a source of randomness.
pub trait Primitives: Clone + core::fmt::Debug {
    /// Reports each numbered step of spec/protocol.md as it is performed, for example `"HS-I4"`. The default does
    /// nothing and costs nothing.
    #[inline(always)]
    fn step(&self, label: &'static str) {
        let _ = label;
    }

    /// Reports each value that was drawn from a generator, private keys and salts alike. The default does nothing and
    /// costs nothing. A recorder uses it to learn the origin of values.
    #[inline(always)]
    fn fresh(&self, value: &[u8]) {
        let _ = value;
    }

    /// Reports each value that was computed from a secret and on which time or memory access may depend from here on.
    /// The call precedes that dependence. The default does nothing and costs nothing. A checker for constant time marks
    /// the value as public.
    #[inline(always)]
    fn declassify(&self, place: Declassified, value: &mut [u8]) {
        let _ = (place, value);
    }

    /// Returns the X25519 public key of `secret` (RFC 7748 §6.1; clamping included).
    fn dh_public(&self, secret: &Secret<32>) -> [u8; PUBLIC_KEY_LEN];

    /// Computes X25519 (RFC 7748 §5).
    ///
    /// # Errors
    /// [`Failed`] if the result is all zero. The check runs in constant time (attacks A1, A2).
    fn dh(&self, secret: &Secret<32>, public: &[u8; PUBLIC_KEY_LEN]) -> Result<Secret<32>, Failed>;

    /// Returns whether the point is on the curve itself (not on its twist) and in the prime-order subgroup (attack A4).
    fn dh_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool;

    /// Returns the Ed25519 public key of a 32-byte seed (RFC 8032 §5.1.5).
    fn signing_public(&self, seed: &Secret<32>) -> [u8; PUBLIC_KEY_LEN];

    /// Signs with Ed25519 (RFC 8032 §5.1.6). It takes no public key, so that no second key can mismatch (attack A7).
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; SIGNATURE_LEN];

    /// Returns whether `public` is a canonical encoding of an Ed25519 point of prime order (attack A6).
    fn signing_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool;

    /// Verifies an Ed25519 signature strictly: s < q, no small-order A or R (attacks A5, A6).
    ///
    /// # Errors
    /// [`Failed`] if the signature does not verify.
    fn verify(
        &self,
        public: &[u8; PUBLIC_KEY_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), Failed>;

    /// Returns the ML-KEM-1024 encapsulation key of the pair generated from `seed` (FIPS 203, ML-KEM.KeyGen_internal).
    fn kem_public(&self, seed: &Secret<KEM_SEED_LEN>) -> [u8; KEM_PUBLIC_LEN];

    /// Performs the modulus check of FIPS 203 §7.2.
    fn kem_public_is_valid(&self, public: &[u8; KEM_PUBLIC_LEN]) -> bool;

    /// Computes ML-KEM.Encaps_internal (FIPS 203) with the 32 bytes `coins` as m. Returns the ciphertext and the shared
    /// secret.
    fn encapsulate(&self, public: &[u8; KEM_PUBLIC_LEN], coins: &Secret<32>) -> ([u8; KEM_CIPHERTEXT_LEN], Secret<32>);

    /// Computes ML-KEM.Decaps_internal (FIPS 203). It never fails: a wrong ciphertext gives another secret (implicit
    /// rejection).
    fn decapsulate(&self, seed: &Secret<KEM_SEED_LEN>, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Secret<32>;

    /// Returns the two parts of the ML-KEM-768 encapsulation key of the pair generated from `seed`: `rho || H(ek)`,
    /// where H is computed over FIPS 203's order `ek_vector || rho` (attack E4), and ek_vector.
    fn incremental_public(&self, seed: &Secret<KEM_SEED_LEN>) -> ([u8; EK_HEADER_LEN], [u8; EK_VECTOR_LEN]);

    /// Performs the first step of ML-KEM-768's encapsulation with `coins` as m and returns ct1 and K. The second step
    /// receives all its inputs again, so that between the steps a caller stores `coins`, 32 bytes, and no
    /// implementation's internal state (attack E10).
    fn encaps1(&self, header: &[u8; EK_HEADER_LEN], coins: &Secret<32>) -> ([u8; CT1_LEN], Secret<32>);

    /// Performs the second step with the header and coins of the first, and returns ct2. `ct1 || ct2` and K are those
    /// of ML-KEM-768.
    ///
    /// # Errors
    /// [`Failed`] if `ek_vector` is not the one whose hash the header contains, or fails the modulus check of FIPS 203
    /// §7.2.
    fn encaps2(
        &self,
        header: &[u8; EK_HEADER_LEN],
        ek_vector: &[u8; EK_VECTOR_LEN],
        coins: &Secret<32>,
    ) -> Result<[u8; CT2_LEN], Failed>;

    /// Computes ML-KEM-768's ML-KEM.Decaps_internal of `ct1 || ct2`. It never fails: a wrong ciphertext gives another
    /// secret.
    fn incremental_decapsulate(
        &self,
        seed: &Secret<KEM_SEED_LEN>,
        ct1: &[u8; CT1_LEN],
        ct2: &[u8; CT2_LEN],
    ) -> Secret<32>;

    /// Computes HMAC-SHA-256 of the concatenation of `parts`.
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32>;

    /// Computes two HMACs under one key, of the single bytes `first` and `second`: a chain step that schedules the key
    /// once.
    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        (self.hmac(key.expose(), &[&[first]]), self.hmac(key.expose(), &[&[second]]))
    }

    /// Calls `f` with a function that computes HMAC-SHA-256 under `key`: for several MACs of which each depends on the
    /// one before. An implementation can schedule the key once. The default calls [`hmac`](Self::hmac) for each MAC.
    fn with_hmac<R>(&self, key: &Secret<32>, f: impl FnOnce(&dyn Fn(&[&[u8]]) -> Secret<32>) -> R) -> R {
        f(&|parts| self.hmac(key.expose(), parts))
    }

    /// Computes HKDF-SHA-256, extract then expand (RFC 5869). `info` is the concatenation of its parts. `out` has at
    /// most 255 · 32 bytes; all callers here request at most 128.
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]);

    /// Computes HKDF-Expand alone, for a key that is already pseudorandom. The bound on `out` is that of
    /// [`hkdf`](Self::hkdf).
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]);

    /// Computes SHA-256 of the concatenation of `parts`.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];

    /// Computes SHA-512 of the concatenation of `parts`.
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64];

    /// Encrypts with AES-256-GCM in place and returns the tag. Each pair of `key` and `nonce` is used once. `ad` and
    /// `buffer` are within the bounds of [`open`](Self::open).
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

    /// Decrypts with AES-256-GCM in place. The tag is checked, in constant time, before any byte is written.
    ///
    /// # Errors
    /// [`Failed`] if the tag does not verify; `buffer` is then unchanged.
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed>;
}

/// Draws `N` bytes from `rng` and reports them with [`Primitives::fresh`].
pub(crate) fn random_secret<P: Primitives, const N: usize>(primitives: &P, rng: &mut impl CryptoRng) -> Secret<N> {
    let mut secret = Secret::zero();
    rng.fill_bytes(secret.expose_mut());
    primitives.fresh(secret.expose());
    secret
}

/// Converts the result of a constant-time comparison to a `bool`, on which a branch may depend from here on.
#[inline(always)]
pub(crate) fn declassify_choice<P: Primitives>(primitives: &P, place: Declassified, choice: Choice) -> bool {
    let mut byte = [choice.unwrap_u8()];
    primitives.declassify(place, &mut byte);
    byte == [1]
}
