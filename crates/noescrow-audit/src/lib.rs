// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit: whether a server holds a key of the devices that talk through it, or a plaintext, or what gives one.
//!
//! Devices of a test run use [`Recorder`] as their primitives. What the server then holds (files, database, logs,
//! traffic, memory) is [`Evidence`]. [`Audit::verdict`] says whether a secret of the devices or a plaintext lies in the
//! evidence in any encoding in which servers leak, or follows from what lies there; each finding comes with its place and
//! its whole derivation.
//!
//! ```
//! use noescrow_audit::{Audit, Profile, Tape};
//!
//! let tape = Tape::in_memory();
//! let alice = tape.device("Alice")?;
//! alice.given("", b"a key of thirty-two bytes, Alice");
//!
//! let log = b"session restored with key a key of thirty-two bytes, Alice";
//! let verdict = Audit::of(Profile::empty(), &tape)?.server_saw("log", log).verdict();
//! assert!(!verdict.holds());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How to audit one's own server is in `examples/audit_your_server.md` of the repository, what is computed in
//! `spec/audit.md`.
//!
//! # What is believed
//! That the recorded operations are all that the devices did with their secrets, and that the evidence is all that the
//! server holds. The recorded outputs are not believed: each is computed again by other primitives. A secret that comes
//! from nowhere is a finding, so that an operation outside the recorded ones shows where its result is used.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should"))]

mod classes;
mod clauses;
mod compromise;
mod control;
pub mod engine;
mod expanded;
#[doc(hidden)]
pub mod fuzz;
mod ingest;
mod ledger;
mod operation;
mod picture;
mod profile;
mod public;
mod recompute;
mod report;
mod substring;
mod tape;
mod trace;
mod verdict;

#[doc(hidden)]
pub use clauses::closure_of_chain;
pub use compromise::{Cell, Healing, MatrixRow, SecrecyMatrix, Theft, Thief};
#[doc(hidden)]
pub use leakscan::decode;
pub use leakscan::{
    DENSE, Encoding, Encodings, Evidence, EvidenceError, FRAGMENT, Findings, HITS_PER_VALUE, Hit, Index, LONG_FRAGMENT,
    MAX_DEPTH, NAMED_OMISSIONS, Needles, SearchLimits, Statistics, TooManyNeedles,
};
pub use operation::{Field, Kind, Operation, Role};
pub use profile::{Profile, ProfileError};
pub use tape::{Tape, TooManyParticipants, Track};
pub use trace::{Participant, TraceError, TraceReader};
pub use verdict::{
    DerivationStep, EvidencePlace, Examined, Finding, FindingKind, MAX_FINDINGS, NOT_SHOWN, Outcome, Verdict,
};

use classes::Class;
use clauses::{Closure, Known};
use core::fmt;
use ledger::{Id, Ledger, PLAINTEXT};
use public::Explained;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use trace::Record;
use verdict::Account;

/// Whole values before a fragment that are asked whether they explain it. More would only be asked where many values
/// begin at one place.
const NEIGHBOURS: usize = 64;

/// A run of devices and what a server held of it, to be examined.
pub struct Audit<'a> {
    ledger: Ledger,
    evidence: Evidence<'a>,
    progress: std::boxed::Box<dyn FnMut(u64, u64) + 'a>,
}

impl fmt::Debug for Audit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("operations", &self.ledger.operations()).finish_non_exhaustive()
    }
}

/// An audit whose evidence has been searched: answers what follows from it.
pub struct Examination {
    ledger: Ledger,
    searched: Searched,
}

impl fmt::Debug for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examination").field("examined", &self.searched.examined).finish_non_exhaustive()
    }
}

/// What the search of the evidence gave.
#[derive(Debug, Default)]
struct Searched {
    /// Where values lie whole, or piece by piece, and where fragments of them do.
    whole: BTreeMap<Id, Vec<EvidencePlace>>,
    fragments: BTreeMap<Id, Vec<EvidencePlace>>,
    /// Parts of keys within public values of the run.
    given_away: BTreeMap<Id, Vec<EvidencePlace>>,
    /// Texts that are made of what everybody knows.
    of_everybody: BTreeSet<Id>,
    /// Facts of the run, and what the evidence has.
    facts: Vec<Id>,
    examined: Examined,
}

