// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the code against its definition and against known answers, which a script that shares no code with this
//! crate computed.

extern crate std;
use super::*;
use crate::primitives::{Primitives, RustCrypto};
use crate::test_support::hex;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::vec::Vec;

/// The same code written from its definition alone: schoolbook multiplication and division, and Lagrange for each
/// element.
struct Reference {
    polynomial: u32,
}

impl Reference {
    fn multiply(&self, a: u16, b: u16) -> u16 {
        let mut long = (0..16).filter(|bit| b >> bit & 1 == 1).fold(0, |sum, bit| sum ^ (u32::from(a) << bit));
        for bit in (16..32).rev() {
            if long >> bit & 1 == 1 {
                long ^= self.polynomial << (bit - 16);
            }
        }
        u16::try_from(long).unwrap()
    }

    fn inverse(&self, a: u16) -> u16 {
        let squares = (1..16).scan(a, |power, _| {
            *power = self.multiply(*power, *power);
            Some(*power)
        });
        squares.fold(1, |product, square| self.multiply(product, square))
    }

    fn codeword(&self, value: &[u8], chunk_len: usize, index: u16) -> Vec<u8> {
        let mut padded = value.to_vec();
        padded.resize(value.len().next_multiple_of(chunk_len), 0);
        let chunks: Vec<&[u8]> = padded.chunks(chunk_len).collect();
        let k = u16::try_from(chunks.len()).unwrap();
        let weight = |t: u16| {
            (0..k).filter(|m| *m != t).fold(1, |product, m| {
                let quotient = self.multiply(index ^ m, self.inverse(t ^ m));
                self.multiply(product, quotient)
            })
        };
        let weights: Vec<u16> = (0..k).map(weight).collect();
        let element = |at: usize| {
            chunks.iter().zip(&weights).fold(0, |sum, (chunk, weight)| {
                sum ^ self.multiply(*weight, u16::from_be_bytes([chunk[at], chunk[at + 1]]))
            })
        };
        (0..chunk_len).step_by(2).flat_map(|at| element(at).to_be_bytes()).collect()
    }
}

const REFERENCE: Reference = Reference { polynomial: 0x1100B };

type Short = Encoder<96, 256>;
const SMALL: ChunkSize = ChunkSize::Bytes32;

fn chunk(of: &[u8]) -> Chunk {
    let mut chunk = [0; MAX_CHUNK_LEN];
    chunk[..of.len()].copy_from_slice(of);
    chunk
}

/// The value of the known answers.
fn three_hashes() -> [u8; 96] {
    let mut value = [0; 96];
    for (to, text) in value.chunks_mut(32).zip([b"a", b"b", b"c"]) {
        to.copy_from_slice(&RustCrypto.sha256(&[text]));
    }
    value
}

/// Known answers computed by a script that shares no code with this crate.
#[test]
fn field_gives_the_known_answers() {
    assert_eq!(multiply_one(0x8000, 2), 0x100B);
    assert_eq!(inverse(&[2; LANES]), [0x8805; LANES]);
    assert_eq!(multiply_one(0xFFFF, 0xFFFF), 0x0733);
}

#[test]
fn field_agrees_with_the_reference_and_every_element_has_its_inverse() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for _ in 0..20_000 {
        let [a, b] = [rng.next_u32(), rng.next_u32()].map(|word| (word >> 16) as u16);
        assert_eq!(multiply_one(a, b), REFERENCE.multiply(a, b));
    }
    for a in 1..=u16::MAX {
        let [inverse, ..] = inverse(&[a; LANES]);
        assert_eq!(multiply_one(a, inverse), 1);
    }
    // All lanes at once give the same as each alone: no element of one lane reaches another.
    let numbers: [Elements; 3] = core::array::from_fn(|_| core::array::from_fn(|_| rng.next_u32() as u16 | 1));
    let mut inverses = numbers;
    invert(&mut inverses);
    assert_eq!(inverses, numbers.map(|number| inverse(&number)));
    // Control: reed-solomon-simd's polynomial defines another field.
    assert_ne!(multiply_one(0xFFFF, 0xFFFF), Reference { polynomial: 0x1002D }.multiply(0xFFFF, 0xFFFF));
}

