// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Braid's erasure code: a value becomes up to 65,536 codewords of one size, any k of which give it back.
//!
//! GF(2^16) with polynomial x^16 + x^12 + x^3 + x + 1. A value is cut into k chunks, the last padded with zeros; a
//! chunk's elements are 16 bits each, big-endian. Codeword i is P(i), element by element, where P is the polynomial of
//! degree below k through (t, chunk t) for t = 0 to k - 1: so codewords 0 to k - 1 are the chunks themselves.
//!
//! Multiplication is bit by bit, without tables. What is coded is public (keys, ciphertexts, MACs), but a table would
//! be 128 KiB of a device's memory, and the code would not be free of secret-looking lookups for a checker.
//!
//! Not the concern of this module: what the value is, and whether a codeword is genuine. A wrong one is not noticed
//! here.
//!
//! # Why not `reed-solomon-simd`
//! It is a code of another kind: it works in another field (x^16 + x^5 + x^3 + x^2 + 1) and basis, fixes the number of
//! recovery chunks before it makes the first, makes them all at once, and needs an allocator and tables of up to 8 MiB.
//! Here codewords are made one a message until the peer has enough, on a device without an allocator, and k is at most
//! 36, where its O(n log n) gains nothing.

use crate::wire::ChunkSize;

/// The longest chunk: values are stored padded to a multiple of it, which is one of all shorter ones.
pub(crate) const MAX_CHUNK_LEN: usize = ChunkSize::Bytes256.bytes();
/// The most chunks that a value may have: 1,152 bytes of 32.
pub(crate) const MAX_CHUNKS: usize = 36;
/// Codewords of one value: one for each u16.
pub(crate) const CODEWORDS: u32 = 1 << 16;

/// Elements that are multiplied at once: a shape that compilers turn into vector instructions.
const LANES: usize = 16;
type Elements = [u16; LANES];

/// A chunk of any size; zeros behind its end.
pub(crate) type Chunk = [u8; MAX_CHUNK_LEN];

/// Codeword `index` of some value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Codeword {
    pub(crate) index: u16,
    pub(crate) chunk: Chunk,
}

/// Puts out codewords 0, 1, 2, ... of a value of `LEN` bytes, each once. `CAPACITY` is `LEN` up to the next multiple of
/// [`MAX_CHUNK_LEN`].
#[derive(Clone, Debug)]
pub(crate) struct Encoder<const LEN: usize, const CAPACITY: usize> {
    padded: [u8; CAPACITY],
    next: u32,
    size: ChunkSize,
}

impl<const LEN: usize, const CAPACITY: usize> Encoder<LEN, CAPACITY> {
    pub(crate) fn new(value: &[u8; LEN], size: ChunkSize) -> Self {
        Self::resume(value, size, 0)
    }

    /// An encoder that has already put out `next` codewords.
    pub(crate) fn resume(value: &[u8; LEN], size: ChunkSize, next: u32) -> Self {
        const { check_lengths::<LEN, CAPACITY>() };
        let mut padded = [0; CAPACITY];
        for (to, from) in padded.iter_mut().zip(value) {
            *to = *from;
        }
        Self { padded, next, size }
    }

    /// The value.
    pub(crate) fn value(&self) -> [u8; LEN] {
        self.padded.first_chunk().copied().unwrap_or([0; LEN])
    }

    pub(crate) const fn chunk_size(&self) -> ChunkSize {
        self.size
    }

    /// Codewords put out so far.
    pub(crate) const fn issued(&self) -> u32 {
        self.next
    }

    /// The next codeword; `None` when all 65,536 have been put out (attack E12).
    pub(crate) fn next_codeword(&mut self) -> Option<Codeword> {
        let index = u16::try_from(self.next).ok()?;
        // At most 2^16.
        self.next = self.next.saturating_add(1);
        Some(Codeword { index, chunk: self.codeword(index) })
    }

    /// The next codeword, from the first on again when all have been put out: for where each message says something beside
    /// its chunk.
    pub(crate) fn next_codeword_again(&mut self) -> Option<Codeword> {
        self.next_codeword().or_else(|| {
            self.next = 0;
            self.next_codeword()
        })
    }

    fn codeword(&self, index: u16) -> Chunk {
        let k = self.size.chunks(LEN);
        if usize::from(index) < k {
            return nth(&self.padded, self.size, usize::from(index));
        }
        let mut points = [0; MAX_CHUNKS];
        for (at, point) in (0..).zip(&mut points) {
            *point = at;
        }
        Interpolation::new(points.get(..k).unwrap_or_default()).at(index, &self.padded, self.size)
    }
}

