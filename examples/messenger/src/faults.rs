// SPDX-License-Identifier: MIT OR Apache-2.0
//! For the scenarios: doubles of the client's store and server, which fail on demand and leave remedies out. They replace
//! the types of the same names with the feature `faults`.
//!
//! `NOESCROW_FAULT` has the form `KIND:K`, and concerns the K-th commit of the process, from 1:
//!
//! | kind | the commit |
//! |---|---|
//! | `fail` | is not done, and is reported as not committed |
//! | `lie` | is done, and its outcome is reported as unknown |
//! | `lost` | is not done, and its outcome is reported as unknown |
//! | `abort` | is done, and then the process ends |
//! | `abort-before` | is not done: the process ends |
//!
//! A fault that has happened is printed to standard error.
//!
//! `NOESCROW_WITHOUT` has remedies that are left out, separated by commas:
//!
//! | remedy | without it |
//! |---|---|
//! | `save-before-send` | a message is saved when the server has it |
//! | `resend` | the outbox of an earlier process is not sent |
//! | `settle` | an unknown outcome is taken for success |
//! | `stale` | another process' state is taken for one's own |
//! | `witness` | a backup is not noticed by the witness |
//! | `nonce` | nor by the login nonce |
//! | `withdraw` | prekeys that the device does not have stay at the server |
//! | `maintain` | nothing is published after the registration |
//! | `mark` | what was not uploaded is taken for published |
//! | `save-before-ack` | mail is acknowledged before it is opened |
//! | `accept` | another identity of a peer is accepted in silence |
//! | `acknowledge` | what the server has taken stays in the outbox |
//! | `refusal` | what a refused message shows is not saved |
//! | `login` | a login that fails is taken for one |
//! | `claims` | a stranger gets the name that he claims |
//! | `content` | content that does not parse ends the command |
//! | `access` | a message whose access key is refused is given up |
//! | `resume` | a transfer that was cut begins again |
//!
//! `--now` is the time in seconds since 1970, in place of the clock's.

use crate::content::Content;
use crate::requests::{Failure, Remote, Status, Transport};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use noescrow::attachment::{Download, Upload};
use noescrow::durable::{
    Batch, CommitError, Exclusive, InboxMessage, Mailboxes, MessageId, OutboxMessage, Revision, Row, Store as _,
    Subject,
};
use noescrow::messenger::exchange::{self, Delivery, Event};
use noescrow::messenger::{LOGIN_NONCE_LEN, Peer, PeerId, Stored};
use noescrow::{Bundle, Identity, PrekeyId, Publication, UnixSeconds};
use noescrow_sqlite::rusqlite::Connection;
use noescrow_sqlite::{Error, Options, SqliteStore};
use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::env::{args, var};
use std::io;
use std::mem::{replace, swap};
use std::ops::{Deref, DerefMut};
use std::process::abort;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Whether a remedy is left out.
fn without(remedy: &str) -> bool {
    var("NOESCROW_WITHOUT").is_ok_and(|remedies| remedies.split(',').any(|of| of == remedy))
}

/// The arguments that the client has besides its own.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub struct FaultArguments {
    /// The time, in seconds since 1970, in place of the clock's.
    #[arg(long)]
    now: Option<u64>,
}

/// The time.
pub fn now() -> UnixSeconds {
    static NOW: OnceLock<Option<u64>> = OnceLock::new();
    let since = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(UnixSeconds::from).unwrap_or_default();
    NOW.get_or_init(|| args().skip_while(|of| of != "--now").nth(1)?.parse().ok()).map_or_else(since, UnixSeconds)
}

/// A [`SqliteStore`] that fails on demand.
pub struct FaultyStore {
    inner: SqliteStore,
    /// Kind and number of the commit that fails.
    fault: Option<(String, u64)>,
    commits: u64,
    /// Ids of the messages that this process has sealed.
    sealed: BTreeSet<MessageId>,
    /// The step that is saved after its message is sent, without `save-before-send`.
    unsaved: Option<Batch>,
}

/// Returns the options with which the client opens its store.
pub fn options(options: Options) -> Options {
    if without("witness") { options.without_witness() } else { options }
}

impl From<SqliteStore> for FaultyStore {
    fn from(inner: SqliteStore) -> Self {
        let fault = var("NOESCROW_FAULT").ok();
        let fault = fault.as_deref().and_then(|fault| fault.split_once(':'));
        let fault = fault.and_then(|(kind, number)| Some((kind.to_owned(), number.parse().ok()?)));
        Self { inner, fault, commits: 0, sealed: BTreeSet::new(), unsaved: None }
    }
}

impl FaultyStore {
    fn save_unsaved(&mut self) -> Result<(), CommitError<Error>> {
        self.unsaved.take().map_or(Ok(()), |batch| self.commit_or_fail(batch))
    }

