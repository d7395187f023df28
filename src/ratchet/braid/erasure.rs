// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Braid's erasure code: a value becomes up to 65,536 codewords of one size, and any k of them recover it.
//!
//! The field is GF(2^16) with polynomial x^16 + x^12 + x^3 + x + 1. A value is divided into k chunks, the last padded
//! with zeros; a chunk's elements have 16 bits each, big-endian. Codeword i is P(i), element by element, where P is the
//! polynomial of degree below k through (t, chunk t) for t = 0 to k - 1. Codewords 0 to k - 1 are therefore the chunks
//! themselves.
//!
//! Multiplication is bit by bit, without tables. The coded values are public (keys, ciphertexts, MACs), but a table
//! would take 128 KiB of a device's memory, and a checker for constant time would report its lookups as if they
//! depended on secrets.
//!
//! This module is not concerned with the meaning of the value and does not check whether a codeword is genuine: a wrong
//! one is not noticed here.
//!
//! # Why not `reed-solomon-simd`
//! It implements a different code: it works in another field (x^16 + x^5 + x^3 + x^2 + 1) and basis, fixes the number
//! of recovery chunks before it computes the first, computes them all at once, and needs an allocator and tables of up
//! to 8 MiB. Here one codeword is computed per message until the peer has enough, on a device without an allocator, and
//! k is at most 36, where its O(n log n) gains nothing.

use crate::wire::ChunkSize;

/// Length in bytes of the longest chunk. Values are stored padded to a multiple of it, which is a multiple of all
/// shorter lengths.
pub(crate) const MAX_CHUNK_LEN: usize = ChunkSize::Bytes256.bytes();
/// Maximum number of chunks of a value: 1,152 bytes in chunks of 32.
pub(crate) const MAX_CHUNKS: usize = 36;
/// Number of codewords of one value: one for each u16.
pub(crate) const CODEWORDS: u32 = 1 << 16;

/// Number of elements that are multiplied at once. Compilers turn this shape into vector instructions.
const LANES: usize = 16;
type Elements = [u16; LANES];

/// A chunk of any size, with zeros after its end.
pub(crate) type Chunk = [u8; MAX_CHUNK_LEN];

/// Codeword `index` of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Codeword {
    pub(crate) index: u16,
    pub(crate) chunk: Chunk,
}

/// Outputs codewords 0, 1, 2, ... of a value of `LEN` bytes, each once. `CAPACITY` is `LEN` rounded up to a multiple of
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

    /// Creates an encoder that has already output `next` codewords.
    pub(crate) fn resume(value: &[u8; LEN], size: ChunkSize, next: u32) -> Self {
        const { check_lengths::<LEN, CAPACITY>() };
        let mut padded = [0; CAPACITY];
        for (to, from) in padded.iter_mut().zip(value) {
            *to = *from;
        }
        Self { padded, next, size }
    }

    /// Returns the value.
    pub(crate) fn value(&self) -> [u8; LEN] {
        self.padded.first_chunk().copied().unwrap_or([0; LEN])
    }

    pub(crate) const fn chunk_size(&self) -> ChunkSize {
        self.size
    }

    /// Returns the number of codewords output so far.
    pub(crate) const fn issued(&self) -> u32 {
        self.next
    }

    /// Returns the next codeword, or `None` after all 65,536 have been output (attack E12).
    pub(crate) fn next_codeword(&mut self) -> Option<Codeword> {
        let index = u16::try_from(self.next).ok()?;
        // At most 2^16.
        self.next = self.next.saturating_add(1);
        Some(Codeword { index, chunk: self.codeword(index) })
    }

    fn codeword(&self, index: u16) -> Chunk {
        let k = self.size.chunks(LEN);
        if usize::from(index) < k {
            return nth(&self.padded, self.size, usize::from(index));
        }
        let weights = weights_after(k, index);
        combine(weights.as_flattened().get(..k).unwrap_or_default(), &self.padded, self.size)
    }
}

/// The encoder of a value that follows from secrets in the same state. Such a value is not stored: after the state was
/// restored it is computed again when the next codeword is needed, and not before.
#[derive(Clone, Debug)]
pub(crate) struct DeferredEncoder<const LEN: usize, const CAPACITY: usize> {
    encoder: Encoder<LEN, CAPACITY>,
    /// Whether `encoder` has the value. Otherwise it has zeros, so that no space is uninitialized.
    is_known: bool,
}

