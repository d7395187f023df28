// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device of this messenger without a user interface: what its user can do, each in one call. What happens meanwhile
//! comes as [`Event`]s.

use crate::content::{Attached, Content};
use crate::home::{Home, erase};
use crate::requests::{AccessKeys, Failure, Remote, Status, Transport};
use crate::tables::{self, File, Of, TABLES, follow};
use crate::{Claim, FILE_ID_LEN, MAX_FILE_LEN, RECOVERY_CODE_LEN, sha256};
use data_encoding::HEXLOWER;
use getrandom::SysRng;
use getrandom::rand_core::{Rng as _, UnwrapErr};
use noescrow::attachment::{AttachmentKey, Download, Upload};
use noescrow::durable::{LoadError, Mailboxes as _};
use noescrow::messenger::exchange::{Connected, Event, ExchangeError, ExchangeFailed};
use noescrow::messenger::{Advice, Failed, NewSession, Peer, PeerError, PeerId, SealError, Stored};
use noescrow::{AccessKey, Payload};
use noescrow_sqlite::{Options, SideFile};
use std::fmt;
use std::fs;
use std::path::Path;

#[cfg(feature = "faults")]
pub use crate::faults::{FaultyServer as Server, FaultyStore as Store, now};
#[cfg(not(feature = "faults"))]
pub use noescrow_sqlite::SqliteStore as Store;

/// The server.
#[cfg(not(feature = "faults"))]
pub type Server = Remote<Box<dyn Transport>>;

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;

