// SPDX-License-Identifier: MIT OR Apache-2.0
#![cfg_attr(feature = "alloc", doc = include_str!("docs/links.md"))]
#![cfg_attr(feature = "alloc", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "alloc"), doc = "End-to-end encrypted sessions whose server holds no key.")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

// The modules follow the order of spec/protocol.md.

// §3: labels, bounds, curve keys and KEM keys; the container of every secret.
mod labels;
pub mod primitives;
mod secret;
#[cfg(test)]
mod test_support;
mod wipe;

// §4: identity and safety number.
mod identity;

// §5: prekeys and bundles; the device that owns them.
pub mod device;
mod prekeys;

// §6 and §7: PQXDH and its outputs.
mod handshake;

// §7: sessions from the secret of another handshake.
#[cfg(feature = "hazmat")]
pub mod hazmat;

// §8, §9, §12 to §14: the Triple Ratchet, its keys and its steps.
mod ratchet;

// §9: messages: their bytes, their padding, and the operations encrypt and decrypt.
mod padding;
pub mod session;
mod wire;

// §10: failure.
pub mod error;

// §11: stored states, and the crash contract enforced by types.
#[cfg(feature = "alloc")]
pub mod durable;
pub mod snapshot;

// Not part of the protocol: everything that a server may hold.
#[cfg(feature = "alloc")]
pub mod relay;

// What the README links to, on pages of this documentation.
#[cfg(doc)]
pub mod docs;

pub use identity::{Identity, SAFETY_NUMBER_LEN, SafetyNumber};
#[cfg(feature = "alloc")]
pub use prekeys::Publication;
pub use prekeys::{BUNDLE_LEN, Bundle, PREKEY_LEN, Prekey, PrekeyKind};
#[cfg(feature = "alloc")]
pub use ratchet::skipped::Heap;
pub use ratchet::skipped::{Inline, MAX_SKIP, MAX_SKIPPED_KEYS, MAX_SKIPPED_STEPS, SkippedKeyStore};
pub use secret::Secret;
pub use snapshot::StorageKey;
pub use wire::{ChunkSize, FIRST_MESSAGE_OVERHEAD, IDENTITY_LEN, MESSAGE_OVERHEAD, is_first_message};

use primitives::RustCrypto;

/// Maximum number of one-time prekeys that a [`Device`] holds.
pub const ONE_TIME_PREKEYS: usize = 100;
/// Maximum number of handshakes without a one-time prekey that a [`Device`] accepts on one signed prekey.
pub const REPLAY_RECORD: usize = 256;

/// A user's device with the default primitives. See [`device::Device`].
pub type Device = device::Device<RustCrypto, ONE_TIME_PREKEYS, REPLAY_RECORD>;

/// One conversation with the default primitives and a growing store of skipped keys. See [`session::Session`].
#[cfg(feature = "alloc")]
pub type Session = session::Session<RustCrypto, Heap>;

/// One conversation without an allocator. It holds the keys of up to `SKIPPED` skipped messages, 80 bytes each.
pub type FixedSession<const SKIPPED: usize = 128> = session::Session<RustCrypto, Inline<SKIPPED>>;
