// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tokens: texts that are too short to be searched for in fragments, found whole between characters that are no letters
//! or digits.
//!
//! A token of four bytes is in a gigabyte of random bytes with a probability of a fifth, and more often in numerals and
//! Base64, each of which is decoded in several ways. Tokens are therefore looked for only in bytes as they are and in
//! what keeps text legible: compression, escapes, connections, pages of databases.

use super::encoding::Encoding;
use super::findings::{HITS_PER_VALUE, Hit};
use super::scan::Frame;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

/// Bytes of the shortest token.
pub const MIN_TOKEN: usize = 4;
/// Bytes of the longest token.
pub const MAX_TOKEN: usize = 256;

/// Bits of the filter: a bit for each hash of four bytes.
const FILTER_BITS: u32 = 16;
/// Bytes of an escape that the end of a block may cut.
const ESCAPE: u64 = 16;

/// How a token is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    /// As it is.
    Bytes,
    /// As JSON writes it.
    Json,
    Utf16Le,
    Utf16Be,
}

struct Pattern {
    id: u32,
    /// The length of the token itself.
    len: usize,
    bytes: Vec<u8>,
    width: Width,
}

/// Patterns of one length that begin with the same four bytes, by all their bytes.
type Alike = HashMap<Vec<u8>, Vec<usize>>;

/// A search for tokens.
pub(crate) struct TokenSearch {
    patterns: Vec<Pattern>,
    /// A bit for each hash of four bytes with which a pattern begins.
    filter: Vec<u64>,
    /// By their first four bytes, their length and all bytes: many texts may begin alike.
    by_start: HashMap<u32, BTreeMap<usize, Alike>>,
    hits: BTreeMap<u32, Vec<Hit>>,
}

impl TokenSearch {
    pub(crate) fn new(tokens: Vec<(u32, Vec<u8>)>) -> Self {
        let mut patterns = Vec::new();
        for (id, token) in tokens.into_iter().filter(|(_, token)| (MIN_TOKEN..=MAX_TOKEN).contains(&token.len())) {
            let len = token.len();
            if let Ok(text) = core::str::from_utf8(&token) {
                let units = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
                patterns.push(Pattern { id, len, bytes: units(u16::to_le_bytes), width: Width::Utf16Le });
                patterns.push(Pattern { id, len, bytes: units(u16::to_be_bytes), width: Width::Utf16Be });
                let mut written = vec![token.clone()];
                for bytes in [json(text, false), json(text, true)] {
                    if !written.contains(&bytes) {
                        written.push(bytes.clone());
                        patterns.push(Pattern { id, len, bytes, width: Width::Json });
                    }
                }
            }
            patterns.push(Pattern { id, len, bytes: token, width: Width::Bytes });
        }
        let mut filter = vec![0u64; 1 << (FILTER_BITS - 6)];
        let mut by_start: HashMap<u32, BTreeMap<usize, Alike>> = HashMap::new();
        for (number, pattern) in patterns.iter().enumerate() {
            let Some(start) = pattern.bytes.first_chunk() else { continue };
            let (word, bit) = place(*start);
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
            let alike = by_start.entry(u32::from_le_bytes(*start)).or_default();
            let alike = alike.entry(pattern.bytes.len()).or_default();
            alike.entry(pattern.bytes.clone()).or_default().push(number);
        }
        Self { patterns, filter, by_start, hits: BTreeMap::new() }
    }

    /// Searches bytes for tokens; none crosses a border.
    pub(crate) fn look_up(&mut self, bytes: &[u8], borders: &[usize], frame: &Frame<'_>, source: &str) {
        if !frame.chain.steps().all(is_legible) {
            return;
        }
        let Self { patterns, filter, by_start, hits } = self;
        for (at, start) in bytes.windows(MIN_TOKEN).enumerate() {
            let Some(start) = start.first_chunk() else { continue };
            let (word, bit) = place(*start);
            if filter.get(word).is_none_or(|word| word & bit == 0) {
                continue;
            }
            for (len, alike) in by_start.get(&u32::from_le_bytes(*start)).into_iter().flatten() {
                let Some(whole) = at.checked_add(*len).and_then(|end| bytes.get(at..end)) else { break };
                let found = alike.get(whole).into_iter().flatten().filter_map(|&number| patterns.get(number));
                for pattern in found.filter(|pattern| is_whole(bytes, borders, at, pattern, frame)) {
                    add(hits, pattern, at, frame, source);
                }
            }
        }
    }

    /// The hits, by token.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        self.hits.into_values().flatten().collect()
    }
}

/// A text as JSON writes it: with escapes for what is not ASCII, or without.
fn json(text: &str, is_ascii: bool) -> Vec<u8> {
    let mut written = String::new();
    for one in text.chars() {
        match one {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            one if is_ascii && !one.is_ascii() => {
                let mut units = [0; 2];
                for unit in one.encode_utf16(&mut units) {
                    let _ = write!(written, "\\u{unit:04x}");
                }
            }
            one => written.push(one),
        }
    }
    written.into_bytes()
}

