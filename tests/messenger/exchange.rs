// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exchange with a server: what it sends, shows and acknowledges, and in which order.

use super::Stored;
use super::disk::Broken;
use super::hub::{Account, Cut, Down, Hub, Line};
use super::shared::Shared;
use super::user::{HOUR, NOW, User, key};
use noescrow::durable::{Mailboxes, Subject};
use noescrow::messenger::exchange::{Answers, Delivery, Event, ExchangeError, ExchangeFailed, Fetched};
use noescrow::messenger::{Failed, Messenger, PeerError, PeerId, Suspicion};
use noescrow::{Device, Prekey, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use std::cell::RefCell;
use std::rc::Rc;

pub struct Party {
    pub name: String,
    pub subject: Subject,
    pub store: Shared,
    pub stored: Stored<Shared>,
    pub line: Line,
    pub rng: ChaCha20Rng,
    /// What it sends without the user.
    pub answers: Answers<'static>,
    /// What was shown, in words.
    pub events: Vec<String>,
}

impl Party {
    /// A device with an account.
    pub fn new(hub: &Rc<RefCell<Hub>>, name: &str, seed: u64) -> Self {
        let store = Shared::default();
        store.database.borrow_mut().processes = seed << 32;
        let mut rng = store.rng();
        let device = Device::generate(NOW, &mut rng);
        let mut stored = Stored::create(device, store.clone(), &key(), &mut rng).unwrap();
        let (subject, mut line) = (stored.messenger().subject(), Line::new(hub, name));
        line.locks = store.locks.clone();
        line.gate = store.gate.clone();
        let _ = stored.connect(&mut line, NOW, &mut rng).unwrap();
        let answers = Answers::AtOnce;
        Self { name: name.into(), subject, store, stored, line, rng, answers, events: Vec::new() }
    }

    /// The process ends, and another one begins.
    pub fn restart(&mut self) {
        self.rng = self.store.rng();
        self.stored = Stored::load(self.store.clone(), &key(), &self.subject, &mut self.rng).unwrap();
    }

    pub fn send(&mut self, to: &str, text: &[u8], now: UnixSeconds) -> Result<(), ExchangeFailed<Down, Broken>> {
        let Self { stored, line, rng, events, .. } = self;
        let peer = stored
            .find_or_add_peer(to.as_bytes(), now, rng)
            .map_err(|error| error.map(|_| ExchangeError::Server(Down)))?;
        let mut connected = stored.connect(line, now, rng)?;
        connected.send(&peer, text, now, rng, |stored, event| note(events, stored.messenger(), &event)).map(drop)
    }

    pub fn receive(&mut self, now: UnixSeconds) -> Result<(), ExchangeFailed<Down, Broken>> {
        self.fetch(now).map(drop)
    }

    /// Receives once.
    pub fn fetch(&mut self, now: UnixSeconds) -> Result<Fetched, ExchangeFailed<Down, Broken>> {
        let Self { stored, line, rng, answers, events, .. } = self;
        let mut connected = stored.connect(line, now, rng)?;
        connected.receive(*answers, now, rng, |stored, event| note(events, stored.messenger(), &event))
    }

    pub fn outbox(&mut self) -> usize {
        self.store.outbox_ids().len()
    }

    pub fn peer(&self, name: &str) -> PeerId {
        self.stored.messenger().peer_named(name.as_bytes()).unwrap().id
    }

    /// Number of events that begin with this.
    pub fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|of| of.starts_with(event)).count()
    }
}

/// Notes an event in words. A message that says so is not shown.
pub fn note(events: &mut Vec<String>, messenger: &Messenger, event: &Event<'_>) -> Result<(), Down> {
    let name = |peer: Option<PeerId>| {
        let peer = peer.and_then(|peer| messenger.peer(&peer));
        peer.map(|peer| String::from_utf8_lossy(peer.name).into_owned()).unwrap_or_default()
    };
    let of = |subject: Option<Subject>| name(subject.as_ref().and_then(PeerId::from_subject));
    events.push(match event {
        Event::Received(message) if *message.plaintext == *b"broken display" => return Err(Down),
        Event::Received(message) if message.control.is_some() => format!("control of {}", of(message.peer)),
        Event::Received(message) => format!("received {}", String::from_utf8_lossy(&message.plaintext)),
        Event::Refused(refused) => format!("refused {:?}", refused.reason),
        Event::Deferred(_) => "deferred".into(),
        Event::Damaged { .. } => "damaged".into(),
        Event::Sealed(purpose, _) => format!("sealed {purpose:?}"),
        Event::Sent(message) => format!("sent to {}", of(message.peer)),
        Event::Undelivered(message, delivery) => format!("{delivery:?} to {}", of(message.peer)),
        Event::Claimed(peer) => format!("claimed {}", name(Some(*peer))),
        _ => "other".into(),
    });
    Ok(())
}

