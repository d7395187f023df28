// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attack A7.
use noescrow::primitives::{Primitives, RustCrypto};

fn sign(seed: &noescrow::Secret<32>, foreign: &[u8; 32]) -> [u8; 64] {
    RustCrypto.sign(seed, foreign, b"message")
}

fn main() {}
