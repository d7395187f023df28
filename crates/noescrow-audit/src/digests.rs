// SPDX-License-Identifier: MIT OR Apache-2.0
//! Digests of secrets and texts: what a server keeps to recognise files and messages that it does not store, and
//! whoever has it can confirm a guess. They are searched for as values of their own, by their first sixteen bytes.
//!
//! A digest that the run itself computed is the protocol's: a fingerprint, or the salt of a key. It is left out, and so
//! are digests of public values.

use super::class::Class;
use super::examined::Examined;
use super::finding::EvidencePlace;
use super::ledger::Ledger;
use super::texts::{Texts, is_text};
use super::value::Id;
use super::well_known::is_well_known;
use leakscan::digests::digests;
use leakscan::{Encoding, Encodings, Evidence, FRAGMENT, Hit, Index, Needles, encoders};
use std::collections::BTreeMap;

/// Bytes of the shortest value whose digests are searched for. Shorter ones are in lists of digests of all words.
const SHORTEST: usize = 8;
/// Values whose digests are searched for; of later ones, the verdict counts them. A key has 18 digests and a text up to
/// 90, of 150 bytes each in the index: at most 900 MB.
const MOST: usize = 1 << 16;
/// Bytes of the longest text whose digests are searched for: those that are longer are files, and hashed in pieces.
const LONGEST: usize = 1 << 20;
/// Bytes of a digest that are searched for and compared.
const COMPARED: usize = 32;
/// Values of which the control plants a digest.
const PLANTED: usize = 8;

/// The digests that are searched for.
#[derive(Debug, Default)]
pub(super) struct Digests {
    /// The number of the first digest among the values that are searched for: those of the ledger come first.
    first: Id,
    /// The value, and what was hashed by what.
    of: Vec<(Id, String)>,
    /// Values beyond the limit.
    left_out: usize,
}

impl Digests {
    /// Adds digests of all secrets and texts of devices to what is searched for.
    pub(super) fn add(ledger: &Ledger, needles: &mut Needles) -> Self {
        let first = Id::try_from(ledger.values().count()).unwrap_or(Id::MAX);
        let mut all = Self { first, ..Self::default() };
        let mut hashed = 0usize;
        for (id, value) in ledger.values() {
            let is_secret = value.class == Class::Secret && value.of_device && !value.is_public;
            let Some(bytes) = ledger.bytes(id).filter(|_| is_secret) else { continue };
            if !(SHORTEST..=LONGEST).contains(&bytes.len()) || is_well_known(bytes) || is_plain(bytes) {
                continue;
            }
            if hashed >= MOST {
                all.left_out = all.left_out.saturating_add(1);
                continue;
            }
            hashed = hashed.saturating_add(1);
            let forms = if is_text(ledger, value) { forms(bytes) } else { vec![("", bytes.to_vec())] };
            for (form, bytes) in forms {
                for (name, digest) in digests(&bytes) {
                    // The run computed it.
                    if ledger.find(&digest).is_some() {
                        continue;
                    }
                    let Some(number) = u32::try_from(all.of.len()).ok().and_then(|at| first.checked_add(at)) else {
                        break;
                    };
                    all.of.push((id, format!("{name}{form}")));
                    needles.add_anchored(number, digest.get(..COMPARED).unwrap_or(&digest));
                }
            }
        }
        all
    }

    fn of(&self, id: Id) -> Option<&(Id, String)> {
        self.of.get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    /// Takes the hits of digests out of `hits`: for each value and kind of digest, its places. A digest that the
    /// baseline contains was not made of this run.
    pub(super) fn take(&self, hits: &mut Vec<Hit>, texts: &Texts<'_>) -> BTreeMap<(Id, String), Vec<EvidencePlace>> {
        let mut found: BTreeMap<(Id, String), Vec<EvidencePlace>> = BTreeMap::new();
        let taken = hits.extract_if(.., |hit| self.of(hit.id).is_some());
        for hit in taken.filter(|hit| hit.range.start == 0 && !texts.is_known(hit.id)) {
            if let Some(of) = self.of(hit.id) {
                found.entry(of.clone()).or_default().push(EvidencePlace::of(hit));
            }
        }
        found
    }

    /// Counts what is searched for.
    pub(super) fn count(&self, with_digests: bool, examined: &mut Examined) {
        examined.digests = self.of.len();
        if !with_digests {
            examined.not_examined.push("digests of secrets and texts: they were left out".into());
        } else if self.left_out > 0 {
            // A limit of what a verdict shows, as the digests of longer texts: a run of a million keys can hold.
            examined.notes.push(format!(
                "digests of {} secrets and texts after the first {MOST} are not searched for",
                self.left_out
            ));
        }
    }

    /// The control: plants digests of values from all over the run, in hex, which the same search must find.
    pub(super) fn control(&self, ledger: &Ledger, index: &Index, encodings: Encodings, examined: &mut Examined) {
        let step = (self.of.len() / PLANTED).max(1);
        let chosen = (self.first..).zip(&self.of).step_by(step).take(PLANTED);
        let digest = |(number, (id, name)): (Id, &(Id, String))| {
            let all = digests(ledger.bytes(*id)?);
            let (_, digest) = all.into_iter().find(|(known, _)| known == name)?;
            Some((number, encoders::encode(digest.get(..FRAGMENT)?, Encoding::Hex)))
        };
        let planted: Vec<(Id, Vec<u8>)> = chosen.filter_map(digest).collect();
        let is_found = |(number, text): &&(Id, Vec<u8>)| {
            let evidence = Evidence::new().with_encodings(encodings).bytes("", text);
            evidence.search_all(index, |_, _| {}).0.hits.iter().any(|hit| hit.id == *number)
        };
        if planted.iter().filter(is_found).count() < planted.len() {
            examined
                .not_examined
                .push("the control failed: the search did not find every digest that was planted".into());
        }
    }
}

/// Whether a value has too few distinct bytes for anybody to hash just this one.
fn is_plain(bytes: &[u8]) -> bool {
    let mut distinct = bytes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() < 5
}

/// A text in the forms in which programs hash it, each with its name: as it is, with the end of a line, trimmed, in
/// lower case, in UTF-16.
fn forms(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("", text.to_vec()), (" with a line end", [text, b"\n"].concat())];
    if let Ok(text) = core::str::from_utf8(text) {
        forms.extend([
            (" trimmed", text.trim().as_bytes().to_vec()),
            (" in lower case", text.to_lowercase().into_bytes()),
            (" in UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ]);
    }
    let mut different: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, form) in forms {
        if different.iter().all(|(_, other)| *other != form) {
            different.push((name, form));
        }
    }
    different
}
