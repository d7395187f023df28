// SPDX-License-Identifier: MIT OR Apache-2.0
//! A messenger on the command line. Each command is a process, which prints its events as JSON Lines.

mod app;
mod faults;
mod files;
mod http;
mod payload;
mod receiving;

use app::{Account, App, Failure, NOW, emit, keys_of, now, options, rng};
use clap::{Parser, Subcommand};
use data_encoding::HEXLOWER;
use getrandom::rand_core::Rng;
use http::Status;
use noescrow::durable::{CommitError, StepError};
use noescrow::messenger::{Messenger, OpenError, PeerError, SealError, Suspicion};
use noescrow::{AccessKey, Device, StorageKey};
use noescrow_messenger::{RECOVERY_CODE_LEN, decode_ids, encode_ids};
use serde_json::json;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::slice::from_ref;

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
    /// The time, in seconds since 1970, in place of the clock's.
    #[arg(long)]
    now: Option<u64>,
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
    /// Sends a file.
    File { peer: String, path: PathBuf },
    /// Fetches mail, and shows it.
    Receive {
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Fetches a file that was received.
    Fetch { id: String, path: PathBuf },
    /// Shows all peers.
    Peers,
    /// Shows the safety number to compare with a peer.
    Safety { peer: String },
    /// Says that the safety numbers were compared.
    Verify { peer: String },
    /// Accepts the new identity of a peer.
    Accept { peer: String },
    /// Keeps a peer's former identity.
    Reject { peer: String },
    /// Asks a peer whether it has the session that is on probation.
    Probe { peer: String },
    /// Deletes a peer, its sessions and its mail.
    Forget { peer: String },
    /// Logs in, and replaces the prekeys that are due.
    Maintain,
    /// Shows what is saved.
    Status,
    /// Goes on after this device was restored.
    RestoreBackup,
    /// Deletes the account at the server, and everything here.
    DeleteAccount,
}

