// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices with mock primitives: what a hostile peer can do, and what an honest one is seen to do.
//!
//! A [`Mock`] performs every operation with the default primitives, counts it, and lets a test rewrite plaintexts
//! before they are sealed. Attacks are thus mounted on the shipped protocol code, through the public API.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::wrong_self_convention, reason = "a message from Alice is not a conversion")]

pub mod generators;
pub mod stored;

use noescrow::hazmat::AcceptFromAnyone;
use noescrow::hazmat::{Call, Intercept, Intercepted};
use noescrow::primitives::{
    CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, Primitives, RustCrypto, TAG_LEN,
};
use noescrow::{Bundle, Capacity, ChunkSize, InitiateOptions, Secret, UnixSeconds, device, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
pub const LATER: UnixSeconds = UnixSeconds(NOW.0 + 30 * 86_400);

pub type MockDevice = device::Device<Mock, Capacity<100, 4>>;
pub type MockSession = session::Session<Mock>;

/// Rewrites a plaintext that is about to be sealed. Headers are the ones of [`HEADER_LEN`] bytes.
pub type Rewrite = Box<dyn FnMut(&mut [u8])>;

/// Bytes of a plaintext header with chunks of 32 bytes: ratchet key (32), PN (4), N (4); type (1), epoch (4), index (2)
/// and chunk (32) of the Braid, n (4), flags (1). No padded plaintext has this length.
pub const HEADER_LEN: usize = 84;

/// Bytes of a body's associated data with chunks of 32 bytes: AD (32), hash (32), type (1), salt (16), commitment (16)
/// and the header.
pub const BODY_AD_LEN: usize = 32 + 32 + 1 + 16 + 16 + HEADER_LEN;

/// A message's salt and commitment.
fn salt_and_commitment(message: &[u8]) -> Option<&[u8]> {
    let at = if *message.first()? == 0x11 { stored::HANDSHAKE_LEN } else { 1 };
    message.get(at..at + 32)
}

/// The inputs of KDF_HYBRID for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageKeys {
    pub classical: [u8; 32],
    pub post_quantum: [u8; 32],
}

/// A next header key before and after the post-quantum root's contribution was mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MixedHeaderKey {
    pub classical: [u8; 32],
    pub mixed: [u8; 32],
}

/// The default primitives, intercepted by [`Controls`]. Clones share the controls.
pub type Mock = Intercepted<Controls>;

#[derive(Clone, Default)]
pub struct Controls {
    counts: Rc<RefCell<BTreeMap<&'static str, usize>>>,
    steps: Rc<RefCell<Vec<&'static str>>>,
    before_seal: Rc<RefCell<Option<Rewrite>>>,
    /// The header that was rewritten before its body was sealed, for when the header is sealed.
    rewritten: Rc<RefCell<Option<[u8; HEADER_LEN]>>>,
    /// The associated data of every body that was sealed, or for which there was a key.
    body_ads: Rc<RefCell<Vec<Vec<u8>>>>,
    message_keys: Rc<RefCell<Vec<MessageKeys>>>,
    header_keys: Rc<RefCell<Vec<MixedHeaderKey>>>,
    /// Every signature and every public key is accepted: the device would sign or parse anything.
    pub gullible: Rc<Cell<bool>>,
    /// Every output differs in one bit from the right one, and every check passes.
    pub faulty: Rc<Cell<bool>>,
    /// Bodies open whatever their tag is, headers do not: a receiver that acts before it has authenticated.
    pub unchecked: Rc<Cell<bool>>,
}

impl Controls {
    /// How often an operation was performed since [`Controls::reset`].
    pub fn count(&self, operation: &str) -> usize {
        self.counts.borrow().get(operation).copied().unwrap_or_default()
    }

    /// The number of all operations since [`Controls::reset`].
    pub fn work(&self) -> usize {
        let kinds =
            ["header key", "chain step", "post-quantum step"].map(|kind| self.count(kind)).iter().sum::<usize>();
        // These are also counted under the names of their operations.
        self.counts.borrow().values().sum::<usize>() - kinds
    }

