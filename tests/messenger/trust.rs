// SPDX-License-Identifier: MIT OR Apache-2.0
//! A peer with another identity: nothing is sent before the application has accepted it, and the former one stays behind.

use super::recovery::another_session;
use super::user::{DAY, MINUTE, User, friends};
use noescrow::durable::Unsaved;
use noescrow::messenger::policy::REJECTED_IDENTITIES;
use noescrow::messenger::{NewSession, PeerError, Refusal, SealError, Trust};

fn error(result: Result<Unsaved<'_, ()>, PeerError>) -> PeerError {
    result.map(|_| ()).unwrap_err()
}

/// Bob has a new device, and writes to Alice from it.
fn reinstalled() -> ([User; 2], User) {
    let [mut alice, bob] = friends();
    let mut new_bob = User::new(77);
    let peer = new_bob.add("alice");
    let hello = new_bob.seal_with(&peer, b"new phone", alice.bundle()).unwrap();
    let opened = alice.open(&hello.message).unwrap();
    assert!(opened.is_new_identity);
    ([alice, bob], new_bob)
}

#[test]
fn mail_from_a_new_identity_is_delivered_and_blocks_nothing() {
    let ([mut alice, mut bob], new_bob) = reinstalled();
    let peer = alice.peer(&bob);
    assert!(alice.disk.inbox.values().any(|text| text == b"new phone"));
    assert_eq!(alice.messenger.peer_of(&new_bob.identity()).unwrap().trust, Trust::Unknown);
    // Control: only the application knows that the stranger claims to be Bob.
    assert!(alice.seal(&peer, b"1").is_ok());
    let step = alice.messenger.claim_identity(&peer, &new_bob.identity(), alice.now).unwrap();
    step.save(&mut alice.disk).unwrap();
    assert_eq!(alice.seal(&peer, b"2"), Err(SealError::IdentityChanged));
    let message = bob.send(&mut alice, b"it is me");
    assert_eq!(alice.open(&message.message).unwrap().payload, b"it is me");
}

#[test]
fn an_accepted_identity_takes_over_the_strangers_sessions() {
    let ([mut alice, mut bob], mut new_bob) = reinstalled();
    let (peer, identity) = (alice.peer(&bob), new_bob.identity());
    let stranger = alice.peer(&new_bob);
    let late = bob.send(&mut alice, b"late");
    alice.messenger.claim_identity(&peer, &identity, alice.now).unwrap().save(&mut alice.disk).unwrap();
    let step = alice.messenger.accept_identity(&peer, &identity, alice.now).unwrap();
    let batch = step.batch().unwrap();
    assert_eq!(batch.merged.len(), 1);
    step.save(&mut alice.disk).unwrap();
    for _ in 0..2 {
        assert!(alice.messenger.peer(&stranger).is_none());
        let view = alice.messenger.peer(&peer).unwrap();
        assert_eq!((view.identity, view.claimed, view.trust), (Some(&identity), None, Trust::FirstUse));
        assert_eq!((view.name, view.sessions), (&b"bob"[..], 2));
        alice.restart();
    }
    let message = alice.seal(&peer, b"welcome back").unwrap();
    assert_eq!(new_bob.open(&message.message).unwrap().payload, b"welcome back");
    // Late mail of the former identity still comes, and moves nothing back.
    let opened = alice.open(&late.message).unwrap();
    assert_eq!(opened.payload, b"late");
    assert!(opened.peer == peer && opened.is_former_identity && opened.is_receive_only && !opened.is_new_identity);
    assert_eq!(alice.seal(&peer, b"1").unwrap().session, message.session);
    // Control: mail of the accepted identity.
    let reply = new_bob.send(&mut alice, b"thanks");
    let opened = alice.open(&reply.message).unwrap();
    assert!(opened.peer == peer && !opened.is_former_identity && !opened.is_receive_only);
    // Control: the former identity's new session is that of a stranger.
    let of_alice = bob.peer(&alice);
    let hello = bob.seal_with(&of_alice, b"old phone", alice.bundle()).unwrap();
    let opened = alice.open(&hello.message).unwrap();
    assert!(opened.is_new_identity && opened.peer != peer);
    assert_eq!(alice.seal(&peer, b"2").unwrap().session, message.session);
    assert_eq!(alice.refusal(&late.message), Refusal::AlreadyOpened);
}

