// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data from the caller's database, written by an attacker who has the storage key: sealed as spec/protocol.md §11
//! specifies, with the default primitives.

use super::Bug;
use super::edit::edit;
use super::support::stored::{DEVICE, SESSION, claimed, opened, sealed};
use super::support::{NOW, Talk};
use noescrow::device::policy;
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{
    Bundle, Capacity, FIRST_MESSAGE_OVERHEAD, InitiateOptions, MESSAGE_OVERHEAD, StorageKey, UnixSeconds, device,
    session,
};
use std::sync::OnceLock;

// A store of the largest capacity: a smaller one would drop keys of a forged state.
type Session = session::Session<RustCrypto>;
type Device = device::Device<RustCrypto, Capacity<3, 2>>;

const KEY: [u8; 32] = [0x5A; 32];
/// The states of a device and of sessions: unanswered, accepted, and long ones with skipped keys.
fn states() -> &'static [Vec<u8>; 5] {
    static STATES: OnceLock<[Vec<u8>; 5]> = OnceLock::new();
    STATES.get_or_init(|| {
        let key = StorageKey::new(KEY);
        let mut rng = super::support::rng(10);
        let alice = Device::generate_with(RustCrypto, NOW, &mut rng);
        let mut bob = Device::generate_with(RustCrypto, NOW, &mut rng);
        let published = bob.publish(2, NOW, &mut rng).unwrap();
        bob.rotate(NOW, &mut rng);
        let bundle = Bundle::new(published.identity, published.signed_prekey, None).unwrap();
        let (initiator, hello) = alice.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), &mut rng).unwrap();
        let (responder, _) = bob.accept(&hello).unwrap();
        let mut talk = Talk::after(11, 2);
        let _ = (talk.from_alice(b"lost"), talk.from_alice(b"lost"));
        let message = talk.from_alice(b"seen");
        talk.bob.decrypt(&message).unwrap();
        let message = talk.from_bob(b"turn");
        talk.alice.decrypt(&message).unwrap();
        let _ = talk.from_alice(b"lost");
        let message = talk.from_alice(b"seen");
        talk.bob.decrypt(&message).unwrap();
        [
            bob.snapshot(&key, 0),
            initiator.snapshot(&key, 0),
            responder.snapshot(&key, 0),
            talk.alice.snapshot(&key, 0),
            talk.bob.snapshot(&key, 0),
        ]
        .map(opened)
    })
}

/// A state forged under the right key is refused, or it is a state that is stored again as the same bytes, and with
/// which nothing panics. First byte: which of the states (modulo 5), from 128 on as another kind; the rest is an edit
/// of it.
///
/// The planted bug: it is stored as other bytes.
pub fn snapshot(bytes: &[u8], bug: Bug) {
    let Some((&mode, script)) = bytes.split_first() else { return };
    let which = usize::from(mode & 0x7F) % 5;
    let mut state = states()[which].clone();
    edit(&mut state, script);
    let is_device = (which == 0) != (mode >= 0x80);
    let forged = sealed(if is_device { DEVICE } else { SESSION }, state);
    if is_device { restored_device(&forged, bug) } else { restored_session(&forged, bug) }
}

/// The generation under which a planted bug stores, and the right one.
const fn generation(bug: Bug) -> u64 {
    if bug.is_planted() { 1 } else { 0 }
}

fn restored_session(forged: &[u8], bug: Bug) {
    let key = StorageKey::new(KEY);
    let Ok(mut session) = Session::restore_with(RustCrypto, forged, &key, &claimed(forged), 0) else { return };
    assert_eq!(session.snapshot(&key, generation(bug)), forged, "restored, it is stored as other bytes");
    assert!(
        Session::restore_with(RustCrypto, forged, &key, &claimed(forged), 1).is_err(),
        "an older generation was restored"
    );
    let mut rng = super::support::rng(12);
    let _ = (session.safety_number(), session.skipped_message_keys());
    for message in [&b"\x11"[..], b"\x12", &[0x12; MESSAGE_OVERHEAD + 14], &[0x11; FIRST_MESSAGE_OVERHEAD + 14]] {
        assert!(session.decrypt(message).is_err(), "noise was opened");
    }
    assert_eq!(session.snapshot(&key, 0), forged, "a refused message changed the session");
    let own = (session.encrypt(b"hi", &mut rng), session.encrypt(b"hi", &mut rng));
    if let (_, Ok(message)) | (Ok(message), _) = own {
        // A forged state may be its own peer.
        let _ = session.decrypt(&message);
    }
}

fn restored_device(forged: &[u8], bug: Bug) {
    let key = StorageKey::new(KEY);
    let Ok(mut device) = Device::restore_with(RustCrypto, forged, &key, &claimed(forged), 0) else { return };
    assert_eq!(device.snapshot(&key, generation(bug)), forged, "restored, it is stored as other bytes");
    let mut rng = super::support::rng(13);
    let _ = device.publish(1, NOW, &mut rng);
    let _ = device.rotate(NOW, &mut rng);
    let signed = device.signed_prekey();
    // The clock follows a reading that is far away when a later one confirms it.
    let end = UnixSeconds::MAX;
    let claimed = UnixSeconds(end.0 - policy::CLOCK_STEP.as_secs());
    let _ = (device.delete_expired(claimed), device.delete_expired(end));
    assert!(
        device.unlisted_one_time_prekeys().all(|prekey| end.saturating_since(prekey.expiry()) < policy::EXPIRED_KEPT),
        "an expired prekey was kept"
    );
    let bundle = Bundle::new(*device.identity(), signed, None).unwrap();
    let peer = Device::generate_with(RustCrypto, NOW, &mut rng);
    if let Ok((_, hello)) = peer.initiate(bundle, b"hi", InitiateOptions::unverified(UnixSeconds(0)), &mut rng) {
        let _ = device.accept(&hello);
    }
}
