// SPDX-License-Identifier: MIT OR Apache-2.0
//! A relay over HTTP whose state is in SQLite or PostgreSQL. It holds what `noescrow::relay` may hold, and nothing else:
//! every received body is parsed before it is stored. Its log has no names and no addresses. README.md has the table of
//! requests.
//!
//! It speaks plain HTTP: a reverse proxy adds TLS. With `--broken` it is a faulty variant that an audit must flag.

mod api;
mod postgres;
mod sql;
mod sqlite;
mod state;
#[cfg(test)]
mod tests;

use clap::{Parser, ValueEnum};
use sql::Database;
use std::error::Error;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Between two times that old entries are deleted.
const FORGETTING: Duration = Duration::from_secs(3_600);

#[derive(Parser)]
struct Options {
    /// Folder of the database and the log
    #[arg(long)]
    folder: PathBuf,
    /// Use this database of PostgreSQL: `host=… user=… dbname=…`
    #[arg(long)]
    postgres: Option<String>,
    /// Address to listen at. Without it: a free port of this machine, until standard input ends
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// End after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// Be a faulty variant
    #[arg(long, value_enum)]
    broken: Option<Broken>,
}

/// How a faulty variant leaks. A server can leak only what it is given: each takes something that a client "helpfully"
/// sends.
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

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = Options::parse();
    // Before the runtime starts, because this waits for the database.
    let database: Box<dyn Database> = match &options.postgres {
        Some(url) => Box::new(postgres::Postgres::open(url)?),
        None => Box::new(sqlite::Sqlite::open(&options.folder.join("relay.db"))?),
    };
    let log = File::options().append(true).create(true).open(options.folder.join("relay.log"))?;
    let server =
        Arc::new(api::Server { broken: options.broken, database, log: Mutex::new(log), previews: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(server, &options))
}

async fn serve(server: Arc<api::Server>, options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    let routes = api::routes(server.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let address = options.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    let forgetting = async {
        loop {
            if server.run(|sql| state::forget(sql, api::now())).await.is_err() {
                eprintln!("relay: old entries were not deleted");
            }
            tokio::time::sleep(FORGETTING).await;
        }
    };
    let mut input = tokio::io::stdin();
    let ended = async {
        match options.listen {
            Some(_) => std::future::pending().await,
            None => while input.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {},
        }
    };
    let over = async {
        match options.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = std::future::IntoFuture::into_future(axum::serve(listener, routes)) => result?,
        () = forgetting => {}
        () = ended => {}
        () = over => {}
    }
    // The thread that reads standard input is not joined.
    std::process::exit(0)
}
