// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots as the holder of the storage key reads and forges them (spec/protocol.md §11).

use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Secret, StorageKey};

const STORAGE_KEY: [u8; 32] = [0x5A; 32];

pub fn storage_key() -> StorageKey {
    StorageKey::new(STORAGE_KEY)
}

/// Second byte of a session's snapshot. A device's has [`DEVICE`].
pub const SESSION: u8 = 1;
pub const DEVICE: u8 = 2;

/// Bytes of a snapshot before the ciphertext: version, kind, generation, salt.
pub const HEAD: usize = 1 + 1 + 8 + 32;

/// Bytes of a session's state before its opening: flag, two identities, AD, id.
pub const OPENING: usize = 1 + 2 * 128 + 32 + 32;
/// Bytes of a handshake.
pub const HANDSHAKE_LEN: usize = 1756;

/// Offsets of the fields in a session's state (spec/protocol.md §11). A field that the state lacks has no offset.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The chunk size's code, the first field of the ratchets.
    pub chunk_size: usize,
    /// CKs and Ns, of a session that has sent since it last received.
    pub sending_chain_key: Option<usize>,
    pub sending_number: Option<usize>,
    /// CKr, HKr and Nr, of a session that has received.
    pub receiving_chain_key: Option<usize>,
    pub receiving_header_key: Option<usize>,
    pub receiving_number: Option<usize>,
    pub next_receiving_header_key: usize,
    pub step: usize,
    /// The counts of retired chains and of skipped keys.
    pub chains: usize,
    pub keys: usize,
    /// The sparse ratchet's half: the number of the Braid's state.
    pub braid: usize,
    /// The direction, where the Braid ends.
    pub direction: usize,
    /// The remaining fields, which exist unless the Braid is dead: for each epoch its number and the offsets of CKs and
    /// CKr, each followed by its N.
    pub epochs: Vec<(u32, Option<usize>, usize)>,
    /// The count of keys that the sparse ratchet has skipped.
    pub sparse_keys: Option<usize>,
}

impl Places {
    pub fn of(state: &[u8]) -> Self {
        let number = |at: usize| u32::from_be_bytes(*state[at..].first_chunk().unwrap());
        let count = |at: usize| number(at) as usize;
        let mut places = Self::default();
        // The parties may be missing; the AD is followed by the handshake, its digest or nothing.
        let opening = if state[0] == 1 { OPENING } else { 1 + 32 + 32 };
        let mut at = opening + 1 + [HANDSHAKE_LEN, 32, 0][usize::from(state[opening])];
        places.chunk_size = at;
        let chunk = 32 << state[at];
        at += 1 + 32;
        at += match state[at] {
            0 => 1 + 32,
            1 => 1 + 32 + 4,
            _ => {
                places.sending_chain_key = Some(at + 1 + 32);
                places.sending_number = Some(at + 1 + 3 * 32);
                1 + 3 * 32 + 3 * 4
            }
        };
        at += match state[at] {
            0 => 1,
            _ => {
                places.receiving_chain_key = Some(at + 1 + 32);
                places.receiving_header_key = Some(at + 1 + 2 * 32);
                places.receiving_number = Some(at + 1 + 3 * 32);
                1 + 3 * 32 + 4
            }
        };
        places.next_receiving_header_key = at + 32;
        places.step = at + 2 * 32;
        places.chains = places.step + 4;
        places.keys = places.chains + 4 + count(places.chains) * 36;
        places.braid = places.keys + 4 + count(places.keys) * 40;

        at = places.braid;
        let decoder = |at: usize| 1 + usize::from(state[at]) * (2 + chunk);
        let head = at + 1 + 4 + 2 * 32;
        at = match state[at] {
            0 => at + 1,
            1 => head,
            2 => head + 64 + 4,
            3 => head + 64 + 4 + decoder(head + 64 + 4),
            4 => head + 64 + 4 + 960,
            5 => head + 64 + 960 + decoder(head + 64 + 960),
            6 => head + decoder(head),
            7 => head + 64,
            8 => head + 32 + 64 + 4 + decoder(head + 32 + 64 + 4),
            9 => head + 32 + 64 + 4 + 1152,
            10 => head + 32 + 64 + decoder(head + 32 + 64),
            _ => head + 128 + 32 + 4,
        };
        places.direction = at;
        if state[places.braid] == 0 {
            return places;
        }
        // Direction, root key, newest epoch, number of epochs.
        let (newest, epochs) = (number(at + 1 + 32), u32::from(state[at + 1 + 32 + 4]));
        at += 1 + 32 + 4 + 1;
        for epoch in newest + 1 - epochs..=newest {
            let sending = (state[at] == 1).then_some(at + 1);
            at += 1 + sending.map_or(0, |_| 32 + 4);
            places.epochs.push((epoch, sending, at));
            at += 32 + 4 + 32;
        }
        places.sparse_keys = Some(at);
        assert_eq!(at + 4 + count(at) * 40, state.len(), "the end of the state");
        places
    }
}

fn aead_key(salt: &[u8]) -> (Secret<32>, [u8; 12]) {
    let mut material = [0; 44];
    RustCrypto.hkdf_expand(&Secret::new(STORAGE_KEY), &[b"noescrow-v1 snapshot seal", salt], &mut material);
    (Secret::new(material[..32].try_into().unwrap()), material[32..].try_into().unwrap())
}

/// The plaintext state of a snapshot.
pub fn opened(mut snapshot: Vec<u8>) -> Vec<u8> {
    let tag = snapshot.split_off(snapshot.len() - 16).try_into().unwrap();
    let mut state = snapshot.split_off(HEAD);
    let (key, nonce) = aead_key(&snapshot[10..]);
    RustCrypto.open(&key, &nonce, &snapshot, &mut state, &tag).unwrap();
    state
}

/// A snapshot of generation 0 of any state.
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
