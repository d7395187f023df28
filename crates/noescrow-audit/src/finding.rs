// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Finding`]: something that an audit found, where it was found, and how it was derived.

use core::fmt;
use leakscan::{Hit, printable};
use serde::Serialize;

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The evidence contains a device's secret as a whole.
    SecretInEvidence,
    /// The evidence contains a plaintext as a whole.
    PlaintextInEvidence,
    /// The evidence contains at least 16 bytes of a secret or a plaintext.
    FragmentInEvidence,
    /// A device used a secret where everyone sees it.
    SecretMadePublic,
    /// A secret or a plaintext follows from what the server has.
    Derivable,
    /// The evidence contains a digest of a device's secret or of a plaintext.
    DigestInEvidence,
    /// A secret follows from what the server has and a value that can be guessed.
    GuessableSecret,
    /// A value that must be fresh was drawn twice.
    RepeatedFresh,
    /// Two plaintexts, or one with two associated data, were sealed under one key and nonce.
    TwoTimePad,
    /// A value that a server made was used in a key.
    ServerInKey,
    /// A secret was used whose origin the run does not show.
    UnknownOrigin,
    /// A recorded output does not follow from the recorded inputs.
    DoesNotRecompute,
    /// The evidence contains a text or a part of one. Whether it leaked is not known, because there is no baseline: this
    /// is no finding, and listed apart.
    TextMayHaveLeaked,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretInEvidence => "secret in the evidence",
            Self::PlaintextInEvidence => "plaintext in the evidence",
            Self::FragmentInEvidence => "fragment of a secret in the evidence",
            Self::SecretMadePublic => "secret in a public value",
            Self::Derivable => "secret derivable from what the server has",
            Self::DigestInEvidence => "digest of a secret in the evidence",
            Self::GuessableSecret => "secret that can be guessed",
            Self::RepeatedFresh => "fresh value drawn twice",
            Self::TwoTimePad => "key and nonce used twice",
            Self::ServerInKey => "server's value used in a key",
            Self::UnknownOrigin => "secret of unknown origin",
            Self::DoesNotRecompute => "recorded output that does not recompute",
            Self::TextMayHaveLeaked => "text that may have leaked",
        })
    }
}

/// A place in the evidence at which a value was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EvidencePlace {
    /// The name of the source.
    pub source: String,
    /// The offset in the source of the first byte, as encoded there.
    pub offset: u64,
    /// The encodings, outermost first.
    pub encoding: String,
    /// The charset and other form in which a text was found, if it was not found as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The first byte of the value that was found there.
    pub from: usize,
    /// The byte of the value after the last that was found there.
    pub to: usize,
}

impl EvidencePlace {
    pub(super) fn of(hit: Hit) -> Self {
        let encoding = hit.encoding.iter().map(ToString::to_string).collect::<Vec<_>>().join(" > ");
        let form = hit.form.map(|form| form.to_string());
        let source = printable(&hit.source).to_string();
        Self { source, offset: hit.offset, encoding, form, from: hit.range.start, to: hit.range.end }
    }

    /// A lower bound of the source's byte after the last: where that byte is if the value is not encoded.
    pub(super) fn end(&self) -> u64 {
        let len = u64::try_from(self.to.saturating_sub(self.from)).unwrap_or(u64::MAX);
        self.offset.saturating_add(len)
    }
}

impl fmt::Display for EvidencePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, offset, encoding, form, from, to } = self;
        let form = form.as_ref().map_or_else(String::new, |form| format!(", as {form}"));
        write!(f, "{source}, byte {offset}, {encoding}{form}: bytes {from} to {to} of the value")
    }
}

/// A value within a derivation, and why it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DerivationStep {
    /// What the value is, whose, and in which step of the protocol it first occurs.
    pub value: String,
    /// Why it is known.
    pub because: String,
    /// The steps of this derivation from which it follows, by index.
    pub from: Vec<usize>,
    /// Whether it is a cause of the finding: a secret that the evidence has, or a value that a server made.
    pub is_cause: bool,
}

/// Something that an audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// What was found: the value, whose it is, the protocol's step.
    pub what: String,
    /// What is wrong, in a sentence.
    pub why: String,
    /// Where it was found; empty for derivable values and for flaws of the run itself.
    pub places: Vec<EvidencePlace>,
    /// From the evidence to the secret; the last step is the secret itself.
    pub derivation: Vec<DerivationStep>,
}

impl Finding {
    /// What the server has from which the finding follows: the value itself if the evidence has it.
    #[must_use]
    pub fn causes(&self) -> Vec<&str> {
        let causes: Vec<&str> =
            self.derivation.iter().filter(|step| step.is_cause).map(|step| step.value.as_str()).collect();
        if causes.is_empty() { vec![&self.what] } else { causes }
    }
}
