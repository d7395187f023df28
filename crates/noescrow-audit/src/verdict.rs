// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Verdict`]: the answer, with every finding's place and derivation, what was examined, and what this does not show.

use super::clauses::{Closure, Known, Rule};
use super::compromise::name_of;
use super::ledger::{Flaw, Id, Ledger};
use core::fmt;
use leakscan::{Hit, Statistics};
use serde::Serialize;

/// Findings that are told one by one; the rest is counted.
pub const MAX_FINDINGS: usize = 1_000;
/// Places in the evidence that are told of one finding.
const MAX_PLACES: usize = 16;

/// What an audit cannot show, said in every verdict.
pub const NOT_SHOWN: [&str; 9] = [
    "values hidden by operations that no primitive performs, such as an exclusive or with a mask, or a cipher of the server's own",
    "values and fragments of fewer than 16 bytes or of fewer than five distinct ones, and values spread over places that no decoder joins",
    "fragments of fewer than 512 bytes of what lies behind the first 4096 bytes of a text, and of a state of a device what is no key",
    "encodings, formats and compressions that are not among those looked for (base32, base85, UTF-32, brotli, LZO, LZMA alone), and what the server has encrypted",
    "keys in forms that are neither the value itself nor its expanded standard form, such as an implementation's own coefficients or points",
    "side channels: time, power, caches; the leakage contract is another check's",
    "a compromised device, a weak generator that does not repeat itself, and what a user types elsewhere",
    "who talks to whom, when, how much and from which address: a server sees that",
    "that the evidence is all that the server holds: whoever gathers it vouches for that",
];

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A device's secret lies in the evidence, whole.
    SecretInEvidence,
    /// A plaintext lies in the evidence, whole.
    PlaintextInEvidence,
    /// At least 16 bytes of a secret or a plaintext lie in the evidence.
    FragmentInEvidence,
    /// A device used a secret in a place that everybody sees.
    SecretTravels,
    /// A secret or a plaintext follows from what the server has.
    Derivable,
    /// A value that must be drawn afresh was drawn twice.
    RepeatedFresh,
    /// Two plaintexts, or one with two associated data, were sealed under one key and nonce.
    TwoTimePad,
    /// A value that a server made went into a key.
    ServerInKey,
    /// A secret was used of which nothing says where it came from.
    UnknownOrigin,
    /// A recorded output is not what its inputs give.
    DoesNotRecompute,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretInEvidence => "a secret in the evidence",
            Self::PlaintextInEvidence => "a plaintext in the evidence",
            Self::FragmentInEvidence => "a fragment of a secret in the evidence",
            Self::SecretTravels => "a secret where everybody sees it",
            Self::Derivable => "a secret that follows from what the server has",
            Self::RepeatedFresh => "a fresh value drawn twice",
            Self::TwoTimePad => "one key and nonce used twice",
            Self::ServerInKey => "a value of the server's in a key",
            Self::UnknownOrigin => "a secret of unknown origin",
            Self::DoesNotRecompute => "an operation that does not recompute",
        })
    }
}

/// Where in the evidence something lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EvidencePlace {
    /// The name of the source.
    pub source: String,
    /// The first byte of it there, encoded as it is.
    pub offset: u64,
    /// How it is encoded, outermost first.
    pub encoding: String,
    /// The first byte of the value that lies there.
    pub from: usize,
    /// The byte of the value behind the last that lies there.
    pub to: usize,
}

impl EvidencePlace {
    pub(super) fn of(hit: Hit) -> Self {
        let encoding = hit.encoding.iter().map(ToString::to_string).collect::<Vec<_>>().join(" > ");
        Self { source: hit.source, offset: hit.offset, encoding, from: hit.range.start, to: hit.range.end }
    }

    /// The byte of the source behind the last, were it not encoded: no less than that.
    pub(super) fn end(&self) -> u64 {
        let len = u64::try_from(self.to.saturating_sub(self.from)).unwrap_or(u64::MAX);
        self.offset.saturating_add(len)
    }
}

impl fmt::Display for EvidencePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, offset, encoding, from, to } = self;
        write!(f, "{source}, byte {offset}, {encoding}: bytes {from} to {to} of it")
    }
}

