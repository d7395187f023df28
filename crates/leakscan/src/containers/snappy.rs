// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snappy streams (framing format of 2013-10-25): chunks are read here, `snap` decompresses their content.

use super::checksums::masked_crc32c;
use super::unpack::{Output, Progress, Unpack};
use snap::raw::{Decoder, decompress_len};

/// Bytes that a chunk decompresses to at most.
const MAX_CHUNK: usize = 1 << 16;

/// The decoder of a stream.
#[derive(Default)]
pub(super) struct Snappy {
    /// What has been read of the next chunk.
    pending: Vec<u8>,
    decoder: Decoder,
}

impl Snappy {
    /// Decodes the chunk that begins at `from` in what is pending: its length, and how far the stream is. `None` if it is
    /// incomplete.
    fn step(&mut self, from: usize, buffer: &mut Vec<u8>, output: Output<'_>) -> Option<(usize, Progress)> {
        let bytes = self.pending.get(from..)?;
        let &[kind, low, middle, high] = bytes.first_chunk()?;
        let len = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let end = len.saturating_add(4);
        // A stream has no end of its own. In an archive, zeros follow it.
        if (kind, len) == (0, 0) {
            return Some((0, Progress::End(0)));
        }
        match kind {
            // The identifier of a stream, padding, and chunks that are to be skipped.
            0x80..=0xFF => bytes.get(..end).map(|_| (end, Progress::More)),
            0 | 1 if len <= MAX_CHUNK.saturating_mul(2) => {
                let (sum, content) = bytes.get(4..end)?.split_first_chunk()?;
                let content = if kind == 1 {
                    content
                } else {
                    buffer.resize(decompress_len(content).ok().filter(|len| *len <= MAX_CHUNK).unwrap_or(0), 0);
                    let written = self.decoder.decompress(content, buffer);
                    let Ok(written) = written else { return Some((0, Progress::Broken)) };
                    buffer.get(..written)?
                };
                let is_whole = masked_crc32c(content) == u32::from_le_bytes(*sum);
                let progress = match is_whole {
                    true if output(content) => Progress::More,
                    true => Progress::Stopped,
                    false => Progress::Broken,
                };
                Some((end, progress))
            }
            _ => Some((0, Progress::Broken)),
        }
    }
}

impl Unpack for Snappy {
    fn feed(&mut self, bytes: &[u8], last: bool, _buffer: &mut [u8], output: Output<'_>) -> Progress {
        self.pending.extend_from_slice(bytes);
        let (mut from, mut buffer) = (0usize, Vec::new());
        while let Some((len, progress)) = self.step(from, &mut buffer, &mut *output) {
            from = from.saturating_add(len);
            match progress {
                Progress::More => {}
                Progress::End(_) => return Progress::End(self.pending.len().saturating_sub(from)),
                progress => return progress,
            }
        }
        self.pending.drain(..from);
        if last && self.pending.is_empty() { Progress::End(0) } else { Progress::More }
    }
}
