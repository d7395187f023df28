// SPDX-License-Identifier: MIT OR Apache-2.0
//! The account of this device: its files, and what concerns it as a whole.

use super::server::Http;
use super::show::{emit, hex};
use super::{Failure, Options, Server, Show, Store, now, rng};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::durable::{Batch, LoadError};
use noescrow::messenger::exchange::ExchangeError;
use noescrow::messenger::{Failed, PeerError, PeerId, Stored};
use noescrow::snapshot::Subject;
use noescrow::{AccessKey, Device, StorageKey};
use noescrow_messenger::content::Content;
use noescrow_messenger::requests::Status;
use noescrow_messenger::{Claim, RECOVERY_CODE_LEN, sha256};
use noescrow_sqlite::SideFile;
use noescrow_sqlite::rusqlite::{self, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The tables of the application: the access keys of the peers' mailboxes; files that are being sent, with their source, and
/// files that were received and not yet fetched, without one.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS access (peer BLOB PRIMARY KEY, key BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS files (id BLOB PRIMARY KEY, peer BLOB NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,
        source TEXT);";

/// What is in the folder of an account besides the database.
const FILES: [&str; 3] = ["account.json", "files", "storage.key"];

/// What is in `account.json`.
#[derive(Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    server: String,
    subject: String,
    pub access: [u8; 32],
}

/// The account with its messenger and its server.
pub struct App {
    pub home: PathBuf,
    pub account: Account,
    pub messenger: Stored<Store>,
    pub server: Server,
    pub show: Show,
}

/// The store, whose witness tells it from a backup.
pub fn options(witness: Option<&Path>) -> Options {
    let options = Options::new().clock(now);
    witness.map_or_else(|| Options::new().clock(now), |witness| options.witness(SideFile::new(witness)))
}

/// Follows a step in the application's tables: what is kept of a peer ends with it, or becomes another one's.
pub fn follow(tables: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    for [stranger, peer] in batch
        .merged
        .iter()
        .filter_map(|(of, to)| Some([PeerId::from_subject(of)?.to_bytes(), PeerId::from_subject(to)?.to_bytes()]))
    {
        tables.execute("UPDATE OR REPLACE access SET peer = ?1 WHERE peer = ?2", [peer, stranger])?;
        tables.execute("UPDATE files SET peer = ?1 WHERE peer = ?2", [peer, stranger])?;
    }
    for peer in batch.ended.iter().filter_map(PeerId::from_subject).map(PeerId::to_bytes) {
        tables.execute("DELETE FROM access WHERE peer = ?1", [peer])?;
        tables.execute("DELETE FROM files WHERE peer = ?1", [peer])?;
    }
    Ok(())
}

/// Makes a device, unless an earlier attempt has made it.
pub fn create(home: &Path, name: &str, server: Option<&str>, witness: Option<&Path>) -> Result<(), Failure> {
    if let Ok(account) = fs::read(home.join("account.json")) {
        let is_it = serde_json::from_slice::<Account>(&account)?.name == name;
        return if is_it { Ok(()) } else { Err("the folder has another account".into()) };
    }
    let new = home.with_added_extension("new");
    if let Some(witness) = witness.filter(|witness| witness.exists()) {
        // What an attempt has left may be replaced.
        fs::metadata(&new).map_err(|_| "the witness is another account's")?;
        fs::remove_file(witness)?;
    }
    fs::create_dir_all(&new)?;
    erase(&new)?;
    fs::create_dir_all(&new)?;
    let mut key = [0; 32];
    rng().fill_bytes(&mut key);
    write_private(&new.join("storage.key"), &key)?;
    let store = options(witness).open(new.join("messenger.db"))?;
    let messenger = Stored::create(Device::generate(now(), &mut rng()), store, &StorageKey::new(key), &mut rng())?;
    let subject = hex(&messenger.messenger().subject().to_bytes());
    let server = server.ok_or("--server is missing")?.into();
    let account = Account { name: name.into(), server, subject, access: *AccessKey::generate(&mut rng()).expose() };
    drop(messenger);
    write_private(&new.join("account.json"), &serde_json::to_vec_pretty(&account)?)?;
    Ok(fs::rename(new, home)?)
}

/// Writes a new file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

