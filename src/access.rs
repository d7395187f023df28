// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`AccessKey`]: one key an account, which admits messages to its mailbox. It is not a key of the protocol and opens
//! nothing.

use crate::labels;
use crate::primitives::{Primitives, RustCrypto, random_secret};
use crate::secret::Secret;
use core::fmt;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;

/// Length in bytes of an access key.
pub const ACCESS_KEY_LEN: usize = 32;

/// An account's access key, 32 random bytes. The owner sends it to all correspondents inside their sessions, to a new one
/// in the first answer: without the key all later messages of that correspondent are refused. They show it to the server
/// with each message. Messages without it share a small quota
/// ([`Relay::deliver`](crate::relay::Relay::deliver)).
///
/// # Security
/// All correspondents have the same key, so that it tells the server no more than "one of them". A key for each
/// correspondent would be a pseudonym of the sender. To block a correspondent, the owner makes a new key, sends it to
/// everyone else, and then gives its hash to the server. A correspondent whose message is refused fetches mail, finds
/// the new key, and tries again.
///
/// The server learns the key when a message is delivered. It can then deliver to that mailbox, which it can do without
/// the key, too. It MUST store the hash only.
pub struct AccessKey(Secret<ACCESS_KEY_LEN>);

impl AccessKey {
    /// Generates a key. Draws 32 bytes from `rng`.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(random_secret(&RustCrypto, rng))
    }

    /// Wraps a key that was received, 32 bytes. Every value is a key. The caller must wipe its own copy.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ACCESS_KEY_LEN]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Returns the key, 32 bytes, for correspondents and for the server to which a message is delivered.
    ///
    /// # Security
    /// Copies of the returned bytes are not wiped.
    #[must_use]
    pub const fn expose(&self) -> &[u8; ACCESS_KEY_LEN] {
        self.0.expose()
    }

    /// Returns what the server stores: SHA-256 of a label and the key (LG-2).
    #[must_use]
    pub fn hash(&self) -> AccessKeyHash {
        RustCrypto.step("LG-2");
        AccessKeyHash(RustCrypto.sha256(&[labels::ACCESS_KEY, self.expose()]))
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("AccessKey(redacted)")
    }
}

/// The hash of an [`AccessKey`], 32 bytes. The server stores it, and discloses it.
///
/// # Leaks
/// `==`, the order and a map take a time that depends on the bytes. They reveal at most the hash, from which the key does
/// not follow. [`admits`](Self::admits) checks a key in constant time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKeyHash([u8; 32]);

impl AccessKeyHash {
    /// Wraps a hash that was received, 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the hash, 32 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        let Self(bytes) = self;
        bytes
    }

    /// Returns whether this is the hash of `key`.
    ///
    /// # Leaks
    /// The result. The time does not depend on where the hashes differ.
    #[must_use]
    pub fn admits(&self, key: &AccessKey) -> bool {
        self.0.ct_eq(&key.hash().0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::hex;

    /// Computed with Python's hashlib over the label and the key.
    #[test]
    fn the_hash_of_an_access_key_gives_the_known_answer() {
        let key = AccessKey::from_bytes([7; ACCESS_KEY_LEN]);
        assert_eq!(
            key.hash().to_bytes(),
            hex::<32>("cb00e96fddad863b85c37cbbf12a14368404a840e61d1d1908ee71b7151848c3")
        );
        // Control: without the label it is another hash.
        assert_ne!(key.hash().to_bytes(), RustCrypto.sha256(&[key.expose()]));
    }

    /// LG-2.
    #[test]
    fn only_the_key_itself_is_admitted() {
        let hash = AccessKey::from_bytes([7; ACCESS_KEY_LEN]).hash();
        for at in 0..ACCESS_KEY_LEN {
            let mut other = [7; ACCESS_KEY_LEN];
            other[at] ^= 0x80;
            assert!(!hash.admits(&AccessKey::from_bytes(other)), "{at}");
        }
        // Control.
        assert!(AccessKeyHash::from_bytes(hash.to_bytes()).admits(&AccessKey::from_bytes([7; ACCESS_KEY_LEN])));
    }
}
