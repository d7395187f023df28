// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Declassified`]: every value of the protocol that is computed from a secret and on which time may depend all the same.

use super::Primitives;
use subtle::Choice;

/// A place at which something computed from a secret becomes known by time or memory access, and why it may:
/// `spec/leakage.md` has the reasons, by these names. There is no other such place in the protocol's code; a checker for
/// constant time, which is told of each by [`Primitives::declassify`], holds the code to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Declassified {
    /// Whether a header was sealed under a key: which chain a message belongs to, or that it belongs to none.
    HeaderVerdict,
    /// An opened header: a public ratchet key, counters, and what of the Braid rides on the message.
    Header,
    /// The initiator's identity, two public keys and a signature, once its seal has opened.
    Identity,
    /// Where the padding of an opened message begins, hence the length of its plaintext; or that there is none.
    PlaintextLength,
    /// Whether a MAC of the Braid is the one that is due.
    BraidVerdict,
    /// Whether a snapshot's salt is the one that its content gives.
    SnapshotVerdict,
    /// An opened snapshot while it is parsed: which states, how many skipped keys. Its keys are moved, not looked at.
    Stored,
}

impl Declassified {
    /// All of them.
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

/// The verdict of a comparison in constant time, which a branch may now depend on.
#[inline(always)]
pub(crate) fn verdict<P: Primitives>(primitives: &P, place: Declassified, choice: Choice) -> bool {
    let mut verdict = [choice.unwrap_u8()];
    primitives.declassify(place, &mut verdict);
    verdict == [1]
}
