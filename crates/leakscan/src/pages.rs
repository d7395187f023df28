// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables that are read at random: in huge pages where the system has them, and fetched before they are read. With the usual
//! pages of 4 KiB, a table that is larger than what the processor remembers of the page table costs a walk through it for
//! each read, besides the miss; and a read that misses keeps the processor from what comes a few hundred instructions later.

#[cfg(target_os = "linux")]
use memmap2::{Advice, MmapMut};

/// Bytes of a huge page, on most processors. Less than one is not worth a mapping.
#[cfg(target_os = "linux")]
const HUGE: usize = 1 << 21;

pub(super) enum Pages {
    #[cfg(target_os = "linux")]
    Mapped(MmapMut),
    Heap(Vec<u8>),
}

impl Pages {
    /// So many bytes, all zero.
    pub(super) fn new(len: usize) -> Self {
        #[cfg(target_os = "linux")]
        if len >= HUGE
            && let Ok(mapped) = MmapMut::map_anon(len)
        {
            // A system without huge pages refuses; then it is memory like any other.
            _ = mapped.advise(Advice::HugePage);
            return Self::Mapped(mapped);
        }
        Self::Heap(vec![0; len])
    }

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mapped(mapped) => mapped,
            Self::Heap(bytes) => bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    #[inline(always)]
    pub(super) fn as_chunks<const N: usize>(&self) -> &[[u8; N]] {
        self.bytes().as_chunks().0
    }

    pub(super) fn as_chunks_mut<const N: usize>(&mut self) -> &mut [[u8; N]] {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mapped(mapped) => mapped.as_chunks_mut().0,
            Self::Heap(bytes) => bytes.as_chunks_mut().0,
        }
    }
}

/// Brings the element at an index near; where there is no such instruction, nothing happens.
#[inline(always)]
pub(super) fn fetch<T>(table: &[T], at: usize) {
    prefetch::<T, false>(table, at);
}

/// The same of what is read once, and is not to take the place of what is read again.
#[inline(always)]
pub(super) fn fetch_once<T>(table: &[T], at: usize) {
    prefetch::<T, true>(table, at);
}

#[inline(always)]
fn prefetch<T, const ONCE: bool>(table: &[T], at: usize) {
    #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse"))]
    match table.get(at) {
        Some(element) if ONCE => safe_arch::prefetch_nta(element),
        Some(element) => safe_arch::prefetch_t0(element),
        None => {}
    }
    #[cfg(not(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse")))]
    let _ = (table, at);
}
