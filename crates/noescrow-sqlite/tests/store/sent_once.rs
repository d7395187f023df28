// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file whose message was sealed, when the command that sends it is run again.

use super::super::party::NOW;
use super::User;
use noescrow::UnixSeconds;
use noescrow::durable::SENT_ID_KEPT;
use noescrow_sqlite::{ATTACHMENT_KEPT, Attachment};

/// After what a process ends.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Ends {
    Uploaded,
    Sealed,
    Delivered,
    Removed,
}

impl User {
    /// What the command that sends a file does, until its process ends at this point.
    fn send_file(&mut self, ends: Ends) -> [u8; 16] {
        let file = self.attach();
        if file.message_id.is_none() {
            file.upload().unwrap();
            file.sent_with_next(self.stored.store());
            if ends == Ends::Uploaded {
                return file.id;
            }
            self.seal();
        }
        if ends > Ends::Sealed {
            self.deliver();
        }
        if ends > Ends::Delivered {
            file.remove(self.stored.store()).unwrap();
        }
        file.id
    }
}

#[test]
fn a_file_whose_delivery_was_cut_is_sent_once() {
    for ends in [Ends::Uploaded, Ends::Sealed, Ends::Delivered, Ends::Removed] {
        let mut alice = User::new();
        alice.deliver();
        let id = alice.send_file(ends);
        let waits = alice.waiting();
        assert_eq!(waits.len(), usize::from(ends == Ends::Sealed), "{ends:?}");
        let file = alice.attach();
        // The key is gone when the message is sealed.
        let is_sealed = matches!(ends, Ends::Sealed | Ends::Delivered);
        assert_eq!((file.key.is_none(), file.message_id.is_some()), (is_sealed, is_sealed), "{ends:?}");
        assert!(ends != Ends::Sealed || file.message_id == waits.first().copied());
        drop(file);
        // The command is run again: another file, and another message, only if the first run has done everything.
        assert_eq!(alice.send_file(Ends::Sealed) == id, ends != Ends::Removed, "{ends:?}");
        assert_eq!(alice.waiting().len(), usize::from(ends != Ends::Delivered), "{ends:?}");
        assert_eq!(alice.send_file(Ends::Removed) == id, ends != Ends::Removed, "{ends:?}");
        assert_eq!((alice.waiting().len(), alice.files()), (0, 0), "{ends:?}");
        // Control: then the user sends it a second time.
        assert_ne!(alice.send_file(Ends::Sealed), id, "{ends:?}");
        assert_eq!(alice.waiting().len(), 1, "{ends:?}");
    }
}

#[test]
fn a_file_whose_message_waits_is_not_forgotten_by_removing_it() {
    let mut alice = User::new();
    let id = alice.send_file(Ends::Sealed);
    let file = alice.attach();
    file.remove(alice.stored.store()).unwrap();
    drop(file);
    let file = alice.attach();
    assert!(file.id == id && file.message_id.is_some() && file.upload().is_err());
    // Control: when it was sent, it is, and so is one that is given up.
    alice.deliver();
    file.remove(alice.stored.store()).unwrap();
    drop(file);
    let begun = alice.attach();
    assert!(begun.id != id && begun.message_id.is_none());
    begun.remove(alice.stored.store()).unwrap();
    let id = begun.id;
    drop(begun);
    assert_ne!(alice.attach().id, id);
}

#[test]
fn a_file_that_another_device_does_not_get_is_sent_again() {
    let mut alice = User::new();
    let (peer, id) = (alice.peer, alice.send_file(Ends::Sealed));
    // Control: while its message waits, and for another peer, nothing is forgotten.
    let carol = alice.add(b"carol");
    Attachment::forget_sealed(alice.stored.store(), &peer).unwrap();
    assert_eq!(alice.attach().id, id);
    let identity = *User::new_with(2).stored.messenger().identity();
    alice.stored.claim_identity(&peer, &identity, NOW, &mut alice.rng).unwrap();
    let number = alice.stored.messenger().safety_number(&identity).to_string();
    alice.stored.accept(&peer, &number, NOW, &mut alice.rng, |_| {}).unwrap();
    Attachment::forget_sealed(alice.stored.store(), &carol).unwrap();
    assert!(alice.waiting().is_empty() && alice.attach().id == id);
    Attachment::forget_sealed(alice.stored.store(), &peer).unwrap();
    let anew = alice.attach();
    assert!(anew.id != id && anew.key.is_some() && anew.message_id.is_none());
    // Nor is one that was only begun.
    let id = anew.id;
    drop(anew);
    Attachment::forget_sealed(alice.stored.store(), &peer).unwrap();
    assert_eq!(alice.attach().id, id);
}

#[test]
fn a_file_whose_message_is_no_longer_known_is_sealed_anew() {
    let mut alice = User::new();
    let id = alice.send_file(Ends::Delivered);
    // Control.
    assert_eq!(alice.attach().id, id);
    // The log of sent ids ends what is older when another message is sent.
    alice.open_again(UnixSeconds(NOW.0 + SENT_ID_KEPT.as_secs() + 1));
    alice.seal();
    alice.deliver();
    let anew = alice.attach();
    assert!(anew.id != id && anew.key.is_some() && anew.message_id.is_none());
}

#[test]
fn a_later_text_to_the_same_peer_is_not_the_files_message() {
    let mut alice = User::new();
    // Its message is not sealed: the connection is cut before, and the command ends with an error.
    let id = alice.send_file(Ends::Uploaded);
    alice.seal();
    let again = alice.attach();
    assert!(again.id == id && again.key.is_some() && again.message_id.is_none() && again.upload().is_ok());
    // Control: the message that is sealed while the attachment is there is the file's.
    again.sent_with_next(alice.stored.store());
    alice.seal();
    drop(again);
    assert!(alice.attach().message_id.is_some_and(|message_id| alice.waiting().last() == Some(&message_id)));
}

#[test]
fn a_file_that_expires_is_kept_while_its_message_is_known() {
    let mut alice = User::new();
    let after = |days: u64| UnixSeconds(NOW.0 + ATTACHMENT_KEPT.as_secs() + days * 86_400);
    // It was begun long ago, and its message waits, as for a peer whose identity is in question.
    let id = alice.send_file(Ends::Sealed);
    alice.open_again(after(9));
    assert_eq!((alice.send_file(Ends::Sealed), alice.waiting().len()), (id, 2));
    // It is delivered at last, and the command is run again.
    alice.deliver();
    alice.open_again(after(10));
    assert_eq!((alice.send_file(Ends::Sealed), alice.waiting().len()), (id, 0));
    // Control: one that was not sealed expires, and so does one whose message is known no more.
    alice.open_again(UnixSeconds(after(9).0 + SENT_ID_KEPT.as_secs() + 1));
    alice.seal();
    alice.deliver();
    alice.open_again(UnixSeconds(after(9).0 + SENT_ID_KEPT.as_secs() + 2));
    assert_eq!(alice.data(), 0);
    let begun = alice.send_file(Ends::Uploaded);
    alice.open_again(UnixSeconds(after(10).0 + SENT_ID_KEPT.as_secs() + ATTACHMENT_KEPT.as_secs()));
    assert_ne!(alice.send_file(Ends::Uploaded), begun);
}
