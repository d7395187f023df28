// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device whose primitives its owner bends: what a hostile peer can do, and what an honest one is seen to do.
//!
//! [`Puppet`] performs every operation with the default primitives, counts them, and lets a test rewrite what is about
//! to be sealed or signed. So attacks are mounted on the shipped protocol code, through the public API.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::wrong_self_convention, reason = "a message from Alice is not a conversion")]

pub mod stored;

use noescrow::primitives::{Failed, Primitives, RustCrypto};
use noescrow::{Bundle, ChunkSize, Heap, Secret, device, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

pub const NOW: u64 = 1_800_000_000;
pub const LATER: u64 = NOW + 30 * 86_400;

pub type PuppetDevice = device::Device<Puppet, 100, 4>;
pub type PuppetSession = session::Session<Puppet, Heap>;

/// Rewrites a plaintext that is about to be sealed. Headers are the ones of [`HEADER_LEN`] bytes.
pub type Rewrite = Box<dyn FnMut(&mut [u8])>;

/// Bytes of a header in the clear with chunks of 32 bytes: ratchet key (32), PN (4), N (4); type (1), epoch (4), index (2)
/// and chunk (32) of the Braid, n (4), age of the mixed root (1). No padded plaintext is as long.
pub const HEADER_LEN: usize = 84;

/// What KDF_HYBRID took for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageKeys {
    pub classical: [u8; 32],
    pub post_quantum: [u8; 32],
}

/// A next header key before and after the post-quantum root's share was mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MixedHeaderKey {
    pub classical: [u8; 32],
    pub mixed: [u8; 32],
}

#[derive(Clone, Default)]
pub struct Puppet {
    counts: Rc<RefCell<BTreeMap<&'static str, usize>>>,
    steps: Rc<RefCell<Vec<&'static str>>>,
    before_seal: Rc<RefCell<Option<Rewrite>>>,
    message_keys: Rc<RefCell<Vec<MessageKeys>>>,
    header_keys: Rc<RefCell<Vec<MixedHeaderKey>>>,
    /// A device that would sign or accept anything: switches off its own checks of what it parses.
    pub gullible: Rc<Cell<bool>>,
    /// Primitives that are wrong: every output differs in one bit, every check passes.
    pub broken: Rc<Cell<bool>>,
    /// Bodies open whatever their tag says, headers do not: what a receiver sees that acts before it has authenticated.
    pub unchecked: Rc<Cell<bool>>,
}

impl std::fmt::Debug for Puppet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Puppet")
    }
}

impl Puppet {
    /// How often an operation was performed since [`Puppet::reset`].
    pub fn count(&self, operation: &str) -> usize {
        self.counts.borrow().get(operation).copied().unwrap_or_default()
    }

    /// All operations since [`Puppet::reset`].
    pub fn work(&self) -> usize {
        let kinds = self.count("header key") + self.count("post-quantum step");
        // These two are counted as what they are, too.
        self.counts.borrow().values().sum::<usize>() - kinds
    }

    /// The labels of the steps taken since [`Puppet::reset`].
    pub fn steps(&self) -> Vec<&'static str> {
        self.steps.borrow().clone()
    }

    pub fn reset(&self) {
        self.counts.borrow_mut().clear();
        self.steps.borrow_mut().clear();
    }

    /// Rewrites every plaintext before it is sealed, until [`Puppet::behave`].
    pub fn rewrite(&self, rewrite: impl FnMut(&mut [u8]) + 'static) {
        *self.before_seal.borrow_mut() = Some(Box::new(rewrite));
    }

    /// Rewrites headers only.
    pub fn rewrite_headers(&self, mut rewrite: impl FnMut(&mut [u8; HEADER_LEN]) + 'static) {
        self.rewrite(move |plaintext| {
            if let Ok(header) = <&mut [u8; HEADER_LEN]>::try_from(plaintext) {
                rewrite(header);
            }
        });
    }

    /// Of every message that was sealed, opened, or refused by its body.
    pub fn message_keys(&self) -> Vec<MessageKeys> {
        self.message_keys.borrow().clone()
    }

    /// Of every step that was sent, received, or refused by its body.
    pub fn header_keys(&self) -> Vec<MixedHeaderKey> {
        self.header_keys.borrow().clone()
    }

    pub fn behave(&self) {
        *self.before_seal.borrow_mut() = None;
    }

    fn spoil<const N: usize>(&self, mut output: [u8; N]) -> [u8; N] {
        if self.broken.get() {
            output[N / 2] ^= 1;
        }
        output
    }

    fn spoil_secret<const N: usize>(&self, output: Secret<N>) -> Secret<N> {
        Secret::new(self.spoil(*output.expose()))
    }

    fn spoil_bytes(&self, output: &mut [u8]) {
        if self.broken.get()
            && let Some(first) = output.first_mut()
        {
            *first ^= 1;
        }
    }

    fn tick(&self, operation: &'static str) {
        *self.counts.borrow_mut().entry(operation).or_default() += 1;
    }
}

