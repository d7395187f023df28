// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole conversation on plain x86_64: no `std`, no libc, no allocator. From the kernel it needs `write` and `exit`.
//!
//! With `n` arguments the verdict of the `n`-th check is inverted: `run` does that to each, and the program must then
//! end with an error.
//!
//! All `unsafe` of the test is in its other files; the conversation has none.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("written for x86_64 Linux");

#[cfg(feature = "alloc_control")]
mod alloc_control;
#[forbid(unsafe_code)]
mod conversation;
mod memory;

use core::arch::{asm, naked_asm};
use core::fmt::{self, Write};

/// System calls of x86_64 Linux.
const WRITE: usize = 1;
const EXIT_GROUP: usize = 231;

/// The kernel puts the number of arguments, including the program's name, on top of the stack.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "mov rdi, [rsp]", "and rsp, -16", "call {begin}", "ud2", begin = sym begin)
}

extern "C" fn begin(argument_count: usize) -> ! {
    #[cfg(feature = "alloc_control")]
    alloc_control::allocate();
    let status = match conversation::hold(&mut Output, argument_count.saturating_sub(1)) {
        Ok(made) => {
            let _ = writeln!(Output, "{made} checks hold");
            0
        }
        Err(failed) => {
            let _ = writeln!(Output, "FAILED: {failed}");
            1
        }
    };
    exit(status)
}

struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let written = system_call(WRITE, 1, rest.as_ptr() as usize, rest.len());
            rest = usize::try_from(written).ok().and_then(|written| rest.get(written..)).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}

fn exit(status: usize) -> ! {
    system_call(EXIT_GROUP, status, 0, 0);
    loop {
        core::hint::spin_loop();
    }
}

/// Private: `write` gets a pointer and the length of what it points to, `exit_group` none.
fn system_call(number: usize, a: usize, b: usize, c: usize) -> isize {
    let result: isize;
    // SAFETY: neither call writes to this program's memory; the kernel overwrites rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Output, "{info}");
    exit(101)
}
