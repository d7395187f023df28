// SPDX-License-Identifier: MIT OR Apache-2.0
//! An initiator written by hand: spec/protocol.md §4 to §9 without any check, for messages that no honest device can be
//! made to send. It shares the primitives with the crate, and no protocol code.

use crate::recording::SUITE;
use crate::support::NOW;
use curve25519_dalek::montgomery::MontgomeryPoint;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, FIRST_MESSAGE_OVERHEAD, InitiateOptions, Prekey, Secret, UnixSeconds};

const F: [u8; 32] = [0xFF; 32];
/// Bytes of a prekey without its signature.
pub const DESCRIPTION_LEN: usize = 1 + 1 + 4 + 8 + 32 + 1568;

/// Offsets of the parts of a bundle.
pub const IDENTITY: std::ops::Range<usize> = 0..128;
pub const SIGNED: std::ops::Range<usize> = 128..128 + noescrow::PREKEY_LEN;
pub const FLAG: usize = SIGNED.end;
pub const ONE_TIME: std::ops::Range<usize> = FLAG + 1..FLAG + 1 + noescrow::PREKEY_LEN;

/// Offsets of the parts of a handshake.
pub const EK: std::ops::Range<usize> = 10..42;
pub const CT: std::ops::Range<usize> = 42..42 + 1568;
/// The code of the chunk size, the last byte of the clear part.
pub const CHUNK_SIZE: usize = CT.end;
/// The sealed maximum version and identity.
pub const HIDDEN: std::ops::Range<usize> = CHUNK_SIZE + 1..CHUNK_SIZE + 1 + 1 + 128 + 16;

pub fn dh_public(secret: &[u8; 32]) -> [u8; 32] {
    RustCrypto.dh_public(&Secret::new(*secret))
}

/// X25519 without a check.
pub fn raw_dh(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    MontgomeryPoint(*public).mul_clamped(*secret).0
}

/// An identity with a valid certificate on any DH key.
pub fn identity(signing_seed: &[u8; 32], dh_key: &[u8; 32]) -> [u8; 128] {
    let seed = Secret::new(*signing_seed);
    let signed = [b"noescrow-v1 identity certificate", SUITE, dh_key].concat();
    let parts = [&RustCrypto.signing_public(&seed)[..], dh_key, &RustCrypto.sign(&seed, &signed)];
    parts.concat().try_into().unwrap()
}

/// A prekey with a valid signature over any values.
pub fn prekey(
    signing_seed: &[u8; 32],
    kind: u8,
    id: u32,
    expiry: UnixSeconds,
    dh_key: &[u8; 32],
    kem_key: &[u8; 1568],
) -> Vec<u8> {
    // The highest version is 1.
    let description = [&[kind, 1], &id.to_be_bytes()[..], &expiry.0.to_be_bytes(), dh_key, kem_key].concat();
    sign_prekey(signing_seed, description)
}

/// The same, given the description.
pub fn sign_prekey(signing_seed: &[u8; 32], description: Vec<u8>) -> Vec<u8> {
    let signed = [b"noescrow-v1 prekey", SUITE, &description].concat();
    let signature = RustCrypto.sign(&Secret::new(*signing_seed), &signed);
    [description, signature.to_vec()].concat()
}

/// A bundle from its parts.
pub fn bundle(identity: &[u8], signed: &[u8], one_time: Option<&[u8]>) -> Vec<u8> {
    let rest = one_time.map_or_else(|| vec![0], |one_time| [&[1], one_time].concat());
    [identity, signed, &rest].concat()
}

