// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots as the holder of the storage key reads and forges them (spec/protocol.md §11).

use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::snapshot::Subject;
use noescrow::{Secret, StorageKey};

const STORAGE_KEY: [u8; 32] = [0x5A; 32];

pub fn storage_key() -> StorageKey {
    StorageKey::new(STORAGE_KEY)
}

/// Second byte of a session's snapshot. A device's has [`DEVICE`].
pub const SESSION: u8 = 1;
pub const DEVICE: u8 = 2;

/// Bytes of a snapshot before the salt: version, kind, generation, writer.
const BEFORE_SALT: usize = 1 + 1 + 8 + 16;
/// Bytes of a snapshot before the ciphertext.
pub const HEAD: usize = BEFORE_SALT + 32;

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
    /// The count of retired chains.
    pub chains: usize,
    /// The sparse ratchet's half: the number of the Braid's state.
    pub braid: usize,
    /// The direction, where the Braid ends.
    pub direction: usize,
    /// The remaining fields, which exist unless the Braid is dead: for each epoch its number and the offsets of CKs and
    /// CKr, each followed by its N.
    pub epochs: Vec<(u32, Option<usize>, usize)>,
    /// Where the core ends and the parts begin.
    pub parts: usize,
    /// The parts: which ratchet's skipped keys, 1 or 2, and the offset of the mask.
    pub pages: Vec<(u8, usize)>,
}

impl Places {
    pub fn of(state: &[u8]) -> Self {
        let number = |at: usize| u32::from_be_bytes(*state[at..].first_chunk().unwrap());
        let count = |at: usize| number(at) as usize;
        let mut places = Self::default();
        // The id is followed by the handshake, its digest or nothing.
        let opening = opening_of(state);
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
        places.braid = places.chains + 4 + count(places.chains) * 36;

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
            places.parts = at + 1;
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
        places.parts = at;
        while at < state.len() {
            places.pages.push((state[at], at + 9));
            at += 9 + 4 + 32 * number(at + 9).count_ones() as usize;
        }
        assert_eq!(at, state.len(), "the end of the state");
        places
    }

    /// How many skipped keys of this ratchet, 1 or 2, the state has.
    pub fn kept(&self, state: &[u8], ratchet: u8) -> usize {
        let masks = self.pages.iter().filter(|(part, _)| *part == ratchet);
        masks.map(|(_, at)| u32::from_be_bytes(*state[*at..].first_chunk().unwrap()).count_ones() as usize).sum()
    }
}

/// The offset of a session's opening: without parties, only the flag, AD and id are before it.
fn opening_of(state: &[u8]) -> usize {
    if state.first() == Some(&1) { OPENING } else { 1 + 32 + 32 }
}

/// The subject that a state claims to be: of a session the local keys and the id, which is before the opening; of a
/// device the identity that its secrets make.
pub fn subject(kind: u8, state: &[u8]) -> Subject {
    let mut padded = state.to_vec();
    padded.resize(state.len().max(OPENING), 0);
    let (local, id) = if kind == DEVICE {
        let [signing, dh] = [0, 32].map(|at| Secret::new(*padded[at..].first_chunk().unwrap()));
        ([RustCrypto.signing_public(&signing), RustCrypto.dh_public(&dh)].concat(), vec![0; 32])
    } else {
        let local = if padded[0] == 1 { padded[1..65].to_vec() } else { vec![0; 64] };
        (local, padded[opening_of(&padded) - 32..][..32].to_vec())
    };
    Subject::from_bytes(&[&[kind][..], &local, &id].concat()).unwrap_or(Subject::foreign_session([0; 32]))
}

/// The subject that a snapshot claims to be of.
pub fn claimed(snapshot: &[u8]) -> Subject {
    let kind = if snapshot.get(1) == Some(&DEVICE) { DEVICE } else { SESSION };
    subject(kind, &deciphered(snapshot))
}

fn aead_key(salt: &[u8]) -> (Secret<32>, [u8; 12]) {
    let mut material = [0; 44];
    RustCrypto.hkdf_expand(&Secret::new(STORAGE_KEY), &[b"noescrow-v1 snapshot seal", salt], &mut material);
    (Secret::new(material[..32].try_into().unwrap()), material[32..].try_into().unwrap())
}

/// The plaintext of a snapshot whose seal nobody checks: encrypting once more with the same key stream.
fn deciphered(snapshot: &[u8]) -> Vec<u8> {
    let Some((head, rest)) = snapshot.split_at_checked(HEAD) else { return Vec::new() };
    let mut state = rest[..rest.len().saturating_sub(16)].to_vec();
    let (key, nonce) = aead_key(&head[BEFORE_SALT..]);
    RustCrypto.seal(&key, &nonce, b"", &mut state).unwrap();
    state
}

/// The plaintext state of a snapshot.
pub fn opened(snapshot: Vec<u8>) -> Vec<u8> {
    let state = deciphered(&snapshot);
    assert_eq!(sealed_as(&snapshot[..BEFORE_SALT], state.clone()), snapshot, "it is genuine");
    state
}

/// A snapshot of generation 0 of any state, sealed as the subject that it claims to be.
pub fn sealed(kind: u8, state: Vec<u8>) -> Vec<u8> {
    let mut before_salt = [0; BEFORE_SALT];
    before_salt[..2].copy_from_slice(&[1, kind]);
    sealed_as(&before_salt, state)
}

fn sealed_as(before_salt: &[u8], mut state: Vec<u8>) -> Vec<u8> {
    let mut salt_key = [0; 32];
    RustCrypto.hkdf_expand(&Secret::new(STORAGE_KEY), &[b"noescrow-v1 snapshot salt"], &mut salt_key);
    // Local keys and id, and no name of a row.
    let scope = [&subject(before_salt[1], &state).to_bytes()[1..], &[0; 9]].concat();
    let salt = RustCrypto.hmac(&salt_key, &[before_salt, &scope, &state]);
    let head = [before_salt, salt.expose()].concat();
    let (key, nonce) = aead_key(salt.expose());
    let tag = RustCrypto.seal(&key, &nonce, &[&head[..], &scope].concat(), &mut state).unwrap();
    [head, state, tag.to_vec()].concat()
}
