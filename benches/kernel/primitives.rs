// SPDX-License-Identifier: MIT OR Apache-2.0
//! The primitives as the kernel calls them.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, Mac};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use sha2::{Digest, Sha256};

/// Two SHA-256 compressions computed in advance.
pub type Keyed = Hmac<Sha256>;

pub fn keyed(key: &[u8; 32]) -> Keyed {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&block.into())
}

pub fn hmac(keyed: &Keyed, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// HKDF-Expand to as many blocks as `N` bytes need.
pub fn expand<const N: usize>(prk: &Keyed, info: &[&[u8]]) -> [u8; N] {
    let (mut out, mut last, mut counter) = ([0; N], [0; 32], 0u8);
    for block in out.chunks_mut(32) {
        let mut mac = prk.clone();
        if counter > 0 {
            mac.update(&last);
        }
        counter += 1;
        info.iter().for_each(|part| mac.update(part));
        mac.update(&[counter]);
        last = mac.finalize().into_bytes().into();
        block.copy_from_slice(&last[..block.len()]);
    }
    out
}

pub fn hkdf<const N: usize>(salt: &Keyed, ikm: &[&[u8]], info: &[&[u8]]) -> [u8; N] {
    expand(&keyed(&hmac(salt, ikm)), info)
}

pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// Key and nonce of a hidden identity; of everything else the key alone, whose nonce is zero.
fn key_and_nonce(material: &[u8]) -> (&[u8], [u8; 12]) {
    let (key, nonce) = material.split_at(32);
    (key, nonce.try_into().unwrap_or_default())
}

pub fn seal(material: &[u8], ad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
    let (key, nonce) = key_and_nonce(material);
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    cipher.encrypt_inout_detached(&nonce.into(), ad, buffer.into()).unwrap().into()
}

pub fn open(material: &[u8], ad: &[u8], buffer: &mut [u8], tag: &[u8]) {
    let (key, nonce) = key_and_nonce(material);
    let tag: &[u8; 16] = tag.try_into().unwrap();
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    cipher.decrypt_inout_detached(&nonce.into(), ad, buffer.into(), tag.into()).unwrap();
}

pub fn dh(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    let point = MontgomeryPoint(*public);
    match (cfg!(target_arch = "x86_64"), point.to_edwards(0)) {
        (true, Some(point)) => point.mul_clamped(*secret).to_montgomery().0,
        _ => point.mul_clamped(*secret).0,
    }
}

pub fn key_pair(rng: &mut ChaCha20Rng) -> ([u8; 32], [u8; 32]) {
    let secret = random(rng);
    (secret, MontgomeryPoint::mul_base_clamped(secret).0)
}

pub fn random<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

pub fn torsion_free(public: &[u8]) {
    assert!(MontgomeryPoint(public.try_into().unwrap()).to_edwards(0).unwrap().is_torsion_free());
}

pub fn verify(key: &[u8], message: &[&[u8]], signature: &[u8]) {
    let key = VerifyingKey::from_bytes(key.try_into().unwrap()).unwrap();
    key.verify_strict(&message.concat(), &Signature::from_slice(signature).unwrap()).unwrap();
}