pub fn parties() -> (Rc<RefCell<Hub>>, Party, Party) {
    let hub = Rc::default();
    let (alice, bob) = (Party::new(&hub, "alice", 1), Party::new(&hub, "bob", 2));
    (hub, alice, bob)
}

#[test]
fn a_text_arrives_and_is_answered() {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"hello", NOW).unwrap();
    assert_eq!(alice.events, ["sealed Payload", "sent to bob"]);
    assert_eq!(hub.borrow().accounts[&b"bob"[..]].mail.len(), 1);
    bob.receive(NOW).unwrap();
    assert_eq!((&bob.events[..], bob.store.outbox_ids().len()), (&["received hello".to_owned()][..], 0));
    assert!(hub.borrow().accounts[&b"bob"[..]].mail.is_empty());
    assert!(bob.stored.store().inbox(9).unwrap().is_empty());
    // Control: nothing comes twice.
    bob.receive(NOW).unwrap();
    assert_eq!(bob.events.len(), 1);
}

#[test]
fn logging_in_keeps_the_prekeys_at_the_server_right() {
    let (hub, mut alice, _) = parties();
    let account = |read: fn(&mut Account) -> usize| read(hub.borrow_mut().accounts.get_mut(&b"alice"[..]).unwrap());
    let held = account(|account| account.one_time_prekeys.len());
    assert!(held > 0);
    // What the server has taken is not offered once more.
    alice.receive(NOW).unwrap();
    assert_eq!((account(|account| account.uploaded), account(|account| account.one_time_prekeys.len())), (0, held));
    // Nor if strangers have fetched it before the next login.
    let mut carol = Party::new(&hub, "carol", 3);
    let ids = |hub: &Rc<RefCell<Hub>>, name: &[u8]| -> Vec<u32> {
        hub.borrow().accounts[name].one_time_prekeys.iter().map(Prekey::id).collect()
    };
    let used = ids(&hub, b"carol");
    hub.borrow_mut().accounts.get_mut(&b"carol"[..]).unwrap().one_time_prekeys.clear();
    carol.receive(NOW).unwrap();
    assert!(!used.is_empty() && ids(&hub, b"carol").iter().all(|id| !used.contains(id)));
    // What this device does not have is withdrawn, before the rest is filled up.
    let others = account(|account| {
        account.one_time_prekeys.truncate(1);
        account.one_time_prekeys.append(&mut User::new(9).one_time_prekeys);
        account.one_time_prekeys.len() - 1
    });
    alice.line.requests.clear();
    alice.receive(NOW).unwrap();
    let uploaded = account(|account| account.uploaded);
    // Control: those of another device were there, and new ones are due.
    assert!(others > 0 && uploaded > 0);
    assert_eq!(account(|account| account.one_time_prekeys.len()), 1 + uploaded);
    let requests = alice.line.requests.iter().map(|(name, _)| *name);
    let expected = ["log_in", "set_nonce", "prekeys", "withdraw", "publish", "mail"];
    assert_eq!(requests.collect::<Vec<_>>(), expected);
}

#[test]
fn one_process_at_a_time_logs_in_and_sends() {
    let (_, mut alice, _) = parties();
    alice.line.requests.clear();
    alice.send("bob", b"hello", NOW).unwrap();
    alice.receive(NOW).unwrap();
    for (request, locks) in &alice.line.requests {
        let expected = match *request {
            "deliver" => Some("outbox"),
            // Control: bundles and mail are fetched without a lock.
            "bundle" | "mail" => None,
            _ => Some("login"),
        };
        assert_eq!(locks.first().map(String::as_str), expected, "{request}");
    }
    assert!(alice.line.requests.iter().any(|(request, _)| *request == "deliver"));
}