/// What the user does about another identity.
const ASK: &str = "compare the safety numbers (`safety PEER`), then `accept PEER` or `reject PEER`";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (event, code, remedy) = explain(&error);
            emit(&json!({"event": event, "error": error.to_string(), "remedy": remedy}));
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { home, server, witness, now: time, command } = arguments;
    if let Some(time) = time {
        let _ = NOW.set(*time);
    }
    let options = options(witness.as_deref());
    match command {
        Command::Register { name } | Command::Recover { name, .. } => {
            let server = server.as_deref().ok_or("--server is missing")?;
            create(home, name, server, witness.as_deref())?;
            let app = App::open(home, Some(server), options)?;
            return match command {
                Command::Recover { code, .. } => recover(app, code),
                _ => register(app),
            };
        }
        Command::RestoreBackup => {
            // First the state, and then the store, so that a crash between the two leaves it suspect.
            restore_backup(&mut App::open(home, server.as_deref(), options.without_witness())?)?;
            let options = self::options(witness.as_deref()).accept_restored_backup();
            return App::open(home, server.as_deref(), options)?.connect();
        }
        _ => {}
    }
    let mut app = App::open(home, server.as_deref(), options)?;
    match command {
        Command::Send { peer, text, count } => match count {
            None => app.send(peer, from_ref(text)),
            Some(count) => app.send(peer, &(1..=*count).map(|number| format!("{text} {number}")).collect::<Vec<_>>()),
        },
        Command::Receive { limit } => app.receive(*limit),
        Command::Maintain => app.connect().and_then(|()| app.flush()),
        Command::File { peer, path } => app.send_file(peer, path),
        Command::Fetch { id, path } => app.fetch_file(id, path),
        Command::Peers => {
            for peer in app.messenger.peers() {
                emit(&json!({
                    "event": "peer", "name": String::from_utf8_lossy(peer.name), "trust": format!("{:?}", peer.trust),
                    "sessions": peer.sessions, "identity_changed": peer.claimed.is_some(),
                }));
            }
            Ok(())
        }
        Command::Safety { peer } => {
            let (_, identity, claimed) = app.peer(peer)?;
            let identity = claimed.or(identity).ok_or("nothing is known of this peer yet")?;
            emit(
                &json!({"event": "safety", "peer": peer, "number": app.messenger.safety_number(&identity).to_string()}),
            );
            Ok(())
        }
        Command::Verify { peer } => {
            let (id, identity, _) = app.peer(peer)?;
            let identity = identity.ok_or("nothing is known of this peer yet")?;
            app.step(|messenger, _| Ok(messenger.set_verified(&id, &identity, now())?))
        }
        Command::Accept { peer } | Command::Reject { peer } => {
            let (id, _, claimed) = app.peer(peer)?;
            let claimed = claimed.ok_or("no other identity claims to be this peer")?;
            let accepts = matches!(command, Command::Accept { .. });
            if accepts {
                app.give_up(id)?;
            }
            app.step(|messenger, _| match accepts {
                true => Ok(messenger.accept_identity(&id, &claimed, now())?),
                false => Ok(messenger.reject_identity(&id, &claimed, now())?),
            })
        }
        Command::Probe { peer } => {
            let (id, ..) = app.peer(peer)?;
            app.connect()?;
            let probe = app.probe(id)?;
            app.unasked("probed", Ok(probe))?;
            app.flush()
        }
        Command::Forget { peer } => {
            let (id, identity, _) = app.peer(peer)?;
            app.step(|messenger, _| Ok(messenger.forget(&id, now())?))?;
            let identity = identity.as_ref().map(keys_of);
            app.tables.execute("DELETE FROM access WHERE identity = ?1", [identity])?;
            Ok(app.store.erase_deleted()?)
        }
        Command::Status => {
            let counters = app.messenger.counters();
            let refused = counters.iter().map(|(reason, count)| (format!("{reason:?}"), json!(count)));
            let (outbox, inbox) = (app.store.outbox(usize::MAX)?.len(), app.store.inbox(usize::MAX)?.len());
            let refused: serde_json::Map<_, _> = refused.collect();
            emit(&json!({
                "event": "status", "account": app.account.name, "generation": app.messenger.generation(),
                "peers": app.messenger.peers().count(), "outbox": outbox, "inbox": inbox, "refused": refused,
                "suspicion": app.messenger.suspicion().map(|suspicion| suspicion.to_string()),
            }));
            Ok(())
        }
        Command::DeleteAccount => {
            app.server.log_in(|challenge| app.messenger.sign_login(challenge))?;
            app.server.own("DELETE", "", b"")?;
            drop(app);
            Ok(fs::remove_dir_all(home)?)
        }
        Command::Register { .. } | Command::Recover { .. } | Command::RestoreBackup => Ok(()),
    }
}

/// Makes a device, unless an earlier attempt has made it.
fn create(home: &Path, name: &str, server: &str, witness: Option<&Path>) -> Result<(), Failure> {
    if home.join("account.json").exists() {
        return Ok(());
    }
    fs::create_dir_all(home)?;
    let (mut key, mut code) = ([0; 32], [0; RECOVERY_CODE_LEN]);
    rng().fill_bytes(&mut key);
    rng().fill_bytes(&mut code);
    // What an attempt has left that had no account yet is of no use.
    let left = ["storage.key", "messenger.db", "messenger.db-wal", "messenger.db-shm", "messenger.db-witness"];
    for left in left.map(|name| home.join(name)).iter().map(PathBuf::as_path).chain(witness) {
        if left.exists() {
            fs::remove_file(left)?;
        }
    }
    write_private(&home.join("storage.key"), &key)?;
    let mut store = faults::open_store(options(witness), &home.join("messenger.db"))?;
    let messenger = Messenger::new(Device::generate(now(), &mut rng()), &StorageKey::new(key), &mut rng());
    let messenger = messenger.save(&mut store).map_err(CommitError::from)?;
    let account = Account {
        name: name.into(),
        server: server.into(),
        subject: HEXLOWER.encode(&messenger.subject().to_bytes()),
        access_key: HEXLOWER.encode(AccessKey::generate(&mut rng()).expose()),
        recovery_code: HEXLOWER.encode(&code),
    };
    write_private(&home.join("account.json"), &serde_json::to_vec_pretty(&account)?)
}

/// Writes a new file that only its owner can read, and that is whole or not there.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(fs::rename(part, path)?)
}

