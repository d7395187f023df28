// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accepting, in two phases: [`Device::open`] learns who wrote a first message, and [`Pending`] is the decision what to
//! do with it.
//!
//! The author of a first message is hidden until its handshake and its header are opened, and the associated data may
//! depend on the author. So the associated data is asked for in the second phase.

#[cfg(feature = "alloc")]
use super::HeapCapacity;
use super::capacity::Slots;
use super::{Capacities, Device, HandshakeDigest, SignedPrekey, handshake_digest};
use crate::error::{AcceptError, DecryptError};
use crate::handshake;
use crate::identity::Identity;
use crate::payload::Opened;
use crate::prekeys::PrekeyId;
use crate::primitives::Primitives;
#[cfg(feature = "alloc")]
use crate::primitives::RustCrypto;
#[cfg(feature = "alloc")]
use crate::ratchet::skipped::Heap;
use crate::ratchet::skipped::SkippedKeyStore;
use crate::ratchet::triple::TripleRatchet;
#[cfg(feature = "alloc")]
use crate::session::split_body;
use crate::session::{Exporter, OpenedHead, Opening, Parties, Session, split_body_mut};
use crate::wipe;
use crate::wire::{HANDSHAKE_LEN, Handshake};
#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;

/// A first message whose handshake and header are open: its author is known and authentic. The body is still sealed,
/// and neither device nor message has changed.
///
/// `accept` opens the body and begins the session. [`refuse`](Self::refuse) uses the prekey up without a session, so
/// that no copy of the message can be opened. Dropping it does neither: the message can be opened again. The new
/// session's secrets are wiped in either case.
///
/// `M` is how the message is held: `&[u8]` after `Device::open`, `&mut [u8]` after [`Device::open_in_place`].
#[must_use = "a pending first message is neither accepted nor refused"]
pub struct Pending<
    'd,
    M,
    #[cfg(feature = "alloc")] P = RustCrypto,
    #[cfg(not(feature = "alloc"))] P,
    #[cfg(feature = "alloc")] C: Capacities = HeapCapacity,
    #[cfg(not(feature = "alloc"))] C: Capacities,
    #[cfg(feature = "alloc")] S = Heap,
    #[cfg(not(feature = "alloc"))] S,
> {
    device: &'d mut Device<P, C>,
    message: M,
    remote: Identity,
    session: Session<P, S>,
    head: OpenedHead,
    prekey: UsedPrekey,
    /// The last field, dropped after the others.
    #[expect(dead_code, reason = "only dropped")]
    wiped: wipe::WipeStackOnDrop<{ wipe::OPENING }>,
}

/// The body did not open: the associated data is not the sender's, the body is damaged, or too many messages are
/// missing before it. The pending message comes back, unchanged except as [`accept_in_place`](Pending::accept_in_place)
/// says.
pub struct AcceptFailed<T> {
    /// The reason.
    pub error: AcceptError,
    /// The [`Pending`] message, to try other associated data or to refuse it.
    pub pending: T,
}

/// A new session with the message that began it.
pub type AcceptedSession<P, S, T> = (Session<P, S>, Opened<T>);

/// The new session, the message, and the device that has accepted it.
#[cfg(feature = "alloc")]
pub(crate) type AcceptedWithDevice<'d, P, C, S> = (Session<P, S>, Opened<Vec<u8>>, &'d Device<P, C>);

/// Where a signed prekey is.
#[derive(Clone, Copy)]
enum SignedAt {
    Current,
    Previous(usize),
}

/// The prekey that a first message used.
#[derive(Clone, Copy)]
enum UsedPrekey {
    /// The one-time prekey at this place.
    OneTime { at: usize },
    /// No one-time prekey; the ephemeral key enters the signed prekey's replay record.
    LastResort { signed: SignedAt, digest: HandshakeDigest },
}