/// A value within a derivation and how it came to be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DerivationStep {
    /// What it is, whose, and in which step of the protocol.
    pub value: String,
    /// Why it is known.
    pub because: String,
    /// The steps of this derivation that it follows from, by their index.
    pub from: Vec<usize>,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// What was found: the value, whose it is, the protocol's step.
    pub what: String,
    /// What is wrong, in a sentence.
    pub why: String,
    /// Where it lies; empty for what follows and for flaws of the run itself.
    pub places: Vec<EvidencePlace>,
    /// From the evidence to the secret; the last step is the secret itself.
    pub derivation: Vec<DerivationStep>,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Examined {
    /// Sources of evidence: files, streams, stretches of memory.
    pub sources: u64,
    /// Bytes of evidence.
    pub bytes: u64,
    /// Bytes that came out of decoders and were searched too.
    pub bytes_decoded: u64,
    /// Encodings that were looked for.
    pub encodings: Vec<String>,
    /// Operations of the run.
    pub operations: usize,
    /// Distinct values of the run.
    pub values: usize,
    /// Of these, secrets that were searched for.
    pub secrets: usize,
    /// Secrets that were not: too short, or with too few distinct bytes.
    pub secrets_not_searched: usize,
    /// Clauses.
    pub clauses: usize,
    /// Values of the run that are public, and how many of them the evidence has: that it is evidence of this run.
    pub public_values: usize,
    /// Public values of the run that the evidence has.
    pub public_values_seen: usize,
    /// Halves of secrets that were planted, each in every encoding, for the same search to find: its control.
    pub controls_planted: usize,
    /// Of these, what it found.
    pub controls_found: usize,
    /// What could not be examined, and why.
    pub not_examined: Vec<String>,
}

/// Whether the claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// No server-held key exists: nothing was found, and all was examined.
    Holds,
    /// Something was found.
    Finding,
    /// Nothing was found, but not all could be examined, or the evidence is not of this run.
    CouldNotExamine,
}

/// The answer of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use = "a verdict is there to be looked at"]
#[non_exhaustive]
pub struct Verdict {
    /// Whether the claim holds.
    pub outcome: Outcome,
    /// What was found, gravest first.
    pub findings: Vec<Finding>,
    /// Findings beyond [`MAX_FINDINGS`].
    pub findings_not_told: usize,
    /// What was looked at.
    pub examined: Examined,
    /// What this does not show.
    pub not_shown: Vec<&'static str>,
}

impl Verdict {
    /// Whether no server-held key exists, as far as this can show it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.outcome == Outcome::Holds
    }

    /// The findings of one kind.
    pub fn of_kind(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }

    /// The verdict as JSON, on several lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists: nothing in it can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// What is needed to say what a value is and how it came to be known.
pub(super) struct Account<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) closure: &'a Closure,
    /// Where values lie in the evidence, by value.
    pub(super) places: &'a std::collections::BTreeMap<Id, Vec<EvidencePlace>>,
}

impl Account<'_> {
    /// "chain key, Alice, DR-E2".
    pub(super) fn name(&self, id: Id) -> String {
        let Some(value) = self.ledger.value(id) else { return String::new() };
        format!("{}, {}", self.ledger.describe(value.what), self.operation(value.operation))
    }

    fn operation(&self, operation: u32) -> String {
        let Some(place) = self.ledger.places.get(super::ledger::index(operation)) else { return String::new() };
        let step = self.ledger.steps.get(usize::from(place.step)).map_or("", String::as_str);
        format!("{} at {step} (operation {operation})", name_of(self.ledger, place.participant))
    }

    fn because(&self, id: Id) -> String {
        let kind = |operation: u32| {
            self.ledger.places.get(super::ledger::index(operation)).map_or("", |place| place.kind.name())
        };
        match self.closure.how(id) {
            Known::Not => "not known".into(),
            Known::Fact => match (self.places.get(&id).and_then(|places| places.first()), self.ledger.value(id)) {
                (Some(place), _) => format!("in the evidence: {place}"),
                (None, Some(value)) if value.is_public => "public".into(),
                (None, Some(value)) if value.made_by_server => "the server made it".into(),
                (None, Some(value)) if value.has_origin && value.len == 0 => "nothing".into(),
                _ => "known to the server, or well known".into(),
            },
            Known::By(clause) => match self.ledger.clauses.rule(clause) {
                Some(Rule::Operation(at)) => format!("by {}, as in operation {at}", kind(at)),
                Some(Rule::Field(at)) => format!("a part of it, as in operation {at}"),
                Some(Rule::Expanded(at)) => format!("expanded, as in operation {at}"),
                Some(Rule::Padding(at)) => format!("padded, as in operation {at}"),
                Some(Rule::Whole(at)) => format!("all its parts, as in operation {at}"),
                Some(Rule::OtherOrder(at)) => format!("by {} from the other side of operation {at}", kind(at)),
                Some(Rule::TwoTimePad(at)) => format!("under the key and nonce of operation {at}"),
                Some(Rule::Quantum) => "by a quantum computer".into(),
                None => String::new(),
            },
        }
    }

    /// From what is known to `id`, each value after those that it follows from.
    pub(super) fn derivation(&self, id: Id) -> Vec<DerivationStep> {
        let order = self.closure.derivation(&self.ledger.clauses, id);
        let at: std::collections::HashMap<Id, usize> = order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let step = |id: &Id| {
            let from = match self.closure.how(*id) {
                Known::By(clause) => {
                    let premises = self.ledger.clauses.premises(clause).iter();
                    premises.filter_map(|premise| at.get(premise).copied()).collect()
                }
                _ => Vec::new(),
            };
            DerivationStep { value: self.name(*id), because: self.because(*id), from }
        };
        order.iter().map(step).collect()
    }

    /// A flaw of the run itself as a finding.
    pub(super) fn flaw(&self, flaw: Flaw) -> Finding {
        let (kind, what, why) = match flaw {
            Flaw::RepeatedFresh { value, first, again } => (
                FindingKind::RepeatedFresh,
                self.name(value),
                format!("drawn by {}, and again by {}", self.operation(first), self.operation(again)),
            ),
            Flaw::TwoTimePad { key, first, again } => (
                FindingKind::TwoTimePad,
                self.name(key),
                format!("sealed by {}, and something else by {}", self.operation(first), self.operation(again)),
            ),
            Flaw::DoesNotRecompute { operation } => (
                FindingKind::DoesNotRecompute,
                self.operation(operation),
                "an independent primitive gives another output for these inputs".into(),
            ),
            Flaw::UnknownOrigin { value, operation } => (
                FindingKind::UnknownOrigin,
                self.name(value),
                format!("used by {}; neither drawn, nor derived, nor given, nor restored", self.operation(operation)),
            ),
            Flaw::ServerInKey { value, operation } => (
                FindingKind::ServerInKey,
                self.name(value),
                format!("made by a server, used by {}", self.operation(operation)),
            ),
        };
        Finding { kind, what, why, places: Vec::new(), derivation: Vec::new() }
    }

    /// Places of a value, no more than are told.
    pub(super) fn places(&self, id: Id) -> Vec<EvidencePlace> {
        self.places.get(&id).map_or_else(Vec::new, |places| places.iter().take(MAX_PLACES).cloned().collect())
    }
}

