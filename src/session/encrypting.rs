// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypting: the length of a message, its header and its body; and the body's associated data, for both directions.

use super::{MAX_PLAINTEXT_LEN, Opening, Session};
use crate::error::EncryptError;
use crate::padding;
use crate::payload::Payload;
use crate::primitives::{Primitives, TAG_LEN};
use crate::ratchet::header::{Envelope, NONCE};
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::triple::Outgoing;
use crate::secret::Secret;
use crate::wipe;
use crate::wire::{BEFORE_HEADER_LEN, MAX_HEADER_LEN, TYPE_FIRST, TYPE_MESSAGE, Writer};
use rand_core::CryptoRng;
use zeroize::Zeroize;

/// Where the hash of the caller's associated data is in the body's associated data: after the session's AD.
const HASH_AT: core::ops::Range<usize> = 32..64;
/// Length in bytes of the body's associated data before the plaintext header:
/// `AD || SHA-256(caller's associated data) || type || salt || commitment`.
pub(super) const BEFORE_HEADER_AD_LEN: usize = 32 + 32 + 1 + BEFORE_HEADER_LEN;
/// Length in bytes of the body's longest associated data.
pub(super) const MAX_BODY_AD_LEN: usize = BEFORE_HEADER_AD_LEN + MAX_HEADER_LEN;

/// Writes the hash of the caller's associated data to its place in the body's associated data.
pub(super) fn bind<P: Primitives>(primitives: &P, associated_data: &[u8], ad: &mut [u8]) {
    if let Some(hash) = ad.get_mut(HASH_AT) {
        hash.copy_from_slice(&primitives.sha256(&[associated_data]));
    }
}

/// DR-E4: pads `plaintext`, encrypts it into `after` and writes `tag || ciphertext`.
fn seal_body<P: Primitives>(
    primitives: &P,
    key: &Secret<32>,
    ad: &[u8],
    plaintext: &[u8],
    after: &mut [u8],
) -> Option<()> {
    let (tag, body) = after.split_first_chunk_mut::<TAG_LEN>()?;
    let (text, padding) = body.split_at_mut_checked(plaintext.len())?;
    text.copy_from_slice(plaintext);
    padding::pad(padding);
    *tag = primitives.seal(key, &NONCE, ad, body).ok()?;
    Some(())
}

