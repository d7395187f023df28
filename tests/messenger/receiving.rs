// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receiving ends, and shows each message once, whatever server, peers and other processes do.

use super::Stored;
use super::answers::{probe, probed};
use super::disk::Fault;
use super::exchange::{Party, note, parties};
use super::hub::Line;
use super::user::{NOW, User, key};
use noescrow::messenger::Messenger;
use noescrow::messenger::exchange::{Answers, Delivery, Event, Fetched, RECEIVED_AT_ONCE};
use std::cell::RefCell;

#[test]
fn a_server_that_always_has_one_more_message_does_not_hold_receive() {
    let (hub, mut alice, mut bob) = probed();
    probe(&mut bob, 0);
    let endless = 5_000;
    hub.borrow_mut().makes_up = endless;
    assert_eq!(alice.fetch(NOW).unwrap(), Fetched::More);
    assert_eq!(alice.count("refused Damaged"), RECEIVED_AT_ONCE - 1);
    // What the messages ask for is sent although the server is not done.
    assert_eq!((alice.count("sealed Answer"), alice.count("sent to bob"), alice.outbox()), (1, 1, 0));
    // Control: the mail of a server that stops is fetched.
    let mut calls = 1;
    while alice.fetch(NOW).unwrap() == Fetched::More {
        calls += 1;
    }
    assert_eq!((calls, alice.count("refused Damaged")), (5, usize::try_from(endless).unwrap()));
    assert!(hub.borrow().accounts[&b"alice"[..]].mail.is_empty());
}

#[test]
fn messages_that_stay_at_the_server_hide_none_after_them() {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"hello", NOW).unwrap();
    bob.receive(NOW).unwrap();
    // More messages than one call removes are deferred, and a text comes after them.
    let junk = (0..1_200_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        (1_000 + u64::from(number), [0x12, high, low, 1, 1, 1, 1, 1, 1].repeat(40))
    });
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().mail.extend(junk);
    hub.borrow_mut().next = 5_000;
    alice.send("bob", b"after", NOW).unwrap();
    bob.events.clear();
    // Whoever connects anew for each call, or is another process, sees it at once.
    assert_eq!(bob.fetch(NOW).unwrap(), Fetched::All);
    assert_eq!(bob.count("received after"), 1);
    // Control: the junk was left.
    assert!(bob.count("deferred") > RECEIVED_AT_ONCE);
}

#[test]
fn a_call_that_was_cut_is_continued_after_what_it_left() {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"hello", NOW).unwrap();
    bob.receive(NOW).unwrap();
    let junk = (0..60_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        (1_000 + u64::from(number), [0x12, high, low, 1, 1, 1, 1, 1, 1].repeat(40))
    });
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().mail.extend(junk);
    hub.borrow_mut().next = 5_000;
    alice.send("bob", b"broken display", NOW).unwrap();
    bob.events.clear();
    // The event function fails at the text, after the junk.
    assert!(bob.fetch(NOW).is_err());
    let left = bob.count("deferred");
    assert!(left > 0);
    assert!(bob.fetch(NOW).is_err());
    // Control: the junk was not looked at once more.
    assert_eq!(bob.count("deferred"), left);
}

#[test]
fn two_processes_show_each_message_once() {
    let (hub, mut alice, mut bob) = parties();
    for text in [b"1", b"2", b"3", b"4"] {
        alice.send("bob", text, NOW).unwrap();
    }
    let (subject, locks, mut rng) = (bob.subject, bob.store.locks.clone(), bob.store.rng());
    let mut other = Stored::load(bob.store.of_another_process(), &key(), &subject, &mut rng).unwrap();
    let (mut line, shown) = (Line::new(&hub, "bob"), RefCell::new(Vec::new()));
    let show = |messenger: &Messenger, event: &Event<'_>| note(&mut shown.borrow_mut(), messenger, event);
    let mut receive_elsewhere = || {
        let mut connected = other.connect(&mut line, NOW, &mut rng).unwrap();
        connected.receive(Answers::Never, NOW, &mut rng, |stored, event| show(stored.messenger(), &event)).unwrap()
    };
    let mut waits = false;
    let mut connected = bob.stored.connect(&mut bob.line, NOW, &mut bob.rng).unwrap();
    let received = connected.receive(Answers::Never, NOW, &mut bob.rng, |stored, event| {
        show(stored.messenger(), &event)?;
        // The other process waits for the lock, or receives at the worst moment.
        waits = locks.lock().unwrap().contains("inbox");
        if !waits && matches!(event, Event::Received(_)) {
            let _ = receive_elsewhere();
        }
        Ok(())
    });
    assert_eq!((received.unwrap(), receive_elsewhere()), (Fetched::All, Fetched::All));
    assert_eq!(shown.take(), ["received 1", "received 2", "received 3", "received 4"]);
    // Control: it was another process that would have had the same message.
    assert!(waits);
}

