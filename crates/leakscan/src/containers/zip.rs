// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entries of ZIP archives (APPNOTE.TXT 6.3): their headers, and the checks of what they decompress to.

use super::formats::Format;

/// The most bytes of the name of an entry, and of its extra fields: the limit of a path on most systems.
pub(super) const MAX_NAME: u16 = 4096;
/// Bytes of a header before the name.
pub(super) const HEADER: usize = 30;
/// Bytes of the longest data descriptor: signature, CRC-32, two sizes of eight bytes.
pub(super) const DESCRIPTOR: usize = 24;
/// The signature before most data descriptors.
const SIGNATURE: [u8; 4] = *b"PK\x07\x08";

/// The format of the entry whose local file header this is (4.3.7), as programs write it: a version below 6.4, a known
/// method, a name of plausible length.
pub(super) fn entry(bytes: &[u8]) -> Option<Format> {
    let field = |at: usize| bytes.get(at..)?.first_chunk().map(|field| u16::from_le_bytes(*field));
    let (version, flags, method, name, extra) = (field(4)?, field(6)?, field(8)?, field(26)?, field(28)?);
    if version & 0xFF > 63 || !(1..=MAX_NAME).contains(&name) || extra > MAX_NAME || flags & 0xD780 != 0 {
        return None;
    }
    if flags & 1 != 0 {
        return Some(Format::Undecoded("an encrypted entry of a ZIP archive"));
    }
    match method {
        8 => Some(Format::Zip),
        // Stored: its bytes are searched as they are.
        0 => None,
        // bzip2, Zstandard, xz: the streams have headers of their own.
        12 | 93 | 95 if bytes.get(content_at(name, extra)..).is_none_or(begins_stream) => None,
        1..=20 | 93..=99 => Some(Format::Undecoded("an entry of a ZIP archive in a format that is not decoded")),
        _ => None,
    }
}

fn content_at(name: u16, extra: u16) -> usize {
    HEADER.saturating_add(usize::from(name)).saturating_add(usize::from(extra))
}

/// Whether bytes begin as a stream of bzip2, Zstandard or xz does. Too few of them may.
fn begins_stream(bytes: &[u8]) -> bool {
    let heads: [&[u8]; 4] =
        [b"BZh1AY&SY", b"BZh\x17rE8P\x90", &[0x28, 0xB5, 0x2F, 0xFD], &[0xFD, b'7', b'z', b'X', b'Z', 0]];
    heads.iter().any(|head| {
        // The level of bzip2 is between its two magic numbers.
        let at = |place: usize| if head.starts_with(b"BZh") && place >= 3 { place.saturating_add(1) } else { place };
        head.iter().enumerate().all(|(place, byte)| bytes.get(at(place)).is_none_or(|other| other == byte))
    })
}

/// The length of a local file header, with name and extra fields. `None` if it is incomplete.
pub(super) fn header_len(bytes: &[u8]) -> Option<usize> {
    let field = |at: usize| bytes.get(at..)?.first_chunk().map(|field| usize::from(u16::from_le_bytes(*field)));
    let len = HEADER.saturating_add(field(26)?).saturating_add(field(28)?);
    (bytes.len() >= len).then_some(len)
}

/// What an entry decompresses to, by its header; or by a data descriptor after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Content(Content),
    Descriptor,
}

/// A checksum, and the lower 32 bits of a length. A longer length is in an extra field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    crc: u32,
    len: u32,
}

impl Content {
    pub(super) const fn new(crc: u32, len: u64) -> Self {
        Self { crc, len: len as u32 }
    }
}

/// What the header of an entry announces.
pub(super) fn expected(header: &[u8]) -> Option<Expected> {
    let word = |at: usize| header.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word));
    let has_descriptor = header.get(6)? & 8 != 0;
    Some(if has_descriptor {
        Expected::Descriptor
    } else {
        Expected::Content(Content { crc: word(14)?, len: word(22)? })
    })
}

impl Expected {
    /// Whether an entry decompressed to what was announced; `trailer` are the bytes after it. `None` if more are needed.
    pub(super) fn is_met(self, content: Content, trailer: &[u8], last: bool) -> Option<bool> {
        match self {
            Self::Content(Content { crc, len }) => Some(crc == content.crc && (len == content.len || len == u32::MAX)),
            Self::Descriptor if trailer.len() < DESCRIPTOR && !last => None,
            Self::Descriptor => {
                let is_met = |fields: &[u8]| {
                    let word = |at: usize| fields.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word));
                    // Sizes of four bytes, or of eight (4.3.9.2).
                    word(0) == Some(content.crc) && [word(8), word(12)].contains(&Some(content.len))
                };
                Some(is_met(trailer) || trailer.strip_prefix(&SIGNATURE).is_some_and(is_met))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_with_and_without_signature_and_of_either_size_are_read() {
        let content = Content::new(0x1122_3344, 5);
        let crc = 0x1122_3344u32.to_le_bytes();
        let (narrow, wide) =
            ([&[9, 0, 0, 0][..], &[5, 0, 0, 0]].concat(), [&9u64.to_le_bytes()[..], &5u64.to_le_bytes()].concat());
        for sizes in [narrow, wide] {
            for signature in [&b""[..], &SIGNATURE] {
                let descriptor = [signature, &crc, &sizes].concat();
                assert_eq!(Expected::Descriptor.is_met(content, &descriptor, true), Some(true), "{descriptor:?}");
                let mut other = descriptor.clone();
                other[signature.len()] ^= 1;
                assert_eq!(Expected::Descriptor.is_met(content, &other, true), Some(false));
                assert_eq!(Expected::Descriptor.is_met(Content::new(0x1122_3344, 6), &descriptor, true), Some(false));
                assert_eq!(Expected::Descriptor.is_met(content, &descriptor[..3], false), None);
            }
        }
    }
}
