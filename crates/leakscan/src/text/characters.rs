// SPDX-License-Identifier: MIT OR Apache-2.0
//! Characters by number or name among bytes that are as they are: decoded to UTF-8, and those up to U+00FF to bytes.
//!
//! What is decoded to UTF-8 is searched for values and not decoded again: all that is encoded in it has characters of
//! ASCII, and so is encoded in the decoded bytes as well.

use super::super::byte_class::{PERCENT, class, run_start};
use super::super::decode::characters::{self, MAX_ENTITY, TextSymbol};
use super::super::decode::escapes;
use super::super::decode::symbols::{AnySymbol, Places};
use super::super::encoding::Encoding;
use super::super::index::needles::FRAGMENT;
use super::super::prefilter::Prefilter;
use super::super::sink::{Decoded, Sink};
use super::escaped::EscapedRuns;
use core::ops::Range;

/// Bytes before the first and after the last symbol that are decoded with them: a fragment of sixteen bytes, each of
/// them a symbol of the longest kind, `\\U0001f600`, that is escaped once more.
const CONTEXT: usize = FRAGMENT * 11;
const _: () = assert!(CONTEXT >= FRAGMENT * MAX_ENTITY);

/// Decodes the characters by number or name in `bytes`.
pub(super) fn decode(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    if sink.wants(Encoding::Escapes) {
        decode_escapes(sink, bytes, prefilter);
    }
    if sink.wants(Encoding::Entities) {
        decode_entities(sink, bytes, prefilter);
    }
}

/// Only where one of the escapes is decoded to no byte: otherwise the decoded bytes are the text in Latin-1, which is
/// one of the forms of a text that the index has.
fn decode_escapes(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut texts = runs_of(sink, Encoding::Escapes, characters::escape).lone();
    let len_and_kind = |text: &[u8]| match characters::wide_escape(text) {
        Some(len) => Some((len, true)),
        None => escapes::escape(text).map(|(_, len)| (len, false)),
    };
    for (run, _) in around(bytes, &prefilter.escapes, len_and_kind).filter(|(_, has_wide)| *has_wide) {
        let text = bytes.get(run.clone()).unwrap_or_default();
        texts.add(sink, text, run.start, |run, out| characters::decode(characters::escape, b'\\', run, out));
    }
    texts.finish(sink);
}

fn decode_entities(sink: &mut impl Sink, bytes: &[u8], prefilter: &Prefilter) {
    let mut bytes_of_characters = runs_of(sink, Encoding::Entities, characters::entity_byte);
    let mut texts = runs_of(sink, Encoding::Entities, characters::entity).lone();
    let len_and_kind = |text: &[u8]| characters::entity_number(text).map(|(number, len)| (len, number >= 0x80));
    for (run, has_wide) in around(bytes, &prefilter.entities, len_and_kind) {
        let text = bytes.get(run.clone()).unwrap_or_default();
        bytes_of_characters
            .add(sink, text, run.start, |run, out| characters::decode(characters::entity_byte, b'&', run, out));
        if has_wide {
            texts.add(sink, text, run.start, |run, out| characters::decode(characters::entity, b'&', run, out));
        }
    }
    bytes_of_characters.finish(sink);
    texts.finish(sink);
}

fn runs_of<'a>(sink: &mut impl Sink, encoding: Encoding, symbol: TextSymbol) -> EscapedRuns<'a> {
    EscapedRuns::new(sink, encoding, AnySymbol::Text(symbol), |_, at| at)
}

/// The symbols at some places, with the bytes around them; those near one another together, and whether one of them is
/// of the kind that is asked for. `len_and_kind` is the length of the symbol that a text begins with, and whether it is
/// of that kind.
fn around(
    bytes: &[u8],
    places: &[u32],
    len_and_kind: impl Fn(&[u8]) -> Option<(usize, bool)>,
) -> impl Iterator<Item = (Range<usize>, bool)> {
    let symbol = move |at: usize| len_and_kind(bytes.get(at..)?).map(|(len, kind)| (at, at.saturating_add(len), kind));
    let mut all = places.iter().filter_map(move |&at| symbol(at as usize)).peekable();
    core::iter::from_fn(move || {
        let (first, mut last, mut has_kind) = all.next()?;
        while let Some((_, end, kind)) = all.next_if(|(at, ..)| *at < last.saturating_add(CONTEXT)) {
            (last, has_kind) = (end.max(last), has_kind || kind);
        }
        Some((first.saturating_sub(CONTEXT)..last.saturating_add(CONTEXT).min(bytes.len()), has_kind))
    })
}

/// Decodes the run of percent-encoded text around `seed`, not before `floor`, if the word there has a unit of UTF-16.
/// Returns the end of what was decoded.
pub(super) fn decode_percent(sink: &mut impl Sink, bytes: &[u8], seed: usize, floor: usize) -> Option<usize> {
    let mut near = seed.max(floor)..seed.saturating_add(8);
    near.find(|&at| bytes.get(at..).is_some_and(characters::begins_unit))?;
    let from = run_start(bytes, seed.max(floor), floor, PERCENT);
    let rest = bytes.get(from..)?;
    let len = rest.iter().take_while(|&&byte| class(byte) & PERCENT != 0).count();
    let run = rest.get(..len)?;
    let mut decoded = sink.pool().take_buffer();
    characters::decode(characters::percent, b'%', run, &mut decoded);
    let places = Places::any(AnySymbol::Text(characters::percent), run);
    sink.search(&Decoded::run(&decoded, Encoding::Percent, &|at| from.saturating_add(places.of(at))));
    sink.pool().return_buffer(decoded);
    Some(from.saturating_add(len))
}
