// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Device`]: an identity and its prekeys. It initiates sessions and accepts them.
//!
//! Every private key is generated here and leaves only in a sealed snapshot. A server gets only [`Prekey`],
//! `Publication`, and messages.
//!
//! This module is not concerned with which device belongs to which user and where bundles come from.

mod accepting;
#[cfg(feature = "alloc")]
mod allocating;
mod capacity;
mod login;
mod options;
mod stored;

pub use accepting::{AcceptFailed, Pending};
pub use capacity::{Capacities, Capacity};
pub use login::LOGIN_CHALLENGE_LEN;
pub use options::InitiateOptions;

use crate::error::{PrekeyError, RestoreError};
use crate::identity::{Identity, IdentityKeyPair, SafetyNumber};
use crate::payload::Payload;
use crate::prekeys::{Bundle, Prekey, PrekeyKind, PrekeyPair};
use crate::primitives::{Primitives, RustCrypto};
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::triple::TripleRatchet;
use crate::session::{Opening, Parties, Session};
use crate::snapshot::{self, StorageKey};
use crate::time::UnixSeconds;
use crate::wipe;
use capacity::Slots;
use core::fmt;
use rand_core::CryptoRng;

/// The signed prekey, with a record of the handshakes that used it without a one-time key.
struct SignedPrekey<C: Capacities> {
    pair: PrekeyPair,
    /// EKA of every handshake accepted on the last-resort key (PQXDH rev 3 §4.2; attack B6).
    replay_record: C::ReplayRecord<[u8; 32]>,
}

/// A user's device: an identity, a signed prekey with its predecessor, and one-time prekeys.
///
/// `C` is the [`Capacity`]: the maximum number of one-time prekeys, and the number of handshakes without a one-time key
/// that each signed prekey can recognize when they are repeated. After that many, the signed prekey accepts no more of
/// them until it is rotated.
///
/// A device has 34,592 bytes with the default capacity. A thread that works with devices and sessions needs this much
/// stack, in KiB, measured on x86_64 Linux with the results on the same stack:
///
/// | | release build | unoptimized build, dependencies too |
/// |---|---|---|
/// | restore a device | 172 | 268 |
/// | generate a device | 144 | 636 |
/// | initiate | 100 | 712 |
/// | accept | 108 | 800 |
/// | restore a session | 104 | 720 |
/// | publish one prekey, rotate | 88 | 576 |
/// | encrypt, decrypt | 68 | 688 |
/// | take a snapshot of a device | 8 | 36 |
///
/// Most of the stack of an unoptimized build is that of ML-KEM.
pub struct Device<P = RustCrypto, C: Capacities = Capacity> {
    primitives: P,
    identity: IdentityKeyPair,
    signed_prekey: SignedPrekey<C>,
    previous_signed_prekey: Option<SignedPrekey<C>>,
    one_time_prekeys: C::OneTimePrekeys<PrekeyPair>,
    /// The id of the next prekey of either kind. No id is issued twice (attack B34).
    next_id: u32,
}

/// Length in bytes of an entry of the replay record.
pub(crate) const REPLAY_ENTRY_LEN: usize = 32;

/// The first id. On the wire, 0 means "none".
pub(crate) const FIRST_ID: u32 = 1;

impl Device {
    /// Calls [`generate_with`](Self::generate_with) with the default primitives and capacity.
    pub fn generate(expiry: UnixSeconds, rng: &mut impl CryptoRng) -> Self {
        Self::generate_with(RustCrypto, expiry, rng)
    }
}

