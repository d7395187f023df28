// SPDX-License-Identifier: MIT OR Apache-2.0
//! Primitives that record every secret input and output, the forms into which libraries expand secrets, and the public
//! values.
//!
//! The audit's own recorder would do, but takes longer to build than all of this test.

use crate::expanded;
use noescrow::Secret;
use noescrow::primitives::{
    CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, Failed, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, KEM_SEED_LEN,
    NONCE_LEN, PUBLIC_KEY_LEN, Primitives, RustCrypto, SIGNATURE_LEN, TAG_LEN,
};
use std::cell::RefCell;
use std::rc::Rc;

/// The label of the expansion that is not a secret: a session's name, which the application has as long as it wants.
const SESSION_ID: &[u8] = b"noescrow-v1 sk: session id";

/// What was recorded since the last call of `take`.
#[derive(Debug, Default)]
pub struct Notes {
    /// The step of spec/protocol.md that began last.
    step: &'static str,
    /// `X25519 shared secret (HS-I4)`, and the value.
    pub secrets: Vec<(String, Vec<u8>)>,
    pub public: Vec<u8>,
    /// What was stored in snapshots, in the clear.
    pub state: Vec<u8>,
}

/// One device's primitives. Clones record into the same place.
///
/// Not built on `noescrow::hazmat::Intercepted`: that moves results once more, and a copy that such a move leaves on
/// the stack would be reported as a secret that the protocol does not wipe.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Rc<RefCell<Notes>>);

impl Recorder {
    /// Returns what was recorded.
    pub fn take(&self) -> Notes {
        let mut notes = self.0.borrow_mut();
        let step = notes.step;
        std::mem::replace(&mut notes, Notes { step, ..Notes::default() })
    }

    fn secret(&self, name: &str, value: &[u8]) {
        let mut notes = self.0.borrow_mut();
        let name = format!("{name} ({})", notes.step);
        notes.secrets.push((name, value.to_vec()));
    }

    fn all(&self, secrets: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
        secrets.into_iter().for_each(|(name, value)| self.secret(name, &value));
    }

    fn public(&self, value: &[u8]) {
        self.0.borrow_mut().public.extend_from_slice(value);
    }

    fn step_is(&self, labels: &[&str]) -> bool {
        labels.contains(&self.0.borrow().step)
    }

    fn private_key(&self, secret: &Secret<32>) {
        self.secret("X25519 private key", secret.expose());
        self.secret("clamped X25519 private key", &expanded::clamped(secret.expose()));
    }

    fn kdf(&self, key: &[u8], input: &[&[u8]]) {
        self.secret("KDF input", key);
        if key.len() == PUBLIC_KEY_LEN {
            self.all(expanded::padded(key));
        }
        input.iter().for_each(|part| self.secret("KDF input", part));
    }

    fn cipher(&self, key: &Secret<32>, nonce: &[u8; NONCE_LEN]) {
        self.secret("AEAD key", key.expose());
        self.secret("AEAD nonce", nonce);
        self.secret("AES round keys", &expanded::round_keys(key.expose())[key.expose().len()..]);
    }
}

impl Primitives for Recorder {
    fn step(&self, label: &'static str) {
        self.0.borrow_mut().step = label;
    }

    fn fresh(&self, value: &[u8]) {
        self.secret("drawn", value);
    }

    fn dh_public(&self, secret: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        self.private_key(secret);
        let public = RustCrypto.dh_public(secret);
        self.public(&public);
        public
    }

    fn dh(&self, secret: &Secret<32>, public: &[u8; PUBLIC_KEY_LEN]) -> Result<Secret<32>, Failed> {
        self.private_key(secret);
        let shared = RustCrypto.dh(secret, public)?;
        self.secret("X25519 shared secret", shared.expose());
        Ok(shared)
    }

    fn dh_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool {
        RustCrypto.dh_is_torsion_free(public)
    }

