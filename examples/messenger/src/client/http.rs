// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests to the server. README.md has the table.

use super::app::Failure;
use data_encoding::HEXLOWER;
use noescrow::device::login_challenge;
use noescrow::messenger::LOGIN_NONCE_LEN;
use noescrow_messenger::{
    ACCESS_KEY, MAX_ANSWER_LEN, Numbered, account_path, decode_len, decode_logged_in, decode_messages, encode_login,
    origin,
};
use std::fmt::{Display, Formatter, Result as Formatted};
use std::time::Duration;
use ureq::{Agent, http::Request};

/// A server that does not answer for so long is not reachable.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server, as one account uses it.
#[derive(Clone)]
pub struct Server {
    agent: Agent,
    base: String,
    account: String,
    token: String,
}

/// An answer that is not a success: its status, and its body.
#[derive(Debug)]
pub struct Status(pub u16, pub Vec<u8>);

impl Server {
    pub fn new(base: &str, account: &str) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        Self { agent, base: base.trim_end_matches('/').into(), account: account.into(), token: String::new() }
    }

    fn request(&self, method: &str, path: &str, access: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).header(ACCESS_KEY, access);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let mut answer = self.agent.run(request.body(body)?)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_LEN as u64).read_to_vec()?;
        if (200..300).contains(&status) { Ok(body) } else { Err(Status(status, body).into()) }
    }

    /// A request about this account.
    pub fn own(&self, method: &str, what: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        self.request(method, &format!("{}{what}", account_path(&self.account)), "", body)
    }

    /// Logs in with a signature of the server's challenge. Returns the login nonce that the server has.
    pub fn log_in(
        &mut self,
        sign: impl FnOnce(&[u8; 32]) -> [u8; 64],
    ) -> Result<Option<[u8; LOGIN_NONCE_LEN]>, Failure> {
        self.token.clear();
        let nonce = self.own("POST", "/challenge", b"")?.try_into().map_err(|_| "not a challenge")?;
        let challenge = login_challenge(self.name()?.as_bytes(), self.account.as_bytes(), &nonce);
        let answer = self.own("POST", "/login", &encode_login(&nonce, &sign(&challenge)))?;
        let (token, nonce) = decode_logged_in(&answer).ok_or("not a login")?;
        self.token = HEXLOWER.encode(&token);
        Ok(nonce)
    }

    /// The name of the server, for which logins are signed.
    pub fn name(&self) -> Result<String, Failure> {
        Ok(origin(&self.base).ok_or("the server has no name")?)
    }

    pub fn bundle(&self, account: &str) -> Result<Vec<u8>, Failure> {
        self.anonymous().request("GET", &format!("{}/bundle", account_path(account)), "", b"")
    }

    /// Delivers a message, with the access key of the addressed account if it is known.
    pub fn deliver(&self, account: &str, message: &[u8], access: &str) -> Result<Vec<u8>, Failure> {
        self.anonymous().request("POST", &format!("{}/messages", account_path(account)), access, message)
    }

    /// For requests that do not say who makes them.
    fn anonymous(&self) -> Self {
        Self { token: String::new(), ..self.clone() }
    }

    /// Returns waiting messages, those after the one with the number `after`.
    pub fn messages(&self, limit: usize, after: Option<u64>) -> Result<Vec<Numbered>, Failure> {
        let after = after.map_or(String::new(), |number| format!("&after={number}"));
        let page = self.own("GET", &format!("/messages?limit={limit}{after}"), b"")?;
        Ok(decode_messages(&page).ok_or("not a list of messages")?)
    }

    /// The length that the server has of a file.
    pub fn uploaded(&self, id: &str) -> Result<u64, Failure> {
        Ok(decode_len(&self.own("GET", &format!("/files/{id}"), b"")?).ok_or("not a length")?)
    }

    /// Appends to a file, or returns the length that the server has, if that is not `offset`.
    pub fn append(&self, id: &str, offset: u64, part: &[u8]) -> Result<Option<u64>, Failure> {
        match self.own("PUT", &format!("/files/{id}?offset={offset}"), part) {
            Ok(_) => Ok(None),
            Err(error) => match error.downcast_ref() {
                Some(Status(412, held)) => Ok(Some(decode_len(held).ok_or(error)?)),
                _ => Err(error),
            },
        }
    }

    pub fn part(&self, id: &str, offset: u64) -> Result<Vec<u8>, Failure> {
        self.anonymous().request("GET", &format!("/files/{id}?offset={offset}"), "", b"")
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        write!(f, "the server answers with status {}", self.0)
    }
}

impl std::error::Error for Status {}
