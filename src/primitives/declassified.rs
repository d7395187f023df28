// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Declassified`]: every value of the protocol that is computed from a secret and on which time may nevertheless
//! depend.

/// A place at which time or memory access may reveal a value computed from a secret. `spec/leakage.md` gives the reason
/// for each, under these names. The protocol's code has no other such place. A checker for constant time receives each
/// of them through [`Primitives::declassify`](super::Primitives::declassify) and reports any other dependence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Declassified {
    /// Whether a header was sealed under a key. This reveals the chain to which a message belongs, or that it belongs
    /// to none.
    HeaderVerdict,
    /// An opened header: a public ratchet key, counters, and the Braid's message.
    Header,
    /// The initiator's identity, two public keys and a signature, after its seal has opened.
    Identity,
    /// The position at which the padding of an opened message begins, and so the length of its plaintext and whether its
    /// sender chose a larger class of lengths than the smallest; or that there is no valid padding.
    PlaintextLength,
    /// Whether a MAC of the Braid is the expected one.
    BraidVerdict,
    /// Whether a snapshot's salt is the one derived from its content.
    SnapshotVerdict,
    /// An opened snapshot during parsing: its states and the number of its skipped keys. Its keys are moved and not
    /// examined.
    Stored,
}

impl Declassified {
    /// All places.
    pub const ALL: [Self; 7] = [
        Self::HeaderVerdict,
        Self::Header,
        Self::Identity,
        Self::PlaintextLength,
        Self::BraidVerdict,
        Self::SnapshotVerdict,
        Self::Stored,
    ];
}