/// The messenger of a device, with its store.
pub type Messenger = Stored<Store>;
/// Shows an event, or keeps it.
pub type Show<'a> = &'a mut dyn FnMut(&mut Messenger, &Event<'_>) -> Result<(), Failure>;

/// A device.
pub struct Device {
    home: Home,
    /// Its messenger.
    pub messenger: Messenger,
    server: Server,
}

/// The time.
#[cfg(not(feature = "faults"))]
#[must_use]
pub fn now() -> noescrow::UnixSeconds {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map(noescrow::UnixSeconds::from).unwrap_or_default()
}

const fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// How the database is opened: with the witness in this file, or beside it.
pub fn options(witness: Option<&Path>) -> Options {
    let options = Options::new().clock(now);
    match witness {
        Some(witness) => options.witness(SideFile::new(witness)),
        None => options,
    }
}

impl Device {
    /// Opens what [`Home::create`] has made. `server` replaces the account's.
    ///
    /// # Errors
    /// Those of the folder, and of the store.
    pub fn open(
        folder: &Path,
        server: Option<&str>,
        transport: impl Transport + 'static,
        options: Options,
    ) -> Result<Self, Failure> {
        let home = Home::open(folder)?;
        #[cfg(feature = "faults")]
        let mut store = Store::open(options, &home.database())?;
        #[cfg(not(feature = "faults"))]
        let mut store = options.open(home.database())?;
        store.tables(TABLES)?;
        store.with_next(|tables, batch| follow(tables, batch).map(|()| false));
        let messenger = Stored::load(store, &home.key, &home.subject, &mut rng())?;
        let url = server.unwrap_or(&home.account.server);
        let server = Remote::new(Box::new(transport) as Box<dyn Transport>, url, &home.account.name)?;
        #[cfg(feature = "faults")]
        let server = Server::new(server);
        Ok(Self { home, messenger, server })
    }

    fn connect(&mut self) -> Result<Connected<'_, Server, Store>, Failure> {
        Ok(self.messenger.connect(&mut self.server, now(), &mut rng())?)
    }

    /// Opens the account at the server, or takes it over with a recovery code, unless an earlier attempt has done it.
    /// `write_down` gets the next recovery code, which is stored nowhere, before it is valid: afterwards the process may
    /// have ended.
    ///
    /// # Errors
    /// Those of the server, and of the store.
    pub fn register(
        &mut self,
        code: Option<&str>,
        write_down: impl FnOnce(&[u8; RECOVERY_CODE_LEN]),
    ) -> Result<(), Failure> {
        match self.messenger.connect(&mut self.server, now(), &mut rng()) {
            Err(Failed::Step(ExchangeError::Server(error))) if matches!(Status::of(&error), Some(401 | 404)) => {}
            connected => return Ok(connected.map(drop)?),
        }
        let mut next = [0; RECOVERY_CODE_LEN];
        rng().fill_bytes(&mut next);
        write_down(&next);
        let publication = self.messenger.maintain(&[], now(), &mut rng())?.publication.to_bytes();
        let access = &AccessKey::from_bytes(self.home.account.access).hash().to_bytes();
        let (publication, next) = (&publication[..], &sha256(&next));
        let old_code = code.map(|code| HEXLOWER.decode(code.as_bytes())).transpose()?;
        let claim = match &old_code {
            None => Claim::Open { access, code: next, publication },
            Some(code) => Claim::Recover { old_code: code[..].try_into()?, access, code: next, publication },
        };
        self.server.claim(&claim, |challenge| self.messenger.messenger().sign_login(challenge))?;
        self.connect().map(drop)
    }

    /// Returns the peer of this name, or of this id in hexadecimal after a `#`.
    ///
    /// # Errors
    /// There is none.
    pub fn peer(&self, peer: &str) -> Result<Peer<'_>, Failure> {
        let messenger = self.messenger.messenger();
        let peer = match peer.strip_prefix('#') {
            None => messenger.peer_named(peer.as_bytes()),
            Some(id) => messenger.peer(&PeerId::from_bytes(HEXLOWER.decode(id.as_bytes())?[..].try_into()?)),
        };
        Ok(peer.ok_or(PeerError::UnknownPeer)?)
    }

    /// Sends texts, each of which is saved before. What an earlier process has left is sent first. Returns why a new
    /// session was wanted, if the server had no bundle for it.
    ///
    /// # Errors
    /// Those of the server, and of the store.
    pub fn send(
        &mut self,
        to: &str,
        texts: impl Iterator<Item = String>,
        show: Show<'_>,
    ) -> Result<Option<NewSession>, Failure> {
        let Home { account, .. } = &self.home;
        let mut link = self.messenger.connect(&mut self.server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        let mut wanted = None;
        for text in texts {
            let content = Content { from: account.name.clone(), access: account.access, text: Some(text), file: None };
            wanted = send(&mut link, &peer, &content, show)?;
        }
        Ok(wanted)
    }

    /// Sends what an earlier process has left, and replaces the prekeys that are due.
    ///
    /// # Errors
    /// Those of the server, and of the store.
    pub fn maintain(&mut self, show: Show<'_>) -> Result<(), Failure> {
        let mut link = self.connect()?;
        Ok(link.flush(now(), &mut rng(), |stored, event| act(stored, &event, show))?)
    }

    /// Does the same, and fetches mail.
    ///
    /// # Errors
    /// Those of the server, and of the store.
    pub fn receive(&mut self, show: Show<'_>) -> Result<(), Failure> {
        let mut link = self.connect()?;
        Ok(link.receive(None, now(), &mut rng(), |stored, event| act(stored, &event, show))?)
    }

    /// Continues after the store was put back, which was opened as
    /// [`restored_backup`](Options::restored_backup).
    ///
    /// # Errors
    /// Those of the server, and of the store.
    pub fn restore_backup(&mut self, show: Show<'_>) -> Result<(), Failure> {
        // First the messenger, and then the store, so that a crash between the two leaves it suspect.
        self.messenger.restore_backup(&mut self.server, now(), &mut rng())?;
        self.messenger.store().accept_restored_backup()?;
        self.maintain(show)
    }

    /// Sends a file: seals it, uploads it, and sends the message that names it. A process that was cut is continued.
    ///
    /// # Errors
    /// Those of the file, of the server, and of the store.
    pub fn send_file(&mut self, to: &str, path: &Path, show: Show<'_>) -> Result<(), Failure> {
        let _lock = self.messenger.store().exclusively("files")?;
        let (folder, metadata) = (self.home.files()?, fs::metadata(path)?);
        let mut link = self.messenger.connect(&mut self.server, now(), &mut rng())?;
        let peer = link.peer_of_account(to.as_bytes(), now(), &mut rng())?;
        let source = format!("{path:?} {} {:?}", metadata.len(), metadata.modified()?);
        let begun = link.stored().store().transact(|sql| tables::file(sql, Of::Source(&peer, &source)))?;
        let File { id, key, size } = match begun {
            Some(file) => file,
            None => {
                let (mut id, size) = ([0; FILE_ID_LEN], u32::try_from(metadata.len())?);
                rng().fill_bytes(&mut id);
                let sealed = folder.join(HEXLOWER.encode(&id));
                let key = Upload::prepare(path, &sealed, MAX_FILE_LEN, &mut rng())?.to_bytes();
                let file = File { id, key, size };
                link.stored().store().transact(|sql| tables::begin(sql, &file, &peer, &source))?;
                file
            }
        };
        let sealed = folder.join(HEXLOWER.encode(&id));
        link.server().upload(&id, &mut Upload::open(&sealed)?)?;
        // The message is saved and the file forgotten in one transaction, so that the message is sent once.
        link.stored().store().with_next(move |sql, batch| {
            follow(sql, batch)?;
            Ok(batch.sent.as_ref().is_some_and(|sent| !sent.is_control) && tables::end(sql, &id)?)
        });
        let Home { account, .. } = &self.home;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = Some(Attached { id, key, name, size });
        let content = Content { from: account.name.clone(), access: account.access, text: None, file };
        send(&mut link, &peer, &content, show)?;
        Ok(fs::remove_file(sealed)?)
    }

    /// Downloads the rest of a file that was received, and opens it to `path`. Returns its length in bytes.
    ///
    /// # Errors
    /// No such file was received. Those of the server, of the file, and of the store.
    pub fn fetch_file(&mut self, id: &str, path: &Path) -> Result<u64, Failure> {
        let file = HEXLOWER.decode(id.as_bytes())?[..].try_into()?;
        let known = self.messenger.store().transact(|sql| tables::file(sql, Of::Received(&file)))?;
        let File { key, size, .. } = known.ok_or("no such file was received, or it was fetched before")?;
        let mut download = Download::open(&self.home.files()?.join(id), size.into())?;
        self.server.download(&file, &mut download)?;
        let len = download.finish(&AttachmentKey::from_bytes(key), path, &format!(".{id}.part"))?;
        self.messenger.store().transact(|sql| tables::end(sql, &file))?;
        Ok(len)
    }

    /// Says that this safety number was compared with the peer.
    ///
    /// # Errors
    /// It is not that of the peer's identity.
    pub fn verify(&mut self, peer: &str, number: &str) -> Result<(), Failure> {
        let id = self.peer(peer)?.id;
        Ok(self.messenger.verify(&id, number, now(), &mut rng())?)
    }

    /// Accepts the identity that claims to be the peer and has this safety number. Messages for the former device are
    /// given up.
    ///
    /// # Errors
    /// There is none.
    pub fn accept(
        &mut self,
        peer: &str,
        number: &str,
        given_up: impl FnMut(&noescrow::durable::OutboxMessage),
    ) -> Result<(), Failure> {
        let id = self.peer(peer)?.id;
        Ok(self.messenger.accept(&id, number, now(), &mut rng(), given_up)?)
    }

    /// Rejects the identity that claims to be the peer and has this safety number.
    ///
    /// # Errors
    /// There is none.
    pub fn reject(&mut self, peer: &str, number: &str) -> Result<(), Failure> {
        let id = self.peer(peer)?.id;
        Ok(self.messenger.reject(&id, number, now(), &mut rng())?)
    }

    /// Deletes a peer, its sessions, its mail and its files. Called again after a crash, it erases what the first call has
    /// deleted.
    ///
    /// # Errors
    /// There is no such peer. Those of the store.
    pub fn forget(&mut self, peer: &str) -> Result<(), Failure> {
        let id = self.peer(peer).map(|peer| peer.id);
        if let Ok(id) = &id {
            self.messenger.forget(id, now(), &mut rng())?;
        }
        let _lock = self.messenger.store().exclusively("files")?;
        for path in fs::read_dir(self.home.files()?)? {
            let (path, file) = path.map(|of| (of.path(), of.file_name().to_string_lossy().into_owned()))?;
            if !self.messenger.store().transact(|sql| tables::is_known(sql, &file))? {
                fs::remove_file(path)?;
            }
        }
        self.messenger.store().erase_deleted()?;
        id.map(drop)
    }

    /// Deletes the account at the server, then in the store, then everything of it in the folder, and the witness. Called
    /// again after a crash, it continues.
    ///
    /// # Errors
    /// Those of the server, and of the store.
    pub fn delete(
        folder: &Path,
        server: Option<&str>,
        transport: impl Transport + 'static,
        witness: Option<&Path>,
    ) -> Result<(), Failure> {
        match Self::open(folder, server, transport, options(witness)) {
            Err(error) if matches!(error.downcast_ref(), Some(LoadError::<noescrow_sqlite::Error>::Missing)) => {}
            device => {
                let Self { messenger, mut server, .. } = device?;
                server.delete(|challenge| messenger.messenger().sign_login(challenge))?;
                messenger.delete(now(), &mut rng())?.erase_deleted()?;
            }
        }
        erase(folder, witness)
    }
}

