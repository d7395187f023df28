// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Piece`]: what was read of each source, so that somebody else can tell whether they have the same evidence.

use sha2::{Digest as _, Sha256};

/// The number of pieces that are listed; the rest is counted. A list of a Linux system's files would be larger than
/// what is worth reading.
pub const LISTED_PIECES: usize = 10_000;

/// A source, as it was read: one file of a directory, one capture, the memory of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece {
    /// The name of the source.
    pub name: String,
    /// The number of bytes that were read.
    pub bytes: u64,
    /// SHA-256 of these bytes; `None` for the memory of a process, which is never the same twice.
    pub sha256: Option<[u8; 32]>,
}

/// The pieces that have been read.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    listed: Vec<Piece>,
    count: u64,
    current: Option<(Piece, Sha256)>,
}

impl Pieces {
    /// Begins a piece; `stable`: whether its bytes are the same when they are read again.
    pub(super) fn begin(&mut self, name: &str, stable: bool) {
        self.end();
        let sha256 = stable.then_some([0; 32]);
        self.current = Some((Piece { name: name.to_owned(), bytes: 0, sha256 }, Sha256::new()));
    }

    /// Adds bytes of the current piece.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let Some((piece, digest)) = &mut self.current else { return };
        piece.bytes = piece.bytes.saturating_add(bytes.len() as u64);
        if piece.sha256.is_some() {
            digest.update(bytes);
        }
    }

    fn end(&mut self) {
        let Some((mut piece, digest)) = self.current.take() else { return };
        piece.sha256 = piece.sha256.map(|_| digest.finalize().into());
        self.count = self.count.saturating_add(1);
        if self.listed.len() < LISTED_PIECES {
            self.listed.push(piece);
        }
    }

    /// The pieces that are listed, and the number of the others.
    pub(super) fn finish(mut self) -> (Vec<Piece>, u64) {
        self.end();
        let unlisted = self.count.saturating_sub(self.listed.len() as u64);
        (self.listed, unlisted)
    }
}
