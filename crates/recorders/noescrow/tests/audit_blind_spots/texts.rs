// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts that are not English, as servers write them.

use super::{Run, gzip, kinds};
use noescrow_audit::{Audit, Evidence, FindingKind};
use noescrow_recorder::profile;

const TEXT: &str = "Встреча в девять у моста";
/// `json.dumps(TEXT)` of CPython 3.11.
const JSON: &str = r#""\u0412\u0441\u0442\u0440\u0435\u0447\u0430 \u0432 \u0434\u0435\u0432\u044f\u0442\u044c \u0443 \u043c\u043e\u0441\u0442\u0430""#;
/// `TEXT.encode("koi8-r")`.
const KOI8: &[u8] = b"\xF7\xD3\xD4\xD2\xC5\xDE\xC1 \xD7 \xC4\xC5\xD7\xD1\xD4\xD8 \xD5 \xCD\xCF\xD3\xD4\xC1";
/// `TEXT.encode("cp866")`.
const IBM866: &[u8] = b"\x82\xE1\xE2\xE0\xA5\xE7\xA0 \xA2 \xA4\xA5\xA2\xEF\xE2\xEC \xE3 \xAC\xAE\xE1\xE2\xA0";

fn utf16(big: bool) -> Vec<u8> {
    TEXT.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn utf32() -> Vec<u8> {
    TEXT.chars().flat_map(|one| u32::from(one).to_le_bytes()).collect()
}

#[test]
fn text_that_is_not_english_is_found_however_it_is_written() {
    let run = Run::with(TEXT.as_bytes());
    let entities: String = TEXT.chars().map(|one| format!("&#{};", u32::from(one))).collect();
    let log = format!("10:00:01 INFO relay: queued {JSON} for 2 devices\n").into_bytes();
    for (held, place) in [
        (TEXT.as_bytes().to_vec(), "raw:"),
        (log.clone(), "escapes > raw:"),
        (gzip(&log.repeat(9)), "gzip > escapes > raw:"),
        (utf16(false), "raw, as utf-16le:"),
        (utf16(true), "raw, as utf-16be:"),
        (utf32(), "raw, as utf-32le:"),
        (KOI8.to_vec(), "raw, as koi8-r:"),
        (IBM866.to_vec(), "raw, as ibm866:"),
        (entities.into_bytes(), "entities > raw:"),
    ] {
        let verdict = run.verdict(&held);
        assert_eq!(kinds(&verdict), [FindingKind::PlaintextInEvidence], "{place} {verdict}");
        assert!(verdict.to_string().contains(place), "{place} {verdict}");
    }
    // Control: another text, written in the same ways.
    let other = Run::with("Собрание перенесено на пятницу".as_bytes());
    for held in [log, utf16(false), utf16(true), utf32(), KOI8.to_vec(), IBM866.to_vec()] {
        let verdict = other.verdict(&held);
        assert!(verdict.holds(), "{verdict}");
        assert!(verdict.examined.texts_planted > 100, "{verdict}");
        assert_eq!(verdict.examined.texts_found, verdict.examined.texts_planted);
    }
}

/// The texts of the run are planted as well, and counted.
#[test]
fn control_plants_the_texts_of_the_run() {
    let [ascii, other] = [b"a text in plain English", TEXT.as_bytes()].map(|text| Run::with(text).verdict(b""));
    assert!(ascii.examined.texts_planted > 100, "{ascii}");
    assert!(other.examined.texts_planted > ascii.examined.texts_planted + 10, "{other}");
}

#[test]
fn case_is_ignored_if_asked_for() {
    let run = Run::with(TEXT.as_bytes());
    let upper = TEXT.to_uppercase();
    let audit = || {
        let audit = Audit::of(profile(), &run.tape).unwrap().server_saw("wire", &run.wire);
        audit.server_saw("index", upper.as_bytes()).known(Evidence::new())
    };
    assert_eq!(kinds(&audit().ignoring_case().verdict()), [FindingKind::PlaintextInEvidence]);
    // Control: otherwise, it is another text.
    assert!(audit().verdict().holds());
}
