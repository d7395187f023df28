// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Session`]: one conversation with one device. A handshake creates it; then the caller uses `encrypt` and `decrypt`.
//!
//! This module is not concerned with which of several sessions a message belongs to, nor with delivery, storage and
//! clocks.

mod exporter;

use crate::error::{DecryptError, EncryptError, RestoreError};
use crate::identity::{Identity, SafetyNumber};
use crate::padding;
#[cfg(feature = "alloc")]
use crate::payload::Sealed;
use crate::payload::{Opened, Payload};
use crate::primitives::{Primitives, RustCrypto, TAG_LEN};
use crate::ratchet::header::{Envelope, NONCE, SealedHeader};
#[cfg(feature = "alloc")]
use crate::ratchet::skipped::Heap;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::sparse::Direction;
use crate::ratchet::triple::{Incoming, OpenedHeader, Outgoing, TripleRatchet};
use crate::secret::Secret;
use crate::snapshot::{self, Part, StorageKey, Stored, Subject, refused};
use crate::wipe;
use crate::wire::{
    BEFORE_HEADER_LEN, ChunkSize, Full, HANDSHAKE_LEN, Handshake, IDENTITY_LEN, MAX_HEADER_LEN, ROUTING_TAG_LEN,
    Reader, TYPE_FIRST, TYPE_MESSAGE, Writer, handshake_bytes,
};
use core::fmt;
pub(crate) use exporter::Exporter;
use rand_core::CryptoRng;
use zeroize::Zeroize;

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Length in bytes of the longest plaintext, 1 GiB. Padded and sealed it is far below GCM's limit of 2^36 - 32 bytes,
/// and its length fits a 32-bit `usize`. Send larger data in parts.
pub const MAX_PLAINTEXT_LEN: usize = 1 << 30;

/// Where the hash of the caller's associated data is in the body's associated data: after the session's AD.
const HASH_AT: core::ops::Range<usize> = 32..64;
/// Length in bytes of the body's associated data before the plaintext header:
/// `AD || SHA-256(caller's associated data) || type || salt || commitment`.
const BEFORE_HEADER_AD_LEN: usize = 32 + 32 + 1 + BEFORE_HEADER_LEN;
/// Length in bytes of the body's longest associated data.
const MAX_BODY_AD_LEN: usize = BEFORE_HEADER_AD_LEN + MAX_HEADER_LEN;

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

/// Writes the hash of the caller's associated data to its place in the body's associated data.
fn bind<P: Primitives>(primitives: &P, associated_data: &[u8], ad: &mut [u8]) {
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

/// How the session began, as far as that still matters.
#[expect(clippy::large_enum_variant, reason = "without an allocator there is nowhere else to keep the handshake")]
pub(crate) enum Opening {
    /// Initiator without an answer: every message begins with the handshake.
    Unanswered([u8; HANDSHAKE_LEN]),
    /// Responder: a digest of the handshake, by which its copies are recognized.
    Accepted([u8; 32]),
    /// Initiator with an answer, or a session of a foreign handshake.
    Done,
}

/// The two parties of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parties {
    pub(crate) local: Identity,
    pub(crate) remote: Identity,
}

/// One end of a conversation. It encrypts messages for the other end and decrypts messages from it.
///
/// An error leaves the session exactly as it was. There is no `Clone`: of two messages that two copies
/// send under one number, the receiver opens one.
///
/// `S` is the store of skipped message keys. Without the feature `alloc` neither parameter has a default, because the
/// default of `S` grows on the heap and no other default may change when a feature is enabled; see
/// [`FixedSession`](crate::FixedSession).
#[must_use = "a session that is dropped cannot be resumed"]
pub struct Session<
    #[cfg(feature = "alloc")] P = RustCrypto,
    #[cfg(not(feature = "alloc"))] P,
    #[cfg(feature = "alloc")] S = Heap,
    #[cfg(not(feature = "alloc"))] S,
> {
    pub(crate) primitives: P,
    pub(crate) parties: Option<Parties>,
    /// AD of PQXDH: the hash of the handshake's transcript.
    pub(crate) associated_data: [u8; 32],
    /// An expansion of SK.
    pub(crate) id: [u8; 32],
    /// Kept until the application takes it, or the session encrypts or decrypts. Never stored.
    pub(crate) exporter: Exporter,
    pub(crate) opening: Opening,
    pub(crate) ratchet: TripleRatchet<S>,
}

