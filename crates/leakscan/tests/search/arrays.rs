// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays of integers, as software writes the bytes of a value. Literals are the output of the named programs, for
//! [`KEY`]; the other shapes are written here, for random values.

use super::{OTHER, index_of, random, search};
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Hit, Index};
use std::fmt::Write as _;

/// `60c35b27…`: values below 24, from 128 on, and with leading zeros.
pub(crate) const KEY: [u8; 32] = hex_literal::hex!("60c35b277a1f0e9d4b3a2c8e9d7f1ae45566f0018cb7d3c299ef0a4d83b12e70");

/// Why a range of a value is not found in the evidence by a chain with this encoding, or is found without it.
pub(crate) fn failure(
    evidence: &[u8],
    index: &Index,
    range: core::ops::Range<usize>,
    encoding: Encoding,
) -> Option<String> {
    let is_it =
        |hit: &Hit| hit.range.start <= range.start && hit.range.end >= range.end && hit.encoding.contains(&encoding);
    let hits = search(evidence, index).hits;
    if !hits.iter().any(is_it) {
        return Some(format!("not found: {hits:?}"));
    }
    let others = Evidence::new().with_encodings(Encodings::ALL.without(encoding)).bytes("bytes", evidence);
    let hits = others.search(index, |_, _| {}).unwrap().hits;
    hits.iter().any(is_it).then(|| format!("found without {encoding}"))
}

/// A way to write the bytes of a value as text.
struct Shape(&'static str, Encoding, fn(&[u8]) -> String);

pub(crate) fn list(bytes: &[u8], separator: &str, write: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|&byte| write(byte)).collect::<Vec<_>>().join(separator)
}

/// One entry for each byte, with its index.
fn entries(bytes: &[u8], write: impl Fn(usize, u8) -> String) -> String {
    bytes.iter().enumerate().map(|(index, &byte)| write(index, byte)).collect()
}

/// Integers of so many bytes, the low byte first.
fn words(bytes: &[u8], width: usize) -> Vec<u64> {
    bytes.chunks(width).map(|word| word.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))).collect()
}

fn big_words(bytes: &[u8], width: usize) -> Vec<u64> {
    bytes.chunks(width).map(|word| word.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))).collect()
}

fn joined(words: Vec<u64>, separator: &str, write: impl Fn(u64) -> String) -> String {
    words.into_iter().map(write).collect::<Vec<_>>().join(separator)
}

use Encoding::{HexIntegers, Integers, WideIntegers};

