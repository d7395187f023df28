// SPDX-License-Identifier: MIT OR Apache-2.0
//! A messenger on the command line. Each command is a process, which prints its events as JSON Lines.

mod http;
mod show;

use clap::{Args, Parser, Subcommand};
use http::Http;
use noescrow::messenger::Advice;
use noescrow::messenger::exchange::Event;
use noescrow_messenger::device::{Device, Messenger, advice, now, options};
use noescrow_messenger::home::Home;
use noescrow_messenger::requests::Failure;
use serde_json::json;
use show::{Show, emit, hex};
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
    let advice = advice(&error);
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
    let mut options = options(witness);
    match command {
        Command::Register { name } | Command::Recover { name, .. } => Home::create(home, name, server, witness, now())?,
        Command::RestoreBackup => options = options.restored_backup(),
        Command::DeleteAccount => return Device::delete(home, server, Http::new(), witness),
        _ => {}
    }
    let mut device = Device::open(home, server, Http::new(), options)?;
    let mut show = Show::default();
    let write_down = |code: &[u8; 16]| emit(&json!({"event": "recovery_code", "code": hex(code)}));
    let events = &mut |stored: &mut Messenger, event: &Event<'_>| show.event(stored, event);
    match command {
        Command::Register { .. } => device.register(None, write_down)?,
        Command::Recover { code, .. } => device.register(Some(code), write_down)?,
        Command::Send { peer, text, count } => {
            let numbered = (1..=count.unwrap_or_default()).map(|number| format!("{text} {number}"));
            let once = count.is_none().then(|| text.clone());
            if let Some(reason) = device.send(peer, once.into_iter().chain(numbered), events)? {
                emit(&json!({"event": "new_session_wanted", "to": peer, "reason": format!("{reason:?}")}));
            }
        }
        Command::Receive => device.receive(events)?,
        Command::Maintain => device.maintain(events)?,
        Command::RestoreBackup => device.restore_backup(events)?,
        Command::File { peer, path } => device.send_file(peer, path, events)?,
        Command::Fetch { id, path } => {
            let size = device.fetch_file(id, path)?;
            emit(&json!({"event": "fetched", "id": id, "path": path, "size": size}));
        }
        Command::Safety { peer } => show::safety(device.messenger.messenger(), &device.peer(peer)?),
        Command::Verify(of) => device.verify(&of.peer, &of.number)?,
        Command::Accept(of) => device.accept(&of.peer, &of.number, |message| {
            let id = hex(&message.message_id);
            emit(&json!({"event": "undelivered", "to": of.peer, "id": id, "remedy": "send it again"}));
        })?,
        Command::Reject(of) => device.reject(&of.peer, &of.number)?,
        Command::Forget { peer } => device.forget(peer)?,
        Command::Status => show::status(&mut device.messenger)?,
        Command::DeleteAccount => {}
    }
    show.outcome.map_or(Ok(()), Err)
}
