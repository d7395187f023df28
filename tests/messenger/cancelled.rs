// SPDX-License-Identifier: MIT OR Apache-2.0
//! Futures that are dropped at every point at which they wait: nothing is lost, and nothing was released unsaved.

use super::disk::{Broken, Fault};
use super::exchange::{Party, note, parties};
use super::hub::{Down, Hub};
use super::shared::Shared;
use super::user::{NOW, key};
use super::waiting::{Gate, Stuck, block_on, poll_times};
use noescrow::durable::AsyncMailboxes;
use noescrow::messenger::exchange::{Answers, AsyncEvents, AsyncServer, Event, ExchangeFailed};
use noescrow::messenger::{Messenger, PeerId, Stored};
use rand_chacha::ChaCha20Rng;
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

/// More than any operation of these tests waits.
const PATIENCE: usize = 10_000;

/// What is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Alice sends a text.
    Sends,
    /// Bob receives two.
    Receives,
}

/// Shows events, which wait like all else.
struct Screen<'a> {
    events: &'a mut Vec<String>,
    gate: Rc<Gate>,
}

impl AsyncEvents<Shared, Down> for Screen<'_> {
    fn show(&mut self, stored: &mut Stored<Shared>, event: Event<'_>) -> impl Future<Output = Result<(), Down>> + Send {
        self.gate.pass("event", || note(self.events, stored.messenger(), &event))
    }
}

/// Does what the device's application does.
async fn act(act: Act, party: &mut Party) -> Result<(), ExchangeFailed<Down, Broken>> {
    let Party { stored, line, rng, answers, events, store, .. } = party;
    let mut screen = Screen { events, gate: store.gate.clone() };
    match act {
        Act::Sends => {
            let peer = stored.messenger().peer_named(b"bob").unwrap().id;
            let mut connected = stored.0.connect_async(line, NOW, rng).await?;
            connected.send_async(&peer, b"cut", NOW, rng, &mut screen).await.map(drop)
        }
        Act::Receives => {
            let mut connected = stored.0.connect_async(line, NOW, rng).await?;
            connected.receive_async(*answers, NOW, rng, &mut screen).await.map(drop)
        }
    }
}

fn count(party: &Party, event: &str) -> usize {
    party.events.iter().filter(|of| *of == event).count()
}

/// The messages that wait at the server.
fn mail(hub: &Rc<RefCell<Hub>>, name: &str) -> Vec<Vec<u8>> {
    hub.borrow().accounts[name.as_bytes()].mail.iter().map(|(_, message)| message.clone()).collect()
}

/// Drops the future of an act at the wait number `at`. Returns the name of the operation that it waited for, or `None`
/// if the act was complete before, or what is wrong. If `lies`, the store says that it has written what it has not.
fn cut(interrupted: Act, at: usize, stuck: Stuck, restarts: bool, lies: bool) -> Result<Option<&'static str>, String> {
    let (hub, mut alice, mut bob) = parties();
    alice.send("bob", b"first", NOW).unwrap();
    if interrupted == Act::Sends {
        bob.receive(NOW).unwrap();
    } else {
        alice.send("bob", b"second", NOW).unwrap();
    }
    let party = if interrupted == Act::Sends { &mut alice } else { &mut bob };
    let gate = party.store.gate.clone();
    gate.begun.borrow_mut().clear();
    gate.stuck.set(Some((at, stuck)));
    party.store.set_faults(if lies { &[Fault::FalseSuccess; 99] } else { &[] });
    let is_complete = poll_times(act(interrupted, party), PATIENCE).is_some();
    gate.stuck.set(None);
    party.store.set_faults(&[]);
    let begun = gate.begun.borrow()[at.min(gate.begun.borrow().len() - 1)];
    if restarts {
        party.restart();
    }
    // Nothing was released unsaved: what has left the device is what the store has.
    let sealed = party.store.database.borrow().disk.outbox.clone();
    if interrupted == Act::Sends && mail(&hub, "bob").iter().any(|message| !sealed.contains(message)) {
        return Err("a message was sent that is not saved".into());
    }
    party.line.requests.clear();
    party.receive(NOW).map_err(|error| format!("not received: {error}"))?;
    if party.line.requests.iter().any(|(request, _)| *request == "withdraw") {
        return Err("a prekey was published that is not saved".into());
    }
    // Nothing is lost: the device still sends, and every sealed text arrives once.
    let sealed = sealed.len();
    alice.send("bob", b"next", NOW).map_err(|error| format!("not sent: {error}"))?;
    bob.receive(NOW).map_err(|error| format!("not received: {error}"))?;
    let shown = ["first", "second", "cut", "next"].map(|text| count(&bob, &format!("received {text}")));
    let expected = match interrupted {
        Act::Sends => [1, 0, sealed - 1, 1],
        Act::Receives => [1, 1, 0, 1],
    };
    // A message that was shown, and not taken from the inbox, is shown once more.
    let is_shown_again = matches!(begun, "event" | "take") && shown.iter().sum::<usize>() == 4;
    if shown != expected && !(interrupted == Act::Receives && is_shown_again) {
        return Err(format!("shown {shown:?}, not {expected:?}"));
    }
    Ok((!is_complete).then_some(begun))
}

