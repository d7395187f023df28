// SPDX-License-Identifier: MIT OR Apache-2.0
//! How servers rewrite a text before they write it: normal forms, upper and lower case, doubled quotes.

use unicode_normalization::char::{canonical_combining_class, decompose_canonical};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A change of a text's characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rewriting {
    /// None.
    Itself,
    /// Normal form C.
    Composed,
    /// Normal form D.
    Decomposed,
    /// Normal form C, but tone marks apart: the only one that windows-1258 can write.
    TonesApart,
    /// In lower case.
    Lower,
    /// In upper case.
    Upper,
    /// Single quotes doubled, as in SQL.
    SqlQuotes,
    /// Double quotes doubled, as in CSV.
    CsvQuotes,
}

impl Rewriting {
    /// All of them; the number of each is its place.
    pub(super) const ALL: [Self; 8] = [
        Self::Itself,
        Self::Composed,
        Self::Decomposed,
        Self::TonesApart,
        Self::Lower,
        Self::Upper,
        Self::SqlQuotes,
        Self::CsvQuotes,
    ];

    /// What a hit says of it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Itself => "",
            Self::Composed => " in NFC",
            Self::Decomposed => " in NFD",
            Self::TonesApart => " with separate tone marks",
            Self::Lower => " in lower case",
            Self::Upper => " in upper case",
            Self::SqlQuotes => " with doubled single quotes",
            Self::CsvQuotes => " with doubled double quotes",
        }
    }

    /// Whether only a search that ignores case needs it.
    pub(super) const fn is_of_case(self) -> bool {
        matches!(self, Self::Lower | Self::Upper)
    }

    /// Whether the rewritten text is searched for in this charset: quotes are doubled in text files, and tone marks are
    /// apart in one charset.
    pub(super) fn is_in(self, charset: &str) -> bool {
        match self {
            Self::SqlQuotes | Self::CsvQuotes => charset == "utf-8",
            Self::TonesApart => charset == "windows-1258",
            _ => true,
        }
    }

    /// Appends a segment of a text, rewritten.
    pub(super) fn write(self, segment: &str, out: &mut String) {
        match self {
            Self::Itself => out.push_str(segment),
            Self::Composed => out.extend(segment.nfc()),
            Self::Decomposed => out.extend(segment.nfd()),
            Self::TonesApart => {
                out.extend(segment.nfd().filter(|mark| !is_tone(*mark)).nfc());
                out.extend(segment.nfd().filter(|mark| is_tone(*mark)));
            }
            Self::Lower => out.extend(segment.chars().flat_map(char::to_lowercase)),
            Self::Upper => out.extend(segment.chars().flat_map(char::to_uppercase)),
            Self::SqlQuotes => double(segment, '\'', out),
            Self::CsvQuotes => double(segment, '"', out),
        }
    }
}

fn double(segment: &str, quote: char, out: &mut String) {
    for character in segment.chars() {
        out.push(character);
        if character == quote {
            out.push(character);
        }
    }
}

/// The tone marks of Vietnamese: grave, acute, tilde, hook above, dot below.
const fn is_tone(mark: char) -> bool {
    matches!(mark, '\u{300}' | '\u{301}' | '\u{303}' | '\u{309}' | '\u{323}')
}

/// The segments of a text: each can be rewritten without the others. A segment begins with a character that composes
/// with nothing before it.
pub(super) fn segments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let end = rest.char_indices().skip(1).find(|&(_, character)| begins_segment(character));
        let (segment, after) = rest.split_at_checked(end.map_or(rest.len(), |(at, _)| at))?;
        rest = after;
        (!segment.is_empty()).then_some(segment)
    })
}

fn begins_segment(character: char) -> bool {
    if character < '\u{300}' {
        return true;
    }
    let mut first = None;
    decompose_canonical(character, |part| _ = first.get_or_insert(part));
    let is_starter = first.is_none_or(|first| canonical_combining_class(first) == 0);
    is_starter && is_nfc_quick(core::iter::once(character)) != IsNormalized::Maybe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_can_be_rewritten_one_by_one() {
        let mixed =
            "Vie\u{323}\u{302}t Nam đế, ё\u{301}й, \u{1112}\u{1161}\u{11AB}국, \u{9C7}\u{9BE}, e\u{301}\u{327}ǆ";
        for text in [mixed, "", "\u{301}a", "a\u{301}"] {
            assert_eq!(segments(text).collect::<String>(), text);
            let rewritten = |rewriting: Rewriting| {
                let mut out = String::new();
                segments(text).for_each(|segment| rewriting.write(segment, &mut out));
                out
            };
            assert_eq!(rewritten(Rewriting::Composed), text.nfc().collect::<String>());
            assert_eq!(rewritten(Rewriting::Decomposed), text.nfd().collect::<String>());
            assert_eq!(rewritten(Rewriting::TonesApart).nfc().collect::<String>(), text.nfc().collect::<String>());
        }
        // Control: character by character, they cannot.
        let one_by_one: String = mixed.chars().flat_map(|one| one.to_string().nfc().collect::<Vec<_>>()).collect();
        assert_ne!(one_by_one, mixed.nfc().collect::<String>());
    }
}
