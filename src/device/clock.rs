// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Clock`]: the device's own time, by which it deletes. It follows the caller's readings, of which any may be wrong: a
//! phone whose battery was empty says 1970, another one 2106.
//!
//! A reading moves the clock by at most [`CLOCK_STEP`]. A reading further away is a claim. A later reading confirms it if
//! it lies on the same side of the clock, at least one step and at most [`LIFETIME`] after the claim. Then the clock is
//! set one step after the claim, and the later reading, if it is further away still, is the next claim: so no reading
//! moves the clock further than a step beyond what another reading says. Times that were taken between claim and
//! confirmation are corrected. The same reading once more changes nothing, because several steps of one maintenance take
//! one reading.

use super::policy::{ABSENCE, CLOCK_STEP, LIFETIME};
use crate::error::DecodeError;
use crate::time::UnixSeconds;
use crate::wire::{Full, Reader, Writer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    now: UnixSeconds,
    /// Not in an `Option`: without a claim, its space would contain stale bytes of the stack, which would move with the
    /// device to the heap.
    claimed: Claim,
    has_claim: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    reading: UnixSeconds,
    /// The clock when the reading was claimed.
    base: UnixSeconds,
}

impl Claim {
    const ZERO: Self = Self { reading: UnixSeconds(0), base: UnixSeconds(0) };
}

/// What a reading changes in the times that were taken from the clock before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Correction {
    /// Nothing.
    None,
    /// Times from `from` on were taken while the clock was behind by `by` seconds.
    Later { from: UnixSeconds, by: u64 },
    /// The clock was ahead: no time is after `now`.
    AtMost { now: UnixSeconds },
}

impl Correction {
    pub(crate) fn apply(self, time: &mut UnixSeconds) {
        match self {
            Self::None => {}
            Self::Later { from, by } if *time >= from => *time = UnixSeconds(time.0.saturating_add(by)),
            Self::Later { .. } => {}
            Self::AtMost { now } => *time = now.min(*time),
        }
    }
}

impl Clock {
    pub(crate) const fn new(now: UnixSeconds) -> Self {
        Self { now, claimed: Claim::ZERO, has_claim: false }
    }

    const fn claim(&self) -> Option<Claim> {
        if self.has_claim { Some(self.claimed) } else { None }
    }

    pub(crate) const fn now(&self) -> UnixSeconds {
        self.now
    }

    /// Returns the time by which short periods are measured, if `reading` is the last one that the clock has taken. While
    /// it stands still because a reading is claimed, that is the clock and the seconds since the claim, less than
    /// [`CLOCK_STEP`]: what the correction will say if the claim is confirmed.
    #[cfg(feature = "alloc")]
    pub(crate) fn elapsed_to(&self, reading: UnixSeconds) -> UnixSeconds {
        let since = self.claim().map(|claim| reading.saturating_since(claim.reading));
        self.now.saturating_add(since.filter(|since| *since < CLOCK_STEP).unwrap_or_default())
    }

    /// Takes a reading. Apply the correction to every time that was taken from this clock.
    #[must_use]
    pub(crate) fn read(&mut self, reading: UnixSeconds) -> Correction {
        if self.claim().is_some_and(|claim| claim.reading == reading) {
            return Correction::None;
        }
        let (ahead, behind) = (reading.saturating_since(self.now), self.now.saturating_since(reading));
        if ahead <= CLOCK_STEP && behind <= CLOCK_STEP {
            self.now = self.now.max(reading);
            *self = Self::new(self.now);
            return Correction::None;
        }
        let is_later = reading > self.now;
        let confirmable = |claim: &Claim| claim.reading <= reading && (claim.reading > self.now) == is_later;
        if let Some(claim) = self.claim().filter(confirmable) {
            let waited = reading.saturating_since(claim.reading);
            if waited < CLOCK_STEP {
                return Correction::None;
            }
            if waited <= LIFETIME {
                let now = claim.reading.saturating_add(CLOCK_STEP);
                *self = match reading > now {
                    true => Self { now, claimed: Claim { reading, base: now }, has_claim: true },
                    false => Self::new(now),
                };
                let by = claim.reading.saturating_since(claim.base).as_secs();
                return match is_later {
                    true => Correction::Later { from: claim.base, by },
                    false => Correction::AtMost { now },
                };
            }
        }
        if is_later {
            self.now = self.now.saturating_add(CLOCK_STEP);
        }
        *self = Self { now: self.now, claimed: Claim { reading, base: self.now }, has_claim: true };
        Correction::None
    }