/// Deletes what this program has made in a folder, the key last, and the folder if nothing else is in it.
fn erase(home: &Path) -> Result<(), Failure> {
    let mut paths = fs::read_dir(home)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failure>>()?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths.retain(|path| name(path).starts_with("messenger.db") || FILES.contains(&&*name(path)));
    paths.sort_by_key(|path| name(path) == "storage.key");
    for path in paths {
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    let _ = fs::remove_dir(home);
    Ok(())
}

impl Account {
    /// What each message says.
    pub fn content(&self) -> Content {
        Content { from: self.name.clone(), access: self.access, text: None, file: None }
    }
}

impl App {
    /// Opens what [`create`] has made.
    pub fn open(home: &Path, server: Option<&str>, options: Options) -> Result<Self, Failure> {
        let account: Account = serde_json::from_slice(&fs::read(home.join("account.json"))?)?;
        let key = fs::read(home.join("storage.key"))?.try_into().map_err(|_| "storage.key is damaged")?;
        let mut store = options.open(home.join("messenger.db"))?;
        store.tables(TABLES)?;
        store.with_next(|tables, batch| follow(tables, batch).map(|()| false));
        let subject = Subject::from_bytes(&HEXLOWER.decode(account.subject.as_bytes())?)?;
        let messenger = Stored::load(store, &StorageKey::new(key), &subject, &mut rng())?;
        let server = Server::new(Http::new(), server.unwrap_or(&account.server), &account.name)?;
        Ok(Self { home: home.into(), account, messenger, server, show: Show::default() })
    }

    /// Opens the account at the server, or takes it over with a recovery code, unless an earlier attempt has done it.
    pub fn register(&mut self, code: Option<&str>) -> Result<(), Failure> {
        match self.messenger.connect(&mut self.server, now(), &mut rng()) {
            Err(Failed::Step(ExchangeError::Server(error))) if matches!(Status::of(&error), Some(401 | 404)) => {}
            connected => return Ok(connected.map(drop)?),
        }
        let mut next = [0; RECOVERY_CODE_LEN];
        rng().fill_bytes(&mut next);
        // Before it is valid: afterwards there may be nobody to print it.
        emit(&json!({"event": "recovery_code", "code": hex(&next)}));
        let publication = self.messenger.maintain(&[], now(), &mut rng())?.publication.to_bytes();
        let (access, next) = (AccessKey::from_bytes(self.account.access).hash().to_bytes(), sha256(&next));
        let old = code.map(|code| HEXLOWER.decode(code.as_bytes())).transpose()?;
        let old = old.map(|code| code.try_into().map_err(|_| "not a recovery code")).transpose()?;
        let (access, code, publication) = (&access, &next, &publication[..]);
        let claim = match &old {
            None => Claim::Open { access, code, publication },
            Some(old_code) => Claim::Recover { old_code, access, code, publication },
        };
        self.server.claim(&claim, |challenge| self.messenger.messenger().sign_login(challenge))?;
        Ok(self.messenger.connect(&mut self.server, now(), &mut rng()).map(drop)?)
    }

    /// Returns the peer of this name, or of this id after a `#`.
    pub fn peer(&self, peer: &str) -> Result<PeerId, Failure> {
        let messenger = self.messenger.messenger();
        let peer = match peer.strip_prefix('#').map(|id| HEXLOWER.decode(id.as_bytes())) {
            None => messenger.peer_named(peer.as_bytes()),
            Some(id) => messenger.peer(&PeerId::from_bytes(id?.try_into().map_err(|_| "not an id")?)),
        };
        Ok(peer.ok_or(PeerError::UnknownPeer)?.id)
    }

    /// Deletes a peer. Run again after a crash, it erases what the first run has deleted.
    pub fn forget(&mut self, peer: &str) -> Result<(), Failure> {
        let id = self.peer(peer);
        if let Ok(id) = &id {
            self.messenger.forget(id, now(), &mut rng())?;
        }
        self.sweep()?;
        self.messenger.store().erase_deleted()?;
        id.map(drop)
    }
}

/// Deletes the account at the server, and then everything here, of which an earlier attempt may have left a part.
pub fn delete(home: &Path, server: Option<&str>, witness: Option<&Path>) -> Result<(), Failure> {
    match App::open(home, server, options(witness)) {
        Err(error) if matches!(error.downcast_ref(), Some(LoadError::<noescrow_sqlite::Error>::Missing)) => {}
        app => {
            let App { messenger, mut server, .. } = app?;
            server.delete(|challenge| messenger.messenger().sign_login(challenge))?;
            messenger.delete(now(), &mut rng())?.erase_deleted()?;
        }
    }
    if let Some(witness) = witness.filter(|witness| witness.exists()) {
        fs::remove_file(witness)?;
    }
    erase(home)
}
