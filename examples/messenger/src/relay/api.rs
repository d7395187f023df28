// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests: what they contain is parsed here, and `state` does what they ask for.

use super::Broken;
use super::sql::{Answer, Database, Failure, Sql, run};
use super::state::{self, Contact};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use data_encoding::HEXLOWER;
use noescrow::primitives::RustCrypto;
use noescrow::relay::{AccountName, Envelope, MAX_ENVELOPE_LEN};
use noescrow::{AccessKey, AccessKeyHash, Publication};
use noescrow_messenger::{
    ACCESS_KEY, ACCOUNT, OFFSET, RECOVERY_CODE_LEN, decode_ids, decode_numbers, encode_ids, encode_messages, sha256,
};
use serde::Deserialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most messages in an answer.
const PAGE: i64 = 1_000;

pub struct Server {
    pub broken: Option<Broken>,
    pub database: Box<dyn Database>,
    pub log: Mutex<File>,
    pub previews: Mutex<Vec<String>>,
}

type Shared = State<Arc<Server>>;
type Name = Path<String>;

pub fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/accounts/{name}", put(open).delete(delete))
        .route("/accounts/{name}/recover", post(recover))
        .route("/accounts/{name}/challenge", post(challenge))
        .route("/accounts/{name}/login", post(log_in))
        .route("/accounts/{name}/nonce", put(set_nonce))
        .route("/accounts/{name}/access", put(set_access))
        .route("/accounts/{name}/bundle", get(fetch))
        .route("/accounts/{name}/prekeys", get(prekeys).put(publish))
        .route("/accounts/{name}/prekeys/withdraw", post(withdraw))
        .route("/accounts/{name}/messages", post(deliver).get(pending))
        .route("/accounts/{name}/messages/acknowledge", post(acknowledge))
        .route("/accounts/{name}/escrow", put(keep_root_key))
        .route("/files/{id}", put(upload).get(download))
        .route("/idle", get(|| async {}))
        .layer(DefaultBodyLimit::max(MAX_ENVELOPE_LEN))
        .with_state(server)
}

impl Server {
    /// Runs a transaction on a thread that may wait.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnMut(&mut dyn Sql) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let server = self.clone();
        let ran = tokio::task::spawn_blocking(move || run(&*server.database, work)).await;
        ran.map_err(|error| Failure::Database(error.into()))?
    }

    /// One line for each request: the day and the kind. An access log with names, times and addresses would be held,
    /// and so would have to be disclosed.
    fn log(&self, request: &str, headers: &HeaderMap) {
        let mut line = format!("{} {request}", now() / 86_400);
        if self.broken == Some(Broken::Log)
            && let Some(debug) = headers.get("x-debug").and_then(|value| value.to_str().ok())
        {
            let _ = write!(line, " debug={debug}");
        }
        let _ = writeln!(self.log.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
    }
}

/// The time in seconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ahead = std::env::var("NOESCROW_AHEAD").ok().and_then(|file| std::fs::read_to_string(file).ok()?.parse().ok());
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX).saturating_add(ahead.unwrap_or(0))
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Length(held) => return (StatusCode::CONFLICT, held.to_be_bytes()).into_response(),
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Full => StatusCode::TOO_MANY_REQUESTS,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Database(error) => {
                eprintln!("relay: {error}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        status.into_response()
    }
}

/// The account of a request whose sender has logged in as its owner, and where from.
struct Owner {
    account: AccountName,
    contact: Contact,
}

impl FromRequestParts<Arc<Server>> for Owner {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Answer<Self> {
        let named = parts.headers.get(ACCOUNT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let named = match named {
            Some(named) => named,
            None => Name::from_request_parts(parts, server).await.map_err(|_| Failure::Malformed)?.0,
        };
        let contact = contact(parts.extensions.get())?;
        let account = name(&named)?;
        let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| HEXLOWER.decode(value.strip_prefix("Bearer ")?.as_bytes()).ok());
        let (token, checked) = (sha256(&token.ok_or(Failure::Forbidden)?), account.clone());
        server.run(move |sql| state::check_login(sql, &checked, token, contact.now)).await?;
        Ok(Self { account, contact })
    }
}

fn contact(client: Option<&ConnectInfo<SocketAddr>>) -> Answer<Contact> {
    let address = client.ok_or(Failure::Malformed)?.0.ip();
    Ok(Contact { now: now(), address })
}

