// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secrets within public values, and fragments that public values explain.

use super::{Run, gzip, kinds};
use data_encoding::HEXLOWER;
use leakscan::HITS_PER_VALUE;
use noescrow::primitives::Primitives;
use noescrow::{IDENTITY_LEN, Secret};
use noescrow_audit::FindingKind;

fn drawn<const N: usize>(seed: u8) -> [u8; N] {
    std::array::from_fn(|at| (at as u8).wrapping_mul(59).wrapping_add(seed) ^ 0x3C)
}

/// A device signs a message that contains a part of a key.
#[test]
fn part_of_a_key_in_a_public_value_is_found() {
    for len in [16, 20, 32] {
        let run = Run::new();
        let [seed, key] = [drawn(1), drawn(2)];
        run.alice.fresh(&seed);
        run.alice.fresh(&key);
        run.alice.seal(&Secret::new(key), &[1; 12], b"", &mut [7; 40]).unwrap();
        run.alice.sign(&Secret::new(seed), &[b"status: ", &key[..len], b"."].concat());
        let verdict = run.verdict(b"");
        let expected = if len < 32 { FindingKind::SecretMadePublic } else { FindingKind::Derivable };
        let of_key = verdict.findings.iter().filter(|finding| finding.what.starts_with("AEAD key"));
        assert_eq!(of_key.map(|finding| finding.kind).collect::<Vec<_>>(), [expected], "{len}: {verdict}");
        // Control: one byte too short to count, and bytes of another key.
        let run = Run::new();
        run.alice.fresh(&seed);
        run.alice.fresh(&key);
        run.alice.sign(&Secret::new(seed), &[b"status: ", &key[..15], b".", &drawn::<32>(9)].concat());
        assert!(run.verdict(b"").holds());
    }
}

/// A computed public value explains fragments of a secret that contains it whole, such as a key in a header. It does
/// not explain a key that contains only a part of it.
#[test]
fn public_value_does_not_explain_a_key_with_a_part_of_it() {
    let run = Run::new();
    let seed = drawn(1);
    run.alice.fresh(&seed);
    let signature = run.alice.sign(&Secret::new(seed), b"anything");
    let mut key = drawn(3);
    key[..20].copy_from_slice(&signature[30..50]);
    run.alice.fresh(&key);
    run.alice.seal(&Secret::new(key), &[1; 12], b"", &mut [7; 40]).unwrap();
    let verdict = run.verdict(&signature);
    assert_eq!(kinds(&verdict), [FindingKind::FragmentInEvidence, FindingKind::SecretMadePublic], "{verdict}");
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    HEXLOWER.encode(bytes).into_bytes()
}

type Write = fn(&[u8]) -> Vec<u8>;

/// A contact card: a message whose text consists of its sender's public values.
#[test]
fn adjacent_public_values_explain_a_text_made_of_them() {
    let card = Run::new().bundle;
    assert!(card.len() > IDENTITY_LEN);
    let ways: [(Write, Write); 4] = [
        (<[u8]>::to_vec, <[u8]>::to_vec),
        (<[u8]>::to_vec, gzip),
        (hex, hex),
        (|card| [b"my card: ", &card[..IDENTITY_LEN + 1], b" ok"].concat(), |card| card.to_vec()),
    ];
    for (at, (text, held)) in ways.into_iter().enumerate() {
        let run = Run::with(&text(&card));
        assert_eq!(run.bundle, card);
        // The text is not secret, and pieces of it are not flagged.
        let disk = held(&card);
        let cut = disk.len().saturating_sub(3);
        for held in [&disk[..], &disk[..cut]] {
            let verdict = run.verdict(held);
            assert!(verdict.findings.is_empty(), "{at}: {verdict}");
        }
        // Control: the text next to the card is the user's own.
        let own = [b"the gate's code is 7291, and I am ", &text(&card)[..]].concat();
        let run = Run::with(&own);
        for len in [26, 60, own.len()] {
            let verdict = run.verdict(&own[..len]);
            assert_eq!(verdict.findings.len(), 1, "{at}: {verdict}");
        }
    }
}

/// If a value occurs in more places than the search lists, the listed places do not explain the others.
#[test]
fn listed_places_do_not_explain_unlisted_ones() {
    // An identity's public key, followed by the user's own text.
    let known = Run::new().bundle[..32].to_vec();
    let run = Run::with(&[&known[..], b" is mine, and 7291 opens the gate"].concat());
    let copy = [&known[..], b"\xFF\xFE"].concat();
    for copies in [0, 3, HITS_PER_VALUE, HITS_PER_VALUE + 9] {
        let held = [&copy.repeat(copies)[..], b" mine, and 7291 opens"].concat();
        let verdict = run.verdict(&held);
        assert_eq!(kinds(&verdict), [FindingKind::FragmentInEvidence], "{copies}: {verdict}");
    }
    // Control: the public key alone, in fewer places than the search lists.
    let verdict = run.verdict(&copy.repeat(3));
    assert!(verdict.holds(), "{verdict}");
}
