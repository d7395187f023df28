// SPDX-License-Identifier: MIT OR Apache-2.0
//! After a rollback: discarded states stay recognizable, honest stores are not suspect, and every peer is reached.

use super::ending::end_session;
use super::restored::{login, put_back, restore, talk};
use super::user::{DAY, NOW, User, friends};
use noescrow::messenger::policy::{ALL_RECOVERIES_A_DAY, GREATEST_WITNESS};
use noescrow::messenger::{NewSession, SealError, Suspicion};
use noescrow::{Bundle, Device};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn save_notes(user: &mut User) {
    user.messenger.save_notes(user.now).unwrap().save(&mut user.disk).unwrap();
}

#[test]
fn a_restored_store_is_above_its_witness() {
    let [mut alice, mut bob] = friends();
    let backup = bob.disk.clone();
    talk(&mut alice, &mut bob);
    let witness = bob.messenger.generation();
    put_back(&mut bob, &backup);
    // Control: without the witness, a step raises the generation by one.
    let own = bob.messenger.generation();
    save_notes(&mut bob);
    assert_eq!(bob.messenger.generation(), own + 1);
    for saves_notes in [true, false] {
        put_back(&mut bob, &backup);
        assert_eq!(bob.messenger.check_witness(witness), Some(Suspicion::Witness));
        if saves_notes {
            save_notes(&mut bob);
        }
        restore(&mut bob);
        assert_eq!(bob.messenger.generation(), witness + 1 + u64::from(saves_notes));
    }
}

#[test]
fn a_copy_of_a_discarded_state_is_suspect() {
    for checks_witness in [true, false] {
        let [mut alice, mut bob] = friends();
        let backup = bob.disk.clone();
        let mut discarded = Vec::new();
        for _ in 0..3 {
            talk(&mut alice, &mut bob);
            discarded.push(bob.disk.clone());
        }
        let newest = bob.messenger.generation();
        put_back(&mut bob, &backup);
        if checks_witness {
            bob.messenger.check_witness(newest);
            save_notes(&mut bob);
        }
        restore(&mut bob);
        // The application writes it after each commit.
        let witness = bob.messenger.generation();
        for copy in &discarded {
            put_back(&mut bob, copy);
            // Control: a store that has not seen its witness goes on below it, and a copy seems to be ahead.
            assert_eq!(bob.messenger.check_witness(witness), checks_witness.then_some(Suspicion::Witness));
        }
    }
}

#[test]
fn a_witness_that_only_grows_is_satisfied_after_restoring() {
    let [mut alice, mut bob] = friends();
    let backup = bob.disk.clone();
    talk(&mut alice, &mut bob);
    let mut witness = bob.messenger.generation();
    put_back(&mut bob, &backup);
    bob.messenger.check_witness(witness);
    restore(&mut bob);
    for _ in 0..3 {
        witness = witness.max(bob.messenger.generation());
        bob.crash();
        assert_eq!(bob.messenger.check_witness(witness), None);
        save_notes(&mut bob);
    }
    // Control: it still shows that the store is put back.
    put_back(&mut bob, &backup);
    assert_eq!(bob.messenger.check_witness(witness), Some(Suspicion::Witness));
}

#[test]
fn a_witness_beyond_every_generation_leaves_room_for_steps() {
    for witness in [u64::MAX, GREATEST_WITNESS + 1] {
        let mut bob = User::new(1);
        let own = bob.messenger.generation();
        assert_eq!(bob.messenger.check_witness(witness), Some(Suspicion::Witness));
        restore(&mut bob);
        assert_eq!(bob.messenger.generation(), own + 1);
    }
    // Control: the greatest that counts.
    let mut bob = User::new(1);
    assert_eq!(bob.messenger.check_witness(GREATEST_WITNESS), Some(Suspicion::Witness));
    restore(&mut bob);
    assert_eq!(bob.messenger.generation(), GREATEST_WITNESS + 1);
    bob.restart();
    save_notes(&mut bob);
    assert_eq!(bob.messenger.generation(), GREATEST_WITNESS + 2);
}

#[test]
fn a_store_that_is_declared_suspect_stays_so() {
    let mut bob = User::new(1);
    bob.messenger.suspect(Suspicion::Witness);
    assert!(bob.messenger.has_notes());
    save_notes(&mut bob);
    assert!(!bob.messenger.has_notes());
    // It is no news.
    bob.messenger.suspect(Suspicion::Witness);
    assert!(!bob.messenger.has_notes());
    bob.restart();
    assert_eq!(bob.messenger.suspicion(), Some(Suspicion::Witness));
    assert!(bob.messenger.maintain(bob.now, &[], &mut bob.rng).is_err());
    // Control: restoring ends it.
    restore(&mut bob);
    bob.restart();
    assert_eq!(bob.messenger.suspicion(), None);
}

