// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Budget`]: how many one-time prekeys a device may still make, so that neither a stranger nor a server can make it
//! compute without end.

use super::policy::{MADE_A_DAY, SERVER_INTERVAL};
use crate::error::DecodeError;
use crate::time::UnixSeconds;
use crate::wire::{Full, Reader, Writer};
use core::time::Duration;

/// A token bucket that refills in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    left: u32,
    pub(super) counted_at: UnixSeconds,
}

impl Budget {
    pub(super) const fn full(now: UnixSeconds) -> Self {
        Self { left: MADE_A_DAY, counted_at: now }
    }

    /// Adds what was earned by `now`.
    pub(super) fn refill(&mut self, now: UnixSeconds) {
        let earned = intervals(now.saturating_since(self.counted_at));
        if earned > 0 {
            self.left = MADE_A_DAY.min(self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)));
            let passed = earned.saturating_mul(SERVER_INTERVAL.as_secs());
            self.counted_at = self.counted_at.saturating_add(Duration::from_secs(passed));
        }
    }

    pub(super) fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    pub(super) const fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Number of bytes that [`store`](Self::store) writes.
    pub(super) const STORED_LEN: usize = 4 + 8;

    pub(super) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let Self { left, counted_at } = self;
        writer.u32(*left)?;
        writer.u64(counted_at.0)
    }

    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let budget = Self { left: reader.u32()?, counted_at: UnixSeconds(reader.u64()?) };
        if budget.left > MADE_A_DAY { Err(DecodeError::Refused) } else { Ok(budget) }
    }
}

/// Returns the number of whole [`SERVER_INTERVAL`]s in `time`.
pub(super) fn intervals(time: Duration) -> u64 {
    time.as_secs().checked_div(SERVER_INTERVAL.as_secs()).unwrap_or_default()
}
