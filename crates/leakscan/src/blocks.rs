// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cuts a stream of bytes into blocks. Each block begins with the last [`OVERLAP`] bytes of the one before, so that
//! every encoded fragment lies whole in a block.

/// Bytes of a block of a source: as many as a core's own cache holds, since they are read several times. A compressed
/// stream within text is followed to the end of its block.
pub(crate) const BLOCK: usize = 1 << 18;
/// Bytes of a block of decompressed content and of a flow of a capture, of which there may be many at once.
pub(crate) const SMALL_BLOCK: usize = 1 << 16;
/// Bytes that two blocks share. The longest text of a fragment of 16 bytes is a list of integers in UTF-16 with a line
/// and a deep indentation for each: less than 2 KiB.
pub(crate) const OVERLAP: usize = 4096;

pub(crate) struct Blocks {
    buffer: Vec<u8>,
    /// The offset in the stream of the first byte of `buffer`.
    base: u64,
    size: usize,
}

impl Blocks {
    /// Blocks of `size` bytes of a stream whose first byte is at `base`, in a buffer that is empty.
    pub(crate) const fn new(base: u64, size: usize, buffer: Vec<u8>) -> Self {
        Self { buffer, base, size }
    }

    /// Takes more bytes, and calls `examine` with the offset and the bytes of each block that is complete. Blocks that
    /// lie whole in `bytes` are not copied.
    pub(crate) fn push(&mut self, bytes: &[u8], mut examine: impl FnMut(u64, &[u8])) {
        // How many bytes have been taken, into the buffer or in a block.
        let mut taken = 0usize;
        while taken < bytes.len() {
            // The buffer may contain the last of these bytes that were taken.
            let start = taken.checked_sub(self.buffer.len()).filter(|_| self.buffer.len() <= OVERLAP);
            let in_place = start.and_then(|start| bytes.get(start..start.saturating_add(self.size)));
            if let Some(block) = in_place {
                examine(self.base, block);
                taken = taken.saturating_sub(self.buffer.len()).saturating_add(block.len());
                let done = block.len().saturating_sub(OVERLAP);
                self.buffer.clear();
                self.buffer.extend_from_slice(block.get(done..).unwrap_or_default());
                self.base = self.base.saturating_add(done as u64);
                continue;
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            let now = rest.get(..self.size.saturating_sub(self.buffer.len())).unwrap_or(rest);
            self.buffer.extend_from_slice(now);
            taken = taken.saturating_add(now.len());
            if self.buffer.len() >= self.size {
                examine(self.base, &self.buffer);
                let done = self.buffer.len().saturating_sub(OVERLAP);
                self.buffer.drain(..done);
                self.base = self.base.saturating_add(done as u64);
            }
        }
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

    /// The offset and the length of each block of `bytes`, if they are pushed in pieces of `len` bytes.
    fn cut(bytes: &[u8], len: usize) -> Vec<(u64, usize)> {
        let mut all = Vec::new();
        let mut blocks = Blocks::new(0, SMALL_BLOCK, Vec::new());
        let mut add = |base: u64, block: &[u8]| {
            let start = usize::try_from(base).unwrap();
            assert_eq!(block, &bytes[start..start + block.len()], "{base}");
            all.push((base, block.len()));
        };
        bytes.chunks(len).for_each(|bytes| blocks.push(bytes, &mut add));
        blocks.finish(&mut add);
        all
    }

    #[test]
    fn blocks_overlap_and_do_not_depend_on_the_pieces_that_are_pushed() {
        let bytes: Vec<u8> = (0..300_000u32).map(|number| (number ^ number >> 8) as u8).collect();
        let expected = cut(&bytes, bytes.len());
        for (one, next) in expected.iter().zip(&expected[1..]) {
            assert_eq!(one.0 + one.1 as u64, next.0 + OVERLAP as u64);
        }
        assert_eq!(expected.len(), 5);
        for len in [1, 999, OVERLAP, OVERLAP + 1, SMALL_BLOCK - 1, SMALL_BLOCK, SMALL_BLOCK + 1, 150_000] {
            assert_eq!(cut(&bytes, len), expected, "{len}");
        }
    }
}
