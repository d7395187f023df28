// SPDX-License-Identifier: MIT OR Apache-2.0
//! Letters and digits in other alphabets than Base64's. Of numbers only whole ones are found, whatever they contain
//! besides the value; of base32 every fragment.

use super::{OTHER, index_of, random, search};
use data_encoding::Specification;
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Index};

/// Keys of each test.
const KEYS: u64 = 100;
/// What stands before and after an encoded value.
const AROUND: [(&str, &str); 12] = [
    ("", ""),
    (" ", " "),
    ("key=", "\n"),
    ("\"key\":\"", "\","),
    ("'", "'"),
    ("[", "]"),
    ("(", ")"),
    ("/api/keys/", "/messages"),
    ("a,", ",b"),
    ("sk_live_", "; path=/"),
    ("a: ", "\r\nnext: line"),
    ("\\n", "\\nnext"),
];

/// Whether the value is found whole, and without the decoder is not.
#[track_caller]
fn assert_found(evidence: &[u8], index: &Index, encoding: Encoding, offset: Option<usize>) {
    let findings = search(evidence, index);
    let is_it = |hit: &&leakscan::Hit| hit.whole && hit.encoding[0] == encoding;
    let hit = findings.hits.iter().find(is_it);
    let text = String::from_utf8_lossy(evidence);
    let hit = hit.unwrap_or_else(|| panic!("{encoding} in {text:?}: {:?}", findings.hits));
    assert!(offset.is_none_or(|offset| hit.offset == offset as u64), "{text:?}: {hit:?}");
    assert_eq!(findings.statistics.omitted, 0);
    let blind = Evidence::new().with_encodings(Encodings::ALL.without(encoding)).bytes("bytes", evidence);
    let blind = blind.search(index, |_, _| {}).unwrap();
    assert!(!blind.hits.iter().any(|hit| is_it(&hit)), "{encoding} without its decoder");
}

/// The digits of a number whose highest byte is the first, with a zero for each zero byte at the beginning if
/// `zeros`.
fn number(bytes: &[u8], alphabet: &str, zeros: bool) -> String {
    let base = alphabet.len();
    let mut digits: Vec<usize> = Vec::new();
    for &byte in bytes {
        let mut carry = usize::from(byte);
        for digit in &mut digits {
            carry += *digit << 8;
            (*digit, carry) = (carry % base, carry / base);
        }
        while carry > 0 {
            digits.push(carry % base);
            carry /= base;
        }
    }
    let leading = if zeros { bytes.iter().take_while(|&&byte| byte == 0).count() } else { 0 };
    digits.extend(vec![0; leading]);
    digits.iter().rev().map(|&digit| char::from(alphabet.as_bytes()[digit])).collect()
}

