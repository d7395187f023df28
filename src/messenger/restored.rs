// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stores that were put back to an earlier state: how that is noticed, and the one remedy.
//!
//! One round trip after the earlier state, no header of the peer is authentic to it any more, and none of its own to the
//! peer. So no message shows that a store was put back. Two facts from elsewhere do: a *witness*, the newest
//! [`generation`](Messenger::generation), kept outside the store; and a *login nonce*, which device and server exchange at
//! each login.
//!
//! The states that were saved after the backup are *discarded*. A copy of one may turn up later, so the generation goes on
//! above the witness, and never comes back to theirs.

use super::core::{Core, Corrected};
use super::error::{NewSession, Suspicion};
use super::record::State;
use super::{Messenger, Step, policy};
use crate::durable::{Progress, StepError, Unsaved};
use crate::error::DecodeError;
use crate::prekeys::{PrekeyId, Publication};
use crate::primitives::Primitives;
use crate::time::UnixSeconds;
use crate::wire::{Full, HANDSHAKE_LEN, Handshake, Reader, Writer};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;
use rand_core::CryptoRng;

/// Length in bytes of a login nonce.
pub const LOGIN_NONCE_LEN: usize = 16;
/// Maximum number of prekeys of a device when it is restored: its one-time prekeys, and the signed ones.
const OLD_PREKEYS: usize = crate::device::policy::STORED + crate::device::policy::PREVIOUS_SIGNED_PREKEYS + 1;
const DAY: Duration = Duration::from_secs(86_400);

type LoginNonce = [u8; LOGIN_NONCE_LEN];

/// What the messenger stores about logins and restoring.
#[derive(Default)]
pub(super) struct Restored {
    /// The nonce that the server had at the last login.
    nonce: Option<LoginNonce>,
    /// The last nonces that were offered to it, oldest first. The server may have taken any, or take it later.
    offered: Vec<LoginNonce>,
    /// Whether there was no login since the state was restored. The nonce that the server has then is an discarded state's.
    is_login_due: bool,
    /// When the state was last restored.
    at: Option<UnixSeconds>,
    /// The ids of the prekeys that the device had then: a session that one of them makes is on probation.
    old_prekeys: Vec<PrekeyId>,
}

impl Suspicion {
    /// 0 if there is none.
    pub(super) const fn code(suspicion: Option<Self>) -> u8 {
        match suspicion {
            None => 0,
            Some(Self::Witness) => 1,
            Some(Self::LoginNonce) => 2,
        }
    }

    pub(super) const fn from_code(code: u8) -> Result<Option<Self>, DecodeError> {
        match code {
            0 => Ok(None),
            1 => Ok(Some(Self::Witness)),
            2 => Ok(Some(Self::LoginNonce)),
            _ => Err(DecodeError::Refused),
        }
    }
}

impl Restored {
    /// Corrects the time that was taken from the messenger's clock.
    pub(super) fn correct(&mut self, corrected: Corrected) {
        self.at.iter_mut().for_each(|at| corrected.apply(at));
    }

    pub(super) fn stored_len(&self) -> usize {
        let nonces = self.nonce.iter().chain(&self.offered).count().saturating_mul(LOGIN_NONCE_LEN);
        [1 + 1 + 1 + 9 + 4, nonces, self.old_prekeys.len().saturating_mul(4)].into_iter().fold(0, usize::saturating_add)
    }

    pub(super) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(u8::from(self.nonce.is_some()))?;
        self.nonce.iter().try_for_each(|nonce| writer.put(nonce))?;
        writer.u8(super::stored::len_u8(self.offered.len())?)?;
        self.offered.iter().try_for_each(|nonce| writer.put(nonce))?;
        writer.u8(u8::from(self.is_login_due))?;
        super::stored::store_time(self.at, writer)?;
        writer.u32(super::stored::len_u32(self.old_prekeys.len())?)?;
        self.old_prekeys.iter().try_for_each(|id| writer.u32(*id))
    }

    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let nonce = reader.flag()?.then(|| reader.array().copied()).transpose()?;
        let mut restored = Self { nonce, ..Self::default() };
        let offered = usize::from(reader.u8()?);
        if offered > policy::OFFERED_NONCES {
            return Err(DecodeError::Refused);
        }
        for _ in 0..offered {
            restored.offered.push(*reader.array()?);
        }
        restored.is_login_due = reader.flag()?;
        restored.at = super::stored::load_time(reader)?;
        let count = reader.u32()?;
        if usize::try_from(count).map_or(true, |count| count > OLD_PREKEYS) {
            return Err(DecodeError::Refused);
        }
        for _ in 0..count {
            restored.old_prekeys.push(reader.u32()?);
        }
        Ok(restored)
    }
}

