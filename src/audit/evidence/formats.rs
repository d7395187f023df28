// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formats of compression by their beginnings, and the lengths of their headers; what comes behind is `compressed`'s.
//!
//! # What is taken for a stream by chance
//! An omission for every beginning of three or four bytes would leave no terabyte examined. A gzip member must have a header
//! that programs write (1 of 2^37 places in random bytes) and a block that may follow it; a Zstandard frame a header and a
//! first block (2^36); a ZIP entry, an LZ4 frame and what begins with six bytes and more are below 2^40. Of zlib, whose two
//! bytes are met every 16 KiB, only a stream that went on for `compressed::PLAUSIBLE_INPUT` bytes counts.

use super::encoding::Encoding;
use flate2::Crc;

/// Bytes of a Zstandard block.
const MAX_ZSTD_BLOCK: u32 = 1 << 17;

/// Bytes of the name of an entry of a ZIP archive, and of its extra fields: a path's bound on most systems.
pub(super) const MAX_ZIP_NAME: u16 = 4096;

/// A format of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zlib,
    Zstd,
    Zip,
    Chunked,
    /// No decoder is here.
    Closed(&'static str),
}

/// Bytes by which a beginning is recognised, at the most: a ZIP entry's header.
pub(super) const BEGINNING: usize = 30;

impl Format {
    /// `None` for what is not decoded.
    pub(super) const fn encoding(self) -> Option<Encoding> {
        match self {
            Self::Gzip => Some(Encoding::Gzip),
            Self::Zlib => Some(Encoding::Zlib),
            Self::Zstd => Some(Encoding::Zstd),
            Self::Zip => Some(Encoding::Zip),
            Self::Chunked => Some(Encoding::Chunked),
            Self::Closed(_) => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "a gzip member",
            Self::Zlib => "a zlib stream",
            Self::Zstd => "a Zstandard frame",
            Self::Zip => "an entry of a ZIP archive",
            Self::Chunked => "HTTP chunks",
            Self::Closed(name) => name,
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1F, 0x8B, 8, flags, ..] if flags & 0xE0 == 0 => Some(Self::Gzip),
            [0x78, 0x01 | 0x5E | 0x9C | 0xDA, stream @ ..] if may_be_deflate(stream) => Some(Self::Zlib),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            [b'P', b'K', 3, 4, ..] => zip_entry(bytes),
            [b'n', b'k', b'e', b'd', b'\r', b'\n', ..] => Some(Self::Chunked),
            [0xFD, b'7', b'z', b'X', b'Z', 0, rest @ ..] => is_xz(rest).then_some(Self::Closed("an xz stream")),
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..] => {
                Some(Self::Closed("a bzip2 stream"))
            }
            // Version 1, no reserved bit; a block size of 64 KiB to 4 MiB.
            [4, 0x22, 0x4D, 0x18, flags, size, ..] if flags & 0xC2 == 0x40 && size & 0x8F == 0 && *size >= 0x40 => {
                Some(Self::Closed("an LZ4 frame"))
            }
            [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C, 0, ..] => Some(Self::Closed("a 7z archive")),
            [0xFF, 6, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y', ..] => Some(Self::Closed("a Snappy stream")),
            [b'R', b'a', b'r', b'!', 0x1A, 7, 0 | 1, ..] => Some(Self::Closed("a RAR archive")),
            [b'L', b'Z', b'I', b'P', 1, ..] => Some(Self::Closed("an lzip member")),
            _ => None,
        }
    }
}

/// XZ's stream flags with their checksum (xz-file-format 1.2.1, 2.1.1): the magic alone is in every program that reads xz.
fn is_xz(rest: &[u8]) -> bool {
    let Some((flags, checksum)) = rest.split_first_chunk::<2>() else { return false };
    let mut crc = Crc::new();
    crc.update(flags);
    checksum.first_chunk() == Some(&crc.sum().to_le_bytes())
}

/// A local file header (APPNOTE.TXT 6.3, 4.3.7), as programs write it: a version below 6.4, a method that there is, a name of
/// a length that there may be.
fn zip_entry(bytes: &[u8]) -> Option<Format> {
    let field = |at: usize| bytes.get(at..)?.first_chunk().map(|field| u16::from_le_bytes(*field));
    let (version, flags, method, name, extra) = (field(4)?, field(6)?, field(8)?, field(26)?, field(28)?);
    if version & 0xFF > 63 || !(1..=MAX_ZIP_NAME).contains(&name) || extra > MAX_ZIP_NAME || flags & 0xD780 != 0 {
        return None;
    }
    if flags & 1 != 0 {
        return Some(Format::Closed("an encrypted entry of a ZIP archive"));
    }
    match method {
        // Its bytes are as they are.
        0 => None,
        8 => Some(Format::Zip),
        1..=20 | 93..=99 => Some(Format::Closed("an entry of a ZIP archive in a format that is not decoded")),
        _ => None,
    }
}

/// Whether a deflate stream may begin so (RFC 1951, 3.2): of two bytes of a zlib header that are there by chance, most are
/// told before an inflater is made for them. What is cut short may be one.
pub(super) fn may_be_deflate(stream: &[u8]) -> bool {
    let Some(&first) = stream.first() else { return false };
    match first >> 1 & 3 {
        // A length, and its complement.
        0 => stream.get(1..5).is_none_or(|lens| match *lens {
            [low, high, not_low, not_high] => low == !not_low && high == !not_high,
            _ => true,
        }),
        1 => true,
        2 => stream.first_chunk().is_none_or(|start| is_complete_code(u128::from_le_bytes(*start))),
        _ => false,
    }
}

