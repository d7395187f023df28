// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a step puts into inbox and outbox is everything that its outcome says: a crash before the outcome is shown loses
//! none of it. [`User::open`] checks it at every message of these tests.

use super::recovery::{answer, probe, receipt, rolled_back};
use super::user::{HOUR, User, friends, is_entry_of};
use noescrow::durable::{Batch, InboxMessage, Mailboxes, MessageId, OpenedFlags, OutboxMessage, Row, Store, Subject};
use noescrow::durable::{CommitError, Received, Revision, RowName};
use noescrow::error::DecodeError;
use noescrow::messenger::{Control, Messenger, OpenError, Refusal};
use std::collections::BTreeMap;

fn entry(user: &User) -> Received {
    user.disk.last.0.clone().unwrap()
}

/// A message whose body the server has damaged.
fn damaged(message: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

#[test]
fn the_inbox_has_receipts_and_probes_as_what_they_are() {
    let [mut alice, mut bob] = rolled_back();
    let (of_alice, of_bob) = (bob.peer(&alice), alice.peer(&bob));
    let first = bob.seal_with(&of_alice, b"old state", alice.bundle()).unwrap();
    alice.open(&first.message).unwrap();
    assert!(entry(&alice).flags.is_new_session && entry(&alice).flags.is_on_probation);
    let asks = probe(&mut alice, &of_bob).unwrap();
    assert!(alice.disk.last.1.as_ref().unwrap().is_control);
    let opened = bob.open(&asks.message).unwrap();
    assert_eq!((entry(&bob).control, entry(&bob).flags.should_answer), (Some(Control::Probe), true));
    // Control: an entry without one of the flags is another one.
    let mut lost = entry(&bob);
    lost.flags.should_answer = false;
    assert!(is_entry_of(&entry(&bob), &opened) && !is_entry_of(&lost, &opened));
    let answers = answer(&mut bob, &of_alice);
    assert!(alice.open(&answers.message).unwrap().ends_probation && entry(&alice).flags.ends_probation);
    let text = alice.send(&mut bob, &[b'x'; 9_000]);
    bob.now.0 += HOUR;
    assert!(!alice.disk.last.1.as_ref().unwrap().is_control);
    let Err(OpenError::Refused(refused)) = bob.open(&damaged(&text.message)) else { panic!("opened") };
    let sent = receipt(&mut bob, &refused).unwrap();
    alice.open(&sent.message).unwrap();
    let Some(Control::Receipt(of)) = entry(&alice).control else { panic!("no receipt") };
    assert_eq!((of.reason, of.message_id), (Refusal::Body, refused.message_id));
    assert!(entry(&alice).plaintext.is_empty());
}

#[test]
fn flags_and_control_survive_their_encoding() {
    for bits in 0..128 {
        assert_eq!(OpenedFlags::from_bits(bits).unwrap().to_bits(), bits);
    }
    // Control: an eighth bit stands for nothing.
    for bit in 7..32 {
        assert_eq!(OpenedFlags::from_bits(1 << bit), Err(DecodeError::Refused));
    }
    let mut new_session = OpenedFlags::default();
    new_session.is_new_session = true;
    assert_eq!(new_session.to_bits(), 1);
    let mut receipt = vec![3, 1];
    receipt.extend([7; 16]);
    for bytes in [vec![1], vec![2], receipt.clone()] {
        assert_eq!(Control::from_bytes(&bytes).unwrap().to_bytes(), Some(bytes));
    }
    // Controls: no kind, too long, a receipt too short or of no reason.
    let mut of_no_reason = receipt.clone();
    of_no_reason[1] = 4;
    for bytes in [&[][..], &[0], &[4], &[1, 0], &receipt[..17], &of_no_reason] {
        assert!(Control::from_bytes(bytes).is_err(), "{bytes:?}");
    }
}

/// A store with the defaults of [`Store`] and [`Mailboxes`], which counts what is read outside a transaction.
#[derive(Default)]
struct Plain {
    rows: BTreeMap<(Subject, RowName), Vec<u8>>,
    inbox: Vec<InboxMessage>,
    outbox: Vec<OutboxMessage>,
    is_reading: bool,
    read_outside: usize,
}

impl Store for Plain {
    type Error = std::convert::Infallible;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Self::Error> {
        self.read_outside += usize::from(!self.is_reading);
        let rows = self.rows.iter().filter(|((of, _), _)| of == subject);
        Ok(rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Self::Error>> {
        for change in &batch.changes {
            let rows = change.rows.iter().map(|row| ((change.subject, row.name), row.sealed.clone()));
            self.rows.extend(rows);
        }
        self.inbox.extend(batch.received.clone().map(InboxMessage::from));
        let position = self.outbox.len() as u64;
        self.outbox.extend(batch.sent.clone().map(|sent| OutboxMessage::of(position, sent)));
        Ok(())
    }

    fn reading<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Result<T, Self::Error> {
        self.is_reading = true;
        let result = read(self);
        self.is_reading = false;
        Ok(result)
    }
}

impl Mailboxes for Plain {
    fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Self::Error> {
        Ok(self.inbox.iter().take(limit).cloned().collect())
    }

    fn take(&mut self, id: &MessageId) -> Result<bool, Self::Error> {
        let before = self.inbox.len();
        self.inbox.retain(|message| message.message_id != *id);
        Ok(self.inbox.len() < before)
    }

    fn outbox_after(&mut self, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Self::Error> {
        let later = self.outbox.iter().filter(|message| after.is_none_or(|after| message.position > after));
        Ok(later.take(limit).cloned().collect())
    }

    fn acknowledge(&mut self, id: &MessageId) -> Result<bool, Self::Error> {
        let before = self.outbox.len();
        self.outbox.retain(|message| message.message_id != *id);
        Ok(self.outbox.len() < before)
    }

    fn was_sealed(&mut self, id: &MessageId) -> Result<bool, Self::Error> {
        Ok(self.outbox.iter().any(|message| message.message_id == *id))
    }
}

#[test]
fn a_messenger_is_loaded_in_one_reading() {
    let mut user = User::new(3);
    user.add("bob");
    let mut store = Plain { rows: user.disk.rows.clone(), ..Plain::default() };
    let subject = user.messenger.subject();
    let loaded = Messenger::load(&mut store, &super::user::key(), &subject, 0, &mut user.rng).unwrap();
    assert_eq!((loaded.peers().count(), store.read_outside), (1, 0));
    // The default reads the revision from the rows: that of the last step.
    let core = user.disk.rows_of(&subject).into_iter().find(|row| row.name == RowName::CORE).unwrap();
    let revision: Revision = store.revision(&subject).unwrap().unwrap();
    assert_eq!((Some(revision), revision.generation), (core.revision(), user.messenger.generation()));
    // Controls: a reading outside is counted; a subject that is not there has no revision; another step has another one.
    assert_eq!(store.read_outside, 1);
    let other = User::new(4).messenger.subject();
    assert_eq!(store.revision(&other).unwrap(), None);
    user.maintain();
    store.rows = user.disk.rows.clone();
    assert_ne!(store.revision(&subject).unwrap(), Some(revision));
}

#[test]
fn debug_output_of_the_boxes_shows_lengths_only() {
    let [mut alice, mut bob] = friends();
    let sent = alice.send(&mut bob, b"a secret text");
    bob.open(&sent.message).unwrap();
    let inbox = InboxMessage::from(entry(&bob));
    let outbox = OutboxMessage::of(7, alice.disk.last.1.clone().unwrap());
    let mut store = Plain::default();
    let lock = store.exclusively("login").unwrap();
    let shown = format!("{inbox:?} {outbox:?} {lock:?}");
    let shows = |output: &str, bytes: &[u8]| output.contains(format!("{bytes:?}").trim_matches(['[', ']']));
    for secret in [&inbox.plaintext[..], &inbox.message_id, &outbox.message[..], &outbox.message_id] {
        // Control: the bytes' own output shows them.
        assert!(!shows(&shown, secret) && shows(&format!("{secret:?}"), secret), "{shown}");
    }
    assert!(shown.contains("plaintext_len: 13") && shown.contains("is_locked: false"), "{shown}");
}
