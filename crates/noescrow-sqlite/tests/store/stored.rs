// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stored messenger on the asynchronous store, in tasks of an asynchronous program.

use super::backend::run;
use super::cancelled::poll_once;
use super::party::{NOW, database, key, rng};
use noescrow::durable::{AsyncMailboxes, AsyncStore, OutboxMessage};
use noescrow::messenger::exchange::{Answers, AsyncEvents, AsyncServer, Delivery, Event};
use noescrow::messenger::{LOGIN_NONCE_LEN, Peer, Stored};
use noescrow::{Bundle, Device, Identity, Prekey, PrekeyId, Publication};
use noescrow_sqlite::rusqlite::Transaction;
use noescrow_sqlite::{AsyncSqliteStore, InboxMessage, Options};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use tempfile::TempDir;

#[derive(Default)]
struct Account {
    nonce: Option<[u8; LOGIN_NONCE_LEN]>,
    published: Option<Publication>,
    mail: Vec<(u64, Vec<u8>)>,
}

/// The connection of one account to a server in memory.
#[derive(Clone)]
struct Line {
    accounts: Arc<Mutex<BTreeMap<Vec<u8>, Account>>>,
    name: Vec<u8>,
}

impl Line {
    /// A request, which other tasks go before.
    async fn request<T>(&self, name: &[u8], act: impl FnOnce(&mut Account) -> T) -> io::Result<T> {
        tokio::task::yield_now().await;
        Ok(act(self.accounts.lock().unwrap().entry(name.into()).or_default()))
    }

    async fn own<T>(&self, act: impl FnOnce(&mut Account) -> T) -> io::Result<T> {
        self.request(&self.name, act).await
    }

    fn mail(&self, name: &[u8]) -> usize {
        self.accounts.lock().unwrap().get(name).map_or(0, |account| account.mail.len())
    }
}

impl AsyncServer<AsyncSqliteStore> for Line {
    type Error = io::Error;

    async fn log_in(
        &mut self,
        sign: &mut (dyn FnMut(&[u8; 32]) -> [u8; 64] + Send),
    ) -> io::Result<Option<[u8; LOGIN_NONCE_LEN]>> {
        let _ = sign(&[7; 32]);
        self.own(|account| account.nonce).await
    }

    async fn set_nonce(&mut self, nonce: &[u8; LOGIN_NONCE_LEN]) -> io::Result<()> {
        self.own(|account| account.nonce = Some(*nonce)).await
    }

    async fn prekeys(&mut self) -> io::Result<Vec<PrekeyId>> {
        let ids = |of: &Publication| of.one_time_prekeys.iter().map(Prekey::id).collect();
        self.own(|account| account.published.as_ref().map(ids).unwrap_or_default()).await
    }

    async fn withdraw(&mut self, ids: &[PrekeyId]) -> io::Result<()> {
        panic!("{} prekeys of a state that is not saved", ids.len())
    }

    async fn publish(&mut self, publication: &Publication) -> io::Result<()> {
        self.own(|account| {
            let held = account.published.take().map(|of| of.one_time_prekeys).unwrap_or_default();
            let mut all = publication.clone();
            all.one_time_prekeys.extend(held);
            account.published = Some(all);
        })
        .await
    }

    async fn bundle(&mut self, name: &[u8]) -> io::Result<Option<Bundle>> {
        self.request(name, |account| {
            let published = account.published.as_mut()?;
            let one_time = published.one_time_prekeys.pop();
            Bundle::new(published.identity, published.signed_prekey.clone(), one_time).ok()
        })
        .await
    }

    async fn identity(&mut self, name: &[u8]) -> io::Result<Option<Identity>> {
        self.request(name, |account| account.published.as_ref().map(|of| of.identity)).await
    }

    async fn deliver(
        &mut self,
        store: &mut AsyncSqliteStore,
        to: &Peer<'_>,
        message: &OutboxMessage,
    ) -> io::Result<Delivery> {
        assert!(AsyncMailboxes::was_sealed(store, &message.message_id).await.unwrap(), "it was not saved");
        self.request(to.name, |account| {
            if account.mail.iter().all(|(_, held)| *held != message.message) {
                let next = account.mail.last().map_or(0, |(number, _)| number + 1);
                account.mail.push((next, message.message.clone()));
            }
            Delivery::Taken
        })
        .await
    }

    async fn mail(&mut self, after: Option<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let is_later = |number: u64| after.is_none_or(|after| number > after);
        self.own(|account| account.mail.iter().filter(|(number, _)| is_later(*number)).cloned().collect()).await
    }

    async fn acknowledge(&mut self, numbers: &[u64]) -> io::Result<()> {
        self.own(|account| account.mail.retain(|(number, _)| !numbers.contains(number))).await
    }
}

type Boxed<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Phone {
    stored: Stored<AsyncSqliteStore>,
    line: Line,
    rng: ChaCha20Rng,
    shown: Vec<Vec<u8>>,
    folder: TempDir,
}

impl Phone {
    async fn new(line: &Line, name: &str, seed: u64) -> Self {
        let (folder, mut rng) = (tempfile::tempdir().unwrap(), rng(seed));
        let store = AsyncSqliteStore::open(database(folder.path()), Options::new()).await.unwrap();
        let device = Device::generate(NOW, &mut rng);
        let mut stored = Stored::create_async(device, store, &key(), &mut rng).await.unwrap();
        let mut line = Line { accounts: line.accounts.clone(), name: name.into() };
        drop(stored.connect_async(&mut line, NOW, &mut rng).await.unwrap());
        Self { stored, line, rng, shown: Vec::new(), folder }
    }

