// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of every byte that leaves a device, and reading and writing fields in order.
//!
//! Bytes are parsed once, here, into types whose values are always valid. Integers are big-endian, every field has a
//! fixed width, and no byte may follow the last field.

use crate::error::DecodeError;
use crate::primitives::{DhPublicKey, KEM_CIPHERTEXT_LEN, TAG_LEN};

/// First byte of a first message: version 1 in the high half, kind 1 in the low half.
pub(crate) const TYPE_FIRST: u8 = 0x11;
/// First byte of every later message: version 1, kind 2.
pub(crate) const TYPE_MESSAGE: u8 = 0x12;

/// Length in bytes of an identity on the wire, 128: signing key, DH key, certificate.
pub const IDENTITY_LEN: usize = 32 + 32 + 64;
/// The newest version of the protocol that this crate speaks. A signed prekey states its device's, and a handshake its
/// initiator's, so that a later version cannot be negotiated away.
pub(crate) const VERSION: u8 = 1;
/// Length in bytes of a routing tag, the first half of a header's salt: a PRF output of the message's number.
pub const ROUTING_TAG_LEN: usize = 8;
/// Number of random bytes in a header's salt.
pub(crate) const SALT_RANDOM_LEN: usize = 8;
/// Length in bytes of a header's salt (difference D8): the routing tag, which is unique in a chain, and random bytes,
/// which differ between two copies of one state.
pub(crate) const SALT_LEN: usize = ROUTING_TAG_LEN + SALT_RANDOM_LEN;
/// Number of bytes of the body's ciphertext that the header's AEAD covers. To cover all of it would cost 58 % at 64 KiB;
/// to cover none would let a server pair a genuine header with any body, and have its receiver derive keys for it.
pub(crate) const COVERED_LEN: usize = 4_096;
/// Length in bytes of a header's key commitment. 128 bits suffice: only the peers can choose header keys, and a peer
/// that spends 2^64 work gains only an ambiguity in its own conversation (spec/protocol.md §9).
pub(crate) const COMMITMENT_LEN: usize = 16;
/// Length in bytes of a header's classical part: ratchet key, PN, N.
pub(crate) const DOUBLE_HEADER_LEN: usize = 32 + 4 + 4;
/// Length in bytes of a header's post-quantum part without the chunk: message type, epoch, chunk index, n, and the
/// flags.
pub(crate) const SPARSE_HEADER_LEN: usize = 1 + 4 + 2 + 4 + 1;
/// Length in bytes of a sealed header's part before the ciphertext.
pub(crate) const BEFORE_HEADER_LEN: usize = SALT_LEN + COMMITMENT_LEN;
/// Length in bytes of the longest plaintext header.
pub(crate) const MAX_HEADER_LEN: usize = ChunkSize::Bytes256.header_len();
/// The header's flag for an age of 1: the sender mixed the header secret of the epoch before the message's.
pub(crate) const FLAG_AGE: u8 = 1;
/// The header's flag for a control message, which is for the messenger layer and not for the user.
pub(crate) const FLAG_CONTROL: u8 = 2;
/// The handshake's flag for a one-time prekey. Bit 1 is reserved for a pre-shared key from an earlier session's
/// exporter, and is refused until it is defined, like all others.
pub(crate) const HANDSHAKE_ONE_TIME: u8 = 1;
/// Length in bytes of the handshake's part that is sealed: the initiator's newest version, and its identity.
pub(crate) const HIDDEN_LEN: usize = 1 + IDENTITY_LEN;
/// Number of bytes that a message adds to its padded plaintext with chunks of the default size, 149. See
/// [`ChunkSize::message_overhead`].
pub const MESSAGE_OVERHEAD: usize = ChunkSize::Bytes32.message_overhead();
/// Length in bytes of a handshake before the hidden identity: type, signed prekey id, flags, one-time id, EK,
/// ciphertext, chunk size.
pub(crate) const HANDSHAKE_CLEAR_LEN: usize = 1 + 4 + 1 + 4 + 32 + KEM_CIPHERTEXT_LEN + 1;
/// Length in bytes of a handshake, which every message repeats at its beginning until the first reply.
pub(crate) const HANDSHAKE_LEN: usize = HANDSHAKE_CLEAR_LEN + HIDDEN_LEN + TAG_LEN;
/// Number of bytes that a first message adds to its padded plaintext with chunks of the default size, 1,904. See
/// [`ChunkSize::first_message_overhead`].
pub const FIRST_MESSAGE_OVERHEAD: usize = ChunkSize::Bytes32.first_message_overhead();