    /// Returns the clock as it would be after this reading.
    pub(crate) fn peek(mut self, reading: UnixSeconds) -> Self {
        let _ = self.read(reading);
        self
    }

    /// Returns the time from which the [`LIFETIME`] of a prekey counts that is made at this reading, which the clock has
    /// taken: the reading, but no earlier than the clock and at most [`ABSENCE`] later (PP-3).
    pub(super) fn made_at(&self, reading: UnixSeconds) -> UnixSeconds {
        reading.clamp(self.now, self.now.saturating_add(ABSENCE))
    }

    /// Returns whether a prekey with this expiry cannot have been made by this clock: the clock was set back since.
    pub(super) fn is_beyond(&self, expiry: UnixSeconds) -> bool {
        expiry > self.now.saturating_add(ABSENCE).saturating_add(LIFETIME)
    }

    /// Number of bytes that [`store`](Self::store) writes.
    pub(crate) const fn stored_len(&self) -> usize {
        match self.claim() {
            Some(_) => 8 + 1 + 16,
            None => 8 + 1,
        }
    }

    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u64(self.now.0)?;
        writer.u8(u8::from(self.has_claim))?;
        match self.claim() {
            Some(Claim { reading, base }) => writer.u64(reading.0).and_then(|()| writer.u64(base.0)),
            None => Ok(()),
        }
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let now = UnixSeconds(reader.u64()?);
        let claim = match reader.flag()? {
            true => Claim { reading: UnixSeconds(reader.u64()?), base: UnixSeconds(reader.u64()?) },
            false => return Ok(Self::new(now)),
        };
        // While a reading is only claimed, the clock stands still.
        if claim.base == now { Ok(Self { now, claimed: claim, has_claim: true }) } else { Err(DecodeError::Refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn clock() -> Clock {
        Clock::new(UnixSeconds(NOW))
    }

    #[test]
    fn one_absurd_reading_moves_the_clock_by_a_day() {
        for absurd in [0, NOW - 2 * DAY, NOW + 2 * DAY, NOW + 80 * 365 * DAY, u64::MAX] {
            let mut clock = clock();
            assert_eq!(clock.read(UnixSeconds(absurd)), Correction::None);
            assert!((NOW..=NOW + DAY).contains(&clock.now().0));
            // Repeated within a day, it moves the clock no further.
            let before = clock.now();
            for second in 1..100 {
                assert_eq!(clock.read(UnixSeconds(absurd.saturating_add(second))), Correction::None);
            }
            assert_eq!(clock.now(), before);
            // Right readings are followed again.
            for day in 1..5 {
                assert_eq!(clock.read(UnixSeconds(NOW + day * DAY)), Correction::None);
            }
            assert_eq!(clock.now().0, NOW + 4 * DAY);
        }
    }

    #[test]
    fn the_same_reading_once_more_changes_nothing() {
        // Less than two days ahead, a reading is near the clock after its own step.
        for readings in [&[101][..], &[102], &[98], &[110, 111], &[110, 112], &[90, 92], &[103, 137, 104]] {
            for second in [0, 1, DAY / 2, DAY - 1] {
                let mut clock = after(&[]);
                for day in readings {
                    let reading = UnixSeconds(NOW + day * DAY - second);
                    let _ = clock.read(reading);
                    let once = clock;
                    assert_eq!((clock.read(reading), clock), (Correction::None, once), "{readings:?} - {second} s");
                }
            }
        }
        // Control: another reading less than two days ahead does.
        let mut clock = after(&[]);
        let _ = clock.read(UnixSeconds(NOW + 102 * DAY - 60));
        let once = clock.now();
        let _ = clock.read(UnixSeconds(NOW + 102 * DAY - 59));
        assert!(clock.now() > once);
    }

    #[test]
    fn a_later_reading_confirms_a_jump_and_corrects_times_between() {
        let (month, mut clock) = (NOW + 30 * DAY, clock());
        assert_eq!(clock.read(UnixSeconds(month)), Correction::None);
        let mut between = clock.now();
        let correction = clock.read(UnixSeconds(month + DAY));
        assert_eq!(clock.now().0, month + DAY);
        correction.apply(&mut between);
        assert_eq!(between.0, month);
        let mut before = UnixSeconds(NOW);
        correction.apply(&mut before);
        assert_eq!(before.0, NOW);
    }

    #[test]
    fn a_clock_set_back_leaves_no_time_in_the_future() {
        let mut clock = Clock::new(UnixSeconds(NOW + 1_000 * DAY));
        assert_eq!(clock.read(UnixSeconds(NOW)), Correction::None);
        assert_eq!(clock.now().0, NOW + 1_000 * DAY);
        let correction = clock.read(UnixSeconds(NOW + DAY));
        assert_eq!((clock.now().0, correction), (NOW + DAY, Correction::AtMost { now: UnixSeconds(NOW + DAY) }));
        let mut time = UnixSeconds(NOW + 1_000 * DAY);
        correction.apply(&mut time);
        assert_eq!(time.0, NOW + DAY);
    }

    #[test]
    fn two_different_absurd_readings_do_not_confirm_each_other() {
        let mut clock = clock();
        for absurd in [NOW + 20_000 * DAY, NOW + 30_000 * DAY, 0, NOW + 10_000 * DAY] {
            let _ = clock.read(UnixSeconds(absurd));
        }
        assert!(clock.now().0 <= NOW + 3 * DAY);
        // Control: a clock that follows every reading is in another century.
        assert!(Clock::new(UnixSeconds(NOW + 10_000 * DAY)).now().0 > NOW + 3 * DAY);
    }

    /// What the clock says after these readings, in days.
    fn after(days: &[u64]) -> Clock {
        let mut clock = Clock::new(UnixSeconds(NOW + 100 * DAY));
        for day in days {
            let _ = clock.read(UnixSeconds(NOW + day * DAY));
        }
        clock
    }

    #[test]
    fn readings_that_contradict_each_other_move_the_clock_by_a_day() {
        // A claim of the past, then one of the future.
        assert_eq!(after(&[98, 132]).now().0, NOW + 101 * DAY);
        // The true reading after three days off, then a wrong one.
        assert_eq!(after(&[103, 137]).now().0, NOW + 104 * DAY);
        // The truth is followed again.
        assert_eq!(after(&[103, 137, 104, 105, 106]).now().0, NOW + 106 * DAY);
        // Control: readings that agree are followed after any absence, forward and back.
        for absent in [3, 30, 1_000] {
            assert_eq!(after(&[100 + absent, 101 + absent]).now().0, NOW + (101 + absent) * DAY);
        }
        assert_eq!(after(&[10, 11]).now().0, NOW + 11 * DAY);
        // So is a device that connects every ten days only, ten days late.
        assert_eq!(after(&[110, 120, 130, 140]).now().0, NOW + 131 * DAY);
    }

    #[test]
    fn times_between_two_confirmations_are_corrected_by_both() {
        let mut clock = after(&[]);
        let mut time = clock.now();
        for day in [110, 120, 130] {
            let correction = clock.read(UnixSeconds(NOW + day * DAY));
            correction.apply(&mut time);
            if day == 110 {
                time = clock.now();
            }
        }
        // It was taken at the first of them.
        assert_eq!((time.0, clock.now().0), (NOW + 110 * DAY, NOW + 121 * DAY));
        // Back: nothing is after the clock, and the second confirmation moves both.
        let (mut clock, mut time) = (after(&[]), UnixSeconds(NOW + 100 * DAY));
        for day in [10, 20, 30] {
            clock.read(UnixSeconds(NOW + day * DAY)).apply(&mut time);
        }
        assert_eq!((time.0, clock.now().0), (NOW + 20 * DAY, NOW + 21 * DAY));
    }

    #[test]
    fn a_prekeys_lifetime_begins_near_the_clock() {
        let clock = after(&[]);
        for (day, from) in [(0, 100), (100, 100), (130, 130), (135, 135), (136, 135), (1_000_000, 135)] {
            assert_eq!(clock.made_at(UnixSeconds(NOW + day * DAY)).0, NOW + from * DAY);
        }
        let last = clock.made_at(UnixSeconds::MAX).saturating_add(LIFETIME);
        assert_eq!((clock.is_beyond(last), clock.is_beyond(UnixSeconds(last.0 + 1))), (false, true));
    }
}
