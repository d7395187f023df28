// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values in the pages of databases, as other encoders than ours write them. With real databases: `tests/real`.

use super::{BLOCK, OTHER, index_of, random, search};
use leakscan::{Encoding, Encodings, Evidence, Findings, Index};

/// Text that repeats, with a secret in it that is in no run of sixteen bytes of the compressed form.
fn text_around(secret: &[u8], len: usize) -> Vec<u8> {
    let line = b"2026-11-30 10:00:00 delivered message to device ";
    let before: Vec<u8> = line.iter().copied().cycle().take(len / 2).collect();
    [&before[..], &secret[10..22], b"......", secret, &before].concat()
}

/// A compressed value of PostgreSQL, by another encoder of LZ4.
fn lz4_varlena(content: &[u8]) -> Vec<u8> {
    let block = lz4_flex::block::compress(content);
    let len = u32::try_from(block.len() + 8).unwrap();
    let raw = u32::try_from(content.len()).unwrap() | 1 << 30;
    [&(len << 2 | 2).to_le_bytes()[..], &raw.to_le_bytes(), &block].concat()
}

/// The rows of a TOAST table with the chunks of a value.
fn toast_rows(number: u32, value: &[u8], chunk: usize) -> Vec<Vec<u8>> {
    let rows = (0u32..).zip(value.chunks(chunk)).map(|(chunk, bytes)| {
        let header = [&[0; 18][..], &[3, 0, 2, 9, 24, 0], &number.to_le_bytes(), &chunk.to_le_bytes()].concat();
        // The header of a short value is one byte.
        if let short @ ..127 = bytes.len() + 1 {
            return [&header[..], &[u8::try_from(short).unwrap() << 1 | 1], bytes].concat();
        }
        let len = u32::try_from(bytes.len() + 4).unwrap() << 2;
        [&header[..], &len.to_le_bytes(), bytes].concat()
    });
    rows.collect()
}

fn without(bytes: &[u8], index: &Index, encoding: Encoding) -> Findings {
    let evidence = Evidence::new().with_encodings(Encodings::ALL.without(encoding)).bytes("bytes", bytes);
    evidence.search(index, |_, _| {}).unwrap()
}

/// The encodings and offsets at which the whole secret was found.
fn places(findings: &Findings) -> Vec<(Vec<Encoding>, u64)> {
    let whole = findings.hits.iter().filter(|hit| hit.whole);
    whole.map(|hit| (hit.encoding.clone(), hit.offset)).collect()
}

#[test]
fn a_compressed_value_of_postgresql_is_found_at_every_place_and_across_blocks() {
    let secret = random(1, 32);
    let index = index_of(&[&secret]);
    for len in [400, 30_000, 400_000] {
        let value = lz4_varlena(&text_around(&secret, len));
        let ats = (100..117).chain([BLOCK - 4, BLOCK - value.len() / 2, BLOCK - value.len() + 1, BLOCK - 4100]);
        for at in ats {
            let mut evidence = vec![OTHER; at];
            evidence.extend(&value);
            evidence.extend(vec![OTHER; 2 * BLOCK - evidence.len()]);
            let findings = search(&evidence, &index);
            let expected = (vec![Encoding::Varlena, Encoding::Raw], at as u64);
            assert_eq!(places(&findings), [expected], "{len} {at}");
            assert_eq!(findings.statistics.omitted, 0);
            // Control.
            assert!(places(&without(&evidence, &index, Encoding::Varlena)).is_empty());
            // A value that does not end where its header says is none.
            for (byte, bit) in [(0, 4), (4, 1)] {
                evidence[at + byte] ^= bit;
                assert!(places(&search(&evidence, &index)).is_empty());
                evidence[at + byte] ^= bit;
            }
        }
    }
}

#[test]
fn chunks_of_a_value_are_joined_in_any_order_and_over_any_distance() {
    let secret = random(2, 32);
    let index = index_of(&[&secret]);
    // The secret lies across the border of the third and the fourth chunk.
    let plain = [random(3, 3 * 1996 - 16), secret.clone(), random(4, 5_000)].concat();
    // After the length of its content, which a compressed value of PostgreSQL begins with.
    let packed = lz4_varlena(&[&text_around(&secret, 40_000)[..], &random(5, 7_000)].concat()).split_off(4);
    for (value, inner) in [(&plain, vec![Encoding::Toast]), (&packed, vec![Encoding::Toast, Encoding::Varlena])] {
        let expected = [&inner[..], &[Encoding::Raw]].concat();
        for chunk in [1996, 2048, 972] {
            if *value == plain && chunk != 1996 {
                continue;
            }
            let rows = toast_rows(77, value, chunk);
            let other = toast_rows(78, &random(6, 9_000), chunk);
            for order in 0..4 {
                let mut all = rows.clone();
                match order {
                    0 => {}
                    1 => all.reverse(),
                    2 => all.rotate_left(2),
                    _ => all = other.iter().cycle().zip(&rows).flat_map(|(a, b)| [a.clone(), b.clone()]).collect(),
                }
                let gap = vec![OTHER; if order == 2 { BLOCK / 3 } else { 7 }];
                let evidence = all.iter().flat_map(|row| [&gap[..], row].concat()).collect::<Vec<u8>>();
                let findings = search(&evidence, &index);
                let found = places(&findings);
                assert!(found.iter().any(|(encodings, _)| *encodings == expected), "{chunk} {order}: {found:?}");
                assert_eq!(findings.statistics.omissions, Vec::<String>::new());
                for encoding in &inner {
                    let blind = without(&evidence, &index, *encoding);
                    assert!(places(&blind).iter().all(|(encodings, _)| *encodings != expected), "{encoding}");
                }
            }
        }
    }
}

