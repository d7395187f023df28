// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Recording`]: the default primitives, each operation recorded with its inputs and outputs; with [`Faults`] where a
//! control needs a device without a defence.

use crate::support::NOW;
use noescrow::error::AcceptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::hazmat::{Call, Intercept, Intercepted};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, Capacity, InitiateOptions, StorageKey, device, session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

/// The default primitives, intercepted by an [`OperationLog`].
pub type Recording = Intercepted<OperationLog>;
/// The replay record holds four, so that it can be filled.
pub type RecordedDevice = device::Device<Recording, Capacity<100, 4>>;
pub type RecordedSession = session::Session<Recording>;

/// The suite: PQXDH's info.
pub const SUITE: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";

/// Where a faulty AEAD omits the associated data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoAd {
    #[default]
    Nowhere,
    /// Where a version and an identity are sealed: 129 bytes, with the handshake's clear part as associated data.
    OfIdentity,
    /// Also from the key schedule, where AD enters every key.
    Everywhere,
}

/// Defences removed. The default removes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every signature verifies.
    pub no_verify: bool,
    /// Every point is of prime order.
    pub no_torsion_check: bool,
    /// Every KEM key is valid.
    pub no_modulus_check: bool,
    pub no_ad: NoAd,
    /// The key of a header does not depend on the message's type.
    pub no_type: bool,
    /// A KEM whose secret does not depend on the key: see `kem.rs`.
    pub weak_kem: bool,
    /// SK without DH1 and DH2: no identity key contributes to it.
    pub no_identity_dh: bool,
    /// Bytes from the server, added to the key material of every KDF, as in Telegram's secret chats of 2013.
    pub server_nonce: Option<[u8; 32]>,
}

/// One operation: the parts of its inputs and outputs in the order of the trait's arguments.
#[derive(Clone)]
pub struct Operation {
    pub name: &'static str,
    /// The numbered step of spec/protocol.md during which it was performed.
    pub step: &'static str,
    pub inputs: Vec<Vec<u8>>,
    pub outputs: Vec<Vec<u8>>,
    pub succeeded: bool,
}

/// Records every operation. Clones share the record and the faults.
#[derive(Clone, Default)]
pub struct OperationLog {
    pub operations: Rc<RefCell<Vec<Operation>>>,
    step: Rc<Cell<&'static str>>,
    faults: Rc<Cell<Faults>>,
}

impl OperationLog {
    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }

    pub fn clear_faults(&self) {
        self.faults.set(Faults::default());
    }

    pub fn clear(&self) {
        self.operations.borrow_mut().clear();
    }

    pub fn count(&self, name: &str) -> usize {
        self.operations.borrow().iter().filter(|operation| operation.name == name).count()
    }

    /// The steps in which something was computed, without repetitions.
    pub fn steps(&self) -> Vec<&'static str> {
        let mut steps: Vec<_> = self.operations.borrow().iter().map(|operation| operation.step).collect();
        steps.dedup();
        steps
    }

    /// The last call of KDF(KM): its parts F, DH1, DH2, DH3, DH4 (empty if absent), SS; and SK.
    pub fn key_agreement(&self) -> ([Vec<u8>; 6], Vec<u8>) {
        let operations = self.operations.borrow();
        let is_kdf = |operation: &&Operation| operation.name == "hkdf" && operation.inputs.iter().any(|i| i == SUITE);
        let kdf = operations.iter().rev().find(is_kdf).expect("no key agreement");
        (kdf.inputs[1..7].to_vec().try_into().unwrap(), kdf.outputs[0].clone())
    }

    /// The private half of a curve key that this device made.
    pub fn secret_of(&self, public: &[u8; 32]) -> [u8; 32] {
        let operations = self.operations.borrow();
        let made = operations.iter().find(|operation| operation.name == "dh_public" && operation.outputs[0] == public);
        made.expect("not this device's key").inputs[0].as_slice().try_into().unwrap()
    }

    /// The seed of a KEM key that this device made.
    pub fn seed_of(&self, public: &[u8; 1568]) -> [u8; 64] {
        let operations = self.operations.borrow();
        let made = operations.iter().find(|operation| operation.name == "kem_public" && operation.outputs[0] == public);
        made.expect("not this device's key").inputs[0].as_slice().try_into().unwrap()
    }

    fn record(&self, name: &'static str, inputs: &[&[u8]], outputs: &[&[u8]], succeeded: bool) {
        let owned = |parts: &[&[u8]]| parts.iter().map(|part| part.to_vec()).collect();
        let (inputs, outputs) = (owned(inputs), owned(outputs));
        self.operations.borrow_mut().push(Operation { name, step: self.step.get(), inputs, outputs, succeeded });
    }

    fn omits_ad(&self, buffer: &[u8]) -> bool {
        match self.faults.get().no_ad {
            NoAd::Nowhere => false,
            NoAd::OfIdentity => buffer.len() == 1 + noescrow::IDENTITY_LEN,
            NoAd::Everywhere => true,
        }
    }

    /// Performs an operation as a device with the faults does.
    fn perform(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        let Faults { no_ad, no_type, weak_kem, no_verify, no_torsion_check, no_modulus_check, .. } = self.faults.get();
        match call {
            Call::HkdfExpand { prk, info: [label, _], out }
                if no_ad == NoAd::Everywhere && label.starts_with(b"noescrow-v1 sk: ") =>
            {
                primitives.hkdf_expand(prk, &[*label], out);
            }
            Call::Hmac { key, parts: [label @ b"noescrow-v1 header", salt, _, len], mac } if no_type => {
                **mac = primitives.hmac(key, &[*label, *salt, *len]);
            }
            Call::KemPublic { seed, public } if weak_kem => **public = crate::kem::weak::public(seed),
            Call::Encapsulate { public, coins, output } if weak_kem => {
                **output = crate::kem::weak::encapsulate(public, coins.expose());
            }
            Call::Decapsulate { seed, ciphertext, shared } if weak_kem => {
                **shared = crate::kem::weak::decapsulate(seed.expose(), ciphertext);
            }
            _ => call.perform(primitives),
        }
        match call {
            Call::DhIsTorsionFree { verdict, .. } | Call::SigningIsTorsionFree { verdict, .. } => {
                **verdict |= no_torsion_check;
            }
            Call::KemPublicIsValid { verdict, .. } => **verdict |= no_modulus_check || weak_kem,
            Call::Verify { verdict, .. } if no_verify => **verdict = Ok(()),
            _ => {}
        }
    }
}

