// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ML-KEM Braid (rev 1) with ML-KEM-768: two parties repeatedly agree on a fresh key, in chunks that are sent with
//! their messages (spec/protocol.md §12).
//!
//! Both parties hold the same secret at the start. In each epoch one party generates a KEM key pair and the other
//! encapsulates to it; then the roles swap. The key is sent in two parts, and so is the ciphertext. `ct1` needs only
//! the first, short part of the key, so the long part and `ct1` travel at the same time, braided.
//!
//! [`Braid`] processes every message sent and received and outputs each epoch's key once on each side. It does not hide
//! or authenticate its messages: they are sent inside sealed headers, and a message's changes are committed after the
//! message has opened. It does not turn output keys into message keys: the Sparse Post-Quantum Ratchet does. It does
//! not notice silence: without an answer there is no new epoch.
//!
//! Reading order: [`states`] has the diagram; `decapsulator` and `encapsulator` are its two halves; `erasure` divides
//! values into chunks; `authenticator` has the KDFs and MACs; `message` has the encoding.

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

/// Length in bytes of the header with its MAC, which are divided into chunks together.
const HEADER_MAC_LEN: usize = EK_HEADER_LEN + MAC_LEN;
/// Length in bytes of ct2 with the MAC of the ciphertext.
const CT2_MAC_LEN: usize = CT2_LEN + MAC_LEN;

type HeaderEncoder = Encoder<HEADER_MAC_LEN, 256>;
type HeaderDecoder = Decoder<HEADER_MAC_LEN, 256>;
type EkEncoder = Encoder<EK_VECTOR_LEN, 1280>;
type EkDecoder = Decoder<EK_VECTOR_LEN, 1280>;
type Ct1Encoder = Encoder<CT1_LEN, 1024>;
type Ct1Decoder = Decoder<CT1_LEN, 1024>;
type Ct2Encoder = Encoder<CT2_MAC_LEN, 256>;
type Ct2Decoder = Decoder<CT2_MAC_LEN, 256>;

/// The number of an epoch, from 1 to 2^32 - 2. Neither 0 nor the last u32 is an epoch, so that counting cannot wrap.
/// Four bytes suffice, because the Double Ratchet counts its steps in four bytes, and an epoch takes several steps.
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

    /// Returns `None` after the last epoch.
    pub(crate) const fn next(self) -> Option<Self> {
        Self::new(self.0.saturating_add(1))
    }

    /// Returns the number before this epoch: 0 for the first, where keys come from the handshake alone.
    pub(crate) const fn before(self) -> u32 {
        self.0.saturating_sub(1)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Encodes the epoch as KDFs and MACs take it: eight bytes, big-endian (spec/protocol.md §12).
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        u64::from(self.0).to_be_bytes()
    }
}

/// An epoch's output key. It is not yet bound to handshake or peers: the sparse ratchet does that when it mixes the key
/// into its root.
#[derive(Debug)]
pub(crate) struct EpochKey {
    pub(crate) epoch: Epoch,
    pub(crate) key: Secret<32>,
}

/// The Braid has failed permanently: a MAC did not verify, a key was not the announced one, or the epochs are used up.
/// The session must be abandoned and must not continue without post-quantum keys (attack E6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned;

/// Splits a value of `A + B` bytes into two parts.
fn split<const A: usize, const B: usize, const LEN: usize>(value: &[u8; LEN]) -> ([u8; A], [u8; B]) {
    const { assert!(A + B == LEN) };
    // Both lengths are checked above.
    (value.first_chunk().copied().unwrap_or([0; A]), value.last_chunk().copied().unwrap_or([0; B]))
}

/// Joins two parts to one value.
fn joined<const A: usize, const B: usize, const LEN: usize>(first: &[u8; A], second: &[u8; B]) -> [u8; LEN] {
    const { assert!(A + B == LEN) };
    let mut value = [0; LEN];
    for (to, from) in value.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    value
}
