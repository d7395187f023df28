// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client's half of README.md's table, for every HTTP client: what is asked for is here, a [`Transport`] moves it.

use crate::{
    ACCESS_KEY, Claim, FILE_ID_LEN, MAX_ANSWER_LEN, MAX_PAGE, PART_LEN, RECOVERY_CODE_LEN, account_path, decode_ids,
    decode_len, decode_logged_in, decode_messages, encode_ids, encode_login, encode_numbers, now, origin,
    recovery_hash, rng,
};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng as _;
use noescrow::attachment::{Download, Upload};
use noescrow::device::login_challenge;
use noescrow::durable::{Mailboxes, OutboxMessage};
use noescrow::messenger::exchange::{Delivery, ExchangeError, LOGIN, Server};
use noescrow::messenger::{Failed, LOGIN_NONCE_LEN, Messenger, Peer, Stored};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{AccessKey, BUNDLE_LEN, Bundle, IDENTITY_LEN, Identity, PrekeyId, Publication};
use noescrow_sqlite::SqliteStore;
use std::borrow::Borrow;
use std::error::Error;
use std::fmt;

/// Bodies of answers that are no success may have this length in bytes. They are ignored.
const MAX_ERROR_LEN: usize = 1 << 10;

/// Any error of a request.
pub type Failure = Box<dyn Error>;

/// A request. Its answer's body has at most `max_answer_len` bytes.
pub struct Request<'a> {
    /// The method.
    pub method: &'static str,
    /// The URL.
    pub url: String,
    /// Name and value of a header.
    pub header: (&'static str, String),
    /// Whether it is made as the owner of an account. A request that is not goes over other connections than those that
    /// are, so that nothing says who makes it.
    pub is_owners: bool,
    /// The body.
    pub body: &'a [u8],
    /// Length in bytes of the longest answer.
    pub max_answer_len: usize,
}

/// Moves requests and answers.
pub trait Transport {
    /// Makes a request. Returns the status and the body of the answer, whatever it is. It follows no redirection.
    ///
    /// # Errors
    /// The server cannot be reached, or answers with more than it may.
    fn exchange(&mut self, request: Request<'_>) -> Result<(u16, Vec<u8>), Failure>;
}

/// The name under which a store keeps the access key of a peer's mailbox, which the peer has sent last.
pub const ACCESS: &str = "access";

/// The server, as one account uses it.
pub struct Remote<T> {
    transport: T,
    origin: String,
    account: String,
    token: String,
}

/// An answer that is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

/// The server has refused the login of a device whose identity the account has: it is not reached under a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRefused;

impl fmt::Display for LoginRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the account is this device's, and the server refuses the login: pass the server's own URL with `--server`; \
             `--local` deletes what is here, and leaves the account",
        )
    }
}

impl Error for LoginRefused {}

impl Status {
    /// Returns the status that an error is about.
    #[must_use]
    pub fn of(error: &Failure) -> Option<u16> {
        error.downcast_ref().map(|Self(status)| *status)
    }
}

/// Returns the origin of a URL to which tokens may be sent.
///
/// # Errors
/// It is none, or tokens would be sent in the clear to another machine.
pub fn encrypted_origin(url: &str) -> Result<String, Failure> {
    let origin = origin(url).ok_or("not the URL of a server")?;
    let here = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let is_here =
        here.iter().any(|here| origin.strip_prefix(here).is_some_and(|port| port.is_empty() || port.starts_with(':')));
    if !is_here && !origin.starts_with("https://") {
        return Err("not an https:// URL: the connection to the server must be encrypted".into());
    }
    Ok(origin)
}

impl<T: Transport> Remote<T> {
    /// The server at `url`. Tokens and access keys are not sent in the clear, except to a server on this machine.
    ///
    /// # Errors
    /// `url` is none, or none of those.
    pub fn new(transport: T, url: &str, account: &str) -> Result<Self, Failure> {
        let origin = encrypted_origin(url)?;
        Ok(Self { transport, origin, account: account.into(), token: String::new() })
    }

