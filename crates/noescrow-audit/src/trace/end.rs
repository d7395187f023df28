// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record with which a complete trace ends. A trace without it may lack what its devices did last: the process
//! ended before it wrote the rest, or the disk was full.

use sha2::{Digest, Sha256};

/// The first byte of the record.
pub(super) const END: u8 = 0x82;
/// Bytes of the record: its first byte, the count of operations, the digest.
pub(crate) const END_LEN: usize = 1 + COUNT_LEN + DIGEST_LEN;
const COUNT_LEN: usize = 8;
const DIGEST_LEN: usize = 32;

/// The bytes of a trace so far, as a digest, and how many operations they have. Writer and reader keep one each.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    digest: Sha256,
    pub(super) operations: u64,
}

impl Sum {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    pub(super) const fn count_operation(&mut self) {
        self.operations = self.operations.saturating_add(1);
    }

    /// The record that ends a trace after these bytes.
    pub(super) fn record(&self) -> [u8; END_LEN] {
        let mut head = [END; 1 + COUNT_LEN];
        if let Some(count) = head.last_chunk_mut() {
            *count = self.operations.to_be_bytes();
        }
        let digest: [u8; DIGEST_LEN] = self.digest.clone().chain_update(head).finalize().into();
        let mut record = [0; END_LEN];
        record.iter_mut().zip(head.into_iter().chain(digest)).for_each(|(to, from)| *to = from);
        record
    }
}
