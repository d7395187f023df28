// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`HedgedRng`]: a generator whose output stays unpredictable if the generator below it is predictable.
//!
//! Source: RFC 8937, "Randomness Improvements for Security Protocols", §3, with one difference: the RFC signs `tag1` with
//! a long-term signing key, while this type computes an HMAC under a secret of its own, so that a fault here cannot
//! affect the identity.
//!
//! ```text
//! salt  = HMAC(secret, L_HEDGED_SECRET || tag)                              once
//! out_i = Expand(Extract(salt, 32 bytes of the inner generator), L_HEDGED_OUTPUT || u64 i, 32)      i = 0, 1, 2, ...
//! ```
//!
//! Each 32 bytes of output take 32 fresh bytes of the inner generator, so that output carries no less entropy than the
//! inner generator supplies (the RFC's condition L >= n - L').
//!
//! This module is not concerned with where the secret is stored, nor with what makes a tag unique.

use crate::labels;
use crate::primitives::{Primitives, RustCrypto};
use crate::secret::Secret;
use crate::wipe;
use core::fmt;
use rand_core::{CryptoRng, TryCryptoRng, TryRng};

/// Length in bytes of one block of output, and of the inner generator's bytes that it takes.
const BLOCK_LEN: usize = 32;

/// The long-term secret of a [`HedgedRng`]: 32 uniformly random bytes that have no other use. It is wiped on drop.
///
/// # Security
/// Generate it once, with a good generator, and store it as securely as the storage key. It is never the identity's key,
/// nor derived from it. Whoever has it and predicts the inner generator predicts the output.
pub struct HedgeSecret(Secret<32>);

impl HedgeSecret {
    /// Draws 32 bytes from `rng`.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Secret::zero();
        rng.fill_bytes(secret.expose_mut());
        Self(secret)
    }

    /// Takes ownership of 32 uniformly random bytes. The caller must wipe its own copy.
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(Secret::new(secret))
    }

    /// Returns the 32 bytes, for storing.
    ///
    /// # Security
    /// Copies of the returned bytes are not wiped.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// Shows no byte of the secret.
impl fmt::Debug for HedgeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("HedgeSecret(redacted)")
    }
}

/// A generator that mixes the output of the generator `R` with a [`HedgeSecret`] and a tag. It implements
/// [`CryptoRng`] if `R` does, and passes on the errors of a generator that can fail.
///
/// It is optional: every operation of this crate takes any [`CryptoRng`].
///
/// # Security
/// The output is unpredictable to anyone who does not know the secret, **or** does not know the inner generator's
/// output. It therefore helps if the inner generator is predictable, weak, or chosen by the attacker, even if it always
/// returns the same bytes. It does not help
/// - if two instances have equal secrets, equal tags and equal inner output: clones of one machine, or two starts with
///   one tag and a stuck generator, draw the same bytes (W6 of security.md). Choose a tag that never repeats for one
///   secret: a boot counter that is stored before it is used, or a counter together with the time;
/// - against a thief of the secret who also predicts the inner generator.
///
/// There is no `Clone`, because a copy would draw the same bytes from a stuck generator.
///
/// ```
/// # use noescrow::{HedgeSecret, HedgedRng};
/// # use rand_core::Rng;
/// # let mut system = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
/// # let boot_counter = 7u64;
/// let secret = HedgeSecret::generate(&mut system); // once, then stored
/// let mut rng = HedgedRng::new(&mut system, &secret, &boot_counter.to_be_bytes());
/// let mut bytes = [0; 32];
/// rng.fill_bytes(&mut bytes);
/// ```
pub struct HedgedRng<R> {
    inner: R,
    salt: Secret<32>,
    /// Number of the next block. It does not repeat: at one block a nanosecond, 2^64 blocks take 584 years.
    block: u64,
}

impl<R> HedgedRng<R> {
    /// Makes a generator from `inner`. `tag` has any length and is not secret; it must not repeat for one secret, see
    /// [Security](#security). The instance does not contain the long-term secret, only a value derived from it and
    /// `tag`.
    #[must_use]
    pub fn new(inner: R, secret: &HedgeSecret, tag: &[u8]) -> Self {
        let salt = wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| {
            RustCrypto.hmac(secret.expose(), &[labels::HEDGED_SECRET, tag])
        });
        Self { inner, salt, block: 0 }
    }
}

impl<R: TryCryptoRng> HedgedRng<R> {
    /// Draws one block.
    fn block(&mut self) -> Result<Secret<BLOCK_LEN>, R::Error> {
        let mut drawn = Secret::<BLOCK_LEN>::zero();
        self.inner.try_fill_bytes(drawn.expose_mut())?;
        let number = self.block.to_be_bytes();
        self.block = self.block.wrapping_add(1);
        let mut out = Secret::zero();
        wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| {
            let info = [labels::HEDGED_OUTPUT, &number];
            RustCrypto.hkdf(self.salt.expose(), &[drawn.expose()], &info, out.expose_mut());
        });
        Ok(out)
    }

    /// Returns the first `N` bytes of a block of their own.
    fn word<const N: usize>(&mut self) -> Result<[u8; N], R::Error> {
        let mut word = [0; N];
        self.try_fill_bytes(&mut word)?;
        Ok(word)
    }
}

/// # Leaks
/// How many bytes are drawn, and what the inner generator leaks.
impl<R: TryCryptoRng> TryRng for HedgedRng<R> {
    type Error = R::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.word().map(u32::from_le_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.word().map(u64::from_le_bytes)
    }

    /// Fills `dst`. If the inner generator fails, blocks before the failure have been written.
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in dst.chunks_mut(BLOCK_LEN) {
            let block = self.block()?;
            chunk.iter_mut().zip(block.expose()).for_each(|(byte, from)| *byte = *from);
        }
        Ok(())
    }
}

impl<R: TryCryptoRng> TryCryptoRng for HedgedRng<R> {}

/// Shows how many blocks were drawn, and nothing of the state.
impl<R> fmt::Debug for HedgedRng<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner: _, salt: _, block } = self;
        f.debug_struct("HedgedRng").field("blocks", block).finish_non_exhaustive()
    }
}