#[test]
fn only_exactly_the_claimed_identity_can_be_accepted() {
    let ([mut alice, bob], new_bob) = reinstalled();
    let peer = alice.peer(&bob);
    let now = alice.now;
    let mallory = User::new(66).identity();
    assert_eq!(error(alice.messenger.accept_identity(&peer, &mallory, now)), PeerError::OtherIdentity);
    alice.messenger.claim_identity(&peer, &new_bob.identity(), now).unwrap().save(&mut alice.disk).unwrap();
    assert_eq!(error(alice.messenger.accept_identity(&peer, &mallory, now)), PeerError::OtherIdentity);
    assert_eq!(error(alice.messenger.accept_identity(&peer, &bob.identity(), now)), PeerError::OtherIdentity);
    assert_eq!(error(alice.messenger.claim_identity(&peer, &bob.identity(), now)), PeerError::Taken);
    // Control.
    assert!(alice.messenger.accept_identity(&peer, &new_bob.identity(), now).is_ok());
}

#[test]
fn a_safety_number_names_the_pinned_or_the_claimed_identity() {
    let ([mut alice, bob], new_bob) = reinstalled();
    let (peer, now) = (alice.peer(&bob), alice.now);
    let (pinned, claimed) = (bob.identity(), new_bob.identity());
    let numbers = [pinned, claimed].map(|identity| alice.messenger.safety_number(&identity).to_string());
    assert_eq!(alice.messenger.identity_numbered(&peer, &numbers[0]), Ok(pinned));
    // Control: an identity that does not claim to be the peer has no number here.
    assert_eq!(alice.messenger.identity_numbered(&peer, &numbers[1]), Err(PeerError::OtherIdentity));
    alice.messenger.claim_identity(&peer, &claimed, now).unwrap().save(&mut alice.disk).unwrap();
    assert_eq!(alice.messenger.identity_numbered(&peer, &numbers[0]), Ok(pinned));
    assert_eq!(alice.messenger.identity_numbered(&peer, &numbers[1]), Ok(claimed));
    let without_spaces = numbers[1].replace(' ', "");
    assert_eq!(alice.messenger.identity_numbered(&peer, &without_spaces), Ok(claimed));
    // Control: every digit is compared, and there are 60.
    for at in 0..60 {
        let mut other = without_spaces.clone().into_bytes();
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        let other = String::from_utf8(other).unwrap();
        assert_eq!(alice.messenger.identity_numbered(&peer, &other), Err(PeerError::OtherIdentity), "{at}");
    }
    for other in ["", &without_spaces[..59], &format!("{without_spaces}0")] {
        assert_eq!(alice.messenger.identity_numbered(&peer, other), Err(PeerError::OtherIdentity));
    }
    assert_eq!(alice.messenger.identity_numbered(&alice.peer(&new_bob), &numbers[1]), Ok(claimed));
}

#[test]
fn a_rejected_identity_claims_the_peer_no_second_time() {
    let ([mut alice, bob], mut new_bob) = reinstalled();
    let (peer, identity, now) = (alice.peer(&bob), new_bob.identity(), alice.now);
    // Control: before it is rejected it can claim.
    alice.messenger.claim_identity(&peer, &identity, now).unwrap().save(&mut alice.disk).unwrap();
    alice.messenger.reject_identity(&peer, &identity, now).unwrap().save(&mut alice.disk).unwrap();
    for _ in 0..2 {
        assert_eq!(error(alice.messenger.claim_identity(&peer, &identity, now)), PeerError::Rejected);
        // Neither does a bundle.
        let error = alice.seal_with(&peer, b"", new_bob.bundle());
        assert_eq!(error, Err(SealError::IdentityRejected));
        assert_eq!(alice.messenger.peer(&peer).unwrap().claimed, None);
        assert!(alice.seal(&peer, b"to the pinned identity").is_ok());
        alice.restart();
    }
    // It is not rejected for another peer, nor is another identity for this one.
    let other = alice.add("carol");
    alice.messenger.claim_identity(&other, &identity, now).unwrap().save(&mut alice.disk).unwrap();
    let another = User::new(66).identity();
    alice.messenger.claim_identity(&peer, &another, now).unwrap().save(&mut alice.disk).unwrap();
    // The user was mistaken.
    alice.messenger.accept_identity(&peer, &identity, now).unwrap().save(&mut alice.disk).unwrap();
    let view = alice.messenger.peer(&peer).unwrap();
    assert_eq!((view.identity, view.claimed, view.trust), (Some(&identity), None, Trust::FirstUse));
    assert_eq!(error(alice.messenger.claim_identity(&peer, &identity, now)), PeerError::Taken);
}

