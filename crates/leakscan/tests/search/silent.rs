// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is an omission and what is none: each test has a variant that must be one, and one that must not.

use super::encode::{base64, escaped, gzip, hex, zlib, zstd};
use super::{BLOCK, index_of, random, search};
use leakscan::{Encoding, Findings};

type Encode = fn(&[u8]) -> Vec<u8>;

fn omissions(evidence: &[u8]) -> Vec<String> {
    let findings = search(evidence, &index_of(&[&random(1, 32)]));
    assert_eq!(findings.statistics.omitted as usize, findings.statistics.omissions.len());
    findings.statistics.omissions
}

/// `secret` in Base64 as many times.
fn nested(secret: &[u8], times: usize) -> Vec<u8> {
    (0..times).fold(secret.to_vec(), |bytes, _| base64(&bytes, false, true, 0))
}

#[test]
fn an_encoding_nested_too_deep_is_an_omission_with_its_place() {
    let secret = random(1, 32);
    for (times, found, expected) in [(6, true, 0), (7, false, 1), (8, false, 1)] {
        let evidence = [b"token: ", &nested(&secret, times)[..], b"\n"].concat();
        let Findings { hits, statistics, .. } = search(&evidence, &index_of(&[&secret]));
        assert_eq!((hits.len(), statistics.omissions.len()), (usize::from(found), expected), "{times} {statistics:?}");
        let name = "bytes, byte 7: encodings nested too deep";
        assert!(statistics.omissions.iter().all(|omission| omission == name), "{:?}", statistics.omissions);
    }
    // A stream in encodings that are as many.
    for (times, expected) in [(5, 0), (6, 1)] {
        assert_eq!(omissions(&nested(&gzip(&secret), times)).len(), expected, "{times}");
    }
}

#[test]
fn rows_of_backslashes_are_no_omission() {
    for many in 0..200 {
        let row = vec![b'\\'; many];
        for after in [&b"\0../ssl/record/ssl3_record.c"[..], b"x41", b"/usr/lib/ssl/record/methods", b"n %41 abcd"] {
            let evidence = [b"\0\0", &row[..], after, b"\0\0\x02 /usr/share/doc/libssl/changelog.Debian"].concat();
            assert_eq!(omissions(&evidence), [""; 0], "{many} before {after:?}");
        }
    }
    // Control: of another encoding, as many are one.
    assert_eq!(omissions(&nested(b"/usr/lib/ssl/record/methods", 7)).len(), 1);
}

/// What follows a row of backslashes is text in some alphabet, and a table of 16-bit numbers is text of which every other
/// pair is text again.
#[test]
fn rows_of_backslashes_in_tables_are_no_omission() {
    let table = b"8::=<=>@@8BD<>:HHLLLLHPPPHLLLLLPXPLLPLLPXLOTTXTXUX\\\\T\\\\Z[\\`\\^\\^d`\\\\^Ud\\`Xd``d[^\\MNOPQQQQRRRRSSTTTTUUUVVVWXYYYYYZ[";
    let rows = b"[[\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\]]^^^^^____``aaabbccccccccddddeeefffgghhiijjkkllmmnnooppqqrrssttuuvv0123456789";
    for bytes in [&table[..], rows] {
        for width in [1, 2, 4] {
            let wide: Vec<u8> = bytes.iter().flat_map(|byte| [&[*byte][..], &vec![0; width - 1]].concat()).collect();
            assert_eq!(omissions(&[b"\0\0", &wide[..], b"\0\0"].concat()), [""; 0], "{width}");
        }
    }
}

#[test]
fn a_damaged_stream_within_a_program_is_an_omission() {
    let numbers: Vec<u8> =
        (0..20_000u32).flat_map(|n| format!("{},", n.wrapping_mul(2_654_435_761) >> 12).into_bytes()).collect();
    let program: Vec<u8> = b"\x48\x89\xE5\x48\x83\xEC\x10\0".iter().cycle().take(5_000).copied().collect();
    for (name, stream) in [("gzip", gzip(&numbers)), ("zlib", zlib(&numbers)), ("zstd", zstd(&numbers))] {
        for at in [stream.len() / 2, stream.len() - 300] {
            let mut damaged = stream.clone();
            damaged[at..at + 100].fill(0xFF);
            let held = [&program[..], &damaged, &program].concat();
            assert_eq!(omissions(&held).len(), 1, "{name} damaged at {at}");
            assert_eq!(omissions(&[&program[..], &stream, &program].concat()), [""; 0], "{name}");
        }
    }
}

