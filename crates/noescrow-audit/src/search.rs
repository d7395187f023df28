// SPDX-License-Identifier: MIT OR Apache-2.0
//! Searches the evidence for the values of a ledger, and decides which hits count.

use super::baseline;
use super::class::Class;
use super::control::control;
use super::control_texts::{add_texts, control_of_texts};
use super::digests::Digests;
use super::examined::Examined;
use super::finding::EvidencePlace;
use super::ledger::{Ledger, MAX_KEPT};
use super::options::Options;
use super::public_values::{PublicCoverage, leaks_in_public_values};
use super::short_texts::ShortTexts;
use super::texts::{Basis, Judgement, Texts, is_text};
use super::value::{Id, PLAINTEXT};
use super::well_known::is_well_known;
use leakscan::{Encoding, Evidence, FRAGMENT, HITS_PER_VALUE, Hit, Needles, Piece};
use std::collections::{BTreeMap, BTreeSet};

/// Whole values before a fragment of which the search asks whether they explain it. There are more only where many
/// values begin at one place.
const NEIGHBOURS: usize = 64;

/// The result of searching the evidence.
#[derive(Debug, Default)]
pub(super) struct Searched {
    /// Places of values that the evidence has whole, in one piece or several.
    pub(super) whole: BTreeMap<Id, Vec<EvidencePlace>>,
    /// Places of fragments of other values.
    pub(super) fragments: BTreeMap<Id, Vec<EvidencePlace>>,
    /// Places of parts of keys within public values of the run.
    pub(super) public_leaks: BTreeMap<Id, Vec<EvidencePlace>>,
    /// Places of texts that may have leaked, or be ordinary language: without a baseline that is not known.
    pub(super) unjudged: BTreeMap<Id, Vec<EvidencePlace>>,
    /// Places of digests, by the value and the kind of digest.
    pub(super) digests: BTreeMap<(Id, String), Vec<EvidencePlace>>,
    /// Texts that consist of public values.
    pub(super) public_texts: BTreeSet<Id>,
    /// What the server knows: the facts of the run, and the values that the evidence has whole.
    pub(super) facts: Vec<Id>,
    pub(super) examined: Examined,
    /// What was read of the evidence, and how many pieces more.
    pub(super) pieces: (Vec<Piece>, u64),
}

/// Searches the evidence for the values of a ledger that is [finished](Ledger::finish), by the baseline that is known,
/// and for their digests, if wanted, until `stop` says that the search is to stop.
pub(super) fn search<'a>(
    ledger: &Ledger,
    evidence: Evidence<'a>,
    known: Option<Vec<Evidence<'a>>>,
    options: &Options,
    stop: &dyn Fn() -> bool,
    mut progress: impl FnMut(u64, u64) + 'a,
) -> Searched {
    let mut searched = Searched { facts: ledger.facts.clone(), ..Searched::default() };
    let mut examined = Examined {
        operations: ledger.operation_count(),
        values: ledger.values().count(),
        clauses: ledger.clauses.len(),
        ..Examined::default()
    };
    let mut short = ShortTexts::default();
    let mut needles = needles(ledger, options.short_texts.then_some(&mut short), &mut examined);
    let digests = if options.digests { Digests::add(ledger, &mut needles) } else { Digests::default() };
    digests.count(options.digests, &mut examined);
    examined.not_examined.extend(ledger.incomplete_traces.iter().cloned());
    if !ledger.profile.describes_storing() {
        let what = "secrets in stored states that no operation used: no profile describes how the devices store states";
        examined.not_examined.push(what.into());
    }
    if let Some(first) = ledger.unmatched_public_keys.first() {
        let count = ledger.unmatched_public_keys.len();
        examined.not_examined.push(format!(
            "{count} operations, the first of them operation {first}, with a public key whose owner is not on the tape: \
             the audit cannot derive what the owner knows"
        ));
    }
    match needles.build() {
        Ok(index) => {
            let texts = baseline::read(ledger, known, &short, stop, &mut examined, &mut progress);
            let rank = |id, part| texts.rank(id, part);
            let evidence = evidence.with_pieces().with_tokens(short.tokens()).stopping(stop);
            let (mut found, failed) = evidence.search_ranked(&index, &rank, progress);
            (examined.controls_planted, examined.controls_found) = control(ledger, &index, found.statistics.encodings);
            (examined.texts_planted, examined.texts_found) =
                control_of_texts(ledger, &index, found.statistics.encodings);
            if index.without_forms() > 0 {
                let count = index.without_forms();
                examined.not_examined.push(format!("other charsets of {count} texts: they would take too much memory"));
            }
            examined.not_examined.extend(failed.iter().map(|error| format!("{error}")));
            examined.add_statistics(&found.statistics);
            searched.pieces = (found.pieces, found.unlisted_pieces);
            let mut coverage = PublicCoverage::of(ledger);
            searched.public_leaks = leaks_in_public_values(ledger, &index, &mut coverage);
            digests.control(ledger, &index, found.statistics.encodings, &mut examined);
            searched.digests = digests.take(&mut found.hits, &texts);
            searched.sort(ledger, found.hits, &mut coverage, &texts);
            examined.ordinary_hits = found.statistics.unranked_hits;
            short.control(&index, &mut examined);
            searched.add_short_texts(ledger, short.judge(found.tokens, &texts, &mut examined), &texts);
            searched.report_unjudged(&mut examined);
        }
        Err(error) => examined.not_examined.push(format!("{error}")),
    }
    searched.check_completeness(ledger, options, &mut examined);
    searched.examined = examined;
    searched
}