    /// The labels of the steps taken since [`Controls::reset`].
    pub fn steps(&self) -> Vec<&'static str> {
        self.steps.borrow().clone()
    }

    pub fn reset(&self) {
        self.counts.borrow_mut().clear();
        self.steps.borrow_mut().clear();
    }

    /// Rewrites every plaintext before it is sealed, until [`Controls::stop_rewriting`].
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

    pub fn stop_rewriting(&self) {
        *self.before_seal.borrow_mut() = None;
    }

    /// The keys of every message that was sealed, opened, or refused because of its body.
    pub fn message_keys(&self) -> Vec<MessageKeys> {
        self.message_keys.borrow().clone()
    }

    /// The associated data of a message's body, as this device sealed or opened it: the session's AD, the hash of the
    /// caller's associated data, type, salt, commitment and the header in the clear.
    pub fn body_ad(&self, message: &[u8]) -> Option<Vec<u8>> {
        let salt = salt_and_commitment(message)?;
        self.body_ads.borrow().iter().rev().find(|ad| &ad[65..97] == salt).cloned()
    }

    /// The header keys of every ratchet step that was sent, received, or refused because of its body.
    pub fn header_keys(&self) -> Vec<MixedHeaderKey> {
        self.header_keys.borrow().clone()
    }

    fn tick(&self, operation: &'static str) {
        *self.counts.borrow_mut().entry(operation).or_default() += 1;
    }

    /// Rewrites the header at the end of a body's associated data, and remembers it for when the header is sealed.
    fn rewritten_ad(&self, ad: &[u8]) -> Vec<u8> {
        let mut ad = ad.to_vec();
        if let (Some(rewrite), Some(header)) =
            (self.before_seal.borrow_mut().as_mut(), ad.last_chunk_mut::<HEADER_LEN>())
        {
            rewrite(header);
            *self.rewritten.borrow_mut() = Some(*header);
        }
        ad
    }

    fn record_keys(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &[u8]) {
        if info[0] == b"noescrow-v1 message" {
            let (classical, post_quantum) = (ikm[0].try_into().unwrap(), salt.try_into().unwrap());
            self.message_keys.borrow_mut().push(MessageKeys { classical, post_quantum });
        }
        if info == [b"noescrow-v1 next header key"] {
            let (classical, mixed) = (ikm[0].try_into().unwrap(), out.try_into().unwrap());
            self.header_keys.borrow_mut().push(MixedHeaderKey { classical, mixed });
        }
    }
}

impl Intercept for Controls {
    fn step(&self, label: &'static str) {
        self.steps.borrow_mut().push(label);
    }

    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        self.tick(call.name());
        match call {
            Call::HkdfExpand { info, .. } if info[0] == b"noescrow-v1 pq ck" => self.tick("post-quantum step"),
            Call::Hmac { parts, .. } if parts[0] == b"noescrow-v1 commitment" => self.tick("header key"),
            Call::Hmac { parts, .. } if *parts == [&[2][..]] => self.tick("chain step"),
            Call::HmacPair { .. } => self.tick("chain step"),
            Call::Seal { key, nonce, ad, buffer, tag } => {
                if ad.len() == BODY_AD_LEN {
                    let ad = self.rewritten_ad(ad);
                    self.body_ads.borrow_mut().push(ad.clone());
                    if let Some(rewrite) = self.before_seal.borrow_mut().as_mut() {
                        rewrite(buffer);
                    }
                    **tag = primitives.seal(key, nonce, &ad, buffer);
                    return;
                }
                match self.rewritten.take() {
                    Some(header) if buffer.len() == HEADER_LEN => buffer.copy_from_slice(&header),
                    _ => {
                        if let Some(rewrite) = self.before_seal.borrow_mut().as_mut() {
                            rewrite(buffer);
                        }
                    }
                }
            }
            Call::Open { ad, .. } if ad.len() == BODY_AD_LEN && !self.unchecked.get() && !self.faulty.get() => {
                self.body_ads.borrow_mut().push(ad.to_vec());
            }
            Call::Open { key, nonce, ad, buffer, verdict, .. }
                if self.unchecked.get() && buffer.len() != HEADER_LEN =>
            {
                // Sealing a ciphertext applies the keystream, which decrypts it.
                **verdict = primitives.seal(key, nonce, ad, buffer).map(|_| ());
                return;
            }
            Call::Open { verdict, .. } if self.faulty.get() => {
                **verdict = Ok(());
                return;
            }
            _ => {}
        }
        call.perform(primitives);
        if let Call::Hkdf { salt, ikm, info, out } = call {
            self.record_keys(salt, ikm, info, out);
        }
        if self.gullible.get() {
            accept(call);
        }
        if self.faulty.get() {
            corrupt(call);
        }
    }
}

/// Passes a check of a public key or signature.
fn accept(call: &mut Call<'_>) {
    match call {
        Call::DhIsTorsionFree { verdict, .. }
        | Call::SigningIsTorsionFree { verdict, .. }
        | Call::KemPublicIsValid { verdict, .. } => **verdict = true,
        Call::Verify { verdict, .. } => **verdict = Ok(()),
        _ => {}
    }
}

fn flip(output: &mut [u8], at: usize) {
    if let Some(byte) = output.get_mut(at) {
        *byte ^= 1;
    }
}

