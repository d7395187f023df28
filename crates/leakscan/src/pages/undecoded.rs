// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of databases and of programs that compress and are not decoded here, by their first bytes: each is an omission.
//!
//! # Random matches
//! Each has at least six fixed bytes at a multiple of 512, or eight at the end: below one in 2^52 places. Of
//! `compress`, there are two, and 64 codes of which each must be known: the first is one of 256 in 512, so that all of
//! them are in one case of 2^53.

/// The name of what is in the file that these bytes begin with, if it is compressed and not decoded.
pub(super) fn name(bytes: &[u8]) -> Option<&'static str> {
    if is_journal(bytes) {
        return Some("a journal of systemd with entries that are compressed by LZ4");
    }
    if is_lucene(bytes) {
        return Some("stored fields of Lucene, which are compressed");
    }
    if is_wired_tiger(bytes) {
        return Some("a table of WiredTiger, whose pages may be compressed");
    }
    if is_innodb_page(bytes) {
        return Some("a compressed page of InnoDB");
    }
    if is_compress(bytes) {
        return Some("a file of compress (LZW)");
    }
    if bytes.starts_with(b"LRZI\0") && bytes.get(5).is_some_and(|minor| *minor < 16) {
        return Some("a file of lrzip");
    }
    if bytes.starts_with(b"7kSt\xA0\x31\x83\xD3\x8C\xB2\x28\xB0\xD3zPQ") {
        return Some("an archive of ZPAQ");
    }
    is_innodb(bytes).then_some("a compressed table of InnoDB")
}

/// The name of the file that ends with these bytes, if it is compressed and not decoded: the footers of sorted tables of
/// LevelDB (`table/format.h`) and RocksDB (`table/format.cc`). Eight bytes: one end of a file in 2^64.
pub(super) fn name_of_end(bytes: &[u8]) -> Option<&'static str> {
    match *bytes.last_chunk()? {
        [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB] => Some("a table of LevelDB, whose blocks may be compressed"),
        [0xF7, 0xCF, 0xF4, 0x85, 0xB7, 0x41, 0xE2, 0x88] => Some("a table of RocksDB, whose blocks may be compressed"),
        _ => None,
    }
}

/// The description block of a table (`src/include/block.h`): magic number 120897, version 1.0 or 1.1, a checksum, and
/// zeros.
fn is_wired_tiger(bytes: &[u8]) -> bool {
    let Some([0x41, 0xD8, 1, 0, 1, 0, 0 | 1, 0, _, _, _, _, rest @ ..]) = bytes.first_chunk::<64>() else {
        return false;
    };
    rest.iter().all(|&byte| byte == 0)
}

/// A page of type 14 (`fil0fil.h`, `FIL_PAGE_COMPRESSED`): version, LZ4 (zlib's streams are recognised where they lie),
/// the type that it had, its sizes.
fn is_innodb_page(bytes: &[u8]) -> bool {
    let Some(&[0, 14, 1 | 2, 2, high, low, size, _, packed, _]) = bytes.get(24..).and_then(|bytes| bytes.first_chunk())
    else {
        return false;
    };
    matches!(u16::from_be_bytes([high, low]), 17855 | 17854 | 17853 | 2..=13) && packed < size
}

/// Whether these bytes begin with the header of `compress` (`1F 9D`, the longest code in bits, the flag of a code that
/// clears the table) and codes that are known where they lie: each may be the next one at most.
fn is_compress(bytes: &[u8]) -> bool {
    let Some([0x1F, 0x9D, 0x89..=0x90, codes @ ..]) = bytes.get(..3 + CODES * 9 / 8) else { return false };
    let code = |number: usize| {
        let bit = number.saturating_mul(9);
        let pair = codes.get(bit / 8..).and_then(|bytes| bytes.first_chunk()).map(|pair| u16::from_le_bytes(*pair));
        pair.map_or(0, |pair| pair >> (bit % 8) & 0x1FF)
    };
    // Code 256 clears the table; the second code defines 257.
    code(0) < 256 && (1..CODES).all(|number| usize::from(code(number)) < number.saturating_add(256))
}

/// Codes of nine bits that are examined: bytes that are in every block.
const CODES: usize = 64;

/// The flag of LZ4 in the incompatible flags of a journal; Zstandard's and xz's streams are recognised where they lie
/// (`systemd.io/JOURNAL_FILE_FORMAT`).
fn is_journal(bytes: &[u8]) -> bool {
    bytes.starts_with(b"LPKSHHRH") && bytes.get(12).is_some_and(|flags| flags & 2 != 0)
}

