// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Options`]: what an auditor decides about a search.

/// Per cent of the run's public values that the evidence must have. Evidence with all traffic has 60 to 80 per cent in
/// the examples' runs, since devices also compute public values that they never send; evidence with less than a fifth
/// is that of another run, of a part of the server, or of a short time.
const MIN_SHARE: u8 = 20;

/// What an auditor decides about a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Per cent of the run's public values that the evidence must have.
    pub(super) min_share: u8,
    /// Whether digests of secrets and texts are searched for.
    pub(super) digests: bool,
    /// Whether short texts are searched for as whole tokens.
    pub(super) short_texts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { min_share: MIN_SHARE, digests: true, short_texts: false }
    }
}
