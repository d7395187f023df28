// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Core`]: what the messenger stores of itself. Every step writes its core row, so that its generation is that of the
//! whole store, and two processes never both commit. The peers' ids are in pages, which change with the set of peers.

use super::PeerId;
use super::error::{Refusal, Suspicion};
use super::restored::Restored;
use super::stored::len_u8;
use crate::device::clock::{Clock, Correction};
use crate::durable::{self, Durably};
use crate::error::{DecodeError, RestoreError};
use crate::primitives::Primitives;
use crate::snapshot::{Content, MESSENGER_ROW, PEER_ID_LEN, Part, RowName, SUBJECT_LEN, Stored, Subject, refused};
use crate::time::UnixSeconds;
use crate::wire::{Full, Reader, Writer};
use alloc::vec::Vec;

/// Number of peers' ids in a row: 16 KiB. Every save hashes the names of all rows, so there are few: 98 with 100,000
/// peers.
const PEERS_OF_A_PAGE: usize = 1_024;

/// How many messages were refused, by reason, since the messenger was made. They tell an operator that something is
/// wrong, and nothing about any message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters(pub(super) [u64; Refusal::ALL.len()]);

impl Counters {
    /// Returns how many messages were refused for this reason.
    #[must_use]
    pub fn of(&self, reason: Refusal) -> u64 {
        let mut counts = Refusal::ALL.iter().zip(self.0);
        counts.find(|(of, _)| **of == reason).map_or(0, |(_, count)| count)
    }

    /// Returns every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + use<> {
        Refusal::ALL.into_iter().zip(self.0)
    }

    pub(super) fn count(&mut self, reason: Refusal) {
        let mut counts = Refusal::ALL.iter().zip(&mut self.0);
        if let Some((_, count)) = counts.find(|(of, _)| **of == reason) {
            *count = count.saturating_add(1);
        }
    }
}

/// A correction of the clock, and the present time, which no time may exceed.
#[derive(Clone, Copy)]
pub(super) struct Corrected {
    correction: Correction,
    now: UnixSeconds,
}

impl Corrected {
    pub(super) fn apply(self, time: &mut UnixSeconds) {
        self.correction.apply(time);
        *time = self.now.min(*time);
    }
}

/// What is stored of the messenger itself.
pub(super) struct Core<P> {
    pub(super) primitives: P,
    pub(super) subject: Subject,
    /// The generation of the device's rows: older ones are refused.
    pub(super) device_generation: u64,
    /// A number that each step raises, so that each writes the core row.
    pub(super) steps: u64,
    pub(super) counters: Counters,
    /// The messenger's own clock, which follows the caller's readings.
    pub(super) clock: Clock,
    /// The latest time of a step. The next one's is not before it, unless the clock was corrected.
    reached: UnixSeconds,
    /// Why the store seems to have been put back to an earlier state.
    pub(super) suspicion: Option<Suspicion>,
    /// Since when the new sessions of a day are counted, and how many there were.
    pub(super) recoveries: (UnixSeconds, u32),
    pub(super) restored: Restored,
    /// In no order.
    peers: Vec<[u8; PEER_ID_LEN]>,
    /// For each page of peers a number that changes with it.
    stamps: Vec<u64>,
}

impl<P> Core<P> {
    pub(super) fn new(primitives: P, subject: Subject, clock: Clock) -> Self {
        Self {
            primitives,
            subject,
            device_generation: 0,
            steps: 0,
            counters: Counters([0; Refusal::ALL.len()]),
            clock,
            reached: UnixSeconds(0),
            suspicion: None,
            recoveries: (UnixSeconds(0), 0),
            restored: Restored::default(),
            peers: Vec::new(),
            stamps: Vec::new(),
        }
    }

    /// The messenger's own time if the caller's reading is this. One wrong reading moves it by a day at most. While the
    /// clock stands still after a long absence, the seconds since its first reading count, so that a limit of an hour ends
    /// after an hour; they never go back, so that a clock that alternates lifts no limit twice.
    pub(super) fn time(&self, reading: UnixSeconds) -> UnixSeconds {
        let (mut clock, mut reached) = (self.clock, self.reached);
        clock.read(reading).apply(&mut reached);
        clock.elapsed_to(reading).max(reached)
    }

    /// Returns the correction that this reading brings. Who compares a time without having read the clock applies it.
    pub(super) fn correction(&self, reading: UnixSeconds) -> Option<Corrected> {
        let mut clock = self.clock;
        let correction = clock.read(reading);
        (correction != Correction::None).then(|| Corrected { correction, now: self.time(reading) })
    }

    /// Takes a reading. Apply the correction, if there is one, to every time that is stored.
    pub(super) fn read(&mut self, reading: UnixSeconds) -> Option<Corrected> {
        let (now, corrected) = (self.time(reading), self.correction(reading));
        let _ = self.clock.read(reading);
        self.reached = now;
        let corrected = corrected?;
        corrected.apply(&mut self.recoveries.0);
        self.restored.correct(corrected);
        Some(corrected)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.peers.iter().copied().map(PeerId)
    }

