// SPDX-License-Identifier: MIT OR Apache-2.0
//! Initiating: from a bundle to a session and its first message.

use super::{Capacities, Device, InitiateOptions};
use crate::error::{EncryptError, InitiateError};
use crate::handshake::{self, Agreed};
use crate::payload::Payload;
use crate::prekeys::Bundle;
use crate::primitives::Primitives;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::triple::TripleRatchet;
use crate::session::{Exporter, Opening, Parties, Session};
use crate::wipe;
use core::fmt;
use rand_core::CryptoRng;

/// No session was initiated. The bundle comes back, and may be used again.
pub struct InitiateFailed {
    /// The reason.
    pub error: InitiateError,
    /// The bundle, unused. A one-time prekey that has expired may have been removed from it.
    pub bundle: Bundle,
}

impl From<InitiateFailed> for InitiateError {
    fn from(failed: InitiateFailed) -> Self {
        failed.error
    }
}

/// Shows the error and no part of the bundle.
impl fmt::Debug for InitiateFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, bundle: _ } = self;
        f.debug_struct("InitiateFailed").field("error", error).finish_non_exhaustive()
    }
}

impl fmt::Display for InitiateFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for InitiateFailed {}

impl<P: Primitives, C: Capacities> Device<P, C> {
    /// Begins a session with the owner of `bundle` and writes the first message to `out`. The bundle is used up: a
    /// second session from it could not be answered, because its one-time prekey is deleted when the first message of
    /// either arrives. A bundle whose signed prekey has expired is refused; a one-time prekey that has expired is not
    /// used. Draws 168 bytes from `rng`.
    ///
    /// Returns the session and the message's length in bytes: [`first_message_len`](InitiateOptions::first_message_len)
    /// of the payload. Save the session before sending.
    ///
    /// # Errors
    /// [`InitiateFailed`]; no session was created, and the bundle comes back.
    ///
    /// # Security
    /// The bundle states its owner's identity. Only a comparison of safety numbers shows whether that is the intended
    /// person; after one, pass the identity to [`expecting`](InitiateOptions::expecting). An attacker who has a quantum
    /// computer *during* the handshake can impersonate the owner (PQXDH rev 3 §4.8). An attacker who records the
    /// handshake and builds the computer later learns nothing.
    ///
    /// # Leaks
    /// Lengths, and which prekeys the bundle contains, which the server chose.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is larger than the bundle")]
    pub fn initiate_into<'p, S: SkippedKeyStore>(
        &self,
        mut bundle: Bundle,
        payload: impl Into<Payload<'p>>,
        options: InitiateOptions,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Session<P, S>, usize), InitiateFailed> {
        bundle.leave_out_expired(options.now);
        let initiated = self.initiate_payload_into(&bundle, payload.into(), options, out, rng);
        initiated.map_err(|error| InitiateFailed { error, bundle })
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
            let needed = options.first_message_len(payload).ok_or(InitiateError::TooLong)?;
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
                exporter: Exporter::none(),
                opening: Opening::Unanswered(initiated.handshake),
                ratchet,
            };
            let sent = session.encrypt_into(payload, out, rng);
            session.exporter = Exporter::new(exporter);
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
}
