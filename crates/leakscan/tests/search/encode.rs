// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encoders for the tests. `data-encoding` writes the digits and symbols; the shapes around them, which it cannot
//! write, are hand-written: separators and prefixes, lists, escapes, percent-encoding.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use leakscan::Encoding;
use std::fmt::Write as _;
use std::io::Write as _;

/// Digits of `bytes` in mixed case, with a prefix before each byte and a separator between two.
pub(crate) fn hex(bytes: &[u8], separator: &str, prefix: &str) -> Vec<u8> {
    let cases = [HEXLOWER, HEXUPPER].into_iter().cycle();
    let mixed = bytes.iter().zip(cases).map(|(byte, case)| format!("{prefix}{}", case.encode(&[*byte])));
    mixed.collect::<Vec<_>>().join(separator).into_bytes()
}

/// Symbols of `bytes`, with or without padding, in lines of `width` (0: one line).
pub(crate) fn base64(bytes: &[u8], url: bool, padded: bool, width: usize) -> Vec<u8> {
    let alphabet = match (url, padded) {
        (false, true) => BASE64,
        (false, false) => BASE64_NOPAD,
        (true, true) => BASE64URL,
        (true, false) => BASE64URL_NOPAD,
    };
    let out = alphabet.encode(bytes).into_bytes();
    if width > 0 { out.chunks(width).collect::<Vec<_>>().join(&b'\n') } else { out }
}

pub(crate) fn integers(bytes: &[u8], separator: &str, write: impl Fn(u8) -> String) -> Vec<u8> {
    format!("[{}]", bytes.iter().map(|&byte| write(byte)).collect::<Vec<_>>().join(separator)).into_bytes()
}

pub(crate) fn percent(bytes: &[u8], bare: bool) -> Vec<u8> {
    let mut out = String::new();
    for &byte in bytes {
        match bare && (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
            true => out.push(char::from(byte)),
            false => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out.into_bytes()
}

pub(crate) fn escaped(bytes: &[u8], write: impl Fn(u8) -> String) -> Vec<u8> {
    bytes.iter().map(|byte| write(*byte)).collect::<String>().into_bytes()
}

pub(crate) fn utf16(text: &[u8], big: bool) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A way to write bytes.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// The encodings of the hit.
    pub(crate) chain: &'static [Encoding],
    pub(crate) encode: fn(&[u8]) -> Vec<u8>,
    /// The length of the text before the first byte of the value.
    pub(crate) lead: usize,
}

use Encoding::{
    Base64, Escapes, Gzip, Hex, HexIntegers, Integers, Latin1, Percent, Raw, Reversed, Utf16Be, Utf16Le, Zlib, Zstd,
};

macro_rules! ways {
    ($($name:literal: $chain:expr, $lead:literal, $encode:expr;)*) => {
        &[$(Way { name: $name, chain: &$chain, encode: $encode, lead: $lead }),*]
    };
}

pub(crate) const WAYS: &[Way] = ways! {
    "raw": [Raw], 0, |b| b.to_vec();
    "reversed": [Reversed], 0, |b| b.iter().rev().copied().collect();
    "hex": [Hex, Raw], 0, |b| hex(b, "", "");
    "hex in upper case": [Hex, Raw], 0, |b| hex(b, "", "").to_ascii_uppercase();
    "hex, spaces": [Hex, Raw], 0, |b| hex(b, " ", "");
    "hex, colons": [Hex, Raw], 0, |b| hex(b, ":", "");
    "hex, dashes": [Hex, Raw], 0, |b| hex(b, "-", "");
    "hex, commas": [Hex, Raw], 0, |b| hex(b, ",", "");
    "hex, lines": [Hex, Raw], 0, |b| hex(b, "\n", "");
    "hex, 0x": [Hex, Raw], 2, |b| hex(b, ", ", "0x");
    "hex, \\x": [Hex, Raw], 2, |b| hex(b, "", "\\x");
    "hex of the reverse": [Hex, Reversed], 0, |b| hex(&b.iter().rev().copied().collect::<Vec<_>>(), "", "");
    "base64": [Base64, Raw], 0, |b| base64(b, false, true, 0);
    "base64 for URLs": [Base64, Raw], 0, |b| base64(b, true, false, 0);
    "base64 in lines": [Base64, Raw], 0, |b| base64(b, false, true, 16);
    "decimal integers": [Integers, Raw], 1, |b| integers(b, ", ", |byte| byte.to_string());
    "JSON integers": [Integers, Raw], 1, |b| integers(b, ",", |byte| byte.to_string());
    "indented integers": [Integers, Raw], 1, |b| integers(b, ",\n        ", |byte| byte.to_string());
    "signed integers": [Integers, Raw], 1, |b| integers(b, ", ", |byte| (byte as i8).to_string());
    "hex integers": [HexIntegers, Raw], 1, |b| integers(b, ", ", |byte| format!("{byte:x}"));
    "hex integers, 0x": [HexIntegers, Raw], 1, |b| integers(b, ", ", |byte| format!("{byte:#x}"));
    "percent": [Percent, Raw], 0, |b| percent(b, true);
    "percent throughout": [Percent, Raw], 0, |b| percent(b, false);
    "hex in UTF-16, low byte first": [Utf16Le, Hex, Raw], 0, |b| utf16(&hex(b, "", ""), false);
    "hex in UTF-16, high byte first": [Utf16Be, Hex, Raw], 0, |b| utf16(&hex(b, "", ""), true);
    "base64 in UTF-16, low byte first": [Utf16Le, Base64, Raw], 0, |b| utf16(&base64(b, false, true, 0), false);
    "base64 in UTF-16, high byte first": [Utf16Be, Base64, Raw], 0, |b| utf16(&base64(b, true, false, 0), true);
    "\\x": [Escapes, Raw], 0, |b| escaped(b, |byte| format!("\\x{byte:02x}"));
    "octal": [Escapes, Raw], 0, |b| escaped(b, |byte| format!("\\{byte:03o}"));
    "\\u00": [Escapes, Raw], 0, |b| escaped(b, |byte| format!("\\u{byte:04X}"));
    "\\u{}": [Escapes, Raw], 0, |b| escaped(b, |byte| format!("\\u{{{byte:x}}}"));
    "octal in JSON": [Escapes, Escapes, Raw], 1, |b| escaped(b, |byte| format!("\\\\{byte:03o}"));
    "Latin-1 in UTF-8": [Latin1, Raw], 0, |b| b.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes();
    "gzip": [Gzip, Raw], 0, gzip;
    "zlib": [Zlib, Raw], 0, zlib;
    "zstd": [Zstd, Raw], 0, zstd;
    "gzip of base64 of hex": [Gzip, Base64, Hex, Raw], 0, |b| gzip(&base64(&hex(b, "", ""), false, true, 76));
    "base64 of gzip": [Base64, Gzip, Raw], 0, |b| base64(&gzip(b), false, true, 0);
    "hex of zstd of percent": [Hex, Zstd, Percent, Raw], 0, |b| hex(&zstd(&percent(b, false)), "", "");
    "base64 of base64": [Base64, Base64, Raw], 0, |b| base64(&base64(b, false, true, 0), false, true, 0);
    "zlib of gzip": [Zlib, Gzip, Raw], 0, |b| zlib(&gzip(b));
};