    fn request(&mut self, mut request: Request<'_>) -> Result<Vec<u8>, Failure> {
        request.url.insert_str(0, &self.origin);
        request.max_answer_len = request.max_answer_len.max(MAX_ERROR_LEN);
        let (status, body) = self.transport.exchange(request)?;
        if (200..300).contains(&status) { Ok(body) } else { Err(Status(status).into()) }
    }

    /// A request about this account.
    fn own(
        &mut self,
        method: &'static str,
        what: &str,
        body: &[u8],
        max_answer_len: usize,
    ) -> Result<Vec<u8>, Failure> {
        let (url, header) = (account_path(&self.account) + what, ("authorization", format!("Bearer {}", self.token)));
        self.request(Request { method, url, header, is_owners: true, body, max_answer_len })
    }

    /// A request that anybody may make. What is not there is `None`.
    fn get(&mut self, url: String, max_answer_len: usize) -> Result<Option<Vec<u8>>, Failure> {
        let header = ("accept", "*/*".into());
        match self.request(Request { method: "GET", url, header, is_owners: false, body: b"", max_answer_len }) {
            Err(error) if Status::of(&error) == Some(404) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Opens the account, or takes it over with a recovery code in hexadecimal, unless an earlier attempt has done it, and logs
    /// in. `write_down` gets the next recovery code, which is stored nowhere, before it is valid: afterwards the process may
    /// have ended.
    ///
    /// # Errors
    /// 409 if the account exists, 401 if the recovery code is another one; errors of the transport and of the store.
    pub fn register<S: Mailboxes<Error: Error + 'static> + Borrow<SqliteStore>, P: Primitives>(
        &mut self,
        stored: &mut Stored<S, P>,
        access: &AccessKey,
        old_code: Option<&str>,
        write_down: impl FnOnce(&[u8; RECOVERY_CODE_LEN]),
    ) -> Result<(), Failure> {
        match stored.connect(self, now(), &mut rng()) {
            Err(Failed::Step(ExchangeError::Server(error))) if matches!(Status::of(&error), Some(401 | 404)) => {}
            connected => return Ok(connected.map(drop)?),
        }
        let mut next = [0; RECOVERY_CODE_LEN];
        rng().fill_bytes(&mut next);
        write_down(&next);
        let lock = stored.store().exclusively(LOGIN)?;
        let publication = &stored.maintain(&[], now(), &mut rng())?.publication.to_bytes()[..];
        let (access, code) = (&access.hash().to_bytes(), &recovery_hash(&next));
        let old_code = old_code.map(|code| HEXLOWER.decode(code.trim().as_bytes())).transpose()?;
        let claim = match &old_code {
            None => Claim::Open { access, code, publication },
            Some(old_code) => Claim::Recover { old_code: old_code[..].try_into()?, access, code, publication },
        };
        self.claim(&claim, |challenge| stored.messenger().sign_login(challenge))?;
        drop(lock);
        Ok(stored.connect(self, now(), &mut rng()).map(drop)?)
    }

    fn claim(&mut self, claim: &Claim<'_>, sign: impl FnOnce(&[u8; 32]) -> [u8; 64]) -> Result<(), Failure> {
        let (method, what) = match claim {
            Claim::Open { .. } => ("PUT", ""),
            Claim::Recover { .. } => ("POST", "/recover"),
        };
        let body = claim.encode(&self.origin, &self.account, sign);
        self.own(method, what, &body, 0).map(drop)
    }

    /// Deletes the account, unless it is not this device's: it is deleted, or has another device.
    ///
    /// # Errors
    /// Those of the transport, and of the server. [`LoginRefused`] if the server refuses the login of this device, and the
    /// account has its identity.
    pub fn delete<P: Primitives>(&mut self, messenger: &Messenger<P>) -> Result<(), Failure> {
        let mut sign = |challenge: &_| messenger.sign_login(challenge);
        let deleted = self.sign_in(&mut sign).and_then(|_| self.own("DELETE", "", b"", 0));
        match deleted.as_ref().err().and_then(Status::of) {
            Some(404) => Ok(()),
            Some(401) => match self.identity_of(&self.account.clone())? {
                Some(identity) if identity == *messenger.identity() => Err(LoginRefused.into()),
                _ => Ok(()),
            },
            _ => deleted.map(drop),
        }
    }

    fn identity_of(&mut self, account: &str) -> Result<Option<Identity>, Failure> {
        let Some(bytes) = self.get(format!("{}/identity", account_path(account)), IDENTITY_LEN)? else {
            return Ok(None);
        };
        let bytes = bytes.try_into().map_err(|_| "not an identity")?;
        Ok(Some(Identity::from_bytes(&RustCrypto, &bytes)?))
    }

    /// Uploads what the server lacks of a file. Log in before.
    ///
    /// # Errors
    /// Those of the transport, of the server, and of the file.
    pub fn upload(&mut self, id: &[u8; FILE_ID_LEN], file: &mut Upload) -> Result<(), Failure> {
        let path = format!("/files/{}", HEXLOWER.encode(id));
        let mut held = self.file_len(id)?;
        while let Some(part) = file.part_after(held, PART_LEN)? {
            self.own("PUT", &format!("{path}?offset={held}"), &part, 8)?;
            held = held.saturating_add(u64::try_from(part.len())?);
        }
        Ok(())
    }

    /// Sends what the server has of a file once more, which it refuses: a transfer that begins again.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    #[cfg(feature = "faults")]
    pub fn upload_again(&mut self, id: &[u8; FILE_ID_LEN], file: &mut Upload) -> Result<(), Failure> {
        let (held, mut sent) = (self.file_len(id)?, 0_u64);
        while sent < held {
            let Some(part) = file.part_after(sent, PART_LEN)? else { break };
            match self.own("PUT", &format!("/files/{}?offset={sent}", HEXLOWER.encode(id)), &part, 8) {
                Err(error) if Status::of(&error).is_none() => return Err(error),
                _ => sent = sent.saturating_add(u64::try_from(part.len())?),
            }
        }
        Ok(())
    }

    /// Fetches what has arrived of a file once more: a transfer that begins again.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    #[cfg(feature = "faults")]
    pub fn download_again(&mut self, id: &[u8; FILE_ID_LEN], file: &Download) -> Result<(), Failure> {
        let (held, mut fetched) = (file.next_offset().unwrap_or_default(), 0_u64);
        while fetched < held {
            let part = self.get(format!("/files/{}?offset={fetched}", HEXLOWER.encode(id)), PART_LEN)?;
            fetched = fetched.saturating_add(u64::try_from(part.map_or(0, |part| part.len()))?.max(1));
        }
        Ok(())
    }

    /// The length in bytes that the server has of a file of this account.
    fn file_len(&mut self, id: &[u8; FILE_ID_LEN]) -> Result<u64, Failure> {
        let held = self.own("GET", &format!("/files/{}", HEXLOWER.encode(id)), b"", 8)?;
        Ok(decode_len(&held).ok_or("not a length")?)
    }

    /// Downloads the rest of a file.
    ///
    /// # Errors
    /// Those of the transport, of the server, and of the file.
    pub fn download(&mut self, id: &[u8; FILE_ID_LEN], file: &mut Download) -> Result<(), Failure> {
        while let Some(offset) = file.next_offset() {
            let url = format!("/files/{}?offset={offset}", HEXLOWER.encode(id));
            file.put(&self.get(url, PART_LEN)?.ok_or(Status(404))?)?;
        }
        Ok(())
    }

    fn sign_in(
        &mut self,
        sign: &mut dyn FnMut(&[u8; 32]) -> [u8; 64],
    ) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, Failure> {
        let nonce = self.own("POST", "/challenge", b"", 32)?.try_into().map_err(|_| "not a challenge")?;
        let challenge = login_challenge(self.origin.as_bytes(), self.account.as_bytes(), &nonce);
        let answer = self.own("POST", "/login", &encode_login(&nonce, &sign(&challenge)), 48)?;
        let (token, nonce) = decode_logged_in(&answer).ok_or("not a login")?;
        self.token = HEXLOWER.encode(&token);
        Ok(nonce)
    }
}

impl<T: Transport, S: Borrow<SqliteStore>> Server<S> for Remote<T> {
    type Error = Failure;

