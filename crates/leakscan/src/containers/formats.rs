// SPDX-License-Identifier: MIT OR Apache-2.0
//! The formats by their first bytes, and the lengths of their headers.
//!
//! # Random matches
//! If every match of three or four bytes that cannot be decompressed were an omission, every search of a terabyte would
//! have some. A gzip member must therefore have a header that programs write (1 of 2^37 places in random bytes) and a
//! valid beginning of a block after it, or be the first bytes of its source; a Zstandard frame a valid header and
//! first block (2^36). A ZIP entry, an LZ4 frame (with the checksum of its header), an lzip member and the formats
//! that begin with six bytes or more are below 2^40 (programs have these bytes in their tables and sources, so that
//! more than the magic bytes must be valid), and so is a `.lzma` file of unknown length (2^66); one with a length must
//! be the first bytes of its source, since structures in memory have such numbers. Of an LZ4 stream of the legacy
//! format the first block must be valid. The two bytes of a zlib header occur every
//! 16 KiB: a zlib stream counts only after `stream::PLAUSIBLE_INPUT` bytes.

use super::super::encoding::Encoding;
use super::super::false_positives::fails_at_once;
use super::{lz4, png, zip};
use flate2::Crc;

/// The most bytes of a Zstandard block.
const MAX_ZSTD_BLOCK: u32 = 1 << 17;

/// A format that is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Gzip,
    Zlib,
    Zstd,
    Zip,
    Chunked,
    Bzip2,
    Xz,
    Lzip,
    /// The format of `.lzma` files.
    Lzma,
    Lz4,
    Lz4Legacy,
    Snappy,
    Png,
    /// There is no decoder for it.
    Undecoded(&'static str),
}

/// The most bytes by which a beginning is recognised.
pub(crate) const BEGINNING: usize = 32;
const _: () = assert!(BEGINNING >= zip::HEADER);

/// The bytes that all formats with a longer beginning than two bytes have in common at least.
pub(crate) const MAGIC: usize = 4;

impl Format {
    /// `None` for a format without a decoder.
    pub(crate) const fn encoding(self) -> Option<Encoding> {
        match self {
            Self::Gzip => Some(Encoding::Gzip),
            Self::Zlib => Some(Encoding::Zlib),
            Self::Zstd => Some(Encoding::Zstd),
            Self::Zip => Some(Encoding::Zip),
            Self::Chunked => Some(Encoding::Chunked),
            Self::Bzip2 => Some(Encoding::Bzip2),
            Self::Xz | Self::Lzip | Self::Lzma => Some(Encoding::Lzma),
            Self::Lz4 | Self::Lz4Legacy => Some(Encoding::Lz4),
            Self::Snappy => Some(Encoding::Snappy),
            Self::Png => Some(Encoding::Png),
            Self::Undecoded(_) => None,
        }
    }

