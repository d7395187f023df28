// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Session`]: one conversation with one device. A handshake creates it; then the caller uses `encrypt` and `decrypt`.
//!
//! This module is not concerned with which of several sessions a message belongs to, nor with delivery, storage and
//! clocks.

use crate::error::{DecryptError, EncryptError, RestoreError};
use crate::identity::{Identity, SafetyNumber};
use crate::padding;
use crate::payload::Payload;
#[cfg(feature = "alloc")]
use crate::payload::Sealed;
#[cfg(feature = "alloc")]
use crate::primitives::RustCrypto;
use crate::primitives::{Primitives, TAG_LEN};
use crate::ratchet::header::SealedHeader;
#[cfg(feature = "alloc")]
use crate::ratchet::skipped::Heap;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::sparse::Direction;
use crate::ratchet::triple::{Incoming, TripleRatchet};
use crate::snapshot::{self, StorageKey, Stored, refused};
use crate::wipe;
use crate::wire::{
    ChunkSize, Full, HANDSHAKE_LEN, Handshake, IDENTITY_LEN, MAX_SEALED_HEADER_LEN, Reader, TYPE_FIRST, TYPE_MESSAGE,
    Writer,
};
use core::fmt;
use rand_core::CryptoRng;
use zeroize::Zeroize;

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Length in bytes of the longest plaintext, 1 GiB. Padded and sealed it is far below GCM's limit of 2^36 - 32 bytes,
/// and its length fits a 32-bit `usize`. Send larger data in parts.
pub const MAX_PLAINTEXT_LEN: usize = 1 << 30;

/// Length in bytes of AD before the sealed header: session AD || SHA-256(caller's associated data) || type.
const BEFORE_SEALED_HEADER_LEN: usize = 32 + 32 + 1;
/// Length in bytes of the longest AD.
const MAX_AEAD_AD_LEN: usize = BEFORE_SEALED_HEADER_LEN + MAX_SEALED_HEADER_LEN;

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
/// An error leaves the session exactly as it was. There is no `Clone`: two copies would use one key twice.
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
    pub(crate) opening: Opening,
    pub(crate) ratchet: TripleRatchet<S>,
}

impl<P: Primitives, S: SkippedKeyStore> Session<P, S> {
    /// Returns the length in bytes of the message that [`encrypt_into`](Self::encrypt_into) would write for a plaintext
    /// of `plaintext_len` bytes, or `None` if that is more than [`MAX_PLAINTEXT_LEN`].
    #[must_use]
    pub fn message_len(&self, plaintext_len: usize) -> Option<usize> {
        let overhead = match self.opening {
            Opening::Unanswered(_) => self.ratchet.chunk_size.first_message_overhead(),
            Opening::Accepted(_) | Opening::Done => self.ratchet.chunk_size.message_overhead(),
        };
        message_len(overhead, plaintext_len)
    }

    /// Encrypts `payload` into `out` and returns the message's length in bytes, [`message_len`](Self::message_len).
    /// It draws 16 bytes from `rng`, 32 more if a ratchet step is due, and 32 or 64 more once per epoch for the
    /// post-quantum ratchet.
    ///
    /// Save the session before the message leaves the device; see [the crash contract](crate::snapshot).
    ///
    /// # Errors
    /// [`EncryptError`]; `out` then contains no part of the plaintext, and the session is unchanged.
    ///
    /// # Security
    /// If the newest state is lost after the message was sent, continuing from an older state uses one key for two
    /// messages and reveals both.
    ///
    /// # Leaks
    /// Lengths, and whether a ratchet step or a KEM operation was due.
    pub fn encrypt_into<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<usize, EncryptError> {
        self.encrypt_payload_into(payload.into(), out, rng)
    }

