// SPDX-License-Identifier: MIT OR Apache-2.0
#![cfg_attr(feature = "alloc", doc = include_str!("docs/links.md"))]
#![cfg_attr(feature = "alloc", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "alloc"), doc = "End-to-end encrypted sessions whose server holds no key.")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

// The modules follow the order of spec/protocol.md.

// Public types from slices, and to and from serde's formats.
mod public_bytes;

// §3: labels, bounds, curve keys and KEM keys; the container of every secret.
mod labels;
pub mod primitives;
mod secret;
#[cfg(test)]
mod test_support;
mod time;
mod wipe;

// §4: identity and safety number; the login is in `device`.
mod identity;

// §5: prekeys and bundles; the device that owns them.
pub mod device;
mod prekeys;

// §6 and §7: PQXDH and its outputs.
mod handshake;

// §7: sessions from the secret of another handshake.
#[cfg(feature = "hazmat")]
pub mod hazmat;

// §7 to §9: the Triple Ratchet, its keys and its steps.
mod ratchet;

// §9: messages: their bytes, their padding, and the operations encrypt and decrypt.
mod context;
mod padding;
mod payload;
pub mod session;
mod wire;

// §10: failure.
pub mod error;

// §11: stored states, and the crash contract enforced by types.
#[cfg(feature = "alloc")]
pub mod durable;
pub mod snapshot;

// spec/messenger.md: which session, which key, when to save.
#[cfg(feature = "alloc")]
pub mod messenger;

// spec/attachments.md: files under a key that is sent in a message.
pub mod attachment;

// Not part of the protocol: a generator for devices whose own may be predictable.
mod hedged;

// Not part of the protocol: everything that a server may hold, and the key that admits messages to a mailbox.
#[cfg(feature = "alloc")]
mod access;
#[cfg(feature = "alloc")]
pub mod relay;

// What the README links to, on pages of this documentation.
#[cfg(doc)]
pub mod docs;

#[cfg(feature = "alloc")]
pub use access::{ACCESS_KEY_LEN, AccessKey, AccessKeyHash};
pub use context::Context;
#[cfg(feature = "alloc")]
pub use device::HeapCapacity;
pub use device::{AcceptFailed, Capacity, Device, InitiateFailed, InitiateOptions, Pending};
pub use hedged::{HedgeSecret, HedgedRng};
pub use identity::{Identity, SAFETY_NUMBER_LEN, SafetyNumber};
pub use payload::{Opened, Payload, Sealed};
pub use prekeys::{BUNDLE_LEN, Bundle, PREKEY_LEN, Prekey, PrekeyId, PrekeyKind};
#[cfg(feature = "alloc")]
pub use prekeys::{MAX_PUBLISHED_PREKEYS, PUBLICATION_LEN, Publication};
pub use ratchet::skipped::{MAX_JUMP, MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS};
pub use secret::Secret;
pub use session::{Session, opening_id};
pub use snapshot::StorageKey;
pub use time::UnixSeconds;
pub use wire::{
    ChunkSize, FIRST_MESSAGE_OVERHEAD, IDENTITY_LEN, MESSAGE_OVERHEAD, ROUTING_TAG_LEN, is_first_message, routing_tag,
};

use primitives::RustCrypto;

/// One conversation without an allocator. It holds the keys of up to `SKIPPED` skipped messages, 80 bytes each.
pub type FixedSession<const SKIPPED: usize = 128> = Session<RustCrypto, skipped::Inline<SKIPPED>>;

/// The stores of skipped message keys from which the type of a [`Session`] chooses.
pub mod skipped {
    #[cfg(feature = "alloc")]
    pub use crate::ratchet::skipped::Heap;
    pub use crate::ratchet::skipped::{Inline, SkippedKeyStore};
}
