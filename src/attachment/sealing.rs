// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sealing a file, chunk by chunk.

use super::layout::{CHUNK_LEN, CHUNK_OVERHEAD, HEADER_LEN, LENGTH_LEN, Layout};
use super::{AttachmentKey, COMMITMENT_LEN, VERSION, nonce};
use crate::error::AttachmentError;
use crate::primitives::{Primitives, RustCrypto, TAG_LEN};
use crate::secret::Secret;
use crate::wipe;
use core::fmt;
use rand_core::CryptoRng;

/// Seals one file: first [`header`](Self::header), then [`seal_chunk`](Self::seal_chunk) until
/// [`next_content_len`](Self::next_content_len) returns `None`, then [`finish`](Self::finish). Does not allocate.
///
/// The length of the content is fixed at the beginning. The sealer therefore knows the length of the result
/// ([`sealed_len`](super::sealed_len)), and how much padding follows the content.
///
/// ```
/// use noescrow::attachment::{AttachmentOpener, AttachmentSealer, CHUNK_LEN};
/// # let mut rng = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
///
/// let content = b"a photograph";
/// let mut sealer = AttachmentSealer::new(content.len() as u64, &mut rng)?;
/// let header = sealer.header();
/// let mut chunk = [0; CHUNK_LEN];
/// let mut sealed_len = 0;
/// let mut rest = &content[..];
/// while let Some(content_len) = sealer.next_content_len() {
///     let (part, after) = rest.split_at(content_len);
///     chunk[..content_len].copy_from_slice(part);
///     // A real application stores each chunk. This file has only one.
///     sealed_len = sealer.seal_chunk(content_len, &mut chunk)?.len();
///     rest = after;
/// }
/// let key = sealer.finish()?;
///
/// let mut opener = AttachmentOpener::new(&key, &header)?;
/// assert_eq!(opener.open_last_chunk(&mut chunk[..sealed_len])?, content);
/// opener.finish()?;
/// # Ok::<(), noescrow::error::AttachmentError>(())
/// ```
#[must_use]
pub struct AttachmentSealer<P: Primitives = RustCrypto> {
    primitives: P,
    key: AttachmentKey,
    chunk_key: Secret<32>,
    commitment: [u8; COMMITMENT_LEN],
    layout: Layout,
    next: u32,
}

impl AttachmentSealer {
    /// Draws a key from `rng`, for a file of `content_len` bytes.
    ///
    /// # Errors
    /// [`AttachmentError::TooLong`].
    pub fn new(content_len: u64, rng: &mut impl CryptoRng) -> Result<Self, AttachmentError> {
        Self::new_with(RustCrypto, content_len, rng)
    }

    /// Continues before chunk `next_chunk`, which is 0 for the first. A caller has the number from
    /// [`next_chunk`](Self::next_chunk), or from [`complete_chunks`](super::complete_chunks) of the bytes that were
    /// stored.
    ///
    /// # Errors
    /// [`AttachmentError::TooLong`]; [`AttachmentError::WrongLength`] if the file has fewer chunks.
    ///
    /// # Security
    /// The content MUST be the same, byte by byte, as when sealing began. If the file may have changed in the meantime,
    /// begin again with a new key: two contents that are sealed under one key reveal to the server how they differ, and
    /// let it forge chunks. Where there is space, seal to a local file, and continue the transfer of its bytes.
    pub fn resume(key: AttachmentKey, content_len: u64, next_chunk: u32) -> Result<Self, AttachmentError> {
        Self::resume_with(RustCrypto, key, content_len, next_chunk)
    }
}

impl<P: Primitives> AttachmentSealer<P> {
    /// [`new`](AttachmentSealer::new), with the caller's primitives.
    ///
    /// # Errors
    /// [`AttachmentError::TooLong`].
    pub fn new_with(primitives: P, content_len: u64, rng: &mut impl CryptoRng) -> Result<Self, AttachmentError> {
        let layout = Layout::new(content_len).ok_or(AttachmentError::TooLong)?;
        let key = AttachmentKey::generate(&primitives, rng);
        Ok(Self::at(primitives, key, layout, 0))
    }

    /// [`resume`](AttachmentSealer::resume), with the caller's primitives.
    ///
    /// # Errors
    /// Those of `resume`.
    ///
    /// # Security
    /// As of `resume`.
    pub fn resume_with(
        primitives: P,
        key: AttachmentKey,
        content_len: u64,
        next_chunk: u32,
    ) -> Result<Self, AttachmentError> {
        let layout = Layout::new(content_len).ok_or(AttachmentError::TooLong)?;
        if next_chunk > layout.chunks {
            return Err(AttachmentError::WrongLength);
        }
        Ok(Self::at(primitives, key, layout, next_chunk))
    }

