// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control of the search for texts: the same search must find a text in each charset, and by the numbers of its
//! characters. The texts are those of the run that have characters other than ASCII, and one for each writing system,
//! so that each charset is tested by every audit.

use super::ledger::Ledger;
use super::value::{Id, PLAINTEXT};
use core::ops::Range;
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Form, Hit, Index, Needles, is_distinctive};

/// The number of texts of the run that are planted.
const PLANTED: usize = 8;
/// Characters of a text that are planted.
const MAX_CHARACTERS: usize = 256;
/// Bytes that may be missing at the end of a text that was cut: a letter with its marks, of which some were cut off.
const MAX_CUT: usize = 8;
/// Bytes before and after each text.
const AROUND: [u8; 100] = [0x5A; 100];

/// A text for each charset; the comment names those that no text before it tests. They say that they are a control, in
/// case that evidence has them: a server does, if it has this program.
const TEXTS: [&str; 21] = [
    "Контроль аудита: эта фраза не из переписки", // windows-1251, KOI8, ISO 8859-5, IBM 866, cp855, Mac Cyrillic
    "Έλεγχος: η φράση δεν είναι μήνυμα",          // windows-1253, ISO 8859-7, cp737, cp869
    "בקרה: המשפט הזה אינו הודעה של אדם",          // windows-1255, ISO 8859-8, cp862
    "تجربة: هذه الجملة ليست رسالة",               // windows-1256, ISO 8859-6, cp720
    "ประโยคนี้ใช้ตรวจสอบเท่านั้น",                      // windows-874, cp874
    "Kiểm tra: câu này không phải là tin nhắn",   // windows-1258
    "Denetim: bu cümle bir ileti değildir, İğne", // windows-1254, cp857
    "Kontrola: to zdanie nie jest wiadomością, żółć", // windows-1250, ISO 8859-2, cp852
    "Pārbaude: šis teikums nav ziņa, ķērķis",     // windows-1257, ISO 8859-4, 8859-13, cp775
    "Contrôle : cette phrase n’est pas un message, œuvre", // windows-1252, Macintosh
    "Contrôle : cette phrase n'a été ni reçue ni envoyée", // cp863
    "Controlo: esta frase não é uma mensagem, ã õ", // cp860
    "Prófun: þessi setning er ekki skilaboð, ð",  // cp861, ISO 8859-10
    "Kontroll: denne setningen er ikke en melding, øå", // cp865
    "Prüfung: dieser Satz ist keine Nachricht, größer", // cp437, cp850
    "Kontroll: din is-sentenza mhijiex messaġġ, ħġż", // ISO 8859-3
    "Control: această frază nu este un mesaj, șț", // ISO 8859-16
    "検査用の文章であり、通信ではありません",     // Shift_JIS, EUC-JP, ISO-2022-JP
    "检查用的句子，并不是任何人的消息",           // GB 18030
    "檢查用的句子，並不是任何人的訊息",           // Big5
    "검사용 문장이며 메시지가 아닙니다 🗝️",       // EUC-KR, CESU-8
];

/// How a character is written by its number.
type Write = fn(char) -> String;

/// The number of the first of [`TEXTS`] in the search; a ledger has fewer values.
const FIRST: Id = Id::MAX - 0xFF;

/// Adds the texts that the control plants.
pub(super) fn add_texts(needles: &mut Needles) {
    for (id, text) in (FIRST..).zip(TEXTS) {
        needles.add_text(id, text.as_bytes());
    }
}

