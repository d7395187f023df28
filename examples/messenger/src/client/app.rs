// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device with its account.

use crate::show::{Show, emit, hex, name};
use data_encoding::HEXLOWER;
use noescrow::messenger::exchange::Connected;
use noescrow::messenger::{PeerError, PeerId, Stored};
use noescrow::{AccessKey, Device, Payload};
use noescrow_messenger::content::Content;
use noescrow_messenger::http::Http;
use noescrow_messenger::requests::{Failure, Remote, encrypted_origin};
use noescrow_messenger::{now, rng};
use noescrow_sqlite::{Folder, Options};
use serde::{Deserialize, Serialize};
use serde_json::{from_slice, json, to_vec};
use std::path::Path;

#[cfg(feature = "faults")]
pub use noescrow_messenger::faults::{FaultyServer as Server, FaultyStore as Store};
#[cfg(not(feature = "faults"))]
pub use {noescrow_messenger::requests::Remote as Server, noescrow_sqlite::SqliteStore as Store};

/// The device, when it has logged in.
type Link<'a> = Connected<'a, Server<Http>, Store>;

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;

/// The folder's document.
#[derive(Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    server: String,
    pub access: [u8; 32],
}

pub struct App {
    pub account: Account,
    pub stored: Stored<Store>,
    pub server: Server<Http>,
}

impl App {
    /// Opens the device, or makes one for a new account, unless an earlier attempt has.
    pub fn open(folder: &Folder, server: Option<&str>, new: Option<&str>, options: Options) -> Result<Self, Failure> {
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
        let server = Remote::new(Http::default(), server.unwrap_or(&account.server), &account.name)?.into();
        Ok(Self { account, stored, server })
    }

    /// Opens the account, or takes it over with a recovery code, unless an earlier attempt has.
    pub fn register(&mut self, code: Option<&str>) -> Result<(), Failure> {
        let write_down = |code: &[u8; 16]| emit(&json!({"event": "recovery_code", "code": hex(code)}));
        self.server.register(&mut self.stored, &AccessKey::from_bytes(self.account.access), code, write_down)
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

    /// Downloads the rest of a file that was received, and opens it.
    pub fn fetch(&mut self, folder: &Folder, id: &str, path: &Path) -> Result<(), Failure> {
        let file_id = HEXLOWER.decode(id.as_bytes())?[..].try_into()?;
        let file = folder.attachment(self.stored.store(), &file_id)?;
        let file = file.ok_or("no such file was received, or it was fetched before")?;
        let mut download = file.download()?;
        self.server.download(&file_id, &mut download)?;
        let size = file.finish(self.stored.store(), download, path)?;
        emit(&json!({"event": "fetched", "id": id, "path": path, "size": size}));
        Ok(())
    }
}

/// Seals a message, saves it, and sends it.
pub fn say(link: &mut Link<'_>, peer: &PeerId, content: &Content, show: &mut Show) -> Result<(), Failure> {
    let plaintext = to_vec(content)?;
    let payload = Payload { plaintext: &plaintext, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
    let sealed = link.send(peer, payload, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
    if let Some(reason) = sealed.wanted {
        let to = name(link.stored().messenger(), Some(*peer));
        emit(&json!({"event": "new_session_wanted", "to": to, "reason": format!("{reason:?}")}));
    }
    Ok(())
}
