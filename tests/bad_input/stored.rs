// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots that differ from what was stored (attack F18), by attackers without the storage key and with it.

use crate::support::stored::{
    DEVICE, HANDSHAKE_LEN, HEAD, OPENING, Places, SESSION, claimed, opened, sealed, storage_key,
};
use crate::support::{MockDevice, MockSession, NOW, Talk, bundle, device_state, mock_device, rng, state};
use crate::{damaged, other_versions};
use noescrow::error::RestoreError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{InitiateOptions, Secret, StorageKey};

/// Restores what a snapshot claims to be.
fn session(snapshot: &[u8], newest: u64) -> Result<MockSession, RestoreError> {
    MockSession::restore_with(Default::default(), snapshot, &storage_key(), &claimed(snapshot), newest)
}

fn device(snapshot: &[u8], newest: u64) -> Result<MockDevice, RestoreError> {
    MockDevice::restore_with(Default::default(), snapshot, &storage_key(), &claimed(snapshot), newest)
}

/// A device with a previous signed prekey, a one-time prekey and an entry in its replay record.
fn stored_device() -> MockDevice {
    let mut rng = rng(30);
    let (alice, _) = mock_device(&mut rng);
    let (mut bob, _) = mock_device(&mut rng);
    let bundle = bundle(&mut bob, false, &mut rng);
    let (_, hello) = alice.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let _ = bob.accept(&hello).unwrap();
    bob.rotate(NOW, &mut rng);
    bob.publish(1, NOW, &mut rng).unwrap();
    bob
}

#[test]
fn damaged_older_and_mismatched_snapshots_are_refused() {
    let mut talk = Talk::after(31, 2);
    let _ = talk.from_alice(b"one more");
    let ours = (talk.alice.snapshot(&storage_key(), 7), stored_device().snapshot(&storage_key(), 7));
    let subjects = (talk.alice.subject(), stored_device().subject());
    let session = |snapshot: &[u8], newest| {
        MockSession::restore_with(Default::default(), snapshot, &storage_key(), &subjects.0, newest)
    };
    let device = |snapshot: &[u8], newest| {
        MockDevice::restore_with(Default::default(), snapshot, &storage_key(), &subjects.1, newest)
    };
    // A version above the newest is a public fact, with an error of its own.
    let refused = |snapshot: &[u8]| {
        let is_newer = snapshot.len() >= HEAD + 16 && snapshot[0] > 1;
        let expected = if is_newer { RestoreError::NewerVersion } else { RestoreError::Refused };
        assert_eq!(session(snapshot, 0).unwrap_err(), expected);
        assert_eq!(device(snapshot, 0).unwrap_err(), expected);
    };
    for genuine in [&ours.0, &ours.1] {
        damaged(genuine, HEAD + 20).iter().chain(&other_versions(genuine)).for_each(|bytes| refused(bytes));
        for kind in (0..=255).filter(|kind| *kind != genuine[1]) {
            let mut other = genuine.clone();
            other[1] = kind;
            refused(&other);
        }
    }
    // A snapshot of one kind is not one of the other.
    assert_eq!(session(&ours.1, 0).unwrap_err(), RestoreError::Refused);
    assert_eq!(device(&ours.0, 0).unwrap_err(), RestoreError::Refused);
    let other_key = StorageKey::new([0x5B; 32]);
    assert_eq!(
        MockSession::restore_with(Default::default(), &ours.0, &other_key, &subjects.0, 0).unwrap_err(),
        RestoreError::Refused
    );
    assert_eq!(
        MockDevice::restore_with(Default::default(), &ours.1, &other_key, &subjects.1, 0).unwrap_err(),
        RestoreError::Refused
    );
    for newest in [8, u64::MAX] {
        assert_eq!(session(&ours.0, newest).unwrap_err(), RestoreError::Rollback);
        assert_eq!(device(&ours.1, newest).unwrap_err(), RestoreError::Rollback);
        // The error does not report whether a damaged snapshot is older: its generation is not authentic.
        let mut bad = ours.0.clone();
        bad[HEAD] ^= 1;
        assert_eq!(session(&bad, newest).unwrap_err(), RestoreError::Refused);
    }
    // Control.
    assert_eq!(state(&session(&ours.0, 7).unwrap()), state(&talk.alice));
    assert_eq!(device_state(&device(&ours.1, 7).unwrap()), device_state(&stored_device()));
}

