// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every byte that leaves a device: reading and writing in order, and the layout of messages.
//!
//! Bytes are parsed once, here, into types that cannot be wrong. Integers are big-endian, every field has a fixed
//! width, nothing may follow the last field.

use crate::error::DecodeError;
use crate::primitives::{DhPublicKey, KEM_CIPHERTEXT_LEN, TAG_LEN};

/// First byte of a first message: version 1 in the high half, kind 1 in the low one.
pub(crate) const TYPE_FIRST: u8 = 0x11;
/// First byte of every later message: version 1, kind 2.
pub(crate) const TYPE_MESSAGE: u8 = 0x12;

/// Bytes of an identity on the wire: signing key, DH key, certificate.
pub const IDENTITY_LEN: usize = 32 + 32 + 64;
/// Bytes of a header's salt (SPECS §15 E12: 128 bits of entropy under a reused key).
pub(crate) const SALT_LEN: usize = 16;
/// Bytes of a header's key commitment. 128 bits: nobody but the peer can choose header keys, and what a peer would
/// gain by 2^64 work is an ambiguity in its own conversation (spec/protocol.md §9).
pub(crate) const COMMITMENT_LEN: usize = 16;
/// Bytes of a header in the clear: ratchet key, PN, N, and the kind of the post-quantum part (0: none).
pub(crate) const HEADER_LEN: usize = 32 + 4 + 4 + 1;
/// Bytes of a sealed header: salt, commitment, ciphertext, tag.
pub(crate) const SEALED_HEADER_LEN: usize = SALT_LEN + COMMITMENT_LEN + HEADER_LEN + TAG_LEN;
/// Bytes that a message adds to its padded plaintext: type, sealed header, tag.
pub const MESSAGE_OVERHEAD: usize = 1 + SEALED_HEADER_LEN + TAG_LEN;
/// Bytes of a handshake before the hidden identity: type, signed prekey id, flag, one-time id, EK, ciphertext.
pub(crate) const HANDSHAKE_CLEAR_LEN: usize = 1 + 4 + 1 + 4 + 32 + KEM_CIPHERTEXT_LEN;
/// Bytes of a handshake, repeated at the head of every message until the first reply.
pub(crate) const HANDSHAKE_LEN: usize = HANDSHAKE_CLEAR_LEN + IDENTITY_LEN + TAG_LEN;
/// Bytes that a first message adds to its padded plaintext.
pub const FIRST_MESSAGE_OVERHEAD: usize = HANDSHAKE_LEN + SEALED_HEADER_LEN + TAG_LEN;

/// Reads fields in order from bytes that somebody else wrote.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Refused)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|&[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Refused),
        }
    }

    pub(crate) fn dh_public(&mut self) -> Result<DhPublicKey, DecodeError> {
        DhPublicKey::from_bytes(*self.array()?)
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Refused) }
    }
}

/// The caller's buffer ended before the value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Writes fields in order into a buffer that the caller owns.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
    written: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { rest: out, written: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let rest = core::mem::take(&mut self.rest);
        let (head, tail) = rest.split_at_mut_checked(bytes.len()).ok_or(Full)?;
        head.copy_from_slice(bytes);
        self.rest = tail;
        // No more than the buffer's length, which is a usize.
        self.written = self.written.saturating_add(bytes.len());
        Ok(())
    }

    pub(crate) fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.put(&[value])
    }

    pub(crate) fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    pub(crate) const fn written(&self) -> usize {
        self.written
    }
}

/// A first message's handshake, parsed: what the responder reads before it knows who wrote it.
pub(crate) struct Handshake<'a> {
    /// The encoded handshake, all of it.
    pub(crate) bytes: &'a [u8; HANDSHAKE_LEN],
    /// The part before the hidden identity: that part's associated data.
    pub(crate) clear: &'a [u8; HANDSHAKE_CLEAR_LEN],
    pub(crate) signed_prekey_id: u32,
    pub(crate) one_time_prekey_id: Option<u32>,
    /// EKA.
    pub(crate) ephemeral_key: DhPublicKey,
    /// CT.
    pub(crate) kem_ciphertext: &'a [u8; KEM_CIPHERTEXT_LEN],
    pub(crate) hidden_identity: &'a [u8; IDENTITY_LEN],
    pub(crate) identity_tag: &'a [u8; TAG_LEN],
}

impl<'a> Handshake<'a> {
    /// HS-R1: one spelling; an absent one-time id is written as zero.
    pub(crate) fn parse(bytes: &'a [u8; HANDSHAKE_LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let clear = Reader::new(bytes).array()?;
        if reader.u8()? != TYPE_FIRST {
            return Err(DecodeError::Refused);
        }
        let signed_prekey_id = reader.u32()?;
        let one_time_prekey_id = match (reader.flag()?, reader.u32()?) {
            (true, id) => Some(id),
            (false, 0) => None,
            (false, _) => return Err(DecodeError::Refused),
        };
        let handshake = Self {
            bytes,
            clear,
            signed_prekey_id,
            one_time_prekey_id,
            ephemeral_key: reader.dh_public()?,
            kem_ciphertext: reader.array()?,
            hidden_identity: reader.array()?,
            identity_tag: reader.array()?,
        };
        reader.finish()?;
        Ok(handshake)
    }
}

/// The Double Ratchet's header in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// DHs of the sender.
    pub(crate) ratchet_key: DhPublicKey,
    /// PN.
    pub(crate) previous_chain_length: u32,
    /// Ns.
    pub(crate) number: u32,
}

impl Header {
    /// DR-E3. The last byte is the place of the post-quantum ratchet's part: kind 0, none.
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let [d @ .., p0, p1, p2, p3, n0, n1, n2, n3, post_quantum] = &mut bytes;
        d.copy_from_slice(self.ratchet_key.as_bytes());
        [*p0, *p1, *p2, *p3] = self.previous_chain_length.to_be_bytes();
        [*n0, *n1, *n2, *n3] = self.number.to_be_bytes();
        *post_quantum = 0;
        bytes
    }

    /// DR-D3.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header =
            Self { ratchet_key: reader.dh_public()?, previous_chain_length: reader.u32()?, number: reader.u32()? };
        if reader.u8()? != 0 {
            return Err(DecodeError::Refused);
        }
        reader.finish()?;
        Ok(header)
    }
}

/// Whether `message` claims to be a first message, one that begins a session; reads one public byte.
///
/// # Errors
/// [`DecodeError::Refused`] if it is of neither kind, or of another version.
pub fn is_first_message(message: &[u8]) -> Result<bool, DecodeError> {
    match message.first() {
        Some(&TYPE_FIRST) => Ok(true),
        Some(&TYPE_MESSAGE) => Ok(false),
        _ => Err(DecodeError::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_on_the_wire_are_pinned() {
        assert_eq!(MESSAGE_OVERHEAD, 106);
        assert_eq!(HANDSHAKE_LEN, 1754);
        assert_eq!(FIRST_MESSAGE_OVERHEAD, 1859);
        assert_eq!((TYPE_FIRST, TYPE_MESSAGE), (0x11, 0x12));
    }

    #[test]
    fn header_has_one_spelling() {
        let mut bytes = [0u8; HEADER_LEN];
        bytes[0] = 9;
        bytes[35] = 3;
        bytes[39] = 4;
        let header = Header::decode(&bytes).unwrap();
        assert_eq!((header.previous_chain_length, header.number), (3, 4));
        assert_eq!(header.encode(), bytes);
        bytes[40] = 1;
        assert!(Header::decode(&bytes).is_err(), "a post-quantum part that this version does not know");
    }
}
