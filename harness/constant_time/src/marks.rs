// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Marks`]: every place at which a value becomes secret, by name, and the control that each mark has that effect.
//!
//! Most secrets are marked more than once: when they are drawn and again at each use. One mark could therefore hide
//! that another is missing. The control removes all earlier marks, and then checks that a branch is reported which only
//! this mark makes secret.

use crate::mark::{defined, reports, secret};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::rc::Rc;

/// What is marked, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// By the generator, when it is drawn.
    Drawn,
    /// By the protocol, when it receives it.
    Fresh,
    /// A plaintext, before it is sealed.
    Plaintext,
    StorageKey,
    /// An X25519 private key, from which the public one is computed.
    DhPublicOfKey,
    /// An X25519 private key, used with a peer's public one.
    DhKey,
    DhShared,
    /// A signing seed, from which the public key is computed.
    SigningPublicOfSeed,
    SignSeed,
    KemPublicOfSeed,
    EncapsulateCoins,
    EncapsulateShared,
    DecapsulateSeed,
    DecapsulateShared,
    IncrementalPublicOfSeed,
    Encaps1Coins,
    Encaps1Shared,
    Encaps2Coins,
    IncrementalDecapsulateSeed,
    IncrementalDecapsulateShared,
    HmacKey,
    /// A chain key.
    HmacPairKey,
    /// A root key, a post-quantum message key.
    HkdfSalt,
    /// Outputs of Diffie-Hellman and the KEM, a classical message key.
    HkdfInput,
    /// A header key, the storage key, a chain key of the sparse ratchet.
    HkdfExpandPrk,
    SealKey,
    SealNonce,
    SealPlaintext,
    OpenKey,
    OpenNonce,
    OpenedPlaintext,
}

impl Mark {
    pub const ALL: [Self; 31] = [
        Self::Drawn,
        Self::Fresh,
        Self::Plaintext,
        Self::StorageKey,
        Self::DhPublicOfKey,
        Self::DhKey,
        Self::DhShared,
        Self::SigningPublicOfSeed,
        Self::SignSeed,
        Self::KemPublicOfSeed,
        Self::EncapsulateCoins,
        Self::EncapsulateShared,
        Self::DecapsulateSeed,
        Self::DecapsulateShared,
        Self::IncrementalPublicOfSeed,
        Self::Encaps1Coins,
        Self::Encaps1Shared,
        Self::Encaps2Coins,
        Self::IncrementalDecapsulateSeed,
        Self::IncrementalDecapsulateShared,
        Self::HmacKey,
        Self::HmacPairKey,
        Self::HkdfSalt,
        Self::HkdfInput,
        Self::HkdfExpandPrk,
        Self::SealKey,
        Self::SealNonce,
        Self::SealPlaintext,
        Self::OpenKey,
        Self::OpenNonce,
        Self::OpenedPlaintext,
    ];
}

/// How often something was marked, and for how many of those a branch on it was reported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub marked: usize,
    pub reported: usize,
}

/// Marks its arguments; as a control, tests each mark as well.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    is_control: bool,
    seen: Rc<RefCell<BTreeMap<Mark, Seen>>>,
}

impl Marks {
    pub fn control() -> Self {
        Self { is_control: true, ..Self::default() }
    }

    pub fn seen(&self, mark: Mark) -> Seen {
        self.seen.borrow().get(&mark).copied().unwrap_or_default()
    }

    /// Marks these bytes as secret.
    pub fn secret(&self, mark: Mark, bytes: &[u8]) {
        if self.is_control {
            defined(bytes);
            assert!(!is_branch_reported(bytes), "{mark:?}: secret before it is marked");
        }
        secret(bytes);
        if self.is_control && !bytes.is_empty() {
            let is_reported = is_branch_reported(bytes);
            let mut seen = self.seen.borrow_mut();
            let seen = seen.entry(mark).or_default();
            seen.marked += 1;
            seen.reported += usize::from(is_reported);
        }
    }

    /// Key material in an input that may also be a constant, such as a salt of zeros; constants are not marked.
    pub fn secret_unless_constant(&self, mark: Mark, bytes: &[u8]) {
        if !crate::mark::is_constant(bytes) {
            self.secret(mark, bytes);
        }
    }
}

/// Whether a branch on the last bit is reported; the first bits of some values are public, as those of a clamped key.
#[inline(never)]
fn is_branch_reported(bytes: &[u8]) -> bool {
    let before = reports();
    if let Some(byte) = black_box(bytes).last() {
        if byte & 1 == 1 {
            black_box(1u8);
        } else {
            black_box(0u8);
        }
    }
    reports() > before
}
