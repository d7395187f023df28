// SPDX-License-Identifier: MIT OR Apache-2.0
//! Login to a server (LG-1): a device signs a challenge under its identity, with a label of its own.
//!
//! This module is not concerned with how a server makes and remembers challenges.

use super::{Capacities, Device};
use crate::error::LoginError;
use crate::identity::Identity;
use crate::labels;
use crate::primitives::{Failed, Primitives, RustCrypto, SIGNATURE_LEN};
use crate::wipe;

/// Length in bytes of a login challenge.
pub const LOGIN_CHALLENGE_LEN: usize = 32;
/// Length in bytes of the random value that a server draws for a login.
pub const CHALLENGE_NONCE_LEN: usize = 32;

const SIGNED_LEN: usize = labels::SERVER_LOGIN.len() + labels::PQXDH.len() + LOGIN_CHALLENGE_LEN;

/// Returns the bytes that the identity signs: `label || suite || challenge`.
fn signed(challenge: &[u8; LOGIN_CHALLENGE_LEN]) -> [u8; SIGNED_LEN] {
    let mut bytes = [0; SIGNED_LEN];
    let (label, rest) = bytes.split_at_mut(labels::SERVER_LOGIN.len());
    let (suite, value) = rest.split_at_mut(labels::PQXDH.len());
    label.copy_from_slice(labels::SERVER_LOGIN);
    suite.copy_from_slice(labels::PQXDH);
    value.copy_from_slice(challenge);
    bytes
}

/// Returns the challenge of a login, 32 bytes, which both sides compute (LG-1.2): SHA-256 of a label, the server's name,
/// the account's name, and the 32 bytes that the server has drawn for this login.
///
/// The device takes the name of the server from its own configuration: that of the certificate under which it has
/// connected, for example `https://chat.example.org`.
///
/// # Security
/// A server that passes on another server's nonce gets a signature for its own name, with which it cannot log in there.
/// The account is included because one identity may be that of two accounts.
#[must_use]
pub fn login_challenge(server: &[u8], account: &[u8], nonce: &[u8; CHALLENGE_NONCE_LEN]) -> [u8; LOGIN_CHALLENGE_LEN] {
    RustCrypto.step("LG-1");
    let len = |part: &[u8]| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
    RustCrypto.sha256(&[labels::LOGIN_CHALLENGE, &len(server), server, &len(account), account, nonce])
}

impl<P: Primitives, C: Capacities> Device<P, C> {
    /// Signs a server's challenge, 32 bytes (LG-1). Returns the Ed25519 signature, 64 bytes, which
    /// [`Identity::verify_login`] verifies.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")]
    /// # {
    /// use noescrow::device::login_challenge;
    /// use noescrow::primitives::RustCrypto;
    /// use noescrow::{Device, Identity, UnixSeconds};
    /// use rand::Rng;
    ///
    /// # let now = UnixSeconds(1_800_000_000);
    /// let device = Device::generate(now, &mut rand::rng());
    ///
    /// // The server knows the account's identity, and draws a nonce for this login, which it accepts once.
    /// let identity: Identity = *device.identity();
    /// let mut nonce = [0; 32];
    /// rand::rng().fill_bytes(&mut nonce);
    ///
    /// // The device signs for the server to which it is connected. A server with another name cannot use the signature.
    /// let signature = device.sign_login(&login_challenge(b"https://chat.example.org", b"bob", &nonce));
    ///
    /// // The server verifies it with its own name.
    /// let challenge = login_challenge(b"https://chat.example.org", b"bob", &nonce);
    /// identity.verify_login(&RustCrypto, &challenge, &signature)?;
    /// let elsewhere = login_challenge(b"https://evil.example", b"bob", &nonce);
    /// assert!(identity.verify_login(&RustCrypto, &elsewhere, &signature).is_err());
    /// # }
    /// # Ok::<(), noescrow::error::LoginError>(())
    /// ```
    ///
    /// # Security
    /// The label keeps the signature from being one of a prekey or a certificate, whatever the challenge (attack G24).
    /// The device should compute the challenge itself, with [`login_challenge`]; otherwise a server in the middle can
    /// have the challenge of another one signed. The server must accept each challenge only once. A signature proves to everyone that the device logged in.
    ///
    /// # Leaks
    /// Nothing: the challenge has one length.
    #[must_use]
    pub fn sign_login(&self, challenge: &[u8; LOGIN_CHALLENGE_LEN]) -> [u8; SIGNATURE_LEN] {
        self.primitives.step("LG-1");
        wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| {
            self.primitives.sign(self.identity.signing_seed(), &signed(challenge))
        })
    }
}

