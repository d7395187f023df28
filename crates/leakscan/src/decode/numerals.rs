// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numerals, as programs and programming languages write integers: `96`, `-61`, `96u8`, `96.0`, `0x60`, `60h`, `&H60`,
//! `$60`, `16#60#`, `U+0060`, `0o140`, `0b1100000`.

use super::hex;

/// The length of the longest suffix of a numeral: a type such as `usize`.
const MAX_SUFFIX: usize = 5;

/// Decimal digits that any integer of 64 bits has room for.
const MAX_DIGITS: usize = 19;

/// An integer: a magnitude and a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// The magnitude.
    pub magnitude: u64,
    /// Whether it is negative.
    pub is_negative: bool,
}

impl Integer {
    /// Whether it is an unsigned or a signed integer of so many bytes, at most eight.
    pub const fn fits(self, width: u32) -> bool {
        let bits = width.saturating_mul(8);
        let (range, half) = match 1u64.checked_shl(bits) {
            Some(range) => (range, range >> 1),
            None => (0, 1 << 63),
        };
        if self.is_negative { self.magnitude <= half } else { self.magnitude <= range.wrapping_sub(1) }
    }

    /// Its two's complement, the lowest byte first.
    pub const fn bytes(self) -> [u8; 8] {
        let value = if self.is_negative { self.magnitude.wrapping_neg() } else { self.magnitude };
        value.to_le_bytes()
    }
}

/// Whether a minus sign is before the numeral at `at`, and not between two.
fn is_negative(text: &[u8], at: usize) -> bool {
    let before = |distance: usize| at.checked_sub(distance).and_then(|at| text.get(at));
    before(1) == Some(&b'-') && !before(2).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// The part of a decimal list that a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// A numeral, and the index of its sign or its first digit.
    Integer(Integer, usize),
    /// No numeral, but what may be between two: a word, an integer in another radix, a fraction that is zero.
    Filler,
    /// Neither.
    Other,
}

/// Reads a word as a decimal numeral: it begins at `at`, and has `len` characters, of which the first `digits` are
/// decimal digits.
pub fn decimal(text: &[u8], at: usize, len: usize, digits: usize) -> Decimal {
    let word = text.get(at..at.saturating_add(len)).unwrap_or_default();
    let is_alone = |byte: Option<&u8>| !matches!(byte, Some(b'.' | b'#' | b'-'));
    // Most numerals are digits alone.
    if (1..=MAX_DIGITS).contains(&digits)
        && digits == len
        && is_alone(text.get(at.saturating_add(len)))
        && is_alone(at.checked_sub(1).and_then(|before| text.get(before)))
    {
        let magnitude = word.iter().fold(0u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit & 0x0F)));
        return Decimal::Integer(Integer { magnitude, is_negative: false }, at);
    }
    let (number, suffix) = word.split_at_checked(digits).unwrap_or_default();
    let before = |distance: usize| at.checked_sub(distance).and_then(|at| text.get(at)).copied();
    if number.is_empty() || matches!(word, [b'0', b'x' | b'X' | b'o' | b'O', ..]) {
        return Decimal::Filler;
    }
    // The radix before a numeral: `16#60#`.
    if (text.get(at.saturating_add(len)) == Some(&b'#') && matches!(number, b"16" | b"8" | b"2"))
        || before(1) == Some(b'#') && before(2) == Some(b'6')
    {
        return Decimal::Filler;
    }
    let is_zero = number.iter().all(|&digit| digit == b'0');
    if before(1) == Some(b'.') && before(2).is_some_and(|byte| byte.is_ascii_digit()) && is_fraction(text, at, len) {
        return if is_zero { Decimal::Filler } else { Decimal::Other };
    }
    if !is_suffix(suffix) {
        return Decimal::Other;
    }
    let mut magnitude = 0u64;
    for digit in number {
        let sum = magnitude.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit & 0x0F)));
        let Some(sum) = sum else { return Decimal::Other };
        magnitude = sum;
    }
    let is_negative = is_negative(text, at);
    Decimal::Integer(Integer { magnitude, is_negative }, at.saturating_sub(usize::from(is_negative)))
}

