// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening a file, chunk by chunk.

use super::layout::{CHUNK_LEN, HEADER_LEN, LENGTH_LEN, MAX_CHUNKS};
use super::{AttachmentKey, COMMITMENT_LEN, VERSION, nonce};
use crate::error::AttachmentError;
use crate::primitives::{Primitives, RustCrypto, TAG_LEN};
use crate::secret::{self, Secret};
use crate::wipe;
use core::fmt;
use zeroize::Zeroize;

/// Opens one file: [`new`](AttachmentOpener::new) with its header, [`open_chunk`](Self::open_chunk) for each chunk except
/// the last, [`open_last_chunk`](Self::open_last_chunk), then [`finish`](Self::finish). Does not allocate.
///
/// # Security
/// What [`open_chunk`](Self::open_chunk) returns is authentic, but it may be a prefix of the file. The file is whole
/// only if [`finish`](Self::finish) succeeds.
#[must_use]
pub struct AttachmentOpener<P: Primitives = RustCrypto> {
    primitives: P,
    chunk_key: Secret<32>,
    next: u32,
    is_complete: bool,
}

impl AttachmentOpener {
    /// Verifies that the file with this header belongs to `key` (AT-5). `header` is the first [`HEADER_LEN`] bytes of the
    /// sealed file.
    ///
    /// # Errors
    /// [`AttachmentError::Refused`], [`AttachmentError::NewerVersion`].
    pub fn new(key: &AttachmentKey, header: &[u8; HEADER_LEN]) -> Result<Self, AttachmentError> {
        Self::new_with(RustCrypto, key, header)
    }

    /// Continues before chunk `next_chunk`, which is 0 for the first. The caller keeps the content of the chunks before
    /// it.
    ///
    /// # Errors
    /// [`AttachmentError::Refused`] if no attachment has so many chunks.
    ///
    /// # Security
    /// The caller has verified the header with [`new`](Self::new), and opened all chunks before `next_chunk`: the opener
    /// cannot know. [`finish`](Self::finish) then shows that nothing is missing from there on.
    pub fn resume(key: &AttachmentKey, next_chunk: u32) -> Result<Self, AttachmentError> {
        Self::resume_with(RustCrypto, key, next_chunk)
    }
}

impl<P: Primitives> AttachmentOpener<P> {
    /// [`new`](AttachmentOpener::new), with the caller's primitives.
    ///
    /// # Errors
    /// Those of `new`.
    pub fn new_with(primitives: P, key: &AttachmentKey, header: &[u8; HEADER_LEN]) -> Result<Self, AttachmentError> {
        let ([version], found) = header.split_first_chunk::<1>().ok_or(AttachmentError::Refused)?;
        if *version > VERSION {
            return Err(AttachmentError::NewerVersion);
        }
        let (chunk_key, commitment) = key.derive(&primitives);
        let found: &[u8; COMMITMENT_LEN] = found.try_into().map_err(|_| AttachmentError::Refused)?;
        if *version != VERSION || !bool::from(secret::equal(&commitment, found)) {
            return Err(AttachmentError::Refused);
        }
        Ok(Self { primitives, chunk_key, next: 0, is_complete: false })
    }

    /// [`resume`](AttachmentOpener::resume), with the caller's primitives.
    ///
    /// # Errors
    /// Those of `resume`.
    ///
    /// # Security
    /// As of `resume`.
    pub fn resume_with(primitives: P, key: &AttachmentKey, next_chunk: u32) -> Result<Self, AttachmentError> {
        if next_chunk >= MAX_CHUNKS {
            return Err(AttachmentError::Refused);
        }
        let (chunk_key, _) = key.derive(&primitives);
        Ok(Self { primitives, chunk_key, next: next_chunk, is_complete: false })
    }

    /// Position of the chunk that is opened next, from 0.
    #[must_use]
    pub const fn next_chunk(&self) -> u32 {
        self.next
    }

