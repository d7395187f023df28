// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device sends: to a peer that asks for it, one message an hour, if the application permits it; and what the user
//! has sent, once.

use super::disk::Broken;
use super::exchange::{Party, parties};
use super::hub::{Cut, Down, Hub};
use super::user::{HOUR, NOW};
use noescrow::messenger::exchange::{Answers, Delivery, ExchangeError, ExchangeFailed};
use noescrow::messenger::{Advice, Failed};
use noescrow::{Payload, UnixSeconds};
use std::cell::RefCell;
use std::rc::Rc;

fn after(hours: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + hours * HOUR)
}

/// Alice was restored, so that Bob may probe her.
pub fn probed() -> (Rc<RefCell<Hub>>, Party, Party) {
    let (hub, mut alice, mut bob) = parties();
    let backup = alice.store.database.borrow().disk.clone();
    alice.send("bob", b"1", NOW).unwrap();
    bob.receive(NOW).unwrap();
    let peer = bob.stored.messenger().peers().next().unwrap().id;
    bob.stored.name_peer(&peer, b"alice", NOW, &mut bob.rng).unwrap();
    bob.send("alice", b"2", NOW).unwrap();
    alice.store.database.borrow_mut().disk = backup;
    alice.restart();
    alice.stored.restore_backup(&mut alice.line, NOW, &mut alice.rng).unwrap();
    alice.send("bob", b"3", NOW).unwrap();
    bob.receive(NOW).unwrap();
    alice.receive(NOW).unwrap();
    alice.events.clear();
    (hub, alice, bob)
}

/// Bob, whose clock does not count, probes Alice.
pub fn probe(bob: &mut Party, hour: u64) {
    let peer = bob.peer("alice");
    let Party { stored, line, rng, .. } = bob;
    let step = stored.step_on(
        after(hour),
        rng,
        |messenger| messenger.route_to_probe(&peer),
        |messenger, loaded, rng| messenger.seal_probe(&peer, loaded, after(hour), rng),
    );
    step.unwrap();
    stored.connect(line, after(hour), rng).unwrap().flush(after(hour), rng, |_, _| Ok(())).unwrap();
}

#[test]
fn a_peer_that_probes_without_end_gets_one_answer_an_hour_and_fills_no_outbox() {
    let (hub, mut alice, mut bob) = probed();
    (0..10).for_each(|hour| probe(&mut bob, hour));
    alice.receive(NOW).unwrap();
    assert_eq!((alice.count("control of bob"), alice.count("sealed Answer"), alice.outbox()), (10, 1, 0));
    // Also of several processes, and after a restart.
    alice.restart();
    probe(&mut bob, 20);
    alice.receive(UnixSeconds(after(1).0 - 1)).unwrap();
    assert_eq!(alice.count("sealed Answer"), 1);
    // Control: an hour after the first answer there is another one.
    probe(&mut bob, 21);
    alice.receive(after(1)).unwrap();
    assert_eq!((alice.count("sealed Answer"), alice.outbox()), (2, 0));
    // Nothing of Bob's mailbox is taken: one answer waits, however long he probes.
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().refuses = Some(Delivery::Later);
    for hour in 2..6 {
        probe(&mut bob, 20 + hour);
        alice.receive(after(hour)).unwrap();
    }
    assert_eq!((alice.count("sealed Answer"), alice.outbox()), (3, 1));
    // Control: when it is taken, the next probe is answered.
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().refuses = None;
    probe(&mut bob, 27);
    alice.receive(after(7)).unwrap();
    assert_eq!((alice.count("sealed Answer"), alice.outbox()), (4, 0));
}

#[test]
fn the_application_chooses_whether_and_with_what_peers_are_answered() {
    let (hub, mut alice, mut bob) = probed();
    alice.answers = Answers::Never;
    probe(&mut bob, 0);
    alice.receive(NOW).unwrap();
    assert_eq!((alice.count("control of bob"), alice.count("sealed")), (1, 0));
    alice.answers = Answers::With(Payload { plaintext: b"I am away", ..Payload::default() });
    probe(&mut bob, 1);
    alice.receive(NOW).unwrap();
    // It counts as an answer, too, and is shown.
    probe(&mut bob, 2);
    alice.receive(NOW).unwrap();
    assert_eq!(alice.count("sealed Answer"), 1);
    bob.receive(after(2)).unwrap();
    assert_eq!(bob.events.last().unwrap(), "received I am away");
    // A receipt is another message that the user has not sent.
    let damaged = |bob: &mut Party, alice: &mut Party, hour| {
        bob.send("alice", &[b'x'; 9_000], after(hour)).unwrap();
        *hub.borrow_mut().accounts.get_mut(&b"alice"[..]).unwrap().mail[0].1.last_mut().unwrap() ^= 1;
        alice.receive(after(hour)).unwrap();
    };
    let late = after(3);
    alice.answers = Answers::Never;
    damaged(&mut bob, &mut alice, 3);
    alice.answers = Answers::AtOnce;
    assert_eq!((alice.count("refused Body"), alice.count("sealed Receipt")), (1, 0));
    // Controls: what the user sends is not counted; with the permission there is a receipt, and no second one.
    alice.send("bob", b"4", late).unwrap();
    damaged(&mut bob, &mut alice, 4);
    damaged(&mut bob, &mut alice, 4);
    assert_eq!((alice.count("refused Body"), alice.count("sealed Receipt")), (3, 1));
}

#[test]
fn a_send_whose_delivery_was_cut_is_remedied_by_flush_and_arrives_once() {
    let advice = |error: &ExchangeFailed<Down, Broken>| error.advice();
    for cut in [Cut::Request, Cut::Answer] {
        let (_, mut alice, mut bob) = parties();
        // After the four requests of logging in, and the one for a bundle.
        alice.line.cuts = [None, None, None, None, None, Some(cut)].into();
        let error = alice.send("bob", b"once", NOW).unwrap_err();
        assert!(matches!(error, Failed::Step(ExchangeError::Waiting(Down))), "{error}");
        assert_eq!((advice(&error), alice.outbox()), (Some(Advice::Flush), 1));
        let Party { stored, line, rng, .. } = &mut alice;
        stored.connect(line, NOW, rng).unwrap().flush(NOW, rng, |_, _| Ok(())).unwrap();
        bob.receive(NOW).unwrap();
        assert_eq!((bob.count("received once"), alice.outbox()), (1, 0));
        // Control: before the message is sealed, it is no such error, and nothing waits.
        alice.line.cuts = [Some(cut)].into();
        let error = alice.send("bob", b"once", NOW).unwrap_err();
        assert!(matches!(error, Failed::Step(ExchangeError::Server(Down))), "{error}");
        assert_eq!((advice(&error), alice.outbox()), (None, 0));
    }
}