impl Primitives for Puppet {
    fn step(&self, label: &'static str) {
        self.steps.borrow_mut().push(label);
    }
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        self.tick("dh_public");
        RustCrypto.dh_public(secret)
    }
    fn dh(&self, secret: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, Failed> {
        self.tick("dh");
        if self.broken.get() {
            return Ok(self.spoil_secret(RustCrypto.dh(secret, public).unwrap_or(Secret::new([0; 32]))));
        }
        RustCrypto.dh(secret, public)
    }
    fn dh_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        self.tick("dh_is_torsion_free");
        self.gullible.get() || RustCrypto.dh_is_torsion_free(public)
    }
    fn signing_public(&self, seed: &Secret<32>) -> [u8; 32] {
        self.tick("signing_public");
        RustCrypto.signing_public(seed)
    }
    fn sign(&self, seed: &Secret<32>, message: &[u8]) -> [u8; 64] {
        self.tick("sign");
        self.spoil(RustCrypto.sign(seed, message))
    }
    fn signing_is_torsion_free(&self, public: &[u8; 32]) -> bool {
        self.tick("signing_is_torsion_free");
        self.gullible.get() || RustCrypto.signing_is_torsion_free(public)
    }
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed> {
        self.tick("verify");
        if self.gullible.get() || self.broken.get() { Ok(()) } else { RustCrypto.verify(public, message, signature) }
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        self.tick("kem_public");
        self.spoil(RustCrypto.kem_public(seed))
    }
    fn kem_public_is_valid(&self, public: &[u8; 1568]) -> bool {
        self.tick("kem_public_is_valid");
        self.gullible.get() || self.broken.get() || RustCrypto.kem_public_is_valid(public)
    }
    fn encapsulate(&self, public: &[u8; 1568], coins: &Secret<32>) -> ([u8; 1568], Secret<32>) {
        self.tick("encapsulate");
        let (ciphertext, shared) = RustCrypto.encapsulate(public, coins);
        (self.spoil(ciphertext), shared)
    }
    fn decapsulate(&self, seed: &Secret<64>, ciphertext: &[u8; 1568]) -> Secret<32> {
        self.tick("decapsulate");
        self.spoil_secret(RustCrypto.decapsulate(seed, ciphertext))
    }
    fn incremental_public(&self, seed: &Secret<64>) -> ([u8; 64], [u8; 1152]) {
        self.tick("incremental_public");
        let (header, ek_vector) = RustCrypto.incremental_public(seed);
        (self.spoil(header), self.spoil(ek_vector))
    }
    fn encaps1(&self, header: &[u8; 64], coins: &Secret<32>) -> ([u8; 960], Secret<32>) {
        self.tick("encaps1");
        let (ct1, shared) = RustCrypto.encaps1(header, coins);
        (self.spoil(ct1), shared)
    }
    fn encaps2(&self, header: &[u8; 64], ek_vector: &[u8; 1152], coins: &Secret<32>) -> Result<[u8; 128], Failed> {
        self.tick("encaps2");
        RustCrypto.encaps2(header, ek_vector, coins).map(|ct2| self.spoil(ct2))
    }
    fn incremental_decapsulate(&self, seed: &Secret<64>, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret<32> {
        self.tick("incremental_decapsulate");
        self.spoil_secret(RustCrypto.incremental_decapsulate(seed, ct1, ct2))
    }
    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Secret<32> {
        self.tick("hmac");
        self.spoil_secret(RustCrypto.hmac(key, parts))
    }
    fn hmac_pair(&self, key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        self.tick("hmac_pair");
        RustCrypto.hmac_pair(key, first, second)
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        self.tick("hkdf");
        RustCrypto.hkdf(salt, ikm, info, out);
        if info == [b"noescrow-v1 message"] {
            let (classical, post_quantum) = (ikm[0].try_into().unwrap(), salt.try_into().unwrap());
            self.message_keys.borrow_mut().push(MessageKeys { classical, post_quantum });
        }
        if info == [b"noescrow-v1 next header key"] {
            let (classical, mixed) = (ikm[0].try_into().unwrap(), (&*out).try_into().unwrap());
            self.header_keys.borrow_mut().push(MixedHeaderKey { classical, mixed });
        }
        self.spoil_bytes(out);
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        self.tick("hkdf_expand");
        match info[0] {
            b"noescrow-v1 header" => self.tick("header key"),
            b"noescrow-v1 KDF_SCKA_CK" => self.tick("post-quantum step"),
            _ => {}
        }
        RustCrypto.hkdf_expand(prk, info, out);
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.tick("sha256");
        RustCrypto.sha256(parts)
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.tick("sha512");
        RustCrypto.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        self.tick("seal");
        if let Some(rewrite) = self.before_seal.borrow_mut().as_mut() {
            rewrite(buffer);
        }
        RustCrypto.seal(key, nonce, ad, buffer).map(|tag| self.spoil(tag))
    }
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Failed> {
        self.tick("open");
        if self.unchecked.get() && buffer.len() != HEADER_LEN {
            // The keystream alone: sealing what is sealed.
            return RustCrypto.seal(key, nonce, ad, buffer).map(|_| ());
        }
        if self.broken.get() { Ok(()) } else { RustCrypto.open(key, nonce, ad, buffer, tag) }
    }
}