impl Intercept for OperationLog {
    fn step(&self, label: &'static str) {
        self.step.set(label);
    }

    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        match call {
            Call::Hkdf { salt, ikm, info, out } => {
                let faults = self.faults.get();
                let mut ikm: Vec<&[u8]> = ikm.to_vec();
                let zero = [0; 32];
                if let (true, [_, dh1, dh2, ..]) = (faults.no_identity_dh && *info == [SUITE], ikm.as_mut_slice()) {
                    (*dh1, *dh2) = (&zero, &zero);
                }
                ikm.extend(faults.server_nonce.as_ref().map(|nonce| &nonce[..]));
                primitives.hkdf(salt, &ikm, info, out);
                return self.record("hkdf", &joined(&[salt], &[&ikm, info]), &[out], true);
            }
            Call::Seal { key, nonce, ad, buffer, .. } => {
                if self.omits_ad(buffer) {
                    *ad = &[];
                }
                self.record("seal", &[key.expose(), *nonce, ad, buffer], &[], true);
            }
            Call::Open { ad, buffer, .. } if self.omits_ad(buffer) => *ad = &[],
            _ => {}
        }
        self.perform(primitives, call);
        let name = call.name();
        let record = |inputs: &[&[u8]], outputs: &[&[u8]]| self.record(name, inputs, outputs, true);
        match call {
            Call::DhPublic { secret, public } => record(&[secret.expose()], &[&**public]),
            Call::Dh { secret, public, shared } => {
                let output = shared.as_ref().map_or(&[][..], |shared| shared.expose());
                self.record(name, &[secret.expose(), *public], &[output], shared.is_ok());
            }
            Call::DhIsTorsionFree { public, verdict } | Call::SigningIsTorsionFree { public, verdict } => {
                self.record(name, &[*public], &[], **verdict);
            }
            Call::SigningPublic { seed, public } => record(&[seed.expose()], &[&**public]),
            Call::Sign { seed, message, signature } => record(&[seed.expose(), message], &[&**signature]),
            Call::Verify { public, message, signature, verdict } => {
                self.record(name, &[*public, message, *signature], &[], verdict.is_ok());
            }
            Call::KemPublic { seed, public } => record(&[seed.expose()], &[&**public]),
            Call::KemPublicIsValid { public, verdict } => self.record(name, &[*public], &[], **verdict),
            Call::Encapsulate { public, coins, output: (ciphertext, shared) } => {
                record(&[*public, coins.expose()], &[ciphertext, shared.expose()]);
            }
            Call::Decapsulate { seed, ciphertext, shared } => {
                record(&[seed.expose(), *ciphertext], &[shared.expose()]);
            }
            Call::IncrementalPublic { seed, output: (header, ek_vector) } => {
                record(&[seed.expose()], &[header, ek_vector]);
            }
            Call::Encaps1 { header, coins, output: (ct1, shared) } => {
                record(&[*header, coins.expose()], &[ct1, shared.expose()]);
            }
            Call::Encaps2 { header, ek_vector, coins, ct2 } => {
                let output = ct2.as_ref().map_or(&[][..], |ct2| ct2);
                self.record(name, &[*header, *ek_vector, coins.expose()], &[output], ct2.is_ok());
            }
            Call::IncrementalDecapsulate { seed, ct1, ct2, shared } => {
                record(&[seed.expose(), *ct1, *ct2], &[shared.expose()]);
            }
            Call::Hmac { key, parts, mac } => record(&joined(&[key], &[parts]), &[mac.expose()]),
            // Two HMACs.
            Call::HmacPair { key, first, second, macs } => {
                self.record("hmac", &[key.expose(), &[*first]], &[macs.0.expose()], true);
                self.record("hmac", &[key.expose(), &[*second]], &[macs.1.expose()], true);
            }
            Call::HkdfExpand { prk, info, out } => record(&joined(&[prk.expose()], &[info]), &[out]),
            Call::Sha256 { parts, digest } => record(parts, &[&**digest]),
            Call::Open { key, nonce, ad, buffer, verdict, .. } => {
                self.record(name, &[key.expose(), *nonce, ad], &[buffer], verdict.is_ok());
            }
            // Recorded above, or by no test of interest.
            Call::Hkdf { .. } | Call::Seal { .. } | Call::Sha512 { .. } => {}
        }
    }
}