impl<P: Primitives, S: SkippedKeyStore> Session<P, S> {
    /// Returns the length in bytes of the message that [`encrypt_into`](Self::encrypt_into) would write for `payload`,
    /// or `None` if the plaintext is longer than [`MAX_PLAINTEXT_LEN`] or `min_padded_len` is above
    /// `MAX_PLAINTEXT_LEN + 1`.
    #[must_use]
    pub fn message_len<'p>(&self, payload: impl Into<Payload<'p>>) -> Option<usize> {
        let overhead = match self.opening {
            Opening::Unanswered(_) => self.ratchet.chunk_size.first_message_overhead(),
            Opening::Accepted(_) | Opening::Done => self.ratchet.chunk_size.message_overhead(),
        };
        message_len(overhead, &payload.into())
    }

    /// Encrypts `payload` into `out` and returns the message's length in bytes: [`message_len`](Self::message_len) of
    /// the payload. It draws 8 bytes from `rng`, 32 more if a ratchet step is due, and 32 or 64 more once per epoch for
    /// the post-quantum ratchet.
    ///
    /// Save the session before the message leaves the device; see [the crash contract](crate::snapshot).
    ///
    /// # Errors
    /// [`EncryptError`]; `out` then contains no part of the plaintext, and the session is unchanged.
    ///
    /// # Security
    /// If the newest state is lost after the message was sent, and the session continues from an older state, the two
    /// messages of one number have different keys, because their salts differ. The receiver opens the first and refuses
    /// the second: one message is lost, and no key is used twice. If the second use draws a new ratchet key or
    /// post-quantum key, the two sides' roots differ from then on, and a new session is needed (W7 of
    /// spec/security.md).
    ///
    /// # Leaks
    /// Lengths, and whether a ratchet step or a KEM operation was due.
    pub fn encrypt_into<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<usize, EncryptError> {
        self.encrypt_payload_into(payload.into(), false, out, rng)
    }

    /// Encrypts as [`encrypt_into`](Self::encrypt_into) does and marks the message, inside encryption, as a *control*
    /// message: one for the messenger layer, which is not shown to the user. The receiver learns it from
    /// [`Opened::is_control`](crate::Opened::is_control). An application that uses the module `messenger` needs no control
    /// messages of its own.
    ///
    /// # Errors
    /// Those of [`encrypt_into`](Self::encrypt_into).
    ///
    /// # Leaks
    /// Those of [`encrypt_into`](Self::encrypt_into).
    pub fn encrypt_control_into<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<usize, EncryptError> {
        self.encrypt_payload_into(payload.into(), true, out, rng)
    }

    /// Does the work of [`encrypt_into`](Self::encrypt_into), compiled once for payloads of all types.
    pub(super) fn encrypt_payload_into(
        &mut self,
        payload: Payload<'_>,
        is_control: bool,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<usize, EncryptError> {
        wipe::wipe_stack_after::<{ wipe::MESSAGE }, _>(|| {
            self.primitives.step("DR-E0");
            let len = self.message_len(payload).ok_or(EncryptError::TooLong)?;
            let Payload { plaintext, associated_data, min_padded_len: _ } = payload;
            let out = out.get_mut(..len).ok_or(EncryptError::BufferTooShort)?;
            let mut writer = Writer::new(out);
            let outer = match &self.opening {
                Opening::Unanswered(handshake) => writer.put(handshake).map(|()| TYPE_FIRST),
                Opening::Accepted(_) | Opening::Done => writer.u8(TYPE_MESSAGE).map(|()| TYPE_MESSAGE),
            }
            .map_err(|_| EncryptError::BufferTooShort)?;
            let at = writer.written();
            let (sealed, after) = out
                .get_mut(at..)
                .and_then(|rest| rest.split_at_mut_checked(self.ratchet.chunk_size.sealed_header_len()))
                .ok_or(EncryptError::BufferTooShort)?;
            let body_len = after.len().checked_sub(TAG_LEN).and_then(|len| u64::try_from(len).ok());
            let body_len = body_len.ok_or(EncryptError::BufferTooShort)?;

            let envelope = Envelope { outer, body_len };
            let Outgoing { aead_key, header } =
                self.ratchet.send(&self.primitives, envelope, is_control, sealed, rng)?;
            self.exporter.erase();
            self.primitives.step("DR-E4");
            let bound_len = BEFORE_HEADER_LEN.saturating_add(self.ratchet.chunk_size.header_len());
            let bound = sealed.get(..bound_len).unwrap_or_default();
            let mut ad = Secret::zero();
            let ad = self.body_ad(outer, &[bound], &mut ad);
            bind(&self.primitives, associated_data, ad);
            // The lengths fit and MAX_PLAINTEXT_LEN is within GCM's bound, so neither can fail. If one did, the key would
            // be used up and nothing would be sent.
            let body = seal_body(&self.primitives, &aead_key, ad, plaintext, after);
            match body.and_then(|()| header.seal(&self.primitives, sealed, after)) {
                Some(()) => Ok(len),
                None => {
                    out.zeroize();
                    Err(EncryptError::TooLong)
                }
            }
        })
    }

    /// The body's associated data, `AD || hash || type || bound`, in which `bound` is salt, commitment and plaintext
    /// header, and the hash is filled in by [`bind`]. Within a session every part has a fixed width.
    pub(super) fn body_ad<'b>(
        &self,
        outer: u8,
        bound: &[&[u8]],
        bytes: &'b mut Secret<MAX_BODY_AD_LEN>,
    ) -> &'b mut [u8] {
        let mut writer = Writer::new(bytes.expose_mut());
        // The array has space for the longest header.
        let _ = writer
            .put(&self.associated_data)
            .and_then(|()| writer.put(&[0; 32]))
            .and_then(|()| writer.u8(outer))
            .and_then(|()| bound.iter().try_for_each(|part| writer.put(part)));
        let written = writer.written();
        bytes.expose_mut().get_mut(..written).unwrap_or_default()
    }
}

/// Returns the length in bytes of a message with this overhead, or `None` if the plaintext or the least length to pad it
/// to is too long.
pub(crate) fn message_len(
    overhead: usize,
    &Payload { plaintext, min_padded_len, associated_data: _ }: &Payload<'_>,
) -> Option<usize> {
    if plaintext.len() > MAX_PLAINTEXT_LEN || min_padded_len > MAX_PLAINTEXT_LEN.saturating_add(1) {
        return None;
    }
    padding::padded_len_at_least(plaintext.len(), min_padded_len)?.checked_add(overhead)
}
