// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ML-KEM Braid (rev 1) with ML-KEM-768: two parties agree on a fresh key again and again, in chunks that ride on
//! their messages (spec/protocol.md §12).
//!
//! Both hold the same secret at the start. In each epoch one party makes a KEM key pair and the other encapsulates to
//! it; then the roles swap. The key is sent in two parts, and so is the ciphertext: `ct1` needs only the first, short
//! part of the key, so that the long part and `ct1` travel at the same time, braided.
//!
//! [`Braid`] is told of every message sent and received and puts out each epoch's key once on each side. What it does
//! not do: hide or authenticate its messages (they ride inside sealed headers, and what a message changes is committed
//! when the message has opened), turn output keys into message keys (the Sparse Post-Quantum Ratchet does), or notice
//! silence: without an answer there is no new epoch.
//!
//! Reading order: [`states`] has the diagram; `decapsulator` and `encapsulator` are its two halves; `erasure` cuts
//! values into chunks; `authenticator` has the KDFs and MACs; `message` the bytes.

mod authenticator;
mod decapsulator;
mod encapsulator;
mod erasure;
pub(crate) mod message;
mod states;
mod stored;
#[cfg(test)]
mod tests;

use crate::primitives::{CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN};
use crate::secret::Secret;
use authenticator::MAC_LEN;
use erasure::{Decoder, Encoder};
pub(crate) use states::{Braid, Incoming};

/// Header and its MAC, as they are cut into chunks.
const HEADER_MAC_LEN: usize = EK_HEADER_LEN + MAC_LEN;
/// ct2 and the MAC of the ciphertext.
const CT2_MAC_LEN: usize = CT2_LEN + MAC_LEN;

type HeaderEncoder = Encoder<HEADER_MAC_LEN, 256>;
type HeaderDecoder = Decoder<HEADER_MAC_LEN, 256>;
type EkEncoder = Encoder<EK_VECTOR_LEN, 1280>;
type EkDecoder = Decoder<EK_VECTOR_LEN, 1280>;
type Ct1Encoder = Encoder<CT1_LEN, 1024>;
type Ct1Decoder = Decoder<CT1_LEN, 1024>;
type Ct2Encoder = Encoder<CT2_MAC_LEN, 256>;
type Ct2Decoder = Decoder<CT2_MAC_LEN, 256>;

/// The number of an epoch, from 1 to 2^32 - 2: neither 0 nor the last u32 is one, so that counting cannot wrap. In four
/// bytes, because the Double Ratchet counts its steps in as many, and an epoch takes several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(u32);

impl Epoch {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) const fn new(number: u32) -> Option<Self> {
        match number {
            0 | u32::MAX => None,
            _ => Some(Self(number)),
        }
    }

    /// `None` behind the last.
    pub(crate) const fn next(self) -> Option<Self> {
        Self::new(self.0.saturating_add(1))
    }

    /// The number before it: 0 before the first, where keys come from the handshake alone.
    pub(crate) const fn before(self) -> u32 {
        self.0.saturating_sub(1)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// As KDFs and MACs take it: eight bytes (SPECS §15 E5).
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        u64::from(self.0).to_be_bytes()
    }
}

/// An epoch's output key. Not yet bound to handshake or peers: that is done by whoever folds it in.
#[derive(Debug)]
pub(crate) struct EpochKey {
    pub(crate) epoch: Epoch,
    pub(crate) key: Secret<32>,
}

/// The Braid has failed for good: a MAC did not verify, a key was not the one announced, or the epochs are used up. The
/// session is to be abandoned; it must not go on without post-quantum keys (attack E6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned;

/// A value of `A + B` bytes, taken apart.
fn split<const A: usize, const B: usize, const LEN: usize>(value: &[u8; LEN]) -> ([u8; A], [u8; B]) {
    const { assert!(A + B == LEN) };
    // Both lengths are checked above.
    (value.first_chunk().copied().unwrap_or([0; A]), value.last_chunk().copied().unwrap_or([0; B]))
}

/// A value of two parts.
fn joined<const A: usize, const B: usize, const LEN: usize>(first: &[u8; A], second: &[u8; B]) -> [u8; LEN] {
    const { assert!(A + B == LEN) };
    let mut value = [0; LEN];
    for (to, from) in value.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    value
}