    fn signing_public(&self, seed: &Secret<32>) -> [u8; PUBLIC_KEY_LEN] {
        self.secret("Ed25519 seed", seed.expose());
        self.all(expanded::of_signing_seed(seed.expose(), &[]));
        let public = RustCrypto.signing_public(seed);
        self.public(&public);
        public
    }

    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.secret("Ed25519 seed", seed.expose());
        self.all(expanded::of_signing_seed(seed.expose(), message));
        let signature = RustCrypto.sign(seed, message);
        self.public(&signature);
        signature
    }

    fn signing_is_torsion_free(&self, public: &[u8; PUBLIC_KEY_LEN]) -> bool {
        RustCrypto.signing_is_torsion_free(public)
    }

    fn verify(
        &self,
        public: &[u8; PUBLIC_KEY_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), Failed> {
        RustCrypto.verify(public, message, signature)
    }

    fn kem_public(&self, seed: &Secret<KEM_SEED_LEN>) -> [u8; KEM_PUBLIC_LEN] {
        self.secret("ML-KEM-1024 seed", seed.expose());
        self.secret("ML-KEM-1024 secret vector", &expanded::secret_vector_1024(seed.expose()));
        let public = RustCrypto.kem_public(seed);
        self.public(&public);
        public
    }

    fn kem_public_is_valid(&self, public: &[u8; KEM_PUBLIC_LEN]) -> bool {
        RustCrypto.kem_public_is_valid(public)
    }

    fn encapsulate(&self, public: &[u8; KEM_PUBLIC_LEN], coins: &Secret<32>) -> ([u8; KEM_CIPHERTEXT_LEN], Secret<32>) {
        self.secret("ML-KEM coins", coins.expose());
        let (ciphertext, shared) = RustCrypto.encapsulate(public, coins);
        self.public(&ciphertext);
        self.secret("ML-KEM shared secret", shared.expose());
        (ciphertext, shared)
    }

    fn decapsulate(&self, seed: &Secret<KEM_SEED_LEN>, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Secret<32> {
        self.secret("ML-KEM-1024 seed", seed.expose());
        self.secret("ML-KEM-1024 secret vector", &expanded::secret_vector_1024(seed.expose()));
        let shared = RustCrypto.decapsulate(seed, ciphertext);
        self.secret("ML-KEM shared secret", shared.expose());
        shared
    }

    fn incremental_public(&self, seed: &Secret<KEM_SEED_LEN>) -> ([u8; EK_HEADER_LEN], [u8; EK_VECTOR_LEN]) {
        self.secret("ML-KEM-768 seed", seed.expose());
        self.secret("ML-KEM-768 secret vector", &expanded::secret_vector_768(seed.expose()));
        let (header, ek_vector) = RustCrypto.incremental_public(seed);
        self.public(&header);
        self.public(&ek_vector);
        (header, ek_vector)
    }

    fn encaps1(&self, header: &[u8; EK_HEADER_LEN], coins: &Secret<32>) -> ([u8; CT1_LEN], Secret<32>) {
        self.secret("ML-KEM coins", coins.expose());
        let (ct1, shared) = RustCrypto.encaps1(header, coins);
        self.public(&ct1);
        self.secret("ML-KEM shared secret", shared.expose());
        (ct1, shared)
    }

    fn encaps2(
        &self,
        header: &[u8; EK_HEADER_LEN],
        ek_vector: &[u8; EK_VECTOR_LEN],
        coins: &Secret<32>,
    ) -> Result<[u8; CT2_LEN], Failed> {
        self.secret("ML-KEM coins", coins.expose());
        let ct2 = RustCrypto.encaps2(header, ek_vector, coins)?;
        self.public(&ct2);
        Ok(ct2)
    }

    fn incremental_decapsulate(
        &self,
        seed: &Secret<KEM_SEED_LEN>,
        ct1: &[u8; CT1_LEN],
        ct2: &[u8; CT2_LEN],
    ) -> Secret<32> {
        self.secret("ML-KEM-768 seed", seed.expose());
        self.secret("ML-KEM-768 secret vector", &expanded::secret_vector_768(seed.expose()));
        let shared = RustCrypto.incremental_decapsulate(seed, ct1, ct2);
        self.secret("ML-KEM shared secret", shared.expose());
        shared
    }

    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        self.kdf(key, &[]);
        let output = RustCrypto.hmac(key, parts);
        // A MAC of the Braid, which is sent; or a snapshot's salt, at its beginning.
        self.public(output.expose());
        output
    }

    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        self.kdf(key.expose(), &[]);
        let (one, two) = RustCrypto.hmac_pair(key, first, second);
        self.secret("HMAC-SHA-256", one.expose());
        self.secret("HMAC-SHA-256", two.expose());
        (one, two)
    }

    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        self.kdf(salt, ikm);
        let prk = RustCrypto.hmac(salt, ikm);
        self.secret("PRK of an HKDF", prk.expose());
        self.all(expanded::padded(prk.expose()));
        RustCrypto.hkdf(salt, ikm, info, out);
        self.secret("HKDF-SHA-256", out);
    }

    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        self.kdf(prk.expose(), &[]);
        RustCrypto.hkdf_expand(prk, info, out);
        if info.first() == Some(&SESSION_ID) {
            self.public(out);
        } else {
            self.secret("HKDF-Expand", out);
        }
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let digest = RustCrypto.sha256(parts);
        self.public(&digest);
        digest
    }

    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        let digest = RustCrypto.sha512(parts);
        self.public(&digest);
        digest
    }

    fn seal(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Failed> {
        self.cipher(key, nonce);
        if self.step_is(&["DR-E4"]) {
            self.secret("plaintext", buffer);
        } else if self.step_is(&["SN-1"]) {
            self.0.borrow_mut().state.extend_from_slice(buffer);
        }
        RustCrypto.seal(key, nonce, ad, buffer)
    }

    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; NONCE_LEN],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed> {
        self.cipher(key, nonce);
        RustCrypto.open(key, nonce, ad, buffer, tag)?;
        if self.step_is(&["DR-D8"]) {
            self.secret("plaintext", buffer);
        }
        Ok(())
    }
}
