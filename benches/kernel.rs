// SPDX-License-Identifier: MIT OR Apache-2.0
//! The raw primitives that spec/protocol.md requires, without anything else: the baseline for noescrow's measurements.
//!
//! The same crates, used optimally: HMAC keyed once for both outputs of a chain step, once per chain for its header key
//! and once in total for the all-zero salt; X25519 through the Edwards form; one allocation per message. Everything
//! else is omitted: there is no store of skipped keys, no trial of a second header key, no check of lengths and roles,
//! no removal of padding, no wiping except by the crates, and no failure except by a panic.
//!
//! It is nevertheless the protocol, and not merely the same amount of work: [`check`] makes it communicate with
//! noescrow in both roles. It computes the post-quantum half's message keys but never sends a Braid message, which its
//! peer cannot distinguish from having nothing to send yet; [`braid_kem`] has the operations that an epoch of the Braid
//! requires.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, Mac};
use libcrux_ml_kem::{mlkem768, mlkem1024};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, Device, InitiateOptions, Payload, Sealed, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

const SUITE: &[u8] = b"noescrow-v1_X25519_SHA-256_ML-KEM-1024";
/// Ratchet key, PN, N; type, epoch, index, chunk; n, flags.
const HEADER_LEN: usize = 32 + 4 + 4 + 1 + 4 + 2 + 32 + 4 + 1;
const SEALED_HEADER_LEN: usize = 16 + 16 + HEADER_LEN + 16;
/// Bytes of the body's ciphertext that the header covers.
const COVERED_LEN: usize = 4_096;
/// AD, hash of the associated data, type, salt, commitment, header.
const BODY_AD_LEN: usize = 32 + 32 + 1 + 32 + HEADER_LEN;
/// Version and identity.
const HIDDEN_LEN: usize = 1 + 128;
const CLEAR_LEN: usize = 1 + 4 + 1 + 4 + 32 + 1568 + 1;
const HANDSHAKE_LEN: usize = CLEAR_LEN + HIDDEN_LEN + 16;
const DESCRIPTION_LEN: usize = 1 + 1 + 4 + 8 + 32 + 1568;
const PREKEY_LEN: usize = DESCRIPTION_LEN + 64;

/// Two SHA-256 compressions computed in advance.
type Keyed = Hmac<Sha256>;

fn keyed(key: &[u8; 32]) -> Keyed {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&block.into())
}

