// SPDX-License-Identifier: MIT OR Apache-2.0
//! KDF_RK_HE: the Diffie-Hellman ratchet's root step (Double Ratchet rev 4 §4.2, §7.2).

use super::chain::ChainKey;
use super::header::HeaderKey;
use crate::labels;
use crate::primitives::Primitives;
use crate::secret::Secret;

/// RK.
#[derive(Debug)]
pub(crate) struct RootKey(pub(crate) Secret<32>);

impl RootKey {
    /// `KDF_RK_HE(rk, dh)` = HKDF(salt = rk, ikm = dh, info, 96) = RK || CK || NHK.
    pub(crate) fn kdf_rk_he<P: Primitives>(&self, primitives: &P, dh: &Secret<32>) -> (Self, ChainKey, HeaderKey) {
        kdf_rk_he(primitives, &self.0, dh, labels::ROOT)
    }
}

fn kdf_rk_he<P: Primitives>(
    primitives: &P,
    root_key: &Secret<32>,
    dh: &Secret<32>,
    info: &[u8],
) -> (RootKey, ChainKey, HeaderKey) {
    let mut material = Secret::<96>::zero();
    primitives.hkdf(root_key.expose(), &[dh.expose()], &[info], material.expose_mut());
    let (mut root, mut chain, mut header) = (Secret::zero(), Secret::zero(), Secret::zero());
    let (first, rest) = material.expose().split_at(32);
    let (second, third) = rest.split_at(32);
    root.expose_mut().copy_from_slice(first);
    chain.expose_mut().copy_from_slice(second);
    header.expose_mut().copy_from_slice(third);
    (RootKey(root), ChainKey(chain), HeaderKey(header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::test_support::hex;

    /// Known answer computed by a script that shares no code with this crate.
    /// DR-E1, DR-D6: KDF_RK_HE.
    #[test]
    fn kdf_rk_he_gives_the_known_answer() {
        let (rk, dh) = (Secret::new([0x44; 32]), Secret::new([0x55; 32]));
        let (root, chain, header) = kdf_rk_he(&RustCrypto, &rk, &dh, b"MyProtocol_RootKeyHE");
        assert_eq!(root.0.expose(), &hex("68bf236d7b317d288f82bbfdb39b736f2c6625c2c580539cd1771d637d2c4d84"));
        assert_eq!(chain.0.expose(), &hex("9b38cf8170b5d097199746e3f5c5201bfbadf8fa64f9cf0e5f01849ec91647fe"));
        assert_eq!(header.0.expose(), &hex("7fc126a19d116ef94e65e66c1b4aa69fcd492f9b6526ae366ff5d99574366ea9"));
    }
}