impl<P: Primitives, C: Capacities> Device<P, C> {
    /// Opens the handshake and the header of a first message and returns its author with the decision about it.
    ///
    /// # Errors
    /// [`AcceptError`]. `PrekeyGone` and `Repeated` mean that the message may be a copy: pass it to `decrypt` of the
    /// session that the first copy created. `ReplayRecordFull` never refuses a message with a one-time prekey.
    ///
    /// # Security
    /// That somebody wrote this message to this device is authentic when `open` returns. The message may still be a
    /// replay of one that was dropped before.
    ///
    /// # Leaks
    /// Length, success or failure, which prekeys the message names, and whether a refused message failed at
    /// decapsulation, at the identity or at the header.
    #[cfg(feature = "alloc")]
    pub fn open<'d, 'm>(&'d mut self, message: &'m [u8]) -> Result<Pending<'d, &'m [u8], P, C, Heap>, AcceptError> {
        self.open_held(message)
    }

    /// Does the same as `open`, for a message that will be decrypted in place and a session with any
    /// store. The message changes only when it is accepted.
    ///
    /// # Errors
    /// [`AcceptError`], as in `open`.
    pub fn open_in_place<'d, 'm, S: SkippedKeyStore>(
        &'d mut self,
        message: &'m mut [u8],
    ) -> Result<Pending<'d, &'m mut [u8], P, C, S>, AcceptError> {
        self.open_held(message)
    }

    /// Not inlined, because otherwise the copy that the result leaves would be in the caller's frame, which is still in
    /// use when the pending message is dropped.
    #[cfg_attr(target_pointer_width = "64", inline(never))]
    fn open_held<M: AsRef<[u8]>, S: SkippedKeyStore>(
        &mut self,
        message: M,
    ) -> Result<Pending<'_, M, P, C, S>, AcceptError> {
        wipe::wipe_stack_around::<{ wipe::HANDSHAKE }, _>(|| {
            self.primitives.step("HS-R1");
            let bytes = message.as_ref();
            let (handshake, _) = bytes.split_first_chunk::<HANDSHAKE_LEN>().ok_or(AcceptError::Refused)?;
            let handshake = Handshake::parse(handshake).map_err(|_| AcceptError::Refused)?;
            let (at, signed) = self.find_signed(handshake.signed_prekey_id)?;
            let prekey = match handshake.one_time_prekey_id {
                Some(id) => UsedPrekey::OneTime { at: self.find_one_time(id)? },
                None => {
                    let digest = handshake_digest(&self.primitives, handshake.ephemeral_key.as_bytes());
                    signed.check_last_resort(&digest)?;
                    UsedPrekey::LastResort { signed: at, digest }
                }
            };
            let one_time = match prekey {
                UsedPrekey::OneTime { at } => self.one_time_prekeys.get(at).map(|prekey| &prekey.pair),
                UsedPrekey::LastResort { .. } => None,
            };
            let (agreed, remote) = wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
                handshake::respond(&self.primitives, &self.identity, &signed.pair, one_time, &handshake)
            })?;
            let ratchet = wipe::wipe_stack_after::<{ wipe::COMMIT }, _>(|| {
                let pair = signed.pair.dh.duplicate();
                TripleRatchet::responder(&self.primitives, agreed.keys, pair, handshake.chunk_size)
            });
            let session = Session {
                primitives: self.primitives.clone(),
                parties: Some(Parties { local: *self.identity(), remote }),
                associated_data: agreed.associated_data,
                id: agreed.id,
                exporter: Exporter::new(agreed.exporter),
                opening: Opening::Accepted(self.primitives.sha256(&[handshake.bytes])),
                ratchet,
            };
            // Of the new session's header keys, only NHKr can open it.
            let head = session.open_head(bytes)?;
            let wiped = wipe::WipeStackOnDrop;
            Ok(Pending { device: self, message, remote, session, head, prekey, wiped })
        })
    }

    fn find_signed(&self, id: PrekeyId) -> Result<(SignedAt, &SignedPrekey<C>), AcceptError> {
        if self.signed_prekey.pair.id == id {
            return Ok((SignedAt::Current, &self.signed_prekey));
        }
        let mut previous = self.previous_signed_prekeys.iter().enumerate();
        let (at, found) = previous.find(|(_, signed)| signed.pair.id == id).ok_or(AcceptError::PrekeyGone)?;
        Ok((SignedAt::Previous(at), found))
    }

    fn find_one_time(&self, id: PrekeyId) -> Result<usize, AcceptError> {
        self.one_time_prekeys.iter().position(|prekey| prekey.pair.id == id).ok_or(AcceptError::PrekeyGone)
    }

    /// HS-R7: makes sure that no copy of the message is accepted.
    fn use_up(&mut self, prekey: UsedPrekey) {
        self.primitives.step("HS-R7");
        wipe::wipe_stack_after::<{ wipe::CURVE }, _>(|| match prekey {
            UsedPrekey::OneTime { at } => self.one_time_prekeys.remove_swapping(at),
            UsedPrekey::LastResort { signed, digest } => {
                let signed = match signed {
                    SignedAt::Current => Some(&mut self.signed_prekey),
                    SignedAt::Previous(at) => self.previous_signed_prekeys.get_mut(at),
                };
                // There is space: it was checked before the work, and the device was borrowed since.
                let _ = signed.map(|signed| signed.replay_record.push(digest));
            }
        });
    }
}