/// Collects codewords of a value of `LEN` bytes: of each index the first, until there are k.
#[derive(Clone, Debug)]
pub(crate) struct Decoder<const LEN: usize, const CAPACITY: usize> {
    chunks: [u8; CAPACITY],
    indices: [u16; MAX_CHUNKS],
    count: usize,
    size: ChunkSize,
}

impl<const LEN: usize, const CAPACITY: usize> Decoder<LEN, CAPACITY> {
    pub(crate) const fn new(size: ChunkSize) -> Self {
        const { check_lengths::<LEN, CAPACITY>() };
        Self { chunks: [0; CAPACITY], indices: [0; MAX_CHUNKS], count: 0, size }
    }

    /// k.
    pub(crate) const fn needed(&self) -> usize {
        self.size.chunks(LEN)
    }

    pub(crate) const fn chunk_size(&self) -> ChunkSize {
        self.size
    }

    /// What has been collected, in order of arrival.
    pub(crate) fn codewords(&self) -> impl Iterator<Item = Codeword> {
        let indices = self.indices().iter().enumerate();
        indices.map(|(at, index)| Codeword { index: *index, chunk: nth(&self.chunks, self.size, at) })
    }

    /// How many have been collected.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    fn indices(&self) -> &[u16] {
        self.indices.get(..self.count).unwrap_or_default()
    }

    /// Whether `codeword` would be kept: its index is new, and k are not yet there.
    pub(crate) fn lacks(&self, index: u16) -> bool {
        self.count < self.needed() && !self.indices().contains(&index)
    }

    /// Keeps `codeword`, unless there is one of its index, even a different one, or there are k (attack E2).
    pub(crate) fn add(&mut self, codeword: &Codeword) {
        if !self.lacks(codeword.index) {
            return;
        }
        let chunk = self.chunks.chunks_exact_mut(self.size.bytes()).nth(self.count);
        if let (Some(chunk), Some(index)) = (chunk, self.indices.get_mut(self.count)) {
            for (to, from) in chunk.iter_mut().zip(&codeword.chunk) {
                *to = *from;
            }
            *index = codeword.index;
            // At most k.
            self.count = self.count.saturating_add(1);
        }
    }

    /// The value, if `codeword` is the one that was missing. Changes nothing.
    pub(crate) fn completed_by(&self, codeword: &Codeword) -> Option<[u8; LEN]> {
        if !self.lacks(codeword.index) || self.count.saturating_add(1) < self.needed() {
            return None;
        }
        let mut whole = Self { chunks: self.chunks, indices: self.indices, count: self.count, size: self.size };
        whole.add(codeword);
        Some(whole.decode())
    }

    /// The value, from k codewords.
    fn decode(&self) -> [u8; LEN] {
        let mut value = [0; LEN];
        let mut interpolation = None;
        for (at, out) in (0..).zip(value.chunks_mut(self.size.bytes())) {
            let chunk = match self.indices().iter().position(|index| *index == at) {
                Some(place) => nth(&self.chunks, self.size, place),
                None => interpolation.get_or_insert_with(|| Interpolation::new(self.indices())).at(
                    at,
                    &self.chunks,
                    self.size,
                ),
            };
            for (to, from) in out.iter_mut().zip(&chunk) {
                *to = *from;
            }
        }
        value
    }
}

/// Chunk `at` of a value, or of what has been collected of one.
fn nth(chunks: &[u8], size: ChunkSize, at: usize) -> Chunk {
    let mut chunk = [0; MAX_CHUNK_LEN];
    for (to, from) in chunk.iter_mut().zip(chunks.chunks_exact(size.bytes()).nth(at).unwrap_or_default()) {
        *to = *from;
    }
    chunk
}

/// At compile time: every chunk size divides the capacity, and the smallest gives no more than MAX_CHUNKS.
const fn check_lengths<const LEN: usize, const CAPACITY: usize>() {
    assert!(CAPACITY == LEN.next_multiple_of(MAX_CHUNK_LEN), "not the capacity of this length");
    assert!(ChunkSize::Bytes32.chunks(LEN) <= MAX_CHUNKS, "too many chunks");
}

/// The polynomial of degree below k through k points of different x: Lagrange's form, with what depends on the points
/// alone computed once.
struct Interpolation<'a> {
    points: &'a [u16],
    /// The product of x_i - x_m over all m but i, for each i. Minus is plus, is XOR.
    denominators: Lanes,
}

