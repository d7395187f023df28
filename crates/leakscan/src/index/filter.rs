// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a window may be in the index: two Bloom filters, each of which tests one word of 64 bits for a window. The
//! first, a coarse one, rejects most windows and stays in caches that are too small for the second.
//!
//! Windows are tested in batches: the places of their words and the bits that must be set there are computed in
//! vectors, and the words are prefetched while others are computed.

use super::pages::{Pages, fetch, fetch_once};
use super::windows::{HALF, first_window, hash, is_ascii};

/// Bits of the coarse filter per window: with two of them set for each, one in six foreign windows passes. For a
/// million secrets it takes 14 MB.
const COARSE_BITS: u64 = 4;
/// Bits of the fine filter per window: with four of them set for each, one in thirty of the foreign windows that passed
/// the coarse filter passes.
const FINE_BITS: u64 = 8;
/// Windows whose words are prefetched before they are tested: their work, at three or four nanoseconds per window,
/// takes as long as a read of memory, a hundred nanoseconds.
pub(super) const BATCH: usize = 32;
const _: () = assert!(BATCH == u32::BITS as usize);

/// Which of the two filters: a constant wherever it is used.
#[derive(Clone, Copy)]
enum Stage {
    Coarse,
    Fine,
}

impl Stage {
    /// From a window's hash, the place of its word, as a fraction of 2^32, and its bits there. No two of these four
    /// values of both filters come from the same bits of the hash, in tables of fewer than 2^26 words: the middle bits
    /// of a product depend on all bits of a window.
    #[inline(always)]
    const fn place_and_bits(self, hash: u64) -> (u64, u64) {
        let folded = hash >> 32 ^ hash & HALF;
        let mixed = (hash & HALF).wrapping_mul(0x9E37_79B1);
        match self {
            Self::Coarse => (folded, 1 << (folded & 63) | 1 << (mixed >> 56 & 63)),
            Self::Fine => {
                let (one, two) = (1 << (mixed >> 32 & 63), 1 << (mixed >> 38 & 63));
                (mixed & HALF, one | two | 1 << (mixed >> 44 & 63) | 1 << (mixed >> 50 & 63))
            }
        }
    }
}

/// The words of one filter, in two parts. Evidence has much text, and the index few windows of text: their part is
/// small enough for the caches.
struct Table {
    words: Pages,
    /// The number of words of the part for text.
    ascii: usize,
}

impl Table {
    fn of(ascii: u64, other: u64, bits: u64) -> Option<Self> {
        let words = |windows: u64| usize::try_from(windows.saturating_mul(bits) >> 6).ok().map(|words| words.max(1));
        let (ascii, other) = (words(ascii)?, words(other)?);
        let all = ascii.checked_add(other).filter(|&all| u32::try_from(all).is_ok())?;
        Some(Self { words: Pages::new(all.checked_mul(size_of::<u64>())?), ascii })
    }

    fn insert(&mut self, window: u64, (fraction, bits): (u64, u64)) {
        let place = self.view().place(window, fraction) as usize;
        if let Some(word) = self.words.as_chunks_mut().get_mut(place) {
            *word = (u64::from_le_bytes(*word) | bits).to_le_bytes();
        }
    }

    #[inline(always)]
    fn view(&self) -> View<'_> {
        View { words: self.words.as_chunks(), ascii: self.ascii }
    }
}

/// The two filters.
pub(super) struct Filter {
    coarse: Table,
    fine: Table,
}

impl Filter {
    /// Empty filters for `ascii` windows of text and `other` windows; `None` beyond 32 GiB.
    pub(super) fn of(ascii: u64, other: u64) -> Option<Self> {
        let coarse = Table::of(ascii, other, COARSE_BITS)?;
        Some(Self { coarse, fine: Table::of(ascii, other, FINE_BITS)? })
    }

    pub(super) fn insert(&mut self, window: u64, hash: u64) {
        self.coarse.insert(window, Stage::Coarse.place_and_bits(hash));
        self.fine.insert(window, Stage::Fine.place_and_bits(hash));
    }

    /// Bytes of memory that the filters take.
    pub(super) fn memory(&self) -> usize {
        self.coarse.words.len().saturating_add(self.fine.words.len())
    }

