// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory: independent of the file's length.

use super::{AttachmentSealer, CHUNK_LEN, HEADER_LEN, key, open_stream, seal_stream};
use allocation_counter::measure;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::io::{self, Read, Write};

const FILE_LEN: u64 = 50_000_000;

/// Seals a file of zeros while it is read.
struct SealedReader {
    sealer: AttachmentSealer,
    buffer: Box<[u8; CHUNK_LEN]>,
    /// What is left of the buffer.
    rest: std::ops::Range<usize>,
}

impl SealedReader {
    fn new(len: u64) -> Self {
        let sealer = AttachmentSealer::resume(key(1), len, 0).unwrap();
        let mut buffer = Box::new([0; CHUNK_LEN]);
        buffer[..HEADER_LEN].copy_from_slice(&sealer.header());
        Self { sealer, buffer, rest: 0..HEADER_LEN }
    }
}

impl Read for SealedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let Some(content_len) = self.sealer.next_content_len() else { return Ok(0) };
            self.buffer.fill(0);
            self.rest = 0..self.sealer.seal_chunk(content_len, &mut self.buffer).unwrap().len();
        }
        let len = self.rest.len().min(out.len());
        out[..len].copy_from_slice(&self.buffer[self.rest.start..][..len]);
        self.rest.start += len;
        Ok(len)
    }
}

/// Counts zeros, and fails at any other byte.
struct CountingWriter(u64);

impl Write for CountingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(bytes.iter().all(|byte| *byte == 0));
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn fifty_megabytes_take_one_chunk_of_memory_at_each_end() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut seal = |writer: &mut dyn Write| {
        measure(|| drop(seal_stream(FILE_LEN, io::repeat(0).take(FILE_LEN), writer, &mut rng).unwrap()))
    };
    let sealed = seal(&mut io::sink());
    assert_eq!(sealed.bytes_total, CHUNK_LEN as u64);
    let opened = measure(|| {
        let mut writer = CountingWriter(0);
        assert_eq!(open_stream(&key(1), SealedReader::new(FILE_LEN), &mut writer).unwrap(), FILE_LEN);
        assert_eq!(writer.0, FILE_LEN);
    });
    // One of the two chunks is the reader's.
    assert_eq!(opened.bytes_total, 2 * CHUNK_LEN as u64);
    // Control: a writer that keeps the file.
    assert!(seal(&mut Vec::new()).bytes_max >= FILE_LEN);
}

#[test]
fn sealing_and_opening_chunks_allocate_nothing() {
    let mut buffer = Box::new([0; CHUNK_LEN]);
    let allocated = measure(|| {
        let mut sealer = AttachmentSealer::resume(key(1), 4, 0).unwrap();
        let len = sealer.seal_chunk(4, &mut buffer).unwrap().len();
        let mut opener = super::AttachmentOpener::new(&key(1), &sealer.header()).unwrap();
        assert_eq!(opener.open_last_chunk(&mut buffer[..len]), Ok(&[0; 4][..]));
    });
    assert_eq!(allocated.count_total, 0);
    // Control: the buffer itself.
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new([0u8; CHUNK_LEN])))).bytes_total, CHUNK_LEN as u64);
}
