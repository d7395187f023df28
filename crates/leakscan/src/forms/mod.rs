// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forms in which a text is searched for: in other charsets, normal forms and cases, with doubled quotes.
//!
//! A server that reads a text as characters may write it in another charset than UTF-8: UTF-16 in memory and in
//! databases, windows-1251 in an old log. No decoder could tell these charsets from one another. Instead, the index has
//! the text in each charset that can write it, so that a hit is exact, and costs nothing where there is none.
//!
//! ```text
//! charset.rs    the charsets, and their encoders
//! rewriting.rs  normal forms, case, quotes
//! ```

mod charset;
mod rewriting;

use charset::{CHARSETS, Encoder, UTF_8};
use core::fmt;
use core::ops::Range;
use rewriting::{Rewriting, segments};

/// One in so many characters that are not ASCII may be missing in a charset: converters write a question mark for each,
/// such as for a smiley in a Russian text in windows-1251. In a charset that has fewer of them, no fragment is likely.
const MISSING: usize = 5;

/// A form of a text other than the text itself: a charset, and how the text was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The number of the charset.
    charset: u8,
    /// The number of the rewriting.
    rewriting: u8,
}

impl fmt::Display for Form {
    /// `windows-1251`, `utf-16le in NFD`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let charset = CHARSETS.get(usize::from(self.charset)).map_or("", |charset| charset.name);
        write!(f, "{charset}{}", self.rewriting().name())
    }
}

impl Form {
    /// The form of values that are searched for as they are.
    pub(crate) const ITSELF: Self = Self { charset: UTF_8, rewriting: 0 };

    /// The text as it is, in each charset, UTF-8 first.
    pub fn charsets() -> impl Iterator<Item = Self> {
        (0..).zip(CHARSETS).map(|(charset, _)| Self { charset, rewriting: 0 })
    }

    /// All forms, in the order in which a text is searched for in them.
    fn all() -> impl Iterator<Item = Self> {
        (0..).zip(Rewriting::ALL).flat_map(|(rewriting, kind)| {
            let charsets = (0..).zip(CHARSETS).filter(move |(_, charset)| kind.is_in(charset.name));
            charsets.map(move |(charset, _)| Self { charset, rewriting })
        })
    }

    fn rewriting(self) -> Rewriting {
        Rewriting::ALL.get(usize::from(self.rewriting)).copied().unwrap_or(Rewriting::Itself)
    }

    /// A text in this form; `None` if the charset has no code for many of its characters.
    #[must_use]
    pub fn write(self, text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_segments(text, &mut bytes, |_, _, _| {})?;
        Some(bytes)
    }

    /// Writes a text, and calls `border` between two segments, at the beginning and at the end: with the number of
    /// bytes of the text so far, of the text in this form, and of the rewritten text in UTF-8.
    fn write_segments(self, text: &str, out: &mut Vec<u8>, mut border: impl FnMut(usize, usize, usize)) -> Option<()> {
        let rewriting = self.rewriting();
        let mut encoder = Encoder::of(CHARSETS.get(usize::from(self.charset))?);
        let (mut done, mut utf8) = (0usize, 0usize);
        let mut rewritten = String::new();
        let mut missing = text.chars().filter(|one| !one.is_ascii()).count() / MISSING;
        border(0, 0, 0);
        for segment in segments(text) {
            rewritten.clear();
            rewriting.write(segment, &mut rewritten);
            missing = missing.checked_sub(encoder.write(&rewritten, out))?;
            done = done.saturating_add(segment.len());
            utf8 = utf8.saturating_add(rewritten.len());
            border(done, out.len(), utf8);
        }
        encoder.finish(out);
        Some(())
    }
}

/// The forms of a text, each once, without the text itself; of those that are alike, the first.
pub(crate) fn forms_of(text: &str, ignoring_case: bool) -> Vec<(Form, Vec<u8>)> {
    let mut forms: Vec<(Form, Vec<u8>)> = Vec::new();
    let mut rewritten = String::new();
    for form in Form::all() {
        let rewriting = form.rewriting();
        if rewriting.is_of_case() && !ignoring_case {
            continue;
        }
        if form.charset == UTF_8 || rewriting == Rewriting::TonesApart {
            rewritten.clear();
            segments(text).for_each(|segment| rewriting.write(segment, &mut rewritten));
        }
        // ASCII is the same in most charsets, and decoders find it in the others.
        let is_needed = form.charset == UTF_8 || !rewritten.is_ascii();
        let is_repeated = form.rewriting != 0 && form.charset != UTF_8 && rewritten == text;
        if !is_needed || is_repeated {
            continue;
        }
        let Some(bytes) = form.write(text) else { continue };
        if bytes != text.as_bytes() && !forms.iter().any(|(_, other)| *other == bytes) {
            forms.push((form, bytes));
        }
    }
    forms
}

/// Whether a value may have other forms: whether it has a character that is not ASCII, a letter whose case changes, or
/// a quote.
pub(crate) fn may_have_forms(text: &str, ignoring_case: bool) -> bool {
    let has_any =
        |byte: u8| byte >= 0x80 || matches!(byte, b'\'' | b'"') || ignoring_case && byte.is_ascii_alphabetic();
    text.bytes().any(has_any)
}

/// Where the bytes of a form are in the text.
#[derive(Debug)]
pub(crate) struct Map {
    form: Form,
    /// Between two segments: the number of bytes before, in the text, in the form, and in the rewritten text in UTF-8.
    borders: Vec<(usize, usize, usize)>,
}

impl Map {
    /// The map of a form whose bytes are `written`, of a text within `value`, which need not be text itself.
    pub(crate) fn of(form: Form, value: &[u8], written: &[u8]) -> Option<Self> {
        texts_in(value).find_map(|(from, text)| {
            let (mut borders, mut bytes) = (Vec::new(), Vec::new());
            let border = |done: usize, len, utf8| borders.push((from.saturating_add(done), len, utf8));
            form.write_segments(text, &mut bytes, border)?;
            (bytes == written).then_some(Self { form, borders })
        })
    }

    /// The bytes of the value that a range of the form encodes: whole segments. `None` if they are fewer than `least`
    /// bytes of UTF-8: four characters in UTF-32 have sixteen bytes, and are in too many places.
    pub(crate) fn original(&self, range: &Range<usize>, least: usize) -> Option<Range<usize>> {
        let first = self.borders.partition_point(|&(_, len, _)| len < range.start);
        let last = self.borders.partition_point(|&(_, len, _)| len <= range.end).checked_sub(1)?;
        let (&(from, _, utf8), &(to, _, utf8_to)) = (self.borders.get(first)?, self.borders.get(last)?);
        let is_enough = self.form.charset == UTF_8 || utf8_to.saturating_sub(utf8) >= least;
        (is_enough && from < to).then_some(from..to)
    }
}

/// The texts within a value: its valid UTF-8, between bytes that are not. Each with the index of its first byte.
pub(crate) fn texts_in(value: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0usize;
    value.utf8_chunks().map(move |chunk| {
        let from = at;
        at = at.saturating_add(chunk.valid().len()).saturating_add(chunk.invalid().len());
        (from, chunk.valid())
    })
}