/// A number for each point; the lanes behind the last point mean nothing.
type Lanes = [Elements; MAX_CHUNKS.div_ceil(LANES)];

impl<'a> Interpolation<'a> {
    fn new(points: &'a [u16]) -> Self {
        let mut denominators = [[1; LANES]; _];
        for point in points {
            multiply_by_distance(&mut denominators, points, *point);
        }
        Self { points, denominators }
    }

    /// P(x), where the polynomial has the value of chunk i at `points[i]`. `x` is none of the points.
    fn at(&self, x: u16, chunks: &[u8], size: ChunkSize) -> Chunk {
        // Weight i = product of (x - x_m) over all m / ((x - x_i) denominator_i).
        let mut divisors = self.denominators;
        multiply_by_distance(&mut divisors, self.points, x);
        let product = self.points.iter().fold(1, |product, point| multiply_one(product, x ^ point));
        let mut weights = divisors;
        for lanes in weights.iter_mut().take(self.points.len().div_ceil(LANES)) {
            *lanes = multiply(&inverse(lanes), &[product; LANES]);
        }

        let mut value = [0; MAX_CHUNK_LEN];
        let chunks = chunks.chunks_exact(size.bytes());
        for (weight, chunk) in weights.as_flattened().iter().zip(chunks).take(self.points.len()) {
            for (to, from) in value.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut().zip(chunk.as_chunks().0) {
                let term = multiply(&elements(from), &[*weight; LANES]);
                for (to, term) in to.as_chunks_mut().0.iter_mut().zip(term) {
                    *to = (u16::from_be_bytes(*to) ^ term).to_be_bytes();
                }
            }
        }
        value
    }
}

/// Multiplies number i by x_i - x; where that is zero, it stays as it is.
fn multiply_by_distance(numbers: &mut Lanes, points: &[u16], x: u16) {
    for (numbers, points) in numbers.iter_mut().zip(points.chunks(LANES)) {
        let mut distances = [1; LANES];
        for (distance, point) in distances.iter_mut().zip(points) {
            let difference = point ^ x;
            *distance = if difference == 0 { 1 } else { difference };
        }
        *numbers = multiply(numbers, &distances);
    }
}

fn elements(bytes: &[u8; 2 * LANES]) -> Elements {
    let mut elements = [0; LANES];
    for (element, bytes) in elements.iter_mut().zip(bytes.as_chunks().0) {
        *element = u16::from_be_bytes(*bytes);
    }
    elements
}

/// x^12 + x^3 + x + 1: what x^16 is.
const REDUCTION: u16 = 0x100B;

/// The products in GF(2^16), from the highest bit of `b` down: a doubling and a masked addition a bit.
#[inline(always)]
fn multiply(a: &Elements, b: &Elements) -> Elements {
    let mut product = [0u16; LANES];
    for bit in (0..16).rev() {
        for ((product, a), b) in product.iter_mut().zip(a).zip(b) {
            let doubled = (*product << 1) ^ (REDUCTION & mask(*product >> 15));
            *product = doubled ^ (a & mask(b >> bit));
        }
    }
    product
}

/// All ones if the lowest bit is set.
#[inline(always)]
const fn mask(bit: u16) -> u16 {
    (bit & 1).wrapping_neg()
}

fn multiply_one(a: u16, b: u16) -> u16 {
    let [product, ..] = multiply(&[a; LANES], &[b; LANES]);
    product
}