/// Streams with bytes that look like an escape: their copies, in which that is decoded, are broken.
#[test]
fn a_stream_that_is_broken_in_a_copy_and_whole_below_is_no_omission() {
    let mut looked_like_one = 0;
    for seed in 0..3000 {
        let text: Vec<u8> = random(seed, 200).iter().map(|byte| b'a' + byte % 16).collect();
        for (number, encode) in [gzip as Encode, zlib, zstd].into_iter().enumerate() {
            let stream = encode(&text);
            let escape = |pair: &[u8]| pair[0] == b'\\' && b"\\\"'/0123abefnrtvZ".contains(&pair[1]);
            if !stream.windows(2).any(escape) {
                continue;
            }
            looked_like_one += 1;
            let findings = search(&stream, &index_of(&[&text[..32]]));
            assert_eq!(findings.statistics.omissions, [""; 0], "{seed} {number}");
            assert!(!findings.hits.is_empty());
            if number == 1 {
                continue;
            }
            // Control: a stream that is damaged is an omission, and only one.
            let mut damaged = stream.clone();
            let last = damaged.len() - 5;
            damaged.truncate(last);
            assert_eq!(omissions(&damaged).len(), 1, "{seed} {number}: {:?}", omissions(&damaged));
        }
    }
    assert!(looked_like_one > 20, "{looked_like_one}");
}

/// Text within which a stream lies across the ends of blocks.
#[test]
fn a_stream_in_long_text_is_read_to_its_end() {
    let secret = random(1, 32);
    let index = index_of(&[&secret]);
    for len in [100_000, 300_000] {
        let noise = random(77, len);
        let content = [&noise[..], &secret].concat();
        let lines = |bytes: &[u8]| base64(bytes, false, true, 76);
        let octal = |bytes: &[u8]| escaped(bytes, |byte| format!("\\{byte:03o}"));
        for (name, first, text) in [
            ("base64", Encoding::Base64, base64(&gzip(&content), false, true, 0)),
            ("lines", Encoding::Base64, lines(&gzip(&content))),
            ("hex", Encoding::Hex, hex(&zstd(&content), "", "")),
            ("octal", Encoding::Escapes, octal(&gzip(&content))),
            ("base64 twice", Encoding::Base64, lines(&lines(&gzip(&content)))),
        ] {
            for at in [3, BLOCK - 5000] {
                let evidence = [&vec![b'\n'; at][..], &text, b"\n--\n"].concat();
                let findings = search(&evidence, &index);
                let is_it = |hit: &leakscan::Hit| hit.whole && hit.encoding[0] == first && hit.offset < (at + 8) as u64;
                assert_eq!(findings.hits.iter().filter(|hit| is_it(hit)).count(), 1, "{name} {len} {at}: {findings:?}");
                assert_eq!(findings.statistics.omissions, [""; 0], "{name} {len} {at}");
            }
            // Controls: a stream that ends too early is an omission, once.
            let cut = &text[..text.len() * 9 / 10];
            assert_eq!(omissions(cut).len(), 1, "{name} {len}: {:?}", omissions(cut));
            let cut = [cut, b"\n--\n", &random(3, 5000)].concat();
            assert_eq!(omissions(&cut).len(), 1, "{name} {len}: {:?}", omissions(&cut));
        }
    }
}

#[test]
fn an_incomplete_stream_in_any_text_is_an_omission() {
    let text = |byte: u8| b"the quick brown fox jumps over"[usize::from(byte % 30)];
    let content: Vec<u8> = random(5, 3000).into_iter().map(text).collect();
    for (number, encode) in [gzip as Encode, zstd].into_iter().enumerate() {
        let whole = encode(&content);
        let cut = &whole[..whole.len() - 20];
        let ways: [Encode; 5] = [
            |bytes| base64(bytes, false, true, 0),
            |bytes| hex(bytes, "", ""),
            |bytes| escaped(bytes, |byte| format!("\\x{byte:02x}")),
            |bytes| super::encode::percent(bytes, false),
            |bytes| super::encode::integers(bytes, ", ", |byte| byte.to_string()),
        ];
        for (way, write) in ways.into_iter().enumerate() {
            assert_eq!(omissions(&[b"id=", &write(cut)[..], b"\n"].concat()).len(), 1, "{number} {way}");
            // Control: the whole stream is none.
            assert_eq!(omissions(&[b"id=", &write(&whole)[..], b"\n"].concat()), [""; 0], "{number} {way}");
        }
    }
}

