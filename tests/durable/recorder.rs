// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Recorder`]: under which keys message bodies are sealed.

use noescrow::Secret;
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use std::cell::{Cell, RefCell};

thread_local! {
    static STEP: Cell<&'static str> = const { Cell::new("") };
    /// Key and nonce of the last body that was sealed on this thread, by whichever session.
    static LAST_BODY_KEY: RefCell<Option<BodyKey>> = const { RefCell::new(None) };
}

pub type BodyKey = ([u8; 32], [u8; 12]);

/// The default primitives; notes under which key a body is sealed. Its log is the thread's, because `Durable::restore`
/// makes new primitives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recorder;

impl Primitives for Recorder {
    fn step(&self, label: &'static str) {
        STEP.set(label);
    }
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        RustCrypto.dh_public(secret)
    }
    fn dh(&self, secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed> {
        RustCrypto.dh(secret, public)
    }
    fn dh_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        RustCrypto.dh_is_torsion_free(public)
    }
    fn signing_public(&self, seed: &Secret<32>) -> [u8; 32] {
        RustCrypto.signing_public(seed)
    }
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; 64] {
        RustCrypto.sign(seed, message)
    }
    fn signing_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        RustCrypto.signing_is_torsion_free(public)
    }
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed> {
        RustCrypto.verify(public, message, signature)
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        RustCrypto.kem_public(seed)
    }
    fn kem_public_is_valid(&self, public: &[u8; 1568]) -> bool {
        RustCrypto.kem_public_is_valid(public)
    }
    fn encapsulate(&self, public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>) {
        RustCrypto.encapsulate(public, coins)
    }
    fn decapsulate(&self, seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32> {
        RustCrypto.decapsulate(seed, ciphertext)
    }
    fn incremental_public(&self, seed: &Secret<64>) -> ([u8; 64], [u8; 1152]) {
        RustCrypto.incremental_public(seed)
    }
    fn encaps1(&self, header: &[u8; 64], coins: &Secret<32>) -> ([u8; 960], Secret<32>) {
        RustCrypto.encaps1(header, coins)
    }
    fn encaps2(&self, header: &[u8; 64], ek_vector: &[u8; 1152], coins: &Secret<32>) -> Result<[u8; 128], Failed> {
        RustCrypto.encaps2(header, ek_vector, coins)
    }
    fn incremental_decapsulate(&self, seed: &Secret<64>, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret<32> {
        RustCrypto.incremental_decapsulate(seed, ct1, ct2)
    }
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        RustCrypto.hmac(key, parts)
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf(salt, ikm, info, out);
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf_expand(prk, info, out);
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.sha256(parts)
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        RustCrypto.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        if STEP.get() == "DR-E4" {
            LAST_BODY_KEY.replace(Some((*key.expose(), *nonce)));
        }
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
        RustCrypto.open(key, nonce, ad, buffer, tag)
    }
}

pub fn last_body_key() -> BodyKey {
    LAST_BODY_KEY.take().unwrap()
}