#[test]
fn a_message_whose_commit_was_unknown_is_shown_by_the_same_receive() {
    for has_followed in [true, false] {
        let (_, mut alice, mut bob) = parties();
        alice.send("bob", b"hello", NOW).unwrap();
        let subject = bob.subject;
        // After the three steps of logging in, the message is opened.
        bob.store.set_faults(&[Fault::None, Fault::None, Fault::None, Fault::CommitsAndFails]);
        bob.store.after(4, move |store| {
            let mut rng = store.rng();
            let mut other = Stored::load(store.of_another_process(), &key(), &subject, &mut rng).unwrap();
            if has_followed {
                other.find_or_add_peer(b"carol", NOW, &mut rng).unwrap();
            }
        });
        assert_eq!(bob.fetch(NOW).unwrap(), Fetched::All);
        assert_eq!(bob.count("received hello"), 1);
        // Control: only the step that another one has followed is made again.
        assert_eq!(bob.count("refused AlreadyOpened"), usize::from(has_followed));
    }
}

#[test]
fn an_identity_accepted_by_an_event_function_gets_nothing_sealed_before() {
    let (hub, mut alice, _) = parties();
    let carol = Party::new(&hub, "carol", 6);
    let refuses = |name: &str, how| hub.borrow_mut().accounts.get_mut(name.as_bytes()).unwrap().refuses = how;
    refuses("carol", Some(Delivery::Later));
    refuses("bob", Some(Delivery::KeyRefused));
    alice.send("carol", b"waits before", NOW).unwrap();
    alice.send("bob", b"sealed for the former device", NOW).unwrap();
    let phone = User::new(9).identity();
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().identity = Some(phone);
    alice.receive(NOW).unwrap();
    assert_eq!((alice.count("claimed bob"), alice.outbox()), (1, 2));
    refuses("carol", None);
    refuses("bob", None);
    let (bob, number) = (alice.peer("bob"), alice.stored.messenger().safety_number(&phone).to_string());
    let (mut given_up, mut others) = (0, alice.store.rng());
    let Party { stored, line, rng, .. } = &mut alice;
    let mut connected = stored.connect(line, NOW, rng).unwrap();
    let flushed = connected.flush(NOW, rng, |stored, event| {
        if matches!(event, Event::Sent(_)) {
            stored.accept(&bob, &number, NOW, &mut others, |_| given_up += 1).unwrap();
        }
        Ok(())
    });
    flushed.unwrap();
    assert_eq!((given_up, alice.outbox()), (1, 0));
    let mail = |name: &str| hub.borrow().accounts[name.as_bytes()].mail.len();
    assert_eq!((mail("bob"), mail(&carol.name)), (0, 1));
    // Control: the lock is free again, and what is sealed now is delivered.
    alice.stored.verify(&bob, &number, NOW, &mut alice.rng).unwrap();
    assert!(alice.store.locks.lock().unwrap().is_empty());
}

#[test]
fn nothing_is_sent_to_a_peer_that_another_process_has_forgotten_meanwhile() {
    for is_forgotten in [true, false] {
        let (hub, mut alice, _) = parties();
        let _carol = Party::new(&hub, "carol", 6);
        let refuses = |name: &str, how| hub.borrow_mut().accounts.get_mut(name.as_bytes()).unwrap().refuses = how;
        for name in ["carol", "bob"] {
            refuses(name, Some(Delivery::Later));
            alice.send(name, b"waits", NOW).unwrap();
        }
        ["carol", "bob"].into_iter().for_each(|name| refuses(name, None));
        assert_eq!(alice.outbox(), 2);
        let (bob, mut rng) = (alice.peer("bob"), alice.store.rng());
        let mut other =
            noescrow::messenger::Stored::load(alice.store.clone(), &key(), &alice.subject, &mut rng).unwrap();
        let Party { stored, line, rng: source, .. } = &mut alice;
        let mut connected = stored.connect(line, NOW, source).unwrap();
        let flushed = connected.flush(NOW, source, |_, event| {
            if matches!(event, Event::Sent(_)) && is_forgotten {
                other.forget(&bob, NOW, &mut rng).unwrap();
            }
            Ok(())
        });
        // The message to Bob was read from the outbox together with that to Carol, before he was forgotten.
        flushed.unwrap();
        let mail = |name: &str| hub.borrow().accounts[name.as_bytes()].mail.len();
        // Control: without another process it is delivered.
        assert_eq!((mail("carol"), mail("bob")), (1, usize::from(!is_forgotten)));
    }
}