/// Whether the word after a point, which a digit precedes, is a fraction and not a number of a list with points.
fn is_fraction(text: &[u8], at: usize, len: usize) -> bool {
    let end = at.saturating_add(len);
    let goes_on = text.get(end) == Some(&b'.') && text.get(end.saturating_add(1)).is_some_and(u8::is_ascii_digit);
    let integer = text.get(..at.saturating_sub(1)).unwrap_or_default();
    let digits = integer.iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let before = integer.len().checked_sub(digits.saturating_add(1)).and_then(|at| integer.get(at));
    !goes_on && before != Some(&b'.')
}

/// Whether a word ends in a type: `u8`, `i64`, `L`, `uy`, `n`.
fn is_suffix(suffix: &[u8]) -> bool {
    match suffix {
        [] => true,
        [
            b'u' | b'U' | b'i' | b'I' | b'l' | b'L' | b'n' | b'y' | b'Y' | b's' | b'S' | b'f' | b'F' | b'd' | b'D',
            rest @ ..,
        ] => rest.len() < MAX_SUFFIX && rest.iter().all(u8::is_ascii_alphanumeric),
        _ => false,
    }
}

/// Reads a word that begins at `at` and has `len` characters as a hexadecimal numeral whose radix is written: by a
/// prefix, a suffix, or the number 16.
pub fn hexadecimal(text: &[u8], at: usize, len: usize) -> Option<Integer> {
    let word = text.get(at..at.saturating_add(len))?;
    let before = |distance: usize| at.checked_sub(distance).and_then(|at| text.get(at)).copied();
    let digits = match *word {
        [b'0', b'x' | b'X', ref digits @ ..] => digits,
        [b'x' | b'X', ref digits @ ..] if before(1) != Some(b'\\') => digits,
        [b'h' | b'H', ref digits @ ..] if matches!(before(1), Some(b'&' | b'\'')) => digits,
        [b'1', b'6', b'r', ref digits @ ..] => digits,
        [b'0'..=b'9', .., b'h' | b'H'] => word.get(..len.saturating_sub(1))?,
        _ => match (before(1), before(2)) {
            (Some(b'$'), _) | (Some(b'+'), Some(b'U' | b'u')) | (Some(b'#'), Some(b'6')) => word,
            _ => return None,
        },
    };
    let count = digits.iter().take_while(|&&byte| hex::value(byte) < 16).count();
    let (digits, suffix) = digits.split_at_checked(count)?;
    // A type begins with a letter that is no digit.
    if digits.is_empty() || digits.len() > 16 || !is_suffix(suffix) {
        return None;
    }
    let magnitude = digits.iter().fold(0u64, |sum, &digit| sum << 4 | u64::from(hex::value(digit)));
    let sign = if matches!(before(1), Some(b'$' | b'&' | b'#' | b'+' | b'\'')) { at.saturating_sub(1) } else { at };
    Some(Integer { magnitude, is_negative: is_negative(text, sign) })
}

/// Reads a word of hexadecimal, octal or binary digits without a prefix, in this radix.
pub fn digits(word: &[u8], radix: u32) -> Option<u64> {
    word.iter().try_fold(0u64, |sum, &digit| {
        let digit = u32::from(hex::value(digit));
        let sum = sum.checked_mul(u64::from(radix))?;
        (digit < radix).then(|| sum.checked_add(u64::from(digit)))?
    })
}

/// Reads a word as C writes octal numerals, with a zero before them, or as newer languages do, with `0o`.
pub fn octal(word: &[u8]) -> Option<u64> {
    match word {
        [b'0', b'o' | b'O', number @ ..] if !number.is_empty() => digits(number, 8),
        [b'0', ..] | [_] if word.len() <= 4 => digits(word, 8),
        _ => None,
    }
}

/// Reads a word as a byte in binary digits: all eight, or after `0b`.
pub fn binary(word: &[u8]) -> Option<u64> {
    match word {
        [b'0', b'b' | b'B', number @ ..] if !number.is_empty() => digits(number, 2),
        [_, _, _, _, _, _, _, _] => digits(word, 2),
        _ => None,
    }
}