/// What the search looks for; counts it, and what it leaves out.
fn needles(ledger: &Ledger, mut short: Option<&mut ShortTexts>, examined: &mut Examined) -> Needles {
    let needles = Needles::default();
    let mut needles = if ledger.ignoring_case { needles.ignoring_case() } else { needles };
    let mut too_long = 0u64;
    for (id, value) in ledger.values() {
        let Some(bytes) = ledger.beginning(id) else { continue };
        let is_whole = value.kept == value.len;
        match (value.class, value.is_public) {
            (Class::Secret | Class::State, _) if !is_whole => too_long = too_long.saturating_add(1),
            (Class::Secret, _) if !is_well_known(bytes) => match is_searchable(bytes) {
                true => {
                    examined.secrets = examined.secrets.saturating_add(1);
                    needles.add_text(id, bytes);
                }
                false if short.as_mut().is_some_and(|short| short.add(ledger, id, bytes)) => {
                    examined.secrets = examined.secrets.saturating_add(1);
                    examined.short_texts = examined.short_texts.saturating_add(1);
                }
                false => examined.secrets_not_searched = examined.secrets_not_searched.saturating_add(1),
            },
            // A key may be made of a value that is neither secret nor public, so that this value counts as known where
            // it is found.
            (Class::State | Class::Stored | Class::Neutral | Class::Public, _) if bytes.len() >= FRAGMENT => {
                needles.add_anchored(id, bytes);
            }
            _ => {}
        }
    }
    add_texts(&mut needles);
    if too_long > 0 {
        examined.not_examined.push(format!("{too_long} secrets and states of more than {MAX_KEPT} bytes"));
    }
    needles
}

impl Searched {
    /// Sorts hits by their values: values that the evidence has whole become facts, the others are fragments.
    fn sort(&mut self, ledger: &Ledger, hits: Vec<Hit>, coverage: &mut PublicCoverage<'_>, texts: &Texts<'_>) {
        let mut places: BTreeMap<Id, Vec<EvidencePlace>> = BTreeMap::new();
        for hit in hits {
            places.entry(hit.id).or_default().push(EvidencePlace::of(hit));
        }
        for (id, places) in places {
            let Some(value) = ledger.value(id) else { continue };
            if value.what == PLAINTEXT && coverage.covers(id, 0..value.len) {
                self.public_texts.insert(id);
            }
            let is_text = is_text(ledger, value);
            let whole = |place: &EvidencePlace| matches!(texts.judge(id, place.from..place.to), Judgement::Whole(_));
            let is_whole = is_text && places.iter().any(whole)
                || join_to_whole(&places, if value.kept == 0 { value.len } else { value.kept });
            if is_text && texts.basis == Basis::None && !self.public_texts.contains(&id) {
                self.unjudged.insert(id, places);
                continue;
            }
            match is_whole {
                true => {
                    self.facts.push(id);
                    self.whole.insert(id, places);
                }
                false => {
                    self.fragments.insert(id, places);
                }
            }
        }
        self.drop_explained_fragments(ledger, coverage);
    }

    /// Adds short texts that were found: they are whole.
    fn add_short_texts(&mut self, ledger: &Ledger, hits: Vec<Hit>, texts: &Texts<'_>) {
        let mut places: BTreeMap<Id, Vec<EvidencePlace>> = BTreeMap::new();
        for hit in hits {
            places.entry(hit.id).or_default().push(EvidencePlace::of(hit));
        }
        for (id, places) in places {
            if texts.basis == Basis::None && ledger.value(id).is_some_and(|value| is_text(ledger, value)) {
                self.unjudged.insert(id, places);
            } else {
                self.facts.push(id);
                self.whole.insert(id, places);
            }
        }
    }

