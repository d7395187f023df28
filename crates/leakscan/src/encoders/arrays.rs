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
