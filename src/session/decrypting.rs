// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decrypting, in two halves: [`OpenedHead`] is a message whose header has opened, and then its body is decrypted.

use super::encrypting::{BEFORE_HEADER_AD_LEN, MAX_BODY_AD_LEN, bind};
use super::{Opening, Session};
use crate::error::DecryptError;
use crate::padding;
use crate::payload::Opened;
use crate::primitives::{Primitives, TAG_LEN};
use crate::ratchet::header::{NONCE, SealedHeader};
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::triple::{Incoming, OpenedHeader};
use crate::secret::Secret;
use crate::wipe;
use crate::wire::{HANDSHAKE_LEN, TYPE_FIRST, TYPE_MESSAGE};
use zeroize::Zeroize;

/// A message whose header has opened. Nothing is derived and nothing has changed.
#[derive(Debug)]
pub(crate) struct OpenedHead {
    /// Where the body's tag and ciphertext begin in the message.
    pub(crate) body_at: usize,
    header: OpenedHeader,
    /// The body's associated data with its plaintext header, without the hash of the caller's associated data.
    ad: Secret<MAX_BODY_AD_LEN>,
    ad_len: usize,
}

impl OpenedHead {
    /// N, the message's number in its chain of the Double Ratchet.
    pub(crate) const fn number(&self) -> u32 {
        self.header.number()
    }

    pub(crate) const fn is_control(&self) -> bool {
        self.header.is_control()
    }
}

/// Splits a message's body, which begins at `at`, into tag and ciphertext.
pub(crate) fn split_body_mut(message: &mut [u8], at: usize) -> Option<(&[u8; TAG_LEN], &mut [u8])> {
    let (tag, body) = message.get_mut(at..)?.split_first_chunk_mut()?;
    Some((&*tag, body))
}

/// Splits a message's body, which begins at `at`, into tag and ciphertext.
#[cfg(feature = "alloc")]
pub(crate) fn split_body(message: &[u8], at: usize) -> Option<(&[u8; TAG_LEN], &[u8])> {
    message.get(at..)?.split_first_chunk()
}

