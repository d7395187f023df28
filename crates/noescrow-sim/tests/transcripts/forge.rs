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
const HANDSHAKE_LEN: usize = 1756;
/// Bytes of salt and commitment.
const BEFORE_HEADER: usize = 16 + 16;
/// Bytes of the body's associated data before salt and commitment: AD, a digest, the type.
const BEFORE_SALT: usize = 32 + 32 + 1;
/// Bytes of the body's ciphertext that the header's seal covers.
const COVERED_LEN: usize = 4096;
const L_HEADER: &[u8] = b"noescrow-v1 header";
const L_COMMIT: &[u8] = b"noescrow-v1 commitment";

/// `ciphertext || tag`, under the nonce of all headers and bodies.
fn seal(key: &[u8], ad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = plaintext.to_vec();
    let key = Secret::new(key.try_into().unwrap());
    let tag = RustCrypto.seal(&key, &[0; 12], ad, &mut sealed).unwrap();
    [sealed, tag.to_vec()].concat()
}

/// A sent message, taken apart by a holder of all its keys.
#[derive(Clone)]
pub struct Forgery {
    /// Type or handshake.
    before: Vec<u8>,
    salt_and_commitment: Vec<u8>,
    header_key: Vec<u8>,
    body_key: Vec<u8>,
    body_ad: Vec<u8>,
    pub header: Vec<u8>,
    pub padded: Vec<u8>,
}

impl Forgery {
    pub fn of(stage: &Making, sent: &Event) -> Self {
        let operations = stage.performed(at(sent));
        let find = |is: &dyn Fn(&Performed) -> bool| operations.iter().find(|operation| is(operation)).unwrap().clone();
        let [header, body] =
            ["DR-E3", "DR-E4"].map(|step| find(&|operation| operation.kind == Kind::Seal && operation.step == step));
        let key = find(&|operation| operation.kind == Kind::Hmac && operation.context().starts_with(L_HEADER));
        let message = hex_of(&sent["message"]).unwrap();
        let before = if message[0] == 0x11 { HANDSHAKE_LEN } else { 1 };
        Self {
            before: message[..before].to_vec(),
            salt_and_commitment: message[before..before + BEFORE_HEADER].to_vec(),
            header_key: key.get(Role::KdfKey).to_vec(),
            body_key: body.get(Role::AeadKey).to_vec(),
            body_ad: body.get(Role::AssociatedData)[..BEFORE_SALT].to_vec(),
            header: header.get(Role::Plaintext).to_vec(),
            padded: body.get(Role::Plaintext).to_vec(),
        }
    }

    /// The header under another header key, with the same salt.
    pub fn under(mut self, header_key: &[u8]) -> Self {
        self.header_key = header_key.to_vec();
        let commitment = RustCrypto.hmac(header_key, &[L_COMMIT, &self.salt_and_commitment[..16]]);
        self.salt_and_commitment[16..].copy_from_slice(&commitment.expose()[..16]);
        self
    }

    pub fn with(mut self, edit: impl FnOnce(&mut Self)) -> Vec<u8> {
        edit(&mut self);
        let body_ad = [&self.body_ad[..], &self.salt_and_commitment, &self.header].concat();
        let mut body = seal(&self.body_key, &body_ad, &self.padded);
        body.rotate_right(16);
        let len = u64::try_from(self.padded.len()).unwrap().to_be_bytes();
        let info = [L_HEADER, &self.salt_and_commitment[..16], &self.before[..1], &len];
        let key = RustCrypto.hmac(&self.header_key, &info);
        let covered = &body[..body.len().min(16 + COVERED_LEN)];
        let header = seal(key.expose(), covered, &self.header);
        [self.before, self.salt_and_commitment, header, body].concat()
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
