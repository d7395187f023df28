// SPDX-License-Identifier: MIT OR Apache-2.0
//! PQXDH: an owner of prekeys, who begins and accepts conversations.

use super::party::Party;
use super::primitives::{dh, hkdf, key_pair, keyed, open, random, seal, sha256, torsion_free, verify};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signer, SigningKey};
use libcrux_ml_kem::mlkem1024;
use noescrow::UnixSeconds;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const SUITE: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";
/// Version and identity.
const HIDDEN_LEN: usize = 1 + 128;
const CLEAR_LEN: usize = 1 + 4 + 1 + 4 + 32 + 1568 + 1;
const HANDSHAKE_LEN: usize = CLEAR_LEN + HIDDEN_LEN + 16;
const DESCRIPTION_LEN: usize = 1 + 1 + 4 + 8 + 32 + 1568;
const PREKEY_LEN: usize = DESCRIPTION_LEN + 64;

/// A prekey pair with its encoded public half.
struct Prekey {
    secret: [u8; 32],
    seed: [u8; 64],
    public: Vec<u8>,
    digest: [u8; 32],
}

/// Identity and prekeys, one of each kind.
pub struct Owner {
    signing: SigningKey,
    secret: [u8; 32],
    identity: [u8; 128],
    signed: Prekey,
    one_time: Prekey,
    rng: ChaCha20Rng,
}

impl Owner {
    pub fn new(seed: u64, expiry: UnixSeconds) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let signing = SigningKey::from_bytes(&random(&mut rng));
        let (secret, public) = key_pair(&mut rng);
        let mut identity = [0; 128];
        identity[..32].copy_from_slice(signing.verifying_key().as_bytes());
        identity[32..64].copy_from_slice(&public);
        let certificate = signing.sign(&[b"noescrow-v1 identity certificate", SUITE, &public].concat());
        identity[64..].copy_from_slice(&certificate.to_bytes());
        let signed = prekey(&signing, 1, expiry, &mut rng);
        let one_time = prekey(&signing, 2, expiry, &mut rng);
        Self { signing, secret, identity, signed, one_time, rng }
    }

    /// PK-1, once: two key generations, a signature, and the digest that goes into AD.
    pub fn make_prekey(&mut self, expiry: UnixSeconds) -> (Vec<u8>, [u8; 32]) {
        let prekey = prekey(&self.signing, 2, expiry, &mut self.rng);
        (prekey.public, prekey.digest)
    }

    pub fn bundle(&self) -> Vec<u8> {
        [&self.identity[..], &self.signed.public, &[1], &self.one_time.public].concat()
    }

    /// HS-I1 to HS-I8: every check of a bundle, then the first message.
    pub fn initiate(&mut self, bundle: &[u8], plaintext: &[u8]) -> (Party, Vec<u8>) {
        let (remote, rest) = bundle.split_at(128);
        let (signed, one_time) = (&rest[..PREKEY_LEN], &rest[PREKEY_LEN + 1..]);
        check_identity(remote);
        for prekey in [signed, one_time] {
            let (description, signature) = prekey.split_at(DESCRIPTION_LEN);
            torsion_free(&description[14..46]);
            let kem: &[u8; 1568] = description[46..].try_into().unwrap();
            assert!(mlkem1024::validate_public_key(&kem.into()));
            verify(&remote[..32], &[b"noescrow-v1 prekey", SUITE, description], signature);
        }
        let key = |bytes: &[u8], at: usize| <[u8; 32]>::try_from(&bytes[at..at + 32]).unwrap();
        let kem: &[u8; 1568] = one_time[46..DESCRIPTION_LEN].try_into().unwrap();
        let (ephemeral, ek) = key_pair(&mut self.rng);
        let (ct, ss) = mlkem1024::encapsulate(&kem.into(), random(&mut self.rng));
        let spk = key(signed, 14);
        let dh1 = dh(&self.secret, &spk);
        let dh2 = dh(&ephemeral, &key(remote, 32));
        let dh3 = dh(&ephemeral, &spk);
        let dh4 = dh(&ephemeral, &key(one_time, 14));
        let zero_salt = keyed(&[0; 32]);
        let sk: [u8; 32] = hkdf(&zero_salt, &[&[0xFF; 32], &dh1, &dh2, &dh3, &dh4, &ss], &[SUITE]);

        let mut head = Vec::with_capacity(HANDSHAKE_LEN);
        head.push(0x11);
        head.extend(&signed[2..6]);
        head.push(1);
        head.extend(&one_time[2..6]);
        head.extend(ek);
        head.extend(<[u8; 1568]>::from(ct));
        // Chunks of 32 bytes.
        head.push(0);
        let material: [u8; 44] = hkdf(&zero_salt, &[&[0xFF; 32], &dh3, &ss], &[b"noescrow-v1 hidden identity"]);
        let mut hidden = [1; HIDDEN_LEN];
        hidden[1..].copy_from_slice(&self.identity);
        let tag = seal(&material, &head, &mut hidden);
        let digests = [signed, one_time].map(|prekey| sha256(&[&prekey[..DESCRIPTION_LEN]]));
        let ad = transcript(&self.identity, remote, &head, &digests);
        head.extend(hidden);
        head.extend(tag);

        let mut party = Party::new(&sk, true, ad, [0; 32], spk);
        party.begin_chain(head);
        let message = party.seal(plaintext, b"");
        (party, message)
    }

    /// HS-R1 to HS-R7.
    pub fn accept(&self, message: &[u8]) -> (Party, Vec<u8>) {
        let (clear, hidden) = message[..HANDSHAKE_LEN].split_at(CLEAR_LEN);
        let ek: [u8; 32] = clear[10..42].try_into().unwrap();
        torsion_free(&ek);
        let (private, _) = mlkem1024::generate_key_pair(self.one_time.seed).into_parts();
        let ct: &[u8; 1568] = clear[42..CLEAR_LEN - 1].try_into().unwrap();
        let ss = mlkem1024::decapsulate(&private, &ct.into());
        let dh3 = dh(&self.signed.secret, &ek);
        let zero_salt = keyed(&[0; 32]);
        let material: [u8; 44] = hkdf(&zero_salt, &[&[0xFF; 32], &dh3, &ss], &[b"noescrow-v1 hidden identity"]);
        let mut opened = <[u8; HIDDEN_LEN]>::try_from(&hidden[..HIDDEN_LEN]).unwrap();
        open(&material, clear, &mut opened, &hidden[HIDDEN_LEN..]);
        let remote: [u8; 128] = opened[1..].try_into().unwrap();
        check_identity(&remote);
        let dh1 = dh(&self.signed.secret, remote[32..64].try_into().unwrap());
        let dh2 = dh(&self.secret, &ek);
        let dh4 = dh(&self.one_time.secret, &ek);
        let sk: [u8; 32] = hkdf(&zero_salt, &[&[0xFF; 32], &dh1, &dh2, &dh3, &dh4, &ss], &[SUITE]);
        // The prekeys' digests are stored since they were made; one more identifies copies of this handshake.
        let digests = [&self.signed, &self.one_time].map(|prekey| prekey.digest);
        let ad = transcript(&remote, &self.identity, clear, &digests);
        std::hint::black_box(sha256(&[&message[..HANDSHAKE_LEN]]));
        let mut party = Party::new(&sk, false, ad, self.signed.secret, [0; 32]);
        let plaintext = party.open_step(message, b"", HANDSHAKE_LEN);
        (party, plaintext)
    }
}

