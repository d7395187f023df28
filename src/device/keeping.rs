// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a device's prekeys: made, handed out, replaced, deleted, by [`policy`].
//!
//! Expiry governs initiating: it is the last second at which others may use a prekey. Deletion goes by age, so that what
//! was sent in time still opens.

use super::budget::intervals;
use super::capacity::Slots;
use super::policy::{self, replay_record_nearly_full};
use super::{Capacities, Device, OneTimePrekey, Seen, SignedPrekey, random_id};
use crate::error::PrekeyError;
use crate::prekeys::{Prekey, PrekeyId, PrekeyKind, PrekeyPair};
use crate::primitives::Primitives;
use crate::secret::Secret;
use crate::time::UnixSeconds;
use crate::wipe;
use core::time::Duration;
use rand_core::CryptoRng;

impl<P: Primitives, C: Capacities> Device<P, C> {
    /// Number of one-time prekeys to keep at the server: a quarter of those that fit, because the others were handed
    /// out, and at most [`AT_SERVER`](policy::AT_SERVER).
    const AT_SERVER: usize = match C::ONE_TIME_PREKEYS.div_ceil(4) {
        quarter if quarter < policy::AT_SERVER => quarter,
        _ => policy::AT_SERVER,
    };

    /// Takes note of the one-time prekeys that the server has, deletes what is due as
    /// [`delete_expired`](Self::delete_expired) does, and returns how many one-time prekeys to make now with
    /// [`generate_one_time_prekey`](Self::generate_one_time_prekey). `now` is the caller's time, and `server_has` the
    /// ids that the server lists, of which the first [`LISTED`](policy::LISTED) are read. Fetch the list after the last
    /// upload has ended; an empty one is right only before the first upload, because later it says that the server has
    /// handed out every prekey.
    ///
    /// With an allocator, `replenish` does all of it.
    pub fn maintain(&mut self, now: UnixSeconds, server_has: &[PrekeyId]) -> usize {
        self.delete_expired(now);
        let server_has = read_of(server_has);
        let (clock, now) = (self.clock, self.clock.now());
        let is_listed = |prekey: &OneTimePrekey| server_has.contains(&prekey.pair.id);
        let was_uploaded = self.was_uploaded(now, server_has);
        for prekey in self.one_time_prekeys.iter_mut() {
            prekey.seen = match prekey.seen {
                _ if is_listed(prekey) => Seen::Listed,
                Seen::Listed => Seen::MissingSince(now),
                Seen::Never if was_uploaded => Seen::MissingSince(now),
                seen @ (Seen::Never | Seen::MissingSince(_)) => seen,
            };
        }
        // Those that are left were lost, and are offered again now.
        self.offered_at = now;
        // A prekey that was never listed will be, as soon as its lost upload is repeated.
        let renewed_at = now.saturating_add(policy::RENEWED_BEFORE_EXPIRY);
        let is_in_time = |expiry| expiry >= renewed_at && !clock.is_beyond(expiry);
        let available = self
            .one_time_prekeys
            .iter()
            .filter(|prekey| matches!(prekey.seen, Seen::Listed | Seen::Never) && is_in_time(prekey.pair.expiry));
        let missing = Self::AT_SERVER.saturating_sub(available.count());
        let space = self.one_time_prekeys.remaining_capacity();
        let evictable =
            self.one_time_prekeys.iter().filter(|prekey| evictable_since(prekey.seen, now).is_some()).count();
        self.budget.refill(now);
        missing.min(self.budget.left()).min(space.saturating_add(evictable))
    }

    /// Returns those ids of the server's list of one-time prekeys that name none of this device's: it was restored, or
    /// the server was. Have the server withdraw them, because a first message with one of them cannot be opened. The first
    /// [`LISTED`](policy::LISTED) of the list are read.
    pub fn unknown_one_time_prekeys<'a>(&'a self, server_has: &'a [PrekeyId]) -> impl Iterator<Item = PrekeyId> + 'a {
        let is_held = |id: PrekeyId| self.one_time_prekeys.iter().any(|prekey| prekey.pair.id == id);
        read_of(server_has).iter().copied().filter(move |id| !is_held(*id))
    }

