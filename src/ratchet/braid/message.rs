// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Braid's messages: `type (u8) || epoch (u64) || chunk index (u16) || chunk`, always of one length, so that a
//! sealed header's length does not tell what is in it (attack D7).
//!
//! One spelling: a message without a chunk has zeros in its place. A type that comes with a chunk always has one, so
//! that the question whether it is there (SPECS §15 E7) does not arise behind this file.

use super::Epoch;
use super::erasure::Codeword;
use crate::error::DecodeError;
use crate::wire::{Full, Reader, Writer};

/// Bytes of a message whose chunks have `CHUNK` bytes.
pub(crate) const fn message_len<const CHUNK: usize>() -> usize {
    const { 1 + 8 + 2 + CHUNK }
}

/// One message, stamped with its sender's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<const CHUNK: usize> {
    pub(crate) epoch: Epoch,
    pub(crate) payload: Payload<CHUNK>,
}

/// What a message carries. `Ct1Ack` of the document's list is missing: no state sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload<const CHUNK: usize> {
    None,
    /// Of `header || MAC`.
    Hdr(Codeword<CHUNK>),
    /// Of ek_vector.
    Ek(Codeword<CHUNK>),
    /// Of ek_vector, and all of ct1 has arrived.
    EkCt1Ack(Codeword<CHUNK>),
    /// Of ct1.
    Ct1(Codeword<CHUNK>),
    /// Of `ct2 || MAC`.
    Ct2(Codeword<CHUNK>),
}

impl<const CHUNK: usize> Message<CHUNK> {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let (kind, codeword) = match &self.payload {
            Payload::None => (0, None),
            Payload::Hdr(codeword) => (1, Some(codeword)),
            Payload::Ek(codeword) => (2, Some(codeword)),
            Payload::EkCt1Ack(codeword) => (3, Some(codeword)),
            Payload::Ct1(codeword) => (4, Some(codeword)),
            Payload::Ct2(codeword) => (5, Some(codeword)),
        };
        writer.u8(kind)?;
        writer.put(&self.epoch.to_bytes())?;
        let Codeword { index, chunk } = codeword.copied().unwrap_or(no_codeword());
        writer.put(&index.to_be_bytes())?;
        writer.put(&chunk)
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u8()?;
        let epoch = Epoch::new(reader.u64()?).ok_or(DecodeError::Refused)?;
        let codeword = Codeword { index: u16::from_be_bytes(*reader.array()?), chunk: *reader.array()? };
        let payload = match kind {
            0 if codeword == no_codeword() => Payload::None,
            1 => Payload::Hdr(codeword),
            2 => Payload::Ek(codeword),
            3 => Payload::EkCt1Ack(codeword),
            4 => Payload::Ct1(codeword),
            5 => Payload::Ct2(codeword),
            _ => return Err(DecodeError::Refused),
        };
        Ok(Self { epoch, payload })
    }
}

/// What stands in a codeword's place.
const fn no_codeword<const CHUNK: usize>() -> Codeword<CHUNK> {
    Codeword { index: 0, chunk: [0; CHUNK] }
}
