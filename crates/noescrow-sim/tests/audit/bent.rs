// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorders that are bent in one way each: what an exploration must convict.

use noescrow::Secret;
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use noescrow_recorder::Recorder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bend {
    /// None: the control of the controls.
    Straight,
    /// A message's AEAD key is derived from nothing but constants.
    KeyFromNothing,
    /// The chain keys of both ratchets stay as they are.
    ChainsThatStand,
    /// Only the classical ratchet's does: no message falls for that.
    ClassicalChainThatStands,
    /// An AEAD key is masked, outside the recorded operations.
    MaskedKey,
    /// Tags are not checked.
    NoTag,
    /// Signatures are not checked.
    Believes,
}

#[derive(Clone, Debug)]
pub(crate) struct Bent {
    pub(crate) bend: Bend,
    pub(crate) recorder: Recorder,
}

impl Bent {
    fn masks(&self) -> bool {
        self.bend == Bend::MaskedKey
    }

    fn key(&self, key: &Secret<32>) -> Secret<32> {
        Secret::new(key.expose().map(|byte| if self.masks() { byte ^ 0x5A } else { byte }))
    }
}

impl Primitives for Bent {
    fn step(&self, label: &'static str) {
        self.recorder.step(label);
    }
    fn fresh(&self, value: &[u8]) {
        self.recorder.fresh(value);
    }
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        self.recorder.dh_public(secret)
    }
    fn dh(&self, secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed> {
        self.recorder.dh(secret, public)
    }
    fn dh_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        self.recorder.dh_is_torsion_free(public)
    }
    fn signing_public(&self, seed: &Secret<32>) -> [u8; 32] {
        self.recorder.signing_public(seed)
    }
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; 64] {
        self.recorder.sign(seed, message)
    }
    fn signing_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        self.recorder.signing_is_torsion_free(public)
    }
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed> {
        let outcome = self.recorder.verify(public, message, signature);
        if self.bend == Bend::Believes { Ok(()) } else { outcome }
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        self.recorder.kem_public(seed)
    }
    fn kem_public_is_valid(&self, public: &[u8; 1568]) -> bool {
        self.recorder.kem_public_is_valid(public)
    }
    fn encapsulate(&self, public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>) {
        self.recorder.encapsulate(public, coins)
    }
    fn decapsulate(&self, seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32> {
        self.recorder.decapsulate(seed, ciphertext)
    }
    fn incremental_public(&self, seed: &Secret<64>) -> ([u8; 64], [u8; 1152]) {
        self.recorder.incremental_public(seed)
    }
    fn encaps1(&self, header: &[u8; 64], coins: &Secret<32>) -> ([u8; 960], Secret<32>) {
        self.recorder.encaps1(header, coins)
    }
    fn encaps2(&self, header: &[u8; 64], ek_vector: &[u8; 1152], coins: &Secret<32>) -> Result<[u8; 128], Failed> {
        self.recorder.encaps2(header, ek_vector, coins)
    }
    fn incremental_decapsulate(&self, seed: &Secret<64>, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret<32> {
        self.recorder.incremental_decapsulate(seed, ct1, ct2)
    }
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        self.recorder.hmac(key, parts)
    }
    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        let (message_key, next) = self.recorder.hmac_pair(key, first, second);
        match self.bend {
            Bend::ChainsThatStand | Bend::ClassicalChainThatStands => (message_key, Secret::new(*key.expose())),
            _ => (message_key, next),
        }
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        match (self.bend, out.len()) {
            (Bend::KeyFromNothing, 44) => self.recorder.hkdf(&[0; 32], &[&[0; 32]], info, out),
            _ => self.recorder.hkdf(salt, ikm, info, out),
        }
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        self.recorder.hkdf_expand(prk, info, out);
        if self.bend == Bend::ChainsThatStand
            && matches!(info, [b"noescrow-v1 KDF_SCKA_CK", _])
            && let Some(next) = out.first_chunk_mut()
        {
            *next = *prk.expose();
        }
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.recorder.sha256(parts)
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.recorder.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        self.recorder.seal(&self.key(key), nonce, ad, buffer)
    }
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Failed> {
        let outcome = self.recorder.open(&self.key(key), nonce, ad, buffer, tag);
        if self.bend == Bend::NoTag && outcome.is_err() {
            let _ = RustCrypto.seal(key, nonce, ad, buffer);
            return Ok(());
        }
        outcome
    }
}
