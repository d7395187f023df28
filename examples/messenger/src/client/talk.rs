// SPDX-License-Identifier: MIT OR Apache-2.0
//! The account of this device, and its conversations.

use super::server::Http;
use super::show::{emit, hex};
use super::{Failure, Options, Server, Show, Store, now, rng};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::messenger::exchange::{Connected, Event, ExchangeError};
use noescrow::messenger::{Failed, PeerError, PeerId, Stored};
use noescrow::{AccessKey, Payload};
use noescrow_messenger::content::{Attached, Content};
use noescrow_messenger::home::Home;
use noescrow_messenger::requests::Status;
use noescrow_messenger::tables::{TABLES, follow};
use noescrow_messenger::{Claim, RECOVERY_CODE_LEN, sha256};
use serde_json::json;
use std::path::Path;

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;

pub struct App {
    pub home: Home,
    pub messenger: Stored<Store>,
    pub server: Server,
    pub show: Show,
}

impl App {
    pub fn open(folder: &Path, server: Option<&str>, options: Options) -> Result<Self, Failure> {
        let home = Home::open(folder)?;
        let mut store = options.clock(now).open(home.database())?;
        store.tables(TABLES)?;
        store.with_next(|tables, batch| follow(tables, batch).map(|()| false));
        let messenger = Stored::load(store, &home.key, &home.subject, &mut rng())?;
        let server = Server::new(Http::new(), server.unwrap_or(&home.account.server), &home.account.name)?;
        Ok(Self { home, messenger, server, show: Show::default() })
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
        let access = &AccessKey::from_bytes(self.home.account.access).hash().to_bytes();
        let (publication, next) = (&publication[..], &sha256(&next));
        let old_code = code.map(|code| HEXLOWER.decode(code.as_bytes())).transpose()?;
        let claim = match &old_code {
            None => Claim::Open { access, code: next, publication },
            Some(code) => Claim::Recover { old_code: code[..].try_into()?, access, code: next, publication },
        };
        self.server.claim(&claim, |challenge| self.messenger.messenger().sign_login(challenge))?;
        Ok(self.messenger.connect(&mut self.server, now(), &mut rng()).map(drop)?)
    }

    /// Returns the peer of this name, or of this id after a `#`.
    pub fn peer(&self, peer: &str) -> Result<PeerId, Failure> {
        let messenger = self.messenger.messenger();
        let peer = match peer.strip_prefix('#') {
            None => messenger.peer_named(peer.as_bytes()),
            Some(id) => messenger.peer(&PeerId::from_bytes(HEXLOWER.decode(id.as_bytes())?[..].try_into()?)),
        };
        Ok(peer.ok_or(PeerError::UnknownPeer)?.id)
    }

    /// Sends texts. What an earlier command has left is sent before them.
    pub fn send(&mut self, to: &str, texts: impl Iterator<Item = String>) -> Result<(), Failure> {
        let mut link = self.messenger.connect(&mut self.server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        for text in texts {
            send(&mut link, &mut self.show, &peer, &content(&self.home, Some(text), None))?;
        }
        Ok(())
    }

    /// Fetches mail, or only sends what an earlier command has left.
    pub fn exchange(&mut self, receives: bool) -> Result<(), Failure> {
        let mut link = self.messenger.connect(&mut self.server, now(), &mut rng())?;
        let show = |stored: &mut Stored<Store>, event: Event<'_>| self.show.event(stored, &event);
        match receives {
            true => Ok(link.receive(None, now(), &mut rng(), show)?),
            false => Ok(link.flush(now(), &mut rng(), show)?),
        }
    }

    /// Accepts the identity that claims to be the peer.
    pub fn accept(&mut self, peer: &str, number: &str) -> Result<(), Failure> {
        let id = self.peer(peer)?;
        Ok(self.messenger.accept(&id, number, now(), &mut rng(), |message| {
            emit(
                &json!({"event": "undelivered", "to": peer, "id": hex(&message.message_id), "remedy": "send it again"}),
            );
        })?)
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

    /// Deletes the account at the server, and then in the store.
    pub fn delete(mut self) -> Result<(), Failure> {
        self.server.delete(|challenge| self.messenger.messenger().sign_login(challenge))?;
        Ok(self.messenger.delete(now(), &mut rng())?.erase_deleted()?)
    }
}

pub fn content(home: &Home, text: Option<String>, file: Option<Attached>) -> Content {
    Content { from: home.account.name.clone(), access: home.account.access, text, file }
}

/// Seals a message, saves it, and sends it.
pub fn send(
    link: &mut Connected<'_, Server, Store>,
    show: &mut Show,
    peer: &PeerId,
    content: &Content,
) -> Result<(), Failure> {
    let plaintext = serde_json::to_vec(content)?;
    let payload = Payload { plaintext: &plaintext, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
    let sealed = link.send(peer, payload, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
    if let Some(reason) = sealed.wanted {
        emit(&json!({"event": "new_session_wanted", "reason": format!("{reason:?}")}));
    }
    Ok(())
}
