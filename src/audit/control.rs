// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control of every search: halves of the run's own secrets, planted where the same search must find them. A search
//! that finds nothing, and not these either, has shown nothing.

use super::classes::Class;
use super::evidence::{Encoding, Encodings, Evidence, FRAGMENT, Hit, Index, is_strong};
use super::ledger::{Id, Ledger};
use std::format;
use std::string::String;
use std::vec::Vec;

/// Secrets of which a half is planted: the first, the last and some between.
const PLANTED: usize = 8;
/// Bytes around each, so that it is met within something.
const AROUND: [u8; 100] = [0x5A; 100];

/// Plants halves of secrets, raw and in hex, and searches them with the same index. Returns how many were planted, and how
/// many were found.
pub(super) fn control(ledger: &Ledger, index: &Index, encodings: Encodings) -> (usize, usize) {
    let mut planted: Vec<(Id, Encoding, Vec<u8>)> = Vec::new();
    for (id, half) in halves(ledger) {
        if encodings.contains(Encoding::Raw) {
            planted.push((id, Encoding::Raw, [&AROUND, half, &AROUND].concat()));
        }
        if encodings.contains(Encoding::Hex) {
            let digits: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
            planted.push((id, Encoding::Hex, [&AROUND, digits.as_bytes(), &AROUND].concat()));
        }
    }
    let evidence = Evidence::new().with_encodings(encodings);
    let names: Vec<String> = (0..planted.len()).map(|number| format!("{number}")).collect();
    let evidence =
        planted.iter().zip(&names).fold(evidence, |evidence, ((.., bytes), name)| evidence.bytes(name, bytes));
    let Ok(found) = evidence.search(index, |_, _| {}) else { return (planted.len(), 0) };
    let is_met = |(number, (id, encoding, _)): &(&String, &(Id, Encoding, Vec<u8>))| {
        found.hits.iter().any(|hit| hit.source == **number && hit.id == *id && outermost(hit) == *encoding)
    };
    (planted.len(), names.iter().zip(&planted).filter(is_met).count())
}

/// The layer in which it lies in the source.
fn outermost(hit: &Hit) -> Encoding {
    hit.encoding.first().copied().unwrap_or(Encoding::Raw)
}

/// Second halves of keys, from all over the run; none that is too plain to be searched for.
fn halves(ledger: &Ledger) -> impl Iterator<Item = (Id, &[u8])> {
    let is_key = |value: &super::ledger::Value| value.class == Class::Secret && value.len == 2 * FRAGMENT;
    let keys: Vec<Id> = ledger.values().filter(|(_, value)| is_key(value)).map(|(id, _)| id).collect();
    let step = (keys.len() / PLANTED).max(1);
    let chosen: Vec<Id> = keys.into_iter().step_by(step).collect();
    chosen.into_iter().filter_map(|id| {
        let half = ledger.bytes(id)?.get(FRAGMENT..)?;
        is_strong(half).then_some((id, half))
    })
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Needles;
    use super::super::{Audit, Recorder, Tape};
    use super::*;
    use crate::primitives::Primitives;

    fn run_of(keys: u8) -> Ledger {
        let tape = Tape::in_memory();
        let recorder: Recorder = tape.device("Alice").unwrap();
        for key in 0..keys {
            let _ = recorder.hmac(&[0; 32], &[&[key, 7]]);
        }
        Audit::of(&tape).unwrap().ledger
    }

    fn index_of(ledger: &Ledger) -> Index {
        let mut needles = Needles::default();
        ledger.values().for_each(|(id, value)| {
            if value.class == Class::Secret {
                needles.add_secret(id, ledger.bytes(id).unwrap());
            }
        });
        needles.build().unwrap()
    }

    #[test]
    fn what_is_planted_is_found_and_an_index_that_has_it_not_finds_nothing() {
        let ledger = run_of(100);
        let (planted, found) = control(&ledger, &index_of(&ledger), Encodings::ALL);
        assert!(planted >= 2 * PLANTED);
        assert_eq!(found, planted);
        assert_eq!(control(&ledger, &index_of(&run_of(0)), Encodings::ALL), (planted, 0));
        let raw = Encodings::ALL.without(Encoding::Hex);
        assert_eq!(control(&ledger, &index_of(&ledger), raw), (planted / 2, planted / 2));
    }

    #[test]
    fn a_run_without_keys_has_nothing_to_plant() {
        assert_eq!(control(&run_of(0), &index_of(&run_of(0)), Encodings::ALL), (0, 0));
    }

    #[test]
    fn a_key_too_plain_to_be_searched_for_is_not_planted() {
        let tape = Tape::in_memory();
        let _ = tape.device("Alice").unwrap().hmac(&[0x5A; 32], &[b"label"]);
        let ledger = Audit::of(&tape).unwrap().ledger;
        // The key is plain, the output is not.
        assert_eq!(control(&ledger, &index_of(&ledger), Encodings::ALL), (2, 2));
    }
}
