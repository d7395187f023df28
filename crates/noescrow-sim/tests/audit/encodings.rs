// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encoders for the forms in which servers write bytes.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use std::fmt::Write as _;
use std::io::Write as _;

pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Without padding, broken into lines of 19, as in a letter.
pub fn base64_url_in_lines(bytes: &[u8]) -> String {
    let text = BASE64URL_NOPAD.encode(bytes);
    text.as_bytes().chunks(19).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\r\n")
}

pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub fn hex_with_colons(bytes: &[u8]) -> String {
    bytes.chunks(1).map(|byte| HEXUPPER.encode(byte)).collect::<Vec<_>>().join(":")
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
fn encoders_match_known_examples() {
    assert_eq!(base64(b"\xfb\xff"), "+/8=");
    assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    assert_eq!(base64_url_in_lines(b"\xfb\xff"), "-_8");
    assert_eq!(hex(b"\x0f\xf0"), "0ff0");
    assert_eq!(percent(b"a /"), "a%20%2F");
    assert_eq!(signed_integers(b"\x01\xff"), "[1, -1]");
    assert_eq!(utf16("a"), b"a\0");
}