fn prekey(signing: &SigningKey, kind: u8, expiry: UnixSeconds, rng: &mut ChaCha20Rng) -> Prekey {
    let (secret, public) = key_pair(rng);
    let seed = random(rng);
    let (_, kem) = mlkem1024::generate_key_pair(seed).into_parts();
    let kem: [u8; 1568] = kem.into();
    let id = u32::from(kind).to_be_bytes();
    let mut bytes = [b"noescrow-v1 prekey", SUITE, &[kind, 1], &id, &expiry.0.to_be_bytes(), &public, &kem].concat();
    let signature = signing.sign(&bytes);
    bytes.extend(signature.to_bytes());
    let public = bytes.split_off(b"noescrow-v1 prekey".len() + SUITE.len());
    let digest = sha256(&[&public[..DESCRIPTION_LEN]]);
    Prekey { secret, seed, public, digest }
}

/// ID-1.
fn check_identity(identity: &[u8]) {
    let (signing, rest) = identity.split_at(32);
    let (public, certificate) = rest.split_at(32);
    let point = CompressedEdwardsY(signing.try_into().unwrap()).decompress().unwrap();
    assert!(point.compress().0[..] == *signing && point.is_torsion_free());
    torsion_free(public);
    verify(signing, &[b"noescrow-v1 identity certificate", SUITE, public], certificate);
}

fn transcript(initiator: &[u8], responder: &[u8], clear: &[u8], digests: &[[u8; 32]; 2]) -> [u8; 32] {
    let keys = [&initiator[..64], &responder[..64]];
    sha256(&[b"noescrow-v1 transcript", SUITE, keys[0], keys[1], clear, &digests[0], &digests[1]])
}
