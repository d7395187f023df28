// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways in which a value is missed, each with its reason. Section 8 of the audit's document refers to them.

const LINES: &str = "lines are not joined";
const DIGITS: &str = "a number of so many digits is read in decimal and hexadecimal alone";
const ARRAY: &str = "this array of integers is not decoded";
const HEADER: &str = "nothing says that a compressed stream begins there";
const WORDS: &str = "words whose bytes are exchanged are not searched";

const MISSED: &[(&str, &str)] = &[
    ("`oct` of an integer", DIGITS),
    ("`pickle`, protocol 0: a list of integers", LINES),
    ("`marshal`: a list of integers", ARRAY),
    ("the memory of a `list` of integers", ARRAY),
    ("`zlib`, a preset dictionary", HEADER),
    ("`zlib`, deflate without header", HEADER),
    ("`zlib.brotliCompressSync`", HEADER),
    ("`zlib.deflateRawSync`", HEADER),
    ("names of characters (`namereplace`)", "the table of names is not part of the search"),
    ("Punycode", "not decoded"),
    ("upper case", "found with the option `ignoring_case` of the audit"),
    ("`buffer.swap16`", WORDS),
    ("`buffer.swap32`", WORDS),
];

/// Why a way is missed, if it is.
pub(crate) fn reason(way: &str) -> Option<&'static str> {
    MISSED.iter().find(|(name, _)| *name == way).map(|(_, reason)| *reason)
}
