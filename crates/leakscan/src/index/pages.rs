// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables that are read at random places: in huge pages where the system has them, and prefetched before they are read.
//! With the usual pages of 4 KiB, each read of a table that exceeds the processor's translation buffer costs a walk of
//! the page table besides the cache miss; and a read that misses delays instructions that come a few hundred later.

#[cfg(target_os = "linux")]
use memmap2::{Advice, MmapMut};

/// Bytes of a huge page, on most processors. A smaller table is not worth a mapping.
#[cfg(target_os = "linux")]
const HUGE: usize = 1 << 21;

pub(super) enum Pages {
    #[cfg(target_os = "linux")]
    Mapped(MmapMut),
    Heap(Vec<u8>),
}

impl Pages {
    /// `len` bytes, all zero.
    pub(super) fn new(len: usize) -> Self {
        #[cfg(target_os = "linux")]
        if len >= HUGE
            && let Ok(mapped) = MmapMut::map_anon(len)
        {
            // A system without huge pages refuses; the mapping then has the usual pages.
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

/// Prefetches the element at an index; does nothing on processors without such an instruction.
#[inline(always)]
pub(super) fn fetch<T>(table: &[T], at: usize) {
    prefetch::<T, false>(table, at);
}

/// Prefetches an element that is read only once, without displacing others from the caches.
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
