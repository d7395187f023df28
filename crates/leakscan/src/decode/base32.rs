// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base32: five bits a symbol, in the alphabets that are in use. A value may begin at any bit: in some of them the
//! symbols are digits of one number, padded with zero bits at its beginning.
//!
//! Symbols are numbered as in Base64 (`A` is 0, `a` is 26, `0` is 52), since base32 is found in runs of that.

/// The fewest symbols that encode 16 bytes.
pub const MIN_SYMBOLS: usize = 26;
/// The number of bits after which a byte may begin.
pub const ALIGNMENTS: usize = 8;
const BITS: usize = 5;

/// The value of a symbol that an alphabet does not have.
pub const NONE: u8 = 255;
/// The value of each symbol of Base64.
pub type Alphabet = [u8; 64];

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn alphabet(symbols: &[u8; 32], others: &[(u8, u8)]) -> Alphabet {
    let mut values = [NONE; 64];
    let mut at = 0;
    while at < 32 + others.len() {
        let (byte, value) = if at < 32 { (symbols[at], at as u8) } else { others[at - 32] };
        match byte {
            // Each alphabet is used in either case.
            b'a'..=b'z' => {
                values[(byte - b'a') as usize] = value;
                values[(byte - b'a') as usize + 26] = value;
            }
            _ => values[(byte - b'0') as usize + 52] = value,
        }
        at += 1;
    }
    values
}

/// The alphabets of RFC 4648, sections 6 and 7; Crockford's, in which `o` is 0, and `i` and `l` are 1; z-base-32;
/// Bech32's (BIP 173); Geohash's; and that of Nix. Nix writes a number whose lowest byte is the first: its bytes are
/// decoded in reverse order.
pub static ALPHABETS: [Alphabet; 7] = [
    alphabet(b"abcdefghijklmnopqrstuvwxyz234567", &[]),
    alphabet(b"0123456789abcdefghijklmnopqrstuv", &[]),
    alphabet(b"0123456789abcdefghjkmnpqrstvwxyz", &[(b'o', 0), (b'i', 1), (b'l', 1)]),
    alphabet(b"ybndrfg8ejkmcpqxot1uwisza345h769", &[]),
    alphabet(b"qpzry9x8gf2tvdw0s3jn54khce6mua7l", &[]),
    alphabet(b"0123456789bcdefghjkmnpqrstuvwxyz", &[]),
    alphabet(b"0123456789abcdfghijklmnpqrsvwxyz", &[]),
];

/// Appends the bytes that symbols of one alphabet encode from bit `skip` on.
pub fn decode(symbols: &[u8], alphabet: &Alphabet, skip: usize, out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0u32, 0usize);
    let mut skip = skip;
    for &symbol in symbols {
        let value = alphabet.get(usize::from(symbol)).copied().unwrap_or_default();
        bits = bits << BITS | u32::from(value & 31);
        count = count.saturating_add(BITS);
        if skip > 0 && count >= skip {
            count = count.saturating_sub(skip);
            skip = 0;
        }
        if skip == 0 && count >= 8 {
            count = count.saturating_sub(8);
            out.push((bits >> count) as u8);
        }
    }
}

/// The number of the symbol in which a decoded byte begins.
pub const fn symbol_of(byte: usize, skip: usize) -> usize {
    byte.saturating_mul(8).saturating_add(skip) / BITS
}

#[cfg(test)]
mod tests {
    use super::super::base64;
    use super::*;

    fn decoded(text: &str, alphabet: usize, skip: usize) -> Vec<u8> {
        let (mut symbols, mut out) = (Vec::new(), Vec::new());
        base64::symbols(text.as_bytes(), &mut symbols);
        decode(&symbols, &ALPHABETS[alphabet], skip, &mut out);
        out
    }

    #[test]
    fn examples_of_the_specifications_are_decoded() {
        // RFC 4648, section 10.
        assert_eq!(decoded("MZXW6YTBOI", 0, 0), b"foobar");
        assert_eq!(decoded("mzxw6ytboi", 0, 0), b"foobar");
        assert_eq!(decoded("CPNMUOJ1E8", 1, 0), b"foobar");
        // The program of BIP 173's first address of a script: qw508d6qejxtdg4y5r3zarvary0c5xw7k without checksum.
        assert_eq!(
            decoded("w508d6qejxtdg4y5r3zarvary0c5xw7k", 4, 0),
            [
                0x75, 0x1E, 0x76, 0xE8, 0x19, 0x91, 0x96, 0xD4, 0x54, 0x94, 0x1C, 0x45, 0xD1, 0xB3, 0xA3, 0x23, 0xF1,
                0x43, 0x3B, 0xD6
            ]
        );
        // Nix's manual: the SHA-256 of the empty input is 0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73.
        let empty = decoded("0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73", 6, 4);
        assert!(empty.iter().rev().take(8).eq(&[0xE3, 0xB0, 0xC4, 0x42, 0x98, 0xFC, 0x1C, 0x14]));
        assert_eq!(empty.len(), 32);
        // The ULID of this UUID, as the library of Python writes it: 128 bits in 26 symbols.
        let ulid = decoded("01BX5ZZKBKACTAV9WEVGEMMVRZ", 2, 2);
        assert_eq!(ulid, 0x015F_4BFF_CD73_5334_ADA7_8EDC_1D4A_6F1Fu128.to_be_bytes());
    }
}