/// The word of the filter and the bit in it.
fn place(start: [u8; 4]) -> (usize, u64) {
    let hash = u32::from_le_bytes(start).wrapping_mul(0x9E37_79B1) >> (32 - FILTER_BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// Whether text is still text in what this encoding decodes to, and not by chance.
const fn is_legible(step: Encoding) -> bool {
    use Encoding::{
        Bzip2, Chunked, Entities, Escapes, Form, Gzip, Http2, HttpBody, Lz4, Lzf, Lzma, Percent, PgLog,
        QuotedPrintable, Snappy, SqliteOverflow, Toast, Varlena, WebSocket, Zip, Zlib, Zstd,
    };
    matches!(
        step,
        Bzip2
            | Chunked
            | Entities
            | Escapes
            | Form
            | Gzip
            | Http2
            | HttpBody
            | Lz4
            | Lzf
            | Lzma
            | Percent
            | PgLog
            | QuotedPrintable
            | Snappy
            | SqliteOverflow
            | Toast
            | Varlena
            | WebSocket
            | Zip
            | Zlib
            | Zstd
    )
}

/// Whether a pattern is at this place, and no letter or digit before and after it.
fn is_whole(bytes: &[u8], borders: &[usize], at: usize, pattern: &Pattern, frame: &Frame<'_>) -> bool {
    let Some(rest) = bytes.get(at..).and_then(|rest| rest.strip_prefix(pattern.bytes.as_slice())) else { return false };
    let before = bytes.get(..at).unwrap_or_default();
    let end = at.saturating_add(pattern.bytes.len());
    let next = borders.partition_point(|&border| border < at);
    let border = borders.get(next).copied();
    if border.is_some_and(|border| border < end) {
        return false;
    }
    // What the block cuts is whole in the one before or the next.
    let first = (frame.place)(at);
    let last = (frame.place)(end.saturating_sub(1));
    let width = if matches!(pattern.width, Width::Bytes | Width::Json) { 1 } else { 2 };
    let starts_cut = frame.block_start.is_some_and(|start| first <= start.saturating_add(ESCAPE));
    let ends_cut = frame.block_end.is_some_and(|end| end <= last.saturating_add(ESCAPE));
    if starts_cut && before.len() < width || ends_cut && rest.len() < width {
        return false;
    }
    let begins_after_border = next
        .checked_sub(1)
        .and_then(|next| borders.get(next))
        .is_some_and(|border| at.saturating_sub(*border) <= width);
    let ends_before_border = border.is_some_and(|border| border.saturating_sub(end) < width);
    let unit = |bytes: &[u8; 2]| match pattern.width {
        Width::Utf16Be => u16::from_be_bytes(*bytes),
        _ => u16::from_le_bytes(*bytes),
    };
    let own = pattern.bytes.as_slice();
    let (left, right) = match pattern.width {
        Width::Bytes | Width::Json => (
            continues(before.last().map(|byte| u16::from(*byte)), own.first().map(|byte| u16::from(*byte))),
            continues(rest.first().map(|byte| u16::from(*byte)), own.last().map(|byte| u16::from(*byte))),
        ),
        Width::Utf16Le | Width::Utf16Be => (
            continues(before.last_chunk().map(unit), own.first_chunk().map(unit)),
            continues(rest.first_chunk().map(unit), own.last_chunk().map(unit)),
        ),
    };
    // A run of escapes may begin and end within a word: the bytes around it are in its parent, which was searched.
    let is_at_edge = before.len() < width || begins_after_border || rest.len() < width || ends_before_border;
    if is_at_edge && (frame.is_literal)(at, own.len()) {
        return false;
    }
    (begins_after_border || !left) && (ends_before_border || !right)
}

/// Whether a byte or unit next to a token continues its word. Of a character that is not ASCII only a part is seen: it
/// counts as a letter next to another such character.
fn continues(next: Option<u16>, own: Option<u16>) -> bool {
    let is_ascii = |unit: u16| u8::try_from(unit).is_ok_and(|byte| byte.is_ascii());
    let is_word = |unit: u16| u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_alphanumeric());
    next.is_some_and(|next| is_word(next) || !is_ascii(next) && own.is_some_and(|own| !is_ascii(own)))
}

/// Adds a hit, unless it is known from the block before, or from UTF-16 in the other order, a byte before it: ASCII
/// among ASCII can be read in both.
fn add(hits: &mut BTreeMap<u32, Vec<Hit>>, pattern: &Pattern, at: usize, frame: &Frame<'_>, source: &str) {
    let listed = hits.entry(pattern.id).or_default();
    let offset = frame.offset(at);
    let is_known = listed.iter().any(|hit| hit.offset.abs_diff(offset) <= 1 && hit.source == source);
    if is_known || listed.len() >= HITS_PER_VALUE {
        return;
    }
    let last = frame.offset(at.saturating_add(pattern.bytes.len()).saturating_sub(1));
    let inner = match pattern.width {
        Width::Bytes => None,
        Width::Json => Some(Encoding::Escapes),
        Width::Utf16Le => Some(Encoding::Utf16Le),
        Width::Utf16Be => Some(Encoding::Utf16Be),
    };
    listed.push(Hit {
        id: pattern.id,
        source: source.into(),
        offset,
        end: last.saturating_add(1),
        encoding: frame.chain.steps().chain(inner).chain([Encoding::Raw]).collect(),
        form: None,
        range: 0..pattern.len,
        whole: true,
    });
}
