// SPDX-License-Identifier: MIT OR Apache-2.0
//! What files, protocols and formats have in common, whoever uses them: their heads and trailers, header lines, tables,
//! times. A text that begins like every PNG is not found because the server has a PNG.
//!
//! Fixed sequences are [`IDIOMS`], which are searched for in the texts like a baseline. What has varying parts is
//! recognised by its form ([`formed`]).

use core::ops::Range;

/// Sequences that many files of a format have. Only those of a fragment's length or more explain one.
pub(super) const IDIOMS: &[&[u8]] = &[
    // PNG (W3C PNG, third edition, 11.3): the chunks sRGB, gAMA and pHYs of common writers in their common orders.
    b"\x00\x00\x00\x01sRGB\x00\xAE\xCE\x1C\xE9\x00\x00\x00\x04gAMA\x00\x00\xB1\x8F\x0B\xFCa\x05\x00\x00\x00\x09pHYs\x00\x00\x0E\xC3\x00\x00\x0E\xC3\x01\xC7o\xA8d\x00\x00",
    b"\x00\x00\x00\x01sRGB\x00\xAE\xCE\x1C\xE9\x00\x00\x00\x09pHYs\x00\x00\x0B\x13\x00\x00\x0B\x13\x01\x00\x9A\x9C\x18\x00\x00",
    b"\x00\x00\x00\x04gAMA\x00\x00\xB1\x8F\x0B\xFCa\x05\x00\x00\x00 cHRM\x00\x00z&\x00\x00\x80\x84\x00\x00\xFA\x00\x00\x00\x80\xE8\x00\x00u0\x00\x00\xEA`\x00\x00:\x98\x00\x00\x17p\x9C\xBAQ<\x00\x00\x00",
    b"\x00\x00\x00\x04sBIT\x08\x08\x08\x08|\x08d\x88\x00\x00\x00\x09pHYs\x00\x00\x0E\xC4\x00\x00\x0E\xC4\x01\x95+\x0E\x1B\x00\x00\x00",
    b"\x00\x00\x00\x19tEXtSoftware\x00Adobe ImageReadyq\xC9e<\x00\x00",
    b"\x00\x00\x00\x19tEXtSoftware\x00www.inkscape.org\x9B\xEE<\x1A\x00\x00",
    b"\x00\x00\x00\x25tEXtdate:create\x0020",
    b"\x00\x00\x00\x25tEXtdate:modify\x0020",
    // JPEG: JFIF head, the Huffman tables of ITU-T T.81, Annex K.3.
    b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xFF\xDB\x00C\x00",
    b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x01\x00H\x00H\x00\x00\xFF\xDB\x00C\x00",
    b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x01\x00`\x00`\x00\x00\xFF\xDB\x00C\x00",
    b"\xFF\xC4\x00\x1F\x00\x00\x01\x05\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B",
    b"\xFF\xC4\x00\x1F\x01\x00\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B",
    b"\xFF\xC4\x00\xB5\x10\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01}\x01\x02\x03\x00\x04\x11\x05\x12!1A\x06\x13Qa\x07\"q\x142\x81\x91\xA1\x08#B\xB1\xC1\x15R\xD1\xF0$3br\x82\x09\x0A\x16\x17\x18\x19\x1A%&'()*456789:CDEFGHIJSTUVWXYZcdefghijstuvwxyz\x83\x84\x85\x86\x87\x88\x89\x8A\x92\x93\x94\x95\x96\x97\x98\x99\x9A\xA2\xA3\xA4\xA5\xA6\xA7\xA8\xA9\xAA\xB2\xB3\xB4\xB5\xB6\xB7\xB8\xB9\xBA\xC2\xC3\xC4\xC5\xC6\xC7\xC8\xC9\xCA\xD2\xD3\xD4\xD5\xD6\xD7\xD8\xD9\xDA\xE1\xE2\xE3\xE4\xE5\xE6\xE7\xE8\xE9\xEA\xF1\xF2\xF3\xF4\xF5\xF6\xF7\xF8\xF9\xFA",
    b"\xFF\xC4\x00\xB5\x11\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02w\x00\x01\x02\x03\x11\x04\x05!1\x06\x12AQ\x07aq\x13\"2\x81\x08\x14B\x91\xA1\xB1\xC1\x09#3R\xF0\x15br\xD1\x0A\x16$4\xE1%\xF1\x17\x18\x19\x1A&'()*56789:CDEFGHIJSTUVWXYZcdefghijstuvwxyz\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x92\x93\x94\x95\x96\x97\x98\x99\x9A\xA2\xA3\xA4\xA5\xA6\xA7\xA8\xA9\xAA\xB2\xB3\xB4\xB5\xB6\xB7\xB8\xB9\xBA\xC2\xC3\xC4\xC5\xC6\xC7\xC8\xC9\xCA\xD2\xD3\xD4\xD5\xD6\xD7\xD8\xD9\xDA\xE2\xE3\xE4\xE5\xE6\xE7\xE8\xE9\xEA\xF2\xF3\xF4\xF5\xF6\xF7\xF8\xF9\xFA",
    // GIF, WebP, WAV, MP4, MP3.
    b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\x00\x00\x00\x21\xF9\x04",
    b"WAVEfmt \x10\x00\x00\x00\x01\x00\x02\x00\x44\xAC\x00\x00\x10\xB1\x02\x00\x04\x00\x10\x00data",
    b"WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x44\xAC\x00\x00\x88X\x01\x00\x02\x00\x10\x00data",
    b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41\x00\x00\x00\x08free\x00",
    b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42\x00",
    // PDF.
    b"%PDF-1.4\x0A%\xE2\xE3\xCF\xD3\x0A1 0 obj\x0A<<",
    b"%PDF-1.7\x0A%\xE2\xE3\xCF\xD3\x0A1 0 obj\x0A<<",
    b"\nendstream\nendobj\n",
    b"<< /Type /Catalog /Pages ",
    b"<</Filter/FlateDecode/Length ",
    b"<< /Filter /FlateDecode /Length ",
    b"\ntrailer\n<< /Size ",
    b"0000000000 65535 f \n0000000",
    b"0000000000 65535 f\r\n",
    // Office documents are ZIP archives with these names.
    b"[Content_Types].xml",
    b"word/document.xml",
    b"word/_rels/document.xml.rels",
    b"xl/_rels/workbook.xml.rels",
    b"docProps/core.xml",
    b"META-INF/manifest.xml",
    b"META-INF/MANIFEST.MF",
    b"mimetypeapplication/vnd.oasis.opendocument.text",
    // XML, HTML, SVG.
    b"<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\r\n<",
    b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<",
    b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<",
    b"<?xml version='1.0' encoding='UTF-8'?>\n<",
    b"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta charset=\"UTF-8\">\n<title>",
    b"<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">",
    b"<html xmlns=\"http://www.w3.org/1999/xhtml\"",
    b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"",
    b"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ",
    b"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1",
    // The beginnings of addresses of which there are many.
    b"https://www.youtube.com/watch?v=",
    b"https://github.com/",
    b"https://en.wikipedia.org/wiki/",
    b"https://docs.google.com/document/d/",
    b"https://www.google.com/search?q=",
    b"https://www.google.com/maps/place/",
    b"https://maps.app.goo.gl/",
    b"https://www.instagram.com/",
    b"https://www.facebook.com/",
    b"https://www.linkedin.com/in/",
    // PEM, vCard.
    b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
    b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:",
];

