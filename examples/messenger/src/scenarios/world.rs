// SPDX-License-Identifier: MIT OR Apache-2.0
//! A world of one scenario: a folder with a relay, a proxy before it, and clients, each run of which is a process.

use crate::oracle::{Kind, Message, Oracle, Verdict};
use crate::ordinary::AT_SERVER;
use crate::proxy::Proxy;
use crate::relay::Relay;
pub(crate) use crate::run::{How, Run};
use crate::stranger::CLAIMS;
use crate::{Control, Setup, Without};
use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use noescrow_messenger::account_path;
use noescrow_messenger::events::{Printed, Received};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// The relay, the proxy, the clients and the oracle of one scenario.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) relay: Relay,
    pub(crate) proxy: Proxy,
    pub(crate) rng: fastrand::Rng,
    /// Seconds by which the clocks of the clients and of the relay are ahead of the system's.
    pub(crate) ahead: u64,
    /// Whether the clients have all remedies in a control, too: before what it is about.
    pub(crate) is_whole: bool,
    /// Events that must not come.
    pub(crate) forbidden: &'static [&'static str],
    /// Whether each client's witness is kept outside its home.
    pub(crate) witness_elsewhere: bool,
    without: Option<Without>,
    oracle: Mutex<Oracle>,
    runs: AtomicUsize,
    /// Every event.
    events: Mutex<Vec<Printed>>,
}

/// What a client's home has after a crash.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Hex ids of the messages in the outbox.
    pub(crate) outbox: Vec<String>,
    /// Number of commits.
    pub(crate) generation: i64,
}

/// The safety numbers of a peer's identities: the one that is pinned, and one that claims to be the peer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Safety {
    pub(crate) number: Option<String>,
    pub(crate) claimed: Option<String>,
}

