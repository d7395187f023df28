// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Secret`]: bytes that are wiped when they die.
//!
//! Every secret of the protocol is one of these. What the type does not do: it cannot wipe the copies that a
//! compiler leaves on the stack when a value moves. Keys are therefore derived in place where that is possible.

use crate::primitives::Primitives;
use core::fmt;
use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// `N` secret bytes: wiped on drop, compared in constant time, neither `Clone` nor `Copy`, shown as
/// `Secret<N>(redacted)`.
///
/// # Leaks
/// Nothing but `N`.
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// `N` zero bytes, to be derived into.
    pub(crate) const fn zero() -> Self {
        Self([0; N])
    }

    /// Takes `bytes` over. The caller's own copy is the caller's to wipe.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// `N` bytes drawn from `rng`.
    pub(crate) fn random<P: Primitives>(primitives: &P, rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self::zero();
        rng.fill_bytes(&mut secret.0);
        primitives.fresh(&secret.0);
        secret
    }

    /// The bytes themselves.
    ///
    /// # Security
    /// A copy of what this returns is not wiped. Meant for implementations of
    /// [`Primitives`](crate::primitives::Primitives).
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, to be written in place.
    pub const fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// A second copy, for the few values the protocol itself holds twice. Named so that copies can be counted.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0)
    }
}

impl Secret<44> {
    /// Derived material for one AES-256-GCM call, taken apart: key (32), nonce (12).
    pub(crate) fn split_key_nonce(&self) -> (Secret<32>, [u8; 12]) {
        let (mut key, mut nonce) = (Secret::zero(), [0; 12]);
        let (first, second) = self.0.split_at(32);
        key.0.copy_from_slice(first);
        nonce.copy_from_slice(second);
        (key, nonce)
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        // As a slice: zeroize wipes slices at once, and arrays byte by byte.
        self.0.as_mut_slice().zeroize();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        write!(f, "Secret<{N}>(redacted)")
    }
}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        equal(&self.0, &other.0)
    }
}

/// Whether two values are equal, in constant time: by words, because a slice is compared byte by byte with a barrier behind
/// each.
pub(crate) fn equal<const N: usize>(a: &[u8; N], b: &[u8; N]) -> Choice {
    let ((words, bytes), (other_words, other_bytes)) = (a.as_chunks(), b.as_chunks());
    words.iter().zip(other_words).fold(bytes.ct_eq(other_bytes), |equal, (word, other)| {
        equal & u64::from_ne_bytes(*word).ct_eq(&u64::from_ne_bytes(*other))
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn debug_of_a_secret_shows_no_byte_of_it() {
        let text = std::format!("{:?}", Secret::new([0xAB; 4]));
        assert_eq!(text, "Secret<4>(redacted)");
        // Control: the bytes themselves would show.
        assert!(std::format!("{:x?}", [0xABu8; 4]).contains("ab"));
    }

    #[test]
    fn equality_sees_every_byte() {
        // Four words and three bytes.
        let a = Secret::new([7; 35]);
        assert!(bool::from(a.ct_eq(&a.duplicate())));
        for at in 0..35 {
            let mut b = [7; 35];
            b[at] ^= 1;
            assert!(!bool::from(a.ct_eq(&Secret::new(b))));
        }
    }
}
