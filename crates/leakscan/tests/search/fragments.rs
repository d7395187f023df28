// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fragments of exactly sixteen bytes, each of a secret's, in every encoding and at every place. The control of the look-ups
//! themselves, one window too far apart, is beside them (src/probe.rs).

use super::encode::{WAYS, Way, base64};
use super::{BLOCK, index_of, random, search};
use leakscan::{Encoding, FRAGMENT, Hit, Index};

const SECRET: usize = 32;

/// A byte that is in no text, and that no fragment has next to it.
const OTHER: u8 = 0xFE;

fn is_found(way: &Way, index: &Index, from: usize, evidence: &[u8]) -> bool {
    let range = from..from + FRAGMENT;
    search(evidence, index).hits.iter().any(|hit| hit.encoding == way.chain && hit.range == range)
}

/// A secret without [`OTHER`], whose fragments are told apart by their ends.
fn secret() -> Vec<u8> {
    random(40, SECRET).iter().map(|&byte| if byte == OTHER { 0 } else { byte }).collect()
}

#[test]
fn each_fragment_is_found_at_each_alignment_in_every_encoding_and_its_neighbour_alone_is_not() {
    let secret = secret();
    let index = index_of(&[&secret]);
    for way in WAYS {
        for from in 0..=SECRET - FRAGMENT {
            let text = (way.encode)(&secret[from..from + FRAGMENT]);
            for alignment in 0..64 {
                let evidence = [&vec![OTHER; alignment][..], &text, &[OTHER; 70]].concat();
                assert!(is_found(way, &index, from, &evidence), "{} {from} at {alignment}", way.name);
            }
            // The control: one byte less is no fragment, at no alignment. Where bytes are stored as they are, what follows
            // them may by chance go on like the secret.
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
fn each_fragment_is_found_at_the_start_the_end_and_alone() {
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
            // A place for each fragment, another for each encoding.
            let at = BLOCK - 1 - (from * 7 + number) % text.len();
            evidence[at - 1..].fill(OTHER);
            evidence[at..at + text.len()].copy_from_slice(&text);
            assert!(is_found(way, &index, from, &evidence), "{} {from} at {at}", way.name);
            evidence[at - 1..].fill(0);
        }
    }
}

#[test]
fn what_lies_across_two_runs_is_no_hit_and_what_lies_in_one_is() {
    let (one, other) = (random(41, 24), random(42, 24));
    // Runs are examined one behind the other, with a byte between them: the first as its symbols from the fourth on, then
    // the second as all of its.
    let evidence = [b"AAA", &base64(&one, false, false, 0)[..], b".", &base64(&other, false, false, 0)].concat();
    let across = |from: usize, to: usize| [&one[from..], &[OTHER], &other[..to]].concat();
    let (neither, first, second) = (across(9, 15), across(8, 15), across(9, 16));
    assert!(search(&evidence, &index_of(&[&neither])).hits.is_empty());
    // The controls: sixteen bytes of the first, of the second; and the same raw.
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

/// Bytes that begin no escape and no stream, and are in no text.
fn plain(seed: u64, len: usize) -> Vec<u8> {
    random(seed, len).iter().map(|byte| byte | 0xC8).collect()
}

#[test]
fn a_fragment_around_a_symbol_is_found_however_far_behind_another() {
    let letters = |seed| random(seed, 600).iter().map(|byte| b'a' + byte % 26).collect::<Vec<_>>();
    // What stands for itself, the symbol before, the one of the fragment with its byte, and what is none.
    let escapes = (plain(43, 600), plain(44, 600), &b"\\t"[..], &b"\\n"[..], b'\n', &b"\\y"[..], Encoding::Escapes);
    let latin1 =
        (letters(43), letters(44), &b"\xC2\xA1"[..], &b"\xC3\xA9"[..], 0xE9, &b"\xC4\xA9"[..], Encoding::Latin1);
    for (between, behind, first, symbol, byte, none, encoding) in [escapes, latin1] {
        for gap in 16..between.len() {
            let between = &between[..gap];
            let secret = [&between[gap - 8..], &[byte], &behind[..7]].concat();
            let index = index_of(&[&secret]);
            let is_found = |symbol: &[u8]| {
                let evidence = [&behind[..], first, between, symbol, &behind].concat();
                let at = (behind.len() + first.len() + gap - 8) as u64;
                let is_it = |hit: &Hit| hit.whole && hit.encoding == [encoding, Encoding::Raw] && hit.offset == at;
                search(&evidence, &index).hits.iter().any(is_it)
            };
            assert!(is_found(symbol), "{encoding:?}, {gap}");
            assert!(!is_found(none), "{encoding:?}, {gap}");
        }
    }
}

#[test]
fn what_lies_across_two_escaped_runs_is_no_hit_and_what_lies_in_one_is() {
    // Bytes that are decoded with an escape: src/escaped.rs.
    const CONTEXT: usize = 176;
    let (one, other) = (plain(46, 900), plain(47, 400));
    let evidence = [&one[..300], b"\\n", &one[300..], b"\\n", &other].concat();
    // The runs are examined one behind the other, with a byte between them: the end of the first, the beginning of the
    // second.
    let across = [&one[300 + CONTEXT - 8..300 + CONTEXT], &[OTHER], &one[900 - CONTEXT..900 - CONTEXT + 8]].concat();
    assert!(search(&evidence, &index_of(&[&across])).hits.is_empty());
    // The controls: within the first, within the second; and the same raw.
    let first = [&one[290..300], b"\n", &one[300..310]].concat();
    let second = [&one[890..900], b"\n", &other[..10]].concat();
    for secret in [first, second] {
        let hits = search(&evidence, &index_of(&[&secret])).hits;
        assert!(hits.len() == 1 && hits[0].whole && hits[0].encoding == [Encoding::Escapes, Encoding::Raw], "{hits:?}");
    }
    assert_eq!(search(&across, &index_of(&[&across])).hits.len(), 1);
}

/// Bytes of sixteen bits each, whatever they are.
const WIDE: Way = Way {
    name: "wide",
    chain: &[Encoding::Utf16Le, Encoding::Raw],
    encode: |bytes| bytes.iter().flat_map(|&byte| [byte, 0]).collect(),
    lead: 0,
};

/// What is written with one byte escaped, among bytes that are in no text: the escape looks like one that is there by chance.
#[test]
fn an_encoded_fragment_of_which_any_one_byte_is_escaped_is_found_among_binary_data() {
    let mut looked_at = 0;
    for number in 0..6 {
        let secret = random(50 + number, FRAGMENT);
        let index = index_of(&[&secret]);
        // Another escape on the left, or none near.
        let left =
            if number % 2 == 0 { [OTHER; 40].to_vec() } else { [&[OTHER; 20][..], b"\\x41", &[OTHER; 40]].concat() };
        for way in WAYS.iter().chain([&WIDE]) {
            let text = (way.encode)(&secret);
            // No program escapes one byte of what is escaped already and not its backslashes. Around an escape, 176 bytes are
            // decoded.
            for at in (0..text.len()).filter(|_| !text.contains(&b'\\') && text.len() <= 170) {
                let escape = format!("\\x{:02x}", text[at]).into_bytes();
                let evidence = [&left, &text[..at], &escape, &text[at + 1..], &[OTHER; 200]].concat();
                // Without, what is written is found as it is: a bracket and padding are outside of it.
                let hits = search(&evidence, &index).hits;
                let is_deep = |hit: &Hit| hit.encoding[0] == Encoding::Escapes && hit.encoding[1..] == *way.chain;
                let is_found = |hit: &&Hit| hit.whole && (hit.encoding == way.chain || is_deep(hit));
                assert!(hits.iter().any(|hit| is_found(&hit)), "{}: {at} of {}: {hits:?}", way.name, text.len());
                looked_at += usize::from(hits.iter().any(is_deep));
            }
        }
        // Escaped twice; behind a backslash it may be read as once.
        for at in 0..secret.len() {
            let escape = format!("\\\\x{:02x}", secret[at]).into_bytes();
            let evidence = [&[OTHER; 40], &secret[..at], &escape, &secret[at + 1..], &[OTHER; 200]].concat();
            let hits = search(&evidence, &index).hits;
            let is_found = |hit: &Hit| hit.whole && hit.encoding.starts_with(&[Encoding::Escapes]);
            assert!(hits.iter().any(is_found), "{at}: {hits:?}");
        }
    }
    assert!(looked_at > 5_000, "{looked_at}");
}

/// Bytes that are all the same are looked up at the ends of what is examined together, and a fragment may begin there.
#[test]
fn a_fragment_that_begins_as_what_is_before_it_is_found_at_every_place() {
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
