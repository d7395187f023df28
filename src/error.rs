// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors, grouped by who is at fault: the network, the caller, or the stored state.
//!
//! Invalid input from the network fails as `Refused`, without further detail. Where an enum has other variants, they
//! reveal only public facts or facts that the caller already knows. No error contains a byte of a key or of a message,
//! and no error allocates. After any error the session or device is exactly as it was before the call.

use crate::prekeys::PrekeyId;
use crate::time::UnixSeconds;
use core::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }

        impl core::error::Error for $name {}
    )+};
}

errors! {
    /// Bytes from the network are not a valid key, identity, prekey or bundle.
    DecodeError {
        /// The length is wrong, the version or kind is unknown, a key is not canonical or has low order, or a signature
        /// does not verify. The error does not reveal which.
        Refused => "refused",
    }

    /// The reason why a first message was not accepted. The device is unchanged.
    AcceptError {
        /// The message is not a first message to this device, or it is damaged or forged.
        Refused => "first message refused",
        /// The message names a prekey that this device does not hold. Either the message is a copy of one that was
        /// already accepted (give it to that session's `decrypt`), or it arrived after its prekey was deleted, or the
        /// device never had that prekey. The message is not authentic when this is found, and anybody can cause it: it
        /// is shown at most as "could not be opened", and nothing is sent or begun because of it.
        PrekeyGone => "prekey gone",
        /// The same handshake was already accepted on the last-resort key. Give the message to that session's
        /// `decrypt`.
        Repeated => "handshake already accepted",
        /// The signed prekey's replay record is full, so the device could no longer detect a repeated handshake. It
        /// accepts no handshake without a one-time prekey on this signed prekey any more. Rotation makes a new one with
        /// an empty record, for other messages: this one names the old signed prekey and stays refused, so its author
        /// has to initiate again. `is_rotation_due` becomes true when three quarters of the record are used, but no
        /// earlier than a day after the last rotation; a record that fills within that day refuses until then.
        ReplayRecordFull => "replay record full: this first message cannot be accepted",
        /// The header is authentic, but more than [`MAX_JUMP`](crate::MAX_JUMP) of the author's messages before this one
        /// have not arrived. An earlier first message of this session, if one arrives, can still be accepted. Otherwise
        /// initiate a session to the author, the [`remote_identity`](crate::Pending::remote_identity) of the pending
        /// message.
        TooManySkipped => "too many skipped messages",
    }

    /// The reason why nothing was encrypted. The session is unchanged.
    EncryptError {
        /// This side has not received a message yet and so has no sending chain. Only a responder made by `hazmat` can
        /// be in this state.
        NotYetReceived => "nothing received yet",
        /// 2^32 - 1 messages were sent without an answer. The counter must not wrap.
        ChainExhausted => "sending chain exhausted",
        /// The post-quantum ratchet has failed permanently: the peer's key or ciphertext was not genuine, or the epochs
        /// are used up. The session is over and does not continue without that ratchet. Begin a new session.
        Abandoned => "post-quantum ratchet failed: begin a new session",
        /// The caller's output buffer is too short. The needed length is `message_len` of the payload.
        BufferTooShort => "buffer too short",
        /// The plaintext is longer than `MAX_PLAINTEXT_LEN`, or `min_padded_len` is above `MAX_PLAINTEXT_LEN + 1`.
        TooLong => "plaintext too long",
    }

    /// The reason why nothing was decrypted. The session is unchanged.
    DecryptError {
        /// The message does not belong to this session, or it is damaged, forged or reflected. A duplicate, and a message
        /// that comes too late, is refused so, too, if its chain is no longer kept: look for it in your log of message
        /// ids before you report an attack.
        Refused => "message refused",
        /// The header is authentic, but more than [`MAX_JUMP`](crate::MAX_JUMP) messages are missing before this one in
        /// its chain. If they are lost for good, this direction works again only after the peer has received a message
        /// that this side sent after it had opened a message of that chain, or in a new session. The other direction
        /// still works: ask the peer by a control message to begin a new session, or initiate one to the session's
        /// `remote_identity()`. The peer can cause this error, and so can a server that withholds that many messages.
        /// Anyone who sees the error learns that the header is genuine.
        TooManySkipped => "too many skipped messages",
        /// The header is authentic, and the message's key is not kept. Either the message was opened before and this is
        /// a duplicate, or it comes too late and its key was evicted or given up, or the peer continued from an older
        /// state, and this is the second message that it sealed from one state (W7 of spec/security.md): that one
        /// message is lost. Only a log of opened messages can tell a duplicate from the others. Anyone who sees the error
        /// learns that the header is genuine.
        KeyGone => "message opened before, or its key deleted",
        /// The post-quantum ratchet has failed permanently; see [`EncryptError::Abandoned`]. This error reveals nothing
        /// about the message.
        Abandoned => "post-quantum ratchet failed: begin a new session",
    }

    /// The reason why a stored snapshot was not restored to a session or device.
    RestoreError {
        /// The storage key is wrong, or the snapshot is damaged, truncated, of another kind or another subject's. Of a
        /// state in rows, a row may be missing, older than the others, or too many, because it was not deleted or because
        /// the rows of two saves were read. A device may have more prekeys or replay
        /// entries than there is space for.
        Refused => "snapshot refused",
        /// The snapshot names a version of the format that a later release has introduced. Its version is not
        /// authenticated.
        NewerVersion => "snapshot of a newer version",
        /// The snapshot is genuine but older than the newest generation that the caller knows of. Resuming from it
        /// would lose messages, and a device would accept first messages again.
        Rollback => "snapshot of an older generation",
    }

    /// The reason why a device could not make or store a prekey.
    PrekeyError {
        /// The store holds its maximum number of one-time prekeys, and none of them may be deleted yet.
        StoreFull => "one-time prekey store full",
    }

    /// The reason why an attachment was not sealed or opened. Sealer and opener are unchanged.
    AttachmentError {
        /// The attachment does not belong to this key; or the chunk is damaged, forged, of another attachment or at
        /// another position; or it is the last one and was not given as such, or the reverse.
        Refused => "attachment refused",
        /// The attachment names a version of the format that a later release has introduced.
        NewerVersion => "attachment of a newer version",
        /// The last chunk has not been opened, or has not been sealed. What was opened so far is a prefix of the file.
        Truncated => "attachment incomplete",
        /// The content is longer than `MAX_ATTACHMENT_LEN`.
        TooLong => "attachment too long",
        /// The content does not have the length with which sealing began, or the position is beyond its end.
        WrongLength => "content of another length than announced",
    }

    /// The reason why a login was not accepted.
    LoginError {
        /// The signature is not one of this identity over this challenge.
        Refused => "the login's signature does not verify",
    }

    /// The reason why two safety numbers were not accepted as equal.
    SafetyNumberError {
        /// The scanned bytes are not a safety number of this version.
        Malformed => "not a safety number of this version",
        /// The keys differ: either there is an attacker in the middle, or one side has a new identity.
        Mismatch => "safety numbers differ",
    }
}

