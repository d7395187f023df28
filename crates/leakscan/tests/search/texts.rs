// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts in languages other than English, in the forms in which servers write them. What they write is not from this
//! crate's encoders but from CPython's ([`known`]).

mod known;

use super::encode::{base64, gzip};
use super::{OTHER, random};
use data_encoding::HEXLOWER;
use known::{KNOWN, Known};
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Form, Hit, Index, Needles};

fn index_of(texts: &[&str]) -> Index {
    let mut needles = Needles::new();
    for (id, text) in (0..).zip(texts) {
        needles.add_text(id, text.as_bytes());
    }
    needles.build().unwrap()
}

fn hits(bytes: &[u8], index: &Index, encodings: Encodings) -> Vec<Hit> {
    let findings = Evidence::new().with_encodings(encodings).bytes("bytes", bytes).search(index, |_, _| {}).unwrap();
    findings.hits
}

/// Without the decoders of lists of integers, which take the numbers of characters for lists.
const ENCODINGS: Encodings =
    Encodings::ALL.without(Encoding::Integers).without(Encoding::HexIntegers).without(Encoding::WideIntegers);

/// Among bytes of no text.
fn around(bytes: &[u8]) -> Vec<u8> {
    [&[OTHER; 77][..], bytes, &[OTHER; 77]].concat()
}

/// A way to write bytes, with its encoding.
type Nesting = (Option<Encoding>, fn(&[u8]) -> Vec<u8>);

const NESTINGS: [Nesting; 3] = [
    (None, |bytes| bytes.to_vec()),
    (Some(Encoding::Base64), |bytes| base64(bytes, false, true, 0)),
    // Among bytes that compress: otherwise the text is in the stream as it is.
    (Some(Encoding::Gzip), |bytes| gzip(&around(bytes))),
];

/// Checks that a text that is written like this is found whole, raw and nested, and not without one of the encodings or
/// without the forms of a text.
fn assert_whole(known: &Known, name: &str, written: &[u8], encoding: Option<Encoding>) {
    let index = index_of(&["another text", known.text]);
    let mut plain = Needles::new();
    plain.add_secret(1, known.text.as_bytes());
    let plain = plain.build().unwrap();
    for (nesting, nest) in NESTINGS {
        let evidence = around(&nest(written));
        let found = hits(&evidence, &index, ENCODINGS);
        let whole = found.iter().find(|hit| hit.whole && hit.id == 1);
        let whole = whole.unwrap_or_else(|| panic!("{} as {name} in {nesting:?}: {found:?}", known.language));
        assert_eq!(whole.range, 0..known.text.len());
        for step in nesting.iter().chain(&encoding) {
            assert!(whole.encoding.contains(step), "{} as {name}: {whole}", known.language);
            let blind = hits(&evidence, &index, ENCODINGS.without(*step));
            assert!(!blind.iter().any(|hit| hit.whole), "{} as {name} without {step}: {blind:?}", known.language);
        }
        if let Some(form) = whole.form.filter(|_| encoding.is_none()) {
            assert!(whole.to_string().ends_with(&format!(", as {form}")), "{whole}");
            let blind = hits(&evidence, &plain, ENCODINGS);
            assert!(!blind.iter().any(|hit| hit.whole), "{} as {name} without forms: {blind:?}", known.language);
        }
    }
}

#[test]
fn texts_in_every_charset_are_found_whole_and_not_without_their_forms() {
    let mut count = 0;
    for known in KNOWN {
        for (charset, written) in known.charsets {
            let written = HEXLOWER.decode(written.as_bytes()).unwrap();
            assert_whole(known, charset, &written, None);
            count += 1;
        }
    }
    assert!(count > 110, "{count}");
}

#[test]
fn texts_in_json_and_python_escapes_are_found_whole_and_not_without_their_decoder() {
    for known in KNOWN {
        assert_whole(known, "json.dumps", known.json.as_bytes(), Some(Encoding::Escapes));
        assert_whole(known, "ascii", known.ascii.as_bytes(), Some(Encoding::Escapes));
        // JSON within JSON, as logs have it.
        let twice = known.json.replace('\\', "\\\\").replace('"', "\\\"");
        assert_whole(known, "json.dumps twice", twice.as_bytes(), Some(Encoding::Escapes));
        let wide: Vec<u8> = known.json.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_whole(known, "json.dumps in UTF-16", &wide, Some(Encoding::Utf16Le));
    }
}

