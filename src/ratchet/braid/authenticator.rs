// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Braid's authenticator and its output keys: KDF_AUTH, MacHdr, MacCt, KDF_OK (ML-KEM Braid rev 1; spec/protocol.md
//! §7).
//!
//! Epochs enter as eight bytes, big-endian. KDF_AUTH takes the root as salt, as in the source's text; Signal's code
//! differs (§7 lists both). The MACs bind the exchanged values to the session's initial secret and to every epoch's
//! key since.

use super::epoch::Epoch;
use crate::labels;
use crate::primitives::{CT1_LEN, CT2_LEN, Declassified, EK_HEADER_LEN, Primitives, declassify_choice};
use crate::secret::Secret;
use crate::wipe;
use subtle::ConstantTimeEq;

/// Length in bytes of a MAC, which is never truncated.
pub(crate) const MAC_LEN: usize = 32;

/// The root from which the next MAC key is derived, and the MAC key.
#[derive(Debug)]
pub(crate) struct Authenticator {
    pub(crate) root: Secret<32>,
    pub(crate) mac_key: Secret<32>,
}

impl Authenticator {
    /// `Auth.Init(1, key)`: an update of the all-zero root.
    pub(crate) fn init<P: Primitives>(primitives: &P, key: &Secret<32>) -> Self {
        // Wiped for the same reason as the first derivation of the sparse ratchet.
        wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| update(primitives, labels::BRAID, &[0; 32], key, Epoch::FIRST))
    }

    pub(super) fn duplicate(&self) -> Self {
        Self { root: self.root.duplicate(), mac_key: self.mac_key.duplicate() }
    }

    /// `Auth.Update(epoch, key)`. The old values are wiped where the caller replaces them.
    pub(crate) fn update<P: Primitives>(&self, primitives: &P, epoch: Epoch, key: &Secret<32>) -> Self {
        update(primitives, labels::BRAID, self.root.expose(), key, epoch)
    }

    /// Computes MacHdr, under the key before the epoch's update.
    pub(crate) fn mac_header<P: Primitives>(
        &self,
        primitives: &P,
        epoch: Epoch,
        header: &[u8; EK_HEADER_LEN],
    ) -> [u8; MAC_LEN] {
        *mac(primitives, labels::BRAID, &self.mac_key, b":ekheader", epoch, [header, &[]]).expose()
    }

    /// Computes MacCt, under the key after the epoch's update.
    pub(crate) fn mac_ciphertext<P: Primitives>(
        &self,
        primitives: &P,
        epoch: Epoch,
        ct1: &[u8; CT1_LEN],
        ct2: &[u8; CT2_LEN],
    ) -> [u8; MAC_LEN] {
        *mac(primitives, labels::BRAID, &self.mac_key, b":ciphertext", epoch, [ct1, ct2]).expose()
    }
}

/// Returns whether two MACs are equal, in constant time.
pub(crate) fn verifies<P: Primitives>(primitives: &P, computed: &[u8; MAC_LEN], received: &[u8; MAC_LEN]) -> bool {
    declassify_choice(primitives, Declassified::BraidVerdict, computed.ct_eq(received))
}

/// `KDF_OK(ss, epoch)`: the epoch's output key.
pub(crate) fn kdf_ok<P: Primitives>(primitives: &P, shared_secret: &Secret<32>, epoch: Epoch) -> Secret<32> {
    output_key(primitives, labels::BRAID, shared_secret, epoch)
}

fn output_key<P: Primitives>(primitives: &P, info: &[u8], shared_secret: &Secret<32>, epoch: Epoch) -> Secret<32> {
    let mut key = Secret::zero();
    let info = [info, b":SCKA Key", &epoch.to_bytes()];
    primitives.hkdf(&[0; 32], &[shared_secret.expose()], &info, key.expose_mut());
    key
}

