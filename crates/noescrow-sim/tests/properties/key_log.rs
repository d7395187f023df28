// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Logged`]: the default primitives with a log of all keys, sorted by kind, for tests that ask where a key is and
//! whether it was used twice; and with a [`PrimitiveFault`], for handshakes that must be flagged.

use noescrow::hazmat::{Call, Intercept, Intercepted};
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

pub type Key = [u8; 32];

/// One use of an AEAD key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Use {
    /// The numbered step of spec/protocol.md during which it happened.
    pub step: &'static str,
    pub key: Key,
    pub nonce: [u8; 12],
}

#[derive(Debug, Default)]
pub struct Log {
    pub step: &'static str,
    pub seals: Vec<Use>,
    /// Successful ones only.
    pub opens: Vec<Use>,
    pub root_keys: HashSet<Key>,
    pub chain_keys: HashSet<Key>,
    pub message_keys: HashSet<Key>,
    /// Keys of the post-quantum ratchet.
    pub sparse_root_keys: HashSet<Key>,
    pub sparse_chain_keys: HashSet<Key>,
    pub sparse_message_keys: HashSet<Key>,
    /// Keys that opened a message, of either ratchet.
    pub used_message_keys: HashSet<Key>,
    last_message_keys: Option<[Key; 2]>,
    /// Private curve keys.
    pub dh_secrets: Vec<Key>,
    pub kem_seeds: Vec<[u8; 64]>,
    hmacs: u8,
}

/// What is wrong with the primitives.
#[allow(dead_code, reason = "each test program uses its own part")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrimitiveFault {
    #[default]
    None,
    /// `open` never fails.
    ChecksNoTag,
    /// HMAC includes a counter of its calls: no two snapshots are alike.
    CountsHmacs,
    /// No signature verifies.
    RefusesSignatures,
    /// Every signature verifies.
    AcceptsSignatures,
    /// The tag of every message's body is corrupted.
    CorruptsTags,
}

/// The default primitives, intercepted by a [`KeyLog`].
pub type Logged = Intercepted<KeyLog>;

/// Records the keys that are used. Clones share the record.
#[derive(Clone, Default)]
pub struct KeyLog {
    pub log: Rc<RefCell<Log>>,
    pub fault: PrimitiveFault,
}

const CHAIN_NEXT: &[u8] = b"noescrow-v1 pq ck";
const MESSAGE: &[u8] = b"noescrow-v1 message";
const SK_ROOT: &[u8] = b"noescrow-v1 sk: root key";

fn key(bytes: &[u8]) -> Key {
    bytes.try_into().unwrap()
}

impl Intercept for KeyLog {
    fn step(&self, label: &'static str) {
        self.log.borrow_mut().step = label;
    }

    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        let mut log = self.log.borrow_mut();
        match (self.fault, &mut *call) {
            (PrimitiveFault::CountsHmacs, Call::Hmac { key, parts, mac }) => {
                log.hmacs = log.hmacs.wrapping_add(1);
                let parts: Vec<&[u8]> = parts.iter().copied().chain([std::slice::from_ref(&log.hmacs)]).collect();
                **mac = primitives.hmac(key, &parts);
            }
            (PrimitiveFault::RefusesSignatures, Call::Verify { verdict, .. }) => **verdict = Err(Failed),
            (PrimitiveFault::AcceptsSignatures, Call::Verify { verdict, .. }) => **verdict = Ok(()),
            _ => call.perform(primitives),
        }
        log.record(call);
        match (self.fault, call) {
            (PrimitiveFault::CorruptsTags, Call::Seal { tag: Ok(tag), .. }) if log.step == "DR-E4" => tag[0] ^= 1,
            (PrimitiveFault::ChecksNoTag, Call::Open { key, nonce, ad, buffer, verdict, .. }) if verdict.is_err() => {
                // A cipher without a tag would apply the keystream alone. Sealing a ciphertext does that.
                **verdict = primitives.seal(key, nonce, ad, buffer).map(|_| ());
            }
            _ => {}
        }
    }
}

impl Log {
    fn record(&mut self, call: &Call<'_>) {
        let step = self.step;
        match call {
            Call::DhPublic { secret, .. } => self.dh_secrets.push(*secret.expose()),
            Call::KemPublic { seed, .. } => self.kem_seeds.push(*seed.expose()),
            Call::HmacPair { key: chain_key, macs: (message_key, next), .. } => {
                self.chain_keys.extend([*chain_key.expose(), *next.expose()]);
                self.message_keys.insert(*message_key.expose());
            }
            // A chain's step for a message whose key is not kept.
            Call::Hmac { key: chain_key, parts: [[2]], mac } => {
                self.chain_keys.extend([key(chain_key), *mac.expose()]);
            }
            Call::Hkdf { salt, ikm: [message_key], info: [MESSAGE, ..], .. } => {
                self.last_message_keys = Some([key(message_key), key(salt)]);
            }
            Call::Hkdf { salt, out, .. } => match out.len() {
                96 => {
                    self.root_keys.extend([key(salt), key(&out[..32])]);
                    self.chain_keys.insert(key(&out[32..64]));
                }
                128 => {
                    self.sparse_root_keys.insert(key(&out[..32]));
                    self.sparse_chain_keys.extend([key(&out[32..64]), key(&out[64..96])]);
                }
                _ => {}
            },
            Call::HkdfExpand { prk, info, out } => {
                if info[0] == SK_ROOT {
                    self.root_keys.insert(key(out));
                }
                if info[0] == CHAIN_NEXT {
                    self.sparse_chain_keys.extend([*prk.expose(), key(&out[..32])]);
                    // A step for a message whose key is not kept derives the chain key alone.
                    self.sparse_message_keys.extend(out.last_chunk::<32>().copied());
                }
            }
            Call::Seal { key, nonce, .. } => self.seals.push(Use { step, key: *key.expose(), nonce: **nonce }),
            Call::Open { key, nonce, verdict: Ok(()), .. } => {
                self.opens.push(Use { step, key: *key.expose(), nonce: **nonce });
                if let ("DR-D8", Some(message_keys)) = (step, self.last_message_keys) {
                    self.used_message_keys.extend(message_keys);
                }
            }
            _ => {}
        }
    }
}