    fn path(&self) -> PathBuf {
        database(self.folder.path())
    }

    async fn send(&mut self, to: &str, text: &str) -> Boxed<()> {
        let Self { stored, line, rng, .. } = self;
        let mut connected = stored.connect_async(line, NOW, rng).await?;
        let peer = connected.peer_of_account_async(to.as_bytes(), NOW, rng).await?;
        connected.send_async(&peer, text.as_bytes(), NOW, rng, &mut ()).await?;
        Ok(())
    }

    async fn receive(&mut self) -> Boxed<()> {
        let Self { stored, line, rng, shown, .. } = self;
        let mut connected = stored.connect_async(line, NOW, rng).await?;
        let _ = connected.receive_async(Answers::AtOnce, NOW, rng, &mut Screen(shown)).await?;
        Ok(())
    }
}

/// Takes each message out of the inbox in one transaction, where an application has tables of its own.
struct Screen<'a>(&'a mut Vec<Vec<u8>>);

impl AsyncEvents<AsyncSqliteStore, io::Error> for Screen<'_> {
    async fn show(&mut self, stored: &mut Stored<AsyncSqliteStore>, event: Event<'_>) -> io::Result<()> {
        let Event::Received(message) = event else { return Ok(()) };
        let (sender, receiver) = mpsc::channel();
        let keep = move |_: &Transaction<'_>, message: &InboxMessage| {
            sender.send(message.plaintext.to_vec()).unwrap();
            Ok(())
        };
        stored.store().take_into(&message.message_id, keep).await.map_err(io::Error::other)?;
        self.0.extend(receiver.try_iter());
        Ok(())
    }
}

fn line() -> Line {
    Line { accounts: Arc::default(), name: Vec::new() }
}

#[test]
fn two_tasks_talk_through_a_server() {
    run(async {
        let line = line();
        let (mut alice, mut bob) = (Phone::new(&line, "alice", 1).await, Phone::new(&line, "bob", 2).await);
        let sends = tokio::spawn(async move {
            for number in 0..5 {
                alice.send("bob", &format!("text {number}")).await?;
            }
            Boxed::Ok(alice)
        });
        let receives = tokio::spawn(async move {
            while bob.shown.len() < 5 {
                bob.receive().await?;
            }
            Boxed::Ok(bob)
        });
        let (alice, bob) = (sends.await.unwrap().unwrap(), receives.await.unwrap().unwrap());
        assert_eq!(bob.shown, ["text 0", "text 1", "text 2", "text 3", "text 4"].map(|text| text.as_bytes().to_vec()));
        // Control: nothing is left anywhere.
        assert_eq!((line.mail(b"bob"), alice.stored.into_parts().1.outbox(9).await.unwrap().len()), (0, 0));
        assert!(bob.stored.into_parts().1.inbox(9).await.unwrap().is_empty());
    });
}

/// Drops a future when it has been polled so many times. Returns whether it was complete.
async fn dropped_at<T>(future: impl Future<Output = Boxed<T>>, polls: usize) -> bool {
    let (mut future, mut polled) = (pin!(future), 0);
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        future.as_mut().poll(context).map(|result| {
            result.unwrap();
            true
        })
    })
    .await
}

#[test]
fn an_exchange_that_is_dropped_at_any_wait_is_made_up_for_by_the_next() {
    run(async {
        let line = line();
        let (mut alice, mut bob) = (Phone::new(&line, "alice", 1).await, Phone::new(&line, "bob", 2).await);
        alice.send("bob", "first").await.unwrap();
        bob.receive().await.unwrap();
        let (mut polls, mut is_sent, mut is_received) = (1, false, false);
        while !(is_sent && is_received) {
            let text = format!("text {polls}");
            is_sent = dropped_at(alice.send("bob", &text), polls).await;
            is_received = dropped_at(bob.receive(), polls).await;
            alice.receive().await.unwrap();
            bob.receive().await.unwrap();
            // It was sealed or not, and if it was, it is shown once.
            let shown = bob.shown.iter().filter(|of| **of == text.as_bytes()).count();
            assert!(shown <= 1 && (shown == 1 || !is_sent), "{polls}");
            polls += 1;
        }
        // Control: the first of them were dropped, and nothing is left.
        assert!(polls > 20, "{polls}");
        assert_eq!((line.mail(b"bob"), line.mail(b"alice")), (0, 0));
        assert!(alice.stored.store().outbox(9).await.unwrap().is_empty());
    });
}

#[test]
fn a_lock_is_waited_for_beside_the_store() {
    run(async {
        let line = line();
        let mut phone = Phone::new(&line, "alice", 1).await;
        let subject = phone.stored.messenger().subject();
        let mut other = AsyncSqliteStore::open(phone.path(), Options::new()).await.unwrap();
        let held = AsyncMailboxes::exclusively(&mut other, "login").await.unwrap();
        poll_once(phone.send("bob", "text")).await;
        let mut store = phone.stored.store().clone();
        {
            let mut clone = store.clone();
            let mut waits = pin!(AsyncMailboxes::exclusively(&mut clone, "login"));
            for _ in 0..50 {
                // The store reads while the lock is waited for.
                assert!(store.revision(&subject).await.unwrap().is_some());
                poll_fn(|context| {
                    assert!(waits.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            drop(held);
            drop(waits.await.unwrap());
        }
        // Those that were dropped while they waited do not keep it.
        drop(AsyncMailboxes::exclusively(&mut store, "login").await.unwrap());
        drop(AsyncMailboxes::exclusively(&mut other, "login").await.unwrap());
    });
}