const SHAPES: &[Shape] = &[
    Shape("JSON", Integers, |b| format!("{b:?}")),
    Shape("pretty debug output", Integers, |b| format!("{b:#?}")),
    Shape("JSON of a Uint8Array", Integers, |b| format!("{{{}}}", entries(b, |i, byte| format!("\"{i}\":{byte},")))),
    Shape("pretty JSON of a Uint8Array", Integers, |b| entries(b, |i, byte| format!("    \"{i}\": {byte},\n"))),
    Shape("an index from 90 on", Integers, |b| entries(b, |i, byte| format!("[{}]={byte} ", i + 90))),
    Shape("XML", Integers, |b| list(b, "", |byte| format!("<byte>{byte}</byte>"))),
    Shape("indented XML", Integers, |b| {
        list(b, "\n", |byte| format!("            <element type=\"u8\">{byte}</element>"))
    }),
    Shape("XML with attributes", Integers, |b| {
        entries(b, |i, byte| format!("<item index=\"{i}\" value=\"{byte}\"/>\n"))
    }),
    Shape("YAML", Integers, |b| list(b, "\n", |byte| format!("  - {byte}"))),
    Shape("quoted", Integers, |b| list(b, ",", |byte| format!("\"{byte}\""))),
    Shape("Rust suffixes", Integers, |b| list(b, ", ", |byte| format!("{byte}u8"))),
    Shape("Rust suffixes with underscores", Integers, |b| list(b, ", ", |byte| format!("{byte}_u8"))),
    Shape("Rust casts", Integers, |b| list(b, ", ", |byte| format!("{byte} as u8"))),
    Shape("F# suffixes", Integers, |b| list(b, "; ", |byte| format!("{byte}uy"))),
    Shape("R integers", Integers, |b| format!("c({})", list(b, ", ", |byte| format!("{byte}L")))),
    Shape("BigInt", Integers, |b| list(b, ",", |byte| format!("{byte}n"))),
    Shape("Java casts", Integers, |b| list(b, ", ", |byte| format!("(byte){}", byte as i8))),
    Shape("Java bytes", Integers, |b| list(b, ", ", |byte| (byte as i8).to_string())),
    Shape("floats", Integers, |b| list(b, ", ", |byte| format!("{byte}.0"))),
    Shape("floats with six places", Integers, |b| list(b, " ", |byte| format!("{byte}.000000"))),
    Shape("C floats", Integers, |b| list(b, ", ", |byte| format!("{byte}.0f"))),
    Shape("spaces", Integers, |b| list(b, " ", |byte| byte.to_string())),
    Shape("tabs", Integers, |b| list(b, "\t", |byte| byte.to_string())),
    Shape("semicolons", Integers, |b| list(b, ";", |byte| byte.to_string())),
    Shape("bars", Integers, |b| list(b, " | ", |byte| byte.to_string())),
    Shape("points", Integers, |b| list(b, ".", |byte| byte.to_string())),
    Shape("words", Integers, |b| list(b, " ", |byte| format!("Byte({byte})"))),
    Shape("zero padded", Integers, |b| list(b, " ", |byte| format!("{byte:03}"))),
    Shape("right aligned", Integers, |b| list(b, "", |byte| format!("{byte:6}"))),
    Shape("Go", Integers, |b| format!("[]byte{{{}}}", list(b, ", ", |byte| byte.to_string()))),
    Shape("a map of Go", Integers, |b| format!("map[{}]", entries(b, |i, byte| format!("{i}:{byte} ")))),
    Shape("an array of PHP", Integers, |b| format!("array({})", entries(b, |i, byte| format!("{i} => {byte}, ")))),
    Shape("print_r of PHP", Integers, |b| entries(b, |i, byte| format!("    [{i}] => {byte}\n"))),
    Shape("var_dump of PHP", Integers, |b| entries(b, |i, byte| format!("  [{i}]=>\n  int({byte})\n"))),
    Shape("serialize of PHP", Integers, |b| {
        format!("a:{}:{{{}}}", b.len(), entries(b, |i, byte| format!("i:{i};i:{byte};")))
    }),
    Shape("Lua", Integers, |b| entries(b, |i, byte| format!("[{}] = {byte},\n", i + 1))),
    Shape("assignments", Integers, |b| entries(b, |i, byte| format!("  key[{i}] = {byte};\n"))),
    Shape("Erlang", Integers, |b| format!("<<{}>>", list(b, ",", |byte| byte.to_string()))),
    Shape("CSV with an index", Integers, |b| entries(b, |i, byte| format!("{i},{byte}\n"))),
    Shape("CSV with two constants", Integers, |b| entries(b, |_, byte| format!("7,{byte},12\n"))),
    Shape("CSV with a time stamp", Integers, |b| {
        entries(b, |i, byte| format!("{},{byte}\n", 1_764_531_860_123 + i * 37))
    }),
    Shape("CSV with index and time stamp", Integers, |b| {
        entries(b, |i, byte| format!("{i};{};{byte}\n", 1_764_531_860 + i * 5))
    }),
    Shape("octal of C", Integers, |b| list(b, ", ", |byte| format!("0{byte:o}"))),
    Shape("octal of Rust", Integers, |b| list(b, ", ", |byte| format!("{byte:#o}"))),
    Shape("octal, three digits", Integers, |b| list(b, " ", |byte| format!("{byte:03o}"))),
    Shape("binary of Rust", Integers, |b| list(b, ", ", |byte| format!("{byte:#010b}"))),
    Shape("binary, short", Integers, |b| list(b, ", ", |byte| format!("{byte:#b}"))),
    Shape("binary, eight digits", Integers, |b| list(b, " ", |byte| format!("{byte:08b}"))),
    Shape("hexadecimal, no prefix", HexIntegers, |b| list(b, ", ", |byte| format!("{byte:x}"))),
    Shape("hexadecimal, quoted", HexIntegers, |b| list(b, ",", |byte| format!("\"{byte:02x}\""))),
    Shape("hexadecimal, semicolons", HexIntegers, |b| list(b, "; ", |byte| format!("{byte:02X}"))),
    Shape("hexadecimal, bars", HexIntegers, |b| list(b, "|", |byte| format!("{byte:02x}"))),
    Shape("hexadecimal of C", HexIntegers, |b| list(b, ", ", |byte| format!("{byte:#x}"))),
    Shape("pretty hexadecimal", HexIntegers, |b| format!("{b:#04x?}")),
    Shape("hexadecimal, suffixes of F#", HexIntegers, |b| list(b, "; ", |byte| format!("{byte:#04x}uy"))),
    Shape("hexadecimal, suffixes of Rust", HexIntegers, |b| list(b, ", ", |byte| format!("{byte:#04x}u8"))),
    Shape("hexadecimal, suffix L", HexIntegers, |b| list(b, ", ", |byte| format!("{byte:#x}L"))),
    Shape("hexadecimal, casts of Java", HexIntegers, |b| list(b, ", ", |byte| format!("(byte)0x{byte:02X}"))),
    Shape("hexadecimal, casts of C", HexIntegers, |b| list(b, ", ", |byte| format!("(uint8_t) 0x{byte:02x}"))),
    Shape("hexadecimal with an index", HexIntegers, |b| entries(b, |i, byte| format!("{{\"{i}\": \"{byte:#x}\"}}\n"))),
    Shape("hexadecimal of BASIC", HexIntegers, |b| list(b, ",", |byte| format!("&H{byte:X}"))),
    Shape("hexadecimal of an assembler", HexIntegers, |b| list(b, ", ", |byte| format!("0{byte:02X}h"))),
    Shape("hexadecimal of Pascal", HexIntegers, |b| list(b, ",", |byte| format!("${byte:02X}"))),
    Shape("hexadecimal of Ada", HexIntegers, |b| list(b, ", ", |byte| format!("16#{byte:02X}#"))),
    Shape("hexadecimal of Lisp", HexIntegers, |b| list(b, " ", |byte| format!("#x{byte:02X}"))),
    Shape("hexadecimal, x", HexIntegers, |b| list(b, " ", |byte| format!("x{byte:02x}"))),
    Shape("hexadecimal of Smalltalk", HexIntegers, |b| list(b, " ", |byte| format!("16r{byte:02X}"))),
    Shape("hexadecimal of Verilog", HexIntegers, |b| list(b, ", ", |byte| format!("8'h{byte:02x}"))),
    Shape("code points", HexIntegers, |b| list(b, " ", |byte| format!("U+{byte:04X}"))),
    Shape("16 bits", WideIntegers, |b| joined(words(b, 2), ",", |word| word.to_string())),
    Shape("16 bits, high byte first", WideIntegers, |b| joined(big_words(b, 2), ",", |word| word.to_string())),
    Shape("16 bits, signed", WideIntegers, |b| joined(words(b, 2), ", ", |word| (word as i16).to_string())),
    Shape("32 bits", WideIntegers, |b| joined(words(b, 4), ",", |word| word.to_string())),
    Shape("32 bits, high byte first", WideIntegers, |b| joined(big_words(b, 4), ",", |word| word.to_string())),
    Shape("32 bits, signed", WideIntegers, |b| joined(words(b, 4), ", ", |word| (word as i32).to_string())),
    Shape("32 bits, signed, high byte first", WideIntegers, |b| {
        joined(big_words(b, 4), ", ", |word| (word as i32).to_string())
    }),
    Shape("64 bits", WideIntegers, |b| joined(words(b, 8), ",", |word| word.to_string())),
    Shape("64 bits, high byte first", WideIntegers, |b| joined(big_words(b, 8), ",", |word| word.to_string())),
    Shape("64 bits, signed", WideIntegers, |b| joined(words(b, 8), ", ", |word| (word as i64).to_string())),
    Shape("64 bits, signed, pretty", WideIntegers, |b| {
        joined(big_words(b, 8), ",\n        ", |word| (word as i64).to_string())
    }),
    Shape("64 bits with an index", WideIntegers, |b| {
        words(b, 8).iter().enumerate().map(|(i, word)| format!("\"{i}\":{word},")).collect()
    }),
    Shape("32 bits with an index", WideIntegers, |b| {
        words(b, 4).iter().enumerate().map(|(i, word)| format!("\"{i}\":{word},")).collect()
    }),
    Shape("BigInts of 64 bits", WideIntegers, |b| joined(words(b, 8), ", ", |word| format!("{word}n"))),
    Shape("32 bits in hexadecimal", WideIntegers, |b| joined(words(b, 4), ", ", |word| format!("{word:#x}"))),
    Shape("64 bits in hexadecimal", WideIntegers, |b| joined(words(b, 8), ", ", |word| format!("0x{word:016x}ULL"))),
    Shape("32 bits in hexadecimal digits", WideIntegers, |b| joined(words(b, 4), " ", |word| format!("{word:08x}"))),
    Shape("16 bits in hexadecimal digits", WideIntegers, |b| joined(words(b, 2), " ", |word| format!("{word:04x}"))),
];

