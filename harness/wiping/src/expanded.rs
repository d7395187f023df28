// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forms into which libraries expand secrets, and which reveal as much.

use libcrux_ml_kem::mlkem768::incremental;
use libcrux_ml_kem::mlkem1024;
use sha2::{Digest, Sha512};

/// Words of AES-256's key schedule: fifteen round keys of four.
const SCHEDULE_WORDS: usize = 60;
/// Bytes of ŝ, with which FIPS 203's expanded keys begin: 12 bits for each of 256 coefficients of k polynomials.
const SECRET_VECTOR_768_LEN: usize = 3 * 256 * 12 / 8;
const SECRET_VECTOR_1024_LEN: usize = 4 * 256 * 12 / 8;

/// A scalar with its bits set as in RFC 7748 §5 and RFC 8032 §5.1.5.
pub fn clamped(scalar: &[u8]) -> Vec<u8> {
    let mut scalar = scalar.to_vec();
    scalar[0] &= 0xF8;
    scalar[31] = scalar[31] & 0x7F | 0x40;
    scalar
}

/// RFC 8032 §5.1.5 and §5.1.6.
pub fn of_signing_seed(seed: &[u8], message: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let hash = Sha512::digest(seed);
    let nonce = Sha512::new().chain_update(&hash[32..]).chain_update(message).finalize();
    [
        ("Ed25519 scalar", clamped(&hash[..32])),
        ("hash of an Ed25519 seed", hash.to_vec()),
        ("Ed25519 nonce, not reduced", nonce.to_vec()),
    ]
}

/// A key as HMAC hashes it (RFC 2104 §2).
pub fn padded(key: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    [("HMAC key under ipad", 0x36), ("HMAC key under opad", 0x5C)]
        .map(|(name, pad)| (name, key.iter().map(|byte| byte ^ pad).collect()))
}

pub fn secret_vector_1024(seed: &[u8; 64]) -> Vec<u8> {
    mlkem1024::generate_key_pair(*seed).sk()[..SECRET_VECTOR_1024_LEN].to_vec()
}

pub fn secret_vector_768(seed: &[u8; 64]) -> Vec<u8> {
    let mut private = [0; incremental::COMPRESSED_KEYPAIR_LEN];
    incremental::generate_key_pair_compressed(*seed, &mut private);
    private[..SECRET_VECTOR_768_LEN].to_vec()
}

/// FIPS 197 §5.2 for a key of eight words.
pub fn round_keys(key: &[u8]) -> Vec<u8> {
    let mut words: Vec<[u8; 4]> = key.as_chunks().0.to_vec();
    let mut constant = 1;
    for at in words.len()..SCHEDULE_WORDS {
        let mut word = words[at - 1];
        if at % 8 == 0 {
            word.rotate_left(1);
            word = word.map(sub_byte);
            word[0] ^= constant;
            constant = double(constant);
        } else if at % 8 == 4 {
            word = word.map(sub_byte);
        }
        words.push(std::array::from_fn(|byte| word[byte] ^ words[at - 8][byte]));
    }
    words.concat()
}

fn double(a: u8) -> u8 {
    (a << 1) ^ ((a >> 7) * 0x1B)
}

fn product(mut a: u8, b: u8) -> u8 {
    (0..8).fold(0, |sum, bit| {
        let term = ((b >> bit) & 1) * a;
        a = double(a);
        sum ^ term
    })
}

/// S-box: the inverse in GF(2^8), which is a^254, then the affine map.
fn sub_byte(a: u8) -> u8 {
    let inverse = (0..253).fold(a, |power, _| product(power, a));
    (0..5).fold(0x63, |sum, by| sum ^ inverse.rotate_left(by))
}

/// The last word of the known answer in FIPS 197, appendix A.3: otherwise the search would be for wrong round keys.
pub fn check() {
    let key: Vec<u8> = [0x603d_eb10_15ca_71be_u64, 0x2b73_aef0_857d_7781, 0x1f35_2c07_3b61_08d7, 0x2d98_10a3_0914_dff4]
        .into_iter()
        .flat_map(u64::to_be_bytes)
        .collect();
    assert!(round_keys(&key).ends_with(&[0x70, 0x6C, 0x63, 0x1E]), "AES key schedule");
}
