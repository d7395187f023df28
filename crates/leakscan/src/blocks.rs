// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cuts a stream of bytes into blocks. Each block begins with the last [`OVERLAP`] bytes of the one before, so that
//! every encoded fragment lies whole in a block. A block in which a compressed stream within text is cut is followed by
//! a longer one that begins with that stream.

/// Bytes of a block of a source: as many as a core's own cache holds, since they are read several times.
pub(crate) const BLOCK: usize = 1 << 18;
/// Bytes of a block of decompressed content and of a flow of a capture, of which there may be many at once.
pub(crate) const SMALL_BLOCK: usize = 1 << 16;
/// Bytes that two blocks share. The longest text of a fragment of 16 bytes is a list of integers in UTF-16 with a line
/// and a deep indentation for each: less than 2 KiB.
pub(crate) const OVERLAP: usize = 4096;
/// Bytes of the longest block. A compressed stream within text is followed that far: more than mail servers take.
pub(crate) const MAX_BLOCK: usize = 1 << 25;

pub(crate) struct Blocks {
    buffer: Vec<u8>,
    /// The offset in the stream of the first byte of `buffer`.
    base: u64,
    size: usize,
    /// Bytes of the next block: more than `size` if it is to hold what the last one cut.
    next_size: usize,
}

impl Blocks {
    /// Blocks of `size` bytes of a stream whose first byte is at `base`, in a buffer that is empty.
    pub(crate) const fn new(base: u64, size: usize, buffer: Vec<u8>) -> Self {
        Self { buffer, base, size, next_size: size }
    }

