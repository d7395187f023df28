// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of a state besides its core: what most steps leave as it is. In a snapshot they follow the core; a
//! `Durable` state has a row for each.

use crate::device::{OneTimePrekey, REPLAY_ENTRY_LEN};
use crate::error::DecodeError;
use crate::ratchet::skipped::SkippedMessageKey;
use crate::wire::{Full, Reader, Writer};
use core::fmt;

/// Length in bytes of a [`RowName`].
pub(crate) const NAME_LEN: usize = 1 + 4 + 4;
/// Maximum number of skipped keys, or of entries of a replay record, in one part: what a mask of 32 bits names.
pub(crate) const PAGE: usize = 32;
const PAGE_NUMBERS: u32 = 32;

/// The name of a row within its subject, 9 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowName([u8; NAME_LEN]);

impl TryFrom<&[u8]> for RowName {
    type Error = DecodeError;

    fn try_from(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes.try_into().map(Self).map_err(|_| DecodeError::Refused)
    }
}

impl RowName {
    /// The core: the row that every save writes.
    pub const CORE: Self = Self([0; NAME_LEN]);
    /// Skipped keys of the Double Ratchet.
    pub(crate) const DOUBLE: u8 = 1;
    /// Skipped keys of the sparse ratchet.
    pub(crate) const SPARSE: u8 = 2;
    /// A one-time prekey.
    pub(crate) const ONE_TIME_PREKEY: u8 = 3;
    /// A page of a signed prekey's replay record.
    pub(crate) const REPLAY_RECORD: u8 = 4;
    /// A page of the messenger layer: ids of messages or of peers.
    #[cfg(feature = "alloc")]
    pub(crate) const MESSENGER: u8 = 5;

    pub(crate) fn new(part: u8, id: u32, page: u32) -> Self {
        let ([i0, i1, i2, i3], [p0, p1, p2, p3]) = (id.to_be_bytes(), page.to_be_bytes());
        Self([part, i0, i1, i2, i3, p0, p1, p2, p3])
    }

    /// Returns the name of the skipped keys of `chain` among which number `number` is. `part` is the ratchet.
    pub(crate) fn skipped(part: u8, chain: u32, number: u32) -> Self {
        Self::new(part, chain, number / PAGE_NUMBERS)
    }

    /// Returns the 9 bytes, under which the row is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; NAME_LEN] {
        &self.0
    }

    /// Returns the name with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; NAME_LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn part(&self) -> u8 {
        let [part, ..] = self.0;
        part
    }

    /// The step, the epoch, or the id of a prekey.
    pub(crate) const fn id(&self) -> u32 {
        let [_, a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    pub(crate) const fn page(&self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().copied().map(Self)
    }

    /// Reads the next part's name if it is of part `part`.
    pub(crate) fn next_of(part: u8, reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        if reader.peek() != Some(part) {
            return Ok(None);
        }
        Self::read(reader).map(Some)
    }
}

/// Shows the part alone: the numbers tell how many messages are missing.
impl fmt::Debug for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowName({}, ..)", self.part())
    }
}

/// A part of a state and its name.
pub(crate) struct Part<'a> {
    pub(crate) name: RowName,
    pub(crate) content: Content<'a>,
}

/// What is in a part.
pub(crate) enum Content<'a> {
    /// At most [`PAGE`] skipped keys of one chain, ascending.
    SkippedKeys(&'a [SkippedMessageKey]),
    OneTimePrekey(&'a OneTimePrekey),
    /// At most [`PAGE`] entries.
    ReplayRecord(&'a [[u8; REPLAY_ENTRY_LEN]]),
    /// Bytes of the messenger layer, with a number that changes whenever they do.
    #[cfg(feature = "alloc")]
    Bytes {
        bytes: &'a [u8],
        stamp: u64,
    },
}

impl Part<'_> {
    /// Number of bytes that [`store`](Self::store) writes.
    pub(crate) fn stored_len(&self) -> usize {
        self.content.stored_len().saturating_add(NAME_LEN)
    }

    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(self.name.as_bytes())?;
        self.content.store(writer)
    }
}

impl Content<'_> {
    /// Number of bytes that [`store`](Self::store) writes.
    pub(crate) fn stored_len(&self) -> usize {
        match self {
            Self::SkippedKeys(keys) => keys.len().saturating_mul(32).saturating_add(4),
            Self::OneTimePrekey(_) => OneTimePrekey::STORED_LEN,
            Self::ReplayRecord(entries) => entries.len().saturating_mul(REPLAY_ENTRY_LEN).saturating_add(1),
            #[cfg(feature = "alloc")]
            Self::Bytes { bytes, stamp: _ } => bytes.len(),
        }
    }

    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        match self {
            Self::SkippedKeys(keys) => {
                writer.u32(mask(keys))?;
                keys.iter().try_for_each(|entry| writer.put(entry.key.0.expose()))
            }
            Self::OneTimePrekey(prekey) => prekey.store(writer),
            Self::ReplayRecord(entries) => {
                writer.u8(u8::try_from(entries.len()).map_err(|_| Full)?)?;
                entries.iter().try_for_each(|entry| writer.put(entry))
            }
            #[cfg(feature = "alloc")]
            Self::Bytes { bytes, stamp: _ } => writer.put(bytes),
        }
    }

    /// Returns a number that changes whenever a part of one name changes: the key of a number and the entry of a place
    /// never do.
    #[cfg(feature = "alloc")]
    pub(crate) fn stamp(&self) -> u64 {
        match self {
            Self::SkippedKeys(keys) => u64::from(mask(keys)),
            Self::OneTimePrekey(prekey) => prekey.stamp(),
            Self::ReplayRecord(entries) => u64::try_from(entries.len()).unwrap_or(u64::MAX),
            Self::Bytes { bytes: _, stamp } => *stamp,
        }
    }
}

/// Bit i is set if the key of the page's number i is kept.
fn mask(keys: &[SkippedMessageKey]) -> u32 {
    keys.iter().fold(0, |mask, entry| mask | 1u32.rotate_left(entry.number % PAGE_NUMBERS))
}

/// Reads the mask of a page of skipped keys and returns their numbers.
pub(crate) fn read_numbers(
    name: RowName,
    reader: &mut Reader<'_>,
) -> Result<impl Iterator<Item = u32> + use<>, DecodeError> {
    let mask = reader.u32()?;
    let first = name.page().checked_mul(PAGE_NUMBERS).ok_or(DecodeError::Refused)?;
    if mask == 0 {
        return Err(DecodeError::Refused);
    }
    // The last page begins at 2^32 - 32.
    Ok((0..PAGE_NUMBERS)
        .filter(move |bit| mask & 1u32.rotate_left(*bit) != 0)
        .map(move |bit| first.saturating_add(bit)))
}

/// Splits skipped keys, which are in order, into parts.
pub(crate) fn pages_of(part: u8, keys: &[SkippedMessageKey]) -> impl Iterator<Item = Part<'_>> {
    let name = move |key: &SkippedMessageKey| RowName::skipped(part, key.chain, key.number);
    keys.chunk_by(move |a, b| name(a) == name(b)).filter_map(move |keys| {
        let name = name(keys.first()?);
        Some(Part { name, content: Content::SkippedKeys(keys) })
    })
}
