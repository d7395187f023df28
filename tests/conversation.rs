// SPDX-License-Identifier: MIT OR Apache-2.0
//! A conversation through the public API, as an application has it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use noescrow::error::{AcceptError, DecryptError, RestoreError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, Device, InitiateOptions, Payload, Sealed, Session, StorageKey, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn pair(one_time: bool) -> (Session, Session, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let alice = Device::generate(NOW, &mut rng);
    let mut bob = Device::generate(NOW, &mut rng);
    let mut published = bob.publish(usize::from(one_time), NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, published.one_time_prekeys.pop()).unwrap();
    let bundle = Bundle::from_bytes(&noescrow::primitives::RustCrypto, &bundle.to_bytes()).unwrap();
    let (session, hello) = alice.initiate(bundle, b"hi Bob", InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let (theirs, text) = bob.accept(&hello).unwrap();
    assert_eq!(text, b"hi Bob");
    assert_eq!(bob.one_time_prekeys_left(), 0);
    let again = bob.accept(&hello).unwrap_err();
    assert_eq!(again, if one_time { AcceptError::PrekeyGone } else { AcceptError::Repeated });
    assert_eq!(theirs.remote_identity(), Some(alice.identity()));
    assert_eq!(session.safety_number(), theirs.safety_number());
    (session, theirs, rng)
}

#[test]
fn a_conversation_works_with_and_without_a_one_time_prekey() {
    for one_time in [true, false] {
        let (mut alice, mut bob, mut rng) = pair(one_time);
        for round in 0..50u8 {
            let text = vec![round; usize::from(round) * 7];
            let message = bob
                .encrypt(Payload { plaintext: &text, associated_data: b"ad", ..Payload::default() }, &mut rng)
                .unwrap();
            assert_eq!(alice.decrypt(Sealed { message: &message, associated_data: b"ad" }).unwrap().plaintext, text);
            let reply = alice
                .encrypt(Payload { plaintext: &text, associated_data: b"ad", ..Payload::default() }, &mut rng)
                .unwrap();
            assert_eq!(bob.decrypt(Sealed { message: &reply, associated_data: b"ad" }).unwrap().plaintext, text);
            assert_eq!(
                bob.decrypt(Sealed { message: &reply, associated_data: b"ad" }),
                Err(DecryptError::KeyGone),
                "a message opens once"
            );
        }
    }
}

/// PD-1: of a payload that is padded to a length of its own, too.
#[test]
fn a_message_has_the_length_that_is_told_before() {
    let (mut alice, mut bob, mut rng) = pair(true);
    for min_padded_len in [0, 1, 6, 7, 100, 1_000, 5_000] {
        let payload = Payload { plaintext: b"hello", min_padded_len, ..Payload::default() };
        let options = InitiateOptions::unverified(NOW);
        let first = options.first_message_len(payload).unwrap();
        let [ours, theirs] = [&alice, &bob].map(|session| session.message_len(payload).unwrap());
        assert_eq!(alice.encrypt(payload, &mut rng).unwrap().len(), ours);
        assert_eq!(bob.encrypt(payload, &mut rng).unwrap().len(), theirs);
        let carol = Device::generate(NOW, &mut rng);
        let bundle = Bundle::new(*carol.identity(), carol.signed_prekey(), None).unwrap();
        let (_, message) = Device::generate(NOW, &mut rng).initiate(bundle, payload, options, &mut rng).unwrap();
        assert_eq!(message.len(), first);
        // Control: the length of the text alone.
        assert_eq!(bob.message_len(b"hello").unwrap() < theirs, min_padded_len > 6);
    }
    let too_long = Payload { min_padded_len: noescrow::session::MAX_PLAINTEXT_LEN + 2, ..Payload::default() };
    assert_eq!(alice.message_len(too_long), None);
    assert_eq!(InitiateOptions::unverified(NOW).first_message_len(too_long), None);
}

#[test]
fn the_first_message_is_repeated_until_the_first_reply() {
    let (mut alice, mut bob, mut rng) = pair(true);
    let second = alice.encrypt(b"second", &mut rng).unwrap();
    let third = alice.encrypt(b"third", &mut rng).unwrap();
    assert!(noescrow::is_first_message(&third).unwrap());
    assert_eq!(bob.decrypt(&third).unwrap().plaintext, b"third");
    assert_eq!(bob.decrypt(&second).unwrap().plaintext, b"second");
    let reply = bob.encrypt(b"reply", &mut rng).unwrap();
    assert_eq!(alice.decrypt(&reply).unwrap().plaintext, b"reply");
    let fourth = alice.encrypt(b"fourth", &mut rng).unwrap();
    assert!(!noescrow::is_first_message(&fourth).unwrap());
    assert_eq!(bob.decrypt(&fourth).unwrap().plaintext, b"fourth");
}

/// HS-I8: the first message is sealed at once. Every message until the first reply opens begins with the same
/// handshake.
#[test]
fn messages_repeat_the_handshake_until_the_first_reply_opens() {
    const HANDSHAKE_LEN: usize = 1_756;
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (alice, mut bob) = (Device::generate(NOW, &mut rng), Device::generate(NOW, &mut rng));
    let published = bob.publish(0, NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, None).unwrap();
    let (mut alice, hello) = alice.initiate(bundle, b"hi Bob", InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let (mut bob, text) = bob.accept(&hello).unwrap();
    assert_eq!(text, b"hi Bob");
    let reply = bob.encrypt(b"reply", &mut rng).unwrap();
    let mut damaged = reply.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for _ in 0..3 {
        let message = alice.encrypt(b"more", &mut rng).unwrap();
        assert_eq!(message[..HANDSHAKE_LEN], hello[..HANDSHAKE_LEN]);
        assert_eq!(alice.decrypt(&damaged), Err(DecryptError::Refused));
    }
    alice.decrypt(&reply).unwrap();
    let message = alice.encrypt(b"hi Bob", &mut rng).unwrap();
    assert_eq!((message[0], hello.len() - message.len()), (0x12, HANDSHAKE_LEN - 1));
}

#[test]
fn a_restored_session_continues_and_an_older_generation_is_refused() {
    let (mut alice, mut bob, mut rng) = pair(true);
    let key = StorageKey::new([9; 32]);
    let (old, subject) = (bob.snapshot(&key, 1), bob.subject());
    let lost = alice.encrypt(b"late", &mut rng).unwrap();
    let seen = alice.encrypt(b"seen", &mut rng).unwrap();
    bob.decrypt(&seen).unwrap();
    let new = bob.snapshot(&key, 2);
    assert_eq!(new, bob.snapshot(&key, 2), "equal states of equal generation are equal bytes");
    assert_eq!(Session::restore(&old, &key, &subject, 2).unwrap_err(), RestoreError::Rollback);
    assert_eq!(Session::restore(&new, &StorageKey::new([8; 32]), &subject, 2).unwrap_err(), RestoreError::Refused);
    for at in 0..new.len() {
        let mut bad = new.clone();
        bad[at] ^= 0x40;
        assert_eq!(
            Session::restore(&bad, &key, &subject, 0).unwrap_err(),
            if at == 0 { RestoreError::NewerVersion } else { RestoreError::Refused },
            "{at}"
        );
    }
    let mut bob = Session::restore(&new, &key, &subject, 2).unwrap();
    assert_eq!(bob.decrypt(&lost).unwrap().plaintext, b"late");
    let reply = bob.encrypt(b"reply", &mut rng).unwrap();
    assert_eq!(alice.decrypt(&reply).unwrap().plaintext, b"reply");
}
