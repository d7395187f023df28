// SPDX-License-Identifier: MIT OR Apache-2.0
//! A value of a run: its number, its class, what it is, and where it came from.

use super::class::Class;
use super::profile::Name;

/// A value's number within a ledger.
pub type Id = u32;
/// A participant's number among those of all traces, each of which may have 256.
pub type ParticipantId = u32;

/// A number as an index.
pub(crate) fn index(id: Id) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// The name of a text that a user wrote.
pub(crate) const PLAINTEXT: What = What::Builtin("plaintext");
/// The name of a secret that came from outside, until an operation uses it.
pub(crate) const GIVEN: What = What::Builtin("secret given from outside");

/// What a value is, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A name that its operation gives it.
    Builtin(&'static str),
    /// A name that the profile gives it.
    #[doc(hidden)]
    Named(NameInProfile),
}

/// The number of a name of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameInProfile(pub(crate) Name);

impl From<&'static str> for What {
    fn from(name: &'static str) -> Self {
        Self::Builtin(name)
    }
}

impl From<Name> for What {
    fn from(name: Name) -> Self {
        Self::Named(NameInProfile(name))
    }
}

/// A value of the run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Value {
    /// Who may know it.
    pub class: Class,
    /// Whether it also occurs in a place that everyone sees.
    pub is_public: bool,
    /// What it is, in words.
    pub what: What,
    /// The first operation that had it.
    pub operation: u32,
    /// Whether the run shows where it came from.
    pub has_origin: bool,
    /// Whether an operation computed it, so that nobody chose its bytes.
    pub is_computed: bool,
    /// Whether a server made it.
    pub made_by_server: bool,
    /// Whether a device had it: a server's own keys are no secrets of the devices.
    pub of_device: bool,
    /// Its length in bytes.
    pub len: usize,
    /// Where its bytes begin in the ledger's arena, and how many of them were kept.
    pub(crate) start: usize,
    pub(crate) kept: usize,
}
