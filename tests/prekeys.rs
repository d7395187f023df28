// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device's store of prekeys over its life: filled, used, expired, full.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test states its expectations"
)]

use noescrow::error::{AcceptError, PrekeyError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Capacity, InitiateOptions, Prekey, PrekeyKind, StorageKey, UnixSeconds, device};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeSet;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 30 * 86_400);
const CAPACITY: usize = 6;

type Device = device::Device<RustCrypto, Capacity<CAPACITY, 4>>;

fn pair() -> (Device, Device, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    (Device::generate_with(RustCrypto, LATER, &mut rng), Device::generate_with(RustCrypto, LATER, &mut rng), rng)
}

fn ids(prekeys: &[Prekey]) -> Vec<u32> {
    prekeys.iter().map(Prekey::id).collect()
}

/// A first message from Alice to these prekeys of Bob's, sealed before they expired.
fn hello(alice: &Device, bob: &Device, signed: &Prekey, one_time: Option<&Prekey>, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let bundle = Bundle::new(*bob.identity(), signed.clone(), one_time.cloned()).unwrap();
    alice.initiate(bundle, b"hi", InitiateOptions::unverified(UnixSeconds(0)), rng).unwrap().1
}

/// The state, whatever its generation: equal states are equal bytes.
fn state(device: &Device) -> Vec<u8> {
    device.snapshot(&StorageKey::new([3; 32]), 1)
}

fn restored(device: &Device, snapshot: &[u8]) -> Device {
    Device::restore_with(RustCrypto, snapshot, &StorageKey::new([3; 32]), &device.subject(), 0).unwrap()
}

/// Whether no id occurs twice.
fn are_distinct(ids: &[u32]) -> bool {
    ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
}

#[test]
fn replenishing_replaces_exactly_the_used_prekeys() {
    let (alice, mut bob, mut rng) = pair();
    let first = bob.publish(3, LATER, &mut rng).unwrap();
    assert_eq!((first.one_time_prekeys.len(), bob.one_time_prekeys_left()), (3, 3));
    let used = &first.one_time_prekeys[1];
    let message = hello(&alice, &bob, &first.signed_prekey, Some(used), &mut rng);
    assert_eq!(bob.accept(&message).unwrap().1, b"hi");
    assert_eq!(bob.one_time_prekeys_left(), 2);

    let more = bob.replenish(5, LATER, &mut rng).unwrap();
    assert_eq!((more.one_time_prekeys.len(), bob.one_time_prekeys_left()), (3, 5));
    assert_eq!((&more.identity, &more.signed_prekey), (bob.identity(), &first.signed_prekey));
    assert!(
        more.one_time_prekeys.iter().all(|prekey| prekey.kind() == PrekeyKind::OneTime && prekey.expiry() == LATER)
    );
    assert!(are_distinct(&[ids(&first.one_time_prekeys), ids(&more.one_time_prekeys)].concat()));

    // With enough prekeys or more, nothing is made, drawn or deleted.
    for target in [5, 4, 0] {
        let (before, drawn) = (state(&bob), rng.clone().next_u64());
        assert_eq!(bob.replenish(target, LATER, &mut rng).unwrap().one_time_prekeys, []);
        assert_eq!((state(&bob), rng.clone().next_u64()), (before, drawn));
    }
    // Each remaining prekey opens a message, and no other does.
    for prekey in first.one_time_prekeys.iter().chain(&more.one_time_prekeys) {
        let message = hello(&alice, &bob, &first.signed_prekey, Some(prekey), &mut rng);
        let opened = bob.accept(&message).map(|(_, text)| text);
        assert_eq!(opened, if prekey == used { Err(AcceptError::PrekeyGone) } else { Ok(b"hi".to_vec()) });
    }
    assert_eq!(bob.one_time_prekeys_left(), 0);
}

#[test]
fn exactly_the_expired_prekeys_are_deleted() {
    let (alice, mut bob, mut rng) = pair();
    let mut made = Vec::new();
    for expiry in [UnixSeconds(NOW.0 + 1), UnixSeconds(NOW.0 - 1), NOW, UnixSeconds(0), LATER] {
        made.push(bob.publish(1, expiry, &mut rng).unwrap().one_time_prekeys.remove(0));
    }
    let signed = bob.signed_prekey();
    let messages: Vec<_> =
        made.iter().map(|prekey| (prekey.expiry(), hello(&alice, &bob, &signed, Some(prekey), &mut rng))).collect();
    let before = state(&bob);
    assert_eq!(bob.delete_expired(UnixSeconds(0)), 0);
    assert_eq!(state(&bob), before);
    assert_eq!((bob.delete_expired(NOW), bob.one_time_prekeys_left()), (2, 3));
    assert_eq!((bob.delete_expired(NOW), bob.one_time_prekeys_left()), (0, 3));
    for (expiry, message) in &messages {
        let opened = bob.accept(message).map(|(_, text)| text);
        let due = if *expiry < NOW { Err(AcceptError::PrekeyGone) } else { Ok(b"hi".to_vec()) };
        assert_eq!(opened, due, "{expiry}");
        // Control: before expiry, each opened.
        assert!(restored(&bob, &before).accept(message).is_ok());
    }
}

