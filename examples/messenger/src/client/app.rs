// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the commands do that is more than one call.

use crate::http::Http;
use crate::show::{Show, emit, hex, name};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::attachment::{AttachmentKey, Download, Upload};
use noescrow::durable::{LoadError, Mailboxes as _};
use noescrow::messenger::exchange::{Connected, ExchangeError};
use noescrow::messenger::{Failed, Peer, PeerError, PeerId, Stored};
use noescrow::{AccessKey, Device, Payload};
use noescrow_messenger::content::{Attached, Content};
use noescrow_messenger::requests::{AccessKeys, Failure, Remote, Status, encrypted_origin};
use noescrow_messenger::{Claim, FILE_ID_LEN, MAX_FILE_LEN, RECOVERY_CODE_LEN, now, rng, sha256};
use noescrow_sqlite::{Error, Folder, Options, PeerData as _};
use serde::{Deserialize, Serialize};
use serde_json::{from_slice, json, to_vec};
use std::fs;
use std::path::Path;

#[cfg(feature = "faults")]
pub use noescrow_messenger::faults::{FaultyServer as Server, FaultyStore as Store};
#[cfg(not(feature = "faults"))]
pub use {noescrow_messenger::requests::Remote as Server, noescrow_sqlite::SqliteStore as Store};

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;
/// Under this name, the access key of a peer's mailbox is kept.
pub const ACCESS: &str = "access";

/// The folder's document.
#[derive(Serialize, Deserialize)]
struct Account {
    name: String,
    server: String,
    access: [u8; 32],
}

pub struct App {
    account: Account,
    folder: Folder,
    pub stored: Stored<Store>,
    server: Server<Http>,
    pub show: Show,
}

impl App {
    /// Makes a device, unless an earlier attempt has.
    pub fn create(folder: &Folder, name: &str, server: Option<&str>) -> Result<(), Failure> {
        if folder.document().is_err() {
            let server = server.ok_or("--server is missing")?;
            encrypted_origin(server)?;
            let access = *AccessKey::generate(&mut rng()).expose();
            let account = Account { name: name.into(), server: server.into(), access };
            folder.create(&to_vec(&account)?, Device::generate(now(), &mut rng()), &mut rng())?;
        }
        Ok(())
    }

    pub fn open(folder: Folder, server: Option<&str>, options: Options) -> Result<Self, Failure> {
        #[cfg(feature = "faults")]
        let options = noescrow_messenger::faults::options(options);
        let account: Account = from_slice(&folder.document()?)?;
        let stored = folder.open_as(options.clock(now), &mut rng())?;
        let server = Remote::new(Http::new(), server.unwrap_or(&account.server), &account.name)?.into();
        Ok(Self { account, folder, stored, server, show: Show::default() })
    }

    /// Opens the account, or takes it over with a recovery code, unless an earlier attempt has done it.
    pub fn register(&mut self, name: &str, code: Option<&str>) -> Result<(), Failure> {
        if self.account.name != name {
            return Err("the folder has another account".into());
        }
        match self.stored.connect(&mut self.server, now(), &mut rng()) {
            Err(Failed::Step(ExchangeError::Server(error))) if matches!(Status::of(&error), Some(401 | 404)) => {}
            connected => return Ok(connected.map(drop)?),
        }
        let mut next = [0; RECOVERY_CODE_LEN];
        rng().fill_bytes(&mut next);
        // Before it is valid: afterwards the process may have ended.
        emit(&json!({"event": "recovery_code", "code": hex(&next)}));
        let publication = &self.stored.maintain(&[], now(), &mut rng())?.publication.to_bytes()[..];
        let access = &AccessKey::from_bytes(self.account.access).hash().to_bytes();
        let old_code = code.map(|code| HEXLOWER.decode(code.as_bytes())).transpose()?;
        let claim = match &old_code {
            None => Claim::Open { access, code: &sha256(&next), publication },
            Some(old) => Claim::Recover { old_code: old[..].try_into()?, access, code: &sha256(&next), publication },
        };
        self.server.claim(&claim, |challenge| self.stored.messenger().sign_login(challenge))?;
        Ok(self.stored.connect(&mut self.server, now(), &mut rng()).map(drop)?)
    }

    /// The peer of this name, or of this id in hexadecimal after a `#`.
    pub fn peer(&self, peer: &str) -> Result<PeerId, Failure> {
        let messenger = self.stored.messenger();
        let found = match peer.strip_prefix('#') {
            None => messenger.peer_named(peer.as_bytes()),
            Some(id) => messenger.peer(&PeerId::from_bytes(HEXLOWER.decode(id.as_bytes())?[..].try_into()?)),
        };
        Ok(found.ok_or(PeerError::UnknownPeer)?.id)
    }

