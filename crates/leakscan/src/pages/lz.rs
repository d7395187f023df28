// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoders of compressed blocks without a frame. The length of the output is stored elsewhere.
//!
//! Each decodes up to the first error, so that half a block counts for what it holds, and returns how much of the input
//! it read, from which a reader learns where the block ends. Matches that reach before the output are errors.

/// The methods of compression.
#[allow(dead_code, reason = "the formats that use the others are added next")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// PostgreSQL: `src/common/pg_lzcompress.c`.
    Pglz,
    /// A block of LZ4: `the LZ4 block format`.
    Lz4,
    /// Redis: `lzf_d.c` of liblzf.
    Lzf,
    /// A block of Snappy after the length of its content: `format_description.txt`.
    Snappy,
}

/// How a decoder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Bytes of the input that were read before the end or the first error.
    pub(super) read: usize,
    /// Why it ended.
    pub(super) ending: Ending,
}

/// Why a decoder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The output is as long as it has to be.
    Complete,
    /// The input ended.
    Cut,
    /// The input is no such block.
    Broken,
}

/// Appends the content of the block that `input` begins with, `len` bytes, to `out`, which is empty.
pub(super) fn decode(method: Method, input: &[u8], len: usize, out: &mut Vec<u8>) -> Decoded {
    let mut reader = Reader { input, at: 0 };
    let ending = match method {
        Method::Pglz => pglz(&mut reader, len, out),
        Method::Lz4 => lz4(&mut reader, len, out),
        Method::Lzf => lzf(&mut reader, len, out),
        Method::Snappy => snappy(&mut reader, len, out),
    };
    Decoded { read: reader.at, ending: ending.unwrap_or(Ending::Cut) }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<usize> {
        let byte = self.input.get(self.at)?;
        self.at = self.at.saturating_add(1);
        Some(usize::from(*byte))
    }

    /// A number of `bytes` bytes, low byte first.
    fn number(&mut self, bytes: u32) -> Option<usize> {
        (0..bytes).try_fold(0usize, |number, at| Some(number | self.byte()? << at.saturating_mul(8)))
    }

    /// Appends the next `len` bytes to `out`, or what there is of them.
    fn literals(&mut self, len: usize, out: &mut Vec<u8>) -> Option<()> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let literals = rest.get(..len).unwrap_or(rest);
        out.extend_from_slice(literals);
        self.at = self.at.saturating_add(literals.len());
        (literals.len() == len).then_some(())
    }
}

/// Appends the `len` bytes that lie `distance` bytes back. False if they are not all there.
fn repeat(out: &mut Vec<u8>, distance: usize, len: usize) -> bool {
    let Some(mut from) = out.len().checked_sub(distance).filter(|_| distance > 0) else { return false };
    let end = out.len().saturating_add(len);
    while out.len() < end {
        // The bytes that are appended may be copied again.
        let now = end.saturating_sub(out.len()).min(out.len().saturating_sub(from));
        out.extend_from_within(from..from.saturating_add(now));
        from = from.saturating_add(now);
    }
    true
}

fn pglz(reader: &mut Reader<'_>, len: usize, out: &mut Vec<u8>) -> Option<Ending> {
    while out.len() < len {
        let control = reader.byte()?;
        for item in 0..8 {
            if out.len() >= len {
                break;
            }
            if control >> item & 1 == 0 {
                reader.literals(1, out)?;
                continue;
            }
            let (first, second) = (reader.byte()?, reader.byte()?);
            let mut count = (first & 15).saturating_add(3);
            if count == 18 {
                count = count.saturating_add(reader.byte()?);
            }
            // A match may promise more than the output has room for: the reference implementation shortens it.
            if !repeat(out, (first & 0xF0) << 4 | second, count.min(len.saturating_sub(out.len()))) {
                return Some(Ending::Broken);
            }
        }
    }
    Some(Ending::Complete)
}

fn lz4(reader: &mut Reader<'_>, len: usize, out: &mut Vec<u8>) -> Option<Ending> {
    let long = |reader: &mut Reader<'_>, base: usize| {
        let mut count = base;
        if base == 15 {
            loop {
                let more = reader.byte()?;
                count = count.saturating_add(more);
                if more < 0xFF {
                    break;
                }
            }
        }
        Some(count)
    };
    loop {
        let token = reader.byte()?;
        let count = long(reader, token >> 4)?;
        if count > len.saturating_sub(out.len()) {
            return Some(Ending::Broken);
        }
        reader.literals(count, out)?;
        // The last sequence has literals only.
        if out.len() == len {
            return Some(Ending::Complete);
        }
        let distance = reader.number(2)?;
        let count = long(reader, token & 15)?.saturating_add(4);
        if count > len.saturating_sub(out.len()) || !repeat(out, distance, count) {
            return Some(Ending::Broken);
        }
    }
}

