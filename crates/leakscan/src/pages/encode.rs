// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes values as databases store them, for the control of a search (`encoders.rs`).

/// Zeros before a value, by which it can be compressed.
const ZEROS: u8 = 255;

/// A compressed value of PostgreSQL: the zeros as one literal and a match of 254, and the bytes as literals.
pub(crate) fn varlena(bytes: &[u8]) -> Vec<u8> {
    let (first, others) = bytes.split_at_checked(6).unwrap_or((bytes, &[]));
    // Control byte: a literal, a match, six literals. Match: length 3 + 15 + 236, distance 1.
    let mut block = vec![0b10, 0, 0x0F, 1, 236];
    block.extend_from_slice(first);
    for literals in others.chunks(8) {
        block.push(0);
        block.extend_from_slice(literals);
    }
    let len = u32::try_from(block.len()).unwrap_or_default().saturating_add(8);
    let raw = u32::try_from(bytes.len()).unwrap_or_default().saturating_add(u32::from(ZEROS));
    [&(len << 2 | 2).to_le_bytes()[..], &raw.to_le_bytes(), &block].concat()
}

/// Two rows of a TOAST table, without the first 18 bytes of their headers. The value is zeros and then the bytes, of
/// which half are in the first row.
pub(crate) fn toast(bytes: &[u8]) -> Vec<u8> {
    let (first, second) = bytes.split_at_checked(bytes.len() / 2).unwrap_or((bytes, &[]));
    let mut full = vec![0; 1996usize.saturating_sub(first.len())];
    full.extend_from_slice(first);
    let row = |number: u8, bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).unwrap_or_default().saturating_add(4);
        // Three columns; HEAP_HASVARWIDTH, HEAP_XMIN_COMMITTED and HEAP_XMAX_INVALID; 24 bytes of header.
        let header = [3, 0, 2, 9, 24, 0, 0x0A, 0x40, 0, 0, number, 0, 0, 0];
        [&header[..], &(len << 2).to_le_bytes(), bytes].concat()
    };
    [row(0, &full), row(1, second)].concat()
}
