// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of small integers, as JSON and debug output write bytes: `[18, 52, 171]`, `[18,52,-85]`, `[0x12, 0x4]`, `[12,
//! 4]`.

use super::hex;

/// The length of a fragment in numbers.
pub const MIN_NUMBERS: usize = 16;
/// Consecutive separators that a list may contain: a line break and a deep indentation.
const MAX_GAP: usize = 64;
/// The length of the longest number, `-128` or `0x12`.
const MAX_DIGITS: usize = 4;

/// How the numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radix {
    /// 0 to 255, or -128 to 127, or both mixed.
    Decimal,
    /// One or two hexadecimal digits, with or without `0x` before them.
    Hex,
}

struct Number {
    value: u8,
    len: usize,
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'\t')
}

fn number(text: &[u8], radix: Radix) -> Option<Number> {
    let len = text.iter().take(MAX_DIGITS.saturating_add(1)).take_while(|&&byte| is_digit(byte)).count();
    let digits = text.get(..len)?;
    let value = match (radix, digits) {
        (Radix::Decimal, [b'-', digits @ ..]) if !digits.is_empty() && digits.len() < MAX_DIGITS => {
            let value = decimal(digits)?;
            (value <= 128).then(|| (value as u8).wrapping_neg())
        }
        (Radix::Decimal, [_, ..]) if len < MAX_DIGITS => u8::try_from(decimal(digits)?).ok(),
        (Radix::Hex, [b'0', b'x' | b'X', digits @ ..] | digits) => match *digits {
            [low] if hex::value(low) < 16 => Some(hex::value(low)),
            [high, low] if hex::value(high) < 16 && hex::value(low) < 16 => {
                Some(hex::value(high) << 4 | hex::value(low))
            }
            _ => None,
        },
        _ => None,
    }?;
    Some(Number { value, len })
}

fn decimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit & 0x0F))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Appends the numbers of the list that `text` begins with. Returns the length of the list, with the word after it that
/// is not a number.
pub fn decode(text: &[u8], radix: Radix, out: &mut Vec<u8>) -> usize {
    let mut at = gap(text);
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let Some(Number { value, len }) = number(rest, radix) else {
            // So that a long sequence of digits is read only once.
            let word = rest.iter().take_while(|&&byte| is_digit(byte)).count();
            return at.saturating_add(word);
        };
        out.push(value);
        at = at.saturating_add(len);
        match gap(text.get(at..).unwrap_or_default()) {
            len @ 1..=MAX_GAP => at = at.saturating_add(len),
            _ => return at,
        }
    }
}

fn gap(text: &[u8]) -> usize {
    text.iter().take(MAX_GAP.saturating_add(1)).take_while(|&&byte| is_separator(byte)).count()
}

/// The index in a list of the number with this number; `known` is an earlier one, and `at` its index, or 0.
pub fn position(run: &[u8], radix: Radix, (known, at): (usize, usize), index: usize) -> usize {
    let mut at = if at == 0 { gap(run) } else { at };
    for _ in known..index {
        let rest = run.get(at..).unwrap_or_default();
        let Some(Number { len, .. }) = number(rest, radix) else { break };
        at = at.saturating_add(len);
        at = at.saturating_add(gap(run.get(at..).unwrap_or_default()));
    }
    at
}
