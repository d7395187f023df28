// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stack, painted before an operation and looked at behind it: how deep it was.

use core::ptr::{read_volatile, write_volatile};
use cortex_m::register::msp;

/// What no program leaves behind by chance in word after word.
const PAINT: u32 = 0xC0DE_D00D;

unsafe extern "C" {
    /// From cortex-m-rt: what static variables leave of the memory begins here, and the stack begins there.
    static mut __sheap: u32;
    static mut _stack_start: u32;
}

/// Paints all that is free.
#[inline(never)]
pub(crate) fn paint() {
    let mut at = &raw mut __sheap;
    while (at as u32) < msp::read() {
        // SAFETY: between the static variables and the stack's end there is memory that nobody uses; there are no
        // interrupts.
        unsafe {
            write_volatile(at, PAINT);
            at = at.add(1);
        }
    }
}

/// Bytes of stack that are in use.
#[inline(always)]
pub(crate) fn in_use() -> u32 {
    (&raw const _stack_start) as u32 - msp::read()
}

/// Bytes of stack that were in use at the most since it was painted.
#[inline(never)]
pub(crate) fn peak() -> u32 {
    let end = &raw const _stack_start;
    let mut at = (&raw const __sheap).cast::<u32>();
    // SAFETY: up to the stack's begin there is memory.
    while at < end && unsafe { read_volatile(at) } == PAINT {
        // SAFETY: at most its end.
        at = unsafe { at.add(1) };
    }
    end as u32 - at as u32
}
