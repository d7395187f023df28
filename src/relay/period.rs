// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only times that a relay holds: numbers of days, and of periods of ten minutes.

use super::public::impl_public;
use crate::device::policy;
use crate::time::UnixSeconds;
use core::time::Duration;

/// Length of a [`Day`].
const DAY: u64 = 86_400;
/// Time after which one more one-time prekey of an account may be handed out: 144 a day, as many as a device makes.
pub const ONE_TIME_INTERVAL: Duration = policy::SERVER_INTERVAL;

/// The number of days since the Unix epoch. The time of day is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) u64);

impl Day {
    pub(super) fn of(time: UnixSeconds) -> Self {
        Self(time.0.checked_div(DAY).unwrap_or_default())
    }

    /// Returns the first second of the day.
    pub(super) const fn begins(self) -> UnixSeconds {
        UnixSeconds(self.0.saturating_mul(DAY))
    }

    /// Returns the last second of the day.
    pub(super) const fn ends(self) -> UnixSeconds {
        self.begins().saturating_add(Duration::from_secs(DAY.saturating_sub(1)))
    }
}

/// The number of [`ONE_TIME_INTERVAL`]s since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Period(pub(super) u64);

impl Period {
    /// Before all requests.
    pub(super) const NONE: Self = Self(0);

    pub(super) fn of(time: UnixSeconds) -> Self {
        Self(time.0.checked_div(ONE_TIME_INTERVAL.as_secs()).unwrap_or_default())
    }

    /// Returns the first second of the period.
    pub(super) const fn begins(self) -> UnixSeconds {
        UnixSeconds(self.0.saturating_mul(ONE_TIME_INTERVAL.as_secs()))
    }
}

impl_public! {
    Day => |day, out| day.0.write(out);
    Period => |period, out| period.0.write(out);
}
