// SPDX-License-Identifier: MIT OR Apache-2.0
//! Digests of values: what a server keeps that compares files without storing them, or scans clients for known ones. A
//! digest of a message shows the message to whoever guesses it.

use blake2::{Blake2b256, Blake2b512, Blake2s256};
use sha2::Digest;

/// The digests of a value by the hash functions that servers use, each with its name.
#[must_use]
pub fn digests(bytes: &[u8]) -> [(&'static str, Vec<u8>); 18] {
    [
        ("MD5", md5::Md5::digest(bytes).to_vec()),
        ("SHA-1", sha1::Sha1::digest(bytes).to_vec()),
        ("SHA-224", sha2::Sha224::digest(bytes).to_vec()),
        ("SHA-256", sha2::Sha256::digest(bytes).to_vec()),
        ("SHA-384", sha2::Sha384::digest(bytes).to_vec()),
        ("SHA-512", sha2::Sha512::digest(bytes).to_vec()),
        ("SHA-512/256", sha2::Sha512_256::digest(bytes).to_vec()),
        ("SHA3-224", sha3::Sha3_224::digest(bytes).to_vec()),
        ("SHA3-256", sha3::Sha3_256::digest(bytes).to_vec()),
        ("SHA3-384", sha3::Sha3_384::digest(bytes).to_vec()),
        ("SHA3-512", sha3::Sha3_512::digest(bytes).to_vec()),
        ("Keccak-256", sha3::Keccak256::digest(bytes).to_vec()),
        ("BLAKE2b-256", Blake2b256::digest(bytes).to_vec()),
        ("BLAKE2b-512", Blake2b512::digest(bytes).to_vec()),
        ("BLAKE2s-256", Blake2s256::digest(bytes).to_vec()),
        ("BLAKE3", blake3::hash(bytes).as_bytes().to_vec()),
        ("RIPEMD-160", ripemd::Ripemd160::digest(bytes).to_vec()),
        // As Bitcoin does.
        ("SHA-256 twice", sha2::Sha256::digest(sha2::Sha256::digest(bytes)).to_vec()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// Of "abc": RFC 1321, FIPS 180-4, FIPS 202, RFC 7693 and coreutils; Ethereum's Keccak, BLAKE3 and RIPEMD-160 by
    /// their authors' test vectors.
    #[test]
    fn digests_are_the_published_ones() {
        let all = digests(b"abc");
        for (name, expected) in [
            ("MD5", &hex!("900150983cd24fb0d6963f7d28e17f72")[..]),
            ("SHA-1", &hex!("a9993e364706816aba3e25717850c26c9cd0d89d")),
            ("SHA-224", &hex!("23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7")),
            ("SHA-256", &hex!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
            ("SHA-512/256", &hex!("53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23")),
            ("SHA3-256", &hex!("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532")),
            ("Keccak-256", &hex!("4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45")),
            ("BLAKE2s-256", &hex!("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982")),
            ("BLAKE2b-256", &hex!("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")),
            ("BLAKE3", &hex!("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85")),
            ("RIPEMD-160", &hex!("8eb208f7e05d987a9b044a8e98c6b087f15a0bfc")),
            ("SHA-256 twice", &hex!("4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358")),
        ] {
            assert!(all.iter().any(|(known, digest)| *known == name && digest == expected), "{name}");
        }
        // One function each: no digest is another's, or another's beginning.
        for (at, (name, digest)) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|(_, other)| other[..16] != digest[..16]), "{name}");
        }
    }
}
