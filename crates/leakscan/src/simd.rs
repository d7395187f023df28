// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vector units of the processor, detected at run time.

use fearless_simd::Level;

/// The widest vectors that the processor has, up to 256 bits: for wider ones the compiler turns the loads of windows
/// eleven bytes apart into a gather, which takes longer than single loads.
#[inline]
pub(crate) fn level() -> Level {
    let level = Level::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = level.as_avx2() {
        return Level::Avx2(avx2);
    }
    level
}