    /// Whether random bytes begin like it so often that what looks like a stream may be none.
    pub(crate) const fn is_often_random(self) -> bool {
        matches!(self, Self::Zlib)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "a gzip member",
            Self::Zlib => "a zlib stream",
            Self::Zstd => "a Zstandard frame",
            Self::Zip => "an entry of a ZIP archive",
            Self::Chunked => "HTTP chunks",
            Self::Bzip2 => "a bzip2 stream",
            Self::Xz => "an xz stream",
            Self::Lzip => "an lzip member",
            Self::Lzma => "an LZMA stream",
            Self::Lz4 => "an LZ4 frame",
            Self::Lz4Legacy => "an LZ4 stream of the legacy format",
            Self::Snappy => "a Snappy stream",
            Self::Png => "a PNG image",
            Self::Undecoded(name) => name,
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1F, 0x8B, 8, flags, ..] if flags & 0xE0 == 0 => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            [b'P', b'K', 3, 4, ..] => zip::entry(bytes),
            [b'n', b'k', b'e', b'd', b'\r', b'\n', ..] => Some(Self::Chunked),
            [0xFD, b'7', b'z', b'X', b'Z', 0, rest @ ..] => is_xz(rest).then_some(Self::Xz),
            [b'B', b'Z', b'h', level @ b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', rest @ ..] => {
                is_bzip2(level & 15, rest).then_some(Self::Bzip2)
            }
            [4, 0x22, 0x4D, 0x18, ..] => lz4::is_frame(bytes).then_some(Self::Lz4),
            [2, 0x21, 0x4C, 0x18, ..] => lz4::is_legacy(bytes).then_some(Self::Lz4Legacy),
            [0x5D, 0, rest @ ..] => is_lzma(rest).then_some(Self::Lzma),
            [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C, 0, rest @ ..] => {
                is_7z(rest.get(1..).unwrap_or_default()).then_some(Self::Undecoded("a 7z archive"))
            }
            [0xFF, 6, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y', rest @ ..] => is_snappy(rest).then_some(Self::Snappy),
            [b'R', b'a', b'r', b'!', 0x1A, 7, rest @ ..] => is_rar(rest).then_some(Self::Undecoded("a RAR archive")),
            // Version 1, and a dictionary of 4 KiB to 512 MiB.
            [b'L', b'Z', b'I', b'P', 1, size, rest @ ..] if matches!(size & 31, 12..=29) => {
                is_lzip(rest).then_some(Self::Lzip)
            }
            [0x89, ..] => png::begins(bytes).then_some(Self::Png),
            [method, flags, stream @ ..] if is_zlib(*method, *flags) => {
                (may_be_deflate(stream) && !fails_at_once(stream)).then_some(Self::Zlib)
            }
            _ => None,
        }
    }
}

/// Whether these two bytes begin a zlib stream (RFC 1950, 2.2): the method is deflate with a window of up to 32 KiB, the
/// check bits are right, and there is no preset dictionary.
pub(crate) const fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x8F == 8 && flags & 0x20 == 0 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// Whether these two bytes begin a stream of any format.
#[inline(always)]
pub(crate) fn is_pair(first: u8, second: u8) -> bool {
    PAIRS.iter().fold(is_zlib(first, second), |any, &pair| any | (pair == [first, second]))
}

/// Whether the stream flags of XZ have their checksum (xz-file-format 1.2.1, 2.1.1): the magic bytes alone are in every
/// program that reads xz. An index, which begins with a zero, instead of a first block is that of a stream without
/// content.
fn is_xz(rest: &[u8]) -> bool {
    let Some((flags, checksum)) = rest.split_first_chunk::<2>() else { return false };
    let mut crc = Crc::new();
    crc.update(flags);
    let Some((checksum, block)) = checksum.split_first_chunk::<4>() else { return false };
    *checksum == crc.sum().to_le_bytes() && block.first() != Some(&0)
}

/// Whether this begins the stream of an lzip member: its first byte is always zero. Four more are the beginning of a row
/// of literal zeros, which encoders write as matches; in tables, zeros follow the magic bytes.
fn is_lzip(rest: &[u8]) -> bool {
    matches!(rest, [] | [0, ..]) && !rest.starts_with(&[0; 5])
}

/// Whether this is the rest of the head of a block of bzip2: its checksum, the flag of randomised blocks, and the place of
/// the first row among at most 100,000 times the level. Programs that read bzip2 have the magic bytes with text or zeros
/// after them. A head that is cut may be one, and one whose place is damaged is, unless all that follows is ASCII.
fn is_bzip2(level: u8, rest: &[u8]) -> bool {
    let Some(place) = rest.get(4..).and_then(|head| head.first_chunk()) else { return true };
    let place = u32::from_be_bytes(*place) >> 7 & 0xFF_FFFF;
    let is_binary = rest.iter().take(16).any(|byte| !byte.is_ascii());
    (is_binary || place < u32::from(level).saturating_mul(100_000)) && !rest.starts_with(&[0; 8])
}

