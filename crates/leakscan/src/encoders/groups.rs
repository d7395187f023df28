// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base85, base45 and uuencode, digit by digit.

use super::super::encoding::Encoding;

const BASE45: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/// Writes bytes in an encoding, a whole number of groups, on a line of their own. Base85 is Adobe's, in a frame: a text
/// without one is decoded only if it looks random, which one half of a key in some thousand does not.
pub(super) fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let groups = |len: usize, write: &dyn Fn(u32) -> Vec<u8>| {
        let number = |group: &[u8]| {
            let padded = group.iter().copied().chain(core::iter::repeat(0)).take(len);
            padded.fold(0u32, |number, byte| number << 8 | u32::from(byte))
        };
        bytes.chunks(len).flat_map(|group| write(number(group))).collect::<Vec<u8>>()
    };
    let digits = |number: u32, alphabet: &[u8], count: u32| -> Vec<u8> {
        let base = u32::try_from(alphabet.len()).unwrap_or(u32::MAX);
        let digit = |power: u32| number.checked_div(base.saturating_pow(power))?.checked_rem(base);
        (0..count).filter_map(|power| alphabet.get(digit(power)? as usize).copied()).collect()
    };
    let text = match encoding {
        Encoding::Base85 => {
            let ascii85: Vec<u8> = (b'!'..=b'u').collect();
            let symbols = groups(4, &|number| digits(number, &ascii85, 5).into_iter().rev().collect());
            [b"<~", &symbols[..], b"~>"].concat()
        }
        Encoding::Base45 => groups(2, &|number| digits(number, BASE45, 3)),
        _ => {
            let uu: Vec<u8> = (b' '..=b'_').collect();
            let count = u8::try_from(bytes.len()).unwrap_or_default().saturating_add(b' ');
            let symbols = groups(3, &|number| digits(number, &uu, 4).into_iter().rev().collect());
            [&[count][..], &symbols].concat()
        }
    };
    [b"\n", &text[..], b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's `base64.a85encode(…, adobe=True)`, RFC 9285 (4.3), and Python's `binascii.b2a_uu`.
    #[test]
    fn examples_of_the_specifications_are_written() {
        let hello = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B];
        assert_eq!(encode(&hello, Encoding::Base85), b"\n<~L/669[9<6.~>\n");
        assert_eq!(encode(b"AB", Encoding::Base45), b"\nBB8\n");
        assert_eq!(encode(b"Cat", Encoding::Uuencode), b"\n#0V%T\n");
    }
}
