// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chunks removed, moved, repeated, added and mixed. Each attack has a faulty construction that accepts its result.

use super::{content, derived, key, sealed};
use noescrow::Secret;
use noescrow::attachment::{AttachmentOpener, CHUNK_LEN, HEADER_LEN};
use noescrow::error::AttachmentError;
use noescrow::primitives::{Primitives, RustCrypto};

type Chunks = Vec<Vec<u8>>;

trait Scheme {
    fn seal(&self, file: u8) -> Chunks;
    fn opens(&self, file: u8, chunks: &Chunks) -> bool;
}

/// What the crate does.
struct Genuine;

impl Scheme for Genuine {
    fn seal(&self, file: u8) -> Chunks {
        let mut text = content(300_000);
        text[..4].fill(file);
        sealed(key(file), &text)[HEADER_LEN..].chunks(CHUNK_LEN).map(<[u8]>::to_vec).collect()
    }

    fn opens(&self, file: u8, chunks: &Chunks) -> bool {
        let header = sealed(key(file), b"")[..HEADER_LEN].try_into().unwrap();
        let mut opener = AttachmentOpener::new(&key(file), &header).unwrap();
        let mut chunks = chunks.clone();
        let Some((last, before)) = chunks.split_last_mut() else {
            return opener.finish().is_ok();
        };
        let all = before
            .iter_mut()
            .all(|chunk| chunk.as_mut_slice().try_into().is_ok_and(|chunk| opener.open_chunk(chunk).is_ok()));
        all && opener.open_last_chunk(last).is_ok() && opener.finish().is_ok()
    }
}

/// The construction with some of its rules.
#[derive(Clone, Copy)]
struct Faulty {
    has_last_flag: bool,
    has_position: bool,
    has_key_per_file: bool,
}

const ALL_RULES: Faulty = Faulty { has_last_flag: true, has_position: true, has_key_per_file: true };

impl Faulty {
    fn key_and_nonce(self, file: u8, index: usize, is_last: bool) -> (Secret<32>, [u8; 12]) {
        let mut nonce = [0; 12];
        nonce[10] = if self.has_position { index as u8 } else { 0 };
        nonce[11] = u8::from(self.has_last_flag && is_last);
        (Secret::new([if self.has_key_per_file { file } else { 0 }; 32]), nonce)
    }
}

impl Scheme for Faulty {
    fn seal(&self, file: u8) -> Chunks {
        let seal = |index: usize| {
            let (key, nonce) = self.key_and_nonce(file, index, index == 4);
            let mut chunk = vec![file ^ index as u8; 64];
            let tag = RustCrypto.seal(&key, &nonce, b"", &mut chunk).unwrap();
            [&chunk[..], &tag].concat()
        };
        (0..5).map(seal).collect()
    }

    fn opens(&self, file: u8, chunks: &Chunks) -> bool {
        chunks.iter().enumerate().all(|(index, chunk)| {
            let (key, nonce) = self.key_and_nonce(file, index, index + 1 == chunks.len());
            let (text, tag) = chunk.split_last_chunk().unwrap();
            RustCrypto.open(&key, &nonce, b"", &mut text.to_vec(), tag).is_ok()
        })
    }
}

/// Seals two files, changes the first by `attack`, and returns how many of the results open.
fn accepted(scheme: &impl Scheme, attack: impl Fn(&Chunks, &Chunks) -> Vec<Chunks>) -> usize {
    let [first, second] = [1, 2].map(|file| scheme.seal(file));
    assert!(scheme.opens(1, &first) && scheme.opens(2, &second) && first.len() == 5);
    let results = attack(&first, &second);
    assert!(!results.is_empty() && results.iter().all(|result| *result != first));
    results.iter().filter(|result| scheme.opens(1, result)).count()
}

#[test]
fn a_truncated_file_is_refused() {
    let attack = |file: &Chunks, _: &Chunks| (0..file.len()).map(|len| file[..len].to_vec()).collect();
    assert_eq!(accepted(&Genuine, attack), 0);
    assert_eq!(accepted(&ALL_RULES, |file, other| attack(file, other)[1..].to_vec()), 0);
    assert_eq!(accepted(&Faulty { has_last_flag: false, ..ALL_RULES }, attack), 5, "control");
}

