// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network input: messages, first messages, bundles, and their parts.

use super::Bug;
use super::edit::{edit, edit_in_place};
use super::support::stored::claimed;
use super::support::{
    HEADER_LEN, Mock, MockDevice, MockSession, NOW, Talk, bundle as bundle_of, device_state, mock_device, rng, state,
};
use noescrow::error::EncryptError;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{DhPublicKey, Primitives, RustCrypto};
use noescrow::relay::{AccountName, Envelope};
use noescrow::{
    Bundle, Capacity, IDENTITY_LEN, Identity, InitiateOptions, PREKEY_LEN, Prekey, Publication, SafetyNumber, Secret,
    Session, StorageKey, device, hazmat,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// The storage key with which `support` takes states.
const KEY: [u8; 32] = [0x5A; 32];

/// The replacement of a genuine value: `script` itself, or the result of the edit in `script`.
fn forged(genuine: &[u8], raw: bool, script: &[u8]) -> Vec<u8> {
    if raw {
        return script.to_vec();
    }
    let mut bytes = genuine.to_vec();
    edit(&mut bytes, script);
    bytes
}

/// Sessions in all their states, each with a message that is due.
struct States(Vec<(Vec<u8>, Vec<u8>)>);

impl States {
    /// Made once, kept as bytes.
    fn of() -> &'static Self {
        static STATES: OnceLock<States> = OnceLock::new();
        STATES.get_or_init(|| {
            let mut states = Vec::new();
            // An initiator without an answer, and the first answer.
            let mut talk = Talk::new(1);
            let message = talk.from_bob(b"answer");
            states.push((state(&talk.alice), message));
            // A responder, and another first message.
            let mut talk = Talk::new(2);
            let message = talk.from_alice(b"again");
            states.push((state(&talk.bob), message));
            // Within a chain, and the next message of the same chain.
            let mut talk = Talk::after(3, 2);
            let message = talk.from_alice(b"next");
            states.push((state(&talk.bob), message));
            // With skipped keys of two chains, and a message of the older one.
            let mut talk = Talk::after(4, 1);
            let late = talk.from_bob(b"late");
            for _ in 0..3 {
                let _ = talk.from_bob(b"lost");
            }
            let message = talk.from_bob(b"seen");
            talk.alice.decrypt(&message).unwrap();
            let message = talk.from_alice(b"turn");
            talk.bob.decrypt(&message).unwrap();
            let _ = talk.from_bob(b"lost");
            let message = talk.from_bob(b"turned");
            talk.alice.decrypt(&message).unwrap();
            states.push((state(&talk.alice), late));
            Self(states)
        })
    }
}

fn restored<P: Primitives + Default>(state: &[u8]) -> Session<P> {
    Session::restore_with(P::default(), state, &StorageKey::new(KEY), &claimed(state), 0).unwrap()
}

thread_local! {
    /// One session in each state, kept: restoring costs more than all the rest.
    static SESSIONS: RefCell<[Option<Session>; 4]> = const { RefCell::new([const { None }; 4]) };
}

/// A message to a session: all but the genuine one are refused, and nothing changes. First byte: which state (bits 0
/// and 1); bit 2: the rest is the message itself, else an edit of the genuine one.
///
/// With bit 3, a peer that has the keys edits the header or (bit 4) the padded plaintext before it seals. Whatever the
/// outcome, the session can be stored, and continues.
///
/// The planted bug: a refused message changes the session.
pub fn decrypt(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    if mode & 8 != 0 {
        return hostile_peer(mode, script, bug);
    }
    let which = usize::from(mode & 3);
    let (before, genuine) = &States::of().0[which];
    let message = forged(genuine, mode & 4 != 0, script);
    let kept = SESSIONS.with_borrow_mut(|sessions| sessions[which].take());
    let mut session: Session = kept.unwrap_or_else(|| restored(before));
    match session.decrypt(&message) {
        Ok(_) => assert_eq!(&message, genuine, "a forged message was opened"),
        Err(_) => {
            if bug.is_planted() {
                let _ = session.decrypt(genuine);
            }
            assert_ne!(&message, genuine, "the genuine message was refused");
            assert_eq!(&session.snapshot(&StorageKey::new(KEY), 0), before, "a refused message changed the session");
            SESSIONS.with_borrow_mut(|sessions| sessions[which] = Some(session));
        }
    }
    let _ = Envelope::new(message);
}

