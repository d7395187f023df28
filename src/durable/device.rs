// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a durable device.

use super::ledger::{Ledger, draw_writer};
use super::session::{message_id, received, sent};
use super::store::Batch;
use super::{Durable, StepError, Unsaved, create};
use crate::device::{AcceptFailed, Capacities, Device, InitiateFailed, InitiateOptions, Pending};
use crate::error::{AcceptError, InitiateError, PrekeyError};
use crate::identity::Identity;
use crate::payload::{Opened, Payload};
use crate::prekeys::{Bundle, Prekey, PrekeyId, Publication};
use crate::primitives::Primitives;
use crate::ratchet::skipped::Heap;
use crate::session::Session;
use crate::snapshot::StorageKey;
use crate::time::UnixSeconds;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use rand_core::CryptoRng;

/// A new durable session of an initiator, with its first message.
pub type Begun<P> = (Durable<Session<P, Heap>>, Vec<u8>);
/// A new durable session of a responder, with the opened first message.
pub type Accepted<P> = (Durable<Session<P, Heap>>, Opened<Vec<u8>>);

/// No session was begun. The bundle comes back, and may be used again.
pub struct BeginFailed {
    /// The reason.
    pub error: StepError<InitiateError>,
    /// The bundle, unused. A one-time prekey that has expired may have been removed from it.
    pub bundle: Bundle,
}

/// A first message whose handshake and header are open: [`Pending`] of a durable device. Dropping it changes nothing.
#[must_use = "a pending first message is neither accepted nor refused"]
pub struct DurablePending<'d, 'm, P: Primitives, C: Capacities> {
    pending: Pending<'d, &'m [u8], P, C, Heap>,
    ledger: &'d mut Ledger,
}

impl<P: Primitives, C: Capacities> Durable<Device<P, C>> {
    /// Wraps a device that no store has, and saves it under `key`. Draws 16 bytes from `rng`.
    pub fn new(device: Device<P, C>, key: &StorageKey, rng: &mut impl CryptoRng) -> Unsaved<'static, Self> {
        let ledger = Ledger::new(device.subject(), key, draw_writer(rng));
        create(device, ledger)
    }

    /// Performs a step that changes the device alone.
    fn change<T, E>(
        &mut self,
        step: impl FnOnce(&mut Device<P, C>) -> Result<T, E>,
    ) -> Result<Unsaved<'_, T>, StepError<E>> {
        let outcome = self.ledger.step(|| step(&mut self.inner))?;
        let changes = self.ledger.change(&self.inner, None).into_iter().collect();
        Ok(self.ledger.hand_out(outcome, Batch { changes, ..Batch::default() }))
    }

    /// Calls [`Device::initiate`]. The session and its first message are released when both are saved. The session is
    /// sealed under the device's storage key. No row of the device is written, but the step is
    /// [`Stale`](super::CommitError::Stale) if the store has another state of it: the storage key may have changed.
    ///
    /// # Errors
    /// [`BeginFailed`]; no session was created, and the bundle comes back.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is larger than the bundle")]
    pub fn initiate<'p>(
        &mut self,
        bundle: Bundle,
        payload: impl Into<Payload<'p>>,
        options: InitiateOptions,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Begun<P>>, BeginFailed> {
        if !self.ledger.is_saved() {
            return Err(BeginFailed { error: StepError::NotSaved, bundle });
        }
        let begun = self.ledger.step_after_check(|| self.inner.initiate(bundle, payload, options, rng));
        let (session, message) = begun.map_err(|InitiateFailed { error, bundle }| {
            let error = StepError::Failed(error);
            BeginFailed { error, bundle }
        })?;
        let mut ledger = self.ledger.begin(session.subject());
        let sent = sent(&session, &message, false);
        let required = self.ledger.require().into_iter();
        let changes = required.chain(ledger.change(&session, Some(&sent.message_id))).collect();
        let session = Durable { inner: session, ledger };
        Ok(self.ledger.hand_out((session, message), Batch { changes, sent: Some(sent), ..Batch::default() }))
    }

    /// Calls [`Device::open`]: learns who wrote a first message, to accept or to refuse it.
    ///
    /// # Errors
    /// [`StepError`]; the device is unchanged.
    pub fn open<'m>(&mut self, message: &'m [u8]) -> Result<DurablePending<'_, 'm, P, C>, StepError<AcceptError>> {
        if !self.ledger.is_saved() {
            return Err(StepError::NotSaved);
        }
        let pending = self.inner.open(message).map_err(StepError::Failed)?;
        Ok(DurablePending { pending, ledger: &mut self.ledger })
    }

    /// Calls [`Device::publish`]. The publication is released when the private keys are saved.
    ///
    /// # Errors
    /// [`StepError`]; no prekey was made.
    pub fn publish(
        &mut self,
        count: usize,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Publication>, StepError<PrekeyError>> {
        self.change(|device| device.publish(count, now, rng))
    }

    /// Calls [`Device::replenish`]. The publication is released when the private keys are saved.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing was made.
    pub fn replenish(
        &mut self,
        now: UnixSeconds,
        server_has: &[PrekeyId],
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Publication>, StepError<Infallible>> {
        self.change(|device| Ok(device.replenish(now, server_has, rng)))
    }

    /// Calls [`Device::maintain`]. The count is released when the deletions are saved.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing was deleted.
    pub fn maintain(
        &mut self,
        now: UnixSeconds,
        server_has: &[PrekeyId],
    ) -> Result<Unsaved<'_, usize>, StepError<Infallible>> {
        self.change(|device| Ok(device.maintain(now, server_has)))
    }

    /// Calls [`Device::generate_one_time_prekey`]. The prekey is released when its private keys are saved.
    ///
    /// # Errors
    /// [`StepError`]; no prekey was made.
    pub fn generate_one_time_prekey(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Prekey>, StepError<PrekeyError>> {
        self.change(|device| device.generate_one_time_prekey(now, rng))
    }

    /// Calls [`Device::upload_succeeded`].
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing has changed.
    pub fn upload_succeeded(&mut self) -> Result<Unsaved<'_, ()>, StepError<Infallible>> {
        self.change(|device| {
            device.upload_succeeded();
            Ok(())
        })
    }

    /// Calls [`Device::rotate`]. The new prekey is released when its private keys are saved.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing was made.
    pub fn rotate(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Prekey>, StepError<Infallible>> {
        self.change(|device| Ok(device.rotate(now, rng)))
    }

    /// Calls [`Device::delete_previous_signed_prekeys`]. Whether there was one is released when the deletion is saved.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing was deleted.
    pub fn delete_previous_signed_prekeys(&mut self) -> Result<Unsaved<'_, bool>, StepError<Infallible>> {
        self.change(|device| Ok(device.delete_previous_signed_prekeys()))
    }

    /// Calls [`Device::delete_one_time_prekey`]. Whether the device had it is released when the deletion is saved.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing was deleted.
    pub fn delete_one_time_prekey(&mut self, id: PrekeyId) -> Result<Unsaved<'_, bool>, StepError<Infallible>> {
        self.change(|device| Ok(device.delete_one_time_prekey(id)))
    }

    /// Calls [`Device::delete_expired`]. The count is released when the deletion is saved.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing was deleted.
    pub fn delete_expired(&mut self, now: UnixSeconds) -> Result<Unsaved<'_, usize>, StepError<Infallible>> {
        self.change(|device| Ok(device.delete_expired(now)))
    }
}

