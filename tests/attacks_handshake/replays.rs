// SPDX-License-Identifier: MIT OR Apache-2.0
//! B6, B7, B8, B9, B26: replayed first messages, two for one key, garbage before the genuine one, other wrappers.

use crate::forger::{CT, EK, Forger, HIDDEN};
use crate::recording::{Faults, NoAd, Party, RecordedSession};
use noescrow::durable::{Batch, CommitAction, CommitError, Durable, Row, RowName, Store, Subject};
use noescrow::error::{AcceptError, DecryptError, RestoreError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Device, FIRST_MESSAGE_OVERHEAD, Sealed, StorageKey};
use rand_chacha::rand_core::Rng;
use std::collections::{BTreeMap, HashSet};

/// Capacity of a [`crate::recording::RecordedDevice`]'s replay record.
const RECORD: u64 = 4;

fn hello_to(bundle: &[u8], seed: u64) -> Vec<u8> {
    Party::new(seed).initiate(bundle).unwrap().1
}

/// HS-R1.
#[test]
fn b6_a_last_resort_handshake_is_accepted_only_once() {
    let mut bob = Party::new(1);
    let bundle = bob.bundle(false);
    let hello = hello_to(&bundle, 2);
    let before = bob.state();
    let (session, text) = bob.device.accept(&hello).unwrap();
    assert_eq!(text, b"hello");
    for _ in 0..20 {
        assert_eq!(bob.refuses(&hello), AcceptError::Repeated);
    }
    // After the session is deleted, and after a restart.
    drop(session);
    assert_eq!(bob.refuses(&hello), AcceptError::Repeated);
    let mut bob = Party::restored(&bob.state(), 3);
    assert_eq!(bob.refuses(&hello), AcceptError::Repeated);
    // Control: a device without this record entry, here restored from an earlier state, accepts the message once more.
    assert_eq!(Party::restored(&before, 4).device.accept(&hello).unwrap().1, b"hello");

    // A full record refuses new messages; it never forgets an old one.
    for other in 1..RECORD {
        assert!(bob.device.accept(&hello_to(&bundle, 10 + other)).is_ok());
    }
    let new = hello_to(&bundle, 20);
    for _ in 0..3 {
        assert_eq!(bob.refuses(&new), AcceptError::ReplayRecordFull);
        assert_eq!(bob.refuses(&hello), AcceptError::Repeated);
    }
    bob = Party::restored(&bob.state(), 5);
    assert_eq!(bob.refuses(&new), AcceptError::ReplayRecordFull);
    // One-time keys need no record.
    let with_one_time = bob.bundle(true);
    assert!(bob.device.accept(&hello_to(&with_one_time, 21)).is_ok());

    // Rotation makes room for messages to the new key; the record of the old key is kept with that key.
    bob.device.rotate(crate::support::NOW, &mut bob.rng);
    let rotated = bob.bundle(false);
    assert_eq!(bob.refuses(&hello), AcceptError::Repeated);
    assert_eq!(bob.refuses(&new), AcceptError::ReplayRecordFull);
    let to_the_new = hello_to(&rotated, 22);
    assert!(bob.device.accept(&to_the_new).is_ok());
    bob = Party::restored(&bob.state(), 6);
    assert_eq!(bob.refuses(&hello), AcceptError::Repeated);
    assert_eq!(bob.refuses(&to_the_new), AcceptError::Repeated);

    // Once the key is deleted, the device can neither recognise nor open the message.
    assert!(bob.device.delete_previous_signed_prekeys());
    assert_eq!(bob.refuses(&hello), AcceptError::PrekeyGone);
    assert_eq!(bob.refuses(&new), AcceptError::PrekeyGone);
    assert_eq!(bob.refuses(&to_the_new), AcceptError::Repeated);
}