/// Opens the account at the server, unless an earlier attempt has done it.
fn register(mut app: App) -> Result<(), Failure> {
    match app.connect() {
        Err(error) if matches!(error.downcast_ref(), Some(Status(401 | 403 | 404, _))) => app.publish_first(None),
        connected => connected,
    }
}

/// Gives the account to this device, unless an earlier attempt has done it.
fn recover(mut app: App, code: &str) -> Result<(), Failure> {
    match app.connect() {
        Err(error) if matches!(error.downcast_ref(), Some(Status(401 | 403 | 404, _))) => {
            let code = HEXLOWER.decode(code.as_bytes())?.try_into().map_err(|_| "not a recovery code")?;
            app.publish_first(Some(&code))
        }
        connected => connected,
    }
}

/// Replaces every session, and every prekey at the server.
fn restore_backup(app: &mut App) -> Result<(), Failure> {
    app.server.log_in(|challenge| app.messenger.sign_login(challenge))?;
    let listed = decode_ids(&app.server.own("GET", "/prekeys", b"")?).ok_or("not a list of prekeys")?;
    if !faults::without("withdraw") {
        app.server.own("POST", "/prekeys/withdraw", &encode_ids(&listed))?;
    }
    // The prekeys are offered until they are uploaded.
    app.step(|messenger, _| Ok(messenger.restore_backup(now(), &mut rng())?)).map(drop)
}

/// What the user sees of an error: its event, the exit code, and the remedy.
fn explain(error: &Failure) -> (&'static str, u8, &'static str) {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(error) = cause {
        if let Some(explained) = remedy_of(error) {
            return explained;
        }
        cause = error.source();
    }
    ("error", 1, "correct the command, or run it again")
}

fn remedy_of(error: &(dyn Error + 'static)) -> Option<(&'static str, u8, &'static str)> {
    const SUSPECT: (&str, u8, &str) = ("suspect", 3, "this device or the server was put back: run `restore-backup`");
    let remedy = if let Some(error) = error.downcast_ref() {
        match error {
            SealError::Suspect(_) => return Some(SUSPECT),
            SealError::IdentityChanged => return Some(("identity_changed", 3, ASK)),
            SealError::TooManySessions { .. } | SealError::TooSoon { .. } => "run the command again at that time",
            SealError::IdentityTaken => "see `peers`: write to it under its other name, or `forget` that",
            SealError::Bundle(_) => "run the command again when the peer has been online",
            SealError::NoProbation => "there is nothing to ask: send a message",
            _ => "run the command again; if it fails again, `restore-backup`, or `forget` the peer",
        }
    } else if let Some(error) = error.downcast_ref() {
        match error {
            OpenError::Suspect(_) => return Some(SUSPECT),
            _ => "run the command again; if it fails again, `restore-backup`",
        }
    } else if let Some(StepError::<Suspicion>::Failed(_)) = error.downcast_ref() {
        return Some(SUSPECT);
    } else if let Some(error) = error.downcast_ref() {
        match error {
            PeerError::Name | PeerError::Taken => "choose another name: see `peers`",
            _ => "see `peers`",
        }
    } else if let Some(error) = error.downcast_ref::<noescrow_sqlite::Error>() {
        use noescrow_sqlite::Error::{Diverged, OtherDatabase, Rollback, WitnessMissing};
        match error {
            Rollback { .. } | Diverged { .. } | OtherDatabase | WitnessMissing => return Some(SUSPECT),
            _ => "free space on the disk, and see `status`: what is in the outbox was saved, and will be sent",
        }
    } else if error.is::<ureq::Error>() {
        "run the command again when the server can be reached; what is saved is sent then"
    } else if let Some(Status(status, _)) = error.downcast_ref() {
        match status {
            401 => "the account has another device now, or the recovery code is wrong or was used",
            403 => "`receive`, which may bring the peer's new access key",
            404 => "there is no such account or file at the server",
            409 => "choose another name: the account exists",
            410 | 412 => "run the command again: another process has changed the list or the file meanwhile",
            413 => "send it in parts",
            429 => "run the command again later: the server holds as much as it does for one account",
            _ => "run the command again later: the server has failed",
        }
    } else {
        return None;
    };
    Some(("error", 1, remedy))
}
