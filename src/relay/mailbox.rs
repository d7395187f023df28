// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mailbox: opaque envelopes until they are acknowledged.

use super::{Held, Public, RelayError, write_bytes};
use crate::wire::{FIRST_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD, is_first_message};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Bytes of the longest envelope: what a phone sends in one piece. Larger things go in parts.
pub const MAX_ENVELOPE_LEN: usize = 16 << 20;
/// Envelopes that wait for one account: weeks of absence.
pub const MAX_QUEUE_LEN: usize = 10_000;
/// Bytes that wait for one account.
pub const MAX_QUEUE_BYTES: usize = 256 << 20;

/// A message as the server sees it: bytes of a version and kind that it knows, and nothing that it can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope(Vec<u8>);

impl Envelope {
    /// Takes a message. Nothing but a message fits: its first byte and its length are checked.
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

    /// The message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An envelope with the number to acknowledge it by.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The mailbox's number for it.
    pub number: u64,
    /// The envelope.
    pub envelope: &'a Envelope,
}

#[derive(Clone, Debug)]
struct Waiting {
    number: Held<u64>,
    time: Held<u64>,
    envelope: Held<Envelope>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox {
    /// Oldest first, by ascending number.
    queue: VecDeque<Waiting>,
    next_number: Option<Held<u64>>,
}

impl Mailbox {
    pub(super) fn deliver(&mut self, envelope: Envelope, now: u64) -> Result<(), RelayError> {
        let bytes = self.sizes().fold(envelope.0.len(), |sum, (_, size)| sum.saturating_add(size));
        if self.queue.len() >= MAX_QUEUE_LEN || bytes > MAX_QUEUE_BYTES {
            return Err(RelayError::MailboxFull);
        }
        let number = self.next_number.as_ref().map_or(0, |next| next.0);
        self.next_number = Some(Held(number.checked_add(1).ok_or(RelayError::MailboxFull)?));
        self.queue.push_back(Waiting { number: Held(number), time: Held(now), envelope: Held(envelope) });
        Ok(())
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = Received<'_>> {
        self.queue.iter().map(|waiting| Received { number: waiting.number.0, envelope: &waiting.envelope.0 })
    }

    pub(super) fn acknowledge(&mut self, number: u64) -> bool {
        let found = self.queue.binary_search_by_key(&number, |waiting| waiting.number.0);
        found.is_ok_and(|at| self.queue.remove(at).is_some())
    }

    /// Time and size of what waits.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (u64, usize)> {
        self.queue.iter().map(|waiting| (waiting.time.0, waiting.envelope.0.0.len()))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { queue, next_number } = self;
        let mut bytes = Vec::new();
        for Waiting { number, time, envelope } in queue {
            number.0.write(&mut bytes);
            time.0.write(&mut bytes);
            envelope.0.write(&mut bytes);
        }
        write_bytes(&bytes, out);
        next_number.as_ref().map_or(0, |next| next.0).write(out);
    }
}
