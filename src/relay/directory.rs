// SPDX-License-Identifier: MIT OR Apache-2.0
//! The directory's entry of one account: identity, signed prekey, and one-time prekeys, each handed out once.

use super::error::RelayError;
use super::public::{Held, Public, write_bytes};
use crate::identity::Identity;
use crate::prekeys::{Bundle, Prekey, PrekeyKind, Publication};
use crate::time::UnixSeconds;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

/// Maximum number of one-time prekeys stored per account, 1.7 kB each: more than a device makes at once.
pub const MAX_ONE_TIME_PREKEYS: usize = 1_000;
/// Number of one-time prekeys handed out without a pause. This is more than the number of new correspondents that a
/// person has at once. An attacker who drains an account (attack B10, "prekey pogo") gets this many.
pub const ONE_TIME_BURST: u64 = 20;
/// Time after which one more one-time prekey may be handed out.
pub const ONE_TIME_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Directory {
    identity: Held<Identity>,
    signed_prekey: Held<Prekey>,
    /// Oldest first.
    one_time_prekeys: VecDeque<Held<Prekey>>,
    /// Token bucket: the number of prekeys that may be handed out, as of `counted_at`.
    allowance: Held<u64>,
    counted_at: Held<UnixSeconds>,
}

impl Directory {
    pub(super) fn open(publication: Publication, now: UnixSeconds) -> Result<Self, RelayError> {
        let mut opened = Self {
            identity: Held(publication.identity),
            signed_prekey: Held(publication.signed_prekey.clone()),
            one_time_prekeys: VecDeque::new(),
            allowance: Held(ONE_TIME_BURST),
            counted_at: Held(now),
        };
        opened.publish(publication).map(|()| opened)
    }

    pub(super) fn publish(&mut self, publication: Publication) -> Result<(), RelayError> {
        let Publication { identity, signed_prekey, one_time_prekeys } = publication;
        if identity != self.identity.0 {
            return Err(RelayError::IdentityChanged);
        }
        let fit = signed_prekey.fits(&identity, PrekeyKind::Signed)
            && one_time_prekeys.iter().all(|prekey| prekey.fits(&identity, PrekeyKind::OneTime));
        if !fit {
            return Err(RelayError::BadPublication);
        }
        if self.one_time_prekeys.len().saturating_add(one_time_prekeys.len()) > MAX_ONE_TIME_PREKEYS {
            return Err(RelayError::TooManyPrekeys);
        }
        let held = self.one_time_prekeys.iter().map(|prekey| prekey.0.id());
        let new = one_time_prekeys.iter().map(Prekey::id);
        let mut ids: Vec<u32> = held.chain(new).chain([signed_prekey.id()]).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(RelayError::BadPublication);
        }
        self.signed_prekey = Held(signed_prekey);
        self.one_time_prekeys.extend(one_time_prekeys.into_iter().map(Held));
        Ok(())
    }

    pub(super) fn fetch(&mut self, now: UnixSeconds) -> Result<Bundle, RelayError> {
        let waited = now.saturating_since(self.counted_at.0).as_secs();
        let earned = waited.checked_div(ONE_TIME_INTERVAL.as_secs()).unwrap_or_default();
        if earned > 0 {
            self.allowance = Held(self.allowance.0.saturating_add(earned).min(ONE_TIME_BURST));
            self.counted_at = Held(now);
        }
        let one_time = if self.allowance.0 > 0 { self.one_time_prekeys.pop_front() } else { None };
        if one_time.is_some() {
            self.allowance = Held(self.allowance.0.saturating_sub(1));
        }
        Bundle::new(self.identity.0, self.signed_prekey.0.clone(), one_time.map(|held| held.0))
            // Kinds and signer were checked at publication.
            .map_err(|_| RelayError::BadPublication)
    }

    pub(super) const fn identity(&self) -> &Identity {
        &self.identity.0
    }

    pub(super) fn one_time_prekeys_left(&self) -> usize {
        self.one_time_prekeys.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { identity, signed_prekey, one_time_prekeys, allowance, counted_at } = self;
        identity.0.write(out);
        signed_prekey.0.write(out);
        let mut prekeys = Vec::new();
        for prekey in one_time_prekeys {
            prekey.0.write(&mut prekeys);
        }
        write_bytes(&prekeys, out);
        allowance.0.write(out);
        counted_at.0.write(out);
    }
}
