// SPDX-License-Identifier: MIT OR Apache-2.0
//! A relay over HTTP with its state in SQLite. It holds what `noescrow::relay` may hold, and nothing else: every
//! received body is parsed as an [`Identity`], a [`Prekey`], an [`AccessKeyHash`] or an [`Envelope`] before it is
//! stored, and times are days, or periods of ten minutes. Its log has no names and no addresses.
//!
//! ```text
//! PUT    /accounts/NAME                    access key's hash (32) || identity || signed prekey || one-time prekeys
//! GET    /accounts/NAME                    a bundle; its one-time prekey is gone then
//! PUT    /accounts/NAME/access             another access key's hash (32), after somebody was blocked
//! POST   /accounts/NAME/messages           a message; header x-access-key: the access key in hexadecimal
//! GET    /accounts/NAME/messages           {number (8) || length (8) || message}
//! DELETE /accounts/NAME/messages/NUMBER    it was received
//! ```
//!
//! With `--broken LEAK` it is a faulty variant that an audit must flag. A server can leak only what it is given: each
//! variant takes something that a client "helpfully" sends. Authorisation is not the concern of this program: a server
//! verifies a login (`Identity::verify_login`) before each request of an account's owner. Nor is forgetting, which
//! `Relay::forget` does: deleted rows stay in the database's file and its WAL until they are overwritten, and the audit
//! searches them.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post, put};
use data_encoding::HEXLOWER;
use noescrow::primitives::RustCrypto;
use noescrow::relay::{
    AccountName, Envelope, MAX_QUEUE_BYTES, MAX_QUEUE_LEN, MAX_STRANGERS_BYTES, MAX_STRANGERS_LEN, ONE_TIME_BURST,
    ONE_TIME_INTERVAL,
};
use noescrow::{AccessKey, AccessKeyHash, Bundle, Identity, Prekey, PrekeyKind, is_first_message};
use rusqlite::{Connection, OptionalExtension, params};
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncReadExt;

/// Bytes of a body: 400 prekeys, or a long message.
const MAX_BODY: usize = 1 << 20;
const IDENTITY_LEN: usize = 128;
const PREKEY_LEN: usize = noescrow::PREKEY_LEN;

/// Without row numbers, which would count what was ever inserted. A message's place is its place in the queue now; its
/// number is random.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE accounts (name TEXT PRIMARY KEY, opened INTEGER, access BLOB, identity BLOB, signed_prekey BLOB,
        full_again INTEGER) WITHOUT ROWID;
    CREATE TABLE prekeys (account TEXT, expiry INTEGER, id INTEGER, prekey BLOB, PRIMARY KEY (account, id))
        WITHOUT ROWID;
    CREATE TABLE messages (account TEXT, number INTEGER, place INTEGER, day INTEGER, with_key INTEGER, envelope BLOB,
        PRIMARY KEY (account, number)) WITHOUT ROWID;
    CREATE TABLE contacts (account TEXT, day INTEGER, address TEXT, PRIMARY KEY (account, day, address)) WITHOUT ROWID;
    CREATE TABLE escrow (account TEXT, root_key TEXT);
";

/// How a faulty variant leaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// It logs the debug header of its requests.
    Log,
    /// It keeps keys that clients store with it "for recovery".
    Escrow,
    /// It kept them, and has deleted them.
    Deleted,
    /// It keeps previews of messages, in memory only.
    Preview,
}

struct Server {
    broken: Option<Broken>,
    database: Mutex<Connection>,
    log: Mutex<File>,
    previews: Mutex<Vec<String>>,
}

