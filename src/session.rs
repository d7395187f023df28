// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Session`]: one conversation with one device. A handshake creates it; then the caller uses `encrypt` and `decrypt`.
//!
//! This module is not concerned with which of several sessions a message belongs to, nor with delivery, storage and
//! clocks.
//!
//! # A receive loop
//!
//! `messenger::Messenger` does all of this. An application that has bare sessions goes through these steps with each
//! message, and acknowledges it to the server when the step is saved or the message is discarded:
//!
//! 1. If the message's id, the first 16 bytes of its SHA-256, is in the log of opened messages: discard it.
//! 2. If [`is_first_message`](crate::is_first_message): if a session has its [`opening_id`], give it to that session's
//!    `decrypt`; otherwise give it to `Device::open`, look at `remote_identity()`, then accept or refuse.
//! 3. Otherwise look for its [`routing_tag`](crate::routing_tag) in an index of every session's
//!    [`routing_tags`](Session::routing_tags), and give it to that session's `decrypt`.
//! 4. If the index does not have the tag, ask each session whether it [`recognizes`](Session::recognizes) the message.
//! 5. If none does, discard it.
//!
//! Save the session, the plaintext and the message's id in one transaction, and then enter the session's new routing
//! tags in the index.
//!
//! # Both sides initiate at once
//!
//! Then there are two sessions. Keep both, because messages of both are on the way, and decrypt with both. When both first
//! messages are open, both sides send on the same one: that with the smaller [`id`](Session::id), compared as bytes. The
//! messenger layer chooses so, too.

#[cfg(feature = "alloc")]
mod allocating;
mod decrypting;
mod encrypting;
mod exporter;
mod stored;

use crate::error::RestoreError;
use crate::identity::{Identity, SafetyNumber};
use crate::primitives::{Primitives, RustCrypto};
#[cfg(feature = "alloc")]
use crate::ratchet::skipped::Heap;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::triple::TripleRatchet;
use crate::secret::Secret;
use crate::snapshot::{self, StorageKey, Subject};
use crate::wipe;
use crate::wire::{ChunkSize, HANDSHAKE_LEN, ROUTING_TAG_LEN, handshake_bytes};
use core::fmt;
#[cfg(feature = "alloc")]
pub(crate) use decrypting::split_body;
pub(crate) use decrypting::{OpenedHead, split_body_mut};
pub(crate) use encrypting::message_len;
pub(crate) use exporter::Exporter;

/// Length in bytes of the longest plaintext, 1 GiB. Padded and sealed it is far below GCM's limit of 2^36 - 32 bytes,
/// and its length fits a 32-bit `usize`. Send larger data in parts.
pub const MAX_PLAINTEXT_LEN: usize = 1 << 30;

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

    /// Calls `each` with the routing tags of the messages that this session may receive next, 8 bytes each: first, of the
    /// current and the next header key, the next 8 numbers; then of all late messages whose keys are kept. A message whose
    /// [`routing_tag`](crate::routing_tag) is one of them belongs to this session, except by a chance of 2^-64.
    ///
    /// A late message may be listed that can no longer be opened, because its key of the post-quantum ratchet is gone
    /// sooner, with large [chunks](ChunkSize): `decrypt` then reports
    /// [`KeyGone`](crate::error::DecryptError::KeyGone).
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

    /// Returns whether this side should send a message, of any content: the peer's chain has reached number 12,500, half
    /// of [`MAX_JUMP`](crate::MAX_JUMP). Messages that are missing count, too. Only an answer that reaches the peer begins a new chain, on which its
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
    /// It takes no operation on the curve and none of ML-KEM. What the stored secrets determine, a ratchet key and the
    /// values of the post-quantum ratchet, is computed by the first message that needs it: most messages that are sent
    /// after restoring, few that are received.
    ///
    /// # Errors
    /// [`RestoreError`].
    ///
    /// # Security
    /// The seal authenticates both identities, which the handshake verified. They are not verified again: see
    /// [`snapshot`](crate::snapshot#security).
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
