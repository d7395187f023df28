// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attacks on messengers that became known in 2026 (I of spec/security.md §9), as far as a session and a device meet
//! them, and no other test has them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test states its expectations")]

use noescrow::error::{AcceptError, DecryptError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::{Bundle, Device, InitiateOptions, Prekey, Publication, Session, StorageKey, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeSet;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn pair() -> (Device, Device, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(26);
    (Device::generate(NOW, &mut rng), Device::generate(NOW, &mut rng), rng)
}

fn initiate(
    alice: &Device,
    published: &Publication,
    one_time: Option<&Prekey>,
    rng: &mut ChaCha20Rng,
) -> (Session, Vec<u8>) {
    let bundle = Bundle::new(published.identity, published.signed_prekey.clone(), one_time.cloned()).unwrap();
    alice.initiate(bundle, b"hi", InitiateOptions::unverified(NOW), rng).unwrap()
}

fn key() -> StorageKey {
    StorageKey::new([3; 32])
}

fn ids(prekeys: &[Prekey]) -> BTreeSet<u32> {
    prekeys.iter().map(Prekey::id).collect()
}

/// HS-R8: a first message whose own session is gone opens in no older session of the same two devices.
#[test]
fn i1_a_first_message_opens_in_no_older_session() {
    let (alice, mut bob, mut rng) = pair();
    let published = bob.publish(2, NOW, &mut rng).unwrap();
    let (mut first, hello) = initiate(&alice, &published, published.one_time_prekeys.first(), &mut rng);
    let (mut older, _) = bob.accept(&hello).unwrap();
    let (_, second_hello) = initiate(&alice, &published, published.one_time_prekeys.get(1), &mut rng);
    drop(bob.accept(&second_hello).unwrap());

    let before = older.snapshot(&key(), 1);
    assert_eq!(bob.accept(&second_hello).map(|_| ()).unwrap_err(), AcceptError::PrekeyGone);
    assert_eq!(older.decrypt(&second_hello), Err(DecryptError::Refused));
    assert_eq!(older.snapshot(&key(), 1), before);
    // Control: a first message with the handshake of the older session opens there.
    let next = first.encrypt(b"next", &mut rng).unwrap();
    assert!(noescrow::is_first_message(&next).unwrap());
    assert_eq!(older.decrypt(&next).unwrap().plaintext, b"next");
}

/// HS-R7: a message that does not open uses no one-time prekey up, whatever of it was forged.
#[test]
fn i4_a_forged_first_message_leaves_the_prekey_for_the_genuine() {
    let (alice, mut bob, mut rng) = pair();
    let published = bob.publish(1, NOW, &mut rng).unwrap();
    let (_, hello) = initiate(&alice, &published, published.one_time_prekeys.first(), &mut rng);
    let before = bob.snapshot(&key(), 1);
    // One byte in each part: EK, CT, the hidden identity, salt, header, and body.
    for at in [20, 900, 1_650, 1_760, 1_800, hello.len() - 1] {
        let mut forged = hello.clone();
        forged[at] ^= 1;
        assert_eq!(bob.accept(&forged).map(|_| ()).unwrap_err(), AcceptError::Refused, "{at}");
        assert_eq!(bob.snapshot(&key(), 1), before, "{at}");
    }
    assert_eq!(bob.accept(&hello).unwrap().1, b"hi");
    // Control: the genuine message uses the prekey up.
    assert_ne!(bob.snapshot(&key(), 1), before);
    assert_eq!(bob.accept(&hello).map(|_| ()).unwrap_err(), AcceptError::PrekeyGone);
}

/// PP-1: a device that was restored from a backup issues no id again, and tells which prekeys of the server it lacks.
#[test]
fn i5_a_restored_device_issues_no_id_again() {
    let (alice, mut bob, mut rng) = pair();
    let backup = bob.snapshot(&key(), 1);
    let restored = || Device::restore(&backup, &key(), &bob.subject(), 0).unwrap();
    let (mut same_draws, mut restored) = (restored(), restored());
    let lost = bob.publish(3, NOW, &mut rng.clone()).unwrap();
    // Control: with the generator of the first time, the ids are the same, and so are the keys.
    let again = same_draws.publish(3, NOW, &mut rng.clone()).unwrap();
    assert_eq!(ids(&again.one_time_prekeys), ids(&lost.one_time_prekeys));

    let mut fresh = ChaCha20Rng::seed_from_u64(27);
    let published = restored.publish(3, NOW, &mut fresh).unwrap();
    assert!(ids(&published.one_time_prekeys).is_disjoint(&ids(&lost.one_time_prekeys)));
    let listed: Vec<u32> = [&published, &lost].iter().flat_map(|of| ids(&of.one_time_prekeys)).collect();
    assert_eq!(restored.unknown_one_time_prekeys(&listed).collect::<BTreeSet<_>>(), ids(&lost.one_time_prekeys));
    // First messages to both: one opens, the other is named as what it is.
    let (_, to_lost) = initiate(&alice, &published, lost.one_time_prekeys.first(), &mut rng);
    let (_, to_fresh) = initiate(&alice, &published, published.one_time_prekeys.first(), &mut rng);
    assert_eq!(restored.accept(&to_lost).map(|_| ()).unwrap_err(), AcceptError::PrekeyGone);
    assert_eq!(restored.accept(&to_fresh).unwrap().1, b"hi");
}