/// What to do about an error of these functions, if that is more than to correct the call or to make it again.
#[must_use]
pub fn advice(error: &Failure) -> Option<Advice> {
    use noescrow_sqlite::Error::{Diverged, OtherDatabase, Rollback, WitnessMissing};
    if let Some(Failed::Step(error)) = error.downcast_ref::<ExchangeFailed<Failure, noescrow_sqlite::Error>>() {
        return error.advice();
    }
    match error.downcast_ref() {
        Some(Rollback { .. } | Diverged { .. } | OtherDatabase | WitnessMissing) => Some(Advice::RestoreBackup),
        _ => error.downcast_ref().map(SealError::advice),
    }
}

/// Seals a message, saves it, and sends it.
fn send(
    link: &mut Connected<'_, Server, Store>,
    peer: &PeerId,
    content: &Content,
    show: Show<'_>,
) -> Result<Option<NewSession>, Failure> {
    let plaintext = serde_json::to_vec(content)?;
    let payload = Payload { plaintext: &plaintext, min_padded_len: MIN_PADDED_LEN, ..Payload::default() };
    let sealed = link.send(peer, payload, now(), &mut rng(), |stored, event| act(stored, &event, show))?;
    Ok(sealed.wanted)
}

/// Keeps what a message says when it is shown.
fn act(stored: &mut Messenger, event: &Event<'_>, show: Show<'_>) -> Result<(), Failure> {
    #[cfg(feature = "faults")]
    if crate::faults::act(stored, event)? {
        return Ok(());
    }
    show(stored, event)?;
    if let Event::Received(message) = event
        && let Some(content) = Content::parse(&message.plaintext)
    {
        stored.store().take_into(&message.message_id, |sql, message| tables::keep(sql, message, &content))?;
    }
    Ok(())
}

impl AccessKeys<Store> for Box<dyn Transport> {
    fn access_key(&mut self, store: &mut Store, peer: &Peer<'_>) -> Result<Option<[u8; 32]>, Failure> {
        Ok(store.transact(|sql| tables::access_key(sql, &peer.id))?)
    }
}

/// Shows counts only.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { home: _, messenger, server: _ } = self;
        f.debug_tuple("Device").field(messenger).finish()
    }
}
