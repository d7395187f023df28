// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows that a device's store has: a thief of its memory takes the latest row of each name, not those that were
//! replaced or deleted before.
//!
//! A trace does not record deletions. The core row does: its content begins with a digest of the other rows, each by
//! name and revision, which the device hashed before.

use super::ParticipantId;
use crate::profile::Row;
use crate::value::Id;
use std::collections::{BTreeMap, HashMap};

/// Bytes of a digest.
const DIGEST_LEN: usize = 32;

/// By name, the latest revision and its content.
type Rows = BTreeMap<Vec<u8>, (Vec<u8>, Id)>;

/// The rows of all devices.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowStores {
    /// The rows of each device and owner.
    latest: HashMap<(ParticipantId, Vec<u8>), Rows>,
    /// The last hash of each device that can be a digest of rows, with what was hashed.
    hashed: HashMap<ParticipantId, (Vec<u8>, Vec<u8>)>,
}

impl RowStores {
    /// Notes a hash, which may be that of rows.
    pub(crate) fn hash(&mut self, device: ParticipantId, digest: &[u8], input: &[u8]) {
        if !self.latest.is_empty() {
            self.hashed.insert(device, (digest.to_vec(), input.to_vec()));
        }
    }

    /// Notes a row that a device sealed or opened. If it is the core, returns the contents of all rows of its owner.
    pub(crate) fn put(&mut self, device: ParticipantId, row: &Row<'_>, content: Id, bytes: &[u8]) -> Option<Vec<Id>> {
        let rows = self.latest.entry((device, row.owner.to_vec())).or_default();
        if !row.is_core {
            rows.insert(row.name.to_vec(), (row.revision.to_vec(), content));
            return None;
        }
        if let Some((digest, input)) = self.hashed.get(&device)
            && bytes.get(..DIGEST_LEN) == Some(digest)
        {
            let entry_len = row.name.len().saturating_add(row.revision.len()).max(1);
            let is_kept = |name: &[u8], revision: &[u8]| {
                input.chunks(entry_len).any(|entry| entry.strip_prefix(name) == Some(revision))
            };
            rows.retain(|name, (revision, _)| is_kept(name, revision));
        }
        // Without that hash nothing is known to be deleted: the thief is taken to have every row.
        Some(rows.values().map(|(_, content)| *content).chain([content]).collect())
    }
}

#[cfg(test)]
mod tests;