/// `KDF_AUTH(root, key, epoch)` = root || mac_key.
fn update<P: Primitives>(
    primitives: &P,
    info: &[u8],
    root: &[u8; 32],
    key: &Secret<32>,
    epoch: Epoch,
) -> Authenticator {
    let mut material = Secret::<64>::zero();
    let info = [info, b":Authenticator Update", &epoch.to_bytes()];
    primitives.hkdf(root, &[key.expose()], &info, material.expose_mut());
    let mut updated = Authenticator { root: Secret::zero(), mac_key: Secret::zero() };
    let (root, mac_key) = material.expose().split_at(32);
    updated.root.expose_mut().copy_from_slice(root);
    updated.mac_key.expose_mut().copy_from_slice(mac_key);
    updated
}

fn mac<P: Primitives>(
    primitives: &P,
    info: &[u8],
    key: &Secret<32>,
    what: &[u8],
    epoch: Epoch,
    of: [&[u8]; 2],
) -> Secret<32> {
    let [first, second] = of;
    primitives.hmac(key.expose(), &[info, what, &epoch.to_bytes(), first, second])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::test_support::hex;

    /// The label of the known answers, which a script that shares no code with this crate computed.
    const INFO: &[u8] = b"MyProtocol_MLKEM768_SHA-256";

    /// Known answer computed by a script that shares no code with this crate.
    #[test]
    fn kdf_ok_gives_the_known_answer() {
        let key = output_key(&RustCrypto, INFO, &Secret::new([0x11; 32]), Epoch::FIRST);
        assert_eq!(key.expose(), &hex("03cea5e2d65cf32a4817f18d86dc2aaff9b0ee5b8e87c21afb05a31ee836d707"));
    }

    /// Known answer computed by a script that shares no code with this crate. Signal's code has the root in the input
    /// key material, which gives other bytes.
    #[test]
    fn authenticator_init_gives_the_known_answer() {
        let auth = update(&RustCrypto, INFO, &[0; 32], &Secret::new([0x22; 32]), Epoch::FIRST);
        assert_eq!(auth.root.expose(), &hex("46d285ccfc28f2915588662201a5e6605f2b263be80df52f79af35b971a6c044"));
        assert_eq!(auth.mac_key.expose(), &hex("e7a639a4c9113ce4bfa3e3a0bc5229da02dd029d02a7b5578c908278a2864f1f"));
        let mut signal = [0; 64];
        let info = [INFO, b":Authenticator Update", &Epoch::FIRST.to_bytes()];
        RustCrypto.hkdf(&[0; 32], &[&[0; 32], &[0x22; 32]], &info, &mut signal);
        assert_ne!(signal[..32], auth.root.expose()[..]);
    }

    /// Known answers computed by a script that shares no code with this crate. With fewer than eight bytes of the epoch
    /// the MAC differs.
    #[test]
    fn macs_give_the_known_answers() {
        let key = Secret::new([0x88; 32]);
        let header = mac(&RustCrypto, INFO, &key, b":ekheader", Epoch::FIRST, [&[0x99; 64], &[]]);
        assert_eq!(header.expose(), &hex("6728c0a780c535f20809ecfc26eee6e145e80a288e8ee3d0870560ec9bb79a62"));
        let ciphertext = mac(&RustCrypto, INFO, &key, b":ciphertext", Epoch::FIRST, [&[0xAA; 960], &[0xBB; 128]]);
        assert_eq!(ciphertext.expose(), &hex("39a2f22427a82a27f0734166ccd57bc583e2fc92c6e0e310979a05543002a659"));
        let bare = RustCrypto.hmac(key.expose(), &[INFO, b":ekheader", b"1", &[0x99; 64]]);
        assert_ne!(bare.expose(), header.expose());
    }

    #[test]
    fn a_mac_with_any_changed_byte_is_refused() {
        let mac = [7; MAC_LEN];
        assert!(verifies(&RustCrypto, &mac, &mac));
        for at in 0..MAC_LEN {
            let mut other = mac;
            other[at] ^= 0x80;
            assert!(!verifies(&RustCrypto, &mac, &other));
        }
    }
}