impl<M, P: Primitives, C: Capacities, S: SkippedKeyStore> Pending<'_, M, P, C, S> {
    /// Returns the author's identity, which handshake and header authenticate. The caller must map it to a name.
    #[must_use]
    pub const fn remote_identity(&self) -> &Identity {
        &self.remote
    }

    /// Returns whether the message used a one-time prekey. Without one, a thief of this device can read the session's
    /// first messages until the signed prekey's last-resort key is deleted (PQXDH rev 3 §4.6).
    #[must_use]
    pub const fn used_one_time_prekey(&self) -> bool {
        matches!(self.prekey, UsedPrekey::OneTime { .. })
    }

    /// Returns how many messages this one skips: those that its author sent before it and that have not arrived. Each
    /// costs a step of both chains when the message is accepted. See [`Session::peek`].
    #[must_use]
    pub fn skips(&self) -> u32 {
        self.session.skips(&self.head)
    }

    /// Uses the prekey up without a session: a one-time prekey is deleted, otherwise the handshake enters the replay
    /// record. No copy of the message can be opened after that. Save the device.
    pub fn refuse(self) {
        self.device.primitives.step("HS-R9");
        self.device.use_up(self.prekey);
    }

    /// Returns the message.
    #[cfg(feature = "alloc")]
    pub(crate) const fn message(&self) -> &M {
        &self.message
    }
}

#[cfg(feature = "alloc")]
impl<'d, P: Primitives, C: Capacities, S: SkippedKeyStore> Pending<'d, &[u8], P, C, S> {
    /// Decrypts the body into a new `Vec` and returns the new session with the message.
    ///
    /// If the message used a one-time prekey, that key is deleted. Save the device *and* the session, in one
    /// transaction, before showing the plaintext.
    ///
    /// # Errors
    /// [`AcceptFailed`] with [`Refused`](AcceptError::Refused) if the associated data is not the sender's or the body
    /// is damaged, or with [`TooManySkipped`](AcceptError::TooManySkipped). The device is unchanged, and the pending
    /// message comes back.
    ///
    /// # Leaks
    /// Length, and success or failure.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is as large")]
    pub fn accept(self, associated_data: &[u8]) -> Result<AcceptedSession<P, S, Vec<u8>>, AcceptFailed<Self>> {
        self.accept_with_device(associated_data).map(|(session, opened, _)| (session, opened))
    }

    /// The first half of `accept`: decrypts the body into a new `Vec`. The device is unchanged.
    pub(crate) fn decrypt(&mut self, associated_data: &[u8]) -> Result<Opened<Vec<u8>>, DecryptError> {
        let (tag, body) = split_body(self.message, self.head.body_at).ok_or(DecryptError::Refused)?;
        let mut plaintext = body.to_vec();
        let len = self.session.open_body(&self.head, tag, &mut plaintext, associated_data)?;
        plaintext.truncate(len);
        Ok(Opened { plaintext, number: self.head.number(), is_control: self.head.is_control() })
    }

    /// The second half of `accept`, after [`decrypt`](Self::decrypt): uses the prekey up.
    pub(crate) fn commit(self) -> Session<P, S> {
        let Self { device, message: _, remote: _, session, head: _, prekey, wiped: _ } = self;
        device.use_up(prekey);
        session
    }

