// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of which some are written with a mark.

use super::super::encoding::Encoding;
use data_encoding::HEXLOWER;

/// Bytes after which quoted-printable breaks the line.
const LINE: usize = 20;

/// Writes bytes in an encoding.
pub(super) fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte);
    let each = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<String>().into_bytes();
    match encoding {
        Encoding::QuotedPrintable => {
            let symbols = bytes.iter().map(|&byte| match byte {
                b'!'..=b'<' | b'>'..=b'~' => String::from(char::from(byte)),
                _ => format!("={byte:02X}"),
            });
            let lines: Vec<String> = symbols.collect();
            lines.chunks(LINE).map(<[String]>::concat).collect::<Vec<_>>().join("=\r\n").into_bytes()
        }
        Encoding::HashEscapes => each(&|byte| match is_printable(byte) {
            true => String::from(char::from(byte)),
            false => format!("#{byte:03o}"),
        }),
        Encoding::CaretNotation => each(&|byte| {
            let (meta, rest) = if byte < 0x80 { ("", byte) } else { ("M-", byte & 0x7F) };
            if is_printable(rest) {
                format!("{meta}{}", char::from(rest))
            } else {
                format!("{meta}^{}", char::from(rest ^ 0x40))
            }
        }),
        // A space between two bytes in hexadecimal: most keys have none themselves.
        _ => bytes.iter().map(|byte| HEXLOWER.encode(&[*byte])).collect::<Vec<_>>().join("+").into_bytes(),
    }
}

/// Bytes between two marks that are near each other, and those that separate settings: see the decoder.
const NEAR: usize = 6;

/// Whether two of these bytes are written with marks near each other.
pub(super) fn are_near(bytes: &[u8], encoding: Encoding) -> bool {
    let is_marked = |byte: u8| encode(&[byte], encoding).len() > 1;
    let mut between = None;
    for &byte in bytes {
        if is_marked(byte) {
            if between.is_some_and(|between| between <= NEAR) {
                return true;
            }
            between = Some(0usize);
        } else if matches!(byte, b' ' | b'&' | b';' | b',') {
            between = None;
        } else {
            between = between.map(|between| between.saturating_add(1));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_near_or_not() {
        for (text, expected) in [
            (&b"jjrky onpoqwsojs"[..], false),
            (b"jjrky onpoqws js", false),
            (b"jjrky onpoqw ojs", true),
            (b"abc", false),
            (b"\xFF\xFE", true),
            (b"\xFF;\xFE", false),
        ] {
            assert_eq!(are_near(text, Encoding::QuotedPrintable), expected, "{text:?}");
        }
        assert!(!are_near(b"a b\x01 \x02", Encoding::HashEscapes) && are_near(b"a b\x01.\x02", Encoding::HashEscapes));
    }

    /// As Python's `quopri.encodestring`, rsyslog and `cat -v` write them.
    #[test]
    fn shapes_are_as_specified() {
        let of = |encoding| String::from_utf8(encode(b"Gr\xC3\xBC\xC3\x9F=\0\x7F\xFF^", encoding)).unwrap();
        assert_eq!(of(Encoding::QuotedPrintable), "Gr=C3=BC=C3=9F=3D=00=7F=FF^");
        assert_eq!(of(Encoding::HashEscapes), "Gr#303#274#303#237=#000#177#377^");
        assert_eq!(of(Encoding::CaretNotation), "GrM-CM-<M-CM-^_=^@^?M-^?^");
        assert!(of(Encoding::Form).starts_with("47+72+c3+"));
        assert!(encode(&[7; 32], Encoding::QuotedPrintable).windows(3).any(|line| line == b"=\r\n"));
    }
}