/// `first`, then all of `rest`.
fn joined<'a>(first: &[&'a [u8]], rest: &[&[&'a [u8]]]) -> Vec<&'a [u8]> {
    first.iter().copied().chain(rest.iter().flat_map(|parts| parts.iter().copied())).collect()
}

/// A generator that records what was drawn, call by call.
pub struct RecordingRng {
    inner: ChaCha20Rng,
    pub drawn: Vec<Vec<u8>>,
}

impl RecordingRng {
    pub fn new(seed: u64) -> Self {
        Self { inner: ChaCha20Rng::seed_from_u64(seed), drawn: vec![] }
    }
}

impl TryRng for RecordingRng {
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

impl TryCryptoRng for RecordingRng {}

/// A device, its primitives and its generator.
pub struct Party {
    pub device: RecordedDevice,
    pub primitives: Recording,
    pub rng: RecordingRng,
}

impl Party {
    pub fn new(seed: u64) -> Self {
        Self::faulty(seed, Faults::default())
    }

    pub fn faulty(seed: u64, faults: Faults) -> Self {
        let (primitives, mut rng) = (Recording::default(), RecordingRng::new(seed));
        primitives.set_faults(faults);
        Self { device: RecordedDevice::generate_with(primitives.clone(), NOW, &mut rng), primitives, rng }
    }

    /// A bundle as it goes over the wire, with or without a one-time prekey.
    pub fn bundle(&mut self, one_time: bool) -> Vec<u8> {
        let mut published = self.device.publish(usize::from(one_time), NOW, &mut self.rng).unwrap();
        let one_time = published.one_time_prekeys.pop();
        Bundle::new(published.identity, published.signed_prekey, one_time).unwrap().to_bytes()
    }

    /// A session from a bundle's bytes, with the text `hello`; `None` if the bundle is refused.
    pub fn initiate(&mut self, bundle: &[u8]) -> Option<(RecordedSession, Vec<u8>)> {
        let bundle = Bundle::from_bytes(&self.primitives, bundle).ok()?;
        self.device.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut self.rng).ok()
    }

    /// The whole state, byte for byte.
    pub fn state(&self) -> Vec<u8> {
        self.device.snapshot(&StorageKey::new([0x5A; 32]), 0)
    }

    /// The error with which a first message is refused. Panics if it is accepted or if the refusal changed the state.
    pub fn refuses(&mut self, message: &[u8]) -> AcceptError {
        let before = self.state();
        let error = self.device.accept(message).map(|_| ()).expect_err("accepted");
        assert_eq!(before, self.state(), "{error}: the state has changed");
        error
    }

    /// The device as another process restores it from the same database.
    pub fn restored(snapshot: &[u8], seed: u64) -> Self {
        let (primitives, rng) = (Recording::default(), RecordingRng::new(seed));
        let key = StorageKey::new([0x5A; 32]);
        let subject = crate::support::stored::claimed(snapshot);
        let device =
            RecordedDevice::restore_in_place(primitives.clone(), &mut snapshot.to_vec(), &key, &subject, 0).unwrap();
        Self { device, primitives, rng }
    }
}
