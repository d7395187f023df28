// SPDX-License-Identifier: MIT OR Apache-2.0
//! New sessions that the layer demands: when, why, and how often; and sessions on probation.

use super::disk::Disk;
use super::user::{DAY, HOUR, User, friends};
use noescrow::messenger::policy::{EPOCH_JUMP, PROBE_JUMP, RECOVERIES_A_DAY, SESSIONS_OF_A_PEER};
use noescrow::messenger::{Control, NewSession, OpenError, Outgoing, PeerId, Refusal, Refused, SealError, Trust};
use noescrow::{Bundle, Device, InitiateOptions, MAX_JUMP, Session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Probes the session on probation.
pub fn probe(user: &mut User, peer: &PeerId) -> Result<Outgoing, SealError> {
    let loaded = user.messenger.route_to_probe(peer)?.load(&mut user.disk).unwrap();
    let step = user.messenger.seal_probe(peer, loaded, user.now, &mut user.rng)?;
    Ok(step.save(&mut user.disk).unwrap())
}

pub fn answer(user: &mut User, peer: &PeerId) -> Outgoing {
    let loaded = user.messenger.route_to(peer).unwrap().load(&mut user.disk).unwrap();
    let step = user.messenger.seal_answer(peer, loaded, user.now, &mut user.rng).unwrap();
    step.save(&mut user.disk).unwrap()
}

pub fn receipt(user: &mut User, refused: &Refused) -> Result<Outgoing, SealError> {
    let peer = refused.author.ok_or(SealError::NoReceipt)?;
    let loaded = user.messenger.route_to(&peer)?.load(&mut user.disk).unwrap();
    let step = user.messenger.seal_receipt(refused, loaded, user.now, &mut user.rng)?;
    Ok(step.save(&mut user.disk).unwrap())
}

/// Begins another session, and has it answered.
pub fn another_session(from: &mut User, to: &mut User) {
    let peer = from.peer(to);
    let first = from.seal_with(&peer, b"new", to.bundle()).unwrap();
    to.open(&first.message).unwrap();
    let reply = to.send(from, b"reply");
    assert_eq!(reply.session, first.session);
    from.open(&reply.message).unwrap();
}

/// Alice has two more sessions with Bob than he knows: his store was put back, and nobody has told him.
pub fn rolled_back() -> [User; 2] {
    let [mut alice, mut bob] = friends();
    let backup: Disk = bob.disk.clone();
    another_session(&mut alice, &mut bob);
    another_session(&mut alice, &mut bob);
    bob.disk = backup;
    bob.crash();
    [alice, bob]
}

#[test]
fn a_session_that_is_not_newer_is_on_probation_and_receives_only() {
    let [mut alice, mut bob] = rolled_back();
    let (of_alice, of_bob) = (bob.peer(&alice), alice.peer(&bob));
    let sending = alice.seal(&of_bob, b"1").unwrap().session;
    let first = bob.seal_with(&of_alice, b"from an old state", alice.bundle()).unwrap();
    let opened = alice.open(&first.message).unwrap();
    assert!(opened.is_new_session && opened.is_on_probation);
    assert_eq!(opened.payload, b"from an old state");
    assert_eq!(alice.seal(&of_bob, b"2").unwrap().session, sending);
    // Control: a newer session is not on probation.
    let [mut alice, mut bob] = friends();
    let peer = bob.peer(&alice);
    let first = bob.seal_with(&peer, b"new", alice.bundle()).unwrap();
    assert!(!alice.open(&first.message).unwrap().is_on_probation);
    assert_eq!(alice.send(&mut bob, b"").session, first.session);
    assert_eq!(probe(&mut alice, &of_bob), Err(SealError::NoProbation));
}

#[test]
fn an_answer_to_the_probe_moves_both_ends_to_the_session() {
    let [mut alice, mut bob] = rolled_back();
    let (of_alice, of_bob) = (bob.peer(&alice), alice.peer(&bob));
    let first = bob.seal_with(&of_alice, b"old state", alice.bundle()).unwrap();
    let late = bob.seal(&of_alice, b"before the probe").unwrap();
    alice.open(&first.message).unwrap();
    let probe = probe(&mut alice, &of_bob).unwrap();
    assert_eq!(probe.session, first.session);
    let opened = bob.open(&probe.message).unwrap();
    assert_eq!((opened.control, opened.payload.len()), (Some(Control::Probe), 0));
    assert!(opened.should_answer);
    assert!(bob.disk.inbox.values().all(|text| !text.is_empty()), "it is no text in the inbox");
    // Control: a message that Bob sent before the probe came is no answer.
    let opened = alice.open(&late.message).unwrap();
    assert!(opened.is_on_probation && !opened.ends_probation);
    let answer = answer(&mut bob, &of_alice);
    alice.restart();
    let opened = alice.open(&answer.message).unwrap();
    assert!(opened.ends_probation && !opened.is_on_probation && opened.control == Some(Control::Answer));
    let (a, b) = (alice.send(&mut bob, b"1"), bob.send(&mut alice, b"2"));
    assert_eq!((a.session, b.session), (first.session, first.session));
    assert_eq!(bob.open(&a.message).unwrap().payload, b"1");
    assert_eq!(alice.open(&b.message).unwrap().payload, b"2");
}

#[test]
fn an_ordinary_message_answers_a_probe_too() {
    let [mut alice, mut bob] = rolled_back();
    let (of_alice, of_bob) = (bob.peer(&alice), alice.peer(&bob));
    let first = bob.seal_with(&of_alice, b"old state", alice.bundle()).unwrap();
    alice.open(&first.message).unwrap();
    // The first probe's answer is lost, and Alice sends another one.
    for _ in 0..2 {
        let message = probe(&mut alice, &of_bob).unwrap();
        bob.open(&message.message).unwrap();
        bob.seal(&of_alice, b"lost").unwrap();
        let until = noescrow::UnixSeconds(alice.now.0 + HOUR);
        assert_eq!(probe(&mut alice, &of_bob), Err(SealError::TooSoon { until }));
        alice.now = until;
    }
    let answer = bob.seal(&of_alice, b"hi").unwrap();
    assert!(alice.open(&answer.message).unwrap().ends_probation);
    assert_eq!(alice.send(&mut bob, b"").session, first.session);
}

#[test]
fn a_probe_on_an_old_session_moves_no_sender() {
    let [mut alice, mut bob] = rolled_back();
    let (of_alice, of_bob) = (bob.peer(&alice), alice.peer(&bob));
    let first = bob.seal_with(&of_alice, b"old state", alice.bundle()).unwrap();
    alice.open(&first.message).unwrap();
    let probe = probe(&mut alice, &of_bob).unwrap();
    // Bob has begun a newer session since.
    let second = bob.seal_with(&of_alice, b"newer", alice.bundle()).unwrap();
    bob.open(&probe.message).unwrap();
    assert_eq!(bob.seal(&of_alice, b"").unwrap().session, second.session);
    // Control: without the newer one, he sends on the first.
    assert_ne!(first.session, second.session);
}

#[test]
fn a_session_on_probation_has_a_place_among_five() {
    let [mut alice, mut bob] = friends();
    let backup = bob.disk.clone();
    for _ in 1..SESSIONS_OF_A_PEER {
        (alice.now.0, bob.now.0) = (alice.now.0 + HOUR, bob.now.0 + HOUR);
        another_session(&mut alice, &mut bob);
    }
    assert_eq!(alice.stored_sessions(), SESSIONS_OF_A_PEER);
    bob.disk = backup;
    bob.crash();
    let of_alice = bob.peer(&alice);
    let first = bob.seal_with(&of_alice, b"old state", alice.bundle()).unwrap();
    let opened = alice.open(&first.message).unwrap();
    assert!(opened.is_on_probation);
    assert_eq!(alice.stored_sessions(), SESSIONS_OF_A_PEER);
    let message = probe(&mut alice, &opened.peer).unwrap();
    assert_eq!(message.session, first.session);
    // Control: it is the lowest of them by rank.
    bob.open(&message.message).unwrap();
    let answer = answer(&mut bob, &of_alice);
    assert!(alice.open(&answer.message).unwrap().ends_probation);
}

#[test]
fn a_week_of_silence_after_a_message_begins_a_new_session() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    alice.wait(30 * DAY);
    // Control: nothing was sent, so nobody had to answer.
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(None));
    let first = alice.seal(&peer, b"1").unwrap();
    alice.wait(6 * DAY);
    assert_eq!(alice.seal(&peer, b"2").unwrap().session, first.session);
    alice.wait(DAY);
    alice.restart();
    assert_eq!(alice.seal(&peer, b"3"), Err(SealError::NeedsBundle(NewSession::Silence)));
    bob.wait(37 * DAY);
    let third = alice.send(&mut bob, b"3");
    assert_eq!(third.recovers_from, Some(NewSession::Silence));
    assert_eq!(bob.open(&third.message).unwrap().payload, b"3");
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(None));
}