/// A message in transit during a rotation is recorded with the key to which it was sent.
#[test]
fn b6_messages_to_the_previous_signed_prekey_are_recorded_with_it() {
    let mut bob = Party::new(7);
    let bundle = bob.bundle(false);
    bob.device.rotate(crate::support::NOW, &mut bob.rng);
    let late: Vec<_> = (0..RECORD).map(|sender| hello_to(&bundle, 30 + sender)).collect();
    for hello in &late {
        assert!(bob.device.accept(hello).is_ok());
        assert_eq!(bob.refuses(hello), AcceptError::Repeated);
    }
    let one_too_many = hello_to(&bundle, 40);
    assert_eq!(bob.refuses(&one_too_many), AcceptError::ReplayRecordFull);
    // Control: the current key has a record of its own, which is empty.
    let current = bob.bundle(false);
    for sender in 0..RECORD {
        assert!(bob.device.accept(&hello_to(&current, 50 + sender)).is_ok());
    }
    // A rotation without space for the first key deletes it with its record: the messages are of an unknown key, not
    // new.
    bob.device.rotate(crate::support::NOW, &mut bob.rng);
    assert!(late.iter().all(|hello| bob.refuses(hello) == AcceptError::Repeated));
    bob.device.rotate(crate::support::NOW, &mut bob.rng);
    assert!(late.iter().all(|hello| bob.refuses(hello) == AcceptError::PrekeyGone));
}

/// Every key that sealed something since the ledger was last cleared.
fn sealing_keys(party: &Party) -> HashSet<Vec<u8>> {
    let operations = party.primitives.operations.borrow();
    operations.iter().filter(|one| one.name == "seal" && one.step != "SN-1").map(|one| one.inputs[0].clone()).collect()
}

/// The documented limit. Restored from a backup, Bob does not know what he accepted, and accepts it as a new session.
/// That session has the same SK as the old one, but seals nothing under a key of the old one, because his first reply
/// takes a fresh step.
#[test]
fn b7_a_replay_after_lost_state_sends_under_other_keys() {
    let mut bob = Party::new(8);
    let hello = hello_to(&bob.bundle(false), 9);
    let backup = bob.state();
    let run = |party: &mut Party| {
        party.primitives.clear();
        let (mut session, text) = party.device.accept(&hello).unwrap();
        assert_eq!(text, b"hello");
        let sk = party.primitives.key_agreement().1;
        for _ in 0..3 {
            session.encrypt(b"reply", &mut party.rng).unwrap();
        }
        (sk, sealing_keys(party))
    };
    let (sk, keys) = run(&mut bob);
    assert_eq!(keys.len(), 6, "three headers, three messages");
    let (sk_again, keys_again) = run(&mut Party::restored(&backup, 10));
    assert_eq!(sk, sk_again);
    assert!(keys.is_disjoint(&keys_again));
    // Control: if the generator is restored as well, every key is used twice.
    let (_, keys_cloned) =
        run(&mut Party { rng: crate::recording::RecordingRng::new(10), ..Party::restored(&backup, 0) });
    assert_eq!(keys_again, keys_cloned);
    // A caller that keeps the newest generation where the backup does not reset it gets an error.
    let key = StorageKey::new([0x5A; 32]);
    let primitives = crate::recording::Recording::default();
    let subject = bob.device.subject();
    let restored =
        crate::recording::RecordedDevice::restore_in_place(primitives, &mut backup.clone(), &key, &subject, 1);
    assert_eq!(restored.unwrap_err(), RestoreError::Rollback);
}

/// HS-R1.
#[test]
fn b8_exactly_one_first_message_per_one_time_key_is_accepted() {
    for order in [[0, 1], [1, 0]] {
        let mut bob = Party::new(11);
        // The server gives the same key out twice.
        let bundle = bob.bundle(true);
        let messages = [hello_to(&bundle, 12), hello_to(&bundle, 13)];
        let [first, second] = order.map(|at| &messages[at]);
        let damaged = |message: &[u8]| [&message[..message.len() - 1], &[!message[message.len() - 1]]].concat();
        // Interleaved: an attempt on each fails late; then one comes through; then the other arrives.
        assert_eq!(bob.refuses(&damaged(first)), AcceptError::Refused);
        assert_eq!(bob.refuses(&damaged(second)), AcceptError::Refused);
        assert_eq!(bob.device.one_time_prekeys_left(), 1);
        assert!(bob.device.accept(first).is_ok());
        assert_eq!(bob.device.one_time_prekeys_left(), 0);
        for message in [second, first] {
            assert_eq!(bob.refuses(message), AcceptError::PrekeyGone);
        }
        let mut bob = Party::restored(&bob.state(), 14);
        assert_eq!(bob.refuses(second), AcceptError::PrekeyGone);
    }
}

