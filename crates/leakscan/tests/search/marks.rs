// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of which some are written with a mark: quoted-printable, syslog's escapes, caret notation, forms.

use super::{OTHER, index_of, random, search};
use leakscan::encoders::encode;
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Index};

const KEYS: u64 = 100;
const MARKED: [Encoding; 3] = [Encoding::QuotedPrintable, Encoding::HashEscapes, Encoding::CaretNotation];
const TEXT: &str =
    "Grüße aus Köln: wir treffen uns um neun = 21 Uhr an der alten Brücke über den Fluß, wie besprochen.";

/// Whether a fragment of at least this length is found, and without the decoder is not.
#[track_caller]
pub(crate) fn assert_found(evidence: &[u8], index: &Index, encoding: Encoding, len: usize) {
    let text = String::from_utf8_lossy(evidence);
    let findings = search(evidence, index);
    let is_it = |hit: &leakscan::Hit| hit.encoding[0] == encoding && hit.range.len() >= len;
    assert!(findings.hits.iter().any(is_it), "{encoding} in {text:?}: {:?}", findings.hits);
    assert_eq!(findings.statistics.omitted, 0, "{text:?}");
    let blind = Evidence::new().with_encodings(Encodings::ALL.without(encoding)).bytes("bytes", evidence);
    assert!(!blind.search(index, |_, _| {}).unwrap().hits.iter().any(is_it), "{encoding} without its decoder");
}

#[test]
fn keys_are_found_between_all_delimiters() {
    let around = [("", ""), ("key=", "\n"), ("\"", "\""), ("M-", " "), ("<14>Nov 29 host app[12]: ", "\n"), ("=", "=")];
    for encoding in MARKED {
        for key in 0..KEYS {
            let secret = random(key, 32);
            let (before, after) = around[key as usize % around.len()];
            let evidence = [before.as_bytes(), &encode(&secret, encoding), after.as_bytes()].concat();
            // A byte that looks like a mark cannot be distinguished from one: on one side of it is a fragment.
            assert_found(&evidence, &index_of(&[&secret]), encoding, FRAGMENT);
        }
    }
}

#[test]
fn fragments_are_found_at_every_place() {
    for encoding in MARKED {
        // No byte of them is a mark.
        let secret: Vec<u8> =
            random(3, 32).iter().map(|byte| if byte.is_ascii() { byte & 0x1F } else { *byte }).collect();
        let index = index_of(&[&secret]);
        for from in 0..=secret.len() - FRAGMENT {
            let text = encode(&secret[from..from + FRAGMENT], encoding);
            for at in 60..130 {
                assert_found(&[&vec![OTHER; at][..], &text, &[OTHER; 70]].concat(), &index, encoding, FRAGMENT);
            }
        }
    }
}

/// `quopri.encodestring` and `urllib.parse.quote_plus` of Python, `cat -v` of coreutils; of the others, by hand.
#[test]
fn texts_with_few_marks_are_found() {
    let known = [
        (
            Encoding::QuotedPrintable,
            "Gr=C3=BC=C3=9Fe aus K=C3=B6ln: wir treffen uns um neun =3D 21 Uhr an der al=\nten Br=C3=BCcke =C3=BCber \
             den Flu=C3=9F, wie besprochen.",
        ),
        (
            Encoding::Form,
            "Gr%C3%BC%C3%9Fe+aus+K%C3%B6ln%3A+wir+treffen+uns+um+neun+%3D+21+Uhr+an+der+alten+Br%C3%BCcke+%C3%BCber+\
             den+Flu%C3%9F%2C+wie+besprochen.",
        ),
        (
            Encoding::CaretNotation,
            "GrM-CM-<M-CM-^_e aus KM-CM-6ln: wir treffen uns um neun = 21 Uhr an der alten BrM-CM-<cke M-CM-<ber den \
             FluM-CM-^_, wie besprochen.",
        ),
        (
            Encoding::CaretNotation,
            "Gr\\M-C\\M-<\\M-C\\M^_e aus K\\M-C\\M-6ln: wir treffen uns um neun = 21 Uhr an der alten \
             Br\\M-C\\M-<cke \\M-C\\M-<ber den Flu\\M-C\\M^_, wie besprochen.",
        ),
        (
            Encoding::HashEscapes,
            "Gr#303#274#303#237e aus K#303#266ln: wir treffen uns um neun = 21 Uhr an der alten Br#303#274cke \
             #303#274ber den Flu#303#237, wie besprochen.",
        ),
    ];
    let index = index_of(&[TEXT.as_bytes()]);
    for (encoding, text) in known {
        for (before, after) in [("", ""), ("text: \"", "\"\n"), ("a=10&text=", "&b=20")] {
            assert_found([before, text, after].concat().as_bytes(), &index, encoding, TEXT.len());
        }
    }
}

