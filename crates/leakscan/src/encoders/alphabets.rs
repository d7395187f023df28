// SPDX-License-Identifier: MIT OR Apache-2.0
//! Letters and digits in other alphabets than Base64's. The numbers are written by division, which no decoder uses.

use super::super::encoding::Encoding;
use data_encoding::BASE32_NOPAD;

const DIGITS_AND_LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BITCOIN: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Writes bytes in an encoding, within quotes: letters beside a number would belong to it.
pub(super) fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let text = match encoding {
        Encoding::Base32 => BASE32_NOPAD.encode(bytes).into_bytes(),
        Encoding::Base36 => number(bytes, DIGITS_AND_LETTERS.get(..36).unwrap_or_default()),
        Encoding::Base58 => number(bytes, BITCOIN),
        Encoding::Base62 => number(bytes, DIGITS_AND_LETTERS),
        _ => number(bytes, b"0123456789"),
    };
    [b"\"", &text[..], b"\""].concat()
}

/// The digits of a number whose highest byte is the first. A byte of 1 before it keeps its zeros, as versions do.
fn number(bytes: &[u8], alphabet: &[u8]) -> Vec<u8> {
    let mut rest = [&[1], bytes].concat();
    let base = u32::try_from(alphabet.len()).unwrap_or(u32::MAX);
    let mut digits = Vec::new();
    while rest.iter().any(|&byte| byte != 0) {
        let mut remainder = 0u32;
        for byte in &mut rest {
            let value = remainder << 8 | u32::from(*byte);
            *byte = value.checked_div(base).unwrap_or(0) as u8;
            remainder = value.checked_rem(base).unwrap_or(0);
        }
        digits.extend(alphabet.get(remainder as usize));
    }
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's `int.from_bytes(bytes, "big")`, in the digits of each alphabet.
    #[test]
    fn numbers_are_as_division_by_hand_gives() {
        let all = [0xFF; 16];
        let of = |encoding| String::from_utf8(encode(&all, encoding)).unwrap();
        assert_eq!(of(Encoding::Decimal), "\"680564733841876926926749214863536422911\"");
        assert_eq!(of(Encoding::Base36), "\"UB7VU3ZYBFBDJXBGX6ZZ9LE67\"");
        assert_eq!(of(Encoding::Base58), "\"26DzLvVpBBbrzgVAVV4mjgr\"");
        assert_eq!(of(Encoding::Base62), "\"Fa84QWiAxLXUJaHZmEVPEF\"");
        assert_eq!(of(Encoding::Base32), "\"77777777777777777777777774\"");
    }
}
