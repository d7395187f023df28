// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many prekeys a device makes, how long it keeps them, and why: every number of that policy.
//!
//! The policy must hold against a stranger who fetches every one-time prekey (attack B10), a server that lies about
//! what it has, a device that was offline for a month, and all of them at once; `tests/prekeys/ninety_days.rs`
//! simulates that. The times are ages by the device's own clock, which one wrong reading does not move far.

use core::time::Duration;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Number of one-time prekeys that a device with a heap holds: [`AT_SERVER`] at the server, and two days of
/// [`MADE_A_DAY`] that were handed out and may still be used.
pub const STORED: usize = 400;
/// Number of one-time prekeys that a device keeps at the server. More than the new correspondents of a busy day.
pub const AT_SERVER: usize = 100;
/// Number of one-time prekeys that a device makes a day: as many as it may make at once, and as many as it earns in a
/// day, so that in any 24 hours it makes at most twice this number, and no more than this number a day in the long run.
/// A server with the rate limit of [`SERVER_INTERVAL`] hands out this number a day and [`SERVER_BURST`], so a device
/// keeps up with a stranger who drains it. A server that claims to have none gets no more.
pub const MADE_A_DAY: u32 = 144;
/// Number of one-time prekeys that a server hands out without a pause.
pub const SERVER_BURST: u32 = 20;
/// Time after which a server hands out one more one-time prekey, and a device makes one more.
pub const SERVER_INTERVAL: Duration = Duration::from_secs(DAY / MADE_A_DAY as u64);
/// Time for which a one-time prekey that was handed out is kept in any case. A first message that takes longer may find
/// its prekey gone, if the store is full.
pub const HANDED_OUT_KEPT: Duration = Duration::from_secs(2 * DAY);

/// Time from a prekey's creation to its expiry. It bounds for how long a server can serve an old bundle. A device that
/// rotates weekly stays reachable through 28 days offline. Creation is the caller's time, but no earlier than the
/// device's own clock and at most [`ABSENCE`] later.
pub const LIFETIME: Duration = Duration::from_secs(35 * DAY);
/// A listed one-time prekey that expires within this time is not counted: it is replaced before it is useless.
pub const RENEWED_BEFORE_EXPIRY: Duration = Duration::from_secs(7 * DAY);
/// Time for which a prekey is kept after its expiry, for messages in transit.
pub const EXPIRED_KEPT: Duration = Duration::from_secs(14 * DAY);
/// Age at which the signed prekey is replaced.
pub const ROTATION_INTERVAL: Duration = Duration::from_secs(7 * DAY);
/// Age at which the signed prekey is replaced if its replay record is [nearly full](replay_record_nearly_full).
pub const EMERGENCY_ROTATION_INTERVAL: Duration = Duration::from_secs(DAY);
/// Time after its replacement at which a signed prekey's last-resort KEM key is deleted. Until then a thief of the
/// device can read first messages that were sent to it without a one-time prekey.
pub const LAST_RESORT_KEPT: Duration = Duration::from_secs(7 * DAY);
/// Time after its replacement at which the rest of a signed prekey is deleted. First messages with a one-time prekey
/// open until then.
pub const SIGNED_PREKEY_KEPT: Duration = Duration::from_secs(14 * DAY);
/// Number of replaced signed prekeys that a device with a heap keeps: one for each day of [`SIGNED_PREKEY_KEPT`], if
/// every day needs an emergency rotation, and one more.
pub const PREVIOUS_SIGNED_PREKEYS: usize = 15;
/// Number of handshakes without a one-time prekey that a device with a heap accepts on one signed prekey, 16 bytes each.
pub const REPLAY_RECORD: usize = 2_048;

/// Returns the number of entries from which a replay record counts as nearly full: three quarters.
#[must_use]
pub const fn replay_record_nearly_full(capacity: usize) -> usize {
    capacity.saturating_sub(capacity / 4)
}

/// Time by which a reading moves the device's clock at most, and after which a later reading confirms it.
pub const CLOCK_STEP: Duration = Duration::from_secs(DAY);
/// Time by which the caller's time may be ahead of the device's clock and still count as the creation of a prekey.
/// After an absence this long a device is reachable at once; after a longer one, as soon as a later reading confirms
/// it. A device whose first reading was behind by more is like one after a longer absence: its prekeys are expired for
/// everybody else until then. One wrong reading makes prekeys that are valid for at most [`CLOCK_STEP`] and this time longer than
/// [`LIFETIME`].
pub const ABSENCE: Duration = Duration::from_secs(35 * DAY);

/// Number of ids that a device reads of a server's list, so that a server cannot make it compute without end: as many as
/// a relay keeps for a device. Later ones count as not listed.
pub const LISTED: usize = 1_000;
