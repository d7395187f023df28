// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Spy`]: the default primitives, every operation written down with its inputs and outputs; and bent where a control
//! needs a device without a defence.

use crate::support::LATER;
use noescrow::error::AcceptError;
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use noescrow::{Bundle, Heap, Secret, StorageKey, device, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

/// The replay record holds four, so that it can be filled.
pub type SpyDevice = device::Device<Spy, 100, 4>;
pub type SpySession = session::Session<Spy, Heap>;

/// The suite: PQXDH's info.
pub const SUITE: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";

/// Associated data that a bent AEAD leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoAd {
    #[default]
    Nowhere,
    /// Where an identity is sealed: 128 bytes under the handshake's clear part.
    OfIdentity,
    Everywhere,
}

/// Defences taken out. The default takes out none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bends {
    /// Every signature verifies.
    pub no_verify: bool,
    /// Every point is of prime order.
    pub no_torsion_check: bool,
    /// Every KEM key is valid.
    pub no_modulus_check: bool,
    pub no_ad: NoAd,
    /// A KEM whose secret does not depend on the key: see `kem.rs`.
    pub weak_kem: bool,
    /// SK without DH1 and DH2: no identity takes part.
    pub no_identity_dh: bool,
    /// Bytes from the server, added to the key material of every KDF, as in Telegram's secret chats of 2013.
    pub server_nonce: Option<[u8; 32]>,
}

/// One operation: the parts of its inputs and outputs in the order of the trait's arguments.
#[derive(Clone)]
pub struct Operation {
    pub name: &'static str,
    /// The numbered step within which it happened.
    pub step: &'static str,
    pub inputs: Vec<Vec<u8>>,
    pub outputs: Vec<Vec<u8>>,
    pub succeeded: bool,
}

#[derive(Clone, Default)]
pub struct Spy {
    pub ledger: Rc<RefCell<Vec<Operation>>>,
    step: Rc<Cell<&'static str>>,
    bends: Rc<Cell<Bends>>,
}

impl std::fmt::Debug for Spy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spy")
    }
}

impl Spy {
    pub fn bend(&self, bends: Bends) {
        self.bends.set(bends);
    }

    pub fn straighten(&self) {
        self.bends.set(Bends::default());
    }

    pub fn forget(&self) {
        self.ledger.borrow_mut().clear();
    }

    pub fn count(&self, name: &str) -> usize {
        self.ledger.borrow().iter().filter(|operation| operation.name == name).count()
    }

    /// The steps in which something was computed, without repetitions.
    pub fn steps(&self) -> Vec<&'static str> {
        let mut steps: Vec<_> = self.ledger.borrow().iter().map(|operation| operation.step).collect();
        steps.dedup();
        steps
    }

    /// The last call of KDF(KM): its parts F, DH1, DH2, DH3, DH4 (empty if absent), SS; and SK.
    pub fn key_agreement(&self) -> ([Vec<u8>; 6], Vec<u8>) {
        let ledger = self.ledger.borrow();
        let is_kdf = |operation: &&Operation| operation.name == "hkdf" && operation.inputs.iter().any(|i| i == SUITE);
        let kdf = ledger.iter().rev().find(is_kdf).expect("no key agreement");
        (kdf.inputs[1..7].to_vec().try_into().unwrap(), kdf.outputs[0].clone())
    }

    /// The private half of a curve key that this device made.
    pub fn secret_of(&self, public: &[u8; 32]) -> [u8; 32] {
        let ledger = self.ledger.borrow();
        let made = ledger.iter().find(|operation| operation.name == "dh_public" && operation.outputs[0] == public);
        made.expect("not this device's key").inputs[0].as_slice().try_into().unwrap()
    }

    /// The seed of a KEM key that this device made.
    pub fn seed_of(&self, public: &[u8; 1568]) -> [u8; 64] {
        let ledger = self.ledger.borrow();
        let made = ledger.iter().find(|operation| operation.name == "kem_public" && operation.outputs[0] == public);
        made.expect("not this device's key").inputs[0].as_slice().try_into().unwrap()
    }

    fn note(&self, name: &'static str, inputs: &[&[u8]], outputs: &[&[u8]], succeeded: bool) {
        let owned = |parts: &[&[u8]]| parts.iter().map(|part| part.to_vec()).collect();
        let (inputs, outputs) = (owned(inputs), owned(outputs));
        self.ledger.borrow_mut().push(Operation { name, step: self.step.get(), inputs, outputs, succeeded });
    }

    fn ad<'a>(&self, ad: &'a [u8], buffer: &[u8]) -> &'a [u8] {
        match self.bends.get().no_ad {
            NoAd::Everywhere => &[],
            NoAd::OfIdentity if buffer.len() == noescrow::IDENTITY_LEN => &[],
            _ => ad,
        }
    }
}