#[test]
fn without_a_valid_bundle_the_old_session_still_sends() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let bundle = bob.bundle();
    let signed = bundle.signed_prekey().clone();
    alice.seal(&peer, b"1").unwrap();
    alice.wait(40 * DAY);
    let failed = alice.seal_with(&peer, b"2", bundle).unwrap_err();
    let (id, expiry) = (signed.id(), signed.expiry());
    let expired = noescrow::error::InitiateError::Expired { id, expiry };
    assert_eq!(failed, SealError::Bundle(expired));
    let loaded = alice.messenger.route_to(&peer).unwrap().load(&mut alice.disk).unwrap();
    let step = alice.messenger.seal_on_session(&peer, b"2", loaded, alice.now, &mut alice.rng).unwrap();
    let message = step.save(&mut alice.disk).unwrap().message;
    assert_eq!(bob.open(&message).unwrap().payload, b"2");
    // Control: an answer makes the new session unnecessary.
    assert!(matches!(alice.seal(&peer, b"3"), Err(SealError::NeedsBundle(NewSession::Silence))));
    let reply = bob.send(&mut alice, b"here");
    alice.open(&reply.message).unwrap();
    assert!(alice.seal(&peer, b"3").is_ok());
}

#[test]
fn a_fork_of_the_peer_begins_a_new_session() {
    let [mut alice, mut bob] = friends();
    let peer = bob.peer(&alice);
    let copy = alice.disk.clone();
    let message = alice.send(&mut bob, b"1");
    bob.open(&message.message).unwrap();
    assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(None));
    alice.disk = copy;
    alice.crash();
    let other = alice.send(&mut bob, b"2");
    assert_eq!(bob.refusal(&other.message), Refusal::ForkSuspected);
    assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(Some(NewSession::ForkSuspected)));
    let new = bob.send(&mut alice, b"new");
    assert_eq!((new.is_new_session, new.recovers_from), (true, Some(NewSession::ForkSuspected)));
    assert_eq!(alice.open(&new.message).unwrap().payload, b"new");
    // Control: with the new session all is well, and not only because of the limits.
    bob.now.0 += 2 * HOUR;
    assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(None));
    let reply = alice.send(&mut bob, b"3");
    assert_eq!((bob.open(&reply.message).unwrap().payload, reply.session), (b"3".to_vec(), new.session));
}

