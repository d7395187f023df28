// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in groups of symbols that are digits of one number: base85 (four bytes in five symbols), base45 (two in three;
//! RFC 9285), uuencode and xxencode (three in four).

/// The fewest symbols that encode 16 bytes in base85, base45 and uuencode.
pub const MIN_BASE85: usize = 20;
/// See [`MIN_BASE85`].
pub const MIN_BASE45: usize = 24;
/// The most bytes of a line of uuencode.
const MAX_LINE: usize = 45;
/// The value of a symbol that an alphabet does not have.
const NONE: u8 = 255;

/// The value of each byte.
pub type Alphabet = [u8; 128];

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn alphabet(symbols: &[u8]) -> Alphabet {
    let mut values = [NONE; 128];
    let mut at = 0;
    while at < symbols.len() {
        values[symbols[at] as usize] = at as u8;
        at += 1;
    }
    values
}

/// Base85 in the alphabets of Ascii85, RFC 1924 (Git, Python's `b85encode`) and Z85 (ZeroMQ, RFC 32).
pub static BASE85: [Alphabet; 3] = [
    alphabet(b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu"),
    alphabet(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"),
    alphabet(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"),
];
/// Base45.
pub static BASE45: Alphabet = alphabet(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:");

/// The value of a byte.
pub fn value(alphabet: &Alphabet, byte: u8) -> Option<u8> {
    alphabet.get(usize::from(byte)).copied().filter(|&value| value != NONE)
}

/// Appends the bytes of base85 up to a group that is too large. Returns how many symbols were read, with that group. In
/// Ascii85, `z` between two groups is four zeros, and white space is skipped.
pub fn base85(text: &[u8], alphabet: &Alphabet, is_ascii85: bool, out: &mut Vec<u8>) -> usize {
    let (mut number, mut count) = (0u64, 0usize);
    for (at, &byte) in text.iter().enumerate() {
        if is_ascii85 && count == 0 && byte == b'z' {
            out.extend([0; 4]);
            continue;
        }
        if is_ascii85 && byte.is_ascii_whitespace() {
            continue;
        }
        let Some(value) = value(alphabet, byte) else { return at.saturating_add(1) };
        number = number.wrapping_mul(85).wrapping_add(u64::from(value));
        count = count.saturating_add(1);
        if count == 5 {
            let Ok(group) = u32::try_from(number) else { return at.saturating_add(1) };
            out.extend(group.to_be_bytes());
            (number, count) = (0, 0);
        }
    }
    // The last group is shorter by as many bytes as symbols: the others are the highest.
    if count > 1 {
        let whole = (count..5).fold(number, |number, _| number.wrapping_mul(85).wrapping_add(84));
        if let Ok(group) = u32::try_from(whole) {
            out.extend(group.to_be_bytes().iter().take(count.saturating_sub(1)));
        }
    }
    text.len()
}

/// Appends the bytes of base45 up to a group that is too large. Returns how many symbols were read, with that group.
pub fn base45(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0usize;
    for group in text.chunks(3) {
        at = at.saturating_add(group.len());
        let number = group.iter().rev().try_fold(0u32, |number, &byte| {
            Some(number.wrapping_mul(45).wrapping_add(u32::from(value(&BASE45, byte)?)))
        });
        match (number, group.len()) {
            (Some(number @ 0..=0xFFFF), 3) => out.extend((number as u16).to_be_bytes()),
            (Some(number @ 0..=0xFF), 2) => out.push(number as u8),
            _ => return at,
        }
    }
    at
}

/// The bytes that a line of uuencode announces by its first symbol, and its length with that symbol; `None` if it is no
/// such line.
pub fn uuencoded(line: &[u8]) -> Option<(usize, usize)> {
    let (&first, rest) = line.split_first()?;
    let count = usize::from(first.checked_sub(b' ')? & 63);
    let symbols = count.div_ceil(3).saturating_mul(4);
    // Spaces at the end may have been cut off; some encoders add a symbol as a checksum.
    let is_whole = rest.len() == symbols || rest.len() == symbols.saturating_add(1);
    let is_cut = rest.len() < symbols && rest.len().saturating_add(3) >= symbols;
    let is_line = (1..=MAX_LINE).contains(&count) && (is_whole || is_cut);
    (is_line && line.iter().all(|byte| matches!(byte, b' '..=b'`')))
        .then_some((count, symbols.min(rest.len()).saturating_add(1)))
}

/// Appends the bytes of a line of uuencode.
pub fn uudecode(line: &[u8], out: &mut Vec<u8>) {
    let Some((count, len)) = uuencoded(line) else { return };
    let end = out.len().saturating_add(count);
    for group in line.get(1..len).unwrap_or_default().chunks(4) {
        let symbol = |at: usize| u32::from(group.get(at).copied().unwrap_or(b' ').wrapping_sub(b' ') & 63);
        let number = symbol(0) << 18 | symbol(1) << 12 | symbol(2) << 6 | symbol(3);
        out.extend(number.to_be_bytes().iter().skip(1));
    }
    out.truncate(end);
}

/// The value of a symbol of xxencode: `+-0-9A-Za-z`.
const fn xx_value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'+' => 0,
        b'-' => 1,
        b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(2),
        b'A'..=b'Z' => byte.wrapping_sub(b'A').wrapping_add(12),
        b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(38),
        _ => return None,
    })
}

/// Appends the bytes of a line of xxencode, and returns whether it is one.
pub fn xxdecode(line: &[u8], out: &mut Vec<u8>) -> bool {
    let Some((&first, rest)) = line.split_first() else { return false };
    let count = xx_value(first).map_or(0, usize::from);
    let is_whole = rest.len() == count.div_ceil(3).saturating_mul(4);
    if !(1..=MAX_LINE).contains(&count) || !is_whole || rest.iter().any(|&byte| xx_value(byte).is_none()) {
        return false;
    }
    let end = out.len().saturating_add(count);
    for group in rest.chunks(4) {
        let bits = group.iter().fold(0u32, |bits, &byte| bits << 6 | u32::from(xx_value(byte).unwrap_or_default()));
        out.extend(bits.to_be_bytes().iter().skip(1));
    }
    out.truncate(end);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_specifications_are_decoded() {
        let decoded = |text: &[u8], alphabet: usize| {
            let mut out = Vec::new();
            assert_eq!(base85(text, &BASE85[alphabet], alphabet == 0, &mut out), text.len());
            out
        };
        // ZeroMQ RFC 32; Python's `a85encode` and `b85encode`.
        assert_eq!(decoded(b"HelloWorld", 2), [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]);
        assert_eq!(decoded(b"87cURD]j7BEbo80", 0), b"Hello world!");
        assert_eq!(decoded(b"87cUR\n z D]j7BEW", 0), b"Hell\0\0\0\0o wor");
        assert_eq!(decoded(b"NM&qnZy<MXa%^NF", 1), b"Hello world!");
        // RFC 9285, 4.4.
        for (text, expected) in
            [("%69 VD92EX0", "Hello!!"), ("UJCLQE7W581", "base-45"), ("BB8", "AB"), ("QED8WEX0", "ietf!")]
        {
            let mut out = Vec::new();
            assert_eq!(base45(text.as_bytes(), &mut out), text.len());
            assert_eq!(out, expected.as_bytes());
        }
        assert_eq!(base45(b"GGW", &mut Vec::new()), 3);
        // Python's `binascii.b2a_uu`.
        for line in ["#0V%T", "#0V%TX"] {
            let mut out = Vec::new();
            uudecode(line.as_bytes(), &mut out);
            assert_eq!(out, b"Cat");
        }
        assert_eq!(uuencoded(b"#0V%TXX"), None);
        assert_eq!(uuencoded(b"#0v%T"), None);
    }
}
