// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mailbox: opaque envelopes, stored until they are acknowledged.

use super::error::RelayError;
use super::public::{Held, Public, impl_public, write_bytes};
use crate::time::UnixSeconds;
use crate::wire::{FIRST_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD, is_first_message};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Length in bytes of the longest envelope, 16 MiB: what a phone sends in one piece. Larger data is sent in parts.
pub const MAX_ENVELOPE_LEN: usize = 16 << 20;
/// Maximum number of envelopes queued for one account: weeks of absence.
pub const MAX_QUEUE_LEN: usize = 10_000;
/// Maximum number of bytes queued for one account, 256 MiB.
pub const MAX_QUEUE_BYTES: usize = 256 << 20;

/// A message as the server sees it: bytes of a known version and kind whose content it cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope(Vec<u8>);

impl Envelope {
    /// Wraps a message. Only messages are accepted: the first byte and the length are checked.
    ///
    /// # Errors
    /// [`RelayError::BadEnvelope`].
    pub fn new(message: Vec<u8>) -> Result<Self, RelayError> {
        let shortest = match is_first_message(&message) {
            Ok(true) => FIRST_MESSAGE_OVERHEAD,
            Ok(false) => MESSAGE_OVERHEAD,
            Err(_) => return Err(RelayError::BadEnvelope),
        };
        // Padding adds at least one byte.
        let fits = message.len() > shortest && message.len() <= MAX_ENVELOPE_LEN;
        if fits { Ok(Self(message)) } else { Err(RelayError::BadEnvelope) }
    }

    /// Returns the message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl_public! {
    Envelope => |envelope, out| write_bytes(envelope.as_bytes(), out);
}

/// An envelope with the number by which it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The envelope's number in its mailbox.
    pub number: u64,
    /// The envelope.
    pub envelope: &'a Envelope,
}

#[derive(Clone, Debug)]
struct QueuedEnvelope {
    number: Held<u64>,
    time: Held<UnixSeconds>,
    envelope: Held<Envelope>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox {
    /// Oldest first, by ascending number.
    queue: VecDeque<QueuedEnvelope>,
    next_number: Option<Held<u64>>,
}

impl Mailbox {
    pub(super) fn deliver(&mut self, envelope: Envelope, now: UnixSeconds) -> Result<(), RelayError> {
        let bytes = self.sizes().fold(envelope.0.len(), |sum, (_, size)| sum.saturating_add(size));
        if self.queue.len() >= MAX_QUEUE_LEN || bytes > MAX_QUEUE_BYTES {
            return Err(RelayError::MailboxFull);
        }
        let number = self.next_number.as_ref().map_or(0, |next| next.0);
        self.next_number = Some(Held(number.checked_add(1).ok_or(RelayError::MailboxFull)?));
        self.queue.push_back(QueuedEnvelope { number: Held(number), time: Held(now), envelope: Held(envelope) });
        Ok(())
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = Received<'_>> {
        self.queue.iter().map(|queued| Received { number: queued.number.0, envelope: &queued.envelope.0 })
    }

    pub(super) fn acknowledge(&mut self, number: u64) -> bool {
        let found = self.queue.binary_search_by_key(&number, |queued| queued.number.0);
        found.is_ok_and(|at| self.queue.remove(at).is_some())
    }

    /// Returns time and size of the queued envelopes.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (UnixSeconds, usize)> {
        self.queue.iter().map(|queued| (queued.time.0, queued.envelope.0.0.len()))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { queue, next_number } = self;
        let mut bytes = Vec::new();
        for QueuedEnvelope { number, time, envelope } in queue {
            number.0.write(&mut bytes);
            time.0.write(&mut bytes);
            envelope.0.write(&mut bytes);
        }
        write_bytes(&bytes, out);
        next_number.as_ref().map_or(0, |next| next.0).write(out);
    }
}
