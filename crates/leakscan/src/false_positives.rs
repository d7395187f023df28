// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rejects random matches, bytes that begin like encoded data by chance, before they cost work. A match that could
//! decode to sixteen bytes is never rejected.

use super::index::needles::FRAGMENT;

/// Bytes on either side of a byte in which a byte of no text ends every run: at most seven remain on each side, fewer
/// than sixteen symbols with the byte itself.
pub(crate) const NEAR: usize = FRAGMENT / 2;

/// Whether these bytes, on one side of a byte, end every run of text that contains it: one of them is in no encoding of
/// text. None may be zero, since UTF-16 encodes each character as two bytes of which one is zero. Latin-1 in UTF-8
/// uses, besides the bytes of text, 0xC2 and 0xC3, each followed by a byte below 0xC0; the other encodings use bytes of
/// text only.
pub(crate) fn ends_text(near: &[u8]) -> bool {
    let ends = |&byte: &u8| matches!(byte, 0xC0 | 0xC1 | 0xC4..);
    near.iter().any(ends) && near.iter().all(|&byte| byte != 0)
}

/// The bits of a deflate stream, from the lowest of each byte on.
struct Bits<'a> {
    bytes: core::slice::Iter<'a, u8>,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// Takes `count` bits, at most 16, the first as the lowest; `None` if there are fewer.
    fn take(&mut self, count: u32) -> Option<u32> {
        while self.count < count {
            self.held |= u32::from(*self.bytes.next()?) << self.count;
            self.count = self.count.saturating_add(8);
        }
        let bits = self.held & (1u32 << count).wrapping_sub(1);
        self.held >>= count;
        self.count = self.count.saturating_sub(count);
        Some(bits)
    }

    /// Appends `count` bits to those of a code, which is stored from its highest bit on.
    fn code(&mut self, code: u32, count: u32) -> Option<u32> {
        let bits = self.take(count)?;
        Some(code << count | bits.reverse_bits() >> 32u32.saturating_sub(count))
    }
}

/// Bytes of the input of a stream of which the most frequent value has a share of at most one in [`MAX_SHARE`], unless its
/// first block has a code of its own. Machine code (`48 89` is a zlib header and a move of a register), tables and text
/// inflate far as blocks of fixed codes. Of 1024 random bytes, the most frequent has 12; of JSON, text, programs and
/// numbers that zlib compressed with fixed codes, up to 46; of the false ones of a Linux system, 125 and more.
pub(crate) const SAMPLE: usize = 1024;
const MAX_SHARE: usize = 12;

/// Whether the beginning of a zlib stream has a code of its own, or is as even as compressed bytes are. What is stored lies
/// there as it is: a comparison in machine code is a header with a stored block of 64 KB.
pub(crate) fn may_be_compressed(sample: &[u8]) -> bool {
    let mut counts = [0usize; 256];
    for &byte in sample {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
    }
    // Of random bytes, half are not ASCII; of zlib's fixed codes, at least three in eight.
    let is_ascii = sample.iter().filter(|byte| !byte.is_ascii()).count().saturating_mul(4) < sample.len();
    let kind = sample.get(2).map(|first| first >> 1 & 3);
    kind == Some(2)
        || kind != Some(0) && !is_ascii && counts.iter().all(|count| count.saturating_mul(MAX_SHARE) <= sample.len())
}

/// Whether the deflate stream of a zlib stream fails before it has output [`FRAGMENT`] bytes. One in four random
/// matches of a zlib header is followed by a block of fixed codes (RFC 1951, 3.2.6). Every fifth symbol of those is a
/// match, and most matches refer to bytes before the first.
pub(crate) fn fails_at_once(stream: &[u8]) -> bool {
    let mut bits = Bits { bytes: stream.iter(), held: 0, count: 0 };
    if bits.take(3).is_none_or(|header| header >> 1 != 1) {
        return false;
    }
    let mut out = 0u32;
    while (out as usize) < FRAGMENT {
        match symbol(&mut bits, out) {
            Some(Symbol::Literal) => out = out.saturating_add(1),
            Some(Symbol::Match(len)) => out = out.saturating_add(len),
            Some(Symbol::Invalid) => return true,
            Some(Symbol::End) | None => return false,
        }
    }
    false
}

enum Symbol {
    Literal,
    /// The number of bytes that it copies.
    Match(u32),
    End,
    Invalid,
}

