// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encodings and containers that a search once did not cover.

use super::{Run, gzip, kinds};
use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use hex_literal::hex;
use noescrow::primitives::Primitives;
use noescrow_audit::{FindingKind, Outcome, Verdict};
use std::fmt::Write as _;
use std::io::Write as _;

type Encode = fn(&[u8]) -> Vec<u8>;

fn text(bytes: &[u8], write: impl Fn(u8, &mut String)) -> Vec<u8> {
    let mut out = String::from("key=\"");
    bytes.iter().for_each(|byte| write(*byte, &mut out));
    out.push('"');
    out.into_bytes()
}

/// As Rust, C, Python and Perl print bytes: printable characters unchanged.
fn backslash_x(bytes: &[u8]) -> Vec<u8> {
    text(bytes, |byte, out| out.push_str(&std::ascii::escape_default(byte).to_string()))
}

/// As PostgreSQL prints a bytea, and protocol buffers print their text format.
fn octal(bytes: &[u8]) -> Vec<u8> {
    text(bytes, |byte, out| match byte {
        b'\\' => out.push_str("\\\\"),
        b' '..=b'~' => out.push(char::from(byte)),
        _ => write!(out, "\\{byte:03o}").unwrap(),
    })
}

/// A string of Latin-1 characters in JSON, in ASCII only.
fn json(bytes: &[u8]) -> Vec<u8> {
    text(bytes, |byte, out| match byte {
        b'"' | b'\\' => write!(out, "\\{}", char::from(byte)).unwrap(),
        b'\n' => out.push_str("\\n"),
        b'\t' => out.push_str("\\t"),
        b' '..=b'~' => out.push(char::from(byte)),
        _ => write!(out, "\\u{byte:04x}").unwrap(),
    })
}

fn latin_1_as_utf_8(bytes: &[u8]) -> Vec<u8> {
    text(bytes, |byte, out| out.push(char::from(byte)))
}

/// Such a string in JSON: all characters except control characters unchanged.
fn json_of_latin_1(bytes: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>()).unwrap()
}

fn json_of_backslash_x(bytes: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&String::from_utf8(backslash_x(bytes)).unwrap()).unwrap()
}

fn rust_string(bytes: &[u8]) -> Vec<u8> {
    format!("{:?}", bytes.iter().map(|byte| char::from(*byte)).collect::<String>()).into_bytes()
}

/// As a MySQL dump prints a column of bytes.
fn mysql(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"('".to_vec();
    for byte in bytes {
        match byte {
            0 => out.extend(b"\\0"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            0x1A => out.extend(b"\\Z"),
            b'\\' | b'\'' | b'"' => out.extend([b'\\', *byte]),
            _ => out.push(*byte),
        }
    }
    out.extend(b"')");
    out
}

fn utf_16(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [*byte, 0]).collect()
}

fn utf_16_big(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [0, *byte]).collect()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A local file header (APPNOTE.TXT 4.3.7), its sizes in the data descriptor after the data, and the data.
fn zip_entry(method: u16, flags: u16, data: &[u8]) -> Vec<u8> {
    let mut out = b"PK\x03\x04\x14\0".to_vec();
    out.extend((flags | 8).to_le_bytes());
    out.extend(method.to_le_bytes());
    out.extend([0; 16]);
    out.extend([8, 0, 4, 0]);
    out.extend(b"dump.sql\xCA\xFE\0\0");
    [&out, data].concat()
}

/// With the data descriptor that the flags announce (APPNOTE.TXT 6.3, 4.3.9).
fn zip(bytes: &[u8]) -> Vec<u8> {
    let deflated = deflate(bytes);
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let fields = [crc.sum(), deflated.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat();
    [zip_entry(8, 0, &deflated), b"PK\x07\x08".to_vec(), fields].concat()
}

/// RFC 9112 §7.1, in chunks of seven bytes.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    for chunk in body.chunks(7) {
        out.extend(format!("{:x};a=b\r\n", chunk.len()).bytes());
        out.extend([chunk, b"\r\n"].concat());
    }
    out.extend(b"0\r\n\r\n");
    out
}

