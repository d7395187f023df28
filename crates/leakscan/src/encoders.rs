// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as servers write them, in each [`Encoding`]: what the control of a search plants.

use super::encoding::Encoding;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use std::io::Write;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Bytes of an HTTP chunk: a fragment lies in none.
const CHUNK: usize = 7;

/// `bytes`, 32 at the most, in an encoding. Empty if an encoder fails.
#[must_use]
pub fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let each = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<Vec<_>>();
    match encoding {
        Encoding::Raw => bytes.to_vec(),
        Encoding::Reversed => bytes.iter().rev().copied().collect(),
        Encoding::Hex => hex(bytes),
        Encoding::Base64 => base64(bytes),
        Encoding::Integers => format!("[{}]", each(&|byte| format!("{byte}")).join(", ")).into_bytes(),
        Encoding::HexIntegers => format!("[{}]", each(&|byte| format!("{byte:#x}")).join(", ")).into_bytes(),
        Encoding::Percent => each(&|byte| format!("%{byte:02X}")).concat().into_bytes(),
        Encoding::Utf16Le => hex(bytes).into_iter().flat_map(|digit| [digit, 0]).collect(),
        Encoding::Utf16Be => hex(bytes).into_iter().flat_map(|digit| [0, digit]).collect(),
        Encoding::Escapes => each(&|byte| format!("\\x{byte:02x}")).concat().into_bytes(),
        Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
        Encoding::Gzip => finished(GzEncoder::new(Vec::new(), Compression::default()), bytes, GzEncoder::finish),
        Encoding::Zlib => finished(ZlibEncoder::new(Vec::new(), Compression::default()), bytes, ZlibEncoder::finish),
        Encoding::Zstd => zstd(bytes),
        Encoding::Zip => zip(bytes),
        Encoding::Chunked => {
            let chunks =
                bytes.chunks(CHUNK).map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            let chunks = chunks.collect::<Vec<_>>().concat();
            [b"Transfer-Encoding: chunked\r\n\r\n", &chunks[..], b"0\r\n\r\n"].concat()
        }
    }
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let [high, middle, low] = [0, 1, 2].map(|at| chunk.get(at).copied().map_or(0, u32::from));
        let group = high << 16 | middle << 8 | low;
        let symbols = [18u32, 12, 6, 0].into_iter().take(chunk.len().saturating_add(1));
        out.extend(symbols.filter_map(|shift| BASE64.get((group >> shift & 63) as usize).copied()));
    }
    out
}

fn finished<W: Write>(mut encoder: W, bytes: &[u8], finish: fn(W) -> std::io::Result<Vec<u8>>) -> Vec<u8> {
    encoder.write_all(bytes).and_then(|()| finish(encoder)).unwrap_or_default()
}

/// A frame with one block, raw (RFC 8878 §3.1.1): magic, descriptor (single segment, size of one byte), size, block.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let size = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, size, size << 3 | 1, size >> 5, 0], bytes].concat()
}

/// A local file header (APPNOTE.TXT 4.3.7) and what it is of.
fn zip(bytes: &[u8]) -> Vec<u8> {
    let deflated = finished(DeflateEncoder::new(Vec::new(), Compression::default()), bytes, DeflateEncoder::finish);
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut crc = Crc::new();
    crc.update(bytes);
    let sizes = [crc.sum().to_le_bytes(), size(deflated.len()), size(bytes.len())].concat();
    [b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0", &sizes[..], b"\x01\0\0\0k", &deflated].concat()
}
