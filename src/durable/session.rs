// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a durable session.

use super::ledger::{Ledger, draw_writer};
use super::mailboxes::{MessageId, OpenedFlags};
use super::store::{Batch, Received, Sent};
use super::{Durable, StepError, Unsaved, create};
use crate::error::{DecryptError, EncryptError};
use crate::payload::{Opened, Payload, Sealed};
use crate::primitives::{Primitives, RustCrypto};
use crate::ratchet::skipped::SkippedKeyStore;
use crate::secret::Secret;
use crate::session::Session;
use crate::snapshot::StorageKey;
use alloc::vec::Vec;
use core::mem;
use core::ops::Deref;
use rand_core::CryptoRng;

/// Returns the id of a message. It is computed outside the protocol, from public bytes.
pub(crate) fn message_id(message: &[u8]) -> MessageId {
    let digest = RustCrypto.sha256(&[message]);
    digest.first_chunk().copied().unwrap_or_default()
}

/// The entry for a message that `session` has opened. The plaintext goes into it, and comes back when the outcome is
/// released.
pub(super) fn received<P: Primitives, S: SkippedKeyStore>(
    session: &Session<P, S>,
    message: &[u8],
    Opened { plaintext, number, is_control }: &mut Opened<Vec<u8>>,
) -> Received {
    Received {
        message_id: message_id(message),
        session: session.subject(),
        peer: None,
        author: session.remote_identity().copied(),
        number: *number,
        is_control: *is_control,
        control: None,
        flags: OpenedFlags::default(),
        plaintext: mem::take(plaintext),
    }
}

/// The entry for a message that `session` has sealed.
pub(super) fn sent<P: Primitives, S: SkippedKeyStore>(
    session: &Session<P, S>,
    message: &[u8],
    is_control: bool,
) -> Sent {
    let (message_id, session) = (message_id(message), session.subject());
    Sent { message_id, session, peer: None, is_control, message: message.to_vec() }
}

impl<P: Primitives, S: SkippedKeyStore> Durable<Session<P, S>> {
    /// Wraps a session that no store has, and saves it under `key`. Draws 16 bytes from `rng`.
    ///
    /// Sessions that a durable device begins are durable already.
    pub fn new(session: Session<P, S>, key: &StorageKey, rng: &mut impl CryptoRng) -> Unsaved<'static, Self> {
        let ledger = Ledger::new(session.subject(), key, draw_writer(rng));
        create(session, ledger)
    }

    /// Calls [`Session::encrypt`]. The message is released when it and the state are saved.
    ///
    /// # Errors
    /// [`StepError`]; the session is unchanged.
    pub fn encrypt<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Vec<u8>>, StepError<EncryptError>> {
        self.send(false, |session| session.encrypt(payload, rng))
    }

    /// Calls [`Session::encrypt_control`]. The message is released when it and the state are saved.
    ///
    /// # Errors
    /// [`StepError`]; the session is unchanged.
    pub fn encrypt_control<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Vec<u8>>, StepError<EncryptError>> {
        self.send(true, |session| session.encrypt_control(payload, rng))
    }

    fn send(
        &mut self,
        is_control: bool,
        encrypt: impl FnOnce(&mut Session<P, S>) -> Result<Vec<u8>, EncryptError>,
    ) -> Result<Unsaved<'_, Vec<u8>>, StepError<EncryptError>> {
        let message = self.ledger.step(|| encrypt(&mut self.inner))?;
        let sent = sent(&self.inner, &message, is_control);
        let changes = self.ledger.advance(&self.inner, &sent.message_id).into_iter().collect();
        Ok(self.ledger.hand_out(message, Batch { changes, sent: Some(sent), ..Batch::default() }))
    }

    /// Calls [`Session::take_exporter`]. The secret is not stored, so that taking it changes nothing that is.
    #[must_use]
    pub fn take_exporter(&mut self) -> Option<Secret<32>> {
        self.inner.take_exporter()
    }

    /// Calls [`Session::decrypt`]. The plaintext is released when it and the state are saved. Acknowledge the message
    /// to the server after that.
    ///
    /// # Errors
    /// [`StepError`]; the session is unchanged.
    pub fn decrypt<'m>(
        &mut self,
        message: impl Into<Sealed<'m>>,
    ) -> Result<Unsaved<'_, Opened<Vec<u8>>>, StepError<DecryptError>> {
        let sealed = message.into();
        let mut opened = self.ledger.step(|| self.inner.decrypt(sealed))?;
        let received = received(&self.inner, sealed.message, &mut opened);
        let changes = self.ledger.advance(&self.inner, &received.message_id).into_iter().collect();
        let batch = Batch { changes, received: Some(received), ..Batch::default() };
        Ok(self.ledger.hand_out_opened(opened, batch, |opened, plaintext| opened.plaintext = plaintext))
    }
}

/// Reads go to the session.
impl<P: Primitives, S: SkippedKeyStore> Deref for Durable<Session<P, S>> {
    type Target = Session<P, S>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}
