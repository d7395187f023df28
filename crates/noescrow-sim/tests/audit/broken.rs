// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Broken`]: a recorder with at most one fault. It also keeps what passes, for servers that get what they should not.

use noescrow::Secret;
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use noescrow_recorder::Recorder;
use std::cell::RefCell;
use std::rc::Rc;

/// What is wrong with a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Every check of what others send passes.
    Gullible,
    /// The handshake's secret depends on a value of the server's (Telegram 2013).
    ServerNonce([u8; 32]),
    /// The chain key is hidden by an exclusive or that no primitive performs.
    Masked,
    /// Message keys stay in memory when they have been used.
    KeepsUsedKeys,
    /// Keys of messages that were overtaken stay in memory when these have come.
    KeepsSkippedKeys,
    /// All that the classical half of a session had stays in memory.
    KeepsClassicalKeys,
    /// All that a session had stays in memory.
    WipesNothing,
    /// Signs what the server asks it to.
    SignsAnything,
}

impl Fault {
    /// What of its past lies in a device's memory at each theft.
    pub const fn keeps(self) -> Option<&'static [Name]> {
        use Name::{ChainKey, DhPrivate, DhShared, HeaderKey, MessageKey, PostQuantumMessageKey, RootKey};
        use Name::{PostQuantumChainKey, SkippedMessageKey, SkippedPostQuantumKey};
        match self {
            Self::KeepsUsedKeys => Some(&[MessageKey, PostQuantumMessageKey]),
            Self::KeepsSkippedKeys => Some(&[SkippedMessageKey, SkippedPostQuantumKey]),
            Self::KeepsClassicalKeys => Some(&[RootKey, ChainKey, HeaderKey, MessageKey, DhPrivate, DhShared]),
            Self::WipesNothing => Some(&[
                RootKey,
                ChainKey,
                HeaderKey,
                MessageKey,
                DhPrivate,
                DhShared,
                PostQuantumChainKey,
                PostQuantumMessageKey,
            ]),
            _ => None,
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    SigningSeed,
    DhPrivate,
    KemSeed,
    KemCoins,
    KemShared,
    DhShared,
    IdentityKey,
    HandshakeSecret,
    FirstHeaderKey,
    RootKey,
    ChainKey,
    HeaderKey,
    MessageKey,
    SkippedMessageKey,
    /// The sparse ratchet's first secret.
    SparseSecret,
    PostQuantumRootKey,
    PostQuantumChainKey,
    PostQuantumMessageKey,
    SkippedPostQuantumKey,
    /// Of the Braid: an epoch's output, and what it was agreed on with.
    EpochKey,
    BraidSeed,
    BraidCoins,
    BraidShared,
    MessageAeadKey,
    SnapshotAeadKey,
    Header,
    State,
}

#[derive(Clone, Debug)]
pub struct Seen {
    pub step: &'static str,
    pub name: Name,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Tap {
    pub step: &'static str,
    pub seen: Vec<Seen>,
    /// The last message key that was derived for a message that has come, of either ratchet.
    received: Option<Vec<u8>>,
}

impl Tap {
    fn see(&mut self, name: Name, bytes: &[u8]) {
        if !self.seen.iter().any(|seen| seen.name == name && seen.bytes == bytes) {
            self.seen.push(Seen { step: self.step, name, bytes: bytes.to_vec() });
        }
    }

    /// A message key. Of those that are derived for one message that has come, the last is its own.
    fn see_message_key(&mut self, key: &[u8]) {
        self.see(Name::MessageKey, key);
        if matches!(self.step, "DR-D5" | "DR-D7")
            && let Some(skipped) = self.received.replace(key.to_vec())
        {
            self.see(Name::SkippedMessageKey, &skipped);
        }
    }

    /// As [`see_message_key`](Self::see_message_key), of the sparse ratchet.
    fn see_post_quantum_key(&mut self, key: &[u8]) {
        self.see(Name::PostQuantumMessageKey, key);
        if self.step == "SP-R2"
            && let Some(skipped) = self.received.replace(key.to_vec())
        {
            self.see(Name::SkippedPostQuantumKey, &skipped);
        }
    }

    /// All values of a name, in the order in which they were first seen; `step` is the beginning of where.
    pub fn all(&self, name: Name, step: &str) -> Vec<Vec<u8>> {
        let fits = self.seen.iter().filter(|seen| seen.name == name && seen.step.starts_with(step));
        fits.map(|seen| seen.bytes.clone()).collect()
    }
}

#[derive(Clone)]
pub struct Broken {
    inner: Recorder,
    fault: Fault,
    pub tap: Rc<RefCell<Tap>>,
}

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Broken")
    }
}

const MASK: u8 = 0x5A;
const SUITE: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";

impl Broken {
    pub fn new(inner: Recorder, fault: Fault) -> Self {
        Self { inner, fault, tap: Rc::default() }
    }

    pub const fn recorder(&self) -> &Recorder {
        &self.inner
    }

    fn see(&self, name: Name, bytes: &[u8]) {
        self.tap.borrow_mut().see(name, bytes);
    }

    fn step_now(&self) -> &'static str {
        self.tap.borrow().step
    }

    fn is_gullible(&self) -> bool {
        self.fault == Fault::Gullible
    }
}

fn mask(key: &Secret<32>) -> Secret<32> {
    Secret::new(key.expose().map(|byte| byte ^ MASK))
}

