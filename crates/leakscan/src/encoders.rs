// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes bytes in each [`Encoding`], as servers do: for the control of a search, which must find a value that was
//! planted.
//!
//! Crates write hexadecimal, Base64 and compressed streams, so that a mistake of our decoders is not repeated here. The shapes
//! that it cannot write are hand-written: lists of integers, percent-encoding and escapes (a prefix before each byte),
//! the headers of Zstandard and ZIP, and HTTP chunks.

mod alphabets;
mod arrays;
mod groups;
mod marks;

use super::encoding::Encoding;
use super::pages::encode as pages;
use bzip2::write::BzEncoder;
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use lz4_flex::frame::FrameEncoder as Lz4Encoder;
use lzma_rust2::{DICT_SIZE_MIN, XzOptions, XzWriter};
use std::io::Write;

/// Bytes of an HTTP chunk: fewer than a fragment.
const CHUNK: usize = 7;

/// Writes `bytes`, at most 32, in an encoding. The result is empty if an encoder fails.
#[must_use]
pub fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let each = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<Vec<_>>();
    match encoding {
        Encoding::Raw => bytes.to_vec(),
        Encoding::Reversed => bytes.iter().rev().copied().collect(),
        Encoding::Hex => HEXLOWER.encode(bytes).into_bytes(),
        Encoding::Base64 => BASE64_NOPAD.encode(bytes).into_bytes(),
        Encoding::Integers => format!("[{}]", each(&|byte| format!("{byte}")).join(", ")).into_bytes(),
        Encoding::HexIntegers => format!("[{}]", each(&|byte| format!("{byte:#x}")).join(", ")).into_bytes(),
        Encoding::Percent => each(&|byte| format!("%{byte:02X}")).concat().into_bytes(),
        Encoding::Entities => each(&|byte| format!("&#{byte};")).concat().into_bytes(),
        Encoding::Utf16Le => HEXLOWER.encode(bytes).encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Encoding::Utf16Be => HEXLOWER.encode(bytes).encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Encoding::Escapes => each(&|byte| format!("\\x{byte:02x}")).concat().into_bytes(),
        Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
        Encoding::Base32 | Encoding::Base36 | Encoding::Base58 | Encoding::Base62 | Encoding::Decimal => {
            alphabets::encode(bytes, encoding)
        }
        Encoding::QuotedPrintable | Encoding::HashEscapes | Encoding::CaretNotation | Encoding::Form => {
            marks::encode(bytes, encoding)
        }
        Encoding::Base85 | Encoding::Base45 | Encoding::Uuencode => groups::encode(bytes, encoding),
        Encoding::Gzip => finished(GzEncoder::new(Vec::new(), Compression::default()), bytes, GzEncoder::finish),
        Encoding::Zlib => finished(ZlibEncoder::new(Vec::new(), Compression::default()), bytes, ZlibEncoder::finish),
        Encoding::Zstd => zstd(bytes),
        Encoding::Zip => zip(bytes),
        Encoding::WebSocket => websocket(bytes),
        Encoding::Varlena => pages::varlena(bytes),
        Encoding::Toast => pages::toast(bytes),
        Encoding::Http2 => http2(bytes),
        Encoding::HttpBody => {
            let body = finished(DeflateEncoder::new(Vec::new(), Compression::default()), bytes, DeflateEncoder::finish);
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n", &body[..]].concat()
        }
        Encoding::SqliteOverflow => pages::sqlite(bytes),
        Encoding::Lzf => pages::redis(bytes),
        Encoding::PgLog => pages::wal(bytes),
        Encoding::Png => png(bytes),
        Encoding::Bzip2 => finished(BzEncoder::new(Vec::new(), bzip2::Compression::fast()), bytes, BzEncoder::finish),
        Encoding::Lzma => xz(bytes),
        Encoding::Lz4 => finished(Lz4Encoder::new(Vec::new()), bytes, |lz4| lz4.finish().map_err(Into::into)),
        Encoding::Snappy => finished(snap::write::FrameEncoder::new(Vec::new()), bytes, |snappy| {
            snappy.into_inner().map_err(|error| error.into_error())
        }),
        Encoding::Chunked => {
            let chunks =
                bytes.chunks(CHUNK).map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            let chunks = chunks.collect::<Vec<_>>().concat();
            [b"Transfer-Encoding: chunked\r\n\r\n", &chunks[..], b"0\r\n\r\n"].concat()
        }
        Encoding::WideIntegers => arrays::wide_integers(bytes),
        Encoding::Dump => arrays::dump(bytes),
        Encoding::BinaryArray => arrays::binary(bytes),
        Encoding::Strided => arrays::strided(bytes),
    }
}

/// The preface, empty settings, and frames with the content of one stream.
fn http2(bytes: &[u8]) -> Vec<u8> {
    let frames = bytes.chunks(CHUNK).map(|chunk| {
        let len = u8::try_from(chunk.len()).unwrap_or_default();
        [&[0, 0, len, 0, 0, 0, 0, 0, 1], chunk].concat()
    });
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), frames.collect::<Vec<_>>().concat()].concat()
}

/// An upgrade, and one client's frame with the mask of RFC 6455, 5.7.
fn websocket(bytes: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let masked: Vec<u8> = bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let len = 0x80 | u8::try_from(bytes.len()).unwrap_or(0).min(125);
    [b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\x82", &[len][..], &mask, &masked].concat()
}

/// With the smallest dictionary: the encoder clears tables of its size, which takes longer than all the rest.
fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut options = XzOptions::with_preset(0);
    options.lzma_options.dict_size = DICT_SIZE_MIN;
    XzWriter::new(Vec::new(), options).map_or_else(|_| Vec::new(), |xz| finished(xz, bytes, XzWriter::finish))
}