#[test]
fn the_previous_signed_prekey_expires_and_the_current_does_not() {
    let (alice, _, mut rng) = pair();
    for previous_expiry in [UnixSeconds(NOW.0 - 1), NOW] {
        let mut bob = Device::generate_with(RustCrypto, previous_expiry, &mut rng);
        let previous = bob.signed_prekey();
        let in_force = bob.rotate(UnixSeconds(NOW.0 - 1), &mut rng).unwrap();
        let [old, new] = [&previous, &in_force].map(|signed| hello(&alice, &bob, signed, None, &mut rng));
        let before = state(&bob);
        let is_expired = previous_expiry < NOW;
        assert_eq!(bob.delete_expired(NOW), usize::from(is_expired));
        assert_eq!(bob.delete_previous_signed_prekey(), !is_expired);
        assert_eq!(bob.accept(&old).unwrap_err(), AcceptError::Refused);
        assert!(bob.accept(&new).is_ok() && bob.signed_prekey() == in_force);
        // Control.
        assert!(restored(&bob, &before).accept(&old).is_ok());
    }
}

#[test]
fn no_id_is_issued_twice() {
    let (alice, mut bob, mut rng) = pair();
    let mut issued = vec![bob.signed_prekey().id()];
    let mut rolled_back = None;
    for round in 0..8usize {
        let publication = bob.replenish(1 + round % CAPACITY, UnixSeconds(NOW.0 + round as u64), &mut rng).unwrap();
        issued.extend(ids(&publication.one_time_prekeys));
        match (round % 4, publication.one_time_prekeys.first()) {
            (0, Some(prekey)) => {
                let message = hello(&alice, &bob, &publication.signed_prekey, Some(prekey), &mut rng);
                assert!(bob.accept(&message).is_ok());
            }
            (1, Some(prekey)) => assert!(bob.delete_one_time_prekey(prekey.id())),
            (2, _) => issued.push(bob.rotate(LATER, &mut rng).unwrap().id()),
            _ => assert!(bob.delete_expired(UnixSeconds(NOW.0 + round as u64)) > 0),
        }
        let snapshot = state(&bob);
        bob = restored(&bob, &snapshot);
        rolled_back.get_or_insert(snapshot);
    }
    assert!(issued.len() == 15 && are_distinct(&issued), "{issued:?}");
    // Control: a device that was rolled back, which the caller's newest generation would prevent, issues ids again.
    let again = restored(&bob, &rolled_back.unwrap()).publish(1, LATER, &mut rng).unwrap();
    issued.extend(ids(&again.one_time_prekeys));
    assert!(!are_distinct(&issued));
}

#[test]
fn a_full_store_changes_nothing() {
    let (_, mut bob, mut rng) = pair();
    bob.publish(CAPACITY - 2, LATER, &mut rng).unwrap();
    let mut refused = |bob: &mut Device, ask: fn(&mut Device, &mut ChaCha20Rng) -> Option<PrekeyError>| {
        let (before, drawn) = (state(bob), rng.clone().next_u64());
        let error = ask(bob, &mut rng);
        let is_unchanged = (state(bob), rng.clone().next_u64()) == (before, drawn);
        (error, is_unchanged)
    };
    let full = (Some(PrekeyError::StoreFull), true);
    // Two fit: if three are requested, none is made.
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(3, LATER, rng).err()), full);
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(usize::MAX, LATER, rng).err()), full);
    assert_eq!(refused(&mut bob, |bob, rng| bob.replenish(CAPACITY + 1, LATER, rng).err()), full);
    // Control: if two are requested, both are made, and that is a change.
    assert_eq!(refused(&mut bob, |bob, rng| bob.replenish(CAPACITY, LATER, rng).err()), (None, false));
    assert_eq!(bob.one_time_prekeys_left(), CAPACITY);
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(1, LATER, rng).err()), full);
    assert_eq!(refused(&mut bob, |bob, rng| bob.generate_one_time_prekey(LATER, rng).err()), full);
    assert_eq!(refused(&mut bob, |bob, rng| bob.publish(0, LATER, rng).err()), (None, true));
}
