// SPDX-License-Identifier: MIT OR Apache-2.0
use super::super::containers::formats::is_zlib;
use super::super::decode::wide;
use super::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The places of such pairs of bytes; the last byte is followed by a zero.
fn pairs(bytes: &[u8], is_such: impl Fn(u8, u8) -> bool) -> Vec<u32> {
    let next = bytes.iter().skip(1).copied().chain([0]);
    let all = bytes.iter().copied().zip(next).enumerate();
    all.filter(|(_, (first, second))| is_such(*first, *second)).map(|(at, _)| u32::try_from(at).unwrap()).collect()
}

/// The lanes with such a word; the last lane may be shorter.
fn lanes(bytes: &[u8], is_such: impl Fn(u64) -> bool) -> Vec<u32> {
    let has_such = |lane: &[u8]| lane.as_chunks().0.iter().any(|word| is_such(u64::from_le_bytes(*word)));
    let all = bytes.chunks(LANE).enumerate().filter(|(_, lane)| has_such(lane));
    all.map(|(number, _)| u32::try_from(number * LANE).unwrap()).collect()
}

/// The lanes with part of a row of bytes without the top bit that is long enough for a text; a lane that is all zero
/// is in none, and ends one.
fn texts(bytes: &[u8]) -> Vec<u32> {
    let is_zero = |at: usize| bytes.chunks(LANE).nth(at / LANE).unwrap().iter().all(|&byte| byte == 0);
    let is_text = |at: usize| bytes[at].is_ascii() && !is_zero(at);
    let rows = (0..bytes.len()).collect::<Vec<_>>();
    let mut lanes: Vec<u32> = rows
        .chunk_by(|&one, &next| is_text(one) == is_text(next))
        .filter(|row| is_text(row[0]) && row.len() >= MIN_TEXT as usize)
        .flat_map(|row| row.iter().map(|at| u32::try_from(at / LANE * LANE).unwrap()))
        .collect();
    lanes.dedup();
    lanes
}

#[test]
fn prefilter_agrees_with_a_search_byte_by_byte() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let alphabets: [&[u8]; 7] = [
        &[],
        &[0, 0, 0, 24, 2, 0x40],
        b"\\x\xC2\xC3\x80\xBF\x7F\xC1",
        &[0, 1, 0x80],
        b"abc \0",
        b"0:&#a\xE1",
        &[0, 0, 0, 0, 7],
    ];
    let (mut seen, mut numbers, mut entities, mut streams, mut scanned) = ([0; 5], 0, 0, 0, 0);
    let (mut headers, mut chunks) = (0, 0);
    let zlib = (0..=u16::MAX).map(u16::to_be_bytes).filter(|pair| is_zlib(pair[0], pair[1]));
    let all: Vec<[u8; 2]> = PAIRS.into_iter().chain(zlib).collect();
    assert!(all.len() >= PAIRS.len() + 32, "{}", all.len());
    for round in 0..2_000 {
        let mut bytes = vec![0; round % 300];
        rng.fill_bytes(&mut bytes);
        if let alphabet @ [_, ..] = alphabets[round % alphabets.len()] {
            bytes.iter_mut().for_each(|byte| *byte = alphabet[usize::from(*byte) % alphabet.len()]);
        }
        if let (Some(place), pair) = (bytes.get_mut(round / 8..), all[round % all.len()]) {
            place.iter_mut().zip(pair).for_each(|(to, from)| *to = from);
        }
        let mut prefilter = Prefilter::default();
        prefilter.scan(&bytes);
        assert_eq!(prefilter.escapes, pairs(&bytes, |first, second| first == b'\\' && second.is_ascii()));
        let is_latin1 = |first, second| matches!(first, 0xC2 | 0xC3) && matches!(second, 0x80..=0xBF);
        assert_eq!(prefilter.latin1, pairs(&bytes, is_latin1));
        let is_entity = |first, second: u8| first == b'&' && (second == b'#' || second.is_ascii_alphabetic());
        assert_eq!(prefilter.entities, pairs(&bytes, is_entity));
        entities += prefilter.entities.len();
        let mut begins = pairs(&bytes, is_pair);
        begins.retain(|&at| (at as usize).saturating_add(1) < bytes.len());
        assert_eq!(prefilter.streams, begins);
        // There may be false positives, but no lane is left out.
        let text = texts(&bytes);
        let actual: Vec<u32> = prefilter.text.iter().map(|&(at, _)| at).collect();
        assert!(text.iter().all(|at| actual.contains(at)), "{text:?} {actual:?}");
        let words = bytes.as_chunks::<8>().0.iter().enumerate();
        for (number, _) in words.filter(|(_, word)| word.iter().all(|&byte| class(byte) & NUMBER_CLASS != 0)) {
            let lane = prefilter.text.iter().find(|(at, _)| *at as usize / LANE == number / 8);
            let Some(lane) = lane else { panic!("word {number}: {bytes:x?}") };
            assert!(lane.1 >> (number % 8) & 1 == 1, "word {number}: {lane:?}");
            numbers += 1;
        }
        // A place of both kinds has its bytes in the block.
        let pattern = |at: u32, is_such: &dyn Fn(&[u8]) -> bool| bytes.get(at as usize..).is_some_and(is_such);
        let places = 0..u32::try_from(bytes.len()).unwrap();
        let is_varlena = |rest: &[u8]| matches!(rest, [low, _, 0, 0, _, _, _, 0 | 0x40, ..] if low & 3 == 2);
        let is_chunk = |rest: &[u8]| matches!(rest, [24, 0, _, _, _, _, _, _, 0, 0, ..]);
        for at in places {
            assert!(!pattern(at, &is_varlena) || prefilter.varlenas.contains(&at), "{at} {bytes:x?}");
            assert!(!pattern(at, &is_chunk) || prefilter.chunks.contains(&(at + 8)), "{at} {bytes:x?}");
            headers += usize::from(pattern(at, &is_varlena));
            chunks += usize::from(pattern(at, &is_chunk));
        }
        let wide = lanes(&bytes, |word| wide::seed(word).is_some());
        assert!(wide.iter().all(|at| prefilter.wide.contains(at)), "{wide:?} {:?}", prefilter.wide);
        for (seen, places) in seen.iter_mut().zip([&prefilter.escapes, &prefilter.latin1, &begins, &text, &wide]) {
            *seen += places.len();
        }
        if alphabets[round % alphabets.len()].is_empty() {
            (streams, scanned) = (streams + prefilter.streams.len(), scanned + bytes.len());
        }
    }
    // Controls: each kind occurred, and few random bytes are false positives.
    assert!(seen.iter().all(|&seen| seen > 500) && numbers > 500 && entities > 500, "{seen:?} {numbers} {entities}");
    assert!(headers > 500 && chunks > 500, "{headers} {chunks}");
    assert!(streams * 100 < scanned, "{streams} of {scanned}");
}