    #[inline(always)]
    pub(super) fn coarse(&self) -> OneFilter<'_> {
        OneFilter { view: self.coarse.view(), stage: Stage::Coarse }
    }

    #[inline(always)]
    pub(super) fn fine(&self) -> OneFilter<'_> {
        OneFilter { view: self.fine.view(), stage: Stage::Fine }
    }

    /// Whether this window may be in the index.
    #[inline(always)]
    pub(super) fn may_hold(&self, window: u64, hash: u64) -> bool {
        self.coarse().may_hold(window, hash) && self.fine().may_hold(window, hash)
    }
}

/// A [`Table`] that is read.
#[derive(Clone, Copy)]
struct View<'a> {
    words: &'a [[u8; 8]],
    ascii: usize,
}

impl View<'_> {
    /// The place of the word for this window. There are fewer than 2^32 words.
    #[inline(always)]
    fn place(self, window: u64, fraction: u64) -> u32 {
        let other = self.words.len().wrapping_sub(self.ascii);
        let (from, len) = if is_ascii(window) { (0, self.ascii) } else { (self.ascii, other) };
        reduce(fraction, len).wrapping_add(from) as u32
    }

    #[inline(always)]
    fn has(self, place: u32, bits: u64) -> bool {
        let word = self.words.get(place as usize).copied().map_or(0, u64::from_le_bytes);
        word & bits == bits
    }
}

/// Windows that are tested together.
pub(super) type Batch = [u64; BATCH];

/// The first windows of some byte strings.
#[inline(always)]
pub(super) fn first_windows<const STRIDE: usize>(batch: &[[u8; STRIDE]]) -> Batch {
    let mut windows = [0; BATCH];
    for (window, bytes) in windows.iter_mut().zip(batch) {
        *window = bytes.first_chunk().copied().map_or(0, first_window);
    }
    windows
}

/// The words that are being prefetched for a batch: their places, and the bits that must be set in them.
pub(super) struct Fetched {
    places: [u32; BATCH],
    bits: [u64; BATCH],
}

impl Fetched {
    pub(super) const NONE: Self = Self { places: [0; BATCH], bits: [0; BATCH] };
}

/// One of the two filters.
#[derive(Clone, Copy)]
pub(super) struct OneFilter<'a> {
    view: View<'a>,
    stage: Stage,
}

impl OneFilter<'_> {
    #[inline(always)]
    fn may_hold(self, window: u64, hash: u64) -> bool {
        let (fraction, bits) = self.stage.place_and_bits(hash);
        self.view.has(self.view.place(window, fraction), bits)
    }

    /// Prefetches the words of a batch.
    #[inline(always)]
    pub(super) fn fetch_all(self, windows: &Batch, fetched: &mut Fetched) {
        // Two loops: the first reads no memory besides the batch, for the vector units.
        for ((place, bits), &window) in fetched.places.iter_mut().zip(&mut fetched.bits).zip(windows) {
            let (fraction, bits_of_window) = self.stage.place_and_bits(hash(window));
            (*place, *bits) = (self.view.place(window, fraction), bits_of_window);
        }
        for &place in &fetched.places {
            match self.stage {
                Stage::Coarse => fetch(self.view.words, place as usize),
                Stage::Fine => fetch_once(self.view.words, place as usize),
            }
        }
    }

    /// Which of the first `len` windows of a batch may be in the index, one bit each; the first window's is the
    /// highest.
    #[inline(always)]
    pub(super) fn test_all(self, fetched: &Fetched, len: usize) -> u32 {
        let passed = fetched
            .places
            .iter()
            .zip(&fetched.bits)
            .fold(0u32, |passed, (&place, &bits)| passed << 1 | u32::from(self.view.has(place, bits)));
        // The windows after `len` are not part of the batch.
        passed & u32::MAX.checked_shl(BATCH.saturating_sub(len) as u32).unwrap_or(0)
    }
}

/// A fraction of 2^32, scaled to a number below `len`.
#[inline(always)]
pub(super) const fn reduce(fraction: u64, len: usize) -> usize {
    ((fraction & HALF).wrapping_mul(len as u64 & HALF) >> 32) as usize
}
