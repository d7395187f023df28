// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the encoded text in some bytes, decodes it and hands it to the sink.
//!
//! ```text
//! runs.rs      text that is encoded as a whole: Base64, hexadecimal, percent-encoding, UTF-16
//! integers/    lists of integers in text, and dumps of memory
//! escaped.rs   bytes of which some are encoded and the others are as they are: escapes, Latin-1 in UTF-8, 16-bit bytes
//! marks.rs     the same with other marks: quoted-printable, syslog's escapes, caret notation, forms
//! groups.rs    base85, base45, uuencode
//! joined.rs    hexadecimal, Base64 and escapes over lines with other bytes between them
//! tokens.rs    letters and digits in other alphabets: base32, and whole numbers
//! crypt.rs     Base64 in the alphabets of crypt(3) and bcrypt
//! characters.rs characters by number or name: `\u0412`, `&uuml;`, `%u0412`
//! batch.rs     short decoded runs, collected and handed on together
//! ```

mod batch;
mod characters;
mod crypt;
mod escaped;
mod groups;
mod integers;
mod joined;
mod marks;
mod runs;
mod tokens;

pub(crate) use batch::{BATCH_LEN, BORDER};

use super::prefilter::Prefilter;
use super::sink::Sink;

/// Decodes what text there is in `bytes`; `prefilter` is theirs.
pub(crate) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    runs::decode(sink, bytes, prefilter);
    integers::decode(sink, bytes, prefilter);
    super::arrays::decode(sink, bytes, prefilter);
    escaped::decode(sink, bytes, prefilter);
    characters::decode(sink, bytes, prefilter);
    marks::decode(sink, bytes, prefilter);
    groups::decode(sink, bytes, prefilter);
    joined::decode(sink, bytes, prefilter);
}
