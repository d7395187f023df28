// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Recent`]: the long associated data that a trace had recently, so that later operations can refer to it.
//!
//! noescrow's sealed header covers its message's tag and the first 4,096 bytes of its ciphertext. Written out, they would
//! add 4 KiB to every operation on a header. Most are in the trace already: key, nonce and plaintext of the message's
//! own sealing determine them. Such associated data is written as a reference, `length (u32) || SHA-256 (32)`.
//!
//! A reference is to what an operation on AES-256-GCM, at most [`REACH`] operations before on the same trace, gives:
//!
//! 1. its associated data, if it is written whole there and has at most [`MAX_LEN`] bytes;
//! 2. its tag and the first [`COVERED_LEN`] bytes of its ciphertext, or the whole ciphertext if it is shorter.
//!
//! Only what is longer than [`MAX_WHOLE_LEN`] is referred to. What the trace did not have is written whole, so that the
//! audit verifies every tag with the bytes that the tag covers, and needs nothing but the trace for it.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};

/// Bytes of the longest associated data that is always written whole. A reference saves nothing below 36 bytes; with
/// 512, what only the devices know is whole (at most 405 bytes in noescrow: hashes and a message's header), and so are
/// the heads of stored states, by which a profile recognises them.
pub(crate) const MAX_WHOLE_LEN: usize = 512;
/// Bytes of a ciphertext that a reference covers: as many as noescrow's sealed header covers.
pub(crate) const COVERED_LEN: usize = 4096;
const TAG_LEN: usize = 16;
/// Bytes of the longest associated data that is referred to: bounds what the audit keeps for each operation.
const MAX_LEN: usize = TAG_LEN + COVERED_LEN;
/// Operations between a value and a reference to it. A message takes about thirty, so that some 270 may be under way
/// between two devices; the reference of one that arrives later is written whole. The recorder keeps 44 bytes for each
/// long value among them (at most 360 KB), the audit its bytes (at most 34 MB, and less than the trace has there).
const REACH: u64 = 1 << 13;

/// Length and SHA-256 of associated data.
pub(crate) type Reference = [u8; 36];

/// The associated data that a later operation may refer to, each with a `T`.
#[derive(Clone, Debug)]
pub(crate) struct Recent<T> {
    operations: u64,
    known: HashMap<Reference, (u64, T)>,
    /// What is known, and what was, by the number of the operation.
    order: VecDeque<(u64, Reference)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { operations: 0, known: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    /// Call at the beginning of every operation of the trace. Forgets what is out of reach.
    pub(crate) fn begin_operation(&mut self) {
        self.operations = self.operations.saturating_add(1);
        while let Some((at, reference)) = self.order.front().copied()
            && at.saturating_add(REACH) < self.operations
        {
            self.order.pop_front();
            if self.known.get(&reference).is_some_and(|(latest, _)| *latest == at) {
                self.known.remove(&reference);
            }
        }
    }

    /// What is known under a reference.
    pub(crate) fn get(&self, reference: &[u8]) -> Option<&T> {
        let reference: &Reference = reference.try_into().ok()?;
        self.known.get(reference).map(|(_, value)| value)
    }

    /// Remembers associated data that an operation was written with, unless it is too short or too long.
    pub(crate) fn remember(&mut self, associated_data: &[u8], keep: impl FnOnce(&[u8]) -> T) {
        let Some(reference) = reference(associated_data) else { return };
        self.known.insert(reference, (self.operations, keep(associated_data)));
        self.order.push_back((self.operations, reference));
    }

    /// Remembers the beginning of what an operation sealed or opened. Of the ciphertext no more than the first
    /// [`COVERED_LEN`] bytes are needed.
    pub(crate) fn remember_sealed(&mut self, tag: &[u8], ciphertext: &[u8], keep: impl FnOnce(&[u8]) -> T) {
        let covered = ciphertext.get(..COVERED_LEN).unwrap_or(ciphertext);
        self.remember(&[tag, covered].concat(), keep);
    }
}

/// The reference to associated data. `None` if it is always written whole.
pub(crate) fn reference(associated_data: &[u8]) -> Option<Reference> {
    if !(MAX_WHOLE_LEN < associated_data.len() && associated_data.len() <= MAX_LEN) {
        return None;
    }
    let len = u32::try_from(associated_data.len()).ok()?;
    let mut reference = [0; 36];
    let digest = Sha256::digest(associated_data);
    reference.iter_mut().zip(len.to_be_bytes().iter().chain(&digest)).for_each(|(to, from)| *to = *from);
    Some(reference)
}

#[cfg(test)]
mod tests;