#[test]
fn chunks_that_are_missing_cost_what_is_after_them_and_damage_is_reported() {
    let secret = random(7, 32);
    let index = index_of(&[&secret]);
    let lines = (0..3_000u64).map(|line| format!("{} delivered to {}\n", line * 7919, line * line));
    let content = [&text_around(&secret, 9_000)[..], lines.collect::<String>().as_bytes()].concat();
    let packed = lz4_varlena(&content).split_off(4);
    let rows = toast_rows(9, &packed, 1996);
    let is_found = |rows: &[Vec<u8>]| {
        let findings = search(&rows.concat(), &index);
        (findings.hits.iter().any(|hit| hit.whole), findings.statistics.omitted)
    };
    assert_eq!(is_found(&rows), (true, 0));
    // What was deleted and partly overwritten is no omission: all of it that can be read is.
    assert_eq!(is_found(&rows[..3]), (true, 0));
    assert_eq!(is_found(&rows[1..]), (false, 0));
    // A match of distance zero.
    let mut damaged = rows.clone();
    let at = damaged[5].len() - 1000;
    damaged[5][at..at + 900].fill(0);
    let (found, omitted) = is_found(&damaged);
    assert!(found && omitted == 1, "{found} {omitted}");
}

#[test]
fn hostile_headers_cost_bounded_work() {
    let index = index_of(&[&random(10, 32)]);
    // A header every eight bytes, each followed by literals to the end.
    let header = [&(16_000u32 << 2 | 2).to_le_bytes()[..], &60_000u32.to_le_bytes()].concat();
    let evidence = [header.repeat(1000), vec![0; 20_000]].concat().repeat(10);
    let start = std::time::Instant::now();
    let findings = search(&evidence, &index);
    assert!(start.elapsed().as_secs() < 5 && findings.hits.is_empty());
    // Chunks of one value in which each has another number, and of many values.
    let rows: Vec<u8> = (0..4000).flat_map(|number| toast_rows(number, &random(11, 40), 20).concat()).collect();
    let findings = search(&rows, &index);
    assert_eq!((findings.hits.len(), findings.statistics.omitted), (0, 0));
}

#[test]
fn a_key_in_pages_within_other_encodings_is_found() {
    let secret = random(12, 32);
    let index = index_of(&[&secret]);
    let value = lz4_varlena(&text_around(&secret, 600));
    for (outer, encoded) in [
        (Encoding::Base64, super::encode::base64(&value, false, true, 0)),
        (Encoding::Hex, super::encode::hex(&value, "", "")),
        (Encoding::Gzip, super::encode::gzip(&[&[OTHER; 999][..], &value].concat())),
    ] {
        let findings = search(&[&[OTHER; 50][..], &encoded, &[OTHER; 50]].concat(), &index);
        let expected = [outer, Encoding::Varlena, Encoding::Raw];
        assert!(places(&findings).iter().any(|(encodings, _)| *encodings == expected), "{:?}", findings.hits);
    }
}

/// A database of SQLite with pages of 512 bytes: an empty schema, then these pages.
fn database(pages: &[Vec<u8>]) -> Vec<u8> {
    let count = u32::try_from(pages.len() + 1).unwrap().to_be_bytes();
    let mut schema = [&b"SQLite format 3\0\x02\0\x01\x01\0\x40\x20\x20\0\0\0\x01"[..], &count].concat();
    schema.resize(92, 0);
    schema.extend([0, 0, 0, 1, 0, 0, 0, 0, 13, 0, 0, 0, 0, 2, 0, 0]);
    schema.resize(512, 0);
    [&[schema], pages].concat().concat()
}

/// A leaf of a table with one cell, which has 39 bytes of a value of `39 + 508 * overflow` and continues on a page.
fn leaf(local: &[u8], overflow: u32, first: u32) -> Vec<u8> {
    let len = 39 + 508 * overflow;
    let varint = [0x80 | (len >> 14) as u8, 0x80 | (len >> 7) as u8, len as u8 & 0x7F];
    let cell = [&varint[..], &[1], local, &first.to_be_bytes()].concat();
    let at = u16::try_from(512 - cell.len()).unwrap().to_be_bytes();
    let mut page = [&[13, 0, 0, 0, 1][..], &at, &[0], &at].concat();
    page.resize(512 - cell.len(), 0);
    [page, cell].concat()
}

fn overflow(next: u32, content: &[u8]) -> Vec<u8> {
    [&next.to_be_bytes()[..], content].concat()
}

