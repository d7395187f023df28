// SPDX-License-Identifier: MIT OR Apache-2.0
//! Code that must not be in the program, for `run` to find: Rust's allocator on top of libc's, and a panic that no line
//! of panics.txt accounts for.

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn free(pointer: *mut u8);
}

struct Libc;

// SAFETY: a control that is linked and never run.
unsafe impl GlobalAlloc for Libc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size may be requested.
        unsafe { malloc(layout.size()) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        // SAFETY: `pointer` came from `alloc`.
        unsafe { free(pointer) }
    }
}

#[global_allocator]
static ALLOCATOR: Libc = Libc;

pub(crate) fn allocate() {
    let bytes = core::hint::black_box(alloc::vec![0u8; core::hint::black_box(7)]);
    core::hint::black_box(bytes.first().expect("seven bytes"));
}
