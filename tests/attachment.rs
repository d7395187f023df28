// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attachments (spec/attachments.md): what is refused, where a transfer continues, and what memory and length cost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a test states its expectations"
)]

#[path = "attachment/forgeries.rs"]
mod forgeries;
#[path = "attachment/memory.rs"]
mod memory;
#[path = "attachment/resuming.rs"]
mod resuming;
#[path = "attachment/vectors.rs"]
mod vectors;

use noescrow::Secret;
use noescrow::attachment::{
    AttachmentKey, AttachmentOpener, AttachmentSealer, CHUNK_CONTENT_LEN, CHUNK_LEN, CHUNK_OVERHEAD, HEADER_LEN,
    MAX_ATTACHMENT_LEN, MAX_CHUNKS, StreamError, complete_chunks, open_stream, seal_stream, sealed_len,
};
use noescrow::error::AttachmentError;
use noescrow::primitives::{Primitives, RustCrypto};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// The key whose 32 bytes are all `byte`.
fn key(byte: u8) -> AttachmentKey {
    AttachmentKey::from_bytes([byte; 32])
}

/// A file without repeated chunks.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

/// A whole sealed file.
fn sealed(key: AttachmentKey, content: &[u8]) -> Vec<u8> {
    let mut sealer = AttachmentSealer::resume(key, content.len() as u64, 0).unwrap();
    let mut out = sealer.header().to_vec();
    sealer.seal_rest(content, &mut out).unwrap();
    sealer.finish().unwrap();
    out
}

fn opened(key: &AttachmentKey, sealed: &[u8]) -> Result<Vec<u8>, AttachmentError> {
    let mut out = Vec::new();
    let len = open_stream(key, sealed, &mut out).map_err(|error| match error {
        StreamError::Attachment(error) => Some(error),
        _ => None,
    });
    len.map(|len| assert_eq!(len, out.len() as u64)).map_err(Option::unwrap)?;
    Ok(out)
}

/// What the commitment and the chunks are sealed with, by the definition in spec/attachments.md.
fn derived(key: &AttachmentKey) -> (Secret<32>, [u8; 32]) {
    let mut material = [0; 64];
    RustCrypto.hkdf(&[0; 32], &[&key.to_bytes()], &[b"noescrow-v1 attachment", &[1]], &mut material);
    (Secret::new(material[..32].try_into().unwrap()), material[32..].try_into().unwrap())
}

#[test]
fn files_of_every_edge_length_come_back() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let chunk = CHUNK_CONTENT_LEN;
    for len in [0, 1, 2, 15, 4_096, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1, 300_000, 5_000_000] {
        let (file, mut out) = (content(len), Vec::new());
        let key = seal_stream(len as u64, &file[..], &mut out, &mut rng).unwrap();
        assert_eq!(out.len() as u64, sealed_len(len as u64).unwrap(), "{len}");
        assert_eq!(opened(&key, &out), Ok(file), "{len}");
        // Control: another key.
        assert_eq!(opened(&self::key(1), &out), Err(AttachmentError::Refused), "{len}");
    }
}

#[test]
fn each_file_gets_a_key_of_its_own() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let seal = |rng: &mut ChaCha20Rng| {
        let mut out = Vec::new();
        (seal_stream(4, &b"same"[..], &mut out, rng).unwrap().to_bytes(), out)
    };
    let (first, second) = (seal(&mut rng), seal(&mut rng));
    assert!(first.0 != second.0 && first.1 != second.1);
    // Control: a generator that repeats itself.
    assert_eq!(seal(&mut ChaCha20Rng::seed_from_u64(1)), first);
}

#[test]
fn sealed_lengths_show_the_padme_class_only() {
    // 2^22 <= len < 2^23: E = 22, S = 5, classes of 2^17 bytes.
    let class = (4 << 20) + (1 << 17);
    let lengths = [class - (1 << 17) + 1, class - 100_000, class - 1, class].map(|len| sealed_len(len).unwrap());
    assert!(lengths.iter().all(|len| *len == lengths[0]), "{lengths:?}");
    let files = [class as usize - 100_000, class as usize].map(|len| sealed(key(1), &content(len)).len() as u64);
    assert_eq!(files, [lengths[0]; 2]);
    // Control: the next class.
    assert!(sealed_len(class + 1).unwrap() > lengths[0]);
}

#[test]
fn padding_costs_an_eighth_and_large_files_a_thirtieth() {
    let cost = |len: u64| sealed_len(len).unwrap() - len - HEADER_LEN as u64;
    for len in (1..100_000).chain((0..24).map(|shift| (1 << (16 + shift)) + 1)).chain([50_000_000, MAX_ATTACHMENT_LEN])
    {
        assert!(cost(len) <= len / 8 + CHUNK_OVERHEAD as u64 * (1 + len / 50_000), "{len}");
        assert!(len < 1 << 16 || cost(len) * 30 <= len, "{len}");
    }
    // Control: the bounds are nearly reached.
    assert!(cost((1 << 16) + 1) * 32 > 1 << 16 && cost(17) * 100 > 17 * 8);
    assert_eq!(cost(50_000_000), 347_028);
}

#[test]
fn every_changed_byte_of_a_sealed_file_is_refused() {
    let whole = sealed(key(1), &content(100));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;

        assert_eq!(opened(&key(1), &changed), Err(AttachmentError::Refused), "{at}");
    }
    let mut newer = whole.clone();
    newer[0] = 2;
    assert_eq!(opened(&key(1), &newer), Err(AttachmentError::NewerVersion));
    // Control.
    assert_eq!(opened(&key(1), &whole), Ok(content(100)));
}