    fn log_in(
        &mut self,
        sign: &mut dyn FnMut(&[u8; 32]) -> [u8; 64],
    ) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, Failure> {
        self.sign_in(sign)
    }

    fn set_nonce(&mut self, nonce: &[u8; LOGIN_NONCE_LEN]) -> Result<(), Failure> {
        self.own("PUT", "/nonce", nonce, 0).map(drop)
    }

    fn prekeys(&mut self) -> Result<Vec<PrekeyId>, Failure> {
        let listed = self.own("GET", "/prekeys", b"", 4 * usize::from(MAX_PAGE))?;
        Ok(decode_ids(&listed).ok_or("not a list of prekeys")?)
    }

    fn withdraw(&mut self, ids: &[PrekeyId]) -> Result<(), Failure> {
        let mut pages = ids.chunks(usize::from(MAX_PAGE));
        pages.try_for_each(|ids| self.own("POST", "/prekeys/withdraw", &encode_ids(ids), 0).map(drop))
    }

    fn publish(&mut self, publication: &Publication) -> Result<(), Failure> {
        self.own("PUT", "/prekeys", &publication.to_bytes(), 0).map(drop)
    }

    fn bundle(&mut self, name: &[u8]) -> Result<Option<Bundle>, Failure> {
        let url = format!("{}/bundle", account_path(std::str::from_utf8(name)?));
        let bundle = match self.get(url, BUNDLE_LEN) {
            // The server hands out none now.
            Err(error) if Status::of(&error).is_some() => None,
            answer => answer?,
        };
        Ok(bundle.and_then(|bytes| Bundle::from_bytes(&RustCrypto, &bytes).ok()))
    }

