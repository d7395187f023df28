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
mod budget;
mod capacity;
pub(crate) mod clock;
mod initiating;
mod keeping;
mod login;
mod options;
pub mod policy;
mod stored;

pub use accepting::{AcceptFailed, AcceptedSession, Pending};
#[cfg(feature = "alloc")]
pub use capacity::HeapCapacity;
pub use capacity::{Capacities, Capacity};
pub use initiating::InitiateFailed;
pub use login::{CHALLENGE_NONCE_LEN, LOGIN_CHALLENGE_LEN, login_challenge};
pub use options::InitiateOptions;

use crate::error::RestoreError;
use crate::identity::{Identity, IdentityKeyPair, SafetyNumber};
use crate::prekeys::{Prekey, PrekeyId, PrekeyKind, PrekeyPair};
#[cfg(feature = "alloc")]
use crate::primitives::RustCrypto;
use crate::primitives::{PUBLIC_KEY_LEN, Primitives};
use crate::snapshot::{self, StorageKey, Subject};
use crate::time::UnixSeconds;
use crate::wipe;
use budget::Budget;
use capacity::Slots;
use clock::Clock;
use core::fmt;
use rand_core::CryptoRng;

/// A signed prekey, current or replaced, with a record of the handshakes that used it without a one-time key.
struct SignedPrekey<C: Capacities> {
    pair: PrekeyPair,
    /// When it was made, or replaced, by the device's clock.
    since: UnixSeconds,
    /// Whether the last-resort KEM key is not deleted yet. If it is, the seed is zero.
    has_last_resort: bool,
    /// Every handshake accepted on the last-resort key (PQXDH rev 3 §4.2; attack B6).
    replay_record: C::ReplayRecord<HandshakeDigest>,
}

/// SHA-256(EKA)[..16], which represents a handshake in a replay record. Two that are equal by chance, one pair in 2^64
/// handshakes, or by an initiator's work, refuse that initiator's second handshake.
type HandshakeDigest = [u8; 16];

/// A one-time prekey, and what the device knows about its public half.
pub(crate) struct OneTimePrekey {
    pair: PrekeyPair,
    seen: Seen,
}

/// Where a one-time prekey's public half is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Made, and not yet on a list of the server's.
    Never,
    /// On the server's last list.
    Listed,
    /// Handed out: not on the server's list since this time, by the device's clock.
    MissingSince(UnixSeconds),
}

/// A user's device: an identity, a signed prekey with its predecessors, and one-time prekeys.
///
/// `C` is the space for them: `HeapCapacity`, the default with an allocator, or a [`Capacity`] inside the device.
///
/// Call `replenish` when the device connects to the server, at least once a day, with the ids of the prekeys that the
/// server has; the list is empty only before the first upload. It rotates, deletes and makes what is due, by the policy in
/// [`policy`]. After the upload call [`upload_succeeded`](Device::upload_succeeded).
///
/// A device has about 1 KiB with the default capacity, and up to 76 KiB of prekeys and 32 KiB for each signed prekey's
/// replay record on the heap. A thread that works with devices and sessions needs this much stack, in KiB. The figures
/// were measured on x86_64 Linux, with the results on the same stack and a device of 34 KiB that keeps its prekeys
/// inside. A device with the default capacity, which keeps them on the heap, needs no more.
///
/// | | release build | unoptimized build, dependencies too |
/// |---|---|---|
/// | restore a device | 172 | 268 |
/// | generate a device | 144 | 636 |
/// | initiate | 120 | 712 |
/// | accept | 124 | 800 |
/// | restore a session | 104 | 720 |
/// | publish one prekey, rotate | 88 | 576 |
/// | encrypt, decrypt | 68 | 688 |
/// | take a snapshot of a device | 8 | 36 |
///
/// Most of the stack of an unoptimized build is that of ML-KEM. With thin LTO, initiating needs 112 KiB and accepting 120.
pub struct Device<
    #[cfg(feature = "alloc")] P = RustCrypto,
    #[cfg(not(feature = "alloc"))] P,
    #[cfg(feature = "alloc")] C: Capacities = HeapCapacity,
    #[cfg(not(feature = "alloc"))] C: Capacities,
> {
    primitives: P,
    identity: IdentityKeyPair,
    clock: Clock,
    signed_prekey: SignedPrekey<C>,
    /// In no order.
    previous_signed_prekeys: C::PreviousPrekeys<SignedPrekey<C>>,
    /// In no order.
    one_time_prekeys: C::OneTimePrekeys<OneTimePrekey>,
    /// When the first of the prekeys that were [never](Seen::Never) listed was offered, by the device's clock.
    offered_at: UnixSeconds,
    budget: Budget,
}

/// Length in bytes of an entry of the replay record.
pub(crate) const REPLAY_ENTRY_LEN: usize = 16;

#[cfg(feature = "alloc")]
impl Device {
    /// Calls [`generate_with`](Self::generate_with) with the default primitives and capacity.
    pub fn generate(now: UnixSeconds, rng: &mut impl CryptoRng) -> Self {
        Self::generate_with(RustCrypto, now, rng)
    }
}

