// SPDX-License-Identifier: MIT OR Apache-2.0
//! A messenger on the command line. Each command is a process, which prints its events as JSON Lines.

mod app;

use app::{Account, App, Show, say};
use clap::{Parser, Subcommand};
use noescrow_messenger::content::{Attached, Content};
use noescrow_messenger::events::{Printed, emit};
use noescrow_messenger::requests::Failure;
use noescrow_messenger::{ANSWERS, MAX_FILE_LEN, now, rng};
use noescrow_sqlite::{Attachment, Folder, Options, advice};
use std::io::stdin;
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
    /// Makes this the device of an account whose device is lost. The first line of standard input is the recovery code.
    Recover { name: String },
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
    /// Fetches a file that was received from this peer.
    Fetch { peer: String, id: String, path: PathBuf },
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
    /// Deletes the account at the server, if it is this device's, and everything here.
    DeleteAccount {
        /// Deletes everything here, and asks no server.
        #[arg(long)]
        local: bool,
    },
}

fn main() -> ExitCode {
    let mut show = Show::default();
    let Err(error) = run(Arguments::parse(), &mut show) else { return ExitCode::SUCCESS };
    let failure = show.lines.failure(&error, advice::<Failure>(&*error));
    emit(&failure);
    ExitCode::from(failure.exit_code())
}

fn run(arguments: Arguments, show: &mut Show) -> Result<(), Failure> {
    let Arguments { home, server, witness, command, .. } = arguments;
    let (folder, options) = (Folder::new(home, witness.as_deref()), Options::new());
    let (new, options) = match &command {
        Command::Register { name } | Command::Recover { name } => (Some(&**name), options),
        Command::RestoreBackup => (None, options.restored_backup()),
        _ => (None, options),
    };
    if matches!(command, Command::DeleteAccount { local } if local || folder.is_deleted()?) {
        return Ok(folder.erase()?);
    }
    let mut app = App::open(&folder, server.as_deref(), new, options)?;
    match &command {
        Command::Register { .. } => app.register(None)?,
        Command::Recover { .. } => app.register(Some(&stdin().lines().next().ok_or("no recovery code")??))?,
        Command::RestoreBackup => {
            // First the messenger, and then the store, so that a crash between the two leaves it suspect.
            app.stored.restore_backup(&mut app.server, now(), &mut rng())?;
            app.stored.store().accept_restored_backup()?;
            exchange(&mut app, &folder, &command, show)?;
        }
        Command::Fetch { peer, id, path } => app.fetch(&folder, peer, id, path)?,
        Command::Safety { peer } => Printed::safety(app.stored.messenger(), &app.peer(peer)?).iter().for_each(emit),
        Command::Verify { peer, number } => app.stored.verify(&app.peer(peer)?, number, now(), &mut rng())?,
        Command::Accept { peer, number } => {
            let (id, show) = (app.peer(peer)?, |of: &_| emit(&Printed::send_again(peer, of)));
            app.stored.accept(&id, number, now(), &mut rng(), show)?;
            Attachment::forget_sealed(app.stored.store(), &id)?;
        }
        Command::Reject { peer, number } => app.stored.reject(&app.peer(peer)?, number, now(), &mut rng())?,
        Command::Forget { peer } => {
            let peer = app.peer(peer);
            peer.as_ref().map_or(Ok(()), |peer| app.stored.forget(peer, now(), &mut rng()))?;
            // Also what an earlier attempt has deleted.
            folder.erase_deleted(app.stored.store())?;
            peer?;
        }
        Command::Status => Printed::status(&mut app.stored)?.iter().for_each(emit),
        Command::DeleteAccount { .. } => {
            app.server.delete(app.stored.messenger())?;
            app.stored.delete(now(), &mut rng())?.erase_deleted()?;
            folder.erase()?;
        }
        _ => exchange(&mut app, &folder, &command, show)?,
    }
    Ok(())
}

/// Does what needs a login.
fn exchange(app: &mut App, folder: &Folder, command: &Command, show: &mut Show) -> Result<(), Failure> {
    let App { account: Account { name, access, .. }, stored, server } = app;
    let mut link = stored.connect(server, now(), &mut rng())?;
    let content = Content { from: name.clone(), access: *access, text: None, file: None };
    match command {
        Command::Send { peer, text, count } => {
            let peer = link.peer_of_account(peer.as_bytes(), now(), &mut rng())?;
            for number in 1..=count.unwrap_or(1) {
                let text = count.map_or_else(|| text.clone(), |_| format!("{text} {number}"));
                say(&mut link, &peer, &Content { text: Some(text), ..content.clone() }, show)?;
            }
        }
        Command::File { peer, path } => {
            let peer = link.peer_of_account(peer.as_bytes(), now(), &mut rng())?;
            let file = folder.attach(link.stored().store(), &peer, path, MAX_FILE_LEN, &mut rng())?;
            if let Some(attached) = Attached::of(&file, path)? {
                link.server().upload(&file.id, &mut file.upload()?)?;
                file.sent_with_next(link.stored().store());
                say(&mut link, &peer, &Content { file: Some(attached), ..content }, show)?;
            } else {
                // An earlier run has sealed its message.
                Printed::already_sealed(file.message_id).iter().for_each(emit);
                link.flush(now(), &mut rng(), |stored, event| show.event(stored, &event))?;
            }
            file.remove(link.stored().store())?;
        }
        Command::Receive => {
            let fetched = link.receive(ANSWERS, now(), &mut rng(), |stored, event| show.event(stored, &event))?;
            Printed::more(fetched).iter().for_each(emit);
        }
        _ => link.flush(now(), &mut rng(), |stored, event| show.event(stored, &event))?,
    }
    show.outcome.take().map_or(Ok(()), Err)
}
