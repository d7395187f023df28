// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control of every search: halves of the run's own secrets are planted, and the same search must find them. A
//! search that finds nothing shows something only if it finds these.

use super::class::Class;
use super::ledger::Ledger;
use super::value::{Id, Value};
use leakscan::encoders::{encode, is_ambiguous};
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Hit, Index, is_distinctive};

/// The number of secrets of which a half is planted, from all over the run.
const PLANTED: usize = 8;
/// Bytes before and after each half, so that the search finds it in the middle of something. A file within an archive or
/// an image of a disk begins at a multiple of as many.
const AROUND: [u8; 512] = [0x5A; 512];

/// Plants halves of secrets in each encoding and searches for them with the same index. Returns how many were planted
/// and how many of them were found.
pub(super) fn control(ledger: &Ledger, index: &Index, encodings: Encodings) -> (usize, usize) {
    // One search for each encoding, because a search lists only so many hits of a value.
    encodings.iter().fold((0, 0), |(planted, found), encoding| {
        let (more_planted, more_found) = control_of(ledger, index, encodings, encoding);
        (planted.saturating_add(more_planted), found.saturating_add(more_found))
    })
}

fn control_of(ledger: &Ledger, index: &Index, encodings: Encodings, encoding: Encoding) -> (usize, usize) {
    let written = |half: &[u8]| {
        let written = encode(half, encoding);
        // Some encodings leave letters unchanged: a half that consists of them does not test the decoder.
        let is_changed = encoding == Encoding::Raw || written != half;
        (is_changed && !is_ambiguous(half, encoding)).then_some(written)
    };
    let planted: Vec<(Id, String, Vec<u8>)> = halves(ledger, written)
        .enumerate()
        .map(|(number, (id, written))| (id, format!("{number}"), [&AROUND, &written[..], &AROUND].concat()))
        .collect();
    let evidence = Evidence::new().with_encodings(encodings);
    let evidence = planted.iter().fold(evidence, |evidence, (_, name, bytes)| evidence.bytes(name, bytes));
    let (found, _) = evidence.search_all(index, |_, _| {});
    let is_found = |(id, name, _): &&(Id, String, Vec<u8>)| {
        found.hits.iter().any(|hit| hit.source == *name && hit.id == *id && outermost(hit) == encoding)
    };
    (planted.len(), planted.iter().filter(is_found).count())
}

/// The outermost encoding of a hit.
fn outermost(hit: &Hit) -> Encoding {
    hit.encoding.first().copied().unwrap_or(Encoding::Raw)
}

/// Second halves of keys from all over the run as they are written, without those that are not suitable, and those that
/// have too few distinct bytes to be searched for.
fn halves(ledger: &Ledger, write: impl Fn(&[u8]) -> Option<Vec<u8>>) -> impl Iterator<Item = (Id, Vec<u8>)> {
    let is_key = |value: &Value| value.class == Class::Secret && value.len == 2 * FRAGMENT;
    let keys: Vec<Id> = ledger.values().filter(|(_, value)| is_key(value)).map(|(id, _)| id).collect();
    let step = (keys.len() / PLANTED).max(1);
    let half = |id: &Id| {
        let half = ledger.bytes(*id)?.get(FRAGMENT..)?;
        let written = is_distinctive(half).then(|| write(half))??;
        Some((*id, written))
    };
    let chosen: Vec<(Id, Vec<u8>)> = keys.chunks(step).filter_map(|keys| keys.iter().find_map(half)).collect();
    chosen.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Field, Kind, Role};
    use crate::profile::Profile;
    use crate::tape::{Tape, Track};
    use leakscan::Needles;
    use sha2::{Digest, Sha256};

    /// Records an HMAC with a made-up output.
    fn hmac(track: &Track, key: &[u8], message: &[u8]) {
        let output = Sha256::digest([key, message].concat());
        let fields = [(Role::KdfKey, false, key), (Role::Context, false, message), (Role::KdfOutput, true, &output)];
        let fields = fields.iter().map(|&(role, is_output, bytes)| Field { role, is_output, bytes });
        track.record("", Kind::Hmac, fields);
    }

    fn run_of(keys: u8) -> Ledger {
        let tape = Tape::in_memory();
        let track = tape.device("Alice").unwrap();
        for key in 0..keys {
            hmac(&track, &[0; 32], &[key, 7]);
        }
        ledger_of(&tape)
    }

    fn ledger_of(tape: &Tape) -> Ledger {
        let mut ledger = Ledger::new(Profile::empty());
        ledger.ingest_trace(&*tape.bytes()).unwrap();
        ledger
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
    fn planted_halves_are_found_only_by_an_index_with_them() {
        let ledger = run_of(100);
        let (planted, found) = control(&ledger, &index_of(&ledger), Encodings::ALL);
        assert!(planted >= Encoding::ALL.len() * PLANTED);
        assert_eq!(found, planted);
        assert_eq!(control(&ledger, &index_of(&run_of(0)), Encodings::ALL), (planted, 0));
        for encoding in Encoding::ALL {
            let others = Encoding::ALL.into_iter().filter(|other| *other != encoding);
            let alone = others.fold(Encodings::ALL, Encodings::without);
            let (planted, found) = control(&ledger, &index_of(&ledger), alone);
            // Without its own decoder, an encoding is found only if it needs none.
            let expected = if matches!(encoding, Encoding::Raw | Encoding::Reversed) { planted } else { 0 };
            assert!(planted >= PLANTED && found == expected, "{encoding}: {found} of {planted}");
        }
    }

    #[test]
    fn run_without_keys_has_nothing_to_plant() {
        assert_eq!(control(&run_of(0), &index_of(&run_of(0)), Encodings::ALL), (0, 0));
    }

    #[test]
    fn key_with_few_distinct_bytes_is_not_planted() {
        let tape = Tape::in_memory();
        hmac(&tape.device("Alice").unwrap(), &[0x5A; 32], b"label");
        let ledger = ledger_of(&tape);
        // The key has one distinct byte; the output has many.
        let all = Encoding::ALL.len();
        assert_eq!(control(&ledger, &index_of(&ledger), Encodings::ALL), (all, all));
    }
}
