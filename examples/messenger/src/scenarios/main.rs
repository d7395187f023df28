// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenarios: real clients, one process a command, a real relay, and everything that goes wrong in the life of a
//! messenger. An oracle checks each. Each has controls: the same scenario without one of the remedies, or with a relay
//! that misbehaves, which the oracle must catch.

mod backups;
mod crashes;
mod ends;
mod files;
mod identity;
mod kills;
mod loss;
mod names;
mod oracle;
mod ordinary;
mod prekeys;
mod proxy;
mod relay;
mod remedies;
mod run;
mod shared;
mod stores;
mod stranger;
mod strangers;
mod time;
mod trust;
mod world;

use clap::Parser;
use oracle::{Failure, Kind, Verdict, summary};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;
use world::World;

/// Runs the scenarios, and ends with 1 if one deviates.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Where the scenarios leave their databases and logs.
    folder: PathBuf,
    /// The long form: 500 kills, 30,000 lost messages.
    #[arg(long)]
    campaign: bool,
    /// The seed of the random moments. Without one, it is drawn and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of kills, in place of 50, or of 500 in the long form.
    #[arg(long)]
    kills: Option<u32>,
    /// A cluster of PostgreSQL for the relays: `host=/folder/of/its/socket user=name`.
    #[arg(long)]
    postgres: Option<String>,
    /// Number of scenarios that run at the same time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs only scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// What is the same for all scenarios.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
    pub(crate) kills: u32,
    pub(crate) postgres: Option<String>,
}

/// What a control lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    /// Remedies of the client, by the names in `faults.rs`.
    Client(&'static str),
    /// What the scenario itself leaves out, or adds, by this name: a user who does not decide, or a client that acts as if
    /// it lacked a remedy of the library.
    Scenario(&'static str),
}

/// The same scenario without a remedy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    pub(crate) says: &'static str,
    pub(crate) without: Without,
    /// What the oracle must find, among other things.
    pub(crate) expects: Kind,
    /// How often it is tried: [`ONCE`], or [`RACE`] if what it must catch depends on which of two processes is faster.
    pub(crate) tries: usize,
}

pub(crate) const ONCE: usize = 1;
pub(crate) const RACE: usize = 3;

/// In which forms of the suite a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    Campaign,
    Postgres,
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) when: When,
    pub(crate) run: fn(&mut World, &Setup) -> Verdict,
    pub(crate) controls: &'static [Control],
}

/// The longest first, so that none is left running alone.
const SCENARIOS: [&Scenario; 31] = [
    &loss::THIRTY_THOUSAND,
    &kills::KILLS,
    &stores::STORES,
    &crashes::CRASHES,
    &files::FILE,
    &ordinary::EIGHT_SENDERS,
    &prekeys::OLD_BUNDLE,
    &time::THIRTY_DAYS,
    &loss::ELEVEN_HUNDRED,
    &ordinary::TWO_PROCESSES,
    &identity::REINSTALL,
    &prekeys::UPLOAD_LOST,
    &prekeys::DRAINED,
    &prekeys::DAMAGED,
    &backups::CLIENT,
    &backups::DEVICE,
    &backups::CUT_LOGIN,
    &backups::SERVER,
    &remedies::REMEDIES,
    &names::NAMES,
    &files::FILES,
    &strangers::MALFORMED,
    &trust::FIRST_USE,
    &trust::DECISIONS,
    &ends::FORGOTTEN,
    &ends::FORGOTTEN_BY_ONE,
    &ends::DELETED,
    &strangers::CLAIMED_NAME,
    &ordinary::NORMAL,
    &ordinary::CROSSING,
    &shared::TWO_RELAYS,
];

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let kills = options.kills.unwrap_or(if options.campaign { 500 } else { 50 });
    let setup = Setup { folder: options.folder.clone(), seed, kills, postgres: options.postgres.clone() };
    println!("scenarios with seed {seed}, on {}", if setup.postgres.is_some() { "PostgreSQL" } else { "SQLite" });
    let is_due = |scenario: &&Scenario| {
        let is_wanted = options.only.as_ref().is_none_or(|part| scenario.name.contains(part));
        is_wanted
            && match scenario.when {
                When::Always => true,
                When::Campaign => options.campaign,
                When::Postgres => options.postgres.is_some(),
            }
    };
    let due: VecDeque<&Scenario> = SCENARIOS.into_iter().filter(is_due).collect();
    let (count, started) = (due.len(), Instant::now());
    let (due, deviations) = (Mutex::new(due), Mutex::new(0_usize));
    // A function, so that the lock is not held while the scenario runs.
    let next = || lock(&due).pop_front();
    thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                while let Some(scenario) = next() {
                    if !scenario.report(&setup) {
                        let mut deviations = lock(&deviations);
                        *deviations = deviations.saturating_add(1);
                    }
                }
            });
        }
    });
    let deviations = *lock(&deviations);
    println!("\n{count} scenarios, {deviations} deviations, {} s", started.elapsed().as_secs());
    if deviations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scenario {
    /// Runs the scenario and its controls, and prints a line. Returns whether all came out as they should.
    fn report(&self, setup: &Setup) -> bool {
        let started = Instant::now();
        let mut is_right = true;
        let mut said = match self.run(setup, None) {
            Ok(figures) => figures,
            Err(failure) => {
                is_right = false;
                format!("DEVIATES: {failure}")
            }
        };
        for control in self.controls {
            let mut tries = 1;
            let mut outcome = self.run(setup, Some(control));
            while outcome.is_ok() && tries < control.tries {
                tries += 1;
                outcome = self.run(setup, Some(control));
            }
            let outcome = match outcome {
                Err(Failure::Violated(violations)) if violations.iter().any(|one| one.kind == control.expects) => {
                    let again = if tries > 1 { format!(", try {tries}") } else { String::new() };
                    format!("caught ({}{again})", summary(&violations))
                }
                other => {
                    is_right = false;
                    match other {
                        Ok(figures) => format!("DEVIATES: not caught ({figures})"),
                        Err(failure) => format!("DEVIATES: caught for another reason: {failure}"),
                    }
                }
            };
            said.push_str(&format!("; control \"{}\": {outcome}", control.says));
        }
        println!("{:<38} {said}  {:.1} s", self.name, started.elapsed().as_secs_f64());
        is_right
    }

    fn run(&self, setup: &Setup, control: Option<&Control>) -> Verdict {
        let mut world = World::new(setup, self.name, control)?;
        (self.run)(&mut world, setup)
    }
}
