// SPDX-License-Identifier: MIT OR Apache-2.0
//! What server and client of this example share: lengths, names of headers, and how lists are encoded. README.md has the
//! table of requests.

use sha2::{Digest, Sha256};

/// Header with the access key of the addressed account, in hexadecimal.
pub const ACCESS_KEY: &str = "x-access-key";
/// Header with the account that uploads a file.
pub const ACCOUNT: &str = "x-account";
/// Header with the place in a file from which it is fetched, in bytes.
pub const OFFSET: &str = "x-offset";

/// Length in bytes of the hash of an access key, and of a recovery code's.
pub const HASH_LEN: usize = 32;
/// Length in bytes of a recovery code: whoever has it can replace the account's identity.
pub const RECOVERY_CODE_LEN: usize = 16;
/// Length in bytes of a login's token.
pub const TOKEN_LEN: usize = 32;
/// Length in bytes of the longest part of a file in one request, 1 MiB.
pub const PART_LEN: usize = 1 << 20;
/// Length in bytes of the longest file, 256 MiB: as much as a mailbox holds.
pub const MAX_FILE_LEN: u64 = 256 << 20;
/// Length in bytes after which an answer has no further message, 8 MiB.
pub const PAGE_LEN: usize = 8 << 20;

/// Returns SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; HASH_LEN] {
    Sha256::digest(bytes).into()
}

/// A message in a mailbox, with the number by which it is acknowledged.
pub type Numbered = (u64, Vec<u8>);

/// Encodes messages: number (8), length (4), message.
#[must_use]
pub fn encode_messages(messages: &[Numbered]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, message) in messages {
        bytes.extend(number.to_be_bytes());
        bytes.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(message);
    }
    bytes
}

/// Decodes what [`encode_messages`] encodes.
#[must_use]
pub fn decode_messages(mut bytes: &[u8]) -> Option<Vec<Numbered>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (number, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (message, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        messages.push((u64::from_be_bytes(*number), message.to_vec()));
        bytes = rest;
    }
    Some(messages)
}

/// Encodes ids of prekeys, 4 bytes each.
#[must_use]
pub fn encode_ids(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_be_bytes()).collect()
}

/// Decodes what [`encode_ids`] encodes.
#[must_use]
pub fn decode_ids(bytes: &[u8]) -> Option<Vec<u32>> {
    let (ids, rest) = bytes.as_chunks();
    rest.is_empty().then(|| ids.iter().map(|id| u32::from_be_bytes(*id)).collect())
}

/// Encodes numbers of messages, 8 bytes each.
#[must_use]
pub fn encode_numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Decodes what [`encode_numbers`] encodes.
#[must_use]
pub fn decode_numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let (numbers, rest) = bytes.as_chunks();
    rest.is_empty().then(|| numbers.iter().map(|number| u64::from_be_bytes(*number)).collect())
}
