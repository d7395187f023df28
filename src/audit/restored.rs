// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secrets within a state that was sealed in a snapshot (spec/protocol.md §11): a device that a trace begins by
//! restoring has used none of them yet, so that no operation says what they are.
//!
//! The layouts are those of `device/stored.rs`, `session.rs`, `ratchet/stored.rs` and `ratchet/braid/stored.rs`: `tests/audit_blind_spots/keys.rs` meets
//! every secret of genuine states in parts.

use crate::error::DecodeError;
use crate::primitives::{CT1_LEN, CT2_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, KEM_SEED_LEN};
use crate::wire::{ChunkSize, HANDSHAKE_LEN, IDENTITY_LEN, Reader};
use std::vec::Vec;

/// The name of an identity's seed.
pub(super) const SIGNING_KEY: &str = "Ed25519 private key";
/// The name of a prekey's seed, which is of ML-KEM-1024.
pub(super) const KEM_KEY: &str = "ML-KEM private key";
/// The name of a seed of the Braid, which is of ML-KEM-768.
pub(super) const BRAID_KEM_KEY: &str = "ML-KEM-768 private key";

/// A secret, and what it is.
pub(super) type Part<'a> = (&'static str, &'a [u8]);

/// The secrets of a state, by what its snapshot begins with, version and kind; `None` if it is no state of this crate.
pub(super) fn secrets<'a>(head: &[u8], state: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    let mut reader = Reader::new(state);
    let read = match head {
        [1, 1, ..] => session(&mut reader, &mut parts),
        [1, 2, ..] => device(&mut reader, &mut parts),
        _ => return None,
    };
    read.and_then(|()| reader.finish()).ok().map(|()| parts)
}

type Parts<'a> = Vec<Part<'a>>;

fn key<'a>(reader: &mut Reader<'a>, name: &'static str, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    parts.push((name, reader.array::<32>()?));
    Ok(())
}

fn session<'a>(reader: &mut Reader<'a>, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    if reader.flag()? {
        reader.array::<{ 2 * IDENTITY_LEN }>()?;
    }
    // The associated data, of which the handshake's parties are made.
    reader.array::<32>()?;
    match reader.u8()? {
        0 => drop(reader.array::<HANDSHAKE_LEN>()?),
        1 => drop(reader.array::<32>()?),
        _ => {}
    }
    let chunk_size = ChunkSize::from_code(reader.u8()?)?;
    double_ratchet(reader, parts)?;
    if braid(reader, chunk_size, parts)? { sparse_ratchet(reader, parts) } else { reader.u8().map(drop) }
}

fn double_ratchet<'a>(reader: &mut Reader<'a>, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    key(reader, "root key", parts)?;
    match reader.u8()? {
        0 => key(reader, "X25519 private key", parts)?,
        1 => {
            reader.array::<32>()?;
            reader.u32()?;
        }
        _ => {
            key(reader, "X25519 private key", parts)?;
            key(reader, "chain key", parts)?;
            key(reader, "header key", parts)?;
            reader.array::<12>()?;
        }
    }
    if reader.flag()? {
        reader.array::<32>()?;
        key(reader, "chain key", parts)?;
        key(reader, "header key", parts)?;
        reader.u32()?;
    }
    key(reader, "header key", parts)?;
    key(reader, "header key", parts)?;
    reader.u32()?;
    for _ in 0..reader.u32()? {
        reader.u32()?;
        key(reader, "header key", parts)?;
    }
    for _ in 0..reader.u32()? {
        reader.array::<8>()?;
        key(reader, "message key", parts)?;
    }
    Ok(())
}

/// False if it is dead, and holds nothing.
fn braid<'a>(reader: &mut Reader<'a>, chunk_size: ChunkSize, parts: &mut Parts<'a>) -> Result<bool, DecodeError> {
    let state = reader.u8()?;
    if state == 0 {
        return Ok(false);
    }
    reader.u32()?;
    key(reader, "authenticator's root", parts)?;
    key(reader, "authenticator's MAC key", parts)?;
    if (2..=5).contains(&state) {
        parts.push((BRAID_KEM_KEY, reader.array::<KEM_SEED_LEN>()?));
    }
    if (8..=10).contains(&state) {
        key(reader, "ML-KEM coins", parts)?;
        reader.array::<EK_HEADER_LEN>()?;
    }
    if [2, 3, 4, 8, 9].contains(&state) {
        reader.u32()?;
    }
    match state {
        4 => drop(reader.array::<CT1_LEN>()?),
        5 => {
            reader.array::<CT1_LEN>()?;
            chunks(reader, chunk_size)?;
        }
        3 | 6 | 8 | 10 => chunks(reader, chunk_size)?,
        7 => drop(reader.array::<EK_HEADER_LEN>()?),
        9 => drop(reader.array::<EK_VECTOR_LEN>()?),
        11 => drop(reader.array::<{ CT2_LEN + 32 + 4 }>()?),
        _ => {}
    }
    Ok(true)
}

fn chunks(reader: &mut Reader<'_>, chunk_size: ChunkSize) -> Result<(), DecodeError> {
    for _ in 0..reader.u8()? {
        reader.array::<2>()?;
        reader.bytes(chunk_size.bytes())?;
    }
    Ok(())
}

fn sparse_ratchet<'a>(reader: &mut Reader<'a>, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    reader.u8()?;
    key(reader, "post-quantum root key", parts)?;
    reader.u32()?;
    for _ in 0..reader.u8()? {
        if reader.flag()? {
            key(reader, "post-quantum chain key", parts)?;
            reader.u32()?;
        }
        key(reader, "post-quantum chain key", parts)?;
        reader.u32()?;
        key(reader, "post-quantum header secret", parts)?;
    }
    for _ in 0..reader.u32()? {
        reader.array::<8>()?;
        key(reader, "post-quantum message key", parts)?;
    }
    Ok(())
}

fn device<'a>(reader: &mut Reader<'a>, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    key(reader, SIGNING_KEY, parts)?;
    key(reader, "X25519 private key", parts)?;
    reader.u32()?;
    signed_prekey(reader, parts)?;
    if reader.flag()? {
        signed_prekey(reader, parts)?;
    }
    for _ in 0..reader.u32()? {
        prekey(reader, parts)?;
    }
    Ok(())
}

fn signed_prekey<'a>(reader: &mut Reader<'a>, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    prekey(reader, parts)?;
    for _ in 0..reader.u32()? {
        reader.array::<32>()?;
    }
    Ok(())
}

fn prekey<'a>(reader: &mut Reader<'a>, parts: &mut Parts<'a>) -> Result<(), DecodeError> {
    reader.array::<{ 4 + 8 }>()?;
    key(reader, "X25519 private key", parts)?;
    parts.push((KEM_KEY, reader.array::<KEM_SEED_LEN>()?));
    reader.array::<32>()?;
    Ok(())
}