impl<P: Primitives, S: SkippedKeyStore> Session<P, S> {
    /// Returns the length in bytes of the message that [`encrypt_into`](Self::encrypt_into) would write for a plaintext
    /// of `plaintext_len` bytes, or `None` if that is more than [`MAX_PLAINTEXT_LEN`].
    #[must_use]
    pub fn message_len(&self, plaintext_len: usize) -> Option<usize> {
        self.padded_message_len(plaintext_len, 0)
    }

    /// Returns the length in bytes of a message whose plaintext is padded to `min_padded_len` bytes at least.
    fn padded_message_len(&self, plaintext_len: usize, min_padded_len: usize) -> Option<usize> {
        let overhead = match self.opening {
            Opening::Unanswered(_) => self.ratchet.chunk_size.first_message_overhead(),
            Opening::Accepted(_) | Opening::Done => self.ratchet.chunk_size.message_overhead(),
        };
        message_len(overhead, plaintext_len, min_padded_len)
    }

    /// Encrypts `payload` into `out` and returns the message's length in bytes: [`message_len`](Self::message_len) of
    /// the plaintext's length or, if that is larger, of `min_padded_len - 1`. It draws 8 bytes from `rng`, 32 more if a
    /// ratchet step is due, and 32 or 64 more once per epoch for the post-quantum ratchet.
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
    /// message: one for the session layer, which is not shown to the user. The receiver learns it from
    /// [`Opened::is_control`].
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
    fn encrypt_payload_into(
        &mut self,
        Payload { plaintext, associated_data, min_padded_len }: Payload<'_>,
        is_control: bool,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<usize, EncryptError> {
        wipe::wipe_stack_after::<{ wipe::MESSAGE }, _>(|| {
            self.primitives.step("DR-E0");
            let len = self.padded_message_len(plaintext.len(), min_padded_len).ok_or(EncryptError::TooLong)?;
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
    fn parse<'m>(&self, message: &'m [u8]) -> Option<(u8, SealedHeader<'m>, usize)> {
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
    /// stays. `head` is that of the same message, opened by this session in its present state.
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
                wipe::wipe_stack_after::<{ wipe::MESSAGE }, _>(|| self.receive(head, tag, body, associated_data))?;
            self.ratchet.commit(&self.primitives, incoming);
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

    /// The body's associated data, `AD || hash || type || bound`, in which `bound` is salt, commitment and plaintext
    /// header, and the hash is filled in by [`bind`]. Within a session every part has a fixed width.
    fn body_ad<'b>(&self, outer: u8, bound: &[&[u8]], bytes: &'b mut Secret<MAX_BODY_AD_LEN>) -> &'b mut [u8] {
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

    /// Returns whether `message` claims to belong to this session: whether its commitment is that of one of the
    /// session's header keys. It costs four SHA-256 compressions per header key and authenticates nothing.
    ///
    /// Try the session with the message's [`routing_tag`](crate::routing_tag) first, which costs a look-up.
    ///
    /// # Leaks
    /// Which of the header keys it is.
    #[must_use]
    pub fn recognizes(&self, message: &[u8]) -> bool {
        let parsed = self.parse(message);
        parsed.is_some_and(|(_, sealed, _)| {
            !self.is_abandoned() && self.ratchet.double.recognizes(&self.primitives, &sealed)
        })
    }

    /// Calls `each` with the routing tags of the messages that this session may receive next, 8 bytes each: of the
    /// current and the next header key the next 8 numbers, and of all late messages whose keys are kept. A message whose
    /// [`routing_tag`](crate::routing_tag) is one of them belongs to this session, except by a chance of 2^-64.
    ///
    /// # Security
    /// Tags are outputs of a PRF. To a server that sees messages each is a random value that occurs once. A list of
    /// *expected* tags links a session to its next messages, so an index of them is as private as the session: store
    /// `HMAC(index key, tag)`.
    pub fn routing_tags(&self, mut each: impl FnMut([u8; ROUTING_TAG_LEN])) {
        if !self.is_abandoned() {
            self.ratchet.double.routing_tags(&self.primitives, &mut each);
        }
    }

    /// Returns whether this side should send a message, of any content: 12,500 messages of the peer's chain have arrived,
    /// half of [`MAX_JUMP`](crate::MAX_JUMP). Only an answer that reaches the peer begins a new chain, on which its
    /// numbers start at 0 again. An answer that was sent and does not arrive changes nothing, so the result stays true.
    #[must_use]
    pub fn should_answer(&self) -> bool {
        self.ratchet.double.should_answer()
    }

    /// Returns the exporter, 32 bytes, once: after `initiate` or `accept` and before the session's first `decrypt` or
    /// next `encrypt`, which erase it. It is the same on both sides, and independent of all other keys of the session.
    /// Snapshots do not contain it.
    ///
    /// An application derives keys of its own from it: for a call, a file transfer, or a proof that both sides are in
    /// this session. Derive each under a label of its own.
    #[must_use]
    pub fn take_exporter(&mut self) -> Option<Secret<32>> {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| self.exporter.take())
    }

    /// Returns the [`opening_id`] of this session's first messages: of a session that was accepted,
    /// always; of one that was initiated, until the peer has answered; otherwise `None`.
    ///
    /// A first message whose opening id belongs to a session is for that session only. It must not be given to
    /// `Device::open`.
    #[must_use]
    pub fn opening_id(&self) -> Option<[u8; 32]> {
        match &self.opening {
            Opening::Unanswered(handshake) => Some(self.primitives.sha256(&[handshake])),
            Opening::Accepted(digest) => Some(*digest),
            Opening::Done => None,
        }
    }

    /// Returns the other end's identity, which the handshake authenticated, or `None` for a session of a foreign
    /// handshake.
    #[must_use]
    pub fn remote_identity(&self) -> Option<&Identity> {
        self.parties.as_ref().map(|parties| &parties.remote)
    }

    /// Returns a name for this session, 32 bytes, the same on both sides and different for all sessions. It is derived
    /// from the handshake's secret and does not lead to any key, and nobody else can test whether two identities have a
    /// session of this name. A server that learns it can link what else it learns under the name: do not give it to one.
    #[must_use]
    pub const fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Returns the name under which this session is stored, which [`restore_in_place`](Self::restore_in_place) asks for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match &self.parties {
            Some(parties) => Subject::session(&parties.local, self.id()),
            None => Subject::foreign_session(self.id()),
        }
    }

    /// Returns the safety number of the identities that this session's AD covers, or `None` for a foreign handshake.
    #[must_use]
    pub fn safety_number(&self) -> Option<SafetyNumber> {
        let parties = self.parties.as_ref()?;
        Some(SafetyNumber::new(&self.primitives, (&parties.local, b""), (&parties.remote, b"")))
    }

    /// Returns whether the peer has answered. Until then an initiator repeats the handshake in every message. It is
    /// always true for a responder.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        !matches!(self.opening, Opening::Unanswered(_))
    }