#[test]
fn a_snapshot_in_the_wrong_place_is_refused() {
    let [ours, theirs] = [35, 36].map(|seed| Talk::after(seed, 1));
    let [snapshot, exchanged] = [&ours, &theirs].map(|talk| talk.alice.snapshot(&storage_key(), 5));
    let restored = |snapshot: &[u8]| {
        MockSession::restore_with(Default::default(), snapshot, &storage_key(), &ours.alice.subject(), 4)
    };
    assert_eq!(restored(&exchanged).unwrap_err(), RestoreError::Refused);
    // Control: the snapshot in its own place, and the other one in its own.
    assert_eq!(restored(&snapshot).unwrap().id(), ours.bob.id());
    assert_eq!(session(&exchanged, 4).unwrap().id(), theirs.bob.id());
}

/// Restoring in place leaves nothing of the state in the buffer, whatever the outcome.
#[test]
fn a_snapshot_is_wiped_in_place_after_opening() {
    let talk = Talk::after(32, 2);
    let clear = opened(state(&talk.bob));
    let secret = &clear[Places::of(&clear).next_receiving_header_key..][..32];
    for newest in [0, 1] {
        let mut buffer = state(&talk.bob);
        let primitives = talk.bob_mock.clone();
        let restored =
            MockSession::restore_in_place(primitives, &mut buffer, &storage_key(), &talk.bob.subject(), newest);
        assert_eq!(restored.is_ok(), newest == 0);
        let end = buffer.len() - 16;
        assert!(buffer[HEAD..end].iter().all(|byte| *byte == 0));
        assert!(!buffer.windows(32).any(|window| window == secret));
    }
}

