// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties: any fragment of any secret, in any encoding, anywhere in any data; and decoders on any bytes.

use super::encode::WAYS;
use super::{index_of, random, search};
use leakscan::FRAGMENT;
use proptest::prelude::*;

/// The bytes that symbols of `bits` bits encode, joined bit by bit.
fn joined(symbols: &[u8], bits: u32) -> Vec<u8> {
    let all: Vec<u8> = symbols.iter().flat_map(|symbol| (0..bits).rev().map(move |bit| symbol >> bit & 1)).collect();
    all.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_embedded_fragment_is_found_and_clean_data_has_none(
        seed in any::<u64>(),
        lens in prop::collection::vec(16usize..200, 1..20),
        which in any::<prop::sample::Index>(),
        way in any::<prop::sample::Index>(),
        (from, len) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        (before, after) in (0usize..3000, 0usize..3000),
        textual in any::<bool>(),
    ) {
        let secrets: Vec<Vec<u8>> = (0..).zip(&lens).map(|(i, &len)| random(seed.wrapping_add(i), len)).collect();
        let index = index_of(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let number = which.index(secrets.len());
        let secret = &secrets[number];
        let from = from.index(secret.len() - FRAGMENT + 1);
        let to = from + FRAGMENT + len.index(secret.len() - from - FRAGMENT + 1);
        let way = &WAYS[way.index(WAYS.len())];
        // It is surrounded by random bytes, or by text that decoders read.
        let around = |seed, len| match textual {
            true => random(seed, len).iter().map(|byte| b"0123456789abcdef, -%xGQ/\n"[usize::from(byte % 25)]).collect(),
            false => random(seed, len),
        };
        // A byte that ends every run, so that the bytes before it do not change what a decoder reads.
        let (lead, tail): (Vec<u8>, Vec<u8>) = (around(seed ^ 1 << 63, before), around(seed ^ 1 << 62, after));
        let evidence = [lead.clone(), vec![0xFE], (way.encode)(&secret[from..to]), vec![0xFE], tail.clone()].concat();
        let hits = search(&evidence, &index).hits;
        let found = hits.iter().any(|hit| hit.id as usize == number && hit.range.start <= from && hit.range.end >= to && hit.encoding == way.chain);
        prop_assert!(found, "{} {from}..{to}: {hits:?}", way.name);
        prop_assert!(hits.iter().all(|hit| hit.id as usize == number));
        prop_assert!(search(&[lead, tail].concat(), &index).hits.is_empty());
    }

    #[test]
    fn no_bytes_make_a_decoder_fail_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..600), text in "[0-9a-fxuU, %&#;{}\\\\n-]{0,300}") {
        use leakscan::decode::characters::{self, TextSymbol};
        use leakscan::decode::symbols::{self, AnySymbol, Places, Symbol};
        use leakscan::decode::{base64, escapes, hex, latin1, numerals, percent, utf16, wide};
        for input in [bytes.as_slice(), text.as_bytes()] {
            let mut out = Vec::new();
            prop_assert!(base64::symbols(input, &mut out) <= input.len() && out.len() <= input.len());
            let symbols = core::mem::take(&mut out);
            for alignment in 0..base64::ALIGNMENTS {
                out = vec![7];
                base64::decode(&symbols, alignment, &mut out);
                prop_assert_eq!(&out[1..], joined(symbols.get(alignment..).unwrap_or_default(), 6));
                prop_assert_eq!(out[0], 7);
            }
            out.clear();
            prop_assert!(hex::symbols(input, &mut out) <= input.len() && out.len() <= input.len());
            let symbols = core::mem::take(&mut out);
            for alignment in 0..hex::ALIGNMENTS {
                out.clear();
                hex::decode(&symbols, alignment, &mut out);
                prop_assert_eq!(&out, &joined(symbols.get(alignment..).unwrap_or_default(), 4));
            }
            out.clear();
            for (at, len, digits) in (0..input.len()).flat_map(|at| [(at, 1, 1), (at, 9, 3), (at, 600, 9), (at, 4, 5)]) {
                if let numerals::Decimal::Integer(_, start) = numerals::decimal(input, at, len, digits) {
                    prop_assert!(start + 1 >= at);
                }
                _ = numerals::hexadecimal(input, at, len);
                let word = &input[at..(at + len).min(input.len())];
                prop_assert!(numerals::binary(word).is_none_or(|value| word.len() >= 64 || value >> word.len() == 0));
                prop_assert!(numerals::octal(word).is_none_or(|value| word.len() > 4 || value < 1 << 12));
            }
            out.clear();
            for symbol in [percent::symbol as Symbol, escapes::symbol, latin1::symbol] {
                out.clear();
                let len = symbols::decode(symbol, input, &mut out);
                prop_assert!(len <= input.len() && out.len() <= len);
                let places = Places::new(symbol, input);
                for (at, expected) in out.iter().enumerate() {
                    let place = places.of(at);
                    prop_assert!(place < len && symbol(&input[place..]).is_some_and(|(byte, _)| byte == *expected));
                    prop_assert!(escapes::byte_of(input, place) < input.len());
                }
                // In another order of look-ups, the places are the same.
                let backwards: Vec<usize> = (0..out.len()).rev().map(|at| places.of(at)).collect();
                prop_assert!(backwards.iter().rev().copied().eq((0..out.len()).map(|at| Places::new(symbol, input).of(at))));
            }
            for (symbol, marker) in
                [(characters::escape as TextSymbol, b'\\'), (characters::entity, b'&'), (characters::entity_byte, b'&'), (characters::percent, b'%')]
            {
                out.clear();
                characters::decode(symbol, marker, input, &mut out);
                prop_assert!(out.len() <= input.len());
                let places = Places::any(AnySymbol::Text(symbol), input);
                let mut at = 0;
                while let Some((utf8, len)) = input.get(at..).filter(|rest| !rest.is_empty()).and_then(symbol) {
                    at += len;
                    prop_assert!(len > 0 && at <= input.len() && !utf8.bytes().is_empty());
                }
                prop_assert_eq!(places.of(out.len()), input.len());
            }
            for seed in 0..input.len() {
                let (run, _) = wide::run(input, seed, 0);
                prop_assert!(run.start <= seed && seed < run.end && run.end <= input.len());
                prop_assert!(utf16::run(input, seed, 0).is_none_or(|run| run.range.end <= input.len()));
            }
        }
    }
}