    /// Notes that the server has what was last offered to it. Call it after each upload that succeeded. Save the device
    /// with the next step.
    ///
    /// It is required, unless the server hands out one-time prekeys at most as fast as [`policy`] says, as
    /// `relay::Relay` does. Without it a device takes prekeys that are on no list for a lost upload if more are missing
    /// than such a server could have handed out. It offers them again, and of two people who get the same prekey one
    /// sends a first message that cannot be opened.
    pub fn upload_succeeded(&mut self) {
        self.uploaded(|_| true);
    }

    /// Notes that the server has these prekeys of those that were last offered to it.
    pub(crate) fn uploaded(&mut self, is_uploaded: impl Fn(PrekeyId) -> bool) {
        for prekey in self.one_time_prekeys.iter_mut() {
            if prekey.seen == Seen::Never && is_uploaded(prekey.pair.id) {
                prekey.seen = Seen::Listed;
            }
        }
    }

    /// Returns whether the prekeys that were never listed reached the server, which has handed them out since.
    ///
    /// An upload arrives as a whole: if the server lists one of these prekeys, it had all. If it lists none, either the
    /// upload was lost or all were handed out. A server with the rate limit of [`policy`] can have handed out only a
    /// bounded number since they were offered. Up to that number they count as handed out: if a prekey were uploaded
    /// again after somebody fetched it, it would be handed out twice, and the device could open only one of the two
    /// first messages.
    fn was_uploaded(&self, now: UnixSeconds, server_has: &[PrekeyId]) -> bool {
        let never = || self.one_time_prekeys.iter().filter(|prekey| prekey.seen == Seen::Never);
        let earned = intervals(now.saturating_since(self.offered_at)).saturating_add(policy::SERVER_BURST.into());
        let may_be_handed_out = usize::try_from(earned).unwrap_or(usize::MAX);
        never().count() <= may_be_handed_out || never().any(|prekey| server_has.contains(&prekey.pair.id))
    }