/// Whether a chunk follows the identifier of a Snappy stream (framing format, 4): a checksum and up to 64 KiB that were
/// compressed or not, one to be skipped, or the identifier of the next stream. The identifier alone is in every program
/// that knows the format. A chunk that is cut may be one.
fn is_snappy(rest: &[u8]) -> bool {
    match *rest {
        [0 | 1, low, middle, high, ..] => (5..=1 << 17).contains(&u32::from_le_bytes([low, middle, high, 0])),
        [kind, ..] => matches!(kind, 0 | 1 | 0x80..),
        [] => true,
    }
}

/// Whether this is the rest of the signature header of a 7z archive (7zFormat.txt of the LZMA SDK): the checksum of the
/// start header. The magic bytes alone are in every program that knows the format. A header that is cut may be one.
fn is_7z(rest: &[u8]) -> bool {
    let Some((sum, header)) = rest.split_first_chunk() else { return true };
    let mut crc = Crc::new();
    let Some(header) = header.first_chunk::<20>() else { return true };
    crc.update(header);
    crc.sum() == u32::from_le_bytes(*sum) && header.iter().any(|&byte| byte != 0)
}

/// Whether a main or encryption header follows the signature of a RAR archive: of version 4 (technote.txt), the type
/// after a checksum of two bytes; of version 5 (RAR 5.0 archive format), after a checksum of four and a length.
fn is_rar(rest: &[u8]) -> bool {
    match *rest {
        [0, _, _, 0x73, _, _, len, 0, ..] => len >= 13,
        [1, 0, _, _, _, _, len @ 3..=0x7F, 1 | 4, ..] => len > 3,
        _ => rest.len() < 8,
    }
}

/// Whether this continues the header of a `.lzma` file (lzma-file-format.txt of XZ Utils): a dictionary of 2^n or
/// 2^n + 2^(n-1) bytes up to 2 GiB, a length that is unknown or below 256 GiB, as its tools demand as well, and the first
/// byte of the stream, which is always zero.
fn is_lzma(rest: &[u8]) -> bool {
    let Some((dictionary, rest)) = rest.split_first_chunk::<3>() else { return false };
    let Some((len, stream)) = rest.split_first_chunk() else { return false };
    let dictionary = u32::from_le_bytes([0, dictionary[0], dictionary[1], dictionary[2]]);
    let (top, len) = (dictionary & !(dictionary >> 1), u64::from_le_bytes(*len));
    let is_usual = top.is_power_of_two() && (dictionary == top || dictionary == top | top >> 1);
    is_usual && dictionary >= 1 << 12 && (len == u64::MAX || len < 1 << 38) && stream.first() == Some(&0)
}

/// Whether these bytes may begin a deflate stream (RFC 1951, 3.2). This rejects most random matches of a zlib header
/// before they need an inflater. A beginning that is cut may be one.
pub(crate) fn may_be_deflate(stream: &[u8]) -> bool {
    let Some(&first) = stream.first() else { return false };
    match first >> 1 & 3 {
        // A length and its complement.
        0 => stream.get(1..5).is_none_or(|lens| match *lens {
            [low, high, not_low, not_high] => low == !not_low && high == !not_high,
            _ => true,
        }),
        1 => true,
        2 => stream.first_chunk().is_none_or(|start| is_complete_code(u128::from_le_bytes(*start))),
        _ => false,
    }
}

/// Whether the code of a dynamic block's code lengths is a complete prefix code, as inflaters require.
fn is_complete_code(block: u128) -> bool {
    let bits = |at: u32, count: u32| (block >> at) as u32 & (1u32 << count).wrapping_sub(1);
    let lens = bits(13, 4).saturating_add(4);
    let space: u32 = (0..lens).map(|i| 128u32 >> bits(i.saturating_mul(3).saturating_add(17), 3) & 127).sum();
    space == 128
}

/// The first two bytes of all formats except zlib: see [`is_zlib`].
pub(crate) const PAIRS: [[u8; 2]; 15] = [
    // The end of `HTTP/1.1`: a connection, see network.
    *b"P/",
    [0x1F, 0x8B],
    [0x89, b'P'],
    [0x28, 0xB5],
    *b"PK",
    *b"nk",
    [0xFD, b'7'],
    *b"BZ",
    [4, 0x22],
    *b"7z",
    [0xFF, 6],
    *b"Ra",
    *b"LZ",
    [0x5D, 0],
    [2, 0x21],
];

