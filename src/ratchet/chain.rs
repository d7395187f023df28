// SPDX-License-Identifier: MIT OR Apache-2.0
//! KDF_CK: the symmetric-key ratchet (Double Ratchet rev 4 §2.2, §7.2).

use crate::primitives::Primitives;
use crate::secret::Secret;

/// CK: CKs or CKr.
#[derive(Debug)]
pub(crate) struct ChainKey(pub(crate) Secret<32>);

/// mk of one of the two ratchets: that ratchet's share of one message's key.
#[derive(Debug)]
pub(crate) struct MessageKey(pub(crate) Secret<32>);

impl ChainKey {
    /// `KDF_CK(ck)` = (HMAC(ck, 0x02), HMAC(ck, 0x01)): the next chain key and this message's key.
    pub(crate) fn kdf_ck<P: Primitives>(&self, primitives: &P) -> (Self, MessageKey) {
        let (message_key, chain_key) = primitives.hmac_pair(&self.0, 1, 2);
        (Self(chain_key), MessageKey(message_key))
    }

    /// The next chain key alone, for a message whose key is not kept.
    pub(crate) fn next<P: Primitives>(&self, primitives: &P) -> Self {
        Self(primitives.hmac(self.0.expose(), &[&[2]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::test_support::hex;

    /// Known answer computed by a script that shares no code with this crate.
    /// DR-E2, DR-D7: KDF_CK.
    #[test]
    fn kdf_ck_gives_the_known_answer() {
        let (next, message_key) = ChainKey(Secret::new([0x33; 32])).kdf_ck(&RustCrypto);
        let mk = hex("da9d2383815d52bf414c540d97e91d0facf9b98729f9a3f437ad4a9b571676a0");
        let ck = hex("e66a4bfa6a49b2045fe9a7ca29edf7991fc43ce97b9bbfcd467723a8a90f623c");
        assert_eq!((message_key.0.expose(), next.0.expose()), (&mk, &ck));
        assert_eq!(ChainKey(Secret::new([0x33; 32])).next(&RustCrypto).0.expose(), &ck);
    }
}
