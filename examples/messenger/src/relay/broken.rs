// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faulty variants, which an audit must flag. A server can leak only what it is given: each takes something that a client
//! "helpfully" sends. And another clock.

use super::server::Server;
use super::sql::{self, Answer, Database};
use super::{Options, Outcome};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::put;
use clap::ValueEnum;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// How a variant leaks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Broken {
    /// It logs the debug header of its requests.
    Log,
    /// It keeps keys that clients store with it "for recovery".
    Escrow,
    /// It kept them, and has deleted them.
    Deleted,
    /// It keeps previews of messages, in memory only.
    Preview,
}

/// Names a file with the seconds by which the clock is ahead of the system's: scenarios last for weeks.
const AHEAD: &str = "NOESCROW_AHEAD";

/// The seconds by which the clock is ahead.
pub fn ahead() -> i64 {
    let file = std::env::var_os(AHEAD).and_then(|file| std::fs::read_to_string(file).ok());
    file.and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

/// Makes the table of a fault.
pub fn set_up(database: &dyn Database) -> Outcome<()> {
    let made = "CREATE TABLE IF NOT EXISTS escrow (account TEXT, root_key TEXT)";
    Ok(sql::run(database, |sql| sql.query(made, &[]).map(drop)).map_err(|failure| format!("{failure:?}"))?)
}

/// Adds the fault to the routes.
pub fn add(routes: Router, server: &Arc<Server>, options: &Options) -> Outcome<Router> {
    let Some(broken) = options.broken else { return Ok(routes) };
    let server = server.clone();
    let keep = async move |Path(account): Path<String>, root_key: String| -> Answer<StatusCode> {
        let kept = [account.as_str().into(), root_key.as_str().into()];
        let keep = move |server: &Server| {
            server.run(|sql| sql.query("INSERT INTO escrow VALUES ($1, $2)", &kept))?;
            if broken == Broken::Deleted {
                server.run(|sql| sql.query("DELETE FROM escrow", &[]))?;
            }
            Ok(StatusCode::CREATED)
        };
        server.wait(keep).await
    };
    let log = File::options().append(true).create(true).open(options.folder.join("relay.log"))?;
    let leak = Arc::new(Leak { broken, log: Mutex::new(log), previews: Mutex::default() });
    Ok(routes.route("/accounts/{name}/escrow", put(keep)).layer(from_fn_with_state(leak, remember)))
}

/// What a variant takes from headers.
struct Leak {
    broken: Broken,
    log: Mutex<File>,
    previews: Mutex<Vec<String>>,
}

async fn remember(State(leak): State<Arc<Leak>>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(debug) = header("x-debug").filter(|_| leak.broken == Broken::Log) {
        let _ = writeln!(leak.log.lock().unwrap_or_else(PoisonError::into_inner), "debug={debug}");
    }
    if let Some(preview) = header("x-preview").filter(|_| leak.broken == Broken::Preview) {
        leak.previews.lock().unwrap_or_else(PoisonError::into_inner).push(preview.to_owned());
    }
    next.run(request).await
}
