// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Durable`] enforces the crash contract by types. The outcome of a step is released only after the caller's store
//! has saved the state that belongs to it, so that forgetting to save does not compile.
//!
//! ```
//! use noescrow::durable::{Durable, Record, Store};
//! # use noescrow::{Bundle, Device, InitiateOptions, StorageKey, UnixSeconds};
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(0);
//! struct Database(Vec<Vec<u8>>);
//! impl Store for Database {
//!     type Error = std::io::Error;
//!     fn save(&mut self, records: &[Record<'_>]) -> Result<(), Self::Error> {
//!         // One transaction, on disk when it returns.
//!         self.0.extend(records.iter().map(|record| record.snapshot.to_vec()));
//!         Ok(())
//!     }
//! }
//! # let (now, next_month) = (UnixSeconds(50), UnixSeconds(100));
//! # let mut bob = Device::generate(next_month, &mut rng);
//! # let published = bob.publish(0, next_month, &mut rng)?;
//! # let bundle = Bundle::new(published.identity, published.signed_prekey, None)?;
//! let mut database = Database(Vec::new());
//! let mut alice = Durable::new(Device::generate(next_month, &mut rng), StorageKey::new([7; 32]), 0);
//! let begun = alice.initiate(bundle, b"hi", InitiateOptions::unverified(now), &mut rng)?;
//! let (mut session, hello) = begun.save(&mut database).unwrap();
//! let message = session.encrypt(b"more", &mut rng)?.save(&mut database).unwrap();
//! assert_eq!(database.0.len(), 2);
//! # let _ = (hello, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A crash between the saving of a step and the use of its outcome loses that outcome. A message is not sent; send
//! another one. A plaintext is not shown, and its sender must send it again, because its key is deleted.
//!
//! This module is not concerned with where snapshots are stored, and relies on the store for their being on disk when
//! `save` returns.

use crate::device::{Capacities, Device, InitiateFailed, InitiateOptions};
use crate::error::{AcceptError, DecryptError, EncryptError, PrekeyError, RestoreError};
use crate::identity::{Identity, SafetyNumber};
use crate::payload::{Opened, Payload, Sealed};
use crate::prekeys::{Bundle, Prekey, Publication};
use crate::primitives::Primitives;
use crate::ratchet::skipped::{Heap, SkippedKeyStore};
use crate::session::Session;
use crate::snapshot::{self, StorageKey};
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use rand_core::CryptoRng;

/// The subject of a [`Record`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// The device. There is only one.
    Device,
    /// The session with this [`Session::id`].
    Session([u8; 32]),
}

/// One snapshot to save, which replaces the subject's last one.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The subject whose state this is.
    pub subject: Subject,
    /// The generation, which grows with every save. Store the highest where restoring a backup does not lower it, and
    /// pass it to `restore`.
    pub generation: u64,
    /// The sealed state.
    pub snapshot: &'a [u8],
}

/// The caller's database.
pub trait Store {
    /// The error type of the database.
    type Error;

    /// Saves all records in one transaction. After this returns `Ok` they survive a crash.
    ///
    /// Refuse a generation that is not above the subject's last one: another process has saved first, and both would
    /// use the same key (attack B8).
    ///
    /// # Errors
    /// The store's own error. Nothing is released then, and the step can be tried again.
    fn save(&mut self, records: &[Record<'_>]) -> Result<(), Self::Error>;
}

/// A session or device whose every step must be saved before its outcome is released.
#[must_use = "a state that is dropped is lost unless it was saved"]
pub struct Durable<T> {
    inner: T,
    key: StorageKey,
    generation: u64,
}

/// The outcome of a step that has not been saved yet: a message, a plaintext, or a session. Only
/// [`save`](Unsaved::save) releases it.
///
/// Dropping it has the effect of a crash: the message is never sent, the plaintext is never shown. To continue, restore
/// the last saved state.
#[must_use = "nothing comes of a step that is not saved"]
pub struct Unsaved<'a, T> {
    outcome: T,
    records: Vec<(Subject, u64, Vec<u8>)>,
    // No further step is possible before this one is saved; otherwise the store would get generations in the wrong
    // order.
    step: PhantomData<&'a mut ()>,
}

/// The store refused. The step can be saved again.
pub struct SaveFailed<'a, T, E> {
    /// The step to save again.
    pub unsaved: Unsaved<'a, T>,
    /// The store's error.
    pub error: E,
}

impl<'a, T> Unsaved<'a, T> {
    fn new(outcome: T, records: Vec<(Subject, u64, Vec<u8>)>) -> Self {
        Self { outcome, records, step: PhantomData }
    }