type Write<'a> = &'a dyn Fn(char) -> String;

#[test]
fn texts_by_the_numbers_of_their_characters_are_found_whole() {
    let unit = |one: char, write: &dyn Fn(u16) -> String| -> String {
        one.encode_utf16(&mut [0; 2]).iter().map(|unit| write(*unit)).collect()
    };
    let written: [(&str, Encoding, Write<'_>); 8] = [
        ("braces", Encoding::Escapes, &|one| one.escape_unicode().to_string()),
        ("eight digits", Encoding::Escapes, &|one| format!("\\U{:08X}", u32::from(one))),
        ("Perl", Encoding::Escapes, &|one| format!("\\x{{{:x}}}", u32::from(one))),
        ("Perl's name", Encoding::Escapes, &|one| format!("\\N{{U+{:X}}}", u32::from(one))),
        ("upper case", Encoding::Escapes, &|one| unit(one, &|unit| format!("\\u{unit:04X}"))),
        ("decimal", Encoding::Entities, &|one| format!("&#{};", u32::from(one))),
        ("hexadecimal", Encoding::Entities, &|one| format!("&#x{:X};", u32::from(one))),
        ("JavaScript's escape", Encoding::Percent, &|one| match u32::from(one) {
            number @ ..=0xFF => format!("%{number:02X}"),
            _ => unit(one, &|unit| format!("%u{unit:04X}")),
        }),
    ];
    for known in KNOWN {
        for (name, encoding, write) in written {
            // As programs write them: ASCII as it is. And throughout.
            let some: String = known
                .text
                .chars()
                .map(|one| if one.is_ascii_alphanumeric() { one.into() } else { write(one) })
                .collect();
            let all: String = known.text.chars().map(write).collect();
            assert_whole(known, name, some.as_bytes(), Some(encoding));
            assert_whole(known, name, all.as_bytes(), Some(encoding));
        }
    }
}

/// `[ord(c) for c in text]` of Python, the arguments of JavaScript's `String.fromCodePoint`, and Unicode's notation.
#[test]
fn texts_as_lists_of_the_numbers_of_their_characters_are_found_whole() {
    let writes: [(&str, &str, Write<'_>); 3] = [
        ("Python", ", ", &|one| u32::from(one).to_string()),
        ("JavaScript", ",", &|one| format!("0x{:x}", u32::from(one))),
        ("Unicode", " ", &|one| format!("U+{:04X}", u32::from(one))),
    ];
    let mut wide = 0;
    for known in KNOWN.iter().filter(|known| known.text.chars().any(|one| u32::from(one) > 0xFF)) {
        for (name, between, write) in writes {
            let list: Vec<String> = known.text.chars().map(write).collect();
            let evidence = format!("String.fromCodePoint({})", list.join(between));
            let index = index_of(&["another text", known.text]);
            let find = |encodings| hits(evidence.as_bytes(), &index, encodings).iter().any(|hit| hit.whole);
            assert!(find(Encodings::ALL), "{} as {name}", known.language);
            // Hexadecimal numbers of four digits are also UTF-16 in hexadecimal.
            let blind = Encodings::ALL.without(Encoding::WideIntegers).without(Encoding::Hex);
            assert!(!find(blind), "{} as {name}", known.language);
            wide += 1;
        }
    }
    assert!(wide > 30, "{wide}");
}

/// `html.escape`, and `htmlentities` of PHP.
#[test]
fn texts_with_named_entities_are_found_whole() {
    let text = "\"Straße & Bühne\" <täglich>, Übergabe um fünf – 100 € für den 'Chef'";
    let known = Known { language: "German", text, json: "", ascii: "", charsets: &[] };
    let named = "&quot;Stra&szlig;e &amp; B&uuml;hne&quot; &lt;t&auml;glich&gt;, &Uuml;bergabe um f&uuml;nf &ndash; 100 \
                 &euro; f&uuml;r den &#039;Chef&#039;";
    assert_whole(&known, "htmlentities", named.as_bytes(), Some(Encoding::Entities));
    let escaped = "&quot;Straße &amp; Bühne&quot; &lt;täglich&gt;, Übergabe um fünf – 100 € für den &#x27;Chef&#x27;";
    assert_whole(&known, "html.escape", escaped.as_bytes(), Some(Encoding::Entities));
    let twice = escaped.replace('&', "&amp;");
    assert_whole(&known, "html.escape twice", twice.as_bytes(), Some(Encoding::Entities));
    // Text in UTF-8 with entities for what the editor could not type.
    let mixed = escaped.replace('ß', "&#223;");
    assert_whole(&known, "mixed", mixed.as_bytes(), Some(Encoding::Entities));
}

#[test]
fn texts_with_doubled_or_escaped_quotes_are_found_whole() {
    let text = r#"Don't say "it's 9", say "it's nine / ten""#;
    let known = Known { language: "English", text, json: "", ascii: "", charsets: &[] };
    assert_whole(&known, "SQL", text.replace('\'', "''").as_bytes(), None);
    assert_whole(&known, "CSV", text.replace('"', "\"\"").as_bytes(), None);
    let escaped = text.replace('"', "\\\"").replace('/', "\\/");
    assert_whole(&known, "PHP's json_encode", escaped.as_bytes(), Some(Encoding::Escapes));
}

/// Sixteen bytes from the middle of a text, in UTF-16 and UTF-8; of charsets with one byte for each character, sixteen
/// characters.
#[test]
fn fragments_of_sixteen_bytes_are_found_in_every_form_and_shorter_ones_are_not() {
    let text = KNOWN[0].text;
    let index = index_of(&[text]);
    let characters: Vec<char> = text.chars().collect();
    let mut tested = 0;
    for from in 1..characters.len() - FRAGMENT {
        for form in Form::charsets() {
            let part = |len: usize| characters[from..from + len].iter().collect::<String>();
            let (mut len, mut written) = (1, Vec::new());
            while len < FRAGMENT && (written.len() < FRAGMENT || part(len).len() < FRAGMENT) {
                len += 1;
                let Some(next) = form.write(&part(len)) else { break };
                written = next;
            }
            // Escape sequences of charsets with states depend on what is before.
            if written.len() < FRAGMENT || part(len).len() < FRAGMENT || form.to_string() == "iso-2022-jp" {
                continue;
            }
            let found = hits(&around(&written), &index, Encodings::ALL);
            let start = characters[..from].iter().collect::<String>().len();
            let range = start..start + part(len).len();
            assert!(found.iter().any(|hit| hit.range == range), "{form} {from} {len}: {found:?}");
            let less = form.write(&part(len - 1)).unwrap();
            let found = hits(&around(&less), &index, Encodings::ALL);
            assert_eq!(found, [], "{form} {from} {len}");
            tested += 1;
        }
    }
    assert!(tested > 300, "{tested}");
}

#[test]
fn a_text_beside_a_smiley_is_found_in_a_charset_without_smileys() {
    let index = index_of(&["Встреча в девять у моста 🌉, не опаздывай"]);
    let (written, _, _) = encoding_rs::WINDOWS_1251.encode("Встреча в девять у моста ?, не опаздывай");
    let found = hits(&around(&written), &index, Encodings::ALL);
    assert!(found.len() == 1 && found[0].form.is_some(), "{found:?}");
    // A converter that writes something else is not predicted; the text before it is found.
    let (written, _, _) = encoding_rs::WINDOWS_1251.encode("Встреча в девять у моста 🌉, не опаздывай");
    let found = hits(&around(&written), &index, Encodings::ALL);
    assert!(found.len() == 1 && found[0].range.len() > 40, "{found:?}");
}

#[test]
fn texts_within_binary_values_are_found_with_their_place_in_the_value() {
    let text = KNOWN[0].text;
    let value = [&b"\x0A\xFF\xFE\x12"[..], text.as_bytes(), b"\x80\0\0\0", text.as_bytes(), b"\xC0"].concat();
    let mut needles = Needles::new();
    needles.add_text(3, &value);
    let index = needles.build().unwrap();
    assert_eq!(index.len(), 1);
    let written: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let found = hits(&around(&written), &index, Encodings::ALL);
    // It is in the value twice.
    let ranges: Vec<_> = found.iter().map(|hit| hit.range.clone()).collect();
    let second = value.len() - 1 - text.len();
    assert_eq!(ranges, [4..4 + text.len(), second..second + text.len()]);
}

#[test]
fn case_is_ignored_only_if_asked_for() {
    for (text, lower) in [
        ("Meet me at Nine by the Old Bridge", "meet me at nine by the old bridge"),
        ("Встреча в Девять у Моста", "встреча в девять у моста"),
    ] {
        let mut needles = Needles::new().ignoring_case();
        needles.add_text(0, text.as_bytes());
        let ignoring = needles.build().unwrap();
        let strict = index_of(&[text]);
        for changed in [lower.to_owned(), text.to_uppercase()] {
            let forms = Form::charsets().filter_map(|form| form.write(&changed));
            for written in forms.filter(|written| written.len() >= lower.len().min(24)) {
                let is_whole = |index| hits(&around(&written), index, Encodings::ALL).iter().any(|hit| hit.whole);
                assert!(is_whole(&ignoring) && !is_whole(&strict), "{changed} {written:x?}");
            }
        }
    }
}

/// Keys that were taken for characters are found as before.
#[test]
fn keys_as_characters_are_found_in_entities() {
    let secret = random(70, 32);
    let mut needles = Needles::new();
    needles.add_secret(0, &secret);
    let index = needles.build().unwrap();
    for write in [
        |byte: u8| format!("&#{byte};"),
        |byte: u8| format!("&#x{byte:x};"),
        |byte: u8| match byte {
            b'a'..=b'z' | 0x80..=0xFF => char::from(byte).to_string(),
            _ => format!("&#{byte:03};"),
        },
    ] {
        let written: String = secret.iter().map(|byte| write(*byte)).collect();
        let latin1: Vec<u8> = written.chars().map(|one| one as u8).collect();
        let found = hits(&around(&latin1), &index, ENCODINGS);
        assert!(found.iter().any(|hit| hit.whole && hit.encoding == [Encoding::Entities, Encoding::Raw]), "{found:?}");
        let blind = hits(&around(&latin1), &index, ENCODINGS.without(Encoding::Entities));
        assert!(!blind.iter().any(|hit| hit.whole), "{blind:?}");
    }
}

/// Without forms: UTF-32 is decoded as UTF-16, twice.
#[test]
fn ascii_and_keys_are_found_in_utf_16_and_utf_32() {
    let text = "a message in plain English, nothing else";
    let secret = random(71, 32);
    let digits = HEXLOWER.encode(&secret);
    let mut needles = Needles::new();
    needles.add_text(0, text.as_bytes());
    needles.add_secret(1, &secret);
    let index = needles.build().unwrap();
    let latin1: String = secret.iter().map(|byte| char::from(*byte)).collect();
    for charset in ["utf-16le", "utf-16be", "utf-32le", "utf-32be"] {
        let form = Form::charsets().find(|form| form.to_string() == charset).unwrap();
        for (id, written) in [(0, text), (1, &digits), (1, &latin1)] {
            let found = hits(&around(&form.write(written).unwrap()), &index, Encodings::ALL);
            assert!(found.iter().any(|hit| hit.whole && hit.id == id), "{charset} {written}: {found:?}");
            // A decoder for the other order finds all but the ends.
            let blind = Encodings::ALL.without(Encoding::Utf16Le).without(Encoding::Utf16Be);
            let blind = blind.without(Encoding::Strided);
            let blind = hits(&around(&form.write(written).unwrap()), &index, blind);
            assert!(!blind.iter().any(|hit| hit.whole), "{charset} {written}: {blind:?}");
        }
    }
}

/// A hit in a form is one hit, and no other form that is alike in part repeats it.
#[test]
fn one_place_is_one_hit() {
    let text = "Treffen um neun Uhr bei der alten Brücke, wie immer";
    let index = index_of(&[text]);
    for form in Form::charsets() {
        let Some(written) = form.write(text) else { continue };
        let mut found = hits(&around(&written), &index, Encodings::ALL);
        // Some charsets are decoded as well: UTF-16 in part, UTF-8 that was read as Latin-1 up to U+009F.
        found.retain(|hit| hit.encoding == [Encoding::Raw] || form.to_string() == "utf-8");
        assert!(found.len() == 1 && found[0].whole, "{form}: {found:?}");
    }
}

#[test]
fn the_forms_of_a_text_take_bounded_memory() {
    let text: String = KNOWN.iter().map(|known| known.text).collect();
    let many = text.repeat((1 << 18) / text.len());
    let mut needles = Needles::new();
    needles.add_text(0, many.as_bytes());
    let index = needles.build().unwrap();
    assert_eq!(index.without_forms(), 0);
    assert!(index.memory() < 64 * many.len(), "{}", index.memory() / many.len());
}