impl World {
    /// Makes the world of a scenario in a folder of its own, and starts a relay.
    pub(crate) fn new(setup: &Setup, name: &str, control: Option<&Control>) -> Result<Self> {
        let without = control.map(|control| control.without);
        let name = plain(name);
        let folder = match control {
            Some(control) => setup.folder.join(format!("{name}-control-{}", plain(control.says))),
            None => setup.folder.join(name),
        };
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("relay"))?;
        let proxy = Proxy::start()?;
        let relay = Relay::start(&folder, format!("http://{}", proxy.address), setup.postgres.as_deref())?;
        proxy.forward_to(relay.address());
        Ok(Self {
            folder,
            relay,
            proxy,
            rng: fastrand::Rng::with_seed(setup.seed),
            ahead: 0,
            is_whole: false,
            forbidden: &[],
            witness_elsewhere: false,
            without,
            oracle: Mutex::default(),
            runs: AtomicUsize::new(0),
            events: Mutex::default(),
        })
    }

    /// Whether this is the control in which the scenario itself leaves out, or adds, what has this name.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        matches!(self.without, Some(Without::Scenario(lacking)) if lacking == name)
    }

    /// Whether this is a control.
    pub(crate) const fn is_control(&self) -> bool {
        self.without.is_some()
    }

    /// Whether this is a control in which the oracle has already caught what it should.
    pub(crate) fn is_caught(&self) -> bool {
        self.is_control() && self.oracle().judge().is_err()
    }

    /// Kills the relay, and starts it again on what it has saved.
    pub(crate) fn restart_relay(&self) -> Result<()> {
        self.relay.stop();
        self.relay.start_again()?;
        self.proxy.forward_to(self.relay.address());
        Ok(())
    }

    /// Moves the clocks of the clients and of the relay.
    pub(crate) fn pass(&mut self, seconds: u64) -> Result<()> {
        self.ahead = self.ahead.saturating_add(seconds);
        self.relay.set_ahead(self.ahead)
    }

    /// Does something each day, for some days.
    pub(crate) fn each_day(&mut self, days: u64, mut work: impl FnMut(&Self) -> Result<()>) -> Result<()> {
        (0..days).try_for_each(|_| {
            self.pass(DAY)?;
            work(self)
        })
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Demands something that the scenario has looked at itself.
    pub(crate) fn demand(&self, holds: bool, kind: Kind, what: impl Into<String>) {
        self.oracle().demand(holds, kind, what);
    }

    pub(crate) fn home(&self, client: &str) -> PathBuf {
        self.folder.join(client)
    }

    /// Runs a command of a client, and enters what it prints into the oracle.
    pub(crate) fn run_as(&self, client: &str, arguments: &[&str], how: &How<'_>) -> Result<Run> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let mut command = self.command(client, how)?;
        command.args(arguments);
        let run = Run::of_process(&mut command, how.kill_after);
        let run = run.with_context(|| format!("{client}: {arguments:?}"))?;
        self.note(client, arguments, how, number, &run);
        self.log(client, arguments, &run)?;
        self.events.lock().unwrap_or_else(PoisonError::into_inner).extend(run.events.iter().cloned());
        Ok(run)
    }

    /// Runs a command of a client without faults.
    pub(crate) fn run(&self, client: &str, arguments: &[&str]) -> Result<Run> {
        self.run_as(client, arguments, &How::default())
    }

    fn command(&self, client: &str, how: &How<'_>) -> Result<Command> {
        let program = program("messenger")?;
        let mut command = match how.max_file_len {
            // The signal is ignored, and the write fails.
            Some(len) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("trap '' XFSZ; ulimit -f {len}; exec \"$0\" \"$@\"")]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.arg("--home").arg(self.home(client));
        let server = how.server.clone().unwrap_or_else(|| format!("http://{}", self.proxy.address));
        command.args(["--server", &server]);
        if self.witness_elsewhere {
            command.arg("--witness").arg(self.folder.join(format!("{client}.witness")));
        }
        let ahead = how.ahead.unwrap_or(self.ahead);
        if ahead > 0 {
            command.args(["--now", &now()?.saturating_add(ahead).to_string()]);
        }
        if let Some(fault) = how.fault {
            command.env("NOESCROW_FAULT", fault);
        }
        if let Some(Without::Client(remedy)) = self.without.filter(|_| !how.is_whole && !self.is_whole) {
            command.env("NOESCROW_WITHOUT", remedy);
        }
        Ok(command)
    }

    /// Writes down what a client has printed.
    fn log(&self, client: &str, arguments: &[&str], run: &Run) -> Result<()> {
        let mut lines = format!("{client} {arguments:?} ended with {:?}\n", run.code);
        lines.extend(run.events.iter().map(|event| format!("  {event}\n")));
        lines.push_str(&run.complaints);
        let mut log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("runs.log"))?;
        Ok(log.write_all(lines.as_bytes())?)
    }

    /// Enters a run into the oracle: what was sent and received, and whether a failure was shown.
    fn note(&self, client: &str, arguments: &[&str], how: &How<'_>, number: usize, run: &Run) {
        let mut oracle = self.oracle();
        let was_interrupted = run.code.is_none() || how.is_concurrent;
        for event in &run.events {
            match event {
                Printed::Received(message) => {
                    oracle.shown(received(client, message), &message.id, number, was_interrupted);
                }
                Printed::Sent { to, id, .. } => oracle.saved(client, to.as_deref().unwrap_or_default(), id),
                _ => {}
            }
            let is_complete = event.remedy().is_none_or(|remedy| !remedy.is_empty());
            oracle.demand(is_complete, Kind::Silent, format!("{client}: {event}, without a remedy"));
            let is_forbidden = self.forbidden.contains(&event.name());
            oracle.demand(!is_forbidden, Kind::Repeated, format!("{client} {arguments:?}: {event}"));
        }
        let is_shown = match run.code {
            Some(0) => true,
            // `refused` alone is no failure of the command.
            Some(code) => run.events.iter().any(|event| i32::from(event.exit_code()) == code),
            None => how.may_end(),
        };
        let complaints = run.complaints.trim();
        let what = || format!("{client} {arguments:?}: ended with {:?}; {complaints}", run.code);
        oracle.demand(is_shown, Kind::Silent, what());
    }

    /// Number of messages so far that were refused for this reason.
    pub(crate) fn refused(&self, wanted: &str) -> usize {
        let is_such = |event: &&Printed| matches!(event, Printed::Refused { reason, .. } if reason == wanted);
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(is_such).count()
    }

    /// The time of the clients and of the relay, in seconds.
    pub(crate) fn time(&self) -> Result<u64> {
        Ok(now()?.saturating_add(self.ahead))
    }

    /// Registers an account.
    pub(crate) fn register(&self, client: &str) -> Result<()> {
        let how = How { is_whole: true, ..How::default() };
        self.run_as(client, &["register", client], &how)?.succeeded(client)
    }

    /// Registers accounts.
    pub(crate) fn register_all(&self, clients: &[&str]) -> Result<()> {
        clients.iter().try_for_each(|client| self.register(client))
    }

    /// Lets a client send messages. If it says that it is done, they must arrive. If it does not, that needs a reason:
    /// that it was interrupted, or what [`refuses`](Self::refuses) demands.
    fn sends(&self, from: &str, to: &str, texts: &[String], arguments: &[&str], how: &How<'_>) -> Result<Run> {
        let messages = || texts.iter().map(|text| Message::new(from, to, text));
        messages().for_each(|message| self.oracle().ask(message));
        let run = self.run_as(from, arguments, how)?;
        let fired = run.has_failed_on_demand() || how.relay_dies || run.code.is_none();
        match run.code {
            Some(0) => messages().for_each(|message| self.oracle().due(message)),
            _ if fired => messages().for_each(|message| self.oracle().interrupted(message)),
            _ => messages().for_each(|message| self.oracle().unsent(message, format!("{:?}", run.events.last()))),
        }
        Ok(run)
    }

    /// Sends one message.
    pub(crate) fn send_as(&self, from: &str, to: &str, text: &str, how: &How<'_>) -> Result<Run> {
        self.sends(from, to, &[text.to_owned()], &["send", to, text], how)
    }

    /// Sends one message, without faults.
    pub(crate) fn send(&self, from: &str, to: &str, text: &str) -> Result<Run> {
        self.send_as(from, to, text, &How::default())
    }

    /// Sends `count` messages in one process.
    pub(crate) fn send_many(&self, from: &str, to: &str, text: &str, count: usize, how: &How<'_>) -> Result<Run> {
        let arguments = ["send", to, text, "--count", &count.to_string()];
        self.sends(from, to, &numbered(text, count), &arguments, how)
    }

    /// Sends a file.
    pub(crate) fn send_file(&self, from: &str, to: &str, path: &str) -> Result<Run> {
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        self.sends(from, to, &[format!("file {name}")], &["file", to, path], &How::default())
    }

    /// Lets a client try to send a message that it must not send: it ends with this code and one of these events.
    pub(crate) fn refuses(&self, from: &str, to: &str, text: &str, code: i32, event: &str, kind: Kind) -> Result<Run> {
        let run = self.send(from, to, text)?;
        let is_refused = run.code == Some(code) && run.has(&[event]);
        let what = format!("{from} to {to}, \"{text}\": {:?} with {:?}, not {code}", run.code, run.events.last());
        self.demand(is_refused, kind, what);
        if run.code != Some(0) {
            self.oracle().refused(Message::new(from, to, text));
        }
        Ok(run)
    }

    /// One writes, and the other receives it.
    pub(crate) fn say(&self, from: &str, to: &str, text: &str) -> Result<Run> {
        self.send(from, to, text)?;
        self.receive(to)
    }

    /// Both write to each other, and receive it.
    pub(crate) fn greet(&self, one: &str, other: &str, text: &str) -> Result<()> {
        self.say(one, other, text)?;
        self.say(other, one, text).map(drop)
    }

    pub(crate) fn receive(&self, client: &str) -> Result<Run> {
        self.run(client, &["receive"])
    }

    /// The safety numbers that a client shows of a peer.
    pub(crate) fn safety(&self, client: &str, peer: &str) -> Result<Safety> {
        let run = self.run(client, &["safety", peer])?;
        run.succeeded("safety")?;
        let number = |wanted: bool| {
            run.events.iter().find_map(|event| match event {
                Printed::Safety { number, claimed } if *claimed == wanted => Some(number.clone()),
                _ => None,
            })
        };
        Ok(Safety { number: number(false), claimed: number(true) })
    }

    /// How far a client trusts a peer's identity, by its name.
    pub(crate) fn trust(&self, client: &str, peer: &str) -> Result<String> {
        let run = self.run(client, &["status"])?;
        let trust = run.events.iter().find_map(|event| match event {
            Printed::Peer { name, trust, .. } if name.as_deref() == Some(peer) => Some(trust.clone()),
            _ => None,
        });
        Ok(trust.unwrap_or_else(|| "none".into()))
    }

    /// Lets the clients send what is in their outboxes and receive what waits for them, until everything has arrived that
    /// must, or nothing more happens.
    pub(crate) fn settle(&self, clients: &[&str]) -> Result<()> {
        for round in 0..8 {
            let mut has_events = false;
            for client in clients {
                has_events |= self.receive(client)?.has(&["received", "sent", "deferred"]);
            }
            let is_empty = |client: &&str| self.saved(client).is_ok_and(|saved| saved.outbox.is_empty());
            let is_complete = self.oracle().is_complete() || round > 2;
            if !has_events && round > 0 && is_complete && clients.iter().all(is_empty) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Enters what a client has in its outbox for `to`: it must arrive.
    pub(crate) fn note_outbox(&self, client: &str, to: &str) -> Result<()> {
        for id in self.saved(client)?.outbox {
            self.oracle().saved(client, to, &id);
        }
        Ok(())
    }

    /// Opens a copy of a client's database, so that the client itself meets what a crash has left.
    pub(crate) fn open_copy(&self, client: &str) -> Result<rusqlite::Connection> {
        let copy = self.folder.join(format!("{client}.copy"));
        fs::create_dir_all(&copy)?;
        for suffix in ["", "-wal"] {
            let name = format!("messenger.db{suffix}");
            let (from, to) = (self.home(client).join(&name), copy.join(&name));
            let _ = fs::remove_file(&to);
            if from.exists() {
                fs::copy(from, to)?;
            }
        }
        Ok(rusqlite::Connection::open(copy.join("messenger.db"))?)
    }

    /// Reads what a client has saved.
    pub(crate) fn saved(&self, client: &str) -> Result<Saved> {
        let database = self.open_copy(client)?;
        let mut query = database.prepare("SELECT message_id FROM noescrow_outbox ORDER BY position")?;
        let ids = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        let outbox = ids.map(|id| Ok(HEXLOWER.encode(&id?))).collect::<Result<_>>()?;
        let generation = database.query_row("SELECT generation FROM noescrow_store", [], |row| row.get(0))?;
        Ok(Saved { outbox, generation })
    }

    /// Demands that the relay holds as many one-time prekeys of a client as it should, after the client has had the chance
    /// to upload what is missing.
    pub(crate) fn check_stock(&self, client: &str) -> Result<()> {
        self.run(client, &["maintain"])?;
        self.run(client, &["maintain"])?;
        let held = self.stock(client).unwrap_or_default();
        let what = format!("{client} has {held} of {AT_SERVER} prekeys at the server");
        // Those that were replaced can be used until they expire.
        let replaced = if self.ahead > DAY { AT_SERVER } else { 0 };
        let is_right = (AT_SERVER..=AT_SERVER.saturating_add(replaced)).contains(&held);
        self.demand(is_right, Kind::Prekeys, what);
        Ok(())
    }

    /// Number of one-time prekeys that the relay listed last for a client.
    pub(crate) fn stock(&self, client: &str) -> Option<usize> {
        let listed = self.proxy.exchanges("GET", &format!("{}/prekeys", account_path(client)));
        listed.last().map(|exchange| exchange.answer.len() / 4)
    }

    /// Judges everything that has happened. `due` is the number of messages that the scenario has had sent and that must
    /// have arrived.
    pub(crate) fn judge(&self, due: usize) -> Verdict {
        let figures = self.oracle().judge()?;
        self.demand(figures.due == due, Kind::Lost, format!("{} of {due} messages were sent", figures.due));
        self.oracle().judge().map(|figures| figures.to_string())
    }
}

/// The texts of `send --count`.
pub(crate) fn numbered(text: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{text} {number}")).collect()
}

/// The message of a `received` event. Of a stranger it is from `?NAME`.
fn received(at: &str, message: &Received) -> Message {
    let Received { from, claims, text, file, .. } = message;
    let claims = claims.as_ref().map(|name| format!("{CLAIMS}{name}"));
    let file = file.as_ref().map(|file| format!("file {}", file.name));
    let (from, text) = (from.clone().or(claims), text.clone().or(file));
    Message::new(&from.unwrap_or_default(), at, &text.unwrap_or_default())
}

/// The system's time, in seconds.
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// A name of a folder.
fn plain(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// What a scenario needs to make sense.
pub(crate) fn require(holds: bool, what: &str) -> Result<()> {
    ensure!(holds, "{what}");
    Ok(())
}

/// A program of this package.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// Copies a folder with its files and folders.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// Puts a folder back to an earlier copy of it.
pub(crate) fn put_back(folder: &Path, copy: &Path) -> Result<()> {
    fs::remove_dir_all(folder)?;
    copy_folder(copy, folder)
}
