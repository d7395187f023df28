// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of which some are written as a mark and the byte's number, among bytes that are as they are: quoted-printable
//! (RFC 2045, 6.7; RFC 2047, 4.2), the escapes of syslog daemons, `cat -v`, `vis`, and forms (the plus of
//! `application/x-www-form-urlencoded`).

use super::super::byte_class::{PERCENT, class};
use super::{hex, percent};

/// Bytes of the name of a charset and of its language: the longest registered name has 45.
const MAX_CHARSET: usize = 60;

/// The byte of `=C3`, and its length.
pub fn equals(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b'=', high, low, ..] if hex::value(high) < 16 && hex::value(low) < 16 => {
            Some((hex::value(high) << 4 | hex::value(low), 3))
        }
        _ => None,
    }
}

/// The length of a soft line break of quoted-printable.
pub fn soft_break(text: &[u8]) -> usize {
    match text {
        [b'=', b'\r', b'\n', ..] => 3,
        [b'=', b'\n', ..] => 2,
        _ => 0,
    }
}

/// A symbol of quoted-printable, with the soft line breaks before it. See [`super::symbols::Symbol`].
pub fn quoted_printable(text: &[u8]) -> Option<(u8, usize)> {
    let mut at = 0usize;
    loop {
        let rest = text.get(at..)?;
        match soft_break(rest) {
            0 => {
                let (byte, len) = equals(rest).or_else(|| Some((*rest.first()?, 1)))?;
                return Some((byte, at.saturating_add(len)));
            }
            len => at = at.saturating_add(len),
        }
    }
}

/// The length of the beginning of an encoded word in quoted-printable (RFC 2047, 2): `=?utf-8?Q?`; 0 for none.
pub fn encoded_word(text: &[u8]) -> usize {
    let Some((b"=?", rest)) = text.split_first_chunk() else { return 0 };
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'.' | b':');
    let len = rest.iter().take(MAX_CHARSET).take_while(|byte| is_token(byte)).count();
    match rest.get(len..) {
        Some([b'?', b'q' | b'Q', b'?', ..]) if len > 0 => len.saturating_add(5),
        _ => 0,
    }
}

/// A symbol of encoded words, in which an underscore is a space, with what is between them before it. See
/// [`super::symbols::Symbol`].
pub fn encoded_words(text: &[u8]) -> Option<(u8, usize)> {
    let mut at = 0usize;
    if let Some(rest) = text.strip_prefix(b"?=") {
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if encoded_word(rest.get(blank..)?) > 0 {
            at = blank.saturating_add(2);
        }
    }
    at = at.saturating_add(encoded_word(text.get(at..)?));
    let rest = text.get(at..)?;
    let (byte, len) = match rest {
        [b'_', ..] => (b' ', 1),
        _ => equals(rest).or_else(|| Some((*rest.first()?, 1)))?,
    };
    Some((byte, at.saturating_add(len)))
}

/// The byte of `#303`, in octal, as rsyslog writes control characters and others than ASCII.
pub fn hash(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b'#', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', ..] => {
            let byte = (high & 3) << 6 | (middle & 7) << 3 | low & 7;
            (!(b' '..=b'~').contains(&byte)).then_some((byte, 4))
        }
        _ => None,
    }
}

/// See [`super::symbols::Symbol`].
pub fn hash_escapes(text: &[u8]) -> Option<(u8, usize)> {
    hash(text).or_else(|| Some((*text.first()?, 1)))
}

/// The byte of `^A`, `M-^A` or `M-a`, as `cat -v` writes it.
pub fn caret(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b'M', b'-', b'^', symbol @ b'?'..=b'_', ..] => Some(((symbol ^ 0x40) | 0x80, 4)),
        [b'M', b'-', symbol @ b' '..=b'~', ..] => Some((symbol | 0x80, 3)),
        [b'^', symbol @ b'?'..=b'_', ..] => Some((symbol ^ 0x40, 2)),
        _ => None,
    }
}

/// See [`super::symbols::Symbol`].
pub fn caret_notation(text: &[u8]) -> Option<(u8, usize)> {
    caret(text).or_else(|| Some((*text.first()?, 1)))
}

/// The byte of `\^A`, `\M^A` or `\M-a`, as `vis` writes it.
pub fn vis(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b'\\', b'M', b'^', symbol @ b'?'..=b'_', ..] => Some(((symbol ^ 0x40) | 0x80, 4)),
        [b'\\', b'M', b'-', symbol @ b' '..=b'~', ..] => Some((symbol | 0x80, 4)),
        [b'\\', b'^', symbol @ b'?'..=b'_', ..] => Some((symbol ^ 0x40, 3)),
        _ => None,
    }
}

/// A symbol of `vis`, which doubles backslashes and writes a few bytes in octal. See [`super::symbols::Symbol`].
pub fn vis_notation(text: &[u8]) -> Option<(u8, usize)> {
    let other = match *text {
        [b'\\', b'\\', ..] => Some((b'\\', 2)),
        [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', ..] => {
            Some(((high & 3) << 6 | (middle & 7) << 3 | low & 7, 4))
        }
        [byte, ..] => Some((byte, 1)),
        [] => None,
    };
    vis(text).or(other)
}

/// Whether a byte may be in a form, as itself or as a mark.
pub const fn is_form(byte: u8) -> bool {
    class(byte) & PERCENT != 0 || byte == b'+'
}

/// A symbol of a form: percent-encoding, in which a plus is a space. See [`super::symbols::Symbol`].
pub fn form(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'+', ..] => Some((b' ', 1)),
        _ => percent::symbol(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::symbols::{self, Symbol};
    use super::*;

    /// Of Python's `quopri` and `urllib.parse`, `cat -v` of coreutils, `vis` of BSD, and the manual of rsyslog.
    #[test]
    fn known_answers_are_decoded() {
        let decoded = |symbol: Symbol, text: &[u8]| {
            let mut out = Vec::new();
            symbols::decode(symbol, text, &mut out);
            out
        };
        assert_eq!(decoded(quoted_printable, b"Gr=C3=BC=C3=9Fe =3D=\r\n a=\n=\nb=zz"), "Grüße = ab=zz".as_bytes());
        let words = b"=?UTF-8?Q?Gr=C3=BC=C3=9Fe_=5F?=\r\n =?iso-8859-1*de?q?_a?= =?a?= b";
        assert_eq!(decoded(encoded_words, words), "Grüße _ a?= =?a?= b".as_bytes());
        assert_eq!(decoded(hash_escapes, b"Gr#303#274#303#237e#011#012#0777#101"), "Grüße\t\n#0777#101".as_bytes());
        assert_eq!(decoded(caret_notation, b"GrM-CM-<M-CM-^_e^@^?M-^?M- ^a"), b"Gr\xC3\xBC\xC3\x9Fe\0\x7F\xFF\xA0^a");
        assert_eq!(
            decoded(vis_notation, b"Gr\\M-C\\M-<\\M-C\\M^_e\\^@\\^?\\M^?\\240\\\\"),
            b"Gr\xC3\xBC\xC3\x9Fe\0\x7F\xFF\xA0\\"
        );
        assert_eq!(decoded(form, b"Gr%C3%BC%C3%9Fe+aus+K&x"), "Grüße aus K".as_bytes());
    }
}