impl Searched {
    /// Sorts hits by what they are of: whole values are facts, the rest are fragments.
    fn sort(&mut self, ledger: &Ledger, hits: Vec<Hit>, explained: &mut Explained<'_>) {
        let mut places: BTreeMap<Id, Vec<EvidencePlace>> = BTreeMap::new();
        for hit in hits {
            places.entry(hit.id).or_default().push(EvidencePlace::of(hit));
        }
        for (id, places) in places {
            let Some(value) = ledger.value(id) else { continue };
            if value.what == PLAINTEXT && explained.is_known(id, 0..value.len) {
                self.of_everybody.insert(id);
            }
            match covers(&places, if value.kept == 0 { value.len } else { value.kept }) {
                true => {
                    self.facts.push(id);
                    self.whole.insert(id, places);
                }
                false => {
                    self.fragments.insert(id, places);
                }
            }
        }
        self.drop_fragments_that_are_explained(ledger, explained);
    }

    /// A secret that lies there whole explains the fragments of others that share bytes with it, messages that begin
    /// alike, and is a finding itself. And public values explain those of secrets that hold them whole.
    fn drop_fragments_that_are_explained(&mut self, ledger: &Ledger, explained: &mut Explained<'_>) {
        let explains = |id: &Id| {
            let value = ledger.value(*id);
            value.is_some_and(|value| matches!(value.class, Class::Secret | Class::State) && value.of_device)
        };
        let wholes = self.whole.iter().filter(|(id, _)| explains(id)).flat_map(|(_, places)| places);
        let mut stretches: Vec<(&str, &str, u64, u64)> =
            wholes.map(|place| (&*place.source, &*place.encoding, place.offset, place.end())).collect();
        stretches.sort_unstable();
        // Of what lies in a compressed stream only the stream's beginning is told, so that nothing there is beside
        // anything; and of a value with as many places as are listed there may be others.
        let compressed = [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd].map(|encoding| encoding.to_string());
        let lies_within = |place: &EvidencePlace| {
            if place.encoding.split(" > ").any(|layer| compressed.iter().any(|known| known == layer)) {
                return false;
            }
            let key = (&*place.source, &*place.encoding);
            let behind =
                stretches.partition_point(|stretch| (stretch.0, stretch.1, stretch.2) <= (key.0, key.1, place.offset));
            let before = stretches.get(..behind).unwrap_or_default().iter().rev();
            before
                .take_while(|stretch| (stretch.0, stretch.1) == key)
                .take(NEIGHBOURS)
                .any(|stretch| place.end() <= stretch.3)
        };
        self.fragments.retain(|id, places| {
            let mut is_explained =
                |place: &EvidencePlace| lies_within(place) || explained.is_known(*id, place.from..place.to);
            places.len() >= HITS_PER_VALUE || !places.iter().all(&mut is_explained)
        });
    }
}

impl<'a> Audit<'a> {
    /// An audit of what was recorded on a tape in memory.
    ///
    /// # Errors
    /// [`TraceError`] for a tape with a writer: read what it wrote with [`Audit::read`].
    pub fn of(profile: Profile, tape: &Tape) -> Result<Self, TraceError> {
        Self::read(profile, tape.bytes().as_slice())
    }

    /// An audit of a trace; wants a buffered reader.
    ///
    /// # Errors
    /// [`TraceError`] if it is not one.
    pub fn read(profile: Profile, trace: impl Read) -> Result<Self, TraceError> {
        let progress = std::boxed::Box::new(|_, _| {});
        Self { ledger: Ledger::new(profile), evidence: Evidence::new(), progress }.and_trace(trace)
    }

    /// Adds another run, or another device's trace of the same run: what one has, the other may leak.
    ///
    /// # Errors
    /// [`TraceError`] if it is not a trace.
    pub fn and_trace(mut self, trace: impl Read) -> Result<Self, TraceError> {
        let ledger = &mut self.ledger;
        ledger.begin_trace();
        TraceReader::new(trace)?.for_each_record(|record| match record {
            Record::Participant(participant) => ledger.participants.push(participant.clone()),
            Record::Operation(operation) => ledger.take(&operation),
        })?;
        Ok(self)
    }

    /// Evidence: these bytes, under a name for people.
    #[must_use]
    pub fn server_saw(self, name: &str, bytes: &'a [u8]) -> Self {
        self.with(|evidence| evidence.bytes(name, bytes))
    }

    /// Evidence: a file, or all files below a directory.
    #[must_use]
    pub fn server_files(self, path: &Path) -> Self {
        let name = path.to_string_lossy();
        self.with(|evidence| match path.is_dir() {
            true => evidence.directory(&name, path),
            false => evidence.file(&name, path),
        })
    }