    fn at(primitives: P, key: AttachmentKey, layout: Layout, next: u32) -> Self {
        let (chunk_key, commitment) = key.derive(&primitives);
        Self { primitives, key, chunk_key, commitment, layout, next }
    }

    /// The key, for a message to the recipient.
    pub const fn key(&self) -> &AttachmentKey {
        &self.key
    }

    /// The first [`HEADER_LEN`] bytes of the sealed file: version and commitment to the key.
    #[must_use]
    pub fn header(&self) -> [u8; HEADER_LEN] {
        let mut header = [VERSION; HEADER_LEN];
        header.iter_mut().skip(1).zip(self.commitment).for_each(|(to, from)| *to = from);
        header
    }

    /// Position of the chunk that is sealed next, from 0.
    #[must_use]
    pub const fn next_chunk(&self) -> u32 {
        self.next
    }

    /// Number of bytes of content before the next chunk: where the reading of the content continues.
    #[must_use]
    pub fn content_position(&self) -> u64 {
        self.layout.content_before(self.next)
    }

    /// Number of bytes of content that the next chunk takes, or `None` if all chunks are sealed. It is 0 for a chunk
    /// that is padding alone.
    #[must_use]
    pub fn next_content_len(&self) -> Option<usize> {
        self.layout.space(self.next).map(|_| self.layout.content(self.next))
    }

    /// Whether exactly one chunk is left.
    #[cfg(feature = "std")]
    pub(super) fn is_at_last_chunk(&self) -> bool {
        self.next.checked_add(1) == Some(self.layout.chunks)
    }

    /// Seals the next chunk in place. Its first `content_len` bytes are content, and the call overwrites the others.
    /// Returns the sealed chunk, a prefix of `chunk`: [`CHUNK_LEN`] bytes, or fewer if it is the last.
    ///
    /// # Errors
    /// [`AttachmentError::WrongLength`] if `content_len` is not what
    /// [`next_content_len`](Self::next_content_len) returns; `chunk` is then unchanged.
    ///
    /// # Leaks
    /// `content_len`, in time as well.
    pub fn seal_chunk<'a>(
        &mut self,
        content_len: usize,
        chunk: &'a mut [u8; CHUNK_LEN],
    ) -> Result<&'a [u8], AttachmentError> {
        let next = self.next.checked_add(1).ok_or(AttachmentError::WrongLength)?;
        let space = self.layout.space(self.next).ok_or(AttachmentError::WrongLength)?;
        if content_len != self.layout.content(self.next) {
            return Err(AttachmentError::WrongLength);
        }
        let sealed = chunk.get_mut(..space.saturating_add(CHUNK_OVERHEAD)).ok_or(AttachmentError::WrongLength)?;
        let (plaintext, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(AttachmentError::WrongLength)?;
        let (text, length) = plaintext.split_last_chunk_mut::<LENGTH_LEN>().ok_or(AttachmentError::WrongLength)?;
        text.iter_mut().skip(content_len).for_each(|byte| *byte = 0);
        *length = u32::try_from(content_len).map_err(|_| AttachmentError::WrongLength)?.to_be_bytes();
        let nonce = nonce(self.next, next == self.layout.chunks);
        *tag = wipe::wipe_stack_after::<{ wipe::HEADER }, _>(|| {
            self.primitives.seal(&self.chunk_key, &nonce, b"", plaintext)
        })
        .map_err(|_| AttachmentError::TooLong)?;
        self.next = next;
        Ok(sealed)
    }

    /// Returns the key, if all chunks are sealed.
    ///
    /// # Errors
    /// [`AttachmentError::Truncated`] if chunks are missing.
    pub fn finish(self) -> Result<AttachmentKey, AttachmentError> {
        if self.next == self.layout.chunks { Ok(self.key) } else { Err(AttachmentError::Truncated) }
    }
}

/// Shows the position, and nothing of the key or the content's length.
impl<P: Primitives> fmt::Debug for AttachmentSealer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primitives: _, key: _, chunk_key: _, commitment: _, layout: _, next } = self;
        f.debug_struct("AttachmentSealer").field("next_chunk", next).finish_non_exhaustive()
    }
}