#[test]
fn chunks_in_another_order_are_refused() {
    let attack = |file: &Chunks, _: &Chunks| {
        let pairs = (0..file.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let swapped = pairs.map(|(a, b)| {
            let mut chunks = file.clone();
            chunks.swap(a, b);
            chunks
        });
        swapped.collect()
    };
    assert_eq!(accepted(&Genuine, attack), 0);
    // Of ten pairs, six do not have the last chunk.
    assert_eq!(accepted(&Faulty { has_position: false, ..ALL_RULES }, attack), 6, "control");
}

#[test]
fn a_repeated_or_missing_chunk_is_refused() {
    let attack = |file: &Chunks, _: &Chunks| {
        let repeated = (0..file.len()).map(|at| [&file[..=at], &file[at..]].concat());
        repeated.chain((0..file.len()).map(|at| [&file[..at], &file[at + 1..]].concat())).collect()
    };
    assert_eq!(accepted(&Genuine, attack), 0);
    assert_eq!(accepted(&Faulty { has_position: false, ..ALL_RULES }, attack), 8, "control");
}

#[test]
fn an_extended_file_is_refused() {
    let attack = |file: &Chunks, other: &Chunks| {
        file.iter().chain(other).map(|more| [&file[..], std::slice::from_ref(more)].concat()).collect()
    };
    assert_eq!(accepted(&Genuine, attack), 0);
    let control = Faulty { has_position: false, has_last_flag: false, ..ALL_RULES };
    assert_eq!(accepted(&control, attack), 5, "control");
}

#[test]
fn chunks_of_two_files_do_not_mix() {
    let attack = |file: &Chunks, other: &Chunks| {
        let replaced = (0..file.len()).map(|at| {
            let mut chunks = file.clone();
            chunks[at] = other[at].clone();
            chunks
        });
        replaced.chain([other.clone()]).collect()
    };
    assert_eq!(accepted(&Genuine, attack), 0);
    assert_eq!(accepted(&Faulty { has_key_per_file: false, ..ALL_RULES }, attack), 6, "control");
}

#[test]
fn bytes_after_the_last_chunk_are_refused() {
    for len in [0, 100, 65_516, 131_032] {
        let whole = sealed(key(1), &content(len));
        for more in [1, 15, 16, 20, 65_536] {
            let extended = [&whole[..], &vec![0; more]].concat();
            assert_eq!(super::opened(&key(1), &extended), Err(AttachmentError::Refused), "{len} {more}");
        }
        assert_eq!(super::opened(&key(1), &whole), Ok(content(len)), "control");
    }
    // After the last chunk an opener accepts nothing.
    let whole = sealed(key(1), b"text");
    let mut opener = AttachmentOpener::resume(&key(1), 0).unwrap();
    assert!(opener.open_last_chunk(&mut whole[HEADER_LEN..].to_vec()).is_ok());
    assert_eq!(opener.open_last_chunk(&mut whole[HEADER_LEN..].to_vec()), Err(AttachmentError::Refused));
    assert_eq!(opener.open_chunk(&mut [0; CHUNK_LEN]), Err(AttachmentError::Refused));
    // Not even a second last chunk, which a holder of the key can make.
    let second = by_a_key_holder_at(1, b"more\0\0\0\x04");
    assert_eq!(opener.open_last_chunk(&mut second.clone()), Err(AttachmentError::Refused));
    let mut opener = AttachmentOpener::resume(&key(1), 1).unwrap();
    assert_eq!(opener.open_last_chunk(&mut second.clone()), Ok(&b"more"[..]), "control");
}

/// A download that loses its end, at every byte.
#[test]
fn a_file_truncated_at_any_byte_is_refused() {
    let whole = sealed(key(1), &content(131_100));
    let edges = [0, 1, HEADER_LEN, HEADER_LEN + CHUNK_LEN, HEADER_LEN + 2 * CHUNK_LEN, whole.len()];
    let near = edges.iter().flat_map(|edge| edge.saturating_sub(40)..edge + 40).filter(|len| *len < whole.len());
    for len in near.chain((0..whole.len()).step_by(9_973)) {
        let error = super::opened(&key(1), &whole[..len]).unwrap_err();
        let expected = if len <= HEADER_LEN { AttachmentError::Truncated } else { AttachmentError::Refused };
        assert_eq!(error, expected, "{len}");
    }
    assert_eq!(super::opened(&key(1), &whole), Ok(content(131_100)), "control");
}

#[test]
fn a_prefix_is_never_reported_as_a_whole_file() {
    let whole = sealed(key(1), &content(300_000));
    let chunks: Vec<&[u8]> = whole[HEADER_LEN..].chunks(CHUNK_LEN).collect();
    for count in 0..chunks.len() {
        let mut opener = AttachmentOpener::new(&key(1), whole[..HEADER_LEN].try_into().unwrap()).unwrap();
        for chunk in &chunks[..count] {
            opener.open_chunk(&mut (*chunk).try_into().unwrap()).unwrap();
        }
        assert!(!opener.is_complete());
        assert_eq!(opener.finish(), Err(AttachmentError::Truncated), "{count}");
    }
    // Control: with the last chunk.
    let mut opener = AttachmentOpener::resume(&key(1), 4).unwrap();
    opener.open_last_chunk(&mut chunks[4].to_vec()).unwrap();
    assert!(opener.is_complete());
    assert_eq!(opener.finish(), Ok(()));
}

#[test]
fn a_refused_chunk_changes_neither_opener_nor_buffer() {
    let whole = sealed(key(1), &content(131_100));
    let (first, second) = (&whole[HEADER_LEN..][..CHUNK_LEN], &whole[HEADER_LEN + CHUNK_LEN..][..CHUNK_LEN]);
    let mut opener = AttachmentOpener::resume(&key(1), 0).unwrap();
    let mut buffer: [u8; CHUNK_LEN] = second.try_into().unwrap();
    assert_eq!(opener.open_chunk(&mut buffer), Err(AttachmentError::Refused));
    assert_eq!(opener.open_last_chunk(&mut buffer), Err(AttachmentError::Refused));
    assert!(buffer == second && opener.next_chunk() == 0);
    // Control: the right chunk opens, and the buffer then has its content.
    buffer.copy_from_slice(first);
    assert!(opener.open_chunk(&mut buffer).unwrap().starts_with(&content(65_000)));
    assert_eq!(opener.next_chunk(), 1);
}

/// A last chunk with any plaintext, made by a holder of the key.
fn by_a_key_holder(plaintext: &[u8]) -> Vec<u8> {
    by_a_key_holder_at(0, plaintext)
}

fn by_a_key_holder_at(index: u8, plaintext: &[u8]) -> Vec<u8> {
    let mut chunk = plaintext.to_vec();
    let nonce = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, index, 1];
    let tag = RustCrypto.seal(&derived(&key(1)).0, &nonce, b"", &mut chunk).unwrap();
    [&chunk[..], &tag].concat()
}

