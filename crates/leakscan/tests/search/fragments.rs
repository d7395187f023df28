// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each fragment of exactly sixteen bytes of a secret, in every encoding and at every place. The control of the
//! look-ups themselves, with a stride that is one too long, is beside them (src/index/probe.rs).

use super::encode::{WAYS, Way, base64};
use super::{BLOCK, OTHER, index_of, random, search};
use leakscan::{Encoding, FRAGMENT, Hit, Index};

const SECRET: usize = 32;

fn is_found(way: &Way, index: &Index, from: usize, evidence: &[u8]) -> bool {
    let range = from..from + FRAGMENT;
    search(evidence, index).hits.iter().any(|hit| hit.encoding == way.chain && hit.range == range)
}

/// A secret without [`OTHER`], so that each fragment ends where it was cut.
fn secret() -> Vec<u8> {
    random(40, SECRET).iter().map(|&byte| if byte == OTHER { 0 } else { byte }).collect()
}

#[test]
fn each_fragment_is_found_at_each_alignment_in_every_encoding() {
    let secret = secret();
    let index = index_of(&[&secret]);
    for way in WAYS {
        for from in 0..=SECRET - FRAGMENT {
            let text = (way.encode)(&secret[from..from + FRAGMENT]);
            for alignment in 0..64 {
                let evidence = [&vec![OTHER; alignment][..], &text, &[OTHER; 70]].concat();
                assert!(is_found(way, &index, from, &evidence), "{} {from} at {alignment}", way.name);
            }
            // The control: one byte less is no fragment, at any alignment. In a stored block, the bytes after them may
            // continue the secret by chance.
            let less = (way.encode)(&secret[from..from + FRAGMENT - 1]);
            for alignment in 0..11 {
                let evidence = [&vec![OTHER; alignment][..], &less, &[OTHER; 70]].concat();
                let hits = search(&evidence, &index).hits;
                assert!(hits.iter().all(|hit| hit.encoding != way.chain), "{} {from} at {alignment}", way.name);
            }
        }
    }
}

#[test]
fn each_fragment_is_found_first_last_and_alone() {
    let secret = secret();
    let index = index_of(&[&secret]);
    for way in WAYS {
        for from in 0..=SECRET - FRAGMENT {
            let text = (way.encode)(&secret[from..from + FRAGMENT]);
            assert!(is_found(way, &index, from, &text), "{} {from} alone", way.name);
            for many in 1..24 {
                let others = vec![OTHER; many];
                assert!(is_found(way, &index, from, &[&text[..], &others].concat()), "{} {from} first", way.name);
                assert!(is_found(way, &index, from, &[&others[..], &text].concat()), "{} {from} last", way.name);
            }
        }
    }
}

#[test]
fn each_fragment_is_found_across_the_border_of_two_blocks() {
    let secret = secret();
    let index = index_of(&[&secret]);
    let mut evidence = vec![0; BLOCK + 2048];
    for (number, way) in WAYS.iter().enumerate() {
        for from in 0..=SECRET - FRAGMENT {
            let text = (way.encode)(&secret[from..from + FRAGMENT]);
            // Another place for each fragment and each encoding.
            let at = BLOCK - 1 - (from * 7 + number) % text.len();
            evidence[at - 1..].fill(OTHER);
            evidence[at..at + text.len()].copy_from_slice(&text);
            assert!(is_found(way, &index, from, &evidence), "{} {from} at {at}", way.name);
            evidence[at - 1..].fill(0);
        }
    }
}

#[test]
fn bytes_across_two_runs_are_no_hit_and_in_one_run_are() {
    let (one, other) = (random(41, 24), random(42, 24));
    // Runs are searched one after the other, with a byte between them: the first run from its fourth symbol on is
    // followed by the whole second run.
    let evidence = [b"AAA", &base64(&one, false, false, 0)[..], b".", &base64(&other, false, false, 0)].concat();
    let across = |from: usize, to: usize| [&one[from..], &[OTHER], &other[..to]].concat();
    let (neither, first, second) = (across(9, 15), across(8, 15), across(9, 16));
    assert!(search(&evidence, &index_of(&[&neither])).hits.is_empty());
    // The controls: sixteen bytes of the first run, of the second; and the bytes across both, as they are.
    for (secret, range) in [(first, 0..16), (second, 16..32)] {
        let hits = search(&evidence, &index_of(&[&secret])).hits;
        assert!(
            hits.iter().any(|hit| hit.range == range && hit.encoding == [Encoding::Base64, Encoding::Raw]),
            "{hits:?}"
        );
        assert!(hits.iter().all(|hit| hit.range == range), "{hits:?}");
    }
    assert_eq!(search(&neither, &index_of(&[&neither])).hits.len(), 1);
}

/// Random bytes that begin no escape and no stream, and are in no text.
fn plain(seed: u64, len: usize) -> Vec<u8> {
    random(seed, len).iter().map(|byte| byte | 0xC8).collect()
}

