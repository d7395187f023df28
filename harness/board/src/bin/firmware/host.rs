// SPDX-License-Identifier: MIT OR Apache-2.0
//! Semihosting: services of a debugger, or here of QEMU, for the firmware.

use cortex_m_semihosting::{debug, nr, syscall, syscall1};

/// The digits of the largest number.
const DIGITS: usize = 20;

/// The command line.
pub(crate) fn command_line(buffer: &mut [u8]) -> Option<&str> {
    let mut block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: the block names a writable buffer, and its length. The host writes to both.
    let refused = unsafe { syscall1(nr::GET_CMDLINE, block.as_mut_ptr() as usize) };
    let [_, len] = core::hint::black_box(block);
    let line = buffer.get(..len).filter(|_| refused == 0)?;
    core::str::from_utf8(line).ok()
}

/// Prints the text on the host.
pub(crate) fn write(text: &str) {
    text.bytes().for_each(write_byte);
}

fn write_byte(byte: u8) {
    // SAFETY: the host reads one byte.
    unsafe { syscall(nr::WRITEC, &byte) };
}

/// Prints it in decimal; 0 as nothing.
pub(crate) fn write_number(number: u64) {
    let (mut digits, mut rest) = ([0; DIGITS], number);
    for digit in digits.iter_mut().rev() {
        // Below 10.
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits.into_iter().skip_while(|digit| *digit == b'0').for_each(write_byte);
}

pub(crate) fn succeed() -> ! {
    exit(debug::EXIT_SUCCESS)
}

pub(crate) fn fail(text: &str) -> ! {
    write(text);
    exit(debug::EXIT_FAILURE)
}

fn exit(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    loop {
        core::hint::spin_loop();
    }
}