/// The next symbol after `out` bytes of output (RFC 1951, 3.2.5 and 3.2.6).
fn symbol(bits: &mut Bits<'_>, out: u32) -> Option<Symbol> {
    let seven = bits.code(0, 7)?;
    let number = match seven {
        0 => return Some(Symbol::End),
        1..=23 => seven,
        24..=95 => return bits.take(1).map(|_| Symbol::Literal),
        96..=99 => bits.code(seven, 1)?.saturating_sub(0xC0).saturating_add(24),
        _ => return bits.take(2).map(|_| Symbol::Literal),
    };
    let len = match number {
        1..=8 => number.saturating_add(2),
        9..=28 => {
            let extra = number.saturating_sub(5) / 4;
            let base = (4 | number.saturating_sub(1) & 3) << extra;
            base.saturating_add(3).saturating_add(bits.take(extra)?)
        }
        29 => 258,
        _ => return Some(Symbol::Invalid),
    };
    let distance = match bits.code(0, 5)? {
        code @ 0..=3 => code.saturating_add(1),
        code @ 4..=29 => {
            let extra = code.saturating_sub(2) / 2;
            let base = (2 | code & 1) << extra;
            base.saturating_add(1).saturating_add(bits.take(extra)?)
        }
        _ => return Some(Symbol::Invalid),
    };
    Some(if distance > out { Symbol::Invalid } else { Symbol::Match(len) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    /// The output of a stream after a stored block of 32 KiB of the byte `before`.
    fn inflate_after(stream: &[u8], before: u8) -> Vec<u8> {
        let mut all = vec![0, 0xFF, 0x7F, 0, 0x80];
        all.resize(5 + 0x7FFF, before);
        all.extend(stream);
        let mut out = vec![0; 1 << 17];
        let mut inflater = Decompress::new(false);
        _ = inflater.decompress(&all, &mut out, FlushDecompress::Finish);
        out.truncate(usize::try_from(inflater.total_out()).unwrap());
        out.split_off(0x7FFF)
    }

    /// The length of a stream's output before it fails or refers to bytes before the stream.
    fn own_output(stream: &[u8]) -> usize {
        let (one, other) = (inflate_after(stream, 0x55), inflate_after(stream, 0xAA));
        one.iter().zip(&other).take_while(|(one, other)| one == other).count()
    }

    #[test]
    fn no_stream_that_outputs_a_fragment_is_rejected() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut rejected, mut kept) = (0, 0);
        for _ in 0..10_000 {
            let mut stream = [0; 300];
            rng.fill_bytes(&mut stream);
            stream[0] = stream[0] & !6 | 2;
            let out = own_output(&stream);
            if fails_at_once(&stream) {
                rejected += 1;
                assert!(out < FRAGMENT, "{out} bytes of {:x?}", &stream[..32]);
            } else {
                kept += 1;
            }
        }
        // Controls: some are rejected, and some are not.
        assert!(rejected > 8_000 && kept > 200, "{rejected} {kept}");
    }

    #[test]
    fn the_output_of_a_compressor_is_never_rejected() {
        use std::io::Write as _;
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for round in 0..2_000 {
            let len = rng.next_u32() % 64;
            let text: Vec<u8> = (0..len).map(|_| (rng.next_u32() % (round % 250 + 1)) as u8).collect();
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(round % 10));
            encoder.write_all(&text).unwrap();
            assert!(!fails_at_once(&encoder.finish().unwrap()), "{text:x?}");
        }
    }

    /// Streams of `zlib.compressobj(9, DEFLATED, 15, 9, Z_FIXED)` of Python are even; machine code, text and tables are
    /// not, and a stream with a code of its own need not be.
    #[test]
    fn text_and_machine_code_are_no_compressed_stream() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut random = vec![0; SAMPLE];
        rng.fill_bytes(&mut random);
        random[2] = 3;
        assert!(may_be_compressed(&random));
        random[2] = 0;
        assert!(!may_be_compressed(&random));
        let code =
            b"\x48\x89\x78\x38\x48\x3D\xFF\x7F\xFF\x7F\x77\x21\x48\xC1\xE8\x03\x48\xC7\x80\0\x80\xFF\x7F\0\0\0\x31\xC0";
        let names = b"h\x05cithe\x04citl\x05citle\x05citlh\x05citne\x05citnh\x06citnhe\x05citnl\x06citnle\x06citnlh";
        let table = b"x\x01\x03\0\x03\0\x04\0\x05\0\x07\0\x0B\0\x12\0\x1D\0";
        for bytes in [&code[..], names, table] {
            let mut sample: Vec<u8> = bytes.iter().cycle().take(SAMPLE).copied().collect();
            assert!(!may_be_compressed(&sample), "{bytes:02x?}");
            // Even, but of text alone.
            let ascii: Vec<u8> = sample.iter().zip(&random).map(|(_, byte)| byte & 0x7F).collect();
            assert!(!may_be_compressed(&ascii));
            sample[2] = 4;
            assert!(may_be_compressed(&sample), "{bytes:02x?}");
        }
    }
}
