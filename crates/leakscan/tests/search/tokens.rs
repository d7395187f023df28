// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tokens: short texts between characters that are no letters or digits.

use super::{BLOCK, index_of, random};
use leakscan::{Encoding, Evidence, Findings, HITS_PER_VALUE, MAX_TOKEN};
use std::io::Write;

fn search(bytes: &[u8], tokens: &[&str]) -> Findings {
    let tokens = (0..).zip(tokens).map(|(id, token)| (id, token.as_bytes().to_vec())).collect();
    let evidence = Evidence::new().bytes("bytes", bytes).with_tokens(tokens);
    evidence.search(&index_of(&[&random(1, 32)]), |_, _| {}).unwrap()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn tokens_are_found_whole_and_not_within_a_word() {
    for (token, found, missed) in [
        (
            "4711",
            &["4711", "pin=4711&", "\"4711\"", "-4711-", "\u{e9}4711\u{e9}"][..],
            &["14711", "47110", "a4711", "4711b", "471 1"][..],
        ),
        ("ha ha ha", &["(ha ha ha)", "\nha ha ha\n"], &["aha ha ha", "ha ha hat", "ha ha"]),
        ("über", &["über", "«»,über."], &["Düber", "éüber", "übera"]),
        ("Zoë\u{301}", &["=Zoë\u{301};"], &["Zoë\u{301}é"]),
    ] {
        for text in found {
            let findings = search(text.as_bytes(), &[token]);
            assert_eq!(findings.tokens.len(), 1, "{token} in {text}");
            let at = text.find(token).unwrap();
            let hit = &findings.tokens[0];
            assert_eq!((hit.offset, hit.end), (at as u64, (at + token.len()) as u64), "{token} in {text}");
            assert_eq!((hit.range.clone(), hit.whole), (0..token.len(), true));
        }
        for text in missed {
            assert!(search(text.as_bytes(), &[token]).tokens.is_empty(), "{token} in {text}");
        }
    }
}

#[test]
fn tokens_are_found_in_other_forms_and_within_compression() {
    for (way, text, decoy) in [
        ("UTF-16LE", utf16("x: PIN 4711, y", u16::to_le_bytes), utf16("x: PIN 47112, y", u16::to_le_bytes)),
        ("UTF-16BE", utf16("PIN 4711", u16::to_be_bytes), utf16("SPIN 4711", u16::to_be_bytes)),
        (
            "escapes",
            b"{\"text\": \"he said:\\nPIN 4711\\n\"}".to_vec(),
            b"{\"text\": \"he said: SPIN 4711\\n\"}".to_vec(),
        ),
        (
            "escaped letters",
            b"\"a longer text \\u0050IN 4711 \"".to_vec(),
            b"\"a longer text \\u0053IN 4711 \"".to_vec(),
        ),
        ("percent", b"text=he%20said%3A%20PIN%204711&x=1".to_vec(), b"text=he%20said%3A%20PIN%2047113&x=1".to_vec()),
        ("gzip", gzip(b"a log with the PIN 4711\n"), gzip(b"a log with the PIN 47114\n")),
        (
            "percent in gzip",
            gzip(b"a log: text=he%20said%3A%20PIN%204711"),
            gzip(b"a log: text=he%20said%3A%20PIN%2047114"),
        ),
    ] {
        let findings = search(&text, &["PIN 4711"]);
        assert_eq!(findings.tokens.len(), 1, "{way}: {:?}", findings.tokens);
        assert!(search(&decoy, &["PIN 4711"]).tokens.is_empty(), "{way}");
    }
}

/// Too short for the decoder of escapes.
#[test]
fn tokens_are_found_as_json_writes_them() {
    for (token, written, decoy) in [
        ("für\n\"Zoë\"", r#"{"a":"f\u00fcr\n\"Zo\u00eb\""}"#, r#"{"a":"f\u00fcr\n\"Zo\u00ea\""}"#),
        ("für\n\"Zoë\"", r#"{"a":"für\n\"Zoë\""}"#, r#"{"a":"für\t\"Zoë\""}"#),
        ("ok 👍", r#"["ok \ud83d\udc4d"]"#, r#"["nok \ud83d\udc4d"]"#),
    ] {
        let findings = search(written.as_bytes(), &[token]);
        assert_eq!(findings.tokens.len(), 1, "{token}: {:?}", findings.tokens);
        assert_eq!(findings.tokens[0].encoding, [Encoding::Escapes, Encoding::Raw]);
        assert!(search(decoy.as_bytes(), &[token]).tokens.is_empty(), "{token}");
    }
}

#[test]
fn tokens_at_the_ends_of_blocks_are_found_once_and_whole() {
    let mut evidence = vec![b'.'; BLOCK + BLOCK / 2];
    let overlap = BLOCK - 4096;
    for at in (overlap - 10..overlap + 10).chain(BLOCK - 24..BLOCK + 10) {
        evidence[at..at + 4].copy_from_slice(b"4711");
        assert_eq!(search(&evidence, &["4711"]).tokens.len(), 1, "{at}");
        for neighbour in [at - 1, at + 4] {
            evidence[neighbour] = b'0';
            assert!(search(&evidence, &["4711"]).tokens.is_empty(), "{at}");
            evidence[neighbour] = b'.';
        }
        evidence[at..at + 4].fill(b'.');
    }
}

#[test]
fn many_places_are_listed_up_to_a_limit_and_long_tokens_are_refused() {
    assert_eq!(search(&b"4711 ".repeat(1000), &["4711", "0815"]).tokens.len(), HITS_PER_VALUE);
    // Some that begin alike, of which one is a part of another.
    let alike = search(b"PIN 4711, PIN 0815 x", &["PIN 4711", "PIN 0815", "PIN 0815 x", "PIN ", "PIN 08"]);
    assert_eq!(alike.tokens.iter().map(|hit| hit.id).collect::<Vec<_>>(), [0, 1, 2]);
    let long = "a ".repeat(MAX_TOKEN / 2);
    assert_eq!(search(long.as_bytes(), &[&long]).tokens.len(), 1);
    let too_long = format!("{long}b");
    assert!(search(too_long.as_bytes(), &[&too_long, "a b"]).tokens.is_empty());
}

#[test]
fn the_baseline_has_the_tokens_that_occur_in_it() {
    let tokens = vec![(3, b"4711".to_vec()), (4, b"0815".to_vec())];
    let evidence = Evidence::new().bytes("image", b"port 4711, 108150").with_tokens(tokens);
    let (coverage, _, failed) = evidence.cover(&index_of(&[&random(1, 32)]), &mut |_| {}, |_, _| {});
    assert!(failed.is_empty());
    assert_eq!((coverage.has_token(3), coverage.has_token(4)), (true, false));
}

/// Runs of escapes are decoded with bytes before and after them, and may begin and end in the middle of a number.
#[test]
fn a_number_that_a_decoded_run_cuts_is_no_token() {
    for distance in 0..400 {
        let filler = ".".repeat(distance);
        for text in [format!("no 98764711 {filler}\\n end"), format!("an \\n{filler} 47119876 end")] {
            assert!(search(text.as_bytes(), &["4711"]).tokens.is_empty(), "{text}");
        }
        // Controls: after an escape that is a letter in the evidence, and alone.
        for text in [format!("there is no \\n4711 {filler}\\n end"), format!("an \\n{filler} 4711 end")] {
            assert!(!search(text.as_bytes(), &["4711"]).tokens.is_empty(), "{text}");
        }
    }
}
