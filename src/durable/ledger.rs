// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Ledger`]: what the store has of a state, so that a step writes the rows that changed and no others.

use super::store::{Batch, Change, MESSAGE_ID_LEN, Row};
use super::unsaved::{Progress, Unsaved};
use super::{StepError, Subject};
use crate::error::RestoreError;
use crate::primitives::{Primitives, RustCrypto};
use crate::snapshot::{
    self, Place, Revision, RowName, SNAPSHOT_OVERHEAD, SealingKeys, StorageKey, Stored, VERSION, WipedOnDrop,
};
use crate::wire::{Full, Reader, Writer};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Length in bytes of the digest at the beginning of the core row: it names every other row and its revision, so that
/// no row can be taken away, or put back as it was earlier.
pub(crate) const ROWS_DIGEST_LEN: usize = 32;

/// What the store has of a row.
struct Kept {
    /// The content's stamp, or `None` if the row has to be written again.
    stamp: Option<u64>,
    revision: Revision,
    /// The turn in which the state last had this row.
    turn: u64,
}

/// What the store has of a state after the last step is saved, and whether it is.
pub(crate) struct Ledger {
    key: StorageKey,
    subject: Subject,
    /// The writer of this process: W of SN-1.5. Its rows contain W, or a value computed from W.
    writer: [u8; 16],
    revision: Option<Revision>,
    /// The next step's generation is above this.
    floor: u64,
    core_salt: [u8; 32],
    /// Every row except the core.
    rows: BTreeMap<RowName, Kept>,
    turn: u64,
    progress: Progress,
}

/// Draws a writer id.
pub(crate) fn draw_writer(rng: &mut impl CryptoRng) -> [u8; 16] {
    let mut writer = [0; 16];
    rng.fill_bytes(&mut writer);
    writer
}

impl Ledger {
    /// Makes the ledger of a new state.
    pub(crate) fn new(subject: Subject, key: &StorageKey, writer: [u8; 16]) -> Self {
        let (rows, progress) = (BTreeMap::new(), Progress::Saved);
        let key = key.duplicate();
        Self { key, subject, writer, revision: None, floor: 0, core_salt: [0; 32], rows, turn: 0, progress }
    }

    /// Makes the ledger of a new state that shares this one's writer.
    pub(crate) fn begin(&self, subject: Subject) -> Self {
        Self::new(subject, &self.key, self.writer)
    }

    pub(crate) const fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(crate) fn generation(&self) -> u64 {
        self.revision.map_or(0, |revision| revision.generation)
    }

    /// Has the next step's generation be above `generation`, that of states that the store has had and has lost.
    pub(crate) const fn raise_above(&mut self, generation: u64) {
        if generation > self.floor {
            self.floor = generation;
        }
    }

    pub(crate) const fn is_saved(&self) -> bool {
        matches!(self.progress, Progress::Saved)
    }

