// SPDX-License-Identifier: MIT OR Apache-2.0
//! A messenger on the command line. Each command is a process, which prints its events as JSON Lines.

mod account;
mod files;
mod server;
mod show;

#[cfg(feature = "faults")]
#[path = "../faults.rs"]
mod faults;
#[cfg(feature = "faults")]
use faults::{FaultyOptions as Options, FaultyServer as Server, FaultyShow as Show, FaultyStore as Store, now};
#[cfg(not(feature = "faults"))]
use {
    noescrow_sqlite::{Options, SqliteStore as Store},
    server::{HttpServer as Server, now},
    show::Show,
};

use account::{App, options};
use clap::{Args, Parser, Subcommand};
use noescrow::Payload;
use noescrow::messenger::{Advice, PeerId};
use noescrow_messenger::content::Attached;
use serde_json::json;
use show::emit;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

type Failure = Box<dyn Error>;

/// Short texts are as long as longer ones.
const MIN_PADDED_LEN: usize = 512;

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
    let advice = show::advice(&*error);
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
    let Arguments { home, server, witness, command } = arguments;
    let (server, witness) = (server.as_deref(), witness.as_deref());
    match command {
        Command::Register { name } | Command::Recover { name, .. } => account::create(home, name, server, witness)?,
        Command::RestoreBackup => {
            // First the state, and then the store, so that a crash between the two leaves it suspect.
            let mut app = App::open(home, server, options(witness).without_witness())?;
            app.messenger.restore_backup(&mut app.server, now(), &mut rng())?;
        }
        _ => {}
    }
    let options = match command {
        Command::RestoreBackup => options(witness).accept_restored_backup(),
        _ => options(witness),
    };
    let mut app = App::open(home, server, options)?;
    match command {
        Command::Register { .. } => app.register(None)?,
        Command::Recover { code, .. } => app.register(Some(code))?,
        Command::Send { peer, text, count: None } => app.send(peer, &[text.clone()], None)?,
        Command::Send { peer, text, count: Some(count) } => {
            app.send(peer, &(1..=*count).map(|number| format!("{text} {number}")).collect::<Vec<_>>(), None)?;
        }
        Command::Receive => {
            let show = &mut app.show;
            let mut connected = account::connect(&mut app.messenger, &mut app.server)?;
            connected.receive(None, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
        }
        Command::Maintain | Command::RestoreBackup => {
            let show = &mut app.show;
            let mut connected = account::connect(&mut app.messenger, &mut app.server)?;
            connected.flush(now(), &mut rng(), |stored, event| show.event(stored, &event))?;
        }
        Command::File { peer, path } => app.send_file(peer, path)?,
        Command::Fetch { id, path } => app.fetch_file(id, path)?,
        Command::Safety { peer } => {
            let id = app.peer(peer)?;
            let messenger = app.messenger.messenger();
            let peer = messenger.peer(&id).ok_or("no such peer")?;
            for (identity, claimed) in [(peer.identity, false), (peer.claimed, true)] {
                if let Some(identity) = identity {
                    let number = messenger.safety_number(identity).to_string();
                    emit(&json!({"event": "safety", "number": number, "claimed": claimed}));
                }
            }
        }
        Command::Verify(Number { peer, number }) => {
            let id = app.peer(peer)?;
            app.messenger.verify(&id, number, now(), &mut rng())?;
        }
        Command::Accept(Number { peer, number }) => app.accept(peer, number)?,
        Command::Reject(Number { peer, number }) => {
            let id = app.peer(peer)?;
            app.messenger.reject(&id, number, now(), &mut rng())?;
        }
        Command::Forget { peer } => app.forget(peer)?,
        Command::Status => show::status(&mut app.messenger)?,
        Command::DeleteAccount => return app.delete(witness),
    }
    app.show.outcome.map_or(Ok(()), Err)
}
