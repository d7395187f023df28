// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of the relay whose device records: a messenger, its store, and HTTP/1.1 with one connection a request.

use noescrow::attachment::{
    AttachmentKey, AttachmentOpener, AttachmentSealer, CHUNK_LEN, Download, HEADER_LEN, Upload,
};
use noescrow::messenger::exchange::{Answers, Connected, Delivery, Event};
use noescrow::messenger::{Control, PeerId, Stored};
use noescrow::{AccessKey, Device, StorageKey};
use noescrow_audit::Tape;
use noescrow_messenger::requests::{ACCESS, Failure, Remote, Request, Transport};
use noescrow_messenger::{FILE_ID_LEN, account_path, now, rng};
use noescrow_recorder::Recorder;
use noescrow_sqlite::{Options, SqliteStore};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the requests go, and what goes with them. All users of a wire share it.
#[derive(Clone)]
pub struct Wire(Rc<Shared>);

struct Shared {
    server: SocketAddr,
    /// Sent with the next message: data that a client leaks by being too helpful.
    extra: RefCell<Option<(&'static str, String)>>,
    /// The `authorization` of the last request as the owner.
    login: RefCell<String>,
    /// The access key of each account.
    keys: RefCell<BTreeMap<Vec<u8>, [u8; 32]>>,
}

impl Wire {
    pub fn new(server: SocketAddr) -> Self {
        Self(Rc::new(Shared { server, extra: RefCell::default(), login: RefCell::default(), keys: RefCell::default() }))
    }

    /// Makes a request. Returns the status and the body of the answer.
    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Outcome<(u16, Vec<u8>)> {
        let extra = self.0.extra.borrow_mut().take_if(|_| method == "POST" && path.ends_with("/messages"));
        let extra = extra.map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}{extra}\r\n"
        );
        let mut stream = TcpStream::connect_timeout(&self.0.server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end =
            answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("an answer without an end of headers")?;
        let body = answer.split_off(end + 4);
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().parse()?;
        Ok((status, body))
    }
}

impl Transport for Wire {
    fn exchange(&mut self, request: Request<'_>) -> Result<(u16, Vec<u8>), Failure> {
        let Request { method, url, header: (name, value), is_owners, body, max_answer_len: _ } = request;
        let path = url.splitn(4, '/').nth(3).ok_or("not a URL")?;
        if is_owners {
            self.0.login.replace(value.clone());
        }
        let answer = Self::request(self, method, &format!("/{path}"), &format!("{name}: {value}\r\n"), body);
        answer.map_err(|error| error.to_string().into())
    }
}

/// A device with its account.
pub struct User {
    pub account: &'static str,
    stored: Stored<SqliteStore, Recorder>,
    remote: Remote<Wire>,
    wire: Wire,
    recorder: Recorder,
    folder: PathBuf,
}

/// An error with its cause, for another thread.
fn said(error: impl std::fmt::Debug) -> Box<dyn Error + Send + Sync> {
    format!("{error:?}").into()
}

impl User {
    /// Makes a device, and opens an account for it. Its store is in `folder`, and is no evidence.
    pub fn open(
        tape: &Tape,
        name: &str,
        account: &'static str,
        server: &str,
        wire: &Wire,
        folder: &Path,
    ) -> Outcome<Self> {
        let recorder = Recorder::device(tape, name)?;
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        recorder.given(&key);
        let store = Options::new().open(folder.join(account))?;
        let device = Device::<Recorder>::generate_with(recorder.clone(), now(), &mut rng());
        let mut stored = Stored::create(device, store, &StorageKey::new(key), &mut rng()).map_err(said)?;
        let mut remote = Remote::new(wire.clone(), server, account).map_err(said)?;
        let access = AccessKey::generate(&mut rng());
        wire.0.keys.borrow_mut().insert(account.into(), *access.expose());
        // Neither it nor the storage key may be at the server, which has a hash of it.
        remote.register(&mut stored, &access, None, |code| recorder.given(code)).map_err(said)?;
        let mut user = Self {
            account,
            stored,
            remote,
            wire: wire.clone(),
            recorder,
            folder: folder.join(account).with_extension("files"),
        };
        fs::create_dir_all(&user.folder)?;
        // The second login shows the nonce of the first one.
        let _ = user.connect()?;
        Ok(user)
    }

