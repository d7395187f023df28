// SPDX-License-Identifier: MIT OR Apache-2.0
//! The controls: common code that leaks, each of which the check must report.

use crate::mark::secret;
use noescrow::Secret;
use noescrow::primitives::{KEM_CIPHERTEXT_LEN, KEM_SEED_LEN, Primitives, RustCrypto};
use std::hint::black_box;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leak {
    #[default]
    None,
    /// A comparison that ends at the first difference.
    EarlyExit,
    /// A table whose index is a key byte.
    SecretIndex,
    /// A branch on a bit of a key, as in plain double-and-add.
    BranchOnKeyBit,
    /// A search for the padding's marker from the end.
    PaddingStopsEarly,
    /// A reduction by repeated subtraction, whose number of rounds depends on the value.
    VariableTimeModulo,
    /// A comparison of a re-encapsulation, with another path if it differs.
    BranchOnRejection,
}

impl Leak {
    pub const ALL: [Self; 6] = [
        Self::EarlyExit,
        Self::SecretIndex,
        Self::BranchOnKeyBit,
        Self::PaddingStopsEarly,
        Self::VariableTimeModulo,
        Self::BranchOnRejection,
    ];
}

// A side effect after the branch keeps the optimiser from removing it.

pub fn early_exit(ours: &[u8; 32], theirs: &[u8; 32]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        if ours != theirs {
            black_box(0u8);
            return;
        }
        black_box(1u8);
    }
}

pub fn secret_index(key: &Secret<32>) {
    static TABLE: [u8; 256] = [7; 256];
    let table = black_box(&TABLE);
    black_box(table[usize::from(key.expose()[0])]);
}

pub fn branch_on_key_bit(key: &Secret<32>) {
    let mut sum = 1u64;
    for bit in 0..8 {
        if key.expose()[0] >> bit & 1 == 1 {
            sum = black_box(sum.wrapping_mul(3));
        }
    }
    black_box(sum);
}

pub fn unpad(padded: &[u8]) {
    let mut end = padded.len();
    while end > 0 && padded[end - 1] == 0 {
        end = black_box(end - 1);
    }
}

pub fn variable_time_modulo(key: &Secret<32>) {
    let mut value = u32::from_be_bytes([0, 0, key.expose()[0], key.expose()[1]]);
    while value >= 3329 {
        value = black_box(value - 3329);
    }
}

pub fn branch_on_rejection(seed: &Secret<KEM_SEED_LEN>, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) {
    let key = RustCrypto.kem_public(seed);
    let coins = RustCrypto.decapsulate(seed, ciphertext);
    secret(coins.expose());
    let (again, _) = RustCrypto.encapsulate(&key, &coins);
    if again[..] != ciphertext[..] {
        black_box(0u8);
    }
}