    pub(super) fn add(&mut self, peer: PeerId) {
        self.peers.push(peer.0);
        self.touch(self.peers.len().saturating_sub(1));
    }

    pub(super) fn remove(&mut self, peer: PeerId) {
        if let Some(at) = self.peers.iter().position(|of| *of == peer.0) {
            let last = self.peers.len().saturating_sub(1);
            self.peers.swap_remove(at);
            self.touch(at);
            self.touch(last);
        }
    }

    /// Marks the page of this peer as changed.
    fn touch(&mut self, at: usize) {
        let page = at / PEERS_OF_A_PAGE;
        if self.stamps.len() <= page {
            self.stamps.resize(page.saturating_add(1), 0);
        }
        if let Some(stamp) = self.stamps.get_mut(page) {
            *stamp = stamp.wrapping_add(1);
        }
    }

    fn load_core(primitives: P, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let subject = Subject::from_bytes(reader.array::<SUBJECT_LEN>()?)?;
        let mut core = Self::new(primitives, subject, Clock::load(reader)?);
        core.reached = UnixSeconds(reader.u64()?);
        core.suspicion = Suspicion::from_code(reader.u8()?)?;
        core.device_generation = reader.u64()?;
        core.steps = reader.u64()?;
        core.recoveries = (UnixSeconds(reader.u64()?), reader.u32()?);
        core.restored = Restored::load(reader)?;
        // A release that counts other reasons has another version of the row.
        if usize::from(reader.u8()?) != core.counters.0.len() || !subject.is_messenger() {
            return Err(DecodeError::Refused);
        }
        for count in &mut core.counters.0 {
            *count = reader.u64()?;
        }
        while let Some(name) = RowName::next_of(RowName::MESSENGER, reader)? {
            let is_next =
                usize::try_from(name.id()).is_ok_and(|id| id.checked_mul(PEERS_OF_A_PAGE) == Some(core.peers.len()));
            if !is_next || name.page() != 0 || reader.peek().is_none() {
                return Err(DecodeError::Refused);
            }
            for _ in 0..PEERS_OF_A_PAGE {
                // A page is followed by the name of another one, or by nothing.
                if reader.peek().is_none() {
                    break;
                }
                core.add(PeerId(*reader.array()?));
            }
        }
        Ok(core)
    }
}

impl<P: Primitives> Stored<P> for Core<P> {
    const KIND: u8 = MESSENGER_ROW;
    const ROW_KIND: u8 = MESSENGER_ROW;

    fn primitives(&self) -> &P {
        &self.primitives
    }

    fn subject(&self) -> Subject {
        self.subject
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let pages = (0..).zip(self.peers.chunks(PEERS_OF_A_PAGE)).zip(&self.stamps);
        pages.map(|((page, peers), stamp)| Part {
            name: RowName::new(RowName::MESSENGER, page, 0),
            content: Content::Bytes { bytes: peers.as_flattened(), stamp: *stamp },
        })
    }

    fn core_len(&self) -> usize {
        const FIXED: usize = SUBJECT_LEN + 8 + 1 + 8 + 8 + 12 + 1 + 8 * Refusal::ALL.len();
        self.clock.stored_len().saturating_add(self.restored.stored_len()).saturating_add(FIXED)
    }

    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(&self.subject.to_bytes())?;
        self.clock.store(writer)?;
        writer.u64(self.reached.0)?;
        writer.u8(Suspicion::code(self.suspicion))?;
        writer.u64(self.device_generation)?;
        writer.u64(self.steps)?;
        writer.u64(self.recoveries.0.0)?;
        writer.u32(self.recoveries.1)?;
        self.restored.store(writer)?;
        writer.u8(len_u8(self.counters.0.len())?)?;
        self.counters.0.iter().try_for_each(|count| writer.u64(*count))
    }

    fn load(primitives: P, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Self::load_core(primitives, reader).map_err(refused)
    }
}

impl<P: Primitives> durable::Restored for Core<P> {
    type Primitives = P;
}

impl<P: Primitives> Durably for Core<P> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrected_time_is_not_after_the_present() {
        let correction = Correction::Later { from: UnixSeconds(100), by: 50 };
        let corrected = Corrected { correction, now: UnixSeconds(160) };
        let apply = |mut time| {
            corrected.apply(&mut time);
            time
        };
        // Taken after the correction, and before it.
        assert_eq!((apply(UnixSeconds(160)), apply(UnixSeconds(105))), (UnixSeconds(160), UnixSeconds(155)));
        // Control: the correction alone moves the first one, too.
        let mut time = UnixSeconds(160);
        correction.apply(&mut time);
        assert_eq!(time, UnixSeconds(210));
    }
}
