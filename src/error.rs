// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors, cut by whose fault they are: the network's, the caller's, the stored state's.
//!
//! Whatever the network sent fails as `Refused` and says nothing more; where a variant beside it tells cases
//! apart, it tells only what is public or what the caller already knows. No error carries a byte of a key or
//! of a message, none allocates, and after every one of them the session or device is exactly as it was.

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
    /// Bytes from the network that are not what they claim to be: a key, an identity, a prekey, a bundle.
    DecodeError {
        /// Wrong length, unknown version or kind, a key that is not canonical or of low order, a signature that
        /// does not verify. Which of them is not said.
        Refused => "refused",
    }

    /// Why no session could be initiated.
    InitiateError {
        /// The bundle's keys do not fit together: its identity is the caller's own, or two of its keys are equal.
        Refused => "bundle refused",
        /// The signed prekey or the one-time prekey has expired at the time the caller gave: the server serves
        /// an old bundle, or the peer has not rotated.
        Expired => "prekey expired",
        /// The caller's output buffer is too short: see `first_message_len`.
        BufferTooShort => "buffer too short",
        /// The plaintext is longer than `MAX_PLAINTEXT_LEN`.
        TooLong => "plaintext too long",
    }

    /// Why a first message was not accepted. The device is as it was.
    AcceptError {
        /// Not a first message to this device, or damaged, or forged.
        Refused => "first message refused",
        /// It names a one-time prekey that this device made and no longer has: a copy of a message already
        /// accepted (give it to that session's `decrypt`), or its key was deleted.
        PrekeyUsed => "one-time prekey already used",
        /// The very same handshake was already accepted on the last-resort key: give the message to that
        /// session's `decrypt`.
        Repeated => "handshake already accepted",
        /// The signed prekey's replay record is full, so that repetition could no longer be told. No handshake
        /// without a one-time key is accepted until `rotate`.
        ReplayRecordFull => "replay record full: rotate the signed prekey",
    }

    /// Why nothing was encrypted. The session is as it was.
    EncryptError {
        /// This side has received nothing yet and so has no chain to send on. Only a responder made by
        /// `hazmat` can be in this state.
        NotYetReceived => "nothing received yet",
        /// 2^32 - 1 messages were sent without an answer: the counter must not wrap.
        ChainExhausted => "sending chain exhausted",
        /// The post-quantum ratchet has failed, for good: the peer's key or ciphertext was not genuine, or the epochs are
        /// used up. The session is over and does not go on without it: begin a new one.
        Abandoned => "post-quantum ratchet failed: begin a new session",
        /// The caller's output buffer is too short: see `message_len`.
        BufferTooShort => "buffer too short",
        /// The plaintext is longer than `MAX_PLAINTEXT_LEN`.
        TooLong => "plaintext too long",
    }

    /// Why nothing was decrypted. The session is as it was.
    DecryptError {
        /// Not a message of this session, or damaged, forged, replayed, reflected, or too old: its key is gone.
        Refused => "message refused",
        /// Authentic header, but more messages are missing before it than may be skipped. Told apart because the user can be
        /// told to start anew: if they are lost for good, so is this direction. The peer can cause it, and a server that
        /// withholds that many. Reveals to who can see the error that the header is genuine.
        TooManySkipped => "too many skipped messages",
        /// The post-quantum ratchet has failed, for good: see [`EncryptError::Abandoned`]. Says nothing of the message.
        Abandoned => "post-quantum ratchet failed: begin a new session",
    }

    /// Why a stored snapshot does not become a session or device again.
    RestoreError {
        /// Wrong storage key, or damaged, truncated, of another version or kind.
        Refused => "snapshot refused",
        /// The snapshot is genuine but older than the generation that the caller knows to be the newest:
        /// resuming it would use keys twice.
        Rollback => "snapshot of an older generation",
    }

    /// Why a device could not make or keep a prekey.
    PrekeyError {
        /// The store holds as many one-time prekeys as it can.
        StoreFull => "one-time prekey store full",
        /// All 2^32 - 1 ids have been issued: ids are never issued twice.
        IdsExhausted => "prekey ids exhausted",
    }

    /// Why two safety numbers were not found equal.
    SafetyNumberError {
        /// What was scanned is not a safety number of this version.
        Malformed => "not a safety number of this version",
        /// The keys differ: somebody is in the middle, or one side has a new identity.
        Mismatch => "safety numbers differ",
    }
}
