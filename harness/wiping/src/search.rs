// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds pieces of secrets in memory, raw, at any address.

use std::collections::HashMap;

/// Bytes of a piece: half of a key. Shorter pieces would match by chance, or reveal too little.
pub const PIECE_LEN: usize = 16;
/// Bytes of the shortest piece: a nonce of GCM.
pub const MIN_PIECE_LEN: usize = 12;

const FIRST: usize = 8;
/// Bits of the prefilter, which looks at three bytes.
const FILTER_BITS: usize = 1 << 24;

/// Pieces by their first bytes.
pub struct Index {
    pieces: Vec<Vec<u8>>,
    by_first: HashMap<[u8; FIRST], Vec<usize>>,
    filter: Vec<u64>,
}

impl Index {
    /// From pieces that are all different and have at least [`MIN_PIECE_LEN`] bytes.
    pub fn new(pieces: Vec<Vec<u8>>) -> Self {
        let mut by_first: HashMap<_, Vec<usize>> = HashMap::new();
        let mut filter = vec![0; FILTER_BITS / 64];
        for (number, piece) in pieces.iter().enumerate() {
            let first = *piece.first_chunk::<FIRST>().expect("a piece");
            by_first.entry(first).or_default().push(number);
            let bit = three(&first);
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Self { pieces, by_first, filter }
    }

    /// Calls `found` with every piece in `bytes`, and its offset.
    pub fn search(&self, bytes: &[u8], mut found: impl FnMut(usize, usize)) {
        for (at, window) in bytes.windows(FIRST).enumerate() {
            let bit = three(window);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            let first: &[u8; FIRST] = window.try_into().expect("a window");
            for &piece in self.by_first.get(first).into_iter().flatten() {
                if bytes[at..].starts_with(&self.pieces[piece]) {
                    found(piece, at);
                }
            }
        }
    }
}

fn three(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) | usize::from(bytes[1]) << 8 | usize::from(bytes[2]) << 16
}
