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
    /// There is such an account already.
    AccountExists,
    /// The account has another identity. Only [`Relay::replace_identity`](super::Relay::replace_identity) changes it.
    IdentityChanged,
    /// A prekey is of the wrong kind or of another identity, or two have the same id.
    BadPublication,
    /// The account would have more than [`MAX_ONE_TIME_PREKEYS`](super::MAX_ONE_TIME_PREKEYS).
    TooManyPrekeys,
    /// The bytes are not a message: its version or kind is unknown, or it is shorter than any message of that kind.
    BadEnvelope,
    /// The message is longer than [`MAX_ENVELOPE_LEN`](super::MAX_ENVELOPE_LEN), or, without the account's access key, than
    /// [`MAX_STRANGERS_BYTES`](super::MAX_STRANGERS_BYTES).
    EnvelopeTooLong,
    /// The envelope is not a first message, and came without the account's access key or with another key. Its sender
    /// fetches mail, which has the new key unless the owner blocked the sender.
    AccessKeyRequired,
    /// The envelope's quota is used up: [`MAX_QUEUE_LEN`](super::MAX_QUEUE_LEN) and
    /// [`MAX_QUEUE_BYTES`](super::MAX_QUEUE_BYTES) with the access key,
    /// [`MAX_STRANGERS_LEN`](super::MAX_STRANGERS_LEN) and [`MAX_STRANGERS_BYTES`](super::MAX_STRANGERS_BYTES)
    /// without it.
    MailboxFull,
}

impl core::fmt::Display for RelayError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownAccount => "unknown account",
            Self::BadAccountName => "not an account name",
            Self::AccountExists => "the account exists",
            Self::IdentityChanged => "the account has another identity",
            Self::BadPublication => "prekeys of the wrong kind or of another identity, or two with one id",
            Self::TooManyPrekeys => "too many one-time prekeys",
            Self::BadEnvelope => "not a message",
            Self::EnvelopeTooLong => "message longer than 16 MiB, or than 1 MiB without the access key",
            Self::AccessKeyRequired => "the account's access key is required",
            Self::MailboxFull => "mailbox full",
        })
    }
}

impl core::error::Error for RelayError {}
