// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client side of an app: devices that record and use HTTP/1.1, one connection a request.

use data_encoding::HEXLOWER;
use noescrow::primitives::RustCrypto;
use noescrow::{AccessKey, AccessKeyHash, Bundle, Capacity, Publication, device, session};
use noescrow_messenger::{
    ACCESS_KEY, Claim, account_path, decode_logged_in, decode_messages, encode_login, encode_numbers,
};
use noescrow_recorder::Recorder;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub type Device = device::Device<Recorder, Capacity<100, 16>>;
pub type Session = session::Session<Recorder>;
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// One account's connection to the server.
pub struct Client {
    server: SocketAddr,
    /// The server's name, for which logins are signed.
    name: String,
    account: &'static str,
    /// The `Authorization` header of a login.
    login: Option<String>,
    /// Sent with the next request: data that a client leaks by being too helpful.
    pub extra: Option<(&'static str, String)>,
}

impl Client {
    pub fn new(server: SocketAddr, name: &str, account: &'static str) -> Self {
        Self { server, name: name.into(), account, login: None, extra: None }
    }

    /// Sends a request about an account, with the login if it is the own one.
    fn request(&mut self, method: &str, account: &str, path: &str, body: &[u8], header: &str) -> Outcome<Vec<u8>> {
        let login = self.login.as_deref().filter(|_| account == self.account).unwrap_or_default();
        let extra = self.extra.take().map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
        let (length, account) = (body.len(), account_path(account));
        let head = format!(
            "{method} {account}{path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{login}{header}{extra}\r\n"
        );
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end =
            answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("an answer without an end of headers")?;
        let body = answer.split_off(end + 4);
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned();
        if status.starts_with('2') { Ok(body) } else { Err(format!("{method} {path}: status {status}").into()) }
    }

    fn own(&mut self, method: &str, path: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        self.request(method, self.account, path, body, "")
    }

    pub fn open(&mut self, device: &Device, publication: &Publication, access: AccessKeyHash) -> Outcome<()> {
        // Nobody recovers this account: the code is not kept.
        let mut code = [0; 32];
        getrandom::fill(&mut code)?;
        let claim = Claim::Open { access: &access.to_bytes(), code: &code, publication: &publication.to_bytes() };
        let body = claim.encode(&self.name, self.account, |challenge| device.sign_login(challenge));
        self.own("PUT", "", &body).map(drop)
    }

    pub fn log_in(&mut self, device: &Device) -> Outcome<()> {
        let nonce = self.own("POST", "/challenge", &[])?.as_slice().try_into()?;
        let challenge = device::login_challenge(self.name.as_bytes(), self.account.as_bytes(), &nonce);
        let answer = self.own("POST", "/login", &encode_login(&nonce, &device.sign_login(&challenge)))?;
        let (token, _) = decode_logged_in(&answer).ok_or("not a login")?;
        self.login = Some(format!("Authorization: Bearer {}\r\n", HEXLOWER.encode(&token)));
        Ok(())
    }

    pub fn fetch(&mut self, account: &str) -> Outcome<Bundle> {
        let bundle = self.request("GET", account, "/bundle", &[], "")?;
        Ok(Bundle::from_bytes(&RustCrypto, &bundle)?)
    }

    pub fn rotate_access_key(&mut self, access: AccessKeyHash) -> Outcome<()> {
        self.own("PUT", "/access", &access.to_bytes()).map(drop)
    }

    /// Sends with the account's access key, which correspondents have; a stranger sends a first message without it.
    pub fn send(&mut self, account: &str, message: &[u8], key: Option<&AccessKey>) -> Outcome<()> {
        let key = key.map_or_else(String::new, |key| format!("{ACCESS_KEY}: {}\r\n", HEXLOWER.encode(key.expose())));
        self.request("POST", account, "/messages", message, &key).map(drop)
    }

    /// Fetches what is waiting for this account, and acknowledges it: the server deletes it.
    pub fn receive(&mut self) -> Outcome<Vec<Vec<u8>>> {
        let answer = self.own("GET", "/messages", &[])?;
        let waiting = decode_messages(&answer).ok_or("a malformed answer")?;
        let numbers: Vec<u64> = waiting.iter().map(|(number, _)| *number).collect();
        self.own("POST", "/messages/acknowledge", &encode_numbers(&numbers))?;
        Ok(waiting.into_iter().map(|(_, message)| message).collect())
    }

    /// A request that only the client of a faulty server makes.
    pub fn keep_for_recovery(&mut self, root_key: &str) -> Outcome<()> {
        self.own("PUT", "/escrow", root_key.as_bytes()).map(drop)
    }

    /// A request that changes nothing.
    pub fn idle(&mut self) -> Outcome<()> {
        self.own("GET", "/prekeys", &[]).map(drop)
    }
}