impl<P> Core<P> {
    /// Returns whether a first message uses a prekey from before the state was restored, so that it may be a copy of one
    /// that was opened after the backup.
    pub(super) fn uses_old_prekey(&self, message: &[u8]) -> bool {
        let handshake = message.first_chunk::<HANDSHAKE_LEN>().and_then(|bytes| Handshake::parse(bytes).ok());
        // A one-time prekey alone decides: no copy opens without it.
        let used = handshake.map(|handshake| handshake.one_time_prekey_id.unwrap_or(handshake.signed_prekey_id));
        used.is_some_and(|id| self.restored.old_prekeys.contains(&id))
    }
}

impl<P: Primitives> Messenger<P> {
    /// Compares the store with the witness: the newest [`generation`](Self::generation) that the application has kept
    /// outside the store, where putting the store back does not lower it. Write the witness after each commit, and never
    /// lower it.
    ///
    /// A store ahead of the witness has lost the witness' last step in a crash, which is harmless. A store that is behind
    /// was put back: then the messenger is [suspect](Self::suspicion) until
    /// [`restore_backup`](Self::restore_backup). Load it with 0 as the newest generation to get this far. The next step's
    /// generation is above the witness, so that a copy of any state that was saved between the two stays behind it. A witness above
    /// 2^63 is not one that a store has reached: the messenger is suspect, and goes on with its own generation.
    pub fn check_witness(&mut self, witness: u64) -> Option<Suspicion> {
        if self.generation() < witness {
            if witness <= policy::GREATEST_WITNESS {
                self.core.ledger.raise_above(witness);
            }
            self.suspect(Suspicion::Witness);
        }
        self.core.inner.suspicion
    }

    /// Compares the login nonce that the server has for this device, or `None` if it has none, and returns the one to give
    /// it in exchange, when it is saved. Call it at each login. Draws 16 bytes from `rng`.
    ///
    /// The messenger knows the nonce that the server showed last and the eight that were offered last, because an exchange
    /// may get lost or arrive late. Another one shows that the store was put back, or that the server lies. The messenger is
    /// then [suspect](Self::suspicion) until [`restore_backup`](Self::restore_backup). Save that with
    /// [`save_notes`](Self::save_notes), so that it survives a restart. At the first login after a restoring, and for a
    /// day, nonces are not compared: the server has one of a discarded state then, and a lying server causes one renewal a
    /// day.
    ///
    /// Have the server exchange nonces one for one: it takes the offered one if it still has the one that it has shown.
    /// Then no exchange that arrives late has any effect.
    ///
    /// # Errors
    /// [`StepError::NotSaved`], or [`StepError::Failed`] if the messenger is suspect; the nonce at the server stays.
    pub fn login(
        &mut self,
        server_has: Option<&LoginNonce>,
        reading: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, LoginNonce>, StepError<Suspicion>> {
        self.check_step()?;
        self.read_clock(reading);
        let now = self.time(reading);
        let Restored { nonce, offered, is_login_due, at, old_prekeys: _ } = &self.core.inner.restored;
        let is_known = server_has.is_none_or(|server_has| nonce.iter().chain(offered).any(|known| known == server_has));
        // A time after `now` is one that a wrong clock has left.
        let is_renewed = at.is_some_and(|at| at <= now && now.saturating_since(at) < DAY);
        if !is_known && !is_renewed && !is_login_due {
            self.suspect(Suspicion::LoginNonce);
            return Err(StepError::Failed(Suspicion::LoginNonce));
        }
        self.progress = Progress::Stepping;
        let mut offered = [0; LOGIN_NONCE_LEN];
        rng.fill_bytes(&mut offered);
        let restored = &mut self.core.inner.restored;
        (restored.nonce, restored.is_login_due) = (server_has.copied(), false);
        let excess = restored.offered.len().saturating_sub(policy::OFFERED_NONCES.saturating_sub(1));
        restored.offered.drain(..excess);
        restored.offered.push(offered);
        Ok(self.hand_out(offered, Step::default(), reading))
    }

    /// Saves what was noted without a step: a suspicion, a reason for a new session that a refused message has shown, the
    /// identity of a bundle that claims to be a peer, and with them how many messages were refused, and the reading of the
    /// clock. Returns the [`suspicion`](Self::suspicion). Any other step saves the same.
    ///
    /// Call it if [`has_notes`](Self::has_notes) says so, after a refusal or an error. Otherwise a process that starts again
    /// would send on a session that should be replaced; and it would seal from a state that was put back, until it compares
    /// the witness or logs in. A server that shows another nonce then would lift the suspicion.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing has changed.
    pub fn save_notes(&mut self, now: UnixSeconds) -> Result<Unsaved<'_, Option<Suspicion>>, StepError<Infallible>> {
        if !self.is_saved() {
            return Err(StepError::NotSaved);
        }
        Ok(self.hand_out(self.suspicion(), Step::default(), now))
    }

    /// Returns whether a restart would forget something that [`save_notes`](Self::save_notes) saves. The counters and the
    /// clock alone are no reason for a step, so that whoever sends junk causes none.
    #[must_use]
    pub fn has_notes(&self) -> bool {
        self.is_suspicion_noted || !self.changed.is_empty()
    }