#[test]
fn values_are_found_in_every_shape_at_every_alignment() {
    let mut failures = Vec::new();
    for (seed, at) in (0..).zip([0, 1, 2, 3, 5, 7, 8, 31, 57, 63, 64, 100]) {
        let key = random(900 + seed, 32);
        let index = index_of(&[&key]);
        for Shape(name, encoding, write) in SHAPES {
            let evidence = [&vec![OTHER; at][..], write(&key).as_bytes(), &[OTHER; 90]].concat();
            failures.extend(failure(&evidence, &index, 0..32, *encoding).map(|failure| (name, at, failure)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn values_are_found_in_every_shape_within_text() {
    let mut failures = Vec::new();
    for seed in 0..6 {
        let key = random(950 + seed, 32);
        let index = index_of(&[&key]);
        for Shape(name, encoding, write) in SHAPES {
            let mut text = String::from("2026-11-30T19:44:20.123Z INFO user 1234 stored, 17 ms: key of device 3 is ");
            writeln!(text, "{}\n\n2026-11-30T19:44:20.125Z INFO next line, with 3 numbers", write(&key)).unwrap();
            // The number before a list may be part of it, but not of a hit.
            let evidence = text.repeat(2);
            let failure = failure(evidence.as_bytes(), &index, 0..32, *encoding);
            failures.extend(failure.map(|failure| (name, failure)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn fragments_of_bytes_are_found_in_every_shape() {
    let mut failures = Vec::new();
    let key = random(970, 48);
    let index = index_of(&[&key]);
    for Shape(name, encoding, write) in SHAPES {
        for from in [0, 8, 16, 24, 32] {
            let text = write(&key[from..from + FRAGMENT]);
            let evidence = [&[OTHER; 90][..], text.as_bytes(), &[OTHER; 90]].concat();
            let failure = failure(&evidence, &index, from..from + FRAGMENT, *encoding);
            failures.extend(failure.map(|failure| (name, from, failure)));
        }
        // The control: a byte less is no fragment.
        let text = write(&key[..FRAGMENT - 1]);
        assert!(search(text.as_bytes(), &index).hits.is_empty(), "{name}");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn hits_have_the_offset_of_the_first_number() {
    let index = index_of(&[&KEY]);
    for (text, at) in [
        (SHAPES[0].2(&KEY), 1),
        (format!("{{{}}}", entries(&KEY, |i, byte| format!("\"{i}\":{byte},"))), 5),
        (list(&KEY, "", |byte| format!("<byte>{byte}</byte>")), 6),
    ] {
        let hits = search(format!("key: {text}").as_bytes(), &index).hits;
        assert!(hits.iter().any(|hit| hit.whole && hit.offset == 5 + at), "{text}: {hits:?}");
    }
}
