// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots as who has the storage key sees and forges them (spec/protocol.md §11).

use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Secret, StorageKey};

const STORAGE_KEY: [u8; 32] = [0x5A; 32];

pub fn storage_key() -> StorageKey {
    StorageKey::new(STORAGE_KEY)
}

/// Second byte of a session's snapshot, and of a device's.
pub const SESSION: u8 = 1;
pub const DEVICE: u8 = 2;

/// Bytes of a snapshot before the ciphertext: version, kind, generation, salt.
pub const HEAD: usize = 1 + 1 + 8 + 32;

/// Where the ratchet's fields stand, counted from the end of a session's state that holds no skipped key.
pub const COUNTS_FROM_END: usize = 4 + 4;
pub const STEP_FROM_END: usize = COUNTS_FROM_END + 4;
pub const NEXT_RECEIVING_HEADER_KEY_FROM_END: usize = STEP_FROM_END + 32;
/// Nr, of a session that has received.
pub const RECEIVING_NUMBER_FROM_END: usize = NEXT_RECEIVING_HEADER_KEY_FROM_END + 32 + 4;
/// HKr, of a session that has received.
pub const RECEIVING_HEADER_KEY_FROM_END: usize = RECEIVING_NUMBER_FROM_END + 32;
/// Ns, of a session that has received and sent since.
pub const SENDING_NUMBER_FROM_END: usize = RECEIVING_HEADER_KEY_FROM_END + 32 + 32 + 1 + 4 + 4;

fn aead_key(salt: &[u8]) -> (Secret<32>, [u8; 12]) {
    let mut material = [0; 44];
    RustCrypto.hkdf_expand(&Secret::new(STORAGE_KEY), &[b"noescrow-v1 snapshot seal", salt], &mut material);
    (Secret::new(material[..32].try_into().unwrap()), material[32..].try_into().unwrap())
}

/// A snapshot's state in the clear.
pub fn opened(mut snapshot: Vec<u8>) -> Vec<u8> {
    let tag = snapshot.split_off(snapshot.len() - 16).try_into().unwrap();
    let mut state = snapshot.split_off(HEAD);
    let (key, nonce) = aead_key(&snapshot[10..]);
    RustCrypto.open(&key, &nonce, &snapshot, &mut state, &tag).unwrap();
    state
}

/// A snapshot of any state, of generation 0.
pub fn sealed(kind: u8, mut state: Vec<u8>) -> Vec<u8> {
    let mut salt_key = [0; 32];
    RustCrypto.hkdf_expand(&Secret::new(STORAGE_KEY), &[b"noescrow-v1 snapshot salt"], &mut salt_key);
    let clear = [1, kind, 0, 0, 0, 0, 0, 0, 0, 0];
    let salt = RustCrypto.hmac(&salt_key, &[&clear, &state]);
    let head = [&clear[..], salt.expose()].concat();
    let (key, nonce) = aead_key(salt.expose());
    let tag = RustCrypto.seal(&key, &nonce, &head, &mut state).unwrap();
    [head, state, tag.to_vec()].concat()
}
