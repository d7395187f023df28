// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes arrays of integers and dumps of memory, for the control of a search.

/// Integers of 32 bits, low byte first, in decimal, as `%u` and `JSON.stringify` of a `Uint32Array` write them.
pub(super) fn wide_integers(bytes: &[u8]) -> Vec<u8> {
    let words = bytes.chunks(4).map(|word| word.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)));
    format!("[{}]", words.map(|word| word.to_string()).collect::<Vec<_>>().join(",")).into_bytes()
}

/// Lines of eight bytes in groups of four, as `xxd -e -c 8` prints them: no line holds a fragment.
pub(super) fn dump(bytes: &[u8]) -> Vec<u8> {
    let line = |(number, line): (usize, &[u8])| {
        let group = |group: &[u8]| group.iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>();
        let groups = line.chunks(4).map(group).collect::<Vec<_>>().join(" ");
        format!("{:08x}: {groups}  ........\n", number.saturating_mul(8))
    };
    let lines: String = bytes.chunks(8).enumerate().map(line).collect();
    format!("\n{lines}").into_bytes()
}

/// An array of CBOR (RFC 8949, 3.1): integers from 24 on have two bytes.
pub(super) fn binary(bytes: &[u8]) -> Vec<u8> {
    let element = |&byte: &u8| if byte < 24 { vec![byte] } else { vec![0x18, byte] };
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    let elements = bytes.iter().flat_map(element);
    [0x98, len].into_iter().chain(elements).collect()
}

/// Integers of 64 bits with a tag in the lowest bit, as OCaml and Ruby hold them in memory.
pub(super) fn strided(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| (u64::from(byte) << 1 | 1).to_le_bytes()).collect()
}