/// `first`, then all of `parts`.
fn joined<'a>(first: &[&'a [u8]], rest: &[&[&'a [u8]]]) -> Vec<&'a [u8]> {
    first.iter().copied().chain(rest.iter().flat_map(|parts| parts.iter().copied())).collect()
}

impl Primitives for Spy {
    fn step(&self, label: &'static str) {
        self.step.set(label);
    }
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        let public = RustCrypto.dh_public(secret);
        self.note("dh_public", &[secret.expose()], &[&public], true);
        public
    }
    fn dh(&self, secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed> {
        let shared = RustCrypto.dh(secret, public);
        let output = shared.as_ref().map_or(&[][..], |shared| shared.expose());
        self.note("dh", &[secret.expose(), public], &[output], shared.is_ok());
        shared
    }
    fn dh_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        let free = self.bends.get().no_torsion_check || RustCrypto.dh_is_torsion_free(public);
        self.note("dh_is_torsion_free", &[public], &[], free);
        free
    }
    fn signing_public(&self, seed: &Secret<32>) -> [u8; 32] {
        let public = RustCrypto.signing_public(seed);
        self.note("signing_public", &[seed.expose()], &[&public], true);
        public
    }
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; 64] {
        let signature = RustCrypto.sign(seed, message);
        self.note("sign", &[seed.expose(), message], &[&signature], true);
        signature
    }
    fn signing_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        let free = self.bends.get().no_torsion_check || RustCrypto.signing_is_torsion_free(public);
        self.note("signing_is_torsion_free", &[public], &[], free);
        free
    }
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed> {
        let outcome = if self.bends.get().no_verify { Ok(()) } else { RustCrypto.verify(public, message, signature) };
        self.note("verify", &[public, message, signature], &[], outcome.is_ok());
        outcome
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        let public =
            if self.bends.get().weak_kem { crate::kem::weak::public(seed) } else { RustCrypto.kem_public(seed) };
        self.note("kem_public", &[seed.expose()], &[&public], true);
        public
    }
    fn kem_public_is_valid(&self, public: &[u8; 1568]) -> bool {
        let Bends { no_modulus_check, weak_kem, .. } = self.bends.get();
        let valid = no_modulus_check || weak_kem || RustCrypto.kem_public_is_valid(public);
        self.note("kem_public_is_valid", &[public], &[], valid);
        valid
    }
    fn encapsulate(&self, public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>) {
        let (ciphertext, shared) = if self.bends.get().weak_kem {
            crate::kem::weak::encapsulate(public, coins.expose())
        } else {
            RustCrypto.encapsulate(public, coins)
        };
        self.note("encapsulate", &[public, coins.expose()], &[&ciphertext, shared.expose()], true);
        (ciphertext, shared)
    }
    fn decapsulate(&self, seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32> {
        let shared = if self.bends.get().weak_kem {
            crate::kem::weak::decapsulate(seed.expose(), ciphertext)
        } else {
            RustCrypto.decapsulate(seed, ciphertext)
        };
        self.note("decapsulate", &[seed.expose(), ciphertext], &[shared.expose()], true);
        shared
    }
    fn incremental_public(&self, seed: &Secret<64>) -> ([u8; 64], [u8; 1152]) {
        let (header, ek_vector) = RustCrypto.incremental_public(seed);
        self.note("incremental_public", &[seed.expose()], &[&header, &ek_vector], true);
        (header, ek_vector)
    }
    fn encaps1(&self, header: &[u8; 64], coins: &Secret<32>) -> ([u8; 960], Secret<32>) {
        let (ct1, shared) = RustCrypto.encaps1(header, coins);
        self.note("encaps1", &[header, coins.expose()], &[&ct1, shared.expose()], true);
        (ct1, shared)
    }
    fn encaps2(&self, header: &[u8; 64], ek_vector: &[u8; 1152], coins: &Secret<32>) -> Result<[u8; 128], Failed> {
        let ct2 = RustCrypto.encaps2(header, ek_vector, coins);
        let output = ct2.as_ref().map_or(&[][..], |ct2| ct2);
        self.note("encaps2", &[header, ek_vector, coins.expose()], &[output], ct2.is_ok());
        ct2
    }
    fn incremental_decapsulate(&self, seed: &Secret<64>, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret<32> {
        let shared = RustCrypto.incremental_decapsulate(seed, ct1, ct2);
        self.note("incremental_decapsulate", &[seed.expose(), ct1, ct2], &[shared.expose()], true);
        shared
    }
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        let tag = RustCrypto.hmac(key, parts);
        self.note("hmac", &joined(&[key], &[parts]), &[tag.expose()], true);
        tag
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        let bends = self.bends.get();
        let mut ikm = ikm.to_vec();
        let zero = [0; 32];
        if let (true, [_, dh1, dh2, ..]) = (bends.no_identity_dh && info == [SUITE], ikm.as_mut_slice()) {
            (*dh1, *dh2) = (&zero, &zero);
        }
        ikm.extend(bends.server_nonce.as_ref().map(|nonce| &nonce[..]));
        RustCrypto.hkdf(salt, &ikm, info, out);
        self.note("hkdf", &joined(&[salt], &[&ikm, info]), &[out], true);
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf_expand(prk, info, out);
        self.note("hkdf_expand", &joined(&[prk.expose()], &[info]), &[out], true);
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let hash = RustCrypto.sha256(parts);
        self.note("sha256", parts, &[&hash], true);
        hash
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        RustCrypto.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        let ad = self.ad(ad, buffer);
        self.note("seal", &[key.expose(), nonce, ad, buffer], &[], true);
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
        let ad = self.ad(ad, buffer);
        let outcome = RustCrypto.open(key, nonce, ad, buffer, tag);
        self.note("open", &[key.expose(), nonce, ad], &[buffer], outcome.is_ok());
        outcome
    }
}