/// Logs in while the server has `shown`, and returns the nonce that is offered to it.
fn offer(bob: &mut User, shown: [u8; 16]) -> [u8; 16] {
    let mut server = Some(shown);
    assert_eq!(login(bob, &mut server, true), Ok(()));
    server.unwrap()
}

#[test]
fn an_exchange_that_arrives_late_is_no_rollback() {
    let mut bob = User::new(1);
    let mut server = None;
    assert_eq!(login(&mut bob, &mut server, true), Ok(()));
    let first = server.unwrap();
    // Six exchanges are on their way. They arrive in any order, before and after the server has shown one.
    let late: Vec<[u8; 16]> = (0..6).map(|_| offer(&mut bob, first)).collect();
    bob.restart();
    for nonce in [late[1], late[0], late[5], late[2]] {
        bob.crash();
        let mut server = Some(nonce);
        assert_eq!(login(&mut bob, &mut server, false), Ok(()));
        put_back_is_noticed(&mut bob);
    }
}

/// Control: the nonce of a login after a backup still shows that it was put back.
fn put_back_is_noticed(bob: &mut User) {
    let (disk, now) = (bob.disk.clone(), bob.now);
    let mut server = None;
    assert_eq!(login(bob, &mut server, true), Ok(()));
    put_back(bob, &disk);
    assert_eq!(login(bob, &mut server, true), Err(Suspicion::LoginNonce));
    put_back(bob, &disk);
    bob.now = now;
}

#[test]
fn a_nonce_from_before_the_last_eight_is_a_rollback() {
    let mut bob = User::new(1);
    let mut server = None;
    let mut offered = Vec::new();
    for _ in 0..10 {
        assert_eq!(login(&mut bob, &mut server, true), Ok(()));
        offered.push(server.unwrap());
    }
    // The server lost its state, or lies.
    for (age, nonce) in offered.iter().rev().enumerate() {
        let disk = bob.disk.clone();
        let expected = if age < 8 { Ok(()) } else { Err(Suspicion::LoginNonce) };
        assert_eq!(login(&mut bob, &mut Some(*nonce), false), expected, "{age}");
        put_back(&mut bob, &disk);
    }
}

#[test]
fn the_first_login_after_restoring_compares_no_nonce() {
    let [mut alice, mut bob] = friends();
    let mut server = None;
    assert_eq!(login(&mut bob, &mut server, true), Ok(()));
    let backup = bob.disk.clone();
    assert_eq!(login(&mut bob, &mut server, true), Ok(()));
    talk(&mut alice, &mut bob);
    put_back(&mut bob, &backup);
    restore(&mut bob);
    // The device is not online for two days.
    bob.now.0 += 2 * DAY;
    bob.restart();
    assert_eq!(login(&mut bob, &mut server, true), Ok(()));
    // Control: the next one does.
    bob.restart();
    assert_eq!(login(&mut bob, &mut Some([9; 16]), true), Err(Suspicion::LoginNonce));
    assert_eq!(bob.messenger.suspicion(), Some(Suspicion::LoginNonce));
}

#[test]
fn after_restoring_the_hundred_and_first_peer_is_reached() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let count = usize::try_from(ALL_RECOVERIES_A_DAY).unwrap() + 1;
    let peers: Vec<_> = (0..count)
        .map(|number| {
            let mut device = Device::generate(NOW, &mut rng);
            let signed = device.replenish(NOW, &[], &mut rng).signed_prekey;
            let identity = *device.identity();
            let bundle = move || Bundle::new(identity, signed.clone(), None).unwrap();
            let peer = bob.add(&number.to_string());
            bob.seal_with(&peer, b"hello", bundle()).unwrap();
            (peer, bundle)
        })
        .collect();
    restore(&mut bob);
    for (peer, bundle) in &peers {
        assert_eq!(bob.messenger.needs_bundle(peer, bob.now), Ok(Some(NewSession::Restored)));
        let sent = bob.seal_with(peer, b"restored", bundle()).unwrap();
        assert_eq!(sent.recovers_from, Some(NewSession::Restored));
    }
    // Control: a second new session with them is counted.
    for (peer, bundle) in &peers {
        let until = noescrow::UnixSeconds(bob.now.0 + DAY);
        end_session(&mut bob, peer);
        match bob.messenger.needs_bundle(peer, bob.now) {
            Ok(reason) => {
                assert_eq!(reason, Some(NewSession::Abandoned));
                assert_ne!(*peer, peers[count - 1].0);
                bob.seal_with(peer, b"again", bundle()).unwrap();
            }
            error => {
                assert_eq!((error, *peer), (Err(SealError::TooManySessions { until }), peers[count - 1].0));
            }
        }
    }
    // When none is left of the day's, a restoring is no less a reason.
    restore(&mut bob);
    for (peer, _) in &peers[..count - 1] {
        assert_eq!(bob.messenger.needs_bundle(peer, bob.now), Ok(Some(NewSession::Restored)));
    }
}
