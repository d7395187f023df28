// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Secret`]: bytes that are wiped on drop.
//!
//! Every secret of the protocol is a `Secret`. The type cannot wipe the copies that a compiler leaves on the stack when
//! a value moves. The protocol therefore derives keys in place where that is possible.

use core::fmt;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// `N` secret bytes. They are wiped on drop and compared in constant time. The type is neither `Clone` nor `Copy`, and
/// its `Debug` output is `Secret<N>(redacted)`.
///
/// # Leaks
/// Only `N`.
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Returns `N` zero bytes, into which a value is then derived.
    pub(crate) const fn zero() -> Self {
        Self([0; N])
    }

    /// Takes ownership of `bytes`. The caller must wipe its own copy.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    ///
    /// # Security
    /// Copies of the returned bytes are not wiped. This method is meant for implementations of
    /// [`Primitives`](crate::primitives::Primitives).
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Returns the bytes for writing in place.
    pub const fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// Makes a second copy, for the few values that the protocol itself holds twice. The explicit name makes copies
    /// countable.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0)
    }
}

impl Secret<44> {
    /// Splits the derived material for one AES-256-GCM call into the key (32 bytes) and the nonce (12 bytes).
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
        // Wiped as a slice, because zeroize wipes a slice in one operation and an array byte by byte.
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

/// Returns whether two values are equal, in constant time. It compares words, because `subtle` compares slices byte by
/// byte with a barrier after each byte.
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
        // Control: the bytes themselves would be visible.
        assert!(std::format!("{:x?}", [0xABu8; 4]).contains("ab"));
    }

    #[test]
    fn equality_covers_every_byte() {
        // 35 bytes are four words and three bytes.
        let a = Secret::new([7; 35]);
        assert!(bool::from(a.ct_eq(&a.duplicate())));
        for at in 0..35 {
            let mut b = [7; 35];
            b[at] ^= 1;
            assert!(!bool::from(a.ct_eq(&Secret::new(b))));
        }
    }
}
