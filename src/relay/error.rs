// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`RelayError`]: the reason why the relay refused a request.

/// The reason why the relay refused. The relay is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayError {
    /// There is no such account.
    UnknownAccount,
    /// The account's name is empty, too long, or has control characters.
    BadAccountName,
    /// The account has another identity. Only [`Relay::replace_identity`](super::Relay::replace_identity) changes it.
    IdentityChanged,
    /// A prekey is of the wrong kind or of another identity, or two have the same id.
    BadPublication,
    /// The account would have more than [`MAX_ONE_TIME_PREKEYS`](super::MAX_ONE_TIME_PREKEYS).
    TooManyPrekeys,
    /// The bytes are not a message, or are longer than [`MAX_ENVELOPE_LEN`](super::MAX_ENVELOPE_LEN).
    BadEnvelope,
    /// The mailbox is full: it has [`MAX_QUEUE_LEN`](super::MAX_QUEUE_LEN) envelopes, or would exceed
    /// [`MAX_QUEUE_BYTES`](super::MAX_QUEUE_BYTES).
    MailboxFull,
}

impl core::fmt::Display for RelayError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownAccount => "unknown account",
            Self::BadAccountName => "not an account name",
            Self::IdentityChanged => "the account has another identity",
            Self::BadPublication => "prekeys of the wrong kind or of another identity, or two with one id",
            Self::TooManyPrekeys => "too many one-time prekeys",
            Self::BadEnvelope => "not a message",
            Self::MailboxFull => "mailbox full",
        })
    }
}

impl core::error::Error for RelayError {}