#[test]
fn a_rejected_identity_is_not_pinned_on_first_use() {
    for is_rejected in [false, true] {
        let (mut alice, mut mallory) = (User::new(1), User::new(66));
        let (peer, identity, now) = (alice.add("bob"), mallory.identity(), alice.now);
        if is_rejected {
            alice.messenger.claim_identity(&peer, &identity, now).unwrap().save(&mut alice.disk).unwrap();
            alice.messenger.reject_identity(&peer, &identity, now).unwrap().save(&mut alice.disk).unwrap();
        }
        // Control: the first bundle of an identity that nobody has rejected is.
        let sealed = alice.seal_with(&peer, b"", mallory.bundle()).map(|_| ());
        assert_eq!(sealed, if is_rejected { Err(SealError::IdentityRejected) } else { Ok(()) });
        assert_eq!(alice.messenger.peer(&peer).unwrap().identity.is_some(), !is_rejected);
    }
}

#[test]
fn the_newest_rejected_identities_are_remembered() {
    let ([mut alice, bob], _) = reinstalled();
    let (peer, now) = (alice.peer(&bob), alice.now);
    let identities: Vec<_> = (0..=REJECTED_IDENTITIES).map(|seed| User::new(500 + seed as u64).identity()).collect();
    for identity in &identities {
        alice.messenger.claim_identity(&peer, identity, now).unwrap().save(&mut alice.disk).unwrap();
        alice.messenger.reject_identity(&peer, identity, now).unwrap().save(&mut alice.disk).unwrap();
    }
    alice.restart();
    for identity in &identities[1..] {
        assert_eq!(error(alice.messenger.claim_identity(&peer, identity, now)), PeerError::Rejected);
    }
    // Control: the oldest is beyond the bound.
    assert!(alice.messenger.claim_identity(&peer, &identities[0], now).is_ok());
}

#[test]
fn a_name_raises_no_trust() {
    let ([mut alice, _], mut new_bob) = reinstalled();
    let stranger = alice.peer(&new_bob);
    alice.messenger.name_peer(&stranger, b"bob's new phone?", alice.now).unwrap().save(&mut alice.disk).unwrap();
    assert_eq!(alice.messenger.peer(&stranger).unwrap().trust, Trust::Unknown);
    // Control: an answer does.
    let answer = alice.send(&mut new_bob, b"who are you?");
    assert!(new_bob.open(&answer.message).is_ok());
    assert_eq!(alice.messenger.peer(&stranger).unwrap().trust, Trust::FirstUse);
}

#[test]
fn verified_holds_until_another_identity_is_accepted() {
    let ([mut alice, bob], new_bob) = reinstalled();
    let (peer, now) = (alice.peer(&bob), alice.now);
    assert!(alice.messenger.set_verified(&peer, &new_bob.identity(), now).is_err());
    alice.messenger.set_verified(&peer, &bob.identity(), now).unwrap().save(&mut alice.disk).unwrap();
    alice.restart();
    assert_eq!(alice.messenger.peer(&peer).unwrap().trust, Trust::Verified);
    alice.messenger.claim_identity(&peer, &new_bob.identity(), now).unwrap().save(&mut alice.disk).unwrap();
    // Control: a claim alone changes nothing about it.
    assert_eq!(alice.messenger.peer(&peer).unwrap().trust, Trust::Verified);
    alice.messenger.accept_identity(&peer, &new_bob.identity(), now).unwrap().save(&mut alice.disk).unwrap();
    assert_eq!(alice.messenger.peer(&peer).unwrap().trust, Trust::FirstUse);
}

