// SPDX-License-Identifier: MIT OR Apache-2.0
//! One side of a conversation: the Triple Ratchet's messages.

use super::primitives::{Keyed, dh, expand, hkdf, hmac, key_pair, keyed, open, random, seal, sha256};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Ratchet key, PN, N; type, epoch, index, chunk; n, flags.
const HEADER_LEN: usize = 32 + 4 + 4 + 1 + 4 + 2 + 32 + 4 + 1;
const SEALED_HEADER_LEN: usize = 16 + 16 + HEADER_LEN + 16;
/// Bytes of the body's ciphertext that the header covers.
const COVERED_LEN: usize = 4_096;
/// AD, hash of the associated data, type, salt, commitment, header.
const BODY_AD_LEN: usize = 32 + 32 + 1 + 32 + HEADER_LEN;

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
    pub fn new(sk: &[u8; 32], initiator: bool, associated_data: [u8; 32], secret: [u8; 32], remote: [u8; 32]) -> Self {
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
    pub fn begin_chain(&mut self, head: Vec<u8>) {
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