    /// Does the same as [`refuse`](Self::refuse) and gives the device back.
    pub(crate) fn refuse_with_device(self) -> &'d Device<P, C> {
        self.device.primitives.step("HS-R9");
        self.device.use_up(self.prekey);
        self.device
    }

    /// Does the same as `accept` and gives the device back.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is as large")]
    #[cfg_attr(target_pointer_width = "64", inline(never))]
    pub(crate) fn accept_with_device(
        mut self,
        associated_data: &[u8],
    ) -> Result<AcceptedWithDevice<'d, P, C, S>, AcceptFailed<Self>> {
        let opened =
            split_body(self.message, self.head.body_at).ok_or(DecryptError::Refused).and_then(|(tag, body)| {
                let mut plaintext = body.to_vec();
                let len = self.session.open_body(&self.head, tag, &mut plaintext, associated_data)?;
                plaintext.truncate(len);
                Ok(plaintext)
            });
        let plaintext = match opened {
            Ok(plaintext) => plaintext,
            Err(error) => return Err(AcceptFailed { error: error.into(), pending: self }),
        };
        let Self { device, message: _, remote: _, session, head, prekey, wiped: _ } = self;
        device.use_up(prekey);
        Ok((session, Opened { plaintext, number: head.number(), is_control: head.is_control() }, device))
    }
}

impl<'m, P: Primitives, C: Capacities, S: SkippedKeyStore> Pending<'_, &'m mut [u8], P, C, S> {
    /// Decrypts the body in place and returns the new session with the message. The plaintext is a part of the message.
    /// Otherwise it behaves as `accept`.
    ///
    /// # Errors
    /// [`AcceptFailed`] with [`Refused`](AcceptError::Refused) if the associated data is not the sender's or the body
    /// is damaged, or with [`TooManySkipped`](AcceptError::TooManySkipped). The device is unchanged, and the pending
    /// message comes back. The message is unchanged too, unless its body is authentic and its padding false: then it is
    /// wiped.
    ///
    /// # Leaks
    /// Length, and success or failure.
    #[expect(clippy::result_large_err, reason = "the session that is returned otherwise is as large")]
    #[cfg_attr(target_pointer_width = "64", inline(never))]
    pub fn accept_in_place(
        mut self,
        associated_data: &[u8],
    ) -> Result<AcceptedSession<P, S, &'m mut [u8]>, AcceptFailed<Self>> {
        let opened = split_body_mut(self.message, self.head.body_at)
            .ok_or(DecryptError::Refused)
            .and_then(|(tag, body)| self.session.open_body(&self.head, tag, body, associated_data));
        let len = match opened {
            Ok(len) => len,
            Err(error) => return Err(AcceptFailed { error: error.into(), pending: self }),
        };
        // Before `use_up`: otherwise the compiler copies the session once more on a Cortex-M.
        let Self { device, message, remote: _, session, head, prekey, wiped: _ } = self;
        device.use_up(prekey);
        // It was split in the same way before.
        let body: &mut [u8] = split_body_mut(message, head.body_at).map_or(&mut [], |(_, body)| body);
        let plaintext = body.split_at_mut_checked(len).map_or(&mut [][..], |(plaintext, _)| plaintext);
        Ok((session, Opened { plaintext, number: head.number(), is_control: head.is_control() }))
    }
}

impl<C: Capacities> SignedPrekey<C> {
    /// Checks that there is a last-resort key and that the handshake is new to it. The record never forgets an entry:
    /// when it is full, it refuses.
    fn check_last_resort(&self, digest: &HandshakeDigest) -> Result<(), AcceptError> {
        if !self.has_last_resort {
            return Err(AcceptError::PrekeyGone);
        }
        if self.replay_record.contains(digest) {
            return Err(AcceptError::Repeated);
        }
        if self.replay_record.is_full() { Err(AcceptError::ReplayRecordFull) } else { Ok(()) }
    }
}

/// Shows neither a key nor the author.
impl<M, P, C: Capacities, S> fmt::Debug for Pending<'_, M, P, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(..)")
    }
}

impl<T> From<AcceptFailed<T>> for AcceptError {
    fn from(failed: AcceptFailed<T>) -> Self {
        failed.error
    }
}

impl<T> fmt::Debug for AcceptFailed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, pending: _ } = self;
        f.debug_struct("AcceptFailed").field("error", error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for AcceptFailed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> core::error::Error for AcceptFailed<T> {}
