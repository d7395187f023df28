// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of the conversation on a Cortex-M4 (Arm's MPS2 board with image AN386) without allocator. The line is the
//! board's first UART. The firmware reads its role over semihosting, and reports the cost of each operation there.
//!
//! This program has all `unsafe` of the firmware; the conversation itself has none.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(target_os = "none"))]
compile_error!("written for thumbv7em-none-eabihf");

#[path = "firmware/board.rs"]
mod board;
#[cfg(feature = "control")]
#[path = "firmware/control.rs"]
mod control;
#[path = "firmware/host.rs"]
mod host;
#[path = "firmware/stack.rs"]
mod stack;

use conversation::{SEED, hold, named};
use core::panic::PanicInfo;
use cortex_m_rt::{entry, exception};

/// Bytes of the longest command line.
const COMMAND_LINE: usize = 64;

#[entry]
fn main() -> ! {
    let mut line = [0; COMMAND_LINE];
    let Some(conversation) = host::command_line(&mut line).and_then(named) else {
        host::fail("FAILED: the command line is neither alice nor bob\n")
    };
    #[cfg(feature = "control")]
    let deep = control::run();
    // The other end of a control uses other associated data.
    let associated_data: &[u8] = if cfg!(feature = "control") { b"control" } else { b"cortex_m" };
    let held = hold(&mut board::Board::new(conversation.0), conversation, SEED, associated_data);
    #[cfg(feature = "control")]
    core::hint::black_box(&deep);
    match held {
        Ok(()) => host::succeed(),
        Err(failed) => {
            host::write("FAILED: firmware: ");
            host::write(failed);
            host::fail("\n")
        }
    }
}

/// Does not print the panic's message: formatting it would link more code than all the rest of this program.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    host::fail("FAILED: a panic\n")
}

/// Also reached if the stack outgrows the memory.
#[exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    host::fail("FAILED: a fault\n")
}
