// SPDX-License-Identifier: MIT OR Apache-2.0
//! The directory's entry of one account: identity, signed prekey, and one-time prekeys, each handed out once.

use super::error::RelayError;
use super::period::Period;
use super::public::{Held, Public, write_bytes};
use crate::device::policy;
use crate::identity::Identity;
use crate::prekeys::{Bundle, MAX_PUBLISHED_PREKEYS, Prekey, PrekeyId, PrekeyKind, Publication};
use crate::time::UnixSeconds;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Maximum number of one-time prekeys stored per account, 1,000 of 1.7 kB each: more than a device makes at once.
pub const MAX_ONE_TIME_PREKEYS: usize = MAX_PUBLISHED_PREKEYS;
/// Number of one-time prekeys handed out without a pause. This is more than the number of new correspondents that a
/// person has at once. An attacker who drains an account (attack B10, "prekey pogo") gets this many, and then one in
/// each [`ONE_TIME_INTERVAL`](super::ONE_TIME_INTERVAL).
pub const ONE_TIME_BURST: u64 = policy::SERVER_BURST as u64;

#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) identity: Held<Identity>,
    pub(super) signed_prekey: Held<Prekey>,
    /// In the order of publication.
    pub(super) one_time_prekeys: VecDeque<Held<Prekey>>,
    /// The period in which [`ONE_TIME_BURST`] prekeys may be handed out again. Each one handed out moves it by one
    /// period, so that a single number limits the rate. [`Period::NONE`] after
    /// [`forget_requests`](Self::forget_requests) if it is past.
    pub(super) full_again: Held<Period>,
}

impl Directory {
    pub(super) fn open(publication: Publication) -> Result<Self, RelayError> {
        let mut opened = Self {
            identity: Held(publication.identity),
            signed_prekey: Held(publication.signed_prekey.clone()),
            one_time_prekeys: VecDeque::new(),
            full_again: Held(Period::NONE),
        };
        opened.publish(publication, UnixSeconds(0)).map(|()| opened)
    }

    /// Returns the directory of another identity for the same account. Requests of the past count.
    pub(super) fn replaced(&self, publication: Publication) -> Result<Self, RelayError> {
        Ok(Self { full_again: self.full_again.clone(), ..Self::open(publication)? })
    }

    pub(super) fn publish(&mut self, publication: Publication, now: UnixSeconds) -> Result<(), RelayError> {
        let Publication { identity, signed_prekey, mut one_time_prekeys } = publication;
        if identity != self.identity.0 {
            return Err(RelayError::IdentityChanged);
        }
        let fit = signed_prekey.fits(&identity, PrekeyKind::Signed)
            && one_time_prekeys.iter().all(|prekey| prekey.fits(&identity, PrekeyKind::OneTime));
        if !fit {
            return Err(RelayError::BadPublication);
        }
        // A device sends prekeys again if it does not know whether they arrived.
        one_time_prekeys.retain(|prekey| !self.one_time_prekeys.iter().any(|held| held.0 == *prekey));
        // Expired prekeys give way, and only if room is needed: the clock may be wrong.
        let fits = |held: usize| held.saturating_add(one_time_prekeys.len()) <= MAX_ONE_TIME_PREKEYS;
        let short_of_room = !fits(self.one_time_prekeys.len());
        if short_of_room && !fits(self.listed(now).count()) {
            return Err(RelayError::TooManyPrekeys);
        }
        let stays = |prekey: &Held<Prekey>| !short_of_room || may_be_used(&prekey.0, now);
        let held = self.one_time_prekeys.iter().filter(|prekey| stays(prekey)).map(|prekey| prekey.0.id());
        let new = one_time_prekeys.iter().map(Prekey::id);
        let mut ids: Vec<PrekeyId> = held.chain(new).chain([signed_prekey.id()]).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(RelayError::BadPublication);
        }
        self.one_time_prekeys.retain(stays);
        self.signed_prekey = Held(signed_prekey);
        self.one_time_prekeys.extend(one_time_prekeys.into_iter().map(Held));
        Ok(())
    }

    /// Returns a bundle. Its one-time prekey is the oldest one that has not expired, and none if the signed prekey has:
    /// nobody could use it. Expired ones are not deleted here, so that one wrong reading of the clock costs no prekey.
    pub(super) fn fetch(&mut self, now: UnixSeconds) -> Result<Bundle, RelayError> {
        let period = Period::of(now);
        // After a reading of the clock that was too late, the rate is the lowest, and not zero for ever.
        let full_again = self.full_again.0.0.clamp(period.0, period.0.saturating_add(ONE_TIME_BURST));
        let is_due = full_again.saturating_sub(period.0) < ONE_TIME_BURST;
        let place = match is_due && may_be_used(&self.signed_prekey.0, now) {
            true => self.one_time_prekeys.iter().position(|prekey| may_be_used(&prekey.0, now)),
            false => None,
        };
        let one_time = place.and_then(|place| self.one_time_prekeys.remove(place));
        if one_time.is_some() {
            self.full_again = Held(Period(full_again.saturating_add(1)));
        } else {
            self.full_again = Held(Period(self.full_again.0.0.min(full_again)));
        }
        Bundle::new(self.identity.0, self.signed_prekey.0.clone(), one_time.map(|held| held.0))
            // Kinds and signer were checked at publication.
            .map_err(|_| RelayError::BadPublication)
    }

    /// Returns the one-time prekeys that have been neither handed out nor expired.
    pub(super) fn listed(&self, now: UnixSeconds) -> impl Iterator<Item = &Prekey> {
        self.one_time_prekeys.iter().map(|prekey| &prekey.0).filter(move |prekey| may_be_used(prekey, now))
    }

    /// Deletes one-time prekeys.
    pub(super) fn withdraw(&mut self, ids: &[PrekeyId]) {
        self.one_time_prekeys.retain(|prekey| !ids.contains(&prekey.0.id()));
    }

    pub(super) fn forget(&mut self, now: UnixSeconds) {
        self.one_time_prekeys.retain(|prekey| may_be_used(&prekey.0, now));
        self.forget_requests(now);
    }

    /// Deletes the period of past requests if the limit does not need it.
    pub(super) fn forget_requests(&mut self, now: UnixSeconds) {
        if self.full_again.0 <= Period::of(now) {
            self.full_again = Held(Period::NONE);
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { identity, signed_prekey, one_time_prekeys, full_again } = self;
        identity.0.write(out);
        signed_prekey.0.write(out);
        let mut prekeys = Vec::new();
        for prekey in one_time_prekeys {
            prekey.0.write(&mut prekeys);
        }
        write_bytes(&prekeys, out);
        full_again.0.write(out);
    }
}

/// Returns whether a session may be initiated with the prekey: its expiry is the last second of that.
fn may_be_used(prekey: &Prekey, now: UnixSeconds) -> bool {
    prekey.expiry() >= now
}