impl<P: Primitives, C: Capacities> Device<P, C> {
    /// Generates a new identity with its first signed prekey, which expires at `expiry`. Draws 160 bytes from `rng`.
    pub fn generate_with(primitives: P, expiry: UnixSeconds, rng: &mut impl CryptoRng) -> Self {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            let identity = wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| IdentityKeyPair::generate(&primitives, rng));
            let (pair, _) = PrekeyPair::generate(&primitives, PrekeyKind::Signed, FIRST_ID, expiry, rng);
            Self {
                primitives,
                identity,
                signed_prekey: SignedPrekey { pair, replay_record: Slots::empty_initialized(|| [0; 32]) },
                previous_signed_prekey: wipe::none_initialized(SignedPrekey::zeroed),
                one_time_prekeys: Slots::empty_device_array(PrekeyPair::zeroed),
                next_id: FIRST_ID.saturating_add(1),
            }
        })
    }

    /// Returns the public identity.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        self.identity.public()
    }

    /// Returns the safety number with another identity, without further identifiers; see [`SafetyNumber::new`].
    #[must_use]
    pub fn safety_number(&self, remote: &Identity) -> SafetyNumber {
        SafetyNumber::new(&self.primitives, (self.identity(), b""), (remote, b""))
    }

    /// Returns the current signed prekey, to publish.
    #[must_use]
    pub fn signed_prekey(&self) -> Prekey {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            self.signed_prekey.pair.public(&self.primitives, &self.identity)
        })
    }

    /// Returns the number of one-time prekeys that this device holds. They were published and, as far as the device
    /// knows, not used.
    #[must_use]
    pub fn one_time_prekeys_left(&self) -> usize {
        self.one_time_prekeys.len()
    }

    /// Makes one one-time prekey, to publish. Draws 96 bytes from `rng`. Save the device before uploading the prekey.
    ///
    /// # Errors
    /// [`PrekeyError`] if the store is full or all ids are used.
    pub fn generate_one_time_prekey(
        &mut self,
        expiry: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Prekey, PrekeyError> {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            if self.one_time_prekeys.is_full() {
                return Err(PrekeyError::StoreFull);
            }
            let (id, next_id) = self.allocate_id()?;
            let (pair, description) = PrekeyPair::generate(&self.primitives, PrekeyKind::OneTime, id, expiry, rng);
            let public = description.sign(&self.primitives, &self.identity);
            if !self.one_time_prekeys.push(pair) {
                return Err(PrekeyError::StoreFull);
            }
            self.next_id = next_id;
            Ok(public)
        })
    }

    /// Replaces the signed prekey and its last-resort key; call it weekly or monthly. The old key is kept for messages
    /// in transit until the next rotation or [`delete_previous_signed_prekey`](Self::delete_previous_signed_prekey).
    /// Draws 96 bytes from `rng`.
    ///
    /// # Errors
    /// [`PrekeyError::IdsExhausted`] if all ids are used.
    pub fn rotate(&mut self, expiry: UnixSeconds, rng: &mut impl CryptoRng) -> Result<Prekey, PrekeyError> {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            let (id, next_id) = self.allocate_id()?;
            let (pair, description) = PrekeyPair::generate(&self.primitives, PrekeyKind::Signed, id, expiry, rng);
            let fresh = SignedPrekey { pair, replay_record: Slots::empty_initialized(|| [0; 32]) };
            self.previous_signed_prekey = Some(core::mem::replace(&mut self.signed_prekey, fresh));
            self.next_id = next_id;
            Ok(description.sign(&self.primitives, &self.identity))
        })
    }

    /// Deletes the signed prekey before the last rotation. After that nothing that was sealed to it can be opened, even
    /// by an attacker who steals this device. Returns whether there was one.
    pub fn delete_previous_signed_prekey(&mut self) -> bool {
        let existed = self.previous_signed_prekey.is_some();
        // Assigned and not taken, so that it is wiped in its place.
        self.previous_signed_prekey = None;
        existed
    }

    /// Deletes a one-time prekey by its id. Returns whether the device had it.
    pub fn delete_one_time_prekey(&mut self, id: u32) -> bool {
        match self.one_time_prekeys.iter().position(|pair| pair.id == id) {
            Some(at) => {
                self.remove_one_time(at);
                true
            }
            None => false,
        }
    }

    /// Deletes the one-time prekeys and the previous signed prekey that expired before `now`, and returns how many it
    /// deleted. Only [`rotate`](Self::rotate) replaces the current signed prekey.
    pub fn delete_expired(&mut self, now: UnixSeconds) -> usize {
        let before = self.one_time_prekeys.len();
        while let Some(at) = self.one_time_prekeys.iter().position(|pair| pair.expiry < now) {
            self.remove_one_time(at);
        }
        let previous = self.previous_signed_prekey.as_ref().is_some_and(|previous| previous.pair.expiry < now);
        if previous {
            self.previous_signed_prekey = None;
        }
        before.saturating_sub(self.one_time_prekeys.len()).saturating_add(usize::from(previous))
    }

    /// Returns the same device with other primitives.
    #[cfg(all(feature = "alloc", feature = "hazmat"))]
    pub(crate) fn with_primitives<Q>(self, primitives: Q) -> Device<Q, C> {
        let Self { primitives: _, identity, signed_prekey, previous_signed_prekey, one_time_prekeys, next_id } = self;
        Device { primitives, identity, signed_prekey, previous_signed_prekey, one_time_prekeys, next_id }
    }

    fn allocate_id(&self) -> Result<(u32, u32), PrekeyError> {
        let next_id = self.next_id.checked_add(1).ok_or(PrekeyError::IdsExhausted)?;
        Ok((self.next_id, next_id))
    }

    /// Wipes the key in its place. `remove` would leave a copy after the end of the array.
    fn remove_one_time(&mut self, at: usize) {
        let last = self.one_time_prekeys.len().saturating_sub(1);
        if at <= last && !self.one_time_prekeys.is_empty() {
            self.one_time_prekeys.swap(at, last);
            self.one_time_prekeys.truncate(last);
        }
    }

    /// Returns the number of bytes that [`snapshot_into`](Self::snapshot_into) would write now.
    #[must_use]
    pub fn snapshot_len(&self) -> usize {
        snapshot::sealed_len::<P, Self>(self)
    }

    /// Writes the device, sealed under `key`, to `out` and returns the number of bytes, or `None` if `out` is shorter
    /// than [`snapshot_len`](Self::snapshot_len). `generation` must grow with every save.
    #[must_use]
    pub fn snapshot_into(&self, key: &StorageKey, generation: u64, out: &mut [u8]) -> Option<usize> {
        wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| snapshot::seal(&self.primitives, self, key, generation, out))
    }

    /// Restores the device `subject`. `newest` is the newest generation that the caller knows to have been saved.
    /// `snapshot` is opened in place and wiped. With another key or subject it stays as it was.
    ///
    /// # Errors
    /// [`RestoreError`] if the key is wrong, the snapshot is damaged or another subject's, or its generation is older
    /// than `newest`.
    pub fn restore_in_place(
        primitives: P,
        snapshot: &mut [u8],
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
    ) -> Result<Self, RestoreError> {
        wipe::wipe_stack_after::<{ wipe::DEVICE }, _>(|| snapshot::open(primitives, snapshot, key, subject, newest))
    }
}

/// Shows neither a key nor the identity.
impl<P, C: Capacities> fmt::Debug for Device<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            primitives: _,
            identity: _,
            signed_prekey: _,
            previous_signed_prekey: previous,
            one_time_prekeys,
            next_id: _,
        } = self;
        f.debug_struct("Device")
            .field("one_time_prekeys", &one_time_prekeys.len())
            .field("previous_signed_prekey", &previous.is_some())
            .finish_non_exhaustive()
    }
}