    /// Takes more bytes, and calls `examine` with the offset and the bytes of each block that is complete. It returns the
    /// offset of something that the end of the block cuts, with which the next block is to begin. Blocks that lie whole
    /// in `bytes` are not copied.
    pub(crate) fn push(&mut self, bytes: &[u8], mut examine: impl FnMut(u64, &[u8]) -> Option<u64>) {
        // How many bytes have been taken, into the buffer or in a block.
        let mut taken = 0usize;
        while taken < bytes.len() {
            // The buffer may contain the last of these bytes that were taken.
            let start = taken.checked_sub(self.buffer.len()).filter(|_| self.buffer.len() <= OVERLAP);
            let in_place = start.and_then(|start| bytes.get(start..start.saturating_add(self.next_size)));
            if let Some(block) = in_place {
                let cut = examine(self.base, block);
                taken = taken.saturating_sub(self.buffer.len()).saturating_add(block.len());
                let done = self.done(block.len(), cut);
                self.buffer.clear();
                self.buffer.extend_from_slice(block.get(done..).unwrap_or_default());
                self.base = self.base.saturating_add(done as u64);
                continue;
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            let now = rest.get(..self.next_size.saturating_sub(self.buffer.len())).unwrap_or(rest);
            self.buffer.extend_from_slice(now);
            taken = taken.saturating_add(now.len());
            if self.buffer.len() >= self.next_size {
                let cut = examine(self.base, &self.buffer);
                let done = self.done(self.buffer.len(), cut);
                self.buffer.drain(..done);
                self.base = self.base.saturating_add(done as u64);
                if self.next_size == self.size && self.buffer.capacity() > self.size.saturating_mul(2) {
                    self.buffer.shrink_to(self.size);
                }
            }
        }
    }

    /// Bytes of a block of `len` that are not part of the next one, if something that begins at `cut` is cut. The next
    /// block has twice the bytes from there on, so that few bytes are examined more than twice.
    fn done(&mut self, len: usize, cut: Option<u64>) -> usize {
        let rest = cut.and_then(|cut| len.checked_sub(usize::try_from(cut.saturating_sub(self.base)).ok()?));
        let kept = rest.unwrap_or(0).clamp(OVERLAP, MAX_BLOCK / 2).min(len);
        self.next_size = if kept <= OVERLAP { self.size } else { kept.saturating_mul(2).max(self.size) };
        len.saturating_sub(kept)
    }

    /// The offset of the next byte.
    pub(crate) const fn end(&self) -> u64 {
        self.base.saturating_add(self.buffer.len() as u64)
    }

    /// Ends the stream: `examine` gets the last block, which is shorter. Returns the buffer.
    pub(crate) fn finish(&mut self, examine: impl FnOnce(u64, &[u8])) -> Vec<u8> {
        let buffer = core::mem::take(&mut self.buffer);
        examine(self.base, &buffer);
        self.base = self.base.saturating_add(buffer.len() as u64);
        buffer
    }

    /// Continues the stream `missing` bytes further on. Only between [`finish`](Self::finish) and the next byte.
    pub(crate) const fn skip(&mut self, missing: u64) {
        self.base = self.base.saturating_add(missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offset and the length of each block of `bytes`, if they are pushed in pieces of `len` bytes and contain
    /// something from an offset to another that is not to be cut.
    fn blocks(bytes: &[u8], len: usize, cut: Option<(u64, u64)>) -> Vec<(u64, usize)> {
        let mut all = Vec::new();
        let mut blocks = Blocks::new(0, SMALL_BLOCK, Vec::new());
        let mut add = |base: u64, block: &[u8]| -> Option<u64> {
            let start = usize::try_from(base).unwrap();
            assert_eq!(block, &bytes[start..start + block.len()], "{base}");
            all.push((base, block.len()));
            // Something that begins at this offset and ends at that one.
            cut.filter(|cut| base <= cut.0 && cut.0 < base + block.len() as u64 && base + (block.len() as u64) < cut.1)
                .map(|cut| cut.0)
        };
        bytes.chunks(len).for_each(|bytes| blocks.push(bytes, &mut add));
        blocks.finish(|base, block| _ = add(base, block));
        all
    }

    const LENS: [usize; 8] = [1, 999, OVERLAP, OVERLAP + 1, SMALL_BLOCK - 1, SMALL_BLOCK, SMALL_BLOCK + 1, 150_000];

    fn bytes(len: u32) -> Vec<u8> {
        (0..len).map(|number| (number ^ number >> 8) as u8).collect()
    }

    #[test]
    fn blocks_overlap_and_do_not_depend_on_the_pieces_that_are_pushed() {
        let bytes = bytes(300_000);
        let expected = blocks(&bytes, bytes.len(), None);
        for (one, next) in expected.iter().zip(&expected[1..]) {
            assert_eq!(one.0 + one.1 as u64, next.0 + OVERLAP as u64);
        }
        assert_eq!(expected.len(), 5);
        for len in LENS {
            assert_eq!(blocks(&bytes, len, None), expected, "{len}");
        }
    }

    #[test]
    fn what_a_block_cuts_lies_whole_in_a_later_block() {
        let bytes = bytes(1_000_000);
        let cut = (50_000, 500_000);
        let is_whole = |&(base, len): &(u64, usize)| base <= cut.0 && cut.1 <= base + len as u64;
        let expected = blocks(&bytes, bytes.len(), Some(cut));
        assert!(expected.iter().any(is_whole), "{expected:?}");
        for len in LENS {
            assert_eq!(blocks(&bytes, len, Some(cut)), expected, "{len}");
        }
        // Few bytes are examined more than twice; then blocks have their usual size. Control: without it none is long.
        let sum = |all: &[(u64, usize)]| all.iter().map(|block| block.1).sum::<usize>();
        assert!(sum(&expected) < 3 * bytes.len(), "{expected:?}");
        assert_eq!(expected[expected.len() - 2].1, SMALL_BLOCK);
        assert!(!blocks(&bytes, bytes.len(), None).iter().any(is_whole));
    }

    #[test]
    fn a_block_is_never_longer_than_the_limit() {
        let bytes = bytes(2 * MAX_BLOCK as u32 + 77);
        let all = blocks(&bytes, 1 << 20, Some((5, u64::MAX)));
        assert!(all.iter().all(|block| block.1 <= MAX_BLOCK), "{all:?}");
        let longest = all.iter().filter(|block| block.1 == MAX_BLOCK).count();
        assert!(longest > 0 && all.len() > 100, "{all:?}");
    }
}