impl<'d, P: Primitives, C: Capacities> DurablePending<'d, '_, P, C> {
    /// Returns [`Pending::remote_identity`].
    #[must_use]
    pub const fn remote_identity(&self) -> &Identity {
        self.pending.remote_identity()
    }

    /// Returns [`Pending::used_one_time_prekey`].
    #[must_use]
    pub const fn used_one_time_prekey(&self) -> bool {
        self.pending.used_one_time_prekey()
    }

    /// Calls [`Pending::accept`]. The session and the plaintext are released when device, session and plaintext are
    /// saved, in one transaction. The session is sealed under the device's storage key.
    ///
    /// # Errors
    /// [`AcceptFailed`], as in [`Pending::accept`]; the device is unchanged, and the pending message comes back.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is as large")]
    pub fn accept(self, associated_data: &[u8]) -> Result<Unsaved<'d, Accepted<P>>, AcceptFailed<Self>> {
        let Self { pending, ledger: of_device } = self;
        let message = *pending.message();
        let accepted = of_device.step_after_check(|| pending.accept_with_device(associated_data));
        let (session, mut opened, device) = match accepted {
            Ok(accepted) => accepted,
            Err(AcceptFailed { error, pending }) => {
                return Err(AcceptFailed { error, pending: Self { pending, ledger: of_device } });
            }
        };
        let mut ledger = of_device.begin(session.subject());
        let received = received(&session, message, &mut opened);
        let id = Some(&received.message_id);
        let changes = of_device.change(device, id).into_iter().chain(ledger.change(&session, id)).collect();
        let session = Durable { inner: session, ledger };
        let batch = Batch { changes, received: Some(received), ..Batch::default() };
        Ok(of_device.hand_out_opened((session, opened), batch, |(_, opened), plaintext| opened.plaintext = plaintext))
    }

    /// Calls [`Pending::refuse`]. That no copy of the message can be opened holds when the device is saved.
    pub fn refuse(self) -> Unsaved<'d, ()> {
        let Self { pending, ledger } = self;
        let id = message_id(pending.message());
        let Ok(device) = ledger.step_after_check(|| Ok::<_, Infallible>(pending.refuse_with_device()));
        let changes = ledger.change(device, Some(&id)).into_iter().collect();
        ledger.hand_out((), Batch { changes, ..Batch::default() })
    }
}

/// The error without the bundle.
impl From<BeginFailed> for StepError<InitiateError> {
    fn from(failed: BeginFailed) -> Self {
        failed.error
    }
}

/// Shows the error and no part of the bundle.
impl fmt::Debug for BeginFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, bundle: _ } = self;
        f.debug_struct("BeginFailed").field("error", error).finish_non_exhaustive()
    }
}

impl fmt::Display for BeginFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for BeginFailed {}

/// Shows neither a key nor the author.
impl<P: Primitives, C: Capacities> fmt::Debug for DurablePending<'_, '_, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurablePending(..)")
    }
}
