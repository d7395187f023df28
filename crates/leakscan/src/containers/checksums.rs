// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checksums of formats whose crates do not show them: CRC-32C of Snappy frames, XXH32 of LZ4 frames.

/// The reversed polynomial of CRC-32C (RFC 3720, 12.1).
const CASTAGNOLI: u32 = 0x82F6_3B78;

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let (mut rest, mut bit) = (byte, 0u32);
        while bit < 8 {
            rest = rest >> 1 ^ if rest & 1 == 1 { CASTAGNOLI } else { 0 };
            bit = bit.wrapping_add(1);
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[byte as usize] = rest;
        }
        byte = byte.wrapping_add(1);
    }
    table
}

/// The checksum of a chunk of a Snappy stream: CRC-32C, masked (framing format, 3).
pub(super) fn masked_crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        crc >> 8 ^ TABLE.get(((crc ^ u32::from(*byte)) & 0xFF) as usize).copied().unwrap_or_default()
    };
    let crc = !bytes.iter().fold(!0, step);
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];

/// XXH32 with seed 0 (xxHash specification 0.1.1), of bytes that come in pieces.
pub(super) struct Xxh32 {
    lanes: [u32; 4],
    /// Bytes that do not fill a stripe of sixteen.
    rest: Vec<u8>,
    len: u64,
}

impl Xxh32 {
    pub(super) const fn new() -> Self {
        let [one, two, ..] = PRIMES;
        let lanes = [one.wrapping_add(two), two, 0, 0u32.wrapping_sub(one)];
        Self { lanes, rest: Vec::new(), len: 0 }
    }

    /// The checksum of all bytes at once.
    pub(super) fn of(bytes: &[u8]) -> u32 {
        let mut sum = Self::new();
        sum.update(bytes);
        sum.sum()
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.len = self.len.wrapping_add(bytes.len() as u64);
        if !self.rest.is_empty() {
            let now = bytes.len().min(16usize.saturating_sub(self.rest.len()));
            let (first, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
            self.rest.extend_from_slice(first);
            bytes = rest;
            if let Some(stripe) = self.rest.first_chunk().copied() {
                self.stripe(&stripe);
                self.rest.clear();
            }
        }
        let (stripes, rest) = bytes.as_chunks();
        stripes.iter().for_each(|stripe| self.stripe(stripe));
        self.rest.extend_from_slice(rest);
    }

    fn stripe(&mut self, stripe: &[u8; 16]) {
        let [one, two, ..] = PRIMES;
        for (lane, word) in self.lanes.iter_mut().zip(stripe.as_chunks().0) {
            let sum = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(two));
            *lane = sum.rotate_left(13).wrapping_mul(one);
        }
    }

    pub(super) fn sum(&self) -> u32 {
        let [one, two, three, four, five] = PRIMES;
        let [a, b, c, d] = self.lanes;
        let long = [a.rotate_left(1), b.rotate_left(7), c.rotate_left(12), d.rotate_left(18)];
        let start = if self.len < 16 { five } else { long.into_iter().fold(0, u32::wrapping_add) };
        let mut sum = start.wrapping_add(self.len as u32);
        let (words, bytes) = self.rest.as_chunks();
        for word in words {
            let added = sum.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(three));
            sum = added.rotate_left(17).wrapping_mul(four);
        }
        for byte in bytes {
            sum = sum.wrapping_add(u32::from(*byte).wrapping_mul(five)).rotate_left(11).wrapping_mul(one);
        }
        sum = (sum ^ sum >> 15).wrapping_mul(two);
        sum = (sum ^ sum >> 13).wrapping_mul(three);
        sum ^ sum >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // xxHash specification, test vectors of its reference implementation with seed 0; RFC 3720, B.4.
        assert_eq!(Xxh32::of(b""), 0x02CC_5D05);
        assert_eq!(Xxh32::of(b"abc"), 0x32D1_53FF);
        assert_eq!(Xxh32::of(b"Nobody inspects the spammish repetition"), 0xE229_3B2F);
        let mask = |crc: u32| crc.rotate_right(15).wrapping_add(0xA282_EAD8);
        assert_eq!(masked_crc32c(&[0; 32]), mask(0x8A91_36AA));
        assert_eq!(masked_crc32c(&[0xFF; 32]), mask(0x62A8_AB43));
        assert_eq!(masked_crc32c(b"123456789"), mask(0xE306_9283));
    }

    #[test]
    fn pieces_do_not_matter() {
        let bytes: Vec<u8> = (0..100).collect();
        for len in 0..bytes.len() {
            for piece in 1..40 {
                let mut sum = Xxh32::new();
                bytes[..len].chunks(piece).for_each(|piece| sum.update(piece));
                assert_eq!(sum.sum(), Xxh32::of(&bytes[..len]), "{len} {piece}");
            }
        }
    }
}
