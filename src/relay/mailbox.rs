// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mailbox: opaque envelopes, stored until they are acknowledged.

use super::account::is_over;
use super::error::RelayError;
use super::period::Day;
use super::public::{Held, Public, impl_public, write_bytes};
use crate::time::UnixSeconds;
use crate::wire::{FIRST_MESSAGE_OVERHEAD, MESSAGE_OVERHEAD, is_first_message};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use rand_core::CryptoRng;

/// Length in bytes of the longest envelope, 16 MiB: what a phone sends in one piece. Larger data is sent in parts.
pub const MAX_ENVELOPE_LEN: usize = 16 << 20;
/// Maximum number of envelopes with the access key that are queued for one account: weeks of absence.
pub const MAX_QUEUE_LEN: usize = 10_000;
/// Maximum number of bytes in envelopes with the access key that are queued for one account, 256 MiB.
pub const MAX_QUEUE_BYTES: usize = 256 << 20;
/// Maximum number of first messages without the access key that are queued for one account, as many as strangers have
/// conversations at a time.
pub const MAX_STRANGERS_LEN: usize = 256;
/// Maximum number of bytes in first messages without the access key that are queued for one account, 1 MiB: twice the
/// overhead of as many.
pub const MAX_STRANGERS_BYTES: usize = 1 << 20;

/// A message as the server sees it: bytes of a known version and kind whose content it cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope(Vec<u8>);

impl Envelope {
    /// Wraps a message. Only messages are accepted: the first byte and the length are checked.
    ///
    /// # Errors
    /// [`RelayError::BadEnvelope`], or [`RelayError::EnvelopeTooLong`] with more than [`MAX_ENVELOPE_LEN`] bytes.
    pub fn new(message: Vec<u8>) -> Result<Self, RelayError> {
        let shortest = match is_first_message(&message) {
            Ok(true) => FIRST_MESSAGE_OVERHEAD,
            Ok(false) => MESSAGE_OVERHEAD,
            Err(_) => return Err(RelayError::BadEnvelope),
        };
        // Padding adds at least one byte.
        if message.len() <= shortest {
            return Err(RelayError::BadEnvelope);
        }
        if message.len() > MAX_ENVELOPE_LEN {
            return Err(RelayError::EnvelopeTooLong);
        }
        Ok(Self(message))
    }

    fn is_first_message(&self) -> bool {
        is_first_message(&self.0).unwrap_or_default()
    }

    /// Returns the message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl_public! {
    Envelope => |envelope, out| {
        let Envelope(bytes) = envelope;
        write_bytes(bytes, out);
    };
}

/// An envelope with the number by which it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The envelope's random number. It tells neither how many envelopes came before nor their order.
    pub number: u64,
    /// The envelope.
    pub envelope: &'a Envelope,
}

#[derive(Clone, Debug)]
pub(super) struct QueuedEnvelope {
    pub(super) number: Held<u64>,
    /// For [`Mailbox::forget`].
    pub(super) day: Held<Day>,
    /// Whether it came with the access key, and thus which quota it counts against.
    pub(super) with_key: Held<bool>,
    pub(super) envelope: Held<Envelope>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox {
    /// Oldest first. The place in the queue is the only record of the order.
    pub(super) queue: VecDeque<QueuedEnvelope>,
}

impl Mailbox {
    pub(super) fn deliver(
        &mut self,
        envelope: Envelope,
        with_key: bool,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), RelayError> {
        if !with_key && !envelope.is_first_message() {
            return Err(RelayError::AccessKeyRequired);
        }
        // Not a full mailbox: it will never be taken without the key.
        if !with_key && envelope.0.len() > MAX_STRANGERS_BYTES {
            return Err(RelayError::EnvelopeTooLong);
        }
        let (most, most_bytes) = match with_key {
            true => (MAX_QUEUE_LEN, MAX_QUEUE_BYTES),
            false => (MAX_STRANGERS_LEN, MAX_STRANGERS_BYTES),
        };
        let same = self.queue.iter().filter(|queued| queued.with_key.0 == with_key);
        let (len, bytes) = same.fold((0usize, envelope.0.len()), |(len, bytes), queued| {
            (len.saturating_add(1), bytes.saturating_add(queued.envelope.0.0.len()))
        });
        if len >= most || bytes > most_bytes {
            return Err(RelayError::MailboxFull);
        }
        let mut number = rng.next_u64();
        // Ends after as many steps as there are envelopes, even if the generator is stuck.
        while self.queue.iter().any(|queued| queued.number.0 == number) {
            number = number.wrapping_add(1);
        }
        let (number, day) = (Held(number), Held(Day::of(now)));
        self.queue.push_back(QueuedEnvelope { number, day, with_key: Held(with_key), envelope: Held(envelope) });
        Ok(())
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = Received<'_>> {
        self.queue.iter().map(|queued| Received { number: queued.number.0, envelope: &queued.envelope.0 })
    }

    pub(super) fn acknowledge(&mut self, number: u64) -> bool {
        let found = self.queue.iter().position(|queued| queued.number.0 == number);
        found.is_some_and(|at| self.queue.remove(at).is_some())
    }

    pub(super) fn forget(&mut self, now: UnixSeconds) {
        self.queue.retain(|queued| !is_over(queued.day.0, now));
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { queue } = self;
        let mut bytes = Vec::new();
        for QueuedEnvelope { number, day, with_key, envelope } in queue {
            number.0.write(&mut bytes);
            day.0.write(&mut bytes);
            with_key.0.write(&mut bytes);
            envelope.0.write(&mut bytes);
        }
        write_bytes(&bytes, out);
    }
}
