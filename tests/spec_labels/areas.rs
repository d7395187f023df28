// SPDX-License-Identifier: MIT OR Apache-2.0
//! The labels of spec/protocol.md: `HS-I4` or `PK-1`, and `DR-D6.2` for a part.

use std::collections::BTreeSet;

/// Areas whose labels are steps: each is in the code, and in a model or a list of reasons.
pub const STEPS: [&str; 9] = ["ID", "LG", "PK", "HS", "BR", "SP", "DR", "TR", "SN"];
/// Areas whose labels are rules. They hold at many places, and need not stand in the code; where one stands, it exists.
#[allow(dead_code, reason = "the index has steps only")]
pub const RULES: [&str; 10] = ["NT", "KY", "KS", "BM", "PD", "AV", "RT", "CX", "FL", "PP"];

/// The steps that a text names.
pub fn labels(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| is_label(word)).map(str::to_owned).collect()
}

/// Whether a word is the label of a step: two capitals of an area, a hyphen, an optional capital, digits.
pub fn is_label(word: &str) -> bool {
    split(word).is_some_and(|area| STEPS.contains(&area))
}

/// The area of a word with the form of a label.
pub fn split(word: &str) -> Option<&str> {
    let (area, step) = word.split_once('-')?;
    let digits = step.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(step);
    (area.len() == 2 && area.chars().all(|c| c.is_ascii_uppercase()) && is_number(digits)).then_some(area)
}

pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}
