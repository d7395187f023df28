// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Prefix`]: what each message of this layer says, inside encryption, before the application's payload.
//!
//! ```text
//! kind (1) || epoch (4) || heard: epoch (4), session id (8) || payload
//! ```

use super::rank::Rank;
use crate::error::DecodeError;
use crate::wire::{Reader, Writer};
use alloc::vec::Vec;
use zeroize::{Zeroize, Zeroizing};

/// Length in bytes of the prefix.
pub(super) const PREFIX_LEN: usize = 1 + 4 + Rank::LEN;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The application's payload.
    Payload,
    /// Demands an answer, to show that the peer has this session now. It proposes an epoch.
    Probe,
    /// The answer to a probe, or a message without content that only carries the ratchet on.
    Answer,
    /// A decryption failure: which message did not open, and why.
    Receipt,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Payload => 1,
            Self::Probe => 2,
            Self::Answer => 3,
            Self::Receipt => 4,
        }
    }

    const fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            1 => Ok(Self::Payload),
            2 => Ok(Self::Probe),
            3 => Ok(Self::Answer),
            4 => Ok(Self::Receipt),
            _ => Err(DecodeError::Refused),
        }
    }

    /// Returns whether the message is for this layer and not for the user.
    pub(super) const fn is_control(self) -> bool {
        !matches!(self, Self::Payload)
    }
}

/// The prefix of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) kind: Kind,
    /// The session's epoch, as its sender knows it, or the one that a probe proposes.
    pub(super) epoch: u32,
    /// The highest rank of a session on which the sender has opened anything of the receiver.
    pub(super) heard: Rank,
}

impl Prefix {
    /// Returns `prefix || payload`.
    pub(super) fn join(&self, payload: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(alloc::vec![0; PREFIX_LEN.saturating_add(payload.len())]);
        let mut writer = Writer::new(&mut bytes);
        // The vector has this length.
        let _ = writer
            .u8(self.kind.code())
            .and_then(|()| writer.u32(self.epoch))
            .and_then(|()| self.heard.write(&mut writer))
            .and_then(|()| writer.put(payload));
        bytes
    }

    /// Reads the prefix of an opened message. `is_control` is what the message's header says.
    pub(super) fn read(plaintext: &[u8], is_control: bool) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(plaintext);
        let kind = Kind::from_code(reader.u8()?)?;
        let prefix = Self { kind, epoch: reader.u32()?, heard: Rank::read(&mut reader)? };
        // Epochs begin with 1.
        if prefix.epoch == 0 || kind.is_control() != is_control { Err(DecodeError::Refused) } else { Ok(prefix) }
    }

    /// Takes the prefix off an opened message, in place, and wipes what is left of it at the end.
    pub(super) fn strip(plaintext: &mut Vec<u8>) {
        let len = plaintext.len().saturating_sub(PREFIX_LEN);
        let from = plaintext.len().saturating_sub(len);
        plaintext.copy_within(from.., 0);
        if let Some(rest) = plaintext.get_mut(len..) {
            rest.zeroize();
        }
        plaintext.truncate(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: Prefix = Prefix { kind: Kind::Payload, epoch: 7, heard: Rank { epoch: 6, id: [5; 8] } };

    #[test]
    fn a_prefix_is_seventeen_bytes_of_fixed_places() {
        let joined = PREFIX.join(b"hi");
        assert_eq!(joined[..], *b"\x01\0\0\0\x07\0\0\0\x06\x05\x05\x05\x05\x05\x05\x05\x05hi");
        assert_eq!((PREFIX_LEN, Prefix::read(&joined, false)), (17, Ok(PREFIX)));
        let mut plaintext = joined.to_vec();
        Prefix::strip(&mut plaintext);
        assert_eq!(plaintext, b"hi");
    }

    #[test]
    fn a_kind_that_its_header_contradicts_is_refused() {
        let mut joined = PREFIX.join(b"hi");
        assert!(Prefix::read(&joined, true).is_err());
        for (kind, valid) in [(0, false), (1, false), (2, true), (3, true), (4, true), (5, false), (255, false)] {
            joined[0] = kind;
            assert_eq!(Prefix::read(&joined, true).is_ok(), valid, "{kind}");
        }
        // Controls: an epoch of 0, and a message that is too short.
        joined[0] = 2;
        assert!(Prefix::read(&joined[..16], true).is_err());
        joined[4] = 0;
        assert!(Prefix::read(&joined, true).is_err());
    }
}