/// AD of spec/protocol.md §6, from the bytes that both sides saw.
pub fn associated_data(initiator: &[u8; 128], bundle: &Bundle, clear: &[u8]) -> [u8; 32] {
    let digest = |prekey: &Prekey| RustCrypto.sha256(&[&prekey.to_bytes()[..DESCRIPTION_LEN]]);
    let one_time = bundle.one_time_prekey().map(digest);
    RustCrypto.sha256(&[
        b"noescrow-v1 transcript",
        SUITE,
        &initiator[..64],
        &bundle.identity().to_bytes()[..64],
        clear,
        &digest(bundle.signed_prekey()),
        one_time.as_ref().map_or(&[], |digest| digest),
    ])
}

/// The session's id.
pub fn session_id(sk: &[u8; 32], ad: &[u8; 32]) -> [u8; 32] {
    expand(sk, &[b"noescrow-v1 sk: session id", ad])
}

/// What a forger puts into a handshake. A DH secret of `None` stands for a key of low order, whose secret nobody has:
/// every DH with it is zero.
#[derive(Clone)]
pub struct Forger {
    pub identity: [u8; 128],
    pub dh_secret: Option<[u8; 32]>,
    pub ephemeral_key: [u8; 32],
    pub ephemeral_secret: Option<[u8; 32]>,
    /// Compute SK with DH1 and DH2, or with zeros in their place.
    pub identity_dh: bool,
    /// A stolen secret: computes DH1 from the other side.
    pub signed_prekey_secret: Option<[u8; 32]>,
}

impl Forger {
    /// An honest initiator.
    pub fn new(signing_seed: [u8; 32], dh_secret: [u8; 32], ephemeral_secret: [u8; 32]) -> Self {
        Self {
            identity: identity(&signing_seed, &dh_public(&dh_secret)),
            dh_secret: Some(dh_secret),
            ephemeral_key: dh_public(&ephemeral_secret),
            ephemeral_secret: Some(ephemeral_secret),
            identity_dh: true,
            signed_prekey_secret: None,
        }
    }

    /// The first message, with the text `forged`, and the session's id.
    pub fn first_message(&self, bundle: &Bundle) -> (Vec<u8>, [u8; 32]) {
        let (signed, one_time) = (bundle.signed_prekey(), bundle.one_time_prekey());
        let with = |secret: Option<[u8; 32]>, key: &[u8; 32]| secret.map_or([0; 32], |secret| raw_dh(&secret, key));
        let spk = signed.dh_key().as_bytes();
        let (mut dh1, mut dh2) =
            (with(self.dh_secret, spk), with(self.ephemeral_secret, bundle.identity().dh_key().as_bytes()));
        if let Some(stolen) = self.signed_prekey_secret {
            dh1 = raw_dh(&stolen, self.identity[32..64].try_into().unwrap());
        }
        if !self.identity_dh {
            (dh1, dh2) = ([0; 32], [0; 32]);
        }
        let dh3 = with(self.ephemeral_secret, spk);
        let dh4 = one_time.map(|prekey| with(self.ephemeral_secret, prekey.dh_key().as_bytes()));
        let (ct, ss) = RustCrypto.encapsulate(one_time.unwrap_or(signed).kem_key(), &Secret::new([0x42; 32]));

        let mut sk = [0; 32];
        let dh4 = dh4.as_ref().map_or(&[][..], |dh4| dh4);
        RustCrypto.hkdf(&[0; 32], &[&F, &dh1, &dh2, &dh3, dh4, ss.expose()], &[SUITE], &mut sk);
        let (id, flag) = (one_time.map_or(0, Prekey::id), u8::from(one_time.is_some()));
        let ids = [&signed.id().to_be_bytes()[..], &[flag], &id.to_be_bytes()].concat();
        // Chunks of 32 bytes.
        let clear = [&[0x11], &ids[..], &self.ephemeral_key, &ct, &[0]].concat();
        let mut hiding = [0; 44];
        let label: &[u8] = b"noescrow-v1 hidden identity";
        RustCrypto.hkdf(&[0; 32], &[&F, &dh3, ss.expose()], &[label], &mut hiding);
        let mut handshake = clear.clone();
        let (key, nonce) = hiding.split_first_chunk().unwrap();
        // The highest version is 1.
        handshake.extend(seal(key, nonce.try_into().unwrap(), &clear, [&[1], &self.identity[..]].concat()).concat());
        let ad = associated_data(&self.identity, bundle, &clear);
        let message = first_ratchet_message(&sk, &ad, spk);
        ([handshake, message].concat(), session_id(&sk, &ad))
    }
}

