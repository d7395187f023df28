// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers and bytes in the notations of programs: groups, separators, exponents, quotes, columns.

use super::{index_of, random, search};
use data_encoding::HEXLOWER;
use leakscan::{Encoding, FRAGMENT};

/// Keys of each test.
const KEYS: u64 = 12;

type Write = fn(&[u8]) -> String;

/// The fragments of each key are found, and shorter ones are not.
#[track_caller]
fn assert_fragments(name: &str, encoding: Encoding, write: Write) {
    let mut missed = Vec::new();
    for seed in 0..KEYS {
        let key = random(seed, 32);
        let evidence = format!("2026-11-28 value = {}\nnext: 1\n", write(&key));
        for (from, len) in [(0, 32), (0, 16), (8, 16), (16, 16), (8, 15)] {
            let needle = [&key[from..from + len], &random(999, FRAGMENT)[len.min(FRAGMENT)..]].concat();
            let hits = search(evidence.as_bytes(), &index_of(&[&needle])).hits;
            if hits.iter().any(|hit| hit.whole && hit.encoding[0] == encoding) != (len >= FRAGMENT) {
                missed.push((seed, from, len, hits));
            }
        }
    }
    assert!(missed.is_empty(), "{name}: {} {:?}\n{}", missed.len(), missed.first(), write(&random(0, 32)));
}

fn list(bytes: &[u8], separator: &str, write: impl Fn(&u8) -> String) -> String {
    bytes.iter().map(write).collect::<Vec<_>>().join(separator)
}

fn groups(bytes: &[u8], len: usize, separator: &str) -> String {
    bytes.chunks(len).map(|group| HEXLOWER.encode(group)).collect::<Vec<_>>().join(separator)
}

#[test]
fn hexadecimal_groups_are_found_with_other_separators() {
    assert_fragments("points", Encoding::WideIntegers, |key| groups(key, 2, "."));
    assert_fragments("underscores", Encoding::WideIntegers, |key| groups(key, 4, "_"));
    assert_fragments("bars", Encoding::WideIntegers, |key| groups(key, 8, " | "));
    assert_fragments("slashes", Encoding::WideIntegers, |key| groups(key, 4, "/"));
    assert_fragments("semicolons", Encoding::WideIntegers, |key| groups(key, 2, "; "));
}

/// The control: groups of several lengths are none.
#[test]
fn hexadecimal_groups_of_several_lengths_are_not_joined() {
    let key = random(1, 32);
    let text = key.chunks(4).enumerate().map(|(n, group)| groups(group, if n % 2 == 0 { 4 } else { 2 }, "_"));
    let text = text.collect::<Vec<_>>().join("_");
    assert!(search(text.as_bytes(), &index_of(&[&key])).hits.is_empty());
}

#[test]
fn numbers_beside_characters_are_found() {
    // As gdb prints an array of `unsigned char`.
    assert_fragments("gdb", Encoding::Integers, |key| {
        let escape = |byte: &u8| match byte {
            b'\'' => "39 '\\''".to_owned(),
            b' '..=b'~' => format!("{byte} '{}'", char::from(*byte)),
            b'\n' => "10 '\\n'".to_owned(),
            _ => format!("{byte} '\\{byte:03o}'"),
        };
        format!("{{{}}}", list(key, ", ", escape))
    });
}

#[test]
fn numbers_with_an_exponent_are_found() {
    assert_fragments("%e", Encoding::Integers, |key| {
        list(key, " ", |byte| {
            let exponent = if *byte >= 100 { 2 } else { usize::from(*byte >= 10) };
            format!("{:.6}e+{exponent:02}", f64::from(*byte) / 10f64.powi(exponent as i32))
        })
    });
    assert_fragments("%E", Encoding::Integers, |key| {
        list(key, ",\n", |byte| {
            let signed = *byte as i8;
            let exponent = i32::from(signed.unsigned_abs() >= 10) + i32::from(signed.unsigned_abs() >= 100);
            format!("{:.8}E+{exponent:03}", f64::from(signed) / 10f64.powi(exponent))
        })
    });
}

#[test]
fn bytes_as_surrogates_are_found() {
    assert_fragments("surrogates", Encoding::Escapes, |key| {
        key.iter()
            .map(|byte| if *byte < 0x80 { format!("\\x{byte:02x}") } else { format!("\\udc{byte:02x}") })
            .collect()
    });
}

#[test]
fn escapes_of_css_are_found() {
    assert_fragments("six digits", Encoding::Escapes, |key| list(key, "", |byte| format!("\\{byte:06x}")));
    assert_fragments("a space", Encoding::Escapes, |key| list(key, "", |byte| format!("\\{byte:x} ")));
}

#[test]
fn one_string_of_bits_is_found() {
    assert_fragments("bits", Encoding::Integers, |key| list(key, "", |byte| format!("{byte:08b}")));
    assert_fragments("after bits", Encoding::Integers, |key| {
        format!("\n101{}\nend", list(key, "", |byte| format!("{byte:08b}")))
    });
}

