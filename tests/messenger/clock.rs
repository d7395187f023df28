// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layer's clock: what is compared with it is compared with the corrected times, and what the caller's reading cannot
//! be trusted for.

use super::recovery::{probe, receipt, rolled_back};
use super::user::{DAY, HOUR, User, friends};
use noescrow::error::InitiateError;
use noescrow::messenger::{NewSession, Refusal, Refused, SealError};
use noescrow::{Device, InitiateOptions, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

#[test]
fn a_reading_of_1970_accepts_no_expired_bundle() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let mut bundle = bob.bundle();
    alice.wait(40 * DAY);
    for now in [alice.now, UnixSeconds(0), UnixSeconds(1), UnixSeconds(0)] {
        let step = alice.messenger.seal_with_bundle(&peer, b"secret", bundle, now, &mut alice.rng);
        let failed = step.map(|_| ()).unwrap_err();
        assert!(matches!(failed.error, SealError::Bundle(InitiateError::Expired { .. })), "{:?}", failed.error);
        bundle = failed.bundle;
    }
    // The same for a peer of whom no identity is known.
    let unknown = alice.add("carol");
    let of_carol = User::new(3).bundle();
    let step = alice.messenger.seal_with_bundle(&unknown, b"", of_carol, UnixSeconds(0), &mut alice.rng);
    assert!(matches!(step.map(|_| ()).unwrap_err().error, SealError::Bundle(InitiateError::Expired { .. })));
    // Control: a device alone trusts the reading, and 0 turns its check off.
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let device = Device::generate(alice.now, &mut rng);
    assert!(device.initiate(bundle, b"", InitiateOptions::unverified(UnixSeconds(0)), &mut rng).is_ok());
}

/// Has the clock take a reading that is far away. It follows a day later.
fn jump(user: &mut User) -> UnixSeconds {
    user.now.0 += 20 * DAY;
    let claim = user.now;
    user.maintain();
    claim
}

#[test]
fn the_reading_that_confirms_a_jump_permits_no_second_probe() {
    let [mut alice, mut bob] = rolled_back();
    let peer = alice.peer(&bob);
    let hello = {
        let of_alice = bob.peer(&alice);
        bob.seal_with(&of_alice, b"new", alice.bundle()).unwrap()
    };
    assert!(alice.open(&hello.message).unwrap().is_on_probation);
    let claim = jump(&mut alice);
    alice.now.0 = claim.0 + 23 * HOUR + HOUR / 2;
    probe(&mut alice, &peer).unwrap();
    alice.now.0 = claim.0 + 24 * HOUR;
    assert_eq!(
        probe(&mut alice, &peer),
        Err(SealError::TooSoon { until: UnixSeconds(claim.0 + 24 * HOUR + HOUR / 2) })
    );
    // Control: an hour after the first one it is permitted.
    alice.now.0 = claim.0 + 24 * HOUR + HOUR / 2;
    assert!(probe(&mut alice, &peer).is_ok());
}

#[test]
fn the_reading_that_confirms_a_jump_permits_no_second_receipt() {
    let [mut alice, bob] = friends();
    let author = Some(alice.peer(&bob));
    let refused = Refused { reason: Refusal::Body, message_id: [7; 16], author };
    let claim = jump(&mut alice);
    alice.now.0 = claim.0 + 23 * HOUR + HOUR / 2;
    receipt(&mut alice, &refused).unwrap();
    alice.now.0 = claim.0 + 24 * HOUR;
    let until = UnixSeconds(claim.0 + 24 * HOUR + HOUR / 2);
    assert_eq!(receipt(&mut alice, &refused), Err(SealError::TooSoon { until }));
    // Control: an hour after the first one it is permitted.
    alice.now = until;
    assert!(receipt(&mut alice, &refused).is_ok());
}

#[test]
fn needs_bundle_agrees_with_seal_when_the_clock_is_corrected() {
    let [mut alice, bob] = friends();
    let peer = alice.peer(&bob);
    let claim = jump(&mut alice);
    alice.now.0 = claim.0 + HOUR;
    alice.seal(&peer, b"are you there?").unwrap();
    // The reading that confirms the jump: the message was sealed 23 hours ago.
    alice.now.0 = claim.0 + DAY;
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(None));
    assert!(alice.seal(&peer, b"still there?").is_ok());
    // Control: after a week without an answer, both demand a session.
    for _ in 0..7 {
        alice.now.0 += DAY;
        alice.maintain();
    }
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(Some(NewSession::Silence)));
    assert_eq!(alice.seal(&peer, b"?"), Err(SealError::NeedsBundle(NewSession::Silence)));
}

#[test]
fn a_limit_is_corrected_before_it_is_compared() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let demand = |alice: &mut User, bob: &mut User| {
        let copy = bob.disk.clone();
        let first = bob.send(alice, b"1");
        alice.open(&first.message).unwrap();
        bob.disk = copy;
        bob.crash();
        let other = bob.send(alice, b"2");
        assert_eq!(alice.refusal(&other.message), Refusal::ForkSuspected);
    };
    let claim = jump(&mut alice);
    jump(&mut bob);
    alice.now.0 = claim.0 + 23 * HOUR + HOUR / 2;
    demand(&mut alice, &mut bob);
    let new = alice.send(&mut bob, b"new");
    assert_eq!(new.recovers_from, Some(NewSession::ForkSuspected));
    bob.open(&new.message).unwrap();
    let reply = bob.send(&mut alice, b"hi");
    alice.open(&reply.message).unwrap();
    demand(&mut alice, &mut bob);
    // Half an hour after the last new session.
    alice.now.0 = claim.0 + 24 * HOUR;
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(None));
    assert_eq!(alice.seal(&peer, b"3").unwrap().session, new.session);
    // Control: an hour after it another one is demanded.
    alice.now.0 = claim.0 + 24 * HOUR + HOUR / 2;
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(Some(NewSession::ForkSuspected)));
}

/// The device's clock is read by `maintain` only, and follows a long absence a day later.
#[test]
fn an_old_signed_prekey_stays_on_probation_while_it_is_held() {
    let mut bob = User::new(1);
    let mut alice = User::new(2);
    bob.one_time_prekeys.clear();
    let peer = alice.add("bob");
    let hello = alice.seal_with(&peer, b"hello", bob.bundle()).unwrap();
    let published = bob.messenger.restore_backup(bob.now, &mut bob.rng).unwrap().save(&mut bob.disk).unwrap();
    (bob.signed_prekey, bob.one_time_prekeys) = (published.signed_prekey, published.one_time_prekeys);
    let copy = bob.disk.clone();
    // Two weeks without maintenance, in which the messenger's clock goes on.
    for day in 1..=14 {
        bob.now.0 += DAY;
        bob.add(&format!("peer {day}"));
    }
    bob.maintain();
    assert!(bob.open(&hello.message).unwrap().is_on_probation);
    // Control: the prekey is forgotten when the device has deleted it.
    bob.disk = copy;
    bob.now.0 -= 14 * DAY;
    bob.crash();
    bob.wait(15 * DAY);
    assert_eq!(bob.refusal(&hello.message), Refusal::PrekeyGone);
}