/// Two ends of a conversation whose handshake was elsewhere: starting it costs almost nothing.
fn pair() -> (MockSession, Mock, MockSession) {
    let (mock, secret, ratchet) = (Mock::default(), Secret::new([1; 32]), [2; 32]);
    let public = RustCrypto.dh_public(&Secret::new(ratchet));
    let alice = hazmat::initiator(mock.clone(), &secret, &public, b"fuzz").unwrap();
    (alice, mock, hazmat::responder(Mock::default(), &secret, Secret::new(ratchet), b"fuzz"))
}

fn hostile_peer(mode: u8, script: &[u8], bug: Bug) {
    let mut rng = rng(5);
    let (mut alice, mock, mut bob) = pair();
    // The third chunk completes the header of the post-quantum key: an edited one ends the session.
    for _ in 0..2 {
        let hello = alice.encrypt(b"hello", &mut rng).unwrap();
        bob.decrypt(&hello).unwrap();
    }
    let script = script.to_vec();
    let body = mode & 16 != 0;
    mock.rewrite(move |plaintext| {
        // The plaintext below is padded to another length than a header's.
        if body == (plaintext.len() != HEADER_LEN) {
            edit_in_place(plaintext, &script);
        }
    });
    let message = alice.encrypt(&[7; 70], &mut rng).unwrap();
    mock.stop_rewriting();
    let before = state(&bob);
    if bob.decrypt(&message).is_err() {
        if bug.is_planted() {
            let _ = bob.encrypt(b"changed", &mut rng);
        }
        assert_eq!(state(&bob), before, "a refused message changed the session");
    }
    let after = state(&bob);
    assert_eq!(state(&restored::<Mock>(&after)), after, "the session can no longer be stored");
    match bob.encrypt(b"answer", &mut rng) {
        Ok(answer) => {
            assert!(!bob.is_abandoned());
            let _ = alice.decrypt(&answer);
        }
        Err(error) => assert!(bob.is_abandoned() && error == EncryptError::Abandoned && state(&bob) == after),
    }
}

/// First messages to a device: all but the genuine ones are refused, and the device does not change. First byte: with a
/// one-time prekey, with none, to the prekey before the last rotation (modulo 3); bit 2: the rest is the message, else
/// an edit of the genuine one.
///
/// With bit 3, the initiator edits what it seals: identity, header or plaintext (bits 4 and 5). Whatever the outcome,
/// the device can be stored.
///
/// The planted bug: a refused message changes the device.
pub fn accept(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    let hostile = mode & 8 != 0;
    let (mut bob, genuine) = if hostile {
        let (script, which) = (script.to_vec(), mode >> 4 & 3);
        first_message(mode & 3, move |plaintext| {
            let kind = match plaintext.len() {
                IDENTITY_LEN => 0,
                HEADER_LEN => 1,
                _ => 2,
            };
            if which == kind {
                edit_in_place(plaintext, &script);
            }
        })
    } else {
        static GENUINE: [OnceLock<(Vec<u8>, Vec<u8>)>; 4] = [const { OnceLock::new() }; 4];
        let (device, message) = GENUINE[usize::from(mode & 3)].get_or_init(|| {
            let (device, message) = first_message(mode & 3, |_| {});
            (device_state(&device), message)
        });
        (restored_device(device), message.clone())
    };
    let message = if hostile { genuine.clone() } else { forged(&genuine, mode & 4 != 0, script) };

    let before = device_state(&bob);
    match bob.accept(&message) {
        Ok((session, _)) => {
            assert_eq!(message, genuine, "a forged first message was accepted");
            let stored = state(&session);
            assert_eq!(state(&restored::<Mock>(&stored)), stored, "the session cannot be stored");
            assert!(bob.accept(&message).is_err(), "a first message was accepted twice");
        }
        Err(_) => {
            if bug.is_planted() {
                bob.rotate(NOW, &mut rng(0));
            }
            assert!(hostile || message != genuine, "the genuine first message was refused");
            assert_eq!(device_state(&bob), before, "a refused message changed the device");
        }
    }
    let stored = device_state(&bob);
    assert_eq!(device_state(&restored_device(&stored)), stored, "the device can no longer be stored");
}

fn restored_device(state: &[u8]) -> MockDevice {
    MockDevice::restore_in_place(Mock::default(), &mut state.to_vec(), &StorageKey::new(KEY), &claimed(state), 0)
        .unwrap()
}

