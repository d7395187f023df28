// SPDX-License-Identifier: MIT OR Apache-2.0
//! Algebra of AES-GCM in GF(2^128) (NIST SP 800-38D §6.3), enough to find one ciphertext that opens under two keys.

use noescrow::Secret;
use noescrow::primitives::{Primitives, RustCrypto};

/// x^128 = x^7 + x^2 + x + 1, in GCM's order: the first bit of the first byte is the coefficient of x^0.
const R: u128 = 0xE1 << 120;
const ONE: u128 = 1 << 127;

fn mul(a: u128, b: u128) -> u128 {
    let (mut product, mut v) = (0, b);
    for bit in (0..128).rev() {
        if a >> bit & 1 == 1 {
            product ^= v;
        }
        v = v >> 1 ^ if v & 1 == 1 { R } else { 0 };
    }
    product
}

fn power(base: u128, exponent: u128) -> u128 {
    (0..128).rev().fold(ONE, |acc, bit| {
        let squared = mul(acc, acc);
        if exponent >> bit & 1 == 1 { mul(squared, base) } else { squared }
    })
}

/// a^(2^128 - 2).
fn inverse(a: u128) -> u128 {
    power(a, u128::MAX - 1)
}

/// A block, padded with zeros.
pub fn block(bytes: &[u8]) -> u128 {
    let mut block = [0; 16];
    block[..bytes.len()].copy_from_slice(bytes);
    u128::from_be_bytes(block)
}

/// len(A) || len(C) in bits.
fn lengths(ad: usize, ciphertext: usize) -> u128 {
    ((8 * ad as u128) << 64) | (8 * ciphertext as u128)
}

/// What GHASH depends on for one key and nonce: H and E(J0), found by sealing alone.
pub struct Gcm {
    pub key: Secret<32>,
    pub nonce: [u8; 12],
    h: u128,
    mask: u128,
}

impl Gcm {
    pub fn new(key: Secret<32>, nonce: [u8; 12]) -> Self {
        let seal = |buffer: &mut [u8]| u128::from_be_bytes(RustCrypto.seal(&key, &nonce, b"", buffer).unwrap());
        // For the empty text: GHASH is zero, the tag is E(J0). For a block whose ciphertext is zero: len · H + E(J0).
        let mask = seal(&mut []);
        let mut keystream = [0; 16];
        seal(&mut keystream);
        let h = mul(seal(&mut keystream) ^ mask, inverse(lengths(0, 16)));
        Self { key, nonce, h, mask }
    }

    /// The keystream: the ciphertext of zeros.
    pub fn keystream<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        RustCrypto.seal(&self.key, &self.nonce, b"", &mut bytes).unwrap();
        bytes
    }

    fn tag(&self, ad: &[u8], blocks: &[u128], len: usize) -> u128 {
        let all = ad.chunks(16).map(block).chain(blocks.iter().copied()).chain([lengths(ad.len(), len)]);
        all.fold(0, |hash, block| mul(hash ^ block, self.h)) ^ self.mask
    }

    pub fn open(&self, ad: &[u8], ciphertext: &[u8], tag: &[u8; 16]) -> Option<Vec<u8>> {
        let mut plaintext = ciphertext.to_vec();
        RustCrypto.open(&self.key, &self.nonce, ad, &mut plaintext, tag).ok().map(|()| plaintext)
    }
}

/// Solves for the second block of `ciphertext` such that both keys give one tag, and returns that tag.
///
/// With blocks A1, ..., C1, ..., Cn, L the tag is their polynomial in H plus E(J0). Setting two tags equal gives one linear
/// equation for one block: C2 · (H^k + H'^k) = all other terms, k = n.
pub fn collide([one, other]: [&Gcm; 2], ad: &[u8], ciphertext: &mut [u8]) -> [u8; 16] {
    let blocks = |bytes: &[u8]| bytes.chunks(16).map(block).collect::<Vec<_>>();
    let len = ciphertext.len();
    ciphertext[16..32].fill(0);
    let rest = blocks(ciphertext);
    let difference = one.tag(ad, &rest, len) ^ other.tag(ad, &rest, len);
    // After C2 follow n - 2 blocks and L.
    let exponent = rest.len() as u128;
    let factor = power(one.h, exponent) ^ power(other.h, exponent);
    ciphertext[16..32].copy_from_slice(&mul(difference, inverse(factor)).to_be_bytes());
    one.tag(ad, &blocks(ciphertext), len).to_be_bytes()
}

#[test]
fn control_the_algebra_matches_aes_gcm() {
    let gcm = Gcm::new(Secret::new([7; 32]), [9; 12]);
    for len in [0, 1, 16, 17, 41] {
        let mut ciphertext = vec![5; len];
        let tag = RustCrypto.seal(&gcm.key, &gcm.nonce, b"ad", &mut ciphertext).unwrap();
        let blocks: Vec<_> = ciphertext.chunks(16).map(block).collect();
        assert_eq!(gcm.tag(b"ad", &blocks, len), u128::from_be_bytes(tag), "{len}");
    }
    assert_eq!(mul(inverse(0xABCDEF), 0xABCDEF), ONE);
}
