// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that continue over lines with other bytes between them.

use super::encode::{base64, escaped};
use super::{OTHER, index_of, random, search};
use data_encoding::HEXLOWER;
use leakscan::{Encoding, FRAGMENT};

/// What stands before and after the first line, between two lines, and after the last one. `#` stands for a number that
/// counts.
const LAYOUTS: [(&str, &str, &str, &str); 22] = [
    ("key = \"", "\" +\n      \"", "\";\n", "Java, JavaScript"),
    ("key = '", "'\n       '", "'\n", "Python"),
    ("key = (\"", "\" \\\n    \"", "\")\n", "Python, C macros"),
    ("char *key = \"", "\"\n    \"", "\";\n", "C"),
    ("$key = '", "' .\n    '", "';\n", "PHP"),
    ("key = \"", "\" & _\n  \"", "\"\n", "VB"),
    ("$key = \"", "\"\n . \"", "\";\n", "PHP, operator first"),
    ("local key = \"", "\" ..\n\t\"", "\"\n", "Lua"),
    ("[\n  \"", "\",\n  \"", "\"\n]\n", "JSON"),
    ("pem = \"", "\\n\" +\n  \"", "\\n\";\n", "line breaks in strings"),
    ("# ", "\n# ", "\n", "shell"),
    ("// ", "\n// ", "\n", "C++"),
    (" * ", "\n * ", "\n */\n", "C"),
    ("> ", "\n> ", "\n\n", "mail"),
    ("-- ", "\n-- ", "\n", "SQL"),
    ("; ", "\n; ", "\n", "Lisp"),
    ("| ", " |\n| ", " |\n", "table"),
    ("#: ", "\n#: ", "\n", "grep -n"),
    ("001# ", "\n001# ", "\n", "cat -n"),
    ("2026-11-28T10:00:0#Z DEBUG ", "\n2026-11-28T10:00:0#Z DEBUG ", "\n", "log"),
    ("<key>", "</key>\n<key>", "</key>\n", "XML"),
    ("echo -n ", "\\\r\n  \"", "\"\r\n", "shell, CRLF"),
];

/// The chunks of a text in a layout.
fn lines(chunks: &[&[u8]], (before, between, after, _): (&str, &str, &str, &str)) -> Vec<u8> {
    let mut number = 0;
    let mut numbered = |part: &str| {
        if part.contains('#') && !part.starts_with("# ") && !part.starts_with("\n# ") {
            number += 1;
            part.replace('#', &number.to_string())
        } else {
            part.to_owned()
        }
    };
    let mut out = numbered(before).into_bytes();
    for (at, chunk) in chunks.iter().enumerate() {
        if at > 0 {
            out.extend(numbered(between).as_bytes());
        }
        out.extend(*chunk);
    }
    out.extend(after.as_bytes());
    out
}

type Write = fn(&[u8]) -> Vec<u8>;

fn hex(bytes: &[u8]) -> Vec<u8> {
    HEXLOWER.encode(bytes).into_bytes()
}

/// The encodings, the symbols of a unit that is not divided, and the length of a chunk.
const WRITTEN: [(Encoding, Write, usize, &[usize]); 5] = [
    (Encoding::Hex, hex, 1, &[8, 15, 20, 24, 32, 40]),
    (Encoding::Base64, |bytes| base64(bytes, false, false, 0), 1, &[8, 11, 16, 20, 30]),
    (Encoding::Base64, |bytes| base64(bytes, true, true, 0), 1, &[8, 13, 18, 40]),
    (Encoding::Escapes, |bytes| escaped(bytes, |byte| format!("\\x{byte:02x}")), 4, &[4, 16, 32]),
    (Encoding::Escapes, |bytes| escaped(bytes, |byte| format!("\\{byte:03o}")), 4, &[4, 12, 60]),
];

