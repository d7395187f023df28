// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a window may be in the index, told by two words of memory: two Bloom filters in blocks of 64 bits. Most windows
//! are told by the first, a coarse one that stays in caches where the second does not.
//!
//! Windows are asked for in batches: the places of their words and the bits that must be set there are computed in vectors,
//! and the words are fetched while others are computed.

use super::pages::{Pages, fetch, fetch_once};
use super::windows::{HALF, first_window, hash, is_ascii};

/// Bits of the sieve for a window: with two bits set, one in six foreign windows passes. Of a million secrets it takes 14 MB.
const SIEVE_BITS: u64 = 4;
/// Bits of the filter for a window: with four bits set, one in thirty of those that the sieve lets pass does.
const FILTER_BITS: u64 = 8;
/// Windows whose words are fetched before they are tested: as long as memory takes, a hundred nanoseconds, at three or four
/// for a window.
pub(super) const BATCH: usize = 32;
const _: () = assert!(BATCH == u32::BITS as usize);

/// Which of the two, known where it is compiled.
#[derive(Clone, Copy)]
enum Stage {
    Sieve,
    Filter,
}

impl Stage {
    /// Of a window's hash, what decides on its place, as a fraction of 2^32, and its bits there. No two of the four come from
    /// the same bits, in tables of fewer than 2^26 words: of a product the middle ones are decided by all of a window's.
    #[inline(always)]
    const fn tell(self, hash: u64) -> (u64, u64) {
        let folded = hash >> 32 ^ hash & HALF;
        let mixed = (hash & HALF).wrapping_mul(0x9E37_79B1);
        match self {
            Self::Sieve => (folded, 1 << (folded & 63) | 1 << (mixed >> 56 & 63)),
            Self::Filter => {
                let (one, two) = (1 << (mixed >> 32 & 63), 1 << (mixed >> 38 & 63));
                (mixed & HALF, one | two | 1 << (mixed >> 44 & 63) | 1 << (mixed >> 50 & 63))
            }
        }
    }
}

/// One word for each window, in two parts: text, of which there is much in evidence, is looked up where the few windows are
/// that are text, in a part that caches hold.
struct Table {
    words: Pages,
    /// Words of the part that is text.
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

/// Both.
pub(super) struct Filter {
    sieve: Table,
    filter: Table,
}

impl Filter {
    /// For so many windows that are text and so many others, none of which is in it; `None` beyond 32 GiB.
    pub(super) fn of(ascii: u64, other: u64) -> Option<Self> {
        let sieve = Table::of(ascii, other, SIEVE_BITS)?;
        Some(Self { sieve, filter: Table::of(ascii, other, FILTER_BITS)? })
    }

    pub(super) fn insert(&mut self, window: u64, hash: u64) {
        self.sieve.insert(window, Stage::Sieve.tell(hash));
        self.filter.insert(window, Stage::Filter.tell(hash));
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.sieve.words.len().saturating_add(self.filter.words.len())
    }

    #[inline(always)]
    pub(super) fn sieve(&self) -> Asked<'_> {
        Asked { view: self.sieve.view(), stage: Stage::Sieve }
    }

    #[inline(always)]
    pub(super) fn filter(&self) -> Asked<'_> {
        Asked { view: self.filter.view(), stage: Stage::Filter }
    }

    /// Whether this window may be there.
    #[inline(always)]
    pub(super) fn may_hold(&self, window: u64, hash: u64) -> bool {
        self.sieve().may_hold(window, hash) && self.filter().may_hold(window, hash)
    }
}

/// [`Table`], to be read.
#[derive(Clone, Copy)]
struct View<'a> {
    words: &'a [[u8; 8]],
    ascii: usize,
}

impl View<'_> {
    /// Where the word is that tells of this window. There are fewer than 2^32.
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

/// Windows of which one of the two is asked at a time.
pub(super) type Batch = [u64; BATCH];

/// The windows with which some bytes begin.
#[inline(always)]
pub(super) fn first_windows<const STRIDE: usize>(batch: &[[u8; STRIDE]]) -> Batch {
    let mut windows = [0; BATCH];
    for (window, bytes) in windows.iter_mut().zip(batch) {
        *window = bytes.first_chunk().copied().map_or(0, first_window);
    }
    windows
}

/// Of windows whose words are being fetched: where those are, and which bits of them tell.
pub(super) struct Fetched {
    places: [u32; BATCH],
    bits: [u64; BATCH],
}

impl Fetched {
    pub(super) const NONE: Self = Self { places: [0; BATCH], bits: [0; BATCH] };
}

/// The sieve, or the filter.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    view: View<'a>,
    stage: Stage,
}

impl Asked<'_> {
    #[inline(always)]
    fn may_hold(self, window: u64, hash: u64) -> bool {
        let (fraction, bits) = self.stage.tell(hash);
        self.view.has(self.view.place(window, fraction), bits)
    }

    /// Fetches the words of some windows.
    #[inline(always)]
    pub(super) fn fetch_all(self, windows: &Batch, fetched: &mut Fetched) {
        // Two loops, the first one without memory beyond the batch: for the vector units.
        for ((place, bits), &window) in fetched.places.iter_mut().zip(&mut fetched.bits).zip(windows) {
            let (fraction, told) = self.stage.tell(hash(window));
            (*place, *bits) = (self.view.place(window, fraction), told);
        }
        for &place in &fetched.places {
            match self.stage {
                Stage::Sieve => fetch(self.view.words, place as usize),
                Stage::Filter => fetch_once(self.view.words, place as usize),
            }
        }
    }

    /// Which of the first `len` windows of a batch may be there; the first one's bit is the highest of all.
    #[inline(always)]
    pub(super) fn test_all(self, fetched: &Fetched, len: usize) -> u32 {
        let passed = fetched
            .places
            .iter()
            .zip(&fetched.bits)
            .fold(0u32, |passed, (&place, &bits)| passed << 1 | u32::from(self.view.has(place, bits)));
        // Those behind the last were filled in.
        passed & u32::MAX.checked_shl(BATCH.saturating_sub(len) as u32).unwrap_or(0)
    }
}

/// A number below `len`, from a fraction of 2^32.
#[inline(always)]
pub(super) const fn reduce(fraction: u64, len: usize) -> usize {
    ((fraction & HALF).wrapping_mul(len as u64 & HALF) >> 32) as usize
}
