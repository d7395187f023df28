// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a simulation sent, and what happened in it.

use crate::model::Label;
use crate::side::Side;
use rand_core::CryptoRng;

/// A message as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its author.
    pub from: Side,
    /// The contents of its header.
    pub label: Label,
    /// Its contents.
    pub plaintext: Vec<u8>,
    /// The number of the associated data that it was sealed with.
    pub associated_data: u8,
    /// What the server saw.
    pub bytes: Vec<u8>,
    /// Whether it was opened.
    pub opened: bool,
}

impl Sent {
    pub(crate) fn draft(
        from: Side,
        label: Label,
        length: usize,
        associated_data: u8,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let mut plaintext = std::vec![0; length];
        rng.fill_bytes(&mut plaintext);
        Self { from, label, plaintext, associated_data, bytes: Vec::new(), opened: false }
    }
}

/// The 16 associated data, each of a different length.
pub(crate) fn associated_data(number: u8) -> &'static [u8] {
    b"conversation 42".get(..usize::from(number & 15)).unwrap_or_default()
}

/// What happened so far. A test of a generator checks here whether the generator ever reached a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Events.
    pub events: usize,
    /// Messages sent.
    pub sent: usize,
    /// Messages opened.
    pub opened: usize,
    /// Messages among these that were opened with a stored skipped key.
    pub opened_late: usize,
    /// Messages and forgeries refused.
    pub refused: usize,
    /// Genuine messages among these that were never opened, because their keys had been deleted.
    pub lost: usize,
    /// Messages among these that arrived two post-quantum epochs late while their classical key was still stored.
    pub expired: usize,
    /// Headers that would have skipped too much.
    pub too_many_skipped: usize,
    /// Skipped keys evicted for lack of room.
    pub evicted: usize,
    /// Skipped keys deleted because of their age.
    pub retired: usize,
    /// The most skipped keys that one side stored at a time.
    pub most_skipped: usize,
    /// The longest receiving history: ratchet steps.
    pub chains: u32,
    /// The newest post-quantum epoch in which a side sent.
    pub epochs: u32,
    /// Sessions restored.
    pub restored: usize,
    /// Snapshots refused.
    pub snapshots_refused: usize,
    /// Bundles, expired prekeys, first messages and messages of other conversations refused by the devices.
    pub handshakes_refused: usize,
    /// Bundles, handshakes and first messages accepted.
    pub handshakes_accepted: usize,
}
