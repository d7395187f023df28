// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Braid's messages: `type (u8) || epoch (u32) || chunk index (u16) || chunk`. All messages of a session have one
//! length, so that a sealed header's length does not reveal its content (attack D7).
//!
//! Each message has one encoding. A message without a chunk has zeros in its place. A type with a chunk always has one,
//! so that code outside this file never has to check whether a chunk is present.

use super::epoch::Epoch;
use super::erasure::{Codeword, MAX_CHUNK_LEN};
use crate::error::DecodeError;
use crate::wire::{ChunkSize, Full, Reader, Writer};

/// One message, stamped with its sender's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) epoch: Epoch,
    pub(crate) payload: Payload,
}

/// The content of a message. `Ct1Ack` of ML-KEM Braid rev 1 is missing, because no state sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    None,
    /// A codeword of `header || MAC`.
    Hdr(Codeword),
    /// A codeword of ek_vector.
    Ek(Codeword),
    /// A codeword of ek_vector, which also acknowledges that all of ct1 has arrived.
    EkCt1Ack(Codeword),
    /// A codeword of ct1.
    Ct1(Codeword),
    /// A codeword of `ct2 || MAC`.
    Ct2(Codeword),
}

impl Message {
    pub(crate) fn write(&self, chunk_size: ChunkSize, writer: &mut Writer<'_>) -> Result<(), Full> {
        let (kind, codeword) = match &self.payload {
            Payload::None => (0, None),
            Payload::Hdr(codeword) => (1, Some(codeword)),
            Payload::Ek(codeword) => (2, Some(codeword)),
            Payload::EkCt1Ack(codeword) => (3, Some(codeword)),
            Payload::Ct1(codeword) => (4, Some(codeword)),
            Payload::Ct2(codeword) => (5, Some(codeword)),
        };
        writer.u8(kind)?;
        writer.u32(self.epoch.number())?;
        codeword.unwrap_or(&NO_CODEWORD).write(chunk_size, writer)
    }

    pub(crate) fn parse(chunk_size: ChunkSize, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u8()?;
        let epoch = Epoch::new(reader.u32()?).ok_or(DecodeError::Refused)?;
        let codeword = Codeword::read(chunk_size, reader)?;
        let payload = match kind {
            0 if codeword == NO_CODEWORD => Payload::None,
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

impl Codeword {
    /// Writes `index || chunk`.
    pub(super) fn write(&self, chunk_size: ChunkSize, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(&self.index.to_be_bytes())?;
        writer.put(self.chunk.get(..chunk_size.bytes()).ok_or(Full)?)
    }

    pub(super) fn read(chunk_size: ChunkSize, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut codeword = Self { index: u16::from_be_bytes(*reader.array()?), chunk: [0; MAX_CHUNK_LEN] };
        let bytes = reader.bytes(chunk_size.bytes())?;
        for (to, from) in codeword.chunk.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(codeword)
    }
}

/// The placeholder in a message without a codeword.
const NO_CODEWORD: Codeword = Codeword { index: 0, chunk: [0; MAX_CHUNK_LEN] };
