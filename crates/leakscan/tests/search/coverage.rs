// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hits by rank, and the fragments that occur somewhere.

use crate::{embedded, encode, index_of, random};
use leakscan::{Evidence, FRAGMENT, HITS_PER_VALUE};
use std::cell::Cell;

#[test]
fn hits_of_the_highest_rank_are_listed_and_those_of_rank_zero_are_counted() {
    let text = random(1, 200);
    let index = index_of(&[&text]);
    // Short hits that count, hits that do not, and last the only long one.
    let part = |range: std::ops::Range<usize>| [&text[range], &[0xFE; 50]].concat();
    let short = 3 * HITS_PER_VALUE;
    let evidence = [part(40..60).repeat(short), part(100..116).repeat(7), part(0..200)].concat();
    let search = |rank: &dyn Fn(u32, std::ops::Range<usize>) -> u64| {
        Evidence::new().bytes("log", &evidence).search_ranked(&index, rank, |_, _| {}).0
    };
    let by_length = |_, range: std::ops::Range<usize>| range.len().saturating_sub(FRAGMENT) as u64;
    let found = search(&by_length);
    assert_eq!(found.hits.len(), HITS_PER_VALUE);
    assert_eq!(found.hits.iter().filter(|hit| hit.whole).count(), 1);
    assert_eq!(found.statistics.unranked_hits, 7);
    assert_eq!(found.statistics.unlisted_hits as usize, short + 1 - HITS_PER_VALUE);
    // Control: of equal hits, the first are listed, as in a search without ranks.
    let plain = Evidence::new().bytes("log", &evidence).search(&index, |_, _| {}).unwrap();
    assert_eq!(search(&|_, _| 1).hits, plain.hits);
    assert!(plain.hits.iter().all(|hit| !hit.whole));
    assert!(search(&|_, _| 0).hits.is_empty());
}

#[test]
fn a_match_that_crosses_blocks_is_ranked_as_a_whole() {
    let text = random(2, 3000);
    let index = index_of(&[&text]);
    for at in (crate::BLOCK - 3000..crate::BLOCK + 10).step_by(97) {
        let evidence = embedded(&text, at, crate::BLOCK + 9000);
        let best = Cell::new(0);
        let rank = |_, range: std::ops::Range<usize>| {
            best.set(best.get().max(range.len()));
            u64::from(range.len() == 3000)
        };
        let (found, _) = Evidence::new().bytes("log", &evidence).search_ranked(&index, &rank, |_, _| {});
        assert_eq!((found.hits.len(), best.get()), (1, 3000), "{at}");
    }
}

#[test]
fn fragments_that_occur_are_recorded_in_every_encoding_however_often() {
    let (text, other) = (random(3, 300), random(4, 64));
    let index = index_of(&[&text, &other]);
    let parts = [0..20, 10..40, 100..116, 120..135, 200..300];
    let many = &text[150..180];
    let mut evidence = Vec::new();
    for (number, range) in parts.iter().enumerate() {
        let part = &text[range.clone()];
        evidence.extend(if number % 2 == 0 { encode::gzip(part) } else { part.to_vec() });
        evidence.extend([0xFE; 40]);
    }
    for _ in 0..2 * HITS_PER_VALUE {
        evidence.extend([many, &[0xFE; 40]].concat());
    }
    let mut sampled = Vec::new();
    let (coverage, statistics, failed) = Evidence::new().bytes("image", &evidence).cover(
        &index,
        &mut |bytes| sampled.extend_from_slice(bytes),
        |_, _| {},
    );
    let expected = |at: usize| {
        let mut all = parts.iter().chain([&(150..180)]);
        all.any(|part| part.start <= at && at + FRAGMENT <= part.end)
    };
    assert!((0..300).all(|at| coverage.contains(0, at) == expected(at)));
    assert_eq!(Vec::from_iter(coverage.ids()), [0]);
    assert_eq!((sampled, failed.len()), (evidence.clone(), 0));
    assert_eq!((statistics.bytes, statistics.sources), (evidence.len() as u64, 1));
}
