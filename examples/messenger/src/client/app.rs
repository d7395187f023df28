// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device with its account, and what is shown and kept of an exchange.

use data_encoding::HEXLOWER;
use noescrow::attachment::AttachmentKey;
use noescrow::durable::InboxMessage;
use noescrow::messenger::exchange::{Connected, Event};
use noescrow::messenger::{PeerError, PeerId, SealError, Stored};
use noescrow::{AccessKey, Device, Payload};
use noescrow_messenger::content::Content;
use noescrow_messenger::events::{Lines, Printed, emit};
use noescrow_messenger::http::Http;
use noescrow_messenger::requests::{ACCESS, Failure, Remote, encrypted_origin};
use noescrow_messenger::{Server, Store, now, rng};
use noescrow_sqlite::{Attachment, Folder, Options, PeerData as _};
use serde::{Deserialize, Serialize};
use serde_json::{from_slice, to_vec};
use std::path::Path;

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
        #[cfg_attr(not(feature = "faults"), expect(clippy::useless_conversion, reason = "the suite's server wraps it"))]
        let server = Remote::new(Http::default(), server.unwrap_or(&account.server), &account.name)?.into();
        Ok(Self { account, stored, server })
    }

    /// Opens the account, or takes it over with a recovery code, unless an earlier attempt has.
    pub fn register(&mut self, code: Option<&str>) -> Result<(), Failure> {
        let access = AccessKey::from_bytes(self.account.access);
        self.server.register(&mut self.stored, &access, code, |code| emit(&Printed::recovery_code(code)))
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

    /// Downloads the rest of a file that was received from this peer, and opens it. Another peer may name the same id.
    pub fn fetch(&mut self, folder: &Folder, peer: &str, id: &str, path: &Path) -> Result<(), Failure> {
        let (peer, file_id) = (self.peer(peer)?, HEXLOWER.decode(id.as_bytes())?[..].try_into()?);
        let file = folder.attachment(self.stored.store(), &peer, &file_id)?;
        let file = file.ok_or("no such file was received from this peer, or it was fetched before")?;
        let mut download = file.download()?;
        self.server.download(&file_id, &mut download)?;
        let size = file.finish(self.stored.store(), download, path)?;
        emit(&Printed::Fetched { id: id.into(), path: path.to_string_lossy().into_owned(), size });
        Ok(())
    }
}

/// Shows the events of an exchange.
#[derive(Default)]
pub struct Show {
    pub lines: Lines,
    /// What the user has to know at the end.
    pub outcome: Option<Failure>,
}

impl Show {
    pub fn event(&mut self, stored: &mut Stored<Store>, event: &Event<'_>) -> Result<(), Failure> {
        #[cfg(feature = "faults")]
        if noescrow_messenger::faults::act(stored, event)? {
            return Ok(());
        }
        self.lines.line(event, stored.messenger()).iter().for_each(emit);
        match event {
            Event::Received(message) if message.control.is_none() => keep(stored, message)?,
            Event::Undelivered(..) => {
                self.outcome.get_or_insert_with(|| "the server has not taken every message".into());
            }
            Event::Claimed(_) => self.outcome = Some(SealError::IdentityChanged.into()),
            _ => {}
        }
        Ok(())
    }
}

/// Keeps what a message says of its author's mailbox and of a file.
fn keep(stored: &mut Stored<Store>, message: &InboxMessage) -> Result<(), Failure> {
    let Some(peer) = message.peer.as_ref().and_then(PeerId::from_subject) else { return Ok(()) };
    let Some(content) = Content::parse(&message.plaintext) else { return Ok(()) };
    stored.store().take_into(&message.message_id, |sql, message| {
        if let Some(file) = content.file {
            Attachment::keep(sql, message, &file.id, &AttachmentKey::from_bytes(file.key), file.size.into(), now())?;
        }
        // A former device of the peer says nothing of its mailbox.
        let is_former = message.flags.is_former_identity;
        if is_former { Ok(()) } else { sql.set_peer_data(&peer, ACCESS, &content.access).map(drop) }
    })?;
    Ok(())
}

/// Seals a message, saves it, and sends it.
pub fn say(link: &mut Link<'_>, peer: &PeerId, content: &Content, show: &mut Show) -> Result<(), Failure> {
    let plaintext = to_vec(content)?;
    let payload = Payload { plaintext: &plaintext, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
    let sealed = link.send(peer, payload, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
    Printed::new_session_wanted(link.stored().messenger(), *peer, sealed.wanted).iter().for_each(emit);
    Ok(())
}