/// Ciphertext and tag.
fn seal(key: &[u8; 32], nonce: &[u8; 12], ad: &[u8], mut text: Vec<u8>) -> [Vec<u8>; 2] {
    let tag = RustCrypto.seal(&Secret::new(*key), nonce, ad, &mut text).unwrap();
    [text, tag.to_vec()]
}

fn expand<const N: usize>(key: &[u8], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    RustCrypto.hkdf_expand(&Secret::new(key.try_into().unwrap()), info, &mut out);
    out
}

/// Header and body of the first message of the first chain. Its Braid message is empty, as when nothing is to be sent.
fn first_ratchet_message(sk: &[u8; 32], ad: &[u8; 32], spk: &[u8; 32]) -> Vec<u8> {
    let ratchet_secret = [0x77; 32];
    let root: [u8; 32] = expand(sk, &[b"noescrow-v1 sk: root key", ad]);
    let header_key: [u8; 32] = expand(sk, &[b"noescrow-v1 sk: shared_hka", ad]);
    let mut step = [0; 96];
    RustCrypto.hkdf(&root, &[&raw_dh(&ratchet_secret, spk)], &[b"noescrow-v1 KDF_RK_HE"], &mut step);
    let message_key = RustCrypto.hmac(&step[32..64], &[&[1]]);
    let sparse: [u8; 32] = expand(sk, &[b"noescrow-v1 sk: sparse ratchet", ad]);
    let mut start = [0; 128];
    RustCrypto.hkdf(&[0; 32], &[&sparse], &[b"noescrow-v1 KDF_SCKA_INIT"], &mut start);
    let number = 1u32.to_be_bytes();
    let post_quantum: [u8; 64] = expand(&start[32..64], &[b"noescrow-v1 pq ck", &number]);

    // PN, N; the Braid's message: none, of epoch 1, without index and chunk; n; and no flag: the mixed root is that of
    // epoch 0.
    let braid = [&[0][..], &1u32.to_be_bytes(), &[0; 2 + 32]].concat();
    let header = [&dh_public(&ratchet_secret)[..], &[0; 8], &braid, &number, &[0]].concat();
    let text = b"forged";
    let mut body = vec![0; InitiateOptions::unverified(NOW).first_message_len(text).unwrap() - FIRST_MESSAGE_OVERHEAD];
    body[..text.len()].copy_from_slice(text);
    body[text.len()] = 0x80;

    let mac = |parts: &[&[u8]]| *RustCrypto.hmac(&header_key, parts).expose();
    // The number is 0.
    let salt = [&mac(&[b"noescrow-v1 tag", &[0; 4]])[..8], &[0x88; 8]].concat();
    let commitment = &mac(&[b"noescrow-v1 commitment", &salt])[..16];
    let mut key = [0; 32];
    let info: [&[u8]; 3] = [b"noescrow-v1 message", &salt, commitment];
    RustCrypto.hkdf(&post_quantum[32..], &[message_key.expose()], &info, &mut key);
    let body_ad = [&ad[..], &RustCrypto.sha256(&[b""]), &[0x11], &salt, commitment, &header].concat();
    let [body, tag] = seal(&key, &[0; 12], &body_ad, body);
    let header_key = mac(&[b"noescrow-v1 header", &salt, &[0x11], &(body.len() as u64).to_be_bytes()]);
    let header = seal(&header_key, &[0; 12], &[&tag[..], &body].concat(), header).concat();
    [&salt[..], commitment, &header, &tag, &body].concat()
}