/// A device, and a first message to it whose author rewrites what it seals.
fn first_message(prekey: u8, rewrite: impl FnMut(&mut [u8]) + 'static) -> (MockDevice, Vec<u8>) {
    let mut rng = rng(u64::from(prekey));
    let (mut bob, _) = mock_device(&mut rng);
    let (alice, mock) = mock_device(&mut rng);
    let bundle = bundle_of(&mut bob, prekey == 0, &mut rng);
    if prekey >= 2 {
        bob.rotate(NOW, &mut rng);
    }
    mock.rewrite(rewrite);
    let (_, message) = alice.initiate(bundle, &[7; 70], InitiateOptions::unverified(NOW), &mut rng).unwrap();
    (bob, message)
}

/// Primitives that accept every signature and every key: only the parser decides.
fn gullible() -> Mock {
    let mock = Mock::default();
    mock.gullible.set(true);
    mock
}

/// Decoded values encode to the same bytes.
fn same_bytes(mut encoded: Vec<u8>, bytes: &[u8], bug: Bug) {
    if bug.is_planted() {
        encoded[0] ^= 1;
    }
    assert_eq!(encoded, bytes, "decoded, it encodes to other bytes");
}

/// A bundle from a server: decoded bundles encode to the same bytes, and only the genuine one decodes. First byte: with
/// a one-time prekey (bit 0); bit 2: the rest is the bundle, else an edit of the genuine one. With bit 3 every
/// signature passes, as if the server had the keys; an initiator that uses the bundle may get a session or an error.
///
/// The planted bug: it encodes to other bytes.
pub fn bundle(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    static GENUINE: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let genuine = GENUINE.get_or_init(|| {
        let mut rng = rng(6);
        let (mut bob, _) = mock_device(&mut rng);
        [false, true].map(|one_time| bundle_of(&mut bob, one_time, &mut rng).to_bytes())
    });
    let genuine = &genuine[usize::from(mode & 1)];
    let forged = forged(genuine, mode & 4 != 0, script);
    let decoded = Bundle::from_bytes(&RustCrypto, &forged);
    assert_eq!(decoded.is_ok(), genuine == &forged, "only the genuine bundle decodes");
    if let Ok(decoded) = decoded {
        same_bytes(decoded.to_bytes(), &forged, bug);
    }
    if mode & 8 != 0
        && let Ok(decoded) = Bundle::from_bytes(&gullible(), &forged)
    {
        same_bytes(decoded.to_bytes(), &forged, bug);
        let mut rng = rng(8);
        let alice = device::Device::<Mock, Capacity<1, 1>>::generate_with(gullible(), NOW, &mut rng);
        let _ = alice.initiate(decoded, b"hi", InitiateOptions::unverified(NOW), &mut rng);
    }
}

/// A publication from a device, which the server parses before it stores it: decoded publications encode to the same bytes,
/// and every part of one that decodes is a genuine one. First byte: with how many one-time prekeys (bits 0 and 1, at most
/// two); bit 2: the rest is the publication, else an edit of the genuine one. With bit 3 every signature passes, as if the
/// device were hostile: no two prekeys have one id, and the server can build a bundle of every one-time prekey.
///
/// The planted bug: it encodes to other bytes.
pub fn publication(bytes: &[u8], bug: Bug) {
    /// Length in bytes of identity and signed prekey, and of the number of one-time prekeys after them.
    const BEFORE: usize = IDENTITY_LEN + PREKEY_LEN;
    const COUNT: usize = 4;
    let Some((&mode, script)) = bytes.split_first() else { return };
    static GENUINE: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    let genuine = GENUINE.get_or_init(|| {
        let mut rng = rng(10);
        let (mut bob, _) = mock_device(&mut rng);
        [0, 1, 2].map(|one_time| bob.publish(one_time, NOW, &mut rng).unwrap().to_bytes())
    });
    let genuine = &genuine[usize::from(mode & 3).min(2)];
    let forged = forged(genuine, mode & 4 != 0, script);
    let decoded = Publication::from_bytes(&RustCrypto, &forged);
    assert!(decoded.is_ok() || &forged != genuine, "the genuine publication was refused");
    if let Ok(decoded) = decoded {
        // A one-time prekey that is left out is missed by nobody.
        let known = genuine[BEFORE + COUNT..].as_chunks::<PREKEY_LEN>().0;
        let is_genuine = decoded.one_time_prekeys.iter().all(|prekey| known.contains(&prekey.to_bytes()));
        assert!(is_genuine && forged[..BEFORE] == genuine[..BEFORE], "a forged publication decodes");
        same_bytes(decoded.to_bytes(), &forged, bug);
    }
    if mode & 8 != 0
        && let Ok(decoded) = Publication::from_bytes(&gullible(), &forged)
    {
        same_bytes(decoded.to_bytes(), &forged, bug);
        let Publication { identity, signed_prekey, one_time_prekeys } = decoded;
        let ids: BTreeSet<_> = one_time_prekeys.iter().chain([&signed_prekey]).map(Prekey::id).collect();
        assert_eq!(ids.len(), one_time_prekeys.len() + 1, "two prekeys have one id");
        for prekey in one_time_prekeys {
            let bundle = Bundle::new(identity, signed_prekey.clone(), Some(prekey)).unwrap();
            assert!(Bundle::from_bytes(&gullible(), &bundle.to_bytes()).is_ok(), "a bundle does not decode");
        }
    }
}

