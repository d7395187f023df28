// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that are written as one number: base58, base62, base36, decimal. Every symbol depends on all bytes, so that
//! only the whole number can be decoded, from its first symbol to its last.
//!
//! Symbols are numbered as in Base64 (`A` is 0, `a` is 26, `0` is 52), since numbers are found in runs of that.

/// The number of symbols that Base64, and so a token, can have besides its two marks.
const SYMBOLS: usize = 62;
/// The longest number in symbols: 4096 bytes, the longest value in which every fragment is searched for, have 5594
/// symbols in base58. The time is quadratic in the length: 20 ns for each byte of the longest number.
pub const MAX_SYMBOLS: usize = 5600;
/// Zero bytes that are decoded before a number: most encoders drop those of a value. One value in 2^24 has more.
pub const ZEROS: usize = 2;
/// Bytes and symbols of a block of Monero's base58.
const BLOCK: (usize, usize) = (8, 11);

/// An alphabet of a number.
#[derive(Debug)]
pub struct Alphabet {
    base: u8,
    /// The value of each symbol; `base` or more for those that it does not have.
    values: [u8; SYMBOLS],
    /// The number of symbols whose value fits 64 bits together, and `base` to the power of that.
    group: usize,
    power: u64,
    /// In base58, each first symbol of the value 0 stands for a zero byte.
    zeros_are_symbols: bool,
}

/// The value of a symbol that an alphabet does not have.
const NONE: u8 = 255;

impl Alphabet {
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
    const fn new(symbols: &[u8], zeros_are_symbols: bool) -> Self {
        let base = symbols.len() as u8;
        let mut values = [NONE; SYMBOLS];
        let mut at = 0;
        while at < symbols.len() {
            let symbol = match symbols[at] {
                byte @ b'A'..=b'Z' => byte - b'A',
                byte @ b'a'..=b'z' => byte - b'a' + 26,
                byte => byte - b'0' + 52,
            };
            values[symbol as usize] = at as u8;
            at += 1;
        }
        let (mut group, mut power) = (0, 1u64);
        while let Some(more) = power.checked_mul(base as u64) {
            (group, power) = (group + 1, more);
        }
        Self { base, values, group, power, zeros_are_symbols }
    }

    /// The same with the capital letters as small ones.
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
    const fn of_either_case(mut self) -> Self {
        let mut at = 0;
        while at < 26 {
            self.values[at] = self.values[at + 26];
            at += 1;
        }
        self
    }

    fn value(&self, symbol: u8) -> u8 {
        self.values.get(usize::from(symbol)).copied().unwrap_or(NONE)
    }
}