/// A generator that writes down what was drawn, and in which portions.
pub struct Draws {
    inner: ChaCha20Rng,
    pub drawn: Vec<Vec<u8>>,
}

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self { inner: ChaCha20Rng::seed_from_u64(seed), drawn: vec![] }
    }
}

impl TryRng for Draws {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.inner.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.inner.next_u64())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.fill_bytes(bytes);
        self.drawn.push(bytes.to_vec());
        Ok(())
    }
}

impl TryCryptoRng for Draws {}

/// A device with its spy and its generator.
pub struct Party {
    pub device: SpyDevice,
    pub spy: Spy,
    pub rng: Draws,
}

impl Party {
    pub fn new(seed: u64) -> Self {
        Self::bent(seed, Bends::default())
    }

    pub fn bent(seed: u64, bends: Bends) -> Self {
        let (spy, mut rng) = (Spy::default(), Draws::new(seed));
        spy.bend(bends);
        Self { device: SpyDevice::generate_with(spy.clone(), LATER, &mut rng), spy, rng }
    }

    /// A bundle as it goes over the wire, with or without a one-time prekey.
    pub fn bundle(&mut self, one_time: bool) -> Vec<u8> {
        let mut published = self.device.publish(usize::from(one_time), LATER, &mut self.rng).unwrap();
        let one_time = published.one_time_prekeys.pop();
        Bundle::new(published.identity, published.signed_prekey, one_time).unwrap().to_bytes()
    }

    /// A session from a bundle's bytes, with the text `hello`; `None` if the bundle is refused.
    pub fn initiate(&mut self, bundle: &[u8]) -> Option<(SpySession, Vec<u8>)> {
        let bundle = Bundle::from_bytes(&self.spy, bundle).ok()?;
        self.device.initiate(&bundle, b"hello", b"", crate::support::NOW, &mut self.rng).ok()
    }

    /// The whole state, byte for byte.
    pub fn state(&self) -> Vec<u8> {
        self.device.snapshot(&StorageKey::new([0x5A; 32]), 0)
    }

    /// Why a first message is refused; and that its refusal changed nothing.
    pub fn refuses(&mut self, message: &[u8]) -> AcceptError {
        let before = self.state();
        let error = self.device.accept(message, b"").map(|_| ()).expect_err("accepted");
        assert_eq!(before, self.state(), "{error}: the state has changed");
        error
    }

    /// The device as another process would have it that read the same database.
    pub fn restored(snapshot: &[u8], seed: u64) -> Self {
        let (spy, rng) = (Spy::default(), Draws::new(seed));
        let key = StorageKey::new([0x5A; 32]);
        let device = SpyDevice::restore_in_place(spy.clone(), &mut snapshot.to_vec(), &key, 0).unwrap();
        Self { device, spy, rng }
    }
}