#[test]
fn malformed_plaintexts_of_key_holders_are_refused_and_wiped() {
    let long = b"text\0\0\0\x00\x00\x00\x08";
    let padded = b"text\0\x01\0\x00\x00\x00\x04";
    for plaintext in [&b""[..], b"\0\0\0", b"\0\0\0\x01", b"text\xFF\xFF\xFF\xFF", long, padded] {
        let mut chunk = by_a_key_holder(plaintext);
        let mut opener = AttachmentOpener::resume(&key(1), 0).unwrap();
        assert_eq!(opener.open_last_chunk(&mut chunk), Err(AttachmentError::Refused), "{plaintext:?}");
        assert!(chunk[..plaintext.len()].iter().all(|byte| *byte == 0) && !opener.is_complete());
    }
    for (plaintext, text) in
        [(&b"text\0\0\0\x00\x00\x00\x04"[..], &b"text"[..]), (b"text\0\0\0\x00\x00\x00\x05", b"text\0")]
    {
        let mut opener = AttachmentOpener::resume(&key(1), 0).unwrap();
        assert_eq!(opener.open_last_chunk(&mut by_a_key_holder(plaintext)), Ok(text), "control");
    }
    let mut opener = AttachmentOpener::resume(&key(1), 0).unwrap();
    let too_long = &mut by_a_key_holder(&[0; CHUNK_LEN - 15]);
    assert_eq!(opener.open_last_chunk(too_long), Err(AttachmentError::Refused));
    assert_eq!(opener.open_last_chunk(&mut by_a_key_holder(&[0; CHUNK_LEN - 16])), Ok(&b""[..]), "control");
}
