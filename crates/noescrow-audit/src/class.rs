// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may know a value.

/// Who may know a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Neither secret nor known from the start: digests, nonces, and what is hidden from the server without being a
    /// key.
    Neutral,
    /// Sealed, and kept on its device: known only where the evidence has it.
    Stored,
    /// Known to everyone.
    Public,
    /// Known to its devices alone. The search looks for fragments of it.
    Secret,
    /// Known to its devices alone; a concatenation of values that the search looks for one by one.
    State,
}
