// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data that no honest device sends: messages sealed again under the keys of a sent one, and prekeys signed over
//! anything.

use super::Making;
use super::handshake::at;
use super::json::{Event, hex_of};
use super::values::Performed;
use noescrow::Secret;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow_audit::{Kind, Role};

const SUITE: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";
/// Bytes of a handshake, which a first message has instead of the type.
const HANDSHAKE_LEN: usize = 1755;
/// Bytes of a sealed header before the ciphertext: salt, commitment.
const BEFORE_HEADER: usize = 16 + 16;
/// Bytes of the body's associated data before the sealed header.
const BEFORE_SEALED_HEADER: usize = 32 + 32 + 1;

/// The key material that seals one part of a message.
#[derive(Clone)]
struct Sealing {
    key: [u8; 32],
    nonce: [u8; 12],
    ad: Vec<u8>,
}

impl Sealing {
    fn of(operation: &Performed) -> Self {
        let (key, nonce) = (operation.get(Role::AeadKey), operation.get(Role::Nonce));
        let ad = operation.get(Role::AssociatedData).to_vec();
        Self { key: key.try_into().unwrap(), nonce: nonce.try_into().unwrap(), ad }
    }

    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = plaintext.to_vec();
        let tag = RustCrypto.seal(&Secret::new(self.key), &self.nonce, &self.ad, &mut sealed).unwrap();
        [sealed, tag.to_vec()].concat()
    }
}

/// A sent message, taken apart by a holder of all its keys.
#[derive(Clone)]
pub struct Forgery {
    /// Type or handshake.
    before: Vec<u8>,
    salt_and_commitment: Vec<u8>,
    header_sealing: Sealing,
    body_sealing: Sealing,
    pub header: Vec<u8>,
    pub padded: Vec<u8>,
}

impl Forgery {
    pub fn of(stage: &Making, sent: &Event) -> Self {
        let operations = stage.performed(at(sent));
        let sealed =
            |step| operations.iter().find(|operation| operation.kind == Kind::Seal && operation.step == step).unwrap();
        let (header, body) = (sealed("DR-E3"), sealed("DR-E4"));
        let message = hex_of(&sent["message"]).unwrap();
        let before = if message[0] == 0x11 { HANDSHAKE_LEN } else { 1 };
        Self {
            before: message[..before].to_vec(),
            salt_and_commitment: message[before..before + BEFORE_HEADER].to_vec(),
            header_sealing: Sealing::of(header),
            body_sealing: Sealing::of(body),
            header: header.get(Role::Plaintext).to_vec(),
            padded: body.get(Role::Plaintext).to_vec(),
        }
    }

    /// The header under another header key, with the same salt.
    pub fn under(mut self, header_key: &[u8]) -> Self {
        let mut material = [0; 60];
        let info: [&[u8]; 2] = [b"noescrow-v1 header", &self.salt_and_commitment[..16]];
        RustCrypto.hkdf_expand(&Secret::new(header_key.try_into().unwrap()), &info, &mut material);
        self.header_sealing.key.copy_from_slice(&material[..32]);
        self.header_sealing.nonce.copy_from_slice(&material[32..44]);
        self.salt_and_commitment[16..].copy_from_slice(&material[44..]);
        self
    }

    pub fn with(mut self, edit: impl FnOnce(&mut Self)) -> Vec<u8> {
        edit(&mut self);
        let sealed_header = [self.salt_and_commitment, self.header_sealing.seal(&self.header)].concat();
        self.body_sealing.ad.truncate(BEFORE_SEALED_HEADER);
        self.body_sealing.ad.extend(&sealed_header);
        [self.before, sealed_header, self.body_sealing.seal(&self.padded)].concat()
    }

    /// With bytes of the header replaced.
    pub fn put(&self, at: usize, bytes: &[u8]) -> Vec<u8> {
        self.clone().with(|forgery| forgery.header[at..at + bytes.len()].copy_from_slice(bytes))
    }
}

fn sign(seed: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    RustCrypto.sign(&Secret::new(seed.try_into().unwrap()), &parts.concat())
}

/// An identity with a valid certificate on any DH key.
pub fn identity(seed: &[u8], dh_key: &[u8]) -> Vec<u8> {
    let public = RustCrypto.signing_public(&Secret::new(seed.try_into().unwrap()));
    let certificate = sign(seed, &[b"noescrow-v1 identity certificate", SUITE, dh_key]);
    [&public, dh_key, &certificate].concat()
}

/// A prekey with a valid signature on another one's description, changed by `edit`.
pub fn prekey(seed: &[u8], prekey: &[u8], edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut description = prekey[..prekey.len() - 64].to_vec();
    edit(&mut description);
    let signature = sign(seed, &[b"noescrow-v1 prekey", SUITE, &description]);
    [&description[..], &signature].concat()
}
