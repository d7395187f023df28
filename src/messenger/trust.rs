// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Trust`]: how a peer came to its identity.

/// How far the identity of a peer is known to be the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// A stranger: it wrote first, and nothing was sent to it. Sending to it makes this [`FirstUse`](Self::FirstUse).
    Unknown,
    /// The identity is that of the first bundle or of the first message that was answered. Nobody has compared safety
    /// numbers.
    FirstUse,
    /// The application has said that the safety numbers were compared.
    Verified,
}

impl Trust {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::FirstUse => 1,
            Self::Verified => 2,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Unknown),
            1 => Some(Self::FirstUse),
            2 => Some(Self::Verified),
            _ => None,
        }
    }
}
