// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messenger of one account: every step is saved before anything of it is sent, shown or acknowledged.

use super::faults::{Store, open_store, without};
use super::http::{Server, Status};
use super::payload::{Attached, Content};
use data_encoding::HEXLOWER;
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use noescrow::durable::{CommitError, LoadError, MESSAGE_ID_LEN, SaveFailed, Subject, Unsaved};
use noescrow::messenger::{Messenger, Outgoing, PeerError, PeerId, SealError};
use noescrow::primitives::RustCrypto;
use noescrow::{AccessKey, Bundle, Identity, Payload, StorageKey, UnixSeconds};
use noescrow_messenger::{Claim, RECOVERY_CODE_LEN, decode_ids, encode_ids, sha256};
use noescrow_sqlite::rusqlite::{Connection, OptionalExtension};
use noescrow_sqlite::{Options, SideFile};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

pub type Failure = Box<dyn Error>;

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;
/// How often a step is saved again whose commit has failed.
const SAVE_AGAIN: usize = 3;
/// How often a state is loaded again that another process may have changed while it was read.
const LOAD_AGAIN: usize = 3;
/// The tables of the application: what a correspondent's server asks for, and keys of files that were not fetched yet.
const TABLES: &str = "PRAGMA secure_delete = ON;
    CREATE TABLE IF NOT EXISTS access (identity BLOB PRIMARY KEY, key TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS attached (id TEXT PRIMARY KEY, key TEXT NOT NULL, size INTEGER NOT NULL);";

/// What is in `account.json`.
#[derive(Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    pub server: String,
    pub subject: String,
    pub access_key: String,
    pub recovery_code: String,
}

/// The account with its messenger, its store and its server.
pub struct App {
    pub home: PathBuf,
    pub account: Account,
    key: StorageKey,
    pub store: Store,
    pub messenger: Messenger,
    pub server: Server,
    /// The application's own connection to the database.
    pub tables: Connection,
    /// What to tell the user when a message has been sent.
    sealed: HashMap<[u8; MESSAGE_ID_LEN], Value>,
}

/// The time that `--now` sets.
pub static NOW: OnceLock<u64> = OnceLock::new();

pub fn now() -> UnixSeconds {
    let since = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(UnixSeconds::from).unwrap_or_default();
    NOW.get().map_or_else(since, |now| UnixSeconds(*now))
}

pub const fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

pub fn emit(event: &Value) {
    println!("{event}");
}

/// The store, in which ids expire by our clock. Its witness tells it from a backup.
pub fn options(witness: Option<&Path>) -> Options {
    let options = Options::new().clock(now);
    witness.map_or_else(|| Options::new().clock(now), |witness| options.witness(SideFile::new(witness)))
}

fn load(store: &mut Store, key: &StorageKey, subject: &Subject) -> Result<Messenger, Failure> {
    let mut attempts = 0..LOAD_AGAIN;
    loop {
        // The store's witness knows the newest generation.
        match Messenger::load(store, key, subject, 0, &mut rng()) {
            Err(LoadError::Refused(_)) if attempts.next().is_some() => {}
            loaded => return Ok(loaded?),
        }
    }
}

impl App {
    /// Opens what [`create`](super::create) has made.
    pub fn open(home: &Path, server: Option<&str>, options: Options) -> Result<Self, Failure> {
        let account: Account = serde_json::from_slice(&fs::read(home.join("account.json"))?)?;
        let key = fs::read(home.join("storage.key"))?.try_into().map_err(|_| "storage.key is damaged")?;
        let (key, path) = (StorageKey::new(key), home.join("messenger.db"));
        let mut store = open_store(options, &path)?;
        let subject = Subject::from_bytes(&HEXLOWER.decode(account.subject.as_bytes())?)?;
        let messenger = load(&mut store, &key, &subject)?;
        let server = Server::new(server.unwrap_or(&account.server), &account.name);
        let tables = Connection::open(path)?;
        tables.execute_batch(TABLES)?;
        Ok(Self { home: home.into(), account, key, store, messenger, server, tables, sealed: HashMap::new() })
    }

    /// Loads the messenger again. Returns whether another process has saved a step since it was loaded.
    fn reload(&mut self) -> Result<bool, Failure> {
        let loaded = load(&mut self.store, &self.key, &self.messenger.subject())?;
        let is_newer = loaded.generation() > self.messenger.generation();
        // What was refused is noted in memory, and lost with it, unless there is a newer state.
        if is_newer || !self.messenger.is_saved() {
            self.messenger = loaded;
        }
        Ok(is_newer)
    }