#[test]
fn a_value_of_sqlite_is_found_over_pages_in_any_order() {
    let secret = random(20, 32);
    let index = index_of(&[&secret]);
    // The secret lies across the border of two overflow pages.
    let value = [random(21, 39 + 508 - 9), secret.clone(), random(22, 508 - 23)].concat();
    let (local, rest) = value.split_at(39);
    let (first, second) = rest.split_at(508);
    let expected = |at: usize| vec![(vec![Encoding::SqliteOverflow, Encoding::Raw], at as u64)];
    // Before the file: nothing, or an archive's header; the cell's beginning is where its value is reported.
    for before in [0, 512, 3 * BLOCK + 1024] {
        let other = vec![vec![OTHER; 512]; 3];
        let orders = [
            ([leaf(local, 2, 3), overflow(4, first), overflow(0, second)], 1),
            ([overflow(0, second), leaf(local, 2, 4), overflow(2, first)], 2),
            ([overflow(3, first), overflow(0, second), leaf(local, 2, 2)], 3),
        ];
        for (pages, number) in orders {
            let file = [vec![OTHER; before], database(&[&pages[..], &other].concat())].concat();
            let findings = search(&file, &index);
            let at = before + 512 * number + 512 - 39 - 4;
            assert_eq!(places(&findings), expected(at), "{before} {number}");
            assert!(places(&without(&file, &index, Encoding::SqliteOverflow)).is_empty());
            assert_eq!(findings.statistics.omissions, Vec::<String>::new());
        }
    }
}

#[test]
fn circles_and_crowds_of_overflow_pages_cost_bounded_work() {
    let index = index_of(&[&random(23, 32)]);
    let content = vec![OTHER; 508];
    // A page that names itself, two that name each other, a chain that ends in a circle; values without end on each.
    let mut pages = vec![overflow(2, &content), overflow(4, &content), overflow(3, &content), overflow(2, &content)];
    pages.extend((2..6).map(|first| leaf(&content[..39], 4_000, first)));
    // Thousands of values on one chain of thousands of pages.
    let from = u32::try_from(pages.len()).unwrap() + 2;
    pages.extend((0..4_000).map(|page| overflow(from + page + 1, &content)));
    pages.extend((0..4_000).map(|_| leaf(&content[..39], 4_000, from)));
    let start = std::time::Instant::now();
    let findings = search(&database(&pages), &index);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    assert_eq!((findings.hits.len(), findings.statistics.omitted), (0, 0));
    // Each page is searched where it lies, and as part of a few values.
    let bound = 6 * findings.statistics.bytes;
    assert!(findings.statistics.decoded < bound, "{}", findings.statistics.decoded);
}

#[test]
fn a_damaged_or_cut_database_is_read_as_far_as_it_goes() {
    let secret = random(24, 32);
    let index = index_of(&[&secret]);
    let value = [random(25, 39 - 9), secret.clone(), random(26, 2000)].concat();
    let (local, rest) = value.split_at(39);
    let pages: Vec<Vec<u8>> = [leaf(local, 3, 3)]
        .into_iter()
        .chain(
            rest.chunks_exact(508).zip(4..).map(|(content, next)| overflow(if next == 6 { 0 } else { next }, content)),
        )
        .collect();
    let file = database(&pages);
    for len in [file.len(), file.len() - 600, 512 * 3] {
        assert_eq!(places(&search(&file[..len], &index)).len(), 1, "{len}");
    }
    // Every byte of the headers is changed: nothing fails, and nothing that is no database is one.
    for at in (0..120).chain(512..540).chain(1024..1032) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x55;
        assert_eq!(search(&damaged, &index).statistics.omitted, 0, "{at}");
    }
    let mut other = file;
    other[0] = b's';
    assert!(places(&search(&other, &index)).is_empty());
}

/// Files that compress and have no decoder are named, once and with their place.
#[test]
fn compressed_files_without_a_decoder_are_omissions() {
    let index = index_of(&[&random(30, 32)]);
    for (at, expected) in [(0, 1), (1536, 1), (700, 0)] {
        let evidence = [vec![OTHER; at], b"LPKSHHRH\0\0\0\0\x02\0\0\0".to_vec(), vec![OTHER; 9000]].concat();
        let findings = search(&evidence, &index);
        assert_eq!(findings.statistics.omitted, expected, "{at}");
        let place = format!("bytes, byte {at}: no decoder for a journal of systemd");
        assert!(findings.statistics.omissions.iter().all(|what| what.starts_with(&place)), "{at}");
    }
}

/// A block at each byte, none of which ends where it should.
#[test]
fn hostile_strings_of_redis_cost_bounded_work() {
    let index = index_of(&[&random(31, 32)]);
    let block = [0xC3, 0x50, 0, 0x60, 0, 0, 0, 0];
    let evidence = [&b"REDIS0011"[..], &block.repeat(40_000)].concat();
    let start = std::time::Instant::now();
    assert!(search(&evidence, &index).hits.is_empty());
    assert!(start.elapsed().as_secs() < 5);
}
