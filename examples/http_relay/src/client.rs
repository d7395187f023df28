// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client side of an app: devices that record and use HTTP/1.1, one connection a request.

use data_encoding::HEXLOWER;
use noescrow::primitives::RustCrypto;
use noescrow::{AccessKey, AccessKeyHash, Bundle, Capacity, Publication, device, session};
use noescrow_recorder::Recorder;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub type Device = device::Device<Recorder, Capacity<100, 16>>;
pub type Session = session::Session<Recorder>;
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// One account's connection to the server.
pub struct Client {
    pub server: SocketAddr,
    pub account: &'static str,
    /// Sent with the next request: data that a client leaks by being too helpful.
    pub extra: Option<(&'static str, String)>,
}

impl Client {
    fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        self.request_with(method, path, body, "")
    }

    fn request_with(&mut self, method: &str, path: &str, body: &[u8], header: &str) -> Outcome<Vec<u8>> {
        let extra = self.extra.take().map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\nContent-Length: {length}\r\n{header}{extra}\r\n"
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

    pub fn publish(&mut self, publication: &Publication, access: AccessKeyHash) -> Outcome<()> {
        let mut body = [&access.to_bytes()[..], &publication.identity.to_bytes()].concat();
        for prekey in [&publication.signed_prekey].into_iter().chain(&publication.one_time_prekeys) {
            body.extend(prekey.to_bytes());
        }
        self.request("PUT", &format!("/accounts/{}", self.account), &body).map(drop)
    }

    pub fn fetch(&mut self, account: &str) -> Outcome<Bundle> {
        let bundle = self.request("GET", &format!("/accounts/{account}"), &[])?;
        Ok(Bundle::from_bytes(&RustCrypto, &bundle)?)
    }

    pub fn rotate_access_key(&mut self, access: AccessKeyHash) -> Outcome<()> {
        self.request("PUT", &format!("/accounts/{}/access", self.account), &access.to_bytes()).map(drop)
    }

    /// Sends with the account's access key, which correspondents have; a stranger sends a first message without it.
    pub fn send(&mut self, account: &str, message: &[u8], key: Option<&AccessKey>) -> Outcome<()> {
        let key = key.map_or_else(String::new, |key| format!("x-access-key: {}\r\n", HEXLOWER.encode(key.expose())));
        self.request_with("POST", &format!("/accounts/{account}/messages"), message, &key).map(drop)
    }

    /// Fetches what is waiting for this account; the server deletes it.
    pub fn receive(&mut self) -> Outcome<Vec<Vec<u8>>> {
        let path = format!("/accounts/{}/messages", self.account);
        let answer = self.request("GET", &path, &[])?;
        let (mut rest, mut messages) = (answer.as_slice(), Vec::new());
        while let Some((number, after)) = rest.split_first_chunk() {
            let (len, after) = after.split_first_chunk().ok_or("a short answer")?;
            let len = usize::try_from(u64::from_be_bytes(*len))?;
            let (message, after) = after.split_at_checked(len).ok_or("a short answer")?;
            messages.push(message.to_vec());
            rest = after;
            self.request("DELETE", &format!("{path}/{}", i64::from_be_bytes(*number)), &[])?;
        }
        Ok(messages)
    }

    /// Requests that only the client of a faulty server makes.
    pub fn keep_for_recovery(&mut self, root_key: &str) -> Outcome<()> {
        self.request("PUT", &format!("/accounts/{}/recovery", self.account), root_key.as_bytes()).map(drop)
    }

    /// A request that transfers nothing and changes nothing.
    pub fn idle(&mut self) -> Outcome<()> {
        self.request("GET", "/idle", &[]).map(drop)
    }
}