/// A table of an ELF file: offsets and sizes with many zeros look like the header of a `.lzma` file with a length.
#[test]
fn numbers_like_a_header_of_lzma_are_no_omission() {
    for len in [0u64, 1, 0x11, 0x200, 0x1_0000] {
        let header = [&[0x5D, 0, 0, 0, 1][..], &len.to_le_bytes(), &[0]].concat();
        let evidence = [&[7; 40][..], &header, &random(len + 90, 5000)].concat();
        assert_eq!(omissions(&evidence), [""; 0], "{len}");
        // Controls: with an unknown length, and as a file of its own, it is one.
        let unknown = [&[7; 40][..], &[0x5D, 0, 0, 0, 1], &[0xFF; 8], &[0], &random(len + 90, 5000)].concat();
        assert_eq!(omissions(&unknown).len(), 1, "{len}");
    }
    let file = [&[0x5D, 0, 0, 0, 1][..], &90_000u64.to_le_bytes(), &[0], &random(90, 5000)].concat();
    assert_eq!(omissions(&file).len(), 1);
}

/// Tables of formats, as programs have them that know these: mostly magic bytes, with the next table after them.
#[test]
fn magic_bytes_in_tables_are_no_omission_and_heads_are() {
    let magic: [&[u8]; 7] = [
        b"Rar!\x1A\x07\0",
        b"Rar!\x1A\x07\x01\0",
        b"7z\xBC\xAF\x27\x1C\0",
        b"7z\xBC\xAF\x27\x1C\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x28\xB5\x2F\xFD",
        b"\x28\xB5\x2F\xFD\0\x09\x12\x1B\x03\x03\x04\x03\x17",
        b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR",
    ];
    let after: [&[u8]; 5] = [
        b"\0\0\0\0\0\0\0\0",
        b"<!--\0\x0B\x15!",
        b"L\x89\xEA\xBE\0\x02\0\0H\x89\xDFH\xC7",
        b"**ACE**\0\x1A\x08\0\0",
        &[0xCA; 9],
    ];
    for magic in magic {
        for after in after {
            let table = [b"\0magic\0", magic, after, &[0; 40], b"tables of a program"].concat();
            assert_eq!(omissions(&table), [""; 0], "{magic:02x?} before {after:02x?}");
        }
    }
    // Controls: real heads, in the same place.
    let heads: [&[u8]; 4] = [
        b"Rar!\x1A\x07\x01\0\x33\x92\xB5\xE5\x0A\x01\x05\x06\0\x05\x01\x01\x80\x80\0",
        b"Rar!\x1A\x07\0\xCF\x90\x73\0\0\x0D\0\0\0\0\0\0\0",
        &hex_literal::hex!("377abcaf271c000468bbb7732b0200000000000052000000000000001d53ccbf"),
        &zstd(&random(2, 900))[..300],
    ];
    for head in heads {
        let held = [b"\0magic\0", head, &[0; 40], b"tables of a program"].concat();
        assert_eq!(omissions(&held).len(), 1, "{head:02x?}");
    }
}

/// A header of gzip is in programs that write it, before other code or text.
#[test]
fn headers_of_gzip_in_sources_are_no_omission() {
    for source in [
        "put(\"\\x1f\\x8b\\x08\\0\\0\\0\\0\\0\\0\\xff\", 1, 10, out);\n    *crc = crc32(0L, Z_NULL, 0);\n    *tot = 0;\n",
        "static char head[] = \"\\037\\213\\010\\0\\0\\0\\0\\0\\0\\003\"; /* deflate, no time, Unix */ write(file, head, 10);\n",
    ] {
        assert_eq!(omissions(source.as_bytes()), [""; 0], "{source}");
    }
}

