// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run of a client: a process, what happens to it, and what it has printed.

use anyhow::{Context, Result, bail, ensure};
use noescrow_messenger::events::{Printed, Received};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A client that runs for longer is stuck.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a client that runs is looked at.
const GLANCE: Duration = Duration::from_millis(2);
/// What a client prints to standard error when the fault that the scenario asked for has happened.
const FIRED: &str = "fault: ";

/// How a client is run.
#[derive(Clone, Default)]
pub(crate) struct How<'a> {
    /// What its store does: `fail:2`.
    pub(crate) fault: Option<&'a str>,
    /// It is killed after this time.
    pub(crate) kill_after: Option<Duration>,
    /// Another process of this client runs at the same time.
    pub(crate) is_concurrent: bool,
    /// The relay may end while it runs.
    pub(crate) relay_dies: bool,
    /// The relay to talk to, in place of the proxy.
    pub(crate) server: Option<String>,
    /// It cannot write to a file beyond this length, in blocks of 512 bytes, as if the disk were full.
    pub(crate) max_file_len: Option<u64>,
    /// It has its remedies in a control, too.
    pub(crate) is_whole: bool,
    /// Seconds by which its clock is ahead of the system's, in place of the world's.
    pub(crate) ahead: Option<u64>,
}

impl How<'_> {
    /// Whether the process may end between showing a message and removing it.
    pub(crate) fn may_end(&self) -> bool {
        self.kill_after.is_some() || self.fault.is_some_and(|fault| fault.starts_with("abort"))
    }
}

/// A client that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) events: Vec<Printed>,
    /// `None` if it was ended by a signal.
    pub(crate) code: Option<i32>,
    /// What it has printed to its error output.
    pub(crate) complaints: String,
}

impl Run {
    /// Runs a process until it ends or is killed.
    pub(crate) fn of_process(command: &mut Command, kill_after: Option<Duration>) -> Result<Self> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let events = read_lines(process.stdout.take().context("no output")?);
        let complaints = read_all(process.stderr.take().context("no error output")?);
        let code = wait(&mut process, kill_after)?;
        let events = events.join().ok().context("no lines")??;
        let complaints = complaints.join().unwrap_or_default();
        Ok(Self { events, code, complaints })
    }

    /// Whether the fault that the scenario asked for has happened.
    pub(crate) fn has_failed_on_demand(&self) -> bool {
        self.complaints.contains(FIRED)
    }

    /// Whether it has printed one of these events.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.of(name).next().is_some())
    }

    /// The events of this name.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Printed> {
        self.events.iter().filter(move |event| event.name() == name)
    }

    /// The messages that it has shown.
    pub(crate) fn received(&self) -> impl Iterator<Item = &Received> {
        self.events.iter().filter_map(|event| match event {
            Printed::Received(message) => Some(message),
            _ => None,
        })
    }

    /// The remedies of the messages that it has refused for this reason.
    pub(crate) fn refused(&self, wanted: &str) -> Vec<&str> {
        let remedies = self.events.iter().filter_map(|event| match event {
            Printed::Refused { reason, remedy, .. } if reason == wanted => Some(remedy.as_str()),
            _ => None,
        });
        remedies.collect()
    }

    /// Why messages that it has sent have begun new sessions.
    pub(crate) fn recoveries(&self) -> Vec<&str> {
        let reasons = self.events.iter().filter_map(|event| match event {
            Printed::Sent { recovers_from, .. } => recovers_from.as_deref(),
            _ => None,
        });
        reasons.collect()
    }

    /// The last recovery code that it has printed.
    pub(crate) fn recovery_code(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| match event {
            Printed::RecoveryCode { code } => Some(code.as_str()),
            _ => None,
        })
    }

    pub(crate) fn succeeded(&self, what: &str) -> Result<()> {
        ensure!(self.code == Some(0), "{what}: ended with {:?} after {:?}", self.code, self.events.last());
        Ok(())
    }
}

/// Reads the events that a process prints. A line that is cut off by its end is none.
fn read_lines(output: impl Read + Send + 'static) -> JoinHandle<Result<Vec<Printed>>> {
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
