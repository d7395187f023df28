// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Watch`]: the default primitives, seen at work. It sorts the keys that pass by what they are, for tests that ask
//! where a key is and whether it was used twice; and it can be bent, for handshakes that must be noticed as broken.

use noescrow::Secret;
use noescrow::primitives::{Failed, Primitives, RustCrypto};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

pub type Key = [u8; 32];

/// One use of an AEAD key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Use {
    /// The numbered step within which it happened.
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
    /// Of the post-quantum ratchet.
    pub sparse_root_keys: HashSet<Key>,
    pub sparse_chain_keys: HashSet<Key>,
    pub sparse_message_keys: HashSet<Key>,
    /// Keys that opened a message, of either ratchet.
    pub used_message_keys: HashSet<Key>,
    last_message_keys: Option<[Key; 2]>,
    /// Private curve keys.
    pub dh_secrets: Vec<Key>,
    pub kem_seeds: Vec<[u8; 64]>,
    salts: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bent {
    #[default]
    Straight,
    /// `open` never fails.
    ChecksNoTag,
    /// HMAC counts its calls: no two snapshots are alike.
    Restless,
    /// Signatures never verify.
    Distrusts,
    /// Signatures always verify.
    Believes,
    /// The seal of every message but the first is broken, as if it had not been sent well.
    SealsBadly,
}

#[derive(Clone, Debug, Default)]
pub struct Watch {
    pub log: Rc<RefCell<Log>>,
    pub bent: Bent,
}

const CHAIN_NEXT: &[u8] = b"noescrow-v1 KDF_SCKA_CK";
const SK_ROOT: &[u8] = b"noescrow-v1 sk: root key";

fn key(bytes: &[u8]) -> Key {
    bytes.try_into().unwrap()
}

impl Primitives for Watch {
    fn step(&self, label: &'static str) {
        self.log.borrow_mut().step = label;
    }
    fn dh_public(&self, secret: &Secret<32>) -> [u8; 32] {
        self.log.borrow_mut().dh_secrets.push(*secret.expose());
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
        if self.bent == Bent::Believes {
            return Ok(());
        }
        if self.bent == Bent::Distrusts { Err(Failed) } else { RustCrypto.verify(public, message, signature) }
    }
    fn kem_public(&self, seed: &Secret<64>) -> [u8; 1568] {
        self.log.borrow_mut().kem_seeds.push(*seed.expose());
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
        if self.bent == Bent::Restless {
            let mut log = self.log.borrow_mut();
            log.salts = log.salts.wrapping_add(1);
            let parts: Vec<&[u8]> = parts.iter().copied().chain([std::slice::from_ref(&log.salts)]).collect();
            return RustCrypto.hmac(key, &parts);
        }
        RustCrypto.hmac(key, parts)
    }
    fn hmac_pair(&self, chain_key: &Secret<32>, first: u8, second: u8) -> (Secret<32>, Secret<32>) {
        let (message_key, next) = RustCrypto.hmac_pair(chain_key, first, second);
        let mut log = self.log.borrow_mut();
        log.chain_keys.extend([*chain_key.expose(), *next.expose()]);
        log.message_keys.insert(*message_key.expose());
        (message_key, next)
    }
    fn hkdf(&self, salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf(salt, ikm, info, out);
        let mut log = self.log.borrow_mut();
        match (out.len(), ikm) {
            (96, _) => {
                log.root_keys.extend([key(salt), key(&out[..32])]);
                log.chain_keys.insert(key(&out[32..64]));
            }
            (128, _) => {
                log.sparse_root_keys.insert(key(&out[..32]));
                log.sparse_chain_keys.extend([key(&out[32..64]), key(&out[64..96])]);
            }
            (44, [message_key]) => log.last_message_keys = Some([key(message_key), key(salt)]),
            _ => {}
        }
    }
    fn hkdf_expand(&self, prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
        RustCrypto.hkdf_expand(prk, info, out);
        if info == [SK_ROOT] {
            self.log.borrow_mut().root_keys.insert(key(out));
        }
        if info[0] == CHAIN_NEXT {
            let mut log = self.log.borrow_mut();
            log.sparse_chain_keys.extend([*prk.expose(), key(&out[..32])]);
            log.sparse_message_keys.insert(key(&out[32..]));
        }
    }
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.sha256(parts)
    }
    fn sha512(&self, parts: &[&[u8]]) -> [u8; 64] {
        RustCrypto.sha512(parts)
    }
    fn seal(&self, key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Failed> {
        let mut log = self.log.borrow_mut();
        let step = log.step;
        log.seals.push(Use { step, key: *key.expose(), nonce: *nonce });
        let mut tag = RustCrypto.seal(key, nonce, ad, buffer)?;
        if self.bent == Bent::SealsBadly && step == "DR-E4" {
            tag[0] ^= 1;
        }
        Ok(tag)
    }
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        ad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Failed> {
        let outcome = RustCrypto.open(key, nonce, ad, buffer, tag);
        if self.bent == Bent::ChecksNoTag && outcome.is_err() {
            // The keystream alone, as a cipher without its tag would: sealing what is sealed.
            let _ = RustCrypto.seal(key, nonce, ad, buffer);
            return Ok(());
        }
        outcome?;
        let mut log = self.log.borrow_mut();
        let step = log.step;
        log.opens.push(Use { step, key: *key.expose(), nonce: *nonce });
        if let ("DR-D8", Some(message_keys)) = (step, log.last_message_keys) {
            log.used_message_keys.extend(message_keys);
        }
        Ok(())
    }
}
