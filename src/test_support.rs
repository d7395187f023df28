// SPDX-License-Identifier: MIT OR Apache-2.0
//! Helpers of unit tests: known answers in hexadecimal, and the memory of a value.

#[cfg(target_os = "linux")]
extern crate std;

/// Decodes the bytes of a known answer.
pub(crate) fn hex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N);
    core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

/// Reads the memory that a value occupies, including bytes that its fields do not cover any more.
#[cfg(target_os = "linux")]
pub(crate) fn memory_of<T>(value: &T) -> std::vec::Vec<u8> {
    use std::io::{Read, Seek, SeekFrom};
    let address = core::ptr::from_ref(value) as usize;
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    memory.seek(SeekFrom::Start(address as u64)).unwrap();
    let mut bytes = std::vec![0; size_of::<T>()];
    memory.read_exact(&mut bytes).unwrap();
    bytes
}

#[cfg(target_os = "linux")]
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