    pub fn send(&mut self, to: &str, texts: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let mut link = self.stored.connect(&mut self.server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        texts.into_iter().try_for_each(|text| say(&mut link, &mut self.show, &self.account, &peer, Some(text), None))
    }

    pub fn receive(&mut self) -> Result<(), Failure> {
        let mut link = self.stored.connect(&mut self.server, now(), &mut rng())?;
        Ok(link.receive(None, now(), &mut rng(), |stored, event| self.show.event(stored, &event))?)
    }

    pub fn maintain(&mut self) -> Result<(), Failure> {
        let mut link = self.stored.connect(&mut self.server, now(), &mut rng())?;
        Ok(link.flush(now(), &mut rng(), |stored, event| self.show.event(stored, &event))?)
    }

    pub fn restore_backup(&mut self) -> Result<(), Failure> {
        // First the messenger, and then the store, so that a crash between the two leaves it suspect.
        self.stored.restore_backup(&mut self.server, now(), &mut rng())?;
        self.stored.store().accept_restored_backup()?;
        self.maintain()
    }

    /// Seals a file, uploads it, and sends the message that names it. A process that was cut is continued.
    pub fn send_file(&mut self, to: &str, path: &Path) -> Result<(), Failure> {
        let _lock = self.stored.store().exclusively("files")?;
        let metadata = fs::metadata(path)?;
        let source = format!("{to} {path:?} {} {:?}", metadata.len(), metadata.modified()?);
        let source = format!("sent-{}", hex(&sha256(source.as_bytes())));
        let sealed = self.folder.file(&source)?;
        let mut link = self.stored.connect(&mut self.server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        let begun = link.stored().store().peer_data(&peer, &source)?;
        let file = match begun.map(|begun| from_slice(&begun)).transpose()? {
            Some(file) => file,
            None => {
                let (mut id, size) = ([0; FILE_ID_LEN], u32::try_from(metadata.len())?);
                rng().fill_bytes(&mut id);
                let key = Upload::prepare(path, &sealed, MAX_FILE_LEN, &mut rng())?.to_bytes();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let file = Attached { id, key, name, size };
                link.stored().store().set_peer_data(&peer, &source, &to_vec(&file)?)?;
                file
            }
        };
        link.server().upload(&file.id, &mut Upload::open(&sealed)?)?;
        // The message is saved and the file forgotten in one transaction, so that the message is sent once.
        link.stored().store().with_next(move |sql, batch| {
            Ok(batch.sent.as_ref().is_some_and(|sent| !sent.is_control) && sql.remove_peer_data(&peer, &source)?)
        });
        say(&mut link, &mut self.show, &self.account, &peer, None, Some(file))?;
        Ok(fs::remove_file(sealed)?)
    }

    /// Downloads the rest of a file that was received, and opens it.
    pub fn fetch_file(&mut self, id: &str, path: &Path) -> Result<u64, Failure> {
        let received = self.stored.store().data_of_peers(id)?;
        let (peer, file) = received.first().ok_or("no such file was received, or it was fetched before")?;
        let file: Attached = from_slice(file)?;
        let mut download = Download::open(&self.folder.file(id)?, file.size.into())?;
        self.server.download(&file.id, &mut download)?;
        let len = download.finish(&AttachmentKey::from_bytes(file.key), path, &format!(".{id}.part"))?;
        self.stored.store().remove_peer_data(peer, id)?;
        Ok(len)
    }

    /// Deletes a peer. Called again after a crash, it erases what the first call has deleted.
    pub fn forget(&mut self, peer: &str) -> Result<(), Failure> {
        let peer = self.peer(peer);
        if let Ok(peer) = &peer {
            self.stored.forget(peer, now(), &mut rng())?;
        }
        let _lock = self.stored.store().exclusively("files")?;
        self.folder.remove_files_of_no_peer(self.stored.store())?;
        self.stored.store().erase_deleted()?;
        peer.map(drop)
    }

    /// Deletes the account at the server, then in the store, then the folder. After a crash, it continues.
    pub fn delete(folder: Folder, server: Option<&str>, options: Options) -> Result<(), Failure> {
        match Self::open(folder.clone(), server, options) {
            Err(error) if matches!(error.downcast_ref(), Some(LoadError::<Error>::Missing)) => {}
            app => {
                let Self { stored, mut server, .. } = app?;
                server.delete(|challenge| stored.messenger().sign_login(challenge))?;
                stored.delete(now(), &mut rng())?.erase_deleted()?;
            }
        }
        Ok(folder.erase()?)
    }
}

/// Seals a message, saves it, and sends it.
fn say(
    link: &mut Connected<'_, Server<Http>, Store>,
    show: &mut Show,
    account: &Account,
    peer: &PeerId,
    text: Option<String>,
    file: Option<Attached>,
) -> Result<(), Failure> {
    let plaintext = to_vec(&Content { from: account.name.clone(), access: account.access, text, file })?;
    let payload = Payload { plaintext: &plaintext, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
    let sealed = link.send(peer, payload, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
    if let Some(reason) = sealed.wanted {
        let to = name(link.stored().messenger(), peer);
        emit(&json!({"event": "new_session_wanted", "to": to, "reason": format!("{reason:?}")}));
    }
    Ok(())
}

impl AccessKeys<Store> for Http {
    fn access_key(&mut self, store: &mut Store, peer: &Peer<'_>) -> Result<Option<[u8; 32]>, Failure> {
        Ok(store.peer_data(&peer.id, ACCESS)?.and_then(|key| key[..].try_into().ok()))
    }
}
