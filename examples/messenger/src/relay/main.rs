// SPDX-License-Identifier: MIT OR Apache-2.0
//! A relay over HTTP whose state is in SQLite or PostgreSQL. It holds what `noescrow::relay` may hold, and nothing else:
//! every received body is parsed before it is stored. Its log has no names and no addresses. README.md has the table of
//! requests.
//!
//! It speaks plain HTTP: a reverse proxy adds TLS, and limits what README.md says.

mod api;
#[cfg(feature = "broken")]
mod broken;
mod challenge;
mod files;
mod mailbox;
mod postgres;
mod server;
mod sql;
mod sqlite;
mod state;
#[cfg(test)]
mod tests;

use clap::Parser;
use server::{Server, now};
use sql::Database;
use std::error::Error;
use std::fs::File;
use std::future::IntoFuture as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Between two times that old entries are deleted.
const FORGETTING: Duration = Duration::from_secs(3_600);
/// For the requests that are being served when the server is to end.
const ENDING: Duration = Duration::from_secs(10);
/// Threads that wait for the database: each has a connection to PostgreSQL, which accepts 100 unless it is set otherwise.
const THREADS: usize = 32;

#[derive(Parser)]
struct Options {
    /// Folder of the database and the log
    #[arg(long)]
    folder: PathBuf,
    /// Use this database of PostgreSQL: `host=… user=… dbname=…`
    #[arg(long)]
    postgres: Option<String>,
    /// Origin under which clients reach it: `https://chat.example.org`. Logins are signed for it
    #[arg(long)]
    name: Vec<String>,
    /// Address to listen at. Without it, for tests: a free port of this machine, which is a name, too, until standard
    /// input ends
    #[arg(long, requires = "name")]
    listen: Option<SocketAddr>,
    /// Be a faulty variant
    #[cfg(feature = "broken")]
    #[arg(long, value_enum)]
    broken: Option<broken::Broken>,
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    // Before the runtime starts, because all this waits for the database.
    let database: Box<dyn Database> = match &options.postgres {
        Some(url) => Box::new(postgres::Postgres::open(url)?),
        None => Box::new(sqlite::Sqlite::open(&options.folder.join("relay.db"))?),
    };
    let challenge_key = sql::run(&*database, state::challenge_key).map_err(|failure| format!("{failure:?}"))?;
    #[cfg(feature = "broken")]
    broken::set_up(&*database)?;
    let challenges = challenge::ChallengeKey(challenge_key);
    let listener = TcpListener::bind(options.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
    let own = options.listen.is_none().then_some(format!("http://{}", listener.local_addr()?));
    let names = options.name.iter().chain(&own).map(|name| noescrow_messenger::origin(name)).collect::<Option<_>>();
    let names = names.ok_or("a name is an origin: https://chat.example.org")?;
    let server = Arc::new(Server { database, challenges, names, counts: server::Counts::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(THREADS)
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(&server, listener, &options));
    if let Err(error) = &served {
        eprintln!("relay: {error}");
    }
    // Waits neither for the thread that reads standard input nor for connections to the database.
    std::process::exit(i32::from(served.is_err()))
}

/// Serves until the process is asked to end, and then the requests that have begun, for [`ENDING`] at most.
async fn serve(server: &Arc<Server>, listener: TcpListener, options: &Options) -> Outcome<()> {
    let mut log = File::options().append(true).create(true).open(options.folder.join("relay.log"))?;
    let routes = api::routes(server.clone());
    #[cfg(feature = "broken")]
    let routes = broken::add(routes, server, options)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    println!("{}", listener.local_addr()?);

    let ended = Arc::new(tokio::sync::Notify::new());
    let ending = ended.clone();
    let serving = axum::serve(listener, routes).with_graceful_shutdown(async move { ending.notified().await });
    let forgetting = async {
        loop {
            let (forgotten, written) = server.upkeep(now(), &mut log).await;
            if let Err(failure) = forgotten {
                eprintln!("relay: old entries were not deleted: {failure:?}");
            }
            if let Err(error) = written {
                eprintln!("relay: counts were not written: {error}");
            }
            tokio::time::sleep(FORGETTING).await;
        }
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut input = tokio::io::stdin();
    let asked_to_end = async {
        match options.listen {
            Some(_) => drop(terminated.recv().await),
            None => while input.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {},
        }
        ended.notify_one();
        tokio::time::sleep(ENDING).await;
    };
    tokio::select! {
        result = serving.into_future() => result?,
        () = forgetting => {}
        () = asked_to_end => {}
    }
    Ok(())
}
