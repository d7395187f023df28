// SPDX-License-Identifier: MIT OR Apache-2.0
//! KDF_CK: the symmetric-key ratchet (Double Ratchet rev 4 §2.2, §7.2).

use crate::labels;
use crate::primitives::{NONCE_LEN, Primitives};
use crate::secret::Secret;

/// CK: CKs or CKr.
#[derive(Debug)]
pub(crate) struct ChainKey(pub(crate) Secret<32>);

/// mk: seals or opens one message.
#[derive(Debug)]
pub(crate) struct MessageKey(pub(crate) Secret<32>);

impl ChainKey {
    /// `KDF_CK(ck)` = (HMAC(ck, 0x02), HMAC(ck, 0x01)): the next chain key and this message's key.
    pub(crate) fn kdf_ck<P: Primitives>(&self, primitives: &P) -> (Self, MessageKey) {
        let (message_key, chain_key) = primitives.hmac_pair(&self.0, 1, 2);
        (Self(chain_key), MessageKey(message_key))
    }
}

/// Stands in KDF_HYBRID where the post-quantum ratchet's message key will stand.
const NO_POST_QUANTUM_KEY: [u8; 32] = [0; 32];

impl MessageKey {
    /// `KDF_HYBRID`: AEAD key and nonce = HKDF(salt = pq_mk, ikm = ec_mk, info = label, 44).
    pub(crate) fn aead_key<P: Primitives>(&self, primitives: &P) -> (Secret<32>, [u8; NONCE_LEN]) {
        let mut material = Secret::<{ 32 + NONCE_LEN }>::zero();
        primitives.hkdf(&NO_POST_QUANTUM_KEY, &[self.0.expose()], &[labels::MESSAGE], material.expose_mut());
        material.split_key_nonce()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::test_hex::hex;

    /// SPECS §17.
    #[test]
    fn kdf_ck_gives_the_known_answer() {
        let (next, message_key) = ChainKey(Secret::new([0x33; 32])).kdf_ck(&RustCrypto);
        let mk = hex("da9d2383815d52bf414c540d97e91d0facf9b98729f9a3f437ad4a9b571676a0");
        let ck = hex("e66a4bfa6a49b2045fe9a7ca29edf7991fc43ce97b9bbfcd467723a8a90f623c");
        assert_eq!((message_key.0.expose(), next.0.expose()), (&mk, &ck));
    }

    /// SPECS §17: KDF_HYBRID's form, HKDF(salt = pq_mk, ikm = ec_mk, info, 32).
    #[test]
    fn kdf_hybrid_gives_the_known_answer() {
        let mut out = [0; 32];
        RustCrypto.hkdf(&[0x66; 32], &[&[0x77; 32]], &[b"MyProtocol_TripleRatchet"], &mut out);
        assert_eq!(out, hex("4459477a8228ff6d26d46f2be8d5e4233ce2de83c43794484133a4da245a78db"));
    }
}