/// Alice's state is copied, and seals twice: Bob is to begin a new session.
fn fork(alice: &mut User, bob: &mut User) {
    let copy = alice.disk.clone();
    let message = alice.send(bob, b"1");
    bob.open(&message.message).unwrap();
    alice.disk = copy;
    alice.crash();
    let other = alice.send(bob, b"2");
    assert_eq!(bob.refusal(&other.message), Refusal::ForkSuspected);
}

#[test]
fn one_new_session_an_hour_and_four_a_day_are_demanded() {
    let [mut alice, mut bob] = friends();
    let peer = bob.peer(&alice);
    let start = bob.now;
    let demanded = Ok(Some(NewSession::ForkSuspected));
    fork(&mut alice, &mut bob);
    for _ in 0..RECOVERIES_A_DAY {
        assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), demanded);
        let new = bob.send(&mut alice, b"new");
        alice.open(&new.message).unwrap();
        let reply = alice.send(&mut bob, b"");
        bob.open(&reply.message).unwrap();
        fork(&mut alice, &mut bob);
        bob.now.0 += HOUR - 1;
        assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(None));
        assert!(!bob.seal(&peer, b"on the old one").unwrap().is_new_session);
        (alice.now.0, bob.now.0) = (alice.now.0 + HOUR, bob.now.0 + 1);
    }
    bob.now.0 = start.0 + DAY - 1;
    bob.restart();
    assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), Ok(None));
    // Control: a day after the first, one is demanded again.
    bob.now.0 += 1;
    assert_eq!(bob.messenger.needs_bundle(&peer, bob.now), demanded);
}

