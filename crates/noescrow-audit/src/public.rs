// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is public and lies within secrets, and what is secret and lies within what is public.
//!
//! A header holds a ratchet key, a contact card that a user sends holds an identity: where such a public value lies in the
//! evidence, a fragment of the secret does. It is explained by the public values that the secret holds whole, one beside
//! another, and by nothing else: a public value that holds a part of a secret has given it away.

use super::classes::Class;
use super::ledger::{Id, Ledger, PLAINTEXT, Value};
use super::verdict::EvidencePlace;
use core::ops::Range;
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Hit, Index, Needles};
use std::collections::BTreeMap;

/// Where everybody's bytes lie within secrets.
pub(super) struct Explained<'a> {
    ledger: &'a Ledger,
    index: Option<Index>,
    /// By secret, in order and apart: what has been looked for.
    known: BTreeMap<Id, Vec<Stretch>>,
}

/// What everybody knows of a secret: from where to where, and as what it is written.
struct Stretch {
    range: Range<usize>,
    written: Encoding,
}

/// Made by an operation: a device may tell a key in what it draws, a salt.
fn explains(value: &Value) -> bool {
    value.class == Class::Public && value.is_public && value.is_computed
}

impl<'a> Explained<'a> {
    pub(super) fn of(ledger: &'a Ledger) -> Self {
        let mut needles = Needles::new();
        for (id, value) in ledger.values() {
            if let Some(bytes) = ledger.beginning(id).filter(|_| explains(value)) {
                needles.add_anchored(id, bytes);
            }
        }
        Self { ledger, index: needles.build().ok(), known: BTreeMap::new() }
    }

    /// Whether everybody knows this part of a secret, all but what is shorter than a fragment.
    pub(super) fn is_known(&mut self, id: Id, part: Range<usize>) -> bool {
        let (ledger, index) = (self.ledger, self.index.as_ref());
        let known = self.known.entry(id).or_insert_with(|| stretches(ledger, index, id));
        let bytes = ledger.bytes(id).unwrap_or_default();
        let (mut end, mut is_any) = (part.start, false);
        for Stretch { range, written } in known.iter().filter(|known| known.range.end > part.start) {
            let gap = end..range.start.min(part.end);
            if !is_short(bytes.get(gap).unwrap_or_default(), *written) {
                return false;
            }
            is_any |= range.start < part.end;
            end = end.max(range.end);
        }
        is_any && part.end.saturating_sub(end) < FRAGMENT
    }
}

/// Whether what lies between two public values is shorter than a fragment: an identifier, a date, words of JSON. Where they
/// are written in digits or symbols, it is if that goes on, in as many of these as a fragment has.
fn is_short(gap: &[u8], written: Encoding) -> bool {
    let goes_on = match written {
        Encoding::Hex => gap.len() < 2 * FRAGMENT && gap.iter().all(u8::is_ascii_hexdigit),
        Encoding::Base64 => {
            let is_symbol = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
            gap.len() < FRAGMENT * 4 / 3 && gap.iter().all(is_symbol)
        }
        _ => false,
    };
    gap.len() < FRAGMENT || goes_on
}

/// Where public values lie whole within a secret, in any encoding, in order.
fn stretches(ledger: &Ledger, index: Option<&Index>, id: Id) -> Vec<Stretch> {
    let (Some(bytes), Some(index)) = (ledger.bytes(id), index) else { return Vec::new() };
    let (found, _) = Evidence::new().bytes("", bytes).search_all(index, |_, _| {});
    let stretch = |hit: Hit| {
        let value = ledger.value(hit.id)?;
        let is_whole = hit.range.start == 0 && hit.range.end >= value.kept;
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let written = hit.encoding.first().copied().unwrap_or(Encoding::Raw);
        is_whole.then(|| Stretch { range: place(hit.offset)..place(hit.end), written })
    };
    let mut stretches: Vec<Stretch> = found.hits.into_iter().filter_map(stretch).collect();
    stretches.sort_unstable_by_key(|stretch| stretch.range.start);
    stretches
}

/// Parts of keys within public values, whether the evidence has those or not: with where they lie. Of texts, a user may
/// write what everybody knows.
pub(super) fn given_away(
    ledger: &Ledger,
    index: &Index,
    explained: &mut Explained<'_>,
) -> BTreeMap<Id, Vec<EvidencePlace>> {
    let containers = ledger.values().filter(|(_, value)| value.is_public && value.class == Class::Public);
    let containers: Vec<(String, &[u8])> = containers
        .filter_map(|(id, value)| {
            let bytes = ledger.beginning(id).filter(|bytes| bytes.len() >= FRAGMENT)?;
            Some((
                format!("the public value \"{}\" of operation {}", ledger.describe(value.what), value.operation),
                bytes,
            ))
        })
        .collect();
    let as_they_are = Encoding::ALL
        .into_iter()
        .filter(|encoding| !matches!(encoding, Encoding::Raw | Encoding::Reversed))
        .fold(Encodings::ALL, Encodings::without);
    let evidence = Evidence::new().with_encodings(as_they_are);
    let evidence = containers.iter().fold(evidence, |evidence, (name, bytes)| evidence.bytes(name, bytes));
    let (found, _) = evidence.search_all(index, |_, _| {});
    let mut given: BTreeMap<Id, Vec<EvidencePlace>> = BTreeMap::new();
    for hit in found.hits {
        let is_key = ledger
            .value(hit.id)
            .is_some_and(|value| value.class == Class::Secret && value.of_device && value.what != PLAINTEXT);
        if is_key && !explained.is_known(hit.id, hit.range.clone()) {
            given.entry(hit.id).or_default().push(EvidencePlace::of(hit));
        }
    }
    given
}