impl<P: Primitives, S: SkippedKeyStore> Session<P, S> {
    /// Decrypts the message in `buffer` in place. The plaintext is a part of `buffer`.
    ///
    /// Messages may arrive in any order, and any of them may be lost. Save the session before showing the plaintext or
    /// acknowledging the message; see [the crash contract](crate::snapshot).
    ///
    /// # Errors
    /// [`DecryptError`]; the session is unchanged, and the buffer contains no plaintext.
    ///
    /// # Leaks
    /// Lengths, success or failure, the receiving chain to which the message belongs, and how many messages it skips.
    pub fn decrypt_in_place<'m>(
        &mut self,
        buffer: &'m mut [u8],
        associated_data: &[u8],
    ) -> Result<Opened<&'m mut [u8]>, DecryptError> {
        let head = self.open_head(buffer)?;
        let (number, is_control) = (head.number(), head.is_control());
        let (tag, body) = split_body_mut(buffer, head.body_at).ok_or(DecryptError::Refused)?;
        let len = self.open_body(&head, tag, body, associated_data)?;
        self.exporter.erase();
        let plaintext = body.split_at_mut_checked(len).map_or(&mut [][..], |(plaintext, _)| plaintext);
        Ok(Opened { plaintext, number, is_control })
    }

    /// DR-D1 to DR-D3: opens the header of `message`, which is not copied, and makes all checks that need no
    /// derivation. It changes nothing.
    ///
    /// # Errors
    /// [`DecryptError`].
    pub(crate) fn open_head(&self, message: &[u8]) -> Result<OpenedHead, DecryptError> {
        self.primitives.step("DR-D1");
        let (outer, sealed, body_at) = self.parse(message).ok_or(DecryptError::Refused)?;
        if outer == TYPE_FIRST {
            let handshake = message.get(..HANDSHAKE_LEN).ok_or(DecryptError::Refused)?;
            self.check_repeated_handshake(handshake)?;
        }
        if self.is_abandoned() {
            return Err(DecryptError::Abandoned);
        }
        // Made when a key is found: most messages that a session refuses belong to another one.
        let mut ad = None;
        let header_at = BEFORE_HEADER_AD_LEN..BEFORE_HEADER_AD_LEN.saturating_add(sealed.header_len());
        let opened_under = self.ratchet.double.open_header(&self.primitives, &sealed, |key| {
            let ad = ad.insert(Secret::zero());
            let _ = self.body_ad(outer, &[sealed.salt, sealed.commitment], ad);
            let header = ad.expose_mut().get_mut(header_at.clone());
            header.is_some_and(|header| sealed.open(&self.primitives, key, header))
        })?;
        let ad = ad.ok_or(DecryptError::Refused)?;
        let header = ad.expose().get(header_at.clone()).ok_or(DecryptError::Refused)?;
        let header = self.ratchet.check_header(&self.primitives, &sealed, opened_under, header)?;
        Ok(OpenedHead { body_at, header, ad, ad_len: header_at.end })
    }

    /// Splits a message into its type, its sealed header, and the place where its body begins.
    pub(super) fn parse<'m>(&self, message: &'m [u8]) -> Option<(u8, SealedHeader<'m>, usize)> {
        let outer = *message.first()?;
        let at = match outer {
            TYPE_MESSAGE => 1,
            TYPE_FIRST => HANDSHAKE_LEN,
            _ => return None,
        };
        let chunk_size = self.ratchet.chunk_size;
        let sealed = SealedHeader::parse(chunk_size, outer, message.get(at..)?)?;
        Some((outer, sealed, at.saturating_add(chunk_size.sealed_header_len())))
    }

    /// DR-D4 to DR-D9: decrypts `body` in place, commits the changes and returns the plaintext's length. The exporter
    /// stays, unless the message made the Braid fail: such a session keeps no secret. `head` is that of the same message,
    /// opened by this session in its present state.
    ///
    /// # Errors
    /// [`DecryptError`]; the session is unchanged, and `body` contains no plaintext.
    pub(crate) fn open_body(
        &mut self,
        head: &OpenedHead,
        tag: &[u8; TAG_LEN],
        body: &mut [u8],
        associated_data: &[u8],
    ) -> Result<usize, DecryptError> {
        wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| {
            // The state to keep is built on a part of the stack that no cipher has used.
            let (incoming, len) =
                wipe::wipe_stack_after::<{ wipe::OPENING }, _>(|| self.receive(head, tag, body, associated_data))?;
            self.ratchet.commit(&self.primitives, incoming);
            if self.is_abandoned() {
                self.exporter.erase();
            }
            if let Opening::Unanswered(_) = self.opening {
                self.opening = Opening::Done;
            }
            Ok(len)
        })
    }

    /// Decrypts `body` in place. Returns the changes to the ratchet and the plaintext's length, and changes nothing
    /// else.
    fn receive(
        &self,
        head: &OpenedHead,
        tag: &[u8; TAG_LEN],
        body: &mut [u8],
        associated_data: &[u8],
    ) -> Result<(Incoming<S>, usize), DecryptError> {
        let incoming = self.ratchet.receive(&self.primitives, &head.header)?;
        self.primitives.step("DR-D8");
        let mut ad = head.ad.duplicate();
        let ad = ad.expose_mut().get_mut(..head.ad_len).unwrap_or_default();
        bind(&self.primitives, associated_data, ad);
        self.primitives.open(&incoming.aead_key, &NONCE, ad, body, tag).map_err(|_| DecryptError::Refused)?;
        match padding::unpad(&self.primitives, body) {
            Some(len) => Ok((incoming, len)),
            None => {
                body.zeroize();
                Err(DecryptError::Refused)
            }
        }
    }

    /// HS-R8: a first message for an existing session must be a copy of the one that created it (attack B26).
    fn check_repeated_handshake(&self, handshake: &[u8]) -> Result<(), DecryptError> {
        match &self.opening {
            Opening::Accepted(digest) if *digest == self.primitives.sha256(&[handshake]) => Ok(()),
            _ => Err(DecryptError::Refused),
        }
    }

    /// Opens the header of `message` and returns how many messages it skips, in the ratchet in which it skips more.
    /// `decrypt` would take at most as many steps in each ratchet before this message's own. Nothing
    /// changes.
    ///
    /// An honest peer's message skips those that were lost or that are late. A hostile peer can demand with every
    /// message up to [`MAX_JUMP`](crate::MAX_JUMP) steps in each of two chains of the Double Ratchet, and twice as many
    /// in the post-quantum chain: 100,000 steps in all. A host that wants to bound this work refuses or delays messages
    /// above a number of its own.
    ///
    /// # Errors
    /// [`DecryptError`], for what is found before any derivation.
    ///
    /// # Leaks
    /// Lengths, success or failure, the receiving chain, and how many messages it skips.
    pub fn peek(&self, message: &[u8]) -> Result<u32, DecryptError> {
        self.open_head(message).map(|head| self.skips(&head))
    }

    /// Returns how many messages the message with this head skips.
    pub(crate) fn skips(&self, head: &OpenedHead) -> u32 {
        self.ratchet.skips(&head.header)
    }
}