#[test]
fn a_receipt_reports_authentic_facts_once_an_hour() {
    let [mut alice, mut bob] = friends();
    let peer = alice.peer(&bob);
    let unreadable = |alice: &mut User| {
        let loaded = alice.messenger.route_to(&peer).unwrap().load(&mut alice.disk).unwrap();
        let payload = noescrow::Payload { plaintext: b"1", associated_data: b"other", ..Default::default() };
        let step = alice.messenger.seal(&peer, payload, loaded, alice.now, &mut alice.rng).unwrap();
        step.save(&mut alice.disk).unwrap()
    };
    let refused = |user: &mut User, message: &[u8]| match user.open(message) {
        Err(OpenError::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    };
    let message = unreadable(&mut alice);
    let of_body = refused(&mut bob, &message.message);
    assert!(of_body.is_reportable());
    let sent = receipt(&mut bob, &of_body).unwrap();
    let Some(Control::Receipt(received)) = alice.open(&sent.message).unwrap().control else { panic!("no receipt") };
    assert_eq!((received.reason, received.message_id), (Refusal::Body, message.message_id));
    // It resets nothing.
    assert_eq!(alice.messenger.needs_bundle(&peer, alice.now), Ok(None));
    assert_eq!(alice.seal(&peer, b"").unwrap().session, message.session);
    let again = unreadable(&mut alice);
    let again = refused(&mut bob, &again.message);
    let until = noescrow::UnixSeconds(bob.now.0 + HOUR);
    assert_eq!(receipt(&mut bob, &again), Err(SealError::TooSoon { until }));
    bob.now = until;
    assert!(receipt(&mut bob, &again).is_ok());
    // Control: what anybody can have written is not reported.
    let junk = refused(&mut bob, &[0x12; 300]);
    assert!(!junk.is_reportable());
    assert_eq!(receipt(&mut bob, &junk), Err(SealError::NoReceipt));
    // Nor is what only shows that the author does not use this layer.
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (mut session, first) = peer.begin(&mut bob, 1);
    let id = bob.open(&first).unwrap().peer;
    bob.seal(&id, b"").unwrap();
    let malformed = session.encrypt(b"plain", &mut peer.rng).unwrap();
    let malformed = refused(&mut bob, &malformed);
    assert_eq!((malformed.reason, malformed.author), (Refusal::Malformed, Some(id)));
    assert_eq!((malformed.is_reportable(), receipt(&mut bob, &malformed)), (false, Err(SealError::NoReceipt)));
}

/// A peer that writes its own inner payloads, on sessions that it begins as it likes.
pub struct Foreign {
    pub device: Device,
    pub rng: ChaCha20Rng,
}

impl Foreign {
    pub fn begin(&mut self, with: &mut User, epoch: u32) -> (Session, Vec<u8>) {
        let options = InitiateOptions::unverified(with.now);
        self.device.initiate(with.bundle(), &inner(epoch), options, &mut self.rng).unwrap()
    }
}

/// A payload in a session of this epoch.
pub fn inner(epoch: u32) -> Vec<u8> {
    [&[1][..], &epoch.to_be_bytes(), &[0; 4], &[0xFF; 8], b"hi"].concat()
}

#[test]
fn only_the_proposed_epoch_on_a_later_chain_answers_a_probe() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (_, first) = peer.begin(&mut bob, 5);
    bob.open(&first).unwrap();
    let (mut session, old) = peer.begin(&mut bob, 3);
    let opened = bob.open(&old).unwrap();
    assert!(opened.is_on_probation);
    let probe = probe(&mut bob, &opened.peer).unwrap();
    assert_eq!(bob.messenger.peer(&opened.peer).unwrap().trust, Trust::Unknown, "a probe accepts no stranger");
    // The proposal is guessed, by somebody who has not opened the probe.
    let guess = session.encrypt(&inner(6), &mut peer.rng).unwrap();
    let opened = bob.open(&guess).unwrap();
    assert!(opened.is_on_probation && !opened.ends_probation);
    session.decrypt(&probe.message).unwrap();
    // The probe was opened, and its proposal was not adopted.
    let other = session.encrypt(&inner(3), &mut peer.rng).unwrap();
    let opened = bob.open(&other).unwrap();
    assert!(opened.is_on_probation && !opened.ends_probation);
    // Control.
    let answer = session.encrypt(&inner(6), &mut peer.rng).unwrap();
    let opened = bob.open(&answer).unwrap();
    assert!(opened.ends_probation);
    assert_eq!(bob.seal(&opened.peer, b"").unwrap().session, session.id());
}