/// Plants texts in each form and searches for them with the same index. Returns how many were planted and how many of
/// them were found.
pub(super) fn control_of_texts(ledger: &Ledger, index: &Index, encodings: Encodings) -> (usize, usize) {
    let texts: Vec<(Id, String)> = (FIRST..).zip(TEXTS.map(String::from)).chain(texts_of(ledger)).collect();
    let by_number: [(Encoding, Write); 2] = [
        (Encoding::Escapes, |one| one.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()),
        (Encoding::Entities, |one| format!("&#{};", u32::from(one))),
    ];
    let mut written: Vec<Vec<Planted>> = Vec::new();
    for (_, write) in by_number.iter().filter(|(encoding, _)| encodings.contains(*encoding)) {
        let write = |text: &String| text.chars().map(write).collect::<String>().into_bytes();
        written.push(texts.iter().map(|(id, text)| Planted::new(*id, text, write(text))).collect());
    }
    for form in Form::charsets() {
        let write = |(id, text): &(Id, String)| {
            let bytes = form.write(text).filter(|bytes| bytes.windows(FRAGMENT).any(is_distinctive))?;
            Some(Planted::new(*id, text, bytes))
        };
        written.push(texts.iter().filter_map(write).collect());
    }
    // One search for each form, because a search lists only so many hits of a value.
    written.iter().fold((0, 0), |(planted, found), texts| {
        (planted.saturating_add(texts.len()), found.saturating_add(found_of(texts, index, encodings)))
    })
}

/// A text in one form.
struct Planted {
    id: Id,
    /// The length of the text itself.
    len: usize,
    bytes: Vec<u8>,
}

impl Planted {
    fn new(id: Id, text: &str, bytes: Vec<u8>) -> Self {
        Self { id, len: text.len(), bytes }
    }
}

/// How many of these texts the search finds, each in one piece and where it is.
fn found_of(texts: &[Planted], index: &Index, encodings: Encodings) -> usize {
    let mut all = AROUND.to_vec();
    let mut places = Vec::new();
    for text in texts {
        let start = all.len();
        all.extend_from_slice(&text.bytes);
        places.push((text, start as u64..all.len() as u64));
        all.extend_from_slice(&AROUND);
    }
    let evidence = Evidence::new().with_encodings(encodings).bytes("texts of the control", &all);
    let (found, _) = evidence.search_all(index, |_, _| {});
    let is_found = |(text, place): &&(&Planted, Range<u64>)| {
        let least = text.len.saturating_sub(MAX_CUT);
        let is_it = |hit: &Hit| hit.id == text.id && hit.range.len() >= least && place.contains(&hit.offset);
        found.hits.iter().any(is_it)
    };
    places.iter().filter(is_found).count()
}

/// Texts of the run that have characters other than ASCII, from all over it.
fn texts_of(ledger: &Ledger) -> impl Iterator<Item = (Id, String)> {
    let text = |id: Id| {
        let text = core::str::from_utf8(ledger.bytes(id)?).ok()?;
        let is_plain = !text.is_ascii() && !text.chars().any(char::is_control);
        let beginning: String = text.chars().take(MAX_CHARACTERS).collect();
        let is_long = beginning.as_bytes().windows(FRAGMENT).any(is_distinctive);
        (is_plain && is_long).then_some((id, beginning))
    };
    let texts: Vec<(Id, String)> =
        ledger.values().filter(|(_, value)| value.what == PLAINTEXT).filter_map(|(id, _)| text(id)).collect();
    let step = texts.len().div_ceil(PLANTED).max(1);
    texts.into_iter().step_by(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn every_form_is_planted_and_found_only_by_an_index_with_forms() {
        let ledger = Ledger::new(Profile::empty());
        let mut needles = Needles::new();
        add_texts(&mut needles);
        let (planted, found) = control_of_texts(&ledger, &needles.build().unwrap(), Encodings::ALL);
        assert_eq!(found, planted);
        for form in Form::charsets() {
            let own = |text: &str| form.write(text).is_some_and(|bytes| bytes != text.as_bytes());
            assert!(form.to_string() == "utf-8" || TEXTS.iter().any(|text| own(text)), "{form}");
        }
        // Controls: an index of the texts as they are finds them as they are and by the numbers of their characters.
        let mut needles = Needles::new();
        (FIRST..).zip(TEXTS).for_each(|(id, text)| needles.add_secret(id, text.as_bytes()));
        let plain = needles.build().unwrap();
        let (planted, found) = control_of_texts(&ledger, &plain, Encodings::ALL);
        assert!(found >= 2 * TEXTS.len() && found * 2 < planted, "{found} of {planted}");
        assert_eq!(control_of_texts(&ledger, &Needles::new().build().unwrap(), Encodings::ALL), (planted, 0));
    }
}