/// The size of the post-quantum ratchet's chunk in each message of a session. The initiator chooses it, and the
/// handshake authenticates it. With larger chunks a session heals after fewer messages, and every message is longer.
///
/// | | bytes added to a message | messages per epoch, taking turns | round trips by which a message may be late |
/// |---|---|---|---|
/// | `Bytes32` | 149 | 87 | 32 |
/// | `Bytes64` | 181 | 45 | 22 to 32 |
/// | `Bytes128` | 245 | 23 | 11 to 22 |
/// | `Bytes256` | 373 | 13 | 6 to 12 |
///
/// A message that arrives two epochs late cannot be opened any more. With small chunks the limit
/// [`MAX_SKIPPED_STEPS`](crate::MAX_SKIPPED_STEPS) is reached first, with large chunks this one, so that a late message
/// expires after fewer round trips: how many depends on where in an epoch it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChunkSize {
    /// Chunks of 32 bytes.
    #[default]
    Bytes32,
    /// Chunks of 64 bytes.
    Bytes64,
    /// Chunks of 128 bytes.
    Bytes128,
    /// Chunks of 256 bytes.
    Bytes256,
}

impl ChunkSize {
    /// All sizes, in ascending order.
    pub const ALL: [Self; 4] = [Self::Bytes32, Self::Bytes64, Self::Bytes128, Self::Bytes256];

    /// Returns the size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bytes32 => 32,
            Self::Bytes64 => 64,
            Self::Bytes128 => 128,
            Self::Bytes256 => 256,
        }
    }

    /// Returns the number of bytes that a message adds to its padded plaintext: type, sealed header, tag.
    #[must_use]
    pub const fn message_overhead(self) -> usize {
        // At most 373.
        (1 + TAG_LEN).saturating_add(self.sealed_header_len())
    }

    /// Returns the number of bytes that a message with a handshake adds to its padded plaintext.
    #[must_use]
    pub const fn first_message_overhead(self) -> usize {
        (HANDSHAKE_LEN + TAG_LEN).saturating_add(self.sealed_header_len())
    }

    /// Length in bytes of a plaintext header.
    pub(crate) const fn header_len(self) -> usize {
        (DOUBLE_HEADER_LEN + SPARSE_HEADER_LEN).saturating_add(self.bytes())
    }

    /// Length in bytes of a sealed header: salt, commitment, ciphertext, tag.
    pub(crate) const fn sealed_header_len(self) -> usize {
        (BEFORE_HEADER_LEN + TAG_LEN).saturating_add(self.header_len())
    }

    /// Number of chunks of a value of `len` bytes.
    pub(crate) const fn chunks(self, len: usize) -> usize {
        match self {
            Self::Bytes32 => len.div_ceil(32),
            Self::Bytes64 => len.div_ceil(64),
            Self::Bytes128 => len.div_ceil(128),
            Self::Bytes256 => len.div_ceil(256),
        }
    }

    /// Encodes the size as in a handshake and in a stored session.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Bytes32 => 0,
            Self::Bytes64 => 1,
            Self::Bytes128 => 2,
            Self::Bytes256 => 3,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::Bytes32),
            1 => Ok(Self::Bytes64),
            2 => Ok(Self::Bytes128),
            3 => Ok(Self::Bytes256),
            _ => Err(DecodeError::Refused),
        }
    }
}

/// Reads fields in order from untrusted bytes.
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

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Refused)?;
        self.0 = rest;
        Ok(head)
    }

    /// Reads a byte that is 0 or 1.
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

    /// Returns the next byte without reading it.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Checks that no byte follows.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Refused) }
    }
}

/// The caller's buffer is shorter than the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Writes fields in order into the caller's buffer.
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
        // At most the buffer's length, which is a usize.
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

/// The parsed handshake of a first message, as the responder reads it before it knows the author.
pub(crate) struct Handshake<'a> {
    /// The whole encoded handshake.
    pub(crate) bytes: &'a [u8; HANDSHAKE_LEN],
    /// The part before the hidden identity, which is the associated data of that identity's seal.
    pub(crate) clear: &'a [u8; HANDSHAKE_CLEAR_LEN],
    pub(crate) signed_prekey_id: u32,
    pub(crate) one_time_prekey_id: Option<u32>,
    /// EKA.
    pub(crate) ephemeral_key: DhPublicKey,
    /// CT.
    pub(crate) kem_ciphertext: &'a [u8; KEM_CIPHERTEXT_LEN],
    pub(crate) chunk_size: ChunkSize,
    /// The sealed part: version and identity.
    pub(crate) hidden: &'a [u8; HIDDEN_LEN],
    pub(crate) hidden_tag: &'a [u8; TAG_LEN],
}