    fn connect(&mut self) -> Outcome<Connected<'_, Remote<Wire>, SqliteStore, Recorder>> {
        self.stored.connect(&mut self.remote, now(), &mut rng()).map_err(said)
    }

    fn peer(&mut self, account: &str) -> Outcome<PeerId> {
        let peer = self.stored.find_or_add_peer(account.as_bytes(), now(), &mut rng()).map_err(said)?;
        let key = self.wire.0.keys.borrow().get(account.as_bytes()).copied().ok_or("no access key")?;
        self.stored.store().set_peer_data(&peer, ACCESS, &key)?;
        Ok(peer)
    }

    /// Sends a text. Returns whether the server has taken it.
    pub fn send(&mut self, to: &str, text: &str) -> Outcome<bool> {
        let peer = self.peer(to)?;
        let mut taken = true;
        let sent = self.connect()?.send(&peer, text.as_bytes(), now(), &mut rng(), |_, event| {
            if let Event::Undelivered(_, Delivery::KeyRefused) = event {
                taken = false;
            }
            Ok(())
        });
        sent.map(|_| taken).map_err(said)
    }

    /// Receives what is waiting, and acknowledges it: the server deletes it. Strangers are named `from`.
    pub fn receive(&mut self, from: &str) -> Outcome<Vec<Vec<u8>>> {
        let mut received = Vec::new();
        let key = self.wire.0.keys.borrow().get(from.as_bytes()).copied().ok_or("no access key")?;
        let mut connected = self.connect()?;
        let all = connected.receive(Answers::AtOnce, now(), &mut rng(), |stored, event| {
            match event {
                Event::Received(message) if message.control.is_none() => {
                    received.push(message.plaintext.to_vec());
                    let author = message.peer.as_ref().and_then(PeerId::from_subject).ok_or("no author")?;
                    if stored.messenger().peer(&author).is_some_and(|peer| peer.name.is_empty()) {
                        stored.name_peer(&author, from.as_bytes(), now(), &mut rng())?;
                        stored.store().set_peer_data(&author, ACCESS, &key)?;
                    }
                }
                Event::Received(message) if matches!(message.control, Some(Control::Receipt(_))) => {
                    return Err("a message did not open".into());
                }
                Event::Refused(refused) => return Err(format!("{refused:?}").into()),
                _ => {}
            }
            Ok(())
        });
        let _ = all.map_err(said)?;
        received.retain(|text| !text.is_empty());
        Ok(received)
    }

    /// Replaces the access key of the account. The correspondents' next messages have the old one until they know it.
    pub fn rotate_access_key(&mut self) -> Outcome<AccessKey> {
        let _ = self.connect()?;
        let key = AccessKey::generate(&mut rng());
        self.own("PUT", "/access", &key.hash().to_bytes())?;
        Ok(key)
    }

    /// Uses an access key for an account from now on.
    pub fn use_access_key(&self, of: &str, key: &AccessKey) {
        self.wire.0.keys.borrow_mut().insert(of.into(), *key.expose());
    }

    /// Seals a file and uploads it. Returns what a message about it has: its id and its key.
    pub fn upload(&mut self, content: &[u8]) -> Outcome<([u8; FILE_ID_LEN], AttachmentKey)> {
        let mut id = [0; FILE_ID_LEN];
        getrandom::fill(&mut id)?;
        let length = u64::try_from(content.len())?;
        let mut sealer = AttachmentSealer::new_with(self.recorder.clone(), length, &mut rng())?;
        let mut chunk = Box::new([0; CHUNK_LEN]);
        chunk.get_mut(..content.len()).ok_or("a long file")?.copy_from_slice(content);
        let mut sealed = sealer.header().to_vec();
        sealed.extend(sealer.seal_chunk(content.len(), &mut chunk)?);
        let path = self.folder.join("upload");
        fs::write(&path, sealed)?;
        let _ = self.connect()?;
        self.remote.upload(&id, &mut Upload::open(&path)?).map_err(said)?;
        Ok((id, sealer.finish()?))
    }

    /// Downloads a file and opens it.
    pub fn download(&mut self, id: &[u8; FILE_ID_LEN], key: &AttachmentKey, length: usize) -> Outcome<Vec<u8>> {
        let path = self.folder.join("download");
        let mut download = Download::open(&path, u64::try_from(length)?)?;
        self.remote.download(id, &mut download).map_err(said)?;
        let mut sealed = fs::read(&path)?;
        let (header, chunk) = sealed.split_first_chunk_mut::<HEADER_LEN>().ok_or("a short file")?;
        let mut opener = AttachmentOpener::new_with(self.recorder.clone(), key, header)?;
        Ok(opener.open_last_chunk(chunk)?.to_vec())
    }

    /// Sends this with the next message.
    pub fn leak(&self, header: &'static str, value: String) {
        self.wire.0.extra.replace(Some((header, value)));
    }

    /// A request that only the client of a faulty server makes.
    pub fn keep_for_recovery(&mut self, root_key: &str) -> Outcome<()> {
        self.own("PUT", "/escrow", root_key.as_bytes())
    }

    /// A request that changes nothing.
    pub fn idle(&mut self) -> Outcome<()> {
        let _ = self.connect()?;
        self.own("GET", "/prekeys", &[])
    }

    /// Makes a request as the owner who has made the last one.
    fn own(&self, method: &str, what: &str, body: &[u8]) -> Outcome<()> {
        let path = format!("{}{what}", account_path(self.account));
        let login = format!("authorization: {}\r\n", self.wire.0.login.borrow());
        match self.wire.request(method, &path, &login, body)? {
            (200..300, _) => Ok(()),
            (status, _) => Err(format!("{method} {path}: status {status}").into()),
        }
    }
}