impl<const LEN: usize, const CAPACITY: usize> DeferredEncoder<LEN, CAPACITY> {
    /// Creates the encoder of a value that is known.
    pub(crate) fn known(value: &[u8; LEN], size: ChunkSize) -> Self {
        Self { encoder: Encoder::new(value, size), is_known: true }
    }

    /// Creates an encoder that has already output `next` codewords of a value that is not known yet.
    pub(crate) const fn unknown(size: ChunkSize, next: u32) -> Self {
        const { check_lengths::<LEN, CAPACITY>() };
        Self { encoder: Encoder { padded: [0; CAPACITY], next, size }, is_known: false }
    }

    /// Returns the value, if it is known.
    pub(crate) fn value(&self) -> Option<[u8; LEN]> {
        self.is_known.then(|| self.encoder.value())
    }

    pub(crate) const fn chunk_size(&self) -> ChunkSize {
        self.encoder.chunk_size()
    }

    /// Returns the number of codewords output so far.
    pub(crate) const fn issued(&self) -> u32 {
        self.encoder.issued()
    }

    /// Stores the value.
    pub(crate) fn learn(&mut self, value: &[u8; LEN]) {
        self.encoder = Encoder::resume(value, self.encoder.size, self.encoder.next);
        self.is_known = true;
    }

    /// Does what [`Encoder::next_codeword`] does. `value` is called if the value is needed and not known.
    pub(crate) fn next_codeword(&mut self, value: impl FnOnce() -> [u8; LEN]) -> Option<Codeword> {
        if !self.is_known && self.encoder.next < CODEWORDS {
            self.learn(&value());
        }
        self.encoder.next_codeword()
    }

    /// Returns the next codeword, and begins again with the first after all have been output. It is meant for messages
    /// that carry other information in addition to the chunk. `value` is called if the value is not known.
    pub(crate) fn next_codeword_again(&mut self, value: impl FnOnce() -> [u8; LEN]) -> Option<Codeword> {
        if self.encoder.next >= CODEWORDS {
            self.encoder.next = 0;
        }
        self.next_codeword(value)
    }
}

/// Collects codewords of a value of `LEN` bytes: the first of each index, until there are k.
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

    /// Returns k.
    pub(crate) const fn needed(&self) -> usize {
        self.size.chunks(LEN)
    }

    pub(crate) const fn chunk_size(&self) -> ChunkSize {
        self.size
    }

    /// Returns the collected codewords, in order of arrival.
    pub(crate) fn codewords(&self) -> impl Iterator<Item = Codeword> {
        let indices = self.indices().iter().enumerate();
        indices.map(|(at, index)| Codeword { index: *index, chunk: nth(&self.chunks, self.size, at) })
    }

    /// Returns the number of collected codewords.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    fn indices(&self) -> &[u16] {
        self.indices.get(..self.count).unwrap_or_default()
    }

    /// Returns whether a codeword with `index` would be kept: its index is new, and there are fewer than k.
    pub(crate) fn lacks(&self, index: u16) -> bool {
        self.count < self.needed() && !self.indices().contains(&index)
    }

    /// Returns whether exactly one codeword is missing.
    pub(crate) const fn lacks_one(&self) -> bool {
        self.count.saturating_add(1) == self.needed()
    }

    /// Keeps `codeword`, unless there is one with its index, even a different one, or there are k (attack E2).
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

    /// Returns the value if `codeword` is the missing one. It changes nothing.
    pub(crate) fn completed_by(&self, codeword: &Codeword) -> Option<[u8; LEN]> {
        if !self.lacks(codeword.index) || !self.lacks_one() {
            return None;
        }
        let mut whole = Self { chunks: self.chunks, indices: self.indices, count: self.count, size: self.size };
        whole.add(codeword);
        Some(whole.decode())
    }

    /// Computes the value from k codewords.
    fn decode(&self) -> [u8; LEN] {
        let mut value = [0; LEN];
        let mut interpolation = None;
        let places = (0..).step_by(LANES);
        for (first, out) in places.zip(value.chunks_mut(self.size.bytes().saturating_mul(LANES))) {
            let mut weights = None;
            for (lane, (at, out)) in (first..).zip(out.chunks_mut(self.size.bytes())).enumerate() {
                let chunk = match self.indices().iter().position(|index| *index == at) {
                    Some(place) => nth(&self.chunks, self.size, place),
                    None => {
                        let interpolation = interpolation.get_or_insert_with(|| Interpolation::new(self.indices()));
                        let weights = weights.get_or_insert_with(|| interpolation.weights(&consecutive(first)));
                        let weights = weights.map(|weight| weight.get(lane).copied().unwrap_or(0));
                        combine(weights.get(..self.count).unwrap_or_default(), &self.chunks, self.size)
                    }
                };
                for (to, from) in out.iter_mut().zip(&chunk) {
                    *to = *from;
                }
            }
        }
        value
    }
}