#[test]
fn a_fragment_around_a_symbol_is_found_at_every_distance_from_another() {
    let letters = |seed| random(seed, 600).iter().map(|byte| b'a' + byte % 26).collect::<Vec<_>>();
    // Bytes that are as they are, the symbol before them, the symbol in the fragment and its byte, and an invalid
    // symbol.
    let escapes = (plain(43, 600), plain(44, 600), &b"\\t"[..], &b"\\n"[..], b'\n', &b"\\y"[..], Encoding::Escapes);
    let latin1 =
        (letters(43), letters(44), &b"\xC2\xA1"[..], &b"\xC3\xA9"[..], 0xE9, &b"\xC4\xA9"[..], Encoding::Latin1);
    for (between, after, first, symbol, byte, invalid, encoding) in [escapes, latin1] {
        for gap in 16..between.len() {
            let between = &between[..gap];
            let secret = [&between[gap - 8..], &[byte], &after[..7]].concat();
            let index = index_of(&[&secret]);
            let is_found = |symbol: &[u8]| {
                let evidence = [&after[..], first, between, symbol, &after].concat();
                let at = (after.len() + first.len() + gap - 8) as u64;
                let is_it = |hit: &Hit| hit.whole && hit.encoding == [encoding, Encoding::Raw] && hit.offset == at;
                search(&evidence, &index).hits.iter().any(is_it)
            };
            assert!(is_found(symbol), "{encoding:?}, {gap}");
            assert!(!is_found(invalid), "{encoding:?}, {gap}");
        }
    }
}

#[test]
fn bytes_across_two_escaped_runs_are_no_hit_and_in_one_run_are() {
    // Bytes that are decoded with an escape: src/text/escaped.rs.
    const CONTEXT: usize = 176;
    let (one, other) = (plain(46, 900), plain(47, 400));
    let evidence = [&one[..300], b"\\n", &one[300..], b"\\n", &other].concat();
    // The runs are searched one after the other, with a byte between them: the end of the first is followed by the
    // beginning of the second.
    let across = [&one[300 + CONTEXT - 8..300 + CONTEXT], &[OTHER], &one[900 - CONTEXT..900 - CONTEXT + 8]].concat();
    assert!(search(&evidence, &index_of(&[&across])).hits.is_empty());
    // The controls: within the first run, within the second; and the bytes across both, as they are.
    let first = [&one[290..300], b"\n", &one[300..310]].concat();
    let second = [&one[890..900], b"\n", &other[..10]].concat();
    for secret in [first, second] {
        let hits = search(&evidence, &index_of(&[&secret])).hits;
        assert!(hits.len() == 1 && hits[0].whole && hits[0].encoding == [Encoding::Escapes, Encoding::Raw], "{hits:?}");
    }
    assert_eq!(search(&across, &index_of(&[&across])).hits.len(), 1);
}

/// Bytes of sixteen bits each, with any value.
const WIDE: Way = Way {
    name: "wide",
    chain: &[Encoding::Utf16Le, Encoding::Raw],
    encode: |bytes| bytes.iter().flat_map(|&byte| [byte, 0]).collect(),
    lead: 0,
};

/// An encoded secret with one byte escaped, among bytes that are in no text: the escape looks like a random match.
#[test]
fn an_encoded_fragment_with_one_byte_escaped_is_found() {
    let mut checked = 0;
    for number in 0..6 {
        let secret = random(50 + number, FRAGMENT);
        let index = index_of(&[&secret]);
        // Another escape to the left, or none nearby.
        let left =
            if number % 2 == 0 { [OTHER; 40].to_vec() } else { [&[OTHER; 20][..], b"\\x41", &[OTHER; 40]].concat() };
        for way in WAYS.iter().chain([&WIDE]) {
            let text = (way.encode)(&secret);
            // Escaped text is left out: no program escapes one byte of it and not its backslashes. Around an escape,
            // 176 bytes are decoded.
            for at in (0..text.len()).filter(|_| !text.contains(&b'\\') && text.len() <= 170) {
                let escape = format!("\\x{:02x}", text[at]).into_bytes();
                let evidence = [&left, &text[..at], &escape, &text[at + 1..], &[OTHER; 200]].concat();
                // If the escaped byte is a bracket or padding, the secret is found without decoding the escape.
                let hits = search(&evidence, &index).hits;
                let is_deep = |hit: &Hit| hit.encoding[0] == Encoding::Escapes && hit.encoding[1..] == *way.chain;
                let is_found = |hit: &&Hit| hit.whole && (hit.encoding == way.chain || is_deep(hit));
                assert!(hits.iter().any(|hit| is_found(&hit)), "{}: {at} of {}: {hits:?}", way.name, text.len());
                checked += usize::from(hits.iter().any(is_deep));
            }
        }
        // Escaped twice; after a backslash it may be read as escaped once.
        for at in 0..secret.len() {
            let escape = format!("\\\\x{:02x}", secret[at]).into_bytes();
            let evidence = [&[OTHER; 40], &secret[..at], &escape, &secret[at + 1..], &[OTHER; 200]].concat();
            let hits = search(&evidence, &index).hits;
            let is_found = |hit: &Hit| hit.whole && hit.encoding.starts_with(&[Encoding::Escapes]);
            assert!(hits.iter().any(is_found), "{at}: {hits:?}");
        }
    }
    assert!(checked > 5_000, "{checked}");
}

/// In a batch of equal bytes, only both ends are looked up, and a fragment may begin there.
#[test]
fn a_fragment_after_a_run_of_its_first_byte_is_found_at_every_place() {
    let secret = [&[0; 12][..], &[1, 2, 3, 4], &random(41, 16)].concat();
    let index = index_of(&[&secret]);
    for at in 300..1_100 {
        let evidence = [&vec![0; at][..], &[1, 2, 3, 4], &[0xFF; 500]].concat();
        let hits = search(&evidence, &index).hits;
        assert!(hits.iter().any(|hit| hit.range == (0..16)), "{at}: {hits:?}");
        let evidence = [&vec![0; at][..], &[1, 2, 3], &[0xFF; 500]].concat();
        assert!(search(&evidence, &index).hits.is_empty(), "the control, at {at}");
    }
}
