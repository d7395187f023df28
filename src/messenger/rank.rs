// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Rank`]: which of two sessions with a peer is the newer one, so that both ends send on the same.

use crate::error::DecodeError;
use crate::wire::{Full, Reader, Writer};
use core::cmp::Ordering;

/// Length in bytes of the part of a session's id that is in a rank.
pub(super) const SHORT_ID_LEN: usize = 8;
/// The first bytes of a session's id.
pub(super) type ShortId = [u8; SHORT_ID_LEN];

/// A session's epoch and the first bytes of its id. The higher epoch is the higher rank. Of equal epochs the smaller id
/// is the higher rank: when both ends initiate at once, both choose the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rank {
    pub(super) epoch: u32,
    pub(super) id: ShortId,
}

impl Rank {
    /// Lower than the rank of every session: epochs begin with 1.
    pub(super) const NONE: Self = Self { epoch: 0, id: [0xFF; SHORT_ID_LEN] };
    /// Length in bytes of the encoding: epoch (4), id (8).
    pub(super) const LEN: usize = 4 + SHORT_ID_LEN;

    pub(super) fn new(epoch: u32, id: &[u8; 32]) -> Self {
        Self { epoch, id: short(id) }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u32(self.epoch)?;
        writer.put(&self.id)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { epoch: reader.u32()?, id: *reader.array()? })
    }
}

/// Returns the first bytes of a session's id.
pub(super) fn short(id: &[u8; 32]) -> ShortId {
    id.first_chunk().copied().unwrap_or_default()
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch.cmp(&other.epoch).then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_epoch_and_then_the_smaller_id_ranks_higher() {
        let rank = |epoch, byte| Rank { epoch, id: [byte; SHORT_ID_LEN] };
        assert!(rank(2, 9) > rank(1, 1));
        assert!(rank(2, 1) > rank(2, 9));
        assert!(rank(1, 0xFF) > Rank::NONE);
        // Control: by id alone the first comparison would be the other way round.
        assert!(rank(2, 9).id > rank(1, 1).id);
    }
}