    /// Returns the number of the Double Ratchet's keys that are stored for messages that have not arrived.
    #[must_use]
    pub fn skipped_message_keys(&self) -> usize {
        self.ratchet.double.skipped.len()
    }

    /// Returns the chunk size of the post-quantum ratchet, which the initiator chose.
    #[must_use]
    pub const fn chunk_size(&self) -> ChunkSize {
        self.ratchet.chunk_size
    }

    /// Returns how many fresh post-quantum keys, in addition to the handshake's, have entered this session's keys: 0 at
    /// the start. It grows only if both sides send.
    #[must_use]
    pub fn post_quantum_epoch(&self) -> u32 {
        self.ratchet.sparse.epoch()
    }

    /// Returns whether the post-quantum ratchet has failed. Then the session is over: restoring and queries still work,
    /// and everything else fails with `Abandoned`.
    ///
    /// This happens when an authenticated message completes a key or ciphertext that is not genuine, which only a
    /// faulty or hostile peer can cause. That message still decrypts, and no later one does.
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        self.ratchet.sparse.is_dead()
    }

    /// Returns the number of bytes that [`snapshot_into`](Self::snapshot_into) would write now.
    #[must_use]
    pub fn snapshot_len(&self) -> usize {
        snapshot::sealed_len::<P, Self>(self)
    }

    /// Writes the session, sealed under `key`, to `out` and returns the number of bytes, or `None` if `out` is shorter
    /// than [`snapshot_len`](Self::snapshot_len). `generation` must grow with every save.
    #[must_use]
    pub fn snapshot_into(&self, key: &StorageKey, generation: u64, out: &mut [u8]) -> Option<usize> {
        wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| snapshot::seal(&self.primitives, self, key, generation, out))
    }

    /// Restores the session `subject`. `newest` is the newest generation that the caller knows to have been saved.
    /// `snapshot` is opened in place and wiped. With another key or subject it stays as it was.
    ///
    /// If `S` holds fewer skipped keys than were stored, the newest are kept.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore_in_place(
        primitives: P,
        snapshot: &mut [u8],
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
    ) -> Result<Self, RestoreError> {
        wipe::wipe_stack_around::<{ wipe::HANDSHAKE }, _>(|| snapshot::open(primitives, snapshot, key, subject, newest))
    }
}

