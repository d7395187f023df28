// SPDX-License-Identifier: MIT OR Apache-2.0
//! What arrives from the network: messages, first messages, bundles, and the pieces they are made of.

use super::Bug;
use super::edit::{edit, edit_in_place};
use super::support::{
    LATER, NOW, Puppet, PuppetDevice, PuppetSession, Talk, bundle as bundle_of, device_state, puppet, rng, state,
};
use noescrow::primitives::{DhPublicKey, Primitives, RustCrypto};
use noescrow::relay::{AccountName, Envelope};
use noescrow::{Bundle, IDENTITY_LEN, Identity, PREKEY_LEN, Prekey, StorageKey, device};
use std::sync::OnceLock;

/// Bytes edited and put in place of a genuine thing: `[bytes]`, or an edit of it.
fn forged(genuine: &[u8], raw: bool, script: &[u8]) -> Vec<u8> {
    if raw {
        return script.to_vec();
    }
    let mut bytes = genuine.to_vec();
    edit(&mut bytes, script);
    bytes
}

/// Sessions in the states that a session can be in, with a message to each that is due.
struct States(Vec<(Vec<u8>, Vec<u8>)>);

impl States {
    /// Sealing and opening once more than in every run: kept as bytes.
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
            // In the middle, and the next message of the same chain.
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
            talk.alice.decrypt(&message, b"").unwrap();
            let message = talk.from_alice(b"turn");
            talk.bob.decrypt(&message, b"").unwrap();
            let _ = talk.from_bob(b"lost");
            let message = talk.from_bob(b"turned");
            talk.alice.decrypt(&message, b"").unwrap();
            states.push((state(&talk.alice), late));
            Self(states)
        })
    }
}

fn restored(state: &[u8]) -> PuppetSession {
    let key = StorageKey::new([0x5A; 32]);
    PuppetSession::restore_in_place(Puppet::default(), &mut state.to_vec(), &key, 0).unwrap()
}

/// A message to a session: what is not the genuine one is refused, and nothing changes. First byte: which state (bits 0
/// and 1); bit 2: the rest is the message itself, else an edit of the genuine one.
///
/// With bit 3: a peer that has the keys edits the header or (bit 4) the padded plaintext before it seals. Whatever
/// comes of it, the session can be stored, and goes on.
///
/// The planted bug: a refused message changes the session.
pub fn decrypt(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    if mode & 8 != 0 {
        return hostile_peer(mode, script, bug);
    }
    let states = States::of();
    let (before, genuine) = &states.0[usize::from(mode & 3)];
    let message = forged(genuine, mode & 4 != 0, script);
    let mut session = restored(before);
    match session.decrypt(&message, b"") {
        Ok(_) => assert_eq!(&message, genuine, "a forged message was opened"),
        Err(_) => {
            if bug.is_planted() {
                let _ = session.decrypt(genuine, b"");
            }
            assert_ne!(&message, genuine, "the genuine message was refused");
            assert_eq!(&state(&session), before, "a refused message changed the session");
        }
    }
    let _ = Envelope::new(message);
}

fn hostile_peer(mode: u8, script: &[u8], bug: Bug) {
    let mut talk = Talk::after(5, 1);
    let script = script.to_vec();
    let (body, header_len) = (mode & 16 != 0, super::support::HEADER_LEN);
    talk.alice_strings.rewrite(move |plaintext| {
        // The plaintext below is padded to another length than a header's.
        if body == (plaintext.len() != header_len) {
            edit_in_place(plaintext, &script);
        }
    });
    let message = talk.from_alice(&[7; 70]);
    talk.alice_strings.behave();
    let before = state(&talk.bob);
    if talk.bob.decrypt(&message, b"").is_err() {
        if bug.is_planted() {
            let _ = talk.from_bob(b"changed");
        }
        assert_eq!(state(&talk.bob), before, "a refused message changed the session");
    }
    let after = state(&talk.bob);
    assert_eq!(state(&restored(&after)), after, "the session cannot be stored any more");
    let answer = talk.from_bob(b"answer");
    let _ = talk.alice.decrypt(&answer, b"");
}

