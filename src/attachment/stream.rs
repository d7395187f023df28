// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attachments over [`Read`] and [`Write`]. One buffer of [`CHUNK_LEN`] bytes, whatever the file's length.

use super::{AttachmentKey, AttachmentOpener, AttachmentSealer, CHUNK_LEN, HEADER_LEN};
use crate::error::AttachmentError;
use crate::primitives::Primitives;
use alloc::boxed::Box;
use core::fmt;
use rand_core::CryptoRng;
use std::io::{self, Read, Write};
use zeroize::Zeroize;

/// The reason why a stream was not sealed or opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// The reader failed. A sealer or opener continues where it was, with a reader at its position.
    Read(io::Error),
    /// The writer failed. The chunk that was written last may be incomplete there, while sealer and opener are after
    /// it.
    Write(io::Error),
    /// The attachment was refused or is incomplete, or the content has another length than announced.
    Attachment(AttachmentError),
}

impl From<AttachmentError> for StreamError {
    fn from(error: AttachmentError) -> Self {
        Self::Attachment(error)
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "reader failed",
            Self::Write(_) => "writer failed",
            Self::Attachment(_) => "attachment failed",
        })
    }
}

impl core::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(match self {
            Self::Read(error) | Self::Write(error) => error,
            Self::Attachment(error) => error,
        })
    }
}

/// Seals the `content_len` bytes of `reader` to `writer` under a new key, drawn from `rng`, and returns the key, for a
/// message to the recipient. The sealed file has [`sealed_len`](super::sealed_len) bytes.
///
/// # Errors
/// [`StreamError`]; [`AttachmentError::WrongLength`] if the reader ends earlier or later. Whatever was written then is
/// not a whole attachment, and no key is returned. To continue after an error, use [`AttachmentSealer::seal_rest`].
pub fn seal_stream(
    content_len: u64,
    reader: impl Read,
    mut writer: impl Write,
    rng: &mut impl CryptoRng,
) -> Result<AttachmentKey, StreamError> {
    let mut sealer = AttachmentSealer::new(content_len, rng)?;
    writer.write_all(&sealer.header()).map_err(StreamError::Write)?;
    sealer.seal_rest(reader, writer)?;
    Ok(sealer.finish()?)
}

/// Opens the sealed file that `reader` returns, up to its end, to `writer`. Returns the number of bytes of content.
///
/// # Errors
/// [`StreamError`]. To continue after [`StreamError::Read`], use [`AttachmentOpener::open_rest`].
///
/// # Security
/// Chunks are written as they are opened. After an error the writer has received a prefix of the content, which MUST
/// NOT be presented as the file: write to a temporary file, and rename it after success.
pub fn open_stream(key: &AttachmentKey, mut reader: impl Read, writer: impl Write) -> Result<u64, StreamError> {
    let mut header = [0; HEADER_LEN];
    if fill(&mut reader, &mut header)? < HEADER_LEN {
        return Err(AttachmentError::Truncated.into());
    }
    AttachmentOpener::new(key, &header)?.open_rest(reader, writer)
}

impl<P: Primitives> AttachmentSealer<P> {
    /// Seals all chunks from [`next_chunk`](Self::next_chunk) on. `reader` is at
    /// [`content_position`](Self::content_position). The header is not written.
    ///
    /// # Errors
    /// [`StreamError`]; [`AttachmentError::WrongLength`] if the reader ends earlier or later than the content. The last
    /// chunk is then not written.
    ///
    /// # Security
    /// That of [`resume`](AttachmentSealer::resume): the content must not have changed.
    pub fn seal_rest(&mut self, mut reader: impl Read, mut writer: impl Write) -> Result<(), StreamError> {
        let mut buffer = Buffer::new();
        while let Some(content_len) = self.next_content_len() {
            let content = buffer.0.get_mut(..content_len).ok_or(AttachmentError::WrongLength)?;
            if fill(&mut reader, content)? < content_len || (self.is_at_last_chunk() && !is_at_end(&mut reader)?) {
                return Err(AttachmentError::WrongLength.into());
            }
            let sealed = self.seal_chunk(content_len, &mut buffer.0)?;
            writer.write_all(sealed).map_err(StreamError::Write)?;
        }
        writer.flush().map_err(StreamError::Write)
    }
}

impl<P: Primitives> AttachmentOpener<P> {
    /// Opens all chunks from [`next_chunk`](Self::next_chunk) on. `reader` is at
    /// [`sealed_position`](Self::sealed_position). Returns the number of bytes of content that were written.
    ///
    /// # Errors
    /// [`StreamError`]; [`AttachmentError::Truncated`] if the reader ends before a chunk, and
    /// [`AttachmentError::Refused`] if it ends within one or after one that is not the last.
    ///
    /// # Security
    /// That of [`open_stream`].
    pub fn open_rest(&mut self, mut reader: impl Read, mut writer: impl Write) -> Result<u64, StreamError> {
        let mut buffer = Buffer::new();
        let mut written = 0u64;
        // The first byte of the next chunk is read with a chunk, to know whether the chunk is the last.
        let mut first = [0; 1];
        let mut is_at_end = fill(&mut reader, &mut first)? == 0;
        while !is_at_end {
            let ([start], rest) = buffer.0.split_first_chunk_mut::<1>().ok_or(AttachmentError::Refused)?;
            [*start] = first;
            let chunk_len = fill(&mut reader, rest)?.saturating_add(1);
            is_at_end = chunk_len < CHUNK_LEN || fill(&mut reader, &mut first)? == 0;
            let content = if is_at_end {
                self.open_last_chunk(buffer.0.get_mut(..chunk_len).ok_or(AttachmentError::Refused)?)?
            } else {
                self.open_chunk(&mut buffer.0)?
            };
            writer.write_all(content).map_err(StreamError::Write)?;
            written = written.saturating_add(content.len() as u64);
        }
        if !self.is_complete() {
            return Err(AttachmentError::Truncated.into());
        }
        writer.flush().map_err(StreamError::Write)?;
        Ok(written)
    }
}

/// A chunk on the heap, wiped on drop.
struct Buffer(Box<[u8; CHUNK_LEN]>);

impl Buffer {
    fn new() -> Self {
        Self(Box::new([0; CHUNK_LEN]))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// Reads until `buffer` is full or the reader ends. Returns the number of bytes that were read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, StreamError> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StreamError::Read(error)),
        }
    }
    Ok(filled)
}

fn is_at_end(reader: &mut impl Read) -> Result<bool, StreamError> {
    Ok(fill(reader, &mut [0; 1])? == 0)
}