/// Returns `first` and the numbers after it.
fn consecutive<const N: usize>(first: u16) -> [u16; N] {
    let mut numbers = [0; N];
    for (number, from) in numbers.iter_mut().zip(first..) {
        *number = from;
    }
    numbers
}

/// Returns chunk `at` of a value or of collected codewords.
fn nth(chunks: &[u8], size: ChunkSize, at: usize) -> Chunk {
    let mut chunk = [0; MAX_CHUNK_LEN];
    for (to, from) in chunk.iter_mut().zip(chunks.chunks_exact(size.bytes()).nth(at).unwrap_or_default()) {
        *to = *from;
    }
    chunk
}

/// Checks at compile time that every chunk size divides the capacity and that the smallest gives at most MAX_CHUNKS.
const fn check_lengths<const LEN: usize, const CAPACITY: usize>() {
    assert!(CAPACITY == LEN.next_multiple_of(MAX_CHUNK_LEN), "not the capacity of this length");
    assert!(ChunkSize::Bytes32.chunks(LEN) <= MAX_CHUNKS, "too many chunks");
}

/// One number for each of some points, up to one more than there are chunks. The numbers after the last point have no
/// meaning and are not zero.
type Lanes = [Elements; (MAX_CHUNKS + 1).div_ceil(LANES)];

/// Returns for each point the product of its distances from all others. Subtraction is addition, which is XOR.
fn distances(points: &[u16]) -> Lanes {
    let mut products = [[1; LANES]; _];
    for point in points {
        for (products, others) in products.iter_mut().zip(points.chunks(LANES)) {
            let mut distances = [1; LANES];
            for (distance, other) in distances.iter_mut().zip(others) {
                // A point's distance from itself is left out.
                let difference = point ^ other;
                *distance = if difference == 0 { 1 } else { difference };
            }
            *products = multiply(products, &distances);
        }
    }
    products
}

/// Returns the weight of each of the points 0 to k - 1 at x, which is none of them: the product of the distances of x
/// from all points, divided by the product of the distances of point i from all others and x.
fn weights_after(k: usize, x: u16) -> Lanes {
    let mut points = consecutive::<{ MAX_CHUNKS + 1 }>(0);
    if let Some(point) = points.get_mut(k) {
        *point = x;
    }
    let mut weights = distances(points.get(..=k).unwrap_or_default());
    let product = weights.as_flattened().get(k).copied().unwrap_or(0);
    let lanes = weights.get_mut(..=k / LANES).unwrap_or_default();
    invert(lanes);
    for weights in lanes {
        *weights = multiply(weights, &[product; LANES]);
    }
    weights
}

/// The polynomial of degree below k through k points of different x, in Lagrange's form. The part that depends only on
/// the points is computed once, and the part that depends on x for [`LANES`] values of x at a time.
struct Interpolation<'a> {
    points: &'a [u16],
    /// 1 / the product of point i's distances from all others.
    scales: Lanes,
}

/// The weight of each point at [`LANES`] values of x.
type Weights = [Elements; MAX_CHUNKS];

impl<'a> Interpolation<'a> {
    fn new(points: &'a [u16]) -> Self {
        let mut scales = distances(points);
        invert(scales.get_mut(..points.len().div_ceil(LANES)).unwrap_or_default());
        Self { points, scales }
    }

