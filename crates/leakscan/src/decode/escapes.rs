// SPDX-License-Identifier: MIT OR Apache-2.0
//! Escapes with a backslash, among bytes that are as they are: `\x12A` of C, Rust and Python, octal `\022` of
//! PostgreSQL and of protocol buffers, decimal `\195` of OCaml, Lua, Haskell and zone files, `\u00e9` of JSON, `\u{e9}`
//! of Rust, `\n`, `\'` and `\Z` of SQL.

use super::{hex, symbols};

/// The length of a fragment in bytes.
pub const MIN_BYTES: usize = 16;
/// The longest escape, `\u{0000ff}`.
pub const MAX_LEN: usize = 10;

/// The byte that the escape at the beginning of `text` encodes, and the escape's length. `\0` is a zero, whatever
/// follows it, except two more octal digits: programs that write octal write three digits.
pub fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'7').then_some(byte & 7);
    match *text {
        [b'\\', b'x', high, low, ..] if hex::value(high) < 16 && hex::value(low) < 16 => {
            Some((hex::value(high) << 4 | hex::value(low), 4))
        }
        [b'\\', b'x', low, ..] if hex::value(low) < 16 => Some((hex::value(low), 3)),
        [b'\\', b'u', b'{', ref digits @ ..] => {
            let len = digits.iter().take(6).take_while(|&&digit| hex::value(digit) < 16).count();
            let is_closed = digits.get(len) == Some(&b'}');
            is_closed.then(|| Some((code_point(digits.get(..len)?)?, len.saturating_add(4))))?
        }
        // A byte that is no UTF-8, as Python reads it.
        [b'\\', b'u', b'd' | b'D', b'c' | b'C', high, low, ..] if (8..16).contains(&hex::value(high)) => {
            Some((code_point(&[high, low])?, 6))
        }
        [b'\\', b'u', a, b, c, d, ..] => Some((code_point(&[a, b, c, d])?, 6)),
        [b'\\', high @ b'0'..=b'3', middle, low, ..] if digit(middle).is_some() && digit(low).is_some() => {
            Some(((high & 7) << 6 | digit(middle)? << 3 | digit(low)?, 4))
        }
        [b'\\', high @ b'1'..=b'7', low @ b'0'..=b'7', ..] => Some(((high & 7) << 3 | low & 7, 3)),
        [b'\\', symbol, ..] => Some((single(symbol)?, 2)),
        _ => None,
    }
}

/// The byte of a decimal escape of up to three digits, and its length with the `\&` of Haskell after it.
fn decimal(text: &[u8]) -> Option<(u8, usize)> {
    let Some((b'\\', rest)) = text.split_first() else { return None };
    let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    let value =
        rest.get(..digits)?.iter().fold(0u16, |sum, digit| sum.wrapping_mul(10).wrapping_add((digit & 15).into()));
    let end = if rest.get(digits..).is_some_and(|rest| rest.starts_with(b"\\&")) { 2 } else { 0 };
    (digits > 0).then(|| Some((u8::try_from(value).ok()?, digits.saturating_add(end).saturating_add(1))))?
}

/// The length of the escape at the beginning of a text, of any kind.
pub fn len(text: &[u8]) -> Option<usize> {
    escape(text).or_else(|| decimal(text)).or_else(|| css(text)).map(|(_, len)| len)
}

/// Whether some text begins with an escape that is decimal and cannot be octal.
pub fn is_decimal(text: &[u8]) -> bool {
    let is_high = |digit: &u8| matches!(digit, b'8' | b'9');
    decimal(text).is_some() && text.iter().skip(1).take(3).take_while(|byte| byte.is_ascii_digit()).any(is_high)
}

/// The byte of an escape of CSS and its length: up to six hexadecimal digits, and a space that ends them.
fn css(text: &[u8]) -> Option<(u8, usize)> {
    let Some((b'\\', rest)) = text.split_first() else { return None };
    let count = rest.iter().take(6).take_while(|&&byte| hex::value(byte) < 16).count();
    let byte = code_point(rest.get(..count)?)?;
    let end = matches!(rest.get(count), Some(b' ' | b'\t' | b'\n'));
    Some((byte, count.saturating_add(1).saturating_add(end.into())))
}

/// Whether some text begins with an escape of CSS: with six digits, or one or two and a space.
pub fn is_css(text: &[u8]) -> bool {
    matches!(css(text), Some((_, len @ (3 | 4))) if text.get(len.saturating_sub(1)) == Some(&b' '))
        || text.starts_with(b"\\0000") && matches!(css(text), Some((_, 7 | 8)))
}

/// A symbol of text with escapes of CSS. See [`super::symbols::Symbol`].
pub fn css_symbol(text: &[u8]) -> Option<(u8, usize)> {
    css(text).or_else(|| symbol(text))
}

/// A symbol of text with decimal escapes. See [`super::symbols::Symbol`].
pub fn decimal_symbol(text: &[u8]) -> Option<(u8, usize)> {
    decimal(text).or_else(|| symbol(text))
}

fn single(symbol: u8) -> Option<u8> {
    Some(match symbol {
        b'0'..=b'7' => symbol & 7,
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        b'e' => 27,
        b'Z' => 26,
        b'\\' | b'"' | b'\'' | b'/' | b'?' | b'`' | b'$' => symbol,
        _ => return None,
    })
}

/// The byte of a character below 0x100.
fn code_point(digits: &[u8]) -> Option<u8> {
    let value = digits.iter().try_fold(0u32, |sum, digit| {
        let digit = hex::value(*digit);
        (digit < 16).then(|| sum << 4 | u32::from(digit))
    })?;
    u8::try_from(value).ok().filter(|_| !digits.is_empty())
}

/// The first escape from `start` on: its index, and the index after it.
fn next(text: &[u8], mut start: usize) -> Option<(usize, usize)> {
    loop {
        let at = symbols::next_pair(text, start, |first, second| (first == b'\\') & second.is_ascii())?;
        if let Some((_, len)) = escape(text.get(at..)?) {
            return Some((at, at.saturating_add(len)));
        }
        start = at.saturating_add(1);
    }
}

/// Appends the bytes of a text, as [`super::symbols::decode`] does, but copies the bytes between escapes together.
pub fn decode(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0usize;
    while let Some((first, end)) = next(text, from) {
        out.extend_from_slice(text.get(from..first).unwrap_or_default());
        out.extend(escape(text.get(first..).unwrap_or_default()).map(|(byte, _)| byte));
        from = end;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}

/// See [`super::symbols::Symbol`]. A backslash that begins no escape is a byte as it is, so that a run ends only with
/// its text.
pub fn symbol(text: &[u8]) -> Option<(u8, usize)> {
    escape(text).or_else(|| Some((*text.first()?, 1)))
}

/// The index of the byte of the symbol at `at`: in an escape such as `\\`, whose second byte is the byte itself, that
/// one's.
pub fn byte_of(run: &[u8], at: usize) -> usize {
    let rest = run.get(at..).unwrap_or_default();
    match (rest, escape(rest)) {
        ([_, second, ..], Some((byte, 2))) if *second == byte => at.saturating_add(1),
        _ => at,
    }
}
