// SPDX-License-Identifier: MIT OR Apache-2.0
//! A world of one scenario: a folder with a relay, a proxy before it, and clients, each run of which is a process.

use crate::oracle::{Figures, Kind, Oracle, Verdict};
use crate::proxy::Proxy;
use crate::relay::Relay;
use crate::{Control, Setup, Without};
use anyhow::{Context, Result, bail, ensure};
use data_encoding::HEXLOWER;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A client that runs for longer is stuck.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// How often a client that runs is looked at.
const GLANCE: Duration = Duration::from_millis(2);
/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// The relay, the proxy, the clients and the oracle of one scenario.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) relay: Relay,
    pub(crate) proxy: Proxy,
    pub(crate) rng: fastrand::Rng,
    /// Seconds by which the clients' clock is ahead of the system's.
    pub(crate) ahead: u64,
    /// Whether each client's witness is kept outside its home.
    pub(crate) witness_elsewhere: bool,
    without: Option<Without>,
    oracle: Mutex<Oracle>,
    runs: AtomicUsize,
}

/// How a client is run.
#[derive(Clone, Default)]
pub(crate) struct How<'a> {
    /// What its store does: `fail:2`.
    pub(crate) fault: Option<&'a str>,
    /// It is killed after this time.
    pub(crate) kill_after: Option<Duration>,
    /// Another process of this client runs at the same time.
    pub(crate) is_concurrent: bool,
    /// The relay to talk to, in place of the proxy.
    pub(crate) server: Option<String>,
}

/// A client that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) events: Vec<Value>,
    /// `None` if it was ended by a signal.
    pub(crate) code: Option<i32>,
}