    /// Commits, unless this is the commit that fails.
    fn commit_or_fail(&mut self, batch: Batch) -> Result<(), CommitError<Error>> {
        self.commits = self.commits.saturating_add(1);
        let fault = self.fault.as_ref().filter(|(_, number)| *number == self.commits);
        let Some((kind, number)) = fault else { return self.inner.commit(batch) };
        eprintln!("fault: {kind}:{number}");
        let error = || Error::Witness(io::Error::other("the store fails on demand"));
        match kind.as_str() {
            "fail" => Err(CommitError::NotCommitted(error())),
            "lost" => Err(CommitError::Unknown(error())),
            "lie" => self.inner.commit(batch).and(Err(CommitError::Unknown(error()))),
            "abort" => {
                let _ = self.inner.commit(batch);
                abort()
            }
            _ => abort(),
        }
    }
}

impl noescrow::durable::Store for FaultyStore {
    type Error = Error;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Error> {
        self.inner.load(subject)
    }

    fn reading<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        // In the inner store's transaction, `read` needs this store: the two change places, and back.
        let placeholder = Options::new().open_connection(Connection::open_in_memory()?)?;
        let mut inner = replace(&mut self.inner, placeholder);
        let result = inner.reading(|inner| {
            swap(inner, &mut self.inner);
            let result = read(self);
            swap(inner, &mut self.inner);
            result
        });
        self.inner = inner;
        result
    }

    fn revision(&mut self, subject: &Subject) -> Result<Option<Revision>, Error> {
        self.inner.revision(subject)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Error>> {
        self.sealed.extend(batch.sent.as_ref().map(|sent| sent.message_id));
        self.save_unsaved()?;
        let is_about_peers = batch.changes.iter().any(|change| PeerId::from_subject(&change.subject).is_some());
        if without("refusal") && is_about_peers && batch.sent.is_none() && batch.received.is_none() {
            return Ok(());
        }
        if without("save-before-send") && batch.sent.is_some() {
            self.unsaved = Some(batch);
            return Ok(());
        }
        match self.commit_or_fail(batch) {
            Err(CommitError::Unknown(_)) if without("settle") => Ok(()),
            Err(CommitError::Stale) if without("stale") => Ok(()),
            committed => committed,
        }
    }
}

impl Mailboxes for FaultyStore {
    fn inbox(&mut self, limit: usize) -> Result<Vec<InboxMessage>, Error> {
        self.inner.inbox(limit)
    }

    fn take(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        self.inner.take(message_id)
    }

    fn outbox_after(&mut self, after: Option<u64>, limit: usize) -> Result<Vec<OutboxMessage>, Error> {
        let mut outbox = self.inner.outbox_after(after, limit)?;
        let unsaved = self.unsaved.iter().filter_map(|batch| batch.sent.clone());
        outbox.extend(unsaved.map(|sent| OutboxMessage::of(u64::MAX, sent)));
        if without("resend") {
            outbox.retain(|message| self.sealed.contains(&message.message_id));
        }
        Ok(outbox)
    }

    fn acknowledge(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        let _ = self.save_unsaved();
        if without("acknowledge") { Ok(true) } else { self.inner.acknowledge(message_id) }
    }

    fn was_sealed(&mut self, message_id: &MessageId) -> Result<bool, Error> {
        self.inner.was_sealed(message_id)
    }

    fn exclusively(&mut self, name: &str) -> Result<Exclusive, Error> {
        self.inner.exclusively(name)
    }
}

impl Borrow<SqliteStore> for FaultyStore {
    fn borrow(&self) -> &SqliteStore {
        &self.inner
    }
}

/// For the client's own tables, which do not fail.
impl Deref for FaultyStore {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.inner
    }
}

impl DerefMut for FaultyStore {
    fn deref_mut(&mut self) -> &mut SqliteStore {
        &mut self.inner
    }
}

/// The server, and a client that leaves out what it should do there.
pub struct FaultyServer<T> {
    inner: Remote<T>,
    /// False after a login that has failed and is taken for one.
    has_logged_in: bool,
}

impl<T> From<Remote<T>> for FaultyServer<T> {
    fn from(inner: Remote<T>) -> Self {
        Self { inner, has_logged_in: true }
    }
}

impl<T: Transport> FaultyServer<T> {
    pub fn upload(&mut self, id: &[u8; 16], file: &mut Upload) -> Result<(), Failure> {
        if without("resume") {
            // What the server has is sent once more, which it refuses.
            self.inner.upload_again(id, file)?;
        }
        self.inner.upload(id, file)
    }

    pub fn download(&mut self, id: &[u8; 16], file: &mut Download) -> Result<(), Failure> {
        if without("resume") {
            self.inner.download_again(id, file)?;
        }
        self.inner.download(id, file)
    }