#[test]
fn values_over_lines_with_affixes_are_found_whole() {
    let mut failures = Vec::new();
    for (encoding, write, unit, widths) in WRITTEN {
        for layout in LAYOUTS {
            for seed in 0..12 {
                let secret = random(seed, 32);
                let index = index_of(&[&secret]);
                let text = write(&secret);
                for &width in widths {
                    let chunks: Vec<&[u8]> = text.chunks(width).collect();
                    // Escaped line breaks are part of the value.
                    if encoding == Encoding::Escapes && layout.3 == "line breaks in strings" {
                        continue;
                    }
                    // A word of a few symbols is no line of data.
                    if unit == 1 && chunks.len() == 2 && chunks[1].len() < 8 {
                        continue;
                    }
                    let evidence = [&[OTHER; 70][..], &lines(&chunks, layout), b"\ndone in 3 ms\n"].concat();
                    let hits = search(&evidence, &index).hits;
                    let is_it = |hit: &&leakscan::Hit| hit.whole && hit.encoding[0] == encoding;
                    let offset = evidence.windows(unit.max(4)).position(|at| at == &text[..unit.max(4)]);
                    match hits.iter().find(is_it) {
                        Some(hit) if Some(hit.offset as usize) == offset => {}
                        other => failures.push((encoding, layout.3, width, seed, other.map(|hit| hit.offset))),
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}: {:?}", failures.len(), &failures[..failures.len().min(40)]);
}

#[test]
fn fragments_across_the_ends_of_lines_are_found_and_shorter_ones_are_not() {
    for (encoding, write, _, widths) in WRITTEN {
        for layout in [LAYOUTS[0], LAYOUTS[10], LAYOUTS[19]] {
            for seed in 0..6 {
                let secret = random(100 + seed, 48);
                let text = write(&secret);
                let chunks: Vec<&[u8]> = text.chunks(widths[2]).collect();
                let evidence = lines(&chunks, layout);
                for from in 0..=32 {
                    let found = |len: usize| {
                        let other = random(999, 16);
                        let needle = [&secret[from..from + len], &other[len..]].concat();
                        search(&evidence, &index_of(&[&needle])).hits.iter().any(|hit| hit.encoding[0] == encoding)
                    };
                    assert!(found(FRAGMENT), "{encoding} {} {seed} {from}", layout.3);
                    assert!(!found(FRAGMENT - 1), "{encoding} {} {seed} {from}", layout.3);
                }
            }
        }
    }
}

/// The control: with another line between two, a value is not read across it.
#[test]
fn values_with_other_lines_between_are_not_joined() {
    for (encoding, write, _, _) in WRITTEN {
        let secret = random(7, 24);
        let index = index_of(&[&secret]);
        let text = write(&secret);
        let (one, other) = text.split_at(text.len() / 8 * 4);
        for (between, is_found) in [("\"\n  \"", true), ("\"\n  and\n  \"", false), ("\"\n\n  \"", false)] {
            let evidence = [b"key = \"", one, between.as_bytes(), other, b"\"\n"].concat();
            let hits = search(&evidence, &index).hits;
            let is_it = |hit: &leakscan::Hit| hit.whole && hit.encoding[0] == encoding;
            assert_eq!(hits.iter().any(is_it), is_found, "{encoding} {between:?}: {hits:?}");
        }
    }
}

/// Lines that end in words are joined only if these look like data.
#[test]
fn sources_logs_and_json_are_decoded_little() {
    let index = index_of(&[&random(1, 32)]);
    let source = include_str!("main.rs").as_bytes();
    let log: String = (0..2_000u32)
        .map(|n| {
            format!("2026-11-28T10:{:02}:{:02}Z INFO request {n} from client-{} finished\n", n / 60 % 60, n % 60, n % 7)
        })
        .collect();
    let json: String =
        (0..2_000u32).map(|n| format!("  {{\n    \"id\": {n},\n    \"state\": \"delivered\"\n  }},\n")).collect();
    for text in [source, log.as_bytes(), json.as_bytes()] {
        let statistics = search(text, &index).statistics;
        assert_eq!(statistics.hits, 0);
        let blind = leakscan::Evidence::new()
            .with_encodings(leakscan::Encodings::ALL.without(Encoding::Hex).without(Encoding::Base64));
        let blind = blind.bytes("bytes", text).search(&index, |_, _| {}).unwrap().statistics;
        let decoded = statistics.decoded - blind.decoded;
        assert!(decoded * 2 < text.len() as u64, "{decoded} of {}", text.len());
    }
}

/// Lines of logs: what is before and after a value. `#` stands for the number of the line, `@` for one that varies.
const LOGS: [(&str, &str); 6] = [
    ("2026-11-28T10:00:#Z key[#]=", "\n"),
    ("2026-11-28 10:00:#.@ DEBUG [worker-@] key[#] = ", ";\n"),
    ("Nov 28 10:00:# host app[@]: byte # is ", " of 32\n"),
    ("[28/Nov/2026:10:00:# +0000] \"GET /keys/#?nonce=@\" state ", " 200 @\n"),
    (
        "10:00:# [main] c.e.Crypto@a@ - this is a message of a server which is long and has few numbers - value: ",
        "\r\n",
    ),
    ("<@>1 2026-11-28T10:00:#.@Z host app - k=", " t=@ us\n"),
];

fn log(values: &[String], (before, after): (&str, &str), seed: u64) -> Vec<u8> {
    let mut out = String::from("2026-11-28T09:59:59Z start of 1 test\n");
    for (number, value) in values.iter().enumerate() {
        let other = random(seed + 1_000 + number as u64, 2);
        let other = u16::from_le_bytes([other[0], other[1]]).to_string();
        let fill = |part: &str| part.replace('#', &number.to_string()).replace('@', &other);
        out += &format!("{}{value}{}", fill(before), fill(after));
    }
    out.into_bytes()
}

#[test]
fn numbers_at_one_place_of_each_line_of_a_log_are_found() {
    let u64_of = |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().unwrap());
    let u32_of = |chunk: &[u8]| u32::from_be_bytes(chunk.try_into().unwrap());
    type Values<'a> = &'a dyn Fn(&[u8]) -> Vec<String>;
    let of_bytes = |write: fn(&u8) -> String| move |key: &[u8]| key.iter().map(write).collect::<Vec<_>>();
    let ways: [(&str, Values<'_>); 8] = [
        ("decimal", &of_bytes(|byte| byte.to_string())),
        ("signed", &of_bytes(|byte| (*byte as i8).to_string())),
        ("0x", &of_bytes(|byte| format!("{byte:#04x}"))),
        ("hexadecimal", &of_bytes(|byte| format!("{byte:02x}"))),
        ("u64", &|key| key.chunks(8).map(|chunk| u64_of(chunk).to_string()).collect()),
        ("i64", &|key| key.chunks(8).map(|chunk| (u64_of(chunk) as i64).to_string()).collect()),
        ("u64, hexadecimal", &|key| key.chunks(8).map(|chunk| format!("{:#018x}", u64_of(chunk))).collect()),
        ("u32", &|key| key.chunks(4).map(|chunk| u32_of(chunk).to_string()).collect()),
    ];
    let mut failures = Vec::new();
    for (name, values) in ways {
        for layout in LOGS {
            for seed in 0..20 {
                let key = random(seed, 32);
                let evidence = log(&values(&key), layout, seed);
                let found = |from: usize, len: usize| {
                    let needle = [&key[from..from + len], &random(999, 16)[len.min(16)..]].concat();
                    search(&evidence, &index_of(&[&needle])).hits.iter().any(|hit| hit.whole)
                };
                if !found(0, 32) || !found(8, 16) || found(8, 15) {
                    failures.push((name, layout.0, seed, found(0, 32), found(8, 16), found(8, 15)));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}: {:#?}", failures.len(), &failures[..failures.len().min(20)]);
}

/// The control: at another place in every other line, they are no column.
#[test]
fn numbers_at_several_places_of_lines_are_not_found() {
    let key = random(3, 32);
    let evidence: String = (0..)
        .zip(&key)
        .map(|(n, byte)| format!("2026-11-28T10:00:{n:02}Z 7 key={byte}{}\n", if n % 2 == 0 { "" } else { " 17 9" }))
        .collect();
    assert!(search(evidence.as_bytes(), &index_of(&[&key])).hits.is_empty());
}
