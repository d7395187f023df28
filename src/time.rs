// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`UnixSeconds`]: every time in this crate. The protocol reads no clock; the caller passes the time.

use core::fmt;
use core::time::Duration;

/// A time in seconds since the Unix epoch, 1970-01-01T00:00:00Z, without leap seconds. 8 bytes on the wire, and a number
/// to serde.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The latest time, for a period without an end.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns the time `duration` later, in whole seconds and at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// Returns the whole seconds since `earlier`, or zero if that is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// The time that is this long after the Unix epoch, in whole seconds: what the standard library's
/// `duration_since(UNIX_EPOCH)` returns.
impl From<Duration> for UnixSeconds {
    fn from(since_epoch: Duration) -> Self {
        Self(since_epoch.as_secs())
    }
}

impl fmt::Display for UnixSeconds {
    /// Writes the number of seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn arithmetic_saturates_and_drops_fractions() {
        let second = Duration::from_secs(1);
        assert_eq!(UnixSeconds(5).saturating_add(Duration::from_millis(1_999)), UnixSeconds(6));
        assert_eq!(UnixSeconds::MAX.saturating_add(second), UnixSeconds::MAX);
        assert_eq!(UnixSeconds::from(Duration::from_millis(7_900)), UnixSeconds(7));
        assert_eq!(UnixSeconds(6).saturating_since(UnixSeconds(5)), second);
        assert_eq!(UnixSeconds(5).saturating_since(UnixSeconds(6)), Duration::ZERO);
        assert!(UnixSeconds(5) < UnixSeconds(6));
        assert_eq!(std::format!("{} {:>4}", UnixSeconds(5), UnixSeconds(6)), "5    6");
    }
}