/// The epoch that a message of bob's states, whose session with the foreign peer is `session`.
fn stated(session: &mut Session, message: &[u8]) -> u32 {
    u32::from_be_bytes(session.decrypt(message).unwrap().plaintext[1..5].try_into().unwrap())
}

#[test]
fn probes_raise_the_epoch_of_a_session_once() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let mut device = Device::generate(bob.now, &mut rng);
    let published = device.replenish(bob.now, &[], &mut rng);
    let peer = bob.add("peer");
    let mut probe = |session: &mut Session, epoch: u32| {
        let mut payload = inner(epoch);
        payload[0] = 2;
        payload.truncate(17);
        session.encrypt_control(&payload, &mut rng).unwrap()
    };
    let mut keys = published.one_time_prekeys.into_iter();
    let mut begin = |bob: &mut User| {
        let bundle = Bundle::new(published.identity, published.signed_prekey.clone(), keys.next()).unwrap();
        let first = bob.seal_with(&peer, b"hello", bundle).unwrap();
        let pending = device.open(&first.message[..]).unwrap();
        let (session, opened) = pending.accept(b"").unwrap();
        (session, u32::from_be_bytes(opened.plaintext[1..5].try_into().unwrap()))
    };
    let (mut session, epoch) = begin(&mut bob);
    assert_eq!(epoch, 1);
    // Whoever has stolen the peer's state of this session probes, as high as it likes and as often.
    for epoch in [1 + PROBE_JUMP, 1 + 2 * PROBE_JUMP, 1 + EPOCH_JUMP, u32::MAX] {
        let message = probe(&mut session, epoch);
        assert_eq!(bob.open(&message).unwrap().control, Some(Control::Probe));
    }
    let message = bob.seal(&peer, b"").unwrap();
    assert_eq!(stated(&mut session, &message.message), 1 + PROBE_JUMP);
    let (mut session, epoch) = begin(&mut bob);
    assert_eq!(epoch, 2 + PROBE_JUMP);
    // Control: on another session, no proposal beyond the bound is adopted, not even once.
    let message = probe(&mut session, 3 + 2 * PROBE_JUMP);
    bob.open(&message).unwrap();
    let message = bob.seal(&peer, b"").unwrap();
    assert_eq!(stated(&mut session, &message.message), 2 + PROBE_JUMP);
}

