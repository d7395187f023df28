// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`RatchetKeyPair`]: DHs of the Double Ratchet.

use crate::primitives::{DhKeyPair, DhPublicKey, Primitives};
use crate::secret::Secret;

/// DHs. Only the private key is stored. After a session was restored, the public key is computed again when a message is
/// sent or a ratchet step is received, and not before: most received messages need none, and the computation takes
/// several times as long as the rest of restoring.
#[derive(Debug)]
pub(crate) struct RatchetKeyPair {
    secret: Secret<32>,
    /// Not a key while it has not been computed again.
    public: DhPublicKey,
}

impl RatchetKeyPair {
    /// Restores the pair of a stored private key.
    pub(crate) const fn resume(secret: Secret<32>) -> Self {
        Self { secret, public: DhPublicKey::NONE }
    }

    pub(crate) const fn secret(&self) -> &Secret<32> {
        &self.secret
    }

    /// Returns the public key.
    pub(crate) fn public<P: Primitives>(&self, primitives: &P) -> DhPublicKey {
        if self.public == DhPublicKey::NONE { DhPublicKey::of(primitives, &self.secret) } else { self.public }
    }

    /// Returns the public key and keeps it.
    pub(crate) fn keep_public<P: Primitives>(&mut self, primitives: &P) -> DhPublicKey {
        self.public = self.public(primitives);
        self.public
    }
}

impl From<DhKeyPair> for RatchetKeyPair {
    fn from(DhKeyPair { secret, public }: DhKeyPair) -> Self {
        Self { secret, public }
    }
}