impl Examined {
    pub(super) fn note(&mut self, statistics: &Statistics) {
        self.sources = statistics.sources;
        self.bytes = statistics.bytes;
        self.bytes_decoded = statistics.decoded;
        self.encodings = statistics.encodings.iter().map(|encoding| encoding.to_string()).collect();
        self.not_examined.extend(statistics.omissions.iter().cloned());
        let unnamed = statistics.omitted.saturating_sub(u64::try_from(statistics.omissions.len()).unwrap_or(u64::MAX));
        if unnamed > 0 {
            self.not_examined.push(format!("{unnamed} more"));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, findings, findings_not_told, examined, not_shown } = self;
        match outcome {
            Outcome::Holds => writeln!(f, "HOLDS: no server-held key exists in what was examined.")?,
            Outcome::Finding => {
                let count = findings.len().saturating_add(*findings_not_told);
                writeln!(f, "DOES NOT HOLD: {count} finding{}.", if count == 1 { "" } else { "s" })?;
            }
            Outcome::CouldNotExamine => writeln!(f, "NOT SHOWN: not all could be examined.")?,
        }
        for (number, Finding { kind, what, why, places, derivation }) in (1..).zip(findings) {
            writeln!(f, "\n{number}. {kind}: {what}")?;
            writeln!(f, "   {why}")?;
            for place in places {
                writeln!(f, "   in {place}")?;
            }
            for (at, DerivationStep { value, because, from }) in derivation.iter().enumerate() {
                write!(f, "   [{at}] {value}: {because}")?;
                match from.as_slice() {
                    [] => writeln!(f)?,
                    from => writeln!(f, ", from {from:?}")?,
                }
            }
        }
        if *findings_not_told > 0 {
            writeln!(f, "\nand {findings_not_told} more.")?;
        }
        writeln!(f, "\nExamined:")?;
        writeln!(f, "  {} bytes of evidence from {} sources", examined.bytes, examined.sources)?;
        writeln!(f, "  {} bytes more that were decoded from them", examined.bytes_decoded)?;
        writeln!(f, "  {} operations, {} values, {} clauses", examined.operations, examined.values, examined.clauses)?;
        writeln!(
            f,
            "  {} secrets and plaintexts searched for, in {}",
            examined.secrets,
            examined.encodings.join(", ")
        )?;
        writeln!(f, "  {} secrets too short or too plain to be searched for", examined.secrets_not_searched)?;
        let (seen, all) = (examined.public_values_seen, examined.public_values);
        writeln!(f, "  {seen} of {all} public values of the run are in the evidence")?;
        let (found, planted) = (examined.controls_found, examined.controls_planted);
        writeln!(f, "  control: {found} of {planted} planted halves of secrets found by the same search")?;
        for what in &examined.not_examined {
            writeln!(f, "  NOT examined: {what}")?;
        }
        writeln!(f, "\nNot shown by this:")?;
        not_shown.iter().try_for_each(|line| writeln!(f, "  - {line}"))
    }
}