/// The beginnings of bzip2, lzip, Snappy and xz are in sources of programs that read these, as text with escapes and as
/// arrays, and in the tables of those programs.
#[test]
fn heads_of_decoders_in_sources_are_no_omission() {
    let heads: [(&[u8], &str); 5] = [
        (b"\xFF\x06\0\0sNaPpY", "\\xFF\\x06\\x00\\x00sNaPpY"),
        (b"LZIP\x01\x0C", "LZIP\\x01\\x0c"),
        (b"BZh91AY&SY", "BZh91AY&SY"),
        (b"\xFD7zXZ\0\0\x04\xE6\xD6\xB4\x46\0", "\\xfd7zXZ\\0\\0\\4\\xe6\\xd6\\xb4F\\0"),
        (b"\xFD7zXZ\0\0\x04\xE6\xD6\xB4\x46\0\x9E\xCE\xEC\x5F\xB7\xDB\xFF\xFF\xE0\x25", "\\xfd7zXZ"),
    ];
    let text =
        "\";\n\n/// The head of a member that the decoder reads, with whatever follows it in the file.\nfn head() {";
    for (head, literal) in heads {
        let source = format!("const HEAD: &[u8] = b\"{literal}{text}");
        let array = format!(
            "let head = [{}];\n{text}",
            super::encode::integers(head, ", ", |byte| format!("0x{byte:02X}")).escape_ascii()
        );
        let table = [b"\0magic\0", head, b"\0\0\0\0\0\0\0\0lzip\0xz\0bzip2\0"].concat();
        for evidence in [source.as_bytes(), array.as_bytes(), &table, &[head, text.as_bytes()].concat()] {
            assert_eq!(omissions(evidence), [""; 0], "{}", evidence.escape_ascii());
        }
    }
    // Controls: with a stream after the same bytes, of which something is damaged.
    let content: Vec<u8> = random(8, 3000).iter().map(|byte| b'a' + byte % 16).collect();
    for encode in
        [super::containers::bzip2 as Encode, super::containers::lzip, super::containers::snappy, super::containers::xz]
    {
        let mut damaged = encode(&content);
        let middle = damaged.len() / 2;
        damaged[middle..middle + 50].fill(0xAA);
        assert_eq!(omissions(&[b"\0magic\0", &damaged[..], text.as_bytes()].concat()).len(), 1);
        let escaped = escaped(&damaged, |byte| format!("\\x{byte:02x}"));
        assert_eq!(omissions(&[b"b\"", &escaped[..], text.as_bytes()].concat()).len(), 1);
    }
}

/// Tables of numbers are 16-bit text, lists and arrays, also when they are decoded.
#[test]
fn tables_of_numbers_are_not_nested_too_deep() {
    let charmap: String = (0..400u32)
        .map(|n| format!("<U{:04X}> /x{:02x}/x{:02x}/x{:02x}\n", 0x4E00 + n, n & 255, 0x81, n >> 3))
        .collect();
    let columns: String = (0..400u32).map(|n| format!("55554D8D01614{:02x}2E55554d8d0161422e \n", n & 255)).collect();
    for table in [charmap, columns] {
        for evidence in [table.as_bytes().to_vec(), gzip(table.as_bytes()), hex(&hex(table.as_bytes(), "", ""), "", "")]
        {
            assert_eq!(omissions(&evidence), [""; 0]);
        }
    }
}

/// Decoded runs are searched one after the other, with a byte between them: the beginning of a ZIP entry at the end of
/// one does not continue in the next.
#[test]
fn a_beginning_at_the_end_of_a_decoded_run_is_no_stream() {
    let rest = b"\x01\0\x08\0\0\0\x95\x5C\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0";
    let mut omitted = 0;
    // A run has so many bytes around its escapes as it has; one of these lengths ends it within the header, and one
    // begins the next with the rest of it.
    for after in 160..180 {
        for before in 140..170 {
            let run = |before: &[u8], after: &[u8]| [before, b"\\x41\\x42", after].concat();
            let entry = [&vec![0xEE; after][..], b"PK\x03\x04\x14\0\x08\x08", &[0xEE; 400]].concat();
            let first = run(&[0xEE; 300], &entry);
            let second = run(&[rest, &vec![0xEE; before][..]].concat(), &[0xEE; 300]);
            omitted += omissions(&[first, second].concat()).len();
        }
    }
    assert_eq!(omitted, 0);
}