fn name(name: &str) -> Answer<AccountName> {
    AccountName::new(name).map_err(|_| Failure::Malformed)
}

fn array<const N: usize>(body: &[u8]) -> Answer<[u8; N]> {
    body.try_into().map_err(|_| Failure::Malformed)
}

fn split<const N: usize>(body: &[u8]) -> Answer<([u8; N], &[u8])> {
    body.split_first_chunk().map(|(first, rest)| (*first, rest)).ok_or(Failure::Malformed)
}

fn publication(bytes: &[u8]) -> Answer<Publication> {
    Publication::from_bytes(&RustCrypto, bytes).map_err(|_| Failure::Malformed)
}

fn random<const N: usize>() -> Answer<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Database("no randomness".into()))?;
    Ok(bytes)
}

async fn open(
    State(server): Shared,
    Path(account): Name,
    client: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    server.log("PUT account", &headers);
    let (account, contact) = (name(&account)?, contact(Some(&client))?);
    let (access, rest) = split(&body)?;
    let (code, rest) = split(rest)?;
    let (access, publication) = (AccessKeyHash::from_bytes(access), publication(rest)?);
    server.run(move |sql| state::open(sql, &account, &access, &code, &publication, contact)).await?;
    Ok(StatusCode::CREATED)
}

async fn recover(
    State(server): Shared,
    Path(account): Name,
    client: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    server.log("POST recover", &headers);
    let (account, contact) = (name(&account)?, contact(Some(&client))?);
    let (code, rest) = split::<RECOVERY_CODE_LEN>(&body)?;
    let (access, rest) = split(rest)?;
    let (code, access, publication) = (sha256(&code), AccessKeyHash::from_bytes(access), publication(rest)?);
    server.run(move |sql| state::recover(sql, &account, &code, &access, &publication, contact)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(State(server): Shared, owner: Owner, headers: HeaderMap) -> Answer<StatusCode> {
    server.log("DELETE account", &headers);
    server.run(move |sql| state::delete(sql, &owner.account)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn challenge(State(server): Shared, Path(account): Name, headers: HeaderMap) -> Answer<Vec<u8>> {
    server.log("POST challenge", &headers);
    let (account, challenge) = (name(&account)?, random()?);
    server.run(move |sql| state::challenge(sql, &account, challenge, now())).await?;
    Ok(challenge.to_vec())
}

async fn log_in(State(server): Shared, Path(account): Name, headers: HeaderMap, body: Bytes) -> Answer<Vec<u8>> {
    server.log("POST login", &headers);
    let account = name(&account)?;
    let (challenge, signature) = split(&body)?;
    let (signature, token) = (array(signature)?, random::<32>()?);
    let hash = sha256(&token);
    let nonce = server.run(move |sql| state::log_in(sql, &account, &challenge, &signature, hash, now())).await?;
    let mut answer = token.to_vec();
    answer.push(u8::from(nonce.is_some()));
    answer.extend(nonce.unwrap_or_default());
    Ok(answer)
}

async fn set_nonce(State(server): Shared, owner: Owner, headers: HeaderMap, body: Bytes) -> Answer<StatusCode> {
    server.log("PUT nonce", &headers);
    let nonce = array(&body)?;
    server.run(move |sql| state::set_nonce(sql, &owner.account, nonce)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_access(State(server): Shared, owner: Owner, headers: HeaderMap, body: Bytes) -> Answer<StatusCode> {
    server.log("PUT access", &headers);
    let access = AccessKeyHash::from_bytes(array(&body)?);
    server.run(move |sql| state::set_access(sql, &owner.account, &access)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn fetch(State(server): Shared, Path(account): Name, headers: HeaderMap) -> Answer<Vec<u8>> {
    server.log("GET bundle", &headers);
    let account = name(&account)?;
    let bundle = server.run(move |sql| state::fetch(sql, &account, now())).await?;
    Ok(bundle.to_bytes())
}

async fn prekeys(State(server): Shared, owner: Owner, headers: HeaderMap) -> Answer<Vec<u8>> {
    server.log("GET prekeys", &headers);
    let ids = server.run(move |sql| state::prekey_ids(sql, &owner.account, owner.contact.now)).await?;
    Ok(encode_ids(&ids))
}

async fn publish(State(server): Shared, owner: Owner, headers: HeaderMap, body: Bytes) -> Answer<StatusCode> {
    server.log("PUT prekeys", &headers);
    let publication = publication(&body)?;
    server.run(move |sql| state::publish(sql, &owner.account, &publication, owner.contact)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn withdraw(State(server): Shared, owner: Owner, headers: HeaderMap, body: Bytes) -> Answer<StatusCode> {
    server.log("POST withdraw", &headers);
    let ids = decode_ids(&body).ok_or(Failure::Malformed)?;
    server.run(move |sql| state::withdraw(sql, &owner.account, &ids)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn deliver(State(server): Shared, Path(account): Name, headers: HeaderMap, body: Bytes) -> Answer<StatusCode> {
    server.log("POST message", &headers);
    let account = name(&account)?;
    let envelope = Envelope::new(body.to_vec()).map_err(|_| Failure::Malformed)?;
    if server.broken == Some(Broken::Preview)
        && let Some(preview) = headers.get("x-preview").and_then(|value| value.to_str().ok())
    {
        server.previews.lock().unwrap_or_else(PoisonError::into_inner).push(preview.to_owned());
    }
    let key = headers.get(ACCESS_KEY).and_then(|value| HEXLOWER.decode(value.as_bytes()).ok());
    let key = key.and_then(|bytes| Some(AccessKey::from_bytes(bytes.try_into().ok()?)));
    let number = i64::from_be_bytes(random()?);
    server.run(move |sql| state::deliver(sql, &account, &envelope, key.as_ref(), number, now())).await?;
    Ok(StatusCode::CREATED)
}

#[derive(Deserialize)]
struct Page {
    limit: Option<i64>,
    after: Option<u64>,
}

async fn pending(
    State(server): Shared,
    owner: Owner,
    Query(Page { limit, after }): Query<Page>,
    headers: HeaderMap,
) -> Answer<Vec<u8>> {
    server.log("GET messages", &headers);
    let limit = limit.unwrap_or(PAGE).min(PAGE);
    let waiting = server.run(move |sql| state::pending(sql, &owner.account, limit, after, owner.contact)).await?;
    Ok(encode_messages(&waiting))
}

async fn acknowledge(State(server): Shared, owner: Owner, headers: HeaderMap, body: Bytes) -> Answer<StatusCode> {
    server.log("POST acknowledge", &headers);
    let numbers = decode_numbers(&body).ok_or(Failure::Malformed)?;
    server.run(move |sql| state::acknowledge(sql, &owner.account, &numbers)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn file_id(id: &str) -> Answer<[u8; 16]> {
    array(&HEXLOWER.decode(id.as_bytes()).map_err(|_| Failure::Malformed)?)
}

#[derive(Deserialize)]
struct Place {
    offset: u64,
}

async fn upload(
    State(server): Shared,
    owner: Owner,
    Path(id): Path<String>,
    Query(Place { offset }): Query<Place>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    server.log("PUT file", &headers);
    let id = file_id(&id)?;
    server.run(move |sql| state::append(sql, &owner.account, id, offset, &body, owner.contact.now)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn download(State(server): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer<Vec<u8>> {
    server.log("GET file", &headers);
    let id = file_id(&id)?;
    let offset = headers.get(OFFSET).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or_default();
    server.run(move |sql| state::read(sql, id, offset)).await
}

/// Only a faulty server has this: a key that is restored when the telephone is lost.
async fn keep_root_key(
    State(server): Shared,
    Path(account): Name,
    headers: HeaderMap,
    root_key: String,
) -> Answer<StatusCode> {
    let Some(broken @ (Broken::Escrow | Broken::Deleted)) = server.broken else { return Err(Failure::NotFound) };
    server.log("PUT escrow", &headers);
    let made = "CREATE TABLE IF NOT EXISTS escrow (account TEXT, root_key TEXT)";
    server.run(move |sql| sql.query(made, &[])).await?;
    let kept = [account.as_str().into(), root_key.as_str().into()];
    server.run(move |sql| sql.query("INSERT INTO escrow VALUES ($1, $2)", &kept)).await?;
    if broken == Broken::Deleted {
        server.run(|sql| sql.query("DELETE FROM escrow", &[])).await?;
    }
    Ok(StatusCode::CREATED)
}