type Shared = State<Arc<Server>>;
/// Failures are due to the client's request or to the database.
type Answer<T> = Result<T, StatusCode>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut folder, mut broken, mut seconds) = (None, None, 60);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("usage: relay --folder DIR [--broken LEAK] [--seconds N]")?;
        match argument.as_str() {
            "--folder" => folder = Some(PathBuf::from(value)),
            "--seconds" => seconds = value.parse()?,
            "--broken" => {
                broken = Some(match value.as_str() {
                    "log" => Broken::Log,
                    "escrow" => Broken::Escrow,
                    "deleted" => Broken::Deleted,
                    "preview" => Broken::Preview,
                    _ => return Err("LEAK is one of log, escrow, deleted, preview".into()),
                });
            }
            _ => return Err(format!("unknown option {argument}").into()),
        }
    }
    let folder = folder.ok_or("--folder is missing")?;
    let database = Connection::open(folder.join("relay.db"))?;
    database.execute_batch(SCHEMA)?;
    let log = File::options().append(true).create(true).open(folder.join("relay.log"))?;
    let (database, log) = (Mutex::new(database), Mutex::new(log));
    let server = Arc::new(Server { broken, database, log, previews: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(server, Duration::from_secs(seconds)))
}

/// Serves until its standard input ends, or the time limit is reached.
async fn serve(server: Arc<Server>, longest: Duration) -> Result<(), Box<dyn Error>> {
    let routes = Router::new()
        .route("/accounts/{name}", put(publish).get(fetch))
        .route("/accounts/{name}/access", put(rotate))
        .route("/accounts/{name}/messages", post(deliver).get(pending))
        .route("/accounts/{name}/messages/{number}", delete(acknowledge))
        .route("/accounts/{name}/recovery", put(recovery))
        .route("/idle", get(|| async {}))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(server)
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let served = std::future::IntoFuture::into_future(axum::serve(listener, routes));
    let mut input = tokio::io::stdin();
    tokio::select! {
        result = served => result?,
        _ = async { while input.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} } => {}
        () = tokio::time::sleep(longest) => {}
    }
    // The thread that reads standard input is not joined.
    std::process::exit(0)
}