const BITCOIN: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const NUMBERS: [(Encoding, &str); 9] = [
    (Encoding::Base58, BITCOIN),
    (Encoding::Base58, "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"),
    (Encoding::Base58, "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"),
    (Encoding::Base62, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    (Encoding::Base62, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    (Encoding::Base62, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
    (Encoding::Base36, "0123456789abcdefghijklmnopqrstuvwxyz"),
    (Encoding::Base36, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    (Encoding::Decimal, "0123456789"),
];

#[test]
fn whole_numbers_are_found_between_all_delimiters() {
    for (encoding, alphabet) in NUMBERS {
        for key in 0..KEYS {
            let secret = random(key, 32);
            let index = index_of(&[&secret]);
            let text = number(&secret, alphabet, encoding == Encoding::Base58);
            let (before, after) = AROUND[key as usize % AROUND.len()];
            let evidence = [before, &text, after].concat();
            assert_found(evidence.as_bytes(), &index, encoding, Some(before.len()));
        }
    }
}

#[test]
fn numbers_are_found_with_other_bytes_and_in_either_byte_order() {
    for (encoding, alphabet) in NUMBERS {
        for key in 0..KEYS {
            let secret = random(key, 32);
            let index = index_of(&[&secret]);
            // A version, and a checksum of four bytes, as Base58Check has.
            let (version, checksum) = (&[0x80][..], random(key + 1_000, 4));
            let reversed: Vec<u8> = secret.iter().rev().copied().collect();
            for bytes in [[version, &secret, &checksum].concat(), [version, &secret].concat(), reversed] {
                let text = format!("<{}>", number(&bytes, alphabet, false));
                assert_found(text.as_bytes(), &index, encoding, None);
            }
        }
    }
}

#[test]
fn numbers_of_all_lengths_are_found() {
    for (encoding, alphabet) in NUMBERS {
        for (key, len) in [16, 17, 24, 31, 33, 48, 64, 65, 128, 400, 1_184, 3_168, 4_000].into_iter().enumerate() {
            // The highest bit is set: of the other half, the shortest numbers are too short to be searched for.
            let secret: Vec<u8> = [&[0xA5], &random(key as u64, len - 1)[..]].concat();
            let text = number(&secret, alphabet, true);
            // Longer decimal numbers are not decoded.
            if text.len() <= 5_600 {
                assert_found(format!("\"{text}\"").as_bytes(), &index_of(&[&secret]), encoding, Some(1));
            }
        }
    }
}

#[test]
fn zeros_at_the_beginning_of_a_number_are_found() {
    for zeros in 0..=2 {
        for (encoding, alphabet) in NUMBERS {
            let secret = [&vec![0; zeros][..], &random(7, 30)].concat();
            for leading in [false, true] {
                let text = format!("\"{}\"", number(&secret, alphabet, leading));
                assert_found(text.as_bytes(), &index_of(&[&secret]), encoding, None);
            }
        }
    }
}

#[test]
fn letter_of_multibase_before_a_number_is_skipped() {
    for (letter, encoding, alphabet) in
        [("z", Encoding::Base58, 0), ("Z", Encoding::Base58, 1), ("k", Encoding::Base36, 6), ("K", Encoding::Base36, 7)]
    {
        for key in 0..KEYS {
            let secret = random(key, 32);
            let text = format!(" {letter}{}", number(&secret, NUMBERS[alphabet].1, true));
            assert_found(text.as_bytes(), &index_of(&[&secret]), encoding, Some(2));
        }
    }
}

#[test]
fn base58_in_blocks_is_found() {
    for key in 0..KEYS {
        let secret = random(key, 32);
        // The public address of Monero: network, two keys, checksum.
        for bytes in [secret.clone(), [&[18], &secret[..], &random(key + 500, 36)].concat()] {
            let blocks = bytes.chunks(8).map(|block| {
                let symbols = [0, 2, 3, 5, 6, 7, 9, 10, 11][block.len()];
                format!("{:1>symbols$}", number(block, BITCOIN, false))
            });
            let text = format!("\"{}\"", blocks.collect::<String>());
            assert_found(text.as_bytes(), &index_of(&[&secret]), Encoding::Base58, None);
        }
    }
}

/// What Python writes: `base64.b32encode`, `base64.b32hexencode`, and the digits of `int.from_bytes`.
#[test]
fn known_answers_are_found() {
    let secret: Vec<u8> = (0x81..0xA1).collect();
    let index = index_of(&[&secret]);
    for (text, encoding) in KNOWN {
        assert_found(format!("key: {text}\n").as_bytes(), &index, encoding, Some(5));
    }
}

const KNOWN: [(&str, Encoding); 9] = [
    ("9iZ2ANAer8bSZEax8g7CBX6yC2ZaQqCZ5JxtYQhk8MyR", Encoding::Base58),
    ("Ui4Bg76oZ3Y42pYb1dUYAACc3fbNGi4e2uiyVMKHREO", Encoding::Base62),
    ("uI4bG76Oz3y42PyB1DuyaacC3FBngI4E2UIYvmkhreo", Encoding::Base62),
    ("387ck5rsqw8kga2fzscfacu2r194g1ob8x29zxvi7ourgs0t5s", Encoding::Base36),
    ("58578955287208820679027929609316377035619675748726059125597795978843680317344", Encoding::Decimal),
    ("72652079181749534134352520067196585198086306872333246785787465896791199941249", Encoding::Decimal),
    ("QGBIHBEFQ2DYRCMKROGI3DUPSCIZFE4USWLJPGEZTKNZZHM6T6QA====", Encoding::Base32),
    ("qgbihbefq2dyrcmkrogi3dupscizfe4uswljpgeztknzzhm6t6qa", Encoding::Base32),
    ("G6187145GQ3OH2CAHE68R3KFI28P54SKIMB9F64PJADPP7CUJUG0====", Encoding::Base32),
];

const BASE32: [&str; 6] = [
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "0123456789ABCDEFGHIJKLMNOPQRSTUV",
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
    "YBNDRFG8EJKMCPQXOT1UWISZA345H769",
    "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "0123456789BCDEFGHJKMNPQRSTUVWXYZ",
];

fn base32(bytes: &[u8], alphabet: &str, padded: bool, width: usize) -> String {
    let mut specification = Specification::new();
    specification.symbols.push_str(alphabet);
    specification.padding = padded.then_some('=');
    if width > 0 {
        specification.wrap.width = width;
        specification.wrap.separator.push_str("\r\n");
    }
    specification.encoding().unwrap().encode(bytes)
}

#[test]
fn base32_is_found_between_all_delimiters_in_every_alphabet() {
    for alphabet in BASE32 {
        for key in 0..KEYS {
            let secret = random(key, 32);
            let index = index_of(&[&secret]);
            let (before, after) = AROUND[key as usize % AROUND.len()];
            let upper = base32(&secret, alphabet, key % 2 == 0, 0);
            for text in [&upper, &upper.to_lowercase()] {
                let evidence = [before, text, after].concat();
                assert_found(evidence.as_bytes(), &index, Encoding::Base32, Some(before.len()));
            }
            let lines = base32(&secret, alphabet, true, 8 + (key as usize % 5) * 8);
            assert_found(lines.as_bytes(), &index, Encoding::Base32, Some(0));
        }
    }
}

#[test]
fn fragments_in_base32_are_found_at_every_alignment() {
    let secret = random(3, 32);
    let index = index_of(&[&secret]);
    for alphabet in BASE32 {
        for from in 0..=secret.len() - FRAGMENT {
            for before in 0..8 {
                let inner = [&random(9, before)[..], &secret[from..from + FRAGMENT], &random(10, 7)].concat();
                // Letters of the alphabet before it shift the run by as many symbols.
                let letters = &alphabet[..before];
                let text = [&[OTHER], letters.as_bytes(), base32(&inner, alphabet, false, 0).as_bytes()].concat();
                let hits = search(&text, &index).hits;
                let is_it = |hit: &leakscan::Hit| {
                    hit.encoding[0] == Encoding::Base32
                        && hit.range.start <= from
                        && hit.range.end >= from + FRAGMENT
                        && hit.offset == (1 + letters.len() + before * 8 / 5) as u64
                };
                assert!(hits.iter().any(is_it), "{alphabet} {from} {before}: {hits:?}");
            }
        }
    }
}

/// Digits of one number: ULID, Crockford, Nix (whose first byte is the lowest).
#[test]
fn base32_that_is_one_number_is_found() {
    let nix = "0123456789abcdfghijklmnpqrsvwxyz";
    for key in 0..KEYS {
        for len in [16, 20, 32, 33] {
            let secret: Vec<u8> = [&[0xC3], &random(key, len - 1)[..]].concat();
            let reversed: Vec<u8> = secret.iter().rev().copied().collect();
            let index = index_of(&[&secret]);
            for text in [number(&secret, BASE32[2], false), number(&reversed, nix, false)] {
                let zeros = "0".repeat((len * 8).div_ceil(5) - text.len());
                assert_found(format!("\"{zeros}{text}\"").as_bytes(), &index, Encoding::Base32, None);
            }
        }
    }
}

#[test]
fn names_and_base64_are_read_as_few_numbers() {
    let index = index_of(&[&random(1, 32)]);
    let words = "getElementsByClassName internationalizationOfText AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA \
                 d41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204e9800998ecf8427e CONSTANTWITHALONGNAMEINCAPITALS ";
    let decoded = |text: &str| search(text.as_bytes(), &index).statistics.decoded;
    let without = |text: &str| {
        let encodings = [Encoding::Base36, Encoding::Base58, Encoding::Base62, Encoding::Decimal];
        let encodings = encodings.into_iter().fold(Encodings::ALL, Encodings::without);
        let evidence = Evidence::new().with_encodings(encodings).bytes("bytes", text.as_bytes());
        evidence.search(&index, |_, _| {}).unwrap().statistics.decoded
    };
    assert_eq!(decoded(words), without(words));
    let base64 = data_encoding::BASE64.encode(&random(2, 60_000));
    assert!(decoded(&base64) - without(&base64) < base64.len() as u64 / 50);
    // The control: a token that is a number.
    let token = number(&random(3, 32), BITCOIN, true);
    assert!(decoded(&token) > without(&token) + 100);
}
