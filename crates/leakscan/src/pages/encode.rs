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

/// A database of SQLite of three pages of 512 bytes: an empty schema, a page with one cell, an overflow page. Half of
/// the bytes are in the cell.
pub(crate) fn sqlite(bytes: &[u8]) -> Vec<u8> {
    // Of a value of 547 bytes, 39 are in the cell, and 508 fill an overflow page.
    let (first, second) = bytes.split_at_checked(bytes.len() / 2).unwrap_or((bytes, &[]));
    // Page size, versions, no reserved bytes, fractions; change counter and number of pages.
    let mut schema = [&b"SQLite format 3\0"[..], &[2, 0, 1, 1, 0, 64, 32, 32, 0, 0, 0, 1, 0, 0, 0, 3]].concat();
    schema.resize(92, 0);
    schema.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    // A leaf without cells, whose content begins at the end of the page.
    schema.extend([13, 0, 0, 0, 0, 2, 0, 0]);
    schema.resize(512, 0);
    let mut leaf = vec![13, 0, 0, 0, 1, 1, 0xD2, 0, 1, 0xD2];
    // The cell: the length of the value, 547, its key, its beginning, and the number of the overflow page.
    leaf.resize(0x1D2, 0);
    leaf.extend([0x84, 0x23, 1]);
    leaf.resize(leaf.len().saturating_add(39usize.saturating_sub(first.len())), 0);
    leaf.extend_from_slice(first);
    leaf.extend([0, 0, 0, 3]);
    let mut overflow = vec![0, 0, 0, 0];
    overflow.extend_from_slice(second);
    overflow.resize(512, 0);
    [schema, leaf, overflow].concat()
}

/// A snapshot of Redis with a compressed string: zeros as one literal and a match of 254, and the bytes as literals.
pub(crate) fn redis(bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0, 0, 0xE0, 245, 0];
    for literals in bytes.chunks(12) {
        block.push(u8::try_from(literals.len()).unwrap_or_default().saturating_sub(1));
        block.extend_from_slice(literals);
    }
    let content = bytes.len().saturating_add(usize::from(ZEROS));
    let len = u8::try_from(block.len()).unwrap_or_default();
    let [high, low] = u16::try_from(content).unwrap_or_default().to_be_bytes();
    [&b"REDIS0011\x00\x01k\xC3"[..], &[0x40, len, 0x40 | high, low], &block, &[0xFF; 16]].concat()
}

/// Two pages of the log of PostgreSQL: half of the bytes is at the end of the first.
pub(crate) fn wal(bytes: &[u8]) -> Vec<u8> {
    let (first, second) = bytes.split_at_checked(bytes.len() / 2).unwrap_or((bytes, &[]));
    // Magic, flags of a long header, timeline, address, and sizes of segments and pages.
    let mut page =
        [&[0x10, 0xD1, 6, 0, 1, 0, 0, 0][..], &[0; 24], &(1u32 << 24).to_le_bytes(), &8192u32.to_le_bytes()].concat();
    page.resize(8192usize.saturating_sub(first.len()), 0);
    page.extend_from_slice(first);
    page.extend([0x10, 0xD1, 5, 0, 1, 0, 0, 0]);
    page.resize(8192 + 24, 0);
    page.extend_from_slice(second);
    page.resize(2 * 8192, 0);
    page
}