    fn identity(&mut self, name: &[u8]) -> Result<Option<Identity>, Failure> {
        self.identity_of(std::str::from_utf8(name)?)
    }

    fn deliver(&mut self, store: &mut S, to: &Peer<'_>, message: &OutboxMessage) -> Result<Delivery, Failure> {
        let key = (*store).borrow().peer_data(&to.id, ACCESS)?.map(|key| HEXLOWER.encode(&key)).unwrap_or_default();
        let url = format!("{}/messages", account_path(std::str::from_utf8(to.name)?));
        let (header, body) = ((ACCESS_KEY, key), &message.message[..]);
        match self.request(Request { method: "POST", url, header, is_owners: false, body, max_answer_len: 0 }) {
            Ok(_) => Ok(Delivery::Taken),
            Err(error) => match Status::of(&error) {
                Some(403) => Ok(Delivery::KeyRefused),
                Some(400 | 404 | 413) => Ok(Delivery::Never),
                Some(_) => Ok(Delivery::Later),
                None => Err(error),
            },
        }
    }

    fn mail(&mut self, after: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let query = after.map_or(String::new(), |number| format!("?after={number}"));
        let page = match self.own("GET", &format!("/messages{query}"), b"", MAX_ANSWER_LEN) {
            // Another process has acknowledged that message.
            Err(error) if Status::of(&error) == Some(410) => self.own("GET", "/messages", b"", MAX_ANSWER_LEN)?,
            page => page?,
        };
        Ok(decode_messages(&page).ok_or("not a list of messages")?)
    }

    fn acknowledge(&mut self, numbers: &[u64]) -> Result<(), Failure> {
        let mut pages = numbers.chunks(usize::from(MAX_PAGE));
        pages.try_for_each(|page| self.own("POST", "/messages/acknowledge", &encode_numbers(page), 0).map(drop))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = match self.0 {
            401 => "the account has another device now, or the recovery code is another one",
            403 => "the access key is not the mailbox's",
            404 => "there is no such account or file",
            409 => "the account exists",
            413 => "it is too long",
            429 => "the server holds as much as it does for one account",
            _ => "the server has failed",
        };
        write!(f, "{says} (status {})", self.0)
    }
}

impl Error for Status {}

/// Shows neither the account nor the token.
impl<T> fmt::Debug for Remote<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport: _, origin, account: _, token: _ } = self;
        f.debug_struct("Remote").field("origin", origin).finish_non_exhaustive()
    }
}