/// Without a commitment, a sender can make a file that AES-GCM opens under two keys.
#[test]
fn a_header_of_another_key_is_refused_before_any_chunk() {
    let whole = sealed(key(1), b"text");
    let header = sealed(key(2), b"text")[..HEADER_LEN].to_vec();
    let exchanged = [&header, &whole[HEADER_LEN..]].concat();
    assert_eq!(opened(&key(1), &exchanged), Err(AttachmentError::Refused));
    assert_eq!(AttachmentOpener::new(&key(1), header[..].try_into().unwrap()).unwrap_err(), AttachmentError::Refused);
    // Control: an opener without this check accepts the chunk.
    let mut opener = AttachmentOpener::resume(&key(1), 0).unwrap();
    assert_eq!(opener.open_last_chunk(&mut exchanged[HEADER_LEN..].to_vec()), Ok(&b"text"[..]));
}

/// The limit: who of several holders of a key has sealed a file is not shown.
#[test]
fn limit_a_holder_of_the_key_can_replace_the_file() {
    let (genuine, replaced) = (sealed(key(1), b"the file"), sealed(key(1), b"another!"));
    assert_eq!(opened(&key(1), &replaced), Ok(b"another!".to_vec()));
    // The remedy: a digest in the message.
    assert_ne!(RustCrypto.sha256(&[&genuine]), RustCrypto.sha256(&[&replaced]));
    // Control: who does not have the key cannot.
    assert_eq!(opened(&key(1), &sealed(key(2), b"another!")), Err(AttachmentError::Refused));
}

#[test]
fn content_of_another_length_makes_no_whole_file() {
    let file = content(200_000);
    for announced in [199_999, 200_001, 131_033, 0, 400_000] {
        let mut sealer = AttachmentSealer::resume(key(1), announced, 0).unwrap();
        let mut out = sealer.header().to_vec();
        let error = sealer.seal_rest(&file[..], &mut out).unwrap_err();
        assert!(matches!(error, StreamError::Attachment(AttachmentError::WrongLength)), "{announced} {error:?}");
        assert_eq!(sealer.finish().unwrap_err(), AttachmentError::Truncated, "{announced}");
        assert!(opened(&key(1), &out).is_err(), "{announced}");
    }
    // Control.
    assert_eq!(opened(&key(1), &sealed(key(1), &file)), Ok(file));
}

#[test]
fn a_chunk_with_another_content_length_is_not_sealed() {
    let mut chunk = [7; CHUNK_LEN];
    let mut sealer = AttachmentSealer::resume(key(1), 70_000, 0).unwrap();
    for wrong in [0, CHUNK_CONTENT_LEN - 1, CHUNK_CONTENT_LEN + 1, usize::MAX] {
        assert_eq!(sealer.seal_chunk(wrong, &mut chunk).unwrap_err(), AttachmentError::WrongLength);
    }
    assert!(chunk == [7; CHUNK_LEN] && sealer.next_chunk() == 0);
    // Control: the right lengths, then none.
    assert_eq!(sealer.seal_chunk(CHUNK_CONTENT_LEN, &mut chunk).unwrap().len(), CHUNK_LEN);
    assert_eq!(sealer.next_content_len(), Some(70_000 - CHUNK_CONTENT_LEN));
    sealer.seal_chunk(70_000 - CHUNK_CONTENT_LEN, &mut chunk).unwrap();
    assert_eq!(sealer.next_content_len(), None);
    assert_eq!(sealer.seal_chunk(0, &mut chunk).unwrap_err(), AttachmentError::WrongLength);
}

#[test]
fn attachments_end_at_their_bounds() {
    assert_eq!(MAX_CHUNKS, 16_782_338);
    assert!(AttachmentSealer::resume(key(1), MAX_ATTACHMENT_LEN, MAX_CHUNKS).is_ok());
    let too_long = AttachmentSealer::resume(key(1), MAX_ATTACHMENT_LEN + 1, 0);
    assert_eq!(too_long.unwrap_err(), AttachmentError::TooLong);
    assert_eq!((sealed_len(MAX_ATTACHMENT_LEN + 1), sealed_len(u64::MAX)), (None, None));
    let beyond = AttachmentSealer::resume(key(1), MAX_ATTACHMENT_LEN, MAX_CHUNKS + 1);
    assert_eq!(beyond.unwrap_err(), AttachmentError::WrongLength);
    assert!(AttachmentOpener::resume(&key(1), MAX_CHUNKS - 1).is_ok());
    assert_eq!(AttachmentOpener::resume(&key(1), MAX_CHUNKS).unwrap_err(), AttachmentError::Refused);
    assert_eq!(complete_chunks(u64::MAX), MAX_CHUNKS);
}

#[test]
fn debug_output_shows_no_byte_of_a_key() {
    let sealer = AttachmentSealer::resume(key(0xAB), 5, 0).unwrap();
    let opener = AttachmentOpener::resume(&key(0xAB), 3).unwrap();
    assert_eq!(format!("{:?}", key(0xAB)), "AttachmentKey(redacted)");
    assert_eq!(format!("{sealer:?}"), "AttachmentSealer { next_chunk: 0, .. }");
    assert_eq!(format!("{opener:?}"), "AttachmentOpener { next_chunk: 3, is_complete: false, .. }");
    // Control: the bytes would be visible.
    assert!(format!("{:?}", key(0xAB).to_bytes()).contains("171"));
}