    /// Does the work of [`encrypt_into`](Self::encrypt_into), compiled once for payloads of all types.
    fn encrypt_payload_into(
        &mut self,
        Payload { plaintext, associated_data }: Payload<'_>,
        out: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Result<usize, EncryptError> {
        wipe::wipe_stack_after::<{ wipe::MESSAGE }, _>(|| {
            self.primitives.step("DR-E0");
            let len = self.message_len(plaintext.len()).ok_or(EncryptError::TooLong)?;
            let out = out.get_mut(..len).ok_or(EncryptError::BufferTooShort)?;
            let mut writer = Writer::new(out);
            let outer = match &self.opening {
                Opening::Unanswered(handshake) => writer.put(handshake).map(|()| TYPE_FIRST),
                Opening::Accepted(_) | Opening::Done => writer.u8(TYPE_MESSAGE).map(|()| TYPE_MESSAGE),
            }
            .map_err(|_| EncryptError::BufferTooShort)?;
            let at = writer.written();
            let (header, body) = out
                .get_mut(at..)
                .and_then(|rest| rest.split_at_mut_checked(self.ratchet.chunk_size.sealed_header_len()))
                .ok_or(EncryptError::BufferTooShort)?;
            let (body, tag) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(EncryptError::BufferTooShort)?;
            let (text, padding) = body.split_at_mut_checked(plaintext.len()).ok_or(EncryptError::BufferTooShort)?;

            let (key, nonce) = self.ratchet.send(&self.primitives, outer, header, rng)?;
            self.primitives.step("DR-E4");
            text.copy_from_slice(plaintext);
            padding::pad(padding);
            let mut ad = [0; MAX_AEAD_AD_LEN];
            let ad = self.aead_ad(associated_data, outer, header, &mut ad);
            // MAX_PLAINTEXT_LEN is within GCM's bound, so this cannot fail. If it did, the key would be used up and
            // never sent.
            *tag = self.primitives.seal(&key, &nonce, ad, body).map_err(|_| {
                body.zeroize();
                EncryptError::TooLong
            })?;
            Ok(len)
        })
    }

    /// Decrypts the message in `buffer` in place and returns the plaintext, which is a part of `buffer`.
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
    ) -> Result<&'m mut [u8], DecryptError> {
        let head_len = self.head_len(buffer)?;
        let (head, rest) = buffer.split_at_mut_checked(head_len).ok_or(DecryptError::Refused)?;
        let (body, tag) = rest.split_last_chunk_mut().ok_or(DecryptError::Refused)?;
        let len = self.open(head, body, tag, associated_data)?;
        Ok(body.split_at_mut_checked(len).map_or(&mut [], |(plaintext, _)| plaintext))
    }

    /// Decrypts `body` in place and returns the plaintext's length. `head` is everything before the body.
    fn open(
        &mut self,
        head: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_LEN],
        associated_data: &[u8],
    ) -> Result<usize, DecryptError> {
        wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| {
            // The state to keep is built on a part of the stack that no cipher has used.
            let (incoming, len) =
                wipe::wipe_stack_after::<{ wipe::MESSAGE }, _>(|| self.receive(head, body, tag, associated_data))?;
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
        head: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_LEN],
        associated_data: &[u8],
    ) -> Result<(Incoming<S>, usize), DecryptError> {
        self.primitives.step("DR-D1");
        let handshake_len = head.len().checked_sub(self.ratchet.chunk_size.sealed_header_len());
        let (handshake, header) =
            handshake_len.and_then(|len| head.split_at_checked(len)).ok_or(DecryptError::Refused)?;
        let outer = match handshake {
            [TYPE_MESSAGE] => TYPE_MESSAGE,
            first => self.check_repeated_handshake(first).map(|()| TYPE_FIRST)?,
        };
        let sealed = SealedHeader::parse(header).ok_or(DecryptError::Refused)?;
        let incoming = self.ratchet.receive(&self.primitives, outer, &sealed)?;

        self.primitives.step("DR-D8");
        let mut ad = [0; MAX_AEAD_AD_LEN];
        let ad = self.aead_ad(associated_data, outer, header, &mut ad);
        let (key, nonce) = &incoming.aead_key;
        self.primitives.open(key, nonce, ad, body, tag).map_err(|_| DecryptError::Refused)?;
        match padding::unpad(&self.primitives, body) {
            Some(len) => Ok((incoming, len)),
            None => {
                body.zeroize();
                Err(DecryptError::Refused)
            }
        }
    }

    /// Returns the number of bytes before the body: type or handshake, and sealed header.
    fn head_len(&self, message: &[u8]) -> Result<usize, DecryptError> {
        let before = match message.first() {
            Some(&TYPE_MESSAGE) => 1,
            Some(&TYPE_FIRST) => HANDSHAKE_LEN,
            _ => return Err(DecryptError::Refused),
        };
        Ok(self.ratchet.chunk_size.sealed_header_len().saturating_add(before))
    }

    /// HS-R8: a first message for an existing session must be a copy of the one that created it (attack B26).
    fn check_repeated_handshake(&self, handshake: &[u8]) -> Result<(), DecryptError> {
        match &self.opening {
            Opening::Accepted(digest) if *digest == self.primitives.sha256(&[handshake]) => Ok(()),
            _ => Err(DecryptError::Refused),
        }
    }

    /// `CONCAT(AD, header)`. Within a session every part has a fixed width.
    fn aead_ad<'b>(
        &self,
        associated_data: &[u8],
        outer: u8,
        header: &[u8],
        bytes: &'b mut [u8; MAX_AEAD_AD_LEN],
    ) -> &'b [u8] {
        let mut writer = Writer::new(bytes);
        // The array has space for the longest header.
        let _ = writer
            .put(&self.associated_data)
            .and_then(|()| writer.put(&self.primitives.sha256(&[associated_data])))
            .and_then(|()| writer.u8(outer))
            .and_then(|()| writer.put(header));
        let written = writer.written();
        bytes.get(..written).unwrap_or_default()
    }

    /// Returns the other end's identity, which the handshake authenticated, or `None` for a session of a foreign
    /// handshake.
    #[must_use]
    pub fn remote_identity(&self) -> Option<&Identity> {
        self.parties.as_ref().map(|parties| &parties.remote)
    }

    /// Returns a name for this session, 32 bytes, the same on both sides: the digest that is its AD. It is not secret,
    /// but it is computed from both identities: do not give it to a server.
    #[must_use]
    pub const fn id(&self) -> [u8; 32] {
        self.associated_data
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

    /// Restores a session. `newest` is the newest generation that the caller knows to have been saved. `snapshot` is
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
        wipe::wipe_stack_around::<{ wipe::HANDSHAKE }, _>(|| snapshot::open(primitives, snapshot, key, newest))
    }
}