/// Flips one bit of an output, passes a check.
fn corrupt(call: &mut Call<'_>) {
    match call {
        Call::Dh { shared, .. } => {
            let mut output = shared.as_ref().map_or([0; 32], |shared| *shared.expose());
            flip(&mut output, 16);
            **shared = Ok(Secret::new(output));
        }
        Call::Sign { signature, .. } => flip(&mut **signature, 32),
        Call::Verify { .. } | Call::KemPublicIsValid { .. } => accept(call),
        Call::KemPublic { public, .. } => flip(&mut **public, KEM_PUBLIC_LEN / 2),
        Call::Encapsulate { output: (ciphertext, _), .. } => flip(ciphertext, KEM_CIPHERTEXT_LEN / 2),
        Call::Decapsulate { shared, .. } | Call::IncrementalDecapsulate { shared, .. } => flip(shared.expose_mut(), 16),
        Call::IncrementalPublic { output: (header, ek_vector), .. } => {
            flip(header, EK_HEADER_LEN / 2);
            flip(ek_vector, EK_VECTOR_LEN / 2);
        }
        Call::Encaps1 { output: (ct1, _), .. } => flip(ct1, CT1_LEN / 2),
        Call::Encaps2 { ct2: Ok(ct2), .. } => flip(ct2, CT2_LEN / 2),
        Call::Hmac { mac, .. } => flip(mac.expose_mut(), 16),
        Call::Hkdf { out, .. } => flip(out, 0),
        Call::Seal { tag: Ok(tag), .. } => flip(tag, TAG_LEN / 2),
        _ => {}
    }
}

/// A deterministic generator.
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A device and its mock primitives.
pub fn mock_device(rng: &mut ChaCha20Rng) -> (MockDevice, Mock) {
    let primitives = Mock::default();
    (MockDevice::generate_with(primitives.clone(), NOW, rng), primitives)
}

/// A fresh bundle of `device`, with or without a one-time prekey.
pub fn bundle(device: &mut MockDevice, one_time: bool, rng: &mut ChaCha20Rng) -> Bundle {
    let mut published = device.publish(usize::from(one_time), NOW, rng).unwrap();
    Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap()
}

/// Both ends of one conversation, after the first message was accepted.
pub struct Talk {
    pub alice: MockSession,
    pub alice_mock: Mock,
    pub bob: MockSession,
    pub bob_mock: Mock,
    pub rng: ChaCha20Rng,
}

impl Talk {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, ChunkSize::default())
    }

    pub fn with(seed: u64, chunk_size: ChunkSize) -> Self {
        let mut rng = rng(seed);
        let (alice, alice_mock) = mock_device(&mut rng);
        let (mut bob, bob_mock) = mock_device(&mut rng);
        let bundle = bundle(&mut bob, true, &mut rng);
        let (alice, hello) = alice
            .initiate(bundle, b"hello", InitiateOptions::unverified(NOW).chunk_size(chunk_size), &mut rng)
            .unwrap();
        let (bob, text) = bob.accept(&hello).unwrap();
        assert_eq!(text, b"hello");
        Self { alice, alice_mock, bob, bob_mock, rng }
    }

    /// After `rounds` exchanges in both directions.
    pub fn after(seed: u64, rounds: usize) -> Self {
        let mut talk = Self::new(seed);
        for _ in 0..rounds {
            let message = talk.from_bob(b"ping");
            assert_eq!(talk.alice.decrypt(&message).unwrap().plaintext, b"ping");
            let message = talk.from_alice(b"pong");
            assert_eq!(talk.bob.decrypt(&message).unwrap().plaintext, b"pong");
        }
        talk
    }

    /// Sends one message, which arrives.
    pub fn turn(&mut self, from_bob: bool) {
        let (sender, receiver) = match from_bob {
            true => (&mut self.bob, &mut self.alice),
            false => (&mut self.alice, &mut self.bob),
        };
        let message = sender.encrypt(b"turn", &mut self.rng).unwrap();
        assert_eq!(receiver.decrypt(&message).unwrap().plaintext, b"turn");
    }

    pub fn from_alice(&mut self, text: &[u8]) -> Vec<u8> {
        self.alice.encrypt(text, &mut self.rng).unwrap()
    }

    pub fn from_bob(&mut self, text: &[u8]) -> Vec<u8> {
        self.bob.encrypt(text, &mut self.rng).unwrap()
    }
}

/// The whole state: equal states with equal generations give equal snapshots, byte for byte.
pub fn state(session: &MockSession) -> Vec<u8> {
    session.snapshot(&stored::storage_key(), 0)
}

/// As [`state`], for a device.
pub fn device_state(device: &MockDevice) -> Vec<u8> {
    device.snapshot(&stored::storage_key(), 0)
}