/// Cuts an act at every wait. Returns what it has waited for.
fn cut_everywhere(interrupted: Act, lies: bool) -> Result<Vec<&'static str>, String> {
    let mut waited = Vec::new();
    for stuck in [Stuck::Before, Stuck::After] {
        for restarts in [false, true] {
            for at in 0.. {
                let cut = cut(interrupted, at, stuck, restarts, lies);
                match cut.map_err(|error| format!("{stuck:?} operation {at} of {interrupted:?}: {error}"))? {
                    Some(name) => waited.push(name),
                    None => break,
                }
            }
        }
    }
    Ok(waited)
}

#[test]
fn a_future_dropped_at_any_wait_loses_nothing_and_releases_nothing_unsaved() {
    for (interrupted, operations) in [
        (Act::Sends, &["exclusively", "log_in", "commit", "set_nonce", "publish", "load", "deliver", "event"][..]),
        (Act::Receives, &["mail", "load", "commit", "inbox", "event", "take", "acknowledge mail"]),
    ] {
        let waited = cut_everywhere(interrupted, false).unwrap();
        assert!(operations.iter().all(|name| waited.contains(name)), "{waited:?}");
        // Control: a store that lets a step be released before it is saved.
        assert!(cut_everywhere(interrupted, true).is_err(), "{interrupted:?}");
    }
}

#[test]
fn a_lock_is_released_by_a_future_that_is_dropped() {
    let (_, mut alice, _) = parties();
    let (gate, locks) = (alice.store.gate.clone(), alice.store.locks.clone());
    for at in 0..4 {
        gate.begun.borrow_mut().clear();
        gate.stuck.set(Some((at, Stuck::After)));
        {
            let mut future = pin!(act(Act::Receives, &mut alice));
            let mut context = Context::from_waker(Waker::noop());
            (0..PATIENCE).for_each(|_| assert!(future.as_mut().poll(&mut context).is_pending()));
            // Control: it holds the lock until then.
            assert!(locks.lock().unwrap().contains("login"), "{at}");
        }
        gate.stuck.set(None);
        assert!(locks.lock().unwrap().is_empty(), "{at}");
        alice.receive(NOW).unwrap();
    }
}

#[test]
fn a_messenger_is_loaded_as_of_one_moment() {
    let (_, mut alice, _) = parties();
    alice.stored.find_or_add_peer(b"carol", NOW, &mut alice.rng).unwrap();
    let (subject, key, rng) = (alice.subject, key(), &mut alice.rng);
    let has_carol = |store: Shared, rng: &mut ChaCha20Rng| {
        let loaded = block_on(Stored::load_async(store, &key, &subject, rng)).unwrap();
        loaded.messenger().peer_named(b"carol").is_some()
    };
    // Control: nobody else saves a step.
    let store = alice.store.of_another_process();
    assert!(has_carol(store.clone(), rng));
    let loads = store.gate.begun.borrow().len();
    for at in 0..loads {
        let [store, other] = [Shared::new(alice.store.database.borrow().disk.clone()), Shared::default()];
        let other = Shared { database: store.database.clone(), ..other };
        let forget = move || {
            let mut rng = other.rng();
            let mut other = Stored::load(other, &super::user::key(), &subject, &mut rng).unwrap();
            let carol = other.messenger().peer_named(b"carol").unwrap().id;
            other.forget(&carol, NOW, &mut rng).unwrap();
        };
        *store.gate.meanwhile.borrow_mut() = Some((at, Box::new(forget)));
        assert!(!has_carol(store, rng), "{at}");
    }
}

#[test]
fn a_future_holds_no_copy_of_the_messenger() {
    let (_, mut alice, _) = parties();
    let (store, key) = (alice.store.clone(), key());
    let load = Stored::load_async(store, &key, &alice.subject, &mut alice.rng);
    assert!(size_of_val(&load) < size_of::<Messenger>(), "{}", size_of_val(&load));
    let loaded = block_on(load).unwrap();
    // Control: one that waits while it has the messenger.
    let waits = async move {
        std::future::ready(()).await;
        loaded
    };
    assert!(size_of_val(&waits) >= size_of::<Messenger>());
    // Every step that loads the messenger again does it in this one.
    let refresh = alice.stored.0.refresh_async(&mut alice.rng);
    assert!(size_of_val(&refresh) < size_of::<Messenger>(), "{}", size_of_val(&refresh));
}

/// Compiles only if the futures can be sent to another thread.
fn futures_are_send<S, V>(stored: &mut Stored<S>, server: &mut V, rng: &mut ChaCha20Rng)
where
    S: AsyncMailboxes<Error: Send> + Send,
    V: AsyncServer<S, Error: Send> + Send,
{
    fn is_send(_: impl Send) {}
    is_send(stored.seal_async(&PeerId::from_bytes([1; 16]), b"text", None, NOW, rng));
    is_send(stored.open_async(b"message", NOW, rng));
    is_send(stored.restore_backup_async(server, NOW, rng));
    is_send(async move {
        let mut connected = stored.connect_async(server, NOW, rng).await.ok()?;
        connected.send_async(&PeerId::from_bytes([1; 16]), b"text", NOW, rng, &mut ()).await.ok()?;
        connected.receive_async(Answers::Never, NOW, rng, &mut Keeps).await.ok()
    });
}

/// Waits for the store.
struct Keeps;

impl<S: AsyncMailboxes<Error: Send> + Send, E: Send> AsyncEvents<S, E> for Keeps {
    async fn show(&mut self, stored: &mut Stored<S>, event: Event<'_>) -> Result<(), E> {
        if let Event::Received(message) = event {
            stored.store().was_sealed(&message.message_id).await.ok();
        }
        Ok(())
    }
}
