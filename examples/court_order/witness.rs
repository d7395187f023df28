// SPDX-License-Identifier: MIT OR Apache-2.0
//! A `Primitives` that writes down every secret a device touches, so that they can be searched for. Its place will be
//! taken by the audit's recorder, which also knows what follows from what.

use noescrow::Secret;
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// What one device's primitives have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness(Rc<RefCell<HashSet<[u8; 32]>>>);

impl Witness {
    /// Every 32-byte secret so far: private keys, shared secrets, root, chain, header, message and AEAD keys.
    pub(crate) fn secrets(&self) -> Vec<[u8; 32]> {
        self.0.borrow().iter().copied().collect()
    }

    fn note(&self, bytes: &[u8]) {
        // Longer outputs are several keys; what is left over is a nonce or commitment, which travels or is public.
        let mut seen = self.0.borrow_mut();
        for key in bytes.chunks_exact(32) {
            if let Ok(key) = <[u8; 32]>::try_from(key) {
                // Salts and separators that everybody knows.
                if key != [0; 32] && key != [0xFF; 32] {
                    seen.insert(key);
                }
            }
        }
    }

    fn noted<const N: usize>(&self, secret: Secret<N>) -> Secret<N> {
        self.note(secret.expose());
        secret
    }
}

impl Primitives for Witness {
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        self.note(secret.expose());
        RustCrypto.dh_public(secret)
    }
    fn dh(&self, secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed> {
        self.note(secret.expose());
        RustCrypto.dh(secret, public).map(|shared| self.noted(shared))
    }
    fn dh_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        RustCrypto.dh_is_torsion_free(public)
    }
    fn signing_public(&self, seed: &Secret<32>) -> [u8; 32] {
        self.note(seed.expose());
        RustCrypto.signing_public(seed)
    }
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; 64] {
        self.note(seed.expose());
        RustCrypto.sign(seed, message)
    }
    fn signing_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        RustCrypto.signing_is_torsion_free(public)
    }
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed> {
        RustCrypto.verify(public, message, signature)
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        self.note(seed.expose());
        RustCrypto.kem_public(seed)
    }
    fn kem_public_is_valid(&self, public: &[u8; 1568]) -> bool {
        RustCrypto.kem_public_is_valid(public)
    }
    fn encapsulate(&self, public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>) {
        self.note(coins.expose());
        let (ciphertext, shared) = RustCrypto.encapsulate(public, coins);
        (ciphertext, self.noted(shared))
    }
    fn decapsulate(&self, seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32> {
        self.note(seed.expose());
        self.noted(RustCrypto.decapsulate(seed, ciphertext))
    }
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        self.note(key);
        self.noted(RustCrypto.hmac(key, parts))
    }
    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        self.note(key.expose());
        let (one, two) = RustCrypto.hmac_pair(key, first, second);
        (self.noted(one), self.noted(two))
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        self.note(salt);
        ikm.iter().for_each(|part| self.note(part));
        RustCrypto.hkdf(salt, ikm, info, out);
        self.note(out);
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        self.note(prk.expose());
        RustCrypto.hkdf_expand(prk, info, out);
        self.note(out);
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.sha256(parts)
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        RustCrypto.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        self.note(key.expose());
        RustCrypto.seal(key, nonce, ad, buffer)
    }
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Failed> {
        self.note(key.expose());
        RustCrypto.open(key, nonce, ad, buffer, tag)
    }
}