fn lzf(reader: &mut Reader<'_>, len: usize, out: &mut Vec<u8>) -> Option<Ending> {
    while out.len() < len {
        let control = reader.byte()?;
        if control < 32 {
            let count = control.saturating_add(1);
            if count > len.saturating_sub(out.len()) {
                return Some(Ending::Broken);
            }
            reader.literals(count, out)?;
            continue;
        }
        let mut count = control >> 5;
        if count == 7 {
            count = count.saturating_add(reader.byte()?);
        }
        let (count, distance) = (count.saturating_add(2), ((control & 31) << 8 | reader.byte()?).saturating_add(1));
        if count > len.saturating_sub(out.len()) || !repeat(out, distance, count) {
            return Some(Ending::Broken);
        }
    }
    Some(Ending::Complete)
}

fn snappy(reader: &mut Reader<'_>, len: usize, out: &mut Vec<u8>) -> Option<Ending> {
    while out.len() < len {
        let tag = reader.byte()?;
        let upper = tag >> 2;
        let (count, distance) = match tag & 3 {
            0 => {
                let count = if upper < 60 { upper } else { reader.number(upper.saturating_sub(59) as u32)? };
                let count = count.saturating_add(1);
                if count > len.saturating_sub(out.len()) {
                    return Some(Ending::Broken);
                }
                reader.literals(count, out)?;
                continue;
            }
            1 => ((upper & 7).saturating_add(4), upper >> 3 << 8 | reader.byte()?),
            2 => (upper.saturating_add(1), reader.number(2)?),
            _ => (upper.saturating_add(1), reader.number(4)?),
        };
        if count > len.saturating_sub(out.len()) || !repeat(out, distance, count) {
            return Some(Ending::Broken);
        }
    }
    Some(Ending::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    /// Bytes with repetitions near and far.
    fn compressible(rng: &mut ChaCha8Rng, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < len {
            let count = (rng.next_u32() % 40 + 1) as usize;
            if rng.next_u32().is_multiple_of(2) || bytes.is_empty() {
                bytes.extend((0..count).map(|_| rng.next_u32() as u8));
            } else {
                let from = rng.next_u32() as usize % bytes.len();
                let distance = bytes.len() - from;
                assert!(repeat(&mut bytes, distance, count));
            }
        }
        bytes.truncate(len);
        bytes
    }

    fn all(method: Method, input: &[u8], len: usize) -> (Vec<u8>, Decoded) {
        let mut out = Vec::new();
        let decoded = decode(method, input, len, &mut out);
        (out, decoded)
    }

    #[test]
    fn the_output_of_other_encoders_is_decoded_and_its_end_found() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 1..300 {
            let text = compressible(&mut rng, round * 37);
            let snappy = snap::raw::Encoder::new().compress_vec(&text).unwrap();
            let header = if text.len() < 128 { 1 } else { 2 };
            for (method, packed) in
                [(Method::Lz4, lz4_flex::block::compress(&text)), (Method::Snappy, snappy[header..].to_vec())]
            {
                let longer = [&packed[..], b"what follows"].concat();
                let (out, decoded) = all(method, &longer, text.len());
                assert_eq!(out, text);
                assert_eq!(decoded, Decoded { read: packed.len(), ending: Ending::Complete }, "{method:?}");
                // A cut block counts for what it holds.
                let (out, decoded) = all(method, &packed[..packed.len() - 1], text.len());
                assert!(text.starts_with(&out) && decoded.ending != Ending::Complete);
            }
        }
    }

    #[test]
    fn known_answers_of_the_formats() {
        // `lzf_compress` of 'a' * 30: one literal (01 61 61), a match of 27 bytes, one literal.
        let lzf = hex!("01 61 61 E0 12 00 00 61");
        let (out, decoded) = all(Method::Lzf, &lzf, 30);
        assert_eq!((out, decoded.ending), (vec![b'a'; 30], Ending::Complete));
        let pglz = hex!("02 61 0F 01 0B");
        let (out, decoded) = all(Method::Pglz, &pglz, 30);
        assert_eq!((out, decoded), (vec![b'a'; 30], Decoded { read: 5, ending: Ending::Complete }));
    }

    #[test]
    fn no_input_makes_more_output_than_it_has_to_or_a_panic() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut broken = 0;
        for round in 0..40_000usize {
            let mut input = vec![0; round % 97];
            rng.fill_bytes(&mut input);
            if round % 3 == 0 {
                input.iter_mut().for_each(|byte| *byte &= 0x23);
            }
            for method in [Method::Pglz, Method::Lz4, Method::Lzf, Method::Snappy] {
                let (out, decoded) = all(method, &input, round % 1000);
                assert!(out.len() <= round % 1000 && decoded.read <= input.len());
                assert!(decoded.ending != Ending::Complete || out.len() == round % 1000);
                broken += usize::from(decoded.ending == Ending::Broken);
            }
        }
        assert!(broken > 10_000, "{broken}");
    }
}
