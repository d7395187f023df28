// SPDX-License-Identifier: MIT OR Apache-2.0
//! Characters that are written by their numbers or names, among bytes that are as they are: `\u0412`, `\u{412}`,
//! `\U00000412` and `\N{U+412}`; `&#1042;`, `&#x412;` and `&uuml;` of HTML; `%u0412` of JavaScript's `escape`.
//!
//! Characters are decoded to UTF-8. Those up to U+00FF may also stand for bytes: `\u00e9` by a program that takes bytes
//! for characters. [`escapes`](super::escapes), [`percent`](super::percent) and [`entity_byte`] decode them to bytes.

use super::entity_names::NAMES;
use super::{escapes, hex};

/// The bytes of a symbol in UTF-8, or one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8 {
    bytes: [u8; 4],
    len: u8,
}

impl Utf8 {
    const fn byte(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0], len: 1 }
    }

    /// The character with this number.
    fn number(number: u32) -> Option<Self> {
        let mut bytes = [0; 4];
        let len = char::from_u32(number)?.encode_utf8(&mut bytes).len();
        Some(Self { bytes, len: len as u8 })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What the symbol at the beginning of some text encodes, and the symbol's length; `None` at the end of the text.
pub type TextSymbol = fn(&[u8]) -> Option<(Utf8, usize)>;

/// The longest entity that is decoded, `&thetasym;` and `&#0001042;`.
pub const MAX_ENTITY: usize = 10;

/// Appends what a text encodes. Bytes other than `marker` are as they are, and copied together.
pub fn decode(symbol: TextSymbol, marker: u8, text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let literal = rest.iter().position(|&byte| byte == marker).unwrap_or(rest.len());
        let (before, from_marker) = rest.split_at_checked(literal).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        let Some((utf8, len)) = symbol(from_marker) else { break };
        out.extend_from_slice(utf8.bytes());
        rest = from_marker.get(len..).unwrap_or_default();
    }
}

/// The number that hexadecimal digits write: from one to `most`.
fn hex_number(digits: &[u8], most: usize) -> Option<u32> {
    let digits = Some(digits).filter(|digits| !digits.is_empty() && digits.len() <= most)?;
    digits.iter().try_fold(0u32, |number, &digit| {
        let digit = hex::value(digit);
        (digit < 16).then(|| number << 4 | u32::from(digit))
    })
}

/// The number in the braces at the beginning of a text, and the index after them.
fn in_braces(text: &[u8]) -> Option<(u32, usize)> {
    let digits = text.strip_prefix(b"{")?;
    let len = digits.iter().take(7).position(|&byte| byte == b'}')?;
    Some((hex_number(digits.get(..len)?, 6)?, len.saturating_add(2)))
}

/// The number of the character that two or one units of UTF-16 encode, each four digits after `prefix`; `None` for half
/// of a pair.
fn units(text: &[u8], prefix: &[u8]) -> Option<(u32, usize)> {
    let unit = |text: &[u8]| hex_number(text.strip_prefix(prefix)?.get(..4)?, 4);
    let len = prefix.len().saturating_add(4);
    match unit(text)? {
        high @ 0xD800..=0xDBFF => {
            let low = unit(text.get(len..)?).filter(|low| matches!(low, 0xDC00..=0xDFFF))?;
            Some((number_of_pair(high, low)?, len.saturating_mul(2)))
        }
        0xDC00..=0xDFFF => None,
        number => Some((number, len)),
    }
}

/// The number of the character that an escape with a backslash names, and the escape's length.
pub fn escaped_number(text: &[u8]) -> Option<(u32, usize)> {
    let (number, len) = match *text {
        [b'\\', b'u' | b'x', ref rest @ ..] if rest.starts_with(b"{") => {
            let (number, len) = in_braces(rest)?;
            (number, len.saturating_add(2))
        }
        [b'\\', b'u', ..] => units(text, b"\\u")?,
        [b'\\', b'U', ref rest @ ..] => (hex_number(rest.get(..8)?, 8)?, 10),
        [b'\\', b'x', high, low, ..] => (hex_number(&[high, low], 2)?, 4),
        [b'\\', b'N', b'{', b'U', b'+', ref rest @ ..] => {
            let len = rest.iter().take(7).position(|&byte| byte == b'}')?;
            (hex_number(rest.get(..len)?, 6)?, len.saturating_add(6))
        }
        _ => return None,
    };
    char::from_u32(number).map(|_| (number, len))
}

/// The length of the escape at the beginning of a text, if it names a character and [`escapes`] decodes it to no byte.
pub fn wide_escape(text: &[u8]) -> Option<usize> {
    escaped_number(text).filter(|_| escapes::escape(text).is_none()).map(|(_, len)| len)
}