/// Bitcoin's base58 (IPFS and most others), Flickr's, and Ripple's.
pub static BASE58: [Alphabet; 3] = [
    Alphabet::new(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", true),
    Alphabet::new(b"123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ", true),
    Alphabet::new(b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz", true),
];
/// Base62 in the three orders of digits, capital and small letters that programs use.
pub static BASE62: [Alphabet; 3] = [
    Alphabet::new(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", false),
    Alphabet::new(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", false),
    Alphabet::new(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", false),
];
/// Base36 in either case.
pub static BASE36: [Alphabet; 1] = [Alphabet::new(b"0123456789abcdefghijklmnopqrstuvwxyz", false).of_either_case()];
/// Decimal digits.
pub static DECIMAL: [Alphabet; 1] = [Alphabet::new(b"0123456789", false)];

/// Replaces a number by its two's complement, the highest byte first.
pub fn negate(number: &mut [u8]) {
    let mut carries = true;
    for byte in number.iter_mut().rev() {
        *byte = if carries { byte.wrapping_neg() } else { !*byte };
        carries = carries && *byte == 0;
    }
}

/// Appends the bytes of the number that `symbols` are, the highest first. `limbs` is a buffer. Returns false if a symbol
/// is not in the alphabet, or if there are too many.
pub fn decode(symbols: &[u8], alphabet: &Alphabet, limbs: &mut Vec<u64>, out: &mut Vec<u8>) -> bool {
    if symbols.len() > MAX_SYMBOLS {
        return false;
    }
    limbs.clear();
    // The first group is the shorter one.
    let first = symbols.len().checked_rem(alphabet.group).unwrap_or(0);
    let (first, rest) = symbols.split_at_checked(first).unwrap_or_default();
    for group in [first].into_iter().chain(rest.chunks(alphabet.group)) {
        let mut number = 0u64;
        for &symbol in group {
            let value = alphabet.value(symbol);
            if value >= alphabet.base {
                return false;
            }
            number = number.wrapping_mul(u64::from(alphabet.base)).wrapping_add(u64::from(value));
        }
        let mut carry = number;
        for limb in limbs.iter_mut() {
            // At most (2^64 - 1)^2 + 2^64 - 1, which has 128 bits.
            let sum = u128::from(*limb).wrapping_mul(u128::from(alphabet.power)).wrapping_add(u128::from(carry));
            (*limb, carry) = (sum as u64, (sum >> 64) as u64);
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let zeros = symbols.iter().take_while(|&&symbol| alphabet.value(symbol) == 0).count();
    out.resize(out.len().saturating_add(if alphabet.zeros_are_symbols { zeros.max(ZEROS) } else { ZEROS }), 0);
    let mut limbs = limbs.iter().rev();
    if let Some(highest) = limbs.next() {
        let unused = (highest.leading_zeros() / 8) as usize;
        out.extend(highest.to_be_bytes().iter().skip(unused));
    }
    limbs.for_each(|limb| out.extend(limb.to_be_bytes()));
    true
}

/// Appends the bytes of base58 in blocks of eight bytes, as Monero writes its addresses and keys, up to the first block
/// that is too large.
pub fn decode_blocks(symbols: &[u8], out: &mut Vec<u8>) {
    let [bitcoin, ..] = &BASE58;
    for block in symbols.chunks(BLOCK.1) {
        // The last block has fewer bytes: as many as its symbols can hold.
        let len = if block.len() == BLOCK.1 { BLOCK.0 } else { block.len().saturating_mul(732) / 1000 };
        let number = block.iter().try_fold(0u128, |number, &symbol| {
            let value = bitcoin.value(symbol);
            (value < bitcoin.base).then(|| number.wrapping_mul(58).wrapping_add(u128::from(value)))
        });
        let Some(number) = number.filter(|number| number >> (len.saturating_mul(8)) == 0) else { return };
        let bytes = number.to_be_bytes();
        out.extend(bytes.get(bytes.len().saturating_sub(len)..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::base64;
    use super::*;
    use hex_literal::hex;

    fn decoded(text: &str, alphabet: &Alphabet) -> Vec<u8> {
        let (mut symbols, mut out) = (Vec::new(), Vec::new());
        assert_eq!(base64::symbols(text.as_bytes(), &mut symbols), text.len());
        assert!(decode(&symbols, alphabet, &mut Vec::new(), &mut out));
        out
    }

    /// draft-msporny-base58-03, section 5.
    #[test]
    fn examples_of_the_base58_draft_are_decoded() {
        assert_eq!(decoded("2NEpo7TZRRrLZSi2U", &BASE58[0])[ZEROS..], *b"Hello World!");
        let text = decoded("USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z", &BASE58[0]);
        assert_eq!(text[ZEROS..], *b"The quick brown fox jumps over the lazy dog.");
        assert_eq!(decoded("11233QC4", &BASE58[0]), hex!("0000 287fb4cd"));
        assert_eq!(decoded("111112", &BASE58[0]), [0, 0, 0, 0, 0, 1]);
    }

    /// The numbers are of Python: `int.from_bytes(bytes, "big")`.
    #[test]
    fn numbers_are_decoded_and_others_are_not() {
        assert_eq!(
            decoded("339769195477138589072351061092738035007", &DECIMAL[0])[ZEROS..],
            hex!("ff9d2ab1c3d4e5f60718293a4b5c6d3f")
        );
        assert_eq!(decoded("18446744073709551616", &DECIMAL[0])[ZEROS..], hex!("010000000000000000"));
        assert_eq!(decoded("f5lxx1zz5pnorynqglhzmsp33", &BASE36[0])[ZEROS..], [0xFF; 16]);
        assert_eq!(decoded("F5LXX1ZZ5PNORYNQGLHZMSP33", &BASE36[0])[ZEROS..], [0xFF; 16]);
        assert_eq!(decoded("7n42DGM5Tflk9n8mt7Fhc7", &BASE62[0])[ZEROS..], [0xFF; 16]);
        assert_eq!(decoded("7N42dgm5tFLK9N8MT7fHC7", &BASE62[1])[ZEROS..], [0xFF; 16]);
        let mut out = Vec::new();
        for (symbols, alphabet) in [(&[62; 30][..], &BASE62[0]), (&[52; 30], &BASE58[0]), (&[0; 30], &DECIMAL[0])] {
            assert!(!decode(symbols, alphabet, &mut Vec::new(), &mut out), "{symbols:?}");
        }
        assert!(!decode(&[1; MAX_SYMBOLS + 1], &BASE62[0], &mut Vec::new(), &mut out));
        assert!(decode(&[1; MAX_SYMBOLS], &BASE62[0], &mut Vec::new(), &mut out));
    }

    /// Monero's `src/common/base58.cpp`: blocks of 8 bytes have 11 symbols, the last one of 1 to 7 bytes has 2, 3, 5, 6,
    /// 7, 9 or 10.
    #[test]
    fn blocks_of_monero_are_decoded() {
        for (len, symbols) in [(1, 2), (2, 3), (3, 5), (4, 6), (5, 7), (6, 9), (7, 10)] {
            // The symbol for 1 is `2`, and that for 0 is `1`.
            let text = ["jpXCZedGfVQ", &"1".repeat(symbols - 1), "2"].concat();
            let (mut numbers, mut out) = (Vec::new(), Vec::new());
            base64::symbols(text.as_bytes(), &mut numbers);
            decode_blocks(&numbers, &mut out);
            assert_eq!(out, [&[0xFF; 8][..], &vec![0; len - 1], &[1]].concat());
        }
        let (mut numbers, mut out) = (Vec::new(), Vec::new());
        base64::symbols(b"jpXCZedGfVR", &mut numbers);
        decode_blocks(&numbers, &mut out);
        assert!(out.is_empty());
    }
}
