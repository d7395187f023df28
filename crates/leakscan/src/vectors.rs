// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vector units that the processor has, told at run time.

use fearless_simd::Level;

/// What there is, but no wider than 256 bits: of windows eleven bytes apart a compiler with more makes one gather, which takes
/// longer than to load each.
#[inline]
pub(super) fn level() -> Level {
    let level = Level::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = level.as_avx2() {
        return Level::Avx2(avx2);
    }
    level
}
