// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Manifest`]: which tool examined what, when and where, so that somebody else can repeat it.

use leakscan::printable;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Which tool examined what, when and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The tool and its version.
    pub tool: String,
    /// When the examination began, as the caller states it.
    pub time: Option<String>,
    /// The host on which it ran, as the caller states it.
    pub host: Option<String>,
    /// The options, as the caller states them.
    pub options: Vec<String>,
    /// The traces.
    pub traces: Vec<Piece>,
    /// The evidence.
    pub evidence: Vec<Piece>,
    /// The number of pieces of evidence beyond [`LISTED_PIECES`](leakscan::LISTED_PIECES).
    pub evidence_not_listed: u64,
}

/// A trace, or a piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Piece {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of what was read, in hexadecimal; `None` for the memory of a process, which is never the same twice.
    pub sha256: Option<String>,
}

impl Manifest {
    pub(super) fn new() -> Self {
        Self { tool: concat!("noescrow-audit ", env!("CARGO_PKG_VERSION")).into(), ..Self::default() }
    }

    pub(super) fn add_evidence(&mut self, pieces: &[leakscan::Piece], unlisted: u64) {
        self.evidence.extend(pieces.iter().map(|piece| Piece {
            name: printable(&piece.name).to_string(),
            bytes: piece.bytes,
            sha256: piece.sha256.map(|digest| hex(&digest)),
        }));
        self.evidence_not_listed = self.evidence_not_listed.saturating_add(unlisted);
    }
}

/// Hashes what is read.
pub(super) struct Hashing<R> {
    reader: R,
    digest: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, digest: Sha256::new(), bytes: 0 }
    }

    /// What was read, as a piece of this name.
    pub(super) fn into_piece(self, name: String) -> Piece {
        Piece { name: printable(&name).to_string(), bytes: self.bytes, sha256: Some(hex(&self.digest.finalize())) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