#[test]
fn a_probe_on_a_receive_only_session_asks_for_no_answer() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(14);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (mut session, first) = peer.begin(&mut bob, 1);
    bob.open(&first).unwrap();
    let probe = [&[2][..], &inner(1)[1..17]].concat();
    let probes = [(); 2].map(|()| session.encrypt_control(&probe, &mut peer.rng).unwrap());
    // Control: on a live one it does.
    assert!(bob.open(&probes[0]).unwrap().should_answer);
    bob.messenger.restore_backup(bob.now, &mut bob.rng).unwrap().save(&mut bob.disk).unwrap();
    let opened = bob.open(&probes[1]).unwrap();
    assert!(opened.is_receive_only && opened.control == Some(Control::Probe) && !opened.should_answer);
}

#[test]
fn an_answer_ends_the_probation_of_an_epoch_beyond_the_bound() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (_, first) = peer.begin(&mut bob, 1);
    let id = bob.open(&first).unwrap().peer;
    let (mut session, high) = peer.begin(&mut bob, 1 << 20);
    assert!(bob.open(&high).unwrap().is_on_probation);
    let proposed = probe(&mut bob, &id).unwrap();
    // Control: a message from before the probe states this epoch, and ends nothing.
    let before = session.encrypt(&inner(1 << 20), &mut peer.rng).unwrap();
    assert!(bob.open(&before).unwrap().is_on_probation);
    assert_eq!(stated(&mut session, &proposed.message), 1 << 20);
    let answer = session.encrypt(&inner(1 << 20), &mut peer.rng).unwrap();
    assert!(bob.open(&answer).unwrap().ends_probation);
    assert_eq!(bob.seal(&id, b"").unwrap().session, session.id());
}

#[test]
fn a_first_message_after_too_many_is_refused_for_them() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (_, first) = peer.begin(&mut bob, 1);
    let id = bob.open(&first).unwrap().peer;
    bob.seal(&id, b"").unwrap();
    let (mut session, _) = peer.begin(&mut bob, 2);
    let mut messages = (0..=MAX_JUMP).map(|_| session.encrypt(&inner(2), &mut peer.rng).unwrap());
    let [within, beyond] = [messages.nth(usize::try_from(MAX_JUMP - 1).unwrap()).unwrap(), messages.next().unwrap()];
    let Err(OpenError::Refused(refused)) = bob.open(&beyond) else { panic!("opened") };
    assert_eq!((refused.reason, refused.author), (Refusal::TooManySkipped, Some(id)));
    assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(Some(NewSession::TooManySkipped)));
    // Control: the one before it opens.
    assert_eq!(bob.open(&within).unwrap().payload, b"hi");
}

#[test]
fn a_loss_of_too_many_messages_begins_a_new_session() {
    let mut bob = User::new(1);
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut peer = Foreign { device: Device::generate(bob.now, &mut rng), rng };
    let (mut session, first) = peer.begin(&mut bob, 1);
    let id = bob.open(&first).unwrap().peer;
    bob.seal(&id, b"").unwrap();
    let mut messages = (0..=MAX_JUMP + 1).map(|_| session.encrypt(&inner(1), &mut peer.rng).unwrap());
    // Half of them are lost: this side should answer, and no new session is needed.
    let half = messages.nth(usize::try_from(MAX_JUMP / 2).unwrap()).unwrap();
    let after = messages.last().unwrap();
    let mut fresh = bob.disk.clone();
    assert!(bob.open(&half).unwrap().should_answer);
    assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(None));
    assert_eq!(bob.open(&after).unwrap().payload, b"hi");
    // Without that one, too many are missing.
    std::mem::swap(&mut bob.disk, &mut fresh);
    bob.crash();
    let Err(OpenError::Refused(refused)) = bob.open(&after) else { panic!("opened") };
    assert_eq!((refused.reason, refused.author), (Refusal::TooManySkipped, Some(id)));
    assert!(refused.is_reportable());
    assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(Some(NewSession::TooManySkipped)));
    // The reason is stored with the next step.
    bob.maintain();
    bob.restart();
    assert_eq!(bob.messenger.needs_bundle(&id, bob.now), Ok(Some(NewSession::TooManySkipped)));
}