/// A deterministic generator.
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A device with its puppet's strings.
pub fn puppet(rng: &mut ChaCha20Rng) -> (PuppetDevice, Puppet) {
    let strings = Puppet::default();
    (PuppetDevice::generate_with(strings.clone(), LATER, rng), strings)
}

/// A fresh bundle of `device`, with or without a one-time prekey.
pub fn bundle(device: &mut PuppetDevice, one_time: bool, rng: &mut ChaCha20Rng) -> Bundle {
    let mut published = device.publish(usize::from(one_time), LATER, rng).unwrap();
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

/// Two ends of one conversation, after the first message was accepted.
pub struct Talk {
    pub alice: PuppetSession,
    pub alice_strings: Puppet,
    pub bob: PuppetSession,
    pub bob_strings: Puppet,
    pub rng: ChaCha20Rng,
}

impl Talk {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, ChunkSize::default())
    }

    pub fn with(seed: u64, chunk_size: ChunkSize) -> Self {
        let mut rng = rng(seed);
        let (alice, alice_strings) = puppet(&mut rng);
        let (mut bob, bob_strings) = puppet(&mut rng);
        let bundle = bundle(&mut bob, true, &mut rng);
        let (alice, hello) = alice.initiate_with(chunk_size, &bundle, b"hello", b"", NOW, &mut rng).unwrap();
        let (bob, text) = bob.accept(&hello, b"").unwrap();
        assert_eq!(text, b"hello");
        Self { alice, alice_strings, bob, bob_strings, rng }
    }

    /// After `rounds` exchanges in both directions.
    pub fn after(seed: u64, rounds: usize) -> Self {
        let mut talk = Self::new(seed);
        for _ in 0..rounds {
            let message = talk.from_bob(b"ping");
            assert_eq!(talk.alice.decrypt(&message, b"").unwrap(), b"ping");
            let message = talk.from_alice(b"pong");
            assert_eq!(talk.bob.decrypt(&message, b"").unwrap(), b"pong");
        }
        talk
    }

    /// One message, which arrives.
    pub fn turn(&mut self, from_bob: bool) {
        let (sender, receiver) = match from_bob {
            true => (&mut self.bob, &mut self.alice),
            false => (&mut self.alice, &mut self.bob),
        };
        let message = sender.encrypt(b"turn", b"", &mut self.rng).unwrap();
        assert_eq!(receiver.decrypt(&message, b"").unwrap(), b"turn");
    }

    pub fn from_alice(&mut self, text: &[u8]) -> Vec<u8> {
        self.alice.encrypt(text, b"", &mut self.rng).unwrap()
    }

    pub fn from_bob(&mut self, text: &[u8]) -> Vec<u8> {
        self.bob.encrypt(text, b"", &mut self.rng).unwrap()
    }
}

/// The whole state, byte for byte: equal states of equal generation give equal snapshots.
pub fn state(session: &PuppetSession) -> Vec<u8> {
    session.snapshot(&stored::storage_key(), 0)
}

/// As [`state`], for a device.
pub fn device_state(device: &PuppetDevice) -> Vec<u8> {
    device.snapshot(&stored::storage_key(), 0)
}
