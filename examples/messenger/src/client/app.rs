// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the commands do that is more than one call.

use crate::http::Http;
use crate::show::{Show, emit, hex, name};
use data_encoding::HEXLOWER;
use noescrow::durable::LoadError;
use noescrow::messenger::exchange::{Connected, ExchangeError};
use noescrow::messenger::{Failed, PeerError, PeerId, Stored};
use noescrow::{AccessKey, Device, Payload};
use noescrow_messenger::content::{Attached, Content};
use noescrow_messenger::requests::{Failure, Remote, Status, encrypted_origin};
use noescrow_messenger::{MAX_FILE_LEN, now, rng};
use noescrow_sqlite::{Error, Folder, Options};
use serde::{Deserialize, Serialize};
use serde_json::{from_slice, json, to_vec};
use std::path::Path;

#[cfg(feature = "faults")]
pub use noescrow_messenger::faults::{FaultyServer as Server, FaultyStore as Store};
#[cfg(not(feature = "faults"))]
pub use {noescrow_messenger::requests::Remote as Server, noescrow_sqlite::SqliteStore as Store};

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;

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
    /// Opens the device, or makes one for a new account, unless an earlier attempt has.
    pub fn open(folder: Folder, server: Option<&str>, new: Option<&str>, options: Options) -> Result<Self, Failure> {
        if let Some(name) = new.filter(|_| folder.document().is_err()) {
            let server = server.ok_or("--server is missing")?;
            encrypted_origin(server)?;
            let access = *AccessKey::generate(&mut rng()).expose();
            let account = Account { name: name.into(), server: server.into(), access };
            folder.create(&to_vec(&account)?, Device::generate(now(), &mut rng()), &mut rng())?;
        }
        let account: Account = from_slice(&folder.document()?)?;
        if new.is_some_and(|name| name != account.name) {
            return Err("the folder has another account".into());
        }
        #[cfg(feature = "faults")]
        let options = noescrow_messenger::faults::options(options);
        let stored = folder.open_as(options.clock(now), &mut rng())?;
        let server = Remote::new(Http::new(), server.unwrap_or(&account.server), &account.name)?.into();
        Ok(Self { account, folder, stored, server, show: Show::default() })
    }

    fn connect(&mut self) -> Result<(Connected<'_, Server<Http>, Store>, &Account, &Folder, &mut Show), Failure> {
        let link = self.stored.connect(&mut self.server, now(), &mut rng())?;
        Ok((link, &self.account, &self.folder, &mut self.show))
    }

    /// Opens the account, or takes it over with a recovery code, unless an earlier attempt has.
    pub fn register(&mut self, code: Option<&str>) -> Result<(), Failure> {
        match self.stored.connect(&mut self.server, now(), &mut rng()) {
            Err(Failed::Step(ExchangeError::Server(error))) if matches!(Status::of(&error), Some(401 | 404)) => {}
            connected => return Ok(connected.map(drop)?),
        }
        let code = code.map(|code| HEXLOWER.decode(code.as_bytes())).transpose()?;
        let code = code.as_deref().map(TryInto::try_into).transpose()?;
        let write_down = |code: &[u8]| emit(&json!({"event": "recovery_code", "code": hex(code)}));
        let access = AccessKey::from_bytes(self.account.access);
        self.server.register(&mut self.stored, &access, code, write_down)?;
        self.connect().map(drop)
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
        let (mut link, account, _, show) = self.connect()?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        texts.into_iter().try_for_each(|text| say(&mut link, show, account, &peer, Some(text), None))
    }

    pub fn receive(&mut self) -> Result<(), Failure> {
        let (mut link, _, _, show) = self.connect()?;
        Ok(link.receive(None, now(), &mut rng(), |stored, event| show.event(stored, &event))?)
    }

    pub fn maintain(&mut self) -> Result<(), Failure> {
        let (mut link, _, _, show) = self.connect()?;
        Ok(link.flush(now(), &mut rng(), |stored, event| show.event(stored, &event))?)
    }

    pub fn restore_backup(&mut self) -> Result<(), Failure> {
        // First the messenger, and then the store, so that a crash between the two leaves it suspect.
        self.stored.restore_backup(&mut self.server, now(), &mut rng())?;
        self.stored.store().accept_restored_backup()?;
        self.maintain()
    }

    pub fn send_file(&mut self, to: &str, path: &Path) -> Result<(), Failure> {
        let (mut link, account, folder, show) = self.connect()?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        let file = folder.attach(link.stored().store(), &peer, path, MAX_FILE_LEN, &mut rng())?;
        link.server().upload(&file.id, &mut file.upload()?)?;
        file.sent_with_next(link.stored().store());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let attached = Attached { id: file.id, key: file.key.to_bytes(), name, size: file.content_len.try_into()? };
        say(&mut link, show, account, &peer, None, Some(attached))?;
        Ok(file.remove()?)
    }

    pub fn fetch_file(&mut self, id: &str, path: &Path) -> Result<(), Failure> {
        let file_id = HEXLOWER.decode(id.as_bytes())?[..].try_into()?;
        let file = self.folder.attachment(self.stored.store(), &file_id)?;
        let file = file.ok_or("no such file was received, or it was fetched before")?;
        let mut download = file.download()?;
        self.server.download(&file_id, &mut download)?;
        let size = file.finish(self.stored.store(), download, path)?;
        emit(&json!({"event": "fetched", "id": id, "path": path, "size": size}));
        Ok(())
    }

    /// Deletes a peer. Called again after a crash, it erases what the first call has deleted.
    pub fn forget(&mut self, peer: &str) -> Result<(), Failure> {
        let peer = self.peer(peer);
        if let Ok(peer) = &peer {
            self.stored.forget(peer, now(), &mut rng())?;
        }
        self.folder.erase_deleted(self.stored.store())?;
        peer.map(drop)
    }

    /// Deletes the account at the server, then in the store, then the folder. After a crash, it continues.
    pub fn delete(folder: Folder, server: Option<&str>, options: Options) -> Result<(), Failure> {
        match Self::open(folder.clone(), server, None, options) {
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
    Account { name: from, access, .. }: &Account,
    peer: &PeerId,
    text: Option<String>,
    file: Option<Attached>,
) -> Result<(), Failure> {
    let plaintext = to_vec(&Content { from: from.clone(), access: *access, text, file })?;
    let payload = Payload { plaintext: &plaintext, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
    let sealed = link.send(peer, payload, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
    if let Some(reason) = sealed.wanted {
        let to = name(link.stored().messenger(), Some(*peer));
        emit(&json!({"event": "new_session_wanted", "to": to, "reason": format!("{reason:?}")}));
    }
    Ok(())
}
