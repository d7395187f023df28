// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lengths: which part of the content is in which chunk, and how long a sealed file is.

use super::COMMITMENT_LEN;
use crate::padding::padme_u64;
use crate::primitives::TAG_LEN;

/// Length in bytes of a sealed chunk; the last one may be shorter. 64 KiB: the overhead is 0.03 %, and a chunk fits into
/// the memory of a small device.
pub const CHUNK_LEN: usize = 1 << 16;
/// Length in bytes of the field with which the plaintext of a chunk ends: how many of its bytes are content.
pub(super) const LENGTH_LEN: usize = 4;
/// Number of bytes that a sealed chunk has beyond content and padding: 20.
pub const CHUNK_OVERHEAD: usize = LENGTH_LEN + TAG_LEN;
/// Number of bytes of content in a full chunk: 65,516.
pub const CHUNK_CONTENT_LEN: usize = CHUNK_LEN - CHUNK_OVERHEAD;
/// Length in bytes of the header: version and commitment.
pub const HEADER_LEN: usize = 1 + COMMITMENT_LEN;
/// Length in bytes of the longest content: 1 TiB. Under one key AES-GCM then encrypts fewer than 2^36.1 blocks, and an
/// attacker distinguishes the result from random bytes with an advantage of at most 2^-56.
pub const MAX_ATTACHMENT_LEN: u64 = 1 << 40;
/// Number of chunks of the longest attachment.
pub const MAX_CHUNKS: u32 = MAX_ATTACHMENT_LEN.div_ceil(CHUNK_CONTENT_LEN as u64) as u32;

/// How content and padding of a file are divided into chunks (AT-3, AT-4).
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) content_len: u64,
    /// Number of bytes of content and padding: a Padmé length.
    padded_len: u64,
    /// At least 1.
    pub(super) chunks: u32,
}

impl Layout {
    /// Returns `None` if the content is longer than [`MAX_ATTACHMENT_LEN`].
    pub(super) const fn new(content_len: u64) -> Option<Self> {
        if content_len > MAX_ATTACHMENT_LEN {
            return None;
        }
        let Some(padded_len) = padme_u64(content_len) else { return None };
        let chunks = padded_len.div_ceil(CHUNK_CONTENT_LEN as u64) as u32;
        Some(Self { content_len, padded_len, chunks: if chunks == 0 { 1 } else { chunks } })
    }

    /// Number of bytes of content and padding in the chunk, or `None` if there is no such chunk.
    pub(super) fn space(&self, index: u32) -> Option<usize> {
        (index < self.chunks).then(|| part(self.padded_len, index))
    }

    /// Number of bytes of content in the chunk: 0 if the chunk is padding alone.
    pub(super) fn content(&self, index: u32) -> usize {
        part(self.content_len, index)
    }

    /// Number of bytes of content before the chunk.
    pub(super) fn content_before(&self, index: u32) -> u64 {
        start(index).min(self.content_len)
    }

    const fn sealed_len(&self) -> u64 {
        let overhead = (self.chunks as u64).saturating_mul(CHUNK_OVERHEAD as u64);
        (HEADER_LEN as u64).saturating_add(self.padded_len).saturating_add(overhead)
    }
}

/// Number of bytes before the chunk, in content and padding.
fn start(index: u32) -> u64 {
    u64::from(index).saturating_mul(CHUNK_CONTENT_LEN as u64)
}

/// Number of the first `len` bytes that are in the chunk.
fn part(len: u64, index: u32) -> usize {
    let rest = len.saturating_sub(start(index));
    usize::try_from(rest).map_or(CHUNK_CONTENT_LEN, |rest| rest.min(CHUNK_CONTENT_LEN))
}

/// Length in bytes of the sealed file of `content_len` bytes, or `None` if the content is longer than
/// [`MAX_ATTACHMENT_LEN`].
///
/// # Leaks
/// The result depends on the Padmé class of `content_len` alone.
#[must_use]
pub const fn sealed_len(content_len: u64) -> Option<u64> {
    match Layout::new(content_len) {
        Some(layout) => Some(layout.sealed_len()),
        None => None,
    }
}

/// Number of full chunks in the first `sealed_bytes` bytes of a sealed file: where an interrupted transfer continues.
/// A chunk that is incomplete, or shorter than [`CHUNK_LEN`], does not count.
#[must_use]
pub fn complete_chunks(sealed_bytes: u64) -> u32 {
    let chunks = sealed_bytes.saturating_sub(HEADER_LEN as u64).checked_div(CHUNK_LEN as u64);
    chunks.and_then(|chunks| u32::try_from(chunks).ok()).unwrap_or(MAX_CHUNKS).min(MAX_CHUNKS)
}