#[test]
fn only_an_error_of_the_connection_ends_sending() {
    let (hub, mut alice, _) = parties();
    let (mut carol, mut dave) = (Party::new(&hub, "carol", 3), Party::new(&hub, "dave", 4));
    let refuse = |name: &str, refuses| hub.borrow_mut().accounts.get_mut(name.as_bytes()).unwrap().refuses = refuses;
    refuse("bob", Some(Delivery::Later));
    refuse("dave", Some(Delivery::Never));
    for name in ["bob", "carol", "dave"] {
        refuse("carol", Some(Delivery::Later));
        alice.send(name, b"1", NOW).unwrap();
        alice.send(name, b"2", NOW).unwrap();
    }
    // Those to Dave are given up, the others wait in their order.
    assert_eq!(alice.outbox(), 4);
    refuse("carol", None);
    alice.events.clear();
    // Control: the connection is cut. Nothing else is tried.
    alice.line.cuts = [None, None, None, None, Some(Cut::Request)].into();
    assert!(matches!(alice.receive(NOW), Err(Failed::Step(ExchangeError::Server(Down)))));
    assert_eq!((alice.events.len(), alice.outbox()), (0, 4));
    alice.receive(NOW).unwrap();
    assert_eq!(alice.events, ["Later to bob", "sent to carol", "sent to carol", "Later to bob"]);
    carol.receive(NOW).unwrap();
    dave.receive(NOW).unwrap();
    assert_eq!((&carol.events[..], dave.events.len()), (&["received 1".to_owned(), "received 2".to_owned()][..], 0));
    refuse("bob", None);
    alice.receive(NOW).unwrap();
    assert_eq!(alice.outbox(), 0);
}

#[test]
fn a_name_is_the_account_that_the_server_has_and_no_claim() {
    let (hub, mut alice, mut bob) = parties();
    let mut mallory = Party::new(&hub, "mallory", 5);
    for stranger in [&mut alice, &mut mallory] {
        stranger.send("bob", b"I am alice", NOW).unwrap();
    }
    bob.receive(NOW).unwrap();
    let of =
        |party: &Party, bob: &Party| bob.stored.messenger().peer_of(party.stored.messenger().identity()).unwrap().id;
    let (of_alice, of_mallory) = (of(&alice, &bob), of(&mallory, &bob));
    let named = |bob: &mut Party, name: &[u8]| {
        bob.stored.connect(&mut bob.line, NOW, &mut bob.rng).unwrap().peer_of_account(name, NOW, &mut bob.rng)
    };
    let is = |error, expected| matches!(error, Err(Failed::Step(ExchangeError::Peer(found))) if found == expected);
    // The stranger with the account's identity gets its name, and keeps his trust, sessions and mail.
    assert_eq!(named(&mut bob, b"alice").unwrap(), of_alice);
    assert_eq!(named(&mut bob, b"alice").unwrap(), of_alice);
    assert!(is(named(&mut bob, b"nobody"), PeerError::UnknownPeer));
    // Somebody who has not written is added, with the identity that the server shows. No prekey is used up.
    let left = |name: &[u8]| hub.borrow().accounts[name].one_time_prekeys.len();
    let (carol, before) = (Party::new(&hub, "carol", 6), left(b"carol"));
    let peer = named(&mut bob, b"carol").unwrap();
    assert_eq!(bob.stored.messenger().peer(&peer).unwrap().identity, Some(carol.stored.messenger().identity()));
    assert_eq!(left(b"carol"), before);
    // One identity has one name.
    hub.borrow_mut().accounts.get_mut(&b"mallory"[..]).unwrap().identity = Some(*carol.stored.messenger().identity());
    assert!(is(named(&mut bob, b"mallory"), PeerError::Taken));
    // Control: a server that lies gives the name to whom it likes.
    assert!(bob.stored.messenger().peer(&of_mallory).unwrap().name.is_empty());
    hub.borrow_mut().accounts.get_mut(&b"mallory"[..]).unwrap().identity = Some(*mallory.stored.messenger().identity());
    assert_eq!(named(&mut bob, b"mallory").unwrap(), of_mallory);
}