/// A column of `od -c`.
fn cell(byte: &u8) -> String {
    match byte {
        0 => "  \\0".to_owned(),
        7..=13 => format!("  \\{}", char::from(b"abtnvfr"[usize::from(byte - 7)])),
        b' '..=b'~' => format!("   {}", char::from(*byte)),
        _ => format!(" {byte:03o}"),
    }
}

#[test]
fn columns_of_characters_are_found() {
    assert_fragments("od -c", Encoding::Dump, |key| {
        let bytes = [b"before \\ ", key].concat();
        let line = |(number, line): (usize, &[u8])| format!("\n{:07o}{}", number * 16, list(line, "", cell));
        bytes.chunks(16).enumerate().map(line).collect()
    });
    assert_fragments("hexdump -c", Encoding::Dump, |key| {
        let line = |(number, line): (usize, &[u8])| format!("\n{:07x}{}  ", number * 16, list(line, "", cell));
        key.chunks(16).enumerate().map(line).collect()
    });
}

/// The whole number of a key, the highest byte first.
fn decimal(key: &[u8]) -> String {
    let mut digits = vec![0u8];
    for &byte in key {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            (*digit, carry) = ((carry % 10) as u8, carry / 10);
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

#[test]
fn whole_numbers_with_separators_or_a_sign_are_found() {
    assert_eq!(decimal(&[1, 0, 1]), "65537");
    for seed in 0..40 {
        let key = [&[0x95][..], &random(seed, 31)].concat();
        let index = index_of(&[&key]);
        let is_found = |text: &str| {
            let is_it = |hit: &leakscan::Hit| hit.whole && hit.encoding[0] == Encoding::Decimal;
            search(format!("n = {text}\n").as_bytes(), &index).hits.iter().any(is_it)
        };
        let digits = decimal(&key);
        let grouped = |separator: &str| {
            let first = digits.len() % 3;
            let mut groups = vec![&digits[..first]];
            groups.extend(digits.as_bytes()[first..].chunks(3).map(|group| std::str::from_utf8(group).unwrap()));
            groups.retain(|group| !group.is_empty());
            groups.join(separator)
        };
        for separator in [",", ".", "_", "'", " "] {
            assert!(is_found(&grouped(separator)), "{seed} {}", grouped(separator));
        }
        // The key as a negative number.
        let mut negated = key.clone();
        let mut carry = true;
        for byte in negated.iter_mut().rev() {
            *byte = if carry { byte.wrapping_neg() } else { !*byte };
            carry = carry && *byte == 0;
        }
        assert!(is_found(&format!("-{}", decimal(&negated))), "{seed}");
        // Controls: without the sign, and with two separators.
        assert!(!is_found(&decimal(&negated)), "{seed}");
        assert!(!is_found(&grouped(",").replacen(',', "_", 9)), "{seed}");
    }
}

#[test]
fn uuids_in_the_byte_order_of_windows_are_found() {
    for seed in 0..KEYS {
        let key = random(seed, 32);
        let guid = |bytes: &[u8]| {
            let little = |bytes: &[u8]| HEXLOWER.encode(&bytes.iter().rev().copied().collect::<Vec<_>>());
            let [one, two, three] = [0..4, 4..6, 6..8].map(|range| little(&bytes[range]));
            format!("{one}-{two}-{three}-{}-{}", HEXLOWER.encode(&bytes[8..10]), HEXLOWER.encode(&bytes[10..]))
        };
        for (before, between, after) in [("\"id\": \"", "\", \"", "\""), ("{", "}\n{", "}"), ("Id=", " Key=", "\n")] {
            let text = [before, &guid(&key[..16]), between, &guid(&key[16..]), after].concat();
            let hits = search(text.as_bytes(), &index_of(&[&key])).hits;
            assert!(hits.iter().any(|hit| hit.whole), "{text}: {hits:?}");
            // The control: with another separator, they are none.
            let hits = search(text.replace('-', "+").as_bytes(), &index_of(&[&key])).hits;
            assert!(hits.is_empty(), "{hits:?}");
        }
    }
}

/// The fragments of a key are found with anything that is not ASCII between its numbers.
#[test]
fn numbers_between_characters_of_any_script_are_found() {
    let words = |key: &[u8], before: &str, after: &str| -> String {
        let word = |word: &[u8; 4]| format!("{before}{:010}{after}", u32::from_le_bytes(*word));
        key.as_chunks().0.iter().map(word).collect()
    };
    let wide: [(&str, &str); 4] = [("│ ", " │\n"), ("", "，"), ("", "\u{a0}"), ("• ", "\n")];
    for seed in 0..KEYS {
        let key = random(3_100 + seed, 64);
        let index = index_of(&[&key]);
        for (before, after) in wide {
            let text = format!("…\n{}…", words(&key, before, after));
            assert!(search(text.as_bytes(), &index).hits.iter().any(|hit| hit.whole), "{text}");
        }
        let hex: String = key.chunks(8).map(|line| format!("• {}\n", HEXLOWER.encode(line))).collect();
        assert!(search(hex.as_bytes(), &index).hits.iter().any(|hit| hit.whole), "{hex}");
    }
}

#[test]
fn few_binary_and_octal_words_of_a_fragment_are_found() {
    for seed in 0..KEYS {
        let key = random(3_200 + seed, FRAGMENT);
        let index = index_of(&[&key]);
        let halves = key.as_chunks().0.iter().map(|half| u16::from_le_bytes(*half));
        let words = key.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        let quarters = key.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
        for text in [
            halves.map(|half| format!("{half:#018b}, ")).collect::<String>(),
            words.clone().map(|word| format!("{word:#066b}, ")).collect(),
            quarters.map(|word| format!("{word:#o}, ")).collect(),
            words.map(|word| format!("{word:#o}, ")).collect(),
        ] {
            assert!(search(text.as_bytes(), &index).hits.iter().any(|hit| hit.whole), "{text}");
        }
    }
}

/// Integers of which one has half of its bits.
#[test]
fn a_short_integer_beside_a_long_one_is_read() {
    for (one, next) in [(0x1122_3344_5566u64, 0x7788_99aa_bbccu64), (0x1122_3344_5566_7788, 0x00de_af05)] {
        let key = [one.to_le_bytes(), next.to_le_bytes()].concat();
        for text in [format!("{one}, {next}"), format!("{one:#x}, {next:#x}")] {
            assert!(search(text.as_bytes(), &index_of(&[&key])).hits.iter().any(|hit| hit.whole), "{text}");
        }
    }
}

/// Base64 in the alphabets of crypt(3) and bcrypt.
#[test]
fn base64_in_the_alphabets_of_crypt_is_found() {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (bcrypt, crypt) = (format!("./{letters}0123456789"), format!("./0123456789{letters}"));
    let mut with_points = 0;
    for (alphabet, is_little) in [(&bcrypt, false), (&crypt, false), (&crypt, true)] {
        let mut specification = data_encoding::Specification::new();
        specification.symbols.push_str(alphabet);
        if is_little {
            specification.bit_order = data_encoding::BitOrder::LeastSignificantFirst;
        }
        let encoding = specification.encoding().unwrap();
        for seed in 0..60 {
            let key = random(seed, 33);
            let index = index_of(&[&key[..32]]);
            let text = encoding.encode(&key);
            let marked = format!("user:$2b$10${text}:1001\n");
            let plain = format!("key={text}\n");
            let is_it = |hit: &leakscan::Hit| hit.whole && hit.encoding[0] == Encoding::Base64;
            assert!(search(marked.as_bytes(), &index).hits.iter().any(is_it), "{marked}");
            // The control: without a point and a dollar sign, it is not read.
            let hits = search(plain.as_bytes(), &index).hits;
            let has_point = text[1..text.len() - 1].contains('.');
            assert!(has_point || text.contains('.') || hits.is_empty(), "{plain} {hits:?}");
            if has_point {
                with_points += 1;
                assert!(hits.iter().any(is_it), "{plain}");
            }
        }
    }
    assert!(with_points > 30);
}

#[test]
fn lines_of_xxencode_are_found() {
    let xx = data_encoding::Specification {
        symbols: "+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".to_owned(),
        ..data_encoding::Specification::new()
    };
    let xx = xx.encoding().unwrap();
    let symbol = |count: usize| char::from(xx.specification().symbols.as_bytes()[count]);
    let lines = |bytes: &[u8], width: usize| {
        let line = |chunk: &[u8]| {
            let padded = [chunk, &vec![0; (3 - chunk.len() % 3) % 3]].concat();
            format!("{}{}\n", symbol(chunk.len()), xx.encode(&padded))
        };
        format!("begin 644 key.bin\n{}+\nend\n", bytes.chunks(width).map(line).collect::<String>())
    };
    for seed in 0..KEYS {
        let key = random(seed, 32);
        for before in [0, 1, 20, 44] {
            let evidence = lines(&[&random(99, before)[..], &key, &random(98, 30)].concat(), 45);
            for (from, len) in [(0, 32), (5, 16), (16, 16), (5, 15)] {
                let needle = [&key[from..from + len], &random(999, FRAGMENT)[len.min(FRAGMENT)..]].concat();
                let hits = search(evidence.as_bytes(), &index_of(&[&needle])).hits;
                let is_it = |hit: &leakscan::Hit| hit.whole && hit.encoding[0] == Encoding::Uuencode;
                assert_eq!(hits.iter().any(is_it), len >= FRAGMENT, "{seed} {from} {len} {evidence}");
            }
        }
        // The control: a line that is a symbol shorter than it says.
        let cut = lines(&key, 45).replacen('U', "", 1);
        assert!(
            !search(cut.as_bytes(), &index_of(&[&key])).hits.iter().any(|hit| hit.encoding[0] == Encoding::Uuencode)
        );
    }
}