    /// Drops fragments that two things explain. A secret that the evidence has whole is a finding itself, and explains
    /// the fragments of others that share its bytes, such as messages with the same beginning. Public values explain
    /// the fragments of secrets that contain them whole.
    fn drop_explained_fragments(&mut self, ledger: &Ledger, coverage: &mut PublicCoverage<'_>) {
        let is_finding = |id: &Id| {
            let value = ledger.value(*id);
            value.is_some_and(|value| matches!(value.class, Class::Secret | Class::State) && value.of_device)
        };
        let wholes = self.whole.iter().filter(|(id, _)| is_finding(id)).flat_map(|(_, places)| places);
        // In another charset, a value has another length.
        let mut spans: Vec<(&str, &str, u64, u64)> = wholes
            .filter(|place| place.form.is_none())
            .map(|place| (&*place.source, &*place.encoding, place.offset, place.end()))
            .collect();
        spans.sort_unstable();
        // All places within a compressed stream have the offset of the stream's beginning, so that none of them is next
        // to another. And a value with as many places as are listed may have others.
        let compressed = [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd].map(|encoding| encoding.to_string());
        let is_in_whole_secret = |place: &EvidencePlace| {
            if place.form.is_some()
                || place.encoding.split(" > ").any(|layer| compressed.iter().any(|known| known == layer))
            {
                return false;
            }
            let key = (&*place.source, &*place.encoding);
            let after = spans.partition_point(|span| (span.0, span.1, span.2) <= (key.0, key.1, place.offset));
            let before = spans.get(..after).unwrap_or_default().iter().rev();
            before.take_while(|span| (span.0, span.1) == key).take(NEIGHBOURS).any(|span| place.end() <= span.3)
        };
        self.fragments.retain(|id, places| {
            let mut is_explained =
                |place: &EvidencePlace| is_in_whole_secret(place) || coverage.covers(*id, place.from..place.to);
            places.len() >= HITS_PER_VALUE || !places.iter().all(&mut is_explained)
        });
    }

    /// States that there are texts that may have leaked.
    fn report_unjudged(&self, examined: &mut Examined) {
        if !self.unjudged.is_empty() {
            examined.not_examined.push(format!(
                "{} texts that may have leaked: without a baseline, software and files that were there before the run, the \
                 audit cannot tell them from ordinary language",
                self.unjudged.len()
            ));
        }
    }

    /// Counts the public values of the run in the evidence, and states what leaves the examination incomplete.
    fn check_completeness(&self, ledger: &Ledger, options: &Options, examined: &mut Examined) {
        // Keys, ciphertexts, signatures; not labels, which every binary with the protocol in it has.
        let is_public = |id: &Id| {
            ledger.value(*id).is_some_and(|value| value.is_public && value.is_computed && value.class != Class::Secret)
        };
        let is_long = |id: &Id| ledger.value(*id).is_some_and(|value| value.len >= FRAGMENT);
        examined.public_values = ledger.values().filter(|(id, _)| is_public(id) && is_long(id)).count();
        examined.public_values_seen = self.whole.keys().filter(|id| is_public(id)).count();
        let left_out = Encoding::ALL.into_iter().map(|encoding| encoding.to_string());
        let left_out =
            left_out.filter(|encoding| !examined.encodings.contains(encoding)).collect::<Vec<_>>().join(", ");
        if !left_out.is_empty() {
            examined.not_examined.push(format!("encodings not looked for: {left_out}"));
        }
        if examined.controls_planted == 0 {
            let why = "the search has no control: no key of the run could be planted to show that the search finds it";
            examined.not_examined.push(why.into());
        }
        if examined.controls_found < examined.controls_planted || examined.texts_found < examined.texts_planted {
            examined
                .not_examined
                .push("the control failed: the search did not find everything that was planted".into());
        }
        let (seen, all) = (examined.public_values_seen, examined.public_values);
        if seen == 0 {
            let why = "the evidence has no public key and no message of this run: is it the right server's evidence?";
            examined.not_examined.push(why.into());
        } else if seen.saturating_mul(100) < all.saturating_mul(usize::from(options.min_share)) {
            examined.not_examined.push(format!(
                "most of what the server saw: the evidence has {seen} of {all} public values of the run, less than the \
                 {} per cent that it must have",
                options.min_share
            ));
        }
    }
}

/// Whether a fragment of a secret can be searched for: one that is long enough and has enough distinct bytes.
fn is_searchable(bytes: &[u8]) -> bool {
    bytes.windows(FRAGMENT).any(leakscan::is_distinctive)
}

/// Whether these pieces together are the whole value.
fn join_to_whole(places: &[EvidencePlace], len: usize) -> bool {
    let mut pieces: Vec<(usize, usize)> = places.iter().map(|place| (place.from, place.to)).collect();
    pieces.sort_unstable();
    pieces.into_iter().fold(0, |end, (from, to)| if from <= end { end.max(to) } else { end }) >= len
}