    /// More evidence, of any kind.
    #[must_use]
    pub fn with(mut self, add: impl FnOnce(Evidence<'a>) -> Evidence<'a>) -> Self {
        self.evidence = add(self.evidence);
        self
    }

    /// Calls `progress` during the search with the bytes done and the bytes in all, as far as they are known.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(u64, u64) + 'a) -> Self {
        self.progress = std::boxed::Box::new(progress);
        self
    }

    /// Searches the evidence and answers. For more than the verdict, see [`examine`](Self::examine).
    pub fn verdict(self) -> Verdict {
        self.examine().verdict()
    }

    /// Searches the evidence.
    #[must_use]
    pub fn examine(mut self) -> Examination {
        self.ledger.finish();
        let ledger = &self.ledger;
        let mut examined = Examined {
            operations: ledger.operations(),
            values: ledger.values().count(),
            clauses: ledger.clauses.len(),
            ..Examined::default()
        };
        let mut needles = Needles::default();
        let mut too_long = 0u64;
        for (id, value) in ledger.values() {
            let Some(bytes) = ledger.beginning(id) else { continue };
            let is_whole = value.kept == value.len;
            match (value.class, value.is_public) {
                (Class::Secret | Class::State, _) if !is_whole => too_long = too_long.saturating_add(1),
                (Class::Secret, _) if !classes::is_well_known(bytes) => match is_searchable(bytes) {
                    true => {
                        examined.secrets = examined.secrets.saturating_add(1);
                        needles.add_secret(id, bytes);
                    }
                    false => examined.secrets_not_searched = examined.secrets_not_searched.saturating_add(1),
                },
                // What is neither secret nor public may be what a key is made of: known where it is found.
                (Class::State | Class::Stored | Class::Neutral | Class::Public, _) if bytes.len() >= FRAGMENT => {
                    needles.add_anchored(id, bytes);
                }
                _ => {}
            }
        }
        if too_long > 0 {
            examined
                .not_examined
                .push(format!("{too_long} secrets and states of more than {} bytes", ledger::MAX_KEPT));
        }
        if let Some(first) = ledger.strangers.first() {
            let count = ledger.strangers.len();
            examined.not_examined.push(format!(
                "{count} operations, the first of them operation {first}, with a public key of nobody on the tape: what its \
                 owner knows does not follow here"
            ));
        }
        let mut searched = Searched { facts: ledger.facts.clone(), ..Searched::default() };
        match needles.build() {
            Ok(index) => {
                let (found, failed) = self.evidence.search_all(&index, self.progress);
                (examined.controls_planted, examined.controls_found) =
                    control::control(ledger, &index, found.statistics.encodings);
                examined.not_examined.extend(failed.iter().map(|error| format!("{error}")));
                examined.note(&found.statistics);
                let mut explained = Explained::of(ledger);
                searched.given_away = public::given_away(ledger, &index, &mut explained);
                searched.sort(ledger, found.hits, &mut explained);
            }
            Err(error) => examined.not_examined.push(format!("{error}")),
        }
        // Keys, ciphertexts, signatures; not labels, which every binary with this crate in it has.
        let public = |id: &Id| {
            ledger.value(*id).is_some_and(|value| value.is_public && value.is_computed && value.class != Class::Secret)
        };
        let long = |id: &Id| ledger.value(*id).is_some_and(|value| value.len >= FRAGMENT);
        examined.public_values = ledger.values().filter(|(id, _)| public(id) && long(id)).count();
        examined.public_values_seen = searched.whole.keys().filter(|id| public(id)).count();
        let left_out = Encoding::ALL.into_iter().map(|encoding| encoding.to_string());
        let left_out =
            left_out.filter(|encoding| !examined.encodings.contains(encoding)).collect::<Vec<_>>().join(", ");
        if !left_out.is_empty() {
            examined.not_examined.push(format!("not looked for: {left_out}"));
        }
        if examined.controls_planted == 0 {
            let why = "no key of the run could be planted as a control: that the search finds anything is not shown";
            examined.not_examined.push(why.into());
        }
        if examined.controls_found < examined.controls_planted {
            examined.not_examined.push("the search did not find all that was planted for it".into());
        }
        if examined.public_values_seen == 0 {
            let why = "the evidence has no public key and no message of this run: is it that server's?";
            examined.not_examined.push(why.into());
        }
        searched.examined = examined;
        Examination { ledger: self.ledger, searched }
    }
}

