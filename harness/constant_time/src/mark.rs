// SPDX-License-Identifier: MIT OR Apache-2.0
//! Valgrind's client requests: secrets are marked as undefined memory, public values as defined.
//!
//! Memcheck follows undefined bits through every computation and reports each branch and each address that depends on
//! one: the violations of constant time. It does not see the operands of instructions that take variable time, such as
//! divisions.

use crabgrind::memcheck::{MemState, mark_memory};
use crabgrind::valgrind::{count_errors, disable_error_reporting, enable_error_reporting, running_mode};
use std::hint::black_box;

pub fn is_checked() -> bool {
    running_mode().is_valgrind()
}

/// Reports so far.
pub fn reports() -> usize {
    count_errors()
}

fn mark(bytes: &[u8], state: MemState) {
    // Without valgrind, nothing receives the request.
    let _ = mark_memory(bytes.as_ptr().cast(), bytes.len(), state);
}

/// Marks these bytes as secret.
pub fn secret(bytes: &[u8]) {
    mark(black_box(bytes), MemState::Undefined);
}

/// Marks these bytes as if they had never been secret: for a control.
pub fn defined(bytes: &[u8]) {
    mark(black_box(bytes), MemState::Defined);
}

/// Marks these bytes as public: they have left the device, or are declassified.
pub fn public(bytes: &mut [u8]) {
    let bytes = black_box(bytes);
    mark(bytes, MemState::Defined);
    black_box(bytes);
}

/// A public value that was computed from a secret, such as a public key.
pub fn published<const N: usize>(mut value: [u8; N]) -> [u8; N] {
    public(&mut value);
    value
}

/// Whether all bytes are equal, as in a salt of zeros. This test does not count as a branch.
pub fn is_constant(bytes: &[u8]) -> bool {
    disable_error_reporting();
    let constant = bytes.windows(2).all(|pair| pair[0] == pair[1]);
    enable_error_reporting();
    constant
}
