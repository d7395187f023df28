// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stack, painted before an operation and inspected after it, to measure its depth.

use core::ptr::{read_volatile, write_volatile};
use cortex_m::register::msp;

/// A pattern that no program leaves in consecutive words by chance.
const PAINT: u32 = 0xC0DE_D00D;

unsafe extern "C" {
    /// From cortex-m-rt: the memory that static variables leave begins here, and here the stack ends.
    static mut __sheap: u32;
    static mut _stack_start: u32;
}

/// Paints all free memory.
#[inline(never)]
pub(crate) fn paint() {
    let mut at = &raw mut __sheap;
    while (at as u32) < msp::read() {
        // SAFETY: the memory between the static variables and the stack pointer is unused; there are no interrupts.
        unsafe {
            write_volatile(at, PAINT);
            at = at.add(1);
        }
    }
}

/// Bytes of stack in use.
#[inline(always)]
pub(crate) fn in_use() -> u32 {
    (&raw const _stack_start) as u32 - msp::read()
}

/// Most bytes of stack in use since it was painted.
#[inline(never)]
pub(crate) fn peak() -> u32 {
    let end = &raw const _stack_start;
    let mut at = (&raw const __sheap).cast::<u32>();
    // SAFETY: there is memory up to the stack's start.
    while at < end && unsafe { read_volatile(at) } == PAINT {
        // SAFETY: at most its end.
        at = unsafe { at.add(1) };
    }
    end as u32 - at as u32
}