    /// Makes a step and saves it. Only then its outcome is released.
    pub fn step<T>(
        &mut self,
        mut make: impl for<'a> FnMut(&'a mut Messenger, &mut Store) -> Result<Unsaved<'a, T>, Failure>,
    ) -> Result<T, Failure> {
        loop {
            let mut saved = match make(&mut self.messenger, &mut self.store) {
                Ok(unsaved) => unsaved.save(&mut self.store),
                // What another process has opened or begun meanwhile is not known here.
                Err(error) => match self.reload()? {
                    true => continue,
                    false => return Err(error),
                },
            };
            for _ in 0..SAVE_AGAIN {
                match saved {
                    // If it was saved after all, the store recognizes it.
                    Err(SaveFailed { unsaved, error: CommitError::NotCommitted(_) | CommitError::Unknown(_) }) => {
                        saved = unsaved.save(&mut self.store);
                    }
                    Ok(_) | Err(_) => break,
                }
            }
            let unsaved = match saved {
                Ok(outcome) => return Ok(outcome),
                Err(SaveFailed { unsaved, error: CommitError::Stale }) => unsaved,
                Err(failed) => return Err(failed.error.into()),
            };
            // Another process has saved a step. This one is lost, unless it was saved before that: then it is not repeated.
            let outbox = self.store.outbox(usize::MAX)?;
            let sent = unsaved.batch().and_then(|batch| batch.sent);
            let outcome = match sent.is_some_and(|sent| outbox.iter().any(|of| of.message_id == sent.message_id)) {
                true => unsaved.settle(Ok::<(), CommitError<Infallible>>(())).ok(),
                false => None,
            };
            self.reload()?;
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    /// Takes a lock: under `login.lock` the server learns of nonces and prekeys in the order in which they were saved; under
    /// `outbox.lock` one process sends.
    fn lock(&self, name: &str) -> Result<File, Failure> {
        let file = File::create(self.home.join(name))?;
        file.lock()?;
        Ok(file)
    }

    /// Logs in, and does what is due each day. An error of the connection leaves nothing undone that the next time does
    /// not do.
    pub fn connect(&mut self) -> Result<(), Failure> {
        let lock = self.lock("login.lock")?;
        let nonce = self.server.log_in(|challenge| self.messenger.sign_login(challenge))?;
        let nonce = nonce.filter(|_| !without("nonce"));
        let offered = self.step(|messenger, _| Ok(messenger.login(nonce.as_ref(), now(), &mut rng())?))?;
        self.server.own("PUT", "/nonce", &offered)?;
        drop(lock);
        if without("maintain") { Ok(()) } else { self.maintain() }
    }

    /// Makes the prekeys that are due, and uploads what the server lacks.
    pub fn maintain(&mut self) -> Result<(), Failure> {
        let _lock = self.lock("login.lock")?;
        // Prekeys of another process are not withdrawn.
        self.reload()?;
        let listed = decode_ids(&self.server.own("GET", "/prekeys", b"")?).ok_or("not a list of prekeys")?;
        let unknown: Vec<u32> = self.messenger.unknown_one_time_prekeys(&listed).collect();
        if !unknown.is_empty() && !without("withdraw") {
            self.server.own("POST", "/prekeys/withdraw", &encode_ids(&unknown))?;
        }
        let publication = self.step(|messenger, _| Ok(messenger.maintain(now(), &listed, &mut rng())?))?;
        if !without("mark") {
            self.server.own("PUT", "/prekeys", &publication.to_bytes())?;
        }
        self.step(|messenger, _| Ok(messenger.mark_published(now())?))
    }

    /// Sends what is in the outbox, oldest first. What one server refuses does not keep back the others' mail.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let _lock = self.lock("outbox.lock")?;
        self.upload_all()?;
        self.reload()?;
        let mut refused = Ok(());
        for message in self.store.outbox(usize::MAX)? {
            let peer = message.peer.as_ref().and_then(PeerId::from_subject).and_then(|id| self.messenger.peer(&id));
            let Some(peer) = peer else { continue };
            let id = peer.id;
            let to = String::from_utf8_lossy(peer.name).into_owned();
            let identity = peer.identity.map(keys_of).unwrap_or_default();
            let access =
                self.tables.query_row("SELECT key FROM access WHERE identity = ?1", [identity], |row| row.get(0));
            let access: Option<String> = access.optional()?;
            match self.server.deliver(&to, &message.message, &access.unwrap_or_default()) {
                Err(error) if error.is::<Status>() => refused = Err(self.refused(id, &to, error)?),
                delivered => {
                    delivered?;
                    self.store.acknowledge(&message.message_id)?;
                    let id = HEXLOWER.encode(&message.message_id);
                    let mut event = json!({"event": "sent", "recovers_from": null});
                    event = self.sealed.remove(&message.message_id).unwrap_or(event);
                    (event["to"], event["id"]) = (to.into(), id.into());
                    emit(&event);
                }
            }
        }
        refused
    }

    /// Finds out why a server refuses a message: without the access key, because the account has another device now.
    fn refused(&mut self, peer: PeerId, name: &str, error: Failure) -> Result<Failure, Failure> {
        let pinned = self.messenger.peer(&peer).and_then(|peer| peer.identity).map(keys_of);
        if !matches!(error.downcast_ref(), Some(Status(403, _))) || pinned.is_none() {
            return Ok(error);
        }
        let identity = *Bundle::from_bytes(&RustCrypto, &self.server.bundle(name)?)?.identity();
        if pinned == Some(keys_of(&identity)) {
            return Ok(error);
        }
        self.step(|messenger, _| Ok(messenger.claim_identity(&peer, &identity, now())?))?;
        Ok(SealError::IdentityChanged.into())
    }

    /// Removes what was sealed for the device of a peer that is gone, and says so.
    pub fn give_up(&mut self, peer: PeerId) -> Result<(), Failure> {
        let _lock = self.lock("outbox.lock")?;
        for message in self.store.outbox(usize::MAX)? {
            if message.peer.as_ref().and_then(PeerId::from_subject) == Some(peer) {
                let id = HEXLOWER.encode(&message.message_id);
                emit(&json!({"event": "undelivered", "to": self.name_of(&peer), "id": id, "remedy": "send it again"}));
                self.store.acknowledge(&message.message_id)?;
            }
        }
        Ok(())
    }

    /// The content of a message to anybody.
    pub fn content(&self, text: Option<&str>, file: Option<Attached>) -> Result<Vec<u8>, Failure> {
        let (from, access) = (self.account.name.clone(), self.account.access_key.clone());
        Ok(serde_json::to_vec(&Content { from, access, text: text.map(str::to_owned), file })?)
    }

    /// Seals a message for a peer, on a new session if one is needed.
    pub fn seal(&mut self, peer: PeerId, content: &[u8]) -> Result<(), Failure> {
        // The user writes, so the peer may know that this device is there.
        if self.messenger.route_to_probe(&peer).is_ok() {
            let probe = self.probe(peer);
            self.unasked("probed", probe)?;
        }
        let payload = Payload { plaintext: content, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
        let (server, mut fetched) = (self.server.clone(), None);
        let sealed = self.step(|messenger, store| {
            let loaded = messenger.route_to(&peer)?.load(store)?;
            let record = messenger.peer(&peer).ok_or(SealError::UnknownPeer)?;
            let (name, can_send) = (String::from_utf8_lossy(record.name).into_owned(), record.can_send);
            if messenger.needs_bundle(&peer, now())?.is_none() {
                return Ok(messenger.seal(&peer, payload, loaded, now(), &mut rng())?);
            }
            // A step that is repeated was lost, and its bundle is unused.
            let bundle = match &mut fetched {
                Some(bundle) => Ok(bundle),
                None => server.bundle(&name).map(|bundle| fetched.insert(bundle)),
            };
            let bundle = bundle.and_then(|bytes| Ok(Bundle::from_bytes(&RustCrypto, bytes)?));
            match bundle {
                Ok(bundle) if bundle.signed_prekey().expiry() >= now() || !can_send => Ok(messenger
                    .seal_with_bundle(&peer, payload, bundle, now(), &mut rng())
                    .map_err(SealError::from)?),
                // Better on an old session than not at all.
                Ok(_) | Err(_) if can_send => {
                    Ok(messenger.seal_on_session(&peer, payload, loaded, now(), &mut rng())?)
                }
                bundle => Err(bundle.err().unwrap_or_else(|| "no bundle".into())),
            }
        });
        // What the bundle has shown is to be known to the next process, too.
        if let Some(claimed) = self.messenger.peer(&peer).and_then(|peer| peer.claimed.copied()) {
            self.step(|messenger, _| Ok(messenger.claim_identity(&peer, &claimed, now())?))?;
            if without("accept") {
                self.step(|messenger, _| Ok(messenger.accept_identity(&peer, &claimed, now())?))?;
                return self.seal(peer, content);
            }
        }
        let sealed = sealed?;
        let reason = sealed.recovers_from.map(|reason| format!("{reason:?}"));
        self.sealed.insert(sealed.message_id, json!({"event": "sent", "recovers_from": reason}));
        Ok(())
    }

    /// Seals a probe for the peer's session that is on probation.
    pub fn probe(&mut self, peer: PeerId) -> Result<Outgoing, Failure> {
        self.step(|messenger, store| {
            let loaded = messenger.route_to_probe(&peer)?.load(store)?;
            Ok(messenger.seal_probe(&peer, loaded, now(), &mut rng())?)
        })
    }

    /// Takes note of a message that nobody has asked for. If it cannot be sealed now, nothing is lost.
    pub fn unasked(&mut self, event: &str, sealed: Result<Outgoing, Failure>) -> Result<(), Failure> {
        match sealed {
            Ok(sealed) => drop(self.sealed.insert(sealed.message_id, json!({"event": event}))),
            Err(error) if matches!(error.downcast_ref(), Some(SealError::Suspect(_)) | None) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Opens the account at the server with this device's first prekeys, or takes it with its recovery code.
    pub fn publish_first(&mut self, old_code: Option<&[u8; RECOVERY_CODE_LEN]>) -> Result<(), Failure> {
        let access =
            HEXLOWER.decode(self.account.access_key.as_bytes())?.try_into().map_err(|_| "not an access key")?;
        let access = &AccessKey::from_bytes(access).hash().to_bytes();
        let code = &sha256(&HEXLOWER.decode(self.account.recovery_code.as_bytes())?);
        // The server has nothing yet.
        let publication = &self.step(|messenger, _| Ok(messenger.maintain(now(), &[], &mut rng())?))?.to_bytes()[..];
        let (method, path, claim) = match old_code {
            None => ("PUT", "", Claim::Open { access, code, publication }),
            Some(old_code) => ("POST", "/recover", Claim::Recover { old_code, access, code, publication }),
        };
        let sign = |challenge: &[u8; 32]| self.messenger.sign_login(challenge);
        self.server.own(method, path, &claim.encode(&self.server.name()?, &self.account.name, sign))?;
        self.connect()
    }

    /// Returns a peer by its name, with its identity and another one that claims to be this peer.
    pub fn peer(&self, name: &str) -> Result<(PeerId, Option<Identity>, Option<Identity>), Failure> {
        let peer = self.messenger.peer_named(name.as_bytes()).ok_or(PeerError::UnknownPeer)?;
        Ok((peer.id, peer.identity.copied(), peer.claimed.copied()))
    }

    /// Sends texts: each is saved, and then sent.
    pub fn send(&mut self, name: &str, texts: &[String]) -> Result<(), Failure> {
        let peer = self.begin(name)?;
        for text in texts {
            let content = self.content(Some(text), None)?;
            self.seal(peer, &content)?;
            self.flush()?;
        }
        Ok(())
    }

    /// Connects, sends what earlier commands have left, and returns the peer, a new one if there is none of this name.
    pub fn begin(&mut self, name: &str) -> Result<PeerId, Failure> {
        match self.connect() {
            // Without a connection messages are sealed all the same, and sent the next time.
            Err(error) if error.is::<ureq::Error>() => {}
            connected => {
                connected?;
                // What fails here is tried again below.
                let _ = self.flush();
            }
        }
        self.step(|messenger, _| Ok(messenger.add_peer(name.as_bytes(), None, now(), &mut rng())?)).or_else(|error| {
            if error.downcast_ref() == Some(&PeerError::Taken) { Ok(self.peer(name)?.0) } else { Err(error) }
        })
    }
}

/// The bytes by which a person is recognized: both keys, without the certificate.
pub fn keys_of(identity: &Identity) -> Vec<u8> {
    identity.to_bytes().into_iter().take(64).collect()
}
