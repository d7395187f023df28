// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Verdict`]: the answer, with every finding's place and derivation, what was examined, and what an audit does not
//! show.

use super::examined::Examined;
use super::finding::{Finding, FindingKind};
use super::manifest::Manifest;
use serde::Serialize;

/// Findings that a verdict lists. Further ones are counted.
pub const MAX_FINDINGS: usize = 1_000;

/// What an audit does not show. Every verdict states it.
pub const NOT_SHOWN: [&str; 12] = [
    "texts that are ordinary language: whole ones of fewer than 45 bits of surprise, parts of fewer than 100 bits, and what the baseline contains; measured with a baseline, 0.1 % of quotations in seven languages that leaked whole, 60 % of their parts of 32 bytes, at most 2 % of those of 64 bytes (54 % in Russian), and in ten languages 20 % of whole sentences in the words of the server's own software",
    "digests of secrets and texts after the first 65,536, of texts above 1 MiB, of parts of values, and with a salt",
    "values hidden by operations other than the recorded primitives, such as XOR with a mask (except in WebSocket, from a handshake or the beginning of a file or segment on) or a cipher of the server's own",
    "values and fragments of fewer than 16 bytes or of fewer than five distinct ones (short texts are searched for as whole tokens on request), and values spread over places that no decoder joins",
    "fragments of fewer than 512 bytes after the first 4096 bytes of a text, and parts of a device's state that are not keys",
    "encodings, formats and compressions that the search does not know (UTF-7, xxencode, Base64 of crypt and IMAP, hexadecimal and Base64 in lines with quotes or marks between them, LZO, Brotli and deflate without a header outside of HTTP, LZ4 and Snappy without a frame, zlib with a preset dictionary), and data that the server has encrypted",
    "texts that were changed otherwise than by charset, escapes, NFC, NFD or doubled quotes: wrapped or folded white space, another case unless asked for, transliteration, compatibility forms",
    "keys in forms that are neither the value itself nor its expanded standard form, such as an implementation's own coefficients or points",
    "side channels: time, power, caches; a separate check covers the leakage contract",
    "a compromised device, a weak generator that does not repeat itself, and text that a user types elsewhere",
    "who talks to whom, when, how much and from which address: a server sees that",
    "that the evidence is everything that the server holds: whoever gathers it vouches for that",
];

/// Whether the claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// No server-held key exists: the audit examined everything and found nothing.
    Holds,
    /// The audit examined everything and found nothing, but did not look for all secrets: some are too short or have
    /// too few distinct bytes, such as a PIN or a text of a few letters
    /// ([`Examined::secrets_not_searched`](super::Examined::secrets_not_searched)).
    HoldsInPart,
    /// The audit found something.
    Finding,
    /// The audit found nothing, but could not examine everything, or the evidence is not of this run.
    CouldNotExamine,
}

/// The answer of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use = "a verdict has no effect unless somebody reads it"]
#[non_exhaustive]
pub struct Verdict {
    /// Whether the claim holds.
    pub outcome: Outcome,
    /// The findings, gravest first.
    pub findings: Vec<Finding>,
    /// The number of findings beyond [`MAX_FINDINGS`].
    pub findings_not_listed: usize,
    /// Texts that may have leaked, or be ordinary language: without a baseline ([`Audit::known`](crate::Audit::known))
    /// that is not known.
    pub unjudged: Vec<Finding>,
    /// What was examined.
    pub examined: Examined,
    /// What an audit does not show.
    pub not_shown: Vec<&'static str>,
    /// Which tool examined what, when and where.
    pub manifest: Manifest,
}

impl Verdict {
    /// Whether no server-held key exists, as far as an audit can show it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.outcome == Outcome::Holds
    }

    /// Whether the audit examined everything and found nothing that it looked for: as [`holds`](Self::holds), or for
    /// all secrets but some that are too short or too plain to be searched for.
    #[must_use]
    pub fn holds_for_what_was_searched(&self) -> bool {
        matches!(self.outcome, Outcome::Holds | Outcome::HoldsInPart)
    }

    /// The findings of one kind.
    pub fn of_kind(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }

    /// The verdict as JSON, on several lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A verdict consists of strings, numbers and lists, which serde_json always writes.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