/// Known answers computed by a script that shares no code with this crate.
#[test]
fn codewords_are_the_known_ones_and_recover_the_value() {
    let value = three_hashes();
    let encoder = Short::new(&value, SMALL);
    for (index, chunk) in [
        (3, "dac9450763729e62aca78b63cbaae8dc1fa837fa018c71aceb81fc8ad828a7e0"),
        (4, "656c2754a0805b1da2594f1ccfa543e39e36bc03b6ddb3f0dc29922961dbca8e"),
        (36, "35c4b4bdf794d75510400eca17bf696b0ccdd05aa665d1b5ef25f5e2d819cfb7"),
        (65_535, "5433b2f53fc6dcbce18ac877e7df0045c1fc080dd2063f4d7f5251194e9a904d"),
    ] {
        assert_eq!(encoder.codeword(index), self::chunk(&hex::<32>(chunk)), "codeword {index}");
    }
    let mut decoder = Decoder::<96, 256>::new(SMALL);
    let codeword = |index| Codeword { index, chunk: encoder.codeword(index) };
    decoder.add(&codeword(65_535));
    decoder.add(&codeword(36));
    assert_eq!(decoder.completed_by(&codeword(4)), Some(value));
}

/// Attack E2: any k distinct codewords of 65,536 recover the value, and the codewords are the reference's.
fn any_k_recover<const LEN: usize, const CAPACITY: usize>(rng: &mut ChaCha20Rng, size: ChunkSize) {
    let mut value = [0; LEN];
    rng.fill_bytes(&mut value);
    let encoder = Encoder::<LEN, CAPACITY>::new(&value, size);
    assert_eq!(encoder.value(), value);
    for round in 0..20 {
        let mut indices = BTreeSet::new();
        while indices.len() < size.chunks(LEN) {
            // Small and large indices, so that some chunks are codewords themselves and some are computed.
            let mask = if rng.next_u32() & 1 == 0 { 0x3F } else { 0xFFFF };
            indices.insert((rng.next_u32() & mask) as u16);
        }
        let mut indices: Vec<u16> = indices.into_iter().collect();
        let turn = round % indices.len();
        indices.rotate_left(turn);
        let mut decoder = Decoder::<LEN, CAPACITY>::new(size);
        let (last, first) = indices.split_last().unwrap();
        for index in first {
            let codeword = Codeword { index: *index, chunk: encoder.codeword(*index) };
            assert_eq!(decoder.completed_by(&codeword), None);
            decoder.add(&codeword);
        }
        let mut codeword = Codeword { index: *last, chunk: encoder.codeword(*last) };
        assert_eq!(decoder.completed_by(&codeword), Some(value));
        // Control: a wrong codeword gives another value.
        codeword.chunk[0] ^= 1;
        assert_ne!(decoder.completed_by(&codeword), Some(value));
    }
    for index in [0, size.chunks(LEN) as u16, 40_000] {
        let expected = chunk(&REFERENCE.codeword(&value, size.bytes(), index));
        assert_eq!(encoder.codeword(index), expected, "codeword {index}");
    }
}

#[test]
fn any_k_distinct_codewords_recover_every_value() {
    for size in ChunkSize::ALL {
        let mut rng = ChaCha20Rng::seed_from_u64(size.bytes() as u64);
        any_k_recover::<96, 256>(&mut rng, size);
        any_k_recover::<1152, 1280>(&mut rng, size);
        any_k_recover::<960, 1024>(&mut rng, size);
        any_k_recover::<160, 256>(&mut rng, size);
        // One group of positions that are computed together, slightly more than one, and two.
        any_k_recover::<512, 512>(&mut rng, size);
        any_k_recover::<544, 768>(&mut rng, size);
        any_k_recover::<1024, 1024>(&mut rng, size);
    }
}

