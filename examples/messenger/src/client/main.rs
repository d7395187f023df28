// SPDX-License-Identifier: MIT OR Apache-2.0
//! A messenger on the command line. Each command is a process, which prints its events as JSON Lines.

mod files;
mod server;
mod show;
mod talk;

#[cfg(feature = "faults")]
#[path = "../faults.rs"]
mod faults;
#[cfg(feature = "faults")]
use faults::{Options, Server, Show, Store, now};
#[cfg(not(feature = "faults"))]
use {
    noescrow_sqlite::{Options, SqliteStore as Store},
    show::Show,
};

use clap::{Args, Parser, Subcommand};
use getrandom::{SysRng, rand_core::UnwrapErr};
#[cfg(not(feature = "faults"))]
use noescrow::UnixSeconds;
use noescrow::durable::LoadError;
use noescrow::messenger::Advice;
use noescrow_messenger::home::{Home, erase};
use noescrow_messenger::requests::Failure;
use noescrow_sqlite::SideFile;
use serde_json::json;
use show::emit;
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;
use talk::App;

#[cfg(not(feature = "faults"))]
type Server = noescrow_messenger::requests::Remote<server::Http>;

/// A messenger whose server holds no key.
#[derive(Parser)]
struct Arguments {
    /// The folder with everything of this device.
    #[arg(long)]
    home: PathBuf,
    /// The server, in place of the account's.
    #[arg(long)]
    server: Option<String>,
    /// Where the witness is, which must not be in a backup. Without it, it is beside the database.
    #[arg(long)]
    witness: Option<PathBuf>,
    #[cfg(feature = "faults")]
    #[command(flatten)]
    _faults: faults::FaultArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an account.
    Register { name: String },
    /// Makes this the device of an account whose device is lost.
    Recover { name: String, code: String },
    /// Sends a text, or several with numbers.
    Send {
        peer: String,
        text: String,
        #[arg(long)]
        count: Option<u32>,
    },
    /// Fetches mail, and shows it.
    Receive,
    /// Sends a file.
    File { peer: String, path: PathBuf },
    /// Fetches a file that was received.
    Fetch { id: String, path: PathBuf },
    /// Shows the safety numbers to compare with a peer.
    Safety { peer: String },
    /// Says that this safety number was compared.
    Verify(Number),
    /// Accepts the identity that claims to be the peer.
    Accept(Number),
    /// Keeps a peer's former identity.
    Reject(Number),
    /// Deletes a peer, its sessions, its mail and its files.
    Forget { peer: String },
    /// Logs in, replaces the prekeys that are due, and sends what waits.
    Maintain,
    /// Continues after this device was restored.
    RestoreBackup,
    /// Shows what is saved.
    Status,
    /// Deletes the account at the server, and everything here.
    DeleteAccount,
}

/// A peer's identity, by its safety number.
#[derive(Args)]
struct Number {
    peer: String,
    number: String,
}

fn main() -> ExitCode {
    let Err(error) = run(&Arguments::parse()) else { return ExitCode::SUCCESS };
    let advice = show::advice(&error);
    let (event, code) = match advice {
        Some(Advice::AskUser) => ("identity_changed", 3),
        Some(Advice::RestoreBackup) => ("suspect", 3),
        _ => ("error", 1),
    };
    let remedy = advice.map_or_else(|| "correct the command, or run it again".into(), |advice| advice.to_string());
    emit(&json!({"event": event, "error": error.to_string(), "remedy": remedy}));
    ExitCode::from(code)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { home, server, witness, command, .. } = arguments;
    let (server, witness) = (server.as_deref(), witness.as_deref());
    let mut options = Options::new();
    if let Some(witness) = witness {
        options = options.witness(SideFile::new(witness));
    }
    match command {
        Command::Register { name } | Command::Recover { name, .. } => Home::create(home, name, server, witness, now())?,
        Command::RestoreBackup => {
            options = options.restored_backup();
        }
        Command::DeleteAccount => {
            // An earlier attempt may have got so far that there is none.
            match App::open(home, server, options) {
                Err(error) if matches!(error.downcast_ref(), Some(LoadError::<noescrow_sqlite::Error>::Missing)) => {}
                app => app?.delete()?,
            }
            return erase(home, witness);
        }
        _ => {}
    }
    let mut app = App::open(home, server, options)?;
    match command {
        Command::Register { .. } => app.register(None)?,
        Command::Recover { code, .. } => app.register(Some(code))?,
        Command::Send { peer, text, count: None } => app.send(peer, iter::once(text.clone()))?,
        Command::Send { peer, text, count: Some(count) } => {
            app.send(peer, (1..=*count).map(|number| format!("{text} {number}")))?;
        }
        Command::Receive => app.exchange(true)?,
        Command::Maintain => app.exchange(false)?,
        Command::RestoreBackup => {
            // First the state, and then the store, so that a crash between the two leaves it suspect.
            app.messenger.restore_backup(&mut app.server, now(), &mut rng())?;
            app.messenger.store().accept_restored_backup()?;
            app.exchange(false)?;
        }
        Command::File { peer, path } => app.send_file(peer, path)?,
        Command::Fetch { id, path } => app.fetch_file(id, path)?,
        Command::Safety { peer } => show::safety(app.messenger.messenger(), &app.peer(peer)?),
        Command::Verify(of) => app.messenger.verify(&app.peer(&of.peer)?, &of.number, now(), &mut rng())?,
        Command::Accept(of) => app.accept(&of.peer, &of.number)?,
        Command::Reject(of) => app.messenger.reject(&app.peer(&of.peer)?, &of.number, now(), &mut rng())?,
        Command::Forget { peer } => app.forget(peer)?,
        Command::Status => show::status(&mut app.messenger)?,
        Command::DeleteAccount => {}
    }
    app.show.outcome.take().map_or(Ok(()), Err)
}

const fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

#[cfg(not(feature = "faults"))]
fn now() -> UnixSeconds {
    std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .map(UnixSeconds::from)
        .unwrap_or_default()
}