/// The parts of a bundle, and the other values that are parsed from a stranger's bytes: decoded values encode to the
/// same bytes. First byte: which; bit 3 as in [`bundle`]; the rest is an edit of a genuine one.
///
/// The planted bug: it encodes to other bytes.
pub fn identity_and_prekey(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    static GENUINE: OnceLock<(Identity, Prekey)> = OnceLock::new();
    let (identity, prekey) = GENUINE.get_or_init(|| {
        let mut rng = rng(9);
        let (bob, _) = mock_device(&mut rng);
        (*bob.identity(), bob.signed_prekey())
    });
    if mode & 8 == 0 {
        pieces(&RustCrypto, mode, script, identity, prekey, bug)
    } else {
        pieces(&gullible(), mode, script, identity, prekey, bug);
    }
}

fn pieces<P: Primitives>(primitives: &P, mode: u8, script: &[u8], identity: &Identity, prekey: &Prekey, bug: Bug) {
    match mode & 7 {
        0 => {
            let mut bytes: [u8; IDENTITY_LEN] = identity.to_bytes();
            edit_in_place(&mut bytes, script);
            if let Ok(decoded) = Identity::from_bytes(primitives, &bytes) {
                same_bytes(decoded.to_bytes().to_vec(), &bytes, bug);
            }
        }
        1 => {
            let mut bytes: [u8; PREKEY_LEN] = prekey.to_bytes();
            edit_in_place(&mut bytes, script);
            if let Ok(decoded) = Prekey::from_bytes(primitives, identity, &bytes) {
                same_bytes(decoded.to_bytes().to_vec(), &bytes, bug);
            }
        }
        2 => {
            let mut bytes = *identity.dh_key().as_bytes();
            edit_in_place(&mut bytes, script);
            if let Ok(decoded) = DhPublicKey::from_bytes(bytes) {
                same_bytes(decoded.as_bytes().to_vec(), &bytes, bug);
                // Keys that parsing accepts are not of low order: no Diffie-Hellman with a clamped scalar is zero.
                assert!(primitives.dh(&noescrow::Secret::new([0x77; 32]), &bytes).is_ok(), "a low-order key");
            }
        }
        3 => {
            if let Ok(decoded) = Envelope::new(script.to_vec()) {
                same_bytes(decoded.as_bytes().to_vec(), script, bug);
            }
        }
        4 => {
            if let Ok(name) = std::str::from_utf8(script)
                && let Ok(decoded) = AccountName::new(name)
            {
                same_bytes(decoded.as_str().as_bytes().to_vec(), script, bug);
            }
        }
        _ => {
            static NUMBER: OnceLock<SafetyNumber> = OnceLock::new();
            let number = NUMBER.get_or_init(|| SafetyNumber::new(primitives, (identity, b""), (identity, b"other")));
            let mut scanned = number.to_bytes().to_vec();
            scanned[1..].rotate_left(32);
            let due = scanned.clone();
            edit(&mut scanned, script);
            let verdict = number.verify_scanned(&scanned).is_ok() != bug.is_planted();
            assert_eq!(verdict, scanned == due, "a safety number compares equal to another one");
        }
    }
}
