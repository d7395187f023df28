// SPDX-License-Identifier: MIT OR Apache-2.0
//! The attacker's events in a [`Simulation`]: forgeries, copies, messages of other sessions, and restoring sessions
//! from wrong snapshots.

use super::endpoint::Endpoint;
use super::event::{Event, Tampering, pick};
use super::model::Expectation;
use super::side::Side;
use super::simulation::{Sent, Simulation, associated_data};
use super::violation::{Claim, Violation};
use noescrow::error::{DecryptError, RestoreError};
use noescrow::primitives::TAG_LEN;
use noescrow::{Payload, Sealed};
use rand_core::CryptoRng;

/// First byte of a first message, and of every other message (spec/protocol.md §9).
const TYPE_FIRST: u8 = 0x11;
/// Bytes of the body's ciphertext that the header's AEAD covers (§9.4).
const COVERED_LEN: usize = 4_096;
const TYPE_MESSAGE: u8 = 0x12;
/// Snapshots kept of each side.
const MAX_SAVED: usize = 8;

impl<E: Endpoint, R: CryptoRng> Simulation<E, R> {
    /// Applies the events that [`step`](Self::step) leaves to this module; the others do nothing here.
    pub(crate) fn attack(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Tamper { to, message, place, tampering } => {
                self.forge(to, message, |bytes, rng| tamper(bytes, place, tampering, rng))
            }
            Event::Splice { to, message, body } => {
                let Some(donor) = self.message_to(to, body) else { return Ok(()) };
                let (_, body) = donor.bytes.split_at(self.head_len(&donor.bytes));
                let body = body.to_vec();
                let Some(head) = self.message_to(to, message).map(|sent| self.head_len(&sent.bytes)) else {
                    return Ok(());
                };
                self.forge(to, message, |bytes, _| splice(bytes, head, &body))
            }
            Event::Replay { to, message } => {
                let opened = self.opened_by.of(to);
                match pick(message, opened.len()).and_then(|at| opened.get(at).copied()) {
                    Some(id) => self.deliver(to, id),
                    None => Ok(()),
                }
            }
            Event::Reflect { to, message } => {
                let Some(sent) = self.message_to(to.other(), message) else { return Ok(()) };
                let (bytes, ad) = (sent.bytes.clone(), associated_data(sent.associated_data));
                self.refuse(to, &bytes, ad, DecryptError::Refused, Claim::MustNotOpen)
            }
            Event::WrongAssociatedData { to, message, by } => {
                let Some(sent) = self.message_to(to, message) else { return Ok(()) };
                let bytes = sent.bytes.clone();
                let wrong = sent.associated_data.wrapping_add((by % 15).saturating_add(1));
                let sent = sent.clone();
                let expected = self.expected_after_header(to, &sent);
                self.refuse(to, &bytes, associated_data(wrong), expected, Claim::MustNotOpen)
            }
            Event::CrossSession { to } => self.cross(to),
            Event::Noise { to, length, kind } => {
                let mut bytes = std::vec![0; usize::from(length & 0xFFF)];
                self.rng.fill_bytes(&mut bytes);
                if let (Some(first), Some(kind)) =
                    (bytes.first_mut(), [TYPE_FIRST, TYPE_MESSAGE].get(usize::from(kind & 3)))
                {
                    *first = *kind;
                }
                self.refuse(to, &bytes, b"", DecryptError::Refused, Claim::MustNotOpen)
            }
            Event::Snapshot { side } => {
                self.save(side);
                Ok(())
            }
            Event::Restore { side } => {
                let before = self.ends.of(side).save(0);
                let newest = self.save(side);
                self.restore(side, &newest, &before)
            }
            Event::Crash { side } => {
                let before = self.ends.of(side).save(0);
                let newest = self.save(side);
                let lost = self.ends.of_mut(side).encrypt(b"never leaves", &mut self.rng);
                self.claim(Claim::Sends, lost.is_ok())?;
                self.restore(side, &newest, &before)
            }
            Event::Rollback { side, age } => self.roll_back(side, age),
            Event::Damage { side, place } => {
                let mut bytes = self.save(side);
                if let Some(byte) = pick(place, bytes.len()).and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 1;
                }
                self.refuse_snapshot(side, &bytes, RestoreError::Refused, Claim::RefusesDamage)
            }
            Event::Send { .. }
            | Event::Burst { .. }
            | Event::Deliver { .. }
            | Event::DeliverAll { .. }
            | Event::Drop { .. }
            | Event::Duplicate { .. }
            | Event::Reorder { .. }
            | Event::Publish { .. }
            | Event::Rotate { .. }
            | Event::DeletePrevious { .. }
            | Event::Fetch { .. }
            | Event::Initiate { .. }
            | Event::Arrive { .. }
            | Event::Mix { .. } => Ok(()),
        }
    }

    /// Length of everything before the body.
    fn head_len(&self, bytes: &[u8]) -> usize {
        let overhead = match bytes.first() {
            Some(&TYPE_FIRST) => self.chunk_size.first_message_overhead(),
            _ => self.chunk_size.message_overhead(),
        };
        overhead.saturating_sub(TAG_LEN).min(bytes.len())
    }

    fn message_to(&self, to: Side, message: u16) -> Option<&Sent> {
        let all = self.sent_to.of(to);
        pick(message, all.len()).and_then(|at| all.get(at)).and_then(|id| self.sent.get(*id))
    }

    /// Delivers a changed copy. If the change leaves the copy equal, nothing is delivered: an equal copy would open.
    fn forge(
        &mut self,
        to: Side,
        message: u16,
        change: impl FnOnce(&[u8], &mut R) -> Vec<u8>,
    ) -> Result<(), Violation> {
        let Some(sent) = self.message_to(to, message).cloned() else { return Ok(()) };
        let forged = change(&sent.bytes, &mut self.rng);
        if forged == sent.bytes {
            return Ok(());
        }
        let covered = self.head_len(&sent.bytes).saturating_add(TAG_LEN + COVERED_LEN).min(sent.bytes.len());
        let genuine_header = forged.len() == sent.bytes.len() && forged.get(..covered) == sent.bytes.get(..covered);
        let expected = if genuine_header { self.expected_after_header(to, &sent) } else { DecryptError::Refused };
        self.refuse(to, &forged, associated_data(sent.associated_data), expected, Claim::MustNotOpen)
    }

    /// The expected error where the header opens and the body does not: what the header shows is checked before.
    fn expected_after_header(&mut self, to: Side, sent: &Sent) -> DecryptError {
        self.sync_epoch(to);
        match self.model.of(to).expectation(&sent.label) {
            Expectation::TooManySkipped => DecryptError::TooManySkipped,
            Expectation::KeyGone => DecryptError::KeyGone,
            Expectation::Opens | Expectation::Refused => DecryptError::Refused,
        }
    }

    /// Delivers a message of the other session here and one of this session there, then the first one where it belongs.
    fn cross(&mut self, to: Side) -> Result<(), Violation> {
        let mut plaintext = [0; 32];
        self.rng.fill_bytes(&mut plaintext);
        let Ok(bytes) = self
            .other
            .of_mut(to.other())
            .encrypt(Payload { plaintext: &plaintext, associated_data: b"other", ..Payload::default() }, &mut self.rng)
        else {
            // Bob cannot send there before he has received; he received in the handshake.
            return Err(self.violation(Claim::Sends));
        };
        self.refuse(to, &bytes, b"other", DecryptError::Refused, Claim::MustNotOpen)?;
        if let Some(foreign) = self.message_to(to, u16::MAX).cloned() {
            let ad = associated_data(foreign.associated_data);
            let before = self.other.of(to).save(0);
            let outcome = self.other.of_mut(to).decrypt(Sealed { message: &foreign.bytes, associated_data: ad });
            self.claim(Claim::MustNotOpen, outcome.is_err())?;
            self.claim(Claim::TheRightError, outcome == Err(DecryptError::Refused))?;
            self.claim(Claim::ErrorLeavesState, before == self.other.of(to).save(0))?;
        }
        let opened = self.other.of_mut(to).decrypt(Sealed { message: &bytes, associated_data: b"other" });
        self.claim(Claim::OtherSessionContinues, opened.is_ok_and(|opened| opened == plaintext))
    }

    /// Saves under the next generation.
    fn save(&mut self, side: Side) -> Vec<u8> {
        let generation = self.generation.of_mut(side);
        *generation = generation.saturating_add(1);
        let bytes = self.ends.of(side).save(*generation);
        let saved = self.saved.of_mut(side);
        if saved.len() == MAX_SAVED {
            saved.pop_front();
        }
        saved.push_back(bytes.clone());
        bytes
    }

    fn restore(&mut self, side: Side, newest: &[u8], before: &[u8]) -> Result<(), Violation> {
        let Ok(end) = self.ends.of(side).reload(newest, *self.generation.of(side)) else {
            return Err(self.violation(Claim::Restores));
        };
        self.claim(Claim::Restores, end.save(0) == before)?;
        *self.ends.of_mut(side) = end;
        self.report.restored = self.report.restored.saturating_add(1);
        Ok(())
    }

    fn roll_back(&mut self, side: Side, age: u16) -> Result<(), Violation> {
        while self.saved.of(side).len() < 2 {
            self.save(side);
        }
        let saved = self.saved.of(side);
        let older = saved.len().saturating_sub(1);
        let Some(bytes) = pick(age, older).and_then(|at| saved.get(at)).cloned() else { return Ok(()) };
        self.refuse_snapshot(side, &bytes, RestoreError::Rollback, Claim::RefusesRollback)
    }

    fn refuse_snapshot(
        &mut self,
        side: Side,
        bytes: &[u8],
        expected: RestoreError,
        claim: Claim,
    ) -> Result<(), Violation> {
        let outcome = self.ends.of(side).reload(bytes, *self.generation.of(side));
        self.claim(claim, outcome.is_err_and(|error| error == expected))?;
        self.report.snapshots_refused = self.report.snapshots_refused.saturating_add(1);
        Ok(())
    }
}

fn tamper(bytes: &[u8], place: u16, tampering: Tampering, rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    let Some(at) = pick(place, forged.len()) else { return forged };
    match tampering {
        Tampering::Flip { bit } => {
            if let Some(byte) = forged.get_mut(at) {
                *byte ^= 1u8.rotate_left(u32::from(bit));
            }
        }
        Tampering::Truncate => forged.truncate(at),
        Tampering::Extend => {
            let mut end = std::vec![0; usize::from(place & 63).saturating_add(1)];
            rng.fill_bytes(&mut end);
            forged.append(&mut end);
        }
        Tampering::ReplaceType => {
            if let (Some(first), [_, low]) = (forged.first_mut(), place.to_be_bytes()) {
                *first ^= low.max(1);
            }
        }
    }
    forged
}

/// The first `head_len` bytes of `bytes`, followed by another body.
fn splice(bytes: &[u8], head_len: usize, body: &[u8]) -> Vec<u8> {
    let (head, _) = bytes.split_at(head_len);
    [head, body].concat()
}
