// SPDX-License-Identifier: MIT OR Apache-2.0
//! Public values within secrets, and parts of secrets within public values.
//!
//! A header contains a ratchet key; a contact card that a user sends contains an identity. If the evidence has such a
//! public value, it has a fragment of the secret. Public values explain that fragment only if the secret contains them
//! whole, next to one another. A public value that contains a part of a secret has leaked it.

use super::class::Class;
use super::finding::EvidencePlace;
use super::ledger::Ledger;
use super::value::{Id, PLAINTEXT, Value};
use core::ops::Range;
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Hit, Index, Needles};
use std::collections::BTreeMap;

/// The parts of secrets that public values cover.
pub(super) struct PublicCoverage<'a> {
    ledger: &'a Ledger,
    index: Option<Index>,
    /// The spans of each secret that was asked for, in order and disjoint.
    spans: BTreeMap<Id, Vec<Span>>,
}

/// A part of a secret that is a public value, and its encoding there.
struct Span {
    range: Range<usize>,
    encoding: Encoding,
}

/// Only values that an operation computed explain anything: a device could write a key into a value that it draws, such
/// as a salt.
fn explains(value: &Value) -> bool {
    value.class == Class::Public && value.is_public && value.is_computed
}

impl<'a> PublicCoverage<'a> {
    pub(super) fn of(ledger: &'a Ledger) -> Self {
        let mut needles = Needles::new();
        for (id, value) in ledger.values() {
            if let Some(bytes) = ledger.beginning(id).filter(|_| explains(value)) {
                needles.add_anchored(id, bytes);
            }
        }
        Self { ledger, index: needles.build().ok(), spans: BTreeMap::new() }
    }

    /// Whether public values cover this part of a secret, up to gaps shorter than a fragment.
    pub(super) fn covers(&mut self, id: Id, part: Range<usize>) -> bool {
        let (ledger, index) = (self.ledger, self.index.as_ref());
        let spans = self.spans.entry(id).or_insert_with(|| public_spans(ledger, index, id));
        let bytes = ledger.bytes(id).unwrap_or_default();
        let (mut end, mut is_any) = (part.start, false);
        for Span { range, encoding } in spans.iter().filter(|span| span.range.end > part.start) {
            let gap = end..range.start.min(part.end);
            if !is_short(bytes.get(gap).unwrap_or_default(), *encoding) {
                return false;
            }
            is_any |= range.start < part.end;
            end = end.max(range.end);
        }
        is_any && part.end.saturating_sub(end) < FRAGMENT
    }
}

/// Whether the gap between two public values is shorter than a fragment: an identifier, a date, words of JSON. Between
/// values in hex or base64, a gap in the same encoding is measured in decoded bytes.
fn is_short(gap: &[u8], encoding: Encoding) -> bool {
    let is_short_decoded = match encoding {
        Encoding::Hex => gap.len() < 2 * FRAGMENT && gap.iter().all(u8::is_ascii_hexdigit),
        Encoding::Base64 => {
            let is_symbol = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
            gap.len() < FRAGMENT * 4 / 3 && gap.iter().all(is_symbol)
        }
        _ => false,
    };
    gap.len() < FRAGMENT || is_short_decoded
}

/// The places at which a secret contains whole public values, in any encoding, in order.
fn public_spans(ledger: &Ledger, index: Option<&Index>, id: Id) -> Vec<Span> {
    let (Some(bytes), Some(index)) = (ledger.bytes(id), index) else { return Vec::new() };
    let (found, _) = Evidence::new().bytes("", bytes).search_all(index, |_, _| {});
    let span = |hit: Hit| {
        let value = ledger.value(hit.id)?;
        let is_whole = hit.range.start == 0 && hit.range.end >= value.kept;
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let encoding = hit.encoding.first().copied().unwrap_or(Encoding::Raw);
        is_whole.then(|| Span { range: place(hit.offset)..place(hit.end), encoding })
    };
    let mut spans: Vec<Span> = found.hits.into_iter().filter_map(span).collect();
    spans.sort_unstable_by_key(|span| span.range.start);
    spans
}

/// Parts of keys within public values, with their places, whether the evidence has those values or not. Texts are left
/// out: a user may write what everyone knows.
pub(super) fn leaks_in_public_values(
    ledger: &Ledger,
    index: &Index,
    coverage: &mut PublicCoverage<'_>,
) -> BTreeMap<Id, Vec<EvidencePlace>> {
    let containers = ledger.values().filter(|(_, value)| value.is_public && value.class == Class::Public);
    let containers: Vec<(String, &[u8])> = containers
        .filter_map(|(id, value)| {
            let bytes = ledger.beginning(id).filter(|bytes| bytes.len() >= FRAGMENT)?;
            Some((format!("public value \"{}\" of operation {}", ledger.describe(value.what), value.operation), bytes))
        })
        .collect();
    let undecoded = Encoding::ALL
        .into_iter()
        .filter(|encoding| !matches!(encoding, Encoding::Raw | Encoding::Reversed))
        .fold(Encodings::ALL, Encodings::without);
    let evidence = Evidence::new().with_encodings(undecoded);
    let evidence = containers.iter().fold(evidence, |evidence, (name, bytes)| evidence.bytes(name, bytes));
    let (found, _) = evidence.search_all(index, |_, _| {});
    let mut leaks: BTreeMap<Id, Vec<EvidencePlace>> = BTreeMap::new();
    for hit in found.hits {
        let is_key = ledger
            .value(hit.id)
            .is_some_and(|value| value.class == Class::Secret && value.of_device && value.what != PLAINTEXT);
        if is_key && !coverage.covers(hit.id, hit.range.clone()) {
            leaks.entry(hit.id).or_default().push(EvidencePlace::of(hit));
        }
    }
    leaks
}