    /// Notes that the store was put back, which the application knows from elsewhere: its database reports a rollback, or the
    /// user says so. The messenger is [suspect](Self::suspicion) from then on. Restore, or [save](Self::save_notes) the note,
    /// before the database accepts the state as its newest one: after a crash between the two, nothing else would show it.
    pub fn suspect(&mut self, suspicion: Suspicion) {
        self.is_suspicion_noted |= self.core.inner.suspicion.replace(suspicion) != Some(suspicion);
    }

    /// Returns whether the store seems to have been put back to an earlier state, and why. Then nothing is opened or
    /// sealed, until [`restore_backup`](Self::restore_backup).
    #[must_use]
    pub const fn suspicion(&self) -> Option<Suspicion> {
        self.core.inner.suspicion
    }

    /// Renews the messenger after its store was put back: by the user, from a backup, or by somebody else. Returns what to
    /// upload. The identity stays. Every session is receive-only from then on, so that the next message to each peer begins
    /// a new one, which the [limits](super::policy::RECOVERIES_A_DAY) do not count. The signed prekey and the one-time
    /// prekeys at the server are new. Sessions that are begun from older ones are on probation for [14
    /// days](super::policy::OLD_PREKEYS_KEPT).
    ///
    /// Have the server withdraw all one-time prekeys that it lists before it takes these.
    ///
    /// # Errors
    /// [`StepError::NotSaved`]; nothing has changed.
    ///
    /// # Security
    /// Messages that were opened after the backup may be opened again, and those of its time that a thief of the backup has
    /// can be read by him. Whoever puts back both the store and the witness goes unnoticed, until the peers' silence for [a
    /// week](super::policy::SILENCE) begins new sessions.
    pub fn restore_backup(
        &mut self,
        reading: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Unsaved<'_, Publication>, StepError<Infallible>> {
        if !self.is_saved() {
            return Err(StepError::NotSaved);
        }
        self.progress = Progress::Stepping;
        self.read_clock(reading);
        let now = self.time(reading);
        let restored = &mut self.core.inner.restored;
        (restored.at, restored.is_login_due) = (Some(now), true);
        restored.old_prekeys = self.device.inner.prekey_ids().take(OLD_PREKEYS).collect();
        let device = &mut self.device.inner;
        // None of the old ones is offered once more: each may have been used after the backup.
        device.upload_succeeded();
        device.rotate(reading, rng);
        let publication = device.replenish(reading, &[], rng);
        let mut step = Step { is_device_changed: true, ..Step::default() };
        for (id, peer) in &mut self.peers {
            let record = &mut peer.inner;
            if record.sessions.is_empty() {
                continue;
            }
            record.sessions.iter_mut().for_each(|session| session.state = State::ReceiveOnly);
            record.recovery = Some(NewSession::Restored);
            step.peers.insert(*id);
        }
        self.core.inner.suspicion = None;
        Ok(self.hand_out(publication, step, reading))
    }

    /// Forgets the old prekeys when their time is over. The device deletes the signed ones itself, by its own clock, which
    /// can be behind: until then they stay among the old ones.
    pub(super) fn forget_old_prekeys(&mut self, now: UnixSeconds) {
        let restored = &mut self.core.inner.restored;
        let age = restored.at.map(|at| now.saturating_since(at));
        if age.is_some_and(|age| age >= super::policy::OLD_PREKEYS_KEPT) {
            let device = &mut self.device.inner;
            restored.old_prekeys.iter().for_each(|id| _ = device.delete_one_time_prekey(*id));
            let held: BTreeSet<PrekeyId> = device.prekey_ids().collect();
            restored.old_prekeys.retain(|id| held.contains(id));
        }
    }

    /// Checks that a step is possible.
    pub(super) const fn check_step(&self) -> Result<(), StepError<Suspicion>> {
        match self.core.inner.suspicion {
            _ if !self.is_saved() => Err(StepError::NotSaved),
            Some(suspicion) => Err(StepError::Failed(suspicion)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_more_nonces_than_are_offered_is_refused() {
        for count in 0..=policy::OFFERED_NONCES + 1 {
            let offered = alloc::vec![[7; LOGIN_NONCE_LEN]; count];
            let restored = Restored { nonce: Some([8; 16]), offered, is_login_due: true, ..Restored::default() };
            let mut row = alloc::vec![0; restored.stored_len()];
            assert!(restored.store(&mut Writer::new(&mut row)).is_ok());
            // Control: up to eight come back as they were.
            match Restored::load(&mut Reader::new(&row)) {
                Ok(loaded) => {
                    assert!(count <= policy::OFFERED_NONCES && loaded.is_login_due && loaded.at.is_none());
                    assert_eq!((loaded.nonce, loaded.offered), (restored.nonce, restored.offered));
                }
                Err(error) => assert!(count > policy::OFFERED_NONCES && error == DecodeError::Refused),
            }
        }
    }
}
