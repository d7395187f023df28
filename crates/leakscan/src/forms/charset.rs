// SPDX-License-Identifier: MIT OR Apache-2.0
//! The character sets in which a text is searched for, and an encoder for each. The tables are those of the crates
//! `encoding_rs` (the web's charsets, by the WHATWG Encoding Standard) and `oem_cp` (the code pages of DOS).

use encoding_rs as web;
use oem_cp::code_table as dos;

/// How a charset writes characters.
enum Writer {
    Utf8,
    /// UTF-8 of the two halves of a surrogate pair, as Java's `writeUTF` and Oracle's `UTF8` write.
    Cesu8,
    Utf16 {
        big: bool,
    },
    Utf32 {
        big: bool,
    },
    /// The characters up to U+00FF as one byte each.
    Latin1,
    Web(&'static web::Encoding),
    Dos(&'static oem_cp::OEMCPHashMap<char, u8>),
    /// UTF-8 that was read in this charset and written as UTF-8 again.
    Misread(&'static web::Encoding),
}

/// A charset: its name, and how it writes characters.
pub(super) struct Charset {
    pub(super) name: &'static str,
    writer: Writer,
}

/// The number of [`CHARSETS`] that is UTF-8.
pub(super) const UTF_8: u8 = 0;

macro_rules! charsets {
    ($($name:literal: $writer:expr,)*) => { &[$(Charset { name: $name, writer: $writer }),*] };
}

/// All charsets. If two write a text alike, hits carry the name of the first.
pub(super) static CHARSETS: &[Charset] = charsets! {
    "utf-8": Writer::Utf8,
    "utf-16le": Writer::Utf16 { big: false },
    "utf-16be": Writer::Utf16 { big: true },
    "utf-32le": Writer::Utf32 { big: false },
    "utf-32be": Writer::Utf32 { big: true },
    "cesu-8": Writer::Cesu8,
    "windows-1252": Writer::Web(&web::WINDOWS_1252_INIT),
    "iso-8859-1": Writer::Latin1,
    "windows-1250": Writer::Web(&web::WINDOWS_1250_INIT),
    "windows-1251": Writer::Web(&web::WINDOWS_1251_INIT),
    "windows-1253": Writer::Web(&web::WINDOWS_1253_INIT),
    "windows-1254": Writer::Web(&web::WINDOWS_1254_INIT),
    "windows-1255": Writer::Web(&web::WINDOWS_1255_INIT),
    "windows-1256": Writer::Web(&web::WINDOWS_1256_INIT),
    "windows-1257": Writer::Web(&web::WINDOWS_1257_INIT),
    "windows-1258": Writer::Web(&web::WINDOWS_1258_INIT),
    "windows-874": Writer::Web(&web::WINDOWS_874_INIT),
    "iso-8859-2": Writer::Web(&web::ISO_8859_2_INIT),
    "iso-8859-3": Writer::Web(&web::ISO_8859_3_INIT),
    "iso-8859-4": Writer::Web(&web::ISO_8859_4_INIT),
    "iso-8859-5": Writer::Web(&web::ISO_8859_5_INIT),
    "iso-8859-6": Writer::Web(&web::ISO_8859_6_INIT),
    "iso-8859-7": Writer::Web(&web::ISO_8859_7_INIT),
    "iso-8859-8": Writer::Web(&web::ISO_8859_8_INIT),
    "iso-8859-10": Writer::Web(&web::ISO_8859_10_INIT),
    "iso-8859-13": Writer::Web(&web::ISO_8859_13_INIT),
    "iso-8859-14": Writer::Web(&web::ISO_8859_14_INIT),
    "iso-8859-15": Writer::Web(&web::ISO_8859_15_INIT),
    "iso-8859-16": Writer::Web(&web::ISO_8859_16_INIT),
    "koi8-r": Writer::Web(&web::KOI8_R_INIT),
    "koi8-u": Writer::Web(&web::KOI8_U_INIT),
    "macintosh": Writer::Web(&web::MACINTOSH_INIT),
    "x-mac-cyrillic": Writer::Web(&web::X_MAC_CYRILLIC_INIT),
    "gbk": Writer::Web(&web::GBK_INIT),
    "gb18030": Writer::Web(&web::GB18030_INIT),
    "big5": Writer::Web(&web::BIG5_INIT),
    "shift_jis": Writer::Web(&web::SHIFT_JIS_INIT),
    "euc-jp": Writer::Web(&web::EUC_JP_INIT),
    "iso-2022-jp": Writer::Web(&web::ISO_2022_JP_INIT),
    "euc-kr": Writer::Web(&web::EUC_KR_INIT),
    "ibm866": Writer::Web(&web::IBM866_INIT),
    "cp437": Writer::Dos(&dos::ENCODING_TABLE_CP437),
    "cp720": Writer::Dos(&dos::ENCODING_TABLE_CP720),
    "cp737": Writer::Dos(&dos::ENCODING_TABLE_CP737),
    "cp775": Writer::Dos(&dos::ENCODING_TABLE_CP775),
    "cp850": Writer::Dos(&dos::ENCODING_TABLE_CP850),
    "cp852": Writer::Dos(&dos::ENCODING_TABLE_CP852),
    "cp855": Writer::Dos(&dos::ENCODING_TABLE_CP855),
    "cp857": Writer::Dos(&dos::ENCODING_TABLE_CP857),
    "cp858": Writer::Dos(&dos::ENCODING_TABLE_CP858),
    "cp860": Writer::Dos(&dos::ENCODING_TABLE_CP860),
    "cp861": Writer::Dos(&dos::ENCODING_TABLE_CP861),
    "cp862": Writer::Dos(&dos::ENCODING_TABLE_CP862),
    "cp863": Writer::Dos(&dos::ENCODING_TABLE_CP863),
    "cp865": Writer::Dos(&dos::ENCODING_TABLE_CP865),
    "cp869": Writer::Dos(&dos::ENCODING_TABLE_CP869),
    "cp874": Writer::Dos(&dos::ENCODING_TABLE_CP874),
    "utf-8 read as windows-1252": Writer::Misread(&web::WINDOWS_1252_INIT),
    "utf-8 read as windows-1251": Writer::Misread(&web::WINDOWS_1251_INIT),
    "utf-8 read as koi8-r": Writer::Misread(&web::KOI8_R_INIT),
};

/// Writes a text in a charset, piece by piece.
pub(super) struct Encoder {
    writer: &'static Writer,
    /// The state of an encoder of the web's charsets, of which one has states.
    web: Option<web::Encoder>,
}

impl Encoder {
    pub(super) fn of(charset: &'static Charset) -> Self {
        let writer = &charset.writer;
        let web = match writer {
            Writer::Web(charset) => Some(charset.new_encoder()),
            _ => None,
        };
        Self { writer, web }
    }

    /// Appends a piece of the text, with a question mark for each character for which the charset has no code, as
    /// converters write. Returns the number of those.
    pub(super) fn write(&mut self, piece: &str, out: &mut Vec<u8>) -> usize {
        let mut missing = 0usize;
        let mut code_or_mark = |code: Option<u8>| {
            missing = missing.saturating_add(usize::from(code.is_none()));
            code.unwrap_or(b'?')
        };
        match *self.writer {
            Writer::Utf8 => out.extend(piece.as_bytes()),
            Writer::Utf16 { big } => {
                for unit in piece.encode_utf16() {
                    out.extend(if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
                }
            }
            Writer::Utf32 { big } => {
                for character in piece.chars().map(u32::from) {
                    out.extend(if big { character.to_be_bytes() } else { character.to_le_bytes() });
                }
            }
            Writer::Cesu8 => {
                for character in piece.chars() {
                    let mut units = [0; 2];
                    match *character.encode_utf16(&mut units) {
                        [high, low] => {
                            out.extend(three_bytes(high));
                            out.extend(three_bytes(low));
                        }
                        _ => out.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                }
            }
            Writer::Latin1 => out.extend(piece.chars().map(|one| code_or_mark(u8::try_from(u32::from(one)).ok()))),
            Writer::Dos(table) => {
                out.extend(piece.chars().map(|one| code_or_mark(oem_cp::encode_char_checked(one, table))));
            }
            Writer::Misread(charset) => {
                let (read, _) = charset.decode_without_bom_handling(piece.as_bytes());
                out.extend(read.as_bytes());
            }
            Writer::Web(_) => return self.write_web(piece, false, out),
        }
        missing
    }

    /// Appends what ends a text: the way back to ASCII, in a charset with states.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        _ = self.write_web("", true, out);
    }

    fn write_web(&mut self, mut piece: &str, last: bool, out: &mut Vec<u8>) -> usize {
        let Some(encoder) = &mut self.web else { return 0 };
        let mut missing = 0usize;
        while let Some(most) = encoder.max_buffer_length_from_utf8_without_replacement(piece.len()) {
            out.reserve(most);
            let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(piece, out, last);
            if matches!(result, web::EncoderResult::InputEmpty) {
                break;
            }
            // Each turn reads a character without a code, so that the loop ends.
            let Some(rest) = piece.get(read..).filter(|_| read > 0) else { break };
            piece = rest;
            out.push(b'?');
            missing = missing.saturating_add(1);
        }
        missing
    }
}

/// Half of a surrogate pair, as UTF-8 would write it if it were a character (RFC 3629, 3).
const fn three_bytes(half: u16) -> [u8; 3] {
    let [high, low] = half.to_be_bytes();
    [0xE0 | high >> 4, 0x80 | (high & 15) << 2 | low >> 6, 0x80 | low & 0x3F]
}