fn finished<W: Write>(mut encoder: W, bytes: &[u8], finish: fn(W) -> std::io::Result<Vec<u8>>) -> Vec<u8> {
    encoder.write_all(bytes).and_then(|()| finish(encoder)).unwrap_or_default()
}

/// A frame with one raw block (RFC 8878, 3.1.1): magic, descriptor (single segment, size of one byte), size, block.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let size = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, size, size << 3 | 1, size >> 5, 0], bytes].concat()
}

/// An image of one row of grey pixels (PNG, 5 and 11.2), whose zlib stream lies in two chunks.
fn png(bytes: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        [&len.to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
    };
    let width = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let header = chunk(b"IHDR", &[&width[..], &[0, 0, 0, 1, 8, 0, 0, 0, 0]].concat());
    let rows =
        finished(ZlibEncoder::new(Vec::new(), Compression::default()), &[&[0], bytes].concat(), ZlibEncoder::finish);
    let (first, rest) = rows.split_at_checked(rows.len() / 2).unwrap_or((&rows, &[]));
    let image = [chunk(b"IDAT", first), chunk(b"IDAT", rest), chunk(b"IEND", &[])].concat();
    [&b"\x89PNG\r\n\x1A\n"[..], &header, &image].concat()
}

/// A local file header (APPNOTE.TXT 6.3, 4.3.7) and its content.
fn zip(bytes: &[u8]) -> Vec<u8> {
    let deflated = finished(DeflateEncoder::new(Vec::new(), Compression::default()), bytes, DeflateEncoder::finish);
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut crc = Crc::new();
    crc.update(bytes);
    let sizes = [crc.sum().to_le_bytes(), size(deflated.len()), size(bytes.len())].concat();
    [b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0", &sizes[..], b"\x01\0\0\0k", &deflated].concat()
}

/// Whether [`encode`] writes other bytes, too, as it writes these, or bytes that a search takes for a word: a control
/// must not plant them. Of bytes with marks, two must be near each other. In caret notation, `^`, `^^`, `M-^` and `M-^^` may be the beginning of another byte, and `M` and
/// a hyphen are the beginning of a byte above 127.
#[must_use]
pub fn is_ambiguous(bytes: &[u8], encoding: Encoding) -> bool {
    match encoding {
        Encoding::QuotedPrintable | Encoding::HashEscapes if !marks::are_near(bytes, encoding) => true,
        Encoding::CaretNotation => {
            !marks::are_near(bytes, encoding)
                || bytes.iter().any(|byte| matches!(byte & 0x7F, 0x1E | 0x5E))
                || bytes.windows(2).any(|pair| matches!(pair, [first, b'-'] if matches!(first & 0x7F, 0x0D | 0x4D)))
        }
        Encoding::Base36 => !encode(bytes, encoding).iter().any(u8::is_ascii_digit),
        // Without a digit, and mostly of one case, it is a word.
        Encoding::Base58 | Encoding::Base62 => {
            let text = encode(bytes, encoding);
            let count = |is_such: fn(&u8) -> bool| text.iter().filter(|byte| is_such(byte)).count();
            let (upper, lower) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
            count(u8::is_ascii_digit) == 0 && upper.min(lower) < upper.saturating_add(lower) / 4
        }
        // With fewer letters, it may be a time, or hexadecimal.
        Encoding::Base45 => {
            let text = encode(bytes, encoding);
            let letters = text.iter().filter(|symbol| matches!(symbol, b'G'..=b'Z')).count();
            letters.saturating_mul(8) < text.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    const SECRET: [u8; 16] = hex!("00 1F 7F 80 A5 FF 22 5C 61 62 63 64 0A 0D 31 7E");

    #[test]
    fn hand_written_shapes_are_as_specified() {
        let text = |encoding| String::from_utf8(encode(&SECRET, encoding)).unwrap();
        assert!(text(Encoding::Integers).starts_with("[0, 31, 127, 128, 165, 255, 34, 92, "));
        assert!(text(Encoding::HexIntegers).starts_with("[0x0, 0x1f, 0x7f, 0x80, 0xa5, 0xff, 0x22, "));
        assert!(text(Encoding::Percent).starts_with("%00%1F%7F%80%A5%FF%22"));
        assert!(text(Encoding::Escapes).starts_with("\\x00\\x1f\\x7f\\x80\\xa5\\xff\\x22"));
        let chunked = encode(&SECRET, Encoding::Chunked);
        let chunks = hex!(
            "37 0D0A 00 1F 7F 80 A5 FF 22 0D0A"
            "37 0D0A 5C 61 62 63 64 0A 0D 0D0A"
            "32 0D0A 31 7E 0D0A"
            "30 0D0A 0D0A"
        );
        assert_eq!(chunked, [b"Transfer-Encoding: chunked\r\n\r\n", &chunks[..]].concat());
    }

    #[test]
    fn hand_written_frames_are_read_by_their_decoders() {
        let mut frame = Vec::new();
        let zstd = encode(&SECRET, Encoding::Zstd);
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(zstd.as_slice()).unwrap();
        std::io::Read::read_to_end(&mut decoder, &mut frame).unwrap();
        assert_eq!(frame, SECRET);
        // A ZIP entry is a header of 30 bytes, a name of one byte, and a deflate stream.
        let mut entry = Vec::new();
        let zip = encode(&SECRET, Encoding::Zip);
        std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(&zip[31..]), &mut entry).unwrap();
        assert_eq!(entry, SECRET);
    }
}
