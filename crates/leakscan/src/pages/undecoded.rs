// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of databases that compress and are not decoded here, by their first bytes: each is an omission.
//!
//! # Random matches
//! Each has at least eight fixed bytes at a multiple of 512: below one in 2^70 places.

/// The name of what is in the file that these bytes begin with, if it is compressed and not decoded.
pub(super) fn name(bytes: &[u8]) -> Option<&'static str> {
    if is_journal(bytes) {
        return Some("a journal of systemd with entries that are compressed by LZ4");
    }
    if is_lucene(bytes) {
        return Some("stored fields of Lucene, which are compressed");
    }
    is_innodb(bytes).then_some("a compressed table of InnoDB")
}

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
        ] {
            assert!(name(&compressed).is_some(), "{compressed:x?}");
            assert!(name(&other).is_none(), "{other:x?}");
            assert!(name(&compressed[1..]).is_none() && name(&compressed[..7]).is_none());
        }
        assert!(name(&[0; 512]).is_none());
    }
}