/// Names of header lines, in lower case, with the values that are everybody's. Of other values only the name is known.
const HEADERS: [(&str, &[&str]); 30] = [
    ("accept", &["*/*", "application/json", "text/html", "application/json, text/plain, */*"]),
    ("accept-encoding", &["gzip", "gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd", "identity"]),
    ("accept-language", &["*", "en-US", "en-US,en;q=0.9", "en-US,en;q=0.5"]),
    ("accept-ranges", &["bytes", "none"]),
    ("access-control-allow-credentials", &["true"]),
    ("access-control-allow-headers", &["*", "Content-Type", "Authorization"]),
    ("access-control-allow-methods", &["*", "GET, POST, OPTIONS"]),
    ("access-control-allow-origin", &["*"]),
    ("authorization", &["Bearer ", "Basic "]),
    ("cache-control", &["no-cache", "no-store", "max-age=0", "private", "no-cache, no-store, must-revalidate"]),
    ("connection", &["keep-alive", "close", "Upgrade"]),
    ("content-disposition", &["attachment; filename=", "form-data; name=", "inline"]),
    ("content-encoding", &["gzip", "br", "deflate", "zstd"]),
    ("content-length", &[]),
    (
        "content-type",
        &[
            "application/json",
            "application/json; charset=utf-8",
            "application/octet-stream",
            "application/x-www-form-urlencoded",
            "application/xml",
            "image/jpeg",
            "image/png",
            "multipart/form-data; boundary=",
            "text/html; charset=utf-8",
            "text/html; charset=UTF-8",
            "text/plain; charset=utf-8",
            "text/plain; charset=UTF-8",
        ],
    ),
    ("content-transfer-encoding", &["base64", "quoted-printable", "7bit", "8bit"]),
    ("date", &[]),
    ("etag", &[]),
    ("expires", &["0", "-1"]),
    ("if-modified-since", &[]),
    ("if-none-match", &[]),
    ("last-modified", &[]),
    ("mime-version", &["1.0"]),
    ("proxy-authorization", &["Bearer ", "Basic "]),
    ("strict-transport-security", &["max-age=31536000; includeSubDomains", "max-age=31536000"]),
    ("transfer-encoding", &["chunked", "gzip, chunked"]),
    ("upgrade-insecure-requests", &["1"]),
    ("x-content-type-options", &["nosniff"]),
    ("x-forwarded-for", &[]),
    ("x-requested-with", &["XMLHttpRequest"]),
];