    /// Number of bytes of the sealed file before the next chunk: where an interrupted download continues. Without
    /// meaning when the last chunk is open.
    #[must_use]
    pub fn sealed_position(&self) -> u64 {
        u64::from(self.next).saturating_mul(CHUNK_LEN as u64).saturating_add(HEADER_LEN as u64)
    }

    /// Whether the last chunk was opened.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Opens in place a chunk that is not the last. Returns its content, a prefix of `chunk`; it may be empty, because
    /// padding can fill whole chunks.
    ///
    /// # Errors
    /// [`AttachmentError::Refused`]. `chunk` then has no plaintext, and the opener accepts the right chunk next.
    pub fn open_chunk<'a>(&mut self, chunk: &'a mut [u8; CHUNK_LEN]) -> Result<&'a [u8], AttachmentError> {
        self.open(chunk, false)
    }

    /// Opens in place the last chunk, after which the sealed file ends: at most [`CHUNK_LEN`] bytes. Returns its
    /// content, a prefix of `chunk`.
    ///
    /// # Errors
    /// [`AttachmentError::Refused`], as of [`open_chunk`](Self::open_chunk). This is also the error if the download has
    /// lost its end: the chunk that comes last then is incomplete, or is not the last of the file.
    pub fn open_last_chunk<'a>(&mut self, chunk: &'a mut [u8]) -> Result<&'a [u8], AttachmentError> {
        self.open(chunk, true)
    }

    /// AT-6.
    fn open<'a>(&mut self, chunk: &'a mut [u8], is_last: bool) -> Result<&'a [u8], AttachmentError> {
        if self.is_complete || self.next >= MAX_CHUNKS || chunk.len() > CHUNK_LEN {
            return Err(AttachmentError::Refused);
        }
        let next = self.next.checked_add(1).ok_or(AttachmentError::Refused)?;
        let (plaintext, tag) = chunk.split_last_chunk_mut::<TAG_LEN>().ok_or(AttachmentError::Refused)?;
        let nonce = nonce(self.next, is_last);
        wipe::wipe_stack_after::<{ wipe::HEADER }, _>(|| {
            self.primitives.open(&self.chunk_key, &nonce, b"", plaintext, tag)
        })
        .map_err(|_| AttachmentError::Refused)?;
        // Authentic: only somebody with the key can have written a length or padding that is refused.
        let Some(content_len) = content_len(plaintext) else {
            plaintext.zeroize();
            return Err(AttachmentError::Refused);
        };
        self.next = next;
        self.is_complete = is_last;
        plaintext.get(..content_len).ok_or(AttachmentError::Refused)
    }

    /// Succeeds if the last chunk was opened: the content is whole (AT-7).
    ///
    /// # Errors
    /// [`AttachmentError::Truncated`]: what was opened is authentic, and may be a prefix of the file. It MUST NOT be
    /// presented as the file.
    pub fn finish(self) -> Result<(), AttachmentError> {
        if self.is_complete { Ok(()) } else { Err(AttachmentError::Truncated) }
    }
}

/// Number of bytes of content in a chunk's plaintext: content, zeros, and the number in 4 bytes. Returns `None` if the
/// plaintext does not have this form.
///
/// # Leaks
/// The result, on which the caller's own steps depend.
fn content_len(plaintext: &[u8]) -> Option<usize> {
    let (text, length) = plaintext.split_last_chunk::<LENGTH_LEN>()?;
    let content_len = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (_, padding) = text.split_at_checked(content_len)?;
    (padding.iter().fold(0, |or, byte| or | byte) == 0).then_some(content_len)
}

/// Shows the position, and nothing of the key.
impl<P: Primitives> fmt::Debug for AttachmentOpener<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primitives: _, chunk_key: _, next, is_complete } = self;
        let mut shown = f.debug_struct("AttachmentOpener");
        shown.field("next_chunk", next).field("is_complete", is_complete).finish_non_exhaustive()
    }
}
