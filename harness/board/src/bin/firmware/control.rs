// SPDX-License-Identifier: MIT OR Apache-2.0
//! One example of everything that must not be in the firmware, for `run` to find.

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::sync::atomic::AtomicU8;

/// Bytes: enough to break each limit.
const TOO_MUCH: usize = 40 << 10;
static TABLE: [u8; TOO_MUCH] = [0x5A; TOO_MUCH];
static VARIABLES: [AtomicU8; TOO_MUCH] = [const { AtomicU8::new(0) }; TOO_MUCH];

struct Bump;

// SAFETY: a control that never allocates.
unsafe impl GlobalAlloc for Bump {
    #[inline(never)]
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        black_box(core::ptr::null_mut())
    }
    #[inline(never)]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump;

/// Its return value makes the stack deeper while it lives.
pub(crate) fn run() -> [u8; TOO_MUCH] {
    black_box((&TABLE, &VARIABLES));
    black_box(even(black_box(3)));
    // An indirect call of an unknown function.
    black_box(even as fn(u32) -> bool)(3);
    if black_box(false) {
        black_box(alloc::vec![0u8; black_box(7)]);
        black_box(black_box(None::<u8>).expect("there is none"));
    }
    black_box(TABLE)
}

/// Recursion in a circle of two.
#[inline(never)]
fn even(number: u32) -> bool {
    black_box(number) == 0 || odd(number - 1)
}

#[inline(never)]
fn odd(number: u32) -> bool {
    black_box(number) != 0 && even(number - 1)
}