/// Bytes at the beginning of a PNG that its size, depth and colours determine: signature, header with its checksum, and
/// length and name of the next chunk.
const PNG_HEAD: usize = 8 + 25 + 8;
/// Bytes before a name of a ZIP's entry: a local header (APPNOTE 4.3.7). Its time and sizes are few.
const ZIP_HEAD: usize = 30;

/// The parts of a text that are an idiom with varying parts: the head of a file, a time, header lines of HTTP and mail.
/// Ranges of bytes, which may overlap.
pub(super) fn formed(text: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    for (magic, len) in
        [(&b"\x89PNG\r\n\x1A\n"[..], PNG_HEAD), (b"PK\x03\x04", ZIP_HEAD), (b"\x7FELF", 20), (b"\x1F\x8B\x08", 10)]
    {
        if text.starts_with(magic) {
            parts.push(0..len.min(text.len()));
        }
    }
    times(text, &mut parts);
    header_lines(text, &mut parts);
    parts
}

/// Times as ISO 8601 and RFC 3339 write them (`2026-11-30T19:44:21.123456+00:00`), and HTTP's (`Mon, 30 Nov 2026
/// 19:44:21 GMT`): servers log the same ones.
fn times(text: &[u8], parts: &mut Vec<Range<usize>>) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"-:.,+TZ ".contains(byte);
    let is_http = |byte: &u8| byte.is_ascii_alphanumeric() || b":, +-".contains(byte);
    for (at, window) in text.windows(5).enumerate() {
        let rest = text.get(at..).unwrap_or_default();
        let date = |rest: &[u8]| matches(rest, b"0000-00-00") || matches(rest, b"0000/00/00");
        if window.get(4).is_some_and(|byte| b"-/".contains(byte)) && date(rest) {
            // At most `2026-11-30T19:44:21.123456789+00:00`.
            let after = rest.iter().skip(10).take(25).take_while(|byte| is_part(byte)).count();
            parts.push(at..at.saturating_add(10).saturating_add(after));
        }
        if window.get(3..5) == Some(b", ") && matches(rest, b"AAA, 00 AAA 0000 00:00:00") {
            let zone = rest.iter().skip(25).take(6).take_while(|byte| is_http(byte)).count();
            parts.push(at..at.saturating_add(25).saturating_add(zone));
        }
    }
}

/// Whether bytes begin with this form: `0` is any digit, `A` any letter, everything else itself.
fn matches(bytes: &[u8], form: &[u8]) -> bool {
    bytes.len() >= form.len()
        && bytes.iter().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_alphabetic(),
            _ => byte == form,
        })
}

/// Header lines, with the end of the line before and the beginning of the line after, and successive ones together.
fn header_lines(text: &[u8], parts: &mut Vec<Range<usize>>) {
    let mut known: Option<Range<usize>> = None;
    let mut at = 0usize;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = at.saturating_add(line.len());
        let (len, is_whole) = known_of_line(line);
        if len > 0 {
            let from = known.take().map_or(at, |before| before.start);
            let part = from..at.saturating_add(len);
            match is_whole {
                true => known = Some(from..end),
                false => parts.push(part),
            }
        } else {
            parts.extend(known.take());
        }
        at = end;
    }
    parts.extend(known);
}