#[test]
fn a_refused_access_key_shows_another_device_of_the_peer() {
    let (hub, mut alice, _) = parties();
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().refuses = Some(Delivery::KeyRefused);
    alice.send("bob", b"1", NOW).unwrap();
    // Control: the account has the same device.
    assert_eq!(alice.events, ["sealed Payload", "KeyRefused to bob"]);
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().identity = Some(User::new(9).identity());
    alice.receive(NOW).unwrap();
    assert_eq!(alice.events[2..], ["OtherIdentity to bob", "claimed bob"]);
    alice.restart();
    let bob = alice.peer("bob");
    assert!(alice.stored.messenger().peer(&bob).unwrap().claimed.is_some());
    assert!(alice.send("bob", b"2", NOW).is_err());
    assert_eq!(alice.outbox(), 1);
    // What is sealed for the device that may be gone waits for the user, even if the server takes it.
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().refuses = None;
    alice.receive(NOW).unwrap();
    assert_eq!(alice.outbox(), 1);
    let number = alice.stored.messenger().safety_number(&User::new(9).identity()).to_string();
    alice.stored.reject(&bob, &number, NOW, &mut alice.rng).unwrap();
    // An identity that was rejected does not claim to be Bob again, and a message of Bob would bring no key for it.
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().refuses = Some(Delivery::KeyRefused);
    alice.receive(NOW).unwrap();
    assert_eq!((alice.outbox(), alice.events.last().unwrap().as_str()), (1, "OtherIdentity to bob"));
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().refuses = None;
    alice.receive(NOW).unwrap();
    assert_eq!((alice.outbox(), alice.events.last().unwrap().as_str()), (0, "sent to bob"));
}

#[test]
fn a_device_that_was_put_back_sends_nothing() {
    let (hub, mut alice, mut bob) = parties();
    let backup = alice.store.database.borrow().disk.clone();
    alice.send("bob", b"1", NOW).unwrap();
    bob.receive(NOW).unwrap();
    // Control: the device that was not put back goes on.
    alice.send("bob", b"2", NOW).unwrap();
    alice.receive(NOW).unwrap();
    alice.store.database.borrow_mut().disk = backup;
    alice.restart();
    let suspect = |result| matches!(result, Err(Failed::Step(ExchangeError::Suspect(Suspicion::LoginNonce))));
    assert!(suspect(alice.send("bob", b"3", NOW)));
    // Nor if the server shows no nonce to the next process.
    alice.restart();
    hub.borrow_mut().accounts.get_mut(&b"alice"[..]).unwrap().nonce = None;
    assert!(suspect(alice.receive(NOW)));
    assert_eq!(hub.borrow().accounts[&b"bob"[..]].mail.len(), 1);
    // A cut connection leaves the restoring to be repeated.
    let old: Vec<u32> = hub.borrow().accounts[&b"alice"[..]].one_time_prekeys.iter().map(Prekey::id).collect();
    alice.line.cuts = [None, None, Some(Cut::Answer)].into();
    assert!(alice.stored.restore_backup(&mut alice.line, NOW, &mut alice.rng).is_err());
    assert!(suspect(alice.receive(NOW)));
    alice.stored.restore_backup(&mut alice.line, NOW, &mut alice.rng).unwrap();
    alice.send("bob", b"4", NOW).unwrap();
    assert!(alice.line.requests.iter().all(|(request, locks)| *request != "withdraw" || locks == &["login"]));
    let accounts = &hub.borrow().accounts;
    assert!(accounts[&b"alice"[..]].one_time_prekeys.iter().all(|prekey| !old.contains(&prekey.id())));
    assert_eq!(accounts[&b"bob"[..]].mail.len(), 2);
}

#[test]
fn a_message_that_was_not_shown_stays_in_the_inbox_and_at_the_server() {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"broken display", NOW).unwrap();
    alice.send("bob", b"next", NOW).unwrap();
    assert!(matches!(bob.receive(NOW), Err(Failed::Step(ExchangeError::Server(Down)))));
    assert_eq!(hub.borrow().accounts[&b"bob"[..]].mail.len(), 2);
    assert_eq!(bob.stored.store().inbox(9).unwrap().len(), 1);
    // The next process shows it: here, it takes it in another way.
    bob.restart();
    let [message] = &bob.stored.store().inbox(9).unwrap()[..] else { panic!("not one message") };
    assert!(bob.stored.store().take(&message.message_id).unwrap());
    bob.receive(NOW).unwrap();
    assert_eq!(bob.events, ["refused AlreadyOpened", "received next"]);
    // Control: what was shown is at neither place.
    assert!(hub.borrow().accounts[&b"bob"[..]].mail.is_empty());
    assert!(bob.stored.store().inbox(9).unwrap().is_empty());
}