/// What a client's home has after a crash.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Hex ids of the messages in the outbox.
    pub(crate) outbox: Vec<String>,
    /// Number of commits.
    pub(crate) generation: i64,
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
            witness_elsewhere: false,
            without,
            oracle: Mutex::default(),
            runs: AtomicUsize::new(0),
        })
    }

    /// Whether this is the control in which the relay has this fault.
    pub(crate) fn relay_fault(&self, name: &str) -> bool {
        matches!(self.without, Some(Without::Relay(fault)) if fault == name)
    }

    /// Whether this is a control.
    pub(crate) const fn is_control(&self) -> bool {
        self.without.is_some()
    }

    /// Whether this is a control in which the oracle has already caught what it should.
    pub(crate) fn is_caught(&self) -> bool {
        self.is_control() && self.figures().is_err()
    }

    /// Stops the relay, and starts it again on what it has saved.
    pub(crate) fn restart_relay(&mut self) -> Result<()> {
        self.relay.stop();
        self.relay.start_again()?;
        self.proxy.forward_to(self.relay.address());
        Ok(())
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn home(&self, client: &str) -> PathBuf {
        self.folder.join(client)
    }

    /// Runs a command of a client, and enters what it prints into the oracle.
    pub(crate) fn run_as(&self, client: &str, arguments: &[&str], how: &How<'_>) -> Result<Run> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let mut command = self.command(client, how)?;
        command.args(arguments);
        let mut process = command.spawn()?;
        let events = read_lines(process.stdout.take().context("no output")?);
        let complaints = read_all(process.stderr.take().context("no error output")?);
        let code = wait(&mut process, how.kill_after).with_context(|| format!("{client}: {arguments:?}"))?;
        let events = events.join().ok().context("no lines")??;
        let complaints = complaints.join().unwrap_or_default();
        let run = Run { events, code };
        self.note(client, arguments, how, number, &run, &complaints);
        Ok(run)
    }

    /// Runs a command of a client without faults.
    pub(crate) fn run(&self, client: &str, arguments: &[&str]) -> Result<Run> {
        self.run_as(client, arguments, &How::default())
    }

    fn command(&self, client: &str, how: &How<'_>) -> Result<Command> {
        let mut command = Command::new(program("messenger")?);
        command.arg("--home").arg(self.home(client));
        let server = how.server.clone().unwrap_or_else(|| format!("http://{}", self.proxy.address));
        command.args(["--server", &server]);
        if self.witness_elsewhere {
            command.arg("--witness").arg(self.folder.join(format!("{client}.witness")));
        }
        if self.ahead > 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            command.args(["--now", &now.saturating_add(self.ahead).to_string()]);
        }
        if let Some(fault) = how.fault {
            command.env("NOESCROW_FAULT", fault);
        }
        if let Some(Without::Client(remedy)) = self.without {
            command.env("NOESCROW_WITHOUT", remedy);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Enters a run into the oracle: what was sent and received, and whether a failure was shown with its remedy.
    fn note(&self, client: &str, arguments: &[&str], how: &How<'_>, number: usize, run: &Run, complaints: &str) {
        let mut oracle = self.oracle();
        let was_interrupted = run.code.is_none() || how.fault.is_some() || how.is_concurrent;
        for event in &run.events {
            let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("event") {
                "received" if event.get("text").is_some_and(Value::is_string) => {
                    oracle.shown(client, text("text"), text("id"), number, was_interrupted);
                }
                "received" => {
                    let name = event.get("file").and_then(|file| file.get("name")).and_then(Value::as_str);
                    let file = format!("file {}", name.unwrap_or_default());
                    oracle.shown(client, &file, text("id"), number, was_interrupted);
                }
                "sent" => oracle.saved(text("to"), text("id")),
                "refused" | "error" => {
                    let is_complete = !text("remedy").is_empty();
                    oracle.demand(is_complete, Kind::Silent, format!("{client}: {event}, without a remedy"));
                }
                _ => {}
            }
        }
        let shows = |names: &[&str]| run.has(names);
        let is_shown = match run.code {
            Some(0) | None => true,
            Some(1) => shows(&["error", "refused"]),
            Some(3) => shows(&["identity_changed", "suspect"]),
            Some(_) => false,
        };
        let aborts = how.fault.is_some_and(|fault| fault.starts_with("abort"));
        let was_killed = how.kill_after.is_some() || aborts;
        let what = || format!("{client} {arguments:?}: ended with {:?}; {}", run.code, complaints.trim());
        oracle.demand(is_shown && (run.code.is_some() || was_killed), Kind::Silent, what());
    }

    /// Registers an account.
    pub(crate) fn register(&self, client: &str) -> Result<()> {
        self.run(client, &["register", client])?.succeeded(client)
    }

    /// Sends one message. If the client says that it is done, the message must arrive.
    pub(crate) fn send_as(&self, from: &str, to: &str, text: &str, how: &How<'_>) -> Result<Run> {
        self.oracle().attempt(to, text);
        let run = self.run_as(from, &["send", to, text], how)?;
        if run.code == Some(0) {
            self.oracle().due(to, text);
        }
        Ok(run)
    }

    /// Sends one message, which must succeed.
    pub(crate) fn send(&self, from: &str, to: &str, text: &str) -> Result<Run> {
        let run = self.send_as(from, to, text, &How::default())?;
        let what = format!("{from} cannot send \"{text}\" to {to}: {:?}", run.events.last());
        self.oracle().demand(run.code == Some(0), Kind::Lost, what);
        Ok(run)
    }

    /// Sends `count` messages in one process.
    pub(crate) fn send_many(&self, from: &str, to: &str, text: &str, count: usize, how: &How<'_>) -> Result<Run> {
        let texts: Vec<String> = (1..=count).map(|number| format!("{text} {number}")).collect();
        texts.iter().for_each(|text| self.oracle().attempt(to, text));
        let run = self.run_as(from, &["send", to, text, "--count", &count.to_string()], how)?;
        if run.code == Some(0) {
            texts.iter().for_each(|text| self.oracle().due(to, text));
        }
        Ok(run)
    }

    pub(crate) fn receive(&self, client: &str) -> Result<Run> {
        self.run(client, &["receive"])
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
            if !has_events && round > 0 && (self.oracle().is_complete() || round > 2) && clients.iter().all(is_empty) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Enters what a client has in its outbox for `to`: it must arrive.
    pub(crate) fn note_outbox(&self, client: &str, to: &str) -> Result<()> {
        for id in self.saved(client)?.outbox {
            self.oracle().saved(to, &id);
        }
        Ok(())
    }

    /// Reads what a client has saved, from a copy, so that the client itself meets what a crash has left.
    pub(crate) fn saved(&self, client: &str) -> Result<Saved> {
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
        let database = rusqlite::Connection::open(copy.join("messenger.db"))?;
        let mut query = database.prepare("SELECT message_id FROM noescrow_outbox ORDER BY position")?;
        let ids = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        let outbox = ids.map(|id| Ok(HEXLOWER.encode(&id?))).collect::<Result<_>>()?;
        let generation = database.query_row("SELECT generation FROM noescrow_store", [], |row| row.get(0))?;
        Ok(Saved { outbox, generation })
    }

    /// Demands that the relay holds as many one-time prekeys of a client as it should, after the client has had the chance
    /// to upload what is missing.
    pub(crate) fn check_stock(&self, client: &str, expected: usize) -> Result<()> {
        self.run(client, &["maintain"])?;
        self.run(client, &["maintain"])?;
        let held = self.stock(client).unwrap_or_default();
        let what = format!("{client} has {held} of {expected} prekeys at the server");
        // The relay's clock is the system's: it may list some that the client has replaced because they are old.
        let is_full = held == expected || self.ahead > DAY && held > expected;
        self.oracle().demand(is_full, Kind::Prekeys, what);
        Ok(())
    }

    /// Number of one-time prekeys that the relay listed last for a client.
    pub(crate) fn stock(&self, client: &str) -> Option<usize> {
        let listed = self.proxy.exchanges("GET", &format!("/accounts/{client}/prekeys"));
        listed.last().map(|exchange| exchange.answer.len() / 4)
    }

    /// Judges everything that has happened.
    pub(crate) fn judge(&self) -> Verdict {
        self.figures().map(|figures| figures.to_string())
    }

    pub(crate) fn figures(&self) -> Result<Figures, crate::oracle::Failure> {
        self.oracle().judge()
    }
}

impl Run {
    /// Whether it has printed one of these events.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.of(name).next().is_some())
    }

    /// The events of this name.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event.get("event").and_then(Value::as_str) == Some(name))
    }

    /// Whether an event of this name has this value of a member.
    pub(crate) fn says(&self, name: &str, member: &str, value: impl Into<Value>) -> bool {
        let value = value.into();
        self.of(name).any(|event| event.get(member) == Some(&value))
    }

    pub(crate) fn succeeded(&self, what: &str) -> Result<()> {
        ensure!(self.code == Some(0), "{what}: ended with {:?} after {:?}", self.code, self.events.last());
        Ok(())
    }
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

/// Reads the events that a process prints. A line that is cut off by its end is none.
fn read_lines(output: impl Read + Send + 'static) -> JoinHandle<Result<Vec<Value>>> {
    thread::spawn(move || {
        let mut events = Vec::new();
        let mut reader = BufReader::new(output);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            if line.ends_with('\n') {
                let event = serde_json::from_str(&line);
                events.push(event.with_context(|| format!("not an event: {}", line.trim()))?);
            }
            line.clear();
        }
        Ok(events)
    })
}

fn read_all(mut output: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let _ = output.read_to_string(&mut text);
        text
    })
}

/// Waits for a process, or kills it when its time has come.
fn wait(process: &mut Child, kill_after: Option<Duration>) -> Result<Option<i32>> {
    let started = Instant::now();
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status.code());
        }
        let elapsed = started.elapsed();
        match kill_after {
            Some(limit) if elapsed >= limit => {
                process.kill()?;
                return Ok(process.wait()?.code());
            }
            Some(limit) => thread::sleep(GLANCE.min(limit.saturating_sub(elapsed))),
            None if elapsed > PATIENCE => {
                process.kill()?;
                process.wait()?;
                bail!("still running after {} s", PATIENCE.as_secs());
            }
            None => thread::sleep(GLANCE),
        }
    }
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