pub(crate) fn message_len(overhead: usize, plaintext_len: usize) -> Option<usize> {
    if plaintext_len > MAX_PLAINTEXT_LEN {
        return None;
    }
    padding::padded_len(plaintext_len)?.checked_add(overhead)
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
        let payload = payload.into();
        let len = self.message_len(payload.plaintext.len()).ok_or(EncryptError::TooLong)?;
        let mut message = alloc::vec![0; len];
        self.encrypt_into(payload, &mut message, rng)?;
        Ok(message)
    }

    /// Decrypts as [`decrypt_in_place`](Self::decrypt_in_place) does, into a new `Vec`.
    ///
    /// # Errors
    /// [`DecryptError`]; the session is unchanged.
    pub fn decrypt<'m>(&mut self, message: impl Into<Sealed<'m>>) -> Result<Vec<u8>, DecryptError> {
        let Sealed { message, associated_data } = message.into();
        let (head, rest) = message.split_at_checked(self.head_len(message)?).ok_or(DecryptError::Refused)?;
        let (body, tag) = rest.split_last_chunk().ok_or(DecryptError::Refused)?;
        let mut plaintext = body.to_vec();
        let len = self.open(head, &mut plaintext, tag, associated_data)?;
        plaintext.truncate(len);
        Ok(plaintext)
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
    /// [`RestoreError`] if the key is wrong, the snapshot is damaged, or its generation is older than `newest`.
    pub fn restore_with(primitives: P, snapshot: &[u8], key: &StorageKey, newest: u64) -> Result<Self, RestoreError> {
        Self::restore_in_place(primitives, &mut snapshot.to_vec(), key, newest)
    }
}

#[cfg(feature = "alloc")]
impl Session {
    /// Calls [`restore_with`](Self::restore_with) with the default primitives and store.
    ///
    /// # Errors
    /// [`RestoreError`] if the key is wrong, the snapshot is damaged, or its generation is older than `newest`.
    pub fn restore(snapshot: &[u8], key: &StorageKey, newest: u64) -> Result<Self, RestoreError> {
        Self::restore_with(RustCrypto, snapshot, key, newest)
    }
}

/// Shows neither a key, nor the session's id, nor an identity.
impl<P, S> fmt::Debug for Session<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primitives: _, parties: _, associated_data: _, opening, ratchet } = self;
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

    fn stored_len(&self) -> usize {
        let parties = self.parties.map_or(0, |_| 2 * IDENTITY_LEN);
        let opening = match self.opening {
            Opening::Unanswered(_) => HANDSHAKE_LEN,
            Opening::Accepted(_) => 32,
            Opening::Done => 0,
        };
        [1, parties, 32, 1, opening, self.ratchet.stored_len()].into_iter().fold(0, usize::saturating_add)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(u8::from(self.parties.is_some()))?;
        if let Some(Parties { local, remote }) = &self.parties {
            writer.put(&local.to_bytes())?;
            writer.put(&remote.to_bytes())?;
        }
        writer.put(&self.associated_data)?;
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
            Opening::Done => parties.is_none() || (received && ratchet.sparse.direction == Direction::A2B),
        };
        if !(reachable || ratchet.sparse.is_dead()) {
            return Err(RestoreError::Refused);
        }
        Ok(Self { primitives, parties, associated_data, opening, ratchet })
    }
}