#[test]
fn mail_behind_a_deferred_message_is_fetched() {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"hello", NOW).unwrap();
    bob.receive(NOW).unwrap();
    bob.events.clear();
    let junk = (0_u8..14).map(|number| (1_000 + u64::from(number), [0x12, number, 1, 1, 1, 1, 1, 1, 1].repeat(40)));
    hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().mail.extend(junk);
    hub.borrow_mut().next = 2_000;
    alice.send("bob", b"after", NOW).unwrap();
    bob.receive(NOW).unwrap();
    let count = |bob: &Party, word: &str| bob.events.iter().filter(|event| event.starts_with(word)).count();
    assert_eq!((count(&bob, "refused"), count(&bob, "deferred"), count(&bob, "received")), (10, 4, 1));
    assert_eq!(hub.borrow().accounts[&b"bob"[..]].mail.len(), 4);
    // Control: a minute later they are refused, too.
    bob.receive(UnixSeconds(NOW.0 + 60)).unwrap();
    assert_eq!((count(&bob, "refused"), hub.borrow().accounts[&b"bob"[..]].mail.len()), (14, 0));
}

#[test]
fn a_damaged_session_keeps_back_its_own_mail_only() {
    let (hub, mut alice, mut bob) = parties();
    let mut carol = Party::new(&hub, "carol", 3);
    for sender in [&mut alice, &mut carol] {
        sender.send("bob", b"1", NOW).unwrap();
    }
    bob.receive(NOW).unwrap();
    // Control: both sessions open their mail.
    assert_eq!(bob.events, ["received 1", "received 1"]);
    let of_alice = bob.stored.messenger().peer_of(alice.stored.messenger().identity()).unwrap().id;
    let session = *bob.stored.messenger().route_to(&of_alice).unwrap().subject().unwrap();
    for ((subject, _), sealed) in &mut bob.store.database.borrow_mut().disk.rows {
        if *subject == session {
            *sealed.last_mut().unwrap() ^= 1;
        }
    }
    for sender in [&mut alice, &mut carol] {
        sender.send("bob", b"2", NOW).unwrap();
    }
    bob.events.clear();
    bob.receive(NOW).unwrap();
    assert_eq!(bob.events, ["damaged", "received 2"]);
    assert_eq!(hub.borrow().accounts[&b"bob"[..]].mail.len(), 1);
    // The user ends the session: the message is refused, and the next one to Alice begins another.
    bob.stored.end_session(&of_alice, &session, NOW, &mut bob.rng).unwrap();
    bob.receive(NOW).unwrap();
    assert_eq!(bob.events.last().unwrap(), "refused SessionEnded");
    assert!(hub.borrow().accounts[&b"bob"[..]].mail.is_empty());
    bob.stored.name_peer(&of_alice, b"alice", NOW, &mut bob.rng).unwrap();
    bob.send("alice", b"3", NOW).unwrap();
    alice.receive(NOW).unwrap();
    assert_eq!(alice.events.last().unwrap(), "received 3");
}

#[test]
fn receiving_ends_although_the_server_repeats_its_mail() {
    let (hub, mut alice, mut bob) = parties();
    for text in [b"1", b"2", b"3", b"4", b"5"] {
        alice.send("bob", text, NOW).unwrap();
    }
    hub.borrow_mut().repeats = true;
    bob.receive(NOW).unwrap();
    bob.receive(NOW).unwrap();
    assert_eq!(bob.events.iter().filter(|event| event.starts_with("received")).count(), 3);
    // Control: an honest server delivers the rest.
    hub.borrow_mut().repeats = false;
    bob.receive(NOW).unwrap();
    assert_eq!(bob.events.iter().filter(|event| event.starts_with("received")).count(), 5);
}

