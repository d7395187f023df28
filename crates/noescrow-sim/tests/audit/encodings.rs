// SPDX-License-Identifier: MIT OR Apache-2.0
//! How servers write bytes.

use std::fmt::Write as _;
use std::io::Write as _;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64_in(alphabet: &[u8; 64], bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|at| text.push(alphabet[(word >> (18 - 6 * at)) as usize & 63] as char));
    }
    text
}

pub fn base64(bytes: &[u8]) -> String {
    let mut text = base64_in(STANDARD, bytes);
    (0..(3 - bytes.len() % 3) % 3).for_each(|_| text.push('='));
    text
}

/// Without padding, broken over lines of 19, as in a letter.
pub fn base64_url_in_lines(bytes: &[u8]) -> String {
    let text = base64_in(URL, bytes);
    text.as_bytes().chunks(19).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\r\n")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn hex_with_colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

pub fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' => text.push(*byte as char),
            _ => write!(text, "%{byte:02X}").unwrap(),
        }
        text
    })
}

/// As Java prints bytes.
pub fn signed_integers(bytes: &[u8]) -> String {
    format!("{:?}", bytes.iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>())
}

pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn encodings_are_what_they_are_called() {
    assert_eq!(base64(b"\xfb\xff"), "+/8=");
    assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    assert_eq!(base64_url_in_lines(b"\xfb\xff"), "-_8");
    assert_eq!(hex(b"\x0f\xf0"), "0ff0");
    assert_eq!(percent(b"a /"), "a%20%2F");
    assert_eq!(signed_integers(b"\x01\xff"), "[1, -1]");
    assert_eq!(utf16("a"), b"a\0");
}
