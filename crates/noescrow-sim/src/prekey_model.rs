// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`PrekeyModel`]: the reference model of handshakes. Which prekeys of a device exist, and which last-resort
//! handshakes it has seen.

use noescrow::error::AcceptError;
use std::collections::{BTreeMap, BTreeSet};

/// Last-resort handshakes that a device can distinguish: few, so that schedules fill the record.
pub(crate) const REPLAY: usize = 4;
/// Replaced signed prekeys that a device keeps.
pub(crate) const PREVIOUS: usize = 2;
/// What a device has, according to the specification.
#[derive(Clone, Debug)]
pub(crate) struct PrekeyModel {
    signed_prekey: u32,
    /// Oldest first.
    previous: Vec<u32>,
    one_time_prekeys: BTreeSet<u32>,
    /// The number of accepted last-resort handshakes, by signed prekey.
    recorded: BTreeMap<u32, usize>,
}

impl PrekeyModel {
    pub(crate) const fn new(signed_prekey: u32) -> Self {
        Self { signed_prekey, previous: Vec::new(), one_time_prekeys: BTreeSet::new(), recorded: BTreeMap::new() }
    }

    /// Records new one-time prekeys.
    pub(crate) fn publish(&mut self, ids: impl Iterator<Item = u32>) {
        self.one_time_prekeys.extend(ids);
    }

    /// Records a new signed prekey.
    pub(crate) fn rotate(&mut self, id: u32) {
        if self.previous.len() == PREVIOUS {
            self.previous.remove(0);
        }
        self.previous.push(self.signed_prekey);
        self.signed_prekey = id;
    }

    /// Records that the previous signed prekeys were deleted.
    pub(crate) fn delete_previous(&mut self) {
        self.previous.clear();
    }

    /// Whether this device still has a signed prekey.
    pub(crate) fn has_signed(&self, id: u32) -> bool {
        id == self.signed_prekey || self.previous.contains(&id)
    }

    /// What must happen to a genuine first message that arrives for the first time, or `again`.
    pub(crate) fn expected(
        &self,
        signed_prekey: u32,
        one_time_prekey: Option<u32>,
        again: bool,
    ) -> Result<(), AcceptError> {
        if !self.has_signed(signed_prekey) {
            return Err(AcceptError::PrekeyGone);
        }
        match one_time_prekey {
            Some(id) if self.one_time_prekeys.contains(&id) => Ok(()),
            Some(_) => Err(AcceptError::PrekeyGone),
            None if again => Err(AcceptError::Repeated),
            None if self.recorded.get(&signed_prekey).is_some_and(|count| *count >= REPLAY) => {
                Err(AcceptError::ReplayRecordFull)
            }
            None => Ok(()),
        }
    }

    /// Records an accepted handshake.
    pub(crate) fn accept(&mut self, signed_prekey: u32, one_time_prekey: Option<u32>) {
        match one_time_prekey {
            Some(id) => {
                self.one_time_prekeys.remove(&id);
            }
            None => {
                let count = self.recorded.entry(signed_prekey).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
}