/// Whether the code of a dynamic block's code lengths is a complete prefix code, which inflaters ask for.
fn is_complete_code(block: u128) -> bool {
    let bits = |at: u32, count: u32| (block >> at) as u32 & (1u32 << count).wrapping_sub(1);
    let lens = bits(13, 4).saturating_add(4);
    let space: u32 = (0..lens).map(|i| 128u32 >> bits(i.saturating_mul(3).saturating_add(17), 3) & 127).sum();
    space == 128
}

/// Bytes that are looked at together: enough for the vector units, few enough to seldom hold a beginning by chance.
const LANE: usize = 64;

/// Where streams may begin.
pub(super) fn beginnings(bytes: &[u8]) -> impl Iterator<Item = (usize, Format)> {
    // Each byte and the one behind it, lane by lane; what is no whole lane is looked at byte by byte.
    let (ones, _) = bytes.as_chunks::<LANE>();
    let (others, _) = bytes.get(1..).unwrap_or_default().as_chunks::<LANE>();
    let whole = ones.len().min(others.len());
    let lanes = ones.iter().zip(others).enumerate().filter(|(_, (ones, others))| {
        ones.iter().zip(*others).fold(0, |any, (&one, &other)| any | pair(one, other)) != 0
    });
    let rest = whole.saturating_mul(LANE)..bytes.len();
    let (ones, others) = (bytes.get(rest.clone()), bytes.get(rest.start.saturating_add(1)..));
    let (ones, others) = (ones.unwrap_or_default(), others.unwrap_or_default());
    let any = ones.iter().zip(others).fold(0, |any, (&one, &other)| any | pair(one, other));
    let found = lanes.map(|(lane, _)| lane.saturating_mul(LANE)..lane.saturating_add(1).saturating_mul(LANE));
    let found = found.chain((any != 0).then_some(rest));
    let found = found.flatten().filter(|&at| match bytes.get(at..) {
        Some(&[one, other, ..]) => pair(one, other) != 0,
        _ => false,
    });
    found.filter_map(|at| Some((at, Format::of(bytes.get(at..)?)?)))
}

/// Not zero if a stream may begin with these two. The three flags of zlib beside 0x01 have bits in common, with thirteen
/// other values: one comparison for three.
#[inline(always)]
fn pair(one: u8, other: u8) -> u8 {
    let gzip = u8::from(one == 0x1F) & u8::from(other == 0x8B);
    let flags = u8::from(other == 0x01) | u8::from(other & 0x39 == 0x18);
    let zstd = u8::from(one == 0x28) & u8::from(other == 0xB5);
    let is = |first: u8, second: u8| u8::from(one == first) & u8::from(other == second);
    let archives = is(b'P', b'K') | is(b'7', b'z') | is(b'R', b'a') | is(b'L', b'Z');
    let closed = is(0xFD, b'7') | is(b'B', b'Z') | is(4, 0x22) | is(0xFF, 6);
    gzip | (u8::from(one == 0x78) & flags) | zstd | is(b'n', b'k') | archives | closed
}

/// RFC 1952, 2.3: ten bytes, then what the flags say. `None` if it is not there whole.
pub(super) fn gzip_header_len(bytes: &[u8]) -> Option<usize> {
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

/// Extra flags and system of a gzip header, as programs write them (RFC 1952, 2.3.1).
pub(super) fn is_usual_gzip(header: &[u8]) -> bool {
    matches!(header.get(8..10), Some([0 | 2 | 4, 0..=13 | 255]))
}

/// Bytes of a local file header of a ZIP archive, with name and extra fields. `None` if it is not there whole.
pub(super) fn zip_header_len(bytes: &[u8]) -> Option<usize> {
    let field = |at: usize| bytes.get(at..)?.first_chunk().map(|field| usize::from(u16::from_le_bytes(*field)));
    let len = BEGINNING.saturating_add(field(26)?).saturating_add(field(28)?);
    (bytes.len() >= len).then_some(len)
}

/// The length that a chunk's line says: the line break of the chunk before, digits, perhaps extensions. `None` for the last
/// chunk, which is empty, and for what is no such line.
pub(super) fn chunk_len(line: &[u8]) -> Option<u64> {
    let line = line.strip_prefix(b"\r\n")?;
    let digits = line.iter().take(16).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let len = u64::from_str_radix(core::str::from_utf8(line.get(..digits)?).ok()?, 16).ok()?;
    let is_line = matches!(line.get(digits), Some(b'\r' | b';' | b' ' | b'\t'));
    (is_line && len > 0).then_some(len)
}

/// Whether a block may begin so: of a kind that there is, no longer than a block may be (RFC 8878, 3.1.1.2).
pub(super) fn may_be_zstd_block(block: &[u8]) -> bool {
    let Some(&[low, middle, high]) = block.first_chunk::<3>() else { return false };
    let header = u32::from_le_bytes([low, middle, high, 0]);
    header >> 1 & 3 != 3 && header >> 3 <= MAX_ZSTD_BLOCK
}

/// RFC 8878, 3.1.1.2: the block at the beginning of `bytes` with its header and, behind the last one, a checksum.
pub(super) fn zstd_block_len(bytes: &[u8]) -> Option<usize> {
    let &[low, middle, high] = bytes.first_chunk::<3>()?;
    let header = u32::from_le_bytes([low, middle, high, 0]);
    let content = if header >> 1 & 3 == 1 { 1 } else { (header >> 3) as usize };
    let checksum = if header & 1 == 1 { 4 } else { 0 };
    Some(content.saturating_add(3).saturating_add(checksum))
}