/// Shows the method.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url: _, header: _, is_owners, body: _, max_answer_len: _ } = self;
        f.debug_struct("Request").field("method", method).field("is_owners", is_owners).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noescrow::{Device, StorageKey};
    use noescrow_sqlite::Options;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// What was asked for: method, URL, header, and whether as the owner.
    type Asked = Rc<RefCell<Vec<(String, String, bool)>>>;

    /// A server that answers each request like this, but knows the account's identity if one is given.
    struct Mock(Asked, u16, Option<Identity>);

    impl Transport for Mock {
        fn exchange(&mut self, request: Request<'_>) -> Result<(u16, Vec<u8>), Failure> {
            let Request { method, url, header: (name, value), is_owners, .. } = request;
            if let Some(identity) = self.2.filter(|_| url.ends_with("/identity")) {
                return Ok((200, identity.to_bytes().to_vec()));
            }
            self.0.borrow_mut().push((format!("{method} {url}"), format!("{name}: {value}"), is_owners));
            Ok((self.1, Vec::new()))
        }
    }

    fn remote(status: u16) -> (Remote<Mock>, Asked) {
        let asked = Asked::default();
        let mut remote = Remote::new(Mock(asked.clone(), status, None), "https://a.example", "bob").unwrap();
        remote.token = "secret".into();
        (remote, asked)
    }

    #[test]
    fn tokens_go_to_no_other_machine_in_the_clear() {
        let new = |url| Remote::new(Mock(Asked::default(), 200, None), url, "bob").is_ok();
        for url in
            ["http://a.example", "http://127.0.0.1.a.example", "http://localhost@a.example", "ftp://a.example", ""]
        {
            assert!(!new(url), "{url}");
        }
        // Control.
        for url in ["https://a.example", "http://127.0.0.1:80", "http://localhost", "http://[::1]:9"] {
            assert!(new(url), "{url}");
        }
    }

    #[test]
    fn what_anybody_may_ask_names_nobody() {
        let (mut remote, asked) = remote(404);
        let server: &mut dyn Server<SqliteStore, Error = Failure> = &mut remote;
        assert!(server.bundle(b"eve").unwrap().is_none());
        assert!(server.identity(b"eve").unwrap().is_none());
        for (_, header, is_owners) in RefCell::borrow(&asked).iter() {
            assert!(!header.contains("secret") && !is_owners);
        }
        // Control: what the owner asks for has the token.
        assert_eq!(Status::of(&server.prekeys().unwrap_err()), Some(404));
        let last =
            ("GET https://a.example/accounts/bob/prekeys".to_owned(), "authorization: Bearer secret".to_owned(), true);
        assert_eq!(RefCell::borrow(&asked).last(), Some(&last));
    }

    #[test]
    fn an_account_of_another_device_is_not_this_ones_to_delete() {
        let device = || {
            let store = Options::new().open_connection(rusqlite::Connection::open_in_memory().unwrap()).unwrap();
            Stored::create(Device::generate(now(), &mut rng()), store, &StorageKey::new([7; 32]), &mut rng()).unwrap()
        };
        let (this, other) = (device(), device());
        let delete = |status, identity: Option<&Stored<_>>| {
            let mut remote = remote(status).0;
            remote.transport.2 = identity.map(|of| *of.messenger().identity());
            remote.delete(this.messenger())
        };
        assert!(delete(401, Some(&other)).is_ok() && delete(404, None).is_ok());
        // Control: it is this one's, whatever the server says of its login; the message names the way out.
        let refused = delete(401, Some(&this)).unwrap_err();
        assert!(refused.is::<LoginRefused>() && refused.to_string().contains("--local"));
        // Other answers leave open whether it is there.
        assert!([401, 403, 429, 500].into_iter().all(|status| delete(status, None).is_err()));
    }

    #[test]
    fn a_server_that_fails_hands_out_no_bundle() {
        let (mut remote, _) = remote(503);
        let server: &mut dyn Server<SqliteStore, Error = Failure> = &mut remote;
        // The message is then sent on the existing session.
        assert!(server.bundle(b"eve").unwrap().is_none());
        // Control: other answers of such a server are errors.
        assert!(server.identity(b"eve").is_err());
    }
}
