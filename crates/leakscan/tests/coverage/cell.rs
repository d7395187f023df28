// SPDX-License-Identifier: MIT OR Apache-2.0
//! One cell of the table: what a search says of one value in one file.

use leakscan::{Encodings, Evidence, Needles};
use std::fmt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Nothing is written in this way.
    #[default]
    Absent,
    /// The whole value is found, or its digest.
    Found,
    /// Parts of the value are found.
    InPart,
    /// Nothing is found, and the search says what it did not look into.
    Named,
    /// Nothing is found, and nothing is said.
    Missed,
}

impl Cell {
    pub(crate) const ALL: [Self; 5] = [Self::Absent, Self::Found, Self::InPart, Self::Named, Self::Missed];
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "–",
            Self::Found => "found",
            Self::InPart => "found in part",
            Self::Named => "not looked into",
            Self::Missed => "**missed**",
        })
    }
}

/// Whether a file begins like a traffic capture.
fn is_capture(file: &[u8]) -> bool {
    file.starts_with(&[0xD4, 0xC3, 0xB2, 0xA1])
}

/// What the search says of `value` in `file`.
pub(crate) fn of(file: &[u8], value: &[u8], encodings: Encodings) -> Cell {
    let mut needles = Needles::new();
    match std::str::from_utf8(value) {
        Ok(_) => needles.add_text(0, value),
        Err(_) => needles.add_secret(0, value),
    }
    // The first 32 bytes of a digest are compared, as in an audit.
    for (id, (_, digest)) in (1..).zip(leakscan::digests::digests(value)) {
        needles.add_anchored(id, &digest[..digest.len().min(32)]);
    }
    let index = needles.build().unwrap();
    let evidence = Evidence::new().with_encodings(encodings).bytes("file", file);
    let evidence = if is_capture(file) { evidence.capture("capture", file) } else { evidence };
    let findings = evidence.search(&index, |_, _| {}).unwrap();
    if findings.hits.iter().any(|hit| hit.id > 0 && hit.whole) {
        return Cell::Found;
    }
    let mut pieces: Vec<_> = findings.hits.iter().map(|hit| (hit.range.start, hit.range.end)).collect();
    pieces.sort_unstable();
    let joined = pieces.iter().fold(0, |end, &(from, to)| if from <= end { end.max(to) } else { end });
    if joined >= value.len() {
        Cell::Found
    } else if !pieces.is_empty() {
        Cell::InPart
    } else if findings.statistics.omitted > 0 {
        Cell::Named
    } else {
        Cell::Missed
    }
}