/// The streams that may begin at these places.
pub(crate) fn beginnings(bytes: &[u8], places: &[u32]) -> impl Iterator<Item = (usize, Format)> {
    places.iter().filter_map(|&at| Some((at as usize, Format::of(bytes.get(at as usize..)?)?)))
}

/// Whether a stream of a format begins with the first of these bytes.
pub(crate) fn begins(bytes: &[u8], format: Format) -> bool {
    Format::of(bytes) == Some(format)
}

/// The length of a gzip header (RFC 1952, 2.3): ten bytes, then the fields that its flags announce. `None` if it is
/// incomplete.
pub(crate) fn gzip_header_len(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(3)?;
    let mut len = 10usize;
    if flags & 4 != 0 {
        let extra = bytes.get(len..)?.first_chunk::<2>()?;
        len = len.saturating_add(2).saturating_add(usize::from(u16::from_le_bytes(*extra)));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let text = bytes.get(len..)?.iter().position(|&byte| byte == 0)?;
            len = len.saturating_add(text).saturating_add(1);
        }
    }
    if flags & 2 != 0 {
        len = len.saturating_add(2);
    }
    (bytes.len() >= len).then_some(len)
}

/// Whether the extra flags and the system of a gzip header have values that programs write (RFC 1952, 2.3.1).
pub(crate) fn is_usual_gzip(header: &[u8]) -> bool {
    matches!(header.get(8..10), Some([0 | 2 | 4, 0..=13 | 255]))
}

/// The length in the line of an HTTP chunk: the line break of the chunk before, digits, perhaps extensions. `None` for
/// the last chunk, which is empty, and for a line that is malformed.
pub(crate) fn chunk_len(line: &[u8]) -> Option<u64> {
    let line = line.strip_prefix(b"\r\n")?;
    let digits = line.iter().take(16).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let len = u64::from_str_radix(core::str::from_utf8(line.get(..digits)?).ok()?, 16).ok()?;
    let is_line = matches!(line.get(digits), Some(b'\r' | b';' | b' ' | b'\t'));
    (is_line && len > 0).then_some(len)
}

