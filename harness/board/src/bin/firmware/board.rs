// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board's UART and timer (Arm's Cortex-M System Design Kit), by their addresses in image AN386.

use crate::{host, stack};
use conversation::{Failed, Role};
use core::ptr::{read_volatile, write_volatile};

/// Registers of the first timer, which counts down once a tick.
const TIMER: usize = 0x4000_0000;
const TIMER_CONTROL: usize = TIMER;
const TIMER_VALUE: usize = TIMER + 4;
const TIMER_RELOAD: usize = TIMER + 8;
const TIMER_ENABLE: u32 = 1;

/// Registers of the first UART.
const UART: usize = 0x4000_4000;
const UART_DATA: usize = UART;
const UART_STATE: usize = UART + 4;
const UART_CONTROL: usize = UART + 8;
const UART_DIVISOR: usize = UART + 16;
const UART_SEND_FULL: u32 = 1;
const UART_RECEIVE_FULL: u32 = 2;
const UART_ENABLE: u32 = 3;
/// The UART's least divisor, for the fastest line.
const UART_FASTEST: u32 = 16;

/// Nanoseconds of a tick: the board runs at 25 MHz.
const TICK: u64 = 40;
/// Nanoseconds of an instruction in QEMU with `-icount shift=6`, chosen so that an instruction takes more than a tick,
/// and 2,600 million fit into the timer.
const INSTRUCTION: u64 = 64;

fn read(register: usize) -> u32 {
    // SAFETY: private, and called with the registers above only.
    unsafe { read_volatile(register as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: private, and called with the registers above only.
    unsafe { write_volatile(register as *mut u32, value) }
}

pub(crate) struct Board {
    name: &'static str,
}

impl Board {
    pub(crate) fn new(role: Role) -> Self {
        write(TIMER_RELOAD, u32::MAX);
        write(TIMER_VALUE, u32::MAX);
        write(TIMER_CONTROL, TIMER_ENABLE);
        write(UART_DIVISOR, UART_FASTEST);
        write(UART_CONTROL, UART_ENABLE);
        Self { name: if role == Role::Alice { "Alice" } else { "Bob" } }
    }
}

fn send_byte(byte: u8) {
    while read(UART_STATE) & UART_SEND_FULL != 0 {}
    write(UART_DATA, byte.into());
}

fn receive_byte() -> u8 {
    while read(UART_STATE) & UART_RECEIVE_FULL == 0 {}
    // The register has eight bits.
    read(UART_DATA) as u8
}

/// Messages, framed as on the desktop.
impl conversation::Board for Board {
    fn send(&mut self, message: &[u8]) -> Result<(), Failed> {
        let len = u16::try_from(message.len()).map_err(|_| "a message is too long")?;
        len.to_le_bytes().into_iter().chain(message.iter().copied()).for_each(send_byte);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        let len = usize::from(u16::from_le_bytes([receive_byte(), receive_byte()]));
        buffer.get_mut(..len).ok_or("a message is too long")?.fill_with(receive_byte);
        Ok(len)
    }

    /// Prints the data of a line of `run`'s table: role, instructions, bytes of stack before and at the most, and the
    /// operation.
    fn measure<T>(&mut self, operation: &'static str, work: impl FnOnce() -> T) -> T {
        let before = stack::in_use();
        stack::paint();
        let begun = read(TIMER_VALUE);
        let result = work();
        let ticks = begun.wrapping_sub(read(TIMER_VALUE));
        let peak = stack::peak();
        host::write(self.name);
        for number in [u64::from(ticks) * TICK / INSTRUCTION, before.into(), peak.into()] {
            host::write(" ");
            host::write_number(number);
        }
        host::write(" ");
        host::write(operation);
        host::write("\n");
        result
    }
}