/// The reason why no session was initiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitiateError {
    /// The bundle's keys do not fit together: its identity is the caller's own, or two of its keys are equal.
    Refused,
    /// The signed prekey of the bundle has expired at the caller's time. A one-time prekey that has expired is left out
    /// instead. Either the server serves an old bundle or the peer has not rotated its signed prekey, or the caller's own
    /// clock is ahead. A `now` of 0 turns the check off.
    Expired {
        /// The signed prekey's id.
        id: PrekeyId,
        /// The last second at which it could be used.
        expiry: UnixSeconds,
    },
    /// The bundle is not that of the identity which the caller expects. Either the server inserted another identity, or
    /// the peer has a new one: compare safety numbers.
    UnexpectedIdentity,
    /// The caller's output buffer is too short. The needed length is `InitiateOptions::first_message_len` of the payload.
    BufferTooShort,
    /// The plaintext is longer than `MAX_PLAINTEXT_LEN`, or `min_padded_len` is above `MAX_PLAINTEXT_LEN + 1`.
    TooLong,
}

impl fmt::Display for InitiateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "bundle refused",
            Self::Expired { id, expiry } => return write!(f, "signed prekey {id} expired at Unix time {expiry}"),
            Self::UnexpectedIdentity => "bundle of another identity than expected",
            Self::BufferTooShort => "buffer too short",
            Self::TooLong => "plaintext too long",
        })
    }
}

impl core::error::Error for InitiateError {}

/// Why the message of a [`Pending`](crate::Pending) did not open. A new session has no keys that could be gone and is
/// not abandoned.
impl From<DecryptError> for AcceptError {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::TooManySkipped => Self::TooManySkipped,
            DecryptError::Refused | DecryptError::KeyGone | DecryptError::Abandoned => Self::Refused,
        }
    }
}