fn hmac(keyed: &Keyed, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// HKDF-Expand to as many blocks as `N` bytes need.
fn expand<const N: usize>(prk: &Keyed, info: &[&[u8]]) -> [u8; N] {
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

fn hkdf<const N: usize>(salt: &Keyed, ikm: &[&[u8]], info: &[&[u8]]) -> [u8; N] {
    expand(&keyed(&hmac(salt, ikm)), info)
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// Key and nonce of a hidden identity; of everything else the key alone, whose nonce is zero.
fn key_and_nonce(material: &[u8]) -> (&[u8], [u8; 12]) {
    let (key, nonce) = material.split_at(32);
    (key, nonce.try_into().unwrap_or_default())
}

fn seal(material: &[u8], ad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
    let (key, nonce) = key_and_nonce(material);
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    cipher.encrypt_inout_detached(&nonce.into(), ad, buffer.into()).unwrap().into()
}

fn open(material: &[u8], ad: &[u8], buffer: &mut [u8], tag: &[u8]) {
    let (key, nonce) = key_and_nonce(material);
    let tag: &[u8; 16] = tag.try_into().unwrap();
    let cipher = Aes256Gcm::new_from_slice(key).unwrap();
    cipher.decrypt_inout_detached(&nonce.into(), ad, buffer.into(), tag.into()).unwrap();
}

fn dh(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    let point = MontgomeryPoint(*public);
    match (cfg!(target_arch = "x86_64"), point.to_edwards(0)) {
        (true, Some(point)) => point.mul_clamped(*secret).to_montgomery().0,
        _ => point.mul_clamped(*secret).0,
    }
}

fn key_pair(rng: &mut ChaCha20Rng) -> ([u8; 32], [u8; 32]) {
    let secret = random(rng);
    (secret, MontgomeryPoint::mul_base_clamped(secret).0)
}

fn random<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn torsion_free(public: &[u8]) {
    assert!(MontgomeryPoint(public.try_into().unwrap()).to_edwards(0).unwrap().is_torsion_free());
}

fn verify(key: &[u8], message: &[&[u8]], signature: &[u8]) {
    let key = VerifyingKey::from_bytes(key.try_into().unwrap()).unwrap();
    key.verify_strict(&message.concat(), &Signature::from_slice(signature).unwrap()).unwrap();
}

/// A sending chain. DR-E2 to DR-E4 are [`Party::seal`].
struct Sending {
    chain_key: [u8; 32],
    header_key: Keyed,
    head: Vec<u8>,
    ratchet_key: [u8; 32],
    number: u32,
}

struct Receiving {
    chain_key: [u8; 32],
    header_key: Keyed,
}

/// One side of a conversation.
pub struct Party {
    root_key: [u8; 32],
    next_sending: [u8; 32],
    next_receiving: [u8; 32],
    /// The private half of the last key sent, the last key received.
    secret: [u8; 32],
    remote: [u8; 32],
    sending: Option<Sending>,
    receiving: Option<Receiving>,
    associated_data: [u8; 32],
    /// The sparse ratchet's chains of epoch 0, and its root's share of header keys.
    sparse_sending: SparseChain,
    sparse_receiving: SparseChain,
    header_secret: Keyed,
    skipped: Vec<([u8; 32], [u8; 32])>,
    rng: ChaCha20Rng,
}

#[derive(Clone, Copy)]
struct SparseChain {
    chain_key: [u8; 32],
    number: u32,
}

impl SparseChain {
    /// KDF_SCKA_CK; returns mk.
    fn step(&mut self) -> [u8; 32] {
        self.number += 1;
        let out: [u8; 64] = expand(&keyed(&self.chain_key), &[b"noescrow-v1 pq ck", &self.number.to_be_bytes()]);
        self.chain_key = out[..32].try_into().unwrap();
        out[32..].try_into().unwrap()
    }
}

impl Party {
    fn new(sk: &[u8; 32], initiator: bool, associated_data: [u8; 32], secret: [u8; 32], remote: [u8; 32]) -> Self {
        let sk = keyed(sk);
        let names = ["root key", "shared_hka", "shared_nhkb", "sparse ratchet", "braid", "session id", "exporter"];
        let [root_key, a, b, sparse, unused @ ..] =
            names.map(|name| expand::<32>(&sk, &[b"noescrow-v1 sk: ", name.as_bytes(), &associated_data]));
        std::hint::black_box(unused);
        let (next_sending, next_receiving) = if initiator { (a, b) } else { (b, a) };
        let sparse: [u8; 128] = hkdf(&keyed(&[0; 32]), &[&sparse], &[b"noescrow-v1 KDF_SCKA_INIT"]);
        let part = |at: usize| <[u8; 32]>::try_from(&sparse[at..at + 32]).unwrap();
        let chain = |at| SparseChain { chain_key: part(at), number: 0 };
        let (sparse_sending, sparse_receiving) =
            if initiator { (chain(32), chain(64)) } else { (chain(64), chain(32)) };
        Self {
            root_key,
            next_sending,
            next_receiving,
            secret,
            remote,
            sending: None,
            receiving: None,
            associated_data,
            sparse_sending,
            sparse_receiving,
            header_secret: keyed(&part(96)),
            skipped: Vec::new(),
            rng: ChaCha20Rng::seed_from_u64(7),
        }
    }

    /// KDF_RK_HE: the new chain key and next header key.
    fn root_step(&mut self, dh: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
        let out: [u8; 96] = hkdf(&keyed(&self.root_key), &[dh], &[b"noescrow-v1 KDF_RK_HE"]);
        let part = |at: usize| <[u8; 32]>::try_from(&out[at..at + 32]).unwrap();
        self.root_key = part(0);
        let header_key = hkdf(&self.header_secret, &[&part(64)], &[b"noescrow-v1 next header key"]);
        (part(32), header_key)
    }

    /// DR-E1. `head` comes before every sealed header of the chain.
    fn begin_chain(&mut self, head: Vec<u8>) {
        let (secret, ratchet_key) = key_pair(&mut self.rng);
        let shared = dh(&secret, &self.remote);
        let (chain_key, next) = self.root_step(&shared);
        let header_key = keyed(&core::mem::replace(&mut self.next_sending, next));
        self.secret = secret;
        self.sending = Some(Sending { chain_key, header_key, head, ratchet_key, number: 0 });
    }

    /// The sender's cost of every message.
    pub fn seal(&mut self, plaintext: &[u8], associated_data: &[u8]) -> Vec<u8> {
        let chain = self.sending.as_mut().unwrap();
        let message_keys = (chain_step(&mut chain.chain_key), self.sparse_sending.step());

        let at = chain.head.len();
        let body = at + SEALED_HEADER_LEN;
        let padded_len = padme(plaintext.len() + 1);
        let mut message = vec![0; body + 16 + padded_len];
        message[..at].copy_from_slice(&chain.head);
        let outer = message[0];
        let (head, tail) = message.split_at_mut(body);
        let header = &mut head[at..];
        let tag = hmac(&chain.header_key, &[b"noescrow-v1 tag", &chain.number.to_be_bytes()]);
        header[..8].copy_from_slice(&tag[..8]);
        header[8..16].copy_from_slice(&random::<8>(&mut self.rng));
        let commitment = hmac(&chain.header_key, &[b"noescrow-v1 commitment", &header[..16]]);
        header[16..32].copy_from_slice(&commitment[..16]);
        header[32..64].copy_from_slice(&chain.ratchet_key);
        header[68..72].copy_from_slice(&chain.number.to_be_bytes());
        chain.number += 1;
        // No message, in the Braid's first epoch.
        header[76] = 1;
        header[111..115].copy_from_slice(&self.sparse_sending.number.to_be_bytes());
        let header_key = header_aead_key(&chain.header_key, &header[..16], outer, padded_len);

        let (tag, text) = tail.split_first_chunk_mut::<16>().unwrap();
        text[..plaintext.len()].copy_from_slice(plaintext);
        text[plaintext.len()] = 0x80;
        let key = hybrid(&message_keys, &header[..32]);
        let header_end = 32 + HEADER_LEN;
        *tag = seal(&key, &self.body_ad(associated_data, outer, &header[..header_end]), text);
        let tag = seal(&header_key, covered(tail), &mut header[32..header_end]);
        header[header_end..].copy_from_slice(&tag);
        message
    }

    /// `bound` is salt, commitment and header in the clear.
    fn body_ad(&self, associated_data: &[u8], outer: u8, bound: &[u8]) -> [u8; BODY_AD_LEN] {
        let mut ad = [outer; BODY_AD_LEN];
        ad[..32].copy_from_slice(&self.associated_data);
        ad[32..64].copy_from_slice(&sha256(&[associated_data]));
        ad[65..].copy_from_slice(bound);
        ad
    }

    /// A message of the current chain, `skip` messages after the next.
    pub fn open(&mut self, message: &[u8], associated_data: &[u8], skip: usize) -> Vec<u8> {
        let chain = self.receiving.as_mut().unwrap();
        let header = open_header(&chain.header_key, message, 1);
        for _ in 0..skip {
            self.skipped.push((chain_step(&mut chain.chain_key), self.sparse_receiving.step()));
        }
        let message_keys = (chain_step(&mut chain.chain_key), self.sparse_receiving.step());
        self.open_body(message, associated_data, &message_keys, 1, &header)
    }

    /// The first message of a new chain, whose header begins at `at`.
    pub fn open_step(&mut self, message: &[u8], associated_data: &[u8], at: usize) -> Vec<u8> {
        let header_key = keyed(&self.next_receiving);
        let header = open_header(&header_key, message, at);
        self.remote = header[..32].try_into().unwrap();
        let shared = dh(&self.secret, &self.remote);
        let (mut chain_key, next) = self.root_step(&shared);
        self.next_receiving = next;
        let message_keys = (chain_step(&mut chain_key), self.sparse_receiving.step());
        self.receiving = Some(Receiving { chain_key, header_key });
        self.open_body(message, associated_data, &message_keys, at, &header)
    }

    /// The first message of a new chain of our own.
    pub fn seal_step(&mut self, plaintext: &[u8], associated_data: &[u8]) -> Vec<u8> {
        self.begin_chain(vec![0x12]);
        self.seal(plaintext, associated_data)
    }

    fn open_body(
        &self,
        message: &[u8],
        associated_data: &[u8],
        message_keys: &([u8; 32], [u8; 32]),
        at: usize,
        header: &[u8; HEADER_LEN],
    ) -> Vec<u8> {
        let (sealed, body) = message[at..].split_at(SEALED_HEADER_LEN);
        let (tag, body) = body.split_first_chunk::<16>().unwrap();
        let key = hybrid(message_keys, &sealed[..32]);
        let mut bound = [0; 32 + HEADER_LEN];
        bound[..32].copy_from_slice(&sealed[..32]);
        bound[32..].copy_from_slice(header);
        let mut plaintext = body.to_vec();
        open(&key, &self.body_ad(associated_data, message[0], &bound), &mut plaintext, tag);
        plaintext
    }

    /// A second session in the same state, for measuring a step repeatedly.
    pub fn fork(&self) -> Self {
        let receiving = self
            .receiving
            .as_ref()
            .map(|chain| Receiving { chain_key: chain.chain_key, header_key: chain.header_key.clone() });
        Self {
            sending: None,
            receiving,
            header_secret: self.header_secret.clone(),
            skipped: Vec::new(),
            rng: self.rng.clone(),
            ..*self
        }
    }
}

/// KDF_CK; returns mk.
fn chain_step(chain_key: &mut [u8; 32]) -> [u8; 32] {
    let chain = keyed(chain_key);
    let message_key = hmac(&chain, &[&[1]]);
    *chain_key = hmac(&chain, &[&[2]]);
    message_key
}

/// KDF_HYBRID of the classical and the post-quantum message key, for a salt and its commitment.
fn hybrid((classical, post_quantum): &([u8; 32], [u8; 32]), salt_and_commitment: &[u8]) -> [u8; 32] {
    hkdf(&keyed(post_quantum), &[classical], &[b"noescrow-v1 message", salt_and_commitment])
}

fn header_aead_key(header_key: &Keyed, salt: &[u8], outer: u8, body_len: usize) -> [u8; 32] {
    hmac(header_key, &[b"noescrow-v1 header", salt, &[outer], &(body_len as u64).to_be_bytes()])
}

/// The body's tag and the part of its ciphertext that the header covers.
fn covered(body: &[u8]) -> &[u8] {
    &body[..body.len().min(16 + COVERED_LEN)]
}

/// Compares the commitment and opens the header.
fn open_header(header_key: &Keyed, message: &[u8], at: usize) -> [u8; HEADER_LEN] {
    let (sealed, body) = message[at..].split_at(SEALED_HEADER_LEN);
    let commitment = hmac(header_key, &[b"noescrow-v1 commitment", &sealed[..16]]);
    assert_eq!(commitment[..16], sealed[16..32]);
    let key = header_aead_key(header_key, &sealed[..16], message[0], body.len() - 16);
    let (sealed, tag) = sealed[32..].split_at(HEADER_LEN);
    let mut header = <[u8; HEADER_LEN]>::try_from(sealed).unwrap();
    open(&key, covered(body), &mut header, tag);
    header
}

fn padme(len: usize) -> usize {
    let exponent = len.ilog2();
    let kept = exponent.checked_ilog2().map_or(0, |log| log + 1);
    let mask = (1usize << exponent.saturating_sub(kept)) - 1;
    (len + mask) & !mask
}

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

/// The KEM operations of one epoch of the Braid: a key pair, an encapsulation, a decapsulation.
pub fn braid_kem(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let (private, public) = mlkem768::generate_key_pair(random(rng)).into_parts();
    assert!(mlkem768::validate_public_key(&public));
    let (ciphertext, ss) = mlkem768::encapsulate(&public, random(rng));
    assert_eq!(mlkem768::decapsulate(&private, &ciphertext), ss);
    ss
}

/// Shows that the kernel is the protocol: it starts a conversation with noescrow and accepts one, and both read what
/// the other sealed, step after step, in a chain, and after a gap.
pub fn check(now: UnixSeconds, later: UnixSeconds) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut bob = Device::generate(now, &mut rng);
    let mut published = bob.publish(1, now, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let (mut alice, hello) = Owner::new(2, later).initiate(&bundle.to_bytes(), b"hello");
    let (mut bob, text) = bob.accept(&hello).unwrap();
    assert_eq!(text, b"hello");

    let owner = Owner::new(3, later);
    let bundle = Bundle::from_bytes(&noescrow::primitives::RustCrypto, &owner.bundle()).unwrap();
    let carol = Device::generate(now, &mut rng);
    let (mut carol, hello) = carol.initiate(bundle, b"hello", InitiateOptions::unverified(now), &mut rng).unwrap();
    let (mut dave, text) = owner.accept(&hello);
    assert!(text.starts_with(b"hello\x80"));

    assert_eq!(
        carol.decrypt(Sealed { message: &dave.seal_step(b"answer", b"ad"), associated_data: b"ad" }).unwrap().plaintext,
        b"answer"
    );
    for (session, kernel) in [(&mut bob, &mut alice), (&mut carol, &mut dave)] {
        for _ in 0..3 {
            let message = session
                .encrypt(Payload { plaintext: b"step", associated_data: b"ad", ..Payload::default() }, &mut rng)
                .unwrap();
            assert!(kernel.open_step(&message, b"ad", 1).starts_with(b"step\x80"));
            let messages = [1, 2, 3].map(|_| {
                session
                    .encrypt(Payload { plaintext: b"chain", associated_data: b"ad", ..Payload::default() }, &mut rng)
                    .unwrap()
            });
            assert!(kernel.open(&messages[2], b"ad", 2).starts_with(b"chain\x80"));
            assert_eq!(
                session
                    .decrypt(Sealed { message: &kernel.seal_step(b"answer", b"ad"), associated_data: b"ad" })
                    .unwrap()
                    .plaintext,
                b"answer"
            );
            assert_eq!(
                session
                    .decrypt(Sealed { message: &kernel.seal(b"chain", b"ad"), associated_data: b"ad" })
                    .unwrap()
                    .plaintext,
                b"chain"
            );
        }
    }
}
