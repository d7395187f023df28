// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Device`]: an identity and its prekeys. It initiates sessions and accepts them.
//!
//! Every private key is generated here and leaves only in a sealed snapshot. A server gets only [`Prekey`],
//! `Publication`, and messages.
//!
//! This module is not concerned with which device belongs to which user and where bundles come from.

#[cfg(feature = "alloc")]
mod allocating;
mod capacity;
mod options;
mod stored;

pub use capacity::{Capacities, Capacity};
pub use options::InitiateOptions;

use crate::error::{AcceptError, DecryptError, EncryptError, InitiateError, PrekeyError, RestoreError};
use crate::handshake::{self, Agreed};
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
use crate::wire::{HANDSHAKE_LEN, Handshake};
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

    /// Begins a session with the owner of `bundle` and writes the first message to `out`. An expired prekey is refused.
    /// Draws 176 bytes from `rng`.
    ///
    /// Returns the session and the message's length in bytes,
    /// [`first_message_len`](InitiateOptions::first_message_len). Save the session before sending.
    ///
    /// # Errors
    /// [`InitiateError`]; no session was created.
    ///
    /// # Security
    /// The bundle states its owner's identity. Only a comparison of safety numbers shows whether that is the intended
    /// person; after one, pass the identity to [`expecting`](InitiateOptions::expecting). An attacker who has a quantum
    /// computer *during* the handshake can impersonate the owner (PQXDH rev 3 §4.8). An attacker who records the
    /// handshake and builds the computer later learns nothing.
    ///
    /// # Leaks
    /// Lengths, and which prekeys the bundle contains, which the server chose.
    pub fn initiate_into<'p, S: SkippedKeyStore>(
        &self,
        bundle: &Bundle,
        payload: impl Into<Payload<'p>>,
        options: InitiateOptions,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Session<P, S>, usize), InitiateError> {
        self.initiate_payload_into(bundle, payload.into(), options, out, rng)
    }

    /// Does the work of [`initiate_into`](Self::initiate_into), compiled once for payloads of all types.
    fn initiate_payload_into<S: SkippedKeyStore>(
        &self,
        bundle: &Bundle,
        payload: Payload<'_>,
        options: InitiateOptions,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Session<P, S>, usize), InitiateError> {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            options.check_identity(bundle)?;
            let needed = options.first_message_len(payload.plaintext.len()).ok_or(InitiateError::TooLong)?;
            if out.len() < needed {
                return Err(InitiateError::BufferTooShort);
            }
            let InitiateOptions { now, chunk_size, .. } = options;
            let initiated = wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
                handshake::initiate(&self.primitives, &self.identity, bundle, now, chunk_size, rng)
            })?;
            let Agreed { keys, associated_data: transcript, id, exporter } = initiated.agreed;
            self.primitives.step("HS-I8");
            // Built in a separate frame, so that no copy of its inputs is in the memory where the session is built.
            let ratchet = wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| {
                TripleRatchet::initiator(&self.primitives, keys, *bundle.signed_prekey().dh_key(), chunk_size)
            });
            let mut session = Session {
                primitives: self.primitives.clone(),
                parties: Some(Parties { local: *self.identity(), remote: *bundle.identity() }),
                associated_data: transcript,
                id,
                exporter: None,
                opening: Opening::Unanswered(initiated.handshake),
                ratchet,
            };
            let sent = session.encrypt_into(payload, out, rng);
            session.exporter = Some(exporter);
            let len = sent.map_err(|error| match error {
                EncryptError::TooLong => InitiateError::TooLong,
                EncryptError::BufferTooShort => InitiateError::BufferTooShort,
                EncryptError::NotYetReceived | EncryptError::ChainExhausted | EncryptError::Abandoned => {
                    InitiateError::Refused
                }
            })?;
            Ok((session, len))
        })
    }

    /// Accepts a first message: decrypts it in place and returns the new session and the plaintext, which is a part of
    /// the message.
    ///
    /// If the message used a one-time prekey, that key is deleted. Save the device *and* the session, in one
    /// transaction, before showing the plaintext.
    ///
    /// # Errors
    /// [`AcceptError`]; the device is unchanged, and the buffer contains no plaintext. `PrekeyUsed` and `Repeated` mean
    /// that the message may be a copy: pass it to `decrypt` of the session that the first copy created.
    ///
    /// # Security
    /// The plaintext's author is [`Session::remote_identity`]; the caller must map it to a name. Without a one-time
    /// prekey, a thief of the signed prekey can read the first messages until that key is deleted (PQXDH rev 3 §4.6).
    ///
    /// # Leaks
    /// Lengths, success or failure, which prekeys the message names, and whether a refused message failed at
    /// decapsulation, at the identity or at the message.
    pub fn accept_in_place<'m, S: SkippedKeyStore>(
        &mut self,
        message: &'m mut [u8],
        associated_data: &[u8],
    ) -> Result<(Session<P, S>, &'m mut [u8]), AcceptError> {
        wipe::wipe_stack_around::<{ wipe::HANDSHAKE }, _>(|| {
            self.primitives.step("HS-R1");
            let (bytes, _) = message.split_first_chunk::<HANDSHAKE_LEN>().ok_or(AcceptError::Refused)?;
            let handshake = Handshake::parse(bytes).map_err(|_| AcceptError::Refused)?;
            let is_previous = self.signed_prekey.pair.id != handshake.signed_prekey_id;
            let signed = match (is_previous, &self.previous_signed_prekey) {
                (false, _) => &self.signed_prekey,
                (true, Some(previous)) if previous.pair.id == handshake.signed_prekey_id => previous,
                _ => return Err(AcceptError::Refused),
            };
            let one_time = match handshake.one_time_prekey_id {
                Some(id) => Some(self.find_one_time(id)?),
                None => {
                    signed.check_replay(handshake.ephemeral_key.as_bytes())?;
                    None
                }
            };
            let one_time_pair = one_time.and_then(|at| self.one_time_prekeys.get(at));
            let (agreed, remote) = wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
                handshake::respond(&self.primitives, &self.identity, &signed.pair, one_time_pair, &handshake)
            })?;
            let ephemeral_key = *handshake.ephemeral_key.as_bytes();
            let ratchet = wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| {
                let pair = signed.pair.dh.duplicate();
                TripleRatchet::responder(&self.primitives, agreed.keys, pair, handshake.chunk_size)
            });
            let mut session = Session {
                primitives: self.primitives.clone(),
                parties: Some(Parties { local: *self.identity(), remote }),
                associated_data: agreed.associated_data,
                id: agreed.id,
                exporter: None,
                opening: Opening::Accepted(self.primitives.sha256(&[handshake.bytes])),
                ratchet,
            };
            let opened = session.decrypt_in_place(message, associated_data).map_err(|error| match error {
                DecryptError::Refused
                | DecryptError::TooManySkipped
                | DecryptError::KeyGone
                | DecryptError::Abandoned => AcceptError::Refused,
            })?;
            let plaintext = opened.plaintext;
            session.exporter = Some(agreed.exporter);

            self.primitives.step("HS-R7");
            match one_time {
                Some(at) => self.remove_one_time(at),
                None => {
                    let signed = match (is_previous, &mut self.previous_signed_prekey) {
                        (true, Some(previous)) => previous,
                        _ => &mut self.signed_prekey,
                    };
                    // There is space: it was checked before the work.
                    let _ = signed.replay_record.push(ephemeral_key);
                }
            }
            Ok((session, plaintext))
        })
    }

    fn find_one_time(&self, id: u32) -> Result<usize, AcceptError> {
        let found = self.one_time_prekeys.iter().position(|pair| pair.id == id);
        found.ok_or(if (FIRST_ID..self.next_id).contains(&id) { AcceptError::PrekeyUsed } else { AcceptError::Refused })
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

    /// Restores a device. `newest` is the newest generation that the caller knows to have been saved. `snapshot` is
    /// opened in place and wiped.
    ///
    /// # Errors
    /// [`RestoreError`] if the key is wrong, the snapshot is damaged, or its generation is older than `newest`.
    pub fn restore_in_place(
        primitives: P,
        snapshot: &mut [u8],
        key: &StorageKey,
        newest: u64,
    ) -> Result<Self, RestoreError> {
        wipe::wipe_stack_after::<{ wipe::DEVICE }, _>(|| snapshot::open(primitives, snapshot, key, newest))
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

impl<C: Capacities> SignedPrekey<C> {
    /// Checks that a handshake on the last-resort key is new. The record never forgets an entry: when it is full, it
    /// refuses.
    fn check_replay(&self, ephemeral_key: &[u8; 32]) -> Result<(), AcceptError> {
        if self.replay_record.contains(ephemeral_key) {
            return Err(AcceptError::Repeated);
        }
        if self.replay_record.is_full() { Err(AcceptError::ReplayRecordFull) } else { Ok(()) }
    }
}