/// Attack E2: no codeword is kept after k.
#[test]
fn of_each_index_only_the_first_codeword_is_kept() {
    let value = three_hashes();
    let encoder = Short::new(&value, SMALL);
    let genuine = |index| Codeword { index, chunk: encoder.codeword(index) };
    let mut decoder = Decoder::<96, 256>::new(SMALL);
    for index in [7, 8] {
        decoder.add(&genuine(index));
        for other in [genuine(index), Codeword { index, chunk: chunk(&[0xEE; 32]) }] {
            assert!(!decoder.lacks(index));
            assert_eq!(decoder.completed_by(&other), None);
            decoder.add(&other);
        }
    }
    assert_eq!(decoder.count(), 2);
    assert_eq!(decoder.completed_by(&genuine(9)), Some(value));
    decoder.add(&genuine(9));
    decoder.add(&Codeword { index: 10, chunk: chunk(&[0xEE; 32]) });
    assert_eq!((decoder.count(), decoder.decode()), (3, value));
    // Control: a conflicting chunk that arrives first is kept, and corrupts the value.
    let mut spoilt = Decoder::<96, 256>::new(SMALL);
    spoilt.add(&Codeword { index: 7, chunk: chunk(&[0xEE; 32]) });
    spoilt.add(&genuine(7));
    spoilt.add(&genuine(8));
    assert_ne!(spoilt.completed_by(&genuine(9)), Some(value));
}

/// Attack E12.
#[test]
fn an_encoder_outputs_every_codeword_once_and_then_none() {
    let mut encoder = Encoder::<160, 256>::new(&[5; 160], ChunkSize::Bytes256);
    for index in 0..=u16::MAX {
        assert_eq!(encoder.next_codeword().map(|codeword| codeword.index), Some(index));
    }
    assert_eq!((encoder.next_codeword(), encoder.next_codeword()), (None, None));
    assert_eq!(encoder.issued(), CODEWORDS);
}

/// Measures the cost of a codeword that is not a chunk of the value, and of a value none of whose chunks was received:
/// the fastest of 200 runs, printed by `cargo test --release --lib coding_grows -- --nocapture`. A codeword's cost is
/// linear in k. A value takes k^2 products of a number and a chunk, but these are so cheap that the linear part costs
/// as much. Only the last of its k messages pays this cost.
fn cost<const LEN: usize, const CAPACITY: usize>(what: &str) {
    let value = [0x5A; LEN];
    let encoder = Encoder::<LEN, CAPACITY>::new(&value, SMALL);
    let k = SMALL.chunks(LEN) as u16;
    let rounds = 200;
    let mut codewords = Vec::new();
    let encoded =
        (k..k + rounds).map(|index| time(|| codewords.push(Codeword { index, chunk: encoder.codeword(index) })));
    let encoded = encoded.min().unwrap();
    let (last, first) = codewords[..usize::from(k)].split_last().unwrap();
    let mut decoder = Decoder::<LEN, CAPACITY>::new(SMALL);
    first.iter().for_each(|codeword| decoder.add(codeword));
    let decoded = (0..rounds).map(|_| time(|| assert_eq!(decoder.completed_by(last), Some(value)))).min().unwrap();
    std::println!(
        "{what}, {k} chunks: a codeword {encoded:?}, the value {decoded:?}, {:?} a chunk",
        decoded / u32::from(k)
    );
}

fn time(routine: impl FnOnce()) -> std::time::Duration {
    let started = std::time::Instant::now();
    routine();
    started.elapsed()
}

#[test]
fn coding_grows_with_k_as_documented() {
    cost::<96, 256>("header");
    cost::<960, 1024>("ct1");
    cost::<1152, 1280>("ek_vector");
}
