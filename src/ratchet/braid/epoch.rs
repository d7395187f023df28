// SPDX-License-Identifier: MIT OR Apache-2.0
//! Epochs of the Braid, their output keys, and the Braid's failure.

use crate::secret::Secret;

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

    /// Encodes the epoch as KDFs and MACs take it: eight bytes, big-endian (spec/protocol.md §7).
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