/// The length of the header of a Zstandard frame (RFC 8878, 3.1.1.1). `None` if it is incomplete or invalid.
pub(crate) fn zstd_header_len(header: &[u8]) -> Option<usize> {
    let flags = *header.get(4)?;
    let is_single = flags & 0x20 != 0;
    let size = match flags >> 6 {
        0 => usize::from(is_single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let dictionary = [0usize, 1, 2, 4].get(usize::from(flags & 3))?;
    // The reserved bit and the unused one: encoders write zeros.
    (flags & 0x18 == 0).then_some(size.saturating_add(*dictionary).saturating_add(if is_single { 5 } else { 6 }))
}

/// Whether these bytes may begin a Zstandard block: a known type, a valid length (RFC 8878, 3.1.1.2), and some content
/// unless it is the last. Programs that know the magic bytes have zeros after them.
pub(crate) fn may_be_zstd_block(block: &[u8]) -> bool {
    let Some(&[low, middle, high]) = block.first_chunk::<3>() else { return false };
    let header = u32::from_le_bytes([low, middle, high, 0]);
    let (is_last, kind, len) = (header & 1 != 0, header >> 1 & 3, header >> 3);
    // A repeated byte is followed by the header of another block.
    let is_repeated = kind == 1 && !is_last;
    let is_followed =
        block.get(4..7).is_none_or(|next| matches!(next, [low, _, high] if low >> 1 & 3 != 3 && *high <= 0x10));
    kind != 3 && len <= MAX_ZSTD_BLOCK && (is_last || len > 0) && (!is_repeated || is_followed)
}

/// The length of the Zstandard block that `bytes` begin with: its header and content and, after the last block, a
/// checksum (RFC 8878, 3.1.1.2).
pub(crate) fn zstd_block_len(bytes: &[u8]) -> Option<usize> {
    let &[low, middle, high] = bytes.first_chunk::<3>()?;
    let header = u32::from_le_bytes([low, middle, high, 0]);
    let content = if header >> 1 & 3 == 1 { 1 } else { (header >> 3) as usize };
    let checksum = if header & 1 == 1 { 4 } else { 0 };
    Some(content.saturating_add(3).saturating_add(checksum))
}

#[cfg(test)]
mod tests {
    use super::super::super::prefilter::Prefilter;
    use super::*;
    use hex_literal::hex;

    fn all(bytes: &[u8]) -> Vec<(usize, Format)> {
        let mut prefilter = Prefilter::default();
        prefilter.scan(bytes);
        beginnings(bytes, &prefilter.streams).collect()
    }

    /// The beginning of each format, up to the byte by which it is recognised.
    const BEGINNINGS: [(&[u8], Format); 21] = [
        (b"\x1F\x8B\x08\x00", Format::Gzip),
        (b"\x78\x01\x03\0", Format::Zlib),
        (b"\x78\x5E\x03\0", Format::Zlib),
        (b"\x78\x9C\x03\0", Format::Zlib),
        (b"\x78\xDA\x03\0", Format::Zlib),
        (b"\x18\x19\x03\0", Format::Zlib),
        (b"\x28\x91\x03\0", Format::Zlib),
        (b"\x68\xDE\x03\0", Format::Zlib),
        (b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\x02\x58\0\0\x01\x90\x08\x06\0\0\0", Format::Png),
        (b"\x28\xB5\x2F\xFD", Format::Zstd),
        (b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0", Format::Zip),
        (b"nked\r\n", Format::Chunked),
        (b"\xFD7zXZ\0\0\x04\xE6\xD6\xB4\x46\x02", Format::Xz),
        (b"BZh91AY&SY\x01\x02\x03\x04\0\0\0\0", Format::Bzip2),
        (b"\x04\x22\x4D\x18\x64\x40\xA7", Format::Lz4),
        (&hex!("377abcaf271c000468bbb7732b0200000000000052000000000000001d53ccbf"), Format::Undecoded("a 7z archive")),
        (b"\xFF\x06\0\0sNaPpY\x01\x09\0\0", Format::Snappy),
        (b"Rar!\x1A\x07\x01\0\x33\x92\xB5\xE5\x0A\x01", Format::Undecoded("a RAR archive")),
        (b"LZIP\x01\x0C\0\x30", Format::Lzip),
        (b"\x5D\0\0\x80\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0", Format::Lzma),
        (b"\x02\x21\x4C\x18\x09\0\0\0\x80", Format::Lz4Legacy),
    ];

    #[test]
    fn each_beginning_is_found_at_every_place() {
        for (beginning, format) in BEGINNINGS {
            for at in 0..100 {
                // The byte before it is its own first byte, which together with its first byte may begin another pair.
                let mut bytes = vec![0xEE; 200];
                let first = at.min(1);
                bytes.splice(at - first..at, beginning[..first].iter().copied());
                bytes.splice(at..at + beginning.len(), beginning.iter().copied());
                assert_eq!(all(&bytes), [(at, format)], "{beginning:x?} at {at}");
                // At the end of the bytes.
                let end = at + beginning.len();
                assert_eq!(all(&bytes[..end]), [(at, format)]);
            }
            // Control: without its first byte it is not recognised.
            assert_eq!(all(&beginning[1..]), [], "{beginning:x?}");
        }
    }

    #[test]
    fn pairs_are_the_first_two_bytes_of_all_beginnings() {
        for (beginning, _) in BEGINNINGS {
            let mut long = [0; BEGINNING];
            long[..beginning.len()].copy_from_slice(beginning);
            let mut recognised = Vec::new();
            for pair in 0..=u16::MAX {
                long[..2].copy_from_slice(&pair.to_be_bytes());
                if Format::of(&long).is_some() {
                    recognised.push(pair.to_be_bytes());
                }
            }
            assert!(
                !recognised.is_empty() && recognised.iter().all(|pair| is_pair(pair[0], pair[1])),
                "{recognised:x?}"
            );
        }
    }
}
