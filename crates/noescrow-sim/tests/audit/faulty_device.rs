// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`FaultyRecorder`]: a recorder with at most one fault. It also keeps the values that pass, for servers that obtain
//! what they should not.

use noescrow::Secret;
use noescrow::hazmat::{Call, Intercept, Intercepted};
use noescrow::primitives::Primitives;
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
    /// Message keys stay in memory after they have been used.
    KeepsUsedKeys,
    /// Keys of messages that were overtaken stay in memory after these messages have arrived.
    KeepsSkippedKeys,
    /// All keys that the classical half of a session ever had stay in memory.
    KeepsClassicalKeys,
    /// All keys that a session ever had stay in memory.
    WipesNothing,
    /// Signs whatever the server asks it to sign.
    SignsAnything,
}

impl Fault {
    /// The past values that are in a device's memory at each theft.
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
    /// The Braid's output for an epoch, and the values from which it was agreed.
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
    /// The last message key that was derived for a received message, of either ratchet.
    received: Option<Vec<u8>>,
}

impl Tap {
    fn see(&mut self, name: Name, bytes: &[u8]) {
        if !self.seen.iter().any(|seen| seen.name == name && seen.bytes == bytes) {
            self.seen.push(Seen { step: self.step, name, bytes: bytes.to_vec() });
        }
    }

    /// A message key. The last of the keys that are derived for one received message is that message's own.
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

    /// All values of a name that were seen at steps that begin with `step`, in the order in which they were first seen.
    pub fn all(&self, name: Name, step: &str) -> Vec<Vec<u8>> {
        let fits = self.seen.iter().filter(|seen| seen.name == name && seen.step.starts_with(step));
        fits.map(|seen| seen.bytes.clone()).collect()
    }
}

/// A recorder, intercepted by a [`FaultyDevice`].
pub type FaultyRecorder = Intercepted<FaultyDevice, Recorder>;

/// Commits the fault, and keeps the values that pass.
#[derive(Clone)]
pub struct FaultyDevice {
    fault: Fault,
    pub tap: Rc<RefCell<Tap>>,
}

const MASK: u8 = 0x5A;
const SUITE: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";

impl FaultyDevice {
    /// The primitives of a device with `fault`.
    pub fn over(recorder: Recorder, fault: Fault) -> FaultyRecorder {
        Intercepted::over(recorder, Self { fault, tap: Rc::default() })
    }

    /// Performs an operation as a device with the fault does.
    fn perform(&self, recorder: &Recorder, call: &mut Call<'_>) {
        match (self.fault, call) {
            (Fault::SignsAnything, call @ Call::Sign { .. }) => {
                if let Call::Sign { seed, .. } = call {
                    let _ = recorder.sign(seed, b"a challenge of the server's");
                }
                call.perform(recorder);
            }
            (Fault::Gullible, Call::DhIsTorsionFree { verdict, .. } | Call::SigningIsTorsionFree { verdict, .. }) => {
                **verdict = true;
            }
            (Fault::Gullible, Call::KemPublicIsValid { verdict, .. }) => **verdict = true,
            (Fault::Gullible, Call::Verify { verdict, .. }) => **verdict = Ok(()),
            (Fault::Masked, Call::HmacPair { key, first, second, macs }) => {
                **macs = recorder.hmac_pair(&mask(key), *first, *second);
            }
            (Fault::ServerNonce(nonce), Call::Hkdf { salt, ikm, info: info @ [SUITE], out }) => {
                let mut ikm: Vec<&[u8]> = ikm.to_vec();
                ikm.push(&nonce);
                recorder.hkdf(salt, &ikm, info, out);
            }
            (_, call) => call.perform(recorder),
        }
    }

    /// With some faults, a snapshot holds more of what is in memory at this moment than its state.
    fn seal_kept(&self, recorder: &Recorder, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8]) {
        if let Some(names) = self.fault.keeps() {
            let tap = self.tap.borrow();
            let mut kept = names.iter().flat_map(|name| tap.all(*name, "")).collect::<Vec<_>>().concat();
            recorder.seal(key, &nonce.map(|byte| !byte), ad, &mut kept).unwrap();
        }
    }
}

fn mask(key: &Secret<32>) -> Secret<32> {
    Secret::new(key.expose().map(|byte| byte ^ MASK))
}