/// The bytes of a line that are an idiom, and whether all of them are.
fn known_of_line(line: &[u8]) -> (usize, bool) {
    let text = line.trim_ascii_end();
    let status = [&b"HTTP/1.1 "[..], b"HTTP/1.0 "].iter().any(|start| text.starts_with(start));
    if status && text.len() < 40 || text.ends_with(b" HTTP/1.1") && text.len() < 24 || text.is_empty() {
        return (line.len(), true);
    }
    let Some(colon) = text.iter().position(|byte| *byte == b':') else { return (0, false) };
    let name = text.get(..colon).unwrap_or_default().to_ascii_lowercase();
    let Some((_, values)) = HEADERS.iter().find(|(known, _)| known.as_bytes() == name) else { return (0, false) };
    let value = text.get(colon.saturating_add(1)..).unwrap_or_default();
    let space = value.len().saturating_sub(value.trim_ascii_start().len());
    let value = value.trim_ascii_start();
    // Numbers are lengths and ages.
    if values.iter().any(|known| known.as_bytes() == value) || value.iter().all(u8::is_ascii_digit) {
        return (line.len(), true);
    }
    let begun = values.iter().filter(|known| value.starts_with(known.as_bytes())).map(|known| known.len()).max();
    (colon.saturating_add(1).saturating_add(space).saturating_add(begun.unwrap_or(0)), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscan::FRAGMENT;

    fn is_formed(text: &[u8], part: &[u8]) -> bool {
        let at = text.windows(part.len()).position(|window| window == part).unwrap();
        formed(text).iter().any(|range| range.start <= at && at + part.len() <= range.end)
    }

    #[test]
    fn idioms_can_explain_a_fragment() {
        let useless: Vec<_> = IDIOMS.iter().filter(|idiom| idiom.len() < FRAGMENT).collect();
        assert!(useless.is_empty(), "{useless:?}");
    }

    #[test]
    fn heads_of_files_are_explained_up_to_their_content() {
        let png =
            [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\0\0\0\x02\0\x08\x06\0\0\0\xF4x\xD4\xFA\0\0 \0IDAT"[..], &[7; 40]];
        let png = png.concat();
        assert!(is_formed(&png, &png[..41]));
        assert!(!is_formed(&png, &png[..42]));
        assert!(!is_formed(&[b"x", &png[..]].concat(), &png[..20]));
    }

    #[test]
    fn times_are_explained_and_other_numbers_are_not() {
        for time in [
            "2026-11-30T19:44:21Z",
            "2026-11-30 19:44:21.123456+00:00",
            "2026/11/30 19:44:21",
            "Mon, 30 Nov 2026 19:44:21 GMT",
        ] {
            let text = format!("we met at {time} by the river");
            assert!(is_formed(text.as_bytes(), time.as_bytes()), "{time}");
            assert!(!is_formed(text.as_bytes(), format!("{time} by the river").as_bytes()));
            assert!(!is_formed(text.as_bytes(), format!("met at {time}").as_bytes()));
        }
        for other in ["4000-1234-5678-9010", "+49 30 1234567890", "2026-1-3T19:44:21Z____"] {
            assert!(formed(other.as_bytes()).is_empty(), "{other}");
        }
    }

    #[test]
    fn header_lines_are_explained_and_their_secrets_are_not() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 17\r\n\
            Authorization: Bearer abcdefghijklmnopq\r\nX-Secret: application/json\r\n\r\nthe body of the message";
        assert!(is_formed(
            text,
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 17\r\n"
        ));
        assert!(is_formed(text, b"17\r\nAuthorization: Bearer "));
        assert!(!is_formed(text, b"Authorization: Bearer a"));
        assert!(!is_formed(text, b"X-Secret: application/json"));
        assert!(!is_formed(text, b"the body of the message"));
        assert!(!is_formed(b"Content-Type: a secret of mine\n", b"Content-Type: a secret"));
        assert!(!is_formed(b"GET /a/path/that/is/long/and/secret HTTP/1.1\r\n", b"GET /a/path/that/is"));
    }
}