#[test]
fn a_probe_goes_before_a_text_and_is_answered() {
    let (_, mut alice, mut bob) = parties();
    let backup = alice.store.database.borrow().disk.clone();
    alice.send("bob", b"1", NOW).unwrap();
    bob.receive(NOW).unwrap();
    let alices_peer = bob.stored.messenger().peers().next().unwrap().id;
    bob.stored.name_peer(&alices_peer, b"alice", NOW, &mut bob.rng).unwrap();
    // Control: there is nothing to ask.
    bob.send("alice", b"2", NOW).unwrap();
    assert!(!bob.events.contains(&"sealed Probe".to_owned()));
    alice.store.database.borrow_mut().disk = backup;
    alice.restart();
    alice.stored.restore_backup(&mut alice.line, NOW, &mut alice.rng).unwrap();
    alice.send("bob", b"3", NOW).unwrap();
    bob.receive(NOW).unwrap();
    bob.events.clear();
    bob.send("alice", b"4", NOW).unwrap();
    assert_eq!(bob.events, ["sealed Probe", "sealed Payload", "sent to alice", "sent to alice"]);
    alice.events.clear();
    alice.receive(NOW).unwrap();
    assert!(
        alice
            .events
            .ends_with(&["control of bob", "sealed Answer", "refused NoSuchSession", "sent to bob"].map(String::from)),
        "{:?}",
        alice.events
    );
    bob.receive(NOW).unwrap();
    bob.send("alice", b"5", NOW).unwrap();
    alice.receive(NOW).unwrap();
    assert_eq!(alice.events.last(), Some(&"received 5".to_owned()));
}

#[test]
fn after_forgetting_a_peer_both_talk_again() {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"1", NOW).unwrap();
    bob.receive(NOW).unwrap();
    let alices_peer = bob.stored.messenger().peers().next().unwrap().id;
    bob.stored.name_peer(&alices_peer, b"alice", NOW, &mut bob.rng).unwrap();
    bob.send("alice", b"2", NOW).unwrap();
    alice.receive(NOW).unwrap();
    // Alice forgets Bob, and the access key of his mailbox.
    let peer = alice.peer("bob");
    alice.stored.forget(&peer, NOW, &mut alice.rng).unwrap();
    let has_key = |has: bool| hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().is_without_key = !has;
    has_key(false);
    for text in [&b"3"[..], b"4"] {
        // Control: first messages need no key, and demand no further session.
        alice.send("bob", text, NOW).unwrap();
        assert_eq!(alice.stored.messenger().needs_bundle(&alice.peer("bob"), NOW), Ok(None));
    }
    bob.receive(NOW).unwrap();
    bob.send("alice", b"lost", NOW).unwrap();
    alice.events.clear();
    alice.receive(NOW).unwrap();
    // The answer is not taken, and not kept.
    assert_eq!(alice.events, ["control of bob", "sealed Answer", "refused NoSuchSession"]);
    assert_eq!(alice.outbox(), 0);
    let later = UnixSeconds(NOW.0 + 2 * HOUR);
    alice.restart();
    alice.send("bob", b"5", later).unwrap();
    bob.receive(later).unwrap();
    assert_eq!(bob.events.last(), Some(&"received 5".to_owned()));
    bob.send("alice", b"6", later).unwrap();
    alice.receive(later).unwrap();
    assert!(alice.events.contains(&"received 6".to_owned()), "{:?}", alice.events);
    // Bob's message has brought the access key.
    has_key(true);
    alice.send("bob", b"7", later).unwrap();
    bob.receive(later).unwrap();
    assert_eq!((alice.outbox(), bob.events.last()), (0, Some(&"received 7".to_owned())));
}

#[test]
fn a_message_waits_for_the_access_key_and_a_first_message_goes_before_it() {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"1", NOW).unwrap();
    bob.receive(NOW).unwrap();
    let alices_peer = bob.stored.messenger().peers().next().unwrap().id;
    bob.stored.name_peer(&alices_peer, b"alice", NOW, &mut bob.rng).unwrap();
    bob.send("alice", b"2", NOW).unwrap();
    alice.receive(NOW).unwrap();
    let has_key = |has: bool| hub.borrow_mut().accounts.get_mut(&b"bob"[..]).unwrap().is_without_key = !has;
    has_key(false);
    alice.send("bob", b"3", NOW).unwrap();
    assert_eq!((alice.outbox(), alice.events.last().unwrap().as_str()), (1, "KeyRefused to bob"));
    let later = UnixSeconds(NOW.0 + 2 * HOUR);
    alice.send("bob", b"4", later).unwrap();
    assert_eq!(alice.outbox(), 1);
    has_key(true);
    alice.receive(later).unwrap();
    bob.receive(later).unwrap();
    // Control: both arrive, and the one that waited last.
    assert!(bob.events.ends_with(&["received 4", "received 3"].map(String::from)), "{:?}", bob.events);
}
