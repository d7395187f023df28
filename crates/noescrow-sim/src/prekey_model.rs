// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`PrekeyModel`]: the reference model of handshakes. Which prekeys of a device exist, and which last-resort
//! handshakes it has seen.

use noescrow::error::AcceptError;
use std::collections::{BTreeMap, BTreeSet};

/// The id of a device's first prekey, which is its first signed one (spec/protocol.md §5).
pub(crate) const FIRST_ID: u32 = 1;

/// Last-resort handshakes that a device can distinguish: few, so that schedules fill the record.
pub(crate) const REPLAY: usize = 4;
/// What a device has, according to the specification.
#[derive(Clone, Debug)]
pub(crate) struct PrekeyModel {
    signed_prekey: u32,
    previous: Option<u32>,
    one_time_prekeys: BTreeSet<u32>,
    /// The number of accepted last-resort handshakes, by signed prekey.
    recorded: BTreeMap<u32, usize>,
}

impl PrekeyModel {
    pub(crate) const fn new() -> Self {
        Self { signed_prekey: FIRST_ID, previous: None, one_time_prekeys: BTreeSet::new(), recorded: BTreeMap::new() }
    }

    /// Records new one-time prekeys.
    pub(crate) fn publish(&mut self, ids: impl Iterator<Item = u32>) {
        self.one_time_prekeys.extend(ids);
    }

    /// Records a new signed prekey.
    pub(crate) const fn rotate(&mut self, id: u32) {
        self.previous = Some(self.signed_prekey);
        self.signed_prekey = id;
    }

    /// Records that the previous signed prekey was deleted.
    pub(crate) const fn delete_previous(&mut self) {
        self.previous = None;
    }

    /// Whether this device still has a signed prekey.
    #[allow(dead_code, reason = "for explorations of schedules, which not every build has")]
    pub(crate) fn has_signed(&self, id: u32) -> bool {
        id == self.signed_prekey || Some(id) == self.previous
    }

    /// What must happen to a genuine first message that arrives for the first time, or `again`.
    pub(crate) fn expected(
        &self,
        signed_prekey: u32,
        one_time_prekey: Option<u32>,
        again: bool,
    ) -> Result<(), AcceptError> {
        if signed_prekey != self.signed_prekey && Some(signed_prekey) != self.previous {
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
