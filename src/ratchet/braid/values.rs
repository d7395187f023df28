// SPDX-License-Identifier: MIT OR Apache-2.0
//! The four values that the Braid sends in chunks, their encoders and decoders, and values of two parts.

use super::authenticator::MAC_LEN;
use super::erasure::{Decoder, DeferredEncoder, Encoder};
use crate::primitives::{CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN};

/// Length in bytes of the header with its MAC, which are divided into chunks together.
pub(super) const HEADER_MAC_LEN: usize = EK_HEADER_LEN + MAC_LEN;
/// Length in bytes of ct2 with the MAC of the ciphertext.
pub(super) const CT2_MAC_LEN: usize = CT2_LEN + MAC_LEN;

pub(super) type HeaderEncoder = DeferredEncoder<HEADER_MAC_LEN, 256>;
pub(super) type HeaderDecoder = Decoder<HEADER_MAC_LEN, 256>;
pub(super) type EkEncoder = DeferredEncoder<EK_VECTOR_LEN, 1280>;
pub(super) type EkDecoder = Decoder<EK_VECTOR_LEN, 1280>;
pub(super) type Ct1Encoder = DeferredEncoder<CT1_LEN, 1024>;
pub(super) type Ct1Decoder = Decoder<CT1_LEN, 1024>;
pub(super) type Ct2Encoder = Encoder<CT2_MAC_LEN, 256>;
pub(super) type Ct2Decoder = Decoder<CT2_MAC_LEN, 256>;

/// Splits a value of `A + B` bytes into two parts.
pub(super) fn split<const A: usize, const B: usize, const LEN: usize>(value: &[u8; LEN]) -> ([u8; A], [u8; B]) {
    const { assert!(A + B == LEN) };
    // Both lengths are checked above.
    (value.first_chunk().copied().unwrap_or([0; A]), value.last_chunk().copied().unwrap_or([0; B]))
}

/// Joins two parts to one value.
pub(super) fn joined<const A: usize, const B: usize, const LEN: usize>(first: &[u8; A], second: &[u8; B]) -> [u8; LEN] {
    const { assert!(A + B == LEN) };
    let mut value = [0; LEN];
    for (to, from) in value.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    value
}
