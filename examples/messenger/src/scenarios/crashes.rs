// SPDX-License-Identifier: MIT OR Apache-2.0
//! `kill -9` of every command, at random moments. The user runs it again.

use crate::files::named_file;
use crate::oracle::{Kind, Message, Verdict};
use crate::stranger::get;
use crate::world::{How, Run, World};
use crate::{Control, RACE, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

pub(crate) const CRASHES: Scenario = Scenario {
    name: "kill -9 of every command",
    when: When::Always,
    run: crashes,
    controls: &[Control {
        says: "not run again",
        without: Without::Scenario("running it again"),
        expects: Kind::Kept,
        tries: RACE,
    }],
};

/// One round of commands for this many kills of [`kills`](crate::kills).
const KILLS_A_ROUND: u32 = 16;

/// Kills commands, and knows how long each takes that nobody kills.
#[derive(Default)]
struct Killer {
    typical: HashMap<String, Duration>,
    aimed: usize,
    killed: usize,
}

impl Killer {
    /// Runs a command that is killed at a random moment, if it is known how long it takes.
    fn strike(&mut self, world: &mut World, client: &str, command: &[&str]) -> Result<Run> {
        let name = command.first().copied().unwrap_or_default();
        let Some(typical) = self.typical.get(name) else {
            let started = Instant::now();
            let run = world.run(client, command)?;
            run.succeeded(name)?;
            self.typical.insert(name.to_owned(), started.elapsed());
            return Ok(run);
        };
        // A control is killed early, so that something is left to do.
        let limit = if world.is_control() { *typical / 4 } else { *typical };
        let moment = world.rng.u64(..u64::try_from(limit.as_micros())?.max(1));
        let how = How { kill_after: Some(Duration::from_micros(moment)), ..How::default() };
        let run = world.run_as(client, command, &how)?;
        self.aimed = self.aimed.saturating_add(1);
        self.killed = self.killed.saturating_add(usize::from(run.code.is_none()));
        Ok(run)
    }

    /// Does so, and runs it again if it was killed. Returns the run, with the events of both.
    fn repeat(&mut self, world: &mut World, client: &str, command: &[&str]) -> Result<Run> {
        let mut run = self.strike(world, client, command)?;
        if run.code.is_none() && !world.lacks("running it again") {
            let again = world.run(client, command)?;
            run.events.extend(again.events);
        }
        Ok(run)
    }
}

fn crashes(world: &mut World, setup: &Setup) -> Verdict {
    let mut code = world.register_with_code("bob")?;
    world.register("alice")?;
    world.greet("alice", "bob", "hello")?;
    let mut killer = Killer::default();
    let rounds = (setup.kills / KILLS_A_ROUND).max(1);
    // In the first round nothing is killed.
    for round in 0..=rounds {
        if world.is_caught() {
            return world.judge(0);
        }
        let text = format!("round {round}");
        accounts(world, &mut killer, round)?;
        if world.is_caught() {
            return world.judge(0);
        }
        file(world, &mut killer, round)?;
        killer.repeat(world, "alice", &["maintain"])?;
        code = reinstall(world, &mut killer, &code, &text)?;
        if world.is_caught() {
            return world.judge(0);
        }
        killer.repeat(world, "alice", &["restore-backup"])?;
        world.greet("alice", "bob", &format!("{text}, restored"))?;
        killer.repeat(world, "alice", &["forget", "bob"])?;
        let trust = world.trust("alice", "bob")?;
        world.demand(trust == "none", Kind::Kept, format!("{text}: Bob was forgotten, and is {trust}"));
        // He forgets her, too: otherwise he would keep her new session on probation.
        world.run("bob", &["forget", "alice"])?;
        world.greet("alice", "bob", &format!("{text}, met again"))?;
    }
    world.settle(&["alice", "bob"])?;
    let Killer { aimed, killed, .. } = killer;
    world.demand(killed > aimed / 2, Kind::Silent, format!("only {killed} of {aimed} commands killed"));
    let rounds = usize::try_from(rounds)?.saturating_add(1);
    let figures = world.judge(rounds.saturating_mul(8).saturating_add(2))?;
    Ok(format!("{killed} of {aimed} commands killed; {figures}"))
}

/// An account is opened, used and deleted.
fn accounts(world: &mut World, killer: &mut Killer, round: u32) -> Result<()> {
    let name = format!("guest{round}");
    killer.repeat(world, &name, &["register", &name])?;
    let is_there = get(world, &name, "bundle").is_ok();
    world.demand(is_there, Kind::Kept, format!("{name} has no account"));
    if !is_there {
        return Ok(());
    }
    world.say(&name, "bob", "hello")?;
    let home = world.home(&name);
    let run = killer.strike(world, &name, &["delete-account"])?;
    if run.code.is_none() && home.exists() && !world.lacks("running it again") {
        world.run(&name, &["delete-account"])?;
    }
    let is_gone = !home.exists() && get(world, &name, "bundle").is_err();
    world.demand(is_gone, Kind::Kept, format!("{name} was deleted, and is there"));
    Ok(())
}

/// A file is sent and fetched.
fn file(world: &mut World, killer: &mut Killer, round: u32) -> Result<()> {
    let name = format!("file{round}");
    let path = world.folder.join(&name);
    let bytes = vec![u8::try_from(round % 256)?; 1_500_000];
    fs::write(&path, &bytes)?;
    let message = Message::new("alice", "bob", &format!("file {name}"));
    world.oracle().ask(message.clone());
    let command = ["file", "bob", path.to_str().context("a path")?];
    let run = killer.strike(world, "alice", &command)?;
    // A user who does not see that it was sent runs it again, which seals no other message.
    if !run.has(&["sent"]) && !world.lacks("running it again") {
        world.demand(run.code.is_none(), Kind::Silent, format!("{name} was not sent, in silence"));
        world.run("alice", &command)?.succeeded("file")?;
    }
    let received = world.receive("bob")?;
    let Some([from, id]) = received.received().find_map(named_file) else {
        world.demand(false, Kind::Kept, format!("{name} has not arrived"));
        return Ok(());
    };
    world.oracle().due(message);
    let copy = world.folder.join(format!("{name}.copy"));
    let command = ["fetch", &from, &id, copy.to_str().context("a path")?];
    let run = killer.strike(world, "bob", &command)?;
    if run.code.is_none() && !copy.exists() && !world.lacks("running it again") {
        world.run("bob", &command)?.succeeded("fetch")?;
    }
    let is_same = fs::read(&copy).unwrap_or_default() == bytes;
    world.demand(is_same, Kind::Kept, format!("{name} is another"));
    Ok(())
}

/// Bob has another device, and Alice accepts it. Returns the next recovery code.
fn reinstall(world: &mut World, killer: &mut Killer, code: &str, text: &str) -> Result<String> {
    fs::remove_dir_all(world.home("bob"))?;
    let run = killer.repeat(world, "bob", &["recover", "bob", "<", code])?;
    let next = run.recovery_code().unwrap_or(code).to_owned();
    world.refuses("alice", "bob", text, 3, "identity_changed", Kind::Kept)?;
    let Some(number) = world.safety("alice", "bob")?.claimed else { return Ok(next) };
    killer.repeat(world, "alice", &["accept", "bob", &number])?;
    let shown = world.safety("alice", "bob")?;
    let is_accepted = shown.number == Some(number) && shown.claimed.is_none();
    world.demand(is_accepted, Kind::Kept, format!("{text}: accepted, and {shown:?}"));
    if is_accepted {
        world.greet("alice", "bob", &format!("{text}, welcome back"))?;
    }
    Ok(next)
}