const WAYS: [(&str, Encode); 13] = [
    ("\\x", backslash_x),
    ("octal", octal),
    ("JSON in ASCII", json),
    ("Latin-1 in UTF-8", latin_1_as_utf_8),
    ("Latin-1 in JSON", json_of_latin_1),
    ("\\x in JSON", json_of_backslash_x),
    ("a Rust string", rust_string),
    ("MySQL's dump", mysql),
    ("UTF-16, low byte first", utf_16),
    ("UTF-16, high byte first", utf_16_big),
    ("an entry of a ZIP archive", zip),
    ("gzip in HTTP chunks", |bytes| chunked(&gzip(bytes))),
    ("HTTP chunks", chunked),
];

/// 32 bytes of every kind: printable ones, a quotation mark, a zero.
fn key(run: &Run) -> [u8; 32] {
    let key = b"\x9f\x02\xe1w\\\xb8\x10D\xd3n\xa5\0\xf2\x81;\xc7X!\xee\x90\rc\xbaO\x17\xcc\"5\x88\n\x06'";
    run.alice.step("APP-1");
    run.alice.fresh(key);
    *key
}

#[test]
fn key_is_found_in_every_encoding_that_servers_write() {
    for (name, encode) in WAYS {
        let run = Run::new();
        let key = key(&run);
        // At each place in a word, in a file of its own.
        let lead = b"\x80\x81\x82\x83\x84\x85\x86\x87\x88";
        let held: Vec<Vec<u8>> =
            (0..lead.len()).map(|len| [&lead[..len], b" ", &encode(&key), b" \xFF"].concat()).collect();
        // A search lists sixteen places of a value, and two encodings of some of these.
        for held in held.chunks(5) {
            let verdict = run.verdict_on(held.iter().map(Vec::as_slice));
            assert_eq!(kinds(&verdict), [FindingKind::SecretInEvidence], "{name}: {verdict}");
            for number in 0..held.len() {
                let source = format!("file {number}");
                let is_there = verdict.findings[0].places.iter().any(|place| place.source == source);
                assert!(is_there, "{name} in {source}: {verdict}");
            }
        }
        let verdict = run.verdict(&encode(&key[9..27]));
        assert_eq!(kinds(&verdict), [FindingKind::FragmentInEvidence], "{name}: {verdict}");
        // Control: another key in the same encoding, and a fragment that is too short to count.
        assert!(run.verdict(&encode(&key.map(|byte| byte ^ 0x80))).holds(), "{name}");
        assert!(run.verdict(&encode(&key[9..24])).holds(), "{name}");
    }
}

/// One byte of the fragment is escaped, the first or the last: the unescaped rest is too short to count.
#[test]
fn fragment_with_one_escape_at_its_edge_is_found() {
    let ways = [(json as Encode, 0xE9), (backslash_x, 0xE9), (latin_1_as_utf_8, 0xE9), (mysql, b'\n')];
    for (encode, escaped) in ways {
        for (from, other) in [(0, 15), (16, 0)] {
            let mut key: [u8; 32] = std::array::from_fn(|at| b'A' + at as u8);
            key[from + other] = escaped;
            let run = Run::new();
            run.alice.step("APP-1");
            run.alice.fresh(&key);
            let verdict = run.verdict(&encode(&key[from..from + 16]));
            assert_eq!(kinds(&verdict), [FindingKind::FragmentInEvidence], "{from}: {verdict}");
        }
    }
}

fn blank() -> Vec<u8> {
    (0..4_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 9).to_le_bytes()).collect()
}

fn outcome(held: &[u8]) -> (Outcome, Verdict) {
    let verdict = Run::new().verdict(held);
    (verdict.outcome, verdict)
}

