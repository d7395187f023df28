// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages of a b-tree, and their cells that continue on other pages (`fileformat2.html`, 1.6).

use core::ops::Range;

/// Bytes of the header of a database, which its first page begins with.
const DATABASE_HEADER: usize = 100;
/// Fragments of fewer bytes than a cell in a page: the file format's limit.
const MAX_FRAGMENTS: u8 = 60;

/// A value that continues on other pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The part of it in this page.
    pub(super) local: Range<usize>,
    /// The number of the next page.
    pub(super) first: u32,
    /// Bytes on other pages.
    pub(super) left: u64,
}

/// The kind of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    TableLeaf,
    TableInterior,
    IndexLeaf,
    IndexInterior,
}

fn number16(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
}

/// A number of up to nine bytes, seven bits each and eight of the last; and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().take(9).enumerate() {
        let rest = bytes.get(at.saturating_add(1)..)?;
        if at == 8 {
            return Some((value << 8 | u64::from(byte), rest));
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if byte < 0x80 {
            return Some((value, rest));
        }
    }
    None
}

/// Bytes of a value of `len` that are in the page of its cell.
fn local_len(kind: Kind, used: usize, len: u64) -> u64 {
    let used = used as u64;
    let share = |of: u64| used.saturating_sub(12).saturating_mul(of) / 255;
    let most = if kind == Kind::TableLeaf { used.saturating_sub(35) } else { share(64).saturating_sub(23) };
    if len <= most {
        return len;
    }
    let least = share(32).saturating_sub(23);
    let per_page = used.saturating_sub(4);
    let best = least.saturating_add(len.saturating_sub(least).checked_rem(per_page).unwrap_or(0));
    if best <= most { best } else { least }
}

/// The cells of a page that continue on other pages; `None` if it is no page of a b-tree.
pub(super) fn cells(page: &[u8], used: usize, is_first: bool) -> Option<impl Iterator<Item = Cell>> {
    let page = page.get(..used)?;
    let header = if is_first { DATABASE_HEADER } else { 0 };
    let (kind, header_len) = match page.get(header)? {
        2 => (Kind::IndexInterior, 12usize),
        5 => (Kind::TableInterior, 12),
        10 => (Kind::IndexLeaf, 8),
        13 => (Kind::TableLeaf, 8),
        _ => return None,
    };
    let count = number16(page, header.saturating_add(3))?;
    let content = match number16(page, header.saturating_add(5))? {
        0 => 1 << 16,
        content => content,
    };
    let pointers = header.saturating_add(header_len);
    let free = number16(page, header.saturating_add(1))?;
    let is_page = pointers.saturating_add(count.saturating_mul(2)) <= content
        && content <= used
        && free < used
        && *page.get(header.saturating_add(7))? <= MAX_FRAGMENTS;
    if !is_page {
        return None;
    }
    let count = if kind == Kind::TableInterior { 0 } else { count };
    Some((0..count).filter_map(move |index| {
        let at = number16(page, pointers.saturating_add(index.saturating_mul(2)))?;
        cell(page, kind, at).filter(|_| at >= content)
    }))
}

fn cell(page: &[u8], kind: Kind, at: usize) -> Option<Cell> {
    let cell = page.get(at..)?;
    // The left child.
    let cell = if kind == Kind::IndexInterior { cell.get(4..)? } else { cell };
    let (len, cell) = varint(cell)?;
    // The key.
    let cell = if kind == Kind::TableLeaf { varint(cell)?.1 } else { cell };
    let local = local_len(kind, page.len(), len);
    let left = len.checked_sub(local).filter(|left| *left > 0 && len <= 1 << 31)?;
    let from = page.len().saturating_sub(cell.len());
    let to = from.saturating_add(usize::try_from(local).ok()?);
    let first = page.get(to..)?.first_chunk().map(|first| u32::from_be_bytes(*first))?;
    (first > 0).then_some(Cell { local: from..to, first, left })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the formulas in fileformat2.html, for pages of 4096 bytes.
    #[test]
    fn as_much_of_a_value_is_in_its_cell_as_specified() {
        let table = |len| local_len(Kind::TableLeaf, 4096, len);
        assert_eq!([table(10), table(4061), table(4062), table(9_700)], [10, 4061, 489, 1516]);
        let index = |len| local_len(Kind::IndexLeaf, 4096, len);
        assert_eq!([index(1002), index(1003), index(5000)], [1002, 489, 908]);
    }

    #[test]
    fn numbers_have_one_to_nine_bytes() {
        assert_eq!(varint(&[0x7F, 1]), Some((127, &[1][..])));
        assert_eq!(varint(&[0x81, 0x00]), Some((128, &[][..])));
        assert_eq!(varint(&[0xFF; 9]), Some((u64::MAX, &[][..])));
        assert_eq!(varint(&[0xFF; 8]), None);
    }
}