impl<P: Primitives, C: Capacities> Device<P, C> {
    /// Generates a new identity with its first signed prekey. `now` is the caller's time. Draws 164 bytes from `rng`.
    ///
    /// The device's clock begins with this reading, so have the right time here.
    /// - If it is behind by more than [`ABSENCE`](policy::ABSENCE), for example 0, the device is unreachable: its prekeys
    ///   are expired for everybody else. `signed_prekey().expiry() < now` shows it. Two right readings correct
    ///   the clock, if they are at least a day and at most 35 days apart.
    /// - If it is ahead, the prekeys are valid for too long; at [`UnixSeconds::MAX`] they never expire. Two such
    ///   readings correct this clock, too, and rotation is then due.
    pub fn generate_with(primitives: P, now: UnixSeconds, rng: &mut impl CryptoRng) -> Self {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            let identity = wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| IdentityKeyPair::generate(&primitives, rng));
            let id = random_id(rng, |_| false);
            let expiry = now.saturating_add(policy::LIFETIME);
            let (pair, _) = PrekeyPair::generate(&primitives, PrekeyKind::Signed, id, expiry, rng);
            Self {
                primitives,
                identity,
                clock: Clock::new(now),
                signed_prekey: SignedPrekey::new(pair, now),
                previous_signed_prekeys: Slots::empty_device_array(SignedPrekey::zeroed),
                one_time_prekeys: Slots::empty_device_array(OneTimePrekey::zeroed),
                offered_at: now,
                budget: Budget::full(now),
            }
        })
    }

    /// Returns the time of the device's own clock.
    #[cfg(feature = "alloc")]
    pub(crate) const fn time(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// Returns the ids of all prekeys, one-time prekeys last.
    #[cfg(feature = "alloc")]
    pub(crate) fn prekey_ids(&self) -> impl Iterator<Item = PrekeyId> {
        let signed = core::iter::once(&self.signed_prekey).chain(self.previous_signed_prekeys.iter());
        signed.map(|signed| signed.pair.id).chain(self.one_time_prekeys.iter().map(|prekey| prekey.pair.id))
    }

    /// Returns the public identity.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        self.identity.public()
    }

    /// Returns the name under which this device is stored, which [`restore_in_place`](Self::restore_in_place) asks for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::device(self.identity())
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

    /// Returns the number of one-time prekeys that this device holds: at the server, or handed out and, as far as the
    /// device knows, not used.
    #[must_use]
    pub fn one_time_prekeys_left(&self) -> usize {
        self.one_time_prekeys.len()
    }

    /// Returns the same device with other primitives.
    #[cfg(all(feature = "alloc", feature = "hazmat"))]
    pub(crate) fn with_primitives<Q>(self, primitives: Q) -> Device<Q, C> {
        let Self {
            primitives: _,
            identity,
            clock,
            signed_prekey,
            previous_signed_prekeys,
            one_time_prekeys,
            offered_at,
            budget,
        } = self;
        Device {
            primitives,
            identity,
            clock,
            signed_prekey,
            previous_signed_prekeys,
            one_time_prekeys,
            offered_at,
            budget,
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
    /// [`RestoreError`]. A snapshot with more prekeys or replay entries than `C` has space for is
    /// [`Refused`](RestoreError::Refused).
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
            clock: _,
            signed_prekey: _,
            previous_signed_prekeys: previous,
            one_time_prekeys,
            offered_at: _,
            budget: _,
        } = self;
        f.debug_struct("Device")
            .field("one_time_prekeys", &one_time_prekeys.len())
            .field("previous_signed_prekeys", &previous.len())
            .finish_non_exhaustive()
    }
}

impl<C: Capacities> SignedPrekey<C> {
    fn new(pair: PrekeyPair, now: UnixSeconds) -> Self {
        Self { pair, since: now, has_last_resort: true, replay_record: Slots::empty_initialized(|| [0; 16]) }
    }

    /// Returns zeros, to initialize unused space.
    fn zeroed() -> Self {
        Self::new(PrekeyPair::zeroed(), UnixSeconds(0))
    }
}

impl OneTimePrekey {
    /// Returns zeros, to initialize unused space.
    fn zeroed() -> Self {
        Self { pair: PrekeyPair::zeroed(), seen: Seen::Never }
    }
}

fn handshake_digest<P: Primitives>(primitives: &P, ephemeral_key: &[u8; PUBLIC_KEY_LEN]) -> HandshakeDigest {
    let digest = primitives.sha256(&[ephemeral_key]);
    let (first, _) = digest.split_at(16);
    let mut half = [0; 16];
    half.copy_from_slice(first);
    half
}

/// Draws an id that is not 0, which means "none" on the wire, and not `taken`. After 16 draws that are not free it takes
/// the next free id above the last of them, so that this ends with a generator that always returns the same (NT-7).
fn random_id(rng: &mut impl CryptoRng, taken: impl Fn(PrekeyId) -> bool) -> PrekeyId {
    let is_free = |id: &u32| *id != 0 && !taken(*id);
    let mut drawn = 0;
    for _ in 0..16 {
        let mut bytes = [0; 4];
        rng.fill_bytes(&mut bytes);
        drawn = u32::from_be_bytes(bytes);
        if is_free(&drawn) {
            return drawn;
        }
    }
    // A device holds fewer keys than there are ids.
    (1..=u32::MAX).map(|step| drawn.wrapping_add(step)).find(is_free).unwrap_or(drawn)
}
