// SPDX-License-Identifier: MIT OR Apache-2.0
//! A messenger on the command line. Each command is a process, which prints its events as JSON Lines.

mod app;
mod http;
mod show;

use app::App;
use clap::{Parser, Subcommand};
use noescrow::messenger::Advice;
use noescrow_messenger::requests::Failure;
use noescrow_messenger::{now, rng};
use noescrow_sqlite::{Folder, Options, advice};
use serde_json::json;
use show::{emit, hex};
use std::path::PathBuf;
use std::process::ExitCode;

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
    _faults: noescrow_messenger::faults::FaultArguments,
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
    Verify { peer: String, number: String },
    /// Accepts the identity that claims to be the peer and has this safety number.
    Accept { peer: String, number: String },
    /// Keeps a peer's former identity.
    Reject { peer: String, number: String },
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

fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse()) else { return ExitCode::SUCCESS };
    let advice = advice::<Failure>(&*error);
    let (event, code) = match advice {
        Some(Advice::AskUser) => ("identity_changed", 3),
        Some(Advice::RestoreBackup) => ("suspect", 3),
        _ => ("error", 1),
    };
    let remedy = advice.map_or_else(|| "correct the command, or run it again".into(), |advice| advice.to_string());
    emit(&json!({"event": event, "error": error.to_string(), "remedy": remedy}));
    ExitCode::from(code)
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { home, server, witness, command, .. } = arguments;
    let (folder, server, options) = (Folder::new(home, witness.as_deref()), server.as_deref(), Options::new());
    let (new, options) = match &command {
        Command::Register { name } | Command::Recover { name, .. } => (Some(&**name), options),
        Command::RestoreBackup => (None, options.restored_backup()),
        Command::DeleteAccount => return App::delete(folder, server, options),
        _ => (None, options),
    };
    let mut app = App::open(folder, server, new, options)?;
    match command {
        Command::Register { .. } => app.register(None)?,
        Command::Recover { code, .. } => app.register(Some(&code))?,
        Command::Send { peer, text, count: None } => app.send(&peer, [text])?,
        Command::Send { peer, text, count: Some(count) } => {
            app.send(&peer, (1..=count).map(|number| format!("{text} {number}")))?;
        }
        Command::Receive => app.receive()?,
        Command::Maintain => app.maintain()?,
        Command::RestoreBackup => app.restore_backup()?,
        Command::File { peer, path } => app.send_file(&peer, &path)?,
        Command::Fetch { id, path } => app.fetch_file(&id, &path)?,
        Command::Safety { peer } => show::safety(app.stored.messenger(), &app.peer(&peer)?),
        Command::Verify { peer, number } => app.stored.verify(&app.peer(&peer)?, &number, now(), &mut rng())?,
        Command::Accept { peer, number } => {
            app.stored.accept(&app.peer(&peer)?, &number, now(), &mut rng(), |message| {
                let id = hex(&message.message_id);
                emit(&json!({"event": "undelivered", "to": peer, "id": id, "remedy": "send it again"}));
            })?;
        }
        Command::Reject { peer, number } => app.stored.reject(&app.peer(&peer)?, &number, now(), &mut rng())?,
        Command::Forget { peer } => app.forget(&peer)?,
        Command::Status => show::status(&mut app.stored)?,
        Command::DeleteAccount => {}
    }
    app.show.outcome.map_or(Ok(()), Err)
}