/// Alice has accepted that Bob has a new device.
fn accepted() -> ([User; 2], User) {
    let ([mut alice, bob], new_bob) = reinstalled();
    let (peer, identity, now) = (alice.peer(&bob), new_bob.identity(), alice.now);
    alice.messenger.claim_identity(&peer, &identity, now).unwrap().save(&mut alice.disk).unwrap();
    alice.messenger.accept_identity(&peer, &identity, now).unwrap().save(&mut alice.disk).unwrap();
    ([alice, bob], new_bob)
}

#[test]
fn a_former_identity_neither_causes_nor_prevents_a_new_session() {
    // It does not break the silence of the present one.
    let ([mut alice, mut bob], mut new_bob) = accepted();
    let peer = alice.peer(&new_bob);
    alice.seal(&peer, b"are you there?").unwrap();
    alice.wait(4 * DAY);
    let mail = bob.send(&mut alice, b"from the old phone");
    assert!(alice.open(&mail.message).unwrap().is_receive_only);
    alice.wait(3 * DAY);
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(Some(NewSession::Silence)));
    // Control: the present one does.
    let mail = new_bob.send(&mut alice, b"from the new phone");
    alice.open(&mail.message).unwrap();
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(None));
    // It does not show that a new session is unheard of.
    alice.seal_with(&peer, b"new", new_bob.bundle()).unwrap();
    alice.now.0 += MINUTE;
    for present in [false, true] {
        for _ in 0..2 {
            let sender = if present { &mut new_bob } else { &mut bob };
            let mail = sender.send(&mut alice, b"");
            alice.open(&mail.message).unwrap();
        }
        // Control: the present one shows it.
        let expected = present.then_some(NewSession::Unheard);
        alice.now.0 += 60 * MINUTE;
        assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(expected));
    }
}

#[test]
fn a_fork_of_a_former_identity_begins_no_session() {
    for is_former in [true, false] {
        let ([mut alice, bob], new_bob) = accepted();
        let peer = alice.peer(&new_bob);
        let mut sender = if is_former { bob } else { new_bob };
        let copy = sender.disk.clone();
        let message = sender.send(&mut alice, b"1");
        alice.open(&message.message).unwrap();
        sender.disk = copy;
        sender.crash();
        let other = sender.send(&mut alice, b"2");
        assert_eq!(alice.refusal(&other.message), Refusal::ForkSuspected);
        // Control: that of the present one does.
        let expected = (!is_former).then_some(NewSession::ForkSuspected);
        assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(expected));
    }
}

#[test]
fn sessions_of_a_former_identity_count_for_no_rank() {
    let [mut alice, mut bob] = friends();
    another_session(&mut alice, &mut bob);
    another_session(&mut alice, &mut bob);
    let (peer, late) = (alice.peer(&bob), bob.send(&mut alice, b"late"));
    let mut new_bob = User::new(77);
    let of_alice = new_bob.add("alice");
    let first = new_bob.seal_with(&of_alice, b"new phone", alice.bundle()).unwrap();
    alice.open(&first.message).unwrap();
    let identity = new_bob.identity();
    alice.messenger.claim_identity(&peer, &identity, alice.now).unwrap().save(&mut alice.disk).unwrap();
    alice.messenger.accept_identity(&peer, &identity, alice.now).unwrap().save(&mut alice.disk).unwrap();
    // The former identity's sessions have the epochs 1 to 3, the new one's has 1.
    assert_eq!(alice.seal(&peer, b"").unwrap().session, first.session);
    assert_eq!(alice.open(&late.message).unwrap().session, late.session);
    assert_eq!(alice.seal(&peer, b"").unwrap().session, first.session);
    let second = new_bob.seal_with(&of_alice, b"epoch 2", alice.bundle()).unwrap();
    assert!(!alice.open(&second.message).unwrap().is_on_probation);
    assert_eq!(alice.seal(&peer, b"").unwrap().session, second.session);
    // Control: with the same identity, the highest epoch is sent on.
    let [mut alice, mut bob] = friends();
    another_session(&mut alice, &mut bob);
    let late = bob.send(&mut alice, b"");
    assert_eq!(alice.send(&mut bob, b"").session, late.session);
}