/// Returns the opening id of a first message, 32 bytes: SHA-256 of its handshake. It is the same for all messages that an
/// initiator sends before the first answer, and it is public. It returns `None` for every other message.
///
/// A first message whose opening id is a session's [`opening_id`](Session::opening_id) is for that session's `decrypt`;
/// any other is for `Device::open`.
#[must_use]
pub fn opening_id(message: &[u8]) -> Option<[u8; 32]> {
    handshake_bytes(message).map(|handshake| RustCrypto.sha256(&[handshake]))
}

/// Returns the length in bytes of a message with this overhead, or `None` if the plaintext or the least length to pad it
/// to is too long.
pub(crate) fn message_len(overhead: usize, plaintext_len: usize, min_padded_len: usize) -> Option<usize> {
    if plaintext_len > MAX_PLAINTEXT_LEN || min_padded_len > MAX_PLAINTEXT_LEN.saturating_add(1) {
        return None;
    }
    padding::padded_len_at_least(plaintext_len, min_padded_len)?.checked_add(overhead)
}

#[cfg(feature = "alloc")]
impl<P: Primitives, S: SkippedKeyStore> Session<P, S> {
    /// Calls [`encrypt_into`](Self::encrypt_into) with a new `Vec`.
    ///
    /// # Errors
    /// [`EncryptError`]; the session is unchanged.
    pub fn encrypt<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        self.encrypt_payload(payload.into(), false, rng)
    }

    /// Encrypts a control message; see [`encrypt_control_into`](Self::encrypt_control_into).
    ///
    /// # Errors
    /// [`EncryptError`]; the session is unchanged.
    pub fn encrypt_control<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        self.encrypt_payload(payload.into(), true, rng)
    }

    fn encrypt_payload(
        &mut self,
        payload: Payload<'_>,
        is_control: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EncryptError> {
        let len =
            self.padded_message_len(payload.plaintext.len(), payload.min_padded_len).ok_or(EncryptError::TooLong)?;
        let mut message = alloc::vec![0; len];
        self.encrypt_payload_into(payload, is_control, &mut message, rng)?;
        Ok(message)
    }

    /// Decrypts as [`decrypt_in_place`](Self::decrypt_in_place) does, into a new `Vec`. The header is opened before the
    /// body is copied.
    ///
    /// # Errors
    /// [`DecryptError`]; the session is unchanged.
    pub fn decrypt<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<Opened<Vec<u8>>, DecryptError> {
        let Sealed { message, associated_data } = message.into();
        let head = self.open_head(message)?;
        let (tag, body) = split_body(message, head.body_at).ok_or(DecryptError::Refused)?;
        let mut plaintext = body.to_vec();
        let len = self.open_body(&head, tag, &mut plaintext, associated_data)?;
        self.exporter.erase();
        plaintext.truncate(len);
        Ok(Opened { plaintext, number: head.number(), is_control: head.is_control() })
    }

    /// Returns the session as bytes for any database, sealed under `key`. `generation` must grow with every save.
    #[must_use]
    pub fn snapshot(&self, key: &StorageKey, generation: u64) -> Vec<u8> {
        let mut out = alloc::vec![0; self.snapshot_len()];
        let len = self.snapshot_into(key, generation, &mut out).unwrap_or_default();
        out.truncate(len);
        out
    }

    /// Calls [`restore_in_place`](Self::restore_in_place) on a copy.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore_with(
        primitives: P,
        snapshot: &[u8],
        key: &StorageKey,
        subject: &Subject,
        newest: u64,
    ) -> Result<Self, RestoreError> {
        Self::restore_in_place(primitives, &mut snapshot.to_vec(), key, subject, newest)
    }
}

#[cfg(feature = "alloc")]
impl Session {
    /// Calls [`restore_with`](Self::restore_with) with the default primitives and store.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(snapshot: &[u8], key: &StorageKey, subject: &Subject, newest: u64) -> Result<Self, RestoreError> {
        Self::restore_with(RustCrypto, snapshot, key, subject, newest)
    }
}

