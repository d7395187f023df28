// SPDX-License-Identifier: MIT OR Apache-2.0
//! Upkeep: prekeys, and sessions that are past their time.

use super::error::Suspicion;
use super::record::PeerRecord;
use super::{Messenger, PeerId, Step};
use crate::durable::{Durable, Progress, StepError, Unsaved};
use crate::prekeys::{Prekey, PrekeyId, Publication};
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use rand_core::CryptoRng;

impl<P: Primitives> Messenger<P> {
    /// Makes and deletes the prekeys that are due, ends the sessions that are past their time, and returns what to upload,
    /// as [`Device::replenish`](crate::Device::replenish) does. `server_has` are the ids of the one-time prekeys that the
    /// server lists: fetch them after the last upload has ended, and pass none only before the first upload.
    ///
    /// Call it when the device connects to the server, at least once a day. It may be called before mail is fetched,
    /// after an upload that was lost, and after strangers have fetched every prekey.
    ///
    /// # Errors
    /// [`StepError`]; nothing has changed.
    pub fn maintain(
        &mut self,
        now: UnixSeconds,
        server_has: &[PrekeyId],
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Publication>, StepError<Suspicion>> {
        self.check_step()?;
        self.progress = Progress::Stepping;
        self.read_clock(now);
        self.forget_old_prekeys(self.time(now));
        let publication = self.device.inner.replenish(now, server_has, rng);
        let mut step = Step { is_device_changed: true, ..Step::default() };
        self.end_old(now, &mut step);
        Ok(self.hand_out(publication, step, now))
    }

    /// Records that the server has taken this publication, as [`Device::upload_succeeded`](crate::Device::upload_succeeded)
    /// does. Until then its prekeys are offered again. Those that were made since, as by another process or a
    /// [restoring](Self::restore_backup), are not in it, and are offered again.
    ///
    /// # Errors
    /// [`StepError`]; nothing has changed.
    pub fn mark_published(
        &mut self,
        publication: &Publication,
        now: UnixSeconds,
    ) -> Result<Unsaved<'_, ()>, StepError<Suspicion>> {
        self.check_step()?;
        self.progress = Progress::Stepping;
        let ids: BTreeSet<PrekeyId> = publication.one_time_prekeys.iter().map(Prekey::id).collect();
        self.device.inner.uploaded(|id| ids.contains(&id));
        Ok(self.hand_out((), Step { is_device_changed: true, ..Step::default() }, now))
    }

    /// Returns the ids of the server's list that name no prekey of this device, as
    /// [`Device::unknown_one_time_prekeys`](crate::Device::unknown_one_time_prekeys) does. Have the server withdraw them.
    pub fn unknown_one_time_prekeys<'a>(&'a self, server_has: &'a [PrekeyId]) -> impl Iterator<Item = PrekeyId> + 'a {
        self.device.unknown_one_time_prekeys(server_has)
    }

    /// Ends what is past its time with every peer.
    fn end_old(&mut self, reading: UnixSeconds, step: &mut Step) {
        let now = self.time(reading);
        let due = |(id, peer): (&PeerId, &mut Durable<PeerRecord<P>>)| {
            let forgotten = peer.inner.log.forget(now);
            let is_due = peer.inner.has_old_session(now) || !forgotten.is_empty();
            is_due.then_some((*id, forgotten))
        };
        let due: Vec<_> = self.peers.iter_mut().filter_map(due).collect();
        for (peer, forgotten) in due {
            self.index.forget(forgotten);
            self.end_sessions(peer, None, now, step);
        }
    }
}
