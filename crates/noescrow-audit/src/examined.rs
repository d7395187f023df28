// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Examined`]: what an audit examined, and what it could not.

use leakscan::Statistics;
use serde::Serialize;

/// What an audit examined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Examined {
    /// Sources of evidence: files, streams, regions of memory.
    pub sources: u64,
    /// Bytes of evidence.
    pub bytes: u64,
    /// Bytes that decoders produced and the search examined too.
    pub bytes_decoded: u64,
    /// Encodings that the search looked for.
    pub encodings: Vec<String>,
    /// Operations of the run.
    pub operations: usize,
    /// Distinct values of the run.
    pub values: usize,
    /// Secrets among them that the search looked for.
    pub secrets: usize,
    /// Secrets that it did not look for: too short, or with too few distinct bytes.
    pub secrets_not_searched: usize,
    /// Short texts among these secrets, which the search looked for as whole tokens.
    pub short_texts: usize,
    /// Digests of secrets and texts that the search looked for.
    pub digests: usize,
    /// Clauses.
    pub clauses: usize,
    /// Public values of the run.
    pub public_values: usize,
    /// Public values of the run that the evidence has: they show that it is evidence of this run.
    pub public_values_seen: usize,
    /// Halves of secrets that were planted, each in every encoding, as a control of the search.
    pub controls_planted: usize,
    /// Halves of secrets among them that the search found.
    pub controls_found: usize,
    /// Whether a baseline was given: software and files that were there before the run.
    pub has_baseline: bool,
    /// Sources of the baseline.
    pub baseline_sources: u64,
    /// Bytes of the baseline.
    pub baseline_bytes: u64,
    /// Places of parts of texts that are not counted as leaks: ordinary language, or parts that the baseline has.
    pub ordinary_hits: u64,
    /// Texts that were planted, each in every charset that can write it, as a control of the search.
    pub texts_planted: usize,
    /// Texts among them that the search found.
    pub texts_found: usize,
    /// What could not be examined, and why.
    pub not_examined: Vec<String>,
    /// What a reader should know about the evidence and leaves nothing out, such as links that were not followed.
    pub notes: Vec<String>,
}

impl Examined {
    pub(super) fn add_statistics(&mut self, statistics: &Statistics) {
        self.sources = statistics.sources;
        self.bytes = statistics.bytes;
        self.bytes_decoded = statistics.decoded;
        self.encodings = statistics.encodings.iter().map(|encoding| encoding.to_string()).collect();
        self.not_examined.extend(statistics.omissions.iter().cloned());
        let unnamed = statistics.omitted.saturating_sub(u64::try_from(statistics.omissions.len()).unwrap_or(u64::MAX));
        if unnamed > 0 {
            self.not_examined.push(format!("{unnamed} more"));
        }
        self.notes.extend(statistics.notes.iter().cloned());
        let unnamed = statistics.noted.saturating_sub(u64::try_from(statistics.notes.len()).unwrap_or(u64::MAX));
        if unnamed > 0 {
            self.notes.push(format!("{unnamed} more"));
        }
    }

    /// The first line of a verdict that holds for what was searched.
    pub(crate) fn holds_in_part(&self) -> String {
        let (left_out, all) = (self.secrets_not_searched, self.secrets.saturating_add(self.secrets_not_searched));
        let were = if left_out == 1 { "was" } else { "were" };
        format!(
            "HOLDS FOR WHAT WAS SEARCHED: {left_out} of {all} secrets {were} not searched for: too short, or too plain."
        )
    }

    /// How many secrets were searched for, and how.
    fn secrets_line(&self) -> String {
        let whole = match self.short_texts {
            0 => String::new(),
            count => format!(", {count} of them as whole tokens"),
        };
        format!("{} secrets and plaintexts searched for{whole}, in {}", self.secrets, self.encodings.join(", "))
    }

    /// What was examined, a line for each aspect, for people.
    pub(crate) fn lines(&self) -> [String; 10] {
        [
            format!("{} bytes of evidence from {} sources", self.bytes, self.sources),
            format!("{} bytes decoded from them", self.bytes_decoded),
            format!("{} operations, {} values, {} clauses", self.operations, self.values, self.clauses),
            self.secrets_line(),
            format!("{} digests of secrets and plaintexts searched for", self.digests),
            format!("{} secrets not searched for: too short, or too few distinct bytes", self.secrets_not_searched),
            format!(
                "{} of {} public values of the run found in the evidence",
                self.public_values_seen, self.public_values
            ),
            format!(
                "control: {} of {} planted halves of secrets found by the same search, and {} of {} texts in other charsets",
                self.controls_found, self.controls_planted, self.texts_found, self.texts_planted
            ),
            match (self.has_baseline, self.baseline_sources) {
                (false, _) => "no baseline: no software is known that was there before the run".into(),
                (true, 0) => "no baseline: the evidence is said to contain no software or text of others".into(),
                (true, sources) => {
                    format!("baseline of {} bytes from {sources} sources, which explains texts", self.baseline_bytes)
                }
            },
            format!("{} places of parts of texts that are ordinary language or in the baseline", self.ordinary_hits),
        ]
    }
}
