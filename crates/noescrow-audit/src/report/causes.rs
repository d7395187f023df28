// SPDX-License-Identifier: MIT OR Apache-2.0
//! Findings by their causes: a leaked storage key has a hundred findings, and one remedy.

use crate::finding::Finding;

/// What the server has, and the findings that follow from it alone.
pub(crate) struct Cause<'a> {
    /// The values that the server has.
    pub(crate) what: Vec<&'a str>,
    /// The findings, gravest first.
    pub(crate) findings: Vec<&'a Finding>,
}

/// Groups findings by what the server has; causes of the most findings first. Each finding is in one group.
pub(crate) fn by_cause(findings: &[Finding]) -> Vec<Cause<'_>> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    let mut at = std::collections::HashMap::new();
    for finding in findings {
        let what = finding.causes();
        let number = *at.entry(what.clone()).or_insert(causes.len());
        if number == causes.len() {
            causes.push(Cause { what, findings: Vec::new() });
        }
        if let Some(cause) = causes.get_mut(number) {
            cause.findings.push(finding);
        }
    }
    causes.sort_by_key(|cause| core::cmp::Reverse(cause.findings.len()));
    causes
}