/// A compressed stream that cannot be decompressed is reported; one that was decompressed is not.
#[test]
fn unreadable_compressed_stream_leaves_the_claim_unshown() {
    let [gz, zl, zs] = [gzip(&blank()), zlib(&blank()), {
        ruzstd::encoding::compress_to_vec(&blank()[..], ruzstd::encoding::CompressionLevel::Fastest)
    }];
    let broken = |stream: &[u8]| {
        let mut broken = stream.to_vec();
        let at = broken.len() / 2;
        broken[at..at + 40].fill(0xFF);
        broken
    };
    let half = |stream: &[u8]| stream[..stream.len() / 2].to_vec();
    let unreadable: &[(&str, Vec<u8>)] = &[
        ("broken gzip", broken(&gz)),
        ("broken zlib", broken(&zl)),
        ("truncated gzip", half(&gz)),
        ("truncated zlib", half(&zl)),
        ("truncated zstd", half(&zs)),
        // A block of a kind that does not exist.
        ("broken ZIP entry", zip_entry(8, 0, &[0xFF; 20])),
        ("truncated ZIP entry", half(&zip(&blank()))),
        ("encrypted ZIP entry", zip_entry(8, 1, &deflate(&blank()))),
        ("ZIP entry in bzip2", zip_entry(12, 0, b"BZh9 and no stream of bzip2")),
        ("ZIP entry in AES", zip_entry(99, 0, &blank())),
        ("xz", b"\xFD7zXZ\0\0\x04\xE6\xD6\xB4\x46\x02\0!\x01".to_vec()),
        ("bzip2", b"BZh91AY&SY\x12\x34\x56\x78".to_vec()),
        ("lz4", b"\x04\x22\x4D\x18\x64\x40\xA7\x10\0\0\0".to_vec()),
        ("7z", hex!("377abcaf271c000468bbb7732b0200000000000052000000000000001d53ccbf").to_vec()),
        ("snappy", b"\xFF\x06\0\0sNaPpY\0\x10\0\0".to_vec()),
        ("RAR", b"Rar!\x1A\x07\x01\0\x33\x92\xB5\xE5\x0A\x01\x05\x06".to_vec()),
    ];
    for (name, held) in unreadable {
        for around in [&b""[..], &[0; 300]] {
            let (outcome, verdict) = outcome(&[around, held, around].concat());
            let is_reported = verdict.examined.not_examined.iter().any(|line| line.starts_with("disk"));
            assert_eq!((outcome, is_reported), (Outcome::CouldNotExamine, true), "{name}: {verdict}");
        }
    }
    for held in
        [gz, zl, zs, zip(&blank()), zip_entry(0, 0, &blank()), chunked(&gzip(&blank())), b"BZh9 7zXZ PK".to_vec()]
    {
        let (outcome, verdict) = outcome(&held);
        assert_eq!(outcome, Outcome::Holds, "{verdict}");
    }
}

/// Neither is an omission: a row of backslashes, which could be unescaped for ever; and a damaged zlib stream that only
/// stores, so that its bytes are in the file unchanged.
#[test]
fn endless_escapes_and_stored_blocks_are_no_omissions() {
    let backslashes = [&b"C:"[..], &[b'\\'; 4096], b"share"].concat();
    let mut random = vec![0; 3000];
    {
        use rand_chacha::rand_core::{Rng, SeedableRng};
        rand_chacha::ChaCha8Rng::seed_from_u64(5).fill_bytes(&mut random);
    }
    let len = u16::try_from(random.len()).unwrap();
    let stored = [&[0x78, 0x9C, 0x00][..], &len.to_le_bytes(), &(!len).to_le_bytes(), &random, &[0xFF; 40]].concat();
    for held in [backslashes, stored] {
        let (outcome, verdict) = outcome(&held);
        assert_eq!(outcome, Outcome::Holds, "{verdict}");
    }
    // Control: a text that is compressed more often than the search decompresses.
    let mut wrapped = blank();
    for _ in 0..7 {
        wrapped = gzip(&wrapped);
    }
    assert_eq!(outcome(&wrapped).0, Outcome::CouldNotExamine);
}

/// A magic number of four bytes occurs by chance once in 4 GiB, so that the bytes after it must be a header too.
#[test]
fn random_bytes_are_no_compressed_stream() {
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let mut random = vec![0; 24 << 20];
    rand_chacha::ChaCha8Rng::seed_from_u64(11).fill_bytes(&mut random);
    let (outcome, verdict) = outcome(&random);
    assert_eq!(outcome, Outcome::Holds, "{verdict}");
}