/// a^(2^16 - 2) = 1/a: the product of a^(2^i) for i = 1 to 15.
fn inverse(a: &Elements) -> Elements {
    let mut power = multiply(a, a);
    let mut product = power;
    for _ in 2..16 {
        power = multiply(&power, &power);
        product = multiply(&product, &power);
    }
    product
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::primitives::{Primitives, RustCrypto};
    use crate::test_hex::hex;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use std::collections::BTreeSet;
    use std::vec::Vec;

    /// The same code from its definition alone: schoolbook multiplication and division, Lagrange for each element.
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

    /// SPECS §17's value.
    fn three_hashes() -> [u8; 96] {
        let mut value = [0; 96];
        for (to, text) in value.chunks_mut(32).zip([b"a", b"b", b"c"]) {
            to.copy_from_slice(&RustCrypto.sha256(&[text]));
        }
        value
    }

    /// SPECS §17.
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
        // Control: reed-solomon-simd's polynomial makes another field.
        assert_ne!(multiply_one(0xFFFF, 0xFFFF), Reference { polynomial: 0x1002D }.multiply(0xFFFF, 0xFFFF));
    }

    /// SPECS §17.
    #[test]
    fn codewords_are_the_known_ones_and_the_last_three_give_the_value_back() {
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

    /// Attack E2: any k distinct of 65,536 recover; the codewords are the reference's.
    fn any_k_recover<const LEN: usize, const CAPACITY: usize>(rng: &mut ChaCha20Rng, size: ChunkSize) {
        let mut value = [0; LEN];
        rng.fill_bytes(&mut value);
        let encoder = Encoder::<LEN, CAPACITY>::new(&value, size);
        assert_eq!(encoder.value(), value);
        for round in 0..20 {
            let mut indices = BTreeSet::new();
            while indices.len() < size.chunks(LEN) {
                // Small indices and large ones, so that some chunks are themselves and some are computed.
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
            // Control: a wrong one gives another value.
            codeword.chunk[0] ^= 1;
            assert_ne!(decoder.completed_by(&codeword), Some(value));
        }
        for index in [0, size.chunks(LEN) as u16, 40_000] {
            let expected = chunk(&REFERENCE.codeword(&value, size.bytes(), index));
            assert_eq!(encoder.codeword(index), expected, "codeword {index}");
        }
    }

    #[test]
    fn any_k_distinct_codewords_recover_every_value_with_chunks_of_every_size() {
        for size in ChunkSize::ALL {
            let mut rng = ChaCha20Rng::seed_from_u64(size.bytes() as u64);
            any_k_recover::<96, 256>(&mut rng, size);
            any_k_recover::<1152, 1280>(&mut rng, size);
            any_k_recover::<960, 1024>(&mut rng, size);
            any_k_recover::<160, 256>(&mut rng, size);
        }
    }

    /// Attack E2.
    #[test]
    fn of_each_index_the_first_codeword_is_kept_and_none_after_k() {
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
        // Control: a conflicting chunk that comes first is kept, and spoils the value.
        let mut spoilt = Decoder::<96, 256>::new(SMALL);
        spoilt.add(&Codeword { index: 7, chunk: chunk(&[0xEE; 32]) });
        spoilt.add(&genuine(7));
        spoilt.add(&genuine(8));
        assert_ne!(spoilt.completed_by(&genuine(9)), Some(value));
    }

    /// Attack E12.
    #[test]
    fn an_encoder_puts_out_every_codeword_once_and_then_nothing() {
        let mut encoder = Encoder::<160, 256>::new(&[5; 160], ChunkSize::Bytes256);
        for index in 0..=u16::MAX {
            assert_eq!(encoder.next_codeword().map(|codeword| codeword.index), Some(index));
        }
        assert_eq!((encoder.next_codeword(), encoder.next_codeword()), (None, None));
        assert_eq!(encoder.issued(), CODEWORDS);
    }

    /// What a codeword and a value cost, where nothing is the value itself: printed by
    /// `cargo test --release --lib coding_grows -- --nocapture`. Counted in multiplications it is linear in k for a codeword
    /// and quadratic for a value of k chunks, of which k - 1 messages pay nothing.
    fn cost<const LEN: usize, const CAPACITY: usize>(what: &str) {
        let value = [0x5A; LEN];
        let encoder = Encoder::<LEN, CAPACITY>::new(&value, SMALL);
        let k = SMALL.chunks(LEN) as u16;
        let rounds = 200;
        let started = std::time::Instant::now();
        let codewords: Vec<Codeword> =
            (k..k + rounds).map(|index| Codeword { index, chunk: encoder.codeword(index) }).collect();
        let encoded = started.elapsed() / u32::from(rounds);
        let (last, first) = codewords[..usize::from(k)].split_last().unwrap();
        let mut decoder = Decoder::<LEN, CAPACITY>::new(SMALL);
        first.iter().for_each(|codeword| decoder.add(codeword));
        let started = std::time::Instant::now();
        for _ in 0..rounds {
            assert_eq!(decoder.completed_by(last), Some(value));
        }
        let decoded = started.elapsed() / u32::from(rounds);
        std::println!(
            "{what}, {k} chunks: a codeword {encoded:?}, the value {decoded:?}, {:?} a chunk",
            decoded / u32::from(k)
        );
    }

    #[test]
    fn coding_grows_as_is_stated() {
        cost::<96, 256>("header");
        cost::<960, 1024>("ct1");
        cost::<1152, 1280>("ek_vector");
    }
}