impl Primitives for Broken {
    fn step(&self, label: &'static str) {
        let mut tap = self.tap.borrow_mut();
        tap.step = label;
        tap.received = None;
        self.inner.step(label);
    }
    fn fresh(&self, value: &[u8]) {
        self.inner.fresh(value);
    }
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        self.see(Name::DhPrivate, secret.expose());
        self.inner.dh_public(secret)
    }
    fn dh(&self, secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed> {
        let shared = self.inner.dh(secret, public)?;
        self.see(Name::DhShared, shared.expose());
        Ok(shared)
    }
    fn dh_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        self.is_gullible() || self.inner.dh_is_torsion_free(public)
    }
    fn signing_public(&self, seed: &Secret<32>) -> [u8; 32] {
        self.see(Name::SigningSeed, seed.expose());
        self.inner.signing_public(seed)
    }
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; 64] {
        if self.fault == Fault::SignsAnything {
            let _ = self.inner.sign(seed, b"a challenge of the server's");
        }
        self.inner.sign(seed, message)
    }
    fn signing_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        self.is_gullible() || self.inner.signing_is_torsion_free(public)
    }
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed> {
        if self.is_gullible() {
            return RustCrypto.verify(public, message, signature).or(Ok(()));
        }
        self.inner.verify(public, message, signature)
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        self.see(Name::KemSeed, seed.expose());
        self.inner.kem_public(seed)
    }
    fn kem_public_is_valid(&self, public: &[u8; 1568]) -> bool {
        self.is_gullible() || self.inner.kem_public_is_valid(public)
    }
    fn encapsulate(&self, public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>) {
        let (ciphertext, shared) = self.inner.encapsulate(public, coins);
        self.see(Name::KemCoins, coins.expose());
        self.see(Name::KemShared, shared.expose());
        (ciphertext, shared)
    }
    fn decapsulate(&self, seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32> {
        let shared = self.inner.decapsulate(seed, ciphertext);
        self.see(Name::KemShared, shared.expose());
        shared
    }
    fn incremental_public(&self, seed: &Secret<64>) -> ([u8; 64], [u8; 1152]) {
        self.see(Name::BraidSeed, seed.expose());
        self.inner.incremental_public(seed)
    }
    fn encaps1(&self, header: &[u8; 64], coins: &Secret<32>) -> ([u8; 960], Secret<32>) {
        let (ct1, shared) = self.inner.encaps1(header, coins);
        self.see(Name::BraidCoins, coins.expose());
        self.see(Name::BraidShared, shared.expose());
        (ct1, shared)
    }
    fn encaps2(&self, header: &[u8; 64], ek_vector: &[u8; 1152], coins: &Secret<32>) -> Result<[u8; 128], Failed> {
        self.inner.encaps2(header, ek_vector, coins)
    }
    fn incremental_decapsulate(&self, seed: &Secret<64>, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret<32> {
        self.inner.incremental_decapsulate(seed, ct1, ct2)
    }
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        self.inner.hmac(key, parts)
    }
    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        let (message_key, chain_key) = match self.fault {
            Fault::Masked => self.inner.hmac_pair(&mask(key), first, second),
            _ => self.inner.hmac_pair(key, first, second),
        };
        self.see(Name::ChainKey, key.expose());
        self.tap.borrow_mut().see_message_key(message_key.expose());
        (message_key, chain_key)
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        let mut ikm = ikm.to_vec();
        if let (Fault::ServerNonce(nonce), [SUITE]) = (&self.fault, info) {
            ikm.push(nonce);
        }
        self.inner.hkdf(salt, &ikm, info, out);
        match (out.len(), info) {
            (32, [SUITE]) => self.see(Name::HandshakeSecret, out),
            (32, [b"noescrow-v1 next header key"]) => self.see(Name::HeaderKey, out),
            (32, [_, b":SCKA Key", _]) => self.see(Name::EpochKey, out),
            (128, _) => {
                self.see(Name::PostQuantumRootKey, &out[..32]);
                self.see(Name::PostQuantumChainKey, &out[32..64]);
                self.see(Name::PostQuantumChainKey, &out[64..96]);
            }
            (44, [b"noescrow-v1 message"]) => self.see(Name::MessageAeadKey, &out[..32]),
            (44, _) => self.see(Name::IdentityKey, &out[..32]),
            (96, _) => {
                self.see(Name::RootKey, &out[..32]);
                self.see(Name::ChainKey, &out[32..64]);
                self.see(Name::HeaderKey, &out[64..]);
            }
            _ => {}
        }
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        self.inner.hkdf_expand(prk, info, out);
        match info {
            [b"noescrow-v1 sk: root key"] => self.see(Name::RootKey, out),
            [b"noescrow-v1 snapshot seal", ..] => self.see(Name::SnapshotAeadKey, &out[..32]),
            [b"noescrow-v1 sk: sparse ratchet"] => self.see(Name::SparseSecret, out),
            [b"noescrow-v1 sk: braid"] => {}
            [label] if label.starts_with(b"noescrow-v1 sk:") => self.see(Name::FirstHeaderKey, out),
            [b"noescrow-v1 KDF_SCKA_CK", _] => {
                self.see(Name::PostQuantumChainKey, prk.expose());
                self.tap.borrow_mut().see_post_quantum_key(&out[32..]);
            }
            _ => {}
        }
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.inner.sha256(parts)
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.inner.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        match self.step_now() {
            "DR-E3" => self.see(Name::Header, buffer),
            "SN-1" => {
                self.see(Name::State, buffer);
                if let Some(names) = self.fault.keeps() {
                    // What else is in memory at this moment.
                    let tap = self.tap.borrow();
                    let mut kept = names.iter().flat_map(|name| tap.all(*name, "")).collect::<Vec<_>>().concat();
                    self.inner.seal(key, &nonce.map(|byte| !byte), ad, &mut kept)?;
                }
            }
            _ => {}
        }
        self.inner.seal(key, nonce, ad, buffer)
    }
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Failed> {
        self.inner.open(key, nonce, ad, buffer, tag)
    }
}