impl Server {
    fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line for each request: the day and the kind. An access log with names, times and addresses would be held,
    /// and so would have to be disclosed.
    fn log(&self, request: &str, headers: &HeaderMap) {
        let mut line = format!("{} {request}", today());
        if self.broken == Some(Broken::Log)
            && let Some(debug) = headers.get("x-debug").and_then(|value| value.to_str().ok())
        {
            let _ = write!(line, " debug={debug}");
        }
        let _ = writeln!(self.log.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The only time that is stored with a contact, a message or an account.
fn today() -> i64 {
    now() / 86_400
}

fn name(name: &str) -> Answer<AccountName> {
    AccountName::new(name).map_err(|_| StatusCode::BAD_REQUEST)
}

fn failed(error: rusqlite::Error) -> StatusCode {
    eprintln!("relay: {error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn publish(
    State(server): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    server.log("PUT account", &headers);
    let account = name(&account)?;
    let bad = |_| StatusCode::BAD_REQUEST;
    let (access, keys) = body.split_first_chunk().ok_or(StatusCode::BAD_REQUEST)?;
    let access = AccessKeyHash::from_bytes(*access);
    let (identity, prekeys) = keys.split_first_chunk::<IDENTITY_LEN>().ok_or(StatusCode::BAD_REQUEST)?;
    let identity = Identity::from_bytes(&RustCrypto, identity).map_err(bad)?;
    if prekeys.is_empty() || prekeys.len() % PREKEY_LEN != 0 {
        return Err(StatusCode::BAD_REQUEST);
    }
    let prekeys = prekeys.chunks_exact(PREKEY_LEN).map(|bytes| prekey(&identity, bytes));
    let prekeys = prekeys.collect::<Answer<Vec<Prekey>>>()?;
    let (signed, one_time) = prekeys.split_first().ok_or(StatusCode::BAD_REQUEST)?;
    let kinds_fit = signed.kind() == PrekeyKind::Signed && one_time.iter().all(|key| key.kind() == PrekeyKind::OneTime);
    if !kinds_fit {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut database = server.database();
    let transaction = database.transaction().map_err(failed)?;
    let (access, identity, signed) = (access.to_bytes(), identity.to_bytes(), signed.to_bytes());
    let opened = params![account.as_str(), today(), &access[..], &identity[..], &signed[..]];
    transaction.execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, 0)", opened).map_err(|_| StatusCode::CONFLICT)?;
    for key in one_time {
        let expiry = i64::try_from(key.expiry().0).unwrap_or(i64::MAX);
        let row = params![account.as_str(), expiry, key.id(), &key.to_bytes()[..]];
        transaction.execute("INSERT INTO prekeys VALUES (?, ?, ?, ?)", row).map_err(|_| StatusCode::CONFLICT)?;
    }
    record_contact(&transaction, &account, client)?;
    transaction.commit().map_err(failed)?;
    Ok(StatusCode::CREATED)
}

/// Once a day and address.
fn record_contact(database: &Connection, account: &AccountName, client: SocketAddr) -> Answer<()> {
    let seen = params![account.as_str(), today(), client.ip().to_string()];
    database.execute("INSERT OR IGNORE INTO contacts VALUES (?, ?, ?)", seen).map(drop).map_err(failed)
}

async fn rotate(
    State(server): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    server.log("PUT access", &headers);
    let account = name(&account)?;
    let access = AccessKeyHash::from_bytes(body[..].try_into().map_err(|_| StatusCode::BAD_REQUEST)?).to_bytes();
    let database = server.database();
    let row = params![account.as_str(), &access[..]];
    match database.execute("UPDATE accounts SET access = ?2 WHERE name = ?1", row).map_err(failed)? {
        1 => record_contact(&database, &account, client).map(|()| StatusCode::NO_CONTENT),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

fn prekey(identity: &Identity, bytes: &[u8]) -> Answer<Prekey> {
    let bytes = bytes.try_into().map_err(|_| StatusCode::BAD_REQUEST)?;
    Prekey::from_bytes(&RustCrypto, identity, bytes).map_err(|_| StatusCode::BAD_REQUEST)
}

async fn fetch(State(server): Shared, Path(account): Path<String>, headers: HeaderMap) -> Answer<Vec<u8>> {
    server.log("GET account", &headers);
    let account = name(&account)?;
    let database = server.database();
    let known = database
        .query_row(
            "SELECT identity, signed_prekey, full_again FROM accounts WHERE name = ?",
            [account.as_str()],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?)),
        )
        .optional()
        .map_err(failed)?;
    let (identity, signed, full_again) = known.ok_or(StatusCode::NOT_FOUND)?;
    // The first that expires of those that have not.
    let first = "DELETE FROM prekeys WHERE account = ?1 AND id = (SELECT id FROM prekeys WHERE account = ?1 \
                 AND expiry >= ?2 ORDER BY expiry, id LIMIT 1) RETURNING prekey";
    let period = now() / i64::try_from(ONE_TIME_INTERVAL.as_secs()).unwrap_or(i64::MAX);
    let burst = i64::try_from(ONE_TIME_BURST).unwrap_or(i64::MAX);
    let full_again = full_again.clamp(period, period + burst);
    let one_time = if full_again - period < burst {
        let row = params![account.as_str(), now()];
        database.query_row(first, row, |row| row.get::<_, Vec<u8>>(0)).optional().map_err(failed)?
    } else {
        None
    };
    if one_time.is_some() {
        let row = params![account.as_str(), full_again + 1];
        database.execute("UPDATE accounts SET full_again = ?2 WHERE name = ?1", row).map_err(failed)?;
    }
    let stored = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let identity = identity.as_slice().try_into().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let identity = Identity::from_bytes(&RustCrypto, identity).map_err(stored)?;
    let one_time = one_time.map(|bytes| prekey(&identity, &bytes)).transpose()?;
    Ok(Bundle::new(identity, prekey(&identity, &signed)?, one_time)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?
        .to_bytes())
}

async fn deliver(
    State(server): Shared,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    server.log("POST message", &headers);
    let account = name(&account)?;
    let envelope = Envelope::new(body.to_vec()).map_err(|_| StatusCode::BAD_REQUEST)?;
    if server.broken == Some(Broken::Preview)
        && let Some(preview) = headers.get("x-preview").and_then(|value| value.to_str().ok())
    {
        server.previews.lock().unwrap_or_else(PoisonError::into_inner).push(preview.to_owned());
    }
    let database = server.database();
    let access = "SELECT access FROM accounts WHERE name = ?";
    let access = database.query_row(access, [account.as_str()], |row| row.get(0)).optional().map_err(failed)?;
    let access = AccessKeyHash::from_bytes(access.ok_or(StatusCode::NOT_FOUND)?);
    let with_key = access_key(&headers).is_some_and(|key| access.admits(&key));
    if !with_key && !is_first_message(envelope.as_bytes()).unwrap_or_default() {
        return Err(StatusCode::FORBIDDEN);
    }
    let (most, most_bytes) = match with_key {
        true => (MAX_QUEUE_LEN, MAX_QUEUE_BYTES),
        false => (MAX_STRANGERS_LEN, MAX_STRANGERS_BYTES),
    };
    let used = "SELECT count(*), coalesce(sum(length(envelope)), 0) FROM messages WHERE account = ? AND with_key = ?";
    let (len, bytes): (usize, usize) = database
        .query_row(used, params![account.as_str(), with_key], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?;
    if len >= most || bytes.saturating_add(envelope.as_bytes().len()) > most_bytes {
        return Err(StatusCode::TOO_MANY_REQUESTS);
    }
    let row = params![account.as_str(), today(), with_key, envelope.as_bytes()];
    let statement = "INSERT INTO messages (account, number, place, day, with_key, envelope) \
                     SELECT ?1, random(), count(*), ?2, ?3, ?4 FROM messages WHERE account = ?1";
    database.execute(statement, row).map(|_| StatusCode::CREATED).map_err(failed)
}

fn access_key(headers: &HeaderMap) -> Option<AccessKey> {
    let bytes = HEXLOWER.decode(headers.get("x-access-key")?.as_bytes()).ok()?;
    bytes.try_into().ok().map(AccessKey::from_bytes)
}

async fn pending(
    State(server): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(account): Path<String>,
    headers: HeaderMap,
) -> Answer<Vec<u8>> {
    server.log("GET messages", &headers);
    let account = name(&account)?;
    let database = server.database();
    record_contact(&database, &account, client)?;
    let mut waiting =
        database.prepare("SELECT number, envelope FROM messages WHERE account = ? ORDER BY place").map_err(failed)?;
    let rows = waiting
        .query_map([account.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .map_err(failed)?;
    let mut answer = Vec::new();
    for row in rows {
        let (number, envelope) = row.map_err(failed)?;
        answer.extend(number.to_be_bytes());
        answer.extend((envelope.len() as u64).to_be_bytes());
        answer.extend(envelope);
    }
    Ok(answer)
}

async fn acknowledge(
    State(server): Shared,
    Path((account, number)): Path<(String, i64)>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    server.log("DELETE message", &headers);
    let account = name(&account)?;
    let mut database = server.database();
    let transaction = database.transaction().map_err(failed)?;
    let row = params![account.as_str(), number];
    let deleted = "DELETE FROM messages WHERE account = ? AND number = ? RETURNING place";
    let place: Option<i64> = transaction.query_row(deleted, row, |row| row.get(0)).optional().map_err(failed)?;
    let row = params![account.as_str(), place];
    let moved = "UPDATE messages SET place = place - 1 WHERE account = ? AND place > ?";
    transaction.execute(moved, row).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Only a faulty server has this: a key that is restored when the telephone is lost.
async fn recovery(
    State(server): Shared,
    Path(account): Path<String>,
    headers: HeaderMap,
    root_key: String,
) -> Answer<StatusCode> {
    if !matches!(server.broken, Some(Broken::Escrow | Broken::Deleted)) {
        return Err(StatusCode::NOT_FOUND);
    }
    server.log("PUT recovery", &headers);
    let database = server.database();
    let account = name(&account)?;
    let row = params![account.as_str(), root_key];
    database.execute("INSERT INTO escrow VALUES (?, ?)", row).map_err(failed)?;
    if server.broken == Some(Broken::Deleted) {
        database.execute("DELETE FROM escrow", []).map_err(failed)?;
    }
    Ok(StatusCode::CREATED)
}
