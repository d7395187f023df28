// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of the conversation as a WebAssembly module. It needs only a line from its host.

use crate::conversation::{Board, Failed, Role, SEED, Script, hold};

#[link(wasm_import_module = "line")]
unsafe extern "C" {
    /// Sends the message of that length at that address; 0 on success.
    safe fn send(message: *const u8, len: usize) -> u32;
    /// Waits for a message, writes it to that address and returns its length, or a number above the available room.
    safe fn receive(buffer: *mut u8, room: usize) -> usize;
    /// Records the text of that length at that address: the check that failed.
    safe fn failed(text: *const u8, len: usize);
}

struct Host;

impl Board for Host {
    fn send(&mut self, message: &[u8]) -> Result<(), Failed> {
        if send(message.as_ptr(), message.len()) == 0 { Ok(()) } else { Err("the line is down") }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        let len = receive(buffer.as_mut_ptr(), buffer.len());
        if len <= buffer.len() { Ok(len) } else { Err("a message is too long") }
    }
}

/// Runs the whole conversation as Alice; 1 if every check holds.
#[unsafe(no_mangle)]
pub extern "C" fn alice() -> u32 {
    end(Role::Alice)
}

/// Runs the whole conversation as Bob; 1 if every check holds.
#[unsafe(no_mangle)]
pub extern "C" fn bob() -> u32 {
    end(Role::Bob)
}

fn end(role: Role) -> u32 {
    match hold(&mut Host, (role, Script::Whole), SEED, b"cortex_m") {
        Ok(()) => 1,
        Err(text) => {
            failed(text.as_ptr(), text.len());
            0
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