/// See [`TextSymbol`]: escapes with a backslash. Octal escapes are bytes.
pub fn escape(text: &[u8]) -> Option<(Utf8, usize)> {
    if let Some((number, len)) = escaped_number(text) {
        return Some((Utf8::number(number)?, len));
    }
    escapes::symbol(text).map(|(byte, len)| (Utf8::byte(byte), len))
}

/// The number of the character that an entity of HTML or XML names, and the entity's length.
pub fn entity_number(text: &[u8]) -> Option<(u32, usize)> {
    let name = text.strip_prefix(b"&")?;
    let len = name.iter().take(MAX_ENTITY).position(|&byte| byte == b';')?;
    let name = name.get(..len)?;
    let number = match *name {
        [b'#', b'x' | b'X', ref digits @ ..] => hex_number(digits, 7)?,
        [b'#', ref digits @ ..] if !digits.is_empty() => digits.iter().try_fold(0u32, |number, digit| {
            let digit = u32::from(digit.checked_sub(b'0')?);
            (digit < 10).then(|| number.checked_mul(10)?.checked_add(digit))?
        })?,
        _ => {
            let at = NAMES.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok()?;
            u32::from(NAMES.get(at)?.1)
        }
    };
    char::from_u32(number).map(|_| (number, len.saturating_add(2)))
}

/// See [`TextSymbol`]: entities, as characters.
pub fn entity(text: &[u8]) -> Option<(Utf8, usize)> {
    match entity_number(text) {
        Some((number, len)) => Some((Utf8::number(number)?, len)),
        None => text.first().map(|byte| (Utf8::byte(*byte), 1)),
    }
}

/// See [`TextSymbol`]: entities of the characters up to U+00FF, as bytes.
pub fn entity_byte(text: &[u8]) -> Option<(Utf8, usize)> {
    let byte = entity_number(text).and_then(|(number, len)| Some((u8::try_from(number).ok()?, len)));
    byte.or_else(|| Some((*text.first()?, 1))).map(|(byte, len)| (Utf8::byte(byte), len))
}

/// See [`TextSymbol`]: what JavaScript's `escape` writes, units of UTF-16 as `%u0412` and characters up to U+00FF as
/// `%E9`.
pub fn percent(text: &[u8]) -> Option<(Utf8, usize)> {
    let number = match *text {
        [b'%', b'u', ..] => units(text, b"%u"),
        [b'%', high, low, ..] => hex_number(&[high, low], 2).map(|number| (number, 3)),
        _ => None,
    };
    match number {
        Some((number, len)) => Some((Utf8::number(number)?, len)),
        None => text.first().map(|byte| (Utf8::byte(*byte), 1)),
    }
}

/// Whether a text begins with a unit of UTF-16 as JavaScript's `escape` writes it.
pub fn begins_unit(text: &[u8]) -> bool {
    units(text, b"%u").is_some()
}

/// The number of the character of a surrogate pair (RFC 2781, 2.2).
fn number_of_pair(high: u32, low: u32) -> Option<u32> {
    ((high & 0x3FF) << 10 | low & 0x3FF).checked_add(0x10000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(symbol: TextSymbol, marker: u8, text: &str) -> String {
        let mut out = Vec::new();
        decode(symbol, marker, text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn characters_by_number_and_name_are_decoded() {
        let escapes = r"a\u0412\x41\n\u{1F600}\U0001f600\N{U+20AC}\x{20ac}\ud83d\ude00\xe9\u00e9\q\ud83dz\u12";
        assert_eq!(decoded(escape, b'\\', escapes), "aВA\n😀😀€€😀éé\\q\\ud83dz\\u12");
        let entities = "&#1042;&#x412;&#X1F600;&uuml;&amp;#65;&thetasym;&quot;&apos;&nope;&#;&#x;&;&#55357;&amp";
        assert_eq!(decoded(entity, b'&', entities), "ВВ😀ü&#65;ϑ\"'&nope;&#;&#x;&;&#55357;&amp");
        assert_eq!(decoded(percent, b'%', "%u0412%E9%20a%ud83d%ude00%u12%zz%"), "Вé a😀%u12%zz%");
        let mut bytes = Vec::new();
        decode(entity_byte, b'&', b"&#233;&eacute;&#xFF;&#256;&lt;", &mut bytes);
        assert_eq!(bytes, b"\xE9\xE9\xFF&#256;<");
    }

    #[test]
    fn names_are_in_order() {
        assert!(NAMES.is_sorted_by(|one, other| one.0 < other.0));
        assert!(NAMES.iter().all(|(name, _)| name.len() + 2 <= MAX_ENTITY));
    }
}