/// A database of two processes. `checks`: it takes a batch only if the state is the one from which the step began.
struct Database {
    checks: bool,
    rows: BTreeMap<(Subject, RowName), Vec<u8>>,
}

impl Store for Database {
    type Error = ();
    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, ()> {
        let rows = self.rows.iter().filter(|((of, _), _)| of == subject);
        Ok(rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<()>> {
        if self.checks
            && batch.commit_action(|subject| self.rows.get(&(*subject, RowName::CORE))) != CommitAction::Write
        {
            return Err(CommitError::Stale);
        }
        for change in batch.changes {
            self.rows.extend(change.rows.into_iter().map(|row| ((change.subject, row.name), row.sealed)));
        }
        Ok(())
    }
}

#[test]
fn b8_exactly_one_of_two_processes_uses_up_the_key() {
    let accepted = |checks: bool| {
        let mut rng = crate::support::rng(15);
        let key = StorageKey::new([3; 32]);
        let mut database = Database { checks, rows: BTreeMap::new() };
        let bob = Device::generate(crate::support::NOW, &mut rng);
        let mut bob = Durable::<Device>::new(bob, &key, &mut rng).save(&mut database).unwrap();
        let published = bob.publish(1, crate::support::NOW, &mut rng).unwrap();
        let mut published = published.save(&mut database).unwrap();
        let one_time = published.one_time_prekeys.pop();
        let bundle = Bundle::new(published.identity, published.signed_prekey, one_time).unwrap().to_bytes();
        let mut processes = [0, 1]
            .map(|_| Durable::<Device>::load(&mut database, &key, &bob.subject(), bob.generation(), &mut rng).unwrap());
        let messages = [hello_to(&bundle, 16), hello_to(&bundle, 17)];
        // Both compute before either saves.
        let [one, other] = &mut processes;
        let pending = [one.open(&messages[0]).unwrap(), other.open(&messages[1]).unwrap()];
        let unsaved = pending.map(|pending| pending.accept(b"").unwrap());
        unsaved.into_iter().filter_map(|unsaved| unsaved.save(&mut database).ok()).count()
    };
    assert_eq!(accepted(true), 1);
    // Control: a store that writes whatever comes last releases both plaintexts.
    assert_eq!(accepted(false), 2);
}

#[test]
fn b9_garbage_with_a_valid_id_uses_up_nothing() {
    for one_time in [true, false] {
        let mut bob = Party::new(18);
        let bytes = bob.bundle(one_time);
        let hello = hello_to(&bytes, 19);
        let mut rng = crate::support::rng(20);
        for from in [EK.start, CT.start, HIDDEN.start, FIRST_MESSAGE_OVERHEAD - 16] {
            let mut garbage = hello.clone();
            rng.fill_bytes(&mut garbage[from..]);
            assert_eq!(bob.refuses(&garbage), AcceptError::Refused);
        }
        // From a forger who lacks only the secret of the identity that it names: everything opens except the message.
        let bundle = Bundle::from_bytes(&RustCrypto, &bytes).unwrap();
        let impostor = Forger { dh_secret: Some([9; 32]), ..Forger::new([1; 32], [2; 32], [3; 32]) };
        bob.primitives.clear();
        assert_eq!(bob.device.accept(&impostor.first_message(&bundle).0).unwrap_err(), AcceptError::Refused);
        assert!(bob.primitives.steps().contains(&"HS-R5"), "{:?}", bob.primitives.steps());
        // The caller's associated data differ.
        let before = bob.state();
        assert_eq!(
            bob.device.accept(Sealed { message: &hello, associated_data: b"other" }).unwrap_err(),
            AcceptError::Refused
        );
        assert_eq!(before, bob.state());
        assert_eq!(bob.device.one_time_prekeys_left(), usize::from(one_time));

        // Control: a device that uses up the key before it has authenticated the message would refuse the genuine one.
        if let Some(prekey) = bundle.one_time_prekey() {
            let mut early = Party::restored(&before, 21);
            assert!(early.device.delete_one_time_prekey(prekey.id()));
            assert_eq!(early.refuses(&hello), AcceptError::PrekeyGone);
        }
        assert_eq!(bob.device.accept(&hello).unwrap().1, b"hello");
        assert_ne!(before, bob.state());
    }
}

fn session_state(session: &RecordedSession) -> Vec<u8> {
    session.snapshot(&StorageKey::new([0x5A; 32]), 0)
}

/// Until Alice has an answer, each of her messages begins with the handshake. The server puts other wrappers around the
/// genuine ratchet message inside, to make Bob open a second session or read twice.
/// HS-R8.
#[test]
fn b26_a_genuine_message_in_another_wrapper_is_refused() {
    for one_time in [true, false] {
        let mut bob = Party::new(22);
        let mut alice = Party::new(23);
        let (mut from_alice, hello) = alice.initiate(&bob.bundle(one_time)).unwrap();
        let (mut from_bob, _) = bob.device.accept(&hello).unwrap();
        let second = from_alice.encrypt(b"second", &mut alice.rng).unwrap();
        let other_bundle = bob.bundle(true);
        let (_, other_hello) = alice.initiate(&other_bundle).unwrap();
        let mut wrappers: Vec<Vec<u8>> = (0..HIDDEN.end)
            .step_by(7)
            .chain([0, 4, 5, 9])
            .map(|at| {
                let mut message = second.clone();
                message[at] ^= 1;
                message
            })
            .collect();
        // The wrapper of another handshake of Alice's, whole and field by field.
        for part in [0..HIDDEN.end, 1..10, EK, CT, HIDDEN] {
            let mut message = second.clone();
            message[part.clone()].copy_from_slice(&other_hello[part]);
            wrappers.push(message);
        }
        let state = session_state(&from_bob);
        for wrapped in &wrappers {
            assert_eq!(from_bob.decrypt(wrapped), Err(DecryptError::Refused));
            bob.refuses(wrapped);
        }
        // Without a wrapper: the type is in the key of the header, and associated data of the body. Control: for a device
        // without these it is one more encoding of the same message.
        let bare = [&[0x12], &second[HIDDEN.end..]].concat();
        assert_eq!(from_bob.decrypt(&bare), Err(DecryptError::Refused));
        assert_eq!(state, session_state(&from_bob));
        assert_eq!(without_type(one_time), b"second");

        // The genuine message opens once, on the session, and makes no second session.
        let again = if one_time { AcceptError::PrekeyGone } else { AcceptError::Repeated };
        assert_eq!(bob.refuses(&second), again);
        assert_eq!(from_bob.decrypt(&second).unwrap().plaintext, b"second");
        assert_eq!(from_bob.decrypt(&second), Err(DecryptError::KeyGone));
        assert_eq!(bob.refuses(&second), again);
        assert_eq!(from_bob.decrypt(&hello), Err(DecryptError::KeyGone));
    }
}

/// The unwrapped message, between devices that leave out the type and associated data.
fn without_type(one_time: bool) -> Vec<u8> {
    let faults = Faults { no_ad: NoAd::Everywhere, no_type: true, ..Faults::default() };
    let (mut alice, mut bob) = (Party::faulty(23, faults), Party::faulty(22, faults));
    let (mut from_alice, hello) = alice.initiate(&bob.bundle(one_time)).unwrap();
    let (mut from_bob, _) = bob.device.accept(&hello).unwrap();
    let second = from_alice.encrypt(b"second", &mut alice.rng).unwrap();
    from_bob.decrypt(&[&[0x12], &second[HIDDEN.end..]].concat()).unwrap().plaintext
}
