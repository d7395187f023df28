// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seal: what it binds, its commitment to the key, and its versions.

extern crate std;
use super::*;
use crate::primitives::RustCrypto;
use std::vec::Vec;

/// A state that has nothing but bytes. In version 0, which only this test knows, they were stored in reverse.
#[derive(Debug, PartialEq)]
struct Bytes([u8; 40]);

impl Stored<RustCrypto> for Bytes {
    const KIND: u8 = 1;
    const OLDEST_VERSION: u8 = 0;

    #[cfg(feature = "alloc")]
    fn primitives(&self) -> &RustCrypto {
        &RustCrypto
    }

    fn subject(&self) -> Subject {
        SUBJECT
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        core::iter::empty()
    }

    fn core_len(&self) -> usize {
        self.0.len()
    }

    fn store_core(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put(&self.0)
    }

    fn load(_: RustCrypto, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let value = reader.array().copied().map(Self);
        reader.finish().and(value).map_err(refused)
    }

    fn load_version(version: u8, primitives: RustCrypto, reader: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let mut value = Self::load(primitives, reader)?;
        if version == 0 {
            value.0.reverse();
        }
        Ok(value)
    }
}

const SUBJECT: Subject = Subject::foreign_session([3; 32]);
const STATE: Bytes = Bytes([5; 40]);
/// Generation 3, writer 0.
const BEFORE_SALT: [u8; BEFORE_SALT_LEN] =
    [VERSION, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn key() -> StorageKey {
    StorageKey::new([7; 32])
}

fn opened(mut snapshot: Vec<u8>) -> Result<Bytes, RestoreError> {
    open(RustCrypto, &mut snapshot, &key(), &SUBJECT, 3)
}

fn sealed(state: &Bytes) -> Vec<u8> {
    let mut snapshot = std::vec![0; sealed_len(state)];
    assert_eq!(seal(&RustCrypto, state, &key(), 3, &mut snapshot), Some(snapshot.len()));
    snapshot
}

/// Local keys of a foreign session, its id, and no name, as in spec/protocol.md §11.
fn scope() -> [u8; SCOPE_LEN] {
    [&[0; 64][..], &[3; 32], &[0; 9]].concat().try_into().unwrap()
}

/// Seals the state as in SN-1, except for the salt: key, nonce and tag are those of `salt`.
fn sealed_under(salt: &[u8; SALT_LEN]) -> Vec<u8> {
    let head = [&BEFORE_SALT[..], salt].concat();
    let mut state = STATE.0;
    let key = key();
    let (aead_key, nonce) = aead_key(&RustCrypto, &SealingKeys::to_seal(&RustCrypto, &key), salt);
    let tag = RustCrypto.seal(&aead_key, &nonce, &[&head[..], &scope()].concat(), &mut state).unwrap();
    [&head[..], &state, &tag].concat()
}

/// SN-1, SN-2: the salt is checked after the tag, so that the seal commits to its key.
#[test]
fn a_wrong_salt_is_refused_although_the_tag_is_valid() {
    let key = key();
    let keys = SealingKeys::to_seal(&RustCrypto, &key);
    let salt_of = |before: [u8; BEFORE_SALT_LEN], scope: [u8; SCOPE_LEN], state: &[u8]| {
        *salt(&RustCrypto, &keys, &before, &scope, state).expose()
    };
    let right = salt_of(BEFORE_SALT, scope(), &STATE.0);
    for at in 0..SALT_LEN {
        for bit in [0, 7] {
            let mut wrong = right;
            wrong[at] ^= 1 << bit;
            assert_eq!(opened(sealed_under(&wrong)), Err(RestoreError::Refused), "{at} {bit}");
        }
    }
    for other in [[0; SALT_LEN], [0xFF; SALT_LEN]] {
        assert_eq!(opened(sealed_under(&other)), Err(RestoreError::Refused));
    }
    // The salts of another version, kind, generation, writer, subject, name and state.
    for at in [0, 1, 9, 10] {
        let mut before = BEFORE_SALT;
        before[at] ^= 1;
        assert_eq!(opened(sealed_under(&salt_of(before, scope(), &STATE.0))), Err(RestoreError::Refused), "{at}");
    }
    for at in [0, 63, 64, 95, 96, 104] {
        let mut other = scope();
        other[at] ^= 1;
        assert_eq!(opened(sealed_under(&salt_of(BEFORE_SALT, other, &STATE.0))), Err(RestoreError::Refused), "{at}");
    }
    assert_eq!(opened(sealed_under(&salt_of(BEFORE_SALT, scope(), &[6; 40]))), Err(RestoreError::Refused));

    // Control: the same helper under the right salt gives the result of `seal`, which opens.
    assert_eq!(sealed_under(&right), sealed(&STATE));
    assert_eq!(opened(sealed(&STATE)), Ok(STATE));
}

/// SN-2.
#[test]
fn a_wrong_key_or_subject_leaves_the_ciphertext_as_it_was() {
    let snapshot = sealed(&STATE);
    let try_open = |key: [u8; 32], subject: &Subject| {
        let mut buffer = snapshot.clone();
        let result: Result<Bytes, _> = open(RustCrypto, &mut buffer, &StorageKey::new(key), subject, 3);
        (result, buffer == snapshot)
    };
    assert_eq!(try_open([8; 32], &SUBJECT), (Err(RestoreError::Refused), true));
    assert_eq!(try_open([7; 32], &Subject::foreign_session([4; 32])), (Err(RestoreError::Refused), true));
    // Control: what opens is wiped.
    assert_eq!(try_open([7; 32], &SUBJECT), (Ok(STATE), false));
}

fn counting() -> Bytes {
    Bytes(core::array::from_fn(|i| i as u8))
}

/// Seals bytes as a state of `version`.
fn sealed_as(version: u8, state: &[u8; 40]) -> Vec<u8> {
    let mut snapshot = std::vec![0; state.len() + SNAPSHOT_OVERHEAD];
    let place = Place { kind: 1, subject: &SUBJECT, name: RowName::CORE };
    let revision = Revision { generation: 3, writer: [0; 16] };
    seal_state(
        &RustCrypto,
        &SealingKeys::to_seal(&RustCrypto, &key()),
        &place,
        version,
        revision,
        &mut snapshot,
        |writer| writer.put(state),
    )
    .unwrap();
    snapshot
}

#[test]
fn an_older_version_is_read_and_the_next_save_writes_the_newest() {
    let mut reversed = counting().0;
    reversed.reverse();
    let old = sealed_as(0, &reversed);
    let restored = opened(old.clone()).unwrap();
    assert_eq!(restored, counting());
    let saved = sealed(&restored);
    assert_eq!((old[0], saved[0]), (0, VERSION));
    assert_eq!(opened(saved), Ok(counting()));
    // Control: read as the newest version, the old bytes are another state, so the version must be what decides, and
    // the seal covers it.
    assert_ne!(opened(sealed_as(VERSION, &reversed)).unwrap(), counting());
    let mut relabelled = old;
    relabelled[0] = VERSION;
    assert_eq!(opened(relabelled), Err(RestoreError::Refused));
}

#[test]
fn a_newer_version_is_refused_with_an_error_of_its_own() {
    for version in [VERSION + 1, u8::MAX] {
        assert_eq!(opened(sealed_as(version, &STATE.0)), Err(RestoreError::NewerVersion));
    }
    // Control: the same helper with a known version.
    assert_eq!(opened(sealed_as(VERSION, &STATE.0)), Ok(STATE));
}

#[test]
fn a_subject_has_one_encoding() {
    let subjects = [SUBJECT, Subject::foreign_session([9; 32])];
    for subject in subjects {
        assert_eq!(Subject::from_bytes(&subject.to_bytes()), Ok(subject));
    }
    let mut device_with_id = SUBJECT.to_bytes();
    device_with_id[0] = 2;
    let unknown_kind = [0; SUBJECT_LEN];
    for bad in [&device_with_id[..], &unknown_kind, &SUBJECT.to_bytes()[..96], &[1; 98]] {
        assert!(Subject::from_bytes(bad).is_err());
    }
    assert_ne!(subjects[0].to_bytes(), subjects[1].to_bytes());
}