    pub(crate) fn unsaved(&mut self) -> Option<Unsaved<'_, ()>> {
        self.progress.hand_out_again()
    }

    /// Performs a step, if the one before is saved.
    pub(crate) fn step<T, E>(&mut self, step: impl FnOnce() -> Result<T, E>) -> Result<T, StepError<E>> {
        if !self.is_saved() {
            return Err(StepError::NotSaved);
        }
        self.step_after_check(step).map_err(StepError::Failed)
    }

    /// Performs a step. The one before is saved.
    pub(crate) fn step_after_check<T, E>(&mut self, step: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.progress = Progress::Stepping;
        step().inspect_err(|_| self.progress = Progress::Saved)
    }

    pub(crate) fn hand_out<T>(&mut self, outcome: T, batch: Batch) -> Unsaved<'_, T> {
        self.progress.hand_out(outcome, batch)
    }

    /// Does the same with an outcome whose plaintext is in the batch until it is released.
    pub(crate) fn hand_out_opened<T>(
        &mut self,
        outcome: T,
        batch: Batch,
        put_plaintext: fn(&mut T, Vec<u8>),
    ) -> Unsaved<'_, T> {
        self.progress.hand_out(outcome, batch).with_plaintext(put_plaintext)
    }

    /// SN-1.5: the revision of the next step. Two images of one process, after a fork or as clones of a machine, have
    /// one writer. The message tells their steps apart. It goes in under the storage key, so that a thief of the rows
    /// cannot tell which message it was.
    fn next_revision(
        &self,
        keys: &SealingKeys<'_>,
        core: &Place<'_>,
        message_id: Option<&[u8; MESSAGE_ID_LEN]>,
    ) -> Revision {
        let generation = self.generation().max(self.floor).saturating_add(1);
        let mut revision = Revision { generation, writer: self.writer };
        if let Some(id) = message_id {
            let keyed = snapshot::salt_now(keys, core, revision, id);
            revision.writer = keyed.first_chunk().copied().unwrap_or_default();
        }
        revision
    }

    /// Seals the rows that differ from the store's, the core always among them. Returns `None` if nothing differs.
    /// `message_id` is that of the message that the step opened, sealed or refused.
    pub(crate) fn change<P: Primitives, T: Stored<P>>(
        &mut self,
        state: &T,
        message_id: Option<&[u8; MESSAGE_ID_LEN]>,
    ) -> Option<Change> {
        self.seal_changes(state, message_id, true)
    }

    /// Does the same after a step that sealed or opened a message in a session. Such a step changes the core or a row, so
    /// that the core is not compared with the store's, which would hash it once more.
    pub(super) fn advance<P: Primitives, T: Stored<P>>(
        &mut self,
        state: &T,
        message_id: &[u8; MESSAGE_ID_LEN],
    ) -> Option<Change> {
        self.seal_changes(state, Some(message_id), false)
    }

    fn seal_changes<P: Primitives, T: Stored<P>>(
        &mut self,
        state: &T,
        message_id: Option<&[u8; MESSAGE_ID_LEN]>,
        may_be_unchanged: bool,
    ) -> Option<Change> {
        let primitives = state.primitives();
        let keys = SealingKeys::to_seal(primitives, &self.key);
        let revision = self.next_revision(&keys, &self.place::<P, T>(RowName::CORE), message_id);
        self.turn = self.turn.wrapping_add(1);
        let mut rows = Vec::new();
        for part in state.parts() {
            let (stamp, content) = (part.content.stamp(), &part.content);
            match self.rows.get_mut(&part.name) {
                Some(row) if row.stamp == Some(stamp) => row.turn = self.turn,
                _ => {
                    let place = self.place::<P, T>(part.name);
                    let sealed = seal_row(primitives, &keys, &place, revision, content.stored_len(), |writer| {
                        content.store(writer)
                    });
                    rows.push(Row { name: part.name, sealed });
                    self.rows.insert(part.name, Kept { stamp: Some(stamp), revision, turn: self.turn });
                }
            }
        }
        let gone = self.rows.iter().filter(|(_, row)| row.turn != self.turn);
        let deleted: Vec<RowName> = gone.map(|(name, _)| *name).collect();
        self.rows.retain(|_, row| row.turn == self.turn);

        let mut core = Zeroizing::new(alloc::vec![0; state.core_len().saturating_add(ROWS_DIGEST_LEN)]);
        let digest = rows_digest(self.rows.iter().map(|(name, row)| (*name, row.revision)));
        let mut writer = Writer::new(&mut core);
        // The core has this length.
        let _ = writer.put(&digest).and_then(|()| state.store_core(&mut writer));
        let place = self.place::<P, T>(RowName::CORE);
        if let Some(stored) = self.revision
            && may_be_unchanged
            && rows.is_empty()
            && deleted.is_empty()
            && snapshot::salt_now(&keys, &place, stored, &core) == self.core_salt
        {
            return None;
        }
        let sealed = seal_row(primitives, &keys, &place, revision, core.len(), |writer| writer.put(&core));
        self.core_salt = snapshot::salt_of(&sealed).unwrap_or_default();
        rows.push(Row { name: RowName::CORE, sealed });
        let previous = self.revision.replace(revision);
        Some(Change { subject: self.subject, previous, revision, rows, deleted })
    }

    /// Requires that the store has this state as it was last saved: another process may have changed the storage key.
    pub(crate) fn require(&self) -> Option<Change> {
        self.revision.map(|revision| Change::requiring(self.subject, revision))
    }

    fn place<P: Primitives, T: Stored<P>>(&self, name: RowName) -> Place<'_> {
        Place { kind: T::ROW_KIND, subject: &self.subject, name }
    }
}