/// Shows neither a key, nor the session's id, nor an identity.
impl<P, S> fmt::Debug for Session<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primitives: _, parties: _, associated_data: _, id: _, exporter: _, opening, ratchet } = self;
        let TripleRatchet { chunk_size, double: _, sparse: _ } = ratchet;
        let opening = match opening {
            Opening::Unanswered(_) => "unanswered",
            Opening::Accepted(_) => "accepted",
            Opening::Done => "done",
        };
        f.debug_struct("Session").field("opening", &opening).field("chunk_size", chunk_size).finish_non_exhaustive()
    }
}

impl<P: Primitives, S: SkippedKeyStore> Stored<P> for Session<P, S> {
    const KIND: u8 = 1;

    #[cfg(feature = "alloc")]
    fn primitives(&self) -> &P {
        &self.primitives
    }

    fn subject(&self) -> Subject {
        self.subject()
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.ratchet.parts()
    }

    fn core_len(&self) -> usize {
        let parties = self.parties.map_or(0, |_| 2 * IDENTITY_LEN);
        let opening = match self.opening {
            Opening::Unanswered(_) => HANDSHAKE_LEN,
            Opening::Accepted(_) => 32,
            Opening::Done => 0,
        };
        [1, parties, 32, 32, 1, opening, self.ratchet.stored_len()].into_iter().fold(0, usize::saturating_add)
    }

    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(u8::from(self.parties.is_some()))?;
        if let Some(Parties { local, remote }) = &self.parties {
            writer.put(&local.to_bytes())?;
            writer.put(&remote.to_bytes())?;
        }
        writer.put(&self.associated_data)?;
        writer.put(&self.id)?;
        match &self.opening {
            Opening::Unanswered(handshake) => writer.u8(0).and_then(|()| writer.put(handshake))?,
            Opening::Accepted(digest) => writer.u8(1).and_then(|()| writer.put(digest))?,
            Opening::Done => writer.u8(2)?,
        }
        self.ratchet.store(writer)
    }

    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let parties = match reader.flag().map_err(refused)? {
            true => Some(Parties {
                local: Identity::from_bytes(&primitives, reader.array().map_err(refused)?).map_err(refused)?,
                remote: Identity::from_bytes(&primitives, reader.array().map_err(refused)?).map_err(refused)?,
            }),
            false => None,
        };
        let associated_data = *reader.array().map_err(refused)?;
        let id = *reader.array().map_err(refused)?;
        let opening = match reader.u8().map_err(refused)? {
            0 => Opening::Unanswered(*reader.array().map_err(refused)?),
            1 => Opening::Accepted(*reader.array().map_err(refused)?),
            2 => Opening::Done,
            _ => return Err(RestoreError::Refused),
        };
        let ratchet = TripleRatchet::load(&primitives, reader).map_err(refused)?;
        reader.finish().map_err(refused)?;
        // How the session began must agree with the progress of the ratchet (attack F18).
        let received = ratchet.double.receiving.is_some();
        let reachable = match &opening {
            Opening::Unanswered(handshake) => {
                let parsed = Handshake::parse(handshake);
                let same_size = parsed.is_ok_and(|handshake| handshake.chunk_size == ratchet.chunk_size);
                parties.is_some() && ratchet.has_only_sent() && same_size
            }
            Opening::Accepted(_) => parties.is_some() && received && ratchet.sparse.direction == Direction::B2A,
            Opening::Done if parties.is_none() => ratchet.chunk_size == ChunkSize::default(),
            Opening::Done => received && ratchet.sparse.direction == Direction::A2B,
        };
        // An abandoned session has no ratchet state: only its opening, its parties and its direction can be checked.
        let reachable = match (ratchet.sparse.is_dead(), &opening) {
            (false, _) => reachable,
            (true, Opening::Unanswered(_)) => false,
            (true, Opening::Accepted(_)) => parties.is_some() && ratchet.sparse.direction == Direction::B2A,
            (true, Opening::Done) if parties.is_none() => ratchet.chunk_size == ChunkSize::default(),
            (true, Opening::Done) => ratchet.sparse.direction == Direction::A2B,
        };
        if !reachable {
            return Err(RestoreError::Refused);
        }
        Ok(Self { primitives, parties, associated_data, id, exporter: Exporter::none(), opening, ratchet })
    }
}