    /// Requests as the owner fail without a login.
    fn logged_in<R: Default>(&mut self, made: impl FnOnce(&mut Remote<T>) -> Result<R, Failure>) -> Result<R, Failure> {
        if self.has_logged_in { made(&mut self.inner) } else { Ok(R::default()) }
    }
}

impl<T> Deref for FaultyServer<T> {
    type Target = Remote<T>;

    fn deref(&self) -> &Remote<T> {
        &self.inner
    }
}

impl<T> DerefMut for FaultyServer<T> {
    fn deref_mut(&mut self) -> &mut Remote<T> {
        &mut self.inner
    }
}

impl<T: Transport> exchange::Server<FaultyStore> for FaultyServer<T> {
    type Error = Failure;

    fn log_in(
        &mut self,
        sign: &mut dyn FnMut(&[u8; 32]) -> [u8; 64],
    ) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, Failure> {
        let nonce = exchange::Server::<FaultyStore>::log_in(&mut self.inner, sign);
        let has_answered = nonce.as_ref().map_or_else(|error| Status::of(error).is_some(), |_| true);
        self.has_logged_in = has_answered || !without("login");
        let nonce = if self.has_logged_in { nonce? } else { None };
        Ok(nonce.filter(|_| !without("nonce")))
    }

    fn set_nonce(&mut self, nonce: &[u8; LOGIN_NONCE_LEN]) -> Result<(), Failure> {
        self.logged_in(|inner: &mut Remote<T>| exchange::Server::<FaultyStore>::set_nonce(inner, nonce))
    }

    fn prekeys(&mut self) -> Result<Vec<PrekeyId>, Failure> {
        self.logged_in(exchange::Server::<FaultyStore>::prekeys)
    }

    fn withdraw(&mut self, ids: &[PrekeyId]) -> Result<(), Failure> {
        if without("withdraw") {
            return Ok(());
        }
        self.logged_in(|inner| exchange::Server::<FaultyStore>::withdraw(inner, ids))
    }

    fn publish(&mut self, publication: &Publication) -> Result<(), Failure> {
        if without("mark") || without("maintain") {
            return Ok(());
        }
        self.logged_in(|inner| exchange::Server::<FaultyStore>::publish(inner, publication))
    }

    fn bundle(&mut self, name: &[u8]) -> Result<Option<Bundle>, Failure> {
        exchange::Server::<FaultyStore>::bundle(&mut self.inner, name)
    }

    fn identity(&mut self, name: &[u8]) -> Result<Option<Identity>, Failure> {
        exchange::Server::<FaultyStore>::identity(&mut self.inner, name)
    }

    fn deliver(
        &mut self,
        store: &mut FaultyStore,
        to: &Peer<'_>,
        message: &OutboxMessage,
    ) -> Result<Delivery, Failure> {
        let delivery = self.inner.deliver(store, to, message)?;
        Ok(if delivery == Delivery::KeyRefused && without("access") { Delivery::Never } else { delivery })
    }

    fn mail(&mut self, after: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let page = exchange::Server::<FaultyStore>::mail(&mut self.inner, after)?;
        if without("save-before-ack") && !page.is_empty() {
            let numbers: Vec<u64> = page.iter().map(|(number, _)| *number).collect();
            exchange::Server::<FaultyStore>::acknowledge(&mut self.inner, &numbers)?;
        }
        Ok(page)
    }

    fn acknowledge(&mut self, numbers: &[u64]) -> Result<(), Failure> {
        exchange::Server::<FaultyStore>::acknowledge(&mut self.inner, numbers)
    }
}

/// Decides for the user, as a faulty client does. Returns whether the event is hidden from the user.
///
/// # Errors
/// Content that does not parse, without `content`; those of the store.
pub fn act(stored: &mut Stored<FaultyStore>, event: &Event<'_>) -> Result<bool, Failure> {
    let mut rng = UnwrapErr(SysRng);
    match event {
        Event::Received(message) if message.control.is_none() => {
            let content = Content::parse(&message.plaintext);
            if without("content") && content.is_none() {
                return Err("not a content".into());
            }
            let peer = message.peer.as_ref().and_then(PeerId::from_subject);
            if let (Some(peer), Some(content)) = (peer, content)
                && without("claims")
            {
                let _ = stored.name_peer(&peer, content.from.as_bytes(), now(), &mut rng);
            }
        }
        Event::Claimed(peer) if without("accept") => {
            let messenger = stored.messenger();
            let claimed = messenger.peer(peer).and_then(|peer| peer.claimed);
            let number = claimed.map(|claimed| messenger.safety_number(claimed).to_string()).unwrap_or_default();
            stored.accept(peer, &number, now(), &mut rng, |_| {})?;
            return Ok(true);
        }
        _ => {}
    }
    Ok(false)
}