    /// Saves the state that belongs to the outcome, and releases the outcome.
    ///
    /// # Errors
    /// [`SaveFailed`] with the store's error, if the store refused.
    pub fn save<S: Store>(self, store: &mut S) -> Result<T, SaveFailed<'a, T, S::Error>> {
        let records: Vec<_> = self
            .records
            .iter()
            .map(|(subject, generation, snapshot)| Record { subject: *subject, generation: *generation, snapshot })
            .collect();
        match store.save(&records) {
            Ok(()) => Ok(self.outcome),
            Err(error) => Err(SaveFailed { unsaved: self, error }),
        }
    }
}

/// Shows no session's id.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "Device",
            Self::Session(_) => "Session(..)",
        })
    }
}

/// Shows the snapshot's length only.
impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, generation, snapshot } = self;
        f.debug_struct("Record")
            .field("subject", subject)
            .field("generation", generation)
            .field("snapshot_len", &snapshot.len())
            .finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Durable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, key: _, generation } = self;
        f.debug_struct("Durable").field("inner", inner).field("generation", generation).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Unsaved<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unsaved(..)")
    }
}

impl<T, E: fmt::Debug> fmt::Debug for SaveFailed<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SaveFailed").field(&self.error).finish()
    }
}

impl<T> Durable<T> {
    /// Wraps a state that was last saved as `generation` (0 if never). Nothing is saved before the first step.
    pub const fn new(inner: T, key: StorageKey, generation: u64) -> Self {
        Self { inner, key, generation }
    }

    /// Returns the generation of the last step.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the state. From now on the caller must save it.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// A device does not reach 2^64 steps. A generation that cannot grow stays the same, and a store that checks
    /// refuses it.
    const fn advance(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }
}

impl<P: Primitives, S: SkippedKeyStore> Durable<Session<P, S>> {
    fn record(&mut self) -> (Subject, u64, Vec<u8>) {
        let generation = self.advance();
        (Subject::Session(self.inner.id()), generation, self.inner.snapshot(&self.key, generation))
    }

    /// Returns [`Session::id`].
    #[must_use]
    pub const fn id(&self) -> [u8; 32] {
        self.inner.id()
    }

    /// Returns [`Session::remote_identity`].
    #[must_use]
    pub fn remote_identity(&self) -> Option<&Identity> {
        self.inner.remote_identity()
    }

    /// Returns [`Session::safety_number`].
    #[must_use]
    pub fn safety_number(&self) -> Option<SafetyNumber> {
        self.inner.safety_number()
    }

    /// Returns [`Session::is_answered`].
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.inner.is_answered()
    }

    /// Calls [`Session::encrypt`]. The message is released when the state is saved.
    ///
    /// # Errors
    /// [`EncryptError`]; the session is unchanged.
    pub fn encrypt<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Vec<u8>>, EncryptError> {
        let message = self.inner.encrypt(payload, rng)?;
        let record = self.record();
        Ok(Unsaved::new(message, alloc::vec![record]))
    }

    /// Calls [`Session::decrypt`]. The plaintext is released when the state is saved. Acknowledge the message to the
    /// server after that.
    ///
    /// # Errors
    /// [`DecryptError`]; the session is unchanged.
    pub fn decrypt<'m>(
        &mut self,
        message: impl Into<Sealed<'m>>,
    ) -> Result<Unsaved<'_, Opened<Vec<u8>>>, DecryptError> {
        let opened = self.inner.decrypt(message)?;
        let record = self.record();
        Ok(Unsaved::new(opened, alloc::vec![record]))
    }

    /// Calls [`Session::restore_with`] with the default instance of the primitives. The session continues from the
    /// generation of `snapshot`, which may be newer than `newest`, because a crash can happen after a snapshot is saved
    /// and before its generation is recorded.
    ///
    /// # Errors
    /// [`RestoreError`] if the key is wrong, the snapshot is damaged, or its generation is older than `newest`.
    pub fn restore(snapshot: &[u8], key: StorageKey, newest: u64) -> Result<Self, RestoreError>
    where
        P: Default,
    {
        let inner = Session::restore_with(P::default(), snapshot, &key, newest)?;
        let generation = snapshot::generation(snapshot).ok_or(RestoreError::Refused)?;
        Ok(Self::new(inner, key, generation))
    }
}

/// A new durable session with its first message (initiator) or the plaintext of its first message (responder).
pub type Begun<P> = (Durable<Session<P, Heap>>, Vec<u8>);

impl<P: Primitives, C: Capacities> Durable<Device<P, C>> {
    fn record(&mut self) -> (Subject, u64, Vec<u8>) {
        let generation = self.advance();
        (Subject::Device, generation, self.inner.snapshot(&self.key, generation))
    }