impl Intercept<Recorder> for FaultyDevice {
    fn step(&self, label: &'static str) {
        let mut tap = self.tap.borrow_mut();
        tap.step = label;
        tap.received = None;
    }

    fn intercept(&self, recorder: &Recorder, call: &mut Call<'_>) {
        let step = self.tap.borrow().step;
        match (step, &*call) {
            ("DR-E3", Call::Seal { buffer, .. }) => self.tap.borrow_mut().see(Name::Header, buffer),
            ("SN-1", Call::Seal { key, nonce, ad, buffer, .. }) => {
                self.tap.borrow_mut().see(Name::State, buffer);
                self.seal_kept(recorder, key, nonce, ad);
            }
            _ => {}
        }
        self.perform(recorder, call);
        self.tap.borrow_mut().see_call(call);
    }
}

impl Tap {
    /// The values in a call that was performed.
    fn see_call(&mut self, call: &Call<'_>) {
        match call {
            Call::DhPublic { secret, .. } => self.see(Name::DhPrivate, secret.expose()),
            Call::Dh { shared: Ok(shared), .. } => self.see(Name::DhShared, shared.expose()),
            Call::SigningPublic { seed, .. } => self.see(Name::SigningSeed, seed.expose()),
            Call::KemPublic { seed, .. } => self.see(Name::KemSeed, seed.expose()),
            Call::Encapsulate { coins, output: (_, shared), .. } => {
                self.see(Name::KemCoins, coins.expose());
                self.see(Name::KemShared, shared.expose());
            }
            Call::Decapsulate { shared, .. } => self.see(Name::KemShared, shared.expose()),
            Call::IncrementalPublic { seed, .. } => self.see(Name::BraidSeed, seed.expose()),
            Call::Encaps1 { coins, output: (_, shared), .. } => {
                self.see(Name::BraidCoins, coins.expose());
                self.see(Name::BraidShared, shared.expose());
            }
            Call::HmacPair { key, macs: (message_key, _), .. } => {
                self.see(Name::ChainKey, key.expose());
                self.see_message_key(message_key.expose());
            }
            Call::Hkdf { info, out, .. } => self.see_hkdf(info, out),
            Call::HkdfExpand { prk, info, out } => self.see_hkdf_expand(prk.expose(), info, out),
            _ => {}
        }
    }

    fn see_hkdf(&mut self, info: &[&[u8]], out: &[u8]) {
        match (out.len(), info) {
            (32, [SUITE]) => self.see(Name::HandshakeSecret, out),
            (32, [b"noescrow-v1 next header key"]) => self.see(Name::HeaderKey, out),
            (32, [_, b":SCKA Key", _]) => self.see(Name::EpochKey, out),
            (128, _) => {
                self.see(Name::PostQuantumRootKey, &out[..32]);
                self.see(Name::PostQuantumChainKey, &out[32..64]);
                self.see(Name::PostQuantumChainKey, &out[64..96]);
            }
            (32, [b"noescrow-v1 message", _, _]) => self.see(Name::MessageAeadKey, out),
            (44, _) => self.see(Name::IdentityKey, &out[..32]),
            (96, _) => {
                self.see(Name::RootKey, &out[..32]);
                self.see(Name::ChainKey, &out[32..64]);
                self.see(Name::HeaderKey, &out[64..]);
            }
            _ => {}
        }
    }

    fn see_hkdf_expand(&mut self, prk: &[u8], info: &[&[u8]], out: &[u8]) {
        match info {
            [b"noescrow-v1 sk: root key", _] => self.see(Name::RootKey, out),
            [b"noescrow-v1 snapshot seal", ..] => self.see(Name::SnapshotAeadKey, &out[..32]),
            [b"noescrow-v1 sk: sparse ratchet", _] => self.see(Name::SparseSecret, out),
            [b"noescrow-v1 sk: shared_hka" | b"noescrow-v1 sk: shared_nhkb", _] => self.see(Name::FirstHeaderKey, out),
            [b"noescrow-v1 pq ck", _] => {
                self.see(Name::PostQuantumChainKey, prk);
                // Of a message whose key is not kept, only the next chain key is derived.
                if out.len() == 64 {
                    self.see_post_quantum_key(&out[32..]);
                }
            }
            _ => {}
        }
    }
}