impl Examination {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the server knows from the start.
    fn facts(&self) -> &[Id] {
        &self.searched.facts
    }

    /// The answer.
    pub fn verdict(&self) -> Verdict {
        let (ledger, searched) = (&self.ledger, &self.searched);
        let values = ledger.values().count();
        let watches = ledger.clauses.watches(values);
        let closure = Closure::of(&ledger.clauses, &watches, values, searched.facts.iter().copied());
        let account = Account { ledger, closure: &closure, places: &searched.whole };

        let mut findings: Vec<Finding> = Vec::new();
        for (id, value) in ledger.values() {
            let is_secret = matches!(value.class, Class::Secret | Class::State) && value.of_device;
            let is_constant = ledger.bytes(id).is_some_and(classes::is_well_known);
            // A user may write what everybody knows.
            let is_everybodys = value.what == PLAINTEXT
                && (searched.of_everybody.contains(&id)
                    || value.is_public && closure.how(id) == Known::Fact && !searched.whole.contains_key(&id));
            // Of a seed that is known, its expanded form is no news.
            let is_expansion = match closure.how(id) {
                Known::By(clause) => matches!(ledger.clauses.rule(clause), Some(clauses::Rule::Expanded(_))),
                Known::Not | Known::Fact => false,
            };
            if is_secret && !is_constant && !is_everybodys && !is_expansion && closure.knows(id) {
                findings.push(self.known_secret(id, &account));
            }
        }
        for (id, places) in &searched.fragments {
            if ledger.value(*id).is_some_and(|value| value.class == Class::Secret) && !closure.knows(*id) {
                findings.push(Finding {
                    kind: FindingKind::FragmentInEvidence,
                    what: account.name(*id),
                    why: "a part of it lies in the evidence".into(),
                    places: places.clone(),
                    derivation: Vec::new(),
                });
            }
        }
        for (id, places) in &searched.given_away {
            if !closure.knows(*id) {
                findings.push(Finding {
                    kind: FindingKind::SecretTravels,
                    what: account.name(*id),
                    why: "a part of it lies within a value that everybody sees".into(),
                    places: places.clone(),
                    derivation: Vec::new(),
                });
            }
        }
        findings.extend(ledger.flaws.iter().map(|flaw| account.flaw(*flaw)));
        findings.sort_by_key(|finding| finding.kind);
        let outcome = match (findings.is_empty(), searched.examined.not_examined.is_empty()) {
            (false, _) => Outcome::Finding,
            (true, true) => Outcome::Holds,
            (true, false) => Outcome::CouldNotExamine,
        };
        let findings_not_told = findings.len().saturating_sub(MAX_FINDINGS);
        findings.truncate(MAX_FINDINGS);
        Verdict {
            outcome,
            findings,
            findings_not_told,
            examined: searched.examined.clone(),
            not_shown: NOT_SHOWN.to_vec(),
        }
    }

    fn known_secret(&self, id: Id, account: &Account<'_>) -> Finding {
        let places = account.places(id);
        let value = self.ledger.value(id);
        let is_plaintext = value.is_some_and(|value| value.what == PLAINTEXT || self.ledger.is_plaintext(value.what));
        let travels = value.is_some_and(|value| value.is_public);
        let (kind, why) = match (account.closure.how(id), places.is_empty(), travels) {
            (Known::By(_), ..) => (FindingKind::Derivable, "follows from what the server has"),
            (_, true, true) => (FindingKind::SecretTravels, "used as a secret, and in a place that everybody sees"),
            (_, true, false) => (FindingKind::Derivable, "the server's own operations have it"),
            (_, false, _) if is_plaintext => (FindingKind::PlaintextInEvidence, "lies in the evidence"),
            (_, false, _) => (FindingKind::SecretInEvidence, "lies in the evidence"),
        };
        Finding { kind, what: account.name(id), why: why.into(), places, derivation: account.derivation(id) }
    }
}

/// Whether a fragment of it can be searched for: one that is long enough and not too plain.
fn is_searchable(bytes: &[u8]) -> bool {
    bytes.windows(FRAGMENT).any(leakscan::is_distinctive)
}

/// Whether these pieces make up the whole of a value.
fn covers(places: &[EvidencePlace], len: usize) -> bool {
    let mut pieces: Vec<(usize, usize)> = places.iter().map(|place| (place.from, place.to)).collect();
    pieces.sort_unstable();
    pieces.into_iter().fold(0, |end, (from, to)| if from <= end { end.max(to) } else { end }) >= len
}
