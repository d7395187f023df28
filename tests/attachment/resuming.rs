// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupted transfers: both ends continue at any chunk.

use super::{
    AttachmentError, AttachmentOpener, AttachmentSealer, CHUNK_LEN, HEADER_LEN, StreamError, complete_chunks, content,
    key, open_stream, seal_stream, sealed,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::error::Error;
use std::io::{self, Read, Write};

/// Five chunks, of which the last is padding alone.
const LEN: usize = 4 * super::CHUNK_CONTENT_LEN - 3;

#[test]
fn a_writer_continues_at_every_chunk() {
    let (file, whole) = (content(LEN), sealed(key(1), &content(LEN)));
    assert_eq!(whole[HEADER_LEN..].chunks(CHUNK_LEN).count(), 5);
    let mut positions = Vec::new();
    for stored in [0, HEADER_LEN, 40_000, 65_568, 65_569, 65_570, 131_105, 196_640, 196_641, 262_177, whole.len() - 1] {
        let next = complete_chunks(stored as u64);
        let mut resumed = whole[..HEADER_LEN + next as usize * CHUNK_LEN].to_vec();
        let mut sealer = AttachmentSealer::resume(key(1), LEN as u64, next).unwrap();
        sealer.seal_rest(&file[sealer.content_position() as usize..], &mut resumed).unwrap();
        assert_eq!(sealer.finish().unwrap().to_bytes(), [1; 32]);
        assert!(resumed == whole, "{stored}");
        positions.push(next);
    }
    positions.dedup();
    assert_eq!(positions, [0, 1, 2, 3, 4]);
    // After the last chunk nothing is left.
    let mut sealer = AttachmentSealer::resume(key(1), LEN as u64, 5).unwrap();
    assert_eq!((sealer.next_content_len(), sealer.content_position()), (None, LEN as u64));
    sealer.seal_rest(&b""[..], &mut io::sink()).unwrap();
    // Control: a position that is wrong by one gives other bytes, or none.
    let mut sealer = AttachmentSealer::resume(key(1), LEN as u64, 2).unwrap();
    let mut moved = whole[..HEADER_LEN + CHUNK_LEN].to_vec();
    sealer.seal_rest(&file[sealer.content_position() as usize..], &mut moved).unwrap();
    assert!(moved != whole && super::opened(&key(1), &moved).is_err());
}

#[test]
fn a_reader_continues_at_every_chunk() {
    let (file, whole) = (content(LEN), sealed(key(1), &content(LEN)));
    for next in 0..5 {
        let mut out = Vec::new();
        let mut opener = AttachmentOpener::new(&key(1), whole[..HEADER_LEN].try_into().unwrap()).unwrap();
        for chunk in whole[HEADER_LEN..].chunks(CHUNK_LEN).take(next) {
            out.extend_from_slice(opener.open_chunk(&mut chunk.try_into().unwrap()).unwrap());
        }
        let position = opener.sealed_position() as usize;
        assert_eq!(position, HEADER_LEN + next * CHUNK_LEN);
        let mut resumed = AttachmentOpener::resume(&key(1), opener.next_chunk()).unwrap();
        resumed.open_rest(&whole[position..], &mut out).unwrap();
        assert_eq!(resumed.finish(), Ok(()));
        assert!(out == file, "{next}");
        // Control: at another position the same bytes are refused.
        for other in (0..6).filter(|other| *other != next) {
            let mut resumed = AttachmentOpener::resume(&key(1), other as u32).unwrap();
            let error = resumed.open_rest(&whole[position..], io::sink()).unwrap_err();
            assert!(matches!(error, StreamError::Attachment(AttachmentError::Refused)), "{next} {other}");
            assert_eq!(resumed.finish(), Err(AttachmentError::Truncated));
        }
    }
}

/// Fails instead of ending.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // In small pieces, as a network does.
        let len = out.len().min(9_000);
        match self.0.read(&mut out[..len])? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            read => Ok(read),
        }
    }
}

/// Has room for some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.0);
        self.0 -= len;
        if len == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(len) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_is_an_error_of_both_ends() {
    let (file, whole) = (content(LEN), sealed(key(1), &content(LEN)));
    for room in [0, HEADER_LEN, 100_000, LEN - 1] {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let failed = [
            seal_stream(LEN as u64, &file[..], Full(room), &mut rng).map(drop),
            open_stream(&key(1), &whole[..], Full(room)).map(drop),
        ];
        for error in failed.map(Result::unwrap_err) {
            assert!(matches!(&error, StreamError::Write(cause) if cause.kind() == io::ErrorKind::StorageFull));
            assert_eq!((error.to_string(), error.source().is_some()), ("writer failed".to_owned(), true));
        }
    }
    // Control: enough room.
    assert_eq!(open_stream(&key(1), &whole[..], Full(LEN)).unwrap(), LEN as u64);
    assert!(seal_stream(LEN as u64, &file[..], Full(whole.len()), &mut ChaCha20Rng::seed_from_u64(1)).is_ok());
}

#[test]
fn a_sealer_continues_after_its_reader_failed() {
    let (file, whole) = (content(LEN), sealed(key(1), &content(LEN)));
    for read in (0..LEN).step_by(30_011).chain([LEN]) {
        let mut sealer = AttachmentSealer::resume(key(1), LEN as u64, 0).unwrap();
        let mut out = sealer.header().to_vec();
        let error = sealer.seal_rest(Failing(&file[..read]), &mut out).unwrap_err();
        assert!(matches!(error, StreamError::Read(_)), "{error}");
        assert!(whole.starts_with(&out) && sealer.next_chunk() == complete_chunks(out.len() as u64));
        sealer.seal_rest(&file[sealer.content_position() as usize..], &mut out).unwrap();
        assert!(out == whole, "{read}");
    }
    // Control: from the beginning.
    let mut sealer = AttachmentSealer::resume(key(1), LEN as u64, 0).unwrap();
    assert!(sealer.seal_rest(Failing(&file[..100_000]), io::sink()).is_err());
    assert!(sealer.seal_rest(&file[..], io::sink()).is_err());
}

#[test]
fn an_opener_continues_after_its_reader_failed() {
    let (file, whole) = (content(LEN), sealed(key(1), &content(LEN)));
    for received in (HEADER_LEN..whole.len()).step_by(30_011) {
        let mut out = Vec::new();
        let mut opener = AttachmentOpener::new(&key(1), whole[..HEADER_LEN].try_into().unwrap()).unwrap();
        let error = opener.open_rest(Failing(&whole[HEADER_LEN..received]), &mut out).unwrap_err();
        assert!(matches!(error, StreamError::Read(_)), "{error}");
        assert!(!opener.is_complete() && file.starts_with(&out));
        opener.open_rest(&whole[opener.sealed_position() as usize..], &mut out).unwrap();
        assert!(out == file, "{received}");
    }
    // Control: from another position.
    let mut opener = AttachmentOpener::new(&key(1), whole[..HEADER_LEN].try_into().unwrap()).unwrap();
    assert!(opener.open_rest(Failing(&whole[HEADER_LEN..100_000]), io::sink()).is_err());
    assert!(opener.open_rest(&whole[100_000..], io::sink()).is_err());
}