    /// Makes one one-time prekey, to publish. If the store is full, the one that was handed out longest ago and at least
    /// [two days](policy::HANDED_OUT_KEPT) ago is deleted for it. `now` is the caller's time. Draws 100 bytes from `rng`.
    /// Save the device before uploading the prekey.
    ///
    /// # Errors
    /// [`PrekeyError::StoreFull`] if the store is full and no prekey may be deleted yet.
    pub fn generate_one_time_prekey(
        &mut self,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Prekey, PrekeyError> {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            self.make_space(now)?;
            self.read_clock(now);
            let expiry = self.clock.made_at(now).saturating_add(policy::LIFETIME);
            let id = random_id(rng, |id| self.holds_id(id));
            let (pair, description) = PrekeyPair::generate(&self.primitives, PrekeyKind::OneTime, id, expiry, rng);
            let public = description.sign(&self.primitives, &self.identity);
            if self.one_time_prekeys.iter().all(|prekey| prekey.seen != Seen::Never) {
                self.offered_at = self.clock.now();
            }
            if !self.one_time_prekeys.push(OneTimePrekey { pair, seen: Seen::Never }) {
                return Err(PrekeyError::StoreFull);
            }
            self.budget.spend();
            Ok(public)
        })
    }

    /// Returns the public one-time prekeys that were never on a list of the server's: after
    /// [`maintain`](Self::maintain), those whose upload was lost, and those made since.
    pub fn unlisted_one_time_prekeys(&self) -> impl Iterator<Item = Prekey> {
        let never = self.one_time_prekeys.iter().filter(|prekey| prekey.seen == Seen::Never);
        never.map(|prekey| {
            wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| prekey.pair.public(&self.primitives, &self.identity))
        })
    }

    /// Deletes, if the store is full, the prekey that is missing longest from the server's list. `now` is the caller's
    /// time, which the clock has not taken yet: without space nothing changes, not even the clock (FL-1).
    fn make_space(&mut self, now: UnixSeconds) -> Result<(), PrekeyError> {
        if !self.one_time_prekeys.is_full() {
            return Ok(());
        }
        let mut clock = self.clock;
        let correction = clock.read(now);
        let missing_since = |prekey: &OneTimePrekey| {
            let mut seen = prekey.seen;
            if let Seen::MissingSince(since) = &mut seen {
                correction.apply(since);
            }
            evictable_since(seen, clock.now())
        };
        let missing = self.one_time_prekeys.iter().enumerate();
        let longest = missing.filter_map(|(at, prekey)| missing_since(prekey).map(|since| (since, at))).min();
        let (_, at) = longest.ok_or(PrekeyError::StoreFull)?;
        self.one_time_prekeys.remove_swapping(at);
        Ok(())
    }

    /// Returns whether [`rotate`](Self::rotate) should be called. `now` is the caller's time. With an allocator,
    /// `replenish` rotates. It is true in each of these cases (PP-5):
    /// - the signed prekey is [a week old](policy::ROTATION_INTERVAL);
    /// - it expires less than [a week](policy::RENEWED_BEFORE_EXPIRY) after the time from which the
    ///   [`LIFETIME`](policy::LIFETIME) of a prekey counts that is made now: `now`, but no earlier than the device's
    ///   clock and at most [`ABSENCE`](policy::ABSENCE) later;
    /// - it expires later than any prekey that is made now: the clock was ahead and was set back;
    /// - its replay record is nearly full, it is [a day old](policy::EMERGENCY_ROTATION_INTERVAL), and there is space to
    ///   keep it.
    ///
    /// While the device's clock is more than [`ABSENCE`](policy::ABSENCE) behind, a new signed prekey is expired when it
    /// is made; see [`generate_with`](Self::generate_with).
    #[must_use]
    pub fn is_rotation_due(&self, now: UnixSeconds) -> bool {
        let SignedPrekey { pair, since, has_last_resort: _, replay_record } = &self.signed_prekey;
        let clock = self.clock.peek(now);
        let age = clock.now().saturating_since(*since);
        // After a long absence the clock is still behind, but the prekey must not stay expired.
        let expires = pair.expiry < clock.made_at(now).saturating_add(policy::RENEWED_BEFORE_EXPIRY)
            || clock.is_beyond(pair.expiry);
        // A device without a record never has a full one.
        let nearly_full = C::REPLAY_RECORD > 0 && replay_record.len() >= replay_record_nearly_full(C::REPLAY_RECORD);
        let has_space = !self.previous_signed_prekeys.is_full() || self.oldest_previous_is_due(now);
        expires
            || age >= policy::ROTATION_INTERVAL
            || (nearly_full && age >= policy::EMERGENCY_ROTATION_INTERVAL && has_space)
    }

    fn oldest_previous_is_due(&self, now: UnixSeconds) -> bool {
        let now = self.clock.peek(now).now();
        self.previous_signed_prekeys.iter().any(|previous| is_older(previous.since, policy::SIGNED_PREKEY_KEPT, now))
    }

    /// Replaces the signed prekey and its last-resort key, when [`is_rotation_due`](Self::is_rotation_due) says so. The
    /// old one is kept for messages in transit: its last-resort key [a week](policy::LAST_RESORT_KEPT), the rest [two
    /// weeks](policy::SIGNED_PREKEY_KEPT). If there is no space for it, the oldest is deleted. `now` is the caller's time.
    /// Draws 100 bytes from `rng`. Save the device before uploading the prekey.
    pub fn rotate(&mut self, now: UnixSeconds, rng: &mut impl CryptoRng) -> Prekey {
        wipe::wipe_stack_after::<{ wipe::HANDSHAKE }, _>(|| {
            self.read_clock(now);
            let expiry = self.clock.made_at(now).saturating_add(policy::LIFETIME);
            let id = random_id(rng, |id| self.holds_id(id));
            let (pair, description) = PrekeyPair::generate(&self.primitives, PrekeyKind::Signed, id, expiry, rng);
            let fresh = SignedPrekey::new(pair, self.clock.now());
            let mut replaced = core::mem::replace(&mut self.signed_prekey, fresh);
            replaced.since = self.clock.now();
            if self.previous_signed_prekeys.is_full() {
                let oldest = self.previous_signed_prekeys.iter().enumerate().min_by_key(|(_, previous)| previous.since);
                if let Some((at, _)) = oldest {
                    self.previous_signed_prekeys.remove_swapping(at);
                }
            }
            // Without any space for predecessors, it is deleted.
            let _ = self.previous_signed_prekeys.push(replaced);
            description.sign(&self.primitives, &self.identity)
        })
    }

    /// Deletes the signed prekeys before the last rotation. After that nothing that was sealed to them can be opened,
    /// even by an attacker who steals this device. Returns whether there was one.
    pub fn delete_previous_signed_prekeys(&mut self) -> bool {
        let existed = !self.previous_signed_prekeys.is_empty();
        self.previous_signed_prekeys.truncate(0);
        existed
    }

    /// Deletes a one-time prekey by its id. Returns whether the device had it.
    pub fn delete_one_time_prekey(&mut self, id: PrekeyId) -> bool {
        match self.one_time_prekeys.iter().position(|prekey| prekey.pair.id == id) {
            Some(at) => {
                self.one_time_prekeys.remove_swapping(at);
                true
            }
            None => false,
        }
    }

    /// Deletes keys that are past their time for messages in transit, and returns how many:
    /// - one-time prekeys [two weeks after their expiry](policy::EXPIRED_KEPT). If a wrong clock gave one an expiry
    ///   beyond that of any prekey made now, the two weeks count from when it was missing at the server;
    /// - last-resort keys [a week after replacement](policy::LAST_RESORT_KEPT);
    /// - signed prekeys [two weeks after replacement](policy::SIGNED_PREKEY_KEPT).
    ///
    /// [`maintain`](Self::maintain) and `replenish` call it. Only [`rotate`](Self::rotate) replaces the current signed
    /// prekey.
    ///
    /// `now` is the caller's time. Each wrong reading moves the device's own clock, by which it deletes, by [a
    /// day](policy::CLOCK_STEP) at most; a later reading confirms a longer absence.
    pub fn delete_expired(&mut self, now: UnixSeconds) -> usize {
        self.read_clock(now);
        let (clock, now) = (self.clock, self.clock.now());
        let mut deleted = 0_usize;
        let is_due = |prekey: &OneTimePrekey| match prekey.seen {
            Seen::MissingSince(since) if clock.is_beyond(prekey.pair.expiry) => {
                is_older(since, policy::EXPIRED_KEPT, now)
            }
            _ => is_older(prekey.pair.expiry, policy::EXPIRED_KEPT, now),
        };
        while let Some(at) = self.one_time_prekeys.iter().position(is_due) {
            self.one_time_prekeys.remove_swapping(at);
            deleted = deleted.saturating_add(1);
        }
        let is_due = |previous: &SignedPrekey<C>| is_older(previous.since, policy::SIGNED_PREKEY_KEPT, now);
        while let Some(at) = self.previous_signed_prekeys.iter().position(is_due) {
            self.previous_signed_prekeys.remove_swapping(at);
            deleted = deleted.saturating_add(1);
        }
        for previous in self.previous_signed_prekeys.iter_mut() {
            if previous.has_last_resort && is_older(previous.since, policy::LAST_RESORT_KEPT, now) {
                previous.delete_last_resort();
                deleted = deleted.saturating_add(1);
            }
        }
        deleted
    }

    /// Follows the caller's clock, and corrects the times that were taken from the device's own.
    fn read_clock(&mut self, now: UnixSeconds) {
        let correction = self.clock.read(now);
        correction.apply(&mut self.signed_prekey.since);
        self.previous_signed_prekeys.iter_mut().for_each(|previous| correction.apply(&mut previous.since));
        for prekey in self.one_time_prekeys.iter_mut() {
            if let Seen::MissingSince(since) = &mut prekey.seen {
                correction.apply(since);
            }
        }
        correction.apply(&mut self.offered_at);
        correction.apply(&mut self.budget.counted_at);
    }

    fn holds_id(&self, id: PrekeyId) -> bool {
        self.signed_prekey.pair.id == id
            || self.previous_signed_prekeys.iter().any(|previous| previous.pair.id == id)
            || self.one_time_prekeys.iter().any(|prekey| prekey.pair.id == id)
    }
}

impl<C: Capacities> SignedPrekey<C> {
    /// Deletes the last-resort KEM key. The replay record is of no use without it.
    fn delete_last_resort(&mut self) {
        self.pair.kem_seed = Secret::zero();
        self.has_last_resort = false;
        self.replay_record = Slots::empty_initialized(|| [0; 16]);
    }
}

/// Returns since when a prekey is missing from the server's list, if that is long enough for it to be deleted.
fn evictable_since(seen: Seen, now: UnixSeconds) -> Option<UnixSeconds> {
    match seen {
        Seen::MissingSince(since) if is_older(since, policy::HANDED_OUT_KEPT, now) => Some(since),
        Seen::MissingSince(_) | Seen::Listed | Seen::Never => None,
    }
}

/// Returns the part of a server's list that is read.
fn read_of(server_has: &[PrekeyId]) -> &[PrekeyId] {
    server_has.get(..policy::LISTED).unwrap_or(server_has)
}

fn is_older(since: UnixSeconds, age: Duration, now: UnixSeconds) -> bool {
    now.saturating_since(since) >= age
}