/// Seals one row. Sealing fails only beyond GCM's bound on lengths, which no row reaches.
pub(crate) fn seal_row<P: Primitives>(
    primitives: &P,
    keys: &SealingKeys<'_>,
    place: &Place<'_>,
    revision: Revision,
    len: usize,
    store: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Vec<u8> {
    let mut sealed = alloc::vec![0; len.saturating_add(SNAPSHOT_OVERHEAD)];
    match snapshot::seal_state(primitives, keys, place, VERSION, revision, &mut sealed, store) {
        Some(()) => sealed,
        None => Vec::new(),
    }
}

/// Computes the digest of all rows except the core, in the order of their names, from what every row shows.
fn rows_digest(rows: impl Iterator<Item = (RowName, Revision)>) -> [u8; 32] {
    let mut bytes = Vec::new();
    for (name, Revision { generation, writer }) in rows {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(&writer);
    }
    RustCrypto.sha256(&[&bytes])
}

/// The rows of a state, opened and found to be of one save.
pub(crate) struct OpenedRows {
    /// The version of the format, of all rows.
    version: u8,
    pub(crate) revision: Revision,
    core_salt: [u8; 32],
    /// The rows' digest, the core, and then each other row after its name.
    bytes: Zeroizing<Vec<u8>>,
    /// Every row except the core: its revision, and where its content is.
    pub(crate) rows: BTreeMap<RowName, (Revision, Range<usize>)>,
    core_len: usize,
}

impl OpenedRows {
    /// SN-2 of each row. The rows' contents are wiped.
    pub(crate) fn open<P: Primitives>(
        primitives: &P,
        mut sealed: Vec<Row>,
        key: &StorageKey,
        (subject, kind, oldest_version): (&Subject, u8, u8),
    ) -> Result<Self, RestoreError> {
        let keys = SealingKeys::to_open(primitives, key);
        sealed.sort_unstable_by_key(|row| row.name);
        let len = sealed.iter().map(|row| row.sealed.len()).fold(0, usize::saturating_add);
        // It is longer than the contents with their names, so that it does not grow and leave a copy.
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        let mut rows = BTreeMap::new();
        let mut core: Option<(u8, Revision, [u8; 32], usize)> = None;
        for Row { name, sealed } in &mut sealed {
            let place = Place { kind, subject, name: *name };
            let core_salt = snapshot::salt_of(sealed).ok_or(RestoreError::Refused)?;
            let opened = snapshot::open_state(primitives, sealed, &keys, &place, oldest_version)?;
            let (version, revision) = (opened.version, opened.revision);
            let state = WipedOnDrop(opened.state);
            match core {
                // The core has the lowest name, so it comes first.
                None if *name == RowName::CORE => {
                    bytes.extend_from_slice(state.0);
                    core = Some((version, revision, core_salt, state.0.len()));
                }
                Some((of_core, ..)) if of_core == version => {
                    bytes.extend_from_slice(name.as_bytes());
                    let start = bytes.len();
                    bytes.extend_from_slice(state.0);
                    if rows.insert(*name, (revision, start..bytes.len())).is_some() {
                        return Err(RestoreError::Refused);
                    }
                }
                _ => return Err(RestoreError::Refused),
            }
        }
        let (version, revision, core_salt, core_len) = core.ok_or(RestoreError::Refused)?;
        let digest = rows_digest(rows.iter().map(|(name, (revision, _))| (*name, *revision)));
        if bytes.first_chunk() != Some(&digest) {
            return Err(RestoreError::Refused);
        }
        Ok(Self { version, revision, core_salt, bytes, rows, core_len })
    }

    /// The content of the core row.
    pub(crate) fn core(&self) -> &[u8] {
        self.bytes.get(..self.core_len).unwrap_or_default()
    }

    pub(crate) fn content(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The state, and what the store has of it.
    pub(crate) fn load<P: Primitives, T: Stored<P>>(
        self,
        primitives: P,
        key: &StorageKey,
        subject: &Subject,
        writer: [u8; 16],
    ) -> Result<(T, Ledger), RestoreError> {
        let state_bytes = self.bytes.get(ROWS_DIGEST_LEN..).ok_or(RestoreError::Refused)?;
        let state = T::load_version(self.version, primitives, &mut Reader::new(state_bytes))?;
        let mut ledger = Ledger::new(*subject, key, writer);
        ledger.revision = Some(self.revision);
        ledger.core_salt = self.core_salt;
        for (name, (revision, _)) in &self.rows {
            ledger.rows.insert(*name, Kept { stamp: None, revision: *revision, turn: 0 });
        }
        // A row that would now be written in another way, or not at all, is rewritten or deleted at the next step.
        if self.version == VERSION {
            let longest = state.parts().map(|part| part.content.stored_len()).max().unwrap_or_default();
            let mut buffer = Zeroizing::new(alloc::vec![0; longest]);
            for part in state.parts() {
                let mut writer = Writer::new(&mut buffer);
                // The content is no longer than the longest one.
                let _ = part.content.store(&mut writer);
                let written = writer.written();
                let stored = self.rows.get(&part.name).map(|(_, range)| self.content(range));
                if let Some(kept) = ledger.rows.get_mut(&part.name)
                    && stored == buffer.get(..written)
                {
                    kept.stamp = Some(part.content.stamp());
                }
            }
        }
        Ok((state, ledger))
    }
}