/// Changes each byte of the state in turn, under the right storage key: the result is refused, or is the state with
/// exactly these bytes.
fn means_its_bytes(kind: u8, clear: &[u8], reload: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> [usize; 2] {
    let mut outcomes = [0, 0];
    for at in 0..clear.len() {
        for change in [1, 0x80, 0xFF] {
            let mut forged = clear.to_vec();
            forged[at] ^= change;
            let again = reload(sealed(kind, forged.clone()));
            assert!(again.as_ref().is_none_or(|again| *again == forged), "{at} {change}");
            outcomes[usize::from(again.is_some())] += 1;
        }
    }
    assert_eq!(reload(sealed(kind, clear.to_vec())).as_deref(), Some(clear), "the right bytes");
    for len in [0, 1, clear.len() - 1] {
        assert_eq!(reload(sealed(kind, clear[..len].to_vec())), None);
    }
    assert_eq!(reload(sealed(kind, [clear, &[0]].concat())), None, "nothing may follow");
    outcomes
}

/// Sharpens `invariant_2_a_forged_state_is_refused_or_stored_again_as_its_bytes`: every byte,
/// and of a device too. Control: the right bytes, and both outcomes occur.
#[test]
fn f18_loaded_states_are_stored_again_as_the_same_bytes() {
    let mut talk = Talk::after(33, 1);
    let _lost = talk.from_alice(b"lost");
    for _ in 0..2 {
        let next = talk.from_alice(b"next");
        talk.bob.decrypt(&next).unwrap();
        let ping = talk.from_bob(b"ping");
        talk.alice.decrypt(&ping).unwrap();
    }
    let reload = |snapshot: Vec<u8>| session(&snapshot, 0).ok().map(|loaded| opened(state(&loaded)));
    let outcomes = means_its_bytes(SESSION, &opened(state(&talk.bob)), reload);
    assert!(outcomes[0] > 100 && outcomes[1] > 100, "{outcomes:?}");

    let reload = |snapshot: Vec<u8>| device(&snapshot, 0).ok().map(|loaded| opened(device_state(&loaded)));
    let outcomes = means_its_bytes(DEVICE, &opened(device_state(&stored_device())), reload);
    assert!(outcomes[0] > 20 && outcomes[1] > 100, "{outcomes:?}");
}

/// A page of the replay record with another count, another place, or twice; a one-time prekey under another name or
/// twice. `invariant_2_counts_in_a_snapshot_are_not_believed` has those of a session.
#[test]
fn f18_parts_of_a_stored_device_are_complete_and_in_their_places() {
    let clear = opened(device_state(&stored_device()));
    // At the end one one-time prekey and one page with one entry, each after its name.
    let page = clear.len() - (9 + 1 + REPLAY_ENTRY);
    let prekey = page - (9 + PREKEY);
    assert_eq!((clear[prekey], clear[page], clear[page + 9]), (3, 4, 1));
    let refused = |forged: Vec<u8>, what: &str| {
        assert_eq!(device(&sealed(DEVICE, forged), 0).unwrap_err(), RestoreError::Refused, "{what}");
    };
    for count in [0, 2, 32, 33, 255] {
        let mut forged = clear.clone();
        forged[page + 9] = count;
        refused(forged, "a count");
    }
    for (at, what) in [(page + 8, "a page"), (page + 4, "a prekey's record"), (prekey + 4, "a prekey's name")] {
        let mut forged = clear.clone();
        forged[at] ^= 1;
        refused(forged, what);
    }
    refused([&clear[..], &clear[page..]].concat(), "a page twice");
    refused([&clear[..page], &clear[prekey..]].concat(), "a prekey twice");
    refused([&clear[..prekey], &clear[page..], &clear[prekey..page]].concat(), "a page before a prekey");
    // Controls: all of it, and without each of them.
    for right in [&clear[..], &clear[..page], &[&clear[..prekey], &clear[page..]].concat()] {
        assert!(device(&sealed(DEVICE, right.to_vec()), 0).is_ok());
    }
}

/// Bytes of an entry of a replay record.
const REPLAY_ENTRY: usize = 16;
/// Bytes of a stored prekey: id, highest version, expiry, three secrets; and what is known about it.
const PREKEY: usize = 4 + 1 + 8 + 32 + 64 + 32 + 9;

/// Writes the digest of a stored prekey that its other fields describe.
fn describe(state: &mut [u8], at: usize, kind: u8) {
    let (fields, digest) = state[at..at + PREKEY - 9].split_at_mut(4 + 1 + 8 + 32 + 64);
    let (id, rest) = fields.split_at(4);
    let (version_and_expiry, secrets) = rest.split_at(1 + 8);
    let (dh, seed) = secrets.split_at(32);
    let dh = RustCrypto.dh_public(&Secret::new(dh.try_into().unwrap()));
    let kem = RustCrypto.kem_public(&Secret::new(seed.try_into().unwrap()));
    let (version, expiry) = version_and_expiry.split_at(1);
    digest.copy_from_slice(&RustCrypto.sha256(&[&[kind], version, id, expiry, &dh, &kem]));
}

/// Two prekeys with one id, and the id for "none".
#[test]
fn f18_ids_of_a_stored_device_are_unique_and_not_zero() {
    let clear = opened(device_state(&stored_device()));
    // Identity (64), clock (9), time of the offer (8), budget (12), the signed prekey; the count of those before it. After
    // the core, the one-time prekey's name, which has its id, and the prekey; a page of the replay record.
    let signed = 64 + 9 + 8 + 12;
    let (previous, one_time) = (signed + PREKEY + 4, clear.len() - (9 + 1 + REPLAY_ENTRY) - PREKEY);
    assert_eq!(clear[previous - 4..previous], [0, 0, 0, 1]);
    let ids @ [now, before, last] =
        [signed, previous, one_time].map(|at| u32::from_be_bytes(clear[at..at + 4].try_into().unwrap()));
    let with = |at: usize, id: u32| {
        let mut forged = clear.clone();
        // A prekey's parts are named after it.
        let page = clear.len() - (9 + 1 + REPLAY_ENTRY);
        let names = [(one_time, one_time - 8), (previous, page + 1)];
        let places = names.into_iter().filter(|(of, _)| *of == at).map(|(_, name)| name).chain([at]);
        places.for_each(|at| forged[at..at + 4].copy_from_slice(&id.to_be_bytes()));
        describe(&mut forged, at, if at == one_time { 2 } else { 1 });
        device(&sealed(DEVICE, forged), 0)
    };
    for (at, id) in [
        (one_time, now),
        (one_time, before),
        (one_time, 0),
        (signed, last),
        (signed, before),
        (signed, 0),
        (previous, now),
        (previous, last),
        (previous, 0),
    ] {
        assert_eq!(with(at, id).unwrap_err(), RestoreError::Refused, "{at} {id}");
    }
    // Control: any other id could have been issued.
    let other = (1..).find(|id| !ids.contains(id)).unwrap();
    assert!([signed, previous, one_time].into_iter().all(|at| with(at, other).is_ok()));
}

/// SN-2.32: the digest goes into AD. One that no description has would make sessions that nobody can begin.
#[test]
fn f18_the_digest_of_a_stored_prekey_is_its_descriptions() {
    let clear = opened(device_state(&stored_device()));
    let signed = 64 + 9 + 8 + 12;
    let one_time = clear.len() - (9 + 1 + REPLAY_ENTRY) - PREKEY;
    for (at, kind) in [(signed, 1), (signed + PREKEY + 4, 1), (one_time, 2)] {
        // Expiry, X25519 key, seed, digest.
        for byte in [5, 13, 45, 109] {
            let mut forged = clear.clone();
            forged[at + byte] ^= 8;
            assert_eq!(device(&sealed(DEVICE, forged.clone()), 0).unwrap_err(), RestoreError::Refused, "{at} {byte}");
            // Control: with the digest that belongs to it, each other value is a prekey's.
            describe(&mut forged, at, kind);
            assert!(device(&sealed(DEVICE, forged.clone()), 0).is_ok());
            describe(&mut forged, at, 3 - kind);
            assert_eq!(device(&sealed(DEVICE, forged), 0).unwrap_err(), RestoreError::Refused, "of the other kind");
        }
    }
}

/// States that no run of the protocol gives, each one step from a possible state.
#[test]
fn f18_a_sessions_opening_and_progress_must_be_consistent() {
    let mut talk = Talk::new(34);
    let accepted = opened(state(&talk.bob));
    let unanswered = opened(state(&talk.alice));
    let reply = talk.from_bob(b"reply");
    talk.alice.decrypt(&reply).unwrap();
    let _ = talk.from_alice(b"a chain of her own");
    let answered = opened(state(&talk.alice));
    let refused = |forged: Vec<u8>| {
        assert_eq!(session(&sealed(SESSION, forged), 0).unwrap_err(), RestoreError::Refused);
    };
    // Flag, two identities, AD; then the opening and the ratchet.
    let opening = OPENING;
    let handshake = unanswered[opening + 1..opening + 1 + HANDSHAKE_LEN].to_vec();
    let ratchet = |state: &[u8], opening_len: usize| state[opening + 1 + opening_len..].to_vec();
    let with =
        |state: &[u8], opening_bytes: &[u8], ratchet: &[u8]| [&state[..opening], opening_bytes, ratchet].concat();
    let [before, after, theirs] = [ratchet(&unanswered, HANDSHAKE_LEN), ratchet(&answered, 0), ratchet(&accepted, 32)];

    // Unanswered, yet with an answer received; answered or accepted, yet with none.
    refused(with(&answered, &[&[0][..], &handshake].concat(), &after));
    refused(with(&unanswered, &[2], &before));
    refused(with(&accepted, &[&[1][..], &[7; 32]].concat(), &before));
    // An invalid handshake: another version, an invalid encoding of "no one-time prekey", an invalid key; an unknown
    // chunk size, and one that differs from the ratchet's.
    for (at, value) in [(0, 0x12), (5, 2), (5, 0), (41, 0xFF), (1610, 4), (1610, 1)] {
        let mut bad = handshake.clone();
        bad[at] = value;
        refused(with(&unanswered, &[&[0][..], &bad].concat(), &before));
    }
    // Without a peer, as after a foreign handshake, which none of these had.
    for state in [&unanswered, &accepted] {
        refused([&[0][..], &state[1 + 2 * 128..]].concat());
    }
    // A chain without a message; a chain before the first one.
    let zeroed = |state: &[u8], at: usize, value: u32| {
        let mut forged = state.to_vec();
        forged[at..at + 4].copy_from_slice(&value.to_be_bytes());
        forged
    };
    let places = Places::of(&answered);
    let [sending, receiving] = [places.sending_number, places.receiving_number].map(Option::unwrap);
    refused(zeroed(&answered, sending, 0));
    refused(zeroed(&answered, receiving, 0));
    refused(zeroed(&answered, places.step, 0));
    let unreceived = Places::of(&unanswered).sending_number.unwrap();
    // PN follows Ns, and after it comes the epoch that was mixed in: there is none yet.
    refused(zeroed(&unanswered, unreceived + 4, 3));
    refused(zeroed(&unanswered, unreceived + 8, 1));
    refused(zeroed(&unanswered, unreceived, 0));
    // A retired chain of step 0, which cannot occur, with a key.
    let counts = Places::of(&accepted).chains;
    let mut retired = accepted[..counts].to_vec();
    retired.extend([&[0, 0, 0, 1][..], &[0; 4], &[3; 32]].concat());
    retired.extend(&accepted[counts + 4..]);
    retired.extend([&[1][..], &[0; 8], &[0, 0, 0, 1], &[4; 32]].concat());
    refused(retired);

    // Control: the states from which they were made load, when put together again.
    for right in [
        with(&unanswered, &[&[0][..], &handshake].concat(), &before),
        with(&answered, &[2], &after),
        with(&accepted, &accepted[opening..opening + 33], &theirs),
        zeroed(&answered, sending, 9),
        zeroed(&answered, receiving, 9),
    ] {
        assert!(session(&sealed(SESSION, right), 0).is_ok());
    }
}