impl<'a> Handshake<'a> {
    /// Parses a handshake (HS-R1). It has one valid encoding: an absent one-time id is written as zero.
    pub(crate) fn parse(bytes: &'a [u8; HANDSHAKE_LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let clear = Reader::new(bytes).array()?;
        if reader.u8()? != TYPE_FIRST {
            return Err(DecodeError::Refused);
        }
        let signed_prekey_id = reader.u32()?;
        let one_time_prekey_id = match (reader.u8()?, reader.u32()?) {
            (HANDSHAKE_ONE_TIME, id) => Some(id),
            (0, 0) => None,
            _ => return Err(DecodeError::Refused),
        };
        let handshake = Self {
            bytes,
            clear,
            signed_prekey_id,
            one_time_prekey_id,
            ephemeral_key: reader.dh_public()?,
            kem_ciphertext: reader.array()?,
            chunk_size: ChunkSize::from_code(reader.u8()?)?,
            hidden: reader.array()?,
            hidden_tag: reader.array()?,
        };
        reader.finish()?;
        Ok(handshake)
    }
}

/// The Double Ratchet's plaintext header, the first part of a message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DoubleHeader {
    /// The sender's DHs.
    pub(crate) ratchet_key: DhPublicKey,
    /// PN.
    pub(crate) previous_chain_length: u32,
    /// Ns.
    pub(crate) number: u32,
}

impl DoubleHeader {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(self.ratchet_key.as_bytes())?;
        writer.u32(self.previous_chain_length)?;
        writer.u32(self.number)
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { ratchet_key: reader.dh_public()?, previous_chain_length: reader.u32()?, number: reader.u32()? })
    }
}

/// Returns the routing tag of `message`, 8 bytes, or `None` if it is too short or of no known kind. It reads public
/// bytes only.
///
/// The sender computes the tag from the header key and the message's number. A receiver compares it with
/// [`Session::routing_tags`](crate::Session::routing_tags) of its sessions to find the one that the message belongs to.
/// A tag is a hint and authenticates nothing.
#[must_use]
pub fn routing_tag(message: &[u8]) -> Option<[u8; ROUTING_TAG_LEN]> {
    let head_len = match is_first_message(message).ok()? {
        true => HANDSHAKE_LEN,
        false => 1,
    };
    message.get(head_len..)?.first_chunk().copied()
}

/// Returns the beginning of a message that its header authenticates: up to the end of the covered bytes, or, with a longer
/// header than the shortest, that much less. `None` if the message is of no known kind.
#[cfg(feature = "alloc")]
pub(crate) fn authenticated_beginning(message: &[u8]) -> Option<&[u8]> {
    let head_len = match is_first_message(message).ok()? {
        true => HANDSHAKE_LEN,
        false => 1,
    };
    let len = ChunkSize::Bytes32.sealed_header_len().checked_add(head_len)?.checked_add(TAG_LEN + COVERED_LEN)?;
    Some(message.get(..len).unwrap_or(message))
}

/// Returns the handshake at the beginning of a first message.
pub(crate) fn handshake_bytes(message: &[u8]) -> Option<&[u8; HANDSHAKE_LEN]> {
    message.first_chunk().filter(|_| message.first() == Some(&TYPE_FIRST))
}

/// Returns whether `message` claims to be a first message, which begins a session. It reads one public byte.
///
/// # Errors
/// [`DecodeError::Refused`] if the message is of neither kind or of another version.
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
        assert_eq!(ChunkSize::ALL.map(ChunkSize::message_overhead), [149, 181, 245, 373]);
        assert_eq!((MESSAGE_OVERHEAD, ChunkSize::default().message_overhead()), (149, 149));
        assert_eq!(HANDSHAKE_LEN, 1756);
        assert_eq!(FIRST_MESSAGE_OVERHEAD, 1904);
        assert_eq!((TYPE_FIRST, TYPE_MESSAGE), (0x11, 0x12));
    }

    #[test]
    fn a_chunk_size_has_one_encoding() {
        for (code, size) in (0..).zip(ChunkSize::ALL) {
            assert_eq!((size.code(), ChunkSize::from_code(code)), (code, Ok(size)));
            assert_eq!(size.chunks(1152), 1152_usize.div_ceil(size.bytes()));
        }
        for code in 4..=u8::MAX {
            assert_eq!(ChunkSize::from_code(code), Err(DecodeError::Refused));
        }
    }

    #[test]
    fn a_classical_header_round_trips() {
        let mut bytes = [0u8; DOUBLE_HEADER_LEN];
        bytes[0] = 9;
        bytes[35] = 3;
        bytes[39] = 4;
        let header = DoubleHeader::parse(&mut Reader::new(&bytes)).unwrap();
        assert_eq!((header.previous_chain_length, header.number), (3, 4));
        let mut written = [0; DOUBLE_HEADER_LEN];
        header.write(&mut Writer::new(&mut written)).unwrap();
        assert_eq!(written, bytes);
        assert!(DoubleHeader::parse(&mut Reader::new(&bytes[..39])).is_err());
    }
}
