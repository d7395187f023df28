// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Stored`]: every step is saved before it returns, however the store fails and whatever other processes do.

use super::Stored;
use super::disk::Fault;
use super::shared::Shared;
use super::user::{DAY, NOW, User, friends, key, strangers};
use noescrow::durable::{CommitError, Mailboxes};
use noescrow::messenger::{Failed, Mail, NewSession, PeerError, PeerId, Refusal, SealError, Suspicion, Trust};
use noescrow::{Bundle, Device, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const NONCE: [u8; 16] = [3; 16];

/// A process of a user's device.
fn process(store: &Shared, user: &User) -> (Stored<Shared>, ChaCha20Rng) {
    let mut rng = store.rng();
    (Stored::load(store.of_another_process(), &key(), &user.messenger.subject(), &mut rng).unwrap(), rng)
}

/// Lets eight days pass, in each of which the device connects.
fn eight_days(stored: &mut Stored<Shared>, rng: &mut ChaCha20Rng) -> UnixSeconds {
    let days = (1..=8).map(|day| UnixSeconds(NOW.0 + day * DAY));
    days.inspect(|now| _ = stored.maintain(&[], *now, rng).unwrap()).last().unwrap()
}

/// Another user, the device of this one, a process of it, and the other's peer id.
fn friend() -> (User, User, Stored<Shared>, ChaCha20Rng, PeerId) {
    let [alice, bob] = friends();
    let (stored, rng) = process(&Shared::new(bob.disk.clone()), &bob);
    let peer = bob.peer(&alice);
    (alice, bob, stored, rng, peer)
}

fn refusal(mail: &Mail) -> Option<Refusal> {
    if let Mail::Refused(refused) = mail { Some(refused.reason) } else { None }
}

#[test]
fn an_uncertain_commit_is_saved_again() {
    let (mut alice, bob, mut stored, mut rng, peer) = friend();
    for faults in [
        &[Fault::Refuses][..],
        &[Fault::LosesTheBatch],
        &[Fault::CommitsAndFails],
        &[Fault::Refuses, Fault::LosesTheBatch, Fault::CommitsAndFails],
    ] {
        stored.store().set_faults(faults);
        let sealed = stored.seal(&peer, b"text", None, bob.now, &mut rng).unwrap();
        assert_eq!(stored.store().outbox_ids(), [sealed.outgoing.message_id], "{faults:?}");
        assert_eq!(alice.open(&sealed.outgoing.message).unwrap().payload, b"text");
        stored.store().acknowledge(&sealed.outgoing.message_id).unwrap();
    }
    // Control: a store that stays broken ends the step, and the next one loads the messenger first.
    for fault in [Fault::Refuses, Fault::LosesTheBatch, Fault::CommitsAndFails] {
        stored.store().set_faults(&[fault; 9]);
        let error = stored.seal(&peer, b"lost", None, bob.now, &mut rng).unwrap_err();
        assert!(matches!(error, Failed::Save(CommitError::NotCommitted(_) | CommitError::Unknown(_))), "{fault:?}");
        stored.store().set_faults(&[]);
        let sealed = stored.seal(&peer, b"next", None, bob.now, &mut rng).unwrap();
        for message in stored.store().outbox(9).unwrap() {
            alice.open(&message.message).unwrap();
            stored.store().acknowledge(&message.message_id).unwrap();
        }
        assert_eq!(alice.refusal(&sealed.outgoing.message), Refusal::AlreadyOpened);
    }
}

/// A message is sealed, its commit succeeds, and the store does not say so. Before it is repeated, another process makes
/// a step, and acknowledges the message, if it does. Returns how often it was sealed.
fn seals(fault: Fault, acknowledges: bool, forgets: bool) -> usize {
    let (mut alice, bob, mut stored, mut rng, peer) = friend();
    let now = bob.now;
    stored.store().set_faults(&[fault]);
    stored.store().forgets_what_it_sent = forgets;
    stored.store().after(1, move |store| {
        let (mut other, mut rng) = process(store, &bob);
        if acknowledges {
            store.outbox_ids().iter().for_each(|id| assert!(other.store().acknowledge(id).unwrap()));
        }
        other.find_or_add_peer(b"carol", now, &mut rng).unwrap();
    });
    let sealed = stored.seal(&peer, b"text", None, now, &mut rng).unwrap();
    alice.open(&sealed.outgoing.message).unwrap();
    // The next step begins from the other process's.
    assert_eq!(stored.find_or_add_peer(b"dave", now, &mut rng).map(|_| ()).map_err(|_| ()), Ok(()));
    assert!(stored.messenger().peer_named(b"carol").is_some());
    stored.store().outbox_ids().len() + usize::from(acknowledges)
}

#[test]
fn a_stale_step_whose_message_was_saved_is_not_repeated() {
    for acknowledges in [false, true] {
        assert_eq!(seals(Fault::CommitsAndFails, acknowledges, false), 1);
        // Control: a store that does not know what it has sent.
        assert_eq!(seals(Fault::CommitsAndFails, acknowledges, true), 2);
    }
    // One that was not saved is repeated.
    assert_eq!(seals(Fault::LosesTheBatch, false, false), 1);
}

#[test]
fn a_stale_step_is_repeated_from_the_newest_state() {
    let (mut alice, bob, mut stored, mut rng, peer) = friend();
    let (now, message) = (bob.now, alice.send(&mut { bob }, b"text").message);
    let [_, bob] = friends();
    let (copy, of_other) = (message.clone(), bob.messenger.subject());
    assert_eq!(of_other, stored.messenger().subject());
    stored.store().after(0, move |store| {
        let (mut other, mut rng) = process(store, &bob);
        assert!(matches!(other.open(&copy, now, &mut rng).unwrap(), Mail::Opened(_)));
    });
    // The other process opens it first: its text is in the inbox.
    assert_eq!(refusal(&stored.open(&message, now, &mut rng).unwrap()), Some(Refusal::AlreadyOpened));
    assert_eq!(stored.store().inbox(9).unwrap().len(), 1);
    // Control: without the other process it opens here.
    let message = alice.seal(&alice.messenger.peer_named(b"bob").unwrap().id, b"text").unwrap().message;
    assert!(matches!(stored.open(&message, now, &mut rng).unwrap(), Mail::Opened(_)));
    assert!(stored.messenger().peer(&peer).is_some());
}

#[test]
fn an_error_is_believed_only_by_a_messenger_that_is_up_to_date() {
    let [mut alice, mut bob] = strangers();
    let (first, peer) = (alice.send(&mut bob, b"1").message, bob.peer(&alice));
    let (mut stored, mut rng) = process(&Shared::new(bob.disk.clone()), &bob);
    let (mut other, mut other_rng) = process(stored.store(), &bob);
    assert!(matches!(other.open(&first, bob.now, &mut other_rng).unwrap(), Mail::Opened(_)));
    let answer = other.seal(&peer, b"hi", None, bob.now, &mut other_rng).unwrap().outgoing;
    alice.open(&answer.message).unwrap();
    let second = alice.send(&mut bob, b"2").message;
    // This process does not know the session yet.
    assert!(matches!(stored.open(&second, bob.now, &mut rng).unwrap(), Mail::Opened(_)));
    // Control: a messenger without its store refuses that message.
    assert_eq!(bob.refusal(&second), Refusal::NoSuchSession);
    // The same for a peer that another process has added.
    let carol = other.find_or_add_peer(b"carol", bob.now, &mut other_rng).unwrap();
    stored.name_peer(&carol, b"caroline", bob.now, &mut rng).unwrap();
    let error = stored.name_peer(&PeerId::from_bytes([9; 16]), b"x", bob.now, &mut rng).unwrap_err();
    assert!(matches!(error, Failed::Step(PeerError::UnknownPeer)));
}

#[test]
fn an_unnecessary_refresh_keeps_what_is_only_in_memory() {
    let (_, bob, mut stored, mut rng, _) = friend();
    let junk = stored.open(&[0x12; 300], bob.now, &mut rng).unwrap();
    assert_eq!(refusal(&junk), Some(Refusal::NoSuchSession));
    let loads = stored.store().loads.get();
    assert!(!stored.refresh(&mut rng).unwrap());
    let counted = |stored: &Stored<Shared>| stored.messenger().counters().of(Refusal::NoSuchSession);
    assert_eq!((counted(&stored), stored.store().loads.get()), (1, loads));
    // Control: if another process has saved a step, the messenger is loaded.
    let (mut other, mut other_rng) = process(stored.store(), &bob);
    other.find_or_add_peer(b"carol", bob.now, &mut other_rng).unwrap();
    assert!(stored.refresh(&mut rng).unwrap());
    assert_eq!(counted(&stored), 0);
}

#[test]
fn a_refusal_with_a_remedy_is_saved_and_junk_writes_nothing() {
    let (mut alice, mut bob, mut stored, mut rng, peer) = friend();
    let needs = |stored: &Stored<Shared>| stored.messenger().needs_bundle(&peer, NOW).unwrap();
    let copy = alice.disk.clone();
    let message = alice.send(&mut bob, b"1").message;
    stored.open(&message, NOW, &mut rng).unwrap();
    alice.disk = copy;
    alice.crash();
    let forked = alice.send(&mut bob, b"2").message;
    let (commits, loads) = (stored.store().commits(), stored.store().loads.get());
    assert_eq!(refusal(&stored.open(&[0x12; 300], NOW, &mut rng).unwrap()), Some(Refusal::NoSuchSession));
    assert_eq!((stored.store().commits(), stored.store().loads.get()), (commits, loads));
    // The next process knows, although the commit was uncertain and another process has saved a step meanwhile.
    let [_, subject] = friends();
    stored.store().set_faults(&[Fault::LosesTheBatch]);
    stored.store().after(1, move |store| {
        let (mut other, mut rng) = process(store, &subject);
        other.find_or_add_peer(b"carol", NOW, &mut rng).unwrap();
    });
    assert_eq!(refusal(&stored.open(&forked, NOW, &mut rng).unwrap()), Some(Refusal::ForkSuspected));
    let (next, _) = process(stored.store(), &bob);
    assert_eq!((needs(&stored), needs(&next)), (Some(NewSession::ForkSuspected), Some(NewSession::ForkSuspected)));
    // Control: a messenger without its store forgets it.
    bob.open(&message).unwrap();
    assert_eq!(bob.refusal(&forked), Refusal::ForkSuspected);
    bob.restart();
    assert_eq!(bob.messenger.needs_bundle(&peer, NOW), Ok(None));
}

#[test]
fn without_a_valid_bundle_a_message_goes_on_the_old_session() {
    let (mut alice, bob, mut stored, mut rng, peer) = friend();
    let hello = stored.seal(&peer, b"1", None, bob.now, &mut rng).unwrap();
    assert_eq!(hello.wanted, None);
    let later = eight_days(&mut stored, &mut rng);
    // Nothing has come from Alice for a week. Her bundle has expired, or there is none.
    let expired = alice.bundle();
    let old = UnixSeconds(bob.now.0 + 60 * DAY);
    for (bundle, now) in [(None, later), (Some(expired), old)] {
        let sealed = stored.seal(&peer, b"2", bundle, now, &mut rng).unwrap();
        assert_eq!((sealed.wanted, sealed.outgoing.is_new_session), (Some(NewSession::Silence), false));
        assert_eq!(sealed.outgoing.session, hello.outgoing.session);
    }
    // Control: a bundle that is valid begins a new one.
    let sealed = stored.seal(&peer, b"3", Some(alice.bundle()), later, &mut rng).unwrap();
    assert_eq!((sealed.wanted, sealed.outgoing.recovers_from), (None, Some(NewSession::Silence)));
    // Without a session there is nothing to send on.
    let carol = stored.find_or_add_peer(b"carol", later, &mut rng).unwrap();
    let error = stored.seal(&carol, b"4", None, later, &mut rng).unwrap_err();
    assert!(matches!(error, Failed::Step(SealError::NeedsBundle(NewSession::None))));
}

#[test]
fn a_reading_of_1970_and_an_expired_bundle_send_on_the_old_session() {
    let (mut alice, bob, mut stored, mut rng, peer) = friend();
    let hello = stored.seal(&peer, b"1", None, bob.now, &mut rng).unwrap();
    let (at_first, expired) = (alice.bundle(), alice.bundle());
    // Control: while it is valid it begins a session, though the reading is of 1970.
    let later = eight_days(&mut stored, &mut rng);
    let sealed = stored.seal(&peer, b"2", Some(at_first), UnixSeconds(0), &mut rng).unwrap();
    assert!(sealed.outgoing.is_new_session && sealed.outgoing.session != hello.outgoing.session);
    for day in 1..60 {
        let _ = stored.maintain(&[], UnixSeconds(later.0 + day * DAY), &mut rng).unwrap();
    }
    let again = stored.seal(&peer, b"3", Some(expired), UnixSeconds(0), &mut rng).unwrap();
    assert_eq!((again.wanted, again.outgoing.session), (Some(NewSession::Silence), sealed.outgoing.session));
}

#[test]
fn a_bundle_of_a_repeated_step_begins_one_session() {
    let [mut alice, bob] = strangers();
    let (mut stored, mut rng) = process(&Shared::new(bob.disk.clone()), &bob);
    let peer = bob.peer(&alice);
    stored.store().after(0, move |store| {
        let (mut other, mut rng) = process(store, &bob);
        other.find_or_add_peer(b"carol", NOW, &mut rng).unwrap();
    });
    let sealed = stored.seal(&peer, b"hello", Some(alice.bundle()), NOW, &mut rng).unwrap();
    assert_eq!(stored.store().outbox_ids(), [sealed.outgoing.message_id]);
    assert_eq!(alice.open(&sealed.outgoing.message).unwrap().payload, b"hello");
    assert_eq!(stored.messenger().peer(&peer).unwrap().sessions, 1);
}

/// Bundle of another identity.
fn other_bundle() -> Bundle {
    User::new(77).bundle()
}

#[test]
fn another_identity_of_a_bundle_is_saved_before_it_is_returned() {
    let (alice, mut bob, mut stored, mut rng, peer) = friend();
    stored.seal(&peer, b"1", None, NOW, &mut rng).unwrap();
    let later = eight_days(&mut stored, &mut rng);
    let error = stored.seal(&peer, b"2", Some(other_bundle()), later, &mut rng).unwrap_err();
    assert!(matches!(error, Failed::Step(SealError::IdentityChanged)));
    let (mut next, mut next_rng) = process(stored.store(), &bob);
    assert!(next.messenger().peer(&peer).unwrap().claimed.is_some());
    // Control: a messenger without its store forgets it.
    bob.seal(&peer, b"1").unwrap();
    bob.now = later;
    assert_eq!(bob.seal_with(&peer, b"2", other_bundle()), Err(SealError::IdentityChanged));
    bob.restart();
    assert!(bob.messenger.peer(&peer).unwrap().claimed.is_none());
    // Only the safety number that the user has compared is accepted, and what waits for the old device is given up.
    let number = |identity| next.messenger().safety_number(identity).to_string();
    let (pinned, claimed) = (number(&alice.identity()), number(other_bundle().identity()));
    let mut given_up = 0;
    let refused = next.accept(&peer, &pinned, later, &mut next_rng, |_| given_up += 1);
    assert!(matches!(refused, Err(Failed::Step(PeerError::OtherIdentity))));
    let refused = next.reject(&peer, &pinned, later, &mut next_rng);
    assert!(matches!(refused, Err(Failed::Step(PeerError::OtherIdentity))));
    assert_eq!((given_up, next.store().outbox_ids().len()), (0, 1));
    next.accept(&peer, &claimed, later, &mut next_rng, |_| given_up += 1).unwrap();
    assert_eq!((given_up, next.store().outbox_ids().len()), (1, 0));
    let refused = next.verify(&peer, &pinned, later, &mut next_rng);
    assert!(matches!(refused, Err(Failed::Step(PeerError::OtherIdentity))));
    next.verify(&peer, &claimed, later, &mut next_rng).unwrap();
    assert_eq!(next.messenger().peer(&peer).unwrap().trust, Trust::Verified);
}

#[test]
fn an_accept_that_is_refused_leaves_the_outbox() {
    let ([alice, mut bob], mut phone) = (friends(), User::new(7));
    // A stranger writes. Bob answers it, so that its identity is a peer's, and it claims to be Alice.
    let of_bob = phone.add("bob");
    let hello = phone.seal_with(&of_bob, b"I have a new phone", bob.bundle()).unwrap();
    let stranger = bob.open(&hello.message).unwrap().peer;
    let (mut stored, mut rng) = process(&Shared::new(bob.disk.clone()), &bob);
    let peer = bob.peer(&alice);
    stored.seal(&peer, b"waits", None, NOW, &mut rng).unwrap();
    stored.claim_identity(&peer, &phone.identity(), NOW, &mut rng).unwrap();
    stored.seal(&stranger, b"who are you?", None, NOW, &mut rng).unwrap();
    let number = stored.messenger().safety_number(&phone.identity()).to_string();
    let (mut given_up, locks) = (0, stored.store().locks.clone());
    let refused = stored.accept(&peer, &number, NOW, &mut rng, |_| given_up += 1);
    assert!(matches!(refused, Err(Failed::Step(PeerError::Taken))));
    assert_eq!((given_up, stored.store().outbox_ids().len()), (0, 2));
    // Control: one that is accepted removes what waits for the peer, and nothing else, and nobody sends meanwhile.
    stored.forget(&stranger, NOW, &mut rng).unwrap();
    let accepted = stored.accept(&peer, &number, NOW, &mut rng, |_| {
        given_up += 1;
        assert!(locks.lock().unwrap().contains("outbox"));
    });
    accepted.unwrap();
    assert_eq!((given_up, stored.store().outbox_ids().len()), (1, 0));
}

#[test]
fn a_suspicion_is_saved_before_it_is_returned() {
    let (_, mut bob, mut stored, mut rng, _) = friend();
    assert!(stored.login(None, NOW, &mut rng).is_ok());
    let error = stored.login(Some(&NONCE), NOW, &mut rng).unwrap_err();
    assert_eq!(error.to_string(), Suspicion::LoginNonce.to_string());
    let (mut next, mut next_rng) = process(stored.store(), &bob);
    assert_eq!(next.messenger().suspicion(), Some(Suspicion::LoginNonce));
    // Only restoring lifts it.
    assert!(next.login(None, NOW, &mut next_rng).is_err());
    next.renew(NOW, &mut next_rng).unwrap();
    assert!(next.login(Some(&NONCE), NOW, &mut next_rng).is_ok());
    // Control: a messenger without its store forgets it.
    assert!(bob.messenger.login(Some(&NONCE), NOW, &mut bob.rng).is_err());
    bob.restart();
    assert_eq!(bob.messenger.suspicion(), None);
    // The same of a witness.
    let (generation, commits) = (next.messenger().generation(), next.store().commits());
    assert_eq!(next.check_witness(generation, NOW, &mut next_rng).unwrap(), None);
    assert_eq!(next.store().commits(), commits);
    assert_eq!(next.check_witness(generation + 1, NOW, &mut next_rng).unwrap(), Some(Suspicion::Witness));
    let (next, _) = process(next.store(), &bob);
    assert_eq!(next.messenger().suspicion(), Some(Suspicion::Witness));
}

#[test]
fn a_check_of_the_witness_whose_save_fails_can_be_followed_by_restore_backup() {
    let (_, bob, mut stored, mut rng, _) = friend();
    let witness = stored.messenger().generation() + 1_000;
    for fault in [Fault::Refuses, Fault::LosesTheBatch] {
        stored.store().set_faults(&[fault; 9]);
        assert!(matches!(stored.check_witness(witness, NOW, &mut rng), Err(Failed::Save(_))));
        stored.store().set_faults(&[]);
        // The step loads what is in the store, which is as old as it was.
        assert!(stored.check_witness(0, NOW, &mut rng).is_ok());
        stored.find_or_add_peer(format!("{fault:?}").as_bytes(), NOW, &mut rng).unwrap();
    }
    // A process without the witness saves a step before the suspicion is saved.
    stored.store().after(0, move |store| {
        let (mut other, mut rng) = process(store, &bob);
        other.find_or_add_peer(b"carol", NOW, &mut rng).unwrap();
    });
    assert_eq!(stored.check_witness(witness, NOW, &mut rng).unwrap(), Some(Suspicion::Witness));
    stored.renew(NOW, &mut rng).unwrap();
    assert!(stored.messenger().generation() > witness);
    // Control: what is known to be saved is not given up.
    let copy = stored.store().database.borrow().disk.clone();
    stored.find_or_add_peer(b"dave", NOW, &mut rng).unwrap();
    stored.store().database.borrow_mut().disk = copy;
    assert!(matches!(stored.find_or_add_peer(b"erin", NOW, &mut rng), Err(Failed::Load(_))));
}

#[test]
fn a_stranger_gets_no_answer_before_the_user_writes() {
    let [mut alice, mut carol] = [User::new(1), User::new(3)];
    let (mut stored, mut rng) = process(&Shared::new(carol.disk.clone()), &carol);
    let peer = alice.add("carol");
    let message = alice.seal_with(&peer, b"1", carol.bundle()).unwrap().message;
    let Mail::Opened(opened) = stored.open(&message, NOW, &mut rng).unwrap() else { panic!("not opened") };
    assert!(stored.answer(&opened.peer, None, NOW, &mut rng).unwrap().is_none());
    // Control: the user writes to the stranger.
    let hi = stored.seal(&opened.peer, b"hi", None, NOW, &mut rng).unwrap().outgoing;
    stored.store().acknowledge(&hi.message_id).unwrap();
    assert!(stored.answer(&opened.peer, None, NOW, &mut rng).unwrap().is_some());
}

#[test]
fn a_store_that_goes_back_below_a_running_process_is_refused() {
    let (_, bob, mut stored, mut rng, peer) = friend();
    let copy = stored.store().database.borrow().disk.clone();
    stored.seal(&peer, b"1", None, NOW, &mut rng).unwrap();
    let newer = std::mem::replace(&mut stored.store().database.borrow_mut().disk, copy);
    assert!(matches!(stored.seal(&peer, b"2", None, NOW, &mut rng), Err(Failed::Load(_))));
    // Control: with its own state it goes on.
    stored.store().database.borrow_mut().disk = newer;
    stored.seal(&peer, b"2", None, NOW, &mut rng).unwrap();
    assert_eq!(bob.messenger.subject(), stored.messenger().subject());
}

#[test]
fn a_deleted_account_leaves_no_rows() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let device = Device::generate(NOW, &mut rng);
    let mut stored = Stored::create(device, Shared::default(), &key(), &mut rng).unwrap();
    let (subject, store) = (stored.messenger().subject(), stored.store().of_another_process());
    stored.find_or_add_peer(b"carol", NOW, &mut rng).unwrap();
    // Control: until then the account loads.
    assert!(Stored::load(store.of_another_process(), &key(), &subject, &mut rng).is_ok());
    store.set_faults(&[Fault::CommitsAndFails]);
    stored.delete(NOW, &mut rng).unwrap();
    assert!(store.database.borrow().disk.rows.is_empty());
    assert!(Stored::load(store, &key(), &subject, &mut rng).is_err());
}