/// `email.header.Header` of Python, with charset "utf-8" and header encoding `QP`; the second as mail programs fold it.
#[test]
fn texts_in_encoded_words_are_found() {
    let one = "=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln=3A_wir_treffen_uns_um_neun_=3D_21_Uhr_an_der_alten_Br=C3=BCcke_=C3\
               =BCber_den_Flu=C3=9F=2C_wie_besprochen=2E?=";
    let folded = "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln:_wir_treffen_uns_um_neun_=3D_?=\r\n =?UTF-8?Q?21_Uhr_an_der_alten_\
                  Br=C3=BCcke_=C3=BCber_den_?=\r\n =?UTF-8?Q?Flu=C3=9F,_wie_besprochen.?=";
    let index = index_of(&[TEXT.as_bytes()]);
    for text in [one, folded] {
        for (before, after) in [("", ""), ("Subject: ", "\r\nTo: bob\r\n")] {
            assert_found([before, text, after].concat().as_bytes(), &index, Encoding::QuotedPrintable, TEXT.len());
        }
    }
}

/// A writer of bytes and the numbers of those that it escapes.
type Language = (&'static str, fn(u8) -> String);

/// `%S` of OCaml, `show` of Haskell, `%q` of Lua, and the master files of DNS (RFC 1035, 5.1).
#[test]
fn decimal_escapes_among_characters_are_found() {
    let languages: [Language; 4] = [
        ("OCaml", |byte| format!("\\{byte:03}")),
        ("Haskell", |byte| format!("\\{byte}\\&")),
        ("Lua", |byte| format!("\\{byte:03}")),
        ("DNS", |byte| format!("\\{byte:03}")),
    ];
    for (name, write) in languages {
        for key in 0..KEYS {
            let secret = random(key, 32);
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b' ' && name != "DNS";
            let text: String = secret
                .iter()
                .map(|byte| if is_plain(byte) { char::from(*byte).into() } else { write(*byte) })
                .collect();
            assert_found(format!("key = \"{text}\"").as_bytes(), &index_of(&[&secret]), Encoding::Escapes, 32);
        }
        let text: String =
            TEXT.bytes().map(|byte| if byte.is_ascii() { char::from(byte).into() } else { write(byte) }).collect();
        assert_found(text.as_bytes(), &index_of(&[TEXT.as_bytes()]), Encoding::Escapes, TEXT.len());
    }
}

#[test]
fn texts_in_forms_are_found() {
    for text in [
        "Meet me at the bridge at nine",
        "MEET ME AT NINE O CLOCK",
        "as soon as possible",
        "Internationalization rocks",
    ] {
        let form = text.replace(' ', "+");
        for (before, after) in [("", ""), ("GET /search?q=", " HTTP/1.1"), ("text=", "&to=bob"), ("\"", "\"")] {
            let evidence = [before, &form, after].concat();
            assert_found(evidence.as_bytes(), &index_of(&[text.as_bytes()]), Encoding::Form, text.len());
        }
    }
    // A key with a byte that a form writes as a plus.
    for key in 0..KEYS {
        let mut secret = random(key, 32);
        secret[key as usize % 32] = b' ';
        let form: String =
            secret.iter().map(|byte| if *byte == b' ' { "+".into() } else { format!("%{byte:02X}") }).collect();
        assert_found(form.as_bytes(), &index_of(&[&secret]), Encoding::Form, 32);
    }
}

#[test]
fn a_soft_line_break_anywhere_in_a_text_is_found() {
    let text = b"The documents are in the safe under the stairs";
    let index = index_of(&[text]);
    for at in 1..text.len() {
        for soft_break in ["=\r\n", "=\n"] {
            let evidence = [b"text: ", &text[..at], soft_break.as_bytes(), &text[at..], b"\n"].concat();
            assert_found(&evidence, &index, Encoding::QuotedPrintable, text.len());
        }
    }
}

#[test]
fn settings_colours_and_expressions_are_not_decoded() {
    let text =
        "id=10 size=20 port=30 a=10&b=20&c=30;d=40,e=50 color: #000 #111; #123456 [^A-Z] AES-128-GCM-SHA256 x^2 \
                ROM-based a == b\n"
            .repeat(50);
    let index = index_of(&[&random(1, 32)]);
    let encodings = MARKED.into_iter().chain([Encoding::Form]).fold(Encodings::ALL, Encodings::without);
    let without = Evidence::new().with_encodings(encodings).bytes("bytes", text.as_bytes());
    let without = without.search(&index, |_, _| {}).unwrap().statistics.decoded;
    assert_eq!(search(text.as_bytes(), &index).statistics.decoded, without);
    // The control: some of it is.
    let marked = [text.as_bytes(), &encode(&random(1, 32), Encoding::QuotedPrintable)].concat();
    assert!(search(&marked, &index).statistics.decoded > without + 32);
}