/// The header of a file of stored fields (`CodecUtil.writeHeader`): magic bytes, and the length and name of the codec.
fn is_lucene(bytes: &[u8]) -> bool {
    let Some([0x3F, 0xD7, 0x6C, 0x17, len, name @ ..]) = bytes.get(..64) else { return false };
    let name = name.get(..usize::from(*len)).unwrap_or_default();
    name.starts_with(b"Lucene") && name.windows(12).any(|part| part == b"StoredFields")
}

/// The first page of a table space (`fil0fil.h`, `fsp0fsp.h`): number 0, type 8, twice the number of the space, and
/// flags with the size of compressed pages.
fn is_innodb(bytes: &[u8]) -> bool {
    let field =
        |at: usize| bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map(|field| u32::from_be_bytes(*field));
    let (Some(0), Some(space), Some(again), Some(0), Some(flags)) =
        (field(4), field(34), field(38), field(42), field(54))
    else {
        return false;
    };
    let is_space = bytes.get(24..26) == Some(&[0, 8]) && space == again && space != 0;
    is_space && (1..=5).contains(&(flags >> 1 & 15)) && flags < 1 << 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// The beginning of what `compress` 4.2.4 made of 600 lines `line 0 of a file with words nothing`.
    const COMPRESSED: [u8; 128] = hex!(
        "1f9d906cd2b82903020688376640840161260d1b8277d2d04103e2ce1b3964e68070f366a2c0330a020e0411e360c2850d1f569448d12246"
        "8d1c3dba012992a00c930a193a84c8b2e2c58c1b3ba2f9185220c1193851ee5c39d1e7cba032691a054123a94e95119bba041a73e8cca223"
        "6b584dc953eb4f984289d6046163ecd2"
    );

    fn innodb(flags: u32) -> Vec<u8> {
        let mut page = vec![0; 128];
        page[..4].copy_from_slice(&[9, 8, 7, 6]);
        page[25] = 8;
        page[37] = 5;
        page[41] = 5;
        page[54..58].copy_from_slice(&flags.to_be_bytes());
        page
    }

    #[test]
    fn compressed_files_are_named_and_others_are_not() {
        let padded = |bytes: &[u8]| [bytes, &[0; 100]].concat();
        for (compressed, other) in [
            (padded(b"LPKSHHRH\0\0\0\0\x02"), padded(b"LPKSHHRH\0\0\0\0\x08")),
            (padded(b"\x3F\xD7\x6C\x17\x1CLucene90StoredFieldsFastData"), padded(b"\x3F\xD7\x6C\x17\x09Lucene90N")),
            (innodb(0x29), innodb(0x21)),
            (padded(b"\x41\xD8\x01\0\x01\0\0\0\x12\x34\x56\x78"), padded(b"\x41\xD8\x01\0\x02\0\0\0\x12\x34\x56\x78")),
            (
                [&[7; 24][..], b"\0\x0E\x01\x02\x45\xBF\x3F\xDA\x10\x20", &[9; 90]].concat(),
                [&[7; 24][..], b"\0\x0E\x01\x02\x45\xBF\x10\x20\x3F\xDA", &[9; 90]].concat(),
            ),
            (COMPRESSED.to_vec(), [&COMPRESSED[..9], &[0xFF], &COMPRESSED[10..]].concat()),
            (padded(b"LRZI\0\x06\xBB\x58"), padded(b"LRZIP\x06\xBB\x58")),
            (
                padded(b"7kSt\xA0\x31\x83\xD3\x8C\xB2\x28\xB0\xD3zPQ\x02\x01"),
                padded(b"7kSt\xA0\x31\x83\xD3\x8C\xB2\x28\xB0\xD3zPX\x02\x01"),
            ),
        ] {
            assert!(name(&compressed).is_some(), "{compressed:x?}");
            assert!(name(&other).is_none(), "{other:x?}");
            assert!(name(&compressed[1..]).is_none() && name(&compressed[..5]).is_none());
        }
        assert!(name(&[0; 512]).is_none());
        let footer = [&[0; 40][..], &0x88E2_41B7_85F4_CFF7u64.to_le_bytes()].concat();
        assert!(name_of_end(&footer).is_some_and(|name| name.contains("RocksDB")));
        let footer = [&[0; 40][..], &0xDB47_7524_8B80_FB57u64.to_le_bytes()].concat();
        assert!(name_of_end(&footer).is_some_and(|name| name.contains("LevelDB")));
        assert!(name_of_end(&footer[..47]).is_none() && name_of_end(&[0; 48]).is_none());
    }
}
