// SPDX-License-Identifier: MIT OR Apache-2.0
//! A search finds a secret wherever and however it is written, and finds nothing where there is none.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod alphabets;
mod arrays;
mod binary_arrays;
mod containers;
mod coverage;
mod databases;
mod dumps;
mod encode;
mod fragments;
mod groups;
mod http2;
mod lines;
mod marks;
mod names;
mod network;
mod numerals;
mod process;
mod properties;
mod silent;
mod sources;
mod stopping;
mod texts;
mod tokens;

use encode::{WAYS, Way};
use leakscan::{
    DENSE, Encoding, Encodings, Evidence, FRAGMENT, Findings, Hit, Index, LONG_FRAGMENT, Needles, SearchLimits,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Bytes of a block of a source: src/blocks.rs.
const BLOCK: usize = 1 << 18;

/// A byte that is in no text.
pub(crate) const OTHER: u8 = 0xFE;

pub(crate) fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn index_of(secrets: &[&[u8]]) -> Index {
    let mut needles = Needles::new();
    for (id, secret) in (0..).zip(secrets) {
        needles.add_secret(id, secret);
    }
    needles.build().unwrap()
}

pub(crate) fn search(bytes: &[u8], index: &Index) -> Findings {
    Evidence::new().bytes("bytes", bytes).search(index, |_, _| {}).unwrap()
}

/// Random bytes with `text` at `at`, between two bytes that are in no text.
fn embedded(text: &[u8], at: usize, len: usize) -> Vec<u8> {
    let mut evidence = random(99, len);
    evidence[at - 1] = 0xFE;
    evidence[at + text.len()] = 0xFE;
    evidence[at..at + text.len()].copy_from_slice(text);
    evidence
}

fn assert_found(way: &Way, evidence: &[u8], index: &Index, at: usize, range: std::ops::Range<usize>) {
    let findings = search(evidence, index);
    let reversed = way.chain.last() == Some(&Encoding::Reversed);
    let packed = way.chain.iter().any(|step| matches!(step, Encoding::Gzip | Encoding::Zlib | Encoding::Zstd));
    let hit = findings.hits.iter().find(|hit| hit.encoding == way.chain && hit.range == range);
    let hit = hit.unwrap_or_else(|| panic!("{} at {at}, {range:?}: {:?}", way.name, findings.hits));
    assert_eq!(hit.id, 0);
    // In a compressed stream, the offset is that of the stream.
    let lead = if packed { 0 } else { way.lead };
    assert_eq!(hit.offset, (at + lead) as u64, "{}", way.name);
    assert_eq!(findings.statistics.hits, findings.hits.len() as u64);
    // The control: without a decoder of the chain, this chain is not found.
    let step = way.chain.iter().copied().find(|&step| step != Encoding::Raw || way.chain.len() == 1).unwrap();
    let blind =
        Evidence::new().with_encodings(Encodings::ALL.without(if reversed { Encoding::Reversed } else { step }));
    let blind = blind.bytes("bytes", evidence).search(index, |_, _| {}).unwrap();
    assert!(blind.hits.iter().all(|hit| hit.encoding != way.chain), "{} without its decoder", way.name);
}

#[test]
fn every_encoding_is_found_at_every_alignment_with_its_offset() {
    let secret = random(1, 32);
    let index = index_of(&[&secret]);
    for way in WAYS {
        let text = (way.encode)(&secret);
        for at in 1000..1018 {
            assert_found(way, &embedded(&text, at, 4096), &index, at, 0..32);
        }
    }
}

#[test]
fn fragments_of_sixteen_bytes_are_found_and_of_fifteen_are_not() {
    let secret = random(2, 32);
    let index = index_of(&[&secret]);
    for way in WAYS {
        for range in [0..16, 7..23, 16..32, 3..31] {
            let text = (way.encode)(&secret[range.clone()]);
            assert_found(way, &embedded(&text, 500, 2048), &index, 500, range);
        }
        for range in [0..15, 8..23, 17..32] {
            let evidence = embedded(&(way.encode)(&secret[range.clone()]), 500, 2048);
            assert!(search(&evidence, &index).hits.is_empty(), "{} {range:?}", way.name);
        }
    }
}

/// Halves of random keys among letters, as the control of an audit plants them: none is missed by chance.
#[test]
fn halves_of_keys_among_letters_are_found_in_every_encoding() {
    let keys: Vec<Vec<u8>> = (0..300).map(|seed| random(7_000 + seed, 32)).collect();
    let index = index_of(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for encoding in Encoding::ALL {
        let mut left_out = 0;
        for (id, key) in (0..).zip(&keys) {
            if leakscan::encoders::is_ambiguous(&key[16..], encoding) {
                left_out += 1;
                continue;
            }
            let encoded = leakscan::encoders::encode(&key[16..], encoding);
            let evidence = [&[b'Z'; 512][..], &encoded, &[b'Z'; 512]].concat();
            let found = search(&evidence, &index);
            let is_found = |hit: &Hit| hit.id == id && (hit.encoding[0] == encoding || encoded == key[16..]);
            assert!(found.hits.iter().any(is_found), "{encoding}: {}", String::from_utf8_lossy(&encoded));
        }
        assert!(left_out < keys.len() / 2, "{encoding}: {left_out} are left out");
    }
}

/// The encoders that the crate offers for the control of a search.
#[test]
fn the_output_of_every_encoder_is_found_and_not_without_its_decoder() {
    let secret = random(18, 32);
    let index = index_of(&[&secret]);
    for encoding in Encoding::ALL {
        let evidence = [&[OTHER; 512][..], &leakscan::encoders::encode(&secret, encoding), &[OTHER; 100]].concat();
        let is_found = |encodings| {
            let findings =
                Evidence::new().with_encodings(encodings).bytes("bytes", &evidence).search(&index, |_, _| {});
            findings.unwrap().hits.iter().any(|hit| hit.whole && hit.encoding[0] == encoding)
        };
        assert!(is_found(Encodings::ALL), "{encoding}");
        assert!(!is_found(Encodings::ALL.without(encoding)), "{encoding} without its decoder");
    }
}

#[test]
fn a_fragment_in_longer_base64_is_found_at_every_alignment() {
    let secret = random(3, 32);
    let index = index_of(&[&secret]);
    for before in 0..7 {
        let mut inner = random(4, before);
        inner.extend(&secret[5..25]);
        inner.extend(random(5, 11));
        for prefix in ["", "/", "ab", "key"] {
            let text = [prefix.as_bytes(), &encode::base64(&inner, false, true, 0)].concat();
            let findings = search(&embedded(&text, 300, 1024), &index);
            let [hit] = &findings.hits[..] else { panic!("{before} {prefix}: {:?}", findings.hits) };
            assert_eq!(hit.range, 5..25);
            assert_eq!(hit.offset as usize, 300 + prefix.len() + before * 4 / 3);
        }
    }
}

#[test]
fn a_value_across_the_border_of_two_blocks_is_found_once() {
    let secret = random(6, 32);
    let index = index_of(&[&secret]);
    for way in WAYS {
        let text = (way.encode)(&secret);
        for before_border in [1, text.len() / 3, text.len() / 2, text.len() - 1] {
            let at = BLOCK - before_border;
            let evidence = embedded(&text, at, BLOCK + 8192);
            assert_found(way, &evidence, &index, at, 0..32);
            let hits = search(&evidence, &index).hits;
            assert_eq!(hits.iter().filter(|hit| hit.encoding == way.chain).count(), 1, "{}: {hits:?}", way.name);
        }
    }
}

#[test]
fn a_long_value_is_found_by_fragments_and_whole_across_blocks() {
    let long = random(7, 3 * BLOCK);
    let mut needles = Needles::new();
    needles.add_secret(0, &long);
    let index = needles.build().unwrap();
    for from in [0, 1, 777, DENSE - FRAGMENT] {
        let hits = search(&embedded(&long[from..from + FRAGMENT], 100, 300), &index).hits;
        assert_eq!((hits.len(), hits[0].range.clone()), (1, from..from + FRAGMENT));
    }
    for from in [DENSE - 15, DENSE, 10_001, long.len() - LONG_FRAGMENT] {
        let hits = search(&embedded(&long[from..from + LONG_FRAGMENT], 100, 1000), &index).hits;
        assert_eq!((hits.len(), hits[0].range.clone()), (1, from..from + LONG_FRAGMENT), "{from}");
    }
    let hits = search(&embedded(&long, 12_345, 4 * BLOCK), &index).hits;
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert!(hits[0].whole && hits[0].offset == 12_345 && hits[0].range == (0..long.len()));
}

#[test]
fn an_anchored_value_is_found_from_its_beginning_or_not_at_all() {
    let message = random(8, 5000);
    let mut needles = Needles::new();
    needles.add_anchored(7, &message);
    let index = needles.build().unwrap();
    let hits = search(&embedded(&message, 50, 6000), &index).hits;
    assert!(hits.len() == 1 && hits[0].whole && hits[0].id == 7 && hits[0].offset == 50);
    let hits = search(&embedded(&message[..700], 50, 6000), &index).hits;
    assert!(hits.len() == 1 && !hits[0].whole && hits[0].range == (0..700));
    assert!(search(&embedded(&message[1..], 50, 6000), &index).hits.is_empty());
}

#[test]
fn repetitive_bytes_are_no_hit_and_hide_none() {
    let mut secret = vec![0u8; 48];
    secret[20..28].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let index = index_of(&[&secret, &[0xAA; 64]]);
    assert!(index.repetitive_windows() > 0);
    assert!(search(&vec![0; 100_000], &index).hits.is_empty());
    assert!(search(&vec![0xAA; 100_000], &index).hits.is_empty());
    // Whichever window the search looks up: if it is repetitive, those around it are looked up.
    for from in 12..=20 {
        for at in 64..73 {
            let hits = search(&embedded(&secret[from..from + 16], at, 200), &index).hits;
            assert_eq!(hits.len(), 1, "{from} {at}");
        }
    }
    // After a long run of one byte, most of which a search skips, and before it; seven bytes contain no window by
    // themselves.
    for many in 560..600 {
        let (first, last, zeros) = (&secret[20..27], &secret[21..28], vec![0; many]);
        for evidence in [[&zeros[..], first, &[0xFE; 9]].concat(), [&vec![0xFE; many - 300], last, &zeros].concat()] {
            assert_eq!(search(&evidence, &index).hits.len(), 1, "{many}");
        }
    }
    // Four distinct values, and five.
    let index = index_of(&[b"abcdabcdabcdabcd", b"abcdeabcdeabcdea"]);
    assert!(search(b"....abcdabcdabcdabcd....", &index).hits.is_empty());
    assert_eq!(search(b"....abcdeabcdeabcdea....", &index).hits.len(), 1);
    assert_eq!(index_of(&[&[1; 15]]).too_short(), 1);
}

#[test]
fn percent_encoding_between_text_and_binary_data_is_found_at_every_place() {
    let secret = b"abcdefghijklmno\xFE";
    let index = index_of(&[secret]);
    for at in 64..192 {
        // Many bytes after it, or as many as fill the last lane of eight words.
        for after in [200, (64 - (at + 18) % 64) % 64] {
            let evidence = [&vec![0xFE; at][..], b"abcdefghijklmno%FE", &vec![0xFE; after]].concat();
            let hits = search(&evidence, &index).hits;
            assert!(hits.iter().any(|hit| hit.encoding == [Encoding::Percent, Encoding::Raw]), "{at}: {hits:?}");
            let without = [&vec![0xFE; at][..], b"abcdefghijklmno%FF", &vec![0xFE; after]].concat();
            assert!(search(&without, &index).hits.is_empty());
        }
    }
}

#[test]
fn hex_within_a_run_of_base64_is_found_at_every_place() {
    let secret = random(12, 16);
    let index = index_of(&[&secret]);
    for at in 64..192 {
        let evidence = [&vec![b'Q'; at][..], &encode::hex(&secret, "", ""), &[b'Q'; 100]].concat();
        let hits = search(&evidence, &index).hits;
        assert!(hits.iter().any(|hit| hit.encoding == [Encoding::Hex, Encoding::Raw]), "{at}: {hits:?}");
    }
}

/// A zero belongs to a prefix only if an `x` and a digit follow it.
#[test]
fn hex_that_ends_in_zeros_is_found_whatever_follows() {
    let secret = [&random(13, 14)[..], &[0x10, 0x00]].concat();
    let index = index_of(&[&secret]);
    for after in ["", " x-request-id: 1", ",x", ":x", "-x", "\nX", "x", "xyz", "0x1", " 0x1", "0xyz"] {
        for before in 64..96 {
            let evidence =
                [&vec![b'_'; before][..], &encode::hex(&secret, "", ""), after.as_bytes(), &[0xFE; 9]].concat();
            let hits = search(&evidence, &index).hits;
            assert!(hits.iter().any(|hit| hit.whole), "{before} before, {after:?} after: {hits:?}");
        }
    }
}

#[test]
fn values_with_a_common_prefix_are_distinguished_and_its_hits_limited() {
    let common = random(10, 40);
    let secrets: Vec<Vec<u8>> = (0..500).map(|i| [common.clone(), random(1000 + i, 24)].concat()).collect();
    let index = index_of(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for at in 100..109 {
        for number in [0, 250, 499] {
            // The last eight bytes of the common part, and the first eight of the value's own.
            let hits = search(&embedded(&secrets[number][32..48], at, 300), &index).hits;
            assert_eq!(hits.len(), 1, "{number} at {at}");
            assert_eq!(hits[0].id as usize, number);
        }
        let hits = search(&embedded(&common, at, 300), &index).hits.len();
        assert!((1..500).contains(&hits), "{hits}");
    }
}

#[test]
fn hits_of_one_value_are_limited_and_the_rest_is_counted() {
    let secret = random(11, 32);
    let index = index_of(&[&secret]);
    let evidence: Vec<u8> = (0..50).flat_map(|i| [random(i, 40), secret.clone()].concat()).collect();
    let findings = search(&evidence, &index);
    assert_eq!(findings.hits.len(), leakscan::HITS_PER_VALUE);
    assert_eq!(findings.statistics.unlisted_hits as usize, 50 - findings.hits.len());
    assert_eq!(findings.statistics.bytes as usize, evidence.len());
}

#[test]
fn the_first_half_of_an_archive_is_searched() {
    let secret = random(12, 32);
    let index = index_of(&[&secret]);
    // Compressible bytes: others are stored as they are.
    let around = |seed| random(seed, 200_000).iter().map(|byte| byte & 15).collect::<Vec<_>>();
    let inner = [around(13), secret, around(14)].concat();
    for encode in [encode::gzip, encode::zlib, encode::zstd] {
        let packed = encode(&inner);
        assert_eq!(search(&packed, &index).hits.len(), 1);
        assert_eq!(search(&packed[..packed.len() * 7 / 10], &index).hits.len(), 1);
        assert!(search(&packed[..packed.len() * 4 / 10], &index).hits.is_empty());
    }
}

#[test]
fn a_decompression_bomb_is_limited_and_reported() {
    let secret = random(15, 32);
    let index = index_of(&[&secret]);
    let limits = SearchLimits { stream: 1 << 20, ..SearchLimits::default() };
    for encode in [encode::gzip, encode::zlib, encode::zstd] {
        let around = |seed| random(seed, 20_000).iter().map(|byte| byte & 15).collect::<Vec<_>>();
        let bomb = encode(&[vec![0; 4 << 20], around(16), secret.clone(), around(17)].concat());
        for evidence in [bomb.clone(), encode::zlib(&bomb), encode::base64(&bomb, false, true, 0)] {
            let bounded = Evidence::new().with_limits(limits).bytes("bomb", &evidence);
            let findings = bounded.search(&index, |_, _| {}).unwrap();
            let is_packed = |hit: &Hit| {
                hit.encoding.iter().any(|step| matches!(step, Encoding::Gzip | Encoding::Zlib | Encoding::Zstd))
            };
            assert!(!findings.hits.iter().any(is_packed) && findings.statistics.omitted > 0, "{findings:?}");
            assert!(findings.statistics.decoded < 8 << 20, "{}", findings.statistics.decoded);
            // The control: within the limits it is found.
            assert!(search(&evidence, &index).hits.iter().any(is_packed));
        }
    }
}

#[test]
fn an_index_takes_less_than_200_bytes_for_a_secret() {
    let secrets: Vec<_> = (0..20_000u64).map(|i| random(i, 32)).collect();
    let index = index_of(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert!(index.memory() < 200 * secrets.len(), "{}", index.memory() / secrets.len());
}

/// `NOESCROW_RANDOM_BYTES=10000000000` for the campaign.
#[test]
fn nothing_is_found_in_random_bytes() {
    let len = std::env::var("NOESCROW_RANDOM_BYTES").ok().and_then(|len| len.parse().ok()).unwrap_or(8u64 << 20);
    let secrets: Vec<_> = (0..10_000u64).map(|i| random(i, 32)).collect();
    let index = index_of(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let findings =
        Evidence::new().reader("random", sources::Stream::new(1 << 40, len)).search(&index, |_, _| {}).unwrap();
    assert!(findings.hits.is_empty(), "{:?}", findings.hits);
    assert_eq!(findings.statistics.bytes, len);
    // The control: a stream from the seed of a secret holds it.
    let findings =
        Evidence::new().reader("random", sources::Stream::new(77, 1 << 16)).search(&index, |_, _| {}).unwrap();
    assert_eq!(findings.hits.len(), 1);
}