/// First messages to a device: what is not a genuine one is refused, and the device does not change. First byte: with
/// a one-time prekey, with none, to the prekey before the last rotation (modulo 3); bit 2: the rest is the message,
/// else an edit of the genuine one.
///
/// With bit 3 the initiator edits what it seals: identity, header or plaintext (bits 4 and 5). Whatever comes of it,
/// the device can be stored.
///
/// The planted bug: a refused message changes the device.
pub fn accept(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    let mut rng = rng(u64::from(mode & 3));
    let (mut bob, _) = puppet(&mut rng);
    let (alice, strings) = puppet(&mut rng);
    let bundle = bundle_of(&mut bob, mode & 3 == 0, &mut rng);
    if mode & 3 >= 2 {
        bob.rotate(LATER, &mut rng).unwrap();
    }
    let hostile = mode & 8 != 0;
    if hostile {
        let (script, which) = (script.to_vec(), mode >> 4 & 3);
        strings.rewrite(move |plaintext| {
            let kind = match plaintext.len() {
                IDENTITY_LEN => 0,
                super::support::HEADER_LEN => 1,
                _ => 2,
            };
            if which == kind {
                edit_in_place(plaintext, &script);
            }
        });
    }
    let (_, genuine) = alice.initiate(&bundle, &[7; 70], b"", NOW, &mut rng).unwrap();
    let message = if hostile { genuine.clone() } else { forged(&genuine, mode & 4 != 0, script) };

    let before = device_state(&bob);
    match bob.accept(&message, b"") {
        Ok((session, _)) => {
            assert_eq!(message, genuine, "a forged first message was accepted");
            let stored = state(&session);
            assert_eq!(state(&restored(&stored)), stored, "the session cannot be stored");
            assert!(bob.accept(&message, b"").is_err(), "a first message was accepted twice");
        }
        Err(_) => {
            if bug.is_planted() {
                bob.rotate(LATER, &mut rng).unwrap();
            }
            assert!(hostile || message != genuine, "the genuine first message was refused");
            assert_eq!(device_state(&bob), before, "a refused message changed the device");
        }
    }
    let stored = device_state(&bob);
    let key = StorageKey::new([0x5A; 32]);
    let again = PuppetDevice::restore_in_place(Puppet::default(), &mut stored.clone(), &key, 0).unwrap();
    assert_eq!(device_state(&again), stored, "the device cannot be stored any more");
}

/// Primitives that find every signature and every key sound: the parser alone decides.
fn gullible() -> Puppet {
    let strings = Puppet::default();
    strings.gullible.set(true);
    strings
}

/// What is decoded encodes to the same bytes.
fn same_bytes(mut encoded: Vec<u8>, bytes: &[u8], bug: Bug) {
    if bug.is_planted() {
        encoded[0] ^= 1;
    }
    assert_eq!(encoded, bytes, "decoded, it encodes to other bytes");
}

/// A bundle from a server: what decodes encodes to the same bytes, and only the genuine one decodes. First byte: with a
/// one-time prekey (bit 0); bit 2: the rest is the bundle, else an edit of the genuine one. With bit 3 every signature
/// passes, as if the server had the keys; whoever believes it may get a session or an error.
///
/// The planted bug: it encodes to other bytes.
pub fn bundle(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    static GENUINE: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let genuine = GENUINE.get_or_init(|| {
        let mut rng = rng(6);
        let (mut bob, _) = puppet(&mut rng);
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
        let alice = device::Device::<Puppet, 1, 1>::generate_with(gullible(), LATER, &mut rng);
        let _ = alice.initiate(&decoded, b"hi", b"", NOW, &mut rng);
    }
}

/// The pieces of a bundle, and the other things that a stranger's bytes are read as: what decodes encodes to the same
/// bytes. First byte: which; bit 3 as in [`bundle`]; the rest is an edit of a genuine one.
///
/// The planted bug: it encodes to other bytes.
pub fn identity_and_prekey(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    static GENUINE: OnceLock<(Identity, Prekey)> = OnceLock::new();
    let (identity, prekey) = GENUINE.get_or_init(|| {
        let mut rng = rng(9);
        let (bob, _) = puppet(&mut rng);
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
                // What the edge lets through is of no low order: the Diffie-Hellman of no clamped scalar is zero.
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
            let number = noescrow::SafetyNumber::new(primitives, (identity, b""), (identity, b"other"));
            let mut scanned = number.to_bytes().to_vec();
            scanned[1..].rotate_left(32);
            let due = scanned.clone();
            edit(&mut scanned, script);
            let verdict = number.verify_scanned(&scanned).is_ok() != bug.is_planted();
            assert_eq!(verdict, scanned == due, "a safety number is found equal to another one");
        }
    }
}
