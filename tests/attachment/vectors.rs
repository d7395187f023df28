// SPDX-License-Identifier: MIT OR Apache-2.0
//! Known answers, and the construction of another crate.

use super::{CHUNK_LEN, HEADER_LEN, MAX_CHUNKS, content, derived, key, sealed};
use aead_stream::{NewStream, StreamBE32, StreamPrimitive};
use aes_gcm::Aes256Gcm;
use hex_literal::hex;
use noescrow::attachment::{AttachmentKey, AttachmentOpener, CHUNK_CONTENT_LEN};
use noescrow::error::AttachmentError::Refused;
use noescrow::primitives::{Primitives, RustCrypto};

/// The key of the vectors of spec/attachments.md: 00 01 ... 1f.
fn vector_key() -> AttachmentKey {
    AttachmentKey::from_bytes(std::array::from_fn(|at| at as u8))
}

/// Computed by spec/python from the text of spec/attachments.md. The last five are SHA-256 of
/// the sealed file; byte i of the content is 7 i mod 251.
#[test]
fn known_answers_pin_the_format() {
    let (chunk_key, commitment) = derived(&vector_key());
    assert_eq!(*chunk_key.expose(), hex!("f04355250c05589bb3a6cd7adb5f4d85e3078b98d5173bc0421cfc8aefaaa605"));
    assert_eq!(commitment, hex!("189d008e85ae383473abe01337b085f5afc2d82ddbd0a6f32e5aafcd9fa98790"));
    let header = hex!("01189d008e85ae383473abe01337b085f5afc2d82ddbd0a6f32e5aafcd9fa98790");
    for (text, chunk) in [
        (&b""[..], &hex!("90554771c0f947b5328ec84ad10686ad2aa4ed6d")[..]),
        (b"nothing to read", &hex!("fe3a33191b35c38ccf67e6e26b85f8ea15c37c1c4c223d6eecc4afaf3741df63d53a36ec")),
    ] {
        assert_eq!(sealed(vector_key(), text), [&header[..], chunk].concat());
    }
    for (len, sealed_len, hash) in [
        (65_516, 65_609, hex!("3f1e6f8fd407a48a360a517debc89a5e9be86cd3b12f6f96a81367d2a8bc8413")),
        (65_517, 65_609, hex!("a94d8cb45d3a1543d212e92374aca9f373cae16e695e8ac5e2a1bb4a51890c54")),
        (131_072, 131_165, hex!("c9191f77d548fa3ffe84cec1318fd7b68af6323c18f32fee2f14851538c52838")),
        (200_000, 200_817, hex!("c7ebcbf88109b88d001912739a3b4a5909453618edc7810b4258895c76023b67")),
        (5_000_000, 5_113_421, hex!("cb7577d03bbeea7d685c36364e7d8c8808c54e8a6eb995f98da9c2f4ffced2dd")),
    ] {
        let whole = sealed(vector_key(), &content(len));
        assert_eq!((whole.len(), RustCrypto.sha256(&[&whole])), (sealed_len, hash), "{len}");
    }
    // The document has the same.
    let document = include_str!("../../spec/attachments.md");
    let is_in_document = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        document.contains(&format!("`{hex}`"))
    };
    assert!(is_in_document(chunk_key.expose()) && is_in_document(&commitment));
    let hashes = [65_516, 65_517, 131_072, 200_000, 5_000_000].map(|len| {
        let whole = sealed(vector_key(), &content(len));
        RustCrypto.sha256(&[&whole])
    });
    assert!(hashes.iter().all(|hash| is_in_document(hash)) && !is_in_document(&header));
    // Control: another key.
    assert_ne!(sealed(key(0), b"")[..HEADER_LEN], header);
}

#[test]
fn chunks_are_those_of_aead_stream() {
    let (chunk_key, _) = derived(&key(1));
    let stream = StreamBE32::<Aes256Gcm>::new(chunk_key.expose().into(), &[0; 7].into());
    let (file, mut out) = (content(5_000_000), Vec::new());
    let whole = sealed(key(1), &file);
    let chunks: Vec<&[u8]> = whole[HEADER_LEN..].chunks(CHUNK_LEN).collect();
    for (index, chunk) in (0u32..).zip(&chunks) {
        let is_last = index as usize + 1 == chunks.len();
        let plaintext = stream.decrypt(index, is_last, *chunk).unwrap();
        let (text, length) = plaintext.split_last_chunk::<4>().unwrap();
        out.extend_from_slice(&text[..u32::from_be_bytes(*length) as usize]);
        // Control: another position, and the other flag.
        assert!(
            stream.decrypt(index + 1, is_last, *chunk).is_err() && stream.decrypt(index, !is_last, *chunk).is_err()
        );
    }
    assert!(out == file && chunks.len() == 79);
}

/// Positions that files of a test do not reach.
#[test]
fn positions_are_big_endian_up_to_the_last() {
    let (chunk_key, _) = derived(&key(1));
    let stream = StreamBE32::<Aes256Gcm>::new(chunk_key.expose().into(), &[0; 7].into());
    for index in [0, 1, 0x0102, 0x01_0203, 0x0100_0000, MAX_CHUNKS - 2, MAX_CHUNKS - 1] {
        let is_last = index == MAX_CHUNKS - 1;
        let mut opener = AttachmentOpener::resume(&key(1), index).unwrap();
        let plaintext = [vec![7; CHUNK_CONTENT_LEN], vec![0, 0, 0xFF, 0xEC]].concat();
        let mut chunk: [u8; CHUNK_LEN] = stream.encrypt(index, is_last, &plaintext[..]).unwrap().try_into().unwrap();
        let content = if is_last { opener.open_last_chunk(&mut chunk) } else { opener.open_chunk(&mut chunk) };
        assert_eq!(content, Ok(&[7; CHUNK_CONTENT_LEN][..]), "{index}");
    }
    // The last position but one, and the last, as chunks of a file that does not end there: nothing opens after them.
    let mut opener = AttachmentOpener::resume(&key(1), MAX_CHUNKS - 2).unwrap();
    let plaintext = [vec![7; CHUNK_CONTENT_LEN], vec![0, 0, 0xFF, 0xEC]].concat();
    let mut open = |index, is_last| {
        let mut chunk = stream.encrypt(index, is_last, &plaintext[..]).unwrap();
        if is_last {
            opener.open_last_chunk(&mut chunk).map(<[u8]>::len)
        } else {
            opener.open_chunk(chunk.as_mut_slice().try_into().unwrap()).map(<[u8]>::len)
        }
    };
    assert_eq!((open(MAX_CHUNKS - 2, false), open(MAX_CHUNKS - 1, false)), (Ok(65_516), Ok(65_516)));
    assert_eq!((open(MAX_CHUNKS, false), open(MAX_CHUNKS, true)), (Err(Refused), Err(Refused)));
}