    fn unsaved<T>(&mut self, outcome: T) -> Unsaved<'_, T> {
        let record = self.record();
        Unsaved::new(outcome, alloc::vec![record])
    }

    fn begin(&self, session: Session<P, Heap>) -> Durable<Session<P, Heap>> {
        Durable::new(session, self.key.duplicate(), 0)
    }

    /// Returns [`Device::identity`].
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        self.inner.identity()
    }

    /// Returns [`Device::safety_number`].
    #[must_use]
    pub fn safety_number(&self, remote: &Identity) -> SafetyNumber {
        self.inner.safety_number(remote)
    }

    /// Returns [`Device::signed_prekey`].
    #[must_use]
    pub fn signed_prekey(&self) -> Prekey {
        self.inner.signed_prekey()
    }

    /// Returns [`Device::one_time_prekeys_left`].
    #[must_use]
    pub fn one_time_prekeys_left(&self) -> usize {
        self.inner.one_time_prekeys_left()
    }

    /// Calls [`Device::initiate`]. The session and its first message are released when the session is saved. The
    /// session is sealed under the device's storage key.
    ///
    /// # Errors
    /// [`InitiateFailed`]; no session was created.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is larger than the bundle")]
    pub fn initiate<'p>(
        &mut self,
        bundle: Bundle,
        payload: impl Into<Payload<'p>>,
        options: InitiateOptions,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Begun<P>>, InitiateFailed> {
        let (session, message) = self.inner.initiate(bundle, payload, options, rng)?;
        let mut session = self.begin(session);
        let record = session.record();
        Ok(Unsaved::new((session, message), alloc::vec![record]))
    }

    /// Calls [`Device::open`] and accepts the message. The session and the plaintext are released when device and session are saved, in one
    /// transaction.
    ///
    /// # Errors
    /// [`AcceptError`]; the device is unchanged.
    pub fn accept<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<Unsaved<'_, Begun<P>>, AcceptError> {
        let Sealed { message, associated_data } = message.into();
        let (session, opened) = self.inner.open(message)?.accept(associated_data)?;
        let plaintext = opened.plaintext;
        let mut session = self.begin(session);
        let records = alloc::vec![self.record(), session.record()];
        Ok(Unsaved::new((session, plaintext), records))
    }

    /// Calls [`Device::publish`]. The publication is released when the private keys are saved.
    ///
    /// # Errors
    /// [`PrekeyError`]; no prekey was made.
    pub fn publish(
        &mut self,
        count: usize,
        expiry: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Publication>, PrekeyError> {
        let publication = self.inner.publish(count, expiry, rng)?;
        Ok(self.unsaved(publication))
    }

    /// Calls [`Device::replenish`]. The publication is released when the private keys are saved.
    ///
    /// # Errors
    /// [`PrekeyError`]; no prekey was made.
    pub fn replenish(
        &mut self,
        target: usize,
        expiry: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Publication>, PrekeyError> {
        let publication = self.inner.replenish(target, expiry, rng)?;
        Ok(self.unsaved(publication))
    }

    /// Calls [`Device::rotate`]. The new prekey is released when its private keys are saved.
    ///
    /// # Errors
    /// [`PrekeyError`]; no prekey was made.
    pub fn rotate(
        &mut self,
        expiry: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Prekey>, PrekeyError> {
        let prekey = self.inner.rotate(expiry, rng)?;
        Ok(self.unsaved(prekey))
    }

    /// Calls [`Device::delete_previous_signed_prekey`]. Whether there was one is released when the deletion is saved.
    pub fn delete_previous_signed_prekey(&mut self) -> Unsaved<'_, bool> {
        let deleted = self.inner.delete_previous_signed_prekey();
        self.unsaved(deleted)
    }

    /// Calls [`Device::delete_one_time_prekey`]. Whether the device had it is released when the deletion is saved.
    pub fn delete_one_time_prekey(&mut self, id: u32) -> Unsaved<'_, bool> {
        let deleted = self.inner.delete_one_time_prekey(id);
        self.unsaved(deleted)
    }

    /// Calls [`Device::delete_expired`]. The count is released when the deletion is saved.
    pub fn delete_expired(&mut self, now: UnixSeconds) -> Unsaved<'_, usize> {
        let deleted = self.inner.delete_expired(now);
        self.unsaved(deleted)
    }

    /// Calls [`Device::restore_with`] with the default instance of the primitives. The device continues from the
    /// generation of `snapshot`, which may be newer than `newest`, because a crash can happen after a snapshot is saved
    /// and before its generation is recorded.
    ///
    /// # Errors
    /// [`RestoreError`] if the key is wrong, the snapshot is damaged, or its generation is older than `newest`.
    pub fn restore(snapshot: &[u8], key: StorageKey, newest: u64) -> Result<Self, RestoreError>
    where
        P: Default,
    {
        let inner = Device::restore_with(P::default(), snapshot, &key, newest)?;
        let generation = snapshot::generation(snapshot).ok_or(RestoreError::Refused)?;
        Ok(Self::new(inner, key, generation))
    }
}

#[cfg(test)]
mod tests;