impl Identity {
    /// Verifies the signature of this identity's device over a login challenge: the server's side of
    /// [`Device::sign_login`], which has an example.
    ///
    /// # Errors
    /// [`LoginError`] if the signature is not one of this identity over this challenge.
    pub fn verify_login<P: Primitives>(
        &self,
        primitives: &P,
        challenge: &[u8; LOGIN_CHALLENGE_LEN],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), LoginError> {
        primitives.step("LG-1");
        let verified = primitives.verify(self.signing_key(), &signed(challenge), signature);
        verified.map_err(|Failed| LoginError::Refused)
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::primitives::RustCrypto;
    use crate::time::UnixSeconds;
    use alloc::string::ToString;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    const CHALLENGE: [u8; LOGIN_CHALLENGE_LEN] = [9; LOGIN_CHALLENGE_LEN];

    fn device(seed: u64) -> Device {
        Device::generate(UnixSeconds(2_000_000_000), &mut ChaCha20Rng::seed_from_u64(seed))
    }

    /// LG-1.
    #[test]
    fn a_login_verifies_for_its_identity_and_challenge_only() {
        let (bob, mallory) = (device(1), device(2));
        let signature = bob.sign_login(&CHALLENGE);
        let verdict = |identity: &Identity, challenge: &[u8; 32], signature: &[u8; 64]| {
            identity.verify_login(&RustCrypto, challenge, signature).is_ok()
        };
        assert!(!verdict(mallory.identity(), &CHALLENGE, &signature));
        for at in 0..LOGIN_CHALLENGE_LEN {
            let mut other = CHALLENGE;
            other[at] ^= 1;
            assert!(!verdict(bob.identity(), &other, &signature), "{at}");
        }
        for at in 0..SIGNATURE_LEN {
            let mut other = signature;
            other[at] ^= 1;
            assert!(!verdict(bob.identity(), &CHALLENGE, &other), "{at}");
        }
        // The text says what is wrong, and not that some primitive failed.
        let refused = mallory.identity().verify_login(&RustCrypto, &CHALLENGE, &signature).unwrap_err();
        assert_eq!((refused, &*refused.to_string()), (LoginError::Refused, "the login's signature does not verify"));
        // Control.
        assert!(verdict(bob.identity(), &CHALLENGE, &signature));
    }

    /// LG-1.2: each byte of the three parts, and where one ends and the next begins, are in the challenge.
    #[test]
    fn a_login_challenge_binds_server_account_and_nonce() {
        let of = |server: &[u8], account: &[u8], nonce| login_challenge(server, account, &nonce);
        let challenge = of(b"chat.net", b"bob", [1; 32]);
        for other in [
            of(b"evil.net", b"bob", [1; 32]),
            of(b"chat.net", b"eve", [1; 32]),
            of(b"chat.net", b"bob", [2; 32]),
            of(b"chat.netb", b"ob", [1; 32]),
            of(b"chat.ne", b"tbob", [1; 32]),
            of(b"", b"chat.netbob", [1; 32]),
        ] {
            assert_ne!(challenge, other);
        }
        // Control.
        assert_eq!(challenge, of(b"chat.net", b"bob", [1; 32]));
    }

    /// Attack G24: a server chooses the challenge. What it gets is no signature over anything else.
    #[test]
    fn g24_a_login_signs_label_suite_and_challenge_only() {
        let bob = device(1);
        let signature = bob.sign_login(&CHALLENGE);
        let verifies = |label: &[u8]| {
            let message = [label, labels::PQXDH, &CHALLENGE].concat();
            RustCrypto.verify(bob.identity().signing_key(), &message, &signature).is_ok()
        };
        for other in [
            labels::IDENTITY_CERTIFICATE,
            labels::PREKEY,
            labels::DEVICE_LIST,
            labels::IDENTITY_SUCCESSION,
            b"".as_slice(),
        ] {
            assert!(!verifies(other));
        }
        assert!(RustCrypto.verify(bob.identity().signing_key(), &CHALLENGE, &signature).is_err());
        // Control.
        assert!(verifies(b"noescrow-v1 server login"));
    }
}