    /// Weight i = scale_i times the product of x - x_m over all m except i: the product over the points before i times
    /// the product over those after it. No x needs an inverse, and at a point itself its own weight is 1 and every
    /// other is 0.
    fn weights(&self, xs: &Elements) -> Weights {
        let mut weights = [[0; LANES]; MAX_CHUNKS];
        let mut before = [1; LANES];
        for (weight, point) in weights.iter_mut().zip(self.points) {
            *weight = before;
            before = multiply(&before, &xs.map(|x| x ^ point));
        }
        let mut after = [1; LANES];
        let points = self.points.iter().zip(self.scales.as_flattened());
        for (weight, (point, scale)) in weights.iter_mut().zip(points).rev() {
            *weight = multiply(&multiply(weight, &after), &[*scale; LANES]);
            after = multiply(&after, &xs.map(|x| x ^ point));
        }
        weights
    }
}

/// Returns P(x), where chunk i is the value at point i and weight i its weight. Chunks are added up for each bit of
/// their weights; then the sums are doubled together instead of each product.
fn combine(weights: &[u16], chunks: &[u8], size: ChunkSize) -> Chunk {
    let mut value = [0; MAX_CHUNK_LEN];
    let places = value.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut().take(size.bytes() / (2 * LANES));
    for (place, value) in places.enumerate() {
        let mut sums = [[0; LANES]; 16];
        for (weight, chunk) in weights.iter().zip(chunks.chunks_exact(size.bytes())) {
            let chunk = elements(chunk.as_chunks().0.get(place).unwrap_or(&[0; 2 * LANES]));
            for (bit, sum) in (0..16).zip(&mut sums) {
                let mask = mask(weight >> bit);
                for (sum, element) in sum.iter_mut().zip(chunk) {
                    *sum ^= element & mask;
                }
            }
        }
        let mut all = [0; LANES];
        for sum in sums.iter().rev() {
            for (all, sum) in all.iter_mut().zip(sum) {
                *all = double(*all) ^ sum;
            }
        }
        for (to, element) in value.as_chunks_mut().0.iter_mut().zip(all) {
            *to = element.to_be_bytes();
        }
    }
    value
}

fn elements(bytes: &[u8; 2 * LANES]) -> Elements {
    let mut elements = [0; LANES];
    for (element, bytes) in elements.iter_mut().zip(bytes.as_chunks().0) {
        *element = u16::from_be_bytes(*bytes);
    }
    elements
}

/// x^12 + x^3 + x + 1, to which x^16 reduces.
const REDUCTION: u16 = 0x100B;

/// Multiplies in GF(2^16), from the highest bit of `b` down: one doubling and one masked addition per bit.
#[inline(always)]
fn multiply(a: &Elements, b: &Elements) -> Elements {
    let mut product = [0u16; LANES];
    for bit in (0..16).rev() {
        for ((product, a), b) in product.iter_mut().zip(a).zip(b) {
            *product = double(*product) ^ (a & mask(b >> bit));
        }
    }
    product
}

#[inline(always)]
const fn double(element: u16) -> u16 {
    (element << 1) ^ (REDUCTION & mask(element >> 15))
}

/// Returns all ones if the lowest bit is set, and otherwise zero.
#[inline(always)]
const fn mask(bit: u16) -> u16 {
    (bit & 1).wrapping_neg()
}

#[cfg(test)]
fn multiply_one(a: u16, b: u16) -> u16 {
    let [product, ..] = multiply(&[a; LANES], &[b; LANES]);
    product
}

/// Replaces each lane of each element by its inverse 1/a; no lane is zero. It uses one inversion, of the product of all
/// (Montgomery's trick).
fn invert(numbers: &mut [Elements]) {
    let mut before: Lanes = [[1; LANES]; _];
    let mut product = [1; LANES];
    for (before, number) in before.iter_mut().zip(numbers.iter()) {
        *before = product;
        product = multiply(&product, number);
    }
    let mut rest = inverse(&product);
    for (number, before) in numbers.iter_mut().zip(&before).rev() {
        let inverse = multiply(&rest, before);
        rest = multiply(&rest, number);
        *number = inverse;
    }
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
mod tests;
